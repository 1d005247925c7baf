//! The vendor's SDK of VOD judges the emulated API.

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

use emulator_process::Emulator;
use referees::Referees;

/// What the SDK must have gone through, lest a script that ends early passes.
const CHECKS: [&str; 10] = [
    "transcode summary",
    "too many ids",
    "video infos",
    "video list",
    "message callback",
    "unknown operation",
    "wrong secret",
    "wrong id",
    "throttled",
    "denied",
];

#[test]
fn python_sdk_accepts_the_emulated_vod() {
    judge(None);
}

#[test]
fn python_sdk_accepts_temporary_credentials() {
    judge(Some("a token"));
}

fn judge(security_token: Option<&str>) {
    let Some(referees) = Referees::find() else {
        return;
    };
    let option = security_token.map(|token| format!("--security-token={token}"));
    let emulator = Emulator::start(&option.iter().map(String::as_str).collect::<Vec<_>>());
    let mut referee = referees.script("python/vod_sdk.py");
    emulator.name_to(&mut referee).args(security_token);
    let verdict = referee.output().expect("the referee starts");
    let output = String::from_utf8_lossy(&verdict.stdout);
    let errors = String::from_utf8_lossy(&verdict.stderr);
    assert!(
        verdict.status.success(),
        "the SDK disagrees:\n{output}\n{errors}"
    );
    for check in CHECKS {
        assert!(
            output
                .lines()
                .any(|line| line.strip_prefix("ok ") == Some(check)),
            "never checked: {check}; the referee printed:\n{output}"
        );
    }
}
