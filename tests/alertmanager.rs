//! Alerts about single videos, as Alertmanagers get them: fakes for everything that goes wrong, and real ones that notify.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests panic and print"
)]

#[path = "support/alertmanagers.rs"]
mod alertmanagers;
#[path = "support/authority.rs"]
mod authority;
#[path = "alertmanager/hours.rs"]
mod hours;
#[path = "alertmanager/losses.rs"]
mod losses;
#[path = "support/process.rs"]
mod process;
#[path = "support/receivers.rs"]
mod receivers;
#[path = "support/referees.rs"]
mod referees;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alertmanagers::Alertmanager;
use authority::Authority;
use hours::Log;
use receivers::{Answer, Receiver};
use referees::Referees;
use scrape::Scrape;
use serde_json::{Value, json};
use tempfile::TempDir;
use vod_callback_exporter::alertmanager::{Alerting, Observer, Sent, Source};
use vod_callback_exporter::app::App;
use vod_callback_exporter::clock::{self, UnixMillis};
use vod_callback_exporter::config::{AlertmanagerAuth, AlertmanagerConfig, Config};
use vod_callback_exporter::ledger::Mode;
use vod_callback_exporter::ledger::snapshot::{QueueIdentity, Role};
use vod_callback_exporter::ledger::store::StateOptions;
use vod_callback_exporter::ledger::transcodes::{Ailment, Trouble};
use vod_callback_exporter::ledger::troubles::Troubles;
use vod_callback_exporter::ledger::verdict::Stage;
use vod_callback_exporter::secret::SecretSource;
use vod_callback_exporter::vod::event::MediaKey;
use world::{World, refusing_address, until, until_asked};

const QUEUE: &str = "q";

/// What is wrong, as the test says, and what became of it.
#[derive(Default)]
struct Desk {
    troubles: Mutex<Troubles>,
    sent: Mutex<BTreeMap<(String, &'static str), usize>>,
    suppressed: Mutex<usize>,
}

impl Source for Desk {
    fn now(&self) -> UnixMillis {
        clock::now()
    }

    fn troubles(&self, _: UnixMillis) -> Troubles {
        self.troubles.lock().unwrap().clone()
    }
}

impl Observer for Desk {
    fn configured(&self, _: &[Arc<str>]) {}

    fn looked(&self, _: usize, newly_suppressed: usize) {
        *self.suppressed.lock().unwrap() += newly_suppressed;
    }

    fn sent(&self, alertmanager: &str, result: Sent, alerts: usize) {
        let mut sent = self.sent.lock().unwrap();
        *sent
            .entry((alertmanager.to_owned(), result.as_str()))
            .or_default() += alerts;
    }
}

impl Desk {
    /// These videos are stalled now, and no others.
    fn stalled(&self, videos: impl IntoIterator<Item = u32>) {
        self.stalled_since(videos, UnixMillis(clock::now().0 / 60_000 * 60_000));
    }

    fn stalled_since(&self, videos: impl IntoIterator<Item = u32>, since: UnixMillis) {
        let queue = identity();
        let trouble = |video: u32| Trouble {
            media: MediaKey::of(&format!("v{video}")),
            ailment: Ailment::Stalled(Stage::Transcode),
            since,
            started: since,
            last_sign: since,
            place: video,
            failure: None,
            abandoned: None,
        };
        *self.troubles.lock().unwrap() = Troubles {
            queues: BTreeSet::from([Arc::clone(&queue.id)]),
            videos: videos
                .into_iter()
                .map(|video| (Arc::clone(&queue), trouble(video)))
                .collect(),
        };
    }

    /// Alerts in calls to this Alertmanager that ended so.
    fn count(&self, address: SocketAddr, result: Sent) -> usize {
        self.sent_of(&address.to_string(), result)
    }

    /// The same by the name that its URL has.
    fn sent_of(&self, name: &str, result: Sent) -> usize {
        let key = (name.to_owned(), result.as_str());
        self.sent.lock().unwrap().get(&key).copied().unwrap_or(0)
    }
}

fn identity() -> Arc<QueueIdentity> {
    Arc::new(QueueIdentity {
        id: QUEUE.into(),
        mns_queue: QUEUE.into(),
        endpoint: "http://127.0.0.1".into(),
        account: "".into(),
        region: "cn-shanghai".into(),
        mode: Mode::Consume,
        role: Role::Callback,
    })
}

fn config(addresses: &[SocketAddr]) -> AlertmanagerConfig {
    let urls = addresses
        .iter()
        .map(|address| format!("http://{address}").parse().unwrap());
    AlertmanagerConfig {
        resend: Duration::from_secs(10),
        ..AlertmanagerConfig::new(urls.collect())
    }
}

/// Sends what the desk says.
fn alerting(config: AlertmanagerConfig) -> (Arc<Desk>, Alerting) {
    let desk = Arc::new(Desk::default());
    let alerting = Alerting::new(Arc::clone(&desk) as _, Arc::clone(&desk) as _, 1);
    alerting.apply(Some(config));
    (desk, alerting)
}

/// Waits until an Alertmanager has taken what fits.
async fn taken(receiver: &Receiver, fits: impl Fn(&[String]) -> bool) -> Vec<String> {
    until(
        || fits(&receiver.taken()),
        || format!("{:?}", receiver.taken()),
    )
    .await;
    receiver.taken()
}

fn fires(video: u32) -> String {
    format!("VodTranscodeStalled v{video}")
}

fn ends(video: u32) -> String {
    format!("-{}", fires(video))
}

#[tokio::test]
async fn every_alertmanager_is_told_again_and_again_of_the_end_too() {
    let receivers = [Receiver::start(), Receiver::start()];
    let (desk, alerting) = alerting(config(&receivers.clone().map(|receiver| receiver.address)));
    desk.stalled([1]);
    for receiver in &receivers {
        taken(receiver, |taken| taken.len() > 1).await;
    }
    desk.stalled([2]);
    for receiver in &receivers {
        let again = [ends(1), fires(2), ends(1), fires(2)];
        taken(receiver, |taken| taken.ends_with(&again)).await;
        let first = receiver.requests().remove(0);
        assert_eq!(first.first_line, "POST /api/v2/alerts HTTP/1.1");
        let alert = &first.body[0];
        assert_eq!(
            alert["labels"],
            json!({"alertname": "VodTranscodeStalled", "queue": QUEUE, "severity": "warning", "stage": "transcode", "video_id": "v1"})
        );
        // A call ends after it was taken.
        until(
            || desk.count(receiver.address, Sent::Ok) == receiver.taken().len(),
            || format!("{:?}", desk.sent),
        )
        .await;
    }
    // What is wrong stays wrong while nobody looks.
    alerting.stop().await;
    for receiver in &receivers {
        assert!(!receiver.taken().contains(&ends(2)));
    }
}

#[tokio::test]
async fn one_that_was_down_is_told_what_is_true_and_nothing_of_what_was() {
    let (well, address) = (Receiver::start(), refusing_address());
    let (desk, _alerting) = alerting(config(&[well.address, address]));
    desk.stalled([1, 2]);
    taken(&well, |taken| taken.contains(&fires(1))).await;
    until(
        || desk.count(address, Sent::Failed) > 0,
        || "no failure".to_owned(),
    )
    .await;
    desk.stalled([2]);
    taken(&well, |taken| taken.contains(&ends(1))).await;
    let late = Receiver::at(address);
    let told = taken(&late, |taken| !taken.is_empty()).await;
    assert_eq!(told, [fires(2)]);
}

#[tokio::test]
async fn a_server_error_is_sent_again_and_a_refusal_is_not() {
    let receiver = Receiver::start();
    receiver.answer(Answer::Status(500, "disk full"));
    let (desk, _alerting) = alerting(config(&[receiver.address]));
    desk.stalled([1]);
    until(
        || desk.count(receiver.address, Sent::Failed) > 1,
        || format!("{:?}", receiver.requests()),
    )
    .await;
    receiver.answer(Answer::Status(400, "start time must be before end time"));
    until(
        || desk.count(receiver.address, Sent::Rejected) > 0,
        || format!("{:?}", receiver.requests()),
    )
    .await;
    let rejected = receiver.taken().len();
    receiver.answer(Answer::Status(200, ""));
    desk.stalled([]);
    // What was right among it is stored, so that its end is told.
    let told = taken(&receiver, |taken| taken.contains(&ends(1))).await;
    assert_eq!(told.len(), rejected + 1, "{told:?}");
}

#[tokio::test]
async fn one_that_refuses_slowly_does_not_hold_up_what_is_new() {
    let receiver = Receiver::start();
    receiver.answer(Answer::Late(Duration::from_secs(3), 400));
    let (desk, _alerting) = alerting(AlertmanagerConfig {
        resend: Duration::from_mins(2),
        ..config(&[receiver.address])
    });
    let since = clock::now();
    desk.stalled_since(0..10, since);
    // All in one call, and then each by itself, which takes half a minute.
    until(
        || receiver.requests().len() > 1,
        || format!("{:?}", receiver.requests()),
    )
    .await;
    desk.stalled_since(0..11, since);
    taken(&receiver, |taken| taken.contains(&fires(10))).await;
    let alone = receiver.requests().len() - 2;
    assert!((2..9).contains(&alone), "{alone}");
    // Whoever was left has his turn.
    until(
        || receiver.requests().len() >= 2 + 10,
        || format!("{:?}", receiver.requests()),
    )
    .await;
    let told: BTreeSet<String> = receiver.taken().into_iter().skip(10).collect();
    assert_eq!(told.len(), 11, "{told:?}");
}

#[tokio::test]
async fn another_config_holds_at_once_and_ends_nothing() {
    let (first, second) = (Receiver::start(), Receiver::start());
    let (desk, alerting) = alerting(config(&[first.address]));
    desk.stalled([1]);
    taken(&first, |taken| !taken.is_empty()).await;
    alerting.apply(Some(config(&[second.address])));
    taken(&second, |taken| !taken.is_empty()).await;
    alerting.apply(None);
    assert!(!first.taken().contains(&ends(1)));
    assert!(!second.taken().contains(&ends(1)));
}

/// Where people look from an alert.
fn linked(addresses: &[SocketAddr], cluster: &str) -> AlertmanagerConfig {
    AlertmanagerConfig {
        labels: BTreeMap::from([("cluster".to_owned(), cluster.to_owned())]),
        runbooks: Some("https://wiki.example.org/runbooks".parse().unwrap()),
        grafana: Some("https://grafana.example.org".parse().unwrap()),
        ..config(addresses)
    }
}

#[tokio::test]
async fn labels_and_links_of_the_config_are_in_every_post_firing_or_over() {
    let receiver = Receiver::start();
    let (desk, _alerting) = alerting(linked(&[receiver.address], "eu-1"));
    desk.stalled(0..60);
    taken(&receiver, |taken| taken.len() > 50).await;
    desk.stalled([]);
    taken(&receiver, |taken| taken.contains(&ends(1))).await;
    for alert in receiver
        .requests()
        .iter()
        .flat_map(|request| request.body.as_array().unwrap())
    {
        let name = alert["labels"]["alertname"].as_str().unwrap();
        let query = match name {
            "VodTranscodeStalled" => "?var-queue=q",
            _ => "",
        };
        let board = format!("https://grafana.example.org/d/vod-transcodes{query}");
        let runbook = format!("https://wiki.example.org/runbooks/{name}.md");
        assert_eq!(alert["labels"]["cluster"], "eu-1", "{alert}");
        assert_eq!(alert["annotations"]["runbook_url"], runbook, "{alert}");
        assert_eq!(alert["annotations"]["dashboard_url"], board, "{alert}");
        assert_eq!(alert["generatorURL"], board, "{alert}");
    }
}

/// The clusters of the alerts that a real Alertmanager knows of, with their links.
async fn clusters(server: &Alertmanager) -> BTreeMap<String, Value> {
    let alerts = server.ask("alerts").await;
    let alerts = alerts.as_array().cloned().unwrap_or_default();
    let cluster = |alert: &Value| alert["labels"]["cluster"].as_str().unwrap_or("").to_owned();
    alerts
        .into_iter()
        .map(|alert| (cluster(&alert), alert))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_under_labels_of_a_config_before_end_by_themselves() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let data = TempDir::new().unwrap();
    let text = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
    let file = data.path().join("alertmanager.yml");
    std::fs::write(&file, text).unwrap();
    let program = referees.tool("bin/alertmanager");
    let alone = ["--cluster.listen-address=".to_owned()];
    let server = Alertmanager::start(&program, &file, &data.path().join("data"), &alone);
    let linked = |cluster: &str| AlertmanagerConfig {
        resend: Duration::from_secs(4),
        ..linked(&[server.address], cluster)
    };
    let only = async |expected: &[&str]| {
        until_asked(
            async || clusters(&server).await.keys().eq(expected),
            || format!("never only {expected:?}"),
        )
        .await;
    };

    let (desk, alerting) = alerting(linked("eu-1"));
    desk.stalled([1]);
    only(&["eu-1"]).await;
    let alert = clusters(&server).await.remove("eu-1").unwrap();
    let board = "https://grafana.example.org/d/vod-transcodes?var-queue=q";
    let runbook = "https://wiki.example.org/runbooks/VodTranscodeStalled.md";
    assert_eq!(alert["generatorURL"], board);
    assert_eq!(alert["annotations"]["dashboard_url"], board);
    assert_eq!(alert["annotations"]["runbook_url"], runbook);

    // The same config tells the same alert, in a new process too.
    alerting.stop().await;
    alerting.apply(Some(linked("eu-1")));
    let told = clusters(&server).await["eu-1"]["endsAt"].clone();
    until_asked(
        async || clusters(&server).await["eu-1"]["endsAt"] != told,
        || "not told again".to_owned(),
    )
    .await;
    only(&["eu-1"]).await;
    alerting.apply(Some(linked("eu-2")));
    only(&["eu-1", "eu-2"]).await;
    only(&["eu-2"]).await;
}

#[tokio::test]
async fn a_slow_one_holds_up_nobody() {
    let (well, slow) = (Receiver::start(), Receiver::start());
    slow.answer(Answer::Silence);
    let (desk, alerting) = alerting(config(&[well.address, slow.address]));
    desk.stalled([1]);
    until(
        || desk.count(slow.address, Sent::Failed) > 0,
        || format!("{:?}", slow.requests()),
    )
    .await;
    assert!(well.taken().contains(&fires(1)));
    assert_eq!(desk.count(well.address, Sent::Failed), 0);
    tokio::time::timeout(Duration::from_secs(5), alerting.stop())
        .await
        .expect("a call under way does not hold up the end");
}

#[tokio::test]
async fn certificates_and_passwords_are_read_again_and_what_is_wrong_with_them_is_told_once() {
    let log = Log::default();
    let _open = log.open();
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (ours, theirs) = (Authority::new(), Authority::new());
    let receiver = Receiver::start();
    receiver.speak_tls(&theirs.server());
    std::fs::write(path("ca.pem"), ours.pem()).unwrap();
    std::fs::write(path("password"), "wrong\n").unwrap();
    let url = format!("https://{}/behind/", receiver.address);
    let (desk, _alerting) = alerting(AlertmanagerConfig {
        urls: vec![url.parse().unwrap()],
        auth: AlertmanagerAuth::Basic {
            username: "us".to_owned(),
            password: SecretSource::File(path("password")),
        },
        ca_file: Some(Arc::from(path("ca.pem"))),
        ..config(&[])
    });
    desk.stalled([1]);
    let failed = || desk.count(receiver.address, Sent::Failed);
    until(|| failed() > 1, || "no failure".to_owned()).await;
    let said = || log.of(&receiver.address.to_string());
    assert_eq!(said(), ["connection"]);
    assert!(receiver.requests().is_empty(), "no request before trust");

    receiver.answer(Answer::Status(401, ""));
    std::fs::write(path("ca.pem"), theirs.pem()).unwrap();
    until(|| receiver.requests().len() > 1, || "no request".to_owned()).await;
    let before = receiver.requests().len();
    assert_eq!(said(), ["connection", "unauthorized"]);
    std::fs::write(path("password"), "right\n").unwrap();
    receiver.answer(Answer::Status(200, ""));
    until(
        || receiver.requests().len() > before,
        || "no request".to_owned(),
    )
    .await;
    let last = receiver.requests().pop().unwrap();
    assert_eq!(last.first_line, "POST /behind/api/v2/alerts HTTP/1.1");
    assert_eq!(last.authorization.as_deref(), Some("Basic dXM6cmlnaHQ="));
    let all = ["connection", "unauthorized", "Alerts are taken again."];
    until(|| said() == all, || format!("{:?}", said())).await;
}

#[tokio::test]
async fn five_thousand_stalls_are_fifty_alerts_and_a_summary() {
    let receiver = Receiver::start();
    let (desk, alerting) = alerting(config(&[receiver.address]));
    desk.stalled(0..5_000);
    let told = taken(&receiver, |taken| taken.len() > 50).await;
    let told: BTreeSet<&String> = told.iter().collect();
    assert_eq!(told.len(), 51, "{told:?}");
    assert!(told.contains(&"VodTranscodeAlertsSuppressed".to_owned()));
    assert_eq!(*desk.suppressed.lock().unwrap(), 4_950);
    assert_eq!(receiver.requests()[0].body.as_array().unwrap().len(), 51);

    // Another config counts nobody anew.
    let another = Receiver::start();
    alerting.apply(Some(linked(&[another.address], "eu-1")));
    let told = taken(&another, |taken| taken.len() > 50).await;
    assert!(told.contains(&"VodTranscodeAlertsSuppressed".to_owned()));
    assert_eq!(*desk.suppressed.lock().unwrap(), 4_950);
    // Its labels hold.
    let body = another.requests().remove(0).body;
    assert_eq!(body[0]["labels"]["cluster"], "eu-1");
}

#[tokio::test]
async fn each_alert_of_a_failed_call_counts() {
    let receiver = Receiver::start();
    receiver.answer(Answer::Status(503, ""));
    let (desk, _alerting) = alerting(config(&[receiver.address]));
    desk.stalled(0..20);
    let failed = || desk.count(receiver.address, Sent::Failed);
    until(|| failed() > 0, || format!("{:?}", desk.sent)).await;
    assert_eq!(failed() % 20, 0, "{}", failed());
}

#[tokio::test]
async fn a_name_is_looked_up_and_one_that_leads_nowhere_is_counted() {
    let receiver = Receiver::start();
    let named = format!("localhost:{}", receiver.address.port());
    let urls =
        [&named, "no-such-host.invalid:9093"].map(|name| format!("http://{name}").parse().unwrap());
    let (desk, _alerting) = alerting(AlertmanagerConfig {
        urls: urls.to_vec(),
        ..config(&[])
    });
    desk.stalled([1]);
    let failed = || desk.sent_of("no-such-host.invalid:9093", Sent::Failed);
    until(|| failed() > 0, || format!("{:?}", desk.sent)).await;
    // The receiver does not listen on IPv6, whatever the name prefers.
    taken(&receiver, |taken| taken.contains(&fires(1))).await;
    assert_eq!(desk.sent_of(&named, Sent::Failed), 0);
}

/// A consumed queue whose every upload is transcoded.
async fn exporter(world: &World, alertmanagers: &[SocketAddr], state: &Path) -> App {
    let mut queue = world.queue(QUEUE, Mode::Consume);
    queue.long_poll = Duration::from_secs(1);
    queue.settings.transcodes.expect_every_upload = true;
    let config = Config {
        queues: vec![queue],
        alertmanager: Some(AlertmanagerConfig {
            resend: Duration::from_secs(20),
            ..config(alertmanagers)
        }),
        ..Config::default()
    };
    let state = StateOptions {
        path: state.to_owned(),
        reset: false,
    };
    world::exporter_with(config, Some(state)).await
}

fn event(event_type: &str, status: &str, video: &str, at: UnixMillis, streams: &Value) -> String {
    let at = UnixMillis(at.0 / 1_000 * 1_000).to_string();
    json!({
        "EventType": event_type, "Status": status, "VideoId": video, "EventTime": at, "StreamInfos": streams,
    })
    .to_string()
}

/// An upload whose deadline has passed.
fn upload(video: &str) -> String {
    let long_ago = clock::now().minus(Duration::from_hours(2));
    event("FileUploadComplete", "success", video, long_ago, &json!([]))
}

fn end(status: &str, video: &str) -> String {
    ended(status, video, clock::now())
}

fn ended(status: &str, video: &str, at: UnixMillis) -> String {
    let started = UnixMillis(at.0 / 1_000 * 1_000).to_string();
    let stream = json!([{
        "Status": status, "Definition": "HD", "StartTime": started, "FinishTime": started,
        "ErrorCode": if status == "fail" { "InternalError" } else { "" },
    }]);
    event("TranscodeComplete", status, video, at, &stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_unless_configured_and_shown_where_it_is() {
    const ACTIVE: &str = "vod_callback_exporter_alerts_active";
    let world = World::new(101, &[QUEUE], 1);
    let app = world
        .exporter(vec![world.queue(QUEUE, Mode::Consume)])
        .await;
    assert_eq!(Scrape::of(app.address()).await.get(ACTIVE, &[]), None);
    app.shutdown().await;

    let (receiver, state) = (Receiver::start(), TempDir::new().unwrap());
    let app = exporter(&world, &[receiver.address], state.path()).await;
    world.emulator.send(QUEUE, &upload("video-1")).unwrap();
    world.emulator.send(QUEUE, &end("fail", "video-2")).unwrap();
    let expected = [
        "VodTranscodeStalled video-1".to_owned(),
        "VodTranscodeFailed video-2".to_owned(),
    ];
    taken(&receiver, |taken| {
        expected.iter().all(|alert| taken.contains(alert))
    })
    .await;
    let scrape = Scrape::of(app.address()).await;
    assert_eq!(scrape.get(ACTIVE, &[]), Some(2.0));
    let sent = "vod_callback_exporter_alerts_sent_total";
    let name = receiver.address.to_string();
    let labels = [("alertmanager", name.as_str()), ("result", "ok")];
    assert!(scrape.get(sent, &labels) >= Some(2.0), "{}", scrape.text());
    app.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_above_the_cap_takes_no_alert_from_anybody() {
    let (world, receiver) = (World::new(103, &[QUEUE], 1), Receiver::start());
    let state = TempDir::new().unwrap();
    let app = exporter(&world, &[receiver.address], state.path()).await;
    let failed: Vec<String> = (0..5).map(|video| format!("failed-{video}")).collect();
    for video in &failed {
        world.emulator.send(QUEUE, &end("fail", video)).unwrap();
    }
    let fires = |video: &String| format!("VodTranscodeFailed {video}");
    taken(&receiver, |taken| {
        failed.iter().all(|video| taken.contains(&fires(video)))
    })
    .await;
    // Their deadlines passed long before the others failed.
    for video in 0..200 {
        let body = upload(&format!("stalled-{video}"));
        world.emulator.send(QUEUE, &body).unwrap();
    }
    let is_stalled = |alert: &String| alert.starts_with("VodTranscodeStalled");
    let all_told = |taken: &[String]| {
        let stalled: BTreeSet<&String> = taken.iter().filter(|alert| is_stalled(alert)).collect();
        stalled.len() >= 45 && taken.contains(&"VodTranscodeAlertsSuppressed".to_owned())
    };
    let before = taken(&receiver, all_told).await;
    app.shutdown().await;
    free(state.path()).await;

    let restarted = Receiver::start();
    let app = exporter(&world, &[restarted.address], state.path()).await;
    let after = taken(&restarted, |taken| taken.len() > 50).await;
    app.shutdown().await;
    let set = |alerts: &[String]| alerts.iter().cloned().collect::<BTreeSet<String>>();
    assert_eq!(set(&before), set(&after));
    assert!(
        failed.iter().all(|video| after.contains(&fires(video))),
        "{after:?}"
    );
}

/// Waits until a process that used this state has let go of it: the writer's thread ends once nobody can send to it.
async fn free(state: &Path) {
    let lock = std::fs::File::open(state.join("lock")).unwrap();
    until(|| lock.try_lock().is_ok(), || "still locked".to_owned()).await;
}

/// One group for each video.
const BY_VIDEO: &str = "alertname, queue, video_id";

/// A config with which an Alertmanager notifies `webhook`.
fn notifying(webhook: SocketAddr, group_by: &str, group_interval: &str) -> String {
    format!(
        "route: {{receiver: hook, group_by: [{group_by}], group_wait: 1s, group_interval: {group_interval}, repeat_interval: 4h}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: 'http://{webhook}/', send_resolved: true}}]}}]\n"
    )
}

/// Two real Alertmanagers of one cluster, which notify `webhook`. As with their defaults, a peer waits for the other far
/// shorter than until its next look at a group: else it notifies what the other has resolved meanwhile.
async fn cluster(
    referees: &Referees,
    program: &Path,
    webhook: SocketAddr,
    data: &Path,
    group_interval: &str,
) -> Vec<Alertmanager> {
    let config = data.join("alertmanager.yml");
    std::fs::write(&config, notifying(webhook, BY_VIDEO, group_interval)).unwrap();
    let mut check = Command::new(referees.tool("bin/amtool"));
    check.arg("check-config").arg(&config);
    assert!(check.output().unwrap().status.success(), "{check:?}");
    let gossip = [refusing_address(), refusing_address()];
    let cluster: Vec<Alertmanager> = (0..2)
        .map(|peer| {
            let more = [
                format!("--cluster.listen-address={}", gossip[peer]),
                format!("--cluster.peer={}", gossip[1 - peer]),
                "--cluster.peer-timeout=2s".to_owned(),
                "--cluster.settle-timeout=15s".to_owned(),
            ];
            Alertmanager::start(program, &config, &data.join(peer.to_string()), &more)
        })
        .collect();
    for peer in &cluster {
        until_asked(
            async || {
                let cluster = &peer.ask("status").await["cluster"];
                cluster["status"] == "ready" && cluster["peers"].as_array().map(Vec::len) == Some(2)
            },
            || "no cluster".to_owned(),
        )
        .await;
    }
    cluster
}

/// What was notified of a video.
fn notified(webhook: &Receiver, video: &str) -> Vec<String> {
    webhook
        .requests()
        .iter()
        .flat_map(|request| {
            request.body["alerts"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .filter(|alert| alert["labels"]["video_id"] == video)
        .map(|alert| alert["status"].as_str().unwrap().to_owned())
        .collect()
}

async fn notified_at_last(webhook: &Receiver, video: &str, expected: &[&str]) {
    until(
        || notified(webhook, video) == expected,
        || format!("{video}: {:?}", webhook.requests()),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_real_alertmanagers_notify_once_of_each_video_and_once_of_its_end() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let (webhook, data) = (Receiver::start(), TempDir::new().unwrap());
    let program = referees.tool("bin/alertmanager");
    let cluster = cluster(&referees, &program, webhook.address, data.path(), "6s").await;
    let addresses: Vec<SocketAddr> = cluster.iter().map(|peer| peer.address).collect();

    let (world, state) = (World::new(102, &[QUEUE], 1), data.path().join("state"));
    let app = exporter(&world, &addresses, &state).await;
    world.emulator.send(QUEUE, &upload("stalled")).unwrap();
    world.emulator.send(QUEUE, &end("fail", "failed")).unwrap();
    for video in ["stalled", "failed"] {
        notified_at_last(&webhook, video, &["firing"]).await;
    }
    app.shutdown().await;

    let mut before = Vec::new();
    for peer in &cluster {
        before.push(peer.received("firing").await);
    }
    free(&state).await;
    let app = exporter(&world, &addresses, &state).await;
    for (peer, before) in cluster.iter().zip(before) {
        until_asked(
            async || peer.received("firing").await >= before + 2.0,
            || "the new process tells nothing".to_owned(),
        )
        .await;
    }
    for video in ["stalled", "failed"] {
        world.emulator.send(QUEUE, &end("success", video)).unwrap();
    }
    for video in ["stalled", "failed"] {
        notified_at_last(&webhook, video, &["firing", "resolved"]).await;
    }
    // Whoever would notify twice has done so when a whole other life is over.
    world.emulator.send(QUEUE, &upload("another")).unwrap();
    notified_at_last(&webhook, "another", &["firing"]).await;
    world
        .emulator
        .send(QUEUE, &end("success", "another"))
        .unwrap();
    notified_at_last(&webhook, "another", &["firing", "resolved"]).await;
    for video in ["stalled", "failed"] {
        assert_eq!(notified(&webhook, video), ["firing", "resolved"], "{video}");
    }
    app.shutdown().await;
}
