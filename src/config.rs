//! The config as it is meant, which cannot be wrong.
//!
//! The file as written becomes a tree of nodes with their lines (`node`), then typed values with their places (`raw`),
//! then a [`Config`] (`resolve`). Every step goes on after a problem, so that one run reports all of them, each with
//! file, line, path, what was found, what is expected and what to do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::aliyun::credentials::{self, Environment, sts};
use crate::aliyun::{sign, transport};
use crate::ledger::record::QueueSettings;
use crate::ledger::snapshot::{Mode, QueueIdentity, Role};

mod accounts;
mod alertmanager;
mod endpoint;
mod forward;
mod node;
pub mod options;
mod problem;
mod raw;
mod resolve;
mod schema;
mod table;
mod transcodes;
mod value;
pub mod web;

pub use alertmanager::{AlertmanagerAuth, AlertmanagerConfig, OWN_LABELS};
pub use endpoint::{Endpoint, EndpointError};
pub use problem::{ConfigError, Place, Problem};
pub(crate) use table::parse_url;
pub(crate) use value::MAX_URLS;

/// Queues that one process may watch, discovered ones included: the number MNS allows in a region.
pub const MAX_QUEUES: usize = 1_000;

/// Bytes of a config file: a thousand queues with every option written out fit four times.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// Everything that the config says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Queues known by name, in the order of their ids.
    pub queues: Vec<QueueConfig>,
    /// Queues known by the beginning of their name.
    pub discoveries: Vec<Discovery>,
    /// Undecodable messages.
    pub quarantine: Quarantine,
    /// Where per-video alerts are sent; none if they are not.
    pub alertmanager: Option<AlertmanagerConfig>,
    /// What is allowed and yet deserves a look, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// One queue and how to read it.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueConfig {
    /// Who it is.
    pub identity: Arc<QueueIdentity>,
    /// Where its MNS is.
    pub endpoint: Endpoint,
    /// With whose credentials and by which way.
    pub account: Arc<AccountConfig>,
    /// Time between reads of the attributes, and in peek of the messages; 10 s to 1 h.
    pub tick: Duration,
    /// How long a receive waits for a message; whole seconds, 1 s to 30 s.
    pub long_poll: Duration,
    /// Consume: the most long polls at a time; 1 to 64.
    pub workers: usize,
    /// How the ledger understands its messages.
    pub settings: QueueSettings,
    /// Consume: where its messages are passed on to before they are deleted.
    pub forward: Option<ForwardConfig>,
    /// How VOD is asked about its transcodes, with the queue's account; none if it is not.
    pub vod: Option<VodConfig>,
}

/// The queue of MNS that messages are passed on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardConfig {
    /// Where its MNS is.
    pub endpoint: Endpoint,
    /// Region that signatures name; empty if unknown.
    pub region: Arc<str>,
    /// Its name in MNS.
    pub name: Arc<str>,
    /// With whose credentials.
    pub account: Arc<AccountConfig>,
}

/// How VOD's API is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct VodConfig {
    /// VOD's region.
    pub region: Arc<str>,
    /// Where the API is; none for VOD's own host of the region.
    pub endpoint: Option<url::Url>,
    /// The application whose callback configuration is checked; none for the default one.
    pub app_id: Option<Arc<str>>,
    /// Template groups by which nothing is transcoded.
    pub no_transcode_template_groups: Vec<Arc<str>>,
    /// Requests a second, at most.
    pub requests_per_second: f64,
    /// Between two questions about the same video.
    pub poll_interval: Duration,
}

/// A rule for queues that are found by one `ListQueue` call.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    /// What their names begin with; empty for every queue of the endpoint.
    pub prefix: Arc<str>,
    template: QueueConfig,
}

/// Credentials with a name, and the way that requests made with them take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountConfig {
    /// Its name in the config.
    pub name: Arc<str>,
    /// Where its credentials come from.
    pub credentials: credentials::Settings,
    /// Where STS is; none for the vendor's own.
    pub sts_endpoint: Option<url::Url>,
    /// The signature that requests carry.
    pub signature: sign::Version,
    /// PEM certificates to trust instead of the system's; holds at least one.
    pub ca_file: Option<Arc<Path>>,
    /// The HTTP proxy to go through; none to connect directly, whatever the environment says.
    pub proxy: Option<url::Url>,
}

/// What becomes of undecodable messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Bytes of bodies kept, over all queues.
    pub max_bytes: u64,
    /// Whether the API shows bodies.
    pub expose_bodies: bool,
}

/// A single queue as named by flags instead of a file.
#[derive(Clone, Copy, Debug)]
pub struct SingleQueue<'a> {
    /// `--mns.endpoint`.
    pub endpoint: &'a str,
    /// `--mns.queue`.
    pub queue: &'a str,
    /// `--mode`.
    pub mode: Mode,
}

/// `config`, if there is no problem with it.
fn config_unless(
    problems: Vec<Problem>,
    config: Config,
    origin: &str,
) -> Result<Config, ConfigError> {
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError::invalid(origin, problems))
    }
}

// === impl Config ===

impl Config {
    /// Reads and checks a file, and every file and variable that it names.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = problem::read_file(path)?;
        Self::parse(&path.display().to_string(), &text, path.parent())
    }

    /// Checks `text`; `origin` stands before each problem, relative paths start at `directory`.
    pub fn parse(origin: &str, text: &str, directory: Option<&Path>) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let file = match node::parse(text) {
            Ok(root) => raw::File::read(root, &mut problems),
            Err(problem) => return Err(ConfigError::invalid(origin, vec![problem])),
        };
        let config = resolve::resolve(file, directory, &mut problems);
        config_unless(problems, config, origin)
    }

    /// The config of one queue with the default account and default options.
    pub fn single(queue: SingleQueue<'_>) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let file = raw::File::single(queue, &mut problems);
        let config = resolve::resolve(file, None, &mut problems);
        config_unless(problems, config, "command line")
    }
}

impl Default for Config {
    /// No queue, default options.
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            discoveries: Vec::new(),
            quarantine: Quarantine {
                max_bytes: resolve::QUARANTINE_BYTES,
                expose_bodies: false,
            },
            alertmanager: None,
            warnings: Vec::new(),
        }
    }
}

// === impl QueueConfig ===

impl QueueConfig {
    /// A queue with default options whose id is its name in MNS.
    pub fn new(endpoint: Endpoint, name: &str, mode: Mode, account: Arc<AccountConfig>) -> Self {
        let identity = QueueIdentity {
            id: Arc::from(name),
            mns_queue: Arc::from(name),
            endpoint: Arc::from(endpoint.as_str()),
            account: Arc::from(endpoint.account().unwrap_or_default()),
            region: Arc::from(endpoint.region().unwrap_or_default()),
            mode,
            role: Role::Callback,
        };
        Self {
            identity: Arc::new(identity),
            endpoint,
            account,
            tick: resolve::TICK,
            long_poll: resolve::LONG_POLL,
            workers: resolve::WORKERS,
            settings: QueueSettings::default(),
            forward: None,
            vod: None,
        }
    }
}

// === impl AccountConfig ===

impl AccountConfig {
    /// An account of the emulator, whose key everybody may know.
    pub fn public(access_key_id: &'static str, access_key_secret: &'static str) -> Self {
        Self {
            name: Arc::from("emulator"),
            credentials: credentials::Settings::public(access_key_id, access_key_secret),
            sts_endpoint: None,
            signature: sign::Version::default(),
            ca_file: None,
            proxy: None,
        }
    }

    /// The way that its requests take.
    pub fn transport(&self) -> transport::Options {
        transport::Options {
            ca_file: self.ca_file.as_deref().map(Path::to_owned),
            proxy: self.proxy.clone(),
        }
    }

    /// Where STS is to be asked about these credentials.
    pub fn sts(&self, environment: &Environment) -> Result<url::Url, credentials::Failure> {
        match &self.sts_endpoint {
            Some(endpoint) => Ok(endpoint.clone()),
            None => sts::endpoint_of(environment),
        }
    }
}

// === impl Discovery ===

impl Discovery {
    /// The config of a queue found under this rule.
    pub fn queue(&self, name: &str) -> QueueConfig {
        let name: Arc<str> = Arc::from(name);
        QueueConfig {
            identity: Arc::new(QueueIdentity {
                id: Arc::clone(&name),
                mns_queue: name,
                ..QueueIdentity::clone(&self.template.identity)
            }),
            ..self.template.clone()
        }
    }

    /// Where to look for them.
    pub fn endpoint(&self) -> &Endpoint {
        &self.template.endpoint
    }

    /// Region that signatures name; empty if unknown.
    pub fn region(&self) -> &str {
        &self.template.identity.region
    }

    /// With whose credentials to look for them.
    pub fn account(&self) -> &Arc<AccountConfig> {
        &self.template.account
    }

    /// Time between two looks: the time between reads of the queues.
    pub fn tick(&self) -> Duration {
        self.template.tick
    }
}
