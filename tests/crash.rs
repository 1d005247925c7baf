//! A real process under load is killed at random instants: no counter ever falls, in the end each says exactly what was
//! sent, the transcodes are those of the platform, and what is passed on arrives.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests panic, and tell how to repeat a run"
)]

#[path = "support/process.rs"]
mod process;
#[path = "support/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use process::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;
use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::emulator::scenario::{
    Platform, QueueTruth, Settings, State, Table, Truth,
};
use vod_callback_exporter::emulator::{Behaviour, Handle};
use world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, World, until};

const QUEUE: &str = "q";
/// Where messages are passed on to.
const TARGET: &str = "target";
const MOST_SENT: usize = 64 * 1024;
/// The platform forgets its oldest videos, on a slow machine too only after more messages than these.
const MOST_PUSHED: usize = 50_000;
/// Until a video's state is told by a callback: more than a late message takes.
const TOLD_AFTER: Duration = Duration::from_mins(5);
const KILLS: usize = 50;
/// Set to repeat a run.
const SEED: &str = "VOD_CRASH_SEED";
/// Counters that belong to a process: they start at 0 with each.
const OF_PROCESS: [&str; 4] = [
    "mns_requests_total",
    "mns_request_duration_seconds_",
    "vod_callback_exporter_state_commits_total",
    "process_",
];

/// Series with their labels, as written.
type Samples = BTreeMap<String, f64>;

/// Scrapes whichever process runs, and holds each counter to what it was before.
#[derive(Default)]
struct Scraper {
    target: Mutex<Option<SocketAddr>>,
    seen: Mutex<Samples>,
    scrapes: Mutex<usize>,
}

fn seed() -> u64 {
    let given = std::env::var_os(SEED);
    given.map_or_else(
        || fastrand::u64(..),
        |seed| seed.to_str().unwrap().parse().unwrap(),
    )
}

/// The binary that is shipped, where `make test` has built it.
fn binary() -> std::ffi::OsString {
    let debug = env!("CARGO_BIN_EXE_vod-callback-exporter");
    let released = std::env::var_os("VOD_RELEASED_EXPORTER");
    released
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| debug.into())
}

/// An exporter that keeps its state, and its config, in a directory.
fn exporter(world: &World, directory: &Path, passes_on: bool) -> Process {
    let forward = if passes_on {
        format!(", forward: {{name: {TARGET}}}")
    } else {
        String::new()
    };
    let config = directory.join("vod.yaml");
    let text = format!(
        "queues: [{{name: {QUEUE}, mode: consume, endpoint: \"{}\"{forward}}}]\n",
        world.url
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(binary());
    command
        .args(["run", "--web.listen-address=127.0.0.1:0"])
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--state.path={}",
            directory.join("state").display()
        ))
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET);
    Process::start(command)
}

/// What a platform did.
struct Load {
    truth: Truth,
    /// The instant that its own time has come to.
    until: UnixMillis,
    bodies: BTreeSet<String>,
}

/// Lets the platform push until told to end, about a thousand messages a second.
async fn load(emulator: Handle, seed: u64, ending: CancellationToken) -> Load {
    let settings = Settings {
        queues: vec![QUEUE.to_owned()],
        // A video that nobody can read has no callback that ends it.
        broken_source_share: 0.0,
        ..Settings::default()
    };
    let start = emulator.now().minus(Duration::from_hours(24));
    let mut platform = Platform::new(settings, seed, start);
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let (mut until, mut bodies) = (start, BTreeSet::new());
    while !ending.is_cancelled() {
        ticks.tick().await;
        let mut pushed = 0;
        while pushed < 50 && bodies.len() < MOST_PUSHED {
            until = platform.next_due().unwrap();
            for push in platform.step(until) {
                emulator.send(&push.queue, &push.body).unwrap();
                bodies.insert(push.body);
                pushed += 1;
            }
        }
    }
    Load {
        truth: platform.truth().clone(),
        until,
        bodies,
    }
}

/// Ids of the videos whose transcode has not ended, as the exporter tells.
async fn in_flight(address: SocketAddr) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut offset = Some(0);
    while let Some(first) = offset {
        let path = format!("/api/v1/transcodes?state=in_flight&limit=1000&offset={first}");
        let answer = get(address, &path).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let page: serde_json::Value = serde_json::from_str(body).unwrap();
        for row in page["transcodes"].as_array().unwrap() {
            ids.insert(row["video_id"].as_str().unwrap().to_owned());
        }
        offset = page["next_offset"].as_u64();
    }
    ids
}

/// Every video whose state has been told is where the platform says it is; how many there were.
fn assert_transcodes(in_flight: &BTreeSet<String>, load: &Load) -> usize {
    let told = |at: UnixMillis| at < load.until.minus(TOLD_AFTER);
    let mut compared = 0;
    for video in load.truth.videos.iter().filter(|video| told(video.since)) {
        let open = match video.state {
            State::Transcoding | State::Stalled | State::LostCallback | State::NotTranscoded => {
                true
            }
            State::Done | State::Partial | State::Failed | State::Deleted => false,
        };
        assert_eq!(in_flight.contains(&video.id), open, "{video:?}");
        compared += 1;
    }
    let known: BTreeSet<&str> = load
        .truth
        .videos
        .iter()
        .map(|video| video.id.as_str())
        .collect();
    let invented = in_flight.iter().find(|id| !known.contains(id.as_str()));
    assert_eq!(invented, None);
    compared
}

/// Every body got to the target at least once, and no other.
async fn assert_passed_on(world: &World, bodies: &BTreeSet<String>) {
    let client = world.client();
    let mut arrived = BTreeSet::new();
    while !world.is_empty(TARGET) {
        let batch = client
            .batch_receive(TARGET, 16, Duration::ZERO)
            .await
            .unwrap();
        arrived.extend(batch.iter().map(|message| message.body.to_owned()));
        let handles: Vec<&str> = batch
            .iter()
            .filter_map(|message| message.receipt_handle)
            .collect();
        client.batch_delete(TARGET, &handles).await.unwrap();
    }
    // A request to MNS holds 64 KiB: what is longer cannot be sent, and goes to quarantine.
    let lost = bodies
        .difference(&arrived)
        .filter(|body| body.len() <= MOST_SENT)
        .count();
    let invented = arrived.difference(bodies).count();
    assert_eq!((lost, invented), (0, 0), "of {}", bodies.len());
}

async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The samples of an answer; what a kill has cut off is left out.
fn samples(answer: &str) -> Samples {
    answer
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n') && !line.starts_with('#'))
        .filter_map(|line| {
            let (series, value) = line.trim_end().rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        })
        .collect()
}

fn is_counter(series: &str) -> bool {
    let name = series.split('{').next().unwrap();
    let counts = ["_total", "_bucket", "_sum", "_count"];
    counts.iter().any(|end| name.ends_with(end))
        && !OF_PROCESS.iter().any(|of| name.starts_with(of))
}

/// What a family with these two labels says, zeros left out.
fn table(samples: &Samples, family: &str, outer: &str, inner: &str) -> Table {
    let mut table = Table::new();
    for (labels, count) in family_of(samples, family) {
        let of = |name: &str| labels[name].clone();
        table.entry(of(outer)).or_default().insert(of(inner), count);
    }
    table
}

fn family_of(samples: &Samples, family: &str) -> Vec<(BTreeMap<String, String>, u64)> {
    let labels = |series: &str| {
        let labels = series.strip_prefix(family)?.strip_prefix('{')?;
        let pairs = labels.trim_end_matches('}').split(',');
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        Some(pairs.map(pair).collect())
    };
    let whole = |value: f64| format!("{value:.0}").parse().unwrap();
    samples
        .iter()
        .filter(|(_, value)| **value > 0.0)
        .filter_map(|(series, value)| Some((labels(series)?, whole(*value))))
        .collect()
}

fn single(samples: &Samples, family: &str) -> u64 {
    family_of(samples, family)
        .iter()
        .map(|(_, count)| count)
        .sum()
}

/// The metrics in the words of the oracle.
fn told(samples: &Samples) -> QueueTruth {
    QueueTruth {
        messages: single(samples, "mns_messages_seen_total"),
        duplicates: single(samples, "vod_event_duplicates_total"),
        events: table(samples, "vod_events_total", "event_type", "status"),
        failures: table(
            samples,
            "vod_event_failures_total",
            "event_type",
            "error_code",
        ),
        faults: table(samples, "vod_event_faults_total", "event_type", "fault"),
        decode_failures: family_of(samples, "vod_event_decode_failures_total")
            .into_iter()
            .map(|(labels, count)| (labels["reason"].clone(), count))
            .collect(),
        streams: table(
            samples,
            "vod_stream_transcodes_total",
            "definition",
            "status",
        ),
    }
}

impl Scraper {
    fn aim(&self, target: Option<SocketAddr>) {
        *self.target.lock().unwrap() = target;
    }

    async fn scrape(&self) -> Option<Samples> {
        let target = (*self.target.lock().unwrap())?;
        // A process that is dead or dying refuses, resets, or stops in the middle.
        let samples = samples(&get(target, "/metrics").await.ok()?);
        let mut seen = self.seen.lock().unwrap();
        for (series, value) in samples.iter().filter(|(series, _)| is_counter(series)) {
            let before = seen.insert(series.clone(), *value).unwrap_or(0.0);
            assert!(*value >= before, "{series} fell from {before} to {value}");
        }
        *self.scrapes.lock().unwrap() += usize::from(!samples.is_empty());
        Some(samples)
    }

    async fn run(&self, ending: CancellationToken) {
        let mut ticks = tokio::time::interval(Duration::from_millis(40));
        while !ending.is_cancelled() {
            ticks.tick().await;
            self.scrape().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn kill_9_neither_forgets_nor_counts_twice() {
    killed_again_and_again(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn kill_9_loses_nothing_that_is_passed_on() {
    killed_again_and_again(true).await;
}

async fn killed_again_and_again(passes_on: bool) {
    let seed = seed();
    eprintln!("{SEED}={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let world = World::new(seed, &[QUEUE, TARGET], 2);
    world.emulator.set_behaviour(Behaviour {
        limit_message_size: false,
        ..Behaviour::default()
    });
    let state = tempfile::tempdir().unwrap();
    let scraper = Arc::new(Scraper::default());
    let (loading, scraping) = (CancellationToken::new(), CancellationToken::new());
    let load = tokio::spawn(load(world.emulator.clone(), seed, loading.clone()));
    let scrapes = tokio::spawn({
        let (scraper, scraping) = (Arc::clone(&scraper), scraping.clone());
        async move { scraper.run(scraping).await }
    });

    for _ in 0..KILLS {
        let mut exporter = exporter(&world, state.path(), passes_on);
        // Some die while they start.
        let lives = if rng.u8(0..5) == 0 {
            rng.u64(0..150)
        } else {
            let address = block_in_place(|| exporter.listening_on("Listening"));
            scraper.aim(Some(address));
            rng.u64(0..900)
        };
        tokio::time::sleep(Duration::from_millis(lives)).await;
        block_in_place(|| drop(exporter));
        scraper.aim(None);
    }
    loading.cancel();
    let load = load.await.unwrap();
    let truth = &load.truth.queues[QUEUE];

    let mut exporter = exporter(&world, state.path(), passes_on);
    let address = block_in_place(|| exporter.listening_on("Listening"));
    scraper.aim(Some(address));
    until(
        || world.is_empty(QUEUE),
        || format!("{:?}", world.emulator.state().queues),
    )
    .await;
    scraping.cancel();
    scrapes.await.unwrap();
    let samples = scraper.scrape().await.unwrap();
    assert_eq!(told(&samples), *truth, "{SEED}={seed}");
    let totals = &world.emulator.state().queues[QUEUE].totals;
    assert_eq!(
        single(&samples, "mns_message_redeliveries_total"),
        totals.received - totals.first_received,
        "{SEED}={seed}"
    );
    let scrapes = *scraper.scrapes.lock().unwrap();
    eprintln!(
        "{} messages, {} redeliveries, {scrapes} scrapes",
        truth.messages,
        totals.received - totals.first_received
    );
    assert!(truth.messages > 5_000 && totals.received > totals.first_received && scrapes > KILLS);
    assert_eq!(
        single(&samples, "vod_transcode_view_complete"),
        1,
        "what a dead process has received makes no stranger"
    );
    assert_eq!(load.truth.videos_forgotten, 0);
    let compared = assert_transcodes(&in_flight(address).await, &load);
    assert!(compared > 500, "{compared} videos");
    if passes_on {
        assert_passed_on(&world, &load.bodies).await;
    }
}
