//! The MNS (Simple Message Queue) wire protocol: typed calls, typed answers, typed errors.
//!
//! Knows nothing of VOD's events or of metrics.

pub mod client;
pub mod error;
pub mod retry;
pub mod xml;

use std::time::Duration;

use crate::clock::UnixMillis;

pub use self::client::{Client, ClientConfig, Observer, Operation};
pub use self::error::Error;
pub use self::xml::MessageBatch;

/// A message as received or peeked; text is borrowed from the answer where it needed no unescaping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Opaque id, unique in its queue.
    pub id: &'a str,
    /// Opaque handle for deletion; none when peeked.
    pub receipt_handle: Option<&'a str>,
    /// The body as stored, which is base64 if the sender encoded it. Empty where the element is missing.
    pub body: &'a str,
    /// Upper-case hex MD5 of the body as stored.
    pub body_md5: &'a str,
    /// When MNS accepted the message.
    pub enqueue_time: UnixMillis,
    /// When it was first received; equals `enqueue_time` while it never was.
    pub first_dequeue_time: UnixMillis,
    /// When it becomes visible again; none when peeked.
    pub next_visible_time: Option<UnixMillis>,
    /// How often it has been received, this time included.
    pub dequeue_count: u32,
    /// 1 (highest) to 16.
    pub priority: u8,
}

/// What `GetQueueAttributes` and `ListQueue` with metadata tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueAttributes {
    /// Queue name.
    pub name: String,
    /// Creation, precision one second.
    pub create_time: Option<UnixMillis>,
    /// Last change of the attributes, precision one second.
    pub last_modify_time: Option<UnixMillis>,
    /// For how long a received message stays invisible.
    pub visibility_timeout: Option<Duration>,
    /// For how long a message is kept.
    pub message_retention_period: Option<Duration>,
    /// Default delay of a sent message.
    pub delay: Option<Duration>,
    /// Default long poll.
    pub polling_wait: Option<Duration>,
    /// Size limit of a message in bytes.
    pub maximum_message_size: Option<u64>,
    /// Approximate number of visible messages; the vendor retires this counter (it then reads 0).
    pub active_messages: Option<u64>,
    /// Approximate number of received and undeleted messages; retired likewise.
    pub inactive_messages: Option<u64>,
    /// Approximate number of delayed messages; retired likewise.
    pub delay_messages: Option<u64>,
}
