use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::ledger::transcodes::Ailment;
use crate::vod::event::MediaKey;

const RESEND: Duration = Duration::from_mins(1);
const NOTHING: [bool; 0] = [];

fn key(number: u8) -> Key {
    Key::Video {
        queue: "q".into(),
        media: MediaKey::Hex([number; 16]),
        ailment: Ailment::Failed,
    }
}

fn at(secs: i64) -> UnixMillis {
    UnixMillis::from_secs(1_000_000 + secs)
}

fn round(firing: impl IntoIterator<Item = u8>) -> Round {
    let alert = Alert {
        labels: BTreeMap::from([("alertname".to_owned(), "A".to_owned())]),
        annotations: BTreeMap::new(),
        starts_at: at(-100),
        generator_url: Some("http://grafana/d/a".to_owned()),
        lapses_at: None,
    };
    let alert = Arc::new(alert);
    Round {
        firing: firing
            .into_iter()
            .map(|number| (key(number), Arc::clone(&alert)))
            .collect(),
        queues: BTreeSet::from(["q".into()]),
    }
}

fn told(outbox: &mut Outbox, round: &Round, secs: i64) -> Vec<bool> {
    let due = outbox.due(round, at(secs));
    let resolved = due.iter().map(|posting| posting.resolved).collect();
    outbox.taken(due, at(secs));
    resolved
}

#[test]
fn what_fires_is_told_again_and_its_end_is_told_once() {
    let mut outbox = Outbox::new(RESEND);
    assert_eq!(told(&mut outbox, &round([1]), 0), [false]);
    assert_eq!(told(&mut outbox, &round([1]), 59), NOTHING);
    assert_eq!(told(&mut outbox, &round([1]), 60), [false]);
    assert_eq!(told(&mut outbox, &round([]), 65), [true]);
    assert_eq!(told(&mut outbox, &round([]), 70), NOTHING);
}

#[test]
fn the_wire_has_both_times_and_no_more_than_it_should() {
    let due = Outbox::new(RESEND).due(&round([1]), at(0));
    assert_eq!(
        serde_json::to_string(&due).unwrap(),
        "[{\"labels\":{\"alertname\":\"A\"},\"annotations\":{},\"startsAt\":\"1970-01-12T13:45:00Z\",\
         \"generatorURL\":\"http://grafana/d/a\",\"endsAt\":\"1970-01-12T13:49:40Z\"}]"
    );
}

#[test]
fn a_resolve_lies_in_the_past_and_not_before_the_start() {
    let mut outbox = Outbox::new(RESEND);
    told(&mut outbox, &round([1]), 0);
    assert_eq!(outbox.due(&round([]), at(9))[0].ends_at, at(4));
    assert_eq!(outbox.due(&round([]), at(-99))[0].ends_at, at(-100));
}

#[test]
fn nobody_hears_of_the_end_of_what_he_was_not_told_or_what_ended_by_itself() {
    let mut outbox = Outbox::new(RESEND);
    // Not taken.
    assert_eq!(outbox.due(&round([1]), at(0)).len(), 1);
    assert_eq!(outbox.due(&round([]), at(5)), []);
    told(&mut outbox, &round([1]), 10);
    assert_eq!(outbox.due(&round([]), at(10 + 180)), []);
}

#[test]
fn loss_of_sight_neither_repeats_nor_ends_an_alert() {
    let mut outbox = Outbox::new(RESEND);
    told(&mut outbox, &round([1]), 0);
    assert_eq!(told(&mut outbox, &Round::default(), 30), NOTHING);
    assert_eq!(told(&mut outbox, &round([1]), 61), [false]);
}

#[test]
fn what_lapsed_is_not_called_resolved_and_what_recovered_before_is() {
    let mut lapsing = round([1]);
    for alert in lapsing.firing.values_mut() {
        Arc::make_mut(alert).lapses_at = Some(at(30));
    }
    let outbox = || {
        let mut outbox = Outbox::new(RESEND);
        told(&mut outbox, &round([1]), 0);
        // It was abandoned, which is told at once.
        assert_eq!(told(&mut outbox, &lapsing, 5), [false]);
        outbox
    };
    assert_eq!(told(&mut outbox(), &round([]), 29), [true]);
    assert_eq!(told(&mut outbox(), &round([]), 30), NOTHING);
}

proptest! {
    #[test]
    fn an_alertmanager_that_may_fail_believes_the_truth_in_the_end(
        steps in proptest::collection::vec((proptest::collection::btree_set(0_u8..6, 0..6), any::<bool>()), 1..60),
    ) {
        let mut outbox = Outbox::new(RESEND);
        // What Alertmanager believes: until when each alert fires.
        let mut believed: BTreeMap<Key, UnixMillis> = BTreeMap::new();
        let mut secs = 0;
        for (firing, works) in steps {
            secs += 5;
            let (now, truth) = (at(secs), round(firing));
            let due = outbox.due(&truth, now);
            if works {
                for posting in &due {
                    if posting.resolved {
                        prop_assert!(posting.ends_at < now);
                        prop_assert!(believed.remove(&posting.key).is_some(), "a resolve out of nothing");
                    } else {
                        believed.insert(posting.key.clone(), posting.ends_at);
                    }
                }
                outbox.taken(due, now);
                believed.retain(|_, ends_at| *ends_at > now);
                prop_assert!(believed.keys().eq(truth.firing.keys()));
            }
        }
    }
}
