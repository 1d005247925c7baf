//! A simulated platform at work: pushes what is due into an emulated MNS.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::error;

use super::Platform;
use crate::emulator::Handle;

/// The emulator's clock may be advanced at any time: the platform never sleeps longer than this.
const LONGEST_NAP: Duration = Duration::from_millis(200);

/// Lets the platform live by the emulator's clock until cancelled.
pub async fn run(platform: &Mutex<Platform>, emulator: &Handle, cancelled: &CancellationToken) {
    while !cancelled.is_cancelled() {
        let now = emulator.now();
        let (pushes, media, due) = {
            let mut platform = lock(platform);
            let pushes = platform.step(now);
            (pushes, platform.take_media(), platform.next_due())
        };
        emulator.put_media(media);
        for push in pushes {
            if let Err(error) = emulator.send(&push.queue, &push.body) {
                error!(queue = push.queue, %error, "A callback was not pushed: the truth is off by one.");
            }
        }
        let nap = due.map_or(LONGEST_NAP, |due| due.since(now).min(LONGEST_NAP));
        tokio::select! {
            () = cancelled.cancelled() => {}
            () = tokio::time::sleep(nap) => {}
        }
    }
}

/// The platform's truth as JSON.
pub fn truth(platform: &Mutex<Platform>) -> String {
    serde_json::to_string_pretty(lock(platform).truth()).unwrap_or_default()
}

fn lock(platform: &Mutex<Platform>) -> MutexGuard<'_, Platform> {
    platform.lock().unwrap_or_else(PoisonError::into_inner)
}
