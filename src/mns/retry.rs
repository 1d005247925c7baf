//! How long to wait before trying again.

use std::time::Duration;

const MIN: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_mins(1);

/// Exponential backoff with jitter: an endless iterator of delays between 1 s and 60 s.
///
/// The n-th delay is drawn from the upper half of min(60 s, 2 s x 2^n), so that clients that failed together do not come
/// back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    rng: fastrand::Rng,
    failures: u32,
}

// === impl Backoff ===

impl Backoff {
    /// Starts with the shortest delays.
    pub fn new(rng: fastrand::Rng) -> Self {
        Self { rng, failures: 0 }
    }

    /// Tells of a success: the next delay is a short one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = MIN
            .saturating_mul(2_u32.saturating_pow(self.failures.saturating_add(1)))
            .min(MAX);
        self.failures = self.failures.saturating_add(1);
        (ceiling / 2).mul_f64(1.0 + self.rng.f64())
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.next_delay())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn delays_grow_within_their_bounds_and_start_over_after_a_reset(seed: u64, failures in 0_usize..100) {
            let mut backoff = Backoff::new(fastrand::Rng::with_seed(seed));
            for (n, delay) in backoff.by_ref().take(failures).enumerate() {
                prop_assert!((MIN..=MAX).contains(&delay), "{delay:?}");
                let ceiling = MIN * 2_u32.pow(u32::try_from(n + 1).unwrap().min(20));
                prop_assert!(delay <= ceiling && delay >= ceiling.min(MAX) / 2, "{n}: {delay:?}");
            }
            backoff.reset();
            prop_assert!(backoff.next_delay() <= MIN * 2);
        }
    }

    #[test]
    fn two_seeds_do_not_march_in_step() {
        let delays = |seed| {
            let backoff = Backoff::new(fastrand::Rng::with_seed(seed));
            backoff.take(5).collect::<Vec<_>>()
        };
        assert_ne!(delays(1), delays(2));
        assert_eq!(delays(1), delays(1));
    }
}
