//! Where the Alertmanagers are: every address of every URL, looked up again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use url::{Host, Url};

use super::alerts::Round;
use super::client::{Client, Peer};
use super::outbox::Outbox;
use super::{Observer, Sent, Source};
use crate::config::AlertmanagerConfig;
use crate::mns::retry::Backoff;
use crate::outage::{Outage, Say};

/// Between two lookups of a name.
const AGAIN: Duration = Duration::from_secs(30);
/// The same while it leads nowhere.
const SOON: Duration = Duration::from_secs(5);
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// For a connection to show that somebody is there.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// Addresses of one name: a cluster of Alertmanagers is far smaller.
const MAX_ADDRESSES: usize = 16;

/// Who knows the addresses of a name.
pub trait Resolver: Send + Sync + 'static {
    /// Looks a name up, with the port for its addresses.
    fn look_up<'a>(&'a self, name: &'a str, port: u16) -> Lookup<'a>;
}

/// A lookup under way.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct System;

/// All Alertmanagers behind one URL.
pub struct Target {
    url: Url,
    name: Arc<str>,
    config: AlertmanagerConfig,
    source: Arc<dyn Source>,
    observer: Arc<Failures>,
    resolver: Arc<dyn Resolver>,
    seed: u64,
    /// Who is told.
    peers: BTreeMap<SocketAddr, Known>,
    /// What those were told that are gone. Whoever is new may be one of them: an Alertmanager that was moved has its disk, and
    /// another address.
    gone: Outbox,
    outage: Outage,
}

/// Somebody who is told.
struct Known {
    ending: CancellationToken,
    task: JoinHandle<Outbox>,
}

/// Passes on what becomes of alerts, and remembers whether the last call failed.
struct Failures {
    observer: Arc<dyn Observer>,
    failing: AtomicBool,
}

/// Host and port: what labels and the log call an Alertmanager.
pub fn name(url: &Url) -> Arc<str> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    Arc::from(format!("{host}:{port}"))
}

/// The addresses of each family, that of the first address first. A name with both leads to the same servers by either.
fn families(found: impl IntoIterator<Item = SocketAddr>) -> Vec<BTreeSet<SocketAddr>> {
    let mut families: Vec<BTreeSet<SocketAddr>> = Vec::new();
    for address in found {
        let is_same = |family: &&mut BTreeSet<SocketAddr>| {
            family
                .first()
                .is_some_and(|first| first.is_ipv4() == address.is_ipv4())
        };
        match families.iter_mut().find(is_same) {
            Some(family) if family.len() < MAX_ADDRESSES => _ = family.insert(address),
            Some(_) => {}
            None => families.push(BTreeSet::from([address])),
        }
    }
    families
}

/// Whether one of them accepts a connection.
async fn is_there(addresses: &BTreeSet<SocketAddr>) -> bool {
    let mut connections: Vec<_> = addresses
        .iter()
        .map(|address| Box::pin(TcpStream::connect(*address)))
        .collect();
    let first = std::future::poll_fn(|context| {
        let mut accepted = false;
        connections.retain_mut(|connection| match connection.as_mut().poll(context) {
            Poll::Ready(outcome) => {
                accepted |= outcome.is_ok();
                false
            }
            Poll::Pending => true,
        });
        if accepted || connections.is_empty() {
            Poll::Ready(accepted)
        } else {
            Poll::Pending
        }
    });
    tokio::time::timeout(KNOCK_TIMEOUT, first)
        .await
        .unwrap_or(false)
}

// === impl Failures ===

impl Observer for Failures {
    fn configured(&self, alertmanagers: &[Arc<str>]) {
        self.observer.configured(alertmanagers);
    }

    fn looked(&self, active: usize, newly_suppressed: usize) {
        self.observer.looked(active, newly_suppressed);
    }

    fn sent(&self, alertmanager: &str, result: Sent, alerts: usize) {
        let failed = result == Sent::Failed;
        self.failing.store(failed, Ordering::Relaxed);
        self.observer.sent(alertmanager, result, alerts);
    }
}

// === impl System ===

impl Resolver for System {
    fn look_up<'a>(&'a self, name: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

// === impl Target ===

impl Target {
    /// The Alertmanagers behind `url`, none of which is known yet.
    pub fn new(
        url: Url,
        config: &AlertmanagerConfig,
        source: Arc<dyn Source>,
        observer: Arc<dyn Observer>,
        resolver: Arc<dyn Resolver>,
        seed: u64,
    ) -> Self {
        Self {
            name: name(&url),
            url,
            config: config.clone(),
            source,
            observer: Arc::new(Failures {
                observer,
                failing: AtomicBool::new(false),
            }),
            resolver,
            seed,
            peers: BTreeMap::new(),
            gone: Outbox::new(config.resend),
            outage: Outage::default(),
        }
    }

    /// Tells each of them what fires, until cancelled.
    pub async fn run(
        mut self,
        rounds: watch::Receiver<Arc<Round>>,
        cancelled: CancellationToken,
        tracker: TaskTracker,
    ) {
        loop {
            let found = tokio::select! {
                () = cancelled.cancelled() => return,
                found = self.look_up() => found,
            };
            let error = found.as_ref().err().cloned();
            match found {
                Ok(addresses) => {
                    self.follow(&addresses, &rounds, &cancelled, &tracker).await;
                }
                // Nobody else tells of what is not sent.
                Err(_) if self.peers.is_empty() => {
                    let firing = rounds.borrow().firing.len();
                    self.observer.sent(&self.name, Sent::Failed, firing);
                }
                Err(_) => {}
            }
            let pause = if error.is_some() { SOON } else { AGAIN };
            self.note(error);
            tokio::select! {
                () = cancelled.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn look_up(&self) -> Result<BTreeSet<SocketAddr>, String> {
        let port = self.url.port_or_known_default().unwrap_or_default();
        let name = match self.url.host() {
            Some(Host::Ipv4(ip)) => return Ok(BTreeSet::from([(ip, port).into()])),
            Some(Host::Ipv6(ip)) => return Ok(BTreeSet::from([(ip, port).into()])),
            Some(Host::Domain(name)) => name,
            None => return Err("the URL has no host".to_owned()),
        };
        let lookup = self.resolver.look_up(name, port);
        match tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
            Ok(Ok(found)) => self
                .choose(families(found))
                .await
                .ok_or_else(|| "the name has no address".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())),
        }
    }

    /// The family to use: the one in use while it works, else that of which somebody accepts connections. An Alertmanager may
    /// listen on one family only, and calls to the other would fail for ever.
    async fn choose(
        &self,
        mut families: Vec<BTreeSet<SocketAddr>>,
    ) -> Option<BTreeSet<SocketAddr>> {
        let in_use = self.peers.keys().next().map(SocketAddr::is_ipv4);
        families.sort_by_key(|family| family.first().map(SocketAddr::is_ipv4) != in_use);
        let failing = self.observer.failing.load(Ordering::Relaxed);
        // Nobody is bothered with connections for nothing while calls work.
        if families.len() > 1 && (in_use.is_none() || failing) {
            for family in &families {
                if is_there(family).await {
                    return Some(family.clone());
                }
            }
        }
        families.into_iter().next()
    }

    /// Begins to tell those that are new, and ends with those that are gone.
    async fn follow(
        &mut self,
        addresses: &BTreeSet<SocketAddr>,
        rounds: &watch::Receiver<Arc<Round>>,
        cancelled: &CancellationToken,
        tracker: &TaskTracker,
    ) {
        let gone = self
            .peers
            .extract_if(.., |address, _| !addresses.contains(address));
        for (address, peer) in gone {
            info!(alertmanager = %self.name, %address, "An Alertmanager is gone.");
            peer.ending.cancel();
            if let Ok(outbox) = peer.task.await {
                self.gone.inherit(outbox);
            }
        }
        let round = Arc::clone(&rounds.borrow());
        self.gone.look(&round, self.source.now());
        for address in addresses {
            if self.peers.contains_key(address) {
                continue;
            }
            let peer = Peer {
                name: Arc::clone(&self.name),
                client: Client::new(self.url.clone(), *address, self.config.clone()),
                outbox: self.gone.heir(),
                on_its_way: Vec::new(),
                source: Arc::clone(&self.source),
                observer: Arc::clone(&self.observer) as _,
                backoff: Backoff::new(fastrand::Rng::with_seed(self.seed)),
                not_before: None,
                outage: Outage::default(),
            };
            let ending = cancelled.child_token();
            let task = tracker.spawn(peer.run(rounds.clone(), ending.clone()));
            self.peers.insert(*address, Known { ending, task });
        }
    }

    /// The one place where failed lookups are logged.
    fn note(&mut self, error: Option<String>) {
        let kind = error.as_ref().map(|_| "lookup");
        match self.outage.note(kind, Instant::now()) {
            Some(Say::Fails(lasting)) => warn!(
                alertmanager = %self.name,
                known_addresses = self.peers.len(),
                lasting_seconds = lasting.as_secs(),
                error = error.unwrap_or_default(),
                "An Alertmanager's name cannot be looked up: the addresses known before are kept. Check the name."
            ),
            Some(Say::Works(lasted)) => info!(
                alertmanager = %self.name,
                lasted_seconds = lasted.as_secs(),
                "An Alertmanager's name can be looked up again."
            ),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_by_family_in_the_order_of_the_resolver() {
        let all = ["10.0.0.1:9093", "[fd00::1]:9093", "10.0.0.2:9093"];
        let all = all.map(|address| address.parse::<SocketAddr>().unwrap());
        let [ipv4, ipv6] = [vec![all[0], all[2]], vec![all[1]]].map(BTreeSet::from_iter);
        assert_eq!(families(all), [ipv4, ipv6.clone()]);
        let reversed = all.into_iter().skip(1);
        assert_eq!(families(reversed), [ipv6, BTreeSet::from([all[2]])]);
        assert_eq!(families([]), []);
        let many = (0..100).map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        assert_eq!(families(many)[0].len(), MAX_ADDRESSES);
    }

    #[test]
    fn the_name_is_host_and_port() {
        for (url, expected) in [
            (
                "http://alertmanager.monitoring/path",
                "alertmanager.monitoring:80",
            ),
            ("https://[::1]:9093", "[::1]:9093"),
        ] {
            assert_eq!(&*name(&url.parse().unwrap()), expected);
        }
    }
}
