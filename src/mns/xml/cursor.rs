//! Walks an answer element by element.

use memchr::{memchr, memchr2};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::malformed::{Malformed, Problem};
use super::tag::Tag;
use super::text::{self, Span};

/// No MNS answer is deeper than 5.
const MAX_DEPTH: usize = 32;

/// Where we are in an answer.
///
/// The reader is over what is left of the text, and whatever is taken beside it is cut off its input. So its own
/// offset is meaningless, and positions come from what is left.
pub(super) struct Cursor<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    depth: usize,
    unescaped: Vec<u8>,
}

/// An element whose start has been read.
pub(super) struct Child<'a> {
    pub(super) tag: Tag,
    /// Where its tag starts.
    pub(super) at: usize,
    content: Content<'a>,
}

enum Content<'a> {
    /// All of it.
    Raw(Raw<'a>),
    /// Still to be read from the cursor.
    Open,
}

/// Text as it stands in the answer: free of markup, and still escaped.
#[derive(Clone, Copy, Default)]
struct Raw<'a> {
    start: usize,
    text: &'a str,
    /// Whether it has a `&`.
    escaped: bool,
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            reader: Reader::from_str(text),
            depth: 0,
            unescaped: Vec::new(),
        }
    }

    /// The root element.
    pub(super) fn root(&mut self) -> Result<Child<'a>, Malformed> {
        loop {
            let at = self.position();
            let (tag, content) = match self.event()? {
                Event::Start(start) => (Tag::of(start.local_name().as_ref()), Content::Open),
                Event::Empty(start) => (
                    Tag::of(start.local_name().as_ref()),
                    Content::Raw(Raw::default()),
                ),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => continue,
                Event::Text(text) if is_blank(&text) => continue,
                Event::DocType(_) => return Err(Malformed::new(Problem::Doctype, at)),
                Event::Eof => return Err(Malformed::new(Problem::Empty, at)),
                _ => return Err(Malformed::new(Problem::StrayText, at)),
            };
            return Ok(Child { tag, at, content });
        }
    }

    /// The next child of `parent`, or none at its end.
    pub(super) fn child(&mut self, parent: &Child<'a>) -> Result<Option<Child<'a>>, Malformed> {
        if let Content::Raw(raw) = parent.content {
            return if is_blank(raw.text) {
                Ok(None)
            } else {
                Err(Malformed::new(Problem::StrayText, parent.at))
            };
        }
        loop {
            let at = self.position();
            let (tag, content) = match self.event()? {
                Event::Start(start) => (Tag::of(start.local_name().as_ref()), Content::Open),
                Event::Empty(start) => (
                    Tag::of(start.local_name().as_ref()),
                    Content::Raw(Raw::default()),
                ),
                Event::End(_) => return Ok(None),
                Event::Comment(_) | Event::PI(_) => continue,
                Event::Text(text) if is_blank(&text) => continue,
                Event::DocType(_) => return Err(Malformed::new(Problem::Doctype, at)),
                Event::Eof => return Err(Malformed::new(Problem::Truncated, at)),
                _ => return Err(Malformed::new(Problem::StrayText, at)),
            };
            return Ok(Some(Child { tag, at, content }));
        }
    }

    /// Skips what is inside an element nobody asked for.
    pub(super) fn skip(&mut self, child: &Child<'a>) -> Result<(), Malformed> {
        if let Content::Raw(raw) = child.content {
            // Whether a reference in an element nobody reads is well-formed is the reader's to judge.
            return if raw.escaped {
                Err(Malformed::new(
                    Problem::Reference(child.tag.name()),
                    child.at,
                ))
            } else {
                Ok(())
            };
        }
        let outside = self.depth - 1;
        while self.depth > outside {
            let at = self.position();
            match self.event()? {
                Event::DocType(_) => return Err(Malformed::new(Problem::Doctype, at)),
                Event::Eof => return Err(Malformed::new(Problem::Truncated, at)),
                Event::Decl(_) => return Err(Malformed::new(Problem::StrayText, at)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The text of `child`, in `slot`.
    pub(super) fn text(
        &mut self,
        child: &Child<'a>,
        slot: &mut Option<Span>,
    ) -> Result<(), Malformed> {
        if slot.is_some() {
            return Err(Malformed::new(
                Problem::Duplicate(child.tag.name()),
                child.at,
            ));
        }
        let raw = match child.content {
            Content::Raw(raw) => Some(raw),
            Content::Open => self.raw_text()?,
        };
        *slot = Some(match raw {
            Some(raw) => self.unescape(raw, child)?,
            None => self.mixed_text(child)?,
        });
        Ok(())
    }

    /// The text of `child` without surrounding white space, in `slot`.
    pub(super) fn string(
        &mut self,
        child: &Child<'a>,
        slot: &mut Option<String>,
    ) -> Result<(), Malformed> {
        let mut span = slot.as_ref().map(|_| Span::default());
        self.text(child, &mut span)?;
        *slot = span.map(|span| self.resolve(span).trim_ascii().to_owned());
        Ok(())
    }

    /// The number in `child`, in `slot`; a number beyond `i64` becomes the nearest.
    pub(super) fn number(
        &mut self,
        child: &Child<'a>,
        slot: &mut Option<i64>,
    ) -> Result<(), Malformed> {
        let bad = || Malformed::new(Problem::NotANumber(child.tag.name()), child.at);
        if let (Content::Raw(raw), None) = (&child.content, &slot)
            && !raw.escaped
        {
            *slot = Some(parse_number(raw.text).ok_or_else(bad)?);
            return Ok(());
        }
        let mut span = slot.map(|_| Span::default());
        self.text(child, &mut span)?;
        *slot = Some(parse_number(self.resolve(span.unwrap_or_default())).ok_or_else(bad)?);
        Ok(())
    }

    /// What `span` stands for.
    pub(super) fn resolve(&self, span: Span) -> &str {
        let range = span.start..span.end;
        if span.unescaped {
            let text = self.unescaped.get(range).unwrap_or_default();
            std::str::from_utf8(text).unwrap_or_default()
        } else {
            self.text.get(range).unwrap_or_default()
        }
    }

    /// Makes sure that nothing follows the root element.
    pub(super) fn finish(&mut self) -> Result<(), Malformed> {
        loop {
            let at = self.position();
            match self.event()? {
                Event::Eof => return Ok(()),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if is_blank(&text) => {}
                _ => return Err(Malformed::new(Problem::Trailing, at)),
            }
        }
    }

    /// All values that had to be unescaped.
    pub(super) fn into_unescaped(self) -> String {
        String::from_utf8(self.unescaped)
            .unwrap_or_else(|_| unreachable!("only whole characters are put there"))
    }

    /// Names the root element that has just been read, shortened.
    pub(super) fn unknown_root(&self) -> Problem {
        let read = self.text.get(..self.position()).unwrap_or_default();
        let tag = read.rsplit('<').next().unwrap_or_default();
        let name = tag.split(|c: char| c.is_whitespace() || c == '>' || c == '/');
        let name = name.into_iter().next().unwrap_or_default();
        Problem::Root(name.chars().filter(|c| !c.is_control()).take(32).collect())
    }

    fn position(&self) -> usize {
        self.text.len() - self.reader.get_ref().len()
    }

    fn event(&mut self) -> Result<Event<'a>, Malformed> {
        let at = self.position();
        let event = self
            .reader
            .read_event()
            .map_err(|error| Malformed::new(Problem::from_reader(&error), at))?;
        match event {
            Event::Start(_) if self.depth == MAX_DEPTH => {
                return Err(Malformed::new(Problem::TooDeep(MAX_DEPTH), at));
            }
            Event::Start(_) => self.depth += 1,
            Event::End(_) => self.depth -= 1,
            _ => {}
        }
        Ok(event)
    }

    /// Takes `open` with everything up to `close` if all of it is `<Name>text</Name>` with known names, as MNS writes it,
    /// and gives each such leaf to `take`. Otherwise, or if `take` finds a fault, nothing is taken: attributes, prefixes,
    /// comments, CDATA, unknown elements and all faults are left to the reader.
    pub(super) fn plain_element(
        &mut self,
        open: &str,
        close: &str,
        mut take: impl FnMut(&mut Self, &Child<'a>) -> Result<(), Malformed>,
    ) -> Option<usize> {
        if self.depth == 0 {
            // After an empty root: what follows is not inside of it.
            return None;
        }
        let start: &'a [u8] = skip_blank(self.reader.get_ref());
        let mut rest = start.strip_prefix(open.as_bytes())?;
        loop {
            rest = skip_blank(rest);
            if let Some(after) = rest.strip_prefix(close.as_bytes()) {
                *self.reader.get_mut() = after;
                return Some(self.text.len() - start.len());
            }
            let (leaf, after) = self.leaf(rest)?;
            take(self, &leaf).ok()?;
            rest = after;
        }
    }

    /// The leaf that `rest`, a tail of the text, starts with, and what follows it.
    #[inline]
    fn leaf(&self, rest: &'a [u8]) -> Option<(Child<'a>, &'a [u8])> {
        let (tag, close) = Tag::at(rest)?;
        let inside = rest.get(close.len() - 1..)?;
        let mut len = memchr2(b'<', b'&', inside)?;
        let escaped = inside.get(len) == Some(&b'&');
        if escaped {
            len += memchr(b'<', inside.get(len..)?)?;
        }
        let after = inside.get(len..)?.strip_prefix(close.as_bytes())?;
        let leaf = Child {
            tag,
            at: self.text.len() - rest.len(),
            content: Content::Raw(self.head(inside, len, escaped)),
        };
        Some((leaf, after))
    }

    /// The first `len` bytes of `rest`, a tail of the text.
    fn head(&self, rest: &[u8], len: usize, escaped: bool) -> Raw<'a> {
        let start = self.text.len() - rest.len();
        Raw {
            start,
            text: self.text.get(start..start + len).unwrap_or_default(),
            escaped,
        }
    }

    /// After a start tag: the text up to an end tag, which the reader then checks; none if other markup comes first.
    fn raw_text(&mut self) -> Result<Option<Raw<'a>>, Malformed> {
        let rest: &'a [u8] = self.reader.get_ref();
        let len = memchr(b'<', rest).unwrap_or(rest.len());
        let Some(end @ [b'<', b'/', ..]) = rest.get(len..) else {
            return Ok(None);
        };
        let escaped = memchr(b'&', rest.get(..len).unwrap_or_default()).is_some();
        let raw = self.head(rest, len, escaped);
        *self.reader.get_mut() = end;
        self.event()?;
        Ok(Some(raw))
    }

    fn unescape(&mut self, raw: Raw<'a>, child: &Child<'a>) -> Result<Span, Malformed> {
        if !raw.escaped {
            return Ok(Span {
                start: raw.start,
                end: raw.start + raw.text.len(),
                unescaped: false,
            });
        }
        if self.unescaped.capacity() == 0 {
            // References are longer than what they stand for, so this is all that can still come.
            let raw_and_rest = self.text.len() - child.at;
            self.unescaped.reserve(raw_and_rest);
        }
        let start = self.unescaped.len();
        text::unescape_into(raw.text, &mut self.unescaped)
            .map_err(|_| Malformed::new(Problem::Reference(child.tag.name()), child.at))?;
        Ok(Span {
            start,
            end: self.unescaped.len(),
            unescaped: true,
        })
    }

    /// Text with CDATA or comments in it, event by event.
    fn mixed_text(&mut self, child: &Child<'a>) -> Result<Span, Malformed> {
        let start = self.unescaped.len();
        loop {
            let at = self.position();
            match self.event()? {
                Event::Text(text) => self.unescaped.extend_from_slice(text.as_bytes()),
                Event::CData(text) => self.unescaped.extend_from_slice(text.as_bytes()),
                Event::GeneralRef(name) => {
                    let char = text::resolve(&name)
                        .ok_or_else(|| Malformed::new(Problem::Reference(child.tag.name()), at))?;
                    let mut buffer = [0; 4];
                    self.unescaped
                        .extend_from_slice(char.encode_utf8(&mut buffer).as_bytes());
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::End(_) => {
                    return Ok(Span {
                        start,
                        end: self.unescaped.len(),
                        unescaped: true,
                    });
                }
                Event::Eof => return Err(Malformed::new(Problem::Truncated, at)),
                Event::DocType(_) => return Err(Malformed::new(Problem::Doctype, at)),
                Event::Start(_) | Event::Empty(_) | Event::Decl(_) => {
                    return Err(Malformed::new(Problem::Nested(child.tag.name()), at));
                }
            }
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_blank(rest: &[u8]) -> &[u8] {
    let blank = rest.iter().take_while(|byte| is_space(**byte)).count();
    rest.get(blank..).unwrap_or_default()
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(is_space)
}

fn parse_number(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    let (digits, negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let limit = if negative { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(limit))
}
