//! Messages that are no event: one kind for each reason that an exporter should give.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::body::{encoded, seconds};
use super::pick;
use crate::clock::UnixMillis;

/// More than the 64 KiB of any MNS message, and than their base64.
const TOO_LARGE_BYTES: usize = 90_000;

/// A body of a random kind with the reason why it is no event, made at `at`. Large ones are rare.
pub(super) fn undecodable(rng: &mut fastrand::Rng, at: UnixMillis) -> (&'static str, String) {
    let id = rng.u64(..);
    let known = json!({"EventType": "FileUploadComplete", "VideoId": format!("{id:032x}")});
    match rng.u8(..41) {
        0..8 => {
            let bodies = [
                format!("<html>{id}</html>"),
                format!("order {id} has been shipped"),
                format!("{}=*", STANDARD.encode(known.to_string())),
                format!("EventType=FileUploadComplete&id={id}"),
            ];
            ("bad_base64", pick(rng, &bodies))
        }
        8..16 => {
            let text = known.to_string();
            let cut = text.trim_end_matches('}').to_owned();
            let bodies = [
                STANDARD.encode(format!("hello {id}")),
                STANDARD.encode(&cut),
                format!("{cut},"),
                STANDARD.encode([0xff, 0xfe, 0x00]),
                format!("{text}{text}"),
            ];
            ("not_json", pick(rng, &bodies))
        }
        16..24 => {
            let bodies = [
                json!([known]).to_string(),
                STANDARD.encode(json!([known]).to_string()),
                STANDARD.encode(id.to_string()),
                "\"FileUploadComplete\"".to_owned(),
                STANDARD.encode("null"),
            ];
            ("not_object", pick(rng, &bodies))
        }
        24..32 => {
            let time = seconds(at);
            let bodies = [
                json!({"EventTime": time, "VideoId": id}),
                json!({"EventTime": time, "EventType": 7}),
                json!({"EventTime": time, "EventType": null}),
                json!({"EventTime": time, "EventType": " "}),
                json!({}),
            ];
            let text = pick(rng, &bodies).to_string();
            ("no_event_type", encoded(rng, 0.5, &text))
        }
        32..40 => {
            let times = [
                json!(null),
                json!(at.0),
                json!("yesterday"),
                json!("2026-02-30T08:00:00Z"),
                json!(seconds(at).replace('T', " ")),
                json!(seconds(at).replace('Z', "+08:00")),
            ];
            let mut body = known;
            if let Some(body) = body.as_object_mut().filter(|_| rng.bool()) {
                body.insert("EventTime".to_owned(), pick(rng, &times));
            }
            ("bad_event_time", encoded(rng, 0.5, &body.to_string()))
        }
        _ => {
            let mut body = known;
            body["Data"] = "x".repeat(TOO_LARGE_BYTES).into();
            ("too_large", body.to_string())
        }
    }
}

/// An event of Intelligent Media Services, which uses VOD's names in another envelope.
pub(super) fn foreign(rng: &mut fastrand::Rng, at: UnixMillis) -> (&'static str, String) {
    let body = json!({
        "EventType": pick(rng, &["FileUploadComplete", "MediaConvertComplete", "TranscodeComplete"]),
        "UserId": 1_234_567_890,
        "EventTime": seconds(at),
        "MessageBody": {
            "Status": pick(rng, &["Success", "Fail"]),
            "MediaId": format!("{:032x}", rng.u128(..)),
        },
    });
    ("foreign_envelope", encoded(rng, 0.5, &body.to_string()))
}
