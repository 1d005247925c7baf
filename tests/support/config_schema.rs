//! The exporter's options as a JSON schema, so that a wrong one is told before anything is installed.

#![expect(clippy::expect_used, reason = "helpers of tests panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::CommandFactory as _;
use serde_json::{Value, json};
use vod_callback_exporter::cli::Cli;
use vod_callback_exporter::config::MAX_QUEUES;
use vod_callback_exporter::config::options::{ConfigOption, Kind, OPTIONS};
use vod_callback_exporter::ledger::counts::TRANSCODE_BOUNDS;

/// The schema of a config file.
pub(crate) fn schema() -> Value {
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "description": "The exporter's config file, see docs/config.md. `mode` goes into each queue, `credentials` into the account `default`.",
        "properties": {},
    });
    for option in OPTIONS {
        for path in places(option) {
            *at(&mut schema, &path) = leaf(option);
        }
        // What may also stand under `defaults` is missed by the templates, which look at both.
        if let (Some((table, key)), "required", false) = (
            option.path.rsplit_once('.'),
            option.default,
            option.inherited,
        ) {
            require(at(&mut schema, table), key);
        }
    }
    schema
}

/// Times and sizes with their bounds, for the templates that judge them.
pub(crate) fn measures() -> String {
    let mut text = "\
{{/* Times and sizes of the config, written from src/config/options.rs by
`UPDATE_DOCS=1 cargo test --test helm_values documentation`; then run scripts/charts sync. */}}
{{- define \"vod-callback-sidecar.measures\" -}}
"
    .to_owned();
    for option in OPTIONS {
        let (measure, bounds) = match option.kind {
            Kind::Seconds(least, most) => ("seconds", json!({"least": least, "most": most})),
            Kind::Bytes(least, most) => ("bytes", json!({"least": least, "most": most})),
            Kind::TranscodeBound => {
                let seconds = TRANSCODE_BOUNDS.iter().map(|millis| millis / 1_000);
                ("seconds", json!({"among": seconds.collect::<Vec<_>>()}))
            }
            _ => continue,
        };
        for path in places(option) {
            let mut measure = json!({
                "path": path,
                "measure": measure,
                "takes": option.kind.to_string(),
                "default": option.default,
            });
            let fields = measure.as_object_mut().expect("a mapping");
            fields.extend(bounds.as_object().expect("a mapping").clone());
            // Writing to a String cannot fail.
            _ = writeln!(text, "- {measure}");
        }
    }
    text + "{{- end -}}\n"
}

/// Where an option may stand: also under `defaults`, if it or its table is inherited.
fn places(option: &ConfigOption) -> Vec<String> {
    let inherited = OPTIONS.iter().any(|table| {
        let rest = option.path.strip_prefix(table.path);
        table.inherited && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    let mut places = vec![option.path.to_owned()];
    if let (true, Some(path)) = (inherited, option.path.strip_prefix("queues[].")) {
        places.push(format!("defaults.{path}"));
    }
    places
}

/// One argument of `run`: a flag, with its value behind `=`.
pub(crate) fn flag_of_run() -> Value {
    let cli = Cli::command();
    let run = cli.find_subcommand("run").expect("it watches queues");
    // The log's flags are those of every command.
    let flags = run.get_arguments().chain(cli.get_arguments());
    let mut flags: Vec<String> = flags
        .filter_map(|flag| flag.get_long())
        .map(|flag| flag.replace('.', r"\."))
        .collect();
    flags.sort();
    json!({"type": "string", "pattern": format!("^--({})(=.*)?$", flags.join("|"))})
}

/// The schema of what stands at a path; one that ends with `[]` means the list's items.
fn at<'s>(schema: &'s mut Value, path: &str) -> &'s mut Value {
    path.split('.').fold(schema, |schema, part| {
        let place = match part.trim_end_matches("[]") {
            "*" => &mut schema["additionalProperties"],
            name => &mut schema["properties"][name],
        };
        if part.ends_with("[]") {
            &mut place["items"]
        } else {
            place
        }
    })
}

/// Has a mapping refused that lacks a key.
fn require(table: &mut Value, key: &str) {
    let keys = &mut table["required"];
    if keys.is_null() {
        *keys = json!([]);
    }
    let keys = keys.as_array_mut().expect("a list of keys");
    keys.push(key.into());
}

fn leaf(option: &ConfigOption) -> Value {
    let Value::Object(mut schema) = of_kind(option.kind) else {
        unreachable!("every kind's schema is a mapping");
    };
    let meaning = format!("{} Takes {}.", option.meaning, option.kind);
    schema.insert("description".to_owned(), meaning.into());
    schema.into()
}

/// What the values of a kind look like. Nothing that the exporter takes in its documented form is refused; what it alone can
/// judge, such as a file's content, passes.
fn of_kind(kind: Kind) -> Value {
    let table = || json!({"type": "object", "additionalProperties": false, "properties": {}});
    let text = |pattern: &str| json!({"type": "string", "pattern": format!("^{pattern}$")});
    let list = |least: usize, most: usize, items: Value| json!({"type": "array", "minItems": least, "maxItems": most, "items": items});
    match kind {
        Kind::Table => table(),
        Kind::Tables => json!({"type": "object", "additionalProperties": table()}),
        Kind::List => json!({"type": "array", "maxItems": MAX_QUEUES, "items": table()}),
        Kind::Label => label(),
        Kind::QueueName | Kind::Region => text("[A-Za-z0-9_-]{1,256}"),
        Kind::QueuePrefix => text("[A-Za-z0-9_-]{0,256}"),
        Kind::Endpoint | Kind::VodEndpoint | Kind::Proxy => text(&format!("{AUTHORITY}/?")),
        Kind::Url(_) => text(&format!(r"{AUTHORITY}([/?#]\S*)?")),
        Kind::Base(_) => text(&format!(r"{AUTHORITY}(/[^\s?#]*)?")),
        Kind::Urls(_) => list(1, 16, text(&format!(r"{AUTHORITY}(/[^\s?]*)?"))),
        Kind::File => json!({"type": "string", "minLength": 1}),
        Kind::Variable => text("[A-Za-z_][A-Za-z0-9_]{0,255}"),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Choice(words) => json!({"type": "string", "enum": words}),
        Kind::Choices(words) => list(0, 100, json!({"type": "string", "enum": words})),
        Kind::Count(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        // Bounds of times and sizes are told by templates, see `measures`: nobody can read a pattern of them.
        Kind::Seconds(..) | Kind::TranscodeBound | Kind::Pem | Kind::Header | Kind::Interval => {
            json!({"type": "string"})
        }
        Kind::Bytes(..) => json!({"type": ["string", "integer"]}),
        Kind::Number(least, most) => {
            let whole = |thousandths: u32| f64::from(thousandths) / 1_000.0;
            json!({"type": "number", "minimum": whole(least), "maximum": whole(most)})
        }
        Kind::Labels => list(0, 100, label()),
        Kind::LabelMap(taken) => {
            let never = taken.iter().map(|name| (*name, json!({"not": {}})));
            json!({
                "type": "object",
                "maxProperties": 16,
                "properties": never.collect::<BTreeMap<_, _>>(),
                // No name begins with `__`. Helm 4 tells no path of a `propertyNames`.
                "patternProperties": {
                    "^([A-Za-z][A-Za-z0-9_]{0,127}|_[A-Za-z0-9][A-Za-z0-9_]{0,126}|_)$": label(),
                },
                "additionalProperties": false,
            })
        }
        Kind::Names => list(0, 100, json!({"type": "string"})),
        Kind::Users => json!({"type": "object", "additionalProperties": {"type": "string"}}),
    }
}

fn label() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^\S(.*\S)?$"})
}

/// Scheme, host and port, without user and password.
const AUTHORITY: &str = r"https?://([^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?";
