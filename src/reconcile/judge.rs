//! What VOD's answers mean for overdue videos. No I/O; the time is an argument.
//!
//! An answer is first read on its own ([`Finding`]) and then against what was found before: only a row of polls can
//! tell a stalled transcode from a slow one. That row lives in the process; after a restart a video that was stalled
//! stays so until there is evidence otherwise.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::ledger::{Judgement, Overdue, Situation, Stage, Verdict};
use crate::vod::api::{JobStatus, MediaStatus, TaskStatus, TranscodeSummary, VideoInfos};
use crate::vod::event::MediaKey;

/// A video is asked about no more often, unless somebody watches.
pub const POLL_INTERVAL: Duration = Duration::from_mins(2);
/// Polls that find the same progress before a transcode is stalled.
const STALL_POLLS: u32 = 3;
/// A transcode that waits for longer than this many deadlines is stalled.
const WAIT_DEADLINES: u64 = 4;
/// A transcode that waits while none of its queue's streams ended for this long is stalled.
const IDLE: Duration = Duration::from_mins(15);
/// A callback that is not there so long after its transcode ended is lost: VOD tries for about two seconds.
const CALLBACK_GRACE: Duration = Duration::from_mins(2);
/// Clocks and seconds may differ so much before a transcode that ended "before it began" is taken for an earlier one.
const EARLIER: Duration = Duration::from_mins(1);
/// How the vendor's own template group for media that are not transcoded begins.
const NO_TRANSCODE: &str = "VOD_NO_TRANSCODE";

/// What one answer says of one video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Its transcode has not ended; the sum of its outputs' progress in percent, 0 while all wait.
    Running(u32),
    /// Its transcode has ended, at this instant where that is told.
    Finished(Option<UnixMillis>),
    /// It is uploaded and no transcode was ever submitted.
    Unsubmitted,
    /// Nobody waits for it, for a reason that needs no second look.
    Closed(Verdict),
    /// VOD refused, or its answer fits nothing.
    Unclear,
}

/// Judges the overdue videos of one queue, and remembers what it found.
#[derive(Debug)]
pub struct Judge {
    poll_interval: Duration,
    found: HashMap<MediaKey, Poll>,
}

/// What was found of one video so far.
#[derive(Clone, Copy, Debug)]
struct Poll {
    at: UnixMillis,
    /// The last progress that was told.
    progress: Option<u32>,
    /// How many polls in a row found that progress.
    same: u32,
    /// When its transcode was first found to have ended.
    finished: Option<UnixMillis>,
    /// No transcode was submitted when it was asked about last.
    unsubmitted: bool,
}

/// Reads a video's summary, which is none if VOD knows of no transcode; none if only its media file can tell more.
pub fn of_summary(summary: Option<&TranscodeSummary>) -> Option<Finding> {
    let summary = summary?;
    Some(match summary.status {
        TaskStatus::Processing | TaskStatus::Partial => {
            let progress = summary.jobs.iter().map(|job| match job.status {
                JobStatus::Success | JobStatus::Fail => Some(100),
                JobStatus::Transcoding => job.progress.map(u32::from),
                JobStatus::Other => None,
            });
            match progress.sum() {
                Some(progress) => Finding::Running(progress),
                None => Finding::Unclear,
            }
        }
        TaskStatus::CompleteAllSucc
        | TaskStatus::CompleteAllFail
        | TaskStatus::CompletePartialSucc => Finding::Finished(summary.completed),
        TaskStatus::Other => Finding::Unclear,
    })
}

/// Reads the media file of a video without a transcode, or of one whose transcode was `finished`.
///
/// `not_transcoded` lists template groups that transcode nothing.
pub fn of_info(
    media: &MediaKey,
    infos: &VideoInfos,
    finished: Option<Finding>,
    not_transcoded: &[String],
) -> Finding {
    if infos.missing.contains(media) {
        return Finding::Closed(Verdict::Deleted);
    }
    let Some(info) = infos.found.iter().find(|info| info.media == *media) else {
        return Finding::Unclear;
    };
    if matches!(info.status, MediaStatus::Checking | MediaStatus::Blocked) {
        return Finding::Closed(Verdict::InReview);
    }
    if let Some(finished) = finished {
        return finished;
    }
    let group = &*info.template_group;
    let listed = group.starts_with(NO_TRANSCODE) || not_transcoded.iter().any(|id| id == group);
    match info.status {
        MediaStatus::Normal => Finding::Closed(Verdict::NotTranscoded),
        MediaStatus::UploadSucc if listed => Finding::Closed(Verdict::NotTranscoded),
        MediaStatus::UploadSucc => Finding::Unsubmitted,
        MediaStatus::Transcoding => Finding::Running(0),
        MediaStatus::TranscodeFail => Finding::Finished(None),
        _ => Finding::Unclear,
    }
}

// === impl Judge ===

impl Default for Judge {
    fn default() -> Self {
        Self::new(POLL_INTERVAL)
    }
}

impl Judge {
    /// A judge who asks about a video no more often than this.
    pub fn new(poll_interval: Duration) -> Self {
        Self {
            poll_interval,
            found: HashMap::new(),
        }
    }

    /// Those of `overdue` that it is time to ask about, the longest unasked first, and forgets those that are overdue no
    /// longer.
    pub fn due(&mut self, overdue: Vec<Overdue>, now: UnixMillis) -> Vec<Overdue> {
        let mut kept = HashMap::with_capacity(overdue.len());
        for video in &overdue {
            if let Some(poll) = self.found.remove(&video.media) {
                kept.insert(video.media.clone(), poll);
            }
        }
        self.found = kept;
        let last = |video: &Overdue| self.found.get(&video.media).map(|poll| poll.at);
        let mut due: Vec<Overdue> = overdue
            .into_iter()
            .filter(|video| {
                last(video).is_none_or(|at| now.since(at) >= self.poll_interval || at > now)
            })
            .collect();
        due.sort_by_key(|video| (last(video), video.since));
        due
    }

    /// The verdict on one video; none leaves the earlier one in force.
    pub fn judge(
        &mut self,
        video: &Overdue,
        finding: Finding,
        situation: &Situation,
    ) -> Option<Judgement> {
        let now = situation.now;
        let before = self.found.get(&video.media).copied();
        let mut poll = before.unwrap_or(Poll {
            at: now,
            progress: None,
            same: 0,
            finished: None,
            unsubmitted: false,
        });
        poll.at = now;
        let was_stalled = video.verdict == Verdict::Stalled;
        let verdict = match finding {
            // A page ends by evidence of health, not by loss of sight.
            Finding::Unclear if was_stalled => None,
            Finding::Unclear => Some(Verdict::Unknown),
            Finding::Closed(verdict) => Some(verdict),
            Finding::Unsubmitted => {
                poll.unsubmitted = true;
                Some(Verdict::Stalled)
            }
            Finding::Finished(at) => poll.finished(video, at, situation),
            Finding::Running(progress) => {
                poll.finished = None;
                Some(poll.running(video, progress, situation))
            }
        };
        self.found.insert(video.media.clone(), poll);
        Some(Judgement {
            media: video.media.clone(),
            verdict: verdict?,
            stage: match finding {
                Finding::Unsubmitted => Stage::Submit,
                _ => Stage::Transcode,
            },
        })
    }
}

// === impl Poll ===

impl Poll {
    /// Its transcode has ended. While peeking that is all there is to know; in a complete view the callback must have had
    /// the time to come.
    fn finished(
        &mut self,
        video: &Overdue,
        at: Option<UnixMillis>,
        situation: &Situation,
    ) -> Option<Verdict> {
        if at.is_some_and(|at| at.plus(EARLIER) < video.started) {
            // An earlier run: nothing is known of this one.
            return (video.verdict != Verdict::Stalled).then_some(Verdict::Unknown);
        }
        if !situation.view_complete {
            return Some(Verdict::DoneUnseen);
        }
        let seen = *self.finished.get_or_insert(situation.now);
        let ended = at.unwrap_or(seen);
        let heard_until = situation.observed_until?;
        (heard_until >= ended.plus(CALLBACK_GRACE)).then_some(Verdict::CallbackLost)
    }

    fn running(&mut self, video: &Overdue, progress: u32, situation: &Situation) -> Verdict {
        let rose = match self.progress {
            Some(before) if before == progress => {
                self.same = self.same.saturating_add(1);
                false
            }
            before => {
                self.same = 1;
                // Less than before is another run, of which nothing is known yet.
                before.is_some_and(|before| before < progress)
            }
        };
        self.progress = Some(progress);
        let submitted = std::mem::take(&mut self.unsubmitted);
        let was_stalled = video.verdict == Verdict::Stalled && !submitted;
        if rose {
            Verdict::Slow
        } else if was_stalled {
            Verdict::Stalled
        } else if progress == 0 {
            let stuck = waits_too_long(video, situation);
            if stuck {
                Verdict::Stalled
            } else {
                Verdict::Waiting
            }
        } else if self.same >= STALL_POLLS {
            Verdict::Stalled
        } else {
            // It has begun: until three polls agree it is believed to go on.
            Verdict::Slow
        }
    }
}

fn waits_too_long(video: &Overdue, situation: &Situation) -> bool {
    let waited = situation.now.since(video.started);
    let patience = Duration::from_millis(video.deadline_millis.saturating_mul(WAIT_DEADLINES));
    // Only who sees every callback, up to an instant, can say that none came until then.
    let idle = situation.view_complete
        && situation.observed_until.is_some_and(|until| {
            let last = situation.last_stream_finished.unwrap_or(video.started);
            until.since(last.max(video.started)) >= IDLE
        });
    waited > patience || idle
}

#[cfg(test)]
mod tests;
