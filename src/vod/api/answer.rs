//! What the answers say. Types vary between revisions of the API (numbers as strings, lists wrapped in objects), so
//! every value is read leniently; a text that is not an answer to the call is refused whole.

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::vod::event::MediaKey;
use crate::vod::time;

/// Declares how an answer's word is read; whatever is not listed is `Other`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$word_meta:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$word_meta])* $word,)+
            /// Any other word, or none.
            Other,
        }

        impl $name {
            fn read(value: Option<&Value>) -> Self {
                match value.and_then(Value::as_str).map(str::trim) {
                    $(Some($text) => Self::$word,)+
                    _ => Self::Other,
                }
            }
        }
    };
}

words! {
    /// Where a transcode stands.
    TaskStatus {
        /// It waits or runs.
        Processing = "Processing",
        /// Some outputs have ended.
        Partial = "Partial",
        /// All outputs succeeded.
        CompleteAllSucc = "CompleteAllSucc",
        /// All outputs failed, or the source is damaged and none was begun.
        CompleteAllFail = "CompleteAllFail",
        /// All outputs ended, some of them well.
        CompletePartialSucc = "CompletePartialSucc",
    }
}

words! {
    /// Where one output stands.
    JobStatus {
        /// It waits or runs.
        Transcoding = "Transcoding",
        /// It succeeded.
        Success = "TranscodeSuccess",
        /// It failed.
        Fail = "TranscodeFail",
    }
}

words! {
    /// Where a media file stands.
    MediaStatus {
        /// Its upload goes on, or was given up.
        Uploading = "Uploading",
        /// Its upload failed.
        UploadFail = "UploadFail",
        /// It is uploaded, and neither transcoded nor playable.
        UploadSucc = "UploadSucc",
        /// Its first transcode is under way.
        Transcoding = "Transcoding",
        /// Its transcode failed.
        TranscodeFail = "TranscodeFail",
        /// It is transcoded, and waits for a review.
        Checking = "Checking",
        /// A review took it down.
        Blocked = "Blocked",
        /// It is playable.
        Normal = "Normal",
        /// Its production failed.
        ProduceFail = "ProduceFail",
    }
}

/// The latest transcode of a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscodeSummary {
    /// Which video.
    pub media: MediaKey,
    /// Where it stands.
    pub status: TaskStatus,
    /// When it ended, where that is told.
    pub completed: Option<UnixMillis>,
    /// Its outputs.
    pub jobs: Vec<Job>,
}

/// One output of a transcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Where it stands.
    pub status: JobStatus,
    /// 0 to 100; none where it is not told.
    pub progress: Option<u8>,
}

/// A media file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoInfo {
    /// Which.
    pub media: MediaKey,
    /// Where it stands.
    pub status: MediaStatus,
    /// The template group that it was uploaded with; empty where it is not told.
    pub template_group: Box<str>,
}

/// What `GetVideoInfos` knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoInfos {
    /// Those that exist.
    pub found: Vec<VideoInfo>,
    /// Those that do not.
    pub missing: Vec<MediaKey>,
}

/// A page of `GetVideoList`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoPage {
    /// Videos with the instant of their creation; those without either are left out.
    pub videos: Vec<(MediaKey, UnixMillis)>,
    /// How many entries the page had.
    pub length: usize,
}

/// Where callbacks go. The key that signs callbacks by HTTP is not among it: it is dropped while it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageCallback {
    /// `MNS` or `HTTP`.
    pub callback_type: String,
    /// Endpoint of the MNS.
    pub mns_endpoint: String,
    /// Name of the queue.
    pub mns_queue: String,
    /// Event types that are pushed, as listed: `ALL` stands for all, none for none.
    pub event_types: Vec<String>,
}

/// Why a text is no answer to the call: what was expected.
pub(super) type Malformed = &'static str;

pub(super) fn transcode_summaries(answer: &Value) -> Result<Vec<TranscodeSummary>, Malformed> {
    let list = list(answer, "TranscodeSummaryList");
    if list.is_none() && ids(answer, "NonExistVideoIds").is_none() {
        return Err("a TranscodeSummaryList or NonExistVideoIds");
    }
    let summaries = list.unwrap_or_default().iter().filter_map(|summary| {
        let jobs = self::list(summary, "TranscodeJobInfoSummaryList").unwrap_or_default();
        Some(TranscodeSummary {
            media: media(summary)?,
            status: TaskStatus::read(summary.get("TranscodeStatus")),
            completed: instant(summary, "CompleteTime"),
            jobs: jobs.iter().map(job).collect(),
        })
    });
    Ok(summaries.collect())
}

fn job(job: &Value) -> Job {
    let progress =
        number(job, "TranscodeProgress").and_then(|progress| u8::try_from(progress).ok());
    Job {
        status: JobStatus::read(job.get("TranscodeJobStatus")),
        progress: progress.filter(|progress| *progress <= 100),
    }
}

pub(super) fn video_infos(answer: &Value) -> Result<VideoInfos, Malformed> {
    let (list, missing) = (list(answer, "VideoList"), ids(answer, "NonExistVideoIds"));
    if list.is_none() && missing.is_none() {
        return Err("a VideoList or NonExistVideoIds");
    }
    let found = list.unwrap_or_default().iter().filter_map(|video| {
        Some(VideoInfo {
            media: media(video)?,
            status: MediaStatus::read(video.get("Status")),
            template_group: text(video, "TemplateGroupId").into(),
        })
    });
    Ok(VideoInfos {
        found: found.collect(),
        missing: missing.unwrap_or_default(),
    })
}

pub(super) fn video_page(answer: &Value) -> Result<VideoPage, Malformed> {
    let list = match list(answer, "VideoList") {
        Some(list) => list,
        // Nothing to list: the list may be left out then.
        None if number(answer, "Total") == Some(0) => &[],
        None => return Err("a VideoList"),
    };
    let videos = list
        .iter()
        .filter_map(|video| Some((media(video)?, instant(video, "CreationTime")?)));
    Ok(VideoPage {
        videos: videos.collect(),
        length: list.len(),
    })
}

pub(super) fn message_callback(answer: &Value) -> Result<MessageCallback, Malformed> {
    let callback = answer.get("MessageCallback").filter(|it| it.is_object());
    let callback = callback.ok_or("a MessageCallback")?;
    let events = text(callback, "EventTypeList");
    Ok(MessageCallback {
        callback_type: text(callback, "CallbackType").to_owned(),
        mns_endpoint: text(callback, "MnsEndpoint").to_owned(),
        mns_queue: text(callback, "MnsQueueName").to_owned(),
        event_types: split(events).map(ToOwned::to_owned).collect(),
    })
}

/// A list, which older revisions wrap in an object of one field.
fn list<'a>(value: &'a Value, name: &str) -> Option<&'a [Value]> {
    match value.get(name)? {
        Value::Array(list) => Some(list),
        Value::Object(wrapped) => wrapped
            .values()
            .find_map(Value::as_array)
            .map(Vec::as_slice),
        _ => None,
    }
}

/// A list of ids, or their text with commas.
fn ids(value: &Value, name: &str) -> Option<Vec<MediaKey>> {
    if let Some(text) = value.get(name)?.as_str() {
        return Some(split(text).map(MediaKey::of).collect());
    }
    let ids = list(value, name)?.iter().filter_map(Value::as_str);
    Some(ids.map(|id| MediaKey::of(id.trim())).collect())
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .trim()
}

fn media(value: &Value) -> Option<MediaKey> {
    let id = text(value, "VideoId");
    (!id.is_empty()).then(|| MediaKey::of(id))
}

fn instant(value: &Value, name: &str) -> Option<UnixMillis> {
    time::parse(text(value, name))
}

fn number(value: &Value, name: &str) -> Option<u64> {
    match value.get(name)? {
        Value::String(text) => text.trim().parse().ok(),
        number => number.as_u64(),
    }
}
