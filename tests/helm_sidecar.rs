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
use std::os::unix::fs::symlink;
use std::process::Command;

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

/// A chart made of the README's blocks, whose first lines say which file each one is.
#[test]
fn what_the_readme_shows_is_a_chart() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let page = fs::read_to_string(root(README)).unwrap();
    let chart = charts.path("helm/readme");
    fs::create_dir_all(chart.join("templates")).unwrap();
    let mut files = Vec::new();
    for block in page.split("```yaml\n# ").skip(1) {
        let (name, text) = block.split_once('\n').unwrap();
        let text = text.split("```").next().unwrap();
        let head = if name == "Chart.yaml" {
            "apiVersion: v2\nname: readme\nversion: 0.1.0\n"
        } else {
            ""
        };
        fs::write(chart.join(name), head.to_owned() + text).unwrap();
        files.push(name);
    }
    assert_eq!(files.len(), 6, "{files:?}");

    let built = charts.helm("4", &["dependency", "build", "helm/readme"]);
    assert!(built.is_good, "{}", built.text);
    for helm in HELMS {
        let lint = charts.helm(helm, &["lint", "--strict", "helm/readme"]);
        assert!(lint.is_good, "{}", lint.text);
        for (kubernetes, list) in KUBERNETES.iter().zip(["containers", "initContainers"]) {
            let arguments = ["template", "a", "helm/readme", "--kube-version", kubernetes];
            let answer = charts.helm(helm, &arguments);
            assert!(answer.is_good, "{}", answer.text);
            let manifests = manifests(&answer.text);
            let pod = pod_template(&manifests);
            let of_list = pod["spec"][list].as_array().unwrap().last().unwrap();
            assert_eq!(of_list["name"], "vod-callback-exporter", "{pod}");
            assert_eq!(pod["spec"]["volumes"].as_array().unwrap().len(), 3);
            let selector = &one(&manifests, "PodMonitor")["spec"]["selector"]["matchLabels"];
            assert_eq!(selector, &pod["metadata"]["labels"]);
            one(&manifests, "ConfigMap");
        }
    }

    // And its command finds what is wrong with the config.
    let mut blocks = page.split("```sh\n").skip(1);
    let command = blocks.find(|block| block.contains("check-config")).unwrap();
    let command = command.split("```").next().unwrap();
    let programs = charts.path("programs");
    fs::create_dir(&programs).unwrap();
    let program = env!("CARGO_BIN_EXE_vod-callback-exporter");
    symlink(program, programs.join("vod-callback-exporter")).unwrap();
    symlink(charts.referees().tool("helm/4/helm"), programs.join("helm")).unwrap();
    let token = charts.path("token");
    fs::write(&token, "token").unwrap();
    let run = || {
        let output = Command::new("sh")
            .args(["-e", "-c", command])
            .current_dir(&chart)
            .env_clear()
            .env("HOME", charts.path(""))
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .env("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/r")
            .env(
                "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                "acs:ram::1:oidc-provider/p",
            )
            .env("ALIBABA_CLOUD_OIDC_TOKEN_FILE", &token)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = run();
    assert_eq!(code, Some(0), "{said}");
    let values = fs::read_to_string(chart.join("values.yaml")).unwrap();
    // Which no chart can see.
    let wrong = values.replace(
        "  config:\n",
        "  config:\n    alertmanager: {urls: [\"http://a\"], ca_file: /no-such/ca.pem}\n",
    );
    fs::write(chart.join("values.yaml"), wrong).unwrap();
    let (code, said) = run();
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("alertmanager.ca_file"), "{said}");
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
fn the_examples_pod_may_write_to_a_claim_as_its_own_service_account() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let manifests = manifests(&charts.render("3", "worker-consume", "1.34"));
    let spec = &pod_template(&manifests)["spec"];
    let mut volumes = spec["volumes"].as_array().unwrap().iter();
    let is_claim = |volume: &Value| volume["persistentVolumeClaim"]["claimName"] == "vod-state";
    assert!(volumes.any(is_claim), "{spec}");
    let mut all = containers(pod_template(&manifests));
    let sidecar = all.find(|item| item["name"] == "vod-callback-exporter");
    let group = &sidecar.unwrap()["securityContext"]["runAsGroup"];
    assert_eq!(&spec["securityContext"]["fsGroup"], group);

    let account = one(&manifests, "ServiceAccount");
    assert_eq!(spec["serviceAccountName"], account["metadata"]["name"]);
    let role = &account["metadata"]["annotations"]["pod-identity.alibabacloud.com/role-name"];
    assert_eq!(role, "vod-callback-exporter");
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
    // Which need not be asked for where there are no others, nor where the webhook is known to see all.
    for (native, kubernetes) in [("auto", "1.28"), ("always", "1.34")] {
        let set = format!("--set=vodCallbacks.native={native}");
        let answer = charts.template("4", "worker-webhook", kubernetes, &[&set]);
        assert!(answer.is_good, "{}", answer.text);
    }
}

/// The names of a kind, which must be those of as many resources.
fn names(manifests: &[Value], kind: &str) -> Vec<String> {
    let all = manifests
        .iter()
        .filter(|manifest| manifest["kind"] == kind)
        .map(|manifest| manifest["metadata"]["name"].as_str().unwrap());
    let mut names: Vec<String> = all.map(str::to_owned).collect();
    names.sort();
    let given = names.len();
    names.dedup();
    assert_eq!(names.len(), given, "{kind}: {names:?}");
    names
}

/// One config of two would be lost without a word, and with it a `mode: peek`.
#[test]
fn several_exporters_of_one_release_share_nothing() {
    let Some(charts) = Charts::find() else {
        return;
    };
    // The last three are alike in kebab case.
    let aliases = ["vodCallbacks", "vodA", "VodB", "vodB", "vod-b"];
    let mut head = "version: 0.1.0\ndependencies:\n".to_owned();
    let mut values = String::new();
    let mut template = String::new();
    for alias in aliases {
        writeln!(
            head,
            "  - {{name: vod-callback-sidecar, alias: {alias}, version: ^0.1.0, repository: \"file://../vod-callback-sidecar\"}}"
        )
        .unwrap();
        writeln!(
            values,
            "{alias}: {{podMonitor: {{enabled: true}}, config: {{queues: [{{name: {alias}, endpoint: \"https://mns.example.com\"}}]}}}}"
        )
        .unwrap();
        let dict = format!(r#"(dict "root" $ "key" "{alias}" "selector" (dict "a" "b"))"#);
        writeln!(
            template,
            "---\n{{{{ include \"vod-callback-sidecar.configMap\" {dict} }}}}\n\
             ---\n{{{{ include \"vod-callback-sidecar.podMonitor\" {dict} }}}}\n\
             ---\nkind: Volumes\nmetadata: {{name: {alias}}}\nvolumes:\n\
             {{{{ include \"vod-callback-sidecar.volumes\" {dict} }}}}"
        )
        .unwrap();
    }
    let files = [("values.yaml", &*values), ("templates/all.yaml", &template)];
    charts.write("aliases", &head, &files);
    // Two workers below a chart of charts, and one of them once more below one of those.
    let worker = charts.path("helm/examples/worker");
    let file = |file: &str| fs::read_to_string(worker.join(file)).unwrap();
    let head = "version: 0.1.0\ndependencies:\n";
    let alias = "  - {name: vod-callback-sidecar, alias: vodCallbacks, version: ^0.1.0, repository: \"file://../vod-callback-sidecar\"}\n";
    let files = [
        "values.yaml",
        "templates/_helpers.tpl",
        "templates/deployment.yaml",
        "templates/vod-callbacks-config.yaml",
        "templates/vod-callbacks-podmonitor.yaml",
    ]
    .map(|name| (name, file(name)));
    let files = files.each_ref().map(|(name, text)| (*name, &**text));
    for name in ["uploads", "encodes"] {
        charts.write(name, &(head.to_owned() + alias), &files);
    }
    let of = |name: &str| {
        format!("  - {{name: {name}, version: ^0.1.0, repository: \"file://../{name}\"}}\n")
    };
    charts.write("inner", &(head.to_owned() + &of("uploads")), &[]);
    let outer = ["uploads", "encodes", "inner"].map(of).concat();
    let consume = "encodes: {vodCallbacks: {mode: consume, config: {queues: [{name: a}]}}}\n";
    let files = [("values.yaml", consume)];
    charts.write("outer", &(head.to_owned() + &outer), &files);

    let release = "r".repeat(53);
    for helm in HELMS {
        for release in ["rel", &release] {
            for (chart, count) in [("aliases", 5), ("outer", 3)] {
                let chart = format!("helm/{chart}");
                let answer = charts.helm(helm, &["template", release, &chart]);
                assert!(answer.is_good, "{}", answer.text);
                let manifests = manifests(&answer.text);
                let of_config = names(&manifests, "ConfigMap");
                assert_eq!(of_config.len(), count, "{of_config:?}");
                assert_eq!(names(&manifests, "PodMonitor"), of_config);
                assert!(of_config.iter().all(|name| name.len() <= 63));
                // And every pod has its own config.
                let mut mounted: Vec<&str> = manifests
                    .iter()
                    .filter_map(|manifest| match manifest["kind"].as_str() {
                        Some("Volumes") => Some(&manifest["volumes"]),
                        Some("Deployment") => {
                            Some(&manifest["spec"]["template"]["spec"]["volumes"])
                        }
                        _ => None,
                    })
                    .map(|volumes| volumes[0]["configMap"]["name"].as_str().unwrap())
                    .collect();
                mounted.sort_unstable();
                assert_eq!(mounted, of_config);
                if release == "rel" {
                    let plain = match count {
                        5 => ["rel-vod-callbacks", "rel-vod-callbacks-vod-a"],
                        _ => ["rel-encodes-vod-callbacks", "rel-uploads-vod-callbacks"],
                    };
                    for name in plain {
                        assert!(of_config.iter().any(|given| given == name), "{of_config:?}");
                    }
                }
            }
        }
    }
}
