//! A queue of MNS as a worker and a peeking exporter see it, and the worker.

use std::time::Duration;

use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::mns::Message;

/// How messages leave a peeked queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Worker {
    /// Takes a message at once.
    Quick,
    /// Takes the oldest ones, so many a minute.
    Takes(usize),
    /// Takes a message once it is so old.
    Behind(Duration),
    /// Receives every message this many times before it deletes it.
    Fails(u32),
}

/// A message in the queue.
pub(crate) struct Waiting {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) enqueued: UnixMillis,
    pub(crate) first_dequeued: Option<UnixMillis>,
    pub(crate) dequeue_count: u32,
    /// Never deleted by the worker.
    pub(crate) poison: bool,
}

// === impl Worker ===

impl Worker {
    /// A minute's work, until `now`.
    pub(crate) fn work(self, queue: &mut Vec<Waiting>, now: UnixMillis) {
        for message in queue.iter_mut().filter(|message| message.poison) {
            message.receive(now);
        }
        let is_taken =
            |message: &Waiting, age: Duration| !message.poison && now.since(message.enqueued) > age;
        match self {
            Self::Quick => queue.retain(|message| !is_taken(message, Duration::from_secs(5))),
            Self::Behind(age) => queue.retain(|message| !is_taken(message, age)),
            Self::Takes(count) => {
                let count = count.min(queue.len());
                queue.drain(..count);
            }
            Self::Fails(times) => {
                queue.retain(|message| message.poison || message.dequeue_count < times);
                for message in queue.iter_mut() {
                    message.receive(now);
                }
            }
        }
    }
}

// === impl Waiting ===

impl Waiting {
    pub(crate) fn receive(&mut self, at: UnixMillis) {
        self.dequeue_count += 1;
        self.first_dequeued.get_or_insert(at);
    }

    pub(crate) fn as_seen(&self, at: UnixMillis) -> Message<'_> {
        Message {
            id: &self.id,
            receipt_handle: Some("h"),
            body: &self.body,
            body_md5: "",
            enqueue_time: self.enqueued,
            first_dequeue_time: self.first_dequeued.unwrap_or(self.enqueued),
            next_visible_time: Some(at),
            dequeue_count: self.dequeue_count,
            priority: 8,
        }
    }
}
