//! Wiring: what is started in which order, and how it ends.

mod reload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use reload::Loader;

use self::reload::Reloader;
use crate::admin::{self, Admin, Gate, Readiness, Reload, WebFile};
use crate::alertmanager::{self, Alerting};
use crate::cli::ListenAddress;
use crate::clock::{self, ServerClock, UnixMillis};
use crate::config::Config;
use crate::ledger::listing::{Listing, Page};
use crate::ledger::store::{self, MemoryStore, StateOptions, Store};
use crate::ledger::troubles::Troubles;
use crate::ledger::{Ledger, Snapshot};
use crate::metrics::Metrics;
use crate::recorder::{self, Recorder};
use crate::signals::{Hangups, Signals};
use crate::source::fleet::Fleet;
use crate::source::watcher::Watcher;

/// How long shutdown may take: below the 30 s that Kubernetes grants by default.
const GRACE: Duration = Duration::from_secs(20);

/// What flags say beside the config.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to serve.
    pub listen_address: ListenAddress,
    /// The file of TLS, users and headers; plain HTTP for everybody if none.
    pub web_config: Option<PathBuf>,
    /// Path of the metrics.
    pub telemetry_path: String,
    /// Where counters survive a restart; in memory only if none.
    pub state: Option<StateOptions>,
    /// Reads the config again; none if it can never change.
    pub loader: Option<Loader>,
    /// Whether a request may have the config read again.
    pub lifecycle: bool,
    /// Spreads ticks and backoffs.
    pub seed: u64,
}

/// A running exporter.
#[derive(Debug)]
pub struct App {
    address: SocketAddr,
    readiness: Readiness,
    watcher: Arc<Watcher>,
    recorder: Recorder,
    fleet: Arc<Fleet>,
    alerting: Arc<Alerting>,
    /// By which the config is read again.
    reloads: mpsc::Sender<Reload>,
    reloader: Option<JoinHandle<()>>,
    /// Ends reloading, so that nothing new is started during shutdown.
    reloading: CancellationToken,
    /// Ends the endpoints, last of all.
    serving: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

#[derive(Clone)]
struct View {
    recorder: Recorder,
    clock: Arc<ServerClock>,
}

/// Runs until SIGTERM or SIGINT; a second one ends at once. SIGHUP has the config read again.
pub async fn run(config: Config, options: Options) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot catch signals")?;
    let mut hangups = Hangups::listen().context("cannot catch signals")?;
    let app = App::start(config, options).await?;
    let signal = loop {
        tokio::select! {
            signal = signals.next() => break signal,
            () = hangups.next() => app.reload(),
        }
    };
    info!(signal, "Shutting down.");
    tokio::select! {
        () = app.shutdown() => {}
        signal = signals.next() => warn!(signal, "Ending at once."),
    }
    Ok(())
}

/// What was counted before, and where it goes on.
fn state(
    options: Option<&StateOptions>,
    quarantine_bytes: u64,
) -> anyhow::Result<(Ledger, Box<dyn Store>)> {
    let Some(options) = options else {
        info!("Counters live in memory: they start at zero with each start.");
        return Ok((Ledger::new(quarantine_bytes), Box::new(MemoryStore)));
    };
    let opened = store::open(options, quarantine_bytes, clock::now())?;
    if let Some(moved_to) = &opened.moved_to {
        warn!(moved_to = %moved_to.display(), "The state was moved aside: counters start at zero.");
    }
    if let Some(fell_from) = opened.fell_from {
        warn!(
            path = %options.path.display(),
            last_generation = fell_from,
            "The state is older than the one that was here last: what was deleted from the queues since is not counted."
        );
    }
    info!(
        path = %options.path.display(),
        generation = opened.generation,
        "Counters go on from the state."
    );
    Ok((opened.ledger, opened.store))
}

// === impl App ===

impl App {
    /// Binds, then starts everything. Fails if the web config is bad, the address cannot be had or a client cannot be
    /// built; MNS is not waited for.
    pub async fn start(config: Config, options: Options) -> anyhow::Result<Self> {
        let web_file = options.web_config.as_deref().map(WebFile::open);
        let web_file = web_file.transpose()?;
        let server = admin::Server::new(options.listen_address.bind("--web.listen-address")?)?;
        let address = server.local_addr();
        let clock = Arc::new(ServerClock::default());
        let metrics = Arc::new(Metrics::new().context("cannot register metrics")?);
        let (ledger, store) = state(options.state.as_ref(), config.quarantine.max_bytes)?;
        let recorder = recorder::start(ledger, store, Arc::clone(&clock));

        let readiness = Readiness::default();
        let view = View {
            recorder: recorder.clone(),
            clock: Arc::clone(&clock),
        };
        let settings = admin::Settings {
            telemetry_path: options.telemetry_path,
            expose_bodies: config.quarantine.expose_bodies,
        };
        let (reloads, requests) = mpsc::channel(1);
        let admin = Admin::new(
            Arc::new(view.clone()),
            Arc::clone(&metrics),
            readiness.clone(),
            settings,
        );
        let admin = Arc::new(match options.lifecycle {
            true => admin.reloading(reloads.clone()),
            false => admin,
        });
        let serving = CancellationToken::new();
        let gate = Gate::new(web_file, Arc::clone(&metrics))?;
        let tls = gate.is_tls();
        let server = server.behind(gate);
        let server = server.serve(Arc::clone(&admin), serving.clone().cancelled_owned());
        let server = tokio::spawn(server);
        info!(%address, tls, "Listening.");

        let watcher = Watcher::new(
            recorder.clone(),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            options.seed,
        );
        let watcher = Arc::new(watcher);
        let fleet = Arc::new(Fleet::new(Arc::clone(&watcher), clock));
        fleet.apply(config.queues, config.discoveries).await?;
        metrics.started(clock::now());
        // Not before the queues are known: what fires is the same from the first look on.
        let alerting = Alerting::new(Arc::new(view), metrics.alerts(), options.seed);
        let alerting = Arc::new(alerting);
        alerting.apply(config.alertmanager);
        let reloading = CancellationToken::new();
        let reloader = options.loader.map(|loader| {
            let reloader = Reloader {
                loader,
                fleet: Arc::clone(&fleet),
                alerting: Arc::clone(&alerting),
                admin,
                metrics,
                quarantine: config.quarantine,
            };
            tokio::spawn(reloader.run(requests, reloading.clone()))
        });
        readiness.ready();
        Ok(Self {
            address,
            readiness,
            watcher,
            recorder,
            fleet,
            alerting,
            reloads,
            reloader,
            reloading,
            serving,
            server,
        })
    }

    /// Has the config read again; the log tells how that went.
    pub fn reload(&self) {
        let (done, _) = oneshot::channel();
        // One that waits already will read what is there now.
        _ = self.reloads.try_send(Reload(done));
    }

    /// The address that is served, with the real port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The writer, which answers with what is committed even after the exporter has ended.
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Not ready, stop receiving, finish or release what was received, commit, and only then stop serving.
    pub async fn shutdown(self) {
        self.readiness.stopping();
        self.reloading.cancel();
        let drain = async {
            if let Some(reloader) = self.reloader {
                // One that panicked reloads nothing any more.
                _ = reloader.await;
            }
            self.alerting.stop().await;
            self.fleet.stop_looking().await;
            self.watcher.drain().await;
            // A writer that has ended has written everything.
            _ = self.recorder.flush().await;
        };
        if tokio::time::timeout(GRACE, drain).await.is_err() {
            warn!(
                grace_seconds = GRACE.as_secs(),
                "Some messages were neither deleted nor released: they come again after their visibility timeout."
            );
        }
        self.serving.cancel();
        match self.server.await {
            Ok(Ok(())) => info!("Ended."),
            Ok(Err(error)) => warn!(%error, "The endpoints ended with an error."),
            Err(error) => warn!(%error, "The endpoints ended early."),
        }
    }
}

// === impl View ===

impl alertmanager::Source for View {
    fn now(&self) -> UnixMillis {
        // What is committed is true before the first answer of MNS, too.
        self.clock.now().unwrap_or_else(clock::now)
    }

    fn troubles(&self, now: UnixMillis) -> Troubles {
        self.recorder.troubles(now)
    }
}

impl admin::View for View {
    fn snapshot(&self) -> Snapshot {
        self.recorder.snapshot()
    }

    fn skew_millis(&self) -> Option<i64> {
        self.clock.skew_millis()
    }

    fn transcodes(&self, listing: &Listing) -> Page {
        self.recorder.transcodes(listing)
    }
}
