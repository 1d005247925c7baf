//! Consuming a queue: receive, commit, pass on where there is a target, delete. Nothing is deleted before its effect is
//! committed.

mod pass_on;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::observed::{Observed, Receive};
use super::{BATCH, Queue};
use crate::clock::UnixMillis;
use crate::ledger::{MessageKey, Reading, Record};
use crate::mns::Message;
use crate::mns::client::DeleteOutcome;
use crate::mns::error::Error;
use crate::mns::xml::MessageBatch;
use crate::recorder::{Stopped, sightings};

/// MNS slows a consumer that holds 5,000 received and undeleted messages.
const MOST_IN_HAND: u64 = 4_000;
/// Entries in the pending table, unconfirmed deletes included, at which receiving stops: none is ever forgotten early.
const MOST_PENDING: usize = 100_000;
/// Bytes of bodies that wait for a forward target that is down, at which receiving stops.
const MOST_WAITING_BYTES: usize = 64 << 20;
/// How often a full table or a store that cannot write is looked at again.
const RECHECK: Duration = Duration::from_secs(1);
/// MNS answers at once when there are too many long polls, and bills it: no loop turns faster than this when empty.
const EMPTY_FLOOR: Duration = Duration::from_secs(1);
/// A handle is not worth using when it ends this soon.
const HANDLE_MARGIN: Duration = Duration::from_millis(500);
/// What a released message stays hidden for: the least that MNS takes.
const RELEASE: Duration = Duration::from_secs(1);

/// The workers of one queue.
struct Pool {
    queue: Arc<Queue>,
    tracker: TaskTracker,
    opened: UnixMillis,
    state: Mutex<State>,
    waiting_bytes: Arc<AtomicUsize>,
}

struct State {
    workers: usize,
    observed: Observed,
}

/// A message that waits for its delete.
struct Held {
    key: MessageKey,
    handle: String,
    visible_at: UnixMillis,
}

pub(super) async fn run(queue: &Arc<Queue>) -> Result<(), Stopped> {
    warn!(
        queue = queue.id(),
        endpoint = %queue.config.endpoint,
        "This exporter receives and deletes the messages of this queue."
    );
    let opened = queue.now();
    let observed = Observed::new(opened, queue.visibility_timeout());
    let pool = Arc::new(Pool {
        queue: Arc::clone(queue),
        tracker: TaskTracker::new(),
        opened,
        state: Mutex::new(State {
            workers: 1,
            observed,
        }),
        waiting_bytes: Arc::default(),
    });
    if let Some(target) = &queue.target {
        let start = Record::Forwarded {
            queue: queue.index,
            at: queue.now(),
            target: Arc::clone(target.name()),
            messages: Vec::new(),
            refused: Vec::new(),
            failed: 0,
        };
        queue.recorder.commit(start).await?;
    }
    pool.spawn(true);
    while queue.reads_attributes && queue.sleep(queue.config.tick).await {
        tokio::select! {
            () = queue.cancelled.cancelled() => break,
            read = queue.read_attributes() => if let Err(error) = read {
                queue.ended(Some(&error));
            },
        }
    }
    queue.cancelled.cancelled().await;
    pool.tracker.close();
    pool.tracker.wait().await;
    Ok(())
}

// === impl Pool ===

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(self: &Arc<Self>, first: bool) {
        let pool = Arc::clone(self);
        self.tracker.spawn(async move {
            // The recorder stops only after the sources: a worker that meets it has nothing left to do.
            _ = pool.work(first).await;
        });
    }

    /// A full batch says that there is more: one more worker, up to the bound.
    fn grow(self: &Arc<Self>) {
        {
            let mut state = self.state();
            if state.workers >= self.queue.config.workers {
                return;
            }
            state.workers += 1;
        }
        self.spawn(false);
    }

    /// Receives until cancelled; a worker that is not the first ends when it finds nothing.
    async fn work(self: &Arc<Self>, first: bool) -> Result<(), Stopped> {
        let queue = &self.queue;
        let mut errors = queue.backoff();
        let mut empties = queue.backoff();
        let mut size = BATCH;
        while self.may_receive().await {
            let sent = queue.now();
            let started = Instant::now();
            let receive = self.state().observed.sent(sent);
            let answer = tokio::select! {
                () = queue.cancelled.cancelled() => break,
                answer = queue.client.batch_receive(queue.name(), size, queue.config.long_poll) => answer,
            };
            match answer {
                Ok(batch) => {
                    errors.reset();
                    empties.reset();
                    if batch.len() == BATCH {
                        self.grow();
                    }
                    size = BATCH;
                    self.received(receive, &batch).await?;
                }
                Err(error) if error.is_empty() => {
                    errors.reset();
                    if !first {
                        self.state().workers -= 1;
                        self.empty(receive, started).await?;
                        return Ok(());
                    }
                    if self.empty(receive, started).await? {
                        empties.reset();
                    } else if !queue.sleep(EMPTY_FLOOR.max(empties.next_delay())).await {
                        break;
                    }
                }
                Err(error) => {
                    if error.is_unreadable() {
                        size = 1;
                    }
                    self.failed(receive, sent, &error).await?;
                    if !queue.sleep(errors.next_delay()).await {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits until receiving is allowed; false when cancelled.
    async fn may_receive(&self) -> bool {
        let queue = &self.queue;
        let mut writable = queue.recorder.writable();
        loop {
            if queue.cancelled.is_cancelled() {
                return false;
            }
            let room = queue.recorder.in_hand(queue.index, queue.now()) < MOST_IN_HAND
                && queue.recorder.pending(queue.index) < MOST_PENDING
                && self.waiting_bytes.load(Ordering::Relaxed) < MOST_WAITING_BYTES;
            if room && *writable.borrow_and_update() {
                return true;
            }
            tokio::select! {
                () = queue.cancelled.cancelled() => return false,
                () = tokio::time::sleep(RECHECK) => {}
            }
        }
    }

    /// Commits what came, passes it on and deletes it.
    async fn received(
        self: &Arc<Self>,
        receive: Receive,
        batch: &MessageBatch,
    ) -> Result<(), Stopped> {
        let queue = &self.queue;
        let at = queue.now();
        queue.recorder.read(
            queue.index,
            Reading::Received {
                at,
                messages: batch.len(),
            },
        );
        let sightings = sightings(batch.iter());
        let oldest = sightings.iter().map(|sighting| sighting.enqueue_time).min();
        queue
            .recorder
            .commit(Record::Sighted {
                queue: queue.index,
                at,
                sightings,
            })
            .await?;
        queue.went_on(self.opened).await?;
        queue.ended(None);
        let until = oldest.and_then(|oldest| self.state().observed.received(receive, at, oldest));
        self.observe(until).await?;
        if let Some(target) = &queue.target {
            return self.pass_on(target, batch).await;
        }
        let held = batch.iter().filter_map(|message| Held::of(&message));
        self.delete(held.collect()).await
    }

    /// Notes an empty answer; false if it came at once, which proves nothing.
    async fn empty(&self, receive: Receive, started: Instant) -> Result<bool, Stopped> {
        let queue = &self.queue;
        let waited = started.elapsed() * 2 >= queue.config.long_poll;
        let until = self.state().observed.empty(receive, waited);
        queue.recorder.read(
            queue.index,
            Reading::Received {
                at: queue.now(),
                messages: 0,
            },
        );
        queue.went_on(self.opened).await?;
        queue.ended(None);
        self.observe(until).await?;
        Ok(waited)
    }

    async fn failed(
        &self,
        receive: Receive,
        sent: UnixMillis,
        error: &Error,
    ) -> Result<(), Stopped> {
        let queue = &self.queue;
        let now = queue.now();
        self.state()
            .observed
            .failed(receive, now, queue.visibility_timeout());
        queue.ended(Some(error));
        if error.may_have_taken_effect() {
            let lost = Record::ReceiveLost {
                queue: queue.index,
                from: sent,
                to: now,
            };
            queue.recorder.commit(lost).await?;
        }
        Ok(())
    }

    async fn observe(&self, until: Option<UnixMillis>) -> Result<(), Stopped> {
        match until {
            Some(until) => {
                let queue = self.queue.index;
                self.queue
                    .recorder
                    .note(Record::Observed { queue, until })
                    .await
            }
            None => Ok(()),
        }
    }

    /// Deletes until MNS has confirmed each or its handle has ended: what is left comes again and is a redelivery.
    async fn delete(&self, mut held: Vec<Held>) -> Result<(), Stopped> {
        let queue = &self.queue;
        let mut backoff = queue.backoff();
        loop {
            let handles: Vec<&str> = held.iter().map(|held| held.handle.as_str()).collect();
            match queue.client.batch_delete(queue.name(), &handles).await {
                Ok(outcome) => {
                    let (confirmed, left) = split(held, &outcome);
                    self.confirm(confirmed).await?;
                    held = left;
                }
                Err(error) => queue.ended(Some(&error)),
            }
            let now = queue.now();
            held.retain(|held| held.is_usable(now));
            if held.is_empty() {
                return Ok(());
            }
            if !queue.sleep(backoff.next_delay()).await {
                self.release(&held).await;
                return Ok(());
            }
        }
    }

    async fn confirm(&self, confirmed: Vec<Held>) -> Result<(), Stopped> {
        if confirmed.is_empty() {
            return Ok(());
        }
        let queue = &self.queue;
        let messages = confirmed.iter().map(|held| held.key).collect();
        let at = queue.now();
        queue
            .recorder
            .note(Record::Deleted {
                queue: queue.index,
                at,
                messages,
            })
            .await
    }

    /// At shutdown: makes messages visible again soon, so that the next consumer need not wait for them.
    async fn release(&self, held: &[Held]) {
        for held in held {
            let queue = &self.queue;
            let released = queue
                .client
                .change_visibility(queue.name(), &held.handle, RELEASE)
                .await;
            if let Err(error) = released {
                warn!(
                    queue = queue.id(),
                    kind = error.kind(),
                    %error,
                    "A message could not be made visible again: it comes back after its visibility timeout."
                );
                return;
            }
        }
    }
}

// === impl Held ===

impl Held {
    fn of(message: &Message<'_>) -> Option<Self> {
        Some(Self {
            key: MessageKey::of(message.id),
            handle: message.receipt_handle?.to_owned(),
            visible_at: message.next_visible_time?,
        })
    }

    fn is_usable(&self, now: UnixMillis) -> bool {
        self.visible_at > now.plus(HANDLE_MARGIN)
    }
}

/// Messages that are deleted, and those whose delete is worth another try.
fn split(held: Vec<Held>, outcome: &DeleteOutcome) -> (Vec<Held>, Vec<Held>) {
    let (mut confirmed, mut left) = (Vec::with_capacity(held.len()), Vec::new());
    for (index, held) in held.into_iter().enumerate() {
        match outcome.failed.iter().find(|failed| failed.index == index) {
            None => confirmed.push(held),
            Some(failed) if failed.handle_is_dead() => {}
            Some(_) => left.push(held),
        }
    }
    (confirmed, left)
}
