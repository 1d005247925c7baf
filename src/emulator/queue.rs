//! One queue as a state machine: Delayed, Active, Inactive, gone. Time is an argument.
//!
//! Messages lie in several stripes. A receive or a peek starts at some stripe and goes on to the next only when that one
//! has nothing more to give; priority and age order messages within a stripe only, as the vendor documents.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::attributes::Attributes;
use super::error::ApiError;
use crate::clock::UnixMillis;

/// Stripes of a queue.
pub(super) const STRIPES: usize = 4;

/// How many departed messages a queue remembers for `GET /-/emulator/state?messages=true`.
const HISTORY: usize = 100_000;

/// Where messages with more receives than allowed go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterPolicy {
    /// Name of the queue that takes them.
    pub target: String,
    /// Receives a message may have.
    pub max_receive_count: u32,
}

/// Exact numbers of messages by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Visible.
    pub active: u64,
    /// Received and neither deleted nor visible again.
    pub inactive: u64,
    /// Not yet due.
    pub delayed: u64,
}

/// What became of a queue's messages since it was created.
///
/// `sent + dead_letters_taken == deleted + expired + dead_lettered + purged` + messages still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Messages accepted, the duplicates among them included.
    pub sent: u64,
    /// Messages that a switch enqueued a second time.
    pub duplicated: u64,
    /// Deliveries: the sum of all dequeue counts.
    pub received: u64,
    /// Messages delivered at least once; `received - first_received` are the redeliveries.
    pub first_received: u64,
    /// Messages deleted for good.
    pub deleted: u64,
    /// Messages that a switch brought back after a confirmed deletion.
    pub brought_back: u64,
    /// Messages that outlived the retention period.
    pub expired: u64,
    /// Messages moved to the dead-letter queue.
    pub dead_lettered: u64,
    /// Messages taken from another queue as its dead-letter queue.
    pub dead_letters_taken: u64,
    /// Messages removed by the control endpoint.
    pub purged: u64,
}

/// One message for the ground truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessageState {
    /// Its id.
    pub message_id: Arc<str>,
    /// `delayed`, `active`, `inactive`, `deleted`, `expired`, `dead_lettered` or `purged`.
    pub state: &'static str,
    /// Receives so far.
    pub dequeue_count: u32,
    /// When it was accepted.
    pub enqueue_time: UnixMillis,
}

/// A message as a receive or peek shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Key of the message within the emulator.
    pub key: u64,
    /// Current generation of its handle.
    pub generation: u32,
    /// Opaque id.
    pub id: Arc<str>,
    /// Body as stored.
    pub body: Arc<str>,
    /// Upper-case hex MD5 of the body.
    pub body_md5: Arc<str>,
    /// Properties as XML, to be repeated as they are.
    pub properties: Arc<str>,
    /// When it was accepted.
    pub enqueue_time: UnixMillis,
    /// When it was first received; `enqueue_time` while it never was.
    pub first_dequeue_time: UnixMillis,
    /// When it becomes visible again.
    pub next_visible_time: UnixMillis,
    /// Receives so far, this one included.
    pub dequeue_count: u32,
    /// 1 to 16.
    pub priority: u8,
}

/// A message that enters a queue.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) key: u64,
    pub(super) id: Arc<str>,
    pub(super) body: Arc<str>,
    pub(super) body_md5: Arc<str>,
    pub(super) properties: Arc<str>,
    pub(super) enqueue_time: UnixMillis,
    pub(super) delay: Duration,
    pub(super) priority: u8,
}

/// The state machine.
#[derive(Debug)]
pub(super) struct Queue {
    /// Tells this queue from earlier ones of the same name.
    pub(super) incarnation: u64,
    pub(super) attributes: Attributes,
    pub(super) create_time: UnixMillis,
    pub(super) last_modify_time: UnixMillis,
    pub(super) dead_letter: Option<DeadLetterPolicy>,
    pub(super) totals: Totals,
    messages: HashMap<u64, Message>,
    stripes: [BTreeSet<(u8, u64)>; STRIPES],
    delayed: BTreeSet<(UnixMillis, u64)>,
    inactive: BTreeSet<(UnixMillis, u64)>,
    by_age: BTreeSet<(UnixMillis, u64)>,
    departed: VecDeque<MessageState>,
}

#[derive(Debug)]
struct Message {
    id: Arc<str>,
    body: Arc<str>,
    body_md5: Arc<str>,
    properties: Arc<str>,
    enqueue_time: UnixMillis,
    first_dequeue_time: Option<UnixMillis>,
    dequeue_count: u32,
    generation: u32,
    priority: u8,
    brought_back: bool,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Delayed(UnixMillis),
    Active,
    Inactive(UnixMillis),
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(incarnation: u64, attributes: Attributes, now: UnixMillis) -> Self {
        Self {
            incarnation,
            attributes,
            create_time: now,
            last_modify_time: now,
            dead_letter: None,
            totals: Totals::default(),
            messages: HashMap::new(),
            stripes: Default::default(),
            delayed: BTreeSet::new(),
            inactive: BTreeSet::new(),
            by_age: BTreeSet::new(),
            departed: VecDeque::new(),
        }
    }

    /// Puts a message in. `delay` zero makes it Active.
    pub(super) fn insert(&mut self, arrival: Arrival, now: UnixMillis) {
        let place = if arrival.delay.is_zero() {
            Place::Active
        } else {
            Place::Delayed(now.plus(arrival.delay))
        };
        let message = Message {
            id: arrival.id,
            body: arrival.body,
            body_md5: arrival.body_md5,
            properties: arrival.properties,
            enqueue_time: arrival.enqueue_time,
            first_dequeue_time: None,
            dequeue_count: 0,
            generation: 0,
            priority: arrival.priority,
            brought_back: false,
            place,
        };
        self.by_age.insert((message.enqueue_time, arrival.key));
        self.link(arrival.key, message.priority, place);
        self.messages.insert(arrival.key, message);
    }

    /// Lets time pass up to `now`: drops what outlived its retention, makes visible what is due. Returns the messages
    /// that leave for the dead-letter queue: those that become visible again with more than `allowed` receives.
    pub(super) fn settle(&mut self, now: UnixMillis, allowed: Option<u32>) -> Vec<Arrival> {
        let horizon = now.minus(self.attributes.retention());
        while let Some(&(enqueued, key)) = self.by_age.first()
            && enqueued <= horizon
        {
            self.remove(key, "expired");
            self.totals.expired += 1;
        }
        while let Some(&(due, key)) = self.delayed.first()
            && due <= now
        {
            self.relocate(key, Place::Active);
        }
        let mut dead = Vec::new();
        while let Some(&(due, key)) = self.inactive.first()
            && due <= now
        {
            let receives = self
                .messages
                .get(&key)
                .map_or(0, |message| message.dequeue_count);
            if allowed.is_some_and(|allowed| receives > allowed) {
                dead.extend(self.take_dead(key));
            } else {
                self.relocate(key, Place::Active);
            }
        }
        dead
    }

    /// When [`Self::settle`] next has something to do.
    pub(super) fn next_event(&self) -> Option<UnixMillis> {
        let oldest = self.by_age.first();
        [
            self.next_visible(),
            oldest.map(|(enqueued, _)| enqueued.plus(self.attributes.retention())),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When the next invisible message becomes visible.
    pub(super) fn next_visible(&self) -> Option<UnixMillis> {
        [self.delayed.first(), self.inactive.first()]
            .into_iter()
            .flatten()
            .map(|(due, _)| *due)
            .min()
    }

    /// Delivers up to `wanted` Active messages, stripes in the given order.
    pub(super) fn receive(
        &mut self,
        wanted: usize,
        order: [usize; STRIPES],
        now: UnixMillis,
    ) -> Vec<View> {
        let until = now.plus(self.attributes.visibility());
        let keys = self.heads(wanted, order);
        let mut views = Vec::with_capacity(keys.len());
        for key in keys {
            self.relocate(key, Place::Inactive(until));
            let Some(message) = self.messages.get_mut(&key) else {
                continue;
            };
            message.dequeue_count += 1;
            message.generation += 1;
            self.totals.received += 1;
            if message.first_dequeue_time.is_none() {
                message.first_dequeue_time = Some(now);
                self.totals.first_received += 1;
            }
            views.push(message.view(key));
        }
        views
    }

    /// Shows up to `wanted` Active messages, with `delayed` the delayed ones after them, and changes nothing.
    pub(super) fn peek(&self, wanted: usize, order: [usize; STRIPES], delayed: bool) -> Vec<View> {
        let delayed = self.delayed.iter().filter(|_| delayed).map(|(_, key)| *key);
        self.heads(wanted, order)
            .into_iter()
            .chain(delayed)
            .take(wanted)
            .filter_map(|key| Some(self.messages.get(&key)?.view(key)))
            .collect()
    }

    /// Deletes a message by a live handle. With `bring_back` the caller is told the same and the message becomes
    /// visible once more, which happens to a message at most once.
    pub(super) fn delete(
        &mut self,
        key: u64,
        generation: u32,
        bring_back: impl FnOnce() -> bool,
    ) -> Result<(), ApiError> {
        let message = self.live(key, generation)?;
        if !message.brought_back && bring_back() {
            message.brought_back = true;
            self.relocate(key, Place::Active);
            self.totals.brought_back += 1;
        } else {
            self.remove(key, "deleted");
            self.totals.deleted += 1;
        }
        Ok(())
    }

    /// Restarts the visibility timeout of a received message; its handle is replaced by the returned generation.
    pub(super) fn change_visibility(
        &mut self,
        key: u64,
        generation: u32,
        until: UnixMillis,
    ) -> Result<u32, ApiError> {
        let message = self.live(key, generation)?;
        message.generation += 1;
        let generation = message.generation;
        let place = match message.place {
            Place::Delayed(_) => Place::Delayed(until),
            Place::Active | Place::Inactive(_) => Place::Inactive(until),
        };
        self.relocate(key, place);
        Ok(generation)
    }

    /// Removes everything.
    pub(super) fn purge(&mut self) -> u64 {
        let keys: Vec<u64> = self.by_age.iter().map(|(_, key)| *key).collect();
        for key in &keys {
            self.remove(*key, "purged");
        }
        let purged = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        self.totals.purged += purged;
        purged
    }

    /// Exact counts.
    pub(super) fn counts(&self) -> Counts {
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        Counts {
            active: count(self.stripes.iter().map(BTreeSet::len).sum()),
            inactive: count(self.inactive.len()),
            delayed: count(self.delayed.len()),
        }
    }

    /// Every message still there, oldest first, then the departed ones that are remembered.
    pub(super) fn states(&self) -> Vec<MessageState> {
        let present = self.by_age.iter().filter_map(|(_, key)| {
            let message = self.messages.get(key)?;
            Some(message.state(message.place.name()))
        });
        present.chain(self.departed.iter().cloned()).collect()
    }

    /// Enqueue time of the oldest message still there.
    pub(super) fn oldest(&self) -> Option<UnixMillis> {
        self.by_age.first().map(|(enqueued, _)| *enqueued)
    }

    fn heads(&self, wanted: usize, order: [usize; STRIPES]) -> Vec<u64> {
        order
            .into_iter()
            .filter_map(|stripe| self.stripes.get(stripe))
            .flatten()
            .take(wanted)
            .map(|(_, key)| *key)
            .collect()
    }

    fn live(&mut self, key: u64, generation: u32) -> Result<&mut Message, ApiError> {
        self.messages
            .get_mut(&key)
            .filter(|message| message.generation == generation && message.place != Place::Active)
            .ok_or_else(ApiError::message_not_exist)
    }

    fn take_dead(&mut self, key: u64) -> Option<Arrival> {
        let message = self.remove(key, "dead_lettered")?;
        self.totals.dead_lettered += 1;
        Some(Arrival {
            key,
            id: message.id,
            body: message.body,
            body_md5: message.body_md5,
            properties: message.properties,
            enqueue_time: message.enqueue_time,
            delay: Duration::ZERO,
            priority: message.priority,
        })
    }

    fn remove(&mut self, key: u64, fate: &'static str) -> Option<Message> {
        let message = self.messages.remove(&key)?;
        self.unlink(key, message.priority, message.place);
        self.by_age.remove(&(message.enqueue_time, key));
        if self.departed.len() == HISTORY {
            self.departed.pop_front();
        }
        self.departed.push_back(message.state(fate));
        Some(message)
    }

    fn relocate(&mut self, key: u64, place: Place) {
        let Some(message) = self.messages.get_mut(&key) else {
            return;
        };
        let (priority, from) = (message.priority, message.place);
        message.place = place;
        self.unlink(key, priority, from);
        self.link(key, priority, place);
    }

    fn link(&mut self, key: u64, priority: u8, place: Place) {
        match place {
            Place::Delayed(due) => self.delayed.insert((due, key)),
            Place::Inactive(due) => self.inactive.insert((due, key)),
            Place::Active => self.stripe(key).insert((priority, key)),
        };
    }

    fn unlink(&mut self, key: u64, priority: u8, place: Place) {
        match place {
            Place::Delayed(due) => self.delayed.remove(&(due, key)),
            Place::Inactive(due) => self.inactive.remove(&(due, key)),
            Place::Active => self.stripe(key).remove(&(priority, key)),
        };
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "a remainder is in range"
    )]
    fn stripe(&mut self, key: u64) -> &mut BTreeSet<(u8, u64)> {
        &mut self.stripes[(key % STRIPES as u64) as usize]
    }
}

// === impl Message ===

impl Message {
    fn view(&self, key: u64) -> View {
        let next_visible_time = match self.place {
            Place::Delayed(due) | Place::Inactive(due) => due,
            Place::Active => self.enqueue_time,
        };
        View {
            key,
            generation: self.generation,
            id: Arc::clone(&self.id),
            body: Arc::clone(&self.body),
            body_md5: Arc::clone(&self.body_md5),
            properties: Arc::clone(&self.properties),
            enqueue_time: self.enqueue_time,
            first_dequeue_time: self.first_dequeue_time.unwrap_or(self.enqueue_time),
            next_visible_time,
            dequeue_count: self.dequeue_count,
            priority: self.priority,
        }
    }

    fn state(&self, state: &'static str) -> MessageState {
        MessageState {
            message_id: Arc::clone(&self.id),
            state,
            dequeue_count: self.dequeue_count,
            enqueue_time: self.enqueue_time,
        }
    }
}

// === impl Place ===

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Delayed(_) => "delayed",
            Self::Active => "active",
            Self::Inactive(_) => "inactive",
        }
    }
}
