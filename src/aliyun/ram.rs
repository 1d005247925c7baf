//! Resource Access Management, version 2015-05-01: whether a role is there, and who may take it.
//!
//! Facts: Alibaba Cloud documentation `GetRole`.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::credentials::answer::Asked;
use super::credentials::{Credentials, Failure};
use super::rpc;
use crate::clock::UnixMillis;

/// Where RAM is, for all regions.
pub const ENDPOINT: &str = "https://ram.aliyuncs.com";
/// The role by which VOD writes into the queues of an account.
pub const VOD_ROLE: &str = "AliyunVODDefaultRole";
/// RAM's code for a role that is not there.
pub const NO_ROLE: &str = "EntityNotExist.Role";

const TIMEOUT: Duration = Duration::from_secs(5);
const API_VERSION: &str = "2015-05-01";
const REMEDY: &str = "check DNS, firewall and proxy; RAM has no endpoint inside a VPC";

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `acs:ram::{account}:role/{name}`.
    pub arn: String,
    /// The services that may take it; none where RAM did not tell.
    pub services: Option<Vec<String>>,
}

/// Asks RAM at `endpoint` for a role of the account. Needs the action `ram:GetRole`. `nonce` is never used twice.
pub async fn get_role(
    http: &reqwest::Client,
    endpoint: &Url,
    credentials: &Credentials,
    name: &str,
    now: UnixMillis,
    nonce: &str,
) -> Result<Role, Failure> {
    let host = rpc::host_of(endpoint);
    let call = rpc::Call {
        endpoint,
        action: "GetRole",
        version: API_VERSION,
        parameters: &[("RoleName", name.to_owned())],
    };
    let request = call.signed(http, credentials, now, nonce);
    let request = request.map_err(|_| Failure::Malformed {
        place: host.clone(),
        problem: "found credentials with characters that HTTP cannot carry; expected bare values"
            .to_owned(),
    })?;
    let asked = Asked {
        host: &host,
        timeout: TIMEOUT,
        remedy: REMEDY,
        secret: "",
    };
    let answer = asked.ask(request).await?;
    let object = asked.object(&answer, |_| "")?;
    let role = object.get("Role").unwrap_or(&Value::Null);
    let arn = role.get("Arn").and_then(Value::as_str);
    let trust = role.get("AssumeRolePolicyDocument").and_then(Value::as_str);
    Ok(Role {
        arn: arn.unwrap_or_default().to_owned(),
        services: trust.and_then(services),
    })
}

/// The services that a trust policy lets take the role.
fn services(policy: &str) -> Option<Vec<String>> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let statements = policy.get("Statement")?.as_array()?;
    let allowing = statements
        .iter()
        .filter(|statement| statement.get("Effect").and_then(Value::as_str) == Some("Allow"));
    let services = allowing.filter_map(|statement| statement.get("Principal")?.get("Service"));
    let names = services.flat_map(|services| match services {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect::<Vec<_>>(),
    });
    Some(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_those_that_may_take_the_role() {
        let policy = r#"{"Version": "1", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["vod.aliyuncs.com", "b"]}},
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "c"}},
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": ["acs:ram::1:root"]}},
            {"Effect": "Deny", "Action": "sts:AssumeRole", "Principal": {"Service": ["d"]}}]}"#;
        let expected = ["vod.aliyuncs.com", "b", "c"].map(str::to_owned);
        assert_eq!(services(policy), Some(expected.to_vec()));
        assert_eq!(services("{}"), None);
        assert_eq!(services("no JSON"), None);
    }
}
