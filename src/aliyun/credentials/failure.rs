//! Why one provider gave no credentials, and why all of them together did not.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{ProviderName, keys};
use crate::clock::UnixMillis;

/// Texts of a remote side are kept up to this many characters.
const MAX_TEXT: usize = 256;

/// Why there are no credentials.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A part of the access key that the config names cannot be used.
    #[error("no credentials: {0}")]
    Keys(#[from] Arc<keys::Error>),
    /// The one provider that the config names gives none.
    #[error("no credentials from {provider}: {failure}")]
    Named {
        /// Which.
        provider: ProviderName,
        /// Why.
        failure: Arc<Failure>,
    },
    /// No provider of the chain gives any.
    #[error("no credentials from any provider of the chain: {}", listed(.0))]
    Chain(Arc<[(ProviderName, Failure)]>),
}

/// Why one provider gave none. Never tells a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing says that it is to be used, which in a chain is no trouble.
    #[error("{0}")]
    Absent(String),
    /// It is set up in part.
    #[error("{0}")]
    Incomplete(String),
    /// A file cannot be read.
    #[error("cannot read {}: {reason}; check the path, the mount and its mode", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// A file or an answer is not what it must be; it may be half-written.
    #[error("{place}: {problem}")]
    Malformed {
        /// The file, or the host that answered.
        place: String,
        /// What was found and what is expected.
        problem: String,
    },
    /// A kind of credentials that only an interactive tool can use.
    #[error("{place}: {what}")]
    Unsupported {
        /// The file.
        place: String,
        /// What was found and what to use instead.
        what: String,
    },
    /// The service that was asked says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// No answer in time.
    #[error("{host} gave no complete answer within {} s; {remedy}", after.as_secs())]
    Timeout {
        /// Who was asked.
        host: String,
        /// The time allowed.
        after: Duration,
        /// What to do.
        remedy: &'static str,
    },
    /// No connection, or a broken one.
    #[error("{host}: {reason}; {remedy}")]
    Connection {
        /// Who was asked.
        host: String,
        /// The chain of causes.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// What was given had expired already.
    #[error(
        "{host} gave credentials that expired at {expired}, and its clock, or else the local one, says {now}; synchronise \
         the clock (NTP), or see why they are not renewed"
    )]
    Expired {
        /// Who gave them.
        host: String,
        /// When they expired.
        expired: UnixMillis,
        /// The time of the answer.
        now: UnixMillis,
    },
}

/// An answer that says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who was asked.
    pub host: String,
    /// HTTP status.
    pub status: u16,
    /// The vendor's code; empty where the answer has none.
    pub code: String,
    /// The vendor's explanation.
    pub message: String,
    /// The id that the vendor's support asks for.
    pub request_id: String,
    /// What to do; empty where nothing is known.
    pub remedy: &'static str,
}

// === impl Error ===

impl Error {
    /// Every [`Error::kind`] and [`Failure::kind`].
    pub const ALL: [&'static str; 12] = [
        "unset",
        "unreadable",
        "empty",
        "invalid",
        "malformed",
        "unsupported",
        "refused",
        "server_error",
        "timeout",
        "connection",
        "expired",
        "no_provider",
    ];

    /// Bounded name for labels, one of [`Error::ALL`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Keys(error) => error.kind(),
            Self::Named { failure, .. } => failure.kind(),
            Self::Chain(_) => "no_provider",
        }
    }
}

/// Every provider with its reason.
fn listed(failures: &[(ProviderName, Failure)]) -> String {
    let texts: Vec<String> = failures
        .iter()
        .enumerate()
        .map(|(index, (provider, failure))| format!("({}) {provider}: {failure}", index + 1))
        .collect();
    texts.join("; ")
}

// === impl Failure ===

impl Failure {
    /// Bounded name for labels, one of [`Error::ALL`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Absent(_) | Self::Incomplete(_) => "unset",
            Self::Unreadable { .. } => "unreadable",
            Self::Malformed { .. } => "malformed",
            Self::Unsupported { .. } => "unsupported",
            Self::Refused(refusal) if refusal.status >= 500 => "server_error",
            Self::Refused(_) => "refused",
            Self::Timeout { .. } => "timeout",
            Self::Connection { .. } => "connection",
            Self::Expired { .. } => "expired",
        }
    }

    /// Whether the provider is simply not in use here.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent(_))
    }

    pub(super) fn malformed(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Malformed {
            place: place.into(),
            problem: problem.into(),
        }
    }

    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }

    /// An error of the HTTP client. Its URL, which may hold parameters, is not told.
    pub(super) fn from_http(
        error: reqwest::Error,
        host: &str,
        after: Duration,
        remedy: &'static str,
    ) -> Self {
        let host = host.to_owned();
        if error.is_timeout() {
            return Self::Timeout {
                host,
                after,
                remedy,
            };
        }
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        Self::Connection {
            host,
            reason: shorten(&reason),
            remedy,
        }
    }
}

// === impl Refusal ===

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {}", self.host, self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, " ({})", self.message)?;
        }
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        if !self.request_id.is_empty() {
            write!(f, "; request id {}", self.request_id)?;
        }
        Ok(())
    }
}

/// Bounds what a remote side can put into logs, and keeps it on one line.
pub(super) fn shorten(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MAX_TEXT).map(visible).collect()
}
