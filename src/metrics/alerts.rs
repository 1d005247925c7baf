//! What became of per-video alerts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::catalogue::{ALERTS_ACTIVE, ALERTS_SENT, ALERTS_SUPPRESSED};
use super::exposition::Writer;
use crate::alertmanager::{Observer, Sent};

/// Counts, and what holds now.
#[derive(Debug, Default)]
pub struct Alerts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By [`Sent::ALL`]; none while alerts are off.
    sent: BTreeMap<Arc<str>, [u64; Sent::ALL.len()]>,
    active: u64,
    suppressed: u64,
}

// === impl Alerts ===

impl Alerts {
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        let state = self.state();
        if state.sent.is_empty() {
            return;
        }
        let mut family = writer.family(&ALERTS_SENT);
        for (alertmanager, counts) in &state.sent {
            for (result, count) in Sent::ALL.iter().zip(counts) {
                let labels = [
                    ("alertmanager", &**alertmanager),
                    ("result", result.as_str()),
                ];
                family.sample(&labels, *count);
            }
        }
        let mut family = writer.family(&ALERTS_ACTIVE);
        family.sample(&[], state.active);
        let mut family = writer.family(&ALERTS_SUPPRESSED);
        family.sample(&[], state.suppressed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Alerts {
    fn configured(&self, alertmanagers: &[Arc<str>]) {
        let mut state = self.state();
        state.sent.retain(|known, _| alertmanagers.contains(known));
        for alertmanager in alertmanagers {
            state.sent.entry(Arc::clone(alertmanager)).or_default();
        }
    }

    fn looked(&self, active: usize, newly_suppressed: usize) {
        let mut state = self.state();
        state.active = active as u64;
        state.suppressed += newly_suppressed as u64;
    }

    fn sent(&self, alertmanager: &str, result: Sent, alerts: usize) {
        let mut state = self.state();
        // One that is no longer configured counts into nothing.
        let counts = state.sent.get_mut(alertmanager);
        if let Some(count) = counts.and_then(|counts| counts.get_mut(result as usize)) {
            *count += alerts as u64;
        }
    }
}
