//! B2: messages per second of CPU time.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use crate::child::{self, Emulator, Exporter, SUBJECT_CORE, cpu_nanos, exporters, pinned, role};
use crate::{floor, setting};

/// Best results by what was measured and its connections: nanoseconds of CPU time a message.
type Best = BTreeMap<(String, usize), f64>;

/// Runs all of them in turn, several times, and prints the best of each.
pub(crate) fn bench() {
    let rounds = setting("ROUNDS", 5);
    let (many, few) = (setting("MESSAGES", 100_000), setting("SDK_MESSAGES", 8_000));
    let sdk = sdk();
    if sdk.is_none() {
        println!("B2: without the vendor's SDK, since .tools/python is missing: make tools");
    }
    child::step_aside();
    let mut best = Best::new();
    for round in 1..=rounds {
        for connections in [1, 16] {
            let mut note = |name: &str, nanos: f64| {
                println!(
                    "B2 {round}/{rounds}: {name}, {connections} connections: {nanos:.0} ns a message"
                );
                let best = best.entry((name.to_owned(), connections)).or_insert(nanos);
                *best = best.min(nanos);
            };
            for path in exporters() {
                let emulator = Emulator::start(1, many);
                note(&path, exporter(&path, &emulator, connections));
            }
            let emulator = Emulator::start(1, many);
            note("bare loop", bare_loop(&emulator, connections));
            if let Some(python) = &sdk {
                let emulator = Emulator::start(1, few);
                note("SDK", sdk_loop(python, &emulator, connections));
            }
        }
    }
    report(&best);
}

fn report(best: &Best) {
    println!("B2: the best of each");
    for ((name, connections), nanos) in best {
        let against = |other: &str| {
            best.get(&(other.to_owned(), *connections))
                .map(|other| other / nanos)
        };
        let ratio =
            |other: &str| against(other).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        println!(
            "  {connections:>2} connections  {:>9.0} messages/CPU s  {nanos:>9.0} ns  SDK / this {:>6}  bare loop / this {:>5}  {name}",
            1e9 / nanos,
            ratio("SDK"),
            ratio("bare loop"),
        );
    }
}

/// From its start to an empty queue, what starting costs included.
fn exporter(path: &str, emulator: &Emulator, connections: usize) -> f64 {
    let command = pinned(SUBJECT_CORE, path);
    let exporter = Exporter::start(command, &emulator.address, 1, "consume", connections);
    emulator.wait_until_empty();
    let nanos = cpu_nanos(exporter.id());
    let seen = exporter
        .metric("mns_messages_seen_total")
        .expect("a scrape");
    assert!(
        (seen - emulator.messages as f64).abs() < 0.5,
        "all are counted"
    );
    nanos as f64 / seen
}

fn bare_loop(emulator: &Emulator, connections: usize) -> f64 {
    let args = [floor::ROLE, &emulator.address, &connections.to_string()];
    per_message(role(SUBJECT_CORE, &args), emulator)
}

fn sdk_loop(python: &PathBuf, emulator: &Emulator, connections: usize) -> f64 {
    let mut command = pinned(SUBJECT_CORE, python);
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/process/sdk_loop.py"
        ))
        .arg(format!("http://{}", emulator.address))
        .args([
            crate::emulator::ACCESS_KEY_ID,
            crate::emulator::ACCESS_KEY_SECRET,
        ])
        .args([crate::emulator::queue(0), connections.to_string()]);
    per_message(command, emulator)
}

/// What a peer says about itself: messages and nanoseconds of CPU time.
fn per_message(mut command: std::process::Command, emulator: &Emulator) -> f64 {
    let output = command.output().expect("a program that starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let (messages, nanos) = text.trim().split_once(' ').expect("two numbers");
    assert_eq!(
        messages,
        emulator.messages.to_string(),
        "all are counted; {errors}"
    );
    nanos.parse::<f64>().expect("a number") / emulator.messages as f64
}

fn sdk() -> Option<PathBuf> {
    let tools = env::var("VOD_REFEREES");
    let tools = tools.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/.tools").to_owned());
    let python = PathBuf::from(tools).join("python/bin/python");
    python.exists().then_some(python)
}
