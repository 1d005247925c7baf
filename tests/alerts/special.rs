//! Alerts that no scenario of a queue leads to, the healthy world, and the files as a whole.

use serde_json::json;
use vod_callback_exporter::ledger::Mode;

use super::proof::{judge_begins_once, judge_silent, promtool, promtool_test};
use super::referees::Referees;
use super::rules;
use super::series::Timeline;
use super::table;
use super::world::{Fate, World};

/// Tested here.
pub(crate) const ALERTS: &[&str] = &["VodDeadMan", "VodThresholdMissing"];

const HOURS: u32 = 4;

#[tokio::test]
async fn nothing_fires_in_the_healthy_world() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let mut timelines = Vec::new();
    for mode in [Mode::Consume, Mode::Peek] {
        let world = World {
            mode,
            trouble: |sim| sim.configure_callback("vod", &["ALL"]),
            ..World::default()
        };
        let end = world.calm + HOURS * 60 - 1;
        let live = async |restart| {
            let fate = Fate {
                restart,
                ..Fate::default()
            };
            let mut sim = world.live(HOURS * 60, fate).await;
            Timeline::new(std::mem::take(&mut sim.scrapes), mode)
        };
        let calm = live(None).await;
        let troubled = live(Some(100)).await.with_gap(150);
        let replicated = calm.clone().replicated().with_failed_scrapes();
        for (name, timeline) in [
            ("calm", calm),
            ("restart and gap", troubled),
            ("replicas and failed scrapes", replicated),
        ] {
            timelines.push((format!("{mode:?}, {name}"), timeline, end));
        }
    }
    judge_silent(&referees, &[], "alertname!=\"VodDeadMan\"", &timelines);
}

#[test]
fn the_dead_man_always_fires() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let fires = |at: &str| {
        json!({
            "expr": "count(ALERTS{alertname=\"VodDeadMan\",alertstate=\"firing\"})",
            "eval_time": at,
            "exp_samples": [{"labels": "{}", "value": 1}],
        })
    };
    let tests = json!({
        "interval": "1m",
        "input_series": [],
        "promql_expr_test": [fires("1m"), fires("1d")],
    });
    let file = rules::as_file(&rules::needed_by(&["VodDeadMan"]));
    promtool_test(&referees, &file, &[tests]);
}

#[test]
fn each_missing_threshold_is_told() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let rules = rules::needed_by(&["VodThresholdMissing"]);
    let (alert, thresholds): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rule| rule.is_alert);
    let fires = |at: &str, missing: &[&str]| {
        json!({
            "expr": "count by (threshold) (ALERTS{alertname=\"VodThresholdMissing\",alertstate=\"firing\"})",
            "eval_time": at,
            "exp_samples": missing.iter().map(|name| json!({
                "labels": format!("{{threshold=\"{name}\"}}"),
                "value": 1,
            })).collect::<Vec<_>>(),
        })
    };
    let names: Vec<&str> = thresholds
        .iter()
        .filter_map(|rule| rule.name.strip_prefix("vod:threshold:"))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    let [first, rest @ ..] = thresholds.as_slice() else {
        panic!("no thresholds");
    };
    let first_one = vec![first.name.strip_prefix("vod:threshold:").unwrap()];
    let another =
        |name: &str| json!({"series": format!("{name}{{cluster=\"b\"}}"), "values": "1+0x60"});
    let mut undefined = thresholds.clone();
    undefined[0].source["expr"] = "vector(NaN)".into();
    // All there, all gone, one gone, one no number, one there twice, all there twice.
    for (there, others, missing) in [
        (thresholds.clone(), vec![], vec![]),
        (vec![], vec![], names.clone()),
        (rest.to_vec(), vec![], first_one.clone()),
        (undefined, vec![], first_one.clone()),
        (thresholds.clone(), vec![another(&first.name)], first_one),
        (
            thresholds.clone(),
            thresholds.iter().map(|rule| another(&rule.name)).collect(),
            names.clone(),
        ),
    ] {
        let rules: Vec<_> = there.iter().chain(&alert).cloned().collect();
        let tests = json!({
            "interval": "1m",
            "input_series": others,
            "promql_expr_test": [fires("9m", &[]), fires("11m", &missing), fires("1h", &missing)],
        });
        promtool_test(&referees, &rules::as_file(&rules), &[tests]);
    }
}

/// Shares around the threshold, of few videos: 1.6 times what the longer pair asks for.
#[tokio::test]
async fn a_burning_budget_pages_once() {
    const MINUTES: u32 = 15 * 60;
    let Some(referees) = Referees::find() else {
        return;
    };
    let world = table::trickle(|sim| sim.add(table::crawling(0.1)));
    let mut sim = world.live(MINUTES, Fate::default()).await;
    let timeline = Timeline::new(std::mem::take(&mut sim.scrapes), world.mode);
    let end = world.calm + MINUTES - 1;
    judge_begins_once(&referees, "VodPlayableBudgetBurnsFast", timeline, end);
}

/// One and a half times what the longer pair asks for, for so long that its 6 hours hold too few bad ones now and then.
#[tokio::test]
async fn a_budget_that_burns_slowly_is_told_once() {
    const MINUTES: u32 = 15 * 60;
    let Some(referees) = Referees::find() else {
        return;
    };
    let world = table::trickle(|sim| sim.add(table::crawling(0.0146)));
    let mut sim = world.live(MINUTES, Fate::default()).await;
    let timeline = Timeline::new(std::mem::take(&mut sim.scrapes), world.mode);
    let end = world.calm + MINUTES - 1;
    judge_begins_once(&referees, "VodPlayableBudgetBurnsSlowly", timeline, end);
}

#[test]
fn rule_files_are_valid() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let files = rules::files();
    let paths: Vec<_> = files.iter().map(std::path::PathBuf::as_path).collect();
    promtool(
        &referees,
        &["check", "rules", "--lint=all", "--lint-fatal"],
        &paths,
    );
}
