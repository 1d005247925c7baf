use super::*;
use crate::mns::Message;

const RECEIVED: &str = include_str!("../../../tests/fixtures/mns/batch-receive.xml");
const QUEUE: &str = include_str!("../../../tests/fixtures/mns/get-queue-attributes.xml");

fn refuse(text: &str, expected: Expected) -> Problem {
    let error = parse(text.as_bytes().to_vec(), expected).unwrap_err();
    assert!(error.position <= text.len(), "{error}");
    error.problem
}

fn received() -> MessageBatch {
    match parse(RECEIVED.into(), Expected::Received) {
        Ok(Answer::Messages(batch)) => batch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn received_messages_are_read_in_full() {
    let batch = received();
    let messages: Vec<Message<'_>> = batch.iter().collect();
    let first = Message {
        id: "D6D5F7C9C12D14A4-1-14D953EFC72-200000001",
        receipt_handle: Some("1-ODU4OTkzNDU5My0xNDM1MTk3NjAwLTItNg=="),
        body: "{\"EventType\":\"TranscodeComplete\",\"Title\":\"R&B \u{4e2d}\"}",
        body_md5: "ED442F5FB2D7B1AA8A6CBCC4DB0F7FBD",
        enqueue_time: UnixMillis(1_449_554_806_330),
        first_dequeue_time: UnixMillis(1_449_554_806_400),
        next_visible_time: Some(UnixMillis(1_449_554_836_330)),
        dequeue_count: 3,
        priority: 8,
    };
    assert_eq!(messages[0], first);
    assert_eq!(messages[1].body, "{\"Title\":\"<b>\"}");
    assert_eq!(batch.len(), 2);
    assert!(
        !format!("{batch:?}").contains("Title"),
        "bodies are not for logs"
    );
}

#[test]
fn what_needs_no_unescaping_is_borrowed_from_the_answer() {
    let text = RECEIVED
        .replace("&quot;", "\"")
        .replace("&amp;", "+")
        .replace("&#x4e2d;", "");
    let text = text
        .replace("<![CDATA[", "")
        .replace("]]>", "")
        .replace("<b>", "");
    let Ok(Answer::Messages(batch)) = parse(text.into_bytes(), Expected::Received) else {
        panic!("not read");
    };
    assert!(batch.needed_no_unescaping());
    assert!(!received().needed_no_unescaping());
}

#[test]
fn a_queue_is_read_with_its_units() {
    let Ok(Answer::Queue(queue)) = parse(QUEUE.into(), Expected::NoMessages) else {
        panic!("not read");
    };
    assert_eq!(queue.name, "q1");
    assert_eq!(queue.create_time, Some(UnixMillis(1_250_700_999_000)));
    assert_eq!(
        queue.message_retention_period,
        Some(Duration::from_hours(96))
    );
    assert_eq!(queue.maximum_message_size, Some(65_536));
    assert_eq!(queue.active_messages, Some(20));
}

macro_rules! fixture {
    ($name:literal, $expected:ident) => {
        parse(
            include_bytes!(concat!("../../../tests/fixtures/mns/", $name)).to_vec(),
            Expected::$expected,
        )
        .unwrap()
    };
}

#[test]
fn every_root_of_the_documentation_is_read() {
    let Answer::Messages(peeked) = fixture!("peek.xml", Peeked) else {
        panic!("not messages");
    };
    let message = peeked.iter().next().unwrap();
    assert_eq!(
        (message.body, message.dequeue_count),
        ("This is a test message", 0)
    );
    assert_eq!(
        (message.receipt_handle, message.next_visible_time),
        (None, None)
    );

    let Answer::Sent(sent) = fixture!("batch-send.xml", Sent) else {
        panic!("not sent messages");
    };
    assert_eq!(
        sent[0].as_ref().unwrap().id,
        "D6D5F7C9C12D14A4-1-14D953EFC72-200000003"
    );
    assert_eq!(sent[1].as_ref().unwrap_err().code, "InternalError");

    let Answer::Queues(queues, marker) = fixture!("list-queue.xml", NoMessages) else {
        panic!("not queues");
    };
    assert_eq!(
        (queues[0].name.as_str(), queues[0].active_messages),
        ("vod-a", Some(3))
    );
    assert_eq!(
        (queues[1].name.as_str(), queues[1].active_messages),
        ("vod-b", None)
    );
    assert_eq!(marker.as_deref(), Some("MTIzNDU2Nzg5MDEyMzQ1NiN2b2QtYg=="));

    let Answer::ChangeVisibility(changed) = fixture!("change-visibility.xml", NoMessages) else {
        panic!("not a changed visibility");
    };
    assert_eq!(changed.next_visible_time, UnixMillis(1_449_554_836_330));

    let Answer::Error(error) = fixture!("error.xml", Received) else {
        panic!("not an error");
    };
    assert_eq!(
        (error.code.as_str(), error.request_id.as_str()),
        ("QueueNotExist", "512B2A634403E52B1956133E")
    );

    let Answer::Errors(entries) = fixture!("batch-delete-partial.xml", NoMessages) else {
        panic!("not errors");
    };
    let codes: Vec<_> = entries.iter().map(|entry| entry.code.as_str()).collect();
    assert_eq!(codes, ["MessageNotExist", "ReceiptHandleError"]);
    assert_eq!(entries[1].receipt_handle.as_deref(), Some("nonsense"));
}

#[test]
fn a_body_may_be_missing_but_nothing_else() {
    let body_start = RECEIVED.find("<MessageBody>").unwrap();
    let body_end = RECEIVED.find("</MessageBody>").unwrap() + "</MessageBody>".len();
    let mut text = RECEIVED.to_owned();
    text.replace_range(body_start..body_end, "");
    let Ok(Answer::Messages(batch)) = parse(text.into_bytes(), Expected::Received) else {
        panic!("not read");
    };
    assert_eq!(batch.iter().next().unwrap().body, "");
    for name in [
        "MessageId",
        "ReceiptHandle",
        "MessageBodyMD5",
        "EnqueueTime",
        "FirstDequeueTime",
        "DequeueCount",
        "Priority",
    ] {
        let text = RECEIVED
            .replace(&format!("<{name}>"), "<X>")
            .replace(&format!("</{name}>"), "</X>");
        assert_eq!(
            refuse(&text, Expected::Received),
            Problem::Missing(name, "Message")
        );
    }
    let peeked = RECEIVED.replace("ReceiptHandle>", "X>");
    assert!(parse(peeked.into_bytes(), Expected::Peeked).is_ok());
}

#[test]
fn a_damaged_answer_is_refused_by_what_was_found() {
    let root = |name: &str| Problem::Root(name.to_owned());
    for (text, problem) in [
        ("", Problem::Empty),
        ("  <!-- a -->\n", Problem::Empty),
        ("<html><body>secret</body></html>", root("html")),
        ("<m:Nope xmlns:m='a'/>", root("m:Nope")),
        ("<!DOCTYPE html><html/>", Problem::Doctype),
        (
            "<!DOCTYPE a [<!ENTITY b 'c'>]><Messages>&b;</Messages>",
            Problem::Doctype,
        ),
        ("{\"json\":1}", Problem::StrayText),
        ("<Messages><Message><MessageId>1", Problem::Truncated),
        ("<Messages><Message>", Problem::Truncated),
        ("<Messages>secret</Messages>", Problem::StrayText),
        ("<Messages/>secret", Problem::Trailing),
        ("<Messages/><Messages/>", Problem::Trailing),
        ("<Messages/><Message></Message>", Problem::Trailing),
        (
            "<Messages></Message>",
            Problem::Syntax("an end tag that closes nothing"),
        ),
        (
            "<Messages><Message><MessageId><b/></MessageId></Message></Messages>",
            Problem::Nested("MessageId"),
        ),
        (
            "<Messages><Message><MessageId>&b;</MessageId></Message></Messages>",
            Problem::Reference("MessageId"),
        ),
        (
            "<Messages><Message><MessageBody>&#0;</MessageBody></Message></Messages>",
            Problem::Reference("MessageBody"),
        ),
        (
            "<Messages><Message><Priority>high</Priority></Message></Messages>",
            Problem::NotANumber("Priority"),
        ),
        (
            "<Messages><Message><Priority>1</Priority><Priority>1</Priority></Message></Messages>",
            Problem::Duplicate("Priority"),
        ),
        (
            "<ChangeVisibility/>",
            Problem::Missing("ReceiptHandle", "ChangeVisibility"),
        ),
        (
            "<Error><Message>secret</Message></Error>",
            Problem::Missing("Code", "Error"),
        ),
        ("<Queue/>", Problem::Missing("QueueName", "Queue")),
    ] {
        let found = refuse(text, Expected::Peeked);
        assert_eq!(found, problem, "{text}");
        assert!(!found.to_string().contains("secret"), "{found}");
    }
    assert_eq!(
        refuse("<Messages/>", Expected::NoMessages),
        root("Messages")
    );
    let error = parse(b"<Messages>\xff</Messages>".to_vec(), Expected::Peeked).unwrap_err();
    assert_eq!((error.problem, error.position), (Problem::NotUtf8, 10));
}

#[test]
fn every_prefix_of_an_answer_is_refused() {
    let end = RECEIVED.trim_end().len();
    for cut in 0..end {
        assert!(
            parse(RECEIVED.as_bytes()[..cut].to_vec(), Expected::Received).is_err(),
            "cut at {cut}"
        );
    }
}

#[test]
fn deep_nesting_is_refused_without_deep_recursion() {
    let deep = |n: usize| {
        format!(
            "<Messages>{}{}</Messages>",
            "<a>".repeat(n),
            "</a>".repeat(n)
        )
    };
    assert!(parse(deep(30).into_bytes(), Expected::Peeked).is_ok());
    assert_eq!(
        refuse(&deep(100_000), Expected::Peeked),
        Problem::TooDeep(32)
    );
}

#[test]
fn extreme_numbers_are_taken_to_the_nearest_possible() {
    let with = |time: &str, count: &str| {
        format!(
            "<Message><MessageId>1</MessageId><MessageBodyMD5>2</MessageBodyMD5><EnqueueTime>{time}</EnqueueTime>\
             <FirstDequeueTime>-5</FirstDequeueTime><DequeueCount>{count}</DequeueCount><Priority>{count}</Priority></Message>"
        )
    };
    let huge = "9".repeat(40);
    for (time, count, want_time, want_count, want_priority) in [
        (huge.as_str(), huge.as_str(), i64::MAX, u32::MAX, u8::MAX),
        ("-99999999999999999999", "-7", i64::MIN, 0, 0),
        (" 1449554806330\n", "300", 1_449_554_806_330, 300, u8::MAX),
    ] {
        let answer = parse(with(time, count).into_bytes(), Expected::Peeked);
        let Ok(Answer::Messages(batch)) = answer else {
            panic!("{answer:?}");
        };
        let message = batch.iter().next().unwrap();
        assert_eq!(message.enqueue_time, UnixMillis(want_time));
        assert_eq!(message.first_dequeue_time, UnixMillis(-5));
        assert_eq!(
            (message.dequeue_count, message.priority),
            (want_count, want_priority)
        );
    }
    for bad in ["", "-", "+1", "1.5", "0x1", "1 2", "1e3"] {
        assert_eq!(
            refuse(&with(bad, "1"), Expected::Peeked),
            Problem::NotANumber("EnqueueTime")
        );
    }
}

#[test]
fn prefixes_attributes_comments_and_unknown_elements_do_not_matter() {
    let odd = RECEIVED
        .replace("<MessageId>", "<m:MessageId xmlns:m='x' note='1>2'>")
        .replace("</MessageId>", "</m:MessageId>")
        .replace("<Priority>", "<!-- <Priority> --><Priority>")
        .replace("<EnqueueTime>", "<New><Deep/>&amp;</New><EnqueueTime>")
        .replace("</DequeueCount>", "</DequeueCount\n>");
    let Ok(Answer::Messages(batch)) = parse(odd.into_bytes(), Expected::Received) else {
        panic!("not read");
    };
    let plain = received();
    assert!(batch.iter().eq(plain.iter()));
}
