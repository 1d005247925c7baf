use proptest::prelude::*;

use super::*;
use crate::vod::event::{Definition, Stream};
use crate::vod::fault::ErrorCode;

/// The instant of the upload in most tests.
const UPLOAD: i64 = 1_000_000;

fn secs(secs: i64) -> UnixMillis {
    UnixMillis::from_secs(secs)
}

fn media(number: u8) -> MediaKey {
    MediaKey::Hex([number; 16])
}

fn event(event_type: EventType, status: Status, at: i64) -> Event {
    Event {
        event_type,
        status,
        event_time: secs(at),
        media: Some(media(1)),
        error: None,
        streams: Vec::new(),
        duration_millis: None,
        deletes_media: event_type == EventType::DeleteMediaComplete,
    }
}

fn upload() -> Event {
    event(EventType::FileUploadComplete, Status::Success, UPLOAD)
}

fn analysis(status: Status, at: i64) -> Event {
    Event {
        duration_millis: (status == Status::Success).then_some(60_000),
        ..event(EventType::VideoAnalysisComplete, status, at)
    }
}

fn output(status: Status, start: i64, finish: i64) -> Stream {
    Stream {
        definition: Definition::Hd,
        status,
        start: Some(secs(start)),
        finish: Some(secs(finish)),
        job: None,
    }
}

fn stream(status: Status, start: i64, finish: i64) -> Event {
    Event {
        streams: vec![output(status, start, finish)],
        ..event(EventType::StreamTranscodeComplete, status, finish)
    }
}

fn end(outputs: Vec<Stream>, at: i64) -> Event {
    let good = outputs
        .iter()
        .any(|output| output.status == Status::Success);
    let status = if good { Status::Success } else { Status::Fail };
    Event {
        streams: outputs,
        ..event(EventType::TranscodeComplete, status, at)
    }
}

struct Queue {
    transcodes: Transcodes,
    counts: Counts,
    turn: Turn,
}

impl Queue {
    fn new() -> Self {
        Self::with(TranscodeSettings::default())
    }

    fn with(settings: TranscodeSettings) -> Self {
        let mut transcodes = Transcodes::default();
        transcodes.configure(settings);
        transcodes.set_complete(true);
        Self {
            transcodes,
            counts: Counts::default(),
            turn: Turn::default(),
        }
    }

    fn learn(mut self, events: &[Event]) -> Self {
        for event in events {
            self.transcodes
                .event(event, event.event_time, &mut self.counts, &mut self.turn);
            self.turn.end();
        }
        self
    }

    fn seen_until(mut self, until: i64) -> Self {
        self.transcodes
            .expire(secs(until), secs(until), &mut self.counts, &mut self.turn);
        self.turn.end();
        self
    }

    fn judge(mut self, verdict: Verdict, stage: Stage, at: i64) -> Self {
        let judgement = Judgement {
            media: media(1),
            verdict,
            stage,
        };
        self.transcodes
            .judge(&judgement, secs(at), &mut self.counts, &mut self.turn);
        self.turn.end();
        self
    }

    fn state(&self) -> Option<State> {
        self.transcodes.table.get(&media(1)).map(Video::state)
    }

    fn stalled(&self) -> [u64; Stage::COUNT] {
        self.transcodes.summary().stalled
    }

    fn troubles(&self, now: i64) -> Vec<(Ailment, i64)> {
        self.transcodes
            .troubles(secs(now))
            .map(|trouble| (trouble.ailment, trouble.since.0 / 1000))
            .collect()
    }

    fn overdue(&self, verdict: Verdict) -> u64 {
        self.transcodes.summary().overdue[verdict.index()]
    }
}

#[test]
fn a_whole_transcode_is_measured_from_its_upload() {
    let outputs = vec![output(Status::Success, UPLOAD + 40, UPLOAD + 100)];
    let queue = Queue::new().learn(&[
        upload(),
        analysis(Status::Success, UPLOAD + 3),
        stream(Status::Success, UPLOAD + 40, UPLOAD + 100),
        end(outputs, UPLOAD + 102),
    ]);
    assert_eq!(queue.state(), Some(State::Done));
    assert_eq!(queue.transcodes.summary().in_flight, 0);
    let counts = &queue.counts;
    assert_eq!(
        (counts.transcode[0].count(), counts.transcode[0].sum_millis),
        (1, 102_000)
    );
    assert_eq!(
        (counts.playable.count(), counts.playable.sum_millis),
        (1, 100_000)
    );
    assert_eq!(
        (counts.stream_wait.count(), counts.stream_wait.sum_millis),
        (1, 40_000)
    );
    assert_eq!(counts.objective, [1, 0]);
}

#[test]
fn the_deadline_grows_with_the_media_and_is_an_hour_while_nothing_is_known() {
    let queue = Queue::new().learn(&[upload()]);
    assert_eq!(queue.transcodes.next_deadline(), Some(secs(UPLOAD + 3_600)));
    let queue = queue.learn(&[analysis(Status::Success, UPLOAD + 3)]);
    assert_eq!(
        queue.transcodes.next_deadline(),
        Some(secs(UPLOAD + 900 + 2 * 60))
    );
    let queue = Queue::new().learn(&[upload(), analysis(Status::Fail, UPLOAD + 3)]);
    assert_eq!(
        queue.transcodes.next_deadline(),
        Some(secs(UPLOAD + 3 + 300))
    );
}

#[test]
fn a_transcode_that_began_and_did_not_end_is_stalled_since_its_deadline() {
    let known = [
        upload(),
        analysis(Status::Success, UPLOAD + 3),
        stream(Status::Fail, UPLOAD + 5, UPLOAD + 9),
    ];
    let deadline = UPLOAD + 900 + 120;
    let queue = Queue::new().learn(&known).seen_until(deadline - 1);
    assert_eq!(queue.overdue(Verdict::Stalled), 0);
    let queue = queue.seen_until(deadline);
    assert_eq!((queue.stalled(), queue.counts.stalls), ([0, 1], 1));
    let row = queue.transcodes.rows().next().unwrap();
    assert_eq!(row.overdue_since, Some(secs(deadline)));
    let queue = queue.seen_until(deadline + 10_000);
    assert_eq!(queue.counts.stalls, 1, "once is enough");
    assert_eq!(queue.counts.objective, [0, 1]);
    let queue = queue.learn(&[end(
        vec![output(Status::Success, UPLOAD + 5, deadline + 9)],
        deadline + 10,
    )]);
    assert_eq!(
        (queue.stalled(), queue.state()),
        ([0, 0], Some(State::Done))
    );
}

#[test]
fn an_upload_without_a_transcode_is_unknown_unless_every_upload_is_expected_to_have_one() {
    let queue = Queue::new().learn(&[upload()]).seen_until(UPLOAD + 3_600);
    assert_eq!(
        (queue.overdue(Verdict::Unknown), queue.stalled()),
        (1, [0, 0])
    );
    assert_eq!(queue.counts.objective, [0, 0]);
    let settings = TranscodeSettings {
        expect_every_upload: true,
        ..TranscodeSettings::default()
    };
    let queue = Queue::with(settings)
        .learn(&[upload()])
        .seen_until(UPLOAD + 3_600);
    assert_eq!((queue.stalled(), queue.counts.objective), ([1, 0], [0, 1]));
}

#[test]
fn nobody_waits_for_ever() {
    let queue = Queue::new()
        .learn(&[upload()])
        .seen_until(UPLOAD + 48 * 3_600);
    assert_eq!(queue.state(), Some(State::Closed));
    assert_eq!(queue.counts.closed[Verdict::Abandoned.index()], 1);
    assert_eq!(queue.transcodes.summary(), Summary::default());
}

#[test]
fn those_closed_at_once_are_named_up_to_a_number_and_once() {
    let uploads: Vec<Event> = (1..=12)
        .map(|number| Event {
            media: Some(media(number)),
            ..upload()
        })
        .collect();
    let queue = Queue::new().learn(&uploads);
    let mut queue = queue.seen_until(UPLOAD + 48 * 3_600);
    let closing = Closing {
        verdict: Verdict::Abandoned,
        videos: (1..=10).map(media).collect(),
        more: 2,
    };
    assert_eq!(queue.transcodes.take_closings(), [closing]);
    let mut queue = queue.seen_until(UPLOAD + 49 * 3_600);
    assert_eq!(queue.transcodes.take_closings(), []);
}

#[test]
fn what_was_closed_is_listed_for_a_day_unless_it_is_heard_of() {
    const CLOSED: i64 = UPLOAD + 3_700;
    let settings = TranscodeSettings {
        reconciled: true,
        ..TranscodeSettings::default()
    };
    let lost = || {
        Queue::with(settings)
            .learn(&[upload()])
            .seen_until(UPLOAD + 3_600)
            .judge(Verdict::CallbackLost, Stage::Transcode, CLOSED)
    };
    let closed = |queue: &Queue| -> Vec<_> {
        let told = |row: TranscodeRow| (row.state, row.verdict, row.closed);
        queue.transcodes.closed().map(told).collect()
    };
    let told = |verdict, at| [(State::Closed, Some(verdict), Some(secs(at)))];
    assert_eq!(closed(&lost()), told(Verdict::CallbackLost, CLOSED));
    assert_eq!(lost().transcodes.rows().count(), 0);
    let stored = serde_json::to_string(&lost().transcodes).unwrap();
    let restored: Transcodes = serde_json::from_str(&stored).unwrap();
    assert!(restored.closed().eq(lost().transcodes.closed()));
    assert_eq!(closed(&lost().seen_until(CLOSED + 24 * 3_600 - 1)).len(), 1);
    assert_eq!(closed(&lost().seen_until(CLOSED + 24 * 3_600)), []);
    for heard in [
        end(Vec::new(), UPLOAD + 50),
        event(EventType::DeleteMediaComplete, Status::Success, CLOSED + 10),
        stream(Status::Success, CLOSED + 10, CLOSED + 20),
    ] {
        let queue = lost().learn(std::slice::from_ref(&heard));
        assert_eq!(closed(&queue), [], "{heard:?}");
    }
    // The callback of an earlier run tells nothing of the one that was closed.
    let again = Queue::with(settings)
        .learn(&[upload(), end(Vec::new(), UPLOAD + 50)])
        .learn(&[stream(Status::Success, UPLOAD + 100, UPLOAD + 150)]);
    assert_eq!(closed(&again), []);
    let again = again.seen_until(UPLOAD + 50 * 3_600);
    let abandoned = told(Verdict::Abandoned, UPLOAD + 50 * 3_600);
    assert_eq!(closed(&again), abandoned);
    let late = again.learn(&[end(Vec::new(), UPLOAD + 160)]);
    assert_eq!(
        (closed(&late), late.state()),
        (Vec::new(), Some(State::Failed))
    );
}

#[test]
fn only_what_leaves_somebody_waiting_is_named() {
    let reconciled = TranscodeSettings {
        reconciled: true,
        ..TranscodeSettings::default()
    };
    for verdict in Verdict::ALL.iter().filter(|verdict| verdict.closes()) {
        let mut queue = Queue::with(reconciled)
            .learn(&[upload()])
            .seen_until(UPLOAD + 3_600)
            .judge(*verdict, Stage::Submit, UPLOAD + 3_700);
        let named: Vec<Verdict> = queue
            .transcodes
            .take_closings()
            .iter()
            .map(|closing| closing.verdict)
            .collect();
        let waits = [Verdict::CallbackLost, Verdict::Abandoned].contains(verdict);
        let expected: &[Verdict] = if waits { &[*verdict] } else { &[] };
        assert_eq!(named, expected);
    }
}

#[test]
fn a_source_fault_meets_and_misses_no_objective() {
    let failed = Event {
        error: Some(ErrorCode::from_vendor("InvalidParameter.ResourceContentBad").unwrap()),
        ..end(Vec::new(), UPLOAD + 50)
    };
    let queue = Queue::new().learn(&[upload(), failed]);
    assert_eq!(
        (queue.counts.objective, queue.counts.transcode[2].count()),
        ([0, 0], 1)
    );
    let failed = Event {
        error: Some(ErrorCode::InternalError),
        ..end(Vec::new(), UPLOAD + 50)
    };
    let queue = Queue::new().learn(&[upload(), failed]);
    assert_eq!(queue.counts.objective, [0, 1]);
}

#[test]
fn a_later_run_opens_the_video_again_but_a_late_event_does_not() {
    let first = end(
        vec![output(Status::Fail, UPLOAD + 10, UPLOAD + 20)],
        UPLOAD + 20,
    );
    let queue = Queue::new().learn(&[upload(), first]);
    assert_eq!(queue.state(), Some(State::Failed));
    let queue = queue.learn(&[upload(), stream(Status::Fail, UPLOAD + 10, UPLOAD + 20)]);
    assert_eq!(
        queue.state(),
        Some(State::Failed),
        "late and repeated events open nothing"
    );
    let queue = queue.learn(&[stream(Status::Success, UPLOAD + 100, UPLOAD + 130)]);
    assert_eq!(queue.state(), Some(State::Transcoding));
    let queue = queue.learn(&[end(
        vec![output(Status::Success, UPLOAD + 100, UPLOAD + 130)],
        UPLOAD + 131,
    )]);
    assert_eq!(queue.state(), Some(State::Done));
}

#[test]
fn a_start_after_its_own_event_opens_no_run_without_end() {
    let backwards = end(
        vec![output(Status::Success, UPLOAD + 9_000, UPLOAD + 10)],
        UPLOAD + 20,
    );
    let queue = Queue::new()
        .learn(&[upload(), backwards])
        .seen_until(UPLOAD + 40_000);
    assert_eq!((queue.state(), queue.counts.stalls), (Some(State::Done), 0));
}

#[test]
fn a_stalled_video_is_in_trouble_since_its_deadline_until_it_ends() {
    let queue = Queue::new().learn(&[
        upload(),
        analysis(Status::Success, UPLOAD + 10),
        stream(Status::Success, UPLOAD + 20, UPLOAD + 60),
    ]);
    assert_eq!(queue.troubles(0), []);
    let queue = queue.seen_until(UPLOAD + 5_000);
    let since = UPLOAD + 900 + 120;
    let stalled = (Ailment::Stalled(Stage::Transcode), since);
    assert_eq!(queue.troubles(UPLOAD + 5_000), [stalled]);
    let ended = end(
        vec![output(Status::Success, UPLOAD + 20, UPLOAD + 60)],
        UPLOAD + 6_000,
    );
    assert_eq!(queue.learn(&[ended]).troubles(0), []);
}

#[test]
fn a_failure_is_trouble_for_a_while_or_until_a_good_run_and_never_the_uploaders() {
    let run = |status, at| end(vec![output(status, at - 60, at)], at);
    let failed_at = UPLOAD + 100;
    let queue = || Queue::new().learn(&[upload(), run(Status::Fail, failed_at)]);
    let failed = [(Ailment::Failed, failed_at)];
    assert_eq!(queue().troubles(failed_at + 3_599), failed);
    assert_eq!(queue().troubles(failed_at + 3_600), [], "its hour is over");

    let again = stream(Status::Success, failed_at + 50, failed_at + 90);
    let queue = queue().learn(&[again]);
    assert_eq!(queue.troubles(0), failed, "a new run is not yet a good one");
    let queue = queue.learn(&[run(Status::Success, failed_at + 120)]);
    assert_eq!(queue.troubles(0), []);

    let mut event = run(Status::Fail, failed_at);
    event.error = ErrorCode::from_vendor("InvalidParameter.ResourceContentBad");
    assert_eq!(fault_of(event.event_type, event.error), Fault::Source);
    assert_eq!(Queue::new().learn(&[upload(), event]).troubles(0), []);
}

#[test]
fn a_failure_that_lies_ahead_is_trouble_for_an_hour_since_it_was_told() {
    const TOLD: i64 = UPLOAD + 100;
    let ahead = TOLD + 2 * 3_600;
    let tell = |mut queue: Queue, event: &Event, now: i64| {
        let Queue {
            transcodes,
            counts,
            turn,
        } = &mut queue;
        transcodes.event(event, secs(now), counts, turn);
        turn.end();
        queue
    };
    let failed = tell(Queue::new(), &end(Vec::new(), ahead), TOLD);
    let trouble = [(Ailment::Failed, TOLD)];
    assert_eq!(failed.troubles(TOLD), trouble);
    // What is heard later changes nothing, and neither does a restart.
    let late = stream(Status::Fail, UPLOAD + 20, UPLOAD + 50);
    let failed = tell(failed, &late, TOLD + 600);
    let stored = serde_json::to_string(&failed.transcodes).unwrap();
    let restored = Queue {
        transcodes: serde_json::from_str(&stored).unwrap(),
        ..Queue::new()
    };
    for mut queue in [failed, restored] {
        assert_eq!(queue.troubles(TOLD + 3_599), trouble);
        for now in [TOLD + 3_600, ahead, ahead + 60] {
            queue = tell(queue, &late, now);
            assert_eq!(queue.troubles(now), [], "{now}");
        }
        // The next one is trouble of its own.
        let again = ahead + 100;
        queue = tell(queue, &end(Vec::new(), again), again + 5);
        assert_eq!(queue.troubles(again + 5), [(Ailment::Failed, again)]);
    }
}

#[test]
fn the_stage_is_that_at_which_the_stall_was_declared() {
    let settings = TranscodeSettings {
        expect_every_upload: true,
        ..TranscodeSettings::default()
    };
    let queue = Queue::with(settings)
        .learn(&[upload()])
        .seen_until(UPLOAD + 3_600);
    let stalled = [(Ailment::Stalled(Stage::Submit), UPLOAD + 3_600)];
    assert_eq!(queue.troubles(UPLOAD + 3_700), stalled);
    // It moves on after all, to the next stage.
    let queue = queue.learn(&[stream(Status::Success, UPLOAD + 3_800, UPLOAD + 3_900)]);
    assert_eq!(queue.troubles(UPLOAD + 4_000), stalled, "frozen");
}

#[test]
fn the_word_of_vod_ends_the_trouble_of_a_failed_video() {
    let settings = TranscodeSettings {
        reconciled: true,
        ..TranscodeSettings::default()
    };
    let failed_at = UPLOAD + 500;
    // A new run begins, and its callback is lost.
    let queue = Queue::with(settings).learn(&[
        upload(),
        analysis(Status::Success, UPLOAD + 3),
        end(Vec::new(), failed_at),
        stream(Status::Success, failed_at + 10, failed_at + 20),
    ]);
    let asked = failed_at + 10 + 900 + 120;
    let queue = queue.seen_until(asked);
    assert_eq!(queue.overdue(Verdict::Unasked), 1);
    assert_eq!(queue.troubles(asked), [(Ailment::Failed, failed_at)]);
    let queue = queue.judge(Verdict::CallbackLost, Stage::Transcode, asked + 5);
    assert_eq!(queue.troubles(asked + 5), []);
}

#[test]
fn a_failure_tells_whose_fault_it_is() {
    let failed = Event {
        error: Some(ErrorCode::InternalError),
        ..end(Vec::new(), UPLOAD + 50)
    };
    let queue = Queue::new().learn(&[upload(), failed]);
    let trouble = queue.transcodes.troubles(secs(UPLOAD + 60)).next().unwrap();
    assert_eq!(
        trouble.failure,
        Some((Fault::Service, ErrorCode::InternalError))
    );
    assert_eq!(trouble.last_sign, secs(UPLOAD + 50));
}

#[test]
fn an_abandoned_video_stays_in_trouble_for_a_day_unless_it_is_heard_of() {
    const CLOSED: i64 = UPLOAD + 48 * 3_600;
    const DAY: i64 = 24 * 3_600;
    let known = [upload(), stream(Status::Fail, UPLOAD, UPLOAD + 9)];
    let stalled = [(Ailment::Stalled(Stage::Transcode), UPLOAD + 3_600)];
    let abandoned = || {
        let queue = Queue::new().learn(&known).seen_until(UPLOAD + 4_000);
        queue.seen_until(CLOSED)
    };
    assert_eq!(abandoned().state(), Some(State::Closed));
    assert_eq!(abandoned().stalled(), [0, 0], "the gauges are rid of it");
    assert_eq!(abandoned().troubles(CLOSED + DAY - 1), stalled);
    assert_eq!(abandoned().troubles(CLOSED + DAY), []);
    assert_eq!(
        abandoned()
            .seen_until(CLOSED + DAY - 1)
            .troubles(CLOSED + DAY - 1),
        stalled,
        "it is remembered as long"
    );
    let until = |queue: &Queue| {
        let trouble = queue.transcodes.troubles(secs(CLOSED)).next().unwrap();
        trouble.abandoned.map(|abandoned| abandoned.until)
    };
    assert_eq!(until(&abandoned()), Some(secs(CLOSED + DAY)));
    for heard in [
        end(Vec::new(), UPLOAD + 5_000),
        event(EventType::DeleteMediaComplete, Status::Success, CLOSED + 10),
        stream(Status::Success, CLOSED + 10, CLOSED + 20),
    ] {
        let queue = abandoned().learn(std::slice::from_ref(&heard));
        assert_eq!(queue.troubles(CLOSED + 30), [], "{heard:?}");
    }
    // Nobody was told of one that was never seen stalled.
    let unseen = Queue::new().learn(&known).seen_until(CLOSED);
    assert_eq!(unseen.troubles(CLOSED), []);
}

#[test]
fn who_gets_into_trouble_later_stands_behind() {
    let of = |number: u8, event: Event| Event {
        media: Some(media(number)),
        ..event
    };
    let failed = |number, at| of(number, end(Vec::new(), at));
    let places = |queue: &Queue, now| -> Vec<(MediaKey, u32)> {
        let troubles = queue.transcodes.troubles(secs(now));
        let mut places: Vec<_> = troubles
            .map(|trouble| (trouble.media, trouble.place))
            .collect();
        places.sort();
        places
    };
    // Its deadline passes long before the others fail, and it is noticed after that.
    let queue = Queue::new().learn(&[
        of(1, upload()),
        of(1, stream(Status::Fail, UPLOAD, UPLOAD + 9)),
        failed(2, UPLOAD + 7_000),
        failed(3, UPLOAD + 7_000),
    ]);
    let queue = queue.seen_until(UPLOAD + 7_001);
    let expected = [(media(1), 3), (media(2), 1), (media(3), 2)];
    assert_eq!(places(&queue, UPLOAD + 7_001), expected);
    // One that stays in trouble keeps its place, and one that comes back does not.
    let queue = queue.learn(&[failed(1, UPLOAD + 8_000), failed(2, UPLOAD + 8_000)]);
    assert_eq!(places(&queue, UPLOAD + 8_001), expected);
    let queue = queue.learn(&[failed(2, UPLOAD + 20_000)]);
    assert_eq!(places(&queue, UPLOAD + 20_001), [(media(2), 4)]);
}

#[test]
fn an_ended_video_is_remembered_for_a_day() {
    let queue = Queue::new().learn(&[upload(), end(Vec::new(), UPLOAD + 20)]);
    let queue = queue.seen_until(UPLOAD + 24 * 3_600);
    assert_eq!(queue.transcodes.table.len(), 1);
    let queue = queue.seen_until(UPLOAD + 20 + 24 * 3_600);
    assert_eq!(queue.transcodes.table.len(), 0);
}

#[test]
fn where_vod_can_be_asked_its_word_decides() {
    let settings = TranscodeSettings {
        reconciled: true,
        ..TranscodeSettings::default()
    };
    let overdue = || {
        let known = [upload(), stream(Status::Success, UPLOAD + 5, UPLOAD + 9)];
        Queue::with(settings)
            .learn(&known)
            .seen_until(UPLOAD + 3_600)
    };
    assert_eq!(
        (overdue().overdue(Verdict::Unasked), overdue().stalled()),
        (1, [0, 0])
    );
    let slow = overdue().judge(Verdict::Slow, Stage::Transcode, UPLOAD + 3_700);
    assert_eq!((slow.overdue(Verdict::Slow), slow.counts.stalls), (1, 0));
    let stalled = overdue().judge(Verdict::Stalled, Stage::Transcode, UPLOAD + 3_700);
    assert_eq!((stalled.stalled(), stalled.counts.stalls), ([0, 1], 1));
    let again = stalled.judge(Verdict::Stalled, Stage::Submit, UPLOAD + 3_800);
    assert_eq!(
        (again.stalled(), again.counts.stalls),
        ([0, 1], 1),
        "the stage is frozen"
    );
    let lost = overdue().judge(Verdict::CallbackLost, Stage::Transcode, UPLOAD + 3_700);
    let none_left = Summary {
        reconciled: true,
        ..Summary::default()
    };
    assert_eq!(lost.transcodes.summary(), none_left);
    assert_eq!(lost.counts.closed[Verdict::CallbackLost.index()], 1);
    let late = lost.learn(&[end(
        vec![output(Status::Success, UPLOAD + 5, UPLOAD + 9)],
        UPLOAD + 10,
    )]);
    assert_eq!(late.state(), Some(State::Done), "a callback after all");
    assert_eq!(late.transcodes.summary().in_flight, 0);
}

#[test]
fn an_old_video_that_vod_still_transcodes_is_asked_about_before_it_is_abandoned() {
    let mut queue = Queue::with(TranscodeSettings {
        reconciled: true,
        ..TranscodeSettings::default()
    });
    let now = secs(UPLOAD + 60 * 3600);
    queue.transcodes.sweep(
        &media(1),
        secs(UPLOAD),
        now,
        &mut queue.counts,
        &mut queue.turn,
    );
    queue
        .transcodes
        .expire(now, now, &mut queue.counts, &mut queue.turn);
    assert_eq!(queue.overdue(Verdict::Unasked), 1);
    assert_eq!(queue.counts.closed[Verdict::Abandoned.index()], 0);
    let later = secs(UPLOAD + 85 * 3600);
    queue
        .transcodes
        .expire(later, later, &mut queue.counts, &mut queue.turn);
    assert_eq!(queue.counts.closed[Verdict::Abandoned.index()], 1);
}

#[test]
fn a_verdict_on_what_is_not_overdue_changes_nothing() {
    let queue = Queue::new()
        .learn(&[upload()])
        .judge(Verdict::Deleted, Stage::Submit, UPLOAD + 5);
    assert_eq!(queue.state(), Some(State::Uploaded));
}

#[test]
fn a_full_table_drops_ended_videos_first_and_counts_it() {
    let settings = TranscodeSettings {
        max_videos: 3,
        ..TranscodeSettings::default()
    };
    let mut queue = Queue::with(settings);
    for number in 1..=4 {
        let mut events = vec![Event {
            media: Some(media(number)),
            ..upload()
        }];
        if number == 2 {
            events.push(Event {
                media: Some(media(2)),
                ..end(Vec::new(), UPLOAD + 5)
            });
        }
        queue = queue.learn(&events);
    }
    assert_eq!(queue.transcodes.evicted(), 1);
    assert!(queue.transcodes.table.get(&media(2)).is_none());
    assert_eq!(queue.transcodes.summary().in_flight, 3);
}

#[test]
fn what_is_stored_comes_back_as_it_was() {
    let queue = Queue::new()
        .learn(&[upload(), stream(Status::Success, UPLOAD + 5, UPLOAD + 9)])
        .learn(&[event(
            EventType::TranscodeComplete,
            Status::Fail,
            UPLOAD + 9,
        )])
        .seen_until(UPLOAD + 3_600);
    let stored = serde_json::to_string(&queue.transcodes).unwrap();
    let restored: Transcodes = serde_json::from_str(&stored).unwrap();
    assert_eq!(restored, queue.transcodes);
    let troubles = |queue: &Transcodes| -> Vec<_> {
        let now = UnixMillis::from_secs(UPLOAD + 10);
        queue.troubles(now).map(|trouble| trouble.place).collect()
    };
    assert_eq!(troubles(&restored), troubles(&queue.transcodes));
    assert_eq!(troubles(&restored), [1]);
    assert_eq!(restored.summary(), queue.transcodes.summary());
    assert!(restored.rows().eq(queue.transcodes.rows()));
    assert_eq!(restored.next_deadline(), queue.transcodes.next_deadline());
}

/// The events of a video's life: up to two runs, with everything that VOD may tell of them.
fn life() -> impl Strategy<Value = Vec<Event>> {
    let status = prop_oneof![Just(Status::Success), Just(Status::Fail)];
    let run = |from: i64| {
        prop::collection::vec((status.clone(), 0..20_i64, 1..20_i64), 0..3).prop_flat_map(
            move |outputs| {
                let outputs: Vec<Stream> = outputs
                    .into_iter()
                    .map(|(status, wait, took)| output(status, from + wait, from + wait + took))
                    .collect();
                let ended = prop::bool::ANY;
                (Just(outputs), ended).prop_map(move |(outputs, ended)| {
                    let mut events: Vec<Event> = outputs
                        .iter()
                        .map(|output| Event {
                            streams: vec![output.clone()],
                            ..event(
                                EventType::StreamTranscodeComplete,
                                output.status,
                                output.finish.unwrap().0 / 1000,
                            )
                        })
                        .collect();
                    if ended {
                        events.push(end(outputs, from + 50));
                    }
                    events
                })
            },
        )
    };
    let optional = |events: Vec<Event>| prop::sample::subsequence(events.clone(), 0..=events.len());
    let around = optional(vec![
        upload(),
        analysis(Status::Success, UPLOAD + 3),
        analysis(Status::Fail, UPLOAD + 4),
        event(
            EventType::DeleteMediaComplete,
            Status::Success,
            UPLOAD + 200,
        ),
    ]);
    (around, run(UPLOAD + 10), run(UPLOAD + 100))
        .prop_map(|(around, first, second)| [around, first, second].concat())
}

/// What the life comes to, said without a word about order.
fn obvious(events: &[Event]) -> (bool, bool) {
    let deleted = events.iter().any(|event| event.deletes_media);
    let ends = events
        .iter()
        .filter(|event| event.event_type == EventType::TranscodeComplete);
    let ended = ends.map(|event| event.event_time).max();
    let started = events
        .iter()
        .flat_map(|event| &event.streams)
        .filter_map(|stream| stream.start)
        .max();
    let open = !deleted && ended.is_none_or(|ended| started > Some(ended));
    (open, deleted)
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_ends_in_the_same_state(
        (events, shuffled) in life().prop_filter("something happens", |life| !life.is_empty()).prop_flat_map(|life| {
            let twice = [life.clone(), life.clone()].concat();
            (Just(life), Just(twice).prop_shuffle())
        })
    ) {
        let until = UPLOAD + 24 * 3_600 - 1;
        let (open, deleted) = obvious(&events);
        let told = |events: &[Event]| {
            let queue = Queue::new().learn(events).seen_until(until);
            (queue.state(), queue.transcodes.summary(), queue.transcodes.rows().collect::<Vec<_>>())
        };
        let (state, summary, rows) = told(&shuffled);
        prop_assert_eq!(summary.in_flight, u64::from(open));
        prop_assert_eq!(state == Some(State::Deleted), deleted);
        if !open {
            prop_assert_eq!(summary.stalled, [0; Stage::COUNT], "an ended video is never stalled");
        }
        prop_assert_eq!((state, summary, rows), told(&events));
    }

    #[test]
    fn the_tally_is_what_counting_gives(
        steps in prop::collection::vec((1..6_u8, 0..7_u8, 0..400_i64), 1..120)
    ) {
        let settings = TranscodeSettings { max_videos: 4, ..TranscodeSettings::default() };
        let mut queue = Queue::with(settings);
        let mut now = UPLOAD;
        for (number, what, later) in steps {
            now += later * 10;
            let known = Some(media(number));
            queue = match what {
                0 => queue.learn(&[Event { media: known, event_time: secs(now), ..upload() }]),
                1 => queue.learn(&[Event { media: known, ..stream(Status::Success, now - 5, now) }]),
                2 => queue.learn(&[Event { media: known, ..end(Vec::new(), now) }]),
                3 => queue.judge(Verdict::Slow, Stage::Transcode, now),
                4 => queue.judge(Verdict::NotTranscoded, Stage::Submit, now),
                _ => queue.seen_until(now),
            };
            let summary = queue.transcodes.summary();
            let rows: Vec<TranscodeRow> = queue.transcodes.rows().collect();
            prop_assert_eq!(summary.in_flight, rows.len() as u64);
            for verdict in Verdict::ALL {
                let count = rows.iter().filter(|row| row.verdict == Some(*verdict)).count() as u64;
                prop_assert_eq!(summary.overdue[verdict.index()], count);
            }
            prop_assert!(queue.transcodes.table.len() <= 4);
        }
    }
}

#[test]
fn a_video_is_small() {
    assert!(size_of::<Video>() <= 72, "{}", size_of::<Video>());
}
