//! The file as a tree whose nodes know their lines. Any YAML is a tree; what it means is read later.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::MAX_FILE_BYTES;
use super::problem::{Place, Problem};

/// A value and the line where it (or its key) stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// From 1; none if unknown.
    pub(super) line: Option<u64>,
    /// What stands there.
    pub(super) value: Value,
}

/// A YAML value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the file; no key twice.
    Map(Vec<(String, Node)>),
}

/// Parses a file. Only what is no YAML is a problem.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! {
        // A snippet would show the lines around the error, and with them what should be secret.
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: 100_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_depth: 16,
            max_documents: 1,
            max_nodes: 50_000,
            max_total_scalar_bytes: usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX),
            max_merge_keys: 1_000,
        },
    };
    serde_saphyr::from_str_with_options::<Option<Spanned<Value>>>(text, options)
        .map(|root| {
            root.map_or(
                Node {
                    line: None,
                    value: Value::Null,
                },
                Node::from,
            )
        })
        .map_err(|error| {
            let line = error.location().map(|at| at.line());
            let text = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            Place {
                line,
                path: String::new(),
            }
            .problem(format!("{text}; correct the YAML"))
        })
}

// === impl Node ===

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self {
            line: Some(spanned.referenced.line()),
            value: spanned.value,
        }
    }
}

// === impl Value ===

impl Value {
    /// What was found, in words that fit into a line; never a password in a URL.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Int(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Text(text) => describe_text(text),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Text in back quotes, in [`plain`] form; never a password in a URL, nor what may be a key.
pub(super) fn describe_text(text: &str) -> String {
    match text {
        "" => "empty text".to_owned(),
        pem if pem.contains("-----BEGIN ") => "PEM text (not shown)".to_owned(),
        url if url.contains("://") && url.contains('@') => {
            "a URL with user name or password (not shown)".to_owned()
        }
        text => format!("`{}`", plain(text)),
    }
}

/// Text in one line, in any script: what does not print is escaped, and more than 80 characters are cut.
pub(super) fn plain(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown = String::new();
    for c in text.chars().take(LONGEST) {
        match c {
            '\'' | '"' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("..");
    }
    shown
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

// === impl ValueVisitor ===

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "no option takes a number of this size"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Value>>()? {
            list.push(Node::from(item));
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Value>()? {
            let line = Some(key.referenced.line());
            map.push((key.value, Node { line, value }));
        }
        Ok(Value::Map(map))
    }
}
