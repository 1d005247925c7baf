//! Where records become durable before they are applied.
//!
//! A durable store is a journal of groups of records, and a checkpoint of the ledger that replaces the journal once the
//! journal outgrows it. A start loads the checkpoint and replays the journal through [`Ledger::apply`].

mod codec;
mod directory;
mod disk;

use std::path::PathBuf;

use super::Ledger;
use super::record::Record;

pub use self::directory::{OpenError, Opened, StateOptions, open};

/// Why a group of records is not durable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The medium refused: full, read-only, broken.
    #[error("cannot write the state: {0}; receiving stops until it can be written again")]
    Io(#[from] std::io::Error),
    /// The file is not the one that was written before.
    #[error(
        "cannot write the state: {} {found}; receiving stops until the process is started anew or the file is back",
        path.display()
    )]
    Replaced {
        /// The state file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
}

/// The seam to durable state.
///
/// After an error the same group is offered again until it is written, and nobody acts on it before. A group is all or
/// nothing, and at most once: an attempt that failed and became durable all the same is the one that counts.
pub trait Store: Send {
    /// Makes a group of records durable.
    fn commit(&mut self, records: &[Record]) -> Result<(), StoreError>;

    /// Whether [`Store::checkpoint`] is worth its cost.
    fn checkpoint_due(&self) -> bool;

    /// Replaces the journal by an [encoded](encode) ledger, to which exactly the committed records were applied. After an
    /// error the journal is as it was.
    fn checkpoint(&mut self, ledger: &[u8]) -> Result<(), StoreError>;

    /// Whether what was committed survives a restart.
    fn durable(&self) -> bool;

    /// Bytes on disk; none where there is no disk.
    fn bytes(&self) -> Option<u64>;
}

/// Keeps nothing beyond the process: counters start at zero with each start.
#[derive(Debug, Default)]
pub struct MemoryStore;

/// The form in which a ledger is kept.
pub fn encode(ledger: &Ledger) -> Result<Vec<u8>, StoreError> {
    Ok(codec::encode(ledger)?)
}

// === impl StoreError ===

impl StoreError {
    /// A bounded name for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Io(error) => match error.kind() {
                std::io::ErrorKind::StorageFull => "full",
                std::io::ErrorKind::ReadOnlyFilesystem => "read_only",
                _ => "io",
            },
            Self::Replaced { .. } => "replaced",
        }
    }
}

// === impl MemoryStore ===

impl Store for MemoryStore {
    fn commit(&mut self, _records: &[Record]) -> Result<(), StoreError> {
        Ok(())
    }

    fn checkpoint_due(&self) -> bool {
        false
    }

    fn checkpoint(&mut self, _ledger: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn durable(&self) -> bool {
        false
    }

    fn bytes(&self) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests;
