//! One call: sign, send, read, decode, tell the observer.

use std::sync::PoisonError;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::answer::Malformed;
use super::{Cause, Client, Error, Operation, Refusal};
use crate::aliyun::credentials::Credentials;
use crate::aliyun::rpc;
use crate::clock::{self, UnixMillis};
use crate::http::{ReadError, read_capped};

/// Far above a page of 100 videos with their titles and descriptions.
const MAX_ANSWER: usize = 2 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
const API_VERSION: &str = "2017-03-21";

/// What to ask.
pub(super) struct Call {
    pub(super) operation: Operation,
    parameters: Vec<(&'static str, String)>,
}

// === impl Call ===

impl Call {
    pub(super) fn new(operation: Operation) -> Self {
        Self {
            operation,
            parameters: Vec::new(),
        }
    }

    pub(super) fn with(&self, name: &'static str, value: String) -> Self {
        let mut parameters = self.parameters.clone();
        parameters.push((name, value));
        Self {
            operation: self.operation,
            parameters,
        }
    }
}

// === impl Client ===

impl Client {
    /// Asks once, and a second time with other credentials if these were refused as if expired.
    pub(super) async fn ask<T>(
        &self,
        call: &Call,
        read: impl Fn(&Value) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let credentials = self.credentials.get().await;
        let credentials =
            credentials.map_err(|error| self.error(call.operation, Cause::Credentials(error)))?;
        match self.ask_with(call, &credentials, &read).await {
            Err(error) if error.looks_expired() => {
                match self.credentials.refused(&credentials).await {
                    Some(others) => self.ask_with(call, &others, &read).await,
                    None => Err(error),
                }
            }
            result => result,
        }
    }

    async fn ask_with<T>(
        &self,
        call: &Call,
        credentials: &Credentials,
        read: impl Fn(&Value) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let failed = |cause| self.error(call.operation, cause);
        let request = self
            .signed(call, credentials, clock::now())
            .map_err(failed)?;
        let started = Instant::now();
        let result = exchange(call.operation, request).await;
        let result = result.and_then(|(status, answer)| {
            read(&answer).map_err(|expected| Cause::Malformed { status, expected })
        });
        let code = result.as_ref().map_or_else(Cause::kind, |_| "ok");
        self.observer
            .called(call.operation, code, started.elapsed());
        result.map_err(failed)
    }

    fn signed(
        &self,
        call: &Call,
        credentials: &Credentials,
        now: UnixMillis,
    ) -> Result<reqwest::RequestBuilder, Cause> {
        let call = rpc::Call {
            endpoint: &self.config.endpoint,
            action: call.operation.name(),
            version: API_VERSION,
            parameters: &call.parameters,
        };
        let request = call.signed(&self.http, credentials, now, &self.nonce());
        let unsendable = "a header value with characters that HTTP cannot carry";
        let request = request.map_err(|_| Cause::Invalid(unsendable))?;
        Ok(request.timeout(TIMEOUT))
    }

    fn nonce(&self) -> String {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{:032x}", rng.u128(..))
    }
}

async fn exchange(
    operation: Operation,
    request: reqwest::RequestBuilder,
) -> Result<(u16, Value), Cause> {
    let failed = |error| Cause::from_http(error, TIMEOUT);
    let response = request.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let body = http::Response::<reqwest::Body>::from(response).into_body();
    let body = read_capped(body, MAX_ANSWER)
        .await
        .map_err(|error| match error {
            ReadError::TooLarge { limit } => Cause::TooLarge { limit },
            ReadError::Broken(error) => failed(error),
        })?;
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    let answer = answer.filter(Value::is_object);
    match answer {
        Some(answer) if status == 200 && answer.get("Code").is_none() => Ok((status, answer)),
        Some(answer) if answer.get("Code").is_some() => {
            let text = |name| answer.get(name).and_then(Value::as_str).unwrap_or_default();
            let refusal = Refusal::new(
                operation,
                status,
                text("Code"),
                text("Message"),
                text("RequestId"),
            );
            Err(Cause::Refused(Box::new(refusal)))
        }
        _ if status == 429 || status >= 500 => Err(Cause::Status { status }),
        _ => Err(Cause::Malformed {
            status,
            expected: "an answer of VOD in JSON",
        }),
    }
}
