//! `/-/reload`: has the config read again.

use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::{Answer, respond, text};

/// A request to read the config again; the answer says what changed, or why nothing did.
#[derive(Debug)]
pub struct Reload(pub oneshot::Sender<Result<String, String>>);

const PLAIN: &str = "text/plain; charset=utf-8";

/// Waits until the config is in force. `reloads` is none where this is not allowed.
pub(super) async fn answer(method: &Method, reloads: Option<&mpsc::Sender<Reload>>) -> Answer {
    if !matches!(*method, Method::POST | Method::PUT) {
        let mut answer = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "Only POST and PUT are allowed here.\n",
        );
        let allow = HeaderValue::from_static("POST, PUT");
        answer.headers_mut().insert(ALLOW, allow);
        return answer;
    }
    let Some(reloads) = reloads else {
        return text(
            StatusCode::FORBIDDEN,
            "Reloading by request is off. Start with --web.enable-lifecycle, or send SIGHUP.\n",
        );
    };
    let (done, outcome) = oneshot::channel();
    let asked = reloads.send(Reload(done)).await.is_ok();
    match outcome.await {
        Ok(Ok(told)) if asked => respond(StatusCode::OK, PLAIN, told),
        Ok(Err(why)) if asked => respond(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, why),
        _ => text(StatusCode::SERVICE_UNAVAILABLE, "Stopping.\n"),
    }
}
