//! Where records become durable before they are applied.

use super::record::Record;

/// Why a group of records is not durable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The medium refused: full, read-only, broken.
    #[error("cannot write the state: {0}; receiving stops until it can be written again")]
    Io(#[from] std::io::Error),
}

/// The seam to durable state.
///
/// A group is all or nothing: after an error none of its records may come back from a later start.
pub trait Store: Send {
    /// Makes a group of records durable.
    fn commit(&mut self, records: &[Record]) -> Result<(), StoreError>;

    /// Whether what was committed survives a restart.
    fn durable(&self) -> bool;

    /// Bytes on disk; none where there is no disk.
    fn bytes(&self) -> Option<u64>;
}

/// Keeps nothing beyond the process: counters start at zero with each start.
#[derive(Debug, Default)]
pub struct MemoryStore;

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
        }
    }
}

// === impl MemoryStore ===

impl Store for MemoryStore {
    fn commit(&mut self, _records: &[Record]) -> Result<(), StoreError> {
        Ok(())
    }

    fn durable(&self) -> bool {
        false
    }

    fn bytes(&self) -> Option<u64> {
        None
    }
}
