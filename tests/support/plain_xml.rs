//! MNS answers by plain quick-xml: every event taken as it comes, everything owned. Slow and simple; the referee of
//! `mns::xml`, shared by the property test and the fuzz target.

use quick_xml::Reader;
use quick_xml::events::Event;
use vod_callback_exporter::mns::xml::{Answer, Expected};

/// An element with its text and children.
#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<Self>,
    /// Whether its text could not be resolved.
    broken: bool,
}

/// An answer as nested names and values, in a form that both readers can be brought to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plain(String, Vec<Vec<(&'static str, String)>>);

/// The answer by plain quick-xml; none if it is malformed.
pub(crate) fn read(text: &str, expected: Expected) -> Option<Plain> {
    let root = document(text)?;
    let (name, rows) = match (root.name.as_str(), expected) {
        ("Message" | "Messages", Expected::NoMessages) => return None,
        ("Message", _) => ("Messages", vec![message(&root, expected)?]),
        ("Messages", _) => {
            only_elements(&root)?;
            let messages = root.children.iter().filter(|child| child.name == "Message");
            let rows = messages.map(|child| message(child, expected));
            ("Messages", rows.collect::<Option<_>>()?)
        }
        ("Queue", _) => ("Queue", vec![queue(&root)?]),
        ("Queues", _) => {
            let fields = fields(&root, &["NextMarker"], &[])?;
            let queues = root.children.iter().filter(|child| child.name == "Queue");
            let mut rows = queues.map(queue).collect::<Option<Vec<_>>>()?;
            rows.push(
                fields
                    .into_iter()
                    .filter(|(_, value)| !value.is_empty())
                    .collect(),
            );
            ("Queues", rows)
        }
        ("ChangeVisibility", _) => {
            let row = fields(&root, &["ReceiptHandle"], &["NextVisibleTime"])?;
            (
                "ChangeVisibility",
                vec![mandatory(row, &["ReceiptHandle", "NextVisibleTime"])?],
            )
        }
        ("Error", _) => {
            let row = fields(&root, &["Code", "Message", "RequestId"], &[])?;
            ("Error", vec![drop_empty(mandatory(row, &["Code"])?)])
        }
        ("Errors", _) => {
            only_elements(&root)?;
            let entries = root.children.iter().filter(|child| child.name == "Error");
            let rows = entries.map(|entry| {
                let row = fields(entry, &["ErrorCode", "ErrorMessage", "ReceiptHandle"], &[])?;
                Some(drop_empty(mandatory(row, &["ErrorCode"])?))
            });
            ("Errors", rows.collect::<Option<_>>()?)
        }
        _ => return None,
    };
    Some(Plain(name.to_owned(), rows))
}

/// The same form of what `mns::xml` made of it.
pub(crate) fn of(answer: &Answer) -> Plain {
    let rows = match answer {
        Answer::Messages(batch) => batch
            .iter()
            .map(|message| {
                let mut row = vec![
                    ("MessageId", message.id.to_owned()),
                    ("MessageBodyMD5", message.body_md5.to_owned()),
                    ("MessageBody", message.body.to_owned()),
                    ("EnqueueTime", message.enqueue_time.0.to_string()),
                    ("FirstDequeueTime", message.first_dequeue_time.0.to_string()),
                    ("DequeueCount", message.dequeue_count.to_string()),
                    ("Priority", message.priority.to_string()),
                ];
                if let Some(handle) = message.receipt_handle {
                    row.push(("ReceiptHandle", handle.to_owned()));
                }
                if let Some(time) = message.next_visible_time {
                    row.push(("NextVisibleTime", time.0.to_string()));
                }
                sorted(row)
            })
            .collect(),
        Answer::Sent(sent) => sent
            .iter()
            .map(|sent| match sent {
                Ok(sent) => {
                    let mut row = vec![
                        ("MessageId", sent.id.clone()),
                        ("MessageBodyMD5", sent.body_md5.clone()),
                    ];
                    if let Some(handle) = &sent.receipt_handle {
                        row.push(("ReceiptHandle", handle.clone()));
                    }
                    sorted(row)
                }
                Err(error) => drop_empty(vec![
                    ("ErrorCode", error.code.clone()),
                    ("ErrorMessage", error.message.clone()),
                ]),
            })
            .collect(),
        Answer::Queue(queue) => vec![row_of_queue(queue)],
        Answer::Queues(queues, marker) => {
            let mut rows: Vec<_> = queues.iter().map(row_of_queue).collect();
            let marker = marker.iter().map(|marker| ("NextMarker", marker.clone()));
            rows.push(marker.collect());
            rows
        }
        Answer::ChangeVisibility(changed) => vec![sorted(vec![
            ("ReceiptHandle", changed.receipt_handle.clone()),
            ("NextVisibleTime", changed.next_visible_time.0.to_string()),
        ])],
        Answer::Error(error) => vec![drop_empty(vec![
            ("Code", error.code.clone()),
            ("Message", error.message.clone()),
            ("RequestId", error.request_id.clone()),
        ])],
        Answer::Errors(entries) => entries
            .iter()
            .map(|entry| {
                let mut row = vec![
                    ("ErrorCode", entry.code.clone()),
                    ("ErrorMessage", entry.message.clone()),
                ];
                if let Some(handle) = &entry.receipt_handle {
                    row.push(("ReceiptHandle", handle.clone()));
                }
                drop_empty(row)
            })
            .collect(),
    };
    Plain(answer.root().to_owned(), rows)
}

fn row_of_queue(
    queue: &vod_callback_exporter::mns::QueueAttributes,
) -> Vec<(&'static str, String)> {
    let mut row = vec![("QueueName", queue.name.clone())];
    let secs = |time: std::time::Duration| time.as_secs().to_string();
    let numbers = [
        (
            "CreateTime",
            queue.create_time.map(|time| time.0.to_string()),
        ),
        (
            "LastModifyTime",
            queue.last_modify_time.map(|time| time.0.to_string()),
        ),
        ("VisibilityTimeout", queue.visibility_timeout.map(secs)),
        (
            "MessageRetentionPeriod",
            queue.message_retention_period.map(secs),
        ),
        ("DelaySeconds", queue.delay.map(secs)),
        ("PollingWaitSeconds", queue.polling_wait.map(secs)),
        (
            "MaximumMessageSize",
            queue.maximum_message_size.map(|n| n.to_string()),
        ),
        (
            "ActiveMessages",
            queue.active_messages.map(|n| n.to_string()),
        ),
        (
            "InactiveMessages",
            queue.inactive_messages.map(|n| n.to_string()),
        ),
        ("DelayMessages", queue.delay_messages.map(|n| n.to_string())),
    ];
    row.extend(
        numbers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    sorted(row)
}

fn document(text: &str) -> Option<Element> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    loop {
        let event = reader.read_event().ok()?;
        match event {
            Event::Start(start) => {
                if root.is_some() || open.len() == 32 {
                    return None;
                }
                open.push(Element {
                    name: start.local_name().as_ref().to_owned(),
                    ..Element::default()
                });
            }
            Event::Empty(start) => {
                let element = Element {
                    name: start.local_name().as_ref().to_owned(),
                    ..Element::default()
                };
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None if root.is_none() => root = Some(element),
                    None => return None,
                }
            }
            Event::End(_) => {
                let element = open.pop()?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => root = Some(element),
                }
            }
            Event::Text(text) => match open.last_mut() {
                Some(element) => element.text.push_str(&text),
                None if text.chars().all(is_space) => {}
                None => return None,
            },
            Event::CData(text) => open.last_mut()?.text.push_str(&text),
            Event::GeneralRef(reference) => {
                let element = open.last_mut()?;
                let char = match reference.resolve_char_ref() {
                    Ok(Some(char)) => Some(char),
                    Ok(None) => match &*reference {
                        "lt" => Some('<'),
                        "gt" => Some('>'),
                        "amp" => Some('&'),
                        "quot" => Some('"'),
                        "apos" => Some('\''),
                        _ => None,
                    },
                    Err(_) => None,
                };
                match char {
                    Some(char) => element.text.push(char),
                    None => element.broken = true,
                }
            }
            Event::Comment(_) | Event::PI(_) => {}
            Event::Decl(_) if open.is_empty() && root.is_none() => {}
            Event::Decl(_) | Event::DocType(_) => return None,
            Event::Eof => return root.filter(|_| open.is_empty()),
        }
    }
}

fn message(element: &Element, expected: Expected) -> Option<Vec<(&'static str, String)>> {
    let texts = [
        "MessageId",
        "ReceiptHandle",
        "MessageBody",
        "MessageBodyMD5",
        "ErrorCode",
        "ErrorMessage",
    ];
    let numbers = [
        "EnqueueTime",
        "FirstDequeueTime",
        "NextVisibleTime",
        "DequeueCount",
        "Priority",
    ];
    let mut row = fields(element, &texts, &numbers)?;
    if expected == Expected::Sent {
        if row.iter().any(|(name, _)| *name == "ErrorCode") {
            row.retain(|(name, _)| name.starts_with("Error"));
            return Some(drop_empty(row));
        }
        row.retain(|(name, _)| matches!(*name, "MessageId" | "MessageBodyMD5" | "ReceiptHandle"));
        return mandatory(row, &["MessageId", "MessageBodyMD5"]);
    }
    row.retain(|(name, _)| !name.starts_with("Error"));
    for (name, value) in &mut row {
        let max = match *name {
            "DequeueCount" => u64::from(u32::MAX),
            "Priority" => u64::from(u8::MAX),
            _ => continue,
        };
        *value = clamp(value, max);
    }
    if !row.iter().any(|(name, _)| *name == "MessageBody") {
        row.push(("MessageBody", String::new()));
    }
    if expected == Expected::Received {
        row = mandatory(row, &["ReceiptHandle"])?;
    }
    mandatory(
        row,
        &[
            "MessageId",
            "MessageBodyMD5",
            "EnqueueTime",
            "FirstDequeueTime",
            "DequeueCount",
            "Priority",
        ],
    )
}

fn queue(element: &Element) -> Option<Vec<(&'static str, String)>> {
    let texts = ["QueueName", "QueueURL"];
    let numbers = [
        "CreateTime",
        "LastModifyTime",
        "VisibilityTimeout",
        "MessageRetentionPeriod",
        "DelaySeconds",
        "PollingWaitSeconds",
        "MaximumMessageSize",
        "ActiveMessages",
        "InactiveMessages",
        "DelayMessages",
    ];
    let mut row = fields(element, &texts, &numbers)?;
    let url = row.iter().find(|(name, _)| *name == "QueueURL");
    let from_url = url.and_then(|(_, url)| Some(url.rsplit('/').next()?.to_owned()));
    row.retain(|(name, _)| *name != "QueueURL");
    if let Some(name) = from_url
        && !row.iter().any(|(name, _)| *name == "QueueName")
    {
        row.push(("QueueName", name));
    }
    for (name, value) in &mut row {
        *value = match *name {
            "QueueName" => continue,
            "CreateTime" | "LastModifyTime" => {
                value.parse::<i64>().ok()?.saturating_mul(1000).to_string()
            }
            "VisibilityTimeout"
            | "MessageRetentionPeriod"
            | "DelaySeconds"
            | "PollingWaitSeconds" => clamp(value, u64::from(u32::MAX)),
            _ => clamp(value, u64::MAX),
        };
    }
    let named = row
        .iter()
        .any(|(name, value)| *name == "QueueName" && !value.is_empty());
    named.then(|| sorted(row))
}

/// The wanted children of an element that holds elements only; each at most once.
fn fields(
    element: &Element,
    texts: &[&'static str],
    numbers: &[&'static str],
) -> Option<Vec<(&'static str, String)>> {
    only_elements(element)?;
    let mut row: Vec<(&'static str, String)> = Vec::new();
    for child in &element.children {
        let wanted = texts
            .iter()
            .chain(numbers)
            .find(|name| **name == child.name);
        let Some(name) = wanted else { continue };
        if child.broken || !child.children.is_empty() || row.iter().any(|(seen, _)| seen == name) {
            return None;
        }
        let value = if numbers.contains(name) {
            number(child.text.trim_ascii())?
        } else if *name == "MessageBody" {
            child.text.clone()
        } else {
            child.text.trim_ascii().to_owned()
        };
        row.push((name, value));
    }
    Some(sorted(row))
}

fn only_elements(element: &Element) -> Option<()> {
    (!element.broken && element.text.chars().all(is_space)).then_some(())
}

fn mandatory(
    row: Vec<(&'static str, String)>,
    names: &[&str],
) -> Option<Vec<(&'static str, String)>> {
    let has = |name: &&str| row.iter().any(|(found, _)| found == name);
    names.iter().all(has).then(|| sorted(row))
}

fn drop_empty(mut row: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    row.retain(|(name, value)| !value.is_empty() || *name == "ReceiptHandle");
    sorted(row)
}

fn sorted(mut row: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    row.sort();
    row
}

/// A whole number, brought into the range of `i64`.
fn number(text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let limit = if text.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    Some(text.parse::<i64>().unwrap_or(limit).to_string())
}

fn clamp(number: &str, max: u64) -> String {
    number.parse::<u64>().unwrap_or(0).min(max).to_string()
}

fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\r' | '\n')
}
