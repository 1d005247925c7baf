//! `check` against every misconfiguration that the emulator can play: what is wrong is found, and the remedy is the right
//! one.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/cloud.rs"]
mod cloud;
#[path = "support/world.rs"]
mod world;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use authority::Authority;
use cloud::{Fake, Reply, hours, key};
use serde_json::Value;
use tempfile::TempDir;
use vod_callback_exporter::emulator::vod::CallbackSettings;
use vod_callback_exporter::emulator::{
    self, AttributesPatch, Behaviour, Credentials, Fault, FaultRule, Operation, Policy,
};
use world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, World, refusing_address};

const OWNER: &str = "1234567890123456";

type Change = Box<dyn Fn(&mut CallbackSettings)>;

/// An installation: an emulator with all that is needed, and a config.
struct Installation {
    world: World,
    directory: TempDir,
    sts: String,
}

/// What `check` said.
struct Told {
    code: i32,
    text: String,
    json: Value,
}

impl Installation {
    /// One in which everything is right.
    fn new() -> Self {
        Self::with(Credentials {
            access_key_id: ACCESS_KEY_ID.to_owned(),
            access_key_secret: ACCESS_KEY_SECRET.to_owned(),
            security_token: None,
        })
    }

    fn with(credentials: Credentials) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |name, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("id", &credentials.access_key_id);
        write("secret", &credentials.access_key_secret);
        write(
            "token",
            credentials.security_token.as_deref().unwrap_or("none"),
        );
        let options = emulator::Options {
            credentials,
            region: Some("cn-shanghai".to_owned()),
            account_id: OWNER.to_owned(),
            ..emulator::Options::new("", "")
        };
        let queues = ["vod-callbacks", "worker-callbacks"];
        let world = World::with(options, "127.0.0.1:0", &queues, 30);
        let installation = Self {
            sts: world.url.clone(),
            world,
            directory,
        };
        installation.config("{name: vod-callbacks}");
        installation.callback(|_| {});
        installation
    }

    /// A config with these queues.
    fn config(&self, queues: &str) {
        let url = &self.world.url;
        self.write(&format!(
            "accounts: {{main: {{access_key_id_file: id, access_key_secret_file: secret}}}}\n\
             defaults: {{account: main, endpoint: \"{url}\", region: cn-shanghai, vod: {{endpoint: \"{url}\"}}}}\n\
             queues: [{queues}]\n"
        ));
    }

    /// A config without VOD, of a queue at this endpoint, whose account has more options.
    fn single(&self, endpoint: &str, account: &str) {
        self.write(&format!(
            "accounts: {{main: {{access_key_id_file: id, access_key_secret_file: secret{account}}}}}\n\
             queues: [{{name: vod-callbacks, account: main, endpoint: \"{endpoint}\"}}]\n"
        ));
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path("vod.yaml"), text).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// What VOD is told to do with callbacks.
    fn callback(&self, change: impl FnOnce(&mut CallbackSettings)) {
        let mut settings = CallbackSettings {
            callback_type: "MNS".to_owned(),
            event_type_list: "ALL".to_owned(),
            mns_endpoint: self.world.url.clone(),
            mns_queue_name: "vod-callbacks".to_owned(),
            auth_key: "hunter2".to_owned(),
            ..CallbackSettings::default()
        };
        change(&mut settings);
        self.world.emulator.set_callback(settings);
    }

    fn policies(&self, files: &[&str]) {
        let policies = files.iter().map(|name| policy(name));
        self.world.emulator.set_policies(Some(policies.collect()));
    }

    async fn check(&self) -> Told {
        let config = format!("--config.file={}", self.path("vod.yaml").display());
        self.check_with(&[&config]).await
    }

    async fn check_with(&self, flags: &[&str]) -> Told {
        let (code, text) = self.run(flags, "text").await;
        let (again, json) = self.run(flags, "json").await;
        assert_eq!(code, again, "{text}");
        let json: Value = serde_json::from_str(&json).unwrap_or_else(|_| panic!("{json}"));
        Told { code, text, json }
    }

    async fn run(&self, flags: &[&str], format: &str) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
        command
            .env_clear()
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET)
            .args(["check", &format!("--format={format}")])
            .args([
                format!("--sts.endpoint={}", self.sts),
                format!("--ram.endpoint={}", self.world.url),
            ])
            .args(flags)
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        for secret in [ACCESS_KEY_SECRET, "hunter2", "Signature="] {
            assert!(
                !out.contains(secret) && !error.contains(secret),
                "{out}{error}"
            );
        }
        assert!(!out.is_empty(), "{error}");
        (output.status.code().unwrap(), out)
    }

    fn depth(&self) -> (u64, u64, u64) {
        let queue = &self.world.emulator.state().queues["vod-callbacks"];
        let sent = self.world.emulator.state().queues["worker-callbacks"]
            .totals
            .sent;
        (queue.counts.active, queue.totals.received, sent)
    }
}

impl Told {
    /// Everything of this area with this status: what was found and what to do.
    fn of(&self, area: &str, status: &str) -> Vec<String> {
        let findings = self.json["findings"].as_array().unwrap().iter();
        let fits = |it: &&Value| it["area"] == area && it["status"] == status;
        findings
            .filter(fits)
            .map(|it| format!("{} {} -> {}", it["subject"], it["found"], it["remedy"]))
            .collect()
    }

    /// Nothing else fails than this, and both texts are told.
    #[track_caller]
    fn fails_only(&self, area: &str, found: &str, remedy: &str) {
        assert_eq!(self.json["fail"], 1, "{}", self.text);
        self.fails(area, found, remedy);
    }

    #[track_caller]
    fn fails(&self, area: &str, found: &str, remedy: &str) {
        let told = self.of(area, "fail");
        let fits = |it: &&String| it.contains(found) && it.contains(remedy);
        assert!(told.iter().any(|it| fits(&it)), "{area}: {}", self.text);
        assert!(self.code == 1 || self.code == 64, "{}", self.code);
        for text in [found, remedy] {
            assert!(self.text.contains(text), "{text}\n{}", self.text);
        }
    }

    #[track_caller]
    fn is_good(&self) {
        assert_eq!(
            (self.code, &self.json["fail"]),
            (0, &0.into()),
            "{}",
            self.text
        );
    }
}

/// One of the published policies.
fn policy(name: &str) -> Policy {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/ram")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_wrong_with_a_good_installation_and_nothing_changes() {
    let it = Installation::new();
    it.config("{name: vod-callbacks, mode: consume, forward: {name: worker-callbacks}}");
    for clamp_batch_size in [false, true] {
        it.world.emulator.set_behaviour(Behaviour {
            clamp_batch_size,
            ..Behaviour::default()
        });
        it.world.emulator.send("vod-callbacks", "a").unwrap();
        let before = it.depth();
        let told = it.check().await;
        told.is_good();
        assert_eq!(
            (&told.json["warn"], &told.json["skipped"]),
            (&0.into(), &1.into()),
            "{}",
            told.text
        );
        assert_eq!(before, it.depth(), "{}", told.text);
    }
    let told = it.check().await;
    let identity = format!("acs:ram::{OWNER}:user/emulator (RAMUser)");
    assert!(
        told.of("identity", "ok")[0].contains(&identity),
        "{}",
        told.text
    );
    for area in [
        "config",
        "secrets",
        "connection",
        "clock",
        "credentials",
        "queue",
        "permissions",
        "role",
        "callback",
        "region",
    ] {
        assert!(!told.of(area, "ok").is_empty(), "{area}\n{}", told.text);
    }
    let lines: Vec<&str> = told.text.lines().collect();
    assert_eq!(
        lines.len(),
        told.json["findings"].as_array().unwrap().len() + 1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_or_a_secret_that_is_wrong() {
    let it = Installation::new();
    it.config("{name: vod-callbacks, mode: drink}");
    let told = it.check().await;
    told.fails_only("config", "drink", "queues[0].mode");
    assert_eq!(told.code, 64);
    assert_eq!(told.json["skipped"], 1);

    it.config("{name: vod-callbacks}");
    std::fs::remove_file(it.path("secret")).unwrap();
    let told = it.check().await;
    told.fails_only(
        "secrets",
        "cannot read secret file",
        "check the path, the mount and its mode",
    );
    std::fs::write(it.path("secret"), "\n").unwrap();
    it.check()
        .await
        .fails_only("secrets", "is empty", "put the secret there");

    std::fs::remove_file(it.path("vod.yaml")).unwrap();
    it.check()
        .await
        .fails_only("config", "cannot read config file", "check the path");
    let told = it.check_with(&["--mns.queue=a"]).await;
    told.fails_only(
        "config",
        "--mns.queue without --mns.endpoint",
        "add the endpoint",
    );
    assert_eq!(told.code, 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_are_refused() {
    let it = Installation::new();
    std::fs::write(it.path("secret"), "not-the-secret").unwrap();
    let told = it.check().await;
    told.fails_only(
        "credentials",
        "SignatureDoesNotMatch",
        "check the access key secret",
    );
    assert!(!told.text.contains("not-the-secret"));
    assert!(told.of("queue", "skipped")[0].contains("credentials of account main are refused"));

    std::fs::write(it.path("id"), "somebody").unwrap();
    let told = it.check().await;
    told.fails_only(
        "credentials",
        "InvalidAccessKeyId",
        "check the access key id",
    );

    // Without STS, MNS says it.
    let mut it = it;
    it.sts = format!("http://{}", refusing_address());
    let told = it.check().await;
    told.fails_only(
        "credentials",
        "403 InvalidAccessKeyId",
        "check the access key id",
    );
    assert_eq!(told.of("identity", "warn").len(), 1, "{}", told.text);
    std::fs::write(it.path("id"), ACCESS_KEY_ID).unwrap();
    let told = it.check().await;
    told.fails_only(
        "credentials",
        "403 SignatureDoesNotMatch",
        "check the access key secret",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_credentials_that_have_expired() {
    let now = Credentials {
        access_key_id: "STS.1".to_owned(),
        access_key_secret: "a-secret".to_owned(),
        security_token: Some("today".to_owned()),
    };
    let mut it = Installation::with(now);
    it.single(&it.world.url, ", security_token_file: token");
    let told = it.check().await;
    told.is_good();
    assert!(
        told.text.contains("assumed-role/emulator/session"),
        "{}",
        told.text
    );

    std::fs::write(it.path("token"), "yesterday").unwrap();
    let remedy = "temporary key has expired or its token is not its own";
    it.check()
        .await
        .fails_only("credentials", "InvalidSecurityToken", remedy);
    it.sts = format!("http://{}", refusing_address());
    let remedy = "temporary credentials have expired or their token is not their own";
    it.check()
        .await
        .fails_only("credentials", "403 SecurityTokenExpired", remedy);

    // What a service hands out may have expired already.
    let service = Fake::saying(|| Reply::json(200, &key(1, hours(1)))).await;
    it.write(&format!(
        "accounts: {{main: {{credentials: uri, credentials_uri: \"{}\"}}}}\n\
         queues: [{{name: vod-callbacks, account: main, endpoint: \"{}\"}}]\n",
        service.url(),
        it.world.url
    ));
    it.check()
        .await
        .fails_only("credentials", "expired at", "synchronise");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong() {
    let it = Installation::new();
    for (millis, direction) in [(1_200_000, "behind"), (-1_200_000, "ahead of")] {
        it.world.emulator.set_faults(vec![
            FaultRule::always(Fault::ClockSkew { millis }),
            FaultRule::always(Fault::JudgeSkew { millis }),
        ]);
        let told = it.check().await;
        told.fails_only("clock", &format!("s {direction} the service's"), "(NTP)");
        assert!(told.of("queue", "skipped")[0].contains("the local clock is wrong"));
    }
    // A proxy that answers with its own date hides it: MNS says it.
    let judged = FaultRule::always(Fault::JudgeSkew { millis: 1_200_000 });
    it.world.emulator.set_faults(vec![judged]);
    it.check()
        .await
        .fails_only("queue", "408 TimeExpired", "synchronise the clock (NTP)");
}

const STS: Operation = Operation::GetCallerIdentity;
const MNS: Operation = Operation::GetQueueAttributes;
/// A fault, where it strikes, the area and the status of what is told, and parts of what was found and of the remedy.
type Row = (
    Fault,
    Operation,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);
const FAULTS: [Row; 18] = [
    (
        Fault::AccessDenied,
        STS,
        "identity",
        "warn",
        "403 Forbidden",
        "which policy",
    ),
    (
        Fault::ExpiredToken,
        STS,
        "credentials",
        "fail",
        "InvalidSecurityToken",
        "renew both",
    ),
    (
        Fault::Html,
        STS,
        "identity",
        "warn",
        "no JSON",
        "right service",
    ),
    (
        Fault::Garbage,
        STS,
        "identity",
        "warn",
        "no JSON",
        "right service",
    ),
    (
        Fault::ResetBefore,
        STS,
        "identity",
        "warn",
        "reset",
        "firewall and proxy",
    ),
    (
        Fault::Truncated,
        STS,
        "identity",
        "warn",
        "end of file",
        "firewall and proxy",
    ),
    (
        Fault::InternalError,
        STS,
        "identity",
        "warn",
        "500",
        "try again; STS answers so",
    ),
    (
        Fault::ServiceUnavailable,
        STS,
        "identity",
        "warn",
        "503",
        "try again; STS answers so",
    ),
    (
        Fault::TooManyRequests,
        STS,
        "identity",
        "warn",
        "Throttling",
        "in a minute",
    ),
    (
        Fault::AccessDenied,
        MNS,
        "permissions",
        "fail",
        "is denied",
        "peek.json",
    ),
    (
        Fault::ExpiredToken,
        MNS,
        "credentials",
        "fail",
        "SecurityTokenExpired",
        "renew all three",
    ),
    (
        Fault::Html,
        MNS,
        "queue",
        "fail",
        "malformed answer",
        "what answers at the endpoint",
    ),
    (
        Fault::Garbage,
        MNS,
        "queue",
        "fail",
        "malformed answer",
        "what answers at the endpoint",
    ),
    (
        Fault::ResetBefore,
        MNS,
        "queue",
        "fail",
        "reset",
        "reachable from here",
    ),
    (
        Fault::Truncated,
        MNS,
        "queue",
        "fail",
        "end of file",
        "reachable from here",
    ),
    (
        Fault::InternalError,
        MNS,
        "queue",
        "fail",
        "500",
        "retry later",
    ),
    (
        Fault::ServiceUnavailable,
        MNS,
        "queue",
        "fail",
        "503",
        "retry later",
    ),
    (
        Fault::TooManyRequests,
        MNS,
        "queue",
        "fail",
        "429",
        "poll less often",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_service_has_its_remedy() {
    // What fails for a while is asked again and again, all at the same time.
    let mut rows = tokio::task::JoinSet::new();
    for (fault, operation, area, status, found, remedy) in FAULTS {
        rows.spawn(async move {
            let it = Installation::new();
            let rule = FaultRule::always(fault).on(operation);
            it.world.emulator.set_faults(vec![rule]);
            let told = it.check().await;
            let row = format!("{fault:?} of {operation:?}\n{}", told.text);
            let all = told.of(area, status);
            let fits = |it: &String| it.contains(found) && it.contains(remedy);
            assert!(all.iter().any(fits), "{row}");
            let failed = u64::from(status == "fail");
            assert_eq!(told.json["fail"], failed, "{row}");
            assert_eq!(u64::try_from(told.code).unwrap(), failed, "{row}");
            // Not to know who asks keeps nobody from looking at the queue.
            if status == "warn" {
                assert!(!told.of("queue", "ok").is_empty(), "{row}");
                assert!(!told.of("permissions", "ok").is_empty(), "{row}");
            }
            assert!(!told.text.contains("trust policy"), "{row}");
        });
    }
    while let Some(row) = rows.join_next().await {
        row.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_cannot_be_reached() {
    let it = Installation::new();
    let at = |endpoint: &str| it.single(endpoint, "");
    at("http://1234.mns.cn-nowhere.invalid");
    let told = it.check().await;
    told.fails_only(
        "dns",
        "cannot resolve 1234.mns.cn-nowhere.invalid",
        "check the spelling",
    );
    assert_eq!(told.of("permissions", "skipped").len(), 1, "{}", told.text);

    at(&format!("http://{}", refusing_address()));
    let told = it.check().await;
    told.fails_only("connection", "nobody listens", "scheme, host and port");

    let silent = Fake::saying(|| Reply::Hang).await;
    at(&silent.url());
    let started = tokio::time::Instant::now();
    it.check()
        .await
        .fails_only("connection", "no answer within 5 s", "security group");
    assert!(started.elapsed() < Duration::from_secs(40));

    at(&it.world.url.replace("http://", "https://"));
    it.check().await.fails_only(
        "tls",
        "corrupt message",
        "-internal endpoints of MNS are http://",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_trusted() {
    let it = Installation::new();
    let (authority, back) = (Authority::new(), it.world.url.replace("http://", ""));
    let server = authority.server();
    let front = server.serve(move |stream| {
        pass_on(stream, &back)?;
        stream.conn.send_close_notify();
        stream.flush()
    });
    let file = |name: &str, pem: &str| {
        let path = it.directory.path().join(name);
        std::fs::write(&path, pem).unwrap();
        format!(", ca_file: \"{}\"", path.display())
    };
    let account = |ca: &str| it.single(&format!("https://{front}"), ca);
    account("");
    it.check()
        .await
        .fails_only("tls", "UnknownIssuer", "accounts.main.ca_file");
    account(&file("ca.pem", &authority.pem()));
    let told = it.check().await;
    told.is_good();
    assert_eq!(told.of("tls", "ok").len(), 1, "{}", told.text);
    account(&file("server.key", &server.key));
    it.check()
        .await
        .fails_only("tls", "found no certificate", "BEGIN CERTIFICATE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_not_there_or_unfit() {
    let it = Installation::new();
    it.config("{name: vod-callback, mode: consume}");
    let told = it.check().await;
    told.fails("queue", "404 QueueNotExist", "check the queue's name");
    assert!(told.text.contains("create queue vod-callback"));
    assert!(told.of("permissions", "skipped")[0].contains("no such queue"));

    let unfit = AttributesPatch {
        message_retention_period: Some(600),
        maximum_message_size: Some(1_024),
        ..AttributesPatch::default()
    };
    it.world.emulator.create_queue("unfit", &unfit).unwrap();
    it.callback(|settings| "unfit".clone_into(&mut settings.mns_queue_name));
    it.config("{name: unfit}");
    let told = it.check().await;
    told.is_good();
    let warned = told.of("queue", "warn").concat();
    for part in [
        "600 s",
        "MessageRetentionPeriod",
        "1024 bytes",
        "MaximumMessageSize",
    ] {
        assert!(warned.contains(part), "{part}\n{}", told.text);
    }

    it.config("{name: vod-callbacks, mode: consume, forward: {name: nobody}}");
    it.callback(|_| {});
    let told = it.check().await;
    told.fails_only("queue", "404 QueueNotExist", "create queue nobody");

    it.config("{prefix: vod-callbacks}");
    it.check().await.is_good();
    it.config("{prefix: nothing-}");
    let told = it.check().await;
    assert!(
        told.of("queue", "warn")[0].contains("check the prefix"),
        "{}",
        told.text
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_that_are_missing() {
    let it = Installation::new();
    let all = [
        "peek.json",
        "consume.json",
        "forward.json",
        "discover.json",
        "vod.json",
        "check.json",
    ];
    let peek = "{name: vod-callbacks}";
    let consume = "{name: vod-callbacks, mode: consume, forward: {name: worker-callbacks}}";
    let identity = format!("acs:ram::{OWNER}:user/emulator");
    for (queues, action, file) in [
        (peek, "mns:GetQueueAttributes", "peek.json"),
        (peek, "mns:PeekMessage", "peek.json"),
        (consume, "mns:ReceiveMessage", "consume.json"),
        (consume, "mns:DeleteMessage", "consume.json"),
        (consume, "mns:ChangeMessageVisibility", "consume.json"),
        (consume, "mns:SendMessage", "forward.json"),
        ("{prefix: vod-callbacks}", "mns:ListQueue", "discover.json"),
        (peek, "vod:GetMessageCallback", "vod.json"),
        (peek, "vod:GetTranscodeSummary", "vod.json"),
        (peek, "vod:GetVideoInfos", "vod.json"),
        (peek, "vod:GetVideoList", "vod.json"),
    ] {
        let deny = format!(
            r#"{{"Version": "1", "Statement": [{{"Effect": "Deny", "Action": "{action}", "Resource": "*"}}]}}"#
        );
        let mut policies: Vec<Policy> = all.iter().map(|name| policy(name)).collect();
        policies.push(serde_json::from_str(&deny).unwrap());
        it.world.emulator.set_policies(Some(policies));
        it.config(queues);
        let told = it.check().await;
        let found = format!("{action} is denied");
        told.fails_only("permissions", &found, &format!("grant {action}"));
        told.fails_only("permissions", &identity, &format!("docs/ram/{file}"));
    }
    // Under the policies of one use, another one fails for each of its actions, and names the queue.
    it.policies(&["peek.json", "vod.json"]);
    it.config(consume);
    let told = it.check().await;
    let resource = "acs:mns:cn-shanghai:*:/queues/vod-callbacks/messages";
    told.fails("permissions", "mns:ReceiveMessage is denied", resource);
    assert_eq!(told.of("permissions", "fail").len(), 4, "{}", told.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_policies_are_enough_and_nothing_in_them_is_too_much() {
    let it = Installation::new();
    let peek = "{name: vod-callbacks}";
    let consume = "{name: vod-callbacks, mode: consume}";
    let forward = "{name: vod-callbacks, mode: consume, forward: {name: worker-callbacks}}";
    let uses = [
        (peek, &["peek.json"][..]),
        (consume, &["consume.json"]),
        (forward, &["consume.json", "forward.json"]),
        ("{prefix: vod-callbacks}", &["discover.json", "peek.json"]),
    ];
    for batch_action_names in [false, true] {
        it.world.emulator.set_behaviour(Behaviour {
            batch_action_names,
            ..Behaviour::default()
        });
        for (queues, files) in uses {
            it.config(queues);
            it.policies(&[files, &["vod.json", "check.json"]].concat());
            it.check().await.is_good();
            // Without the one of `check` alone, the role is not known, which is no failure.
            it.policies(&[files, &["vod.json"]].concat());
            let told = it.check().await;
            told.is_good();
            assert!(
                told.of("role", "skipped")[0].contains("docs/ram/check.json"),
                "{}",
                told.text
            );
            for left_out in files {
                let others: Vec<&str> = files
                    .iter()
                    .copied()
                    .filter(|name| name != left_out)
                    .collect();
                it.policies(&[&others[..], &["vod.json"]].concat());
                assert_eq!(it.check().await.code, 1, "{queues} without {left_out}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_whose_lack_cannot_be_seen_is_said_to_be_inferred() {
    let it = Installation::new();
    it.config("{name: vod-callbacks, mode: consume}");
    it.policies(&["peek.json", "vod.json"]);
    it.world.emulator.set_behaviour(Behaviour {
        arguments_before_policy: true,
        ..Behaviour::default()
    });
    let told = it.check().await;
    let inferred = told.of("permissions", "ok").concat();
    assert!(
        inferred.contains("mns:ReceiveMessage is allowed (inferred"),
        "{}",
        told.text
    );
    it.world.emulator.set_behaviour(Behaviour::default());
    let throttled = FaultRule::always(Fault::TooManyRequests).on(Operation::BatchReceiveMessage);
    it.world.emulator.set_policies(None);
    it.world.emulator.set_faults(vec![throttled]);
    let told = it.check().await;
    told.is_good();
    let unknown = told.of("permissions", "warn").concat();
    assert!(
        unknown.contains("is not known") && unknown.contains("429"),
        "{}",
        told.text
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_that_do_not_come_here() {
    let it = Installation::new();
    let public = "http://9.mns.cn-shanghai.aliyuncs.com";
    let inner = "http://1.mns.cn-shanghai-internal.aliyuncs.com";
    let beijing = "http://1.mns.cn-beijing.aliyuncs.com";
    let changes: [(Change, &str, &str); 7] = [
        (
            Box::new(|it| *it = CallbackSettings::default()),
            "VOD sends no callbacks",
            "choose MNS and queue vod-callbacks",
        ),
        (
            Box::new(|it| it.callback_type = "HTTP".to_owned()),
            "by \"HTTP\"",
            "choose MNS and queue",
        ),
        (
            Box::new(|it| it.mns_queue_name = "old".to_owned()),
            "queue \"old\"",
            "make both the same",
        ),
        (
            Box::new(move |it| it.mns_endpoint = public.to_owned()),
            public,
            "make both the same",
        ),
        (
            Box::new(move |it| it.mns_endpoint = inner.to_owned()),
            "VOD cannot reach",
            "public endpoint of MNS",
        ),
        (
            Box::new(move |it| it.mns_endpoint = beijing.to_owned()),
            beijing,
            "use a queue in cn-shanghai",
        ),
        (
            Box::new(|it| {
                it.event_type_list = "FileUploadComplete,StreamTranscodeComplete".to_owned();
            }),
            "VideoAnalysisComplete, TranscodeComplete",
            "tick them in Callback Settings",
        ),
    ];
    for (change, found, remedy) in changes {
        it.callback(change);
        // Of what text holds, quotes are escaped in JSON.
        let told = it.check().await;
        let fails = told.of("callback", "fail").concat().replace("\\\"", "\"");
        assert_eq!(told.code, 1, "{}", told.text);
        assert!(
            fails.contains(found) && fails.contains(remedy),
            "{found}: {}",
            told.text
        );
    }
}

/// By way of a proxy the emulator is whoever is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendors_endpoint_tells_account_and_region() {
    let it = Installation::new();
    let at = |account: &str, vod_region: &str| {
        let url = &it.world.url;
        it.write(&format!(
            "accounts: {{main: {{access_key_id_file: id, access_key_secret_file: secret, proxy: \"{url}\"}}}}\n\
             defaults: {{vod: {{region: {vod_region}, endpoint: \"{url}\"}}}}\n\
             queues: [{{name: vod-callbacks, account: main, \
             endpoint: \"http://{account}.mns.cn-shanghai-internal.aliyuncs.com\"}}]\n"
        ));
    };
    let pushes_to = |host: &str| {
        let endpoint = format!("http://{host}.aliyuncs.com");
        it.callback(|settings| settings.mns_endpoint = endpoint);
    };
    at(OWNER, "cn-beijing");
    pushes_to(&format!("{OWNER}.mns.cn-shanghai"));
    let told = it.check().await;
    told.is_good();
    assert_eq!(told.of("callback", "ok").len(), 5, "{}", told.text);
    assert_eq!(told.of("region", "ok").len(), 1, "{}", told.text);

    pushes_to(&format!("{OWNER}.mns.cn-beijing"));
    let told = it.check().await;
    told.fails_only("callback", "cn-beijing", "use a queue in cn-shanghai");
    pushes_to(&format!("{OWNER}.mns.cn-shanghai-internal"));
    let told = it.check().await;
    told.fails_only("callback", "VOD cannot reach", "the public endpoint of MNS");
    pushes_to("77.mns.cn-shanghai");
    let told = it.check().await;
    told.fails_only("callback", "VOD pushes into queue", "make both the same");

    pushes_to(&format!("{OWNER}.mns.cn-shanghai"));
    at(OWNER, "ap-southeast-1");
    let told = it.check().await;
    told.is_good();
    assert_eq!(told.of("region", "warn").len(), 1, "{}", told.text);

    at("77", "cn-shanghai");
    pushes_to("77.mns.cn-shanghai");
    it.policies(&["vod.json", "check.json"]);
    let told = it.check().await;
    let resource = "acs:mns:cn-shanghai:77:/queues/vod-callbacks/messages";
    told.fails("permissions", "mns:PeekMessage is denied", resource);
    let warned = told.of("identity", "warn").concat();
    let found = format!("account 77, and the credentials are of account {OWNER}");
    assert!(warned.contains(&found), "{}", told.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_is_missing_and_regions_that_do_not_fit() {
    let it = Installation::new();
    it.world.emulator.set_roles([]);
    it.check().await.fails_only(
        "role",
        "no role AliyunVODDefaultRole",
        "Cloud Resource Access Authorization",
    );
    it.world
        .emulator
        .set_roles(["AliyunVODDefaultRole".to_owned()]);

    it.config(&format!(
        "{{name: vod-callbacks, vod: {{region: ap-southeast-1, endpoint: \"{}\"}}}}",
        it.world.url
    ));
    let told = it.check().await;
    told.is_good();
    let warned = told.of("region", "warn").concat();
    assert!(
        warned.contains("use a queue in ap-southeast-1"),
        "{}",
        told.text
    );

    it.single(&it.world.url, "");
    let told = it.check().await;
    told.is_good();
    assert!(
        told.of("callback", "skipped")[0].contains("add the option `vod`"),
        "{}",
        told.text
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_queue_by_flags() {
    let it = Installation::new();
    let endpoint = format!("--mns.endpoint={}", it.world.url);
    let told = it
        .check_with(&[&endpoint, "--mns.queue=vod-callbacks", "--mode=consume"])
        .await;
    told.is_good();
    assert_eq!(told.of("permissions", "ok").len(), 4, "{}", told.text);
    let told = it.check_with(&[&endpoint, "--mns.queue=nobody"]).await;
    told.fails_only("queue", "404 QueueNotExist", "create queue nobody");
}

/// Passes one request on to a server that speaks no TLS.
fn pass_on(front: &mut (impl Read + Write), back: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if front.read(&mut byte)? == 0 {
            return Ok(());
        }
        request.push(byte[0]);
    }
    let mut back = TcpStream::connect(back)?;
    request.truncate(request.len() - 2);
    request.extend_from_slice(b"connection: close\r\n\r\n");
    back.write_all(&request)?;
    let mut answer = Vec::new();
    back.read_to_end(&mut answer)?;
    front.write_all(&answer)?;
    front.flush()
}
