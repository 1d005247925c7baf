//! B9, B10: a million transcodes in flight. Memory a video, an event, a tick in which nothing or much is due, and a
//! start with all of them.
//!
//! `cargo bench --bench transcodes`; `docs/performance.md` tells what was measured. Memory is that of a process with
//! the videos, less that of one that took in as many events of another kind: this program runs itself for both.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time and takes its settings from the command line"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

use std::env;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::ledger::store::{self, StateOptions};
use vod_callback_exporter::ledger::{
    Changes, Content, ContentKey, Ledger, MessageKey, Mode, QueueIdentity, QueueIndex,
    QueueSettings, Record, Role, Sighting, TranscodeSettings,
};
use vod_callback_exporter::vod::event::{Event, EventType, MediaKey, Status};

const QUEUE: QueueIndex = QueueIndex(0);
const BIRTH: UnixMillis = UnixMillis::from_secs(1_800_000_000);
const BATCH: u64 = 16;
/// Uploads a second of the simulated platform: all are in flight at once.
const RATE: u64 = 1_000;

fn opened() -> Record {
    Record::Opened {
        queue: QUEUE,
        identity: Arc::new(QueueIdentity {
            id: "q".into(),
            mns_queue: "q".into(),
            endpoint: "https://1234567890.mns.cn-shanghai.aliyuncs.com".into(),
            account: "1234567890".into(),
            region: "cn-shanghai".into(),
            mode: Mode::Consume,
            role: Role::Callback,
        }),
        settings: QueueSettings {
            transcodes: TranscodeSettings {
                unknown_duration: Duration::from_hours(2),
                expect_every_upload: true,
                max_videos: 2_000_000,
                ..TranscodeSettings::default()
            },
            ..QueueSettings::default()
        },
        at: BIRTH,
    }
}

/// An odd multiple spreads ids as random ones would be.
fn spread(number: u64) -> u128 {
    u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

fn sighted(event_type: EventType, numbers: std::ops::Range<u64>, at: UnixMillis) -> Record {
    let sighting = |number: u64| Sighting {
        message: MessageKey(spread(number)),
        enqueue_time: at,
        first_dequeue_time: at,
        next_visible_time: None,
        dequeue_count: 1,
        content: Content::Event {
            event: Event {
                event_type,
                status: Status::Success,
                event_time: at,
                media: Some(MediaKey::Hex(spread(number).to_le_bytes())),
                error: None,
                streams: Vec::new(),
                duration_millis: None,
                deletes_media: false,
            },
            key: ContentKey(spread(number)),
        },
    };
    Record::Sighted {
        queue: QUEUE,
        at,
        sightings: numbers.map(sighting).collect(),
    }
}

fn apply(ledger: &mut Ledger, record: &Record) {
    ledger.apply(record, &mut Changes::default());
}

/// A ledger that took in so many uploads, and when the last one was.
fn filled(event_type: EventType, videos: u64) -> (Ledger, UnixMillis) {
    let mut ledger = Ledger::new(1 << 20);
    apply(&mut ledger, &opened());
    let mut at = BIRTH;
    for first in (0..videos).step_by(usize::try_from(BATCH).expect("it is small")) {
        at = BIRTH.plus(Duration::from_millis(first * 1_000 / RATE));
        let record = sighted(event_type, first..(first + BATCH).min(videos), at);
        apply(&mut ledger, &record);
        let deleted = Record::Deleted {
            queue: QUEUE,
            at,
            messages: (first..first + BATCH)
                .map(|number| MessageKey(spread(number)))
                .collect(),
        };
        apply(&mut ledger, &deleted);
    }
    (ledger, at)
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a line VmRSS");
    let kib = line.split_whitespace().next().expect("a number");
    kib.parse::<u64>().expect("a number") * 1_024
}

/// What a process of its own has resident.
fn resident_with(kind: &str, videos: u64) -> u64 {
    let output = Command::new(env::current_exe().expect("this program"))
        .args([kind, &videos.to_string()])
        .output()
        .expect("this program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("a number")
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn nanos_each(duration: Duration, of: u64) -> f64 {
    duration.as_secs_f64() * 1e9 / of as f64
}

/// The instant up to which everything was seen, as each tick tells it.
fn observe(ledger: &mut Ledger, until: UnixMillis) -> Duration {
    let record = Record::Observed {
        queue: QUEUE,
        until,
    };
    timed(|| apply(ledger, &record)).1
}

fn bench(videos: u64) {
    let with = resident_with("videos", videos);
    let without = resident_with("images", videos);
    println!(
        "{videos} in flight: {:.0} B a video ({} MB with them, {} MB without)",
        with.saturating_sub(without) as f64 / videos as f64,
        with >> 20,
        without >> 20
    );

    let ((images, _), other) = timed(|| filled(EventType::ImageUploadComplete, videos));
    drop(images);
    let ((mut ledger, last), uploads) = timed(|| filled(EventType::FileUploadComplete, videos));
    println!(
        "  an upload {:.0} ns, an event of another kind {:.0} ns",
        nanos_each(uploads, videos),
        nanos_each(other, videos)
    );

    let ticks: Vec<Duration> = (0..100)
        .map(|tick| observe(&mut ledger, last.plus(Duration::from_millis(tick))))
        .collect();
    let (snapshot, copying) = timed(|| ledger.snapshot(last));
    drop(snapshot);
    println!(
        "  a tick with nothing due {:.4} ms, a snapshot {:.3} ms",
        millis(ticks.into_iter().min().expect("there are some")),
        millis(copying),
    );

    let (encoded, encoding) = timed(|| store::encode(&ledger).expect("it encodes"));
    let directory = tempfile::tempdir().expect("a directory");
    let options = StateOptions {
        path: directory.path().to_owned(),
        reset: false,
    };
    let mut state = store::open(&options, 1 << 20, BIRTH).expect("a new state");
    let (written, writing) = timed(|| state.store.checkpoint(&encoded));
    written.expect("it is written");
    drop(state);
    let (state, starting) = timed(|| store::open(&options, 1 << 20, BIRTH));
    let state = state.expect("the state that was written");
    println!(
        "  checkpoint: encoded in {:.0} ms, {} MB written in {:.0} ms; a start from it {:.0} ms",
        millis(encoding),
        encoded.len() >> 20,
        millis(writing),
        millis(starting)
    );
    drop(state);

    // After the objective for playability, and long before any deadline.
    let took = observe(&mut ledger, last.plus(Duration::from_hours(1)));
    println!(
        "  a tick in which {videos} miss the objective {:.1} ms, {:.0} ns each",
        millis(took),
        nanos_each(took, videos)
    );
    // All that was uploaded in these instants is due at once.
    let due = (videos / 10).max(1);
    let first = BIRTH.plus(Duration::from_hours(2));
    let until = first.plus(Duration::from_millis((due - 1) * 1_000 / RATE));
    let took = observe(&mut ledger, until);
    println!(
        "  a tick with {due} due {:.1} ms, {:.0} ns each",
        millis(took),
        nanos_each(took, due)
    );
}

fn main() {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [kind @ ("videos" | "images"), videos] => {
            let event_type = match kind {
                "videos" => EventType::FileUploadComplete,
                _ => EventType::ImageUploadComplete,
            };
            let (ledger, _) = filled(event_type, videos.parse().expect("a number"));
            println!("{}", resident());
            drop(ledger);
        }
        [] => [10_000, 100_000, 1_000_000].into_iter().for_each(bench),
        _ => panic!("unknown arguments {args:?}, expected none"),
    }
}
