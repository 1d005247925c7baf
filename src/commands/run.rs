//! `run`: watches queues and serves metrics.

use std::path::PathBuf;

use crate::app;
use crate::cli::{ListenAddress, UsageError};
use crate::commands::block_on;
use crate::config::{Config, SingleQueue};
use crate::ledger::snapshot::Mode;
use crate::ledger::store::StateOptions;

/// Flags of `run`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
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
    /// Address to serve metrics on: HOST:PORT with IPv6 in brackets, or :PORT for all addresses
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        env = "VOD_CALLBACK_EXPORTER_WEB_LISTEN_ADDRESS",
        hide_env_values = true,
        default_value = ":10058"
    )]
    listen_address: ListenAddress,
    /// File with TLS, users and headers, as all Prometheus exporters read it [default: plain HTTP for everybody]
    #[arg(
        long = "web.config.file",
        value_name = "FILE",
        env = "VOD_CALLBACK_EXPORTER_WEB_CONFIG_FILE",
        hide_env_values = true
    )]
    web_config: Option<PathBuf>,
    /// Let a POST or PUT to /-/reload read the config again, as SIGHUP does
    #[arg(
        long = "web.enable-lifecycle",
        env = "VOD_CALLBACK_EXPORTER_WEB_ENABLE_LIFECYCLE",
        hide_env_values = true
    )]
    lifecycle: bool,
    /// Path of the metrics
    #[arg(
        long = "web.telemetry-path",
        value_name = "PATH",
        env = "VOD_CALLBACK_EXPORTER_WEB_TELEMETRY_PATH",
        hide_env_values = true,
        default_value = "/metrics",
        value_parser = parse_telemetry_path
    )]
    telemetry_path: String,
    /// Directory where counters survive a restart, of this process alone [default: in memory only]
    #[arg(
        long = "state.path",
        value_name = "DIR",
        env = "VOD_CALLBACK_EXPORTER_STATE_PATH",
        hide_env_values = true
    )]
    state_path: Option<PathBuf>,
    /// For one start: move the state aside and count from zero
    #[arg(
        long = "state.reset",
        env = "VOD_CALLBACK_EXPORTER_STATE_RESET",
        hide_env_values = true,
        requires = "state_path"
    )]
    state_reset: bool,
}

const AFTER_HELP: &str = "\
Give either --config.file, or --mns.endpoint and --mns.queue. Without a file the AccessKey is read from \
ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and, for temporary credentials, \
ALIBABA_CLOUD_SECURITY_TOKEN; without these, the vendor's default chain is asked: OIDC (RRSA), CLI profile, credentials \
file, ECS RAM role, credentials URI.

  vod-callback-exporter run --mns.queue=vod-callbacks \\
      --mns.endpoint=https://1234.mns.cn-shanghai.aliyuncs.com
  vod-callback-exporter run --config.file=/etc/vod-callback-exporter.yaml

SIGHUP reads the config again: a bad one changes nothing. Ends with SIGTERM or SIGINT. Exit codes: 0 ended as asked, 1 cannot listen or open the state, 64 bad flags or config.";

/// Runs until told to end.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let load = |args: &Args| {
        let config = args.config()?;
        announce(&config);
        Ok(config)
    };
    let config = load(args)?;
    let again = args.clone();
    let options = app::Options {
        listen_address: args.listen_address.clone(),
        web_config: args.web_config.clone(),
        telemetry_path: args.telemetry_path.clone(),
        state: args.state_path.clone().map(|path| StateOptions {
            path,
            reset: args.state_reset,
        }),
        loader: Some(app::Loader::new(move || load(&again))),
        lifecycle: args.lifecycle,
        seed: fastrand::u64(..),
    };
    block_on(app::run(config, options))
}

/// Says what deserves a look.
fn announce(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!(
            path = %warning.place.path,
            line = warning.place.line,
            warning = %warning.text,
            "The config has something that deserves a look."
        );
    }
}

fn parse_mode(text: &str) -> Result<Mode, &'static str> {
    match text {
        "peek" => Ok(Mode::Peek),
        "consume" => Ok(Mode::Consume),
        "tap" => Err("tap is not in this version, expected peek or consume"),
        _ => Err("expected peek or consume"),
    }
}

/// A path that no other endpoint has.
fn parse_telemetry_path(text: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    if !text.starts_with('/') || !text.bytes().all(is_plain) {
        return Err("expected a path such as /metrics");
    }
    if text == "/" || text.starts_with("/-/") || text.starts_with("/api/") {
        return Err("other pages are there, expected a path such as /metrics");
    }
    Ok(text.to_owned())
}

// === impl Args ===

impl Args {
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
