//! The MNS client against the emulator, call by call.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;
use vod_callback_exporter::aliyun::credentials::{Credentials, Provider, Sources};
use vod_callback_exporter::aliyun::{sign, transport};
use vod_callback_exporter::clock::ServerClock;
use vod_callback_exporter::emulator::{self, Behaviour, Fault, FaultRule, Operation};
use vod_callback_exporter::mns::client::Outgoing;
use vod_callback_exporter::mns::{Client, ClientConfig, Observer};
use vod_callback_exporter::secret::SecretSource;
use world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, World};

const QUEUE: &str = "q";

struct Unobserved;

impl Observer for Unobserved {
    fn called(
        &self,
        _: &str,
        _: vod_callback_exporter::mns::Operation,
        _: &'static str,
        _: Duration,
        _: bool,
    ) {
    }
}

fn client(world: &World, signature: sign::Version, credentials: Provider) -> Client {
    let config = ClientConfig {
        endpoint: Url::parse(&world.url).unwrap(),
        region: Some("cn-shanghai".to_owned()),
        signature,
        seed: 1,
    };
    let http = transport::Options::default().client().unwrap();
    let clock = Arc::new(ServerClock::default());
    Client::new(
        config,
        Arc::new(credentials),
        http,
        clock,
        Arc::new(Unobserved),
    )
}

fn key(token: Option<&str>) -> Provider {
    Provider::fixed(Credentials {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        access_key_secret: SecretString::from(ACCESS_KEY_SECRET),
        security_token: token.map(SecretString::from),
    })
}

async fn kind_of<T>(
    call: impl Future<Output = Result<T, vod_callback_exporter::mns::Error>>,
) -> &'static str {
    call.await.map_or_else(|error| error.kind(), |_| "ok")
}

#[tokio::test]
async fn every_call_works_with_either_signature() {
    for signature in [sign::Version::V2, sign::Version::V4] {
        let world = World::new(41, &[QUEUE, "other"], 30);
        let client = client(&world, signature, key(None));
        let message = Outgoing {
            body: "<&\"'é>",
            priority: Some(3),
            ..Outgoing::default()
        };
        let sent = client.send(QUEUE, message).await.unwrap();
        let peeked = client.peek(QUEUE).await.unwrap();
        let seen = peeked.iter().next().unwrap();
        assert_eq!(
            (seen.id, seen.body, seen.priority),
            (sent.id.as_str(), "<&\"'é>", 3)
        );
        assert_eq!((seen.dequeue_count, seen.receipt_handle), (0, None));
        assert_eq!(seen.body_md5, sent.body_md5);
        assert_eq!(client.batch_peek(QUEUE, 16).await.unwrap().len(), 1);

        let batch = client
            .batch_receive(QUEUE, 16, Duration::from_secs(1))
            .await
            .unwrap();
        let received = batch.iter().next().unwrap();
        assert_eq!(received.dequeue_count, 1);
        let handle = received.receipt_handle.unwrap();
        let changed = client
            .change_visibility(QUEUE, handle, Duration::from_mins(2))
            .await
            .unwrap();
        assert!(changed.next_visible_time > received.next_visible_time.unwrap());
        let deleted = client.batch_delete(QUEUE, &[handle]).await.unwrap();
        assert_eq!(
            deleted.failed[0].code, "MessageNotExist",
            "the old handle is dead"
        );
        assert!(deleted.failed[0].handle_is_dead());
        let deleted = client
            .batch_delete(QUEUE, &[&changed.receipt_handle])
            .await
            .unwrap();
        assert!(deleted.failed.is_empty());
        assert!(world.is_empty(QUEUE));

        let attributes = client.queue_attributes(QUEUE).await.unwrap();
        assert_eq!(attributes.visibility_timeout, Some(Duration::from_secs(30)));
        let names: Vec<String> = client
            .list_queues("oth")
            .await
            .unwrap()
            .into_iter()
            .map(|queue| queue.name)
            .collect();
        assert_eq!(names, ["other"]);
        assert_eq!(kind_of(client.peek(QUEUE)).await, "empty");
        assert_eq!(kind_of(client.peek("missing")).await, "no_such_queue");
    }
}

#[tokio::test]
async fn a_partial_delete_is_told_by_handle_whatever_the_status() {
    for status in [404, 200] {
        let world = World::new(42, &[QUEUE], 30);
        world.emulator.set_behaviour(Behaviour {
            partial_batch_delete_status: status,
            ..Behaviour::default()
        });
        for _ in 0..3 {
            world.emulator.send(QUEUE, "{}").unwrap();
        }
        let client = world.client();
        let batch = client
            .batch_receive(QUEUE, 16, Duration::from_secs(1))
            .await
            .unwrap();
        let handles: Vec<&str> = batch
            .iter()
            .filter_map(|message| message.receipt_handle)
            .collect();
        assert!(
            client
                .batch_delete(QUEUE, &handles[..1])
                .await
                .unwrap()
                .failed
                .is_empty()
        );
        let outcome = client.batch_delete(QUEUE, &handles).await.unwrap();
        let failed: Vec<usize> = outcome.failed.iter().map(|failed| failed.index).collect();
        assert_eq!(failed, [0], "status {status}");
        assert!(world.is_empty(QUEUE), "the others are deleted");
    }
}

#[tokio::test]
async fn a_batch_is_split_by_number_and_by_size() {
    let world = World::new(43, &[QUEUE], 30);
    let client = world.client();
    let calls = || {
        world
            .emulator
            .state()
            .calls_of(Operation::BatchSendMessage, "OK")
    };
    let message = |body| Outgoing {
        body,
        ..Outgoing::default()
    };
    let small = vec![message("{}"); 20];
    assert!(
        client
            .batch_send(QUEUE, &small)
            .await
            .iter()
            .all(Result::is_ok)
    );
    assert_eq!(calls(), 2);
    let large = "x".repeat(40_000);
    let sent = client.batch_send(QUEUE, &[message(&large); 3]).await;
    assert!(sent.iter().all(Result::is_ok));
    assert_eq!(calls(), 5, "two of 40,000 bytes are more than 64 KB");
    assert_eq!(world.emulator.state().queues[QUEUE].totals.sent, 23);
}

#[tokio::test]
async fn reads_are_tried_again_and_what_has_an_effect_is_not() {
    let world = World::new(44, &[QUEUE], 30);
    world.emulator.send(QUEUE, "{}").unwrap();
    let client = world.client();
    world
        .emulator
        .set_faults(vec![FaultRule::next(Fault::InternalError, 1)]);
    assert!(client.peek(QUEUE).await.is_ok());
    world
        .emulator
        .set_faults(vec![FaultRule::next(Fault::InternalError, 1)]);
    let receive = client.batch_receive(QUEUE, 16, Duration::from_secs(1));
    assert_eq!(kind_of(receive).await, "server_error");
    world
        .emulator
        .set_faults(vec![FaultRule::next(Fault::ExpiredToken, 1)]);
    assert_eq!(
        kind_of(client.peek(QUEUE)).await,
        "access_denied",
        "no retry mends a refusal"
    );
}

#[tokio::test]
async fn a_temporary_key_needs_its_token() {
    let mut options = emulator::Options::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET);
    options.credentials.security_token = Some("token".to_owned());
    let world = World::with(options, "127.0.0.1:0", &[QUEUE], 30);
    let ask = async |token| {
        let client = client(&world, sign::Version::V2, key(token));
        kind_of(client.queue_attributes(QUEUE)).await
    };
    assert_eq!(ask(Some("token")).await, "ok");
    assert_eq!(ask(Some("old")).await, "access_denied");
    assert_eq!(ask(None).await, "access_denied");
}

#[tokio::test]
async fn a_wrong_secret_is_told_from_a_wrong_id() {
    let world = World::new(45, &[QUEUE], 30);
    let ask = async |id: &str, secret: &str| {
        let client = world::client(&world.url, id, secret);
        client.queue_attributes(QUEUE).await.unwrap_err()
    };
    let wrong = ask(ACCESS_KEY_ID, "nonsense").await;
    assert_eq!(wrong.kind(), "bad_signature");
    assert!(!wrong.to_string().contains("nonsense"), "{wrong}");
    assert_eq!(
        ask("nobody", ACCESS_KEY_SECRET).await.kind(),
        "access_denied"
    );
}

#[tokio::test]
async fn credentials_that_change_on_disk_are_read_again() {
    let world = World::new(46, &[QUEUE], 30);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| SecretSource::File(dir.path().join(name));
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("id", ACCESS_KEY_ID);
    write("secret", ACCESS_KEY_SECRET);
    let credentials = Provider::new(Sources {
        access_key_id: file("id"),
        access_key_secret: file("secret"),
        security_token: None,
    });
    let client = client(&world, sign::Version::V2, credentials);
    assert_eq!(kind_of(client.queue_attributes(QUEUE)).await, "ok");
    world.emulator.set_credentials(emulator::Credentials {
        access_key_id: "rotated-id".to_owned(),
        access_key_secret: "rotated-secret".to_owned(),
        security_token: None,
    });
    write("id", "rotated-id");
    write("secret", "rotated-secret");
    world::until_asked(
        async || kind_of(client.queue_attributes(QUEUE)).await == "ok",
        || "the new key is used".to_owned(),
    )
    .await;
}
