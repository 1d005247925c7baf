//! A simulated video platform: what VOD would push into MNS, and the truth about it.
//!
//! Videos are uploaded, analysed, transcoded, reviewed and deleted; each step is pushed as a callback, with all the
//! oddities of the real ones: types that vary, two forms of `EventTime`, spellings of `Status`, blanks in keys, bodies in
//! base64, duplicates, late messages and messages that are no event at all.
//!
//! Sans-I/O and deterministic: the same settings, seed and start give the same pushes. It shares no code with the
//! exporter's decoder and ledger, so that its [`Truth`] can judge them.

mod body;
mod broken;
pub mod driver;
mod settings;
mod side;
mod simulate;
mod story;
mod truth;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use self::simulate::Stuck;
use self::story::{Step, Story};
use crate::clock::UnixMillis;
use crate::emulator::vod::Media;

pub use self::settings::Settings;
pub use self::truth::{QueueTruth, State, Table, Truth, Video};

/// The platform.
#[derive(Debug)]
pub struct Platform {
    settings: Arc<Settings>,
    rng: fastrand::Rng,
    /// What is due, by instant and then in the order of planning.
    agenda: BTreeMap<(UnixMillis, u64), Due>,
    planned: u64,
    truth: Truth,
    media: Vec<Media>,
    /// By video.
    stuck: BTreeMap<String, Stuck>,
    /// Queues that hear nothing, and from when until when.
    silent: HashMap<String, Range<UnixMillis>>,
}

/// A message that is to be sent to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The queue's name.
    pub queue: String,
    /// The body, as MNS is to store it.
    pub body: String,
    /// The instant of the push.
    pub at: UnixMillis,
}

#[derive(Debug)]
enum Due {
    Upload,
    Step(Step),
    /// The transcode of a video that stands still ends.
    Finish(String),
}

// === impl Platform ===

impl Platform {
    /// A platform whose first upload comes soon after `start`.
    pub fn new(settings: Settings, seed: u64, start: UnixMillis) -> Self {
        let mut platform = Self {
            settings: Arc::new(settings),
            rng: fastrand::Rng::with_seed(seed),
            agenda: BTreeMap::new(),
            planned: 0,
            truth: Truth::default(),
            media: Vec::new(),
            stuck: BTreeMap::new(),
            silent: HashMap::new(),
        };
        for queue in &platform.settings.queues {
            platform.truth.queues.entry(queue.clone()).or_default();
        }
        platform.plan_upload(start);
        platform
    }

    /// When [`Platform::step`] has something to do next; none if it never has again.
    pub fn next_due(&self) -> Option<UnixMillis> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// Does all that is due until `now` and returns the messages to push, in the order of their instants.
    pub fn step(&mut self, now: UnixMillis) -> Vec<Push> {
        let mut pushes = Vec::new();
        while let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= now
        {
            let ((at, _), due) = entry.remove_entry();
            match due {
                Due::Upload => {
                    self.upload(at);
                    self.plan_upload(at);
                }
                Due::Step(Step::Uploaded(video, media)) => {
                    self.truth.uploaded(video);
                    self.media.push(*media);
                }
                Due::Step(Step::State { video, state }) => {
                    let state = self.heard(&video, state, at);
                    self.truth.changed(&video, state, at);
                }
                Due::Finish(video) => self.finish(&video, at),
                Due::Step(Step::Push { queue, .. }) if self.is_silent(&queue, at) => {}
                Due::Step(Step::Push { queue, body, count }) => {
                    self.truth.pushed(&queue, &count);
                    pushes.push(Push { queue, body, at });
                }
            }
        }
        pushes
    }

    /// The media uploaded since the last call, for [`put_media`](crate::emulator::Handle::put_media).
    pub fn take_media(&mut self) -> Vec<Media> {
        std::mem::take(&mut self.media)
    }

    /// The truth about all that [`Platform::step`] has done.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    fn plan(&mut self, at: UnixMillis, due: Due) {
        self.agenda.insert((at, self.planned), due);
        self.planned += 1;
    }

    fn plan_upload(&mut self, after: UnixMillis) {
        let rate = self.settings.uploads_per_second;
        if rate > 0.0 {
            let gap = exponential(&mut self.rng, 1.0 / rate);
            self.plan(after.plus(gap), Due::Upload);
        }
    }

    fn upload(&mut self, at: UnixMillis) {
        let settings = Arc::clone(&self.settings);
        for (at, step) in Story::new(&mut self.rng, &settings).tell(at) {
            self.plan(at, Due::Step(step));
        }
    }
}

/// A random time with the mean `mean_seconds`, as between events that do not know of each other.
fn exponential(rng: &mut fastrand::Rng, mean_seconds: f64) -> Duration {
    let seconds = -(1.0 - rng.f64()).ln() * mean_seconds;
    // At most a year, whatever the settings say.
    Duration::try_from_secs_f64(seconds.min(31_536_000.0)).unwrap_or_default()
}

/// True with the probability `share`.
fn chance(rng: &mut fastrand::Rng, share: f64) -> bool {
    rng.f64() < share
}

/// One of `items`.
fn pick<T: Clone, const N: usize>(rng: &mut fastrand::Rng, items: &[T; N]) -> T {
    items[rng.usize(..N)].clone()
}

/// 32 lower-case hex digits.
fn hex_id(rng: &mut fastrand::Rng) -> String {
    format!("{:032x}", rng.u128(..))
}

#[cfg(test)]
mod tests;
