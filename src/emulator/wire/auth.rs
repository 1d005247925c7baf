//! Who calls, and when: dates, signatures and tokens, checked against the raw request target.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::Call;
use crate::aliyun::sign;
use crate::clock::UnixMillis;
use crate::emulator::behaviour::{Behaviour, ContentMd5};
use crate::emulator::core::{Core, Shared};
use crate::emulator::error::ApiError;
use crate::emulator::faults::Fault;

/// How far a request's date may be from the server's, by the vendor's documentation.
const MAX_SKEW_MILLIS: i64 = 15 * 60 * 1000;

/// A parsed `Authorization` value.
enum Authorization<'a> {
    V2 { id: &'a str },
    V4 { id: &'a str, region: &'a str },
}

/// Refuses what the service refuses before it looks at the operation.
pub(super) fn verify(
    call: &Call,
    core: &Core,
    shared: &Shared,
    judge: Option<Fault>,
) -> Result<(), ApiError> {
    let given = call.header("authorization").ok_or_else(|| {
        ApiError::new(
            400,
            "MissingAuthorizationHeader",
            "Authorization Header is required.",
        )
    })?;
    let authorization = parse_authorization(given)
        .filter(|parsed| {
            matches!(parsed, Authorization::V2 { .. }) || core.behaviour.accept_signature_v4
        })
        .ok_or_else(|| {
            ApiError::new(
                400,
                "InvalidAuthorizationHeader",
                "The Authorization header format is invalid.",
            )
        })?;
    let date = check_date(call, judged_at(shared, &core.behaviour, judge))?;
    check_version(call)?;
    let credentials = &core.credentials;
    let (Authorization::V2 { id } | Authorization::V4 { id, .. }) = authorization;
    if id != credentials.access_key_id {
        return Err(ApiError::invalid_access_key_id());
    }
    if let Some(expected) = &credentials.security_token {
        check_token(call.header("security-token"), expected, &core.behaviour)?;
    }
    let expected = expected_signature(call, core, &authorization, date);
    if given != expected {
        return Err(ApiError::signature_does_not_match());
    }
    if let Authorization::V4 { region, .. } = authorization
        && shared.region.as_deref().is_some_and(|own| own != region)
    {
        return Err(ApiError::signature_does_not_match());
    }
    if core.behaviour.verify_content_md5 {
        check_content_md5(call, core.behaviour.content_md5_form)?;
    }
    Ok(())
}

/// 403 for a token that was valid once.
pub(super) fn expired_token(behaviour: &Behaviour) -> ApiError {
    ApiError::new(
        403,
        behaviour.expired_token_code.clone(),
        "The security token you provided has expired.",
    )
}

fn judged_at(shared: &Shared, behaviour: &Behaviour, judge: Option<Fault>) -> UnixMillis {
    let clock = shared.clock.judging(behaviour);
    match judge {
        Some(Fault::JudgeSkew { millis }) => UnixMillis(clock.0.saturating_add(millis)),
        _ => clock,
    }
}

fn parse_authorization(text: &str) -> Option<Authorization<'_>> {
    if let Some(rest) = text.strip_prefix("MNS4-HMAC-SHA256 ") {
        let scope = rest.strip_prefix("Credential=")?;
        let (scope, _) = scope.split_once(",Signature=")?;
        let mut parts = scope.split('/');
        let (id, _day, region) = (parts.next()?, parts.next()?, parts.next()?);
        return Some(Authorization::V4 { id, region });
    }
    let (id, signature) = text.strip_prefix("MNS ")?.split_once(':')?;
    (!id.is_empty() && !signature.is_empty()).then_some(Authorization::V2 { id })
}

fn check_date(call: &Call, clock: UnixMillis) -> Result<UnixMillis, ApiError> {
    let text = call
        .header("x-mns-date")
        .or_else(|| call.header("date"))
        .ok_or_else(|| ApiError::new(400, "MissingDateHeader", "Date Header is required."))?;
    let date = UnixMillis::parse_http_date(text)
        .ok_or_else(|| ApiError::new(400, "InvalidDateHeader", "The Date header is invalid."))?;
    if date.millis_since(clock).abs() > MAX_SKEW_MILLIS {
        return Err(ApiError::time_expired());
    }
    Ok(date)
}

fn check_version(call: &Call) -> Result<(), ApiError> {
    match call.header("x-mns-version") {
        Some("2015-06-06") => Ok(()),
        Some(_) => Err(ApiError::new(
            400,
            "InvalidVersionHeader",
            "The x-mns-version header is invalid.",
        )),
        None => Err(ApiError::new(
            400,
            "MissingVersionHeader",
            "The x-mns-version header is required.",
        )),
    }
}

fn check_token(given: Option<&str>, expected: &str, behaviour: &Behaviour) -> Result<(), ApiError> {
    match given {
        Some(token) if token == expected => Ok(()),
        Some(_) => Err(expired_token(behaviour)),
        None => Err(ApiError::new(
            403,
            behaviour.missing_token_code.clone(),
            "The AccessKey Id you provided is temporary and needs its security token.",
        )),
    }
}

fn expected_signature(
    call: &Call,
    core: &Core,
    authorization: &Authorization<'_>,
    date: UnixMillis,
) -> String {
    let headers: Vec<(&str, &str)> = call
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let mut request = sign::Request {
        method: &call.method,
        target: &call.target,
        headers: &headers,
    };
    let decoded = sign::percent_decode(&call.target);
    let credentials = &core.credentials;
    let (id, secret) = (&credentials.access_key_id, &credentials.access_key_secret);
    match authorization {
        Authorization::V2 { .. } => {
            if core.behaviour.sign_decoded_target {
                request.target = &decoded;
            }
            sign::v2(&request, id, secret)
        }
        Authorization::V4 { region, .. } => {
            let basic = date
                .timestamp()
                .map(|at| at.strftime("%Y%m%dT%H%M%SZ").to_string());
            sign::v4(&request, id, secret, region, &basic.unwrap_or_default())
        }
    }
}

/// The SDKs send base64 of the hex text rather than of the digest; both are right.
fn check_content_md5(call: &Call, form: ContentMd5) -> Result<(), ApiError> {
    let Some(given) = call.header("content-md5").filter(|given| !given.is_empty()) else {
        return Ok(());
    };
    let digest = Md5::digest(&call.body);
    let hex = form != ContentMd5::Digest && given == STANDARD.encode(sign::hex(&digest));
    if hex || form != ContentMd5::Hex && given == STANDARD.encode(digest) {
        Ok(())
    } else {
        Err(ApiError::new(
            400,
            "InvalidDegist",
            "The Content-MD5 you specified is invalid.",
        ))
    }
}
