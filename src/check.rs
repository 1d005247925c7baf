//! Everything that a new installation gets wrong, looked at as a person would, in the order in which one thing needs another.
//!
//! Nothing is changed: no message is received, deleted, sent or made invisible. What depends on something that failed is
//! skipped, with the reason.

mod account;
pub mod actions;
mod callback;
mod configuration;
mod network;
mod permissions;
mod queue;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use self::account::Access;
use crate::aliyun::credentials::Environment;
use crate::clock::ServerClock;
use crate::config::{AccountConfig, Config, Endpoint, QueueConfig, VodConfig};
use crate::ledger::snapshot::Role;
use crate::mns::{self, ClientConfig, Operation};
use crate::vod::api;

pub use self::configuration::{problems, unusable};
pub use self::report::{Area, Finding, Report, Status};

/// For one call, its retries included.
const PATIENCE: Duration = Duration::from_secs(12);
/// Queues that are looked at for each prefix; the others are like them.
const MAX_DISCOVERED: usize = 3;

/// What the config does not say.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the config is called in findings.
    pub origin: String,
    /// Where STS is, whatever the accounts say.
    pub sts_endpoint: Option<Url>,
    /// Where RAM is.
    pub ram_endpoint: Url,
    /// The variables by which credentials are found.
    pub environment: Environment,
    /// Of everything random.
    pub seed: u64,
}

/// What is known while checking.
struct Checker {
    options: Options,
    rng: Mutex<fastrand::Rng>,
    clock: Arc<ServerClock>,
    report: Report,
    /// By account's name; or why it is of no use.
    accounts: BTreeMap<Arc<str>, Result<Access, String>>,
    /// By account's name and endpoint; or why nothing can be asked there.
    reached: BTreeMap<(Arc<str>, String), Result<(), String>>,
}

/// Counts nothing.
struct Unobserved;

/// Goes through everything.
pub async fn run(config: &Config, options: Options) -> Report {
    let mut checker = Checker::new(options);
    configuration::good(config, &checker.options.origin, &mut checker.report);
    let accounts = accounts(config);
    for account in accounts.values() {
        account::secrets(account, &mut checker.report);
    }
    let templates: Vec<QueueConfig> = config
        .discoveries
        .iter()
        .map(|discovery| discovery.queue(&discovery.prefix))
        .collect();
    for queue in config.queues.iter().chain(&templates) {
        checker.reach_all(queue).await;
    }
    for account in accounts.values() {
        checker.enter(account).await;
    }
    let mut queues = config.queues.clone();
    for discovery in &config.discoveries {
        let known: BTreeSet<_> = queues
            .iter()
            .map(|queue| Arc::clone(&queue.identity.mns_queue))
            .collect();
        queues.extend(checker.discover(discovery, &known).await);
    }
    for queue in &queues {
        checker.queue(queue).await;
    }
    checker.roles(&queues).await;
    for queue in &queues {
        checker.callback(queue).await;
    }
    checker.report
}

/// Every account in use, by name.
fn accounts(config: &Config) -> BTreeMap<Arc<str>, Arc<AccountConfig>> {
    let queues = config.queues.iter().flat_map(|queue| {
        let target = queue.forward.as_ref().map(|forward| &forward.account);
        std::iter::once(&queue.account).chain(target)
    });
    let templates: Vec<QueueConfig> = config
        .discoveries
        .iter()
        .map(|discovery| discovery.queue(&discovery.prefix))
        .collect();
    let discovered = templates.iter().flat_map(|queue| {
        let target = queue.forward.as_ref().map(|forward| &forward.account);
        std::iter::once(&queue.account).chain(target)
    });
    queues
        .chain(discovered)
        .map(|account| (Arc::clone(&account.name), Arc::clone(account)))
        .collect()
}

/// Where the VOD of a queue is; none for a region that no host can have.
fn vod_endpoint(vod: &VodConfig) -> Option<Url> {
    let endpoint = vod.endpoint.clone();
    endpoint.or_else(|| api::endpoint_of(&vod.region))
}

/// The answer, or that there was none in time.
async fn in_time<T, E: std::fmt::Display>(
    asking: impl Future<Output = Result<T, E>>,
) -> Result<Result<T, E>, String> {
    tokio::time::timeout(PATIENCE, asking)
        .await
        .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))
}

/// What was found and what to do: our errors say both, in this order.
fn split(text: &str) -> (String, Option<String>) {
    match text.split_once("; ") {
        Some((found, remedy)) => (found.to_owned(), Some(remedy.to_owned())),
        None => (text.to_owned(), None),
    }
}

// === impl Checker ===

impl Checker {
    fn new(options: Options) -> Self {
        Self {
            rng: Mutex::new(fastrand::Rng::with_seed(options.seed)),
            options,
            clock: Arc::default(),
            report: Report::default(),
            accounts: BTreeMap::new(),
            reached: BTreeMap::new(),
        }
    }

    /// Looks for every service that a queue needs, once each.
    async fn reach_all(&mut self, queue: &QueueConfig) {
        self.reach(&queue.account, queue.endpoint.url()).await;
        if let Some(forward) = &queue.forward {
            self.reach(&forward.account, forward.endpoint.url()).await;
        }
        if let Some(endpoint) = queue.vod.as_ref().and_then(vod_endpoint) {
            self.reach(&queue.account, &endpoint).await;
        }
    }

    async fn reach(&mut self, account: &AccountConfig, url: &Url) {
        let key = key(account, url);
        if !self.reached.contains_key(&key) {
            let reached = network::reach(account, url, &mut self.report).await;
            self.reached.insert(key, reached);
        }
    }

    /// Whether something can be asked there with this account; else the reason why not.
    fn access(&self, account: &AccountConfig, url: &Url) -> Result<&Access, String> {
        if let Some(Err(reason)) = self.reached.get(&key(account, url)) {
            return Err(reason.clone());
        }
        match self.accounts.get(&account.name) {
            Some(Ok(access)) => Ok(access),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(format!("account {} was not looked at", account.name)),
        }
    }

    /// A client of MNS; or why there is none.
    fn client(
        &self,
        account: &AccountConfig,
        endpoint: &Endpoint,
        region: &str,
    ) -> Result<mns::Client, String> {
        let access = self.access(account, endpoint.url())?;
        let config = ClientConfig {
            endpoint: endpoint.url().clone(),
            region: (!region.is_empty()).then(|| region.to_owned()),
            signature: account.signature,
            seed: self.options.seed,
        };
        Ok(mns::Client::new(
            config,
            Arc::clone(&access.provider),
            access.http.clone(),
            Arc::clone(&self.clock),
            Arc::new(Unobserved),
        ))
    }

    /// Who asks, as far as is known.
    fn caller(&self, account: &AccountConfig) -> String {
        let access = self.accounts.get(&account.name);
        let identity = access
            .and_then(|access| access.as_ref().ok())
            .and_then(|access| access.identity.as_ref());
        identity.map_or_else(
            || format!("the RAM identity of account {}", account.name),
            |identity| identity.arn.clone(),
        )
    }

    /// From now on nothing is asked with this account.
    fn give_up(&mut self, account: &AccountConfig, reason: String) {
        self.accounts.insert(Arc::clone(&account.name), Err(reason));
    }

    fn nonce(&self) -> String {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{:032x}", rng.u128(..))
    }

    /// Whether VOD may write into the queues, once for each account.
    async fn roles(&mut self, queues: &[QueueConfig]) {
        let mut seen = BTreeSet::new();
        for queue in queues {
            if queue.identity.role == Role::Callback && seen.insert(Arc::clone(&queue.account.name))
            {
                self.role(&queue.account).await;
            }
        }
    }
}

impl mns::Observer for Unobserved {
    fn called(&self, _: &str, _: Operation, _: &'static str, _: Duration, _: bool) {}
}

impl api::Observer for Unobserved {
    fn called(&self, _: api::Operation, _: &'static str, _: Duration) {}
}

fn key(account: &AccountConfig, url: &Url) -> (Arc<str>, String) {
    (Arc::clone(&account.name), url.to_string())
}
