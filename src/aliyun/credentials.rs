//! Access keys from the environment or from files, which are read again when they change.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use crate::secret::{SecretError, SecretSource};

/// Files are looked at no more often.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What a request is signed with.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Public half of the key; appears in the `Authorization` header.
    pub access_key_id: String,
    /// Secret half.
    pub access_key_secret: SecretString,
    /// Sent along when the key is a temporary one (STS).
    pub security_token: Option<SecretString>,
}

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

/// Hands out the credentials as they are now.
///
/// Asking is asynchronous so that a provider which refreshes over the network needs no other shape.
#[derive(Debug)]
pub struct Provider(Origin);

#[derive(Debug)]
enum Origin {
    Fixed(Arc<Credentials>),
    Sources(Sources, Mutex<State>),
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part cannot be read.
    #[error("no credentials: {0}")]
    Unavailable(#[from] SecretError),
    /// A part cannot be sent in a header.
    #[error(
        "no credentials: the {part} in {from} holds white space or characters outside ASCII; it must be the bare value"
    )]
    Invalid {
        /// Which part.
        part: &'static str,
        /// Where it came from.
        from: SecretSource,
    },
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
    if secret
        .expose_secret()
        .bytes()
        .all(|byte| byte.is_ascii_graphic())
    {
        Ok(secret)
    } else {
        Err(Error::Invalid {
            part,
            from: source.clone(),
        })
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

// === impl Provider ===

impl Provider {
    /// Reads from `sources`, at the first call and whenever a file has changed.
    pub fn new(sources: Sources) -> Self {
        Self(Origin::Sources(sources, Mutex::default()))
    }

    /// Always hands out `credentials`.
    pub fn fixed(credentials: Credentials) -> Self {
        Self(Origin::Fixed(Arc::new(credentials)))
    }

    /// The credentials as they are now. While a changed file cannot be used (half-written, say), the earlier ones stay.
    #[expect(
        clippy::unused_async,
        reason = "a provider that refreshes over the network has the same shape"
    )]
    pub async fn get(&self) -> Result<Arc<Credentials>, Error> {
        self.get_at(Instant::now())
    }

    fn get_at(&self, now: Instant) -> Result<Arc<Credentials>, Error> {
        match &self.0 {
            Origin::Fixed(credentials) => Ok(Arc::clone(credentials)),
            Origin::Sources(sources, state) => state
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .refresh(sources, now),
        }
    }
}

// === impl State ===

impl State {
    fn refresh(&mut self, sources: &Sources, now: Instant) -> Result<Arc<Credentials>, Error> {
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
        match (sources.read(), &self.current) {
            (Ok(credentials), _) => {
                self.stamps = stamps;
                self.told = false;
                Ok(Arc::clone(self.current.insert(Arc::new(credentials))))
            }
            (Err(error), Some(current)) => {
                if !self.told {
                    tracing::warn!(%error, "Changed credentials cannot be used, the earlier ones stay in use.");
                    self.told = true;
                }
                Ok(Arc::clone(current))
            }
            (Err(error), None) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        dir: tempfile::TempDir,
        provider: Provider,
    }

    impl Files {
        fn new(secret: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = |name| SecretSource::File(dir.path().join(name));
            let provider = Provider::new(Sources {
                access_key_id: file("id"),
                access_key_secret: file("secret"),
                security_token: Some(file("token")),
            });
            let files = Self { dir, provider };
            files.write("id", "LTAI1");
            files.write("secret", secret);
            files.write("token", "CAIS");
            files
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.dir.path().join(name), text).unwrap();
        }

        fn secret_at(&self, now: Instant) -> String {
            let credentials = self.provider.get_at(now).unwrap();
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
        let error = files.provider.get_at(Instant::now()).unwrap_err();
        assert_eq!(error.kind(), "empty");
        assert!(error.to_string().contains("secret"), "{error}");
        files.write("secret", "has space");
        let error = files.provider.get_at(Instant::now()).unwrap_err();
        assert_eq!(error.kind(), "invalid");
        assert!(!error.to_string().contains("has space"), "{error}");
        files.write("secret", "right");
        assert_eq!(files.secret_at(Instant::now()), "right");
    }

    #[test]
    fn debug_tells_no_secret() {
        let files = Files::new("hunter2");
        let credentials = files.provider.get_at(Instant::now()).unwrap();
        let text = format!("{credentials:?} {:?}", files.provider);
        assert!(text.contains("LTAI1"), "{text}");
        assert!(
            !text.contains("hunter2") && !text.contains("CAIS"),
            "{text}"
        );
    }
}
