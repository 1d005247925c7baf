//! The end of the real process: nothing lost, nothing kept, in time.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/bodies.rs"]
mod bodies;
#[path = "support/exporter.rs"]
mod exporter;
#[path = "support/process.rs"]
mod process;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use exporter::Exporter;
use scrape::{Scrape, ask};
use tokio::time::Instant;
use vod_callback_exporter::emulator::{Fault, FaultRule, Operation};
use world::{World, until, until_asked};

const QUEUE: &str = "q";
/// What Kubernetes grants by default.
const GRACE: Duration = Duration::from_secs(30);

/// An exporter that consumes the queue with long polls of so many seconds.
fn consume(world: &World, long_poll: u32) -> Exporter {
    Exporter::start(&format!(
        "queues: [{{name: {QUEUE}, account: main, endpoint: \"{}\", mode: consume, long_poll: {long_poll}s}}]\n",
        world.url
    ))
}

fn send(world: &World, messages: usize) {
    for n in 0..messages {
        world.emulator.send(QUEUE, &bodies::upload(n)).unwrap();
    }
}

/// Waits until the exporter says that it is not ready, while it still answers.
async fn not_ready(exporter: &Exporter) {
    until_asked(
        async || {
            let ready = ask(exporter.address, "/-/ready").await;
            let (status, _) = ready.expect("the endpoints are the last to go");
            status == 503
        },
        || "not ready".to_owned(),
    )
    .await;
}

/// The exit code and how long the end took.
fn end(exporter: &mut Exporter, asked: Instant) -> (Option<i32>, Duration) {
    let (code, _) = exporter.process.finish();
    (code, asked.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_in_hand_are_counted_and_deleted_first() {
    let world = World::new(31, &[QUEUE], 600);
    send(&world, 3_000);
    let slow = Fault::Slow { millis: 3_000 };
    world.emulator.set_faults(vec![
        FaultRule::always(slow).on(Operation::BatchDeleteMessage),
    ]);
    let mut exporter = consume(&world, 1);
    let deleted = || world.emulator.state().queues[QUEUE].totals.deleted;
    until(|| deleted() >= 64, || format!("{} deleted", deleted())).await;

    let asked = Instant::now();
    exporter.process.terminate();
    not_ready(&exporter).await;
    let mut last = Scrape::of(exporter.address).await;
    while exporter.process.ended().is_none() {
        if let Some(scrape) = Scrape::try_of(exporter.address).await {
            last = scrape;
        }
    }
    let (code, took) = end(&mut exporter, asked);
    assert_eq!(code, Some(0));
    assert!(took < GRACE, "{took:?}");

    let state = world.emulator.state();
    let (totals, counts) = (state.queues[QUEUE].totals, state.queues[QUEUE].counts);
    assert!(totals.deleted < 3_000, "it ended before all was done");
    let seen = last.of_queue("mns_messages_seen_total", QUEUE).unwrap();
    assert!(seen >= to_f64(totals.deleted), "{seen} counted, {totals:?}");
    assert_eq!(totals.deleted + counts.active + counts.inactive, 3_000);
    // A receive that was given up on the way may leave its batch hidden; what was counted is gone.
    assert!(to_f64(totals.deleted) >= seen, "{seen} counted, {totals:?}");
    assert_eq!(
        last.of_queue("mns_messages_seen_total", QUEUE),
        Some(to_f64(totals.deleted))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_deleted_is_made_visible_again() {
    let world = World::new(32, &[QUEUE], 600);
    send(&world, 20);
    world.emulator.set_faults(vec![
        FaultRule::always(Fault::InternalError).on(Operation::BatchDeleteMessage),
    ]);
    let mut exporter = consume(&world, 1);
    let inactive = || world.emulator.state().queues[QUEUE].counts.inactive;
    let refused = || {
        world
            .emulator
            .state()
            .calls_of_any(Operation::BatchDeleteMessage)
    };
    until(
        || inactive() == 20 && refused() > 1,
        || format!("{} received", inactive()),
    )
    .await;

    let asked = Instant::now();
    exporter.process.terminate();
    let (code, took) = end(&mut exporter, asked);
    assert_eq!(code, Some(0));
    assert!(took < GRACE, "{took:?}");
    let state = world.emulator.state();
    assert_eq!(state.calls_of(Operation::ChangeMessageVisibility, "OK"), 20);
    world.emulator.advance(Duration::from_secs(2));
    let counts = world.emulator.state().queues[QUEUE].counts;
    assert_eq!((counts.active, counts.inactive), (20, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_does_not_wait_for_a_long_poll() {
    let world = World::new(33, &[QUEUE], 600);
    let mut exporter = consume(&world, 30);
    until(
        || world.emulator.state().parked_polls > 0,
        || "a long poll waits".to_owned(),
    )
    .await;
    let asked = Instant::now();
    exporter.process.terminate();
    let (code, took) = end(&mut exporter, asked);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// An exporter that holds messages which it can neither delete nor release, since MNS does not answer.
async fn hanging(seed: u64) -> (World, Exporter) {
    let world = World::new(seed, &[QUEUE], 600);
    send(&world, 16);
    let hangs = |operation| FaultRule::always(Fault::Slow { millis: 600_000 }).on(operation);
    world.emulator.set_faults(vec![
        hangs(Operation::BatchDeleteMessage),
        hangs(Operation::ChangeMessageVisibility),
    ]);
    let exporter = consume(&world, 1);
    let deletes = || {
        world
            .emulator
            .state()
            .calls_of_any(Operation::BatchDeleteMessage)
    };
    until(|| deletes() > 0, || "a delete hangs".to_owned()).await;
    (world, exporter)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_hangs_holds_the_end_no_longer_than_the_grace() {
    let (_world, mut exporter) = hanging(34).await;
    let asked = Instant::now();
    exporter.process.terminate();
    not_ready(&exporter).await;
    let (code, took) = end(&mut exporter, asked);
    assert_eq!(code, Some(0));
    assert!(took < GRACE, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let (_world, mut exporter) = hanging(35).await;
    exporter.process.terminate();
    not_ready(&exporter).await;
    let again = Instant::now();
    exporter.process.terminate();
    let (code, took) = end(&mut exporter, again);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
fn to_f64(count: u64) -> f64 {
    count as f64
}
