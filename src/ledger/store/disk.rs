//! The state file: the one place that knows redb.
//!
//! Three tables: `journal` (group number -> records), `checkpoint` (piece number -> piece of the ledger), `numbers` (format,
//! generation, last group in the checkpoint). redb refuses everything after an I/O error, so that the file is closed then
//! and opened again by the next attempt.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    WriteTransaction,
};

use super::codec::{self, Unreadable};
use super::{Store, StoreError};
use crate::ledger::record::Record;

/// Values are written once and read once: a cache earns nothing beyond the pages of a transaction.
const CACHE: usize = 4 << 20;
/// A journal smaller than this is replayed faster than it is worth replacing.
const LEAST_JOURNAL: u64 = 8 << 20;
/// A page of redb holds a power of two of bytes; a piece leaves room for what redb adds.
const PIECE: usize = (64 << 10) - 256;

const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
const CHECKPOINT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("checkpoint");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const FORMAT: &str = "format";
const GENERATION: &str = "generation";
const CHECKPOINTED: &str = "checkpointed";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("another process has it open")]
    Locked,
    #[error("it has format version {found}")]
    Version { found: u64 },
    #[error("{found}")]
    Damaged { found: String },
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// An encoded ledger; none before the first checkpoint.
    pub(super) checkpoint: Option<Vec<u8>>,
    /// Encoded groups of records since, in their order.
    pub(super) journal: Vec<Vec<u8>>,
    /// How many processes have used it.
    pub(super) generation: u64,
    next: u64,
}

/// Records and checkpoints in one redb file.
#[derive(Debug)]
pub(super) struct DiskStore {
    path: PathBuf,
    /// None after an error, until it could be opened again.
    database: Option<Database>,
    generation: u64,
    /// Number of the next group.
    next: u64,
    journal_bytes: u64,
    /// The journal may grow to this before a checkpoint is due.
    journal_limit: u64,
    /// Keeps other processes out of the directory.
    _lock: File,
}

/// Makes an empty file, or takes what is there; never replaces anything.
pub(super) fn create(path: &Path) -> Result<(), FileError> {
    // A file that is seen under its name is whole: a kill in between leaves only the other one.
    let unfinished = path.with_extension("new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let database = builder(true).create(&unfinished).map_err(file_error)?;
    write(&database, |transaction| {
        let mut numbers = transaction.open_table(NUMBERS)?;
        numbers.insert(FORMAT, u64::from(codec::VERSION))?;
        numbers.insert(GENERATION, 0)?;
        numbers.insert(CHECKPOINTED, 0)?;
        transaction.open_table(JOURNAL)?;
        transaction.open_table(CHECKPOINT)?;
        Ok(())
    })
    .map_err(file_error)?;
    drop(database);
    std::fs::rename(&unfinished, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn builder(check: bool) -> redb::Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(check);
    builder
}

/// One transaction, durable when this returns.
fn write(
    database: &Database,
    change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    change(&transaction)?;
    transaction.commit()?;
    Ok(())
}

fn read_contents(database: &Database) -> Result<Contents, redb::Error> {
    let transaction = database.begin_read()?;
    let mut contents = Contents {
        generation: number(database, GENERATION)?,
        next: next_group(database)?,
        ..Contents::default()
    };
    let mut checkpoint = Vec::new();
    for piece in transaction.open_table(CHECKPOINT)?.iter()? {
        checkpoint.extend_from_slice(piece?.1.value());
    }
    contents.checkpoint = Some(checkpoint).filter(|bytes| !bytes.is_empty());
    for group in transaction.open_table(JOURNAL)?.iter()? {
        contents.journal.push(group?.1.value().to_vec());
    }
    Ok(contents)
}

fn number(database: &Database, name: &str) -> Result<u64, redb::Error> {
    let numbers = database.begin_read()?.open_table(NUMBERS)?;
    let number = numbers.get(name)?.map(|value| value.value());
    number.ok_or_else(|| redb::Error::Corrupted(format!("the number {name:?} is missing")))
}

/// The number after that of the last group, be it in the checkpoint or in the journal.
fn next_group(database: &Database) -> Result<u64, redb::Error> {
    let journal = database.begin_read()?.open_table(JOURNAL)?;
    let last = journal.last()?.map(|(number, _)| number.value());
    Ok(last.max(Some(number(database, CHECKPOINTED)?)).unwrap_or(0) + 1)
}

fn file_error(error: impl Into<redb::Error>) -> FileError {
    match error.into() {
        // redb says so of a file without its magic number.
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            FileError::Damaged {
                found: format!("is no state file: {error}"),
            }
        }
        redb::Error::Io(error) => FileError::Io(error),
        redb::Error::DatabaseAlreadyOpen => FileError::Locked,
        redb::Error::UpgradeRequired(version) => FileError::Damaged {
            found: format!("has version {version} of redb's file format"),
        },
        error => FileError::Damaged {
            found: error.to_string(),
        },
    }
}

// === impl FileError ===

impl From<Unreadable> for FileError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Version(found) => Self::Version {
                found: found.into(),
            },
            Unreadable::Damaged(found) => Self::Damaged { found },
        }
    }
}

// === impl DiskStore ===

impl DiskStore {
    /// Checks the whole file and reads it.
    pub(super) fn open(path: &Path, lock: File) -> Result<(Self, Contents), FileError> {
        let database = builder(true).open(path).map_err(file_error)?;
        let found = number(&database, FORMAT).map_err(file_error)?;
        if found > u64::from(codec::VERSION) {
            return Err(FileError::Version { found });
        }
        let contents = read_contents(&database).map_err(file_error)?;
        let size = contents.checkpoint.as_ref().map_or(0, Vec::len);
        let mut store = Self {
            path: path.to_owned(),
            database: Some(database),
            generation: contents.generation,
            next: contents.next,
            journal_bytes: contents
                .journal
                .iter()
                .map(|group| group.len() as u64)
                .sum(),
            journal_limit: 0,
            _lock: lock,
        };
        store.set_limit(size);
        Ok((store, contents))
    }

    /// Writes the first records of a process, and which one it is.
    pub(super) fn begin(&mut self, generation: u64, records: &[Record]) -> Result<(), StoreError> {
        self.append(records, Some(generation))?;
        self.generation = generation;
        Ok(())
    }

    fn append(&mut self, records: &[Record], generation: Option<u64>) -> Result<(), StoreError> {
        let group = codec::encode(records)?;
        let number = self.next;
        self.write(|transaction| {
            let mut journal = transaction.open_table(JOURNAL)?;
            journal.insert(number, group.as_slice())?;
            if let Some(generation) = generation {
                let mut numbers = transaction.open_table(NUMBERS)?;
                numbers.insert(GENERATION, generation)?;
            }
            Ok(())
        })?;
        self.next += 1;
        self.journal_bytes += group.len() as u64;
        Ok(())
    }

    fn set_limit(&mut self, checkpoint: usize) {
        self.journal_limit = LEAST_JOURNAL.max(checkpoint as u64 / 2);
    }

    fn write(
        &mut self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.reopen()?,
        };
        let written = write(&database, change);
        match written {
            Ok(()) => {
                self.database = Some(database);
                Ok(())
            }
            Err(error) => Err(self.store_error(error)),
        }
    }

    fn reopen(&self) -> Result<Database, StoreError> {
        let fail = |error: redb::Error| self.store_error(error);
        let database = builder(false)
            .open(&self.path)
            .map_err(|error: DatabaseError| fail(error.into()))?;
        let generation = number(&database, GENERATION).map_err(fail)?;
        let next = next_group(&database).map_err(fail)?;
        // What failed may have become durable all the same: it is written once more, under the same number.
        if generation == self.generation && (next == self.next || next == self.next + 1) {
            return Ok(database);
        }
        Err(StoreError::Replaced {
            path: self.path.clone(),
            found: format!(
                "holds group {} of generation {generation} where group {} of generation {} was written",
                next - 1,
                self.next - 1,
                self.generation
            ),
        })
    }

    fn store_error(&self, error: redb::Error) -> StoreError {
        match file_error(error) {
            FileError::Io(error) => StoreError::Io(error),
            error => StoreError::Replaced {
                path: self.path.clone(),
                found: error.to_string(),
            },
        }
    }
}

impl Store for DiskStore {
    fn commit(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.append(records, None)
    }

    fn checkpoint_due(&self) -> bool {
        self.journal_bytes > self.journal_limit
    }

    fn checkpoint(&mut self, ledger: &[u8]) -> Result<(), StoreError> {
        let last = self.next - 1;
        let written = self.write(|transaction| {
            transaction.delete_table(JOURNAL)?;
            transaction.open_table(JOURNAL)?;
            transaction.delete_table(CHECKPOINT)?;
            let mut checkpoint = transaction.open_table(CHECKPOINT)?;
            for (number, piece) in (0..).zip(ledger.chunks(PIECE)) {
                checkpoint.insert(number, piece)?;
            }
            transaction
                .open_table(NUMBERS)?
                .insert(CHECKPOINTED, last)?;
            Ok(())
        });
        if let Err(error) = written {
            // Not with every group: the medium is probably full, and encoding a ledger is dear.
            self.journal_limit = self.journal_bytes.saturating_mul(2);
            return Err(error);
        }
        self.journal_bytes = 0;
        self.set_limit(ledger.len());
        Ok(())
    }

    fn durable(&self) -> bool {
        true
    }

    fn bytes(&self) -> Option<u64> {
        std::fs::metadata(&self.path).ok().map(|file| file.len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ledger::record::QueueIndex;

    fn retention(secs: u64) -> [Record; 1] {
        [Record::Retention {
            queue: QueueIndex(0),
            retention: Duration::from_secs(secs),
        }]
    }

    fn fresh(directory: &Path) -> (PathBuf, DiskStore) {
        let path = directory.join("state.redb");
        create(&path).unwrap();
        let (store, contents) = open(&path);
        assert_eq!(contents.unwrap().journal.len(), 0);
        (path, store.unwrap())
    }

    fn open(path: &Path) -> (Option<DiskStore>, Result<Contents, FileError>) {
        match DiskStore::open(path, tempfile::tempfile().unwrap()) {
            Ok((store, contents)) => (Some(store), Ok(contents)),
            Err(error) => (None, Err(error)),
        }
    }

    fn groups(path: &Path) -> Vec<Vec<Record>> {
        let journal = open(path).1.unwrap().journal;
        let decode = |group: &Vec<u8>| codec::decode(group).unwrap();
        journal.iter().map(decode).collect()
    }

    #[test]
    fn a_group_that_became_durable_although_its_commit_failed_is_there_once() {
        let directory = tempfile::tempdir().unwrap();
        let (path, mut store) = fresh(directory.path());
        store.commit(&retention(1)).unwrap();
        store.commit(&retention(2)).unwrap();
        // As after a commit whose answer was an error: closed, and the group is not known to be there.
        store.database = None;
        store.next -= 1;
        store.commit(&retention(2)).unwrap();
        store.commit(&retention(3)).unwrap();
        drop(store);
        assert_eq!(
            groups(&path),
            [1, 2, 3].map(|secs| retention(secs).to_vec())
        );
    }

    #[test]
    fn another_file_in_its_place_is_not_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let (path, mut store) = fresh(directory.path());
        let older = directory.path().join("older");
        store.database = None;
        std::fs::copy(&path, &older).unwrap();
        for secs in 1..4 {
            store.commit(&retention(secs)).unwrap();
        }
        store.database = None;
        std::fs::rename(&older, &path).unwrap();
        let refused = store.commit(&retention(4)).unwrap_err();
        assert_eq!(refused.kind(), "replaced", "{refused}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(store.commit(&retention(4)).unwrap_err().kind(), "io");
        assert!(!path.exists(), "no file appears out of nothing");
    }

    #[test]
    fn a_later_format_is_told_apart_from_damage() {
        let directory = tempfile::tempdir().unwrap();
        let (path, store) = fresh(directory.path());
        let database = store.database.unwrap();
        write(&database, |transaction| {
            transaction.open_table(NUMBERS)?.insert(FORMAT, 9)?;
            Ok(())
        })
        .unwrap();
        drop(database);
        let found = open(&path).1.unwrap_err();
        assert!(matches!(found, FileError::Version { found: 9 }), "{found}");
    }

    #[test]
    fn a_checkpoint_is_due_when_the_journal_outgrows_it_and_the_file_stays_small() {
        let directory = tempfile::tempdir().unwrap();
        let (path, mut store) = fresh(directory.path());
        let many: Vec<Record> = (0..20_000).flat_map(retention).collect();
        let ledger = vec![7; 300_000];
        store.journal_bytes = LEAST_JOURNAL;
        assert!(!store.checkpoint_due());
        for _ in 0..40 {
            store.commit(&many).unwrap();
            assert!(store.checkpoint_due());
            store.checkpoint(&ledger).unwrap();
            assert!(!store.checkpoint_due());
            store.journal_bytes = LEAST_JOURNAL;
        }
        let bytes = store.bytes().unwrap();
        assert!(bytes < 4 << 20, "{bytes}");
        drop(store);
        let contents = open(&path).1.unwrap();
        assert_eq!(contents.checkpoint.unwrap(), ledger);
    }
}
