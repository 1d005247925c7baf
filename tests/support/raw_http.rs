//! A running emulator and a client that writes and reads HTTP byte by byte, so that nothing between test and wire helps.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::fmt::Write as _;
use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vod_callback_exporter::aliyun::sign;
use vod_callback_exporter::clock;
use vod_callback_exporter::emulator::{AttributesPatch, Handle, Options, Server};

/// An emulator with the queue `q`, stopped with the test.
pub(crate) struct Emulator {
    pub(crate) handle: Handle,
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Signs and sends; its fields may be bent to make wrong requests.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) date: Option<String>,
    pub(crate) v4_region: Option<String>,
    /// Further headers, signed where MNS signs them.
    pub(crate) headers: Vec<(String, String)>,
    /// Headers that are left out after signing.
    pub(crate) without: Vec<&'static str>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Emulator {
    pub(crate) fn start() -> Self {
        Self::with(Options::new("ID", "SECRET"))
    }

    pub(crate) fn with(options: Options) -> Self {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
        let handle = server.handle();
        handle
            .create_queue("q", &AttributesPatch::default())
            .unwrap();
        let client = Client {
            address: server.local_addr(),
            id: "ID".to_owned(),
            secret: "SECRET".to_owned(),
            date: None,
            v4_region: None,
            headers: Vec::new(),
            without: Vec::new(),
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            _ = stopped.await;
        }));
        Self {
            handle,
            client,
            stop: Some(stop),
            task,
        }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap();
    }
}

impl Client {
    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.send("GET", target, "").await.unwrap()
    }

    pub(crate) async fn delete(&self, target: &str) -> Reply {
        self.send("DELETE", target, "").await.unwrap()
    }

    pub(crate) async fn put(&self, target: &str, body: &str) -> Reply {
        self.send("PUT", target, body).await.unwrap()
    }

    pub(crate) async fn post(&self, target: &str, body: &str) -> Reply {
        self.send("POST", target, body).await.unwrap()
    }

    /// Unsigned JSON to the control endpoint.
    pub(crate) async fn control(
        &self,
        method: &str,
        path: &str,
        json: &str,
    ) -> (u16, serde_json::Value) {
        let head = vec![("Host".to_owned(), "control".to_owned())];
        let target = format!("/-/emulator/{path}");
        let reply = exchange(self.address, method, &target, &head, json)
            .await
            .unwrap();
        (reply.status, serde_json::from_str(&reply.body).unwrap())
    }

    pub(crate) fn with_header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    pub(crate) async fn send(&self, method: &str, target: &str, body: &str) -> io::Result<Reply> {
        let now = clock::now();
        let date = self.date.clone().unwrap_or_else(|| now.http_date());
        let mut headers = vec![
            ("Host".to_owned(), self.address.to_string()),
            ("Date".to_owned(), date),
            ("x-mns-version".to_owned(), "2015-06-06".to_owned()),
        ];
        if !body.is_empty() {
            headers.push(("Content-Type".to_owned(), "text/xml".to_owned()));
        }
        headers.extend(self.headers.clone());
        let borrowed: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = sign::Request {
            method,
            target,
            headers: &borrowed,
        };
        let authorization = match &self.v4_region {
            None => sign::v2(&request, &self.id, &self.secret),
            Some(region) => {
                let basic = now
                    .timestamp()
                    .unwrap()
                    .strftime("%Y%m%dT%H%M%SZ")
                    .to_string();
                sign::v4(&request, &self.id, &self.secret, region, &basic)
            }
        };
        headers.push(("Authorization".to_owned(), authorization));
        headers.retain(|(name, _)| !self.without.contains(&name.as_str()));
        exchange(self.address, method, target, &headers, body).await
    }
}

async fn exchange(
    address: std::net::SocketAddr,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(address).await?;
    let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        _ = write!(request, "{name}: {value}\r\n");
    }
    _ = write!(request, "Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other(format!("no answer but {text:?}")))?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    Ok(Reply {
        status: status.unwrap().parse().unwrap(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    })
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The text of every element of that name, in order.
    pub(crate) fn all(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        self.body
            .split(&open)
            .skip(1)
            .map(|rest| rest.split(&close).next().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn text(&self, element: &str) -> String {
        self.all(element)
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("no <{element}> in {} {}", self.status, self.body))
    }

    /// Status and `<Code>`.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status, self.text("Code"))
    }
}
