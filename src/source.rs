//! Getting messages: by peeking at a queue that somebody else consumes, or by consuming a queue of our own.
//!
//! A source knows MNS and the recorder, and nothing of what an event means. Each queue has tasks of its own, so that a
//! queue that fails or hangs never delays another.

mod clients;
mod consume;
pub mod discovery;
pub mod fleet;
mod observed;
mod peek;
pub mod watcher;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::{self, ServerClock, UnixMillis};
use crate::config::QueueConfig;
use crate::forward::Target;
use crate::ledger::{Mode, QueueIndex, Reading, Record};
use crate::mns::client::Client;
use crate::mns::error::Error;
use crate::mns::retry::Backoff;
use crate::outage::{Outage, Say};
use crate::recorder::{Recorder, Stopped};

/// From here on the local clock is worth a line in the log.
const CLOCK_OFF_MILLIS: u64 = 60_000;

/// Messages in one answer, the most that MNS gives.
const BATCH: usize = 16;

/// What a queue's tasks share.
#[derive(Debug)]
pub struct Queue {
    config: QueueConfig,
    client: Client,
    /// Where consumed messages are passed on to.
    target: Option<Arc<Target>>,
    recorder: Recorder,
    clock: Arc<ServerClock>,
    index: QueueIndex,
    cancelled: CancellationToken,
    /// False where a discovery reads the attributes of many queues at once.
    reads_attributes: bool,
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outage: Outage,
    /// When messages were last received or found to be none.
    last_good: Option<UnixMillis>,
    /// Messages went with the queue, unseen.
    lost: bool,
    retention: Option<Duration>,
    visibility_timeout: Option<Duration>,
    create_time: Option<UnixMillis>,
    clock_off: bool,
}

/// Peeks at or consumes a queue, which is open in the ledger, until it is cancelled.
async fn run(queue: Arc<Queue>) -> Result<(), Stopped> {
    if !queue.learn_time().await? {
        return Ok(());
    }
    match queue.config.identity.mode {
        Mode::Peek => peek::run(&queue).await,
        Mode::Consume => consume::run(&queue).await,
    }
}

// === impl Queue ===

impl Queue {
    fn name(&self) -> &str {
        &self.config.identity.mns_queue
    }

    fn id(&self) -> &str {
        &self.config.identity.id
    }

    /// Server time; the local clock stands in until MNS has answered once.
    fn now(&self) -> UnixMillis {
        self.clock.now().unwrap_or_else(clock::now)
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(fastrand::Rng::with_seed(self.seed))
    }

    /// Reads the attributes until MNS has told the time; false when cancelled before.
    ///
    /// The queue was opened by the local clock, which may be wrong: the ledger is told again.
    async fn learn_time(&self) -> Result<bool, Stopped> {
        if self.clock.now().is_some() {
            return Ok(true);
        }
        let mut backoff = self.backoff();
        while self.clock.now().is_none() {
            let error = self.read_attributes().await.err();
            self.ended(error.as_ref());
            if self.clock.now().is_some() {
                break;
            }
            if !self.sleep(backoff.next_delay()).await {
                return Ok(false);
            }
        }
        let identity = Arc::clone(&self.config.identity);
        let settings = self.config.settings;
        self.recorder.open(identity, settings, self.now()).await?;
        Ok(true)
    }

    /// False when cancelled.
    async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            () = self.cancelled.cancelled() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }

    async fn read_attributes(&self) -> Result<(), Error> {
        let sent = self.now();
        let attributes = self.client.queue_attributes(self.name()).await?;
        self.attributes(sent, &attributes).await;
        Ok(())
    }

    /// Takes in a queue's attributes, read for this queue or for many at once.
    async fn attributes(&self, sent: UnixMillis, attributes: &crate::mns::QueueAttributes) {
        let depth = [
            attributes.active_messages,
            attributes.inactive_messages,
            attributes.delay_messages,
        ];
        let depth = match depth {
            [Some(active), Some(inactive), Some(delayed)] => Some([active, inactive, delayed]),
            _ => None,
        };
        let retention = attributes.message_retention_period;
        let visibility_timeout = attributes.visibility_timeout;
        self.recorder.read(
            self.index,
            Reading::Attributes {
                sent,
                depth,
                retention,
                visibility_timeout,
            },
        );
        if let Some(retention) = self.note(attributes) {
            // At shutdown the recorder is gone: nobody needs the retention any more.
            _ = self
                .recorder
                .commit(Record::Retention {
                    queue: self.index,
                    retention,
                })
                .await;
        }
    }

    /// Remembers attributes; returns the retention if it is new.
    fn note(&self, attributes: &crate::mns::QueueAttributes) -> Option<Duration> {
        let mut state = self.state();
        state.visibility_timeout = attributes.visibility_timeout.or(state.visibility_timeout);
        let created = attributes.create_time;
        if let (Some(before), Some(now)) = (state.create_time, created)
            && before != now
        {
            state.lost = true;
            warn!(
                queue = self.id(),
                created = %now,
                "The queue was deleted and created again: messages that were in it are lost, counters go on, and \
                 silence is judged anew."
            );
        }
        state.create_time = created.or(state.create_time);
        let retention = attributes.message_retention_period?;
        (state.retention.replace(retention) != Some(retention)).then_some(retention)
    }

    /// Messages of a consumed queue can be seen, since `opened` for the first time: tells the ledger if some may have been
    /// lost unseen since they last could.
    async fn went_on(&self, opened: UnixMillis) -> Result<(), Stopped> {
        /// MNS's default, until the queue's own is known.
        const DEFAULT: Duration = Duration::from_hours(96);
        let until = self.now();
        let gap = {
            let mut state = self.state();
            let unread = until.since(state.last_good.unwrap_or(opened));
            state.last_good = Some(until);
            let expired = unread > state.retention.unwrap_or(DEFAULT);
            std::mem::take(&mut state.lost) || expired
        };
        if gap {
            let queue = self.index;
            self.recorder.commit(Record::Gap { queue, until }).await?;
        }
        Ok(())
    }

    fn visibility_timeout(&self) -> Duration {
        /// MNS's default, until the queue's own is known.
        const DEFAULT: Duration = Duration::from_secs(30);
        self.state().visibility_timeout.unwrap_or(DEFAULT)
    }

    /// Says once that the local clock is off, and once that it is right again.
    fn check_clock(&self) {
        let Some(skew) = self.clock.skew_millis() else {
            return;
        };
        let off = skew.unsigned_abs() >= CLOCK_OFF_MILLIS;
        if std::mem::replace(&mut self.state().clock_off, off) == off {
            return;
        }
        if off {
            warn!(
                queue = self.id(),
                skew_seconds = skew / 1000,
                "The local clock differs from that of MNS: synchronise it (NTP). Beyond 15 min MNS refuses every call."
            );
        } else {
            info!(
                queue = self.id(),
                "The local clock agrees with that of MNS again."
            );
        }
    }

    /// Notes how a tick or a call ended; the log tells when this changes, the metrics tell each.
    fn ended(&self, error: Option<&Error>) {
        self.check_clock();
        let kind = error.map(Error::kind);
        self.recorder.read(
            self.index,
            Reading::Ended {
                at: self.now(),
                error: kind,
            },
        );
        let say = {
            let mut state = self.state();
            // What was in a queue that is gone is gone, too.
            state.lost |= kind == Some("no_such_queue");
            state.outage.note(kind, Instant::now())
        };
        match (say, error) {
            (Some(Say::Fails(Duration::ZERO)), Some(error)) => {
                warn!(queue = self.id(), kind = error.kind(), %error, "The queue cannot be read.");
            }
            (Some(Say::Fails(lasting)), Some(error)) => warn!(
                queue = self.id(),
                kind = error.kind(),
                lasting_seconds = lasting.as_secs(),
                %error,
                "The queue still cannot be read."
            ),
            (Some(Say::Works(lasted)), _) => info!(
                queue = self.id(),
                lasted_seconds = lasted.as_secs(),
                "The queue can be read again."
            ),
            _ => {}
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
