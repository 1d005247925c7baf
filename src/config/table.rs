//! Reading a mapping of the file key by key, collecting every problem on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::endpoint::Endpoint;
use super::node::{Node, Value, describe_text, plain};
use super::options::{ConfigOption, Kind};
use super::problem::{Place, Problem, nearest};
use super::schema::Schema;
use super::value::{
    LABEL_NAME, MAX_LABEL_MAP, MAX_LABELS, MAX_URLS, is_label_name, parse_bytes, parse_duration,
};
use crate::ledger::counts::TRANSCODE_BOUNDS;
use crate::secret::SecretSource;

/// Keys under which a secret would stand in the file itself.
const SECRETS: [&str; 3] = ["access_key_id", "access_key_secret", "security_token"];

/// Words that the design has a place for and this version does nothing with.
const NOT_YET: [&str; 1] = ["tap"];

/// An option's value as far as the file gives one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Field<T> {
    /// The file does not mention it.
    #[default]
    Absent,
    /// What the file says is reported as a problem already.
    Invalid,
    /// What the file says, and where.
    Given(Place, T),
}

/// A mapping of the file whose keys are taken one after the other.
pub(super) struct Table<'p> {
    /// Where the mapping stands.
    pub(super) place: Place,
    /// Problems found so far.
    pub(super) problems: &'p mut Vec<Problem>,
    schema: Schema,
    entries: Vec<(String, Node)>,
}

// === impl Field ===

impl<T> Field<T> {
    /// This one unless the file does not mention it, else `other`.
    pub(super) fn or(self, other: Self) -> Self {
        match self {
            Self::Absent => other,
            given => given,
        }
    }

    /// This one and `other` together, where the file mentions both, else the one it mentions.
    pub(super) fn merge(self, other: Self, merge: impl FnOnce(T, T) -> T) -> Self {
        match (self, other) {
            (Self::Given(place, value), Self::Given(_, other)) => {
                Self::Given(place, merge(value, other))
            }
            (this, other) => this.or(other),
        }
    }

    /// The value, if there is one.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Given(_, value) => Some(value),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// Where the value stands, if there is one.
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Self::Given(place, _) => Some(place),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// The value read further; `read` tells what is wrong with it.
    fn and_then<U>(
        self,
        problems: &mut Vec<Problem>,
        read: impl FnOnce(T) -> Result<U, String>,
    ) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Invalid => Field::Invalid,
            Self::Given(place, value) => match read(value) {
                Ok(value) => Field::Given(place, value),
                Err(text) => {
                    problems.push(place.problem(text));
                    Field::Invalid
                }
            },
        }
    }
}

// === impl Table ===

impl<'p> Table<'p> {
    /// Opens the mapping that `schema` describes; nothing is an empty one.
    pub(super) fn open(
        place: Place,
        node: Node,
        schema: impl Into<Schema>,
        problems: &'p mut Vec<Problem>,
    ) -> Self {
        let schema = schema.into();
        let entries = mapping(&place, node, &Kind::Table, problems);
        Self {
            place,
            problems,
            schema,
            entries,
        }
    }

    /// Takes the mapping under `key`, which `schema` describes.
    pub(super) fn table(&mut self, key: &str, schema: &'static str) -> Table<'_> {
        let (place, node) = self.take(key).unwrap_or_else(|| self.nothing(key));
        Table::open(place, node, self.schema.at(schema), self.problems)
    }

    /// Takes the mapping under `key`, if the file mentions it, and reads it; nothing is an empty one.
    pub(super) fn section<T>(
        &mut self,
        key: &str,
        schema: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> Field<T> {
        let Some((place, node)) = self.take(key) else {
            return Field::Absent;
        };
        if !matches!(node.value, Value::Map(_) | Value::Null) {
            self.problems
                .push(place.problem(unexpected(&node.value, Kind::Table)));
            return Field::Invalid;
        }
        let mut table = Table::open(place.clone(), node, self.schema.at(schema), self.problems);
        let section = read(&mut table);
        table.close();
        Field::Given(place, section)
    }

    /// Takes the mapping from names of the user's under `key`.
    pub(super) fn tables(&mut self, key: &str) -> Vec<(Place, String, Node)> {
        let (place, node) = self.take(key).unwrap_or_else(|| self.nothing(key));
        let kind = self.option(key).map_or(Kind::Tables, |option| option.kind);
        mapping(&place, node, &kind, self.problems)
            .into_iter()
            .map(|(name, node)| (place.key(node.line, &plain(&name)), name, node))
            .collect()
    }

    /// Takes the list under `key`; none if the file does not mention it or has something else there.
    pub(super) fn list(&mut self, key: &str) -> Field<Vec<(Place, Node)>> {
        self.field(key, |place, value, kind| match value {
            Value::List(items) => Ok(items
                .into_iter()
                .enumerate()
                .map(|(index, node)| (place.item(node.line, index), node))
                .collect()),
            other => Err(unexpected(&other, kind)),
        })
    }

    /// Takes a text that fits the option's kind.
    pub(super) fn text(&mut self, key: &str) -> Field<String> {
        self.field(key, |_, value, kind| match value {
            Value::Text(text) if kind.accepts(&text) => Ok(text),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) if kind.accepts("x") => {
                Err(format!("{}; put it into quotes", unexpected(&value, kind)))
            }
            other => Err(unexpected(&other, kind)),
        })
    }

    /// Takes one of the option's words and gives what it stands for.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Field<T> {
        self.field(key, |_, value, kind| {
            let Value::Text(text) = &value else {
                return Err(unexpected(&value, kind));
            };
            match words.iter().find(|(word, _)| word == text) {
                Some((_, meant)) => Ok(*meant),
                None if NOT_YET.contains(&text.as_str()) => Err(format!(
                    "{}; `{text}` is not in this version",
                    unexpected(&value, kind)
                )),
                None => Err(unexpected(&value, kind)),
            }
        })
    }

    /// Takes `true` or `false`.
    pub(super) fn flag(&mut self, key: &str) -> Field<bool> {
        self.field(key, |_, value, kind| match value {
            Value::Bool(flag) => Ok(flag),
            other => Err(unexpected(&other, kind)),
        })
    }

    /// Takes a whole number.
    pub(super) fn count(&mut self, key: &str) -> Field<usize> {
        self.field(key, |_, value, kind| {
            let count = match (&value, kind) {
                (Value::Int(count), Kind::Count(min, max)) => u64::try_from(*count)
                    .ok()
                    .filter(|count| (min..=max).contains(count)),
                _ => None,
            };
            count
                .and_then(|count| usize::try_from(count).ok())
                .ok_or_else(|| unexpected(&value, kind))
        })
    }

    /// Takes a number, in thousandths.
    pub(super) fn thousandths(&mut self, key: &str) -> Field<u32> {
        self.field(key, |_, value, kind| {
            let number = match value {
                Value::Int(number) => i32::try_from(number).ok().map(f64::from),
                Value::Float(number) => Some(number),
                _ => None,
            };
            let Kind::Number(min, max) = kind else {
                return Err(unexpected(&value, kind));
            };
            let within = |number: &f64| (f64::from(min)..=f64::from(max)).contains(number);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "within the bounds, which are u32"
            )]
            number
                .map(|number| (number * 1000.0).round())
                .filter(within)
                .map(|number| number as u32)
                .ok_or_else(|| unexpected(&value, kind))
        })
    }

    /// Takes a bound of the histograms of transcode times.
    pub(super) fn transcode_bound(&mut self, key: &str) -> Field<Duration> {
        self.field(key, |_, value, kind| {
            let time = match &value {
                Value::Text(text) => parse_duration(text),
                _ => None,
            };
            let is_bound = |time: &Duration| {
                TRANSCODE_BOUNDS
                    .iter()
                    .any(|millis| Duration::from_millis(*millis) == *time)
            };
            time.filter(is_bound)
                .ok_or_else(|| unexpected(&value, kind))
        })
    }

    /// Takes a list of texts.
    pub(super) fn labels(&mut self, key: &str) -> Field<Vec<String>> {
        self.field(key, |_, value, kind| match value {
            Value::List(items) if items.len() <= MAX_LABELS => items
                .into_iter()
                .map(|item| match item.value {
                    Value::Text(text) if Kind::Label.accepts(&text) => Ok(text),
                    other => Err(unexpected(&other, Kind::Label)),
                })
                .collect(),
            other => Err(unexpected(&other, kind)),
        })
    }

    /// Takes a mapping from names of labels to their values; none if the file does not mention it.
    pub(super) fn label_map(&mut self, key: &str) -> BTreeMap<String, String> {
        let taken = match self.option(key).map(|option| option.kind) {
            Some(Kind::LabelMap(taken)) => taken,
            _ => &[],
        };
        let entries = self.tables(key);
        if let (true, Some((place, ..))) = (entries.len() > MAX_LABEL_MAP, entries.last()) {
            let (found, place) = (entries.len(), self.place.key(place.line, key));
            self.problems.push(place.problem(format!(
                "found {found} labels, expected at most {MAX_LABEL_MAP}; remove some"
            )));
        }
        let mut labels = BTreeMap::new();
        for (place, name, node) in entries {
            match read_label(&name, node.value, taken) {
                Ok(value) => {
                    labels.insert(name, value);
                }
                Err(text) => self.problems.push(place.problem(text)),
            }
        }
        labels
    }

    /// Takes a time in whole seconds.
    pub(super) fn seconds(&mut self, key: &str) -> Field<Duration> {
        self.field(key, |_, value, kind| {
            let duration = match (&value, kind) {
                (Value::Text(text), Kind::Seconds(min, max)) => {
                    parse_duration(text).filter(|duration| {
                        duration.subsec_nanos() == 0 && (min..=max).contains(&duration.as_secs())
                    })
                }
                _ => None,
            };
            duration.ok_or_else(|| match &value {
                Value::Int(number) => {
                    format!(
                        "{}; add a unit, such as `{number}s`",
                        unexpected(&value, kind)
                    )
                }
                _ => unexpected(&value, kind),
            })
        })
    }

    /// Takes a size in bytes.
    pub(super) fn bytes(&mut self, key: &str) -> Field<u64> {
        self.field(key, |_, value, kind| {
            let size = match &value {
                Value::Text(text) => parse_bytes(text),
                Value::Int(size) => u64::try_from(*size).ok(),
                _ => None,
            };
            let Kind::Bytes(min, max) = kind else {
                return Err(unexpected(&value, kind));
            };
            size.filter(|size| (min..=max).contains(size))
                .ok_or_else(|| unexpected(&value, kind))
        })
    }

    /// Takes an endpoint.
    pub(super) fn endpoint(&mut self, key: &str) -> Field<Endpoint> {
        let text = self.text(key);
        text.and_then(self.problems, |text| read_endpoint(&text))
    }

    /// Takes the URL of VOD's API.
    pub(super) fn vod_endpoint(&mut self, key: &str) -> Field<Endpoint> {
        let text = self.text(key);
        text.and_then(self.problems, |text| {
            Endpoint::parse(&text).map_err(|_| unexpected(&Value::Text(text), Kind::VodEndpoint))
        })
    }

    /// Takes an http or https URL without user name and password.
    pub(super) fn url(&mut self, key: &str) -> Field<Url> {
        self.field(key, |_, value, kind| {
            read_url(&value).ok_or_else(|| unexpected(&value, kind))
        })
    }

    /// Takes such a URL that others begin with.
    pub(super) fn base(&mut self, key: &str) -> Field<Url> {
        self.field(key, |_, value, kind| {
            read_url(&value)
                .filter(|url| url.query().is_none() && url.fragment().is_none())
                .ok_or_else(|| unexpected(&value, kind))
        })
    }

    /// Takes a list of such URLs, none of them twice.
    pub(super) fn urls(&mut self, key: &str) -> Field<Vec<Url>> {
        self.field(key, |_, value, kind| {
            let Value::List(items) = value else {
                return Err(unexpected(&value, kind));
            };
            if !(1..=MAX_URLS).contains(&items.len()) {
                return Err(format!("found {} items, expected {kind}", items.len()));
            }
            let mut urls = Vec::with_capacity(items.len());
            for item in items {
                let url = read_url(&item.value).filter(|url| url.query().is_none());
                let url = url.ok_or_else(|| unexpected(&item.value, kind))?;
                if urls.contains(&url) {
                    let found = item.value.describe();
                    return Err(format!("found {found} twice; remove one"));
                }
                urls.push(url);
            }
            Ok(urls)
        })
    }

    /// Takes the URL of a proxy.
    pub(super) fn proxy(&mut self, key: &str) -> Field<Url> {
        let text = self.text(key);
        text.and_then(self.problems, |text| match Endpoint::parse(&text) {
            Ok(proxy) => Ok(proxy.url().clone()),
            Err(_) => Err(unexpected(&Value::Text(text), Kind::Proxy)),
        })
    }

    /// Takes a secret by reference: `{key}_file` or `{key}_env`, never both, and never the secret itself.
    pub(super) fn secret(&mut self, key: &str) -> Field<SecretSource> {
        let file = self.text(&format!("{key}_file"));
        let variable = self.text(&format!("{key}_env"));
        if let Some((place, _)) = self.take(key) {
            self.problems.push(place.problem(format!(
                "found a value (not shown), expected no secret in this file; put it into a file and name that as \
                 `{key}_file`, or name an environment variable as `{key}_env`"
            )));
            return Field::Invalid;
        }
        match (file, variable) {
            (Field::Given(..), Field::Given(place, _)) => {
                let text = format!("found `{key}_file` too, expected one of the two; remove one");
                self.problems.push(place.problem(text));
                Field::Invalid
            }
            (Field::Given(place, path), _) => Field::Given(place, SecretSource::File(path.into())),
            (_, Field::Given(place, name)) => Field::Given(place, SecretSource::Env(name)),
            (Field::Absent, Field::Absent) => Field::Absent,
            _ => Field::Invalid,
        }
    }

    /// Reports the keys that were not taken.
    pub(super) fn close(self) {
        let known: Vec<&str> = self.schema.options().map(|(key, _)| key).collect();
        for (key, node) in self.entries {
            // Without a space behind the colon, what should be a value, and may be a secret, is a part of the key.
            let shown = match key.split_once(':') {
                Some((key, _)) => format!("{}:(not shown)", plain(key)),
                None => plain(&key),
            };
            let place = self.place.key(node.line, &shown);
            let remedy = match nearest(&key, known.iter().copied()) {
                _ if SECRETS.contains(&key.as_str()) => {
                    "credentials stand under `accounts`, by file or environment variable".to_owned()
                }
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("expected one of {}; remove it", known.join(", ")),
            };
            self.problems
                .push(place.problem(format!("unknown key; {remedy}")));
        }
    }

    pub(super) fn field<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Place, Value, Kind) -> Result<T, String>,
    ) -> Field<T> {
        let Some((place, node)) = self.take(key) else {
            return Field::Absent;
        };
        let result = match self.option(key) {
            Some(option) => match node.value {
                value if self.schema.lenient && option.kind.is_no_value(&value) => {
                    return Field::Absent;
                }
                Value::Null => Err(format!(
                    "found nothing, expected {}; give a value or remove the key",
                    option.kind
                )),
                value => read(&place, value, option.kind),
            },
            None => Err("unknown key; remove it".to_owned()),
        };
        Field::Given(place, result).and_then(self.problems, |result| result)
    }

    fn option(&self, key: &str) -> Option<&'static ConfigOption> {
        let mut options = self.schema.options();
        options.find_map(|(known, option)| (known == key).then_some(option))
    }

    fn take(&mut self, key: &str) -> Option<(Place, Node)> {
        let index = self.entries.iter().position(|(name, _)| name == key)?;
        let (_, node) = self.entries.remove(index);
        Some((self.place.key(node.line, key), node))
    }

    fn nothing(&self, key: &str) -> (Place, Node) {
        let node = Node {
            line: None,
            value: Value::Null,
        };
        (self.place.key(None, key), node)
    }
}

fn read_url(value: &Value) -> Option<Url> {
    let Value::Text(text) = value else {
        return None;
    };
    parse_url(text)
}

/// Reads an http or https URL without user name and password.
pub(crate) fn parse_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// Reads the value of a label whose name is none of `taken`, or tells what is wrong with one of the two.
fn read_label(name: &str, value: Value, taken: &[&str]) -> Result<String, String> {
    if taken.contains(&name) {
        return Err(format!(
            "found the name of a label that is set already ({}), expected another; rename or remove it",
            taken.join(", ")
        ));
    }
    if !is_label_name(name) {
        let found = describe_text(name);
        return Err(format!("found {found}, expected {LABEL_NAME}; rename it"));
    }
    let remedy = match value {
        Value::Text(text) if Kind::Label.accepts(&text) => return Ok(text),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => "put it into quotes",
        Value::Null => "give a value or remove the key",
        _ => "give another value",
    };
    Err(format!("{}; {remedy}", unexpected(&value, Kind::Label)))
}

/// Reads an endpoint, or tells what is wrong with it.
pub(super) fn read_endpoint(text: &str) -> Result<Endpoint, String> {
    Endpoint::parse(text)
        .map_err(|error| format!("found {}, expected {error}", describe_text(text)))
}

fn mapping(
    place: &Place,
    node: Node,
    kind: &Kind,
    problems: &mut Vec<Problem>,
) -> Vec<(String, Node)> {
    match node.value {
        Value::Map(entries) => entries,
        Value::Null => Vec::new(),
        Value::Text(_) if *kind == Kind::Users => {
            let text =
                format!("found text (not shown), expected {kind}; put a space behind each colon");
            problems.push(place.problem(text));
            Vec::new()
        }
        other => {
            problems.push(place.problem(unexpected(&other, *kind)));
            Vec::new()
        }
    }
}

/// What was found and what is expected.
pub(super) fn unexpected(value: &Value, kind: Kind) -> String {
    format!("found {}, expected {kind}", value.describe())
}
