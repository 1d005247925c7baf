//! Calls that can have no effect, and tell whether the caller may make the real ones.
//!
//! Each is wrong in a way that MNS refuses once it has let the caller through: `Ok` is a refusal of the arguments. That
//! MNS looks at the caller first is what its other refusals suggest; it is not documented.

use std::time::Duration;

use reqwest::Method;

use super::request::Call;
use super::{Client, Operation, messages_path};
use crate::mns::error::{Cause, Error};
use crate::mns::xml::{self, Answer, Expected};

/// Was never handed out by MNS.
const NO_HANDLE: &str = "vod-callback-exporter-check";
const RELEASE: Duration = Duration::from_secs(1);

// === impl Client ===

impl Client {
    /// Whether the caller may receive. Asks for no message, and for a wait of less than no time: a server that makes
    /// something of the one still refuses the other.
    pub async fn may_receive(&self, queue: &str) -> Result<(), Error> {
        let operation = Operation::BatchReceiveMessage;
        let call = Call::new(operation, Method::GET, messages_path(queue))
            .of(queue)
            .query("numOfMessages=0&waitseconds=-1".to_owned())
            .expect(Expected::Received);
        let Some(Answer::Messages(batch)) = self.probe(&call).await? else {
            return Ok(());
        };
        for message in batch.iter() {
            if let Some(handle) = message.receipt_handle {
                self.change_visibility(queue, handle, RELEASE).await?;
            }
        }
        Err(self.error(
            &call,
            Cause::Mismatch("messages for a request of none; they were given back"),
        ))
    }

    /// Whether the caller may delete. Names a message that never was.
    pub async fn may_delete(&self, queue: &str) -> Result<(), Error> {
        let path = messages_path(queue);
        let mut call = Call::new(Operation::BatchDeleteMessage, Method::DELETE, path).of(queue);
        let body = xml::delete_batch([NO_HANDLE]);
        call.body = Some(body.map_err(|error| self.error(&call, error.into()))?);
        self.probe(&call).await.map(drop)
    }

    /// Whether the caller may change the visibility of messages. Names a message that never was.
    pub async fn may_change_visibility(&self, queue: &str) -> Result<(), Error> {
        let operation = Operation::ChangeMessageVisibility;
        let call = Call::new(operation, Method::PUT, messages_path(queue))
            .of(queue)
            .query(format!("receiptHandle={NO_HANDLE}&visibilityTimeout=1"));
        self.probe(&call).await.map(drop)
    }

    /// Whether the caller may send. Sends a batch of no messages.
    pub async fn may_send(&self, queue: &str) -> Result<(), Error> {
        let path = messages_path(queue);
        let mut call = Call::new(Operation::BatchSendMessage, Method::POST, path)
            .of(queue)
            .expect(Expected::Sent);
        let body = xml::send_batch([]);
        call.body = Some(body.map_err(|error| self.error(&call, error.into()))?);
        self.probe(&call).await.map(drop)
    }

    async fn probe(&self, call: &Call<'_>) -> Result<Option<Answer>, Error> {
        match self.attempt(call, Ok).await {
            Err(error) if is_about_arguments(&error) => Ok(None),
            result => result,
        }
    }
}

fn is_about_arguments(error: &Error) -> bool {
    matches!(&error.cause, Cause::Refused(refusal) if matches!(refusal.status, 400 | 404))
        && matches!(
            error.kind(),
            "invalid_request" | "no_such_message" | "empty"
        )
}
