use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::vod::event::{Definition, Event, EventType, MediaKey, Status, Stream, Undecodable};

const QUEUE: QueueIndex = QueueIndex(0);
const BIRTH: UnixMillis = UnixMillis::from_secs(1_000_000);

fn identity(mode: Mode, role: Role) -> Arc<QueueIdentity> {
    Arc::new(QueueIdentity {
        id: "q".into(),
        mns_queue: "q".into(),
        endpoint: "http://127.0.0.1".into(),
        account: "".into(),
        region: "".into(),
        mode,
        role,
    })
}

fn ledger(mode: Mode) -> Ledger {
    let mut ledger = Ledger::new(10_000);
    open(&mut ledger, identity(mode, Role::Callback), BIRTH);
    ledger
}

fn open(ledger: &mut Ledger, identity: Arc<QueueIdentity>, at: UnixMillis) -> QueueIndex {
    let queue = ledger.place_for(&identity, at);
    commit(
        ledger,
        &Record::Opened {
            queue,
            identity,
            settings: QueueSettings::default(),
            at,
        },
    );
    queue
}

fn event(number: u128, status: Status, at: UnixMillis) -> Content {
    Content::Event {
        event: Event {
            event_type: EventType::TranscodeComplete,
            status,
            event_time: at,
            media: None,
            error: None,
            streams: Vec::new(),
            duration_millis: None,
            deletes_media: false,
        },
        key: ContentKey(number),
    }
}

fn undecodable(body: &str) -> Content {
    Content::Undecodable {
        reason: Undecodable::NotJson,
        message_id: "m".into(),
        body: body.into(),
    }
}

fn sighting(message: u128, dequeue_count: u32, content: Content) -> Sighting {
    Sighting {
        message: MessageKey(message),
        enqueue_time: BIRTH.plus(Duration::from_secs(1)),
        first_dequeue_time: BIRTH.plus(Duration::from_secs(3)),
        next_visible_time: Some(BIRTH.plus(Duration::from_secs(33))),
        dequeue_count,
        content,
    }
}

fn commit(ledger: &mut Ledger, record: &Record) {
    ledger.apply(record, &mut Changes::default());
}

fn sight(ledger: &mut Ledger, sightings: Vec<Sighting>) {
    let at = BIRTH.plus(Duration::from_secs(5));
    commit(
        ledger,
        &Record::Sighted {
            queue: QUEUE,
            at,
            sightings,
        },
    );
}

fn delete(ledger: &mut Ledger, messages: &[u128], at: UnixMillis) {
    let messages = messages.iter().copied().map(MessageKey).collect();
    commit(
        ledger,
        &Record::Deleted {
            queue: QUEUE,
            at,
            messages,
        },
    );
}

fn counts(ledger: &Ledger) -> Counts {
    ledger
        .snapshot(BIRTH)
        .queues
        .first()
        .unwrap()
        .counts
        .clone()
}

fn events(counts: &Counts) -> u64 {
    counts.events.iter().flatten().sum()
}

fn decode_failures(counts: &Counts) -> u64 {
    counts.decode_failures.iter().sum()
}

#[test]
fn a_message_that_comes_again_is_a_redelivery_not_an_event() {
    let mut ledger = ledger(Mode::Consume);
    let content = event(1, Status::Success, BIRTH);
    sight(&mut ledger, vec![sighting(1, 1, content.clone())]);
    sight(&mut ledger, vec![sighting(1, 2, content.clone())]);
    delete(&mut ledger, &[1], BIRTH.plus(Duration::from_secs(9)));
    sight(&mut ledger, vec![sighting(1, 3, content)]);
    let counts = counts(&ledger);
    assert_eq!(
        (events(&counts), counts.redeliveries, counts.messages_seen),
        (1, 2, 1)
    );
    assert_eq!(counts.processing.count(), 1);
    assert_eq!(counts.processing.sum_millis, 4_000);
}

#[test]
fn an_event_later_than_its_message_is_skew_and_took_no_time() {
    let mut ledger = ledger(Mode::Consume);
    let enqueued = BIRTH.plus(Duration::from_secs(1));
    let times = [enqueued, enqueued.plus(Duration::from_millis(1)), BIRTH];
    let sightings = (1..)
        .zip(times)
        .map(|(n, at)| sighting(n, 1, event(n, Status::Success, at)));
    sight(&mut ledger, sightings.collect());
    let counts = counts(&ledger);
    assert_eq!(counts.skewed, 1);
    assert_eq!(
        (counts.delivery.count(), counts.delivery.sum_millis),
        (3, 1_000)
    );
}

#[test]
fn deliveries_before_our_time_are_real_redeliveries() {
    let mut ledger = ledger(Mode::Consume);
    sight(
        &mut ledger,
        vec![sighting(1, 5, event(1, Status::Success, BIRTH))],
    );
    assert_eq!(counts(&ledger).redeliveries, 4);
}

#[test]
fn the_same_content_under_another_id_is_a_duplicate_within_an_hour() {
    let mut ledger = ledger(Mode::Consume);
    sight(
        &mut ledger,
        vec![sighting(1, 1, event(7, Status::Success, BIRTH))],
    );
    sight(
        &mut ledger,
        vec![sighting(2, 1, event(7, Status::Success, BIRTH))],
    );
    delete(&mut ledger, &[1, 2], BIRTH.plus(Duration::from_secs(9)));
    let late = BIRTH.plus(Duration::from_hours(2));
    let sightings = vec![sighting(3, 1, event(7, Status::Success, BIRTH))];
    commit(
        &mut ledger,
        &Record::Sighted {
            queue: QUEUE,
            at: late,
            sightings,
        },
    );
    let counts = counts(&ledger);
    assert_eq!(
        (events(&counts), counts.duplicates, counts.messages_seen),
        (2, 1, 3)
    );
}

#[test]
fn an_unconfirmed_delete_is_remembered_until_retention_has_passed() {
    let mut ledger = ledger(Mode::Consume);
    commit(
        &mut ledger,
        &Record::Retention {
            queue: QUEUE,
            retention: Duration::from_hours(24),
        },
    );
    sight(
        &mut ledger,
        vec![sighting(1, 1, event(1, Status::Success, BIRTH))],
    );
    let look = |ledger: &mut Ledger, hours| {
        let at = BIRTH.plus(Duration::from_hours(hours));
        let mut young = sighting(9, 1, event(9, Status::Success, at));
        young.enqueue_time = BIRTH.plus(Duration::from_hours(24));
        commit(
            ledger,
            &Record::Sighted {
                queue: QUEUE,
                at,
                sightings: vec![young],
            },
        );
        ledger.pending(QUEUE)
    };
    assert_eq!(look(&mut ledger, 24), 2);
    assert_eq!(
        look(&mut ledger, 26),
        1,
        "enqueued more than retention + 1 h ago"
    );
}

#[test]
fn peek_never_counts_what_was_enqueued_before_it_began() {
    let mut ledger = ledger(Mode::Peek);
    let mut old = sighting(1, 4, event(1, Status::Success, BIRTH));
    old.enqueue_time = BIRTH.minus(Duration::from_secs(1));
    sight(&mut ledger, vec![old.clone()]);
    assert_eq!(counts(&ledger).messages_seen, 0);
    old.dequeue_count = 6;
    sight(&mut ledger, vec![old]);
    let counts = counts(&ledger);
    assert_eq!(
        (counts.messages_seen, counts.redeliveries),
        (0, 2),
        "its deliveries do count"
    );
}

#[test]
fn peek_takes_the_first_delivery_for_what_it_is() {
    let mut ledger = ledger(Mode::Peek);
    for dequeue_count in [0, 0, 1, 1, 2] {
        sight(
            &mut ledger,
            vec![sighting(1, dequeue_count, event(1, Status::Success, BIRTH))],
        );
    }
    let counts = counts(&ledger);
    assert_eq!((counts.messages_seen, counts.redeliveries), (1, 1));
    assert_eq!(counts.wait.count(), 0, "peek sees only those that linger");
}

#[test]
fn an_undecodable_message_is_quarantined_once_and_the_oldest_makes_room() {
    let mut ledger = Ledger::new(10);
    open(&mut ledger, identity(Mode::Consume, Role::Callback), BIRTH);
    sight(&mut ledger, vec![sighting(1, 1, undecodable("12345678"))]);
    sight(&mut ledger, vec![sighting(1, 2, undecodable("12345678"))]);
    assert_eq!(ledger.snapshot(BIRTH).quarantine.len(), 1);
    sight(&mut ledger, vec![sighting(2, 1, undecodable("abcdefgh"))]);
    let snapshot = ledger.snapshot(BIRTH);
    assert_eq!(
        snapshot
            .quarantine
            .iter()
            .map(|entry| entry.number)
            .collect::<Vec<_>>(),
        [2]
    );
    assert!(snapshot.evictions.contains(&("quarantine", 1)));
    assert_eq!(decode_failures(&counts(&ledger)), 2);
}

#[test]
fn a_dead_letter_queue_counts_messages_but_no_events() {
    let mut ledger = Ledger::new(1_000);
    open(&mut ledger, identity(Mode::Peek, Role::DeadLetter), BIRTH);
    let sightings = vec![
        sighting(1, 0, event(1, Status::Fail, BIRTH)),
        sighting(2, 0, undecodable("x")),
    ];
    sight(&mut ledger, sightings);
    let counts = counts(&ledger);
    assert_eq!(
        (
            counts.messages_seen,
            events(&counts),
            decode_failures(&counts)
        ),
        (2, 0, 0)
    );
    assert!(ledger.snapshot(BIRTH).quarantine.is_empty());
}

#[test]
fn a_closed_queue_vanishes_and_continues_when_it_returns() {
    let mut ledger = ledger(Mode::Consume);
    sight(
        &mut ledger,
        vec![sighting(1, 1, event(1, Status::Success, BIRTH))],
    );
    commit(
        &mut ledger,
        &Record::Closed {
            queue: QUEUE,
            at: BIRTH,
        },
    );
    assert!(ledger.snapshot(BIRTH).queues.is_empty());
    let later = BIRTH.plus(Duration::from_hours(24));
    assert_eq!(
        open(&mut ledger, identity(Mode::Consume, Role::Callback), later),
        QUEUE
    );
    assert_eq!(counts(&ledger).messages_seen, 1);
    commit(
        &mut ledger,
        &Record::Closed {
            queue: QUEUE,
            at: later,
        },
    );
    let much_later = later.plus(Duration::from_hours(31 * 24));
    open(
        &mut ledger,
        identity(Mode::Consume, Role::Callback),
        much_later,
    );
    assert_eq!(counts(&ledger).messages_seen, 0, "30 days are over");
}

/// Behind a backlog it is known of long ago only, while the hour of a failure goes by.
#[test]
fn a_failure_that_ran_out_in_a_backlog_leaves_its_place() {
    let minutes = |count| Duration::from_mins(count);
    let video = |number: u8| MediaKey::Hex([number; 16]);
    let mut settings = QueueSettings::default();
    settings.transcodes.unknown_duration = minutes(30);
    let mut ledger = ledger(Mode::Consume);
    let opened = Record::Opened {
        queue: QUEUE,
        identity: identity(Mode::Consume, Role::Callback),
        settings,
        at: BIRTH,
    };
    commit(&mut ledger, &opened);
    // Of a run that began just before.
    let told = |number: u8, event_type, made: UnixMillis| Content::Event {
        event: Event {
            event_type,
            status: Status::Fail,
            event_time: made,
            media: Some(video(number)),
            error: None,
            streams: vec![Stream {
                definition: Definition::Hd,
                status: Status::Fail,
                start: Some(made.minus(minutes(1))),
                finish: Some(made),
                job: None,
            }],
            duration_millis: None,
            deletes_media: false,
        },
        key: ContentKey(made.0.unsigned_abs().into()),
    };
    let mut messages = 0;
    let mut see = |ledger: &mut Ledger, at, content| {
        messages += 1;
        let sightings = vec![sighting(messages, 1, content)];
        let sighted = Record::Sighted {
            queue: QUEUE,
            at,
            sightings,
        };
        commit(ledger, &sighted);
    };
    let places = |ledger: &Ledger, now| -> Vec<(MediaKey, u32)> {
        let troubles = ledger.troubles(now).videos.into_iter();
        let mut places: Vec<_> = troubles
            .map(|(_, trouble)| (trouble.media, trouble.place))
            .collect();
        places.sort();
        places
    };
    let failed = BIRTH.plus(minutes(60));
    see(
        &mut ledger,
        failed,
        told(1, EventType::TranscodeComplete, failed),
    );
    assert_eq!(places(&ledger, failed), [(video(1), 1)]);

    // It was run again at once, which is heard hours later, when another one has failed.
    let now = failed.plus(minutes(180));
    let again = failed.plus(minutes(5));
    see(
        &mut ledger,
        now,
        told(1, EventType::StreamTranscodeComplete, again),
    );
    see(&mut ledger, now, told(2, EventType::TranscodeComplete, now));
    assert_eq!(places(&ledger, now), [(video(2), 2)]);

    let observed = Record::Observed {
        queue: QUEUE,
        until: failed.plus(minutes(50)),
    };
    commit(&mut ledger, &observed);
    assert_eq!(places(&ledger, now), [(video(1), 3), (video(2), 2)]);
}

#[test]
fn strangers_make_the_view_incomplete_for_a_day_but_lost_receives_do_not() {
    let stolen = |message| {
        let mut sighting = sighting(message, 2, event(message, Status::Success, BIRTH));
        sighting.first_dequeue_time = BIRTH.plus(Duration::from_secs(100));
        sighting
    };
    let at = BIRTH.plus(Duration::from_secs(200));
    let complete = |ledger: &Ledger, at| ledger.snapshot(at).queues.first().unwrap().view_complete;

    let mut lost = ledger(Mode::Consume);
    let (from, to) = (
        BIRTH.plus(Duration::from_secs(99)),
        BIRTH.plus(Duration::from_secs(101)),
    );
    commit(
        &mut lost,
        &Record::ReceiveLost {
            queue: QUEUE,
            from,
            to,
        },
    );
    commit(
        &mut lost,
        &Record::Sighted {
            queue: QUEUE,
            at,
            sightings: (0..16).map(stolen).collect(),
        },
    );
    assert!(complete(&lost, at));

    let mut shared = ledger(Mode::Consume);
    commit(
        &mut shared,
        &Record::Sighted {
            queue: QUEUE,
            at,
            sightings: (0..3).map(stolen).collect(),
        },
    );
    assert!(complete(&shared, at), "three may be an accident");
    commit(
        &mut shared,
        &Record::Sighted {
            queue: QUEUE,
            at,
            sightings: vec![stolen(3)],
        },
    );
    assert!(!complete(&shared, at));
    assert!(
        shared
            .snapshot(at)
            .queues
            .first()
            .unwrap()
            .watched_since
            .is_none()
    );
    let day_later = at.plus(Duration::from_hours(24));
    assert!(complete(&shared, day_later));
}

#[test]
fn a_gap_moves_the_time_since_when_silence_can_be_judged_but_never_back() {
    let gap = |ledger: &mut Ledger, secs| {
        let until = BIRTH.plus(Duration::from_secs(secs));
        let queue = QUEUE;
        commit(ledger, &Record::Gap { queue, until });
        let since = ledger.snapshot(until).queues.first().unwrap().watched_since;
        since.map(|since| since.since(BIRTH).as_secs())
    };
    let mut consumed = ledger(Mode::Consume);
    assert_eq!(gap(&mut consumed, 100), Some(100));
    assert_eq!(gap(&mut consumed, 50), Some(100));
    open(
        &mut consumed,
        identity(Mode::Consume, Role::Callback),
        BIRTH,
    );
    assert_eq!(gap(&mut consumed, 0), Some(0), "opened anew");
    assert_eq!(gap(&mut ledger(Mode::Peek), 100), None);
}

#[test]
fn what_is_in_hand_leaves_when_its_visibility_timeout_has_passed() {
    let mut ledger = ledger(Mode::Consume);
    sight(
        &mut ledger,
        vec![sighting(1, 1, event(1, Status::Success, BIRTH))],
    );
    let in_hand =
        |ledger: &Ledger, secs| ledger.in_hand(QUEUE, BIRTH.plus(Duration::from_secs(secs)));
    assert_eq!(in_hand(&ledger, 5), 1);
    assert_eq!(
        in_hand(&ledger, 34),
        0,
        "hidden until 33 s, whether or not anybody reads since"
    );
    assert_eq!(ledger.pending(QUEUE), 1, "and yet it is not forgotten");
}

fn forward(ledger: &mut Ledger, messages: &[u128], refused: &[u128], failed: u64) {
    let refuse = |message: &u128| Refused {
        message: MessageKey(*message),
        message_id: "m".into(),
        enqueue_time: BIRTH,
        body: "body".into(),
    };
    commit(
        ledger,
        &Record::Forwarded {
            queue: QUEUE,
            at: BIRTH.plus(Duration::from_secs(6)),
            target: "worker".into(),
            messages: messages.iter().copied().map(MessageKey).collect(),
            refused: refused.iter().map(refuse).collect(),
            failed,
        },
    );
}

#[test]
fn what_is_passed_on_stays_so_through_redelivery_and_deletion() {
    let mut ledger = ledger(Mode::Consume);
    let messages = [MessageKey(1), MessageKey(2)];
    let deliver = |ledger: &mut Ledger, count| {
        let sightings = [1, 2].map(|message| sighting(message, count, undecodable("x")));
        sight(ledger, sightings.to_vec());
    };
    deliver(&mut ledger, 1);
    assert_eq!(ledger.forwarded(QUEUE, &messages), [false, false]);
    forward(&mut ledger, &[1], &[], 1);
    deliver(&mut ledger, 2);
    assert_eq!(ledger.forwarded(QUEUE, &messages), [true, false]);
    delete(&mut ledger, &[1, 2], BIRTH.plus(Duration::from_secs(9)));
    deliver(&mut ledger, 3);
    assert_eq!(
        ledger.forwarded(QUEUE, &messages),
        [true, false],
        "even if it comes back after its deletion"
    );
    assert_eq!(counts(&ledger).forwarded["worker"], [1, 0, 1]);
}

#[test]
fn what_a_target_refuses_is_quarantined_once_with_its_body() {
    let mut ledger = ledger(Mode::Consume);
    let content = event(1, Status::Success, BIRTH);
    sight(&mut ledger, vec![sighting(1, 1, content)]);
    forward(&mut ledger, &[], &[1], 0);
    forward(&mut ledger, &[], &[1], 0);
    let quarantine = ledger.snapshot(BIRTH).quarantine;
    let [entry] = quarantine.as_slice() else {
        panic!("{quarantine:?}")
    };
    assert_eq!(
        (entry.reason.as_str(), &*entry.body),
        ("forward_refused", "body")
    );
    assert_eq!(ledger.forwarded(QUEUE, &[MessageKey(1)]), [true]);
    assert_eq!(counts(&ledger).forwarded["worker"], [0, 1, 0]);
    assert_eq!(decode_failures(&counts(&ledger)), 0);
}

#[test]
fn targets_beyond_the_cap_are_counted_as_other() {
    let mut counts = Counts::default();
    for number in 0..40 {
        counts.forwarded(&format!("t{number}").into(), [1, 0, 0]);
    }
    assert_eq!(counts.forwarded.len(), 17);
    assert_eq!(counts.forwarded["other"], [24, 0, 0]);
}

/// What may happen to a queue: a delivery of a message, or a delete that MNS confirms.
#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver(u8),
    Delete(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![3 => (0..40_u8).prop_map(Step::Deliver), 1 => (0..40_u8).prop_map(Step::Delete)];
    prop::collection::vec(step, 1..200)
}

/// Messages 0 to 39: every fifth undecodable, the others of ten different contents.
fn content(message: u8) -> Content {
    if message.is_multiple_of(5) {
        undecodable("nonsense")
    } else {
        let status = if message % 10 < 3 {
            Status::Fail
        } else {
            Status::Success
        };
        event(u128::from(message % 10), status, BIRTH)
    }
}

/// The obvious account of the same steps.
#[derive(Default)]
struct Model {
    deliveries: BTreeMap<u8, u32>,
}

impl Model {
    fn deliver(&mut self, message: u8) -> Sighting {
        let count = self.deliveries.entry(message).or_default();
        *count += 1;
        sighting(u128::from(message), *count, content(message))
    }

    fn check(&self, counts: &Counts) {
        let distinct: std::collections::BTreeSet<u8> = self
            .deliveries
            .keys()
            .filter(|m| *m % 5 != 0)
            .map(|m| m % 10)
            .collect();
        let bad = self.deliveries.keys().filter(|m| *m % 5 == 0).count();
        assert_eq!(counts.messages_seen, self.deliveries.len() as u64);
        assert_eq!(events(counts), distinct.len() as u64);
        assert_eq!(decode_failures(counts), bad as u64);
        assert_eq!(
            counts.redeliveries,
            self.deliveries
                .values()
                .map(|count| u64::from(count - 1))
                .sum::<u64>()
        );
        assert_eq!(
            counts.messages_seen,
            events(counts) + counts.duplicates + decode_failures(counts)
        );
    }
}

fn never_falls(before: &Counts, after: &Counts) {
    let totals = |counts: &Counts| {
        [
            counts.messages_seen,
            counts.redeliveries,
            counts.duplicates,
            events(counts),
            decode_failures(counts),
            counts.failures.values().sum(),
            counts.faults.iter().flatten().sum(),
            counts.delivery.count(),
            counts.wait.count(),
            counts.processing.count(),
        ]
    };
    for (before, after) in totals(before).iter().zip(totals(after)) {
        assert!(*before <= after);
    }
}

/// A queue with one overdue video, of which VOD can be asked.
fn overdue(mode: Mode) -> (Ledger, MediaKey) {
    let media = MediaKey::Hex([1; 16]);
    let mut ledger = Ledger::new(10_000);
    let settings = QueueSettings {
        transcodes: TranscodeSettings {
            reconciled: true,
            ..TranscodeSettings::default()
        },
        ..QueueSettings::default()
    };
    let (queue, identity) = (QUEUE, identity(mode, Role::Callback));
    for record in [
        Record::Opened {
            queue,
            identity,
            settings,
            at: BIRTH,
        },
        Record::Swept {
            queue,
            at: BIRTH,
            videos: vec![(media.clone(), BIRTH)],
        },
        Record::Ticked {
            queue,
            at: BIRTH.plus(Duration::from_hours(2)),
        },
    ] {
        commit(&mut ledger, &record);
    }
    (ledger, media)
}

#[test]
fn every_record_that_closes_transcodes_tells_which() {
    let (queue, late) = (QUEUE, BIRTH.plus(Duration::from_hours(80)));
    let lost = Record::Judged {
        queue,
        at: late,
        judgements: vec![Judgement {
            media: MediaKey::Hex([1; 16]),
            verdict: Verdict::CallbackLost,
            stage: Stage::Submit,
        }],
    };
    let observed = Record::Observed { queue, until: late };
    let ticked = Record::Ticked { queue, at: late };
    for (mode, record, verdict) in [
        (Mode::Consume, lost, Verdict::CallbackLost),
        (Mode::Consume, observed, Verdict::Abandoned),
        (Mode::Peek, ticked, Verdict::Abandoned),
    ] {
        let (mut ledger, media) = overdue(mode);
        let mut changes = Changes::default();
        ledger.apply(&record, &mut changes);
        let closing = Closing {
            verdict,
            videos: vec![media],
            more: 0,
        };
        assert_eq!(changes.closings, [("q".into(), closing)], "{record:?}");
        ledger.apply(&record, &mut changes);
        assert_eq!(changes.closings.len(), 1, "told once");
    }
}

#[test]
fn closed_transcodes_are_listed_apart_by_verdict_the_latest_first() {
    let (mut ledger, _) = overdue(Mode::Consume);
    let media = |number| MediaKey::Hex([number; 16]);
    let videos = (2..=4).map(|number| (media(number), BIRTH)).collect();
    let (queue, at) = (QUEUE, BIRTH);
    commit(&mut ledger, &Record::Swept { queue, at, videos });
    let until = BIRTH.plus(Duration::from_hours(2));
    commit(&mut ledger, &Record::Observed { queue, until });
    for (number, verdict) in [
        (1, Verdict::CallbackLost),
        (2, Verdict::NotTranscoded),
        (3, Verdict::CallbackLost),
    ] {
        let at = until.plus(Duration::from_secs(number.into()));
        let judgements = vec![Judgement {
            media: media(number),
            verdict,
            stage: Stage::Submit,
        }];
        let judged = Record::Judged {
            queue,
            at,
            judgements,
        };
        commit(&mut ledger, &judged);
    }
    let listed = |state, verdict, limit| {
        let page = ledger.list(&listing::Listing {
            queue: Some("q".to_owned()),
            state,
            verdict,
            offset: 0,
            limit,
        });
        let rows = page.rows.into_iter().map(|(_, row)| row.media);
        (rows.collect::<Vec<_>>(), page.total)
    };
    let (closed, lost) = (listing::ListedState::Closed, Some(Verdict::CallbackLost));
    assert_eq!(
        listed(closed, None, 9),
        (vec![media(3), media(2), media(1)], 3)
    );
    assert_eq!(listed(closed, lost, 9), (vec![media(3), media(1)], 2));
    assert_eq!(listed(closed, lost, 1), (vec![media(3)], 2));
    let open = listing::ListedState::InFlight;
    assert_eq!(listed(open, None, 9), (vec![media(4)], 1));
    assert_eq!(listed(open, lost, 9), (vec![], 0));
}

proptest! {
    #[test]
    fn any_history_counts_like_the_obvious_account(steps in steps()) {
        let mut ledger = ledger(Mode::Consume);
        let mut model = Model::default();
        for step in steps {
            let before = counts(&ledger);
            match step {
                Step::Deliver(message) => {
                    let sighting = model.deliver(message);
                    sight(&mut ledger, vec![sighting]);
                }
                Step::Delete(message) => {
                    delete(&mut ledger, &[u128::from(message)], BIRTH.plus(Duration::from_secs(6)));
                }
            }
            let after = counts(&ledger);
            never_falls(&before, &after);
            model.check(&after);
        }
    }

    #[test]
    fn the_order_of_messages_never_changes_the_counts(order in Just((0..40_u8).collect::<Vec<_>>()).prop_shuffle()) {
        let count = |order: &[u8]| {
            let mut ledger = ledger(Mode::Consume);
            let mut model = Model::default();
            for message in order {
                let sighting = model.deliver(*message);
                sight(&mut ledger, vec![sighting]);
            }
            counts(&ledger)
        };
        let sorted: Vec<u8> = (0..40).collect();
        prop_assert_eq!(count(&order), count(&sorted));
    }

    #[test]
    fn peek_counts_a_subset_and_never_twice(looks in prop::collection::vec((0..40_u8, 0..5_u32), 1..300)) {
        let mut ledger = ledger(Mode::Peek);
        let mut dequeued: HashMap<u8, u32> = HashMap::new();
        for (message, more) in looks {
            let count = dequeued.entry(message).or_default();
            *count += more;
            sight(&mut ledger, vec![sighting(u128::from(message), *count, content(message))]);
        }
        let counts = counts(&ledger);
        prop_assert_eq!(counts.messages_seen, dequeued.len() as u64);
        prop_assert!(events(&counts) <= 10);
        let most: u64 = dequeued.values().map(|count| u64::from(count.saturating_sub(1))).sum();
        prop_assert_eq!(counts.redeliveries, most);
    }

    #[test]
    fn a_replay_of_the_records_gives_the_same_ledger(steps in steps()) {
        let mut model = Model::default();
        let identity = identity(Mode::Consume, Role::Callback);
        let settings = QueueSettings::default();
        let mut records = vec![Record::Opened { queue: QUEUE, identity, settings, at: BIRTH }];
        for step in steps {
            let at = BIRTH.plus(Duration::from_secs(5));
            records.push(match step {
                Step::Deliver(m) => Record::Sighted { queue: QUEUE, at, sightings: vec![model.deliver(m)] },
                Step::Delete(m) => Record::Deleted { queue: QUEUE, at, messages: vec![MessageKey(u128::from(m))] },
            });
        }
        let journal = serde_json::to_string(&records).unwrap();
        let replayed: Vec<Record> = serde_json::from_str(&journal).unwrap();
        prop_assert_eq!(&replayed, &records);
        let run = |records: &[Record]| {
            let mut ledger = Ledger::new(10_000);
            for record in records {
                commit(&mut ledger, record);
            }
            counts(&ledger)
        };
        prop_assert_eq!(run(&replayed), run(&records));
    }
}
