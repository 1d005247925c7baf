//! For how long each alert outlasts blindness, and what is still known once there is sight again.

use super::case::{Case, hold};
use super::scene::Part::{Gone, Is, Rises};
use super::scene::{CLOCK, Scene, healthy};
use super::scenes::{LAST, OLDEST, PROGRESS, VOD, expiring, silent};
use super::sentences::sayings;
use super::{DAY, MEMORY};
use crate::rules;

/// Minutes of blindness that a page and another alert outlast: less than they remember, and longer than a page would if
/// it remembered no longer than others.
const OF_PAGES: u32 = 8 * 60;
const OF_OTHERS: u32 = 5 * 60;

/// Alerts that outlast less, and why.
const LESS: [(&str, u32, &str); 1] = [(
    "VodAlertDeliveryFailing",
    MEMORY,
    "where nothing is sent any more, nothing is refused",
)];

/// Alerts for which sight is nothing, and why.
const NOTHING_SEEN: [(&str, &str); 3] = [
    ("VodExporterDown", "it tells that nothing can be seen"),
    ("VodDeadMan", "it always fires"),
    ("VodThresholdMissing", "thresholds are no metrics"),
];

/// Ways to lose sight: the exporter is gone, MNS does not answer, and another exporter is left that does not know the queue,
/// which for alerts that do not page is like the first.
fn blinded(case: &Case, labels: &str, minutes: u32, is_page: bool) -> Vec<(&'static str, Scene)> {
    let scene = || case.scene.clone();
    let mut ways = vec![("no exporter", scene().vanished(minutes))];
    let is_watched = labels.contains(VOD) && case.alert != "VodQueueUnwatched";
    if is_watched {
        ways.push(("unreadable", scene().unreadable(minutes)));
    }
    if is_watched && is_page {
        let end = case.scene.minutes;
        let left = scene().beside("second").unwatched(end + 1);
        ways.push(("another exporter", left.until(end + minutes)));
    }
    ways
}

#[test]
fn every_alert_outlasts_blindness() {
    let rules = rules::all();
    let mut cases = Vec::new();
    for case in sayings() {
        if NOTHING_SEEN.iter().any(|(alert, _)| *alert == case.alert) {
            continue;
        }
        let rule = rules.iter().find(|rule| rule.name == case.alert).unwrap();
        let is_page = rule.severity == "critical";
        let usual = if is_page { OF_PAGES } else { OF_OTHERS };
        let less = LESS.iter().find(|(alert, ..)| *alert == case.alert);
        let minutes = less.map_or(usual, |(_, minutes, _)| *minutes);
        let labels = case.said();
        for (how, scene) in blinded(&case, labels, minutes, is_page) {
            let from = case.scene.minutes;
            let blind = Case::new(case.alert, format!("{how} for {minutes} minutes"), scene);
            let thresholds = case.thresholds.iter();
            let blind = thresholds.fold(blind, |blind, (name, value)| blind.set(name, *value));
            let hours = (from..from + minutes).step_by(60);
            let blind = hours.fold(blind, |blind, minute| blind.at(minute, &[labels]));
            cases.push(blind.fires(&[labels]));
        }
    }
    hold(cases);
}

/// Then sees again for so long.
fn then_sees(scene: Scene, minutes: u32) -> Scene {
    let until = scene.minutes + minutes;
    scene.until(until)
}

/// Nobody takes messages any more 10 minutes before the blindness, and what is there then does not know when one was taken.
fn taken_before_blindness() -> Scene {
    let blind = healthy(130)
        .turns("mns_queue_empty", 0.0)
        .with(OLDEST, &[(0, Gone), (60, Is(3600.0))])
        .with(PROGRESS, &CLOCK)
        .with(PROGRESS, &[(120, Rises(0.0)), (131, Gone)]);
    then_sees(blind.vanished(OF_PAGES), 15)
}

/// MNS deletes the last messages unseen, and its attributes cannot be read since.
fn deleted_in_blindness() -> Scene {
    let expired = expiring(1.1).vanished(OF_PAGES);
    let back = expired.minutes + 1;
    then_sees(expired, 15)
        .with("mns_queue_empty", &[(back, Is(1.0))])
        .with(OLDEST, &[(back, Gone)])
        .with("mns_queue_retention_seconds", &[(back, Gone)])
}

/// The last event is forgotten an hour after it.
fn forgotten_before_silence() -> Scene {
    healthy(60 + 600 + 15)
        .with(LAST, &[(60, Rises(0.0)), (120, Gone)])
        .with(
            "vod_queue_watched_since_timestamp_seconds",
            &[(120, Is(7200.0))],
        )
}

#[test]
fn what_was_known_before_blindness_counts_after_it() {
    // Longer after the first judgement than an alert remembers it, and nothing a day ago to judge by.
    let silent = then_sees(silent().vanished(OF_PAGES), 3 * DAY - 4 * 60);
    let unwatched = healthy(60)
        .beside("second")
        .unwatched(61)
        .vanished(OF_PAGES);
    let of = |alert, name: &str, scene| Case::new(alert, name, scene).fires(&[VOD]);
    hold(vec![
        of("VodQueueSilent", "silent before and after", silent),
        of(
            "VodQueueSilent",
            "an event that was forgotten 10 hours ago",
            forgotten_before_silence(),
        )
        .set("silence_fixed_seconds", 36_000.0),
        of(
            "VodBacklogStuck",
            "taken before blindness",
            taken_before_blindness(),
        ),
        of(
            "VodBacklogStuck",
            "deleted in blindness",
            deleted_in_blindness(),
        ),
        of(
            "VodCallbacksExpiring",
            "deleted in blindness",
            deleted_in_blindness(),
        ),
        of(
            "VodQueueUnwatched",
            "unwatched by what comes back",
            then_sees(unwatched, 15),
        ),
    ]);
}
