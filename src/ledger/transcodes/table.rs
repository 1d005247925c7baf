//! Videos by their id, by the instant something is due, and by age; compact enough for a million of them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::video::{Seconds, Video};
use crate::vod::event::MediaKey;

/// A place in the slab.
pub(super) type Slot = u32;

/// All videos of one queue. Each is in exactly one of `due` (open) and `ended` (not open).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Video, u32)>", into = "Vec<(Video, u32)>")]
pub(super) struct Table {
    slab: Vec<Option<Video>>,
    free: Vec<Slot>,
    by_media: HashTable<Slot>,
    hasher: RandomState,
    due: BTreeSet<(Seconds, Slot)>,
    ended: BTreeSet<(Seconds, Slot)>,
    by_age: BTreeSet<(Seconds, Slot)>,
    /// Those that may be in trouble, with their place in the line by [`Turn`](super::Turn). Apart from the video: few have one.
    troubled: BTreeMap<Slot, u32>,
}

/// What a video's places in the sets follow from.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Order {
    open: bool,
    wake: Seconds,
    started: Seconds,
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

    /// A video to look at.
    pub(super) fn get(&self, media: &MediaKey) -> Option<&Video> {
        video(&self.slab, self.find(media)?)
    }

    /// Puts a video in, or in the stead of what was known of it before. While it may be in trouble, it has the place in the line
    /// that was given last.
    pub(super) fn put(&mut self, video: Video, place: Option<u32>) {
        let slot = self
            .find(&video.media)
            .unwrap_or_else(|| self.slot_for(&video));
        match (video.may_be_troubled(), place) {
            (true, Some(place)) => *self.troubled.entry(slot).or_default() = place,
            (true, None) => _ = self.troubled.entry(slot).or_default(),
            (false, _) => _ = self.troubled.remove(&slot),
        }
        let order = Order::of(&video);
        let before = self
            .slab
            .get_mut(index(slot))
            .and_then(|place| place.replace(video));
        let before = before.as_ref().map(Order::of);
        if before != Some(order) {
            if let Some(before) = before {
                self.leave(before, slot);
            }
            self.enter(order, slot);
        }
    }

    /// The open video that is due first, if it is due by `until`.
    pub(super) fn due(&self, until: Seconds) -> Option<&Video> {
        let (_, slot) = self.due.first().filter(|(wake, _)| *wake <= until)?;
        video(&self.slab, *slot)
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

    /// Videos that are not open, those that ended last first.
    pub(super) fn ended(&self) -> impl Iterator<Item = &Video> {
        self.ended
            .iter()
            .rev()
            .filter_map(|(_, slot)| video(&self.slab, *slot))
    }

    /// Videos that may be in trouble, in no order, with their places in the line.
    pub(super) fn troubled(&self) -> impl Iterator<Item = (&Video, u32)> {
        self.troubled
            .iter()
            .filter_map(|(slot, place)| Some((video(&self.slab, *slot)?, *place)))
    }

    /// All videos, with their places in the line; 0 where one has none.
    fn stored(&self) -> impl Iterator<Item = (&Video, u32)> {
        (0..)
            .zip(&self.slab)
            .filter_map(|(slot, video)| Some((video.as_ref()?, self.place(slot))))
    }

    fn place(&self, slot: Slot) -> u32 {
        self.troubled.get(&slot).copied().unwrap_or_default()
    }

    fn find(&self, media: &MediaKey) -> Option<Slot> {
        let hash = self.hasher.hash_one(media);
        let is_it =
            |slot: &Slot| video(&self.slab, *slot).is_some_and(|video| video.media == *media);
        self.by_media.find(hash, is_it).copied()
    }

    /// A free slot that its id leads to.
    fn slot_for(&mut self, video: &Video) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slab.push(None);
            u32::try_from(self.slab.len() - 1).unwrap_or(u32::MAX)
        });
        let hash = self.hasher.hash_one(&video.media);
        let (slab, hasher) = (&self.slab, &self.hasher);
        self.by_media.insert_unique(hash, slot, |slot| {
            self::video(slab, *slot).map_or(0, |video| hasher.hash_one(&video.media))
        });
        slot
    }

    fn remove(&mut self, slot: Slot) -> Option<Video> {
        let video = self.slab.get_mut(index(slot))?.take()?;
        let hash = self.hasher.hash_one(&video.media);
        if let Ok(entry) = self.by_media.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.leave(Order::of(&video), slot);
        self.troubled.remove(&slot);
        self.free.push(slot);
        Some(video)
    }

    fn enter(&mut self, order: Order, slot: Slot) {
        if order.open {
            self.due.insert((order.wake, slot));
            self.by_age.insert((order.started, slot));
        } else {
            self.ended.insert((order.wake, slot));
        }
    }

    fn leave(&mut self, order: Order, slot: Slot) {
        if order.open {
            self.due.remove(&(order.wake, slot));
            self.by_age.remove(&(order.started, slot));
        } else {
            self.ended.remove(&(order.wake, slot));
        }
    }
}

impl Order {
    fn of(video: &Video) -> Self {
        Self {
            open: video.is_open(),
            wake: video.wake,
            started: video.started(),
        }
    }
}

impl PartialEq for Table {
    /// The same videos with the same wakes and places in the line; where each lies in the slab is nobody's concern.
    fn eq(&self, other: &Self) -> bool {
        let mut mine = self.stored();
        let is_there = |(mine, place): (&Video, u32)| {
            other.find(&mine.media).is_some_and(|slot| {
                video(&other.slab, slot) == Some(mine) && other.place(slot) == place
            })
        };
        self.len() == other.len() && mine.all(is_there)
    }
}

impl From<Vec<(Video, u32)>> for Table {
    fn from(videos: Vec<(Video, u32)>) -> Self {
        let mut table = Self::default();
        for (video, place) in videos {
            table.put(video, Some(place));
        }
        table
    }
}

impl From<Table> for Vec<(Video, u32)> {
    fn from(table: Table) -> Self {
        let Table { slab, troubled, .. } = table;
        let place = |slot: Slot| troubled.get(&slot).copied().unwrap_or_default();
        (0..)
            .zip(slab)
            .filter_map(|(slot, video)| Some((video?, place(slot))))
            .collect()
    }
}

fn index(slot: Slot) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

fn video(slab: &[Option<Video>], slot: Slot) -> Option<&Video> {
    slab.get(index(slot))?.as_ref()
}
