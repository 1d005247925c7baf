//! What the charts take: wrong values are refused with their path, and schema, values and documentation agree.

#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests panic and print"
)]

#[path = "support/charts.rs"]
mod charts;
#[path = "support/config_schema.rs"]
mod config_schema;
#[path = "support/referees.rs"]
mod referees;

use std::fmt::Write as _;
use std::fs;

use charts::{Charts, HELMS, chart_of, root, values};
use serde_json::{Map, Value};

const CHARTS: [&str; 2] = ["vod-callback-exporter", "vod-callback-sidecar"];

/// A case, what is changed in it, the path that is named and what else is said.
type Bad = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

/// Wrong by themselves: the schema refuses them.
const OUT_OF_SCHEMA: &[Bad] = &[
    ("peek", "imge.tag=1", "", &["imge"]),
    ("peek", "image.tagg=1", "image", &["tagg"]),
    ("peek", "image.digest=latest", "image.digest", &["sha256"]),
    ("peek", "mode=tap", "mode", &["peek", "consume"]),
    ("peek", "mode={peek,consume}", "mode", &["string"]),
    (
        "peek",
        "kind=DaemonSet",
        "kind",
        &["Deployment", "StatefulSet"],
    ),
    ("peek", "replicas=11", "replicas", &["10"]),
    ("peek", "replicas=many", "replicas", &["integer"]),
    ("peek", "port=99999", "port", &["65535"]),
    (
        "peek",
        "log.level=loud",
        "log.level",
        &["error", "warn", "info", "debug", "trace"],
    ),
    (
        "peek",
        "credentials.type=key",
        "credentials.type",
        &["chain", "rrsa", "secret"],
    ),
    (
        "peek",
        "credentials.rrsa.roleArn=role",
        "credentials.rrsa.roleArn",
        &["acs:ram::"],
    ),
    ("peek", "config.queue[0].name=a", "config", &["queue"]),
    (
        "peek",
        "config.queues[0].nmae=a",
        "config.queues.0",
        &["nmae"],
    ),
    (
        "peek",
        "config.queues[0].mode=tap",
        "config.queues.0.mode",
        &["peek", "consume"],
    ),
    (
        "peek",
        "config.defaults.workers=65",
        "config.defaults.workers",
        &["64"],
    ),
    (
        "peek",
        "config.accounts.a.credentials=key",
        "config.accounts.a.credentials",
        &["chain", "oidc"],
    ),
    (
        "peek",
        "service.type=External",
        "service.type",
        &["ClusterIP", "NodePort", "LoadBalancer"],
    ),
    (
        "peek",
        "persistence.size=much",
        "persistence.size",
        &["[0-9]"],
    ),
    (
        "peek",
        "podMonitor.interval=often",
        "podMonitor.interval",
        &["[0-9]"],
    ),
    (
        "peek",
        "prometheusRule.thresholds.a=high",
        "prometheusRule.thresholds.a",
        &["[0-9]"],
    ),
    ("peek", "image=null", "", &["image"]),
    ("worker", "vodCallbacks.prot=1", "", &["prot"]),
    (
        "worker",
        "vodCallbacks.native=yes",
        "native",
        &["auto", "always", "never"],
    ),
    (
        "worker",
        "vodCallbacks.mode=both",
        "mode",
        &["peek", "consume"],
    ),
];

/// Wrong together: templates refuse them. The path is told as it is written.
const CONTRADICTORY: &[Bad] = &[
    (
        "peek",
        "config.queues=null",
        "config.queues:",
        &["found no queue", "at least one"],
    ),
    (
        "peek",
        "config.defaults.mode=consume",
        "config.defaults.mode:",
        &["found consume", "set mode instead", "peek or consume"],
    ),
    (
        "peek",
        "config.queues[0].mode=consume",
        "config.queues[0].mode:",
        &["found consume, and mode is peek", "expected peek"],
    ),
    (
        "peek",
        "config.defaults.endpoint=null",
        "config.queues[0].endpoint:",
        &["found nothing", "expected a URL"],
    ),
    (
        "peek",
        "config.queues[0].prefix=a",
        "config.queues[0]:",
        &["name and prefix", "either name or prefix"],
    ),
    (
        "peek",
        "kind=StatefulSet",
        "kind:",
        &["found StatefulSet, and mode is peek", "expected Deployment"],
    ),
    (
        "peek",
        "persistence.enabled=true",
        "persistence.existingClaim:",
        &["found nothing", "PersistentVolumeClaim"],
    ),
    (
        "peek",
        "credentials.type=secret",
        "credentials.existingSecret:",
        &["found nothing", "name of a Secret"],
    ),
    (
        "peek",
        "credentials.existingSecret=a",
        "credentials.type:",
        &["found chain", "expected secret"],
    ),
    (
        "peek",
        "credentials.rrsa.roleName=a",
        "credentials.type:",
        &["found chain", "expected rrsa"],
    ),
    (
        "web-config",
        "credentials.rrsa.oidcProviderArn=",
        "credentials.rrsa:",
        &["one of roleArn and oidcProviderArn", "expected both"],
    ),
    (
        "web-config",
        "config.accounts.default.credentials=ecs",
        "config.accounts.default.credentials:",
        &["credentials.type rrsa", "one of the two"],
    ),
    (
        "web-config",
        "service.enabled=false",
        "service.enabled:",
        &["serviceMonitor.enabled is true", "podMonitor.enabled"],
    ),
    (
        "web-config",
        "podMonitor.enabled=true",
        "serviceMonitor.enabled:",
        &["podMonitor.enabled is true", "one of the two"],
    ),
    (
        "consume-deployment",
        "replicas=2",
        "replicas:",
        &["found 2, and mode is consume", "expected 0 or 1"],
    ),
    (
        "consume-deployment",
        "updateStrategy.type=RollingUpdate",
        "updateStrategy.type:",
        &["found RollingUpdate", "expected Recreate"],
    ),
    (
        "consume-deployment",
        "kind=StatefulSet",
        "persistence:",
        &["found no volume of its own", "persistence.enabled: true"],
    ),
    (
        "consume-deployment",
        "config.queues[0].role=dead_letter",
        "mode:",
        &["every queue", "expected peek"],
    ),
    (
        "consume-deployment",
        "config.queues[1].mode=consume",
        "config.queues[1].mode:",
        &["dead_letter", "expected peek"],
    ),
    (
        "consume-statefulset",
        "replicas=2",
        "replicas:",
        &["found 2", "expected 0 or 1"],
    ),
    (
        "consume-statefulset",
        "persistence.existingClaim=a",
        "persistence:",
        &["without existingClaim"],
    ),
    (
        "consume-statefulset",
        "serviceAccount.create=false",
        "credentials.rrsa.roleName:",
        &["serviceAccount.create is false", "annotate"],
    ),
    (
        "peek-full",
        "podDisruptionBudget.maxUnavailable=1",
        "podDisruptionBudget:",
        &["both or neither", "one of the two"],
    ),
    (
        "peek-full",
        "extraArgs[0]=--mode=consume",
        "extraArgs[0]:",
        &["found --mode", "--web.enable-lifecycle"],
    ),
    (
        "peek-full",
        "prometheusRule.thresholds.no_such=1",
        "prometheusRule.thresholds.no_such:",
        &["unknown threshold", "expected one of"],
    ),
    (
        "worker",
        "vodCallbacks.config.queues=null",
        "vodCallbacks.config.queues:",
        &["at least one"],
    ),
    (
        "worker",
        "vodCallbacks.config.queues[0].mode=consume",
        "vodCallbacks.config.queues[0].mode:",
        &["vodCallbacks.mode is peek"],
    ),
    (
        "worker",
        "vodCallbacks.credentials.type=secret",
        "vodCallbacks.credentials.existingSecret:",
        &["name of a Secret"],
    ),
];

#[test]
fn wrong_values_are_refused_with_their_path_and_what_is_allowed() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let all = OUT_OF_SCHEMA.iter().chain(CONTRADICTORY);
    for ((case, set, path, said), helm) in all.flat_map(|bad| HELMS.map(|helm| (bad, helm))) {
        let file = values(case);
        let set = format!("--set={set}");
        let lint = ["lint", "--strict", chart_of(case), "--values", &file, &set];
        for answer in [
            charts.template(helm, case, "1.34", &[&set]),
            charts.helm(helm, &lint),
        ] {
            assert!(!answer.is_good, "{case} {set}, helm {helm}: accepted");
            // Versions of helm write a schema's path in two ways.
            let pointer = format!("'/{}'", path.replace('.', "/"));
            let dotted = format!(" {path}: ");
            let named = path.is_empty()
                || answer.text.contains(path) && path.ends_with(':')
                || answer.text.contains(&pointer)
                || answer.text.contains(&dotted);
            assert!(
                named,
                "{case} {set}, helm {helm}, no {path}: {}",
                answer.text
            );
            for part in *said {
                assert!(
                    answer.text.contains(part),
                    "{case} {set}, helm {helm}, no {part}: {}",
                    answer.text
                );
            }
        }
    }
}

#[test]
fn native_sidecars_are_refused_where_there_are_none() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let set = "--set=vodCallbacks.native=always";
    assert!(charts.template("3", "worker", "1.29", &[set]).is_good);
    let old = charts.template("3", "worker", "1.28", &[set]);
    assert!(!old.is_good);
    let said = "vodCallbacks.native: found always";
    assert!(old.text.contains(said), "{}", old.text);
    assert!(old.text.contains("expected auto or never"), "{}", old.text);
}

#[test]
fn the_schema_of_config_is_what_the_exporter_takes_as_documentation() {
    for chart in CHARTS {
        let path = root(&format!("helm/{chart}/values.schema.json"));
        let mut schema = json(&path);
        schema["properties"]["config"] = config_schema::schema();
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        keep(&path, &text);
    }
}

#[test]
fn values_and_schemas_have_the_same_keys() {
    for chart in CHARTS {
        let schema = json(&root(&format!("helm/{chart}/values.schema.json")));
        let values = default_values(chart);
        let mut rows = Vec::new();
        collect(&schema, &values, "", &mut rows);
        for row in rows.iter().filter(|row| row.path != "global") {
            assert!(row.default.is_some(), "{chart}: no value {}", row.path);
        }
    }
}

/// What both charts have is said alike, so that one block of values serves both.
#[test]
fn both_charts_take_the_same_values() {
    let [app, library] =
        CHARTS.map(|chart| json(&root(&format!("helm/{chart}/values.schema.json"))));
    let [app_values, library_values] = CHARTS.map(default_values);
    for (key, value) in library["properties"].as_object().unwrap() {
        match key.as_str() {
            "native" | "global" => {}
            // The library makes no service account that could be annotated.
            "credentials" => {
                let mut of_app = app["properties"][key].clone();
                let rrsa = &mut of_app["properties"]["rrsa"];
                rrsa["properties"]
                    .as_object_mut()
                    .unwrap()
                    .remove("roleName");
                let required = rrsa["required"].as_array_mut().unwrap();
                required.retain(|key| key != "roleName");
                assert_eq!(value, &of_app);
            }
            _ => {
                assert_eq!(value, &app["properties"][key], "{key}");
                assert_eq!(library_values[key], app_values[key], "{key}");
            }
        }
    }
}

#[test]
fn charts_have_the_version_of_the_exporter() {
    for chart in CHARTS {
        let text = fs::read_to_string(root(&format!("helm/{chart}/Chart.yaml"))).unwrap();
        let chart: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
        assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn the_tables_of_values_are_documentation() {
    const MARK: &str =
        "<!-- values: written by `UPDATE_DOCS=1 cargo test --test helm_values documentation` -->\n";
    for chart in CHARTS {
        let schema = json(&root(&format!("helm/{chart}/values.schema.json")));
        let mut rows = Vec::new();
        collect(&schema, &default_values(chart), "", &mut rows);
        let mut table = "\n| value | takes | default | meaning |\n|---|---|---|---|\n".to_owned();
        for row in rows.iter().filter(|row| row.path != "global") {
            let default = row.default.as_ref().map_or_else(String::new, default_text);
            let takes = takes(row.schema);
            let meaning = row.schema["description"].as_str().unwrap();
            writeln!(
                table,
                "| `{}` | {takes} | {default} | {meaning} |",
                row.path
            )
            .unwrap();
        }
        table.push('\n');
        let path = root(&format!("helm/{chart}/README.md"));
        let page = fs::read_to_string(&path).unwrap();
        let parts: Vec<&str> = page.split(MARK).collect();
        assert_eq!(parts.len(), 3, "{} has two marks", path.display());
        keep(&path, &[parts[0], &table, parts[2]].join(MARK));
    }
}

/// One value of a chart.
struct Row<'s> {
    path: String,
    schema: &'s Value,
    default: Option<Value>,
}

/// The values below `schema`, in the order of their names. The exporter's own config is one value.
fn collect<'s>(schema: &'s Value, values: &Value, path: &str, rows: &mut Vec<Row<'s>>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    for (key, schema) in properties {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let value = values.get(key);
        if schema["additionalProperties"] == false && path != "config" {
            collect(schema, value.unwrap_or(&Value::Null), &path, rows);
        } else {
            let default = value.cloned();
            rows.push(Row {
                path,
                schema,
                default,
            });
        }
    }
}

fn takes(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words
            .iter()
            .map(|word| format!("`{}`", word.as_str().unwrap()))
            .collect();
        let (last, others) = words.split_last().unwrap();
        return format!("{} or {last}", others.join(", "));
    }
    match schema["type"].as_str() {
        Some("string") => "text".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("integer") => format!("{} to {}", schema["minimum"], schema["maximum"]),
        Some("array") => "a list".to_owned(),
        Some("object") => "a mapping".to_owned(),
        _ => "a number or text".to_owned(),
    }
}

fn default_text(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(items) if items.is_empty() => "empty".to_owned(),
        Value::Object(map) if is_empty(map) => "empty".to_owned(),
        _ => format!("`{value}`"),
    }
}

/// A mapping of nothing but empty things.
fn is_empty(map: &Map<String, Value>) -> bool {
    map.values().all(|value| {
        value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
    })
}

fn default_values(chart: &str) -> Value {
    let text = fs::read_to_string(root(&format!("helm/{chart}/values.yaml"))).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn json(path: &std::path::Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The file must have this text; `UPDATE_DOCS=1` writes it.
fn keep(path: &std::path::Path, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, text).unwrap();
    }
    assert!(
        fs::read_to_string(path).unwrap() == text,
        "{} is old: run UPDATE_DOCS=1 cargo test --test helm_values documentation",
        path.display()
    );
}
