//! A full run, well and badly configured, in which no secret shows: in no line of the log at the most talkative level, on no
//! page, in no error and in no metric.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/cloud.rs"]
mod cloud;
#[path = "support/exporter.rs"]
mod exporter;
#[path = "support/process.rs"]
mod process;
#[path = "support/world.rs"]
mod world;

use std::process::Command;
use std::time::Duration;

use authority::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloud::{Fake, Reply};
use exporter::{Exporter, TOKEN};
use vod_callback_exporter::clock;
use vod_callback_exporter::emulator::vod::CallbackSettings;
use vod_callback_exporter::emulator::{Credentials, Fault, FaultRule, Options};
use world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, World, until};

const PASSWORD: &str = "correct-horse-battery";
const WRONG_PASSWORD: &str = "wrong-horse-battery";
const AUTH_KEY: &str = "vod-callback-auth-key";
/// In the URI of a service that hands out credentials.
const URI_KEY: &str = "key-of-a-credentials-uri";
/// What the kubelet would project.
const OIDC_TOKEN: &str = "eyJ.oidc-token-of-a-pod";
/// Stands where no secret should.
const MISPLACED: &str = "misplaced-secret";
const TITLE: &str = "title-of-a-customers-video";
const EXE: &str = env!("CARGO_BIN_EXE_vod-callback-exporter");
const PAGES: [&str; 11] = [
    "/",
    "/metrics",
    "/-/healthy",
    "/-/ready",
    "/-/reload",
    "/api/v1/queues",
    "/api/v1/transcodes",
    "/api/v1/quarantine",
    "/api/v1/quarantine?bodies=1",
    "/api/v1/nothing",
    "/nowhere",
];

/// Everything that anybody could read.
#[derive(Default)]
struct Told(Vec<(String, String)>);

impl Told {
    fn add(&mut self, of: &str, text: String) {
        self.0.push((of.to_owned(), text));
    }

    /// What a program printed.
    fn run(&mut self, command: &mut Command) -> String {
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        self.add(&format!("{:?}", command.get_args().next()), text.clone());
        text
    }

    /// What the exporter says of a page, headers included.
    fn curl(&mut self, exporter: &Exporter, path: &str, arguments: &[&str]) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--max-time", "30"])
            .args([
                "--cacert",
                "ca.pem",
                "--cert",
                "client.pem",
                "--key",
                "client.key",
            ])
            .args(arguments)
            .arg(format!("https://{}{path}", exporter.address))
            .current_dir(exporter.path(""));
        self.run(&mut curl)
    }

    fn assert_holds_none_of(&self, secrets: &[(&str, String)]) {
        for (of, text) in &self.0 {
            for (name, secret) in secrets {
                let line = text.lines().find(|line| line.contains(secret.as_str()));
                assert_eq!(line, None, "{name} in {of}");
            }
        }
    }
}

fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

/// A line from the middle of a key's PEM, which is secret.
fn core_of(key: &str) -> String {
    key.lines().nth(1).unwrap().to_owned()
}

fn world(seed: u64, queues: &[&str]) -> World {
    let options = Options {
        seed,
        credentials: Credentials {
            access_key_id: ACCESS_KEY_ID.to_owned(),
            access_key_secret: ACCESS_KEY_SECRET.to_owned(),
            security_token: Some(TOKEN.to_owned()),
        },
        ..Options::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET)
    };
    World::with(options, "127.0.0.1:0", queues, 30)
}

async fn good_life(
    told: &mut Told,
    exporter: &mut Exporter,
    world: &World,
    [right, wrong]: [&[&str]; 2],
) {
    until(
        || world.is_empty("a"),
        || "everything is passed on".to_owned(),
    )
    .await;
    exporter
        .process
        .line(|line| line.contains("queue=b ") && line.contains("access_denied"));
    for account in ["account=pod", "account=lost"] {
        exporter.process.line(|line| line.contains(account));
    }
    exporter
        .process
        .line(|line| line.contains("vod_callback") || line.contains("callback configuration"));
    // With a password.
    exporter
        .process
        .line(|line| line.contains("Alerts are not taken."));
    for path in PAGES {
        let page = told.curl(exporter, path, right);
        assert!(
            page.starts_with("HTTP/1.1 ") && !page.starts_with("HTTP/1.1 401"),
            "{page}"
        );
        told.curl(exporter, path, &[right, &["--request", "POST"]].concat());
        assert!(told.curl(exporter, path, wrong).starts_with("HTTP/1.1 401"));
    }
    let accept = [
        "--header",
        "Accept: application/openmetrics-text;version=1.0.0",
    ];
    told.curl(exporter, "/metrics", &[right, &accept].concat());
}

/// Configs with a secret where none should be.
fn bad_configs(told: &mut Told, exporter: &Exporter, config: &str, right: &[&str]) {
    for wrong in [
        config.replace(
            "security_token_file: token",
            &format!("security_token:{MISPLACED}"),
        ),
        format!("{config}  access_key_secret: {MISPLACED}\n"),
        config.replace(
            "security_token_file: token",
            &format!("security_token: {MISPLACED}"),
        ),
        config.replace("http://", &format!("http://alice:{MISPLACED}@")),
        config.replace(
            "access_key_id_file: id,",
            &format!("access_key_id_file: id, proxy: \"http://a:{MISPLACED}@b\","),
        ),
        format!("{config}\taccess_key_secret: {MISPLACED}\n"),
    ] {
        exporter.configure(&wrong);
        let reload = [right, &["--request", "POST"]].concat();
        let answer = told.curl(exporter, "/-/reload", &reload);
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        let flag = format!("--config.file={}", exporter.path("vod.yaml").display());
        told.run(Command::new(EXE).args(["check-config", &flag]));
    }
    exporter.configure(config);
}

/// Web configs with a secret where none should be, or with one that is damaged.
fn bad_web_configs(told: &mut Told, exporter: &Exporter, bad: &[String], right: &[&str]) {
    for wrong in bad {
        exporter.write("web.yaml", wrong);
        assert_eq!(
            told.curl(exporter, "/metrics", right).find("HTTP/1.1 200"),
            None,
            "{wrong}"
        );
        let flag = format!("--web.config.file={}", exporter.path("web.yaml").display());
        let said = told.run(Command::new(EXE).args(["check-config", &flag]));
        assert!(said.contains("error: "), "{said}");
    }
}

fn other_commands(told: &mut Told, exporter: &Exporter) {
    let flag = |flag: &str, file: &str| format!("--{flag}={}", exporter.path(file).display());
    let probe = [
        "probe".to_owned(),
        format!("https://{}/-/ready", exporter.address),
        "--insecure".to_owned(),
        flag("cert-file", "client.pem"),
        flag("key-file", "client.key"),
        flag("password-file", "wrong"),
        "--user=alice".to_owned(),
    ];
    told.run(Command::new(EXE).args(probe));
    let endpoint = format!("--mns.endpoint=http://a:{MISPLACED}@127.0.0.1:1");
    told.run(Command::new(EXE).args(["run", &endpoint, "--mns.queue=q"]));
}

/// `check` of every account, with an STS that names whom it was asked by and one that refuses.
fn checks(told: &mut Told, exporter: &Exporter, world: &World) {
    let flag = format!("--config.file={}", exporter.path("vod.yaml").display());
    for sts in [&world.url, "http://127.0.0.1:1"] {
        for format in ["text", "json"] {
            let said = told.run(Command::new(EXE).args([
                "check",
                &flag,
                &format!("--format={format}"),
                &format!("--sts.endpoint={sts}"),
                &format!("--ram.endpoint={}", world.url),
            ]));
            for part in ["pod", "given by oidc", "lost", "service.test.Broken"] {
                assert!(said.contains(part), "{part}: {said}");
            }
        }
    }
}

/// An STS that gives a role, and a service of one's own that repeats a secret where it should explain.
async fn clouds() -> (Fake, Fake) {
    let expires = clock::now().plus(Duration::from_hours(1));
    let sts = Fake::start(move |_| cloud::role(1, expires).at(clock::now())).await;
    let lost = Fake::saying(|| Reply::refusal(403, "service.test.Broken")).await;
    (sts, lost)
}

/// A world in which the pod's role is who it is.
fn pods_world() -> World {
    let options = Options {
        seed: 83,
        credentials: Credentials {
            access_key_id: "STS.1".to_owned(),
            access_key_secret: "hunter-1".to_owned(),
            security_token: Some("token-1".to_owned()),
        },
        ..Options::new("unused", "unused")
    };
    World::with(options, "127.0.0.1:0", &["c"], 30)
}

/// All that can hold a secret, at a good MNS, one that refuses, one for the pods, and at services for credentials.
fn config(url: &str, refusing: &str, pods: &str, [sts, lost]: [&str; 2]) -> String {
    let (role, oidc) = (cloud::ROLE, cloud::OIDC_PROVIDER);
    format!(
        "  pod: {{credentials: oidc, role_arn: \"{role}\", oidc_provider_arn: \"{oidc}\", oidc_token_file: oidc, \
              sts_endpoint: \"{sts}\"}}\n  \
         lost: {{credentials: uri, credentials_uri: \"{lost}/creds?key={URI_KEY}\"}}\n  \
         sts: {{access_key_id_file: id, access_key_secret_file: secret, security_token_file: token}}\n\
         defaults: {{account: sts, endpoint: \"{url}\", tick: 10s}}\n\
         queues:\n\
         - {{name: a, mode: consume, forward: {{name: worker}}, \
              vod: {{region: cn-shanghai, endpoint: \"{url}\", requests_per_second: 50}}}}\n\
         - {{name: b, endpoint: \"{refusing}\"}}\n\
         - {{name: c, account: pod, endpoint: \"{pods}\"}}\n\
         - {{name: d, account: lost}}\n\
         alertmanager: {{urls: [\"{refusing}\"], username: alice, password_file: wrong}}\n"
    )
}

/// A failed transcode, which an alert tells of.
fn failure() -> String {
    format!(
        r#"{{"EventType":"TranscodeComplete","Status":"fail","VideoId":"{:032}","EventTime":"{}","ErrorCode":"InternalError"}}"#,
        8,
        clock::now()
    )
}

fn upload() -> String {
    format!(
        r#"{{"EventType":"FileUploadComplete","Status":"success","VideoId":"{:032}","EventTime":"2026-02-01T08:00:05Z","Title":"{TITLE}"}}"#,
        7
    )
}

fn broken(key: &str) -> String {
    let mut broken = key.to_owned();
    broken.replace_range(80..90, "??????????");
    broken
}

/// A web config with a key in place.
fn web(key: &str, users: &str) -> String {
    format!(
        "tls_server_config:\n  cert_file: server.pem\n  key: |\n    {}\n  client_ca_file: ca.pem\n  \
         client_auth_type: RequireAndVerifyClientCert\nbasic_auth_users: {users}\n",
        indented(key)
    )
}

/// Web configs with a secret where none should be, or with one that is damaged.
fn bad_webs(good_web: &str, key: &str, hash: &str) -> Vec<String> {
    let hashed = format!("{{alice: {hash}}}");
    let broken = broken(key);
    vec![
        web(&broken, &hashed),
        web(key, &format!("{{alice: {MISPLACED}}}")),
        web(key, &format!("[{MISPLACED}, {hash}]")),
        web(key, &format!("{{alice: [{MISPLACED}, {hash}]}}")),
        good_web.replace("key: |", "key_file: |"),
        good_web.replace(
            "tls_server_config:\n",
            &format!("tls_server_config:\n  kye: {MISPLACED}\n"),
        ),
        good_web.replace("  key: |", " key: |"),
        good_web.replace("cert_file: server.pem", "cert_file: client.pem"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_shows_anywhere() {
    let world = world(81, &["a", "worker", "refused"]);
    world.emulator.set_callback(CallbackSettings {
        callback_type: "MNS".to_owned(),
        auth_key: AUTH_KEY.to_owned(),
        ..CallbackSettings::default()
    });
    world.emulator.send("a", &upload()).unwrap();
    world.emulator.send("a", &format!("{{{TITLE}")).unwrap();
    world.emulator.send("a", &failure()).unwrap();
    let url = &world.url;
    // A bad signature is told with what was signed, by servers that like to talk.
    let refusing = World::new(82, &["b"], 30);
    refusing
        .emulator
        .set_faults(vec![FaultRule::always(Fault::AccessDenied)]);
    let (sts, lost) = clouds().await;
    let pods = pods_world();
    let (sts_url, lost_url) = (sts.url(), lost.url());
    let config = config(url, &refusing.url, &pods.url, [&sts_url, &lost_url]);
    let authority = Authority::new();
    let (server, client) = (authority.server(), authority.named("client.example"));
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    let good_web = web(&server.key, &format!("{{alice: {hash}}}"));
    let files = [
        ("web.yaml", &*good_web),
        ("ca.pem", &authority.pem()),
        ("server.pem", &server.certificate),
        ("client.pem", &client.certificate),
        ("client.key", &client.key),
        ("wrong", WRONG_PASSWORD),
        ("oidc", OIDC_TOKEN),
    ];
    let further = ["--web.config.file={dir}/web.yaml", "--web.enable-lifecycle"];
    let mut exporter = Exporter::start_with(&config, &files, &further);
    let mut told = Told::default();
    let right = ["--user", &format!("alice:{PASSWORD}")].map(ToOwned::to_owned);
    let right: Vec<&str> = right.iter().map(String::as_str).collect();
    let wrong = ["--user", &format!("alice:{WRONG_PASSWORD}")].map(ToOwned::to_owned);
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();

    good_life(&mut told, &mut exporter, &world, [&right, &wrong]).await;
    bad_configs(&mut told, &exporter, &config, &right);
    let bad_webs = bad_webs(&good_web, &server.key, &hash);
    bad_web_configs(&mut told, &exporter, &bad_webs, &right);
    exporter.write("web.yaml", &good_web);
    let page = told.curl(&exporter, "/metrics", &right);
    assert!(
        page.contains("web_refusals_total{reason=\"web_config\"} "),
        "{page}"
    );
    other_commands(&mut told, &exporter);
    checks(&mut told, &exporter, &world);
    exporter.process.terminate();
    let (code, lines) = exporter.process.finish();
    assert_eq!(code, Some(0));
    assert!(
        lines.len() > 20,
        "the log is talkative: {} lines",
        lines.len()
    );
    told.add("the log", lines.join("\n"));
    let basic = |password: &str| STANDARD.encode(format!("alice:{password}"));
    told.assert_holds_none_of(&[
        ("the access key secret", ACCESS_KEY_SECRET.to_owned()),
        ("the security token", TOKEN.to_owned()),
        ("a signature of MNS", format!("MNS {ACCESS_KEY_ID}:")),
        ("a signature of VOD", "Signature=".to_owned()),
        ("the pod's OIDC token", OIDC_TOKEN.to_owned()),
        ("the role's access key secret", "hunter-1".to_owned()),
        ("the role's security token", "token-1".to_owned()),
        ("a signature of the role", "MNS STS.1:".to_owned()),
        ("the key in the credentials URI", URI_KEY.to_owned()),
        ("a signature of STS", "ACS3-HMAC-SHA256".to_owned()),
        ("VOD's AuthKey", AUTH_KEY.to_owned()),
        ("the password", PASSWORD.to_owned()),
        ("the password as it is sent", basic(PASSWORD)),
        ("a wrong password", WRONG_PASSWORD.to_owned()),
        ("a wrong password as it is sent", basic(WRONG_PASSWORD)),
        ("the hash", hash),
        ("the server's key", core_of(&server.key)),
        ("the client's key", core_of(&client.key)),
        ("what stands in the wrong place", MISPLACED.to_owned()),
        ("the content of a message", TITLE.to_owned()),
    ]);
}
