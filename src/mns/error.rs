//! Why a call failed, with one bounded name for labels and a text for people.

use std::fmt;
use std::time::Duration;

use super::client::Operation;
use super::xml::{Malformed, ServiceError, Unsendable};
use crate::aliyun::credentials;
use crate::clock::UnixMillis;

/// The vendor's explanation is kept up to this many characters.
const MAX_TEXT: usize = 256;

/// A call that failed.
#[derive(Debug)]
pub struct Error {
    /// What was asked.
    pub operation: Operation,
    /// Of which queue; empty where the call concerns none.
    pub queue: String,
    /// The endpoint's host.
    pub host: String,
    /// What went wrong.
    pub cause: Cause,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// MNS refused.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The answer is not one of MNS.
    #[error("malformed answer with status {status}: {problem}")]
    Malformed {
        /// HTTP status.
        status: u16,
        /// What was found where.
        #[source]
        problem: Malformed,
    },
    /// An answer to another question.
    #[error("found {found}, which is no answer to this call; is the endpoint really MNS?")]
    Unexpected {
        /// Its root element.
        found: &'static str,
    },
    /// The answer contradicts the request.
    #[error("the answer does not fit the request: {0}")]
    Mismatch(&'static str),
    /// The answer is longer than a full batch can be.
    #[error(
        "the answer is longer than {limit} bytes, more than any answer of MNS; is the endpoint really MNS?"
    )]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A server error without an answer of MNS, as load balancers and proxies send.
    #[error("status {status} without an MNS answer (from a load balancer or proxy?)")]
    Status {
        /// HTTP status.
        status: u16,
    },
    /// No answer in time.
    #[error("no complete answer within {} s; check the network path and MNS's health", after.as_secs())]
    Timeout {
        /// The time allowed.
        after: Duration,
    },
    /// No connection, or a broken one.
    #[error(
        "{reason}; check the endpoint, DNS, firewall, proxy and whether the endpoint is reachable from here"
    )]
    Connection {
        /// The chain of causes.
        reason: String,
    },
    /// Nothing to sign with.
    #[error("{0}")]
    Credentials(#[source] credentials::Error),
    /// The request cannot be written.
    #[error("invalid request: {0}")]
    Invalid(&'static str),
    /// The text to send is beyond XML.
    #[error("invalid request: {0}")]
    Unsendable(#[from] Unsendable),
}

/// An `Error` answer of MNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// MNS's code.
    pub code: String,
    /// MNS's explanation.
    pub message: String,
    /// The id that the vendor's support asks for.
    pub request_id: String,
    /// The local clock when the answer came.
    pub local: UnixMillis,
    /// The `Date` of the answer.
    pub server: Option<UnixMillis>,
    /// Whether the request was signed with temporary credentials.
    pub temporary: bool,
    kind: &'static str,
}

// === impl Error ===

impl Error {
    /// Every [`Error::kind`].
    pub const ALL: [&'static str; 14] = [
        "empty",
        "no_such_queue",
        "no_such_message",
        "access_denied",
        "bad_signature",
        "time_expired",
        "throttled",
        "server_error",
        "invalid_request",
        "malformed_answer",
        "too_large",
        "timeout",
        "connection",
        "credentials",
    ];

    /// Bounded name for labels, one of [`Error::ALL`].
    pub fn kind(&self) -> &'static str {
        self.cause.kind()
    }

    /// Whether there was nothing to receive or to peek at, which is the normal case.
    pub fn is_empty(&self) -> bool {
        self.kind() == "empty"
    }

    /// Whether the same call may succeed later by itself.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind(),
            "throttled" | "server_error" | "timeout" | "connection"
        )
    }

    /// Whether there was an answer that could not be read: receiving one message at a time may get past it.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.kind(), "malformed_answer" | "too_large")
    }

    /// Whether MNS may have done what was asked for all the same.
    pub fn may_have_taken_effect(&self) -> bool {
        self.is_unreadable() || self.is_retryable() && self.kind() != "throttled"
    }

    /// Whether the credentials may have expired, or been replaced. MNS documents no code for expiry, so that of temporary
    /// credentials every 403 counts that is not a plain denial.
    pub fn looks_expired(&self) -> bool {
        match &self.cause {
            Cause::Refused(refusal) => {
                refusal.status == 403
                    && (refusal.temporary && refusal.code != "AccessDenied"
                        || refusal.code == "InvalidAccessKeyId")
            }
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if !self.queue.is_empty() {
            write!(f, " of queue {}", self.queue)?;
        }
        write!(f, " at {}: {}", self.host, self.cause)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

// === impl Cause ===

impl Cause {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.kind,
            Self::Malformed { .. } | Self::Unexpected { .. } | Self::Mismatch(_) => {
                "malformed_answer"
            }
            Self::TooLarge { .. } => "too_large",
            Self::Status { status: 429 } => "throttled",
            Self::Status { .. } => "server_error",
            Self::Timeout { .. } => "timeout",
            Self::Connection { .. } => "connection",
            Self::Credentials(_) => "credentials",
            Self::Invalid(_) | Self::Unsendable(_) => "invalid_request",
        }
    }

    /// An error of the HTTP client. Its URL, which may hold a receipt handle, is not told.
    pub(super) fn from_http(error: reqwest::Error, timeout: Duration) -> Self {
        if error.is_timeout() && !error.is_connect() {
            return Self::Timeout { after: timeout };
        }
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        Self::Connection {
            reason: shorten(reason),
        }
    }
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(
        operation: Operation,
        status: u16,
        error: ServiceError,
        local: UnixMillis,
        server: Option<UnixMillis>,
        temporary: bool,
    ) -> Self {
        Self {
            status,
            kind: kind_of(operation, status, &error.code),
            code: shorten(error.code),
            message: shorten(error.message),
            request_id: shorten(error.request_id),
            local,
            server,
            temporary,
        }
    }

    fn clocks(&self) -> String {
        let Some(server) = self.server else {
            return "MNS told no Date to compare the local clock with".to_owned();
        };
        let millis = self.local.millis_since(server);
        let direction = if millis < 0 { "behind" } else { "ahead of" };
        format!(
            "the local clock ({}) is {} s {direction} MNS ({server})",
            self.local,
            millis.unsigned_abs() / 1000
        )
    }

    fn remedy(&self) -> Option<&'static str> {
        Some(match self.kind {
            "no_such_queue" => "check the queue's name, and the account and region in the endpoint",
            "access_denied" if self.code == "InvalidAccessKeyId" => {
                "check the access key id; a temporary key also needs its security token"
            }
            "access_denied" => {
                "grant the action on this queue to the RAM identity, and check that the endpoint's account is its own"
            }
            "bad_signature" => {
                "check the access key secret and the region; a proxy must not change the request; synchronise the clock \
                 (NTP) if it is off"
            }
            "time_expired" => "MNS accepts at most 15 min: synchronise the clock (NTP)",
            "throttled" => "poll less often, or ask the vendor for a higher limit",
            "server_error" => {
                "MNS failed; retry later, and give the vendor the request id if it stays"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MNS answered {} {}", self.status, self.code)?;
        if !self.message.is_empty() {
            write!(f, " ({})", self.message)?;
        }
        if matches!(self.kind, "time_expired" | "bad_signature") {
            write!(f, "; {}", self.clocks())?;
        }
        if let Some(remedy) = self.remedy() {
            write!(f, "; {remedy}")?;
        }
        if !self.request_id.is_empty() {
            write!(f, "; request id {}", self.request_id)?;
        }
        Ok(())
    }
}

/// Codes decide; an unknown code leaves it to the status.
fn kind_of(operation: Operation, status: u16, code: &str) -> &'static str {
    match code {
        "MessageNotExist" if operation.fetches_messages() => "empty",
        "MessageNotExist" => "no_such_message",
        "QueueNotExist" => "no_such_queue",
        "AccessDenied" | "InvalidAccessKeyId" => "access_denied",
        "SignatureDoesNotMatch" => "bad_signature",
        "TimeExpired" => "time_expired",
        "TooManyRequests" | "QpsLimitExceeded" => "throttled",
        "InternalError" | "InternalServerError" => "server_error",
        _ => match status {
            403 => "access_denied",
            429 => "throttled",
            500.. => "server_error",
            _ => "invalid_request",
        },
    }
}

/// Bounds what a remote side can put into logs, and keeps it on one line.
fn shorten(text: String) -> String {
    if text.len() <= MAX_TEXT && !text.contains(char::is_control) {
        return text;
    }
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MAX_TEXT).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(operation: Operation, status: u16, code: &str, skew_secs: i64) -> Error {
        let answer = ServiceError {
            code: code.to_owned(),
            message: "x".repeat(10_000),
            request_id: "5F".to_owned(),
        };
        let server = UnixMillis::from_secs(1_436_410_894);
        let local = UnixMillis(server.0 + skew_secs * 1000);
        let refusal = Refusal::new(operation, status, answer, local, Some(server), true);
        Error {
            operation,
            queue: "q1".to_owned(),
            host: "1.mns.cn-hangzhou.aliyuncs.com".to_owned(),
            cause: Cause::Refused(Box::new(refusal)),
        }
    }

    #[test]
    fn every_code_has_a_kind_of_the_list_and_a_retry_rule() {
        let receive = Operation::BatchReceiveMessage;
        for (status, code, kind, retryable) in [
            (404, "MessageNotExist", "empty", false),
            (404, "QueueNotExist", "no_such_queue", false),
            (404, "Other", "invalid_request", false),
            (403, "AccessDenied", "access_denied", false),
            (403, "InvalidAccessKeyId", "access_denied", false),
            (403, "SecurityTokenExpired", "access_denied", false),
            (403, "SignatureDoesNotMatch", "bad_signature", false),
            (408, "TimeExpired", "time_expired", false),
            (429, "TooManyRequests", "throttled", true),
            (400, "QpsLimitExceeded", "throttled", true),
            (500, "InternalError", "server_error", true),
            (503, "Whatever", "server_error", true),
            (400, "InvalidArgument", "invalid_request", false),
        ] {
            let error = refused(receive, status, code, 0);
            assert_eq!(error.kind(), kind, "{code}");
            assert_eq!(error.is_retryable(), retryable, "{code}");
            assert!(Error::ALL.contains(&kind));
        }
        let visibility = refused(
            Operation::ChangeMessageVisibility,
            404,
            "MessageNotExist",
            0,
        );
        assert_eq!(visibility.kind(), "no_such_message");
    }

    #[test]
    fn a_wrong_clock_is_named_with_its_skew_and_remedy() {
        let receive = Operation::BatchReceiveMessage;
        for (code, status) in [("TimeExpired", 408), ("SignatureDoesNotMatch", 403)] {
            let text = refused(receive, status, code, 1200).to_string();
            assert!(text.contains("1200 s ahead of MNS"), "{text}");
            assert!(text.contains("NTP"), "{text}");
            let text = refused(receive, status, code, -1200).to_string();
            assert!(text.contains("1200 s behind MNS"), "{text}");
        }
    }

    #[test]
    fn a_text_says_where_and_is_bounded() {
        let text = refused(Operation::GetQueueAttributes, 404, "QueueNotExist", 0).to_string();
        for part in [
            "GetQueueAttributes",
            "queue q1",
            "1.mns.cn-hangzhou",
            "request id 5F",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.len() < 1000, "{}", text.len());
    }

    #[test]
    fn only_a_403_that_is_no_plain_denial_looks_expired() {
        let receive = Operation::BatchReceiveMessage;
        assert!(refused(receive, 403, "InvalidAccessKeyId", 0).looks_expired());
        assert!(refused(receive, 403, "SecurityTokenExpired", 0).looks_expired());
        assert!(!refused(receive, 403, "AccessDenied", 0).looks_expired());
        assert!(!refused(receive, 404, "QueueNotExist", 0).looks_expired());
    }
}
