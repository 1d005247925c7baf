//! What each alert says, word for word: labels, sentences and links as promtool renders them.

use std::collections::BTreeSet;

use super::case::{Case, Look, hold};
use super::scene::{Part, Scene, healthy};
use super::scenes::{
    CONFIG, EXPIRY, OTHER, SERVICE, VOD, behind, blind, closed, delivered, down, expiring, failing,
    played, redelivered, refused, silent, stalled, unanswered, undecodable, waiting,
};
use super::thresholds::{FAST, SLOW};
use crate::rules;

/// A scene at whose end one alert fires, and what it then says.
fn says(
    alert: &'static str,
    scene: Scene,
    labels: &'static str,
    dashboard: &'static str,
    description: &'static str,
) -> Case {
    let mut case = Case::new(alert, "what it says", scene);
    case.looks.push(Look::Saying {
        labels,
        dashboard,
        description,
    });
    case
}

const QUEUE: &str = "vod-queue?var-queue=vod";
const OVERVIEW: &str = "vod-overview?var-queue=vod";
const TRANSCODES: &str = "vod-transcodes?var-queue=vod";
const EXPORTER: &str = "vod-exporter";

fn credentials(left: f64) -> Scene {
    let parts = [(60, Part::Is(3600.0 + left)), (60, Part::Rises(60.0))];
    healthy(67).with(EXPIRY, &parts)
}

fn of_transcodes() -> Vec<Case> {
    let stalled = stalled().turns("vod_transcodes_stalled stage=submit", 1234.0);
    let both = stalled
        .clone()
        .beside("second")
        .turns("vod_transcodes_stalled stage=transcode", 1.0)
        .turns("vod_transcodes_stalled queue=second stage=submit", 0.0)
        .turns("vod_transcode_oldest_in_flight_timestamp_seconds", 600.0);
    let lost = healthy(62).jumps("vod_callbacks_lost_total", 60, 3.0);
    let wrong = healthy(67).turns("vod_callback_config_ok check=events", 0.0);
    let strangers = healthy(67).turns("vod_transcode_view_complete", 0.0);
    vec![
        says(
            "VodTranscodesStalled",
            stalled,
            VOD,
            TRANSCODES,
            "Videos of queue vod that are past their deadline and with which VOD makes no progress: 1234, 1234 at stage submit. /api/v1/transcodes?state=stalled of the exporter lists them.",
        ),
        says(
            "VodTranscodesStalled",
            both,
            VOD,
            TRANSCODES,
            "Videos of queue vod that are past their deadline and with which VOD makes no progress: 1235, 1234 at stage submit, 1 at stage transcode. The oldest transcode in flight began at 1970-01-01 00:10:00 +0000 UTC. /api/v1/transcodes?state=stalled of the exporter lists them.",
        ),
        says(
            "VodServiceFaults",
            failing("service", 31.0, 300.0),
            SERVICE,
            TRANSCODES,
            "10.3% of TranscodeComplete events in queue vod fail with errors of VOD itself.",
        ),
        says(
            "VodConfigFaults",
            failing("config", 31.0, 300.0),
            CONFIG,
            TRANSCODES,
            "10.3% of TranscodeComplete events in queue vod fail because of settings, permissions or templates of this account.",
        ),
        says(
            "VodOtherFaults",
            failing("other", 100.0, 300.0),
            OTHER,
            TRANSCODES,
            "33.3% of TranscodeComplete events in queue vod fail with an error code that is not in the table, or with none.",
        ),
        says(
            "VodCallbacksLost",
            lost,
            VOD,
            TRANSCODES,
            "Transcodes of queue vod that ended in VOD within an hour and whose TranscodeComplete never reached the queue: about 3. Whoever waits for it waits for ever.",
        ),
        says(
            "VodTranscodesAbandoned",
            closed("abandoned", 2.0),
            VOD,
            TRANSCODES,
            "Transcodes of queue vod that were given up within an hour, since nothing was heard of them for as long as abandon_after says: about 2.",
        ),
        says(
            "VodCallbackConfigWrong",
            wrong,
            "queue=vod check=events",
            OVERVIEW,
            "Check events of VOD's callback configuration fails for queue vod: callbacks do not come, or not all. The exporter's log names the remedy.",
        ),
        says(
            "VodViewIncomplete",
            strangers,
            VOD,
            OVERVIEW,
            "Somebody else receives from queue vod: its numbers are a lower bound, and stalls, silence and lost callbacks cannot be told for 24 hours.",
        ),
        says(
            "VodStallDetectionBlind",
            blind(),
            VOD,
            OVERVIEW,
            "Queue vod is only peeked at and VOD's API is not asked about its videos: a stalled transcode shows nowhere.",
        ),
        says(
            "VodStallDetectionBlind",
            unanswered("second"),
            "account=second job=exporter operation=GetVideoInfos",
            "vod-overview",
            "VOD's API has answered no GetVideoInfos of an exporter of job exporter with account second for half an hour: a stalled transcode shows nowhere.",
        ),
    ]
}

fn of_queues() -> Vec<Case> {
    let letters = healthy(68).of_dead_letters().turns("mns_queue_empty", 0.0);
    vec![
        says(
            "VodQueueSilent",
            silent(),
            VOD,
            OVERVIEW,
            "Queue vod has had no event for 2h 10m 0s, though callbacks are expected.",
        ),
        says(
            "VodBacklogStuck",
            waiting(960.0, 5),
            VOD,
            QUEUE,
            "The oldest message of queue vod has waited for 21m 0s, and nobody has taken one for longer than the threshold.",
        ),
        says(
            "VodBacklogDrainsSlowly",
            behind(1830.0),
            VOD,
            QUEUE,
            "The oldest message of queue vod has waited for 30m 30s; at the pace of the last 30 minutes the backlog lasts longer than the threshold.",
        ),
        says(
            "VodCallbacksExpiring",
            expiring(0.8),
            VOD,
            QUEUE,
            "The oldest message of queue vod has used 81.1% of the queue's retention. What reaches 100% is deleted for good.",
        ),
        // So few that older and newer versions round them alike.
        says(
            "VodRedeliveryStorm",
            redelivered(10.0, 10.0),
            VOD,
            QUEUE,
            "Queue vod had about 10 redeliveries within 30 minutes: its consumer takes messages and does not delete them in time.",
        )
        .set("redelivery_min", 10.0),
        says(
            "VodPoisonMessage",
            healthy(67).turns("mns_queue_dequeue_count_max", 1234.0),
            VOD,
            QUEUE,
            "A message of queue vod has been received 1234 times: its consumer fails on it.",
        ),
        says(
            "VodDeadLetters",
            letters,
            VOD,
            QUEUE,
            "Dead-letter queue vod holds messages that their consumers gave up.",
        ),
        says(
            "VodDeliverySlow",
            delivered(200.0, 100.0, 0.0),
            VOD,
            OVERVIEW,
            "More than one in ten events of queue vod reach it later than 1m 0s after they happened.",
        ),
        says(
            "VodDecodeFailures",
            undecodable(5.0, 20.0),
            VOD,
            QUEUE,
            "About 5 of the last messages of queue vod were no VOD event. /api/v1/quarantine of the exporter lists them.",
        ),
        says(
            "VodDepthUntrusted",
            healthy(67).turns("mns_queue_depth_trusted", 0.0),
            VOD,
            QUEUE,
            "MNS says that queue vod is empty while messages are seen in it: mns_queue_messages is absent. Of the alerts, only VodBacklogDrainsSlowly asks for it, and can do without.",
        ),
        says(
            FAST,
            played(20.0, 9.0),
            VOD,
            OVERVIEW,
            "31% of the videos of queue vod were not playable within the objective: a month's error budget is gone in days.",
        ),
        says(
            SLOW,
            played(20.0, 9.0).until(77),
            VOD,
            OVERVIEW,
            "31% of the videos of queue vod were not playable within the objective: at this pace the month ends below the service level.",
        ),
    ]
}

fn of_the_exporter() -> Vec<Case> {
    let volatile = healthy(77).turns("vod_callback_exporter_state_durable", 0.0);
    let broken = healthy(72).turns("vod_callback_exporter_config_last_reload_successful", 0.0);
    vec![
        says(
            "VodExporterDown",
            healthy(80).away(60, 90),
            "",
            EXPORTER,
            "Prometheus has seen no vod-callback-exporter for 5 minutes or longer: nothing else here can page.",
        ),
        says(
            "VodQueueUnwatched",
            healthy(74).beside("second").unwatched(60),
            VOD,
            "vod-exporter?var-queue=vod",
            "No exporter tells of queue vod any more, though one did within the last 3 days: nobody sees its trouble.",
        ),
        says(
            "VodQueueUnreadable",
            down(),
            VOD,
            "vod-exporter?var-queue=vod",
            "Queue vod cannot be read, or has not been for a while: alerts about it keep what they said last, and new trouble goes unseen. The reason is in the log and in /api/v1/queues.",
        ),
        says(
            "VodCredentialsExpiring",
            credentials(255.0),
            "account=main",
            EXPORTER,
            "The credentials of account main end in 4m 15s and should have been renewed by now.",
        ),
        says(
            "VodCredentialsExpiring",
            credentials(-30.0),
            "account=main",
            EXPORTER,
            "The credentials of account main have ended without being renewed: reads fail.",
        ),
        says(
            "VodStateNotDurable",
            volatile,
            "job=exporter",
            EXPORTER,
            "An exporter of job exporter keeps its state in memory only: a restart forgets counts and the transcodes in flight.",
        ),
        says(
            "VodAlertDeliveryFailing",
            refused(0.533_33),
            "alertmanager=one",
            EXPORTER,
            "Alertmanager one does not take 53.3% of the alerts about single videos: it refuses them or cannot be reached. The reason is in the exporter's log.",
        ),
        says(
            "VodConfigReloadFailed",
            broken,
            "job=exporter",
            EXPORTER,
            "An exporter of job exporter goes on with the configuration or certificate that it had before: the one on disk is not in force, and no exporter starts with it.",
        ),
        says(
            "VodDeadMan",
            healthy(5),
            "",
            EXPORTER,
            "Rules are evaluated and notifications reach this receiver. Have something outside of this cluster complain when it stops.",
        ),
        says(
            "VodThresholdMissing",
            healthy(15),
            "threshold=callbacks_lost_per_hour",
            EXPORTER,
            "The series vod:threshold:callbacks_lost_per_hour is missing, is not a number, or there is more than one: the alerts that compare with it cannot fire.",
        )
        .set("callbacks_lost_per_hour", f64::NAN),
    ]
}

/// A scene or more for every alert.
pub(super) fn sayings() -> Vec<Case> {
    let parts = [of_transcodes(), of_queues(), of_the_exporter()];
    parts.into_iter().flatten().collect()
}

#[test]
fn every_alert_says_exactly_this() {
    let cases = sayings();
    let held: BTreeSet<&str> = cases.iter().map(|case| case.alert).collect();
    let all = rules::all();
    let known = all.iter().filter(|rule| rule.is_alert);
    let known: BTreeSet<&str> = known.map(|rule| rule.name.as_str()).collect();
    assert_eq!(held, known, "alerts whose sentences are held, and all");
    hold(cases);
}
