//! An emulator in a process of its own, as its users start it.

use std::process::Command;

use super::process::Process;

pub(crate) const ACCESS_KEY_ID: &str = "referee-id";
pub(crate) const ACCESS_KEY_SECRET: &str = "referee-secret";

/// A running emulator; gone on drop.
pub(crate) struct Emulator {
    _process: Process,
    pub(crate) endpoint: String,
}

impl Emulator {
    /// Starts one, with `options` beside address and access key.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
        command
            .args(["emulate", "--listen=127.0.0.1:0"])
            .arg(format!("--access-key-id={ACCESS_KEY_ID}"))
            .arg(format!("--access-key-secret={ACCESS_KEY_SECRET}"))
            .args(options);
        let mut process = Process::start(command);
        let endpoint = format!("http://{}", process.listening_on("Listening on"));
        Self {
            _process: process,
            endpoint,
        }
    }

    /// Adds what the referees' scripts take first: endpoint, id, secret.
    pub(crate) fn name_to<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.args([&self.endpoint, ACCESS_KEY_ID, ACCESS_KEY_SECRET])
    }
}
