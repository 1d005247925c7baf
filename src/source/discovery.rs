//! Queues that are known by a prefix: one `ListQueue` call finds them and reads all their attributes.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Queue;
use super::watcher::{Attributes, Outcome, StartError, Watcher};
use crate::clock::{self, ServerClock};
use crate::config::{Discovery, MAX_QUEUES};
use crate::mns::QueueAttributes;
use crate::mns::client::Client;
use crate::mns::error::Error;
use crate::outage::{Outage, Say};

/// One rule at work.
#[derive(Debug)]
pub struct Discoverer {
    discovery: Discovery,
    client: Client,
    watcher: Arc<Watcher>,
    clock: Arc<ServerClock>,
}

// === impl Discoverer ===

impl Discoverer {
    /// What is found goes to `watcher`.
    pub fn new(
        discovery: Discovery,
        watcher: Arc<Watcher>,
        clock: Arc<ServerClock>,
    ) -> Result<Self, StartError> {
        let client = watcher.lister(&discovery)?;
        Ok(Self {
            discovery,
            client,
            watcher,
            clock,
        })
    }

    /// Looks once a tick, until cancelled. A look that fails changes nothing.
    pub async fn run(self, cancelled: CancellationToken) -> Result<(), StartError> {
        let mut known = HashSet::new();
        let mut outage = Outage::default();
        loop {
            let sent = self.clock.now().unwrap_or_else(clock::now);
            let listed = tokio::select! {
                () = cancelled.cancelled() => return Ok(()),
                listed = self.client.list_queues(&self.discovery.prefix) => listed,
            };
            self.log(&mut outage, listed.as_ref().err());
            if let Ok(queues) = listed {
                let _changing = tokio::select! {
                    () = cancelled.cancelled() => return Ok(()),
                    changing = self.watcher.changing() => changing,
                };
                self.found(&mut known, queues, sent).await?;
            }
            tokio::select! {
                () = cancelled.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.discovery.tick()) => {}
            }
        }
    }

    async fn found(
        &self,
        known: &mut HashSet<String>,
        queues: Vec<QueueAttributes>,
        sent: clock::UnixMillis,
    ) -> Result<(), StartError> {
        let found: HashSet<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
        let gone: Vec<String> = known
            .iter()
            .filter(|name| !found.contains(name.as_str()))
            .cloned()
            .collect();
        for name in gone {
            known.remove(&name);
            if self.discovered(&name).is_some() {
                self.watcher.stop(&name).await?;
            }
        }
        for attributes in queues {
            if !known.contains(&attributes.name) && known.len() >= MAX_QUEUES {
                continue;
            }
            let is_new = known.insert(attributes.name.clone());
            let config = self.discovery.queue(&attributes.name);
            // Also one that the config named until it was reloaded.
            if !self.watcher.is_watched(&config.identity) {
                let outcome = self.watcher.start(config, Attributes::Discovery).await?;
                if outcome == Outcome::IdTaken && is_new {
                    warn!(
                        queue = %attributes.name,
                        endpoint = %self.discovery.endpoint(),
                        "A discovered queue is not watched, since another has its id: name one of them under `queues` with an id."
                    );
                }
            }
            if let Some(queue) = self.discovered(&attributes.name) {
                queue.attributes(sent, &attributes).await;
            }
        }
        Ok(())
    }

    /// A queue that this rule watches, not one that the config names.
    fn discovered(&self, name: &str) -> Option<Arc<Queue>> {
        let queue = self.watcher.get(name)?;
        let ours = queue.config.identity.endpoint == self.discovery.queue(name).identity.endpoint;
        (ours && !queue.reads_attributes).then_some(queue)
    }

    fn log(&self, outage: &mut Outage, error: Option<&Error>) {
        let say = outage.note(error.map(Error::kind), Instant::now());
        let prefix = &self.discovery.prefix;
        match (say, error) {
            (Some(Say::Fails(lasting)), Some(error)) => warn!(
                %prefix,
                kind = error.kind(),
                lasting_seconds = lasting.as_secs(),
                %error,
                "Queues cannot be listed: the set of queues stays as it is."
            ),
            (Some(Say::Works(_)), _) => info!(%prefix, "Queues can be listed again."),
            _ => {}
        }
    }
}
