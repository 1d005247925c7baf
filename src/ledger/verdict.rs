//! What can be said of a transcode that is overdue.

use crate::clock::UnixMillis;
use crate::vod::event::{MediaKey, label_enum};

label_enum! {
    /// Why a transcode that is past its deadline has not ended, or how it was closed without its callback.
    Verdict {
        /// VOD was not asked yet.
        Unasked = "unasked",
        /// VOD has jobs for it, none of which has begun.
        Waiting = "waiting",
        /// Its progress rises.
        Slow = "slow",
        /// It makes no progress: this is what pages.
        Stalled = "stalled",
        /// VOD cannot be asked, or its answer fits nothing.
        Unknown = "unknown",
        /// VOD has finished, and in a complete view the callback never came.
        CallbackLost = "callback_lost",
        /// VOD has finished; while peeking it is normal that a worker took the callback.
        DoneUnseen = "done_unseen",
        /// Uploaded without a transcode on purpose.
        NotTranscoded = "not_transcoded",
        /// The media file is gone.
        Deleted = "deleted",
        /// Transcoded; a review holds it.
        InReview = "in_review",
        /// Nothing was heard of it for so long that nobody waits any more.
        Abandoned = "abandoned",
    }
}

label_enum! {
    /// Where a stalled video is stuck; frozen when it is declared stalled.
    Stage {
        /// Uploaded, but no transcode was ever submitted.
        Submit = "submit",
        /// Submitted, and not finished.
        Transcode = "transcode",
    }
}

/// An overdue transcode, for whoever can ask VOD about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Which video.
    pub media: MediaKey,
    /// When its upload ended or, where that was not seen, when it was first heard of.
    pub started: UnixMillis,
    /// When its deadline passed.
    pub since: UnixMillis,
    /// Its whole deadline, from start to [`Overdue::since`], in milliseconds.
    pub deadline_millis: u64,
    /// What was said of it last.
    pub verdict: Verdict,
}

/// What is known of a queue when its videos are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Server time.
    pub now: UnixMillis,
    /// The exporter sees every callback of the queue.
    pub view_complete: bool,
    /// Every callback up to this instant has been seen.
    pub observed_until: Option<UnixMillis>,
    /// When a stream of any of the queue's videos ended last.
    pub last_stream_finished: Option<UnixMillis>,
}

/// What VOD's answer means for one video.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Judgement {
    /// Which video.
    pub media: MediaKey,
    /// What is said of it.
    pub verdict: Verdict,
    /// Where it is stuck, if it is.
    pub stage: Stage,
}

// === impl Verdict ===

impl Verdict {
    /// Whether nobody waits for the transcode any more.
    pub const fn closes(self) -> bool {
        matches!(
            self,
            Self::CallbackLost
                | Self::DoneUnseen
                | Self::NotTranscoded
                | Self::Deleted
                | Self::InReview
                | Self::Abandoned
        )
    }

    /// Whether it closes a transcode for whose callback somebody may go on waiting.
    pub const fn leaves_waiting(self) -> bool {
        matches!(self, Self::CallbackLost | Self::Abandoned)
    }
}
