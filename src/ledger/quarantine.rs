//! Messages that could not be decoded or passed on, kept within a byte cap so that somebody can look at them and send them again.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::snapshot::QuarantineEntry;

/// Messages in quarantine, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    entries: VecDeque<QuarantineEntry>,
    bytes: u64,
    max_bytes: u64,
    next_number: u64,
}

// === impl Quarantine ===

impl Quarantine {
    /// An empty quarantine of at most `max_bytes` of bodies.
    pub fn new(max_bytes: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            max_bytes,
            next_number: 1,
        }
    }

    /// Puts a message in, numbering it; returns how many others had to go, itself included if it is too large.
    pub fn push(&mut self, mut entry: QuarantineEntry) -> u64 {
        entry.number = self.next_number;
        self.next_number += 1;
        self.bytes += entry.size;
        self.entries.push_back(entry);
        self.make_room()
    }

    /// Changes the cap; returns how many messages had to go.
    pub fn set_max_bytes(&mut self, max_bytes: u64) -> u64 {
        self.max_bytes = max_bytes;
        self.make_room()
    }

    /// The cap of all bodies together.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// The messages, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &QuarantineEntry> {
        self.entries.iter()
    }

    fn make_room(&mut self) -> u64 {
        let mut evicted = 0;
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.size;
            evicted += 1;
        }
        evicted
    }
}
