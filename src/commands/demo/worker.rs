//! The demo's worker: consumes a queue, slowly, and dies on some messages before it has deleted its batch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Url;

use super::{ACCESS_KEY_ID, ACCESS_KEY_SECRET};
use crate::aliyun::credentials::{Credentials, Provider};
use crate::aliyun::{sign, transport};
use crate::clock::ServerClock;
use crate::mns::Message;
use crate::mns::client::{Client, ClientConfig, Observer, Operation};
use crate::mns::xml::MessageBatch;

const BATCH: usize = 8;
const LONG_POLL: Duration = Duration::from_secs(5);
/// Work on one message.
const WORK: Duration = Duration::from_millis(150);
/// Until somebody has restarted a dead worker.
const RESTART: Duration = Duration::from_secs(2);
/// The same where the death was asked for. Longer than the visibility timeout and a tick together, so that the exporter,
/// which only peeks, sees what the worker does not take.
const LONG_RESTART: Duration = Duration::from_secs(10);
/// One message in so many is poison: the worker dies on it each time.
const EVERY: u64 = 25;
/// The first of them, so that somebody who looks sees it within a minute.
const FIRST: u64 = 3;

/// The messages that the worker dies on.
#[derive(Debug)]
pub(super) struct Poison {
    /// Whether it dies on a message unasked.
    by_itself: bool,
    first_deliveries: u64,
    /// How long the worker is dead after each, by message id.
    ids: HashMap<String, Duration>,
}

/// Counts nothing: only the exporter's own calls are of interest.
struct Unobserved;

/// A client as a worker of its own would have it.
pub(super) fn client(url: &str) -> anyhow::Result<Client> {
    let config = ClientConfig {
        endpoint: Url::parse(url)?,
        region: None,
        signature: sign::Version::V2,
        seed: 0,
    };
    let credentials = Provider::fixed(Credentials {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        access_key_secret: SecretString::from(ACCESS_KEY_SECRET),
        security_token: None,
    });
    let http = transport::Options::default().client()?;
    let clock = Arc::new(ServerClock::default());
    Ok(Client::new(
        config,
        Arc::new(credentials),
        http,
        clock,
        Arc::new(Unobserved),
    ))
}

/// Works until cancelled.
pub(super) async fn run(
    client: Client,
    queue: &str,
    poison: Arc<Mutex<Poison>>,
    cancelled: CancellationToken,
) {
    let work = async {
        loop {
            match client.batch_receive(queue, BATCH, LONG_POLL).await {
                Ok(batch) => work_off(&client, queue, &poison, &batch).await,
                Err(error) if error.is_empty() => {}
                Err(error) => {
                    warn!(%error, "The demo's worker cannot receive.");
                    tokio::time::sleep(RESTART).await;
                }
            }
        }
    };
    tokio::select! {
        () = cancelled.cancelled() => {}
        () = work => {}
    }
}

async fn work_off(client: &Client, queue: &str, poison: &Mutex<Poison>, batch: &MessageBatch) {
    for message in batch.iter() {
        let dies = poison
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is(&message);
        if let Some(restart) = dies {
            warn!(
                queue,
                message_id = message.id,
                dequeue_count = message.dequeue_count,
                "The demo's worker dies on a message."
            );
            tokio::time::sleep(restart).await;
            return;
        }
        tokio::time::sleep(WORK).await;
        let handle = message.receipt_handle.unwrap_or_default();
        if let Err(error) = client.batch_delete(queue, &[handle]).await {
            warn!(%error, "The demo's worker cannot delete.");
        }
    }
}

// === impl Poison ===

impl Poison {
    /// With `by_itself`, now and then a message is poison unasked.
    pub(super) fn new(by_itself: bool) -> Self {
        Self {
            by_itself,
            first_deliveries: 0,
            ids: HashMap::new(),
        }
    }

    /// The worker dies on the message with this id.
    pub(super) fn add(&mut self, id: &str) {
        self.ids.insert(id.to_owned(), LONG_RESTART);
    }

    /// The worker dies on none of those any more.
    pub(super) fn clear(&mut self) {
        self.ids.clear();
    }

    /// How long the worker is dead if it dies on this message: by itself on the third it ever gets, and on every twenty-fifth from there.
    fn is(&mut self, message: &Message<'_>) -> Option<Duration> {
        if self.by_itself && message.dequeue_count == 1 {
            self.first_deliveries += 1;
            if self.first_deliveries % EVERY == FIRST {
                self.ids.insert(message.id.to_owned(), RESTART);
            }
        }
        self.ids.get(message.id).copied()
    }
}

// === impl Unobserved ===

impl Observer for Unobserved {
    fn called(&self, _: &str, _: Operation, _: &'static str, _: Duration, _: bool) {}
}
