//! Many queues in one process: none delays another, and prefixes find what comes and lose what goes.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "helpers of tests panic, and counts are whole numbers"
)]

#[path = "support/bodies.rs"]
mod bodies;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use scrape::Scrape;
use vod_callback_exporter::config::{AccountConfig, Config, Endpoint, QueueConfig};
use vod_callback_exporter::emulator::{self, Fault, FaultRule, Operation};
use vod_callback_exporter::ledger::{Mode, QueueIdentity, Role};
use world::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, World, exporter, refusing_address, told_of, until,
    until_asked,
};

const TICK: Duration = Duration::from_millis(50);

fn quick(queue: QueueConfig) -> QueueConfig {
    QueueConfig {
        tick: TICK,
        long_poll: Duration::from_secs(1),
        ..queue
    }
}

/// The queue under another id.
fn with_identity(queue: QueueConfig, id: &str, role: Role) -> QueueConfig {
    let identity = QueueIdentity {
        id: Arc::from(id),
        role,
        ..QueueIdentity::clone(&queue.identity)
    };
    QueueConfig {
        identity: Arc::new(identity),
        ..queue
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_hangs_or_refuses_delays_no_other() {
    const OTHER: (&str, &str) = ("other-access-key-id", "other-access-key-secret");
    let first = World::new(21, &["steady", "hanging", "a"], 30);
    let options = emulator::Options::new(OTHER.0, OTHER.1);
    let second = World::with(options, "127.0.0.1:0", &["b", "a"], 30);
    first.emulator.set_faults(vec![
        FaultRule::always(Fault::Slow { millis: 600_000 }).of_queue("hanging"),
    ]);
    for n in 0..100 {
        first.emulator.send("steady", &bodies::upload(n)).unwrap();
        second.emulator.send("b", &bodies::upload(n)).unwrap();
        second.emulator.send("a", &bodies::upload(n)).unwrap();
    }
    let account = Arc::new(AccountConfig {
        name: Arc::from("other"),
        ..AccountConfig::public(OTHER.0, OTHER.1)
    });
    let of_second = |name, mode| {
        let endpoint = Endpoint::parse(&second.url).unwrap();
        quick(QueueConfig::new(endpoint, name, mode, Arc::clone(&account)))
    };
    let refusing = Endpoint::parse(&format!("http://{}", refusing_address())).unwrap();
    let refusing = QueueConfig::new(refusing, "refusing", Mode::Consume, Arc::clone(&account));
    let app = first
        .exporter(vec![
            quick(first.queue("hanging", Mode::Consume)),
            quick(refusing),
            quick(first.queue("steady", Mode::Consume)),
            with_identity(
                quick(first.queue("a", Mode::Peek)),
                "first-a",
                Role::Callback,
            ),
            of_second("b", Mode::Consume),
            with_identity(of_second("a", Mode::Consume), "second-a", Role::Callback),
        ])
        .await;
    until(
        || {
            first.is_empty("steady")
                && second.is_empty("b")
                && second.is_empty("a")
                && told_of(&app, "first-a").up == Some(true)
        },
        || format!("{:?} {:?}", first.emulator.state(), second.emulator.state()),
    )
    .await;
    for id in ["steady", "b", "second-a"] {
        assert_eq!(told_of(&app, id).counts.messages_seen, 100, "{id}");
        assert_eq!(told_of(&app, id).up, Some(true), "{id}");
    }
    assert_eq!(told_of(&app, "first-a").counts.messages_seen, 0);
    until(
        || told_of(&app, "refusing").up == Some(false),
        || "the queue that refuses is down".to_owned(),
    )
    .await;
    assert_eq!(told_of(&app, "refusing").last_error, Some("connection"));
    let scrape = Scrape::of(app.address()).await;
    // Each call that hangs takes 10 s and more: the others' dozens of calls waited for none.
    assert!(scrape.sum("mns_requests_total", &[("queue", "hanging")]) <= 3.0);
    assert_ne!(told_of(&app, "hanging").up, Some(true));
    assert_eq!(scrape.of_queue("mns_queue_up", "refusing"), Some(0.0));
    assert_eq!(scrape.of_queue("mns_queue_up", "steady"), Some(1.0));
    assert_eq!(scrape.of_queue("mns_queue_info", "second-a"), Some(1.0));
}

/// The config file of an exporter that watches by prefix.
fn by_prefix(world: &World, directory: &tempfile::TempDir) -> Config {
    std::fs::write(directory.path().join("id"), ACCESS_KEY_ID).unwrap();
    std::fs::write(directory.path().join("secret"), ACCESS_KEY_SECRET).unwrap();
    let text = format!(
        "accounts: {{main: {{access_key_id_file: id, access_key_secret_file: secret}}}}\n\
         defaults: {{account: main, endpoint: \"{}\", tick: 10s}}\n\
         queues: [{{prefix: vod-}}, {{name: vod-own, id: own}}]\n",
        world.url
    );
    Config::parse("test", &text, Some(directory.path())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_finds_what_comes_and_loses_what_goes_by_one_call() {
    let world = World::new(22, &["vod-a", "vod-b", "vod-own", "other"], 30);
    let directory = tempfile::tempdir().unwrap();
    let app = exporter(by_prefix(&world, &directory)).await;
    let ids = async || {
        Scrape::of(app.address())
            .await
            .label_values("mns_queue_info", "queue")
    };
    let are = async |expected: &[&str]| {
        until_asked(async || ids().await == expected, || format!("{expected:?}")).await;
    };
    are(&["own", "vod-a", "vod-b"]).await;
    let up = |id: &str| told_of(&app, id).up == Some(true);
    until(
        || up("own") && up("vod-a") && up("vod-b"),
        || "all are up".to_owned(),
    )
    .await;

    world.emulator.delete_queue("vod-a");
    world.create("vod-new", 30);
    are(&["own", "vod-b", "vod-new"]).await;
    world.emulator.send("vod-new", &bodies::upload(1)).unwrap();
    until(|| up("vod-new"), || "the new queue is up".to_owned()).await;
    let scrape = Scrape::of(app.address()).await;
    assert!(!scrape.knows("vod-a"), "{}", scrape.text());
    assert!(
        scrape
            .of_queue("mns_queue_retention_seconds", "vod-new")
            .is_some()
    );

    let calls = |queue, operation| {
        scrape.sum(
            "mns_requests_total",
            &[("queue", queue), ("operation", operation)],
        )
    };
    for queue in ["vod-b", "vod-new"] {
        assert!(calls(queue, "BatchPeekMessage") > 0.0, "{queue}");
        assert_eq!(calls(queue, "GetQueueAttributes"), 0.0, "{queue}");
    }
    let lists = world.emulator.state().calls_of_any(Operation::ListQueue);
    assert_eq!(lists, 2, "one call a tick");
    assert_eq!(calls("", "ListQueue"), 2.0);
    assert!(calls("own", "GetQueueAttributes") > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_queue_counts_messages_but_no_events() {
    let world = World::new(23, &["q", "dead"], 30);
    let policy = emulator::DeadLetterPolicy {
        target: "dead".to_owned(),
        max_receive_count: 1,
    };
    world.emulator.set_dead_letter("q", Some(policy)).unwrap();
    let dead = with_identity(
        quick(world.queue("dead", Mode::Peek)),
        "dead",
        Role::DeadLetter,
    );
    let app = world
        .exporter(vec![quick(world.queue("q", Mode::Peek)), dead])
        .await;
    until(
        || {
            ["q", "dead"]
                .iter()
                .all(|id| told_of(&app, id).up == Some(true))
        },
        || "both are watched".to_owned(),
    )
    .await;
    world.emulator.advance(Duration::from_secs(2));
    world.emulator.send("q", &bodies::upload(1)).unwrap();
    until(
        || told_of(&app, "q").counts.messages_seen == 1,
        || "the message shows in its queue".to_owned(),
    )
    .await;
    let client = world.client();
    for _ in 0..2 {
        client
            .batch_receive("q", 16, Duration::from_secs(1))
            .await
            .unwrap();
        world.emulator.advance(Duration::from_secs(31));
    }
    until(
        || told_of(&app, "dead").counts.messages_seen == 1,
        || format!("{:?}", world.emulator.state()),
    )
    .await;
    let scrape = Scrape::of(app.address()).await;
    assert_eq!(scrape.sum("vod_events_total", &[("queue", "q")]), 1.0);
    assert_eq!(scrape.sum("vod_events_total", &[("queue", "dead")]), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_missing_and_made_later_or_made_anew_is_counted_on() {
    let world = World::new(24, &["anew", "anew-peeked"], 30);
    let queues = ["anew", "anew-peeked", "late", "late-peeked"].map(|name| {
        let mode = if name.ends_with("peeked") {
            Mode::Peek
        } else {
            Mode::Consume
        };
        quick(world.queue(name, mode))
    });
    let app = world.exporter(queues.to_vec()).await;
    let all = async |what: &str, holds: &dyn Fn(&str) -> bool| {
        until(
            || {
                ["anew", "anew-peeked", "late", "late-peeked"]
                    .iter()
                    .all(|id| holds(id))
            },
            || what.to_owned(),
        )
        .await;
    };
    let is_late = |id: &str| id.starts_with("late");
    all("up but for the missing ones", &|id| {
        told_of(&app, id).up == Some(!is_late(id))
    })
    .await;
    assert_eq!(told_of(&app, "late").last_error, Some("no_such_queue"));

    let mut sent = 0;
    let mut send = |to: &[&str]| {
        for queue in to {
            for _ in 0..5 {
                sent += 1;
                world.emulator.send(queue, &bodies::upload(sent)).unwrap();
            }
        }
    };
    let seen = |id: &str| told_of(&app, id).counts.messages_seen;
    world.emulator.advance(Duration::from_secs(2));
    send(&["anew", "anew-peeked"]);
    all("the first five", &|id| {
        seen(id) == if is_late(id) { 0 } else { 5 }
    })
    .await;

    // What was peeked at goes with its queue.
    for queue in ["anew", "anew-peeked"] {
        world.emulator.delete_queue(queue);
    }
    world.emulator.advance(Duration::from_secs(2));
    for queue in ["anew", "anew-peeked", "late", "late-peeked"] {
        world.create(queue, 30);
    }
    send(&["anew", "anew-peeked", "late", "late-peeked"]);
    all("five more", &|id| {
        seen(id) == if is_late(id) { 5 } else { 10 }
    })
    .await;
    all("up again", &|id| told_of(&app, id).up == Some(true)).await;
    assert!(world.is_empty("anew") && world.is_empty("late"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_judged_anew_after_a_gap() {
    let world = World::new(25, &["anew"], 30);
    let patch = emulator::AttributesPatch {
        visibility_timeout: Some(30),
        message_retention_period: Some(3_600),
        ..emulator::AttributesPatch::default()
    };
    for queue in ["steady", "unread"] {
        world.emulator.create_queue(queue, &patch).unwrap();
    }
    let queues = ["steady", "anew", "unread"].map(|name| quick(world.queue(name, Mode::Consume)));
    let app = world.exporter(queues.to_vec()).await;
    let up = |id: &str, is: bool| told_of(&app, id).up == Some(is);
    let since = |id: &str| told_of(&app, id).watched_since.unwrap();
    until(
        || ["steady", "anew", "unread"].iter().all(|id| up(id, true)),
        || "all are up".to_owned(),
    )
    .await;
    let before = ["steady", "anew", "unread"].map(since);

    let refused = FaultRule::always(Fault::AccessDenied);
    world.emulator.set_faults(vec![refused.of_queue("unread")]);
    world.emulator.delete_queue("anew");
    // No earlier receive is under way any more.
    let refusals = || {
        let state = world.emulator.state();
        state.calls_of(Operation::BatchReceiveMessage, "AccessDenied")
    };
    until(
        || refusals() > 0 && up("anew", false),
        || "both are down".to_owned(),
    )
    .await;
    // In two steps, so that the queue that is read is never unread for as long as it keeps messages.
    for _ in 0..2 {
        world.emulator.advance(Duration::from_mins(40));
        let now = world.emulator.now();
        until(
            || told_of(&app, "steady").last_tick.unwrap().plus(TICK) > now,
            || "the steady queue is read".to_owned(),
        )
        .await;
    }
    let gap_ends = world.emulator.now().minus(Duration::from_mins(1));
    world.create("anew", 30);
    world.emulator.set_faults(Vec::new());
    until(
        || since("anew") > gap_ends && since("unread") > gap_ends,
        || format!("{:?} {:?}", since("anew"), since("unread")),
    )
    .await;
    assert_eq!(since("steady"), before[0], "it was read all the while");
    assert!(since("anew") > before[1] && since("unread") > before[2]);
}
