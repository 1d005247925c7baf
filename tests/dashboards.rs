//! The dashboards: their form, their queries against the catalogue, and their queries against the demo in a real
//! Prometheus.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests panic and print"
)]

#[path = "support/alertmanagers.rs"]
mod alertmanagers;
#[path = "dashboards/births.rs"]
mod births;
#[path = "support/boards.rs"]
mod boards;
#[path = "dashboards/meaning.rs"]
mod meaning;
#[path = "support/process.rs"]
mod process;
#[path = "support/prometheus.rs"]
mod prometheus;
#[path = "support/promql.rs"]
mod promql;
#[path = "dashboards/queues.rs"]
mod queues;
#[path = "support/referees.rs"]
mod referees;
#[path = "support/scrape.rs"]
mod scrape;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use vod_callback_exporter::metrics::catalogue::{self, Family, Kind};

use alertmanagers::Alertmanager;
use boards::{BOARDS, Query, board, panels, queries, text};
use process::Process;
use prometheus::{Prometheus, Sample};
use promql::{Call, Use, uses};
use referees::Referees;

/// Rows of Grafana's grid that a browser of 1280 x 800 shows without scrolling.
const FIRST_SCREEN: u64 = 16;
const COLUMNS: u64 = 24;
/// What fits into the heading of a number of three columns.
const SHORT_TITLE: usize = 12;
const PANELS: [&str; 7] = [
    "text",
    "stat",
    "timeseries",
    "heatmap",
    "bargauge",
    "table",
    "row",
];
/// All keys that are used, as `@grafana/schema` has them.
const BOARD_KEYS: &str = "uid title description tags editable graphTooltip schemaVersion timezone time refresh \
                          annotations links templating panels";
const ROW_KEYS: &str = "id type title gridPos collapsed panels";
const PANEL_KEYS: &str = "id type title description transparent gridPos datasource fieldConfig options targets \
                          transformations maxDataPoints links";
const TARGET_KEYS: &str = "refId datasource expr instant range legendFormat format";
const LINK_KEYS: &str =
    "type title icon url targetBlank keepTime includeVars tags asDropdown tooltip";
/// Labels that Prometheus adds, and that of histograms.
const FOREIGN_LABELS: [&str; 3] = ["job", "instance", "le"];
/// Metrics of Prometheus itself.
const FOREIGN_METRICS: [&str; 2] = ["up", "scrape_duration_seconds"];
/// Of the rules in `alerts/rules`, without which a curve is missing and nothing else.
const RECORDED: &str = "vod:threshold:playable_slo";

/// Queries that need not return data on the demo: board, panel, query, and why.
const MAY_BE_ABSENT: [(&str, &str, &str, Absent); 5] = [
    (
        "overview",
        "Playable in time",
        "B",
        Absent::Always("this Prometheus has no rules"),
    ),
    (
        "queue",
        "Empty in",
        "A",
        Absent::ByChance("no message need be old"),
    ),
    (
        "queue",
        "Forwarded",
        "A",
        Absent::Always("the demo forwards nothing"),
    ),
    (
        "exporter",
        "Expire in",
        "A",
        Absent::Always("the demo's access key never expires"),
    ),
    (
        "exporter",
        "Exporters",
        "C",
        Absent::Always("the demo keeps its counters in memory"),
    ),
];
/// The slowest query waits for the first bodies that cannot be decoded.
const DEADLINE: Duration = Duration::from_mins(4);
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Why a query returns nothing.
#[derive(Clone, Copy)]
enum Absent {
    Always(&'static str),
    ByChance(&'static str),
}

#[test]
fn the_boards_are_what_their_source_says() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let output = Command::new(referees.tool("python/bin/python"))
        .args(["-B", "dashboards/source", "--check"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("python starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_board_has_the_same_frame() {
    for (name, uid) in BOARDS {
        let board = board(name);
        has_only(&board, BOARD_KEYS);
        assert_eq!(board["uid"], uid);
        text(&board, "title");
        text(&board, "description");
        assert_eq!(board["editable"], false);
        assert_eq!(board["tags"], json!(["vod-callback-exporter"]));
        // The model of Grafana 10.0, which later versions migrate.
        assert_eq!(board["schemaVersion"], 38);
        assert!(
            board.get("id").is_none() && board.get("version").is_none(),
            "{name}"
        );

        let variables = board["templating"]["list"].as_array().expect("a list");
        let names: Vec<&str> = variables.iter().map(|one| text(one, "name")).collect();
        assert_eq!(names, ["datasource", "job", "queue"], "{name}");
        assert_eq!(variables[0]["type"], "datasource");
        for variable in &variables[1..] {
            assert_eq!(variable["datasource"]["uid"], "${datasource}");
            assert_eq!(
                (&variable["multi"], &variable["allValue"]),
                (&json!(true), &json!(".+"))
            );
            let metric = text(variable, "definition").strip_prefix("label_values(");
            let (metric, _) = metric
                .and_then(|text| text.split_once(['{', ',']))
                .expect("a metric");
            assert!(catalogue::find(metric).is_some(), "{metric}");
        }
        has_links(name, uid, &board);
    }
}

fn has_links(name: &str, uid: &str, board: &Value) {
    let links = board["links"].as_array().expect("a list");
    for link in links {
        has_only(link, LINK_KEYS);
    }
    let (runbooks, links) = links.split_last().expect("links");
    let linked: Vec<&str> = links.iter().map(|link| text(link, "url")).collect();
    let others = BOARDS.iter().filter(|(_, other)| *other != uid);
    let others: Vec<String> = others.map(|(_, other)| format!("/d/{other}")).collect();
    assert_eq!(linked, others, "{name}");
    for link in links {
        assert_eq!(
            (&link["keepTime"], &link["includeVars"]),
            (&json!(true), &json!(true))
        );
    }
    has_runbooks(name, text(runbooks, "url"), board);
    for (start, _) in board.to_string().match_indices("/d/vod-") {
        let known = BOARDS.iter().any(|(_, uid)| {
            let text = board.to_string();
            text.get(start + 3..)
                .is_some_and(|rest| rest.starts_with(uid))
        });
        assert!(known, "{name} links to a board that is not there");
    }
}

/// Links of panels are below the link of the board, and name a runbook that is there.
fn has_runbooks(name: &str, base: &str, board: &Value) {
    assert!(base.starts_with("https://"), "{name}: {base}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks");
    let links = panels(board)
        .iter()
        .filter_map(|panel| panel["links"].as_array());
    for link in links.flatten() {
        let file = text(link, "url").strip_prefix(base);
        let file = file.unwrap_or_else(|| panic!("{name}: {link} is not below {base}"));
        let is_there = folder.join(file.trim_start_matches('/')).exists();
        assert!(is_there, "{name}: {file} is not in docs/runbooks");
    }
}

/// Grafana passes over a key with a slip of the pen.
fn has_only(value: &Value, keys: &str) {
    let object = value.as_object().expect("an object");
    let unknown = object
        .keys()
        .find(|key| !keys.split_whitespace().any(|known| known == *key));
    assert!(unknown.is_none(), "{unknown:?} in {value:#}");
}

#[test]
fn every_panel_says_what_it_shows() {
    for (name, _) in BOARDS {
        let board = board(name);
        let mut ids = BTreeSet::new();
        for panel in panels(&board) {
            let title = text(panel, "title");
            let kind = text(panel, "type");
            assert!(PANELS.contains(&kind), "{name}: {title} is a {kind}");
            assert!(ids.insert(panel["id"].as_u64()), "{name}: id of {title}");
            if kind == "row" {
                has_only(panel, ROW_KEYS);
                continue;
            }
            has_only(panel, PANEL_KEYS);
            let description = text(panel, "description");
            assert!(
                description.ends_with('.') && description != title,
                "{name}: {title}"
            );
            text(&panel["fieldConfig"]["defaults"], "unit");
            if kind == "text" {
                text(&panel["options"], "content");
                continue;
            }
            text(&panel["fieldConfig"]["defaults"], "noValue");
            assert_eq!(panel["datasource"]["uid"], "${datasource}");
            let narrow = panel["gridPos"]["w"].as_u64() <= Some(3);
            assert!(
                !narrow || title.len() <= SHORT_TITLE,
                "{name}: {title} does not fit"
            );
            let targets = panel["targets"].as_array().expect("a list");
            assert!(!targets.is_empty(), "{name}: {title}");
            for target in targets {
                has_only(target, TARGET_KEYS);
                assert_eq!(target["datasource"]["uid"], "${datasource}");
                assert_ne!(target["instant"], target["range"], "{name}: {title}");
            }
        }
    }
}

#[test]
fn questions_are_answered_on_the_first_screen() {
    for (name, _) in BOARDS {
        let board = board(name);
        let mut taken = BTreeSet::new();
        let place = |panel: &Value, key: &str| panel["gridPos"][key].as_u64().expect("a number");
        for panel in panels(&board) {
            let (left, top) = (place(panel, "x"), place(panel, "y"));
            let (right, bottom) = (left + place(panel, "w"), top + place(panel, "h"));
            assert!(right <= COLUMNS, "{name}: {}", panel["title"]);
            for cell in (left..right).flat_map(|x| (top..bottom).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name}: {} overlaps", panel["title"]);
            }
        }
        let first = panels(&board)
            .split(|panel| panel["type"] == "row")
            .next()
            .expect("panels");
        let lowest = first
            .iter()
            .map(|panel| place(panel, "y") + place(panel, "h"))
            .max();
        assert!(lowest <= Some(FIRST_SCREEN), "{name}: {lowest:?}");
        let (questions, answers): (Vec<&Value>, Vec<&Value>) =
            first.iter().partition(|panel| panel["type"] == "text");
        assert!(
            questions
                .iter()
                .all(|panel| place(panel, "y") == 0 && text(panel, "title").ends_with('?'))
        );
        let starts: Vec<u64> = questions.iter().map(|panel| place(panel, "x")).collect();
        assert_eq!(
            starts.first(),
            Some(&0),
            "{name}: an answer has no question"
        );
        for (place_of, question) in questions.iter().enumerate() {
            // Up to the next question; what answers it may begin beside it.
            let column = starts[place_of]..starts.get(place_of + 1).copied().unwrap_or(COLUMNS);
            let below = answers.iter().filter(|panel| {
                column.contains(&place(panel, "x"))
                    && place(panel, "x") + place(panel, "w") <= column.end
            });
            // A number and a curve.
            assert!(below.count() >= 2, "{name}: {}", question["title"]);
        }
    }
}

#[test]
fn queries_use_what_the_catalogue_has() {
    for query in queries() {
        let uses = uses(&query.text);
        for label in query.legend_labels() {
            let keeps = |call: &Call| call.by.iter().any(|kept| kept == label);
            let kept = uses.iter().any(|used| used.around.iter().any(keeps));
            assert!(kept, "{} / {} shows no {label}", query.board, query.panel);
        }
        for used in uses {
            let said = format!(
                "{} / {} {}: {}",
                query.board, query.panel, query.id, used.metric
            );
            if FOREIGN_METRICS.contains(&&*used.metric) || used.metric == RECORDED {
                continue;
            }
            let family = family(&used.metric).unwrap_or_else(|| panic!("{said} is unknown"));
            if only_tells_the_mode(&used, family) {
                continue;
            }
            has_labels(&used, family, &said);
            if used.function() == "count_over_time" {
                continue;
            }
            let counts = matches!(family.kind, Kind::Counter | Kind::Histogram(_));
            let of_window = matches!(used.function(), "rate" | "increase");
            assert!(
                of_window == counts || is_told_whole(&used, family, &query),
                "{said}"
            );
            if of_window && used.window.as_deref() == Some("$__range") {
                let lacks = used.function() == "increase" && appears_late(&used, family);
                let whole = is_told_whole(&used, family, &query);
                assert!(whole || !lacks, "{said} leaves out the first count");
            }
            if of_window {
                let window = used.window.as_deref().unwrap_or_default();
                assert!(
                    ["$__rate_interval", "$__range"].contains(&window),
                    "{said}[{window}]"
                );
            }
            is_true_over_replicas(&used, family, &query, &said);
        }
    }
}

/// The family of a metric or of one of its histogram's samples.
fn family(metric: &str) -> Option<&'static Family> {
    let samples = ["_bucket", "_count", "_sum"];
    let base = samples
        .iter()
        .find_map(|suffix| metric.strip_suffix(suffix));
    let histogram = base.and_then(catalogue::find);
    let histogram = histogram.filter(|family| matches!(family.kind, Kind::Histogram(_)));
    histogram.or_else(|| catalogue::find(metric))
}

fn has_labels(used: &Use, family: &Family, said: &str) {
    let kept = used.aggregation().map_or(&[][..], |call| &call.by);
    let matched = used.matchers.iter().map(|(label, _)| label);
    for label in matched.chain(kept) {
        let known = family.labels.contains(&&**label) || FOREIGN_LABELS.contains(&&**label);
        assert!(known, "{said} has no label {label}");
    }
    for (label, value) in &used.matchers {
        let known = catalogue::LABELS.iter().find(|known| known.name == label);
        let values = known.map(|label| (label.values)()).unwrap_or_default();
        for value in value.split('|').filter(|value| !value.contains(['$', '*'])) {
            assert!(values.contains(&value), "{said} has no {label}={value}");
        }
    }
    let chosen = |label: &str| used.matchers.iter().any(|(matched, _)| matched == label);
    let has_queue = family.labels.contains(&"queue");
    let is_chosen = chosen("job") && chosen("queue") == has_queue;
    assert!(is_chosen, "{said}");
}

/// `and on (job, instance, queue) mns_queue_info{mode="consume"}`: a filter of what is aggregated already.
fn only_tells_the_mode(used: &Use, family: &Family) -> bool {
    matches!(family.kind, Kind::Info) && used.matchers.len() == 1 && used.matchers[0].0 == "mode"
}

/// Whether a series appears with its first count, which no increase contains.
fn appears_late(used: &Use, family: &Family) -> bool {
    let started = used.matchers.iter().any(|(label, value)| {
        family.name == "vod_events_total"
            && label == "status"
            && ["success", "fail"].contains(&&**value)
    });
    family.presence.contains("appear") && !started
}

/// Whether a series that appeared within the shown time counts from 0 on.
fn is_told_whole(used: &Use, family: &Family, query: &Query) -> bool {
    let series = &used.series;
    let born = format!(
        "({series} unless {series} offset $__range and count_over_time({series}[$__range]) < "
    );
    let otherwise = format!(" or increase({series}[$__range])");
    family.presence.contains("appear")
        && query.text.contains(&born)
        && query.text.contains(&otherwise)
}

fn is_true_over_replicas(used: &Use, family: &Family, query: &Query, said: &str) {
    let Some(call) = used.aggregation() else {
        assert!(
            matches!(family.kind, Kind::Info),
            "{said} is not aggregated"
        );
        return;
    };
    let expected = family.over_replicas.split(';').next();
    let shared = family.over_replicas.contains("max in peek");
    if shared && call.name == "sum" {
        let apart = ["job", "instance", "queue"]
            .iter()
            .all(|label| call.by.iter().any(|kept| kept == label));
        assert!(
            apart && query.text.contains(" or max by ("),
            "{said}: replicas that peek see the same"
        );
    }
    assert_eq!(Some(&*call.name), expected, "{said}");
}

#[test]
fn every_query_returns_data_on_the_demo() {
    let Some(referees) = Referees::find() else {
        return;
    };
    // One takes the alerts about single videos, and one is not there.
    let data = TempDir::new().expect("a temporary folder");
    let routes = data.path().join("alertmanager.yml");
    fs::write(
        &routes,
        "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n",
    )
    .expect("the routes can be written");
    let alone = ["--cluster.listen-address=".to_owned()];
    let program = referees.tool("bin/alertmanager");
    let alertmanager = Alertmanager::start(&program, &routes, data.path(), &alone);
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let mut command = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
    command.args(["demo", "--web.listen-address=127.0.0.1:0"]);
    for address in [alertmanager.address, gone.expect("a free port")] {
        command.arg(format!("--alertmanager.url=http://{address}"));
    }
    let born = Instant::now();
    let mut demo = Process::start(command);
    let prometheus = Prometheus::scraping(&referees, demo.listening_on("/metrics"));
    let has_data = |query: &Query| {
        // A query that does not parse never gets an answer, and panics with what Prometheus says of it.
        let samples = prometheus.wait_for(&query.for_all(), |_| true);
        samples.iter().any(|Sample { value, .. }| value.is_finite())
    };

    let is_listed = |query: &Query| absent(query).is_some();
    let (excused, mut waiting): (Vec<Query>, Vec<Query>) =
        queries().into_iter().partition(is_listed);
    assert_eq!(
        excused.len(),
        MAY_BE_ABSENT.len(),
        "an entry is for a query that is gone: {excused:#?}"
    );
    let deadline = Instant::now() + DEADLINE;
    while !waiting.is_empty() {
        waiting.retain(|query| !has_data(query));
        assert!(Instant::now() < deadline, "no data for {waiting:#?}");
        thread::sleep(POLL_INTERVAL);
    }
    let life = born.elapsed().as_secs_f64();
    for shown in meaning::all() {
        let samples = prometheus.wait_for(&boards::for_all(&shown.expr), |_| true);
        for sample in samples.iter().filter(|sample| !sample.value.is_nan()) {
            meaning::expect_possible(&shown, sample.value, life);
        }
    }
    for query in excused {
        // Also those that may have data must parse.
        let found = has_data(&query);
        match absent(&query) {
            Some(Absent::Always(reason)) => {
                assert!(!found, "{query:#?} has data after all, although {reason}");
            }
            Some(Absent::ByChance(reason)) => eprintln!("{}: data {found}; {reason}", query.panel),
            None => {}
        }
    }
}

fn absent(query: &Query) -> Option<Absent> {
    let of = |(board, panel, id, _): &&(&str, &str, &str, Absent)| {
        (*board, *panel, *id) == (query.board, &*query.panel, &*query.id)
    };
    MAY_BE_ABSENT.iter().find(of).map(|(.., reason)| *reason)
}
