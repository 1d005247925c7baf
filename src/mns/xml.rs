//! MNS answers from XML and MNS request bodies to XML.
//!
//! quick-xml reads the structure. Two things are done beside it, because they are where the time goes: the text of a
//! leaf is one raw span that is unescaped in one pass (quick-xml 0.42 makes an event of every `&quot;`, of which a JSON
//! body has hundreds), and a message of nothing but `<Name>text</Name>` is taken whole. What does not look exactly like
//! that goes through quick-xml's events. `tests/mns_xml.rs` holds this reader against plain quick-xml.
//!
//! An answer is decoded by its root element, never by the HTTP status: a 404 may be an empty queue, a missing queue or
//! a partial batch deletion. Elements match by local name in any namespace, and unknown elements are skipped, as the
//! official SDKs do.

mod batch;
mod cursor;
mod malformed;
mod tag;
mod text;
mod write;

use std::time::Duration;

use self::batch::Fields;
use self::cursor::{Child, Cursor};
use self::tag::Tag;
use super::QueueAttributes;
use crate::clock::UnixMillis;

pub use self::batch::MessageBatch;
pub use self::malformed::{Malformed, Problem};
pub use self::write::{Unsendable, delete_batch, escape, send, send_batch};

/// What `<Message>` and `<Messages>` mean in an answer, and thus which of their elements must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Received messages: everything, with a receipt handle.
    Received,
    /// Peeked messages: no receipt handle.
    Peeked,
    /// The reply to messages that were sent: ids, or an error for each that failed.
    Sent,
    /// No messages at all.
    NoMessages,
}

/// An MNS answer, by its root element.
#[derive(Debug)]
pub enum Answer {
    /// `Message` or `Messages` of a receive or a peek.
    Messages(MessageBatch),
    /// `Message` or `Messages` of a send, in the order sent.
    Sent(Vec<Result<SentMessage, EntryError>>),
    /// `Queue`.
    Queue(QueueAttributes),
    /// `Queues`: one page of queues, and the marker of the next page.
    Queues(Vec<QueueAttributes>, Option<String>),
    /// `ChangeVisibility`.
    ChangeVisibility(ChangedVisibility),
    /// `Error`: the whole request failed.
    Error(ServiceError),
    /// `Errors`: those entries of a batch that failed.
    Errors(Vec<EntryError>),
}

/// A message that MNS accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentMessage {
    /// Opaque id, unique in its queue.
    pub id: String,
    /// Upper-case hex MD5 of the body as stored.
    pub body_md5: String,
    /// Only of a delayed message: deletes it before it is due.
    pub receipt_handle: Option<String>,
}

/// One failed entry of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryError {
    /// MNS's code.
    pub code: String,
    /// MNS's explanation.
    pub message: String,
    /// The handle as it was sent; none when sending failed.
    pub receipt_handle: Option<String>,
}

/// What MNS says when it refuses a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceError {
    /// MNS's code, such as `QueueNotExist`.
    pub code: String,
    /// MNS's explanation.
    pub message: String,
    /// The id that the vendor's support asks for.
    pub request_id: String,
}

/// The receipt handle that replaces the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedVisibility {
    /// The only valid handle from now on.
    pub receipt_handle: String,
    /// When the message becomes visible again.
    pub next_visible_time: UnixMillis,
}

/// Reads an answer.
pub fn parse(answer: Vec<u8>, expected: Expected) -> Result<Answer, Malformed> {
    let text = String::from_utf8(answer)
        .map_err(|error| Malformed::new(Problem::NotUtf8, error.utf8_error().valid_up_to()))?;
    let mut cursor = Cursor::new(&text);
    let root = cursor.root()?;
    let read = match (root.tag, expected) {
        (Tag::Messages | Tag::Message, Expected::Received | Expected::Peeked) => {
            let received = expected == Expected::Received;
            let spans = read_messages(&mut cursor, &root, |fields, _, at| {
                fields.into_spans(received, at)
            })?;
            cursor.finish()?;
            let unescaped = cursor.into_unescaped();
            return Ok(Answer::Messages(MessageBatch::new(text, unescaped, spans)));
        }
        (Tag::Messages | Tag::Message, Expected::Sent) => {
            Answer::Sent(read_messages(&mut cursor, &root, Fields::into_sent)?)
        }
        (Tag::Queue, _) => Answer::Queue(read_queue(&mut cursor, &root)?),
        (Tag::Queues, _) => read_queues(&mut cursor, &root)?,
        (Tag::ChangeVisibility, _) => read_changed_visibility(&mut cursor, &root)?,
        (Tag::Error, _) => Answer::Error(read_error(&mut cursor, &root)?),
        (Tag::Errors, _) => read_errors(&mut cursor, &root)?,
        _ => return Err(Malformed::new(cursor.unknown_root(), root.at)),
    };
    cursor.finish()?;
    Ok(read)
}

/// Makes something of each message, of which there is one if it is the root itself.
fn read_messages<'a, T>(
    cursor: &mut Cursor<'a>,
    root: &Child<'a>,
    make: impl Fn(Fields, &Cursor<'a>, usize) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    if root.tag == Tag::Message {
        let fields = Fields::read(cursor, root)?;
        return Ok(vec![make(fields, cursor, root.at)?]);
    }
    let mut messages = Vec::with_capacity(16);
    loop {
        while let Some((fields, at)) = Fields::read_plain(cursor) {
            messages.push(make(fields, cursor, at)?);
        }
        let Some(child) = cursor.child(root)? else {
            return Ok(messages);
        };
        if child.tag == Tag::Message {
            let fields = Fields::read(cursor, &child)?;
            messages.push(make(fields, cursor, child.at)?);
        } else {
            cursor.skip(&child)?;
        }
    }
}

fn read_queues<'a>(cursor: &mut Cursor<'a>, root: &Child<'a>) -> Result<Answer, Malformed> {
    let (mut queues, mut marker) = (Vec::new(), None);
    while let Some(child) = cursor.child(root)? {
        match child.tag {
            Tag::Queue => queues.push(read_queue(cursor, &child)?),
            Tag::NextMarker => cursor.string(&child, &mut marker)?,
            _ => cursor.skip(&child)?,
        }
    }
    Ok(Answer::Queues(
        queues,
        marker.filter(|marker| !marker.is_empty()),
    ))
}

fn read_queue<'a>(
    cursor: &mut Cursor<'a>,
    parent: &Child<'a>,
) -> Result<QueueAttributes, Malformed> {
    let (mut name, mut url) = (None, None);
    let mut times: [Option<i64>; 2] = [None; 2];
    let mut seconds: [Option<i64>; 4] = [None; 4];
    let mut counts: [Option<i64>; 4] = [None; 4];
    while let Some(child) = cursor.child(parent)? {
        match child.tag {
            Tag::QueueName => cursor.string(&child, &mut name)?,
            Tag::QueueURL => cursor.string(&child, &mut url)?,
            Tag::CreateTime => cursor.number(&child, &mut times[0])?,
            Tag::LastModifyTime => cursor.number(&child, &mut times[1])?,
            Tag::VisibilityTimeout => cursor.number(&child, &mut seconds[0])?,
            Tag::MessageRetentionPeriod => cursor.number(&child, &mut seconds[1])?,
            Tag::DelaySeconds => cursor.number(&child, &mut seconds[2])?,
            Tag::PollingWaitSeconds => cursor.number(&child, &mut seconds[3])?,
            Tag::MaximumMessageSize => cursor.number(&child, &mut counts[0])?,
            Tag::ActiveMessages => cursor.number(&child, &mut counts[1])?,
            Tag::InactiveMessages => cursor.number(&child, &mut counts[2])?,
            Tag::DelayMessages => cursor.number(&child, &mut counts[3])?,
            _ => cursor.skip(&child)?,
        }
    }
    // A queue of a list carries its name as the last segment of its URL.
    let name = name.or_else(|| url?.rsplit('/').next().map(str::to_owned));
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
        Malformed::new(Problem::Missing(Tag::QueueName.name(), "Queue"), parent.at)
    })?;
    let [create_time, last_modify_time] = times.map(|time| time.map(UnixMillis::from_secs));
    let [
        visibility_timeout,
        message_retention_period,
        delay,
        polling_wait,
    ] = seconds.map(|secs| secs.map(seconds_from));
    let [
        maximum_message_size,
        active_messages,
        inactive_messages,
        delay_messages,
    ] = counts.map(|count| count.map(|count| u64::try_from(count).unwrap_or(0)));
    Ok(QueueAttributes {
        name,
        create_time,
        last_modify_time,
        visibility_timeout,
        message_retention_period,
        delay,
        polling_wait,
        maximum_message_size,
        active_messages,
        inactive_messages,
        delay_messages,
    })
}

fn read_changed_visibility<'a>(
    cursor: &mut Cursor<'a>,
    root: &Child<'a>,
) -> Result<Answer, Malformed> {
    let (mut handle, mut next) = (None, None);
    while let Some(child) = cursor.child(root)? {
        match child.tag {
            Tag::ReceiptHandle => cursor.string(&child, &mut handle)?,
            Tag::NextVisibleTime => cursor.number(&child, &mut next)?,
            _ => cursor.skip(&child)?,
        }
    }
    let missing =
        |tag: Tag| Malformed::new(Problem::Missing(tag.name(), "ChangeVisibility"), root.at);
    Ok(Answer::ChangeVisibility(ChangedVisibility {
        receipt_handle: handle.ok_or_else(|| missing(Tag::ReceiptHandle))?,
        next_visible_time: next
            .map(UnixMillis)
            .ok_or_else(|| missing(Tag::NextVisibleTime))?,
    }))
}

fn read_error<'a>(cursor: &mut Cursor<'a>, root: &Child<'a>) -> Result<ServiceError, Malformed> {
    let (mut code, mut message, mut request_id) = (None, None, None);
    while let Some(child) = cursor.child(root)? {
        match child.tag {
            Tag::Code => cursor.string(&child, &mut code)?,
            Tag::Message => cursor.string(&child, &mut message)?,
            Tag::RequestId => cursor.string(&child, &mut request_id)?,
            _ => cursor.skip(&child)?,
        }
    }
    Ok(ServiceError {
        code: code
            .ok_or_else(|| Malformed::new(Problem::Missing(Tag::Code.name(), "Error"), root.at))?,
        message: message.unwrap_or_default(),
        request_id: request_id.unwrap_or_default(),
    })
}

fn read_errors<'a>(cursor: &mut Cursor<'a>, root: &Child<'a>) -> Result<Answer, Malformed> {
    let mut entries = Vec::new();
    while let Some(entry) = cursor.child(root)? {
        if entry.tag != Tag::Error {
            cursor.skip(&entry)?;
            continue;
        }
        let (mut code, mut message, mut receipt_handle) = (None, None, None);
        while let Some(child) = cursor.child(&entry)? {
            match child.tag {
                Tag::ErrorCode => cursor.string(&child, &mut code)?,
                Tag::ErrorMessage => cursor.string(&child, &mut message)?,
                Tag::ReceiptHandle => cursor.string(&child, &mut receipt_handle)?,
                _ => cursor.skip(&child)?,
            }
        }
        entries.push(EntryError {
            code: code.ok_or_else(|| {
                Malformed::new(Problem::Missing(Tag::ErrorCode.name(), "Error"), entry.at)
            })?,
            message: message.unwrap_or_default(),
            receipt_handle,
        });
    }
    Ok(Answer::Errors(entries))
}

/// A duration that no later addition to an instant can overflow, whatever the answer said.
fn seconds_from(secs: i64) -> Duration {
    Duration::from_secs(u64::from(u32::try_from(secs.max(0)).unwrap_or(u32::MAX)))
}

// === impl Answer ===

impl Answer {
    /// The kind of answer, for errors about an answer to another question.
    pub fn root(&self) -> &'static str {
        match self {
            Self::Messages(_) | Self::Sent(_) => "Messages",
            Self::Queue(_) => "Queue",
            Self::Queues(..) => "Queues",
            Self::ChangeVisibility(_) => "ChangeVisibility",
            Self::Error(_) => "Error",
            Self::Errors(_) => "Errors",
        }
    }
}

#[cfg(test)]
mod tests;
