//! Sending.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;

use super::request::{Call, unexpected};
use super::{Client, MAX_BATCH, Operation, messages_path};
use crate::mns::error::{Cause, Error};
use crate::mns::xml::{self, Answer, EntryError, Expected, SentMessage};

/// MNS's limit on the bodies of one call.
const MAX_BYTES: usize = 65_536;

/// A message to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// The body as it is to be stored.
    pub body: &'a str,
    /// Invisible for so long; the queue's default if none.
    pub delay: Option<Duration>,
    /// 1 (highest) to 16; 8 if none.
    pub priority: Option<u8>,
}

/// Why one message of a batch was not sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendFailure {
    /// MNS refused this message.
    #[error("MNS refused the message: {} ({})", .0.code, .0.message)]
    Entry(EntryError),
    /// The call failed, so that nothing is known of its messages; or an earlier call of the batch failed and this one
    /// was not made.
    #[error("{0}")]
    Call(Arc<Error>),
}

// === impl Client ===

impl Client {
    /// Sends one message.
    pub async fn send(&self, queue: &str, message: Outgoing<'_>) -> Result<SentMessage, Error> {
        let mut call = Call::new(Operation::SendMessage, Method::POST, messages_path(queue))
            .of(queue)
            .expect(Expected::Sent);
        let body = xml::send(message.body, message.delay, message.priority);
        call.body = Some(body.map_err(|error| self.error(&call, error.into()))?);
        self.attempt(&call, |answer| match answer {
            Some(Answer::Sent(sent)) => match <[_; 1]>::try_from(sent) {
                Ok([Ok(sent)]) => Ok(sent),
                _ => Err(Cause::Mismatch("not one id for the one message sent")),
            },
            other => Err(unexpected(other.as_ref())),
        })
        .await
    }

    /// Sends messages in as few calls as MNS's limits of 16 messages and 64 KB allow, and tells of each what became of
    /// it. After a failed call no further one is made.
    pub async fn batch_send(
        &self,
        queue: &str,
        messages: &[Outgoing<'_>],
    ) -> Vec<Result<SentMessage, SendFailure>> {
        let mut results = Vec::with_capacity(messages.len());
        for range in calls(messages) {
            match self
                .send_one_batch(queue, messages.get(range).unwrap_or_default())
                .await
            {
                Ok(sent) => {
                    results.extend(
                        sent.into_iter()
                            .map(|sent| sent.map_err(SendFailure::Entry)),
                    );
                }
                Err(error) => {
                    let failure = SendFailure::Call(Arc::new(error));
                    results.resize_with(messages.len(), || Err(failure.clone()));
                    break;
                }
            }
        }
        results
    }

    async fn send_one_batch(
        &self,
        queue: &str,
        messages: &[Outgoing<'_>],
    ) -> Result<Vec<Result<SentMessage, EntryError>>, Error> {
        let mut call = Call::new(
            Operation::BatchSendMessage,
            Method::POST,
            messages_path(queue),
        )
        .of(queue)
        .expect(Expected::Sent);
        let body = xml::send_batch(
            messages
                .iter()
                .map(|message| (message.body, message.delay, message.priority)),
        );
        call.body = Some(body.map_err(|error| self.error(&call, error.into()))?);
        self.attempt(&call, |answer| match answer {
            Some(Answer::Sent(sent)) if sent.len() == messages.len() => Ok(sent),
            Some(Answer::Sent(_)) => Err(Cause::Mismatch("not one result for each message sent")),
            other => Err(unexpected(other.as_ref())),
        })
        .await
    }
}

/// Cuts messages into calls. A message above the limit gets a call of its own, for MNS to refuse.
fn calls(messages: &[Outgoing<'_>]) -> Vec<Range<usize>> {
    let mut calls: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, message) in messages.iter().enumerate() {
        let size = message.body.len();
        match calls.last_mut() {
            Some(call) if call.len() < MAX_BATCH && bytes + size <= MAX_BYTES => {
                call.end = index + 1;
                bytes += size;
            }
            _ => {
                calls.push(index..index + 1);
                bytes = size;
            }
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn calls_cover_all_messages_in_order_within_the_limits(
            sizes in proptest::collection::vec(0_usize..80_000, 0..60)
        ) {
            let text = "x".repeat(80_000);
            let messages: Vec<Outgoing<'_>> = sizes
                .iter()
                .map(|size| Outgoing { body: text.get(..*size).unwrap(), ..Outgoing::default() })
                .collect();
            let calls = calls(&messages);
            prop_assert_eq!(
                calls.iter().cloned().flatten().collect::<Vec<_>>(),
                (0..sizes.len()).collect::<Vec<_>>()
            );
            for call in &calls {
                let bytes: usize = sizes[call.clone()].iter().sum();
                prop_assert!(call.len() <= MAX_BATCH);
                prop_assert!(bytes <= MAX_BYTES || call.len() == 1);
            }
            for pair in calls.windows(2) {
                let with_next: usize = sizes[pair[0].start..=pair[1].start].iter().sum();
                prop_assert!(pair[0].len() == MAX_BATCH || with_next > MAX_BYTES, "cut too early");
            }
        }
    }
}
