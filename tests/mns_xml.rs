//! Holds the fast answer reader against plain quick-xml on answers nobody wrote by hand.

#[path = "support/plain_xml.rs"]
mod plain_xml;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use vod_callback_exporter::mns::xml::{self, Expected};

const EXPECTED: [Expected; 4] = [
    Expected::Received,
    Expected::Peeked,
    Expected::Sent,
    Expected::NoMessages,
];

fn agree(text: &str) -> Result<bool, TestCaseError> {
    let mut readable = false;
    for expected in EXPECTED {
        let fast = xml::parse(text.as_bytes().to_vec(), expected);
        let plain = plain_xml::read(text, expected);
        readable |= fast.is_ok();
        prop_assert_eq!(
            fast.as_ref().ok().map(plain_xml::of),
            plain,
            "{:?} of {}: {:?}",
            expected,
            text,
            fast
        );
    }
    Ok(readable)
}

/// Text with its XML form, in one of the ways there are to write it.
fn text() -> impl Strategy<Value = String> {
    let plain = "[ -%'-;=?-~\u{e9}\u{4e2d}\r\n\t]{0,40}";
    let reference = prop_oneof![
        Just("&lt;".to_owned()),
        Just("&gt;".to_owned()),
        Just("&amp;".to_owned()),
        Just("&quot;".to_owned()),
        Just("&apos;".to_owned()),
        any::<u32>().prop_map(|n| format!("&#{n};")),
        any::<char>().prop_map(|c| format!("&#{};", u32::from(c))),
        any::<char>().prop_map(|c| format!("&#x{:x};", u32::from(c))),
        any::<char>().prop_map(|c| format!("&#x{:X};", u32::from(c))),
        "&[a-z#]{0,4};?",
    ];
    let cdata = "[a-z<&>]{0,12}".prop_map(|text| format!("<![CDATA[{text}]]>"));
    let part = prop_oneof![
        8 => plain,
        4 => reference,
        1 => cdata,
        1 => Just("<!-- a comment -->".to_owned()),
        1 => Just("<?pi?>".to_owned()),
    ];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => any::<i64>().prop_map(|n| n.to_string()),
        8 => "[1-9][0-9]{0,12}",
        1 => " -?[0-9]{15,30}\n",
        1 => "[-+.0-9a-f ]{0,6}",
    ]
}

fn element(
    name: &'static str,
    content: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (content, 0..40_u8).prop_map(move |(content, form)| match form {
        0 => format!("<m:{name}>{content}</m:{name}>"),
        1 => format!("<{name} a='1>2'>{content}</{name}>"),
        2 => format!("<{name}>{content}</{name} >"),
        3 => format!("<{name}/>"),
        4 => format!("\n  <{name}>{content}</{name}>\n"),
        5 => format!("<!-- <x> --><{name}>{content}</{name}>"),
        6 => format!("<{name}><{name}>{content}</{name}></{name}>"),
        7 => String::new(),
        8 => format!("<{name}>{content}</{name}><{name}>{content}</{name}>"),
        9 => format!("<Other>{content}</Other><{name}>{content}</{name}>"),
        10 => format!("<Other><a><b/>{content}</a></Other><{name}>{content}</{name}>"),
        _ => format!("<{name}>{content}</{name}>"),
    })
}

fn message() -> impl Strategy<Value = String> {
    let texts = (
        element("MessageId", "[A-F0-9-]{8}"),
        element("MessageBodyMD5", "[A-F0-9]{8}"),
        element("MessageBody", text()),
        element("ReceiptHandle", "[a-zA-Z0-9+/=-]{0,12}"),
    );
    let numbers = (
        element("EnqueueTime", number()),
        element("FirstDequeueTime", number()),
        element("NextVisibleTime", number()),
        element("DequeueCount", number()),
        element("Priority", number()),
    );
    (texts, numbers, any::<u8>()).prop_map(|(t, n, error)| {
        let error = if error < 30 {
            "<ErrorCode>Busy</ErrorCode><ErrorMessage>a &amp; b</ErrorMessage>"
        } else {
            ""
        };
        format!(
            "<Message>{}{}{}{}{}{}{}{}{}{error}</Message>",
            t.0, t.1, t.2, t.3, n.0, n.1, n.2, n.3, n.4
        )
    })
}

fn queue() -> impl Strategy<Value = String> {
    (
        prop_oneof![
            element("QueueName", "[a-z]{1,8}"),
            element("QueueURL", "http://1.mns.r.aliyuncs.com/queues/[a-z]{0,8}")
        ],
        element("CreateTime", number()),
        element("VisibilityTimeout", number()),
        element("MessageRetentionPeriod", number()),
        element("ActiveMessages", number()),
        element("LoggingEnabled", "True|False"),
    )
        .prop_map(|q| format!("<Queue>{}{}{}{}{}{}</Queue>", q.0, q.1, q.2, q.3, q.4, q.5))
}

fn answer() -> impl Strategy<Value = String> {
    let error = (
        element("Code", text()),
        element("Message", text()),
        element("RequestId", text()),
    );
    let entry = (
        element("ErrorCode", "[A-Za-z]{0,9}"),
        element("ErrorMessage", text()),
        element("ReceiptHandle", "[a-z+/=]{0,9}"),
    );
    let entry = entry.prop_map(|(a, b, c)| format!("<Error>{a}{b}{c}</Error>"));
    let changed = (
        element("ReceiptHandle", text()),
        element("NextVisibleTime", number()),
    );
    let root = prop_oneof![
        4 => proptest::collection::vec(message(), 0..4)
            .prop_map(|all| format!("<Messages xmlns=\"http://mns.aliyuncs.com/doc/v1/\">{}</Messages>", all.concat())),
        1 => message(),
        1 => queue(),
        2 => (proptest::collection::vec(queue(), 0..3), element("NextMarker", text()))
            .prop_map(|(all, marker)| format!("<Queues>{}{marker}</Queues>", all.concat())),
        1 => error.prop_map(|(a, b, c)| format!("<Error>{a}{b}{c}</Error>")),
        1 => proptest::collection::vec(entry, 0..3)
            .prop_map(|all| format!("<Errors>{}</Errors>", all.concat())),
        1 => changed.prop_map(|(a, b)| format!("<ChangeVisibility>{a}{b}</ChangeVisibility>")),
    ];
    (root, any::<u8>()).prop_map(|(root, form)| match form {
        0..4 => format!("{root}<Messages/>"),
        4..8 => format!("<Messages/>{root}"),
        8..16 => format!("{root}<!-- end --> \n"),
        16..24 => format!("<!DOCTYPE a>{root}"),
        24..32 => format!("\u{feff}{root}"),
        32..40 => format!("{root} x"),
        40..140 => format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{root}"),
        _ => root,
    })
}

/// Answers, some of them with a few characters changed, dropped or cut off.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (
        any::<prop::sample::Index>(),
        0..4_u8,
        "[<>&;/!\\[\\]?\"'= a-zA-Z0-9#-]{1,3}",
    );
    (answer(), proptest::collection::vec(edit, 0..4)).prop_map(|(text, edits)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, kind, with) in edits {
            let at = at.index(chars.len() + 1);
            match kind {
                0 => chars.truncate(at),
                1 if at < chars.len() => drop(chars.remove(at)),
                _ => drop(chars.splice(at..at, with.chars()).collect::<Vec<_>>()),
            }
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_readers_agree_on_answers(text in answer()) {
        agree(&text)?;
    }

    #[test]
    fn both_readers_agree_on_damaged_answers(text in mutated()) {
        agree(&text)?;
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for expected in EXPECTED {
            drop(xml::parse(bytes.clone(), expected));
        }
    }

    #[test]
    fn what_the_writer_escapes_the_reader_gives_back(body in any::<String>()) {
        if let Ok(request) = xml::send(&body, None, None) {
            let rest = "<MessageId>1</MessageId><MessageBodyMD5>2</MessageBodyMD5><EnqueueTime>1</EnqueueTime>\
                <FirstDequeueTime>1</FirstDequeueTime><DequeueCount>0</DequeueCount><Priority>8</Priority></Message>";
            let answer = request.replace("</Message>", rest);
            let Ok(xml::Answer::Messages(batch)) = xml::parse(answer.into_bytes(), Expected::Peeked) else {
                return Err(TestCaseError::fail("the reader refuses what the writer wrote"));
            };
            prop_assert_eq!(batch.iter().next().unwrap().body, body);
        }
    }
}

#[test]
fn most_generated_answers_are_readable_so_that_the_comparison_means_something() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let readable = (0..300)
        .filter(|_| {
            let tree = answer().new_tree(&mut runner).unwrap();
            agree(&tree.current()).unwrap()
        })
        .count();
    assert!(readable > 100, "{readable} of 300");
}
