//! B12: size, memory when idle, and time from start to the first good scrape.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{Emulator, Exporter, cpu_by_thread, exporters, get_once, status_kib};
use crate::setting;

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn bench() {
    for path in exporters() {
        let size = fs::metadata(&path).expect("a binary").len();
        println!("B12: {path}: {:.2} MB", size as f64 / 1e6);
        start(&path);
        idle(&path);
    }
}

/// The first scrape that succeeds at all, and the first one that says that MNS was read.
fn start(path: &str) {
    for mode in ["consume", "peek"] {
        let (mut served, mut read) = (Vec::new(), Vec::new());
        for _ in 0..setting("STARTS", 20) {
            let emulator = Emulator::start(1, 0);
            let begun = Instant::now();
            let exporter = Exporter::start(Command::new(path), &emulator.address, 1, mode, 1);
            let wait = |good: &dyn Fn() -> bool| {
                while !good() {
                    assert!(begun.elapsed() < PATIENCE, "no good scrape");
                    thread::sleep(Duration::from_micros(200));
                }
                begun.elapsed().as_secs_f64() * 1e3
            };
            let scraped = || get_once(&exporter.address, "/metrics");
            served.push(wait(&|| scraped().is_some_and(|(status, _)| status == 200)));
            read.push(wait(&|| exporter.metric("mns_queue_up") == Some(1.0)));
        }
        for (what, times) in [
            ("first scrape", &mut served),
            ("first scrape after a read", &mut read),
        ] {
            times.sort_by(f64::total_cmp);
            println!(
                "B12: {mode}: {what}: best {:.1} ms, median {:.1} ms",
                times[0],
                times[times.len() / 2]
            );
        }
    }
}

/// Memory and CPU time of exporters that have nothing to do and are scraped once.
fn idle(path: &str) {
    let emulator = Emulator::start(2, 0);
    let seconds = setting("IDLE_SECONDS", 30);
    let running = ["consume", "peek"].map(|mode| {
        let exporter = Exporter::start(Command::new(path), &emulator.address, 1, mode, 4);
        (mode, exporter)
    });
    thread::sleep(Duration::from_secs(1));
    let before = running.each_ref().map(|(_, exporter)| {
        exporter.metric("mns_queue_up").expect("a scrape");
        cpu_by_thread(exporter.id())
    });
    thread::sleep(Duration::from_secs(seconds as u64));
    for ((mode, exporter), before) in running.iter().zip(before) {
        let kib = |field| status_kib(exporter.id(), field);
        // A thread that has ended has taken its count with it.
        let of_thread = |(thread, nanos): (_, u64)| nanos - before.get(&thread).unwrap_or(&0);
        let nanos: u64 = cpu_by_thread(exporter.id())
            .into_iter()
            .map(of_thread)
            .sum();
        println!(
            "B12: {mode}: idle {seconds} s: VmRSS {} KiB, of which anonymous {}, of files {}; {:.3} % of a core",
            kib("VmRSS"),
            kib("RssAnon"),
            kib("RssFile"),
            nanos as f64 / (seconds as f64 * 1e7),
        );
    }
}
