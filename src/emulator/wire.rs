//! The vendor's protocol: one request in, one answer out.

mod auth;
mod perform;
pub(super) mod render;
mod request;
mod xml;

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::core::{Core, Shared};
use super::error::ApiError;
use super::faults::{Fault, Operation, Phase};
use crate::clock::UnixMillis;

/// A request as it came over the wire.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// Path and query, byte for byte.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What the connection does.
#[derive(Debug)]
pub(super) enum Outcome {
    Answer(Answer),
    Reset,
}

/// An answer to be written.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) location: Option<String>,
    pub(super) request_id: String,
    pub(super) date: UnixMillis,
    pub(super) payload: Payload,
}

/// An answer's body.
#[derive(Debug)]
pub(super) enum Payload {
    Whole(Bytes),
    /// Announced in full, closed half-way.
    Half(Bytes),
    /// Well-formed XML around this many bytes of text.
    Huge(u64),
}

/// An operation's result before anything goes wrong on its way.
#[derive(Debug)]
struct Reply {
    status: u16,
    body: String,
    location: Option<String>,
}

const XML: &str = "text/xml;charset=utf-8";
const GARBAGE: &str = "\u{1}\u{2}<<<not xml at all &&& \u{7f}";
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><p>Please sign in to the network.<br></body></html>\n";

// === impl Call ===

impl Call {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The base of URLs in answers.
    fn host_id(&self) -> String {
        format!("http://{}", self.header("host").unwrap_or("localhost"))
    }
}

/// Handles one request, faults included.
pub(super) async fn handle(shared: &Shared, call: &Call) -> Outcome {
    let document = (!call.body.is_empty()).then(|| xml::Element::parse(&call.body));
    let (operation, queue) = request::identify(call, document.as_ref());
    let queue = queue.as_deref();
    let Ok(result) = attempt(shared, call, operation, queue, document).await else {
        shared.core().count_call(operation, "reset".into());
        return Outcome::Reset;
    };
    let (outcome, delay) = {
        let mut core = shared.core();
        let outcome = match &result {
            Ok(_) => "OK".into(),
            Err(error) => error.code.clone(),
        };
        core.count_call(operation, outcome);
        let request_id = core.request_id();
        let after = core.faults.draw(Phase::After, operation, queue);
        let delay = core.faults.draw(Phase::Delay, operation, queue);
        let skew = core.faults.draw(Phase::Date, operation, queue);
        let mut answer = render::answer(result, call, request_id, shared.clock.now());
        if let Some(Fault::ClockSkew { millis }) = skew {
            answer.date = UnixMillis(answer.date.0.saturating_add(millis));
        }
        (spoil(answer, after), delay)
    };
    if let Some(Fault::Slow { millis }) = delay {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    outcome
}

/// Refuses a request whose body is larger than any legal one.
pub(super) fn refuse_too_large(shared: &Shared, call: &Call) -> Answer {
    let mut core = shared.core();
    let error = ApiError::invalid_argument("The request body is too large.");
    core.count_call(Operation::Unknown, error.code.clone());
    let request_id = core.request_id();
    render::answer(Err(error), call, request_id, shared.clock.now())
}

/// The connection is reset instead of an answer.
struct Abort;

async fn attempt(
    shared: &Shared,
    call: &Call,
    operation: Operation,
    queue: Option<&str>,
    document: Option<Result<xml::Element, ApiError>>,
) -> Result<Result<Reply, ApiError>, Abort> {
    {
        let mut core = shared.core();
        let core = &mut *core;
        match core.faults.draw(Phase::Before, operation, queue) {
            Some(Fault::ResetBefore) => return Err(Abort),
            Some(Fault::TooManyRequests) => return Ok(Err(ApiError::too_many_requests())),
            Some(Fault::AccessDenied) => return Ok(Err(ApiError::access_denied())),
            Some(Fault::InternalError) => return Ok(Err(ApiError::internal_error())),
            Some(Fault::ServiceUnavailable) => return Ok(Err(ApiError::unavailable())),
            Some(Fault::ExpiredToken) => {
                return Ok(Err(auth::expired_token(&core.behaviour)));
            }
            _ => {}
        }
        let judge = core.faults.draw(Phase::Judge, operation, queue);
        if let Err(error) = auth::verify(call, core, shared, judge) {
            return Ok(Err(error));
        }
        if core.behaviour.check_namespace && xml::is_foreign(&call.body) {
            return Ok(Err(ApiError::malformed_xml()));
        }
        if !core.behaviour.arguments_before_policy && !permits(core, shared, operation, queue) {
            return Ok(Err(ApiError::access_denied()));
        }
    }
    let action = match request::parse(call, operation, document, shared) {
        Ok(action) => action,
        Err(error) => return Ok(Err(error)),
    };
    if !permits(&shared.core(), shared, operation, queue) {
        return Ok(Err(ApiError::access_denied()));
    }
    Ok(perform::perform(shared, call, operation, queue.unwrap_or_default(), action).await)
}

fn permits(core: &Core, shared: &Shared, operation: Operation, queue: Option<&str>) -> bool {
    core.permits(operation, queue.unwrap_or_default(), &shared.owner)
}

pub(super) fn spoil(mut answer: Answer, fault: Option<Fault>) -> Outcome {
    match fault {
        Some(Fault::ResetAfter) => return Outcome::Reset,
        Some(Fault::Truncated) => {
            if let Payload::Whole(body) = answer.payload {
                answer.payload = Payload::Half(body);
            }
        }
        Some(Fault::Garbage) => {
            answer.payload = Payload::Whole(Bytes::from_static(GARBAGE.as_bytes()));
            answer.keep_body();
        }
        Some(Fault::Html) => {
            answer.payload = Payload::Whole(Bytes::from_static(PAGE.as_bytes()));
            answer.content_type = "text/html";
            answer.status = 200;
        }
        Some(Fault::Huge { mebibytes }) => {
            answer.payload = Payload::Huge(u64::from(mebibytes) << 20);
            answer.keep_body();
        }
        _ => {}
    }
    Outcome::Answer(answer)
}

// === impl Answer ===

impl Answer {
    /// A 204 cannot carry a body.
    fn keep_body(&mut self) {
        if self.status == 204 {
            self.status = 200;
        }
    }
}
