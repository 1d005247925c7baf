//! The control endpoint: unsigned JSON under `/-/emulator/`.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::core::{Credentials, Shared};
use super::faults::FaultRule;
use super::policy::Policy;
use super::queue::DeadLetterPolicy;
use super::vod::Media;

const ROUTES: &str = "GET state, POST advance, GET or POST faults, GET or POST behaviour, \
                      POST dead-letter, POST purge, POST credentials, POST policies, \
                      POST roles, POST vod-media, POST vod-callback, POST simulate";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    millis: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum FaultChange {
    Replace(Vec<FaultRule>),
    Add(Vec<FaultRule>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadLetter {
    queue: String,
    target: Option<String>,
    max_receive_count: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Purge {
    queue: String,
}

/// A status and a JSON text.
pub(super) type Answer = (u16, String);

/// Refuses a control request whose body is too large.
pub(super) fn too_large() -> Answer {
    failure(400, "the request's body is larger than 2 MiB")
}

/// Handles a control request; `route` is what follows `/-/emulator/`.
pub(super) fn handle(shared: &Shared, method: &str, route: &str, body: &[u8]) -> Answer {
    let (path, query) = route.split_once('?').unwrap_or((route, ""));
    let result = match (method, path) {
        ("GET", "state") => return state(shared, query),
        ("GET", "faults") => return ok(&shared.core().faults.rules()),
        ("GET", "behaviour") => return ok(&shared.core().behaviour),
        ("POST", "advance") => parse(body).and_then(|change| advance(shared, &change)),
        ("POST", "faults") => parse(body).and_then(|change| faults(shared, change)),
        ("POST", "behaviour") => parse(body).and_then(|patch| behaviour(shared, &patch)),
        ("POST", "dead-letter") => parse(body).and_then(|change| dead_letter(shared, change)),
        ("POST", "purge") => parse(body).and_then(|change| purge(shared, &change)),
        ("POST", "vod-media") => parse(body).map(|media: Vec<Media>| {
            shared.core().vod.put(media);
            json!({})
        }),
        ("POST", "vod-callback") => parse(body).map(|callback| {
            shared.core().vod.callback = callback;
            json!({})
        }),
        ("POST", "policies") => parse(body).map(|policies: Option<Vec<Policy>>| {
            shared.core().policies = policies;
            json!({})
        }),
        ("POST", "roles") => parse(body).map(|roles: Vec<String>| {
            shared.core().roles = roles;
            json!({})
        }),
        ("POST", "simulate") => match shared.simulator.get() {
            Some(simulator) => simulator.0(body),
            None => {
                return failure(
                    404,
                    "nothing is simulated here; expected a running `vod-callback-exporter demo`",
                );
            }
        },
        ("POST", "credentials") => parse(body).and_then(|key| credentials(shared, key)),
        _ => {
            let text = format!("no control route {method} {path}; expected one of {ROUTES}");
            return failure(404, &text);
        }
    };
    match result {
        Ok(value) => ok(&value),
        Err(error) => failure(400, &error),
    }
}

fn state(shared: &Shared, query: &str) -> Answer {
    match query {
        "" | "messages=false" => ok(&shared.state(false)),
        "messages=true" => ok(&shared.state(true)),
        other => failure(
            400,
            &format!("unknown query {other:?}; expected messages=true"),
        ),
    }
}

fn advance(shared: &Shared, change: &Advance) -> Result<Value, String> {
    let now = shared.advance(Duration::from_millis(change.millis));
    now.map(|now| json!({ "now": now }))
        .map_err(|error| error.to_string())
}

fn credentials(shared: &Shared, credentials: Credentials) -> Result<Value, String> {
    credentials.check().map_err(|error| error.to_string())?;
    shared.core().credentials = credentials;
    Ok(json!({}))
}

fn faults(shared: &Shared, change: FaultChange) -> Result<Value, String> {
    let (FaultChange::Replace(rules) | FaultChange::Add(rules)) = &change;
    rules.iter().try_for_each(FaultRule::check)?;
    let faults = &mut shared.core().faults;
    match change {
        FaultChange::Replace(rules) => faults.replace(rules),
        FaultChange::Add(rules) => faults.add(rules),
    }
    serde_json::to_value(faults.rules()).map_err(|error| error.to_string())
}

fn behaviour(shared: &Shared, patch: &Value) -> Result<Value, String> {
    let core = &mut shared.core();
    core.behaviour = core.behaviour.patched(patch)?;
    serde_json::to_value(&core.behaviour).map_err(|error| error.to_string())
}

fn dead_letter(shared: &Shared, change: DeadLetter) -> Result<Value, String> {
    let policy = match (change.target, change.max_receive_count) {
        (None, None) => None,
        (Some(target), Some(max_receive_count)) => Some(DeadLetterPolicy {
            target,
            max_receive_count,
        }),
        _ => return Err("target and max_receive_count go together".to_owned()),
    };
    shared
        .set_dead_letter(&change.queue, policy)
        .map_err(|error| error.to_string())?;
    Ok(json!({}))
}

fn purge(shared: &Shared, change: &Purge) -> Result<Value, String> {
    let purged = shared.purge(&change.queue);
    purged
        .map(|purged| json!({ "purged": purged }))
        .map_err(|error| error.to_string())
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body)
        .map_err(|error| format!("the request's JSON is not valid: {error}"))
}

fn ok(value: &impl Serialize) -> Answer {
    match serde_json::to_string(value) {
        Ok(json) => (200, json),
        Err(error) => failure(500, &error.to_string()),
    }
}

fn failure(status: u16, text: &str) -> Answer {
    (status, json!({ "error": text }).to_string())
}
