//! Bodies of events, with the oddities that VOD's have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::truth::EventCount;
use super::{chance, pick};
use crate::clock::UnixMillis;

/// How what an event tells of ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It worked.
    Success,
    /// It failed, with this error code; empty for none.
    Fail(String),
    /// The event does not say.
    Absent,
    /// The event says something that is not in the vendor's pages.
    Odd,
}

/// An event about to be written.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) event_type: &'static str,
    pub(super) outcome: Outcome,
    pub(super) fields: Vec<(String, Value)>,
    /// The error code is not in a top-level field.
    pub(super) code_elsewhere: bool,
}

// === impl Outcome ===

impl Outcome {
    /// The normalised status.
    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Fail(_) => "fail",
            Self::Absent => "none",
            Self::Odd => "other",
        }
    }

    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Fail(code) => Some(code),
            _ => None,
        }
    }

    /// A spelling of the status; the vendor's pages differ between event types.
    fn spelled(&self, rng: &mut fastrand::Rng, event_type: &str) -> Option<&'static str> {
        let usual = match event_type {
            "UpdateMediaStorageClassComplete" | "RestoreMediaComplete" => ["Success", "Failed"],
            "WorkflowTaskComplete" => ["Succeed", "Failed"],
            _ => ["success", "fail"],
        };
        let odd = chance(rng, 0.1);
        match self {
            Self::Success if odd => {
                let spellings = ["success", "Success", "Succeed", "succeeded", "SUCCESS "];
                Some(pick(rng, &spellings))
            }
            Self::Success => Some(usual[0]),
            Self::Fail(_) if odd => {
                Some(pick(rng, &["fail", "Fail", "failed", "Failed", "FAILED"]))
            }
            Self::Fail(_) => Some(usual[1]),
            Self::Absent => None,
            Self::Odd => Some(pick(rng, &["Processing", "partial", "succes"])),
        }
    }
}

// === impl Draft ===

impl Draft {
    pub(super) fn new(event_type: &'static str, outcome: Outcome) -> Self {
        Self {
            event_type,
            outcome,
            fields: Vec::new(),
            code_elsewhere: false,
        }
    }

    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.push((key.to_owned(), value.into()));
        self
    }

    pub(super) fn with_all(mut self, fields: impl IntoIterator<Item = (String, Value)>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// What an exporter should count of it.
    pub(super) fn count(&self) -> EventCount {
        let stream = || {
            let definition = self.fields.iter().find(|(key, _)| key == "Definition");
            let text = definition.and_then(|(_, value)| value.as_str());
            (text.unwrap_or_default().to_owned(), self.outcome.status())
        };
        EventCount {
            event_type: match self.event_type {
                "MediaPublishComplete" => "other",
                known => known,
            },
            status: self.outcome.status(),
            code: self.outcome.code().map(ToOwned::to_owned),
            stream: (self.event_type == "StreamTranscodeComplete").then(stream),
        }
    }

    /// The JSON text of the event made at `at`.
    pub(super) fn write(mut self, rng: &mut fastrand::Rng, at: UnixMillis) -> String {
        let status = self.outcome.spelled(rng, self.event_type);
        let event_time = event_time(rng, self.event_type, at);
        self.fields.extend([
            ("EventType".to_owned(), self.event_type.into()),
            ("EventTime".to_owned(), event_time.into()),
        ]);
        self.fields
            .extend(status.map(|status| ("Status".to_owned(), status.into())));
        if !self.code_elsewhere {
            let errors = error_fields(rng, self.event_type, self.outcome.code());
            self.fields.extend(errors);
        }
        unknown_fields(rng, &mut self.fields);
        if self.event_type == "UploadByURLComplete" {
            add_blanks(rng, &mut self.fields);
        }
        rng.shuffle(&mut self.fields);
        object(rng, &self.fields)
    }
}

/// `yyyy-MM-ddTHH:mm:ssZ`.
pub(super) fn seconds(at: UnixMillis) -> String {
    UnixMillis(at.0 - at.0.rem_euclid(1_000)).to_string()
}

/// Some event types have milliseconds after a colon; any may have them after a dot one day.
fn event_time(rng: &mut fastrand::Rng, event_type: &str, at: UnixMillis) -> String {
    let text = seconds(at);
    let separator = match event_type {
        "ImageUploadComplete" | "AIMediaAuditComplete" => ':',
        _ if chance(rng, 0.02) => '.',
        _ => return text,
    };
    let millis = at.0.rem_euclid(1_000);
    format!("{}{separator}{millis:03}Z", text.trim_end_matches('Z'))
}

/// A number, or the same as a string.
pub(super) fn number(rng: &mut fastrand::Rng, number: impl Into<Value>) -> Value {
    let number = number.into();
    if rng.bool() {
        Value::String(number.to_string())
    } else {
        number
    }
}

/// The fields of an error, by the names that its event type has for them. Where nothing failed there may be a code
/// that says so.
pub(super) fn error_fields(
    rng: &mut fastrand::Rng,
    event_type: &str,
    code: Option<&str>,
) -> Vec<(String, Value)> {
    let [code_key, message_key] = if event_type.starts_with("AI") {
        ["Code", "Message"]
    } else {
        ["ErrorCode", "ErrorMessage"]
    };
    let (code, message): (Value, &str) = match code {
        Some("") => match rng.u8(..3) {
            0 => return Vec::new(),
            1 => ("".into(), "unknown"),
            _ => (0.into(), "unknown"),
        },
        Some(code) => (code.into(), "The operation has failed"),
        None if code_key == "Code" => (number(rng, 0), "OK"),
        None if chance(rng, 0.1) => (pick(rng, &["", "0", "200", "Success"]).into(), ""),
        None => return Vec::new(),
    };
    vec![
        (code_key.to_owned(), code),
        (message_key.to_owned(), message.into()),
    ]
}

/// What later versions of VOD, and callers, add.
fn unknown_fields(rng: &mut fastrand::Rng, fields: &mut Vec<(String, Value)>) {
    let mut sometimes = |share: f64, key: &str, value: Value| {
        if chance(rng, share) {
            fields.push((key.to_owned(), value));
        }
    };
    sometimes(0.2, "AppId", "app-1000000".into());
    sometimes(
        0.1,
        "Extend",
        r#"{"order":"42","标题":"été \\ \"x\""}"#.into(),
    );
    sometimes(
        0.05,
        "Nested",
        json!({"Status": "fail", "List": [{"JobId": 1}, null, 2.5e3]}),
    );
    sometimes(0.05, "IsNew", true.into());
    sometimes(0.02, "Reserved", Value::Null);
}

/// Some of VOD's keys and values end with a blank.
fn add_blanks(rng: &mut fastrand::Rng, fields: &mut [(String, Value)]) {
    for (key, value) in fields {
        if rng.bool() {
            key.push(' ');
        }
        if let Value::String(text) = value
            && rng.bool()
        {
            text.push(' ');
        }
    }
}

/// An object with its fields in the given order, close together or spaced out.
fn object(rng: &mut fastrand::Rng, fields: &[(String, Value)]) -> String {
    let [colon, comma] = if chance(rng, 0.1) {
        [" : ", ",\n  "]
    } else {
        [":", ","]
    };
    let fields: Vec<_> = fields
        .iter()
        .map(|(key, value)| format!("{}{colon}{value}", Value::from(key.as_str())))
        .collect();
    let text = format!("{{{}}}", fields.join(comma));
    if chance(rng, 0.1) {
        escaped(&text)
    } else {
        text
    }
}

/// The same JSON in ASCII: other characters stand only in strings, where they can be escaped.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|char| {
            if char.is_ascii() {
                return char.to_string();
            }
            let mut units = [0; 2];
            let units = char.encode_utf16(&mut units).iter();
            let units: Vec<_> = units.map(|unit| format!("\\u{unit:04x}")).collect();
            units.concat()
        })
        .collect()
}

/// The text as it stands in MNS: as it is, or in base64, now and then with blanks around it.
pub(super) fn encoded(rng: &mut fastrand::Rng, base64_share: f64, text: &str) -> String {
    let body = if chance(rng, base64_share) {
        STANDARD.encode(text)
    } else {
        text.to_owned()
    };
    if chance(rng, 0.03) {
        format!(" {body}\n")
    } else {
        body
    }
}
