//! `check-config`: says everything that is wrong with a config file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::admin;
use crate::config::{Config, Problem};

/// Flags of `check-config`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Config file to check
    #[arg(
        long = "config.file",
        value_name = "FILE",
        env = "VOD_CALLBACK_EXPORTER_CONFIG_FILE",
        hide_env_values = true,
        required_unless_present = "web_config"
    )]
    config_file: Option<PathBuf>,
    /// File with TLS, users and headers to check
    #[arg(
        long = "web.config.file",
        value_name = "FILE",
        env = "VOD_CALLBACK_EXPORTER_WEB_CONFIG_FILE",
        hide_env_values = true
    )]
    web_config: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Checks the files and that the secrets and certificates they name are there; asks nothing of the network. Prints all \
problems, each with file, line and path. Exit codes: 0 the files are good (they may have warnings), 64 one is not.";

/// Checks the files; their warnings go to stderr, the verdicts to stdout.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    if let Some(path) = &args.config_file {
        let config = Config::load(path)?;
        warn(&config.warnings, path)?;
        let (queues, prefixes) = (config.queues.len(), config.discoveries.len());
        writeln!(
            io::stdout(),
            "OK: {} and {} in {}",
            count(queues, "queue", "queues"),
            count(prefixes, "prefix", "prefixes"),
            path.display()
        )?;
    }
    if let Some(path) = &args.web_config {
        let checked = admin::check_web_config(path)?;
        warn(&checked.warnings, path)?;
        let (scheme, users) = (if checked.tls { "https" } else { "http" }, checked.users);
        writeln!(
            io::stdout(),
            "OK: {scheme} for {} in {}",
            match users {
                0 => "everybody".to_owned(),
                users => count(users, "user", "users"),
            },
            path.display()
        )?;
    }
    Ok(())
}

fn warn(warnings: &[Problem], path: &Path) -> io::Result<()> {
    let origin = path.display().to_string();
    let mut stderr = io::stderr().lock();
    for warning in warnings {
        writeln!(stderr, "warning: {}", warning.line(&origin))?;
    }
    Ok(())
}

fn count(number: usize, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}
