//! What a queue says beside another: the worst of them is shown, also one that is not worked off at all.

use serde_json::{Value, json};

use crate::births::{promtool, query};
use crate::boards::{board, panels};
use crate::referees::Referees;

/// Minutes of a history; each panel is judged at its end.
const END: u32 = 60;
/// What stands for never, which the file of a test cannot say.
const NEVER: f64 = 1e12;

/// What is told of one queue, by minute; `None` where a series is not there.
struct Queue {
    role: &'static str,
    depth: fn(u32) -> Option<u32>,
    /// Age of its oldest message, in seconds.
    age: fn(u32) -> Option<u32>,
    /// Seconds since somebody took a message.
    taken: fn(u32) -> Option<u32>,
}

const STUCK: Queue = Queue {
    role: "callback",
    depth: |_| Some(50),
    age: |minute| Some(60 * minute),
    taken: |_| None,
};
const GROWING: Queue = Queue {
    depth: |minute| Some(3 * minute),
    ..STUCK
};
/// Ten messages a minute, and 700 are left.
const SHRINKING: Queue = Queue {
    depth: |minute| Some(700 + 10 * (END - minute)),
    age: |minute| Some(1800 - 10 * minute),
    taken: |_| Some(2),
    ..STUCK
};
/// A few messages, which are taken in time.
const HEALTHY: Queue = Queue {
    depth: |minute| Some(1 + minute % 4),
    age: |minute| Some(5 + minute % 7),
    taken: |_| Some(2),
    ..STUCK
};
/// 400 came 8 minutes ago, of which 20 a minute were taken since.
const BURST: Queue = Queue {
    depth: |minute| {
        Some(
            minute
                .checked_sub(END - 8)
                .map_or(0, |past| 400 - 20 * past),
        )
    },
    age: |minute| minute.checked_sub(END - 8).map(|past| 60 * past),
    taken: |_| Some(2),
    ..STUCK
};
const EMPTY: Queue = Queue {
    depth: |_| Some(0),
    age: |_| None,
    ..STUCK
};
const DEAD_LETTERS: Queue = Queue {
    role: "dead_letter",
    ..STUCK
};
/// MNS counts nothing; the age says that two minutes of messages are taken in a minute.
const UNCOUNTED: Queue = Queue {
    depth: |_| None,
    age: |minute| Some(600 + 60 * (END - minute)),
    ..STUCK
};
const UNCOUNTED_AND_STUCK: Queue = Queue {
    depth: |_| None,
    ..STUCK
};
/// Its worker has died 20 minutes ago, and messages are older than that.
const LEFT: Queue = Queue {
    taken: |minute| minute.checked_sub(END - 20).map(|past| 60 * past),
    ..STUCK
};
/// A message after half an hour without one.
const RARE: Queue = Queue {
    depth: |minute| Some(u32::from(minute == END)),
    age: |minute| (minute == END).then_some(10),
    taken: |minute| minute.checked_sub(END - 30).map(|past| 60 * past),
    ..STUCK
};
/// Read for a minute only: nothing is known of its pace.
const JUST_SEEN: Queue = Queue {
    depth: |minute| (minute == END).then_some(9),
    age: |minute| (minute == END).then_some(900),
    ..STUCK
};

#[test]
fn a_backlog_that_gets_no_smaller_is_never_empty() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let shown = query("queue", "Empty in");
    let shown = format!("round(clamp_max({shown}, {NEVER}))");
    for (name, queues, expected) in [
        ("grows", vec![GROWING], Some(NEVER)),
        ("stands", vec![STUCK], Some(NEVER)),
        (
            "grows beside one that shrinks",
            vec![GROWING, SHRINKING],
            Some(NEVER),
        ),
        ("shrinks", vec![SHRINKING, HEALTHY, EMPTY], Some(4200.0)),
        ("few young messages", vec![HEALTHY, EMPTY], None),
        ("a burst that is taken", vec![BURST], Some(720.0)),
        ("dead letters", vec![DEAD_LETTERS, HEALTHY], None),
        ("not counted", vec![UNCOUNTED], Some(600.0)),
        (
            "not counted, and nobody takes any",
            vec![UNCOUNTED_AND_STUCK, SHRINKING],
            Some(NEVER),
        ),
        ("just seen", vec![JUST_SEEN], None),
    ] {
        judge(&referees, name, &queues, &shown, expected);
    }
    let board = board("queue");
    let mut panels = panels(&board).iter();
    let panel = panels.find(|panel| panel["title"] == "Empty in");
    let mappings = &panel.expect("it is there")["fieldConfig"]["defaults"]["mappings"];
    // The key by which Grafana finds the text of +Inf.
    let word = &mappings[0]["options"]["Infinity"];
    assert_eq!(
        (&word["text"], &word["color"]),
        (&json!("never"), &json!("red"))
    );
}

/// As `VodBacklogStuck` does, which asks for the age of the oldest message, and when one was taken if that is known.
#[test]
fn a_backlog_of_which_nobody_ever_took_any_is_untaken() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let shown = query("queue", "Untaken for");
    for (name, queues, expected) in [
        ("never", vec![STUCK], Some(3600.0)),
        (
            "never, beside those that are worked off",
            vec![STUCK, SHRINKING, HEALTHY, EMPTY],
            Some(3600.0),
        ),
        ("not for 20 minutes", vec![LEFT, HEALTHY], Some(1200.0)),
        ("an old backlog that is taken", vec![SHRINKING], Some(2.0)),
        ("a young message, and none before", vec![RARE], Some(10.0)),
        ("empty", vec![EMPTY], Some(0.0)),
        ("dead letters", vec![DEAD_LETTERS, EMPTY], Some(0.0)),
    ] {
        judge(&referees, name, &queues, &shown, expected);
    }
}

/// What a query says of queues, judged by promtool.
fn judge(referees: &Referees, name: &str, queues: &[Queue], expr: &str, expected: Option<f64>) {
    let mut series = Vec::new();
    for (number, queue) in queues.iter().enumerate() {
        // Two replicas tell the same.
        for replica in 0..2 {
            let mut add = |metric: &str, labels: &str, value: &dyn Fn(u32) -> Option<i64>| {
                let target = format!(r#"job="exporter", instance="{replica}", queue="{number}""#);
                let values: Vec<String> = (0..=END)
                    .map(|minute| value(minute).map_or("_".to_owned(), |value| value.to_string()))
                    .collect();
                series.push(json!({
                    "series": format!("{metric}{{{target}{labels}}}"),
                    "values": values.join(" "),
                }));
            };
            let role = format!(r#", role="{}""#, queue.role);
            add("mns_queue_info", &role, &|_| Some(1));
            add("mns_queue_messages", r#", state="active""#, &|minute| {
                (queue.depth)(minute).map(i64::from)
            });
            let is_empty = |minute| i64::from((queue.age)(minute).is_none());
            add("mns_queue_empty", "", &|minute| Some(is_empty(minute)));
            for (what, ago) in [("oldest_message", queue.age), ("progress", queue.taken)] {
                let metric = format!("mns_queue_{what}_timestamp_seconds");
                add(&metric, "", &|minute| {
                    ago(minute).map(|ago| i64::from(60 * minute) - i64::from(ago))
                });
            }
        }
    }
    let sample = expected.map(|value| json!({"labels": "{}", "value": value}));
    let test: Value = json!({
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{
            "expr": expr,
            "eval_time": format!("{END}m"),
            "exp_samples": sample.as_slice(),
        }],
    });
    promtool(referees, name, &test);
}
