//! From a stalled video to a page and back, on a real Prometheus and a real Alertmanager.

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

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use process::Process;
use referees::Referees;
use scrape::Scrape;
use world::until_asked;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vod-callback-exporter");
const ALERT: &str = "VodTranscodesStalled";

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

fn is_of(status: &str, line: &str) -> bool {
    line.contains(status) && line.contains(ALERT)
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
    let page = stack.0.line(|line| is_of("FIRING", line));
    assert!(page.contains(r#"queue="vod-callbacks""#), "{page}");
    assert!(page.contains(" pager "), "{page}");

    simulate(emulator, &["stalled-transcode", "--resolve"]);
    stack.0.line(|line| is_of("RESOLVED", line));

    stack.0.terminate();
    // It returns when every server has let go of the output.
    let (code, printed) = stack.0.finish();
    assert_eq!(code, Some(0), "{printed:?}");
    for status in ["FIRING", "RESOLVED"] {
        let told = printed.iter().filter(|line| is_of(status, line));
        assert_eq!(told.count(), 1, "{status}: {printed:?}");
    }
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
    let newer = ["prometheus", "alertmanager"].map(|name| referees.newer(name));
    let [Some(prometheus), Some(_)] = newer else {
        eprintln!("skipped: no newer Prometheus and Alertmanager beside the others");
        return;
    };
    a_stalled_video_pages_and_resolves(prometheus.parent().unwrap()).await;
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
