//! Trouble on demand: what a person asks a running platform for, beside what happens by itself.

use std::time::Duration;

use serde_json::{Value, json};

use super::body::{Draft, Outcome, encoded, seconds};
use super::story::{Step, Story};
use super::truth::{Count, State};
use super::{Due, Platform, Settings, hex_id};
use crate::clock::UnixMillis;
use crate::emulator::vod::{self, Media};

/// The outputs of every video that somebody asked for.
const DEFINITIONS: [&str; 3] = ["LD", "SD", "HD"];
/// Short, so that its transcode would be over soon.
const MEDIA_SECONDS: f64 = 10.0;
/// Until an upload was told of and analysed.
const BEFORE: Duration = Duration::from_secs(8);

/// A transcode that stands still until it is told to end.
#[derive(Debug)]
pub(super) struct Stuck {
    queue: String,
    media: Media,
}

// === impl Platform ===

impl Platform {
    /// A video whose transcode stands still, and ends well after `lasting`. Its upload is told of by now, so that what begins
    /// next does not hide it. Returns its id.
    pub fn stall(&mut self, queue: &str, now: UnixMillis, lasting: Duration) -> String {
        let settings = Settings {
            stalled_share: 1.0,
            ..asked_for(queue)
        };
        let media = self.tell(&settings, now.minus(BEFORE), now);
        let id = media.id.clone();
        let queue = queue.to_owned();
        self.stuck.insert(id.clone(), Stuck { queue, media });
        self.plan(now.plus(lasting), Due::Finish(id.clone()));
        id
    }

    /// Uploads a video whose transcode fails by VOD's own fault. Returns its id.
    pub fn fail(&mut self, queue: &str, now: UnixMillis) -> String {
        let settings = Settings {
            failure_share: 1.0,
            failure_codes: vec![("InternalError".to_owned(), 1)],
            ..asked_for(queue)
        };
        self.tell(&settings, now, now).id
    }

    /// Lets all transcodes end that [`Platform::stall`] has begun. Returns the ids of their videos.
    pub fn finish_stalled(&mut self, now: UnixMillis) -> Vec<String> {
        let ids: Vec<String> = self.stuck.keys().cloned().collect();
        for id in &ids {
            self.finish(id, now);
        }
        ids
    }

    /// The body of a callback to be sent to `queue`, which counts as sent.
    pub fn callback(&mut self, queue: &str, now: UnixMillis) -> String {
        let video = hex_id(&mut self.rng);
        let draft = Draft::new("SnapshotComplete", Outcome::Success).with("VideoId", video);
        let count = Count::Event(draft.count());
        let text = draft.write(&mut self.rng, now);
        self.truth.pushed(queue, &count);
        encoded(&mut self.rng, 0.0, &text)
    }

    /// No callback reaches `queue` from `now` until then, though videos go on; an instant that has passed ends it.
    pub fn silence(&mut self, queue: &str, now: UnixMillis, until: UnixMillis) {
        self.silent.insert(queue.to_owned(), now..until);
    }

    /// Until when a callback made at `at` never reaches the queue; none if it does.
    pub fn silent_until(&self, queue: &str, at: UnixMillis) -> Option<UnixMillis> {
        let silence = self.silent.get(queue)?;
        silence.contains(&at).then_some(silence.end)
    }

    /// Whether a callback made at `at` never reaches the queue.
    pub(super) fn is_silent(&self, queue: &str, at: UnixMillis) -> bool {
        self.silent_until(queue, at).is_some()
    }

    /// What is true of a video that comes to `state` at `at`.
    pub(super) fn heard(&self, video: &str, state: State, at: UnixMillis) -> State {
        let ends = matches!(state, State::Done | State::Partial | State::Failed);
        let queue = self.truth.video(video).map(|video| video.queue.as_str());
        if ends && queue.is_some_and(|queue| self.is_silent(queue, at)) {
            State::LostCallback
        } else {
            state
        }
    }

    /// Ends the transcode of a video that stands still, if it still does.
    pub(super) fn finish(&mut self, id: &str, now: UnixMillis) {
        let Some(Stuck { queue, mut media }) = self.stuck.remove(id) else {
            return;
        };
        if let Some(task) = &mut media.task {
            task.ended = Some(now);
            for job in &mut task.jobs {
                if matches!(job.outcome, vod::Outcome::StuckAt(_)) {
                    job.finish = now;
                    job.outcome = vod::Outcome::Success;
                }
            }
        }
        let started = media.created;
        self.media.push(media);
        let last = stream(DEFINITIONS[DEFINITIONS.len() - 1], started, now);
        let stream_ended = Draft::new("StreamTranscodeComplete", Outcome::Success)
            .with("VideoId", id)
            .with_all(last);
        let infos = DEFINITIONS.map(|definition| {
            let mut fields = stream(definition, started, now);
            fields.push(("Status".to_owned(), "success".into()));
            Value::Object(fields.into_iter().collect())
        });
        let ended = Draft::new("TranscodeComplete", Outcome::Success)
            .with("VideoId", id)
            .with("StreamInfos", json!(infos));
        for draft in [stream_ended, ended] {
            let count = Count::Event(draft.count());
            let body = draft.write(&mut self.rng, now);
            let queue = queue.clone();
            self.plan(now, Due::Step(Step::Push { queue, body, count }));
        }
        let (video, state) = (id.to_owned(), State::Done);
        self.plan(now, Due::Step(Step::State { video, state }));
    }

    /// Plans the story that `settings` leave no choice about, begun at `start`, with all that is past happening now. Returns
    /// what VOD's API will tell.
    fn tell(&mut self, settings: &Settings, start: UnixMillis, now: UnixMillis) -> Media {
        let story = Story::new(&mut self.rng, settings);
        let media = story.media();
        let mut told = None;
        for (at, step) in story.tell(start) {
            if let Step::Uploaded(_, media) = &step {
                told = Some(media.as_ref().clone());
            }
            self.plan(at.max(now), Due::Step(step));
        }
        told.unwrap_or(media)
    }
}

/// A video of which nothing happens by chance.
fn asked_for(queue: &str) -> Settings {
    Settings {
        queues: vec![queue.to_owned()],
        media_seconds_median: MEDIA_SECONDS,
        template_groups: vec![DEFINITIONS.map(ToOwned::to_owned).to_vec()],
        url_upload_share: 0.0,
        live_record_share: 0.0,
        side_event_share: 0.0,
        ..Settings::calm()
    }
}

fn stream(definition: &str, start: UnixMillis, finish: UnixMillis) -> Vec<(String, Value)> {
    let fields = [
        ("Definition", definition.to_owned()),
        ("Format", "m3u8".to_owned()),
        ("StartTime", seconds(start)),
        ("FinishTime", seconds(finish)),
    ];
    let fields = fields.map(|(key, value)| (key.to_owned(), value.into()));
    fields.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::scenario::Push;
    use crate::vod::decode::decode;
    use crate::vod::event::{EventType, Status};

    const START: UnixMillis = UnixMillis(1_769_932_800_000);
    const MINUTE: Duration = Duration::from_mins(1);

    fn platform() -> Platform {
        let settings = Settings {
            uploads_per_second: 0.0,
            ..Settings::calm()
        };
        Platform::new(settings, 1, START)
    }

    fn state(platform: &Platform, id: &str) -> State {
        platform.truth.video(id).expect("the video is known").state
    }

    /// Type and status of the callbacks.
    fn told(pushes: &[Push]) -> Vec<(EventType, Status)> {
        let decoded = pushes.iter().map(|push| {
            let event = decode(&push.body, push.at).expect("a callback").event;
            (event.event_type, event.status)
        });
        decoded.collect()
    }

    #[test]
    fn a_stalled_transcode_ends_when_its_time_is_up() {
        let mut platform = platform();
        let id = platform.stall("q", START, 3 * MINUTE);
        let before = told(&platform.step(START.plus(2 * MINUTE)));
        assert_eq!(state(&platform, &id), State::Stalled);
        let ended = (EventType::TranscodeComplete, Status::Success);
        assert!(!before.contains(&ended), "{before:?}");
        let begun = platform.take_media();
        assert_eq!(begun[0].task.as_ref().and_then(|task| task.ended), None);

        let end = START.plus(3 * MINUTE);
        let after = told(&platform.step(end));
        assert!(after.contains(&ended), "{after:?}");
        assert_eq!(state(&platform, &id), State::Done);
        let media = platform.take_media();
        assert_eq!(media[0].id, id);
        assert_eq!(
            media[0].task.as_ref().and_then(|task| task.ended),
            Some(end)
        );
    }

    #[test]
    fn a_stalled_transcode_ends_once_when_it_is_told_to() {
        let mut platform = platform();
        let id = platform.stall("q", START, 3 * MINUTE);
        platform.step(START.plus(MINUTE));
        assert_eq!(platform.finish_stalled(START.plus(MINUTE)), [id.as_str()]);
        assert_eq!(platform.step(START.plus(MINUTE)).len(), 2);
        assert_eq!(state(&platform, &id), State::Done);
        assert_eq!(platform.step(START.plus(5 * MINUTE)), []);
        assert!(platform.finish_stalled(START.plus(MINUTE)).is_empty());
    }

    #[test]
    fn a_failed_transcode_is_told_as_one_of_the_service() {
        let mut platform = platform();
        let id = platform.fail("q", START);
        let told = told(&platform.step(START.plus(5 * MINUTE)));
        assert!(
            told.contains(&(EventType::TranscodeComplete, Status::Fail)),
            "{told:?}"
        );
        assert_eq!(state(&platform, &id), State::Failed);
        let faults = &platform.truth.queues["q"].faults["TranscodeComplete"];
        assert_eq!(faults["service"], 1);
    }

    #[test]
    fn nothing_is_heard_in_silence_and_the_callbacks_are_lost() {
        let mut platform = platform();
        platform.silence("q", START, START.plus(5 * MINUTE));
        let id = platform.fail("q", START);
        assert_eq!(platform.step(START.plus(4 * MINUTE)), []);
        assert_eq!(state(&platform, &id), State::LostCallback);
        assert!(
            platform
                .truth
                .queues
                .get("q")
                .is_none_or(|q| q.messages == 0)
        );

        platform.silence("q", START.plus(5 * MINUTE), START);
        platform.fail("q", START.plus(5 * MINUTE));
        assert_ne!(platform.step(START.plus(9 * MINUTE)), []);
    }

    /// Without the upload nobody who listens knows that there is a video.
    #[test]
    fn the_upload_of_a_stalled_transcode_is_heard_before_a_silence_that_follows() {
        for seed in 0..50 {
            let settings = Settings {
                uploads_per_second: 0.0,
                ..Settings::calm()
            };
            let mut platform = Platform::new(settings, seed, START);
            platform.stall("q", START, 3 * MINUTE);
            let then = START.plus(Duration::from_millis(1));
            platform.silence("q", then, then.plus(5 * MINUTE));
            let heard = told(&platform.step(START.plus(MINUTE)));
            let types: Vec<&EventType> = heard.iter().map(|(kind, _)| kind).collect();
            assert!(
                types.contains(&&EventType::FileUploadComplete),
                "{seed}: {heard:?}"
            );
            assert!(
                types.contains(&&EventType::VideoAnalysisComplete),
                "{seed}: {heard:?}"
            );
        }
    }

    #[test]
    fn a_stalled_transcode_that_begins_in_silence_is_not_heard_of() {
        let mut platform = platform();
        let until = START.plus(MINUTE);
        platform.silence("q", START, until);
        let then = START.plus(Duration::from_secs(1));
        assert_eq!(platform.silent_until("q", then), Some(until));
        platform.stall("q", then, 3 * MINUTE);
        assert_eq!(platform.step(START.plus(2 * MINUTE)), []);
        assert_eq!(platform.silent_until("q", until), None);
    }
}
