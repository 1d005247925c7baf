//! The life of one upload, planned whole when it begins.

use std::time::Duration;

use serde_json::{Value, json};

use super::body::{Draft, Outcome, encoded, error_fields, number, seconds};
use super::settings::Settings;
use super::side::SIDES;
use super::truth::{Count, State, Video};
use super::{broken, chance, exponential, hex_id};
use crate::clock::UnixMillis;

/// Something that happens at an instant of the plan.
#[derive(Debug)]
pub(super) enum Step {
    /// A message is pushed.
    Push {
        queue: String,
        body: String,
        count: Count,
    },
    /// An upload has ended.
    Uploaded(Video),
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

/// One output of a transcode that ended.
struct Output {
    fields: Vec<(String, Value)>,
    outcome: Outcome,
    finish: UnixMillis,
}

fn after(from: UnixMillis, seconds: f64) -> UnixMillis {
    from.plus(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
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
        Self {
            rng,
            settings,
            queue,
            video,
            media_seconds: media_seconds.clamp(1.0, 43_200.0),
            plan: Vec::new(),
        }
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
        self.plan.push((uploaded, Step::Uploaded(video)));
        let analysed = after(uploaded, 0.5 + 2.0 * self.rng.f64());
        self.analyse(analysed, fate == Fate::BrokenSource);
        let ended = match fate {
            Fate::NotTranscoded => analysed,
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

    /// No job starts for a damaged file: the transcode fails at once, without streams.
    fn give_up(&mut self, analysed: UnixMillis) -> UnixMillis {
        let at = after(analysed, 1.0 + 3.0 * self.rng.f64());
        let outcome = self.bad_source();
        let mut failed = self.about("TranscodeComplete", "VideoId", outcome);
        match self.rng.u8(..4) {
            0 => {}
            1 => failed = failed.with("StreamInfos", Value::Null),
            2 => failed = failed.with("StreamInfos", "[]"),
            _ => failed = failed.with("StreamInfos", json!([])),
        }
        self.say(at, failed);
        self.becomes(at, State::Failed);
        at
    }

    /// Runs the outputs of a template group, and returns when the transcode ended.
    fn transcode(&mut self, analysed: UnixMillis, fate: Fate) -> UnixMillis {
        let wait = exponential(self.rng, self.settings.queue_wait.as_secs_f64());
        let begun = analysed.plus(wait);
        let mut outputs = self.outputs(begun, fate);
        let end = outputs.iter().map(|output| output.finish).max();
        let end = end.unwrap_or(begun);
        if fate == Fate::DeletedMeanwhile {
            self.delete(UnixMillis(i64::midpoint(analysed.0, end.0)));
            return end;
        }
        if fate == Fate::Stalled {
            // The last output never ends, so that the whole never does.
            outputs.pop();
        }
        for output in &outputs {
            let ended = self
                .about("StreamTranscodeComplete", "VideoId", output.outcome.clone())
                .with_all(output.fields.iter().cloned());
            let at = after(output.finish, self.rng.f64());
            self.say(at, ended);
        }
        if fate == Fate::Stalled {
            return end;
        }
        let at = after(end, 1.0 + self.rng.f64());
        let failed = outputs
            .iter()
            .filter(|output| output.outcome != Outcome::Success);
        let state = match failed.count() {
            0 => State::Done,
            count if count == outputs.len() => State::Failed,
            _ => State::Partial,
        };
        if fate == Fate::LostCallback {
            self.becomes(at, State::LostCallback);
        } else {
            self.summarise(at, &outputs, state);
            self.becomes(at, state);
        }
        at
    }

    /// The outputs of a template group, as they would end.
    fn outputs(&mut self, begun: UnixMillis, fate: Fate) -> Vec<Output> {
        let group = self.rng.choice(&self.settings.template_groups);
        let definitions = group.map(Vec::as_slice).unwrap_or_default();
        // One code for all: which of several a summary is known by is nobody's business here.
        let failure = self.failure();
        let total = fate == Fate::Transcode && self.chance(self.settings.failure_share);
        let partial = !total
            && fate == Fate::Transcode
            && definitions.len() > 1
            && self.chance(self.settings.partial_failure_share);
        let first_bad = match (total, partial) {
            (true, _) => 0,
            (_, true) => self.rng.usize(1..definitions.len()),
            _ => definitions.len(),
        };
        let mut outputs = Vec::new();
        for (index, definition) in definitions.iter().enumerate() {
            let start = after(begun, self.rng.f64());
            let effort = 0.7 + 0.3 * self.rng.f64();
            let run = effort * self.media_seconds / self.settings.transcode_speed.max(1e-6);
            let finish = after(start, 1.0 + run);
            let outcome = if index < first_bad {
                Outcome::Success
            } else {
                failure.clone()
            };
            let fields = self.output_fields(definition, start, finish, outcome == Outcome::Success);
            outputs.push(Output {
                fields,
                outcome,
                finish,
            });
        }
        outputs
    }

    fn output_fields(
        &mut self,
        definition: &str,
        start: UnixMillis,
        finish: UnixMillis,
        succeeded: bool,
    ) -> Vec<(String, Value)> {
        let mut fields: Vec<(&str, Value)> = vec![
            ("Definition", definition.into()),
            ("Format", "m3u8".into()),
            ("JobId", hex_id(self.rng).into()),
        ];
        // Not there in callbacks of early years.
        if !self.chance(0.03) {
            fields.push(("StartTime", seconds(start).into()));
            fields.push(("FinishTime", seconds(finish).into()));
        }
        if succeeded {
            let encrypt = self.rng.bool();
            fields.extend([
                ("Duration", self.media_duration()),
                ("Size", self.size()),
                ("Bitrate", "640".into()),
                ("Fps", "25".into()),
                ("Height", number(self.rng, 540)),
                ("Width", number(self.rng, 960)),
                ("FileUrl", "http://vod.example.test/a1/x-ld.m3u8".into()),
                (
                    "Encrypt",
                    if self.chance(0.8) {
                        encrypt.into()
                    } else {
                        encrypt.to_string().into()
                    },
                ),
                ("IsAudio", false.into()),
            ]);
        }
        fields
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// The event of the whole transcode: a success if one output is, with the error code of a failure at the top or
    /// only in the outputs.
    fn summarise(&mut self, at: UnixMillis, outputs: &[Output], state: State) {
        let outcome = match (state, outputs.first()) {
            (State::Failed, Some(output)) => output.outcome.clone(),
            _ => Outcome::Success,
        };
        let mut summary = self.about("TranscodeComplete", "VideoId", outcome);
        summary.code_elsewhere = self.chance(0.6);
        let infos: Vec<Value> = outputs
            .iter()
            .map(|output| {
                let mut fields = output.fields.clone();
                let status = match output.outcome {
                    Outcome::Success => "success",
                    _ => "fail",
                };
                fields.push(("Status".to_owned(), status.into()));
                let code = output.outcome.code();
                fields.extend(error_fields(self.rng, summary.event_type, code));
                Value::Object(fields.into_iter().collect())
            })
            .collect();
        self.say(at, summary.with("StreamInfos", infos));
    }

    fn delete(&mut self, at: UnixMillis) {
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
        let total: u32 = codes.iter().map(|(_, weight)| weight).sum();
        let mut at = self.rng.u32(..total.max(1));
        for (code, weight) in codes {
            if at < *weight {
                return Outcome::Fail(code.clone());
            }
            at -= weight;
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
