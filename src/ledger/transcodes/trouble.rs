//! Videos about which somebody has to be told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::video::{Marks, Outcome, Seconds, Video, at, seconds};
use super::{REMEMBERED, Transcodes};
use crate::clock::UnixMillis;
use crate::ledger::verdict::Stage;
use crate::vod::event::{EventType, MediaKey};
use crate::vod::fault::{ErrorCode, Fault, fault_of};

/// For how long a failed transcode is trouble: nobody repairs it by waiting.
pub(super) const FAILED_FOR: Duration = Duration::from_hours(1);
/// For how long a stalled video stays trouble after it was abandoned: nobody saw it recover. It is remembered as long.
pub(super) const ABANDONED_FOR: Duration = Duration::from_hours(24);

/// A video with which something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which video.
    pub media: MediaKey,
    /// What is wrong.
    pub ailment: Ailment,
    /// Since when: the instant at which its deadline passed, or its transcode failed, no later than that was told. It never
    /// changes.
    pub since: UnixMillis,
    /// When the wait for its transcode began.
    pub started: UnixMillis,
    /// The latest instant of its own that VOD told of.
    pub last_sign: UnixMillis,
    /// Its place in the line of those in trouble, the same for all of one record: whoever comes later has a greater one, and it
    /// stays the same until the video is out of trouble.
    pub place: u32,
    /// Whose fault the failure is, and VOD's code for it; none where nothing has failed.
    pub failure: Option<(Fault, ErrorCode)>,
    /// When it was closed as abandoned, and from when on nothing more is said of it though nobody saw it recover.
    pub abandoned: Option<Abandoned>,
}

/// From when to when an abandoned video is trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abandoned {
    /// When it was closed.
    pub at: UnixMillis,
    /// When it is trouble no more.
    pub until: UnixMillis,
}

/// What is wrong with a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ailment {
    /// It makes no progress, at the stage at which it was declared stalled.
    Stalled(Stage),
    /// Its transcode failed, and the uploaded file is not to blame.
    Failed,
}

/// Numbers the records that bring videos into trouble, so that these stand in a line that is the same after a replay.
///
/// Instants would not do: of two queues one may be observed later than the other, and a second has many records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct Turn {
    last: u32,
    #[serde(skip)]
    taken: bool,
}

// === impl Turn ===

impl Turn {
    /// The place of whoever gets into trouble by this record.
    pub(super) fn take(&mut self) -> u32 {
        self.taken = true;
        self.last.saturating_add(1)
    }

    /// The record is applied.
    pub(in crate::ledger) fn end(&mut self) {
        if std::mem::take(&mut self.taken) {
            self.last = self.last.saturating_add(1);
        }
    }
}

// === impl Transcodes ===

impl Transcodes {
    /// Videos that are stalled, or were until they were abandoned in the last day, and those whose transcode failed in the last
    /// hour and had no good run since.
    pub(in crate::ledger) fn troubles(&self, now: UnixMillis) -> impl Iterator<Item = Trouble> {
        let now = at(now);
        self.table.troubled().flat_map(move |(video, place)| {
            let stalled = video.is_stuck(now).then(|| Trouble::stalled(video, place));
            let failed = video
                .failure(now)
                .map(|error| Trouble::failed(video, place, error));
            stalled.into_iter().chain(failed)
        })
    }
}

// === impl Video ===

impl Video {
    /// Whether it can be in trouble at any time, unless something changes.
    pub(super) fn may_be_troubled(&self) -> bool {
        self.stalls() || self.last_failure().is_some() || self.marks.has(Marks::GIVEN_UP)
    }

    /// Whether somebody has to be told of it.
    pub(super) fn is_troubled(&self, now: Seconds) -> bool {
        self.is_stuck(now) || self.failure(now).is_some()
    }

    fn stalls(&self) -> bool {
        self.is_open() && self.is_stalled()
    }

    fn is_stuck(&self, now: Seconds) -> bool {
        self.stalls()
            || (self.marks.has(Marks::GIVEN_UP)
                && now < self.closed.saturating_add(seconds(ABANDONED_FOR)))
    }

    /// Why its last run failed, if it did so not long ago, by no fault of the uploaded file, and nothing was heard of a good
    /// one since.
    fn failure(&self, now: Seconds) -> Option<ErrorCode> {
        self.last_failure()
            .filter(|_| now < self.end_known().saturating_add(seconds(FAILED_FOR)))
    }

    /// When its last run ended, but not later than that was told. VOD may say that it ends a day ahead, and an alert can neither
    /// begin then nor go on until then.
    pub(super) fn end_known(&self) -> Seconds {
        if self.is_open() {
            self.ended
        } else {
            self.ended.min(self.wake.saturating_sub(REMEMBERED))
        }
    }

    fn last_failure(&self) -> Option<ErrorCode> {
        match self.outcome {
            Some(Outcome::Fail(error))
                if self.closed <= self.ended && !self.marks.has(Marks::DELETED) =>
            {
                Some(error.unwrap_or(ErrorCode::None))
            }
            _ => None,
        }
    }
}

// === impl Trouble ===

impl Trouble {
    fn stalled(video: &Video, place: u32) -> Self {
        let instant = |at: Seconds| UnixMillis::from_secs(at.into());
        let abandoned = video.marks.has(Marks::GIVEN_UP).then(|| Abandoned {
            at: instant(video.closed),
            until: instant(video.closed).plus(ABANDONED_FOR),
        });
        Self {
            abandoned,
            ..Self::of(video, place, Ailment::Stalled(video.stage), video.overdue)
        }
    }

    fn failed(video: &Video, place: u32, error: ErrorCode) -> Self {
        let fault = fault_of(EventType::TranscodeComplete, Some(error));
        Self {
            failure: Some((fault, error)),
            ..Self::of(video, place, Ailment::Failed, video.end_known())
        }
    }

    fn of(video: &Video, place: u32, ailment: Ailment, since: Seconds) -> Self {
        let instant = |at: Seconds| UnixMillis::from_secs(at.into());
        Self {
            media: video.media.clone(),
            ailment,
            since: instant(since),
            started: instant(video.started()),
            last_sign: instant(video.last_sign()),
            place,
            failure: None,
            abandoned: None,
        }
    }
}
