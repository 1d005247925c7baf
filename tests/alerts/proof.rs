//! Holds an alert against scenarios, judged by promtool.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::referees::Referees;
use super::rules::{self, Rule};
use super::series::Timeline;
use super::world::{Fate, World};

/// The exporter's tick, a scrape and an evaluation, a minute each.
pub(crate) const PIPELINE: u32 = 3;
/// What failed scrapes may add.
const SLACK: u32 = 2;
/// An alert that fires so long before its promise compares with another threshold, or has lost its `for`.
const EARLY: u32 = 6;
/// For how long an alert must then hold.
const HOLDS: u32 = 75;
/// When a restart, a gap or blindness comes, after the alert should have fired.
const LATER: u32 = 5;

/// An alert, the scenario that it is for, and scenarios that it must not fire in.
pub(crate) struct Row {
    pub(crate) alert: &'static str,
    /// Minutes of trouble after which the metric tells of it.
    pub(crate) tells_after: u32,
    pub(crate) fires: World,
    /// Not quite enough, each with its name.
    pub(crate) silent: Vec<(&'static str, World)>,
    /// How long those are looked at.
    pub(crate) silent_minutes: u32,
    /// The same trouble, over at some time, and after how many minutes the alert has fired and is over, too. Every alert has
    /// such a row.
    pub(crate) ends: Option<(World, u32)>,
    /// Labels beside its name and severity, of each alert that fires.
    pub(crate) labels: &'static [&'static [(&'static str, &'static str)]],
    /// Thresholds that are not as in the file, and their expressions.
    pub(crate) thresholds: &'static [(&'static str, &'static str)],
    /// Variants that make no sense for this alert, and why.
    pub(crate) without: &'static [(Variant, &'static str)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    FailedScrapes,
    Replicas,
    Gap,
    Restart,
    Unreadable,
    Vanished,
}

/// What fits an alert, and the minute from which on it fires.
pub(crate) type Since<'a> = (&'a str, u32);

/// What promtool is to find about one alert in one timeline.
struct Case {
    timeline: Timeline,
    tests: Vec<Value>,
}

/// From the trouble's beginning to the alert, at most.
pub(crate) fn promise(row: &Row, rule: &Rule) -> u32 {
    row.tells_after + PIPELINE + rule.wait
}

/// Runs all scenarios of a row.
pub(crate) async fn prove(row: Row) {
    let Some(referees) = Referees::find() else {
        return;
    };
    let rules = rules::all();
    let rule = rules.iter().find(|rule| rule.name == row.alert).unwrap();
    let promised = row.fires.calm + promise(&row, rule);
    let minutes = promise(&row, rule) + LATER + HOLDS;
    let early = row.fires.calm.max(promised - EARLY);
    let later = promised + SLACK + LATER;
    let mode = row.fires.mode;
    let live = async |fate: Fate| {
        let mut sim = row.fires.live(minutes, fate).await;
        Timeline::new(std::mem::take(&mut sim.scrapes), mode)
    };
    let plain = live(Fate::default()).await;
    let end = row.fires.calm + minutes - 1;
    let case = |name: &str, timeline: &Timeline, from: u32, slack: u32| {
        fires(row.alert, name, timeline, [from, promised + slack, end])
    };
    let mut cases = vec![case("fires", &plain, early, 0)];
    let skipped = |variant| row.without.iter().any(|(skipped, _)| *skipped == variant);
    for variant in [
        Variant::FailedScrapes,
        Variant::Replicas,
        Variant::Gap,
        Variant::Restart,
        Variant::Unreadable,
        Variant::Vanished,
    ] {
        // To end by loss of sight is forbidden to pages only.
        if skipped(variant) || variant == Variant::Vanished && rule.severity != "critical" {
            continue;
        }
        let timeline = match variant {
            Variant::FailedScrapes => plain.clone().with_failed_scrapes(),
            Variant::Replicas => plain.clone().replicated(),
            Variant::Gap => plain.clone().with_gap(later),
            Variant::Vanished => plain.clone().vanished(later),
            Variant::Restart => {
                live(Fate {
                    restart: Some(later),
                    ..Fate::default()
                })
                .await
            }
            Variant::Unreadable => {
                live(Fate {
                    unreadable: Some(later),
                    ..Fate::default()
                })
                .await
            }
        };
        cases.push(case(
            &format!("{variant:?}"),
            &timeline,
            row.fires.calm,
            SLACK,
        ));
    }
    cases[0].tests.push(labels(&row, rule, promised));
    for (name, world) in &row.silent {
        let mut sim = world.live(row.silent_minutes, Fate::default()).await;
        let timeline = Timeline::new(std::mem::take(&mut sim.scrapes), world.mode);
        let end = world.calm + row.silent_minutes - 1;
        let alert = format!("alertname=\"{}\"", row.alert);
        let replicated = timeline.clone().replicated().with_failed_scrapes();
        for (how, timeline) in [("", timeline), (", replicas", replicated)] {
            cases.push(silent(&alert, &format!("{name}{how}"), &timeline, end));
        }
    }
    if let Some((world, minutes)) = &row.ends {
        let mut sim = world.live(minutes + 1, Fate::default()).await;
        let timeline = Timeline::new(std::mem::take(&mut sim.scrapes), world.mode);
        cases.push(ends(row.alert, &timeline, world.calm + minutes));
    }
    judge(&referees, &[row.alert], row.thresholds, &cases);
}

/// Holds that no alert fires that fits `matcher`; of all rules, or of those that these alerts need.
pub(crate) fn judge_silent(
    referees: &Referees,
    needed: &[&str],
    matcher: &str,
    timelines: &[(String, Timeline, u32)],
) {
    let cases: Vec<Case> = timelines
        .iter()
        .map(|(name, timeline, end)| silent(matcher, name, timeline, *end))
        .collect();
    judge(referees, needed, &[], &cases);
}

/// Holds that an alert begins once and never again.
pub(crate) fn judge_begins_once(referees: &Referees, alert: &str, timeline: Timeline, end: u32) {
    let firing = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
    let tests = vec![is(
        end,
        &format!(
            "sum(count_over_time(({firing} unless {firing} offset 1m)[{end}m:1m])) or vector(0) # beginnings"
        ),
        1.0,
    )];
    let case = Case { timeline, tests };
    judge(referees, &[alert], &[], &[case]);
}

/// Holds that alerts that fit a matcher fire without a break from a minute until the end.
pub(crate) fn judge_steady(
    referees: &Referees,
    needed: &[&str],
    end: u32,
    timelines: Vec<(&str, Timeline, [Since<'_>; 2])>,
) {
    let cases: Vec<Case> = timelines
        .into_iter()
        .map(|(name, timeline, alerts)| Case {
            timeline,
            tests: alerts
                .iter()
                .map(|(matcher, by)| steady(matcher, name, *by, end))
                .collect(),
        })
        .collect();
    judge(referees, needed, &[], &cases);
}

fn steady(matcher: &str, name: &str, by: u32, end: u32) -> Value {
    // Half a minute more than that, since newer versions leave out the left end.
    is(
        end,
        &format!(
            "max(count_over_time(ALERTS{{{matcher},alertstate=\"firing\"}}[{}s])) or vector(0) # {name}, steady",
            (end - by) * 60 + 30
        ),
        f64::from(end - by + 1),
    )
}

/// Not before the trouble nor far too early, within the promise, and from then on until the end.
fn fires(alert: &str, name: &str, timeline: &Timeline, [from, by, end]: [u32; 3]) -> Case {
    let firing = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
    Case {
        timeline: timeline.clone(),
        tests: vec![
            is(
                from,
                &format!("count(count_over_time({firing}[{from}m])) or vector(0) # {name}, early"),
                0.0,
            ),
            is(
                by,
                &format!("count({firing}) > bool 0 or vector(0) # {name}, in time"),
                1.0,
            ),
            steady(&format!("alertname=\"{alert}\""), name, by, end),
        ],
    }
}

/// What fires has these labels and no others.
fn labels(row: &Row, rule: &Rule, minute: u32) -> Value {
    let samples = row.labels.iter().map(|labels| {
        let own = [("alertname", row.alert), ("severity", &rule.severity)];
        let labels: Vec<String> = own
            .iter()
            .chain(*labels)
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        json!({"labels": format!("{{{}}}", labels.join(",")), "value": 1})
    });
    json!({
        "expr": format!(
            "sum without (alertstate) (ALERTS{{alertname=\"{}\",alertstate=\"firing\"}}) # labels",
            row.alert
        ),
        "eval_time": format!("{minute}m"),
        "exp_samples": samples.collect::<Vec<_>>(),
    })
}

/// Fired, and no longer.
fn ends(alert: &str, timeline: &Timeline, end: u32) -> Case {
    let firing = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
    Case {
        timeline: timeline.clone(),
        tests: vec![
            is(
                end,
                &format!("count(count_over_time({firing}[{end}m])) > bool 0 or vector(0) # fired"),
                1.0,
            ),
            is(end, &format!("count({firing}) or vector(0) # ends"), 0.0),
        ],
    }
}

fn silent(matcher: &str, name: &str, timeline: &Timeline, end: u32) -> Case {
    let firing = format!("ALERTS{{{matcher},alertstate=\"firing\"}}");
    Case {
        timeline: timeline.clone(),
        // By alert, so that a failure names it.
        tests: vec![json!({
            "expr": format!("count by (alertname, queue, event_type) (count_over_time({firing}[{end}m])) # {name}"),
            "eval_time": format!("{end}m"),
            "exp_samples": [],
        })],
    }
}

fn is(minute: u32, expr: &str, value: f64) -> Value {
    json!({
        "expr": expr,
        "eval_time": format!("{minute}m"),
        "exp_samples": [{"labels": "{}", "value": value}],
    })
}

/// Holds cases against the rules that these alerts need, or against all.
fn judge(referees: &Referees, alerts: &[&str], thresholds: &[(&str, &str)], cases: &[Case]) {
    let mut rules = rules::needed_by(alerts);
    set_thresholds(
        &mut rules,
        thresholds
            .iter()
            .map(|(name, expr)| (*name, (*expr).to_owned())),
    );
    let wanted: BTreeSet<String> = rules
        .iter()
        .flat_map(|rule| rules::names(&rule.expr).selectors)
        .map(|selector| selector.metric)
        .collect();
    let tests = cases.iter().map(|case| {
        json!({
            "interval": "1m",
            "input_series": case.timeline.input(&|name: &str| wanted.contains(name)),
            "promql_expr_test": case.tests,
        })
    });
    promtool_test(
        referees,
        &rules::as_file(&rules),
        &tests.collect::<Vec<_>>(),
    );
}

/// Replaces the expressions of thresholds.
pub(crate) fn set_thresholds<'a>(
    rules: &mut [Rule],
    thresholds: impl IntoIterator<Item = (&'a str, String)>,
) {
    for (threshold, expr) in thresholds {
        let name = format!("vod:threshold:{threshold}");
        let rule = rules.iter_mut().find(|rule| rule.name == name).unwrap();
        rule.source["expr"] = expr.into();
    }
}

/// Runs promtool's unit tests against a file of rules.
pub(crate) fn promtool_test(referees: &Referees, rules: &Value, tests: &[Value]) {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("rules.yaml"), rules.to_string()).unwrap();
    let file = json!({
        "rule_files": [path("rules.yaml")],
        "evaluation_interval": "1m",
        "tests": tests,
    });
    std::fs::write(path("test.yaml"), file.to_string()).unwrap();
    promtool(referees, &["test", "rules"], &[&path("test.yaml")]);
}

/// Runs promtool, which must succeed.
pub(crate) fn promtool(referees: &Referees, words: &[&str], paths: &[&Path]) {
    for tool in referees.tools("promtool") {
        let output = Command::new(&tool)
            .args(words)
            .args(paths)
            .output()
            .unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{} {words:?} failed:\n{}{}",
            tool.display(),
            said(&output.stdout),
            said(&output.stderr)
        );
    }
}
