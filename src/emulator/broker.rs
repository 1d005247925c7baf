//! All queues of one account: names, message ids, receipt handles, dead-letter moves. No I/O; time is an argument and
//! randomness is seeded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use md5::{Digest as _, Md5};

use super::attributes::{Attributes, AttributesPatch};
use super::behaviour::Behaviour;
use super::error::ApiError;
use super::queue::{Arrival, Counts, DeadLetterPolicy, Queue, STRIPES, View};
use super::receipt::Receipt;
use crate::clock::UnixMillis;

/// Messages in one batch, by the vendor's limits.
pub const MAX_BATCH: usize = 16;

/// A message to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// Text as stored.
    pub body: Arc<str>,
    /// 0 to 604,800 seconds; none: the queue's.
    pub delay_seconds: Option<u32>,
    /// 1 to 16; none: 8.
    pub priority: Option<u8>,
    /// `UserProperties` and such as XML.
    pub properties: Arc<str>,
}

/// A message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Opaque id.
    pub message_id: Arc<str>,
    /// Upper-case hex MD5 of the body.
    pub body_md5: Arc<str>,
    /// Handle that deletes a delayed message before it is due.
    pub receipt_handle: Option<String>,
}

/// What `CreateQueue` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// There was none of that name.
    New,
    /// One with equal attributes was there.
    Same,
}

/// The state machine over all queues.
#[derive(Debug)]
pub struct Broker {
    seed: u64,
    rng: fastrand::Rng,
    owner: String,
    next_key: u64,
    next_incarnation: u64,
    next_event: Option<UnixMillis>,
    queues: BTreeMap<String, Queue>,
}

// === impl Broker ===

impl Broker {
    /// A broker without queues. `owner` is `{region}:{account}`, which dead letters name as their origin.
    pub fn new(seed: u64, owner: String) -> Self {
        Self {
            seed,
            rng: fastrand::Rng::with_seed(seed),
            owner,
            next_key: 0,
            next_incarnation: 0,
            next_event: None,
            queues: BTreeMap::new(),
        }
    }

    /// Lets time pass: every operation takes effect on queues that have been brought up to its `now`.
    pub fn settle(&mut self, now: UnixMillis, behaviour: &Behaviour) {
        if self.next_event.is_none_or(|next| next > now) {
            return;
        }
        let spared = u32::from(behaviour.dead_letter_at_limit);
        let policies: BTreeMap<String, (String, u32)> = self
            .queues
            .iter()
            .filter_map(|(name, queue)| {
                let policy = queue.dead_letter.as_ref()?;
                let allowed = policy.max_receive_count.saturating_sub(spared);
                self.queues
                    .contains_key(&policy.target)
                    .then(|| (name.clone(), (policy.target.clone(), allowed)))
            })
            .collect();
        let mut moves: Vec<(&str, &str, Arrival)> = Vec::new();
        for (name, queue) in &mut self.queues {
            match policies.get_key_value(name) {
                None => _ = queue.settle(now, None),
                Some((source, (target, allowed))) => {
                    let letters = queue.settle(now, Some(*allowed));
                    moves.extend(
                        letters
                            .into_iter()
                            .map(|letter| (&**source, &**target, letter)),
                    );
                }
            }
        }
        for (source, target, mut arrival) in moves {
            self.label_dead_letter(source, &mut arrival, behaviour);
            if let Some(queue) = self.queues.get_mut(target) {
                queue.totals.dead_letters_taken += 1;
                queue.insert(arrival, now);
                // A letter keeps its age, so that the target's retention may already be over.
                queue.settle(now, None);
            }
        }
        self.next_event = self.queues.values().filter_map(Queue::next_event).min();
    }

    /// Creates a queue.
    pub fn create_queue(
        &mut self,
        name: &str,
        patch: &AttributesPatch,
        now: UnixMillis,
    ) -> Result<Created, ApiError> {
        check_queue_name(name)?;
        let attributes = Attributes::default().patched(patch)?;
        match self.queues.get(name) {
            Some(queue) if queue.attributes == attributes => Ok(Created::Same),
            Some(_) => Err(ApiError::new(
                409,
                "QueueAlreadyExist",
                "The queue you want to create is already exist.",
            )),
            None => {
                self.next_incarnation += 1;
                let queue = Queue::new(self.next_incarnation, attributes, now);
                self.queues.insert(name.to_owned(), queue);
                Ok(Created::New)
            }
        }
    }

    /// Changes the attributes that are given.
    pub fn set_attributes(
        &mut self,
        name: &str,
        patch: &AttributesPatch,
        now: UnixMillis,
    ) -> Result<(), ApiError> {
        let queue = self.queue_mut(name)?;
        queue.attributes = queue.attributes.patched(patch)?;
        queue.last_modify_time = now;
        self.note_event(name);
        Ok(())
    }

    /// Removes a queue with all its messages; whether there was one.
    pub fn delete_queue(&mut self, name: &str) -> bool {
        self.queues.remove(name).is_some()
    }

    /// Sets or removes a queue's dead-letter policy.
    pub fn set_dead_letter(
        &mut self,
        name: &str,
        policy: Option<DeadLetterPolicy>,
    ) -> Result<(), ApiError> {
        if let Some(policy) = &policy {
            if policy.target == name {
                return Err(ApiError::invalid_argument(
                    "A queue cannot be its own dead-letter queue.",
                ));
            }
            if policy.max_receive_count == 0 {
                return Err(ApiError::invalid_argument(
                    "max_receive_count should be 1 or more.",
                ));
            }
            self.queue(&policy.target)?;
        }
        self.queue_mut(name)?.dead_letter = policy;
        Ok(())
    }

    /// Accepts a message.
    pub fn send(
        &mut self,
        name: &str,
        message: &NewMessage,
        behaviour: &Behaviour,
        now: UnixMillis,
    ) -> Result<Sent, ApiError> {
        let attributes = self.queue(name)?.attributes;
        let priority = check_message(message, &attributes, behaviour)?;
        let delay = message.delay_seconds.unwrap_or(attributes.delay_seconds);
        self.next_key += 1;
        let key = self.next_key;
        let id: Arc<str> = self.message_id(key, now).into();
        let body_md5: Arc<str> = md5_upper_hex(message.body.as_bytes()).into();
        let seed = self.seed;
        let queue = self.queue_mut(name)?;
        queue.totals.sent += 1;
        queue.insert(
            Arrival {
                key,
                id: Arc::clone(&id),
                body: Arc::clone(&message.body),
                body_md5: Arc::clone(&body_md5),
                properties: Arc::clone(&message.properties),
                enqueue_time: now,
                delay: Duration::from_secs(delay.into()),
                priority,
            },
            now,
        );
        let receipt = Receipt {
            queue: queue.incarnation,
            message: key,
            generation: 0,
        };
        self.note_event(name);
        Ok(Sent {
            message_id: id,
            body_md5,
            receipt_handle: (delay > 0).then(|| receipt.encode(seed)),
        })
    }

    /// Accepts a message once more, as a retried send whose first reply was lost would.
    pub fn send_duplicate(
        &mut self,
        name: &str,
        message: &NewMessage,
        behaviour: &Behaviour,
        now: UnixMillis,
    ) -> Result<(), ApiError> {
        self.send(name, message, behaviour, now)?;
        self.queue_mut(name)?.totals.duplicated += 1;
        Ok(())
    }

    /// Delivers up to `wanted` messages with their new handles; none is not an error here.
    pub fn receive(
        &mut self,
        name: &str,
        wanted: usize,
        now: UnixMillis,
    ) -> Result<Vec<(View, String)>, ApiError> {
        let order = self.stripe_order();
        let seed = self.seed;
        let queue = self.queue_mut(name)?;
        let incarnation = queue.incarnation;
        let views = queue.receive(wanted.min(MAX_BATCH), order, now);
        self.note_event(name);
        let handle = |view: &View| {
            let receipt = Receipt {
                queue: incarnation,
                message: view.key,
                generation: view.generation,
            };
            receipt.encode(seed)
        };
        Ok(views
            .into_iter()
            .map(|view| {
                let handle = handle(&view);
                (view, handle)
            })
            .collect())
    }

    /// Shows up to `wanted` Active messages.
    pub fn peek(
        &mut self,
        name: &str,
        wanted: usize,
        behaviour: &Behaviour,
    ) -> Result<Vec<View>, ApiError> {
        let order = if behaviour.peek_deterministic {
            std::array::from_fn(|stripe| stripe)
        } else {
            self.stripe_order()
        };
        let wanted = wanted.min(MAX_BATCH);
        let queue = self.queue(name)?;
        Ok(queue.peek(wanted, order, behaviour.peek_shows_delayed))
    }

    /// Deletes by handle. `bring_back` decides, for a message that would go, whether it comes back once.
    pub fn delete(
        &mut self,
        name: &str,
        handle: &str,
        bring_back: impl FnOnce() -> bool,
    ) -> Result<(), ApiError> {
        let receipt = self.receipt(name, handle)?;
        self.queue_mut(name)?
            .delete(receipt.message, receipt.generation, bring_back)
    }

    /// Makes a received message invisible for `seconds` from now; returns the handle that replaces the old one and when
    /// the message becomes visible.
    pub fn change_visibility(
        &mut self,
        name: &str,
        handle: &str,
        seconds: u32,
        now: UnixMillis,
    ) -> Result<(String, UnixMillis), ApiError> {
        if !(1..=43_200).contains(&seconds) {
            return Err(ApiError::out_of_range(
                "VisibilityTimeout",
                1,
                43_200,
                " seconds",
            ));
        }
        let receipt = self.receipt(name, handle)?;
        let until = now.plus(Duration::from_secs(seconds.into()));
        let generation =
            self.queue_mut(name)?
                .change_visibility(receipt.message, receipt.generation, until)?;
        self.note_event(name);
        let replaced = Receipt {
            generation,
            ..receipt
        };
        Ok((replaced.encode(self.seed), until))
    }

    /// Removes all messages of a queue and tells how many.
    pub fn purge(&mut self, name: &str) -> Result<u64, ApiError> {
        Ok(self.queue_mut(name)?.purge())
    }

    /// A queue's exact counts.
    pub fn counts(&self, name: &str) -> Result<Counts, ApiError> {
        Ok(self.queue(name)?.counts())
    }

    /// When the next message may turn up in a queue by itself: one that becomes visible, or a dead letter.
    pub fn next_arrival(&self, name: &str) -> Option<UnixMillis> {
        let own = self.queues.get(name);
        let sources = self.queues.values().filter(|queue| {
            let policy = queue.dead_letter.as_ref();
            policy.is_some_and(|policy| policy.target == name)
        });
        own.into_iter()
            .chain(sources)
            .filter_map(Queue::next_visible)
            .min()
    }

    pub(super) fn queue(&self, name: &str) -> Result<&Queue, ApiError> {
        self.queues.get(name).ok_or_else(ApiError::queue_not_exist)
    }

    pub(super) fn queues(&self) -> impl Iterator<Item = (&str, &Queue)> {
        self.queues
            .iter()
            .map(|(name, queue)| (name.as_str(), queue))
    }

    /// Names from `after` on (exclusive) that start with `prefix`, at most `limit`, and whether there are more.
    pub(super) fn list(&self, prefix: &str, after: &str, limit: usize) -> (Vec<&str>, bool) {
        let mut names = self
            .queues
            .keys()
            .map(String::as_str)
            .filter(|name| name.starts_with(prefix) && *name > after);
        let page = names.by_ref().take(limit).collect();
        (page, names.next().is_some())
    }

    fn queue_mut(&mut self, name: &str) -> Result<&mut Queue, ApiError> {
        self.queues
            .get_mut(name)
            .ok_or_else(ApiError::queue_not_exist)
    }

    /// The receipt of a handle of this queue. A handle of another queue names a message that does not exist here.
    fn receipt(&self, name: &str, handle: &str) -> Result<Receipt, ApiError> {
        let queue = self.queue(name)?;
        let receipt =
            Receipt::decode(handle, self.seed).ok_or_else(ApiError::receipt_handle_error)?;
        if receipt.queue == queue.incarnation {
            Ok(receipt)
        } else {
            Err(ApiError::message_not_exist())
        }
    }

    fn note_event(&mut self, name: &str) {
        let next = self.queues.get(name).and_then(Queue::next_event);
        self.next_event = [self.next_event, next].into_iter().flatten().min();
    }

    fn stripe_order(&mut self) -> [usize; STRIPES] {
        let mut order = std::array::from_fn(|stripe| stripe);
        self.rng.shuffle(&mut order);
        order
    }

    fn message_id(&self, key: u64, now: UnixMillis) -> String {
        format!(
            "{:016X}-{}-{:X}-{key:X}",
            self.seed ^ 0xD6D5_F7C9_C12D_14A4,
            key % STRIPES as u64,
            now.0
        )
    }

    fn label_dead_letter(&self, source: &str, arrival: &mut Arrival, behaviour: &Behaviour) {
        let mut properties = String::from("<SystemProperties>");
        for (name, value) in [
            ("DLQMessageType", "queue"),
            (
                "DLQSourceArn",
                &format!("acs:mns:{}:/queues/{source}", self.owner),
            ),
            ("DLQOriginMessageId", &arrival.id),
        ] {
            _ = write!(
                properties,
                "<SystemPropertyValue><Name>{name}</Name><Value>{value}</Value><Type>STRING</Type></SystemPropertyValue>"
            );
        }
        properties.push_str("</SystemProperties>");
        if !behaviour.dead_letter_keeps_id {
            arrival.id = format!("{}-D", arrival.id).into();
        }
        arrival.properties = format!("{}{properties}", arrival.properties).into();
    }
}

fn check_queue_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.len() > 120 {
        return Err(ApiError::new(
            400,
            "QueueNameLengthError",
            "The length of queue name should between 1 and 120.",
        ));
    }
    let legal = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !legal || name.starts_with('-') {
        return Err(ApiError::new(
            400,
            "InvalidQueueName",
            "The queue name you provided is invalid. It may only contain letters, digits and hyphens and must start with a letter or a digit.",
        ));
    }
    Ok(())
}

fn check_message(
    message: &NewMessage,
    attributes: &Attributes,
    behaviour: &Behaviour,
) -> Result<u8, ApiError> {
    let limit = attributes.maximum_message_size;
    let fits = u32::try_from(message.body.len()).is_ok_and(|len| len <= limit);
    if (behaviour.limit_message_size && !fits)
        || (behaviour.refuse_empty_body && message.body.is_empty())
    {
        return Err(ApiError::out_of_range("MessageBody", 1, limit, " bytes"));
    }
    if message.delay_seconds.is_some_and(|delay| delay > 604_800) {
        return Err(ApiError::out_of_range(
            "DelaySeconds",
            0,
            604_800,
            " seconds",
        ));
    }
    match message.priority {
        None => Ok(8),
        Some(0) if behaviour.accept_priority_zero => Ok(8),
        Some(priority @ 1..=16) => Ok(priority),
        Some(_) => Err(ApiError::out_of_range("Priority", 1, 16, "")),
    }
}

fn md5_upper_hex(bytes: &[u8]) -> String {
    crate::aliyun::sign::hex(&Md5::digest(bytes)).to_ascii_uppercase()
}

#[cfg(test)]
mod tests;
