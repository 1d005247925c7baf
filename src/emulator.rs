//! A faithful local MNS and VOD API: queues, signatures, long polls and error bodies as the vendor documents them, and faults on
//! demand.
//!
//! [`vod`] answers for the media of a simulated platform. [`broker`] is a state machine without I/O, [`wire`] speaks the vendor's protocol, [`faults`] and [`behaviour`] hold
//! what goes wrong and what the vendor leaves open. The official SDKs are the judge of all of it.
//!
//! # Control
//!
//! Unsigned JSON under `/-/emulator/`, documented in `docs/emulator.md`; [`Handle`] offers the same in process.
//!
//! - `GET state[?messages=true]`: queues, counts, totals, calls by operation and code
//! - `POST advance {"millis": N}`: moves the clock; parked long polls notice
//! - `POST faults {"replace": [..]}` or `{"add": [..]}`; `GET faults`
//! - `POST behaviour {"switch": value, ..}`; `GET behaviour`
//! - `POST dead-letter {"queue": .., "target": .., "max_receive_count": N}`; without `target` the policy ends
//! - `POST purge {"queue": ..}`: removes all messages
//! - `POST vod-media [{"id": .., "created": .., "status": .., ..}]`: adds or replaces media of VOD
//! - `POST vod-callback {"CallbackType": "MNS", ..}`: what `GetMessageCallback` answers
//! - `POST policies [{"Version": "1", "Statement": [..]}]`: what the caller may do; `null` is everything
//! - `POST roles ["AliyunVODDefaultRole"]`: the account's RAM roles
//! - `POST simulate {..}`: asks a simulated platform for trouble, where there is one
//! - `POST credentials {"access_key_id": .., "access_key_secret": .., "security_token": ..}`

pub mod attributes;
pub mod behaviour;
pub mod broker;
mod control;
mod core;
pub mod error;
pub mod faults;
pub mod policy;
pub mod queue;
mod receipt;
pub mod scenario;
mod serve;
pub mod state;
pub mod vod;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

pub use self::attributes::{Attributes, AttributesPatch};
pub use self::behaviour::{Behaviour, ContentMd5, Counters};
pub use self::broker::{Created, NewMessage, Sent};
pub use self::core::{Credentials, UnusableCredentials};
pub use self::error::ApiError;
pub use self::faults::{Fault, FaultRule, Operation};
pub use self::policy::Policy;
pub use self::queue::{Counts, DeadLetterPolicy, MessageState, Totals};
pub use self::state::State;

use self::core::{Shared, Simulator, Truth};
use crate::clock::UnixMillis;

/// How an emulator is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may call.
    pub credentials: Credentials,
    /// Region that version 4 signatures must name; any if none.
    pub region: Option<String>,
    /// Account id, shown in dead letters and in the caller's identity, and part of the resources that policies name.
    pub account_id: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Undocumented behaviour to start with.
    pub behaviour: Behaviour,
}

/// An emulator that listens and does not serve yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// In-process access to a running emulator.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

// === impl Options ===

impl Options {
    /// Options for these credentials with everything else at its default.
    pub fn new(access_key_id: impl Into<String>, access_key_secret: impl Into<String>) -> Self {
        Self {
            credentials: Credentials {
                access_key_id: access_key_id.into(),
                access_key_secret: access_key_secret.into(),
                security_token: None,
            },
            region: None,
            account_id: "1234567890123456".to_owned(),
            seed: 0,
            behaviour: Behaviour::default(),
        }
    }
}

// === impl Server ===

impl Server {
    /// Listens on `address`; port 0 takes a free one. Needs a Tokio runtime.
    pub fn bind(address: SocketAddr, options: Options) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Self::new(socket.listen(4096)?, options)
    }

    /// Serves on a socket that listens already and is non-blocking. Needs a Tokio runtime.
    pub fn from_std(listener: std::net::TcpListener, options: Options) -> io::Result<Self> {
        Self::new(TcpListener::from_std(listener)?, options)
    }

    fn new(listener: TcpListener, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            shared: Arc::new(Shared::new(options)),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint for clients, `http://127.0.0.1:1234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// In-process access; stays valid while the server runs and after.
    pub fn handle(&self) -> Handle {
        Handle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Serves until `shutdown` resolves, then closes all connections.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        serve::run(self.listener, self.shared, shutdown).await;
    }
}

// === impl Handle ===

impl Handle {
    /// The emulator's clock.
    pub fn now(&self) -> UnixMillis {
        self.shared.clock.now()
    }

    /// Moves the clock forward; what became due is done before this returns, and parked long polls look again. A step
    /// beyond the year 9999 is not taken.
    pub fn advance(&self, by: Duration) -> UnixMillis {
        let advanced = self.shared.advance(by);
        advanced.unwrap_or_else(|_| self.now())
    }

    /// Creates a queue with these attributes over the defaults.
    pub fn create_queue(&self, name: &str, patch: &AttributesPatch) -> Result<Created, ApiError> {
        let now = self.now();
        self.shared.core().broker.create_queue(name, patch, now)
    }

    /// Deletes a queue; whether there was one.
    pub fn delete_queue(&self, name: &str) -> bool {
        let deleted = self.shared.core().broker.delete_queue(name);
        self.shared.wake_all();
        deleted
    }

    /// Sends a body with the queue's defaults; returns its message id. Faults do not apply.
    pub fn send(&self, queue: &str, body: &str) -> Result<Arc<str>, ApiError> {
        let message = NewMessage {
            body: body.into(),
            ..NewMessage::default()
        };
        Ok(self.send_message(queue, &message)?.message_id)
    }

    /// Sends a message. Faults do not apply.
    pub fn send_message(&self, queue: &str, message: &NewMessage) -> Result<Sent, ApiError> {
        let now = self.now();
        let mut core = self.shared.core();
        let core = &mut *core;
        core.broker.settle(now, &core.behaviour);
        let sent = core.broker.send(queue, message, &core.behaviour, now)?;
        core.wake_for(queue, &sent);
        Ok(sent)
    }

    /// The ground truth now.
    pub fn state(&self) -> State {
        self.shared.state(false)
    }

    /// Every message of a queue still there, oldest first, then up to 100,000 that departed.
    pub fn messages(&self, queue: &str) -> Result<Vec<MessageState>, ApiError> {
        let now = self.now();
        let mut core = self.shared.core();
        let core = &mut *core;
        core.broker.settle(now, &core.behaviour);
        Ok(core.broker.queue(queue)?.states())
    }

    /// Removes all messages of a queue and tells how many.
    pub fn purge(&self, queue: &str) -> Result<u64, ApiError> {
        self.shared.purge(queue)
    }

    /// Sets or removes a queue's dead-letter policy.
    pub fn set_dead_letter(
        &self,
        queue: &str,
        policy: Option<DeadLetterPolicy>,
    ) -> Result<(), ApiError> {
        self.shared.set_dead_letter(queue, policy)
    }

    /// Adds media that VOD's API tells of, or replaces those of the same id.
    pub fn put_media(&self, media: impl IntoIterator<Item = vod::Media>) {
        self.shared.core().vod.put(media);
    }

    /// What VOD's `GetMessageCallback` answers from now on.
    pub fn set_callback(&self, callback: vod::CallbackSettings) {
        self.shared.core().vod.callback = callback;
    }

    /// From now on `GET /truth` answers with what `tell` returns, JSON of what a simulated platform really did. Only the
    /// first call counts.
    pub fn tell_truth(&self, tell: impl Fn() -> String + Send + Sync + 'static) {
        self.shared.truth.get_or_init(|| Truth(Box::new(tell)));
    }

    /// From now on `POST simulate` is answered by `simulate`, which gets the body. Only the first call counts.
    pub fn simulate_with(
        &self,
        simulate: impl Fn(&[u8]) -> Result<serde_json::Value, String> + Send + Sync + 'static,
    ) {
        let simulator = || Simulator(Box::new(simulate));
        self.shared.simulator.get_or_init(simulator);
    }

    /// Replaces the faults.
    pub fn set_faults(&self, rules: Vec<FaultRule>) {
        self.shared.core().faults.replace(rules);
    }

    /// Adds faults; earlier rules of the same phase come first.
    pub fn add_faults(&self, rules: Vec<FaultRule>) {
        self.shared.core().faults.add(rules);
    }

    /// The fault rules that can still strike, with what is left of their counts.
    pub fn faults(&self) -> Vec<FaultRule> {
        self.shared.core().faults.rules().to_vec()
    }

    /// The undocumented behaviour in force.
    pub fn behaviour(&self) -> Behaviour {
        self.shared.core().behaviour.clone()
    }

    /// Replaces the undocumented behaviour.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.shared.core().behaviour = behaviour;
    }

    /// What the caller may do from now on; none: everything, as at the start.
    pub fn set_policies(&self, policies: Option<Vec<Policy>>) {
        self.shared.core().policies = policies;
    }

    /// The account's RAM roles from now on.
    pub fn set_roles(&self, roles: impl IntoIterator<Item = String>) {
        self.shared.core().roles = roles.into_iter().collect();
    }

    /// Replaces who may call, as a rotation of keys does.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.shared.core().credentials = credentials;
    }
}
