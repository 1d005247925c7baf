//! Where per-video alerts are sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::accounts::Accounts;
use super::endpoint::Endpoint;
use super::problem::{Place, Problem};
use super::table::{Field, Table};
use crate::aliyun::transport::Identity;
use crate::secret::SecretSource;

const RESEND: Duration = Duration::from_mins(1);

/// The labels that alerts have of their own.
pub const OWN_LABELS: &[&str] = &["alertname", "queue", "severity", "stage", "video_id"];

/// How Alertmanagers are told of single videos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertmanagerConfig {
    /// All of them; at least one.
    pub urls: Vec<Url>,
    /// How often what fires is told again.
    pub resend: Duration,
    /// Labels of every alert beside its own.
    pub labels: BTreeMap<String, String>,
    /// Where runbooks are published.
    pub runbooks: Option<Url>,
    /// Where Grafana is.
    pub grafana: Option<Url>,
    /// Who we are.
    pub auth: AlertmanagerAuth,
    /// PEM certificates to trust instead of the system's.
    pub ca_file: Option<Arc<Path>>,
    /// The certificate to show.
    pub identity: Option<Identity>,
}

/// What is said of oneself with every call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertmanagerAuth {
    /// Nothing.
    Nobody,
    /// A name and a password.
    Basic {
        /// The name.
        username: String,
        /// The password, read with each call.
        password: SecretSource,
    },
    /// A token, read with each call.
    Bearer(SecretSource),
}

/// `alertmanager` as written.
#[derive(Debug, Default)]
pub(super) struct Options {
    urls: Field<Vec<Url>>,
    resend: Field<Duration>,
    labels: BTreeMap<String, String>,
    runbooks: Field<Url>,
    grafana: Field<Url>,
    username: Field<String>,
    password: Field<SecretSource>,
    bearer_token: Field<SecretSource>,
    ca_file: Field<String>,
    cert_file: Field<String>,
    key_file: Field<String>,
}

// === impl AlertmanagerConfig ===

impl AlertmanagerConfig {
    /// Alertmanagers that take alerts from everybody.
    pub fn new(urls: Vec<Url>) -> Self {
        Self {
            urls,
            resend: RESEND,
            labels: BTreeMap::new(),
            runbooks: None,
            grafana: None,
            auth: AlertmanagerAuth::Nobody,
            ca_file: None,
            identity: None,
        }
    }
}

// === impl Options ===

impl Options {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            urls: table.urls("urls"),
            resend: table.seconds("resend"),
            labels: table.label_map("labels"),
            runbooks: table.base("runbooks"),
            grafana: table.base("grafana"),
            username: table.text("username"),
            password: table.secret("password"),
            bearer_token: table.secret("bearer_token"),
            ca_file: table.text("ca_file"),
            cert_file: table.text("cert_file"),
            key_file: table.text("key_file"),
        }
    }

    /// What is meant; none where the file does not mention it.
    pub(super) fn resolve(
        field: Field<Self>,
        accounts: &Accounts<'_>,
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<Problem>,
    ) -> Option<AlertmanagerConfig> {
        let Field::Given(place, options) = field else {
            return None;
        };
        if let Field::Absent = options.urls {
            problems.push(place.problem("found no `urls`, expected at least one; add it"));
        }
        let url_place = options.urls.place().cloned();
        let urls = options.urls.value().unwrap_or_default();
        let named = options.password.place().or(options.bearer_token.place());
        for url in &urls {
            if let (Some(_), Some(place)) = (named, &url_place)
                && Endpoint::parse(&url.origin().ascii_serialization())
                    .is_ok_and(|endpoint| endpoint.is_exposed())
            {
                warnings.push(place.problem(format!(
                    "password or token can be read on their way to {}; use `https`",
                    url.host_str().unwrap_or_default()
                )));
            }
        }
        Some(AlertmanagerConfig {
            urls,
            resend: options.resend.value().unwrap_or(RESEND),
            labels: options.labels,
            runbooks: options.runbooks.value(),
            grafana: options.grafana.value(),
            auth: auth(
                &place,
                options.username,
                options.password,
                options.bearer_token,
                accounts,
                problems,
            ),
            ca_file: accounts.certificates(options.ca_file, problems),
            identity: identity(
                &place,
                options.cert_file,
                options.key_file,
                accounts,
                problems,
            ),
        })
    }
}

fn auth(
    place: &Place,
    username: Field<String>,
    password: Field<SecretSource>,
    token: Field<SecretSource>,
    accounts: &Accounts<'_>,
    problems: &mut Vec<Problem>,
) -> AlertmanagerAuth {
    match (username, password, token) {
        (Field::Absent, Field::Absent, Field::Given(place, token)) => accounts
            .checked(&place, token, problems)
            .map_or(AlertmanagerAuth::Nobody, AlertmanagerAuth::Bearer),
        (Field::Given(_, username), Field::Given(place, password), Field::Absent) => accounts
            .checked(&place, password, problems)
            .map_or(AlertmanagerAuth::Nobody, |password| {
                AlertmanagerAuth::Basic { username, password }
            }),
        (Field::Given(place, _), Field::Absent, Field::Absent) => {
            problems.push(
                place.problem("found no password beside it; add `password_file` or `password_env`"),
            );
            AlertmanagerAuth::Nobody
        }
        (Field::Absent, Field::Given(place, _), Field::Absent) => {
            problems.push(place.problem("found no `username` beside it; add it"));
            AlertmanagerAuth::Nobody
        }
        (username, password, Field::Given(..))
            if username.place().is_some() || password.place().is_some() =>
        {
            problems.push(place.problem(
                "found a password and a bearer token, expected one of the two; remove one",
            ));
            AlertmanagerAuth::Nobody
        }
        _ => AlertmanagerAuth::Nobody,
    }
}

fn identity(
    place: &Place,
    certificate: Field<String>,
    key: Field<String>,
    accounts: &Accounts<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Identity> {
    match (certificate, key) {
        (certificate @ Field::Given(..), Field::Given(key_place, key)) => {
            let certificate = accounts.certificates(certificate, problems)?.to_path_buf();
            let key: PathBuf = accounts.absolute(Path::new(&key));
            let identity = Identity { certificate, key };
            if let Err(error) = identity.check() {
                problems.push(key_place.problem(error.to_string()));
            }
            Some(identity)
        }
        (Field::Absent, Field::Absent) | (Field::Invalid, _) | (_, Field::Invalid) => None,
        _ => {
            problems.push(place.problem(
                "found one of `cert_file` and `key_file`, expected both or none; add the other",
            ));
            None
        }
    }
}
