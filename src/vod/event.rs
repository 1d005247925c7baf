//! VOD's event catalogue and the event as the rest of the exporter sees it.
//!
//! Source: the vendor's event pages ("event types" of ApsaraVideo VOD). VOD has no event for the submission or start of
//! a transcode, and promises no order.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fault::ErrorCode;
use crate::clock::UnixMillis;

/// The longest media id that is kept, in bytes.
const MAX_MEDIA_KEY_BYTES: usize = 128;

/// Declares a fieldless enum that is used as a metric label: its variants in order, each with its label text.
macro_rules! label_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// All values, in the order in which metrics list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many values there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The label value.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value whose label is exactly `text`.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }

            /// The position in [`Self::ALL`], for dense tables.
            pub const fn index(self) -> usize {
                self as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use label_enum;

label_enum! {
    /// The 22 documented values of `EventType`, and one for all others.
    EventType {
        /// A video or audio file has been received.
        FileUploadComplete = "FileUploadComplete",
        /// An image has been received.
        ImageUploadComplete = "ImageUploadComplete",
        /// A watermark, subtitle or other material has been received.
        AttachedMediaUploadComplete = "AttachedMediaUploadComplete",
        /// A pull from a URL has ended; on failure it carries a JobId and no VideoId.
        UploadByURLComplete = "UploadByURLComplete",
        /// The source file's metadata has been read.
        VideoAnalysisComplete = "VideoAnalysisComplete",
        /// One output stream has ended.
        StreamTranscodeComplete = "StreamTranscodeComplete",
        /// All output streams have ended; `success` when at least one did.
        TranscodeComplete = "TranscodeComplete",
        /// Snapshots have ended.
        SnapshotComplete = "SnapshotComplete",
        /// An animated preview has ended.
        DynamicImageComplete = "DynamicImageComplete",
        /// A live recording became a file.
        AddLiveRecordVideoComplete = "AddLiveRecordVideoComplete",
        /// Automatic composition of a live recording began.
        LiveRecordVideoComposeStart = "LiveRecordVideoComposeStart",
        /// An editing job has ended.
        ProduceMediaComplete = "ProduceMediaComplete",
        /// A manual review was made.
        CreateAuditComplete = "CreateAuditComplete",
        /// An automated review has ended.
        AIMediaAuditComplete = "AIMediaAuditComplete",
        /// Fingerprinting has ended.
        AIMediaDNAComplete = "AIMediaDNAComplete",
        /// Smart tagging has ended.
        AIVideoTagComplete = "AIVideoTagComplete",
        /// A media file or its streams were deleted.
        DeleteMediaComplete = "DeleteMediaComplete",
        /// Base data of a media file changed.
        MediaBaseChangeComplete = "MediaBaseChangeComplete",
        /// A storage class was changed.
        UpdateMediaStorageClassComplete = "UpdateMediaStorageClassComplete",
        /// An archived media file was restored.
        RestoreMediaComplete = "RestoreMediaComplete",
        /// All CDN refresh or preload requests of a media file were submitted.
        SubmitMediaRefreshComplete = "SubmitMediaRefreshComplete",
        /// All nodes of a workflow have ended.
        WorkflowTaskComplete = "WorkflowTaskComplete",
        /// Any value that is not in the catalogue.
        Other = "other",
    }
}

label_enum! {
    /// `Status`, normalised: VOD spells success as success, Success, Succeed and failure as fail, Failed.
    Status {
        /// It worked.
        Success = "success",
        /// It failed.
        Fail = "fail",
        /// The event carries no status.
        None = "none",
        /// A spelling that is not in the catalogue.
        Other = "other",
    }
}

label_enum! {
    /// `Definition` of an output stream: upper case, cut at the first `-`. A template label, not a resolution.
    Definition {
        /// Fluent, the lowest.
        Fd = "FD",
        /// Low.
        Ld = "LD",
        /// Standard.
        Sd = "SD",
        /// High.
        Hd = "HD",
        /// Ultra high, in some revisions of the vendor's pages.
        Uhd = "UHD",
        /// Original.
        Od = "OD",
        /// 2K.
        TwoK = "2K",
        /// 4K.
        FourK = "4K",
        /// Adaptive.
        Auto = "AUTO",
        /// Ordinary audio.
        Sq = "SQ",
        /// High quality audio.
        Hq = "HQ",
        /// Any other.
        Other = "other",
    }
}

label_enum! {
    /// Why a body could not be decoded.
    Undecodable {
        /// Neither JSON nor base64.
        BadBase64 = "bad_base64",
        /// The text, or what base64 held, is not JSON.
        NotJson = "not_json",
        /// JSON, but not an object.
        NotObject = "not_object",
        /// An object without a textual `EventType`.
        NoEventType = "no_event_type",
        /// The envelope of another product (Intelligent Media Services) in the same queue.
        ForeignEnvelope = "foreign_envelope",
        /// `EventTime` is missing, is no instant, or lies more than a day after the message was enqueued.
        BadEventTime = "bad_event_time",
        /// Larger than any MNS message.
        TooLarge = "too_large",
    }
}

/// The id of a media file (or, for want of one, of its job or task): never a label, kept for duplicates and tracking.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MediaKey {
    /// The usual 32 lower-case hex digits.
    Hex([u8; 16]),
    /// Anything else, cut at 128 bytes.
    Text(Box<str>),
}

/// One output stream of a transcode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Template label.
    pub definition: Definition,
    /// How this output ended.
    pub status: Status,
    /// Start of the job, where the event tells it.
    pub start: Option<UnixMillis>,
    /// End of the job, where the event tells it.
    pub finish: Option<UnixMillis>,
    /// The job, hashed; none if the event names none.
    pub job: Option<u64>,
}

/// A decoded callback: what counters, duplicates and the tracker need, and nothing that names a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Which event.
    pub event_type: EventType,
    /// How it ended, normalised.
    pub status: Status,
    /// When VOD made the event (precision one second for most types).
    pub event_time: UnixMillis,
    /// The media file, or the job or task where there is none.
    pub media: Option<MediaKey>,
    /// The error code of a failed event; none where it carries none, and never [`ErrorCode::None`].
    pub error: Option<ErrorCode>,
    /// The stream of a `StreamTranscodeComplete` (exactly one), or the `StreamInfos` of a `TranscodeComplete`.
    pub streams: Vec<Stream>,
    /// Media duration in milliseconds, where the event tells it.
    pub duration_millis: Option<u64>,
    /// The event says that the media file itself is gone.
    pub deletes_media: bool,
}

// === impl MediaKey ===

impl MediaKey {
    /// The key of an id as VOD writes it.
    pub fn of(id: &str) -> Self {
        if let Some(hex) = hex_id(id) {
            return Self::Hex(hex);
        }
        let end = id.floor_char_boundary(MAX_MEDIA_KEY_BYTES);
        Self::Text(id.get(..end).unwrap_or(id).into())
    }
}

impl fmt::Display for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// 32 lower-case hex digits.
fn hex_id(id: &str) -> Option<[u8; 16]> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let digits: &[u8; 32] = id.as_bytes().try_into().ok()?;
    let (pairs, _) = digits.as_chunks::<2>();
    let mut hex = [0; 16];
    for (byte, [high, low]) in hex.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(hex)
}
