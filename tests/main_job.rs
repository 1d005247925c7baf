//! The main job: what the platform pushed is what the exporter counts, whatever goes wrong on the way.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/behaviour.rs"]
mod behaviour;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/told.rs"]
mod told;
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use behaviour::other_behaviour;
use scrape::Scrape;
use told::told;
use vod_callback_exporter::app::App;
use vod_callback_exporter::emulator::scenario::{Platform, QueueTruth, Settings, Truth};
use vod_callback_exporter::emulator::{Behaviour, Fault, FaultRule};
use vod_callback_exporter::ledger::{Mode, QueueIndex};
use vod_callback_exporter::mns::client::Outgoing;
use world::{World, until, until_asked};

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
        rule(Fault::AccessDenied, 0.002),
        rule(Fault::Slow { millis: 30 }, 0.02),
        rule(Fault::Redeliver, 0.01),
        rule(Fault::CountersZero, 0.2),
    ]
}

/// What one scrape says of the queue must be the truth, and agree with itself.
fn assert_told(scrape: &Scrape, pushed: u64, events: u64, pending: u64, brought_back: u64) {
    let of_queue = |name| scrape.of_queue(name, QUEUE).map(whole);
    assert_eq!(of_queue("mns_messages_seen_total"), Some(pushed));
    assert_eq!(of_queue("vod_event_delivery_seconds_count"), Some(events));
    assert_eq!(of_queue("vod_event_clock_skew_total"), Some(0));
    assert_eq!(of_queue("mns_message_wait_seconds_count"), Some(pushed));
    // A delete whose answer was lost is never confirmed; a message that comes after its deletion is deleted again.
    let deleted = of_queue("mns_message_processing_seconds_count");
    let range = pushed - pending..=pushed + brought_back;
    assert!(deleted.is_some_and(|deleted| range.contains(&deleted)));
    assert_eq!(of_queue("vod_transcode_view_complete"), Some(1));
    let told = whole(scrape.sum("vod_events_total", &[("queue", QUEUE)]));
    assert_eq!(told, events);
}

/// Lets a platform push. A few messages come over the wire, where MNS may take one twice.
async fn push(world: &World, seed: u64, messages: usize) -> Truth {
    let settings = Settings {
        queues: vec![QUEUE.to_owned()],
        ..Settings::default()
    };
    let start = world.emulator.now().minus(Duration::from_hours(24));
    let mut platform = Platform::new(settings, seed, start);
    let client = world.client();
    let mut pushed = 0;
    while pushed < messages {
        let due = platform.next_due().unwrap();
        for push in platform.step(due) {
            pushed += 1;
            let message = Outgoing {
                body: &push.body,
                ..Outgoing::default()
            };
            let by_wire = pushed % 100 == 0 && client.send(&push.queue, message).await.is_ok();
            if !by_wire {
                world.emulator.send(&push.queue, &push.body).unwrap();
            }
        }
    }
    platform.truth().clone()
}

/// All calls that the emulator has seen.
fn calls(world: &World) -> u64 {
    let state = world.emulator.state();
    state.calls.iter().map(|call| call.count).sum()
}

/// The first scrape that a quiet moment grants, with every call that the emulator has seen in it.
async fn scrape_of_all_calls(world: &World, sends: u64, app: &App) -> Scrape {
    let calls = || calls(world) - sends;
    let mut scrape = None;
    until_asked(
        async || {
            let before = calls();
            let now = Scrape::of(app.address()).await;
            let agree = whole(now.sum("mns_requests_total", &[])) == before && calls() == before;
            scrape = Some(now);
            agree
        },
        || format!("{:?}", world.emulator.state().calls),
    )
    .await;
    scrape.unwrap()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole numbers"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

async fn consume_exactly(behaviour: Behaviour, faults: Vec<FaultRule>, seed: u64) {
    let world = World::new(seed, &[QUEUE], 3);
    world.emulator.set_behaviour(Behaviour {
        limit_message_size: false,
        ..behaviour
    });
    let is_quiet = faults.is_empty();
    let twice = FaultRule::share(Fault::DuplicateEnqueue, if is_quiet { 0.0 } else { 0.5 });
    world.emulator.set_faults(vec![twice]);
    let truth = push(&world, seed, if is_quiet { 3_000 } else { 20_000 }).await;
    let truth = &truth.queues[QUEUE];
    world.emulator.set_faults(faults);
    let sends: u64 = calls(&world);

    let mut queue = world.queue(QUEUE, Mode::Consume);
    queue.long_poll = Duration::from_secs(1);
    queue.tick = Duration::from_secs(1);
    queue.workers = 4;
    let exporter = world.exporter(vec![queue]).await;
    until(
        || world.is_empty(QUEUE),
        || format!("{:?}", world.emulator.state().queues),
    )
    .await;
    let scrape = scrape_of_all_calls(&world, sends, &exporter).await;
    // What was deleted last is confirmed or given up before the exporter ends.
    let recorder = exporter.recorder();
    exporter.shutdown().await;

    let snapshot = recorder.snapshot();
    let counted = &snapshot.queues[0];
    let pending = recorder.pending(QueueIndex(0));
    let told = told(&counted.counts);
    let totals = &world.emulator.state().queues[QUEUE].totals;
    let events = told.events.values().flat_map(BTreeMap::values).sum();
    assert_told(
        &scrape,
        told.messages,
        events,
        pending as u64,
        totals.brought_back,
    );
    assert_as_pushed(told, truth, totals.sent);
    assert_eq!(
        counted.counts.redeliveries,
        totals.received - totals.first_received,
        "seed {seed}"
    );
    if is_quiet {
        assert_eq!(pending, 0);
        let deleted = scrape.of_queue("mns_message_processing_seconds_count", QUEUE);
        assert_eq!(deleted.map(whole), Some(truth.messages));
    } else {
        assert!(
            totals.received > totals.first_received && totals.duplicated > 20,
            "the faults made redeliveries and duplicates"
        );
    }
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

/// What MNS enqueued twice is a duplicate, or as undecodable as before; everything else is as it was pushed.
fn assert_as_pushed(told: QueueTruth, truth: &QueueTruth, enqueued: u64) {
    let undecodable = |of: &QueueTruth| of.decode_failures.values().sum::<u64>();
    let more = enqueued - truth.messages;
    assert_eq!(told.messages, enqueued);
    assert_eq!(
        told.duplicates + undecodable(&told),
        truth.duplicates + undecodable(truth) + more
    );
    let reasons = |of: &QueueTruth| of.decode_failures.keys().cloned().collect::<Vec<_>>();
    assert_eq!(reasons(&told), reasons(truth));
    if more == 0 {
        assert_eq!(told.decode_failures, truth.decode_failures);
    }
    let others_of_truth = QueueTruth {
        messages: truth.messages,
        duplicates: truth.duplicates,
        decode_failures: truth.decode_failures.clone(),
        ..told
    };
    assert_eq!(others_of_truth, *truth);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consume_counts_exactly_what_was_pushed() {
    consume_exactly(Behaviour::default(), faults(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consume_counts_exactly_where_undocumented_behaviour_differs() {
    consume_exactly(other_behaviour(), faults(), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_is_waited_for_and_processed_once_where_nothing_fails() {
    consume_exactly(Behaviour::default(), Vec::new(), 3).await;
}
