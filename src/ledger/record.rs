//! Everything that can change the ledger, as it is written to the journal.
//!
//! A record carries all that its application needs, time included: replaying the same records in the same order gives
//! the same ledger.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::snapshot::QueueIdentity;
use super::verdict::Judgement;
use crate::clock::UnixMillis;
use crate::vod::event::{Event, MediaKey, Undecodable};

/// A queue's place in the ledger, the same after a restart with the same state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueIndex(pub u32);

/// MNS's MessageId, hashed to 128 bits; unique within its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageKey(pub u128);

/// A decoded body, hashed to 128 bits: equal for two messages that say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContentKey(pub u128);

/// Which event counts the output streams of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamsFrom {
    /// `StreamTranscodeComplete`, one per stream.
    #[default]
    Events,
    /// The `StreamInfos` of `TranscodeComplete`, where stream events are not subscribed.
    Summary,
}

/// How the ledger understands a queue's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSettings {
    /// Which event counts output streams.
    pub streams_from: StreamsFrom,
    /// When a transcode is overdue.
    pub transcodes: TranscodeSettings,
}

/// When a transcode is overdue, and what is expected of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscodeSettings {
    /// What every transcode is granted.
    pub base: Duration,
    /// What it is granted for each second of media, in thousandths of a second.
    pub factor_millis: u32,
    /// What it is granted while the media's duration is unknown.
    pub unknown_duration: Duration,
    /// When nobody waits for it any more.
    pub abandon_after: Duration,
    /// Every upload is transcoded: one that is not is stalled even before a stream of it was seen.
    pub expect_every_upload: bool,
    /// From upload to the first good stream, a bound of [`TRANSCODE_BOUNDS`](super::counts::TRANSCODE_BOUNDS).
    pub playable_objective: Duration,
    /// VOD can be asked about overdue transcodes.
    pub reconciled: bool,
    /// At most so many videos are remembered, ended ones included.
    pub max_videos: u32,
}

/// One delivery of a message, or one look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Which message.
    pub message: MessageKey,
    /// When MNS accepted it.
    pub enqueue_time: UnixMillis,
    /// When it was first received; equals `enqueue_time` while it never was.
    pub first_dequeue_time: UnixMillis,
    /// When it becomes visible again; none when peeked.
    pub next_visible_time: Option<UnixMillis>,
    /// How often it has been received, this time included.
    pub dequeue_count: u32,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// A callback.
    Event {
        /// The callback, decoded.
        event: Event,
        /// Its body, hashed.
        key: ContentKey,
    },
    /// Something else, kept for quarantine.
    Undecodable {
        /// Why it could not be decoded.
        reason: Undecodable,
        /// MNS's MessageId.
        message_id: Box<str>,
        /// The body as stored in MNS.
        body: Arc<str>,
    },
}

/// A message that a forward target refused for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which message.
    pub message: MessageKey,
    /// MNS's MessageId.
    pub message_id: Box<str>,
    /// When MNS accepted it.
    pub enqueue_time: UnixMillis,
    /// The body as stored in MNS.
    pub body: Arc<str>,
}

/// One change of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A queue is watched from now on; a row of the same endpoint and name continues.
    Opened {
        /// Its place.
        queue: QueueIndex,
        /// Who it is.
        identity: Arc<QueueIdentity>,
        /// How its messages are understood.
        settings: QueueSettings,
        /// Server time.
        at: UnixMillis,
    },
    /// A queue is no longer watched; its counters stay for 30 days.
    Closed {
        /// Its place.
        queue: QueueIndex,
        /// Server time.
        at: UnixMillis,
    },
    /// The queue's retention became known or changed.
    Retention {
        /// Its place.
        queue: QueueIndex,
        /// For how long MNS keeps a message.
        retention: Duration,
    },
    /// Messages were received or peeked.
    Sighted {
        /// Where.
        queue: QueueIndex,
        /// Server time.
        at: UnixMillis,
        /// Which.
        sightings: Vec<Sighting>,
    },
    /// MNS confirmed that messages are deleted.
    Deleted {
        /// Where.
        queue: QueueIndex,
        /// Server time.
        at: UnixMillis,
        /// Which.
        messages: Vec<MessageKey>,
    },
    /// A queue's messages were offered to its forward target. Without any message the target's counters start at 0.
    Forwarded {
        /// Where they were received.
        queue: QueueIndex,
        /// Server time.
        at: UnixMillis,
        /// The target's name in MNS.
        target: Arc<str>,
        /// The target took these: they need only be deleted.
        messages: Vec<MessageKey>,
        /// The target refused these for good: they go to quarantine and need only be deleted.
        refused: Vec<Refused>,
        /// How many it did not take and will be offered again.
        failed: u64,
    },
    /// A receive failed in a way that may have dequeued messages unseen: timeout, reset, unreadable answer.
    ReceiveLost {
        /// Where.
        queue: QueueIndex,
        /// When it was sent, server time.
        from: UnixMillis,
        /// When it failed, server time.
        to: UnixMillis,
    },
    /// Every message enqueued up to an instant has been seen.
    Observed {
        /// Where.
        queue: QueueIndex,
        /// Up to when, server time.
        until: UnixMillis,
    },
    /// A peeked queue was read: what was due by then, and of which VOD can be asked, is overdue.
    Ticked {
        /// Where.
        queue: QueueIndex,
        /// Server time.
        at: UnixMillis,
    },
    /// VOD was asked about overdue transcodes.
    Judged {
        /// Where.
        queue: QueueIndex,
        /// Server time.
        at: UnixMillis,
        /// What its answers mean.
        judgements: Vec<Judgement>,
    },
    /// VOD lists videos that it transcodes, whose uploads may have gone unseen.
    Swept {
        /// Where.
        queue: QueueIndex,
        /// Server time.
        at: UnixMillis,
        /// Each video, and since when it exists.
        videos: Vec<(MediaKey, UnixMillis)>,
    },
    /// A process begins: no queue is watched until it is opened again.
    Started {
        /// Cap of the bodies in quarantine.
        quarantine_bytes: u64,
    },
    /// Messages may have been lost unseen before an instant: with the queue, or to its retention.
    Gap {
        /// Where.
        queue: QueueIndex,
        /// From when on messages are seen again, server time.
        until: UnixMillis,
    },
}

// === impl Record ===

impl Record {
    /// When it happened, server time; none where nothing says so.
    pub fn at(&self) -> Option<UnixMillis> {
        match self {
            Self::Opened { at, .. }
            | Self::Closed { at, .. }
            | Self::Sighted { at, .. }
            | Self::Deleted { at, .. }
            | Self::Forwarded { at, .. }
            | Self::Ticked { at, .. }
            | Self::Judged { at, .. }
            | Self::Swept { at, .. } => Some(*at),
            Self::ReceiveLost { to, .. } => Some(*to),
            Self::Observed { .. }
            | Self::Retention { .. }
            | Self::Started { .. }
            | Self::Gap { .. } => None,
        }
    }
}

// === impl TranscodeSettings ===

impl Default for TranscodeSettings {
    fn default() -> Self {
        Self {
            base: Duration::from_mins(15),
            factor_millis: 2_000,
            unknown_duration: Duration::from_hours(1),
            abandon_after: Duration::from_hours(48),
            expect_every_upload: false,
            playable_objective: Duration::from_mins(10),
            reconciled: false,
            max_videos: 200_000,
        }
    }
}

// === impl MessageKey ===

impl MessageKey {
    /// The key of an MNS MessageId.
    pub fn of(message_id: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(message_id.as_bytes()))
    }
}
