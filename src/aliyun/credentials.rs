//! What requests are signed with, and where it comes from.
//!
//! An access key by reference to files or variables ([`Sources`]), or the vendor's default chain of providers, or one
//! provider of it: [`Settings`] says which, a [`Provider`] hands out the credentials as they are now.

pub(super) mod answer;
mod cache;
mod chain;
mod cli_profile;
mod ecs;
mod environment;
mod failure;
mod ini;
mod keys;
mod plan;
pub mod sts;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use url::Url;

use self::cache::Cache;
use self::chain::Chain;
use self::keys::Keys;
use self::plan::Plan;
use super::transport;
use crate::clock::{self, UnixMillis};
use crate::secret::SecretSource;

pub use self::environment::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Environment, SECURITY_TOKEN};
pub use self::failure::{Error, Failure, Refusal};
pub use self::keys::{Error as KeysError, Sources};

/// What a request is signed with.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Public half of the key; appears in the `Authorization` header.
    pub access_key_id: String,
    /// Secret half.
    pub access_key_secret: SecretString,
    /// Sent along when the key is a temporary one (STS).
    pub security_token: Option<SecretString>,
}

/// Where an account's credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// An access key by reference.
    Keys(Sources),
    /// The first provider of the vendor's chain that has some.
    Chain(Lookup),
    /// This provider and no other.
    Named(ProviderName, Lookup),
}

/// A provider of the vendor's default chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderName {
    /// The access key in environment variables.
    Environment,
    /// The role of a pod's service account (RRSA), by its OIDC token.
    Oidc,
    /// A profile of the `aliyun` command line.
    CliProfile,
    /// A profile of the vendor's SDKs.
    Ini,
    /// The RAM role of the ECS instance.
    Ecs,
    /// A service that hands out credentials.
    Uri,
}

/// What an account says to providers; the rest is in the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// Profile of the CLI's and the SDKs' files.
    pub profile: Option<String>,
    /// OIDC: the role to take.
    pub role_arn: Option<String>,
    /// OIDC: who issues the token.
    pub oidc_provider_arn: Option<String>,
    /// OIDC: path of the token's file.
    pub oidc_token_file: Option<String>,
    /// ECS: the instance's role.
    pub ecs_role: Option<String>,
    /// URI: where to ask.
    pub credentials_uri: Option<Url>,
    /// Where STS is.
    pub sts_endpoint: Option<Url>,
    /// Where ECS's metadata service is.
    pub metadata_endpoint: Option<Url>,
}

/// Is told what becomes of credentials.
pub trait Observer: Send + Sync {
    /// There are credentials, which expire then, or never.
    fn renewed(&self, expires: Option<UnixMillis>);
    /// An attempt failed with an error of a bounded kind, see [`Error::ALL`].
    fn failed(&self, kind: &'static str);
}

/// Is told and keeps nothing.
impl Observer for () {
    fn renewed(&self, _: Option<UnixMillis>) {}

    fn failed(&self, _: &'static str) {}
}

/// Tells the local time.
pub type Clock = dyn Fn() -> UnixMillis + Send + Sync;

/// What providers work with.
#[derive(Clone)]
pub struct Context {
    /// The account's name in the config, for the log.
    pub account: Arc<str>,
    /// For STS.
    pub http: reqwest::Client,
    /// For services on this machine or next to it, which no proxy reaches.
    pub direct: reqwest::Client,
    /// Official variables.
    pub environment: Environment,
    /// The local time.
    pub clock: Arc<Clock>,
    /// Counts.
    pub observer: Arc<dyn Observer>,
    rng: Arc<Mutex<fastrand::Rng>>,
}

/// Where credentials came from, and until when they are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Who gave them; none for an access key by reference.
    pub provider: Option<ProviderName>,
    /// When they expire; none if never, or if that is not told.
    pub expires: Option<UnixMillis>,
}

/// Hands out the credentials as they are now.
pub struct Provider(Origin);

enum Origin {
    Fixed(Arc<Credentials>),
    Keys(Keys),
    Cached(Arc<Cache>),
}

// === impl Credentials ===

impl Credentials {
    fn is_same(&self, other: &Self) -> bool {
        let token = self.security_token.as_ref();
        let others = other.security_token.as_ref();
        self.access_key_id == other.access_key_id
            && self.access_key_secret.expose_secret() == other.access_key_secret.expose_secret()
            && token.map(SecretString::expose_secret) == others.map(SecretString::expose_secret)
    }
}

/// The access key of a profile; `place` says where it stands.
fn profile_keys(
    place: &str,
    id: &str,
    secret: &str,
    (token_key, token): (&str, Option<&str>),
) -> Result<Plan, Failure> {
    let parts = [
        ("access_key_id", Some(id)),
        ("access_key_secret", Some(secret)),
        (token_key, token),
    ];
    for (key, value) in parts {
        let problem = match value {
            Some("") => "found no",
            Some(value) if !keys::is_sendable(value) => {
                "found white space or characters outside ASCII in"
            }
            _ => continue,
        };
        let problem =
            format!("{problem} {key}; put the bare value there (the file may be half-written)");
        return Err(Failure::malformed(place, problem));
    }
    Ok(Plan::Keys {
        credentials: Credentials {
            access_key_id: id.to_owned(),
            access_key_secret: SecretString::from(secret),
            security_token: token.map(SecretString::from),
        },
        reread: true,
    })
}

// === impl Settings ===

impl Settings {
    /// An access key that everybody may know.
    pub fn public(access_key_id: &'static str, access_key_secret: &'static str) -> Self {
        Self::Keys(Sources {
            access_key_id: SecretSource::Public(access_key_id),
            access_key_secret: SecretSource::Public(access_key_secret),
            security_token: None,
        })
    }

    /// What can be known without asking anybody: whether the provider is set up, or one of the chain may be. An access
    /// key by reference is not looked at.
    pub fn check(&self, environment: &Environment) -> Result<(), Error> {
        match self {
            Self::Keys(_) => Ok(()),
            Self::Chain(lookup) => Chain::new(None, lookup.clone()).check(environment),
            Self::Named(name, lookup) => Chain::new(Some(*name), lookup.clone()).check(environment),
        }
    }
}

// === impl ProviderName ===

impl ProviderName {
    /// Every provider, in the order of the vendor's default chain.
    pub const ALL: [Self; 6] = [
        Self::Environment,
        Self::Oidc,
        Self::CliProfile,
        Self::Ini,
        Self::Ecs,
        Self::Uri,
    ];

    /// Its word in the config.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Oidc => "oidc",
            Self::CliProfile => "cli_profile",
            Self::Ini => "ini",
            Self::Ecs => "ecs",
            Self::Uri => "uri",
        }
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Context ===

impl Context {
    /// The environment and the clock of this process. `http` is the account's client, made with `options`.
    pub fn new(
        account: Arc<str>,
        http: reqwest::Client,
        options: &transport::Options,
        observer: Arc<dyn Observer>,
        seed: u64,
    ) -> Result<Self, transport::Error> {
        let direct = match options.proxy {
            None => http.clone(),
            Some(_) => transport::Options {
                proxy: None,
                ..options.clone()
            }
            .client()?,
        };
        Ok(Self {
            account,
            http,
            direct,
            environment: Environment::of_process(),
            clock: Arc::new(clock::now),
            observer,
            rng: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))),
        })
    }

    fn nonce(&self) -> String {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{:032x}", rng.u128(..))
    }

    fn jitter(&self) -> f64 {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        rng.f64()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

// === impl Provider ===

impl Provider {
    /// Reads from `sources`, at the first call and whenever a file has changed.
    pub fn new(sources: Sources) -> Self {
        Self(Origin::Keys(Keys::new(sources, None)))
    }

    /// Always hands out `credentials`.
    pub fn fixed(credentials: Credentials) -> Self {
        Self(Origin::Fixed(Arc::new(credentials)))
    }

    /// Hands out what `settings` mean. Asks nobody before the first call.
    pub fn of(settings: &Settings, context: Context) -> Self {
        let (named, lookup) = match settings {
            Settings::Keys(sources) => {
                let keys = Keys::new(sources.clone(), Some(context.observer));
                return Self(Origin::Keys(keys));
            }
            Settings::Chain(lookup) => (None, lookup),
            Settings::Named(name, lookup) => (Some(*name), lookup),
        };
        let chain = Chain::new(named, lookup.clone());
        Self(Origin::Cached(Arc::new(Cache::new(chain, context))))
    }

    /// The credentials as they are now. Waits for a provider only while there are none; while new ones cannot be had
    /// (a half-written file, say, or a service that is down), the earlier ones stay for as long as they are good.
    pub async fn get(&self) -> Result<Arc<Credentials>, Error> {
        match &self.0 {
            Origin::Fixed(credentials) => Ok(Arc::clone(credentials)),
            Origin::Keys(keys) => Ok(keys.get(Instant::now())?),
            Origin::Cached(cache) => cache.get().await,
        }
    }

    /// Other credentials than `used`, which were refused as if expired; none where there are no others. Asks a provider
    /// at most once a minute, however often it is called.
    pub async fn refused(&self, used: &Arc<Credentials>) -> Option<Arc<Credentials>> {
        match &self.0 {
            Origin::Fixed(_) => None,
            Origin::Keys(keys) => {
                let current = keys.get_anew(Instant::now()).ok()?;
                (!Arc::ptr_eq(&current, used)).then_some(current)
            }
            Origin::Cached(cache) => cache.refused(used).await,
        }
    }

    /// Where the credentials in use came from; none before the first ones.
    pub fn status(&self) -> Option<Status> {
        let unknown = Status {
            provider: None,
            expires: None,
        };
        match &self.0 {
            Origin::Fixed(_) => Some(unknown),
            Origin::Keys(keys) => keys.is_known().then_some(unknown),
            Origin::Cached(cache) => cache.status(),
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
