//! The charts, rendered by two versions of helm for two of Kubernetes, and judged by others.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests panic and print"
)]

#[path = "support/charts.rs"]
mod charts;
#[path = "support/referees.rs"]
mod referees;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use charts::{
    Charts, HELMS, KUBERNETES, cases, cases_with_exporter, chart_of, containers, manifests, one,
    pod_template, root, values,
};
use clap::Parser as _;
use serde_json::{Value, json};
use vod_callback_exporter::cli::Cli;

const OPERATOR: &str = "monitoring.coreos.com/v1";

#[test]
fn every_case_is_linted_and_renders_alike() {
    let Some(charts) = Charts::find() else {
        return;
    };
    for helm in HELMS {
        let lint = charts.helm(helm, &["lint", "--strict", "helm/vod-callback-sidecar"]);
        assert!(lint.is_good, "{}", lint.text);
    }
    for case in cases() {
        for kubernetes in KUBERNETES {
            let rendered = HELMS.map(|helm| {
                let values = values(&case);
                let lint = ["lint", "--strict", "--kube-version", kubernetes];
                let lint = [&lint[..], &["--values", &values, chart_of(&case)]].concat();
                let lint = charts.helm(helm, &lint);
                assert!(lint.is_good, "{case} with helm {helm}: {}", lint.text);
                charts.render(helm, &case, kubernetes)
            });
            assert_eq!(rendered[0], rendered[1], "{case} for {kubernetes}");
        }
    }
}

#[test]
fn schemas_of_kubernetes_and_the_operator_and_checkov_accept_every_case() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let mut of_operator = Vec::new();
    let mut folders = Vec::new();
    for kubernetes in KUBERNETES {
        let folder = charts.path(kubernetes);
        fs::create_dir(&folder).unwrap();
        for case in cases() {
            let rendered = charts.render("4", &case, kubernetes);
            fs::write(folder.join(format!("{case}.yaml")), &rendered).unwrap();
            let manifests = manifests(&rendered).into_iter();
            of_operator.extend(manifests.filter(|manifest| manifest["apiVersion"] == OPERATOR));
        }
        folders.push((kubernetes, folder));
    }

    let mut python = Command::new(charts.referees().tool("charts/python/bin/python"));
    python.arg(root("tests/referees/python/manifests.py"));
    for (kubernetes, folder) in &folders {
        python.arg(format!("{kubernetes}={}", folder.display()));
    }
    succeeds(python);

    assert!(of_operator.len() >= 10);
    let file = charts.path("operator.json");
    fs::write(&file, serde_json::to_string(&of_operator).unwrap()).unwrap();
    succeeds(operator(&charts, &file));

    // Without the test pods: they end by themselves, and need no probes.
    let folder = charts.path("installed");
    fs::create_dir(&folder).unwrap();
    for case in cases() {
        let answer = charts.template("4", &case, "1.34", &["--skip-tests"]);
        fs::write(folder.join(format!("{case}.yaml")), answer.text).unwrap();
    }
    let summary = checkov(&charts, &folder);
    assert_eq!(summary["failed"], 0, "{summary}");
    assert!(
        summary["passed"]
            .as_u64()
            .is_some_and(|passed| passed > 500)
    );
}

#[test]
fn judges_refuse_what_is_wrong() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let wrong = json!([
        {"apiVersion": OPERATOR, "kind": "PodMonitor", "metadata": {"name": "typo"},
         "spec": {"selector": {}, "podMetricsEndpoints": [{"prot": "x"}]}},
        {"apiVersion": OPERATOR, "kind": "PodMonitor", "metadata": {"name": "time"},
         "spec": {"selector": {}, "podMetricsEndpoints": [{"interval": "soon"}]}},
    ]);
    let file = charts.path("operator.json");
    fs::write(&file, wrong.to_string()).unwrap();
    let output = operator(&charts, &file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        text.contains("prot") && text.contains("does not exist"),
        "{text}"
    );
    assert!(text.contains("interval must match"), "{text}");

    let folder = charts.path("wrong");
    fs::create_dir(&folder).unwrap();
    let service = "apiVersion: v1\nkind: Service\nspec: {sort: ClusterIP}\n";
    fs::write(folder.join("service.yaml"), service).unwrap();
    let mut python = Command::new(charts.referees().tool("charts/python/bin/python"));
    python
        .arg(root("tests/referees/python/manifests.py"))
        .arg(format!("1.34={}", folder.display()));
    let output = python.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("sort"), "{text}");

    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: a, securityContext: {privileged: true}}]}\n";
    fs::write(folder.join("pod.yaml"), pod).unwrap();
    let summary = checkov(&charts, &folder);
    assert!(summary["failed"].as_u64().is_some_and(|failed| failed > 5));
}

#[test]
fn renderings_are_as_reviewed() {
    let Some(charts) = Charts::with_stand_ins() else {
        return;
    };
    for case in cases() {
        insta::assert_snapshot!(case.as_str(), charts.render("4", &case, "1.34"));
    }
    // The one thing that the version of Kubernetes changes.
    let old = charts.render("4", "worker", "1.27");
    insta::assert_snapshot!("worker_before_native_sidecars", old);
}

/// A folder as a Secret is mounted, for `check-config`.
fn secrets(charts: &Charts) -> PathBuf {
    let secrets = charts.path("secrets");
    fs::create_dir(&secrets).unwrap();
    for key in ["access-key-id", "access-key-secret", "token"] {
        fs::write(secrets.join(key), "secret").unwrap();
    }
    secrets
}

#[test]
fn arguments_and_configs_are_what_the_exporter_takes() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let secrets = secrets(&charts);
    for case in cases_with_exporter() {
        let manifests = manifests(&charts.render("4", &case, "1.34"));
        for arguments in all_arguments(&manifests) {
            let program = "/vod-callback-exporter".to_owned();
            let parsed = Cli::try_parse_from([vec![program], arguments].concat());
            assert!(parsed.is_ok(), "{case}: {}", parsed.unwrap_err());
        }

        check_config(&charts, &secrets, &manifests);
    }
}

#[test]
fn a_file_s_name_adds_no_argument() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let key = "web.yml\n  - --mode=consume";
    for helm in HELMS {
        for (case, at) in [("web-config", ""), ("worker-consume", "vodCallbacks.")] {
            let set = format!("--set-json={at}webConfig.key={}", json!(key));
            let refused = charts.template(helm, case, "1.34", &[&set]);
            assert!(!refused.is_good, "{}", refused.text);
            // Nor where nobody looks at the schema.
            let forced = [&*set, "--skip-schema-validation"];
            let answer = charts.template(helm, case, "1.34", &forced);
            assert!(answer.is_good, "{}", answer.text);
            let file = format!("--web.config.file=/etc/vod-callback-exporter/web/{key}");
            for arguments in all_arguments(&manifests(&answer.text)) {
                assert!(
                    !arguments
                        .iter()
                        .any(|argument| argument == "--mode=consume")
                );
                assert!(arguments[0] == "probe" || arguments.contains(&file));
            }
        }
    }
}

#[test]
fn neighbours_of_what_is_refused_are_what_the_exporter_takes() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let secrets = secrets(&charts);
    let mut tried = 0;
    for line in include_str!("helm/accepted.txt").lines() {
        let Some((case, set)) = line.split_once(" | ") else {
            assert!(line.is_empty() || line.starts_with('#'), "{line}");
            continue;
        };
        tried += 1;
        let set = format!("--set={set}");
        for helm in HELMS {
            let answer = charts.template(helm, case, "1.34", &[&set]);
            assert!(answer.is_good, "helm {helm}, {line}: {}", answer.text);
            check_config(&charts, &secrets, &manifests(&answer.text));
        }
    }
    assert!(tried >= 20);
}

#[test]
fn the_commented_example_of_a_config_fits_both_charts() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let secrets = charts.path("secrets");
    fs::create_dir(&secrets).unwrap();
    for key in ["access-key-id", "access-key-secret"] {
        fs::write(secrets.join(key), "secret").unwrap();
    }
    let example = fs::read_to_string(root("config/vod-callback-exporter.example.yaml")).unwrap();
    let indented = |indent: &str| -> String {
        let lines = example.lines().map(|line| format!("{indent}{line}\n"));
        lines.collect()
    };
    let alone = format!("mode: consume\nconfig:\n{}", indented("  "));
    let beside = format!(
        "vodCallbacks:\n  mode: consume\n  credentials: {{type: chain, rrsa: {{roleArn: \"\", oidcProviderArn: \"\"}}}}\n  config:\n{}",
        indented("    ")
    );
    for (case, values) in [("peek", alone), ("worker", beside)] {
        let file = charts.path(&format!("{case}-example.yaml"));
        fs::write(&file, values).unwrap();
        let file = format!("--values={}", file.display());
        for helm in HELMS {
            let answer = charts.template(helm, case, "1.34", &[&file]);
            assert!(answer.is_good, "{case} with helm {helm}: {}", answer.text);
            let manifests = manifests(&answer.text);
            let config: Value = serde_saphyr::from_str(config_of(&manifests)).unwrap();
            let urls = &config["alertmanager"]["urls"];
            assert_eq!(urls.as_array().map(Vec::len), Some(2), "{config}");
            check_config(&charts, &secrets, &manifests);
        }
    }
}

/// The config file in a rendering.
fn config_of(manifests: &[Value]) -> &str {
    let mut configs = manifests
        .iter()
        .filter_map(|manifest| manifest["data"]["vod-callback-exporter.yaml"].as_str());
    configs.next().unwrap()
}

/// Lets the exporter judge the config file of a rendering; the keys of its Secrets are files in `secrets`.
fn check_config(charts: &Charts, secrets: &Path, manifests: &[Value]) {
    let config = config_of(manifests).replace(
        "/etc/vod-callback-exporter/credentials",
        &secrets.display().to_string(),
    );
    let file = charts.path("config.yaml");
    fs::write(&file, config).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
    check
        .env_clear()
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
        .env("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/r")
        .env(
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
            "acs:ram::1:oidc-provider/p",
        )
        .env("ALIBABA_CLOUD_OIDC_TOKEN_FILE", secrets.join("token"))
        .arg("check-config")
        .arg(format!("--config.file={}", file.display()));
    succeeds(check);
}

#[test]
fn pods_are_restricted_and_found_by_what_selects_them() {
    let Some(charts) = Charts::find() else {
        return;
    };
    for (case, kubernetes) in cases_with_exporter()
        .iter()
        .flat_map(|case| KUBERNETES.map(|kubernetes| (case, kubernetes)))
    {
        let manifests = manifests(&charts.render("4", case, kubernetes));
        let pod = pod_template(&manifests);
        assert_restricted(case, pod);
        let test = manifests.iter().find(|manifest| manifest["kind"] == "Pod");
        if let Some(test) = test {
            assert_restricted(case, test);
        }
        for pod in [Some(pod), test].into_iter().flatten() {
            assert_mounts_have_volumes(case, &manifests, pod);
        }

        let of_pod = |manifest: &Value| labels(&manifest["metadata"]["labels"]);
        for manifest in &manifests {
            let selector = match manifest["kind"].as_str().unwrap() {
                "Service" => &manifest["spec"]["selector"],
                "Deployment" | "StatefulSet" | "PodMonitor" | "PodDisruptionBudget" => {
                    &manifest["spec"]["selector"]["matchLabels"]
                }
                "NetworkPolicy" => &manifest["spec"]["podSelector"]["matchLabels"],
                "ServiceMonitor" => {
                    let wanted = labels(&manifest["spec"]["selector"]["matchLabels"]);
                    let service = of_pod(one(&manifests, "Service"));
                    assert!(contains(&service, &wanted), "{case}: {manifest}");
                    continue;
                }
                _ => continue,
            };
            let wanted = labels(selector);
            assert!(contains(&of_pod(pod), &wanted), "{case}: {manifest}");
            let strays = test.is_some_and(|test| contains(&of_pod(test), &wanted));
            assert!(!strays, "{case}: the test pod is selected by {manifest}");
        }

        let ports: Vec<&Value> = containers(pod)
            .flat_map(|container| container["ports"].as_array().into_iter().flatten())
            .collect();
        let named = ports.iter().filter(|port| port["name"] == "vod-metrics");
        assert_eq!(named.count(), 1, "{case}");
    }
}

#[test]
fn the_host_gets_a_native_sidecar_from_1_29_on_and_a_container_before() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let names = |kubernetes| {
        let manifests = manifests(&charts.render("3", "worker", kubernetes));
        let spec = pod_template(&manifests)["spec"].clone();
        ["initContainers", "containers"].map(|list| {
            let list = spec[list].as_array().cloned().unwrap_or_default();
            let name = |item: &Value| {
                let restart = item["restartPolicy"].as_str().unwrap_or("-");
                format!("{} {restart}", item["name"].as_str().unwrap())
            };
            list.iter().map(name).collect::<Vec<_>>().join(", ")
        })
    };
    let native = ["vod-callback-exporter Always", "worker -"];
    let plain = ["", "worker -, vod-callback-exporter -"];
    assert_eq!(names("1.34"), native);
    assert_eq!(names("1.29"), native);
    assert_eq!(names("1.28"), plain);
    assert_eq!(names("1.27"), plain);
}

/// The same without helm: nothing may drift.
#[test]
fn plain_manifests_are_what_the_example_renders() {
    let Some(charts) = Charts::find() else {
        return;
    };
    // What only helm means something by.
    let is_plain = |line: &&str| {
        let line = line.trim_start();
        !["# Source:", "app.kubernetes.io/managed-by:", "helm.sh/"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let rendered = charts.render("4", "worker", "1.34");
    let (of_operator, others): (Vec<&str>, Vec<&str>) = rendered
        .split_inclusive("---\n")
        .partition(|document| document.contains(OPERATOR));
    for (name, needs, documents) in [
        ("worker", "", others),
        (
            "worker-podmonitor",
            ", where the Prometheus operator runs",
            of_operator,
        ),
    ] {
        let text = documents.concat();
        let text: Vec<&str> = text
            .trim_end_matches("---\n")
            .lines()
            .filter(is_plain)
            .collect();
        let text = format!(
            "# What the chart in worker/ renders, for those without helm{needs}:\n\
             # kubectl apply --namespace video --filename {name}.yaml\n\
             # Kept by `UPDATE_DOCS=1 cargo test --test helm`.\n{}\n",
            text.join("\n")
        );
        let path = root(&format!("helm/examples/{name}.yaml"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == text,
            "{} is old: run UPDATE_DOCS=1 cargo test --test helm",
            path.display()
        );
    }
}

#[test]
fn only_thresholds_of_rules_come_from_values() {
    let Some(charts) = Charts::with_stand_ins() else {
        return;
    };
    let rendered = |further: &[&str]| charts.template("3", "rules-only", "1.34", further);
    let groups = |further: &[&str]| {
        let answer = rendered(further);
        assert!(answer.is_good, "{}", answer.text);
        one(&manifests(&answer.text), "PrometheusRule")["spec"]["groups"].clone()
    };
    let set = "prometheusRule.thresholds";
    let kept = groups(&[]);
    let changed = groups(&[
        &format!("--set={set}.oldest_message_seconds=60"),
        &format!("--set={set}.failure_ratio=0.2"),
        &format!("--set={set}.silence_seconds=3600"),
    ]);
    assert_eq!(kept[0], changed[0], "other groups stay");
    assert_eq!(kept[1]["rules"][0]["expr"], "vector(900)");
    assert_eq!(changed[1]["rules"][0]["expr"], "vector(60)");
    assert_eq!(changed[1]["rules"][1]["expr"], "0.2");
    assert_eq!(changed[1]["rules"][2]["expr"], "vector(3600)");
    let never = groups(&[&format!("--set={set}.failure_ratio=Inf")]);
    assert_eq!(never[1]["rules"][1]["expr"], "Inf");
    let file = root("tests/helm/chart-files/alerts/queue.yaml");
    let source: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(kept[0], source["groups"][0], "and are the source's");

    let unknown = rendered(&[&format!("--set={set}.oldest=60")]);
    assert!(!unknown.is_good);
    for part in [
        "prometheusRule.thresholds.oldest:",
        "expected one of: failure_ratio, oldest_message_seconds, silence_seconds",
    ] {
        assert!(unknown.text.contains(part), "{}", unknown.text);
    }
    let dashboards = rendered(&["--show-only=templates/dashboards.yaml"]);
    let config_map = one(&manifests(&dashboards.text), "ConfigMap").clone();
    let told = config_map["data"]["vod_overview.json"].as_str().unwrap();
    let source = fs::read_to_string(root("tests/helm/chart-files/dashboards/vod_overview.json"));
    assert_eq!(told.trim_end(), source.unwrap().trim_end());
}

/// The project's own rules, as they are installed.
#[test]
fn the_project_s_rules_are_rendered_as_they_are_but_for_thresholds() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let groups = |further: &[&str]| {
        let answer = charts.template("4", "rules-only", "1.34", further);
        assert!(answer.is_good, "{}", answer.text);
        let mut groups = one(&manifests(&answer.text), "PrometheusRule")["spec"]["groups"].clone();
        groups.as_array_mut().unwrap().sort_by_key(name_of);
        groups
    };
    let mut source = Vec::new();
    for file in fs::read_dir(root("alerts/rules")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let file: Value = serde_saphyr::from_str(&text).unwrap();
        source.extend(file["groups"].as_array().unwrap().clone());
    }
    source.sort_by_key(name_of);
    assert_eq!(groups(&[]), Value::from(source.clone()));

    // Every threshold can be set, and nothing else changes with it.
    let thresholds = source
        .iter_mut()
        .find(|group| group["name"] == "vod-thresholds");
    let mut further = Vec::new();
    for rule in thresholds.unwrap()["rules"].as_array_mut().unwrap() {
        let name = rule["record"].as_str().unwrap();
        let name = name.strip_prefix("vod:threshold:").unwrap();
        further.push(format!("--set=prometheusRule.thresholds.{name}=0.125"));
        rule["expr"] = "vector(0.125)".into();
    }
    assert!(further.len() > 10);
    let further: Vec<&str> = further.iter().map(String::as_str).collect();
    let changed = groups(&further);
    assert_eq!(changed, Value::from(source.clone()));

    // As can those of a queue.
    let own = source
        .iter()
        .find(|group| group["name"] == "vod-queue-thresholds");
    let mut further = Vec::new();
    let mut expected = Vec::new();
    for rule in own.unwrap()["rules"].as_array().unwrap() {
        let name = rule["record"].as_str().unwrap();
        let name = name.strip_prefix("vod:queue_threshold:").unwrap();
        let set = "--set=prometheusRule.queueThresholds";
        further.push(format!("{set}.nightly.{name}=5400"));
        further.push(format!("{set}.silent.{name}=Inf"));
        for (queue, value) in [("nightly", "5400"), ("silent", "Inf")] {
            expected.push(json!({
                "record": format!("vod:own_threshold:{name}"),
                "expr": format!("vector({value})"),
                "labels": {"queue": queue},
            }));
        }
    }
    let further: Vec<&str> = further.iter().map(String::as_str).collect();
    let own = groups(&further);
    let added = own.as_array().unwrap().iter();
    let added: Vec<&Value> = added
        .filter(|group| group["name"] == "vod-own-thresholds")
        .map(|group| &group["rules"])
        .collect();
    assert_eq!(added, [&Value::from(expected)]);

    for (name, groups) in [("kept", groups(&[])), ("changed", changed), ("own", own)] {
        let file = charts.path(&format!("{name}.json"));
        fs::write(&file, json!({"groups": groups}).to_string()).unwrap();
        let promtool = charts.referees().tool("prometheus/usr/bin/promtool");
        let mut promtool = Command::new(promtool);
        promtool.args(["check", "rules"]).arg(&file);
        succeeds(promtool);
    }
}

fn name_of(group: &Value) -> String {
    group["name"].as_str().unwrap().to_owned()
}

#[test]
fn names_are_unique_and_fit_however_long_the_release_s_is() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let release = "r".repeat(53);
    let longest = format!("--set=fullnameOverride={}", "n".repeat(63));
    let label = format!("--set=nameOverride={}", "l".repeat(63));
    let everything = [
        "--set=dashboards.enabled=true",
        "--set=prometheusRule.enabled=true",
    ];
    for case in ["peek-full", "consume-statefulset", "web-config"] {
        for further in [vec![], vec![longest.as_str()], vec![label.as_str()]] {
            let further = [&everything[..], &further].concat();
            let answer = charts.release("4", &release, case, "1.34", &further);
            assert!(answer.is_good, "{case}: {}", answer.text);
            let manifests = manifests(&answer.text);
            let mut seen = BTreeSet::new();
            for manifest in &manifests {
                let kind = manifest["kind"].as_str().unwrap();
                let name = manifest["metadata"]["name"].as_str().unwrap();
                // Its pods have a label of the name and a hash.
                let limit = if kind == "StatefulSet" { 52 } else { 63 };
                assert!(name.len() <= limit, "{case}: {kind} {name}");
                assert!(seen.insert((kind, name)), "{case}: two are {kind} {name}");
            }
            assert!(seen.len() >= 9, "{case}: {seen:?}");
            let all_labels = manifests
                .iter()
                .filter_map(|manifest| manifest["metadata"]["labels"].as_object());
            for label in all_labels.flat_map(|labels| labels.values()) {
                assert!(label.as_str().unwrap().len() <= 63, "{case}: {label}");
            }
        }
    }
}

#[test]
fn labels_fit_however_long_an_alias_and_a_version_is() {
    let Some(charts) = Charts::find() else {
        return;
    };
    // Cut at 63 characters, both end with what no label may end with.
    let alias = "a".repeat(62);
    let head = format!(
        "version: 2.10.0-feature-new-video-pipeline.20251124.1a2b3c4d5e6f+build.991\n\
         dependencies:\n\
         {sidecar}, alias: vodCallbacks}}\n\
         {exporter}, alias: {alias}}}\n",
        sidecar = dependency("vod-callback-sidecar"),
        exporter = dependency("vod-callback-exporter"),
    );
    let config = r#"config: {queues: [{name: a, endpoint: "https://mns.example.com"}]}"#;
    let values = format!("vodCallbacks: {{{config}}}\n{alias}: {{{config}}}\n");
    let template =
        r#"{{ include "vod-callback-sidecar.configMap" (dict "root" $ "key" "vodCallbacks") }}"#;
    let files = [
        ("values.yaml", &*values),
        ("templates/config.yaml", template),
    ];
    charts.write("newest", &head, &files);
    for helm in HELMS {
        let answer = charts.helm(helm, &["template", "rel", "helm/newest"]);
        assert!(answer.is_good, "{}", answer.text);
        let manifests = manifests(&answer.text);
        let mut of_charts = BTreeSet::new();
        for manifest in &manifests {
            let labels = labels(&manifest["metadata"]["labels"]);
            for (label, value) in &labels {
                let is_label = value.len() <= 63
                    && value.starts_with(|first: char| first.is_ascii_alphanumeric())
                    && value.ends_with(|last: char| last.is_ascii_alphanumeric());
                assert!(is_label, "{label}: {value} in {manifest}");
            }
            of_charts.extend(labels.get("helm.sh/chart").cloned());
        }
        assert_eq!(of_charts.len(), 2, "{of_charts:?}");
    }
}

#[test]
fn names_are_legal_under_any_alias() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let aliases = ["vodExporter", "VOD_Exporter2", "_callbacks-"];
    let exporter = dependency("vod-callback-exporter");
    let items = aliases.map(|alias| format!("{exporter}, alias: {alias}}}\n"));
    let head = format!("version: 0.1.0\ndependencies:\n{}", items.concat());
    let values = aliases.map(|alias| {
        format!(
            "{alias}: {{prometheusRule: {{enabled: true}}, dashboards: {{enabled: true}}, \
             config: {{queues: [{{name: a, endpoint: \"https://mns.example.com\"}}]}}}}\n"
        )
    });
    charts.write("aliases", &head, &[("values.yaml", &values.concat())]);
    for helm in HELMS {
        for is_exporter in [true, false] {
            for has_service in [true, false] {
                let set = aliases.map(|alias| {
                    format!(
                        "--set={alias}.exporter.enabled={is_exporter},{alias}.service.enabled={has_service}"
                    )
                });
                let set = set.each_ref().map(String::as_str);
                let template = ["template", "rel", "helm/aliases"];
                let answer = charts.helm(helm, &[&template[..], &set].concat());
                assert!(answer.is_good, "{}", answer.text);
                let mut seen = BTreeSet::new();
                for manifest in manifests(&answer.text) {
                    let name = manifest["metadata"]["name"].as_str().unwrap().to_owned();
                    let is_legal = |name: &str| {
                        let small =
                            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                        name.chars().all(small) && !name.ends_with('-')
                    };
                    assert!(is_legal(&name), "{name}");
                    let kind = manifest["kind"].as_str().unwrap().to_owned();
                    assert!(seen.insert((kind, name.clone())), "{name}");
                }
                let names: BTreeSet<&str> = seen.iter().map(|(_, name)| name.as_str()).collect();
                for name in ["rel-vod-exporter", "rel-vod-exporter2", "rel-callbacks"] {
                    assert!(names.contains(name), "{names:?}");
                }
            }
        }
    }
}

/// An item of a chart's `dependencies`, still open.
fn dependency(chart: &str) -> String {
    format!("  - {{name: {chart}, version: ^0.1.0, repository: \"file://../{chart}\"")
}

#[test]
fn another_config_makes_other_pods_and_nothing_else_does() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let checksum = |case: &str, further: &[&str]| {
        let answer = charts.template("4", case, "1.34", further);
        assert!(answer.is_good, "{case}: {}", answer.text);
        let manifests = manifests(&answer.text);
        let annotations = &pod_template(&manifests)["metadata"]["annotations"];
        annotations["checksum/vod-callback-exporter"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (case, at) in [("peek", ""), ("worker", "vodCallbacks.")] {
        let kept = checksum(case, &[]);
        for same in [
            "log.level=debug",
            "port=9000",
            "image.tag=v2",
            "podMonitor.interval=1m",
        ] {
            assert_eq!(
                checksum(case, &[&format!("--set={at}{same}")]),
                kept,
                "{same}"
            );
        }
        for other in [
            "config.defaults.tick=2m",
            "config.queues[0].name=b",
            "mode=consume",
        ] {
            assert_ne!(
                checksum(case, &[&format!("--set={at}{other}")]),
                kept,
                "{other}"
            );
        }
    }
}

#[test]
fn the_test_pod_may_reach_the_exporter() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let manifests = manifests(&charts.render("4", "peek-full", "1.34"));
    let test = labels(&one(&manifests, "Pod")["metadata"]["labels"]);
    let from = &one(&manifests, "NetworkPolicy")["spec"]["ingress"][0]["from"];
    let own_namespace = from
        .as_array()
        .unwrap()
        .iter()
        .filter(|peer| peer["namespaceSelector"].is_null() && peer["podSelector"].is_object());
    let admits = |peer: &Value| contains(&test, &labels(&peer["podSelector"]["matchLabels"]));
    assert!(own_namespace.clone().any(admits), "{from}");

    // Without a Service there is no test, and nobody else is let in.
    let closed = charts.template("4", "peek-full", "1.34", &["--set=service.enabled=false"]);
    let manifests = self::manifests(&closed.text);
    let from = &one(&manifests, "NetworkPolicy")["spec"]["ingress"][0]["from"];
    assert_eq!(from.as_array().map(Vec::len), Some(1), "{from}");
}

/// Else it waits where only tainted nodes, or those with a label, take pods.
#[test]
fn the_test_pod_runs_where_the_exporter_may() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let manifests = manifests(&charts.render("4", "peek-full", "1.34"));
    let test = &one(&manifests, "Pod")["spec"];
    let exporter = &pod_template(&manifests)["spec"];
    for key in [
        "affinity",
        "nodeSelector",
        "priorityClassName",
        "tolerations",
    ] {
        assert!(!exporter[key].is_null(), "{key}");
        assert_eq!(test[key], exporter[key], "{key}");
    }
}

#[test]
fn egress_asks_for_the_ports_that_the_config_needs() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let is_good = |further: &[&str]| {
        let answer = charts.template("4", "peek-full", "1.34", further);
        answer.is_good
    };
    let am = "--set=config.alertmanager.urls[0]=http://alertmanager:9093";
    assert!(!is_good(&[am]));
    assert!(is_good(&[
        am,
        "--set=networkPolicy.egress.ports={443,9093}"
    ]));
    // What stays in the pod asks for none, and behind a proxy it is the proxy's alone.
    assert!(is_good(&[
        "--set=config.accounts.other.credentials=uri",
        "--set=config.accounts.other.credentials_uri=http://localhost:8080/a"
    ]));
    let region = "--set=config.queues[2].region=cn-shanghai";
    let mns = "--set=config.queues[2].endpoint=http://mns.example.com";
    assert!(!is_good(&[region, mns]));
    let proxy = "--set=config.accounts.other.proxy=https://proxy.example.com";
    assert!(is_good(&[region, mns, proxy]));
}

#[test]
fn only_links_of_rules_and_dashboards_lead_where_values_say() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let placeholders = [
        "https://runbooks.example.com/vod-callback-exporter",
        "https://grafana.example.com",
    ];
    let own = ["https://wiki.example.org/runbooks", "http://grafana:3000"];
    let [runbooks, grafana] = own;
    let set = [
        &*format!("--set=links.runbooks={runbooks}"),
        &format!("--set=links.grafana={grafana}"),
    ];
    for (further, links) in [(&[][..], placeholders), (&set, own)] {
        let answer = charts.template("3", "rules-only", "1.34", further);
        assert!(answer.is_good, "{}", answer.text);
        let source = |path: &Path| {
            let text = fs::read_to_string(path).unwrap();
            let text = text.replace(placeholders[0], links[0]);
            text.replace(placeholders[1], links[1])
        };
        let mut left = placeholders.into_iter();
        let is_left = left.any(|placeholder| answer.text.contains(placeholder));
        assert_eq!(is_left, further.is_empty());
        for link in links {
            assert!(answer.text.contains(link), "{link}");
        }

        let manifests = manifests(&answer.text);
        let mut groups = Vec::new();
        for path in files("alerts/rules") {
            let file: Value = serde_saphyr::from_str(&source(&path)).unwrap();
            groups.extend(file["groups"].as_array().unwrap().clone());
        }
        let rules = &one(&manifests, "PrometheusRule")["spec"]["groups"];
        assert_eq!(rules.as_array().unwrap(), &groups);

        let mut boards = manifests
            .iter()
            .filter(|manifest| manifest["kind"] == "ConfigMap");
        let mut paths = files("dashboards");
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        for path in paths {
            let name = path.file_name().unwrap().to_str().unwrap();
            let board = boards.next().unwrap()["data"][name].as_str().unwrap();
            assert_eq!(board.trim_end(), source(&path).trim_end(), "{name}");
        }
        assert_eq!(boards.count(), 0);
    }
}

/// The files of a folder, in the order of their names.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn rules_dashboards_and_shared_templates_are_copies_of_their_one_source() {
    let output = Command::new(root("scripts/charts")).arg("check").output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn notes_say_what_to_open_and_warn_of_two_consumers() {
    let Some(charts) = Charts::find() else {
        return;
    };
    // The older helm tells notes only where it has a cluster, so that a manifest has to tell them.
    let told = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: told}\n\
                data: {notes: {{ include (print .Template.BasePath \"/NOTES.txt\") . | quote }}}\n";
    let rendered = |helm: &str, case: &str, further: &[&str]| {
        let show = ["--show-only=templates/told.yaml"];
        let answer = charts.template(helm, case, "1.34", &[&show[..], further].concat());
        assert!(answer.is_good, "{}", answer.text);
        let manifests = manifests(&answer.text);
        let notes = &one(&manifests, "ConfigMap")["data"]["notes"];
        notes.as_str().unwrap().trim().to_owned()
    };
    for chart in [chart_of("peek"), chart_of("worker")] {
        let file = charts.path(chart).join("templates/told.yaml");
        fs::write(file, told).unwrap();
    }
    let notes = |case: &str, further: &[&str]| {
        let [older, newer] = HELMS.map(|helm| rendered(helm, case, further));
        assert_eq!(older, newer);
        let values = values(case);
        let install = ["install", "vod", chart_of(case), "--namespace=video"];
        let values = ["--dry-run=client", "--values", &values];
        let answer = charts.helm("4", &[&install[..], &values, further].concat());
        assert!(answer.is_good, "{}", answer.text);
        let installed = answer.text.split("NOTES:").nth(1).unwrap_or_default();
        // Its release has one name for all cases; no notes of a worker tell it.
        assert_eq!(installed.trim(), newer);
        newer
    };
    let peek = notes("peek", &[]);
    for part in [
        "port-forward deployment/vod-vod-callback-exporter 10058:10058",
        "http://localhost:10058/metrics",
        "helm test --namespace video vod",
        "Nothing scrapes it yet",
        "No alert rules",
    ] {
        assert!(peek.contains(part), "{peek}");
    }
    assert!(!peek.contains("DELETES"), "{peek}");
    let counters = "Counters live as long as the pod";
    let volatile = notes("consume-deployment", &[]);
    assert!(volatile.contains(counters), "{volatile}");
    for kept in ["consume-claim", "consume-statefulset"] {
        assert!(!notes(kept, &[]).contains(counters), "{kept}");
    }
    let volume = "--set=state.volume.persistentVolumeClaim.claimName=a";
    assert!(!notes("consume-deployment", &[volume]).contains(counters));
    let memory = "--set=state.volume.emptyDir.medium=Memory";
    assert!(notes("consume-deployment", &[memory]).contains(counters));
    let stateful = notes("consume-statefulset", &[]);
    assert!(stateful.contains("DELETES"), "{stateful}");
    assert!(stateful.contains("statefulset/"), "{stateful}");

    let warning = "WARNING: vodCallbacks.mode is consume, and there are up to 3 pods";
    let alone = notes("worker-consume", &[]);
    assert!(!alone.contains("WARNING"), "{alone}");
    let scaled = notes("worker-consume", &["--set=replicas=3"]);
    assert!(scaled.contains(warning), "{scaled}");
    let peeking = notes("worker", &["--set=replicas=3"]);
    assert!(!peeking.contains("WARNING"), "{peeking}");
    assert_eq!(notes("worker-off", &["--set=replicas=3"]), "");
    let native = "--set=vodCallbacks.native=always";
    let warning =
        "WARNING: vodCallbacks.native is always, and vodCallbacks.credentials.rrsa has no";
    let overlooked = notes("worker-webhook", &[native]);
    assert!(overlooked.contains(warning), "{overlooked}");
    for seen in [notes("worker-webhook", &[]), notes("worker", &[native])] {
        assert!(!seen.contains("WARNING"), "{seen}");
    }

    let nowhere = |further: &[&str]| {
        let told = notes("rules-only", further);
        ["links.runbooks", "links.grafana"].map(|link| told.contains(link))
    };
    let runbooks = "--set=links.runbooks=https://wiki.example.org";
    let grafana = "--set=links.grafana=https://grafana.example.org";
    let am = "--set=config.alertmanager.urls[0]=http://alertmanager:9093";
    assert_eq!(nowhere(&[]), [true, true]);
    assert_eq!(nowhere(&[runbooks]), [false, true]);
    assert_eq!(nowhere(&[runbooks, grafana]), [false, false]);
    // Dashboards link to each other without an address.
    let no_rules = "--set=prometheusRule.enabled=false";
    assert_eq!(nowhere(&[no_rules]), [true, false]);
    // Nor do alerts about single videos lead anywhere by themselves.
    let videos = |further: &[&str]| {
        let told = notes("peek", &[&[no_rules, am], further].concat());
        ["links.runbooks", "links.grafana"].map(|link| told.contains(link))
    };
    let am_runbooks = "--set=config.alertmanager.runbooks=https://wiki.example.org";
    assert_eq!(videos(&[]), [true, true]);
    assert_eq!(videos(&[am_runbooks]), [false, true]);
    assert_eq!(videos(&[am_runbooks, grafana]), [false, false]);
}

/// One value is enough for all links: those of the rules, and those of alerts that the exporter sends itself.
#[test]
fn links_of_alerts_about_single_videos_lead_where_values_say() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let render = |case: &str, further: &[&str]| {
        let answer = charts.template("4", case, "1.34", further);
        assert!(answer.is_good, "{}", answer.text);
        let manifests = manifests(&answer.text);
        let config: Value = serde_saphyr::from_str(config_of(&manifests)).unwrap();
        ["grafana", "runbooks"].map(|link| config["alertmanager"][link].clone())
    };
    let am = "--set=config.alertmanager.urls[0]=http://alertmanager:9093";
    let [wiki, grafana] = [
        "https://wiki.example.org/runbooks",
        "https://grafana.example.org",
    ];
    let links = [
        &*format!("--set=links.runbooks={wiki}"),
        &format!("--set=links.grafana={grafana}"),
    ];
    let own = "--set=config.alertmanager.grafana=http://grafana:3000";
    let nowhere = [Value::Null, Value::Null];
    assert_eq!(render("peek", &[am]), nowhere);
    assert_eq!(render("peek", &links), nowhere, "no alerts, no links");
    assert_eq!(render("peek", &[am, links[0], links[1]]), [grafana, wiki]);
    let with_own = [am, links[0], links[1], own];
    assert_eq!(render("peek", &with_own), ["http://grafana:3000", wiki]);
    assert_eq!(render("peek-full", &[]), [grafana, wiki]);
    // What a worker's chart calls `links` is none of the library's business.
    let beside = [
        "--set=links.grafana=https://shop.example.org",
        "--set=vodCallbacks.config.alertmanager.urls[0]=http://alertmanager:9093",
    ];
    assert_eq!(render("worker", &beside), nowhere);
}

/// Its count of passed and failed checks; failures are printed.
fn checkov(charts: &Charts, folder: &Path) -> Value {
    let mut checkov = Command::new(charts.referees().tool("charts/python/bin/checkov"));
    checkov
        .arg("--config-file")
        .arg(root("tests/helm/checkov.yaml"))
        .arg("--directory")
        .arg(folder);
    let output = checkov.output().expect("checkov starts");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    for failed in report["results"]["failed_checks"].as_array().unwrap() {
        eprintln!(
            "{} {} {}",
            failed["check_id"], failed["check_name"], failed["resource"]
        );
    }
    report["summary"].clone()
}

fn operator(charts: &Charts, file: &Path) -> Command {
    let mut node = Command::new(charts.referees().tool("bin/node"));
    node.env(
        "OPERATOR_MODULES",
        charts.referees().tool("charts/node/node_modules"),
    )
    .arg(root("tests/referees/operator/operator.mjs"))
    .arg(file);
    node
}

/// The arguments of every container and probe that runs the exporter's image.
fn all_arguments(manifests: &[Value]) -> Vec<Vec<String>> {
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let test = manifests
        .iter()
        .filter(|manifest| manifest["kind"] == "Pod");
    let pods = test.chain([pod_template(manifests)]);
    let mut all = Vec::new();
    for container in pods.flat_map(containers) {
        if container["args"].is_array() {
            all.push(texts(&container["args"]));
        }
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let command = &container[probe]["exec"]["command"];
            if command.is_array() {
                let command = texts(command);
                assert_eq!(command[0], "/vod-callback-exporter");
                all.push(command[1..].to_vec());
            }
        }
    }
    assert!(!all.is_empty());
    all
}

/// What the restricted Pod Security Standard asks of a pod, and a read-only root file system.
fn assert_restricted(case: &str, pod: &Value) {
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false, "{case}");
    for container in containers(pod) {
        let own = &container["securityContext"];
        let either = |key: &str| {
            let own = &own[key];
            if own.is_null() {
                &pod["spec"]["securityContext"][key]
            } else {
                own
            }
            .clone()
        };
        assert_eq!(either("runAsNonRoot"), true, "{case}: {container}");
        assert!(either("runAsUser").as_u64().is_some_and(|user| user > 0));
        assert_eq!(either("seccompProfile")["type"], "RuntimeDefault", "{case}");
        assert_eq!(own["allowPrivilegeEscalation"], false, "{case}");
        assert_eq!(own["capabilities"]["drop"], json!(["ALL"]), "{case}");
        assert_eq!(own["readOnlyRootFilesystem"], true, "{case}");
    }
}

/// No container mounts a volume that its pod does not have, nor one that the workload claims.
fn assert_mounts_have_volumes(case: &str, manifests: &[Value], pod: &Value) {
    let mut claims = Vec::new();
    if pod["kind"] != "Pod" {
        let all = manifests
            .iter()
            .map(|manifest| &manifest["spec"]["volumeClaimTemplates"]);
        let all = all.filter_map(Value::as_array).flatten();
        claims.extend(all.map(|claim| &claim["metadata"]["name"]));
    }
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let volumes: Vec<&Value> = volumes
        .map(|volume| &volume["name"])
        .chain(claims)
        .collect();
    for container in containers(pod) {
        let mounts = container["volumeMounts"].as_array().into_iter().flatten();
        for mount in mounts {
            assert!(volumes.contains(&&mount["name"]), "{case}: {mount}");
        }
    }
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let labels = value.as_object().unwrap_or_else(|| panic!("{value}"));
    let text = |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap().to_owned());
    labels.iter().map(text).collect()
}

fn contains(all: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    !wanted.is_empty()
        && wanted
            .iter()
            .all(|(key, value)| all.get(key) == Some(value))
}

fn succeeds(mut command: Command) {
    let output = command.output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
