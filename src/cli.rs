//! The command line as typed.

use crate::commands::emulate;

/// Prometheus exporter and alerting sidecar for `ApsaraVideo` VOD callback queues.
#[derive(Debug, clap::Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run a local MNS for development and tests.
    Emulate(emulate::Args),
}
