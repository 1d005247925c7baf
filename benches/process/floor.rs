//! The least that a consumer can do: a bare hyper client that receives, deletes and throws away.
//!
//! It reads no XML beyond looking for receipt handles, without which nothing can be deleted, and signs only twice: MNS's
//! signature covers neither the body nor a nonce, so that all receives share one and all deletes share another.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use tokio::net::TcpStream;
use vod_callback_exporter::aliyun::sign;
use vod_callback_exporter::clock;

use crate::child;
use crate::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, queue};

pub(crate) const ROLE: &str = "floor";

/// A request but for its body.
#[derive(Clone)]
struct Prepared {
    method: &'static str,
    target: String,
    date: String,
    authorization: String,
}

/// Empties the first queue at `address` by so many connections; prints messages and nanoseconds of CPU time.
pub(crate) fn run(address: &str, connections: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let messages: usize = runtime.expect("a runtime").block_on(async {
        let workers: Vec<_> = (0..connections)
            .map(|_| tokio::spawn(work(address.to_owned())))
            .collect();
        let mut messages = 0;
        for worker in workers {
            messages += worker.await.expect("a worker that ends well");
        }
        messages
    });
    println!("{messages} {}", child::cpu_nanos(std::process::id()));
}

async fn work(address: String) -> usize {
    let stream = TcpStream::connect(&address).await.expect("an emulator");
    stream.set_nodelay(true).expect("a socket");
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    let path = format!("/queues/{}/messages", queue(0));
    let receive = Prepared::new("GET", format!("{path}?numOfMessages=16&waitseconds=1"));
    let delete = Prepared::new("DELETE", path);
    let mut messages = 0;
    loop {
        let (status, answer) = exchange(&mut sender, &address, &receive, Bytes::new()).await;
        if status == 404 {
            return messages;
        }
        assert_eq!(status, 200, "{answer:?}");
        let (handles, body) = handles(&answer);
        let (status, answer) = exchange(&mut sender, &address, &delete, body.into()).await;
        assert_eq!(status, 204, "{answer:?}");
        messages += handles;
    }
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    host: &str,
    prepared: &Prepared,
    body: Bytes,
) -> (u16, Bytes) {
    let request = Request::builder()
        .method(prepared.method)
        .uri(&prepared.target)
        .header("host", host)
        .header("content-type", "text/xml")
        .header("date", &prepared.date)
        .header("x-mns-version", "2015-06-06")
        .header("authorization", &prepared.authorization)
        .body(Full::new(body))
        .expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a whole answer");
    (status, body.to_bytes())
}

/// How many receipt handles an answer has, and the body of the call that deletes them.
fn handles(answer: &[u8]) -> (usize, Vec<u8>) {
    const OPEN: &[u8] = b"<ReceiptHandle>";
    const CLOSE: &[u8] = b"</ReceiptHandle>";
    let mut body = Vec::with_capacity(2_048);
    body.extend_from_slice(b"<ReceiptHandles xmlns=\"http://mns.aliyuncs.com/doc/v1/\">");
    let (mut count, mut rest) = (0, answer);
    while let Some(start) = memmem::find(rest, OPEN) {
        let from = &rest[start..];
        let end = memmem::find(from, CLOSE).expect("an end tag") + CLOSE.len();
        body.extend_from_slice(&from[..end]);
        rest = &from[end..];
        count += 1;
    }
    body.extend_from_slice(b"</ReceiptHandles>");
    (count, body)
}

// === impl Prepared ===

impl Prepared {
    fn new(method: &'static str, target: String) -> Self {
        let date = clock::now().http_date();
        let request = sign::Request {
            method,
            target: &target,
            headers: &[
                ("content-type", "text/xml"),
                ("date", &date),
                ("x-mns-version", "2015-06-06"),
            ],
        };
        let authorization = sign::v2(&request, ACCESS_KEY_ID, ACCESS_KEY_SECRET);
        Self {
            method,
            target,
            date,
            authorization,
        }
    }
}
