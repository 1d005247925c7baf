//! Series over time, written by hand, and the healthy ones that a scene begins with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vod_callback_exporter::metrics::catalogue::{self, Kind, LABELS};

use super::DAY;
use crate::lint;
use crate::series::notation;

use Part::{Gone, Is, Jumps, Rises};

/// What happens to a series at a minute.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Is(f64),
    /// By so much a minute from now on.
    Rises(f64),
    Jumps(f64),
    Gone,
}

/// Series over time.
#[derive(Clone)]
pub(super) struct Scene {
    /// When it is over, which is when alerts are looked at.
    pub(super) minutes: u32,
    /// Minutes between scrapes, and between evaluations.
    pub(super) every: u32,
    pub(super) series: BTreeMap<String, Vec<(u32, Part)>>,
    /// When no scrape succeeds.
    pub(super) away: Option<[u32; 2]>,
}

/// promtool's clock, in seconds.
pub(super) const CLOCK: [(u32, Part); 2] = [(0, Is(0.0)), (0, Rises(60.0))];

/// An exporter that consumes queue `vod`, in which all is well and nothing happens.
pub(super) fn healthy(minutes: u32) -> Scene {
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
    pub(super) fn with(mut self, series: &str, parts: &[(u32, Part)]) -> Self {
        let known = self.series.entry(named(series)).or_default();
        known.extend(parts);
        known.sort_by_key(|(minute, _)| *minute);
        self
    }

    pub(super) fn jumps(self, series: &str, at: u32, by: f64) -> Self {
        self.with(series, &[(at, Jumps(by))])
    }

    /// A gauge that changes from minute 60 on.
    pub(super) fn turns(self, series: &str, value: f64) -> Self {
        self.with(series, &[(60, Is(value))])
    }

    /// One more healthy queue.
    pub(super) fn beside(mut self, queue: &str) -> Self {
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
    pub(super) fn peeked(self) -> Self {
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

    pub(super) fn of_dead_letters(self) -> Self {
        self.relabelled("role=\"callback\"", "role=\"dead_letter\"")
    }

    pub(super) fn relabelled(mut self, from: &str, to: &str) -> Self {
        let series = std::mem::take(&mut self.series).into_iter();
        self.series = series
            .map(|(name, parts)| (name.replace(from, to), parts))
            .collect();
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        let before = self.series.len();
        self.series
            .retain(|series, _| !series.starts_with(&format!("{name}{{")));
        assert!(self.series.len() < before, "{name} was not there");
        self
    }

    /// Two replicas, which show the same.
    pub(super) fn twice(mut self) -> Self {
        let second = self.clone().relabelled("instance=\"a\"", "instance=\"b\"");
        self.series.extend(second.series);
        self
    }

    /// All that names queue `vod` ends.
    pub(super) fn unwatched(mut self, at: u32) -> Self {
        for (series, parts) in &mut self.series {
            if series.contains("queue=\"vod\"") {
                parts.push((at, Gone));
            }
        }
        self
    }

    /// Goes on for longer while the exporter is not there.
    pub(super) fn vanished(mut self, minutes: u32) -> Self {
        self.away = Some([self.minutes + 1, self.minutes + minutes]);
        self.minutes += minutes;
        self
    }

    /// Goes on for longer while MNS refuses to answer, so that counters stand still.
    pub(super) fn unreadable(mut self, minutes: u32) -> Self {
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

    pub(super) fn until(self, minutes: u32) -> Self {
        Self { minutes, ..self }
    }

    pub(super) fn away(mut self, from: u32, until: u32) -> Self {
        self.away = Some([from, until]);
        self
    }

    pub(super) fn scraped_every(mut self, minutes: u32) -> Self {
        self.every = minutes;
        self
    }

    /// As `input_series`.
    pub(super) fn input(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Value> {
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
pub(super) fn named(series: &str) -> String {
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

pub(super) fn quoted<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let labels = labels.into_iter();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    labels.join(",")
}

/// Bounds of the buckets of delivery times.
pub(super) fn bounds() -> Vec<&'static str> {
    let bounds = catalogue::DELIVERY.le.iter();
    let quoted = bounds.map(|le| le.trim_start_matches(",le=").trim_matches('"'));
    quoted.chain(["+Inf"]).collect()
}
