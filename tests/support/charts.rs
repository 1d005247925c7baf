//! The charts, rendered by real helm.

#![allow(dead_code, reason = "no test file needs all of it")]
#![expect(clippy::expect_used, reason = "helpers of tests panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::referees::Referees;

/// Versions of helm that must agree.
pub(crate) const HELMS: [&str; 2] = ["3", "4"];
/// The oldest version of Kubernetes that is tried, without native sidecars, and the newest.
pub(crate) const KUBERNETES: [&str; 2] = ["1.27", "1.34"];

/// A copy of `helm/`, in which the example's dependency is built; gone on drop.
pub(crate) struct Charts {
    directory: TempDir,
    referees: Referees,
}

/// What helm said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) is_good: bool,
    pub(crate) text: String,
}

impl Charts {
    /// The charts as they are; `None` without referees.
    pub(crate) fn find() -> Option<Self> {
        let referees = Referees::find()?;
        // Not hidden, as temporary folders are by default: checkov overlooks those.
        let directory = tempfile::Builder::new().prefix("charts").tempdir();
        let directory = directory.expect("a temporary folder");
        copy(&root("helm"), &directory.path().join("helm"));
        let charts = Self {
            directory,
            referees,
        };
        let built = charts.helm("4", &["dependency", "build", "helm/examples/worker"]);
        assert!(built.is_good, "{}", built.text);
        Some(charts)
    }

    /// The charts with rules and dashboards that stand in for the project's.
    pub(crate) fn with_stand_ins() -> Option<Self> {
        let charts = Self::find()?;
        let files = charts.path("helm/vod-callback-exporter/files");
        if files.exists() {
            fs::remove_dir_all(&files).expect("the copy is ours");
        }
        copy(&root("tests/helm/chart-files"), &files);
        Some(charts)
    }

    /// Writes a chart into `helm/` of the copy, with this in its `Chart.yaml`, and builds its dependencies.
    pub(crate) fn write(&self, name: &str, head: &str, files: &[(&str, &str)]) {
        let chart = self.path("helm").join(name);
        fs::create_dir_all(chart.join("templates")).expect("a folder of ours");
        let head = format!("apiVersion: v2\nname: {name}\n{head}");
        for (file, text) in [&[("Chart.yaml", &*head)], files].concat() {
            fs::write(chart.join(file), text).expect("a file of ours");
        }
        let built = self.helm("4", &["dependency", "build", &format!("helm/{name}")]);
        assert!(built.is_good, "{}", built.text);
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn referees(&self) -> &Referees {
        &self.referees
    }

    /// Runs helm in the copy, with a home of its own.
    pub(crate) fn helm(&self, version: &str, arguments: &[&str]) -> Answer {
        let output = Command::new(self.referees.tool(&format!("helm/{version}/helm")))
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .output()
            .expect("helm starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Answer {
            is_good: output.status.success(),
            text: if output.status.success() {
                text(&output.stdout)
            } else {
                text(&output.stdout) + &text(&output.stderr)
            },
        }
    }

    /// Renders a case for a version of Kubernetes, with further arguments.
    pub(crate) fn template(
        &self,
        helm: &str,
        case: &str,
        kubernetes: &str,
        further: &[&str],
    ) -> Answer {
        let release = match case.split('-').next() {
            Some("worker") => "worker",
            Some("numeric") => "123",
            _ => "vod",
        };
        self.release(helm, release, case, kubernetes, further)
    }

    /// The same for a release of this name.
    pub(crate) fn release(
        &self,
        helm: &str,
        release: &str,
        case: &str,
        kubernetes: &str,
        further: &[&str],
    ) -> Answer {
        let values = values(case);
        let mut arguments = vec!["template", release, chart_of(case), "--namespace=video"];
        arguments.extend(["--kube-version", kubernetes, "--values", &values]);
        arguments.extend(further);
        self.helm(helm, &arguments)
    }

    /// A rendering that must succeed, in the one form that all versions of helm agree on.
    pub(crate) fn render(&self, helm: &str, case: &str, kubernetes: &str) -> String {
        let answer = self.template(helm, case, kubernetes, &[]);
        assert!(answer.is_good, "{case} with helm {helm}: {}", answer.text);
        normal(&answer.text)
    }
}

/// The names of all cases, which are files of values.
pub(crate) fn cases() -> Vec<String> {
    let files = fs::read_dir(root("tests/helm/values")).expect("the cases are there");
    let mut names: Vec<String> = files
        .map(|file| file.expect("a readable folder").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into())
        .collect();
    names.sort();
    assert!(names.len() >= 11, "{names:?}");
    names
}

/// The cases with an exporter in them.
pub(crate) fn cases_with_exporter() -> Vec<String> {
    let mut cases = cases();
    cases.retain(|case| case != "rules-only" && case != "worker-off");
    cases
}

/// The chart that a case is about.
pub(crate) fn chart_of(case: &str) -> &'static str {
    if case.starts_with("worker") {
        "helm/examples/worker"
    } else {
        "helm/vod-callback-exporter"
    }
}

pub(crate) fn values(case: &str) -> String {
    let path = root("tests/helm/values").join(format!("{case}.yaml"));
    path.display().to_string()
}

/// A path of the repository.
pub(crate) fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The manifests of a rendering.
pub(crate) fn manifests(rendered: &str) -> Vec<Value> {
    documents(rendered)
        .map(|text| {
            serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
        })
        .filter(|manifest: &Value| !manifest.is_null())
        .collect()
}

/// The one manifest of a kind.
pub(crate) fn one<'m>(manifests: &'m [Value], kind: &str) -> &'m Value {
    let mut found = manifests.iter().filter(|manifest| manifest["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    first
}

/// The pod's template of the workload.
pub(crate) fn pod_template(manifests: &[Value]) -> &Value {
    let mut found = manifests
        .iter()
        .filter(|manifest| manifest["kind"] == "Deployment" || manifest["kind"] == "StatefulSet");
    &found.next().expect("a workload")["spec"]["template"]
}

/// Every container of a pod, native sidecars included.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"]
        .into_iter()
        .filter_map(|list| pod["spec"][list].as_array())
        .flatten()
}

/// Versions of helm differ in the blank lines between documents.
fn normal(rendered: &str) -> String {
    let mut text = String::new();
    for document in documents(rendered).map(str::trim) {
        if document.lines().any(|line| !line.starts_with('#')) {
            text.extend(["---\n", document, "\n"]);
        }
    }
    if text.is_empty() {
        text.push('\n');
    }
    text
}

fn documents(rendered: &str) -> impl Iterator<Item = &str> {
    rendered.split("\n---\n").map(|text| {
        let text = text.strip_prefix("---\n").unwrap_or(text);
        text.trim_start_matches('\n')
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder of ours");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("a readable folder");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}
