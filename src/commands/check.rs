//! `check`: goes through everything that a new installation gets wrong.

use std::io::{self, Write as _};

use anyhow::Context as _;
use url::Url;

use crate::aliyun::credentials::Environment;
use crate::aliyun::ram;
use crate::check::{self, Report, Status};
use crate::cli::UsageError;
use crate::commands::watched::Watched;
use crate::config::ConfigError;

/// Flags of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// What would be watched.
    #[command(flatten)]
    watched: Watched,
    /// How to print what was found: text or json
    #[arg(
        // The id `format` is that of --log.format.
        id = "report_format",
        long = "format",
        value_name = "FORMAT",
        env = "VOD_CALLBACK_EXPORTER_FORMAT",
        hide_env_values = true,
        default_value = "text",
        value_parser = parse_format
    )]
    format: Format,
    /// Where to ask whose the credentials are [default: as the account says, else the vendor's]
    #[arg(
        long = "sts.endpoint",
        value_name = "URL",
        env = "VOD_CALLBACK_EXPORTER_STS_ENDPOINT",
        hide_env_values = true
    )]
    sts_endpoint: Option<Url>,
    /// Where to ask for the role by which VOD writes into queues
    #[arg(
        long = "ram.endpoint",
        value_name = "URL",
        env = "VOD_CALLBACK_EXPORTER_RAM_ENDPOINT",
        hide_env_values = true,
        default_value = ram::ENDPOINT
    )]
    ram_endpoint: Url,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// Something that was looked at is not as it must be.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {all} checks failed; what to do stands below each of them")]
pub struct Failed {
    failed: usize,
    all: usize,
    /// Whether the config or the flags are at fault.
    is_usage: bool,
}

const AFTER_HELP: &str = "\
Looks at config, secrets, DNS, connection, TLS, clock, credentials, queue, permissions, VOD's callback configuration and \
regions, in the order in which one needs the other, and says of each what it found and what to do. Changes nothing: no \
message is received, deleted or sent. What needs something that failed is skipped.

  vod-callback-exporter check --config.file=/etc/vod-callback-exporter.yaml
  vod-callback-exporter check --mns.queue=vod-callbacks \\
      --mns.endpoint=https://1234.mns.cn-shanghai.aliyuncs.com --format=json

Exit codes: 0 nothing failed, 1 something failed, 64 bad flags or config.";

/// Prints everything that was found.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let (report, is_usage) = match args.watched.config() {
        Ok(config) => {
            let options = check::Options {
                origin: args.watched.origin(),
                sts_endpoint: args.sts_endpoint.clone(),
                ram_endpoint: args.ram_endpoint.clone(),
                environment: Environment::of_process(),
                seed: fastrand::u64(..),
            };
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .context("cannot start the runtime")?;
            let report = runtime.block_on(check::run(&config, options));
            // A resolver that does not answer would be waited for.
            runtime.shutdown_background();
            (report, false)
        }
        Err(error) => {
            let report = if let Some(error) = error.downcast_ref::<ConfigError>() {
                check::problems(error)
            } else if let Some(UsageError(problem)) = error.downcast_ref() {
                check::unusable(problem)
            } else {
                return Err(error);
            };
            (report, true)
        }
    };
    print(&report, args.format)?;
    match report.count(Status::Fail) {
        0 => Ok(()),
        failed => Err(Failed {
            failed,
            all: report.findings.len(),
            is_usage,
        }
        .into()),
    }
}

fn print(report: &Report, format: Format) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Text => report.print(&mut out)?,
        Format::Json => writeln!(out, "{}", report.json()?)?,
    }
    Ok(())
}

fn parse_format(text: &str) -> Result<Format, &'static str> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("expected text or json"),
    }
}

// === impl Failed ===

impl Failed {
    /// Whether the config or the flags are at fault.
    pub fn is_usage(&self) -> bool {
        self.is_usage
    }
}
