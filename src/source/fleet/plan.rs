//! What another config means for what is watched. Decides, and does nothing.

use crate::config::{Discovery, QueueConfig};
use crate::ledger::QueueIdentity;
use crate::source::watcher::{Attributes, is_same};

/// The way from what is watched to what the config says.
#[derive(Debug)]
pub(super) struct Plan {
    /// Queues to start, those to start anew among them.
    pub(super) moving: Vec<QueueConfig>,
    /// Queues that the config names and that go on.
    untouched: Vec<QueueConfig>,
    /// Rules to start.
    pub(super) new_rules: Vec<Discovery>,
    /// Rules to end.
    pub(super) gone_rules: Vec<Discovery>,
    pub(super) counts: Changed,
}

/// What another config made of the queues and prefixes; each is in one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Were not there.
    pub added: usize,
    /// Are no longer there.
    pub removed: usize,
    /// Are read in another way.
    pub changed: usize,
    /// Go on untouched.
    pub unchanged: usize,
}

/// What becomes of a queue that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Stays,
    /// It is watched no longer.
    Goes,
    /// It is watched in another way, perhaps by another id.
    Returns { as_other: bool },
}

// === impl Plan ===

impl Plan {
    /// From what is `watched`, and by which `rules`, to these queues and discoveries.
    pub(super) fn new<'a>(
        watched: &[(QueueConfig, Attributes)],
        rules: impl Iterator<Item = &'a Discovery>,
        queues: Vec<QueueConfig>,
        discoveries: Vec<Discovery>,
    ) -> Self {
        let named: Vec<&QueueConfig> = watched
            .iter()
            .filter(|(_, by)| *by == Attributes::Own)
            .map(|(queue, _)| queue)
            .collect();
        let rules: Vec<&Discovery> = rules.collect();
        let (untouched, moving): (Vec<_>, Vec<_>) =
            queues.into_iter().partition(|queue| named.contains(&queue));
        let gone_rules: Vec<Discovery> = rules
            .iter()
            .filter(|rule| !discoveries.contains(rule))
            .map(|rule| Discovery::clone(rule))
            .collect();
        let same_rules = rules.len() - gone_rules.len();
        let new_rules: Vec<Discovery> = discoveries
            .into_iter()
            .filter(|new| !rules.contains(&new))
            .collect();
        let changed_queues = moving
            .iter()
            .filter(|new| {
                named
                    .iter()
                    .any(|old| is_same(&old.identity, &new.identity))
            })
            .count();
        let changed_rules = new_rules
            .iter()
            .filter(|new| gone_rules.iter().any(|old| finds_the_same(old, new)))
            .count();
        let changed = changed_queues + changed_rules;
        let counts = Changed {
            added: moving.len() + new_rules.len() - changed,
            removed: (named.len() + gone_rules.len()) - untouched.len() - changed,
            changed,
            unchanged: untouched.len() + same_rules,
        };
        Self {
            moving,
            untouched,
            new_rules,
            gone_rules,
            counts,
        }
    }

    /// What becomes of a watched queue.
    pub(super) fn fate(&self, old: &QueueConfig, by: Attributes) -> Fate {
        let identity = &*old.identity;
        let is = |new: &QueueConfig| is_same(&new.identity, identity);
        if let Some(new) = self.moving.iter().find(|new| is(new)) {
            let as_other = new.identity.id != identity.id;
            return Fate::Returns { as_other };
        }
        let is_displaced = self.moving.iter().any(|new| new.identity.id == identity.id);
        let stays = match by {
            Attributes::Own => self.untouched.iter().any(is),
            Attributes::Discovery => !self.gone_rules.iter().any(|rule| finds(rule, identity)),
        };
        if stays && !is_displaced {
            Fate::Stays
        } else {
            Fate::Goes
        }
    }
}

fn finds(rule: &Discovery, identity: &QueueIdentity) -> bool {
    identity.mns_queue.starts_with(&*rule.prefix)
        && *rule.queue(&identity.mns_queue).identity == *identity
}

fn finds_the_same(a: &Discovery, b: &Discovery) -> bool {
    a.prefix == b.prefix && a.endpoint() == b.endpoint()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const HEAD: &str = "\
accounts: {main: {access_key_id_env: CARGO_PKG_NAME, access_key_secret_env: CARGO_PKG_NAME}}
defaults: {account: main, endpoint: \"https://1234.mns.cn-shanghai.aliyuncs.com\"}
";

    fn config(queues: &str) -> Config {
        let text = format!("{HEAD}queues: [{queues}]\n");
        Config::parse("vod.yaml", &text, Some(Path::new("/"))).unwrap()
    }

    fn own(config: &Config) -> Vec<(QueueConfig, Attributes)> {
        let queues = config.queues.iter().cloned();
        queues.map(|queue| (queue, Attributes::Own)).collect()
    }

    fn plan(watched: &[(QueueConfig, Attributes)], old: &Config, new: &Config) -> Plan {
        Plan::new(
            watched,
            old.discoveries.iter(),
            new.queues.clone(),
            new.discoveries.clone(),
        )
    }

    const fn changed(added: usize, removed: usize, changed: usize, unchanged: usize) -> Changed {
        Changed {
            added,
            removed,
            changed,
            unchanged,
        }
    }

    #[test]
    fn each_queue_and_prefix_is_in_one_number() {
        let old = config(
            "{name: a}, {name: b}, {name: c, id: x}, {prefix: p}, {prefix: q, mode: consume}",
        );
        for (new, expected) in [
            (
                "{name: a}, {name: b}, {name: c, id: x}, {prefix: p}, {prefix: q, mode: consume}",
                changed(0, 0, 0, 5),
            ),
            ("{name: a}", changed(0, 4, 0, 1)),
            (
                "{name: a, tick: 10s}, {name: b}, {name: c}, {prefix: p, tick: 10s}",
                changed(0, 1, 3, 1),
            ),
            ("{name: d}, {prefix: r}", changed(2, 5, 0, 0)),
            (
                "{name: d, id: a}, {name: a, id: d}, {prefix: p}",
                changed(1, 3, 1, 1),
            ),
        ] {
            assert_eq!(
                plan(&own(&old), &old, &config(new)).counts,
                expected,
                "{new}"
            );
        }
    }

    #[test]
    fn a_queue_stays_goes_or_returns() {
        let old = config("{name: a}, {name: b}, {name: c}, {prefix: p}, {prefix: q}, {prefix: r}");
        let found = |rule: usize, name: &str| old.discoveries[rule].queue(name);
        let new = config(
            "{name: a}, {name: b, id: z}, {name: pa, tick: 10s}, {name: elsewhere, id: qb}, {prefix: q}",
        );
        let plan = plan(&own(&old), &old, &new);
        let fate = |queue: &QueueConfig, by| plan.fate(queue, by);
        let [a, b, c] = old.queues.as_slice() else {
            panic!("three queues");
        };
        assert_eq!(fate(a, Attributes::Own), Fate::Stays);
        assert_eq!(fate(b, Attributes::Own), Fate::Returns { as_other: true });
        assert_eq!(fate(c, Attributes::Own), Fate::Goes);
        for (queue, expected) in [
            (found(0, "pa"), Fate::Returns { as_other: false }),
            (found(0, "pb"), Fate::Goes),
            (found(1, "qa"), Fate::Stays),
            (found(2, "ra"), Fate::Goes),
            (found(1, "qb"), Fate::Goes),
        ] {
            assert_eq!(
                fate(&queue, Attributes::Discovery),
                expected,
                "{}",
                queue.identity.id
            );
        }
    }
}
