//! `simulate` and the demo as processes: what is asked for happens, and nothing else does in a calm demo.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/process.rs"]
mod process;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/world.rs"]
mod world;

use std::net::SocketAddr;
use std::process::Command;

use process::Process;
use scrape::{Scrape, ask};
use serde_json::Value;
use world::{World, refusing_address, until_asked};

const OWN: &str = "vod-callbacks";
const SHARED: &str = "vod-callbacks-worker";
const DEAD_LETTERS: &str = "vod-dead-letters";

/// A demo with the addresses of its exporter and its emulator.
struct Demo {
    _process: Process,
    exporter: SocketAddr,
    emulator: SocketAddr,
}

impl Demo {
    fn start() -> Self {
        let mut command = program();
        command.args([
            "demo",
            "--calm",
            "--web.listen-address=127.0.0.1:0",
            "--emulator.port=0",
        ]);
        let mut process = Process::start(command);
        Self {
            exporter: process.listening_on("/metrics"),
            emulator: process.listening_on("simulate --url="),
            _process: process,
        }
    }

    /// What it printed for a simulation that it did.
    fn simulate(&self, more: &[&str]) -> String {
        let (code, stdout, stderr) = simulate(&format!("http://{}", self.emulator), more);
        assert_eq!(code, 0, "{stderr}");
        stdout
    }

    async fn scrape(&self) -> Scrape {
        Scrape::of(self.exporter).await
    }

    /// How many messages really went to a queue.
    async fn sent(&self, queue: &str) -> u64 {
        let (_, truth) = ask(self.emulator, "/truth").await.unwrap();
        let truth: Value = serde_json::from_str(&truth).unwrap();
        truth["queues"][queue]["messages"].as_u64().unwrap()
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
    command.env_clear();
    command
}

/// Exit code, stdout and stderr.
fn simulate(url: &str, more: &[&str]) -> (i32, String, String) {
    let mut command = program();
    command
        .arg("simulate")
        .arg(format!("--url={url}"))
        .args(more);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("it ends by itself");
    (code, text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_happen_only_where_they_are_asked_for() {
    let demo = Demo::start();
    let enough = async || demo.scrape().await.sum("vod_events_total", &[]) >= 50.0;
    until_asked(enough, || "hardly any events".to_owned()).await;
    let calm = demo.scrape().await;
    assert!(
        calm.sum("vod_event_faults_total", &[]).abs() < f64::EPSILON,
        "{}",
        calm.text()
    );

    let printed = demo.simulate(&["failed-transcode", "--count=3"]);
    assert_eq!(printed.matches("Video ").count(), 3, "{printed}");
    let labels = [
        ("queue", OWN),
        ("event_type", "TranscodeComplete"),
        ("fault", "service"),
    ];
    let failed = async || demo.scrape().await.get("vod_event_faults_total", &labels) == Some(3.0);
    until_asked(failed, || "not three failures".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_message_is_redelivered_and_ends_as_a_dead_letter() {
    let demo = Demo::start();
    let empty = async || {
        let scrape = demo.scrape().await;
        scrape.of_queue("mns_queue_empty", DEAD_LETTERS) == Some(1.0)
    };
    until_asked(empty, || "dead letters in a calm demo".to_owned()).await;
    demo.simulate(&["poison"]);
    let dead = async || {
        let scrape = demo.scrape().await;
        let redelivered = scrape.of_queue("mns_message_redeliveries_total", SHARED);
        redelivered > Some(0.0) && scrape.of_queue("mns_queue_empty", DEAD_LETTERS) == Some(0.0)
    };
    until_asked(dead, || "no redelivery, or no dead letter".to_owned()).await;
    let printed = demo.simulate(&["poison", "--resolve"]);
    assert!(printed.contains("1 messages left"), "{printed}");
    until_asked(empty, || "the dead letter stays".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_one_queues_and_ends_when_told_to() {
    let demo = Demo::start();
    demo.simulate(&["silence"]);
    let (own, shared) = (demo.sent(OWN).await, demo.sent(SHARED).await);
    let goes_on = async || demo.sent(SHARED).await >= shared + 20;
    until_asked(goes_on, || "the other queue is silent too".to_owned()).await;
    assert_eq!(demo.sent(OWN).await, own);
    demo.simulate(&["silence", "--resolve"]);
    let heard = async || demo.sent(OWN).await > own;
    until_asked(heard, || "the silence goes on".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_demo_is_told_with_the_way_to_one() {
    let world = World::new(1, &[], 30);
    let nobody = format!("http://{}", refusing_address());
    for (url, expected) in [
        (&nobody, "no demo answers at"),
        (&world.url, "is no demo: it answered 404"),
    ] {
        let (code, _, stderr) = simulate(url, &["silence"]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert!(
            stderr.contains("start `vod-callback-exporter demo`"),
            "{stderr}"
        );
    }
    for args in [
        &["silence", "--count=0"][..],
        &["silence", "--seconds=0"],
        &["silence", "--seconds=5", "--resolve"],
        &["poison", "--count=2", "--resolve"],
        &["thunder"],
        &[],
    ] {
        let (code, _, stderr) = simulate(&world.url, args);
        assert_eq!(code, 64, "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_would_see_is_refused_and_others_name_their_alerts() {
    let demo = Demo::start();
    let url = format!("http://{}", demo.emulator);
    for (args, expected) in [
        (
            ["stalled-transcode", "--seconds=149"],
            "seconds is 149; a stall is found after about 100 s, expected at least 150",
        ),
        (
            ["silence", "--seconds=119"],
            "seconds is 119; a silence is told after about 100 s, expected at least 120",
        ),
        (
            ["silence", "--count=3"],
            "count is 3; a silence is that of queue vod-callbacks, expected none",
        ),
        (
            ["failed-transcode", "--seconds=200"],
            "seconds is 200; only a stall and a silence last, expected none",
        ),
        (
            ["poison", "--seconds=200"],
            "seconds is 200; only a stall and a silence last, expected none",
        ),
    ] {
        let (code, stdout, stderr) = simulate(&url, &args);
        assert_eq!(code, 1, "{stdout}");
        assert!(stderr.contains(expected), "{stderr}");
    }
    let nothing = demo.simulate(&["silence", "--resolve"]);
    assert_eq!(nothing, "No queue is silent.\n");

    for (args, alerts) in [
        (
            &["stalled-transcode", "--seconds=150"][..],
            &["VodTranscodesStalled"][..],
        ),
        (
            &["failed-transcode"],
            &["VodServiceFaults", "--count=", "VodTranscodeFailed"],
        ),
        (&["poison"], &["VodPoisonMessage", "VodDeadLetters"]),
        (
            &["silence", "--seconds=120"],
            &["VodQueueSilent", "VodCallbacksLost"],
        ),
        // Now nothing is heard of its upload.
        (
            &["stalled-transcode"],
            &[
                "hears nothing",
                "VodQueueSilent, rather than VodTranscodesStalled",
            ],
        ),
    ] {
        let printed = demo.simulate(args);
        for alert in alerts {
            assert!(printed.contains(alert), "{printed}");
        }
    }
    let heard = demo.simulate(&["silence", "--resolve"]);
    assert_eq!(heard, "Queue vod-callbacks hears again.\n");
    let printed = demo.simulate(&["stalled-transcode"]);
    assert!(!printed.contains("VodQueueSilent"), "{printed}");
}
