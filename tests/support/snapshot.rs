//! A ledger in which everything is known and has happened, for tests and benchmarks of what is shown.

use std::sync::Arc;
use std::time::Duration;

use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::ledger::counts::{DELIVERY_BOUNDS, PROCESSING_BOUNDS, TRANSCODE_BOUNDS};
use vod_callback_exporter::ledger::snapshot::{
    Mode, QuarantineEntry, QuarantineReason, QueueIdentity, Role,
};
use vod_callback_exporter::ledger::{Counts, QueueSnapshot, Snapshot, Transcodes};
use vod_callback_exporter::vod::event::{Definition, EventType, Status, Undecodable};
use vod_callback_exporter::vod::fault::{ErrorCode, Fault};

/// The instant that the fixtures call now: 2026-01-02T03:04:05.678Z.
pub(crate) const NOW: UnixMillis = UnixMillis(1_767_323_045_678);

/// A queue that is consumed and of which everything is known.
pub(crate) fn consumed(id: &str) -> QueueSnapshot {
    let identity = QueueIdentity {
        id: id.into(),
        mns_queue: "vod-callback".into(),
        endpoint: "https://1234567890.mns.cn-shanghai.aliyuncs.com".into(),
        account: "1234567890".into(),
        region: "cn-shanghai".into(),
        mode: Mode::Consume,
        role: Role::Callback,
    };
    QueueSnapshot {
        identity: Arc::new(identity),
        counts: counts(),
        up: Some(true),
        last_error: None,
        depth: Some([7, 3, 0]),
        depth_trusted: Some(true),
        oldest_message: Some(NOW.minus(Duration::from_millis(90_500))),
        empty: Some(false),
        progress: Some(NOW.minus(Duration::from_secs(2))),
        retention: Some(Duration::from_hours(96)),
        visibility_timeout: Some(Duration::from_secs(30)),
        dequeue_count_max: Some(4),
        last_event: Some(NOW.minus(Duration::from_secs(3))),
        watched_since: Some(NOW.minus(Duration::from_hours(24))),
        view_complete: true,
        observed_until: Some(NOW.minus(Duration::from_secs(1))),
        pending: 3,
        transcodes: Some(Transcodes {
            reconciled: true,
            in_flight: 9,
            oldest: Some(NOW.minus(Duration::from_hours(2))),
            overdue: [0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0],
            stalled: [1, 1],
        }),
        last_tick: Some(NOW),
    }
}

/// A queue that is peeked at and of which nothing is known yet.
pub(crate) fn unknown(id: &str) -> QueueSnapshot {
    let consumed = consumed(id);
    let identity = QueueIdentity {
        mode: Mode::Peek,
        account: "".into(),
        region: "".into(),
        ..(*consumed.identity).clone()
    };
    QueueSnapshot {
        identity: Arc::new(identity),
        counts: Counts::default(),
        up: None,
        last_error: None,
        depth: None,
        depth_trusted: None,
        oldest_message: None,
        empty: None,
        progress: None,
        retention: None,
        visibility_timeout: None,
        dequeue_count_max: None,
        last_event: None,
        watched_since: None,
        view_complete: false,
        observed_until: None,
        pending: 0,
        transcodes: None,
        last_tick: None,
    }
}

/// A ledger of these queues.
pub(crate) fn ledger(queues: Vec<QueueSnapshot>) -> Snapshot {
    Snapshot {
        queues,
        evictions: vec![("transcodes", 0), ("dedupe", 12)],
        commits: 345,
        durable: true,
        state_bytes: Some(65_536),
        quarantine: vec![QuarantineEntry {
            number: 7,
            queue: "vod".into(),
            reason: QuarantineReason::Undecodable(Undecodable::NotJson),
            at: NOW,
            enqueue_time: NOW.minus(Duration::from_secs(5)),
            message_id: "5F290C926D472878-2-14D9529****-200000001".into(),
            size: 17,
            body: "<b>not \"JSON\"</b>".into(),
        }],
    }
}

fn counts() -> Counts {
    let mut counts = Counts {
        messages_seen: 1_234,
        redeliveries: 56,
        duplicates: 7,
        ..Counts::default()
    };
    counts.forwarded.insert("worker".into(), [1_230, 1, 16]);
    counts.decode_failures[Undecodable::NotJson.index()] = 2;
    let mut event = |event: EventType, status: Status, count| {
        counts.events[event.index()][status.index()] = count;
    };
    event(EventType::TranscodeComplete, Status::Success, 400);
    event(EventType::StreamTranscodeComplete, Status::Success, 800);
    event(EventType::StreamTranscodeComplete, Status::Fail, 9);
    event(EventType::FileUploadComplete, Status::None, 10);
    event(EventType::Other, Status::Other, 1);
    let stream = EventType::StreamTranscodeComplete;
    counts.faults[stream.index()][Fault::Service.index()] = 4;
    counts.faults[stream.index()][Fault::Other.index()] = 5;
    counts
        .failures
        .insert((stream, ErrorCode::InternalError), 4);
    counts.failures.insert((stream, ErrorCode::Other), 5);
    counts.streams[Definition::Hd.index()][Status::Success.index()] = 800;
    counts.streams[Definition::Ld.index()][Status::Fail.index()] = 9;
    for millis in [4_000, 61_000, 90_000_000] {
        counts.stream_seconds[Definition::Hd.index()].observe(TRANSCODE_BOUNDS, millis);
    }
    counts.skewed = 1;
    for millis in [0, 750, 1_000, 12_345] {
        counts.delivery.observe(DELIVERY_BOUNDS, millis);
        counts.wait.observe(DELIVERY_BOUNDS, millis);
        counts.processing.observe(PROCESSING_BOUNDS, millis);
    }
    counts
}
