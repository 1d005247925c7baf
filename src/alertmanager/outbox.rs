//! What one Alertmanager has to be told. Sans-I/O.
//!
//! Alertmanager forgets: what fires is sent again and again, with an end that lies a few sendings ahead. What is over is
//! told with an end in the past until it is taken, but only to whom it was told that it fires: a resolve out of nothing is
//! notified too. What lapses, because too little is known of it to say more, is told of no more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::alerts::{Alert, Key, Round};
use crate::clock::UnixMillis;

/// An alert ends by itself after so many times the interval between two sendings.
pub const LIFE: u32 = 3;
/// A resolve that lies ahead by Alertmanager's clock resolves nothing: it is dated back by more than clocks differ.
const BACKDATED: Duration = Duration::from_secs(5);

/// One alert of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Posting {
    /// Which alert.
    #[serde(skip)]
    pub key: Key,
    /// Whether it is over.
    #[serde(skip)]
    pub resolved: bool,
    /// The alert.
    #[serde(flatten)]
    pub alert: Arc<Alert>,
    /// When it ends, if nothing more is heard of it.
    #[serde(serialize_with = "as_text")]
    pub ends_at: UnixMillis,
}

/// What an Alertmanager was told and has taken.
#[derive(Clone, Debug)]
pub struct Outbox {
    resend: Duration,
    told: BTreeMap<Key, Told>,
}

#[derive(Clone, Debug)]
struct Told {
    alert: Arc<Alert>,
    at: UnixMillis,
    ends_at: UnixMillis,
}

/// The form in which Alertmanager reads times.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
pub(crate) fn as_text<S: Serializer>(at: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

// === impl Outbox ===

impl Outbox {
    /// Nothing was told yet; what fires is told again after `resend`.
    pub fn new(resend: Duration) -> Self {
        Self {
            resend,
            told: BTreeMap::new(),
        }
    }

    /// What is to be told now.
    pub fn due(&mut self, round: &Round, now: UnixMillis) -> Vec<Posting> {
        // These ended by themselves.
        self.told.retain(|_, told| told.ends_at > now);
        let ends_at = now.plus(self.resend.saturating_mul(LIFE));
        let is_due = |key: &Key, alert: &Arc<Alert>| {
            self.told.get(key).is_none_or(|told| {
                now.since(told.at) >= self.resend
                    || told.at > now
                    || told.alert.starts_at != alert.starts_at
                    || told.alert.lapses_at != alert.lapses_at
            })
        };
        let firing = round
            .firing
            .iter()
            .filter(|(key, alert)| is_due(key, alert))
            .map(|(key, alert)| Posting {
                key: key.clone(),
                resolved: false,
                alert: Arc::clone(alert),
                ends_at,
            });
        let over = self.told.iter().filter(|(key, told)| {
            let lapsed = told.alert.lapses_at.is_some_and(|at| at <= now);
            round.is_over(key) && !lapsed
        });
        let resolved = over.map(|(key, told)| Posting {
            key: key.clone(),
            resolved: true,
            ends_at: now.minus(BACKDATED).max(told.alert.starts_at),
            alert: Arc::clone(&told.alert),
        });
        resolved.chain(firing).collect()
    }

    /// Alertmanager has taken these, which it was told at `now`.
    pub fn taken(&mut self, postings: Vec<Posting>, now: UnixMillis) {
        for posting in postings {
            if posting.resolved {
                self.told.remove(&posting.key);
            } else {
                let told = Told {
                    alert: posting.alert,
                    at: now,
                    ends_at: posting.ends_at,
                };
                self.told.insert(posting.key, told);
            }
        }
    }
}

#[cfg(test)]
mod tests;
