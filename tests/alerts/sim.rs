//! Hours of an exporter's life in a moment: a simulated platform pushes, a queue holds, a worker or the exporter takes, and
//! every minute the real admin endpoint is scraped.
//!
//! Queue, worker and clock are models; the ledger, what is recorded in it and the exposition are the exporter's own.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vod_callback_exporter::admin::{Admin, Readiness, Server, Settings, View};
use vod_callback_exporter::alertmanager::{Observer as _, Sent};
use vod_callback_exporter::aliyun::transport;
use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::emulator::scenario::{self, Platform, State};
use vod_callback_exporter::ledger::listing::{Listing, Page};
use vod_callback_exporter::ledger::snapshot::Role;
use vod_callback_exporter::ledger::{
    Changes, Judgement, Ledger, MessageKey, Mode, Peeked, QueueIdentity, QueueIndex, QueueSettings,
    Reading, Record, Snapshot, Stage, Verdict, store,
};
use vod_callback_exporter::metrics::Metrics;
use vod_callback_exporter::recorder::sightings;
use vod_callback_exporter::vod::api::MessageCallback;

use super::queue::{Waiting, Worker};
use super::world::World;

/// When the simulation begins; promtool's clock says 0 then.
pub(crate) const START: UnixMillis = UnixMillis::from_secs(1_800_000_000);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);
const QUEUE: QueueIndex = QueueIndex(0);
/// Longer than any answer takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A stall is one that three looks, two minutes apart, have shown no progress of.
const LOOKS: Duration = Duration::from_mins(6);
/// Minutes between two sweeps of VOD's videos.
const SURVEY: u32 = 5;
/// Messages a tick looks at.
const SAMPLE: usize = 48;

/// Series and their values in one scrape; none if it failed.
pub(crate) type Scrape = Option<BTreeMap<String, f64>>;

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a trouble of its own"
)]
pub(crate) struct Sim {
    state: Arc<Mutex<Told>>,
    metrics: Arc<Metrics>,
    client: reqwest::Client,
    url: String,
    serving: CancellationToken,
    settings: QueueSettings,
    identity: Arc<QueueIdentity>,
    pub(crate) platforms: Vec<Platform>,
    pub(crate) now: UnixMillis,
    minute: u32,
    rng: fastrand::Rng,
    queue: Vec<Waiting>,
    pushed: u64,
    callback: Option<MessageCallback>,
    retention: Duration,
    /// Pod of the exporter, value of the label `instance`.
    pub(crate) instance: &'static str,
    /// The scrapes, one a minute, with the exporter's pod.
    pub(crate) scrapes: Vec<(&'static str, Scrape)>,

    pub(crate) worker: Worker,
    /// How late callbacks reach the queue.
    pub(crate) delay: Duration,
    /// MNS refuses to answer.
    pub(crate) unreadable: bool,
    /// The process is there, and reads no more.
    pub(crate) frozen: bool,
    /// The process is gone.
    pub(crate) down: bool,
    /// The depth counters read 0 whatever there is.
    pub(crate) counters_retired: bool,
    /// So many of the next messages were received by somebody else first.
    pub(crate) strangers: u32,
    /// What VOD says of videos that do not end.
    pub(crate) vod_says: Verdict,
    /// VOD's API refuses every call.
    pub(crate) vod_refuses: bool,
    /// When the credentials end.
    pub(crate) expires: Option<UnixMillis>,
    pub(crate) durable: bool,
    /// What becomes of the alert that is sent to Alertmanager each minute.
    pub(crate) alerts_sent: Sent,
    /// Whether the config is found good, which it is read again for each minute.
    pub(crate) config_is_good: bool,
}

struct Told {
    ledger: Ledger,
    now: UnixMillis,
    durable: bool,
}

struct Endpoint(Arc<Mutex<Told>>);

// === impl Sim ===

impl Sim {
    pub(crate) fn new(world: &World) -> Self {
        let identity = Arc::new(QueueIdentity {
            id: "vod".into(),
            mns_queue: "vod".into(),
            endpoint: "http://127.0.0.1".into(),
            account: "".into(),
            region: "".into(),
            mode: world.mode,
            role: world.role,
        });
        let told = Told {
            ledger: Ledger::new(1 << 20),
            now: START,
            durable: true,
        };
        let mut sim = Self {
            state: Arc::new(Mutex::new(told)),
            metrics: Arc::new(Metrics::new().unwrap()),
            client: transport::Options::default().client().unwrap(),
            url: String::new(),
            serving: CancellationToken::new(),
            settings: QueueSettings {
                transcodes: world.transcodes,
                ..QueueSettings::default()
            },
            identity,
            platforms: vec![Platform::new(world.platform.clone(), 7, START)],
            now: START,
            minute: 0,
            rng: fastrand::Rng::with_seed(3),
            queue: Vec::new(),
            pushed: 0,
            callback: None,
            retention: world.retention,
            instance: "a",
            scrapes: Vec::new(),
            worker: Worker::Quick,
            delay: Duration::ZERO,
            unreadable: false,
            frozen: false,
            down: false,
            counters_retired: false,
            strangers: 0,
            vod_says: Verdict::Stalled,
            vod_refuses: false,
            expires: None,
            durable: true,
            alerts_sent: Sent::Ok,
            config_is_good: true,
        };
        sim.reopen();
        sim
    }

    /// Watches the queue, from now on with VOD asked or not.
    pub(crate) fn ask_vod(&mut self, reconciled: bool) {
        self.settings.transcodes.reconciled = reconciled;
        self.reopen();
    }

    /// Watches the queue no more.
    pub(crate) fn forget_queue(&mut self) {
        let at = self.now;
        self.apply(&Record::Closed { queue: QUEUE, at });
        self.frozen = true;
    }

    /// Watches the queue again.
    pub(crate) fn watch_queue(&mut self) {
        self.frozen = false;
        self.reopen();
    }

    /// Adds a platform that goes on beside the calm one.
    pub(crate) fn add(&mut self, settings: scenario::Settings) {
        let seed = 11 + self.platforms.len() as u64;
        self.platforms.push(Platform::new(settings, seed, self.now));
    }

    /// What VOD says of its callback configuration from now on.
    pub(crate) fn configure_callback(&mut self, queue: &str, events: &[&str]) {
        self.callback = Some(MessageCallback {
            callback_type: "MNS".to_owned(),
            mns_endpoint: "http://127.0.0.1".to_owned(),
            mns_queue: queue.to_owned(),
            event_types: events.iter().map(ToString::to_string).collect(),
        });
    }

    /// Puts a message into the queue that no worker gets rid of, or takes such ones out.
    pub(crate) fn poison(&mut self, there: bool) {
        self.queue.retain(|message| !message.poison);
        if there {
            self.enqueue("{}".to_owned(), self.now, true);
        }
    }

    /// Puts so many messages into the queue at once.
    pub(crate) fn burst(&mut self, messages: u32) {
        for _ in 0..messages {
            self.enqueue("{}".to_owned(), self.now, false);
        }
    }

    fn reopen(&mut self) {
        let opened = Record::Opened {
            queue: QUEUE,
            identity: Arc::clone(&self.identity),
            settings: self.settings,
            at: self.now,
        };
        self.apply(&opened);
    }

    pub(crate) fn serve(&mut self) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = Server::new(listener).unwrap();
        self.url = format!("http://{}/metrics", server.local_addr());
        let readiness = Readiness::default();
        readiness.ready();
        let view = Arc::new(Endpoint(Arc::clone(&self.state)));
        let admin = Admin::new(
            view,
            Arc::clone(&self.metrics),
            readiness,
            Settings::default(),
        );
        self.serving.cancel();
        self.serving = CancellationToken::new();
        let ending = self.serving.clone().cancelled_owned();
        tokio::spawn(server.serve(Arc::new(admin), ending));
    }

    pub(crate) fn restart(&mut self) {
        self.instance = if self.instance == "a" { "b" } else { "c" };
        self.metrics = Arc::new(Metrics::new().unwrap());
        self.serve();
        let mut told = lock(&self.state);
        told.ledger = if self.durable {
            reread(&told.ledger)
        } else {
            Ledger::new(1 << 20)
        };
        drop(told);
        self.apply(&Record::Started {
            quarantine_bytes: 1 << 20,
        });
        self.reopen();
    }

    pub(crate) async fn live_a_minute(&mut self) {
        self.push();
        self.work();
        if !self.down {
            self.send_alerts();
            self.metrics
                .reloaded(self.config_is_good.then_some(self.now));
            self.tick();
        }
        let scrape = self.scrape().await;
        self.scrapes.push((self.instance, scrape));
        self.pass();
    }

    pub(crate) fn pass(&mut self) {
        self.minute += 1;
        self.now = START.plus(MINUTE * self.minute);
        let mut told = lock(&self.state);
        told.now = self.now;
        told.durable = self.durable;
    }

    pub(crate) fn push(&mut self) {
        let mut pushes = Vec::new();
        for platform in &mut self.platforms {
            pushes.extend(platform.step(self.now.minus(self.delay)));
            platform.take_media();
        }
        for push in pushes {
            self.enqueue(push.body, push.at.plus(self.delay).min(self.now), false);
        }
    }

    fn enqueue(&mut self, body: String, enqueued: UnixMillis, poison: bool) {
        self.pushed += 1;
        self.queue.push(Waiting {
            id: self.pushed.to_string(),
            body,
            enqueued,
            first_dequeued: None,
            dequeue_count: 0,
            poison,
        });
    }

    /// What happened to a peeked queue in the last minute; what is consumed is the exporter's.
    fn work(&mut self) {
        let now = self.now;
        let expired = now.minus(self.retention);
        self.queue.retain(|message| message.enqueued > expired);
        if self.identity.mode == Mode::Peek && self.identity.role == Role::Callback {
            self.worker.work(&mut self.queue, now);
        }
    }

    fn send_alerts(&self) {
        let alertmanager = "alertmanager:9093";
        let alerts = self.metrics.alerts();
        alerts.configured(&[alertmanager.into()]);
        alerts.sent(alertmanager, self.alerts_sent, 1);
    }

    fn tick(&mut self) {
        if self.frozen {
            return;
        }
        if self.unreadable {
            self.read(Reading::Ended {
                at: self.now,
                error: Some("access_denied"),
            });
            return;
        }
        let (active, hidden) = (self.queue.len() as u64, 0);
        let depth = if self.counters_retired {
            [0; 3]
        } else {
            [active, hidden, 0]
        };
        self.read(Reading::Attributes {
            sent: self.now,
            depth: Some(depth),
            retention: Some(self.retention),
            visibility_timeout: Some(Duration::from_secs(30)),
        });
        match self.identity.mode {
            Mode::Consume => self.consume(),
            Mode::Peek => self.peek(),
        }
        self.read(Reading::Ended {
            at: self.now,
            error: None,
        });
        self.ask();
    }

    fn consume(&mut self) {
        let at = self.now;
        let mut taken = std::mem::take(&mut self.queue);
        for message in &mut taken {
            if self.strangers > 0 {
                self.strangers -= 1;
                // Later than the first receive of this process.
                message.receive(at.minus(Duration::from_secs(20)));
            }
            message.receive(at);
        }
        self.read(Reading::Received {
            at,
            messages: taken.len(),
        });
        for batch in taken.chunks(16) {
            let sightings = sightings(batch.iter().map(|message| message.as_seen(at)));
            let messages = sightings.iter().map(|sighting| sighting.message).collect();
            self.apply(&Record::Sighted {
                queue: QUEUE,
                at,
                sightings,
            });
            self.apply(&Record::Deleted {
                queue: QUEUE,
                at,
                messages,
            });
        }
        self.read(Reading::Received { at, messages: 0 });
        self.apply(&Record::Observed {
            queue: QUEUE,
            until: at,
        });
    }

    fn peek(&mut self) {
        let at = self.now;
        let complete = self.queue.len() <= SAMPLE;
        let mut sample: Vec<usize> = (0..self.queue.len()).collect();
        self.rng.shuffle(&mut sample);
        sample.truncate(SAMPLE);
        let seen = |index: &usize| self.queue[*index].as_seen(at);
        let sightings = sightings(sample.iter().map(seen));
        let peeked = sample.iter().map(|index| {
            let message = &self.queue[*index];
            Peeked {
                message: MessageKey::of(&message.id),
                enqueue_time: message.enqueued,
                first_dequeue_time: message.first_dequeued.unwrap_or(message.enqueued),
                dequeue_count: message.dequeue_count,
            }
        });
        let messages = peeked.collect();
        self.apply(&Record::Sighted {
            queue: QUEUE,
            at,
            sightings,
        });
        self.read(Reading::Peeked {
            at,
            messages,
            complete,
        });
        self.apply(&Record::Ticked { queue: QUEUE, at });
    }

    /// Asks VOD about overdue transcodes and its configuration.
    fn ask(&mut self) {
        if let Some(callback) = &self.callback {
            let callbacks = self.metrics.callbacks();
            callbacks.update(callback, &self.identity, "");
        }
        if let Some(expires) = self.expires {
            self.metrics.credentials("default").renewed(Some(expires));
        }
        if !self.settings.transcodes.reconciled {
            return;
        }
        let code = if self.vod_refuses {
            "access_denied"
        } else {
            "ok"
        };
        if self.minute.is_multiple_of(SURVEY) {
            self.metrics.vod_called("default", "GetVideoList", code);
        }
        let truth: HashMap<&str, State> = self
            .platforms
            .iter()
            .flat_map(|platform| &platform.truth().videos)
            .map(|video| (video.id.as_str(), video.state))
            .collect();
        let overdue: Vec<_> = lock(&self.state).ledger.overdue(QUEUE).collect();
        if !overdue.is_empty() {
            self.metrics
                .vod_called("default", "GetTranscodeSummary", code);
        }
        let judgements = overdue.into_iter().filter_map(|overdue| {
            let verdict = match truth.get(&*overdue.media.to_string())? {
                _ if self.vod_refuses => Verdict::Unknown,
                State::Transcoding => Verdict::Slow,
                State::Stalled if self.now.since(overdue.since) < LOOKS => Verdict::Slow,
                State::Stalled => self.vod_says,
                State::NotTranscoded => Verdict::NotTranscoded,
                State::Deleted => Verdict::Deleted,
                _ => match self.identity.mode {
                    Mode::Consume => Verdict::CallbackLost,
                    Mode::Peek => Verdict::DoneUnseen,
                },
            };
            Some(Judgement {
                media: overdue.media,
                verdict,
                stage: Stage::Transcode,
            })
        });
        let judged = Record::Judged {
            queue: QUEUE,
            at: self.now,
            judgements: judgements.collect(),
        };
        self.apply(&judged);
    }

    async fn scrape(&mut self) -> Scrape {
        if self.down {
            return None;
        }
        let request = self.client.get(&self.url).timeout(TIMEOUT);
        let answer = request.send().await.expect("the endpoint answers");
        assert_eq!(answer.status().as_u16(), 200);
        let text = answer.text().await.expect("the answer is whole");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        Some(samples.map(sample).collect())
    }

    fn apply(&mut self, record: &Record) {
        lock(&self.state)
            .ledger
            .apply(record, &mut Changes::default());
    }

    fn read(&mut self, reading: Reading) {
        lock(&self.state).ledger.read(QUEUE, reading);
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.serving.cancel();
    }
}

fn sample(line: &str) -> (String, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
    (series.to_owned(), value.parse().expect("which is a number"))
}

/// The ledger as the next process finds it on disk.
fn reread(ledger: &Ledger) -> Ledger {
    let folder = tempfile::TempDir::new().unwrap();
    let options = store::StateOptions {
        path: folder.path().to_owned(),
        reset: false,
    };
    let open = || store::open(&options, 1 << 20, START).unwrap();
    let encoded = store::encode(ledger).unwrap();
    open().store.checkpoint(&encoded).unwrap();
    open().ledger
}

fn lock(state: &Mutex<Told>) -> MutexGuard<'_, Told> {
    state.lock().expect("no test panics while it holds it")
}

// === impl Endpoint ===

impl View for Endpoint {
    fn snapshot(&self) -> Snapshot {
        let told = lock(&self.0);
        Snapshot {
            durable: told.durable,
            ..told.ledger.snapshot(told.now)
        }
    }

    fn skew_millis(&self) -> Option<i64> {
        Some(0)
    }

    fn transcodes(&self, listing: &Listing) -> Page {
        lock(&self.0).ledger.list(listing)
    }
}
