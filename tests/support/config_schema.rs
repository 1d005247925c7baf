//! The exporter's options as a JSON schema, so that a wrong one is told before anything is installed.

#![expect(clippy::expect_used, reason = "helpers of tests panic")]

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
        put(&mut schema, option.path, option);
        // What may also stand under `defaults` is missed by the templates, which look at both.
        if let (Some((table, key)), "required", false) = (
            option.path.rsplit_once('.'),
            option.default,
            option.inherited,
        ) {
            require(at(&mut schema, table), key);
        }
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

/// Puts an option where its path says; its table came before it.
fn put(schema: &mut Value, path: &str, option: &ConfigOption) {
    *at(schema, path) = leaf(option);
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
        Kind::Urls(_) => list(1, 16, text(&format!(r"{AUTHORITY}(/[^\s?]*)?"))),
        Kind::File => json!({"type": "string", "minLength": 1}),
        Kind::Variable => text("[A-Za-z_][A-Za-z0-9_]{0,255}"),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Choice(words) => json!({"type": "string", "enum": words}),
        Kind::Choices(words) => list(0, 100, json!({"type": "string", "enum": words})),
        Kind::Count(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Seconds(least, most) => text(&format!(
            "({}|{FURTHER_TIMES})",
            with_units(&SECONDS, least, most)
        )),
        Kind::Bytes(least, most) => json!({
            "type": ["string", "integer"],
            "minimum": least,
            "maximum": most,
            "pattern": format!("^({})$", with_units(&BYTES, least, most)),
        }),
        Kind::Number(least, most) => {
            let whole = |thousandths: u32| f64::from(thousandths) / 1_000.0;
            json!({"type": "number", "minimum": whole(least), "maximum": whole(most)})
        }
        Kind::TranscodeBound => {
            let seconds = TRANSCODE_BOUNDS.iter().map(|millis| millis / 1_000);
            let forms = seconds.flat_map(|seconds| {
                let even = SECONDS
                    .iter()
                    .filter(move |(_, length)| seconds % length == 0);
                even.map(move |(unit, length)| format!("{}{unit}", seconds / length))
            });
            json!({"type": "string", "enum": forms.collect::<Vec<_>>()})
        }
        Kind::Labels => list(0, 100, label()),
        Kind::Names => list(0, 100, json!({"type": "string"})),
        Kind::Users => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Kind::Pem | Kind::Header | Kind::Interval => json!({"type": "string"}),
    }
}

fn label() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^\S(.*\S)?$"})
}

/// Scheme, host and port, without user and password.
const AUTHORITY: &str = r"https?://([^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?";

const SECONDS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

const BYTES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Times in other forms than a whole number and a unit, whose bounds the exporter judges: `1m 30s`, `1.5h`, `1 hour`, `PT1H`.
const FURTHER_TIMES: &str = r"[0-9]+ ?[a-z]+,? ?[0-9][0-9a-z ,]*|[0-9]+\.[0-9]+ ?[a-z]+|[0-9]+ ?[a-z]{2,}|PT?[0-9][0-9A-Z.]*";

/// A pattern of whole numbers with a unit that mean no less than `least` and no more than `most`.
fn with_units(units: &[(&str, u64)], least: u64, most: u64) -> String {
    let forms = units.iter().filter_map(|(unit, factor)| {
        let (least, most) = (least.div_ceil(*factor), most / factor);
        let numbers = (least <= most).then(|| between(least, most))?;
        let gap = if unit.is_empty() { "" } else { " ?" };
        Some(format!("({numbers}){gap}{unit}"))
    });
    forms.collect::<Vec<_>>().join("|")
}

/// A pattern of the decimal numbers within bounds.
fn between(least: u64, most: u64) -> String {
    let (least, most) = (least.to_string(), most.to_string());
    let mut parts = Vec::new();
    for length in least.len()..=most.len() {
        let lower = if length == least.len() {
            least.clone()
        } else {
            format!("1{}", "0".repeat(length - 1))
        };
        let upper = if length == most.len() {
            most.clone()
        } else {
            "9".repeat(length)
        };
        parts.extend(of_one_length(lower.as_bytes(), upper.as_bytes()));
    }
    parts.join("|")
}

/// The same for bounds with equally many digits.
fn of_one_length(least: &[u8], most: &[u8]) -> Vec<String> {
    let (&[low, ref least @ ..], &[high, ref most @ ..]) = (least, most) else {
        return vec![String::new()];
    };
    let digits = |low: u8, high: u8| match low == high {
        true => char::from(low).to_string(),
        false => format!("[{}-{}]", char::from(low), char::from(high)),
    };
    let (from_zero, to_nine) = (
        least.iter().all(|digit| *digit == b'0'),
        most.iter().all(|digit| *digit == b'9'),
    );
    if from_zero && to_nine {
        return vec![digits(low, high) + &"[0-9]".repeat(least.len())];
    }
    let before = |digit: u8, rest: Vec<String>| {
        let digit = char::from(digit);
        rest.into_iter().map(move |rest| format!("{digit}{rest}"))
    };
    if low == high {
        return before(low, of_one_length(least, most)).collect();
    }
    let mut parts = Vec::new();
    let (mut first, mut last) = (low, high);
    if !from_zero {
        parts.extend(before(low, of_one_length(least, &vec![b'9'; least.len()])));
        first += 1;
    }
    if !to_nine {
        last -= 1;
    }
    if first <= last {
        parts.push(digits(first, last) + &"[0-9]".repeat(least.len()));
    }
    if !to_nine {
        parts.extend(before(high, of_one_length(&vec![b'0'; most.len()], most)));
    }
    parts
}
