//! Access keys by reference to variables or files, which are read again when they change.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::{Credentials, Observer};
use crate::secret::{SecretError, SecretSource};

/// Files are looked at no more often.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Where the parts of an access key are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Of [`Credentials::access_key_id`].
    pub access_key_id: SecretSource,
    /// Of [`Credentials::access_key_secret`].
    pub access_key_secret: SecretSource,
    /// Of [`Credentials::security_token`].
    pub security_token: Option<SecretSource>,
}

/// Why a part of an access key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(transparent)]
    Unavailable(#[from] SecretError),
    /// It cannot be sent in a header.
    #[error(
        "the {part} in {from} holds white space or characters outside ASCII; it must be the bare value"
    )]
    Invalid {
        /// Which part.
        part: &'static str,
        /// Where it came from.
        from: SecretSource,
    },
}

/// An access key by reference.
pub(super) struct Keys {
    sources: Sources,
    observer: Option<Arc<dyn Observer>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<Credentials>>,
    stamps: Vec<Option<Stamp>>,
    checked: Option<Instant>,
    /// Whether the present trouble has been logged.
    told: bool,
}

/// Tells a changed file.
type Stamp = (SystemTime, u64);

// === impl Error ===

impl Error {
    /// Bounded name for labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(SecretError::Unset(_)) => "unset",
            Self::Unavailable(SecretError::Unreadable { .. }) => "unreadable",
            Self::Unavailable(SecretError::Empty(_)) => "empty",
            Self::Invalid { .. } => "invalid",
        }
    }
}

// === impl Sources ===

impl Sources {
    fn all(&self) -> impl Iterator<Item = &SecretSource> {
        [&self.access_key_id, &self.access_key_secret]
            .into_iter()
            .chain(&self.security_token)
    }

    fn read(&self) -> Result<Credentials, Error> {
        let token = self.security_token.as_ref();
        Ok(Credentials {
            access_key_id: read_part("access key id", &self.access_key_id)?
                .expose_secret()
                .to_owned(),
            access_key_secret: read_part("access key secret", &self.access_key_secret)?,
            security_token: token
                .map(|source| read_part("security token", source))
                .transpose()?,
        })
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.all()
            .filter_map(|source| match source {
                SecretSource::File(path) => Some(stamp(path)),
                SecretSource::Env(_) | SecretSource::Public(_) => None,
            })
            .collect()
    }
}

fn read_part(part: &'static str, source: &SecretSource) -> Result<SecretString, Error> {
    let secret = source.read()?;
    if is_sendable(secret.expose_secret()) {
        Ok(secret)
    } else {
        Err(Error::Invalid {
            part,
            from: source.clone(),
        })
    }
}

/// Whether a header can carry it as it is.
pub(super) fn is_sendable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

// === impl Keys ===

impl Keys {
    pub(super) fn new(sources: Sources, observer: Option<Arc<dyn Observer>>) -> Self {
        Self {
            sources,
            observer,
            state: Mutex::default(),
        }
    }

    /// The key as it is now, or the last usable one.
    pub(super) fn get(&self, now: Instant) -> Result<Arc<Credentials>, Arc<Error>> {
        self.state()
            .refresh(&self.sources, self.observer.as_deref(), now)
    }

    /// The same with a look at files that is not spared.
    pub(super) fn get_anew(&self, now: Instant) -> Result<Arc<Credentials>, Arc<Error>> {
        self.state().checked = None;
        self.get(now)
    }

    /// Whether it has been read.
    pub(super) fn is_known(&self) -> bool {
        self.state().current.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn refresh(
        &mut self,
        sources: &Sources,
        observer: Option<&dyn Observer>,
        now: Instant,
    ) -> Result<Arc<Credentials>, Arc<Error>> {
        if let (Some(current), Some(checked)) = (&self.current, self.checked)
            && now.duration_since(checked) < CHECK_INTERVAL
        {
            return Ok(Arc::clone(current));
        }
        self.checked = Some(now);
        // Before reading: a write in between is then seen as a change by the next check.
        let stamps = sources.stamps();
        if let Some(current) = &self.current
            && stamps == self.stamps
        {
            return Ok(Arc::clone(current));
        }
        match sources.read() {
            Ok(credentials) => {
                self.stamps = stamps;
                self.told = false;
                Ok(Arc::clone(self.current.insert(Arc::new(credentials))))
            }
            Err(error) => {
                if let Some(observer) = observer {
                    observer.failed(error.kind());
                }
                let Some(current) = &self.current else {
                    return Err(Arc::new(error));
                };
                if !self.told {
                    tracing::warn!(%error, "Changed credentials cannot be used, the earlier ones stay in use.");
                    self.told = true;
                }
                Ok(Arc::clone(current))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        dir: tempfile::TempDir,
        keys: Keys,
    }

    impl Files {
        fn new(secret: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = |name| SecretSource::File(dir.path().join(name));
            let sources = Sources {
                access_key_id: file("id"),
                access_key_secret: file("secret"),
                security_token: Some(file("token")),
            };
            let keys = Keys::new(sources, None);
            let files = Self { dir, keys };
            files.write("id", "LTAI1");
            files.write("secret", secret);
            files.write("token", "CAIS");
            files
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.dir.path().join(name), text).unwrap();
        }

        fn secret_at(&self, now: Instant) -> String {
            let credentials = self.keys.get(now).unwrap();
            credentials.access_key_secret.expose_secret().to_owned()
        }
    }

    #[test]
    fn a_changed_file_is_read_again_but_at_most_once_a_second() {
        let (files, start) = (Files::new("first"), Instant::now());
        assert_eq!(files.secret_at(start), "first");
        files.write("secret", "second-key");
        assert_eq!(files.secret_at(start + CHECK_INTERVAL / 2), "first");
        assert_eq!(files.secret_at(start + CHECK_INTERVAL), "second-key");
    }

    #[test]
    fn an_unusable_change_keeps_the_earlier_credentials_until_it_is_whole() {
        let (files, start) = (Files::new("first"), Instant::now());
        assert_eq!(files.secret_at(start), "first");
        for (n, half) in (1..).zip(["", "two\nlines", "s\u{e9}cret"]) {
            files.write("secret", half);
            assert_eq!(files.secret_at(start + CHECK_INTERVAL * n), "first");
        }
        files.write("secret", "whole");
        assert_eq!(files.secret_at(start + CHECK_INTERVAL * 4), "whole");
    }

    #[test]
    fn the_first_read_must_succeed_and_its_error_names_the_source() {
        let files = Files::new("");
        let error = files.keys.get(Instant::now()).unwrap_err();
        assert_eq!(error.kind(), "empty");
        assert!(error.to_string().contains("secret"), "{error}");
        files.write("secret", "has space");
        let error = files.keys.get(Instant::now()).unwrap_err();
        assert_eq!(error.kind(), "invalid");
        assert!(!error.to_string().contains("has space"), "{error}");
        files.write("secret", "right");
        assert_eq!(files.secret_at(Instant::now()), "right");
    }

    #[test]
    fn debug_tells_no_secret() {
        let files = Files::new("hunter2");
        let credentials = files.keys.get(Instant::now()).unwrap();
        let text = format!("{credentials:?}");
        assert!(text.contains("LTAI1"), "{text}");
        assert!(
            !text.contains("hunter2") && !text.contains("CAIS"),
            "{text}"
        );
    }
}
