//! The emulator over real HTTP: statuses, bodies, signatures, long polls and faults.

#[path = "support/raw_http.rs"]
mod support;

use std::io::BufRead as _;
use std::time::Duration;

use serde_json::json;
use vod_callback_exporter::clock;
use vod_callback_exporter::emulator::{
    Behaviour, ContentMd5, Counters, DeadLetterPolicy, Fault, FaultRule, Operation, Options,
};

use support::{Client, Emulator, Reply};

const MESSAGES: &str = "/queues/q/messages";

fn message(body: &str) -> String {
    format!(
        "<Message xmlns=\"http://mns.aliyuncs.com/doc/v1/\"><MessageBody>{body}</MessageBody></Message>"
    )
}

fn escaped(handle: &str) -> String {
    handle
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

async fn receive(client: &Client) -> Reply {
    let reply = client.get(MESSAGES).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply
}

#[tokio::test]
async fn a_message_lives_from_send_to_delete() {
    let emulator = Emulator::start();
    let client = &emulator.client;
    let sent = client
        .post(MESSAGES, &message("a&lt;b&gt;&amp;&quot;c"))
        .await;
    assert_eq!(sent.status, 201);
    assert_eq!(
        sent.text("MessageBodyMD5").to_uppercase(),
        sent.text("MessageBodyMD5")
    );
    assert!(
        sent.all("ReceiptHandle").is_empty(),
        "only delayed messages have one"
    );
    assert_eq!(sent.header("x-mns-request-id").unwrap().len(), 24);
    assert_eq!(
        sent.header("content-type").unwrap(),
        "text/xml;charset=utf-8"
    );

    let peeked = client.get("/queues/q/messages?peekonly=true").await;
    assert_eq!(peeked.status, 200);
    for element in ["MessageId", "MessageBodyMD5", "MessageBody", "EnqueueTime"] {
        assert!(!peeked.text(element).is_empty());
    }
    assert_eq!(peeked.text("DequeueCount"), "0");
    assert_eq!(peeked.text("FirstDequeueTime"), peeked.text("EnqueueTime"));
    assert_eq!(peeked.text("Priority"), "8");
    assert!(peeked.all("ReceiptHandle").is_empty() && peeked.all("NextVisibleTime").is_empty());

    let received = receive(client).await;
    assert_eq!(received.text("MessageBody"), "a&lt;b&gt;&amp;&quot;c");
    assert_eq!(received.text("MessageId"), sent.text("MessageId"));
    assert_eq!(received.text("DequeueCount"), "1");
    let handle = received.text("ReceiptHandle");
    let gone = client
        .delete(&format!("{MESSAGES}?ReceiptHandle={handle}"))
        .await;
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    assert!(gone.header("x-mns-request-id").is_some());
    let stale = client
        .delete(&format!("{MESSAGES}?ReceiptHandle={handle}"))
        .await;
    assert_eq!(stale.error(), (404, "MessageNotExist".to_owned()));
    assert_eq!(stale.text("HostId"), format!("http://{}", client.address));
    assert_eq!(
        stale.text("RequestId"),
        stale.header("x-mns-request-id").unwrap()
    );
    emulator.stop().await;
}

#[tokio::test]
async fn handles_arrive_raw_or_escaped_and_under_both_spellings() {
    let emulator = Emulator::start();
    let client = &emulator.client;
    emulator.handle.send("q", "x").unwrap();
    let handle = receive(client).await.text("ReceiptHandle");
    let camel = format!("{MESSAGES}?receiptHandle={handle}&visibilityTimeout=60");
    let changed = client.put(&camel, "").await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let old = client.put(&camel, "").await;
    assert_eq!(old.error(), (404, "MessageNotExist".to_owned()));
    let next = escaped(&changed.text("ReceiptHandle"));
    let pascal = format!("{MESSAGES}?ReceiptHandle={next}&VisibilityTimeout=60");
    let changed = client.put(&pascal, "").await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let last = changed.text("ReceiptHandle");
    let spaced = last.replace('+', "%20");
    let spaced = client
        .delete(&format!("{MESSAGES}?ReceiptHandle={spaced}"))
        .await;
    assert_eq!(spaced.error(), (400, "ReceiptHandleError".to_owned()));
    let last = escaped(&last);
    assert_eq!(
        client
            .delete(&format!("{MESSAGES}?ReceiptHandle={last}"))
            .await
            .status,
        204
    );
    for (target, code) in [
        ("?ReceiptHandle=", "MissingReceiptHandle"),
        ("", "MissingReceiptHandle"),
    ] {
        let reply = client.delete(&format!("{MESSAGES}{target}")).await;
        assert_eq!(reply.error(), (400, code.to_owned()));
    }
    let missing = client.put(&format!("{MESSAGES}?ReceiptHandle=x"), "").await;
    assert_eq!(
        missing.error(),
        (400, "MissingVisibilityTimeout".to_owned())
    );
    emulator.stop().await;
}

#[tokio::test]
async fn batches_fail_in_part() {
    let emulator = Emulator::start();
    let client = &emulator.client;
    let batch = "<Messages><Message><MessageBody>a</MessageBody></Message>\
                 <Message><MessageBody>b</MessageBody><Priority>99</Priority></Message></Messages>";
    let sent = client.post(MESSAGES, batch).await;
    assert_eq!(sent.status, 500);
    assert_eq!(
        (sent.all("MessageId").len(), sent.text("ErrorCode")),
        (1, "InvalidArgument".to_owned())
    );
    let switched = Behaviour {
        partial_batch_send_status: 200,
        partial_batch_delete_status: 200,
        ..Behaviour::default()
    };
    emulator.handle.set_behaviour(switched);
    assert_eq!(client.post(MESSAGES, batch).await.status, 200);
    emulator.handle.set_behaviour(Behaviour::default());

    let received = client.get(&format!("{MESSAGES}?numOfMessages=16")).await;
    let handles = received.all("ReceiptHandle");
    assert_eq!(handles.len(), 2);
    let body = |handles: &[&str]| {
        let handles = handles.join("</ReceiptHandle><ReceiptHandle>");
        format!(
            "<ReceiptHandles xmlns=\"http://mns.aliyuncs.com/doc/v1\"><ReceiptHandle>{handles}</ReceiptHandle></ReceiptHandles>"
        )
    };
    let partial = client
        .send("DELETE", MESSAGES, &body(&[&handles[0], "garbage"]))
        .await
        .unwrap();
    assert_eq!(partial.status, 404);
    assert_eq!(partial.text("ErrorCode"), "ReceiptHandleError");
    assert_eq!(partial.all("ReceiptHandle"), ["garbage"]);
    assert_eq!(emulator.handle.state().queues["q"].totals.deleted, 1);
    let whole = client
        .send("DELETE", MESSAGES, &body(&[&handles[1]]))
        .await
        .unwrap();
    assert_eq!(whole.status, 204);

    let large = "y".repeat(33_000);
    let too_large = format!("<Messages>{0}{0}</Messages>", message(&large));
    assert_eq!(client.post(MESSAGES, &too_large).await.error().0, 400);
    let many = format!("<Messages>{}</Messages>", message("x").repeat(17));
    assert_eq!(
        client.post(MESSAGES, &many).await.error().1,
        "InvalidArgument"
    );
    assert_eq!(
        client.post(MESSAGES, "<Message>").await.error().1,
        "MalformedXML"
    );
    emulator.stop().await;
}

#[tokio::test]
async fn batch_sizes_out_of_range_are_refused_or_clamped() {
    let emulator = Emulator::start();
    emulator.handle.send("q", "x").unwrap();
    let target = format!("{MESSAGES}?peekonly=true&numOfMessages=17");
    let refused = emulator.client.get(&target).await;
    assert_eq!(refused.error(), (400, "InvalidArgument".to_owned()));
    emulator.handle.set_behaviour(Behaviour {
        clamp_batch_size: true,
        ..Behaviour::default()
    });
    assert_eq!(emulator.client.get(&target).await.status, 200);
    emulator.stop().await;
}

#[tokio::test]
async fn queues_are_created_listed_changed_and_deleted() {
    let emulator = Emulator::start();
    let client = &emulator.client;
    let attributes = "<Queue><VisibilityTimeout>60</VisibilityTimeout></Queue>";
    let created = client.put("/queues/other", attributes).await;
    assert_eq!(created.status, 201);
    let url = format!("http://{}/queues/other", client.address);
    assert_eq!(created.header("location"), Some(url.as_str()));
    assert_eq!(client.put("/queues/other", attributes).await.status, 204);
    assert_eq!(
        client.put("/queues/other", "<Queue/>").await.error(),
        (409, "QueueAlreadyExist".to_owned())
    );
    let bad = "<Queue><PollingWaitSeconds>31</PollingWaitSeconds></Queue>";
    assert_eq!(
        client.put("/queues/o2", bad).await.error().1,
        "InvalidArgument"
    );
    let changed = "<Queue><PollingWaitSeconds>5</PollingWaitSeconds></Queue>";
    assert_eq!(
        client
            .put("/queues/other?metaoverride=true", changed)
            .await
            .status,
        204
    );
    let shown = client.get("/queues/other").await;
    assert_eq!(
        (
            shown.text("VisibilityTimeout"),
            shown.text("PollingWaitSeconds")
        ),
        ("60".to_owned(), "5".to_owned())
    );
    assert_eq!(shown.text("LoggingEnabled"), "False");
    assert_eq!(shown.text("CreateTime").len(), 10, "seconds");

    let page = client
        .with_header("x-mns-ret-number", "1")
        .get("/queues")
        .await;
    assert_eq!(page.all("QueueURL"), [url]);
    let marker = page.text("NextMarker");
    let next = client.with_header("x-mns-marker", &marker);
    let last = next
        .with_header("x-mns-with-meta", "true")
        .get("/queues")
        .await;
    assert_eq!(last.text("QueueName"), "q");
    assert!(last.all("NextMarker").is_empty());
    let none = client
        .with_header("x-mns-prefix", "zzz")
        .get("/queues")
        .await;
    assert_eq!((none.status, none.all("Queue").len()), (200, 0));

    assert_eq!(client.delete("/queues/other").await.status, 204);
    assert_eq!(
        client.get("/queues/other").await.error(),
        (404, "QueueNotExist".to_owned())
    );
    assert_eq!(client.delete("/queues/other").await.status, 204);
    emulator.handle.set_behaviour(Behaviour {
        delete_missing_queue_status: 404,
        ..Behaviour::default()
    });
    assert_eq!(
        client.delete("/queues/other").await.error().1,
        "QueueNotExist"
    );
    assert_eq!(client.get("/nothing").await.error().1, "InvalidRequestURL");
    emulator.stop().await;
}

#[tokio::test]
async fn requests_are_held_against_date_key_and_signature() {
    let emulator = Emulator::start();
    let ok = &emulator.client;
    let late = clock::now().minus(Duration::from_mins(16)).http_date();
    let early = clock::now().plus(Duration::from_mins(14)).http_date();
    let bend = |change: &dyn Fn(&mut Client)| {
        let mut client = ok.clone();
        change(&mut client);
        client
    };
    for (client, expected) in [
        (
            bend(&|client| client.secret = "WRONG".to_owned()),
            (403, "SignatureDoesNotMatch"),
        ),
        (
            bend(&|client| client.id = "NOBODY".to_owned()),
            (403, "InvalidAccessKeyId"),
        ),
        (
            bend(&|client| client.date = Some(late.clone())),
            (408, "TimeExpired"),
        ),
        (
            bend(&|client| client.date = Some("yesterday".to_owned())),
            (400, "InvalidDateHeader"),
        ),
        (
            bend(&|client| client.without = vec!["Date"]),
            (400, "MissingDateHeader"),
        ),
        (
            bend(&|client| client.without = vec!["Authorization"]),
            (400, "MissingAuthorizationHeader"),
        ),
        (
            bend(&|client| client.without = vec!["x-mns-version"]),
            (400, "MissingVersionHeader"),
        ),
        (
            ok.with_header("Content-MD5", "AAAA"),
            (400, "InvalidDegist"),
        ),
    ] {
        let reply = client.get("/queues/q").await;
        assert_eq!(reply.error(), (expected.0, expected.1.to_owned()));
    }
    let md5_of_hex = "ZDQxZDhjZDk4ZjAwYjIwNGU5ODAwOTk4ZWNmODQyN2U=";
    for client in [
        ok.with_header("Content-MD5", md5_of_hex),
        ok.with_header("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ok.with_header("x-mns-date", &clock::now().http_date()),
        bend(&|client| client.date = Some(early.clone())),
        bend(&|client| client.v4_region = Some("cn-shanghai".to_owned())),
    ] {
        assert_eq!(client.get("/queues/q").await.status, 200);
    }
    emulator.handle.set_behaviour(Behaviour {
        accept_signature_v4: false,
        ..Behaviour::default()
    });
    let v4 = bend(&|client| client.v4_region = Some("cn-shanghai".to_owned()));
    assert_eq!(
        v4.get("/queues/q").await.error().1,
        "InvalidAuthorizationHeader"
    );
    emulator.stop().await;
}

#[tokio::test]
async fn a_temporary_key_needs_its_token() {
    let mut options = Options::new("ID", "SECRET");
    options.credentials.security_token = Some("TOKEN".to_owned());
    let emulator = Emulator::with(options);
    let client = &emulator.client;
    assert_eq!(
        client.get("/queues/q").await.error(),
        (403, "InvalidAccessKeyId".to_owned())
    );
    let wrong = client.with_header("security-token", "OLD");
    assert_eq!(
        wrong.get("/queues/q").await.error(),
        (403, "SecurityTokenExpired".to_owned())
    );
    let right = client.with_header("security-token", "TOKEN");
    assert_eq!(right.get("/queues/q").await.status, 200);
    let rotated = r#"{"access_key_id":"NEW","access_key_secret":"S2"}"#;
    assert_eq!(client.control("POST", "credentials", rotated).await.0, 200);
    assert_eq!(right.get("/queues/q").await.error().1, "InvalidAccessKeyId");
    emulator.stop().await;
}

/// Starts a long poll and returns once it waits.
async fn park(emulator: &Emulator, seconds: u32) -> tokio::task::JoinHandle<Reply> {
    let client = emulator.client.clone();
    let before = emulator.handle.state().parked_polls;
    let poll = tokio::spawn(async move {
        client
            .get(&format!(
                "{MESSAGES}?numOfMessages=16&waitseconds={seconds}"
            ))
            .await
    });
    while emulator.handle.state().parked_polls == before {
        tokio::task::yield_now().await;
    }
    poll
}

#[tokio::test]
async fn a_long_poll_ends_with_a_message_or_by_the_emulators_clock() {
    let emulator = Emulator::start();
    let poll = park(&emulator, 30).await;
    emulator.handle.send("q", "x").unwrap();
    assert_eq!(poll.await.unwrap().all("MessageId").len(), 1);

    let poll = park(&emulator, 20).await;
    emulator.handle.advance(Duration::from_secs(21));
    assert_eq!(
        poll.await.unwrap().error(),
        (404, "MessageNotExist".to_owned())
    );

    let poll = park(&emulator, 30).await;
    emulator.handle.advance(Duration::from_secs(10));
    assert_eq!(
        poll.await.unwrap().text("DequeueCount"),
        "2",
        "visible again after 31 s"
    );

    let poll = park(&emulator, 30).await;
    assert!(emulator.handle.delete_queue("q"));
    assert_eq!(poll.await.unwrap().error().1, "QueueNotExist");
    assert_eq!(emulator.handle.state().parked_polls, 0);
    emulator.stop().await;
}

#[tokio::test]
async fn a_long_poll_notices_new_timers_and_dead_letters() {
    let emulator = Emulator::start();
    let client = &emulator.client;
    let policy = DeadLetterPolicy {
        target: "q".to_owned(),
        max_receive_count: 1,
    };
    client.put("/queues/source", "").await;
    emulator
        .handle
        .set_dead_letter("source", Some(policy))
        .unwrap();
    emulator.handle.send("source", "poison").unwrap();
    client.get("/queues/source/messages").await;
    emulator.handle.advance(Duration::from_secs(30));
    client.get("/queues/source/messages").await;
    let poll = park(&emulator, 30).await;
    emulator.handle.advance(Duration::from_millis(29_950));
    assert!(
        poll.await.unwrap().text("Value").contains("queue"),
        "50 ms later by itself"
    );

    let handle = {
        emulator.handle.send("q", "x").unwrap();
        escaped(&receive(client).await.text("ReceiptHandle"))
    };
    let poll = park(&emulator, 30).await;
    let target = format!("{MESSAGES}?ReceiptHandle={handle}&VisibilityTimeout=1");
    assert_eq!(client.put(&target, "").await.status, 200);
    emulator.handle.advance(Duration::from_millis(950));
    assert_eq!(poll.await.unwrap().text("DequeueCount"), "2");
    emulator.stop().await;
}

#[tokio::test]
async fn counters_and_delayed_messages_show_as_switched() {
    let emulator = Emulator::start();
    let client = &emulator.client;
    let delayed = "<Message><MessageBody>x</MessageBody><DelaySeconds>9</DelaySeconds></Message>";
    assert!(
        client
            .post(MESSAGES, delayed)
            .await
            .text("ReceiptHandle")
            .contains('+')
    );
    assert_eq!(client.get("/queues/q").await.text("DelayMessages"), "1");
    let peek = format!("{MESSAGES}?peekonly=true");
    assert_eq!(client.get(&peek).await.error().1, "MessageNotExist");
    emulator.handle.set_behaviour(Behaviour {
        counters: Counters::Absent,
        peek_shows_delayed: true,
        ..Behaviour::default()
    });
    assert_eq!(client.get(&peek).await.text("MessageBody"), "x");
    assert!(
        client
            .get("/queues/q")
            .await
            .all("DelayMessages")
            .is_empty()
    );
    emulator.handle.set_behaviour(Behaviour {
        counters_lag_millis: 5000,
        ..Behaviour::default()
    });
    assert_eq!(client.get("/queues/q").await.text("DelayMessages"), "1");
    emulator.handle.purge("q").unwrap();
    assert_eq!(
        client.get("/queues/q").await.text("DelayMessages"),
        "1",
        "late"
    );
    emulator.handle.advance(Duration::from_secs(5));
    assert_eq!(client.get("/queues/q").await.text("DelayMessages"), "0");
    emulator.stop().await;
}

#[tokio::test]
async fn a_body_beyond_any_legal_size_is_refused() {
    let emulator = Emulator::start();
    // The rest of the body is read all the same: a client that still writes would see a reset instead of the answer.
    for bytes in [(2 << 20) + 1, 5_000_000] {
        let huge = message(&"x".repeat(bytes));
        let refused = emulator.client.post(MESSAGES, &huge).await;
        assert_eq!(refused.error(), (400, "InvalidArgument".to_owned()));
    }
    let huge = "x".repeat(5_000_000);
    let (status, answer) = emulator.client.control("POST", "advance", &huge).await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("2 MiB"));
    let limit = message(&"x".repeat(65_537));
    assert_eq!(
        emulator.client.post(MESSAGES, &limit).await.error().1,
        "InvalidArgument"
    );
    assert_eq!(emulator.handle.state().queues["q"].totals.sent, 0);
    emulator.stop().await;
}

fn emulate(listen: &str) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
    command
        .args([
            "emulate",
            "--access-key-id=ID",
            "--access-key-secret=SECRET",
            "--queue=q",
        ])
        .arg(format!("--listen={listen}"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

#[test]
fn a_command_that_cannot_be_served_says_which_flag_is_wrong() {
    for (arguments, expected) in [
        (
            [
                "--listen=nonsense",
                "--access-key-id=a",
                "--access-key-secret=s",
            ],
            "HOST:PORT",
        ),
        (
            ["--listen=:0", "--access-key-id=", "--access-key-secret=s"],
            "--access-key-id is empty",
        ),
        (
            [
                "--listen=:0",
                "--access-key-id=a/b",
                "--access-key-secret=s",
            ],
            "--access-key-id cannot be sent",
        ),
        (
            ["--listen=:0", "--access-key-id=a", "--access-key-secret="],
            "--access-key-secret is empty",
        ),
    ] {
        let refused = std::process::Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"))
            .arg("emulate")
            .args(arguments)
            .output()
            .unwrap();
        assert!(!refused.status.success());
        let error = String::from_utf8(refused.stderr).unwrap();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_command_listens_on_a_name_or_on_every_address() {
    for (listen, everywhere) in [("localhost:0", false), (":0", true)] {
        let mut child = emulate(listen).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufReader::new(stdout)
            .read_line(&mut line)
            .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let address = line.trim().strip_prefix("Listening on http://").unwrap();
        let address: std::net::SocketAddr = address.parse().unwrap();
        assert_eq!(address.ip().is_unspecified(), everywhere, "{address}");
    }
}

#[test]
fn the_command_says_where_it_listens_and_ends_on_a_signal() {
    let mut child = emulate("127.0.0.1:0").spawn().unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    std::io::BufReader::new(stdout)
        .read_line(&mut line)
        .unwrap();
    let address = line
        .trim()
        .strip_prefix("Listening on http://")
        .unwrap()
        .to_owned();
    let taken = emulate(&address).output().unwrap();
    assert_eq!(taken.status.code(), Some(1));
    let error = String::from_utf8(taken.stderr).unwrap();
    assert!(
        error.contains(&address) && error.contains("--listen"),
        "{error}"
    );
    let kill = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn long_polls_over_the_ceiling_end_at_once_and_the_others_end_with_the_server() {
    let emulator = Emulator::start();
    emulator.handle.set_behaviour(Behaviour {
        max_long_polls: Some(1),
        ..Behaviour::default()
    });
    let poll = park(&emulator, 30).await;
    let excess = emulator
        .client
        .get(&format!("{MESSAGES}?waitseconds=30"))
        .await;
    assert_eq!(excess.error(), (404, "MessageNotExist".to_owned()));
    emulator.stop().await;
    assert!(poll.await.is_err(), "closed without an answer");
}

#[tokio::test]
async fn a_client_that_goes_away_takes_no_message() {
    let emulator = Emulator::start();
    let poll = park(&emulator, 30).await;
    poll.abort();
    while emulator.handle.state().parked_polls > 0 {
        tokio::task::yield_now().await;
    }
    emulator.handle.send("q", "x").unwrap();
    assert_eq!(emulator.handle.state().queues["q"].counts.active, 1);
    emulator.stop().await;
}

#[tokio::test]
async fn refusals_have_no_effect() {
    let emulator = Emulator::start();
    for (fault, expected) in [
        (Fault::TooManyRequests, (429, "TooManyRequests")),
        (Fault::AccessDenied, (403, "AccessDenied")),
        (Fault::InternalError, (500, "InternalError")),
        (Fault::ServiceUnavailable, (503, "ServiceUnavailable")),
        (Fault::ExpiredToken, (403, "SecurityTokenExpired")),
        (
            Fault::JudgeSkew {
                millis: 16 * 60_000,
            },
            (408, "TimeExpired"),
        ),
    ] {
        emulator.handle.set_faults(vec![FaultRule::next(fault, 1)]);
        let reply = emulator.client.post(MESSAGES, &message("x")).await;
        assert_eq!(reply.error(), (expected.0, expected.1.to_owned()));
    }
    emulator
        .handle
        .set_faults(vec![FaultRule::next(Fault::ResetBefore, 1)]);
    let reset = emulator.client.send("POST", MESSAGES, &message("x")).await;
    assert_eq!(
        reset.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    let state = emulator.handle.state();
    assert_eq!(state.queues["q"].totals.sent, 0);
    assert_eq!(state.calls_of(Operation::SendMessage, "reset"), 1);
    assert_eq!(
        emulator.client.post(MESSAGES, &message("x")).await.status,
        201,
        "used up"
    );
    emulator.stop().await;
}

#[tokio::test]
async fn spoilt_answers_come_after_the_effect() {
    let emulator = Emulator::start();
    let strike = |fault| emulator.handle.set_faults(vec![FaultRule::next(fault, 1)]);
    let sent = || emulator.handle.state().queues["q"].totals.sent;
    strike(Fault::ResetAfter);
    let reset = emulator.client.send("POST", MESSAGES, &message("x")).await;
    assert_eq!(
        reset.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    assert_eq!(sent(), 1);
    strike(Fault::Truncated);
    let cut = emulator.client.post(MESSAGES, &message("x")).await;
    let announced: usize = cut.header("content-length").unwrap().parse().unwrap();
    assert_eq!((cut.status, cut.body.len()), (201, announced / 2));
    assert_eq!(sent(), 2);
    strike(Fault::Garbage);
    assert!(
        emulator
            .client
            .post(MESSAGES, &message("x"))
            .await
            .body
            .contains("not xml")
    );
    strike(Fault::Html);
    let page = emulator.client.post(MESSAGES, &message("x")).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html"))
    );
    assert!(page.body.contains("<html>"));
    strike(Fault::Huge { mebibytes: 2 });
    let huge = emulator.client.post(MESSAGES, &message("x")).await;
    assert_eq!(huge.text("MessageBody").len(), 2 << 20);
    assert_eq!(sent(), 5);
    strike(Fault::ClockSkew { millis: 3_600_000 });
    let skewed = emulator.client.get("/queues/q").await;
    let date = clock::UnixMillis::parse_http_date(skewed.header("date").unwrap()).unwrap();
    assert!(date.millis_since(clock::now()) > 3_500_000);
    emulator.stop().await;
}

#[tokio::test]
async fn redelivery_duplicates_and_counters() {
    let emulator = Emulator::start();
    let client = &emulator.client;
    emulator.handle.set_faults(vec![
        FaultRule::next(Fault::DuplicateEnqueue, 1).on(Operation::SendMessage),
        FaultRule::next(Fault::Redeliver, 1),
        FaultRule::next(Fault::CountersZero, 1).of_queue("q"),
    ]);
    client.post(MESSAGES, &message("x")).await;
    assert_eq!(client.get("/queues/q").await.text("ActiveMessages"), "0");
    assert_eq!(client.get("/queues/q").await.text("ActiveMessages"), "2");
    let received = client.get(&format!("{MESSAGES}?numOfMessages=16")).await;
    assert_eq!(received.all("MessageBody"), ["x", "x"]);
    for handle in received.all("ReceiptHandle") {
        let target = format!("{MESSAGES}?ReceiptHandle={}", escaped(&handle));
        assert_eq!(client.delete(&target).await.status, 204);
    }
    let again = receive(client).await;
    assert_eq!(again.text("DequeueCount"), "2");
    assert!(received.all("MessageId").contains(&again.text("MessageId")));
    let totals = emulator.handle.state().queues["q"].totals;
    assert_eq!(
        (
            totals.sent,
            totals.duplicated,
            totals.deleted,
            totals.brought_back
        ),
        (2, 1, 1, 1)
    );
    assert_eq!((totals.received, totals.first_received), (3, 2));
    emulator.stop().await;
}

#[tokio::test]
async fn bodies_come_with_quotes_bare_or_escaped() {
    let emulator = Emulator::start();
    emulator.handle.send("q", r#"{"a":1}"#).unwrap();
    let target = format!("{MESSAGES}?peekonly=true");
    assert_eq!(
        emulator.client.get(&target).await.text("MessageBody"),
        "{&quot;a&quot;:1}"
    );
    emulator.handle.set_behaviour(Behaviour {
        escape_quotes: false,
        ..Behaviour::default()
    });
    assert_eq!(
        emulator.client.get(&target).await.text("MessageBody"),
        r#"{"a":1}"#
    );
    emulator.stop().await;
}

#[tokio::test]
async fn control_speaks_json_and_explains_itself() {
    let emulator = Emulator::start();
    let client = &emulator.client;
    emulator.handle.send("q", "x").unwrap();
    let (status, state) = client.control("GET", "state?messages=true", "").await;
    assert_eq!(status, 200);
    assert_eq!(
        state["queues"]["q"]["counts"],
        json!({"active": 1, "inactive": 0, "delayed": 0})
    );
    assert_eq!(state["queues"]["q"]["messages"][0]["dequeue_count"], 0);
    let before = emulator.handle.now();
    let (_, advanced) = client
        .control("POST", "advance", r#"{"millis": 5000}"#)
        .await;
    assert!(advanced["now"].as_i64().unwrap() >= before.0 + 5000);
    let faults = r#"{"add": [{"fault": {"slow": {"millis": 1}}, "share": 0.5}]}"#;
    assert_eq!(
        client.control("POST", "faults", faults).await.1,
        json!([{"fault": {"slow": {"millis": 1}}, "share": 0.5}])
    );
    let (_, behaviour) = client
        .control("POST", "behaviour", r#"{"counters": "zero"}"#)
        .await;
    assert_eq!(behaviour["counters"], "zero");
    assert_eq!(client.get("/queues/q").await.text("ActiveMessages"), "0");
    client.put("/queues/dead", "").await;
    let policy = r#"{"queue": "q", "target": "dead", "max_receive_count": 3}"#;
    assert_eq!(client.control("POST", "dead-letter", policy).await.0, 200);
    assert_eq!(
        client.control("POST", "purge", r#"{"queue": "q"}"#).await.1,
        json!({"purged": 1})
    );
    for (path, body, named) in [
        ("advance", "{", "JSON"),
        ("advance", r#"{"millis": -1}"#, "-1"),
        ("faults", r#"{"add": [{"fault": "explode"}]}"#, "explode"),
        (
            "faults",
            r#"{"add": [{"fault": "html", "share": 2.0}]}"#,
            "share",
        ),
        ("behaviour", r#"{"nonsense": 1}"#, "nonsense"),
        (
            "dead-letter",
            r#"{"queue": "q", "target": "dead"}"#,
            "max_receive_count",
        ),
        ("purge", r#"{"queue": "nope"}"#, "QueueNotExist"),
        ("advance", r#"{"millis": 253402300800000}"#, "9999"),
        ("advance", r#"{"millis": 18446744073709551615}"#, "9999"),
        (
            "credentials",
            r#"{"access_key_id": "", "access_key_secret": "s"}"#,
            "access_key_id is empty",
        ),
        (
            "credentials",
            r#"{"access_key_id": "a:b", "access_key_secret": "s"}"#,
            "without : and /",
        ),
        (
            "credentials",
            r#"{"access_key_id": "a\u0007", "access_key_secret": "s"}"#,
            "access_key_id",
        ),
        (
            "credentials",
            r#"{"access_key_id": "a", "access_key_secret": ""}"#,
            "access_key_secret is empty",
        ),
    ] {
        let (status, answer) = client.control("POST", path, body).await;
        assert_eq!(status, 400);
        let text = answer["error"].as_str().unwrap();
        assert!(text.contains(named), "{text}");
    }
    assert!(
        emulator.handle.now().since(before) < Duration::from_mins(5),
        "a refused step is not taken"
    );
    assert_eq!(client.get("/queues/q").await.status, 200, "nor is a key");
    assert_eq!(client.control("GET", "nowhere", "").await.0, 404);
    emulator.stop().await;
}

#[tokio::test]
async fn what_the_documents_leave_open_can_be_either_way() {
    let emulator = Emulator::start();
    let client = &emulator.client;
    let put = |behaviour| emulator.handle.set_behaviour(behaviour);

    // Base64 of the MD5 of an empty body, and of its hex text.
    let digest = client.with_header("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==");
    let hex = client.with_header(
        "Content-MD5",
        "ZDQxZDhjZDk4ZjAwYjIwNGU5ODAwOTk4ZWNmODQyN2U=",
    );
    for (form, digest_status, hex_status) in [
        (ContentMd5::Either, 200, 200),
        (ContentMd5::Hex, 400, 200),
        (ContentMd5::Digest, 200, 400),
    ] {
        put(Behaviour {
            content_md5_form: form,
            ..Behaviour::default()
        });
        assert_eq!(
            digest.get("/queues").await.status,
            digest_status,
            "{form:?}"
        );
        assert_eq!(hex.get("/queues").await.status, hex_status, "{form:?}");
    }

    put(Behaviour {
        sign_decoded_target: true,
        ..Behaviour::default()
    });
    assert_eq!(client.get("/queues/q").await.status, 200);
    let escaped = client.get("/queues/%71").await;
    assert_eq!(escaped.error(), (403, "SignatureDoesNotMatch".to_owned()));

    let foreign = "<Message xmlns=\"http://example.test/\"><MessageBody>a</MessageBody></Message>";
    let none = "<Message><MessageBody>a</MessageBody></Message>";
    put(Behaviour::default());
    assert_eq!(client.post(MESSAGES, foreign).await.status, 201);
    put(Behaviour {
        check_namespace: true,
        ..Behaviour::default()
    });
    let refused = client.post(MESSAGES, foreign).await;
    assert_eq!(refused.error(), (400, "MalformedXML".to_owned()));
    assert_eq!(client.post(MESSAGES, none).await.status, 201);
    assert_eq!(client.post(MESSAGES, &message("a")).await.status, 201);

    let with_meta = client.with_header("x-mns-with-meta", "true");
    let told = with_meta.get("/queues").await;
    assert_eq!(told.all("ActiveMessages").len(), 1, "{}", told.body);
    put(Behaviour {
        list_with_meta: false,
        deleted_recently_millis: 60_000,
        ..Behaviour::default()
    });
    let bare = with_meta.get("/queues").await;
    assert!(bare.all("ActiveMessages").is_empty(), "{}", bare.body);

    assert_eq!(client.delete("/queues/q").await.status, 204);
    let queue = "<Queue xmlns=\"http://mns.aliyuncs.com/doc/v1/\"></Queue>";
    let early = client.put("/queues/q", queue).await;
    assert_eq!(early.error(), (400, "QueueDeletedRecently".to_owned()));
    emulator.handle.advance(Duration::from_mins(1));
    assert_eq!(client.put("/queues/q", queue).await.status, 201);
}

#[tokio::test]
async fn policies_say_what_the_caller_may_do() {
    let emulator = Emulator::start();
    let (client, put) = (&emulator.client, |it| emulator.handle.set_behaviour(it));
    let allow = r#"[{"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": "mns:GetQueueAttributes", "Resource": "acs:mns:*:*:/queues/q"},
        {"Effect": "Allow", "Action": ["mns:PeekMessage"], "Resource": ["acs:mns:*:*:/queues/q/messages"]}]}]"#;
    assert_eq!(client.control("POST", "policies", allow).await.0, 200);
    let denied = (403, "AccessDenied".to_owned());
    assert_eq!(client.get("/queues/q").await.status, 200);
    assert_eq!(client.get("/queues/other").await.error(), denied);
    assert_eq!(client.get("/queues").await.error(), denied);
    assert_eq!(client.post(MESSAGES, &message("a")).await.error(), denied);
    let peek = "/queues/q/messages?peekonly=true&numOfMessages=16";
    assert_eq!(client.get(peek).await.error().1, "MessageNotExist");
    put(Behaviour {
        batch_action_names: true,
        ..Behaviour::default()
    });
    assert_eq!(client.get(peek).await.error(), denied);

    let absurd = "/queues/q/messages?numOfMessages=99";
    assert_eq!(client.get(absurd).await.error(), denied);
    put(Behaviour {
        arguments_before_policy: true,
        ..Behaviour::default()
    });
    assert_eq!(client.get(absurd).await.error().1, "InvalidArgument");
    assert_eq!(client.get(MESSAGES).await.error(), denied);

    let (status, told) = client
        .control("POST", "policies", r#"[{"Version": "1"}]"#)
        .await;
    assert_eq!(status, 400, "{told}");
    assert_eq!(client.control("POST", "policies", "null").await.0, 200);
    assert_eq!(client.post(MESSAGES, &message("a")).await.status, 201);
}
