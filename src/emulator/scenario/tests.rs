//! The platform against itself, and against the exporter's decoder.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::*;
use crate::vod::decode::decode;
use crate::vod::event::{Event, EventType, MediaKey, Status, Undecodable};
use crate::vod::fault::{ErrorCode, fault_of, table};

const START: UnixMillis = UnixMillis(1_769_932_800_000);

/// At least `count` pushes and the platform after them.
fn run(settings: Settings, seed: u64, count: usize) -> (Platform, Vec<Push>) {
    let mut platform = Platform::new(settings, seed, START);
    let mut pushes = Vec::new();
    while pushes.len() < count {
        let now = platform.next_due().expect("uploads never end");
        pushes.extend(platform.step(now));
    }
    (platform, pushes)
}

/// The key of an id of 32 hex digits.
fn media_key(id: &str) -> MediaKey {
    MediaKey::Hex(
        u128::from_str_radix(id, 16)
            .expect("hex digits")
            .to_be_bytes(),
    )
}

fn two_queues() -> Settings {
    Settings {
        queues: vec!["one".to_owned(), "two".to_owned()],
        ..Settings::default()
    }
}

/// Counts pushes as an exporter would, with the exporter's decoder.
fn counted(pushes: &[Push]) -> BTreeMap<String, QueueTruth> {
    let mut queues = BTreeMap::<String, QueueTruth>::new();
    let mut seen = HashSet::new();
    let add = |table: &mut Table, first: &str, second: &str| {
        *table
            .entry(first.into())
            .or_default()
            .entry(second.into())
            .or_default() += 1;
    };
    for push in pushes {
        let queue = queues.entry(push.queue.clone()).or_default();
        queue.messages += 1;
        let decoded = match decode(&push.body, push.at) {
            Ok(decoded) => decoded,
            Err(reason) => {
                *queue.decode_failures.entry(reason.to_string()).or_default() += 1;
                continue;
            }
        };
        if !seen.insert((push.queue.clone(), decoded.content)) {
            queue.duplicates += 1;
            continue;
        }
        let event = decoded.event;
        let event_type = event.event_type.as_str();
        add(&mut queue.events, event_type, event.status.as_str());
        if event.status == Status::Fail {
            let code = event.error.unwrap_or(ErrorCode::None);
            add(&mut queue.failures, event_type, code.as_str());
            let fault = fault_of(event.event_type, event.error);
            add(&mut queue.faults, event_type, fault.as_str());
        }
        if event.event_type == EventType::StreamTranscodeComplete {
            for stream in event.streams {
                add(
                    &mut queue.streams,
                    stream.definition.as_str(),
                    stream.status.as_str(),
                );
            }
        }
    }
    queues
}

#[test]
fn the_same_seed_gives_the_same_pushes() {
    let (platform, pushes) = run(two_queues(), 7, 3_000);
    let (again, same) = run(two_queues(), 7, 3_000);
    assert_eq!(pushes, same);
    assert_eq!(platform.truth().queues, again.truth().queues);
    assert_ne!(pushes, run(two_queues(), 8, 3_000).1);
}

#[test]
fn how_time_is_cut_into_steps_does_not_matter() {
    let (_, pushes) = run(two_queues(), 7, 3_000);
    let mut platform = Platform::new(two_queues(), 7, START);
    let at = pushes.last().expect("there are pushes").at;
    assert_eq!(platform.step(START), []);
    assert_eq!(platform.step(at), pushes);
    assert!(platform.next_due() > Some(at));
}

#[test]
fn pushes_come_in_the_order_of_their_instants() {
    let (_, pushes) = run(two_queues(), 9, 3_000);
    assert!(pushes.is_sorted_by_key(|push| push.at));
    assert!(pushes.iter().all(|push| push.at >= START));
}

#[test]
fn the_decoder_counts_exactly_what_happened() {
    for (seed, count) in [(1, 50_000), (2, 5_000), (3, 5_000)] {
        let (platform, pushes) = run(two_queues(), seed, count);
        assert_eq!(counted(&pushes), platform.truth().queues, "seed {seed}");
    }
}

#[test]
fn everything_that_can_happen_does() {
    let (platform, _) = run(Settings::default(), 4, 20_000);
    let truth = &platform.truth().queues["vod-callbacks"];
    let all = |labels: &[&str]| {
        labels
            .iter()
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>()
    };
    let types: Vec<_> = EventType::ALL.iter().map(|value| value.as_str()).collect();
    assert_eq!(
        truth.events.keys().cloned().collect::<BTreeSet<_>>(),
        all(&types)
    );
    let reasons: Vec<_> = Undecodable::ALL
        .iter()
        .map(|value| value.as_str())
        .collect();
    assert_eq!(
        truth
            .decode_failures
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>(),
        all(&reasons)
    );
    let inner = |table: &Table| {
        table
            .values()
            .flat_map(BTreeMap::keys)
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        inner(&truth.events),
        all(&["success", "fail", "none", "other"])
    );
    assert_eq!(
        inner(&truth.faults),
        all(&["source", "config", "service", "other"])
    );
    assert!(inner(&truth.failures).is_superset(&all(&["none", "other", "URLInvalidError"])));
    assert!(truth.streams.contains_key("other") && truth.streams.contains_key("HD"));
    assert!(truth.duplicates > 0);
    let states: BTreeSet<_> = platform
        .truth()
        .videos
        .iter()
        .map(|video| video.state)
        .collect();
    assert_eq!(states.len(), 8, "{states:?}");
}

#[test]
fn what_was_told_of_each_video_fits_its_state() {
    let settings = Settings {
        stalled_share: 0.1,
        lost_callback_share: 0.1,
        ..Settings::default()
    };
    let (platform, pushes) = run(settings, 11, 20_000);
    let mut told = BTreeMap::<MediaKey, Vec<Event>>::new();
    for decoded in pushes
        .iter()
        .filter_map(|push| decode(&push.body, push.at).ok())
    {
        let media = decoded.event.media.clone().expect("every event has an id");
        told.entry(media).or_default().push(decoded.event);
    }
    // The last word on a video may be under way for as long as a message can be late.
    let settled = pushes
        .last()
        .expect("there are pushes")
        .at
        .minus(Duration::from_secs(30));
    let mut states = BTreeMap::<State, u32>::new();
    for video in platform
        .truth()
        .videos
        .iter()
        .filter(|video| video.since < settled)
    {
        let events = &told[&media_key(&video.id)];
        let of = |event_type| {
            events
                .iter()
                .filter(move |event| event.event_type == event_type)
        };
        let summaries: Vec<_> = of(EventType::TranscodeComplete).collect();
        let summary = |status| {
            assert!(!summaries.is_empty(), "{video:?}");
            assert!(
                summaries.iter().all(|event| event.status == status),
                "{video:?}"
            );
        };
        let outputs = || summaries.iter().flat_map(|event| &event.streams);
        let good = || {
            outputs()
                .filter(|stream| stream.status == Status::Success)
                .count()
        };
        match video.state {
            State::Done => {
                summary(Status::Success);
                assert!(good() > 0 && good() == outputs().count(), "{video:?}");
            }
            State::Partial => {
                summary(Status::Success);
                assert!(good() > 0 && good() < outputs().count(), "{video:?}");
            }
            State::Failed => {
                summary(Status::Fail);
                assert_eq!(good(), 0, "{video:?}");
            }
            State::Deleted => assert!(events.iter().any(|event| event.deletes_media)),
            State::NotTranscoded => {
                assert!(summaries.is_empty(), "{video:?}");
                assert_eq!(of(EventType::StreamTranscodeComplete).count(), 0);
            }
            State::LostCallback | State::Stalled | State::Transcoding => {
                assert!(summaries.is_empty(), "{video:?}");
            }
        }
        if video.state != State::Deleted {
            assert!(!events.iter().any(|event| event.deletes_media), "{video:?}");
        }
        *states.entry(video.state).or_default() += 1;
    }
    states.remove(&State::Transcoding);
    assert_eq!(states.len(), 7, "{states:?}");
}

#[test]
fn both_tables_of_error_codes_say_the_same() {
    let own = truth::FAULTS.iter();
    let own: BTreeMap<_, _> = own
        .flat_map(|(fault, codes)| codes.iter().map(|code| (*code, *fault)))
        .chain([("none", "other"), ("other", "other")])
        .collect();
    let exporters = table().map(|(code, fault)| (code.as_str(), fault.as_str()));
    assert_eq!(own, exporters.collect());
}

#[test]
fn the_truth_adds_up() {
    let (platform, pushes) = run(two_queues(), 5, 10_000);
    let sum = |table: &Table| table.values().flat_map(BTreeMap::values).sum::<u64>();
    let mut messages = 0;
    for truth in platform.truth().queues.values() {
        let undecodable = truth.decode_failures.values().sum::<u64>();
        assert_eq!(
            truth.messages,
            sum(&truth.events) + truth.duplicates + undecodable
        );
        let failed: u64 = truth
            .events
            .values()
            .filter_map(|row| row.get("fail"))
            .sum();
        assert_eq!(sum(&truth.failures), failed);
        assert_eq!(sum(&truth.faults), failed);
        let streams = &truth.events["StreamTranscodeComplete"];
        assert_eq!(sum(&truth.streams), streams.values().sum::<u64>());
        messages += truth.messages;
    }
    assert_eq!(messages, pushes.len() as u64);
}

#[test]
fn a_perfect_platform_has_no_failures() {
    let settings = Settings {
        failure_share: 0.0,
        partial_failure_share: 0.0,
        broken_source_share: 0.0,
        stalled_share: 0.0,
        lost_callback_share: 0.0,
        not_transcoded_share: 0.0,
        deleted_share: 0.0,
        duplicate_share: 0.0,
        undecodable_share: 0.0,
        foreign_share: 0.0,
        ..Settings::default()
    };
    let (platform, _) = run(settings, 6, 5_000);
    let truth = &platform.truth().queues["vod-callbacks"];
    assert_eq!((truth.duplicates, truth.failures.len()), (0, 0));
    assert!(truth.decode_failures.is_empty());
    for video in &platform.truth().videos {
        assert!(
            matches!(video.state, State::Transcoding | State::Done),
            "{video:?}"
        );
    }
}

#[test]
fn by_default_a_minute_shows_transcodes_and_failures() {
    for seed in 0..20 {
        let mut platform = Platform::new(Settings::default(), seed, START);
        let pushes = platform.step(START.plus(Duration::from_mins(1)));
        assert!((100..1_500).contains(&pushes.len()), "{}", pushes.len());
        let truth = &platform.truth().queues["vod-callbacks"];
        assert!(!truth.streams.is_empty() && !truth.failures.is_empty());
        let mut states = platform.truth().videos.iter().map(|video| video.state);
        assert!(states.any(|state| state == State::Done));
    }
}

#[test]
fn without_uploads_nothing_is_ever_due() {
    let settings = Settings {
        uploads_per_second: 0.0,
        ..Settings::default()
    };
    let mut platform = Platform::new(settings, 1, START);
    assert_eq!(platform.next_due(), None);
    assert_eq!(platform.step(UnixMillis(i64::MAX)), []);
}

#[test]
fn the_truth_is_json() {
    let (platform, _) = run(Settings::default(), 10, 500);
    let json = serde_json::to_value(platform.truth()).expect("every key is a string");
    let queue = &json["queues"]["vod-callbacks"];
    assert!(queue["events"]["FileUploadComplete"]["success"].as_u64() > Some(0));
    assert!(json["videos"][0]["state"].is_string());
    assert!(json["videos"][0]["uploaded_at"].as_i64() > Some(START.0));
}

#[test]
fn what_vods_api_tells_of_a_video_agrees_with_the_truth() {
    let settings = Settings {
        stalled_share: 0.2,
        lost_callback_share: 0.2,
        not_transcoded_share: 0.2,
        deleted_share: 0.3,
        ..Settings::default()
    };
    let mut platform = Platform::new(settings, 11, START);
    let now = START.plus(Duration::from_hours(1));
    platform.step(now);
    let media = platform.take_media();
    let mut states = BTreeMap::<State, u32>::new();
    for (video, media) in platform.truth().videos.iter().zip(&media) {
        assert_eq!(video.id, media.id);
        *states.entry(video.state).or_default() += 1;
        let ended = media.task.as_ref().map(|task| task.ended);
        let gone = media.deleted.is_some_and(|at| at <= now);
        assert_eq!(gone, video.state == State::Deleted, "{video:?} {media:?}");
        match video.state {
            State::Stalled => assert_eq!(ended, Some(None), "{media:?}"),
            State::NotTranscoded => assert_eq!(ended, None, "{media:?}"),
            State::Done | State::Partial | State::Failed | State::LostCallback => {
                assert!(
                    ended.flatten().unwrap() <= video.since,
                    "{video:?} {media:?}"
                );
            }
            State::Transcoding | State::Deleted => {}
        }
    }
    assert_eq!(states.len(), 8, "every state occurred: {states:?}");
}
