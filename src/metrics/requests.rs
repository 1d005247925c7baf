//! Counting calls to MNS.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::{Histogram, HistogramVec};

use super::exposition::FamilyWriter;

/// The counters of one queue's calls. Clones count into the same series.
///
/// A queue calls few operations with few outcomes, so that finding a counter is a short walk over pointers; the
/// registry's lookup hashes every label, and its gathering copies them at every scrape.
#[derive(Clone)]
pub struct QueueRequests {
    calls: Arc<Mutex<Vec<Calls>>>,
    durations: HistogramVec,
}

struct Calls {
    operation: &'static str,
    code: &'static str,
    count: u64,
    /// From the first call that was no long poll on.
    duration: Option<Histogram>,
}

// === impl QueueRequests ===

impl QueueRequests {
    pub(super) fn new(durations: HistogramVec) -> Self {
        Self {
            calls: Arc::default(),
            durations,
        }
    }

    /// Counts one call. The duration of a long poll is not observed: it waits on purpose.
    pub fn called(
        &self,
        operation: &'static str,
        code: &'static str,
        took: Duration,
        long_poll: bool,
    ) {
        let mut calls = self.lock();
        let known = calls
            .iter()
            .position(|calls| calls.operation == operation && calls.code == code);
        let index = known.unwrap_or_else(|| {
            calls.push(Calls {
                operation,
                code,
                count: 0,
                duration: None,
            });
            calls.len() - 1
        });
        let Some(calls) = calls.get_mut(index) else {
            return;
        };
        calls.count += 1;
        if long_poll {
            return;
        }
        if calls.duration.is_none() {
            calls.duration = self
                .durations
                .get_metric_with_label_values(&[operation])
                .ok();
        }
        if let Some(duration) = &calls.duration {
            duration.observe(took.as_secs_f64());
        }
    }

    pub(super) fn write(&self, queue: &str, family: &mut FamilyWriter<'_>) {
        for calls in &*self.lock() {
            let labels = [
                ("queue", queue),
                ("operation", calls.operation),
                ("code", calls.code),
            ];
            family.sample(&labels, calls.count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Calls>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for QueueRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueRequests").finish_non_exhaustive()
    }
}
