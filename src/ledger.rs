//! The truth: what was counted, what is pending, what was seen. Sans-I/O: `now` is an argument, and the ledger owns no
//! task, clock or socket.
//!
//! Event-sourced. Every change is a [`Record`]; the store makes a group of records durable *before* [`Ledger::apply`]
//! sees them, so that the ledger never holds, and nobody can ever read from it, what is not committed.

pub mod counts;
pub mod listing;
pub mod pending;
pub mod quarantine;
pub mod queue;
pub mod record;
pub mod seen;
pub mod snapshot;
pub mod store;
pub mod transcodes;
pub mod troubles;
pub mod verdict;
pub mod view;
pub mod window;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::quarantine::Quarantine;
use self::queue::{Evictions, Novelty, QueueState};
use self::transcodes::Turn;
use self::view::QueueView;
use crate::clock::UnixMillis;

pub use self::counts::{Counts, Histogram};
pub use self::record::{
    Content, ContentKey, MessageKey, QueueIndex, QueueSettings, Record, Refused, Sighting,
    StreamsFrom, TranscodeSettings,
};
pub use self::snapshot::{
    Mode, QuarantineEntry, QuarantineReason, QueueIdentity, QueueSnapshot, Role, Snapshot,
    Transcodes,
};
pub use self::transcodes::{Closing, TranscodeRow};
pub use self::verdict::{Judgement, Overdue, Situation, Stage, Verdict};
pub use self::view::{Peeked, Reading};

/// Counters of a queue that is no longer watched stay for so long.
const CLOSED_ROWS_KEPT: Duration = Duration::from_hours(720);
/// At most so many queues that are no longer watched.
const CLOSED_ROWS: usize = 1_000;

/// The tables whose evictions are counted, as the label `table`.
pub const EVICTION_TABLES: [&str; 5] = ["contents", "dedupe", "quarantine", "seen", "transcodes"];

/// Everything that is committed, and the live gauges beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ledger {
    queues: Vec<QueueState>,
    quarantine: Quarantine,
    evictions: Evictions,
    /// The latest instant of any record.
    latest: UnixMillis,
    /// Whose turn it is in the line of videos in trouble, over all queues.
    turn: Turn,
    #[serde(skip)]
    views: Vec<QueueView>,
}

/// What applying records changed beyond counting: to be logged where it is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Messages that went to quarantine.
    pub quarantined: Vec<Quarantined>,
    /// Queues whose view turned incomplete.
    pub incomplete: Vec<Arc<str>>,
    /// Transcodes that were closed and leave somebody waiting, with the id of their queue.
    pub closings: Vec<(Arc<str>, Closing)>,
    /// Rows dropped from full tables.
    pub evictions: u64,
}

/// A message that went to quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Configured id of the queue.
    pub queue: Arc<str>,
    /// Why.
    pub reason: QuarantineReason,
    /// MNS's MessageId.
    pub message_id: Box<str>,
    /// Size of the body in bytes.
    pub size: u64,
    /// False if it was too large to be kept.
    pub kept: bool,
}

// === impl Ledger ===

impl Ledger {
    /// An empty ledger whose quarantine holds at most `quarantine_bytes` of bodies.
    pub fn new(quarantine_bytes: u64) -> Self {
        Self {
            queues: Vec::new(),
            quarantine: Quarantine::new(quarantine_bytes),
            evictions: Evictions::default(),
            latest: UnixMillis::default(),
            turn: Turn::default(),
            views: Vec::new(),
        }
    }

    /// A ledger as it was stored, with views of which nothing is known.
    #[must_use]
    pub(in crate::ledger) fn loaded(mut self) -> Self {
        self.views = vec![QueueView::default(); self.queues.len()];
        self
    }

    /// The place of a queue: its own if it was watched before, else a free one.
    pub fn place_for(&self, identity: &QueueIdentity, at: UnixMillis) -> QueueIndex {
        let same = |queue: &QueueState| {
            queue.identity.endpoint == identity.endpoint
                && queue.identity.mns_queue == identity.mns_queue
        };
        let position = self
            .queues
            .iter()
            .position(same)
            .or_else(|| self.free_place(at));
        QueueIndex(u32::try_from(position.unwrap_or(self.queues.len())).unwrap_or(u32::MAX))
    }

    /// Applies one committed record, and adds to `changes` what is worth a line in the log.
    pub fn apply(&mut self, record: &Record, changes: &mut Changes) {
        self.latest = self.latest.max(record.at().unwrap_or_default());
        match record {
            Record::Opened {
                queue,
                identity,
                settings,
                at,
            } => {
                self.open(*queue, identity, *settings, *at);
            }
            Record::Closed { queue, at } => {
                self.with(*queue, |state, view, _| {
                    state.close(*at);
                    *view = QueueView::default();
                });
            }
            Record::Retention { queue, retention } => {
                self.with(*queue, |state, _, _| state.set_retention(*retention));
            }
            Record::Sighted {
                queue,
                at,
                sightings,
            } => self.sight(*queue, *at, sightings, changes),
            Record::Deleted {
                queue,
                at,
                messages,
            } => {
                self.with(*queue, |state, view, _| {
                    for message in messages {
                        state.delete(*message, *at);
                    }
                    view.progressed(*at);
                });
            }
            Record::Forwarded {
                queue,
                at,
                target,
                messages,
                refused,
                failed,
            } => {
                let refused = self.refuse(*queue, *at, refused, changes);
                self.with(*queue, |state, _, _| {
                    for message in messages {
                        state.mark_forwarded(*message);
                    }
                    let results = [messages.len() as u64, refused, *failed];
                    state.counts.forwarded(target, results);
                });
            }
            Record::ReceiveLost { queue, from, to } => {
                self.with(*queue, |state, _, _| state.receive_lost(*from, *to));
            }
            Record::Observed { queue, until } => {
                self.with(*queue, |state, _, turn| {
                    state.observe(*until, turn);
                    tell_closings(state, changes);
                });
            }
            Record::Ticked { queue, at } => {
                self.with(*queue, |state, _, turn| {
                    state.tick(*at, turn);
                    tell_closings(state, changes);
                });
            }
            Record::Judged {
                queue,
                at,
                judgements,
            } => {
                self.with(*queue, |state, _, turn| {
                    state.judge(*at, judgements, turn);
                    tell_closings(state, changes);
                });
            }
            Record::Swept { queue, at, videos } => {
                self.with(*queue, |state, _, turn| state.sweep_in(*at, videos, turn));
            }
            Record::Gap { queue, until } => {
                self.with(*queue, |state, _, _| state.gap(*until));
            }
            Record::Started { quarantine_bytes } => self.start(*quarantine_bytes, changes),
        }
        self.turn.end();
    }

    /// Takes in what a read of a queue told of the moment; never durable.
    pub fn read(&mut self, queue: QueueIndex, reading: Reading) {
        self.with(queue, |_, view, _| view.read(reading));
    }

    /// Messages received and, for all we know, undeleted and hidden at `now`: MNS slows a consumer that holds 5,000.
    pub fn in_hand(&self, queue: QueueIndex, now: UnixMillis) -> u64 {
        self.queues
            .get(place(queue))
            .map_or(0, |state| state.pending.in_hand(now).messages)
    }

    /// Of each pending message whether it has been passed on already.
    pub fn forwarded(&self, queue: QueueIndex, messages: &[MessageKey]) -> Vec<bool> {
        let pending = self.queues.get(place(queue)).map(|state| &state.pending);
        let is_forwarded = |message| {
            let pending = pending.and_then(|pending| pending.get(message));
            pending.is_some_and(|pending| pending.forwarded)
        };
        messages.iter().map(is_forwarded).collect()
    }

    /// Entries in the pending table, unconfirmed deletes included.
    pub fn pending(&self, queue: QueueIndex) -> usize {
        self.queues
            .get(place(queue))
            .map_or(0, |state| state.pending.len())
    }

    /// Overdue transcodes of a queue, the oldest first.
    pub fn overdue(&self, queue: QueueIndex) -> impl Iterator<Item = Overdue> {
        let state = self.queues.get(place(queue)).filter(|state| state.tracks());
        state
            .into_iter()
            .flat_map(|state| state.transcodes.overdue())
    }

    /// What is known of a queue when its transcodes are judged at `now`.
    pub fn situation(&self, queue: QueueIndex, now: UnixMillis) -> Option<Situation> {
        let state = self.queues.get(place(queue))?;
        Some(Situation {
            now,
            view_complete: state.view_complete(now),
            observed_until: state.observed_until,
            last_stream_finished: state.transcodes.last_stream(),
        })
    }

    /// Open transcodes of every watched queue with the queue's id, the oldest of each queue first.
    pub fn transcodes(&self) -> impl Iterator<Item = (&Arc<str>, TranscodeRow)> {
        self.tracked()
            .flat_map(|state| state.transcodes.rows().map(|row| (&state.identity.id, row)))
    }

    /// Transcodes of every watched queue that were closed in the last day without a callback, with the queue's id; of each
    /// queue those closed last first.
    pub fn closed(&self) -> impl Iterator<Item = (&Arc<str>, TranscodeRow)> {
        self.tracked().flat_map(|state| {
            state
                .transcodes
                .closed()
                .map(|row| (&state.identity.id, row))
        })
    }

    /// A consistent copy for readers; `now` decides whether a view counts as complete again.
    pub fn snapshot(&self, now: UnixMillis) -> Snapshot {
        let mut queues: Vec<QueueSnapshot> = self
            .queues
            .iter()
            .zip(&self.views)
            .filter(|(state, _)| state.open)
            .map(|(state, view)| queue_snapshot(state, view, now))
            .collect();
        queues.sort_by(|a, b| a.identity.id.cmp(&b.identity.id));
        let sum = |of: fn(&Evictions) -> u64| {
            of(&self.evictions)
                + self
                    .queues
                    .iter()
                    .map(|queue| of(&queue.evictions))
                    .sum::<u64>()
        };
        // In the order of `EVICTION_TABLES`.
        let evictions = [
            sum(|evictions| evictions.contents),
            sum(|evictions| evictions.dedupe),
            sum(|evictions| evictions.quarantine),
            sum(|evictions| evictions.seen),
            self.queues
                .iter()
                .map(|queue| queue.transcodes.evicted())
                .sum(),
        ];
        Snapshot {
            queues,
            evictions: EVICTION_TABLES.into_iter().zip(evictions).collect(),
            quarantine: self.quarantine.entries().cloned().collect(),
            ..Snapshot::default()
        }
    }

    fn tracked(&self) -> impl Iterator<Item = &QueueState> {
        self.queues
            .iter()
            .filter(|state| state.open && state.tracks())
    }

    fn start(&mut self, quarantine_bytes: u64, changes: &mut Changes) {
        let evicted = self.quarantine.set_max_bytes(quarantine_bytes);
        self.evictions.quarantine += evicted;
        changes.evictions += evicted;
        for queue in self.queues.iter_mut().filter(|queue| queue.open) {
            queue.close(self.latest);
        }
        self.views = vec![QueueView::default(); self.queues.len()];
    }

    fn open(
        &mut self,
        queue: QueueIndex,
        identity: &Arc<QueueIdentity>,
        settings: QueueSettings,
        at: UnixMillis,
    ) {
        let place = place(queue);
        if place == self.queues.len() {
            self.queues.push(QueueState::new(Arc::clone(identity), at));
        }
        self.views.resize(self.queues.len(), QueueView::default());
        let Some(state) = self.queues.get_mut(place) else {
            return;
        };
        let same = state.identity.endpoint == identity.endpoint
            && state.identity.mns_queue == identity.mns_queue;
        if !same || is_stale(state, at) {
            // Counters that vanish with a reused row would fall: those of the ledger as a whole are carried on.
            self.evictions.add(&state.evictions);
            *state = QueueState::new(Arc::clone(identity), at);
        }
        state.open(Arc::clone(identity), settings, at);
    }

    fn sight(
        &mut self,
        queue: QueueIndex,
        at: UnixMillis,
        sightings: &[Sighting],
        changes: &mut Changes,
    ) {
        let Some(state) = self.queues.get_mut(place(queue)) else {
            return;
        };
        let (complete, evictions) = (state.view_complete(at), state.evictions.total());
        for sighting in sightings {
            let novelty = state.sight(sighting, at, &mut self.turn);
            let Content::Undecodable {
                reason,
                message_id,
                body,
            } = &sighting.content
            else {
                continue;
            };
            if novelty != Novelty::Counted || state.identity.role == Role::DeadLetter {
                continue;
            }
            let entry = QuarantineEntry {
                number: 0,
                queue: Arc::clone(&state.identity.id),
                reason: QuarantineReason::Undecodable(*reason),
                at,
                enqueue_time: sighting.enqueue_time,
                message_id: message_id.clone(),
                size: body.len() as u64,
                body: Arc::clone(body),
            };
            keep(&mut self.quarantine, &mut self.evictions, entry, changes);
        }
        changes.evictions += state.evictions.total() - evictions;
        if complete && !state.view_complete(at) {
            changes.incomplete.push(Arc::clone(&state.identity.id));
        }
    }

    /// Puts what a forward target refused for good into quarantine, once each; returns how many those are.
    fn refuse(
        &mut self,
        queue: QueueIndex,
        at: UnixMillis,
        refused: &[Refused],
        changes: &mut Changes,
    ) -> u64 {
        let Some(state) = self.queues.get_mut(place(queue)) else {
            return 0;
        };
        let mut new = 0;
        for refused in refused {
            if !state.mark_forwarded(refused.message) {
                continue;
            }
            new += 1;
            let entry = QuarantineEntry {
                number: 0,
                queue: Arc::clone(&state.identity.id),
                reason: QuarantineReason::ForwardRefused,
                at,
                enqueue_time: refused.enqueue_time,
                message_id: refused.message_id.clone(),
                size: refused.body.len() as u64,
                body: Arc::clone(&refused.body),
            };
            keep(&mut self.quarantine, &mut self.evictions, entry, changes);
        }
        new
    }

    fn with(
        &mut self,
        queue: QueueIndex,
        change: impl FnOnce(&mut QueueState, &mut QueueView, &mut Turn),
    ) {
        let place = place(queue);
        if let (Some(state), Some(view)) = (self.queues.get_mut(place), self.views.get_mut(place)) {
            change(state, view, &mut self.turn);
        }
    }

    /// The row of a queue that was closed long ago, or the one closed first when there are too many.
    fn free_place(&self, at: UnixMillis) -> Option<usize> {
        let closed = || {
            self.queues
                .iter()
                .enumerate()
                .filter(|(_, queue)| !queue.open)
        };
        let oldest = closed().min_by_key(|(_, queue)| queue.changed_at)?;
        (is_stale(oldest.1, at) || closed().count() >= CLOSED_ROWS).then_some(oldest.0)
    }
}

// === impl Evictions ===

impl Evictions {
    fn total(self) -> u64 {
        self.dedupe + self.contents + self.seen + self.quarantine
    }

    fn add(&mut self, other: &Self) {
        self.dedupe += other.dedupe;
        self.contents += other.contents;
        self.seen += other.seen;
        self.quarantine += other.quarantine;
    }
}

/// Adds what the last record closed.
fn tell_closings(state: &mut QueueState, changes: &mut Changes) {
    for closing in state.transcodes.take_closings() {
        changes
            .closings
            .push((Arc::clone(&state.identity.id), closing));
    }
}

/// Puts a message into quarantine.
fn keep(
    quarantine: &mut Quarantine,
    evictions: &mut Evictions,
    entry: QuarantineEntry,
    changes: &mut Changes,
) {
    changes.quarantined.push(Quarantined {
        queue: Arc::clone(&entry.queue),
        reason: entry.reason,
        message_id: entry.message_id.clone(),
        size: entry.size,
        kept: entry.size <= quarantine.max_bytes(),
    });
    let evicted = quarantine.push(entry);
    evictions.quarantine += evicted;
    changes.evictions += evicted;
}

fn place(queue: QueueIndex) -> usize {
    usize::try_from(queue.0).unwrap_or(usize::MAX)
}

fn is_stale(queue: &QueueState, at: UnixMillis) -> bool {
    !queue.open && at.since(queue.changed_at) > CLOSED_ROWS_KEPT
}

fn queue_snapshot(state: &QueueState, view: &QueueView, now: UnixMillis) -> QueueSnapshot {
    let consume = state.identity.mode == Mode::Consume;
    let in_hand = state.pending.in_hand(view.last_read.unwrap_or(now));
    let view_complete = state.view_complete(now);
    QueueSnapshot {
        identity: Arc::clone(&state.identity),
        counts: state.counts.clone(),
        up: view.up,
        last_error: view.last_error,
        depth: view.depth.filter(|_| view.depth_trusted != Some(false)),
        depth_trusted: view.depth_trusted,
        oldest_message: if consume {
            in_hand.oldest
        } else {
            view.oldest_peeked()
        },
        empty: view.empty.filter(|_| view.up != Some(false)),
        progress: view.progress,
        retention: view.retention,
        visibility_timeout: view.visibility_timeout,
        dequeue_count_max: if consume {
            view.last_read.map(|_| in_hand.dequeue_count_max)
        } else {
            view.dequeue_count_max_peeked()
        },
        last_event: state.last_event,
        watched_since: state.watched_since.filter(|_| view_complete),
        view_complete,
        observed_until: state.observed_until,
        transcodes: state.tracks().then(|| state.transcodes.summary()),
        pending: in_hand.messages,
        last_tick: view.last_tick,
    }
}

#[cfg(test)]
mod tests;
