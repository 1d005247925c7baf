//! What cannot be seen neither begins an alert nor ends one.

use vod_callback_exporter::ledger::Mode;

use super::proof::{judge_silent, judge_steady};
use super::queue::Worker;
use super::referees::Referees;
use super::rules;
use super::series::Timeline;
use super::sim::MINUTE;
use super::special;
use super::table;
use super::world::{Fate, World};

/// Alerts that tell of lost sight.
const OF_SIGHT: &str = "VodDeadMan|VodQueueUnreadable|VodExporterDown|VodQueueUnwatched";
/// Minutes of blindness of a healthy queue.
const BLIND: u32 = 4 * 60 + 10;
/// Minutes for which a page must outlast it: longer than alerts that do not page remember.
const OUTLASTS: u32 = 9 * 60;

async fn live(world: &World, minutes: u32, fate: Fate) -> Timeline {
    let mut sim = world.live(minutes, fate).await;
    Timeline::new(std::mem::take(&mut sim.scrapes), world.mode)
}

/// No alert about a healthy queue begins once it is unreadable, its reading hangs, or its exporter is gone.
async fn healthy_stays_healthy(name: &str, world: World) {
    let Some(referees) = Referees::find() else {
        return;
    };
    let seen = 30;
    let from = world.calm + seen;
    let minutes = seen + BLIND;
    let end = world.calm + minutes - 1;
    let unreadable = Fate {
        unreadable: Some(from),
        ..Fate::default()
    };
    let frozen = World {
        minute: |sim, minute| sim.frozen = minute >= 30,
        ..world.clone()
    };
    let seen = live(&world, seen, Fate::default()).await;
    let other = live(&World::default(), minutes, Fate::default()).await;
    let vanished = seen.followed_by_nothing(BLIND);
    let timelines = [
        ("unreadable", live(&world, minutes, unreadable).await),
        ("frozen", live(&frozen, minutes, Fate::default()).await),
        ("vanished", vanished.clone()),
        ("vanished, another one left", vanished.beside(other)),
    ]
    .map(|(how, timeline)| (format!("{name}, {how}"), timeline, end));
    let rules = rules::all();
    // Whether a threshold is there does not depend on sight, and is dear to ask.
    let needed: Vec<&str> = rules
        .iter()
        .filter(|rule| rule.is_alert && !special::ALERTS.contains(&rule.name.as_str()))
        .map(|rule| rule.name.as_str())
        .collect();
    judge_silent(
        &referees,
        &needed,
        &format!("alertname!~\"{OF_SIGHT}\""),
        &timelines,
    );
}

#[tokio::test]
async fn consumed() {
    healthy_stays_healthy("consumed", World::default()).await;
}

#[tokio::test]
async fn peeked() {
    let world = World {
        mode: Mode::Peek,
        ..World::default()
    };
    healthy_stays_healthy("peeked", world).await;
}

/// Not much younger than what the alerts about a backlog ask for.
#[tokio::test]
async fn peeked_twelve_minutes_behind() {
    let world = World {
        mode: Mode::Peek,
        trouble: |sim| sim.worker = Worker::Behind(MINUTE * 12),
        ..World::default()
    };
    healthy_stays_healthy("peeked, behind", world).await;
}

/// A page goes on for hours with the queue unreadable, with its exporter gone, and with another exporter left, where the
/// queue that nobody watches pages, too.
async fn outlasts(alert: &str) {
    let Some(referees) = Referees::find() else {
        return;
    };
    let row = table::rows().into_iter().find(|row| row.alert == alert);
    let row = row.unwrap();
    let rules = rules::all();
    let rule = rules.iter().find(|rule| rule.name == alert).unwrap();
    let promise = super::proof::promise(&row, rule);
    let world = &row.fires;
    let (by, from) = (world.calm + promise, world.calm + promise + 5);
    let end = from + OUTLASTS;
    let unreadable = Fate {
        unreadable: Some(from),
        ..Fate::default()
    };
    let vanished = live(world, promise + 5, Fate::default())
        .await
        .followed_by_nothing(OUTLASTS);
    let unreadable = live(world, promise + 5 + OUTLASTS, unreadable).await;
    let healthy = World {
        calm: world.calm,
        ..World::default()
    };
    let other = live(&healthy, promise + 5 + OUTLASTS, Fate::default()).await;
    let page = format!("alertname=\"{alert}\",queue=\"vod\"");
    let unwatched = "alertname=\"VodQueueUnwatched\",severity=\"critical\",queue=\"vod\"";
    let down = "alertname=\"VodExporterDown\"";
    let unread = "alertname=\"VodQueueUnreadable\",queue=\"vod\"";
    // Minutes until the alert about sight is there.
    let told = from + 15;
    let needed = [
        alert,
        "VodQueueUnreadable",
        "VodQueueUnwatched",
        "VodExporterDown",
    ];
    let timelines = vec![
        ("unreadable", unreadable, [(&*page, by), (unread, told)]),
        ("vanished", vanished.clone(), [(&page, by), (down, told)]),
        (
            "another one left",
            vanished.beside(other),
            [(&page, by), (unwatched, told)],
        ),
    ];
    judge_steady(&referees, &needed, end, timelines);
}

#[tokio::test]
async fn stalled_transcodes_are_remembered() {
    outlasts("VodTranscodesStalled").await;
}

#[tokio::test]
async fn a_stuck_backlog_is_remembered() {
    outlasts("VodBacklogStuck").await;
}
