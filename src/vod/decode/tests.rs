//! Samples of the vendor's fields, the reasons for refusal, and the decoder against an obvious one.

mod reference;

use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::vod::fault::ErrorCode;

const ENQUEUED: UnixMillis = UnixMillis(1_769_950_000_000);
const VIDEO: &str = "a1c0ffee0d1871f1bd2d000000000102";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/vod/", $name, ".json"))
    };
}

fn event(body: &str) -> Event {
    decode(body, ENQUEUED).expect(body).event
}

fn refusal(body: &str) -> Undecodable {
    decode(body, ENQUEUED).expect_err(body)
}

/// An event of type `event_type` with more `fields`.
fn with(event_type: &str, fields: &str) -> Event {
    event(&format!(
        r#"{{"EventType":"{event_type}","EventTime":"2026-02-01T08:00:05Z"{fields}}}"#
    ))
}

#[test]
fn an_upload_is_read() {
    assert_eq!(
        event(fixture!("file_upload")),
        Event {
            event_type: EventType::FileUploadComplete,
            status: Status::Success,
            event_time: UnixMillis(1_769_932_805_000),
            media: Some(MediaKey::of(VIDEO)),
            error: None,
            streams: Vec::new(),
            duration_millis: None,
            deletes_media: false,
        }
    );
    assert!(matches!(
        MediaKey::of(VIDEO),
        MediaKey::Hex([0xa1, 0xc0, ..])
    ));
}

#[test]
fn every_sample_is_read() {
    use {EventType as E, Status as S};
    let video = || Some(MediaKey::of(VIDEO));
    for (body, event_type, status, media, error) in [
        (
            fixture!("stream_transcode_failed"),
            E::StreamTranscodeComplete,
            S::Fail,
            video(),
            Some(ErrorCode::InternalError),
        ),
        (
            fixture!("snapshot"),
            E::SnapshotComplete,
            S::Success,
            video(),
            None,
        ),
        (
            fixture!("upload_by_url_failed"),
            E::UploadByURLComplete,
            S::Fail,
            Some(MediaKey::of("86c1925fba0a4a1a")),
            Some(ErrorCode::UrlInvalid),
        ),
        (
            fixture!("image_upload"),
            E::ImageUploadComplete,
            S::Success,
            Some(MediaKey::of("59bdbf10df76a8d8b6137a5ad1200000")),
            None,
        ),
        (
            fixture!("workflow_failed"),
            E::WorkflowTaskComplete,
            S::Fail,
            video(),
            None,
        ),
        (
            fixture!("storage_class_failed"),
            E::UpdateMediaStorageClassComplete,
            S::Fail,
            video(),
            Some(ErrorCode::NoSuchKey),
        ),
    ] {
        let event = event(body);
        assert_eq!(
            (event.event_type, event.status, event.media, event.error),
            (event_type, status, media, error)
        );
    }
    let image = event(fixture!("image_upload"));
    assert_eq!(image.event_time, UnixMillis(1_769_935_034_627));
}

#[test]
fn numbers_may_be_strings() {
    let analysis = event(fixture!("video_analysis"));
    assert_eq!(analysis.duration_millis, Some(1_820_500));
    let stream = event(fixture!("stream_transcode"));
    assert_eq!(stream.duration_millis, Some(1_820_480));
}

#[test]
fn durations_are_bounded() {
    for (duration, expected) in [
        ("0", None),
        ("-5", None),
        ("\"-5\"", None),
        ("\"NaN\"", None),
        ("\"inf\"", None),
        ("1e300", None),
        ("\"\"", None),
        ("true", None),
        ("[5]", None),
        ("\" 5.25 \"", Some(5_250)),
        ("2592000", Some(2_592_000_000)),
        ("2592001", None),
    ] {
        let event = with(
            "VideoAnalysisComplete",
            &format!(r#","Duration":{duration}"#),
        );
        assert_eq!(event.duration_millis, expected, "{duration}");
    }
}

#[test]
fn a_stream_event_has_exactly_one_stream() {
    let event = event(fixture!("stream_transcode"));
    assert_eq!(
        event.streams,
        [Stream {
            definition: Definition::Ld,
            status: Status::Success,
            start: Some(UnixMillis(1_769_932_841_000)),
            finish: Some(UnixMillis(1_769_932_990_000)),
            job: Some(xxh3_64(b"11112222333344445555666677778888")),
        }]
    );
}

#[test]
fn partial_failure_is_in_the_streams() {
    let event = event(fixture!("transcode_partial"));
    assert_eq!(event.status, Status::Success);
    assert_eq!(event.error, None, "the event did not fail");
    let statuses: Vec<_> = event.streams.iter().map(|stream| stream.status).collect();
    assert_eq!(statuses, [Status::Success, Status::Fail]);
}

#[test]
fn a_failed_transcode_takes_its_code_from_wherever_it_is() {
    assert_eq!(
        event(fixture!("transcode_failed")).error,
        Some(ErrorCode::ResourceContentBad)
    );
    let in_streams = r#","Status":"fail","ErrorCode":"","StreamInfos":[
        {"Status":"success","ErrorCode":"NoSuchKey"},{"Status":"fail"},{"Status":"Failed","Code":"Throttling"}]"#;
    assert_eq!(
        with("TranscodeComplete", in_streams).error,
        Some(ErrorCode::Throttling)
    );
    assert_eq!(
        with("SnapshotComplete", in_streams).error,
        None,
        "only TranscodeComplete has streams"
    );
}

#[test]
fn codes_count_only_when_the_event_failed() {
    assert_eq!(event(fixture!("ai_media_audit")).error, None);
    let code = |status, fields: &str| {
        with(
            "AIVideoTagComplete",
            &format!(r#","Status":"{status}"{fields}"#),
        )
        .error
    };
    assert_eq!(code("success", r#","Code":"InternalError""#), None);
    assert_eq!(code("fail", r#","Code":0"#), None);
    assert_eq!(
        code("fail", r#","Code":"Brandnew""#),
        Some(ErrorCode::Other)
    );
    assert_eq!(
        code("fail", r#","ErrorCode":"200","Code":"InternalError""#),
        Some(ErrorCode::InternalError)
    );
}

#[test]
fn statuses_are_normalised() {
    for (status, expected) in [
        (r#""success""#, Status::Success),
        (r#""Success""#, Status::Success),
        (r#""Succeed""#, Status::Success),
        (r#"" SUCCEEDED ""#, Status::Success),
        (r#""fail""#, Status::Fail),
        (r#""Failed""#, Status::Fail),
        (r#""""#, Status::None),
        ("null", Status::None),
        (r#""Processing""#, Status::Other),
        ("true", Status::Other),
        ("1", Status::Other),
    ] {
        let event = with("FileUploadComplete", &format!(r#","Status":{status}"#));
        assert_eq!(event.status, expected, "{status}");
    }
    assert_eq!(with("FileUploadComplete", "").status, Status::None);
}

#[test]
fn blanks_around_keys_and_values_do_not_matter() {
    let event = event(fixture!("upload_by_url_blanks"));
    assert_eq!(event.event_type, EventType::UploadByURLComplete);
    assert_eq!(event.error, Some(ErrorCode::UrlInvalid));
    assert_eq!(
        event.media,
        Some(MediaKey::Text("86c1925fba0a4a1a".into())),
        "a failed pull has only its job"
    );
}

#[test]
fn the_media_id_comes_before_the_jobs() {
    let media = |fields: &str| with("FileUploadComplete", fields).media;
    let text = |id: &str| Some(MediaKey::Text(id.into()));
    assert_eq!(media(r#","TaskId":"t","JobId":"j""#), text("j"));
    assert_eq!(media(r#","JobId":"j","AttachedMediaId":"a""#), text("a"));
    assert_eq!(media(r#","ImageId":"i","AttachedMediaId":"a""#), text("i"));
    assert_eq!(media(r#","ImageId":"i","MediaId":"m""#), text("m"));
    assert_eq!(media(r#","VideoId":"v","MediaId":"m""#), text("v"));
    assert_eq!(media(r#","VideoId":" ","MediaId":7"#), text("7"));
    assert_eq!(media(r#","VideoId":{}"#), None);
    assert_eq!(
        media(&format!(r#","VideoId":"{}""#, "é".repeat(100))),
        text(&"é".repeat(64))
    );
    assert_eq!(
        media(r#","VideoId":"A1C0FFEE0D1871F1BD2D000000000102""#),
        text("A1C0FFEE0D1871F1BD2D000000000102")
    );
}

#[test]
fn definitions_lose_their_suffix() {
    for (definition, expected) in [
        ("HD-MP4", Definition::Hd),
        ("hd", Definition::Hd),
        ("2K", Definition::TwoK),
        ("AUTO-NB", Definition::Auto),
        ("XQ", Definition::Other),
        ("", Definition::Other),
    ] {
        let event = with(
            "StreamTranscodeComplete",
            &format!(r#","Definition":"{definition}""#),
        );
        assert_eq!(event.streams[0].definition, expected, "{definition}");
    }
}

#[test]
fn only_a_whole_media_file_is_deleted() {
    let delete = |fields| with("DeleteMediaComplete", fields).deletes_media;
    assert!(event(fixture!("delete_media")).deletes_media);
    assert!(delete(r#","Status":"success","DeleteType":"All""#));
    assert!(delete(r#","Status":"success""#));
    assert!(!delete(r#","Status":"success","DeleteType":"mezzanine""#));
    assert!(!delete(r#","Status":"success","DeleteType":"stream""#));
    assert!(!delete(r#","Status":"fail","DeleteType":"all""#));
    let change = |fields| with("MediaBaseChangeComplete", fields).deletes_media;
    assert!(change(r#","Status":"success","OperateMode":"delete""#));
    assert!(!event(fixture!("media_base_change")).deletes_media);
    assert!(!change(""));
    assert!(!with("FileUploadComplete", r#","OperateMode":"delete""#).deletes_media);
}

#[test]
fn every_documented_type_is_known_and_others_are_other() {
    for event_type in EventType::ALL {
        assert_eq!(with(event_type.as_str(), "").event_type, *event_type);
    }
    assert_eq!(
        with("MediaPublishComplete", "").event_type,
        EventType::Other
    );
    assert_eq!(EventType::COUNT, 23);
}

#[test]
fn odd_stream_lists_are_empty_and_long_ones_are_cut() {
    let streams =
        |list: &str| with("TranscodeComplete", &format!(r#","StreamInfos":{list}"#)).streams;
    for list in [
        "null",
        "{}",
        "5",
        "-5",
        "0.5",
        "true",
        r#""[]""#,
        "[]",
        "[1,null,[{}]]",
    ] {
        assert_eq!(streams(list), [], "{list}");
    }
    assert_eq!(with("TranscodeComplete", "").streams, []);
    assert_eq!(streams(&format!("[{}{{}}]", "{},".repeat(499))).len(), 500);
    assert_eq!(
        streams(&format!("[{}{{}}]", "{},".repeat(4_000))).len(),
        MAX_STREAMS
    );
    assert_eq!(
        with("SnapshotComplete", r#","StreamInfos":[{}]"#).streams,
        []
    );
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    let event = with(
        "FileUploadComplete",
        r#","Status":"fail","Status ":"success""#,
    );
    assert_eq!(event.status, Status::Success);
}

#[test]
fn content_is_that_of_the_decoded_text() {
    let body = fixture!("file_upload");
    let content = |body: &str| decode(body, ENQUEUED).expect(body).content;
    assert_eq!(content(body), content(&STANDARD.encode(body)));
    assert_eq!(content(body), content(&format!(" \n{body}\t")));
    assert_ne!(content(body), content(&body.replace("Size", "size")));
    let marked = format!("\u{feff}{body}");
    assert_eq!(content(body), content(&marked));
    assert_eq!(content(body), content(&STANDARD.encode(&marked)));
    for end in ["\n", "\r\n", "\r"] {
        let encoded = STANDARD.encode(body);
        let (head, tail) = encoded.split_at(76);
        assert_eq!(content(body), content(&[head, tail, ""].join(end)));
    }
}

#[test]
fn each_refusal_has_its_reason() {
    use Undecodable as U;
    let base64 = |text: &str| STANDARD.encode(text);
    let timed = |time: &str| format!(r#"{{"EventType":"FileUploadComplete","EventTime":{time}}}"#);
    for (body, expected) in [
        ("<html>", U::BadBase64),
        ("eyJFdmVudFR5cGUi*", U::BadBase64),
        (r#"{"EventType":"FileUploadComplete""#, U::NotJson),
        ("{}{}", U::NotJson),
        ("", U::NotJson),
        (&base64("hello"), U::NotJson),
        (&STANDARD.encode([0xff, 0xfe]), U::NotJson),
        (r#"[{"EventType":"FileUploadComplete"}]"#, U::NotObject),
        (&base64("[1]"), U::NotObject),
        (&base64(" 12 "), U::NotObject),
        ("1234", U::NotObject),
        ("12345", U::NotObject),
        ("null", U::NotObject),
        ("\"text\"", U::NotObject),
        ("{}", U::NoEventType),
        (&base64("{}"), U::NoEventType),
        (r#"{"EventType":7}"#, U::NoEventType),
        (
            r#"{"EventType":" ","EventTime":"2026-02-01T08:00:05Z"}"#,
            U::NoEventType,
        ),
        (fixture!("ims_envelope"), U::ForeignEnvelope),
        (
            r#"{"EventType":"FileUploadComplete","MessageBody":"{\"Status\":1}"}"#,
            U::ForeignEnvelope,
        ),
        ("eyJF\r\nVmVu*", U::BadBase64),
        ("eyJF dmVu", U::BadBase64),
        ("\u{feff}[1]", U::NotObject),
        (r#"{"EventType":"FileUploadComplete"}"#, U::BadEventTime),
        (&timed("null"), U::BadEventTime),
        (&timed("1769932805"), U::BadEventTime),
        (&timed(r#""yesterday""#), U::BadEventTime),
        (&timed(r#""9999-02-01T08:00:05Z""#), U::BadEventTime),
        (&" ".repeat(MAX_BODY_BYTES + 1), U::TooLarge),
    ] {
        assert_eq!(refusal(body), expected, "{body:.80}");
    }
}

#[test]
fn the_largest_message_is_read() {
    let head = r#"{"EventType":"FileUploadComplete","EventTime":"2026-02-01T08:00:05Z","X":""#;
    let body = format!("{head}{}\"}}", "x".repeat(65_536 - head.len() - 2));
    assert_eq!(body.len(), 65_536);
    let encoded = STANDARD.encode(&body);
    assert_eq!(encoded.len(), MAX_BODY_BYTES);
    assert_eq!(decode(&encoded, ENQUEUED), decode(&body, ENQUEUED));
    assert!(decode(&encoded, ENQUEUED).is_ok());
}

#[test]
fn hostile_nesting_is_only_a_refusal_or_skipped() {
    let deep = |key: &str, depth: usize| {
        format!(
            r#"{{"EventType":"FileUploadComplete","EventTime":"2026-02-01T08:00:05Z","{key}":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    for key in ["Unknown", "Status", "StreamInfos", "MessageBody"] {
        assert!(decode(&deep(key, 100), ENQUEUED).is_ok(), "{key}");
        match decode(&deep(key, 40_000), ENQUEUED) {
            Ok(_) | Err(Undecodable::NotJson) => {}
            Err(other) => panic!("{key}: {other}"),
        }
    }
}
