//! The Security Token Service, version 2015-04-01: roles for tokens, and who somebody is.
//!
//! Facts: Alibaba Cloud documentation `AssumeRoleWithOIDC`, `AssumeRole` and `GetCallerIdentity`.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;
use url::Url;

use super::answer::{Asked, Grant};
use super::environment::{Environment, STS_REGION, VPC_ENDPOINT_ENABLED};
use super::{Clock, Credentials, Failure};
use crate::aliyun::rpc;
use crate::clock::UnixMillis;

const TIMEOUT: Duration = Duration::from_secs(10);
const API_VERSION: &str = "2015-04-01";
const REMEDY: &str = "check DNS, firewall and proxy; in a VPC without a way out set ALIBABA_CLOUD_STS_REGION and \
                      ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED=true";
/// The longest token that STS takes.
const MAX_TOKEN: usize = 20_000;
/// So much of a token is enough to know it by.
const SECRET_START: usize = 16;

/// A role and how to take it.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session: String,
    /// For how long; STS takes 900 to the role's own maximum.
    pub(super) duration_secs: u64,
    pub(super) policy: Option<String>,
    pub(super) external_id: Option<String>,
}

/// Who credentials belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The Alibaba Cloud account, a number.
    pub account_id: String,
    /// `acs:ram::{account}:user/{name}`, `acs:ram::{account}:assumed-role/{role}/{session}` or `acs:ram::{account}:root`.
    pub arn: String,
    /// `Account`, `RAMUser` or `AssumedRoleUser`.
    pub identity_type: String,
    /// The vendor's id of the identity.
    pub principal_id: String,
}

/// Asks STS at `endpoint` whom `credentials` belong to. Needs no permission. `nonce` is never used twice.
pub async fn get_caller_identity(
    http: &reqwest::Client,
    endpoint: &Url,
    credentials: &Credentials,
    now: UnixMillis,
    nonce: &str,
) -> Result<CallerIdentity, Failure> {
    let host = rpc::host_of(endpoint);
    let call = rpc::Call {
        endpoint,
        action: "GetCallerIdentity",
        version: API_VERSION,
        parameters: &[],
    };
    let request = call.signed(http, credentials, now, nonce);
    let asked = asked(&host);
    let answer = asked.ask(sendable(request, &host)?).await?;
    let object = asked.object(&answer, |code| remedy_of_caller(answer.status, code))?;
    let text = |name: &str| {
        let value = object.get(name).and_then(Value::as_str);
        value.map(str::to_owned).ok_or_else(|| {
            let problem = format!("found no {name} in the answer to GetCallerIdentity");
            Failure::malformed(&host, problem)
        })
    };
    Ok(CallerIdentity {
        account_id: text("AccountId")?,
        arn: text("Arn")?,
        identity_type: text("IdentityType")?,
        principal_id: text("PrincipalId")?,
    })
}

/// Where STS is, by the environment: the region and the network that it names, or the endpoint of all regions.
pub fn endpoint_of(environment: &Environment) -> Result<Url, Failure> {
    endpoint(environment, None, None)
}

/// Where STS is: the region and the network that `region` and `vpc` or else the environment name.
pub(super) fn endpoint(
    environment: &Environment,
    region: Option<&str>,
    vpc: Option<bool>,
) -> Result<Url, Failure> {
    let Some(region) = region.or_else(|| environment.get(STS_REGION)) else {
        return parsed("https://sts.aliyuncs.com", "");
    };
    let prefix = match vpc.unwrap_or_else(|| environment.is_true(VPC_ENDPOINT_ENABLED)) {
        true => "sts-vpc",
        false => "sts",
    };
    let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let text = format!("https://{prefix}.{region}.aliyuncs.com");
    parsed(
        if region.bytes().all(is_label) {
            &text
        } else {
            ""
        },
        region,
    )
}

fn parsed(text: &str, region: &str) -> Result<Url, Failure> {
    Url::parse(text).map_err(|_| {
        let problem = format!("found {region:?}, expected a region such as cn-shanghai");
        Failure::malformed(STS_REGION, problem)
    })
}

/// Takes a role with the token in a file, which is read each time: the kubelet renews it there.
pub(super) async fn assume_role_with_oidc(
    http: &reqwest::Client,
    endpoint: &Url,
    role: &Role,
    provider_arn: &str,
    token_file: &Path,
    clock: &Clock,
) -> Result<Grant, Failure> {
    let (host, token) = (rpc::host_of(endpoint), read_token(token_file)?);
    let secret = token.get(..SECRET_START).unwrap_or(&token).to_owned();
    let query = rpc::encoded(&[
        ("Action", "AssumeRoleWithOIDC".to_owned()),
        ("Format", "JSON".to_owned()),
        ("Timestamp", rpc::utc_seconds(clock())),
        ("Version", API_VERSION.to_owned()),
    ]);
    // In the body: a query ends up in the logs of proxies.
    let mut form = role.parameters();
    form.push(("OIDCProviderArn", provider_arn.to_owned()));
    form.push(("OIDCToken", token));
    let request = http
        .post(rpc::url_with(endpoint, &query))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .body(rpc::encoded(&form));
    let asked = Asked {
        secret: &secret,
        ..asked(&host)
    };
    granted(asked, request, clock).await
}

/// Takes a role with other credentials.
pub(super) async fn assume_role(
    http: &reqwest::Client,
    endpoint: &Url,
    role: &Role,
    credentials: &Credentials,
    clock: &Clock,
    nonce: &str,
) -> Result<Grant, Failure> {
    let (host, parameters) = (rpc::host_of(endpoint), role.parameters());
    let call = rpc::Call {
        endpoint,
        action: "AssumeRole",
        version: API_VERSION,
        parameters: &parameters,
    };
    let request = call.signed(http, credentials, clock(), nonce);
    granted(asked(&host), sendable(request, &host)?, clock).await
}

async fn granted(
    asked: Asked<'_>,
    request: reqwest::RequestBuilder,
    clock: &Clock,
) -> Result<Grant, Failure> {
    let answer = asked.ask(request).await?;
    let object = asked.object(&answer, |code| remedy_of_role(answer.status, code))?;
    let credentials = object.get("Credentials").unwrap_or(&Value::Null);
    asked.grant(&answer, credentials, clock())
}

/// The token, which the kubelet may be writing just now.
pub(super) fn read_token(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::unreadable(path, &error))?;
    let token = text.trim();
    let is_token = |byte: u8| byte.is_ascii_graphic();
    if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(is_token) {
        let problem = format!(
            "found {} bytes that are no OIDC token, expected one as the kubelet projects it; check the volume",
            text.len()
        );
        return Err(Failure::malformed(path.display().to_string(), problem));
    }
    Ok(token.to_owned())
}

fn asked(host: &str) -> Asked<'_> {
    Asked {
        host,
        timeout: TIMEOUT,
        remedy: REMEDY,
        secret: "",
    }
}

fn sendable(
    request: Result<reqwest::RequestBuilder, rpc::Unsendable>,
    host: &str,
) -> Result<reqwest::RequestBuilder, Failure> {
    let problem = "found credentials with characters that HTTP cannot carry; expected bare values";
    request.map_err(|_| Failure::malformed(host, problem))
}

/// What to do where a role is not given.
fn remedy_of_role(status: u16, code: &str) -> &'static str {
    let has = |part| code.contains(part);
    if has("OIDCToken") && has("Expired") {
        "the OIDC token in the file has expired: see why the kubelet does not renew it (is the file the projected volume, \
         not a copy?), and synchronise the clock (NTP)"
    } else if has("OIDCToken") || has("Audience") || has("Issuer") {
        "check that the token's audience and issuer are those of the OIDC provider in RAM"
    } else if has("OIDCProvider") {
        "check the ARN of the OIDC provider (acs:ram::ACCOUNT:oidc-provider/NAME)"
    } else if let Some(remedy) = remedy_of_any(status, code) {
        remedy
    } else if has("Role") {
        "check the role's ARN (acs:ram::ACCOUNT:role/NAME) and that the role exists in that account"
    } else if is_denial(code) {
        "the role's trust policy must let this identity (for OIDC: provider, service account and audience) assume it"
    } else if has("Throttling") {
        "it is asked again; share one account between queues"
    } else {
        ""
    }
}

/// What to do where it is not told who somebody is.
fn remedy_of_caller(status: u16, code: &str) -> &'static str {
    if let Some(remedy) = remedy_of_any(status, code) {
        remedy
    } else if is_denial(code) {
        "GetCallerIdentity needs no permission: see which policy (of RAM, or a control policy of the resource directory) \
         denies it"
    } else if code.contains("Throttling") {
        "try again in a minute: STS limits how often it is asked"
    } else {
        ""
    }
}

/// What to do whatever was asked, where that is known.
fn remedy_of_any(status: u16, code: &str) -> Option<&'static str> {
    let has = |part| code.contains(part);
    let remedy = if has("SecurityToken") {
        "the temporary key has expired or its token is not its own: renew both"
    } else if has("InvalidAccessKeyId") {
        "check the access key id; a temporary key also needs its security token"
    } else if has("Signature") {
        "check the access key secret; a proxy must not change the request or its Host"
    } else if has("TimeStamp") {
        "STS accepts at most 15 min: synchronise the clock (NTP)"
    } else if status >= 500 {
        "try again; STS answers so while it is in trouble itself"
    } else if code.is_empty() {
        "see what answers there, a proxy perhaps: a refusal of STS has a Code"
    } else {
        return None;
    };
    Some(remedy)
}

/// Whether a code says that the credentials are known, and may not do this.
fn is_denial(code: &str) -> bool {
    let has = |part| code.contains(part);
    (has("NoPermission") || has("Forbidden") || has("Denied")) && !has("AccessKey")
}

/// Whether [`get_caller_identity`] failed because the credentials are no good, and not because they may not ask, or
/// because STS or something before it is in trouble.
pub fn refuses_credentials(failure: &Failure) -> bool {
    let Failure::Refused(refusal) = failure else {
        return false;
    };
    let code = refusal.code.as_str();
    let is_other = code.is_empty() || code.starts_with("Throttling") || is_denial(code);
    refusal.status < 500 && !is_other
}

// === impl Role ===

impl Role {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("DurationSeconds", self.duration_secs.to_string()),
            ("RoleArn", self.arn.clone()),
            ("RoleSessionName", self.session.clone()),
        ];
        let optional = [("ExternalId", &self.external_id), ("Policy", &self.policy)];
        let given = optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)));
        parameters.extend(given);
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_that_of_the_region_and_the_network() {
        let (region, vpc) = ((STS_REGION, "cn-shanghai"), (VPC_ENDPOINT_ENABLED, "true"));
        for (values, host) in [
            (&[][..], "sts.aliyuncs.com"),
            (&[vpc], "sts.aliyuncs.com"),
            (&[region], "sts.cn-shanghai.aliyuncs.com"),
            (&[region, vpc], "sts-vpc.cn-shanghai.aliyuncs.com"),
        ] {
            let endpoint = endpoint_of(&Environment::of_values(values)).unwrap();
            assert_eq!(endpoint.as_str(), format!("https://{host}/"));
        }
        let evil = Environment::of_values(&[(STS_REGION, "x.evil.example/")]);
        assert_eq!(endpoint_of(&evil).unwrap_err().kind(), "malformed");
    }
}
