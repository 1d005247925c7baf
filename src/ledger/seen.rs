//! What a peek has already counted: the messages that linger in a queue.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::record::MessageKey;
use crate::clock::UnixMillis;

/// Messages seen by peeking, with the DequeueCount last known of each.
///
/// Peeking is sampling: the same message shows again and again, and it must never count twice. When the table is full the
/// message with the oldest EnqueueTime goes, and from then on nothing that old counts any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    entries: HashMap<MessageKey, (UnixMillis, u32)>,
    by_age: BTreeSet<(UnixMillis, MessageKey)>,
    counted_from: UnixMillis,
    capacity: usize,
}

// === impl Seen ===

impl Seen {
    /// An empty table: messages enqueued before `counted_from` are only baselines.
    pub fn new(counted_from: UnixMillis, capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_age: BTreeSet::new(),
            counted_from,
            capacity,
        }
    }

    /// The DequeueCount last known of a message that was seen before.
    pub fn get_mut(&mut self, key: &MessageKey) -> Option<&mut u32> {
        self.entries
            .get_mut(key)
            .map(|(_, dequeue_count)| dequeue_count)
    }

    /// Whether a message enqueued then counts when it is seen for the first time.
    pub fn counts(&self, enqueue_time: UnixMillis) -> bool {
        enqueue_time >= self.counted_from
    }

    /// Remembers a message; returns how many others had to go.
    pub fn insert(&mut self, key: MessageKey, enqueue_time: UnixMillis, dequeue_count: u32) -> u64 {
        self.entries.insert(key, (enqueue_time, dequeue_count));
        self.by_age.insert((enqueue_time, key));
        let mut evicted = 0;
        while self.entries.len() > self.capacity {
            evicted += u64::from(self.pop_oldest());
        }
        evicted
    }

    /// Forgets messages enqueued before `horizon`, which MNS cannot hold any more.
    pub fn expire(&mut self, horizon: UnixMillis) {
        while self
            .by_age
            .first()
            .is_some_and(|(enqueue_time, _)| *enqueue_time < horizon)
        {
            self.pop_oldest();
        }
    }

    /// The number of messages remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn pop_oldest(&mut self) -> bool {
        let Some((enqueue_time, key)) = self.by_age.pop_first() else {
            return false;
        };
        self.entries.remove(&key);
        // One later than the forgotten one, since others of the same millisecond may have counted.
        self.counted_from = self
            .counted_from
            .max(UnixMillis(enqueue_time.0.saturating_add(1)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_nothing_that_old_counts_again() {
        let mut seen = Seen::new(UnixMillis(0), 2);
        for (key, enqueued) in [(1, 300), (2, 100), (3, 200)] {
            seen.insert(MessageKey(key), UnixMillis(enqueued), 1);
        }
        assert_eq!(seen.len(), 2);
        assert!(seen.get_mut(&MessageKey(2)).is_none(), "the oldest went");
        assert!(!seen.counts(UnixMillis(100)));
        assert!(seen.counts(UnixMillis(101)));
    }
}
