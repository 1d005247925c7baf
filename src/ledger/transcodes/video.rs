//! What is known of one video: facts that only ever grow, so that events may come in any order and any number.
//!
//! Every field is a maximum, a minimum or a fact that stays true. Where the video stands follows from them: the order in
//! which they were learned cannot matter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::record::TranscodeSettings;
use super::super::verdict::{Stage, Verdict};
use crate::clock::UnixMillis;
use crate::vod::event::MediaKey;
use crate::vod::fault::ErrorCode;

/// A transcode that VOD reports without its StartTime belongs to a new run this long after the last one ended.
const RUN_GAP: Seconds = 60;
/// After a failed analysis VOD starts no transcode, and says so soon.
const AFTER_FAILED_ANALYSIS: Seconds = 300;

/// Whole seconds since the Unix epoch, the precision of VOD's events; 0 is "not known".
pub(super) type Seconds = u32;

/// How a transcode ended; of two ends in the same second the greater one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Outcome {
    Success,
    Partial,
    /// The uploaded file is to blame.
    FailSource,
    /// Why, where VOD told it.
    Fail(Option<ErrorCode>),
}

/// What is true of a video once and for all. One byte: a million videos have to fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks(u8);

/// Everything known of a video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Video {
    pub(super) media: MediaKey,
    /// When it was first heard of, by the events' own time.
    pub(super) heard: Seconds,
    /// When its upload ended.
    pub(super) uploaded: Seconds,
    /// Seconds of media.
    pub(super) duration: u32,
    /// When its analysis failed.
    pub(super) analysis_failed: Seconds,
    /// Start of the first output's job.
    pub(super) first_start: Seconds,
    /// Start of the last output's job; where VOD told none, its event less the gap between two runs.
    pub(super) last_start: Seconds,
    /// When the first good output was ready.
    pub(super) first_good: Seconds,
    /// When the transcode ended, the last time it did.
    pub(super) ended: Seconds,
    /// When its deadline passed; frozen, so that a page tells one instant.
    pub(super) overdue: Seconds,
    /// When a verdict closed it.
    pub(super) closed: Seconds,
    pub(super) outcome: Option<Outcome>,
    pub(super) verdict: Verdict,
    pub(super) stage: Stage,
    pub(super) marks: Marks,
    /// When the table offers it next.
    pub(super) wake: Seconds,
}

/// Where a video stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its upload has ended.
    Uploaded,
    /// VOD has read its metadata.
    Analysed,
    /// At least one output was seen.
    Transcoding,
    /// All outputs are good.
    Done,
    /// Some outputs are good.
    Partial,
    /// No output is good.
    Failed,
    /// The media file is gone.
    Deleted,
    /// Closed by VOD's word or by time, not by a callback.
    Closed,
}

// === impl State ===

impl State {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Analysed => "analysed",
            Self::Transcoding => "transcoding",
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
            Self::Closed => "closed",
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// The position of its label in `TRANSCODE_STATUSES`.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Success => 0,
            Self::Partial => 1,
            Self::FailSource | Self::Fail(_) => 2,
        }
    }
}

// === impl Marks ===

impl Marks {
    /// VOD has read its metadata, or failed to.
    pub(super) const ANALYSED: Self = Self(1);
    /// The media file is gone.
    pub(super) const DELETED: Self = Self(1 << 1);
    /// Its whole transcode was measured; each of these counts once.
    pub(super) const TRANSCODE_COUNTED: Self = Self(1 << 2);
    pub(super) const PLAYABLE_COUNTED: Self = Self(1 << 3);
    pub(super) const WAIT_COUNTED: Self = Self(1 << 4);
    pub(super) const OBJECTIVE_COUNTED: Self = Self(1 << 5);
    /// It was stalled when it was closed as abandoned, and nothing was heard of it since.
    pub(super) const GIVEN_UP: Self = Self(1 << 6);

    pub(super) fn set(&mut self, mark: Self) {
        self.0 |= mark.0;
    }

    pub(super) fn clear(&mut self, mark: Self) {
        self.0 &= !mark.0;
    }

    pub(super) fn has(self, mark: Self) -> bool {
        self.0 & mark.0 != 0
    }
}

// === impl Video ===

impl Video {
    pub(super) fn new(media: MediaKey) -> Self {
        Self {
            media,
            heard: 0,
            uploaded: 0,
            duration: 0,
            analysis_failed: 0,
            first_start: 0,
            last_start: 0,
            first_good: 0,
            ended: 0,
            overdue: 0,
            closed: 0,
            outcome: None,
            verdict: Verdict::Unasked,
            stage: Stage::Submit,
            marks: Marks::default(),
            wake: 0,
        }
    }

    /// Whether somebody still waits for its transcode.
    pub(super) fn is_open(&self) -> bool {
        !self.marks.has(Marks::DELETED)
            && (!self.has_ended() || self.last_start > self.ended.max(self.closed))
    }

    /// Whether its transcode has ended at least once, or was closed.
    pub(super) fn has_ended(&self) -> bool {
        self.ended != 0 || self.closed != 0
    }

    /// Whether its last run was closed, and no callback has told of its end since.
    pub(super) fn is_closed(&self) -> bool {
        let unheard = self.ended == 0 || self.ended < self.last_start;
        !self.marks.has(Marks::DELETED) && !self.is_open() && unheard
    }

    /// Whether an output was seen: somebody transcodes this video.
    pub(super) fn has_streams(&self) -> bool {
        self.last_start != 0
    }

    /// Whether it is said to be stalled. Of an ended video this tells how it was before.
    pub(super) fn is_stalled(&self) -> bool {
        self.overdue != 0 && self.verdict == Verdict::Stalled
    }

    pub(super) fn state(&self) -> State {
        if self.marks.has(Marks::DELETED) {
            return State::Deleted;
        }
        if self.is_open() {
            return match (self.has_streams(), self.marks.has(Marks::ANALYSED)) {
                (true, _) => State::Transcoding,
                (false, true) => State::Analysed,
                (false, false) => State::Uploaded,
            };
        }
        match self.outcome.filter(|_| !self.is_closed()) {
            Some(Outcome::Success) => State::Done,
            Some(Outcome::Partial) => State::Partial,
            Some(Outcome::FailSource | Outcome::Fail(_)) => State::Failed,
            None => State::Closed,
        }
    }

    /// When the wait for its present transcode began.
    pub(super) fn started(&self) -> Seconds {
        if self.has_ended() && self.last_start != 0 {
            return self.last_start;
        }
        match (self.uploaded, self.first_start) {
            (0, 0) => self.heard,
            (0, start) => start,
            (uploaded, _) => uploaded,
        }
    }

    /// The latest instant of its own that was told of it.
    pub(super) fn last_sign(&self) -> Seconds {
        let told = [
            self.uploaded,
            self.analysis_failed,
            self.last_start,
            self.first_good,
            self.ended,
        ];
        told.into_iter().fold(self.heard, Seconds::max)
    }

    /// When it is overdue.
    pub(super) fn deadline(&self, settings: &TranscodeSettings) -> Seconds {
        let granted = match self.duration {
            0 => seconds(settings.unknown_duration),
            duration => {
                let factor = u64::from(settings.factor_millis) * u64::from(duration) / 1000;
                seconds(settings.base).saturating_add(u32::try_from(factor).unwrap_or(u32::MAX))
            }
        };
        let deadline = self.started().saturating_add(granted);
        if self.analysis_failed == 0 || self.has_ended() {
            return deadline;
        }
        deadline.min(self.analysis_failed.saturating_add(AFTER_FAILED_ANALYSIS))
    }

    /// When nobody waits for it any more.
    pub(super) fn abandoned(&self, settings: &TranscodeSettings) -> Seconds {
        self.started()
            .saturating_add(seconds(settings.abandon_after))
            .max(self.deadline(settings))
    }

    /// When it should be playable; none where nobody saw its upload.
    pub(super) fn objective(&self, settings: &TranscodeSettings) -> Option<Seconds> {
        let objective = seconds(settings.playable_objective);
        (self.uploaded != 0).then(|| self.uploaded.saturating_add(objective))
    }

    /// An output's job began at `start`, or its event was made at `made`.
    pub(super) fn stream(&mut self, start: Option<Seconds>, made: Seconds, ready: Option<Seconds>) {
        if let Some(start) = start {
            earliest(&mut self.first_start, start);
        }
        let run = start.unwrap_or_else(|| made.saturating_sub(RUN_GAP).max(1));
        self.last_start = self.last_start.max(run);
        if let Some(ready) = ready {
            earliest(&mut self.first_good, ready);
        }
    }

    /// The transcode ended at `at`.
    pub(super) fn end(&mut self, at: Seconds, outcome: Outcome) {
        let end = (at, Some(outcome));
        if end > (self.ended, self.outcome) {
            (self.ended, self.outcome) = end;
        }
    }
}

/// Keeps the earlier of two instants that are known.
pub(super) fn earliest(known: &mut Seconds, at: Seconds) {
    if *known == 0 || at < *known {
        *known = at;
    }
}

/// Whole seconds of a duration.
pub(super) fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// An instant in whole seconds, never "not known".
pub(super) fn at(instant: UnixMillis) -> Seconds {
    u32::try_from(instant.0.div_euclid(1000).max(1)).unwrap_or(u32::MAX)
}

/// An instant that may be "not known".
pub(super) fn instant(at: Seconds) -> Option<UnixMillis> {
    (at != 0).then(|| UnixMillis::from_secs(at.into()))
}
