//! Accounts: their credentials exist, their certificates are certificates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;

use super::problem::{Place, Problem};
use super::raw::{Account, Origin};
use super::table::Field;
use super::{AccountConfig, Endpoint};
use crate::aliyun::credentials::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, Environment, Lookup, ProviderName, SECURITY_TOKEN, Settings,
    Sources,
};
use crate::secret::{SecretError, SecretSource};

/// The account that needs no entry.
pub(super) const DEFAULT: &str = "default";

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

    fn add(&mut self, mut account: Account, problems: &mut Vec<Problem>) {
        let sts_endpoint = std::mem::take(&mut account.sts_endpoint);
        if let Field::Given(place, url) = &sts_endpoint
            && Endpoint::parse(url.as_str()).is_ok_and(|endpoint| endpoint.is_exposed())
        {
            problems.push(place.problem(
                "found `http` on a public network, where tokens could be read on their way; use `https`",
            ));
        }
        let sts_endpoint = sts_endpoint.value();
        let (ca_file, signature) = (
            std::mem::take(&mut account.ca_file),
            std::mem::take(&mut account.signature),
        );
        let proxy = std::mem::take(&mut account.proxy).value();
        let name = account.name.clone();
        let config = AccountConfig {
            name: Arc::from(name.as_str()),
            credentials: self.credentials(account, sts_endpoint.clone(), problems),
            sts_endpoint,
            signature: signature.value().unwrap_or_default(),
            ca_file: self.certificates(ca_file, problems),
            proxy,
        };
        self.by_name.insert(name, Arc::new(config));
    }

    fn credentials(
        &self,
        mut account: Account,
        sts_endpoint: Option<Url>,
        problems: &mut Vec<Problem>,
    ) -> Settings {
        let names_key = names_key(&account);
        let origin = match account.credentials {
            Field::Given(_, origin) => origin,
            Field::Absent => Origin::Auto,
            // Whatever the account says beside it may be right.
            Field::Invalid => return Settings::Chain(Lookup::default()),
        };
        let place = account.credentials.place().cloned();
        let named = match origin {
            Origin::Auto if names_key || account.name != DEFAULT || key_of_environment() => {
                refuse_unused(&account, None, problems);
                return Settings::Keys(self.keys(account, problems));
            }
            Origin::Auto | Origin::Chain => None,
            Origin::Named(name) => Some(name),
        };
        if names_key {
            problems.push(account.place.problem(
                "found an access key and a provider as `credentials`, expected one of the two; remove one",
            ));
        }
        if let Some(name) = named {
            refuse_unused(&account, Some(name), problems);
        }
        let token_file = std::mem::take(&mut account.oidc_token_file).value();
        let lookup = Lookup {
            profile: account.profile.value(),
            role_arn: account.role_arn.value(),
            oidc_provider_arn: account.oidc_provider_arn.value(),
            oidc_token_file: token_file
                .map(|path| self.absolute(Path::new(&path)).display().to_string()),
            ecs_role: account.ecs_role.value(),
            credentials_uri: account.credentials_uri.value(),
            sts_endpoint,
            metadata_endpoint: account.metadata_endpoint.value(),
        };
        let settings = match named {
            Some(name) => Settings::Named(name, lookup),
            None => Settings::Chain(lookup),
        };
        if let Err(error) = settings.check(&Environment::of_process()) {
            let place = place.unwrap_or(account.place);
            problems.push(place.problem(error.to_string()));
        }
        settings
    }

    /// The access key that the account names, or that of the environment.
    fn keys(&self, account: Account, problems: &mut Vec<Problem>) -> Sources {
        let is_default = account.name == DEFAULT;
        let mut required = |key: &str, field, variable: &str| match field {
            Field::Absent if is_default => {
                let place = account.place.key(account.place.line, key);
                self.checked(&place, SecretSource::Env(variable.to_owned()), problems)
            }
            Field::Absent => {
                problems.push(account.place.problem(format!(
                    "found no {key}; add `{key}_file` with the path of a file, or `{key}_env` with the name of an \
                     environment variable, or name a provider as `credentials`"
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
        Sources {
            access_key_id: id.unwrap_or_else(missing),
            access_key_secret: secret.unwrap_or_else(missing),
            security_token,
        }
    }

    /// The secret's source, if it can be read now.
    pub(super) fn checked(
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
    pub(super) fn certificates(
        &self,
        field: Field<String>,
        problems: &mut Vec<Problem>,
    ) -> Option<Arc<Path>> {
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

    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }
}

/// Whether the account says anything of an access key.
fn names_key(account: &Account) -> bool {
    [
        &account.access_key_id,
        &account.access_key_secret,
        &account.security_token,
    ]
    .iter()
    .any(|field| !matches!(field, Field::Absent))
}

/// Whether the environment has an access key, or half of one.
fn key_of_environment() -> bool {
    [ACCESS_KEY_ID, ACCESS_KEY_SECRET]
        .iter()
        .any(|name| SecretSource::Env((*name).to_owned()).read().is_ok())
}

/// Options that the account's credentials make no use of: of `provider`, or of an access key.
fn refuse_unused(account: &Account, provider: Option<ProviderName>, problems: &mut Vec<Problem>) {
    let of_file = [ProviderName::CliProfile, ProviderName::Ini];
    let options: [(Option<&Place>, &[ProviderName]); 7] = [
        (account.profile.place(), &of_file),
        (account.role_arn.place(), &[ProviderName::Oidc]),
        (account.oidc_provider_arn.place(), &[ProviderName::Oidc]),
        (account.oidc_token_file.place(), &[ProviderName::Oidc]),
        (account.ecs_role.place(), &[ProviderName::Ecs]),
        (account.credentials_uri.place(), &[ProviderName::Uri]),
        // Profiles may name the instance's role.
        (
            account.metadata_endpoint.place(),
            &[
                ProviderName::CliProfile,
                ProviderName::Ini,
                ProviderName::Ecs,
            ],
        ),
    ];
    for (place, users) in options {
        if let Some(place) = place
            && !provider.is_some_and(|provider| users.contains(&provider))
        {
            let what = provider.map_or("an access key", ProviderName::as_str);
            let users: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
            problems.push(place.problem(format!(
                "found with {what}, which makes no use of it; remove it, or choose `credentials: {}`",
                users.join("` or `")
            )));
        }
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
