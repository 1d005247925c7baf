//! What is wrong with single videos now, from committed truth alone: the same before and after a restart.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Ledger;
use super::snapshot::QueueIdentity;
use super::transcodes::Trouble;
use crate::clock::UnixMillis;

/// Every video in trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Ids of the queues of which this tells; of any other nothing is known.
    pub queues: BTreeSet<Arc<str>>,
    /// The videos with their queues.
    pub videos: Vec<(Arc<QueueIdentity>, Trouble)>,
}

// === impl Ledger ===

impl Ledger {
    /// The videos of all watched queues that are in trouble at `now`.
    pub fn troubles(&self, now: UnixMillis) -> Troubles {
        let mut troubles = Troubles::default();
        for state in &self.queues {
            if !state.open || !state.tracks() {
                continue;
            }
            troubles.queues.insert(Arc::clone(&state.identity.id));
            let videos = state.transcodes.troubles(now);
            troubles
                .videos
                .extend(videos.map(|trouble| (Arc::clone(&state.identity), trouble)));
        }
        troubles
    }
}
