//! How a simulated world is, what goes wrong in it, and its life from minute to minute.

use std::time::Duration;

use vod_callback_exporter::emulator::scenario;
use vod_callback_exporter::ledger::snapshot::Role;
use vod_callback_exporter::ledger::{Mode, TranscodeSettings};

use super::sim::Sim;

const RETENTION: Duration = Duration::from_hours(96);

/// How a world is before the trouble, and what the trouble is.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) mode: Mode,
    pub(crate) role: Role,
    pub(crate) platform: scenario::Settings,
    pub(crate) transcodes: TranscodeSettings,
    pub(crate) retention: Duration,
    /// Minutes before the trouble begins.
    pub(crate) calm: u32,
    /// What happens at every minute before, of which it is told the number, from 0.
    pub(crate) before: fn(&mut Sim, u32),
    /// What happens when the trouble begins.
    pub(crate) trouble: fn(&mut Sim),
    /// What happens at every minute since, of which it is told the number, from 0.
    pub(crate) minute: fn(&mut Sim, u32),
}

/// What befalls every world in the same way, and at which minute.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    /// The process ends and another one goes on with its state, two minutes later and under another name.
    pub(crate) restart: Option<u32>,
    /// From then on MNS refuses to answer.
    pub(crate) unreadable: Option<u32>,
}

/// A platform without the oddities that the healthy world is to be free of; `per_minute` uploads.
pub(crate) fn calm(per_minute: f64) -> scenario::Settings {
    scenario::Settings {
        queues: vec!["vod".to_owned()],
        uploads_per_second: per_minute / 60.0,
        failure_share: 0.003,
        partial_failure_share: 0.003,
        broken_source_share: 0.02,
        stalled_share: 0.0,
        lost_callback_share: 0.0,
        not_transcoded_share: 0.0,
        duplicate_share: 0.01,
        undecodable_share: 0.0,
        foreign_share: 0.0,
        ..scenario::Settings::default()
    }
}

// === impl World ===

impl Default for World {
    fn default() -> Self {
        Self {
            mode: Mode::Consume,
            role: Role::Callback,
            platform: calm(2.0),
            transcodes: TranscodeSettings {
                reconciled: true,
                expect_every_upload: true,
                ..TranscodeSettings::default()
            },
            retention: RETENTION,
            calm: 45,
            before: |_, _| {},
            trouble: |_| {},
            minute: |_, _| {},
        }
    }
}

impl World {
    /// Lives until `minutes` have passed since the trouble began.
    pub(crate) async fn live(&self, minutes: u32, fate: Fate) -> Sim {
        let mut sim = Sim::new(self);
        sim.serve();
        let mut restarts = 0;
        for minute in 0..self.calm + minutes {
            if minute == self.calm {
                (self.trouble)(&mut sim);
            }
            match minute.checked_sub(self.calm) {
                Some(since) => (self.minute)(&mut sim, since),
                None => (self.before)(&mut sim, minute),
            }
            if fate.unreadable == Some(minute) {
                sim.unreadable = true;
            }
            if fate.restart == Some(minute) {
                restarts = 2;
            }
            let away = restarts > 0;
            if away {
                restarts -= 1;
                sim.push();
                sim.scrapes.push((sim.instance, None));
                sim.pass();
                if restarts == 0 {
                    sim.restart();
                }
            } else {
                sim.live_a_minute().await;
            }
        }
        sim
    }
}
