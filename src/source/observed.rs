//! Up to which instant everything that was enqueued has been seen: what deadlines expire against.
//!
//! Sans-I/O. An empty receive that really waited proves that the queue was empty when it was sent; while there is a
//! backlog, nothing older than what was received lately is likely to come. A failed receive may have dequeued messages
//! unseen: they stay hidden for one visibility timeout, and so long nothing is proven.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::UnixMillis;

/// Received messages are looked at over this time.
const RECENT: Duration = Duration::from_mins(1);

/// One receive under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Receive(u64);

/// The evidence of one queue, over all its workers.
#[derive(Debug)]
pub(super) struct Observed {
    unproven_until: UnixMillis,
    under_way: BTreeMap<Receive, UnixMillis>,
    recent: VecDeque<(UnixMillis, UnixMillis)>,
    next: u64,
}

// === impl Observed ===

impl Observed {
    /// Nothing is proven within a visibility timeout of the start.
    pub(super) fn new(start: UnixMillis, visibility_timeout: Duration) -> Self {
        Self {
            unproven_until: start.plus(visibility_timeout),
            under_way: BTreeMap::new(),
            recent: VecDeque::new(),
            next: 0,
        }
    }

    /// A receive is sent.
    pub(super) fn sent(&mut self, at: UnixMillis) -> Receive {
        let receive = Receive(self.next);
        self.next += 1;
        self.under_way.insert(receive, at);
        receive
    }

    /// A receive brought messages and they are committed; the oldest was enqueued at `oldest`.
    pub(super) fn received(
        &mut self,
        receive: Receive,
        at: UnixMillis,
        oldest: UnixMillis,
    ) -> Option<UnixMillis> {
        self.under_way.remove(&receive);
        self.recent.push_back((at, oldest));
        let horizon = at.minus(RECENT);
        while self
            .recent
            .front()
            .is_some_and(|(received, _)| *received < horizon)
        {
            self.recent.pop_front();
        }
        if horizon < self.unproven_until {
            return None;
        }
        self.recent.iter().map(|(_, oldest)| *oldest).min()
    }

    /// A receive came back empty; `waited` unless it was answered at once.
    ///
    /// Other receives under way may hold messages that were there before: they bound what is proven.
    pub(super) fn empty(&mut self, receive: Receive, waited: bool) -> Option<UnixMillis> {
        let first = self.under_way.values().min().copied();
        let sent = self.under_way.remove(&receive)?;
        let proven = first.map_or(sent, |first| first.min(sent));
        (waited && proven >= self.unproven_until).then_some(proven)
    }

    /// A receive failed, perhaps after MNS had handed out messages.
    pub(super) fn failed(
        &mut self,
        receive: Receive,
        at: UnixMillis,
        visibility_timeout: Duration,
    ) {
        self.under_way.remove(&receive);
        self.unproven_until = self.unproven_until.max(at.plus(visibility_timeout));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISIBILITY: Duration = Duration::from_secs(30);

    const fn at(secs: i64) -> UnixMillis {
        UnixMillis::from_secs(secs)
    }

    #[test]
    fn an_empty_receive_that_waited_proves_the_instant_it_was_sent() {
        let mut observed = Observed::new(at(0), VISIBILITY);
        let early = observed.sent(at(10));
        assert_eq!(
            observed.empty(early, true),
            None,
            "within a visibility timeout of the start"
        );
        let receive = observed.sent(at(40));
        assert_eq!(observed.empty(receive, true), Some(at(40)));
        let instant = observed.sent(at(80));
        assert_eq!(
            observed.empty(instant, false),
            None,
            "answered at once: proves nothing"
        );
    }

    #[test]
    fn other_receives_under_way_bound_what_is_proven() {
        let mut observed = Observed::new(at(0), VISIBILITY);
        let slow = observed.sent(at(50));
        let quick = observed.sent(at(60));
        assert_eq!(observed.empty(quick, true), Some(at(50)));
        assert_eq!(observed.empty(slow, true), Some(at(50)));
    }

    #[test]
    fn a_failure_holds_it_back_by_one_visibility_timeout() {
        let mut observed = Observed::new(at(0), VISIBILITY);
        let failed = observed.sent(at(100));
        observed.failed(failed, at(105), VISIBILITY);
        let soon = observed.sent(at(134));
        assert_eq!(observed.empty(soon, true), None);
        let later = observed.sent(at(135));
        assert_eq!(observed.empty(later, true), Some(at(135)));
    }

    #[test]
    fn in_a_backlog_the_oldest_received_within_a_minute_counts() {
        let mut observed = Observed::new(at(0), VISIBILITY);
        let mut receive = |sent: i64, oldest: i64| {
            let receive = observed.sent(at(sent));
            observed.received(receive, at(sent), at(oldest))
        };
        assert_eq!(receive(60, -500), None, "not yet a minute of evidence");
        assert_eq!(receive(100, -400), Some(at(-500)));
        assert_eq!(receive(130, -300), Some(at(-400)));
        assert_eq!(receive(170, -200), Some(at(-300)));
    }
}
