//! From a copy of the ledger to samples.
//!
//! What is unknown is left out, what is empty is 0, and label sets that are known in advance start at 0, so that a first
//! failure is an increase.

mod transcodes;

use std::sync::LazyLock;
use std::time::Duration;

use super::catalogue::{self as names, Bounds, Family, MESSAGE_STATES};
use super::exposition::{Observations, Value, Writer, tails};
use crate::clock::UnixMillis;
use crate::ledger::counts::FORWARD_RESULTS;
use crate::ledger::snapshot::Mode;
use crate::ledger::{Histogram, QueueSnapshot, Snapshot};
use crate::vod::event::{Definition, EventType, Status, Undecodable};
use crate::vod::fault::Fault;

/// Statuses whose series start at 0.
const STARTED: [Status; 2] = [Status::Success, Status::Fail];

static EVENT_TAILS: LazyLock<Vec<String>> = LazyLock::new(|| {
    tails(&[
        ("event_type", labels(EventType::ALL, EventType::as_str)),
        ("status", labels(Status::ALL, Status::as_str)),
    ])
});
static FAULT_TAILS: LazyLock<Vec<String>> = LazyLock::new(|| {
    tails(&[
        ("event_type", labels(EventType::ALL, EventType::as_str)),
        ("fault", labels(Fault::ALL, Fault::as_str)),
    ])
});
static REASON_TAILS: LazyLock<Vec<String>> =
    LazyLock::new(|| tails(&[("reason", labels(Undecodable::ALL, Undecodable::as_str))]));
static STREAM_TAILS: LazyLock<Vec<String>> = LazyLock::new(|| {
    tails(&[
        ("definition", labels(Definition::ALL, Definition::as_str)),
        ("status", labels(Status::ALL, Status::as_str)),
    ])
});

/// Writes every family that comes from the ledger.
pub(super) fn write(snapshot: &Snapshot, skew_millis: Option<i64>, writer: &mut Writer<'_>) {
    let queues = &snapshot.queues;
    write_queue_gauges(queues, writer);
    write_message_counts(queues, writer);
    write_events(queues, writer);
    write_streams(queues, writer);
    transcodes::write(queues, writer);
    write_state(snapshot, skew_millis, writer);
}

fn write_queue_gauges(queues: &[QueueSnapshot], writer: &mut Writer<'_>) {
    let mut family = writer.family(&names::QUEUE_INFO);
    for queue in queues {
        let identity = &queue.identity;
        let labels = [
            ("queue", &*identity.id),
            ("mns_queue", &*identity.mns_queue),
            ("account", &*identity.account),
            ("mns_region", &*identity.region),
            ("mode", names::mode_label(identity.mode)),
            ("role", names::role_label(identity.role)),
        ];
        family.sample(&labels, 1);
    }
    per_queue(writer, &names::QUEUE_UP, queues, |queue| queue.up);
    let mut family = writer.family(&names::QUEUE_MESSAGES);
    for queue in queues {
        for (state, depth) in MESSAGE_STATES.iter().zip(queue.depth.iter().flatten()) {
            family.sample(&[("queue", &queue.identity.id), ("state", state)], *depth);
        }
    }
    per_queue(writer, &names::QUEUE_DEPTH_TRUSTED, queues, |queue| {
        queue.depth_trusted
    });
    per_queue(writer, &names::QUEUE_OLDEST_MESSAGE, queues, |queue| {
        queue.oldest_message
    });
    per_queue(writer, &names::QUEUE_EMPTY, queues, |queue| queue.empty);
    per_queue(writer, &names::QUEUE_PROGRESS, queues, |queue| {
        queue.progress
    });
    per_queue(writer, &names::QUEUE_RETENTION, queues, |queue| {
        queue.retention
    });
    per_queue(writer, &names::QUEUE_VISIBILITY_TIMEOUT, queues, |queue| {
        queue.visibility_timeout
    });
    per_queue(writer, &names::QUEUE_DEQUEUE_COUNT_MAX, queues, |queue| {
        queue.dequeue_count_max.map(u64::from)
    });
    per_queue(writer, &names::EVENT_LAST, queues, |queue| queue.last_event);
    per_queue(writer, &names::QUEUE_WATCHED_SINCE, queues, |queue| {
        queue.watched_since.filter(|_| queue.view_complete)
    });
    per_queue(writer, &names::TRANSCODE_VIEW_COMPLETE, queues, |queue| {
        Some(queue.view_complete)
    });
    per_queue(writer, &names::LAST_TICK, queues, |queue| queue.last_tick);
}

fn write_message_counts(queues: &[QueueSnapshot], writer: &mut Writer<'_>) {
    per_queue(writer, &names::MESSAGES_SEEN, queues, |queue| {
        Some(queue.counts.messages_seen)
    });
    per_queue(writer, &names::MESSAGE_REDELIVERIES, queues, |queue| {
        Some(queue.counts.redeliveries)
    });
    per_queue(writer, &names::EVENT_DUPLICATES, queues, |queue| {
        Some(queue.counts.duplicates)
    });
    let mut family = writer.family(&names::EVENT_DECODE_FAILURES);
    for queue in queues {
        let labels = [("queue", &*queue.identity.id)];
        let mut run = family.run("", &labels);
        for (tail, count) in REASON_TAILS.iter().zip(&queue.counts.decode_failures) {
            run.sample(tail, *count);
        }
    }
    histogram(
        writer,
        &names::MESSAGE_WAIT,
        names::DELIVERY,
        queues,
        |queue| queue.view_complete.then_some(&queue.counts.wait),
    );
    histogram(
        writer,
        &names::MESSAGE_PROCESSING,
        names::PROCESSING,
        queues,
        |queue| (queue.identity.mode == Mode::Consume).then_some(&queue.counts.processing),
    );
    histogram(
        writer,
        &names::EVENT_DELIVERY,
        names::DELIVERY,
        queues,
        |queue| Some(&queue.counts.delivery),
    );
    per_queue(writer, &names::EVENT_CLOCK_SKEW, queues, |queue| {
        Some(queue.counts.skewed)
    });
}

fn write_events(queues: &[QueueSnapshot], writer: &mut Writer<'_>) {
    let mut family = writer.family(&names::EVENTS);
    for queue in queues {
        let labels = [("queue", &*queue.identity.id)];
        let mut run = family.run("", &labels);
        let pairs = EventType::ALL
            .iter()
            .flat_map(|event| Status::ALL.iter().map(move |status| (event, status)));
        let counts = queue.counts.events.iter().flatten();
        for (((event, status), count), tail) in pairs.zip(counts).zip(EVENT_TAILS.iter()) {
            if *count > 0 || (*event != EventType::Other && STARTED.contains(status)) {
                run.sample(tail, *count);
            }
        }
    }
    let mut family = writer.family(&names::EVENT_FAILURES);
    for queue in queues {
        for ((event, code), count) in &queue.counts.failures {
            let labels = [
                ("queue", &*queue.identity.id),
                ("event_type", event.as_str()),
                ("error_code", code.as_str()),
            ];
            family.sample(&labels, *count);
        }
    }
    let mut family = writer.family(&names::EVENT_FAULTS);
    for queue in queues {
        let labels = [("queue", &*queue.identity.id)];
        let mut run = family.run("", &labels);
        for (tail, count) in FAULT_TAILS.iter().zip(queue.counts.faults.iter().flatten()) {
            run.sample(tail, *count);
        }
    }
}

fn write_streams(queues: &[QueueSnapshot], writer: &mut Writer<'_>) {
    let mut family = writer.family(&names::STREAM_TRANSCODES);
    for queue in queues {
        let labels = [("queue", &*queue.identity.id)];
        let mut run = family.run("", &labels);
        for (counts, tails) in queue
            .counts
            .streams
            .iter()
            .zip(STREAM_TAILS.chunks(Status::COUNT))
        {
            let seen = counts.iter().any(|count| *count > 0);
            for ((count, status), tail) in counts.iter().zip(Status::ALL).zip(tails) {
                if *count > 0 || (seen && STARTED.contains(status)) {
                    run.sample(tail, *count);
                }
            }
        }
    }
    let mut family = writer.family(&names::STREAM_TRANSCODE);
    for queue in queues {
        for (definition, histogram) in Definition::ALL.iter().zip(&queue.counts.stream_seconds) {
            if histogram.count() > 0 {
                let labels = [
                    ("queue", &*queue.identity.id),
                    ("definition", definition.as_str()),
                ];
                family.histogram(names::TRANSCODE, &labels, histogram.into());
            }
        }
    }
}

fn write_state(snapshot: &Snapshot, skew_millis: Option<i64>, writer: &mut Writer<'_>) {
    let skew = skew_millis.map(Value::Millis);
    writer.family(&names::CLOCK_SKEW).sample_known(&[], skew);
    writer
        .family(&names::STATE_DURABLE)
        .sample(&[], snapshot.durable);
    writer
        .family(&names::STATE_COMMITS)
        .sample(&[], snapshot.commits);
    writer
        .family(&names::STATE_BYTES)
        .sample_known(&[], snapshot.state_bytes);
    let mut family = writer.family(&names::STATE_EVICTIONS);
    for (table, count) in &snapshot.evictions {
        family.sample(&[("table", table)], *count);
    }
    let mut family = writer.family(&names::FORWARDED_MESSAGES);
    for queue in &snapshot.queues {
        for (target, counts) in &queue.counts.forwarded {
            for (result, count) in FORWARD_RESULTS.iter().zip(counts) {
                let id = &*queue.identity.id;
                family.sample(
                    &[("queue", id), ("target", target), ("result", result)],
                    *count,
                );
            }
        }
    }
    let quarantined = snapshot.quarantine.len() as u64;
    writer
        .family(&names::QUARANTINED_MESSAGES)
        .sample(&[], quarantined);
}

/// Writes a family with the one label `queue`.
fn per_queue<V: Into<Value>>(
    writer: &mut Writer<'_>,
    family: &'static Family,
    queues: &[QueueSnapshot],
    value: impl Fn(&QueueSnapshot) -> Option<V>,
) {
    let mut family = writer.family(family);
    for queue in queues {
        family.sample_known(&[("queue", &queue.identity.id)], value(queue));
    }
}

fn histogram(
    writer: &mut Writer<'_>,
    family: &'static Family,
    bounds: Bounds,
    queues: &[QueueSnapshot],
    histogram: impl Fn(&QueueSnapshot) -> Option<&Histogram>,
) {
    let mut family = writer.family(family);
    for queue in queues {
        if let Some(histogram) = histogram(queue) {
            family.histogram(bounds, &[("queue", &queue.identity.id)], histogram.into());
        }
    }
}

fn labels<T: Copy>(values: &[T], label: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    values.iter().map(|value| label(*value)).collect()
}

// === impl Value ===

impl From<UnixMillis> for Value {
    fn from(at: UnixMillis) -> Self {
        Self::Millis(at.0)
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    }
}

// === impl Observations ===

impl<'a> From<&'a Histogram> for Observations<'a> {
    fn from(histogram: &'a Histogram) -> Self {
        Self {
            buckets: &histogram.buckets,
            sum: Value::Millis(i64::try_from(histogram.sum_millis).unwrap_or(i64::MAX)),
        }
    }
}
