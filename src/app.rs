//! Wiring, start and shutdown order.

use crate::cli::ListenAddress;
use crate::config::Config;

/// What flags say beside the config.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to serve.
    pub listen_address: ListenAddress,
    /// Path of the metrics.
    pub telemetry_path: String,
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(_config: Config, options: Options) -> anyhow::Result<()> {
    let _listener = tokio::net::TcpListener::from_std(options.listen_address.bind()?)?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
