//! What durability costs: commits by group size, a start with a full ledger, and a consuming exporter with and without
//! a state directory. A harness of its own, since processor time is what is asked for, not the time of one call.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking and prints its result"
)]

#[path = "../tests/support/process.rs"]
mod process;
#[path = "../tests/support/world.rs"]
mod world;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;
use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::emulator::Behaviour;
use vod_callback_exporter::emulator::scenario::Settings;
use vod_callback_exporter::ledger::store::{self, Opened, StateOptions};
use vod_callback_exporter::ledger::{
    Changes, Content, ContentKey, MessageKey, Mode, QueueIdentity, QueueIndex, QueueSettings,
    Record, Role, Sighting,
};
use vod_callback_exporter::vod::event::{Event, EventType, MediaKey, Status};

use process::Process;
use world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, World, until};

const BIRTH: UnixMillis = UnixMillis::from_secs(1_800_000_000);
/// Of what the kernel counts in `/proc/PID/stat`, on every Linux that matters here.
const TICK: Duration = Duration::from_millis(10);

fn open(directory: &TempDir) -> Opened {
    let path = directory.path().to_owned();
    store::open(&StateOptions { path, reset: false }, 1 << 20, BIRTH).unwrap()
}

fn opened(queue: u32, mode: Mode) -> Record {
    let name: Arc<str> = format!("q{queue}").into();
    Record::Opened {
        queue: QueueIndex(queue),
        identity: Arc::new(QueueIdentity {
            id: Arc::clone(&name),
            mns_queue: name,
            endpoint: "https://1234567890.mns.cn-shanghai.aliyuncs.com".into(),
            account: "1234567890".into(),
            region: "cn-shanghai".into(),
            mode,
            role: Role::Callback,
        }),
        settings: QueueSettings::default(),
        at: BIRTH,
    }
}

fn sighted(queue: u32, numbers: std::ops::Range<u64>) -> Record {
    let sighting = |number: u64| Sighting {
        message: MessageKey(u128::from(number) << 64 | u128::from(number)),
        enqueue_time: BIRTH,
        first_dequeue_time: BIRTH,
        next_visible_time: Some(BIRTH),
        dequeue_count: 1,
        content: Content::Event {
            event: Event {
                event_type: EventType::FileUploadComplete,
                status: Status::Success,
                event_time: BIRTH,
                media: Some(MediaKey::Hex(u128::from(number).to_le_bytes())),
                error: None,
                streams: Vec::new(),
                duration_millis: None,
                deletes_media: false,
            },
            key: ContentKey(u128::from(number) << 32 | 7),
        },
    };
    Record::Sighted {
        queue: QueueIndex(queue),
        at: BIRTH,
        sightings: numbers.map(sighting).collect(),
    }
}

fn record(state: &mut Opened, records: &[Record]) {
    for record in records {
        state.ledger.apply(record, &mut Changes::default());
    }
}

/// Processor time of this thread.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = stat.split_whitespace().next().unwrap();
    Duration::from_nanos(nanos.parse().unwrap())
}

/// Processor time of another process, all threads.
fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<u32>().unwrap();
    TICK * (ticks(11) + ticks(12))
}

#[expect(clippy::cast_precision_loss, reason = "for a person to read")]
fn micros_each(all: Duration, of: u64) -> f64 {
    all.as_secs_f64() * 1e6 / of as f64
}

fn commits() {
    println!(
        "commits | messages each | us wall each | us CPU each | us CPU a message | journal B a message"
    );
    for size in [1, 16, 64, 256, 1_024_u64] {
        let directory = tempfile::tempdir().unwrap();
        let mut state = open(&directory);
        let groups = 2_000.min(200_000 / size);
        let (started, before) = (Instant::now(), cpu());
        for group in 0..groups {
            let records = [sighted(0, group * size..(group + 1) * size)];
            state.store.commit(&records).unwrap();
        }
        let (wall, used) = (started.elapsed(), cpu().saturating_sub(before));
        let bytes = state.store.bytes().unwrap() / (groups * size);
        println!(
            "{groups} | {size} | {:.0} | {:.0} | {:.2} | {bytes}",
            micros_each(wall, groups),
            micros_each(used, groups),
            micros_each(used, groups * size),
        );
    }
}

fn restarts() {
    println!(
        "rows | encode ms | MB | checkpoint ms | start from checkpoint ms | journal MB | start from journal as well ms"
    );
    for queues in [1, 10_u32] {
        let directory = tempfile::tempdir().unwrap();
        let mut state = open(&directory);
        for queue in 0..queues {
            let records = [opened(queue, Mode::Consume), sighted(queue, 0..100_000)];
            record(&mut state, &records);
        }
        let started = Instant::now();
        let encoded = store::encode(&state.ledger).unwrap();
        let encoding = started.elapsed();
        let started = Instant::now();
        state.store.checkpoint(&encoded).unwrap();
        let checkpoint = started.elapsed();
        drop(state);
        let started = Instant::now();
        let mut state = open(&directory);
        let short = started.elapsed();

        let mut number = 1_000_000;
        let mut journal = 0;
        while !state.store.checkpoint_due() {
            let records = [sighted(0, number..number + 256)];
            state.store.commit(&records).unwrap();
            number += 256;
            journal += 256 * 85;
        }
        drop(state);
        let started = Instant::now();
        let state = open(&directory);
        let long = started.elapsed();
        drop(state);
        println!(
            "{} x 2 tables | {} | {} | {} | {} | {} | {}",
            queues * 100_000,
            encoding.as_millis(),
            encoded.len() >> 20,
            checkpoint.as_millis(),
            short.as_millis(),
            journal >> 20,
            long.as_millis(),
        );
    }
}

/// Consumes everything; the processor time that it took.
async fn consume(world: &World, workers: usize, state: Option<&Path>) -> Duration {
    let config = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "queues: [{{name: q, endpoint: \"{}\", mode: consume, workers: {workers}}}]\n",
        world.url
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
    command
        .args(["run", "--web.listen-address=127.0.0.1:0"])
        .arg(format!("--config.file={}", config.path().display()))
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET);
    if let Some(state) = state {
        command.arg(format!("--state.path={}", state.display()));
    }
    let exporter = Process::start(command);
    until(|| world.is_empty("q"), || "not empty".to_owned()).await;
    cpu_of(exporter.id())
}

async fn exporters(workers: usize) {
    const MESSAGES: usize = 60_000;
    println!("workers | state | messages | s wall | s CPU | messages a CPU second");
    let mut rates = [Vec::new(), Vec::new()];
    for round in 0..6 {
        let durable = round % 2 == 1;
        let world = World::new(1, &["q"], 30);
        world.emulator.set_behaviour(Behaviour {
            limit_message_size: false,
            ..Behaviour::default()
        });
        let settings = Settings {
            queues: vec!["q".to_owned()],
            ..Settings::default()
        };
        let messages = world.push(settings, 1, MESSAGES).queues["q"].messages;
        let directory = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let used = consume(&world, workers, durable.then(|| directory.path())).await;
        let rate = 1e6 / micros_each(used, messages);
        rates[usize::from(durable)].push(rate);
        println!(
            "{workers} | {} | {messages} | {:.1} | {:.2} | {rate:.0}",
            if durable { "durable" } else { "memory" },
            started.elapsed().as_secs_f64(),
            used.as_secs_f64(),
        );
    }
    let best = rates.map(|rates| rates.into_iter().fold(0.0, f64::max));
    println!("durable / memory, best of each: {:.2}", best[1] / best[0]);
}

fn main() {
    commits();
    restarts();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            for workers in [1, 4, 8, 16] {
                exporters(workers).await;
            }
        });
}
