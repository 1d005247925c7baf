//! The web config: the file of the Prometheus ecosystem for TLS, client certificates, users, headers and a rate limit.
//!
//! Its keys and their meaning are those of the exporter toolkit, so that one file serves every exporter. What certificates
//! and keys hold is judged by the server that uses them.

mod options;
mod tls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::node::{self, Node, Value};
use super::options::Kind;
use super::problem::{self, ConfigError, Place, Problem};
use super::schema::Schema;
use super::table::{Field, Table, unexpected};
use super::value::parse_duration;

pub use options::{OPTIONS, render};
pub use tls::{ClientAuth, Pem, PemSource, TlsConfig};

/// What the file says.
#[derive(Debug, Default)]
pub struct WebConfig {
    /// TLS; none for plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Who may ask: names and bcrypt hashes of passwords. Everybody, if it is empty.
    pub users: BTreeMap<String, SecretString>,
    /// Headers of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How many requests are answered; all, if none.
    pub rate_limit: Option<RateLimit>,
    /// What is allowed and yet deserves a look, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// A bound on requests, over all clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// In which one more request is granted; not zero.
    pub interval: Duration,
    /// Requests that may come at once; at least 1.
    pub burst: u32,
}

/// What one reading of the file collects.
#[derive(Default)]
struct Notes {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// What every header may be that the file can set, as the option that it is.
const HEADERS: [&str; 5] = [
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
];

const NO_HASH: &str = "found a value (not shown) that is no bcrypt hash, expected one; make it with `htpasswd -nBC 10 USER`";

// === impl WebConfig ===

impl WebConfig {
    /// Reads and checks a file, but no file that it names.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = problem::read_file(path)?;
        Self::parse(&path.display().to_string(), &text, path.parent())
    }

    /// Checks `text`; `origin` stands before each problem, relative paths start at `directory`.
    pub fn parse(origin: &str, text: &str, directory: Option<&Path>) -> Result<Self, ConfigError> {
        let root =
            node::parse(text).map_err(|problem| ConfigError::invalid(origin, vec![problem]))?;
        let mut notes = Notes::default();
        let config = Self::read(root, directory.unwrap_or(Path::new("")), &mut notes);
        if notes.problems.is_empty() {
            let mut warnings = notes.warnings;
            warnings.sort();
            Ok(Self { warnings, ..config })
        } else {
            Err(ConfigError::invalid(origin, notes.problems))
        }
    }

    /// The files that it names, each of which may change by itself.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pems = self.tls.iter().flat_map(|tls| {
            [
                Some(&tls.certificate),
                Some(&tls.key),
                tls.client_ca.as_ref(),
            ]
        });
        pems.flatten().filter_map(|pem| match &pem.source {
            PemSource::File(path) => Some(path.as_path()),
            PemSource::Inline(_) => None,
        })
    }

    fn read(root: Node, directory: &Path, notes: &mut Notes) -> Self {
        if !matches!(root.value, Value::Map(_) | Value::Null) {
            let text = match &root.value {
                // A colon without a space, and what is behind it may be a password.
                Value::Text(_) => format!("found text (not shown), expected {}", Kind::Table),
                other => unexpected(other, Kind::Table),
            };
            notes.problems.push(Place::default().problem(text));
            return Self::default();
        }
        let Notes { problems, warnings } = notes;
        let schema = Schema::lenient(OPTIONS);
        let mut table = Table::open(Place::default(), root, schema, problems);
        let mut section = table.table("tls_server_config", "tls_server_config");
        let tls = tls::read(&mut section, directory, warnings);
        section.close();
        let mut section = table.table("http_server_config", "http_server_config");
        section.flag("http2");
        let mut headers = section.table("headers", "http_server_config.headers");
        let values = HEADERS.map(|name| header(&mut headers, name));
        headers.close();
        section.close();
        let mut section = table.table("rate_limit", "rate_limit");
        let rate_limit = rate_limit(&mut section);
        section.close();
        let users = table.tables("basic_auth_users");
        let users = users
            .into_iter()
            .filter_map(|(place, name, node)| {
                let place = place_of_user(place, &name, &node);
                Some((name, hash(&place, node, table.problems)?))
            })
            .collect();
        table.close();
        Self {
            tls,
            users,
            headers: values.into_iter().flatten().collect(),
            rate_limit,
            warnings: Vec::new(),
        }
    }
}

fn header(table: &mut Table<'_>, name: &str) -> Option<(HeaderName, HeaderValue)> {
    let value = table.field(name, |_, value, kind| match &value {
        Value::Text(text) if kind.accepts(text) => Ok(text.clone()),
        // Such as `X-XSS-Protection: 0`.
        Value::Int(number) if kind == Kind::Header => Ok(number.to_string()),
        other => Err(unexpected(other, kind)),
    });
    let value = HeaderValue::from_str(&value.value()?).ok()?;
    Some((HeaderName::from_str(name).ok()?, value))
}

fn rate_limit(table: &mut Table<'_>) -> Option<RateLimit> {
    let interval = table.field("interval", |_, value, kind| match &value {
        Value::Int(0) => Ok(Duration::ZERO),
        Value::Int(number) => Err(format!(
            "{}; add a unit, such as `{number}s`",
            unexpected(&value, kind)
        )),
        Value::Text(text) if text == "0" => Ok(Duration::ZERO),
        Value::Text(text) => parse_duration(text).ok_or_else(|| unexpected(&value, kind)),
        other => Err(unexpected(other, kind)),
    });
    let burst = table.count("burst");
    let Field::Given(place, interval) = interval else {
        return None;
    };
    if interval.is_zero() || matches!(burst, Field::Invalid) {
        return None;
    }
    let burst = burst.value().and_then(|burst| u32::try_from(burst).ok());
    let Some(burst) = burst.filter(|burst| *burst > 0) else {
        table.problems.push(place.problem(
            "found no burst beside it, so that every request would be refused; add `burst: 10`",
        ));
        return None;
    };
    Some(RateLimit { interval, burst })
}

/// Where a user stands. Where the colon or the space behind it is forgotten, what is taken for the name is a password.
fn place_of_user(place: Place, name: &str, node: &Node) -> Place {
    if node.value == Value::Null || name.contains([':', '$', ' ']) {
        let path = "basic_auth_users.(not shown)".to_owned();
        Place { path, ..place }
    } else {
        place
    }
}

/// A bcrypt hash; what stands there is never told, since it may be a password.
fn hash(place: &Place, node: Node, problems: &mut Vec<Problem>) -> Option<SecretString> {
    match node.value {
        Value::Text(text) if is_hash(&text) => Some(SecretString::from(text)),
        _ => {
            problems.push(place.problem(NO_HASH));
            None
        }
    }
}

fn is_hash(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let cost = bcrypt::HashParts::from_str(text).map(|parts| parts.get_cost());
    text.len() == 60
        && text.bytes().skip(7).all(is_base64)
        && cost.is_ok_and(|cost| (4..=31).contains(&cost))
}

/// The cost of a hash that was checked.
pub fn cost(hash: &SecretString) -> u32 {
    bcrypt::HashParts::from_str(hash.expose_secret()).map_or(0, |parts| parts.get_cost())
}

/// A path as the file means it.
fn absolute(directory: &Path, path: &str) -> PathBuf {
    directory.join(path)
}
