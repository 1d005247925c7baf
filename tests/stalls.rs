//! Simulated days in seconds: which transcodes are said to be stalled, against what really happened to each.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::emulator::scenario::{Platform, Settings, State, Video};
use vod_callback_exporter::ledger::{
    Changes, Ledger, Mode, QueueIdentity, QueueIndex, QueueSettings, Record, Role, TranscodeRow,
    Verdict,
};
use vod_callback_exporter::mns::Message;
use vod_callback_exporter::recorder::sightings;

const QUEUE: QueueIndex = QueueIndex(0);
const START: UnixMillis = UnixMillis::from_secs(1_800_000_000);
const VIDEOS: usize = 50_000;

/// A platform whose callbacks a ledger consumes, hour by hour.
struct Days {
    platform: Platform,
    ledger: Ledger,
    now: UnixMillis,
    pushed: u64,
    /// Messages that wait in the queue while the exporter is away.
    waiting: Vec<(u64, String, UnixMillis)>,
    /// What became of every video; the platform remembers the last 10,000.
    truth: BTreeMap<String, Video>,
}

impl Days {
    fn new(settings: Settings) -> Self {
        let mut days = Self {
            platform: Platform::new(settings, 7, START),
            ledger: Ledger::new(1 << 20),
            now: START,
            pushed: 0,
            waiting: Vec::new(),
            truth: BTreeMap::new(),
        };
        days.open();
        days
    }

    fn open(&mut self) {
        let identity = Arc::new(QueueIdentity {
            id: "q".into(),
            mns_queue: "q".into(),
            endpoint: "http://127.0.0.1".into(),
            account: "".into(),
            region: "".into(),
            mode: Mode::Consume,
            role: Role::Callback,
        });
        let settings = QueueSettings::default();
        self.apply(&Record::Opened {
            queue: QUEUE,
            identity,
            settings,
            at: self.now,
        });
    }

    fn apply(&mut self, record: &Record) {
        self.ledger.apply(record, &mut Changes::default());
    }

    /// Lets the platform live for a minute; its callbacks wait in the queue.
    fn minute(&mut self) {
        self.now = self.now.plus(Duration::from_mins(1));
        for push in self.platform.step(self.now) {
            self.pushed += 1;
            self.waiting.push((self.pushed, push.body, push.at));
        }
    }

    /// Consumes what waits, and then knows that it has seen everything.
    fn consume(&mut self) {
        for (number, body, enqueued) in std::mem::take(&mut self.waiting) {
            let id = number.to_string();
            let message = Message {
                id: &id,
                receipt_handle: Some("h"),
                body: &body,
                body_md5: "",
                enqueue_time: enqueued,
                first_dequeue_time: self.now,
                next_visible_time: Some(self.now),
                dequeue_count: 1,
                priority: 8,
            };
            let sightings = sightings(std::iter::once(message));
            let messages = sightings.iter().map(|sighting| sighting.message).collect();
            let at = self.now;
            self.apply(&Record::Sighted {
                queue: QUEUE,
                at,
                sightings,
            });
            self.apply(&Record::Deleted {
                queue: QUEUE,
                at,
                messages,
            });
        }
        self.apply(&Record::Observed {
            queue: QUEUE,
            until: self.now,
        });
    }

    fn rows(&self) -> BTreeMap<String, TranscodeRow> {
        self.ledger
            .transcodes()
            .map(|(_, row)| (row.media.to_string(), row))
            .collect()
    }

    fn look(&mut self) {
        for video in &self.platform.truth().videos {
            self.truth.insert(video.id.clone(), video.clone());
        }
    }

    fn counts(&self) -> vod_callback_exporter::ledger::Counts {
        self.ledger
            .snapshot(self.now)
            .queues
            .first()
            .unwrap()
            .counts
            .clone()
    }

    /// Every stalled video really is, as far as callbacks can tell: VOD never finished it, or never said so.
    fn assert_no_false_stall(&mut self) {
        self.look();
        for (id, row) in self.rows() {
            if row.verdict == Some(Verdict::Stalled) {
                let video = self.truth.get(&id).expect("a video of the platform");
                assert!(
                    matches!(video.state, State::Stalled | State::LostCallback),
                    "{video:?} {row:?}"
                );
            }
        }
    }
}

fn settings() -> Settings {
    Settings {
        queues: vec!["q".to_owned()],
        uploads_per_second: 1.0,
        stalled_share: 0.02,
        lost_callback_share: 0.01,
        failure_share: 0.03,
        not_transcoded_share: 0.05,
        ..Settings::default()
    }
}

#[test]
fn without_asking_vod_no_stall_is_false_and_what_is_missed_has_shown_no_stream() {
    let mut days = Days::new(settings());
    while days.truth.len() < VIDEOS {
        days.minute();
        days.consume();
        if days.now.0 % 3_600_000 == 0 {
            days.assert_no_false_stall();
        }
    }
    days.assert_no_false_stall();

    let (rows, truth) = (days.rows(), &days.truth);
    let due = days.now.minus(Duration::from_hours(2));
    let horizon = days.now.minus(Duration::from_hours(47));
    let stuck: BTreeSet<&str> = truth
        .values()
        .filter(|video| {
            video.state == State::Stalled && (horizon..due).contains(&video.uploaded_at)
        })
        .map(|video| video.id.as_str())
        .collect();
    assert!(stuck.len() > 100, "{} stuck", stuck.len());
    let mut missed = Vec::new();
    for id in &stuck {
        let row = rows.get(*id).expect("a stuck video is in flight");
        let verdict = row.verdict.expect("and overdue");
        if verdict != Verdict::Stalled {
            assert_eq!(verdict, Verdict::Unknown, "{row:?}");
            assert_ne!(
                row.state.as_str(),
                "transcoding",
                "one whose stream was seen is not missed"
            );
            missed.push(*id);
        }
    }
    eprintln!("{} of {} missed: {missed:?}", missed.len(), stuck.len());
    assert!(missed.len() < stuck.len() / 2);
    let said = rows
        .values()
        .filter(|row| row.verdict == Some(Verdict::Stalled));
    assert!(said.count() >= stuck.len() - missed.len());
}

#[test]
fn an_outage_with_a_backlog_and_a_restart_in_it_makes_no_stall() {
    let calm = Settings {
        uploads_per_second: 3.0,
        stalled_share: 0.0,
        lost_callback_share: 0.0,
        ..settings()
    };
    let mut days = Days::new(calm);
    for _ in 0..30 {
        days.minute();
        days.consume();
    }
    // Two hours in which nothing is consumed, and a new start of the exporter.
    for minute in 0..120 {
        days.minute();
        if minute == 60 {
            days.open();
        }
    }
    assert!(days.waiting.len() > 100_000, "{} wait", days.waiting.len());
    days.consume();
    days.assert_no_false_stall();
    let counts = days.counts();
    assert_eq!(counts.stalls, 0);
    assert_eq!(counts.closed[Verdict::CallbackLost.index()], 0);
}
