//! What is wrong with a config, and where.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::MAX_FILE_BYTES;

/// Where in a config: a path such as `queues[0].mode`, or a flag.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line of the file, from 1; none for flags and for what stands nowhere.
    pub line: Option<u64>,
    /// Path in the file, empty for the whole of it; or the flag.
    pub path: String,
}

/// One thing wrong or doubtful: what was found, what is expected, what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What was found, what is expected, what to do; never a secret.
    pub text: String,
}

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read config file {}: {source}; check the path, the mount and its mode", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file holds something else than text.
    #[error("config file {} is not UTF-8 text; check that it is the right file, and its encoding", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("config file {} is larger than {MAX_FILE_BYTES} bytes; check that it is the right file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// All problems, in the order of the file, one a line, each behind the name of what was read.
    #[error("{}", lines(origin, problems))]
    Invalid {
        /// What was read.
        origin: String,
        /// At least one problem.
        problems: Vec<Problem>,
    },
}

/// Reads a config file within [`MAX_FILE_BYTES`].
pub(super) fn read_file(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let read = file
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::NotText {
        path: path.to_owned(),
    })
}

fn lines(origin: &str, problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| problem.line(origin));
    let heading = (problems.len() > 1).then(|| format!("{} problems:", problems.len()));
    heading
        .into_iter()
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The one of `known` that is meant by the misspelt `word`, if any is near enough.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance; words beyond any key's length are far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

// === impl Place ===

impl Place {
    /// The place of a flag.
    pub(super) fn flag(name: &str) -> Self {
        Self {
            line: None,
            path: name.to_owned(),
        }
    }

    /// The place of `key` in the mapping at this place.
    pub(super) fn key(&self, line: Option<u64>, key: &str) -> Self {
        let path = match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        Self { line, path }
    }

    /// The place of the item `index` in the list at this place.
    pub(super) fn item(&self, line: Option<u64>, index: usize) -> Self {
        Self {
            line,
            path: format!("{}[{index}]", self.path),
        }
    }

    /// A problem here.
    pub(crate) fn problem(&self, text: impl Into<String>) -> Problem {
        Problem {
            place: self.clone(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "`{}` in line {line}", self.path),
            None => write!(f, "`{}`", self.path),
        }
    }
}

// === impl Problem ===

impl Problem {
    /// `origin:line: path: text`.
    pub fn line(&self, origin: &str) -> String {
        match self.place.line {
            Some(line) => format!("{origin}:{line}: {self}"),
            None => format!("{origin}: {self}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.path.as_str() {
            "" => f.write_str(&self.text),
            path => write!(f, "{path}: {}", self.text),
        }
    }
}

// === impl ConfigError ===

impl ConfigError {
    /// `problems`, which are at least one, put into the order of the file.
    pub(crate) fn invalid(origin: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self::Invalid {
            origin: origin.to_owned(),
            problems,
        }
    }

    /// A bounded name of the variant.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too_large",
            Self::NotText { .. } => "not_text",
            Self::Invalid { .. } => "invalid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_nothing() {
        let known = || ["tick", "workers", "long_poll"].into_iter();
        assert_eq!(nearest("wokers", known()), Some("workers"));
        assert_eq!(nearest("longpoll", known()), Some("long_poll"));
        assert_eq!(nearest("tock", known()), Some("tick"));
        assert_eq!(nearest("colour", known()), None);
        assert_eq!(nearest(&"w".repeat(1_000), known()), None);
    }
}
