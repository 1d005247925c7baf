//! The operations.

use serde_json::{Value, json};

use super::library::{Library, Media, Task};
use super::{Refusal, parameter};
use crate::clock::UnixMillis;
use crate::emulator::faults::Operation;

/// `GetVideoList` shows no more, by the vendor's documentation.
const MAX_LISTED: usize = 5_000;

/// Answers an operation whose parameters are in `query`.
pub(super) fn perform(
    library: &Library,
    operation: Operation,
    query: &str,
    now: UnixMillis,
) -> Result<Value, Refusal> {
    match operation {
        Operation::GetTranscodeSummary => Ok(summaries(library, &ids(query, 10)?, now)),
        Operation::GetVideoInfos => Ok(infos(library, &ids(query, 20)?, now)),
        Operation::GetVideoList => list(library, query, now),
        Operation::GetMessageCallback => Ok(json!({"MessageCallback": library.callback})),
        _ => Err(Refusal {
            status: 404,
            code: "InvalidAction.NotFound",
            message: "Specified api is not found, please check your url and method.",
        }),
    }
}

fn ids(query: &str, limit: usize) -> Result<Vec<String>, Refusal> {
    let text = parameter(query, "VideoIds").ok_or(Refusal {
        status: 400,
        code: "MissingParameter",
        message: "The input parameter \"VideoIds\" that is mandatory for processing this request is not supplied.",
    })?;
    let ids: Vec<String> = text.split(',').map(|id| id.trim().to_owned()).collect();
    match ids.len() {
        n if n > limit => Err(invalid(
            "The specified parameter \"VideoIds\" is not valid.",
        )),
        _ => Ok(ids),
    }
}

fn invalid(message: &'static str) -> Refusal {
    Refusal {
        status: 400,
        code: "InvalidParameter",
        message,
    }
}

fn seconds(at: UnixMillis) -> String {
    UnixMillis(at.0 - at.0.rem_euclid(1_000)).to_string()
}

/// A video without a transcode is in neither list.
fn summaries(library: &Library, ids: &[String], now: UnixMillis) -> Value {
    let (mut summaries, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match library.get(id, now) {
            Some(media) => summaries.extend(media.task(now).map(|task| summary(media, task, now))),
            None => missing.push(id),
        }
    }
    json!({"TranscodeSummaryList": summaries, "NonExistVideoIds": missing})
}

fn summary(media: &Media, task: &Task, now: UnixMillis) -> Value {
    let jobs = task.jobs.iter().map(|job| {
        json!({
            "TranscodeTemplateId": "t-0001",
            "TranscodeJobStatus": job.status(now),
            "TranscodeProgress": job.progress(now),
            "CreationTime": seconds(task.created),
            "ErrorCode": "200",
            "Format": "m3u8",
            "Duration": "20.5",
        })
    });
    let mut summary = json!({
        "VideoId": media.id,
        "TranscodeTemplateGroupId": media.template_group,
        "TranscodeStatus": task.status(now),
        "CreationTime": seconds(task.created),
        "TranscodeJobInfoSummaryList": jobs.collect::<Vec<_>>(),
    });
    if let Some(ended) = task.ended.filter(|ended| *ended <= now) {
        summary["CompleteTime"] = seconds(ended).into();
    }
    summary
}

fn infos(library: &Library, ids: &[String], now: UnixMillis) -> Value {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match library.get(id, now) {
            Some(media) => found.push(info(media, now)),
            None => missing.push(id),
        }
    }
    json!({"VideoList": found, "NonExistVideoIds": missing})
}

fn info(media: &Media, now: UnixMillis) -> Value {
    json!({
        "VideoId": media.id,
        "Title": "a title",
        "Status": media.status(now),
        "CreationTime": seconds(media.created),
        "TemplateGroupId": media.template_group,
        "Duration": 20.5,
        "Size": 1_048_576,
        "AppId": "app-1000000",
    })
}

fn list(library: &Library, query: &str, now: UnixMillis) -> Result<Value, Refusal> {
    let number = |name, default: usize, limit: usize| match parameter(query, name) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .ok()
            .filter(|number| (1..=limit).contains(number))
            .ok_or_else(|| invalid("The specified page is not valid.")),
    };
    let page = number("PageNo", 1, MAX_LISTED)?;
    let size = number("PageSize", 10, 100)?;
    let statuses = parameter(query, "Status");
    let wanted = |media: &&Media| {
        let status = media.status(now);
        statuses
            .as_ref()
            .is_none_or(|statuses| statuses.split(',').any(|wanted| wanted == status))
    };
    let mut media: Vec<&Media> = library.all(now).filter(wanted).collect();
    media.sort_by_key(|media| media.created);
    if parameter(query, "SortBy").as_deref() != Some("CreationTime:Asc") {
        media.reverse();
    }
    let listed = media.iter().take(MAX_LISTED);
    let page = listed.skip((page - 1) * size).take(size);
    let videos: Vec<Value> = page.map(|media| info(media, now)).collect();
    // Unlike that of GetVideoInfos, this list is wrapped.
    Ok(json!({"Total": media.len(), "VideoList": {"Video": videos}}))
}
