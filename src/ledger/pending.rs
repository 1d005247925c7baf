//! Messages that were received and whose deletion is not confirmed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::record::{ContentKey, MessageKey};
use crate::clock::UnixMillis;

/// A received message until MNS confirms that it is deleted.
///
/// An unconfirmed delete may have worked or not: the message stays here, so that it is a redelivery if it comes again,
/// until it can no longer exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// When MNS accepted it.
    pub enqueue_time: UnixMillis,
    /// When it was received last, server time.
    pub received_at: UnixMillis,
    /// Until when the last receive hides it from others.
    pub visible_at: UnixMillis,
    /// DequeueCount of the last receive.
    pub dequeue_count: u32,
    /// What it says; none if undecodable.
    pub content: Option<ContentKey>,
    /// The forward target took it or refused it for good: it need only be deleted.
    pub forwarded: bool,
}

/// All pending messages of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingTable {
    entries: HashMap<MessageKey, Pending>,
}

/// What the live entries of a [`PendingTable`] add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InHand {
    /// How many.
    pub messages: u64,
    /// EnqueueTime of the oldest.
    pub oldest: Option<UnixMillis>,
    /// Largest DequeueCount.
    pub dequeue_count_max: u32,
}

// === impl PendingTable ===

impl PendingTable {
    /// A pending message.
    pub fn get(&self, key: &MessageKey) -> Option<&Pending> {
        self.entries.get(key)
    }

    /// A pending message, to be changed.
    pub fn get_mut(&mut self, key: &MessageKey) -> Option<&mut Pending> {
        self.entries.get_mut(key)
    }

    /// Adds a message.
    pub fn insert(&mut self, key: MessageKey, pending: Pending) {
        self.entries.insert(key, pending);
    }

    /// Takes a message out, since its deletion is confirmed.
    pub fn remove(&mut self, key: &MessageKey) -> Option<Pending> {
        self.entries.remove(key)
    }

    /// Forgets messages enqueued before `horizon`, which MNS cannot hold any more.
    pub fn expire(&mut self, horizon: UnixMillis) {
        self.entries
            .retain(|_, pending| pending.enqueue_time >= horizon);
    }

    /// The number of entries, unconfirmed deletes included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The messages that were still hidden from other consumers at `at`: received and, for all we know, undeleted.
    pub fn in_hand(&self, at: UnixMillis) -> InHand {
        let mut sum = InHand::default();
        for pending in self
            .entries
            .values()
            .filter(|pending| pending.visible_at >= at)
        {
            sum.messages += 1;
            sum.oldest = Some(sum.oldest.map_or(pending.enqueue_time, |oldest| {
                oldest.min(pending.enqueue_time)
            }));
            sum.dequeue_count_max = sum.dequeue_count_max.max(pending.dequeue_count);
        }
        sum
    }
}
