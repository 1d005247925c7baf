//! How many requests may be made: a token bucket, shared by all who ask VOD for one account and region.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A token bucket behind a lock.
#[derive(Debug)]
pub struct Budget {
    bucket: Mutex<Bucket>,
}

/// Sans-I/O: time is what has passed since the bucket was made.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// What one request costs.
    interval: Duration,
    /// From when on the next request may be made.
    next: Duration,
    /// How much earlier than evenly spaced a request may come.
    burst: Duration,
    started: Instant,
}

// === impl Budget ===

impl Budget {
    /// At most `per_second` requests a second on average, and up to that many (at least one) at once after a rest.
    pub fn new(per_second: f64) -> Self {
        let per_second = per_second.clamp(0.001, 1_000.0);
        let interval = Duration::from_secs_f64(1.0 / per_second);
        let burst = interval.mul_f64((per_second - 1.0).max(0.0));
        Self {
            bucket: Mutex::new(Bucket {
                interval,
                next: Duration::ZERO,
                burst,
                started: Instant::now(),
            }),
        }
    }

    /// Waits for leave to make one request; leaves are given in the order of asking.
    pub async fn spend(&self) {
        let wait = {
            let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            let now = bucket.started.elapsed();
            bucket.reserve(now)
        };
        tokio::time::sleep(wait).await;
    }
}

// === impl Bucket ===

impl Bucket {
    /// Takes one request's place and tells how long it must wait.
    fn reserve(&mut self, now: Duration) -> Duration {
        let at = self.next.max(now.saturating_sub(self.burst));
        self.next = at + self.interval;
        at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_second_sees_more_than_the_rate_and_the_burst(
            rate in 0.5_f64..50.0,
            gaps in prop::collection::vec(0_u64..2_000, 1..200),
        ) {
            let mut bucket = *Budget::new(rate).bucket.lock().unwrap();
            let (mut now, mut made) = (Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                made.push(now + bucket.reserve(now));
            }
            prop_assert!(made.is_sorted());
            for (index, start) in made.iter().enumerate() {
                for (other, end) in made.iter().enumerate().skip(index) {
                    let allowed = rate.max(1.0) + rate * end.saturating_sub(*start).as_secs_f64();
                    let count = f64::from(u32::try_from(other - index + 1).unwrap());
                    prop_assert!(count <= allowed + 1e-3, "{count} > {allowed}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_waits() {
        let (budget, start) = (Budget::new(1.0), Instant::now());
        for _ in 0..5 {
            budget.spend().await;
        }
        assert!(start.elapsed() >= Duration::from_secs(4));
    }
}
