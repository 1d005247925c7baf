//! Whether numbers mean what they seem to: unit by metric, colours by the alerts' thresholds, runbooks by the alerts' metrics,
//! and a snapshot of what no rule can judge.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::boards::{BOARDS, board, panels, text};
use crate::family;
use crate::promql::uses;

/// What a number of a board says.
pub(crate) struct Shown {
    pub(crate) place: String,
    pub(crate) unit: String,
    pub(crate) expr: String,
}

/// Each stat with colours: how it looks at the value at which its alert fires, at one below, and where all is well.
const JUDGED: [(&str, &str, Bound, &str, f64); 20] = [
    ("overview", "Exporter down", Bound::At(1.0), "red", 0.0),
    (
        "overview",
        "Stalled now",
        Bound::Above("transcodes_stalled", 1.0),
        "red",
        0.0,
    ),
    (
        "overview",
        "In time",
        Bound::From("playable_slo"),
        "green",
        1.0,
    ),
    (
        "overview",
        "Oldest",
        Bound::From("backlog_age_seconds"),
        "red",
        0.0,
    ),
    (
        "overview",
        "Redelivered",
        Bound::From("redelivery_ratio"),
        "red",
        0.0,
    ),
    ("overview", "Unreadable", Bound::At(1.0), "red", 0.0),
    (
        "overview",
        "Silence",
        Bound::From("silence_seconds"),
        "red",
        0.0,
    ),
    (
        "overview",
        "VOD faults",
        Bound::From("service_fault_ratio"),
        "red",
        0.0,
    ),
    (
        "overview",
        "Lost",
        Bound::Above("callbacks_lost_per_hour", 1.0),
        "orange",
        0.0,
    ),
    (
        "queue",
        "Untaken for",
        Bound::From("no_progress_seconds"),
        "red",
        0.0,
    ),
    (
        "queue",
        "Retention",
        Bound::From("retention_ratio"),
        "red",
        0.0,
    ),
    (
        "queue",
        "Empty in",
        Bound::From("drain_seconds"),
        "orange",
        0.0,
    ),
    (
        "queue",
        "Deliveries",
        Bound::From("poison_dequeue_count"),
        "red",
        1.0,
    ),
    (
        "queue",
        "Redelivered",
        Bound::From("redelivery_ratio"),
        "red",
        0.0,
    ),
    ("queue", "Unreadable", Bound::At(1.0), "red", 0.0),
    (
        "transcodes",
        "Stalled now",
        Bound::Above("transcodes_stalled", 1.0),
        "red",
        0.0,
    ),
    ("exporter", "Down", Bound::At(1.0), "red", 0.0),
    (
        "exporter",
        "Last read",
        Bound::From("unread_seconds"),
        "red",
        0.0,
    ),
    ("exporter", "Quarantined", Bound::At(1.0), "orange", 0.0),
    (
        "exporter",
        "Expire in",
        Bound::Above("credentials_seconds", -1.0),
        "red",
        1e9,
    ),
];
/// The same for numbers that no alert watches: board, title, worst value, its colour, best value.
const UNWATCHED: [(&str, &str, f64, &str, f64); 4] = [
    ("queue", "Failed calls", 1.0, "red", 0.0),
    ("transcodes", "All good", 0.0, "red", 1.0),
    ("transcodes", "Failed", 1.0, "red", 0.0),
    ("exporter", "Failures", 1.0, "orange", 0.0),
];
/// Runbooks of stats that show another metric than their alert watches, and why that is so.
const AKIN: [(&str, &str, &str); 4] = [
    (
        "queue",
        "Empty in",
        "the alert knows the pace of the oldest message, which is exact",
    ),
    ("transcodes", "p95", "what the objective is about"),
    (
        "exporter",
        "Quarantined",
        "where undecodable bodies are kept",
    ),
    ("exporter", "Durable", "words instead of colours"),
];
/// Settings of a queue, which are no ages.
const SETTINGS: [&str; 2] = [
    "mns_queue_retention_seconds",
    "mns_queue_visibility_timeout_seconds",
];
/// Ages are of the demo's own time; clocks and scrapes differ by less.
const SLACK: f64 = 60.0;

/// Where an alert begins.
enum Bound {
    At(f64),
    /// `vod:threshold:..` itself.
    From(&'static str),
    /// That much more.
    Above(&'static str, f64),
}

#[test]
fn units_are_those_of_the_metrics() {
    for shown in all() {
        let expected = unit(&shown.expr);
        assert!(
            expected.contains(&&*shown.unit),
            "{}: unit {}, expected one of {expected:?}: {}",
            shown.place,
            shown.unit,
            shown.expr
        );
    }
}

/// Units that fit what an expression is.
fn unit(expr: &str) -> &'static [&'static str] {
    const SECONDS: &[&str] = &["s", "dthms"];
    let uses = uses(expr);
    let any = |suffix: &str| uses.iter().any(|used| used.metric.ends_with(suffix));
    if expr.contains("deriv(") {
        return SECONDS;
    }
    if is_share(expr) {
        return &["percentunit"];
    }
    if expr.contains("60 * ") {
        return &["suffix:/min"];
    }
    if expr.starts_with("histogram_quantile")
        || expr.starts_with("sort_desc(topk(8, histogram_quantile")
    {
        return SECONDS;
    }
    if any("_timestamp_seconds") {
        assert!(expr.contains("time()"), "seconds since 1970: {expr}");
        return SECONDS;
    }
    if any("process_cpu_seconds_total") {
        return &["percentunit"];
    }
    if any("_seconds_bucket") || any("_seconds") {
        return SECONDS;
    }
    if any("_bytes") {
        return &["bytes"];
    }
    if any("vod:threshold:playable_slo") {
        return &["percentunit"];
    }
    // Counts have no unit.
    &["locale", "short", "none"]
}

/// A ratio of two of a kind.
fn is_share(expr: &str) -> bool {
    expr.contains(" / ")
}

#[test]
fn colours_turn_with_the_alerts() {
    let thresholds = thresholds();
    let mut judged = BTreeSet::new();
    for (board, title, bound, colour, well) in JUDGED {
        let (worst, before) = match bound {
            Bound::At(value) => (value, well),
            Bound::From(name) => (thresholds[name], thresholds[name] * 0.999),
            Bound::Above(name, more) => (thresholds[name] + more, thresholds[name] - more.min(0.0)),
        };
        expect_colour(board, title, worst, colour);
        let stays = color(&stat(board, title), before);
        assert_ne!(
            stays, colour,
            "{board} / {title} at {before}, where nothing fires"
        );
        expect_colour(board, title, well, "green");
        judged.insert((board, title));
    }
    for (board, title, worst, colour, well) in UNWATCHED {
        expect_colour(board, title, worst, colour);
        expect_colour(board, title, well, "green");
        judged.insert((board, title));
    }
    for (name, _) in BOARDS {
        let board = board(name);
        for panel in panels(&board)
            .iter()
            .filter(|panel| panel["type"] == "stat")
        {
            let title = text(panel, "title");
            let steps = steps(panel);
            let listed = judged.contains(&(name, title));
            assert_eq!(
                steps.len() > 1,
                listed,
                "{name} / {title} is judged by its colours, or is not"
            );
            let ranks: Vec<usize> = steps.iter().map(|(_, color)| rank(color)).collect();
            assert!(
                ranks.is_sorted() || ranks.iter().rev().is_sorted(),
                "{name} / {title} goes from good to bad and back: {steps:?}"
            );
        }
    }
}

fn expect_colour(board: &str, title: &str, value: f64, expected: &str) {
    assert_eq!(
        color(&stat(board, title), value),
        expected,
        "{board} / {title} at {value}"
    );
}

#[test]
fn runbooks_are_of_alerts_about_the_same_metrics() {
    let alerts = metrics_of_alerts();
    let watched: BTreeSet<&String> = alerts.values().flatten().collect();
    for (name, _) in BOARDS {
        let board = board(name);
        for panel in panels(&board)
            .iter()
            .filter(|panel| panel["type"] == "stat")
        {
            let title = text(panel, "title");
            let metrics: BTreeSet<String> = queries_of(panel)
                .iter()
                .flat_map(|expr| uses(expr))
                .map(|used| {
                    family(&used.metric).map_or(used.metric, |family| family.name.to_owned())
                })
                .collect();
            let runbook = panel["links"][0]["url"].as_str().map(|url| {
                let (_, page) = url.rsplit_once('/').expect("a path");
                page.strip_suffix(".md").expect("a page").to_owned()
            });
            let Some(alert) = runbook else {
                let unwatched = UNWATCHED
                    .iter()
                    .any(|(board, of, ..)| (*board, *of) == (name, title));
                let is_watched = metrics.iter().any(|metric| watched.contains(metric));
                let coloured = steps(panel).len() > 1 && !unwatched;
                assert!(
                    !coloured || !is_watched,
                    "{name} / {title} has no runbook, though an alert watches {metrics:?}"
                );
                continue;
            };
            let page = format!("docs/runbooks/{alert}.md");
            assert!(here(&page).exists(), "{name} / {title}: no {page}");
            let of_alert = alerts.get(&alert);
            let of_alert = of_alert.unwrap_or_else(|| panic!("{name} / {title}: no alert {alert}"));
            let akin = AKIN
                .iter()
                .any(|(board, of, _)| (*board, *of) == (name, title));
            assert!(
                akin || metrics.intersection(of_alert).next().is_some(),
                "{name} / {title}: {alert} watches {of_alert:?}, not {metrics:?}"
            );
        }
    }
}

/// Shown by a change of it that somebody has to look at, since no rule tells a good result from a bad one.
#[test]
fn what_is_shown_was_looked_at() {
    for (name, _) in BOARDS {
        let mut lines = Vec::new();
        let board = board(name);
        for panel in panels(&board)
            .iter()
            .filter(|panel| panel["targets"].is_array())
        {
            let defaults = &panel["fieldConfig"]["defaults"];
            lines.push(format!(
                "{} ({})",
                text(panel, "title"),
                text(panel, "type")
            ));
            lines.push(format!(
                "  unit {}, if missing: {}",
                text(defaults, "unit"),
                text(defaults, "noValue")
            ));
            if steps(panel).len() > 1 {
                lines.push(format!("  colours {:?}", steps(panel)));
            }
            for target in panel["targets"].as_array().into_iter().flatten() {
                let legend = target["legendFormat"].as_str().unwrap_or_default();
                lines.push(format!(
                    "  {} {legend}: {}",
                    text(target, "refId"),
                    text(target, "expr")
                ));
            }
            for one in panel["fieldConfig"]["overrides"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let (of, properties) = (&one["matcher"]["options"], &one["properties"]);
                lines.push(format!("  {of} {properties}"));
            }
        }
        insta::assert_snapshot!(name, lines.join("\n"));
    }
}

/// Panics where a value cannot be, given its unit and how long the demo has run.
pub(crate) fn expect_possible(shown: &Shown, value: f64, life: f64) {
    let Shown { place, unit, expr } = shown;
    let is_setting = SETTINGS.iter().any(|setting| expr.contains(setting));
    let most = match &**unit {
        "percentunit" => 1.0,
        "s" | "dthms" if !is_setting && !expr.contains("deriv(") => life + SLACK,
        _ => f64::INFINITY,
    };
    // Clocks may differ, and a time be rounded up.
    let least = if expr.contains("clock_skew_seconds") {
        -SLACK
    } else {
        -0.001
    };
    let fits = least <= value && value <= most + 1e-6;
    assert!(
        fits,
        "{place} is {value}, expected {least} to {most}: {expr}"
    );
}

/// Each query of each panel, with its unit.
pub(crate) fn all() -> Vec<Shown> {
    let mut all = Vec::new();
    for (name, _) in BOARDS {
        let board = board(name);
        for panel in panels(&board) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let id = text(target, "refId");
                if panel["type"] == "heatmap" {
                    // Its unit is of the buckets, its values are counts.
                    continue;
                }
                let Some(unit) = unit_of(panel, id) else {
                    continue;
                };
                all.push(Shown {
                    place: format!("{name} / {} {id}", text(panel, "title")),
                    unit,
                    expr: text(target, "expr").to_owned(),
                });
            }
        }
    }
    all
}

/// The unit of a query, which in a table is that of a column; none where its column is hidden.
fn unit_of(panel: &Value, id: &str) -> Option<String> {
    let usual = text(&panel["fieldConfig"]["defaults"], "unit");
    let organize = panel["transformations"]
        .as_array()
        .and_then(|all| all.last());
    let Some(organize) = organize else {
        return Some(usual.to_owned());
    };
    let options = &organize["options"];
    let value = format!("Value #{id}");
    let value = if options["renameByName"].get(&value).is_some() {
        &*value
    } else {
        "Value"
    };
    if options["excludeByName"][value] == true {
        return None;
    }
    let title = text(&options["renameByName"], value);
    let overrides = panel["fieldConfig"]["overrides"]
        .as_array()
        .expect("a list");
    let of_column = overrides
        .iter()
        .filter(|one| one["matcher"]["options"] == title);
    let mut properties = of_column.flat_map(|one| one["properties"].as_array().expect("a list"));
    let own = properties.find(|property| property["id"] == "unit");
    Some(
        own.map_or(usual, |property| text(property, "value"))
            .to_owned(),
    )
}

fn stat(name: &str, title: &str) -> Value {
    let board = board(name);
    let found = panels(&board)
        .iter()
        .find(|panel| panel["type"] == "stat" && panel["title"] == title);
    found
        .unwrap_or_else(|| panic!("{name} has no {title}"))
        .clone()
}

fn queries_of(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().expect("a list");
    targets
        .iter()
        .map(|target| text(target, "expr").to_owned())
        .collect()
}

fn steps(panel: &Value) -> Vec<(f64, String)> {
    let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array();
    let step = |step: &Value| {
        (
            step["value"].as_f64().unwrap_or(f64::NEG_INFINITY),
            text(step, "color").to_owned(),
        )
    };
    steps.into_iter().flatten().map(step).collect()
}

fn color(panel: &Value, value: f64) -> String {
    let steps = steps(panel);
    let reached = steps.iter().rev().find(|(bound, _)| *bound <= value);
    reached.expect("the lowest is reached").1.clone()
}

fn rank(color: &str) -> usize {
    let known = ["green", "orange", "red"]
        .iter()
        .position(|known| *known == color);
    known.unwrap_or(0)
}

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Rules by name, with expression and whether they are alerts.
fn rules() -> Vec<(String, String, bool)> {
    let mut rules = Vec::new();
    for entry in fs::read_dir(here("alerts/rules")).expect("a folder") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a file");
        let file: Value = serde_saphyr::from_str(&text).expect("YAML");
        for group in file["groups"].as_array().expect("groups") {
            for rule in group["rules"].as_array().expect("rules") {
                let expr = rule["expr"].as_str().expect("an expression").to_owned();
                let name = rule["alert"].as_str().or(rule["record"].as_str());
                rules.push((
                    name.expect("a name").to_owned(),
                    expr,
                    rule["alert"].is_string(),
                ));
            }
        }
    }
    rules
}

/// Values of `vod:threshold:..`.
fn thresholds() -> BTreeMap<String, f64> {
    let rules = rules().into_iter();
    let threshold = |(name, expr, _): (String, String, bool)| {
        let name = name.strip_prefix("vod:threshold:")?.to_owned();
        let value = expr.strip_prefix("vector(")?.strip_suffix(')')?;
        Some((name, value.parse().expect("a number")))
    };
    rules.filter_map(threshold).collect()
}

/// Metrics of the exporter that each alert watches, also by recorded series.
fn metrics_of_alerts() -> BTreeMap<String, BTreeSet<String>> {
    // What most alerts ask on the way.
    const CONDITIONS: [&str; 2] = ["mns_queue_info", "vod_transcode_view_complete"];
    let rules = rules();
    let alerts = rules.iter().filter(|(.., is_alert)| *is_alert);
    let metrics = |expr: &String| {
        let (mut found, mut open, mut seen) = (BTreeSet::new(), vec![expr], BTreeSet::new());
        while let Some(expr) = open.pop() {
            for word in expr.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c))) {
                if let Some(family) =
                    family(word).filter(|family| !CONDITIONS.contains(&family.name))
                {
                    found.insert(family.name.to_owned());
                }
                let recorded = rules.iter().find(|(name, ..)| name == word);
                if let Some((name, expr, _)) = recorded
                    && seen.insert(name)
                {
                    open.push(expr);
                }
            }
        }
        found
    };
    alerts
        .map(|(name, expr, _)| (name.clone(), metrics(expr)))
        .collect()
}
