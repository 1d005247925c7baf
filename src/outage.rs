//! What the log says of a failure that lasts: a line at its start, one an hour while it lasts, and one at its end.
//!
//! One line only would have left the log by the time somebody looks; one for each attempt would drown everything else.

use std::time::Duration;

use tokio::time::Instant;

/// How often a failure that lasts is repeated.
const REPEAT: Duration = Duration::from_hours(1);

/// Something that may be failing. The caller tells how each attempt ended, and logs what it is told to.
#[derive(Clone, Debug, Default)]
pub struct Outage {
    since: Option<Instant>,
    said: Option<Instant>,
    /// Kinds of errors that were logged within the last [`REPEAT`]: attempts may fail in turns of two of them.
    kinds: Vec<&'static str>,
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// It fails, for so long now; for no time at its start.
    Fails(Duration),
    /// It works again, after so long.
    Works(Duration),
}

// === impl Outage ===

impl Outage {
    /// Notes how an attempt ended, with an error of a bounded kind or without, and returns what is to be said of it.
    pub fn note(&mut self, error: Option<&'static str>, now: Instant) -> Option<Say> {
        let Some(kind) = error else {
            let since = self.since.take()?;
            *self = Self::default();
            return Some(Say::Works(now.duration_since(since)));
        };
        let since = *self.since.get_or_insert(now);
        let due = self
            .said
            .is_none_or(|said| now.duration_since(said) >= REPEAT);
        if due {
            self.said = Some(now);
            self.kinds.clear();
        } else if self.kinds.contains(&kind) {
            return None;
        }
        self.kinds.push(kind);
        Some(Say::Fails(now.duration_since(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }

    #[test]
    fn a_failure_is_told_at_its_start_once_an_hour_and_at_its_end() {
        let start = Instant::now();
        let mut outage = Outage::default();
        assert_eq!(outage.note(None, start), None);
        let told: Vec<_> = (0..180)
            .filter_map(|minute| outage.note(Some("timeout"), start + minutes(minute)))
            .collect();
        let expected = [0, 60, 120].map(|after| Say::Fails(minutes(after)));
        assert_eq!(told, expected);
        let works = Say::Works(minutes(180));
        assert_eq!(outage.note(None, start + minutes(180)), Some(works));
        assert_eq!(outage.note(None, start + minutes(181)), None);
        let again = outage.note(Some("timeout"), start + minutes(182));
        assert_eq!(again, Some(Say::Fails(Duration::ZERO)));
    }

    #[test]
    fn another_kind_is_news_once() {
        let start = Instant::now();
        let mut outage = Outage::default();
        let kinds = ["timeout", "connection"].into_iter().cycle();
        let told: Vec<_> = (0..120)
            .zip(kinds)
            .filter_map(|(minute, kind)| outage.note(Some(kind), start + minutes(minute)))
            .collect();
        let expected = [0, 1, 60, 61].map(|after| Say::Fails(minutes(after)));
        assert_eq!(told, expected);
    }
}
