//! The admin server over real sockets, spoken to in bytes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "support/snapshot.rs"]
mod snapshot;

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use vod_callback_exporter::admin::{Admin, Readiness, Server, Settings, View};
use vod_callback_exporter::ledger::listing::{Listing, Page};
use vod_callback_exporter::ledger::transcodes::State;
use vod_callback_exporter::ledger::{Snapshot, Stage, TranscodeRow, Verdict};
use vod_callback_exporter::metrics::Metrics;
use vod_callback_exporter::vod::event::MediaKey;

struct Fixed(Mutex<Snapshot>);

impl View for Fixed {
    fn snapshot(&self) -> Snapshot {
        self.0.lock().unwrap().clone()
    }

    fn skew_millis(&self) -> Option<i64> {
        Some(250)
    }

    fn transcodes(&self, listing: &Listing) -> Page {
        let row = TranscodeRow {
            media: MediaKey::Hex([0xab; 16]),
            state: State::Transcoding,
            started: snapshot::NOW,
            overdue_since: Some(snapshot::NOW),
            verdict: Some(Verdict::Stalled),
            stage: Some(Stage::Transcode),
            closed: None,
            duration_seconds: None,
        };
        let rows = vec![("vod".into(), row); listing.limit.min(2)];
        Page { rows, total: 3 }
    }
}

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn start(settings: Settings) -> Running {
    let queues = vec![snapshot::consumed("vod"), snapshot::unknown("<script>&\"'")];
    let view = Arc::new(Fixed(Mutex::new(snapshot::ledger(queues))));
    let metrics = Arc::new(Metrics::new().unwrap());
    let readiness = Readiness::default();
    let admin = Arc::new(Admin::new(view, metrics, readiness.clone(), settings));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let server = Server::new(listener).unwrap();
    let address = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(server.serve(admin, async {
        drop(stopped.await);
    }));
    Running {
        address,
        readiness,
        stop,
        server,
    }
}

impl Running {
    async fn get(&self, target: &str) -> Reply {
        self.request("GET", target, "").await
    }

    async fn request(&self, method: &str, target: &str, headers: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("{method} {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await.unwrap();
        Reply::parse(&reply)
    }
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

#[tokio::test]
async fn readiness_follows_start_up_and_shutdown_only() {
    let running = start(Settings::default());
    assert_eq!(running.get("/-/healthy").await.status, 200);
    assert_eq!(running.get("/-/ready").await.status, 503);
    running.readiness.ready();
    assert_eq!(running.get("/-/ready").await.status, 200);
    running.readiness.stopping();
    let reply = running.get("/-/ready").await;
    assert_eq!((reply.status, reply.text()), (503, "Stopping.\n"));
    assert_eq!(running.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn metrics_are_served_in_both_formats() {
    let running = start(Settings::default());
    let text = running.get("/metrics").await;
    assert_eq!(
        text.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_eq!(text.header("content-encoding"), None);
    assert_eq!(text.header("vary"), Some("Accept, Accept-Encoding"));
    assert!(
        text.text()
            .contains("\nmns_messages_seen_total{queue=\"vod\"} 1234\n")
    );
    assert!(
        text.text()
            .contains("\nvod_callback_exporter_clock_skew_seconds 0.25\n")
    );
    let accept = "accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n";
    let open_metrics = running.request("GET", "/metrics", accept).await;
    let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open_metrics.header("content-type"), Some(expected));
    assert!(open_metrics.text().ends_with("\n# EOF\n"));
}

#[tokio::test]
async fn gzip_holds_the_same_text() {
    let running = start(Settings::default());
    let plain = running.get("/metrics").await;
    let zipped = running
        .request("GET", "/metrics", "accept-encoding: gzip\r\n")
        .await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert!(
        zipped.body.len() * 5 < plain.body.len(),
        "{} bytes",
        zipped.body.len()
    );
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*zipped.body)
        .read_to_string(&mut text)
        .unwrap();
    let of_ledger = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with("process_"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(of_ledger(&text), of_ledger(plain.text()));
}

#[tokio::test]
async fn the_telemetry_path_can_be_moved() {
    let settings = Settings {
        telemetry_path: "/vod/metrics".to_owned(),
        ..Settings::default()
    };
    let running = start(settings);
    assert_eq!(running.get("/metrics").await.status, 404);
    assert_eq!(running.get("/vod/metrics").await.status, 200);
    assert!(
        running
            .get("/")
            .await
            .text()
            .contains("href=\"/vod/metrics\"")
    );
}

#[tokio::test]
async fn the_landing_page_escapes_what_it_shows() {
    let page = start(Settings::default()).get("/").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.header("content-security-policy").is_some());
    assert!(page.text().contains("&lt;script&gt;&amp;&quot;&#39;"));
    assert!(!page.text().contains("<script"));
    for link in [
        "/metrics",
        "/api/v1/queues",
        "/api/v1/quarantine",
        "/api/v1/transcodes?state=overdue",
        "/-/ready",
        "/-/healthy",
    ] {
        assert!(page.text().contains(&format!("href=\"{link}\"")), "{link}");
    }
    assert!(page.text().contains(env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn queues_are_told_as_json() {
    let reply = start(Settings::default())
        .get("/api/v1/queues")
        .await
        .json();
    let [consumed, unknown] = reply["queues"].as_array().unwrap().as_slice() else {
        panic!("two queues: {reply}");
    };
    assert_eq!(consumed["id"], "vod");
    assert_eq!(consumed["mode"], "consume");
    assert_eq!(consumed["messages"]["active"], 7);
    assert_eq!(consumed["oldest_message"], "2026-01-02T03:02:35.178Z");
    assert_eq!(consumed["observed_until"], "2026-01-02T03:04:04.678Z");
    assert_eq!(consumed["counts"]["messages_seen"], 1234);
    assert_eq!(consumed["counts"]["failed_events"], 9);
    assert_eq!(consumed["view_complete"], true);
    for unknown in [
        &unknown["up"],
        &unknown["messages"],
        &unknown["last_error"],
        &unknown["empty"],
    ] {
        assert!(unknown.is_null());
    }
}

#[tokio::test]
async fn transcodes_come_in_pages_and_tell_which_video_it_is() {
    let running = start(Settings::default());
    let page = running
        .get("/api/v1/transcodes?state=stalled&limit=2")
        .await
        .json();
    assert_eq!(
        (&page["total"], &page["next_offset"]),
        (&3.into(), &2.into())
    );
    let video = &page["transcodes"][0];
    assert_eq!(video["video_id"], "ab".repeat(16));
    assert_eq!(
        (&video["verdict"], &video["stage"]),
        (&"stalled".into(), &"transcode".into())
    );
    assert_eq!(video["overdue_since"], snapshot::NOW.to_string());
    assert_eq!(video.get("closed"), Some(&serde_json::Value::Null));
    let last = running
        .get("/api/v1/transcodes?offset=2&limit=1")
        .await
        .json();
    assert!(last["next_offset"].is_null());
    let refused = running.get("/api/v1/transcodes?state=late").await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn quarantine_shows_bodies_only_where_allowed() {
    let running = start(Settings::default());
    let listed = running.get("/api/v1/quarantine").await.json();
    let message = &listed["messages"][0];
    assert_eq!(message["number"], 7);
    assert_eq!(message["reason"], "not_json");
    assert_eq!(message["size"], 17);
    assert!(message.get("body").is_none());
    let refused = running.get("/api/v1/quarantine?bodies=1").await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.json()["error"]
            .as_str()
            .unwrap()
            .contains("quarantine.expose_bodies")
    );

    let open = start(Settings {
        expose_bodies: true,
        ..Settings::default()
    });
    let bodies = open
        .get("/api/v1/quarantine?queue=vod&bodies=1")
        .await
        .json();
    assert_eq!(bodies["messages"][0]["body"], "<b>not \"JSON\"</b>");
    let without = open.get("/api/v1/quarantine").await.json();
    assert!(
        without["messages"][0].get("body").is_none(),
        "only when asked for"
    );
    let other = open.get("/api/v1/quarantine?queue=other").await.json();
    assert_eq!(other["messages"].as_array().map(Vec::len), Some(0));
    let misspelt = open.get("/api/v1/quarantine?body=1").await;
    assert_eq!(misspelt.status, 400);
    assert!(
        misspelt.json()["error"]
            .as_str()
            .unwrap()
            .contains("\"body\"")
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let running = start(Settings::default());
    let missing = running.get("/nowhere").await;
    assert_eq!(
        (missing.status, missing.text()),
        (404, "There is nothing at this path.\n")
    );
    let missing = running.get("/api/v2/queues").await;
    assert_eq!(missing.status, 404);
    assert!(missing.json()["error"].is_string());
    for target in ["/", "/metrics", "/-/ready", "/api/v1/queues"] {
        let refused = running
            .request("POST", target, "content-length: 0\r\n")
            .await;
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, Some("GET, HEAD")),
            "{target}"
        );
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let running = start(Settings::default());
    for target in ["/", "/-/healthy", "/api/v1/queues", "/nowhere"] {
        let get = running.get(target).await;
        let head = running.request("HEAD", target, "").await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{target}");
        assert_eq!(
            head.header("content-length"),
            get.header("content-length"),
            "{target}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_head_is_dropped() {
    let running = start(Settings::default());
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: ")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_mins(1), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection is still open");
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let running = start(Settings::default());
    let header = format!("x: {}\r\n", "a".repeat(64 * 1024));
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{header}\r\n");
    // The server may close before all of it is written, and may reset what it did not read.
    drop(stream.write_all(request.as_bytes()).await);
    let mut reply = Vec::new();
    drop(stream.read_to_end(&mut reply).await);
    assert!(
        !reply.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&reply)
    );
    assert_eq!(running.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn connections_end_with_the_server() {
    let running = start(Settings::default());
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    running.stop.send(()).unwrap();
    running.server.await.unwrap().unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(
        TcpStream::connect(running.address).await.is_err(),
        "the address is free again"
    );
}
