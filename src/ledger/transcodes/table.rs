//! Videos by their id, by the instant something is due, and by age; compact enough for a million of them.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::video::{Seconds, Video};
use crate::vod::event::MediaKey;

/// A place in the slab.
pub(super) type Slot = u32;

/// All videos of one queue. Each is in exactly one of `due` (open) and `ended` (not open).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Seconds, Video)>", into = "Vec<(Seconds, Video)>")]
pub(super) struct Table {
    slab: Vec<Option<Video>>,
    wakes: Vec<Seconds>,
    free: Vec<Slot>,
    by_media: HashTable<Slot>,
    hasher: RandomState,
    due: BTreeSet<(Seconds, Slot)>,
    ended: BTreeSet<(Seconds, Slot)>,
    by_age: BTreeSet<(Seconds, Slot)>,
}

// === impl Table ===

impl Table {
    pub(super) fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    /// Videos that are open.
    pub(super) fn open(&self) -> usize {
        self.by_age.len()
    }

    /// Takes a video out to change it; put it back with [`Table::insert`].
    pub(super) fn take(&mut self, media: &MediaKey) -> Option<Video> {
        let slot = self.find(media)?;
        self.remove(slot)
    }

    /// A video to look at.
    pub(super) fn get(&self, media: &MediaKey) -> Option<&Video> {
        video(&self.slab, self.find(media)?)
    }

    /// Puts a video in, to be looked at again at `wake`.
    pub(super) fn insert(&mut self, video: Video, wake: Seconds) {
        let hash = self.hasher.hash_one(&video.media);
        let (open, started) = (video.is_open(), video.started());
        let slot = if let Some(slot) = self.free.pop() {
            slot
        } else {
            self.slab.push(None);
            self.wakes.push(0);
            u32::try_from(self.slab.len() - 1).unwrap_or(u32::MAX)
        };
        if let (Some(place), Some(at)) = (
            self.slab.get_mut(index(slot)),
            self.wakes.get_mut(index(slot)),
        ) {
            (*place, *at) = (Some(video), wake);
        }
        let (slab, hasher) = (&self.slab, &self.hasher);
        self.by_media.insert_unique(hash, slot, |slot| {
            self::video(slab, *slot).map_or(0, |video| hasher.hash_one(&video.media))
        });
        if open {
            self.due.insert((wake, slot));
            self.by_age.insert((started, slot));
        } else {
            self.ended.insert((wake, slot));
        }
    }

    /// Takes out the open video that is due first, if it is due by `until`.
    pub(super) fn take_due(&mut self, until: Seconds) -> Option<Video> {
        let (wake, slot) = *self.due.first()?;
        if wake > until {
            return None;
        }
        self.remove(slot)
    }

    /// Forgets ended videos that are due by `until`.
    pub(super) fn forget_ended(&mut self, until: Seconds) {
        while let Some((_, slot)) = self.ended.first().filter(|(wake, _)| *wake <= until) {
            self.remove(*slot);
        }
    }

    /// Takes out a video to make room: the one that ended first, else the oldest.
    pub(super) fn evict(&mut self) -> Option<Video> {
        let (_, slot) = *self.ended.first().or_else(|| self.by_age.first())?;
        self.remove(slot)
    }

    /// When the first open video is due.
    pub(super) fn next_due(&self) -> Option<Seconds> {
        self.due.first().map(|(wake, _)| *wake)
    }

    /// Open videos, the oldest first.
    pub(super) fn by_age(&self) -> impl Iterator<Item = &Video> {
        self.by_age
            .iter()
            .filter_map(|(_, slot)| video(&self.slab, *slot))
    }

    fn find(&self, media: &MediaKey) -> Option<Slot> {
        let hash = self.hasher.hash_one(media);
        let is_it =
            |slot: &Slot| video(&self.slab, *slot).is_some_and(|video| video.media == *media);
        self.by_media.find(hash, is_it).copied()
    }

    fn remove(&mut self, slot: Slot) -> Option<Video> {
        let video = self.slab.get_mut(index(slot))?.take()?;
        let wake = self.wakes.get(index(slot)).copied().unwrap_or_default();
        let hash = self.hasher.hash_one(&video.media);
        if let Ok(entry) = self.by_media.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        if !self.due.remove(&(wake, slot)) {
            self.ended.remove(&(wake, slot));
        }
        self.by_age.remove(&(video.started(), slot));
        self.free.push(slot);
        Some(video)
    }
}

impl PartialEq for Table {
    /// The same videos with the same wakes; where each lies in the slab is nobody's concern.
    fn eq(&self, other: &Self) -> bool {
        let mine = || {
            self.slab
                .iter()
                .zip(&self.wakes)
                .filter_map(|(video, wake)| Some((video.as_ref()?, wake)))
        };
        let theirs = |media: &MediaKey| {
            let slot = other.find(media)?;
            Some((video(&other.slab, slot)?, other.wakes.get(index(slot))?))
        };
        self.len() == other.len()
            && mine().all(|(video, wake)| theirs(&video.media) == Some((video, wake)))
    }
}

impl From<Vec<(Seconds, Video)>> for Table {
    fn from(videos: Vec<(Seconds, Video)>) -> Self {
        let mut table = Self::default();
        for (wake, video) in videos {
            table.insert(video, wake);
        }
        table
    }
}

impl From<Table> for Vec<(Seconds, Video)> {
    fn from(table: Table) -> Self {
        let wakes = table.wakes.into_iter().zip(table.slab);
        wakes
            .filter_map(|(wake, video)| Some((wake, video?)))
            .collect()
    }
}

fn index(slot: Slot) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

fn video(slab: &[Option<Video>], slot: Slot) -> Option<&Video> {
    slab.get(index(slot))?.as_ref()
}
