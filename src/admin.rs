//! The exporter's own HTTP server.
//!
//! | path | what |
//! |---|---|
//! | `/` | a page for people |
//! | `/metrics` (or as configured) | the exposition, as text or OpenMetrics, gzip on request |
//! | `/-/healthy` | 200 while the process runs |
//! | `/-/ready` | 200 between start-up and shutdown, else 503 |
//! | `/-/reload` | POST or PUT reads the config again: 200 with what changed, 500 with every problem; 403 unless allowed |
//! | `/api/v1/queues` | identity, live state and sums of every queue |
//! | `/api/v1/transcodes` | transcodes that have not ended, the oldest first; `?state=in_flight`, `overdue` or `stalled`, `?queue=ID`, `?limit=N`, `?offset=N` |
//! | `/api/v1/quarantine` | undecodable messages, `?queue=ID`; bodies with `?bodies=1` where the configuration allows it |
//!
//! No answer depends on anything remote: everything comes from committed state in memory.

mod api;
mod auth;
mod gate;
mod landing;
mod rate;
mod readiness;
mod reload;
mod scrape;
mod web_config;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::mpsc;

pub use gate::{Gate, Refusal};
pub use readiness::Readiness;
pub use reload::Reload;
pub use web_config::{Checked, TlsTrouble, WebFile, check as check_web_config};

use crate::http::serve::{Limits, serve};
use crate::ledger::Snapshot;
use crate::ledger::listing::{Listing, Page};
use crate::metrics::Metrics;

/// What the endpoints read.
pub trait View: Send + Sync + 'static {
    /// A consistent copy of committed state.
    fn snapshot(&self) -> Snapshot;
    /// Local clock minus the server's, in milliseconds; none before the first answer.
    fn skew_millis(&self) -> Option<i64>;
    /// A page of transcodes that have not ended.
    fn transcodes(&self, listing: &Listing) -> Page;
}

/// Everything that the endpoints need.
pub struct Admin {
    view: Arc<dyn View>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    settings: Settings,
    expose_bodies: AtomicBool,
    /// None where nobody may ask for a reload.
    reloads: Option<mpsc::Sender<Reload>>,
    buffer: scrape::Buffer,
}

/// What the configuration says about the endpoints.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Path of the exposition, `/metrics` by default.
    pub telemetry_path: String,
    /// Whether `/api/v1/quarantine` may show bodies, which name customers' media.
    pub expose_bodies: bool,
}

/// A bound address that is not served yet.
#[derive(Debug)]
pub struct Server {
    listener: std::net::TcpListener,
    local_addr: SocketAddr,
    gate: Option<Gate>,
}

/// A scraper, a few people and probes; a request's head is a few hundred bytes.
const LIMITS: Limits = Limits {
    connections: 128,
    header_read: Duration::from_secs(10),
    // The largest exposition over the slowest link that is worth scraping.
    write: Duration::from_mins(1),
    buffer: 16 * 1024,
    grace: Duration::from_secs(5),
};

type Answer = Response<Full<Bytes>>;

// === impl Server ===

impl Server {
    /// Over a non-blocking listener that was bound before anything else started.
    pub fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        Ok(Self {
            listener,
            local_addr,
            gate: None,
        })
    }

    /// Serves only whom `gate` lets in.
    #[must_use]
    pub fn behind(self, gate: Gate) -> Self {
        let gate = Some(gate);
        Self { gate, ..self }
    }

    /// The address in use, with the real port where 0 was asked for.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` resolves and requests in progress have ended.
    ///
    /// Fails only where the listener cannot be handed to the runtime, or the system has no randomness.
    pub async fn serve(
        self,
        admin: Arc<Admin>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let gate = match self.gate {
            Some(gate) => Arc::new(gate),
            None => Arc::new(Gate::new(None, Arc::clone(&admin.metrics))?),
        };
        let guard = Arc::clone(&gate);
        let handler = move |request: Request<hyper::body::Incoming>| {
            let (admin, gate) = (Arc::clone(&admin), Arc::clone(&guard));
            async move {
                let request = request.into_parts().0;
                match gate.admit(&request).await {
                    Ok(None) => admin.answer(&request).await,
                    Ok(Some(rules)) => rules.dress(admin.answer(&request).await),
                    Err(refusal) => refusal,
                }
            }
        };
        serve(listener, LIMITS, gate, handler, shutdown).await;
        Ok(())
    }
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            telemetry_path: "/metrics".to_owned(),
            expose_bodies: false,
        }
    }
}

// === impl Admin ===

impl Admin {
    /// Endpoints over `view` and `metrics`; `readiness` is what `/-/ready` tells.
    pub fn new(
        view: Arc<dyn View>,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        settings: Settings,
    ) -> Self {
        Self {
            view,
            metrics,
            readiness,
            expose_bodies: AtomicBool::new(settings.expose_bodies),
            settings,
            reloads: None,
            buffer: scrape::Buffer::default(),
        }
    }

    /// The same, with requests to read the config again going to `reloads`.
    #[must_use]
    pub fn reloading(self, reloads: mpsc::Sender<Reload>) -> Self {
        let reloads = Some(reloads);
        Self { reloads, ..self }
    }

    /// Whether `/api/v1/quarantine` may show bodies from now on.
    pub fn expose_bodies(&self, expose: bool) {
        self.expose_bodies.store(expose, Ordering::Relaxed);
    }

    async fn answer(self: Arc<Self>, request: &http::request::Parts) -> Answer {
        let path = request.uri.path();
        if path == "/-/reload" {
            return reload::answer(&request.method, self.reloads.as_ref()).await;
        }
        let known = path == self.settings.telemetry_path
            || matches!(
                path,
                "/" | "/-/healthy"
                    | "/-/ready"
                    | "/api/v1/queues"
                    | "/api/v1/quarantine"
                    | "/api/v1/transcodes"
            );
        let is_api = path.starts_with("/api/");
        if !known {
            return refuse(
                is_api,
                StatusCode::NOT_FOUND,
                "There is nothing at this path.",
            );
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let mut answer = refuse(
                is_api,
                StatusCode::METHOD_NOT_ALLOWED,
                "Only GET and HEAD are allowed here.",
            );
            let allow = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(ALLOW, allow);
            return answer;
        }
        match path {
            path if path == self.settings.telemetry_path => {
                scrape::answer(self, &request.headers).await
            }
            "/-/healthy" => text(StatusCode::OK, "Healthy.\n"),
            "/-/ready" => self.readiness.answer(),
            "/api/v1/queues" => api::queues(&self.view.snapshot()),
            "/api/v1/transcodes" => api::transcodes(&self, request.uri.query().unwrap_or_default()),
            "/api/v1/quarantine" => api::quarantine(&self, request.uri.query().unwrap_or_default()),
            _ => landing::answer(&self.view.snapshot(), &self.settings.telemetry_path),
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// An answer whose content is what it says it is, and is never served from a cache.
fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers: [(HeaderName, &'static str); 3] = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    respond(status, "text/plain; charset=utf-8", body)
}

fn refuse(is_api: bool, status: StatusCode, why: &'static str) -> Answer {
    if is_api {
        api::error(status, why)
    } else {
        respond(status, "text/plain; charset=utf-8", format!("{why}\n"))
    }
}
