//! One Alertmanager: a POST to its API v2, and what becomes of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use super::alerts::Round;
use super::outbox::{Outbox, Posting};
use super::{Observer, Sent, Source};
use crate::aliyun::transport;
use crate::config::{AlertmanagerAuth, AlertmanagerConfig};
use crate::mns::retry::Backoff;
use crate::outage::{Outage, Say};
use crate::secret::SecretError;

/// Alertmanager answers at once or is in trouble.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Alerts in one call.
const BATCH: usize = 64;
/// Of an answer only the beginning is for people.
const SAID_BYTES: usize = 4_096;
const SAID_CHARS: usize = 200;

/// Why alerts were not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The password or token cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no client: its certificates cannot be used.
    #[error(transparent)]
    Certificates(#[from] transport::Error),
    /// A file of certificates cannot be read.
    #[error("cannot read {}: {source}; check the path, the mount and its mode", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No answer in time.
    #[error("no answer within {} s; look at its load and at the network", TIMEOUT.as_secs())]
    Timeout,
    /// No connection, or one that broke.
    #[error("cannot talk to it: {said}; check the URL, the network and the certificates")]
    Connection {
        /// What is wrong.
        said: String,
        /// Whether there was one.
        was_open: bool,
    },
    /// The credentials were refused.
    #[error("it answered {0}; check user and password, or the token")]
    Unauthorized(StatusCode),
    /// Part of the alerts was refused for good.
    #[error(
        "it answered {status}: {said}; those that it found right are stored, and the others will never be"
    )]
    Rejected {
        /// The status.
        status: StatusCode,
        /// The beginning of the answer.
        said: String,
    },
    /// It cannot take them now.
    #[error(
        "it answered {status}: {said}; check that the URL is that of Alertmanager, and its log"
    )]
    Status {
        /// The status.
        status: StatusCode,
        /// The beginning of the answer.
        said: String,
    },
}

/// The way to one Alertmanager.
#[derive(Debug)]
pub struct Client {
    url: Url,
    address: SocketAddr,
    config: AlertmanagerConfig,
    /// Built from files with this content.
    http: Option<(Vec<Vec<u8>>, reqwest::Client)>,
}

/// Tells one Alertmanager what fires.
pub(super) struct Peer {
    pub(super) name: Arc<str>,
    pub(super) client: Client,
    pub(super) outbox: Outbox,
    /// What the call under way tells.
    pub(super) on_its_way: Vec<Posting>,
    pub(super) source: Arc<dyn Source>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) backoff: Backoff,
    pub(super) not_before: Option<Instant>,
    pub(super) outage: Outage,
}

// === impl Error ===

impl Error {
    /// A bounded name.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "secret",
            Self::Certificates(_) | Self::File { .. } => "certificates",
            Self::Timeout => "timeout",
            Self::Connection { .. } => "connection",
            Self::Unauthorized(_) => "unauthorized",
            Self::Rejected { .. } => "rejected",
            Self::Status { .. } => "status",
        }
    }

    /// Whether the alerts may have been taken all the same: whoever stands before an Alertmanager may lose its answer.
    fn leaves_open(&self) -> bool {
        match self {
            Self::Timeout => true,
            Self::Connection { was_open, .. } => *was_open,
            Self::Status { status, .. } => status.is_server_error(),
            Self::Secret(_)
            | Self::Certificates(_)
            | Self::File { .. }
            | Self::Unauthorized(_)
            | Self::Rejected { .. } => false,
        }
    }

    fn of(error: &reqwest::Error) -> Self {
        let was_open = !error.is_connect();
        if error.is_timeout() && was_open {
            return Self::Timeout;
        }
        // The outer ones tell only that something went wrong.
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Connection {
            said: cause.to_string(),
            was_open,
        }
    }
}

// === impl Client ===

impl Client {
    /// The way to the Alertmanager of `url` at this address; files are read with each call.
    pub fn new(mut url: Url, address: SocketAddr, config: AlertmanagerConfig) -> Self {
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v2", "alerts"]);
        }
        Self {
            url,
            address,
            config,
            http: None,
        }
    }

    /// Sends alerts in one call.
    pub async fn post(&mut self, alerts: &[Posting]) -> Result<(), Error> {
        let body = serde_json::to_vec(alerts).unwrap_or_default();
        let request = self
            .http()?
            .post(self.url.clone())
            .timeout(TIMEOUT)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body);
        let request = match &self.config.auth {
            AlertmanagerAuth::Nobody => request,
            AlertmanagerAuth::Basic { username, password } => {
                request.basic_auth(username, Some(password.read()?.expose_secret()))
            }
            AlertmanagerAuth::Bearer(token) => request.bearer_auth(token.read()?.expose_secret()),
        };
        let answer = request.send().await.map_err(|error| Error::of(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said = said(answer).await;
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Unauthorized(status),
            StatusCode::BAD_REQUEST => Error::Rejected { status, said },
            _ => Error::Status { status, said },
        })
    }

    /// A client with the certificates as they are now.
    fn http(&mut self) -> Result<reqwest::Client, Error> {
        let identity = self.config.identity.as_ref();
        let files = [
            self.config.ca_file.as_deref(),
            identity.map(|identity| identity.certificate.as_path()),
            identity.map(|identity| identity.key.as_path()),
        ];
        let read = |path: &std::path::Path| {
            std::fs::read(path).map_err(|source| Error::File {
                path: path.to_owned(),
                source,
            })
        };
        let now: Vec<Vec<u8>> = files
            .into_iter()
            .flatten()
            .map(read)
            .collect::<Result<_, _>>()?;
        if let Some((before, http)) = &self.http
            && *before == now
        {
            return Ok(http.clone());
        }
        let options = transport::Options {
            ca_file: self.config.ca_file.as_deref().map(ToOwned::to_owned),
            proxy: None,
        };
        let host = self.url.domain().map(|host| (host, self.address));
        let http = options.client_to(identity, host)?;
        self.http = Some((now, http.clone()));
        Ok(http)
    }
}

/// The beginning of an answer, in one line.
async fn said(answer: reqwest::Response) -> String {
    let body = reqwest::Body::from(answer);
    match crate::http::read_capped(body, SAID_BYTES).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes)
            .chars()
            .take(SAID_CHARS)
            .flat_map(char::escape_debug)
            .collect(),
        Err(_) => "(an answer that cannot be shown)".to_owned(),
    }
}

// === impl Peer ===

impl Peer {
    /// Tells what fires until cancelled, and returns what was told. While the Alertmanager cannot be told, only the last
    /// round is kept.
    pub(super) async fn run(
        mut self,
        mut rounds: watch::Receiver<Arc<Round>>,
        cancelled: CancellationToken,
    ) -> Outbox {
        rounds.mark_changed();
        loop {
            tokio::select! {
                () = cancelled.cancelled() => return self.outbox,
                changed = rounds.changed() => if changed.is_err() {
                    return self.outbox;
                },
            }
            if self.not_before.is_some_and(|at| Instant::now() < at) {
                continue;
            }
            let round = Arc::clone(&rounds.borrow_and_update());
            tokio::select! {
                () = cancelled.cancelled() => {
                    self.outbox.perhaps_taken(self.on_its_way);
                    return self.outbox;
                }
                () = self.tell(&round) => {}
            }
        }
    }

    async fn tell(&mut self, round: &Round) {
        let started = Instant::now();
        let due = self.outbox.due(round, self.source.now());
        let (alone, together): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|posting| posting.alone);
        for batch in together.chunks(BATCH).chain(alone.chunks(1)) {
            self.on_its_way = batch.to_vec();
            let outcome = self.client.post(&self.on_its_way).await;
            let batch = std::mem::take(&mut self.on_its_way);
            let (sent, alerts) = match &outcome {
                Ok(()) => (Sent::Ok, batch.len()),
                // Which ones are refused shows when each is told by itself.
                Err(Error::Rejected { .. }) if batch.len() > 1 => (Sent::Rejected, 0),
                Err(Error::Rejected { .. }) => (Sent::Rejected, 1),
                Err(_) => (Sent::Failed, batch.len()),
            };
            self.observer.sent(&self.name, sent, alerts);
            match sent {
                Sent::Ok => self.outbox.taken(batch, self.source.now()),
                Sent::Rejected => self.outbox.refused(batch, self.source.now()),
                Sent::Failed if outcome.as_ref().is_err_and(Error::leaves_open) => {
                    self.outbox.perhaps_taken(batch);
                }
                Sent::Failed => {}
            }
            // A call that passes is no end of the trouble while others are refused.
            if outcome.is_err() || !self.outbox.has_refused() {
                self.note(outcome.as_ref().err());
            }
            if sent == Sent::Failed {
                // What was taken without an answer would end by itself in a longer pause, and begin anew after it.
                let pause = self.backoff.next_delay().min(self.client.config.resend);
                self.not_before = Some(Instant::now() + pause);
                return;
            }
            self.backoff.reset();
            self.not_before = None;
            // What is left may be untrue by now.
            if started.elapsed() >= TIMEOUT {
                return;
            }
        }
    }

    /// The one place where failures are logged.
    fn note(&mut self, error: Option<&Error>) {
        let address = self.client.address;
        match (
            self.outage.note(error.map(Error::kind), Instant::now()),
            error,
        ) {
            (Some(Say::Fails(lasting)), Some(error)) => warn!(
                alertmanager = %self.name,
                %address,
                kind = error.kind(),
                lasting_seconds = lasting.as_secs(),
                %error,
                "Alerts are not taken."
            ),
            (Some(Say::Works(lasted)), _) => info!(
                alertmanager = %self.name,
                %address,
                lasted_seconds = lasted.as_secs(),
                "Alerts are taken again."
            ),
            _ => {}
        }
    }
}
