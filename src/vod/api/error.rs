//! Why a call failed, with one bounded name for labels and a text for people.

use std::fmt;
use std::time::Duration;

use super::Operation;
use crate::aliyun::credentials;

/// The vendor's explanation is kept up to this many characters.
const MAX_TEXT: usize = 256;

/// A call that failed.
#[derive(Debug)]
pub struct Error {
    /// What was asked.
    pub operation: Operation,
    /// The endpoint's host.
    pub host: String,
    /// What went wrong.
    pub cause: Cause,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// VOD refused.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The answer is not one of VOD.
    #[error(
        "status {status} with a text that is not {expected}; is the endpoint really VOD, and no proxy in between?"
    )]
    Malformed {
        /// HTTP status.
        status: u16,
        /// What was expected.
        expected: &'static str,
    },
    /// The answer is longer than any that was asked for.
    #[error("the answer is longer than {limit} bytes; is the endpoint really VOD?")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A server error without an answer of VOD, as load balancers and proxies send.
    #[error("status {status} without an answer of VOD (from a load balancer or proxy?)")]
    Status {
        /// HTTP status.
        status: u16,
    },
    /// No answer in time.
    #[error("no complete answer within {} s; check the network path and VOD's health", after.as_secs())]
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
}

/// An error answer of VOD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// VOD's code.
    pub code: String,
    /// VOD's explanation.
    pub message: String,
    /// The id that the vendor's support asks for.
    pub request_id: String,
    operation: Operation,
    kind: &'static str,
}

// === impl Error ===

impl Error {
    /// Every [`Error::kind`].
    pub const ALL: [&'static str; 13] = [
        "access_denied",
        "not_activated",
        "bad_signature",
        "time_expired",
        "throttled",
        "server_error",
        "not_found",
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

    /// Whether the same call may succeed soon by itself.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind(),
            "throttled" | "server_error" | "timeout" | "connection" | "malformed_answer"
        )
    }

    /// Whether the credentials may have expired, or been replaced.
    pub fn looks_expired(&self) -> bool {
        match &self.cause {
            Cause::Refused(refusal) => {
                refusal.code.contains("SecurityToken")
                    || refusal.code.starts_with("InvalidAccessKeyId")
            }
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.operation, self.host, self.cause)
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
            Self::Malformed { .. } => "malformed_answer",
            Self::TooLarge { .. } => "too_large",
            Self::Status { status: 429 } => "throttled",
            Self::Status { .. } => "server_error",
            Self::Timeout { .. } => "timeout",
            Self::Connection { .. } => "connection",
            Self::Credentials(_) => "credentials",
            Self::Invalid(_) => "invalid_request",
        }
    }

    /// An error of the HTTP client. Its URL, which names videos, is not told.
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
            reason: shorten(&reason),
        }
    }
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(
        operation: Operation,
        status: u16,
        code: &str,
        message: &str,
        request_id: &str,
    ) -> Self {
        Self {
            status,
            kind: kind_of(status, code),
            code: shorten(code),
            message: shorten(message),
            request_id: shorten(request_id),
            operation,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self.kind {
            "access_denied" if self.code.starts_with("InvalidAccessKeyId") => {
                "check the access key id; a temporary key also needs its security token"
            }
            "access_denied" if self.code.contains("SecurityToken") => {
                "the temporary key has expired or its token is not its own: renew both"
            }
            "access_denied" => {
                return Some(format!(
                    "grant the action vod:{} on resource * to the RAM identity",
                    self.operation
                ));
            }
            "not_activated" => {
                "activate ApsaraVideo VOD for this account in this region and settle overdue bills"
            }
            "bad_signature" => {
                "check the access key secret; a proxy must not change the request or its Host"
            }
            "time_expired" => "VOD accepts at most 15 min: synchronise the clock (NTP)",
            "throttled" => "lower the request budget, or ask the vendor for a higher limit",
            "server_error" => {
                "VOD failed; it is asked again, give the vendor the request id if it stays"
            }
            "not_found" => "check the application's id and the region",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VOD answered {} {}", self.status, self.code)?;
        if !self.message.is_empty() {
            write!(f, " ({})", self.message)?;
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

/// Codes decide, by their part before the first dot where that is enough; an unknown code leaves it to the status.
/// VOD throttles with status 400.
fn kind_of(status: u16, code: &str) -> &'static str {
    let family = code.split('.').next().unwrap_or(code);
    match family {
        "Throttling" => "throttled",
        "SignatureDoesNotMatch" | "IncompleteSignature" | "InvalidSignature" => "bad_signature",
        "InvalidTimeStamp" | "TimeExpired" => "time_expired",
        "OperationDenied" => "not_activated",
        "Forbidden"
        | "NoPermission"
        | "InvalidAccessKeyId"
        | "InvalidSecurityToken"
        | "MissingSecurityToken" => "access_denied",
        "InternalError" | "ServiceUnAvailable" | "ServiceUnavailable" => "server_error",
        "NoSuchResource" | "InvalidVideo" => "not_found",
        _ => match status {
            401 | 403 => "access_denied",
            404 => "not_found",
            429 => "throttled",
            500.. => "server_error",
            _ => "invalid_request",
        },
    }
}

/// Bounds what a remote side can put into logs, and keeps it on one line.
fn shorten(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MAX_TEXT).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Error {
        let message = "x\n".repeat(10_000);
        let refusal = Refusal::new(Operation::GetTranscodeSummary, status, code, &message, "5F");
        Error {
            operation: Operation::GetTranscodeSummary,
            host: "vod.cn-shanghai.aliyuncs.com".to_owned(),
            cause: Cause::Refused(Box::new(refusal)),
        }
    }

    #[test]
    fn every_code_has_a_kind_of_the_list_and_a_retry_rule() {
        for (status, code, kind, retryable) in [
            (400, "Throttling.User", "throttled", true),
            (429, "Whatever", "throttled", true),
            (403, "Forbidden", "access_denied", false),
            (403, "NoPermission", "access_denied", false),
            (404, "InvalidAccessKeyId.NotFound", "access_denied", false),
            (400, "InvalidSecurityToken.Expired", "access_denied", false),
            (403, "OperationDenied.Suspended", "not_activated", false),
            (400, "SignatureDoesNotMatch", "bad_signature", false),
            (400, "InvalidTimeStamp.Expired", "time_expired", false),
            (500, "InternalError", "server_error", true),
            (503, "ServiceUnAvailable", "server_error", true),
            (502, "", "server_error", true),
            (404, "InvalidVideo.NotFound", "not_found", false),
            (400, "InvalidParameter", "invalid_request", false),
        ] {
            let error = refused(status, code);
            assert_eq!(error.kind(), kind, "{code}");
            assert_eq!(error.is_retryable(), retryable, "{code}");
            assert!(Error::ALL.contains(&kind));
        }
    }

    #[test]
    fn a_text_says_what_and_where_and_names_the_missing_action() {
        let text = refused(403, "Forbidden").to_string();
        for part in [
            "GetTranscodeSummary at vod.cn-shanghai",
            "403 Forbidden",
            "vod:GetTranscodeSummary",
            "request id 5F",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.len() < 700 && !text.contains('\n'), "{text}");
    }
}
