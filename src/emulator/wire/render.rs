//! Answers as the service writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::xml::{self, document, escape, field, number};
use super::{Answer, Call, Payload, Reply, XML};
use crate::clock::UnixMillis;
use crate::emulator::broker::{Broker, Sent};
use crate::emulator::error::ApiError;
use crate::emulator::queue::{Counts, Queue, View};

/// The answer of a result.
pub(super) fn answer(
    result: Result<Reply, ApiError>,
    call: &Call,
    request_id: String,
    now: UnixMillis,
) -> Answer {
    let reply = result.unwrap_or_else(|failure| error(&failure, &request_id, &call.host_id()));
    Answer {
        status: reply.status,
        content_type: XML,
        location: reply.location,
        request_id,
        date: now,
        payload: Payload::Whole(Bytes::from(reply.body)),
    }
}

fn error(error: &ApiError, request_id: &str, host_id: &str) -> Reply {
    Reply::of(
        error.status,
        document("Error", 320, |out| {
            field(out, "Code", &error.code);
            field(out, "Message", &error.message);
            field(out, "RequestId", request_id);
            field(out, "HostId", host_id);
        }),
    )
}

/// The counters of a queue; none where they are left out.
pub(super) type Meta = Option<Counts>;

pub(super) fn attributes(name: &str, queue: &Queue, counts: Meta) -> Reply {
    Reply::of(
        200,
        document("Queue", 640, |out| {
            write_attributes(out, name, queue, counts);
        }),
    )
}

fn write_attributes(out: &mut String, name: &str, queue: &Queue, counts: Meta) {
    let attributes = &queue.attributes;
    field(out, "QueueName", name);
    number(out, "CreateTime", queue.create_time.0.div_euclid(1000));
    number(
        out,
        "LastModifyTime",
        queue.last_modify_time.0.div_euclid(1000),
    );
    number(out, "VisibilityTimeout", attributes.visibility_timeout);
    number(out, "MaximumMessageSize", attributes.maximum_message_size);
    number(
        out,
        "MessageRetentionPeriod",
        attributes.message_retention_period,
    );
    number(out, "DelaySeconds", attributes.delay_seconds);
    number(out, "PollingWaitSeconds", attributes.polling_wait_seconds);
    if let Some(counts) = counts {
        number(out, "ActiveMessages", counts.active);
        number(out, "InactiveMessages", counts.inactive);
        number(out, "DelayMessages", counts.delayed);
    }
    let logging = if attributes.logging_enabled {
        "True"
    } else {
        "False"
    };
    field(out, "LoggingEnabled", logging);
}

/// Entries have no metadata where it was not asked for.
pub(super) fn list(
    host_id: &str,
    broker: &Broker,
    entries: &[(String, Option<Meta>)],
    more: bool,
) -> Reply {
    Reply::of(
        200,
        document("Queues", entries.len() * 128, |out| {
            for (name, meta) in entries {
                out.push_str("<Queue>");
                field(out, "QueueURL", &format!("{host_id}/queues/{name}"));
                if let (Some(counts), Ok(queue)) = (meta, broker.queue(name)) {
                    write_attributes(out, name, queue, *counts);
                }
                out.push_str("</Queue>");
            }
            if let (true, Some((last, _))) = (more, entries.last()) {
                let marker = STANDARD.encode(last);
                field(out, "NextMarker", &marker);
            }
        }),
    )
}

pub(super) fn sent(results: &[Result<Sent, ApiError>], batch: bool, status: u16) -> Reply {
    let entry = |out: &mut String, result: &Result<Sent, ApiError>| match result {
        Ok(sent) => {
            field(out, "MessageId", &sent.message_id);
            field(out, "MessageBodyMD5", &sent.body_md5);
            if let Some(handle) = &sent.receipt_handle {
                field(out, "ReceiptHandle", handle);
            }
        }
        Err(error) => {
            field(out, "ErrorCode", &error.code);
            field(out, "ErrorMessage", &error.message);
        }
    };
    Reply::of(status, messages(results, batch, 160, entry))
}

pub(super) fn received(views: &[(View, String)], batch: bool, quotes: bool) -> Reply {
    let capacity = views.iter().map(|(view, _)| view.body.len() * 5 / 4 + 640);
    let body = messages(
        views,
        batch,
        capacity.max().unwrap_or(0),
        |out, (view, handle)| {
            write_message(out, view, Some(handle), quotes);
        },
    );
    Reply::of(200, body)
}

pub(super) fn peeked(views: &[View], batch: bool, quotes: bool) -> Reply {
    let capacity = views.iter().map(|view| view.body.len() * 5 / 4 + 480);
    let body = messages(views, batch, capacity.max().unwrap_or(0), |out, view| {
        write_message(out, view, None, quotes);
    });
    Reply::of(200, body)
}

/// `<Messages>` around each, or the first alone as the root.
fn messages<T>(
    items: &[T],
    batch: bool,
    capacity: usize,
    mut write: impl FnMut(&mut String, &T),
) -> String {
    if !batch {
        return document("Message", capacity, |out| {
            if let Some(item) = items.first() {
                write(out, item);
            }
        });
    }
    document("Messages", items.len() * capacity, |out| {
        for item in items {
            out.push_str("<Message>");
            write(out, item);
            out.push_str("</Message>");
        }
    })
}

/// A peeked message has no handle and does not tell when it becomes visible.
fn write_message(out: &mut String, view: &View, handle: Option<&str>, quotes: bool) {
    field(out, "MessageId", &view.id);
    if let Some(handle) = handle {
        field(out, "ReceiptHandle", handle);
    }
    field(out, "MessageBodyMD5", &view.body_md5);
    out.push_str("<MessageBody>");
    escape(&view.body, quotes, out);
    out.push_str("</MessageBody>");
    number(out, "EnqueueTime", view.enqueue_time.0);
    if handle.is_some() {
        number(out, "NextVisibleTime", view.next_visible_time.0);
    }
    number(out, "FirstDequeueTime", view.first_dequeue_time.0);
    number(out, "DequeueCount", view.dequeue_count);
    number(out, "Priority", view.priority);
    out.push_str(&view.properties);
}

pub(super) fn visibility(handle: &str, until: UnixMillis) -> Reply {
    Reply::of(
        200,
        document("ChangeVisibility", 160, |out| {
            field(out, "ReceiptHandle", handle);
            number(out, "NextVisibleTime", until.0);
        }),
    )
}

/// Entries are spelled `ErrorCode` and `ErrorMessage` here, unlike in a whole-request error.
pub(super) fn delete_errors(failed: &[(&String, ApiError)], status: u16) -> Reply {
    Reply::of(
        status,
        document("Errors", failed.len() * 200, |out| {
            for (handle, error) in failed {
                out.push_str("<Error>");
                field(out, "ErrorCode", &error.code);
                field(out, "ErrorMessage", &error.message);
                field(out, "ReceiptHandle", handle);
                out.push_str("</Error>");
            }
        }),
    )
}

/// What stands before and after the text of a huge answer.
pub(in crate::emulator) fn huge_frame() -> (String, &'static str) {
    let start = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Message xmlns=\"{}\"><MessageBody>",
        xml::NAMESPACE
    );
    (start, "</MessageBody></Message>")
}

// === impl Reply ===

impl Reply {
    pub(super) fn of(status: u16, body: String) -> Self {
        Self {
            status,
            body,
            location: None,
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self::of(status, String::new())
    }
}
