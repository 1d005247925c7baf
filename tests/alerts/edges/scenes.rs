//! What goes wrong in a scene.

use super::DAY;
use super::scene::Part::{Gone, Is, Jumps, Rises};
use super::scene::{CLOCK, Scene, bounds, healthy};

/// A type of event, of which the base knows three.
pub(super) const EVENT: &str = "event_type=TranscodeComplete";

pub(super) const VOD: &str = "queue=vod";

/// So many events of a type, of which some fail, within minute 60.
pub(super) fn failing(fault: &str, fails: f64, events: f64) -> Scene {
    healthy(67)
        .jumps(
            &format!("vod_events_total {EVENT} status=success"),
            60,
            events - fails,
        )
        .jumps(&format!("vod_events_total {EVENT} status=fail"), 60, fails)
        .jumps(
            &format!("vod_event_faults_total {EVENT} fault={fault}"),
            60,
            fails,
        )
}

/// A video every two minutes, of which some fail, until so many ended; no half-hour holds the traffic.
pub(super) fn failing_slowly(fault: &str, share: f64, events: f64) -> Scene {
    let until = 60 + whole_minutes(events * 120.0);
    let each = |rate: f64| [(60, Rises(rate)), (until, Rises(0.0))];
    healthy(until + 8)
        .with(
            &format!("vod_events_total {EVENT} status=success"),
            &each((1.0 - share) / 2.0),
        )
        .with(
            &format!("vod_events_total {EVENT} status=fail"),
            &each(share / 2.0),
        )
        .with(
            &format!("vod_event_faults_total {EVENT} fault={fault}"),
            &each(share / 2.0),
        )
}

/// So many videos, so many outputs of them and how many of these fail.
pub(super) fn outputs(videos: f64, outputs: f64, fails: f64) -> Scene {
    let of = "event_type=StreamTranscodeComplete";
    failing("service", 0.0, videos)
        .jumps(
            &format!("vod_events_total {of} status=success"),
            60,
            outputs - fails,
        )
        .jumps(&format!("vod_events_total {of} status=fail"), 60, fails)
        .jumps(
            &format!("vod_event_faults_total {of} fault=service"),
            60,
            fails,
        )
}

pub(super) fn deleting(fails: f64, events: f64) -> Scene {
    let of = "event_type=DeleteMediaComplete";
    healthy(90)
        .jumps(
            &format!("vod_events_total {of} status=success"),
            60,
            events - fails,
        )
        .jumps(&format!("vod_events_total {of} status=fail"), 60, fails)
        .jumps(
            &format!("vod_event_faults_total {of} fault=config"),
            60,
            fails,
        )
}

pub(super) fn closed(verdict: &str, count: f64) -> Scene {
    let series = format!("vod_transcodes_closed_total verdict={verdict}");
    healthy(62).jumps(&series, 60, count)
}

/// The last event `seconds` before an alert can be pending, 5 minutes before the end, and so many events in one minute of
/// each of the two hours that are `offset` minutes earlier.
pub(super) fn quiet(seconds: f64, events: f64, offset: u32) -> Scene {
    quiet_after(seconds, [events; 2], offset)
}

/// So many events in the earlier and in the later one of those hours.
pub(super) fn quiet_after(seconds: f64, [earlier, later]: [f64; 2], offset: u32) -> Scene {
    let last = offset + 180;
    let end = last + whole_minutes(seconds) + 5;
    let events = format!("vod_events_total {EVENT} status=success");
    healthy(end)
        .scraped_every(if offset > 0 { 5 } else { 1 })
        .jumps(&events, end - offset - 90, earlier)
        .jumps(&events, end - offset - 30, later)
        .with("vod_event_last_timestamp_seconds", &[(last, Rises(0.0))])
}

pub(super) fn whole_minutes(seconds: f64) -> u32 {
    std::iter::successors(Some(seconds), |left| Some(left - 60.0))
        .take_while(|left| *left > 0.0)
        .zip(1..)
        .last()
        .map_or(0, |(_, minutes)| minutes)
}

/// A message that comes in minute 60 and is there for so long, `wait` minutes before the end.
pub(super) fn waiting(seconds: f64, wait: u32) -> Scene {
    healthy(60 + whole_minutes(seconds) + wait)
        .turns("mns_queue_empty", 0.0)
        .with(OLDEST, &[(0, Gone), (60, Is(3600.0))])
        .with(PROGRESS, &[(0, Is(0.0))])
}

/// A message that waits for an hour before nobody takes any for so long, 5 minutes before the end.
pub(super) fn abandoned(seconds: f64) -> Scene {
    waiting(3600.0, whole_minutes(seconds) + 5)
        .with(PROGRESS, &CLOCK)
        .with(PROGRESS, &[(120, Rises(0.0))])
}

/// The oldest message is always as old.
pub(super) fn behind(seconds: f64) -> Scene {
    healthy(100).turns("mns_queue_empty", 0.0).with(
        OLDEST,
        &[(0, Gone), (60, Is(3600.0 - seconds)), (60, Rises(60.0))],
    )
}

/// The backlog lasts that long at the end, when it has been one for 16 minutes and is taken at 1.5 times the pace.
pub(super) fn draining(seconds: f64) -> Scene {
    let age = (seconds / 2.0) + 17.0 * 30.0;
    healthy(77).turns("mns_queue_empty", 0.0).with(
        OLDEST,
        &[(0, Gone), (60, Is(3600.0 - age)), (60, Rises(90.0))],
    )
}

/// A burst of 16 minutes ago, whose messages last that long at the end.
pub(super) fn emptying(seconds: f64) -> Scene {
    healthy(77)
        .turns("mns_queue_empty", 0.0)
        .with(OLDEST, &[(0, Gone), (60, Is(3600.0 - 960.0))])
        .with(
            ACTIVE,
            &[(60, Is(seconds + 17.0 * 60.0)), (60, Rises(-60.0))],
        )
        .with(INACTIVE, &[(60, Is(0.0))])
}

pub(super) fn expiring(share: f64) -> Scene {
    waiting(share * RETENTION, 2).with("mns_queue_retention_seconds", &[(0, Is(RETENTION))])
}

/// So many messages and, of those, redeliveries within minute 60.
pub(super) fn redelivered(redeliveries: f64, seen: f64) -> Scene {
    healthy(67)
        .jumps("mns_message_redeliveries_total", 60, redeliveries)
        .jumps("mns_messages_seen_total", 60, seen)
}

pub(super) fn undecodable(failures: f64, seen: f64) -> Scene {
    healthy(67)
        .jumps(
            "vod_event_decode_failures_total reason=not_json",
            60,
            failures,
        )
        .jumps("mns_messages_seen_total", 60, seen)
}

/// A message in ten minutes that is no event, and as many that are one, until so many failed.
pub(super) fn undecodable_slowly(failures: f64) -> Scene {
    let until = 60 + whole_minutes(failures * 600.0);
    let failed = [(60, Rises(0.1)), (until, Rises(0.0))];
    healthy(until + 8)
        .with("vod_event_decode_failures_total reason=not_json", &failed)
        .with(
            "mns_messages_seen_total",
            &[(60, Rises(0.2)), (until, Rises(0.0))],
        )
}

/// So many events that came so late, and others that came at once, all within one minute to five.
pub(super) fn delivered(seconds: f64, late: f64, at_once: f64) -> Scene {
    let events = late + at_once;
    let mut scene = healthy(67).jumps("vod_event_delivery_seconds_count", 60, events);
    for bound in bounds() {
        let limit: f64 = bound.parse().unwrap();
        let within = if limit < seconds { at_once } else { events };
        let series = format!("vod_event_delivery_seconds_bucket le={bound}");
        scene = scene.jumps(&series, 60, within);
    }
    scene
}

/// Videos within minute 60, four minutes before the end.
pub(super) fn played(good: f64, bad: f64) -> Scene {
    healthy(64)
        .jumps("vod_playable_objective_total result=good", 60, good)
        .jumps("vod_playable_objective_total result=bad", 60, bad)
}

/// So many alerts about single videos, of which an Alertmanager takes a part.
pub(super) fn refused(share: f64) -> Scene {
    let sent = "vod_callback_exporter_alerts_sent_total alertmanager=one";
    healthy(67)
        .jumps(&format!("{sent} result=ok"), 60, 100.0 * (1.0 - share))
        .jumps(&format!("{sent} result=rejected"), 60, 50.0 * share)
        .jumps(&format!("{sent} result=failed"), 60, 50.0 * share)
}

pub(super) const SERVICE: &str = "queue=vod event_type=TranscodeComplete fault=service";

pub(super) const CONFIG: &str = "queue=vod event_type=TranscodeComplete fault=config";

pub(super) const OTHER: &str = "queue=vod event_type=TranscodeComplete fault=other";

pub(super) const OLDEST: &str = "mns_queue_oldest_message_timestamp_seconds";

pub(super) const ACTIVE: &str = "mns_queue_messages state=active";

pub(super) const INACTIVE: &str = "mns_queue_messages state=inactive";

pub(super) const PROGRESS: &str = "mns_queue_progress_timestamp_seconds";

pub(super) const TICK: &str = "vod_callback_exporter_last_tick_timestamp_seconds";

pub(super) const LAST: &str = "vod_event_last_timestamp_seconds";

pub(super) const EXPIRY: &str =
    "vod_callback_exporter_credentials_expiry_timestamp_seconds account=main";

pub(super) const ASKED: &str = "vod_api_requests_total operation=GetVideoInfos";

const RETENTION: f64 = 10_800.0;

pub(super) fn stalled() -> Scene {
    healthy(64).turns("vod_transcodes_stalled stage=submit", 1.0)
}

pub(super) fn blind() -> Scene {
    healthy(90).peeked().without("vod_transcodes_in_flight")
}

/// VOD answers one account no more.
pub(super) fn unanswered(account: &str) -> Scene {
    let calls = format!("{ASKED} account={account} code");
    healthy(110)
        .with(&format!("{calls}=ok"), &[(60, Rises(0.0))])
        .with(&format!("{calls}=access_denied"), &[(60, Rises(1.0))])
}

/// From that minute on so many events of a type within each half-hour, of which some fail.
pub(super) fn goes_on(scene: Scene, fault: &str, from: u32, fails: f64, events: f64) -> Scene {
    let of = |count: f64| [(from, Rises(count / 30.0))];
    scene
        .with(
            &format!("vod_events_total {EVENT} status=success"),
            &of(events - fails),
        )
        .with(&format!("vod_events_total {EVENT} status=fail"), &of(fails))
        .with(
            &format!("vod_event_faults_total {EVENT} fault={fault}"),
            &of(fails),
        )
}

/// Two hours without an event, judged by the day before.
pub(super) fn silent() -> Scene {
    quiet(7560.0, 30.0, DAY)
}

pub(super) fn unseen(scene: Scene) -> Scene {
    scene.with("vod_transcode_view_complete", &[(0, Is(0.0))])
}

/// The exporter looks no more from a minute on, though no read fails.
pub(super) fn unlooked(scene: Scene, at: u32) -> Scene {
    let end = scene.minutes + 20;
    scene.until(end).with(TICK, &[(at, Rises(0.0))])
}

/// An event, a quarter of an hour before the end.
pub(super) fn heard(scene: Scene) -> Scene {
    let at = scene.minutes + 5;
    let parts = [(at, Is(f64::from(at * 60)))];
    scene.until(at + 15).with(LAST, &parts)
}

/// The process starts anew without its state, an hour before the end.
pub(super) fn forgotten(scene: Scene) -> Scene {
    let at = scene.minutes - 60;
    let since = "vod_queue_watched_since_timestamp_seconds";
    scene
        .with(LAST, &[(at, Gone)])
        .with(since, &[(at, Is(f64::from(at * 60)))])
}

pub(super) fn poison() -> Scene {
    healthy(67).turns("mns_queue_dequeue_count_max", 20.0)
}

/// Three messages that are no events, for each of two reasons.
pub(super) fn reasons() -> Scene {
    let more = "vod_event_decode_failures_total reason=bad_base64";
    undecodable(3.0, 20.0).jumps(more, 60, 3.0)
}

/// Three minutes of four it cannot be read.
pub(super) fn unsteady() -> Scene {
    let parts = |from: u32| [(from, Is(0.0)), (from + 3, Is(1.0))];
    let parts: Vec<_> = (60..140).step_by(4).flat_map(parts).collect();
    healthy(140).with("mns_queue_up", &parts)
}

pub(super) fn down() -> Scene {
    healthy(70).turns("mns_queue_up", 0.0)
}

/// One alert about a video that is not taken.
pub(super) fn sent(result: &str) -> Scene {
    let sent = "vod_callback_exporter_alerts_sent_total alertmanager=one";
    healthy(67).jumps(&format!("{sent} result={result}"), 60, 1.0)
}

/// Half of 30 videos within an hour are bad; then so many a minute are good, and a single one at that minute is bad.
pub(super) fn bad_hour(single: u32, every: u32, after: f64) -> Scene {
    healthy(single + 60)
        .scraped_every(every)
        .with(
            "vod_playable_objective_total result=good",
            &[(60, Rises(0.25)), (120, Rises(after))],
        )
        .with(
            "vod_playable_objective_total result=bad",
            &[(60, Rises(0.25)), (120, Rises(0.0)), (single, Jumps(1.0))],
        )
}
