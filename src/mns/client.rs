//! The calls.
//!
//! Reads (attributes, lists, peeks) are retried up to three times. Receiving, deleting, changing visibility and sending
//! never are: whether their effect took place is for the caller to find out.

mod probe;
mod request;
mod send;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use url::Url;

use self::request::{Call, unexpected};
use super::QueueAttributes;
use super::error::{Cause, Error};
use super::retry::Backoff;
use super::xml::{self, Answer, ChangedVisibility, Expected, MessageBatch};
use crate::aliyun::credentials::Provider;
use crate::aliyun::sign::{self, percent_encode};
use crate::clock::ServerClock;

pub use self::send::{Outgoing, SendFailure};

/// MNS takes and gives at most this many messages or receipt handles a call.
pub const MAX_BATCH: usize = 16;
/// MNS's longest long poll.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

const READ_ATTEMPTS: usize = 3;
/// More than an account can have queues, at 1,000 a page.
const MAX_PAGES: usize = 100;

/// Whom to call and how to sign.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `http(s)://{account}.mns.{region}.aliyuncs.com`; a path is ignored.
    pub endpoint: Url,
    /// Needed by signature version 4 only; by default taken from the endpoint's host.
    pub region: Option<String>,
    /// How to sign.
    pub signature: sign::Version,
    /// Of the jitter between attempts.
    pub seed: u64,
}

/// Is told of every attempt that was made to reach MNS, since every one may be billed.
pub trait Observer: Send + Sync {
    /// An attempt is over. `queue` is empty where the call concerns none, `code` is `ok` or an [`Error::kind`].
    fn called(
        &self,
        queue: &str,
        operation: Operation,
        code: &'static str,
        took: Duration,
        long_poll: bool,
    );
}

/// A call of the MNS API, by the vendor's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Attributes of one queue.
    GetQueueAttributes,
    /// Queues by prefix.
    ListQueue,
    /// One message, unchanged.
    PeekMessage,
    /// Up to 16 messages, unchanged.
    BatchPeekMessage,
    /// Up to 16 messages, which become invisible for a while.
    BatchReceiveMessage,
    /// Deletes up to 16 received messages.
    BatchDeleteMessage,
    /// Makes a received message invisible for longer or shorter.
    ChangeMessageVisibility,
    /// Sends one message.
    SendMessage,
    /// Sends up to 16 messages.
    BatchSendMessage,
}

/// An MNS client for one endpoint. Shared by reference; has no state but the jitter of its retries.
pub struct Client {
    config: ClientConfig,
    host: String,
    credentials: Arc<Provider>,
    http: reqwest::Client,
    clock: Arc<ServerClock>,
    observer: Arc<dyn Observer>,
    rng: Mutex<fastrand::Rng>,
}

/// What a batch deletion left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOutcome {
    /// The handles that were not deleted; all others are known to be.
    pub failed: Vec<FailedDelete>,
}

/// A handle that was not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDelete {
    /// Its place in the request.
    pub index: usize,
    /// MNS's code: `MessageNotExist` when the handle has expired or the message is gone.
    pub code: String,
}

// === impl Operation ===

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 9] = [
        Self::GetQueueAttributes,
        Self::ListQueue,
        Self::PeekMessage,
        Self::BatchPeekMessage,
        Self::BatchReceiveMessage,
        Self::BatchDeleteMessage,
        Self::ChangeMessageVisibility,
        Self::SendMessage,
        Self::BatchSendMessage,
    ];

    /// The vendor's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetQueueAttributes => "GetQueueAttributes",
            Self::ListQueue => "ListQueue",
            Self::PeekMessage => "PeekMessage",
            Self::BatchPeekMessage => "BatchPeekMessage",
            Self::BatchReceiveMessage => "BatchReceiveMessage",
            Self::BatchDeleteMessage => "BatchDeleteMessage",
            Self::ChangeMessageVisibility => "ChangeMessageVisibility",
            Self::SendMessage => "SendMessage",
            Self::BatchSendMessage => "BatchSendMessage",
        }
    }

    pub(super) fn fetches_messages(self) -> bool {
        matches!(
            self,
            Self::PeekMessage | Self::BatchPeekMessage | Self::BatchReceiveMessage
        )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl FailedDelete ===

impl FailedDelete {
    /// Whether trying again is useless: the handle has expired, was used up, or the message is gone. None of these says
    /// that the message was deleted.
    pub fn handle_is_dead(&self) -> bool {
        matches!(self.code.as_str(), "MessageNotExist" | "ReceiptHandleError")
    }
}

// === impl Client ===

impl Client {
    /// A client for `config.endpoint`. `clock` follows the `Date` of every answer.
    pub fn new(
        config: ClientConfig,
        credentials: Arc<Provider>,
        http: reqwest::Client,
        clock: Arc<ServerClock>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let host = match (config.endpoint.host_str(), config.endpoint.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        Self {
            host,
            credentials,
            http,
            clock,
            observer,
            rng: Mutex::new(fastrand::Rng::with_seed(config.seed)),
            config,
        }
    }

    /// The attributes of a queue.
    pub async fn queue_attributes(&self, queue: &str) -> Result<QueueAttributes, Error> {
        let call = Call::new(
            Operation::GetQueueAttributes,
            Method::GET,
            queue_path(queue),
        );
        let call = call.of(queue);
        self.read(&call, |answer| match answer {
            Some(Answer::Queue(attributes)) => Ok(attributes),
            other => Err(unexpected(other.as_ref())),
        })
        .await
    }

    /// All queues whose name starts with `prefix`, with their attributes.
    pub async fn list_queues(&self, prefix: &str) -> Result<Vec<QueueAttributes>, Error> {
        let (mut queues, mut marker) = (Vec::new(), None::<String>);
        for _ in 0..MAX_PAGES {
            let mut call = Call::new(Operation::ListQueue, Method::GET, "/queues".to_owned());
            call.header("x-mns-ret-number", "1000");
            call.header("x-mns-with-meta", "true");
            if !prefix.is_empty() {
                call.header("x-mns-prefix", prefix);
            }
            if let Some(marker) = &marker {
                call.header("x-mns-marker", marker);
            }
            let page = self.read(&call, |answer| match answer {
                Some(Answer::Queues(page, next)) => Ok((page, next)),
                other => Err(unexpected(other.as_ref())),
            });
            let (page, next) = page.await?;
            queues.extend(page);
            marker = next;
            if marker.is_none() {
                return Ok(queues);
            }
        }
        let call = Call::new(Operation::ListQueue, Method::GET, String::new());
        Err(self.error(&call, Cause::Mismatch("a list of queues without end")))
    }

    /// One visible message. An empty queue is an error of kind `empty`.
    pub async fn peek(&self, queue: &str) -> Result<MessageBatch, Error> {
        let call = Call::new(Operation::PeekMessage, Method::GET, messages_path(queue))
            .of(queue)
            .query("peekonly=true".to_owned())
            .expect(Expected::Peeked);
        self.read(&call, messages).await
    }

    /// At most `n` (1 to 16) visible messages, an unordered sample. An empty queue is an error of kind `empty`.
    pub async fn batch_peek(&self, queue: &str, n: usize) -> Result<MessageBatch, Error> {
        let n = n.clamp(1, MAX_BATCH);
        let call = Call::new(
            Operation::BatchPeekMessage,
            Method::GET,
            messages_path(queue),
        )
        .of(queue)
        .query(format!("peekonly=true&numOfMessages={n}"))
        .expect(Expected::Peeked);
        self.read(&call, messages).await
    }

    /// Receives at most `n` (1 to 16) messages, waiting up to `wait` (30 s at most) for the first. None in that time is
    /// an error of kind `empty`.
    pub async fn batch_receive(
        &self,
        queue: &str,
        n: usize,
        wait: Duration,
    ) -> Result<MessageBatch, Error> {
        let (n, wait) = (n.clamp(1, MAX_BATCH), wait.min(MAX_WAIT));
        let call = Call::new(
            Operation::BatchReceiveMessage,
            Method::GET,
            messages_path(queue),
        )
        .of(queue)
        .query(format!("numOfMessages={n}&waitseconds={}", wait.as_secs()))
        .wait(wait)
        .expect(Expected::Received);
        self.attempt(&call, messages).await
    }

    /// Deletes at most 16 received messages. `Ok` tells for each whether it is deleted; an error confirms nothing.
    pub async fn batch_delete(
        &self,
        queue: &str,
        handles: &[&str],
    ) -> Result<DeleteOutcome, Error> {
        if handles.is_empty() {
            return Ok(DeleteOutcome::default());
        }
        let path = messages_path(queue);
        let mut call = Call::new(Operation::BatchDeleteMessage, Method::DELETE, path).of(queue);
        if handles.len() > MAX_BATCH {
            return Err(self.error(
                &call,
                Cause::Invalid("more than 16 receipt handles in one call"),
            ));
        }
        let body = xml::delete_batch(handles.iter().copied());
        call.body = Some(body.map_err(|error| self.error(&call, error.into()))?);
        self.attempt(&call, |answer| match answer {
            None => Ok(DeleteOutcome::default()),
            Some(Answer::Errors(entries)) => failed_deletes(handles, &entries),
            other => Err(unexpected(other.as_ref())),
        })
        .await
    }

    /// Makes a received message visible again `timeout` (1 s to 12 h) from now. The old handle is dead afterwards.
    pub async fn change_visibility(
        &self,
        queue: &str,
        handle: &str,
        timeout: Duration,
    ) -> Result<ChangedVisibility, Error> {
        let query = format!(
            "receiptHandle={}&visibilityTimeout={}",
            percent_encode(handle, false),
            timeout.as_secs()
        );
        let operation = Operation::ChangeMessageVisibility;
        let call = Call::new(operation, Method::PUT, messages_path(queue))
            .of(queue)
            .query(query);
        self.attempt(&call, |answer| match answer {
            Some(Answer::ChangeVisibility(changed)) => Ok(changed),
            other => Err(unexpected(other.as_ref())),
        })
        .await
    }

    /// Tries a call without effect until it succeeds or is not worth another attempt.
    async fn read<T>(
        &self,
        call: &Call<'_>,
        read: impl Fn(Option<Answer>) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        let mut delays = Backoff::new(self.fork_rng()).take(READ_ATTEMPTS - 1);
        loop {
            match self.attempt(call, &read).await {
                Err(error) if error.is_retryable() => match delays.next() {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => return Err(error),
                },
                result => return result,
            }
        }
    }

    fn error(&self, call: &Call<'_>, cause: Cause) -> Error {
        Error {
            operation: call.operation,
            queue: call.queue.to_owned(),
            host: self.host.clone(),
            cause,
        }
    }

    fn fork_rng(&self) -> fastrand::Rng {
        self.rng
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .fork()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn queue_path(queue: &str) -> String {
    format!("/queues/{}", percent_encode(queue, false))
}

fn messages_path(queue: &str) -> String {
    format!("/queues/{}/messages", percent_encode(queue, false))
}

/// At least one message: of an empty queue MNS says so by an error.
fn messages(answer: Option<Answer>) -> Result<MessageBatch, Cause> {
    match answer {
        Some(Answer::Messages(batch)) if batch.is_empty() => {
            Err(Cause::Mismatch("a list of no messages"))
        }
        Some(Answer::Messages(batch)) => Ok(batch),
        other => Err(unexpected(other.as_ref())),
    }
}

/// Which of `handles` the entries are about. An entry that fits none, or no entry at all, confirms nothing: something
/// failed, and we do not know what.
fn failed_deletes(handles: &[&str], entries: &[xml::EntryError]) -> Result<DeleteOutcome, Cause> {
    if entries.is_empty() {
        return Err(Cause::Mismatch("a partial failure that names no handle"));
    }
    let mut failed = Vec::with_capacity(entries.len());
    for entry in entries {
        let before = failed.len();
        let hit = |handle: &&str| Some(*handle) == entry.receipt_handle.as_deref();
        for (index, _) in handles.iter().enumerate().filter(|(_, handle)| hit(handle)) {
            failed.push(FailedDelete {
                index,
                code: entry.code.clone(),
            });
        }
        if failed.len() == before {
            return Err(Cause::Mismatch("a failure of a handle that was not sent"));
        }
    }
    Ok(DeleteOutcome { failed })
}

#[cfg(test)]
mod tests;
