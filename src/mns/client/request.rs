//! One attempt: sign, send, read, decode, tell the observer.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use url::{Position, Url};

use super::{Client, Operation};
use crate::aliyun::credentials::Credentials;
use crate::aliyun::sign;
use crate::clock::{self, UnixMillis};
use crate::http::{ReadError, read_capped};
use crate::mns::error::{Cause, Error, Refusal};
use crate::mns::xml::{self, Answer, Expected};

/// A full batch of 64 KB bodies with every quote escaped is 6.3 MB.
const MAX_ANSWER: usize = 6_815_744;
/// What an answer may take beyond the long poll.
const MARGIN: Duration = Duration::from_secs(10);
const API_VERSION: &str = "2015-06-06";
const CONTENT_TYPE: &str = "text/xml";

/// What to ask.
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    pub(super) queue: &'a str,
    pub(super) body: Option<String>,
    method: Method,
    path: String,
    query: Option<String>,
    headers: Vec<(&'static str, String)>,
    wait: Duration,
    expected: Expected,
}

// === impl Call ===

impl<'a> Call<'a> {
    /// `path` is percent-encoded already.
    pub(super) fn new(operation: Operation, method: Method, path: String) -> Self {
        Self {
            operation,
            queue: "",
            body: None,
            method,
            path,
            query: None,
            headers: Vec::new(),
            wait: Duration::ZERO,
            expected: Expected::NoMessages,
        }
    }

    pub(super) fn of(self, queue: &'a str) -> Self {
        Self { queue, ..self }
    }

    /// `query` is percent-encoded already.
    pub(super) fn query(self, query: String) -> Self {
        Self {
            query: Some(query),
            ..self
        }
    }

    pub(super) fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    pub(super) fn expect(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }

    pub(super) fn header(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.to_owned()));
    }
}

// === impl Client ===

impl Client {
    /// One attempt, and a second one with other credentials if these were refused as if expired. `read` makes of the answer
    /// what the caller wants; to it none is an answer without a body, which is how MNS confirms a delete.
    pub(super) async fn attempt<T>(
        &self,
        call: &Call<'_>,
        read: impl Fn(Option<Answer>) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        let credentials = self.credentials.get().await;
        let credentials =
            credentials.map_err(|error| self.error(call, Cause::Credentials(error)))?;
        match self.attempt_with(call, &credentials, &read).await {
            // What was refused has had no effect, so that any call may be made again.
            Err(error) if error.looks_expired() => {
                match self.credentials.refused(&credentials).await {
                    Some(others) => self.attempt_with(call, &others, &read).await,
                    None => Err(error),
                }
            }
            result => result,
        }
    }

    async fn attempt_with<T>(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
        read: impl Fn(Option<Answer>) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        let failed = |cause| self.error(call, cause);
        let request = self
            .signed(call, credentials, clock::now())
            .map_err(failed)?;

        let started = Instant::now();
        let result = self.exchange(call, request, credentials).await;
        let result = result.and_then(read);
        let code = result.as_ref().map_or_else(Cause::kind, |_| "ok");
        let long_poll = !call.wait.is_zero();
        let took = started.elapsed();
        self.observer
            .called(call.queue, call.operation, code, took, long_poll);
        result.map_err(failed)
    }

    async fn exchange(
        &self,
        call: &Call<'_>,
        request: reqwest::RequestBuilder,
        credentials: &Credentials,
    ) -> Result<Option<Answer>, Cause> {
        let timeout = call.wait + MARGIN;
        let failed = |error| Cause::from_http(error, timeout);
        let response = request.timeout(timeout).send().await.map_err(failed)?;

        let (status, local) = (response.status().as_u16(), clock::now());
        let server = response
            .headers()
            .get(reqwest::header::DATE)
            .and_then(|date| UnixMillis::parse_http_date(date.to_str().ok()?));
        if let Some(server) = server {
            self.clock.observe(server);
        }
        let body = http::Response::<reqwest::Body>::from(response).into_body();
        let body = read_capped(body, MAX_ANSWER)
            .await
            .map_err(|error| match error {
                ReadError::TooLarge { limit } => Cause::TooLarge { limit },
                ReadError::Broken(error) => failed(error),
            })?;
        if matches!(status, 200..=204) && body.is_empty() {
            return match status {
                204 => Ok(None),
                // A proxy's, perhaps: it must not pass for the confirmation of a delete.
                _ => Err(unexpected(None)),
            };
        }
        match xml::parse(body, call.expected) {
            Ok(Answer::Error(error)) => {
                let temporary = credentials.security_token.is_some();
                let refusal = Refusal::new(call.operation, status, error, local, server, temporary);
                Err(Cause::Refused(Box::new(refusal)))
            }
            Ok(answer) => Ok(Some(answer)),
            Err(_) if status >= 500 || status == 429 => Err(Cause::Status { status }),
            Err(problem) => Err(Cause::Malformed { status, problem }),
        }
    }

    /// The request with its signature over exactly the target and the headers that go out.
    fn signed(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
        now: UnixMillis,
    ) -> Result<reqwest::RequestBuilder, Cause> {
        let mut url = self.config.endpoint.clone();
        url.set_path(&call.path);
        url.set_query(call.query.as_deref());
        url.set_fragment(None);
        let date = now.http_date();
        let mut headers = vec![
            ("content-type", CONTENT_TYPE),
            ("date", date.as_str()),
            ("x-mns-version", API_VERSION),
        ];
        headers.extend(
            call.headers
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let authorization = self.authorization(call, &url, &headers, credentials, now)?;

        let mut map = HeaderMap::with_capacity(headers.len() + 2);
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), header_value(value)?);
        }
        let mut authorization = header_value(&authorization)?;
        authorization.set_sensitive(true);
        map.insert(reqwest::header::AUTHORIZATION, authorization);
        if let Some(token) = &credentials.security_token {
            let mut token = header_value(token.expose_secret())?;
            token.set_sensitive(true);
            map.insert(HeaderName::from_static("security-token"), token);
        }
        let request = self.http.request(call.method.clone(), url).headers(map);
        Ok(match &call.body {
            Some(body) => request.body(body.clone()),
            None => request,
        })
    }

    fn authorization(
        &self,
        call: &Call<'_>,
        url: &Url,
        headers: &[(&str, &str)],
        credentials: &Credentials,
        now: UnixMillis,
    ) -> Result<String, Cause> {
        let request = sign::Request {
            method: call.method.as_str(),
            target: &url[Position::BeforePath..Position::AfterQuery],
            headers,
        };
        let id = &credentials.access_key_id;
        let secret = credentials.access_key_secret.expose_secret();
        match self.config.signature {
            sign::Version::V2 => Ok(sign::v2(&request, id, secret)),
            sign::Version::V4 => {
                let region = self.config.region.as_deref().or_else(|| region_of(url));
                let region = region.ok_or(Cause::Invalid(
                    "signature version 4 needs a region, and the endpoint's host names none; set the region",
                ))?;
                let basic_date = now
                    .timestamp()
                    .map(|at| at.strftime("%Y%m%dT%H%M%SZ").to_string())
                    .unwrap_or_default();
                Ok(sign::v4(&request, id, secret, region, &basic_date))
            }
        }
    }
}

/// An answer of another kind than the call's.
pub(super) fn unexpected(answer: Option<&Answer>) -> Cause {
    let found = match answer {
        Some(answer) => answer.root(),
        None => "an empty answer",
    };
    Cause::Unexpected { found }
}

/// The region in `{account}.mns.{region}[-internal].aliyuncs.com`.
fn region_of(endpoint: &Url) -> Option<&str> {
    let mut labels = endpoint.host_str()?.split('.').skip(1);
    if labels.next() != Some("mns") {
        return None;
    }
    let region = labels.next()?;
    let region = region.strip_suffix("-vpc").unwrap_or(region);
    Some(region.strip_suffix("-internal").unwrap_or(region))
}

fn header_value(value: &str) -> Result<HeaderValue, Cause> {
    HeaderValue::from_str(value)
        .map_err(|_| Cause::Invalid("a header value with characters that HTTP cannot carry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_from_the_host() {
        for (host, region) in [
            ("1.mns.cn-hangzhou.aliyuncs.com", Some("cn-hangzhou")),
            (
                "1.mns.cn-hangzhou-internal.aliyuncs.com",
                Some("cn-hangzhou"),
            ),
            (
                "1.mns.eu-west-1-internal-vpc.aliyuncs.com",
                Some("eu-west-1"),
            ),
            ("127.0.0.1", None),
            ("localhost", None),
        ] {
            let url = Url::parse(&format!("http://{host}/")).unwrap();
            assert_eq!(region_of(&url), region, "{host}");
        }
    }
}
