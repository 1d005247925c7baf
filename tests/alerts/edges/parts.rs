//! Every arm, window, label and gate of a rule, each alone.

use std::collections::BTreeSet;

use super::case::{Case, hold};
use super::scene::Part::{Gone, Is, Rises};
use super::scene::{CLOCK, Scene, healthy};
use super::scenes::{
    ACTIVE, ASKED, EVENT, EXPIRY, INACTIVE, LAST, OLDEST, PROGRESS, SERVICE, TICK, VOD, abandoned,
    bad_hour, behind, blind, closed, deleting, delivered, down, emptying, expiring, failing,
    failing_slowly, forgotten, goes_on, heard, outputs, played, poison, quiet, quiet_after,
    reasons, redelivered, sent, silent, stalled, unanswered, undecodable, undecodable_slowly,
    unlooked, unseen, unsteady, waiting,
};
use super::thresholds::{FAST, PAIRS, SLOW};
use super::{DAY, MEMORY, WEEK};
use crate::rules;
use crate::special;

/// An alert about a gauge that is 0, its other labels and its minutes of waiting.
const STATES: [(&str, &str, &str, u32); 6] = [
    (
        "VodCallbackConfigWrong",
        "vod_callback_config_ok check=events",
        "queue=vod check=events",
        5,
    ),
    ("VodViewIncomplete", "vod_transcode_view_complete", VOD, 5),
    ("VodDeadLetters", "mns_queue_empty", VOD, 6),
    ("VodDepthUntrusted", "mns_queue_depth_trusted", VOD, 5),
    (
        "VodStateNotDurable",
        "vod_callback_exporter_state_durable",
        "job=exporter",
        15,
    ),
    (
        "VodConfigReloadFailed",
        "vod_callback_exporter_config_last_reload_successful",
        "job=exporter",
        10,
    ),
];

fn states() -> Vec<Case> {
    let mut cases = Vec::new();
    for (alert, series, labels, wait) in STATES {
        let fired = 60 + wait + 2;
        let base = |minutes: u32| {
            let scene = healthy(minutes).beside("second");
            match alert {
                "VodDeadLetters" => scene.of_dead_letters(),
                _ => scene,
            }
        };
        let new = |name: &str, scene: Scene| Case::new(alert, format!("{series}, {name}"), scene);
        let flaps = |series: &str, value: f64, scene: Scene| {
            let parts = |from: u32| [(from, Is(value)), (from + 2, Is(1.0 - value))];
            let parts: Vec<_> = (60..scene.minutes).step_by(4).flat_map(parts).collect();
            scene.with(series, &parts)
        };
        let ending = base(150).turns(series, 0.0).with(series, &[(100, Is(1.0))]);
        let of_second = format!("{series} instance=b");
        cases.extend([
            new("one of two", base(fired).turns(series, 0.0))
                .not_before(60 + wait - 1)
                .fires(&[labels]),
            new("now and then", flaps(series, 0.0, base(fired))).fires(&[labels]),
            new("over", ending).at(99, &[labels]).fires(&[]),
            new(
                "then no exporter",
                base(fired).turns(series, 0.0).vanished(MEMORY),
            )
            .fires(&[labels]),
            new(
                "one of two replicas",
                base(fired).twice().turns(&of_second, 0.0),
            )
            .fires(&[labels]),
        ]);
    }
    let view = |scene: Scene| scene.turns("vod_transcode_view_complete", 0.0);
    let letters = healthy(90).turns("mns_queue_empty", 0.0);
    let passing = letters
        .clone()
        .of_dead_letters()
        .with("mns_queue_empty", &[(61, Is(1.0))]);
    cases.extend([
        Case::new("VodViewIncomplete", "peeked", view(healthy(90)).peeked()).never(),
        Case::new(
            "VodViewIncomplete",
            "dead letters",
            view(healthy(90)).of_dead_letters(),
        )
        .never(),
        Case::new("VodDeadLetters", "callbacks", letters).never(),
        Case::new("VodDeadLetters", "one for a minute", passing).never(),
    ]);
    cases
}

macro_rules! cases {
    ($name:ident: $($alert:literal $what:literal, $scene:expr => $($step:ident $args:tt),+;)+) => {
        fn $name() -> Vec<Case> {
            vec![$(Case::new($alert, $what, $scene)$(.$step $args)+),+]
        }
    };
}

cases! {
    transcodes:
    "VodTranscodesStalled" "stages add up, queues do not",
        stalled().beside("second")
            .turns("vod_transcodes_stalled stage=transcode", 1.0)
            .turns("vod_transcodes_stalled queue=second stage=submit", 1.0)
        => set("transcodes_stalled", 1.0), fires(&[VOD]);
    "VodTranscodesStalled" "replicas do not add up",
        stalled().until(90).twice() => set("transcodes_stalled", 1.0), never();
    "VodTranscodesStalled" "for a minute",
        stalled().until(70).with("vod_transcodes_stalled stage=submit", &[(61, Is(0.0))])
        => at(64, &[VOD]), fires(&[]);
    "VodCallbacksLost" "for an hour",
        healthy(150).beside("second").jumps("vod_callbacks_lost_total", 60, 1.0) => at(115, &[VOD]), fires(&[]);
    "VodTranscodesAbandoned" "for an hour",
        closed("abandoned", 1.0).until(150).beside("second") => at(115, &[VOD]), fires(&[]);
    "VodTranscodesAbandoned" "deleted", closed("deleted", 1.0).until(90) => never();
    "VodTranscodesAbandoned" "deleted, peeked", closed("deleted", 1.0).until(90).peeked() => never();
    "VodTranscodesAbandoned" "lost", closed("callback_lost", 1.0).until(90) => never();
    "VodTranscodesAbandoned" "peeked by two",
        closed("abandoned", 1.0).peeked().twice() => set("transcodes_abandoned_per_hour", 1.5), never();
    "VodTranscodesAbandoned" "consumed by two",
        closed("abandoned", 1.0).twice() => set("transcodes_abandoned_per_hour", 1.5), fires(&[VOD]);
    "VodServiceFaults" "one video of six outputs", outputs(4.0, 24.0, 6.0) => never();
    "VodServiceFaults" "outputs of many videos", outputs(20.0, 120.0, 30.0)
        => fires(&["queue=vod event_type=StreamTranscodeComplete fault=service"]);
    "VodServiceFaults" "outputs, and nothing tells of videos", outputs(0.0, 120.0, 30.0)
        => fires(&["queue=vod event_type=StreamTranscodeComplete fault=service"]);
    "VodServiceFaults" "outputs of few, and nothing tells of videos", outputs(0.0, 110.0, 30.0) => never();
    "VodServiceFaults" "a small site that was mended", goes_on(failing_slowly("service", 1.0, 15.0), "service", 90, 0.0, 15.0)
        .until(400) => at(150, &[]), at(270, &[]), fires(&[]);
    "VodServiceFaults" "a small site after a busy half-hour",
        goes_on(failing("service", 0.0, 60.0), "service", 90, 15.0, 15.0).until(160) => fires(&[SERVICE]);
    "VodServiceFaults" "a small site is mended after a page",
        goes_on(failing_slowly("service", 1.0, 30.0), "service", 120, 0.0, 15.0).until(165)
        => at(115, &[SERVICE]), fires(&[]);
    "VodDecodeFailures" "slow ones that come no more", undecodable_slowly(8.0).until(180)
        => at(140, &[VOD]), fires(&[]);
    "VodConfigFaults" "some were deleted before", deleting(5.0, 30.0) => never();
    "VodStallDetectionBlind" "the first answer",
        unanswered("second").until(140)
            .with(&format!("{ASKED} account=second code=ok"), &[(120, Rises(0.1))])
        => at(115, &["job=exporter account=second operation=GetVideoInfos"]), fires(&[]);
    "VodStallDetectionBlind" "without VOD", blind() => not_before(10), fires(&[VOD]);
    "VodStallDetectionBlind" "with VOD", healthy(90).peeked() => never();
    "VodStallDetectionBlind" "one of two replicas is refused",
        healthy(110).twice()
            .with(&format!("{ASKED} account=second code=ok instance=b"), &[(60, Rises(0.0))])
            .with(&format!("{ASKED} account=second code=access_denied instance=b"), &[(60, Rises(1.0))])
        => fires(&["job=exporter account=second operation=GetVideoInfos"]);
    "VodStallDetectionBlind" "one of two accounts is refused", unanswered("second")
        => not_before(103), fires(&["account=second job=exporter operation=GetVideoInfos"]);
    "VodStallDetectionBlind" "one account, and the other asks for nothing",
        unanswered("second").with(&format!("{ASKED} account=main code=ok"), &[(0, Rises(0.0))])
        => fires(&["account=second job=exporter operation=GetVideoInfos"]);
    "VodStallDetectionBlind" "VOD knows none of the videos",
        healthy(110)
            .with(&format!("{ASKED} account=second code=ok"), &[(60, Rises(0.0))])
            .with(&format!("{ASKED} account=second code=not_found"), &[(60, Rises(1.0))])
        => never();
    // The answers leave the window before the refusals do.
    "VodStallDetectionBlind" "refused for 20 minutes, then gone", unanswered("second").until(80).vanished(60) => never();
    "VodStallDetectionBlind" "dead letters", blind().of_dead_letters() => never();
}

/// Half of a few events fail, and then too few come for half an hour to be judged.
fn afterwards(alert: &'static str, own: &str, labels: &str) -> Vec<Case> {
    let burst = |minutes| failing(own, 10.0, 20.0).until(minutes);
    let ongoing = |minutes, fails| goes_on(burst(minutes), own, 61, fails, 15.0);
    let success = format!("vod_events_total {EVENT} status=success");
    let fail = format!("vod_events_total {EVENT} status=fail");
    let faults = format!("vod_event_faults_total {EVENT} fault={own}");
    let few = |scene: Scene, at: u32, good: f64, bad: f64| {
        scene
            .jumps(&success, at, good)
            .jumps(&fail, at, bad)
            .jumps(&faults, at, bad)
    };
    let new = |name: &str, scene: Scene| Case::new(alert, name, scene);
    vec![
        new("then a low share", ongoing(240, 1.0))
            .at(80, &[labels])
            .fires(&[]),
        new("then a high share", ongoing(240, 5.0)).fires(&[labels]),
        new("then few events", few(burst(260), 250, 11.0, 1.0)).fires(&[labels]),
        new(
            "a good half-hour by chance",
            goes_on(ongoing(185, 5.0), own, 150, 0.5, 15.0),
        )
        .fires(&[labels]),
        new(
            "many good ones before, and nothing good since",
            few(few(burst(115), 10, 1000.0, 0.0), 100, 0.0, 3.0),
        )
        .fires(&[labels]),
        new(
            "many good ones before too few",
            few(failing(own, 10.0, 19.0).until(95), 10, 1000.0, 0.0),
        )
        .never(),
        new(
            "many good ones before, and nothing since",
            few(burst(115), 10, 1000.0, 0.0),
        )
        .fires(&[labels]),
    ]
}

pub(super) fn faults() -> Vec<Case> {
    const ALERTS: [(&str, &str); 3] = [
        ("VodServiceFaults", "service"),
        ("VodConfigFaults", "config"),
        ("VodOtherFaults", "other"),
    ];
    let mut cases = Vec::new();
    for (alert, own) in ALERTS {
        let labels = format!("queue=vod event_type=TranscodeComplete fault={own}");
        let new = |name: &str, scene: Scene| Case::new(alert, name, scene);
        for fault in ["source", "service", "config", "other"] {
            if fault != own {
                let name = format!("all faults are of {fault}");
                cases.push(new(&name, failing(fault, 100.0, 100.0)).never());
            }
        }
        let few_good = format!("vod_events_total {EVENT} status=success");
        let mut over = failing(own, 15.0, 30.0).jumps(&few_good, 105, 5.0);
        over.minutes = 115;
        let others = "vod_events_total event_type=FileUploadComplete status=success";
        let of_two = failing(own, 15.0, 30.0)
            .beside("second")
            .jumps(others, 60, 1000.0)
            .jumps(&format!("{few_good} queue=second"), 60, 1000.0);
        cases.extend([
            new("a few good ones are evidence", over)
                .at(100, &[&labels])
                .fires(&[]),
            new("one type of one queue", of_two).fires(&[&labels]),
            new("consumed by two", failing(own, 5.0, 10.0).twice()).fires(&[&labels]),
            new("peeked by two", failing(own, 5.0, 10.0).peeked().twice()).never(),
            new(
                "faults peeked by two",
                failing(own, 18.0, 200.0).peeked().twice(),
            )
            .never(),
        ]);
        cases.extend(afterwards(alert, own, &labels));
        for status in ["none", "other"] {
            let series = format!("vod_events_total {EVENT} status={status}");
            let few = failing(own, 9.0, 18.0).jumps(&series, 60, 10.0);
            let many = failing(own, 15.0, 30.0).jumps(&series, 60, 1000.0);
            for (how, few, many) in [
                ("", few.clone(), many.clone()),
                (", peeked", few.peeked(), many.peeked()),
            ] {
                cases.extend([
                    new(&format!("{status} is no traffic{how}"), few).never(),
                    new(&format!("{status} is no success{how}"), many).fires(&[&labels]),
                ]);
            }
        }
    }
    cases
}

cases! {
    silence:
    "VodQueueSilent" "one of two queues", silent().beside("second") => fires(&[VOD]);
    "VodQueueSilent" "an event is evidence", heard(silent()) => at(silent().minutes, &[VOD]), fires(&[]);
    "VodQueueSilent" "the last event is forgotten", forgotten(silent()) => fires(&[VOD]);
    "VodQueueSilent" "busy at another hour",
        quiet(7560.0, 0.0, DAY).jumps(&format!("vod_events_total {EVENT} status=success"), 90, 100.0) => never();
    "VodQueueSilent" "busy only in the hour that ended an hour before", quiet_after(7560.0, [30.0, 0.0], DAY) => never();
    "VodQueueSilent" "busy only in the last hour", quiet_after(7560.0, [0.0, 30.0], DAY) => never();
    "VodQueueSilent" "busy only in the earlier one a week ago", quiet_after(7560.0, [30.0, 0.0], WEEK) => never();
    "VodQueueSilent" "busy only in the last one a week ago", quiet_after(7560.0, [0.0, 30.0], WEEK) => never();
    "VodQueueSilent" "view incomplete", unseen(silent()) => never();
    "VodQueueSilent" "view incomplete, fixed limit",
        unseen(quiet(4000.0, 0.0, 0)) => set("silence_fixed_seconds", 3600.0), never();
    "VodQueueSilent" "a fixed limit of its own",
        quiet(3780.0, 0.0, 0).beside("second") => own("silence_fixed_seconds", 3600.0), fires(&[VOD]);
    "VodQueueSilent" "nobody looks any more just before", unlooked(silent(), DAY + 180 + 119) => never();
    "VodQueueSilent" "nobody looks any more just before a fixed limit",
        unlooked(quiet(3900.0, 0.0, 0), 180 + 59) => set("silence_fixed_seconds", 3600.0), never();
    "VodQueueSilent" "no fixed limit", quiet(50_000.0, 0.0, 0) => never();
    "VodQueueSilent" "no event yet",
        healthy(67).without(LAST) => set("silence_fixed_seconds", 3600.0), not_before(60), fires(&[VOD]);
    "VodQueueSilent" "no event yet, watched for half an hour",
        healthy(90).without(LAST).with("vod_queue_watched_since_timestamp_seconds", &[(0, Is(3600.0))])
        => set("silence_fixed_seconds", 3600.0), never();
}

fn backlogs() -> Vec<Case> {
    let mut cases = Vec::new();
    for (alert, scene) in [
        ("VodBacklogStuck", waiting(960.0, 5)),
        ("VodBacklogDrainsSlowly", behind(945.0)),
        ("VodCallbacksExpiring", expiring(0.8)),
    ] {
        let at = scene.minutes;
        let emptied = scene
            .clone()
            .until(at + 10)
            .with("mns_queue_empty", &[(at + 2, Is(1.0))])
            .with(OLDEST, &[(at + 2, Gone)]);
        let new = |name: &str, scene: Scene| Case::new(alert, name, scene);
        cases.extend([
            new("one of two queues", scene.clone().beside("second")).fires(&[VOD]),
            new("empty is evidence", emptied).at(at, &[VOD]).fires(&[]),
            new("dead letters", scene.of_dead_letters()).never(),
        ]);
    }
    let hidden = [(60, Rises(60.0))];
    let new = |name: &str, scene: Scene| Case::new("VodBacklogDrainsSlowly", name, scene);
    cases.extend([
        new(
            "hidden messages count",
            emptying(7020.0).with(INACTIVE, &hidden),
        )
        .fires(&[VOD]),
        new("later than others", behind(945.0))
            .own("drain_age_seconds", 1800.0)
            .never(),
        new("two look at it", emptying(7020.0).peeked().twice()).never(),
        new("then no exporter", emptying(6900.0).vanished(MEMORY)).never(),
        new(
            "another queue empties",
            emptying(7380.0).beside("second").with(
                &format!("{ACTIVE} queue=second"),
                &[(0, Is(5000.0)), (0, Rises(-60.0))],
            ),
        )
        .fires(&[VOD]),
    ]);
    let unaware = format!("{PROGRESS} instance=b");
    let taken = waiting(3600.0, 5).with(PROGRESS, &CLOCK);
    let seen_by_one = taken.clone().twice().with(&unaware, &[(0, Is(0.0))]);
    let new = |name: &str, scene: Scene| Case::new("VodBacklogStuck", name, scene);
    cases.extend([
        new("somebody takes messages", taken).never(),
        new("a worker that comes once an hour", abandoned(3900.0))
            .own("no_progress_seconds", 5400.0)
            .never(),
        new(
            "another queue",
            abandoned(3900.0).relabelled("queue=\"vod\"", "queue=\"x\""),
        )
        .own("no_progress_seconds", 5400.0)
        .fires(&["queue=x"]),
        new("one of two replicas sees it", seen_by_one).never(),
    ]);
    cases
}

cases! {
    messages:
    "VodRedeliveryStorm" "one of two queues", redelivered(100.0, 100.0).beside("second") => fires(&[VOD]);
    "VodRedeliveryStorm" "over", redelivered(100.0, 100.0).until(110) => at(85, &[VOD]), fires(&[]);
    "VodRedeliveryStorm" "peeked by two", redelivered(20.0, 10.0).peeked().twice() => never();
    "VodRedeliveryStorm" "messages peeked by two", redelivered(40.0, 60.0).peeked().twice() => fires(&[VOD]);
    "VodRedeliveryStorm" "consumed by two", redelivered(16.0, 10.0).twice() => fires(&[VOD]);
    "VodRedeliveryStorm" "messages consumed by two", redelivered(40.0, 90.0).twice() => never();
    "VodPoisonMessage" "one of two queues", poison().beside("second") => fires(&[VOD]);
    "VodPoisonMessage" "dead letters", poison().until(90).of_dead_letters() => never();
    "VodPoisonMessage" "seen now and then",
        poison().until(75).with("mns_queue_dequeue_count_max", &[(61, Is(1.0)), (63, Is(20.0)), (64, Is(1.0))])
        => at(66, &[VOD]), fires(&[]);
    "VodDeliverySlow" "one of two queues", delivered(200.0, 100.0, 0.0).beside("second") => fires(&[VOD]);
    "VodDeliverySlow" "consumed by two", delivered(200.0, 12.0, 0.0).twice() => fires(&[VOD]);
    "VodDeliverySlow" "hardly one in ten", delivered(3000.0, 19.0, 181.0) => never();
    "VodDeliverySlow" "more than one in ten, just too late", delivered(65.0, 21.0, 179.0) => fires(&[VOD]);
    "VodDecodeFailures" "reasons add up", reasons().beside("second") => fires(&[VOD]);
    "VodDecodeFailures" "reasons add up, peeked", reasons().peeked() => fires(&[VOD]);
    "VodDecodeFailures" "peeked by two", undecodable(3.0, 20.0).peeked().twice() => never();
    "VodDecodeFailures" "consumed by two", undecodable(3.0, 20.0).twice() => fires(&[VOD]);
    "VodDecodeFailures" "over", undecodable(50.0, 100.0).until(110) => at(85, &[VOD]), fires(&[]);
}

cases! {
    exporter:
    "VodExporterDown" "gone", healthy(80).away(60, 90) => not_before(65), fires(&[""]);
    "VodExporterDown" "back again", healthy(95).away(60, 90) => at(85, &[""]), fires(&[]);
    "VodQueueUnwatched" "one of two queues",
        healthy(74).beside("second").unwatched(60) => not_before(67), fires(&[VOD]);
    "VodQueueUnwatched" "no exporter at all", healthy(150).away(60, 150) => never();
    "VodQueueUnreadable" "one of two queues", down().beside("second") => not_before(64), fires(&[VOD]);
    "VodQueueUnreadable" "now and then", unsteady() => never();
    "VodQueueUnreadable" "another replica reads it",
        healthy(90).twice()
            .turns("mns_queue_up instance=b", 0.0)
            .with(&format!("{TICK} instance=b"), &[(60, Rises(0.0))])
        => never();
    "VodQueueUnreadable" "then no exporter", down().vanished(MEMORY) => fires(&[VOD]);
    "VodQueueUnreadable" "read again",
        down().until(90).with("mns_queue_up", &[(80, Is(1.0))]) => at(75, &[VOD]), fires(&[]);
    "VodCredentialsExpiring" "of one replica",
        healthy(70).twice().with(&format!("{EXPIRY} instance=b"), &[(60, Is(3700.0))])
        => fires(&["account=main"]);
    "VodAlertDeliveryFailing" "failed counts", sent("failed") => fires(&["alertmanager=one"]);
    "VodAlertDeliveryFailing" "rejected counts", sent("rejected") => fires(&["alertmanager=one"]);
    "VodAlertDeliveryFailing" "taken again",
        sent("failed").until(90)
            .jumps("vod_callback_exporter_alerts_sent_total alertmanager=one result=ok", 80, 1.0)
        => at(75, &["alertmanager=one"]), fires(&[]);
}

fn service_level() -> Vec<Case> {
    let mut cases = Vec::new();
    for pair in PAIRS {
        let windows = format!("{}m/{}m", pair.long, pair.short);
        let new =
            |name: &str, scene: Scene| Case::new(pair.alert, format!("{windows}, {name}"), scene);
        cases.extend([
            new("only the long one burns", pair.burnt()).never(),
            new("only the short one burns", pair.flared()).never(),
            new("one of two queues", pair.burning(0.98).beside("second")).fires(&[VOD]),
        ]);
    }
    cases.extend([
        Case::new(
            FAST,
            "one bad video long after a bad hour",
            bad_hour(840, 1, 1.0 / 6.0),
        )
        .at(110, &[VOD])
        .at(800, &[])
        .at(846, &[])
        .fires(&[]),
        Case::new(
            SLOW,
            "one bad video long after a bad hour",
            bad_hour(DAY + 195, 15, 1.0 / 180.0),
        )
        .at(120, &[VOD])
        .at(DAY + 180, &[])
        .at(DAY + 225, &[])
        .fires(&[]),
    ]);
    for (alert, minutes) in [(FAST, 64), (SLOW, 77)] {
        let scene = |good, bad| Scene {
            minutes,
            ..played(good, bad)
        };
        let few = Case::new(alert, "bad ones that are too few", scene(21.0, 9.0));
        let two = Case::new(alert, "consumed by two", scene(6.0, 6.0).twice());
        cases.extend([few.set("playable_min_bad", 10.0).never(), two.fires(&[VOD])]);
    }
    cases
}

#[test]
fn every_part_of_a_rule_decides() {
    let mut cases = Vec::new();
    for part in [
        states,
        transcodes,
        faults,
        silence,
        backlogs,
        messages,
        exporter,
        service_level,
    ] {
        cases.extend(part());
    }
    let held: BTreeSet<&str> = cases.iter().map(|case| case.alert).collect();
    let all = rules::all().into_iter().filter(|rule| rule.is_alert);
    for rule in all {
        let is_special = special::ALERTS.contains(&rule.name.as_str());
        assert!(
            is_special || held.contains(rule.name.as_str()),
            "{} has no case",
            rule.name
        );
    }
    hold(cases);
}
