//! The exporter's options as a JSON schema, so that a wrong one is told before anything is installed.

use serde_json::{Map, Value, json};
use vod_callback_exporter::config::options::{ConfigOption, Kind, OPTIONS};

/// The schema of a config file.
pub(crate) fn schema() -> Value {
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "description": "The exporter's config file, see docs/config.md. `mode` goes into each queue, `credentials` into the account `default`.",
        "properties": {},
    });
    for option in OPTIONS {
        put(&mut schema, option.path, option);
        // What is below an inherited table comes with it.
        let inherited = OPTIONS.iter().any(|table| {
            let rest = option.path.strip_prefix(table.path);
            table.inherited && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        if let (true, Some(path)) = (inherited, option.path.strip_prefix("queues[].")) {
            put(&mut schema, &format!("defaults.{path}"), option);
        }
    }
    schema
}

/// Puts an option where its path says; its table came before it.
fn put(schema: &mut Value, path: &str, option: &ConfigOption) {
    let (head, rest) = path
        .split_once('.')
        .map_or((path, None), |(head, rest)| (head, Some(rest)));
    let name = head.trim_end_matches("[]");
    let place = if name == "*" {
        &mut schema["additionalProperties"]
    } else {
        &mut schema["properties"][name]
    };
    match rest {
        None => *place = leaf(option),
        Some(rest) if head.ends_with("[]") => put(&mut place["items"], rest, option),
        Some(rest) => put(place, rest, option),
    }
}

fn leaf(option: &ConfigOption) -> Value {
    let table = || json!({"type": "object", "additionalProperties": false, "properties": {}});
    let schema = match option.kind {
        Kind::Table => table(),
        Kind::Tables => json!({"type": "object", "additionalProperties": table()}),
        Kind::List => json!({"type": "array", "items": table()}),
        Kind::Choice(words) => json!({"type": "string", "enum": words}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Count(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Number(least, most) => {
            let whole = |thousandths: u32| f64::from(thousandths) / 1_000.0;
            json!({"type": "number", "minimum": whole(least), "maximum": whole(most)})
        }
        Kind::Bytes(..) => json!({"type": ["string", "integer"]}),
        Kind::Labels => json!({"type": "array", "items": {"type": "string"}}),
        // The exporter judges the rest of the text.
        _ => json!({"type": "string"}),
    };
    let mut schema: Map<String, Value> = schema.as_object().cloned().unwrap_or_default();
    schema.insert("description".to_owned(), option.meaning.into());
    schema.into()
}
