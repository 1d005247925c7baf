use serde_json::json;

use super::*;
use crate::clock::UnixMillis;

const ID: &str = "a1c0ffee0d1871f1bd2d000000000102";

#[test]
fn a_summary_is_read_whatever_the_types_of_its_numbers() {
    let answer = json!({
        "RequestId": "1",
        "TranscodeSummaryList": [{
            "VideoId": ID,
            "TranscodeStatus": "Processing",
            "CompleteTime": "2026-02-01T08:00:05Z",
            "TranscodeJobInfoSummaryList": [
                {"TranscodeJobStatus": "Transcoding", "TranscodeProgress": 42},
                {"TranscodeJobStatus": "TranscodeSuccess", "TranscodeProgress": "100"},
                {"TranscodeJobStatus": "Dreaming", "TranscodeProgress": 101, "ErrorCode": "200"},
            ],
        }, {"TranscodeStatus": "Processing"}],
        "NonExistVideoIds": [],
    });
    let summaries = answer::transcode_summaries(&answer).unwrap();
    let [summary] = summaries.as_slice() else {
        panic!("an entry without an id counts for nothing: {summaries:?}");
    };
    assert_eq!(summary.media, MediaKey::of(ID));
    assert_eq!(summary.status, TaskStatus::Processing);
    assert_eq!(
        summary.completed,
        Some(UnixMillis::from_secs(1_769_932_805))
    );
    let progress: Vec<_> = summary.jobs.iter().map(|job| job.progress).collect();
    assert_eq!(progress, [Some(42), Some(100), None]);
    assert_eq!(summary.jobs[2].status, JobStatus::Other);
}

#[test]
fn lists_may_be_wrapped_and_ids_may_be_a_text() {
    let answer = json!({
        "VideoList": {"Video": [{"VideoId": ID, "Status": "Checking", "TemplateGroupId": "g"}]},
        "NonExistVideoIds": "a, b",
    });
    let infos = answer::video_infos(&answer).unwrap();
    assert_eq!(infos.found[0].status, MediaStatus::Checking);
    assert_eq!(infos.missing, [MediaKey::of("a"), MediaKey::of("b")]);
}

#[test]
fn a_text_that_answers_another_question_is_refused() {
    let other = json!({"RequestId": "1"});
    answer::transcode_summaries(&other).unwrap_err();
    answer::video_infos(&other).unwrap_err();
    answer::video_page(&other).unwrap_err();
    answer::message_callback(&other).unwrap_err();
    assert_eq!(
        answer::video_page(&json!({"Total": 0})).unwrap(),
        VideoPage::default()
    );
}

#[test]
fn the_callbacks_key_is_dropped() {
    let answer = json!({"MessageCallback": {
        "CallbackType": "MNS", "AuthKey": "hunter2", "MnsQueueName": "q",
        "EventTypeList": "ALL, TranscodeComplete,",
    }});
    let callback = answer::message_callback(&answer).unwrap();
    assert_eq!(callback.event_types, ["ALL", "TranscodeComplete"]);
    assert!(!format!("{callback:?}").contains("hunter2"));
}

#[test]
fn an_id_that_would_ask_about_others_is_not_askable() {
    assert!(is_askable(&MediaKey::of(ID)));
    assert!(is_askable(&MediaKey::of("86c1925fba0a4a1a")));
    for id in ["", "a,b", "a b", &"x".repeat(200)] {
        assert!(!is_askable(&MediaKey::of(id)), "{id}");
    }
}

#[test]
fn regions_have_endpoints() {
    let endpoint = endpoint_of("ap-southeast-1").unwrap();
    assert_eq!(
        endpoint.as_str(),
        "https://vod.ap-southeast-1.aliyuncs.com/"
    );
    assert_eq!(endpoint_of("evil.example/"), None);
    assert_eq!(endpoint_of(""), None);
}
