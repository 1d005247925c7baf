//! The command line: one variant for each subcommand, whose arguments and work are in a file of [`commands`].
//!
//! Flags are named as in the Prometheus ecosystem. Each has an environment twin: `VOD_CALLBACK_EXPORTER_` and the flag
//! in capitals, with `_` for dots and dashes.

use std::io;

use clap::{Args, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use crate::commands;
use crate::config::ConfigError;
use crate::logging::{self, Format};

mod listen;

pub use listen::{BindError, ListenAddress};

/// Exit code of a bad command line or config, `EX_USAGE` of sysexits.h.
pub const EXIT_USAGE: u8 = 64;

/// Exit code of everything else that ends the process.
pub const EXIT_FAILURE: u8 = 1;

/// What was asked for.
#[derive(Debug, Parser)]
#[command(name = "vod-callback-exporter", version, about, after_help = AFTER_HELP, max_term_width = 100, next_line_help = true)]
pub struct Cli {
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch queues and serve metrics
    Run(commands::run::Args),
    /// Say everything that is wrong with a config file
    CheckConfig(commands::check_config::Args),
    /// Say everything that a new installation gets wrong, and what to do
    Check(commands::check::Args),
    /// See it at work: an emulated MNS, a simulated video platform, and the exporter
    Demo(commands::demo::Args),
    /// Drive a running demo into trouble: a stalled or failed transcode, a poison message, silence
    Simulate(commands::simulate::Args),
    /// Transcodes of a running exporter that have not ended, overdue or stalled ones only on request
    Transcodes(commands::transcodes::Args),
    /// Undecodable messages that a running exporter keeps
    Quarantine(commands::quarantine::Args),
    /// Ask a health endpoint, for images without curl
    Probe(commands::probe::Args),
    /// Run a local MNS for development and tests
    Emulate(commands::emulate::Args),
}

/// Flags of logging, for every subcommand.
#[derive(Clone, Copy, Debug, Args)]
pub struct LogArgs {
    /// Least severe lines to log, to stderr: error, warn, info, debug or trace [default: info; warn in check, error in demo]
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        env = "VOD_CALLBACK_EXPORTER_LOG_LEVEL",
        value_parser = parse_level,
        hide_env_values = true,
        global = true,
        display_order = 900
    )]
    pub level: Option<LevelFilter>,
    /// Form of log lines: logfmt or json
    #[arg(
        long = "log.format",
        value_name = "FORMAT",
        env = "VOD_CALLBACK_EXPORTER_LOG_FORMAT",
        default_value = "logfmt",
        value_parser = parse_format,
        hide_env_values = true,
        global = true,
        display_order = 900
    )]
    pub format: Format,
}

/// Flags that each are right and together are not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

const AFTER_HELP: &str = "\
Every flag has an environment twin: VOD_CALLBACK_EXPORTER_ and the flag in capitals, with _ for dots and dashes.
Exit codes: 0 ended as asked, 1 cannot do the work (such as a port in use) or a check failed, 64 bad flags or config.";

// === impl Cli ===

impl Cli {
    /// Does what was asked for, logging as asked for.
    pub fn execute(self) -> anyhow::Result<()> {
        let level = self.log.level.unwrap_or_else(|| self.command.level());
        logging::init(level, self.log.format, io::stderr)?;
        match self.command {
            Command::Run(args) => commands::run::execute(&args),
            Command::CheckConfig(args) => commands::check_config::execute(&args),
            Command::Check(args) => commands::check::execute(&args),
            Command::Demo(args) => commands::demo::execute(&args),
            Command::Simulate(args) => commands::simulate::execute(&args),
            Command::Transcodes(args) => commands::transcodes::execute(&args),
            Command::Quarantine(args) => commands::quarantine::execute(&args),
            Command::Probe(args) => commands::probe::execute(&args),
            Command::Emulate(args) => commands::emulate::execute(args),
        }
    }
}

// === impl Command ===

impl Command {
    /// What is logged unless a level is asked for.
    fn level(&self) -> LevelFilter {
        match self {
            // Its trouble is simulated, and would push the screen away that says where to look.
            Self::Demo(_) => LevelFilter::ERROR,
            // What it finds, it prints.
            Self::Check(_) => LevelFilter::WARN,
            _ => LevelFilter::INFO,
        }
    }
}

/// The exit code that `error` deserves.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let failed = error.downcast_ref::<commands::check::Failed>();
    let is_usage = error.is::<ConfigError>()
        || error.is::<UsageError>()
        || failed.is_some_and(commands::check::Failed::is_usage);
    if is_usage { EXIT_USAGE } else { EXIT_FAILURE }
}

/// An error with its causes, each told once: some texts have that of their cause in them already.
pub fn text(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        if text.is_empty() {
            cause
        } else if text.contains(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}

fn parse_level(text: &str) -> Result<LevelFilter, &'static str> {
    match text {
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err("expected error, warn, info, debug or trace"),
    }
}

fn parse_format(text: &str) -> Result<Format, &'static str> {
    match text {
        "logfmt" => Ok(Format::Logfmt),
        "json" => Ok(Format::Json),
        _ => Err("expected logfmt or json"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_of_flags_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = || io::Error::other("no disk");
        let error = anyhow::Error::new(cause()).context("cannot open a: no disk; mount it");
        assert_eq!(text(&error), "cannot open a: no disk; mount it");
        let error = anyhow::Error::new(cause()).context("cannot open a");
        assert_eq!(
            text(&error.context("no start")),
            "no start: cannot open a: no disk"
        );
    }

    #[test]
    fn every_flag_has_its_environment_twin() {
        let root = Cli::command();
        let mut seen = 0;
        let mut commands = vec![&root];
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands());
            for arg in command.get_arguments() {
                let Some(flag) = arg
                    .get_long()
                    .filter(|flag| !matches!(*flag, "help" | "version"))
                else {
                    continue;
                };
                let twin = flag.to_uppercase().replace(['.', '-'], "_");
                assert_eq!(
                    arg.get_env().and_then(std::ffi::OsStr::to_str),
                    Some(format!("VOD_CALLBACK_EXPORTER_{twin}").as_str()),
                    "--{flag} of {}",
                    command.get_name()
                );
                seen += 1;
            }
        }
        assert!(seen >= 8, "{seen} flags");
    }
}
