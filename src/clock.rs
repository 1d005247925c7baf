//! Time: the one type for instants and the only reader of the wall clock.
//!
//! Every instant that leaves this process or comes from MNS is a [`UnixMillis`]. The ledger never asks for the time; it
//! is handed [`ServerClock::now`], which follows the `Date` of MNS answers, so that a wrong local clock cannot start a
//! wave of stalls.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// An instant in milliseconds since the Unix epoch, the unit of MNS message times.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

/// The instant that the ledger calls "now": the `Date` of the last MNS answer plus the monotonic time since.
///
/// One answer with a wrong `Date`, from a proxy perhaps, must not start a wave of stalls either: a step is made once a
/// second answer confirms it.
#[derive(Debug, Default)]
pub struct ServerClock(Mutex<Anchors>);

#[derive(Debug, Default)]
struct Anchors {
    trusted: Option<Anchor>,
    /// What the last answer said, if that contradicts what is trusted.
    doubted: Option<Anchor>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    server: UnixMillis,
    local: UnixMillis,
    at: Instant,
}

/// Reads the local wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis(since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }))
}

// === impl UnixMillis ===

impl UnixMillis {
    /// From whole seconds since the epoch, saturating.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Seconds since the epoch, the unit of `_timestamp_seconds` metrics.
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of any real date are exact in f64"
    )]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Signed milliseconds from `earlier` to `self`, saturating.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.millis_since(earlier)).unwrap_or(0))
    }

    /// This instant moved forward by `duration`, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// This instant moved back by `duration`, saturating.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The same instant for jiff; none if it is out of jiff's range (years -9999 to 9999).
    pub fn timestamp(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_millisecond(self.0).ok()
    }

    /// The HTTP `Date` form of RFC 9110, `Thu, 09 Jul 2015 03:01:34 GMT`.
    pub fn http_date(self) -> String {
        self.timestamp()
            .and_then(|at| {
                jiff::fmt::rfc2822::DateTimePrinter::new()
                    .timestamp_to_rfc9110_string(&at)
                    .ok()
            })
            .unwrap_or_else(|| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
    }

    /// Parses an HTTP `Date`.
    pub fn parse_http_date(text: &str) -> Option<Self> {
        jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(text)
            .ok()
            .map(|at| Self(at.as_millisecond()))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp() {
            Some(at) => at.fmt(f),
            None => write!(f, "{}ms", self.0),
        }
    }
}

// === impl ServerClock ===

impl ServerClock {
    /// Takes note of an MNS answer whose `Date` header said `server`.
    ///
    /// A `Date` has a precision of one second, so that the clock is moved only by a difference that the precision does
    /// not explain.
    pub fn observe(&self, server: UnixMillis) {
        self.observe_at(server, now(), Instant::now());
    }

    fn observe_at(&self, server: UnixMillis, local: UnixMillis, at: Instant) {
        let mut anchors = self.lock();
        let agrees = |anchor: &Anchor| {
            let expected = anchor.now(at);
            (expected.millis_since(server) - 500).abs() <= 1500
        };
        let heard = Anchor { server, local, at };
        let doubted = anchors.doubted.take();
        match anchors.trusted.as_mut() {
            Some(trusted) if agrees(trusted) => {
                trusted.local = local.minus(at.duration_since(trusted.at));
            }
            Some(_) if !doubted.as_ref().is_some_and(agrees) => anchors.doubted = Some(heard),
            _ => anchors.trusted = Some(heard),
        }
    }

    /// The server's time now; none before the first answer.
    pub fn now(&self) -> Option<UnixMillis> {
        let anchor = self.lock().trusted;
        anchor.map(|anchor| anchor.now(Instant::now()))
    }

    /// Local clock minus server clock in milliseconds; none before the first answer.
    pub fn skew_millis(&self) -> Option<i64> {
        let anchor = self.lock().trusted;
        anchor.map(|anchor| anchor.local.millis_since(anchor.server))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Anchors> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

// === impl Anchor ===

impl Anchor {
    fn now(self, at: Instant) -> UnixMillis {
        self.server.plus(at.duration_since(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_round_trip() {
        let at = UnixMillis::from_secs(1_436_410_894);
        assert_eq!(at.http_date(), "Thu, 09 Jul 2015 03:01:34 GMT");
        assert_eq!(
            UnixMillis::parse_http_date("Thu, 09 Jul 2015 03:01:34 GMT"),
            Some(at)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_clock_follows_answers_not_the_local_clock() {
        let clock = ServerClock::default();
        assert_eq!(clock.now(), None);
        clock.observe(UnixMillis::from_secs(1_000));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(clock.now(), Some(UnixMillis::from_secs(1_010)));
        clock.observe(UnixMillis::from_secs(1_010));
        assert_eq!(
            clock.now(),
            Some(UnixMillis::from_secs(1_010)),
            "within the precision of Date"
        );
        for (heard, told, why) in [
            (5_000, 1_010, "once may be a mistake"),
            (1_010, 1_010, "it was"),
            (5_000, 1_010, "and is no confirmation of another"),
            (5_000, 5_000, "twice is a step"),
        ] {
            clock.observe(UnixMillis::from_secs(heard));
            assert_eq!(clock.now(), Some(UnixMillis::from_secs(told)), "{why}");
        }
        assert!(clock.skew_millis().unwrap() > 0);
    }

    #[test]
    fn a_step_of_the_local_clock_moves_nothing_but_the_skew() {
        const HOUR: i64 = 3_600;
        let clock = ServerClock::default();
        let (start, mut at) = (UnixMillis::from_secs(100_000), Instant::now());
        clock.observe_at(start, start, at);
        let mut server = start;
        for step in [HOUR, 0, -HOUR] {
            server = server.plus(Duration::from_mins(1));
            at += Duration::from_mins(1);
            clock.observe_at(server, UnixMillis(server.0 + step * 1_000), at);
            let trusted = clock.lock().trusted.unwrap();
            assert_eq!(trusted.now(at), server, "{step}");
            assert_eq!(clock.skew_millis(), Some(step * 1_000));
        }
    }
}
