//! What all connections share: the broker with its switches behind one lock, the clock, and who waits for what.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Options;
use super::behaviour::{Behaviour, Counters};
use super::broker::{Broker, Sent};
use super::error::ApiError;
use super::faults::{Faults, Operation};
use super::policy::{self, Policy};
use super::queue::{Counts, DeadLetterPolicy};
use super::state::{CallCount, QueueState, State};
use super::vod;
use crate::clock::{self, UnixMillis};

/// An access key. With a security token it is a temporary one.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Access key id.
    pub access_key_id: String,
    /// Access key secret.
    pub access_key_secret: String,
    /// The token that requests must carry.
    #[serde(default)]
    pub security_token: Option<String>,
}

/// Why nobody could sign with an access key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
pub struct UnusableCredentials {
    /// The field, as the control endpoint calls it.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The clock cannot be moved that far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock would be beyond the year 9999, whose dates nobody can read")]
pub(super) struct TooFar;

/// Shared by all connections and handles. The lock is held for one operation and never over an await, hence std's.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) region: Option<String>,
    pub(super) truth: OnceLock<Truth>,
    pub(super) simulator: OnceLock<Simulator>,
    /// `{region}:{account}`, as resources of policies have it.
    pub(super) owner: String,
    core: Mutex<Core>,
}

/// Tells what a simulated platform really did, as JSON.
pub(super) struct Truth(pub(super) Box<dyn Fn() -> String + Send + Sync>);

/// Does what the body of a request asks a simulated platform for, and answers with JSON or with what is wrong.
pub(super) struct Simulator(pub(super) Box<Simulate>);

/// From the body of a request to its answer.
type Simulate = dyn Fn(&[u8]) -> Result<Value, String> + Send + Sync;

/// 9999-12-01: a month before the last date that can be written, so that what is due a week later has one too.
const LATEST: UnixMillis = UnixMillis::from_secs(253_399_622_400);

/// Everything that changes.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) broker: Broker,
    pub(super) behaviour: Behaviour,
    pub(super) faults: Faults,
    pub(super) credentials: Credentials,
    /// What the caller may do; none: everything.
    pub(super) policies: Option<Vec<Policy>>,
    /// The account's RAM roles.
    pub(super) roles: Vec<String>,
    /// What VOD's API tells of.
    pub(super) vod: vod::Library,
    /// Long polls that wait.
    pub(super) parked: u32,
    calls: BTreeMap<(Operation, Cow<'static, str>), u64>,
    wakers: HashMap<String, Arc<Notify>>,
    shown_counts: HashMap<String, (UnixMillis, Counts)>,
    /// When queues were deleted, for [`Behaviour::deleted_recently_millis`].
    pub(super) deleted: HashMap<String, UnixMillis>,
    rng: fastrand::Rng,
}

/// The wall clock at the start, plus monotonic time, plus what control has advanced.
#[derive(Debug)]
pub(super) struct Clock {
    start: UnixMillis,
    started: Instant,
    advanced_millis: AtomicI64,
}

// === impl Truth ===

impl fmt::Debug for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Truth")
    }
}

// === impl Simulator ===

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simulator")
    }
}

// === impl Credentials ===

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Whether a client could sign with these and a header carry them.
    pub fn check(&self) -> Result<(), UnusableCredentials> {
        let refuse = |field, reason| Err(UnusableCredentials { field, reason });
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if self.access_key_id.is_empty() {
            return refuse(
                "access_key_id",
                "is empty; expected the id that clients use",
            );
        }
        // Both signatures write the id before one of these.
        if self.access_key_id.contains([':', '/']) || !visible(&self.access_key_id) {
            return refuse(
                "access_key_id",
                "cannot be sent in a header; expected visible ASCII characters without : and /",
            );
        }
        if self.access_key_secret.is_empty() {
            return refuse(
                "access_key_secret",
                "is empty; expected the secret that clients sign with",
            );
        }
        match self.security_token.as_deref() {
            Some("") => refuse("security_token", "is empty; leave it out for a lasting key"),
            Some(token) if !visible(&token.replace(' ', "")) || token.trim() != token => refuse(
                "security_token",
                "cannot be sent in a header; expected visible ASCII characters with blanks only between them",
            ),
            _ => Ok(()),
        }
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(options: Options) -> Self {
        let owner = format!(
            "{}:{}",
            options.region.as_deref().unwrap_or("local"),
            options.account_id
        );
        Self {
            clock: Clock {
                start: clock::now(),
                started: Instant::now(),
                advanced_millis: AtomicI64::new(0),
            },
            region: options.region,
            truth: OnceLock::new(),
            simulator: OnceLock::new(),
            owner: owner.clone(),
            core: Mutex::new(Core {
                broker: Broker::new(options.seed, owner),
                behaviour: options.behaviour,
                faults: Faults::new(options.seed),
                credentials: options.credentials,
                policies: None,
                roles: vec![vod::DEFAULT_ROLE.to_owned()],
                vod: vod::Library::default(),
                parked: 0,
                calls: BTreeMap::new(),
                wakers: HashMap::new(),
                shown_counts: HashMap::new(),
                deleted: HashMap::new(),
                rng: fastrand::Rng::with_seed(options.seed),
            }),
        }
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn advance(&self, by: Duration) -> Result<UnixMillis, TooFar> {
        self.clock.advance(by)?;
        let now = self.clock.now();
        let mut core = self.core();
        let core = &mut *core;
        core.broker.settle(now, &core.behaviour);
        core.wake_all();
        Ok(now)
    }

    pub(super) fn wake_all(&self) {
        self.core().wake_all();
    }

    pub(super) fn set_dead_letter(
        &self,
        queue: &str,
        policy: Option<DeadLetterPolicy>,
    ) -> Result<(), ApiError> {
        let mut core = self.core();
        core.broker.set_dead_letter(queue, policy)?;
        core.wake_all();
        Ok(())
    }

    pub(super) fn purge(&self, queue: &str) -> Result<u64, ApiError> {
        let now = self.clock.now();
        let mut core = self.core();
        let core = &mut *core;
        core.broker.settle(now, &core.behaviour);
        core.broker.purge(queue)
    }

    pub(super) fn state(&self, with_messages: bool) -> State {
        let now = self.clock.now();
        let mut core = self.core();
        let core = &mut *core;
        core.broker.settle(now, &core.behaviour);
        let queues = core.broker.queues().map(|(name, queue)| {
            let state = QueueState {
                attributes: queue.attributes,
                dead_letter: queue.dead_letter.clone(),
                counts: queue.counts(),
                totals: queue.totals,
                oldest_enqueue_time: queue.oldest(),
                messages: with_messages.then(|| queue.states()),
            };
            (name.to_owned(), state)
        });
        State {
            now,
            queues: queues.collect(),
            calls: core
                .calls
                .iter()
                .map(|((operation, code), count)| CallCount {
                    operation: *operation,
                    code: code.to_string(),
                    count: *count,
                })
                .collect(),
            parked_polls: core.parked,
        }
    }
}

// === impl Core ===

impl Core {
    /// Whether the policies let the caller do it. `object` is the queue or the role.
    pub(super) fn permits(&self, operation: Operation, object: &str, owner: &str) -> bool {
        let Some(policies) = &self.policies else {
            return true;
        };
        let own_names = self.behaviour.batch_action_names;
        policy::needed(operation, object, owner, own_names)
            .is_none_or(|(action, resource)| policy::allow(policies, &action, &resource))
    }

    pub(super) fn count_call(&mut self, operation: Operation, code: Cow<'static, str>) {
        *self.calls.entry((operation, code)).or_default() += 1;
    }

    /// 24 upper-case hex digits, as the service's request ids have.
    pub(super) fn request_id(&mut self) -> String {
        format!("{:08X}{:016X}", self.rng.u32(..), self.rng.u64(..))
    }

    /// What wakes the long polls of a queue.
    pub(super) fn waker(&mut self, queue: &str) -> Arc<Notify> {
        if let Some(waker) = self.wakers.get(queue) {
            return Arc::clone(waker);
        }
        let waker = Arc::new(Notify::new());
        self.wakers.insert(queue.to_owned(), Arc::clone(&waker));
        waker
    }

    /// A message was accepted. A delayed one gives every long poll a time to look again.
    pub(super) fn wake_for(&self, queue: &str, sent: &Sent) {
        if sent.receipt_handle.is_some() {
            self.wake_queue(queue);
        } else {
            self.wake_one(queue);
        }
    }

    /// Something about a queue's timers changed.
    pub(super) fn wake_queue(&self, queue: &str) {
        if let Some(waker) = self.wakers.get(queue) {
            waker.notify_waiters();
        }
    }

    /// One message became visible.
    pub(super) fn wake_one(&self, queue: &str) {
        if let Some(waker) = self.wakers.get(queue) {
            waker.notify_one();
        }
    }

    pub(super) fn wake_all(&self) {
        for waker in self.wakers.values() {
            waker.notify_waiters();
        }
    }

    /// The counters as `GetQueueAttributes` shows them: late if so switched, 0 if retired.
    pub(super) fn shown_counts(&mut self, queue: &str, exact: Counts, now: UnixMillis) -> Counts {
        if self.behaviour.counters == Counters::Zero {
            return Counts::default();
        }
        let lag = Duration::from_millis(self.behaviour.counters_lag_millis);
        if lag.is_zero() {
            return exact;
        }
        let (at, shown) = self
            .shown_counts
            .entry(queue.to_owned())
            .or_insert((now, exact));
        if now.since(*at) >= lag {
            (*at, *shown) = (now, exact);
        }
        *shown
    }
}

// === impl Clock ===

impl Clock {
    pub(super) fn now(&self) -> UnixMillis {
        UnixMillis(self.unadvanced().0.saturating_add(self.advanced()))
    }

    /// The clock as if control had never advanced it.
    pub(super) fn unadvanced(&self) -> UnixMillis {
        self.start.plus(self.started.elapsed())
    }

    /// The clock that judges request dates.
    pub(super) fn judging(&self, behaviour: &Behaviour) -> UnixMillis {
        if behaviour.advance_moves_date_check {
            self.now()
        } else {
            self.unadvanced()
        }
    }

    fn advanced(&self) -> i64 {
        self.advanced_millis.load(Ordering::Relaxed)
    }

    fn advance(&self, by: Duration) -> Result<(), TooFar> {
        let millis = i64::try_from(by.as_millis()).map_err(|_| TooFar)?;
        let unadvanced = self.unadvanced().0;
        self.advanced_millis
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |advanced| {
                let advanced = advanced.checked_add(millis)?;
                (unadvanced.checked_add(advanced)? <= LATEST.0).then_some(advanced)
            })
            .map(|_| ())
            .map_err(|_| TooFar)
    }
}
