//! One pass over a body's JSON: the wanted fields as scalars that borrow from the text.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::MAX_STREAMS;

/// A value as it stands in the text. Strings are trimmed; only those with escapes are copied.
#[derive(Debug, Default)]
pub(super) enum Scalar<'a> {
    /// Absent, or null.
    #[default]
    Missing,
    /// A string, without the blanks around it.
    Text(Cow<'a, str>),
    /// A whole number.
    Whole(u64),
    /// Any other number.
    Number(f64),
    /// An object, whose content does not matter.
    Object,
    /// A boolean or an array, which no wanted field has.
    Unwanted,
}

/// The wanted fields of an event.
#[derive(Debug, Default)]
pub(super) struct EventFields<'a> {
    pub(super) event_type: Scalar<'a>,
    pub(super) event_time: Scalar<'a>,
    pub(super) message_body: Scalar<'a>,
    pub(super) video_id: Scalar<'a>,
    pub(super) media_id: Scalar<'a>,
    pub(super) image_id: Scalar<'a>,
    pub(super) attached_media_id: Scalar<'a>,
    pub(super) task_id: Scalar<'a>,
    pub(super) delete_type: Scalar<'a>,
    pub(super) operate_mode: Scalar<'a>,
    /// What the event says of itself in the fields that its streams have too.
    pub(super) own: StreamFields<'a>,
    /// Those elements of `StreamInfos` that are objects, at most [`MAX_STREAMS`].
    pub(super) streams: Vec<StreamFields<'a>>,
}

/// The wanted fields of an output stream.
#[derive(Debug, Default)]
pub(super) struct StreamFields<'a> {
    pub(super) status: Scalar<'a>,
    pub(super) definition: Scalar<'a>,
    pub(super) start_time: Scalar<'a>,
    pub(super) finish_time: Scalar<'a>,
    pub(super) job_id: Scalar<'a>,
    pub(super) error_code: Scalar<'a>,
    pub(super) code: Scalar<'a>,
    pub(super) duration: Scalar<'a>,
}

#[derive(Clone, Copy)]
enum Key {
    EventType,
    EventTime,
    MessageBody,
    VideoId,
    MediaId,
    ImageId,
    AttachedMediaId,
    TaskId,
    DeleteType,
    OperateMode,
    StreamInfos,
    Status,
    Definition,
    StartTime,
    FinishTime,
    JobId,
    ErrorCode,
    Code,
    Duration,
    Unwanted,
}

/// `StreamInfos`; empty unless it is an array.
#[derive(Default)]
struct Streams<'a>(Vec<StreamFields<'a>>);

/// An element of `StreamInfos`; none unless it is an object.
#[derive(Default)]
struct StreamElement<'a>(Option<StreamFields<'a>>);

/// A type that is read from any value, and is the default for a value of another shape.
trait Shape<'de>: Default {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        skip_map(map)?;
        Ok(Self::default())
    }

    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        skip_seq(seq)?;
        Ok(Self::default())
    }
}

struct ScalarVisitor;
struct EventVisitor;
struct KeyVisitor;
struct ShapeVisitor<T>(PhantomData<T>);

// === impl Scalar ===

impl Scalar<'_> {
    /// The text of a string.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An id or a code: a string that is not blank, or a whole number.
    pub(super) fn token(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
            Self::Whole(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }

    /// A number of seconds, written as a number or as a string.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a number too large for f64 is no duration"
    )]
    pub(super) fn seconds(&self) -> Option<f64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Whole(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Missing)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Unwanted)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(number))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "no wanted field has a negative value of use"
    )]
    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(trimmed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(trimmed(text).to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map)?;
        Ok(Scalar::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip_seq(seq)?;
        Ok(Scalar::Unwanted)
    }
}

// === impl EventFields ===

impl<'a> EventFields<'a> {
    fn slot(&mut self, key: Key) -> Option<&mut Scalar<'a>> {
        Some(match key {
            Key::EventType => &mut self.event_type,
            Key::EventTime => &mut self.event_time,
            Key::MessageBody => &mut self.message_body,
            Key::VideoId => &mut self.video_id,
            Key::MediaId => &mut self.media_id,
            Key::ImageId => &mut self.image_id,
            Key::AttachedMediaId => &mut self.attached_media_id,
            Key::TaskId => &mut self.task_id,
            Key::DeleteType => &mut self.delete_type,
            Key::OperateMode => &mut self.operate_mode,
            key => return self.own.slot(key),
        })
    }
}

impl<'de> Deserialize<'de> for EventFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor)
    }
}

impl<'de> Visitor<'de> for EventVisitor {
    type Value = EventFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut body = EventFields::default();
        while let Some(key) = map.next_key::<Key>()? {
            if matches!(key, Key::StreamInfos) {
                body.streams = map.next_value::<Streams<'de>>()?.0;
            } else if let Some(slot) = body.slot(key) {
                *slot = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(body)
    }
}

// === impl StreamFields ===

impl<'a> StreamFields<'a> {
    fn slot(&mut self, key: Key) -> Option<&mut Scalar<'a>> {
        Some(match key {
            Key::Status => &mut self.status,
            Key::Definition => &mut self.definition,
            Key::StartTime => &mut self.start_time,
            Key::FinishTime => &mut self.finish_time,
            Key::JobId => &mut self.job_id,
            Key::ErrorCode => &mut self.error_code,
            Key::Code => &mut self.code,
            Key::Duration => &mut self.duration,
            _ => return None,
        })
    }
}

// === impl Key ===

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Key, E> {
        let text = trimmed(text);
        // By length first: most keys of a body are none of these, and are told so by one comparison.
        Ok(match text.len() {
            4 if text == "Code" => Key::Code,
            5 if text == "JobId" => Key::JobId,
            6 if text == "Status" => Key::Status,
            6 if text == "TaskId" => Key::TaskId,
            7 if text == "VideoId" => Key::VideoId,
            7 if text == "MediaId" => Key::MediaId,
            7 if text == "ImageId" => Key::ImageId,
            8 if text == "Duration" => Key::Duration,
            9 if text == "EventType" => Key::EventType,
            9 if text == "EventTime" => Key::EventTime,
            9 if text == "StartTime" => Key::StartTime,
            9 if text == "ErrorCode" => Key::ErrorCode,
            10 if text == "Definition" => Key::Definition,
            10 if text == "FinishTime" => Key::FinishTime,
            10 if text == "DeleteType" => Key::DeleteType,
            11 if text == "StreamInfos" => Key::StreamInfos,
            11 if text == "OperateMode" => Key::OperateMode,
            11 if text == "MessageBody" => Key::MessageBody,
            15 if text == "AttachedMediaId" => Key::AttachedMediaId,
            _ => Key::Unwanted,
        })
    }
}

// === impl Streams ===

impl<'de> Shape<'de> for Streams<'de> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut streams = Vec::new();
        while streams.len() < MAX_STREAMS {
            match seq.next_element::<StreamElement<'de>>()? {
                Some(element) => streams.extend(element.0),
                None => return Ok(Self(streams)),
            }
        }
        skip_seq(seq)?;
        Ok(Self(streams))
    }
}

impl<'de> Deserialize<'de> for Streams<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor(PhantomData))
    }
}

// === impl StreamElement ===

impl<'de> Shape<'de> for StreamElement<'de> {
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut stream = StreamFields::default();
        while let Some(key) = map.next_key::<Key>()? {
            if let Some(slot) = stream.slot(key) {
                *slot = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Self(Some(stream)))
    }
}

impl<'de> Deserialize<'de> for StreamElement<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor(PhantomData))
    }
}

// === impl ShapeVisitor ===

impl<'de, T: Shape<'de>> Visitor<'de> for ShapeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        T::from_seq(seq)
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<T, E> {
        Ok(T::default())
    }
}

/// Without the blanks around it; most texts have none, which their ends tell at once.
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}
