//! The trouble that `simulate` asks a demo for: what is done, and what will be seen of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::worker::Poison;
use super::{DEAD_LETTERS, MAX_RECEIVE_COUNT, OWN, SHARED};
use crate::clock::UnixMillis;
use crate::emulator::Handle;
use crate::emulator::scenario::Platform;

/// More would say nothing new.
pub(crate) const MAX_COUNT: u16 = 1_000;
/// A day.
pub(crate) const MAX_SECONDS: u32 = 86_400;
/// A shorter stall would be over before the exporter has found it, which takes 100 s, and somebody has looked.
const MIN_STALLED: Duration = Duration::from_secs(150);
/// Long enough that a page comes first, short enough that it is over within 5 minutes.
const STALLED: Duration = Duration::from_secs(200);
/// More than a tenth of what a calm demo transcodes within half an hour.
const PLENTY: u16 = 40;
/// A shorter silence would be over before it is told, even by `make demo-stack`: a threshold of 45 s, and the half minute in
/// which an idle queue is read once.
const MIN_SILENT: Duration = Duration::from_mins(2);
/// Long enough that a page comes first.
const SILENT: Duration = Duration::from_secs(150);

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Simulation {
    /// A video whose transcode does not end for a while
    StalledTranscode,
    /// A video whose transcode fails by VOD's own fault
    FailedTranscode,
    /// A message on which the worker dies each time
    Poison,
    /// No callbacks for a while
    Silence,
}

/// The body of a request.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) simulation: Simulation,
    /// How many videos or messages.
    pub(crate) count: u16,
    /// How long it lasts; none for the simulation's own time.
    pub(crate) seconds: Option<u32>,
    /// End it rather than begin it.
    pub(crate) resolve: bool,
}

/// What a demo answers: lines for a person.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) lines: Vec<String>,
}

/// The parts of a demo that trouble can come to.
pub(super) struct Simulator {
    pub(super) platform: Arc<Mutex<Platform>>,
    pub(super) emulator: Handle,
    pub(super) poison: Arc<Mutex<Poison>>,
    pub(super) exporter: SocketAddr,
}

// === impl Simulator ===

impl Simulator {
    /// Does what the body asks for.
    pub(super) fn answer(&self, body: &[u8]) -> Result<Value, String> {
        let request: Request = serde_json::from_slice(body)
            .map_err(|error| format!("the request's JSON is not valid: {error}"))?;
        let lines = if request.resolve {
            self.end(request.simulation)?
        } else {
            self.begin(request)?
        };
        serde_json::to_value(Told { lines }).map_err(|error| error.to_string())
    }

    fn begin(&self, request: Request) -> Result<Vec<String>, String> {
        if !(1..=MAX_COUNT).contains(&request.count) {
            let found = request.count;
            return Err(format!("count is {found}; expected 1 to {MAX_COUNT}"));
        }
        if let Some(found) = request.seconds
            && !(1..=MAX_SECONDS).contains(&found)
        {
            return Err(format!("seconds is {found}; expected 1 to {MAX_SECONDS}"));
        }
        let lasting = |usual, least: Duration, what: &str| {
            let asked = request
                .seconds
                .map(|seconds| Duration::from_secs(u64::from(seconds)));
            let lasting = asked.unwrap_or(usual);
            if lasting < least {
                return Err(format!(
                    "seconds is {}; {what} after about 100 s, expected at least {}",
                    lasting.as_secs(),
                    least.as_secs()
                ));
            }
            Ok(lasting)
        };
        let now = self.emulator.now();
        match (request.simulation, request.seconds, request.count) {
            (Simulation::StalledTranscode, _, count) => {
                let lasting = lasting(STALLED, MIN_STALLED, "a stall is found")?;
                Ok(self.stall(count, now, lasting))
            }
            (Simulation::Silence, _, 1) => {
                let lasting = lasting(SILENT, MIN_SILENT, "a silence is told")?;
                Ok(self.silence(now, lasting))
            }
            (Simulation::Silence, _, found) => Err(format!(
                "count is {found}; a silence is that of queue {OWN}, expected none"
            )),
            (Simulation::FailedTranscode, None, count) => Ok(self.fail(count, now)),
            (Simulation::Poison, None, count) => self.poison(count, now),
            (Simulation::FailedTranscode | Simulation::Poison, Some(found), _) => Err(format!(
                "seconds is {found}; only a stall and a silence last, expected none"
            )),
        }
    }

    fn stall(&self, count: u16, now: UnixMillis, lasting: Duration) -> Vec<String> {
        let exporter = self.exporter;
        let ids = self.for_each(count, |platform| platform.stall(OWN, now, lasting));
        let mut lines = videos(&ids, "its transcode stands still");
        lines.extend([
            format!(
                "It ends in {} s, or at once with --resolve.",
                lasting.as_secs()
            ),
            String::new(),
        ]);
        if let Some(until) = lock(&self.platform).silent_until(OWN, now) {
            let left = until.since(now).as_secs();
            lines.extend([
                format!("Queue {OWN} hears nothing for another {left} s, of this upload neither:"),
                "nobody can tell that it stands still.".to_owned(),
                "  alert   VodQueueSilent, rather than VodTranscodesStalled".to_owned(),
            ]);
            return lines;
        }
        lines.extend([
            "Within 2 minutes:".to_owned(),
            format!("  list    vod-callback-exporter transcodes --stalled --url=http://{exporter}"),
            format!("  metric  vod_transcodes_stalled{{queue=\"{OWN}\",stage=\"transcode\"}}"),
            "  alert   VodTranscodesStalled; where the demo has an Alertmanager (--alertmanager.url), VodTranscodeStalled".to_owned(),
            "          with the video as well".to_owned(),
        ]);
        lines
    }

    fn fail(&self, count: u16, now: UnixMillis) -> Vec<String> {
        let ids = self.for_each(count, |platform| platform.fail(OWN, now));
        let mut lines = videos(&ids, "its transcode fails with InternalError");
        lines.extend([
            String::new(),
            "Within 30 s:".to_owned(),
            format!("  metric  vod_event_faults_total{{queue=\"{OWN}\",event_type=\"TranscodeComplete\",fault=\"service\"}}"),
            "  alert   VodServiceFaults: in make demo-stack once 20 events of the type came within 2 minutes".to_owned(),
            format!("          with the rules as they are when a tenth fails of 30 minutes: --count={PLENTY}"),
            "  alert   VodTranscodeFailed with the video, for an hour, where the demo has an Alertmanager".to_owned(),
            "          (--alertmanager.url), as make demo-stack has".to_owned(),
        ]);
        lines
    }

    fn poison(&self, count: u16, now: UnixMillis) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for _ in 0..count {
            let body = lock(&self.platform).callback(SHARED, now);
            // Held until the id is known: the worker may be waiting for messages.
            let mut poison = lock(&self.poison);
            let id = self.emulator.send(SHARED, &body);
            let id = id.map_err(|error| format!("the message was not sent: {error}"))?;
            lines.push(format!(
                "Message {id} of queue {SHARED}: the worker dies on it each time."
            ));
            poison.add(&id);
        }
        lines.extend([
            String::new(),
            "Within 2 minutes:".to_owned(),
            format!("  metric  mns_queue_dequeue_count_max{{queue=\"{SHARED}\"}} rises, to {MAX_RECEIVE_COUNT} at most"),
            format!("  metric  mns_message_redeliveries_total{{queue=\"{SHARED}\"}} rises"),
            format!("  metric  mns_queue_empty{{queue=\"{DEAD_LETTERS}\"}} is 0: the message ends there"),
            "  alert   VodPoisonMessage, in make demo-stack: elsewhere its threshold is higher".to_owned(),
            "  alert   VodDeadLetters, until --resolve empties that queue".to_owned(),
        ]);
        Ok(lines)
    }

    fn silence(&self, now: UnixMillis, lasting: Duration) -> Vec<String> {
        lock(&self.platform).silence(OWN, now, now.plus(lasting));
        vec![
            format!("Queue {OWN} hears nothing more, though videos go on."),
            format!(
                "It ends in {} s, or at once with --resolve.",
                lasting.as_secs()
            ),
            String::new(),
            "From now on:".to_owned(),
            format!("  metric  vod_event_last_timestamp_seconds{{queue=\"{OWN}\"}} stands still"),
            "  alert   VodQueueSilent, after the time its threshold grants; in make demo-stack within 2 minutes".to_owned(),
            String::new(),
            "Some minutes later, for videos whose callbacks got lost:".to_owned(),
            format!("  metric  vod_callbacks_lost_total{{queue=\"{OWN}\"}} rises"),
            "  alert   VodCallbacksLost, for about an hour".to_owned(),
            String::new(),
            "What stands still and was heard of before is told all the same; what is uploaded meanwhile is not.".to_owned(),
        ]
    }

    fn end(&self, simulation: Simulation) -> Result<Vec<String>, String> {
        let now = self.emulator.now();
        let line = match simulation {
            Simulation::StalledTranscode => {
                let ids = lock(&self.platform).finish_stalled(now);
                if ids.is_empty() {
                    return Ok(vec!["No transcode stands still.".to_owned()]);
                }
                return Ok(videos(&ids, "its transcode has ended"));
            }
            Simulation::FailedTranscode => {
                "A failed transcode stays failed; the alert ends once failures are rare again."
                    .to_owned()
            }
            Simulation::Poison => {
                lock(&self.poison).clear();
                let emptied = self.emulator.purge(DEAD_LETTERS);
                let emptied = emptied
                    .map_err(|error| format!("queue {DEAD_LETTERS} was not emptied: {error}"))?;
                format!(
                    "The worker dies on no message that it knows; {emptied} messages left {DEAD_LETTERS}."
                )
            }
            Simulation::Silence => {
                let mut platform = lock(&self.platform);
                if platform.silent_until(OWN, now).is_none() {
                    return Ok(vec!["No queue is silent.".to_owned()]);
                }
                platform.silence(OWN, now, now);
                format!("Queue {OWN} hears again.")
            }
        };
        Ok(vec![line])
    }

    fn for_each(&self, count: u16, mut begin: impl FnMut(&mut Platform) -> String) -> Vec<String> {
        let mut platform = lock(&self.platform);
        (0..count).map(|_| begin(&mut platform)).collect()
    }
}

fn videos(ids: &[String], what: &str) -> Vec<String> {
    let line = |id| format!("Video {id} of queue {OWN}: {what}.");
    ids.iter().map(line).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
