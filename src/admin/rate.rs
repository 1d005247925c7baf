//! A bound on requests over all clients: a bucket of tokens that fills with time.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::config::web::RateLimit;

/// The bucket of the limit that holds now.
#[derive(Debug, Default)]
pub(super) struct Limiter(Mutex<Option<Bucket>>);

#[derive(Debug)]
struct Bucket {
    limit: RateLimit,
    tokens: f64,
    filled: Instant,
}

// === impl Limiter ===

impl Limiter {
    /// Whether a request at `now` is within the limit. Another limit than before starts with a full bucket.
    pub(super) fn allows(&self, limit: Option<RateLimit>, now: Instant) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(limit) = limit else {
            *bucket = None;
            return true;
        };
        if bucket.as_ref().is_none_or(|bucket| bucket.limit != limit) {
            *bucket = Some(Bucket::full(limit, now));
        }
        bucket.as_mut().is_some_and(|bucket| bucket.take(now))
    }
}

// === impl Bucket ===

impl Bucket {
    fn full(limit: RateLimit, now: Instant) -> Self {
        Self {
            limit,
            tokens: f64::from(limit.burst),
            filled: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled);
        self.filled = self.filled.max(now);
        let gained = passed.as_secs_f64() / self.limit.interval.as_secs_f64();
        self.tokens = (self.tokens + gained).min(f64::from(self.limit.burst));
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMIT: RateLimit = RateLimit {
        interval: Duration::from_millis(500),
        burst: 3,
    };

    #[test]
    fn a_burst_is_granted_and_then_one_in_each_interval() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        let grants = |millis: u64| {
            let now = start + Duration::from_millis(millis);
            std::iter::repeat_with(|| limiter.allows(Some(LIMIT), now))
                .take_while(|granted| *granted)
                .count()
        };
        assert_eq!(grants(0), 3);
        assert_eq!(grants(499), 0);
        assert_eq!(grants(500), 1);
        assert_eq!(grants(1_600), 2);
        assert_eq!(grants(3_600_000), 3, "no more than the burst");
        assert_eq!(grants(0), 0, "a clock that goes back grants nothing");
    }

    #[test]
    fn a_limit_that_changes_starts_anew_and_none_grants_all() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        while limiter.allows(Some(LIMIT), now) {}
        assert!(limiter.allows(None, now));
        let wider = RateLimit { burst: 1, ..LIMIT };
        assert!(limiter.allows(Some(wider), now));
        assert!(!limiter.allows(Some(wider), now));
    }
}
