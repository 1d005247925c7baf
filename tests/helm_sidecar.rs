//! The library chart in a host's hands: what its templates render, what they refuse, and how they are switched off.

#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests panic and print"
)]

#[path = "support/charts.rs"]
mod charts;
#[path = "support/referees.rs"]
mod referees;

use std::fmt::Write as _;
use std::fs;

use charts::{Charts, HELMS, KUBERNETES, containers, manifests, one, pod_template, root, values};
use serde_json::Value;

const README: &str = "helm/vod-callback-sidecar/README.md";

/// The templates that a host includes, by the table of the README.
fn templates() -> Vec<String> {
    let page = fs::read_to_string(root(README)).unwrap();
    let names: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `vod-callback-sidecar."))
        .map(|line| line.split('`').next().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 8, "{names:?}");
    names
}

/// Has the host include templates with this dict, each under its name in the data of `all`.
fn include(charts: &Charts, templates: &[String], dict: &str) {
    let mut text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: all}\ndata:\n".to_owned();
    for name in templates {
        let template = format!("\"vod-callback-sidecar.{name}\"");
        writeln!(
            text,
            "  {name}: {{{{ include {template} ({dict}) | quote }}}}"
        )
        .unwrap();
    }
    let file = charts.path("helm/examples/worker/templates/all.yaml");
    fs::write(file, text).unwrap();
}

#[test]
fn every_template_renders_something_and_nothing_when_it_is_switched_off() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let dict = r#"dict "root" $ "key" "vodCallbacks" "selector" (dict "a" "b")"#;
    include(&charts, &templates(), dict);
    let rendered = |helm, kubernetes, case: &str| {
        let show = "--show-only=templates/all.yaml";
        let answer = charts.template(helm, case, kubernetes, &[show]);
        assert!(answer.is_good, "{}", answer.text);
        one(&manifests(&answer.text), "ConfigMap")["data"].clone()
    };
    for helm in HELMS {
        for kubernetes in KUBERNETES {
            let (on, off) = (
                rendered(helm, kubernetes, "worker"),
                rendered(helm, kubernetes, "worker-off"),
            );
            let other = if kubernetes == "1.27" {
                "initContainers"
            } else {
                "containers"
            };
            for name in templates() {
                assert_eq!(on[&name] == "", name == other, "{name} for {kubernetes}");
                assert_eq!(off[&name], "", "{name} for {kubernetes}");
            }
        }
    }
}

#[test]
fn a_host_without_the_sidecar_is_the_worker_alone() {
    let Some(charts) = Charts::find() else {
        return;
    };
    for kubernetes in KUBERNETES {
        let manifests = manifests(&charts.render("4", "worker-off", kubernetes));
        let pod = pod_template(&manifests);
        let names: Vec<&Value> = containers(pod)
            .map(|container| &container["name"])
            .collect();
        assert_eq!(names, ["worker"]);
        assert!(pod["spec"].get("volumes").is_none(), "{pod}");
        assert!(pod["metadata"].get("annotations").is_none(), "{pod}");
        let added = ["ConfigMap", "PodMonitor"];
        let left = manifests
            .iter()
            .filter(|manifest| added.iter().any(|kind| manifest["kind"] == *kind));
        assert_eq!(left.count(), 0, "{manifests:?}");
    }
    // It needs no queue then.
    let no_queue = "--set-json=vodCallbacks.config.queues=[]";
    for helm in HELMS {
        let on = charts.template(helm, "worker", "1.34", &[no_queue]);
        assert!(!on.is_good && on.text.contains("found no queue"), "{on:?}");
        let off = charts.template(helm, "worker-off", "1.34", &[no_queue]);
        assert!(off.is_good, "{}", off.text);
    }
}

#[test]
fn a_wrong_dict_is_refused_by_every_template() {
    let Some(charts) = Charts::find() else {
        return;
    };
    for (dict, said) in [
        (
            r#"dict "root" $"#,
            "found no key in what a template was given, expected the alias",
        ),
        (
            r#"dict "key" "vodCallbacks""#,
            "found no root in what a template was given, expected the chart's $",
        ),
        ("$", "found no root in what a template was given"),
        (
            r#"dict "root" $ "key" "vodCallback""#,
            "vodCallback: found no values, expected those of vod-callback-sidecar",
        ),
        (r#"dict "root" $ "key" """#, "key: found no values"),
        (r#"dict "root" $ "key" "image""#, "image: found no values"),
    ] {
        for name in templates() {
            include(&charts, std::slice::from_ref(&name), dict);
            let answer = charts.template("4", "worker", "1.34", &[]);
            assert!(!answer.is_good, "{name} takes {dict}");
            assert!(
                answer.text.contains(said),
                "{name}, {dict}: {}",
                answer.text
            );
        }
    }
}

#[test]
fn names_that_look_like_numbers_stay_text() {
    let Some(charts) = Charts::find() else {
        return;
    };
    for case in ["worker", "worker-consume"] {
        let values = values(case);
        let install = ["template", "123", "helm/examples/worker", "--namespace=124"];
        let names = [
            "--set-string=vodCallbacks.fullnameOverride=125",
            "--set-string=vodCallbacks.credentials.existingSecret=126",
            "--set-string=vodCallbacks.webConfig.existingSecret=127",
            "--set-string=vodCallbacks.credentials.type=secret",
            "--set-string=vodCallbacks.credentials.rrsa.roleArn=",
            "--set-string=vodCallbacks.credentials.rrsa.oidcProviderArn=",
        ];
        let arguments = [&install[..], &names, &["--values", &values]].concat();
        let answer = charts.helm("4", &arguments);
        assert!(answer.is_good, "{}", answer.text);
        for manifest in manifests(&answer.text) {
            assert_no_number(&manifest, &manifest);
        }
        for name in ["123", "124", "125", "126", "127"] {
            assert!(answer.text.contains(name), "{name}: {}", answer.text);
        }
    }
}

/// No number from 123 to 127 is left below `value`: each was given as a name.
fn assert_no_number(value: &Value, manifest: &Value) {
    match value {
        Value::Number(number) => {
            let is_name = number
                .as_u64()
                .is_some_and(|number| (123..=127).contains(&number));
            assert!(!is_name, "{number} in {manifest}");
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| assert_no_number(item, manifest)),
        Value::Object(map) => map
            .values()
            .for_each(|item| assert_no_number(item, manifest)),
        _ => {}
    }
}

#[test]
fn the_clusters_webhook_may_give_the_role() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let manifests = manifests(&charts.render("3", "worker-webhook", "1.34"));
    let config = one(&manifests, "ConfigMap")["data"]["vod-callback-exporter.yaml"].as_str();
    assert!(config.unwrap().contains("credentials: oidc"), "{config:?}");
    let pod = pod_template(&manifests);
    let mut sidecars = containers(pod).filter(|item| item["name"] == "vod-callback-exporter");
    let sidecar = sidecars.next().unwrap();
    // The webhook sets the environment and mounts the token.
    assert!(sidecar.get("env").is_none(), "{sidecar}");
    let text = pod.to_string();
    assert!(!text.contains("serviceAccountToken\""), "{pod}");
    // It only does so in plain containers.
    assert!(pod["spec"].get("initContainers").is_none(), "{pod}");
}
