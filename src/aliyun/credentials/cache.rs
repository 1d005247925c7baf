//! Keeps credentials fresh: renews them well before they expire, one attempt at a time, while the old ones serve.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::answer::Grant;
use super::chain::{Chain, Obtained};
use super::{Context, Credentials, Error, ProviderName, Status};
use crate::clock::UnixMillis;
use crate::outage::{Outage, Say};

/// Credentials are renewed so long before they expire, or at 15 % of a long life before.
const MARGIN: Duration = Duration::from_mins(5);
/// How often a file with credentials that do not expire is read.
const REREAD: Duration = Duration::from_secs(30);
/// Whoever hands out what is about to expire is not asked all the time.
const MIN_USE: Duration = Duration::from_secs(5);
/// Between attempts that fail.
const MIN_RETRY: Duration = Duration::from_secs(5);
const MAX_RETRY: Duration = Duration::from_mins(1);
/// Between refreshes that refusals ask for: where credentials are fresh and refused, another reason is at work.
const MIN_FORCED: Duration = Duration::from_mins(1);

/// The credentials of one account.
#[derive(Debug)]
pub(super) struct Cache {
    chain: Chain,
    context: Context,
    shared: Mutex<Shared>,
    /// Held while a provider is asked.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    held: Option<Held>,
    failure: Option<Failed>,
    forced: Option<UnixMillis>,
    outage: Outage,
    /// Of providers that are passed over.
    detour: Outage,
}

#[derive(Debug)]
struct Held {
    credentials: Arc<Credentials>,
    provider: ProviderName,
    /// By the clock of who gave them.
    expires: Option<UnixMillis>,
    /// By the local clock, as are all that follow.
    good_until: Option<UnixMillis>,
    renew_at: Option<UnixMillis>,
}

/// The attempts since the last success.
#[derive(Debug)]
struct Failed {
    error: Error,
    attempts: u32,
    at: UnixMillis,
    retry_after: Duration,
}

/// What to do for somebody who asks.
enum Judged {
    Fresh(Arc<Credentials>),
    /// Good for a while; to be renewed meanwhile.
    Due(Arc<Credentials>),
    /// None, and the next attempt is not due.
    Failed(Error),
    None,
}

// === impl Cache ===

impl Cache {
    pub(super) fn new(chain: Chain, context: Context) -> Self {
        Self {
            chain,
            context,
            shared: Mutex::default(),
            turn: Arc::default(),
        }
    }

    /// The credentials as they are now. Waits for a provider only while there are none.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Arc<Credentials>, Error> {
        match self.judged() {
            Judged::Fresh(credentials) => Ok(credentials),
            Judged::Failed(error) => Err(error),
            Judged::Due(credentials) => {
                self.renew_behind();
                Ok(credentials)
            }
            Judged::None => {
                let _turn = self.turn.lock().await;
                match self.judged() {
                    Judged::Fresh(credentials) | Judged::Due(credentials) => Ok(credentials),
                    Judged::Failed(error) => Err(error),
                    Judged::None => self.renew().await,
                }
            }
        }
    }

    /// Asks anew because `used` was refused as if expired. None where that brings nothing else.
    pub(super) async fn refused(&self, used: &Arc<Credentials>) -> Option<Arc<Credentials>> {
        let _turn = self.turn.lock().await;
        let now = self.now();
        {
            let mut shared = self.shared();
            if let Some(held) = &shared.held
                && !Arc::ptr_eq(&held.credentials, used)
            {
                return Some(Arc::clone(&held.credentials));
            }
            if shared
                .forced
                .is_some_and(|at| is_within(at, MIN_FORCED, now))
            {
                return None;
            }
            shared.forced = Some(now);
        }
        info!(
            account = &*self.context.account,
            "Credentials were refused as if they had expired: asking for others."
        );
        let renewed = self.renew().await.ok()?;
        (!Arc::ptr_eq(&renewed, used)).then_some(renewed)
    }

    pub(super) fn status(&self) -> Option<Status> {
        let shared = self.shared();
        let held = shared.held.as_ref()?;
        Some(Status {
            provider: Some(held.provider),
            expires: held.expires,
        })
    }

    fn judged(&self) -> Judged {
        self.shared().judge(self.now())
    }

    /// Renews while the old ones serve, unless that is under way.
    fn renew_behind(self: &Arc<Self>) {
        if let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() {
            let this = Arc::clone(self);
            tokio::spawn(async move {
                if let Judged::Due(_) = this.judged() {
                    // What failed is noted.
                    drop(this.renew().await);
                }
                drop(turn);
            });
        }
    }

    /// Asks the providers; for whoever has the turn.
    async fn renew(&self) -> Result<Arc<Credentials>, Error> {
        let result = self.chain.obtain(&self.context).await;
        let now = self.now();
        let observer = &self.context.observer;
        let mut shared = self.shared();
        let said = shared
            .outage
            .note(result.as_ref().err().map(Error::kind), Instant::now());
        match result {
            Ok(obtained) => {
                for (_, failure) in &obtained.passed_over {
                    observer.failed(failure.kind());
                }
                let first = obtained.passed_over.first();
                let detour = first.map(|(_, failure)| failure.kind());
                if let Some(Say::Fails(lasting)) = shared.detour.note(detour, Instant::now()) {
                    for (provider, failure) in &obtained.passed_over {
                        warn!(
                            account = &*self.context.account, %provider, kind = failure.kind(), error = %failure,
                            lasting_seconds = lasting.as_secs(),
                            "A provider of credentials is set up and fails: the next one of the chain is used."
                        );
                    }
                }
                let before = shared.held.as_ref().map(|held| held.provider);
                let credentials = shared.take(obtained, now);
                let held = shared.held.as_ref();
                let expires = held.and_then(|held| held.expires);
                observer.renewed(expires);
                let provider = held.map(|held| held.provider);
                if before != provider || said.is_some() {
                    info!(
                        account = &*self.context.account,
                        provider = provider.map(ProviderName::as_str),
                        expires = expires.map(tracing::field::display),
                        "There are credentials."
                    );
                }
                Ok(credentials)
            }
            Err(error) => {
                observer.failed(error.kind());
                shared.fail(error.clone(), now, self.context.jitter());
                let serves = shared.good(now).is_some();
                if let Some(Say::Fails(lasting)) = said {
                    warn!(
                        account = &*self.context.account, kind = error.kind(), %error,
                        lasting_seconds = lasting.as_secs(), earlier_ones_serve = serves,
                        "Credentials cannot be renewed."
                    );
                }
                Err(error)
            }
        }
    }

    fn now(&self) -> UnixMillis {
        (self.context.clock)()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Shared ===

impl Shared {
    fn judge(&self, now: UnixMillis) -> Judged {
        let waits = self
            .failure
            .as_ref()
            .is_some_and(|failed| is_within(failed.at, failed.retry_after, now));
        match (self.good(now), &self.failure) {
            (Some(held), _) if waits || held.renew_at.is_none_or(|at| now < at) => {
                Judged::Fresh(Arc::clone(&held.credentials))
            }
            (Some(held), _) => Judged::Due(Arc::clone(&held.credentials)),
            (None, Some(failed)) if waits => Judged::Failed(failed.error.clone()),
            (None, _) => Judged::None,
        }
    }

    /// What is held, while it is good.
    fn good(&self, now: UnixMillis) -> Option<&Held> {
        self.held
            .as_ref()
            .filter(|held| held.good_until.is_none_or(|until| now < until))
    }

    fn take(&mut self, obtained: Obtained, now: UnixMillis) -> Arc<Credentials> {
        let Obtained {
            grant, provider, ..
        } = obtained;
        let known = self.held.take().map(|held| held.credentials);
        // The same ones stay the same, so that whoever was refused them is not sent back with them.
        let credentials = match known {
            Some(known) if known.is_same(&grant.credentials) => known,
            _ => Arc::new(grant.credentials.clone()),
        };
        self.failure = None;
        self.held = Some(Held {
            credentials: Arc::clone(&credentials),
            provider,
            expires: grant.expires,
            good_until: grant.lifetime.map(|lifetime| now.plus(lifetime)),
            renew_at: use_for(&grant).map(|time| now.plus(time)),
        });
        credentials
    }

    fn fail(&mut self, error: Error, now: UnixMillis, jitter: f64) {
        let attempts = self.failure.as_ref().map_or(0, |failed| failed.attempts);
        let attempts = attempts.saturating_add(1);
        let delay = MIN_RETRY
            .saturating_mul(2_u32.saturating_pow(attempts - 1))
            .min(MAX_RETRY);
        self.failure = Some(Failed {
            error,
            attempts,
            at: now,
            retry_after: delay.mul_f64(0.5 + jitter / 2.0),
        });
    }
}

/// For how long credentials are used before others are asked for; none if for ever.
fn use_for(grant: &Grant) -> Option<Duration> {
    let Some(lifetime) = grant.lifetime else {
        return grant.reread.then_some(REREAD);
    };
    let margin = MARGIN.max(lifetime.mul_f64(0.15)).min(lifetime / 2);
    Some(lifetime.saturating_sub(margin).max(MIN_USE))
}

/// Whether `now` is in the time from `start` on. A clock that was set back ends it, too.
fn is_within(start: UnixMillis, time: Duration, now: UnixMillis) -> bool {
    now >= start && now < start.plus(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(lifetime_secs: Option<u64>, reread: bool) -> Grant {
        Grant {
            credentials: Credentials {
                access_key_id: "id".to_owned(),
                access_key_secret: "secret".into(),
                security_token: None,
            },
            expires: None,
            lifetime: lifetime_secs.map(Duration::from_secs),
            reread,
        }
    }

    #[test]
    fn credentials_are_renewed_well_before_they_expire() {
        for (lifetime, used) in [
            (3_600, 3_060),
            (900, 600),
            (60, 30),
            (36_000, 30_600),
            (8, 5),
        ] {
            let time = use_for(&grant(Some(lifetime), false));
            assert_eq!(time, Some(Duration::from_secs(used)), "{lifetime}");
        }
        assert_eq!(use_for(&grant(None, true)), Some(REREAD));
        assert_eq!(use_for(&grant(None, false)), None);
    }

    #[test]
    fn failures_are_spaced_and_a_clock_that_is_set_back_ends_the_wait() {
        let (mut shared, now) = (Shared::default(), UnixMillis::from_secs(1_000_000));
        let mut delays = Vec::new();
        for _ in 0..6 {
            shared.fail(Error::Chain(Arc::new([])), now, 1.0);
            delays.push(shared.failure.as_ref().unwrap().retry_after.as_secs());
        }
        assert_eq!(delays, [5, 10, 20, 40, 60, 60]);
        let judge = |at| matches!(shared.judge(at), Judged::Failed(_));
        assert!(judge(now) && judge(now.plus(Duration::from_secs(59))));
        assert!(!judge(now.plus(MAX_RETRY)));
        assert!(!judge(now.minus(Duration::from_hours(1))));
    }
}
