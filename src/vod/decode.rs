//! From the body of a message to an [`Event`].
//!
//! VOD pushes JSON text; whether MNS hands it out plain or base64-encoded depends on the queue, so that both are read.
//! One pass over the few fields that matter, borrowing from the text: VOD's types vary from event to event (numbers as
//! strings, blanks at the end of keys), so every value is read as a scalar first. Fields that are not wanted are
//! skipped, which is why unknown ones never matter.

mod scan;

use std::borrow::Cow;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose;
use serde::de::IgnoredAny;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use self::scan::{EventFields, Scalar, StreamFields};
use super::event::{Definition, Event, EventType, MediaKey, Status, Stream, Undecodable};
use super::fault::ErrorCode;
use super::time;
use crate::clock::UnixMillis;

/// The longest body that is read: 64 KiB, the most that MNS takes, in base64.
pub const MAX_BODY_BYTES: usize = (64 * 1024_usize).div_ceil(3) * 4;

/// The most output streams that are kept of one event; a template group has at most 20.
pub const MAX_STREAMS: usize = 1_000;

/// Durations above 30 days are not believed.
const MAX_DURATION_SECONDS: f64 = 30.0 * 86_400.0;

/// VOD makes an event seconds before it is enqueued; one from the far future would hold a deadline open for ever.
const MAX_AHEAD_MILLIS: i64 = 86_400_000;

/// The fastest engine that there is for the processor.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BASE64: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::standard(general_purpose::PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static BASE64: general_purpose::GeneralPurpose = general_purpose::STANDARD;

/// A body that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What it says.
    pub event: Event,
    /// A hash of the decoded text: equal for two messages with the same content, however each is encoded. Two real
    /// changes within one second have the same `EventTime` but differ in their bodies.
    pub content: u128,
}

/// Decodes the body of a message that MNS enqueued at `enqueue_time`.
pub fn decode(body: &str, enqueue_time: UnixMillis) -> Result<Decoded, Undecodable> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Undecodable::TooLarge);
    }
    let text = text_of(bare(body))?;
    let text = bare(&text);
    let fields: EventFields<'_> = serde_json::from_str(text).map_err(|_| not_an_object(text))?;
    Ok(Decoded {
        event: event_of(&fields, enqueue_time)?,
        content: xxh3_128(text.as_bytes()),
    })
}

/// Without the blanks around it, and without the byte order mark that some producers put in front.
fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('\u{feff}').map_or(text, str::trim_start)
}

/// The JSON text: the body itself if it starts with `{`, else what it holds in base64, which may be broken into lines.
fn text_of(body: &str) -> Result<Cow<'_, str>, Undecodable> {
    if body.starts_with('{') {
        return Ok(Cow::Borrowed(body));
    }
    let bytes = if body.contains(['\r', '\n']) {
        BASE64.decode(body.replace(['\r', '\n'], ""))
    } else {
        BASE64.decode(body)
    };
    match bytes {
        Ok(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|_| plain_json(body).unwrap_or(Undecodable::NotJson)),
        Err(_) => Err(plain_json(body).unwrap_or(Undecodable::BadBase64)),
    }
}

/// The reason for a body that is JSON as it stands, without starting with `{`.
fn plain_json(body: &str) -> Option<Undecodable> {
    is_json(body).then_some(Undecodable::NotObject)
}

fn not_an_object(text: &str) -> Undecodable {
    if !text.starts_with('{') && is_json(text) {
        Undecodable::NotObject
    } else {
        Undecodable::NotJson
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn event_of(fields: &EventFields<'_>, enqueue_time: UnixMillis) -> Result<Event, Undecodable> {
    let event_type = match fields.event_type.text() {
        Some("") | None => return Err(Undecodable::NoEventType),
        Some(text) => EventType::parse(text).unwrap_or(EventType::Other),
    };
    // Either way, as an object or as its text, it holds another service's event.
    if matches!(fields.message_body, Scalar::Object | Scalar::Text(_)) {
        return Err(Undecodable::ForeignEnvelope);
    }
    let event_time = fields
        .event_time
        .text()
        .and_then(time::parse)
        .filter(|at| at.millis_since(enqueue_time) <= MAX_AHEAD_MILLIS)
        .ok_or(Undecodable::BadEventTime)?;
    let status = status_of(&fields.own.status);
    Ok(Event {
        event_type,
        status,
        event_time,
        media: media_of(fields),
        error: error_of(fields, event_type, status),
        streams: match event_type {
            EventType::StreamTranscodeComplete => vec![stream_of(&fields.own)],
            EventType::TranscodeComplete => fields.streams.iter().map(stream_of).collect(),
            _ => Vec::new(),
        },
        duration_millis: duration_of(fields, event_type),
        deletes_media: deletes_media(fields, event_type, status),
    })
}

fn status_of(status: &Scalar<'_>) -> Status {
    const SUCCESS: [&str; 3] = ["success", "succeed", "succeeded"];
    const FAIL: [&str; 2] = ["fail", "failed"];
    let is_one_of = |text: &str, words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    match status {
        Scalar::Missing => Status::None,
        Scalar::Text(text) if text.is_empty() => Status::None,
        Scalar::Text(text) if is_one_of(text, &SUCCESS) => Status::Success,
        Scalar::Text(text) if is_one_of(text, &FAIL) => Status::Fail,
        _ => Status::Other,
    }
}

fn media_of(fields: &EventFields<'_>) -> Option<MediaKey> {
    let ids = [
        &fields.video_id,
        &fields.media_id,
        &fields.image_id,
        &fields.attached_media_id,
        &fields.own.job_id,
        &fields.task_id,
    ];
    ids.into_iter()
        .find_map(Scalar::token)
        .map(|id| MediaKey::of(&id))
}

/// The error code of a failed event. `TranscodeComplete` may carry it only in its streams, of which those that failed
/// are asked in order.
fn error_of(fields: &EventFields<'_>, event_type: EventType, status: Status) -> Option<ErrorCode> {
    if status != Status::Fail {
        return None;
    }
    let streams = match event_type {
        EventType::TranscodeComplete => fields.streams.as_slice(),
        _ => &[],
    };
    code_of(&fields.own).or_else(|| {
        streams
            .iter()
            .filter(|stream| status_of(&stream.status) == Status::Fail)
            .find_map(code_of)
    })
}

fn code_of(fields: &StreamFields<'_>) -> Option<ErrorCode> {
    [&fields.error_code, &fields.code]
        .into_iter()
        .filter_map(Scalar::token)
        .find_map(|code| ErrorCode::from_vendor(&code))
}

fn stream_of(fields: &StreamFields<'_>) -> Stream {
    let instant = |value: &Scalar<'_>| value.text().and_then(time::parse);
    Stream {
        definition: definition_of(fields.definition.text().unwrap_or_default()),
        status: status_of(&fields.status),
        start: instant(&fields.start_time),
        finish: instant(&fields.finish_time),
        job: fields.job_id.token().map(|job| xxh3_64(job.as_bytes())),
    }
}

/// Preset templates append a suffix, as in `HD-MP4`.
fn definition_of(text: &str) -> Definition {
    let text = text.split('-').next().unwrap_or_default().trim();
    Definition::ALL
        .iter()
        .copied()
        .find(|definition| text.eq_ignore_ascii_case(definition.as_str()))
        .unwrap_or(Definition::Other)
}

/// The media's duration; of a whole transcode, the longest of its outputs.
fn duration_of(fields: &EventFields<'_>, event_type: EventType) -> Option<u64> {
    let own = || fields.own.duration.seconds().and_then(duration_millis);
    match event_type {
        EventType::VideoAnalysisComplete | EventType::StreamTranscodeComplete => own(),
        EventType::TranscodeComplete => fields
            .streams
            .iter()
            .filter_map(|stream| stream.duration.seconds().and_then(duration_millis))
            .max()
            .or_else(own),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked"
)]
fn duration_millis(seconds: f64) -> Option<u64> {
    (seconds > 0.0 && seconds <= MAX_DURATION_SECONDS).then(|| (seconds * 1_000.0).round() as u64)
}

/// Whether the media file itself is gone: deleting its source file (`mezzanine`) or some of its outputs (`stream`)
/// leaves it, and so does a deletion that failed.
fn deletes_media(fields: &EventFields<'_>, event_type: EventType, status: Status) -> bool {
    if !matches!(status, Status::Success | Status::None) {
        return false;
    }
    let says = |field: &Scalar<'_>, word: &str| {
        field
            .text()
            .is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    match event_type {
        EventType::DeleteMediaComplete => {
            matches!(fields.delete_type, Scalar::Missing) || says(&fields.delete_type, "all")
        }
        EventType::MediaBaseChangeComplete => says(&fields.operate_mode, "delete"),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
