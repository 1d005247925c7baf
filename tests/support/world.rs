//! An emulator, a simulated platform and an exporter, in one process.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vod_callback_exporter::app::{App, Options};
use vod_callback_exporter::config::{AccountConfig, Config, Endpoint, QueueConfig};
use vod_callback_exporter::emulator::scenario::{Platform, Settings, Truth};
use vod_callback_exporter::emulator::{self, AttributesPatch, Handle, Server};
use vod_callback_exporter::ledger::Mode;

pub(crate) const ACCESS_KEY_ID: &str = "test-access-key-id";
pub(crate) const ACCESS_KEY_SECRET: &str = "test-access-key-secret";
/// Long enough for two busy cores, and an end for a test that would wait for ever.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

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
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
        let (emulator, url, ending) = (server.handle(), server.url(), CancellationToken::new());
        for queue in queues {
            let patch = AttributesPatch {
                visibility_timeout: Some(visibility_secs),
                ..AttributesPatch::default()
            };
            emulator.create_queue(queue, &patch).unwrap();
        }
        tokio::spawn(server.run(ending.clone().cancelled_owned()));
        Self {
            emulator,
            url,
            ending,
        }
    }

    /// A queue's config with default options.
    pub(crate) fn queue(&self, name: &str, mode: Mode) -> QueueConfig {
        let account = Arc::new(AccountConfig::public(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
        QueueConfig::new(Endpoint::parse(&self.url).unwrap(), name, mode, account)
    }

    /// An exporter that watches these queues.
    pub(crate) async fn exporter(&self, queues: Vec<QueueConfig>) -> App {
        let options = Options {
            listen_address: "127.0.0.1:0".parse().unwrap(),
            telemetry_path: "/metrics".to_owned(),
            seed: 1,
        };
        App::start(
            Config {
                queues,
                ..Config::default()
            },
            options,
        )
        .await
        .unwrap()
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

    /// Whether nothing is left in a queue, visible or not.
    pub(crate) fn is_empty(&self, queue: &str) -> bool {
        let counts = self.emulator.state().queues[queue].counts;
        counts.active + counts.inactive + counts.delayed == 0
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
