//! Reading the config again: what changes, what goes on untouched, and what a bad config does.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "helpers of tests panic, and counts are whole numbers"
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

use exporter::Exporter;
use scrape::Scrape;
use vod_callback_exporter::aliyun::transport;
use world::{World, until, until_asked};

const SUCCESSFUL: &str = "vod_callback_exporter_config_last_reload_successful";
const SINCE: &str = "vod_callback_exporter_config_last_reload_success_timestamp_seconds";
const CREDENTIALS_FAILURES: &str = "vod_callback_exporter_credentials_refresh_failures_total";
const RELOADS: &str = "vod_callback_exporter_config_reloads_total";

/// An exporter of these queues that may be asked to reload.
fn start(world: &World, queues: &str) -> Exporter {
    let further = ["--web.enable-lifecycle"];
    Exporter::start_with(&config(world, queues), &[], &further)
}

fn config(world: &World, queues: &str) -> String {
    format!(
        "defaults: {{account: main, endpoint: \"{}\", mode: consume, tick: 10s}}\nqueues: [{queues}]\n",
        world.url
    )
}

async fn request(exporter: &Exporter, method: http::Method) -> (u16, String) {
    let client = transport::Options::default().client().unwrap();
    let url = format!("http://{}/-/reload", exporter.address);
    let answer = client.request(method, url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Reloads what must be good; the answer.
async fn reload(exporter: &Exporter, config: &str) -> String {
    exporter.configure(config);
    let (status, told) = request(exporter, http::Method::POST).await;
    assert_eq!(status, 200, "{told}");
    told
}

async fn seen(exporter: &Exporter, queue: &str, count: f64) {
    const NAME: &str = "mns_messages_seen_total";
    until_asked(
        async || Scrape::of(exporter.address).await.of_queue(NAME, queue) == Some(count),
        || format!("{count} messages of {queue} are seen"),
    )
    .await;
}

fn send(world: &World, queue: &str, messages: std::ops::Range<usize>) {
    for number in messages {
        let body = bodies::upload(number);
        world.emulator.send(queue, &body).unwrap();
    }
}

/// Ends the exporter and counts the lines of its log that have all these parts.
fn lines(exporter: &mut Exporter, parts: &[&str]) -> usize {
    exporter.process.terminate();
    let (code, lines) = exporter.process.finish();
    assert_eq!(code, Some(0));
    let has = |line: &&String| parts.iter().all(|part| line.contains(part));
    lines.iter().filter(has).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_come_and_go_and_the_others_do_not_notice() {
    let world = World::new(71, &["a", "b", "c"], 30);
    let mut exporter = start(&world, "{name: a}, {name: b}");
    send(&world, "a", 0..3);
    send(&world, "b", 0..2);
    seen(&exporter, "a", 3.0).await;
    seen(&exporter, "b", 2.0).await;
    let polls = || world.emulator.state().parked_polls;
    until(|| polls() == 2, || "both wait for messages".to_owned()).await;
    let before = Scrape::of(exporter.address).await;

    let told = reload(&exporter, &config(&world, "{name: a}, {name: c}")).await;
    assert!(
        told.contains("1 added, 1 removed, 0 changed, 1 unchanged."),
        "{told}"
    );
    let after = Scrape::of(exporter.address).await;
    assert!(!after.knows("b"), "{}", after.text());
    let calls = [("queue", "a"), ("operation", "BatchReceiveMessage")];
    assert_eq!(
        after.sum("mns_requests_total", &calls),
        before.sum("mns_requests_total", &calls),
        "the long poll of a goes on"
    );
    send(&world, "c", 0..4);
    seen(&exporter, "c", 4.0).await;
    send(&world, "a", 3..5);
    seen(&exporter, "a", 5.0).await;

    // What was counted is remembered.
    reload(
        &exporter,
        &config(&world, "{name: a}, {name: b}, {name: c}"),
    )
    .await;
    send(&world, "b", 2..3);
    seen(&exporter, "b", 3.0).await;
    assert_eq!(
        lines(&mut exporter, &["Watching the queue.", "queue=a "]),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_queue_goes_on_counting_in_its_new_way() {
    let world = World::new(72, &["a"], 30);
    let mut exporter = start(&world, "{name: a}");
    send(&world, "a", 0..3);
    seen(&exporter, "a", 3.0).await;
    let told = reload(&exporter, &config(&world, "{name: a, mode: peek, id: z}")).await;
    assert!(
        told.contains("0 added, 0 removed, 1 changed, 0 unchanged."),
        "{told}"
    );
    let scrape = Scrape::of(exporter.address).await;
    for name in ["mns_messages_seen_total", "mns_requests_total"] {
        let of_former = scrape.sum(name, &[("queue", "a")]);
        assert_eq!(of_former, 0.0, "{}", scrape.text());
    }
    assert_eq!(scrape.of_queue("mns_messages_seen_total", "z"), Some(3.0));
    assert_eq!(
        scrape.get("mns_queue_info", &[("queue", "z"), ("mode", "peek")]),
        Some(1.0)
    );
    send(&world, "a", 3..4);
    seen(&exporter, "z", 4.0).await;
    assert!(!world.is_empty("a"), "peeking deletes nothing");
    reload(&exporter, &config(&world, "{name: a}")).await;
    until(|| world.is_empty("a"), || "it is consumed again".to_owned()).await;
    seen(&exporter, "a", 4.0).await;
    assert_eq!(lines(&mut exporter, &["level=error"]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_or_counted_twice_while_queues_change() {
    const MESSAGES: usize = 400;
    let world = World::new(73, &["a", "worker"], 2);
    let queue = |workers: usize| {
        config(
            &world,
            &format!("{{name: a, workers: {workers}, forward: {{name: worker}}}}"),
        )
    };
    let exporter = Exporter::start_with(&queue(1), &[], &["--web.enable-lifecycle"]);
    for round in 0..10 {
        send(
            &world,
            "a",
            round * MESSAGES / 10..(round + 1) * MESSAGES / 10,
        );
        let workers = round % 2 + 1;
        reload(&exporter, &queue(workers)).await;
    }
    seen(&exporter, "a", MESSAGES as f64).await;
    until(
        || world.is_empty("a"),
        || "everything is deleted".to_owned(),
    )
    .await;
    let scrape = Scrape::of(exporter.address).await;
    assert_eq!(
        scrape.of_queue("mns_messages_seen_total", "a"),
        Some(MESSAGES as f64)
    );
    assert_eq!(
        scrape.of_queue("vod_event_duplicates_total", "a"),
        Some(0.0)
    );
    let passed_on = world.emulator.state().queues["worker"].counts.active;
    assert!(passed_on >= MESSAGES as u64, "{passed_on} were passed on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_changes_nothing_and_says_what_is_wrong() {
    let world = World::new(74, &["a"], 30);
    let mut exporter = start(&world, "{name: a}");
    send(&world, "a", 0..1);
    seen(&exporter, "a", 1.0).await;
    let since = Scrape::of(exporter.address).await.get(SINCE, &[]).unwrap();
    for (number, (config, told)) in [
        (
            config(&world, "{name: a, tock: 10s}, {name: b, mode: eat}"),
            "vod.yaml:4: queues[0].tock: unknown key",
        ),
        ("queues: {".to_owned(), "correct the YAML"),
        (String::new(), "expected at least one"),
    ]
    .into_iter()
    .enumerate()
    {
        exporter.configure(&config);
        let (status, said) = request(&exporter, http::Method::PUT).await;
        assert_eq!(status, 500);
        assert!(
            said.contains(told) && said.contains("stays in force"),
            "{said}"
        );
        if number == 0 {
            assert!(said.contains("queues[1].mode: found `eat`"), "{said}");
        }
        let scrape = Scrape::of(exporter.address).await;
        assert_eq!(scrape.get(SUCCESSFUL, &[]), Some(0.0));
        assert_eq!(scrape.get(SINCE, &[]), Some(since));
        assert_eq!(
            scrape.get(RELOADS, &[("result", "failure")]),
            Some((number + 1) as f64)
        );
    }
    send(&world, "a", 1..2);
    seen(&exporter, "a", 2.0).await;
    reload(&exporter, &config(&world, "{name: a}")).await;
    let scrape = Scrape::of(exporter.address).await;
    assert_eq!(scrape.get(SUCCESSFUL, &[]), Some(1.0));
    assert!(scrape.get(SINCE, &[]) > Some(since));
    assert_eq!(scrape.get(RELOADS, &[("result", "success")]), Some(1.0));
    assert_eq!(
        lines(
            &mut exporter,
            &["level=error", "was not reloaded", "vod.yaml"]
        ),
        3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_reloads_and_a_request_only_where_it_is_allowed() {
    let world = World::new(75, &["a", "b"], 30);
    let mut exporter = Exporter::start(&config(&world, "{name: a}"));
    let (status, told) = request(&exporter, http::Method::POST).await;
    assert_eq!(status, 403);
    assert!(told.contains("--web.enable-lifecycle"), "{told}");
    exporter.configure(&config(&world, "{name: b}"));
    exporter.process.signal("HUP");
    exporter
        .process
        .line(|line| line.contains("The config was reloaded."));
    let scrape = Scrape::of(exporter.address).await;
    assert!(scrape.knows("b") && !scrape.knows("a"));
    exporter.configure("nonsense");
    exporter.process.signal("HUP");
    exporter
        .process
        .line(|line| line.contains("was not reloaded"));

    let allowed = start(&world, "{name: a}");
    for method in [http::Method::GET, http::Method::HEAD, http::Method::DELETE] {
        let (status, _) = request(&allowed, method).await;
        assert_eq!(status, 405);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefixes_and_names_hand_queues_to_each_other() {
    let world = World::new(76, &["pa", "pb"], 30);
    let mut exporter = start(&world, "{prefix: p}");
    send(&world, "pa", 0..2);
    seen(&exporter, "pa", 2.0).await;
    seen(&exporter, "pb", 0.0).await;
    let told = reload(
        &exporter,
        &config(&world, "{prefix: p}, {name: pa, workers: 2}"),
    )
    .await;
    assert!(
        told.contains("1 added, 0 removed, 0 changed, 1 unchanged."),
        "{told}"
    );
    send(&world, "pa", 2..3);
    seen(&exporter, "pa", 3.0).await;
    reload(&exporter, &config(&world, "{name: pa, workers: 2}")).await;
    assert!(!Scrape::of(exporter.address).await.knows("pb"));
    reload(&exporter, &config(&world, "{prefix: p}")).await;
    seen(&exporter, "pb", 0.0).await;
    seen(&exporter, "pa", 3.0).await;
    let watching = lines(&mut exporter, &["Watching the queue.", "queue=pb "]);
    assert_eq!(watching, 2, "once for each time that the prefix came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_restart_is_named() {
    let world = World::new(77, &["a"], 30);
    let exporter = start(&world, "{name: a}");
    let config = config(&world, "{name: a}");
    let told = reload(
        &exporter,
        &format!("{config}quarantine: {{max_bytes: 1MiB, expose_bodies: true}}\n"),
    )
    .await;
    assert!(
        told.contains("quarantine.max_bytes takes effect after a restart."),
        "{told}"
    );
    let (status, _) = scrape::ask(exporter.address, "/api/v1/quarantine?bodies=1")
        .await
        .unwrap();
    assert_eq!(status, 200, "bodies are shown at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_described_in_another_way_is_another() {
    let world = World::new(78, &["a"], 30);
    let config = |secret: &str| {
        let account = format!("{{access_key_id_file: id, access_key_secret_file: {secret}}}");
        format!(
            "  other: {account}\n{}",
            config(&world, "{name: a, account: other, long_poll: 1s}")
        )
    };
    let further = ["--web.enable-lifecycle"];
    let exporter = Exporter::start_with(&config("token"), &[], &further);
    let up = async || {
        let scrape = Scrape::of(exporter.address).await;
        scrape.of_queue("mns_queue_up", "a")
    };
    until_asked(
        async || up().await == Some(0.0),
        || "the secret is wrong".to_owned(),
    )
    .await;
    let told = reload(&exporter, &config("secret")).await;
    assert!(told.contains("1 changed"), "{told}");
    until_asked(
        async || up().await == Some(1.0),
        || "the secret is right".to_owned(),
    )
    .await;

    let failures = async |account: &str| {
        let scrape = Scrape::of(exporter.address).await;
        let labels = [("account", account), ("reason", "unreadable")];
        scrape.get(CREDENTIALS_FAILURES, &labels)
    };
    assert_eq!(failures("other").await, Some(0.0));
    let told = reload(&exporter, &self::config(&world, "{name: a, long_poll: 1s}")).await;
    assert!(told.contains("1 changed"), "{told}");
    assert_eq!(failures("other").await, None, "nothing uses it any more");
    assert_eq!(failures("main").await, Some(0.0));
}
