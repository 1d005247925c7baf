//! The life of one upload, planned whole when it begins.

mod transcode;

use std::time::Duration;

use serde_json::{Value, json};

use super::body::{Draft, Outcome, encoded, number, seconds};
use super::settings::Settings;
use super::side::SIDES;
use super::truth::{Count, State, Video};
use super::{broken, chance, hex_id};
use crate::clock::UnixMillis;
use crate::emulator::vod::{Media, Task};

/// Something that happens at an instant of the plan.
#[derive(Debug)]
pub(super) enum Step {
    /// A message is pushed.
    Push {
        queue: String,
        body: String,
        count: Count,
    },
    /// An upload has ended; VOD's API knows the media file by its whole life.
    Uploaded(Video, Box<Media>),
    /// A video is somewhere else now.
    State { video: String, state: State },
}

/// An upload and all that follows from it.
pub(super) struct Story<'a> {
    rng: &'a mut fastrand::Rng,
    settings: &'a Settings,
    queue: String,
    /// `VideoId`, which in reality ends with these digits.
    video: String,
    media_seconds: f64,
    media: Media,
    plan: Vec<(UnixMillis, Step)>,
}

/// How the transcode of a video goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Transcode,
    BrokenSource,
    NotTranscoded,
    Stalled,
    LostCallback,
    DeletedMeanwhile,
}

fn after(from: UnixMillis, seconds: f64) -> UnixMillis {
    from.plus(Duration::try_from_secs_f64(seconds.min(1e9)).unwrap_or_default())
}

// === impl Story ===

impl<'a> Story<'a> {
    pub(super) fn new(rng: &'a mut fastrand::Rng, settings: &'a Settings) -> Self {
        let queue = rng.choice(&settings.queues).cloned().unwrap_or_default();
        let mut video = hex_id(rng);
        video.replace_range(28.., "0102");
        // Box-Muller: a normal deviate from two uniform ones.
        let deviate =
            (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos();
        let media_seconds =
            settings.media_seconds_median * (settings.media_seconds_sigma * deviate).exp();
        let media = Media {
            id: video.clone(),
            created: UnixMillis::default(),
            template_group: "g-0001".to_owned(),
            task: None,
            status: "Normal".to_owned(),
            deleted: None,
        };
        Self {
            rng,
            settings,
            queue,
            video,
            media,
            media_seconds: media_seconds.clamp(1.0, 43_200.0),
            plan: Vec::new(),
        }
    }

    /// What VOD's API would tell if nothing followed.
    pub(super) fn media(&self) -> Media {
        self.media.clone()
    }

    /// Everything that follows from an upload begun at `start`.
    pub(super) fn tell(mut self, start: UnixMillis) -> Vec<(UnixMillis, Step)> {
        if self.chance(0.3) {
            let created = self.about("MediaBaseChangeComplete", "MediaId", Outcome::Success);
            let created = created
                .with("MediaType", "video")
                .with("OperateMode", "create");
            self.say(start, created.with("MediaContent", json!({"Title": "t"})));
        }
        let uploaded = after(start, 0.5 + 2.0 * self.rng.f64());
        if !self.ingest(uploaded) {
            return self.plan;
        }
        let fate = self.fate();
        let state = match fate {
            Fate::NotTranscoded => State::NotTranscoded,
            Fate::Stalled => State::Stalled,
            _ => State::Transcoding,
        };
        let video = Video {
            id: self.video.clone(),
            queue: self.queue.clone(),
            uploaded_at: uploaded,
            state,
            since: uploaded,
        };
        self.media.created = uploaded;
        let analysed = after(uploaded, 0.5 + 2.0 * self.rng.f64());
        self.analyse(analysed, fate == Fate::BrokenSource);
        let ended = match fate {
            Fate::NotTranscoded => {
                self.keep_as_uploaded();
                analysed
            }
            Fate::BrokenSource => self.give_up(analysed),
            _ => self.transcode(analysed, fate),
        };
        if matches!(fate, Fate::Transcode | Fate::NotTranscoded)
            && self.chance(self.settings.deleted_share / 2.0)
        {
            let later = after(ended, 5.0 + 60.0 * self.rng.f64());
            self.delete(later);
        }
        self.side_events(analysed);
        let step = Step::Uploaded(video, Box::new(self.media));
        // Before whatever else happens at that instant.
        self.plan.insert(0, (uploaded, step));
        self.plan
    }

    fn fate(&mut self) -> Fate {
        let settings = self.settings;
        let fates = [
            (Fate::NotTranscoded, settings.not_transcoded_share),
            (Fate::BrokenSource, settings.broken_source_share),
            (Fate::DeletedMeanwhile, settings.deleted_share / 2.0),
            (Fate::Stalled, settings.stalled_share),
            (Fate::LostCallback, settings.lost_callback_share),
        ];
        let fate = fates.into_iter().find(|(_, share)| self.chance(*share));
        fate.map_or(Fate::Transcode, |(fate, _)| fate)
    }

    /// The event that ends the upload. False if there is no video then.
    fn ingest(&mut self, at: UnixMillis) -> bool {
        if self.chance(self.settings.live_record_share) {
            let live = self.about("LiveRecordVideoComposeStart", "VideoId", Outcome::Success);
            self.say(at, live);
            let live = self.about("AddLiveRecordVideoComplete", "VideoId", Outcome::Success);
            let live = live
                .with("StreamName", "stream")
                .with("DomainName", "live.example.test")
                .with("AppName", "app")
                .with("RecordStartTime", seconds(at))
                .with("RecordEndTime", seconds(at));
            self.say(at, live);
            return true;
        }
        if self.chance(self.settings.url_upload_share) {
            return self.pull(at);
        }
        // Before 2022 the event had no status.
        let outcome = match self.rng.u8(..100) {
            0..6 => Outcome::Absent,
            6..8 => Outcome::Odd,
            _ => Outcome::Success,
        };
        let size = self.size();
        let uploaded = self
            .about("FileUploadComplete", "VideoId", outcome)
            .with("FileUrl", "http://outin.example.test/sv/a1-b2.mp4")
            .with("Size", size);
        self.say(at, uploaded);
        true
    }

    /// A pull from a URL, which on failure has a job but no video.
    fn pull(&mut self, at: UnixMillis) -> bool {
        let outcome = match self.outcome() {
            Outcome::Fail(code) if self.chance(0.3) => Outcome::Fail(code),
            Outcome::Fail(_) => Outcome::Fail("URLInvalidError".to_owned()),
            outcome => outcome,
        };
        let succeeded = outcome == Outcome::Success;
        let (job, size) = (hex_id(self.rng), self.size());
        let mut pulled = Draft::new("UploadByURLComplete", outcome)
            .with("JobId", job)
            .with("Size", size)
            .with("SourceURL", "http://origin.example.test/in.mp4?a=1&b=<2>");
        if succeeded {
            pulled = pulled.with("VideoId", self.video.as_str());
        }
        if self.chance(0.2) {
            pulled = pulled
                .with("FileType", "Stream")
                .with("StreamFileURL", "http://origin.example.test/in.m3u8");
        }
        self.say(at, pulled);
        succeeded
    }

    fn analyse(&mut self, at: UnixMillis, broken: bool) {
        let outcome = if broken {
            self.bad_source()
        } else {
            Outcome::Success
        };
        let mut analysis = self.about("VideoAnalysisComplete", "VideoId", outcome);
        if !broken {
            let (size, duration) = (self.size(), self.media_duration());
            analysis = analysis
                .with("Size", size)
                .with("Duration", duration)
                .with("Height", number(self.rng, 1_080))
                .with("Width", number(self.rng, 1_920))
                .with("Fps", "25")
                .with("Bitrate", "3100");
        }
        self.say(at, analysis);
    }

    fn bad_source(&mut self) -> Outcome {
        let code = if self.chance(0.3) {
            ""
        } else {
            "InvalidParameter.ResourceContentBad"
        };
        Outcome::Fail(code.to_owned())
    }

    /// What is not transcoded is playable or not, depending on its format.
    fn keep_as_uploaded(&mut self) {
        if self.digit().is_multiple_of(2) {
            "VOD_NO_TRANSCODE".clone_into(&mut self.media.template_group);
            "UploadSucc".clone_into(&mut self.media.status);
        }
    }

    /// A number below 16 that differs from video to video; what VOD's API tells must not change what is pushed, and so
    /// takes nothing from the source of randomness.
    fn digit(&self) -> u32 {
        let first = self.video.chars().next();
        first
            .and_then(|digit| digit.to_digit(16))
            .unwrap_or_default()
    }

    fn delete(&mut self, at: UnixMillis) {
        self.media.deleted = Some(at);
        self.becomes(at, State::Deleted);
        let deleted = if self.rng.bool() {
            self.about("DeleteMediaComplete", "MediaId", Outcome::Success)
                .with("DeleteType", "all")
        } else {
            self.about("MediaBaseChangeComplete", "MediaId", Outcome::Success)
                .with("OperateMode", "delete")
        };
        self.say(at, deleted.with("MediaType", "video"));
    }

    fn side_events(&mut self, from: UnixMillis) {
        for side in SIDES {
            if !self.chance(self.settings.side_event_share) {
                continue;
            }
            let at = after(from, 10.0 * self.rng.f64());
            let outcome = if side.can_fail {
                self.outcome()
            } else {
                Outcome::Success
            };
            let id = if side.own_file {
                hex_id(self.rng)
            } else {
                self.video.clone()
            };
            let details = side.details(self.rng, at);
            let event = Draft::new(side.event_type, outcome);
            self.say(at, event.with(side.id_key, id).with_all(details));
        }
    }

    /// Pushes an event made at `at`, soon or late, once or twice, and maybe something else with it.
    fn say(&mut self, at: UnixMillis, event: Draft) {
        let count = Count::Event(event.count());
        let text = event.write(self.rng, at);
        let pushed = self.push(at, &text, count);
        if self.chance(self.settings.duplicate_share) {
            self.push(pushed, &text, Count::Duplicate);
        }
        let more = [
            (
                self.settings.undecodable_share,
                broken::undecodable as fn(&mut _, _) -> _,
            ),
            (self.settings.foreign_share, broken::foreign),
        ];
        for (share, write) in more {
            if self.chance(share) {
                let (reason, body) = write(self.rng, at);
                self.plan_push(at, body, Count::Undecodable(reason));
            }
        }
    }

    /// Pushes a text between at once and 2 s later, or late, and returns when.
    fn push(&mut self, at: UnixMillis, text: &str, count: Count) -> UnixMillis {
        let mut delay = 2.0 * self.rng.f64();
        if self.chance(self.settings.reordered_share) {
            delay += self.settings.reorder_window.as_secs_f64() * self.rng.f64();
        }
        let at = after(at, delay);
        let body = encoded(self.rng, self.settings.base64_share, text);
        self.plan_push(at, body, count);
        at
    }

    fn plan_push(&mut self, at: UnixMillis, body: String, count: Count) {
        let queue = self.queue.clone();
        self.plan.push((at, Step::Push { queue, body, count }));
    }

    fn becomes(&mut self, at: UnixMillis, state: State) {
        let video = self.video.clone();
        self.plan.push((at, Step::State { video, state }));
    }

    fn about(&self, event_type: &'static str, id_key: &str, outcome: Outcome) -> Draft {
        Draft::new(event_type, outcome).with(id_key, self.video.as_str())
    }

    fn outcome(&mut self) -> Outcome {
        if self.chance(self.settings.failure_share) {
            self.failure()
        } else {
            Outcome::Success
        }
    }

    fn failure(&mut self) -> Outcome {
        let codes = &self.settings.failure_codes;
        let total: u64 = codes.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut at = self.rng.u64(..total.max(1));
        for (code, weight) in codes {
            match at.checked_sub(u64::from(*weight)) {
                Some(rest) => at = rest,
                None => return Outcome::Fail(code.clone()),
            }
        }
        Outcome::Fail(String::new())
    }

    fn chance(&mut self, share: f64) -> bool {
        chance(self.rng, share)
    }

    fn size(&mut self) -> Value {
        let bytes = self.rng.u32(100_000..500_000_000);
        number(self.rng, bytes)
    }

    /// In seconds, with milliseconds.
    fn media_duration(&mut self) -> Value {
        number(self.rng, (self.media_seconds * 1_000.0).round() / 1_000.0)
    }
}
