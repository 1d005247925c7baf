//! The one table: each alert, what it fires in and how soon, and what it does not fire in.

use std::time::Duration;

use vod_callback_exporter::alertmanager::Sent;
use vod_callback_exporter::config::options::{Kind, OPTIONS};
use vod_callback_exporter::emulator::scenario::Settings;
use vod_callback_exporter::ledger::snapshot::Role;
use vod_callback_exporter::ledger::{Mode, TranscodeSettings, Verdict};

use super::proof::{Row, Variant};
use super::queue::Worker;
use super::sim::{MINUTE, Sim};
use super::world::{World, calm};

/// A tick after it has ended nothing is left to see of the queue.
const NO_EXPORTER: &[(Variant, &str)] = &[
    (Variant::Restart, "there is no exporter"),
    (Variant::Unreadable, "there is no exporter"),
    (Variant::FailedScrapes, "there is nothing to scrape"),
    (Variant::Gap, "there is nothing to scrape"),
];

/// Of an alert that another row holds against everything.
const LIKE_A_DAY: &[(Variant, &str)] = &[
    (Variant::Restart, "as where a day tells"),
    (Variant::Gap, "as where a day tells"),
    (Variant::Unreadable, "as where a day tells"),
    (Variant::Vanished, "as where a day tells"),
];

fn row(alert: &'static str, tells_after: u32, fires: World) -> Row {
    Row {
        alert,
        tells_after,
        fires,
        silent: Vec::new(),
        silent_minutes: tells_after + 30,
        ends: None,
        labels: &[&[("queue", "vod")]],
        thresholds: &[],
        without: &[],
    }
}

fn row_of(
    labels: &'static [&'static [(&'static str, &'static str)]],
    alert: &'static str,
    tells_after: u32,
    fires: World,
) -> Row {
    Row {
        labels,
        ..row(alert, tells_after, fires)
    }
}

fn consumed(trouble: fn(&mut Sim)) -> World {
    World {
        trouble,
        ..World::default()
    }
}

fn peeked(trouble: fn(&mut Sim)) -> World {
    World {
        mode: Mode::Peek,
        ..consumed(trouble)
    }
}

/// VOD's API refuses, and stalls are nowhere to be seen.
fn refused(world: World) -> World {
    World {
        minute: |sim, _| sim.vod_refuses = true,
        ..world
    }
}

const SERVICE: &[&[(&str, &str)]] = &[
    &[
        ("queue", "vod"),
        ("event_type", "StreamTranscodeComplete"),
        ("fault", "service"),
    ],
    &[
        ("queue", "vod"),
        ("event_type", "TranscodeComplete"),
        ("fault", "service"),
    ],
];
const CONFIG: &[&[(&str, &str)]] = &[
    &[
        ("queue", "vod"),
        ("event_type", "StreamTranscodeComplete"),
        ("fault", "config"),
    ],
    &[
        ("queue", "vod"),
        ("event_type", "TranscodeComplete"),
        ("fault", "config"),
    ],
];
const OTHER: &[&[(&str, &str)]] = &[
    &[
        ("queue", "vod"),
        ("event_type", "StreamTranscodeComplete"),
        ("fault", "other"),
    ],
    &[
        ("queue", "vod"),
        ("event_type", "TranscodeComplete"),
        ("fault", "other"),
    ],
];
const SUMMARIES: &[&[(&str, &str)]] = &[&[
    ("job", "exporter"),
    ("account", "default"),
    ("operation", "GetTranscodeSummary"),
]];
const SWEEPS: &[&[(&str, &str)]] = &[&[
    ("job", "exporter"),
    ("account", "default"),
    ("operation", "GetVideoList"),
]];

/// So many uploads a minute, none of which goes well.
fn bad(per_minute: f64, change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings {
        failure_share: 0.0,
        partial_failure_share: 0.0,
        broken_source_share: 0.0,
        deleted_share: 0.0,
        duplicate_share: 0.0,
        live_record_share: 0.0,
        reordered_share: 0.0,
        side_event_share: 0.0,
        url_upload_share: 0.0,
        ..calm(per_minute)
    };
    change(&mut settings);
    settings
}

fn failing(per_minute: f64, code: &str) -> Settings {
    bad(per_minute, |settings| {
        settings.failure_share = 1.0;
        settings.failure_codes = vec![(code.to_owned(), 1)];
    })
}

fn stalling(per_minute: f64) -> Settings {
    bad(per_minute, |settings| settings.stalled_share = 1.0)
}

/// Nothing of them is playable for hours.
pub(crate) fn crawling(per_minute: f64) -> Settings {
    bad(per_minute, |settings| {
        settings.queue_wait = Duration::from_hours(5);
    })
}

/// One video a minute beside what the trouble adds.
pub(crate) fn trickle(trouble: fn(&mut Sim)) -> World {
    World {
        platform: Settings {
            failure_share: 0.0,
            reordered_share: 0.0,
            deleted_share: 0.0,
            ..calm(0.9)
        },
        calm: 120,
        ..consumed(trouble)
    }
}

fn losing(per_minute: f64) -> Settings {
    bad(per_minute, |settings| settings.lost_callback_share = 1.0)
}

/// Files that are no videos: nobody's fault here.
fn broken(per_minute: f64) -> Settings {
    bad(per_minute, |settings| settings.broken_source_share = 1.0)
}

/// Whether a queue is not looked at in this minute because its `tick` is the longest that a config may have.
fn between_longest_ticks(minute: u32) -> bool {
    let tick = OPTIONS
        .iter()
        .find(|option| option.path == "queues[].tick")
        .unwrap();
    let Kind::Seconds(_, most) = tick.kind else {
        panic!("`tick` is a time");
    };
    !u64::from(minute).is_multiple_of(most / 60)
}

macro_rules! table {
    ($($test:ident: $row:expr;)+) => {
        /// Alerts of all rows.
        pub(crate) fn rows() -> Vec<Row> {
            vec![$($row),+]
        }

        mod fires_in_time_and_else_is_silent {
            use super::*;

            $(
                #[tokio::test]
                async fn $test() {
                    super::super::proof::prove($row).await;
                }
            )+
        }
    };
}

table! {
    // The first upload comes within 4 minutes, its deadline 18 later, and VOD is asked for 6.
    transcodes_stalled: Row {
        silent: vec![
            ("slow, but moving", consumed(|sim| {
                sim.vod_says = Verdict::Slow;
                sim.add(stalling(0.6));
            })),
            ("lost callbacks", consumed(|sim| sim.add(losing(0.6)))),
        ],
        ends: Some((World {
            minute: |sim, minute| if minute == 45 { sim.vod_says = Verdict::Deleted },
            ..consumed(|sim| sim.add(stalling(0.6)))
        }, 80)),
            ..row("VodTranscodesStalled", 25, consumed(|sim| sim.add(stalling(0.6))))
    };
    service_faults: Row {
        silent: vec![
            ("a few", consumed(|sim| sim.add(failing(0.06, "InternalError")))),
            ("broken files", consumed(|sim| sim.add(broken(4.0)))),
            ("settings", consumed(|sim| sim.add(failing(2.0, "KeyNotFound")))),
            ("hardly any traffic", World {
                platform: calm(0.02),
                ..consumed(|sim| sim.add(failing(0.1, "InternalError")))
            }),
        ],
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.platforms.truncate(1) },
            ..consumed(|sim| sim.add(failing(2.0, "InternalError")))
        }, 70)),
            labels: SERVICE,
        ..row("VodServiceFaults", 4, consumed(|sim| sim.add(failing(2.0, "InternalError"))))
    };
    service_faults_peeked: Row {
        labels: SERVICE,
        ..row("VodServiceFaults", 2, peeked(|sim| {
            sim.worker = Worker::Behind(MINUTE * 2);
            sim.add(failing(2.0, "InternalError"));
        }))
    };
    config_faults: Row {
        silent: vec![
            ("a few", consumed(|sim| sim.add(failing(0.06, "InvalidParameter.TemplateNotFound")))),
            ("broken files", consumed(|sim| sim.add(broken(4.0)))),
            ("VOD's own", consumed(|sim| sim.add(failing(2.0, "InternalError")))),
        ],
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.platforms.truncate(1) },
            ..consumed(|sim| sim.add(failing(2.0, "InvalidParameter.TemplateNotFound")))
        }, 70)),
            labels: CONFIG,
        ..row("VodConfigFaults", 4, consumed(|sim| sim.add(failing(2.0, "InvalidParameter.TemplateNotFound"))))
    };
    // Eight videos within half an hour: six hours have to tell, and of videos only.
    config_faults_of_a_small_site: row_of(&CONFIG[1..], "VodConfigFaults", 78, World {
        platform: calm(0.001),
        ..consumed(|sim| sim.add(failing(0.27, "InvalidParameter.TemplateNotFound")))
    });
    other_faults: Row {
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.platforms.truncate(1) },
            ..consumed(|sim| sim.add(failing(3.0, "Unheard.Of")))
        }, 70)),
        silent: vec![
            ("some", consumed(|sim| sim.add(failing(0.25, "Unheard.Of")))),
            // VOD tells no code for some of them.
            ("broken files", consumed(|sim| sim.add(broken(1.0)))),
        ],
        labels: OTHER,
        ..row("VodOtherFaults", 10, consumed(|sim| sim.add(failing(3.0, "Unheard.Of"))))
    };
    // The first upload within 4 minutes, the deadline 18 later.
    callbacks_lost: Row {
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.platforms.truncate(1) },
            ..consumed(|sim| sim.add(losing(0.6)))
        }, 140)),
        silent: vec![("never finished", consumed(|sim| sim.add(stalling(0.6))))],
        ..row("VodCallbacksLost", 19, consumed(|sim| sim.add(losing(0.6))))
    };
    transcodes_abandoned: {
        let abandoning = |hours, trouble| World {
            transcodes: TranscodeSettings {
                abandon_after: Duration::from_hours(hours),
                ..World::default().transcodes
            },
            ..consumed(trouble)
        };
        Row {
            silent: vec![
                ("not that old", abandoning(4, |sim| sim.add(stalling(0.6)))),
                ("closed before", abandoning(2, |sim| sim.add(losing(0.6)))),
            ],
            // The last one is abandoned after 2 hours, and counts for one more.
            ends: Some((World {
                minute: |sim, minute| if minute == 20 { sim.platforms.truncate(1) },
                ..abandoning(2, |sim| sim.add(stalling(0.6)))
            }, 205)),
            ..row("VodTranscodesAbandoned", 122, abandoning(2, |sim| sim.add(stalling(0.6))))
        }
    };
    callback_config_wrong: {
        let configured = |trouble| World {
            calm: 20,
            ..consumed(trouble)
        };
        Row {
            ends: Some((World {
                minute: |sim, minute| if minute == 20 { sim.configure_callback("vod", &["ALL"]) },
                ..configured(|sim| sim.configure_callback("vod", &["FileUploadComplete", "TranscodeComplete"]))
            }, 28)),
            silent: vec![("right", configured(|sim| sim.configure_callback("vod", &["ALL"])))],
            labels: &[&[("queue", "vod"), ("check", "events")]],
            ..row("VodCallbackConfigWrong", 1, configured(|sim| {
                sim.configure_callback("vod", &["FileUploadComplete", "TranscodeComplete"]);
            }))
        }
    };
    view_incomplete: Row {
        silent: vec![("three an hour", consumed(|sim| sim.strangers = 3))],
        // A day after the last of them, and what was scraped before leaves the range.
        ends: Some((consumed(|sim| sim.strangers = 4), 24 * 60 + 10)),
        ..row("VodViewIncomplete", 2, consumed(|sim| sim.strangers = 4))
    };
    stall_detection_blind: Row {
        silent: vec![("consumed without asking", consumed(|sim| sim.ask_vod(false)))],
        ends: Some((World {
            minute: |sim, minute| if minute == 40 { sim.ask_vod(true) },
            ..peeked(|sim| sim.ask_vod(false))
        }, 45)),
        // The last look with VOD's help leaves the range.
        ..row("VodStallDetectionBlind", 6, peeked(|sim| sim.ask_vod(false)))
    };
    stall_detection_refused: Row {
        silent: vec![("every other minute", World {
            minute: |sim, minute| sim.vod_refuses = minute % 2 == 0,
            ..consumed(|sim| sim.add(stalling(0.6)))
        })],
        silent_minutes: 120,
        ends: Some((World {
            minute: |sim, minute| sim.vod_refuses = minute < 65,
            ..consumed(|sim| sim.add(stalling(0.6)))
        }, 80)),
            labels: SUMMARIES,
        // Nothing was asked of single videos before the first one is overdue.
        ..row("VodStallDetectionBlind", 20, refused(consumed(|sim| sim.add(stalling(0.6)))))
    };
    stall_detection_refused_peeked: Row {
        ends: Some((World {
            minute: |sim, minute| sim.vod_refuses = minute < 65,
            ..peeked(|sim| sim.add(stalling(0.6)))
        }, 80)),
            labels: SUMMARIES,
        ..row("VodStallDetectionBlind", 19, refused(peeked(|sim| sim.add(stalling(0.6)))))
    };
    // Nothing is overdue: only the sweeps tell, once half an hour holds no good one.
    stall_detection_refused_while_all_is_well: Row {
        labels: SWEEPS,
        ..row("VodStallDetectionBlind", 26, refused(consumed(|_| {})))
    };
    queue_silent: {
        let day = |platform, trouble| World {
            calm: 26 * 60,
            platform,
            ..consumed(trouble)
        };
        let busy = || calm(0.4);
        Row {
            silent: vec![
                ("quiet as ever", day(calm(0.01), |sim| sim.platforms.clear())),
                ("events go on", day(busy(), |_| {})),
                ("no history", World { calm: 120, platform: busy(), ..consumed(|sim| sim.platforms.clear()) }),
                ("peeked", World { mode: Mode::Peek, ..day(busy(), |sim| sim.platforms.clear()) }),
            ],
            silent_minutes: 180,
            ends: Some((World {
                minute: |sim, minute| if minute == 140 { sim.add(calm(0.4)) },
                ..day(busy(), |sim| sim.platforms.clear())
            }, 155)),
            ..row("VodQueueSilent", 120, day(busy(), |sim| sim.platforms.clear()))
        }
    };
    // Counters and the last event are forgotten in the restart.
    queue_silent_without_state: row("VodQueueSilent", 120, World {
        calm: 26 * 60,
        platform: calm(0.4),
        ..consumed(|sim| {
            sim.platforms.clear();
            sim.durable = false;
        })
    });
    // Busy in the same hours of the week before, and nobody knows of the day before.
    queue_silent_by_the_week_before: {
        const WEEK: u32 = 7 * 24 * 60;
        let weekly = |trouble| World {
            calm: WEEK + 60,
            platform: calm(0.6),
            before: |sim, minute| match minute {
                210 => {
                    sim.platforms.clear();
                    sim.down = true;
                }
                9_720 => {
                    sim.add(calm(0.1));
                    sim.down = false;
                }
                _ => {}
            },
            ..consumed(trouble)
        };
        Row {
            silent: vec![("a few events go on", weekly(|_| {}))],
            silent_minutes: 180,
            without: LIKE_A_DAY,
            // The last event came 50 minutes before.
            ..row("VodQueueSilent", 70, weekly(|sim| sim.platforms.clear()))
        }
    };
    queue_silent_by_a_fixed_limit: {
        let quiet = || calm(0.2);
        let silent = |trouble| World {
            calm: 100,
            platform: quiet(),
            ..consumed(trouble)
        };
        Row {
            silent: vec![("not that long", World {
                minute: |sim, minute| if minute == 50 { sim.add(calm(2.0)) },
                ..silent(|sim| sim.platforms.clear())
            })],
            thresholds: &[("silence_fixed_seconds", "vector(3600)")],
            ..row("VodQueueSilent", 60, silent(|sim| sim.platforms.clear()))
        }
    };
    backlog_stuck: Row {
        silent: vec![
            ("behind, but moving", World {
                platform: calm(0.15),
                ..peeked(|sim| sim.worker = Worker::Takes(1))
            }),
            ("taken late, and then nothing comes", World {
                minute: |sim, minute| match minute {
                    3 => sim.platforms.clear(),
                    10 => sim.worker = Worker::Quick,
                    _ => {}
                },
                ..peeked(|sim| sim.worker = Worker::Takes(0))
            }),
            ("dead letters", World {
                role: Role::DeadLetter,
                platform: Settings { uploads_per_second: 0.0, ..calm(1.0) },
                ..peeked(|sim| sim.poison(true))
            }),
            ("ten minutes old", peeked(|sim| sim.worker = Worker::Behind(MINUTE * 10))),
        ],
        silent_minutes: 90,
        ends: Some((World {
            minute: |sim, minute| if minute == 40 { sim.worker = Worker::Quick },
            ..peeked(|sim| sim.worker = Worker::Takes(0))
        }, 50)),
            ..row("VodBacklogStuck", 16, peeked(|sim| sim.worker = Worker::Takes(0)))
    };
    // Messages come, and MNS deletes as many: no evidence that somebody takes them.
    backlog_stuck_beyond_its_retention: row("VodBacklogStuck", 16, World {
        retention: Duration::from_hours(1),
        ..peeked(|sim| sim.worker = Worker::Takes(0))
    });
    backlog_stuck_until_all_is_deleted: {
        let deleted = |minute| World {
            retention: MINUTE * 30,
            minute,
            ..peeked(|sim| sim.worker = Worker::Takes(0))
        };
        Row {
            // The next message is a young one.
            ends: Some((deleted(|sim, minute| match minute {
                20 => sim.platforms.clear(),
                70 => sim.add(calm(2.0)),
                _ => {}
            }), 80)),
            ..row("VodBacklogStuck", 16, deleted(|sim, minute| if minute == 20 { sim.platforms.clear() }))
        }
    };
    backlog_drains_slowly: Row {
        ends: Some((World {
            minute: |sim, minute| if minute == 60 { sim.worker = Worker::Quick },
            ..peeked(|sim| sim.worker = Worker::Takes(5))
        }, 70)),
        silent: vec![
            ("twelve minutes behind", peeked(|sim| sim.worker = Worker::Behind(MINUTE * 12))),
            ("caught up fast", World {
                minute: |sim, minute| sim.worker = if minute < 20 { Worker::Takes(3) } else { Worker::Quick },
                ..peeked(|_| {})
            }),
            // All of one age, so that the age grows until the last one is taken.
            ("a burst of an hour's work", peeked(|sim| {
                sim.burst(60 * 40);
                sim.worker = Worker::Takes(50);
            })),
        ],
        silent_minutes: 90,
        ..row("VodBacklogDrainsSlowly", 21, peeked(|sim| sim.worker = Worker::Takes(5)))
    };
    // So much work that it lasts for 7 hours: nothing tells but that the number of messages falls too slowly.
    burst_drains_slowly: row("VodBacklogDrainsSlowly", 16, peeked(|sim| {
        sim.burst(60 * 40 * 7);
        sim.worker = Worker::Takes(50);
    }));
    // All that is left is deleted by MNS: there is a page for that, and nothing to drain.
    backlog_drains_slowly_until_all_is_deleted: Row {
        ends: Some((World {
            retention: MINUTE * 60,
            minute: |sim, minute| if minute == 20 { sim.platforms.clear() },
            ..peeked(|sim| sim.worker = Worker::Takes(0))
        }, 90)),
        ..row("VodBacklogDrainsSlowly", 16, peeked(|sim| sim.worker = Worker::Takes(0)))
    };
    callbacks_expiring: {
        let short = |trouble| World {
            retention: Duration::from_hours(3),
            ..peeked(trouble)
        };
        Row {
            silent: vec![("half of it", short(|sim| sim.worker = Worker::Behind(MINUTE * 100)))],
            silent_minutes: 150,
            ends: Some((World {
                minute: |sim, minute| if minute == 150 { sim.worker = Worker::Quick },
                ..short(|sim| sim.worker = Worker::Takes(0))
            }, 165)),
            ..row("VodCallbacksExpiring", 136, short(|sim| sim.worker = Worker::Takes(0)))
        }
    };
    callbacks_expiring_until_all_are_deleted: {
        let deleted = |minute| World {
            retention: MINUTE * 40,
            minute,
            ..peeked(|sim| sim.worker = Worker::Takes(0))
        };
        Row {
            // The last message would have been deleted a minute later.
            ends: Some((deleted(|sim, minute| match minute {
                20 => sim.platforms.clear(),
                39 => sim.worker = Worker::Quick,
                _ => {}
            }), 55)),
            ..row("VodCallbacksExpiring", 31, deleted(|sim, minute| if minute == 20 { sim.platforms.clear() }))
        }
    };
    redelivery_storm: Row {
        ends: Some((World {
            minute: |sim, minute| if minute == 40 { sim.worker = Worker::Quick },
            ..peeked(|sim| sim.worker = Worker::Fails(5))
        }, 75)),
        silent: vec![
            ("quick", peeked(|_| {})),
            ("slow, but once each", peeked(|sim| sim.worker = Worker::Behind(MINUTE * 3))),
        ],
        ..row("VodRedeliveryStorm", 3, peeked(|sim| sim.worker = Worker::Fails(5)))
    };
    poison_message: Row {
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.poison(false) },
            ..peeked(|sim| sim.poison(true))
        }, 40)),
        silent: vec![("deleted after nine", World {
            minute: |sim, minute| if minute == 9 { sim.poison(false) },
            ..peeked(|sim| sim.poison(true))
        })],
        ..row("VodPoisonMessage", 10, peeked(|sim| sim.poison(true)))
    };
    dead_letters: {
        let dead = |trouble| World {
            role: Role::DeadLetter,
            platform: Settings { uploads_per_second: 0.0, ..calm(1.0) },
            ..peeked(trouble)
        };
        Row {
            ends: Some((World {
                minute: |sim, minute| if minute == 20 { sim.poison(false) },
                ..dead(|sim| sim.poison(true))
            }, 28)),
            silent: vec![("empty", dead(|_| {}))],
            ..row("VodDeadLetters", 1, dead(|sim| sim.poison(true)))
        }
    };
    delivery_slow: Row {
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.delay = Duration::ZERO },
            ..consumed(|sim| sim.delay = MINUTE * 5)
        }, 75)),
        silent: vec![("half a minute late", consumed(|sim| sim.delay = MINUTE / 2))],
        // The delay itself, and until a tenth of half an hour's events was late.
        ..row("VodDeliverySlow", 8, consumed(|sim| sim.delay = MINUTE * 5))
    };
    decode_failures: Row {
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.platforms.truncate(1) },
            ..consumed(|sim| sim.add(bad(1.0, |settings| settings.undecodable_share = 1.0)))
        }, 75)),
        silent: vec![
            ("hardly any", consumed(|sim| sim.add(bad(1.0, |settings| settings.undecodable_share = 0.02)))),
            ("failed transcodes", consumed(|sim| sim.add(failing(2.0, "InternalError")))),
        ],
        ..row("VodDecodeFailures", 4, consumed(|sim| sim.add(bad(1.0, |settings| settings.undecodable_share = 1.0))))
    };
    depth_untrusted: Row {
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.counters_retired = false },
            ..peeked(|sim| { sim.worker = Worker::Takes(0); sim.counters_retired = true; })
        }, 40)),
        silent: vec![("quick worker", peeked(|sim| sim.counters_retired = true))],
        // A message a minute old, and three ticks.
        ..row("VodDepthUntrusted", 5, peeked(|sim| {
            sim.worker = Worker::Takes(0);
            sim.counters_retired = true;
        }))
    };
    // The objective of 10 minutes, and as long until the hour's share is spent.
    playable_burns_fast: Row {
        silent: vec![
            ("one in thirty", consumed(|sim| sim.add(crawling(0.06)))),
            ("broken files", consumed(|sim| sim.add(broken(4.0)))),
            ("hardly any traffic", World { platform: calm(0.02), ..consumed(|sim| sim.add(crawling(0.1))) }),
        ],
        silent_minutes: 120,
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.platforms.truncate(1) },
            ..consumed(|sim| sim.add(crawling(0.5)))
        }, 200)),
            ..row("VodPlayableBudgetBurnsFast", 14, consumed(|sim| sim.add(crawling(2.0))))
    };
    playable_burns_slowly: Row {
        silent: vec![
            ("broken files", World {
                platform: Settings { failure_share: 0.0, reordered_share: 0.0, deleted_share: 0.0, ..calm(2.0) },
                ..consumed(|sim| sim.add(broken(0.5)))
            }),
            ("two bad ones", World {
                platform: Settings { failure_share: 0.0, reordered_share: 0.0, deleted_share: 0.0, ..calm(0.5) },
                ..consumed(|sim| sim.add(crawling(0.01)))
            }),
        ],
        silent_minutes: 120,
        // What is bad is known 10 minutes later, leaves the shorter window after 6 hours, and is told for 6 more.
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.platforms.truncate(1) },
            ..trickle(|sim| sim.add(crawling(1.0)))
        }, 30 + 10 + 2 * 360 + 5)),
        ..row("VodPlayableBudgetBurnsSlowly", 31, consumed(|sim| sim.add(crawling(0.1))))
    };
    exporter_down: Row {
        silent: vec![("three minutes", World {
            minute: |sim, minute| sim.down = minute < 3,
            ..consumed(|_| {})
        })],
        without: NO_EXPORTER,
        ends: Some((World {
            minute: |sim, minute| sim.down = minute < 20,
            ..consumed(|_| {})
        }, 25)),
            labels: &[&[]],
        ..row("VodExporterDown", 6, consumed(|sim| sim.down = true))
    };
    queue_unwatched: Row {
        ends: Some((World {
            minute: |sim, minute| if minute == 30 { sim.watch_queue() },
            ..consumed(Sim::forget_queue)
        }, 35)),
        silent: vec![("a restart", World {
            minute: |sim, minute| sim.down = minute < 3,
            ..consumed(|_| {})
        })],
        without: &[
            (Variant::Restart, "the process would watch it again"),
            (Variant::Gap, "the exporter being down is another alert"),
            (Variant::Unreadable, "it is not read"),
        ],
        ..row("VodQueueUnwatched", 6, consumed(Sim::forget_queue))
    };
    queue_unreadable: Row {
        silent: vec![("four minutes", World {
            minute: |sim, minute| sim.unreadable = minute < 4,
            ..consumed(|_| {})
        })],
        ends: Some((World {
            minute: |sim, minute| sim.unreadable = minute < 20,
            ..consumed(|_| {})
        }, 25)),
            ..row("VodQueueUnreadable", 6, consumed(|sim| sim.unreadable = true))
    };
    queue_frozen: Row {
        silent: vec![
            ("nine minutes", World {
                minute: |sim, minute| sim.frozen = minute < 8,
                ..consumed(|_| {})
            }),
            ("the longest tick, peeked", World {
                minute: |sim, minute| sim.frozen = between_longest_ticks(minute),
                ..peeked(|_| {})
            }),
            ("the longest tick, consumed", World {
                minute: |sim, minute| sim.frozen = between_longest_ticks(minute),
                ..consumed(|_| {})
            }),
        ],
        silent_minutes: 90,
        without: &[
            (Variant::Unreadable, "it is not read"),
        ],
        ..row("VodQueueUnreadable", 11, consumed(|sim| sim.frozen = true))
    };
    // The new process has ended no read when it should be told.
    queue_frozen_through_a_restart: Row {
        silent: vec![("read since", World {
            minute: |sim, minute| match minute {
                3 => sim.restart(),
                7 => sim.frozen = false,
                _ => {}
            },
            ..consumed(|sim| sim.frozen = true)
        })],
        without: &[(Variant::Unreadable, "it is not read")],
        ..row("VodQueueUnreadable", 11, World {
            minute: |sim, minute| if minute == 3 { sim.restart() },
            ..consumed(|sim| sim.frozen = true)
        })
    };
    queue_never_read: {
        let new = |minute| World {
            calm: 20,
            before: |sim, minute| if minute == 0 { sim.forget_queue() },
            minute,
            ..consumed(|sim| {
                sim.watch_queue();
                sim.frozen = true;
            })
        };
        Row {
            silent: vec![
                ("read at last", new(|sim, minute| if minute == 8 { sim.frozen = false })),
                ("the first after a long time", World {
                    minute: |sim, minute| match minute {
                        60 => sim.restart(),
                        61 => sim.down = false,
                        64 => sim.frozen = false,
                        _ => {}
                    },
                    ..consumed(|sim| {
                        sim.down = true;
                        sim.frozen = true;
                    })
                }),
            ],
            silent_minutes: 90,
            ends: Some((new(|sim, minute| if minute == 20 { sim.frozen = false }), 30)),
            without: &[(Variant::Unreadable, "it is not read")],
            ..row("VodQueueUnreadable", 11, new(|_, _| {}))
        }
    };
    credentials_expiring: Row {
        ends: Some((World {
            minute: |sim, minute| if minute == 20 { sim.expires = Some(sim.now.plus(MINUTE * 600)) },
            ..consumed(|sim| sim.expires = Some(sim.now.plus(MINUTE * 10)))
        }, 25)),
        silent: vec![("renewed five minutes before", World {
            minute: |sim, minute| if minute.is_multiple_of(10) {
                sim.expires = Some(sim.now.plus(MINUTE * 15));
            },
            ..consumed(|_| {})
        })],
        labels: &[&[("account", "default")]],
        ..row("VodCredentialsExpiring", 6, consumed(|sim| sim.expires = Some(sim.now.plus(MINUTE * 10))))
    };
    state_not_durable: Row {
        ends: Some((World {
            minute: |sim, minute| sim.durable = minute >= 30,
            ..consumed(|_| {})
        }, 40)),
        silent: vec![("durable", consumed(|_| {}))],
        labels: &[&[("job", "exporter")]],
        ..row("VodStateNotDurable", 1, consumed(|sim| sim.durable = false))
    };
    // Until more than half of ten minutes' alerts were refused.
    alert_delivery_failing: Row {
        silent: vec![("one in three is refused", World {
            minute: |sim, minute| {
                sim.alerts_sent = if minute.is_multiple_of(3) { Sent::Rejected } else { Sent::Ok };
            },
            ..consumed(|_| {})
        })],
        ends: Some((World {
            minute: |sim, minute| sim.alerts_sent = if minute < 30 { Sent::Failed } else { Sent::Ok },
            ..consumed(|_| {})
        }, 40)),
            labels: &[&[("alertmanager", "alertmanager:9093")]],
        ..row("VodAlertDeliveryFailing", 6, consumed(|sim| sim.alerts_sent = Sent::Failed))
    };
    config_reload_failed: Row {
        silent: vec![("mended within five minutes", World {
            minute: |sim, minute| sim.config_is_good = minute >= 5,
            ..consumed(|_| {})
        })],
        ends: Some((World {
            minute: |sim, minute| sim.config_is_good = minute >= 20,
            ..consumed(|_| {})
        }, 28)),
            without: &[(Variant::Restart, "no process starts with such a config")],
        labels: &[&[("job", "exporter")]],
        ..row("VodConfigReloadFailed", 1, consumed(|sim| sim.config_is_good = false))
    };
}
