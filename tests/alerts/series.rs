//! From scrapes to promtool's input series, as Prometheus would have stored them, and what can befall them on the way.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vod_callback_exporter::ledger::Mode;
use vod_callback_exporter::metrics::catalogue::{self, Kind};

use super::sim::{START, Scrape};

/// The scrapes of one world, one a minute.
#[derive(Clone)]
pub(crate) struct Timeline {
    scrapes: Vec<(&'static str, Scrape)>,
    mode: Mode,
    /// Whether a second replica reports the same queue.
    replicated: bool,
    /// What another exporter tells, of another queue.
    other: Option<Box<Self>>,
}

// === impl Timeline ===

impl Timeline {
    pub(crate) fn new(scrapes: Vec<(&'static str, Scrape)>, mode: Mode) -> Self {
        Self {
            scrapes,
            mode,
            replicated: false,
            other: None,
        }
    }

    /// Every fourth scrape fails.
    pub(crate) fn with_failed_scrapes(mut self) -> Self {
        for (_, scrape) in self.scrapes.iter_mut().skip(3).step_by(4) {
            *scrape = None;
        }
        self
    }

    /// The target is gone for three minutes.
    pub(crate) fn with_gap(mut self, from: u32) -> Self {
        for (_, scrape) in self.scrapes.iter_mut().skip(from as usize).take(3) {
            *scrape = None;
        }
        self
    }

    /// The target is gone for good.
    pub(crate) fn vanished(mut self, from: u32) -> Self {
        for (_, scrape) in self.scrapes.iter_mut().skip(from as usize) {
            *scrape = None;
        }
        self
    }

    /// Goes on for so long without a target.
    pub(crate) fn followed_by_nothing(mut self, minutes: u32) -> Self {
        let nothing = std::iter::repeat_n(("a", None), minutes as usize);
        self.scrapes.extend(nothing);
        self
    }

    /// Another exporter goes on beside this one, with another queue.
    pub(crate) fn beside(mut self, other: Self) -> Self {
        self.other = Some(Box::new(other));
        self
    }

    /// Two exporters report the queue: those that consume share what is counted, those that peek see the same.
    pub(crate) fn replicated(mut self) -> Self {
        self.replicated = true;
        self
    }

    /// As `input_series`: a failed scrape and a series that ends leave a stale marker.
    pub(crate) fn input(&self, is_wanted: &impl Fn(&str) -> bool) -> Vec<Value> {
        let mut all: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
        for (minute, (instance, scrape)) in self.scrapes.iter().enumerate() {
            for (series, value) in scrape.iter().flatten() {
                let name = series.split('{').next().unwrap_or_default();
                if !is_wanted(name) {
                    continue;
                }
                let value = shifted(name, *value);
                let parts = if self.replicated && self.is_shared(name) {
                    vec![(value / 2.0).ceil(), (value / 2.0).floor()]
                } else {
                    vec![value; 1 + usize::from(self.replicated)]
                };
                for (replica, value) in parts.into_iter().enumerate() {
                    let series = labelled(series, &format!("{instance}{replica}"));
                    let values = all.entry(series).or_default();
                    values.resize(minute, None);
                    values.push(Some(value));
                }
            }
        }
        let minutes = self.scrapes.len();
        let own = all.into_iter().map(|(series, mut values)| {
            values.resize(minutes, None);
            json!({"series": series, "values": notation(&values)})
        });
        let mut input: Vec<Value> = own.collect();
        for mut series in self.other.iter().flat_map(|other| other.input(is_wanted)) {
            let named = series["series"].as_str().unwrap_or_default();
            let named = named.replace("queue=\"vod\"", "queue=\"other\"");
            series["series"] = named.replace("instance=\"", "instance=\"other-").into();
            input.push(series);
        }
        input
    }

    /// Whether replicas divide it among themselves rather than all report the whole.
    fn is_shared(&self, name: &str) -> bool {
        let base = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|suffix| catalogue::find(name.strip_suffix(suffix)?));
        let family = catalogue::find(name).or(base);
        let counted =
            family.is_some_and(|family| matches!(family.kind, Kind::Counter | Kind::Histogram(_)));
        counted && !name.ends_with("_sum") && self.mode == Mode::Consume
    }
}

/// promtool's clock begins at 0.
fn shifted(name: &str, value: f64) -> f64 {
    if name.ends_with("_timestamp_seconds") {
        value - START.as_secs_f64()
    } else {
        value
    }
}

fn labelled(series: &str, instance: &str) -> String {
    let target = format!("job=\"exporter\",instance=\"{instance}\"");
    match series.split_once('{') {
        Some((name, labels)) => format!("{name}{{{target},{labels}"),
        None => format!("{series}{{{target}}}"),
    }
}

/// promtool's shorthand: `1+0x3` is four times 1.
pub(crate) fn notation(values: &[Option<f64>]) -> String {
    let mut words = Vec::new();
    let mut rest = values;
    let mut before = None;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|value| *value == first).count();
        match first {
            Some(value) => words.push(format!("{value}+0x{}", run - 1)),
            None if before.is_some() => {
                words.push("stale".to_owned());
                if run > 1 {
                    words.push(format!("_x{}", run - 1));
                }
            }
            None => words.push(format!("_x{run}")),
        }
        before = *first;
        rest = rest.get(run..).unwrap_or_default();
    }
    words.join(" ")
}

#[test]
fn runs_are_short_and_what_ends_is_stale() {
    let values = [
        None,
        None,
        Some(1.5),
        Some(1.5),
        None,
        None,
        None,
        Some(-2.0),
    ];
    assert_eq!(notation(&values), "_x2 1.5+0x1 stale _x2 -2+0x0");
}
