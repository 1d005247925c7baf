//! The example configuration of Alertmanager.

use std::path::PathBuf;
use std::process::Command;

use super::referees::Referees;
use super::rules;

/// Who hears of what; the names of per-video alerts are those of the exporter's own client.
const ROUTES: &[(&str, &[&str])] = &[
    ("dead-man", &["alertname=VodDeadMan", "severity=info"]),
    (
        "pager",
        &[
            "alertname=VodTranscodesStalled",
            "severity=critical",
            "queue=vod",
        ],
    ),
    ("pager", &["alertname=VodExporterDown", "severity=critical"]),
    (
        "tickets",
        &[
            "alertname=VodPoisonMessage",
            "severity=warning",
            "queue=vod",
        ],
    ),
    (
        "tickets",
        &[
            "alertname=VodThresholdMissing",
            "severity=warning",
            "threshold=drain_seconds",
        ],
    ),
    (
        "nobody",
        &["alertname=VodDepthUntrusted", "severity=info", "queue=vod"],
    ),
    (
        "videos",
        &[
            "alertname=VodTranscodeStalled",
            "severity=warning",
            "queue=vod",
            "video_id=v",
            "stage=submit",
        ],
    ),
    (
        "videos",
        &[
            "alertname=VodTranscodeFailed",
            "severity=warning",
            "queue=vod",
            "video_id=v",
            "stage=transcode",
        ],
    ),
];

fn example() -> PathBuf {
    rules::root().join("alerts/alertmanager.example.yaml")
}

fn amtool(referees: &Referees, words: &[&str]) {
    for tool in referees.tools("amtool") {
        let output = Command::new(&tool).args(words).output().unwrap();
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

#[test]
fn the_example_is_valid_and_routes_reach_who_they_are_for() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let example = example();
    let path = example.to_str().unwrap();
    amtool(&referees, &["check-config", path]);
    let config = format!("--config.file={path}");
    for (receiver, labels) in ROUTES {
        let verify = format!("--verify.receivers={receiver}");
        let words = ["config", "routes", "test", &config, &verify];
        let words: Vec<&str> = words.iter().chain(*labels).copied().collect();
        amtool(&referees, &words);
    }
}

/// Alertmanager ignores an inhibition that names an alert which does not exist.
#[test]
fn inhibitions_name_alerts_that_exist() {
    let config = rules::read(&example());
    let all = rules::all();
    let is_known = |name: &str| {
        all.iter().any(|rule| rule.is_alert && rule.name == name)
            || ["VodTranscodeStalled", "VodTranscodeFailed"].contains(&name)
    };
    let inhibitions = config["inhibit_rules"].as_array().unwrap();
    assert!(inhibitions.len() >= 4);
    for inhibition in inhibitions {
        for side in ["source_matchers", "target_matchers"] {
            for matcher in inhibition[side].as_array().unwrap() {
                let matcher = matcher.as_str().unwrap();
                let Some((_, names)) = matcher.split_once("alertname") else {
                    continue;
                };
                let names = names.trim_start_matches(['=', '~', '!']).trim_matches('"');
                for name in names.split('|').filter(|name| *name != "Vod.+") {
                    assert!(is_known(name), "{matcher}");
                }
            }
        }
    }
}
