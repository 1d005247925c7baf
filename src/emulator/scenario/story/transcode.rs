//! The transcode of a video: its outputs, and the event of the whole.

use serde_json::{Value, json};

use super::{Fate, Story, Task, after};
use crate::clock::UnixMillis;
use crate::emulator::scenario::body::{Outcome, error_fields, number, seconds};
use crate::emulator::scenario::truth::State;
use crate::emulator::scenario::{exponential, hex_id};
use crate::emulator::vod::{self, Job};

/// One output of a transcode that ended.
struct Output {
    fields: Vec<(String, Value)>,
    outcome: Outcome,
    start: UnixMillis,
    finish: UnixMillis,
}

// === impl Story ===

impl Story<'_> {
    /// No job starts for a damaged file: the transcode fails at once, without streams.
    pub(super) fn give_up(&mut self, analysed: UnixMillis) -> UnixMillis {
        let at = after(analysed, 1.0 + 3.0 * self.rng.f64());
        self.submit(analysed, &[], Some(at));
        "TranscodeFail".clone_into(&mut self.media.status);
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
    pub(super) fn transcode(&mut self, analysed: UnixMillis, fate: Fate) -> UnixMillis {
        let wait = exponential(self.rng, self.settings.queue_wait.as_secs_f64());
        let begun = analysed.plus(wait);
        let mut outputs = self.outputs(begun, fate);
        let end = outputs.iter().map(|output| output.finish).max();
        let end = end.unwrap_or(begun);
        self.submit(analysed, &outputs, (fate != Fate::Stalled).then_some(end));
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
            count if count == outputs.len() => {
                "TranscodeFail".clone_into(&mut self.media.status);
                State::Failed
            }
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

    /// What VOD's API tells of the transcode. In one that never ends the last output waits for ever or stops half-way.
    fn submit(&mut self, created: UnixMillis, outputs: &[Output], ended: Option<UnixMillis>) {
        let job = |(index, output): (usize, &Output)| Job {
            start: output.start,
            finish: output.finish,
            outcome: match output.outcome {
                _ if ended.is_none() && index + 1 == outputs.len() => {
                    let digit = self.digit();
                    vod::Outcome::StuckAt(u8::try_from(digit * 6).unwrap_or_default())
                }
                Outcome::Success => vod::Outcome::Success,
                _ => vod::Outcome::Fail,
            },
        };
        let jobs = outputs.iter().enumerate().map(job).collect();
        self.media.task = Some(Task {
            created,
            jobs,
            ended,
        });
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
                start,
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
}
