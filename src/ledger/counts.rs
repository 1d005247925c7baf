//! Durable counters of one queue, and the histogram they are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::verdict::Verdict;
use crate::vod::event::{Definition, EventType, Status, Undecodable};
use crate::vod::fault::{ErrorCode, Fault};

/// Bucket bounds of transcode, wait and time-to-playable histograms, in milliseconds.
pub const TRANSCODE_BOUNDS: &[u64] = &[
    5_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000,
    14_400_000, 43_200_000, 86_400_000,
];
/// Bucket bounds of delivery and message wait histograms, in milliseconds.
pub const DELIVERY_BOUNDS: &[u64] = &[
    500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 3_600_000, 21_600_000,
    86_400_000,
];
/// Bucket bounds of processing and request histograms, in milliseconds.
pub const PROCESSING_BOUNDS: &[u64] = &[
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000,
];

/// How a whole transcode ended, in the order of [`Counts::transcode`].
pub const TRANSCODE_STATUSES: [&str; 3] = ["success", "partial", "fail"];

/// What became of a message that was offered to a forward target: taken, refused for good, to be offered again.
pub const FORWARD_RESULTS: [&str; 3] = ["sent", "refused", "failed"];

/// Forward targets that a queue counts apart; further ones, after as many changes of its config, count as `other`.
const TARGETS: usize = 16;

/// A classic histogram with fixed bounds. The sum is kept in whole milliseconds, so that the order of observations
/// cannot change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Observations per bucket, not cumulated; the last one is above all bounds.
    pub buckets: Vec<u64>,
    /// Sum of all observations in milliseconds.
    pub sum_millis: u64,
}

/// All durable counters of one queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Distinct messages: events + duplicates + decode failures.
    pub messages_seen: u64,
    /// Deliveries of a message beyond its first.
    pub redeliveries: u64,
    /// Messages whose content was already seen under another MessageId.
    pub duplicates: u64,
    /// Undecodable messages by reason ([`Undecodable::index`]).
    pub decode_failures: Vec<u64>,
    /// Distinct events by type and status.
    pub events: Vec<[u64; Status::COUNT]>,
    /// Failed events by type and fault.
    pub faults: Vec<[u64; Fault::COUNT]>,
    /// Failed events by type and error code; only pairs that occurred.
    pub failures: BTreeMap<(EventType, ErrorCode), u64>,
    /// Ended output streams by definition and status.
    pub streams: Vec<[u64; Status::COUNT]>,
    /// FinishTime - StartTime of output streams by definition ([`TRANSCODE_BOUNDS`]).
    pub stream_seconds: Vec<Histogram>,
    /// Upload to TranscodeComplete by success, partial, fail ([`TRANSCODE_BOUNDS`]); complete view only.
    pub transcode: Vec<Histogram>,
    /// Upload to the first good stream ([`TRANSCODE_BOUNDS`]); complete view only.
    pub playable: Histogram,
    /// Upload to the start of the first stream's job, once a video ([`TRANSCODE_BOUNDS`]).
    pub stream_wait: Histogram,
    /// Videos that were playable within the objective, and those that were not.
    pub objective: [u64; 2],
    /// Transcodes declared stalled.
    pub stalls: u64,
    /// Transcodes closed without their callback, by [`Verdict::index`].
    pub closed: Vec<u64>,
    /// Answers of VOD about overdue transcodes, by [`Verdict::index`].
    pub reconciliations: Vec<u64>,
    /// Messages offered to forward targets, by the target's name in MNS and in the order of [`FORWARD_RESULTS`].
    pub forwarded: BTreeMap<Arc<str>, [u64; FORWARD_RESULTS.len()]>,
    /// Distinct events whose EventTime is later than their EnqueueTime.
    pub skewed: u64,
    /// EventTime to EnqueueTime ([`DELIVERY_BOUNDS`]).
    pub delivery: Histogram,
    /// EnqueueTime to first dequeue ([`DELIVERY_BOUNDS`]).
    pub wait: Histogram,
    /// Receive to confirmed delete ([`PROCESSING_BOUNDS`]).
    pub processing: Histogram,
}

// === impl Histogram ===

impl Histogram {
    /// An empty histogram over `bounds`.
    pub fn new(bounds: &[u64]) -> Self {
        Self {
            buckets: vec![0; bounds.len() + 1],
            sum_millis: 0,
        }
    }

    /// Counts one observation; `bounds` are those the histogram was made with.
    pub fn observe(&mut self, bounds: &[u64], millis: u64) {
        let index = bounds.partition_point(|bound| *bound < millis);
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket += 1;
        }
        self.sum_millis = self.sum_millis.saturating_add(millis);
    }

    /// The number of observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

// === impl Counts ===

impl Counts {
    /// Counts messages offered to a forward target, in the order of [`FORWARD_RESULTS`].
    pub(super) fn forwarded(&mut self, target: &Arc<str>, results: [u64; FORWARD_RESULTS.len()]) {
        let known = self.forwarded.len() < TARGETS || self.forwarded.contains_key(target);
        let target = if known {
            Arc::clone(target)
        } else {
            Arc::from("other")
        };
        let row = self.forwarded.entry(target).or_default();
        for (count, more) in row.iter_mut().zip(results) {
            *count += more;
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            messages_seen: 0,
            redeliveries: 0,
            duplicates: 0,
            decode_failures: vec![0; Undecodable::COUNT],
            events: vec![[0; Status::COUNT]; EventType::COUNT],
            faults: vec![[0; Fault::COUNT]; EventType::COUNT],
            failures: BTreeMap::new(),
            streams: vec![[0; Status::COUNT]; Definition::COUNT],
            stream_seconds: vec![Histogram::new(TRANSCODE_BOUNDS); Definition::COUNT],
            transcode: vec![Histogram::new(TRANSCODE_BOUNDS); TRANSCODE_STATUSES.len()],
            playable: Histogram::new(TRANSCODE_BOUNDS),
            stream_wait: Histogram::new(TRANSCODE_BOUNDS),
            objective: [0; 2],
            stalls: 0,
            closed: vec![0; Verdict::COUNT],
            reconciliations: vec![0; Verdict::COUNT],
            forwarded: BTreeMap::new(),
            skewed: 0,
            delivery: Histogram::new(DELIVERY_BOUNDS),
            wait: Histogram::new(DELIVERY_BOUNDS),
            processing: Histogram::new(PROCESSING_BOUNDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::new(PROCESSING_BOUNDS);
        for millis in [5, 6, 60_000, 60_001] {
            histogram.observe(PROCESSING_BOUNDS, millis);
        }
        assert_eq!(histogram.buckets.first(), Some(&1));
        assert_eq!(histogram.buckets.get(1), Some(&1));
        assert_eq!(histogram.buckets.last(), Some(&1));
        assert_eq!(histogram.count(), 4);
        assert_eq!(histogram.sum_millis, 120_012);
    }
}
