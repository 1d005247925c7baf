//! From options as written to the config as meant: defaults, inheritance, and what options mean together.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::accounts::Accounts;
use super::alertmanager;
use super::forward;
use super::problem::{Place, Problem};
use super::raw::{Entry, File, QueueOptions};
use super::table::Field;
use super::transcodes;
use super::{Config, Discovery, Endpoint, MAX_QUEUES, Quarantine, QueueConfig};
use crate::aliyun::sign;
use crate::ledger::QueueSettings;
use crate::ledger::snapshot::{Mode, QueueIdentity, Role};

pub(super) const TICK: Duration = Duration::from_mins(1);
pub(super) const LONG_POLL: Duration = Duration::from_secs(30);
pub(super) const WORKERS: usize = 8;
pub(super) const QUARANTINE_BYTES: u64 = 4 << 20;

const NO_QUEUES: &str =
    "found no entry, expected at least one; add an entry with `endpoint` and `name`";

/// The config that `file` means. It can be trusted only if no problem was added.
pub(super) fn resolve(file: File, directory: Option<&Path>, problems: &mut Vec<Problem>) -> Config {
    let entries = entries(file.queues, problems);
    let directory = directory.unwrap_or(Path::new(""));
    let mut accounts = Accounts::new(file.accounts, directory, problems);
    let (mut warnings, mut claims) = (Vec::new(), Vec::new());
    let resolved: Vec<Resolved> = entries
        .into_iter()
        .filter_map(|entry| {
            let reader = EntryReader {
                place: entry.place.clone(),
                problems,
                warnings: &mut warnings,
                claims: &mut claims,
            };
            reader.read(entry, &file.defaults, &mut accounts)
        })
        .collect();
    let alertmanager =
        alertmanager::Options::resolve(file.alertmanager, &accounts, problems, &mut warnings);
    find_duplicates(&claims, problems);
    forward::find_circles(&resolved, problems, &mut warnings);
    warnings.sort();
    warnings.dedup();

    let (mut queues, mut discoveries) = (Vec::new(), Vec::new());
    for Resolved { prefix, queue, .. } in resolved {
        match prefix {
            Some(prefix) => discoveries.push(Discovery {
                prefix,
                template: queue,
            }),
            None => queues.push(queue),
        }
    }
    queues.sort_by(|a, b| a.identity.id.cmp(&b.identity.id));
    Config {
        queues,
        discoveries,
        quarantine: Quarantine {
            max_bytes: file.max_bytes.value().unwrap_or(QUARANTINE_BYTES),
            expose_bodies: file.expose_bodies.value().unwrap_or(false),
        },
        alertmanager,
        warnings,
    }
}

/// An entry of `queues` that is right in itself.
pub(super) struct Resolved {
    pub(super) place: Place,
    pub(super) prefix: Option<Arc<str>>,
    /// Where its `forward` stands.
    pub(super) forward: Option<Place>,
    pub(super) queue: QueueConfig,
}

struct EntryReader<'a> {
    place: Place,
    problems: &'a mut Vec<Problem>,
    warnings: &'a mut Vec<Problem>,
    claims: &'a mut Vec<Claim>,
}

/// What an entry takes for itself, as far as it can be read: what else is wrong with it hides no duplicate.
struct Claim {
    place: Place,
    id: Option<String>,
    target: Option<Target>,
    whose: Whose,
}

/// The MNS that an entry is about.
enum Whose {
    Endpoint(Endpoint),
    /// That of `defaults`, which is invalid.
    Default,
    Unknown,
}

/// Which queues of an endpoint an entry is about.
#[derive(Clone)]
enum Target {
    Name(String),
    Prefix(String),
}

/// The entries, which must be some and not too many.
fn entries(queues: Field<Vec<Entry>>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let (place, entries) = match queues {
        Field::Given(place, entries) => (place, entries),
        Field::Absent => (Place::default().key(None, "queues"), Vec::new()),
        Field::Invalid => return Vec::new(),
    };
    match entries.len() {
        0 => problems.push(place.problem(NO_QUEUES)),
        count if count > MAX_QUEUES => problems.push(place.problem(format!(
            "found {count} entries, expected at most {MAX_QUEUES}; split them between processes"
        ))),
        _ => {}
    }
    entries
}

/// Entries for one queue of MNS, or with one id, or whose prefixes overlap.
fn find_duplicates(claims: &[Claim], problems: &mut Vec<Problem>) {
    let (mut by_name, mut by_id) = (HashMap::new(), HashMap::new());
    for claim in claims {
        if let (Some(Target::Name(name)), Some(whose)) = (&claim.target, claim.whose.key()) {
            let first = by_name.entry((whose, name)).or_insert(&claim.place);
            if *first != &claim.place {
                problems.push(claim.place.problem(format!(
                    "found queue `{name}` of {}, which {first} is about already; remove one of the two",
                    claim.whose
                )));
                continue;
            }
        }
        if let Some(id) = &claim.id {
            let first = by_id.entry(id).or_insert(&claim.place);
            if *first != &claim.place {
                problems.push(claim.place.problem(format!(
                    "found id `{id}`, which {first} has already; give one of the two another `id`"
                )));
            }
        }
    }
    for (index, claim) in claims.iter().enumerate() {
        let overlapping = claims
            .iter()
            .take(index)
            .find(|other| overlap(claim, other));
        if let Some(first) = overlapping {
            problems.push(claim.place.problem(format!(
                "found a prefix that means queues of {} too; remove one of the two, or choose prefixes \
                 of which neither begins with the other",
                first.place
            )));
        }
    }
}

/// Account and region, by which the public and the inner endpoint of one MNS are the same; else the endpoint itself.
pub(super) fn whose(endpoint: &Endpoint) -> (&str, &str) {
    endpoint
        .account()
        .zip(endpoint.region())
        .unwrap_or((endpoint.as_str(), ""))
}

/// What is doubtful about an endpoint in clear text.
pub(super) fn exposed(endpoint: &Endpoint) -> String {
    format!(
        "requests to {endpoint} can be read on their way; use `https`, or the endpoint of the VPC"
    )
}

fn overlap(a: &Claim, b: &Claim) -> bool {
    let (Some(Target::Prefix(left)), Some(Target::Prefix(right))) = (&a.target, &b.target) else {
        return false;
    };
    a.whose.key().is_some()
        && a.whose.key() == b.whose.key()
        && (left.starts_with(right) || right.starts_with(left))
}

// === impl Whose ===

impl Whose {
    /// Equal for two entries about the same MNS; none where that cannot be known.
    fn key(&self) -> Option<(&str, &str)> {
        match self {
            Self::Endpoint(endpoint) => Some(whose(endpoint)),
            Self::Default => Some(("", "")),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(endpoint) => write!(f, "{endpoint}"),
            Self::Default | Self::Unknown => f.write_str("the endpoint under `defaults`"),
        }
    }
}

// === impl EntryReader ===

impl EntryReader<'_> {
    fn read(
        mut self,
        entry: Entry,
        defaults: &QueueOptions,
        accounts: &mut Accounts<'_>,
    ) -> Option<Resolved> {
        self.warn_without_effect(&entry.options, defaults);
        let inherits = matches!(entry.options.endpoint, Field::Absent);
        let options = entry.options.inherit(defaults);
        let account = accounts.find(&options.account, self.problems);
        let endpoint = self.endpoint(options.endpoint);
        let target = self.target(&entry.id, entry.name, entry.prefix);
        let role = entry.role.value().unwrap_or_default();
        let mode = self.mode(&options.mode, role, target.as_ref());
        self.claim(&entry.id, target.as_ref(), endpoint.as_ref(), inherits);
        if let Some(place) = entry.forward.place() {
            let is_prefix = matches!(target, Some(Target::Prefix(_)));
            self.check_forward(place, &options.mode, is_prefix);
        }
        let reconciled = role == Role::Callback && matches!(options.vod, Field::Given(..));
        let transcodes = transcodes::settings(options.transcodes, reconciled, self.problems);
        let (account, endpoint, target) = (account?, endpoint?, target?);

        let region = options.region.value();
        let region = region.as_deref().or(endpoint.region()).unwrap_or_default();
        if account.signature == sign::Version::V4 && region.is_empty() {
            self.problem(format!(
                "the region of {endpoint} is unknown, which signature `v4` needs; add `region`"
            ));
        }
        let (prefix, name) = match target {
            Target::Name(name) => (None, name),
            Target::Prefix(prefix) => (Some(Arc::from(prefix)), String::new()),
        };
        let identity = QueueIdentity {
            id: Arc::from(entry.id.value().unwrap_or_else(|| name.clone())),
            mns_queue: Arc::from(name),
            endpoint: Arc::from(endpoint.as_str()),
            account: Arc::from(endpoint.account().unwrap_or_default()),
            region: Arc::from(region),
            mode,
            role,
        };
        // What another queue's consumers gave up is no transcode under way.
        let vod = match options.vod {
            Field::Given(place, vod) if role == Role::Callback => Some(transcodes::vod(
                (place, vod),
                region,
                self.problems,
                self.warnings,
            )),
            _ => None,
        };
        let mut queue = QueueConfig {
            identity: Arc::new(identity),
            endpoint,
            account,
            tick: options.tick.value().unwrap_or(TICK),
            long_poll: options.long_poll.value().unwrap_or(LONG_POLL),
            workers: options.workers.value().unwrap_or(WORKERS),
            settings: QueueSettings {
                streams_from: options.streams_from.value().unwrap_or_default(),
                transcodes,
            },
            forward: None,
            vod,
        };
        let mut forward = None;
        if let Field::Given(place, target) = entry.forward {
            queue.forward = forward::resolve(
                (&place, target),
                &queue,
                accounts,
                self.problems,
                self.warnings,
            );
            forward = Some(place);
        }
        Some(Resolved {
            place: self.place,
            prefix,
            forward,
            queue,
        })
    }

    /// Notes what the entry takes for itself.
    fn claim(
        &mut self,
        id: &Field<String>,
        target: Option<&Target>,
        endpoint: Option<&Endpoint>,
        inherits: bool,
    ) {
        let id = match (id, target) {
            (Field::Given(_, id), Some(Target::Name(_)) | None) => Some(id.clone()),
            (Field::Absent, Some(Target::Name(name))) => Some(name.clone()),
            _ => None,
        };
        let whose = match endpoint {
            Some(endpoint) => Whose::Endpoint(endpoint.clone()),
            None if inherits => Whose::Default,
            None => Whose::Unknown,
        };
        self.claims.push(Claim {
            place: self.place.clone(),
            id,
            target: target.cloned(),
            whose,
        });
    }

    fn endpoint(&mut self, field: Field<Endpoint>) -> Option<Endpoint> {
        match field {
            Field::Given(place, endpoint) => {
                if endpoint.is_exposed() {
                    self.warnings.push(place.problem(exposed(&endpoint)));
                }
                Some(endpoint)
            }
            Field::Absent => {
                self.problem("found no `endpoint`; add it here or under `defaults`");
                None
            }
            Field::Invalid => None,
        }
    }

    fn target(
        &mut self,
        id: &Field<String>,
        name: Field<String>,
        prefix: Field<String>,
    ) -> Option<Target> {
        match (name, prefix) {
            (Field::Given(_, name), Field::Absent) => Some(Target::Name(name)),
            (Field::Absent, Field::Given(_, prefix)) => {
                if let Some(id) = id.place() {
                    self.problems.push(id.problem(
                        "found beside `prefix`, whose queues have their names as ids; remove it",
                    ));
                }
                Some(Target::Prefix(prefix))
            }
            (Field::Absent, Field::Absent) => {
                self.problem(
                    "found neither `name` nor `prefix`; add the queue's name in MNS as `name`",
                );
                None
            }
            (Field::Given(..), Field::Given(place, _)) => {
                self.problems
                    .push(place.problem("found `name` too, expected one of the two; remove one"));
                None
            }
            _ => None,
        }
    }

    /// The mode, which deletes only where that can be meant.
    fn mode(&mut self, field: &Field<Mode>, role: Role, target: Option<&Target>) -> Mode {
        let Field::Given(place, Mode::Consume) = field else {
            return Mode::Peek;
        };
        match (role, target) {
            (Role::DeadLetter, _) => self.problem(format!(
                "found role `dead_letter` with mode `consume` ({place}), which would delete the messages that are \
                 kept there to be looked at; add `mode: peek`"
            )),
            (_, Some(Target::Prefix(prefix))) if prefix.is_empty() => self.problem(format!(
                "found an empty prefix with mode `consume` ({place}), which would delete the messages of every queue \
                 of the endpoint; give a prefix"
            )),
            (_, Some(Target::Prefix(prefix))) => self.warnings.push(self.place.problem(format!(
                "mode `consume` deletes the messages of every queue whose name begins with `{prefix}`, dead-letter \
                 queues included"
            ))),
            _ => {}
        }
        Mode::Consume
    }

    /// Messages are passed on only where they are consumed, one queue at a time.
    fn check_forward(&mut self, place: &Place, mode: &Field<Mode>, is_prefix: bool) {
        if matches!(mode, Field::Absent | Field::Given(_, Mode::Peek)) {
            self.problems.push(place.problem(
                "found with mode `peek`, which takes no message out of the queue; add `mode: consume`, or remove \
                 `forward`",
            ));
        }
        if is_prefix {
            self.problems.push(place.problem(
                "found beside `prefix`, which could find the target as well; give each queue that is passed on an \
                 entry with its `name`",
            ));
        }
    }

    /// Options of the entry itself that a peeking queue makes no use of.
    fn warn_without_effect(&mut self, options: &QueueOptions, defaults: &QueueOptions) {
        let mode = options.mode.clone().or(defaults.mode.clone());
        if let Field::Given(_, Mode::Consume) | Field::Invalid = mode {
            return;
        }
        for place in [options.workers.place(), options.long_poll.place()]
            .into_iter()
            .flatten()
        {
            self.warnings
                .push(place.problem("has no effect in mode `peek`"));
        }
    }

    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(self.place.problem(text));
    }
}
