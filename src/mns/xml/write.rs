//! Request bodies.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

const XMLNS: &str = "http://mns.aliyuncs.com/doc/v1/";

/// A character that XML 1.0 cannot carry, not even escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "U+{:04X} at byte {position} cannot be sent: XML has no way to write it; encode the text in base64",
    u32::from(*character)
)]
pub struct Unsendable {
    /// Which.
    pub character: char,
    /// Where in the text.
    pub position: usize,
}

/// The body of `SendMessage`.
pub fn send(
    body: &str,
    delay: Option<Duration>,
    priority: Option<u8>,
) -> Result<String, Unsendable> {
    let mut xml = String::with_capacity(body.len() + 256);
    push_message(
        &mut xml,
        &format!("<Message xmlns=\"{XMLNS}\">"),
        body,
        delay,
        priority,
    )?;
    Ok(xml)
}

/// The body of `BatchSendMessage`.
pub fn send_batch<'a>(
    messages: impl IntoIterator<Item = (&'a str, Option<Duration>, Option<u8>)>,
) -> Result<String, Unsendable> {
    let mut xml = format!("<Messages xmlns=\"{XMLNS}\">");
    for (body, delay, priority) in messages {
        push_message(&mut xml, "<Message>", body, delay, priority)?;
    }
    xml.push_str("</Messages>");
    Ok(xml)
}

/// The body of `BatchDeleteMessage`.
pub fn delete_batch<'a>(
    receipt_handles: impl IntoIterator<Item = &'a str>,
) -> Result<String, Unsendable> {
    let mut xml = format!("<ReceiptHandles xmlns=\"{XMLNS}\">");
    for handle in receipt_handles {
        xml.push_str("<ReceiptHandle>");
        xml.push_str(&escape(handle)?);
        xml.push_str("</ReceiptHandle>");
    }
    xml.push_str("</ReceiptHandles>");
    Ok(xml)
}

/// Escapes text so that an XML reader gives it back unchanged, line ends included.
pub fn escape(text: &str) -> Result<Cow<'_, str>, Unsendable> {
    let needs_work =
        |char: char| matches!(char, '&' | '<' | '>' | '"' | '\'' | '\r') || is_refused(char);
    if !text.contains(needs_work) {
        return Ok(Cow::Borrowed(text));
    }
    let mut escaped = String::with_capacity(text.len() + text.len() / 8 + 16);
    for (position, character) in text.char_indices() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // A bare one would come back as a line feed.
            '\r' => escaped.push_str("&#13;"),
            _ if is_refused(character) => {
                return Err(Unsendable {
                    character,
                    position,
                });
            }
            _ => escaped.push(character),
        }
    }
    Ok(Cow::Owned(escaped))
}

fn push_message(
    xml: &mut String,
    open: &str,
    body: &str,
    delay: Option<Duration>,
    priority: Option<u8>,
) -> Result<(), Unsendable> {
    xml.push_str(open);
    xml.push_str("<MessageBody>");
    xml.push_str(&escape(body)?);
    xml.push_str("</MessageBody>");
    if let Some(delay) = delay {
        _ = write!(xml, "<DelaySeconds>{}</DelaySeconds>", delay.as_secs());
    }
    if let Some(priority) = priority {
        _ = write!(xml, "<Priority>{priority}</Priority>");
    }
    xml.push_str("</Message>");
    Ok(())
}

fn is_refused(char: char) -> bool {
    matches!(char, '\u{0}'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
}
