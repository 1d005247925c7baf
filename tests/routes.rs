//! The example configuration of Alertmanager, in real ones: who is told of what, and which alert mutes which.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests panic and print"
)]

#[path = "support/alertmanagers.rs"]
mod alertmanagers;
#[path = "support/authority.rs"]
mod authority;
#[path = "support/process.rs"]
mod process;
#[path = "support/receivers.rs"]
mod receivers;
#[path = "support/referees.rs"]
mod referees;
#[path = "alerts/rules.rs"]
#[expect(dead_code, reason = "expressions are not looked into here")]
mod rules;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use alertmanagers::Alertmanager;
use receivers::Receiver;
use referees::Referees;
use serde_json::{Value, json};
use tempfile::TempDir;
use vod_callback_exporter::clock;
use world::{until, until_asked};

/// Alerts of the exporter itself, which `tests/alertmanager.rs` compares with what it sends.
const VIDEOS: [&str; 2] = ["VodTranscodeStalled", "VodTranscodeFailed"];
const SUMMARY: &str = "VodTranscodeAlertsSuppressed";

/// What a source mutes.
enum Mutes {
    /// Everything of its cluster except these.
    ClusterBut(&'static [&'static str]),
    /// Everything about its queue except these.
    QueueBut(&'static [&'static str]),
    /// These about its queue.
    These(&'static [&'static str]),
}

const MUTES: &[(&str, Mutes)] = &[
    (
        "VodExporterDown",
        Mutes::ClusterBut(&[
            "VodExporterDown",
            "VodConfigReloadFailed",
            "VodThresholdMissing",
            "VodDeadMan",
        ]),
    ),
    ("VodQueueUnreadable", Mutes::QueueBut(SEEN_ALL_THE_SAME)),
    ("VodQueueUnwatched", Mutes::QueueBut(SEEN_ALL_THE_SAME)),
    (
        "VodQueueSilent",
        Mutes::These(&["VodCallbacksLost", "VodTranscodeStalled"]),
    ),
    ("VodBacklogStuck", Mutes::These(&["VodBacklogDrainsSlowly"])),
    (
        "VodCallbacksExpiring",
        Mutes::These(&["VodBacklogDrainsSlowly"]),
    ),
    (
        "VodPlayableBudgetBurnsFast",
        Mutes::These(&["VodPlayableBudgetBurnsSlowly"]),
    ),
];

const SEEN_ALL_THE_SAME: &[&str] = &[
    "VodQueueUnreadable",
    "VodQueueUnwatched",
    "VodCallbackConfigWrong",
    "VodStallDetectionBlind",
];

type Labels = BTreeMap<String, String>;

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The same alert with other labels; a value that is empty takes a label away.
fn with<const N: usize>(alert: &Labels, pairs: [(&str, &str); N]) -> Labels {
    let mut changed = alert.clone();
    changed.extend(labels(pairs));
    changed.retain(|_, value| !value.is_empty());
    changed
}

fn name(alert: &Labels) -> &str {
    &alert["alertname"]
}

/// One alert of each rule, with the labels that its text names, and those of the exporter itself. None has a cluster.
fn alerts() -> Vec<Labels> {
    let mut alerts = Vec::new();
    for rule in rules::all().into_iter().filter(|rule| rule.is_alert) {
        let mut alert = labels([("alertname", &rule.name), ("severity", &rule.severity)]);
        let texts = rule.annotations.iter();
        for used in texts.flat_map(|(_, text)| text.split("$labels.").skip(1)) {
            let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
            let label = used.split(|letter| !is_name(letter)).next().unwrap();
            alert.insert(label.to_owned(), "x".to_owned());
        }
        alerts.push(alert);
    }
    for video in VIDEOS {
        alerts.push(labels([
            ("alertname", video),
            ("severity", "warning"),
            ("queue", "x"),
            ("stage", "transcode"),
            ("video_id", "x"),
        ]));
    }
    alerts.push(labels([("alertname", SUMMARY), ("severity", "warning")]));
    alerts
}

/// Whether the table says that one mutes the other.
fn mutes(source: &Labels, target: &Labels) -> bool {
    let Some((_, what)) = MUTES.iter().find(|(known, _)| *known == name(source)) else {
        return false;
    };
    let is_same = |label: &str| source.get(label) == target.get(label);
    let of_queue = is_same("cluster") && is_same("queue") && target.contains_key("queue");
    match what {
        Mutes::ClusterBut(others) => is_same("cluster") && !others.contains(&name(target)),
        Mutes::QueueBut(others) => of_queue && !others.contains(&name(target)),
        Mutes::These(targets) => of_queue && targets.contains(&name(target)),
    }
}

fn example() -> PathBuf {
    rules::root().join("alerts/alertmanager.example.yaml")
}

/// The example but for its waits, and for where its webhooks are.
fn quickened(value: &mut Value, wait: &str, interval: &str, webhook: &str) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match key.as_str() {
                    "group_wait" => *field = json!(wait),
                    "group_interval" => *field = json!(interval),
                    "repeat_interval" => *field = json!("4h"),
                    "url" => {
                        let url = field.as_str().unwrap();
                        *field = json!(url.replace("127.0.0.1:9099", webhook));
                    }
                    _ => quickened(field, wait, interval, webhook),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                quickened(item, wait, interval, webhook);
            }
        }
        _ => {}
    }
}

/// An Alertmanager with the example, for each version that is there.
fn every(
    referees: &Referees,
    wait: &str,
    interval: &str,
) -> Vec<(Alertmanager, Receiver, TempDir)> {
    let start = |program: &PathBuf| {
        let (webhook, data) = (Receiver::start(), TempDir::new().unwrap());
        let mut config = rules::read(&example());
        quickened(&mut config, wait, interval, &webhook.address.to_string());
        let path = data.path().join("alertmanager.yml");
        std::fs::write(&path, config.to_string()).unwrap();
        let alone = ["--cluster.listen-address=".to_owned()];
        let server = Alertmanager::start(program, &path, &data.path().join("data"), &alone);
        (server, webhook, data)
    };
    referees.tools("alertmanager").iter().map(start).collect()
}

/// An alert as it is posted: until told otherwise, or over since a second.
fn posted(alert: &Labels, is_over: bool) -> Value {
    let now = clock::now();
    let hour = Duration::from_hours(1);
    if is_over {
        json!({"labels": alert, "startsAt": now.minus(hour).to_string(), "endsAt": now.minus(Duration::from_secs(1)).to_string()})
    } else {
        json!({"labels": alert, "endsAt": now.plus(hour).to_string()})
    }
}

async fn fire(server: &Alertmanager, alerts: &[Labels]) {
    let alerts: Vec<Value> = alerts.iter().map(|alert| posted(alert, false)).collect();
    server.post(&alerts).await;
}

async fn end(server: &Alertmanager, alerts: &[Labels]) {
    let alerts: Vec<Value> = alerts.iter().map(|alert| posted(alert, true)).collect();
    server.post(&alerts).await;
}

/// Each alert with its state.
async fn states(server: &Alertmanager) -> BTreeMap<Labels, String> {
    let alerts = server.ask("alerts").await;
    let alerts = alerts.as_array().cloned().unwrap_or_default();
    let state = |alert: Value| {
        let labels = serde_json::from_value(alert["labels"].clone()).unwrap();
        (
            labels,
            alert["status"]["state"].as_str().unwrap().to_owned(),
        )
    };
    alerts.into_iter().map(state).collect()
}

/// Waits until those that fire are muted as the table says, and no others.
async fn muted_as_promised(server: &Alertmanager, firing: &BTreeSet<Labels>) {
    let promised = |target: &Labels| {
        let is_muted = firing.iter().any(|source| mutes(source, target));
        let state = if is_muted { "suppressed" } else { "active" };
        (target.clone(), state.to_owned())
    };
    let promised: BTreeMap<Labels, String> = firing.iter().map(promised).collect();
    let found = std::cell::RefCell::new(BTreeMap::new());
    until_asked(
        async || {
            *found.borrow_mut() = states(server).await;
            *found.borrow() == promised
        },
        || {
            let found = found.borrow();
            let wrong = promised
                .iter()
                .filter(|(alert, state)| found.get(*alert) != Some(state));
            let wrong: Vec<String> = wrong
                .map(|(alert, state)| format!("{alert:?} is {:?}, not {state}", found.get(alert)))
                .collect();
            format!("{} alerts found; {}", found.len(), wrong.join("\n"))
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_mute_what_they_explain_in_their_own_cluster_and_queue() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let all = alerts();
    let find = |wanted: &str| all.iter().find(|alert| name(alert) == wanted);
    let mut firing = BTreeSet::new();
    for (source, _) in MUTES {
        let source = find(source).unwrap_or_else(|| panic!("no alert {source}"));
        for target in all.iter().filter(|target| name(target) != name(source)) {
            let pair = format!("{}/{}", name(source), name(target));
            let elsewhere = format!("{pair}/elsewhere");
            firing.insert(with(source, [("cluster", &pair)]));
            firing.insert(with(target, [("cluster", &pair)]));
            firing.insert(with(target, [("cluster", &elsewhere)]));
            if target.contains_key("queue") {
                firing.insert(with(target, [("cluster", &pair), ("queue", "another")]));
            }
            if target.contains_key("queue") && source.contains_key("queue") {
                firing.insert(with(source, [("queue", &pair)]));
                firing.insert(with(target, [("queue", &pair)]));
            }
        }
    }
    // Where none of the sources fires, all the others do.
    let is_source = |alert: &&Labels| MUTES.iter().any(|(source, _)| *source == name(alert));
    let others = all.iter().filter(|alert| !is_source(alert));
    firing.extend(others.map(|alert| with(alert, [("cluster", "calm")])));

    for (server, ..) in every(&referees, "1h", "1h") {
        let mut firing = firing.clone();
        fire(&server, &firing.iter().cloned().collect::<Vec<_>>()).await;
        muted_as_promised(&server, &firing).await;

        // Of those without a cluster one that is gone mutes all, and nobody else.
        let down = find("VodExporterDown").unwrap().clone();
        fire(&server, std::slice::from_ref(&down)).await;
        firing.insert(down);
        muted_as_promised(&server, &firing).await;
    }
}

/// Whom the severity of an alert promises it to.
fn receiver(alert: &Labels) -> &'static str {
    match (name(alert), alert["severity"].as_str()) {
        ("VodDeadMan", _) => "dead-man",
        (name, _) if VIDEOS.contains(&name) || name == SUMMARY => "videos",
        (_, "critical") => "pager",
        (_, "warning") => "tickets",
        _ => "nobody",
    }
}

/// What a notification is known by: its receiver and the labels of its group.
type Group = (String, Labels);

fn group(alert: &Labels) -> Group {
    let mut key = alert.clone();
    key.retain(|label, _| ["alertname", "cluster", "queue"].contains(&label.as_str()));
    (receiver(alert).to_owned(), key)
}

/// All notifications with this status, each with its alerts.
fn notified(webhook: &Receiver, status: &str) -> BTreeMap<Group, Vec<BTreeSet<Labels>>> {
    let mut notified: BTreeMap<Group, Vec<BTreeSet<Labels>>> = BTreeMap::new();
    for request in webhook.requests() {
        let body = &request.body;
        let to = body["receiver"].as_str().unwrap().to_owned();
        assert_eq!(request.first_line, format!("POST /{to} HTTP/1.1"));
        let key = serde_json::from_value(body["groupLabels"].clone()).unwrap();
        let alerts = body["alerts"].as_array().unwrap().iter();
        let alerts: BTreeSet<Labels> = alerts
            .filter(|alert| alert["status"] == status)
            .map(|alert| serde_json::from_value(alert["labels"].clone()).unwrap())
            .collect();
        if !alerts.is_empty() {
            notified.entry((to, key)).or_default().push(alerts);
        }
    }
    notified
}

/// Waits until all groups were notified, and says how.
async fn all_notified(
    webhook: &Receiver,
    status: &str,
    groups: &BTreeMap<Group, BTreeSet<Labels>>,
) -> BTreeMap<Group, Vec<BTreeSet<Labels>>> {
    let is_told = |told: &BTreeMap<Group, Vec<BTreeSet<Labels>>>, group: &Group| {
        let alerts = told.get(group).into_iter().flatten().flatten();
        alerts.collect::<BTreeSet<_>>() == groups[group].iter().collect()
    };
    until(
        || {
            let told = notified(webhook, status);
            groups.keys().all(|group| is_told(&told, group))
        },
        || {
            let told = notified(webhook, status);
            let missing: Vec<&Group> = groups.keys().filter(|key| !is_told(&told, key)).collect();
            format!("{status}, and not notified: {missing:?}; notified: {told:?}")
        },
    )
    .await;
    notified(webhook, status)
}

fn in_groups(alerts: &[Labels]) -> BTreeMap<Group, BTreeSet<Labels>> {
    let mut groups: BTreeMap<Group, BTreeSet<Labels>> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| receiver(alert) != "nobody") {
        groups
            .entry(group(alert))
            .or_default()
            .insert(alert.clone());
    }
    groups
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_told_once_of_what_is_his() {
    let Some(referees) = Referees::find() else {
        return;
    };
    // Each in a cluster of its own, so that none mutes another.
    let mut firing = Vec::new();
    for alert in alerts() {
        let own = name(&alert).to_owned();
        if VIDEOS.contains(&name(&alert)) {
            for (queue, video) in [("x", "1"), ("x", "2"), ("x", "3"), ("another", "4")] {
                firing.push(with(&alert, [("queue", queue), ("video_id", video)]));
            }
            // With `labels.cluster` in the exporter's config they are that cluster's.
            for (cluster, video) in [("east", "5"), ("east", "6"), ("west", "7")] {
                firing.push(with(&alert, [("cluster", cluster), ("video_id", video)]));
            }
            continue;
        }
        firing.push(with(&alert, [("cluster", &own)]));
        firing.push(with(&alert, [("cluster", &format!("{own}/elsewhere"))]));
        if alert.contains_key("queue") {
            firing.push(with(&alert, [("cluster", &own), ("queue", "another")]));
        }
    }
    let groups = in_groups(&firing);
    let of_three = groups.values().filter(|alerts| alerts.len() == 3);
    assert_eq!(of_three.count(), VIDEOS.len());
    let of_two = groups.values().filter(|alerts| alerts.len() == 2);
    assert_eq!(of_two.count(), VIDEOS.len());
    let another = vec![labels([
        ("alertname", "VodTranscodesStalled"),
        ("severity", "critical"),
        ("cluster", "later"),
        ("queue", "x"),
    ])];

    for (server, webhook, _) in every(&referees, "2s", "1s") {
        fire(&server, &firing).await;
        all_notified(&webhook, "firing", &groups).await;
        // Whoever would be told twice, or of what is not his, has been when a later alert is.
        fire(&server, &another).await;
        let mut told = all_notified(&webhook, "firing", &in_groups(&another)).await;
        told.retain(|(_, key), _| key.get("cluster").is_none_or(|cluster| cluster != "later"));
        let once = groups
            .iter()
            .map(|(group, alerts)| (group.clone(), vec![alerts.clone()]));
        assert_eq!(told, once.collect());
        let to_nobody = server.ask("alerts?receiver=nobody").await;
        for alert in to_nobody.as_array().unwrap() {
            assert_eq!(alert["receivers"], json!([{"name": "nobody"}]), "{alert}");
        }
        let info = firing.iter().filter(|alert| receiver(alert) == "nobody");
        assert_eq!(to_nobody.as_array().unwrap().len(), info.count());

        // Ends are told too, but for that of the dead man, whose silence tells.
        end(&server, &firing).await;
        let mut ends = groups.clone();
        ends.retain(|(receiver, _), _| receiver != "dead-man");
        all_notified(&webhook, "resolved", &ends).await;
        end(&server, &another).await;
        let told = all_notified(&webhook, "resolved", &in_groups(&another)).await;
        assert!(told.keys().all(|(receiver, _)| receiver != "dead-man"));
        assert_eq!(told.len(), ends.len() + 1);
    }
}

/// What README.md warns of, and why so little mutes a page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_ends_while_it_is_muted_is_not_told_as_resolved() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let page = |name: &str, queue: &str| {
        vec![labels([
            ("alertname", name),
            ("severity", "critical"),
            ("cluster", "x"),
            ("queue", queue),
        ])]
    };
    let (early, late) = (
        page("VodTranscodesStalled", "early"),
        page("VodTranscodesStalled", "late"),
    );
    let blind = [
        page("VodQueueUnreadable", "early"),
        page("VodQueueUnreadable", "late"),
    ]
    .concat();
    for (server, webhook, _) in every(&referees, "1s", "1s") {
        let pages = [early.clone(), late.clone()].concat();
        fire(&server, &pages).await;
        all_notified(&webhook, "firing", &in_groups(&pages)).await;
        fire(&server, &blind).await;
        all_notified(&webhook, "firing", &in_groups(&blind)).await;
        end(&server, &early).await;
        let gone = async || !states(&server).await.contains_key(&early[0]);
        until_asked(gone, || "it does not end".to_owned()).await;
        // One that lasts until it can be seen again is told.
        let later = page("VodServiceFaults", "later");
        fire(&server, &later).await;
        all_notified(&webhook, "firing", &in_groups(&later)).await;
        end(&server, &later).await;
        all_notified(&webhook, "resolved", &in_groups(&later)).await;
        end(&server, &blind).await;
        all_notified(&webhook, "resolved", &in_groups(&blind)).await;
        end(&server, &late).await;
        let told = all_notified(&webhook, "resolved", &in_groups(&late)).await;
        assert!(!told.contains_key(&group(&early[0])), "{told:?}");
    }
}

#[test]
fn the_example_is_valid() {
    let Some(referees) = Referees::find() else {
        return;
    };
    for tool in referees.tools("amtool") {
        let mut check = Command::new(&tool);
        let output = check.arg("check-config").arg(example()).output().unwrap();
        assert!(output.status.success(), "{check:?}: {output:?}");
    }
}

/// Alertmanager says nothing of a route or an inhibition that names an alert which does not exist.
#[test]
fn the_example_names_alerts_that_exist() {
    let known: BTreeSet<String> = alerts()
        .iter()
        .map(|alert| name(alert).to_owned())
        .collect();
    let text = std::fs::read_to_string(example()).unwrap();
    let matchers = text
        .lines()
        .flat_map(|line| line.split('\'').skip(1).step_by(2));
    let mut named = 0;
    for matcher in matchers.filter(|matcher| matcher.starts_with("alertname")) {
        let (_, names) = matcher.split_once('"').unwrap();
        let names = names.trim_end_matches('"');
        for name in names.split('|').filter(|name| *name != "Vod.+") {
            assert!(known.contains(name), "{matcher}");
            named += 1;
        }
    }
    assert!(named > MUTES.len(), "{named}");
}
