//! What is expected of transcodes, and how VOD is asked about them.

use std::sync::Arc;

use super::VodConfig;
use super::problem::{Place, Problem};
use super::raw::{TranscodeOptions, VodOptions};
use super::table::Field;
use super::value::seconds;
use crate::ledger::TranscodeSettings;
use crate::reconcile::judge::POLL_INTERVAL;

/// Requests a second to VOD.
const REQUESTS_PER_SECOND: f64 = 1.0;

/// The settings that `options` mean; `reconciled` where VOD is asked.
pub(super) fn settings(
    options: Field<TranscodeOptions>,
    reconciled: bool,
    problems: &mut Vec<Problem>,
) -> TranscodeSettings {
    let default = TranscodeSettings {
        reconciled,
        ..TranscodeSettings::default()
    };
    let Field::Given(place, options) = options else {
        return default;
    };
    let settings = TranscodeSettings {
        base: options.base.value().unwrap_or(default.base),
        factor_millis: options
            .factor_millis
            .value()
            .unwrap_or(default.factor_millis),
        unknown_duration: options
            .unknown_duration
            .value()
            .unwrap_or(default.unknown_duration),
        abandon_after: options
            .abandon_after
            .value()
            .unwrap_or(default.abandon_after),
        expect_every_upload: options.expect_every_upload.value().unwrap_or(false),
        playable_objective: options
            .playable_objective
            .value()
            .unwrap_or(default.playable_objective),
        reconciled,
        max_videos: options
            .max_videos
            .value()
            .and_then(|videos| u32::try_from(videos).ok())
            .unwrap_or(default.max_videos),
    };
    for (key, granted) in [
        ("base", settings.base),
        ("unknown_duration", settings.unknown_duration),
    ] {
        if granted >= settings.abandon_after {
            problems.push(place.problem(format!(
                "found `{key}` of {}, which is not below `abandon_after` of {}: no transcode would ever be overdue; \
                 lower `{key}` or raise `abandon_after`",
                seconds(granted.as_secs()),
                seconds(settings.abandon_after.as_secs())
            )));
        }
    }
    settings
}

/// How VOD is asked about a queue whose region is `region`, empty if unknown.
pub(super) fn vod(
    (place, options): (Place, VodOptions),
    region: &str,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> VodConfig {
    if matches!(options.region, Field::Absent) && region.is_empty() {
        problems.push(place.problem("found no `region`, and the queue's is unknown; add it"));
    }
    if let Field::Given(place, endpoint) = &options.endpoint
        && endpoint.is_exposed()
    {
        warnings.push(place.problem(super::resolve::exposed(endpoint)));
    }
    let groups = options.no_transcode_template_groups.value();
    VodConfig {
        region: Arc::from(options.region.value().as_deref().unwrap_or(region)),
        endpoint: options.endpoint.value().map(|url| url.url().clone()),
        app_id: options.app_id.value().map(Arc::from),
        no_transcode_template_groups: groups
            .unwrap_or_default()
            .into_iter()
            .map(Arc::from)
            .collect(),
        requests_per_second: options
            .requests_per_second_millis
            .value()
            .map_or(REQUESTS_PER_SECOND, |millis| f64::from(millis) / 1000.0),
        poll_interval: POLL_INTERVAL,
    }
}
