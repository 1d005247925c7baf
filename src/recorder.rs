//! The one writer: makes records durable in groups, applies them to the ledger, and only then lets anybody go on.
//!
//! Sources wait for [`Recorder::commit`] before they delete. Readers take [`Recorder::snapshot`], which holds nothing
//! that is not committed. When the store cannot write, commits wait and sources see [`Recorder::writable`] turn false;
//! what was committed is served all the while.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::clock::{ServerClock, UnixMillis};
use crate::ledger::listing::{Listing, Page};
use crate::ledger::store::{self, Store};
use crate::ledger::{
    Changes, Content, ContentKey, Ledger, MessageKey, QueueIdentity, QueueIndex, QueueSettings,
    Reading, Record, Sighting, Snapshot,
};
use crate::mns::Message;
use crate::vod::decode::decode;

/// Records that wait for the writer; a source that finds it full waits.
const BACKLOG: usize = 1_024;
/// Records made durable together.
const GROUP: usize = 256;
/// Between attempts to write a group that the store refused.
const RETRY: Duration = Duration::from_secs(1);

/// A handle to the writer.
#[derive(Clone, Debug)]
pub struct Recorder {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

/// The writer has ended: the process is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recorder has stopped")]
pub struct Stopped;

#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    clock: Arc<ServerClock>,
    writable: watch::Sender<bool>,
    commits: AtomicU64,
    durable: AtomicBool,
    state_bytes: Mutex<Option<u64>>,
}

#[derive(Debug)]
enum Job {
    Commit(Record, oneshot::Sender<()>),
    Open {
        identity: Arc<QueueIdentity>,
        settings: QueueSettings,
        at: UnixMillis,
        done: oneshot::Sender<QueueIndex>,
    },
}

struct Writer {
    jobs: mpsc::Receiver<Job>,
    shared: Arc<Shared>,
    store: Box<dyn Store>,
}

/// Decodes messages into what the ledger is told.
pub fn sightings<'a>(messages: impl Iterator<Item = Message<'a>>) -> Vec<Sighting> {
    messages.map(|message| sighting(&message)).collect()
}

fn sighting(message: &Message<'_>) -> Sighting {
    let content = match decode(message.body, message.enqueue_time) {
        Ok(decoded) => Content::Event {
            event: decoded.event,
            key: ContentKey(decoded.content),
        },
        Err(reason) => Content::Undecodable {
            reason,
            message_id: message.id.into(),
            body: message.body.into(),
        },
    };
    Sighting {
        message: MessageKey::of(message.id),
        enqueue_time: message.enqueue_time,
        first_dequeue_time: message.first_dequeue_time,
        next_visible_time: message.next_visible_time,
        dequeue_count: message.dequeue_count,
        content,
    }
}

/// Starts the writer; it ends when every [`Recorder`] is gone and all that they sent is committed.
pub fn start(ledger: Ledger, store: Box<dyn Store>, clock: Arc<ServerClock>) -> Recorder {
    let (sender, jobs) = mpsc::channel(BACKLOG);
    let shared = Arc::new(Shared {
        ledger: Mutex::new(ledger),
        clock,
        writable: watch::Sender::new(true),
        commits: AtomicU64::new(0),
        durable: AtomicBool::new(store.durable()),
        state_bytes: Mutex::new(store.bytes()),
    });
    let writer = Writer {
        jobs,
        shared: Arc::clone(&shared),
        store,
    };
    if writer.store.durable() {
        // A thread of its own: a disk that is slow must not hold up whoever scrapes or receives.
        let runtime = Handle::current();
        thread::spawn(move || runtime.block_on(writer.run()));
    } else {
        tokio::spawn(writer.run());
    }
    Recorder {
        jobs: sender,
        shared,
    }
}

// === impl Recorder ===

impl Recorder {
    /// Watches a queue from now on.
    pub async fn open(
        &self,
        identity: Arc<QueueIdentity>,
        settings: QueueSettings,
        at: UnixMillis,
    ) -> Result<QueueIndex, Stopped> {
        let (done, opened) = oneshot::channel();
        let job = Job::Open {
            identity,
            settings,
            at,
            done,
        };
        self.jobs.send(job).await.map_err(|_| Stopped)?;
        opened.await.map_err(|_| Stopped)
    }

    /// Returns once the record is durable and applied.
    pub async fn commit(&self, record: Record) -> Result<(), Stopped> {
        let (done, committed) = oneshot::channel();
        self.jobs
            .send(Job::Commit(record, done))
            .await
            .map_err(|_| Stopped)?;
        committed.await.map_err(|_| Stopped)
    }

    /// Takes in what a read told of the moment; never durable, so it need not wait.
    pub fn read(&self, queue: QueueIndex, reading: Reading) {
        self.shared.ledger().read(queue, reading);
    }

    /// Messages of a queue that were received and, for all we know, are undeleted and hidden at `now`.
    pub fn in_hand(&self, queue: QueueIndex, now: UnixMillis) -> u64 {
        self.shared.ledger().in_hand(queue, now)
    }

    /// Of each pending message of a queue whether it has been passed on already.
    pub fn forwarded(&self, queue: QueueIndex, messages: &[MessageKey]) -> Vec<bool> {
        self.shared.ledger().forwarded(queue, messages)
    }

    /// Entries in a queue's pending table, unconfirmed deletes included.
    pub fn pending(&self, queue: QueueIndex) -> usize {
        self.shared.ledger().pending(queue)
    }

    /// A page of transcodes that have not ended.
    pub fn transcodes(&self, listing: &Listing) -> Page {
        self.shared.ledger().list(listing)
    }

    /// Whether the store takes records; sources stop receiving while it does not.
    pub fn writable(&self) -> watch::Receiver<bool> {
        self.shared.writable.subscribe()
    }

    /// A consistent copy of what is committed.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.shared.clock.now().unwrap_or_default();
        let snapshot = self.shared.ledger().snapshot(now);
        Snapshot {
            commits: self.shared.commits.load(Ordering::Relaxed),
            durable: self.shared.durable.load(Ordering::Relaxed),
            state_bytes: *lock(&self.shared.state_bytes),
            ..snapshot
        }
    }
}

// === impl Shared ===

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

// === impl Writer ===

impl Writer {
    async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        while self.jobs.recv_many(&mut group, GROUP).await > 0 {
            let mut records = Vec::with_capacity(group.len());
            let mut replies = Vec::with_capacity(group.len());
            for job in group.drain(..) {
                match job {
                    Job::Commit(record, done) => {
                        records.push(record);
                        replies.push(done);
                    }
                    // A queue's place depends on all that came before it.
                    Job::Open {
                        identity,
                        settings,
                        at,
                        done,
                    } => {
                        self.write(&mut records, &mut replies);
                        let queue = self.shared.ledger().place_for(&identity, at);
                        records.push(Record::Opened {
                            queue,
                            identity,
                            settings,
                            at,
                        });
                        self.write(&mut records, &mut replies);
                        // The caller may have given up waiting: its queue is closed by whoever stopped it.
                        _ = done.send(queue);
                    }
                }
            }
            self.write(&mut records, &mut replies);
        }
    }

    /// Makes records durable, applies them, and tells those who wait.
    fn write(&mut self, records: &mut Vec<Record>, replies: &mut Vec<oneshot::Sender<()>>) {
        if records.is_empty() {
            return;
        }
        self.make_durable(records);
        let mut changes = Changes::default();
        {
            let mut ledger = self.shared.ledger();
            for record in records.iter() {
                ledger.apply(record, &mut changes);
            }
        }
        let durable = u64::from(self.store.durable());
        self.shared.commits.fetch_add(durable, Ordering::Relaxed);
        report(&changes);
        records.clear();
        for done in replies.drain(..) {
            // Nobody waits any more for a commit whose source was stopped.
            _ = done.send(());
        }
        if self.store.checkpoint_due() {
            self.checkpoint();
        }
    }

    /// Between groups, when the ledger is exactly what the journal says.
    fn checkpoint(&mut self) {
        let encoded = store::encode(&self.shared.ledger());
        if let Err(error) = encoded.and_then(|ledger| self.store.checkpoint(&ledger)) {
            warn!(kind = error.kind(), %error, "The journal of the state grows on: it could not be replaced.");
        }
        *lock(&self.shared.state_bytes) = self.store.bytes();
    }

    fn make_durable(&mut self, records: &[Record]) {
        while let Err(error) = self.store.commit(records) {
            if self.shared.writable.send_replace(false) {
                error!(kind = error.kind(), %error, "Receiving stops: the state cannot be written.");
            }
            // Only a durable store fails, and it has a thread of its own, which outlives the runtime's timers.
            thread::sleep(RETRY);
        }
        if !self.shared.writable.send_replace(true) {
            info!("Receiving goes on: the state can be written again.");
        }
        *lock(&self.shared.state_bytes) = self.store.bytes();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one place where what the ledger dropped or distrusts is logged.
fn report(changes: &Changes) {
    for quarantined in &changes.quarantined {
        warn!(
            queue = %quarantined.queue,
            reason = quarantined.reason.as_str(),
            message_id = %quarantined.message_id,
            size = quarantined.size,
            kept = quarantined.kept,
            "A message went to quarantine."
        );
    }
    for queue in &changes.incomplete {
        warn!(
            queue = %queue,
            "The view is incomplete for 24 h: another consumer receives from this queue."
        );
    }
    if changes.evictions > 0 {
        warn!(
            rows = changes.evictions,
            "Rows were dropped from full tables."
        );
    }
}
