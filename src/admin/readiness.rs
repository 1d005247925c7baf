//! Whether the process is between start-up and shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::StatusCode;

use super::{Answer, text};

/// A latch with three positions: starting, ready, stopping. It only moves forward, and it depends on nothing remote: an
/// unready sidecar makes the worker beside it unready.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

// === impl Readiness ===

impl Readiness {
    /// Start-up has finished. Without effect once stopping.
    pub fn ready(&self) {
        self.0.fetch_max(READY, Ordering::Relaxed);
    }

    /// Shutdown has begun.
    pub fn stopping(&self) {
        self.0.fetch_max(STOPPING, Ordering::Relaxed);
    }

    /// Whether the process is ready.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed) == READY
    }

    pub(super) fn answer(&self) -> Answer {
        match self.0.load(Ordering::Relaxed) {
            STARTING => text(StatusCode::SERVICE_UNAVAILABLE, "Starting.\n"),
            READY => text(StatusCode::OK, "Ready.\n"),
            _ => text(StatusCode::SERVICE_UNAVAILABLE, "Stopping.\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_only_moves_forward() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready());
        readiness.clone().ready();
        assert!(readiness.is_ready());
        readiness.stopping();
        readiness.ready();
        assert!(!readiness.is_ready());
    }
}
