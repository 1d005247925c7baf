//! A child process that is watched by its output and ends with the test.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
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
    printed: Vec<String>,
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
        Self {
            name,
            child,
            lines,
            printed: Vec::new(),
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The address `127.0.0.1:PORT` in the first line that has both `marker` and such an address.
    pub(crate) fn listening_on(&mut self, marker: &str) -> SocketAddr {
        let line = self.line(|line| line.contains(marker) && loopback_address(line).is_some());
        loopback_address(&line).expect("the line was chosen for its address")
    }

    /// The first line that fits, of those printed before or to come.
    pub(crate) fn line(&mut self, fits: impl Fn(&str) -> bool) -> String {
        if let Some(line) = self.printed.iter().find(|line| fits(line)) {
            return line.clone();
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!(
                    "{} did not print it; it printed:\n{}",
                    self.name,
                    self.printed.join("\n")
                );
            };
            self.printed.push(line.clone());
            if fits(&line) {
                return line;
            }
        }
    }

    /// Waits for the end; the exit code and everything that was printed.
    pub(crate) fn finish(&mut self) -> (Option<i32>, &[String]) {
        let deadline = Instant::now() + DEADLINE;
        // Both pipes close with the end.
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.printed.push(line);
        }
        assert!(Instant::now() < deadline, "{} does not end", self.name);
        let status = self.child.wait().expect("the child is ours");
        (status.code(), &self.printed)
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("sh is there").success(), "{kill}");
    }

    /// How it ended; none while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours")
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
