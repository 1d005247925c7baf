//! Accounts: their credentials exist, their certificates are certificates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::AccountConfig;
use super::problem::{Place, Problem};
use super::raw::Account;
use super::table::Field;
use crate::secret::{SecretError, SecretSource};

/// The account that needs no entry.
pub(super) const DEFAULT: &str = "default";

const ACCESS_KEY_ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const ACCESS_KEY_SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const SECURITY_TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

/// The accounts of a config by name.
pub(super) struct Accounts<'a> {
    directory: &'a Path,
    by_name: BTreeMap<String, Arc<AccountConfig>>,
}

// === impl Accounts ===

impl<'a> Accounts<'a> {
    /// Checks `accounts`; relative paths start at `directory`.
    pub(super) fn new(
        accounts: Vec<Account>,
        directory: &'a Path,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut this = Self {
            directory,
            by_name: BTreeMap::new(),
        };
        for account in accounts {
            this.add(account, problems);
        }
        this
    }

    /// The account that an option names; the default account comes into being with its first use.
    pub(super) fn find(
        &mut self,
        name: &Field<String>,
        problems: &mut Vec<Problem>,
    ) -> Option<Arc<AccountConfig>> {
        let (place, name) = match name {
            Field::Given(place, name) => (Some(place), name.as_str()),
            Field::Absent => (None, DEFAULT),
            Field::Invalid => return None,
        };
        if name == DEFAULT && !self.by_name.contains_key(DEFAULT) {
            let place = Place {
                line: None,
                path: format!("accounts.{DEFAULT}"),
            };
            let account = Account {
                place,
                name: DEFAULT.to_owned(),
                ..Account::default()
            };
            self.add(account, problems);
        }
        let account = self.by_name.get(name).cloned();
        if let (None, Some(place)) = (&account, place) {
            let mut known: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
            known.push(DEFAULT);
            known.sort_unstable();
            known.dedup();
            problems.push(place.problem(format!(
                "found `{name}`, expected the name of an account ({}); add it under `accounts`",
                known.join(", ")
            )));
        }
        account
    }

    fn add(&mut self, account: Account, problems: &mut Vec<Problem>) {
        let is_default = account.name == DEFAULT;
        let mut required = |key: &str, field, variable: &str| match field {
            Field::Absent if is_default => {
                let place = account.place.key(account.place.line, key);
                self.checked(&place, SecretSource::Env(variable.to_owned()), problems)
            }
            Field::Absent => {
                problems.push(account.place.problem(format!(
                    "found no {key}; add `{key}_file` with the path of a file, or `{key}_env` with the name of an \
                     environment variable"
                )));
                None
            }
            Field::Given(place, source) => self.checked(&place, source, problems),
            Field::Invalid => None,
        };
        let id = required("access_key_id", account.access_key_id, ACCESS_KEY_ID);
        let secret = required(
            "access_key_secret",
            account.access_key_secret,
            ACCESS_KEY_SECRET,
        );
        let security_token = match account.security_token {
            Field::Given(place, source) => self.checked(&place, source, problems),
            Field::Absent if is_default => token_of_environment(),
            Field::Absent | Field::Invalid => None,
        };
        // Only for a config with a problem, which nobody gets.
        let missing = || SecretSource::Env(String::new());
        let config = AccountConfig {
            name: Arc::from(account.name.as_str()),
            access_key_id: id.unwrap_or_else(missing),
            access_key_secret: secret.unwrap_or_else(missing),
            security_token,
            signature: account.signature.value().unwrap_or_default(),
            ca_file: self.certificates(account.ca_file, problems),
            proxy: account.proxy.value(),
        };
        self.by_name.insert(account.name, Arc::new(config));
    }

    /// The secret's source, if it can be read now.
    fn checked(
        &self,
        place: &Place,
        source: SecretSource,
        problems: &mut Vec<Problem>,
    ) -> Option<SecretSource> {
        let source = match source {
            SecretSource::File(path) => SecretSource::File(self.absolute(&path)),
            other => other,
        };
        match source.read() {
            Ok(_) => Some(source),
            Err(error) => {
                problems.push(place.problem(error.to_string()));
                None
            }
        }
    }

    /// The file of certificates, if it holds some and nothing broken.
    fn certificates(&self, field: Field<String>, problems: &mut Vec<Problem>) -> Option<Arc<Path>> {
        let Field::Given(place, path) = field else {
            return None;
        };
        let path = self.absolute(Path::new(&path));
        let text = match std::fs::read(&path) {
            Err(error) => format!(
                "cannot read {}: {error}; check the path, the mount and its mode",
                path.display()
            ),
            Ok(pem) => match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
                Ok(certificates) if !certificates.is_empty() => return Some(Arc::from(path)),
                Ok(_) => format!(
                    "found no certificate in {}, expected PEM; put at least one `BEGIN CERTIFICATE` there",
                    path.display()
                ),
                Err(error) => format!(
                    "cannot decode the certificates in {}: {error}; expected PEM",
                    path.display()
                ),
            },
        };
        problems.push(place.problem(text));
        None
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }
}

/// The token of the environment, where permanent credentials have none.
fn token_of_environment() -> Option<SecretSource> {
    let source = SecretSource::Env(SECURITY_TOKEN.to_owned());
    match source.read() {
        Err(SecretError::Unset(_) | SecretError::Empty(_)) => None,
        Ok(_) | Err(SecretError::Unreadable { .. }) => Some(source),
    }
}
