//! Reconciliation against the emulated VOD: every verdict, and every way in which the API can fail.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vod_callback_exporter::aliyun::credentials::{Credentials, Provider};
use vod_callback_exporter::aliyun::transport;
use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::emulator::vod::{CallbackSettings, Job, Media, Outcome, Task};
use vod_callback_exporter::emulator::{self, Fault, FaultRule, Handle, Operation, Server};
use vod_callback_exporter::ledger::{
    Mode, Overdue, QueueIdentity, QueueIndex, Record, Role, Situation, Stage, Verdict,
};
use vod_callback_exporter::reconcile::budget::Budget;
use vod_callback_exporter::reconcile::callback::{CallbackConfig, Check};
use vod_callback_exporter::reconcile::driver::{Driver, Ledger, Settings, Watched};
use vod_callback_exporter::recorder::Stopped;
use vod_callback_exporter::vod::api::{self, Client, ClientConfig, Observer};
use vod_callback_exporter::vod::event::MediaKey;

const QUEUE: QueueIndex = QueueIndex(3);
const MINUTE: i64 = 60_000;

/// An emulated VOD; ends with the test.
struct Vod {
    emulator: Handle,
    url: String,
    ending: CancellationToken,
}

/// Keeps what a real ledger would: the last verdict of what is not closed.
#[derive(Clone)]
struct Book {
    emulator: Handle,
    identity: Arc<QueueIdentity>,
    page: Arc<Mutex<Page>>,
}

#[derive(Default)]
struct Page {
    overdue: Vec<Overdue>,
    stages: Vec<(MediaKey, Verdict, Stage)>,
    swept: Vec<(MediaKey, UnixMillis)>,
}

#[derive(Default)]
struct Calls(Mutex<Vec<(api::Operation, &'static str)>>);

impl Observer for Calls {
    fn called(&self, operation: api::Operation, code: &'static str, _took: Duration) {
        self.0.lock().unwrap().push((operation, code));
    }
}

impl Vod {
    fn start() -> Self {
        let server = Server::bind(
            "127.0.0.1:0".parse().unwrap(),
            emulator::Options::new("id", "secret"),
        )
        .unwrap();
        let (emulator, url, ending) = (server.handle(), server.url(), CancellationToken::new());
        tokio::spawn(server.run(ending.clone().cancelled_owned()));
        Self {
            emulator,
            url,
            ending,
        }
    }

    fn client(&self) -> (Client, Arc<Calls>) {
        let credentials = Credentials {
            access_key_id: "id".to_owned(),
            access_key_secret: "secret".into(),
            security_token: None,
        };
        let config = ClientConfig {
            endpoint: self.url.parse().unwrap(),
            app_id: None,
            seed: 1,
        };
        let calls = Arc::new(Calls::default());
        let client = Client::new(
            config,
            Arc::new(Provider::fixed(credentials)),
            transport::Options::default().client().unwrap(),
            Arc::<Calls>::clone(&calls),
        );
        (client, calls)
    }

    fn book(&self, mode: Mode, overdue: &[(&str, Verdict)]) -> Book {
        let now = self.emulator.now();
        let overdue = overdue.iter().map(|(id, verdict)| Overdue {
            media: MediaKey::of(id),
            started: now.minus(Duration::from_mins(30)),
            since: now.minus(Duration::from_mins(10)),
            deadline_millis: 20 * 60_000,
            verdict: *verdict,
        });
        Book {
            emulator: self.emulator.clone(),
            identity: Arc::new(QueueIdentity {
                id: "q".into(),
                mns_queue: "vod-callbacks".into(),
                endpoint: "http://1234.mns.cn-shanghai.aliyuncs.com".into(),
                account: "1234".into(),
                region: "cn-shanghai".into(),
                mode,
                role: Role::Callback,
            }),
            page: Arc::new(Mutex::new(Page {
                overdue: overdue.collect(),
                ..Page::default()
            })),
        }
    }

    fn driver(&self, book: &Book) -> (Driver<Book>, Arc<CallbackConfig>, Arc<Calls>) {
        let (client, calls) = self.client();
        let callbacks = Arc::new(CallbackConfig::default());
        let settings = Settings {
            region: "cn-shanghai".to_owned(),
            not_transcoded: vec!["listed".to_owned()],
            poll_interval: None,
            seed: 7,
        };
        let budget = Arc::new(Budget::new(1_000.0));
        let driver = Driver::new(
            client,
            book.clone(),
            budget,
            Arc::clone(&callbacks),
            settings,
        );
        (driver, callbacks, calls)
    }

    /// A transcode that began 30 min ago with one output.
    fn transcode(&self, id: &str, outcome: Outcome, ended_minutes_ago: Option<i64>) -> Media {
        let now = self.emulator.now();
        let ago = |minutes: i64| UnixMillis(now.0 - minutes * MINUTE);
        Media {
            task: Some(Task {
                created: ago(30),
                jobs: vec![Job {
                    start: ago(30),
                    finish: ended_minutes_ago.map_or(ago(-30), ago),
                    outcome,
                }],
                ended: ended_minutes_ago.map(ago),
            }),
            ..self.media(id, "Normal", "g")
        }
    }

    fn media(&self, id: &str, status: &str, group: &str) -> Media {
        Media {
            id: id.to_owned(),
            created: self.emulator.now().minus(Duration::from_mins(30)),
            template_group: group.to_owned(),
            task: None,
            status: status.to_owned(),
            deleted: None,
        }
    }
}

impl Drop for Vod {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

impl Ledger for Book {
    fn queues(&self) -> Vec<Watched> {
        vec![Watched {
            index: QUEUE,
            identity: Arc::clone(&self.identity),
        }]
    }

    fn overdue(&self, queue: QueueIndex, limit: usize) -> Vec<Overdue> {
        assert_eq!(queue, QUEUE);
        let page = self.page.lock().unwrap();
        page.overdue.iter().take(limit).cloned().collect()
    }

    fn situation(&self, _queue: QueueIndex) -> Option<Situation> {
        let now = self.emulator.now();
        Some(Situation {
            now,
            view_complete: self.identity.mode == Mode::Consume,
            observed_until: Some(now),
            last_stream_finished: Some(now),
        })
    }

    async fn commit(&self, record: Record) -> Result<(), Stopped> {
        let mut page = self.page.lock().unwrap();
        match record {
            Record::Judged { judgements, .. } => {
                for judged in judgements {
                    for video in &mut page.overdue {
                        if video.media == judged.media {
                            video.verdict = judged.verdict;
                        }
                    }
                    let row = (judged.media, judged.verdict, judged.stage);
                    page.stages.push(row);
                }
                page.overdue.retain(|video| !video.verdict.closes());
            }
            Record::Swept { videos, .. } => page.swept.extend(videos),
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

impl Book {
    /// The last thing said of a video.
    fn last(&self, id: &str) -> Option<(Verdict, Stage)> {
        let page = self.page.lock().unwrap();
        let rows = page.stages.iter().rev();
        rows.clone()
            .find(|(media, ..)| *media == MediaKey::of(id))
            .map(|(_, verdict, stage)| (*verdict, *stage))
    }

    fn verdict(&self, id: &str) -> Verdict {
        self.last(id)
            .map_or(Verdict::Unasked, |(verdict, _)| verdict)
    }
}

fn named(names: &[&'static str]) -> Vec<(&'static str, Verdict)> {
    names.iter().map(|name| (*name, Verdict::Unasked)).collect()
}

/// Media for every row of the table.
fn fill(vod: &Vod) {
    let waiting = Media {
        task: Some(Task {
            created: vod.emulator.now(),
            jobs: Vec::new(),
            ended: None,
        }),
        ..vod.media("waiting", "Normal", "g")
    };
    let reviewed = Media {
        status: "Checking".to_owned(),
        ..vod.transcode("reviewed", Outcome::Success, Some(20))
    };
    vod.emulator.put_media([
        waiting,
        reviewed,
        vod.transcode("slow", Outcome::Success, None),
        vod.transcode("stuck", Outcome::StuckAt(37), None),
        vod.transcode("done", Outcome::Success, Some(20)),
        vod.transcode("failed", Outcome::Fail, Some(20)),
        vod.media("plain", "Normal", "g"),
        vod.media("forgotten", "UploadSucc", "g"),
        vod.media("listed", "UploadSucc", "listed"),
        vod.media("blocked", "Blocked", "g"),
        vod.media("odd", "ProduceFail", "g"),
    ]);
}

const ALL: [&str; 12] = [
    "waiting",
    "reviewed",
    "slow",
    "stuck",
    "done",
    "failed",
    "plain",
    "forgotten",
    "listed",
    "blocked",
    "odd",
    "gone",
];

#[tokio::test]
async fn every_verdict_is_reached_in_a_complete_view() {
    let vod = Vod::start();
    fill(&vod);
    let book = vod.book(Mode::Consume, &named(&ALL));
    let (mut driver, ..) = vod.driver(&book);
    for _ in 0..4 {
        driver.round(Instant::now()).await.unwrap();
        vod.emulator.advance(Duration::from_mins(2));
    }
    for (id, verdict) in [
        ("waiting", Verdict::Waiting),
        ("slow", Verdict::Slow),
        ("stuck", Verdict::Stalled),
        ("done", Verdict::CallbackLost),
        ("failed", Verdict::CallbackLost),
        ("plain", Verdict::NotTranscoded),
        ("forgotten", Verdict::Stalled),
        ("listed", Verdict::NotTranscoded),
        ("blocked", Verdict::InReview),
        ("reviewed", Verdict::InReview),
        ("odd", Verdict::Unknown),
        ("gone", Verdict::Deleted),
    ] {
        assert_eq!(book.verdict(id), verdict, "{id}");
    }
    assert_eq!(book.last("forgotten").unwrap().1, Stage::Submit);
    assert_eq!(book.last("stuck").unwrap().1, Stage::Transcode);
}

#[tokio::test]
async fn while_peeking_what_is_done_was_taken_by_the_worker() {
    let vod = Vod::start();
    fill(&vod);
    let book = vod.book(Mode::Peek, &named(&["done", "failed"]));
    let (mut driver, ..) = vod.driver(&book);
    driver.round(Instant::now()).await.unwrap();
    assert_eq!(book.verdict("done"), Verdict::DoneUnseen);
    assert_eq!(book.verdict("failed"), Verdict::DoneUnseen);
    let mut swept: Vec<String> = {
        let page = book.page.lock().unwrap();
        page.swept
            .iter()
            .map(|(media, _)| media.to_string())
            .collect()
    };
    swept.sort();
    assert_eq!(
        swept,
        ["slow", "stuck", "waiting"],
        "the sweep finds what is under way, and nothing else"
    );
}

#[tokio::test]
async fn a_sweep_reads_every_page() {
    let vod = Vod::start();
    let media = |number: usize| vod.transcode(&format!("v{number}"), Outcome::Success, None);
    vod.emulator.put_media((0..250).map(media));
    let book = vod.book(Mode::Peek, &[]);
    let (mut driver, _, calls) = vod.driver(&book);
    driver.round(Instant::now()).await.unwrap();
    assert_eq!(book.page.lock().unwrap().swept.len(), 250);
    let calls = calls.0.lock().unwrap();
    let lists = calls
        .iter()
        .filter(|(it, _)| *it == api::Operation::GetVideoList);
    assert_eq!(lists.count(), 3);
}

/// What is said of a healthy and a stalled video while the API suffers from a fault, and the outcome of the first call.
async fn suffer(fault: Fault) -> (Verdict, Verdict, &'static str) {
    let vod = Vod::start();
    fill(&vod);
    vod.emulator.set_faults(vec![FaultRule::always(fault)]);
    let overdue = [("slow", Verdict::Unasked), ("stuck", Verdict::Stalled)];
    let book = vod.book(Mode::Consume, &overdue);
    let (mut driver, _, calls) = vod.driver(&book);
    driver.round(Instant::now()).await.unwrap();
    let made = calls.0.lock().unwrap().len();
    assert!((1..=2).contains(&made), "{made} calls in one round");
    driver.round(Instant::now()).await.unwrap();
    assert_eq!(calls.0.lock().unwrap().len(), made, "a pause follows");
    let (operation, code) = calls.0.lock().unwrap()[0];
    assert_eq!(operation, api::Operation::GetTranscodeSummary);
    assert!(api::Error::ALL.contains(&code), "{code}");
    let stalled = book.page.lock().unwrap().overdue[1].verdict;
    (book.verdict("slow"), stalled, code)
}

#[tokio::test]
async fn an_api_that_fails_makes_no_stall_and_ends_none() {
    for (fault, code) in [
        (Fault::TooManyRequests, "throttled"),
        (Fault::AccessDenied, "access_denied"),
        (Fault::ExpiredToken, "access_denied"),
        (Fault::InternalError, "server_error"),
        (Fault::ServiceUnavailable, "server_error"),
        (Fault::Html, "malformed_answer"),
        (Fault::Garbage, "malformed_answer"),
        (Fault::Truncated, "connection"),
        (Fault::ResetBefore, "connection"),
        (Fault::ResetAfter, "connection"),
        (Fault::Huge { mebibytes: 3 }, "too_large"),
    ] {
        let expected = (Verdict::Unknown, Verdict::Stalled, code);
        assert_eq!(suffer(fault).await, expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_refused_operation_does_not_stop_the_others() {
    let vod = Vod::start();
    fill(&vod);
    let denied = FaultRule::always(Fault::AccessDenied);
    vod.emulator.set_faults(vec![
        denied.clone().on(Operation::GetVideoInfos),
        denied.on(Operation::GetMessageCallback),
    ]);
    let book = vod.book(Mode::Peek, &named(&["plain", "slow"]));
    let (mut driver, callbacks, _) = vod.driver(&book);
    driver.round(Instant::now()).await.unwrap();
    assert_eq!(book.verdict("slow"), Verdict::Slow);
    assert_eq!(book.verdict("plain"), Verdict::Unknown);
    assert_eq!(book.page.lock().unwrap().swept.len(), 3);
    assert!(callbacks.results().is_empty(), "unknown is absent");
}

#[tokio::test(start_paused = true)]
async fn after_throttling_it_is_asked_again_soon() {
    let vod = Vod::start();
    fill(&vod);
    vod.emulator
        .set_faults(vec![FaultRule::next(Fault::TooManyRequests, 1)]);
    let book = vod.book(Mode::Consume, &named(&["slow"]));
    let (mut driver, ..) = vod.driver(&book);
    driver.round(Instant::now()).await.unwrap();
    assert_eq!(book.verdict("slow"), Verdict::Unknown);
    tokio::time::advance(Duration::from_mins(2)).await;
    driver.round(Instant::now()).await.unwrap();
    assert_eq!(book.verdict("slow"), Verdict::Slow);
}

#[tokio::test]
async fn the_callback_configuration_is_compared() {
    let vod = Vod::start();
    let right = CallbackSettings {
        callback_type: "MNS".to_owned(),
        event_type_list: "ALL".to_owned(),
        auth_key: "hunter2".to_owned(),
        mns_endpoint: "http://1234.mns.cn-shanghai.aliyuncs.com/".to_owned(),
        mns_queue_name: "vod-callbacks".to_owned(),
        ..CallbackSettings::default()
    };
    vod.emulator.set_callback(right.clone());
    let book = vod.book(Mode::Consume, &[]);
    let (mut driver, callbacks, _) = vod.driver(&book);
    driver.round(Instant::now()).await.unwrap();
    assert_eq!(callbacks.results()["q"], [Some(true); Check::COUNT]);

    vod.emulator.set_callback(CallbackSettings {
        event_type_list: "TranscodeComplete".to_owned(),
        ..right
    });
    let (mut driver, callbacks, _) = vod.driver(&book);
    driver.round(Instant::now()).await.unwrap();
    let results = callbacks.results()["q"];
    assert_eq!(results[Check::Events.index()], Some(false));
    assert_eq!(results[Check::Queue.index()], Some(true));
}

#[tokio::test]
async fn a_wrong_key_is_told_apart() {
    let vod = Vod::start();
    for (id, secret, kind) in [
        ("id", "wrong", "bad_signature"),
        ("other", "secret", "access_denied"),
    ] {
        vod.emulator.set_credentials(emulator::Credentials {
            access_key_id: id.to_owned(),
            access_key_secret: secret.to_owned(),
            security_token: None,
        });
        let error = vod.client().0.message_callback().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn every_video_of_an_incident_is_asked_about() {
    let vod = Vod::start();
    let ids: Vec<String> = (0..2_500).map(|n| format!("{n:032}")).collect();
    vod.emulator.put_media(
        ids.iter()
            .map(|id| vod.transcode(id, Outcome::StuckAt(37), None)),
    );
    let overdue: Vec<_> = ids
        .iter()
        .map(|id| (id.as_str(), Verdict::Unasked))
        .collect();
    let book = vod.book(Mode::Peek, &overdue);
    let (mut driver, ..) = vod.driver(&book);
    driver.round(Instant::now()).await.unwrap();
    let unasked =
        ids.iter()
            .filter(|id| {
                book.page.lock().unwrap().overdue.iter().any(|video| {
                    video.media == MediaKey::of(id) && video.verdict == Verdict::Unasked
                })
            })
            .count();
    assert_eq!(unasked, 0);
}
