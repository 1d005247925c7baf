//! Passing on: what a consumed queue held is what the worker's queue gets, whatever goes wrong on the way.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vod_callback_exporter::aliyun::credentials::{Provider, Sources};
use vod_callback_exporter::aliyun::{sign, transport};
use vod_callback_exporter::app::App;
use vod_callback_exporter::clock::ServerClock;
use vod_callback_exporter::config::{AccountConfig, Endpoint, ForwardConfig, QueueConfig};
use vod_callback_exporter::emulator::scenario::Settings;
use vod_callback_exporter::emulator::{
    AttributesPatch, Behaviour, Fault, FaultRule, NewMessage, Operation, Totals,
};
use vod_callback_exporter::ledger::{Mode, Snapshot};
use vod_callback_exporter::mns::client::{Client, ClientConfig, Observer};
use vod_callback_exporter::recorder::Recorder;
use vod_callback_exporter::secret::SecretSource;
use world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, World, until};

const SOURCE: &str = "source";
const TARGET: &str = "target";

/// How often each body with its priority is there.
type Contents = BTreeMap<(String, u8), u64>;

struct Ignore;

impl Observer for Ignore {
    fn called(
        &self,
        _: &str,
        _: vod_callback_exporter::mns::Operation,
        _: &'static str,
        _: Duration,
        _: bool,
    ) {
    }
}

/// A source that is passed on to a target.
fn forwarding(world: &World) -> QueueConfig {
    let mut queue = world.queue(SOURCE, Mode::Consume);
    queue.long_poll = Duration::from_secs(1);
    queue.tick = Duration::from_secs(1);
    queue.forward = Some(ForwardConfig {
        endpoint: Endpoint::parse(&world.url).unwrap(),
        region: "".into(),
        name: TARGET.into(),
        account: Arc::new(AccountConfig::public(ACCESS_KEY_ID, ACCESS_KEY_SECRET)),
    });
    queue
}

async fn exporter(world: &World) -> (App, Recorder) {
    let exporter = world.exporter(vec![forwarding(world)]).await;
    let recorder = exporter.recorder();
    (exporter, recorder)
}

/// Runs an exporter until the source is empty, and returns what it committed.
async fn run(world: &World) -> Snapshot {
    let (exporter, recorder) = exporter(world).await;
    emptied(world).await;
    exporter.shutdown().await;
    recorder.snapshot()
}

async fn emptied(world: &World) {
    until(
        || world.is_empty(SOURCE),
        || format!("{:?}", world.emulator.state().queues),
    )
    .await;
}

fn send(world: &World, body: &str, priority: u8) {
    let message = NewMessage {
        body: body.into(),
        priority: Some(priority),
        ..NewMessage::default()
    };
    world.emulator.send_message(SOURCE, &message).unwrap();
}

/// Sends small messages that differ.
fn send_many(world: &World, count: usize) -> Contents {
    let mut contents = Contents::new();
    for number in 0..count {
        let (body, priority) = (format!("message {number}"), 8);
        send(world, &body, priority);
        contents.insert((body, priority), 1);
    }
    contents
}

fn totals(world: &World, queue: &str) -> Totals {
    world.emulator.state().queues[queue].totals
}

/// Messages that were sent, refused and not taken, as the exporter counts them.
fn counted(snapshot: &Snapshot) -> [u64; 3] {
    snapshot.queues[0].counts.forwarded[TARGET]
}

/// Receives everything from the target, as a worker would.
async fn received(world: &World) -> Contents {
    let config = ClientConfig {
        endpoint: world.url.parse().unwrap(),
        region: None,
        signature: sign::Version::V2,
        seed: 1,
    };
    let sources = Sources {
        access_key_id: SecretSource::Public(ACCESS_KEY_ID),
        access_key_secret: SecretSource::Public(ACCESS_KEY_SECRET),
        security_token: None,
    };
    let client = Client::new(
        config,
        Arc::new(Provider::new(sources)),
        transport::Options::default().client().unwrap(),
        Arc::new(ServerClock::default()),
        Arc::new(Ignore),
    );
    let mut contents = Contents::new();
    loop {
        match client.batch_receive(TARGET, 16, Duration::ZERO).await {
            Ok(batch) => {
                for message in batch.iter() {
                    let key = (message.body.to_owned(), message.priority);
                    *contents.entry(key).or_default() += 1;
                }
            }
            Err(error) if error.is_empty() => return contents,
            Err(error) => panic!("{error}"),
        }
    }
}

fn down() -> FaultRule {
    FaultRule::always(Fault::ServiceUnavailable).on(Operation::BatchSendMessage)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_priorities_arrive_unchanged_and_complete() {
    let world = World::new(1, &[SOURCE, TARGET], 60);
    let mut bodies: Vec<String> = [
        "{\"EventType\":\"FileUploadComplete\",\"EventTime\":\"2026-01-02T03:04:05Z\",\"VideoId\":\"a\"}",
        "eyJFdmVudFR5cGUiOiJGaWxlVXBsb2FkQ29tcGxldGUifQ==",
        " <a href=\"x\">&amp; 'quoted' ]]></a>\r\n\tline\rline\n ",
        "视频 🎬 \u{202e}",
        "x",
    ]
    .map(str::to_owned)
    .into();
    bodies.extend((0..40_usize).map(|number| format!("{number}\"{}", "<ü>".repeat(number * 400))));
    let mut sent = Contents::new();
    for (body, priority) in bodies.into_iter().zip((1..=16).cycle()) {
        send(&world, &body, priority);
        sent.insert((body, priority), 1);
    }
    let snapshot = run(&world).await;
    assert_eq!(received(&world).await, sent);
    assert_eq!(counted(&snapshot), [sent.len() as u64, 0, 0]);
    assert_eq!(snapshot.queues[0].counts.messages_seen, sent.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_down_stops_deletes_and_gets_everything_later() {
    let world = World::new(2, &[SOURCE, TARGET], 60);
    let behaviour = Behaviour {
        limit_message_size: false,
        ..Behaviour::default()
    };
    world.emulator.set_behaviour(behaviour);
    world.emulator.set_faults(vec![down()]);
    let settings = Settings {
        queues: vec![SOURCE.to_owned()],
        ..Settings::default()
    };
    let pushed = world.push(settings, 2, 500).queues[SOURCE].messages;

    let (exporter, recorder) = exporter(&world).await;
    until(
        || recorder.snapshot().queues[0].counts.messages_seen == pushed,
        || "receiving goes on".to_owned(),
    )
    .await;
    let [sent, refused, failed] = counted(&recorder.snapshot());
    assert_eq!((sent, refused), (0, 0));
    assert!(failed > 0);
    assert_eq!(totals(&world, SOURCE).deleted, 0);

    world.emulator.set_faults(vec![]);
    emptied(&world).await;
    exporter.shutdown().await;
    let [sent, refused, _] = counted(&recorder.snapshot());
    // Of the platform's traps, MNS takes none that is larger than its limit from a client.
    assert_eq!(sent + refused, pushed);
    assert_eq!(totals(&world, TARGET).sent, sent);
    assert_eq!(recorder.snapshot().queues[0].counts.redeliveries, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_target_loses_nothing() {
    let world = World::new(3, &[SOURCE], 60);
    let sent = send_many(&world, 50);
    let (exporter, recorder) = exporter(&world).await;
    until(
        || counted_or_none(&recorder).is_some_and(|[_, _, failed]| failed > 0),
        || "a target that is not there fails".to_owned(),
    )
    .await;
    assert_eq!(totals(&world, SOURCE).deleted, 0);
    world
        .emulator
        .create_queue(TARGET, &AttributesPatch::default())
        .unwrap();
    emptied(&world).await;
    exporter.shutdown().await;
    assert_eq!(received(&world).await, sent);
}

fn counted_or_none(recorder: &Recorder) -> Option<[u64; 3]> {
    let snapshot = recorder.snapshot();
    snapshot.queues[0].counts.forwarded.get(TARGET).copied()
}

/// A target takes all but what is too large for it, which goes to quarantine; `status` is that of a partial refusal.
async fn refuses_for_good(status: u16, small: usize, large: usize) {
    let world = World::new(4, &[SOURCE], 60);
    world.emulator.set_behaviour(Behaviour {
        partial_batch_send_status: status,
        ..Behaviour::default()
    });
    let patch = AttributesPatch {
        maximum_message_size: Some(1_024),
        ..AttributesPatch::default()
    };
    world.emulator.create_queue(TARGET, &patch).unwrap();
    let bodies: Vec<String> = (0..large)
        .map(|number| format!("{number}{}", "x".repeat(2_000)))
        .collect();
    for body in &bodies {
        send(&world, body, 1);
    }
    let sent = send_many(&world, small);

    let snapshot = run(&world).await;
    assert_eq!(received(&world).await, sent);
    assert_eq!(counted(&snapshot), [small as u64, large as u64, 0]);
    let mut kept: Vec<String> = snapshot
        .quarantine
        .iter()
        .filter(|entry| entry.reason.as_str() == "forward_refused")
        .map(|entry| entry.body.to_string())
        .collect();
    kept.sort();
    assert_eq!(kept, bodies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_target_refuses_for_good_goes_to_quarantine() {
    refuses_for_good(500, 100, 1).await;
    refuses_for_good(200, 30, 4).await;
    // A call with nothing else in it is refused as a whole.
    refuses_for_good(500, 0, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_arrives_at_least_once_through_lost_calls_and_answers() {
    let world = World::new(5, &[SOURCE, TARGET], 5);
    let on = |fault, share| FaultRule::share(fault, share).on(Operation::BatchSendMessage);
    world.emulator.set_faults(vec![
        on(Fault::ResetBefore, 0.05),
        on(Fault::TooManyRequests, 0.05),
        on(Fault::ResetAfter, 0.1),
        on(Fault::Truncated, 0.05),
        on(Fault::Html, 0.05),
        FaultRule::share(Fault::ResetAfter, 0.05).on(Operation::BatchDeleteMessage),
    ]);
    let sent = send_many(&world, 400);
    let snapshot = run(&world).await;
    let [taken, refused, failed] = counted(&snapshot);
    let arrived = received(&world).await;
    assert!(
        arrived.keys().eq(sent.keys()),
        "nothing lost, nothing made up"
    );
    let copies: u64 = arrived.values().sum();
    assert_eq!(copies, totals(&world, TARGET).sent);
    assert!(copies > 400, "lost answers make doubles");
    // A copy is one that the exporter knows of, or one of a call whose answer was lost.
    assert!(taken >= 400 && copies >= taken && copies - taken <= failed);
    assert_eq!(refused, 0);
    assert_eq!(snapshot.queues[0].counts.messages_seen, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_passed_on_is_not_sent_again_when_it_comes_again() {
    let world = World::new(6, &[SOURCE, TARGET], 2);
    world.emulator.set_faults(vec![
        FaultRule::next(Fault::ServiceUnavailable, 4).on(Operation::BatchDeleteMessage),
        FaultRule::next(Fault::Redeliver, 20),
    ]);
    let sent = send_many(&world, 60);
    let snapshot = run(&world).await;
    let counts = &snapshot.queues[0].counts;
    assert!(counts.redeliveries >= 20, "{}", counts.redeliveries);
    assert_eq!(counted(&snapshot), [60, 0, 0]);
    assert_eq!(received(&world).await, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_mid_way_releases_what_waits_and_the_next_exporter_goes_on() {
    let world = World::new(7, &[SOURCE, TARGET], 600);
    let sent = send_many(&world, 500);
    world.emulator.set_faults(vec![
        FaultRule::share(Fault::ServiceUnavailable, 0.5).on(Operation::BatchSendMessage),
    ]);
    let (exporter, recorder) = exporter(&world).await;
    until(
        || {
            // A receive that is under way at the shutdown would hide its messages: all have been received.
            let all = recorder.snapshot().queues[0].counts.messages_seen == 500;
            all && counted_or_none(&recorder)
                .is_some_and(|[sent, _, failed]| sent > 0 && failed > 0)
        },
        || "some are sent, some are not".to_owned(),
    )
    .await;
    world.emulator.set_faults(vec![down()]);
    exporter.shutdown().await;
    let [first, ..] = counted(&recorder.snapshot());
    assert_eq!(totals(&world, TARGET).sent, first);
    assert_eq!(totals(&world, SOURCE).deleted, first);

    // Had the messages not been released, they would stay hidden for ten minutes.
    world.emulator.set_faults(vec![]);
    let snapshot = run(&world).await;
    assert_eq!(counted(&snapshot)[0], 500 - first);
    assert_eq!(received(&world).await, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiving_stops_at_the_bound_of_undeleted_messages_and_goes_on_with_the_target() {
    let world = World::new(8, &[SOURCE, TARGET], 120);
    let sent = send_many(&world, 5_000);
    world.emulator.set_faults(vec![down()]);
    let (exporter, recorder) = exporter(&world).await;
    let in_hand = || world.emulator.state().queues[SOURCE].counts.inactive;
    until(|| in_hand() >= 4_000, || format!("{}", in_hand())).await;
    // Some more time passes.
    let tries = || {
        let state = world.emulator.state();
        state.calls_of_any(Operation::BatchSendMessage)
    };
    let before = tries();
    until(|| tries() > before + 1, || "tries go on".to_owned()).await;
    // Each worker may have been about to receive.
    let bound = 4_000..4_000 + 8 * 16;
    assert!(bound.contains(&in_hand()), "{}", in_hand());
    assert!(
        tries() < 20,
        "one call at a time, after a backoff: {}",
        tries()
    );
    assert_eq!(recorder.snapshot().queues[0].pending, in_hand());

    world.emulator.set_faults(vec![]);
    emptied(&world).await;
    exporter.shutdown().await;
    assert_eq!(counted(&recorder.snapshot())[0], 5_000);
    assert_eq!(received(&world).await, sent);
}
