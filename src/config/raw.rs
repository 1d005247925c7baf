//! The file as written: every option typed and within its own bounds, with its place. What options mean together is
//! judged in `resolve`.

use std::time::Duration;

use url::Url;

use super::SingleQueue;
use super::alertmanager;
use super::endpoint::Endpoint;
use super::node::{Node, Value, describe_text};
use super::options::Kind;
use super::problem::{Place, Problem};
use super::table::{Field, Table, read_endpoint, unexpected};
use crate::aliyun::credentials::ProviderName;
use crate::aliyun::sign;
use crate::ledger::StreamsFrom;
use crate::ledger::snapshot::{Mode, Role};
use crate::secret::SecretSource;

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) accounts: Vec<Account>,
    pub(super) defaults: QueueOptions,
    pub(super) queues: Field<Vec<Entry>>,
    pub(super) alertmanager: Field<alertmanager::Options>,
    pub(super) max_bytes: Field<u64>,
    pub(super) expose_bodies: Field<bool>,
}

/// An entry of `accounts`.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) access_key_id: Field<SecretSource>,
    pub(super) access_key_secret: Field<SecretSource>,
    pub(super) security_token: Field<SecretSource>,
    pub(super) credentials: Field<Origin>,
    pub(super) profile: Field<String>,
    pub(super) role_arn: Field<String>,
    pub(super) oidc_provider_arn: Field<String>,
    pub(super) oidc_token_file: Field<String>,
    pub(super) ecs_role: Field<String>,
    pub(super) credentials_uri: Field<Url>,
    pub(super) metadata_endpoint: Field<Url>,
    pub(super) sts_endpoint: Field<Url>,
    pub(super) signature: Field<sign::Version>,
    pub(super) ca_file: Field<String>,
    pub(super) proxy: Field<Url>,
}

/// `credentials` of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The access key that is named, else the environment's, else the chain.
    Auto,
    /// The vendor's chain.
    Chain,
    /// One provider of it.
    Named(ProviderName),
}

/// An entry of `queues`.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) id: Field<String>,
    pub(super) name: Field<String>,
    pub(super) prefix: Field<String>,
    pub(super) role: Field<Role>,
    pub(super) forward: Field<ForwardOptions>,
    pub(super) options: QueueOptions,
}

/// Options that a queue inherits from `defaults`.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueOptions {
    pub(super) endpoint: Field<Endpoint>,
    pub(super) region: Field<String>,
    pub(super) account: Field<String>,
    pub(super) mode: Field<Mode>,
    pub(super) tick: Field<Duration>,
    pub(super) long_poll: Field<Duration>,
    pub(super) workers: Field<usize>,
    pub(super) streams_from: Field<StreamsFrom>,
    pub(super) transcodes: Field<TranscodeOptions>,
    pub(super) vod: Field<VodOptions>,
}

/// `forward` of a queue.
#[derive(Debug, Default)]
pub(super) struct ForwardOptions {
    pub(super) name: Field<String>,
    pub(super) endpoint: Field<Endpoint>,
    pub(super) account: Field<String>,
}

/// `transcodes` of a queue or of `defaults`.
#[derive(Clone, Debug, Default)]
pub(super) struct TranscodeOptions {
    pub(super) base: Field<Duration>,
    pub(super) factor_millis: Field<u32>,
    pub(super) unknown_duration: Field<Duration>,
    pub(super) abandon_after: Field<Duration>,
    pub(super) expect_every_upload: Field<bool>,
    pub(super) playable_objective: Field<Duration>,
    pub(super) max_videos: Field<usize>,
}

/// `vod` of a queue or of `defaults`.
#[derive(Clone, Debug, Default)]
pub(super) struct VodOptions {
    pub(super) region: Field<String>,
    pub(super) endpoint: Field<Endpoint>,
    pub(super) app_id: Field<String>,
    pub(super) no_transcode_template_groups: Field<Vec<String>>,
    pub(super) requests_per_second_millis: Field<u32>,
}

// === impl File ===

impl File {
    /// Reads the root of the file.
    pub(super) fn read(root: Node, problems: &mut Vec<Problem>) -> Self {
        if !matches!(root.value, Value::Map(_) | Value::Null) {
            problems.push(Place::default().problem(unexpected(&root.value, Kind::Table)));
            return Self {
                queues: Field::Invalid,
                ..Self::default()
            };
        }
        let mut table = Table::open(Place::default(), root, "", problems);
        let accounts = table
            .tables("accounts")
            .into_iter()
            .map(|(place, name, node)| Account::read(place, name, node, table.problems))
            .collect();
        let mut defaults_table = table.table("defaults", "defaults");
        let defaults = QueueOptions::read(&mut defaults_table);
        defaults_table.close();
        let queues = match table.list("queues") {
            Field::Given(place, items) => Field::Given(
                place,
                items
                    .into_iter()
                    .map(|(place, node)| Entry::read(place, node, table.problems))
                    .collect(),
            ),
            Field::Invalid => Field::Invalid,
            Field::Absent => Field::Absent,
        };
        let alertmanager =
            table.section("alertmanager", "alertmanager", alertmanager::Options::read);
        let mut quarantine = table.table("quarantine", "quarantine");
        let max_bytes = quarantine.bytes("max_bytes");
        let expose_bodies = quarantine.flag("expose_bodies");
        quarantine.close();
        table.close();
        Self {
            accounts,
            defaults,
            queues,
            alertmanager,
            max_bytes,
            expose_bodies,
        }
    }

    /// The file that would name the one queue of the flags.
    pub(super) fn single(queue: SingleQueue<'_>, problems: &mut Vec<Problem>) -> Self {
        let name = Some(queue.queue.to_owned())
            .filter(|name| Kind::QueueName.accepts(name))
            .ok_or_else(|| {
                let found = describe_text(queue.queue);
                format!("found {found}, expected {}", Kind::QueueName)
            });
        let options = QueueOptions {
            endpoint: flag("--mns.endpoint", read_endpoint(queue.endpoint), problems),
            mode: flag("--mode", Ok(queue.mode), problems),
            ..QueueOptions::default()
        };
        let entry = Entry {
            name: flag("--mns.queue", name, problems),
            options,
            ..Entry::default()
        };
        Self {
            queues: Field::Given(Place::default(), vec![entry]),
            ..Self::default()
        }
    }
}

/// The value of a flag.
fn flag<T>(name: &str, value: Result<T, String>, problems: &mut Vec<Problem>) -> Field<T> {
    let place = Place::flag(name);
    match value {
        Ok(value) => Field::Given(place, value),
        Err(text) => {
            problems.push(place.problem(text));
            Field::Invalid
        }
    }
}

// === impl Origin ===

impl Origin {
    const WORDS: &[(&str, Self)] = &[
        ("auto", Self::Auto),
        ("chain", Self::Chain),
        ("environment", Self::Named(ProviderName::Environment)),
        ("oidc", Self::Named(ProviderName::Oidc)),
        ("cli_profile", Self::Named(ProviderName::CliProfile)),
        ("ini", Self::Named(ProviderName::Ini)),
        ("ecs", Self::Named(ProviderName::Ecs)),
        ("uri", Self::Named(ProviderName::Uri)),
    ];
}

// === impl Account ===

impl Account {
    fn read(place: Place, name: String, node: Node, problems: &mut Vec<Problem>) -> Self {
        if !Kind::Label.accepts(&name) {
            problems.push(place.problem(format!("the account's name must be {}", Kind::Label)));
        }
        if !matches!(node.value, Value::Map(_) | Value::Null) {
            problems.push(place.problem(unexpected(&node.value, Kind::Table)));
            return Self {
                place,
                name,
                access_key_id: Field::Invalid,
                access_key_secret: Field::Invalid,
                ..Self::default()
            };
        }
        let mut table = Table::open(place.clone(), node, "accounts.*", problems);
        let account = Self {
            place,
            name,
            access_key_id: table.secret("access_key_id"),
            access_key_secret: table.secret("access_key_secret"),
            security_token: table.secret("security_token"),
            credentials: table.choice("credentials", Origin::WORDS),
            profile: table.text("profile"),
            role_arn: table.text("role_arn"),
            oidc_provider_arn: table.text("oidc_provider_arn"),
            oidc_token_file: table.text("oidc_token_file"),
            ecs_role: table.text("ecs_role"),
            credentials_uri: table.url("credentials_uri"),
            metadata_endpoint: table.url("metadata_endpoint"),
            sts_endpoint: table.url("sts_endpoint"),
            signature: table.choice(
                "signature",
                &[("v2", sign::Version::V2), ("v4", sign::Version::V4)],
            ),
            ca_file: table.text("ca_file"),
            proxy: table.proxy("proxy"),
        };
        table.close();
        account
    }
}

// === impl Entry ===

impl Entry {
    fn read(place: Place, node: Node, problems: &mut Vec<Problem>) -> Self {
        if !matches!(node.value, Value::Map(_)) {
            let found = node.value.describe();
            let text = format!("found {found}, expected a mapping with `name` or `prefix`");
            problems.push(place.problem(text));
            return Self {
                name: Field::Invalid,
                place,
                ..Self::default()
            };
        }
        let mut table = Table::open(place.clone(), node, "queues[]", problems);
        let entry = Self {
            place,
            id: table.text("id"),
            name: table.text("name"),
            prefix: table.text("prefix"),
            role: table.choice(
                "role",
                &[
                    ("callback", Role::Callback),
                    ("dead_letter", Role::DeadLetter),
                ],
            ),
            forward: table.section("forward", "queues[].forward", ForwardOptions::read),
            options: QueueOptions::read(&mut table),
        };
        table.close();
        entry
    }
}

// === impl QueueOptions ===

impl QueueOptions {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            endpoint: table.endpoint("endpoint"),
            region: table.text("region"),
            account: table.text("account"),
            mode: table.choice("mode", &[("peek", Mode::Peek), ("consume", Mode::Consume)]),
            tick: table.seconds("tick"),
            long_poll: table.seconds("long_poll"),
            workers: table.count("workers"),
            streams_from: table.choice(
                "streams_from",
                &[
                    ("events", StreamsFrom::Events),
                    ("summary", StreamsFrom::Summary),
                ],
            ),
            transcodes: table.section("transcodes", "queues[].transcodes", TranscodeOptions::read),
            vod: table.section("vod", "queues[].vod", VodOptions::read),
        }
    }

    /// These options, and where they are absent, those of `defaults`.
    pub(super) fn inherit(self, defaults: &Self) -> Self {
        let defaults = defaults.clone();
        Self {
            endpoint: self.endpoint.or(defaults.endpoint),
            region: self.region.or(defaults.region),
            account: self.account.or(defaults.account),
            mode: self.mode.or(defaults.mode),
            tick: self.tick.or(defaults.tick),
            long_poll: self.long_poll.or(defaults.long_poll),
            workers: self.workers.or(defaults.workers),
            streams_from: self.streams_from.or(defaults.streams_from),
            transcodes: self
                .transcodes
                .merge(defaults.transcodes, TranscodeOptions::inherit),
            vod: self.vod.merge(defaults.vod, VodOptions::inherit),
        }
    }
}

// === impl ForwardOptions ===

impl ForwardOptions {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            name: table.text("name"),
            endpoint: table.endpoint("endpoint"),
            account: table.text("account"),
        }
    }
}

// === impl TranscodeOptions ===

impl TranscodeOptions {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            base: table.seconds("base"),
            factor_millis: table.thousandths("factor"),
            unknown_duration: table.seconds("unknown_duration"),
            abandon_after: table.seconds("abandon_after"),
            expect_every_upload: table.choice("expect", &[("some", false), ("every_upload", true)]),
            playable_objective: table.transcode_bound("playable_objective"),
            max_videos: table.count("max_videos"),
        }
    }

    fn inherit(self, defaults: Self) -> Self {
        Self {
            base: self.base.or(defaults.base),
            factor_millis: self.factor_millis.or(defaults.factor_millis),
            unknown_duration: self.unknown_duration.or(defaults.unknown_duration),
            abandon_after: self.abandon_after.or(defaults.abandon_after),
            expect_every_upload: self.expect_every_upload.or(defaults.expect_every_upload),
            playable_objective: self.playable_objective.or(defaults.playable_objective),
            max_videos: self.max_videos.or(defaults.max_videos),
        }
    }
}

// === impl VodOptions ===

impl VodOptions {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            region: table.text("region"),
            endpoint: table.vod_endpoint("endpoint"),
            app_id: table.text("app_id"),
            no_transcode_template_groups: table.labels("no_transcode_template_groups"),
            requests_per_second_millis: table.thousandths("requests_per_second"),
        }
    }

    fn inherit(self, defaults: Self) -> Self {
        Self {
            region: self.region.or(defaults.region),
            endpoint: self.endpoint.or(defaults.endpoint),
            app_id: self.app_id.or(defaults.app_id),
            no_transcode_template_groups: self
                .no_transcode_template_groups
                .or(defaults.no_transcode_template_groups),
            requests_per_second_millis: self
                .requests_per_second_millis
                .or(defaults.requests_per_second_millis),
        }
    }
}
