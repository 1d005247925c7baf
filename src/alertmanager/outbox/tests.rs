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
fn what_fires_is_told_again_and_so_is_its_end_for_a_quarter_of_an_hour() {
    let mut outbox = Outbox::new(RESEND);
    assert_eq!(told(&mut outbox, &round([1]), 0), [false]);
    assert_eq!(told(&mut outbox, &round([1]), 59), NOTHING);
    assert_eq!(told(&mut outbox, &round([1]), 60), [false]);
    for minute in 0..15 {
        let secs = 65 + 60 * minute;
        let due = outbox.due(&round([]), at(secs));
        assert_eq!(due.len(), 1, "{minute}");
        assert!(due[0].resolved);
        assert_eq!(due[0].ends_at, at(60), "another end would be news");
        outbox.taken(due, at(secs));
        assert_eq!(told(&mut outbox, &round([]), secs + 59), NOTHING);
    }
    assert_eq!(told(&mut outbox, &round([]), 65 + 60 * 15), NOTHING);
    assert!(outbox.told.is_empty());
}

#[test]
fn an_end_is_told_for_as_long_as_its_alert_would_have_lived() {
    let hour = Duration::from_hours(1);
    let mut outbox = Outbox::new(hour);
    told(&mut outbox, &round([1]), 0);
    for (hours, expected) in [(1, 1), (2, 1), (3, 1), (4, 0)] {
        let told = told(&mut outbox, &round([]), 3_600 * hours);
        assert_eq!(told.len(), expected, "{hours}");
    }
}

#[test]
fn what_fires_again_is_told_at_once_and_of_its_end_before_nothing_more() {
    let mut outbox = Outbox::new(RESEND);
    told(&mut outbox, &round([1]), 0);
    assert_eq!(told(&mut outbox, &round([]), 5), [true]);
    // There is no connection.
    for secs in [10, 70] {
        let due = outbox.due(&round([1]), at(secs));
        assert_eq!(due.len(), 1);
        assert!(!due[0].resolved);
    }
    assert_eq!(told(&mut outbox, &round([1]), 75), [false]);
    assert_eq!(told(&mut outbox, &round([1]), 80), NOTHING);
    assert_eq!(told(&mut outbox, &round([1]), 135), [false]);
}

#[test]
fn an_end_is_told_again_by_whoever_lost_sight_since() {
    let mut outbox = Outbox::new(RESEND);
    told(&mut outbox, &round([1]), 0);
    told(&mut outbox, &round([]), 5);
    assert_eq!(told(&mut outbox, &Round::default(), 65), [true]);
}

#[test]
fn of_too_many_that_are_over_those_go_first_whose_end_was_taken() {
    let mut outbox = Outbox::new(RESEND);
    let many = |numbers: std::ops::Range<usize>| {
        let mut round = round([1]);
        let (_, alert) = round.firing.pop_first().unwrap();
        round.firing = numbers
            .map(|number| {
                let media = MediaKey::of(&format!("video-{number}"));
                let (queue, ailment) = ("q".into(), Ailment::Failed);
                (
                    Key::Video {
                        queue,
                        media,
                        ailment,
                    },
                    Arc::clone(&alert),
                )
            })
            .collect();
        round
    };
    told(&mut outbox, &many(0..1), 0);
    told(&mut outbox, &many(0..0), 5);
    // These may have been taken before that.
    let due = outbox.due(&many(1..PAST), at(6));
    outbox.perhaps_taken(due);
    assert_eq!(outbox.due(&many(0..0), at(7)).len(), PAST - 1);
    assert_eq!(outbox.told.len(), PAST);
    told(&mut outbox, &many(PAST..PAST + 1), 8);
    let due = outbox.due(&many(0..0), at(100));
    assert_eq!(due.len(), PAST);
    let (first, _) = many(0..1).firing.pop_first().unwrap();
    assert!(due.iter().all(|posting| posting.key != first));
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
fn nobody_hears_of_the_end_of_what_he_was_not_told() {
    let mut outbox = Outbox::new(RESEND);
    // Not taken.
    assert_eq!(outbox.due(&round([1]), at(0)).len(), 1);
    assert_eq!(outbox.due(&round([]), at(5)), []);
}

#[test]
fn an_end_is_tried_for_a_quarter_of_an_hour_though_its_alert_ended_by_itself_long_before() {
    let mut outbox = Outbox::new(RESEND);
    told(&mut outbox, &round([1]), 0);
    // It is down for an hour, and has forgotten the alert when it is back, but not whom it notified.
    for minute in 1..60 {
        assert_eq!(outbox.due(&round([1]), at(60 * minute)).len(), 1);
    }
    let over = 60 * 60;
    for secs in [over, over + 899] {
        let due = outbox.due(&round([]), at(secs));
        assert!(due[0].resolved);
        assert!(due[0].ends_at < at(secs));
    }
    let mut late = outbox.clone();
    assert_eq!(late.due(&round([]), at(over + 900)), []);
    assert!(late.told.is_empty());
    assert_eq!(told(&mut outbox, &round([]), over + 899), [true]);
    assert_eq!(told(&mut outbox, &round([]), over + 900), NOTHING);
}

#[test]
fn the_end_of_what_may_have_been_taken_is_told_until_that_is_taken() {
    let mut outbox = Outbox::new(RESEND);
    let due = outbox.due(&round([1]), at(0));
    outbox.perhaps_taken(due);
    // It is told over at once, and may have been taken later than before.
    let due = outbox.due(&round([1]), at(5));
    assert!(!due[0].resolved);
    outbox.perhaps_taken(due);
    for secs in [10, 5 + 179, 10 + 899] {
        let due = outbox.due(&round([]), at(secs));
        assert!(due[0].resolved);
        outbox.perhaps_taken(due);
    }
    assert_eq!(outbox.due(&round([]), at(10 + 900)), []);

    let due = outbox.due(&round([1]), at(1_000));
    outbox.perhaps_taken(due);
    assert_eq!(told(&mut outbox, &round([]), 1_005), [true]);
    assert_eq!(told(&mut outbox, &round([]), 1_010), NOTHING);
    // So is one that is told again.
    let due = outbox.due(&round([]), at(1_065));
    outbox.perhaps_taken(due);
    assert_eq!(told(&mut outbox, &round([]), 1_070), [true]);
    assert_eq!(told(&mut outbox, &round([]), 1_075), NOTHING);
}

#[test]
fn what_fires_again_is_told_at_once_where_its_end_may_have_been_taken() {
    let mut outbox = Outbox::new(RESEND);
    told(&mut outbox, &round([1]), 0);
    let due = outbox.due(&round([]), at(5));
    outbox.perhaps_taken(due);
    assert_eq!(told(&mut outbox, &round([1]), 10), [false]);
}

#[test]
fn what_may_have_been_taken_later_than_it_was_is_believed_for_longer() {
    let mut outbox = Outbox::new(RESEND);
    told(&mut outbox, &round([1]), 0);
    let due = outbox.due(&round([1]), at(60));
    outbox.perhaps_taken(due);
    assert_eq!(told(&mut outbox, &round([]), 60 + 179), [true]);
}

#[test]
fn one_that_says_nothing_while_videos_come_and_go_takes_bounded_memory() {
    let mut outbox = Outbox::new(Duration::from_hours(1));
    let of = |number: u32| {
        let mut round = round([1]);
        let media = MediaKey::of(&format!("video-{number}"));
        if let Some((mut key, alert)) = round.firing.pop_first() {
            if let Key::Video { media: of, .. } = &mut key {
                *of = media;
            }
            round.firing.insert(key, alert);
        }
        round
    };
    for number in 0..3_000_u32 {
        let due = outbox.due(&of(number), at(i64::from(number)));
        assert!(due.len() <= PAST + 1, "{}", due.len());
        outbox.perhaps_taken(due);
    }
    let due = outbox.due(&round([]), at(3_000));
    assert_eq!(due.len(), PAST);
    // Those that end last are kept.
    for number in [3_000 - 1, 3_000 - 1_024] {
        let (key, _) = of(number).firing.pop_first().unwrap();
        assert!(due.iter().any(|posting| posting.key == key), "{number}");
    }
}

#[test]
fn a_refused_call_is_told_over_one_by_one_and_a_refused_alert_at_its_next_turn() {
    let mut outbox = Outbox::new(RESEND);
    let alone = |due: &[Posting]| due.iter().map(|posting| posting.alone).collect::<Vec<_>>();
    let due = outbox.due(&round([1, 2]), at(0));
    assert_eq!(alone(&due), [false, false]);
    outbox.refused(due, at(0));
    let mut due = outbox.due(&round([1, 2]), at(5));
    assert_eq!(alone(&due), [true, true]);
    outbox.taken(vec![due.remove(0)], at(5));
    outbox.refused(due, at(5));
    assert!(outbox.has_refused());
    assert_eq!(outbox.due(&round([1, 2]), at(64)), []);
    let due = outbox.due(&round([1, 2]), at(65));
    assert_eq!(alone(&due), [false, true]);
    outbox.taken(due, at(65));
    assert!(!outbox.has_refused());
}

#[test]
fn who_was_never_told_goes_first_and_then_who_has_waited_longest() {
    let mut outbox = Outbox::new(RESEND);
    let mut due = outbox.due(&round([1, 2, 3]), at(0));
    let last = due.split_off(2);
    outbox.taken(due, at(10));
    outbox.taken(last, at(5));
    let due = outbox.due(&round([1, 2, 3, 4]), at(75));
    let keys: Vec<Key> = due.into_iter().map(|posting| posting.key).collect();
    assert_eq!(keys, [key(4), key(3), key(1), key(2)]);
}

#[test]
fn of_those_that_are_told_by_themselves_it_is_the_turn_of_whoever_waits_longest() {
    let mut outbox = Outbox::new(RESEND);
    let due = outbox.due(&round([1, 2, 3]), at(0));
    outbox.refused(due, at(0));
    let keys = |due: &[Posting]| due.iter().map(|due| due.key.clone()).collect::<Vec<_>>();
    let due = outbox.due(&round([1, 2, 3]), at(5));
    assert_eq!(keys(&due), [key(1), key(2), key(3)]);
    for posting in due.into_iter().take(2) {
        outbox.refused(vec![posting], at(5));
    }
    let due = outbox.due(&round([1, 2, 3, 4]), at(65));
    assert_eq!(keys(&due), [key(4), key(3), key(1), key(2)]);
}

#[test]
fn of_what_was_refused_by_itself_no_end_is_told_unless_it_was_taken_before() {
    for (was_taken, expected) in [(false, vec![]), (true, vec![true])] {
        let mut outbox = Outbox::new(RESEND);
        if was_taken {
            told(&mut outbox, &round([1]), 0);
        }
        let due = outbox.due(&round([1]), at(60));
        outbox.refused(due, at(60));
        let due = outbox.due(&round([]), at(65));
        let resolved: Vec<_> = due.iter().map(|posting| posting.resolved).collect();
        assert_eq!(resolved, expected, "{was_taken}");
        // An end that is refused would be refused again.
        outbox.refused(due, at(65));
        assert_eq!(outbox.due(&round([]), at(200)), []);
        assert!(!outbox.has_refused());
    }
}

#[test]
fn a_clock_that_was_set_back_silences_nothing() {
    let mut outbox = Outbox::new(RESEND);
    told(&mut outbox, &round([1]), 1_000);
    assert_eq!(told(&mut outbox, &round([1]), 0), [false]);
    assert_eq!(told(&mut outbox, &round([1]), 59), NOTHING);
    assert_eq!(told(&mut outbox, &round([1]), 60), [false]);
    assert_eq!(told(&mut outbox, &round([]), 65), [true]);
    let due = outbox.due(&round([]), at(20));
    assert!(due[0].ends_at < at(20), "an end lies in the past");
}

#[test]
fn an_heir_is_told_anew_what_those_were_told_who_are_gone() {
    let [mut well, mut down] = [(); 2].map(|()| Outbox::new(RESEND));
    for outbox in [&mut well, &mut down] {
        told(outbox, &round([1, 2]), 0);
    }
    assert_eq!(told(&mut well, &round([2]), 5), [true]);
    let refused = down.due(&round([2, 3]), at(6)).split_off(1);
    down.refused(refused, at(6));
    for order in [[&well, &down], [&down, &well]] {
        let mut gone = Outbox::new(RESEND);
        for outbox in order {
            gone.inherit(outbox.clone());
        }
        let mut heir = gone.heir();
        assert_eq!(heir.told.len(), 2, "none that was refused");
        // The end of 1 was not told to both.
        let (_, told_of) = heir.told.first_key_value().unwrap();
        assert_eq!(told_of.over, None);
        assert_eq!(told(&mut heir, &round([2]), 10), [true, false]);
        // Nobody new comes for long.
        gone.look(&round([2]), at(10));
        gone.look(&round([2]), at(10 + 900));
        assert_eq!(told(&mut gone.heir(), &round([2]), 10 + 900), [false]);
    }
}

#[test]
fn another_start_is_told_at_once() {
    let mut outbox = Outbox::new(RESEND);
    told(&mut outbox, &round([1]), 0);
    let mut again = round([1]);
    for alert in again.firing.values_mut() {
        Arc::make_mut(alert).starts_at = at(-1);
    }
    assert_eq!(told(&mut outbox, &again, 5), [false]);
    assert_eq!(told(&mut outbox, &again, 10), NOTHING);
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
    // Nor where it was abandoned while nobody could be told.
    let mut unaware = Outbox::new(RESEND);
    told(&mut unaware, &round([1]), 0);
    assert_eq!(unaware.due(&lapsing, at(5)).len(), 1);
    assert_eq!(unaware.clone().due(&round([]), at(29)).len(), 1);
    assert_eq!(unaware.due(&round([]), at(30)), []);
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Taken,
    /// There is no connection.
    Unsent,
    /// There is no answer, and it is taken or not.
    Silence(bool),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Taken),
        Just(Fate::Unsent),
        any::<bool>().prop_map(Fate::Silence),
    ]
}

proptest! {
    #[test]
    fn an_alertmanager_that_may_fail_believes_the_truth_in_the_end(
        steps in proptest::collection::vec((proptest::collection::btree_set(0_u8..6, 0..6), fate(), 1..90_i64), 1..60),
    ) {
        let mut outbox = Outbox::new(RESEND);
        // What Alertmanager believes: until when each alert fires.
        let mut believed: BTreeMap<Key, UnixMillis> = BTreeMap::new();
        let mut sent = BTreeSet::new();
        let mut secs = 0;
        for (firing, fate, pause) in steps {
            secs += pause;
            let (now, truth) = (at(secs), round(firing));
            let due = outbox.due(&truth, now);
            for posting in &due {
                if posting.resolved {
                    prop_assert!(posting.ends_at < now);
                    prop_assert!(sent.contains(&posting.key), "a resolve out of nothing");
                } else if !matches!(fate, Fate::Unsent) {
                    sent.insert(posting.key.clone());
                }
                if matches!(fate, Fate::Taken | Fate::Silence(true)) {
                    believed.insert(posting.key.clone(), posting.ends_at);
                }
            }
            believed.retain(|_, ends_at| *ends_at > now);
            match fate {
                Fate::Taken => {
                    outbox.taken(due, now);
                    prop_assert!(believed.keys().eq(truth.firing.keys()));
                }
                Fate::Silence(_) => outbox.perhaps_taken(due),
                Fate::Unsent => {}
            }
        }
    }
}
