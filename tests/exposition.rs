//! What `/metrics` shows, whole: against golden files, the catalogue and the documentation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/snapshot.rs"]
mod snapshot;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use vod_callback_exporter::alertmanager::{Observer as _, Sent};
use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::ledger::Snapshot;
use vod_callback_exporter::metrics::catalogue::{self, Family, Kind};
use vod_callback_exporter::metrics::{Format, Metrics};
use vod_callback_exporter::vod::api::MessageCallback;
use vod_callback_exporter::vod::fault;

fn rendered(snapshot: &Snapshot, format: Format) -> String {
    let metrics = Metrics::new().unwrap();
    let requests = metrics.queue_requests("vod");
    requests.called("BatchReceiveMessage", "ok", Duration::from_secs(30), true);
    requests.called("BatchDeleteMessage", "ok", Duration::from_millis(20), false);
    requests.called(
        "BatchDeleteMessage",
        "timeout",
        Duration::from_secs(90),
        false,
    );
    metrics.vod_called("default", "GetTranscodeSummary", "ok");
    let credentials = metrics.credentials("default");
    credentials.renewed(Some(UnixMillis::from_secs(1_767_326_645)));
    credentials.failed("timeout");
    let alerts = metrics.alerts();
    alerts.configured(&["alertmanager:9093".into()]);
    alerts.looked(51, 4_950);
    alerts.sent("alertmanager:9093", Sent::Ok, 51);
    metrics.started(snapshot::NOW);
    metrics.reloaded(None);
    let callback = MessageCallback {
        callback_type: "HTTP".to_owned(),
        mns_endpoint: String::new(),
        mns_queue: String::new(),
        event_types: vec!["ALL".to_owned()],
    };
    if let Some(queue) = snapshot.queues.first() {
        metrics
            .callbacks()
            .update(&callback, &queue.identity, "cn-shanghai");
    }
    let mut out = String::new();
    metrics.render(snapshot, Some(-1_500), format, &mut out);
    out
}

fn full() -> Snapshot {
    snapshot::ledger(vec![
        snapshot::consumed("vod"),
        snapshot::unknown("we \"quote\" \\ and\nbreak"),
    ])
}

/// The exposition without what differs from run to run.
fn stable(exposition: &str) -> String {
    exposition
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((name, _)) if name.starts_with("process_") => format!("{name} [varies]\n"),
            _ => format!("{}\n", line.replace(env!("CARGO_PKG_VERSION"), "[version]")),
        })
        .collect()
}

/// Names of families, as the catalogue spells them, that have samples.
fn families(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect()
}

#[test]
fn the_text_format_is_as_recorded() {
    insta::assert_snapshot!("text", stable(&rendered(&full(), Format::Text)));
}

#[test]
fn the_open_metrics_format_is_as_recorded() {
    insta::assert_snapshot!(
        "open_metrics",
        stable(&rendered(&full(), Format::OpenMetrics))
    );
}

#[test]
fn the_catalogue_and_the_exposition_have_the_same_names() {
    let exposition = rendered(&full(), Format::Text);
    let catalogue: BTreeSet<&str> = catalogue::ALL.iter().map(|family| family.name).collect();
    assert_eq!(families(&exposition), catalogue);
}

#[test]
fn labels_and_fixed_values_are_those_of_the_catalogue() {
    let exposition = rendered(&full(), Format::Text);
    for line in exposition.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let family = catalogue::ALL
            .iter()
            .find(|family| {
                name.strip_prefix(family.name)
                    .is_some_and(|suffix| match family.kind {
                        Kind::Histogram(_) => ["_bucket", "_sum", "_count"].contains(&suffix),
                        _ => suffix.is_empty(),
                    })
            })
            .unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        // The one value with a quote is that of `queue`, which comes first.
        let labels = labels.strip_suffix('}').unwrap();
        let labels = labels.replace(r#"\"quote\""#, "");
        let mut names = Vec::new();
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once("=\"").unwrap();
            let value = value.trim_end_matches('"');
            if name == "le" {
                continue;
            }
            names.push(name);
            let known = catalogue::LABELS
                .iter()
                .find(|known| known.name == name)
                .unwrap();
            let values = (known.values)();
            assert!(values.is_empty() || values.contains(&value), "{line}");
        }
        assert_eq!(names, family.labels, "{line}");
    }
}

#[test]
fn families_are_whole_and_series_unique() {
    let exposition = rendered(&full(), Format::Text);
    let (mut seen, mut series) = (BTreeSet::new(), BTreeSet::new());
    for line in exposition.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            assert!(
                seen.insert(head.split(' ').next().unwrap()),
                "{head} begins twice"
            );
        } else if !line.starts_with('#') {
            assert!(
                series.insert(line.rsplit_once(' ').unwrap().0),
                "{line} is there twice"
            );
        }
    }
}

#[test]
fn unknown_is_absent_and_empty_is_zero() {
    let text = rendered(
        &snapshot::ledger(vec![snapshot::unknown("a")]),
        Format::Text,
    );
    for absent in [
        "mns_queue_up{",
        "mns_queue_messages{",
        "mns_queue_empty{",
        "mns_queue_oldest_message_timestamp_seconds{",
        "mns_message_wait_seconds_count{",
        "mns_message_processing_seconds_count{",
        "vod_queue_watched_since_timestamp_seconds{",
        "vod_event_failures_total{",
        "vod_stream_transcodes_total{",
        "status=\"none\"",
        "event_type=\"other\",status",
    ] {
        assert!(!text.contains(absent), "{absent} is shown");
    }
    let count = |start: &str| {
        text.lines()
            .filter(|line| line.starts_with(start) && line.ends_with(" 0"))
            .count()
    };
    assert_eq!(count("vod_events_total{queue=\"a\""), 22 * 2);
    assert_eq!(count("vod_event_faults_total{queue=\"a\""), 23 * 4);
    assert_eq!(count("vod_event_decode_failures_total{queue=\"a\""), 7);
    assert_eq!(count("mns_messages_seen_total{queue=\"a\""), 1);
    assert_eq!(count("vod_transcode_view_complete{queue=\"a\""), 1);
    assert_eq!(count("vod_event_delivery_seconds_count{queue=\"a\""), 1);
}

#[test]
fn a_definition_starts_with_success_and_failure() {
    let text = rendered(&full(), Format::Text);
    for line in [
        r#"vod_stream_transcodes_total{queue="vod",definition="LD",status="success"} 0"#,
        r#"vod_stream_transcodes_total{queue="vod",definition="LD",status="fail"} 9"#,
    ] {
        assert!(text.lines().any(|written| written == line), "{line}");
    }
    assert!(!text.contains("definition=\"SD\""));
}

#[test]
fn a_removed_queue_leaves_nothing() {
    let metrics = Metrics::new().unwrap();
    let requests = metrics.queue_requests("gone");
    requests.called("PeekMessage", "ok", Duration::ZERO, false);
    metrics
        .queue_requests("stays")
        .called("PeekMessage", "ok", Duration::ZERO, false);
    metrics.remove_queue("gone");
    requests.called("PeekMessage", "ok", Duration::ZERO, false);
    let mut text = String::new();
    metrics.render(&Snapshot::default(), None, Format::Text, &mut text);
    assert!(!text.contains("gone"), "{text}");
    assert!(
        text.contains(r#"mns_requests_total{queue="stays",operation="PeekMessage",code="ok"} 1"#)
    );
    assert!(
        !text.contains("clock_skew"),
        "unknown before the first answer"
    );
}

#[test]
fn a_scrape_appends_and_uses_its_memory_again() {
    let metrics = Metrics::new().unwrap();
    let mut out = String::new();
    metrics.render(&full(), None, Format::OpenMetrics, &mut out);
    let (capacity, len) = (out.capacity(), out.len());
    out.clear();
    metrics.render(&full(), None, Format::OpenMetrics, &mut out);
    assert!(len.abs_diff(out.len()) < 64 && out.ends_with("# EOF\n"));
    assert_eq!(out.capacity(), capacity);
}

/// `UPDATE_DOCS=1` writes the file instead.
#[test]
fn the_documentation_is_that_of_the_catalogue() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let expected = documentation();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/metrics.md is not what the catalogue says: run the test with UPDATE_DOCS=1"
    );
}

fn section(name: &str) -> &'static str {
    match name {
        name if name.starts_with("mns_") => "Queues and messages",
        name if name.starts_with("vod_callback_exporter_") => "The exporter",
        name if name.starts_with("process_") => "The process",
        _ => "VOD events and transcodes",
    }
}

fn documentation() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Rendered from the catalogue in `src/metrics/catalogue.rs`; a test keeps it equal.\n\n\
         - **Unknown is absent, empty is 0**: a queue that could not be read reports nothing rather than 0.\n\
         - Counters whose labels are known in advance start at 0, so that a first failure is an increase.\n\
         - Names ending in `_total` are counters; times are Unix seconds and durations seconds. A queue is polled at \
         most once a tick because every call is billed: gauges are as old as \
         `vod_callback_exporter_last_tick_timestamp_seconds` says.\n\
         - *Over replicas*: how a rule aggregates by `queue` where several replicas report the same queue. \"sum; max in \
         peek\": replicas that consume share the messages, replicas that peek see the same ones.\n\
         - Labels hold no id of a video, message or job.\n",
    );
    for title in [
        "Queues and messages",
        "VOD events and transcodes",
        "The exporter",
        "The process",
    ] {
        writeln!(text, "\n## {title}\n").unwrap();
        text.push_str("| metric | type | labels | over replicas | meaning | presence |\n|---|---|---|---|---|---|\n");
        for family in catalogue::ALL
            .iter()
            .filter(|family| section(family.name) == title)
        {
            let Family {
                name,
                kind,
                labels,
                help,
                over_replicas,
                presence,
            } = family;
            let (kind, labels) = (kind.as_str(), labels.join(", "));
            writeln!(
                text,
                "| `{name}` | {kind} | {labels} | {over_replicas} | {help} | {presence} |"
            )
            .unwrap();
        }
    }
    text.push_str("\n## Buckets\n\nUpper bounds in seconds. They are part of the durable state: a change restarts the histogram.\n\n");
    text.push_str("| metric | bounds |\n|---|---|\n");
    for family in catalogue::ALL {
        if let Kind::Histogram(bounds) = family.kind {
            let bounds: Vec<String> = bounds
                .millis
                .iter()
                .map(|millis| Duration::from_millis(*millis).as_secs_f64().to_string())
                .collect();
            writeln!(text, "| `{}` | {} |", family.name, bounds.join(" ")).unwrap();
        }
    }
    text.push_str("\n## Labels\n\n| label | meaning | values |\n|---|---|---|\n");
    for label in catalogue::LABELS {
        let values: Vec<String> = (label.values)()
            .iter()
            .map(|value| format!("`{value}`"))
            .collect();
        writeln!(
            text,
            "| `{}` | {} | {} |",
            label.name,
            label.meaning,
            values.join(" ")
        )
        .unwrap();
    }
    text.push_str(
        "\n## Error codes\n\n`fault` says who can do something about a failure: `source`: whoever made the uploaded file; \
         `config`: whoever runs this account's settings; `service`: VOD; `other`: unknown. VOD publishes no closed list of \
         codes; any that is not in this one is `other`. A `VideoAnalysisComplete` that fails without a code counts as \
         `source`: it reads nothing but the uploaded file.\n\n| error code | fault |\n|---|---|\n",
    );
    for (code, fault) in fault::table() {
        writeln!(text, "| `{code}` | {fault} |").unwrap();
    }
    text
}

#[test]
fn the_calls_of_an_account_end_with_it() {
    let metrics = Metrics::new().unwrap();
    for account in ["kept", "ended"] {
        metrics.vod_called(account, "GetVideoList", "ok");
        metrics.vod_called(account, "GetVideoInfos", "timeout");
    }
    metrics.retain_accounts(|account| account == "kept");
    let mut text = String::new();
    metrics.render(&full(), None, Format::Text, &mut text);
    // The first answer after a timeout is an increase.
    let unanswered = "account=\"kept\",operation=\"GetVideoInfos\",code=\"ok\"} 0";
    assert!(text.contains(unanswered), "{text}");
    assert_eq!(text.matches("account=\"kept\"").count(), 3, "{text}");
    assert!(!text.contains("account=\"ended\""), "{text}");
}
