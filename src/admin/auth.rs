//! Basic authentication against bcrypt hashes.
//!
//! A check costs tens of milliseconds on purpose, so it runs beside the runtime's workers, one at a time, and its verdict
//! is remembered. An unknown name costs a check too, against a hash of the most expensive kind there is.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::config::web;

/// Verdicts remembered of each kind; the oldest are forgotten first.
const REMEMBERED: usize = 128;

/// Users by name, with the hashes of their passwords.
type Users = BTreeMap<String, SecretString>;

/// Checks passwords.
pub(super) struct Authenticator {
    /// Under it verdicts are remembered, so that no password stays in memory.
    key: [u8; 32],
    verdicts: Mutex<Verdicts>,
    /// One check at a time: strangers must not take every core.
    turn: Semaphore,
}

/// What was found out, so that many bad guesses displace no good password.
#[derive(Default)]
struct Verdicts {
    good: Remembered,
    bad: Remembered,
}

#[derive(Default)]
struct Remembered {
    digests: HashSet<[u8; 32]>,
    oldest: VecDeque<[u8; 32]>,
}

/// What a client says of itself.
struct Credentials {
    user: String,
    password: SecretSlice<u8>,
}

// === impl Authenticator ===

impl Authenticator {
    /// Remembers verdicts under `key`, which nobody else knows.
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            verdicts: Mutex::default(),
            turn: Semaphore::new(1),
        }
    }

    /// Whether `header`, the value of `Authorization`, names one of `users` with its password.
    pub(super) async fn admits(&self, users: &Users, header: Option<&HeaderValue>) -> bool {
        let Some(credentials) = header.and_then(Credentials::parse) else {
            return false;
        };
        let known = users.get(&credentials.user);
        let Some(hash) = known.or_else(|| users.values().max_by_key(|hash| web::cost(hash))) else {
            return false;
        };
        let digest = self.digest(&credentials, hash, known.is_some());
        if let Some(verdict) = self.verdicts().of(&digest) {
            return verdict;
        }
        let Ok(_turn) = self.turn.acquire().await else {
            return false;
        };
        // The one before may have asked the same.
        if let Some(verdict) = self.verdicts().of(&digest) {
            return verdict;
        }
        let (password, hash) = (credentials.password, hash.clone());
        let checked = tokio::task::spawn_blocking(move || {
            bcrypt::verify(password.expose_secret(), hash.expose_secret()).unwrap_or(false)
        });
        let verdict = checked.await.unwrap_or(false) && known.is_some();
        self.verdicts().remember(digest, verdict);
        verdict
    }

    /// The same for the same question only.
    fn digest(&self, credentials: &Credentials, hash: &SecretString, known: bool) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            // A key of any length will do; a digest of nothing is never remembered as good under another.
            return [0; 32];
        };
        let (user, hash) = (credentials.user.as_bytes(), hash.expose_secret().as_bytes());
        for part in [
            user,
            hash,
            credentials.password.expose_secret(),
            &[u8::from(known)],
        ] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn verdicts(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Verdicts ===

impl Verdicts {
    fn of(&self, digest: &[u8; 32]) -> Option<bool> {
        if self.good.digests.contains(digest) {
            Some(true)
        } else {
            self.bad.digests.contains(digest).then_some(false)
        }
    }

    fn remember(&mut self, digest: [u8; 32], verdict: bool) {
        let remembered = if verdict {
            &mut self.good
        } else {
            &mut self.bad
        };
        if remembered.oldest.len() == REMEMBERED
            && let Some(oldest) = remembered.oldest.pop_front()
        {
            remembered.digests.remove(&oldest);
        }
        if remembered.digests.insert(digest) {
            remembered.oldest.push_back(digest);
        }
    }
}

// === impl Credentials ===

impl Credentials {
    /// Reads `Basic` and the base64 of name, colon and password.
    fn parse(header: &HeaderValue) -> Option<Self> {
        let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = STANDARD.decode(encoded.trim_start()).ok()?;
        let colon = memchr::memchr(b':', &decoded)?;
        let (user, rest) = decoded.split_at(colon);
        Some(Self {
            user: std::str::from_utf8(user).ok()?.to_owned(),
            password: SecretSlice::from(rest.get(1..)?.to_vec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let hash = |password: &str| SecretString::from(bcrypt::hash(password, 4).unwrap());
        [("alice", hash("hunter2")), ("bob", hash("correct horse"))]
            .map(|(name, hash)| (name.to_owned(), hash))
            .into()
    }

    fn header(credentials: &str) -> HeaderValue {
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(credentials))).unwrap()
    }

    #[tokio::test]
    async fn only_a_users_own_password_admits() {
        let (users, authenticator) = (users(), Authenticator::new([7; 32]));
        for round in 0..2 {
            for (credentials, admitted) in [
                ("alice:hunter2", true),
                ("bob:correct horse", true),
                ("alice:correct horse", false),
                ("bob:hunter2", false),
                ("carol:hunter2", false),
                ("carol:correct horse", false),
                ("alice:", false),
                (":hunter2", false),
            ] {
                let admits = authenticator
                    .admits(&users, Some(&header(credentials)))
                    .await;
                assert_eq!(admits, admitted, "{credentials} in round {round}");
            }
        }
        let verdicts = authenticator.verdicts();
        assert_eq!(
            (verdicts.good.oldest.len(), verdicts.bad.oldest.len()),
            (2, 6)
        );
    }

    #[tokio::test]
    async fn a_changed_hash_is_checked_anew() {
        let (mut users, authenticator) = (users(), Authenticator::new([7; 32]));
        let alice = header("alice:hunter2");
        assert!(authenticator.admits(&users, Some(&alice)).await);
        let other = SecretString::from(bcrypt::hash("other", 4).unwrap());
        users.insert("alice".to_owned(), other);
        assert!(!authenticator.admits(&users, Some(&alice)).await);
        users.remove("alice");
        assert!(!authenticator.admits(&users, Some(&alice)).await);
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let (users, authenticator) = (users(), Authenticator::new([7; 32]));
        assert!(!authenticator.admits(&users, None).await);
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic !!",
            "Basic YWxpY2U=",
            "Bearer YWxpY2U6aHVudGVyMg==",
        ] {
            let value = HeaderValue::from_static(value);
            assert!(
                !authenticator.admits(&users, Some(&value)).await,
                "{value:?}"
            );
        }
        let lower = HeaderValue::from_static("basic YWxpY2U6aHVudGVyMg==");
        assert!(authenticator.admits(&users, Some(&lower)).await);
    }

    #[test]
    fn bad_guesses_are_bounded_and_displace_no_good_password() {
        let mut verdicts = Verdicts::default();
        verdicts.remember([1; 32], true);
        for guess in 0..1_000_u32 {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&guess.to_be_bytes());
            digest[31] = 2;
            verdicts.remember(digest, false);
        }
        assert_eq!(verdicts.of(&[1; 32]), Some(true));
        assert_eq!(verdicts.bad.digests.len(), REMEMBERED);
    }
}
