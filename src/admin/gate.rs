//! What stands before the endpoints: TLS, the rate limit, passwords, and headers on every answer.

use std::fmt;
use std::io;
use std::sync::Arc;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode, request};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tracing::debug;

use super::auth::Authenticator;
use super::rate::Limiter;
use super::web_config::{Rules, Tls, WebFile};
use super::{Answer, text};
use crate::http::serve::{Accept, Trouble};
use crate::metrics::Metrics;

/// Keeps out whom the web config keeps out, and counts those.
pub struct Gate {
    file: Option<WebFile>,
    users: Authenticator,
    limiter: Limiter,
    metrics: Arc<Metrics>,
}

/// Why somebody was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The client's certificate is missing, bad, or of a name that is not allowed.
    Certificate,
    /// The TLS handshake failed for another reason.
    Handshake,
    /// The request's head is too large.
    HeadSize,
    /// The rate limit is reached.
    RateLimit,
    /// A handshake, a request or the taking of an answer took too long.
    Slow,
    /// No password, or a wrong one.
    Unauthorized,
    /// The web config is bad.
    WebConfig,
}

/// What Go's servers answer to a client that forgot the `s` of `https`.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

// === impl Gate ===

impl Gate {
    /// A gate by a web config, or an open one. Fails only where the system has no randomness.
    pub fn new(file: Option<WebFile>, metrics: Arc<Metrics>) -> io::Result<Self> {
        let mut key = [0; 32];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut key)
            .map_err(|_| io::Error::other("the system has no random numbers"))?;
        Ok(Self {
            file,
            users: Authenticator::new(key),
            limiter: Limiter::default(),
            metrics,
        })
    }

    /// Whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        self.file.as_ref().is_some_and(WebFile::is_tls)
    }

    /// The rules by which a request is answered, or the answer that refuses it.
    pub(super) async fn admit(
        &self,
        request: &request::Parts,
    ) -> Result<Option<Arc<Rules>>, Answer> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let Some(rules) = self.rules(file).await else {
            self.refuse(Refusal::WebConfig);
            return Err(text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The web config is bad; the log says why.\n",
            ));
        };
        let config = &rules.config;
        if !self.limiter.allows(config.rate_limit, Instant::now()) {
            self.refuse(Refusal::RateLimit);
            let answer = text(StatusCode::TOO_MANY_REQUESTS, "Too many requests.\n");
            return Err(rules.dress(answer));
        }
        if config.users.is_empty() {
            return Ok(Some(rules));
        }
        let authorization = request.headers.get(AUTHORIZATION);
        if !self.users.admits(&config.users, authorization).await {
            self.refuse(Refusal::Unauthorized);
            let mut answer = text(StatusCode::UNAUTHORIZED, "Unauthorized.\n");
            let basic = HeaderValue::from_static("Basic");
            answer.headers_mut().insert(WWW_AUTHENTICATE, basic);
            return Err(rules.dress(answer));
        }
        Ok(Some(rules))
    }

    /// The rules that hold now; none while the file is bad.
    async fn rules(&self, file: &WebFile) -> Option<Arc<Rules>> {
        let rules = file.rules().await;
        self.metrics.tls_trouble(file.tls_trouble());
        rules.ok()
    }

    /// Strangers can cause this at will, so the log tells it only to those who ask for details.
    fn refuse(&self, refusal: Refusal) {
        debug!(reason = refusal.as_str(), "A client was refused.");
        self.metrics.refused(refusal);
    }

    async fn handshake(
        &self,
        file: &WebFile,
        mut stream: TcpStream,
    ) -> Option<Either<TcpStream, TlsStream<TcpStream>>> {
        let rules = self.rules(file).await;
        let tls = match rules.as_deref().map(|rules| &rules.tls) {
            Some(Tls::On(tls)) => tls,
            Some(Tls::Off) => return Some(Either::Left(stream)),
            Some(Tls::Unusable) | None => {
                self.refuse(Refusal::WebConfig);
                return None;
            }
        };
        let mut first = [0];
        // A handshake begins with 22, a request with a letter.
        if stream.peek(&mut first).await.is_ok() && first[0].is_ascii_alphabetic() {
            self.refuse(Refusal::Handshake);
            // Whoever does not read it is refused all the same.
            _ = stream.write_all(NOT_TLS).await;
            return None;
        }
        match TlsAcceptor::from(Arc::clone(tls)).accept(stream).await {
            Ok(stream) => Some(Either::Right(stream)),
            Err(error) => {
                let refusal = Refusal::of_handshake(&error);
                debug!(%error, "A TLS handshake failed.");
                self.refuse(refusal);
                None
            }
        }
    }
}

impl Accept for Gate {
    type Stream = Either<TcpStream, TlsStream<TcpStream>>;

    async fn accept(&self, stream: TcpStream) -> Option<Self::Stream> {
        match &self.file {
            None => Some(Either::Left(stream)),
            Some(file) => self.handshake(file, stream).await,
        }
    }

    fn trouble(&self, trouble: Trouble) {
        self.refuse(match trouble {
            Trouble::Slow => Refusal::Slow,
            Trouble::HeadSize => Refusal::HeadSize,
        });
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

// === impl Rules ===

impl Rules {
    /// The answer with the headers that the web config puts on every one.
    pub(super) fn dress(&self, mut answer: Answer) -> Answer {
        for (name, value) in &self.config.headers {
            answer.headers_mut().insert(name, value.clone());
        }
        answer
    }
}

// === impl Refusal ===

impl Refusal {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 7] = [
        Self::Certificate,
        Self::Handshake,
        Self::HeadSize,
        Self::RateLimit,
        Self::Slow,
        Self::Unauthorized,
        Self::WebConfig,
    ];

    /// Value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Handshake => "handshake",
            Self::HeadSize => "head_size",
            Self::RateLimit => "rate_limit",
            Self::Slow => "slow",
            Self::Unauthorized => "unauthorized",
            Self::WebConfig => "web_config",
        }
    }

    fn of_handshake(error: &io::Error) -> Self {
        let error = error.get_ref().and_then(|error| error.downcast_ref());
        match error {
            Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
                Self::Certificate
            }
            _ => Self::Handshake,
        }
    }
}
