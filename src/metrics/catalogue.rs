//! The one list of the metrics that this version exports.
//!
//! The exposition takes names, types and HELP texts from here, `docs/metrics.md` is rendered from here, and tests hold
//! the two against each other, so that a name exists in one place.

use crate::admin::Refusal;
use crate::alertmanager::Sent;
use crate::aliyun::credentials;
use crate::ledger::EVICTION_TABLES;
use crate::ledger::counts::{
    DELIVERY_BOUNDS, FORWARD_RESULTS, PROCESSING_BOUNDS, TRANSCODE_BOUNDS, TRANSCODE_STATUSES,
};
use crate::ledger::snapshot::{Mode, Role};
use crate::ledger::verdict::{Stage, Verdict};
use crate::mns::client::Operation;
use crate::mns::error::Error;
use crate::reconcile::callback::Check;
use crate::vod::api;
use crate::vod::event::{Definition, EventType, Status, Undecodable};
use crate::vod::fault::{ErrorCode, Fault};

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name as queries use it: with `_total` for a counter and `_info` for an info.
    pub name: &'static str,
    /// What kind of family it is.
    pub kind: Kind,
    /// Names of its labels, in the order of the exposition.
    pub labels: &'static [&'static str],
    /// HELP text: meaning and unit. Free of backslashes, quotes and line breaks.
    pub help: &'static str,
    /// How a rule aggregates it where several replicas report the same queue.
    pub over_replicas: &'static str,
    /// When it is absent, and which of its series start at 0.
    pub presence: &'static str,
}

/// The type of a family.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Labels with the constant value 1; a gauge in the text format.
    Info,
    /// A classic histogram.
    Histogram(Bounds),
}

/// Bucket bounds of a histogram.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In milliseconds, the unit in which the ledger counts.
    pub millis: &'static [u64],
    /// As label pairs `,le="0.5"` in seconds. The same in both formats, so that what a scraper negotiates cannot change
    /// a series.
    pub le: &'static [&'static str],
}

/// A label name and its values.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// The name.
    pub name: &'static str,
    /// What it tells.
    pub meaning: &'static str,
    /// All values where the set is fixed; empty where it is not.
    pub values: fn() -> Vec<&'static str>,
}

macro_rules! le {
    ($($bound:literal)+) => { &[$(concat!(",le=\"", $bound, "\"")),+] };
}

macro_rules! families {
    ($($ident:ident $name:literal $kind:expr, [$($label:literal)*], $over:literal, $help:literal, $presence:literal;)+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $help)]
            pub static $ident: Family = Family {
                name: $name,
                kind: $kind,
                labels: &[$($label),*],
                help: $help,
                over_replicas: $over,
                presence: $presence,
            };
        )+

        /// All families, in the order of the documentation.
        pub static ALL: &[&Family] = &[$(&$ident),+];
    };
}

/// Buckets of transcode times.
pub const TRANSCODE: Bounds = Bounds {
    millis: TRANSCODE_BOUNDS,
    le: le!["5.0" "15.0" "30.0" "60.0" "120.0" "300.0" "600.0" "1800.0" "3600.0" "7200.0" "14400.0" "43200.0" "86400.0"],
};
/// Buckets of delivery and message wait times.
pub const DELIVERY: Bounds = Bounds {
    millis: DELIVERY_BOUNDS,
    le: le!["0.5" "1.0" "2.0" "5.0" "10.0" "30.0" "60.0" "300.0" "1800.0" "3600.0" "21600.0" "86400.0"],
};
/// Buckets of processing and request times.
pub const PROCESSING: Bounds = Bounds {
    millis: PROCESSING_BOUNDS,
    le: le!["0.005" "0.01" "0.025" "0.05" "0.1" "0.25" "0.5" "1.0" "2.5" "5.0" "10.0" "30.0" "60.0"],
};

families! {
    QUEUE_INFO "mns_queue_info" Kind::Info,
        ["queue" "mns_queue" "account" "mns_region" "mode" "role"], "max",
        "The configured queue: its name in MNS, account, region, the mode in which it is read, and its role. Constant 1.",
        "present for every configured queue";
    QUEUE_UP "mns_queue_up" Kind::Gauge, ["queue"], "max",
        "Whether the last read of the queue succeeded: 1 or 0.",
        "absent until the first read has ended";
    QUEUE_MESSAGES "mns_queue_messages" Kind::Gauge, ["queue" "state"], "max",
        "Approximate number of messages in the queue as MNS reports it, from the last tick.",
        "absent while the attributes cannot be read or the counters are not trusted; all three states or none";
    QUEUE_DEPTH_TRUSTED "mns_queue_depth_trusted" Kind::Gauge, ["queue"], "min",
        "Whether the depth counters of MNS can be believed: 0 once all three read 0 while messages are seen, else 1.",
        "absent before there is any evidence";
    QUEUE_OLDEST_MESSAGE "mns_queue_oldest_message_timestamp_seconds" Kind::Gauge, ["queue"], "min",
        "EnqueueTime of the oldest message known to be in the queue, in Unix seconds; in peek of a sample, so that the true age can be higher.",
        "absent while the queue is empty or nothing is known, in peek also after three ticks that could not look";
    QUEUE_EMPTY "mns_queue_empty" Kind::Gauge, ["queue"], "min",
        "Whether the last read found no message: 1 or 0.",
        "absent until the first read has succeeded, and while the queue cannot be read";
    QUEUE_PROGRESS "mns_queue_progress_timestamp_seconds" Kind::Gauge, ["queue"], "max",
        "Time of the last evidence that somebody takes messages from the queue, in Unix seconds.",
        "absent before the first evidence";
    QUEUE_RETENTION "mns_queue_retention_seconds" Kind::Gauge, ["queue"], "max",
        "For how long MNS keeps a message of the queue, in seconds.",
        "absent until the attributes have been read";
    QUEUE_VISIBILITY_TIMEOUT "mns_queue_visibility_timeout_seconds" Kind::Gauge, ["queue"], "max",
        "For how long MNS hides a message that was received, in seconds.",
        "absent until the attributes have been read";
    QUEUE_DEQUEUE_COUNT_MAX "mns_queue_dequeue_count_max" Kind::Gauge, ["queue"], "max",
        "Largest DequeueCount among the messages seen in the queue: a high value is a poison message.",
        "absent until messages could be looked at, in peek also after three ticks that could not";
    MESSAGES_SEEN "mns_messages_seen_total" Kind::Counter, ["queue"], "sum; max in peek",
        "Distinct messages seen: events, duplicates and decode failures. In peek a subset of the messages sent.",
        "starts at 0";
    MESSAGE_REDELIVERIES "mns_message_redeliveries_total" Kind::Counter, ["queue"], "sum; max in peek",
        "Deliveries of a message beyond its first, to whomever.",
        "starts at 0";
    MESSAGE_WAIT "mns_message_wait_seconds" Kind::Histogram(DELIVERY), ["queue"], "sum",
        "Time from EnqueueTime to the first dequeue, in seconds.",
        "only while the view is complete (peek would see the lingering messages only); starts at 0";
    MESSAGE_PROCESSING "mns_message_processing_seconds" Kind::Histogram(PROCESSING), ["queue"], "sum",
        "Time from receiving a message to its confirmed deletion, in seconds.",
        "only in consume; starts at 0";
    REQUESTS "mns_requests_total" Kind::Counter, ["queue" "operation" "code"], "sum",
        "Calls to MNS, each of which is billed, by operation and outcome.",
        "a series appears with its first call";
    REQUEST_DURATION "mns_request_duration_seconds" Kind::Histogram(PROCESSING), ["operation"], "sum",
        "Duration of calls to MNS in seconds; long polls, which wait on purpose, are not observed.",
        "a series appears with its first call";
    EVENTS "vod_events_total" Kind::Counter, ["queue" "event_type" "status"], "sum; max in peek",
        "Distinct VOD events.",
        "success and fail of the 22 documented types start at 0; other pairs appear once seen";
    EVENT_FAILURES "vod_event_failures_total" Kind::Counter, ["queue" "event_type" "error_code"], "sum; max in peek",
        "Failed VOD events by error code, for dashboards; alerts use vod_event_faults_total.",
        "a series appears once seen";
    EVENT_FAULTS "vod_event_faults_total" Kind::Counter, ["queue" "event_type" "fault"], "sum; max in peek",
        "Failed VOD events by whose fault the error code is.",
        "all series start at 0, so that the first failure is an increase";
    EVENT_DELIVERY "vod_event_delivery_seconds" Kind::Histogram(DELIVERY), ["queue"], "sum; max in peek",
        "Time from EventTime to EnqueueTime, in seconds; EventTime has a precision of one second.",
        "starts at 0";
    EVENT_CLOCK_SKEW "vod_event_clock_skew_total" Kind::Counter, ["queue"], "sum; max in peek",
        "Events whose EventTime is later than their EnqueueTime; their delivery time counts as 0.",
        "starts at 0";
    EVENT_LAST "vod_event_last_timestamp_seconds" Kind::Gauge, ["queue"], "max",
        "Largest EnqueueTime of a VOD event, in Unix seconds.",
        "absent before the first event";
    QUEUE_WATCHED_SINCE "vod_queue_watched_since_timestamp_seconds" Kind::Gauge, ["queue"], "min",
        "Since when the queue is watched without a gap, so that silence can be judged, in Unix seconds.",
        "only while the view is complete; moves on when the queue was made anew, or was not read for longer than its retention";
    EVENT_DECODE_FAILURES "vod_event_decode_failures_total" Kind::Counter, ["queue" "reason"], "sum; max in peek",
        "Messages that could not be decoded as a VOD event; they are kept in quarantine.",
        "all reasons start at 0";
    EVENT_DUPLICATES "vod_event_duplicates_total" Kind::Counter, ["queue"], "sum; max in peek",
        "Messages that repeat an event already counted under another MessageId.",
        "starts at 0";
    STREAM_TRANSCODES "vod_stream_transcodes_total" Kind::Counter, ["queue" "definition" "status"], "sum; max in peek",
        "Output streams whose transcode has ended, from StreamTranscodeComplete events.",
        "success and fail of a definition appear with its first stream; other statuses once seen";
    STREAM_TRANSCODE "vod_stream_transcode_seconds" Kind::Histogram(TRANSCODE), ["queue" "definition"], "sum; max in peek",
        "Time from StartTime to FinishTime of an output stream, in seconds.",
        "a series appears with the first stream that tells both times";
    TRANSCODE_VIEW_COMPLETE "vod_transcode_view_complete" Kind::Gauge, ["queue"], "min",
        "Whether the exporter sees every message of the queue: 1 or 0; always 0 in peek.",
        "present for every configured queue";
    STREAM_TRANSCODE_WAIT "vod_stream_transcode_wait_seconds" Kind::Histogram(TRANSCODE), ["queue"], "sum",
        "Time from upload to the start of the first output stream of a video, in seconds.",
        "consume only; counts a video once, when its transcode has ended";
    TRANSCODE_SECONDS "vod_transcode_seconds" Kind::Histogram(TRANSCODE), ["queue" "status"], "sum",
        "Time from upload to TranscodeComplete, in seconds.",
        "consume only, where it starts at 0 for success, partial and fail";
    TIME_TO_PLAYABLE "vod_time_to_playable_seconds" Kind::Histogram(TRANSCODE), ["queue"], "sum",
        "Time from upload to the first good output stream, in seconds.",
        "consume only";
    PLAYABLE_OBJECTIVE "vod_playable_objective_total" Kind::Counter, ["queue" "result"], "sum",
        "Videos that had a good output stream within the objective, and videos that had none when it passed. Faults of the source and videos that are not transcoded are in neither.",
        "consume only, where both start at 0";
    TRANSCODES_IN_FLIGHT "vod_transcodes_in_flight" Kind::Gauge, ["queue"], "max",
        "Videos whose transcode has not ended, overdue and stalled ones included.",
        "absent in peek without `vod`";
    TRANSCODES_OVERDUE "vod_transcodes_overdue" Kind::Gauge, ["queue" "verdict"], "max",
        "Videos past their deadline, by what can be said of them.",
        "absent in peek without `vod`; all verdicts of open transcodes start at 0";
    TRANSCODES_STALLED "vod_transcodes_stalled" Kind::Gauge, ["queue" "stage"], "max",
        "Stalled videos by the stage at which they are stuck. The number to page on.",
        "absent in peek without `vod`; all stages start at 0";
    TRANSCODE_OLDEST "vod_transcode_oldest_in_flight_timestamp_seconds" Kind::Gauge, ["queue"], "min",
        "When the wait for the oldest transcode in flight began, in Unix seconds.",
        "absent in peek without `vod`, and while none is in flight";
    TRANSCODE_STALLS "vod_transcode_stalls_total" Kind::Counter, ["queue"], "sum; max in peek",
        "Transcodes declared stalled.",
        "absent in peek without `vod`; starts at 0";
    TRANSCODES_CLOSED "vod_transcodes_closed_total" Kind::Counter, ["queue" "verdict"], "sum; max in peek",
        "Transcodes that were closed without their callback.",
        "absent in peek without `vod`; all verdicts that close start at 0";
    CALLBACKS_LOST "vod_callbacks_lost_total" Kind::Counter, ["queue"], "sum",
        "Transcodes that VOD has finished and whose TranscodeComplete never came.",
        "only in consume; starts at 0, and can rise only where VOD is asked";
    RECONCILIATIONS "vod_reconciliations_total" Kind::Counter, ["queue" "verdict"], "sum; max in peek",
        "Verdicts on overdue transcodes, each from one answer of VOD.",
        "only where VOD is asked; all verdicts that VOD can lead to start at 0";
    VOD_REQUESTS "vod_api_requests_total" Kind::Counter, ["account" "operation" "code"], "sum",
        "Calls of VOD's API by account, operation and outcome.",
        "a series appears with its first call, `ok` with the first of its operation, and ends when no queue's config names the account any more";
    CALLBACK_CONFIG_OK "vod_callback_config_ok" Kind::Gauge, ["queue" "check"], "min",
        "Whether a part of VOD's callback configuration fits the watched queue: 1 or 0; the log names the remedy.",
        "absent until VOD has told its configuration, and where a check cannot be told";
    BUILD_INFO "vod_callback_exporter_build_info" Kind::Info, ["version"], "max",
        "The running version. Constant 1.",
        "always present";
    CLOCK_SKEW "vod_callback_exporter_clock_skew_seconds" Kind::Gauge, [], "max",
        "Local clock minus the clock of MNS, in seconds; precision one second.",
        "absent before the first answer of MNS";
    STATE_DURABLE "vod_callback_exporter_state_durable" Kind::Gauge, [], "min",
        "Whether counters survive a restart: 1 with a state file, 0 in memory only.",
        "always present";
    STATE_COMMITS "vod_callback_exporter_state_commits_total" Kind::Counter, [], "sum",
        "Groups of records made durable; stays 0 in memory only.",
        "starts at 0";
    STATE_BYTES "vod_callback_exporter_state_bytes" Kind::Gauge, [], "max",
        "Size of the state file.",
        "absent in memory only";
    STATE_EVICTIONS "vod_callback_exporter_state_evictions_total" Kind::Counter, ["table"], "sum",
        "Rows dropped from a table of the state because it was full.",
        "all tables start at 0";
    FORWARDED_MESSAGES "vod_callback_exporter_forwarded_messages_total" Kind::Counter, ["queue" "target" "result"], "sum",
        "Messages offered to the queue that they are passed on to; one that is offered again counts again.",
        "only where a queue has a forward target; all results start at 0";
    ALERTS_SENT "vod_callback_exporter_alerts_sent_total" Kind::Counter, ["alertmanager" "result"], "sum",
        "Alerts about single videos sent to Alertmanager, resolved ones included; one that is sent again counts again.",
        "only where `alertmanager` is configured; all results start at 0";
    ALERTS_ACTIVE "vod_callback_exporter_alerts_active" Kind::Gauge, [], "max",
        "Alerts about single videos that fire now, the one that stands for all others included.",
        "only where `alertmanager` is configured";
    ALERTS_SUPPRESSED "vod_callback_exporter_alerts_suppressed_total" Kind::Counter, [], "max",
        "Videos that had to do without an alert of their own because too many were firing: the sum of all rises of their number.",
        "only where `alertmanager` is configured; starts at 0";
    QUARANTINED_MESSAGES "vod_callback_exporter_quarantined_messages" Kind::Gauge, [], "max",
        "Messages kept in quarantine now: undecodable, or refused for good by a forward target.",
        "always present";
    CREDENTIALS_EXPIRY "vod_callback_exporter_credentials_expiry_timestamp_seconds" Kind::Gauge, ["account"], "min",
        "When the credentials in use expire, in Unix seconds; they are renewed well before.",
        "absent before the first ones, and for those that do not expire or do not tell when";
    CREDENTIALS_FAILURES "vod_callback_exporter_credentials_refresh_failures_total" Kind::Counter, ["account" "reason"], "sum",
        "Attempts to read or to renew credentials that failed; the earlier ones serve for as long as they are good.",
        "all reasons start at 0 once a queue of the account is watched";
    LAST_TICK "vod_callback_exporter_last_tick_timestamp_seconds" Kind::Gauge, ["queue"], "max",
        "When the last read of the queue ended, well or badly, in Unix seconds.",
        "absent until the first read has ended";
    CONFIG_RELOADS "vod_callback_exporter_config_reloads_total" Kind::Counter, ["result"], "sum",
        "Times that the config was read again, by a request or a signal.",
        "both results start at 0; a certificate or key of the web config that turned unusable counts as a `failure`";
    CONFIG_RELOAD_SUCCESSFUL "vod_callback_exporter_config_last_reload_successful" Kind::Gauge, [], "min",
        "Whether the config was good when it was read last: 1 or 0. At 0 the one before stays in force.",
        "always present; 1 from the start; 0 also while a certificate or key of the web config is unusable";
    CONFIG_RELOAD_TIME "vod_callback_exporter_config_last_reload_success_timestamp_seconds" Kind::Gauge, [], "min",
        "Since when the config is in force, in Unix seconds.",
        "always present";
    WEB_REFUSALS "vod_callback_exporter_web_refusals_total" Kind::Counter, ["reason"], "sum",
        "Connections and requests to the exporter that were refused before an endpoint saw them.",
        "all reasons of refusals start at 0";
    PROCESS_CPU "process_cpu_seconds_total" Kind::Counter, [], "sum",
        "User and system CPU time of the process, in whole seconds.",
        "Linux only";
    PROCESS_OPEN_FDS "process_open_fds" Kind::Gauge, [], "max",
        "Open file descriptors of the process.",
        "Linux only";
    PROCESS_MAX_FDS "process_max_fds" Kind::Gauge, [], "max",
        "Limit of open file descriptors of the process.",
        "Linux only";
    PROCESS_VIRTUAL_MEMORY "process_virtual_memory_bytes" Kind::Gauge, [], "max",
        "Virtual memory of the process, in bytes.",
        "Linux only";
    PROCESS_RESIDENT_MEMORY "process_resident_memory_bytes" Kind::Gauge, [], "max",
        "Resident memory of the process, in bytes.",
        "Linux only";
    PROCESS_START_TIME "process_start_time_seconds" Kind::Gauge, [], "max",
        "When the process started, in Unix seconds.",
        "Linux only";
    PROCESS_THREADS "process_threads" Kind::Gauge, [], "max",
        "Threads of the process.",
        "Linux only";
}

/// All labels, in the order of the documentation.
pub const LABELS: &[Label] = &[
    Label {
        name: "queue",
        meaning: "the queue's id in the configuration",
        values: Vec::new,
    },
    Label {
        name: "mns_queue",
        meaning: "the queue's name in MNS",
        values: Vec::new,
    },
    Label {
        name: "account",
        meaning: "account id, from the endpoint's host; empty where the host has none. Of credentials and of VOD's API: the \
                  account's name in the configuration",
        values: Vec::new,
    },
    Label {
        name: "mns_region",
        meaning: "region of the endpoint; empty if unknown",
        values: Vec::new,
    },
    Label {
        name: "mode",
        meaning: "how the queue is read",
        values: || vec![mode_label(Mode::Peek), mode_label(Mode::Consume)],
    },
    Label {
        name: "role",
        meaning: "what the queue is for: callbacks, or what another queue's consumers gave up",
        values: || vec![role_label(Role::Callback), role_label(Role::DeadLetter)],
    },
    Label {
        name: "state",
        meaning: "state of messages in MNS",
        values: || MESSAGE_STATES.to_vec(),
    },
    Label {
        name: "operation",
        meaning: "call of the MNS or VOD API",
        values: || {
            let mns = Operation::ALL.iter().map(|value| value.name());
            let vod = api::Operation::ALL.iter().map(|value| value.name());
            mns.chain(vod).collect()
        },
    },
    Label {
        name: "code",
        meaning: "outcome of a call: `ok`, or the kind of its error",
        values: || {
            let mns = ["ok"].into_iter().chain(Error::ALL);
            let vod = api::Error::ALL
                .into_iter()
                .filter(|kind| !Error::ALL.contains(kind));
            mns.chain(vod).collect()
        },
    },
    Label {
        name: "event_type",
        meaning: "`EventType` of the event",
        values: || EventType::ALL.iter().map(|value| value.as_str()).collect(),
    },
    Label {
        name: "status",
        meaning: "`Status`, normalised",
        values: || {
            let statuses = Status::ALL.iter().map(|value| value.as_str());
            // A whole transcode may succeed in part.
            statuses.chain([TRANSCODE_STATUSES[1]]).collect()
        },
    },
    Label {
        name: "error_code",
        meaning: "error code of a failed event, from a fixed list; see below",
        values: || ErrorCode::ALL.iter().map(|value| value.as_str()).collect(),
    },
    Label {
        name: "fault",
        meaning: "whose fault a failure is",
        values: || Fault::ALL.iter().map(|value| value.as_str()).collect(),
    },
    Label {
        name: "reason",
        meaning: "why a body could not be decoded, why there are no new credentials, or why a client of the exporter \
                  was refused",
        values: || {
            let bodies = Undecodable::ALL.iter().map(|value| value.as_str());
            let clients = Refusal::ALL.iter().map(|value| value.as_str());
            let mut values: Vec<_> = bodies.collect();
            for reason in credentials::Error::ALL.into_iter().chain(clients) {
                if !values.contains(&reason) {
                    values.push(reason);
                }
            }
            values
        },
    },
    Label {
        name: "definition",
        meaning: "`Definition` of an output stream: upper case, cut at the first `-`",
        values: || Definition::ALL.iter().map(|value| value.as_str()).collect(),
    },
    Label {
        name: "check",
        meaning: "part of VOD's callback configuration",
        values: || Check::ALL.iter().map(|value| value.as_str()).collect(),
    },
    Label {
        name: "verdict",
        meaning: "why a transcode that is overdue has not ended, or how it was closed",
        values: || Verdict::ALL.iter().map(|value| value.as_str()).collect(),
    },
    Label {
        name: "stage",
        meaning: "where a stalled video is stuck: before its transcode was submitted, or in it",
        values: || Stage::ALL.iter().map(|value| value.as_str()).collect(),
    },
    Label {
        name: "table",
        meaning: "table of the state",
        values: || EVICTION_TABLES.to_vec(),
    },
    Label {
        name: "target",
        meaning: "name in MNS of the queue that messages are passed on to; `other` after many changes of it",
        values: Vec::new,
    },
    Label {
        name: "result",
        meaning: "whether the objective was met (`good`, `bad`), or what became of a message that is passed on: taken, \
                  refused for good, or to be offered again; or how a reload ended (`success`, `failure`); or what became of \
                  alerts: taken (`ok`), partly refused for good (`rejected`), or to be sent again (`failed`)",
        values: || {
            let videos_and_messages = OBJECTIVE_RESULTS.into_iter().chain(FORWARD_RESULTS);
            let mut values: Vec<_> = videos_and_messages.chain(RELOAD_RESULTS).collect();
            for result in Sent::ALL.map(Sent::as_str) {
                if !values.contains(&result) {
                    values.push(result);
                }
            }
            values
        },
    },
    Label {
        name: "alertmanager",
        meaning: "host and port of an Alertmanager, from its URL in the configuration",
        values: Vec::new,
    },
    Label {
        name: "version",
        meaning: "version of the exporter",
        values: Vec::new,
    },
];

/// Values of `result`, in the order of [`crate::ledger::Counts::objective`].
pub const OBJECTIVE_RESULTS: [&str; 2] = ["good", "bad"];

/// Values of `result` where a config was read again.
pub const RELOAD_RESULTS: [&str; 2] = ["success", "failure"];

/// Values of `state`, in the order of [`crate::ledger::QueueSnapshot::depth`].
pub const MESSAGE_STATES: [&str; 3] = ["active", "inactive", "delayed"];

/// Value of the label `mode`.
pub const fn mode_label(mode: Mode) -> &'static str {
    match mode {
        Mode::Peek => "peek",
        Mode::Consume => "consume",
    }
}

/// Value of the label `role`.
pub const fn role_label(role: Role) -> &'static str {
    match role {
        Role::Callback => "callback",
        Role::DeadLetter => "dead_letter",
    }
}

/// The family of that name.
pub fn find(name: &str) -> Option<&'static Family> {
    ALL.iter().find(|family| family.name == name).copied()
}

// === impl Family ===

impl Family {
    /// The name without the suffix that OpenMetrics reserves for the type's samples.
    pub fn base_name(&self) -> &'static str {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram(_) => "",
        };
        self.name.strip_suffix(suffix).unwrap_or(self.name)
    }

    /// The base unit that the name ends in.
    pub fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"].into_iter().find(|unit| {
            self.base_name()
                .strip_suffix(unit)
                .is_some_and(|rest| rest.ends_with('_'))
        })
    }
}

// === impl Kind ===

impl Kind {
    /// The word of OpenMetrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Info => "info",
            Self::Histogram(_) => "histogram",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_labels_are_the_bounds() {
        for bounds in [TRANSCODE, DELIVERY, PROCESSING] {
            let written: Vec<String> = bounds
                .millis
                .iter()
                .map(|millis| {
                    format!(
                        ",le=\"{:?}\"",
                        std::time::Duration::from_millis(*millis).as_secs_f64()
                    )
                })
                .collect();
            assert_eq!(written, bounds.le);
        }
    }

    #[test]
    fn names_are_unique_and_follow_the_conventions() {
        for (index, family) in ALL.iter().enumerate() {
            let name = family.name;
            assert_eq!(
                ALL.iter()
                    .filter(|other| other.base_name() == family.base_name())
                    .count(),
                1,
                "{name} twice"
            );
            assert_eq!(
                name.ends_with("_total"),
                matches!(family.kind, Kind::Counter),
                "{name}"
            );
            assert_eq!(
                name.ends_with("_info"),
                matches!(family.kind, Kind::Info),
                "{name}"
            );
            assert!(
                family.help.ends_with('.') && !family.help.contains(['\\', '"', '\n']),
                "{name}"
            );
            assert_eq!(find(name).map(|found| found.name), Some(ALL[index].name));
            for label in family.labels {
                assert!(
                    LABELS.iter().any(|known| known.name == *label),
                    "label {label} of {name}"
                );
            }
        }
    }

    #[test]
    fn units_come_from_names() {
        assert_eq!(PROCESS_CPU.unit(), Some("seconds"));
        assert_eq!(PROCESS_RESIDENT_MEMORY.unit(), Some("bytes"));
        assert_eq!(QUEUE_MESSAGES.unit(), None);
    }
}
