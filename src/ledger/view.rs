//! What the last reads of a queue told: the gauges that live and die with the process.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::record::MessageKey;
use crate::clock::UnixMillis;

/// How many peek ticks the oldest message is taken from.
const TICKS_KEPT: usize = 3;
/// For so many ticks running the depth counters must contradict what is seen before they are distrusted.
const CONTRADICTIONS: u8 = 3;
/// A message this old must be in the counters.
const COUNTER_LAG: Duration = Duration::from_mins(1);
/// Quarters of the retention after which MNS may be deleting messages: a sample hardly ever misses the whole oldest quarter.
const EXPIRING_QUARTERS: u32 = 3;

/// One result of talking to MNS about a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The queue's attributes were read.
    Attributes {
        /// When the request was sent, server time.
        sent: UnixMillis,
        /// Active, inactive, delayed; none where the answer left one out.
        depth: Option<[u64; 3]>,
        /// For how long MNS keeps a message.
        retention: Option<Duration>,
        /// For how long a received message stays hidden.
        visibility_timeout: Option<Duration>,
    },
    /// A tick's peeks are done.
    Peeked {
        /// Server time.
        at: UnixMillis,
        /// Every message seen in this tick, once.
        messages: Vec<Peeked>,
        /// A batch came back short: these are all visible messages.
        complete: bool,
    },
    /// A receive brought so many messages.
    Received {
        /// Server time.
        at: UnixMillis,
        /// How many; none when it waited in vain.
        messages: usize,
    },
    /// The tick is over, or the receive is: with an error of this bounded kind, or without.
    Ended {
        /// Server time.
        at: UnixMillis,
        /// What failed.
        error: Option<&'static str>,
    },
}

/// A message seen by peeking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peeked {
    /// Which message.
    pub message: MessageKey,
    /// When MNS accepted it.
    pub enqueue_time: UnixMillis,
    /// When it was first received; equals `enqueue_time` while it never was.
    pub first_dequeue_time: UnixMillis,
    /// How often it was received.
    pub dequeue_count: u32,
}

/// Live gauges of one queue.
#[derive(Clone, Debug, Default)]
pub struct QueueView {
    pub(super) up: Option<bool>,
    pub(super) last_error: Option<&'static str>,
    pub(super) depth: Option<[u64; 3]>,
    pub(super) depth_trusted: Option<bool>,
    pub(super) empty: Option<bool>,
    pub(super) progress: Option<UnixMillis>,
    pub(super) retention: Option<Duration>,
    pub(super) visibility_timeout: Option<Duration>,
    pub(super) last_tick: Option<UnixMillis>,
    /// When messages were last received or peeked, server time.
    pub(super) last_read: Option<UnixMillis>,
    /// The last ticks; none for one that could not look.
    ticks: VecDeque<Option<Tick>>,
    /// Whether the tick under way has looked.
    looked: bool,
    sample: HashMap<MessageKey, Peeked>,
    attributes_sent: Option<UnixMillis>,
    contradictions: u8,
}

#[derive(Clone, Copy, Debug)]
struct Tick {
    oldest: Option<UnixMillis>,
    dequeue_count_max: u32,
}

// === impl QueueView ===

impl QueueView {
    /// Takes in one reading.
    pub fn read(&mut self, reading: Reading) {
        match reading {
            Reading::Attributes {
                sent,
                depth,
                retention,
                visibility_timeout,
            } => {
                self.retention = retention.or(self.retention);
                self.visibility_timeout = visibility_timeout.or(self.visibility_timeout);
                self.attributes(sent, depth);
            }
            Reading::Peeked {
                at,
                messages,
                complete,
            } => self.peeked(at, messages, complete),
            Reading::Received { at, messages } => {
                self.last_read = Some(at);
                self.empty = Some(messages == 0);
            }
            Reading::Ended { at, error } => {
                self.last_tick = Some(at);
                self.up = Some(error.is_none());
                self.last_error = error;
                if error.is_some() {
                    self.depth = None;
                }
                if !std::mem::take(&mut self.looked) && error.is_some() {
                    self.ticked(None);
                }
            }
        }
    }

    /// Somebody dequeued at `at`.
    pub fn progressed(&mut self, at: UnixMillis) {
        self.progress = self.progress.max(Some(at));
    }

    /// EnqueueTime of the oldest message peeked in the last ticks; none once a tick found nothing, or none could look.
    pub(super) fn oldest_peeked(&self) -> Option<UnixMillis> {
        self.looks().next_back()?.oldest?;
        self.looks().filter_map(|tick| tick.oldest).min()
    }

    /// Largest DequeueCount peeked in the last ticks; none before the first, or if none could look.
    pub(super) fn dequeue_count_max_peeked(&self) -> Option<u32> {
        if self.looks().next_back()?.oldest.is_none() {
            return Some(0);
        }
        self.looks().map(|tick| tick.dequeue_count_max).max()
    }

    fn looks(&self) -> impl DoubleEndedIterator<Item = &Tick> {
        self.ticks.iter().flatten()
    }

    fn ticked(&mut self, tick: Option<Tick>) {
        if self.ticks.len() == TICKS_KEPT {
            self.ticks.pop_front();
        }
        self.ticks.push_back(tick);
    }

    fn attributes(&mut self, sent: UnixMillis, depth: Option<[u64; 3]>) {
        let before = std::mem::replace(&mut self.depth, depth);
        self.attributes_sent = Some(sent);
        if depth.is_some_and(|depth| depth != [0; 3]) {
            self.depth_trusted = Some(true);
            self.contradictions = 0;
        }
        if self.depth_trusted != Some(false)
            && let (Some([before, ..]), Some([now, ..])) = (before, depth)
            && now < before
            && !self.expiring(sent)
        {
            self.progressed(sent);
        }
        // Whatever is hidden was received within the visibility timeout. Only the counters tell of a slow worker before more
        // messages than are looked at.
        if self.depth_trusted == Some(true)
            && let (Some([_, hidden, _]), Some(visibility_timeout)) =
                (depth, self.visibility_timeout)
            && hidden > 0
        {
            self.progressed(sent.minus(visibility_timeout));
        }
    }

    /// Whether messages may be leaving the queue because their retention is over. Counters lag behind a queue that was emptied
    /// so, which is why a last look that found nothing is no answer.
    fn expiring(&self, at: UnixMillis) -> bool {
        let oldest = self.looks().filter_map(|tick| tick.oldest).min();
        oldest
            .zip(self.retention)
            .is_some_and(|(oldest, retention)| {
                at.since(oldest) >= retention / 4 * EXPIRING_QUARTERS
            })
    }

    fn peeked(&mut self, at: UnixMillis, messages: Vec<Peeked>, complete: bool) {
        self.last_read = Some(at);
        self.empty = Some(messages.is_empty());
        self.judge_depth(&messages);
        self.find_progress(at, &messages, complete);
        self.looked = true;
        self.ticked(Some(Tick {
            oldest: messages.iter().map(|message| message.enqueue_time).min(),
            dequeue_count_max: messages.iter().map(|m| m.dequeue_count).max().unwrap_or(0),
        }));
        self.sample = messages
            .into_iter()
            .map(|message| (message.message, message))
            .collect();
    }

    /// Counters that read 0 while an old message is visible are retired.
    fn judge_depth(&mut self, messages: &[Peeked]) {
        let Some(sent) = self.attributes_sent.take() else {
            return;
        };
        let old = sent.minus(COUNTER_LAG);
        if self.depth == Some([0; 3]) && messages.iter().any(|message| message.enqueue_time <= old)
        {
            self.contradictions = self.contradictions.saturating_add(1);
            if self.contradictions >= CONTRADICTIONS {
                self.depth_trusted = Some(false);
            }
        } else {
            self.contradictions = 0;
        }
    }

    fn find_progress(&mut self, at: UnixMillis, messages: &[Peeked], complete: bool) {
        for message in messages {
            if message.dequeue_count > 0 {
                self.progressed(message.first_dequeue_time);
            }
            let before = self.sample.remove(&message.message);
            if before.is_some_and(|before| before.dequeue_count < message.dequeue_count) {
                self.progressed(at);
            }
        }
        let expired = self.retention.map(|retention| at.minus(retention));
        let left = |gone: &Peeked| expired.is_none_or(|expired| gone.enqueue_time > expired);
        if complete && self.sample.values().any(left) {
            self.progressed(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(key: u128, enqueued: i64, dequeue_count: u32) -> Peeked {
        Peeked {
            message: MessageKey(key),
            enqueue_time: UnixMillis::from_secs(enqueued),
            first_dequeue_time: UnixMillis::from_secs(enqueued),
            dequeue_count,
        }
    }

    fn peeked(view: &mut QueueView, secs: i64, messages: Vec<Peeked>, complete: bool) {
        view.read(Reading::Peeked {
            at: UnixMillis::from_secs(secs),
            messages,
            complete,
        });
    }

    fn attributes(view: &mut QueueView, secs: i64, depth: [u64; 3]) {
        view.read(Reading::Attributes {
            sent: UnixMillis::from_secs(secs),
            depth: Some(depth),
            retention: Some(Duration::from_hours(1)),
            visibility_timeout: None,
        });
    }

    #[test]
    fn counters_are_distrusted_after_three_contradictions_and_trusted_by_a_number() {
        let mut view = QueueView::default();
        for tick in 0..3 {
            assert_eq!(view.depth_trusted, None);
            attributes(&mut view, 1_000 + tick * 60, [0, 0, 0]);
            peeked(&mut view, 1_001 + tick * 60, vec![message(1, 900, 0)], true);
        }
        assert_eq!(view.depth_trusted, Some(false));
        attributes(&mut view, 2_000, [3, 0, 0]);
        assert_eq!(view.depth_trusted, Some(true));
    }

    #[test]
    fn a_young_message_contradicts_nothing() {
        let mut view = QueueView::default();
        for tick in 0..5 {
            attributes(&mut view, 1_000 + tick * 60, [0, 0, 0]);
            peeked(
                &mut view,
                1_001 + tick * 60,
                vec![message(1, 990 + tick * 60, 0)],
                true,
            );
        }
        assert_eq!(view.depth_trusted, None);
    }

    #[test]
    fn the_oldest_is_that_of_three_ticks_and_goes_with_an_empty_one() {
        let mut view = QueueView::default();
        peeked(&mut view, 1_000, vec![message(1, 100, 0)], false);
        peeked(&mut view, 1_060, vec![message(2, 500, 2)], false);
        assert_eq!(view.oldest_peeked(), Some(UnixMillis::from_secs(100)));
        peeked(&mut view, 1_120, vec![message(2, 500, 0)], false);
        peeked(&mut view, 1_180, vec![message(2, 500, 0)], false);
        assert_eq!(view.oldest_peeked(), Some(UnixMillis::from_secs(500)));
        peeked(&mut view, 1_240, vec![], true);
        assert_eq!(view.oldest_peeked(), None);
        assert_eq!(view.dequeue_count_max_peeked(), Some(0));
        assert_eq!(view.empty, Some(true));
    }

    #[test]
    fn a_message_gone_from_a_complete_sample_is_progress_but_not_from_a_partial_one() {
        let mut view = QueueView::default();
        peeked(
            &mut view,
            1_000,
            vec![message(1, 900, 0), message(2, 950, 0)],
            true,
        );
        peeked(&mut view, 1_060, vec![message(2, 950, 0)], false);
        assert_eq!(view.progress, None);
        peeked(&mut view, 1_120, vec![], true);
        assert_eq!(view.progress, Some(UnixMillis::from_secs(1_120)));
    }

    #[test]
    fn a_message_deleted_by_retention_is_no_progress() {
        let mut view = QueueView::default();
        attributes(&mut view, 999, [1, 0, 0]);
        peeked(&mut view, 1_000, vec![message(1, 900, 0)], true);
        peeked(&mut view, 4_600, vec![], true);
        assert_eq!(view.progress, None);
    }

    #[test]
    fn a_falling_depth_is_progress_unless_retention_may_be_deleting() {
        let fallen = |age: i64, emptied: bool| {
            let mut view = QueueView::default();
            let seen = 10_000 + age;
            attributes(&mut view, seen, [900, 0, 0]);
            peeked(&mut view, seen, vec![message(1, 10_000, 0)], false);
            if emptied {
                peeked(&mut view, seen, vec![], false);
            }
            attributes(&mut view, seen + 60, [890, 0, 0]);
            view.progress
        };
        assert_eq!(fallen(1_800, false), Some(UnixMillis::from_secs(11_860)));
        assert_eq!(fallen(3_540, false), None);
        // The oldest of many is not in the sample.
        assert_eq!(fallen(2_700, false), None);
        // The counters lag behind what was seen.
        assert_eq!(fallen(3_600, true), None);
    }

    #[test]
    fn a_hidden_message_was_received_within_the_visibility_timeout() {
        let mut view = QueueView::default();
        for (tick, progress) in (0..).zip([None, Some(1_020), Some(1_080)]) {
            view.read(Reading::Attributes {
                sent: UnixMillis::from_secs(1_000 + tick * 60),
                depth: Some([900, u64::from(tick > 0), 0]),
                retention: None,
                visibility_timeout: (tick != 1).then_some(Duration::from_secs(40)),
            });
            assert_eq!(view.progress, progress.map(UnixMillis::from_secs));
        }
    }

    #[test]
    fn a_grown_dequeue_count_is_progress() {
        let mut view = QueueView::default();
        peeked(&mut view, 1_000, vec![message(1, 900, 0)], false);
        peeked(&mut view, 1_060, vec![message(1, 900, 1)], false);
        assert_eq!(view.progress, Some(UnixMillis::from_secs(1_060)));
    }

    #[test]
    fn what_was_seen_is_unknown_after_three_ticks_that_could_not_look() {
        let mut view = QueueView::default();
        let ended = |view: &mut QueueView, error| {
            let at = UnixMillis::from_secs(1_000);
            view.read(Reading::Ended { at, error });
            (view.oldest_peeked(), view.dequeue_count_max_peeked())
        };
        let known = (Some(UnixMillis::from_secs(100)), Some(3));
        peeked(&mut view, 1_000, vec![message(1, 100, 3)], true);
        // Only the attributes could not be read.
        assert_eq!(ended(&mut view, Some("access_denied")), known);
        for _ in 0..2 {
            assert_eq!(ended(&mut view, Some("timeout")), known);
        }
        assert_eq!(ended(&mut view, Some("timeout")), (None, None));
        peeked(&mut view, 1_060, vec![message(1, 100, 3)], true);
        assert_eq!(ended(&mut view, None), known);
    }

    #[test]
    fn an_unreadable_queue_has_no_depth() {
        let mut view = QueueView::default();
        attributes(&mut view, 1_000, [1, 2, 3]);
        view.read(Reading::Ended {
            at: UnixMillis::from_secs(1_060),
            error: Some("throttled"),
        });
        assert_eq!((view.up, view.depth), (Some(false), None));
    }
}
