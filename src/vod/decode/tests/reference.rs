//! The decoder as one would write it first, over `serde_json::Value`, and properties that hold the real one to it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

type Object = BTreeMap<String, Value>;

fn reference(body: &str) -> Result<Decoded, Undecodable> {
    let body = unmarked(body);
    let text = if body.starts_with('{') {
        body
    } else {
        let joined: String = body.chars().filter(|c| !"\r\n".contains(*c)).collect();
        let bytes = STANDARD
            .decode(joined)
            .map_err(|_| Undecodable::BadBase64)?;
        String::from_utf8(bytes).map_err(|_| Undecodable::NotJson)?
    };
    let text = unmarked(&text);
    let value: Value = serde_json::from_str(&text).map_err(|_| Undecodable::NotJson)?;
    let object = trimmed(&value).ok_or(Undecodable::NotObject)?;
    let event_type = text_at(&object, "EventType")
        .filter(|text| !text.is_empty())
        .ok_or(Undecodable::NoEventType)?;
    let foreign = |body: &Value| body.is_object() || body.is_string();
    if object.get("MessageBody").is_some_and(foreign) {
        return Err(Undecodable::ForeignEnvelope);
    }
    let event_time = text_at(&object, "EventTime")
        .and_then(time::parse)
        .filter(|at| at.0 <= ENQUEUED.0 + 86_400_000)
        .ok_or(Undecodable::BadEventTime)?;
    let event_type = EventType::parse(event_type).unwrap_or(EventType::Other);
    let status = status(&object);
    let listed: Vec<Object> = object
        .get("StreamInfos")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(trimmed).collect())
        .unwrap_or_default();
    let transcode = event_type == EventType::TranscodeComplete;
    let streams = match event_type {
        EventType::StreamTranscodeComplete => vec![stream(&object)],
        EventType::TranscodeComplete => listed.iter().map(stream).collect(),
        _ => Vec::new(),
    };
    let mut error = None;
    if status == Status::Fail {
        error = code(&object);
        for stream in listed.iter().filter(|_| transcode) {
            if error.is_none() && self::status(stream) == Status::Fail {
                error = code(stream);
            }
        }
    }
    let mut duration_millis = None;
    if transcode {
        duration_millis = listed.iter().filter_map(duration).max();
    }
    if [
        EventType::TranscodeComplete,
        EventType::StreamTranscodeComplete,
        EventType::VideoAnalysisComplete,
    ]
    .contains(&event_type)
    {
        duration_millis = duration_millis.or_else(|| duration(&object));
    }
    let media = [
        "VideoId",
        "MediaId",
        "ImageId",
        "AttachedMediaId",
        "JobId",
        "TaskId",
    ]
    .iter()
    .find_map(|key| token(&object, key))
    .map(|id| MediaKey::of(&id));
    let worked = status == Status::Success || status == Status::None;
    let lower = |key| text_at(&object, key).map(str::to_lowercase);
    let deletes_media = match event_type {
        EventType::DeleteMediaComplete => {
            let absent = object.get("DeleteType").is_none_or(Value::is_null);
            worked && (absent || lower("DeleteType").as_deref() == Some("all"))
        }
        EventType::MediaBaseChangeComplete => {
            worked && lower("OperateMode").as_deref() == Some("delete")
        }
        _ => false,
    };
    Ok(Decoded {
        event: Event {
            event_type,
            status,
            event_time,
            media,
            error,
            streams,
            duration_millis,
            deletes_media,
        },
        content: xxh3_128(text.as_bytes()),
    })
}

fn unmarked(text: &str) -> String {
    let text = text.trim();
    text.strip_prefix('\u{feff}')
        .unwrap_or(text)
        .trim()
        .to_owned()
}

fn trimmed(value: &Value) -> Option<Object> {
    let object = value.as_object()?;
    let pairs = object.iter();
    Some(
        pairs
            .map(|(key, value)| (key.trim().to_owned(), value.clone()))
            .collect(),
    )
}

fn text_at<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str).map(str::trim)
}

fn token(object: &Object, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => number.as_u64().map(|number| number.to_string()),
        _ => None,
    }
}

fn status(object: &Object) -> Status {
    match object.get("Status") {
        None | Some(Value::Null) => Status::None,
        Some(Value::String(text)) => match text.trim().to_lowercase().as_str() {
            "" => Status::None,
            "success" | "succeed" | "succeeded" => Status::Success,
            "fail" | "failed" => Status::Fail,
            _ => Status::Other,
        },
        Some(_) => Status::Other,
    }
}

fn code(object: &Object) -> Option<ErrorCode> {
    for key in ["ErrorCode", "Code"] {
        let code = token(object, key).unwrap_or_default();
        if !["", "0", "200", "success", "ok"].contains(&code.to_lowercase().as_str()) {
            return Some(ErrorCode::parse(&code).unwrap_or(ErrorCode::Other));
        }
    }
    None
}

fn duration(object: &Object) -> Option<u64> {
    let seconds: f64 = match object.get("Duration")? {
        Value::String(text) => text.trim().parse().ok()?,
        Value::Number(number) => number.as_f64()?,
        _ => return None,
    };
    let believed = seconds > 0.0 && seconds <= 2_592_000.0;
    // A whole number prints without a fraction.
    believed.then(|| (seconds * 1_000.0).round().to_string().parse().unwrap())
}

fn stream(object: &Object) -> Stream {
    let definition = text_at(object, "Definition")
        .unwrap_or_default()
        .to_uppercase();
    let definition = definition.split('-').next().unwrap_or_default().trim();
    Stream {
        definition: Definition::parse(definition).unwrap_or(Definition::Other),
        status: status(object),
        start: text_at(object, "StartTime").and_then(time::parse),
        finish: text_at(object, "FinishTime").and_then(time::parse),
        job: token(object, "JobId").map(|job| xxh3_64(job.as_bytes())),
    }
}

/// JSON text of any value, sometimes one that suits a field.
fn any_value() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "success",
        "Success",
        "Succeed",
        "fail",
        "Failed",
        "Processing",
        "HD-MP4",
        "ld",
        "4K",
        "all",
        "stream",
        "delete",
        "create",
        "InternalError",
        "InvalidParameter.ResourceContentBad",
        "0",
        "OK",
        "Brandnew",
        "12.5",
        "1820",
        "NaN",
        "-1",
        "2026-02-01T08:00:41Z",
        "2026-02-01T08:03:10:627Z",
        "a1c0ffee0d1871f1bd2d000000000102",
        "",
        " ",
    ]);
    prop_oneof![
        8 => (words, 0..4_u8).prop_map(|(word, style)| quoted(word, style)),
        2 => any::<String>().prop_map(|text| quoted(&text, 0)),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        2 => (0.0..5_000_000.0_f64).prop_map(|number| Value::from(number).to_string()),
        1 => prop::sample::select(vec!["null", "true", "{}", "[]", "[1]", r#"{"a":[{}]}"#])
            .prop_map(str::to_owned),
    ]
}

/// A JSON string: plain, with blanks, or with every character escaped.
fn quoted(text: &str, style: u8) -> String {
    match style {
        1 => format!("\" {text}\\t\""),
        2 => {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            format!("\"{}\"", units.collect::<String>())
        }
        _ => Value::from(text).to_string(),
    }
}

/// An object with some of the `keys`, each at most once, in any order and style.
fn object(keys: &'static [&'static str]) -> impl Strategy<Value = Vec<(String, String)>> {
    prop::sample::subsequence(keys, 0..=keys.len())
        .prop_shuffle()
        .prop_flat_map(|keys| {
            let values = prop::collection::vec((0..4_u8, any_value()), keys.len());
            (Just(keys), values)
        })
        .prop_map(|(keys, values)| {
            let pairs = keys.iter().zip(values);
            pairs
                .map(|(key, (style, value))| (quoted(key, style), value))
                .collect()
        })
}

fn written(pairs: &[(String, String)]) -> String {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(key, value)| format!("{key} :{value}"))
        .collect();
    format!("{{{}}}", pairs.join(",\n"))
}

/// A body as producers may write it: plain or in base64, whole or in lines, with a byte order mark or without.
fn in_form(text: &str, form: u8) -> String {
    let marked = format!("\u{feff}{text}");
    let lines = |line: usize, end: &str| {
        let encoded = STANDARD.encode(&marked);
        let lines = encoded.as_bytes().chunks(line).map(String::from_utf8_lossy);
        lines.collect::<Vec<_>>().join(end)
    };
    match form {
        0 => marked,
        1 => STANDARD.encode(text),
        2 => STANDARD.encode(&marked),
        3 => lines(76, "\r\n"),
        4 => lines(64, "\n"),
        _ => text.to_owned(),
    }
}

fn any_body() -> impl Strategy<Value = String> {
    const STREAM: &[&str] = &[
        "Status",
        "Definition",
        "StartTime",
        "FinishTime",
        "JobId",
        "ErrorCode",
        "Code",
        "Duration",
        "Format",
        "Encrypt",
    ];
    const EVENT: &[&str] = &[
        "Status",
        "Definition",
        "StartTime",
        "FinishTime",
        "JobId",
        "ErrorCode",
        "Code",
        "Duration",
        "VideoId",
        "MediaId",
        "ImageId",
        "AttachedMediaId",
        "TaskId",
        "DeleteType",
        "OperateMode",
        "Extend",
        "FileUrl",
        "Size",
    ];
    let types: Vec<&str> = EventType::ALL.iter().map(|event| event.as_str()).collect();
    let event_type = prop_oneof![
        4 => prop::sample::select(types).prop_map(|text| quoted(text, 0)),
        2 => prop::sample::select(vec!["TranscodeComplete", "StreamTranscodeComplete"])
            .prop_map(|text| quoted(text, 2)),
        1 => any_value(),
    ];
    let event_time = prop_oneof![
        8 => Just(r#""2026-02-01T08:00:05Z""#.to_owned()),
        1 => any_value(),
    ];
    let streams = prop_oneof![
        4 => prop::collection::vec(
            prop_oneof![6 => object(STREAM).prop_map(|pairs| written(&pairs)), 1 => any_value()], 0..5
        ).prop_map(|list| format!("[{}]", list.join(","))),
        1 => any_value(),
    ];
    let rest = (object(EVENT), prop::option::weighted(0.05, any_value()));
    (
        event_type,
        event_time,
        streams,
        rest,
        any::<prop::sample::Index>(),
        (0..4_u8, 0..8_u8),
    )
        .prop_map(
            |(event_type, event_time, streams, (mut pairs, foreign), place, (style, form))| {
                let mut add = |key, value| {
                    let at = place.index(pairs.len() + 1);
                    pairs.insert(at, (quoted(key, style), value));
                };
                add("EventType", event_type);
                add("EventTime", event_time);
                add("StreamInfos", streams);
                if let Some(foreign) = foreign {
                    add("MessageBody", foreign);
                }
                in_form(&written(&pairs), form)
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_the_obvious_decoder(body in any_body()) {
        prop_assert_eq!(decode(&body, ENQUEUED), reference(&body));
    }

    #[test]
    fn never_panics(
        text in any::<String>(),
        body in any_body(),
        place in any::<prop::sample::Index>(),
        enqueued in any::<i64>(),
    ) {
        let place = body.floor_char_boundary(place.index(body.len() + 1));
        let (head, tail) = body.split_at(place);
        for body in [text.as_str(), head, tail, &format!("{head}{text}{tail}"), &STANDARD.encode(&text)] {
            let _outcome = decode(body, UnixMillis(enqueued));
        }
    }
}
