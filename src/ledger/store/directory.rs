//! The state directory: who may use it, what a start finds in it, and how it begins anew.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{self, DiskStore, FileError};
use super::{Store, StoreError, codec};
use crate::clock::UnixMillis;
use crate::ledger::record::Record;
use crate::ledger::{Changes, Ledger};

const STATE: &str = "state.redb";
const LOCK: &str = "lock";
/// The number of the last start, outside of the state file: a file that was put back in place has a smaller one.
const GENERATION: &str = "generation";

/// Where the state is, and whether to begin anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateOptions {
    /// A directory of this process alone; made if there is none.
    pub path: PathBuf,
    /// Moves what is there aside.
    pub reset: bool,
}

/// State that is ready to go on with.
pub struct Opened {
    /// What was committed.
    pub ledger: Ledger,
    /// Takes what is to come.
    pub store: Box<dyn Store>,
    /// How many processes have used the state, this one included.
    pub generation: u64,
    /// The generation that was here last, if what was found is older: counts of messages deleted since are lost.
    pub fell_from: Option<u64>,
    /// Where `reset` has put the state that was there.
    pub moved_to: Option<PathBuf>,
}

/// Why there is no state to go on with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or used.
    #[error(
        "cannot use the state directory {}: {source}; make it a directory that this process may write to",
        path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error(
        "the state directory {} is in use by another process; end that one, or give this one a --state.path of its own",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("cannot open the state file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error(
        "the state file {} is damaged: {found}; put a copy of it back, or start once with --state.reset, which moves it \
         aside and counts from zero",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// The file was written by another version of this program.
    #[error(
        "the state file {} has format version {found}, and this version reads {} alone; run the version that wrote it, or \
         start once with --state.reset, which moves it aside and counts from zero",
        path.display(),
        codec::VERSION
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u64,
    },
    /// The first records cannot be written.
    #[error("state file {}: {source}", path.display())]
    Begin {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

/// Loads the state, or begins with none; `now` names what is moved aside.
pub fn open(
    options: &StateOptions,
    quarantine_bytes: u64,
    now: UnixMillis,
) -> Result<Opened, OpenError> {
    let directory = &options.path;
    let lock = lock(directory)?;
    let path = directory.join(STATE);
    let moved_to = match options.reset {
        true => move_aside(&path, now).map_err(io_error(&path))?,
        false => None,
    };
    if !path.try_exists().map_err(io_error(&path))? {
        disk::create(&path).map_err(|error| open_error(&path, error))?;
    }
    let (mut ledger, mut store, found) =
        load(&path, lock).map_err(|error| open_error(&path, error))?;

    let last = last_generation(directory);
    let generation = found.max(last) + 1;
    let begin = [Record::Started { quarantine_bytes }];
    store
        .begin(generation, &begin)
        .map_err(|source| OpenError::Begin {
            path: path.clone(),
            source,
        })?;
    for record in &begin {
        ledger.apply(record, &mut Changes::default());
    }
    fs::write(directory.join(GENERATION), generation.to_string()).map_err(io_error(&path))?;
    Ok(Opened {
        ledger,
        store: Box::new(store),
        generation,
        fell_from: Some(last).filter(|last| *last > found && !options.reset),
        moved_to,
    })
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let fail = |source| OpenError::Directory {
        path: directory.to_owned(),
        source,
    };
    fs::create_dir_all(directory).map_err(fail)?;
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(directory.join(LOCK))
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: directory.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(fail(source)),
    }
}

/// Renames the state file; never over another one.
fn move_aside(path: &Path, now: UnixMillis) -> io::Result<Option<PathBuf>> {
    if !path.try_exists()? {
        return Ok(None);
    }
    let stamp = now.timestamp().map_or_else(
        || now.0.to_string(),
        |at| at.strftime("%Y%m%dT%H%M%SZ").to_string(),
    );
    let mut target = path.with_extension(format!("redb.{stamp}.bak"));
    let mut number = 1;
    while target.try_exists()? {
        number += 1;
        target = path.with_extension(format!("redb.{stamp}-{number}.bak"));
    }
    fs::rename(path, &target)?;
    Ok(Some(target))
}

fn load(path: &Path, lock: File) -> Result<(Ledger, DiskStore, u64), FileError> {
    let (store, contents) = DiskStore::open(path, lock)?;
    let mut ledger = match &contents.checkpoint {
        Some(checkpoint) => codec::decode::<Ledger>(checkpoint)?.loaded(),
        None => Ledger::new(0),
    };
    // What is replayed was logged when it was new.
    let mut changes = Changes::default();
    for group in &contents.journal {
        for record in codec::decode::<Vec<Record>>(group)? {
            ledger.apply(&record, &mut changes);
        }
    }
    Ok((ledger, store, contents.generation))
}

/// 0 where none is known.
fn last_generation(directory: &Path) -> u64 {
    let text = fs::read_to_string(directory.join(GENERATION)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { path, source }
}

fn open_error(path: &Path, error: FileError) -> OpenError {
    let path = path.to_owned();
    match error {
        FileError::Io(source) => OpenError::Io { path, source },
        FileError::Locked => OpenError::Locked { path },
        FileError::Version { found } => OpenError::OtherVersion { path, found },
        FileError::Damaged { found } => OpenError::Damaged { path, found },
    }
}
