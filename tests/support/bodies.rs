//! Bodies of callbacks with known content.

#![allow(dead_code, reason = "no test file needs all of it")]

/// The upload of video number `n`.
pub(crate) fn upload(n: usize) -> String {
    format!(
        r#"{{"EventType":"FileUploadComplete","Status":"success","VideoId":"{n:032}","EventTime":"2026-02-01T08:00:05Z","Size":1}}"#
    )
}

/// The end of a transcode with one good output and one that failed.
pub(crate) fn transcode(n: usize) -> String {
    format!(
        r#"{{"EventType":"TranscodeComplete","Status":"success","VideoId":"{n:032}","EventTime":"2026-02-01T08:05:02Z","StreamInfos":[{{"Status":"success","Definition":"LD","JobId":"1{n:031}","StartTime":"2026-02-01T08:00:41Z","FinishTime":"2026-02-01T08:03:10Z"}},{{"Status":"fail","Definition":"HD","JobId":"2{n:031}","ErrorCode":"InternalError"}}]}}"#
    )
}

/// The end of one good output.
pub(crate) fn stream(n: usize) -> String {
    format!(
        r#"{{"EventType":"StreamTranscodeComplete","Status":"success","VideoId":"{n:032}","EventTime":"2026-02-01T08:03:11Z","Definition":"LD","JobId":"1{n:031}","StartTime":"2026-02-01T08:00:41Z","FinishTime":"2026-02-01T08:03:10Z"}}"#
    )
}
