//! Reading the config again while everything runs.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::{Admin, Reload};
use crate::alertmanager::Alerting;
use crate::cli;
use crate::clock;
use crate::config::{Config, Quarantine};
use crate::metrics::Metrics;
use crate::source::fleet::{Changed, Fleet};

/// Reads the config as at the start.
#[derive(Clone)]
pub struct Loader(Arc<dyn Fn() -> anyhow::Result<Config> + Send + Sync>);

/// Reads the config again whenever it is asked to, one time after the other.
pub(super) struct Reloader {
    pub(super) loader: Loader,
    pub(super) fleet: Arc<Fleet>,
    pub(super) alerting: Arc<Alerting>,
    pub(super) admin: Arc<Admin>,
    pub(super) metrics: Arc<Metrics>,
    /// As it was at the start.
    pub(super) quarantine: Quarantine,
}

// === impl Loader ===

impl Loader {
    /// Reads by `load`, which may block.
    pub fn new(load: impl Fn() -> anyhow::Result<Config> + Send + Sync + 'static) -> Self {
        Self(Arc::new(load))
    }

    async fn load(&self) -> anyhow::Result<Config> {
        let load = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || load()).await?
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").finish_non_exhaustive()
    }
}

// === impl Reloader ===

impl Reloader {
    /// Serves requests until cancelled; one that has begun is brought to its end.
    pub(super) async fn run(
        self,
        mut requests: mpsc::Receiver<Reload>,
        cancelled: CancellationToken,
    ) {
        loop {
            let request = tokio::select! {
                () = cancelled.cancelled() => return,
                request = requests.recv() => request,
            };
            let Some(Reload(done)) = request else {
                return;
            };
            let outcome = self.reload().await;
            // Who asked by a signal, or has gone, reads the log.
            _ = done.send(outcome);
        }
    }

    /// What was done, or why everything stays as it is.
    async fn reload(&self) -> Result<String, String> {
        let applied = self.apply().await;
        let at = applied.is_ok().then(clock::now);
        self.metrics.reloaded(at);
        applied.map_err(|error| {
            let error = cli::text(&error);
            error!(%error, "The config was not reloaded: the one before stays in force.");
            format!("The config was not reloaded: the one before stays in force.\n{error}\n")
        })
    }

    async fn apply(&self) -> anyhow::Result<String> {
        let config = self.loader.load().await?;
        let Changed {
            added,
            removed,
            changed,
            unchanged,
        } = self.fleet.apply(config.queues, config.discoveries).await?;
        self.alerting.apply(config.alertmanager);
        self.admin.expose_bodies(config.quarantine.expose_bodies);
        info!(
            added,
            removed, changed, unchanged, "The config was reloaded."
        );
        let mut told = format!(
            "Reloaded. Queues and prefixes: {added} added, {removed} removed, {changed} changed, {unchanged} unchanged.\n"
        );
        if config.quarantine.max_bytes != self.quarantine.max_bytes {
            warn!(
                path = "quarantine.max_bytes",
                "An option of the config takes effect after a restart."
            );
            told.push_str("quarantine.max_bytes takes effect after a restart.\n");
        }
        Ok(told)
    }
}
