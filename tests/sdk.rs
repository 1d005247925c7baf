//! The vendor's own SDKs judge the emulator: what they accept and refuse is our ground truth.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests panic and print"
)]

#[path = "support/emulator_process.rs"]
mod emulator_process;
#[path = "support/process.rs"]
mod process;
#[path = "support/referees.rs"]
mod referees;

use std::collections::BTreeSet;

use emulator_process::Emulator;
use referees::Referees;

/// What each SDK must have gone through, lest a script that ends early passes.
const CHECKS: [&str; 39] = [
    "create",
    "create again with equal attributes",
    "create again with other attributes",
    "create with a bad name",
    "create with a bad attribute",
    "attributes",
    "set attributes",
    "set a bad attribute",
    "list by prefix",
    "list in pages",
    "list with attributes",
    "list nothing",
    "delete queue",
    "missing queue",
    "send",
    "peek",
    "receive",
    "in flight",
    "change visibility",
    "delete with a stale handle",
    "redelivery",
    "delete",
    "delayed message",
    "delete before it is due",
    "batch send",
    "batch peek",
    "batch receive",
    "batch delete",
    "batch delete with a stale handle",
    "empty queue",
    "long poll on an empty queue",
    "long poll ends with a message",
    "awkward body",
    "base64 body",
    "largest body",
    "wrong secret",
    "wrong id",
    "clock off",
    "refusals change nothing",
];

#[test]
fn python_sdk_accepts_the_emulator() {
    judge("python/mns_sdk.py", None);
}

#[test]
fn python_sdk_accepts_temporary_credentials() {
    judge("python/mns_sdk.py", Some("a token"));
}

#[test]
fn node_sdk_accepts_the_emulator() {
    judge("node/mns_sdk.js", None);
}

#[test]
fn node_sdk_accepts_temporary_credentials() {
    judge("node/mns_sdk.js", Some("a token"));
}

/// Runs a referee against an emulator of its own.
fn judge(script: &str, security_token: Option<&str>) {
    let Some(referees) = Referees::find() else {
        return;
    };
    let option = security_token.map(|token| format!("--security-token={token}"));
    let emulator = Emulator::start(&option.iter().map(String::as_str).collect::<Vec<_>>());
    let mut referee = referees.script(script);
    emulator.name_to(&mut referee).args(security_token);
    let verdict = referee.output().expect("the referee starts");
    let output = String::from_utf8_lossy(&verdict.stdout);
    let errors = String::from_utf8_lossy(&verdict.stderr);
    assert!(
        verdict.status.success(),
        "the SDK disagrees:\n{output}\n{errors}"
    );

    let passed: BTreeSet<&str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("ok "))
        .collect();
    let missing: Vec<_> = CHECKS
        .iter()
        .filter(|check| !passed.contains(**check))
        .collect();
    assert!(
        missing.is_empty(),
        "never checked: {missing:?}; the referee printed:\n{output}"
    );
}
