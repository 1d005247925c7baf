//! For how long judgements are remembered.

use std::collections::BTreeSet;

use super::rules::{self, Rule};

/// Alerts that forget earlier than others of their severity, and why.
const SHORTER: [(&str, &str, &str); 1] = [(
    "VodAlertDeliveryFailing",
    "1h",
    "where nothing is sent any more, nothing is refused",
)];

/// Recorded rules that forget earlier than the alerts that need them, what they remember, and why.
const BRIDGES: [(&str, &str, &str, &str); 1] = [(
    "vod:queue_unread_since_timestamp_seconds",
    "vod:queue_unread_since_timestamp_seconds",
    "10m",
    "goes on by itself while the queue is watched, and after that a new watch begins",
)];

fn alerts() -> Vec<Rule> {
    let all = rules::all().into_iter();
    all.filter(|rule| rule.is_alert).collect()
}

/// What an expression takes the last judgement of, and within which range.
fn remembered(expr: &str) -> impl Iterator<Item = (&str, &str)> {
    let memories = expr.split("last_over_time(").skip(1);
    memories.filter_map(|memory| {
        let (selector, rest) = memory.split_once('[').unwrap_or((memory, ""));
        let series = selector.split('{').next().unwrap_or_default();
        let range = rest.split(']').next().unwrap_or_default();
        series.starts_with("vod:").then_some((series, range))
    })
}

fn of_severity(severity: &str) -> &'static str {
    if severity == "critical" { "3d" } else { "6h" }
}

/// Blindness must not end an alert sooner.
#[test]
fn pages_remember_for_three_days_and_others_for_six_hours() {
    let mut wrong = Vec::new();
    for rule in alerts() {
        let shorter = SHORTER.iter().find(|(name, ..)| *name == rule.name);
        let wanted = shorter.map_or(of_severity(&rule.severity), |(_, range, _)| range);
        for (series, range) in remembered(&rule.expr) {
            if range != wanted {
                wrong.push(format!("{}: {series}[{range}], not {wanted}", rule.name));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// What a page is made of is remembered for as long as the page: after blindness it is judged by that again.
#[test]
fn recorded_rules_remember_for_as_long_as_the_alerts_that_need_them() {
    let pages = alerts().into_iter();
    let pages = pages.filter(|rule| rule.severity == "critical");
    let of_pages: BTreeSet<String> = pages
        .flat_map(|page| rules::needed_by(&[&page.name]))
        .map(|rule| rule.name)
        .collect();
    let (mut wrong, mut met, mut bridged) = (Vec::new(), 0, 0);
    for rule in rules::all().into_iter().filter(|rule| !rule.is_alert) {
        let is_of_page = of_pages.contains(&rule.name);
        let usual = of_severity(if is_of_page { "critical" } else { "" });
        for (series, range) in remembered(&rule.expr) {
            let bridge = BRIDGES
                .iter()
                .find(|(name, known, ..)| *name == rule.name && *known == series);
            let wanted = bridge.map_or(usual, |(_, _, range, _)| range);
            met += 1;
            bridged += usize::from(bridge.is_some());
            if range != wanted {
                wrong.push(format!("{}: {series}[{range}], not {wanted}", rule.name));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(bridged, BRIDGES.len(), "exceptions that are met");
    assert!(met > bridged, "no recorded rule remembers anything");
}

/// A judgement that is compared as it is now is gone as soon as it is not made.
#[test]
fn alerts_take_the_last_judgement() {
    for rule in alerts() {
        for selector in rules::names(&rule.expr).selectors {
            let is_judgement = selector.metric.starts_with("vod:")
                && !selector.metric.starts_with("vod:threshold:");
            let is_last = selector
                .around
                .last()
                .is_some_and(|f| f == "last_over_time");
            assert!(
                !is_judgement || is_last,
                "{}: {} without last_over_time",
                rule.name,
                selector.metric
            );
        }
    }
}
