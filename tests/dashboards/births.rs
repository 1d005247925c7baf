//! Counts whose series appear with their first count: the tables tell all of them, and nothing that is older than what
//! Prometheus has seen.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::boards::queries;
use crate::process::Process;
use crate::prometheus::{Prometheus, Sample};
use crate::referees::Referees;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vod-callback-exporter");
/// Minutes of a history, of which the last hour is shown.
const END: usize = 120;

const FAILURE: &str = r#"error_code="InternalError", event_type="TranscodeComplete""#;
const STREAM: &str = r#"definition="HD", status="success""#;

/// Values of a series, each with the minute from which on it holds; none while it is not there.
type History<'a> = &'a [(usize, Option<u32>)];

/// What one exporter tells of one queue.
struct Told<'a> {
    mode: &'a str,
    queue: History<'a>,
    failures: History<'a>,
}

#[test]
fn tables_count_what_appeared_within_the_shown_time() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let always: History<'_> = &[(0, Some(1))];
    let consumed = |queue, failures| {
        vec![Told {
            mode: "consume",
            queue,
            failures,
        }]
    };
    let replicas = |mode, counts: [History<'static>; 2]| {
        let told = |failures| Told {
            mode,
            queue: always,
            failures,
        };
        counts.map(told).into()
    };
    let (one, two): (History<'_>, History<'_>) = (&[(90, Some(1))], &[(95, Some(2))]);
    for (name, told, expected) in [
        ("one failure", consumed(always, one), Some(1)),
        (
            "three, then two more",
            consumed(always, &[(90, Some(3)), (100, Some(5))]),
            Some(5),
        ),
        (
            "in the last scrape",
            consumed(always, &[(END, Some(1))]),
            Some(1),
        ),
        (
            "of an exporter that was just started",
            consumed(&[(115, Some(1))], &[(117, Some(1))]),
            Some(1),
        ),
        (
            "replicas that consume",
            replicas("consume", [one, two]),
            Some(3),
        ),
        ("replicas that peek", replicas("peek", [two, two]), Some(2)),
        (
            "again after a restart without state",
            consumed(
                &[(100, Some(1))],
                &[(100, Some(10_000)), (106, None), (110, Some(1))],
            ),
            Some(1),
        ),
        (
            "before the shown time",
            consumed(always, &[(30, Some(7))]),
            None,
        ),
        (
            "scraped for five minutes",
            consumed(&[(115, Some(1))], &[(115, Some(10_000))]),
            None,
        ),
        (
            "a queue that comes back",
            consumed(
                &[(0, Some(1)), (50, None), (80, Some(1))],
                &[(0, Some(10_000)), (50, None), (80, Some(10_000))],
            ),
            None,
        ),
        (
            "a restart without state, and no failure since",
            consumed(&[(100, Some(1))], &[(100, Some(10_000)), (106, None)]),
            None,
        ),
        (
            "a state that was away",
            consumed(always, &[(0, Some(10_000)), (70, None), (80, Some(10_000))]),
            None,
        ),
    ] {
        judge(&referees, name, &told, expected);
    }
}

/// What the tables show, judged by promtool.
fn judge(referees: &Referees, name: &str, told: &[Told<'_>], expected: Option<u32>) {
    let mut series = Vec::new();
    for (number, one) in told.iter().enumerate() {
        let mut add = |metric: &str, labels: &str, history| {
            let target = format!(r#"job="exporter", instance="{number}", queue="q""#);
            series.push(json!({
                "series": format!("{metric}{{{target}, {labels}}}"),
                "values": values(history),
            }));
        };
        let mode = format!(r#"mode="{}""#, one.mode);
        add("mns_queue_info", &mode, one.queue);
        add("vod_event_failures_total", FAILURE, one.failures);
        add("vod_stream_transcodes_total", STREAM, one.failures);
    }
    let sample = |labels: &str, value: u32| json!({"labels": labels, "value": value});
    let codes = expected.map(|count| sample(r#"{error_code="InternalError"}"#, count));
    let failures = expected.map(|count| sample(&format!("{{{FAILURE}}}"), count));
    let good = sample(r#"{definition="HD"}"#, expected.unwrap_or(0));
    let tests: Vec<Value> = [
        ("transcodes", "Error codes", codes),
        ("overview", "Failures by error code", failures),
        ("transcodes", "By definition", Some(good)),
    ]
    .into_iter()
    .map(|(board, panel, expected)| {
        json!({
            "expr": query(board, panel).replace("10m", "1h"),
            "eval_time": format!("{END}m"),
            "exp_samples": expected.as_slice(),
        })
    })
    .collect();
    let test = json!({"interval": "1m", "input_series": series, "promql_expr_test": tests});
    promtool(referees, name, &test);
}

/// Judges one test of promtool.
pub(crate) fn promtool(referees: &Referees, name: &str, test: &Value) {
    let file = json!({"evaluation_interval": "1m", "tests": [test]});
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("test.yaml");
    fs::write(&path, file.to_string()).expect("the test can be written");
    for tool in referees.tools("promtool") {
        let mut command = Command::new(&tool);
        let output = command.args(["test", "rules"]).arg(&path).output();
        let output = output.expect("promtool starts");
        assert!(
            output.status.success(),
            "{name}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// A history as promtool takes it; what vanishes turns stale, as in a real Prometheus.
fn values(history: History<'_>) -> String {
    let mut last = None;
    let minute = |minute| {
        let holds = history.iter().rev().find(|(from, _)| *from <= minute);
        let now = holds.and_then(|(_, value)| *value);
        let before = std::mem::replace(&mut last, now);
        match now {
            Some(value) => value.to_string(),
            None if before.is_some() => "stale".to_owned(),
            None => "_".to_owned(),
        }
    };
    (0..=END).map(minute).collect::<Vec<_>>().join(" ")
}

/// The first query of a panel.
pub(crate) fn query(board: &str, panel: &str) -> String {
    let mut queries = queries().into_iter();
    let found = queries.find(|query| query.board == board && query.panel == panel);
    found.expect("the panel is there").for_all()
}

#[test]
fn a_failure_in_a_calm_demo_is_counted_at_once_and_not_by_who_comes_later() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let mut command = Command::new(PROGRAM);
    command.args(["demo", "--calm", "--web.listen-address=127.0.0.1:0"]);
    command.arg("--emulator.port=0");
    let mut demo = Process::start(command);
    let exporter = demo.listening_on("/metrics");
    let emulator = demo.listening_on("simulate --url=");
    let prometheus = Prometheus::scraping(&referees, exporter);
    let codes = query("overview", "Failures by error code");
    let scraped = |samples: &[Sample]| !samples.is_empty();
    prometheus.wait_for("mns_queue_info", scraped);

    let mut simulate = Command::new(PROGRAM);
    simulate
        .arg("simulate")
        .arg(format!("--url=http://{emulator}"));
    let status = simulate.arg("failed-transcode").status();
    assert!(status.expect("it starts").success());
    let is_one = |samples: &[Sample]| {
        let of_video = |sample: &&Sample| sample.labels["event_type"] == "TranscodeComplete";
        let found = samples.iter().find(of_video);
        found.is_some_and(|sample| (sample.value - 1.0).abs() < f64::EPSILON)
    };
    prometheus.wait_for(&codes, is_one);

    let later = Prometheus::scraping(&referees, exporter);
    later.wait_for("count_over_time(vod_event_failures_total[1m]) > 2", scraped);
    later.wait_for(&format!("absent({codes})"), scraped);
    prometheus.wait_for(&codes, is_one);
}
