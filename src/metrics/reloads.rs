//! How reading the config again went.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::catalogue::{
    CONFIG_RELOAD_SUCCESSFUL, CONFIG_RELOAD_TIME, CONFIG_RELOADS, RELOAD_RESULTS,
};
use super::exposition::Writer;
use crate::admin::TlsTrouble;
use crate::clock::UnixMillis;

/// Counts, and what holds now.
#[derive(Debug, Default)]
pub(super) struct Reloads(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In the order of [`RELOAD_RESULTS`].
    counts: [u64; 2],
    in_force_since: Option<UnixMillis>,
    last_failed: bool,
    /// Of the web config.
    tls: TlsTrouble,
}

// === impl Reloads ===

impl Reloads {
    /// A config is in force from the start.
    pub(super) fn started(&self, at: UnixMillis) {
        self.state().in_force_since = Some(at);
    }

    /// A reload succeeded at this time, or failed.
    pub(super) fn reloaded(&self, at: Option<UnixMillis>) {
        let mut state = self.state();
        state.last_failed = at.is_none();
        state.in_force_since = at.or(state.in_force_since);
        let [success, failure] = &mut state.counts;
        let count = if at.is_some() { success } else { failure };
        *count += 1;
    }

    /// How the certificates and keys of the web config fared.
    pub(super) fn tls_trouble(&self, trouble: TlsTrouble) {
        let mut state = self.state();
        // Requests overtake each other.
        if trouble.times >= state.tls.times {
            state.tls = trouble;
        }
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        let state = self.state();
        let mut family = writer.family(&CONFIG_RELOADS);
        let [success, failure] = state.counts;
        let counts = [success, failure + state.tls.times];
        for (result, count) in RELOAD_RESULTS.iter().zip(counts) {
            family.sample(&[("result", result)], count);
        }
        let Some(since) = state.in_force_since else {
            return;
        };
        let mut family = writer.family(&CONFIG_RELOAD_SUCCESSFUL);
        family.sample(&[], !state.last_failed && !state.tls.lasts);
        let mut family = writer.family(&CONFIG_RELOAD_TIME);
        family.sample(&[], since);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
