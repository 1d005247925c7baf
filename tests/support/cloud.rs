//! STS, the metadata service and a credentials URI, as far as credentials come from them; and an account that asks them.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use vod_callback_exporter::aliyun::credentials::{
    Context, Environment, Lookup, Observer, Provider, ProviderName, Settings,
};
use vod_callback_exporter::aliyun::{sign, transport};
use vod_callback_exporter::clock::UnixMillis;

/// When every test begins: 2026-01-02T03:04:05Z.
pub(crate) const START: UnixMillis = UnixMillis(1_767_323_045_000);

pub(crate) const ROLE: &str = "acs:ram::1:role/exporter";
pub(crate) const OIDC_PROVIDER: &str = "acs:ram::1:oidc-provider/ack";

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What a fake says.
pub(crate) enum Reply {
    /// Status, text, and the `Date` if one is told.
    Text(u16, String, Option<UnixMillis>),
    /// Nothing, for ever.
    Hang,
    /// Nothing, and the connection is reset.
    Reset,
}

/// An HTTP server that answers as a closure says, and remembers what it was asked.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicI64>);

/// Remembers what became of credentials.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) renewed: Mutex<Vec<Option<UnixMillis>>>,
    pub(crate) failed: Mutex<Vec<&'static str>>,
}

/// An account in a world of its own.
pub(crate) struct Account {
    pub(crate) provider: Arc<Provider>,
    pub(crate) clock: Clock,
    pub(crate) told: Arc<Told>,
}

// === impl Request ===

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter of the query or of the form.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        [query, &self.body]
            .iter()
            .flat_map(|text| url::form_urlencoded::parse(text.as_bytes()))
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Whether it carries the signature of this key.
    pub(crate) fn is_signed_by(&self, id: &str, secret: &str) -> bool {
        let authorization = self.header("authorization").unwrap_or_default();
        let signed = authorization.split("SignedHeaders=").nth(1).unwrap_or("");
        let names: Vec<&str> = signed
            .split(',')
            .next()
            .unwrap_or("")
            .split(';')
            .filter(|name| !name.is_empty())
            .collect();
        let headers: Vec<(&str, &str)> = names
            .iter()
            .map(|name| (*name, self.header(name).unwrap_or_default()))
            .collect();
        let request = sign::Request {
            method: &self.method,
            target: &self.target,
            headers: &headers,
        };
        let hash = sign::acs3::payload_hash(self.body.as_bytes());
        authorization == sign::acs3::authorization(&request, &hash, id, secret)
    }
}

// === impl Reply ===

impl Reply {
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::Text(status, value.to_string(), None)
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::Text(status, text.to_owned(), None)
    }

    /// An error of STS.
    pub(crate) fn refusal(status: u16, code: &str) -> Self {
        let message = format!("The reason of {code}.");
        Self::json(
            status,
            &json!({"RequestId": "5F", "HostId": "sts", "Code": code, "Message": message}),
        )
    }

    pub(crate) fn at(self, date: UnixMillis) -> Self {
        match self {
            Self::Text(status, text, _) => Self::Text(status, text, Some(date)),
            silent => silent,
        }
    }
}

/// Key `n`, good until `expires`, as all services spell it.
pub(crate) fn key(n: u32, expires: UnixMillis) -> Value {
    json!({
        "Code": "Success",
        "AccessKeyId": format!("STS.{n}"),
        "AccessKeySecret": format!("hunter-{n}"),
        "SecurityToken": format!("token-{n}"),
        "Expiration": expires.to_string(),
    })
}

/// The same in an answer of STS.
pub(crate) fn role(n: u32, expires: UnixMillis) -> Reply {
    let mut key = key(n, expires);
    key.as_object_mut().unwrap().remove("Code");
    Reply::json(200, &json!({"RequestId": "5F", "Credentials": key}))
}

/// So many hours after the start.
pub(crate) fn hours(hours: u64) -> UnixMillis {
    START.plus(Duration::from_hours(hours))
}

/// A directory with the file of a token.
pub(crate) fn token() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "eyJ.first\n").unwrap();
    dir
}

/// An STS that gives key after key, each for an hour by the clock.
pub(crate) async fn hourly(clock: Clock) -> Fake {
    let mut n = 0;
    Fake::start(move |_| {
        n += 1;
        role(n, clock.now().plus(Duration::from_hours(1))).at(clock.now())
    })
    .await
}

/// A metadata service of one role, with or without tokens.
pub(crate) async fn metadata(token_status: u16) -> Fake {
    metadata_saying(move || match token_status {
        200 => Reply::text(200, "the-token"),
        status => Reply::text(status, "no"),
    })
    .await
}

/// A metadata service of one role that says this to whoever wants a token.
pub(crate) async fn metadata_saying(token: impl Fn() -> Reply + Send + 'static) -> Fake {
    Fake::start(move |request| match request.target.as_str() {
        "/latest/api/token" => token(),
        "/latest/meta-data/ram/security-credentials/" => Reply::text(200, "node-role\n"),
        "/latest/meta-data/ram/security-credentials/node-role" => {
            Reply::json(200, &key(7, hours(6)))
        }
        _ => Reply::text(404, "404 - Not Found"),
    })
    .await
}

// === impl Fake ===

impl Fake {
    pub(crate) async fn start(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&seen), Arc::new(Mutex::new(answer)));
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else {
                        return;
                    };
                    kept.lock().unwrap().push(request.clone());
                    let reply = (answer.lock().unwrap())(&request);
                    let (status, text, date) = match reply {
                        Reply::Text(status, text, date) => (status, text, date),
                        Reply::Hang => return std::future::pending().await,
                        Reply::Reset => return stream.set_zero_linger().unwrap(),
                    };
                    let date = date.map_or(String::new(), |date| {
                        format!("Date: {}\r\n", date.http_date())
                    });
                    let head = format!(
                        "HTTP/1.1 {status} X\r\n{date}Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
                        text.len()
                    );
                    drop(stream.write_all(head.as_bytes()).await);
                });
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    /// One that says the same to everybody.
    pub(crate) async fn saying(reply: impl Fn() -> Reply + Send + 'static) -> Self {
        Self::start(move |_| reply()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn parsed(&self) -> url::Url {
        self.url().parse().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Method and path of everything that was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        let path = |request: &Request| request.target.split('?').next().unwrap().to_owned();
        self.seen()
            .iter()
            .map(|request| format!("{} {}", request.method, path(request)))
            .collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let mut first = lines.next()?.split(' ');
            let request = Request {
                method: first.next()?.to_owned(),
                target: first.next()?.to_owned(),
                headers: lines
                    .filter_map(|line| line.split_once(": "))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                body: body.to_owned(),
            };
            let length = request
                .header("content-length")
                .map_or(0, |n| n.parse().unwrap());
            if body.len() >= length {
                return Some(request);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

// === impl Clock ===

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START.0)))
    }

    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, secs: i64) {
        self.0.fetch_add(secs * 1_000, Ordering::Relaxed);
    }
}

// === impl Told ===

impl Observer for Told {
    fn renewed(&self, expires: Option<UnixMillis>) {
        self.renewed.lock().unwrap().push(expires);
    }

    fn failed(&self, kind: &'static str) {
        self.failed.lock().unwrap().push(kind);
    }
}

// === impl Account ===

impl Account {
    pub(crate) fn new(settings: &Settings, environment: &[(&str, &str)]) -> Self {
        Self::with(settings, environment, Clock::new())
    }

    pub(crate) fn with(settings: &Settings, environment: &[(&str, &str)], clock: Clock) -> Self {
        let (told, options) = (Arc::new(Told::default()), transport::Options::default());
        let http = options.client().unwrap();
        let observer: Arc<dyn Observer> = Arc::<Told>::clone(&told);
        let mut context = Context::new("main".into(), http, &options, observer, 1).unwrap();
        context.environment = Environment::of_values(environment);
        let its = clock.clone();
        context.clock = Arc::new(move || its.now());
        Self {
            provider: Arc::new(Provider::of(settings, context)),
            clock,
            told,
        }
    }

    /// One that asks this provider only.
    pub(crate) fn named(name: ProviderName, lookup: Lookup, environment: &[(&str, &str)]) -> Self {
        Self::new(&Settings::Named(name, lookup), environment)
    }

    /// The id of its key, or the kind of the error.
    pub(crate) async fn id(&self) -> Result<String, &'static str> {
        match self.provider.get().await {
            Ok(credentials) => Ok(credentials.access_key_id.clone()),
            Err(error) => Err(error.kind()),
        }
    }

    pub(crate) async fn error(&self) -> String {
        self.provider.get().await.unwrap_err().to_string()
    }

    /// Returns once its key has this id.
    pub(crate) async fn until_id(&self, id: &str) {
        let used = async || self.id().await.as_deref() == Ok(id);
        until(used, || format!("{id} is used")).await;
    }

    /// Returns once so many attempts have failed.
    pub(crate) async fn until_failed(&self, count: usize) {
        let failed = async || self.failures().len() >= count;
        until(failed, || {
            format!("{count} failures: {:?}", self.failures())
        })
        .await;
    }

    pub(crate) fn failures(&self) -> Vec<&'static str> {
        self.told.failed.lock().unwrap().clone()
    }
}

/// Looks until it is so; fails the test with what was waited for when patience ends.
async fn until(is_so: impl AsyncFn() -> bool, what: impl Fn() -> String) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..10_000 {
        if is_so().await {
            return;
        }
        looks.tick().await;
    }
    panic!("patience ended: {}", what());
}
