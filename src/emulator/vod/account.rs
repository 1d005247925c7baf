//! What STS tells of the caller and RAM of the account's roles.
//!
//! Facts: Alibaba Cloud documentation `GetCallerIdentity` and `GetRole`.

use serde_json::{Value, json};

use super::Refusal;
use crate::emulator::core::Credentials;

/// The role that lets VOD write into the queues of an account.
pub const DEFAULT_ROLE: &str = "AliyunVODDefaultRole";

/// Who calls: a RAM user, or with a security token somebody who took a role.
pub(super) fn caller(account: &str, credentials: &Credentials) -> Value {
    let (kind, path) = match credentials.security_token {
        Some(_) => ("AssumedRoleUser", "assumed-role/emulator/session"),
        None => ("RAMUser", "user/emulator"),
    };
    json!({
        "IdentityType": kind,
        "AccountId": account,
        "PrincipalId": "216959339000000001",
        "UserId": "216959339000000001",
        "Arn": format!("acs:ram::{account}:{path}"),
    })
}

/// A role of the account, which VOD may take.
pub(super) fn role(account: &str, roles: &[String], name: &str) -> Result<Value, Refusal> {
    if !roles.iter().any(|role| role.eq_ignore_ascii_case(name)) {
        return Err(Refusal {
            status: 404,
            code: "EntityNotExist.Role",
            message: "The role not exists.",
        });
    }
    let trust = json!({
        "Version": "1",
        "Statement": [{
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": ["vod.aliyuncs.com"]},
        }],
    });
    Ok(json!({"Role": {
        "RoleName": name,
        "Arn": format!("acs:ram::{account}:role/{}", name.to_lowercase()),
        "AssumeRolePolicyDocument": trust.to_string(),
    }}))
}
