//! Both sides of every threshold.

use std::collections::BTreeSet;

use super::case::{Case, hold, judge};
use super::scene::Part::{Is, Jumps, Rises};
use super::scene::{Scene, healthy, named};
use super::scenes::{
    ASKED, CONFIG, EXPIRY, OLDEST, OTHER, SERVICE, TICK, VOD, abandoned, behind, closed, delivered,
    draining, emptying, expiring, failing, failing_slowly, played, quiet, redelivered, refused,
    undecodable, undecodable_slowly, waiting, whole_minutes,
};
use super::{DAY, LONG, MEMORY, WEEK};
use crate::referees::Referees;
use crate::rules;

/// Scenes on both sides of a threshold.
struct Edge {
    threshold: &'static str,
    /// As in the file.
    is: f64,
    /// What it is set to here instead, where it is off.
    set: Option<f64>,
    alert: &'static str,
    labels: &'static str,
    silent: f64,
    fires: f64,
    scene: Box<dyn Fn(f64) -> Scene>,
    /// Lower and higher thresholds that must not go unnoticed.
    wrong: [f64; 2],
    /// Whether it is judged by counters, which tell nothing while the queue is not up.
    counts: bool,
    /// For how long it is remembered.
    memory: u32,
}

/// Windows of a burn-rate alert, in minutes, and how many times the budget.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) alert: &'static str,
    threshold: &'static str,
    pub(super) long: u32,
    pub(super) short: u32,
    burn: f64,
    every: u32,
    /// Minutes of thrice the traffic before, so that no longer window burns.
    history: u32,
}

pub(super) const FAST: &str = "VodPlayableBudgetBurnsFast";

pub(super) const SLOW: &str = "VodPlayableBudgetBurnsSlowly";

pub(super) const PAIRS: [Pair; 4] = [
    pair(FAST, "playable_burn_1h", [60, 5], 14.4, 1, 300),
    pair(FAST, "playable_burn_6h", [360, 30], 6.0, 5, 30),
    pair(SLOW, "playable_burn_1d", [DAY, 120], 3.0, 15, 2 * DAY),
    pair(SLOW, "playable_burn_3d", [3 * DAY, 360], 1.0, 15, 30),
];

pub(super) const fn pair(
    alert: &'static str,
    threshold: &'static str,
    [long, short]: [u32; 2],
    burn: f64,
    every: u32,
    history: u32,
) -> Pair {
    Pair {
        alert,
        threshold,
        long,
        short,
        burn,
        every,
        history,
    }
}

fn edge(
    (threshold, is): (&'static str, f64),
    (alert, labels): (&'static str, &'static str),
    [silent, fires]: [f64; 2],
    scene: impl Fn(f64) -> Scene + 'static,
) -> Edge {
    Edge {
        threshold,
        is,
        set: None,
        alert,
        labels,
        silent,
        fires,
        scene: Box::new(scene),
        wrong: wrong(is),
        counts: false,
        memory: MEMORY,
    }
}

/// A fifth less and a quarter more; at least 1 where it is a small count.
pub(super) fn wrong(is: f64) -> [f64; 2] {
    if is == 0.0 {
        [-1.0, 1.0]
    } else if (1.0..=10.0).contains(&is) {
        [(is * 0.8).floor(), (is * 1.25).ceil()]
    } else {
        [is * 0.8, is * 1.25]
    }
}

// === impl Edge ===

impl Edge {
    fn counted(self) -> Self {
        Self {
            counts: true,
            ..self
        }
    }

    fn remembered(self, memory: u32) -> Self {
        Self { memory, ..self }
    }

    /// Undone by these thresholds and none between.
    fn unlike(self, wrong: [f64; 2]) -> Self {
        Self { wrong, ..self }
    }

    /// With that threshold rather than the one in the file, with which it is off.
    pub(super) fn set(self, value: f64) -> Self {
        Self {
            set: Some(value),
            wrong: wrong(value),
            ..self
        }
    }

    pub(super) fn case(&self, how: &str, scene: Scene) -> Case {
        let name = format!("{}, {how}", self.threshold);
        let mut case = Case::new(self.alert, name, scene);
        case.thresholds
            .extend(self.set.map(|value| (self.threshold, value)));
        case
    }

    /// What the threshold decides.
    fn sides(&self) -> [Case; 2] {
        let silent = format!("silent at {}", self.silent);
        let fires = format!("fires at {}", self.fires);
        [
            self.case(&silent, (self.scene)(self.silent)).never(),
            self.case(&fires, (self.scene)(self.fires))
                .fires(&[self.labels]),
        ]
    }

    /// The side that is decided otherwise by a wrong threshold.
    fn undone_by(&self, wrong: f64) -> Case {
        let is_lower = wrong < self.set.unwrap_or(self.is);
        let [silent, fires] = self.sides();
        let mut case = if is_lower == (self.silent < self.fires) {
            silent
        } else {
            fires
        };
        case.thresholds.retain(|(name, _)| *name != self.threshold);
        case.thresholds.push((self.threshold, wrong));
        case
    }

    /// What it stays or becomes where nothing can be seen.
    pub(super) fn unseen(&self) -> Vec<Case> {
        let scene = || (self.scene)(self.fires);
        let mut cases = Vec::new();
        if self.memory > 0 {
            let case = self.case("then no exporter", scene().vanished(self.memory));
            cases.push(case.fires(&[self.labels]));
        }
        if self.counts {
            let case = self.case("then unreadable", scene().unreadable(LONG));
            cases.push(case.fires(&[self.labels]));
            let down = scene().with("mns_queue_up", &[(0, Is(0.0))]);
            cases.push(self.case("unreadable before", down).never());
        }
        cases
    }
}

// === impl Pair ===

impl Pair {
    /// Thrice the traffic, then `after` minutes more than the long window of the usual one.
    fn traffic(self, after: u32) -> Scene {
        let good = "vod_playable_objective_total result=good";
        healthy(self.history + self.long + after)
            .scraped_every(self.every)
            .with(good, &[(0, Rises(6.0)), (self.history, Rises(2.0))])
    }

    /// Since as long as the long window, so many videos are bad that a service level of `objective` would just be burnt.
    pub(super) fn burning(self, objective: f64) -> Scene {
        self.bad(self.burn * (1.0 - objective))
    }

    /// Since as long as the long window, such a share of the videos is bad.
    pub(super) fn bad(self, share: f64) -> Scene {
        let from = self.history;
        self.traffic(30)
            .with(
                "vod_playable_objective_total result=good",
                &[(from, Rises(2.0 * (1.0 - share)))],
            )
            .with(
                "vod_playable_objective_total result=bad",
                &[(from, Rises(2.0 * share))],
            )
    }

    /// All bad ones came while no scrape succeeded, for longer than the short window.
    pub(super) fn burnt(self) -> Scene {
        let from = self.history + self.long;
        let until = from + self.short + 5 + self.short / 4 / 5 * 5;
        let bad = 1.5 * self.burn / 100.0 * 2.0 * f64::from(self.long) / f64::from(until - from);
        let mut scene = self.traffic(until - from + 30).with(
            "vod_playable_objective_total result=bad",
            &[(from, Rises(bad)), (until, Rises(0.0))],
        );
        scene.away = Some([from + 1, until]);
        scene
    }

    /// Three times too many, for as long as the short window.
    pub(super) fn flared(self) -> Scene {
        let from = self.history + self.long;
        let until = from + self.short + 5;
        let bad = 3.0 * self.burn / 100.0 * 2.0;
        self.traffic(self.short + 30).with(
            "vod_playable_objective_total result=bad",
            &[(from, Rises(bad)), (until, Rises(0.0))],
        )
    }
}

macro_rules! edges {
    ($($threshold:literal $is:expr, $alert:expr, $labels:expr, $silent:literal => $fires:literal, $scene:expr
        $(=> $($step:ident $args:tt),+)?;)+) => {
        /// Every threshold, more than once where several forms of a rule compare with it.
        fn edges() -> Vec<Edge> {
            let mut edges = vec![
                $(edge(($threshold, $is), ($alert, $labels), [$silent, $fires], $scene)$($(.$step $args)+)?),+
            ];
            edges.extend(PAIRS.map(|pair| {
                let numbers = [0.9908, 0.9892];
                let scene = move |objective| pair.burning(objective);
                let burns = edge(("playable_slo", 0.99), (pair.alert, VOD), numbers, scene).counted();
                Edge { wrong: [0.988, 0.992], ..burns }
            }));
            edges.extend(PAIRS.map(|pair| {
                let numbers = [0.92 * pair.burn, 1.08 * pair.burn];
                let scene = move |burn| pair.bad(burn / 100.0);
                edge((pair.threshold, pair.burn), (pair.alert, VOD), numbers, scene).counted()
            }));
            edges
        }
    };
}

edges! {
    "transcodes_stalled" 0.0, "VodTranscodesStalled", VOD, 0.0 => 1.0,
        |n| healthy(64).turns("vod_transcodes_stalled stage=submit", n);
    "callbacks_lost_per_hour" 0.0, "VodCallbacksLost", VOD, 0.0 => 1.0,
        |n| healthy(62).jumps("vod_callbacks_lost_total", 60, n) => counted();
    "transcodes_abandoned_per_hour" 0.0, "VodTranscodesAbandoned", VOD, 0.0 => 1.0,
        |n| closed("abandoned", n) => counted();

    "service_fault_ratio" 0.1, "VodServiceFaults", SERVICE, 0.095 => 0.105,
        |n| failing("service", 200.0 * n, 200.0) => counted();
    "config_fault_ratio" 0.1, "VodConfigFaults", CONFIG, 0.095 => 0.105,
        |n| failing("config", 200.0 * n, 200.0) => counted();
    "other_fault_ratio" 0.25, "VodOtherFaults", OTHER, 0.24 => 0.26,
        |n| failing("other", 200.0 * n, 200.0) => counted();
    "fault_min_events" 20.0, "VodServiceFaults", SERVICE, 19.0 => 20.0,
        |n| failing("service", n / 2.0, n) => counted();
    "fault_min_events" 20.0, "VodServiceFaults", SERVICE, 19.0 => 20.0,
        |n| failing("service", n / 2.0, n).peeked() => counted();
    "fault_min_events" 20.0, "VodServiceFaults", SERVICE, 19.0 => 20.5,
        |n| failing_slowly("service", 1.0, n) => counted();
    "fault_min_failed" 10.0, "VodServiceFaults", SERVICE, 9.0 => 10.5,
        |n| failing_slowly("service", n / 60.0, 60.0) => counted();
    "service_fault_ratio" 0.1, "VodServiceFaults", SERVICE, 0.095 => 0.105,
        |n| failing_slowly("service", n, 120.0) => counted();
    "config_fault_ratio" 0.1, "VodConfigFaults", CONFIG, 0.095 => 0.105,
        |n| failing_slowly("config", n, 120.0) => counted();
    "other_fault_ratio" 0.25, "VodOtherFaults", OTHER, 0.24 => 0.26,
        |n| failing_slowly("other", n, 60.0) => counted();

    "silence_seconds" 7200.0, "VodQueueSilent", VOD, 6840.0 => 7560.0, |n| quiet(n, 30.0, DAY);
    "silence_min_events" 10.0, "VodQueueSilent", VOD, 9.0 => 10.0, |n| quiet(7560.0, n, DAY);
    "silence_min_events" 10.0, "VodQueueSilent", VOD, 9.0 => 10.0, |n| quiet(7560.0, n, WEEK);
    "silence_fixed_seconds" f64::INFINITY, "VodQueueSilent", VOD, 3420.0 => 3780.0,
        |n| quiet(n, 0.0, 0) => set(3600.0);

    "backlog_age_seconds" 900.0, "VodBacklogStuck", VOD, 840.0 => 960.0, |n| waiting(n, 5);
    "no_progress_seconds" 900.0, "VodBacklogStuck", VOD, 840.0 => 960.0, abandoned;
    "drain_age_seconds" 900.0, "VodBacklogDrainsSlowly", VOD, 855.0 => 945.0, behind;
    "drain_seconds" 7200.0, "VodBacklogDrainsSlowly", VOD, 7020.0 => 7380.0, draining;
    "drain_seconds" 7200.0, "VodBacklogDrainsSlowly", VOD, 7020.0 => 7380.0, emptying;
    "burst_pace" 0.75, "VodBacklogDrainsSlowly", VOD, 0.7 => 0.8,
        |pace| emptying(3600.0).with(OLDEST, &[(60, Rises(60.0 * pace))]);
    "retention_ratio" 0.75, "VodCallbacksExpiring", VOD, 0.7 => 0.8, expiring;

    "redelivery_ratio" 0.5, "VodRedeliveryStorm", VOD, 0.47 => 0.53,
        |n| redelivered(200.0 * n, 200.0) => counted();
    // One less is 30 as newer versions extrapolate it.
    "redelivery_min" 30.0, "VodRedeliveryStorm", VOD, 28.0 => 30.0, |n| redelivered(n, 10.0) => counted();
    "poison_dequeue_count" 10.0, "VodPoisonMessage", VOD, 9.0 => 10.0,
        |n| healthy(67).turns("mns_queue_dequeue_count_max", n);
    // The bounds beside it: no other number can be judged.
    "delivery_seconds" 60.0, "VodDeliverySlow", VOD, 55.0 => 65.0,
        |n| delivered(n, 100.0, 0.0) => counted(), unlike([30.0, 300.0]);
    "delivery_min_events" 20.0, "VodDeliverySlow", VOD, 19.0 => 20.0, |n| delivered(200.0, n, 0.0) => counted();
    "decode_failure_ratio" 0.02, "VodDecodeFailures", VOD, 0.019 => 0.021,
        |n| undecodable(1000.0 * n, 1000.0) => counted();
    "decode_failure_min" 5.0, "VodDecodeFailures", VOD, 4.0 => 5.0, |n| undecodable(n, 20.0) => counted();
    "decode_failure_min" 5.0, "VodDecodeFailures", VOD, 4.0 => 5.0, undecodable_slowly => counted();

    "playable_min_events" 20.0, FAST, VOD, 19.0 => 20.0, |n| played(n / 2.0, n / 2.0) => counted();
    "playable_min_events" 20.0, SLOW, VOD, 19.0 => 20.0, |n| played(n / 2.0, n / 2.0).until(77) => counted();
    "playable_min_bad" 3.0, FAST, VOD, 2.0 => 3.0, |n| played(20.0 - n, n) => counted();
    "playable_min_bad" 3.0, SLOW, VOD, 2.0 => 3.0, |n| played(20.0 - n, n).until(77) => counted();

    "unread_seconds" 600.0, "VodQueueUnreadable", VOD, 600.0 => 660.0,
        |n| healthy(62 + whole_minutes(n)).with(TICK, &[(60, Rises(0.0))]) => remembered(0);
    "credentials_seconds" 270.0, "VodCredentialsExpiring", "account=main", 285.0 => 255.0,
        |n| healthy(67).with(EXPIRY, &[(60, Is(3600.0 + n)), (60, Rises(60.0))]) => remembered(20);
    "api_min_calls" 3.0, "VodStallDetectionBlind", "job=exporter account=second operation=GetVideoInfos", 2.0 => 3.0,
        |n| healthy(80)
            .with(&format!("{ASKED} account=second code=ok"), &[(20, Rises(0.0))])
            .with(&format!("{ASKED} account=second code=access_denied"), &[(60, Jumps(n))]);
    "alert_failure_ratio" 0.5, "VodAlertDeliveryFailing", "alertmanager=one", 0.47 => 0.53, refused;
}

#[test]
fn every_threshold_decides_at_its_number() {
    let edges = edges();
    let known = rules::all().into_iter().filter_map(|rule| {
        let name = rule.name.strip_prefix("vod:threshold:")?.to_owned();
        let number = rule.expr.strip_prefix("vector(")?.strip_suffix(')')?;
        Some((name, number.parse::<f64>().unwrap().to_string()))
    });
    let held = edges
        .iter()
        .map(|edge| (edge.threshold.to_owned(), edge.is.to_string()));
    assert_eq!(
        known.collect::<BTreeSet<_>>(),
        held.collect::<BTreeSet<_>>(),
        "thresholds.yaml, and what is tested"
    );
    for edge in &edges {
        let is = edge.set.unwrap_or(edge.is);
        let is_small_count = is.fract() == 0.0 && is <= 10.0;
        let near = if is_small_count { 1.0 } else { is / 10.0 };
        for value in [edge.silent, edge.fires] {
            assert!(
                (value - is).abs() <= near,
                "{}: {value} is not near {is}",
                edge.threshold
            );
        }
    }
    hold(edges.iter().flat_map(Edge::sides).collect());
}

/// Each side above is so near that a number that is a little lower or higher undoes it.
#[test]
fn a_wrong_threshold_does_not_pass() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let of_edge = |edge: Edge| edge.wrong.map(|wrong| vec![edge.undone_by(wrong)]);
    let sheets: Vec<Vec<Case>> = edges().into_iter().flat_map(of_edge).collect();
    let promtool = referees.tool("bin/promtool");
    for (cases, complaint) in sheets.iter().zip(judge(&[promtool], &sheets).concat()) {
        for case in cases {
            assert!(
                complaint.contains(&case.name),
                "{}: {} also with {:?}",
                case.alert,
                case.name,
                case.thresholds
            );
        }
    }
}

#[test]
fn an_alert_outlives_what_shows_it() {
    hold(edges().iter().flat_map(Edge::unseen).collect());
}

#[test]
#[should_panic(expected = "stage is never \"somewhere\"")]
fn only_what_the_exporter_shows_can_be_written_down() {
    named("vod_transcodes_stalled stage=somewhere");
}
