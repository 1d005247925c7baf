//! Rendering `/metrics` at 1,000, 10,000 and 100,000 series, against the `prometheus` crate's encoder with the same
//! number of series and against copying the result.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../tests/support/snapshot.rs"]
mod snapshot;

use std::hint::black_box;
use std::io::Write as _;

use divan::{AllocProfiler, Bencher};
use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus::{Encoder as _, IntCounterVec, Opts, Registry, TextEncoder};

use vod_callback_exporter::ledger::Snapshot;
use vod_callback_exporter::metrics::{Format, Metrics};

#[global_allocator]
static ALLOCATOR: AllocProfiler<std::alloc::System> = AllocProfiler::system();

const SERIES: [usize; 3] = [1_000, 10_000, 100_000];

fn main() {
    divan::main();
}

/// Queues until there are about as many series as asked for.
fn ledger(series: usize) -> (Metrics, Snapshot) {
    let metrics = Metrics::new().unwrap();
    let mut one = String::new();
    let queue = snapshot::ledger(vec![snapshot::consumed("callbacks-0000")]);
    metrics.render(&queue, None, Format::Text, &mut one);
    let of_one = one.lines().filter(|line| line.contains("queue=\"")).count();
    let queues = (0..series.div_ceil(of_one))
        .map(|number| snapshot::consumed(&format!("callbacks-{number:04}")))
        .collect();
    (metrics, snapshot::ledger(queues))
}

fn rendered(series: usize, format: Format) -> (Metrics, Snapshot, String) {
    let (metrics, snapshot) = ledger(series);
    let mut out = String::new();
    metrics.render(&snapshot, Some(1), format, &mut out);
    (metrics, snapshot, out)
}

fn bench_format(bencher: Bencher<'_, '_>, series: usize, format: Format) {
    let (metrics, snapshot, mut out) = rendered(series, format);
    bencher.bench_local(|| {
        out.clear();
        metrics.render(black_box(&snapshot), Some(1), format, &mut out);
        out.len()
    });
}

#[divan::bench(args = SERIES)]
fn text(bencher: Bencher<'_, '_>, series: usize) {
    bench_format(bencher, series, Format::Text);
}

#[divan::bench(args = SERIES)]
fn open_metrics(bencher: Bencher<'_, '_>, series: usize) {
    bench_format(bencher, series, Format::OpenMetrics);
}

/// What every scrape costs however few series there are: the registry and the process's files.
#[divan::bench]
fn text_without_queues(bencher: Bencher<'_, '_>) {
    let metrics = Metrics::new().unwrap();
    let mut out = String::new();
    bencher.bench_local(|| {
        out.clear();
        metrics.render(&Snapshot::default(), Some(1), Format::Text, &mut out);
        out.len()
    });
}

/// The copy of the ledger that a scrape takes.
#[divan::bench(args = SERIES)]
fn snapshot_clone(bencher: Bencher<'_, '_>, series: usize) {
    let (_, snapshot) = ledger(series);
    bencher.bench_local(|| black_box(&snapshot).clone());
}

#[divan::bench(args = SERIES)]
fn memcpy_of_the_result(bencher: Bencher<'_, '_>, series: usize) {
    let (_, _, text) = rendered(series, Format::Text);
    let mut out = String::with_capacity(text.len());
    bencher.bench_local(|| {
        out.clear();
        out.push_str(black_box(&text));
        out.len()
    });
}

#[divan::bench(args = SERIES)]
fn gzip_of_the_result(bencher: Bencher<'_, '_>, series: usize) {
    let (_, _, text) = rendered(series, Format::Text);
    bencher.bench_local(|| {
        let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
        encoder.write_all(black_box(text.as_bytes())).unwrap();
        encoder.finish().unwrap()
    });
}

#[divan::bench(args = SERIES)]
fn prometheus_text_encoder(bencher: Bencher<'_, '_>, series: usize) {
    let registry = Registry::new();
    let labels = ["queue", "event_type", "status"];
    let events = IntCounterVec::new(
        Opts::new("vod_events_total", "Distinct VOD events."),
        &labels,
    );
    let events = events.unwrap();
    registry.register(Box::new(events.clone())).unwrap();
    for number in 0..series {
        let queue = format!("callbacks-{:04}", number / 46);
        let event = format!("TranscodeComplete{:02}", number % 46);
        events
            .with_label_values(&[&*queue, &*event, "success"])
            .inc_by(number as u64);
    }
    let encoder = TextEncoder::new();
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        encoder.encode(&registry.gather(), &mut out).unwrap();
        out.len()
    });
}
