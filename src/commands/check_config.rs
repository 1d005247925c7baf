//! `check-config`: says everything that is wrong with a config file.

use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::config::Config;

/// Flags of `check-config`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Config file to check
    #[arg(
        long = "config.file",
        value_name = "FILE",
        env = "VOD_CALLBACK_EXPORTER_CONFIG_FILE",
        hide_env_values = true
    )]
    config_file: PathBuf,
}

const AFTER_HELP: &str = "\
Checks the file and that the secrets and certificates it names are there; asks nothing of the network. Prints all \
problems, each with file, line and path. Exit codes: 0 the file is good (it may have warnings), 64 it is not.";

/// Checks the file; its warnings go to stderr, the verdict to stdout.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let config = Config::load(&args.config_file)?;
    let origin = args.config_file.display().to_string();
    let mut stderr = io::stderr().lock();
    for warning in &config.warnings {
        writeln!(stderr, "warning: {}", warning.line(&origin))?;
    }
    let (queues, prefixes) = (config.queues.len(), config.discoveries.len());
    writeln!(
        io::stdout(),
        "OK: {} and {} in {origin}",
        count(queues, "queue", "queues"),
        count(prefixes, "prefix", "prefixes")
    )?;
    Ok(())
}

fn count(number: usize, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}
