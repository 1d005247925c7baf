//! What is to be seen of an alert in a scene, and promtool, which judges it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use vod_callback_exporter::alertmanager::alerts::{GRAFANA, RUNBOOKS};

use super::scene::{Scene, quoted};
use crate::proof::set_thresholds;
use crate::referees::Referees;
use crate::rules::{self, Rule};

pub(super) enum Look {
    /// Not once until then.
    Never(u32),
    /// At that minute: the labels of all that fire.
    Firing(u32, Vec<String>),
    /// At the end: the labels of the one that fires, the end of its link and its sentences.
    Saying {
        labels: &'static str,
        dashboard: &'static str,
        description: &'static str,
    },
}

/// What is to be seen of an alert in a scene.
pub(super) struct Case {
    pub(super) alert: &'static str,
    pub(super) name: String,
    pub(super) scene: Scene,
    /// Thresholds that are not as in the file.
    pub(super) thresholds: Vec<(&'static str, f64)>,
    /// Thresholds that queue `vod` has for itself.
    pub(super) own: Vec<(&'static str, f64)>,
    pub(super) looks: Vec<Look>,
}

// === impl Case ===

impl Case {
    pub(super) fn new(alert: &'static str, name: impl Into<String>, scene: Scene) -> Self {
        Self {
            alert,
            name: name.into(),
            scene,
            thresholds: Vec::new(),
            own: Vec::new(),
            looks: Vec::new(),
        }
    }

    /// Fires at the end of its scene, once for each of these labels and no other.
    pub(super) fn fires(self, labels: &[&str]) -> Self {
        let end = self.scene.minutes;
        self.at(end, labels)
    }

    pub(super) fn at(mut self, minute: u32, labels: &[&str]) -> Self {
        let labels = labels.iter().map(ToString::to_string).collect();
        self.looks.push(Look::Firing(minute, labels));
        self
    }

    /// Is silent in all of its scene.
    pub(super) fn never(self) -> Self {
        let end = self.scene.minutes;
        self.not_before(end)
    }

    pub(super) fn not_before(mut self, minute: u32) -> Self {
        self.looks.push(Look::Never(minute));
        self
    }

    /// With another threshold.
    pub(super) fn set(mut self, threshold: &'static str, value: f64) -> Self {
        self.thresholds.push((threshold, value));
        self
    }

    /// With a threshold that is the queue's own.
    pub(super) fn own(mut self, threshold: &'static str, value: f64) -> Self {
        self.own.push((threshold, value));
        self
    }

    fn tests(&self, severity: &str) -> Vec<Value> {
        let alert = self.alert;
        let firing = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
        let test = |look: &Look| match look {
            Look::Saying { .. } => None,
            Look::Never(until) => Some(json!({
                "expr": format!("count_over_time({firing}[{until}m]) # {}", self.name),
                "eval_time": format!("{until}m"),
                "exp_samples": [],
            })),
            Look::Firing(minute, labels) => {
                let samples = labels.iter().map(|labels| {
                    let own = quoted(labels.split(' ').filter_map(|label| label.split_once('=')));
                    let all = format!(
                        "ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",severity=\"{severity}\",{own}}}"
                    );
                    json!({"labels": all, "value": 1})
                });
                Some(json!({
                    "expr": format!("{firing} # {}", self.name),
                    "eval_time": format!("{minute}m"),
                    "exp_samples": samples.collect::<Vec<_>>(),
                }))
            }
        };
        self.looks.iter().filter_map(test).collect()
    }

    /// Labels of the one that says something.
    pub(super) fn said(&self) -> &'static str {
        let labels = self.looks.iter().find_map(|look| match look {
            Look::Saying { labels, .. } => Some(*labels),
            Look::Never(_) | Look::Firing(..) => None,
        });
        labels.expect("it says something")
    }

    /// What the alert is to say, all of it.
    pub(super) fn sayings(&self, rule: &Rule) -> Vec<Value> {
        let saying = |look: &Look| {
            let Look::Saying {
                labels,
                dashboard,
                description,
            } = look
            else {
                return None;
            };
            let mut all = json!({"severity": rule.severity});
            for (name, value) in labels.split(' ').filter_map(|label| label.split_once('=')) {
                all[name] = value.into();
            }
            Some(json!({
                "eval_time": format!("{}m", self.scene.minutes),
                "alertname": self.alert,
                "exp_alerts": [{
                    "exp_labels": all,
                    "exp_annotations": {
                        "summary": rule.annotation("summary"),
                        "description": description,
                        "runbook_url": format!("{RUNBOOKS}/{}.md", self.alert),
                        "dashboard_url": format!("{GRAFANA}/d/{dashboard}"),
                    },
                }],
            }))
        };
        self.looks.iter().filter_map(saying).collect()
    }
}

/// What each of some promtools has to complain about each sheet of cases.
pub(super) fn judge(promtools: &[PathBuf], sheets: &[Vec<Case>]) -> Vec<Vec<String>> {
    let folder = TempDir::new().unwrap();
    let mut tests = Vec::new();
    let mut of_sheet = Vec::new();
    for (number, sheet) in sheets.iter().enumerate() {
        // promtool evaluates all rules of a file: only those that the alert needs, as often as it needs.
        let mut files: BTreeMap<(&str, u32, String), Vec<&Case>> = BTreeMap::new();
        for case in sheet {
            let thresholds = format!("{:?} {:?}", case.thresholds, case.own);
            let key = (case.alert, case.scene.every, thresholds);
            files.entry(key).or_default().push(case);
        }
        for ((alert, every, _), cases) in files {
            let path = |what: &str| folder.path().join(format!("{}.{what}.yaml", tests.len()));
            let mut rules = rules::needed_by(&[alert]);
            let thresholds = cases[0].thresholds.iter().copied();
            set_thresholds(
                &mut rules,
                thresholds.map(|(name, value)| (name, format!("vector({value:?})"))),
            );
            rules.extend(
                cases[0]
                    .own
                    .iter()
                    .map(|(name, value)| Rule::own(name, *value)),
            );
            let rule = rules.iter().find(|rule| rule.name == alert);
            let rule = rule.unwrap_or_else(|| panic!("no alert {alert}"));
            let selectors = rules
                .iter()
                .flat_map(|rule| rules::names(&rule.expr).selectors);
            let wanted: BTreeSet<String> = selectors.map(|selector| selector.metric).collect();
            let groups = cases.iter().map(|case| {
                json!({
                    "interval": format!("{every}m"),
                    "input_series": case.scene.input(|name| wanted.contains(name)),
                    "promql_expr_test": case.tests(&rule.severity),
                    "alert_rule_test": case.sayings(rule),
                })
            });
            let file = json!({
                "rule_files": [path("rules")],
                "evaluation_interval": format!("{every}m"),
                // A threshold that comes late is too old for what compares with it.
                "group_eval_order": ["a", "b"],
                "tests": groups.collect::<Vec<_>>(),
            });
            std::fs::write(path("rules"), rules::as_file(&rules).to_string()).unwrap();
            std::fs::write(path("test"), file.to_string()).unwrap();
            tests.push(path("test"));
            of_sheet.push(number);
        }
    }
    let mut complaints = Vec::new();
    for tool in promtools {
        let log = folder.path().join("log");
        // Successes go to one stream and failures to the other.
        let stream = File::create(&log).unwrap();
        Command::new(tool)
            .args(["test", "rules"])
            .args(&tests)
            .stdout(stream.try_clone().unwrap())
            .stderr(stream)
            .status()
            .unwrap();
        let said = std::fs::read_to_string(&log).unwrap();
        // A part for each file; not all versions name it.
        let mut parts: Vec<String> = Vec::new();
        for line in said.lines() {
            if line.starts_with("  SUCCESS") || line.starts_with("  FAILED") {
                parts.push(String::new());
            }
            if let Some(part) = parts.last_mut() {
                *part += line;
                part.push('\n');
            }
        }
        assert_eq!(parts.len(), tests.len(), "{} says:\n{said}", tool.display());
        let mut found = vec![String::new(); sheets.len()];
        for (number, part) in of_sheet.iter().zip(parts) {
            if !part.starts_with("  SUCCESS") {
                found[*number] += &part;
            }
        }
        complaints.push(found);
    }
    complaints
}

pub(super) fn hold(cases: Vec<Case>) {
    let Some(referees) = Referees::find() else {
        return;
    };
    for complaint in judge(&referees.tools("promtool"), &[cases]).concat() {
        assert!(complaint.is_empty(), "promtool test rules:\n{complaint}");
    }
}
