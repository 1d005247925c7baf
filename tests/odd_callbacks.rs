//! Callbacks as no document describes them: each is counted, none makes a stall that is not true, nothing grows.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/world.rs"]
mod world;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use vod_callback_exporter::app::App;
use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::config::QueueConfig;
use vod_callback_exporter::emulator::{Fault, FaultRule, Operation};
use vod_callback_exporter::ledger::listing::{ListedState, Listing, Page};
use vod_callback_exporter::ledger::{Mode, Verdict};
use world::{World, told_of, until};

const QUEUE: &str = "q";
const HOUR: Duration = Duration::from_hours(1);

/// A consumed queue whose every upload is transcoded, so that nothing excuses a silence.
fn strict(world: &World) -> QueueConfig {
    let mut queue = world.queue(QUEUE, Mode::Consume);
    queue.long_poll = Duration::from_secs(1);
    queue.settings.transcodes.expect_every_upload = true;
    queue
}

/// VOD's form of an instant.
fn time(at: UnixMillis) -> String {
    UnixMillis(at.0 - at.0.rem_euclid(1_000)).to_string()
}

fn upload(id: &str, at: UnixMillis) -> String {
    json!({"EventType": "FileUploadComplete", "Status": "success", "VideoId": id, "EventTime": time(at)})
        .to_string()
}

fn stream(id: &str, at: UnixMillis) -> String {
    json!({
        "EventType": "StreamTranscodeComplete", "Status": "success", "VideoId": id, "EventTime": time(at),
        "Definition": "HD", "StartTime": time(at.minus(Duration::from_secs(9))), "FinishTime": time(at),
    })
    .to_string()
}

fn end(id: &str, at: UnixMillis, streams: usize) -> String {
    let stream = json!({
        "Status": "success", "Definition": "HD", "StartTime": time(at), "FinishTime": time(at.minus(HOUR)),
    });
    json!({
        "EventType": "TranscodeComplete", "Status": "success", "VideoId": id, "EventTime": time(at),
        "StreamInfos": vec![stream; streams],
    })
    .to_string()
}

fn open(app: &App) -> Page {
    app.recorder().transcodes(&Listing {
        queue: None,
        state: ListedState::InFlight,
        verdict: None,
        offset: 0,
        limit: 100,
    })
}

/// Sends bodies and returns once all are counted and the queue is known to be empty.
async fn told(world: &World, app: &App, bodies: &[String]) {
    let before = told_of(app, QUEUE).counts.messages_seen;
    for body in bodies {
        world.emulator.send(QUEUE, body).unwrap();
    }
    let seen = before + bodies.len() as u64;
    until(
        || told_of(app, QUEUE).counts.messages_seen == seen,
        || format!("{} of {seen}", told_of(app, QUEUE).counts.messages_seen),
    )
    .await;
    received(world, 2).await;
}

/// Lets so many receives find nothing.
async fn received(world: &World, receives: u64) {
    let empty = || {
        let state = world.emulator.state();
        state.calls_of(Operation::BatchReceiveMessage, "MessageNotExist")
    };
    let enough = empty() + receives;
    until(|| empty() >= enough, || format!("{} receives", empty())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_any_kind_are_bounded_and_still_told_apart() {
    let world = World::new(91, &[QUEUE], 30);
    let app = world.exporter(vec![strict(&world)]).await;
    let now = world.emulator.now();
    let long = "x".repeat(10_000);
    let mut strange = String::new();
    for character in ['"', '\\', '\n', '\u{0}', '\u{202e}', '😀'] {
        write!(strange, "{character}").unwrap();
    }
    let without =
        json!({"EventType": "FileUploadComplete", "Status": "success", "EventTime": time(now)});
    let bodies = [
        upload(&long, now),
        upload(&strange, now),
        upload("", now),
        upload("   ", now),
        without.to_string(),
    ];
    told(&world, &app, &bodies).await;
    let snapshot = told_of(&app, QUEUE);
    assert_eq!(snapshot.counts.decode_failures.iter().sum::<u64>(), 0);
    let ids: Vec<String> = open(&app)
        .rows
        .iter()
        .map(|(_, row)| row.media.to_string())
        .collect();
    assert_eq!(
        ids.len(),
        2,
        "who has no id is counted and not tracked: {ids:?}"
    );
    assert!(ids.contains(&"x".repeat(128)), "{ids:?}");
    told(&world, &app, &[end(&long, now, 1), end(&strange, now, 1)]).await;
    assert_eq!(open(&app).total, 0, "their ends are theirs");
    app.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_that_run_backwards_and_hundreds_of_streams_end_a_transcode_all_the_same() {
    let world = World::new(92, &[QUEUE], 30);
    let app = world.exporter(vec![strict(&world)]).await;
    let now = world.emulator.now();
    let bodies = [
        // The end is told first, and claims to be older than the upload.
        end("backwards", now.minus(2 * HOUR), 3),
        upload("backwards", now),
        upload("many", now),
        end("many", now, 500),
        // From before anybody counted time in seconds.
        upload("ancient", UnixMillis(-1_000)),
        end("ancient", UnixMillis(0), 1),
    ];
    told(&world, &app, &bodies).await;
    world.emulator.advance(12 * HOUR);
    received(&world, 3).await;
    let snapshot = told_of(&app, QUEUE);
    assert_eq!(open(&app).rows, []);
    assert_eq!(snapshot.counts.stalls, 0);
    app.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_comes_three_days_late_ends_it_for_good() {
    let world = World::new(93, &[QUEUE], 30);
    let app = world.exporter(vec![strict(&world)]).await;
    let began = world.emulator.now();
    told(&world, &app, &[upload("late", began)]).await;
    world.emulator.advance(2 * HOUR);
    until(
        || told_of(&app, QUEUE).counts.stalls == 1,
        || "its silence is a stall".to_owned(),
    )
    .await;
    world.emulator.advance(70 * HOUR);
    let abandoned = || told_of(&app, QUEUE).counts.closed[Verdict::Abandoned.index()] == 1;
    until(abandoned, || "nobody waits for ever".to_owned()).await;
    let now = world.emulator.now();
    told(&world, &app, &[end("late", now, 2)]).await;
    told(&world, &app, &[upload("late", began)]).await;
    world.emulator.advance(2 * HOUR);
    received(&world, 3).await;
    assert_eq!(open(&app).rows, [], "an upload told again opens nothing");
    assert_eq!(told_of(&app, QUEUE).counts.stalls, 1);
    app.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_never_transcoded_is_no_stall_where_nobody_promised_one() {
    let world = World::new(94, &[QUEUE], 30);
    let mut queue = strict(&world);
    queue.settings.transcodes.expect_every_upload = false;
    let app = world.exporter(vec![queue]).await;
    told(&world, &app, &[upload("plain", world.emulator.now())]).await;
    world.emulator.advance(3 * HOUR);
    until(
        || {
            open(&app)
                .rows
                .iter()
                .any(|(_, row)| row.verdict == Some(Verdict::Unknown))
        },
        || format!("{:?}", open(&app)),
    )
    .await;
    assert_eq!(told_of(&app, QUEUE).counts.stalls, 0);
    app.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_whose_clock_is_an_hour_off_makes_no_stall() {
    let world = World::new(95, &[QUEUE], 30);
    let app = world.exporter(vec![strict(&world)]).await;
    let now = world.emulator.now();
    let bodies: Vec<String> = (0..100)
        .flat_map(|n| [upload(&format!("{n}"), now), stream(&format!("{n}"), now)])
        .collect();
    told(&world, &app, &bodies).await;
    for millis in [2 * 3_600_000, -2 * 3_600_000] {
        world
            .emulator
            .set_faults(vec![FaultRule::next(Fault::ClockSkew { millis }, 1)]);
        received(&world, 3).await;
        assert_eq!(told_of(&app, QUEUE).counts.stalls, 0, "{millis}");
        assert_eq!(open(&app).total, 100);
    }
    world.emulator.set_faults(Vec::new());
    // Where the time has really passed, silence is a stall.
    world.emulator.advance(2 * HOUR);
    until(
        || told_of(&app, QUEUE).counts.stalls == 100,
        || format!("{} stalls", told_of(&app, QUEUE).counts.stalls),
    )
    .await;
    app.shutdown().await;
}
