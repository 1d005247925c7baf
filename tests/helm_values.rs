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

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use charts::{Charts, HELMS, chart_of, root, values};
use serde_json::{Map, Value, json};
use vod_callback_exporter::config::Config;
use vod_callback_exporter::config::options::{ConfigOption, OPTIONS};

const CHARTS: [&str; 2] = ["vod-callback-exporter", "vod-callback-sidecar"];

/// Lines of four fields: case, change, path, and what else is said.
const REFUSED: &str = include_str!("helm/refused.txt");

/// Options of every kind: path, what else its table needs, and values as JSON that are right and that are wrong.
const SAMPLES: &[(&str, &str, &[&str], &[&str])] = &[
    ("accounts", "{}", &["{}"], &["[]", r#""a""#]),
    (
        "queues",
        "{}",
        &[r#"[{"name": "a"}]"#],
        &[r#"{"name": "a"}"#],
    ),
    ("defaults.transcodes", "{}", &["{}"], &["[]", "1"]),
    (
        "queues[].name",
        "{}",
        &[r#""a-B_3""#],
        &[r#""""#, r#""a.b""#, r#""a b""#, "1"],
    ),
    (
        "queues[].prefix",
        "{}",
        &[r#""""#, r#""a-""#],
        &[r#""a/""#, "1"],
    ),
    (
        "queues[].id",
        "{}",
        &[r#""the queue""#],
        &[r#""""#, r#"" a""#, "1"],
    ),
    (
        "defaults.region",
        "{}",
        &[r#""cn-shanghai""#],
        &[r#""""#, r#""cn shanghai""#],
    ),
    (
        "defaults.endpoint",
        "{}",
        &[
            r#""https://1.mns.cn-shanghai.aliyuncs.com""#,
            r#""http://127.0.0.1:8080/""#,
            r#""http://[::1]:8080""#,
        ],
        &[
            r#""nope""#,
            r#""mns.example.com""#,
            r#""ftp://mns.example.com""#,
            r#""https://a:b@mns.example.com""#,
            r#""https://mns.example.com/queues""#,
            r#""https://mns.example.com?a""#,
            r#""https://""#,
            r#""https://mns.example.com:port""#,
            "1",
        ],
    ),
    (
        "defaults.vod.endpoint",
        "{}",
        &[r#""https://vod.cn-shanghai.aliyuncs.com""#],
        &[r#""vod""#, r#""https://vod.example.com/a""#],
    ),
    (
        "accounts.*.proxy",
        "{}",
        &[r#""http://proxy.example.com:3128""#],
        &[r#""proxy:3128""#, r#""http://a:b@proxy:3128""#],
    ),
    (
        "accounts.*.credentials_uri",
        r#"{"credentials": "uri"}"#,
        &[
            r#""http://localhost:8080/credentials?a=b""#,
            r#""http://localhost""#,
        ],
        &[r#""localhost""#, r#""http://a:b@localhost/""#],
    ),
    (
        "alertmanager.urls",
        "{}",
        &[
            r#"["http://alertmanager:9093"]"#,
            r#"["https://a/", "https://b/alerts", "http://[::1]:9093"]"#,
        ],
        &[
            r#""http://alertmanager:9093""#,
            "[]",
            r#"["alertmanager:9093"]"#,
            r#"["http://a:b@alertmanager"]"#,
            r#"["http://alertmanager?a"]"#,
            r#"["http://a", 1]"#,
        ],
    ),
    (
        "alertmanager.labels",
        r#"{"urls": ["http://alertmanager:9093"]}"#,
        &[
            "{}",
            r#"{"cluster": "eu 1", "_": "a", "_a__b": "a", "_1": "a"}"#,
        ],
        &[
            r#""cluster=a""#,
            r#"["cluster"]"#,
            r#"{"cluster": ""}"#,
            r#"{"cluster": 1}"#,
            r#"{"queue": "a"}"#,
            r#"{"video_id": "a"}"#,
            r#"{"__a": "a"}"#,
            r#"{"1a": "a"}"#,
            r#"{"a-b": "a"}"#,
            r#"{"": "a"}"#,
            r#"{"a":"x","b":"x","c":"x","d":"x","e":"x","f":"x","g":"x","h":"x","i":"x","j":"x","k":"x","l":"x","m":"x","n":"x","o":"x","p":"x","q":"x"}"#,
        ],
    ),
    (
        "alertmanager.grafana",
        r#"{"urls": ["http://alertmanager:9093"]}"#,
        &[
            r#""https://grafana.example.org""#,
            r#""http://[::1]:3000/grafana/""#,
        ],
        &[
            r#""grafana""#,
            r#""""#,
            r#""https://a:b@grafana""#,
            r#""https://grafana?orgId=1""#,
            r#""https://grafana#a""#,
            "1",
        ],
    ),
    (
        "alertmanager.bearer_token_file",
        r#"{"urls": ["http://alertmanager:9093"]}"#,
        &[r#""rustfmt.toml""#, r#""./rustfmt.toml""#],
        &[r#""""#, "1"],
    ),
    (
        "alertmanager.bearer_token_env",
        r#"{"urls": ["http://alertmanager:9093"]}"#,
        &[r#""PATH""#],
        &[r#""""#, r#""THE-PATH""#, r#""1PATH""#],
    ),
    (
        "quarantine.expose_bodies",
        "{}",
        &["true", "false"],
        &[r#""true""#, "1"],
    ),
    ("defaults.mode", "{}", &[], &[r#""tap""#, r#""""#, "1"]),
    (
        "defaults.workers",
        "{}",
        &["1", "64"],
        &["0", "65", r#""8""#, "1.5"],
    ),
    (
        "defaults.tick",
        "{}",
        &[r#""10s""#, r#""300s""#, r#""5m""#],
        &[r#""9s""#, r#""301s""#, r#""1h""#],
    ),
    (
        "alertmanager.resend",
        r#"{"urls": ["http://a"]}"#,
        &[
            r#""10s""#,
            r#""99s""#,
            r#""3600s""#,
            r#""1m""#,
            r#""60m""#,
            r#""1h""#,
            r#""2 m""#,
            r#""1m 30s""#,
            r#""1m30s""#,
            r#""0.5h""#,
            r#""1 minute""#,
            r#""PT1M""#,
            r#""60 mins""#,
            r#""1m, 30s""#,
            r#""1 minute, 30  seconds""#,
            r#""1m30.0s""#,
            r#""0.1h""#,
            r#""90.000000000s""#,
            r#""PT1M30S""#,
            r#""PT0.5H""#,
            r#""1h ""#,
            r#""1.5m  ""#,
        ],
        &[
            r#""0s""#,
            r#""9s""#,
            r#""3601s""#,
            r#""61m""#,
            r#""2h""#,
            r#""1d""#,
            r#""60""#,
            r#""lots""#,
            r#""-10s""#,
            r#""""#,
            "60",
            r#""1h 30m""#,
            r#""1h30m""#,
            r#""1 hour, 1 second""#,
            r#""PT1H30M""#,
            r#""P1M""#,
            r#""PT""#,
            r#""P""#,
            r#""1m,30s""#,
            r#""1m ,30s""#,
            r#""30s 1m""#,
            r#""1m 1m""#,
            r#""1.5m 10s""#,
            r#""10.5s""#,
            r#""1m 0.5s""#,
            r#"" 1h""#,
            r#""1mo""#,
            r#""1M""#,
            r#""1 fortnight""#,
            r#""60000ms 1""#,
            r#""0x10s""#,
            r#""1e1s""#,
        ],
    ),
    (
        "queues[].transcodes.abandon_after",
        "{}",
        &[
            r#""86400s""#,
            r#""1439m""#,
            r#""2h""#,
            r#""15d""#,
            r#""360h""#,
            r#""1w""#,
            r#""2 weeks""#,
            r#""1w 1d""#,
            r#""1 day, 12 hours""#,
            r#""P1W""#,
            r#""P2DT1H""#,
        ],
        &[
            r#""lots""#,
            r#""3599s""#,
            r#""16d""#,
            r#""361h""#,
            r#""3w""#,
            r#""P1DT""#,
            r#""0.5d""#,
            r#""1y""#,
            r#""P1Y""#,
            r#""15d 1s""#,
        ],
    ),
    (
        "quarantine.max_bytes",
        "{}",
        &[
            "65536",
            "268435456",
            r#""65536""#,
            r#""64KiB""#,
            r#""256MiB""#,
            r#""500 kB""#,
            r#""100MB""#,
            r#""64 KiB""#,
            r#""00065536 B""#,
        ],
        &[
            "65535",
            r#""63KiB""#,
            r#""257MiB""#,
            r#""1GiB""#,
            r#""4mib""#,
            r#""1.5MiB""#,
            r#""lots""#,
            r#""-1""#,
            r#""""#,
            r#""MiB""#,
            r#""4 mib""#,
            r#""64KiB ""#,
            r#""0.1GiB""#,
            r#""1e6""#,
            r#""99999999999GiB""#,
        ],
    ),
    (
        "defaults.transcodes.factor",
        "{}",
        &["0", "1.5", "100"],
        &["-1", "100.5", r#""2""#],
    ),
    (
        "defaults.transcodes.playable_objective",
        "{}",
        &[
            r#""5s""#,
            r#""60s""#,
            r#""1m""#,
            r#""10m""#,
            r#""24h""#,
            r#""1d""#,
            r#""PT10M""#,
            r#""0.5m""#,
            r#""1440m""#,
            r#""3600 s""#,
        ],
        &[
            r#""11m""#,
            r#""0s""#,
            r#""lots""#,
            r#""""#,
            r#""10""#,
            r#""90s""#,
            r#""10.5m""#,
        ],
    ),
    (
        "defaults.vod.no_transcode_template_groups",
        "{}",
        &["[]", r#"["a", "b"]"#],
        &[r#""a""#, r#"[""]"#, "[1]"],
    ),
];

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

/// Whether a path is told. Versions of helm write a schema's path in two ways; `-` is the top, and a template's path ends with a colon.
fn names(text: &str, path: &str) -> bool {
    if path.ends_with(':') {
        // Behind the template's own place, or as the name of the template that does not exist.
        return text.contains(&format!(": {path} ")) || text.contains(&format!("\"{path} "));
    }
    let (dotted, pointer) = match path {
        "-" => ("(root)", String::new()),
        _ => (path, format!("/{}", path.replace('.', "/"))),
    };
    text.contains(&format!("- {dotted}: ")) || text.contains(&format!("- at '{pointer}': "))
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
fn requests_may_reach_their_limits_in_any_unit() {
    let Some(charts) = Charts::find() else {
        return;
    };
    for (less, more) in [
        (json!("33M"), json!("32Mi")),
        (json!("32Mi"), json!(33_554_433)),
        (json!("1023.5Mi"), json!("1Gi")),
        (json!("64Mi"), json!("1e8")),
        (json!("999u"), json!("1m")),
        (json!("1499m"), json!(1.5)),
        (json!(0.1), json!("101m")),
        (json!("0"), json!(0.1)),
    ] {
        for (request, limit, is_good) in [(&less, &more, true), (&more, &less, false)] {
            let resources = json!({"requests": {"cpu": request}, "limits": {"cpu": limit}});
            let set = format!("--set-json=resources={resources}");
            for helm in HELMS {
                let answer = charts.template(helm, "peek", "1.34", &[&set]);
                assert_eq!(answer.is_good, is_good, "{set}: {}", answer.text);
            }
        }
    }
    for resources in [
        json!({"requests": {"cpu": "32Mi"}, "limits": {"cpu": 33_554_432}}),
        json!({"requests": {"cpu": 1.5}, "limits": {"cpu": "1500m"}}),
        // What one of the two does not name is not compared.
        json!({"requests": {"cpu": "64"}}),
        json!({"requests": {"memory": null}, "limits": {"memory": "1Mi"}}),
    ] {
        let set = format!("--set-json=resources={resources}");
        let answer = charts.template("4", "peek", "1.34", &[&set]);
        assert!(answer.is_good, "{set}: {}", answer.text);
    }
}

#[test]
fn the_schema_of_config_is_what_the_exporter_takes_as_documentation() {
    for chart in CHARTS {
        let path = root(&format!("helm/{chart}/values.schema.json"));
        let mut schema = json(&path);
        schema["properties"]["config"] = config_schema::schema();
        schema["properties"]["extraArgs"]["items"] = config_schema::flag_of_run();
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        keep(&path, &text);
    }
    let path = root("helm/vod-callback-sidecar/templates/_measures.tpl");
    keep(&path, &config_schema::measures());
}

#[test]
fn charts_and_exporter_agree_on_what_options_take() {
    let Some(charts) = Charts::find() else {
        return;
    };
    let mut kinds = BTreeSet::new();
    let mut wrong = Vec::new();
    for (path, beside, good, bad) in SAMPLES {
        let full = path.replacen("defaults.", "queues[].", 1);
        let beside: Value = serde_json::from_str(beside).unwrap();
        kinds.extend(
            OPTIONS
                .iter()
                .filter(|option| option.path == full)
                .map(kind_name),
        );
        for (text, is_good) in good
            .iter()
            .map(|text| (text, true))
            .chain(bad.iter().map(|text| (text, false)))
        {
            let value: Value = serde_json::from_str(text).unwrap();
            let config = sample(path, &beside, &value);
            let said = Config::parse("config", &config.to_string(), None);
            if said.is_ok() != is_good {
                wrong.push(format!("the exporter, {path}: {text}, {said:?}"));
            }
            let set = format!("--set-json=config={config}");
            let answer = charts.template("3", "peek", "1.34", &[&set]);
            if answer.is_good != is_good {
                wrong.push(format!("the chart, {path}: {text}, {}", answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: BTreeSet<String> = OPTIONS.iter().map(kind_name).collect();
    assert_eq!(kinds, all, "a kind has no samples");
}

/// A config that is right but for the option at `path`; `beside` is what that needs next to it.
fn sample(path: &str, beside: &Value, value: &Value) -> Value {
    let mut config = json!({
        "defaults": {"endpoint": "https://1234.mns.cn-shanghai.aliyuncs.com"},
        "queues": [{}],
    });
    let mut place = &mut config;
    let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
    for part in table.split('.').filter(|part| !part.is_empty()) {
        place = match part {
            "queues[]" => &mut place["queues"][0],
            "*" => &mut place["default"],
            _ => &mut place[part],
        };
    }
    for (key, value) in beside.as_object().unwrap() {
        place[key] = value.clone();
    }
    place[key] = value.clone();
    if let Some(queue) = config["queues"].get_mut(0)
        && path != "queues[].prefix"
        && path != "queues[].name"
    {
        queue["name"] = "a".into();
    }
    config
}

/// The kind of an option, without its bounds.
fn kind_name(option: &ConfigOption) -> String {
    let name = format!("{:?}", option.kind);
    name.split(['(', ' ']).next().unwrap().to_owned()
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

#[test]
fn no_mapping_of_the_schemas_takes_unknown_keys() {
    for chart in CHARTS {
        let schema = json(&root(&format!("helm/{chart}/values.schema.json")));
        let mut open = Vec::new();
        find_open(&schema, "", &mut open);
        // Helm's own, and manifests of any kind.
        open.retain(|path| !matches!(path.as_str(), ".global" | ".extraManifests[]"));
        assert!(open.is_empty(), "{chart}: {open:?}");
    }
}

/// Paths of mappings below a schema whose keys may be any.
fn find_open(schema: &Value, path: &str, open: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else {
        return;
    };
    let any = schema.get("additionalProperties").unwrap_or(&Value::Null);
    if schema.get("type").is_some_and(|kind| kind == "object") && *any != false && !any.is_object()
    {
        open.push(path.to_owned());
    }
    find_open(any, &format!("{path}.*"), open);
    find_open(
        schema.get("items").unwrap_or(&Value::Null),
        &format!("{path}[]"),
        open,
    );
    for part in ["definitions", "properties", "patternProperties"] {
        for (key, schema) in schema
            .get(part)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            find_open(schema, &format!("{path}.{key}"), open);
        }
    }
}

/// What both charts have is said alike, so that one block of values serves both.
#[test]
fn both_charts_take_the_same_values() {
    let [app, library] =
        CHARTS.map(|chart| json(&root(&format!("helm/{chart}/values.schema.json"))));
    let [app_values, library_values] = CHARTS.map(default_values);
    for (name, definition) in library["definitions"].as_object().unwrap() {
        assert_eq!(*definition, app["definitions"][name], "{name}");
    }
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

/// The values below `schema`, in the order of their names.
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
        // What the chart owns is there with all its keys; the rest, such as the exporter's config, is one value.
        if schema["required"].is_array() {
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
    let kept = fs::read_to_string(path).unwrap_or_default();
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
