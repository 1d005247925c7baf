//! Which provider is asked: the one that the config names, or the vendor's default chain in its order.
//!
//! Facts: Alibaba Cloud documentation "Manage access credentials", default credential provider chain.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::answer::Grant;
use super::environment::{
    CREDENTIALS_URI, Environment, OIDC_PROVIDER_ARN, OIDC_TOKEN_FILE, ROLE_ARN, ROLE_SESSION_NAME,
};
use super::plan::{DEFAULT_DURATION_SECS, Plan, SESSION};
use super::sts::{self, Role};
use super::{Context, Error, Failure, Lookup, ProviderName, cli_profile, ecs, ini};

/// Providers in the order in which they are asked.
#[derive(Debug)]
pub(super) struct Chain {
    named: Option<ProviderName>,
    lookup: Lookup,
    /// One more than the place of the provider that gave credentials; 0 before the first success.
    ///
    /// Later ones are not asked any more: a provider that fails for a while must not hand the queues over to another
    /// identity. Earlier ones are, so that one that was down at the start comes into its own.
    reach: AtomicUsize,
}

/// Credentials and how they came about.
#[derive(Debug)]
pub(super) struct Obtained {
    pub(super) grant: Grant,
    pub(super) provider: ProviderName,
    /// Providers that are set up and failed before.
    pub(super) passed_over: Vec<(ProviderName, Failure)>,
}

// === impl Chain ===

impl Chain {
    pub(super) fn new(named: Option<ProviderName>, lookup: Lookup) -> Self {
        Self {
            named,
            lookup,
            reach: AtomicUsize::new(0),
        }
    }

    /// What can be said without asking anybody: a named provider is set up, or one of the chain may be.
    pub(super) fn check(&self, environment: &Environment) -> Result<(), Error> {
        let mut failures = Vec::new();
        for provider in self.providers() {
            let plan = self.plan(*provider, environment);
            match plan.and_then(|plan| match plan {
                Plan::Oidc { token_file, .. } => sts::read_token(&token_file).map(drop),
                _ => Ok(()),
            }) {
                Err(failure) if failure.is_absent() || self.named.is_some() => {
                    failures.push((*provider, failure));
                }
                // Another one may do.
                Ok(()) | Err(_) => return Ok(()),
            }
        }
        Err(self.error(failures))
    }

    pub(super) async fn obtain(&self, context: &Context) -> Result<Obtained, Error> {
        let providers = self.providers();
        let reach = match self.reach.load(Ordering::Relaxed) {
            0 => providers.len(),
            reach => reach,
        };
        let mut failures = Vec::new();
        for (index, provider) in providers.iter().take(reach).enumerate() {
            let granted = match self.plan(*provider, &context.environment) {
                Ok(plan) => plan.carry_out(context).await,
                Err(failure) => Err(failure),
            };
            match granted {
                Ok(grant) => {
                    self.reach.store(index + 1, Ordering::Relaxed);
                    failures.retain(|(_, failure): &(_, Failure)| !failure.is_absent());
                    return Ok(Obtained {
                        grant,
                        provider: *provider,
                        passed_over: failures,
                    });
                }
                Err(failure) => failures.push((*provider, failure)),
            }
        }
        Err(self.error(failures))
    }

    fn providers(&self) -> &[ProviderName] {
        match &self.named {
            Some(named) => std::slice::from_ref(named),
            None => &ProviderName::ALL,
        }
    }

    fn error(&self, mut failures: Vec<(ProviderName, Failure)>) -> Error {
        match (self.named, failures.pop()) {
            (Some(provider), Some((_, failure))) => Error::Named {
                provider,
                failure: failure.into(),
            },
            (_, last) => {
                failures.extend(last);
                Error::Chain(failures.into())
            }
        }
    }

    fn plan(&self, provider: ProviderName, environment: &Environment) -> Result<Plan, Failure> {
        let lookup = &self.lookup;
        match provider {
            ProviderName::Environment => Ok(Plan::Keys {
                credentials: environment.access_key()?,
                reread: false,
            }),
            ProviderName::Oidc => oidc(lookup, environment),
            ProviderName::CliProfile => cli_profile::plan(lookup, environment),
            ProviderName::Ini => ini::plan(lookup, environment),
            ProviderName::Ecs => ecs::plan(None, lookup, environment),
            ProviderName::Uri => uri(lookup, environment),
        }
    }
}

/// RRSA: the role of a pod's service account.
fn oidc(lookup: &Lookup, environment: &Environment) -> Result<Plan, Failure> {
    let options = [
        &lookup.role_arn,
        &lookup.oidc_provider_arn,
        &lookup.oidc_token_file,
    ];
    let names = [ROLE_ARN, OIDC_PROVIDER_ARN, OIDC_TOKEN_FILE];
    let values: Vec<Option<&str>> = options
        .iter()
        .zip(names)
        .map(|(option, name)| option.as_deref().or_else(|| environment.get(name)))
        .collect();
    let [Some(role_arn), Some(provider_arn), Some(token_file)] = values[..] else {
        let keys = ["role_arn", "oidc_provider_arn", "oidc_token_file"];
        let missing: Vec<String> = keys
            .iter()
            .zip(names)
            .zip(&values)
            .filter(|(_, value)| value.is_none())
            .map(|((key, name), _)| format!("{name} (option `{key}`)"))
            .collect();
        let text = missing.join(", ");
        return Err(if missing.len() == names.len() {
            Failure::Absent(format!("{text} are not set"))
        } else {
            Failure::Incomplete(format!("found only a part: set {text}, too"))
        });
    };
    let session = environment.get(ROLE_SESSION_NAME).unwrap_or(SESSION);
    Ok(Plan::Oidc {
        role: Role {
            arn: role_arn.to_owned(),
            session: session.to_owned(),
            duration_secs: DEFAULT_DURATION_SECS,
            policy: None,
            external_id: None,
        },
        provider_arn: provider_arn.to_owned(),
        token_file: token_file.into(),
        sts: match &lookup.sts_endpoint {
            Some(endpoint) => endpoint.clone(),
            None => sts::endpoint(environment, None, None)?,
        },
    })
}

fn uri(lookup: &Lookup, environment: &Environment) -> Result<Plan, Failure> {
    if let Some(uri) = &lookup.credentials_uri {
        return Ok(Plan::Uri(uri.clone()));
    }
    let text = environment.get(CREDENTIALS_URI).ok_or_else(|| {
        Failure::Absent(format!(
            "{CREDENTIALS_URI} (option `credentials_uri`) is not set"
        ))
    })?;
    let uri = url::Url::parse(text).ok();
    let uri = uri.filter(|uri| matches!(uri.scheme(), "http" | "https") && uri.has_host());
    uri.map(Plan::Uri).ok_or_else(|| {
        let problem = "found a text that is no http or https URL (not shown), expected one such as \
                       `http://localhost:8080/credentials`";
        Failure::malformed(CREDENTIALS_URI, problem)
    })
}

#[cfg(test)]
mod tests {
    use super::super::environment::ECS_METADATA_DISABLED;
    use super::*;

    #[test]
    fn a_chain_in_which_nothing_can_be_set_up_is_known_at_the_start() {
        let chain = Chain::new(None, Lookup::default());
        let nothing = Environment::of_values(&[(ECS_METADATA_DISABLED, "true")]);
        let text = chain.check(&nothing).unwrap_err().to_string();
        for provider in ProviderName::ALL {
            assert!(
                text.contains(&format!(") {provider}: ")),
                "{provider}: {text}"
            );
        }
        assert!(chain.check(&Environment::default()).is_ok(), "perhaps ECS");
    }
}
