//! VOD's API over the media of a simulated platform: the read-only calls that tell what became of a transcode. Beside it
//! what STS and RAM tell of the caller and its account.
//!
//! It shares the listener with MNS and is told apart by the `x-acs-action` header or the `Action` parameter of requests
//! for `/`. Signatures are verified as version 3 (`ACS3-HMAC-SHA256`); the vendor's SDK is the judge of that.

mod account;
mod auth;
mod library;
mod perform;

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

pub use self::account::DEFAULT_ROLE;
pub use self::library::{CallbackSettings, Job, Media, Outcome, Task};

pub(super) use self::library::Library;

use super::core::{Core, Shared};
use super::faults::{Fault, Operation, Phase};
use super::wire::{self, Answer, Call, Payload};
use crate::aliyun::sign::percent_decode;
use crate::clock::UnixMillis;

const JSON: &str = "application/json;charset=utf-8";

/// A refusal of VOD.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    status: u16,
    code: &'static str,
    message: &'static str,
}

/// Which operation a request is, if it is one of VOD's API.
pub(super) fn action(call: &Call) -> Option<String> {
    let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
    if path != "/" {
        return None;
    }
    call.header("x-acs-action")
        .map(ToOwned::to_owned)
        .or_else(|| parameter(query, "Action"))
}

/// Handles one request, faults included.
pub(super) async fn handle(shared: &Shared, call: &Call, action: &str) -> wire::Outcome {
    let operation = match action {
        "GetTranscodeSummary" => Operation::GetTranscodeSummary,
        "GetVideoInfos" => Operation::GetVideoInfos,
        "GetVideoList" => Operation::GetVideoList,
        "GetMessageCallback" => Operation::GetMessageCallback,
        "GetCallerIdentity" => Operation::GetCallerIdentity,
        "GetRole" => Operation::GetRole,
        _ => Operation::Unknown,
    };
    let (outcome, delay) = {
        let mut core = shared.core();
        let core = &mut *core;
        let now = shared.clock.now();
        let judged_by = shared.clock.judging(&core.behaviour);
        let fault = core.faults.draw(Phase::Before, operation, None);
        if fault == Some(Fault::ResetBefore) {
            core.count_call(operation, "reset".into());
            return wire::Outcome::Reset;
        }
        let result = fault
            .and_then(refusal_of)
            .map_or(Ok(()), Err)
            .and_then(|()| auth::verify(call, &core.credentials, judged_by, version(operation)))
            .and_then(|()| perform(shared, core, call, operation, now));
        let code = result
            .as_ref()
            .map_or_else(|refusal| refusal.code, |_| "OK");
        core.count_call(operation, code.into());
        let request_id = core.request_id();
        let after = core.faults.draw(Phase::After, operation, None);
        let delay = core.faults.draw(Phase::Delay, operation, None);
        let (status, body) = render(result, &request_id, call.header("host"));
        let answer = Answer {
            status,
            content_type: JSON,
            location: None,
            request_id,
            date: now,
            payload: Payload::Whole(Bytes::from(body.to_string())),
        };
        (wire::spoil(answer, after), delay)
    };
    if let Some(Fault::Slow { millis }) = delay {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    outcome
}

/// The version of the API that the operation belongs to.
fn version(operation: Operation) -> &'static str {
    match operation {
        Operation::GetCallerIdentity => "2015-04-01",
        Operation::GetRole => "2015-05-01",
        _ => "2017-03-21",
    }
}

fn perform(
    shared: &Shared,
    core: &Core,
    call: &Call,
    operation: Operation,
    now: UnixMillis,
) -> Result<Value, Refusal> {
    let (_, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
    let role = parameter(query, "RoleName").unwrap_or_default();
    if !core.permits(operation, &role, &shared.owner) {
        return Err(Refusal::denied(operation));
    }
    let account = shared.owner.split_once(':').map_or("", |(_, id)| id);
    match operation {
        Operation::GetCallerIdentity => Ok(account::caller(account, &core.credentials)),
        Operation::GetRole => account::role(account, &core.roles, &role),
        _ => perform::perform(&core.vod, operation, query, now),
    }
}

fn refusal_of(fault: Fault) -> Option<Refusal> {
    let refusal = |status, code, message| {
        Some(Refusal {
            status,
            code,
            message,
        })
    };
    match fault {
        Fault::TooManyRequests => refusal(
            400,
            "Throttling.User",
            "Request was denied due to user flow control.",
        ),
        Fault::AccessDenied => Some(Refusal::denied(Operation::Unknown)),
        Fault::ExpiredToken => refusal(
            400,
            "InvalidSecurityToken.Expired",
            "Specified SecurityToken is expired.",
        ),
        Fault::InternalError => refusal(
            500,
            "InternalError",
            "The request processing has failed due to some unknown error.",
        ),
        Fault::ServiceUnavailable => refusal(
            503,
            "ServiceUnAvailable",
            "The request has failed due to a temporary failure of the server.",
        ),
        _ => None,
    }
}

fn render(result: Result<Value, Refusal>, request_id: &str, host: Option<&str>) -> (u16, Value) {
    match result {
        Ok(mut answer) => {
            if let Value::Object(fields) = &mut answer {
                fields.insert("RequestId".to_owned(), request_id.into());
            }
            (200, answer)
        }
        Err(refusal) => {
            let answer = json!({
                "RequestId": request_id,
                "HostId": host.unwrap_or_default(),
                "Code": refusal.code,
                "Message": refusal.message,
                "Recommend": "https://api.aliyun.com/troubleshoot",
            });
            (refusal.status, answer)
        }
    }
}

/// A query parameter; blanks may be written as `+`.
fn parameter(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(candidate, _)| *candidate == name)
        .map(|(_, value)| percent_decode(&value.replace('+', "%20")))
}

// === impl Refusal ===

impl Refusal {
    /// For a missing permission.
    fn denied(operation: Operation) -> Self {
        let code = match operation {
            Operation::GetRole => "NoPermission",
            _ => "Forbidden",
        };
        Self {
            status: 403,
            code,
            message: "You are not authorized to perform this operation.",
        }
    }
}
