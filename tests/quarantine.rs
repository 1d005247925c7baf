//! Undecodable messages come out of a running exporter as files, byte for byte.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "helpers of tests panic, and counts are whole numbers"
)]

#[path = "support/exporter.rs"]
mod exporter;
#[path = "support/process.rs"]
mod process;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use exporter::Exporter;
use scrape::Scrape;
use world::{World, until_asked};

const BODIES: [&str; 3] = [
    "{\"half\": \"<&\u{e9}\"",
    "!no base64!",
    "WyJub3QgYW4gb2JqZWN0Il0=",
];

fn consume(world: &World, rest: &str) -> Exporter {
    let queue = |name: &str| {
        format!(
            "  - {{name: {name}, account: main, endpoint: \"{}\", mode: consume, long_poll: 1s}}\n",
            world.url
        )
    };
    Exporter::start(&format!("queues:\n{}{}{rest}", queue("a"), queue("b")))
}

/// Exit code, stdout and stderr of an export.
fn export(exporter: &Exporter, to: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"))
        .env_clear()
        .args(["quarantine", "export"])
        .arg(format!("--url=http://{}", exporter.address))
        .arg(format!("--dir={}", to.display()))
        .args(more)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

async fn quarantined(exporter: &Exporter, messages: f64) {
    const NAME: &str = "vod_callback_exporter_quarantined_messages";
    until_asked(
        async || Scrape::of(exporter.address).await.sum(NAME, &[]) == messages,
        || format!("{messages} in quarantine"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_written_as_they_were_sent() {
    let world = World::new(71, &["a", "b"], 30);
    for body in BODIES {
        world.emulator.send("a", body).unwrap();
    }
    world.emulator.send("b", "{").unwrap();
    let exporter = consume(&world, "quarantine: {expose_bodies: true}\n");
    quarantined(&exporter, 4.0).await;

    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("new/a");
    let (code, stdout, stderr) = export(&exporter, &to, &["--queue=a"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, format!("3 messages written to {}\n", to.display()));
    let index = std::fs::read(to.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let entries = index.as_array().unwrap();
    let mut found = BTreeSet::new();
    for entry in entries {
        let path = to.join(format!("{}.body", entry["number"]));
        let body = std::fs::read_to_string(path).unwrap();
        assert_eq!(entry["size"], body.len());
        assert_eq!(entry["queue"], "a");
        assert!(entry["reason"].is_string() && entry["message_id"].is_string());
        assert!(entry.get("body").is_none());
        found.insert(body);
    }
    assert_eq!(found, BODIES.map(str::to_owned).into());
    let reasons: BTreeSet<&str> = entries
        .iter()
        .filter_map(|entry| entry["reason"].as_str())
        .collect();
    assert_eq!(
        reasons,
        BTreeSet::from(["not_json", "bad_base64", "not_object"])
    );

    let before = std::fs::read(to.join("index.json")).unwrap();
    let (code, _, stderr) = export(&exporter, &to, &[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("choose an empty directory"), "{stderr}");
    assert_eq!(std::fs::read(to.join("index.json")).unwrap(), before);
    let (code, stdout, _) = export(&exporter, &directory.path().join("b"), &["--queue=b"]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("1 message written to "), "{stdout}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_shown_only_where_the_config_allows_it() {
    let world = World::new(72, &["a", "b"], 30);
    world.emulator.send("a", "{").unwrap();
    let exporter = consume(&world, "");
    quarantined(&exporter, 1.0).await;
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("out");
    let (code, stdout, stderr) = export(&exporter, &to, &[]);
    assert_eq!((code, &*stdout), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("expose_bodies"), "{stderr}");
    assert!(!to.exists());
}
