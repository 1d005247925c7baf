//! The published RAM policies: what the code says, no more and no less, and enough for an exporter to live on.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vod_callback_exporter::check::actions::{self, Use};
use vod_callback_exporter::config::{ForwardConfig, VodConfig};
use vod_callback_exporter::emulator::policy::Effect;
use vod_callback_exporter::emulator::{self, Policy};
use vod_callback_exporter::ledger::Mode;
use world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, World, until, until_asked};

const OWNER: &str = "1234567890123456";
const REGION: &str = "cn-shanghai";
const QUEUE: &str = "vod-callbacks";
const TARGET: &str = "worker-callbacks";

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name)
}

fn policy(purpose: Use) -> Policy {
    let text = std::fs::read_to_string(docs("ram").join(purpose.policy())).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_documentation_has_the_policies_that_the_code_needs() {
    let page = std::fs::read_to_string(docs("ram-policy.md")).unwrap();
    for purpose in Use::ALL {
        let (policy, file) = (policy(purpose), purpose.policy());
        assert_eq!(policy.version, "1");
        let mut granted = Vec::new();
        for statement in &policy.statement {
            assert_eq!(statement.effect, Effect::Allow, "{file}");
            granted.extend(statement.action.as_slice().iter().cloned());
        }
        assert_eq!(granted, purpose.actions(), "{file}");
        assert!(page.contains(&format!("(ram/{file})")), "{file}");
        for action in purpose.actions() {
            assert!(page.contains(&format!("`{action}`")), "{action}");
        }
        // As narrow as can be.
        let queue = if purpose == Use::Forward {
            TARGET
        } else {
            QUEUE
        };
        for operation in purpose.operations() {
            let resource = actions::resource(*operation, REGION, OWNER, queue);
            for action in actions::actions(*operation) {
                let mut statements = policy.statement.iter();
                let of_action = statements.find(|it| it.action.as_slice().contains(&action));
                let resources = of_action.unwrap().resource.as_slice();
                assert_eq!(
                    resources,
                    std::slice::from_ref(&resource),
                    "{file} {action}"
                );
            }
        }
    }
    let files = std::fs::read_dir(docs("ram")).unwrap();
    let files: BTreeSet<String> = files
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let known = Use::ALL.map(|purpose| purpose.policy().to_owned());
    assert_eq!(files, BTreeSet::from(known));
}

/// A world in which only this is allowed.
fn world(uses: &[Use]) -> World {
    let options = emulator::Options {
        region: Some(REGION.to_owned()),
        account_id: OWNER.to_owned(),
        ..emulator::Options::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET)
    };
    let world = World::with(options, "127.0.0.1:0", &[QUEUE, TARGET], 30);
    let policies = uses.iter().map(|purpose| policy(*purpose));
    world.emulator.set_policies(Some(policies.collect()));
    world
}

/// Everything that was asked was allowed, and is in the list.
fn assert_lives_within(world: &World, uses: &[Use]) {
    let listed: BTreeSet<&str> = uses
        .iter()
        .flat_map(|purpose| {
            let mns = purpose.operations().iter().map(|it| it.name());
            mns.chain(purpose.vod_operations().iter().map(|it| it.name()))
        })
        .collect();
    for call in world.emulator.state().calls {
        assert!(listed.contains(call.operation.name()), "{call:?}");
        let denied = ["AccessDenied", "Forbidden"].contains(&call.code.as_str());
        assert!(!denied, "{call:?}");
    }
}

fn asked(world: &World, operation: &str) -> bool {
    let calls = world.emulator.state().calls;
    calls.iter().any(|call| call.operation.name() == operation)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_that_peeks_and_asks_vod_lives_on_its_policies() {
    let uses = [Use::Peek, Use::Reconcile];
    let world = world(&uses);
    let mut queue = world.queue(QUEUE, Mode::Peek);
    queue.vod = Some(VodConfig {
        region: Arc::from(REGION),
        endpoint: Some(world.url.parse().unwrap()),
        app_id: None,
        no_transcode_template_groups: Vec::new(),
        requests_per_second: 50.0,
        poll_interval: std::time::Duration::from_mins(2),
    });
    let exporter = world.exporter(vec![queue]).await;
    for operation in [
        "GetQueueAttributes",
        "BatchPeekMessage",
        "GetMessageCallback",
    ] {
        until(|| asked(&world, operation), || operation.to_owned()).await;
    }
    exporter.shutdown().await;
    assert_lives_within(&world, &uses);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_that_consumes_and_passes_on_lives_on_its_policies() {
    let uses = [Use::Consume, Use::Forward];
    let world = world(&uses);
    let mut queue = world.queue(QUEUE, Mode::Consume);
    queue.forward = Some(ForwardConfig {
        endpoint: queue.endpoint.clone(),
        region: Arc::from(REGION),
        name: Arc::from(TARGET),
        account: Arc::clone(&queue.account),
    });
    world.emulator.send(QUEUE, "{}").unwrap();
    let exporter = world.exporter(vec![queue]).await;
    let passed_on = async || world.is_empty(QUEUE) && !world.is_empty(TARGET);
    until_asked(passed_on, || "the message is passed on".to_owned()).await;
    exporter.shutdown().await;
    assert_lives_within(&world, &uses);
}
