//! The JSON endpoints. Unknown is `null`; times are RFC 3339 in UTC.

mod transcodes;

use std::sync::atomic::Ordering;

use http::StatusCode;
use serde::Serialize;

use super::{Admin, Answer, respond};
use crate::clock::UnixMillis;
use crate::ledger::snapshot::{Mode, QuarantineEntry, Role};
use crate::ledger::{Counts, QueueSnapshot, Snapshot};
use crate::vod::event::Status;

pub(super) use transcodes::transcodes;

#[derive(Serialize)]
struct Queues<'a> {
    queues: Vec<Queue<'a>>,
}

#[derive(Serialize)]
struct Queue<'a> {
    id: &'a str,
    #[serde(rename = "mns_queue")]
    name: &'a str,
    endpoint: &'a str,
    account: &'a str,
    region: &'a str,
    mode: Mode,
    role: Role,
    up: Option<bool>,
    last_error: Option<&'static str>,
    last_tick: Option<String>,
    messages: Option<Messages>,
    depth_trusted: Option<bool>,
    empty: Option<bool>,
    oldest_message: Option<String>,
    progress: Option<String>,
    retention_seconds: Option<u64>,
    visibility_timeout_seconds: Option<u64>,
    dequeue_count_max: Option<u32>,
    pending: u64,
    last_event: Option<String>,
    watched_since: Option<String>,
    view_complete: bool,
    observed_until: Option<String>,
    counts: Sums,
}

#[derive(Serialize)]
struct Messages {
    active: u64,
    inactive: u64,
    delayed: u64,
}

/// [`Counts`], summed over their labels.
#[derive(Serialize)]
struct Sums {
    messages_seen: u64,
    redeliveries: u64,
    duplicates: u64,
    decode_failures: u64,
    events: u64,
    failed_events: u64,
    stream_transcodes: u64,
    failed_stream_transcodes: u64,
}

#[derive(Serialize)]
struct Quarantine<'a> {
    messages: Vec<Quarantined<'a>>,
}

#[derive(Serialize)]
struct Quarantined<'a> {
    number: u64,
    queue: &'a str,
    reason: &'static str,
    at: String,
    enqueue_time: String,
    message_id: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
}

/// The query of `/api/v1/quarantine`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    queue: Option<String>,
    bodies: bool,
}

pub(super) fn queues(snapshot: &Snapshot) -> Answer {
    let queues = snapshot.queues.iter().map(Queue::from).collect();
    json(StatusCode::OK, &Queues { queues })
}

pub(super) fn quarantine(admin: &Admin, query: &str) -> Answer {
    let query = match Query::parse(query) {
        Ok(query) => query,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    if query.bodies && !admin.expose_bodies.load(Ordering::Relaxed) {
        return error(
            StatusCode::FORBIDDEN,
            "Bodies name customers' media and are not shown. Set quarantine.expose_bodies to true in the \
             configuration to allow it.",
        );
    }
    let snapshot = admin.view.snapshot();
    let messages = snapshot
        .quarantine
        .iter()
        .filter(|entry| {
            query
                .queue
                .as_deref()
                .is_none_or(|queue| *queue == *entry.queue)
        })
        .map(|entry| Quarantined::new(entry, query.bodies))
        .collect();
    json(StatusCode::OK, &Quarantine { messages })
}

/// An error in the form in which all endpoints of the API tell it.
pub(super) fn error(status: StatusCode, why: &str) -> Answer {
    json(status, &Failure { error: why })
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut body = serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec());
    body.push(b'\n');
    respond(status, "application/json", body)
}

fn time(at: Option<UnixMillis>) -> Option<String> {
    at.map(|at| at.to_string())
}

// === impl Queue ===

impl<'a> From<&'a QueueSnapshot> for Queue<'a> {
    fn from(queue: &'a QueueSnapshot) -> Self {
        let identity = &*queue.identity;
        Self {
            id: &identity.id,
            name: &identity.mns_queue,
            endpoint: &identity.endpoint,
            account: &identity.account,
            region: &identity.region,
            mode: identity.mode,
            role: identity.role,
            up: queue.up,
            last_error: queue.last_error,
            last_tick: time(queue.last_tick),
            messages: queue.depth.map(|[active, inactive, delayed]| Messages {
                active,
                inactive,
                delayed,
            }),
            depth_trusted: queue.depth_trusted,
            empty: queue.empty,
            oldest_message: time(queue.oldest_message),
            progress: time(queue.progress),
            retention_seconds: queue.retention.map(|time| time.as_secs()),
            visibility_timeout_seconds: queue.visibility_timeout.map(|time| time.as_secs()),
            dequeue_count_max: queue.dequeue_count_max,
            pending: queue.pending,
            last_event: time(queue.last_event),
            watched_since: time(queue.watched_since),
            view_complete: queue.view_complete,
            observed_until: time(queue.observed_until),
            counts: Sums::from(&queue.counts),
        }
    }
}

// === impl Sums ===

impl From<&Counts> for Sums {
    fn from(counts: &Counts) -> Self {
        let failed = |rows: &[[u64; Status::COUNT]]| {
            rows.iter()
                .filter_map(|row| row.get(Status::Fail.index()))
                .sum()
        };
        Self {
            messages_seen: counts.messages_seen,
            redeliveries: counts.redeliveries,
            duplicates: counts.duplicates,
            decode_failures: counts.decode_failures.iter().sum(),
            events: counts.events.iter().flatten().sum(),
            failed_events: failed(&counts.events),
            stream_transcodes: counts.streams.iter().flatten().sum(),
            failed_stream_transcodes: failed(&counts.streams),
        }
    }
}

// === impl Quarantined ===

impl<'a> Quarantined<'a> {
    fn new(entry: &'a QuarantineEntry, body: bool) -> Self {
        Self {
            number: entry.number,
            queue: &entry.queue,
            reason: entry.reason.as_str(),
            at: entry.at.to_string(),
            enqueue_time: entry.enqueue_time.to_string(),
            message_id: &entry.message_id,
            size: entry.size,
            body: body.then_some(&*entry.body),
        }
    }
}

// === impl Query ===

impl Query {
    fn parse(query: &str) -> Result<Self, String> {
        let mut parsed = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("queue", queue) => parsed.queue = Some(queue.to_owned()),
                ("bodies", "1") => parsed.bodies = true,
                ("bodies", "0") => parsed.bodies = false,
                ("bodies", other) => {
                    return Err(format!(
                        "The parameter bodies is {other:?}; it takes 0 or 1."
                    ));
                }
                (other, _) => {
                    return Err(format!(
                        "There is no parameter {other:?}; known are queue and bodies."
                    ));
                }
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_checked() {
        assert_eq!(Query::parse(""), Ok(Query::default()));
        let expected = Query {
            queue: Some("vod & co".to_owned()),
            bodies: true,
        };
        assert_eq!(Query::parse("queue=vod+%26+co&bodies=1"), Ok(expected));
        assert!(Query::parse("bodies=yes").unwrap_err().contains("0 or 1"));
        assert!(
            Query::parse("que=a")
                .unwrap_err()
                .contains("queue and bodies")
        );
    }
}
