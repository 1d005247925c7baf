//! Per-video alerts, sent to Alertmanager by its API v2.
//!
//! [`alerts`] knows which alerts are firing, [`outbox`] what one Alertmanager has to be told of them, [`client`] how it is
//! told, [`targets`] where all of them are. What is firing is derived anew every few seconds from committed state, so that a
//! restart goes on where the process before ended; nobody waits for an Alertmanager, which is told what is true when it can
//! be reached, and nothing of what was.

pub mod alerts;
pub mod client;
pub mod outbox;
pub mod targets;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use self::alerts::{Book, Round, Stamp};
use self::targets::Resolver;
use crate::clock::UnixMillis;
use crate::config::AlertmanagerConfig;
use crate::ledger::troubles::Troubles;

/// Between two looks at what is firing: an alert is sent so long after its cause is committed, at most.
pub const LOOK: Duration = Duration::from_secs(5);

/// Where alerts come from.
pub trait Source: Send + Sync + 'static {
    /// The time by which alerts begin and end.
    fn now(&self) -> UnixMillis;

    /// What is wrong with single videos at `now`.
    fn troubles(&self, now: UnixMillis) -> Troubles;
}

/// Who counts what becomes of alerts.
pub trait Observer: Send + Sync + 'static {
    /// These Alertmanagers are told from now on, and no others; none where alerts are off.
    fn configured(&self, alertmanagers: &[Arc<str>]);

    /// So many alerts fire, and so many more videos had to do without one of their own since the last call.
    fn looked(&self, active: usize, newly_suppressed: usize);

    /// A call ended, and so many alerts so with it: none where one of several was refused, which are sent apart then.
    fn sent(&self, alertmanager: &str, result: Sent, alerts: usize);
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// They were taken.
    Ok,
    /// It was refused for good.
    Rejected,
    /// None of them is known to be taken: they are sent again.
    Failed,
}

/// Sends alerts, or none where it is not configured.
pub struct Alerting {
    source: Arc<dyn Source>,
    observer: Arc<dyn Observer>,
    resolver: Arc<dyn Resolver>,
    seed: u64,
    running: Mutex<Option<Running>>,
}

struct Running {
    config: AlertmanagerConfig,
    /// Outlives a config, so that another one neither counts anybody anew nor takes an alert from him.
    book: Arc<Mutex<Book>>,
    cancelled: CancellationToken,
    tracker: TaskTracker,
}

// === impl Sent ===

impl Sent {
    /// All of them, in the order of their labels.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Rejected, Self::Failed];

    /// Value of the label `result`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

// === impl Alerting ===

impl Alerting {
    /// Sends nothing yet.
    pub fn new(source: Arc<dyn Source>, observer: Arc<dyn Observer>, seed: u64) -> Self {
        Self {
            source,
            observer,
            resolver: Arc::new(targets::System),
            seed,
            running: Mutex::default(),
        }
    }

    /// Looks names up here rather than where the operating system does.
    #[must_use]
    pub fn with_resolver(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, ..self }
    }

    /// Sends by this config from now on. The same one changes nothing; another starts anew, which Alertmanager does not
    /// notice, as a restart of the process.
    pub fn apply(&self, config: Option<AlertmanagerConfig>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().map(|running| &running.config) == config.as_ref() {
            return;
        }
        let book = running.take().map_or_else(Arc::default, |before| {
            before.cancelled.cancel();
            before.book
        });
        let names: Vec<Arc<str>> = config
            .iter()
            .flat_map(|config| &config.urls)
            .map(targets::name)
            .collect();
        self.observer.configured(&names);
        *running = config.map(|config| self.start(config, book));
    }

    /// Ends all calls. Alerts are not resolved: what is wrong stays wrong while nobody looks.
    pub async fn stop(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(running) = running {
            running.cancelled.cancel();
            running.tracker.close();
            running.tracker.wait().await;
        }
    }

    fn start(&self, config: AlertmanagerConfig, book: Arc<Mutex<Book>>) -> Running {
        let (cancelled, tracker) = (CancellationToken::new(), TaskTracker::new());
        let (rounds, published) = watch::channel(Arc::new(Round::default()));
        for url in &config.urls {
            info!(alertmanager = %targets::name(url), "Alerts are sent.");
            let target = targets::Target::new(
                url.clone(),
                &config,
                Arc::clone(&self.source),
                Arc::clone(&self.observer),
                Arc::clone(&self.resolver),
                self.seed,
            );
            tracker.spawn(target.run(published.clone(), cancelled.clone(), tracker.clone()));
        }
        let (source, observer) = (Arc::clone(&self.source), Arc::clone(&self.observer));
        book.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stamp(Stamp::from(&config));
        tracker.spawn(look(
            source,
            observer,
            Arc::clone(&book),
            rounds,
            cancelled.clone(),
        ));
        Running {
            config,
            book,
            cancelled,
            tracker,
        }
    }
}

/// Publishes what fires, again and again.
async fn look(
    source: Arc<dyn Source>,
    observer: Arc<dyn Observer>,
    book: Arc<Mutex<Book>>,
    rounds: watch::Sender<Arc<Round>>,
    cancelled: CancellationToken,
) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancelled.cancelled() => return,
            _ = looks.tick() => {}
        }
        let now = source.now();
        let troubles = source.troubles(now);
        let (round, newly_suppressed) = book
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .look(troubles, now);
        observer.looked(round.firing.len(), newly_suppressed);
        rounds.send_replace(Arc::new(round));
    }
}

impl std::fmt::Debug for Alerting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerting").finish_non_exhaustive()
    }
}
