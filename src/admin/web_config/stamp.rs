//! Whether files have changed, without reading them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::clock::UnixMillis;

/// Younger changes may share their time with the next one: the clock of file systems ticks coarsely.
const COARSE_MILLIS: i64 = 1_000;

/// Files as they were when they were read.
#[derive(Debug)]
pub(super) struct Stamps {
    files: Vec<(PathBuf, Option<Stamp>)>,
    at: UnixMillis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    len: u64,
    inode: (u64, u64),
}

// === impl Stamps ===

impl Stamps {
    /// Of one file, at the local time `at`.
    pub(super) fn of(path: &Path, at: UnixMillis) -> Self {
        let mut stamps = Self {
            files: Vec::new(),
            at,
        };
        stamps.add(path);
        stamps
    }

    /// Watches another file; call it before reading that.
    pub(super) fn add(&mut self, path: &Path) {
        self.files.push((path.to_owned(), Stamp::of(path)));
    }

    /// Whether what was read is what is there now, for all that can be told.
    pub(super) fn are_fresh(&self) -> bool {
        self.are_settled()
            && self
                .files
                .iter()
                .all(|(path, stamp)| *stamp == Stamp::of(path))
    }

    /// Whether both saw the same files.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.files == other.files
    }

    /// Whether every change was long enough before the reading to be told from a later one, or the local clock is so
    /// wrong that this cannot be known.
    fn are_settled(&self) -> bool {
        let stamps = self.files.iter().filter_map(|(_, stamp)| *stamp);
        stamps
            .map(|stamp| self.at.millis_since(UnixMillis::from_secs(stamp.changed.0)))
            .all(|age| !(-COARSE_MILLIS..2 * COARSE_MILLIS).contains(&age))
    }
}

// === impl Stamp ===

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            len: metadata.len(),
            inode: (metadata.dev(), metadata.ino()),
        })
    }
}
