//! What readers of the ledger get: one consistent copy of committed state.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::counts::Counts;
use super::verdict::{Stage, Verdict};
use crate::clock::UnixMillis;
use crate::vod::event::Undecodable;

/// How a queue is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Looks without changing anything; an incomplete view.
    Peek,
    /// Receives and deletes; a complete view while it is the only consumer.
    Consume,
}

/// What the queue is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// VOD pushes callbacks into it.
    #[default]
    Callback,
    /// Another queue's dead-letter queue.
    DeadLetter,
}

/// Who a queue is: the labels of `mns_queue_info`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
pub struct QueueIdentity {
    /// The configured id, value of the label `queue`.
    pub id: Arc<str>,
    /// The name in MNS.
    pub mns_queue: Arc<str>,
    /// The endpoint's URL, without trailing slash.
    pub endpoint: Arc<str>,
    /// Account id, the first label of the endpoint's host; empty where the host has none.
    pub account: Arc<str>,
    /// Region, from the endpoint's host or the config; empty if unknown.
    pub region: Arc<str>,
    /// How it is read.
    pub mode: Mode,
    /// What it is for.
    pub role: Role,
}

/// A consistent copy of everything that is committed.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Queues in the order of their ids.
    pub queues: Vec<QueueSnapshot>,
    /// Rows dropped because a table was full, by table; every known table is listed.
    pub evictions: Vec<(&'static str, u64)>,
    /// Groups of records that the store has made durable (0 for the memory store: nothing is durable).
    pub commits: u64,
    /// Whether the store survives a restart.
    pub durable: bool,
    /// Bytes that the store holds on disk; none for the memory store.
    pub state_bytes: Option<u64>,
    /// Messages kept in quarantine, oldest first.
    pub quarantine: Vec<QuarantineEntry>,
}

/// One queue: its durable counters, and its live gauges, which are absent while unknown.
#[derive(Clone, Debug)]
pub struct QueueSnapshot {
    /// Who it is.
    pub identity: Arc<QueueIdentity>,
    /// Durable counters.
    pub counts: Counts,
    /// Last read succeeded; none before the first read ended.
    pub up: Option<bool>,
    /// Why the last read failed, a bounded kind; none while it succeeds.
    pub last_error: Option<&'static str>,
    /// Approximate depths: active, inactive, delayed; none when unreadable or not trusted.
    pub depth: Option<[u64; 3]>,
    /// Whether the depth counters can be believed; none before any evidence.
    pub depth_trusted: Option<bool>,
    /// EnqueueTime of the oldest message known; none when empty or unknown.
    pub oldest_message: Option<UnixMillis>,
    /// The last read found nothing; none before the first, and while the queue cannot be read.
    pub empty: Option<bool>,
    /// Last evidence that somebody dequeues.
    pub progress: Option<UnixMillis>,
    /// From the queue's attributes.
    pub retention: Option<Duration>,
    /// From the queue's attributes.
    pub visibility_timeout: Option<Duration>,
    /// Largest DequeueCount among visible messages.
    pub dequeue_count_max: Option<u32>,
    /// Largest EnqueueTime of an event.
    pub last_event: Option<UnixMillis>,
    /// Since when silence can be judged; none unless the view is complete.
    pub watched_since: Option<UnixMillis>,
    /// Whether the exporter sees every message; false in peek.
    pub view_complete: bool,
    /// Up to which instant all messages enqueued have been seen; none before evidence.
    pub observed_until: Option<UnixMillis>,
    /// Transcodes under way; none where nothing can be said of them (peek without access to VOD).
    pub transcodes: Option<Transcodes>,
    /// Messages received and not yet deleted.
    pub pending: u64,
    /// When the last read ended, in server time.
    pub last_tick: Option<UnixMillis>,
}

/// The transcodes of one queue that have not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcodes {
    /// VOD is asked about those that are overdue.
    pub reconciled: bool,
    /// How many, overdue and stalled ones included.
    pub in_flight: u64,
    /// When the oldest of them started.
    pub oldest: Option<UnixMillis>,
    /// How many are past their deadline, by [`Verdict::index`].
    pub overdue: [u64; Verdict::COUNT],
    /// How many are stalled, by [`Stage::index`].
    pub stalled: [u64; Stage::COUNT],
}

/// Why a message is in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub enum QuarantineReason {
    /// It could not be decoded.
    Undecodable(Undecodable),
    /// The queue that it was to be passed on to refused it for good.
    ForwardRefused,
}

/// A message kept for inspection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct QuarantineEntry {
    /// Number of the entry, never used again.
    pub number: u64,
    /// Configured id of the queue.
    pub queue: Arc<str>,
    /// Why it is here.
    pub reason: QuarantineReason,
    /// When it was put here, in server time.
    pub at: UnixMillis,
    /// EnqueueTime of the message.
    pub enqueue_time: UnixMillis,
    /// MNS's MessageId.
    pub message_id: Box<str>,
    /// Size of the body as stored in MNS, in bytes.
    pub size: u64,
    /// The body as stored in MNS; none once dropped.
    pub body: Arc<str>,
}

// === impl QuarantineReason ===

impl QuarantineReason {
    /// A bounded name: that of the [`Undecodable`], or `forward_refused`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable(reason) => reason.as_str(),
            Self::ForwardRefused => "forward_refused",
        }
    }
}
