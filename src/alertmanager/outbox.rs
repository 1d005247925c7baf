//! What one Alertmanager has to be told. Sans-I/O.
//!
//! Alertmanager forgets: what fires is sent again and again, with an end that lies a few sendings ahead. What is over is
//! told with an end in the past until it is taken, but only to whom it was told that it fires, or may have been: a resolve out
//! of nothing can be notified too. It is told again for a while after that, since an Alertmanager that restarts before it notified
//! the end has forgotten it; for as long it is tried in vain, since one that is down forgets that the alert ends by itself, and
//! remembers on disk whom it notified. What lapses, because too little is known of it to say more, is told of no more.

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
/// The end of an alert is told again, or tried in vain, for so long, and for as long as the alert would have lived.
const AFTER: Duration = Duration::from_mins(15);
/// So many alerts that do not fire are remembered. Videos come and go while an Alertmanager is silent: those over them end
/// by themselves, if it lives.
const PAST: usize = 1_024;

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
    /// Whether it needs a call of its own, so that a refusal is about it alone.
    #[serde(skip)]
    pub alone: bool,
    /// The alert.
    #[serde(flatten)]
    pub alert: Arc<Alert>,
    /// When it ends, if nothing more is heard of it.
    #[serde(serialize_with = "as_text")]
    pub ends_at: UnixMillis,
}

/// What an Alertmanager was told and has taken, or may have taken.
#[derive(Clone, Debug)]
pub struct Outbox {
    resend: Duration,
    told: BTreeMap<Key, Told>,
}

#[derive(Clone, Debug)]
struct Told {
    /// As it was known last, taken or not.
    alert: Arc<Alert>,
    /// When it was told last; none where that has to be done over at once.
    at: Option<UnixMillis>,
    /// Until when Alertmanager may believe that it fires.
    ends_at: UnixMillis,
    /// Its end, once that was taken.
    over: Option<UnixMillis>,
    /// Since when it does not fire.
    quiet_since: Option<UnixMillis>,
    /// Whether the call that it was in last was refused.
    refused: bool,
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

    /// Notes what another one was told, which is gone.
    pub fn inherit(&mut self, gone: Self) {
        let rank = |told: &Told| (told.over.is_none(), told.ends_at);
        for (key, told) in gone.told {
            let ours = self.told.get(&key);
            if ours.is_none_or(|ours| rank(ours) < rank(&told)) {
                self.told.insert(key, told);
            }
        }
    }

    /// For somebody who may be one of these at another address: all of it has to be told anew.
    #[must_use]
    pub fn heir(&self) -> Self {
        let mut heir = self.clone();
        // What was refused was perhaps never believed.
        heir.told.retain(|_, told| !told.refused);
        for told in heir.told.values_mut() {
            told.at = None;
        }
        heir
    }

    /// Notes what fires, and forgets what ended long ago.
    pub fn look(&mut self, round: &Round, now: UnixMillis) {
        for (key, told) in &mut self.told {
            told.look(round.firing.get(key), now);
        }
        self.forget(round, now);
    }

    /// What is to be told now.
    pub fn due(&mut self, round: &Round, now: UnixMillis) -> Vec<Posting> {
        self.look(round, now);
        let ends_at = now.plus(self.resend.saturating_mul(LIFE));
        let is_due = |key: &Key| {
            let told = self.told.get(key);
            told.is_none_or(|told| told.is_due(self.resend, now) || told.over.is_some())
        };
        let firing = round.firing.iter().filter(|(key, _)| is_due(key));
        let mut firing: Vec<_> = firing
            .map(|(key, alert)| Posting {
                key: key.clone(),
                resolved: false,
                alone: self.told.get(key).is_some_and(|told| told.refused),
                alert: Arc::clone(alert),
                ends_at,
            })
            .collect();
        // There may be no time for all calls of a round: who was never told goes first, then who has waited longest.
        firing.sort_by_key(|posting| self.told.get(&posting.key).map(|told| told.at));
        let over = self.told.iter().filter(|(key, told)| {
            let lapsed = told.alert.lapses_at.is_some_and(|at| at <= now);
            match told.over {
                Some(_) => told.is_due(self.resend, now) && !round.firing.contains_key(key),
                None => round.is_over(key) && !lapsed,
            }
        });
        let past = now.minus(BACKDATED);
        let resolved = over.map(|(key, told)| Posting {
            key: key.clone(),
            resolved: true,
            alone: told.refused,
            // The same each time: another end would be news.
            ends_at: told
                .over
                .map_or(past, |end| end.min(past))
                .max(told.alert.starts_at),
            alert: Arc::clone(&told.alert),
        });
        resolved.chain(firing).collect()
    }

    /// Alertmanager has taken these, which it was told at `now`.
    pub fn taken(&mut self, postings: Vec<Posting>, now: UnixMillis) {
        for posting in postings {
            let told = Told {
                over: posting.resolved.then_some(posting.ends_at),
                alert: posting.alert,
                at: Some(now),
                ends_at: posting.ends_at,
                quiet_since: None,
                refused: false,
            };
            self.told.insert(posting.key, told);
        }
    }

    /// Alertmanager was told these and did not say whether it took them: what it took has to be told of its end, and what it
    /// took the end of has to be told that it fires.
    pub fn perhaps_taken(&mut self, postings: Vec<Posting>) {
        for posting in postings {
            let before = self.told.get(&posting.key);
            let ends_at = before.map_or(posting.ends_at, |told| told.ends_at.max(posting.ends_at));
            let told = Told {
                over: before
                    .and_then(|told| told.over)
                    .filter(|_| posting.resolved),
                alert: posting.alert,
                at: None,
                ends_at,
                quiet_since: before.and_then(|told| told.quiet_since),
                refused: before.is_some_and(|told| told.refused),
            };
            self.told.insert(posting.key, told);
        }
    }

    /// At least one of these is refused for good, and those that are right are taken. If there are several, each is told over
    /// by itself; a single one would be refused again, and is left until its next turn.
    pub fn refused(&mut self, mut postings: Vec<Posting>, now: UnixMillis) {
        if postings.len() > 1 {
            let keys: Vec<Key> = postings.iter().map(|posting| posting.key.clone()).collect();
            self.perhaps_taken(postings);
            for key in keys {
                if let Some(told) = self.told.get_mut(&key) {
                    told.refused = true;
                }
            }
        } else if let Some(posting) = postings.pop() {
            let before = self.told.remove(&posting.key);
            if !posting.resolved {
                let told = Told {
                    alert: posting.alert,
                    at: Some(now),
                    ends_at: before.map_or(now, |told| told.ends_at),
                    over: None,
                    quiet_since: None,
                    refused: true,
                };
                self.told.insert(posting.key, told);
            }
        }
    }

    /// Whether anything is refused as long as it fires.
    pub fn has_refused(&self) -> bool {
        self.told.values().any(|told| told.refused)
    }

    /// Forgets what ended long ago. Where too much is left that does not fire, the oldest of it goes too, and first that whose
    /// end was taken.
    fn forget(&mut self, round: &Round, now: UnixMillis) {
        let after = AFTER.max(self.resend.saturating_mul(LIFE));
        let is_recent = |since: UnixMillis| now.since(since) < after;
        self.told.retain(|_, told| match told.over {
            Some(end) => is_recent(end),
            // What is refused as long as it fires was perhaps never believed.
            None if told.refused => told.quiet_since.is_none() || told.ends_at > now,
            None => told.quiet_since.is_none_or(is_recent) || told.ends_at > now,
        });
        let past = self
            .told
            .iter()
            .filter(|(key, _)| !round.firing.contains_key(key));
        let mut past: Vec<_> = past
            .map(|(key, told)| (told.over.is_none(), told.ends_at, key.clone()))
            .collect();
        past.sort_unstable();
        for (.., key) in past.iter().take(past.len().saturating_sub(PAST)) {
            self.told.remove(key);
        }
    }
}

// === impl Told ===

impl Told {
    /// Notes whether it fires, and as what. What has changed is due at once.
    fn look(&mut self, firing: Option<&Arc<Alert>>, now: UnixMillis) {
        let Some(alert) = firing else {
            self.quiet_since.get_or_insert(now);
            return;
        };
        self.quiet_since = None;
        if (self.alert.starts_at, self.alert.lapses_at) != (alert.starts_at, alert.lapses_at) {
            self.alert = Arc::clone(alert);
            self.at = None;
        }
    }

    fn is_due(&self, resend: Duration, now: UnixMillis) -> bool {
        // A time that lies ahead was told before the clock was set back.
        self.at.is_none_or(|at| now.since(at) >= resend || at > now)
    }
}

#[cfg(test)]
mod tests;
