//! Videos about which somebody has to be told.

use super::video::{Seconds, Video, at};
use super::{REMEMBERED, Transcodes};
use crate::clock::UnixMillis;
use crate::ledger::verdict::Stage;
use crate::vod::event::MediaKey;

/// A video with which something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which video.
    pub media: MediaKey,
    /// What is wrong.
    pub ailment: Ailment,
    /// Since when: the instant at which its deadline passed, or its transcode failed. It never changes.
    pub since: UnixMillis,
    /// When the wait for its transcode began.
    pub started: UnixMillis,
}

/// What is wrong with a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ailment {
    /// It makes no progress, at the stage at which it was declared stalled.
    Stalled(Stage),
    /// Its transcode failed, and the uploaded file is not to blame.
    Failed,
}

// === impl Transcodes ===

impl Transcodes {
    /// Videos that are stalled, and those whose transcode failed after `failed_since` and had no good run since.
    pub(in crate::ledger) fn troubles(
        &self,
        failed_since: UnixMillis,
    ) -> impl Iterator<Item = Trouble> {
        let stalled = self.tally.stalled.iter().sum::<u64>();
        let stalled = self
            .table
            .by_age()
            .filter(|video| video.is_stalled())
            .take(usize::try_from(stalled).unwrap_or(usize::MAX))
            .map(|video| Trouble::of(video, Ailment::Stalled(video.stage), video.overdue));
        let after = at(failed_since).saturating_add(1);
        // A video is forgotten so long after it ended, or later; and a new run begins after the end of the last.
        let ended = self.table.ended_by_wake(after.saturating_add(REMEMBERED));
        let running = self.table.by_age_from(after);
        let failed = ended
            .chain(running)
            .filter(move |video| video.has_failed() && video.ended >= after)
            .map(|video| Trouble::of(video, Ailment::Failed, video.ended));
        stalled.chain(failed)
    }
}

// === impl Trouble ===

impl Trouble {
    fn of(video: &Video, ailment: Ailment, since: Seconds) -> Self {
        Self {
            media: video.media.clone(),
            ailment,
            since: UnixMillis::from_secs(since.into()),
            started: UnixMillis::from_secs(video.started().into()),
        }
    }
}
