//! Which alerts fire. Sans-I/O: what is wrong with videos comes in, alerts come out.
//!
//! Labels never change while an alert fires, and neither does its start, so that replicas and restarts make the same alert.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use url::{Url, form_urlencoded};

use crate::clock::UnixMillis;
use crate::config::AlertmanagerConfig;
use crate::ledger::snapshot::QueueIdentity;
use crate::ledger::transcodes::{Ailment, Trouble};
use crate::ledger::troubles::Troubles;
use crate::ledger::verdict::Stage;
use crate::logging::is_unsafe;
use crate::vod::event::MediaKey;

/// Videos that have alerts of their own at a time; the others share one more.
pub const CAP: usize = 50;

/// The names of all alerts.
pub const NAMES: [&str; 3] = [STALLED, FAILED, SUPPRESSED];
const STALLED: &str = "VodTranscodeStalled";
const FAILED: &str = "VodTranscodeFailed";
const SUPPRESSED: &str = "VodTranscodeAlertsSuppressed";

/// What links to runbooks begin with unless the config says otherwise, as in the rules.
pub const RUNBOOKS: &str = "https://runbooks.example.com/vod-callback-exporter";
/// The same of links to dashboards.
pub const GRAFANA: &str = "https://grafana.example.com";

/// What tells two alerts apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// About one video.
    Video {
        /// Configured id of its queue.
        queue: Arc<str>,
        /// Which video.
        media: MediaKey,
        /// What is wrong with it.
        ailment: Ailment,
    },
    /// About all videos that have no alert of their own.
    Suppressed,
}

/// An alert as Alertmanager knows it, less its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Its identity; no value is empty.
    pub labels: BTreeMap<String, String>,
    /// For whoever reads it.
    pub annotations: BTreeMap<&'static str, String>,
    /// Since when it fires.
    #[serde(serialize_with = "crate::alertmanager::outbox::as_text")]
    pub starts_at: UnixMillis,
    /// What Alertmanager calls its source: only what is known to open.
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    pub generator_url: Option<String>,
    /// From when on its disappearance is no recovery: it is left to end by itself.
    #[serde(skip)]
    pub lapses_at: Option<UnixMillis>,
}

/// What is firing at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The alerts.
    pub firing: BTreeMap<Key, Arc<Alert>>,
    /// The queues of which that is known. An alert of another queue neither fires nor is over.
    pub queues: BTreeSet<Arc<str>>,
}

/// What the config puts on every alert.
#[derive(Clone, Debug, Default)]
pub struct Stamp {
    labels: BTreeMap<String, String>,
    runbooks: Option<Url>,
    grafana: Option<Url>,
}

/// When an alert begins.
#[derive(Clone, Copy, Debug)]
struct Start {
    /// Since when there is trouble.
    since: UnixMillis,
    /// The same, or the first look if that lay ahead: Alertmanager takes no alert that begins later than it ends.
    starts_at: UnixMillis,
}

/// Remembers who has an alert of his own.
#[derive(Clone, Debug, Default)]
pub struct Book {
    stamp: Stamp,
    firing: BTreeMap<Key, Start>,
    suppressed: usize,
    /// Since when the summary fires.
    suppressed_since: Option<UnixMillis>,
}

// === impl Key ===

impl Key {
    fn of(identity: &QueueIdentity, trouble: &Trouble) -> Self {
        Self::Video {
            queue: Arc::clone(&identity.id),
            media: trouble.media.clone(),
            ailment: trouble.ailment,
        }
    }

    /// The video that it is about, with its queue.
    fn video(&self) -> Option<(&str, &MediaKey)> {
        match self {
            Self::Video { queue, media, .. } => Some((queue, media)),
            Self::Suppressed => None,
        }
    }
}

// === impl Round ===

impl Round {
    /// Whether it is known that the alert does not fire.
    pub fn is_over(&self, key: &Key) -> bool {
        let known = match key {
            Key::Video { queue, .. } => self.queues.contains(queue),
            Key::Suppressed => true,
        };
        known && !self.firing.contains_key(key)
    }
}

// === impl Stamp ===

impl Stamp {
    /// A finished alert: `labels` and `annotations` are its own.
    fn put<const N: usize>(
        &self,
        labels: [(&str, String); N],
        mut annotations: BTreeMap<&'static str, String>,
        since: UnixMillis,
    ) -> Alert {
        let mut all = self.labels.clone();
        all.extend(labels.map(|(name, value)| (name.to_owned(), value)));
        let text = |label| all.get(label).map(String::as_str);
        let runbooks = self.runbooks.as_ref().map_or(RUNBOOKS, Url::as_str);
        let runbooks = runbooks.trim_end_matches('/');
        let runbook = format!("{runbooks}/{}.md", text("alertname").unwrap_or_default());
        let board = self.board(text("queue"));
        annotations.insert("runbook_url", runbook);
        annotations.insert("dashboard_url", board.clone());
        Alert {
            labels: all,
            annotations,
            starts_at: since,
            generator_url: self.grafana.is_some().then_some(board),
            lapses_at: None,
        }
    }

    /// The board about transcodes, of one queue or all.
    fn board(&self, queue: Option<&str>) -> String {
        let grafana = self.grafana.as_ref().map_or(GRAFANA, Url::as_str);
        let board = format!("{}/d/vod-transcodes", grafana.trim_end_matches('/'));
        let Some(queue) = queue else {
            return board;
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("var-queue", queue);
        format!("{board}?{}", query.finish())
    }
}

impl From<&AlertmanagerConfig> for Stamp {
    fn from(config: &AlertmanagerConfig) -> Self {
        Self {
            labels: config.labels.clone(),
            runbooks: config.runbooks.clone(),
            grafana: config.grafana.clone(),
        }
    }
}

// === impl Book ===

impl Book {
    /// Nobody has an alert yet; all will have what `stamp` says.
    pub fn new(stamp: Stamp) -> Self {
        Self {
            stamp,
            ..Self::default()
        }
    }

    /// All alerts will have what `stamp` says.
    pub fn stamp(&mut self, stamp: Stamp) {
        self.stamp = stamp;
    }

    /// The alerts that follow from `troubles`, and how many more videos do without one of their own than before.
    ///
    /// Those that got into trouble first have one. Nobody comes later and gets before them, so that who has an alert keeps it,
    /// and so that the choice is the same after a restart. Only the videos of a queue that is watched again come back to their
    /// old place: who has an alert by then keeps it too, up to twice the cap.
    pub fn look(&mut self, troubles: Troubles, now: UnixMillis) -> (Round, usize) {
        let Troubles { queues, videos } = troubles;
        let mut line: Vec<_> = videos
            .into_iter()
            .map(|(identity, trouble)| {
                (
                    trouble.place,
                    Key::of(&identity, &trouble),
                    identity,
                    trouble,
                )
            })
            .collect();
        line.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let (mut total, mut own, mut firing) = (0_usize, 0, BTreeMap::new());
        let mut starts = BTreeMap::new();
        let mut first_suppressed = None;
        // A video may both have failed and be stalled since.
        for video in line.chunk_by(|(_, a, ..), (_, b, ..)| a.video() == b.video()) {
            total += 1;
            let has_alert = || {
                video
                    .iter()
                    .any(|(_, key, ..)| self.firing.contains_key(key))
            };
            if own < CAP || (own < 2 * CAP && has_alert()) {
                own += 1;
                for (_, key, identity, trouble) in video {
                    let start = self.start(key, trouble.since, now);
                    let alert = Alert {
                        starts_at: start.starts_at,
                        ..Alert::about(identity, trouble, &self.stamp)
                    };
                    starts.insert(key.clone(), start);
                    firing.insert(key.clone(), Arc::new(alert));
                }
            } else if let Some((.., trouble)) = video.first() {
                first_suppressed.get_or_insert(trouble.since);
            }
        }
        self.firing = starts;

        let suppressed = total - own;
        let newly_suppressed = suppressed.saturating_sub(self.suppressed);
        self.suppressed = suppressed;
        self.suppressed_since =
            first_suppressed.map(|since| self.suppressed_since.unwrap_or(since.min(now)));
        if let Some(since) = self.suppressed_since {
            let summary = Alert::summary(suppressed, total, since, &self.stamp);
            firing.insert(Key::Suppressed, Arc::new(summary));
        }
        (Round { firing, queues }, newly_suppressed)
    }

    /// When an alert about trouble `since` then begins: as before while it is the same trouble.
    fn start(&self, key: &Key, since: UnixMillis, now: UnixMillis) -> Start {
        let before = self.firing.get(key).filter(|start| start.since == since);
        before.copied().unwrap_or(Start {
            since,
            starts_at: since.min(now),
        })
    }
}

// === impl Alert ===

impl Alert {
    fn about(queue: &QueueIdentity, trouble: &Trouble, stamp: &Stamp) -> Self {
        let (name, stage) = match trouble.ailment {
            Ailment::Stalled(stage) => (STALLED, stage),
            Ailment::Failed => (FAILED, Stage::Transcode),
        };
        let (video, id, since) = (shown(&trouble.media), &queue.id, trouble.since);
        let (summary, mut description) = match trouble.ailment {
            Ailment::Stalled(Stage::Submit) => (
                "The transcode of a video has not been submitted",
                format!(
                    "Video {video} of queue {id} was uploaded, and no transcode of it has begun; its deadline passed at \
                     {since}. Look at its template group and workflow in the VOD console, and submit it anew."
                ),
            ),
            Ailment::Stalled(Stage::Transcode) => (
                "The transcode of a video makes no progress",
                format!(
                    "Video {video} of queue {id} is being transcoded without an end; its deadline passed at {since}. Look at \
                     its jobs in the VOD console, and submit it anew if they do not move."
                ),
            ),
            Ailment::Failed => (
                "The transcode of a video has failed",
                format!(
                    "The transcode of video {video} of queue {id} failed at {since}, and the uploaded file is not to blame. \
                     Look at the error of its jobs and submit it anew. This alert ends with a good run, or after an hour."
                ),
            ),
        };
        if let Some(abandoned) = trouble.abandoned {
            description = format!(
                "{description} Nothing was heard of it for so long that nobody waits for it since {}; this alert ends by \
                 itself a day later.",
                abandoned.at
            );
        }
        let region = match &*queue.region {
            "" => String::new(),
            region => format!(" --region {region}"),
        };
        let mut annotations = BTreeMap::from([
            ("summary", summary.to_owned()),
            ("description", description),
            ("waiting_since", trouble.started.to_string()),
            ("last_sign", trouble.last_sign.to_string()),
        ]);
        if is_id(&video) {
            let ask = format!("aliyun vod GetTranscodeSummary --VideoIds {video}{region}");
            annotations.insert("ask_vod", ask);
        }
        if let Some((fault, code)) = trouble.failure {
            annotations.insert("fault", fault.to_string());
            annotations.insert("error_code", code.to_string());
        }
        let labels = [
            ("alertname", name.to_owned()),
            ("queue", id.to_string()),
            ("severity", "warning".to_owned()),
            ("stage", stage.as_str().to_owned()),
            ("video_id", video),
        ];
        Self {
            lapses_at: trouble.abandoned.map(|abandoned| abandoned.until),
            ..stamp.put(labels, annotations, since)
        }
    }

    fn summary(suppressed: usize, total: usize, since: UnixMillis, stamp: &Stamp) -> Self {
        let labels = [
            ("alertname", SUPPRESSED.to_owned()),
            ("severity", "warning".to_owned()),
        ];
        let annotations = BTreeMap::from([
            (
                "summary",
                "More videos are in trouble than have an alert of their own".to_owned(),
            ),
            (
                "description",
                format!(
                    "{total} videos are stalled or failed, and {suppressed} of them have no alert of their own. \
                     `vod-callback-exporter transcodes` and /api/v1/transcodes?state=stalled list the stalled ones."
                ),
            ),
        ]);
        stamp.put(labels, annotations, since)
    }
}

/// A video's id for a person's screen: it comes from a message, and anybody may have written that.
fn shown(media: &MediaKey) -> String {
    let visible = |c: char| if is_unsafe(c) { ' ' } else { c };
    media.to_string().chars().map(visible).collect()
}

/// Whether this is an id as VOD makes them. Nothing else may become a part of a command that somebody runs in a shell.
fn is_id(video: &str) -> bool {
    (1..=64).contains(&video.len())
        && !video.starts_with('-')
        && video
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
