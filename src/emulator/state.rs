//! The ground truth as control tells it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::attributes::Attributes;
use super::faults::Operation;
use super::queue::{Counts, DeadLetterPolicy, MessageState, Totals};
use crate::clock::UnixMillis;

/// Everything a test may want to compare with what a client believes.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    /// The emulator's clock.
    pub now: UnixMillis,
    /// Queues by name.
    pub queues: BTreeMap<String, QueueState>,
    /// Calls since the start.
    pub calls: Vec<CallCount>,
    /// Long polls that wait.
    pub parked_polls: u32,
}

/// One queue.
#[derive(Clone, Debug, Serialize)]
pub struct QueueState {
    /// Its settings.
    pub attributes: Attributes,
    /// Its dead-letter policy.
    pub dead_letter: Option<DeadLetterPolicy>,
    /// Exact counts, whatever `GetQueueAttributes` says.
    pub counts: Counts,
    /// What became of its messages.
    pub totals: Totals,
    /// Enqueue time of the oldest message still there.
    pub oldest_enqueue_time: Option<UnixMillis>,
    /// Single messages, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<MessageState>>,
}

/// How often an operation ended with a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallCount {
    /// The operation.
    pub operation: Operation,
    /// `OK`, the vendor's code, or `reset` where the connection was reset before the effect.
    pub code: String,
    /// How often.
    pub count: u64,
}

// === impl State ===

impl State {
    /// Calls of an operation that ended with `code`.
    pub fn calls_of(&self, operation: Operation, code: &str) -> u64 {
        self.calls
            .iter()
            .filter(|call| call.operation == operation && call.code == code)
            .map(|call| call.count)
            .sum()
    }

    /// All calls of an operation.
    pub fn calls_of_any(&self, operation: Operation) -> u64 {
        self.calls
            .iter()
            .filter(|call| call.operation == operation)
            .map(|call| call.count)
            .sum()
    }
}
