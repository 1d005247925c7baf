//! The main job: what the platform pushed is what the exporter counts, whatever goes wrong on the way.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/told.rs"]
mod told;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use told::told;
use vod_callback_exporter::emulator::scenario::Settings;
use vod_callback_exporter::emulator::{Behaviour, Counters as CountersShown, Fault, FaultRule};
use vod_callback_exporter::ledger::Mode;
use world::{World, until};

const QUEUE: &str = "q";

/// Every fault that a client meets, each in a small share of the calls it can strike.
fn faults() -> Vec<FaultRule> {
    let rule = |fault, share| FaultRule {
        fault,
        share: Some(share),
        count: None,
        operation: None,
        queue: None,
    };
    vec![
        rule(Fault::TooManyRequests, 0.004),
        rule(Fault::InternalError, 0.004),
        rule(Fault::ServiceUnavailable, 0.002),
        rule(Fault::ExpiredToken, 0.002),
        rule(Fault::ResetBefore, 0.004),
        rule(Fault::ResetAfter, 0.006),
        rule(Fault::Truncated, 0.004),
        rule(Fault::Garbage, 0.004),
        rule(Fault::Html, 0.004),
        FaultRule {
            count: Some(2),
            ..rule(Fault::Huge { mebibytes: 8 }, 0.01)
        },
        rule(Fault::Redeliver, 0.01),
        rule(Fault::CountersZero, 0.2),
    ]
}

/// The undocumented behaviours, each in the position that is not the default.
fn other_behaviour() -> Behaviour {
    Behaviour {
        partial_batch_send_status: 200,
        partial_batch_delete_status: 200,
        delete_missing_queue_status: 404,
        clamp_batch_size: true,
        peek_deterministic: true,
        counters_lag_millis: 5_000,
        counters: CountersShown::Zero,
        verify_content_md5: false,
        escape_quotes: false,
        max_long_polls: Some(1),
        expired_token_code: "InvalidAccessKeyId".to_owned(),
        ..Behaviour::default()
    }
}

async fn consume_exactly(behaviour: Behaviour, seed: u64) {
    let world = World::new(seed, &[QUEUE], 3);
    world.emulator.set_behaviour(Behaviour {
        limit_message_size: false,
        ..behaviour
    });
    world.emulator.set_faults(faults());
    let settings = Settings {
        queues: vec![QUEUE.to_owned()],
        ..Settings::default()
    };
    let truth = world.push(settings, seed, 20_000);
    let truth = &truth.queues[QUEUE];

    let mut queue = world.queue(QUEUE, Mode::Consume);
    queue.long_poll = Duration::from_secs(1);
    queue.tick = Duration::from_secs(1);
    let exporter = world.exporter(vec![queue]).await;
    until(
        || world.is_empty(QUEUE),
        || format!("{:?}", world.emulator.state().queues),
    )
    .await;
    // What was deleted last is confirmed or given up before the exporter ends.
    let recorder = exporter.recorder();
    exporter.shutdown().await;

    let snapshot = recorder.snapshot();
    let counted = &snapshot.queues[0];
    assert_eq!(told(&counted.counts), *truth, "seed {seed}");
    let totals = &world.emulator.state().queues[QUEUE].totals;
    assert_eq!(
        counted.counts.redeliveries,
        totals.received - totals.first_received,
        "seed {seed}"
    );
    assert!(
        totals.received > totals.first_received,
        "the faults made redeliveries"
    );
    assert!(
        truth.duplicates > 0 && truth.decode_failures.len() > 3,
        "the platform has its traps"
    );
    assert!(
        counted.view_complete,
        "what our own lost receives dequeued makes no stranger"
    );
    assert!(
        snapshot
            .evictions
            .iter()
            .all(|(table, rows)| *rows == 0 || *table == "quarantine")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consume_counts_exactly_what_was_pushed() {
    consume_exactly(Behaviour::default(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consume_counts_exactly_where_undocumented_behaviour_differs() {
    consume_exactly(other_behaviour(), 2).await;
}
