//! The command line as a process: exit codes, messages, help, environment twins.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "support/process.rs"]
mod process;
#[path = "support/world.rs"]
mod world;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command as StdCommand;

use assert_cmd::Command;
use process::Process;
use tempfile::TempDir;
use world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, World, until};

const CONFIG: &str = "\
accounts: {main: {access_key_id_env: TEST_ID, access_key_secret_env: TEST_SECRET}}
defaults: {account: main, endpoint: \"http://127.0.0.1:1\"}
queues: [{name: a}, {name: b}, {prefix: c}]
";

/// The program in an environment with an access key and nothing else.
fn program(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vod-callback-exporter"));
    command
        .env_clear()
        .env("TEST_ID", "id")
        .env("TEST_SECRET", "hunter2")
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hunter2")
        .timeout(std::time::Duration::from_mins(1))
        .args(args);
    command
}

/// Exit code, stdout and stderr.
fn outcome(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let code = output.status.code().expect("the program ends by itself");
    (code, text(&output.stdout), text(&output.stderr))
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vod.yaml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn the_version_is_name_and_number() {
    let (code, stdout, _) = outcome(program(&["--version"]));
    assert_eq!(code, 0);
    assert_eq!(
        stdout,
        format!("vod-callback-exporter {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn help_lists_subcommands_flags_and_twins() {
    let (code, stdout, _) = outcome(program(&["--help"]));
    assert_eq!(code, 0);
    for word in [
        "run",
        "check-config",
        "--log.level",
        "--log.format",
        "Exit codes",
    ] {
        assert!(stdout.contains(word), "{word}\n{stdout}");
    }
    let (code, stdout, _) = outcome(program(&["run", "--help"]));
    assert_eq!(code, 0);
    // Lines break wherever the terminal ends.
    let stdout = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in [
        "--config.file",
        "--mns.endpoint",
        "--mns.queue",
        "--mode",
        "--web.listen-address",
        "--web.telemetry-path",
        "[default: :10058]",
        "[env: VOD_CALLBACK_EXPORTER_WEB_LISTEN_ADDRESS]",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    ] {
        assert!(stdout.contains(word), "{word}\n{stdout}");
    }
}

#[test]
fn a_cause_is_told_once() {
    let (_directory, path) = file("");
    let run = |flag: &str| {
        let target = ["--mns.endpoint=http://127.0.0.1:1", "--mns.queue=a"];
        let listen = "--web.listen-address=127.0.0.1:0";
        outcome(program(&[&["run", listen, flag][..], &target].concat()))
    };
    let missing = ["check-config", "--config.file=/nonexistent/vod.yaml"];
    let state = format!("--state.path={}", path.join("state").display());
    for (code, _, stderr) in [outcome(program(&missing)), run(&state)] {
        assert_ne!(code, 0);
        let error = stderr.lines().find(|line| line.starts_with("error: "));
        let error = error.unwrap_or_else(|| panic!("{stderr}"));
        assert_eq!(error.matches("(os error").count(), 1, "{error}");
    }
}

#[test]
fn bad_flags_exit_with_64_and_say_what_is_accepted() {
    for (args, message) in [
        (&[][..], "Usage"),
        (&["fly"], "fly"),
        (&["run", "--colour"], "--colour"),
        (
            &["run", "--config.file=a", "--mode=peek"],
            "cannot be used with",
        ),
        (
            &["run"],
            "give --config.file, or --mns.endpoint and --mns.queue",
        ),
        (
            &["run", "--mns.queue=a"],
            "without --mns.endpoint; add the endpoint",
        ),
        (
            &["run", "--mns.endpoint=http://localhost"],
            "without --mns.queue; add the queue's name",
        ),
        (
            &["run", "--config.file=a", "--mns.queue=b"],
            "cannot be used with",
        ),
        (
            &["run", "--mns.endpoint=x", "--mns.queue=a/b"],
            "--mns.endpoint: found `x`, expected",
        ),
        (
            &["run", "--mode=tap"],
            "tap is not in this version, expected peek or consume",
        ),
        (&["run", "--web.listen-address=10058"], "expected HOST:PORT"),
        (
            &["run", "--web.telemetry-path=/-/ready"],
            "other pages are there",
        ),
        (
            &["run", "--log.level=loud"],
            "expected error, warn, info, debug or trace",
        ),
        (&["run", "--log.format=xml"], "expected logfmt or json"),
        (&["check-config"], "--config.file"),
        (
            &["check-config", "--config.file=/no/such.yaml"],
            "cannot read config file /no/such.yaml",
        ),
    ] {
        let (code, stdout, stderr) = outcome(program(args));
        assert_eq!(code, 64, "{args:?}: {stderr}");
        assert_eq!(stdout, "", "{args:?}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
    }
}

#[test]
fn a_good_file_is_ok() {
    let (_dir, path) = file(CONFIG);
    let flag = format!("--config.file={}", path.display());
    let (code, stdout, stderr) = outcome(program(&["check-config", &flag]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(
        stdout,
        format!("OK: 2 queues and 1 prefix in {}\n", path.display())
    );
}

#[test]
fn a_file_with_warnings_is_ok_and_says_them() {
    let (_dir, path) = file(&CONFIG.replace("127.0.0.1:1", "mns.example.com"));
    let mut command = program(&["check-config"]);
    command.env("VOD_CALLBACK_EXPORTER_CONFIG_FILE", &path);
    let (code, stdout, stderr) = outcome(command);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("OK: "), "{stdout}");
    let place = format!("warning: {}:2: defaults.endpoint: ", path.display());
    assert!(stderr.starts_with(&place), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn every_problem_of_a_file_is_said_once_by_both_subcommands() {
    let (_dir, path) = file(
        &CONFIG
            .replace("name: b", "name: a, tick: 5")
            .replace("TEST_ID", "NO_ID"),
    );
    let flag = format!("--config.file={}", path.display());
    for subcommand in ["check-config", "run"] {
        let (code, stdout, stderr) = outcome(program(&[subcommand, &flag]));
        assert_eq!((code, stdout.as_str()), (64, ""), "{stderr}");
        for message in [
            "NO_ID is not set",
            "queues[1].tick: found the number 5",
            "queues[1]: found queue `a`",
        ] {
            assert_eq!(stderr.matches(message).count(), 1, "{message}\n{stderr}");
        }
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
}

#[test]
fn a_single_queue_needs_the_access_key_of_the_environment() {
    let mut command = program(&["run", "--mns.endpoint=http://127.0.0.1:1", "--mns.queue=a"]);
    command.env_remove("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    let (code, _, stderr) = outcome(command);
    assert_eq!(code, 64, "{stderr}");
    assert!(
        stderr.contains("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set"),
        "{stderr}"
    );
}

#[test]
fn a_port_in_use_exits_with_1() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let mut by_twins = program(&["run"]);
    by_twins
        .env("VOD_CALLBACK_EXPORTER_MNS_ENDPOINT", "http://127.0.0.1:1")
        .env("VOD_CALLBACK_EXPORTER_MNS_QUEUE", "a")
        .env("VOD_CALLBACK_EXPORTER_WEB_LISTEN_ADDRESS", &address);
    let (_dir, path) = file(CONFIG);
    let by_file = program(&[
        "run",
        &format!("--config.file={}", path.display()),
        &format!("--web.listen-address={address}"),
    ]);
    for command in [by_twins, by_file] {
        let (code, _, stderr) = outcome(command);
        assert_eq!(code, 1, "{stderr}");
        assert!(
            stderr.contains(&format!("error: cannot listen on {address}: ")),
            "{stderr}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consuming_is_said_once_mns_answers_in_the_form_asked_for() {
    const SAID: &str = "This exporter receives and deletes the messages of this queue.";
    let world = World::new(51, &["a"], 30);
    let consuming = |flag: &str| {
        let mut command = StdCommand::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
        command
            .env_clear()
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET)
            .args(["run", flag, "--mns.queue=a", "--mode=consume"])
            .args([
                "--web.listen-address=127.0.0.1:0",
                &format!("--mns.endpoint={}", world.url),
            ]);
        Process::start(command)
    };
    let line = consuming("--log.format=logfmt").line(|line| line.contains(SAID));
    assert!(line.contains("level=warn"), "{line}");
    assert!(line.contains(" queue=a "), "{line}");
    assert!(line.contains(&format!("endpoint={}", world.url)), "{line}");
    let line = consuming("--log.format=json").line(|line| line.contains(SAID));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["level"], &line["queue"]),
        (&"WARN".into(), &"a".into())
    );

    let polls = || world.emulator.state().parked_polls;
    until(|| polls() == 0, || "the others have gone".to_owned()).await;
    let mut quiet = consuming("--log.level=error");
    until(|| polls() > 0, || "it consumes".to_owned()).await;
    quiet.terminate();
    assert_eq!(quiet.finish(), (Some(0), &[][..]));
}
