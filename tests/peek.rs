//! Peeking: a sample of a queue that somebody else consumes, which is not changed and never counted twice.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/behaviour.rs"]
mod behaviour;
#[path = "support/bodies.rs"]
mod bodies;
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
use vod_callback_exporter::emulator::scenario::{Settings, Table};
use vod_callback_exporter::emulator::{Behaviour, Counters, Operation};
use vod_callback_exporter::ledger::Mode;
use world::{World, told_of, until, until_asked};

const QUEUE: &str = "q";

/// A quick peek, so that a test sees many ticks.
async fn peek(world: &World) -> App {
    let mut queue = world.queue(QUEUE, Mode::Peek);
    queue.tick = Duration::from_millis(20);
    let app = world.exporter(vec![queue]).await;
    // Only what is enqueued from now on counts.
    until(
        || told_of(&app, QUEUE).up == Some(true),
        || "the first tick".to_owned(),
    )
    .await;
    app
}

/// Lets at least `more` whole ticks go by.
async fn ticks(world: &World, more: u64) {
    let ticks = || {
        world
            .emulator
            .state()
            .calls_of(Operation::GetQueueAttributes, "OK")
    };
    let enough = ticks() + more + 1;
    until(|| ticks() >= enough, || format!("{more} more ticks")).await;
}

fn assert_within(told: &Table, truth: &Table) {
    for (outer, counts) in told {
        for (inner, count) in counts {
            let true_count = truth.get(outer).and_then(|counts| counts.get(inner));
            assert!(
                true_count.is_some_and(|truth| count <= truth),
                "{outer} {inner}: {count} counted, the truth is {true_count:?}"
            );
        }
    }
}

fn one_level(counts: &BTreeMap<String, u64>) -> Table {
    Table::from([(String::new(), counts.clone())])
}

/// Messages received, by a worker that dies on every twelfth batch before it deletes anything, and is back after a tick: the
/// exporter looks as often on a slow machine as on a quick one.
async fn work(world: &World) -> u64 {
    let client = world.client();
    let (mut received, mut batches) = (0, 0_u32);
    while !world.is_empty(QUEUE) {
        let Ok(batch) = client
            .batch_receive(QUEUE, 16, Duration::from_secs(1))
            .await
        else {
            continue;
        };
        received += u64::try_from(batch.len()).unwrap();
        batches += 1;
        if batches.is_multiple_of(12) {
            ticks(world, 1).await;
            continue;
        }
        let handles: Vec<&str> = batch
            .iter()
            .filter_map(|message| message.receipt_handle)
            .collect();
        client.batch_delete(QUEUE, &handles).await.unwrap();
    }
    received
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_worker_a_part_is_counted_and_nothing_changed() {
    beside_a_worker(Behaviour::default(), 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_worker_nothing_changes_where_undocumented_behaviour_differs() {
    // Peeks in a fixed order see less of a long queue.
    beside_a_worker(other_behaviour(), 30).await;
}

async fn beside_a_worker(behaviour: Behaviour, seen_at_least: u64) {
    let world = World::new(11, &[QUEUE], 2);
    world.emulator.set_behaviour(Behaviour {
        limit_message_size: false,
        ..behaviour
    });
    let app = peek(&world).await;
    let settings = Settings {
        queues: vec![QUEUE.to_owned()],
        ..Settings::default()
    };
    let truth = world.push(settings, 11, 1_500);
    let received = work(&world).await;
    ticks(&world, 2).await;

    let state = world.emulator.state();
    let totals = state.queues[QUEUE].totals;
    assert_eq!(totals.received, received, "somebody else received");
    assert!(
        totals.received > totals.first_received,
        "the worker dies now and then"
    );
    for operation in [Operation::ReceiveMessage, Operation::DeleteMessage] {
        assert_eq!(state.calls_of_any(operation), 0, "{operation:?}");
    }
    let snapshot = told_of(&app, QUEUE);
    let (told, truth) = (told(&snapshot.counts), &truth.queues[QUEUE]);
    assert!(
        (seen_at_least..=truth.messages).contains(&told.messages),
        "{} of {} messages were seen",
        told.messages,
        truth.messages
    );
    assert!(told.duplicates <= truth.duplicates);
    assert_within(&told.events, &truth.events);
    assert_within(&told.failures, &truth.failures);
    assert_within(&told.faults, &truth.faults);
    assert_within(&told.streams, &truth.streams);
    assert_within(
        &one_level(&told.decode_failures),
        &one_level(&truth.decode_failures),
    );
    let parts = told.events.values().flat_map(BTreeMap::values).sum::<u64>()
        + told.decode_failures.values().sum::<u64>()
        + told.duplicates;
    assert_eq!(told.messages, parts);
    assert!(snapshot.counts.redeliveries <= totals.received - totals.first_received);

    let scrape = Scrape::of(app.address()).await;
    let of_queue = |name| scrape.of_queue(name, QUEUE);
    assert_eq!(of_queue("vod_transcode_view_complete"), Some(0.0));
    assert_eq!(of_queue("mns_message_wait_seconds_count"), None);
    assert_eq!(of_queue("mns_queue_empty"), Some(1.0));
    assert!(of_queue("mns_queue_progress_timestamp_seconds").is_some());
    assert_eq!(
        of_queue("mns_messages_seen_total"),
        Some(as_f64(told.messages))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lingers_is_counted_once() {
    let world = World::new(12, &[QUEUE], 2);
    let app = peek(&world).await;
    let settings = Settings {
        queues: vec![QUEUE.to_owned()],
        ..Settings::default()
    };
    let truth = world.push(settings, 12, 40);
    let truth = &truth.queues[QUEUE];
    let counts = || told_of(&app, QUEUE).counts;
    until(
        || counts().messages_seen >= truth.messages,
        || format!("{} of {} seen", counts().messages_seen, truth.messages),
    )
    .await;
    ticks(&world, 30).await;
    assert_eq!(told(&counts()), *truth);
    assert_eq!(counts().redeliveries, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_before_the_start_is_not_counted() {
    for ahead in [Duration::ZERO, Duration::from_hours(1)] {
        let world = World::new(13, &[QUEUE], 2);
        // Half an hour later, by a clock that may be far from ours.
        world.emulator.advance(ahead);
        for n in 0..10 {
            world.emulator.send(QUEUE, &bodies::upload(n)).unwrap();
        }
        world.emulator.advance(Duration::from_mins(30));
        let app = peek(&world).await;
        world.emulator.advance(Duration::from_secs(2));
        world.emulator.send(QUEUE, &bodies::upload(10)).unwrap();
        ticks(&world, 10).await;
        let snapshot = told_of(&app, QUEUE);
        assert_eq!(snapshot.counts.messages_seen, 1, "ahead by {ahead:?}");
        let age = world.emulator.now().since(snapshot.oldest_message.unwrap());
        assert!(
            age > Duration::from_mins(29),
            "the old ones show all the same: {age:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_message_shows() {
    let world = World::new(14, &[QUEUE], 30);
    // Received before we looked: only a baseline.
    world.emulator.send(QUEUE, &bodies::upload(0)).unwrap();
    let client = world.client();
    let receive = || client.batch_receive(QUEUE, 16, Duration::from_secs(1));
    for _ in 0..2 {
        receive().await.unwrap();
        world.emulator.advance(Duration::from_secs(31));
    }
    let app = peek(&world).await;
    world.emulator.advance(Duration::from_secs(2));
    world.emulator.send(QUEUE, &bodies::upload(1)).unwrap();
    let snapshot = || told_of(&app, QUEUE);
    until(
        || snapshot().counts.messages_seen == 1,
        || format!("{:?}", snapshot()),
    )
    .await;
    let before = world.emulator.state().queues[QUEUE].totals;
    assert_eq!(snapshot().counts.redeliveries, 0);

    for _ in 0..3 {
        assert_eq!(receive().await.unwrap().len(), 2);
        world.emulator.advance(Duration::from_secs(31));
    }
    until(
        || snapshot().dequeue_count_max == Some(5),
        || format!("{:?}", snapshot()),
    )
    .await;
    let after = world.emulator.state().queues[QUEUE].totals;
    let redeliveries =
        (after.received - after.first_received) - (before.received - before.first_received);
    assert_eq!(snapshot().counts.redeliveries, redeliveries);
    let scrape = Scrape::of(app.address()).await;
    assert_eq!(
        scrape.of_queue("mns_queue_dequeue_count_max", QUEUE),
        Some(5.0)
    );
    assert_eq!(
        scrape.of_queue("mns_message_redeliveries_total", QUEUE),
        Some(5.0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retired_counters_are_not_trusted() {
    let world = World::new(15, &[QUEUE], 30);
    let counters = |counters| {
        world.emulator.set_behaviour(Behaviour {
            counters,
            ..Behaviour::default()
        });
    };
    counters(Counters::Zero);
    let app = peek(&world).await;
    let shown = async || {
        let scrape = Scrape::of(app.address()).await;
        let labels = [("queue", QUEUE), ("state", "active")];
        (
            scrape.of_queue("mns_queue_depth_trusted", QUEUE),
            scrape.get("mns_queue_messages", &labels),
        )
    };
    // An empty queue has three zeroes by right.
    ticks(&world, 5).await;
    assert_eq!(shown().await, (None, Some(0.0)));
    world.emulator.send(QUEUE, &bodies::upload(0)).unwrap();
    ticks(&world, 5).await;
    assert_eq!(
        shown().await,
        (None, Some(0.0)),
        "a young message may be missing"
    );

    world.emulator.advance(Duration::from_mins(2));
    let is = async |expected| {
        until_asked(
            async || shown().await == expected,
            || format!("{expected:?}"),
        )
        .await;
    };
    is((Some(0.0), None)).await;
    counters(Counters::Exact);
    is((Some(1.0), Some(1.0))).await;
    counters(Counters::Absent);
    is((Some(1.0), None)).await;
    assert_eq!(told_of(&app, QUEUE).up, Some(true));
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
