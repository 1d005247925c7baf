//! Records and ledgers as bytes: version, postcard, checksum.
//!
//! postcard names no fields, so that a change of any stored type is a new [`VERSION`]: from the first release on the reader of a
//! new version also reads the one before it, by types of its own, and says so of all others. Adding a variant at the end of an enum that is
//! stored by name (all of them) needs no new version. A test pins the bytes of every kind of record.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

/// The form that is written.
pub(super) const VERSION: u8 = 3;
const CHECKSUM: usize = size_of::<u64>();

/// Why bytes mean nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// Written by another version of this program.
    #[error("has format version {0}")]
    Version(u8),
    /// Not what was written.
    #[error("{0}")]
    Damaged(String),
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = postcard::to_extend(value, vec![VERSION]).map_err(io::Error::other)?;
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    let damaged = |found: &str| Unreadable::Damaged(found.to_owned());
    let (content, checksum) = bytes
        .split_last_chunk::<CHECKSUM>()
        .ok_or_else(|| damaged("ends early"))?;
    if xxh3_64(content) != u64::from_le_bytes(*checksum) {
        return Err(damaged("has a wrong checksum"));
    }
    match content.split_first() {
        Some((&VERSION, content)) => postcard::from_bytes(content)
            .map_err(|error| Unreadable::Damaged(format!("does not decode: {error}"))),
        Some((version, _)) => Err(Unreadable::Version(*version)),
        None => Err(damaged("is empty")),
    }
}
