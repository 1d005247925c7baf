use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::UnixMillis;
use crate::ledger::{
    Changes, Content, ContentKey, MessageKey, Mode, QueueIdentity, QueueIndex, QueueSettings, Role,
    Sighting,
};
use crate::vod::event::{Definition, Event, EventType, MediaKey, Status, Stream, Undecodable};
use crate::vod::fault::ErrorCode;

const BIRTH: UnixMillis = UnixMillis::from_secs(1_800_000_000);
const CAP: u64 = 60;

fn at(secs: u64) -> UnixMillis {
    BIRTH.plus(Duration::from_secs(secs))
}

fn start(path: &Path) -> Opened {
    start_as(path, false).unwrap()
}

fn start_as(path: &Path, reset: bool) -> Result<Opened, OpenError> {
    let path = path.to_owned();
    open(&StateOptions { path, reset }, CAP, BIRTH)
}

fn refusal(path: &Path) -> OpenError {
    start_as(path, false).map(|_| ()).unwrap_err()
}

fn opened(queue: u32, mode: Mode, at: UnixMillis) -> Record {
    let name: Arc<str> = format!("q{queue}").into();
    Record::Opened {
        queue: QueueIndex(queue),
        identity: Arc::new(QueueIdentity {
            id: Arc::clone(&name),
            mns_queue: name,
            endpoint: "http://127.0.0.1:1".into(),
            account: "".into(),
            region: "".into(),
            mode,
            role: Role::Callback,
        }),
        settings: QueueSettings::default(),
        at,
    }
}

fn content(message: u32) -> Content {
    if message % 7 == 3 {
        return Content::Undecodable {
            reason: Undecodable::NotJson,
            message_id: format!("id-{message}").into(),
            body: "not JSON at all".into(),
        };
    }
    let (media, error) = match message % 2 {
        0 => (MediaKey::Hex([7; 16]), None),
        _ => (MediaKey::Text("job".into()), Some(ErrorCode::InternalError)),
    };
    let event = Event {
        event_type: EventType::StreamTranscodeComplete,
        status: if error.is_none() {
            Status::Success
        } else {
            Status::Fail
        },
        event_time: at(1),
        media: Some(media),
        error,
        streams: vec![Stream {
            definition: Definition::Hd,
            status: Status::Success,
            start: Some(at(0)),
            finish: Some(at(u64::from(message % 100))),
            job: Some(7),
        }],
        duration_millis: Some(12_345),
        deletes_media: false,
    };
    Content::Event {
        event,
        key: ContentKey(u128::from(message / 2)),
    }
}

fn sighted(queue: u32, secs: u64, message: u32, dequeue_count: u32) -> Record {
    Record::Sighted {
        queue: QueueIndex(queue),
        at: at(secs),
        sightings: vec![Sighting {
            message: MessageKey(u128::from(message)),
            enqueue_time: at(1),
            first_dequeue_time: at(40),
            next_visible_time: Some(at(secs + 30)),
            dequeue_count,
            content: content(message),
        }],
    }
}

fn deleted(queue: u32, secs: u64, message: u32) -> Record {
    Record::Deleted {
        queue: QueueIndex(queue),
        at: at(secs),
        messages: vec![MessageKey(u128::from(message))],
    }
}

fn apply(ledger: &mut Ledger, records: &[Record]) {
    for record in records {
        ledger.apply(record, &mut Changes::default());
    }
}

/// Commits and applies, as the recorder does.
fn record(state: &mut Opened, records: &[Record]) {
    state.store.commit(records).unwrap();
    apply(&mut state.ledger, records);
}

/// Counts and tables alike.
fn assert_same(one: &Ledger, other: &Ledger) {
    assert_eq!(one.queues, other.queues);
    assert_eq!(one.turn, other.turn);
    assert_eq!(one.quarantine, other.quarantine);
    assert_eq!(one.evictions, other.evictions);
    assert_eq!(one.latest, other.latest);
}

fn seen(ledger: &Ledger) -> Vec<u64> {
    let queues = ledger.snapshot(at(9)).queues;
    queues
        .iter()
        .map(|queue| queue.counts.messages_seen)
        .collect()
}

#[test]
fn a_queue_continues_once_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    // Neither is there yet: the directory is made.
    let path = directory.path().join("var/state");
    let mut state = start(&path);
    assert_eq!((state.generation, state.fell_from), (1, None));
    record(
        &mut state,
        &[opened(0, Mode::Consume, at(0)), sighted(0, 2, 1, 1)],
    );
    drop(state);

    let mut state = start(&path);
    assert_eq!((state.generation, state.fell_from), (2, None));
    assert_eq!(
        seen(&state.ledger),
        [0; 0],
        "the config may not name it any more"
    );
    let month_later = at(31 * 86_400);
    let index = state
        .ledger
        .place_for(&identity(&opened(0, Mode::Consume, at(0))), at(9));
    assert_eq!(index, QueueIndex(0));
    record(
        &mut state,
        &[opened(0, Mode::Consume, at(9)), sighted(0, 10, 1, 2)],
    );
    assert_eq!(seen(&state.ledger), [1], "known: a redelivery");
    let counts = &state.ledger.snapshot(at(9)).queues[0].counts;
    assert_eq!((counts.messages_seen, counts.redeliveries), (1, 1));
    drop(state);

    let mut state = start(&path);
    record(&mut state, &[opened(0, Mode::Consume, month_later)]);
    assert_eq!(
        seen(&state.ledger),
        [0],
        "30 days after it was watched last, a queue is a new one"
    );
}

fn identity(record: &Record) -> Arc<QueueIdentity> {
    match record {
        Record::Opened { identity, .. } => Arc::clone(identity),
        _ => unreachable!("made by opened()"),
    }
}

#[test]
fn a_queue_watched_for_long_continues_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let late = 40 * 86_400;
    let mut state = start(directory.path());
    record(
        &mut state,
        &[opened(0, Mode::Consume, at(0)), sighted(0, late, 1, 1)],
    );
    drop(state);
    let mut state = start(directory.path());
    record(&mut state, &[opened(0, Mode::Consume, at(late + 5))]);
    assert_eq!(seen(&state.ledger), [1]);
}

#[test]
fn one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let state = start(directory.path());
    let refused = refusal(directory.path());
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains("--state.path"), "{refused}");
    assert!(
        start_as(directory.path(), true).is_err(),
        "nor is it moved from under the other"
    );
    drop(state);
    assert_eq!(start(directory.path()).generation, 2);
}

#[test]
fn a_reset_moves_everything_aside_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut state = start(directory.path());
    assert_eq!(state.moved_to, None);
    record(
        &mut state,
        &[opened(0, Mode::Consume, at(0)), sighted(0, 2, 1, 1)],
    );
    drop(state);
    let mut kept = Vec::new();
    for generation in 2..4 {
        let state = start_as(directory.path(), true).unwrap();
        assert_eq!((state.generation, state.fell_from), (generation, None));
        assert!(state.ledger.queues.is_empty());
        kept.push(state.moved_to.clone().unwrap());
    }
    assert_ne!(kept[0], kept[1]);
    assert!(
        kept[0].ends_with("state.redb.20270115T080000Z.bak"),
        "{kept:?}"
    );
    std::fs::rename(&kept[0], directory.path().join("state.redb")).unwrap();
    assert_eq!(start(directory.path()).ledger.queues.len(), 1);
}

#[test]
fn a_state_that_is_older_than_the_last_one_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.redb");
    let backup = directory.path().join("backup");
    drop(start(directory.path()));
    std::fs::copy(&file, &backup).unwrap();
    drop(start(directory.path()));
    std::fs::rename(&backup, &file).unwrap();
    let state = start(directory.path());
    assert_eq!((state.generation, state.fell_from), (3, Some(2)));
    drop(state);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        start(directory.path()).fell_from,
        Some(3),
        "a lost file is one as well"
    );
    assert_eq!(start(directory.path()).fell_from, None);
}

#[test]
fn a_damaged_file_is_refused_or_read_right() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.redb");
    let mut state = start(directory.path());
    record(&mut state, &[opened(0, Mode::Consume, at(0))]);
    for message in 0..200 {
        record(&mut state, &[sighted(0, 2, message, 1)]);
    }
    let ledger = encode(&state.ledger).unwrap();
    state.store.checkpoint(&ledger).unwrap();
    record(&mut state, &[sighted(0, 3, 500, 1)]);
    let mut expected = state.ledger.clone();
    apply(
        &mut expected,
        &[Record::Started {
            quarantine_bytes: CAP,
        }],
    );
    drop(state);

    let whole = std::fs::read(&file).unwrap();
    let mut rng = fastrand::Rng::with_seed(4);
    let mut refused = 0;
    for round in 0..60 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(rng.usize(1..bytes.len())),
            1 => {
                let byte = rng.usize(0..bytes.len());
                bytes[byte] ^= 1 << rng.u8(0..8);
            }
            _ => {
                let from = rng.usize(0..bytes.len() - 4_096);
                rng.fill(&mut bytes[from..from + 4_096]);
            }
        }
        std::fs::write(&file, &bytes).unwrap();
        match start_as(directory.path(), false) {
            Ok(state) => assert_same(&state.ledger, &expected),
            Err(error) => {
                let told = error.to_string();
                assert!(matches!(error, OpenError::Damaged { .. }), "{told}");
                assert!(
                    told.contains("state.redb") && told.contains("--state.reset"),
                    "{told}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 20, "{refused}");
    for nonsense in ["", "not a state file", &"x".repeat(10_000)] {
        std::fs::write(&file, nonsense).unwrap();
        let error = refusal(directory.path());
        assert!(
            matches!(error, OpenError::Damaged { .. }),
            "{nonsense:.20}: {error}"
        );
    }
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = refusal(&file);
    assert!(matches!(error, OpenError::Directory { .. }), "{error}");
    assert!(
        error.to_string().contains(file.to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn a_smaller_quarantine_drops_the_oldest_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut state = start(directory.path());
    record(
        &mut state,
        &[
            opened(0, Mode::Consume, at(0)),
            sighted(0, 2, 3, 1),
            sighted(0, 2, 10, 1),
        ],
    );
    assert_eq!(state.ledger.snapshot(at(3)).quarantine.len(), 2);
    drop(state);
    let path = directory.path().to_owned();
    let state = open(&StateOptions { path, reset: false }, 20, BIRTH).unwrap();
    let kept = state.ledger.snapshot(at(3)).quarantine;
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (&*kept[0].message_id, &*kept[0].body),
        ("id-10", "not JSON at all")
    );
}

/// Every kind of record and each of its variants that has a form of its own: when this changes, so must the version.
#[test]
fn the_form_of_records_is_pinned() {
    let records = [
        opened(1, Mode::Peek, at(0)),
        Record::Closed {
            queue: QueueIndex(1),
            at: at(1),
        },
        Record::Retention {
            queue: QueueIndex(300),
            retention: Duration::from_millis(1_500),
        },
        sighted(1, 2, 3, 1),
        sighted(1, 2, 4, 70_000),
        sighted(1, 2, 5, 2),
        deleted(1, 3, 4),
        Record::ReceiveLost {
            queue: QueueIndex(1),
            from: at(1),
            to: at(2),
        },
        Record::Observed {
            queue: QueueIndex(1),
            until: UnixMillis(-1),
        },
        Record::Judged {
            queue: QueueIndex(1),
            at: at(1),
            judgements: Vec::new(),
        },
        Record::Swept {
            queue: QueueIndex(1),
            at: at(1),
            videos: Vec::new(),
        },
        Record::Started {
            quarantine_bytes: 1 << 40,
        },
        Record::Gap {
            queue: QueueIndex(1),
            until: at(1),
        },
    ];
    let hex = |record: &Record| {
        let bytes = codec::encode(record).unwrap();
        crate::aliyun::sign::hex(&bytes)
    };
    insta::assert_snapshot!(records.each_ref().map(hex).join("\n"));
}

#[test]
fn a_later_version_is_told_apart_from_damage() {
    let mut bytes = codec::encode(&7_u64).unwrap();
    assert_eq!(codec::decode::<u64>(&bytes), Ok(7));
    let content = bytes.len() - 8;
    bytes[0] = 4;
    assert!(matches!(
        codec::decode::<u64>(&bytes),
        Err(codec::Unreadable::Damaged(_))
    ));
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..content]).to_le_bytes();
    bytes[content..].copy_from_slice(&checksum);
    assert_eq!(
        codec::decode::<u64>(&bytes),
        Err(codec::Unreadable::Version(4))
    );
}

/// What may happen to a state.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u32, u32, bool)>),
    Checkpoint,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let commit = prop::collection::vec((0..2_u32, 0..40_u32, any::<bool>()), 1..40);
    let step = prop_oneof![
        6 => commit.prop_map(Step::Commit),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_happens_the_state_is_the_ledger(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let mut state = start(directory.path());
        let mut expected = Ledger::new(CAP);
        let (mut secs, mut deliveries) = (2, 0);
        let mut begin = vec![opened(0, Mode::Consume, at(0)), opened(1, Mode::Peek, at(0))];
        record(&mut state, &begin);
        apply(&mut expected, &begin);
        for step in steps {
            match step {
                Step::Commit(messages) => {
                    let records: Vec<Record> = messages.iter().map(|(queue, message, delete)| {
                        secs += 60;
                        deliveries += 1;
                        match delete {
                            true => deleted(*queue, secs, *message),
                            false => sighted(*queue, secs, *message, deliveries),
                        }
                    }).collect();
                    record(&mut state, &records);
                    apply(&mut expected, &records);
                }
                Step::Checkpoint => {
                    let ledger = encode(&state.ledger).unwrap();
                    state.store.checkpoint(&ledger).unwrap();
                }
                Step::Restart => {
                    drop(state);
                    state = start(directory.path());
                    apply(&mut expected, &[Record::Started { quarantine_bytes: CAP }]);
                    assert_same(&state.ledger, &expected);
                    begin = vec![opened(1, Mode::Peek, at(secs)), opened(0, Mode::Consume, at(secs))];
                    record(&mut state, &begin);
                    apply(&mut expected, &begin);
                }
            }
        }
        let copy = codec::decode::<Ledger>(&encode(&state.ledger).unwrap()).unwrap();
        assert_same(&copy, &expected);
        drop(state);
        apply(&mut expected, &[Record::Started { quarantine_bytes: CAP }]);
        assert_same(&start(directory.path()).ledger, &expected);
    }
}
