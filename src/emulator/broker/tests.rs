use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::emulator::queue::{MessageState, Totals};

const START: UnixMillis = UnixMillis::from_secs(1_700_000_000);
const Q: &str = "q";

/// A broker with one queue and a clock that only tests move.
struct Fixture {
    broker: Broker,
    behaviour: Behaviour,
    now: UnixMillis,
}

impl Fixture {
    fn new() -> Self {
        let mut fixture = Self {
            broker: Broker::new(42, "cn-shanghai:1".to_owned()),
            behaviour: Behaviour::default(),
            now: START,
        };
        fixture.create(Q);
        fixture
    }

    fn create(&mut self, name: &str) {
        self.broker
            .create_queue(name, &AttributesPatch::default(), self.now)
            .unwrap();
    }

    fn advance(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.broker.settle(self.now, &self.behaviour);
    }

    fn try_send(&mut self, message: &NewMessage) -> Result<Sent, ApiError> {
        self.broker.send(Q, message, &self.behaviour, self.now)
    }

    fn send(&mut self, body: &str) -> Sent {
        self.try_send(&NewMessage {
            body: body.into(),
            ..NewMessage::default()
        })
        .unwrap()
    }

    fn receive(&mut self, wanted: usize) -> Vec<(View, String)> {
        self.broker.receive(Q, wanted, self.now).unwrap()
    }

    fn delete(&mut self, handle: &str) -> Result<(), ApiError> {
        self.broker.delete(Q, handle, || false)
    }

    fn peek(&mut self, wanted: usize) -> Vec<View> {
        self.broker.peek(Q, wanted, &self.behaviour).unwrap()
    }

    fn totals(&self) -> Totals {
        self.broker.queue(Q).unwrap().totals
    }

    fn states(&self) -> Vec<MessageState> {
        self.broker.queue(Q).unwrap().states()
    }

    fn counts(&self) -> (u64, u64, u64) {
        let counts = self.broker.counts(Q).unwrap();
        (counts.active, counts.inactive, counts.delayed)
    }
}

#[test]
fn a_delayed_message_becomes_active_then_inactive_then_active_again() {
    let mut fixture = Fixture::new();
    fixture
        .try_send(&NewMessage {
            body: "x".into(),
            delay_seconds: Some(10),
            ..NewMessage::default()
        })
        .unwrap();
    assert_eq!(fixture.counts(), (0, 0, 1));
    assert!(
        fixture.peek(16).is_empty(),
        "delayed messages are not shown"
    );
    fixture.advance(10);
    assert_eq!(fixture.counts(), (1, 0, 0));
    let (first, _) = fixture.receive(1).remove(0);
    assert_eq!(fixture.counts(), (0, 1, 0));
    assert_eq!(
        first.next_visible_time,
        fixture.now.plus(Duration::from_secs(30))
    );
    fixture.advance(29);
    assert_eq!(fixture.counts(), (0, 1, 0));
    fixture.advance(1);
    assert_eq!(fixture.counts(), (1, 0, 0));
    let (second, _) = fixture.receive(1).remove(0);
    assert_eq!(second.dequeue_count, 2);
    assert_eq!(second.first_dequeue_time, first.first_dequeue_time);
    assert_ne!(second.first_dequeue_time, second.enqueue_time);
}

#[test]
fn the_handle_of_a_delayed_message_deletes_it_until_it_is_due() {
    let mut fixture = Fixture::new();
    let delayed = NewMessage {
        delay_seconds: Some(10),
        ..NewMessage::default()
    };
    let early = fixture.try_send(&delayed).unwrap().receipt_handle.unwrap();
    let late = fixture.try_send(&delayed).unwrap().receipt_handle.unwrap();
    fixture.delete(&early).unwrap();
    fixture.advance(10);
    assert_eq!(fixture.delete(&late), Err(ApiError::message_not_exist()));
}

#[test]
fn a_visibility_change_replaces_the_handle_and_counts_from_now() {
    let mut fixture = Fixture::new();
    fixture.send("x");
    let (_, old) = fixture.receive(1).remove(0);
    fixture.advance(20);
    let (new, until) = fixture
        .broker
        .change_visibility(Q, &old, 100, fixture.now)
        .unwrap();
    assert_eq!(until, fixture.now.plus(Duration::from_secs(100)));
    assert_eq!(fixture.delete(&old), Err(ApiError::message_not_exist()));
    fixture.advance(99);
    fixture.delete(&new).unwrap();
    assert_eq!(fixture.delete(&new), Err(ApiError::message_not_exist()));
    assert_eq!(
        fixture.delete("nonsense"),
        Err(ApiError::receipt_handle_error())
    );
    for seconds in [0, 43_201] {
        let refused = fixture
            .broker
            .change_visibility(Q, &new, seconds, fixture.now);
        assert_eq!(refused.unwrap_err().code, "InvalidArgument");
    }
}

#[test]
fn a_handle_of_an_earlier_queue_of_the_same_name_is_stale() {
    let mut fixture = Fixture::new();
    fixture.send("x");
    let (_, handle) = fixture.receive(1).remove(0);
    assert!(fixture.broker.delete_queue(Q));
    fixture.create(Q);
    assert_eq!(fixture.delete(&handle), Err(ApiError::message_not_exist()));
}

#[test]
fn retention_ends_a_message_in_any_state() {
    let mut fixture = Fixture::new();
    for _ in 0..3 {
        fixture.send("x");
    }
    fixture.advance(345_590);
    let (_, handle) = fixture.receive(1).remove(0);
    fixture.advance(9);
    assert_eq!(fixture.counts(), (2, 1, 0));
    fixture.advance(1);
    assert_eq!(fixture.counts(), (0, 0, 0));
    assert_eq!(fixture.totals().expired, 3);
    assert_eq!(fixture.delete(&handle), Err(ApiError::message_not_exist()));
}

#[test]
fn a_shorter_retention_applies_to_messages_already_there() {
    let mut fixture = Fixture::new();
    fixture.send("x");
    fixture.advance(100);
    let patch = AttributesPatch {
        message_retention_period: Some(60),
        ..AttributesPatch::default()
    };
    fixture
        .broker
        .set_attributes(Q, &patch, fixture.now)
        .unwrap();
    fixture.advance(0);
    assert_eq!(fixture.totals().expired, 1);
}

#[test]
fn priority_orders_a_stripe_only() {
    let mut fixture = Fixture::new();
    for index in 0..64_u8 {
        fixture
            .try_send(&NewMessage {
                priority: Some(16 - index % 16),
                ..NewMessage::default()
            })
            .unwrap();
    }
    let received = fixture.receive(16);
    let stripe = |view: &View| view.key % STRIPES as u64;
    for pair in received.windows(2) {
        let [(first, _), (second, _)] = pair else {
            unreachable!()
        };
        if stripe(first) == stripe(second) {
            assert!((first.priority, first.key) < (second.priority, second.key));
        }
    }
    let best = fixture.states().len();
    assert_eq!(best, 64);
    assert!(
        received.iter().any(|(view, _)| view.priority > 1),
        "other stripes hold better ones"
    );
}

#[test]
fn peeks_differ_unless_told_otherwise() {
    let mut fixture = Fixture::new();
    for _ in 0..200 {
        fixture.send("x");
    }
    let ids = |views: Vec<View>| views.into_iter().map(|view| view.id).collect::<Vec<_>>();
    let mut seen: Vec<_> = (0..20).map(|_| ids(fixture.peek(16))).collect();
    assert!(seen.iter().all(|batch| batch.len() == 16));
    seen.dedup();
    assert!(seen.len() > 1, "shuffled");
    fixture.behaviour.peek_deterministic = true;
    let mut seen: Vec<_> = (0..20).map(|_| ids(fixture.peek(16))).collect();
    seen.dedup();
    assert_eq!(seen.len(), 1, "deterministic");
}

#[test]
fn dead_letters_move_after_more_receives_than_allowed_and_keep_their_age() {
    for (at_limit, receives) in [(false, 3), (true, 2)] {
        let mut fixture = Fixture::new();
        fixture.behaviour.dead_letter_at_limit = at_limit;
        fixture.create("dead");
        let policy = DeadLetterPolicy {
            target: "dead".to_owned(),
            max_receive_count: 2,
        };
        fixture.broker.set_dead_letter(Q, Some(policy)).unwrap();
        let sent = fixture.send("poison");
        let enqueued = fixture.now;
        for round in 1..=receives {
            let (view, _) = fixture.receive(1).remove(0);
            assert_eq!(view.dequeue_count, round);
            fixture.advance(30);
        }
        assert_eq!(fixture.counts(), (0, 0, 0), "at_limit {at_limit}");
        assert_eq!(fixture.totals().dead_lettered, 1);
        let letters = fixture.broker.peek("dead", 16, &fixture.behaviour).unwrap();
        let [letter] = letters.as_slice() else {
            panic!("one letter, not {letters:?}")
        };
        assert_eq!(letter.enqueue_time, enqueued);
        assert_ne!(letter.id, sent.message_id);
        assert!(letter.properties.contains(&*sent.message_id));
        assert!(
            letter
                .properties
                .contains("acs:mns:cn-shanghai:1:/queues/q")
        );
    }
}

#[test]
fn a_queue_cannot_be_its_own_dead_letter_queue_nor_use_a_missing_one() {
    let mut fixture = Fixture::new();
    let policy = |target: &str| DeadLetterPolicy {
        target: target.to_owned(),
        max_receive_count: 1,
    };
    for (target, code) in [(Q, "InvalidArgument"), ("nope", "QueueNotExist")] {
        let refused = fixture.broker.set_dead_letter(Q, Some(policy(target)));
        assert_eq!(refused.unwrap_err().code, code);
    }
}

#[test]
fn a_message_brought_back_comes_once_with_its_id_and_a_higher_count() {
    let mut fixture = Fixture::new();
    let sent = fixture.send("x");
    let (_, handle) = fixture.receive(1).remove(0);
    fixture.broker.delete(Q, &handle, || true).unwrap();
    assert_eq!(fixture.totals().deleted, 0);
    let (again, handle) = fixture.receive(1).remove(0);
    assert_eq!(again.id, sent.message_id);
    assert_eq!(again.dequeue_count, 2);
    fixture.broker.delete(Q, &handle, || true).unwrap();
    assert_eq!(
        (fixture.totals().deleted, fixture.totals().brought_back),
        (1, 1)
    );
    assert_eq!(fixture.counts(), (0, 0, 0));
}

#[test]
fn values_out_of_range_are_refused() {
    let mut fixture = Fixture::new();
    let too_large = NewMessage {
        body: "x".repeat(65_537).into(),
        ..NewMessage::default()
    };
    let priority = |priority| NewMessage {
        priority: Some(priority),
        ..NewMessage::default()
    };
    let delay = NewMessage {
        delay_seconds: Some(604_801),
        ..NewMessage::default()
    };
    for message in [too_large, priority(17), delay] {
        assert_eq!(
            fixture.try_send(&message).unwrap_err().code,
            "InvalidArgument"
        );
    }
    fixture.try_send(&priority(0)).unwrap();
    assert_eq!(fixture.peek(1)[0].priority, 8, "0 means unset");
    fixture.behaviour.accept_priority_zero = false;
    assert!(fixture.try_send(&priority(0)).is_err());
    for (name, code) in [
        ("", "QueueNameLengthError"),
        (&*"x".repeat(121), "QueueNameLengthError"),
        ("-x", "InvalidQueueName"),
        ("a_b", "InvalidQueueName"),
    ] {
        let refused = fixture
            .broker
            .create_queue(name, &AttributesPatch::default(), START);
        assert_eq!(refused.unwrap_err().code, code);
    }
}

#[test]
fn body_md5_is_upper_case_hex() {
    assert_eq!(md5_upper_hex(b""), "D41D8CD98F00B204E9800998ECF8427E");
}

#[derive(Clone, Debug)]
enum Step {
    Send {
        delay: u32,
    },
    Receive(usize),
    /// Uses the handle that was issued at this place, dead or alive.
    Delete(prop::sample::Index),
    Change(prop::sample::Index, u32),
    Peek(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![Just(0), 1..200_u32].prop_map(|delay| Step::Send { delay }),
        4 => (1..=16_usize).prop_map(Step::Receive),
        4 => any::<prop::sample::Index>().prop_map(Step::Delete),
        2 => (any::<prop::sample::Index>(), 1..100_u32).prop_map(|(at, secs)| Step::Change(at, secs)),
        2 => (1..=16_usize).prop_map(Step::Peek),
        3 => prop_oneof![8 => 0..40_u64, 1 => 1000..200_000_u64].prop_map(Step::Advance),
    ]
}

/// What a client could know of a message.
#[derive(Debug, Default)]
struct Known {
    enqueued: UnixMillis,
    receives: u32,
    handle: String,
    hidden_until: UnixMillis,
    deleted: bool,
}

fn takes(known: &HashMap<Arc<str>, Known>, handle: &str, now: UnixMillis) -> Option<Arc<str>> {
    let retention = Attributes::default().retention();
    let (id, _) = known.iter().find(|(_, message)| {
        message.handle == handle
            && !message.deleted
            && now < message.hidden_until
            && now < message.enqueued.plus(retention)
    })?;
    Some(Arc::clone(id))
}

proptest! {
    #[test]
    fn the_broker_keeps_its_books(steps in prop::collection::vec(step(), 1..150)) {
        let mut fixture = Fixture::new();
        let mut known: HashMap<Arc<str>, Known> = HashMap::new();
        let mut handles: Vec<String> = Vec::new();
        for step in steps {
            match step {
                Step::Send { delay } => {
                    let sent = fixture.try_send(&NewMessage {
                        delay_seconds: Some(delay),
                        ..NewMessage::default()
                    }).unwrap();
                    let message = Known {
                        enqueued: fixture.now,
                        handle: sent.receipt_handle.clone().unwrap_or_default(),
                        hidden_until: fixture.now.plus(Duration::from_secs(delay.into())),
                        ..Known::default()
                    };
                    handles.extend(sent.receipt_handle);
                    prop_assert!(known.insert(sent.message_id, message).is_none());
                }
                Step::Receive(wanted) => {
                    let active = fixture.counts().0;
                    let received = fixture.receive(wanted);
                    prop_assert_eq!(received.len() as u64, active.min(wanted as u64));
                    for (view, handle) in received {
                        let message = known.get_mut(&view.id).unwrap();
                        prop_assert!(!message.deleted && message.hidden_until <= fixture.now);
                        message.receives += 1;
                        prop_assert_eq!(view.dequeue_count, message.receives);
                        message.hidden_until = view.next_visible_time;
                        message.handle.clone_from(&handle);
                        handles.push(handle);
                    }
                }
                Step::Delete(at) if !handles.is_empty() => {
                    let handle = at.get(&handles);
                    let expected = takes(&known, handle, fixture.now);
                    prop_assert_eq!(fixture.delete(handle).is_ok(), expected.is_some());
                    if let Some(id) = expected {
                        known.get_mut(&id).unwrap().deleted = true;
                        prop_assert!(fixture.delete(handle).is_err(), "a handle works once");
                    }
                }
                Step::Change(at, seconds) if !handles.is_empty() => {
                    let handle = at.get(&handles).clone();
                    let expected = takes(&known, &handle, fixture.now);
                    let changed = fixture.broker.change_visibility(Q, &handle, seconds, fixture.now);
                    prop_assert_eq!(changed.is_ok(), expected.is_some());
                    if let (Some(id), Ok((replaced, until))) = (expected, changed) {
                        let message = known.get_mut(&id).unwrap();
                        message.handle.clone_from(&replaced);
                        message.hidden_until = until;
                        handles.push(replaced);
                    }
                }
                Step::Peek(wanted) => {
                    let before = (fixture.states(), fixture.totals(), fixture.counts());
                    for view in fixture.peek(wanted) {
                        prop_assert_eq!(view.dequeue_count, known[&view.id].receives);
                        prop_assert!(known[&view.id].hidden_until <= fixture.now, "Active only");
                    }
                    prop_assert_eq!(before, (fixture.states(), fixture.totals(), fixture.counts()));
                }
                Step::Advance(seconds) => fixture.advance(seconds),
                Step::Delete(_) | Step::Change(..) => {}
            }
            let totals = fixture.totals();
            let (active, inactive, delayed) = fixture.counts();
            prop_assert_eq!(
                totals.sent,
                totals.deleted + totals.expired + active + inactive + delayed
            );
            let receives: u64 = known.values().map(|message| u64::from(message.receives)).sum();
            prop_assert_eq!(totals.received, receives);
            prop_assert_eq!(fixture.states().len() as u64, totals.sent);
        }
    }

    #[test]
    fn dead_letters_are_neither_lost_nor_doubled(
        steps in prop::collection::vec(step(), 1..150),
        max_receive_count in 1..4_u32,
    ) {
        let mut fixture = Fixture::new();
        fixture.create("dead");
        let policy = DeadLetterPolicy { target: "dead".to_owned(), max_receive_count };
        fixture.broker.set_dead_letter(Q, Some(policy)).unwrap();
        let mut handles: Vec<String> = Vec::new();
        for step in steps {
            match step {
                Step::Send { .. } => _ = fixture.send("x"),
                Step::Receive(wanted) => {
                    for (view, handle) in fixture.receive(wanted) {
                        prop_assert!(view.dequeue_count <= max_receive_count + 1);
                        handles.push(handle);
                    }
                }
                Step::Delete(at) if !handles.is_empty() => _ = fixture.delete(at.get::<String>(&handles)),
                Step::Advance(seconds) => fixture.advance(seconds),
                Step::Delete(_) | Step::Change(..) | Step::Peek(_) => {}
            }
            for (name, queue) in fixture.broker.queues() {
                let (totals, counts) = (queue.totals, queue.counts());
                prop_assert_eq!(
                    totals.sent + totals.dead_letters_taken,
                    totals.deleted
                        + totals.expired
                        + totals.dead_lettered
                        + counts.active
                        + counts.inactive
                        + counts.delayed,
                    "{}", name
                );
            }
            let taken = fixture.broker.queue("dead").unwrap().totals.dead_letters_taken;
            prop_assert_eq!(fixture.totals().dead_lettered, taken);
        }
    }
}
