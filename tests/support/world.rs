//! An emulator, a simulated platform and an exporter, in one process.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vod_callback_exporter::aliyun::credentials::{Credentials, Provider};
use vod_callback_exporter::aliyun::{sign, transport};
use vod_callback_exporter::app::{App, Options};
use vod_callback_exporter::clock::ServerClock;
use vod_callback_exporter::config::{AccountConfig, Config, Endpoint, QueueConfig};
use vod_callback_exporter::emulator::scenario::{Platform, Settings, Truth};
use vod_callback_exporter::emulator::{self, AttributesPatch, Handle, Server};
use vod_callback_exporter::ledger::store::StateOptions;
use vod_callback_exporter::ledger::{Mode, QueueSnapshot};
use vod_callback_exporter::mns::{Client, ClientConfig, Observer, Operation};

pub(crate) const ACCESS_KEY_ID: &str = "test-access-key-id";
pub(crate) const ACCESS_KEY_SECRET: &str = "test-access-key-secret";
/// Long enough for two busy cores, and an end for a test that would wait for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(100);

/// A running emulator; ends with the test.
pub(crate) struct World {
    pub(crate) emulator: Handle,
    pub(crate) url: String,
    ending: CancellationToken,
}

impl World {
    /// An emulator with these queues, whose messages come again after `visibility_secs`.
    pub(crate) fn new(seed: u64, queues: &[&str], visibility_secs: u32) -> Self {
        let options = emulator::Options {
            seed,
            ..emulator::Options::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET)
        };
        Self::with(options, "127.0.0.1:0", queues, visibility_secs)
    }

    /// The same with other options, at an address of choice.
    pub(crate) fn with(
        options: emulator::Options,
        address: &str,
        queues: &[&str],
        visibility_secs: u32,
    ) -> Self {
        let server = Server::bind(address.parse().unwrap(), options).unwrap();
        let (emulator, url, ending) = (server.handle(), server.url(), CancellationToken::new());
        tokio::spawn(server.run(ending.clone().cancelled_owned()));
        let world = Self {
            emulator,
            url,
            ending,
        };
        for queue in queues {
            world.create(queue, visibility_secs);
        }
        world
    }

    /// Creates a queue whose messages come again after `visibility_secs`.
    pub(crate) fn create(&self, queue: &str, visibility_secs: u32) {
        let patch = AttributesPatch {
            visibility_timeout: Some(visibility_secs),
            ..AttributesPatch::default()
        };
        self.emulator.create_queue(queue, &patch).unwrap();
    }

    /// A client of its own for a worker beside the exporter.
    pub(crate) fn client(&self) -> Client {
        client(&self.url, ACCESS_KEY_ID, ACCESS_KEY_SECRET)
    }

    /// A queue's config with default options.
    pub(crate) fn queue(&self, name: &str, mode: Mode) -> QueueConfig {
        let account = Arc::new(AccountConfig::public(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
        QueueConfig::new(Endpoint::parse(&self.url).unwrap(), name, mode, account)
    }

    /// An exporter that watches these queues.
    pub(crate) async fn exporter(&self, queues: Vec<QueueConfig>) -> App {
        self.exporter_with(queues, None).await
    }

    /// An exporter whose counters survive it.
    pub(crate) async fn exporter_with(
        &self,
        queues: Vec<QueueConfig>,
        state: Option<StateOptions>,
    ) -> App {
        let config = Config {
            queues,
            ..Config::default()
        };
        exporter_with(config, state).await
    }

    /// Whether nothing is left in a queue, visible or not.
    pub(crate) fn is_empty(&self, queue: &str) -> bool {
        let counts = self.emulator.state().queues[queue].counts;
        counts.active + counts.inactive + counts.delayed == 0
    }

    /// Lets a platform live until it has pushed at least `messages`, all of which are in the queues at once.
    pub(crate) fn push(&self, settings: Settings, seed: u64, messages: usize) -> Truth {
        let start = self.emulator.now().minus(Duration::from_hours(24));
        let mut platform = Platform::new(settings, seed, start);
        let mut pushed = 0;
        while pushed < messages {
            let due = platform.next_due().expect("a platform never rests");
            for push in platform.step(due) {
                self.emulator.send(&push.queue, &push.body).unwrap();
                pushed += 1;
            }
            self.emulator.put_media(platform.take_media());
        }
        platform.truth().clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

/// Returns once `condition` holds; fails the test with what `describe` says when patience ends.
pub(crate) async fn until(mut condition: impl FnMut() -> bool, describe: impl Fn() -> String) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    while !condition() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "patience ended: {}",
            describe()
        );
        looks.tick().await;
    }
}

/// The same for a condition that has to ask somebody.
pub(crate) async fn until_asked(
    mut condition: impl AsyncFnMut() -> bool,
    describe: impl Fn() -> String,
) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "patience ended: {}",
            describe()
        );
        looks.tick().await;
    }
}

/// Counts nothing: only the exporter's own calls are of interest.
struct Unobserved;

impl Observer for Unobserved {
    fn called(&self, _: &str, _: Operation, _: &'static str, _: Duration, _: bool) {}
}

/// A client of MNS with an access key.
pub(crate) fn client(url: &str, id: &str, secret: &str) -> Client {
    let config = ClientConfig {
        endpoint: url.parse().unwrap(),
        region: None,
        signature: sign::Version::V2,
        seed: 0,
    };
    let credentials = Provider::fixed(Credentials {
        access_key_id: id.to_owned(),
        access_key_secret: secret.into(),
        security_token: None,
    });
    Client::new(
        config,
        Arc::new(credentials),
        transport::Options::default().client().unwrap(),
        Arc::new(ServerClock::default()),
        Arc::new(Unobserved),
    )
}

/// An exporter with this config.
pub(crate) async fn exporter(config: Config) -> App {
    exporter_with(config, None).await
}

pub(crate) async fn exporter_with(config: Config, state: Option<StateOptions>) -> App {
    let options = Options {
        listen_address: "127.0.0.1:0".parse().unwrap(),
        web_config: None,
        telemetry_path: "/metrics".to_owned(),
        state,
        loader: None,
        lifecycle: false,
        seed: 1,
    };
    App::start(config, options).await.unwrap()
}

/// What an exporter has committed of a queue.
pub(crate) fn told_of(app: &App, queue: &str) -> QueueSnapshot {
    let queues = app.recorder().snapshot().queues;
    let found = queues
        .into_iter()
        .find(|found| &*found.identity.id == queue);
    found.unwrap_or_else(|| panic!("queue {queue} is not watched"))
}

/// An address that refuses connections until somebody listens there.
pub(crate) fn refusing_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
