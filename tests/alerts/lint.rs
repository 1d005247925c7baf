//! What can be said of the rules without running them.

use std::collections::{BTreeMap, BTreeSet};

use vod_callback_exporter::alertmanager::LOOK;
use vod_callback_exporter::alertmanager::alerts::{GRAFANA, NAMES, RUNBOOKS};
use vod_callback_exporter::metrics::catalogue::{self, Family, Kind, LABELS};

use super::proof::{PIPELINE, Row, promise};
use super::rules::{self, Rule, Selector};
use super::special;
use super::table;

/// Labels that Prometheus gives to a target, and that of buckets.
const TARGET: [&str; 3] = ["job", "instance", "le"];
/// Dashboards that alerts may point to.
const DASHBOARDS: [&str; 4] = [
    "vod-overview",
    "vod-queue",
    "vod-transcodes",
    "vod-exporter",
];
const THRESHOLD: &str = "vod:threshold:";

fn alerts() -> Vec<Rule> {
    rules::all()
        .into_iter()
        .filter(|rule| rule.is_alert)
        .collect()
}

/// The family of a series; a histogram is named by its parts only.
pub(crate) fn family(name: &str) -> Option<&'static Family> {
    let part = ["_bucket", "_count", "_sum"]
        .iter()
        .find_map(|suffix| catalogue::find(name.strip_suffix(suffix)?))
        .filter(|family| matches!(family.kind, Kind::Histogram(_)));
    let whole = catalogue::find(name).filter(|family| !matches!(family.kind, Kind::Histogram(_)));
    whole.or(part)
}

#[test]
fn every_alert_has_a_row_and_every_row_an_alert() {
    let known: BTreeSet<String> = alerts().into_iter().map(|rule| rule.name).collect();
    let rows = table::rows();
    let mut tested: BTreeSet<String> = special::ALERTS.iter().map(ToString::to_string).collect();
    for row in &rows {
        tested.insert(row.alert.to_owned());
    }
    assert_eq!(known, tested);
    for alert in known
        .iter()
        .filter(|alert| !special::ALERTS.contains(&alert.as_str()))
    {
        let silent = |row: &Row| row.alert == alert && !row.silent.is_empty();
        assert!(rows.iter().any(silent), "{alert} is never silent");
        let ends = rows
            .iter()
            .any(|row| row.alert == alert && row.ends.is_some());
        assert!(ends, "{alert} is not shown to end");
    }
}

#[test]
fn every_alert_says_what_it_is_and_where_to_look() {
    let mut promised: BTreeMap<&str, u32> = BTreeMap::new();
    let list = std::fs::read_to_string(rules::root().join("docs/runbooks/README.md")).unwrap();
    let alerts = alerts();
    for alert in special::ALERTS {
        let rule = alerts.iter().find(|rule| rule.name == *alert).unwrap();
        promised.insert(alert, PIPELINE + rule.wait);
    }
    for row in table::rows() {
        let rule = alerts.iter().find(|rule| rule.name == row.alert).unwrap();
        let minutes = promised.entry(row.alert).or_default();
        *minutes = promise(&row, rule).max(*minutes);
    }
    for rule in &alerts {
        let name = &rule.name;
        assert!(
            name.starts_with("Vod") && name.chars().all(char::is_alphanumeric),
            "{name}"
        );
        assert!(
            ["critical", "warning", "info"].contains(&rule.severity.as_str()),
            "{name}: severity {:?}",
            rule.severity
        );
        let labels = rule.source["labels"].as_object().unwrap();
        assert_eq!(
            labels.len(),
            1,
            "{name}: a label that changes starts `for` anew"
        );
        let summary = rule.annotation("summary");
        assert!(
            !summary.is_empty() && !summary.contains("{{"),
            "{name}: {summary:?}"
        );
        assert!(rule.annotation("description").ends_with('.'), "{name}");
        let runbook = rule.annotation("runbook_url");
        assert!(
            runbook == format!("{RUNBOOKS}/{name}.md"),
            "{name}: {runbook}"
        );
        let dashboard = rule.annotation("dashboard_url");
        let uid = dashboard
            .strip_prefix(&format!("{GRAFANA}/d/"))
            .unwrap_or("");
        let uid = uid.split(['?', '{']).next().unwrap_or("");
        assert!(DASHBOARDS.contains(&uid), "{name}: {dashboard}");

        let within = format!("{} minutes", promised[name.as_str()]);
        has_page(name, &rule.severity, &within);
        assert!(
            list.contains(&format!("]({name}.md) | {} | {summary} |\n", rule.severity)),
            "the list of runbooks does not sum up {name} as {summary:?}"
        );
    }
}

/// An alert's page has its parts, and the list of pages names it.
fn has_page(name: &str, severity: &str, within: &str) {
    let path = rules::root().join(format!("docs/runbooks/{name}.md"));
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text.starts_with(&format!("# {name}\n")),
        "{}",
        path.display()
    );
    let severities = format!("Severity: {severity}.");
    let promise = format!("Fires within {within} ");
    let parts = ["## Meaning", "## Confirm", "## Do", "## Silence"];
    for part in parts.into_iter().chain([&*severities, &promise]) {
        assert!(text.contains(part), "{} lacks {part:?}", path.display());
    }
    let list = std::fs::read_to_string(rules::root().join("docs/runbooks/README.md")).unwrap();
    let row = format!("\n| [{name}]({name}.md) | {severity} | ");
    assert!(list.contains(&row), "the list of runbooks lacks {name}");
}

/// Alerts about single videos come from the exporter, at its next look.
#[test]
fn alerts_of_the_exporter_itself_have_pages_too() {
    for name in NAMES {
        has_page(name, "warning", &format!("{} seconds", LOOK.as_secs()));
    }
}

#[test]
fn no_page_is_without_an_alert() {
    let mut expected: BTreeSet<String> = alerts().into_iter().map(|rule| rule.name).collect();
    expected.extend(NAMES.map(str::to_owned));
    expected.insert("README".to_owned());
    let files = std::fs::read_dir(rules::root().join("docs/runbooks")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<String> = names
        .map(|name| name.trim_end_matches(".md").to_owned())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn rules_name_nothing_outside_the_catalogue() {
    let all = rules::all();
    let recorded: BTreeSet<&str> = all
        .iter()
        .filter(|rule| !rule.is_alert)
        .map(|rule| rule.name.as_str())
        .collect();
    for rule in &all {
        let names = rules::names(&rule.expr);
        for selector in &names.selectors {
            // Recorded by whoever needs one.
            if selector.metric.starts_with("vod:own_threshold:") {
                continue;
            }
            if selector.metric.contains(':') {
                assert!(recorded.contains(selector.metric.as_str()), "{selector:?}");
                continue;
            }
            let family = family(&selector.metric)
                .unwrap_or_else(|| panic!("{}: no metric {}", rule.name, selector.metric));
            for (label, value) in &selector.matchers {
                assert!(
                    family.labels.contains(&label.as_str()),
                    "{}: {} has no label {label}",
                    rule.name,
                    family.name
                );
                let label = LABELS.iter().find(|known| known.name == label).unwrap();
                let values = (label.values)();
                for value in value.split('|') {
                    assert!(
                        values.contains(&value),
                        "{}: {} is never {value:?}",
                        rule.name,
                        label.name
                    );
                }
            }
        }
        for label in &names.labels {
            assert!(
                LABELS.iter().any(|known| known.name == label) || TARGET.contains(&label.as_str()),
                "{}: no label {label}",
                rule.name
            );
        }
    }
}

#[test]
fn labels_of_annotations_are_in_the_expression() {
    for rule in alerts() {
        let mut known = rules::names(&rule.expr).labels;
        for needed in rules::needed_by(&[&rule.name]) {
            known.extend(rules::names(&needed.expr).labels);
        }
        for (_, text) in &rule.annotations {
            for used in text.split("$labels.").skip(1) {
                let label: String = used
                    .chars()
                    .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                    .collect();
                let is_made = rule.expr.contains(&format!("\"{label}\""));
                assert!(
                    known.contains(&label) || is_made,
                    "{}: no label {label}",
                    rule.name
                );
            }
        }
    }
}

/// Rules that need no second form for replicas that peek, and why.
const ONE_FORM: [(&str, &str); 2] = [
    (
        "vod:event_delivery_seconds:p90_30m",
        "a quantile is the same of twice as many",
    ),
    (
        "vod:silent_since_timestamp_seconds",
        "only where the queue is consumed",
    ),
];

/// Records that look at what is there now rather than over minutes, and why.
const INSTANT: [(&str, &str); 1] = [(
    "vod:credentials_left_seconds:min",
    "grows old by itself; alerts take the last one",
)];

/// Rules that judge each replica for itself, and why.
const APART: [(&str, &str); 1] = [(
    "vod:api_answers:ratio30m",
    "one that is answered hides none that is not",
)];

/// A rule that adds up what replicas all report, or takes the largest of what they share, is wrong with two of them.
#[test]
fn replicas_are_aggregated_as_the_catalogue_says() {
    for rule in rules::all() {
        let mut forms: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for selector in rules::names(&rule.expr).selectors {
            let Some(family) = family(&selector.metric) else {
                continue;
            };
            let aggregation =
                |call: &&String| ["sum", "max", "min", "count", "avg"].contains(&call.as_str());
            let around = selector.around.iter().rev().find(aggregation);
            let allowed = match family.over_replicas {
                "sum; max in peek" => vec!["sum", "max"],
                _ if APART.iter().any(|(name, _)| *name == rule.name) => vec!["min"],
                other => vec![other],
            };
            let is_absence = selector
                .around
                .iter()
                .any(|call| call == "absent_over_time");
            assert!(
                is_absence || around.is_some_and(|call| allowed.contains(&call.as_str())),
                "{}: {} over replicas is {}, not {around:?}",
                rule.name,
                family.name,
                family.over_replicas
            );
            let is_instant = INSTANT.iter().any(|(name, _)| *name == rule.name);
            assert!(
                is_instant || is_ranged(&selector, family),
                "{}: {selector:?}",
                rule.name
            );
            if allowed.len() == 2 {
                forms
                    .entry(family.name)
                    .or_default()
                    .extend(around.cloned());
            }
        }
        for (name, forms) in forms {
            let needs_one = ONE_FORM
                .iter()
                .any(|(rule_name, _)| *rule_name == rule.name);
            assert!(
                needs_one || forms.len() == 2,
                "{}: {name} only as {forms:?}",
                rule.name
            );
        }
    }
}

/// One failed scrape ends a naked gauge, and a naked counter says nothing.
fn is_ranged(selector: &Selector, family: &Family) -> bool {
    let calls: &[&str] = match family.kind {
        Kind::Counter | Kind::Histogram(_) => &["increase", "rate"],
        Kind::Gauge | Kind::Info => &[
            "max_over_time",
            "min_over_time",
            "last_over_time",
            "absent_over_time",
        ],
    };
    selector
        .around
        .last()
        .is_some_and(|call| calls.contains(&call.as_str()))
}

/// Between two bounds a quantile is a guess, by which traffic that keeps to the threshold could fire.
#[test]
fn a_quantile_is_compared_with_a_bound() {
    let all = rules::all();
    let mut compared = 0;
    for quantile in all
        .iter()
        .filter(|rule| rule.expr.contains("histogram_quantile"))
    {
        let selectors = rules::names(&quantile.expr).selectors;
        let bounds = selectors
            .iter()
            .find_map(|selector| match family(&selector.metric)?.kind {
                Kind::Histogram(bounds) if selector.metric.ends_with("_bucket") => Some(bounds.le),
                _ => None,
            })
            .unwrap_or_else(|| panic!("{}: a quantile of what?", quantile.name));
        for alert in all.iter().filter(|rule| rule.is_alert) {
            let names = rules::names(&alert.expr).selectors;
            if !names.iter().any(|name| name.metric == quantile.name) {
                continue;
            }
            for name in names {
                let Some(threshold) = all
                    .iter()
                    .find(|rule| rule.name.starts_with(THRESHOLD) && rule.name == name.metric)
                else {
                    continue;
                };
                let number = threshold.expr.trim_start_matches("vector(");
                let number: f64 = number.trim_end_matches(')').parse().unwrap();
                let bound = format!(",le=\"{number:?}\"");
                assert!(
                    bounds.contains(&bound.as_str()),
                    "{}: {number} is no bound of {bounds:?}",
                    threshold.name
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 0, "no quantile is compared with a threshold");
}

#[test]
fn thresholds_are_all_used_and_missed_when_missing() {
    let all = rules::all();
    let defined: BTreeSet<&str> = all
        .iter()
        .filter_map(|rule| rule.name.strip_prefix(THRESHOLD))
        .collect();
    let mut used = BTreeSet::new();
    let mut missed = BTreeSet::new();
    for rule in &all {
        for selector in rules::names(&rule.expr).selectors {
            if let Some(threshold) = selector.metric.strip_prefix(THRESHOLD) {
                let set = if rule.name == "VodThresholdMissing" {
                    &mut missed
                } else {
                    &mut used
                };
                set.insert(threshold.to_owned());
            }
        }
    }
    let defined: BTreeSet<String> = defined.into_iter().map(str::to_owned).collect();
    assert_eq!(defined, used);
    assert_eq!(defined, missed);
    let files: BTreeSet<&str> = all
        .iter()
        .filter(|rule| rule.name.starts_with(THRESHOLD))
        .map(|rule| rule.file.as_str())
        .collect();
    assert_eq!(files, BTreeSet::from(["thresholds.yaml"]));
}
