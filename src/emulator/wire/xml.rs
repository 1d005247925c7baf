//! XML both ways: request bodies as a small tree of local names, answers as text.

use std::fmt::Write as _;

use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, Reader};

use crate::emulator::error::ApiError;

pub(super) const NAMESPACE: &str = "http://mns.aliyuncs.com/doc/v1/";

/// Requests nest four deep at most (a property within a message of a batch).
const MAX_DEPTH: usize = 16;

/// An element with the text directly in it; namespaces and attributes are ignored, as the service does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Self>,
}

/// Whether the root element is in another namespace than MNS's; one in none is not.
pub(super) fn is_foreign(document: &[u8]) -> bool {
    let namespace = NAMESPACE.trim_end_matches('/');
    let mut reader = NsReader::from_reader(document);
    loop {
        match reader.read_resolved_event() {
            Ok((ResolveResult::Bound(bound), Event::Start(_) | Event::Empty(_))) => {
                let bound = bound.into_inner();
                return bound.strip_suffix('/').unwrap_or(bound) != namespace;
            }
            Ok((_, Event::Start(_) | Event::Empty(_) | Event::Eof)) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

// === impl Element ===

impl Element {
    /// The root element of a document.
    pub(super) fn parse(document: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(document).map_err(|_| ApiError::malformed_xml())?;
        parse_document(text).ok_or_else(ApiError::malformed_xml)
    }

    /// The first child of that name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// A child's text.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// A child's text as a number; a number that is none is an invalid argument.
    pub(super) fn number_of(&self, name: &str) -> Result<Option<u32>, ApiError> {
        match self.text_of(name).map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                ApiError::invalid_argument(format!("The value of {name} is not a valid number."))
            }),
        }
    }

    /// This element as canonical XML.
    pub(super) fn write(&self, out: &mut String) {
        _ = write!(out, "<{}>", self.name);
        if self.children.is_empty() {
            escape(&self.text, true, out);
        }
        for child in &self.children {
            child.write(out);
        }
        _ = write!(out, "</{}>", self.name);
    }
}

fn parse_document(text: &str) -> Option<Element> {
    let mut reader = Reader::from_str(text);
    // The bottom of the stack stands for the document.
    let mut stack = vec![Element::default()];
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if stack.len() > MAX_DEPTH {
                    return None;
                }
                stack.push(named(start.local_name().as_ref()));
            }
            Event::Empty(start) => stack
                .last_mut()?
                .children
                .push(named(start.local_name().as_ref())),
            Event::End(_) => {
                let element = stack.pop()?;
                stack.last_mut()?.children.push(element);
            }
            Event::Text(text) => push_text(&mut stack, &text.xml10_content())?,
            Event::CData(text) => push_text(&mut stack, &text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let mut buffer = [0; 4];
                let resolved = match reference.resolve_char_ref().ok()? {
                    Some(character) => character.encode_utf8(&mut buffer),
                    None => predefined(&reference)?,
                };
                push_text(&mut stack, resolved)?;
            }
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::DocType(_) => return None,
        }
    }
    let [document] = <[Element; 1]>::try_from(stack).ok()?;
    let [root] = <[Element; 1]>::try_from(document.children).ok()?;
    Some(root)
}

fn named(name: &str) -> Element {
    Element {
        name: name.to_owned(),
        ..Element::default()
    }
}

fn predefined(entity: &str) -> Option<&'static str> {
    Some(match entity {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "apos" => "'",
        "quot" => "\"",
        _ => return None,
    })
}

/// Adds to the innermost element's text; none for characters that XML 1.0 cannot carry, or for text outside the root.
fn push_text(stack: &mut [Element], text: &str) -> Option<()> {
    let (element, outer) = stack.split_last_mut()?;
    if outer.is_empty() {
        return text.trim().is_empty().then_some(());
    }
    let legal = |character: char| {
        !character.is_control() || matches!(character, '\t' | '\n' | '\r' | '\u{7f}'..='\u{9f}')
    };
    let noncharacter = ['\u{FFFE}', '\u{FFFF}'];
    if !text
        .chars()
        .all(|character| legal(character) && !noncharacter.contains(&character))
    {
        return None;
    }
    element.text.push_str(text);
    Some(())
}

/// Escapes text; a carriage return becomes a reference, since a parser would turn it into a line feed.
pub(super) fn escape(text: &str, quotes: bool, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| matches!(byte, b'&' | b'<' | b'>' | b'\r') || (byte == b'"' && quotes))
    {
        let (clean, tail) = rest.split_at(at);
        out.push_str(clean);
        let (special, tail) = tail.split_at(1);
        out.push_str(match special {
            "&" => "&amp;",
            "<" => "&lt;",
            ">" => "&gt;",
            "\r" => "&#13;",
            _ => "&quot;",
        });
        rest = tail;
    }
    out.push_str(rest);
}

/// A document with this root; `fill` writes what is in it.
pub(super) fn document(root: &str, capacity: usize, fill: impl FnOnce(&mut String)) -> String {
    let mut out = String::with_capacity(capacity + 160);
    _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{NAMESPACE}\">"
    );
    fill(&mut out);
    _ = write!(out, "</{root}>");
    out
}

/// Writes `<name>value</name>` with the value escaped.
pub(super) fn field(out: &mut String, name: &str, value: &str) {
    _ = write!(out, "<{name}>");
    escape(value, true, out);
    _ = write!(out, "</{name}>");
}

/// Writes `<name>number</name>`.
pub(super) fn number(out: &mut String, name: &str, value: impl itoa::Integer) {
    _ = write!(
        out,
        "<{name}>{}</{name}>",
        itoa::Buffer::new().format(value)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_the_way_out_and_back() {
        let text = "a<b>&\"c'\r\n\tü]]>";
        for quotes in [true, false] {
            let document = document("Message", 0, |out| {
                out.push_str("<MessageBody>");
                escape(text, quotes, out);
                out.push_str("</MessageBody>");
            });
            assert_eq!(document.contains("&quot;"), quotes);
            let root = Element::parse(document.as_bytes()).unwrap();
            assert_eq!(root.text_of("MessageBody"), Some(text));
        }
    }

    #[test]
    fn prefixes_cdata_and_missing_namespaces_are_fine() {
        let root = Element::parse(b"<m:Message xmlns:m='x'><m:MessageBody><![CDATA[<a>]]>&#33;</m:MessageBody><E/></m:Message>")
            .unwrap();
        assert_eq!(root.text_of("MessageBody"), Some("<a>!"));
        assert_eq!(root.text_of("E"), Some(""));
    }

    #[test]
    fn what_is_not_one_document_is_refused() {
        let deep = "<a>".repeat(1000);
        for bad in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a>&nope;</a>",
            "<a>&#1;</a>",
            "<!DOCTYPE a><a/>",
            &deep,
        ] {
            assert!(Element::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(Element::parse(&[b'<', b'a', b'>', 0xFF]).is_err());
    }
}
