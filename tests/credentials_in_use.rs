//! Credentials of a limited life in the hands of the clients and of the exporter.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "support/cloud.rs"]
mod cloud;
#[path = "support/exporter.rs"]
mod exporter;
#[path = "support/process.rs"]
mod process;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/world.rs"]
mod world;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloud::{Account, Fake, Reply, hours, key};
use exporter::{Exporter, TOKEN};
use scrape::{Scrape, ask};
use vod_callback_exporter::aliyun::credentials::{Lookup, ProviderName, Settings};
use vod_callback_exporter::aliyun::{sign, transport};
use vod_callback_exporter::clock::{self, ServerClock};
use vod_callback_exporter::emulator::{self, Fault, FaultRule};
use vod_callback_exporter::mns::{Client, ClientConfig, Observer, Operation};
use vod_callback_exporter::vod::api;
use vod_callback_exporter::vod::event::MediaKey;
use world::{World, until_asked};

const QUEUE: &str = "q";

/// The outcomes of all calls.
#[derive(Default)]
struct Calls(Mutex<Vec<&'static str>>);

impl Observer for Calls {
    fn called(&self, _: &str, _: Operation, code: &'static str, _: Duration, _: bool) {
        self.0.lock().unwrap().push(code);
    }
}

impl api::Observer for Calls {
    fn called(&self, _: api::Operation, code: &'static str, _: Duration) {
        self.0.lock().unwrap().push(code);
    }
}

impl Calls {
    fn taken(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// The key that all accept at present, by number.
struct Keys {
    world: World,
    service: Fake,
    handed_out: Arc<AtomicU32>,
    account: Account,
}

fn accepted(n: u32) -> emulator::Credentials {
    emulator::Credentials {
        access_key_id: format!("STS.{n}"),
        access_key_secret: format!("hunter-{n}"),
        security_token: Some(format!("token-{n}")),
    }
}

impl Keys {
    async fn new() -> Self {
        let options = emulator::Options {
            credentials: accepted(1),
            ..emulator::Options::new("unused", "unused")
        };
        let handed_out = Arc::new(AtomicU32::new(1));
        let n = Arc::clone(&handed_out);
        let service =
            Fake::saying(move || Reply::json(200, &key(n.load(Ordering::Relaxed), hours(5)))).await;
        let lookup = Lookup {
            credentials_uri: Some(service.parsed()),
            ..Lookup::default()
        };
        Self {
            world: World::with(options, "127.0.0.1:0", &[QUEUE], 30),
            service,
            handed_out,
            account: Account::new(&Settings::Named(ProviderName::Uri, lookup), &[]),
        }
    }

    /// From now on only this one is accepted and handed out.
    fn rotate(&self, n: u32) {
        self.world.emulator.set_credentials(accepted(n));
        self.handed_out.store(n, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_call_to_mns_that_is_refused_as_if_expired_is_made_once_more() {
    let keys = Keys::new().await;
    let calls = Arc::new(Calls::default());
    let observer: Arc<dyn Observer> = Arc::<Calls>::clone(&calls);
    let config = ClientConfig {
        endpoint: keys.world.url.parse().unwrap(),
        region: None,
        signature: sign::Version::V2,
        seed: 0,
    };
    let http = transport::Options::default().client().unwrap();
    let account = &keys.account;
    let provider = Arc::clone(&account.provider);
    let client = Client::new(
        config,
        provider,
        http,
        Arc::new(ServerClock::default()),
        observer,
    );
    client.queue_attributes(QUEUE).await.unwrap();
    assert_eq!(calls.taken(), ["ok"]);

    keys.rotate(2);
    client.queue_attributes(QUEUE).await.unwrap();
    assert_eq!(calls.taken(), ["access_denied", "ok"]);
    assert_eq!(keys.service.seen().len(), 2);

    // Nothing else is handed out: no second attempt, and nobody is asked for a minute.
    let always = vec![FaultRule::always(Fault::ExpiredToken)];
    keys.world.emulator.set_faults(always);
    for _ in 0..3 {
        assert!(
            client
                .queue_attributes(QUEUE)
                .await
                .unwrap_err()
                .looks_expired()
        );
    }
    assert_eq!(calls.taken(), ["access_denied"; 3]);
    assert_eq!(keys.service.seen().len(), 2);
    account.clock.advance(61);
    client.queue_attributes(QUEUE).await.unwrap_err();
    assert_eq!(calls.taken(), ["access_denied"]);
    assert_eq!(keys.service.seen().len(), 3);

    // A plain denial is another matter.
    account.clock.advance(61);
    let always = vec![FaultRule::always(Fault::AccessDenied)];
    keys.world.emulator.set_faults(always);
    client.queue_attributes(QUEUE).await.unwrap_err();
    assert_eq!(keys.service.seen().len(), 3);
}

#[tokio::test]
async fn so_is_a_call_to_vod() {
    let keys = Keys::new().await;
    let calls = Arc::new(Calls::default());
    let observer: Arc<dyn api::Observer> = Arc::<Calls>::clone(&calls);
    let config = api::ClientConfig {
        endpoint: keys.world.url.parse().unwrap(),
        app_id: None,
        seed: 1,
    };
    let http = transport::Options::default().client().unwrap();
    let client = api::Client::new(config, Arc::clone(&keys.account.provider), http, observer);
    let media = MediaKey::of("a1c0ffee0d1871f1bd2d000000000102");
    client.video_infos(&[&media]).await.unwrap();
    keys.rotate(2);
    client.video_infos(&[&media]).await.unwrap();
    assert_eq!(calls.taken(), ["ok", "access_denied", "ok"]);
    assert_eq!(keys.service.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_starts_without_waiting_and_shows_what_it_lives_on() {
    let options = emulator::Options {
        credentials: accepted(1),
        ..emulator::Options::new("unused", "unused")
    };
    let world = World::with(options, "127.0.0.1:0", &["pod", "node"], 30);
    let expires = clock::now().plus(Duration::from_hours(1));
    let sts = Fake::start(move |_| cloud::role(1, expires).at(clock::now())).await;
    let metadata = Fake::saying(|| Reply::Hang).await;
    let mut exporter = Exporter::start(
        &[
            "  pod: {credentials: oidc, role_arn: \"acs:ram::1:role/r\", oidc_provider_arn: p, oidc_token_file: token, ",
            &format!("sts_endpoint: \"{}\"}}\n", sts.url()),
            &format!("  node: {{credentials: ecs, metadata_endpoint: \"{}\"}}\n", metadata.url()),
            &format!("defaults: {{tick: 10s, endpoint: \"{}\"}}\n", world.url),
            "queues: [{name: pod, account: pod}, {name: node, account: node}]\n",
        ]
        .concat(),
    );
    until_asked(
        async || ask(exporter.address, "/-/ready").await.unwrap().0 == 200,
        || "it is ready".to_owned(),
    )
    .await;
    let line = exporter.process.line(|line| {
        line.contains("Credentials cannot be renewed.") && line.contains("account=node")
    });
    for part in ["kind=timeout", "no credentials from ecs", "within 1 s"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let of_queue = async |name, queue| Scrape::of(exporter.address).await.of_queue(name, queue);
    until_asked(
        async || of_queue("mns_queue_up", "pod").await == Some(1.0),
        || "the role reads the queue".to_owned(),
    )
    .await;
    until_asked(
        async || of_queue("mns_queue_up", "node").await == Some(0.0),
        || "the other queue is not read".to_owned(),
    )
    .await;
    let (_, text) = ask(exporter.address, "/metrics").await.unwrap();
    let value = |series: &str| -> Option<f64> {
        let series = format!("vod_callback_exporter_credentials_{series} ");
        text.lines()
            .find_map(|line| line.strip_prefix(&series)?.parse().ok())
    };
    let expiry = value("expiry_timestamp_seconds{account=\"pod\"}");
    assert_eq!(expiry, Some(expires.as_secs_f64()));
    assert_eq!(value("expiry_timestamp_seconds{account=\"node\"}"), None);
    let failures = |account: &str, reason: &str| {
        value(&format!(
            "refresh_failures_total{{account=\"{account}\",reason=\"{reason}\"}}"
        ))
    };
    assert!(failures("node", "timeout") >= Some(1.0), "{text}");
    assert_eq!(failures("pod", "timeout"), Some(0.0));

    assert!(sts.seen()[0].body.contains(TOKEN));
    exporter.process.terminate();
    let (code, lines) = exporter.process.finish();
    assert_eq!(code, Some(0));
    for secret in [TOKEN, "hunter-1", "token-1", "Signature="] {
        let told = lines.iter().find(|line| line.contains(secret));
        assert_eq!(told, None, "{secret}");
    }
}
