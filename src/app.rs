//! Wiring: what is started in which order, and how it ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::{self, Admin, Gate, Readiness, WebFile};
use crate::cli::ListenAddress;
use crate::clock::{self, ServerClock};
use crate::config::Config;
use crate::ledger::listing::{Listing, Page};
use crate::ledger::store::{self, MemoryStore, StateOptions, Store};
use crate::ledger::{Ledger, Snapshot};
use crate::metrics::Metrics;
use crate::recorder::{self, Recorder};
use crate::signals::Signals;
use crate::source::discovery::Discoverer;
use crate::source::watcher::{Attributes, Watcher};

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
    discoveries: TaskTracker,
    /// Ends discoveries, which find no queues during shutdown.
    looking: CancellationToken,
    /// Ends the endpoints, last of all.
    serving: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

struct View {
    recorder: Recorder,
    clock: Arc<ServerClock>,
}

/// Runs until SIGTERM or SIGINT; a second one ends at once.
pub async fn run(config: Config, options: Options) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot catch signals")?;
    let app = App::start(config, options).await?;
    let signal = signals.next().await;
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
        let admin = Admin::new(
            Arc::new(view),
            Arc::clone(&metrics),
            readiness.clone(),
            settings,
        );
        let serving = CancellationToken::new();
        let gate = Gate::new(web_file, Arc::clone(&metrics))?;
        let tls = gate.is_tls();
        let server = server.behind(gate);
        let server = tokio::spawn(server.serve(Arc::new(admin), serving.clone().cancelled_owned()));
        info!(%address, tls, "Listening.");

        let watcher = Watcher::new(recorder.clone(), Arc::clone(&clock), metrics, options.seed);
        let app = Self {
            address,
            readiness,
            watcher: Arc::new(watcher),
            recorder,
            discoveries: TaskTracker::new(),
            looking: CancellationToken::new(),
            serving,
            server,
        };
        app.watch(config, &clock).await?;
        app.readiness.ready();
        Ok(app)
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
        self.looking.cancel();
        self.discoveries.close();
        let drain = async {
            self.discoveries.wait().await;
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

    async fn watch(&self, config: Config, clock: &Arc<ServerClock>) -> anyhow::Result<()> {
        for queue in config.queues {
            self.watcher.start(queue, Attributes::Own).await?;
        }
        for discovery in config.discoveries {
            let watcher = Arc::clone(&self.watcher);
            let discoverer = Discoverer::new(discovery, watcher, Arc::clone(clock))?;
            self.discoveries.spawn(discoverer.run(self.looking.clone()));
        }
        Ok(())
    }
}

// === impl View ===

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
