//! Every transcode of a queue: which are in flight, overdue, stalled, and since when.
//!
//! Sans-I/O: events and instants come in, counts and findings go out. Deadlines expire against the instant up to which
//! everything enqueued has been seen, never against now, so that a backlog or an outage makes no stall.

mod table;
mod trouble;
mod video;

use serde::{Deserialize, Serialize};

use self::table::Table;
use self::video::{Marks, Outcome, Seconds, Video, at, earliest, instant};
use super::counts::{Counts, TRANSCODE_BOUNDS};
use super::record::TranscodeSettings;
use super::snapshot::Transcodes as Summary;
use super::verdict::{Judgement, Overdue, Stage, Verdict};
use crate::clock::UnixMillis;
use crate::vod::event::{Event, EventType, MediaKey, Status};
use crate::vod::fault::{Fault, fault_of};

pub(super) use self::trouble::Turn;
pub use self::trouble::{Abandoned, Ailment, Trouble};
pub use self::video::State;

/// An ended video is remembered so long, so that a late or repeated start event opens nothing.
const REMEMBERED: Seconds = 24 * 3600;
/// At most so many videos that a record closed are named.
const NAMED: usize = 10;

/// All transcodes of one queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcodes {
    settings: TranscodeSettings,
    /// Whether every callback passes through this exporter.
    complete: bool,
    table: Table,
    tally: Tally,
    last_stream: Option<UnixMillis>,
    evicted: u64,
    /// By the record that is being applied.
    #[serde(skip)]
    closings: Vec<Closing>,
}

/// Videos that one record closed by the same verdict, though somebody may go on waiting for their callbacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Why.
    pub verdict: Verdict,
    /// The first of them.
    pub videos: Vec<MediaKey>,
    /// How many more there are.
    pub more: u64,
}

/// How many open videos there are of each kind, kept up to date with every change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    overdue: [u64; Verdict::COUNT],
    stalled: [u64; Stage::COUNT],
}

/// One video as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscodeRow {
    /// Which video.
    pub media: MediaKey,
    /// Where it stands.
    pub state: State,
    /// When the wait for its transcode began.
    pub started: UnixMillis,
    /// When its deadline passed; none before.
    pub overdue_since: Option<UnixMillis>,
    /// What is said of it, once overdue.
    pub verdict: Option<Verdict>,
    /// Where it is stuck, if stalled.
    pub stage: Option<Stage>,
    /// When it was closed without its callback; none while it is open.
    pub closed: Option<UnixMillis>,
    /// Seconds of media; none while unknown.
    pub duration_seconds: Option<u32>,
}

// === impl Transcodes ===

impl Transcodes {
    /// How transcodes are judged from now on; deadlines already set stay until the video's next event.
    pub(super) fn configure(&mut self, settings: TranscodeSettings) {
        self.settings = settings;
    }

    /// Whether every callback passes through this exporter, from now on.
    pub(super) fn set_complete(&mut self, complete: bool) {
        self.complete = complete;
    }

    /// Takes in a distinct event that the ledger counted, handled at `now`.
    pub(super) fn event(
        &mut self,
        event: &Event,
        now: UnixMillis,
        counts: &mut Counts,
        turn: &mut Turn,
    ) {
        let Some(media) = event.media.as_ref().filter(|_| is_about_transcodes(event)) else {
            return;
        };
        if event.event_type == EventType::StreamTranscodeComplete {
            self.last_stream = self.last_stream.max(Some(event.event_time));
        }
        self.change(media, now, counts, turn, |video| learn(video, event));
    }

    /// VOD was asked about overdue transcodes.
    pub(super) fn judge(
        &mut self,
        judgement: &Judgement,
        now: UnixMillis,
        counts: &mut Counts,
        turn: &mut Turn,
    ) {
        add(&mut counts.reconciliations, judgement.verdict.index());
        let Some(video) = self.table.get(&judgement.media) else {
            return;
        };
        if !video.is_open() || video.overdue == 0 {
            return;
        }
        self.change(&judgement.media, now, counts, turn, |video| {
            if judgement.verdict.closes() {
                video.closed = at(now).max(video.last_start);
            } else if judgement.verdict == Verdict::Stalled && video.verdict != Verdict::Stalled {
                video.stage = judgement.stage;
            }
            video.verdict = judgement.verdict;
        });
    }

    /// VOD lists a video that it transcodes and whose upload may have gone unseen. One that was created long ago is as good as
    /// half abandoned: its transcode may be a later one, and nobody has been told of it yet.
    pub(super) fn sweep(
        &mut self,
        media: &MediaKey,
        since: UnixMillis,
        now: UnixMillis,
        counts: &mut Counts,
        turn: &mut Turn,
    ) {
        if self.table.get(media).is_none() {
            let since = since.max(now.minus(self.settings.abandon_after / 2));
            self.change(media, now, counts, turn, |video| {
                earliest(&mut video.heard, at(since));
            });
        }
    }

    /// Everything enqueued up to `until` has been seen, which is known since `now`: what was due by then and did not come is
    /// overdue.
    pub(super) fn expire(
        &mut self,
        until: UnixMillis,
        now: UnixMillis,
        counts: &mut Counts,
        turn: &mut Turn,
    ) {
        let until = at(until);
        self.table.forget_ended(until);
        while let Some(before) = self.table.due(until).cloned() {
            self.tally.remove(&before);
            let mut video = before.clone();
            self.fall_due(&mut video, until);
            self.settle(&before, video, until, now, counts, turn);
        }
    }

    /// The instant of [`Transcodes::expire`] at which something happens next.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.table.next_due().and_then(instant)
    }

    /// What the gauges show.
    pub(super) fn summary(&self) -> Summary {
        Summary {
            reconciled: self.settings.reconciled,
            in_flight: self.table.open() as u64,
            oldest: self
                .table
                .by_age()
                .next()
                .and_then(|video| instant(video.started())),
            overdue: self.tally.overdue,
            stalled: self.tally.stalled,
        }
    }

    /// Overdue transcodes, the oldest first.
    pub(super) fn overdue(&self) -> impl Iterator<Item = Overdue> {
        self.table
            .by_age()
            .filter(|video| video.overdue != 0)
            .map(|video| Overdue {
                media: video.media.clone(),
                started: UnixMillis::from_secs(video.started().into()),
                since: UnixMillis::from_secs(video.overdue.into()),
                deadline_millis: u64::from(video.overdue.saturating_sub(video.started())) * 1000,
                verdict: video.verdict,
            })
    }

    /// Open transcodes, the oldest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = TranscodeRow> {
        self.table.by_age().map(TranscodeRow::of)
    }

    /// Transcodes of the last day that were closed and of whose end no callback has told since, those closed last first.
    pub(super) fn closed(&self) -> impl Iterator<Item = TranscodeRow> {
        self.table
            .ended()
            .filter(|video| video.is_closed())
            .map(TranscodeRow::of)
    }

    /// When the last output stream of the queue ended.
    pub(super) fn last_stream(&self) -> Option<UnixMillis> {
        self.last_stream
    }

    /// What was closed since the last call.
    pub(super) fn take_closings(&mut self) -> Vec<Closing> {
        std::mem::take(&mut self.closings)
    }

    /// Videos dropped because there were too many.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Changes a video, which is made if it is not there, and counts what follows from the change.
    fn change(
        &mut self,
        media: &MediaKey,
        now: UnixMillis,
        counts: &mut Counts,
        turn: &mut Turn,
        change: impl FnOnce(&mut Video),
    ) {
        let before = self.table.get(media).cloned().unwrap_or_else(|| {
            while self.table.len()
                >= usize::try_from(self.settings.max_videos).unwrap_or(usize::MAX)
                && let Some(evicted) = self.table.evict()
            {
                self.tally.remove(&evicted);
                self.evicted += 1;
            }
            Video::new(media.clone())
        });
        self.tally.remove(&before);
        let mut video = before.clone();
        change(&mut video);
        if video.heard == 0 {
            video.heard = at(now);
        }
        self.settle(&before, video, 0, now, counts, turn);
    }

    /// Counts what a change made knowable and puts the video in its place, to be looked at when something is due next.
    fn settle(
        &mut self,
        before: &Video,
        mut video: Video,
        until: Seconds,
        now: UnixMillis,
        counts: &mut Counts,
        turn: &mut Turn,
    ) {
        if video.is_open() && before.has_ended() && !before.is_open() {
            // A new run: its deadline is its own.
            (video.overdue, video.verdict, video.stage) = (0, Verdict::Unasked, Stage::Submit);
        }
        let is_gone = video.marks.has(Marks::DELETED);
        if is_gone
            || video.is_open()
            || (video.ended, video.outcome) != (before.ended, before.outcome)
        {
            video.marks.clear(Marks::GIVEN_UP);
        }
        self.measure(&mut video, until, counts);
        if video.is_stalled() && !before.is_stalled() {
            counts.stalls += 1;
        }
        if video.closed != before.closed {
            add(&mut counts.closed, video.verdict.index());
            if video.verdict.leaves_waiting() {
                self.note_closing(&video);
            }
            if video.verdict == Verdict::Abandoned && before.is_stalled() {
                video.marks.set(Marks::GIVEN_UP);
            }
        }
        video.wake = if video.is_open() {
            self.wake(&video)
        } else if before.ended == video.ended && before.end_known() < before.ended {
            // An end that lies ahead is bounded by when it was told first, whatever comes later.
            before.wake
        } else {
            at(now).saturating_add(REMEMBERED)
        };
        let is_new = video.is_troubled(at(now)) && !before.is_troubled(at(now));
        let place = is_new.then(|| turn.take());
        self.tally.add(&video);
        self.table.put(video, place);
    }

    fn note_closing(&mut self, video: &Video) {
        let same = |closing: &&mut Closing| closing.verdict == video.verdict;
        match self.closings.iter_mut().find(same) {
            Some(closing) if closing.videos.len() < NAMED => {
                closing.videos.push(video.media.clone());
            }
            Some(closing) => closing.more += 1,
            None => self.closings.push(Closing {
                verdict: video.verdict,
                videos: vec![video.media.clone()],
                more: 0,
            }),
        }
    }

    /// What becomes of an open video when everything until `until` has been seen.
    fn fall_due(&self, video: &mut Video, until: Seconds) {
        let deadline = video.deadline(&self.settings);
        if video.overdue == 0 && deadline <= until {
            video.overdue = deadline;
            let expected = video.has_streams() || self.settings.expect_every_upload;
            (video.verdict, video.stage) =
                match (self.settings.reconciled, self.complete && expected) {
                    (true, _) => (Verdict::Unasked, Stage::Submit),
                    (false, true) if video.has_streams() => (Verdict::Stalled, Stage::Transcode),
                    (false, true) => (Verdict::Stalled, Stage::Submit),
                    (false, false) => (Verdict::Unknown, Stage::Submit),
                };
        }
        if video.abandoned(&self.settings) <= until {
            video.closed = until.max(video.last_start);
            video.verdict = Verdict::Abandoned;
        }
    }

    /// When an open video has to be looked at next.
    fn wake(&self, video: &Video) -> Seconds {
        let mut wake = video.abandoned(&self.settings);
        if video.overdue == 0 {
            wake = wake.min(video.deadline(&self.settings));
        }
        let objective = video.objective(&self.settings).filter(|_| {
            self.complete
                && !video.marks.has(Marks::OBJECTIVE_COUNTED)
                && (video.has_streams() || self.settings.expect_every_upload)
        });
        wake.min(objective.map_or(Seconds::MAX, |objective| objective.saturating_add(1)))
    }

    /// Observes what both ends are known of; each once a video.
    fn measure(&self, video: &mut Video, until: Seconds, counts: &mut Counts) {
        let between = |from: Seconds, to: Seconds| u64::from(to.saturating_sub(from)) * 1000;
        if video.uploaded == 0 || !self.complete {
            return;
        }
        if video.first_good != 0 && !video.marks.has(Marks::PLAYABLE_COUNTED) {
            video.marks.set(Marks::PLAYABLE_COUNTED);
            counts
                .playable
                .observe(TRANSCODE_BOUNDS, between(video.uploaded, video.first_good));
        }
        if video.ended != 0
            && !video.marks.has(Marks::TRANSCODE_COUNTED)
            && let Some(outcome) = video.outcome
            && let Some(histogram) = counts.transcode.get_mut(outcome.index())
        {
            video.marks.set(Marks::TRANSCODE_COUNTED);
            histogram.observe(TRANSCODE_BOUNDS, between(video.uploaded, video.ended));
        }
        if video.ended != 0 && video.first_start != 0 && !video.marks.has(Marks::WAIT_COUNTED) {
            video.marks.set(Marks::WAIT_COUNTED);
            counts
                .stream_wait
                .observe(TRANSCODE_BOUNDS, between(video.uploaded, video.first_start));
        }
        if !video.marks.has(Marks::OBJECTIVE_COUNTED)
            && let Some(verdict) = self.objective(video, until)
        {
            video.marks.set(Marks::OBJECTIVE_COUNTED);
            if let Objective::Counts { good } = verdict
                && let Some(count) = counts.objective.get_mut(usize::from(!good))
            {
                *count += 1;
            }
        }
    }

    /// Whether a video met the objective, as soon as that is certain.
    fn objective(&self, video: &Video, until: Seconds) -> Option<Objective> {
        let due = video.objective(&self.settings)?;
        if video.first_good != 0 {
            return Some(Objective::Counts {
                good: video.first_good <= due,
            });
        }
        if video.marks.has(Marks::DELETED)
            || matches!(video.outcome, Some(Outcome::FailSource))
            || video.analysis_failed != 0
        {
            return Some(Objective::Exempt);
        }
        if video.closed != 0 {
            let waited = video.has_streams() || self.settings.expect_every_upload;
            return Some(match video.verdict {
                Verdict::Abandoned if waited => Objective::Counts { good: false },
                _ => Objective::Exempt,
            });
        }
        let stalled = video.overdue != 0 && video.verdict == Verdict::Stalled;
        let expected = video.has_streams() || stalled || self.settings.expect_every_upload;
        let failed = matches!(video.outcome, Some(Outcome::Fail(_)));
        (failed || (expected && until > due)).then_some(Objective::Counts { good: false })
    }
}

/// What a video does to the objective's counters.
enum Objective {
    Counts {
        good: bool,
    },
    /// The uploader's own fault, or nothing to transcode.
    Exempt,
}

/// Adds what an event tells.
fn learn(video: &mut Video, event: &Event) {
    let made = at(event.event_time);
    earliest(&mut video.heard, made);
    if event.deletes_media {
        video.marks.set(Marks::DELETED);
        return;
    }
    match event.event_type {
        EventType::VideoAnalysisComplete if event.status == Status::Fail => {
            video.marks.set(Marks::ANALYSED);
            earliest(&mut video.analysis_failed, made);
        }
        EventType::VideoAnalysisComplete => {
            video.marks.set(Marks::ANALYSED);
            let millis = event.duration_millis.unwrap_or_default();
            video.duration = video
                .duration
                .max(u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX));
        }
        EventType::StreamTranscodeComplete | EventType::TranscodeComplete => {
            for stream in &event.streams {
                let ready =
                    (stream.status == Status::Success).then(|| stream.finish.map_or(made, at));
                // No job begins after the event that tells of it: a start that does would open a run without end.
                let start = stream.start.map(|start| at(start).min(made));
                video.stream(start, made, ready);
            }
            if event.event_type == EventType::TranscodeComplete {
                video.end(made, outcome(event));
            }
        }
        _ => earliest(&mut video.uploaded, made),
    }
}

/// `success` of a whole transcode means that at least one output is good.
fn outcome(event: &Event) -> Outcome {
    let all_good = event
        .streams
        .iter()
        .all(|stream| stream.status == Status::Success);
    match event.status {
        Status::Fail if fault_of(event.event_type, event.error) == Fault::Source => {
            Outcome::FailSource
        }
        Status::Fail => Outcome::Fail(event.error),
        _ if all_good => Outcome::Success,
        _ => Outcome::Partial,
    }
}

/// Events that start, advance or end a transcode; a failed upload starts nothing.
fn is_about_transcodes(event: &Event) -> bool {
    match event.event_type {
        EventType::FileUploadComplete
        | EventType::UploadByURLComplete
        | EventType::AddLiveRecordVideoComplete
        | EventType::ProduceMediaComplete => event.status != Status::Fail,
        EventType::VideoAnalysisComplete
        | EventType::StreamTranscodeComplete
        | EventType::TranscodeComplete => true,
        _ => event.deletes_media,
    }
}

fn add(counts: &mut [u64], index: usize) {
    if let Some(count) = counts.get_mut(index) {
        *count += 1;
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, video: &Video) {
        self.change(video, |count| *count += 1);
    }

    fn remove(&mut self, video: &Video) {
        self.change(video, |count| *count -= 1);
    }

    fn change(&mut self, video: &Video, change: impl Fn(&mut u64)) {
        if video.overdue == 0 || !video.is_open() {
            return;
        }
        if let Some(count) = self.overdue.get_mut(video.verdict.index()) {
            change(count);
        }
        if video.verdict == Verdict::Stalled
            && let Some(count) = self.stalled.get_mut(video.stage.index())
        {
            change(count);
        }
    }
}

// === impl TranscodeRow ===

impl TranscodeRow {
    fn of(video: &Video) -> Self {
        let overdue_since = instant(video.overdue);
        let verdict = overdue_since.map(|_| video.verdict);
        Self {
            media: video.media.clone(),
            state: video.state(),
            started: UnixMillis::from_secs(video.started().into()),
            overdue_since,
            verdict,
            stage: verdict
                .filter(|verdict| *verdict == Verdict::Stalled)
                .map(|_| video.stage),
            closed: instant(video.closed).filter(|_| video.is_closed()),
            duration_seconds: (video.duration != 0).then_some(video.duration),
        }
    }
}

#[cfg(test)]
mod tests;
