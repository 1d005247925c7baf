//! The one writer: makes records durable in groups, applies them to the ledger, and only then lets anybody go on.
//!
//! Sources wait for [`Recorder::commit`] before they delete. Readers take [`Recorder::snapshot`], which holds nothing
//! that is not committed. When the store cannot write, commits wait and sources see [`Recorder::writable`] turn false;
//! what was committed is served all the while. Where the store keeps nothing there is nothing to wait for, and whoever
//! commits applies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::clock::{ServerClock, UnixMillis};
use crate::ledger::listing::{Listing, Page};
use crate::ledger::store::{self, Store};
use crate::ledger::troubles::Troubles;
use crate::ledger::{
    Changes, Content, ContentKey, Ledger, MessageKey, Overdue, QueueIdentity, QueueIndex,
    QueueSettings, Reading, Record, Sighting, Situation, Snapshot,
};
use crate::mns::Message;
use crate::outage::{Outage, Say};
use crate::vod::decode::decode;
use crate::vod::event::MediaKey;

/// Records that wait for the writer; a source that finds it full waits.
const BACKLOG: usize = 1_024;
/// Records made durable together.
const GROUP: usize = 256;
/// For how long a record that nobody waits for may wait for company: a commit costs the same for one and for many.
const LINGER: Duration = Duration::from_millis(100);
/// For how long a record that somebody waits for waits for company where commits cost: the workers that take in a backlog
/// then share one.
const COMPANY: Duration = Duration::from_millis(1);
/// Between attempts to write a group that the store refused.
const RETRY: Duration = Duration::from_secs(1);

/// A handle to the writer.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// None where the store keeps nothing: handing over would cost more than applying.
    writer: Option<mpsc::Sender<Job>>,
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
    durable: bool,
    state_bytes: Mutex<Option<u64>>,
}

#[derive(Debug)]
enum Job {
    Commit(Record, oneshot::Sender<()>),
    Note(Record),
    /// Whatever was noted before is written.
    Flush(Option<oneshot::Sender<()>>),
    Open {
        identity: Arc<QueueIdentity>,
        settings: QueueSettings,
        at: UnixMillis,
        done: oneshot::Sender<QueueIndex>,
    },
}

struct Writer {
    jobs: mpsc::Receiver<Job>,
    /// To remind itself of what was noted.
    sender: mpsc::WeakSender<Job>,
    runtime: Handle,
    /// Records to be written next, and those who wait for them.
    records: Vec<Record>,
    replies: Vec<oneshot::Sender<()>>,
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

/// Starts the writer where the store is durable; it ends when every [`Recorder`] is gone and all that they sent is
/// committed.
pub fn start(ledger: Ledger, store: Box<dyn Store>, clock: Arc<ServerClock>) -> Recorder {
    let shared = Arc::new(Shared {
        ledger: Mutex::new(ledger),
        clock,
        writable: watch::Sender::new(true),
        commits: AtomicU64::new(0),
        durable: store.durable(),
        state_bytes: Mutex::new(store.bytes()),
    });
    if !shared.durable {
        return Recorder {
            writer: None,
            shared,
        };
    }
    let (sender, jobs) = mpsc::channel(BACKLOG);
    let runtime = Handle::current();
    let writer = Writer {
        jobs,
        sender: sender.downgrade(),
        runtime: runtime.clone(),
        records: Vec::new(),
        replies: Vec::new(),
        shared: Arc::clone(&shared),
        store,
    };
    // A thread of its own: a disk that is slow must not hold up whoever scrapes or receives.
    thread::spawn(move || runtime.block_on(writer.run()));
    Recorder {
        writer: Some(sender),
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
        let Some(writer) = &self.writer else {
            let mut ledger = self.shared.ledger();
            let queue = ledger.place_for(&identity, at);
            let opened = Record::Opened {
                queue,
                identity,
                settings,
                at,
            };
            ledger.apply(&opened, &mut Changes::default());
            return Ok(queue);
        };
        let (done, opened) = oneshot::channel();
        let job = Job::Open {
            identity,
            settings,
            at,
            done,
        };
        writer.send(job).await.map_err(|_| Stopped)?;
        opened.await.map_err(|_| Stopped)
    }

    /// Returns once the record is durable and applied.
    pub async fn commit(&self, record: Record) -> Result<(), Stopped> {
        let Some(writer) = &self.writer else {
            self.shared.apply(&[record]);
            return Ok(());
        };
        let (done, committed) = oneshot::channel();
        writer
            .send(Job::Commit(record, done))
            .await
            .map_err(|_| Stopped)?;
        committed.await.map_err(|_| Stopped)
    }

    /// Returns at once; the record becomes durable and is applied soon after, before any that is sent later. For what may
    /// be lost in a crash without harm, such as the confirmation of a delete: the message does not come again.
    pub async fn note(&self, record: Record) -> Result<(), Stopped> {
        let Some(writer) = &self.writer else {
            self.shared.apply(&[record]);
            return Ok(());
        };
        writer.send(Job::Note(record)).await.map_err(|_| Stopped)
    }

    /// Returns once everything that was noted is durable.
    pub async fn flush(&self) -> Result<(), Stopped> {
        let Some(writer) = &self.writer else {
            return Ok(());
        };
        let (done, flushed) = oneshot::channel();
        writer
            .send(Job::Flush(Some(done)))
            .await
            .map_err(|_| Stopped)?;
        flushed.await.map_err(|_| Stopped)
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

    /// The videos that are stalled, or whose transcode failed after `failed_since`.
    pub fn troubles(&self, now: UnixMillis) -> Troubles {
        self.shared.ledger().troubles(now)
    }

    /// The oldest overdue transcodes of a queue, at most `limit`.
    pub fn overdue(&self, queue: QueueIndex, limit: usize) -> Vec<Overdue> {
        self.shared.ledger().overdue(queue).take(limit).collect()
    }

    /// What is known of a queue when its transcodes are judged at `now`.
    pub fn situation(&self, queue: QueueIndex, now: UnixMillis) -> Option<Situation> {
        self.shared.ledger().situation(queue, now)
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
            durable: self.shared.durable,
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

    fn apply(&self, records: &[Record]) {
        let mut changes = Changes::default();
        {
            let mut ledger = self.ledger();
            for record in records {
                ledger.apply(record, &mut changes);
            }
        }
        report(&changes);
    }
}

// === impl Writer ===

impl Writer {
    async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        while self.jobs.recv_many(&mut group, GROUP).await > 0 {
            let lingering = !self.records.is_empty();
            let awaited = group.iter().any(|job| matches!(job, Job::Commit(..)));
            let due = group.iter().any(|job| !matches!(job, Job::Note(_)));
            for job in group.drain(..) {
                self.take(job);
            }
            if awaited {
                thread::sleep(COMPANY);
                while let Ok(job) = self.jobs.try_recv() {
                    self.take(job);
                }
            }
            if due {
                self.write();
            } else if !lingering {
                self.remind();
            }
        }
        self.write();
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Commit(record, done) => {
                self.records.push(record);
                self.replies.push(done);
            }
            Job::Note(record) => self.records.push(record),
            Job::Flush(done) => self.replies.extend(done),
            // A queue's place depends on all that came before it.
            Job::Open {
                identity,
                settings,
                at,
                done,
            } => {
                self.write();
                let queue = self.shared.ledger().place_for(&identity, at);
                self.records.push(Record::Opened {
                    queue,
                    identity,
                    settings,
                    at,
                });
                self.write();
                // The caller may have given up waiting: its queue is closed by whoever stopped it.
                _ = done.send(queue);
            }
        }
    }

    /// Has what was noted written in a while, should nobody wait for anything until then.
    fn remind(&self) {
        let sender = self.sender.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(LINGER).await;
            if let Some(sender) = sender.upgrade() {
                // A writer that has ended has written everything.
                _ = sender.send(Job::Flush(None)).await;
            }
        });
    }

    /// Makes records durable, applies them, and tells those who wait.
    fn write(&mut self) {
        let records = std::mem::take(&mut self.records);
        if !records.is_empty() {
            self.make_durable(&records);
            self.shared.apply(&records);
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
        }
        for done in self.replies.drain(..) {
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
        let mut outage = Outage::default();
        while let Err(error) = self.store.commit(records) {
            self.shared.writable.send_replace(false);
            match outage.note(Some(error.kind()), Instant::now()) {
                Some(Say::Fails(Duration::ZERO)) => {
                    error!(kind = error.kind(), %error, "Receiving stops: the state cannot be written.");
                }
                Some(Say::Fails(lasting)) => error!(
                    kind = error.kind(),
                    lasting_seconds = lasting.as_secs(),
                    %error,
                    "Receiving is still stopped: the state cannot be written."
                ),
                _ => {}
            }
            // This thread outlives the runtime's timers.
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

/// The one place where what the ledger dropped, distrusts or gave up is logged.
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
    for (queue, closing) in &changes.closings {
        warn!(
            queue = %queue,
            verdict = closing.verdict.as_str(),
            videos = named(&closing.videos),
            more = closing.more,
            "Transcodes were closed without their callback: /api/v1/transcodes?state=closed lists them for a day."
        );
    }
    if changes.evictions > 0 {
        warn!(
            rows = changes.evictions,
            "Rows were dropped from full tables."
        );
    }
}

fn named(videos: &[MediaKey]) -> String {
    let ids: Vec<String> = videos.iter().map(ToString::to_string).collect();
    ids.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::store::StoreError;

    /// Claims to be durable, and remembers how many records came together. Refuses them so often at first.
    #[derive(Clone, Default)]
    struct Groups(Arc<Mutex<Vec<usize>>>, Arc<AtomicU64>);

    impl Store for Groups {
        fn commit(&mut self, records: &[Record]) -> Result<(), StoreError> {
            if self.1.load(Ordering::Relaxed) > 0 {
                self.1.fetch_sub(1, Ordering::Relaxed);
                return Err(std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem).into());
            }
            lock(&self.0).push(records.len());
            Ok(())
        }

        fn checkpoint_due(&self) -> bool {
            false
        }

        fn checkpoint(&mut self, _ledger: &[u8]) -> Result<(), StoreError> {
            Ok(())
        }

        fn durable(&self) -> bool {
            true
        }

        fn bytes(&self) -> Option<u64> {
            None
        }
    }

    fn started() -> (Groups, Recorder) {
        let groups = Groups::default();
        let clock = Arc::new(ServerClock::default());
        let recorder = start(Ledger::new(0), Box::new(groups.clone()), clock);
        (groups, recorder)
    }

    const RECORD: Record = Record::Observed {
        queue: QueueIndex(0),
        until: UnixMillis(0),
    };

    #[tokio::test]
    async fn what_nobody_waits_for_is_written_with_what_somebody_waits_for() {
        let (groups, recorder) = started();
        for _ in 0..2 {
            recorder.note(RECORD).await.unwrap();
        }
        recorder.commit(RECORD).await.unwrap();
        let written = lock(&groups.0).clone();
        assert_eq!(written.iter().sum::<usize>(), 3);
        // One group, unless this thread stood still for as long as records linger.
        assert!(written.len() < 3, "{written:?}");
        recorder.note(RECORD).await.unwrap();
        recorder.flush().await.unwrap();
        recorder.flush().await.unwrap();
        assert_eq!(lock(&groups.0).len(), written.len() + 1);
        assert_eq!(recorder.snapshot().commits, written.len() as u64 + 1);
    }

    #[tokio::test]
    async fn on_a_read_only_medium_nothing_goes_on_until_it_can_be_written_again() {
        let (groups, recorder) = started();
        groups.1.store(2, Ordering::Relaxed);
        let mut writable = recorder.writable();
        let committed = tokio::spawn({
            let recorder = recorder.clone();
            async move { recorder.commit(RECORD).await }
        });
        writable.wait_for(|writable| !writable).await.unwrap();
        assert_eq!(
            recorder.snapshot().commits,
            0,
            "what is committed is served"
        );
        assert!(!committed.is_finished());
        committed.await.unwrap().unwrap();
        assert!(*writable.borrow());
        assert_eq!(*lock(&groups.0), [1], "written once");
        assert_eq!(recorder.snapshot().commits, 1);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_written_all_the_same() {
        let (groups, recorder) = started();
        recorder.note(RECORD).await.unwrap();
        let written = async {
            while lock(&groups.0).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), written)
            .await
            .unwrap();
        recorder.note(RECORD).await.unwrap();
        drop(recorder);
        let written = async {
            while lock(&groups.0).len() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), written)
            .await
            .unwrap();
    }
}
