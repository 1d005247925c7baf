//! The command line.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use vod_callback_exporter::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            _ = error.print();
            let code = if error.use_stderr() {
                cli::EXIT_USAGE
            } else {
                0
            };
            return ExitCode::from(code);
        }
    };
    match cli.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "error: {}", cli::text(&error));
            ExitCode::from(cli::exit_code(&error))
        }
    }
}
