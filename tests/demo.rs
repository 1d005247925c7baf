//! `demo` as a process: within a minute all that it promises moves, and its screen stays in view.

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

use std::process::Command;
use std::time::Duration;

use process::Process;
use scrape::Scrape;
use world::until_asked;

/// What the screen promises, with the series that tell of it.
const PROMISED: [(&str, &[&str]); 6] = [
    ("events", &["vod_events_total"]),
    ("failures", &["vod_event_failures_total"]),
    ("latency", &["vod_event_delivery_seconds_count"]),
    (
        "backlog",
        &[
            "mns_queue_messages",
            "mns_queue_oldest_message_timestamp_seconds",
        ],
    ),
    ("redelivery", &["mns_message_redeliveries_total"]),
    (
        "transcodes",
        &["vod_playable_objective_total", "vod_reconciliations_total"],
    ),
];
/// Within a minute, says the screen.
const PROMISE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_is_promised_moves_within_a_minute_and_the_screen_stays() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
    command
        .env_clear()
        .args(["demo", "--web.listen-address=127.0.0.1:0"]);
    let mut demo = Process::start(command);
    let address = demo.listening_on("/metrics");
    let of = |scrape: &Scrape, names: &[&str]| -> Vec<f64> {
        names.iter().map(|name| scrape.sum(name, &[])).collect()
    };
    let first = Scrape::of(address).await;
    let mut still = PROMISED.to_vec();
    let moved = until_asked(
        async || {
            let now = Scrape::of(address).await;
            still.retain(|(_, names)| of(&first, names) == of(&now, names));
            still.is_empty()
        },
        String::new,
    );
    let moved = tokio::time::timeout(PROMISE, moved).await;
    assert!(moved.is_ok(), "these did not move: {still:?}");

    demo.terminate();
    let (code, printed) = demo.finish();
    assert_eq!(code, Some(0));
    let text = printed.join("\n");
    assert!(text.contains("Ctrl-C ends all."), "{text}");
    assert!(printed.len() <= 40, "more than a screen:\n{text}");
    assert!(!text.contains("ts="), "no log line:\n{text}");
}
