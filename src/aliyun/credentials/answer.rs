//! Asking a service for credentials, and reading them from its answer.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::failure::shorten;
use super::keys::is_sendable;
use super::{Credentials, Failure, Refusal};
use crate::clock::UnixMillis;
use crate::http::{ReadError, read_capped};

/// Far above any answer with a token in it.
const MAX_ANSWER: usize = 128 * 1024;

/// Credentials as a provider gives them.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) credentials: Credentials,
    /// When they expire by the clock of who gave them; none if never.
    pub(super) expires: Option<UnixMillis>,
    /// For how long they are good from the answer on; none if for ever.
    pub(super) lifetime: Option<Duration>,
    /// Whether they stand in a file that may change.
    pub(super) reread: bool,
}

/// What came back.
#[derive(Debug)]
pub(in crate::aliyun) struct Answer {
    pub(in crate::aliyun) status: u16,
    pub(in crate::aliyun) body: Vec<u8>,
    /// The `Date`.
    server: Option<UnixMillis>,
}

/// Whom to ask and how long to wait.
#[derive(Clone, Copy, Debug)]
pub(in crate::aliyun) struct Asked<'a> {
    pub(in crate::aliyun) host: &'a str,
    /// For the whole exchange, the connection included.
    pub(in crate::aliyun) timeout: Duration,
    /// What to do if there is no answer.
    pub(in crate::aliyun) remedy: &'static str,
    /// The beginning of a secret in the request; an explanation that repeats it is not told. Empty if there is none.
    pub(in crate::aliyun) secret: &'a str,
}

// === impl Asked ===

impl Asked<'_> {
    pub(in crate::aliyun) async fn ask(
        self,
        request: reqwest::RequestBuilder,
    ) -> Result<Answer, Failure> {
        self.ask_within(self.timeout, request).await
    }

    /// The same with what is left of the time, of which a failure tells the whole.
    pub(super) async fn ask_within(
        self,
        left: Duration,
        request: reqwest::RequestBuilder,
    ) -> Result<Answer, Failure> {
        let failed = |error| Failure::from_http(error, self.host, self.timeout, self.remedy);
        let response = request.timeout(left).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let date = response.headers().get(reqwest::header::DATE);
        let server = date.and_then(|date| UnixMillis::parse_http_date(date.to_str().ok()?));
        let body = http::Response::<reqwest::Body>::from(response).into_body();
        let body = read_capped(body, MAX_ANSWER)
            .await
            .map_err(|error| match error {
                ReadError::TooLarge { limit } => Failure::malformed(
                    self.host,
                    format!("the answer is longer than {limit} bytes; is this the right service?"),
                ),
                ReadError::Broken(error) => failed(error),
            })?;
        Ok(Answer {
            status,
            body,
            server,
        })
    }

    /// The answer as a JSON object; `remedy` is for a code that means no.
    pub(in crate::aliyun) fn object(
        self,
        answer: &Answer,
        remedy: impl Fn(&str) -> &'static str,
    ) -> Result<Value, Failure> {
        let object: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let object = object.filter(Value::is_object);
        let text = |name: &str| {
            let value = object.as_ref().and_then(|object| object.get(name));
            value.and_then(Value::as_str).unwrap_or_default()
        };
        let code = text("Code");
        if answer.status != 200 || !matches!(code, "" | "Success") {
            return Err(Failure::Refused(Box::new(Refusal {
                host: self.host.to_owned(),
                status: answer.status,
                code: shorten(code),
                message: match text("Message") {
                    told if !self.secret.is_empty() && told.contains(self.secret) => {
                        "an explanation that repeats the token, not shown".to_owned()
                    }
                    told => shorten(told),
                },
                request_id: shorten(text("RequestId")),
                remedy: remedy(code),
            })));
        }
        object.ok_or_else(|| {
            let problem =
                "found a text that is no JSON object, expected one with credentials; is this the right service?";
            Failure::malformed(self.host, problem)
        })
    }

    /// The credentials in `object`, which came with `answer`; `local` is the time by the local clock.
    pub(super) fn grant(
        self,
        answer: &Answer,
        object: &Value,
        local: UnixMillis,
    ) -> Result<Grant, Failure> {
        let part = |name: &str| {
            let value = object.get(name).and_then(Value::as_str);
            value.filter(|value| is_sendable(value)).ok_or_else(|| {
                let problem = format!(
                    "found no usable {name} in the answer, expected text without white space"
                );
                Failure::malformed(self.host, problem)
            })
        };
        let expiration = part("Expiration")?;
        let expires: jiff::Timestamp = expiration.parse().map_err(|_| {
            let problem = format!(
                "found the Expiration {:?}, expected a time such as 2026-01-01T00:00:00Z",
                shorten(expiration)
            );
            Failure::malformed(self.host, problem)
        })?;
        let expires = UnixMillis(expires.as_millisecond());
        // The giver's clock decides: a wrong local one would find everything expired, or nothing.
        let now = answer.server.unwrap_or(local);
        let lifetime = expires.since(now);
        if lifetime.is_zero() {
            return Err(Failure::Expired {
                host: self.host.to_owned(),
                expired: expires,
                now,
            });
        }
        Ok(Grant {
            credentials: Credentials {
                access_key_id: part("AccessKeyId")?.to_owned(),
                access_key_secret: SecretString::from(part("AccessKeySecret")?),
                security_token: Some(SecretString::from(part("SecurityToken")?)),
            },
            expires: Some(expires),
            lifetime: Some(lifetime),
            reread: false,
        })
    }
}
