//! The signals that end the process (SIGTERM from an orchestrator, SIGINT from a person), and the one that has it read
//! its config again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals that end it, caught from the moment this exists.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP, by which an operator has the config read again; caught from the moment this exists.
#[derive(Debug)]
pub struct Hangups(Signal);

// === impl Hangups ===

impl Hangups {
    /// Catches the signal from now on.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        _ = self.0.recv().await;
    }
}

// === impl Signals ===

impl Signals {
    /// Catches the signals from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
