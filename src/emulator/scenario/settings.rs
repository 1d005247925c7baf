//! What the simulated platform does, and how often.

use std::time::Duration;

/// Settings of a [`Platform`](super::Platform). A share is a probability from 0 to 1.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Queues that events are pushed into; each video belongs to one, at random. Not empty.
    pub queues: Vec<String>,
    /// Uploads per second over all queues, at random moments; 0 for none.
    pub uploads_per_second: f64,
    /// Median duration of the media in seconds. Durations are log-normal, between 1 s and 12 h.
    pub media_seconds_median: f64,
    /// Spread of the durations: sigma of their logarithm; 0 makes all equal.
    pub media_seconds_sigma: f64,
    /// How many seconds of media a transcode gets through in a second.
    pub transcode_speed: f64,
    /// Mean wait of a transcode before it starts.
    pub queue_wait: Duration,
    /// Template groups: the `Definition` of each output. A video takes one group, at random. Not empty.
    pub template_groups: Vec<Vec<String>>,
    /// Of all work that can fail: how much does.
    pub failure_share: f64,
    /// Codes of failures with their weights; an empty code is none at all. Not empty.
    pub failure_codes: Vec<(String, u32)>,
    /// Of transcodes with more than one output: how many lose some of them.
    pub partial_failure_share: f64,
    /// Of videos: how many are damaged, so that analysis fails and no transcode starts.
    pub broken_source_share: f64,
    /// Of transcodes: how many never end.
    pub stalled_share: f64,
    /// Of transcodes: how many end without their `TranscodeComplete` ever being pushed.
    pub lost_callback_share: f64,
    /// Of videos: how many are not transcoded.
    pub not_transcoded_share: f64,
    /// Of videos: how many are pulled from a URL.
    pub url_upload_share: f64,
    /// Of videos: how many are recordings of a live stream.
    pub live_record_share: f64,
    /// Of videos: how many are deleted, half of these before their transcode ends.
    pub deleted_share: f64,
    /// For each kind of further event (snapshot, review, storage class, ...): of videos, how many have one.
    pub side_event_share: f64,
    /// Of messages: how many events are pushed once more, as a message of its own.
    pub duplicate_share: f64,
    /// Of messages: how many are late by up to `reorder_window`.
    pub reordered_share: f64,
    /// How late a late message can be.
    pub reorder_window: Duration,
    /// Undecodable messages for each event, of every reason but a foreign envelope.
    pub undecodable_share: f64,
    /// Messages in the envelope of another product for each event.
    pub foreign_share: f64,
    /// Of messages: how many bodies are base64 of the JSON text rather than the text.
    pub base64_share: f64,
}

// === impl Settings ===

impl Settings {
    /// A platform on which nothing goes wrong: every video is playable well within half a minute.
    pub fn calm() -> Self {
        Self {
            media_seconds_sigma: 0.3,
            queue_wait: Duration::from_secs(1),
            failure_share: 0.0,
            partial_failure_share: 0.0,
            broken_source_share: 0.0,
            stalled_share: 0.0,
            lost_callback_share: 0.0,
            not_transcoded_share: 0.0,
            deleted_share: 0.0,
            duplicate_share: 0.0,
            reordered_share: 0.0,
            undecodable_share: 0.0,
            foreign_share: 0.0,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    /// A lively little platform: several messages a second, and transcodes and failures within the first minute.
    fn default() -> Self {
        let group = |definitions: &[&str]| definitions.iter().map(ToString::to_string).collect();
        Self {
            queues: vec!["vod-callbacks".to_owned()],
            uploads_per_second: 1.0,
            media_seconds_median: 40.0,
            media_seconds_sigma: 0.8,
            transcode_speed: 6.0,
            queue_wait: Duration::from_secs(4),
            template_groups: vec![
                group(&["LD", "SD", "HD"]),
                group(&["FD", "HD-MP4", "OD"]),
                group(&["AUTO", "2K", "4K"]),
                group(&["SQ", "HQ"]),
                group(&["sd", "XQ-Custom"]),
            ],
            failure_share: 0.04,
            failure_codes: [
                ("InternalError", 6),
                ("Throttling", 1),
                ("InvalidParameter.ResourceContentBad", 6),
                ("InvalidParameter.NoAudioStream", 2),
                ("PermissionDenied.ResourceAccess", 2),
                ("InvalidParameter.TemplateNotFound", 1),
                ("KeyNotFound", 1),
                ("Unheard.Of", 1),
                ("", 2),
            ]
            .map(|(code, weight)| (code.to_owned(), weight))
            .to_vec(),
            partial_failure_share: 0.05,
            broken_source_share: 0.05,
            stalled_share: 0.02,
            lost_callback_share: 0.02,
            not_transcoded_share: 0.05,
            url_upload_share: 0.1,
            live_record_share: 0.05,
            deleted_share: 0.05,
            side_event_share: 0.1,
            duplicate_share: 0.02,
            reordered_share: 0.1,
            reorder_window: Duration::from_secs(20),
            undecodable_share: 0.01,
            foreign_share: 0.005,
            base64_share: 0.5,
        }
    }
}
