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

/// Lines of four fields: case, change, path, and what else is said.
const REFUSED: &str = include_str!("helm/refused.txt");

#[test]
fn wrong_values_are_refused_with_their_path_and_what_is_allowed() {
    assert_refused(|path| !path.ends_with(':'));
}

#[test]
fn values_that_contradict_each_other_are_refused_with_their_path_and_what_is_allowed() {
    assert_refused(|path| path.ends_with(':'));
}

fn assert_refused(of_path: impl Fn(&str) -> bool) {
    let Some(charts) = Charts::find() else {
        return;
    };
    let mut tried = 0;
    for line in REFUSED.lines() {
        let [case, set, path, said] = line.split(" | ").collect::<Vec<_>>()[..] else {
            assert!(line.is_empty() || line.starts_with('#'), "{line}");
            continue;
        };
        if !of_path(path) {
            continue;
        }
        tried += 1;
        let file = values(case);
        let set = format!("--set={set}");
        let lint = ["lint", "--strict", chart_of(case), "--values", &file, &set];
        for helm in HELMS {
            let template = charts.template(helm, case, "1.34", &[&set]);
            for answer in [template, charts.helm(helm, &lint)] {
                assert!(!answer.is_good, "helm {helm} accepts {line}");
                let text = &answer.text;
                let names = names(text, path);
                assert!(names, "helm {helm} names no path for {line}: {text}");
                for part in said.split(" ; ") {
                    assert!(text.contains(part), "helm {helm}, {line}: {text}");
                }
            }
        }
    }
    assert!(tried >= 20);
}

/// Whether a path is told. Versions of helm write a schema's path in two ways; the top has none.
fn names(text: &str, path: &str) -> bool {
    let pointer = format!("'/{}'", path.replace('.', "/"));
    path == "-"
        || path.ends_with(':') && text.contains(path)
        || text.contains(&pointer)
        || text.contains(&format!(" {path}: "))
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
            "enabled" | "native" | "global" => {}
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
    let kept = fs::read_to_string(path).unwrap();
    // Another test may be reading it.
    if kept != text && std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, text).unwrap();
        return;
    }
    assert!(
        kept == text,
        "{} is old: run UPDATE_DOCS=1 cargo test --test helm_values documentation",
        path.display()
    );
}
