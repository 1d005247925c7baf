//! One call: sign, send, read, decode, tell the observer.

use std::sync::PoisonError;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::answer::Malformed;
use super::{Cause, Client, Error, Operation, Refusal, utc_seconds};
use crate::aliyun::credentials::Credentials;
use crate::aliyun::sign::{self, acs3, percent_encode};
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

    fn query(&self) -> String {
        let pairs: Vec<String> = self
            .parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value, false)))
            .collect();
        pairs.join("&")
    }
}

// === impl Client ===

impl Client {
    /// Asks once.
    pub(super) async fn ask<T>(
        &self,
        call: &Call,
        read: impl Fn(&Value) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let failed = |cause| self.error(call.operation, cause);
        let credentials = self.credentials.get().await;
        let credentials = credentials.map_err(|error| failed(Cause::Credentials(error)))?;
        let request = self
            .signed(call, &credentials, clock::now())
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
        let query = call.query();
        let (hash, date, nonce) = (acs3::payload_hash(b""), utc_seconds(now), self.nonce());
        let token = credentials.security_token.as_ref();
        let mut headers = vec![
            ("host", self.host.as_str()),
            ("x-acs-action", call.operation.name()),
            ("x-acs-content-sha256", &hash),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-version", API_VERSION),
        ];
        headers.extend(token.map(|token| ("x-acs-security-token", token.expose_secret())));
        let target = match query.as_str() {
            "" => "/".to_owned(),
            query => format!("/?{query}"),
        };
        let request = sign::Request {
            method: "POST",
            target: &target,
            headers: &headers,
        };
        let authorization = acs3::authorization(
            &request,
            &hash,
            &credentials.access_key_id,
            credentials.access_key_secret.expose_secret(),
        );

        let mut map = HeaderMap::with_capacity(headers.len() + 2);
        for (name, value) in headers {
            let mut value = header_value(value)?;
            value.set_sensitive(name == "x-acs-security-token");
            map.insert(HeaderName::from_static(name), value);
        }
        let mut authorization = header_value(&authorization)?;
        authorization.set_sensitive(true);
        map.insert(AUTHORIZATION, authorization);
        map.insert(HOST, header_value(&self.host)?);
        map.insert(
            reqwest::header::ACCEPT,
            HeaderValue::from_static("application/json"),
        );
        map.insert(
            reqwest::header::CONTENT_LENGTH,
            HeaderValue::from_static("0"),
        );
        let url = self.url(&query);
        Ok(self.http.post(url).headers(map).timeout(TIMEOUT))
    }

    fn url(&self, query: &str) -> Url {
        let mut url = self.config.endpoint.clone();
        url.set_path("/");
        url.set_query((!query.is_empty()).then_some(query));
        url.set_fragment(None);
        url
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

fn header_value(value: &str) -> Result<HeaderValue, Cause> {
    HeaderValue::from_str(value)
        .map_err(|_| Cause::Invalid("a header value with characters that HTTP cannot carry"))
}
