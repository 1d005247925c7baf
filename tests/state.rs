//! The state of a running exporter: a disk that is full, and what a start says of a state that it cannot use.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests panic and print"
)]

#[path = "support/world.rs"]
mod world;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use assert_cmd::Command as Checked;
use tempfile::TempDir;
use vod_callback_exporter::emulator::scenario::Settings;
use vod_callback_exporter::emulator::{Behaviour, Operation};
use vod_callback_exporter::ledger::store::StateOptions;
use vod_callback_exporter::ledger::{Mode, Snapshot};
use world::{World, until};

const QUEUE: &str = "q";

/// A file system of 3 MiB; gone on drop.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "none"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(directory)),
            failed => {
                eprintln!("skipped: a file system cannot be mounted, which needs root: {failed:?}");
                None
            }
        }
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut file = fs::File::create(self.filler()).unwrap();
        for size in [4_096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        eprintln!("unmounted: {unmounted:?}");
    }
}

fn seen(snapshot: &Snapshot) -> u64 {
    let queues = snapshot.queues.iter();
    queues.map(|queue| queue.counts.messages_seen).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_receiving_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let state = StateOptions {
        path: disk.0.path().join("state"),
        reset: false,
    };
    let world = World::new(3, &[QUEUE], 5);
    world.emulator.set_behaviour(Behaviour {
        limit_message_size: false,
        ..Behaviour::default()
    });
    let mut queue = world.queue(QUEUE, Mode::Consume);
    queue.long_poll = Duration::from_secs(1);
    queue.tick = Duration::from_secs(1);
    let queues = vec![queue];
    let exporter = world
        .exporter_with(queues.clone(), Some(state.clone()))
        .await;
    let recorder = exporter.recorder();
    disk.fill();
    let settings = Settings {
        queues: vec![QUEUE.to_owned()],
        ..Settings::default()
    };
    let truth = world.push(settings, 3, 12_000);
    let truth = &truth.queues[QUEUE];

    let writable = recorder.writable();
    until(
        || !*writable.borrow(),
        || format!("{:?}", recorder.snapshot().state_bytes),
    )
    .await;
    let receives = || {
        world
            .emulator
            .state()
            .calls_of_any(Operation::BatchReceiveMessage)
    };
    let (before, received) = (seen(&recorder.snapshot()), receives());
    assert!(
        before < truth.messages,
        "{before} were committed before it was full"
    );
    // Long enough for several attempts to write, and for more receives if there were any.
    let later = world.emulator.now().plus(Duration::from_secs(3));
    until(|| world.emulator.now() > later, String::new).await;
    assert!(!*writable.borrow());
    assert_eq!(
        seen(&recorder.snapshot()),
        before,
        "what is committed is served"
    );
    assert!(
        receives() <= received + 4,
        "{} receives",
        receives() - received
    );

    disk.free();
    until(
        || world.is_empty(QUEUE),
        || format!("{:?}", world.emulator.state().queues),
    )
    .await;
    assert!(*writable.borrow());
    exporter.shutdown().await;
    let snapshot = recorder.snapshot();
    assert_eq!(seen(&snapshot), truth.messages);
    let totals = &world.emulator.state().queues[QUEUE].totals;
    let redeliveries = totals.received - totals.first_received;
    assert_eq!(snapshot.queues[0].counts.redeliveries, redeliveries);
    drop(recorder);
    drop(writable);
    // The writer's thread ends once nobody can send to it.
    let lock = fs::File::open(state.path.join("lock")).unwrap();
    until(|| lock.try_lock().is_ok(), || "still locked".to_owned()).await;
    drop(lock);

    let opens = || world.exporter_with(queues.clone(), Some(state.clone()));
    let again = opens().await;
    let counts = &again.recorder().snapshot().queues[0].counts;
    assert_eq!(
        *counts, snapshot.queues[0].counts,
        "and all of it is there after a restart"
    );
}

fn run(state: &Path, more: &[&str]) -> String {
    let output = Checked::cargo_bin("vod-callback-exporter")
        .unwrap()
        .args(["run", "--web.listen-address=127.0.0.1:0", "--mns.queue=q"])
        .arg("--mns.endpoint=http://127.0.0.1:9")
        .arg(format!("--state.path={}", state.display()))
        .args(more)
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
        .assert()
        .code(1);
    String::from_utf8(output.get_output().stderr.clone()).unwrap()
}

#[test]
fn a_state_that_cannot_be_used_ends_the_start_with_a_choice() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.redb");
    fs::write(&file, "no state").unwrap();
    let told = run(directory.path(), &[]);
    for part in [file.to_str().unwrap(), "is damaged", "--state.reset"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "no state",
        "left as it was"
    );

    // Another process has the directory.
    let lock = fs::File::open(directory.path().join("lock")).unwrap();
    lock.try_lock().unwrap();
    let told = run(directory.path(), &["--state.reset"]);
    assert!(told.contains("in use by another process"), "{told}");
    assert!(file.exists());

    let told = run(&file.join("below"), &[]);
    assert!(told.contains("cannot use the state directory"), "{told}");
}

#[test]
fn a_state_on_a_read_only_file_system_ends_the_start() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(disk.0.path())
        .status();
    assert!(remounted.unwrap().success());
    let told = run(&disk.0.path().join("state"), &[]);
    for part in ["cannot use the state directory", "Read-only file system"] {
        assert!(told.contains(part), "{told}");
    }
}
