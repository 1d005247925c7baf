//! The way to MNS: a certificate authority of one's own, and a proxy.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/world.rs"]
mod world;

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use authority::Authority;
use vod_callback_exporter::aliyun::transport::Options;

/// Reads a request's head, answers it, and gives its first line.
fn answer(stream: &mut (impl Read + Write)) -> std::io::Result<String> {
    let mut lines = BufReader::new(&mut *stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
    stream.flush()?;
    Ok(first)
}

/// Answers with TLS, by a certificate of this authority.
fn tls_server(authority: &Authority) -> SocketAddr {
    authority
        .server()
        .serve(|stream| answer(stream).map(|_| ()))
}

/// Serves one connection in the clear, and tells the first line that it read.
fn proxy() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, first) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        sender.send(answer(&mut stream).unwrap()).unwrap();
    });
    (address, first)
}

#[tokio::test]
async fn a_certificate_authority_of_ones_own_is_trusted() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let options = Options {
        ca_file: Some(ca_file),
        proxy: None,
    };
    let client = options.client().unwrap();
    let url = format!("https://{}/", tls_server(&authority));
    let reply = client.get(url).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "ok");
}

#[tokio::test]
async fn an_unknown_certificate_authority_is_refused_by_name() {
    let url = format!("https://{}", tls_server(&Authority::new()));
    let client = world::client(&url, "id", "secret");
    let error = client.queue_attributes("q").await.unwrap_err();
    assert_eq!(error.kind(), "connection");
    let told = error.to_string();
    assert!(told.contains("UnknownIssuer"), "{told}");
}

#[tokio::test]
async fn a_proxy_gets_the_request() {
    let (address, first) = proxy();
    let options = Options {
        ca_file: None,
        proxy: Some(format!("http://{address}").parse().unwrap()),
    };
    let client = options.client().unwrap();
    let url = "http://1234.mns.cn-shanghai.example.test/queues/q";
    let reply = client.get(url).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(first.recv().unwrap(), format!("GET {url} HTTP/1.1"));
}
