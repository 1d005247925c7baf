//! Where messages are passed on to: never back to where they came from.

use std::collections::HashMap;
use std::sync::Arc;

use super::accounts::Accounts;
use super::problem::{Place, Problem};
use super::raw::ForwardOptions;
use super::resolve::{Resolved, whose};
use super::table::Field;
use super::{Endpoint, ForwardConfig, QueueConfig};
use crate::aliyun::sign;
use crate::ledger::snapshot::Mode;

/// The target that `options` at `place` mean for the messages of `queue`.
pub(super) fn resolve(
    (place, options): (&Place, ForwardOptions),
    queue: &QueueConfig,
    accounts: &mut Accounts<'_>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<ForwardConfig> {
    if matches!(options.name, Field::Absent) {
        problems.push(place.problem("found no `name`; add the name of the target in MNS"));
    }
    let account = match options.account {
        Field::Absent => Some(Arc::clone(&queue.account)),
        named => accounts.find(&named, problems),
    };
    let (endpoint, region) = match options.endpoint {
        Field::Absent => {
            let region = Arc::clone(&queue.identity.region);
            (queue.endpoint.clone(), region)
        }
        Field::Given(place, endpoint) => {
            if endpoint.is_exposed() {
                warnings.push(place.problem(super::resolve::exposed(&endpoint)));
            }
            let region = Arc::from(endpoint.region().unwrap_or_default());
            (endpoint, region)
        }
        Field::Invalid => return None,
    };
    let (account, name) = (account?, options.name.value()?);
    if account.signature == sign::Version::V4 && region.is_empty() {
        problems.push(place.problem(format!(
            "the region of {endpoint} is unknown, which signature `v4` needs; name an `account` with signature `v2`"
        )));
    }
    Some(ForwardConfig {
        endpoint,
        region,
        name: Arc::from(name),
        account,
    })
}

/// Finds messages that would go round in circles, and targets whose messages this exporter deletes.
pub(super) fn find_circles(
    entries: &[Resolved],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    let mut by_name = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if entry.prefix.is_none() {
            let key = key(&entry.queue.endpoint, &entry.queue.identity.mns_queue);
            by_name.entry(key).or_insert(index);
        }
    }
    let next = |index: usize| {
        let forward = entries.get(index)?.queue.forward.as_ref()?;
        by_name.get(&key(&forward.endpoint, &forward.name)).copied()
    };
    for (index, entry) in entries.iter().enumerate() {
        let (Some(place), Some(forward)) = (&entry.forward, &entry.queue.forward) else {
            continue;
        };
        let circle: Vec<usize> = std::iter::successors(next(index), |at| next(*at))
            .take(entries.len())
            .take_while(|at| *at != index)
            .collect();
        let closes = next(circle.last().copied().unwrap_or(index)) == Some(index);
        if closes && circle.is_empty() {
            problems.push(place.problem(
                "found the queue itself as target, which would pass each message on for ever; name the worker's queue",
            ));
        } else if closes {
            // Each circle is said once, where it begins in the file.
            if circle.iter().all(|other| *other > index) {
                let others: Vec<String> = circle
                    .iter()
                    .filter_map(|other| Some(entries.get(*other)?.place.to_string()))
                    .collect();
                problems.push(place.problem(format!(
                    "found a circle by way of {}, which would pass each message on for ever; remove one `forward` of it",
                    others.join(", ")
                )));
            }
        } else if let Some(consumer) = consumer(entries, next(index), forward) {
            warnings.push(place.problem(format!(
                "the target is consumed by {}, which deletes its messages before a worker gets them",
                consumer.place
            )));
        }
    }
}

/// The entry that deletes what is passed on to a target without passing it on itself.
fn consumer<'a>(
    entries: &'a [Resolved],
    named: Option<usize>,
    forward: &ForwardConfig,
) -> Option<&'a Resolved> {
    let deletes = |entry: &&Resolved| {
        entry.queue.identity.mode == Mode::Consume && entry.queue.forward.is_none()
    };
    if let Some(named) = named {
        return entries.get(named).filter(deletes);
    }
    let covers = |entry: &&Resolved| {
        let prefix = entry.prefix.as_deref();
        prefix.is_some_and(|prefix| forward.name.starts_with(prefix))
            && whose(&entry.queue.endpoint) == whose(&forward.endpoint)
    };
    entries.iter().filter(covers).find(deletes)
}

/// What a queue of MNS is known by, whichever of its endpoints is named.
fn key<'a>(endpoint: &'a Endpoint, name: &'a str) -> ((&'a str, &'a str), &'a str) {
    (whose(endpoint), name)
}
