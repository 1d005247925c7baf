//! Who calls, and when.

use super::Refusal;
use crate::aliyun::sign::{self, acs3};
use crate::clock::UnixMillis;
use crate::emulator::core::Credentials;
use crate::emulator::wire::Call;

const MAX_SKEW_MILLIS: i64 = 15 * 60 * 1000;

/// Headers that must be signed.
const SIGNED: [&str; 6] = [
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
];

/// Refuses what the service refuses before it looks at the operation.
pub(super) fn verify(
    call: &Call,
    credentials: &Credentials,
    now: UnixMillis,
    version: &str,
) -> Result<(), Refusal> {
    let given = call.header("authorization").unwrap_or_default();
    let parsed = parse(given).ok_or(refusal(
        400,
        "IncompleteSignature",
        "The request signature does not conform to Aliyun standards.",
    ))?;
    if call.header("x-acs-version") != Some(version) {
        return Err(refusal(
            400,
            "InvalidVersion",
            "Specified parameter Version is not valid.",
        ));
    }
    let date = call
        .header("x-acs-date")
        .and_then(|date| date.parse::<jiff::Timestamp>().ok());
    let fresh = date.is_some_and(|date| {
        UnixMillis(date.as_millisecond()).millis_since(now).abs() <= MAX_SKEW_MILLIS
    });
    if !fresh {
        return Err(refusal(
            400,
            "InvalidTimeStamp.Expired",
            "Specified time stamp or date value is expired.",
        ));
    }
    let (id, signed) = parsed;
    if id != credentials.access_key_id {
        return Err(refusal(
            404,
            "InvalidAccessKeyId.NotFound",
            "Specified access key is not found.",
        ));
    }
    if let Some(token) = &credentials.security_token
        && call.header("x-acs-security-token") != Some(token.as_str())
    {
        return Err(refusal(
            400,
            "InvalidSecurityToken.Mismatch",
            "Specified SecurityToken is mismatched with the access key.",
        ));
    }
    if expected(call, credentials, &signed) == Some(given.to_owned()) {
        Ok(())
    } else {
        Err(refusal(
            400,
            "SignatureDoesNotMatch",
            "Specified signature is not matched with our calculation.",
        ))
    }
}

const fn refusal(status: u16, code: &'static str, message: &'static str) -> Refusal {
    Refusal {
        status,
        code,
        message,
    }
}

/// The access key's id and the names of the signed headers.
fn parse(text: &str) -> Option<(&str, Vec<&str>)> {
    let rest = text.strip_prefix("ACS3-HMAC-SHA256 Credential=")?;
    let (id, rest) = rest.split_once(",SignedHeaders=")?;
    let (signed, _) = rest.split_once(",Signature=")?;
    Some((id, signed.split(';').collect()))
}

/// None where a header that must be signed is not, or the body is not the one that was signed.
fn expected(call: &Call, credentials: &Credentials, signed: &[&str]) -> Option<String> {
    let hash = acs3::payload_hash(&call.body);
    if call.header("x-acs-content-sha256") != Some(hash.as_str())
        || !SIGNED.iter().all(|name| signed.contains(name))
    {
        return None;
    }
    let headers: Option<Vec<(&str, &str)>> = signed
        .iter()
        .map(|name| Some((*name, call.header(name)?)))
        .collect();
    let request = sign::Request {
        method: &call.method,
        target: &call.target,
        headers: &headers?,
    };
    Some(acs3::authorization(
        &request,
        &hash,
        &credentials.access_key_id,
        &credentials.access_key_secret,
    ))
}
