//! The flags that say what to watch: a config file, or one queue.

use std::path::PathBuf;

use crate::cli::UsageError;
use crate::config::{Config, SingleQueue};
use crate::ledger::snapshot::Mode;

/// Flags of every subcommand that needs the queues.
#[derive(Clone, Debug, clap::Args)]
pub struct Watched {
    /// Config file with the queues to watch
    #[arg(
        long = "config.file",
        value_name = "FILE",
        env = "VOD_CALLBACK_EXPORTER_CONFIG_FILE",
        hide_env_values = true,
        conflicts_with_all = ["mns_endpoint", "mns_queue", "mode"]
    )]
    config_file: Option<PathBuf>,
    /// Without a config file: endpoint of MNS, as its console shows it
    #[arg(
        long = "mns.endpoint",
        value_name = "URL",
        env = "VOD_CALLBACK_EXPORTER_MNS_ENDPOINT",
        hide_env_values = true
    )]
    mns_endpoint: Option<String>,
    /// Without a config file: name of the one queue to watch
    #[arg(
        long = "mns.queue",
        value_name = "NAME",
        env = "VOD_CALLBACK_EXPORTER_MNS_QUEUE",
        hide_env_values = true
    )]
    mns_queue: Option<String>,
    /// Without a config file: peek (changes nothing) or consume (counts and DELETES every message) [default: peek]
    #[arg(
        long = "mode",
        value_name = "MODE",
        env = "VOD_CALLBACK_EXPORTER_MODE",
        hide_env_values = true,
        value_parser = parse_mode
    )]
    mode: Option<Mode>,
}

fn parse_mode(text: &str) -> Result<Mode, &'static str> {
    match text {
        "peek" => Ok(Mode::Peek),
        "consume" => Ok(Mode::Consume),
        "tap" => Err("tap is not in this version, expected peek or consume"),
        _ => Err("expected peek or consume"),
    }
}

// === impl Watched ===

impl Watched {
    /// What the config is called.
    pub fn origin(&self) -> String {
        let path = self.config_file.as_ref();
        path.map_or_else(
            || "command line".to_owned(),
            |path| path.display().to_string(),
        )
    }

    /// The config that the flags mean.
    pub fn config(&self) -> anyhow::Result<Config> {
        if let Some(path) = &self.config_file {
            return Ok(Config::load(path)?);
        }
        let missing = match (&self.mns_endpoint, &self.mns_queue) {
            (Some(endpoint), Some(queue)) => {
                let mode = self.mode.unwrap_or(Mode::Peek);
                return Ok(Config::single(SingleQueue {
                    endpoint,
                    queue,
                    mode,
                })?);
            }
            (Some(_), None) => "found --mns.endpoint without --mns.queue; add the queue's name",
            (None, Some(_)) => "found --mns.queue without --mns.endpoint; add the endpoint",
            (None, None) => {
                "found no queue to watch; give --config.file, or --mns.endpoint and --mns.queue"
            }
        };
        Err(UsageError(missing.to_owned()).into())
    }
}
