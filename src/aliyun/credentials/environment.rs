//! The variables by which the vendor's SDKs are told where credentials are, under their official names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::keys::is_sendable;
use super::{Credentials, Failure};
use crate::secret::SecretSource;

/// Part of an access key.
pub const ACCESS_KEY_ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
/// Part of an access key.
pub const ACCESS_KEY_SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
/// Part of a temporary access key.
pub const SECURITY_TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";
pub(super) const ROLE_ARN: &str = "ALIBABA_CLOUD_ROLE_ARN";
pub(super) const OIDC_PROVIDER_ARN: &str = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN";
pub(super) const OIDC_TOKEN_FILE: &str = "ALIBABA_CLOUD_OIDC_TOKEN_FILE";
pub(super) const ROLE_SESSION_NAME: &str = "ALIBABA_CLOUD_ROLE_SESSION_NAME";
pub(super) const STS_REGION: &str = "ALIBABA_CLOUD_STS_REGION";
pub(super) const VPC_ENDPOINT_ENABLED: &str = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED";
pub(super) const CONFIG_FILE: &str = "ALIBABA_CLOUD_CONFIG_FILE";
pub(super) const PROFILE: &str = "ALIBABA_CLOUD_PROFILE";
pub(super) const CLI_PROFILE_DISABLED: &str = "ALIBABA_CLOUD_CLI_PROFILE_DISABLED";
pub(super) const CREDENTIALS_FILE: &str = "ALIBABA_CLOUD_CREDENTIALS_FILE";
pub(super) const ECS_METADATA: &str = "ALIBABA_CLOUD_ECS_METADATA";
pub(super) const ECS_METADATA_DISABLED: &str = "ALIBABA_CLOUD_ECS_METADATA_DISABLED";
pub(super) const IMDSV1_DISABLED: &str = "ALIBABA_CLOUD_IMDSV1_DISABLED";
pub(super) const CREDENTIALS_URI: &str = "ALIBABA_CLOUD_CREDENTIALS_URI";
const HOME: &str = "HOME";

/// All that are looked at.
const NAMES: [&str; 18] = [
    ACCESS_KEY_ID,
    ACCESS_KEY_SECRET,
    SECURITY_TOKEN,
    ROLE_ARN,
    OIDC_PROVIDER_ARN,
    OIDC_TOKEN_FILE,
    ROLE_SESSION_NAME,
    STS_REGION,
    VPC_ENDPOINT_ENABLED,
    CONFIG_FILE,
    PROFILE,
    CLI_PROFILE_DISABLED,
    CREDENTIALS_FILE,
    ECS_METADATA,
    ECS_METADATA_DISABLED,
    IMDSV1_DISABLED,
    CREDENTIALS_URI,
    HOME,
];

/// The variables that are set and not empty.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<&'static str, SecretString>);

// === impl Environment ===

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        Self::of(|name| SecretSource::Env(name.to_owned()).read().ok())
    }

    /// One that holds these values only.
    pub fn of_values(values: &[(&str, &str)]) -> Self {
        Self::of(|name| {
            let value = values.iter().find(|(known, _)| *known == name)?.1.trim();
            (!value.is_empty()).then(|| SecretString::from(value))
        })
    }

    fn of(lookup: impl Fn(&str) -> Option<SecretString>) -> Self {
        let known = NAMES.iter().filter_map(|name| Some((*name, lookup(name)?)));
        Self(known.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(SecretString::expose_secret)
    }

    /// Whether a switch is on.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A file in the home directory.
    pub(super) fn at_home(&self, relative: &str) -> Option<PathBuf> {
        self.get(HOME)
            .map(|home| PathBuf::from(home).join(relative))
    }

    /// The access key that stands in variables.
    pub(super) fn access_key(&self) -> Result<Credentials, Failure> {
        let (id, secret) = match (self.0.get(ACCESS_KEY_ID), self.0.get(ACCESS_KEY_SECRET)) {
            (Some(id), Some(secret)) => (id, secret),
            (None, None) => {
                let text = format!("{ACCESS_KEY_ID} and {ACCESS_KEY_SECRET} are not set");
                return Err(Failure::Absent(text));
            }
            (id, _) => {
                let (set, unset) = match id {
                    Some(_) => (ACCESS_KEY_ID, ACCESS_KEY_SECRET),
                    None => (ACCESS_KEY_SECRET, ACCESS_KEY_ID),
                };
                let text = format!("{set} is set and {unset} is not; set both or none");
                return Err(Failure::Incomplete(text));
            }
        };
        let token = self.0.get(SECURITY_TOKEN);
        let parts = [
            (ACCESS_KEY_ID, Some(id)),
            (ACCESS_KEY_SECRET, Some(secret)),
            (SECURITY_TOKEN, token),
        ];
        for (name, part) in parts {
            if part.is_some_and(|part| !is_sendable(part.expose_secret())) {
                let problem =
                    "white space or characters outside ASCII in it; expected the bare value";
                return Err(Failure::malformed(name, problem));
            }
        }
        Ok(Credentials {
            access_key_id: id.expose_secret().to_owned(),
            access_key_secret: secret.clone(),
            security_token: token.cloned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_key_and_one_that_cannot_be_sent_are_told_apart_from_none() {
        let key = |values: &[(&str, &str)]| Environment::of_values(values).access_key();
        let none = key(&[(ACCESS_KEY_ID, " ")]).unwrap_err();
        assert!(none.is_absent(), "{none}");
        let half = key(&[(ACCESS_KEY_SECRET, "hunter2")]).unwrap_err();
        assert!(!half.is_absent() && half.kind() == "unset", "{half}");
        assert!(half.to_string().contains(ACCESS_KEY_ID), "{half}");
        let odd = key(&[(ACCESS_KEY_ID, "id"), (ACCESS_KEY_SECRET, "hunter 2")]).unwrap_err();
        assert!(!odd.to_string().contains("hunter"), "{odd}");
        let whole = [
            (ACCESS_KEY_ID, "id"),
            (ACCESS_KEY_SECRET, "s\n"),
            (SECURITY_TOKEN, "t"),
        ];
        let whole = key(&whole).unwrap();
        assert_eq!(whole.access_key_secret.expose_secret(), "s");
        assert!(whole.security_token.is_some());
    }
}
