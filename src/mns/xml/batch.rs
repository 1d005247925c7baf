//! Messages as spans of the answer they came in.

use std::fmt;

use super::cursor::{Child, Cursor};
use super::malformed::{Malformed, Problem};
use super::tag::Tag;
use super::text::Span;
use super::{EntryError, SentMessage};
use crate::clock::UnixMillis;
use crate::mns::Message;

/// The messages of one answer. Owns the answer, so that its messages borrow what needed no unescaping.
#[derive(Clone)]
pub struct MessageBatch {
    text: String,
    unescaped: String,
    messages: Vec<Spans>,
}

#[derive(Clone)]
pub(super) struct Spans {
    id: Span,
    receipt_handle: Option<Span>,
    body: Span,
    body_md5: Span,
    enqueue_time: i64,
    first_dequeue_time: i64,
    next_visible_time: Option<i64>,
    dequeue_count: u32,
    priority: u8,
}

/// A `<Message>` as far as it is there.
#[derive(Default)]
pub(super) struct Fields {
    id: Option<Span>,
    receipt_handle: Option<Span>,
    body: Option<Span>,
    body_md5: Option<Span>,
    enqueue_time: Option<i64>,
    first_dequeue_time: Option<i64>,
    next_visible_time: Option<i64>,
    dequeue_count: Option<i64>,
    priority: Option<i64>,
    error_code: Option<Span>,
    error_message: Option<Span>,
}

// === impl MessageBatch ===

impl MessageBatch {
    pub(super) fn new(text: String, unescaped: String, messages: Vec<Spans>) -> Self {
        Self {
            text,
            unescaped,
            messages,
        }
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The messages in the order of the answer.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        self.messages.iter().map(|spans| self.message(spans))
    }

    #[cfg(test)]
    pub(super) fn needed_no_unescaping(&self) -> bool {
        self.unescaped.capacity() == 0
    }

    fn message(&self, spans: &Spans) -> Message<'_> {
        Message {
            id: self.resolve(spans.id).trim_ascii(),
            receipt_handle: spans
                .receipt_handle
                .map(|span| self.resolve(span).trim_ascii()),
            body: self.resolve(spans.body),
            body_md5: self.resolve(spans.body_md5).trim_ascii(),
            enqueue_time: UnixMillis(spans.enqueue_time),
            first_dequeue_time: UnixMillis(spans.first_dequeue_time),
            next_visible_time: spans.next_visible_time.map(UnixMillis),
            dequeue_count: spans.dequeue_count,
            priority: spans.priority,
        }
    }

    fn resolve(&self, span: Span) -> &str {
        let text = if span.unescaped {
            &self.unescaped
        } else {
            &self.text
        };
        text.get(span.start..span.end).unwrap_or_default()
    }
}

impl fmt::Debug for MessageBatch {
    /// Tells no bodies, since those may hold anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageBatch")
            .field("messages", &self.messages.len())
            .finish_non_exhaustive()
    }
}

// === impl Fields ===

impl Fields {
    /// The next message if it is written as MNS writes it, and where it starts.
    pub(super) fn read_plain(cursor: &mut Cursor<'_>) -> Option<(Self, usize)> {
        let mut fields = Self::default();
        let at = cursor.plain_element("<Message>", "</Message>", |cursor, child| {
            fields.set(cursor, child)
        })?;
        Some((fields, at))
    }

    /// The message whose start has been read.
    pub(super) fn read<'a>(
        cursor: &mut Cursor<'a>,
        message: &Child<'a>,
    ) -> Result<Self, Malformed> {
        let mut fields = Self::default();
        while let Some(child) = cursor.child(message)? {
            fields.set(cursor, &child)?;
        }
        Ok(fields)
    }

    #[inline]
    fn set<'a>(&mut self, cursor: &mut Cursor<'a>, child: &Child<'a>) -> Result<(), Malformed> {
        match child.tag {
            Tag::MessageId => cursor.text(child, &mut self.id),
            Tag::ReceiptHandle => cursor.text(child, &mut self.receipt_handle),
            Tag::MessageBody => cursor.text(child, &mut self.body),
            Tag::MessageBodyMD5 => cursor.text(child, &mut self.body_md5),
            Tag::EnqueueTime => cursor.number(child, &mut self.enqueue_time),
            Tag::FirstDequeueTime => cursor.number(child, &mut self.first_dequeue_time),
            Tag::NextVisibleTime => cursor.number(child, &mut self.next_visible_time),
            Tag::DequeueCount => cursor.number(child, &mut self.dequeue_count),
            Tag::Priority => cursor.number(child, &mut self.priority),
            Tag::ErrorCode => cursor.text(child, &mut self.error_code),
            Tag::ErrorMessage => cursor.text(child, &mut self.error_message),
            _ => cursor.skip(child),
        }
    }

    /// A message as received or peeked; `at` is where its element starts.
    pub(super) fn into_spans(self, received: bool, at: usize) -> Result<Spans, Malformed> {
        if received && self.receipt_handle.is_none() {
            return Err(missing(Tag::ReceiptHandle, at));
        }
        let dequeue_count = need(self.dequeue_count, Tag::DequeueCount, at)?;
        let priority = need(self.priority, Tag::Priority, at)?;
        Ok(Spans {
            id: need(self.id, Tag::MessageId, at)?,
            receipt_handle: self.receipt_handle,
            body: self.body.unwrap_or_default(),
            body_md5: need(self.body_md5, Tag::MessageBodyMD5, at)?,
            enqueue_time: need(self.enqueue_time, Tag::EnqueueTime, at)?,
            first_dequeue_time: need(self.first_dequeue_time, Tag::FirstDequeueTime, at)?,
            next_visible_time: self.next_visible_time,
            dequeue_count: u32::try_from(dequeue_count.max(0)).unwrap_or(u32::MAX),
            priority: u8::try_from(priority.max(0)).unwrap_or(u8::MAX),
        })
    }

    /// The reply to one message of a send.
    pub(super) fn into_sent(
        self,
        cursor: &Cursor<'_>,
        at: usize,
    ) -> Result<Result<SentMessage, EntryError>, Malformed> {
        let text = |span: Span| cursor.resolve(span).trim_ascii().to_owned();
        if let Some(code) = self.error_code {
            return Ok(Err(EntryError {
                code: text(code),
                message: self.error_message.map(text).unwrap_or_default(),
                receipt_handle: None,
            }));
        }
        Ok(Ok(SentMessage {
            id: text(need(self.id, Tag::MessageId, at)?),
            body_md5: text(need(self.body_md5, Tag::MessageBodyMD5, at)?),
            receipt_handle: self.receipt_handle.map(text),
        }))
    }
}

fn need<T>(value: Option<T>, tag: Tag, at: usize) -> Result<T, Malformed> {
    value.ok_or_else(|| missing(tag, at))
}

fn missing(tag: Tag, at: usize) -> Malformed {
    Malformed::new(Problem::Missing(tag.name(), Tag::Message.name()), at)
}
