//! From a stalled video to a page and back, also in silence, on a real Prometheus and a real Alertmanager.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests panic and print"
)]

#[path = "support/process.rs"]
mod process;
#[path = "support/referees.rs"]
mod referees;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/world.rs"]
mod world;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use process::Process;
use referees::Referees;
use scrape::{Scrape, ask};
use serde_json::{Value, json};
use world::until_asked;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vod-callback-exporter");
const ALERT: &str = "VodTranscodesStalled";
/// From the exporter itself.
const VIDEO_ALERT: &str = "VodTranscodeStalled";
/// Fire though nothing is wrong, as the screen says.
const EXPLAINED: [&str; 2] = ["VodDeadMan", "VodStallDetectionBlind"];
/// Of notifications at the same time.
const SENDERS: usize = 40;
/// Less than the demo's threshold of silence.
const UNTIL_SILENT: Duration = Duration::from_secs(40);

/// A running stack. Ended in order also where a test fails, so that none of its servers stays behind.
struct Stack(Process);

impl Drop for Stack {
    fn drop(&mut self) {
        if self.0.ended().is_none() {
            self.0.terminate();
            self.0.finish();
        }
    }
}

/// Starts one with the servers in `tools`.
fn stack(tools: &Path, settings: &[(&str, &Path)]) -> Stack {
    let mut command = Command::new(here("scripts/demo-stack"));
    command
        .env("EXPORTER", PROGRAM)
        .env("STACK_TOOLS", tools)
        .env("STACK_PORTS", "any")
        .envs(settings.iter().copied());
    Stack(Process::start(command))
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn simulate(emulator: SocketAddr, more: &[&str]) {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .arg("simulate")
        .arg(format!("--url=http://{emulator}"))
        .args(more);
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?} ended with {status}");
}

fn is_of(status: &str, alert: &str, line: &str) -> bool {
    line.contains(status) && line.contains(&format!(" {alert} "))
}

/// The folder of newer servers, if there are any.
fn newer(referees: &Referees) -> Option<PathBuf> {
    let newer = ["prometheus", "alertmanager"].map(|name| referees.newer(name));
    let [Some(prometheus), Some(_)] = newer else {
        eprintln!("skipped: no newer Prometheus and Alertmanager beside the others");
        return None;
    };
    prometheus.parent().map(Path::to_owned)
}

/// Through the rules and the routes that we ship, but for their waits.
async fn a_stalled_video_pages_and_resolves(tools: &Path) {
    let mut stack = stack(tools, &[]);
    let exporter = stack.0.listening_on("exporter ");
    let emulator = stack.0.listening_on("simulate --url=");

    simulate(emulator, &["stalled-transcode", "--seconds=600"]);
    let overdue = async || {
        let labels = [("queue", "vod-callbacks")];
        Scrape::of(exporter)
            .await
            .sum("vod_transcodes_overdue", &labels)
            > 0.0
    };
    until_asked(overdue, || "no transcode is overdue".to_owned()).await;
    let stalled = async || {
        let scrape = Scrape::of(exporter).await;
        let labels = [("queue", "vod-callbacks"), ("stage", "transcode")];
        scrape.get("vod_transcodes_stalled", &labels) == Some(1.0)
    };
    until_asked(stalled, || "no transcode is stalled".to_owned()).await;
    let page = stack.0.line(|line| is_of("FIRING", ALERT, line));
    assert!(page.contains(r#"queue="vod-callbacks""#), "{page}");
    assert!(page.contains(" pager "), "{page}");
    leads_to_prometheus(&mut stack).await;
    let video = stack.0.line(|line| is_of("FIRING", VIDEO_ALERT, line));
    let told = [
        " videos ",
        " warning ",
        r#"queue="vod-callbacks""#,
        r#"video_id=""#,
    ];
    assert!(told.iter().all(|part| video.contains(part)), "{video}");

    simulate(emulator, &["stalled-transcode", "--resolve"]);
    for alert in [ALERT, VIDEO_ALERT] {
        stack.0.line(|line| is_of("RESOLVED", alert, line));
    }

    stack.0.terminate();
    // It returns when every server has let go of the output.
    let (code, printed) = stack.0.finish();
    assert_eq!(code, Some(0), "{printed:?}");
    for (status, alert) in [
        ("FIRING", ALERT),
        ("RESOLVED", ALERT),
        ("FIRING", VIDEO_ALERT),
        ("RESOLVED", VIDEO_ALERT),
    ] {
        let told = printed.iter().filter(|line| is_of(status, alert, line));
        assert_eq!(told.count(), 1, "{status} {alert}: {printed:?}");
    }
    let (alerts, screen): (Vec<_>, Vec<_>) =
        printed.iter().partition(|line| line.contains(" FIRING "));
    for alert in EXPLAINED {
        let explains = screen.iter().any(|line| line.contains(alert));
        assert!(explains, "{alert} is not explained: {screen:?}");
    }
    let known: Vec<&str> = EXPLAINED.into_iter().chain([ALERT, VIDEO_ALERT]).collect();
    let is_known = |line: &&String| known.iter().any(|alert| is_of("FIRING", alert, line));
    let unknown: Vec<_> = alerts.into_iter().filter(|line| !is_known(line)).collect();
    assert!(unknown.is_empty(), "not explained: {unknown:?}");
}

/// Where a notification leads to is where Prometheus listens.
async fn leads_to_prometheus(stack: &mut Stack) {
    let prometheus = stack.0.listening_on("alerts ");
    let alertmanager = stack.0.listening_on("notifications ");
    let (_, alerts) = ask(alertmanager, "/api/v2/alerts").await.unwrap();
    let alerts: Vec<Value> = serde_json::from_str(&alerts).unwrap();
    let is_page = |alert: &&Value| alert["labels"]["alertname"] == ALERT;
    let page = alerts.iter().find(is_page).expect("it fires");
    let source = page["generatorURL"].as_str().unwrap();
    assert!(
        source.starts_with(&format!("http://{prometheus}/")),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_video_pages_once_and_resolves_once() {
    let Some(referees) = Referees::find() else {
        return;
    };
    a_stalled_video_pages_and_resolves(&referees.tool("bin")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_so_on_newer_servers() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let Some(newer) = newer(&referees) else {
        return;
    };
    a_stalled_video_pages_and_resolves(&newer).await;
}

/// A silence hides no stall of a video that was heard of before, and hides one that was not: then the silence pages.
fn a_silence_pages_and_hides_only_what_comes_later(tools: &Path) {
    let mut before = stack(tools, &[]);
    let mut after = stack(tools, &[]);
    let stalled = ["stalled-transcode", "--seconds=600"];
    let silence = ["silence", "--seconds=600"];
    for (stack, both) in [
        (&mut before, [&stalled[..], &silence]),
        (&mut after, [&silence[..], &stalled]),
    ] {
        let emulator = stack.0.listening_on("simulate --url=");
        for more in both {
            simulate(emulator, more);
        }
    }
    let fires = |alert: &str, line: &str| {
        line.contains("FIRING") && line.contains(alert) && line.contains(" pager ")
    };
    // Longer than one line is waited for: an idle queue is read every half minute.
    thread::sleep(UNTIL_SILENT);
    for stack in [&mut before, &mut after] {
        stack.0.line(|line| fires("VodQueueSilent", line));
    }
    before.0.line(|line| fires(ALERT, line));
    after.0.terminate();
    let (_, printed) = after.0.finish();
    assert!(
        !printed.iter().any(|line| line.contains(ALERT)),
        "{printed:?}"
    );
}

#[test]
fn a_stall_pages_in_the_silence_that_follows() {
    let Some(referees) = Referees::find() else {
        return;
    };
    a_silence_pages_and_hides_only_what_comes_later(&referees.tool("bin"));
}

#[test]
fn it_pages_in_silence_on_newer_servers() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let Some(newer) = newer(&referees) else {
        return;
    };
    a_silence_pages_and_hides_only_what_comes_later(&newer);
}

/// What is printed by one that starts nothing.
fn refusal(referees: &Referees, settings: &[(&str, &Path)]) -> Vec<String> {
    let mut stack = stack(&referees.tool("bin"), settings);
    let (code, printed) = stack.0.finish();
    assert_eq!(code, Some(1), "{printed:?}");
    printed.to_vec()
}

#[test]
fn a_stack_without_rules_says_so_and_starts_nothing() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let empty = tempfile::tempdir().unwrap();
    let expected = format!(
        "demo-stack: error: no alert rules (*.yaml) in {}",
        empty.path().display()
    );
    assert_eq!(
        refusal(&referees, &[("STACK_RULES", empty.path())]),
        [expected]
    );
}

#[test]
fn a_stack_whose_routes_have_nothing_to_replace_says_so_and_starts_nothing() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let example = std::fs::read_to_string(here("alerts/alertmanager.example.yaml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.yaml");
    for replaced in ["group_wait", "group_interval", "http://127.0.0.1:9099/"] {
        std::fs::write(&path, example.replace(replaced, "other")).unwrap();
        let expected = format!(
            "demo-stack: error: {} has no {replaced}, which the demo replaces",
            path.display()
        );
        assert_eq!(refusal(&referees, &[("STACK_ROUTES", &path)]), [expected]);
    }
}

/// The answer to a POST.
fn post(address: SocketAddr, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_keeps_each_alert_on_its_line() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let mut command = Command::new(referees.tool("python/bin/python"));
    command
        .arg("-B")
        .arg(here("scripts/webhook.py"))
        .arg(address.port().to_string());
    let mut receiver = Stack(Process::start(command));
    let listens = async || TcpStream::connect(address).is_ok();
    until_asked(listens, || "the receiver does not listen".to_owned()).await;

    let alert = |number: usize| {
        let labels = json!({
            "alertname": "VodTest",
            "number": format!("<{number}>"),
            "queue": "one\ntwo\r\u{1b}[2K\u{2028}three",
        });
        let long = "so much to say ".repeat(1_000);
        json!({"status": "firing", "labels": labels, "annotations": {"summary": long}})
    };
    let senders = (0..SENDERS).map(|sender| {
        let alerts = [alert(2 * sender), alert(2 * sender + 1)];
        let body = json!({"receiver": "pager", "alerts": alerts}).to_string();
        thread::spawn(move || post(address, &body))
    });
    for sender in senders.collect::<Vec<_>>() {
        let answer = sender.join().unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
    let answer = post(address, "[1]");
    assert!(answer.starts_with("HTTP/1.0 400"), "{answer}");

    receiver.0.terminate();
    let (_, printed) = receiver.0.finish();
    let (alerts, others): (Vec<_>, Vec<_>) =
        printed.iter().partition(|line| line.contains("VodTest"));
    assert_eq!(alerts.len(), 2 * SENDERS, "{alerts:?}");
    for number in 0..2 * SENDERS {
        let of_it = |line: &&&String| line.contains(&format!("<{number}>"));
        let lines: Vec<_> = alerts.iter().filter(of_it).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0].matches("FIRING").count(), 1, "{lines:?}");
        let shown = r#"queue="one\ntwo\r\x1b[2K\u2028three""#;
        assert!(lines[0].contains(shown), "{lines:?}");
        assert!(lines[0].ends_with("so much to say "), "{lines:?}");
    }
    assert_eq!(others.len(), 1, "{others:?}");
    assert!(others[0].contains("not a notification"), "{others:?}");
}
