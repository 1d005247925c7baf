//! Credentials: whether there are some, whose they are, and whether VOD may use the account's queues.

use std::sync::Arc;

use super::{Area, Checker, Report, in_time, split};
use crate::aliyun::credentials::sts::{self, CallerIdentity};
use crate::aliyun::credentials::{self, Context, Failure, Provider, Settings};
use crate::aliyun::ram;
use crate::clock;
use crate::config::AccountConfig;

const PAGE: &str = "see docs/credentials.md";
const VOD_SERVICE: &str = "vod.";

/// An account that can be used.
pub(super) struct Access {
    pub(super) http: reqwest::Client,
    pub(super) provider: Arc<Provider>,
    /// None where STS cannot be asked.
    pub(super) identity: Option<CallerIdentity>,
}

/// Where an access key by reference is; that it can be read was found out while the config was read.
pub(super) fn secrets(account: &AccountConfig, report: &mut Report) {
    if let Settings::Keys(sources) = &account.credentials {
        let token = sources.security_token.as_ref();
        let token = token.map_or(String::new(), |token| format!("; token in {token}"));
        let found = format!(
            "id in {}; secret in {}{token}",
            sources.access_key_id, sources.access_key_secret
        );
        report.ok(Area::Secrets, &account.name, found);
    }
}

// === impl Checker ===

impl Checker {
    /// Gets an account's credentials and asks whose they are.
    pub(super) async fn enter(&mut self, account: &AccountConfig) {
        let name = Arc::clone(&account.name);
        let access = self.credentials(account).await;
        let access = match access {
            Ok(access) => self.identity(account, access).await,
            Err(reason) => {
                self.report.skip(Area::Identity, &name, reason.clone());
                Err(reason)
            }
        };
        self.accounts.insert(name, access);
    }

    async fn credentials(&mut self, account: &AccountConfig) -> Result<Access, String> {
        let (name, options) = (&account.name, account.transport());
        let made = options.client().and_then(|http| {
            let context = Context::new(
                Arc::clone(name),
                http.clone(),
                &options,
                Arc::new(()),
                self.options.seed,
            )?;
            Ok((http, context))
        });
        let (http, context) = match made {
            Ok(made) => made,
            Err(error) => {
                let (found, remedy) = split(&error.to_string());
                let remedy = remedy.unwrap_or_default();
                self.report.fail(Area::Connection, name, found, remedy);
                return Err(format!("account {name} has no way out"));
            }
        };
        let provider = Provider::of(&account.credentials, context);
        let problem = match in_time(provider.get()).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(told_of_all(&error)),
            Err(silence) => Some((silence, PAGE.to_owned())),
        };
        if let Some((found, remedy)) = problem {
            self.report.fail(Area::Credentials, name, found, remedy);
            return Err(format!("account {name} has no credentials"));
        }
        let status = provider.status();
        let from = status.and_then(|status| status.provider);
        let from = from.map_or_else(
            || "an access key by reference".to_owned(),
            |provider| format!("given by {provider}"),
        );
        let until = status.and_then(|status| status.expires);
        let until = until.map_or(String::new(), |at| format!(", good until {at}"));
        self.report
            .ok(Area::Credentials, name, format!("{from}{until}"));
        Ok(Access {
            http,
            provider: Arc::new(provider),
            identity: None,
        })
    }

    async fn identity(
        &mut self,
        account: &AccountConfig,
        access: Access,
    ) -> Result<Access, String> {
        let (name, nonce) = (&account.name, self.nonce());
        let endpoint = match &self.options.sts_endpoint {
            Some(endpoint) => Ok(endpoint.clone()),
            None => account.sts(&self.options.environment),
        };
        let asking = async {
            let used = access
                .provider
                .get()
                .await
                .map_err(|error| told_of_all(&error))?;
            let endpoint = endpoint.map_err(|failure| told(&failure))?;
            let now = clock::now();
            let asked = sts::get_caller_identity(&access.http, &endpoint, &used, now, &nonce).await;
            Ok::<_, (String, String)>(asked)
        };
        let answer = match asking.await {
            Ok(answer) => answer,
            Err((found, remedy)) => {
                self.report.fail(Area::Credentials, name, found, remedy);
                return Err(format!("account {name} has no credentials"));
            }
        };
        match answer {
            Ok(identity) => {
                self.tell(account, &identity);
                Ok(Access {
                    identity: Some(identity),
                    ..access
                })
            }
            Err(failure) if sts::refuses_credentials(&failure) => {
                let (found, remedy) = told(&failure);
                self.report.fail(Area::Credentials, name, found, remedy);
                Err(format!("the credentials of account {name} are refused"))
            }
            Err(failure) => {
                let (found, remedy) = told(&failure);
                let found = format!("whose credentials they are is not known: {found}");
                self.report.warn(Area::Identity, name, found, remedy);
                Ok(access)
            }
        }
    }

    fn tell(&mut self, account: &AccountConfig, identity: &CallerIdentity) {
        let found = format!("{} ({})", identity.arn, identity.identity_type);
        if identity.identity_type == "Account" {
            let remedy = "this key may do everything: make a RAM user or role with a policy of docs/ram-policy.md";
            self.report
                .warn(Area::Identity, &account.name, found, remedy);
        } else {
            self.report.ok(Area::Identity, &account.name, found);
        }
    }

    /// Whether VOD may write into the account's queues.
    pub(super) async fn role(&mut self, account: &AccountConfig) {
        let (name, nonce) = (Arc::clone(&account.name), self.nonce());
        let access = match self.accounts.get(&name) {
            Some(Ok(access)) => access,
            Some(Err(reason)) => return self.report.skip(Area::Role, &name, reason.clone()),
            None => return,
        };
        let asked = match access.provider.get().await {
            Ok(used) => {
                let (http, endpoint) = (&access.http, &self.options.ram_endpoint);
                ram::get_role(http, endpoint, &used, ram::VOD_ROLE, clock::now(), &nonce).await
            }
            Err(error) => return self.report.skip(Area::Role, &name, error.to_string()),
        };
        let authorise = format!(
            "let an administrator confirm the Cloud Resource Access Authorization of VOD (in VOD's console), which makes \
             the role {}",
            ram::VOD_ROLE
        );
        match asked {
            Ok(role) => {
                let services = role.services.unwrap_or_default();
                let is_vod = |service: &String| service.starts_with(VOD_SERVICE);
                if services.is_empty() || services.iter().any(is_vod) {
                    let found = format!("{} is there, by which VOD writes into queues", role.arn);
                    self.report.ok(Area::Role, &name, found);
                } else {
                    let found = format!(
                        "{} may be taken by {} and not by VOD",
                        role.arn,
                        services.join(", ")
                    );
                    self.report.fail(Area::Role, &name, found, authorise);
                }
            }
            Err(Failure::Refused(refusal)) if refusal.code == ram::NO_ROLE => {
                let found = format!(
                    "there is no role {}: VOD may not write into any queue of this account",
                    ram::VOD_ROLE
                );
                self.report.fail(Area::Role, &name, found, authorise);
            }
            Err(failure) => {
                let (found, _) = split(&failure.to_string());
                let remedy = format!(
                    "look in the RAM console for the role {}, or grant ram:GetRole (docs/ram/check.json)",
                    ram::VOD_ROLE
                );
                let found = format!("whether VOD may write into queues is not known: {found}");
                self.report.unknown(Area::Role, &name, found, remedy);
            }
        }
    }
}

/// What was found and what to do.
fn told(failure: &Failure) -> (String, String) {
    let (found, remedy) = split(&failure.to_string());
    (found, remedy.unwrap_or_else(|| PAGE.to_owned()))
}

/// The same; the reasons of a chain are told together.
fn told_of_all(error: &credentials::Error) -> (String, String) {
    let text = error.to_string();
    if let credentials::Error::Chain(_) = error {
        return (text, format!("set up one of them, {PAGE}"));
    }
    let (found, remedy) = split(&text);
    (found, remedy.unwrap_or_else(|| PAGE.to_owned()))
}
