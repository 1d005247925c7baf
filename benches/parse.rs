//! B1: from the bytes of a `BatchReceiveMessage` answer to decoded bodies.
//!
//! 16 messages with JSON bodies of 1,059 B, in three forms: base64, JSON with every quote as `&quot;`, and JSON with bare
//! quotes. Run with `cargo bench --bench parse`; `docs/performance.md` tells what was measured.

#![expect(clippy::expect_used, reason = "a benchmark's input is its own")]
#![expect(
    clippy::wildcard_imports,
    reason = "groups are modules only for divan's sake"
)]

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::Simd;
use base64::engine::general_purpose::{PAD, STANDARD};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use vod_callback_exporter::mns::xml::{self, Answer, Expected, MessageBatch};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

const MESSAGES: usize = 16;
const BODY_BYTES: usize = 1_059;

fn main() {
    divan::main();
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Base64,
    Escaped,
    Raw,
}

const FORMS: [Form; 3] = [Form::Base64, Form::Escaped, Form::Raw];

fn body(n: usize) -> String {
    let mut body = format!(
        "{{\"EventTime\":\"2026-01-02T03:04:{n:02}Z\",\"EventType\":\"TranscodeComplete\",\"VideoId\":\"{n:032x}\",\
         \"Status\":\"success\",\"StreamInfos\":["
    );
    for stream in 0.. {
        let info = format!(
            "{}{{\"Status\":\"success\",\"Bitrate\":{},\"Definition\":\"HD\",\"Duration\":60.5,\"Encrypt\":false,\
             \"Format\":\"m3u8\",\"Fps\":25,\"Height\":720,\"Width\":1280,\"JobId\":\"{stream:016x}\",\"Size\":123456}}",
            if stream == 0 { "" } else { "," },
            400 + stream
        );
        if body.len() + info.len() + 40 > BODY_BYTES {
            break;
        }
        body.push_str(&info);
    }
    let padding = BODY_BYTES - body.len() - "],\"Extend\":\"\"}".len();
    _ = write!(body, "],\"Extend\":\"{}\"}}", "x".repeat(padding));
    assert_eq!(body.len(), BODY_BYTES);
    body
}

fn answer(form: Form) -> Vec<u8> {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Messages xmlns=\"http://mns.aliyuncs.com/doc/v1/\">\n",
    );
    for n in 0..MESSAGES {
        let body = match form {
            Form::Base64 => STANDARD.encode(body(n)),
            Form::Escaped => body(n).replace('"', "&quot;"),
            Form::Raw => body(n),
        };
        _ = write!(
            xml,
            "  <Message>\n    <MessageId>D6D5F7C9C12D14A4-1-14D953EFC72-2000{n:05}</MessageId>\n    \
             <ReceiptHandle>1-ODU4OTkzNDU5My0xNDM1MTk3NjAwLTItNg=={n:02}</ReceiptHandle>\n    \
             <MessageBodyMD5>ED442F5FB2D7B1AA8A6CBCC4DB0F7FBD</MessageBodyMD5>\n    \
             <MessageBody>{body}</MessageBody>\n    <EnqueueTime>1449554806330</EnqueueTime>\n    \
             <NextVisibleTime>1449554836330</NextVisibleTime>\n    \
             <FirstDequeueTime>1449554806400</FirstDequeueTime>\n    <DequeueCount>1</DequeueCount>\n    \
             <Priority>8</Priority>\n  </Message>\n"
        );
    }
    xml.push_str("</Messages>\n");
    xml.into_bytes()
}

/// What an event needs of a body's top level, borrowed.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TopLevel<'a> {
    #[serde(borrow)]
    event_time: Option<&'a str>,
    #[serde(borrow)]
    event_type: Option<&'a str>,
    #[serde(borrow)]
    video_id: Option<&'a str>,
    #[serde(borrow)]
    status: Option<&'a str>,
    #[serde(borrow)]
    extend: Option<&'a str>,
}

fn decode_json(json: &str) {
    let event: TopLevel<'_> = serde_json::from_str(json).expect("the body is JSON");
    black_box((
        event.event_time,
        event.event_type,
        event.video_id,
        event.status,
        event.extend,
    ));
}

fn decode(body: &str, form: Form, base64: &impl Engine, buffer: &mut Vec<u8>) {
    match form {
        Form::Base64 => {
            buffer.clear();
            base64.decode_vec(body, buffer).expect("the body is base64");
            decode_json(std::str::from_utf8(buffer).expect("the body is text"));
        }
        Form::Escaped | Form::Raw => decode_json(body),
    }
}

fn parse_ours(answer: Vec<u8>) -> MessageBatch {
    match xml::parse(answer, Expected::Received) {
        Ok(Answer::Messages(batch)) => batch,
        other => panic!("{other:?}"),
    }
}

fn ours(answer: Vec<u8>, form: Form) {
    let batch = parse_ours(answer);
    let (engine, mut buffer) = (Simd::standard(PAD), Vec::new());
    for message in batch.iter() {
        black_box((message.id, message.receipt_handle, message.dequeue_count));
        decode(message.body, form, &engine, &mut buffer);
    }
}

/// The reader one writes against quick-xml's events, owning what it needs.
mod pull {
    use std::borrow::Cow;

    use quick_xml::Reader;
    use quick_xml::events::Event;

    #[derive(Default)]
    pub(crate) struct Message<'a> {
        pub(crate) id: Cow<'a, str>,
        pub(crate) receipt_handle: Cow<'a, str>,
        pub(crate) body_md5: Cow<'a, str>,
        pub(crate) body: Cow<'a, str>,
        pub(crate) enqueue_time: i64,
        pub(crate) next_visible_time: i64,
        pub(crate) first_dequeue_time: i64,
        pub(crate) dequeue_count: u32,
        pub(crate) priority: u8,
    }

    pub(crate) fn parse(text: &str) -> Vec<Message<'_>> {
        let mut reader = Reader::from_str(text);
        let (mut messages, mut message) = (Vec::with_capacity(16), Message::default());
        loop {
            match reader.read_event().expect("well-formed") {
                Event::Start(start) => match start.local_name().as_ref() {
                    "Message" => message = Message::default(),
                    "MessageId" => message.id = content(&mut reader),
                    "ReceiptHandle" => message.receipt_handle = content(&mut reader),
                    "MessageBodyMD5" => message.body_md5 = content(&mut reader),
                    "MessageBody" => message.body = content(&mut reader),
                    "EnqueueTime" => message.enqueue_time = number(&mut reader),
                    "NextVisibleTime" => message.next_visible_time = number(&mut reader),
                    "FirstDequeueTime" => message.first_dequeue_time = number(&mut reader),
                    "DequeueCount" => message.dequeue_count = number(&mut reader),
                    "Priority" => message.priority = number(&mut reader),
                    _ => {}
                },
                Event::End(end) if end.local_name().as_ref() == "Message" => {
                    messages.push(std::mem::take(&mut message));
                }
                Event::Eof => return messages,
                _ => {}
            }
        }
    }

    fn content<'a>(reader: &mut Reader<&'a [u8]>) -> Cow<'a, str> {
        let mut text: Cow<'a, str> = Cow::Borrowed("");
        loop {
            match reader.read_event().expect("well-formed") {
                Event::Text(part) if text.is_empty() => text = part.into_inner(),
                Event::Text(part) => text.to_mut().push_str(&part),
                Event::GeneralRef(name) => {
                    let resolved = quick_xml::escape::resolve_predefined_entity(&name);
                    text.to_mut().push_str(resolved.expect("a known entity"));
                }
                _ => return text,
            }
        }
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(reader: &mut Reader<&[u8]>) -> T {
        content(reader).parse().expect("a number")
    }
}

fn plain_pull(answer: &[u8], form: Form, base64: &impl Engine) {
    let text = std::str::from_utf8(answer).expect("the answer is text");
    let mut buffer = Vec::new();
    for message in pull::parse(text) {
        black_box((&message.id, &message.receipt_handle, message.dequeue_count));
        decode(&message.body, form, base64, &mut buffer);
    }
}

/// The obvious code: derive everything.
#[derive(serde::Deserialize)]
struct Messages {
    #[serde(rename = "Message")]
    messages: Vec<DerivedMessage>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "read for the cost of reading them")]
struct DerivedMessage {
    message_id: String,
    receipt_handle: String,
    #[serde(rename = "MessageBodyMD5")]
    message_body_md5: String,
    message_body: String,
    enqueue_time: i64,
    next_visible_time: i64,
    first_dequeue_time: i64,
    dequeue_count: u32,
    priority: u8,
}

fn derived(answer: &[u8], form: Form) {
    let text = std::str::from_utf8(answer).expect("the answer is text");
    let batch: Messages = quick_xml::de::from_str(text).expect("the answer is XML");
    for message in &batch.messages {
        let value: serde_json::Value = match form {
            Form::Base64 => {
                let body = STANDARD.decode(&message.message_body);
                serde_json::from_slice(&body.expect("the body is base64")).expect("it is JSON")
            }
            Form::Escaped | Form::Raw => {
                serde_json::from_str(&message.message_body).expect("the body is JSON")
            }
        };
        black_box((&value["EventType"], &value["VideoId"], &value["Status"]));
    }
}

/// Answer to decoded bodies.
#[divan::bench_group(sample_count = 300, sample_size = 20)]
mod pipeline {
    use super::*;

    #[divan::bench(args = FORMS)]
    fn a_ours(bencher: Bencher<'_, '_>, form: Form) {
        let answer = answer(form);
        bencher
            .counter(ItemsCount::new(MESSAGES))
            .with_inputs(|| answer.clone())
            .bench_values(|answer| ours(answer, form));
    }

    #[divan::bench(args = FORMS)]
    fn b_quick_xml_pull(bencher: Bencher<'_, '_>, form: Form) {
        let answer = answer(form);
        bencher
            .counter(ItemsCount::new(MESSAGES))
            .bench(|| plain_pull(&answer, form, &STANDARD));
    }

    /// With our base64 engine, to see what is left of the difference.
    #[divan::bench(args = [Form::Base64])]
    fn b_quick_xml_pull_simd_base64(bencher: Bencher<'_, '_>, form: Form) {
        let answer = answer(form);
        bencher
            .counter(ItemsCount::new(MESSAGES))
            .bench(|| plain_pull(&answer, form, &Simd::standard(PAD)));
    }

    #[divan::bench(args = FORMS)]
    fn c_serde_derive_and_value(bencher: Bencher<'_, '_>, form: Form) {
        let answer = answer(form);
        bencher
            .counter(ItemsCount::new(MESSAGES))
            .bench(|| derived(&answer, form));
    }
}

/// The XML alone.
#[divan::bench_group(sample_count = 300, sample_size = 20)]
mod xml_only {
    use super::*;

    #[divan::bench(args = FORMS)]
    fn a_ours(bencher: Bencher<'_, '_>, form: Form) {
        let answer = answer(form);
        bencher
            .counter(ItemsCount::new(MESSAGES))
            .with_inputs(|| answer.clone())
            .bench_values(|answer| {
                for message in parse_ours(answer).iter() {
                    black_box(message);
                }
            });
    }

    #[divan::bench(args = FORMS)]
    fn b_quick_xml_pull(bencher: Bencher<'_, '_>, form: Form) {
        let answer = answer(form);
        bencher.counter(ItemsCount::new(MESSAGES)).bench(|| {
            let text = std::str::from_utf8(&answer).expect("the answer is text");
            for message in pull::parse(text) {
                black_box((message.enqueue_time, message.next_visible_time));
                black_box((
                    message.first_dequeue_time,
                    message.priority,
                    &message.body_md5,
                ));
                black_box((&message.id, &message.receipt_handle, &message.body));
            }
        });
    }

    #[divan::bench(args = FORMS)]
    fn c_serde_derive(bencher: Bencher<'_, '_>, form: Form) {
        let answer = answer(form);
        bencher.counter(ItemsCount::new(MESSAGES)).bench(|| {
            let text = std::str::from_utf8(&answer).expect("the answer is text");
            let batch: Messages = quick_xml::de::from_str(text).expect("the answer is XML");
            black_box(batch)
        });
    }
}

/// The bodies alone: what no XML reader can save.
#[divan::bench_group(sample_count = 300, sample_size = 20)]
mod bodies_only {
    use super::*;

    fn run(bencher: Bencher<'_, '_>, bodies: &[String], form: Form, base64: &impl Engine) {
        let mut buffer = Vec::new();
        bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
            for body in bodies {
                decode(body, form, base64, &mut buffer);
            }
        });
    }

    fn encoded() -> Vec<String> {
        (0..MESSAGES).map(|n| STANDARD.encode(body(n))).collect()
    }

    #[divan::bench]
    fn base64_scalar_and_json(bencher: Bencher<'_, '_>) {
        run(bencher, &encoded(), Form::Base64, &STANDARD);
    }

    #[divan::bench]
    fn base64_simd_and_json(bencher: Bencher<'_, '_>) {
        run(bencher, &encoded(), Form::Base64, &Simd::standard(PAD));
    }

    #[divan::bench]
    fn json(bencher: Bencher<'_, '_>) {
        let bodies: Vec<String> = (0..MESSAGES).map(body).collect();
        run(bencher, &bodies, Form::Raw, &STANDARD);
    }
}
