//! HTTP servers that Alertmanager's clients and Alertmanager itself talk to in tests: they keep what they get and answer
//! as they are told.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use vod_callback_exporter::clock::{self, UnixMillis};

use super::authority::Pair;

/// How a receiver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With this status and text.
    Status(u16, &'static str),
    /// With 400 where an alert about this video is among them, and else with 200.
    Refusing(&'static str),
    /// With this status, after so long.
    Late(Duration, u16),
    /// Not at all.
    Silence,
    /// Not at all, though what came is stored.
    TakenThenSilence,
    /// By ending the connection, though what came is stored.
    TakenThenGone,
    /// With this status, though what came is stored: who stands before an Alertmanager lost its answer.
    TakenThen(u16),
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) first_line: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
    /// When it came, in seconds since the epoch.
    at: i64,
    /// How it was answered.
    pub(crate) answer: Answer,
}

/// A server that lives as long as the test process.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    now: Arc<dyn Fn() -> UnixMillis + Send + Sync>,
    answer: Answer,
    tls: Option<Arc<ServerConfig>>,
    requests: Vec<Request>,
}

/// Whether an alert about this video is among them.
fn is_about(alerts: &Value, video: &str) -> bool {
    let mut alerts = alerts.as_array().into_iter().flatten();
    alerts.any(|alert| alert["labels"]["video_id"] == video)
}

impl Answer {
    /// Whether what it answers is stored.
    pub(crate) const fn is_taken(&self) -> bool {
        match self {
            Self::Status(status, _) | Self::Late(_, status) => matches!(status, 200 | 400),
            Self::Silence | Self::Refusing(_) => false,
            Self::TakenThenSilence | Self::TakenThenGone | Self::TakenThen(_) => true,
        }
    }
}

impl Receiver {
    /// Answers 200 until told otherwise.
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                now: Arc::new(clock::now),
                answer: Answer::Status(200, ""),
                tls: None,
                requests: Vec::new(),
            })),
        };
        let this = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let this = this.clone();
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    let tls = this.state.lock().unwrap().tls.clone();
                    // Whoever does not like us, or is silenced, ends the connection.
                    _ = match tls {
                        None => this.serve(stream),
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            this.serve(StreamOwned::new(connection, stream))
                        }
                    };
                });
            }
        });
        receiver
    }

    /// New connections speak TLS with this certificate.
    pub(crate) fn speak_tls(&self, pair: &Pair) {
        self.state.lock().unwrap().tls = Some(pair.server_config());
    }

    /// Tells the time by another clock.
    pub(crate) fn by(&self, now: impl Fn() -> UnixMillis + Send + Sync + 'static) {
        self.state.lock().unwrap().now = Arc::new(now);
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// All alerts that were taken, one after the other, as `name video_id`, with `-` before those that were over.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.requests()
            .iter()
            .filter(|request| request.answer.is_taken())
            .flat_map(|request| {
                let alerts = request.body.as_array().cloned().unwrap_or_default();
                alerts.into_iter().map(|alert| (request.at, alert))
            })
            .map(|(at, alert)| {
                let label = |name: &str| alert["labels"][name].as_str().unwrap_or("").to_owned();
                let time = |name: &str| alert[name].as_str().unwrap().parse::<jiff::Timestamp>();
                let (name, video) = (label("alertname"), label("video_id"));
                // Those that fire end minutes ahead.
                let ends = time("endsAt").unwrap().as_second();
                let mark = if ends < at + 10 { "-" } else { "" };
                format!("{mark}{name} {video}").trim().to_owned()
            })
            .collect()
    }

    /// Serves one connection, one request each.
    fn serve(&self, mut stream: impl Read + Write) -> std::io::Result<()> {
        let mut reader = BufReader::new(&mut stream);
        let mut first_line = String::new();
        if reader.read_line(&mut first_line)? == 0 {
            // Only to see whether somebody is there.
            return Ok(());
        }
        let (mut length, mut authorization) = (0, None);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "authorization" => authorization = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let answer = {
            let mut state = self.state.lock().unwrap();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let answer = match state.answer {
                Answer::Refusing(video) if is_about(&body, video) => Answer::Status(400, "bad"),
                Answer::Refusing(_) => Answer::Status(200, ""),
                ref answer => answer.clone(),
            };
            let at = (state.now)().0 / 1000;
            state.requests.push(Request {
                first_line: first_line.trim().to_owned(),
                authorization,
                body,
                at,
                answer: answer.clone(),
            });
            answer
        };
        let (status, text) = match answer {
            Answer::Silence | Answer::TakenThenSilence => {
                // Until the client has enough of it.
                return stream.read_exact(&mut [0]);
            }
            Answer::TakenThenGone | Answer::Refusing(_) => return Ok(()),
            Answer::TakenThen(status) => (status, ""),
            Answer::Late(after, status) => {
                thread::sleep(after);
                (status, "")
            }
            Answer::Status(status, text) => (status, text),
        };
        let length = text.len();
        write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        )?;
        stream.flush()
    }
}
