//! Which operation a request is, and with what arguments.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Call;
use super::xml::Element;
use crate::aliyun::sign::percent_decode;
use crate::emulator::attributes::AttributesPatch;
use crate::emulator::broker::{MAX_BATCH, NewMessage};
use crate::emulator::core::Shared;
use crate::emulator::error::ApiError;
use crate::emulator::faults::Operation;

/// Bytes of all bodies of a batch, by the vendor's limits.
const MAX_BATCH_BYTES: usize = 65_536;

/// An operation with its arguments; the queue's name travels beside it.
#[derive(Debug)]
pub(super) enum Action {
    CreateQueue(AttributesPatch),
    SetQueueAttributes(AttributesPatch),
    GetQueueAttributes,
    DeleteQueue,
    ListQueue {
        prefix: String,
        after: String,
        limit: usize,
        with_meta: bool,
    },
    Send(NewMessage),
    BatchSend(Vec<Result<NewMessage, ApiError>>),
    Receive {
        batch: Option<usize>,
        wait_seconds: Option<u32>,
    },
    Peek {
        batch: Option<usize>,
    },
    Delete(String),
    BatchDelete(Vec<String>),
    ChangeVisibility {
        handle: String,
        seconds: u32,
    },
}

/// What the request line and the body's root element say; a body that is no XML counts as the single form.
pub(super) fn identify(
    call: &Call,
    document: Option<&Result<Element, ApiError>>,
) -> (Operation, Option<String>) {
    let (path, query) = split(&call.target);
    let root = match document {
        Some(Ok(root)) => root.name.as_str(),
        _ => "",
    };
    let path = percent_decode(path);
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let has = |name: &str| exact(query, name).is_some();
    let (operation, queue) = match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["queues"]) => (Operation::ListQueue, None),
        ("GET", ["queues", queue]) => (Operation::GetQueueAttributes, Some(queue)),
        ("PUT", ["queues", queue]) if exact(query, "metaoverride").as_deref() == Some("true") => {
            (Operation::SetQueueAttributes, Some(queue))
        }
        ("PUT", ["queues", queue]) => (Operation::CreateQueue, Some(queue)),
        ("DELETE", ["queues", queue]) => (Operation::DeleteQueue, Some(queue)),
        ("GET", ["queues", queue, "messages"]) => {
            let peek = exact(query, "peekonly").as_deref() == Some("true");
            let operation = match (peek, has("numOfMessages")) {
                (true, true) => Operation::BatchPeekMessage,
                (true, false) => Operation::PeekMessage,
                (false, true) => Operation::BatchReceiveMessage,
                (false, false) => Operation::ReceiveMessage,
            };
            (operation, Some(queue))
        }
        ("POST", ["queues", queue, "messages"]) if root == "Messages" => {
            (Operation::BatchSendMessage, Some(queue))
        }
        ("POST", ["queues", queue, "messages"]) => (Operation::SendMessage, Some(queue)),
        ("PUT", ["queues", queue, "messages"]) => (Operation::ChangeMessageVisibility, Some(queue)),
        ("DELETE", ["queues", queue, "messages"])
            if loose(query, "ReceiptHandle").is_none() && document.is_some() =>
        {
            (Operation::BatchDeleteMessage, Some(queue))
        }
        ("DELETE", ["queues", queue, "messages"]) => (Operation::DeleteMessage, Some(queue)),
        _ => (Operation::Unknown, None),
    };
    (operation, queue.map(|queue| (*queue).to_owned()))
}

/// The arguments of an identified operation.
pub(super) fn parse(
    call: &Call,
    operation: Operation,
    document: Option<Result<Element, ApiError>>,
    shared: &Shared,
) -> Result<Action, ApiError> {
    let (_, query) = split(&call.target);
    let bodiless = document.is_none();
    let root = |expected: &str| match document {
        Some(Ok(root)) if root.name == expected => Ok(root),
        _ => Err(ApiError::malformed_xml()),
    };
    match operation {
        Operation::CreateQueue if bodiless => Ok(Action::CreateQueue(AttributesPatch::default())),
        Operation::CreateQueue => Ok(Action::CreateQueue(attributes(&root("Queue")?)?)),
        Operation::SetQueueAttributes => {
            Ok(Action::SetQueueAttributes(attributes(&root("Queue")?)?))
        }
        Operation::GetQueueAttributes => Ok(Action::GetQueueAttributes),
        Operation::DeleteQueue => Ok(Action::DeleteQueue),
        Operation::ListQueue => list(call),
        Operation::SendMessage => Ok(Action::Send(message(&root("Message")?)?)),
        Operation::BatchSendMessage => batch_send(&root("Messages")?),
        Operation::ReceiveMessage | Operation::BatchReceiveMessage => Ok(Action::Receive {
            batch: batch_size(query, shared)?,
            wait_seconds: wait_seconds(query)?,
        }),
        Operation::PeekMessage | Operation::BatchPeekMessage => Ok(Action::Peek {
            batch: batch_size(query, shared)?,
        }),
        Operation::DeleteMessage => Ok(Action::Delete(handle(query)?)),
        Operation::BatchDeleteMessage => batch_delete(&root("ReceiptHandles")?),
        Operation::ChangeMessageVisibility => change_visibility(query),
        Operation::GetTranscodeSummary
        | Operation::GetVideoInfos
        | Operation::GetVideoList
        | Operation::GetMessageCallback
        | Operation::GetCallerIdentity
        | Operation::GetRole
        | Operation::Unknown => Err(ApiError::new(
            400,
            "InvalidRequestURL",
            "The request URL is invalid.",
        )),
    }
}

fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// A query parameter by its exact name.
fn exact(query: &str, name: &str) -> Option<String> {
    parameter(query, |candidate| candidate == name)
}

/// A query parameter by its name in any case: SDKs and documentation disagree about these.
fn loose(query: &str, name: &str) -> Option<String> {
    parameter(query, |candidate| candidate.eq_ignore_ascii_case(name))
}

fn parameter(query: &str, matches: impl Fn(&str) -> bool) -> Option<String> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(name, _)| matches(&percent_decode(name)))
        .map(|(_, value)| percent_decode(value))
}

fn attributes(root: &Element) -> Result<AttributesPatch, ApiError> {
    let logging_enabled = match root.text_of("LoggingEnabled").map(str::trim) {
        None | Some("") => None,
        Some(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Some(_) => {
            return Err(ApiError::invalid_argument(
                "The value of LoggingEnabled should be True or False.",
            ));
        }
    };
    Ok(AttributesPatch {
        delay_seconds: root.number_of("DelaySeconds")?,
        maximum_message_size: root.number_of("MaximumMessageSize")?,
        message_retention_period: root.number_of("MessageRetentionPeriod")?,
        visibility_timeout: root.number_of("VisibilityTimeout")?,
        polling_wait_seconds: root.number_of("PollingWaitSeconds")?,
        logging_enabled,
    })
}

fn list(call: &Call) -> Result<Action, ApiError> {
    let limit = match call.header("x-mns-ret-number") {
        None => 1000,
        Some(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|limit| (1..=1000).contains(limit))
            .ok_or_else(|| ApiError::out_of_range("x-mns-ret-number", 1, 1000, ""))?,
    };
    let after = match call
        .header("x-mns-marker")
        .filter(|marker| !marker.is_empty())
    {
        None => String::new(),
        Some(marker) => STANDARD
            .decode(marker)
            .ok()
            .and_then(|name| String::from_utf8(name).ok())
            .ok_or_else(|| ApiError::invalid_argument("The value of x-mns-marker is invalid."))?,
    };
    let with_meta = call.header("x-mns-with-meta");
    Ok(Action::ListQueue {
        prefix: call.header("x-mns-prefix").unwrap_or_default().to_owned(),
        after,
        limit,
        with_meta: with_meta.is_some_and(|value| value.eq_ignore_ascii_case("true")),
    })
}

fn message(root: &Element) -> Result<NewMessage, ApiError> {
    let mut properties = String::new();
    for name in ["MessageGroupId", "UserProperties", "SystemProperties"] {
        if let Some(element) = root.child(name) {
            element.write(&mut properties);
        }
    }
    let priority = root.number_of("Priority")?;
    Ok(NewMessage {
        body: root.text_of("MessageBody").unwrap_or_default().into(),
        delay_seconds: root.number_of("DelaySeconds")?,
        // Out of a byte is out of range too.
        priority: priority.map(|priority| u8::try_from(priority).unwrap_or(u8::MAX)),
        properties: properties.into(),
    })
}

fn batch_send(root: &Element) -> Result<Action, ApiError> {
    let messages: Vec<_> = root
        .children
        .iter()
        .filter(|child| child.name == "Message")
        .map(message)
        .collect();
    check_batch_len(messages.len())?;
    let bytes: usize = messages
        .iter()
        .flatten()
        .map(|message| message.body.len())
        .sum();
    if bytes > MAX_BATCH_BYTES {
        return Err(ApiError::invalid_argument(
            "The total length of messages should between 1 and 65536 bytes.",
        ));
    }
    Ok(Action::BatchSend(messages))
}

fn batch_delete(root: &Element) -> Result<Action, ApiError> {
    let handles: Vec<String> = root
        .children
        .iter()
        .filter(|child| child.name == "ReceiptHandle")
        .map(|child| child.text.trim().to_owned())
        .collect();
    check_batch_len(handles.len())?;
    Ok(Action::BatchDelete(handles))
}

fn check_batch_len(len: usize) -> Result<(), ApiError> {
    match len {
        0 => Err(ApiError::malformed_xml()),
        1..=MAX_BATCH => Ok(()),
        _ => Err(ApiError::invalid_argument(
            "The number of messages in a batch should between 1 and 16.",
        )),
    }
}

fn batch_size(query: &str, shared: &Shared) -> Result<Option<usize>, ApiError> {
    let Some(text) = exact(query, "numOfMessages") else {
        return Ok(None);
    };
    match text.parse::<i64>() {
        Ok(wanted @ 1..=16) => Ok(usize::try_from(wanted).ok()),
        Ok(wanted) if shared.core().behaviour.clamp_batch_size => {
            Ok(usize::try_from(wanted.clamp(1, 16)).ok())
        }
        _ => Err(ApiError::out_of_range("numOfMessages", 1, 16, "")),
    }
}

fn wait_seconds(query: &str) -> Result<Option<u32>, ApiError> {
    exact(query, "waitseconds")
        .map(|text| {
            text.parse()
                .ok()
                .filter(|seconds| *seconds <= 30)
                .ok_or_else(|| ApiError::out_of_range("waitseconds", 0, 30, " seconds"))
        })
        .transpose()
}

fn handle(query: &str) -> Result<String, ApiError> {
    loose(query, "ReceiptHandle")
        .filter(|handle| !handle.is_empty())
        .ok_or_else(|| {
            ApiError::new(
                400,
                "MissingReceiptHandle",
                "ReceiptHandle is required in this request.",
            )
        })
}

fn change_visibility(query: &str) -> Result<Action, ApiError> {
    let handle = handle(query)?;
    let seconds = loose(query, "VisibilityTimeout").ok_or_else(|| {
        ApiError::new(
            400,
            "MissingVisibilityTimeout",
            "VisibilityTimeout is required in this request.",
        )
    })?;
    let seconds = seconds
        .parse()
        .map_err(|_| ApiError::out_of_range("VisibilityTimeout", 1, 43_200, " seconds"))?;
    Ok(Action::ChangeVisibility { handle, seconds })
}
