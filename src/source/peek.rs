//! Looking at a queue that somebody else consumes, without changing it.
//!
//! MNS shows at most 16 visible messages a call, unordered and without a cursor: a sample, never a page. A quick worker
//! takes most messages unseen, so that what is counted is a subset of the truth.

use std::collections::HashSet;
use std::time::Duration;

use super::{BATCH, Queue};
use crate::ledger::{MessageKey, Peeked, Reading, Record};
use crate::mns::error::Error;
use crate::mns::xml::MessageBatch;
use crate::recorder::{Stopped, sightings};

/// The most peeks in one tick: each is billed.
const BATCHES: usize = 3;
/// Ticks of many queues spread by this share of the interval.
const JITTER: f64 = 0.1;

/// What the peeks of one tick brought.
#[derive(Default)]
struct Sample {
    keys: HashSet<MessageKey>,
    messages: Vec<Peeked>,
    complete: bool,
}

pub(super) async fn run(queue: &Queue) -> Result<(), Stopped> {
    let mut rng = fastrand::Rng::with_seed(queue.seed);
    // The first tick is somewhere in the first tenth, so that a start with many queues is no burst.
    let mut wait = queue.config.tick.mul_f64(JITTER * rng.f64());
    while queue.sleep(wait).await {
        tokio::select! {
            () = queue.cancelled.cancelled() => break,
            ended = tick(queue) => ended?,
        }
        wait = jittered(queue.config.tick, &mut rng);
    }
    Ok(())
}

fn jittered(tick: Duration, rng: &mut fastrand::Rng) -> Duration {
    tick.mul_f64(JITTER.mul_add(2.0 * rng.f64() - 1.0, 1.0))
}

async fn tick(queue: &Queue) -> Result<(), Stopped> {
    let attributes = if queue.reads_attributes {
        queue.read_attributes().await
    } else {
        Ok(())
    };
    let at = queue.now();
    let peeked = peek(queue).await?;
    if peeked.is_ok() && queue.config.settings.transcodes.reconciled {
        queue
            .recorder
            .note(Record::Ticked {
                queue: queue.index,
                at,
            })
            .await?;
    }
    queue.ended(peeked.err().or(attributes.err()).as_ref());
    Ok(())
}

/// Peeks until a batch is short or brings nothing new.
async fn peek(queue: &Queue) -> Result<Result<(), Error>, Stopped> {
    let mut sample = Sample::default();
    for _ in 0..BATCHES {
        let batch = match queue.client.batch_peek(queue.name(), BATCH).await {
            Ok(batch) => batch,
            Err(error) if error.is_empty() => {
                sample.complete = true;
                break;
            }
            Err(error) => return Ok(Err(error)),
        };
        let at = queue.now();
        let sightings = sightings(batch.iter());
        queue
            .recorder
            .commit(Record::Sighted {
                queue: queue.index,
                at,
                sightings,
            })
            .await?;
        let fresh = sample.add(&batch);
        if batch.len() < BATCH {
            sample.complete = true;
        }
        if sample.complete || !fresh {
            break;
        }
    }
    let Sample {
        messages, complete, ..
    } = sample;
    queue.recorder.read(
        queue.index,
        Reading::Peeked {
            at: queue.now(),
            messages,
            complete,
        },
    );
    Ok(Ok(()))
}

// === impl Sample ===

impl Sample {
    /// Adds a batch; false if all of it was there before.
    fn add(&mut self, batch: &MessageBatch) -> bool {
        let before = self.messages.len();
        for message in batch.iter() {
            let key = MessageKey::of(message.id);
            if self.keys.insert(key) {
                self.messages.push(Peeked {
                    message: key,
                    enqueue_time: message.enqueue_time,
                    first_dequeue_time: message.first_dequeue_time,
                    dequeue_count: message.dequeue_count,
                });
            }
        }
        self.messages.len() > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_differ_by_a_tenth_at_most() {
        let mut rng = fastrand::Rng::with_seed(1);
        let tick = Duration::from_mins(1);
        let ticks: Vec<Duration> = (0..100).map(|_| jittered(tick, &mut rng)).collect();
        assert!(
            ticks
                .iter()
                .all(|t| (54.0..=66.0).contains(&t.as_secs_f64()))
        );
        assert!(ticks.iter().any(|t| *t < tick) && ticks.iter().any(|t| *t > tick));
    }
}
