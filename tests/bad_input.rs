//! What can be wrong outside the exporter: it says what and where, goes on with the rest, and recovers.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::float_cmp,
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

use std::net::TcpListener;
use std::time::Duration;

use exporter::{Exporter, TOKEN, command, directory};
use process::Process;
use scrape::{Scrape, ask};
use vod_callback_exporter::emulator::{self, Credentials, Fault, FaultRule, Operation};
use vod_callback_exporter::ledger::Mode;
use vod_callback_exporter::mns::Error;
use world::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, World, refusing_address, told_of, until, until_asked,
};

const QUEUE: &str = "q";
/// In every body that must not be logged.
const MARKER: &str = "the-title-of-a-video";

/// Ends an exporter and looks through everything it logged at the most talkative level.
fn assert_discreet(exporter: &mut Exporter) {
    exporter.process.terminate();
    let (code, lines) = exporter.process.finish();
    assert_eq!(code, Some(0));
    assert!(lines.len() > 5, "{lines:?}");
    for secret in [
        ACCESS_KEY_SECRET,
        TOKEN,
        MARKER,
        "Signature=",
        &format!("MNS {ACCESS_KEY_ID}:"),
    ] {
        let told = lines.iter().find(|line| line.contains(secret));
        assert_eq!(told, None, "{secret}");
    }
}

/// Waits for a warning about a queue that has all these parts.
fn warned(exporter: &mut Exporter, queue: &str, parts: &[&str]) -> String {
    let queue = format!("queue={queue} ");
    exporter.process.line(|line| {
        line.contains("level=warn")
            && line.contains(&queue)
            && parts.iter().all(|part| line.contains(part))
    })
}

async fn is_up(exporter: &Exporter, queue: &str, up: f64) {
    until_asked(
        async || {
            Scrape::of(exporter.address)
                .await
                .of_queue("mns_queue_up", queue)
                == Some(up)
        },
        || format!("mns_queue_up of {queue} is {up}"),
    )
    .await;
}

#[test]
fn what_cannot_work_ends_the_start_with_place_and_remedy() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("--web.listen-address={}", holder.local_addr().unwrap());
    let free = "--web.listen-address=127.0.0.1:0";
    let good = "queues: [{name: a, account: main, endpoint: \"http://127.0.0.1:1\"}]\n";
    let of_other = "accounts:\n  main: {access_key_id_file: id, access_key_secret_file: gone}\n";
    for (config, listen, code, parts) in [
        (
            good.to_owned(),
            &*taken,
            1,
            &["cannot listen on 127.0.0.1:", "in use"][..],
        ),
        (
            good.replace("name: a,", "name: a, tock: 10s,"),
            free,
            64,
            &["vod.yaml:3: queues[0].tock: ", "tick"],
        ),
        (
            good.replace("http://127.0.0.1:1", "127.0.0.1"),
            free,
            64,
            &["vod.yaml:3: queues[0].endpoint: found `127.0.0.1`, expected"],
        ),
        (
            good.replace(
                "}]",
                "}, {name: b, id: a, account: main, endpoint: \"http://127.0.0.1:1\"}]",
            ),
            free,
            64,
            &["vod.yaml:3: queues[1]", "`a`"],
        ),
        (
            format!("{of_other}{good}"),
            free,
            64,
            &[
                "vod.yaml:2: accounts.main.access_key_secret_file: ",
                "gone",
                "check the path",
            ],
        ),
    ] {
        let directory = directory(&config);
        if config.starts_with(of_other) {
            // In place of the accounts that every config begins with.
            std::fs::write(directory.path().join("vod.yaml"), &config).unwrap();
        }
        let mut process = Process::start(command(directory.path(), &[listen]));
        let (ended, lines) = process.finish();
        assert_eq!(ended, Some(code), "{lines:?}");
        let errors: Vec<&String> = lines
            .iter()
            .filter(|line| !line.starts_with("ts="))
            .collect();
        assert_eq!(errors.len(), 1, "{lines:?}");
        for part in parts {
            assert!(errors[0].contains(part), "{part}: {errors:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_with_mns_is_told_once_and_passes() {
    let secret = World::new(41, &["wrong-secret"], 30);
    let credentials = |secret: &str| Credentials {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        access_key_secret: secret.to_owned(),
        security_token: None,
    };
    secret.emulator.set_credentials(credentials("another"));
    let denied = World::new(42, &["denied"], 30);
    let always = |fault| vec![FaultRule::always(fault)];
    denied.emulator.set_faults(always(Fault::AccessDenied));
    let temporary = World::with(
        emulator::Options {
            credentials: Credentials {
                security_token: Some(TOKEN.to_owned()),
                ..credentials(ACCESS_KEY_SECRET)
            },
            ..emulator::Options::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET)
        },
        "127.0.0.1:0",
        &["expired"],
        30,
    );
    temporary.emulator.set_faults(always(Fault::ExpiredToken));
    let missing = World::new(43, &[], 30);
    let refusing = refusing_address();

    let entry = |name: &str, account: &str, url: &str| {
        format!("  - {{name: {name}, account: {account}, endpoint: \"{url}\"}}\n")
    };
    let mut exporter = Exporter::start(
        &[
            "  sts: {access_key_id_file: id, access_key_secret_file: secret, security_token_file: token}\n",
            "defaults: {tick: 10s}\nqueues:\n",
            &entry("wrong-secret", "main", &secret.url),
            &entry("denied", "main", &denied.url),
            &entry("expired", "sts", &temporary.url),
            &entry("missing", "main", &missing.url),
            &entry("refusing", "main", &format!("http://{refusing}")),
        ]
        .concat(),
    );
    for (queue, parts) in [
        (
            "wrong-secret",
            &["kind=bad_signature", "check the access key secret"][..],
        ),
        (
            "denied",
            &["kind=access_denied", "grant the action on this queue"],
        ),
        (
            "expired",
            &[
                "kind=access_denied",
                "SecurityTokenExpired",
                "security token",
            ],
        ),
        ("missing", &["kind=no_such_queue", "check the queue's name"]),
        ("refusing", &["kind=connection", "check the endpoint"]),
    ] {
        let line = warned(&mut exporter, queue, parts);
        assert!(line.contains("at 127.0.0.1:"), "it says where: {line}");
        is_up(&exporter, queue, 0.0).await;
    }
    assert_eq!(ask(exporter.address, "/-/ready").await.unwrap().0, 200);

    secret
        .emulator
        .set_credentials(credentials(ACCESS_KEY_SECRET));
    denied.emulator.set_faults(Vec::new());
    temporary.emulator.set_faults(Vec::new());
    missing.create("missing", 30);
    let options = emulator::Options::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET);
    let _back = World::with(options, &refusing.to_string(), &["refusing"], 30);
    for queue in ["wrong-secret", "denied", "expired", "missing", "refusing"] {
        is_up(&exporter, queue, 1.0).await;
        let again = format!("queue={queue}");
        exporter
            .process
            .line(|line| line.contains("The queue can be read again.") && line.contains(&again));
    }
    assert_discreet(&mut exporter);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_named_with_its_skew() {
    let world = World::new(44, &[QUEUE], 30);
    let ahead = 20 * 60 * 1000;
    world.emulator.set_faults(vec![
        FaultRule::always(Fault::JudgeSkew { millis: ahead }),
        FaultRule::always(Fault::ClockSkew { millis: ahead }),
    ]);
    let mut exporter = Exporter::start(&format!(
        "queues: [{{name: {QUEUE}, account: main, endpoint: \"{}\", tick: 10s}}]\n",
        world.url
    ));
    let line = warned(&mut exporter, QUEUE, &["kind=time_expired", "NTP"]);
    let behind = |line: &str| {
        let (_, rest) = line.split_once(") is ")?;
        rest.split_once(" s behind MNS")?.0.parse::<u64>().ok()
    };
    assert!(
        behind(&line).is_some_and(|secs| secs.abs_diff(1200) < 10),
        "{line}"
    );
    is_up(&exporter, QUEUE, 0.0).await;
    let skew = async || {
        let scrape = Scrape::of(exporter.address).await;
        scrape
            .get("vod_callback_exporter_clock_skew_seconds", &[])
            .unwrap()
    };
    assert!((skew().await + 1200.0).abs() < 10.0, "{}", skew().await);

    world.emulator.set_faults(Vec::new());
    is_up(&exporter, QUEUE, 1.0).await;
    assert!(skew().await.abs() < 10.0, "{}", skew().await);
    assert_discreet(&mut exporter);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_counted_under_a_bounded_code_and_passes() {
    let faults = [
        ("throttled", Fault::TooManyRequests),
        ("access_denied", Fault::AccessDenied),
        ("server_error", Fault::InternalError),
        ("server_error", Fault::ServiceUnavailable),
        ("access_denied", Fault::ExpiredToken),
        ("time_expired", Fault::JudgeSkew { millis: 1_200_000 }),
        ("timeout", Fault::Slow { millis: 600_000 }),
        ("connection", Fault::ResetBefore),
        ("connection", Fault::ResetAfter),
        ("connection", Fault::Truncated),
        ("malformed_answer", Fault::Garbage),
        ("malformed_answer", Fault::Html),
        ("too_large", Fault::Huge { mebibytes: 7 }),
    ];
    let names: Vec<String> = (0..faults.len()).map(|n| format!("q{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::new(45, &names, 30);
    let rules = names.iter().zip(faults).map(|(name, (_, fault))| {
        FaultRule::next(fault, 1)
            .on(Operation::BatchPeekMessage)
            .of_queue(name)
    });
    world.emulator.set_faults(rules.collect());
    let queues = names.iter().map(|name| {
        let mut queue = world.queue(name, Mode::Peek);
        queue.tick = Duration::from_millis(200);
        queue
    });
    let app = world.exporter(queues.collect()).await;
    let calls = async |queue, code| {
        let labels = [
            ("queue", queue),
            ("operation", "BatchPeekMessage"),
            ("code", code),
        ];
        Scrape::of(app.address())
            .await
            .sum("mns_requests_total", &labels)
    };
    for (name, (code, fault)) in names.iter().zip(faults) {
        until_asked(
            async || calls(name, code).await == 1.0,
            || format!("{fault:?} as {code}"),
        )
        .await;
        until(
            || told_of(&app, name).up == Some(true),
            || format!("{name} is up after {fault:?}"),
        )
        .await;
    }
    let scrape = Scrape::of(app.address()).await;
    for code in scrape.label_values("mns_requests_total", "code") {
        assert!(code == "ok" || Error::ALL.contains(&&*code), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_answer_costs_no_memory_and_bodies_are_not_logged() {
    let world = World::new(46, &[QUEUE], 3);
    for n in 0..38 {
        let body =
            bodies::upload(n).replace("\"Size\"", &format!("\"Title\":\"{MARKER}\",\"Size\""));
        world.emulator.send(QUEUE, &body).unwrap();
    }
    world.emulator.send(QUEUE, &format!("{{{MARKER}")).unwrap();
    world.emulator.send(QUEUE, &format!("!{MARKER}")).unwrap();
    let huge = Fault::Huge { mebibytes: 200 };
    world.emulator.set_faults(vec![
        FaultRule::next(huge, 2).on(Operation::BatchReceiveMessage),
    ]);
    let mut exporter = Exporter::start(&format!(
        "queues: [{{name: {QUEUE}, account: main, endpoint: \"{}\", mode: consume, long_poll: 1s}}]\n",
        world.url
    ));
    until(
        || world.is_empty(QUEUE),
        || format!("{:?}", world.emulator.state()),
    )
    .await;
    let scrape = Scrape::of(exporter.address).await;
    assert_eq!(
        scrape.of_queue("mns_messages_seen_total", QUEUE),
        Some(40.0)
    );
    assert_eq!(
        scrape.sum("vod_event_decode_failures_total", &[("queue", QUEUE)]),
        2.0
    );
    let labels = [("queue", QUEUE), ("code", "too_large")];
    assert_eq!(scrape.sum("mns_requests_total", &labels), 2.0);
    let peak = peak_memory(exporter.process.id());
    assert!(peak < 64 << 20, "{peak} bytes at the peak");

    warned(&mut exporter, QUEUE, &["A message went to quarantine."]);
    let (status, listed) = ask(exporter.address, "/api/v1/quarantine").await.unwrap();
    assert_eq!(
        (status, listed.matches("\"message_id\"").count()),
        (200, 2),
        "{listed}"
    );
    assert!(!listed.contains(MARKER), "{listed}");
    assert_discreet(&mut exporter);
}

/// The most memory that a process ever had, in bytes.
fn peak_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}
