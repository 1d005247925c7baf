//! `probe`: its exit code is the health of what it asks.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/exporter.rs"]
mod exporter;
#[path = "support/process.rs"]
mod process;
#[path = "support/world.rs"]
mod world;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use authority::Authority;
use exporter::Exporter;

const CONFIG: &str = "queues: [{name: a, account: main, endpoint: \"http://127.0.0.1:1\"}]\n";
const PASSWORD: &str = "in-the-clear";

/// Exit code, stdout and stderr.
fn probe(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"))
        .env_clear()
        .arg("probe")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Answers one request in this way; gives the URL.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/-/ready", listener.local_addr().unwrap());
    thread::spawn(move || answer_in_turn(&listener, &[answer]));
    url
}

/// Answers as many requests as there are answers, and nobody thereafter.
fn answer_in_turn(listener: &TcpListener, answers: &[&str]) {
    for answer in answers {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        _ = stream.read(&mut head).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

#[test]
fn a_healthy_exporter_is_0_and_an_absent_one_1() {
    let exporter = Exporter::start(CONFIG);
    let url = format!("http://{}/-/healthy", exporter.address);
    assert_eq!(
        probe(&[&url]),
        (Some(0), "200 OK\n".to_owned(), String::new())
    );
    drop(exporter);
    let (code, stdout, stderr) = probe(&[&url]);
    assert_eq!((code, &*stdout), (Some(1), ""));
    assert!(
        stderr.contains(&format!("no answer from {url}")),
        "{stderr}"
    );
}

#[test]
fn what_is_no_success_is_1_and_told() {
    for (answer, told) in [
        (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10\r\n\r\nStopping.\n",
            "503 Service Unavailable: Stopping.",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            "302 Found",
        ),
        (
            "HTTP/1.1 500 Broken\r\nContent-Length: 9\r\n\r\n\x1b[31mred\n",
            "500 Internal Server Error: \\u{1b}[31mred",
        ),
    ] {
        let (code, _, stderr) = probe(&[&answering(answer)]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
    // The end of the connection before an answer.
    assert_eq!(probe(&[&answering("")]).0, Some(1));
}

#[test]
fn who_does_not_answer_in_time_is_1() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (code, _, stderr) = probe(&[&url, "--timeout=1"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("timed out"), "{stderr}");
}

#[test]
fn what_starts_is_waited_for_on_demand() {
    let unready = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10\r\nConnection: close\r\n\r\nStarting.\n";
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let wrong = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for (answers, code) in [
        (&[unready, unready, good][..], Some(0)),
        // Nothing that passes by itself: it is told at once.
        (&[unready, wrong], Some(1)),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/-/ready", listener.local_addr().unwrap());
        thread::scope(|scope| {
            // It would fail, or wait for ever, with fewer or more requests than answers.
            let asked = scope.spawn(|| probe(&[&url, "--retry", "--timeout=60"]));
            answer_in_turn(&listener, answers);
            let (found, _, stderr) = asked.join().unwrap();
            assert_eq!(found, code, "{stderr}");
            assert_eq!(
                code == Some(1),
                stderr.contains("401 Unauthorized"),
                "{stderr}"
            );
        });
    }
}

#[test]
fn a_refused_connection_is_tried_again_until_somebody_listens() {
    // Somebody else may take the port meanwhile; it is taken again at once.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/-/ready");
    drop(listener);
    let (code, _, stderr) = probe(&[&url, "--retry", "--timeout=1"]);
    assert_eq!(code, Some(1), "{stderr}");
    for part in [
        "gave up after 1 s and ",
        " attempts",
        "no answer from",
        "refused",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(!stderr.contains("and 1 attempts"), "{stderr}");

    thread::scope(|scope| {
        let asked = scope.spawn(|| probe(&[&url, "--retry", "--timeout=60"]));
        let listener = TcpListener::bind(address).unwrap();
        answer_in_turn(&listener, &["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
        assert_eq!(asked.join().unwrap().0, Some(0));
    });
}

#[test]
fn bad_flags_are_64_and_tell_no_secret() {
    for (arguments, told) in [
        (
            &["http://user:hunter2@127.0.0.1/"][..],
            "give --user and --password-file",
        ),
        (&["ftp://127.0.0.1/"], "expected http or https"),
        (&["nowhere"], "invalid value"),
        (&["--user=a"], "--password-file"),
        (&["--cert-file=a"], "--key-file"),
        (&["--timeout=0"], "--timeout"),
    ] {
        let (code, _, stderr) = probe(arguments);
        assert_eq!(code, Some(64), "{stderr}");
        assert!(
            stderr.contains(told) && !stderr.contains("hunter2"),
            "{stderr}"
        );
    }
}

#[test]
fn a_certificate_and_a_password_are_shown_where_they_are_wanted() {
    let authority = Authority::new();
    let (server, client) = (authority.server(), authority.named("probe.example"));
    let web = format!(
        "tls_server_config: {{cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem, \
         client_auth_type: RequireAndVerifyClientCert}}\nbasic_auth_users: {{probe: {}}}\n",
        bcrypt::hash(PASSWORD, 4).unwrap()
    );
    let files = [
        ("web.yaml", &*web),
        ("ca.pem", &authority.pem()),
        ("server.pem", &server.certificate),
        ("server.key", &server.key),
        ("client.pem", &client.certificate),
        ("client.key", &client.key),
        ("password", &format!("{PASSWORD}\n")),
        ("wrong", "wrong"),
    ];
    let exporter = Exporter::start_with(CONFIG, &files, &["--web.config.file={dir}/web.yaml"]);
    let url = format!("https://{}/-/healthy", exporter.address);
    let flag = |flag: &str, file: &str| format!("--{flag}={}", exporter.path(file).display());
    let ca = flag("ca-file", "ca.pem");
    let shown = [
        flag("cert-file", "client.pem"),
        flag("key-file", "client.key"),
    ];
    let password = [flag("password-file", "password"), "--user=probe".to_owned()];
    let wrong = [flag("password-file", "wrong"), "--user=probe".to_owned()];
    let ask = |flags: &[&[String]]| {
        let mut arguments = vec![url.as_str()];
        arguments.extend(flags.iter().copied().flatten().map(String::as_str));
        probe(&arguments)
    };
    let (trusting, trusted) = ([ca], ["--insecure".to_owned()]);
    assert_eq!(ask(&[&trusting, &shown, &password]).0, Some(0));
    assert_eq!(ask(&[&trusted, &shown, &password]).0, Some(0));
    for flags in [
        &[&shown[..], &password][..],
        &[&trusting, &password],
        &[&trusted, &shown],
        &[&trusted, &shown, &wrong],
    ] {
        let (code, _, stderr) = ask(flags);
        assert_eq!(code, Some(1), "{flags:?}: {stderr}");
        assert!(!stderr.contains(PASSWORD), "{stderr}");
    }
    let (_, _, stderr) = ask(&[&trusted, &shown, &wrong]);
    assert!(
        stderr.contains("401 Unauthorized: Unauthorized."),
        "{stderr}"
    );
}
