//! From the vendor's SDK to a query in a real Prometheus.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests panic and print"
)]

#[path = "support/emulator_process.rs"]
mod emulator_process;
#[path = "support/process.rs"]
mod process;
#[path = "support/prometheus.rs"]
mod prometheus;
#[path = "support/referees.rs"]
mod referees;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use emulator_process::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator};
use process::Process;
use prometheus::Prometheus;
use referees::Referees;

const QUEUE: &str = "vod-callbacks";

/// What the two `vod_events` scripts send.
const COUNTS: [(&str, f64); 7] = [
    (
        r#"vod_events_total{event_type="FileUploadComplete",status="success"}"#,
        3.0,
    ),
    (
        r#"vod_events_total{event_type="TranscodeComplete",status="success"}"#,
        2.0,
    ),
    (
        r#"vod_events_total{event_type="TranscodeComplete",status="fail"}"#,
        1.0,
    ),
    (
        r#"vod_events_total{event_type="SnapshotComplete",status="success"}"#,
        1.0,
    ),
    (
        r#"vod_events_total{event_type="SnapshotComplete",status="fail"}"#,
        1.0,
    ),
    ("vod_event_duplicates_total", 1.0),
    ("sum(vod_event_decode_failures_total)", 1.0),
];

#[test]
fn events_of_both_sdks_reach_a_query() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let emulator = Emulator::start(&[]);
    for script in ["python/vod_events.py", "node/vod_events.js"] {
        let mut sender = referees.script(script);
        emulator.name_to(&mut sender).arg(QUEUE);
        succeeds(sender);
    }

    let (_exporter, address) = consumer(&emulator);
    let prometheus = Prometheus::scraping(&referees, address);
    for (query, expected) in COUNTS {
        let answer = prometheus.wait_for(query, |samples| {
            samples.iter().any(|sample| sample.value >= expected)
        });
        assert_eq!(answer.len(), 1, "{query} has {answer:?}");
        assert!(
            (answer[0].value - expected).abs() < f64::EPSILON,
            "{query} has {answer:?}"
        );
    }
    let info = prometheus.wait_for("mns_queue_info", |samples| !samples.is_empty());
    assert_eq!(info[0].labels["mode"], "consume");
    assert_eq!(info[0].labels["mns_queue"], QUEUE);

    // With the counters moved, both formats are judged at their fullest.
    let mut check =
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check-exposition"));
    check.arg(format!("http://{address}/metrics"));
    succeeds(check);
}

fn consumer(emulator: &Emulator) -> (Process, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
    command
        .arg("run")
        .arg(format!("--mns.endpoint={}", emulator.endpoint))
        .arg(format!("--mns.queue={QUEUE}"))
        .args(["--mode=consume", "--web.listen-address=127.0.0.1:0"])
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET);
    let mut process = Process::start(command);
    let address = process.listening_on("Listening");
    (process, address)
}

fn succeeds(mut command: Command) {
    let output = command.output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
