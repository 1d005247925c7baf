//! Hours of simulated time: names that are looked up again, outages, what the log says of them, and what ends by itself.
//!
//! Time stands still while anything can go on, and goes on by [`LOOK`] where a test says so: calls are real, waits are not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use vod_callback_exporter::alertmanager::targets::{Lookup, Resolver};
use vod_callback_exporter::alertmanager::{Alerting, Observer, Sent, Source};
use vod_callback_exporter::clock::{self, UnixMillis};
use vod_callback_exporter::config::AlertmanagerConfig;
use vod_callback_exporter::ledger::troubles::Troubles;
use vod_callback_exporter::ledger::{Changes, Ledger, QueueIndex, QueueSettings, Record};
use vod_callback_exporter::mns::Message;
use vod_callback_exporter::recorder::sightings;

use super::receivers::{Answer, Receiver};
use super::world::{PATIENCE, refusing_address};
use super::{Desk, config, ended, ends, fires, identity};

/// Between two looks at what fires.
const LOOK: Duration = Duration::from_secs(5);
/// Turns of the runtime in which a connection to this machine is made.
const CONNECTED: usize = 64;
/// The ledger's queue.
const OURS: QueueIndex = QueueIndex(0);

/// A desk whose time a test tells.
struct Clocked {
    desk: Desk,
    start: UnixMillis,
    now: Arc<AtomicI64>,
    looks: AtomicUsize,
    receivers: Mutex<Vec<Receiver>>,
    /// Calls that ended, by what they call an Alertmanager.
    calls: Mutex<BTreeMap<String, usize>>,
    /// Tasks that are there also while no call is under way.
    tasks: AtomicUsize,
    /// Whose troubles are told instead of the desk's.
    ledger: Mutex<Option<Ledger>>,
}

/// What a test says of a name.
#[derive(Default)]
struct Names {
    /// None while the name cannot be looked up.
    addresses: Mutex<Option<Vec<SocketAddr>>>,
    lookups: AtomicUsize,
}

/// Lines of the log.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

// === impl Clocked ===

impl Source for Clocked {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now.load(Ordering::SeqCst))
    }

    fn troubles(&self, now: UnixMillis) -> Troubles {
        let ledger = self.ledger.lock().unwrap();
        ledger
            .as_ref()
            .map_or_else(|| self.desk.troubles(now), |ledger| ledger.troubles(now))
    }
}

impl Observer for Clocked {
    fn configured(&self, names: &[Arc<str>]) {
        self.desk.configured(names);
    }

    fn looked(&self, active: usize, newly_suppressed: usize) {
        self.desk.looked(active, newly_suppressed);
        self.looks.fetch_add(1, Ordering::SeqCst);
    }

    fn sent(&self, alertmanager: &str, result: Sent, alerts: usize) {
        self.desk.sent(alertmanager, result, alerts);
        *self
            .calls
            .lock()
            .unwrap()
            .entry(alertmanager.to_owned())
            .or_default() += 1;
    }
}

impl Clocked {
    fn new() -> Arc<Self> {
        let start = UnixMillis(clock::now().0 / 60_000 * 60_000);
        Arc::new(Self {
            desk: Desk::default(),
            start,
            now: Arc::new(AtomicI64::new(start.0)),
            looks: AtomicUsize::new(0),
            receivers: Mutex::default(),
            calls: Mutex::default(),
            tasks: AtomicUsize::new(0),
            ledger: Mutex::default(),
        })
    }

    /// A receiver that knows the time.
    fn receiver(&self, address: impl Into<SocketAddr>) -> Receiver {
        let (receiver, now) = (Receiver::at(address.into()), Arc::clone(&self.now));
        receiver.by(move || UnixMillis(now.load(Ordering::SeqCst)));
        self.receivers.lock().unwrap().push(receiver.clone());
        receiver
    }

    /// Begins to send; each name leads to one address.
    async fn start(self: &Arc<Self>, config: AlertmanagerConfig, names: Arc<Names>) -> Alerting {
        // One looks, one follows each URL, one tells each Alertmanager.
        self.tasks
            .store(1 + 2 * config.urls.len(), Ordering::SeqCst);
        let alerting =
            Alerting::new(Arc::clone(self) as _, Arc::clone(self) as _, 1).with_resolver(names);
        alerting.apply(Some(config));
        self.quiet(0).await;
        alerting
    }

    /// So many more Alertmanagers are told, or fewer.
    fn peers(&self, more: isize) {
        let tasks = self.tasks.load(Ordering::SeqCst);
        self.tasks
            .store(tasks.saturating_add_signed(more), Ordering::SeqCst);
    }

    /// Waits until somebody has looked once more and all calls have ended, but for those that are never answered.
    async fn quiet(&self, looks: usize) {
        let metrics = tokio::runtime::Handle::current().metrics();
        let looked = || self.looks.load(Ordering::SeqCst) > looks;
        settle(looked, || "nobody looks".to_owned()).await;
        // Each call under way has a task for its connection, which is made by then.
        for _ in 0..CONNECTED {
            tokio::task::yield_now().await;
        }
        let tasks = self.tasks.load(Ordering::SeqCst);
        settle(
            || metrics.num_alive_tasks() == tasks + self.held(),
            || {
                format!(
                    "{} tasks, not {tasks} and {}",
                    metrics.num_alive_tasks(),
                    self.held()
                )
            },
        )
        .await;
    }

    /// Calls under way that are never answered. Ends are counted as the caller sees them, so that none is too many.
    fn held(&self) -> usize {
        let (receivers, calls) = (self.receivers.lock().unwrap(), self.calls.lock().unwrap());
        let held = receivers.iter().map(|receiver| {
            let requests = receiver.requests();
            let is_silenced = requests.last().is_some_and(|last| {
                matches!(last.answer, Answer::Silence | Answer::TakenThenSilence)
            });
            let ended = calls.get(&receiver.address.to_string()).copied();
            if is_silenced {
                requests.len().saturating_sub(ended.unwrap_or(0))
            } else {
                0
            }
        });
        held.sum()
    }

    fn stalled(&self, videos: impl IntoIterator<Item = u32>) {
        self.desk.stalled_since(videos, self.start);
    }

    /// Lets time go on to the next look, which is seen by whoever calls.
    async fn step(&self) {
        let before = self.looks.load(Ordering::SeqCst);
        let look = i64::try_from(LOOK.as_millis()).unwrap();
        self.now.fetch_add(look, Ordering::SeqCst);
        tokio::time::advance(LOOK).await;
        self.quiet(before).await;
    }

    fn since_start(&self) -> Duration {
        self.now().since(self.start)
    }

    /// Goes on to this time after the start; with each step `this` receiver gets to know what fires.
    async fn go_on(&self, until: Duration, informed: &Receiver, firing: &[String]) {
        let truth: BTreeSet<String> = firing.iter().cloned().collect();
        while self.since_start() < until {
            self.step().await;
            self.is_informed(informed, &truth).await;
        }
    }

    /// Waits until a receiver knows what fires, for no simulated time.
    async fn is_informed(&self, receiver: &Receiver, truth: &BTreeSet<String>) {
        let believed = || believed(receiver, self.now());
        settle(
            || believed() == *truth,
            || format!("{:?}: {:?}, not {truth:?}", self.since_start(), believed()),
        )
        .await;
    }

    fn failed(&self, receiver: &Receiver) -> usize {
        self.desk.count(receiver.address, Sent::Failed)
    }
}

/// Waits for what goes on by itself. Time stands still meanwhile: the runtime lets it go on where all tasks wait, and this one
/// never does.
async fn settle(condition: impl Fn() -> bool, describe: impl Fn() -> String) {
    let deadline = clock::now().plus(PATIENCE);
    while !condition() {
        assert!(clock::now() < deadline, "patience ended: {}", describe());
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}

/// What an Alertmanager that was told so believes to fire.
fn believed(receiver: &Receiver, now: UnixMillis) -> BTreeSet<String> {
    let mut ends = BTreeMap::new();
    for request in receiver.requests() {
        if !request.answer.is_taken() {
            continue;
        }
        for alert in request.body.as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let labels = &alert["labels"];
            let name = format!(
                "{} {}",
                text(&labels["alertname"]),
                text(&labels["video_id"])
            );
            let end: jiff::Timestamp = text(&alert["endsAt"]).parse().unwrap();
            ends.insert(name, end.as_millisecond());
        }
    }
    ends.into_iter()
        .filter(|(_, end)| *end > now.0)
        .map(|(name, _)| name)
        .collect()
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

// === impl Names ===

impl Resolver for Names {
    fn look_up<'a>(&'a self, name: &'a str, _: u16) -> Lookup<'a> {
        assert_eq!(name, "alertmanagers.test");
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let found = self.addresses.lock().unwrap().clone();
        let found = found.ok_or_else(|| io::Error::other("no such name"));
        Box::pin(std::future::ready(found))
    }
}

impl Names {
    fn lead_to(&self, receivers: &[&Receiver]) {
        let addresses = receivers.iter().map(|receiver| receiver.address);
        *self.addresses.lock().unwrap() = Some(addresses.collect());
    }

    fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }
}

// === impl Log ===

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Takes all lines of this thread until the guard is dropped.
    pub(super) fn open(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    /// What was said of an Alertmanager since it was configured: what is wrong, or that it is over.
    pub(super) fn of(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["alertmanager"] == name && line["message"] != "Alerts are sent.")
            .map(|line| {
                let word = line.get("kind").unwrap_or(&line["message"]);
                word.as_str().unwrap().to_owned()
            })
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_again_and_whoever_is_new_or_gone_is_noticed() {
    const AGAIN: Duration = Duration::from_secs(30);
    let (log, clocked, names) = (Log::default(), Clocked::new(), Arc::new(Names::default()));
    let _open = log.open();
    let first = clocked.receiver((Ipv4Addr::LOCALHOST, 0));
    let port = first.address.port();
    let second = clocked.receiver((Ipv4Addr::new(127, 0, 0, 2), port));
    let name = format!("alertmanagers.test:{port}");
    names.lead_to(&[&first]);
    clocked.stalled([1]);
    let config = AlertmanagerConfig {
        urls: vec![format!("http://{name}").parse().unwrap()],
        ..config(&[])
    };
    let alerting = clocked.start(config, Arc::clone(&names)).await;
    clocked.is_informed(&first, &[fires(1)].into()).await;

    // Not before its time, and then at once.
    names.lead_to(&[&first, &second]);
    clocked
        .go_on(AGAIN.saturating_sub(LOOK), &first, &[fires(1)])
        .await;
    assert_eq!(names.lookups(), 1);
    assert!(second.requests().is_empty());
    clocked.peers(1);
    clocked.go_on(AGAIN, &second, &[fires(1)]).await;
    assert_eq!(names.lookups(), 2);
    clocked.stalled([1, 2]);
    clocked.step().await;
    for receiver in [&first, &second] {
        clocked
            .is_informed(receiver, &[fires(1), fires(2)].into())
            .await;
    }

    names.lead_to(&[&second]);
    let both = [fires(1), fires(2)];
    clocked
        .go_on((2 * AGAIN).saturating_sub(LOOK), &second, &both)
        .await;
    clocked.peers(-1);
    clocked.go_on(2 * AGAIN, &second, &both).await;
    assert_eq!(names.lookups(), 3);
    let told = first.requests().len();
    clocked.stalled([2, 3]);
    let now = [fires(2), fires(3)];
    clocked.go_on(5 * AGAIN, &second, &now).await;
    assert_eq!(first.requests().len(), told, "it is gone");

    // A name that cannot be looked up for a while is no reason to leave anybody, and is asked for sooner.
    *names.addresses.lock().unwrap() = None;
    let before = names.lookups();
    clocked.stalled([3, 4]);
    let then = [fires(3), fires(4)];
    clocked.go_on(10 * AGAIN, &second, &then).await;
    let asked = names.lookups() - before;
    assert!((24..=30).contains(&asked), "{asked}");
    names.lead_to(&[&second]);
    clocked.go_on(12 * AGAIN, &second, &then).await;
    let gone = "An Alertmanager is gone.";
    let fails = "An Alertmanager's name cannot be looked up: the addresses known before are kept. Check the name.";
    let works = "An Alertmanager's name can be looked up again.";
    assert_eq!(log.of(&name), [gone, fails, works]);
    assert_eq!(clocked.desk.sent_of(&name, Sent::Failed), 0);
    alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_moved_is_told_at_its_new_address_what_is_over() {
    let (clocked, names) = (Clocked::new(), Arc::new(Names::default()));
    let first = clocked.receiver((Ipv4Addr::LOCALHOST, 0));
    let port = first.address.port();
    let [second, third, fourth] =
        [2, 3, 4].map(|host| clocked.receiver((Ipv4Addr::new(127, 0, 0, host), port)));
    names.lead_to(&[&first]);
    clocked.stalled([1, 2]);
    let url = format!("http://alertmanagers.test:{port}");
    let config = AlertmanagerConfig {
        urls: vec![url.parse().unwrap()],
        ..config(&[])
    };
    let alerting = clocked.start(config, Arc::clone(&names)).await;
    clocked
        .is_informed(&first, &[fires(1), fires(2)].into())
        .await;

    // A pod is down for longer than an alert lives, and comes back elsewhere with its disk.
    first.answer(Answer::Status(503, ""));
    clocked.step().await;
    clocked.stalled([2]);
    while clocked.since_start() < minutes(2) {
        clocked.step().await;
    }
    names.lead_to(&[&second]);
    while second.taken().is_empty() {
        clocked.step().await;
    }
    assert!(clocked.since_start() <= minutes(3));
    assert_eq!(second.taken(), [ends(1), fires(2)]);
    // It may move again before it has notified the end.
    names.lead_to(&[&third]);
    while third.taken().is_empty() {
        clocked.step().await;
    }
    assert_eq!(third.taken(), [ends(1), fires(2)]);

    clocked.go_on(minutes(20), &third, &[fires(2)]).await;
    names.lead_to(&[&fourth]);
    while fourth.taken().is_empty() {
        clocked.step().await;
    }
    assert_eq!(fourth.taken(), [fires(2)], "that was long ago");
    alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_call_told_that_was_under_way_when_its_address_went_is_told_as_over() {
    let (clocked, names) = (Clocked::new(), Arc::new(Names::default()));
    let first = clocked.receiver((Ipv4Addr::LOCALHOST, 0));
    let port = first.address.port();
    let second = clocked.receiver((Ipv4Addr::new(127, 0, 0, 2), port));
    first.answer(Answer::TakenThenSilence);
    names.lead_to(&[&first]);
    let url = format!("http://alertmanagers.test:{port}");
    let config = AlertmanagerConfig {
        urls: vec![url.parse().unwrap()],
        ..config(&[])
    };
    let alerting = clocked.start(config, Arc::clone(&names)).await;
    // Shortly before the name is looked up again.
    while clocked.since_start() < Duration::from_secs(20) {
        clocked.step().await;
    }
    clocked.stalled([1]);
    names.lead_to(&[&second]);
    while first.taken().is_empty() {
        clocked.step().await;
    }
    assert_eq!(clocked.failed(&first), 0, "the call is under way");
    clocked.stalled([]);
    // With the address goes the call that is never answered.
    clocked.peers(-1);
    while clocked.since_start() < minutes(2) {
        clocked.step().await;
    }
    let told = second.taken();
    assert!(
        !told.is_empty() && told.iter().all(|it| *it == ends(1)),
        "{told:?}"
    );
    assert_eq!(clocked.failed(&first), 0, "it never ended");
    alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_name_with_both_families_the_one_that_accepts_connections_is_used() {
    let (log, clocked, names) = (Log::default(), Clocked::new(), Arc::new(Names::default()));
    let _open = log.open();
    let by_ipv4 = refusing_address();
    let by_ipv6 = SocketAddr::from((Ipv6Addr::LOCALHOST, by_ipv4.port()));
    let name = format!("alertmanagers.test:{}", by_ipv4.port());
    *names.addresses.lock().unwrap() = Some(vec![by_ipv6, by_ipv4]);
    clocked.stalled([1]);
    let config = AlertmanagerConfig {
        urls: vec![format!("http://{name}").parse().unwrap()],
        ..config(&[])
    };
    let alerting = clocked.start(config.clone(), Arc::clone(&names)).await;
    for _ in 0..12 {
        clocked.step().await;
    }
    let failed = || clocked.desk.sent_of(&name, Sent::Failed);
    assert!(failed() > 0, "nobody is there");
    assert_eq!(log.of(&name), ["connection"]);

    let receiver = clocked.receiver(by_ipv4);
    for _ in 0..7 {
        clocked.step().await;
    }
    clocked.is_informed(&receiver, &[fires(1)].into()).await;
    let before = failed();
    // Nobody listens by IPv6, which the name prefers still.
    clocked.go_on(minutes(10), &receiver, &[fires(1)]).await;
    assert_eq!(failed(), before);
    alerting.stop().await;

    // Whoever comes later finds the right one at once.
    let alerting = clocked.start(config, Arc::clone(&names)).await;
    clocked.go_on(minutes(20), &receiver, &[fires(1)]).await;
    assert_eq!(failed(), before);
    // An answer shows that somebody is there, also one that takes nothing.
    receiver.answer(Answer::Status(503, ""));
    for _ in 0..24 {
        clocked.step().await;
    }
    assert!(failed() > before);
    receiver.answer(Answer::Status(200, ""));
    for _ in 0..13 {
        clocked.step().await;
    }
    clocked.is_informed(&receiver, &[fires(1)].into()).await;
    let gone = "An Alertmanager is gone.";
    let again = "Alerts are taken again.";
    assert_eq!(log.of(&name), ["connection", gone, "status", again]);
    alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_of_a_trouble_once_of_another_once_and_of_its_end_once() {
    const AGAIN: &str = "Alerts are taken again.";
    let (log, clocked) = (Log::default(), Clocked::new());
    let _open = log.open();
    let nobody = refusing_address();
    let answering = |answer: Answer| {
        let receiver = clocked.receiver((Ipv4Addr::LOCALHOST, 0));
        receiver.answer(answer);
        receiver
    };
    let well = answering(Answer::Status(200, ""));
    let troubled = [
        (answering(Answer::Silence), "timeout"),
        (answering(Answer::Status(500, "disk full")), "status"),
        (answering(Answer::Status(400, "bad")), "rejected"),
        (answering(Answer::Status(401, "")), "unauthorized"),
    ];
    let addresses = troubled.iter().map(|(receiver, _)| receiver.address);
    let config = config(&addresses.chain([nobody, well.address]).collect::<Vec<_>>());
    clocked.stalled([1]);
    let alerting = clocked.start(config, Arc::default()).await;

    clocked.go_on(minutes(40), &well, &[fires(1)]).await;
    let said = |address: SocketAddr| log.of(&address.to_string());
    let all = troubled
        .iter()
        .map(|(receiver, kind)| (receiver.address, *kind))
        .chain([(nobody, "connection")]);
    for (address, kind) in all.clone() {
        assert_eq!(said(address), [kind], "{address}");
        let result = if kind == "rejected" {
            Sent::Rejected
        } else {
            Sent::Failed
        };
        let count = clocked.desk.count(address, result);
        assert!(count > 20, "{address} {kind}: {count}");
    }
    assert!(said(well.address).is_empty());
    assert_eq!(clocked.failed(&well), 0);

    let [(silent, _), ..] = &troubled;
    silent.answer(Answer::Status(503, "starting"));
    clocked.go_on(minutes(55), &well, &[fires(1)]).await;
    assert_eq!(said(silent.address), ["timeout", "status"]);

    for (receiver, _) in &troubled {
        receiver.answer(Answer::Status(200, ""));
    }
    let _back = clocked.receiver(nobody);
    clocked.go_on(minutes(80), &well, &[fires(1)]).await;
    for (address, kind) in all {
        let expected = match kind {
            "timeout" => vec![kind, "status", AGAIN],
            _ => vec![kind, AGAIN],
        };
        assert_eq!(said(address), expected, "{address}");
    }
    alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dead_for_an_hour_holds_up_nobody_and_is_told_the_truth_in_one_call() {
    let clocked = Clocked::new();
    let [live, dead] = [(); 2].map(|()| clocked.receiver((Ipv4Addr::LOCALHOST, 0)));
    // What it was told last ends by itself after 75 minutes.
    let config = AlertmanagerConfig {
        resend: minutes(25),
        ..config(&[live.address, dead.address])
    };
    let firing = |videos: &[u32]| {
        clocked.stalled(videos.iter().copied());
        videos.iter().copied().map(fires).collect::<Vec<String>>()
    };
    let (lapsed, over, lasts, passes, begins) = (1, 2, 3, 4, 5);
    let at_first = firing(&[lapsed, lasts]);
    let alerting = clocked.start(config, Arc::default()).await;
    clocked.go_on(minutes(20), &live, &at_first).await;
    let later = firing(&[lapsed, over, lasts]);
    clocked.go_on(minutes(24), &live, &later).await;
    clocked
        .is_informed(&dead, &later.into_iter().collect())
        .await;

    let before = dead.requests().len();
    dead.answer(Answer::Silence);
    clocked
        .go_on(minutes(30), &live, &firing(&[over, lasts]))
        .await;
    clocked.go_on(minutes(35), &live, &firing(&[lasts])).await;
    clocked
        .go_on(minutes(40), &live, &firing(&[lasts, passes]))
        .await;
    dead.answer(Answer::Status(503, ""));
    clocked.go_on(minutes(50), &live, &firing(&[lasts])).await;
    clocked
        .go_on(minutes(84), &live, &firing(&[lasts, begins]))
        .await;
    let hour = dead.requests().len() - before;
    assert!((40..=240).contains(&hour), "{hour} calls");
    assert_eq!(clocked.failed(&live), 0);

    // It is called again after a minute at most.
    dead.answer(Answer::Status(200, ""));
    let truth = firing(&[lasts, begins]);
    clocked.go_on(minutes(85) + LOOK, &live, &truth).await;
    clocked
        .is_informed(&dead, &truth.iter().cloned().collect())
        .await;
    let told = |requests: usize| dead.taken().split_off(requests);
    let at_once = told(before_taken(&dead, before));
    // Silence tells nobody that it did not take what passed, and who restarted forgot that an alert ends by itself.
    let over = [ends(lapsed), ends(over), ends(passes)];
    let expected = [over.as_slice(), &[fires(lasts), fires(begins)]].concat();
    assert_eq!(at_once, expected);
    assert_eq!(dead.requests().len(), before + hour + 1, "one call");

    clocked.go_on(minutes(150), &live, &truth).await;
    let afterwards: BTreeSet<String> = told(before_taken(&dead, before + hour + 1))
        .into_iter()
        .collect();
    assert_eq!(afterwards, truth.into_iter().chain(over).collect());
    alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_without_an_answer_ends_for_whoever_stored_it() {
    let clocked = Clocked::new();
    let lossy = [
        Answer::TakenThenSilence,
        Answer::TakenThenGone,
        Answer::TakenThen(504),
    ];
    let lossy = lossy.map(|answer| {
        let receiver = clocked.receiver((Ipv4Addr::LOCALHOST, 0));
        receiver.answer(answer);
        receiver
    });
    let well = clocked.receiver((Ipv4Addr::LOCALHOST, 0));
    let all = lossy.iter().chain([&well]);
    let config = AlertmanagerConfig {
        resend: minutes(10),
        ..config(&all.map(|receiver| receiver.address).collect::<Vec<_>>())
    };
    clocked.stalled([1]);
    let alerting = clocked.start(config, Arc::default()).await;
    // The first call of each is over.
    clocked
        .go_on(Duration::from_secs(15), &well, &[fires(1)])
        .await;
    for receiver in &lossy {
        assert!(clocked.failed(receiver) > 0, "{}", receiver.address);
        clocked.is_informed(receiver, &[fires(1)].into()).await;
        receiver.answer(Answer::Status(200, ""));
    }
    // Each is called again after a minute at most, and would believe it for half an hour.
    clocked.stalled([]);
    clocked.go_on(minutes(2), &well, &[]).await;
    for receiver in &lossy {
        assert!(receiver.taken().contains(&ends(1)), "{}", receiver.address);
        clocked.is_informed(receiver, &BTreeSet::new()).await;
    }
    alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_without_an_answer_does_not_end_by_itself_between_two_calls() {
    let clocked = Clocked::new();
    let slow = clocked.receiver((Ipv4Addr::LOCALHOST, 0));
    slow.answer(Answer::TakenThenSilence);
    clocked.stalled([1]);
    // The shortest that a config may have: alerts live for half a minute.
    let alerting = clocked.start(config(&[slow.address]), Arc::default()).await;
    clocked.go_on(minutes(20), &slow, &[fires(1)]).await;
    assert!(clocked.failed(&slow) > 40, "{}", clocked.failed(&slow));
    alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_forgot_an_end_is_told_again() {
    let clocked = Clocked::new();
    let [well, restarts] = [(); 2].map(|()| clocked.receiver((Ipv4Addr::LOCALHOST, 0)));
    let addresses = [well.address, restarts.address];
    clocked.stalled([1]);
    let config = AlertmanagerConfig {
        resend: minutes(1),
        ..config(&addresses)
    };
    let alerting = clocked.start(config, Arc::default()).await;
    clocked.go_on(minutes(2), &well, &[fires(1)]).await;
    clocked.stalled([]);
    clocked.go_on(minutes(3), &well, &[]).await;
    assert!(restarts.taken().contains(&ends(1)));
    // It was down for less than a call, so that nothing of it is to be seen.
    let before = restarts.taken().len();
    clocked.go_on(minutes(5), &well, &[]).await;
    let since = restarts.taken().split_off(before);
    assert!(since.contains(&ends(1)), "{since:?}");

    clocked.go_on(minutes(18), &well, &[]).await;
    let calls = restarts.requests().len();
    clocked.go_on(minutes(40), &well, &[]).await;
    assert_eq!(restarts.requests().len(), calls, "it has an end");
    alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_alert_that_is_refused_is_counted_alone_and_told_of_once() {
    let (log, clocked) = (Log::default(), Clocked::new());
    let _open = log.open();
    let [well, strict] = [(); 2].map(|()| clocked.receiver((Ipv4Addr::LOCALHOST, 0)));
    strict.answer(Answer::Refusing("v2"));
    let config = AlertmanagerConfig {
        resend: minutes(1),
        ..config(&[well.address, strict.address])
    };
    clocked.stalled([1, 2, 3]);
    let alerting = clocked.start(config, Arc::default()).await;
    let all = [fires(1), fires(2), fires(3)];
    clocked.go_on(minutes(20), &well, &all).await;
    // How many alerts were in each call that was refused, and in each other one.
    let calls = |status: u16| {
        let requests = strict.requests().into_iter();
        let fit = requests.filter(
            |request| matches!(request.answer, Answer::Status(answered, _) if answered == status),
        );
        fit.map(|request| request.body.as_array().unwrap().len())
            .collect::<Vec<_>>()
    };
    let refused = calls(400);
    let (first, alone) = refused.split_first().unwrap();
    assert_eq!(*first, 3, "the first call has all of them");
    assert!(alone.iter().all(|alerts| *alerts == 1), "{alone:?}");
    assert!((18..=21).contains(&alone.len()), "{alone:?}");
    let count = |result| clocked.desk.count(strict.address, result);
    let counts = || [count(Sent::Rejected), count(Sent::Ok)];
    let sums = || [calls(400).len() - 1, calls(200).into_iter().sum()];
    settle(|| counts() == sums(), || format!("{:?}", counts())).await;
    assert_eq!(count(Sent::Failed), 0);
    let said = || log.of(&strict.address.to_string());
    assert_eq!(said(), ["rejected"]);

    clocked.stalled([1, 3]);
    clocked
        .go_on(minutes(22), &well, &[fires(1), fires(3)])
        .await;
    assert_eq!(said(), ["rejected", "Alerts are taken again."]);
    let about = |video: &str| {
        let requests = strict.requests().into_iter();
        requests
            .filter(|request| request.body.to_string().contains(video))
            .count()
    };
    assert_eq!(about("v2"), refused.len(), "no end of what is not stored");
    alerting.stop().await;
}

/// How many alerts were taken with the first of its requests.
fn before_taken(receiver: &Receiver, requests: usize) -> usize {
    let alerts = |body: &Value| body.as_array().map_or(0, Vec::len);
    let taken = |answer: &Answer| matches!(answer, Answer::Status(200, _));
    let first = receiver.requests().into_iter().take(requests);
    first
        .filter(|request| taken(&request.answer))
        .map(|request| alerts(&request.body))
        .sum()
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_for_an_hour_unless_a_good_run_ends_it() {
    let clocked = Clocked::new();
    let receiver = clocked.receiver((Ipv4Addr::LOCALHOST, 0));
    let mut ledger = Ledger::new(1 << 20);
    ledger.apply(
        &Record::Opened {
            queue: OURS,
            identity: identity(),
            settings: QueueSettings::default(),
            at: clocked.start,
        },
        &mut Changes::default(),
    );
    *clocked.ledger.lock().unwrap() = Some(ledger);
    let arrives = |id: &str, body: &str| {
        let now = clocked.now();
        let message = Message {
            id,
            receipt_handle: Some("h"),
            body,
            body_md5: "",
            enqueue_time: now,
            first_dequeue_time: now,
            next_visible_time: Some(now),
            dequeue_count: 1,
            priority: 8,
        };
        let sightings = sightings(std::iter::once(message));
        let record = Record::Sighted {
            queue: OURS,
            at: now,
            sightings,
        };
        let mut ledger = clocked.ledger.lock().unwrap();
        ledger
            .as_mut()
            .unwrap()
            .apply(&record, &mut Changes::default());
    };
    arrives("1", &ended("fail", "hopeless", clocked.now()));
    arrives("2", &ended("fail", "mended", clocked.now()));
    let alerting = clocked
        .start(config(&[receiver.address]), Arc::default())
        .await;
    let [hopeless, mended] =
        ["hopeless", "mended"].map(|video| format!("VodTranscodeFailed {video}"));

    let both = [hopeless.clone(), mended.clone()];
    clocked.go_on(minutes(30), &receiver, &both).await;
    arrives("3", &ended("success", "mended", clocked.now()));
    let one = [hopeless.clone()];
    clocked
        .go_on(minutes(60).saturating_sub(LOOK), &receiver, &one)
        .await;
    clocked.go_on(minutes(60), &receiver, &[]).await;
    clocked.go_on(minutes(70), &receiver, &[]).await;
    let ends = |alert: &String| {
        let over = format!("-{alert}");
        let taken = receiver.taken();
        taken.into_iter().filter(|told| *told == over).count()
    };
    // For a quarter of an hour, every ten seconds.
    assert!((80..=91).contains(&ends(&mended)), "{}", ends(&mended));
    assert!((55..=61).contains(&ends(&hopeless)), "{}", ends(&hopeless));
    alerting.stop().await;
}
