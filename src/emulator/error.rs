//! The errors of the MNS data plane: status, code and text as the vendor documents them, spelling included.

use std::borrow::Cow;

/// An error answer, rendered as `<Error>` or as an entry of a batch answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {code}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// The vendor's code.
    pub code: Cow<'static, str>,
    /// The vendor's text.
    pub message: Cow<'static, str>,
}

// === impl ApiError ===

impl ApiError {
    /// An error by its parts.
    pub fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// 404: no such queue.
    pub fn queue_not_exist() -> Self {
        Self::new(
            404,
            "QueueNotExist",
            "The queue name you provided is not exist.",
        )
    }

    /// 404: nothing to receive or peek, or the handle's message is gone or its handle used up.
    pub fn message_not_exist() -> Self {
        Self::new(404, "MessageNotExist", "Message not exist.")
    }

    /// 400: a value out of its range.
    pub fn out_of_range(element: &str, low: u32, high: u32, unit: &str) -> Self {
        Self::invalid_argument(format!(
            "The value of {element} should between {low} and {high}{unit}."
        ))
    }

    /// 400: a value that cannot be used.
    pub fn invalid_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "InvalidArgument", message)
    }

    /// 400: a queue of this name was deleted a moment ago.
    pub fn queue_deleted_recently() -> Self {
        Self::new(
            400,
            "QueueDeletedRecently",
            "The queue you want to create was deleted recently.",
        )
    }

    /// 400: not the XML of this operation.
    pub fn malformed_xml() -> Self {
        Self::new(
            400,
            "MalformedXML",
            "The XML you provided was not well-formed.",
        )
    }

    /// 400: text that never was a receipt handle.
    pub fn receipt_handle_error() -> Self {
        Self::new(
            400,
            "ReceiptHandleError",
            "The receipt handle you provide is not valid.",
        )
    }

    /// 408: the request's date is too far from the server's.
    pub fn time_expired() -> Self {
        Self::new(408, "TimeExpired", "The http request you sent is expired.")
    }

    /// 429: flow control.
    pub fn too_many_requests() -> Self {
        Self::new(
            429,
            "TooManyRequests",
            "The request is denied by cluster flow limiter for too many requests.",
        )
    }

    /// 500: the service failed; the misspelling is the vendor's.
    pub fn internal_error() -> Self {
        Self::new(500, "InternalError", "Interal error.")
    }

    /// 503: the service is not there.
    pub fn unavailable() -> Self {
        Self::new(
            503,
            "ServiceUnavailable",
            "The service is temporarily unavailable.",
        )
    }

    /// 403: no permission for the operation.
    pub fn access_denied() -> Self {
        Self::new(
            403,
            "AccessDenied",
            "The OwnerId that your Access Key Id associated to is forbidden for this operation.",
        )
    }

    /// 403: the secret does not match, or what was signed is not what arrived.
    pub fn signature_does_not_match() -> Self {
        Self::new(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        )
    }

    /// 403: an access key id that nobody owns.
    pub fn invalid_access_key_id() -> Self {
        Self::new(
            403,
            "InvalidAccessKeyId",
            "The AccessKey Id you provided is not exist.",
        )
    }
}
