//! The exporter asks the emulated VOD about overdue transcodes, while it consumes and while it peeks.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests panic"
)]

#[path = "support/bodies.rs"]
mod bodies;
#[path = "support/exporter.rs"]
mod exporter;
#[path = "support/process.rs"]
mod process;
#[path = "support/scrape.rs"]
mod scrape;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use exporter::Exporter;
use scrape::{Scrape, ask};
use vod_callback_exporter::clock::UnixMillis;
use vod_callback_exporter::emulator::vod::{CallbackSettings, Media, Task};
use world::{PATIENCE, World};

const HOUR: Duration = Duration::from_hours(1);

fn media(n: usize, created: UnixMillis, group: &str, task: Option<Task>) -> Media {
    Media {
        id: format!("{n:032}"),
        created,
        template_group: group.to_owned(),
        status: if task.is_some() {
            "Normal"
        } else {
            "UploadSucc"
        }
        .to_owned(),
        task,
        deleted: None,
    }
}

fn task(created: UnixMillis, ended: Option<UnixMillis>) -> Task {
    Task {
        created,
        jobs: Vec::new(),
        ended,
    }
}

/// Scrapes until `held` holds.
async fn until(exporter: &Exporter, held: impl Fn(&Scrape) -> bool) -> Scrape {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let scrape = Scrape::of(exporter.address).await;
        if held(&scrape) {
            return scrape;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "it does not come to that: {:?} {:?}",
            scrape.sum("vod_reconciliations_total", &[]),
            scrape.sum("vod_api_requests_total", &[])
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_reach_the_metrics() {
    let world = World::new(61, &["consumed", "peeked"], 30);
    let now = world.emulator.now();
    world.emulator.set_callback(CallbackSettings {
        callback_type: "MNS".to_owned(),
        event_type_list: "ALL".to_owned(),
        mns_endpoint: world.url.clone(),
        mns_queue_name: "peeked".to_owned(),
        ..CallbackSettings::default()
    });
    // Whose uploads are told: one that is never submitted, one that ends unheard of, one that needs no transcode.
    world.emulator.put_media([
        media(1, now, "g", None),
        media(2, now, "g", Some(task(now, Some(now.plus(HOUR))))),
        media(3, now, "VOD_NO_TRANSCODE", None),
    ]);
    // Whose upload nobody saw: it waits since long ago.
    let long_ago = now.minus(12 * HOUR);
    world
        .emulator
        .put_media([media(4, long_ago, "g", Some(task(long_ago, None)))]);

    let url = &world.url;
    let mut exporter = Exporter::start(&format!(
        "defaults: {{account: main, endpoint: \"{url}\", \
                     vod: {{region: cn-shanghai, endpoint: \"{url}\", requests_per_second: 50}}}}\n\
         queues:\n\
         - {{name: consumed, mode: consume, long_poll: 1s}}\n\
         - {{name: peeked, mode: peek, tick: 10s}}\n"
    ));
    let event_time = UnixMillis(now.0 - now.0.rem_euclid(1_000)).to_string();
    for n in 1..=3 {
        let upload = bodies::upload(n).replace("2026-02-01T08:00:05Z", &event_time);
        world.emulator.send("consumed", &upload).unwrap();
    }
    until(&exporter, |scrape| {
        scrape.of_queue("mns_messages_seen_total", "consumed") == Some(3.0)
    })
    .await;
    world.emulator.advance(3 * HOUR);

    let stalled = |scrape: &Scrape, queue: &str, stage: &str| {
        scrape.sum(
            "vod_transcodes_stalled",
            &[("queue", queue), ("stage", stage)],
        )
    };
    let scrape = until(&exporter, |scrape| {
        stalled(scrape, "consumed", "submit") + stalled(scrape, "consumed", "transcode") >= 1.0
            && scrape.of_queue("vod_callbacks_lost_total", "consumed") == Some(1.0)
            && stalled(scrape, "peeked", "transcode") >= 1.0
    })
    .await;
    assert!((stalled(&scrape, "consumed", "submit") - 1.0).abs() < f64::EPSILON);
    let closed = |verdict| {
        let labels = [("queue", "consumed"), ("verdict", verdict)];
        scrape.sum("vod_transcodes_closed_total", &labels)
    };
    assert!((closed("not_transcoded") - 1.0).abs() < f64::EPSILON);
    assert!((closed("callback_lost") - 1.0).abs() < f64::EPSILON);
    let lost = format!(
        "queue=consumed verdict=callback_lost videos={:032} more=0",
        2
    );
    let line = exporter.process.line(|line| line.contains(&lost));
    assert!(line.contains("level=warn"), "{line}");
    let path = "/api/v1/transcodes?state=closed&verdict=callback_lost";
    let (status, listed) = ask(exporter.address, path).await.unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((status, &listed["total"]), (200, &1.into()), "{listed}");
    let video = &listed["transcodes"][0];
    assert_eq!(video["video_id"], format!("{:032}", 2));
    assert_eq!(video["state"], "closed");
    assert!(video["closed"].as_str().is_some(), "{video}");
    assert_eq!(scrape.of_queue("vod_callbacks_lost_total", "peeked"), None);
    assert!(
        scrape.sum(
            "vod_api_requests_total",
            &[("account", "main"), ("code", "ok")]
        ) >= 3.0
    );
    for (queue, ok) in [("peeked", 1.0), ("consumed", 0.0)] {
        let labels = [("queue", queue), ("check", "queue")];
        let found = scrape.sum("vod_callback_config_ok", &labels);
        assert!((found - ok).abs() < f64::EPSILON, "{queue}: {found}");
    }
}
