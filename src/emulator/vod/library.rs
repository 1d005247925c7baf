//! The media that VOD knows, each with its whole life: what is true of it is a matter of the instant.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;

/// Media that are kept; those put first leave first.
const MEDIA_KEPT: usize = 200_000;

/// A media file and its transcode.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// `VideoId`.
    pub id: String,
    /// When it was created.
    pub created: UnixMillis,
    /// `TemplateGroupId`.
    #[serde(default)]
    pub template_group: String,
    /// Its transcode; none if none is ever submitted.
    #[serde(default)]
    pub task: Option<Task>,
    /// `Status` without a transcode, or once that has ended.
    pub status: String,
    /// From when on it is gone.
    #[serde(default)]
    pub deleted: Option<UnixMillis>,
}

/// The transcode of a media file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// From when on VOD knows of it.
    pub created: UnixMillis,
    /// Its outputs; none for a damaged source.
    pub jobs: Vec<Job>,
    /// When it ends; none if never.
    pub ended: Option<UnixMillis>,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its progress is 0 until then.
    pub start: UnixMillis,
    /// When it ends.
    pub finish: UnixMillis,
    /// How.
    pub outcome: Outcome,
}

/// How an output ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It succeeds.
    Success,
    /// It fails.
    Fail,
    /// It never ends, and its progress stays at so many percent.
    StuckAt(u8),
}

/// What `GetMessageCallback` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CallbackSettings {
    /// Application.
    pub app_id: String,
    /// `MNS` or `HTTP`.
    pub callback_type: String,
    /// Where callbacks by HTTP go.
    #[serde(rename = "CallbackURL")]
    pub callback_url: String,
    /// Event types, with commas.
    pub event_type_list: String,
    /// Whether callbacks by HTTP are signed: `on` or `off`.
    pub auth_switch: String,
    /// With which key.
    pub auth_key: String,
    /// Endpoint of the MNS.
    pub mns_endpoint: String,
    /// Name of the queue.
    pub mns_queue_name: String,
}

/// All media, and the callback configuration.
#[derive(Debug, Default)]
pub(in crate::emulator) struct Library {
    media: BTreeMap<String, Media>,
    order: VecDeque<String>,
    pub(in crate::emulator) callback: CallbackSettings,
}

// === impl Library ===

impl Library {
    /// Adds media, or replaces those of the same id.
    pub(in crate::emulator) fn put(&mut self, media: impl IntoIterator<Item = Media>) {
        for media in media {
            let id = media.id.clone();
            if self.media.insert(id.clone(), media).is_some() {
                continue;
            }
            self.order.push_back(id);
            if self.order.len() > MEDIA_KEPT
                && let Some(first) = self.order.pop_front()
            {
                self.media.remove(&first);
            }
        }
    }

    /// A media file that is there now.
    pub(super) fn get(&self, id: &str, now: UnixMillis) -> Option<&Media> {
        self.media.get(id).filter(|media| media.exists(now))
    }

    /// All media that are there now.
    pub(super) fn all(&self, now: UnixMillis) -> impl Iterator<Item = &Media> {
        self.media.values().filter(move |media| media.exists(now))
    }
}

// === impl Media ===

impl Media {
    /// Whether it is there now.
    pub(super) fn exists(&self, now: UnixMillis) -> bool {
        self.created <= now && self.deleted.is_none_or(|at| now < at)
    }

    /// `Status` now.
    pub(super) fn status(&self, now: UnixMillis) -> &str {
        match self.task(now) {
            Some(task) if !task.has_ended(now) => "Transcoding",
            None if self.task.is_some() => "UploadSucc",
            _ => &self.status,
        }
    }

    /// Its transcode, once it is submitted.
    pub(super) fn task(&self, now: UnixMillis) -> Option<&Task> {
        self.task.as_ref().filter(|task| task.created <= now)
    }
}

// === impl Task ===

impl Task {
    pub(super) fn has_ended(&self, now: UnixMillis) -> bool {
        self.ended.is_some_and(|at| at <= now)
    }

    /// `TranscodeStatus` now.
    pub(super) fn status(&self, now: UnixMillis) -> &'static str {
        let ended = self
            .jobs
            .iter()
            .filter(|job| job.status(now) != "Transcoding");
        let succeeded = self
            .jobs
            .iter()
            .filter(|job| job.status(now) == "TranscodeSuccess");
        match (succeeded.count(), ended.count()) {
            (0, _) if self.has_ended(now) => "CompleteAllFail",
            (n, _) if self.has_ended(now) && n == self.jobs.len() => "CompleteAllSucc",
            _ if self.has_ended(now) => "CompletePartialSucc",
            (_, 0) => "Processing",
            _ => "Partial",
        }
    }
}

// === impl Job ===

impl Job {
    /// `TranscodeJobStatus` now.
    pub(super) fn status(&self, now: UnixMillis) -> &'static str {
        match self.outcome {
            _ if now < self.finish => "Transcoding",
            Outcome::Success => "TranscodeSuccess",
            Outcome::Fail => "TranscodeFail",
            Outcome::StuckAt(_) => "Transcoding",
        }
    }

    /// `TranscodeProgress` now, in percent.
    pub(super) fn progress(&self, now: UnixMillis) -> i64 {
        let run = self.finish.millis_since(self.start).max(1);
        let percent = (now.millis_since(self.start).clamp(0, run) * 100) / run;
        match self.outcome {
            Outcome::StuckAt(limit) => percent.min(i64::from(limit)),
            _ if now < self.finish => percent.min(99),
            _ => 100,
        }
    }
}
