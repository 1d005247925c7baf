//! `--web.config.file`: which files are good, and what a good one does to real clients.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "helpers of tests panic, and counts are whole numbers"
)]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/exporter.rs"]
mod exporter;
#[path = "support/process.rs"]
mod process;
#[path = "support/referees.rs"]
mod referees;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/world.rs"]
mod world;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use authority::{Authority, Pair};
use exporter::Exporter;
use proptest::prelude::*;
use referees::Referees;
use scrape::Scrape;
use vod_callback_exporter::admin::check_web_config;
use vod_callback_exporter::config::web::{self, WebConfig};

/// A queue that nobody answers for: these tests are about the exporter's own port.
const CONFIG: &str = "queues: [{name: a, account: main, endpoint: \"http://127.0.0.1:1\"}]\n";
/// `alice:in-the-clear`, at the lowest cost.
const HASH: &str = "$2b$04$XDfxnsvU2eSSAD9y.iz7Me7vq0re9PKlHiBuCMj5e2nIvjoFDs7Sa";
const PASSWORD: &str = "in-the-clear";
const TLS: &str = "cert_file: server.pem, key_file: server.key";
const RELOADS: &str = "vod_callback_exporter_config_reloads_total";
const RELOADED: &str = "vod_callback_exporter_config_last_reload_successful";
const REFUSALS: &str = "vod_callback_exporter_web_refusals_total";

/// One line of the table.
struct Row {
    text: String,
    expected: Result<&'static str, &'static str>,
    real: &'static str,
}

/// Good files, by what they mean in short, and bad ones, by a part of what is said.
fn table() -> impl Iterator<Item = Row> {
    let lines = include_str!("fixtures/web_config.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| {
        let (file, told) = line.split_once(" => ").unwrap();
        let mut words = file.splitn(3, ' ');
        let (verdict, real) = (words.next().unwrap(), words.next().unwrap());
        let text = words.next().unwrap_or_default();
        let verify = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem";
        let half: String = HASH.chars().take(40).collect();
        let text = text
            .replace("{TLS", &format!("{{{TLS}"))
            .replace("VERIFY", verify)
            .replace("HALF_HASH", &half)
            .replace("HASH", HASH)
            .replace("PASSWORD", PASSWORD);
        Row {
            text,
            expected: if verdict == "ok" { Ok(told) } else { Err(told) },
            real,
        }
    })
}

/// A directory with every file that the table names.
fn directory() -> tempfile::TempDir {
    let authority = Authority::new();
    let (server, other) = (authority.server(), authority.server());
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("ca.pem", &*authority.pem()),
        ("server.pem", &server.certificate),
        ("server.key", &server.key),
        ("other.key", &other.key),
        ("garbage", "what is this?"),
        ("hollow.pem", hollow),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn summary(path: &Path) -> Result<String, String> {
    let checked = check_web_config(path).map_err(|error| error.to_string())?;
    let scheme = if checked.tls { "https" } else { "http" };
    let warns = if checked.warnings.is_empty() {
        ""
    } else {
        " warns"
    };
    Ok(format!("{scheme} {}{warns}", checked.users))
}

#[test]
fn files_are_good_or_bad_as_the_table_says() {
    let directory = directory();
    let path = directory.path().join("web.yaml");
    for Row { text, expected, .. } in table() {
        std::fs::write(&path, &text).unwrap();
        match (summary(&path), expected) {
            // The warning of a section without effect is told elsewhere.
            (Ok(found), Ok(expected)) => assert_eq!(
                found.replace(" warns", ""),
                expected.replace(" warns", ""),
                "{text}"
            ),
            (Err(found), Err(expected)) => {
                assert!(found.contains(expected), "{text}: {found}");
                assert!(!found.contains(PASSWORD), "{found}");
            }
            (found, _) => panic!("{text}: {found:?}"),
        }
        let warns = summary(&path).is_ok_and(|found| found.ends_with("warns"));
        let expected = expected.is_ok_and(|expected| expected.ends_with("warns"));
        assert!(warns || !expected, "{text}");
    }
}

#[test]
fn the_real_reader_agrees_with_the_table() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let directory = directory();
    let path = directory.path().join("web.yaml");
    for Row {
        text,
        expected,
        real,
    } in table().filter(|row| row.real != "older")
    {
        std::fs::write(&path, &text).unwrap();
        let output = Command::new(referees.tool("bin/promtool"))
            .args(["check", "web-config"])
            .arg(&path)
            .output()
            .unwrap();
        let laxer = real == "laxer";
        assert_eq!(
            output.status.success(),
            expected.is_ok() || laxer,
            "{text}: {output:?}"
        );
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let directory = directory();
    let path = directory.path().join("web.yaml");
    let text = "\
tls_server_config:
  cert_file: none.pem
  key_file: server.key
  min_version: TLS9
basic_auth_users:
  alice: secret
http_server_config:
  headers:
    Server: mine
";
    std::fs::write(&path, text).unwrap();
    let error = summary(&path).unwrap_err();
    for line in [4, 6, 9] {
        assert!(error.contains(&format!("web.yaml:{line}: ")), "{error}");
    }
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn a_certificate_and_a_key_may_stand_in_the_file_itself() {
    let authority = Authority::new();
    let server = authority.server();
    let indented = |text: &str| text.trim_end().replace('\n', "\n    ");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web.yaml");
    let write = |key: &str| {
        let text = format!(
            "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n",
            indented(&server.certificate),
            indented(key)
        );
        std::fs::write(&path, text).unwrap();
    };
    write(&server.key);
    assert_eq!(summary(&path).unwrap(), "https 0");
    write(&server.key.replace("PRIVATE KEY", "PRIVATE KEYS"));
    let error = summary(&path).unwrap_err();
    assert!(
        error.contains("key: found no private key in the text"),
        "{error}"
    );
    let secret = server.key.lines().nth(1).unwrap();
    assert!(!error.contains(secret), "{error}");
}

proptest! {
    #[test]
    fn a_damaged_file_is_rules_or_a_list_of_problems(
        row in 0..table().count(),
        at in any::<prop::sample::Index>(),
        with in "[-a-z{}\\[\\]:, \\n\"0-9$]{0,4}",
    ) {
        let text = table().nth(row).unwrap().text;
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len() + 1);
        characters.splice(at..(at + 1).min(characters.len()), with.chars());
        let text: String = characters.into_iter().collect();
        if let Err(error) = WebConfig::parse("web.yaml", &text, None) {
            let error = error.to_string();
            prop_assert!(!error.contains(PASSWORD) && !error.contains("$2b$"), "{error}");
        }
    }
}

#[test]
fn the_web_documentation_is_what_the_code_says() {
    const MARK: &str =
        "<!-- options: written by `UPDATE_DOCS=1 cargo test --test web_config documentation` -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/web-config.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let parts: Vec<&str> = page.split(MARK).collect();
    let [before, _, after] = parts.as_slice() else {
        panic!("docs/web-config.md has two marks");
    };
    let expected = format!("{before}{MARK}\n{}\n{MARK}{after}", web::render());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(
        page == expected,
        "docs/web-config.md is old: run UPDATE_DOCS=1 cargo test --test web_config"
    );
}

/// An exporter with a web config and the files of a server.
fn serving(web: &str, server: &Pair, further: &[(&str, &str)]) -> Exporter {
    let mut files = vec![
        ("web.yaml", web),
        ("server.pem", &*server.certificate),
        ("server.key", &*server.key),
    ];
    files.extend(further);
    Exporter::start_with(CONFIG, &files, &["--web.config.file={dir}/web.yaml"])
}

/// What curl says of `/metrics`: exit code, status, and the answer.
fn curl(exporter: &Exporter, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30", "--include"])
        .args(arguments)
        .arg(format!("https://{}/metrics", exporter.address))
        .current_dir(exporter.path(""))
        .output()
        .expect("curl is there");
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    (output.status.code(), status, answer)
}

/// The refusals of a reason, told to a client that is let in.
async fn refusals(client: &reqwest::Client, exporter: &Exporter, reason: &str) -> f64 {
    let url = format!("https://{}/metrics", exporter.address);
    let answer = client
        .get(url)
        .basic_auth("alice", Some(PASSWORD))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let scrape = Scrape::from_text(answer.text().await.unwrap());
    scrape.get(REFUSALS, &[("reason", reason)]).unwrap()
}

/// A client that trusts an authority and opens a connection for every request.
fn client(authority: &Authority) -> reqwest::Client {
    builder(authority)
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

fn builder(authority: &Authority) -> reqwest::ClientBuilder {
    let pem = authority.pem();
    let mut roots = rustls::RootCertStore::empty();
    let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(Duration::from_secs(30))
}

#[test]
fn curl_with_the_right_certificate_gets_in() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let web = format!(
        "tls_server_config: {{{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, \
         client_allowed_sans: [scraper.example]}}\n"
    );
    let exporter = serving(&web, &authority.server(), &[("ca.pem", &authority.pem())]);
    let pairs = [
        ("good", authority.named("scraper.example")),
        ("other", authority.named("other.example")),
        ("wild", authority.named("*.example")),
        ("strange", stranger.named("scraper.example")),
    ];
    for (name, pair) in &pairs {
        exporter.write(&format!("{name}.pem"), &pair.certificate);
        exporter.write(&format!("{name}.key"), &pair.key);
    }
    let shows = |name: &str| {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let shown = ["--cert", &certificate, "--key", &key];
        curl(&exporter, &[&["--cacert", "ca.pem"][..], &shown].concat())
    };
    for (version, maximum) in [("--tlsv1.2", "1.2"), ("--tlsv1.3", "1.3")] {
        let shown = ["--cert", "good.pem", "--key", "good.key"];
        let tls = ["--cacert", "ca.pem", version, "--tls-max", maximum];
        let (code, status, answer) = curl(&exporter, &[&tls[..], &shown].concat());
        assert_eq!((code, &*status), (Some(0), "200"), "{answer}");
    }
    for name in ["other", "wild", "strange"] {
        let (code, status, answer) = shows(name);
        assert!(
            code != Some(0) && status.is_empty(),
            "{name}: {code:?} {answer}"
        );
    }
    let (code, ..) = curl(&exporter, &["--cacert", "ca.pem"]);
    assert_ne!(code, Some(0), "without a certificate");
    let (_, _, answer) = shows("good");
    assert!(
        answer.contains(&format!("{REFUSALS}{{reason=\"certificate\"}} 4")),
        "{answer}"
    );
}

#[test]
fn each_kind_of_name_is_matched_letter_by_letter() {
    use rcgen::SanType;
    let authority = Authority::new();
    let names = [
        (
            SanType::DnsName("a.example".try_into().unwrap()),
            "a.example",
        ),
        (
            SanType::Rfc822Name("a@b.example".try_into().unwrap()),
            "a@b.example",
        ),
        (
            SanType::URI("spiffe://a/b".try_into().unwrap()),
            "spiffe://a/b",
        ),
        (SanType::IpAddress("10.0.0.1".parse().unwrap()), "10.0.0.1"),
        (
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            "2001:db8::1",
        ),
    ];
    let web = |name: &str| {
        format!(
            "tls_server_config: {{{TLS}, client_auth_type: RequireAnyClientCert, client_allowed_sans: [\"{name}\"]}}\n"
        )
    };
    let exporter = serving(&web("none"), &authority.server(), &[]);
    let get = || {
        curl(
            &exporter,
            &["--insecure", "--cert", "client.pem", "--key", "client.key"],
        )
    };
    for (san, written) in names {
        let pair = authority.issue(vec![san]);
        exporter.write("client.pem", &pair.certificate);
        exporter.write("client.key", &pair.key);
        exporter.write("web.yaml", &web("none"));
        assert_ne!(get().0, Some(0), "{written}");
        exporter.write("web.yaml", &web(written));
        assert_eq!(get().1, "200", "{written}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotating_certificates_under_load_drops_no_request() {
    let authority = Authority::new();
    let exporter = serving(
        &format!("tls_server_config: {{{TLS}}}\n"),
        &authority.server(),
        &[],
    );
    let (done, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let scrapers: Vec<_> = (0..4)
        .map(|_| {
            let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
            let client = client(&authority);
            let url = format!("https://{}/-/healthy", exporter.address);
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let answer = client
                        .get(&url)
                        .send()
                        .await
                        .expect("no request is dropped");
                    assert_eq!(answer.status(), 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..10 {
        let pair = authority.server();
        exporter.write("server.pem", &pair.certificate);
        // Half rotated: the certificate is new and the key is old.
        let seen = answered.load(Ordering::Relaxed);
        world::until(
            || {
                answered.load(Ordering::Relaxed) >= seen + 8
                    || scrapers.iter().any(tokio::task::JoinHandle::is_finished)
            },
            || format!("requests are answered in round {round}"),
        )
        .await;
        exporter.write("server.key", &pair.key);
    }
    done.store(true, Ordering::Relaxed);
    for scraper in scrapers {
        scraper.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_turned_bad_keeps_everybody_out_until_it_is_corrected() {
    let authority = Authority::new();
    let server = authority.server();
    let web = format!("tls_server_config: {{{TLS}}}\nbasic_auth_users: {{alice: {HASH}}}\n");
    let mut exporter = serving(&web, &server, &[]);
    let client = client(&authority);
    let url = format!("https://{}/-/healthy", exporter.address);
    let ask = async || {
        let request = client.get(&url).basic_auth("alice", Some(PASSWORD));
        request
            .send()
            .await
            .ok()
            .map(|answer| answer.status().as_u16())
    };
    assert_eq!(ask().await, Some(200));
    let unusable = web.replace("server.key", "nothing.key");
    for (file, bad, good, said) in [
        (
            "web.yaml",
            "tls_server_confg: {}",
            &web,
            "did you mean `tls_server_config`?",
        ),
        (
            "web.yaml",
            "",
            &web,
            "found no TLS, which was there at the start",
        ),
        ("web.yaml", &unusable, &web, "nothing.key"),
    ] {
        exporter.write(file, bad);
        assert_eq!(ask().await, None, "{file} is {bad:?}");
        let line = exporter.process.line(|line| line.contains(said));
        assert!(
            line.contains("level=error") && line.contains("are refused until"),
            "{line}"
        );
        exporter.write(file, good);
        assert_eq!(ask().await, Some(200), "{file} is good again");
    }
    assert!(refusals(&client, &exporter, "web_config").await >= 3.0);

    // What becomes good is in force at once, without a restart.
    exporter.write("web.yaml", &web.replace("alice", "bob"));
    assert_eq!(ask().await, Some(401));
    exporter.write("web.yaml", &web);
    assert_eq!(ask().await, Some(200));
    assert_eq!(refusals(&client, &exporter, "unauthorized").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_and_keys_that_turned_to_garbage_leave_the_last_good_ones_in_use() {
    let authority = Authority::new();
    let server = authority.server();
    let web = format!(
        "tls_server_config: {{{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem}}\n\
         basic_auth_users: {{alice: {HASH}}}\n"
    );
    let ca = authority.pem();
    let mut exporter = serving(&web, &server, &[("ca.pem", &ca)]);
    let client = client(&authority);
    let url = format!("https://{}/metrics", exporter.address);
    let ask = async |user: &str| {
        let asked = client.get(&url).basic_auth(user, Some(PASSWORD)).send();
        asked.await.ok().map(|answer| answer.status().as_u16())
    };
    let scrape = async || {
        let asked = client.get(&url).basic_auth("alice", Some(PASSWORD)).send();
        Scrape::from_text(asked.await.unwrap().text().await.unwrap())
    };
    let failures = |scrape: &Scrape| {
        let failures = scrape.get(RELOADS, &[("result", "failure")]).unwrap();
        (failures, scrape.get(RELOADED, &[]).unwrap())
    };
    // It listens before it says since when its config is in force.
    world::until_asked(
        async || scrape().await.get(RELOADED, &[]) == Some(1.0),
        || "the config is in force".to_owned(),
    )
    .await;
    assert_eq!(failures(&scrape().await), (0.0, 1.0));
    for (round, (file, good, said)) in [
        (
            "server.pem",
            &*server.certificate,
            "found no certificate in",
        ),
        ("server.key", &server.key, "found no private key in"),
        ("ca.pem", &ca, "found no certificate in"),
    ]
    .into_iter()
    .enumerate()
    {
        exporter.write(file, "garbage");
        let count = f64::from(u32::try_from(round).unwrap() + 1);
        for _ in 0..3 {
            assert_eq!(failures(&scrape().await), (count, 0.0), "{file}");
        }
        let line = exporter.process.line(|line| line.contains(said));
        assert!(
            line.contains("level=error") && line.contains("the last good ones stay in use"),
            "{line}"
        );
        // Whom the rest of the file lets in is as it says now.
        exporter.write("web.yaml", &web.replace("alice", "bob"));
        assert_eq!(
            (ask("alice").await, ask("bob").await),
            (Some(401), Some(200))
        );
        exporter.write("web.yaml", &web);
        assert_eq!(ask("alice").await, Some(200));
        std::fs::remove_file(exporter.path(file)).unwrap();
        assert_eq!(failures(&scrape().await), (count, 0.0), "{file} is gone");
        exporter.write(file, good);
        assert_eq!(failures(&scrape().await), (count, 1.0), "{file}");
    }
    assert_eq!(refusals(&client, &exporter, "web_config").await, 0.0);
    // What is good is in use, and not what was good before.
    let stranger = Authority::new().server();
    exporter.write("server.pem", &stranger.certificate);
    exporter.write("server.key", &stranger.key);
    assert_eq!(ask("alice").await, None);
}

#[test]
fn established_connections_outlive_a_certificate_that_cannot_be_used() {
    let authority = Authority::new();
    let web = format!("tls_server_config: {{{TLS}}}\n");
    let exporter = serving(&web, &authority.server(), &[("ca.pem", &authority.pem())]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let kept = builder(&authority).build().unwrap();
        let url = format!("https://{}/metrics", exporter.address);
        let ask = async |client: &reqwest::Client| {
            let answer = client.get(&url).send().await.ok()?;
            let status = answer.status().as_u16();
            answer.bytes().await.unwrap();
            Some(status)
        };
        assert_eq!(ask(&kept).await, Some(200));
        exporter.write("web.yaml", &web.replace("server.key", "nothing.key"));
        assert_eq!(ask(&kept).await, Some(200));
        assert_eq!(ask(&client(&authority)).await, None);
        exporter.write("web.yaml", "tls_server_confg: {}");
        assert_eq!(ask(&kept).await, Some(500));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_and_headers_work_without_tls() {
    let authority = Authority::new();
    let web = format!(
        "basic_auth_users: {{alice: {HASH}}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny, \
         Strict-Transport-Security: max-age=1}}}}\n"
    );
    let exporter = serving(&web, &authority.server(), &[]);
    let client = client(&authority);
    for path in [
        "/",
        "/metrics",
        "/-/healthy",
        "/-/ready",
        "/api/v1/queues",
        "/nowhere",
    ] {
        let url = format!("http://{}{path}", exporter.address);
        let refused = client.get(&url).send().await.unwrap();
        assert_eq!(refused.status(), 401, "{path}");
        assert_eq!(refused.headers()["www-authenticate"], "Basic");
        for (user, password, admitted) in [
            ("alice", PASSWORD, true),
            ("alice", "x", false),
            ("bob", PASSWORD, false),
        ] {
            let answer = client
                .get(&url)
                .basic_auth(user, Some(password))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status() != 401, admitted, "{path} {user}");
            assert_eq!(answer.headers()["x-frame-options"], "deny");
            assert_eq!(answer.headers()["strict-transport-security"], "max-age=1");
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_above_the_rate_are_refused() {
    let authority = Authority::new();
    let exporter = serving(
        "rate_limit: {interval: 1h, burst: 2}\n",
        &authority.server(),
        &[],
    );
    let client = client(&authority);
    let url = format!("http://{}/metrics", exporter.address);
    let ask = async || client.get(&url).send().await.unwrap();
    assert_eq!(
        (ask().await.status(), ask().await.status()),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    assert_eq!(ask().await.status(), 429);
    exporter.write("web.yaml", "");
    let scrape = Scrape::from_text(ask().await.text().await.unwrap());
    assert_eq!(scrape.get(REFUSALS, &[("reason", "rate_limit")]), Some(1.0));
}

#[test]
fn plain_http_to_a_tls_port_is_told_so() {
    let authority = Authority::new();
    let exporter = serving(
        &format!("tls_server_config: {{{TLS}}}\n"),
        &authority.server(),
        &[],
    );
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "30"])
        .arg(format!("http://{}/metrics", exporter.address))
        .output()
        .unwrap();
    assert_eq!(
        output.stdout,
        b"Client sent an HTTP request to an HTTPS server.\n"
    );
}

#[test]
fn a_bad_web_config_ends_the_start() {
    let directory = exporter::directory(CONFIG);
    let web = directory.path().join("web.yaml");
    std::fs::write(&web, "basic_auth_users: {alice: plain-text}\n").unwrap();
    let flag = format!("--web.config.file={}", web.display());
    let arguments = ["--web.listen-address=127.0.0.1:0", &flag];
    let mut process = process::Process::start(exporter::command(directory.path(), &arguments));
    let (code, lines) = process.finish();
    assert_eq!(code, Some(64), "{lines:?}");
    let told = lines
        .iter()
        .find(|line| line.contains("web.yaml:1: basic_auth_users.alice: "));
    assert!(
        told.is_some_and(|line| !line.contains("plain-text")),
        "{lines:?}"
    );
}
