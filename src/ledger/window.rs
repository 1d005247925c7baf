//! A map whose entries leave after a time, or when it is full: the oldest first.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;

/// A bounded map of entries that expire.
///
/// Expiry instants are expected to grow from insertion to insertion; one that does not merely leaves later than it could.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(
    serialize = "K: Serialize + Eq + Hash, V: Serialize",
    deserialize = "K: serde::de::DeserializeOwned + Eq + Hash, V: serde::de::DeserializeOwned"
))]
pub struct Window<K, V> {
    entries: HashMap<K, (UnixMillis, V)>,
    order: VecDeque<(UnixMillis, K)>,
    capacity: usize,
}

// === impl Window ===

impl<K: Eq + Hash, V: PartialEq> PartialEq for Window<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
            && self.order == other.order
            && self.capacity == other.capacity
    }
}

impl<K: Copy + Eq + Hash, V> Window<K, V> {
    /// An empty window of at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            capacity,
        }
    }

    /// Puts or renews an entry that leaves at `expires`; returns how many live entries it displaced.
    pub fn insert(&mut self, key: K, value: V, expires: UnixMillis) -> u64 {
        self.entries.insert(key, (expires, value));
        self.order.push_back((expires, key));
        let mut evicted = 0;
        while self.entries.len() > self.capacity {
            evicted += u64::from(self.pop_front());
        }
        // A renewed entry leaves its earlier place in the order behind: bound that as well.
        while self.order.len() > 2 * self.capacity.max(1) {
            evicted += u64::from(self.pop_front());
        }
        evicted
    }

    /// The value of a live entry.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// Whether there is a live entry.
    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Drops what has expired at `now`.
    pub fn expire(&mut self, now: UnixMillis) {
        while self
            .order
            .front()
            .is_some_and(|(expires, _)| *expires <= now)
        {
            self.pop_front();
        }
    }

    /// When the entry that came last leaves, or would have if it was renewed since; none where all have left.
    pub fn last_expiry(&self) -> Option<UnixMillis> {
        self.order.back().map(|(expires, _)| *expires)
    }

    /// The number of live entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops the entry at the front of the order; false if it was renewed since and lives on.
    fn pop_front(&mut self) -> bool {
        let Some((expires, key)) = self.order.pop_front() else {
            return false;
        };
        let current = self.entries.get(&key).is_some_and(|(at, _)| *at == expires);
        if current {
            self.entries.remove(&key);
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> UnixMillis {
        UnixMillis::from_secs(secs)
    }

    #[test]
    fn entries_leave_when_their_time_has_come() {
        let mut window = Window::new(10);
        window.insert(1, "a", at(10));
        window.insert(2, "b", at(20));
        window.expire(at(10));
        assert!(!window.contains(&1));
        assert!(window.contains(&2));
    }

    #[test]
    fn a_renewed_entry_stays() {
        let mut window = Window::new(10);
        window.insert(1, "a", at(10));
        window.insert(1, "a", at(30));
        window.expire(at(20));
        assert!(window.contains(&1));
        window.expire(at(30));
        assert!(window.is_empty());
    }

    #[test]
    fn the_oldest_makes_room_and_is_counted() {
        let mut window = Window::new(2);
        assert_eq!(window.insert(1, (), at(10)), 0);
        assert_eq!(window.insert(2, (), at(20)), 0);
        assert_eq!(window.insert(3, (), at(30)), 1);
        assert!(!window.contains(&1));
        assert_eq!(window.len(), 2);
    }

    #[test]
    fn renewals_do_not_grow_it_for_ever() {
        let mut window = Window::new(4);
        for second in 0..1_000 {
            assert_eq!(window.insert(7, (), at(second)), 0);
        }
        assert_eq!(window.len(), 1);
        assert!(window.order.len() <= 8);
    }
}
