//! How to come by credentials, once it is known what is set up.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::answer::{Asked, Grant};
use super::ecs::Metadata;
use super::sts::{self, Role};
use super::{Context, Credentials, Failure};
use crate::aliyun::rpc;

const URI_TIMEOUT: Duration = Duration::from_secs(5);

/// Shortest and default time that a role is taken for.
pub(super) const MIN_DURATION_SECS: u64 = 900;
pub(super) const DEFAULT_DURATION_SECS: u64 = 3_600;
/// How the exporter calls itself towards STS.
pub(super) const SESSION: &str = "vod-callback-exporter";

/// What to do.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// They stand there.
    Keys {
        credentials: Credentials,
        /// In a file, which may change.
        reread: bool,
    },
    /// Take a role with other credentials.
    Assume {
        source: Box<Self>,
        role: Role,
        sts: Url,
    },
    /// Take a role with an OIDC token.
    Oidc {
        role: Role,
        provider_arn: String,
        token_file: PathBuf,
        sts: Url,
    },
    /// Ask the metadata service.
    Ecs(Metadata),
    /// Ask a service that hands out credentials.
    Uri(Url),
}

// === impl Plan ===

impl Plan {
    pub(super) async fn carry_out(&self, context: &Context) -> Result<Grant, Failure> {
        let clock = &*context.clock;
        match self {
            Self::Keys {
                credentials,
                reread,
            } => Ok(Grant {
                credentials: credentials.clone(),
                expires: None,
                lifetime: None,
                reread: *reread,
            }),
            Self::Assume { source, role, sts } => {
                let source = Box::pin(source.carry_out(context)).await?;
                let nonce = context.nonce();
                sts::assume_role(&context.http, sts, role, &source.credentials, clock, &nonce).await
            }
            Self::Oidc {
                role,
                provider_arn,
                token_file,
                sts,
            } => {
                let http = &context.http;
                sts::assume_role_with_oidc(http, sts, role, provider_arn, token_file, clock).await
            }
            Self::Ecs(metadata) => metadata.ask(&context.direct, clock).await,
            Self::Uri(uri) => ask_uri(uri, context).await,
        }
    }
}

/// Facts: Alibaba Cloud documentation "Manage access credentials", credentials URI.
async fn ask_uri(uri: &Url, context: &Context) -> Result<Grant, Failure> {
    let host = rpc::host_of(uri);
    let asked = Asked {
        host: &host,
        timeout: URI_TIMEOUT,
        remedy: "check ALIBABA_CLOUD_CREDENTIALS_URI, and that the service behind it runs",
        secret: "",
    };
    let answer = asked.ask(context.direct.get(uri.clone())).await?;
    let object = asked.object(
        &answer,
        |_| "see the log of the service behind the credentials URI",
    )?;
    asked.grant(&answer, &object, (context.clock)())
}
