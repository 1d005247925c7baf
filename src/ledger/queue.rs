//! One queue's committed state: what was counted and what is known of single messages.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counts::{Counts, DELIVERY_BOUNDS, PROCESSING_BOUNDS, TRANSCODE_BOUNDS};
use super::pending::{Pending, PendingTable};
use super::record::{Content, ContentKey, MessageKey, QueueSettings, Sighting, StreamsFrom};
use super::seen::Seen;
use super::snapshot::{Mode, QueueIdentity, Role};
use super::transcodes::{Transcodes, Turn};
use super::verdict::Judgement;
use super::window::Window;
use crate::clock::UnixMillis;
use crate::vod::event::{Event, EventType, MediaKey, Status, Stream};
use crate::vod::fault::{ErrorCode, fault_of};

/// For how long a deleted message's id and a seen body are remembered.
const DEDUPE_WINDOW: Duration = Duration::from_hours(1);
/// How many ids, bodies or peeked messages a queue remembers of each.
const TABLE_CAPACITY: usize = 100_000;
/// MNS's longest retention in any revision of its documents, assumed until the queue's own is known.
const LONGEST_RETENTION: Duration = Duration::from_hours(360);
/// How often tables are searched for what MNS can no longer hold.
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);
/// More strangers than this within an hour, and the view is incomplete.
const STRANGERS_TOLERATED: usize = 3;
/// For how long the view stays incomplete after that.
const STRANGER_PENALTY: Duration = Duration::from_hours(24);
/// MNS clocks differ, and a Date has a precision of a second.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);
/// A receive of the process before this one may wait at MNS for as long as a long poll can, 30 s, and dequeue for nobody.
const PREDECESSOR_RECEIVES: Duration = Duration::from_secs(30);
/// How many lost receives are remembered.
const LOST_CAPACITY: usize = 256;

/// Rows dropped from full tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evictions {
    /// Ids of deleted messages.
    pub dedupe: u64,
    /// Bodies that duplicates are recognised by.
    pub contents: u64,
    /// Messages seen by peeking.
    pub seen: u64,
    /// Undecodable messages.
    pub quarantine: u64,
}

/// Committed state of one queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueState {
    pub(super) identity: Arc<QueueIdentity>,
    pub(super) open: bool,
    pub(super) counts: Counts,
    pub(super) pending: PendingTable,
    pub(super) last_event: Option<UnixMillis>,
    pub(super) observed_until: Option<UnixMillis>,
    pub(super) watched_since: Option<UnixMillis>,
    pub(super) changed_at: UnixMillis,
    pub(super) evictions: Evictions,
    pub(super) transcodes: Transcodes,
    settings: QueueSettings,
    retention: Option<Duration>,
    deleted: Window<MessageKey, Deleted>,
    contents: Window<ContentKey, ()>,
    seen: Seen,
    opened_at: UnixMillis,
    next_sweep: UnixMillis,
    lost_receives: VecDeque<(UnixMillis, UnixMillis)>,
    strangers: VecDeque<UnixMillis>,
    incomplete_until: Option<UnixMillis>,
}

/// A message whose deletion is confirmed.
#[derive(Clone, PartialEq, Copy, Debug, Serialize, Deserialize)]
struct Deleted {
    dequeue_count: u32,
    forwarded: bool,
}

/// What one sighting turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    /// Seen before.
    Known,
    /// New, and counted.
    Counted,
    /// New, but enqueued before counting began.
    Baseline,
}

// === impl QueueState ===

impl QueueState {
    pub(super) fn new(identity: Arc<QueueIdentity>, at: UnixMillis) -> Self {
        Self {
            identity,
            open: true,
            counts: Counts::default(),
            pending: PendingTable::default(),
            last_event: None,
            observed_until: None,
            watched_since: None,
            changed_at: at,
            evictions: Evictions::default(),
            transcodes: Transcodes::default(),
            settings: QueueSettings::default(),
            retention: None,
            deleted: Window::new(TABLE_CAPACITY),
            contents: Window::new(TABLE_CAPACITY),
            seen: Seen::new(at, TABLE_CAPACITY),
            opened_at: at,
            next_sweep: at,
            lost_receives: VecDeque::new(),
            strangers: VecDeque::new(),
            incomplete_until: None,
        }
    }

    pub(super) fn open(
        &mut self,
        identity: Arc<QueueIdentity>,
        settings: QueueSettings,
        at: UnixMillis,
    ) {
        self.watched_since = (identity.mode == Mode::Consume).then_some(at);
        self.identity = identity;
        self.settings = settings;
        self.transcodes.configure(settings.transcodes);
        self.open = true;
        self.opened_at = at;
        self.changed_at = at;
        self.lost_receives.clear();
        if self.counts.messages_seen == 0 && self.seen.is_empty() {
            // Opened by a local clock that may be wrong, and now by the clock of MNS.
            self.seen = Seen::new(at, TABLE_CAPACITY);
        }
    }

    pub(super) fn close(&mut self, at: UnixMillis) {
        self.open = false;
        self.changed_at = at;
        self.watched_since = None;
        self.observed_until = None;
    }

    /// What came before `until` may be missing.
    pub(super) fn gap(&mut self, until: UnixMillis) {
        if let Some(since) = &mut self.watched_since {
            *since = until.max(*since);
        }
    }

    pub(super) fn set_retention(&mut self, retention: Duration) {
        self.retention = Some(retention);
    }

    pub(super) fn receive_lost(&mut self, from: UnixMillis, to: UnixMillis) {
        if self.lost_receives.len() == LOST_CAPACITY {
            self.lost_receives.pop_front();
        }
        self.lost_receives
            .push_back((from.minus(CLOCK_TOLERANCE), to.plus(CLOCK_TOLERANCE)));
    }

    pub(super) fn observe(&mut self, until: UnixMillis, turn: &mut Turn) {
        self.observed_until = self.observed_until.max(Some(until));
        self.expire(until, turn);
    }

    /// A peeked queue was read at `at`.
    pub(super) fn tick(&mut self, at: UnixMillis, turn: &mut Turn) {
        self.expire(at, turn);
    }

    pub(super) fn judge(&mut self, at: UnixMillis, judgements: &[Judgement], turn: &mut Turn) {
        self.transcodes.set_complete(self.view_complete(at));
        for judgement in judgements {
            self.transcodes.judge(judgement, at, &mut self.counts, turn);
        }
    }

    pub(super) fn sweep_in(
        &mut self,
        at: UnixMillis,
        videos: &[(MediaKey, UnixMillis)],
        turn: &mut Turn,
    ) {
        for (media, since) in videos {
            self.transcodes
                .sweep(media, *since, at, &mut self.counts, turn);
        }
    }

    /// Whether anything can be said of transcodes: of what is peeked at only if VOD can be asked.
    pub(super) fn tracks(&self) -> bool {
        self.identity.role == Role::Callback
            && (self.identity.mode == Mode::Consume || self.settings.transcodes.reconciled)
    }

    fn expire(&mut self, until: UnixMillis, turn: &mut Turn) {
        if self.tracks() {
            self.transcodes.set_complete(self.view_complete(until));
            let now = self.last_handled().map_or(until, |at| at.max(until));
            self.transcodes.expire(until, now, &mut self.counts, turn);
        }
    }

    /// When a body was handled last, of which the stored window is the witness, so that a replay finds the same; none if that
    /// was long ago. Behind a backlog it is later than what is observed.
    fn last_handled(&self) -> Option<UnixMillis> {
        let expiry = self.contents.last_expiry()?;
        Some(expiry.minus(DEDUPE_WINDOW))
    }

    /// Whether every message passes through this exporter.
    pub(super) fn view_complete(&self, at: UnixMillis) -> bool {
        self.identity.mode == Mode::Consume && self.incomplete_until.is_none_or(|until| at >= until)
    }

    /// Applies one sighting; the caller puts the body of a newly counted undecodable message into quarantine.
    pub(super) fn sight(
        &mut self,
        sighting: &Sighting,
        at: UnixMillis,
        turn: &mut Turn,
    ) -> Novelty {
        self.sweep(at);
        let consuming = self.identity.mode == Mode::Consume;
        if let Some(known) = self.last_known(sighting) {
            self.counts.redeliveries += u64::from(sighting.dequeue_count.saturating_sub(known));
            if consuming {
                self.take(sighting, at);
            }
            return Novelty::Known;
        }
        if consuming {
            self.take(sighting, at);
            self.suspect_strangers(sighting, at);
        } else {
            let count = sighting.dequeue_count.max(1);
            self.evictions.seen += self
                .seen
                .insert(sighting.message, sighting.enqueue_time, count);
            if !self.seen.counts(sighting.enqueue_time) {
                return Novelty::Baseline;
            }
        }
        self.count(sighting, at, turn);
        Novelty::Counted
    }

    /// MNS confirmed that a message is deleted.
    pub(super) fn delete(&mut self, message: MessageKey, at: UnixMillis) {
        let Some(pending) = self.pending.remove(&message) else {
            return;
        };
        let taken = u64::try_from(at.millis_since(pending.received_at)).unwrap_or(0);
        self.counts.processing.observe(PROCESSING_BOUNDS, taken);
        let expires = at.plus(DEDUPE_WINDOW);
        let deleted = Deleted {
            dequeue_count: pending.dequeue_count,
            forwarded: pending.forwarded,
        };
        self.evictions.dedupe += self.deleted.insert(message, deleted, expires);
        if let Some(content) = pending.content {
            self.evictions.contents += self.contents.insert(content, (), expires);
        }
    }

    /// Marks a message as passed on; false if it was already.
    pub(super) fn mark_forwarded(&mut self, message: MessageKey) -> bool {
        let marked = self
            .pending
            .get_mut(&message)
            .map(|pending| std::mem::replace(&mut pending.forwarded, true));
        marked == Some(false)
    }

    /// Raises the DequeueCount known of a message and returns what it was; none for a new message.
    fn last_known(&mut self, sighting: &Sighting) -> Option<u32> {
        let known = match self.pending.get_mut(&sighting.message) {
            Some(pending) => &mut pending.dequeue_count,
            None => match self.deleted.get_mut(&sighting.message) {
                Some(deleted) => &mut deleted.dequeue_count,
                None => self.seen.get_mut(&sighting.message)?,
            },
        };
        let before = *known;
        *known = before.max(sighting.dequeue_count);
        Some(before)
    }

    /// Makes a received message pending.
    fn take(&mut self, sighting: &Sighting, at: UnixMillis) {
        let pending = Pending {
            enqueue_time: sighting.enqueue_time,
            received_at: at,
            visible_at: sighting.next_visible_time.unwrap_or(at),
            dequeue_count: sighting.dequeue_count,
            content: match &sighting.content {
                Content::Event { key, .. } => Some(*key),
                Content::Undecodable { .. } => None,
            },
            // One that comes back after its deletion has been passed on already.
            forwarded: self
                .deleted
                .get_mut(&sighting.message)
                .is_some_and(|deleted| deleted.forwarded),
        };
        match self.pending.get_mut(&sighting.message) {
            // A late answer must not take back what a later receive told.
            Some(known) if known.visible_at > pending.visible_at => {}
            Some(known) => {
                let dequeue_count = known.dequeue_count.max(pending.dequeue_count);
                *known = Pending {
                    dequeue_count,
                    forwarded: known.forwarded || pending.forwarded,
                    ..pending
                };
            }
            None => self.pending.insert(sighting.message, pending),
        }
    }

    fn count(&mut self, sighting: &Sighting, at: UnixMillis, turn: &mut Turn) {
        self.counts.messages_seen += 1;
        self.counts.redeliveries += u64::from(sighting.dequeue_count.saturating_sub(1));
        if self.view_complete(at) {
            let wait = sighting
                .first_dequeue_time
                .millis_since(sighting.enqueue_time);
            self.counts
                .wait
                .observe(DELIVERY_BOUNDS, u64::try_from(wait).unwrap_or(0));
        }
        if self.identity.role == Role::DeadLetter {
            // Its events were counted in the queue that they died in.
            return;
        }
        match &sighting.content {
            Content::Undecodable { reason, .. } => {
                if let Some(count) = self.counts.decode_failures.get_mut(reason.index()) {
                    *count += 1;
                }
            }
            Content::Event { event, key } => {
                let duplicate = self.contents.contains(key);
                self.evictions.contents += self.contents.insert(*key, (), at.plus(DEDUPE_WINDOW));
                if duplicate {
                    self.counts.duplicates += 1;
                } else {
                    self.count_event(event, sighting.enqueue_time);
                    if self.tracks() {
                        self.transcodes.set_complete(self.view_complete(at));
                        self.transcodes.event(event, at, &mut self.counts, turn);
                    }
                }
            }
        }
    }

    fn count_event(&mut self, event: &Event, enqueue_time: UnixMillis) {
        let counts = &mut self.counts;
        self.last_event = self.last_event.max(Some(enqueue_time));
        let delivery = enqueue_time.millis_since(event.event_time);
        counts.skewed += u64::from(delivery < 0);
        counts
            .delivery
            .observe(DELIVERY_BOUNDS, u64::try_from(delivery).unwrap_or(0));
        add(
            &mut counts.events,
            event.event_type.index(),
            event.status.index(),
        );
        if event.status == Status::Fail {
            let fault = fault_of(event.event_type, event.error);
            add(&mut counts.faults, event.event_type.index(), fault.index());
            let code = event.error.unwrap_or(ErrorCode::None);
            *counts.failures.entry((event.event_type, code)).or_default() += 1;
        }
        let tells_streams = match self.settings.streams_from {
            StreamsFrom::Events => EventType::StreamTranscodeComplete,
            StreamsFrom::Summary => EventType::TranscodeComplete,
        };
        if event.event_type == tells_streams {
            for stream in &event.streams {
                self.count_stream(stream);
            }
        }
    }

    fn count_stream(&mut self, stream: &Stream) {
        let definition = stream.definition.index();
        add(&mut self.counts.streams, definition, stream.status.index());
        let took = stream
            .start
            .zip(stream.finish)
            .map(|(start, finish)| finish.millis_since(start));
        if let Some(took) = took.and_then(|took| u64::try_from(took).ok())
            && let Some(histogram) = self.counts.stream_seconds.get_mut(definition)
        {
            histogram.observe(TRANSCODE_BOUNDS, took);
        }
    }

    /// Notes a message that somebody else received first while we were watching.
    fn suspect_strangers(&mut self, sighting: &Sighting, at: UnixMillis) {
        let first = sighting.first_dequeue_time;
        let ours = sighting.dequeue_count <= 1
            || first < self.opened_at.plus(PREDECESSOR_RECEIVES + CLOCK_TOLERANCE)
            || self
                .lost_receives
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&first));
        if ours {
            return;
        }
        let hour_ago = at.minus(DEDUPE_WINDOW);
        while self.strangers.front().is_some_and(|seen| *seen < hour_ago) {
            self.strangers.pop_front();
        }
        self.strangers.push_back(at);
        if self.strangers.len() > STRANGERS_TOLERATED {
            self.strangers.pop_front();
            self.incomplete_until = Some(at.plus(STRANGER_PENALTY));
            self.watched_since = self.incomplete_until;
        }
    }

    /// Forgets what MNS can no longer hold.
    fn sweep(&mut self, now: UnixMillis) {
        self.deleted.expire(now);
        self.contents.expire(now);
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now.plus(SWEEP_INTERVAL);
        let kept = self.retention.unwrap_or(LONGEST_RETENTION) + DEDUPE_WINDOW;
        self.pending.expire(now.minus(kept));
        self.seen.expire(now.minus(kept));
    }
}

fn add<const N: usize>(table: &mut [[u64; N]], row: usize, column: usize) {
    if let Some(count) = table.get_mut(row).and_then(|row| row.get_mut(column)) {
        *count += 1;
    }
}
