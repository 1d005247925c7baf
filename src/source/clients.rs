//! MNS clients: one per queue, so that its calls are counted under its id; credentials and connections are shared by
//! all queues of an account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::watcher::StartError;
use crate::aliyun::credentials::{self, Context, Provider};
use crate::aliyun::transport;
use crate::clock::{ServerClock, UnixMillis};
use crate::config::{AccountConfig, Endpoint, VodConfig};
use crate::metrics::{AccountCredentials, Metrics, QueueRequests};
use crate::mns::client::{Client, ClientConfig, Observer, Operation};
use crate::vod::api;

/// Makes clients.
#[derive(Debug)]
pub(super) struct Clients {
    clock: Arc<ServerClock>,
    metrics: Arc<Metrics>,
    accounts: Mutex<HashMap<Arc<str>, Account>>,
}

#[derive(Clone, Debug)]
struct Account {
    /// By what it was made: an account that the config describes in another way is another.
    config: AccountConfig,
    credentials: Arc<Provider>,
    http: reqwest::Client,
}

/// Counts one queue's calls.
struct Requests(QueueRequests);

/// Shows what becomes of an account's credentials.
struct Shown(Arc<AccountCredentials>);

/// Counts the calls of VOD's API with an account.
struct VodRequests {
    metrics: Arc<Metrics>,
    account: Arc<str>,
}

// === impl Clients ===

impl Clients {
    pub(super) fn new(clock: Arc<ServerClock>, metrics: Arc<Metrics>) -> Self {
        Self {
            clock,
            metrics,
            accounts: Mutex::default(),
        }
    }

    /// A client whose calls are counted under `queue`, empty for calls that concern none.
    pub(super) fn client(
        &self,
        queue: &str,
        account: &AccountConfig,
        endpoint: &Endpoint,
        region: &str,
        seed: u64,
    ) -> Result<Client, transport::Error> {
        let Account {
            credentials, http, ..
        } = self.account(account, seed)?;
        let config = ClientConfig {
            endpoint: endpoint.url().clone(),
            region: (!region.is_empty()).then(|| region.to_owned()),
            signature: account.signature,
            seed,
        };
        let observer = Arc::new(Requests(self.metrics.queue_requests(queue)));
        Ok(Client::new(
            config,
            credentials,
            http,
            Arc::clone(&self.clock),
            observer,
        ))
    }

    /// A client for the VOD of an account.
    pub(super) fn vod(
        &self,
        account: &AccountConfig,
        vod: &VodConfig,
        seed: u64,
    ) -> Result<api::Client, StartError> {
        let endpoint = vod
            .endpoint
            .clone()
            .or_else(|| api::endpoint_of(&vod.region));
        let endpoint = endpoint.ok_or_else(|| StartError::Region(Arc::clone(&vod.region)))?;
        let Account {
            credentials, http, ..
        } = self
            .account(account, seed)
            .map_err(|source| StartError::Client {
                account: Arc::clone(&account.name),
                source,
            })?;
        let config = api::ClientConfig {
            endpoint,
            app_id: vod.app_id.as_deref().map(str::to_owned),
            seed,
        };
        let observer = Arc::new(VodRequests {
            metrics: Arc::clone(&self.metrics),
            account: Arc::clone(&account.name),
        });
        Ok(api::Client::new(config, credentials, http, observer))
    }

    /// Ends the series of a queue's calls.
    pub(super) fn forget(&self, queue: &str) {
        self.metrics.remove_queue(queue);
    }

    /// Forgets the accounts that no config names any more.
    pub(super) fn retain(&self, is_used: impl Fn(&AccountConfig) -> bool) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, account| is_used(&account.config));
        self.metrics
            .retain_accounts(|name| accounts.contains_key(name));
    }

    fn account(&self, config: &AccountConfig, seed: u64) -> Result<Account, transport::Error> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&config.name)
            && account.config == *config
        {
            return Ok(account.clone());
        }
        let options = config.transport();
        let http = options.client()?;
        let shown = Arc::new(Shown(self.metrics.credentials(&config.name)));
        let name = Arc::clone(&config.name);
        let context = Context::new(name, http.clone(), &options, shown, seed)?;
        let account = Account {
            config: config.clone(),
            credentials: Arc::new(Provider::of(&config.credentials, context)),
            http,
        };
        accounts.insert(Arc::clone(&config.name), account.clone());
        Ok(account)
    }
}

// === impl Requests ===

impl Observer for Requests {
    fn called(
        &self,
        _queue: &str,
        operation: Operation,
        code: &'static str,
        took: Duration,
        long_poll: bool,
    ) {
        self.0.called(operation.name(), code, took, long_poll);
    }
}

// === impl Shown ===

impl credentials::Observer for Shown {
    fn renewed(&self, expires: Option<UnixMillis>) {
        self.0.renewed(expires);
    }

    fn failed(&self, kind: &'static str) {
        self.0.failed(kind);
    }
}

// === impl VodRequests ===

impl api::Observer for VodRequests {
    fn called(&self, operation: api::Operation, code: &'static str, _took: Duration) {
        self.metrics
            .vod_called(&self.account, operation.name(), code);
    }
}
