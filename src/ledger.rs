//! The truth: what was counted, what is pending, what was seen. Sans-I/O: `now` is an argument, and the ledger owns no
//! task, clock or socket.
//!
//! Event-sourced. Every change is a [`Record`]; the store makes a group of records durable *before* [`Ledger::apply`]
//! sees them, so that the ledger never holds, and nobody can ever read from it, what is not committed.

pub mod counts;
pub mod snapshot;

pub use counts::{Counts, Histogram};
pub use snapshot::{QueueSnapshot, Snapshot};
