//! Consuming: nothing is deleted before it is counted, and an answer that cannot be read costs nothing but time.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/bodies.rs"]
mod bodies;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use vod_callback_exporter::config::QueueConfig;
use vod_callback_exporter::emulator::{Fault, FaultRule, Operation};
use vod_callback_exporter::ledger::{Mode, record::StreamsFrom};
use vod_callback_exporter::vod::event::{Definition, Status};
use world::{World, told_of, until};

const QUEUE: &str = "q";

fn consume(world: &World) -> QueueConfig {
    let mut queue = world.queue(QUEUE, Mode::Consume);
    queue.long_poll = Duration::from_secs(1);
    queue
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_deleted_before_it_is_counted() {
    let world = World::new(61, &[QUEUE], 600);
    for n in 0..320 {
        world.emulator.send(QUEUE, &bodies::upload(n)).unwrap();
    }
    // The delete takes effect at once and its answer comes late: whoever counts only then is caught.
    world.emulator.set_faults(vec![
        FaultRule::always(Fault::Slow { millis: 200 }).on(Operation::BatchDeleteMessage),
    ]);
    let app = world.exporter(vec![consume(&world)]).await;
    let mut counted_and_there = 0;
    until(
        || {
            let deleted = world.emulator.state().queues[QUEUE].totals.deleted;
            let counted = told_of(&app, QUEUE).counts.messages_seen;
            assert!(counted >= deleted, "{counted} counted, {deleted} deleted");
            counted_and_there += u32::from(counted > 0 && counted < 320);
            deleted == 320
        },
        || format!("{:?}", world.emulator.state()),
    )
    .await;
    assert!(counted_and_there > 0, "it was looked at on the way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_answer_that_cannot_be_read_messages_come_one_at_a_time_until_one_succeeds() {
    let world = World::new(62, &[QUEUE], 600);
    for n in 0..32 {
        world.emulator.send(QUEUE, &bodies::upload(n)).unwrap();
    }
    world.emulator.set_faults(vec![
        FaultRule::next(Fault::Garbage, 2).on(Operation::BatchReceiveMessage),
    ]);
    let queue = QueueConfig {
        workers: 1,
        ..consume(&world)
    };
    let app = world.exporter(vec![queue]).await;
    let state = || world.emulator.state();
    // Sixteen are lost with the first answer, one with the second; then come one, and all the rest.
    until(
        || state().queues[QUEUE].totals.deleted == 15,
        || format!("{:?}", state()),
    )
    .await;
    assert_eq!(state().calls_of_any(Operation::BatchDeleteMessage), 2);
    assert_eq!(state().queues[QUEUE].counts.inactive, 17);
    assert_eq!(told_of(&app, QUEUE).counts.messages_seen, 15);

    world.emulator.advance(Duration::from_secs(601));
    until(|| world.is_empty(QUEUE), || format!("{:?}", state())).await;
    until(
        || told_of(&app, QUEUE).pending == 0,
        || "all deletes are confirmed".to_owned(),
    )
    .await;
    let snapshot = told_of(&app, QUEUE);
    assert_eq!(snapshot.counts.messages_seen, 32);
    assert_eq!(snapshot.counts.redeliveries, 17);
    assert!(snapshot.view_complete, "we lost those answers ourselves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_beside_us_makes_the_view_incomplete() {
    let world = World::new(63, &[QUEUE], 30);
    let app = world.exporter(vec![consume(&world)]).await;
    until(
        || told_of(&app, QUEUE).empty == Some(true),
        || "the queue is consumed".to_owned(),
    )
    .await;
    assert!(told_of(&app, QUEUE).view_complete);
    // Our receives fail, and somebody else's do not, long after any that a process before us may have left.
    world.emulator.advance(Duration::from_secs(40));
    world.emulator.set_faults(vec![
        FaultRule::always(Fault::TooManyRequests).on(Operation::BatchReceiveMessage),
    ]);
    let throttled = || told_of(&app, QUEUE).last_error == Some("throttled");
    until(throttled, || "our receives fail".to_owned()).await;
    for n in 0..5 {
        world.emulator.send(QUEUE, &bodies::upload(n)).unwrap();
    }
    world.emulator.set_faults(Vec::new());
    let client = world.client();
    let stolen = client.batch_receive(QUEUE, 16, Duration::ZERO).await;
    let stolen = stolen.map_or(0, |batch| batch.len());
    world.emulator.advance(Duration::from_secs(31));
    until(
        || world.is_empty(QUEUE),
        || format!("{:?}", world.emulator.state()),
    )
    .await;
    assert_eq!(stolen, 5, "the other one came first");
    let snapshot = told_of(&app, QUEUE);
    assert_eq!(snapshot.counts.messages_seen, 5);
    assert_eq!(snapshot.counts.redeliveries, 5);
    assert!(!snapshot.view_complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_told_by_events_or_by_the_summary_but_never_by_both() {
    let world = World::new(64, &[QUEUE, "summary"], 30);
    for queue in [QUEUE, "summary"] {
        for n in 0..3 {
            world.emulator.send(queue, &bodies::stream(n)).unwrap();
            world.emulator.send(queue, &bodies::transcode(n)).unwrap();
        }
    }
    let mut summary = world.queue("summary", Mode::Consume);
    summary.long_poll = Duration::from_secs(1);
    summary.settings.streams_from = StreamsFrom::Summary;
    let app = world.exporter(vec![consume(&world), summary]).await;
    until(
        || world.is_empty(QUEUE) && world.is_empty("summary"),
        || format!("{:?}", world.emulator.state()),
    )
    .await;
    let streams = |queue, definition: Definition, status: Status| {
        told_of(&app, queue).counts.streams[definition.index()][status.index()]
    };
    let by = |queue| {
        [
            streams(queue, Definition::Ld, Status::Success),
            streams(queue, Definition::Hd, Status::Fail),
        ]
    };
    assert_eq!(by(QUEUE), [3, 0]);
    assert_eq!(by("summary"), [3, 3]);
    for queue in [QUEUE, "summary"] {
        let counts = told_of(&app, queue).counts;
        assert_eq!(
            counts.streams.iter().flatten().sum::<u64>(),
            by(queue).iter().sum::<u64>()
        );
        assert_eq!(counts.messages_seen, 6, "{queue}");
        let took = &counts.stream_seconds[Definition::Ld.index()];
        assert_eq!(took.count(), 3, "{queue}");
    }
}
