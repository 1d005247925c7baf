//! What is wrong with an answer, and where. Never tells text of the answer but names of elements.

/// An answer that is not what MNS's documentation says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {position} of the answer")]
pub struct Malformed {
    /// What was found.
    pub problem: Problem,
    /// Where, in bytes from the start of the answer.
    pub position: usize,
}

/// What was found in place of a proper answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Bytes that are not UTF-8.
    #[error("bytes that are not UTF-8")]
    NotUtf8,
    /// No element at all.
    #[error("no XML element")]
    Empty,
    /// Not XML; what the XML reader missed.
    #[error("broken XML ({0})")]
    Syntax(&'static str),
    /// A root element that no answer to this call has.
    #[error(
        "root element <{0}>, which no MNS answer to this call has; is the endpoint really MNS?"
    )]
    Root(String),
    /// The end of the answer inside an element.
    #[error("the end of the answer inside an open element (truncated on the way?)")]
    Truncated,
    /// Something after the root element.
    #[error("content after the root element")]
    Trailing,
    /// A document type declaration.
    #[error("a document type declaration, which MNS never sends")]
    Doctype,
    /// Elements nested deeper than any answer.
    #[error("elements nested deeper than {0}")]
    TooDeep(usize),
    /// Text between elements.
    #[error("text where only elements belong")]
    StrayText,
    /// An element where text belongs.
    #[error("an element inside <{0}>, where only text belongs")]
    Nested(&'static str),
    /// An element that came twice.
    #[error("a second <{0}> in the same element")]
    Duplicate(&'static str),
    /// A mandatory element that is not there: which, and in which.
    #[error("no <{0}> in <{1}>")]
    Missing(&'static str, &'static str),
    /// Not a whole number.
    #[error("no whole number in <{0}>")]
    NotANumber(&'static str),
    /// `&` with something other than one of the five entities or a character number.
    #[error("an unknown or broken `&..;` reference in <{0}>")]
    Reference(&'static str),
}

// === impl Malformed ===

impl Malformed {
    pub(super) fn new(problem: Problem, position: usize) -> Self {
        Self { problem, position }
    }
}

// === impl Problem ===

impl Problem {
    /// Keeps the kind and drops the names, which may be text of the answer.
    pub(super) fn from_reader(error: &quick_xml::Error) -> Self {
        use quick_xml::Error;
        use quick_xml::errors::{IllFormedError, SyntaxError};
        Self::Syntax(match error {
            Error::Syntax(SyntaxError::UnclosedTag) => "a tag without its end",
            Error::Syntax(SyntaxError::UnclosedComment) => "a comment without its end",
            Error::Syntax(SyntaxError::UnclosedCData) => "CDATA without its end",
            Error::Syntax(_) => "a declaration without its end",
            Error::IllFormed(
                IllFormedError::MismatchedEndTag { .. } | IllFormedError::UnmatchedEndTag(_),
            ) => "an end tag that closes nothing",
            Error::IllFormed(IllFormedError::UnclosedReference) => "`&` without `;`",
            _ => "not well-formed",
        })
    }
}
