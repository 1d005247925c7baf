//! A child process that is watched by its output and ends with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// Longer than any of our servers takes to start on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);

/// A running server. Killed on drop, by its own id.
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts `command` and reads along what it prints.
    pub(crate) fn start(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (sender, lines) = channel();
        forward(child.stdout.take(), sender.clone());
        forward(child.stderr.take(), sender);
        Self { name, child, lines }
    }

    /// Its process id.
    #[allow(dead_code, reason = "benchmarks ask")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The address `127.0.0.1:PORT` in the first line that has both `marker` and such an address.
    pub(crate) fn listening_on(&self, marker: &str) -> SocketAddr {
        let deadline = Instant::now() + DEADLINE;
        let mut seen = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("{} named no address; it printed:\n{seen}", self.name);
            };
            if line.contains(marker)
                && let Some(address) = loopback_address(&line)
            {
                return address;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().expect("the child is ours to end");
        self.child.wait().expect("a killed child can be waited for");
    }
}

/// Reads on until the end, so that the child never blocks on a full pipe.
fn forward(pipe: Option<impl Read + Send + 'static>, lines: Sender<String>) {
    let pipe = pipe.expect("the output is piped");
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // Nobody listens any more once the test has what it needs.
            drop(lines.send(line));
        }
    });
}

fn loopback_address(line: &str) -> Option<SocketAddr> {
    let (_, port) = line.split_once("127.0.0.1:")?;
    let digits = port
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(port.len());
    let port = port.get(..digits)?.parse().ok().filter(|port| *port != 0)?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}
