//! Simulated days with VOD asked: every verdict against what really happened to each of 50,000 videos.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vod_callback_exporter::aliyun::credentials::{Credentials, Provider};
use vod_callback_exporter::aliyun::transport;
use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::emulator::scenario::{Platform, Push, Settings, State};
use vod_callback_exporter::emulator::{self, Handle, Server};
use vod_callback_exporter::ledger::store::{self, StateOptions};
use vod_callback_exporter::ledger::{
    Changes, Mode, Overdue, QueueIdentity, QueueIndex, QueueSettings, Record, Role, Situation,
    TranscodeSettings, Verdict,
};
use vod_callback_exporter::mns::Message;
use vod_callback_exporter::reconcile::budget::Budget;
use vod_callback_exporter::reconcile::callback::CallbackConfig;
use vod_callback_exporter::reconcile::driver::{self, Driver, Watched};
use vod_callback_exporter::recorder::{Stopped, sightings};
use vod_callback_exporter::vod::api::{self, Client, ClientConfig, Observer};

const QUEUE: QueueIndex = QueueIndex(0);
const VIDEOS: usize = 50_000;
const STEP: Duration = Duration::from_mins(10);
/// By then even a transcode that waits has been found stalled.
const SETTLED: Duration = Duration::from_hours(5);
/// While peeking, one message in so many is seen.
const SAMPLED: u64 = 4;

struct Unobserved;

impl Observer for Unobserved {
    fn called(&self, _operation: api::Operation, _code: &'static str, _took: Duration) {}
}

/// A ledger without a recorder, and what was said of every video.
#[derive(Clone)]
struct Book {
    emulator: Handle,
    identity: Arc<QueueIdentity>,
    ledger: Arc<Mutex<vod_callback_exporter::ledger::Ledger>>,
    said: Arc<Mutex<HashMap<String, Verdict>>>,
}

impl Book {
    fn open(&self, at: UnixMillis) {
        let settings = QueueSettings {
            transcodes: TranscodeSettings {
                reconciled: true,
                ..TranscodeSettings::default()
            },
            ..QueueSettings::default()
        };
        self.apply(&Record::Opened {
            queue: QUEUE,
            identity: Arc::clone(&self.identity),
            settings,
            at,
        });
    }

    fn apply(&self, record: &Record) {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.apply(record, &mut Changes::default());
    }
}

impl driver::Ledger for Book {
    fn queues(&self) -> Vec<Watched> {
        vec![Watched {
            index: QUEUE,
            identity: Arc::clone(&self.identity),
        }]
    }

    fn overdue(&self, queue: QueueIndex, limit: usize) -> Vec<Overdue> {
        let ledger = self.ledger.lock().unwrap();
        ledger.overdue(queue).take(limit).collect()
    }

    fn situation(&self, queue: QueueIndex) -> Option<Situation> {
        let ledger = self.ledger.lock().unwrap();
        ledger.situation(queue, self.emulator.now())
    }

    async fn commit(&self, record: Record) -> Result<(), Stopped> {
        if let Record::Judged { judgements, .. } = &record {
            let mut said = self.said.lock().unwrap();
            for judgement in judgements {
                said.insert(judgement.media.to_string(), judgement.verdict);
            }
        }
        self.apply(&record);
        Ok(())
    }
}

struct Days {
    platform: Platform,
    emulator: Handle,
    book: Book,
    driver: Driver<Book>,
    mode: Mode,
    pushed: u64,
    truth: HashMap<String, (State, UnixMillis)>,
    /// What the platform pushed and nobody has received yet.
    waiting: Vec<Push>,
    ending: CancellationToken,
}

impl Days {
    fn new(mode: Mode) -> Self {
        let settings = Settings {
            queues: vec!["q".to_owned()],
            uploads_per_second: 1.0,
            stalled_share: 0.02,
            lost_callback_share: 0.01,
            failure_share: 0.03,
            not_transcoded_share: 0.05,
            media_seconds_sigma: 0.5,
            ..Settings::default()
        };
        Self::with(mode, settings)
    }

    fn with(mode: Mode, platform: Settings) -> Self {
        let options = emulator::Options::new("id", "secret");
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
        let (emulator, url, ending) = (server.handle(), server.url(), CancellationToken::new());
        tokio::spawn(server.run(ending.clone().cancelled_owned()));
        let identity = Arc::new(QueueIdentity {
            id: "q".into(),
            mns_queue: "q".into(),
            endpoint: "http://127.0.0.1".into(),
            account: "".into(),
            region: "".into(),
            mode,
            role: Role::Callback,
        });
        let book = Book {
            emulator: emulator.clone(),
            identity: Arc::clone(&identity),
            ledger: Arc::new(Mutex::new(vod_callback_exporter::ledger::Ledger::new(
                1 << 20,
            ))),
            said: Arc::default(),
        };
        book.open(emulator.now());
        let credentials = Credentials {
            access_key_id: "id".to_owned(),
            access_key_secret: "secret".into(),
            security_token: None,
        };
        let client = Client::new(
            ClientConfig {
                endpoint: url.parse().unwrap(),
                app_id: None,
                seed: 1,
            },
            Arc::new(Provider::fixed(credentials)),
            transport::Options::default().client().unwrap(),
            Arc::new(Unobserved),
        );
        let driver = Driver::new(
            client,
            book.clone(),
            Arc::new(Budget::new(1_000.0)),
            Arc::new(CallbackConfig::default()),
            driver::Settings::default(),
        );
        Self {
            platform: Platform::new(platform, 11, emulator.now()),
            emulator,
            book,
            driver,
            mode,
            pushed: 0,
            truth: HashMap::new(),
            waiting: Vec::new(),
            ending,
        }
    }

    fn see(&mut self, now: UnixMillis) {
        for push in self.platform.step(now) {
            self.receive(&push, now);
        }
        self.book.apply(&match self.mode {
            Mode::Consume => Record::Observed {
                queue: QUEUE,
                until: now,
            },
            Mode::Peek => Record::Ticked {
                queue: QUEUE,
                at: now,
            },
        });
    }

    fn receive(&mut self, push: &Push, now: UnixMillis) {
        self.pushed += 1;
        if self.mode == Mode::Peek && !self.pushed.is_multiple_of(SAMPLED) {
            return;
        }
        let id = self.pushed.to_string();
        let message = Message {
            id: &id,
            receipt_handle: Some("h"),
            body: &push.body,
            body_md5: "",
            enqueue_time: push.at,
            first_dequeue_time: push.at,
            next_visible_time: (self.mode == Mode::Consume).then_some(now),
            dequeue_count: 1,
            priority: 8,
        };
        let sightings = sightings(std::iter::once(message));
        let messages = sightings.iter().map(|sighting| sighting.message).collect();
        let (queue, at) = (QUEUE, now);
        self.book.apply(&Record::Sighted {
            queue,
            at,
            sightings,
        });
        if self.mode == Mode::Consume {
            let record = Record::Deleted {
                queue,
                at,
                messages,
            };
            self.book.apply(&record);
        }
    }

    /// Notes the truth about the recent videos; the platform forgets the old ones.
    fn look(&mut self) {
        for video in &self.platform.truth().videos {
            self.truth
                .insert(video.id.clone(), (video.state, video.uploaded_at));
        }
    }

    /// Time goes by, and what is pushed waits in the queue.
    fn away(&mut self, time: Duration) -> UnixMillis {
        let now = self.emulator.advance(time);
        self.waiting.extend(self.platform.step(now));
        self.look();
        self.emulator.put_media(self.platform.take_media());
        now
    }

    /// A start from what was written.
    fn restart(&mut self) {
        let directory = tempfile::tempdir().unwrap();
        let options = StateOptions {
            path: directory.path().to_owned(),
            reset: false,
        };
        let now = self.emulator.now();
        let open = || store::open(&options, 1 << 20, now).unwrap();
        let encoded = store::encode(&self.book.ledger.lock().unwrap()).unwrap();
        open().store.checkpoint(&encoded).unwrap();
        *self.book.ledger.lock().unwrap() = open().ledger;
        self.book.open(self.emulator.now());
    }

    /// Lives until all videos are uploaded and nothing is left to find out; gives those to judge.
    async fn live(&mut self) -> HashMap<String, State> {
        let (began, start) = (Instant::now(), self.emulator.now());
        let mut uploaded = None;
        loop {
            let now = self.emulator.advance(STEP);
            self.see(now);
            self.emulator.put_media(self.platform.take_media());
            self.driver.round(began + now.since(start)).await.unwrap();
            self.look();
            if uploaded.is_none() && self.truth.len() >= VIDEOS {
                uploaded = Some(now);
            }
            if uploaded.is_some_and(|at| now.since(at) >= SETTLED) {
                let last = uploaded.unwrap();
                return self
                    .truth
                    .iter()
                    .filter(|(_, (_, at))| *at <= last)
                    .map(|(id, (state, _))| (id.clone(), *state))
                    .collect();
            }
        }
    }
}

impl Drop for Days {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

/// Videos of which the last verdict is not what it should be: too many to print all.
async fn wrong(mode: Mode, right: impl Fn(State, Option<Verdict>) -> bool) -> (usize, Vec<String>) {
    let mut days = Days::new(mode);
    let truth = days.live().await;
    let said = days.book.said.lock().unwrap();
    let wrong = truth
        .iter()
        .map(|(id, state)| (id, *state, said.get(id).copied()))
        .filter(|(_, state, verdict)| !right(*state, *verdict))
        .map(|(id, state, verdict)| format!("{id} {state:?} {verdict:?}"))
        .collect();
    (truth.len(), wrong)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_consumes_and_asks_is_always_right() {
    let (videos, wrong) = wrong(Mode::Consume, |state, verdict| match state {
        State::Stalled => verdict == Some(Verdict::Stalled),
        State::LostCallback => verdict == Some(Verdict::CallbackLost),
        State::NotTranscoded => verdict == Some(Verdict::NotTranscoded),
        _ => !matches!(
            verdict,
            Some(Verdict::Stalled | Verdict::CallbackLost | Verdict::NotTranscoded)
        ),
    })
    .await;
    assert!(videos >= VIDEOS, "{videos}");
    assert!(
        wrong.is_empty(),
        "{} wrong: {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_peeks_and_asks_finds_every_stall_and_no_other() {
    let (videos, wrong) = wrong(Mode::Peek, |state, verdict| match state {
        State::Stalled => verdict == Some(Verdict::Stalled),
        _ => !matches!(verdict, Some(Verdict::Stalled | Verdict::CallbackLost)),
    })
    .await;
    assert!(videos >= VIDEOS, "{videos}");
    assert!(
        wrong.is_empty(),
        "{} wrong: {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_with_a_backlog_and_a_restart_in_it_makes_no_wrong_verdict() {
    const MINUTE: Duration = Duration::from_mins(1);
    let busy = Settings {
        queues: vec!["q".to_owned()],
        uploads_per_second: 3.0,
        stalled_share: 0.01,
        lost_callback_share: 0.01,
        ..Settings::default()
    };
    let mut days = Days::with(Mode::Consume, busy);
    let (began, start) = (Instant::now(), days.emulator.now());
    let at = |now: UnixMillis| began + now.since(start);
    for _ in 0..30 {
        let now = days.away(MINUTE);
        for push in std::mem::take(&mut days.waiting) {
            days.receive(&push, now);
        }
        days.book.apply(&Record::Observed {
            queue: QUEUE,
            until: now,
        });
        days.driver.round(at(now)).await.unwrap();
    }
    // MNS does not answer for two hours, VOD does, and the exporter starts anew in between.
    for minute in 0..120 {
        let now = days.away(MINUTE);
        if minute == 60 {
            days.restart();
        }
        days.driver.round(at(now)).await.unwrap();
    }
    let waiting = std::mem::take(&mut days.waiting);
    assert!(waiting.len() > 100_000, "{} wait", waiting.len());
    // The backlog is worked off bit by bit, and VOD is asked all the while.
    let now = days.emulator.now();
    for (number, push) in waiting.iter().enumerate() {
        days.receive(push, now);
        if number % 10_000 == 0 {
            days.book.apply(&Record::Observed {
                queue: QUEUE,
                until: push.at,
            });
            days.driver.round(at(now)).await.unwrap();
        }
    }
    let now = days.away(MINUTE);
    for push in std::mem::take(&mut days.waiting) {
        days.receive(&push, now);
    }
    days.book.apply(&Record::Observed {
        queue: QUEUE,
        until: now,
    });
    for round in 1..=20 {
        let pause = MINUTE * round;
        days.driver.round(at(now) + pause).await.unwrap();
    }

    let said = days.book.said.lock().unwrap();
    let count = |verdict| said.values().filter(|said| **said == verdict).count();
    for (id, verdict) in said.iter() {
        let (state, _) = &days.truth[id];
        match verdict {
            Verdict::Stalled => assert_eq!(*state, State::Stalled, "{id}"),
            Verdict::CallbackLost => assert_eq!(*state, State::LostCallback, "{id}"),
            _ => {}
        }
    }
    assert!(count(Verdict::Stalled) > 0 && count(Verdict::CallbackLost) > 0);
}
