//! Hand-made series at the edge of every threshold, and for every part of a rule alone, judged by promtool.
//!
//! The worlds of `table.rs` are far on either side of a threshold and would hold for any other one between. Here each
//! number of `thresholds.yaml` has a value shortly before it that is silent and one shortly after it that fires, and each
//! arm, window, label and gate of a rule is what decides a case. Only series that the exporter has can be written down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use vod_callback_exporter::alertmanager::alerts::{GRAFANA, RUNBOOKS};
use vod_callback_exporter::metrics::catalogue::{self, Kind, LABELS};

use super::lint;
use super::proof::set_thresholds;
use super::referees::Referees;
use super::rules::{self, Rule};
use super::series::notation;

use Part::{Gone, Is, Jumps, Rises};

#[path = "memories.rs"]
mod memories;
#[path = "sentences.rs"]
mod sentences;

/// For how long an alert outlives the exporter, which is less than any memory but that of credentials.
const MEMORY: u32 = 45;
/// Longer than the windows of counters.
const LONG: u32 = 75;
const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;
/// A type of event, of which the base knows three.
const EVENT: &str = "event_type=TranscodeComplete";

/// What happens to a series at a minute.
#[derive(Clone, Copy, Debug)]
enum Part {
    Is(f64),
    /// By so much a minute from now on.
    Rises(f64),
    Jumps(f64),
    Gone,
}

/// Series over time.
#[derive(Clone)]
struct Scene {
    /// When it is over, which is when alerts are looked at.
    minutes: u32,
    /// Minutes between scrapes, and between evaluations.
    every: u32,
    series: BTreeMap<String, Vec<(u32, Part)>>,
    /// When no scrape succeeds.
    away: Option<[u32; 2]>,
}

enum Look {
    /// Not once until then.
    Never(u32),
    /// At that minute: the labels of all that fire.
    Firing(u32, Vec<String>),
    /// At the end: the labels of the one that fires, the end of its link and its sentences.
    Saying {
        labels: &'static str,
        dashboard: &'static str,
        description: &'static str,
    },
}

/// What is to be seen of an alert in a scene.
struct Case {
    alert: &'static str,
    name: String,
    scene: Scene,
    /// Thresholds that are not as in the file.
    thresholds: Vec<(&'static str, f64)>,
    /// Thresholds that queue `vod` has for itself.
    own: Vec<(&'static str, f64)>,
    looks: Vec<Look>,
}

/// Scenes on both sides of a threshold.
struct Edge {
    threshold: &'static str,
    /// As in the file.
    is: f64,
    /// What it is set to here instead, where it is off.
    set: Option<f64>,
    alert: &'static str,
    labels: &'static str,
    silent: f64,
    fires: f64,
    scene: Box<dyn Fn(f64) -> Scene>,
    /// Lower and higher thresholds that must not go unnoticed.
    wrong: [f64; 2],
    /// Whether it is judged by counters, which tell nothing while the queue is not up.
    counts: bool,
    /// For how long it is remembered.
    memory: u32,
}

/// Windows of a burn-rate alert, in minutes, and how many times the budget.
#[derive(Clone, Copy)]
struct Pair {
    alert: &'static str,
    threshold: &'static str,
    long: u32,
    short: u32,
    burn: f64,
    every: u32,
    /// Minutes of thrice the traffic before, so that no longer window burns.
    history: u32,
}

const FAST: &str = "VodPlayableBudgetBurnsFast";
const SLOW: &str = "VodPlayableBudgetBurnsSlowly";
const PAIRS: [Pair; 4] = [
    pair(FAST, "playable_burn_1h", [60, 5], 14.4, 1, 300),
    pair(FAST, "playable_burn_6h", [360, 30], 6.0, 5, 30),
    pair(SLOW, "playable_burn_1d", [DAY, 120], 3.0, 15, 2 * DAY),
    pair(SLOW, "playable_burn_3d", [3 * DAY, 360], 1.0, 15, 30),
];

const fn pair(
    alert: &'static str,
    threshold: &'static str,
    [long, short]: [u32; 2],
    burn: f64,
    every: u32,
    history: u32,
) -> Pair {
    Pair {
        alert,
        threshold,
        long,
        short,
        burn,
        every,
        history,
    }
}

/// promtool's clock, in seconds.
const CLOCK: [(u32, Part); 2] = [(0, Is(0.0)), (0, Rises(60.0))];

/// An exporter that consumes queue `vod`, in which all is well and nothing happens.
fn healthy(minutes: u32) -> Scene {
    let mut scene = Scene {
        minutes,
        every: 1,
        series: BTreeMap::new(),
        away: None,
    };
    for series in [
        "vod_callback_exporter_build_info version=1",
        "vod_callback_exporter_state_durable",
        "vod_callback_exporter_config_last_reload_successful",
    ] {
        scene = scene.with(series, &[(0, Is(1.0))]);
    }
    for account in ["main", "second"] {
        let series =
            format!("vod_callback_exporter_credentials_expiry_timestamp_seconds account={account}");
        scene = scene.with(&series, &[(0, Is(3000.0)), (0, Rises(60.0))]);
    }
    for alertmanager in ["one", "two"] {
        for result in ["ok", "rejected", "failed"] {
            let labels = format!("alertmanager={alertmanager} result={result}");
            scene = scene.with(
                &format!("vod_callback_exporter_alerts_sent_total {labels}"),
                &[],
            );
        }
    }
    for account in ["main", "second"] {
        let series =
            format!("vod_api_requests_total account={account} operation=GetVideoInfos code=ok");
        scene = scene.with(&series, &[(0, Rises(1.0))]);
    }
    scene.beside("vod")
}

// === impl Scene ===

impl Scene {
    /// Adds what happens to a series, written as `name label=value ..`; of queue `vod` if it does not name another.
    fn with(mut self, series: &str, parts: &[(u32, Part)]) -> Self {
        let known = self.series.entry(named(series)).or_default();
        known.extend(parts);
        known.sort_by_key(|(minute, _)| *minute);
        self
    }

    fn jumps(self, series: &str, at: u32, by: f64) -> Self {
        self.with(series, &[(at, Jumps(by))])
    }

    /// A gauge that changes from minute 60 on.
    fn turns(self, series: &str, value: f64) -> Self {
        self.with(series, &[(60, Is(value))])
    }

    /// One more healthy queue.
    fn beside(mut self, queue: &str) -> Self {
        let info = format!(
            "mns_queue_info mns_queue={queue} account=1 mns_region=cn-shanghai mode=consume role=callback"
        );
        let events = [
            "TranscodeComplete",
            "StreamTranscodeComplete",
            "DeleteMediaComplete",
        ];
        let each = |series: &str, values: &[&str]| -> Vec<String> {
            values
                .iter()
                .map(|value| format!("{series}={value}"))
                .collect()
        };
        let mut flat = vec![
            "mns_messages_seen_total".to_owned(),
            "mns_message_redeliveries_total".to_owned(),
            "vod_callbacks_lost_total".to_owned(),
            "vod_queue_watched_since_timestamp_seconds".to_owned(),
            "vod_transcodes_in_flight".to_owned(),
            "vod_event_delivery_seconds_count".to_owned(),
            "vod_event_delivery_seconds_sum".to_owned(),
        ];
        for event in events {
            let events = format!("vod_events_total event_type={event} status");
            flat.extend(each(&events, &["success", "fail"]));
            let faults = format!("vod_event_faults_total event_type={event} fault");
            flat.extend(each(&faults, &["source", "config", "service", "other"]));
        }
        flat.extend(each(
            "vod_transcodes_stalled stage",
            &["submit", "transcode"],
        ));
        flat.extend(each(
            "vod_transcodes_closed_total verdict",
            &["abandoned", "deleted", "callback_lost"],
        ));
        flat.extend(each(
            "vod_playable_objective_total result",
            &["good", "bad"],
        ));
        flat.extend(each(
            "vod_event_decode_failures_total reason",
            &["not_json", "bad_base64"],
        ));
        flat.extend(each("vod_event_delivery_seconds_bucket le", &bounds()));
        let mut ones = vec![
            info,
            "mns_queue_up".to_owned(),
            "mns_queue_empty".to_owned(),
            "mns_queue_depth_trusted".to_owned(),
            "mns_queue_dequeue_count_max".to_owned(),
            "vod_transcode_view_complete".to_owned(),
        ];
        ones.extend(each(
            "vod_callback_config_ok check",
            &["type", "endpoint", "queue", "events", "region"],
        ));
        let of = |series: &str| format!("{series} queue={queue}");
        for series in flat {
            self = self.with(&of(&series), &[]);
        }
        for series in ones {
            self = self.with(&of(&series), &[(0, Is(1.0))]);
        }
        for clock in [
            "vod_callback_exporter_last_tick_timestamp_seconds",
            "mns_queue_progress_timestamp_seconds",
            "vod_event_last_timestamp_seconds",
        ] {
            self = self.with(&of(clock), &CLOCK);
        }
        self.with(
            &of("mns_queue_retention_seconds"),
            &[(0, Is(f64::from(4 * DAY * 60)))],
        )
    }

    /// The queues are peeked at, with VOD's help.
    fn peeked(self) -> Self {
        let mut scene = self.relabelled("mode=\"consume\"", "mode=\"peek\"");
        for consumed in [
            "vod_playable_objective_total",
            "vod_callbacks_lost_total",
            "vod_queue_watched_since_timestamp_seconds",
        ] {
            scene = scene.without(consumed);
        }
        scene.with("vod_transcode_view_complete", &[(0, Is(0.0))])
    }

    fn of_dead_letters(self) -> Self {
        self.relabelled("role=\"callback\"", "role=\"dead_letter\"")
    }

    fn relabelled(mut self, from: &str, to: &str) -> Self {
        let series = std::mem::take(&mut self.series).into_iter();
        self.series = series
            .map(|(name, parts)| (name.replace(from, to), parts))
            .collect();
        self
    }

    fn without(mut self, name: &str) -> Self {
        let before = self.series.len();
        self.series
            .retain(|series, _| !series.starts_with(&format!("{name}{{")));
        assert!(self.series.len() < before, "{name} was not there");
        self
    }

    /// Two replicas, which show the same.
    fn twice(mut self) -> Self {
        let second = self.clone().relabelled("instance=\"a\"", "instance=\"b\"");
        self.series.extend(second.series);
        self
    }

    /// All that names queue `vod` ends.
    fn unwatched(mut self, at: u32) -> Self {
        for (series, parts) in &mut self.series {
            if series.contains("queue=\"vod\"") {
                parts.push((at, Gone));
            }
        }
        self
    }

    /// Goes on for longer while the exporter is not there.
    fn vanished(mut self, minutes: u32) -> Self {
        self.away = Some([self.minutes + 1, self.minutes + minutes]);
        self.minutes += minutes;
        self
    }

    /// Goes on for longer while MNS refuses to answer, so that counters stand still.
    fn unreadable(mut self, minutes: u32) -> Self {
        for (series, parts) in &mut self.series {
            if ["_total{", "_bucket{", "_count{"]
                .iter()
                .any(|part| series.contains(part))
            {
                parts.push((self.minutes, Rises(0.0)));
            }
        }
        let from = self.minutes + 1;
        self.minutes += minutes;
        self.with("mns_queue_up", &[(from, Is(0.0))])
            .with("mns_queue_empty", &[(from, Gone)])
    }

    fn until(self, minutes: u32) -> Self {
        Self { minutes, ..self }
    }

    fn away(mut self, from: u32, until: u32) -> Self {
        self.away = Some([from, until]);
        self
    }

    fn scraped_every(mut self, minutes: u32) -> Self {
        self.every = minutes;
        self
    }

    /// As `input_series`.
    fn input(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Value> {
        let mut input = Vec::new();
        for (series, parts) in &self.series {
            let name = series.split('{').next().unwrap_or_default();
            if !is_wanted(name) {
                continue;
            }
            let is_counter = lint::family(name)
                .is_some_and(|f| matches!(f.kind, Kind::Counter | Kind::Histogram(_)));
            let start = if is_counter { 1000.0 } else { 0.0 };
            let values: Vec<Option<f64>> = (0..=self.minutes)
                .step_by(self.every as usize)
                .map(|minute| {
                    let is_away = |[from, until]: [u32; 2]| (from..=until).contains(&minute);
                    let value = value_at(parts, minute, start);
                    value.filter(|_| !self.away.is_some_and(is_away))
                })
                .collect();
            input.push(json!({"series": series, "values": notation(&values)}));
        }
        input
    }
}

fn value_at(parts: &[(u32, Part)], minute: u32, start: f64) -> Option<f64> {
    let (mut value, mut slope, mut since, mut is_there) = (start, 0.0, 0, true);
    for (from, part) in parts.iter().filter(|(from, _)| *from <= minute) {
        value += slope * f64::from(from - since);
        since = *from;
        is_there = !matches!(part, Gone);
        match part {
            Is(exactly) => (value, slope) = (*exactly, 0.0),
            Rises(by) => slope = *by,
            Jumps(by) => value += by,
            Gone => {}
        }
    }
    is_there.then(|| slope.mul_add(f64::from(minute - since), value))
}

/// The series of `name label=value ..`, which must be one that the exporter shows.
fn named(series: &str) -> String {
    let mut words = series.split(' ');
    let name = words.next().unwrap_or_default();
    let family = lint::family(name).unwrap_or_else(|| panic!("no metric {name}"));
    let pairs = words.map(|word| word.split_once('=').expect("label=value"));
    let mut labels: BTreeMap<&str, &str> = pairs.collect();
    let mut wanted: BTreeSet<&str> = family.labels.iter().copied().collect();
    if wanted.contains("queue") {
        labels.entry("queue").or_insert("vod");
    }
    if name.ends_with("_bucket") {
        wanted.insert("le");
        let bound = labels.get("le").copied().unwrap_or_default();
        assert!(bounds().contains(&bound), "{series}: no bucket {bound:?}");
    }
    labels.entry("instance").or_insert("a");
    labels.insert("job", "exporter");
    wanted.extend(["instance", "job"]);
    let given: BTreeSet<&str> = labels.keys().copied().collect();
    assert_eq!(given, wanted, "{series}: labels");
    for (label, value) in &labels {
        let values = LABELS
            .iter()
            .find(|known| known.name == *label)
            .map(|known| (known.values)());
        let is_value = values.is_none_or(|values| values.is_empty() || values.contains(value));
        assert!(is_value, "{series}: {label} is never {value:?}");
    }
    format!("{name}{{{}}}", quoted(labels))
}

fn quoted<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let labels = labels.into_iter();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    labels.join(",")
}

/// Bounds of the buckets of delivery times.
fn bounds() -> Vec<&'static str> {
    let bounds = catalogue::DELIVERY.le.iter();
    let quoted = bounds.map(|le| le.trim_start_matches(",le=").trim_matches('"'));
    quoted.chain(["+Inf"]).collect()
}

// === impl Case ===

impl Case {
    fn new(alert: &'static str, name: impl Into<String>, scene: Scene) -> Self {
        Self {
            alert,
            name: name.into(),
            scene,
            thresholds: Vec::new(),
            own: Vec::new(),
            looks: Vec::new(),
        }
    }

    /// Fires at the end of its scene, once for each of these labels and no other.
    fn fires(self, labels: &[&str]) -> Self {
        let end = self.scene.minutes;
        self.at(end, labels)
    }

    fn at(mut self, minute: u32, labels: &[&str]) -> Self {
        let labels = labels.iter().map(ToString::to_string).collect();
        self.looks.push(Look::Firing(minute, labels));
        self
    }

    /// Is silent in all of its scene.
    fn never(self) -> Self {
        let end = self.scene.minutes;
        self.not_before(end)
    }

    fn not_before(mut self, minute: u32) -> Self {
        self.looks.push(Look::Never(minute));
        self
    }

    /// With another threshold.
    fn set(mut self, threshold: &'static str, value: f64) -> Self {
        self.thresholds.push((threshold, value));
        self
    }

    /// With a threshold that is the queue's own.
    fn own(mut self, threshold: &'static str, value: f64) -> Self {
        self.own.push((threshold, value));
        self
    }

    fn tests(&self, severity: &str) -> Vec<Value> {
        let alert = self.alert;
        let firing = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
        let test = |look: &Look| match look {
            Look::Saying { .. } => None,
            Look::Never(until) => Some(json!({
                "expr": format!("count_over_time({firing}[{until}m]) # {}", self.name),
                "eval_time": format!("{until}m"),
                "exp_samples": [],
            })),
            Look::Firing(minute, labels) => {
                let samples = labels.iter().map(|labels| {
                    let own = quoted(labels.split(' ').filter_map(|label| label.split_once('=')));
                    let all = format!(
                        "ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",severity=\"{severity}\",{own}}}"
                    );
                    json!({"labels": all, "value": 1})
                });
                Some(json!({
                    "expr": format!("{firing} # {}", self.name),
                    "eval_time": format!("{minute}m"),
                    "exp_samples": samples.collect::<Vec<_>>(),
                }))
            }
        };
        self.looks.iter().filter_map(test).collect()
    }

    /// Labels of the one that says something.
    fn said(&self) -> &'static str {
        let labels = self.looks.iter().find_map(|look| match look {
            Look::Saying { labels, .. } => Some(*labels),
            Look::Never(_) | Look::Firing(..) => None,
        });
        labels.expect("it says something")
    }

    /// What the alert is to say, all of it.
    fn sayings(&self, rule: &Rule) -> Vec<Value> {
        let saying = |look: &Look| {
            let Look::Saying {
                labels,
                dashboard,
                description,
            } = look
            else {
                return None;
            };
            let mut all = json!({"severity": rule.severity});
            for (name, value) in labels.split(' ').filter_map(|label| label.split_once('=')) {
                all[name] = value.into();
            }
            Some(json!({
                "eval_time": format!("{}m", self.scene.minutes),
                "alertname": self.alert,
                "exp_alerts": [{
                    "exp_labels": all,
                    "exp_annotations": {
                        "summary": rule.annotation("summary"),
                        "description": description,
                        "runbook_url": format!("{RUNBOOKS}/{}.md", self.alert),
                        "dashboard_url": format!("{GRAFANA}/d/{dashboard}"),
                    },
                }],
            }))
        };
        self.looks.iter().filter_map(saying).collect()
    }
}

// === impl Edge ===

fn edge(
    (threshold, is): (&'static str, f64),
    (alert, labels): (&'static str, &'static str),
    [silent, fires]: [f64; 2],
    scene: impl Fn(f64) -> Scene + 'static,
) -> Edge {
    Edge {
        threshold,
        is,
        set: None,
        alert,
        labels,
        silent,
        fires,
        scene: Box::new(scene),
        wrong: wrong(is),
        counts: false,
        memory: MEMORY,
    }
}

/// A fifth less and a quarter more; at least 1 where it is a small count.
fn wrong(is: f64) -> [f64; 2] {
    if is == 0.0 {
        [-1.0, 1.0]
    } else if (1.0..=10.0).contains(&is) {
        [(is * 0.8).floor(), (is * 1.25).ceil()]
    } else {
        [is * 0.8, is * 1.25]
    }
}

impl Edge {
    fn counted(self) -> Self {
        Self {
            counts: true,
            ..self
        }
    }

    fn remembered(self, memory: u32) -> Self {
        Self { memory, ..self }
    }

    /// Undone by these thresholds and none between.
    fn unlike(self, wrong: [f64; 2]) -> Self {
        Self { wrong, ..self }
    }

    /// With that threshold rather than the one in the file, with which it is off.
    fn set(self, value: f64) -> Self {
        Self {
            set: Some(value),
            wrong: wrong(value),
            ..self
        }
    }

    fn case(&self, how: &str, scene: Scene) -> Case {
        let name = format!("{}, {how}", self.threshold);
        let mut case = Case::new(self.alert, name, scene);
        case.thresholds
            .extend(self.set.map(|value| (self.threshold, value)));
        case
    }

    /// What the threshold decides.
    fn sides(&self) -> [Case; 2] {
        let silent = format!("silent at {}", self.silent);
        let fires = format!("fires at {}", self.fires);
        [
            self.case(&silent, (self.scene)(self.silent)).never(),
            self.case(&fires, (self.scene)(self.fires))
                .fires(&[self.labels]),
        ]
    }

    /// The side that is decided otherwise by a wrong threshold.
    fn undone_by(&self, wrong: f64) -> Case {
        let is_lower = wrong < self.set.unwrap_or(self.is);
        let [silent, fires] = self.sides();
        let mut case = if is_lower == (self.silent < self.fires) {
            silent
        } else {
            fires
        };
        case.thresholds.retain(|(name, _)| *name != self.threshold);
        case.thresholds.push((self.threshold, wrong));
        case
    }

    /// What it stays or becomes where nothing can be seen.
    fn unseen(&self) -> Vec<Case> {
        let scene = || (self.scene)(self.fires);
        let mut cases = Vec::new();
        if self.memory > 0 {
            let case = self.case("then no exporter", scene().vanished(self.memory));
            cases.push(case.fires(&[self.labels]));
        }
        if self.counts {
            let case = self.case("then unreadable", scene().unreadable(LONG));
            cases.push(case.fires(&[self.labels]));
            let down = scene().with("mns_queue_up", &[(0, Is(0.0))]);
            cases.push(self.case("unreadable before", down).never());
        }
        cases
    }
}

// === The table of thresholds ===

const VOD: &str = "queue=vod";

/// So many events of a type, of which some fail, within minute 60.
fn failing(fault: &str, fails: f64, events: f64) -> Scene {
    healthy(67)
        .jumps(
            &format!("vod_events_total {EVENT} status=success"),
            60,
            events - fails,
        )
        .jumps(&format!("vod_events_total {EVENT} status=fail"), 60, fails)
        .jumps(
            &format!("vod_event_faults_total {EVENT} fault={fault}"),
            60,
            fails,
        )
}

/// A video every two minutes, of which some fail, until so many ended; no half-hour holds the traffic.
fn failing_slowly(fault: &str, share: f64, events: f64) -> Scene {
    let until = 60 + whole_minutes(events * 120.0);
    let each = |rate: f64| [(60, Rises(rate)), (until, Rises(0.0))];
    healthy(until + 8)
        .with(
            &format!("vod_events_total {EVENT} status=success"),
            &each((1.0 - share) / 2.0),
        )
        .with(
            &format!("vod_events_total {EVENT} status=fail"),
            &each(share / 2.0),
        )
        .with(
            &format!("vod_event_faults_total {EVENT} fault={fault}"),
            &each(share / 2.0),
        )
}

/// So many videos, so many outputs of them and how many of these fail.
fn outputs(videos: f64, outputs: f64, fails: f64) -> Scene {
    let of = "event_type=StreamTranscodeComplete";
    failing("service", 0.0, videos)
        .jumps(
            &format!("vod_events_total {of} status=success"),
            60,
            outputs - fails,
        )
        .jumps(&format!("vod_events_total {of} status=fail"), 60, fails)
        .jumps(
            &format!("vod_event_faults_total {of} fault=service"),
            60,
            fails,
        )
}

fn deleting(fails: f64, events: f64) -> Scene {
    let of = "event_type=DeleteMediaComplete";
    healthy(90)
        .jumps(
            &format!("vod_events_total {of} status=success"),
            60,
            events - fails,
        )
        .jumps(&format!("vod_events_total {of} status=fail"), 60, fails)
        .jumps(
            &format!("vod_event_faults_total {of} fault=config"),
            60,
            fails,
        )
}

fn closed(verdict: &str, count: f64) -> Scene {
    let series = format!("vod_transcodes_closed_total verdict={verdict}");
    healthy(62).jumps(&series, 60, count)
}

/// The last event `seconds` before an alert can be pending, 5 minutes before the end, and so many events in one minute of
/// each of the two hours that are `offset` minutes earlier.
fn quiet(seconds: f64, events: f64, offset: u32) -> Scene {
    quiet_after(seconds, [events; 2], offset)
}

/// So many events in the earlier and in the later one of those hours.
fn quiet_after(seconds: f64, [earlier, later]: [f64; 2], offset: u32) -> Scene {
    let last = offset + 180;
    let end = last + whole_minutes(seconds) + 5;
    let events = format!("vod_events_total {EVENT} status=success");
    healthy(end)
        .scraped_every(if offset > 0 { 5 } else { 1 })
        .jumps(&events, end - offset - 90, earlier)
        .jumps(&events, end - offset - 30, later)
        .with("vod_event_last_timestamp_seconds", &[(last, Rises(0.0))])
}

fn whole_minutes(seconds: f64) -> u32 {
    std::iter::successors(Some(seconds), |left| Some(left - 60.0))
        .take_while(|left| *left > 0.0)
        .zip(1..)
        .last()
        .map_or(0, |(_, minutes)| minutes)
}

/// A message that comes in minute 60 and is there for so long, `wait` minutes before the end.
fn waiting(seconds: f64, wait: u32) -> Scene {
    healthy(60 + whole_minutes(seconds) + wait)
        .turns("mns_queue_empty", 0.0)
        .with(OLDEST, &[(0, Gone), (60, Is(3600.0))])
        .with(PROGRESS, &[(0, Is(0.0))])
}

/// A message that waits for an hour before nobody takes any for so long, 5 minutes before the end.
fn abandoned(seconds: f64) -> Scene {
    waiting(3600.0, whole_minutes(seconds) + 5)
        .with(PROGRESS, &CLOCK)
        .with(PROGRESS, &[(120, Rises(0.0))])
}

/// The oldest message is always as old.
fn behind(seconds: f64) -> Scene {
    healthy(100).turns("mns_queue_empty", 0.0).with(
        OLDEST,
        &[(0, Gone), (60, Is(3600.0 - seconds)), (60, Rises(60.0))],
    )
}

/// The backlog lasts that long at the end, when it has been one for 16 minutes and is taken at 1.5 times the pace.
fn draining(seconds: f64) -> Scene {
    let age = (seconds / 2.0) + 17.0 * 30.0;
    healthy(77).turns("mns_queue_empty", 0.0).with(
        OLDEST,
        &[(0, Gone), (60, Is(3600.0 - age)), (60, Rises(90.0))],
    )
}

/// A burst of 16 minutes ago, whose messages last that long at the end.
fn emptying(seconds: f64) -> Scene {
    healthy(77)
        .turns("mns_queue_empty", 0.0)
        .with(OLDEST, &[(0, Gone), (60, Is(3600.0 - 960.0))])
        .with(
            ACTIVE,
            &[(60, Is(seconds + 17.0 * 60.0)), (60, Rises(-60.0))],
        )
        .with(INACTIVE, &[(60, Is(0.0))])
}

fn expiring(share: f64) -> Scene {
    waiting(share * RETENTION, 2).with("mns_queue_retention_seconds", &[(0, Is(RETENTION))])
}

/// So many messages and, of those, redeliveries within minute 60.
fn redelivered(redeliveries: f64, seen: f64) -> Scene {
    healthy(67)
        .jumps("mns_message_redeliveries_total", 60, redeliveries)
        .jumps("mns_messages_seen_total", 60, seen)
}

fn undecodable(failures: f64, seen: f64) -> Scene {
    healthy(67)
        .jumps(
            "vod_event_decode_failures_total reason=not_json",
            60,
            failures,
        )
        .jumps("mns_messages_seen_total", 60, seen)
}

/// A message in ten minutes that is no event, and as many that are one, until so many failed.
fn undecodable_slowly(failures: f64) -> Scene {
    let until = 60 + whole_minutes(failures * 600.0);
    let failed = [(60, Rises(0.1)), (until, Rises(0.0))];
    healthy(until + 8)
        .with("vod_event_decode_failures_total reason=not_json", &failed)
        .with(
            "mns_messages_seen_total",
            &[(60, Rises(0.2)), (until, Rises(0.0))],
        )
}

/// So many events that came so late, and others that came at once, all within one minute to five.
fn delivered(seconds: f64, late: f64, at_once: f64) -> Scene {
    let events = late + at_once;
    let mut scene = healthy(67).jumps("vod_event_delivery_seconds_count", 60, events);
    for bound in bounds() {
        let limit: f64 = bound.parse().unwrap();
        let within = if limit < seconds { at_once } else { events };
        let series = format!("vod_event_delivery_seconds_bucket le={bound}");
        scene = scene.jumps(&series, 60, within);
    }
    scene
}

/// Videos within minute 60, four minutes before the end.
fn played(good: f64, bad: f64) -> Scene {
    healthy(64)
        .jumps("vod_playable_objective_total result=good", 60, good)
        .jumps("vod_playable_objective_total result=bad", 60, bad)
}

/// So many alerts about single videos, of which an Alertmanager takes a part.
fn refused(share: f64) -> Scene {
    let sent = "vod_callback_exporter_alerts_sent_total alertmanager=one";
    healthy(67)
        .jumps(&format!("{sent} result=ok"), 60, 100.0 * (1.0 - share))
        .jumps(&format!("{sent} result=rejected"), 60, 50.0 * share)
        .jumps(&format!("{sent} result=failed"), 60, 50.0 * share)
}

// === impl Pair ===

impl Pair {
    /// Thrice the traffic, then `after` minutes more than the long window of the usual one.
    fn traffic(self, after: u32) -> Scene {
        let good = "vod_playable_objective_total result=good";
        healthy(self.history + self.long + after)
            .scraped_every(self.every)
            .with(good, &[(0, Rises(6.0)), (self.history, Rises(2.0))])
    }

    /// Since as long as the long window, so many videos are bad that a service level of `objective` would just be burnt.
    fn burning(self, objective: f64) -> Scene {
        self.bad(self.burn * (1.0 - objective))
    }

    /// Since as long as the long window, such a share of the videos is bad.
    fn bad(self, share: f64) -> Scene {
        let from = self.history;
        self.traffic(30)
            .with(
                "vod_playable_objective_total result=good",
                &[(from, Rises(2.0 * (1.0 - share)))],
            )
            .with(
                "vod_playable_objective_total result=bad",
                &[(from, Rises(2.0 * share))],
            )
    }

    /// All bad ones came while no scrape succeeded, for longer than the short window.
    fn burnt(self) -> Scene {
        let from = self.history + self.long;
        let until = from + self.short + 5 + self.short / 4 / 5 * 5;
        let bad = 1.5 * self.burn / 100.0 * 2.0 * f64::from(self.long) / f64::from(until - from);
        let mut scene = self.traffic(until - from + 30).with(
            "vod_playable_objective_total result=bad",
            &[(from, Rises(bad)), (until, Rises(0.0))],
        );
        scene.away = Some([from + 1, until]);
        scene
    }

    /// Three times too many, for as long as the short window.
    fn flared(self) -> Scene {
        let from = self.history + self.long;
        let until = from + self.short + 5;
        let bad = 3.0 * self.burn / 100.0 * 2.0;
        self.traffic(self.short + 30).with(
            "vod_playable_objective_total result=bad",
            &[(from, Rises(bad)), (until, Rises(0.0))],
        )
    }
}

const SERVICE: &str = "queue=vod event_type=TranscodeComplete fault=service";
const CONFIG: &str = "queue=vod event_type=TranscodeComplete fault=config";
const OTHER: &str = "queue=vod event_type=TranscodeComplete fault=other";
const OLDEST: &str = "mns_queue_oldest_message_timestamp_seconds";
const ACTIVE: &str = "mns_queue_messages state=active";
const INACTIVE: &str = "mns_queue_messages state=inactive";
const PROGRESS: &str = "mns_queue_progress_timestamp_seconds";
const TICK: &str = "vod_callback_exporter_last_tick_timestamp_seconds";
const LAST: &str = "vod_event_last_timestamp_seconds";
const EXPIRY: &str = "vod_callback_exporter_credentials_expiry_timestamp_seconds account=main";
const ASKED: &str = "vod_api_requests_total operation=GetVideoInfos";
const RETENTION: f64 = 10_800.0;

macro_rules! edges {
    ($($threshold:literal $is:expr, $alert:expr, $labels:expr, $silent:literal => $fires:literal, $scene:expr
        $(=> $($step:ident $args:tt),+)?;)+) => {
        /// Every threshold, more than once where several forms of a rule compare with it.
        fn edges() -> Vec<Edge> {
            let mut edges = vec![
                $(edge(($threshold, $is), ($alert, $labels), [$silent, $fires], $scene)$($(.$step $args)+)?),+
            ];
            edges.extend(PAIRS.map(|pair| {
                let numbers = [0.9908, 0.9892];
                let scene = move |objective| pair.burning(objective);
                let burns = edge(("playable_slo", 0.99), (pair.alert, VOD), numbers, scene).counted();
                Edge { wrong: [0.988, 0.992], ..burns }
            }));
            edges.extend(PAIRS.map(|pair| {
                let numbers = [0.92 * pair.burn, 1.08 * pair.burn];
                let scene = move |burn| pair.bad(burn / 100.0);
                edge((pair.threshold, pair.burn), (pair.alert, VOD), numbers, scene).counted()
            }));
            edges
        }
    };
}

edges! {
    "transcodes_stalled" 0.0, "VodTranscodesStalled", VOD, 0.0 => 1.0,
        |n| healthy(64).turns("vod_transcodes_stalled stage=submit", n);
    "callbacks_lost_per_hour" 0.0, "VodCallbacksLost", VOD, 0.0 => 1.0,
        |n| healthy(62).jumps("vod_callbacks_lost_total", 60, n) => counted();
    "transcodes_abandoned_per_hour" 0.0, "VodTranscodesAbandoned", VOD, 0.0 => 1.0,
        |n| closed("abandoned", n) => counted();

    "service_fault_ratio" 0.1, "VodServiceFaults", SERVICE, 0.095 => 0.105,
        |n| failing("service", 200.0 * n, 200.0) => counted();
    "config_fault_ratio" 0.1, "VodConfigFaults", CONFIG, 0.095 => 0.105,
        |n| failing("config", 200.0 * n, 200.0) => counted();
    "other_fault_ratio" 0.25, "VodOtherFaults", OTHER, 0.24 => 0.26,
        |n| failing("other", 200.0 * n, 200.0) => counted();
    "fault_min_events" 20.0, "VodServiceFaults", SERVICE, 19.0 => 20.0,
        |n| failing("service", n / 2.0, n) => counted();
    "fault_min_events" 20.0, "VodServiceFaults", SERVICE, 19.0 => 20.0,
        |n| failing("service", n / 2.0, n).peeked() => counted();
    "fault_min_events" 20.0, "VodServiceFaults", SERVICE, 19.0 => 20.5,
        |n| failing_slowly("service", 1.0, n) => counted();
    "service_fault_ratio" 0.1, "VodServiceFaults", SERVICE, 0.095 => 0.105,
        |n| failing_slowly("service", n, 60.0) => counted();
    "config_fault_ratio" 0.1, "VodConfigFaults", CONFIG, 0.095 => 0.105,
        |n| failing_slowly("config", n, 60.0) => counted();
    "other_fault_ratio" 0.25, "VodOtherFaults", OTHER, 0.24 => 0.26,
        |n| failing_slowly("other", n, 60.0) => counted();

    "silence_seconds" 7200.0, "VodQueueSilent", VOD, 6840.0 => 7560.0, |n| quiet(n, 30.0, DAY);
    "silence_min_events" 10.0, "VodQueueSilent", VOD, 9.0 => 10.0, |n| quiet(7560.0, n, DAY);
    "silence_min_events" 10.0, "VodQueueSilent", VOD, 9.0 => 10.0, |n| quiet(7560.0, n, WEEK);
    "silence_fixed_seconds" f64::INFINITY, "VodQueueSilent", VOD, 3420.0 => 3780.0,
        |n| quiet(n, 0.0, 0) => set(3600.0);

    "backlog_age_seconds" 900.0, "VodBacklogStuck", VOD, 840.0 => 960.0, |n| waiting(n, 5);
    "no_progress_seconds" 900.0, "VodBacklogStuck", VOD, 840.0 => 960.0, abandoned;
    "drain_age_seconds" 900.0, "VodBacklogDrainsSlowly", VOD, 855.0 => 945.0, behind;
    "drain_seconds" 7200.0, "VodBacklogDrainsSlowly", VOD, 7020.0 => 7380.0, draining;
    "drain_seconds" 7200.0, "VodBacklogDrainsSlowly", VOD, 7020.0 => 7380.0, emptying;
    "burst_pace" 0.75, "VodBacklogDrainsSlowly", VOD, 0.7 => 0.8,
        |pace| emptying(3600.0).with(OLDEST, &[(60, Rises(60.0 * pace))]);
    "retention_ratio" 0.75, "VodCallbacksExpiring", VOD, 0.7 => 0.8, expiring;

    "redelivery_ratio" 0.5, "VodRedeliveryStorm", VOD, 0.47 => 0.53,
        |n| redelivered(200.0 * n, 200.0) => counted();
    // One less is 30 as newer versions extrapolate it.
    "redelivery_min" 30.0, "VodRedeliveryStorm", VOD, 28.0 => 30.0, |n| redelivered(n, 10.0) => counted();
    "poison_dequeue_count" 10.0, "VodPoisonMessage", VOD, 9.0 => 10.0,
        |n| healthy(67).turns("mns_queue_dequeue_count_max", n);
    // The bounds beside it: no other number can be judged.
    "delivery_seconds" 60.0, "VodDeliverySlow", VOD, 55.0 => 65.0,
        |n| delivered(n, 100.0, 0.0) => counted(), unlike([30.0, 300.0]);
    "delivery_min_events" 20.0, "VodDeliverySlow", VOD, 19.0 => 20.0, |n| delivered(200.0, n, 0.0) => counted();
    "decode_failure_ratio" 0.02, "VodDecodeFailures", VOD, 0.019 => 0.021,
        |n| undecodable(1000.0 * n, 1000.0) => counted();
    "decode_failure_min" 5.0, "VodDecodeFailures", VOD, 4.0 => 5.0, |n| undecodable(n, 20.0) => counted();
    "decode_failure_min" 5.0, "VodDecodeFailures", VOD, 4.0 => 5.0, undecodable_slowly => counted();

    "playable_min_events" 20.0, FAST, VOD, 19.0 => 20.0, |n| played(n / 2.0, n / 2.0) => counted();
    "playable_min_events" 20.0, SLOW, VOD, 19.0 => 20.0, |n| played(n / 2.0, n / 2.0).until(77) => counted();
    "playable_min_bad" 3.0, FAST, VOD, 2.0 => 3.0, |n| played(20.0 - n, n) => counted();
    "playable_min_bad" 3.0, SLOW, VOD, 2.0 => 3.0, |n| played(20.0 - n, n).until(77) => counted();

    "unread_seconds" 600.0, "VodQueueUnreadable", VOD, 600.0 => 660.0,
        |n| healthy(62 + whole_minutes(n)).with(TICK, &[(60, Rises(0.0))]) => remembered(0);
    "credentials_seconds" 270.0, "VodCredentialsExpiring", "account=main", 285.0 => 255.0,
        |n| healthy(67).with(EXPIRY, &[(60, Is(3600.0 + n)), (60, Rises(60.0))]) => remembered(20);
    "api_min_calls" 5.0, "VodStallDetectionBlind", "job=exporter account=second operation=GetVideoInfos", 4.0 => 5.0,
        |n| healthy(80)
            .with(&format!("{ASKED} account=second code=ok"), &[(20, Rises(0.0))])
            .with(&format!("{ASKED} account=second code=access_denied"), &[(60, Jumps(n))]);
    "alert_failure_ratio" 0.5, "VodAlertDeliveryFailing", "alertmanager=one", 0.47 => 0.53, refused;
}

// === The table of arms, windows, labels and gates ===

/// An alert about a gauge that is 0, its other labels and its minutes of waiting.
const STATES: [(&str, &str, &str, u32); 6] = [
    (
        "VodCallbackConfigWrong",
        "vod_callback_config_ok check=events",
        "queue=vod check=events",
        5,
    ),
    ("VodViewIncomplete", "vod_transcode_view_complete", VOD, 5),
    ("VodDeadLetters", "mns_queue_empty", VOD, 6),
    ("VodDepthUntrusted", "mns_queue_depth_trusted", VOD, 5),
    (
        "VodStateNotDurable",
        "vod_callback_exporter_state_durable",
        "job=exporter",
        15,
    ),
    (
        "VodConfigReloadFailed",
        "vod_callback_exporter_config_last_reload_successful",
        "job=exporter",
        10,
    ),
];

fn states() -> Vec<Case> {
    let mut cases = Vec::new();
    for (alert, series, labels, wait) in STATES {
        let fired = 60 + wait + 2;
        let base = |minutes: u32| {
            let scene = healthy(minutes).beside("second");
            match alert {
                "VodDeadLetters" => scene.of_dead_letters(),
                _ => scene,
            }
        };
        let new = |name: &str, scene: Scene| Case::new(alert, format!("{series}, {name}"), scene);
        let flaps = |series: &str, value: f64, scene: Scene| {
            let parts = |from: u32| [(from, Is(value)), (from + 2, Is(1.0 - value))];
            let parts: Vec<_> = (60..scene.minutes).step_by(4).flat_map(parts).collect();
            scene.with(series, &parts)
        };
        let ending = base(150).turns(series, 0.0).with(series, &[(100, Is(1.0))]);
        let of_second = format!("{series} instance=b");
        cases.extend([
            new("one of two", base(fired).turns(series, 0.0))
                .not_before(60 + wait - 1)
                .fires(&[labels]),
            new("now and then", flaps(series, 0.0, base(fired))).fires(&[labels]),
            new("over", ending).at(99, &[labels]).fires(&[]),
            new(
                "then no exporter",
                base(fired).turns(series, 0.0).vanished(MEMORY),
            )
            .fires(&[labels]),
            new(
                "one of two replicas",
                base(fired).twice().turns(&of_second, 0.0),
            )
            .fires(&[labels]),
        ]);
    }
    let view = |scene: Scene| scene.turns("vod_transcode_view_complete", 0.0);
    let letters = healthy(90).turns("mns_queue_empty", 0.0);
    let passing = letters
        .clone()
        .of_dead_letters()
        .with("mns_queue_empty", &[(61, Is(1.0))]);
    cases.extend([
        Case::new("VodViewIncomplete", "peeked", view(healthy(90)).peeked()).never(),
        Case::new(
            "VodViewIncomplete",
            "dead letters",
            view(healthy(90)).of_dead_letters(),
        )
        .never(),
        Case::new("VodDeadLetters", "callbacks", letters).never(),
        Case::new("VodDeadLetters", "one for a minute", passing).never(),
    ]);
    cases
}

macro_rules! cases {
    ($name:ident: $($alert:literal $what:literal, $scene:expr => $($step:ident $args:tt),+;)+) => {
        fn $name() -> Vec<Case> {
            vec![$(Case::new($alert, $what, $scene)$(.$step $args)+),+]
        }
    };
}

fn stalled() -> Scene {
    healthy(64).turns("vod_transcodes_stalled stage=submit", 1.0)
}

fn blind() -> Scene {
    healthy(90).peeked().without("vod_transcodes_in_flight")
}

/// VOD answers one account no more.
fn unanswered(account: &str) -> Scene {
    let calls = format!("{ASKED} account={account} code");
    healthy(110)
        .with(&format!("{calls}=ok"), &[(60, Rises(0.0))])
        .with(&format!("{calls}=access_denied"), &[(60, Rises(1.0))])
}

cases! {
    transcodes:
    "VodTranscodesStalled" "stages add up, queues do not",
        stalled().beside("second")
            .turns("vod_transcodes_stalled stage=transcode", 1.0)
            .turns("vod_transcodes_stalled queue=second stage=submit", 1.0)
        => set("transcodes_stalled", 1.0), fires(&[VOD]);
    "VodTranscodesStalled" "replicas do not add up",
        stalled().until(90).twice() => set("transcodes_stalled", 1.0), never();
    "VodTranscodesStalled" "for a minute",
        stalled().until(70).with("vod_transcodes_stalled stage=submit", &[(61, Is(0.0))])
        => at(64, &[VOD]), fires(&[]);
    "VodCallbacksLost" "for an hour",
        healthy(150).beside("second").jumps("vod_callbacks_lost_total", 60, 1.0) => at(115, &[VOD]), fires(&[]);
    "VodTranscodesAbandoned" "for an hour",
        closed("abandoned", 1.0).until(150).beside("second") => at(115, &[VOD]), fires(&[]);
    "VodTranscodesAbandoned" "deleted", closed("deleted", 1.0).until(90) => never();
    "VodTranscodesAbandoned" "deleted, peeked", closed("deleted", 1.0).until(90).peeked() => never();
    "VodTranscodesAbandoned" "lost", closed("callback_lost", 1.0).until(90) => never();
    "VodTranscodesAbandoned" "peeked by two",
        closed("abandoned", 1.0).peeked().twice() => set("transcodes_abandoned_per_hour", 1.5), never();
    "VodTranscodesAbandoned" "consumed by two",
        closed("abandoned", 1.0).twice() => set("transcodes_abandoned_per_hour", 1.5), fires(&[VOD]);
    "VodServiceFaults" "one video of six outputs", outputs(4.0, 24.0, 6.0) => never();
    "VodServiceFaults" "outputs of many videos", outputs(20.0, 120.0, 30.0)
        => fires(&["queue=vod event_type=StreamTranscodeComplete fault=service"]);
    "VodConfigFaults" "some were deleted before", deleting(5.0, 30.0) => never();
    "VodStallDetectionBlind" "the first answer",
        unanswered("second").until(140)
            .with(&format!("{ASKED} account=second code=ok"), &[(120, Rises(0.1))])
        => at(115, &["job=exporter account=second operation=GetVideoInfos"]), fires(&[]);
    "VodStallDetectionBlind" "without VOD", blind() => not_before(10), fires(&[VOD]);
    "VodStallDetectionBlind" "with VOD", healthy(90).peeked() => never();
    "VodStallDetectionBlind" "one of two replicas is refused",
        healthy(110).twice()
            .with(&format!("{ASKED} account=second code=ok instance=b"), &[(60, Rises(0.0))])
            .with(&format!("{ASKED} account=second code=access_denied instance=b"), &[(60, Rises(1.0))])
        => fires(&["job=exporter account=second operation=GetVideoInfos"]);
    "VodStallDetectionBlind" "one of two accounts is refused", unanswered("second")
        => not_before(103), fires(&["account=second job=exporter operation=GetVideoInfos"]);
    "VodStallDetectionBlind" "one account, and the other asks for nothing",
        unanswered("second").with(&format!("{ASKED} account=main code=ok"), &[(0, Rises(0.0))])
        => fires(&["account=second job=exporter operation=GetVideoInfos"]);
    "VodStallDetectionBlind" "VOD knows none of the videos",
        healthy(110)
            .with(&format!("{ASKED} account=second code=ok"), &[(60, Rises(0.0))])
            .with(&format!("{ASKED} account=second code=not_found"), &[(60, Rises(1.0))])
        => never();
    // The answers leave the window before the refusals do.
    "VodStallDetectionBlind" "refused for 20 minutes, then gone", unanswered("second").until(80).vanished(60) => never();
    "VodStallDetectionBlind" "dead letters", blind().of_dead_letters() => never();
}

/// From that minute on so many events of a type within each half-hour, of which some fail.
fn goes_on(scene: Scene, fault: &str, from: u32, fails: f64, events: f64) -> Scene {
    let of = |count: f64| [(from, Rises(count / 30.0))];
    scene
        .with(
            &format!("vod_events_total {EVENT} status=success"),
            &of(events - fails),
        )
        .with(&format!("vod_events_total {EVENT} status=fail"), &of(fails))
        .with(
            &format!("vod_event_faults_total {EVENT} fault={fault}"),
            &of(fails),
        )
}

/// Half of a few events fail, and then too few come for half an hour to be judged.
fn afterwards(alert: &'static str, own: &str, labels: &str) -> Vec<Case> {
    let burst = |minutes| failing(own, 10.0, 20.0).until(minutes);
    let ongoing = |minutes, fails| goes_on(burst(minutes), own, 61, fails, 15.0);
    let success = format!("vod_events_total {EVENT} status=success");
    let fail = format!("vod_events_total {EVENT} status=fail");
    let faults = format!("vod_event_faults_total {EVENT} fault={own}");
    let few = |scene: Scene, at: u32, good: f64, bad: f64| {
        scene
            .jumps(&success, at, good)
            .jumps(&fail, at, bad)
            .jumps(&faults, at, bad)
    };
    let new = |name: &str, scene: Scene| Case::new(alert, name, scene);
    vec![
        new("then a low share", ongoing(240, 1.0))
            .at(80, &[labels])
            .fires(&[]),
        new("then a high share", ongoing(240, 5.0)).fires(&[labels]),
        new("then few events", few(burst(260), 250, 11.0, 1.0)).fires(&[labels]),
        new(
            "a good half-hour by chance",
            goes_on(ongoing(185, 5.0), own, 150, 0.5, 15.0),
        )
        .fires(&[labels]),
        new(
            "many good ones before, and nothing good since",
            few(few(burst(115), 10, 1000.0, 0.0), 100, 0.0, 3.0),
        )
        .fires(&[labels]),
        new(
            "many good ones before too few",
            few(failing(own, 10.0, 19.0).until(95), 10, 1000.0, 0.0),
        )
        .never(),
        new(
            "many good ones before, and nothing since",
            few(burst(115), 10, 1000.0, 0.0),
        )
        .fires(&[labels]),
    ]
}

fn faults() -> Vec<Case> {
    const ALERTS: [(&str, &str); 3] = [
        ("VodServiceFaults", "service"),
        ("VodConfigFaults", "config"),
        ("VodOtherFaults", "other"),
    ];
    let mut cases = Vec::new();
    for (alert, own) in ALERTS {
        let labels = format!("queue=vod event_type=TranscodeComplete fault={own}");
        let new = |name: &str, scene: Scene| Case::new(alert, name, scene);
        for fault in ["source", "service", "config", "other"] {
            if fault != own {
                let name = format!("all faults are of {fault}");
                cases.push(new(&name, failing(fault, 100.0, 100.0)).never());
            }
        }
        let few_good = format!("vod_events_total {EVENT} status=success");
        let mut over = failing(own, 15.0, 30.0).jumps(&few_good, 105, 5.0);
        over.minutes = 115;
        let others = "vod_events_total event_type=FileUploadComplete status=success";
        let of_two = failing(own, 15.0, 30.0)
            .beside("second")
            .jumps(others, 60, 1000.0)
            .jumps(&format!("{few_good} queue=second"), 60, 1000.0);
        cases.extend([
            new("a few good ones are evidence", over)
                .at(100, &[&labels])
                .fires(&[]),
            new("one type of one queue", of_two).fires(&[&labels]),
            new("consumed by two", failing(own, 5.0, 10.0).twice()).fires(&[&labels]),
            new("peeked by two", failing(own, 5.0, 10.0).peeked().twice()).never(),
            new(
                "faults peeked by two",
                failing(own, 18.0, 200.0).peeked().twice(),
            )
            .never(),
        ]);
        cases.extend(afterwards(alert, own, &labels));
        for status in ["none", "other"] {
            let series = format!("vod_events_total {EVENT} status={status}");
            let few = failing(own, 9.0, 18.0).jumps(&series, 60, 10.0);
            let many = failing(own, 15.0, 30.0).jumps(&series, 60, 1000.0);
            for (how, few, many) in [
                ("", few.clone(), many.clone()),
                (", peeked", few.peeked(), many.peeked()),
            ] {
                cases.extend([
                    new(&format!("{status} is no traffic{how}"), few).never(),
                    new(&format!("{status} is no success{how}"), many).fires(&[&labels]),
                ]);
            }
        }
    }
    cases
}

/// Two hours without an event, judged by the day before.
fn silent() -> Scene {
    quiet(7560.0, 30.0, DAY)
}

fn unseen(scene: Scene) -> Scene {
    scene.with("vod_transcode_view_complete", &[(0, Is(0.0))])
}

/// The exporter looks no more from a minute on, though no read fails.
fn unlooked(scene: Scene, at: u32) -> Scene {
    let end = scene.minutes + 20;
    scene.until(end).with(TICK, &[(at, Rises(0.0))])
}

/// An event, a quarter of an hour before the end.
fn heard(scene: Scene) -> Scene {
    let at = scene.minutes + 5;
    let parts = [(at, Is(f64::from(at * 60)))];
    scene.until(at + 15).with(LAST, &parts)
}

/// The process starts anew without its state, an hour before the end.
fn forgotten(scene: Scene) -> Scene {
    let at = scene.minutes - 60;
    let since = "vod_queue_watched_since_timestamp_seconds";
    scene
        .with(LAST, &[(at, Gone)])
        .with(since, &[(at, Is(f64::from(at * 60)))])
}

cases! {
    silence:
    "VodQueueSilent" "one of two queues", silent().beside("second") => fires(&[VOD]);
    "VodQueueSilent" "an event is evidence", heard(silent()) => at(silent().minutes, &[VOD]), fires(&[]);
    "VodQueueSilent" "the last event is forgotten", forgotten(silent()) => fires(&[VOD]);
    "VodQueueSilent" "busy at another hour",
        quiet(7560.0, 0.0, DAY).jumps(&format!("vod_events_total {EVENT} status=success"), 90, 100.0) => never();
    "VodQueueSilent" "busy only in the hour that ended an hour before", quiet_after(7560.0, [30.0, 0.0], DAY) => never();
    "VodQueueSilent" "busy only in the last hour", quiet_after(7560.0, [0.0, 30.0], DAY) => never();
    "VodQueueSilent" "busy only in the earlier one a week ago", quiet_after(7560.0, [30.0, 0.0], WEEK) => never();
    "VodQueueSilent" "busy only in the last one a week ago", quiet_after(7560.0, [0.0, 30.0], WEEK) => never();
    "VodQueueSilent" "view incomplete", unseen(silent()) => never();
    "VodQueueSilent" "view incomplete, fixed limit",
        unseen(quiet(4000.0, 0.0, 0)) => set("silence_fixed_seconds", 3600.0), never();
    "VodQueueSilent" "a fixed limit of its own",
        quiet(3780.0, 0.0, 0).beside("second") => own("silence_fixed_seconds", 3600.0), fires(&[VOD]);
    "VodQueueSilent" "nobody looks any more just before", unlooked(silent(), DAY + 180 + 119) => never();
    "VodQueueSilent" "nobody looks any more just before a fixed limit",
        unlooked(quiet(3900.0, 0.0, 0), 180 + 59) => set("silence_fixed_seconds", 3600.0), never();
    "VodQueueSilent" "no fixed limit", quiet(50_000.0, 0.0, 0) => never();
    "VodQueueSilent" "no event yet",
        healthy(67).without(LAST) => set("silence_fixed_seconds", 3600.0), not_before(60), fires(&[VOD]);
    "VodQueueSilent" "no event yet, watched for half an hour",
        healthy(90).without(LAST).with("vod_queue_watched_since_timestamp_seconds", &[(0, Is(3600.0))])
        => set("silence_fixed_seconds", 3600.0), never();
}

fn backlogs() -> Vec<Case> {
    let mut cases = Vec::new();
    for (alert, scene) in [
        ("VodBacklogStuck", waiting(960.0, 5)),
        ("VodBacklogDrainsSlowly", behind(945.0)),
        ("VodCallbacksExpiring", expiring(0.8)),
    ] {
        let at = scene.minutes;
        let emptied = scene
            .clone()
            .until(at + 10)
            .with("mns_queue_empty", &[(at + 2, Is(1.0))])
            .with(OLDEST, &[(at + 2, Gone)]);
        let new = |name: &str, scene: Scene| Case::new(alert, name, scene);
        cases.extend([
            new("one of two queues", scene.clone().beside("second")).fires(&[VOD]),
            new("empty is evidence", emptied).at(at, &[VOD]).fires(&[]),
            new("dead letters", scene.of_dead_letters()).never(),
        ]);
    }
    let hidden = [(60, Rises(60.0))];
    let new = |name: &str, scene: Scene| Case::new("VodBacklogDrainsSlowly", name, scene);
    cases.extend([
        new(
            "hidden messages count",
            emptying(7020.0).with(INACTIVE, &hidden),
        )
        .fires(&[VOD]),
        new("later than others", behind(945.0))
            .own("drain_age_seconds", 1800.0)
            .never(),
        new("two look at it", emptying(7020.0).peeked().twice()).never(),
        new("then no exporter", emptying(6900.0).vanished(MEMORY)).never(),
        new(
            "another queue empties",
            emptying(7380.0).beside("second").with(
                &format!("{ACTIVE} queue=second"),
                &[(0, Is(5000.0)), (0, Rises(-60.0))],
            ),
        )
        .fires(&[VOD]),
    ]);
    let unaware = format!("{PROGRESS} instance=b");
    let taken = waiting(3600.0, 5).with(PROGRESS, &CLOCK);
    let seen_by_one = taken.clone().twice().with(&unaware, &[(0, Is(0.0))]);
    let new = |name: &str, scene: Scene| Case::new("VodBacklogStuck", name, scene);
    cases.extend([
        new("somebody takes messages", taken).never(),
        new("a worker that comes once an hour", abandoned(3900.0))
            .own("no_progress_seconds", 5400.0)
            .never(),
        new(
            "another queue",
            abandoned(3900.0).relabelled("queue=\"vod\"", "queue=\"x\""),
        )
        .own("no_progress_seconds", 5400.0)
        .fires(&["queue=x"]),
        new("one of two replicas sees it", seen_by_one).never(),
    ]);
    cases
}

fn poison() -> Scene {
    healthy(67).turns("mns_queue_dequeue_count_max", 20.0)
}

/// Three messages that are no events, for each of two reasons.
fn reasons() -> Scene {
    let more = "vod_event_decode_failures_total reason=bad_base64";
    undecodable(3.0, 20.0).jumps(more, 60, 3.0)
}

cases! {
    messages:
    "VodRedeliveryStorm" "one of two queues", redelivered(100.0, 100.0).beside("second") => fires(&[VOD]);
    "VodRedeliveryStorm" "over", redelivered(100.0, 100.0).until(110) => at(85, &[VOD]), fires(&[]);
    "VodRedeliveryStorm" "peeked by two", redelivered(20.0, 10.0).peeked().twice() => never();
    "VodRedeliveryStorm" "messages peeked by two", redelivered(40.0, 60.0).peeked().twice() => fires(&[VOD]);
    "VodRedeliveryStorm" "consumed by two", redelivered(16.0, 10.0).twice() => fires(&[VOD]);
    "VodRedeliveryStorm" "messages consumed by two", redelivered(40.0, 90.0).twice() => never();
    "VodPoisonMessage" "one of two queues", poison().beside("second") => fires(&[VOD]);
    "VodPoisonMessage" "dead letters", poison().until(90).of_dead_letters() => never();
    "VodPoisonMessage" "seen now and then",
        poison().until(75).with("mns_queue_dequeue_count_max", &[(61, Is(1.0)), (63, Is(20.0)), (64, Is(1.0))])
        => at(66, &[VOD]), fires(&[]);
    "VodDeliverySlow" "one of two queues", delivered(200.0, 100.0, 0.0).beside("second") => fires(&[VOD]);
    "VodDeliverySlow" "consumed by two", delivered(200.0, 12.0, 0.0).twice() => fires(&[VOD]);
    "VodDeliverySlow" "hardly one in ten", delivered(3000.0, 19.0, 181.0) => never();
    "VodDeliverySlow" "more than one in ten, just too late", delivered(65.0, 21.0, 179.0) => fires(&[VOD]);
    "VodDecodeFailures" "reasons add up", reasons().beside("second") => fires(&[VOD]);
    "VodDecodeFailures" "reasons add up, peeked", reasons().peeked() => fires(&[VOD]);
    "VodDecodeFailures" "peeked by two", undecodable(3.0, 20.0).peeked().twice() => never();
    "VodDecodeFailures" "consumed by two", undecodable(3.0, 20.0).twice() => fires(&[VOD]);
    "VodDecodeFailures" "over", undecodable(50.0, 100.0).until(110) => at(85, &[VOD]), fires(&[]);
}

/// Three minutes of four it cannot be read.
fn unsteady() -> Scene {
    let parts = |from: u32| [(from, Is(0.0)), (from + 3, Is(1.0))];
    let parts: Vec<_> = (60..140).step_by(4).flat_map(parts).collect();
    healthy(140).with("mns_queue_up", &parts)
}

fn down() -> Scene {
    healthy(70).turns("mns_queue_up", 0.0)
}

/// One alert about a video that is not taken.
fn sent(result: &str) -> Scene {
    let sent = "vod_callback_exporter_alerts_sent_total alertmanager=one";
    healthy(67).jumps(&format!("{sent} result={result}"), 60, 1.0)
}

cases! {
    exporter:
    "VodExporterDown" "gone", healthy(80).away(60, 90) => not_before(65), fires(&[""]);
    "VodExporterDown" "back again", healthy(95).away(60, 90) => at(85, &[""]), fires(&[]);
    "VodQueueUnwatched" "one of two queues",
        healthy(74).beside("second").unwatched(60) => not_before(67), fires(&[VOD]);
    "VodQueueUnwatched" "no exporter at all", healthy(150).away(60, 150) => never();
    "VodQueueUnreadable" "one of two queues", down().beside("second") => not_before(64), fires(&[VOD]);
    "VodQueueUnreadable" "now and then", unsteady() => never();
    "VodQueueUnreadable" "another replica reads it",
        healthy(90).twice()
            .turns("mns_queue_up instance=b", 0.0)
            .with(&format!("{TICK} instance=b"), &[(60, Rises(0.0))])
        => never();
    "VodQueueUnreadable" "then no exporter", down().vanished(MEMORY) => fires(&[VOD]);
    "VodQueueUnreadable" "read again",
        down().until(90).with("mns_queue_up", &[(80, Is(1.0))]) => at(75, &[VOD]), fires(&[]);
    "VodCredentialsExpiring" "of one replica",
        healthy(70).twice().with(&format!("{EXPIRY} instance=b"), &[(60, Is(3700.0))])
        => fires(&["account=main"]);
    "VodAlertDeliveryFailing" "failed counts", sent("failed") => fires(&["alertmanager=one"]);
    "VodAlertDeliveryFailing" "rejected counts", sent("rejected") => fires(&["alertmanager=one"]);
    "VodAlertDeliveryFailing" "taken again",
        sent("failed").until(90)
            .jumps("vod_callback_exporter_alerts_sent_total alertmanager=one result=ok", 80, 1.0)
        => at(75, &["alertmanager=one"]), fires(&[]);
}

/// Half of 30 videos within an hour are bad; then so many a minute are good, and a single one at that minute is bad.
fn bad_hour(single: u32, every: u32, after: f64) -> Scene {
    healthy(single + 60)
        .scraped_every(every)
        .with(
            "vod_playable_objective_total result=good",
            &[(60, Rises(0.25)), (120, Rises(after))],
        )
        .with(
            "vod_playable_objective_total result=bad",
            &[(60, Rises(0.25)), (120, Rises(0.0)), (single, Jumps(1.0))],
        )
}

fn service_level() -> Vec<Case> {
    let mut cases = Vec::new();
    for pair in PAIRS {
        let windows = format!("{}m/{}m", pair.long, pair.short);
        let new =
            |name: &str, scene: Scene| Case::new(pair.alert, format!("{windows}, {name}"), scene);
        cases.extend([
            new("only the long one burns", pair.burnt()).never(),
            new("only the short one burns", pair.flared()).never(),
            new("one of two queues", pair.burning(0.98).beside("second")).fires(&[VOD]),
        ]);
    }
    cases.extend([
        Case::new(
            FAST,
            "one bad video long after a bad hour",
            bad_hour(840, 1, 1.0 / 6.0),
        )
        .at(110, &[VOD])
        .at(800, &[])
        .at(846, &[])
        .fires(&[]),
        Case::new(
            SLOW,
            "one bad video long after a bad hour",
            bad_hour(DAY + 195, 15, 1.0 / 180.0),
        )
        .at(120, &[VOD])
        .at(DAY + 180, &[])
        .at(DAY + 225, &[])
        .fires(&[]),
    ]);
    for (alert, minutes) in [(FAST, 64), (SLOW, 77)] {
        let scene = |good, bad| Scene {
            minutes,
            ..played(good, bad)
        };
        let few = Case::new(alert, "bad ones that are too few", scene(21.0, 9.0));
        let two = Case::new(alert, "consumed by two", scene(6.0, 6.0).twice());
        cases.extend([few.set("playable_min_bad", 10.0).never(), two.fires(&[VOD])]);
    }
    cases
}

// === The judge ===

/// What each of some promtools has to complain about each sheet of cases.
fn judge(promtools: &[PathBuf], sheets: &[Vec<Case>]) -> Vec<Vec<String>> {
    let folder = TempDir::new().unwrap();
    let mut tests = Vec::new();
    let mut of_sheet = Vec::new();
    for (number, sheet) in sheets.iter().enumerate() {
        // promtool evaluates all rules of a file: only those that the alert needs, as often as it needs.
        let mut files: BTreeMap<(&str, u32, String), Vec<&Case>> = BTreeMap::new();
        for case in sheet {
            let thresholds = format!("{:?} {:?}", case.thresholds, case.own);
            let key = (case.alert, case.scene.every, thresholds);
            files.entry(key).or_default().push(case);
        }
        for ((alert, every, _), cases) in files {
            let path = |what: &str| folder.path().join(format!("{}.{what}.yaml", tests.len()));
            let mut rules = rules::needed_by(&[alert]);
            let thresholds = cases[0].thresholds.iter().copied();
            set_thresholds(
                &mut rules,
                thresholds.map(|(name, value)| (name, format!("vector({value:?})"))),
            );
            for (name, value) in &cases[0].own {
                let name = format!("vod:queue_threshold:{name}");
                let rule = rules.iter_mut().find(|rule| rule.name == name).unwrap();
                let own =
                    format!("label_replace(vector({value:?}), \"queue\", \"vod\", \"\", \"\")");
                rule.source["expr"] = format!("{own} or on (queue) ({})", rule.expr).into();
            }
            let rule = rules.iter().find(|rule| rule.name == alert);
            let rule = rule.unwrap_or_else(|| panic!("no alert {alert}"));
            let selectors = rules
                .iter()
                .flat_map(|rule| rules::names(&rule.expr).selectors);
            let wanted: BTreeSet<String> = selectors.map(|selector| selector.metric).collect();
            let groups = cases.iter().map(|case| {
                json!({
                    "interval": format!("{every}m"),
                    "input_series": case.scene.input(|name| wanted.contains(name)),
                    "promql_expr_test": case.tests(&rule.severity),
                    "alert_rule_test": case.sayings(rule),
                })
            });
            let file = json!({
                "rule_files": [path("rules")],
                "evaluation_interval": format!("{every}m"),
                // A threshold that comes late is too old for what compares with it.
                "group_eval_order": ["a", "b"],
                "tests": groups.collect::<Vec<_>>(),
            });
            std::fs::write(path("rules"), rules::as_file(&rules).to_string()).unwrap();
            std::fs::write(path("test"), file.to_string()).unwrap();
            tests.push(path("test"));
            of_sheet.push(number);
        }
    }
    let mut complaints = Vec::new();
    for tool in promtools {
        let log = folder.path().join("log");
        // Successes go to one stream and failures to the other.
        let stream = File::create(&log).unwrap();
        Command::new(tool)
            .args(["test", "rules"])
            .args(&tests)
            .stdout(stream.try_clone().unwrap())
            .stderr(stream)
            .status()
            .unwrap();
        let said = std::fs::read_to_string(&log).unwrap();
        // A part for each file; not all versions name it.
        let mut parts: Vec<String> = Vec::new();
        for line in said.lines() {
            if line.starts_with("  SUCCESS") || line.starts_with("  FAILED") {
                parts.push(String::new());
            }
            if let Some(part) = parts.last_mut() {
                *part += line;
                part.push('\n');
            }
        }
        assert_eq!(parts.len(), tests.len(), "{} says:\n{said}", tool.display());
        let mut found = vec![String::new(); sheets.len()];
        for (number, part) in of_sheet.iter().zip(parts) {
            if !part.starts_with("  SUCCESS") {
                found[*number] += &part;
            }
        }
        complaints.push(found);
    }
    complaints
}

fn hold(cases: Vec<Case>) {
    let Some(referees) = Referees::find() else {
        return;
    };
    for complaint in judge(&referees.tools("promtool"), &[cases]).concat() {
        assert!(complaint.is_empty(), "promtool test rules:\n{complaint}");
    }
}

#[test]
fn every_threshold_decides_at_its_number() {
    let edges = edges();
    let known = rules::all().into_iter().filter_map(|rule| {
        let name = rule.name.strip_prefix("vod:threshold:")?.to_owned();
        let number = rule.expr.strip_prefix("vector(")?.strip_suffix(')')?;
        Some((name, number.parse::<f64>().unwrap().to_string()))
    });
    let held = edges
        .iter()
        .map(|edge| (edge.threshold.to_owned(), edge.is.to_string()));
    assert_eq!(
        known.collect::<BTreeSet<_>>(),
        held.collect::<BTreeSet<_>>(),
        "thresholds.yaml, and what is tested"
    );
    for edge in &edges {
        let is = edge.set.unwrap_or(edge.is);
        let is_small_count = is.fract() == 0.0 && is <= 10.0;
        let near = if is_small_count { 1.0 } else { is / 10.0 };
        for value in [edge.silent, edge.fires] {
            assert!(
                (value - is).abs() <= near,
                "{}: {value} is not near {is}",
                edge.threshold
            );
        }
    }
    hold(edges.iter().flat_map(Edge::sides).collect());
}

/// Each side above is so near that a number that is a little lower or higher undoes it.
#[test]
fn a_wrong_threshold_does_not_pass() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let of_edge = |edge: Edge| edge.wrong.map(|wrong| vec![edge.undone_by(wrong)]);
    let sheets: Vec<Vec<Case>> = edges().into_iter().flat_map(of_edge).collect();
    let promtool = referees.tool("bin/promtool");
    for (cases, complaint) in sheets.iter().zip(judge(&[promtool], &sheets).concat()) {
        for case in cases {
            assert!(
                complaint.contains(&case.name),
                "{}: {} also with {:?}",
                case.alert,
                case.name,
                case.thresholds
            );
        }
    }
}

#[test]
fn an_alert_outlives_what_shows_it() {
    hold(edges().iter().flat_map(Edge::unseen).collect());
}

#[test]
fn every_part_of_a_rule_decides() {
    let mut cases = Vec::new();
    for part in [
        states,
        transcodes,
        faults,
        silence,
        backlogs,
        messages,
        exporter,
        service_level,
    ] {
        cases.extend(part());
    }
    let held: BTreeSet<&str> = cases.iter().map(|case| case.alert).collect();
    let all = rules::all().into_iter().filter(|rule| rule.is_alert);
    for rule in all {
        let is_special = super::special::ALERTS.contains(&rule.name.as_str());
        assert!(
            is_special || held.contains(rule.name.as_str()),
            "{} has no case",
            rule.name
        );
    }
    hold(cases);
}

#[test]
#[should_panic(expected = "stage is never \"somewhere\"")]
fn only_what_the_exporter_shows_can_be_written_down() {
    named("vod_transcodes_stalled stage=somewhere");
}
