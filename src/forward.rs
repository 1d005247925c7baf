//! Passing messages on: the MNS queue that feeds a worker with what the exporter consumes.
//!
//! Knows how to offer messages to the target and what its answers mean; when to offer, and what may be deleted
//! afterwards, is for the source to decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::mns::client::{Client, Outgoing, SendFailure};
use crate::mns::error::{Cause, Error};
use crate::mns::retry::Backoff;
use crate::mns::xml;

/// Codes with which MNS refuses a message for what it is: it would refuse it for ever. After any other code the message
/// is offered again.
const FOR_GOOD: [&str; 2] = ["InvalidArgument", "MalformedXML"];

/// The queue that a source's messages are passed on to.
#[derive(Debug)]
pub struct Target {
    source: Arc<str>,
    name: Arc<str>,
    client: Client,
    down: AtomicBool,
    turn: Mutex<Pace>,
}

/// When a target that failed is asked again.
#[derive(Debug)]
struct Pace {
    backoff: Backoff,
    not_before: Option<Instant>,
}

/// The right to offer messages to a target that is down: one call at a time, after the backoff.
#[derive(Debug)]
pub struct Turn<'a>(MutexGuard<'a, Pace>);

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target has it.
    Sent,
    /// The target refuses it for good.
    Refused,
    /// The target may or may not have it: it must be offered again.
    Failed,
}

/// Why a message was not taken.
enum Failure {
    /// This message is the reason.
    Message,
    /// One of the messages of the call is the reason.
    OneOfThem,
    /// Nothing that the messages could help.
    Target(Arc<Error>),
    /// A code for this message alone that may pass.
    Passing(String),
}

// === impl Target ===

impl Target {
    /// The queue `name` as reached by `client`, for messages of the queue with the id `source`.
    pub fn new(source: Arc<str>, name: Arc<str>, client: Client, rng: fastrand::Rng) -> Self {
        let pace = Pace {
            backoff: Backoff::new(rng),
            not_before: None,
        };
        Self {
            source,
            name,
            client,
            down: AtomicBool::new(false),
            turn: Mutex::new(pace),
        }
    }

    /// Its name in MNS.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether its last call failed: messages then wait for their [`Target::turn`].
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Waits until messages may be offered to a target that is down.
    pub async fn turn(&self) -> Turn<'_> {
        let pace = self.turn.lock().await;
        if let Some(not_before) = pace.not_before {
            tokio::time::sleep_until(not_before).await;
        }
        Turn(pace)
    }

    /// Offers messages in as few calls as MNS's limits allow, and tells of each what became of it. The outcome of the
    /// whole decides whether the target is down.
    pub async fn offer(&self, messages: &[Outgoing<'_>], turn: Option<Turn<'_>>) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Refused; messages.len()];
        // What XML cannot carry would fail its whole call.
        let sendable: Vec<usize> = (0..messages.len())
            .filter(|index| {
                let message = messages.get(*index);
                message.is_some_and(|message| xml::escape(message.body).is_ok())
            })
            .collect();
        let mut error = self.send(messages, &sendable, &mut outcomes).await;
        let alone: Vec<usize> = match &error {
            Some(Failure::OneOfThem) => (sendable.iter().copied())
                .filter(|index| outcomes.get(*index) == Some(&Outcome::Failed))
                .collect(),
            _ => Vec::new(),
        };
        for index in alone {
            error = self.send(messages, &[index], &mut outcomes).await;
            if let Some(Failure::Target(_)) = error {
                break;
            }
        }
        self.note(error, turn).await;
        outcomes
    }

    /// Sends the messages with these indices; sets their outcomes and returns the last failure that is not the fault of
    /// a message already refused.
    async fn send(
        &self,
        messages: &[Outgoing<'_>],
        indices: &[usize],
        outcomes: &mut [Outcome],
    ) -> Option<Failure> {
        let batch: Vec<Outgoing<'_>> = indices
            .iter()
            .filter_map(|index| messages.get(*index).copied())
            .collect();
        let results = self.client.batch_send(&self.name, &batch).await;
        let mut last = None;
        for (index, result) in indices.iter().zip(results) {
            let outcome = match result {
                Ok(_) => Outcome::Sent,
                Err(failure) => match Failure::of(failure, batch.len()) {
                    Failure::Message => Outcome::Refused,
                    failure => {
                        last = Some(failure);
                        Outcome::Failed
                    }
                },
            };
            if let Some(slot) = outcomes.get_mut(*index) {
                *slot = outcome;
            }
        }
        last
    }

    /// Remembers how an offer ended; the log tells when this changes.
    async fn note(&self, failure: Option<Failure>, turn: Option<Turn<'_>>) {
        let mut pace = match turn {
            Some(Turn(pace)) => pace,
            None => self.turn.lock().await,
        };
        let was_down = self.down.swap(failure.is_some(), Ordering::Relaxed);
        let Some(failure) = failure else {
            pace.backoff.reset();
            pace.not_before = None;
            if was_down {
                info!(queue = %self.source, target_queue = %self.name, "Messages are passed on again.");
            }
            return;
        };
        // Calls that were under way together make one failure.
        let now = Instant::now();
        if pace.not_before.is_none_or(|not_before| not_before <= now) {
            pace.not_before = Some(now + pace.backoff.next_delay());
        }
        if was_down {
            return;
        }
        let (kind, error) = match failure {
            Failure::Target(error) => (error.kind(), error.to_string()),
            Failure::Passing(code) => ("entry", format!("MNS answered {code} for a message")),
            Failure::Message | Failure::OneOfThem => ("invalid_request", String::new()),
        };
        warn!(
            queue = %self.source,
            target_queue = %self.name,
            kind,
            error,
            "Messages cannot be passed on: they are not deleted, and receiving stops when too many wait."
        );
    }
}

// === impl Failure ===

impl Failure {
    /// What a failed send among `calls` messages means.
    fn of(failure: SendFailure, messages: usize) -> Self {
        let error = match failure {
            SendFailure::Entry(entry) if FOR_GOOD.contains(&entry.code.as_str()) => {
                return Self::Message;
            }
            SendFailure::Entry(entry) => return Self::Passing(entry.code),
            SendFailure::Call(error) => error,
        };
        match &error.cause {
            Cause::Refused(refusal) if FOR_GOOD.contains(&refusal.code.as_str()) => {
                if messages == 1 {
                    Self::Message
                } else {
                    Self::OneOfThem
                }
            }
            _ => Self::Target(error),
        }
    }
}
