//! What really happened on the simulated platform: the oracle that an exporter's metrics are compared with.
//!
//! Every label is a string, by tables of this module's own, so that a mistake in the exporter's catalogue shows.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

use crate::clock::UnixMillis;

/// Videos that are kept; the oldest leave first.
const VIDEOS_KEPT: usize = 10_000;

/// Error codes that an exporter keeps apart, by whose fault they are; `other` is everything else.
pub(super) const FAULTS: &[(&str, &[&str])] = &[
    ("service", &["InternalError", "Throttling"]),
    (
        "source",
        &[
            "InvalidParameter.ResourceContentBad",
            "InvalidParameter.ResourceNotSupported",
            "InvalidParameter.NoAudioStream",
            "InvalidParameter.MergeFileNoVideoOrAudio",
            "NotSupportedJob.ContainerFormatNotSupported",
            "NotSupportedJob.DurationIsLessThanHalfAnHour",
            "URLInvalidError",
        ],
    ),
    (
        "config",
        &[
            "AccessDenied",
            "EntityNotExist.Role",
            "Forbidden.IllegalStatus",
            "InvalidIdentity.ServiceDisabled",
            "InvalidParameter",
            "InvalidParameter.BucketNameInvalid",
            "InvalidParameter.EmptyValue",
            "InvalidParameter.Format",
            "InvalidParameter.InvalidState",
            "InvalidParameter.JsonArrayFormatInvalid",
            "InvalidParameter.JsonFormatInvalid",
            "InvalidParameter.JsonObjectFormatInvalid",
            "InvalidParameter.LocationInvalid",
            "InvalidParameter.NotSupported",
            "InvalidParameter.NullValue",
            "InvalidParameter.NumberFormatInvalid",
            "InvalidParameter.ObjectKeyInvalid",
            "InvalidParameter.OutOfRange",
            "InvalidParameter.ResourceDeleted",
            "InvalidParameter.ResourceNotFound",
            "InvalidParameter.TemplateNotFound",
            "InvalidParameter.TemplateNotSupported",
            "InvalidParameter.UUIDFormatInvalid",
            "InvalidTranscodeTemplateGroup.NotFound",
            "InvalidVideo.NotFound",
            "KeyNotFound",
            "NoSuchKey",
            "NoSuchResource",
            "NotSupportedJob.AnalysisJobNotSupported",
            "NotSupportedJob.SystemTemplateJobNotSupported",
            "PermissionDenied.JobInComplete",
            "PermissionDenied.JobInFailure",
            "PermissionDenied.JobInRunning",
            "PermissionDenied.ResourceAccess",
            "PermissionDenied.ResourceQuotaExceed",
        ],
    ),
];

/// Definitions that an exporter keeps apart.
const DEFINITIONS: &[&str] = &[
    "FD", "LD", "SD", "HD", "UHD", "OD", "2K", "4K", "AUTO", "SQ", "HQ",
];

/// Counts by two labels, the first one outside.
pub type Table = BTreeMap<String, BTreeMap<String, u64>>;

/// Everything that was pushed, by queue, and the state of every recent video.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Truth {
    /// By queue name.
    pub queues: BTreeMap<String, QueueTruth>,
    /// Videos uploaded, in the order of their uploads.
    pub videos: VecDeque<Video>,
    /// How many videos have left [`Truth::videos`].
    pub videos_forgotten: u64,
    /// The place of each video, counted from the first one ever.
    #[serde(skip)]
    places: HashMap<String, u64>,
}

/// What was pushed into one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueTruth {
    /// Messages: events + duplicates + decode failures.
    pub messages: u64,
    /// Messages whose content was pushed before.
    pub duplicates: u64,
    /// Distinct events by `event_type` and `status`.
    pub events: Table,
    /// Failed events by `event_type` and `error_code`.
    pub failures: Table,
    /// Failed events by `event_type` and `fault`.
    pub faults: Table,
    /// Undecodable messages by `reason`.
    pub decode_failures: BTreeMap<String, u64>,
    /// Ended output streams by `definition` and `status`, each told by one `StreamTranscodeComplete`.
    pub streams: Table,
}

/// One uploaded video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Video {
    /// `VideoId`.
    pub id: String,
    /// The queue that hears of it.
    pub queue: String,
    /// When its upload ended.
    pub uploaded_at: UnixMillis,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: UnixMillis,
}

/// Where a video stands on the platform, whatever was told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting for its transcode or in it.
    Transcoding,
    /// All outputs succeeded.
    Done,
    /// Some outputs succeeded.
    Partial,
    /// No output succeeded.
    Failed,
    /// Its transcode will never end; so it is from its upload on.
    Stalled,
    /// Its transcode has ended, and the `TranscodeComplete` was lost on the way.
    LostCallback,
    /// It is not transcoded at all.
    NotTranscoded,
    /// It was deleted.
    Deleted,
}

/// What one message counts as.
#[derive(Clone, Debug)]
pub(super) enum Count {
    Event(EventCount),
    Duplicate,
    Undecodable(&'static str),
}

/// An event as the oracle counts it.
#[derive(Clone, Debug)]
pub(super) struct EventCount {
    pub(super) event_type: &'static str,
    pub(super) status: &'static str,
    /// The code of a failed event as pushed, empty if it carries none.
    pub(super) code: Option<String>,
    /// Definition as pushed, and status, of the stream that it tells of.
    pub(super) stream: Option<(String, &'static str)>,
}

/// The label of a definition.
fn definition(text: &str) -> &'static str {
    let base = text.split_once('-').map_or(text, |(base, _)| base);
    DEFINITIONS
        .iter()
        .copied()
        .find(|label| base.eq_ignore_ascii_case(label))
        .unwrap_or("other")
}

/// The labels of a failure: error code and fault.
fn failure<'a>(event_type: &str, code: &'a str) -> (&'a str, &'static str) {
    match (event_type, code) {
        ("VideoAnalysisComplete", "") => ("none", "source"),
        (_, "") => ("none", "other"),
        _ => FAULTS
            .iter()
            .find(|(_, codes)| codes.contains(&code))
            .map_or(("other", "other"), |(fault, _)| (code, *fault)),
    }
}

fn add(table: &mut Table, first: &str, second: &str) {
    let row = table.entry(first.to_owned()).or_default();
    *row.entry(second.to_owned()).or_default() += 1;
}

// === impl Truth ===

impl Truth {
    pub(super) fn pushed(&mut self, queue: &str, count: &Count) {
        self.queues.entry(queue.to_owned()).or_default().add(count);
    }

    pub(super) fn uploaded(&mut self, video: Video) {
        if self.videos.len() == VIDEOS_KEPT
            && let Some(oldest) = self.videos.pop_front()
        {
            self.places.remove(&oldest.id);
            self.videos_forgotten += 1;
        }
        let place = self.videos_forgotten + self.videos.len() as u64;
        self.places.insert(video.id.clone(), place);
        self.videos.push_back(video);
    }

    /// A video that has not left yet.
    pub(super) fn video(&self, id: &str) -> Option<&Video> {
        self.videos.get(self.index(id)?)
    }

    fn index(&self, video: &str) -> Option<usize> {
        let place = self.places.get(video)?;
        usize::try_from(place - self.videos_forgotten).ok()
    }

    pub(super) fn changed(&mut self, video: &str, state: State, since: UnixMillis) {
        let index = self.index(video);
        if let Some(video) = index.and_then(|index| self.videos.get_mut(index)) {
            video.state = state;
            video.since = since;
        }
    }
}

// === impl QueueTruth ===

impl QueueTruth {
    fn add(&mut self, count: &Count) {
        self.messages += 1;
        match count {
            Count::Duplicate => self.duplicates += 1,
            Count::Undecodable(reason) => {
                *self
                    .decode_failures
                    .entry((*reason).to_owned())
                    .or_default() += 1;
            }
            Count::Event(event) => {
                add(&mut self.events, event.event_type, event.status);
                if let Some(code) = &event.code {
                    let (label, fault) = failure(event.event_type, code);
                    add(&mut self.failures, event.event_type, label);
                    add(&mut self.faults, event.event_type, fault);
                }
                if let Some((name, status)) = &event.stream {
                    add(&mut self.streams, definition(name), status);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_videos_leave_and_the_others_are_still_found() {
        let mut truth = Truth::default();
        let id = |number: usize| format!("v{number}");
        for number in 0..VIDEOS_KEPT + 2 {
            truth.uploaded(Video {
                id: id(number),
                queue: "q".to_owned(),
                uploaded_at: UnixMillis(0),
                state: State::Transcoding,
                since: UnixMillis(0),
            });
        }
        let last = VIDEOS_KEPT + 1;
        for number in [0, 2, last] {
            truth.changed(&id(number), State::Done, UnixMillis(5));
        }
        assert_eq!(truth.videos.len(), VIDEOS_KEPT);
        assert_eq!(truth.places.len(), VIDEOS_KEPT);
        assert_eq!(truth.videos_forgotten, 2);
        let done = truth
            .videos
            .iter()
            .filter(|video| video.state == State::Done);
        let done: Vec<_> = done.map(|video| video.id.clone()).collect();
        assert_eq!(done, [id(2), id(last)]);
    }
}
