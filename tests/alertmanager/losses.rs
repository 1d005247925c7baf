//! What gets lost between us and real Alertmanagers, which notify: answers that come too late, and what one forgets that
//! restarts.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use vod_callback_exporter::alertmanager::Sent;
use vod_callback_exporter::clock;
use vod_callback_exporter::config::AlertmanagerConfig;

use super::alertmanagers::Alertmanager;
use super::receivers::Receiver;
use super::referees::Referees;
use super::world::{until, until_asked};
use super::{BY_VIDEO, Desk, alerting, cluster, config, notified, notified_at_last, notifying};

/// How often real ones are told. What fires ends by itself after three times as long.
const RESEND: Duration = Duration::from_secs(4);

/// Stands before an Alertmanager: passes every request on, and holds answers back while it is slow.
struct Proxy {
    address: SocketAddr,
    slow: Arc<AtomicBool>,
}

/// Real Alertmanagers of every version, each with a webhook of its own: one of each keeps its directory, the other loses it.
struct Fleet {
    servers: Vec<Server>,
    _directory: TempDir,
}

struct Server {
    alertmanager: Alertmanager,
    webhook: Receiver,
    keeps: bool,
}

// === impl Proxy ===

impl Proxy {
    /// A slow one.
    fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, slow) = (
            listener.local_addr().unwrap(),
            Arc::new(AtomicBool::new(true)),
        );
        let holds = Arc::clone(&slow);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(upstream).unwrap());
                let (back, answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || pass(client, server, || false));
                let holds = Arc::clone(&holds);
                thread::spawn(move || pass(answers, back, || holds.load(Ordering::SeqCst)));
            }
        });
        Self { address, slow }
    }
}

/// Passes on what comes, but nothing while `held`, until either side ends.
fn pass(mut from: TcpStream, mut to: TcpStream, held: impl Fn() -> bool) {
    let mut bytes = [0; 8_192];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        while held() {
            thread::sleep(Duration::from_millis(20));
        }
        if to.write_all(bytes.get(..length).unwrap()).is_err() {
            break;
        }
    }
    _ = to.shutdown(Shutdown::Write);
}

// === impl Fleet ===

impl Fleet {
    fn start(referees: &Referees, group_by: &str, group_interval: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let start = |number: usize, program: &Path, keeps| {
            let webhook = Receiver::start();
            let path = |what: &str| directory.path().join(format!("{number}-{keeps}-{what}"));
            let config = path("alertmanager.yml");
            std::fs::write(
                &config,
                notifying(webhook.address, group_by, group_interval),
            )
            .unwrap();
            let alone = ["--cluster.listen-address=".to_owned()];
            Server {
                alertmanager: Alertmanager::start(program, &config, &path("data"), &alone),
                webhook,
                keeps,
            }
        };
        let programs = referees.tools("alertmanager");
        let servers = programs
            .iter()
            .enumerate()
            .flat_map(|(number, program)| [true, false].map(|keeps| start(number, program, keeps)));
        Self {
            servers: servers.collect(),
            _directory: directory,
        }
    }

    fn config(&self) -> AlertmanagerConfig {
        let addresses = self
            .servers
            .iter()
            .map(|server| server.alertmanager.address);
        AlertmanagerConfig {
            resend: RESEND,
            ..config(&addresses.collect::<Vec<_>>())
        }
    }

    fn down(&mut self) {
        for server in &mut self.servers {
            if server.keeps {
                server.alertmanager.stop();
            } else {
                server.alertmanager.lose();
            }
        }
    }

    fn up(&mut self) {
        for server in &mut self.servers {
            server.alertmanager.start_again();
        }
    }

    /// Waits until each has notified this of a video: one that keeps its log, or one that has lost it.
    async fn have_notified(&self, video: &str, kept: &[&str], lost: &[&str]) {
        for server in &self.servers {
            let expected = if server.keeps { kept } else { lost };
            notified_at_last(&server.webhook, video, expected).await;
        }
    }

    /// Waits until this process of each was told of an end.
    async fn are_told_an_end(&self) {
        for server in &self.servers {
            until_asked(
                async || server.alertmanager.received("resolved").await > 0.0,
                || format!("{}: no end", server.alertmanager.address),
            )
            .await;
        }
    }

    /// Has another video notified of, so that whoever had to notify anything before has done so; it fires still.
    async fn live_on(&self, desk: &Desk, video: u32, firing: &[u32]) {
        desk.stalled(firing.iter().copied().chain([video]));
        self.have_notified(&format!("v{video}"), &["firing"], &["firing"])
            .await;
    }

    async fn believe(&self, videos: &[&str]) {
        for server in &self.servers {
            believes(&server.alertmanager, videos).await;
        }
    }
}

/// Waits until an Alertmanager believes that these videos are in trouble, and no others.
async fn believes(alertmanager: &Alertmanager, videos: &[&str]) {
    let believed = async || {
        let alerts = alertmanager.ask("alerts").await;
        let video = |alert: &Value| alert["labels"]["video_id"].as_str().unwrap().to_owned();
        let mut found: Vec<String> = alerts.as_array()?.iter().map(video).collect();
        found.sort_unstable();
        Some(found)
    };
    until_asked(
        async || believed().await.is_some_and(|found| found == videos),
        || format!("{}: not {videos:?}", alertmanager.address),
    )
    .await;
}

#[tokio::test]
async fn a_peer_whose_answers_come_too_late_is_told_of_the_end_too() {
    let Some(referees) = Referees::find() else {
        return;
    };
    late_answers(&referees, &referees.tool("bin/alertmanager")).await;
}

#[tokio::test]
async fn so_is_a_newer_peer_whose_answers_come_too_late() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let Some(newer) = referees.newer("alertmanager") else {
        eprintln!("skipped: no newer Alertmanager beside the other");
        return;
    };
    late_answers(&referees, &newer).await;
}

/// One of two peers takes what it is told of, and its answer comes after we have lost patience.
async fn late_answers(referees: &Referees, program: &Path) {
    let (webhook, data) = (Receiver::start(), TempDir::new().unwrap());
    // A peer that is told of the end later than the other notifies that it fires, if it looks at the group in between: it is
    // told after one call that gets no answer, here as with the defaults.
    let cluster = cluster(referees, program, webhook.address, data.path(), "20s").await;
    let [near, far] = [&cluster[0], &cluster[1]];
    let proxy = Proxy::before(far.address);
    let (desk, _alerting) = alerting(AlertmanagerConfig {
        // Nothing ends by itself in this test.
        resend: Duration::from_mins(2),
        ..config(&[near.address, proxy.address])
    });
    desk.stalled([1]);
    for peer in [near, far] {
        believes(peer, &["v1"]).await;
    }
    notified_at_last(&webhook, "v1", &["firing"]).await;
    assert_eq!(desk.count(proxy.address, Sent::Failed), 0, "not yet");

    desk.stalled([]);
    for peer in [near, far] {
        believes(peer, &[]).await;
    }
    assert!(desk.count(proxy.address, Sent::Failed) > 0);
    notified_at_last(&webhook, "v1", &["firing", "resolved"]).await;
    assert_eq!(desk.count(proxy.address, Sent::Ok), 0);
    proxy.slow.store(false, Ordering::SeqCst);
    until(
        || desk.count(proxy.address, Sent::Ok) > 0,
        || format!("{:?}", desk.sent),
    )
    .await;
    assert_eq!(notified(&webhook, "v1"), ["firing", "resolved"]);
}

#[tokio::test]
async fn one_that_restarts_while_an_alert_fires_notifies_again_only_what_it_forgot() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let mut fleet = Fleet::start(&referees, BY_VIDEO, "2s");
    let (desk, _alerting) = alerting(fleet.config());
    desk.stalled([1]);
    fleet.have_notified("v1", &["firing"], &["firing"]).await;
    fleet.down();
    fleet.up();
    fleet.believe(&["v1"]).await;
    fleet.live_on(&desk, 2, &[1]).await;
    fleet
        .have_notified("v1", &["firing"], &["firing", "firing"])
        .await;
    desk.stalled([]);
    let once = ["firing", "resolved"];
    fleet.have_notified("v2", &once, &once).await;
    fleet
        .have_notified("v1", &once, &["firing", "firing", "resolved"])
        .await;
}

#[tokio::test]
async fn an_end_is_told_to_one_that_was_down_then_and_for_longer_than_an_alert_lives() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let mut fleet = Fleet::start(&referees, BY_VIDEO, "2s");
    let (desk, _alerting) = alerting(fleet.config());
    desk.stalled([1]);
    fleet.have_notified("v1", &["firing"], &["firing"]).await;
    fleet.down();
    desk.stalled([]);
    // Whatever was sent last.
    let lived = clock::now().plus(RESEND * 3);
    until(|| clock::now() > lived, || "time stands still".to_owned()).await;
    fleet.up();
    // Whoever has lost its log has nothing to end.
    fleet
        .have_notified("v1", &["firing", "resolved"], &["firing"])
        .await;
    fleet.are_told_an_end().await;
    fleet.live_on(&desk, 2, &[]).await;
    fleet.believe(&["v2"]).await;
    fleet
        .have_notified("v1", &["firing", "resolved"], &["firing"])
        .await;
}

#[tokio::test]
async fn one_that_restarts_after_an_end_was_told_notifies_it_once_and_nothing_fires_again() {
    let Some(referees) = Referees::find() else {
        return;
    };
    // It is told of the end long before it looks at the group again.
    let mut fleet = Fleet::start(&referees, BY_VIDEO, "1m");
    let (desk, _alerting) = alerting(fleet.config());
    desk.stalled([1]);
    fleet.have_notified("v1", &["firing"], &["firing"]).await;
    desk.stalled([]);
    fleet.are_told_an_end().await;
    fleet.have_notified("v1", &["firing"], &["firing"]).await;
    for video in [2, 3] {
        fleet.down();
        fleet.up();
        fleet.are_told_an_end().await;
        fleet
            .have_notified("v1", &["firing", "resolved"], &["firing"])
            .await;
        fleet.live_on(&desk, video, &[]).await;
        fleet.believe(&[&format!("v{video}")]).await;
    }
    fleet
        .have_notified("v1", &["firing", "resolved"], &["firing"])
        .await;
}

#[tokio::test]
async fn an_end_that_is_told_again_makes_no_notification_and_is_listed_in_those_of_its_group() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let fleet = Fleet::start(&referees, "alertname, queue", "6s");
    let (desk, _alerting) = alerting(fleet.config());
    let since = clock::now();
    let stalled = |videos: &[u32]| desk.stalled_since(videos.iter().copied(), since);
    stalled(&[1, 2]);
    for video in ["v1", "v2"] {
        fleet.have_notified(video, &["firing"], &["firing"]).await;
    }
    stalled(&[2]);
    let once = ["firing", "resolved"];
    fleet.have_notified("v1", &once, &once).await;
    let mut told = Vec::new();
    for server in &fleet.servers {
        told.push(server.alertmanager.received("resolved").await);
    }
    for (server, told) in fleet.servers.iter().zip(told) {
        // Each time comes at least 5 s after the one before.
        until_asked(
            async || server.alertmanager.received("resolved").await >= told + 3.0,
            || "not told again".to_owned(),
        )
        .await;
        assert_eq!(server.webhook.requests().len(), 2, "no further one");
    }
    stalled(&[2, 3]);
    fleet.have_notified("v3", &["firing"], &["firing"]).await;
    for server in &fleet.servers {
        let listed = ["firing", "resolved", "resolved"];
        assert_eq!(notified(&server.webhook, "v1"), listed);
        let ends = server.webhook.requests().split_off(1).into_iter();
        let mut ends = ends.map(|request| request.body["alerts"][0]["endsAt"].clone());
        assert_eq!(ends.next(), ends.next(), "the same end");
    }
}
