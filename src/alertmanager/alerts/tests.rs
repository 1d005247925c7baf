use proptest::prelude::*;

use super::*;
use crate::ledger::snapshot::{Mode, Role};

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
        let expected = BTreeMap::from([
            ("alertname", name.to_owned()),
            ("queue", "q".to_owned()),
            ("severity", "warning".to_owned()),
            ("stage", "transcode".to_owned()),
            ("video_id", video.to_owned()),
        ]);
        assert_eq!(*labels, expected);
    }
    let starts: Vec<i64> = round
        .firing
        .values()
        .map(|alert| alert.starts_at.0)
        .collect();
    assert_eq!(starts, [800_000, 900_000]);
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

proptest! {
    #[test]
    fn who_has_an_alert_keeps_it_unchanged_while_it_is_true(
        looks in proptest::collection::vec(proptest::collection::btree_set(0_u32..120, 0..120), 1..12),
    ) {
        let mut book = Book::default();
        let mut before = Round::default();
        let mut without = 0;
        for (look, present) in looks.into_iter().enumerate() {
            let now = NOW.plus(Duration::from_secs(look as u64));
            let wrong = troubles(present.iter().map(|number| stalled(*number, i64::from(*number))));
            let (round, newly) = book.look(wrong.clone(), now);
            let own = round.firing.keys().filter(|key| **key != Key::Suppressed).count();
            prop_assert_eq!(own, present.len().min(CAP));
            prop_assert_eq!(round.firing.contains_key(&Key::Suppressed), present.len() > CAP);
            prop_assert_eq!(newly, (present.len() - own).saturating_sub(without));
            without = present.len() - own;
            for (identity, trouble) in &wrong.videos {
                let key = Key::of(identity, trouble);
                if let Some(alert) = before.firing.get(&key) {
                    prop_assert_eq!(round.firing.get(&key), Some(alert));
                }
            }
            before = round;
        }
    }
}
