//! Which driver asks for which queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use url::Url;

use super::budget::Budget;
use super::callback::CallbackConfig;
use super::driver::{self, Driver, Settings, Watched};
use crate::clock::ServerClock;
use crate::config::{AccountConfig, VodConfig};
use crate::ledger::{Overdue, QueueIndex, Record, Situation};
use crate::recorder::{Recorder, Stopped};
use crate::vod::api::Client;

/// All drivers: one for each account and way of asking VOD.
#[derive(Debug)]
pub struct Roster {
    recorder: Recorder,
    clock: Arc<ServerClock>,
    callbacks: Arc<CallbackConfig>,
    cancelled: CancellationToken,
    tracker: TaskTracker,
    groups: Mutex<Groups>,
}

#[derive(Debug, Default)]
struct Groups {
    drivers: Vec<Group>,
    /// Requests are counted by VOD for an account in a region, whatever they are about.
    budgets: HashMap<(Arc<str>, Url), Arc<Budget>>,
}

#[derive(Debug)]
struct Group {
    account: Arc<AccountConfig>,
    vod: VodConfig,
    queues: Queues,
    budget: Arc<Budget>,
    /// Ends its driver.
    cancelled: CancellationToken,
}

type Queues = Arc<Mutex<Vec<Watched>>>;

/// What one driver sees of the ledger.
struct Book {
    recorder: Recorder,
    clock: Arc<ServerClock>,
    queues: Queues,
}

// === impl Roster ===

impl Roster {
    /// Asks nobody yet. Drivers are tracked by `tracker` and end with `cancelled`.
    pub fn new(
        recorder: Recorder,
        clock: Arc<ServerClock>,
        callbacks: Arc<CallbackConfig>,
        cancelled: CancellationToken,
        tracker: TaskTracker,
    ) -> Self {
        Self {
            recorder,
            clock,
            callbacks,
            cancelled,
            tracker,
            groups: Mutex::default(),
        }
    }

    /// Has VOD asked about the transcodes of a queue from now on. `client` is used if no other queue of the account asks in
    /// the same way.
    pub fn watch(
        &self,
        account: &Arc<AccountConfig>,
        vod: &VodConfig,
        queue: Watched,
        seed: u64,
        client: Client,
    ) {
        let mut groups = self.groups();
        let same = |group: &&Group| group.account == *account && group.vod == *vod;
        if let Some(group) = groups.drivers.iter().find(same) {
            lock(&group.queues).push(queue);
            return;
        }
        info!(queue = %queue.identity.id, vod = client.host(), "Asking VOD about overdue transcodes.");
        let budget = groups
            .budgets
            .entry((Arc::clone(&account.name), client.endpoint().clone()))
            .or_insert_with(|| Arc::new(Budget::new(vod.requests_per_second)));
        let budget = Arc::clone(budget);
        let queues = Arc::new(Mutex::new(vec![queue]));
        let book = Book {
            recorder: self.recorder.clone(),
            clock: Arc::clone(&self.clock),
            queues: Arc::clone(&queues),
        };
        let groups_of_templates = vod.no_transcode_template_groups.iter();
        let settings = Settings {
            region: vod.region.to_string(),
            not_transcoded: groups_of_templates.map(ToString::to_string).collect(),
            poll_interval: Some(vod.poll_interval),
            seed,
        };
        let callbacks = Arc::clone(&self.callbacks);
        let cancelled = self.cancelled.child_token();
        let driver = Driver::new(client, book, Arc::clone(&budget), callbacks, settings);
        self.tracker.spawn(driver.run(cancelled.clone()));
        groups.drivers.push(Group {
            account: Arc::clone(account),
            vod: vod.clone(),
            queues,
            budget,
            cancelled,
        });
    }

    /// Ends the questions about a queue, and what was said of its callback configuration. A driver without a queue ends.
    pub fn forget(&self, id: &str) {
        let mut groups = self.groups();
        let Groups { drivers, budgets } = &mut *groups;
        drivers.retain(|group| {
            let mut queues = lock(&group.queues);
            queues.retain(|queue| &*queue.identity.id != id);
            if queues.is_empty() {
                group.cancelled.cancel();
            }
            !queues.is_empty()
        });
        budgets.retain(|_, budget| {
            drivers
                .iter()
                .any(|group| Arc::ptr_eq(&group.budget, budget))
        });
        self.callbacks.forget(id);
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        lock(&self.groups)
    }
}

// === impl Book ===

impl driver::Ledger for Book {
    fn queues(&self) -> Vec<Watched> {
        lock(&self.queues).clone()
    }

    fn overdue(&self, queue: QueueIndex, limit: usize) -> Vec<Overdue> {
        self.recorder.overdue(queue, limit)
    }

    fn situation(&self, queue: QueueIndex) -> Option<Situation> {
        self.recorder.situation(queue, self.clock.now()?)
    }

    async fn commit(&self, record: Record) -> Result<(), Stopped> {
        self.recorder.commit(record).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
