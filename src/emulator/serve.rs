//! The listening shell: connections, bodies that end early or never seem to end, resets.

use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, DATE, LOCATION, SERVER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::control;
use super::core::Shared;
use super::vod;
use super::wire::{self, Answer, Call, Outcome, Payload};

/// A legal batch of 64 KiB is below 400 KiB even with every character escaped.
const MAX_REQUEST_BODY: usize = 2 * 1024 * 1024;

/// How much of a body that is too large is read and thrown away, and for how long: a client that still writes when the
/// connection closes sees a reset instead of the answer.
const MAX_DRAINED_BODY: usize = 64 * 1024 * 1024;
const MAX_DRAIN_TIME: Duration = Duration::from_secs(5);

/// What a huge answer is made of.
const FILLER: &[u8] = &[b'x'; 64 * 1024];

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
enum Abort {
    /// A fault asked for a reset.
    #[error("reset on request of a fault")]
    Reset,
    /// The client went away while it sent its body.
    #[error("the request's body could not be read")]
    Body(#[source] hyper::Error),
}

/// The body of an answer.
enum AnswerBody {
    Whole(Option<Bytes>),
    /// Sends `part` of `len` bytes, lets it be flushed, then fails.
    Half {
        part: Option<Bytes>,
        flushed: bool,
        left: u64,
    },
    Huge {
        start: Option<Bytes>,
        filler: u64,
        end: Option<Bytes>,
    },
}

/// Accepts until `shutdown`, then closes every connection.
pub(super) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()>,
) {
    let closing = CancellationToken::new();
    let connections = TaskTracker::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                let closing = closing.clone();
                connections.spawn(async move {
                    tokio::select! {
                        () = connection(stream, shared) => {}
                        () = closing.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                warn!(%error, "Cannot accept a connection.");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    closing.cancel();
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "Cannot set TCP_NODELAY.");
    }
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        Box::pin(async move { respond(request, &shared).await })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let stream = connection.into_parts().io.into_inner();
    if let Err(error) = ended {
        let reset = error
            .source()
            .and_then(|source| source.downcast_ref::<Abort>())
            .is_some_and(|abort| matches!(abort, Abort::Reset));
        debug!(%error, reset, "A connection ended early.");
        if reset && let Err(error) = stream.set_zero_linger() {
            warn!(%error, "Cannot arrange for a connection reset.");
        }
    }
}

async fn respond(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<AnswerBody>, Abort> {
    let (head, body) = request.into_parts();
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    let body = read(body).await?;
    if let Some(route) = target.strip_prefix("/-/emulator/") {
        let answer = body.map_or_else(control::too_large, |body| {
            control::handle(shared, head.method.as_str(), route, &body)
        });
        return Ok(control_response(answer));
    }
    if target == "/truth"
        && let Some(truth) = shared.truth.get()
    {
        return Ok(control_response((200, truth.0())));
    }
    let fits = body.is_some();
    let call = Call {
        method: head.method.as_str().to_owned(),
        target,
        headers: head.headers,
        body: body.unwrap_or_default(),
    };
    if !fits {
        return Ok(answer_response(wire::refuse_too_large(shared, &call)));
    }
    let outcome = match vod::action(&call) {
        Some(action) => vod::handle(shared, &call, &action).await,
        None => wire::handle(shared, &call).await,
    };
    match outcome {
        Outcome::Answer(answer) => Ok(answer_response(answer)),
        Outcome::Reset => Err(Abort::Reset),
    }
}

/// The whole body; none if it is larger than any legal one.
async fn read(mut body: Incoming) -> Result<Option<Bytes>, Abort> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Abort::Body)?.into_data() else {
            continue;
        };
        if read.len() + data.len() > MAX_REQUEST_BODY {
            drop(read);
            _ = tokio::time::timeout(MAX_DRAIN_TIME, drain(body)).await;
            return Ok(None);
        }
        read.extend_from_slice(&data);
    }
    Ok(Some(read.freeze()))
}

async fn drain(mut body: Incoming) {
    let mut left = MAX_DRAINED_BODY;
    while let Some(Ok(frame)) = body.frame().await {
        let len = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(len) else {
            return;
        };
        left = rest;
    }
}

fn answer_response(answer: Answer) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::new(answer.payload));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let mut set = |name: http::HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set(DATE, answer.date.http_date());
    if let Some(location) = answer.location {
        set(LOCATION, location);
    }
    set(
        http::HeaderName::from_static("x-mns-request-id"),
        answer.request_id,
    );
    headers.insert("x-mns-version", HeaderValue::from_static("2015-06-06"));
    headers.insert(SERVER, HeaderValue::from_static("AliyunMNS"));
    if answer.status != 204 {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    }
    response
}

fn control_response((status, json): control::Answer) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Whole(Some(json.into())));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

// === impl AnswerBody ===

impl AnswerBody {
    fn new(payload: Payload) -> Self {
        match payload {
            Payload::Whole(body) => Self::Whole(Some(body).filter(|body| !body.is_empty())),
            Payload::Half(body) => {
                let part = body.slice(..body.len() / 2);
                Self::Half {
                    left: u64::try_from(body.len()).unwrap_or(u64::MAX),
                    part: Some(part).filter(|part| !part.is_empty()),
                    flushed: false,
                }
            }
            Payload::Huge(filler) => {
                let (start, end) = wire::render::huge_frame();
                Self::Huge {
                    start: Some(start.into()),
                    filler,
                    end: Some(Bytes::from_static(end.as_bytes())),
                }
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = TruncatedOnPurpose;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TruncatedOnPurpose>>> {
        let frame = match self.get_mut() {
            Self::Whole(body) => body.take(),
            Self::Half { left: 0, .. } => None,
            Self::Half {
                part,
                flushed,
                left,
            } => match part.take() {
                Some(part) => {
                    *left -= u64::try_from(part.len()).unwrap_or(*left);
                    Some(part)
                }
                None if *flushed => return Poll::Ready(Some(Err(TruncatedOnPurpose))),
                None => {
                    // The connection writes out what it has only while the body is pending.
                    *flushed = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            },
            Self::Huge { start, filler, end } => start.take().or_else(|| {
                let chunk = (*filler).min(64 * 1024);
                *filler -= chunk;
                match usize::try_from(chunk) {
                    Ok(chunk @ 1..) => Some(Bytes::from_static(FILLER).slice(..chunk)),
                    _ => end.take(),
                }
            }),
        };
        Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        let len = |bytes: &Option<Bytes>| {
            let len = bytes.as_ref().map_or(0, Bytes::len);
            u64::try_from(len).unwrap_or(u64::MAX)
        };
        SizeHint::with_exact(match self {
            Self::Whole(body) => len(body),
            Self::Half { left, .. } => *left,
            Self::Huge { start, filler, end } => len(start) + filler + len(end),
        })
    }
}

/// The body's error that makes a connection close before the announced length.
#[derive(Debug, thiserror::Error)]
#[error("truncated on request of a fault")]
struct TruncatedOnPurpose;
