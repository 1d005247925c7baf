//! Until when credentials are good, and what kept them from being renewed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::catalogue::{CREDENTIALS_EXPIRY, CREDENTIALS_FAILURES};
use super::exposition::Writer;
use crate::aliyun::credentials::Error;
use crate::clock::UnixMillis;

/// All accounts whose credentials were asked for.
#[derive(Debug, Default)]
pub(super) struct Accounts(Mutex<BTreeMap<Box<str>, Arc<AccountCredentials>>>);

/// What is told of one account.
#[derive(Debug, Default)]
pub struct AccountCredentials {
    expires: Mutex<Option<UnixMillis>>,
    /// By [`Error::ALL`].
    failures: [AtomicU64; Error::ALL.len()],
}

// === impl Accounts ===

impl Accounts {
    pub(super) fn get(&self, account: &str) -> Arc<AccountCredentials> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(accounts.entry(account.into()).or_default())
    }

    pub(super) fn retain(&self, is_used: impl Fn(&str) -> bool) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|account, _| is_used(account));
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = writer.family(&CREDENTIALS_EXPIRY);
        for (account, credentials) in &*accounts {
            if let Some(expires) = *credentials.expires() {
                family.sample(&[("account", account)], expires);
            }
        }
        let mut family = writer.family(&CREDENTIALS_FAILURES);
        for (account, credentials) in &*accounts {
            for (reason, failures) in Error::ALL.into_iter().zip(&credentials.failures) {
                let labels = [("account", &**account), ("reason", reason)];
                family.sample(&labels, failures.load(Ordering::Relaxed));
            }
        }
    }
}

// === impl AccountCredentials ===

impl AccountCredentials {
    /// Others are there, good until then; none if that is not known or never ends.
    pub fn renewed(&self, expires: Option<UnixMillis>) {
        *self.expires() = expires;
    }

    /// An attempt failed with an error of this kind, one of [`Error::ALL`].
    pub fn failed(&self, kind: &str) {
        let known = Error::ALL.iter().position(|known| *known == kind);
        if let Some(failures) = known.and_then(|index| self.failures.get(index)) {
            failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn expires(&self) -> MutexGuard<'_, Option<UnixMillis>> {
        self.expires.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
