//! Passing on what was received before it is deleted: at least once, and never again once that is committed.
//!
//! While the target takes everything, the worker that received a batch passes it on and deletes it. What a target that
//! is down does not take waits in a task of its own, so that receiving goes on up to its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Held, Pool};
use crate::clock::UnixMillis;
use crate::forward::{Outcome, Target, Turn};
use crate::ledger::{MessageKey, Record, Refused};
use crate::mns::Message;
use crate::mns::client::Outgoing;
use crate::mns::xml::MessageBatch;
use crate::recorder::Stopped;

/// A message that is to be passed on.
struct Parcel {
    held: Held,
    message_id: Box<str>,
    enqueue_time: UnixMillis,
    priority: Option<u8>,
    body: Arc<str>,
}

/// Bytes of waiting bodies, counted as long as this lives.
struct Load {
    bytes: usize,
    total: Arc<AtomicUsize>,
}

// === impl Pool ===

impl Pool {
    /// Passes on and deletes a batch whose sightings are committed.
    pub(super) async fn pass_on(
        self: &Arc<Self>,
        target: &Arc<Target>,
        batch: &MessageBatch,
    ) -> Result<(), Stopped> {
        let queue = &self.queue;
        let parcels: Vec<Parcel> = batch.iter().filter_map(|m| Parcel::of(&m)).collect();
        let keys: Vec<MessageKey> = parcels.iter().map(|parcel| parcel.held.key).collect();
        let (mut known, mut new) = (Vec::new(), Vec::new());
        for (parcel, forwarded) in parcels
            .into_iter()
            .zip(queue.recorder.forwarded(queue.index, &keys))
        {
            if forwarded {
                known.push(parcel.held);
            } else {
                new.push(parcel);
            }
        }
        self.delete(known).await?;
        if !target.is_down() {
            new = self.offer(target, new, None).await?;
        }
        if !new.is_empty() {
            let load = Load::of(&new, &self.waiting_bytes);
            let (pool, target) = (Arc::clone(self), Arc::clone(target));
            self.tracker.spawn(async move {
                // As for a worker: who meets a stopped recorder has nothing left to do.
                _ = pool.keep_offering(&target, new).await;
                drop(load);
            });
        }
        Ok(())
    }

    /// Offers messages until the target has taken each or its handle has ended: what is left comes again.
    async fn keep_offering(
        &self,
        target: &Target,
        mut parcels: Vec<Parcel>,
    ) -> Result<(), Stopped> {
        let queue = &self.queue;
        while let Some(last) = parcels.iter().map(|parcel| parcel.held.visible_at).max() {
            let left = u64::try_from(last.millis_since(queue.now())).unwrap_or(0);
            let turn = tokio::select! {
                biased;
                () = queue.cancelled.cancelled() => {
                    let held: Vec<Held> = parcels.into_iter().map(|parcel| parcel.held).collect();
                    self.release(&held).await;
                    return Ok(());
                }
                () = tokio::time::sleep(std::time::Duration::from_millis(left)) => return Ok(()),
                turn = target.turn() => turn,
            };
            parcels = self.offer(target, parcels, Some(turn)).await?;
        }
        Ok(())
    }

    /// Offers messages once, commits what the target has or refuses for good and deletes it; returns the others.
    async fn offer(
        &self,
        target: &Target,
        mut parcels: Vec<Parcel>,
        turn: Option<Turn<'_>>,
    ) -> Result<Vec<Parcel>, Stopped> {
        let queue = &self.queue;
        let now = queue.now();
        parcels.retain(|parcel| parcel.held.is_usable(now));
        if parcels.is_empty() {
            return Ok(parcels);
        }
        let messages: Vec<Outgoing<'_>> = parcels.iter().map(Parcel::outgoing).collect();
        let outcomes = target.offer(&messages, turn).await;
        drop(messages);
        let (mut sent, mut refused, mut left) = (Vec::new(), Vec::new(), Vec::new());
        let mut settled = Vec::with_capacity(parcels.len());
        for (parcel, outcome) in parcels.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Sent => sent.push(parcel.held.key),
                Outcome::Refused => refused.push(parcel.refused()),
                Outcome::Failed => {
                    left.push(parcel);
                    continue;
                }
            }
            settled.push(parcel.held);
        }
        let record = Record::Forwarded {
            queue: queue.index,
            at: queue.now(),
            target: Arc::clone(target.name()),
            messages: sent,
            refused,
            failed: left.len() as u64,
        };
        queue.recorder.commit(record).await?;
        self.delete(settled).await?;
        Ok(left)
    }
}

// === impl Parcel ===

impl Parcel {
    fn of(message: &Message<'_>) -> Option<Self> {
        Some(Self {
            held: Held::of(message)?,
            message_id: message.id.into(),
            enqueue_time: message.enqueue_time,
            priority: (1..=16)
                .contains(&message.priority)
                .then_some(message.priority),
            body: message.body.into(),
        })
    }

    fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            body: &self.body,
            delay: None,
            priority: self.priority,
        }
    }

    fn refused(&self) -> Refused {
        Refused {
            message: self.held.key,
            message_id: self.message_id.clone(),
            enqueue_time: self.enqueue_time,
            body: Arc::clone(&self.body),
        }
    }
}

// === impl Load ===

impl Load {
    fn of(parcels: &[Parcel], total: &Arc<AtomicUsize>) -> Self {
        let bytes = parcels.iter().map(|parcel| parcel.body.len()).sum();
        total.fetch_add(bytes, Ordering::Relaxed);
        Self {
            bytes,
            total: Arc::clone(total),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
