//! The demo's worker: consumes a queue, slowly, and dies on some messages before it has deleted its batch.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Url;

use super::{ACCESS_KEY_ID, ACCESS_KEY_SECRET};
use crate::aliyun::credentials::{Credentials, Provider};
use crate::aliyun::{sign, transport};
use crate::clock::ServerClock;
use crate::mns::client::{Client, ClientConfig, Observer, Operation};
use crate::mns::xml::MessageBatch;

const BATCH: usize = 8;
const LONG_POLL: Duration = Duration::from_secs(5);
/// Work on one message.
const WORK: Duration = Duration::from_millis(150);
/// Until somebody has restarted a dead worker.
const RESTART: Duration = Duration::from_secs(5);
/// One message in so many is poison: the worker dies on it each time.
const POISON: usize = 60;

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
pub(super) async fn run(client: Client, queue: &str, seed: u64, cancelled: CancellationToken) {
    let work = async {
        loop {
            match client.batch_receive(queue, BATCH, LONG_POLL).await {
                Ok(batch) => work_off(&client, queue, seed, &batch).await,
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

async fn work_off(client: &Client, queue: &str, seed: u64, batch: &MessageBatch) {
    for message in batch.iter() {
        if is_poison(message.body, seed) {
            warn!(
                queue,
                message_id = message.id,
                dequeue_count = message.dequeue_count,
                "The demo's worker dies on a message."
            );
            tokio::time::sleep(RESTART).await;
            return;
        }
        tokio::time::sleep(WORK).await;
        let handle = message.receipt_handle.unwrap_or_default();
        if let Err(error) = client.batch_delete(queue, &[handle]).await {
            warn!(%error, "The demo's worker cannot delete.");
        }
    }
}

fn is_poison(body: &str, seed: u64) -> bool {
    let sum = body.bytes().map(usize::from).sum::<usize>();
    sum.wrapping_add(usize::try_from(seed).unwrap_or_default())
        .is_multiple_of(POISON)
}

// === impl Unobserved ===

impl Observer for Unobserved {
    fn called(&self, _: &str, _: Operation, _: &'static str, _: Duration, _: bool) {}
}
