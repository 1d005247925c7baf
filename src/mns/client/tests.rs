use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::aliyun::credentials::Credentials;
use crate::aliyun::transport;

/// Answers one connection after the other with fixed bytes and keeps what was asked.
struct Canned {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Canned {
    async fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                kept.lock().unwrap().push(request);
                // The client may have had enough before all is written.
                drop(stream.write_all(&answer).await);
                drop(stream.shutdown().await);
            }
        });
        Self {
            address,
            requests,
            task,
        }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").map_or(0, |n| n.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return text;
        }
    }
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[derive(Default)]
struct Calls(Mutex<Vec<(Operation, &'static str, bool)>>);

impl Observer for Calls {
    fn called(
        &self,
        _queue: &str,
        operation: Operation,
        code: &'static str,
        _took: Duration,
        long_poll: bool,
    ) {
        self.0.lock().unwrap().push((operation, code, long_poll));
    }
}

struct Fixture {
    client: Client,
    calls: Arc<Calls>,
    clock: Arc<ServerClock>,
}

impl Fixture {
    fn new(address: SocketAddr) -> Self {
        Self::with(address, sign::Version::V2)
    }

    fn with(address: SocketAddr, signature: sign::Version) -> Self {
        let credentials = Credentials {
            access_key_id: "LTAI".to_owned(),
            access_key_secret: "hunter2".into(),
            security_token: Some("CAIS".into()),
        };
        let (calls, clock) = (Arc::new(Calls::default()), Arc::new(ServerClock::default()));
        let config = ClientConfig {
            endpoint: Url::parse(&format!("http://{address}")).unwrap(),
            region: None,
            signature,
            seed: 1,
        };
        let client = Client::new(
            config,
            Arc::new(Provider::fixed(credentials)),
            transport::Options::default().client().unwrap(),
            Arc::clone(&clock),
            Arc::<Calls>::clone(&calls),
        );
        Self {
            client,
            calls,
            clock,
        }
    }

    fn calls(&self) -> Vec<(Operation, &'static str, bool)> {
        self.calls.0.lock().unwrap().clone()
    }
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nDate: Thu, 09 Jul 2015 03:01:34 GMT\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn refusal(status: &str, code: &str) -> Vec<u8> {
    answer(
        status,
        &format!("<Error><Code>{code}</Code><Message>m</Message><RequestId>5F</RequestId></Error>"),
    )
}

const QUEUE: &str = include_str!("../../../tests/fixtures/mns/get-queue-attributes.xml");
const RECEIVED: &str = include_str!("../../../tests/fixtures/mns/batch-receive.xml");
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_request_is_signed_as_it_goes_out_and_carries_the_token() {
    let server = Canned::start(vec![answer("200 OK", CHANGED)]).await;
    let fixture = Fixture::new(server.address);
    let changed = fixture
        .client
        .change_visibility("q 1", "1-a+b/c=", Duration::from_mins(1))
        .await
        .unwrap();
    assert_eq!(changed.receipt_handle, "1-new=");
    let request = &server.requests()[0];
    let target = "/queues/q%201/messages?receiptHandle=1-a%2Bb%2Fc%3D&visibilityTimeout=60";
    assert!(
        request.starts_with(&format!("PUT {target} HTTP/1.1\r\n")),
        "{request}"
    );
    let names = ["content-type", "date", "x-mns-version"];
    let headers = names.map(|name| (name, header(request, name).unwrap()));
    let signed = sign::Request {
        method: "PUT",
        target,
        headers: &headers,
    };
    assert_eq!(
        header(request, "authorization"),
        Some(sign::v2(&signed, "LTAI", "hunter2").as_str())
    );
    assert_eq!(header(request, "security-token"), Some("CAIS"));
    assert_eq!(header(request, "content-md5"), None);
}

const CHANGED: &str = "<ChangeVisibility xmlns=\"http://mns.aliyuncs.com/doc/v1/\">\
    <ReceiptHandle>1-new=</ReceiptHandle><NextVisibleTime>1</NextVisibleTime></ChangeVisibility>";

#[tokio::test]
async fn received_messages_and_an_empty_queue_are_told_apart_from_a_missing_one() {
    let server = Canned::start(vec![
        answer("200 OK", RECEIVED),
        refusal("404 Not Found", "MessageNotExist"),
        refusal("404 Not Found", "QueueNotExist"),
    ])
    .await;
    let fixture = Fixture::new(server.address);
    let receive = || fixture.client.batch_receive("q1", 99, LONG);
    let batch = receive().await.unwrap();
    assert_eq!(batch.len(), 2);
    assert!(receive().await.unwrap_err().is_empty());
    assert_eq!(receive().await.unwrap_err().kind(), "no_such_queue");
    let target = "GET /queues/q1/messages?numOfMessages=16&waitseconds=30 ";
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.starts_with(target))
    );
    let operation = Operation::BatchReceiveMessage;
    assert_eq!(
        fixture.calls(),
        ["ok", "empty", "no_such_queue"].map(|code| (operation, code, true))
    );
}

#[tokio::test]
async fn the_date_of_an_error_moves_the_clock_and_the_text_names_the_skew() {
    let server = Canned::start(vec![refusal("408 Request Timeout", "TimeExpired")]).await;
    let fixture = Fixture::new(server.address);
    let error = fixture
        .client
        .batch_receive("q1", 1, LONG)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "time_expired");
    assert!(error.to_string().contains("ahead of MNS"), "{error}");
    assert!(fixture.clock.skew_millis().unwrap() > 1_000_000);
}

#[tokio::test]
async fn a_batch_deletion_tells_which_handles_failed() {
    let partial = "<Errors><Error><ErrorCode>MessageNotExist</ErrorCode><ErrorMessage>m</ErrorMessage>\
        <ReceiptHandle>b&amp;</ReceiptHandle></Error></Errors>";
    let server = Canned::start(vec![
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec(),
        answer("404 Not Found", partial),
        refusal("404 Not Found", "QueueNotExist"),
        answer("404 Not Found", &partial.replace("b&amp;", "c")),
        answer("404 Not Found", "<Errors/>"),
        answer("200 OK", ""),
    ])
    .await;
    let fixture = Fixture::new(server.address);
    let delete = || fixture.client.batch_delete("q1", &["a", "b&"]);
    assert_eq!(delete().await.unwrap(), DeleteOutcome::default());
    assert_eq!(
        delete().await.unwrap().failed,
        [FailedDelete {
            index: 1,
            code: "MessageNotExist".to_owned()
        }]
    );
    assert_eq!(delete().await.unwrap_err().kind(), "no_such_queue");
    for _ in 0..3 {
        let error = delete().await.unwrap_err();
        assert_eq!(
            error.kind(),
            "malformed_answer",
            "confirms nothing: {error}"
        );
    }
    let codes: Vec<_> = fixture.calls().iter().map(|(_, code, _)| *code).collect();
    assert_eq!(codes[..3], ["ok", "ok", "no_such_queue"]);
    assert_eq!(codes[3..], ["malformed_answer"; 3]);
    assert!(server.requests()[0].ends_with(
        "<ReceiptHandles xmlns=\"http://mns.aliyuncs.com/doc/v1/\"><ReceiptHandle>a</ReceiptHandle>\
         <ReceiptHandle>b&amp;</ReceiptHandle></ReceiptHandles>"
    ));
}

#[tokio::test]
async fn an_endless_answer_is_given_up_at_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fixture = Fixture::new(listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut written = Vec::new();
        for head in ["Content-Length: 200000000", "Connection: close"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let megabyte = vec![b' '; 1 << 20];
            let mut megabytes = 0;
            while megabytes < 200 && stream.write_all(&megabyte).await.is_ok() {
                megabytes += 1;
            }
            written.push(megabytes);
        }
        written
    });
    for _ in 0..2 {
        let error = fixture
            .client
            .batch_receive("q1", 16, LONG)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), "too_large", "{error}");
    }
    let written = server.await.unwrap();
    assert!(
        written.iter().all(|megabytes| *megabytes < 50),
        "{written:?} MB were taken"
    );
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_of_its_own_kind() {
    let html = "<html><body>Sign in, please</body></html>";
    let truncated = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<Messages>".as_bytes();
    let server = Canned::start(vec![
        answer("200 OK", html),
        answer("502 Bad Gateway", html),
        truncated.to_vec(),
        Vec::new(),
        answer("200 OK", QUEUE),
        answer("200 OK", ""),
        answer("302 Found", ""),
        answer(
            "200 OK",
            "<Messages xmlns=\"http://mns.aliyuncs.com/doc/v1/\"></Messages>",
        ),
    ])
    .await;
    let fixture = Fixture::new(server.address);
    let (mut texts, mut kinds) = (Vec::new(), Vec::new());
    for kind in [
        "malformed_answer",
        "server_error",
        "connection",
        "connection",
        "malformed_answer",
        "malformed_answer",
        "malformed_answer",
        "malformed_answer",
    ] {
        let error = fixture
            .client
            .batch_receive("q1", 16, LONG)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        texts.push(error.to_string());
        kinds.push(kind);
    }
    assert!(
        texts[0].contains("<html>") && !texts[0].contains("Sign in"),
        "{}",
        texts[0]
    );
    let codes: Vec<_> = fixture.calls().iter().map(|(_, code, _)| *code).collect();
    assert_eq!(codes, kinds, "counted as what it is, and never repeated");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_times_out_after_the_long_poll_and_a_margin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fixture = Fixture::new(listener.local_addr().unwrap());
    let started = tokio::time::Instant::now();
    let error = fixture
        .client
        .batch_receive("q1", 16, LONG)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "timeout", "{error}");
    assert!(error.is_retryable());
    assert_eq!(started.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_three_times_where_that_may_help() {
    let server = Canned::start(vec![
        refusal("429 Too Many Requests", "TooManyRequests"),
        refusal("500 Internal Server Error", "InternalError"),
        answer("200 OK", QUEUE),
        refusal("503 Unavailable", "Busy"),
        refusal("503 Unavailable", "Busy"),
        refusal("503 Unavailable", "Busy"),
        refusal("403 Forbidden", "AccessDenied"),
    ])
    .await;
    let fixture = Fixture::new(server.address);
    let queue = fixture.client.queue_attributes("q1").await.unwrap();
    assert_eq!(
        (queue.name.as_str(), queue.active_messages),
        ("q1", Some(20))
    );
    let error = fixture.client.batch_peek("q1", 16).await.unwrap_err();
    assert_eq!(error.kind(), "server_error");
    let error = fixture.client.peek("q1").await.unwrap_err();
    assert_eq!(error.kind(), "access_denied");
    let codes: Vec<_> = fixture.calls().iter().map(|(_, code, _)| *code).collect();
    let failed = "server_error";
    assert_eq!(
        codes,
        [
            "throttled",
            failed,
            "ok",
            failed,
            failed,
            failed,
            "access_denied"
        ]
    );
}

#[tokio::test]
async fn queues_are_listed_page_by_page_with_signed_headers() {
    let page = |name: &str, marker: &str| {
        answer(
            "200 OK",
            &format!(
                "<Queues><Queue><QueueURL>http://1.mns.r.aliyuncs.com/queues/{name}</QueueURL>\
                 <ActiveMessages>7</ActiveMessages></Queue><NextMarker>{marker}</NextMarker></Queues>"
            ),
        )
    };
    let server = Canned::start(vec![page("vod-a", "bWFyaw=="), page("vod-b", "")]).await;
    let fixture = Fixture::new(server.address);
    let queues = fixture.client.list_queues("vod-").await.unwrap();
    let names: Vec<_> = queues.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(names, ["vod-a", "vod-b"]);
    let second = &server.requests()[1];
    let names = [
        "content-type",
        "date",
        "x-mns-version",
        "x-mns-ret-number",
        "x-mns-with-meta",
        "x-mns-prefix",
        "x-mns-marker",
    ];
    let headers = names.map(|name| (name, header(second, name).unwrap()));
    assert_eq!(headers[6].1, "bWFyaw==");
    let signed = sign::Request {
        method: "GET",
        target: "/queues",
        headers: &headers,
    };
    assert_eq!(
        header(second, "authorization"),
        Some(sign::v2(&signed, "LTAI", "hunter2").as_str())
    );
}

#[tokio::test]
async fn a_batch_send_tells_of_each_message_and_stops_after_a_failed_call() {
    let partial =
        "<Messages><Message><ErrorCode>Busy</ErrorCode><ErrorMessage>m</ErrorMessage></Message>";
    let ok =
        "<Message><MessageId>1</MessageId><MessageBodyMD5>2</MessageBodyMD5></Message>".repeat(15);
    let server = Canned::start(vec![
        answer(
            "500 Internal Server Error",
            &format!("{partial}{ok}</Messages>"),
        ),
        refusal("403 Forbidden", "AccessDenied"),
    ])
    .await;
    let fixture = Fixture::new(server.address);
    let message = Outgoing {
        body: "<body>",
        priority: Some(3),
        ..Outgoing::default()
    };
    let results = fixture.client.batch_send("q1", &[message; 40]).await;
    assert_eq!(results.len(), 40);
    assert!(matches!(&results[0], Err(SendFailure::Entry(entry)) if entry.code == "Busy"));
    assert!(results[1..16].iter().all(Result::is_ok));
    assert!(results[16..].iter().all(|result| {
        matches!(result, Err(SendFailure::Call(error)) if error.kind() == "access_denied")
    }));
    assert_eq!(fixture.calls().len(), 2);
    assert!(
        server.requests()[0]
            .contains("<MessageBody>&lt;body&gt;</MessageBody><Priority>3</Priority>")
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_written_is_no_attempt() {
    let fixture = Fixture::with(([127, 0, 0, 1], 1).into(), sign::Version::V4);
    let error = fixture.client.queue_attributes("q1").await.unwrap_err();
    assert_eq!(error.kind(), "invalid_request");
    assert!(error.to_string().contains("region"), "{error}");
    let error = fixture
        .client
        .send(
            "q1",
            Outgoing {
                body: "\u{1}",
                ..Outgoing::default()
            },
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "invalid_request");
    assert!(error.to_string().contains("U+0001"), "{error}");
    assert_eq!(fixture.calls(), []);
}
