//! The set of queues that are watched: starts and stops them, each on its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::clients::Clients;
use super::{Queue, State};
use crate::aliyun::transport;
use crate::clock::{self, ServerClock};
use crate::config::{Discovery, QueueConfig, VodConfig};
use crate::forward::Target;
use crate::ledger::{QueueIdentity, Record};
use crate::metrics::Metrics;
use crate::metrics::catalogue::mode_label;
use crate::mns::client::Client;
use crate::reconcile::driver::Watched;
use crate::reconcile::roster::Roster;
use crate::recorder::{Recorder, Stopped};
use crate::vod::api;

/// The queues that are watched now.
#[derive(Debug)]
pub struct Watcher {
    recorder: Recorder,
    clock: Arc<ServerClock>,
    clients: Clients,
    cancelled: CancellationToken,
    tracker: TaskTracker,
    running: Mutex<HashMap<Arc<str>, Running>>,
    rng: Mutex<fastrand::Rng>,
    roster: Roster,
    changing: tokio::sync::Mutex<()>,
}

/// A queue that can be watched: everything that could fail has been done.
#[derive(Debug)]
pub(super) struct Prepared {
    config: QueueConfig,
    attributes: Attributes,
    client: Client,
    target: Option<Arc<Target>>,
    asking: Option<(api::Client, VodConfig)>,
    seed: u64,
}

#[derive(Debug)]
struct Running {
    queue: Arc<Queue>,
    tracker: TaskTracker,
}

/// Who reads a queue's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// The queue itself, by a call of its own.
    Own,
    /// A discovery, by one call for many queues.
    Discovery,
}

/// Why a queue cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process is shutting down.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// There is no client for its account.
    #[error("account {account}: {source}")]
    Client {
        /// Name in the config.
        account: Arc<str>,
        /// Why.
        source: transport::Error,
    },
    /// VOD has no endpoint in such a region.
    #[error(
        "found VOD region {0:?}, which can be part of no host name; name one such as cn-shanghai"
    )]
    Region(Arc<str>),
}

/// What became of a request to watch a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is watched from now on.
    Started,
    /// The same queue of MNS is watched already.
    AlreadyWatched,
    /// Another queue has the id.
    IdTaken,
}

// === impl Watcher ===

impl Watcher {
    /// Watches nothing yet; `seed` spreads ticks and backoffs.
    pub fn new(
        recorder: Recorder,
        clock: Arc<ServerClock>,
        metrics: Arc<Metrics>,
        seed: u64,
    ) -> Self {
        let (cancelled, tracker) = (CancellationToken::new(), TaskTracker::new());
        let roster = Roster::new(
            recorder.clone(),
            Arc::clone(&clock),
            metrics.callbacks(),
            cancelled.child_token(),
            tracker.clone(),
        );
        Self {
            recorder,
            clients: Clients::new(Arc::clone(&clock), metrics),
            clock,
            cancelled,
            tracker,
            roster,
            running: Mutex::default(),
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// The right to change which queues are watched. Whoever starts or stops some holds it meanwhile.
    pub(super) async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Starts to watch a queue, unless it or another of its id is watched already.
    pub async fn start(
        &self,
        config: QueueConfig,
        attributes: Attributes,
    ) -> Result<Outcome, StartError> {
        if let Some(outcome) = self.conflict(&config.identity) {
            return Ok(outcome);
        }
        let prepared = self.prepare(config, attributes)?;
        self.launch(prepared).await?;
        Ok(Outcome::Started)
    }

    /// Makes everything that a queue needs, and changes nothing.
    pub(super) fn prepare(
        &self,
        config: QueueConfig,
        attributes: Attributes,
    ) -> Result<Prepared, StartError> {
        let seed = self.seed();
        let QueueConfig {
            identity,
            account,
            endpoint,
            ..
        } = &config;
        let client = self
            .clients
            .client(&identity.id, account, endpoint, &identity.region, seed)
            .map_err(|source| StartError::Client {
                account: Arc::clone(&account.name),
                source,
            })?;
        let target = self.target(&config, seed)?;
        let asking = config
            .vod
            .clone()
            .map(|vod| Ok::<_, StartError>((self.clients.vod(account, &vod, seed)?, vod)))
            .transpose()?;
        Ok(Prepared {
            config,
            attributes,
            client,
            target,
            asking,
            seed,
        })
    }

    /// Watches a queue, which nobody watches and whose id is free.
    pub(super) async fn launch(&self, prepared: Prepared) -> Result<(), StartError> {
        let Prepared {
            config,
            attributes,
            client,
            target,
            asking,
            seed,
        } = prepared;
        let identity = Arc::clone(&config.identity);
        let at = self.clock.now().unwrap_or_else(clock::now);
        let index = self
            .recorder
            .open(Arc::clone(&identity), config.settings, at)
            .await?;
        if let Some((client, vod)) = asking {
            let watched = Watched {
                index,
                identity: Arc::clone(&identity),
            };
            self.roster
                .watch(&config.account, &vod, watched, seed, client);
        }
        let queue = Arc::new(Queue {
            config,
            client,
            target,
            recorder: self.recorder.clone(),
            clock: Arc::clone(&self.clock),
            index,
            cancelled: self.cancelled.child_token(),
            reads_attributes: attributes == Attributes::Own,
            seed,
            state: Mutex::new(State::default()),
        });
        info!(queue = %identity.id, endpoint = %identity.endpoint, mode = mode_label(identity.mode), "Watching the queue.");
        if let Some(target) = &queue.target {
            let id = queue.id();
            info!(queue = id, target_queue = %target.name(), "Passing messages on.");
        }
        let tracker = TaskTracker::new();
        tracker.spawn(self.tracker.track_future(super::run(Arc::clone(&queue))));
        tracker.close();
        self.running()
            .insert(Arc::clone(&identity.id), Running { queue, tracker });
        Ok(())
    }

    /// Stops watching a queue: its series vanish, its counters stay in the ledger for 30 days.
    pub async fn stop(&self, id: &str) -> Result<(), Stopped> {
        let Some(queue) = self.end(id).await else {
            return Ok(());
        };
        info!(queue = id, "No longer watching the queue.");
        let at = queue.now();
        self.recorder
            .commit(Record::Closed {
                queue: queue.index,
                at,
            })
            .await?;
        self.clients.forget(id);
        Ok(())
    }

    /// Ends a queue's tasks once what they received is deleted or released. In the ledger the queue stays open, so that
    /// it can be watched in another way without a gap.
    pub(super) async fn end(&self, id: &str) -> Option<Arc<Queue>> {
        let Running { queue, tracker } = self.running().remove(id)?;
        self.roster.forget(id);
        queue.cancelled.cancel();
        tracker.wait().await;
        Some(queue)
    }

    /// Ends the series of a queue's calls, whose id is no longer in use.
    pub(super) fn forget(&self, id: &str) {
        self.clients.forget(id);
    }

    /// Forgets the accounts of queues and rules that are gone.
    pub(super) fn forget_accounts<'a>(&self, rules: impl Iterator<Item = &'a Discovery>) {
        let queues = self.watched().into_iter().flat_map(|(queue, _)| {
            let forward = queue.forward.map(|forward| forward.account);
            [Some(queue.account), forward].into_iter().flatten()
        });
        let used: Vec<_> = queues
            .chain(rules.map(Discovery::account).cloned())
            .collect();
        self.clients
            .retain(|account| used.iter().any(|used| **used == *account));
    }

    /// Everything that is watched, and who reads its attributes.
    pub(super) fn watched(&self) -> Vec<(QueueConfig, Attributes)> {
        let running = self.running();
        let queues = running.values().map(|running| &running.queue);
        queues
            .map(|queue| {
                let attributes = match queue.reads_attributes {
                    true => Attributes::Own,
                    false => Attributes::Discovery,
                };
                (queue.config.clone(), attributes)
            })
            .collect()
    }

    /// Whether anybody watches this queue of MNS.
    pub(super) fn is_watched(&self, identity: &QueueIdentity) -> bool {
        self.conflict(identity) == Some(Outcome::AlreadyWatched)
    }

    /// A client to look for queues with.
    pub(super) fn lister(&self, discovery: &Discovery) -> Result<Client, StartError> {
        let account = discovery.account();
        self.clients
            .client(
                "",
                account,
                discovery.endpoint(),
                discovery.region(),
                self.seed(),
            )
            .map_err(|source| StartError::Client {
                account: Arc::clone(&account.name),
                source,
            })
    }

    /// A watched queue.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Queue>> {
        self.running()
            .get(id)
            .map(|running| Arc::clone(&running.queue))
    }

    /// Stops receiving everywhere and waits until what was received is committed and deleted or released.
    pub async fn drain(&self) {
        self.cancelled.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// The queue that a queue's messages are passed on to; its calls are counted under the latter.
    fn target(&self, config: &QueueConfig, seed: u64) -> Result<Option<Arc<Target>>, StartError> {
        let Some(forward) = &config.forward else {
            return Ok(None);
        };
        let (id, account) = (&config.identity.id, &forward.account);
        let client = self
            .clients
            .client(id, account, &forward.endpoint, &forward.region, seed)
            .map_err(|source| StartError::Client {
                account: Arc::clone(&account.name),
                source,
            })?;
        let rng = fastrand::Rng::with_seed(seed);
        let target = Target::new(Arc::clone(id), Arc::clone(&forward.name), client, rng);
        Ok(Some(Arc::new(target)))
    }

    fn conflict(&self, identity: &QueueIdentity) -> Option<Outcome> {
        let running = self.running();
        let same = |running: &Running| is_same(&running.queue.config.identity, identity);
        if running.values().any(same) {
            Some(Outcome::AlreadyWatched)
        } else {
            running
                .contains_key(&identity.id)
                .then_some(Outcome::IdTaken)
        }
    }

    fn seed(&self) -> u64 {
        self.rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .u64(..)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Arc<str>, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether both mean the same queue of MNS.
pub(super) fn is_same(a: &QueueIdentity, b: &QueueIdentity) -> bool {
    a.endpoint == b.endpoint && a.mns_queue == b.mns_queue
}
