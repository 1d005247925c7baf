//! Events beside the transcode: images, snapshots, reviews, storage, workflows.

use serde_json::{Value, json};

use super::body::{number, seconds};
use super::{hex_id, pick};
use crate::clock::UnixMillis;

/// A kind of event that happens to a video, or beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    pub(super) event_type: &'static str,
    /// The field that holds the id of the video, or of the new file.
    pub(super) id_key: &'static str,
    /// Whether the id is of a file of its own.
    pub(super) own_file: bool,
    /// Whether VOD tells of failures.
    pub(super) can_fail: bool,
}

/// All kinds.
pub(super) const SIDES: &[Side] = &[
    own_file("ImageUploadComplete", "ImageId"),
    own_file("AttachedMediaUploadComplete", "AttachedMediaId"),
    fallible("SnapshotComplete", "VideoId"),
    fallible("DynamicImageComplete", "VideoId"),
    fallible("ProduceMediaComplete", "MediaId"),
    infallible("CreateAuditComplete", "MediaId"),
    fallible("AIMediaAuditComplete", "MediaId"),
    fallible("AIMediaDNAComplete", "MediaId"),
    fallible("AIVideoTagComplete", "MediaId"),
    fallible("DeleteMediaComplete", "MediaId"),
    infallible("MediaBaseChangeComplete", "MediaId"),
    fallible("UpdateMediaStorageClassComplete", "MediaId"),
    fallible("RestoreMediaComplete", "MediaId"),
    fallible("SubmitMediaRefreshComplete", "MediaId"),
    fallible("WorkflowTaskComplete", "VideoId"),
    // Not in the vendor's catalogue: an event of the future.
    infallible("MediaPublishComplete", "MediaId"),
];

const fn infallible(event_type: &'static str, id_key: &'static str) -> Side {
    Side {
        event_type,
        id_key,
        own_file: false,
        can_fail: false,
    }
}

const fn fallible(event_type: &'static str, id_key: &'static str) -> Side {
    Side {
        can_fail: true,
        ..infallible(event_type, id_key)
    }
}

const fn own_file(event_type: &'static str, id_key: &'static str) -> Side {
    Side {
        own_file: true,
        ..infallible(event_type, id_key)
    }
}

// === impl Side ===

impl Side {
    /// What the event says beside id, status and error.
    pub(super) fn details(self, rng: &mut fastrand::Rng, at: UnixMillis) -> Vec<(String, Value)> {
        let job = hex_id(rng);
        let bytes = rng.u32(1_000..1_000_000);
        let size = number(rng, bytes);
        let details = match self.event_type {
            "ImageUploadComplete" => json!({
                "FileURL": "https://bucket.example.test/image/default/AF80.jpg",
                "Size": size,
            }),
            "AttachedMediaUploadComplete" => json!({
                "FileURL": "http://bucket.example.test/watermark/w.png",
                "Size": size,
            }),
            "SnapshotComplete" => snapshots(rng, &job),
            "DynamicImageComplete" => json!({
                "JobId": job,
                "DynamicImageJobInfo":
                    json!({"JobId": job, "Status": "success", "FileSize": "81920"}).to_string(),
            }),
            "ProduceMediaComplete" => json!({"ProjectId": job}),
            "CreateAuditComplete" => json!({
                "AuditStatus": pick(rng, &["Normal", "Blocked"]),
                "SubType": "video",
                "Auditor": "auditor@example.test",
                "Reason": "内容 <ok> & \"fine\"",
            }),
            "AIMediaAuditComplete" => json!({
                "JobId": job,
                "Data": {"Suggestion": "pass", "Label": "normal", "Status": "fail"},
            }),
            "AIMediaDNAComplete" | "AIVideoTagComplete" => json!({
                "JobId": job,
                "Data": r#"{"Tag":[{"Name":"猫","Code":"InternalError"}]}"#,
            }),
            "DeleteMediaComplete" => json!({
                "MediaType": "video",
                "DeleteType": pick(rng, &["mezzanine", "stream"]),
                "JobIds": job,
            }),
            "MediaBaseChangeComplete" => json!({
                "MediaType": "video",
                "OperateMode": "update",
                "MediaContent": {"Title": "{\"NewValue\":\"t\"}"},
            }),
            "UpdateMediaStorageClassComplete" => json!({
                "Scope": pick(rng, &["All", "SourceFile"]),
                "StorageClass": pick(rng, &["Standard", "IA", "Archive", "ColdArchive"]),
                "TriggerBy": pick(rng, &["LifeCycle", "API"]),
            }),
            "RestoreMediaComplete" => json!({"Scope": "All", "RestoreExpiration": seconds(at)}),
            "SubmitMediaRefreshComplete" => json!({
                "MediaRefreshJobId": job,
                "TaskIds": "1,2,3",
                "TaskType": pick(rng, &["Refresh", "Preload", "refresh"]),
            }),
            "WorkflowTaskComplete" => workflow(&job, at),
            _ => json!({"JobId": job}),
        };
        match details {
            Value::Object(fields) => fields.into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn snapshots(rng: &mut fastrand::Rng, job: &str) -> Value {
    json!({
        "CoverUrl": "http://vod.example.test/a1/covers/c-00002.jpg",
        "SnapshotInfos": [{
            "Status": "success",
            "SnapshotType": pick(rng, &["CoverSnapshot", "NormalSnapshot", "SpriteSnapshot"]),
            "SnapshotCount": number(rng, 8),
            "SnapshotFormat": "a1/covers/c-{SnapshotCount}.jpg",
            "JobId": job,
        }],
    })
}

fn workflow(job: &str, at: UnixMillis) -> Value {
    let result = json!({"Act1": {"Status": "Failed", "ActivityId": "VideoTranslation"}});
    json!({
        "TaskId": job,
        "WorkflowId": "wf-0001",
        "ActivityResults": result.to_string(),
        "TaskInput": json!({"Type": "Media"}).to_string(),
        "CreateTime": seconds(at),
        "FinishTime": seconds(at),
        "UserId": "1234567890",
    })
}
