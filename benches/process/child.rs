//! Processes under measurement, and looking at them from outside.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::emulator::{self, ACCESS_KEY_ID, ACCESS_KEY_SECRET};

/// The core of what is measured.
pub(crate) const SUBJECT_CORE: &str = "0";
/// The core of everything else.
pub(crate) const OTHER_CORE: &str = "1";

/// A child process; killed on drop, by its own id.
pub(crate) struct Process(Child);

/// A filled emulator.
pub(crate) struct Emulator {
    _process: Process,
    pub(crate) address: String,
    pub(crate) messages: usize,
}

/// A running exporter.
pub(crate) struct Exporter {
    process: Process,
    pub(crate) address: String,
    _config: tempfile::TempDir,
}

/// Moves this process away from the measured core.
pub(crate) fn step_aside() {
    let moved = Command::new("taskset")
        .args(["-cp", OTHER_CORE, &std::process::id().to_string()])
        .stdout(Stdio::null())
        .status();
    assert!(moved.is_ok_and(|status| status.success()), "needs taskset");
}

/// A command that runs on one core only.
pub(crate) fn pinned(core: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// A role of this binary.
pub(crate) fn role(core: &str, args: &[&str]) -> Command {
    let mut command = pinned(core, env::current_exe().expect("a path"));
    command.args(args);
    command
}

/// The exporters to measure.
pub(crate) fn exporters() -> Vec<String> {
    let default = || env!("CARGO_BIN_EXE_vod-callback-exporter").to_owned();
    let paths = env::var("EXPORTER").unwrap_or_else(|_| default());
    paths.split(':').map(ToOwned::to_owned).collect()
}

/// Nanoseconds of CPU time that the threads of a process have had.
pub(crate) fn cpu_nanos(pid: u32) -> u64 {
    cpu_by_thread(pid).values().sum()
}

/// The same for each thread, for sums over a time in which some of them end.
pub(crate) fn cpu_by_thread(pid: u32) -> BTreeMap<OsString, u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    tasks
        .filter_map(|task| {
            let task = task.ok()?;
            let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((task.file_name(), stat.split(' ').next()?.parse().ok()?))
        })
        .collect()
}

/// A line of `/proc/PID/status` in kB.
pub(crate) fn status_kib(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let value = line.and_then(|line| line.trim_matches([':', ' ', '\t']).split(' ').next());
    value.expect("the field").parse().expect("a number")
}

/// Sends a GET on a kept connection and reads the answer's status and body.
pub(crate) fn get(stream: &mut TcpStream, path: &str, headers: &str) -> Option<(u16, Vec<u8>)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::with_capacity(64 * 1024);
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        answer.extend_from_slice(&chunk[..read]);
        let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&answer[..end]).ok()?.to_lowercase();
        let length = head.split_once("content-length: ")?.1;
        let length: usize = length.lines().next()?.parse().ok()?;
        if answer.len() == end + 4 + length {
            let status = head.split(' ').nth(1)?.parse().ok()?;
            return Some((status, answer.split_off(end + 4)));
        }
    }
}

/// [`get`] on a connection of its own.
pub(crate) fn get_once(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let (status, body) = get(&mut stream, path, "Connection: close\r\n")?;
    Some((status, String::from_utf8(body).ok()?))
}

// === impl Process ===

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("a program that starts"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().expect("the child is ours to end");
        self.0.wait().expect("a killed child can be waited for");
    }
}

// === impl Emulator ===

impl Emulator {
    pub(crate) fn start(queues: usize, messages: usize) -> Self {
        let args = [emulator::ROLE, &queues.to_string(), &messages.to_string()];
        let mut process = Process::start(role(OTHER_CORE, &args).stdout(Stdio::piped()));
        let mut line = String::new();
        let stdout = process.0.stdout.take().expect("a piped output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let told = line.trim().strip_prefix("Listening on ");
        let (address, messages) = told.and_then(|told| told.split_once(' ')).expect(&line);
        Self {
            _process: process,
            address: address.to_owned(),
            messages: messages.parse().expect("a number"),
        }
    }

    /// Returns once no message is left, visible or not.
    pub(crate) fn wait_until_empty(&self) {
        let left = |state: &serde_json::Value| -> u64 {
            let queues = state["queues"].as_object().expect("queues");
            let counts = queues.values().map(|queue| &queue["counts"]);
            counts
                .map(|counts| {
                    ["active", "inactive", "delayed"]
                        .iter()
                        .map(|name| counts[name].as_u64().expect("a count"))
                        .sum::<u64>()
                })
                .sum()
        };
        loop {
            let (_, state) = get_once(&self.address, "/-/emulator/state").expect("a state");
            if left(&serde_json::from_str(&state).expect("JSON")) == 0 {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

// === impl Exporter ===

impl Exporter {
    /// Starts one that watches the first `queues` queues.
    pub(crate) fn start(
        mut command: Command,
        emulator: &str,
        queues: usize,
        mode: &str,
        workers: usize,
    ) -> Self {
        let config = tempfile::tempdir().expect("a folder");
        let file = config.path().join("config.yaml");
        write_config(&file, emulator, queues, mode, workers);
        // Taken and given back: nobody else takes ports that fast.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = free.expect("a free port").to_string();
        command
            .args(["run", "--config.file"])
            .arg(&file)
            .arg(format!("--web.listen-address={address}"))
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET)
            .stderr(Stdio::null());
        Self {
            process: Process::start(&mut command),
            address,
            _config: config,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The sum of a metric's series.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = get_once(&self.address, "/metrics").filter(|(status, _)| *status == 200)?;
        let of_name = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('{'))
        };
        let values = text.lines().filter(of_name);
        values
            .map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

fn write_config(file: &Path, emulator: &str, queues: usize, mode: &str, workers: usize) {
    use std::fmt::Write as _;

    let mut text = format!("defaults:\n  endpoint: http://{emulator}\n  mode: {mode}\n");
    if mode == "consume" {
        _ = writeln!(text, "  workers: {workers}");
    }
    text.push_str("queues:\n");
    for number in 0..queues {
        _ = writeln!(text, "  - name: {}", emulator::queue(number));
    }
    fs::write(file, text).expect("a config");
}
