//! Secrets come from files or the environment, are never written into the config, and never show in logs or errors.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

/// Where a secret is read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file; surrounding white space is not part of the secret.
    File(PathBuf),
    /// A constant of the program, which everybody can read: for what runs against the emulator only.
    Public(&'static str),
}

/// Why a secret could not be read. Never tells the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is unset or not UTF-8.
    #[error("environment variable {0} is not set; set it, or name a file")]
    Unset(String),
    /// The file cannot be read.
    #[error("cannot read secret file {}: {source}; check the path, the mount and its mode", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// There is nothing in it.
    #[error("{0} is empty; put the secret there")]
    Empty(SecretSource),
}

// === impl SecretSource ===

impl SecretSource {
    /// Reads the secret as it is now.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        let text = match self {
            Self::Env(name) =>
            {
                #[expect(clippy::disallowed_methods, reason = "the one reader of secrets")]
                std::env::var(name).map_err(|_| SecretError::Unset(name.clone()))?
            }
            Self::File(path) => {
                std::fs::read_to_string(path).map_err(|source| SecretError::Unreadable {
                    path: path.clone(),
                    source,
                })?
            }
            Self::Public(text) => (*text).to_owned(),
        };
        match text.trim() {
            "" => Err(SecretError::Empty(self.clone())),
            secret => Ok(SecretString::from(secret)),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Public(_) => f.write_str("a constant of the program"),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_file_is_trimmed_and_an_empty_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "hunter2\n").unwrap();
        let source = SecretSource::File(path.clone());
        assert_eq!(source.read().unwrap().expose_secret(), "hunter2");
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(source.read(), Err(SecretError::Empty(_))));
        std::fs::remove_file(&path).unwrap();
        let error = source.read().unwrap_err().to_string();
        assert!(error.contains("secret"), "{error}");
    }

    #[test]
    fn an_unset_variable_is_named() {
        let error = SecretSource::Env("VOD_NO_SUCH_VARIABLE".to_owned())
            .read()
            .unwrap_err();
        assert!(
            error.to_string().contains("VOD_NO_SUCH_VARIABLE"),
            "{error}"
        );
    }
}
