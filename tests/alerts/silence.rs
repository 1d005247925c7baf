//! Weeks of a platform that works from Monday to Friday, from 9 to 18, judged by promtool: on which of its hours without
//! an event the alert about silence fires.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::proof::promtool;
use super::referees::Referees;
use super::rules;
use super::series::notation;

/// Minutes between scrapes, and between evaluations.
const EVERY: u32 = 5;
const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;
const WEEK: u32 = 7 * DAY;
const WEEKS: u32 = 3 * WEEK;
/// The Monday on which something differs; its week has one before that is watched as a whole.
const MONDAY: u32 = 2 * WEEK;
const FIRING: &str = "ALERTS{alertname=\"VodQueueSilent\",alertstate=\"firing\"}";

/// Whether events come at a minute; each scrape then shows five more.
type Comes = fn(u32) -> bool;

/// Works so, from the first Monday on, with a day's work shifted by some minutes.
fn works(minute: u32, shifted: i32) -> bool {
    let hours = 9 * 60 + shifted..18 * 60 + shifted;
    let of_day = i32::try_from(minute % DAY).unwrap();
    minute / DAY % 7 < 5 && hours.contains(&of_day)
}

/// What an exporter shows that consumes the queue and forgets the last event at a minute.
fn input(comes: Comes, forgets: Option<u32>) -> Value {
    let (mut count, mut last, mut since) = (1000.0, None, 0.0);
    let mut series: [Vec<Option<f64>>; 4] = Default::default();
    for minute in (0..=WEEKS).step_by(EVERY as usize) {
        let now = f64::from(minute * 60);
        if forgets == Some(minute) {
            (last, since) = (None, now);
        }
        if comes(minute) {
            count += 5.0;
            last = Some(now);
        }
        let values = [Some(count), last, Some(since), Some(now)];
        for (known, value) in series.iter_mut().zip(values) {
            known.push(value);
        }
    }
    let ones = vec![Some(1.0); series[0].len()];
    let [events, last, since, tick] = series;
    let labelled = |name: &str, more: &str| {
        format!("{name}{{job=\"exporter\",instance=\"a\",queue=\"vod\"{more}}}")
    };
    let event = ",event_type=\"TranscodeComplete\",status=\"success\"";
    let named = [
        ("vod_events_total", event, events),
        ("vod_event_last_timestamp_seconds", "", last),
        ("vod_queue_watched_since_timestamp_seconds", "", since),
        (
            "vod_callback_exporter_last_tick_timestamp_seconds",
            "",
            tick,
        ),
        ("mns_queue_up", "", ones.clone()),
        ("vod_transcode_view_complete", "", ones),
    ];
    let each = named.iter().map(
        |(name, more, values)| json!({"series": labelled(name, more), "values": notation(values)}),
    );
    each.collect()
}

/// Within so many minutes until a minute, the alert is seen firing at so many evaluations.
fn seen(until: u32, within: u32, times: u32) -> Value {
    json!({
        "expr": format!("sum(count_over_time({FIRING}[{}s])) or vector(0)", within * 60 - 30),
        "eval_time": format!("{until}m"),
        "exp_samples": [{"labels": "{}", "value": times}],
    })
}

fn judge(comes: Comes, forgets: Option<u32>, looks: &[Value]) {
    let Some(referees) = Referees::find() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let rules = rules::as_file(&rules::needed_by(&["VodQueueSilent"]));
    std::fs::write(path("rules.yaml"), rules.to_string()).unwrap();
    let file = json!({
        "rule_files": [path("rules.yaml")],
        "evaluation_interval": format!("{EVERY}m"),
        "group_eval_order": ["a", "b"],
        "tests": [{
            "interval": format!("{EVERY}m"),
            "input_series": input(comes, forgets),
            "promql_expr_test": looks,
        }],
    });
    std::fs::write(path("test.yaml"), file.to_string()).unwrap();
    promtool(&referees, &["test", "rules"], &[&path("test.yaml")]);
}

/// Once a week is known; the first Saturday is like no day before.
fn is_silent_from_the_second_week_on(comes: Comes) {
    let looks = [seen(WEEKS, WEEKS - WEEK - 12 * HOUR, 0)];
    judge(comes, None, &looks);
}

#[test]
fn mornings_and_weekends_are_no_silence() {
    is_silent_from_the_second_week_on(|minute| works(minute, 0));
}

#[test]
fn a_day_that_begins_half_an_hour_later_is_no_silence() {
    const NINE: u32 = MONDAY + 9 * HOUR;
    is_silent_from_the_second_week_on(|minute| {
        works(minute, 0) && !(NINE..NINE + 30).contains(&minute)
    });
}

#[test]
fn the_clock_put_back_is_no_silence() {
    is_silent_from_the_second_week_on(|minute| works(minute, if minute < MONDAY { 0 } else { 60 }));
}

#[test]
fn the_clock_put_forward_is_no_silence() {
    is_silent_from_the_second_week_on(|minute| {
        works(minute, if minute < MONDAY { 0 } else { -60 })
    });
}

/// From 10:05, when each of two hours had ten events the week before, and 5 minutes more, until Tuesday's first event.
#[test]
fn a_monday_without_events_is_silent_until_tuesday() {
    let tuesday = MONDAY + DAY + 9 * HOUR;
    let from = MONDAY + 10 * HOUR + 10;
    judge(
        |minute| works(minute, 0) && minute / DAY != MONDAY / DAY,
        None,
        &[
            seen(from - EVERY, from - EVERY - WEEK - 12 * HOUR, 0),
            seen(
                tuesday - EVERY,
                tuesday - EVERY - from,
                (tuesday - EVERY - from) / EVERY,
            ),
            seen(WEEKS, WEEKS - tuesday, 0),
        ],
    );
}

/// Of two days of history, neither of which a later day can be held against.
fn two_days_then_silence(forgets: Option<u32>) {
    let from = 2 * DAY + 15 * HOUR;
    let until = 2 * WEEK + 9 * HOUR - EVERY;
    let comes = |minute| works(minute, 0) && !(2 * DAY..2 * WEEK).contains(&minute);
    let end = until + DAY;
    judge(
        comes,
        forgets,
        &[
            seen(until, until - from, (until - from) / EVERY),
            seen(end, end - until - EVERY, 0),
        ],
    );
}

#[test]
fn silence_outlasts_the_days_that_it_was_judged_by() {
    two_days_then_silence(None);
}

#[test]
fn silence_outlasts_what_is_forgotten() {
    two_days_then_silence(Some(4 * DAY));
}
