//! `run`: watches queues and serves metrics.

use std::path::PathBuf;

use crate::app;
use crate::cli::ListenAddress;
use crate::commands::block_on;
use crate::commands::watched::Watched;
use crate::config::Config;
use crate::ledger::store::StateOptions;

/// Flags of `run`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// What to watch.
    #[command(flatten)]
    watched: Watched,
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
        let config = args.watched.config()?;
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
