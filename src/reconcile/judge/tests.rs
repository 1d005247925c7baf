use proptest::prelude::*;

use super::*;
use crate::vod::api::{Job, VideoInfo};

const MINUTE: i64 = 60_000;

fn media() -> MediaKey {
    MediaKey::of("a1c0ffee0d1871f1bd2d000000000102")
}

/// Started at 0 with a deadline of 15 min.
fn overdue(verdict: Verdict) -> Overdue {
    Overdue {
        media: media(),
        started: UnixMillis(0),
        since: UnixMillis(15 * MINUTE),
        deadline_millis: 15 * 60_000,
        verdict,
    }
}

/// Everything was heard until now, and a stream ended just now.
fn at(minute: i64) -> Situation {
    let now = UnixMillis(minute * MINUTE);
    Situation {
        now,
        view_complete: true,
        observed_until: Some(now),
        last_stream_finished: Some(now),
    }
}

/// Judges one finding after the other, two minutes apart; the ledger keeps the last verdict.
fn row(verdict: Verdict, findings: &[Finding]) -> Vec<Option<Verdict>> {
    let (mut judge, mut video) = (Judge::default(), overdue(verdict));
    (10..)
        .map(|poll| poll * 2)
        .zip(findings)
        .map(|(minute, finding)| {
            let judged = judge.judge(&video, *finding, &at(minute));
            let judged = judged.map(|judgement| judgement.verdict);
            video.verdict = judged.unwrap_or(video.verdict);
            judged
        })
        .collect()
}

fn summary(status: TaskStatus, jobs: &[(JobStatus, Option<u8>)]) -> TranscodeSummary {
    let job = |(status, progress): &(JobStatus, Option<u8>)| Job {
        status: *status,
        progress: *progress,
    };
    TranscodeSummary {
        media: media(),
        status,
        completed: Some(UnixMillis(7)),
        jobs: jobs.iter().map(job).collect(),
    }
}

#[test]
fn a_summary_tells_whether_it_runs_and_how_far_it_is() {
    use JobStatus::{Fail, Other, Success, Transcoding};
    let read = |status, jobs: &[_]| of_summary(Some(&summary(status, jobs)));
    assert_eq!(of_summary(None), None);
    for (jobs, finding) in [
        (&[][..], Finding::Running(0)),
        (
            &[(Transcoding, Some(0)), (Transcoding, Some(0))],
            Finding::Running(0),
        ),
        (
            &[(Success, None), (Fail, None), (Transcoding, Some(40))],
            Finding::Running(240),
        ),
        (&[(Transcoding, None)], Finding::Unclear),
        (&[(Other, Some(3))], Finding::Unclear),
    ] {
        assert_eq!(read(TaskStatus::Processing, jobs), Some(finding));
        assert_eq!(read(TaskStatus::Partial, jobs), Some(finding));
    }
    let finished = Some(Finding::Finished(Some(UnixMillis(7))));
    assert_eq!(read(TaskStatus::CompleteAllSucc, &[]), finished);
    assert_eq!(read(TaskStatus::CompleteAllFail, &[]), finished);
    assert_eq!(read(TaskStatus::CompletePartialSucc, &[]), finished);
    assert_eq!(read(TaskStatus::Other, &[]), Some(Finding::Unclear));
}

#[test]
fn a_media_file_tells_why_there_is_no_transcode() {
    use MediaStatus::{
        Blocked, Checking, Normal, ProduceFail, TranscodeFail, Transcoding, UploadFail, UploadSucc,
        Uploading,
    };
    let read = |status, group: &str, finished| {
        let infos = VideoInfos {
            found: vec![VideoInfo {
                media: media(),
                status,
                template_group: group.into(),
            }],
            missing: vec![MediaKey::of("another")],
        };
        of_info(&media(), &infos, finished, &["listed".to_owned()])
    };
    let closed = Finding::Closed;
    for (status, group, finding) in [
        (Normal, "g", closed(Verdict::NotTranscoded)),
        (UploadSucc, "g", Finding::Unsubmitted),
        (UploadSucc, "listed", closed(Verdict::NotTranscoded)),
        (
            UploadSucc,
            "VOD_NO_TRANSCODE",
            closed(Verdict::NotTranscoded),
        ),
        (Checking, "g", closed(Verdict::InReview)),
        (Blocked, "g", closed(Verdict::InReview)),
        (Transcoding, "g", Finding::Running(0)),
        (TranscodeFail, "g", Finding::Finished(None)),
        (Uploading, "g", Finding::Unclear),
        (UploadFail, "g", Finding::Unclear),
        (ProduceFail, "g", Finding::Unclear),
        (MediaStatus::Other, "g", Finding::Unclear),
    ] {
        assert_eq!(read(status, group, None), finding, "{status:?} {group}");
    }
    let finished = Finding::Finished(None);
    assert_eq!(read(Normal, "g", Some(finished)), finished);
    assert_eq!(
        read(Checking, "g", Some(finished)),
        closed(Verdict::InReview)
    );
    let infos = VideoInfos {
        found: Vec::new(),
        missing: vec![media()],
    };
    assert_eq!(
        of_info(&media(), &infos, Some(finished), &[]),
        closed(Verdict::Deleted)
    );
    let nothing = VideoInfos::default();
    assert_eq!(
        of_info(&media(), &nothing, Some(finished), &[]),
        Finding::Unclear,
        "left out of half an answer"
    );
}

#[test]
fn three_polls_without_progress_are_a_stall_and_progress_ends_it() {
    use Verdict::{Slow, Stalled};
    let found = row(
        Verdict::Unasked,
        &[10, 10, 20, 20, 20, 20, 25, 25].map(Finding::Running),
    );
    let expected = [Slow, Slow, Slow, Slow, Stalled, Stalled, Slow, Slow];
    assert_eq!(found, expected.map(Some));
}

#[test]
fn a_stall_outlasts_a_restart_and_refusals() {
    let found = row(
        Verdict::Stalled,
        &[
            Finding::Running(10),
            Finding::Unclear,
            Finding::Running(10),
            Finding::Running(0),
            Finding::Running(5),
        ],
    );
    assert_eq!(
        found,
        [
            Some(Verdict::Stalled),
            None,
            Some(Verdict::Stalled),
            Some(Verdict::Stalled),
            Some(Verdict::Slow)
        ]
    );
    assert_eq!(
        row(Verdict::Unasked, &[Finding::Unclear]),
        [Some(Verdict::Unknown)]
    );
}

#[test]
fn one_that_waits_is_stalled_after_four_deadlines() {
    let (mut judge, video) = (Judge::default(), overdue(Verdict::Unasked));
    let mut verdict_at = |minute| {
        let judged = judge.judge(&video, Finding::Running(0), &at(minute));
        judged.unwrap().verdict
    };
    assert_eq!(verdict_at(20), Verdict::Waiting);
    assert_eq!(verdict_at(60), Verdict::Waiting);
    assert_eq!(verdict_at(61), Verdict::Stalled);
}

#[test]
fn one_that_waits_is_stalled_while_its_queue_stands_still() {
    let video = overdue(Verdict::Unasked);
    let verdict = |situation| {
        let judged = Judge::default().judge(&video, Finding::Running(0), &situation);
        judged.unwrap().verdict
    };
    let idle_since = |minute| Situation {
        last_stream_finished: Some(UnixMillis(minute * MINUTE)),
        ..at(30)
    };
    assert_eq!(verdict(idle_since(15)), Verdict::Stalled);
    assert_eq!(verdict(idle_since(16)), Verdict::Waiting);
    let never = Situation {
        last_stream_finished: None,
        ..at(30)
    };
    assert_eq!(verdict(never), Verdict::Stalled);
    let backlog = Situation {
        observed_until: Some(UnixMillis(16 * MINUTE)),
        ..idle_since(15)
    };
    assert_eq!(
        verdict(backlog),
        Verdict::Waiting,
        "streams of the last minutes may still be in the queue"
    );
    let peeking = Situation {
        view_complete: false,
        ..idle_since(15)
    };
    assert_eq!(
        verdict(peeking),
        Verdict::Waiting,
        "streams go unseen while peeking"
    );
}

#[test]
fn an_upload_without_a_transcode_is_stalled_until_one_is_submitted() {
    let mut judge = Judge::default();
    let first = judge.judge(&overdue(Verdict::Unasked), Finding::Unsubmitted, &at(20));
    let first = first.unwrap();
    assert_eq!(
        (first.verdict, first.stage),
        (Verdict::Stalled, Stage::Submit)
    );
    let then = judge.judge(&overdue(Verdict::Stalled), Finding::Running(0), &at(22));
    let then = then.unwrap();
    assert_eq!(
        (then.verdict, then.stage),
        (Verdict::Waiting, Stage::Transcode)
    );
}

#[test]
fn a_callback_is_lost_only_once_it_could_have_been_heard() {
    let video = overdue(Verdict::Unasked);
    let finished = Finding::Finished(Some(UnixMillis(20 * MINUTE)));
    let verdict = |finding, situation| {
        let judged = Judge::default().judge(&video, finding, &situation);
        judged.map(|judgement| judgement.verdict)
    };
    assert_eq!(verdict(finished, at(21)), None);
    assert_eq!(verdict(finished, at(22)), Some(Verdict::CallbackLost));
    let backlog = Situation {
        observed_until: Some(UnixMillis(21 * MINUTE)),
        ..at(300)
    };
    assert_eq!(verdict(finished, backlog), None);
    let unproven = Situation {
        observed_until: None,
        ..at(300)
    };
    assert_eq!(verdict(finished, unproven), None);
    let peeking = Situation {
        view_complete: false,
        ..unproven
    };
    assert_eq!(verdict(finished, peeking), Some(Verdict::DoneUnseen));
    let untimed = row(Verdict::Unasked, &[Finding::Finished(None); 2]);
    assert_eq!(untimed, [None, Some(Verdict::CallbackLost)]);
    let earlier = Finding::Finished(Some(UnixMillis(-5 * MINUTE)));
    assert_eq!(
        verdict(earlier, at(300)),
        Some(Verdict::Unknown),
        "that was another run"
    );
}

#[test]
fn what_was_asked_lately_is_not_due_and_the_longest_unasked_comes_first() {
    let mut judge = Judge::default();
    let video = |id: &str| Overdue {
        media: MediaKey::of(id),
        ..overdue(Verdict::Unasked)
    };
    let ids = |due: Vec<Overdue>| -> Vec<String> {
        due.iter().map(|video| video.media.to_string()).collect()
    };
    judge.judge(&video("a"), Finding::Unclear, &at(20));
    judge.judge(&video("b"), Finding::Unclear, &at(19));
    let all = || vec![video("a"), video("b"), video("c")];
    assert_eq!(ids(judge.due(all(), at(21).now)), ["c", "b"]);
    assert_eq!(ids(judge.due(all(), at(22).now)), ["c", "b", "a"]);
    judge.due(vec![video("a")], at(22).now);
    assert_eq!(judge.found.len(), 1, "the others are overdue no longer");
}

fn finding() -> impl Strategy<Value = Finding> {
    prop_oneof![
        4 => (0_u32..4).prop_map(|progress| Finding::Running(progress * 10)),
        1 => Just(Finding::Unclear),
    ]
}

proptest! {
    /// A stall is declared only by three equal polls in a row that were answered, and never ended by silence.
    #[test]
    fn stalls_begin_and_end_by_evidence(findings in prop::collection::vec(finding(), 1..20)) {
        let verdicts = row(Verdict::Unasked, &findings);
        let (mut told, mut stalled) = (Vec::new(), false);
        for (finding, verdict) in findings.iter().zip(verdicts) {
            if let Finding::Running(progress) = finding {
                told.push(*progress);
            }
            let last = &told[told.len().saturating_sub(3)..];
            let stuck = last.len() == 3 && last[0] > 0 && last.iter().all(|it| *it == last[0]);
            match verdict {
                // Within an hour nothing that waits is stalled, so that only progress can tell.
                Some(Verdict::Stalled) => prop_assert!(stuck || stalled),
                Some(Verdict::Slow) => {
                    let rose = last.len() < 2 || last[last.len() - 1] > last[last.len() - 2];
                    prop_assert!(rose || !stalled);
                }
                Some(Verdict::Unknown) => prop_assert!(!stalled),
                None => prop_assert!(stalled && *finding == Finding::Unclear),
                _ => prop_assert!(!stalled),
            }
            stalled = verdict.map_or(stalled, |verdict| verdict == Verdict::Stalled);
        }
    }
}
