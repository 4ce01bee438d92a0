//! How far back each collection can be read, and who holds that back.
//!
//! **Invariant.** `since` of a collection only moves forward, and never past the time of a read that
//! is under way or of an iterator that was used lately: who holds a time and who moves `since` do so
//! under one lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use millstream_catalog::model::{ChannelId, CollectionId, Fault, Timestamp};
use parking_lot::Mutex;

use crate::api::{Guarantee, Target};
use crate::shared::Shared;

/// How long rows that ended stay readable when nobody says, in milliseconds.
pub(crate) const RETENTION_MS: u64 = 600_000;
/// How long an iterator is kept after it was used last, in milliseconds.
pub(crate) const ITERATOR_MS: u64 = 600_000;
/// Iterators are remembered by times of so many milliseconds, rounded down.
const ITERATOR_STEP_MS: u64 = 1_000;

/// What is kept of a collection's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// How long rows that ended stay readable, in milliseconds.
    pub retention_ms: u64,
    /// How long the time of an iterator stays readable after it was used last, in milliseconds.
    pub iterator_ms: u64,
    /// Whether segments are compacted without being asked.
    pub auto: bool,
}

impl Default for Keep {
    fn default() -> Keep {
        Keep { retention_ms: RETENTION_MS, iterator_ms: ITERATOR_MS, auto: true }
    }
}

#[derive(Default)]
struct Kept {
    /// Unknown until somebody asked; nothing is given up before.
    keep: Option<Keep>,
    since: Timestamp,
    /// The channels of its shards.
    channels: Vec<ChannelId>,
    /// The times of the reads that are under way, and how many there are of each.
    reads: BTreeMap<Timestamp, u32>,
    /// The times of iterators, and until when they are kept.
    iterators: BTreeMap<Timestamp, Timestamp>,
}

impl Kept {
    /// What `since` may be, when the slowest channel is closed through `now`.
    fn candidate(&mut self, now: Timestamp) -> Option<Timestamp> {
        let keep = self.keep?;
        self.iterators.retain(|_, until| *until >= now);
        let held = self.reads.keys().next().into_iter().chain(self.iterators.keys().next()).min();
        let since = now.minus_ms(keep.retention_ms);
        Some(held.map_or(since, |held| since.min(*held)).max(self.since))
    }

    fn now(&self, closed: impl Fn(ChannelId) -> Timestamp) -> Timestamp {
        self.channels.iter().map(|&channel| closed(channel)).min().unwrap_or(Timestamp::MIN)
    }
}

/// The past of all collections.
#[derive(Default)]
pub(crate) struct Retention(Mutex<HashMap<CollectionId, Kept>>);

impl Retention {
    /// Notes a shard of a collection: its channel, and since when it can be read.
    pub(crate) fn add(&self, collection: CollectionId, channel: ChannelId, since: Timestamp) {
        let mut all = self.0.lock();
        let kept = all.entry(collection).or_default();
        kept.since = kept.since.max(since);
        if !kept.channels.contains(&channel) {
            kept.channels.push(channel);
        }
    }

    /// Says what is kept of a collection.
    pub(crate) fn set(&self, collection: CollectionId, keep: Keep) {
        if let Some(kept) = self.0.lock().get_mut(&collection) {
            kept.keep = Some(keep);
        }
    }

    /// Forgets a collection that is gone.
    pub(crate) fn forget(&self, collection: CollectionId) {
        self.0.lock().remove(&collection);
    }

    /// The oldest time at which a collection can be read.
    pub(crate) fn since(&self, collection: CollectionId) -> Timestamp {
        self.0.lock().get(&collection).map_or(Timestamp::MIN, |kept| kept.since)
    }

    /// How far `since` of a collection may move, without moving it.
    pub(crate) fn candidate(
        &self,
        collection: CollectionId,
        closed: impl Fn(ChannelId) -> Timestamp,
    ) -> Option<Timestamp> {
        let mut all = self.0.lock();
        let kept = all.get_mut(&collection)?;
        let now = kept.now(closed);
        kept.candidate(now)
    }

    /// Moves `since` of a collection as far as it may, if that is at least to `wanted`; where it is
    /// then.
    pub(crate) fn advance(
        &self,
        collection: CollectionId,
        wanted: Timestamp,
        closed: impl Fn(ChannelId) -> Timestamp,
    ) -> Option<Timestamp> {
        let mut all = self.0.lock();
        let kept = all.get_mut(&collection)?;
        let now = kept.now(closed);
        let since = kept.candidate(now).filter(|since| *since >= wanted)?;
        kept.since = since;
        Some(since)
    }

    fn release(&self, collection: CollectionId, at: Timestamp) {
        let mut all = self.0.lock();
        let Some(kept) = all.get_mut(&collection) else { return };
        if let Some(reads) = kept.reads.get_mut(&at) {
            *reads -= 1;
            if *reads == 0 {
                kept.reads.remove(&at);
            }
        }
        if kept.channels.is_empty() && kept.reads.is_empty() {
            // It was dropped before the read.
            all.remove(&collection);
        }
    }
}

/// A read that holds the past of its collection back until this is dropped.
pub(crate) struct Hold {
    shared: Arc<Shared>,
    collection: CollectionId,
    at: Timestamp,
}

impl Hold {
    /// Holds the time of a read, and for a while longer when it is pinned: the next page of an
    /// iterator reads there again.
    ///
    /// # Errors
    /// When the time is too old; the text names the oldest one that can be read.
    pub(crate) fn new(shared: &Arc<Shared>, target: &Target) -> Result<Hold, Fault> {
        let collection = target.collection;
        let closed = shared.closed_all(&target.channels);
        let mut all = shared.retention.0.lock();
        let kept = all.entry(collection).or_default();
        let at = match target.guarantee {
            // It runs at this time or a later one.
            Guarantee::AtLeast(at) => at.max(closed),
            Guarantee::Pinned(at) if at < kept.since => return Err(too_old(at, kept.since)),
            Guarantee::Pinned(at) => {
                let step = at.physical_ms() / ITERATOR_STEP_MS * ITERATOR_STEP_MS;
                let keep = kept.keep.unwrap_or_default();
                let now = closed.max(at).physical_ms();
                let until = Timestamp::from_ms(now.saturating_add(keep.iterator_ms));
                if keep.iterator_ms > 0 {
                    let step = Timestamp::from_ms(step).max(kept.since);
                    let known = kept.iterators.entry(step).or_insert(until);
                    *known = until.max(*known);
                }
                at
            }
        };
        *kept.reads.entry(at).or_default() += 1;
        drop(all);
        Ok(Hold { shared: Arc::clone(shared), collection, at })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.retention.release(self.collection, self.at);
    }
}

/// Why a read is refused whose time is before the oldest one that can be read.
pub(crate) fn too_old(at: Timestamp, since: Timestamp) -> Fault {
    Fault::invalid(format!(
        "timestamp {at} is too old: the oldest readable timestamp of the collection is {since}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: CollectionId = CollectionId(7);

    fn shared(closed: &[u64]) -> Arc<Shared> {
        let closed: Vec<_> = closed.iter().map(|&ms| Timestamp::from_ms(ms)).collect();
        let shared = Arc::new(Shared::new(&closed, Box::new(|_, _| ())));
        for channel in 0..closed.len() as u16 {
            shared.retention.add(C, ChannelId(channel), Timestamp::MIN);
        }
        shared
    }

    fn target(guarantee: Guarantee) -> Target {
        Target {
            collection: C,
            channels: vec![ChannelId(0), ChannelId(1)],
            partitions: Vec::new(),
            guarantee,
            known_at: Timestamp::MIN,
            timeout_ms: 1,
        }
    }

    fn advance(shared: &Arc<Shared>) -> Option<u64> {
        let moved = shared.retention.advance(C, Timestamp::MIN, |c| shared.closed(c));
        moved.map(Timestamp::physical_ms)
    }

    fn close(shared: &Arc<Shared>, ms: u64) {
        (0..2).for_each(|channel| shared.advance(ChannelId(channel), Timestamp::from_ms(ms)));
    }

    const KEEP: Keep = Keep { retention_ms: 100, iterator_ms: 50, auto: true };

    #[test]
    fn the_past_ends_behind_the_slowest_channel_and_only_moves_forward() {
        let shared = shared(&[10_000, 20_000]);
        assert_eq!(advance(&shared), None, "nobody said what is kept");
        shared.retention.set(C, KEEP);
        assert_eq!(advance(&shared), Some(9_900));
        shared.retention.set(C, Keep { retention_ms: 5_000, ..KEEP });
        assert_eq!(advance(&shared), Some(9_900));
        let wanted = Timestamp::from_ms(9_901);
        assert_eq!(shared.retention.advance(C, wanted, |c| shared.closed(c)), None);
        let fault = Hold::new(&shared, &target(Guarantee::Pinned(Timestamp::from_ms(9_899))));
        let text = fault.err().unwrap().message;
        assert!(text.contains(&Timestamp::from_ms(9_900).to_string()), "{text}");
    }

    #[test]
    fn reads_hold_the_past_back_as_long_as_they_run() {
        let shared = shared(&[10_000, 10_000]);
        shared.retention.set(C, KEEP);
        // One that may run at any time runs at what is closed, or later.
        let eventually = Hold::new(&shared, &target(Guarantee::AtLeast(Timestamp(1)))).unwrap();
        let again = Hold::new(&shared, &target(Guarantee::AtLeast(Timestamp(1)))).unwrap();
        close(&shared, 50_000);
        assert_eq!(advance(&shared), Some(10_000));
        drop(eventually);
        assert_eq!(advance(&shared), Some(10_000));
        drop(again);
        assert_eq!(advance(&shared), Some(49_900));
    }

    #[test]
    fn iterators_hold_the_past_back_for_a_while_after_their_last_use() {
        let shared = shared(&[10_000, 10_000]);
        shared.retention.set(C, Keep { iterator_ms: 5_000, ..KEEP });
        let page = target(Guarantee::Pinned(Timestamp::from_ms(9_999)));
        drop(Hold::new(&shared, &page).unwrap());
        close(&shared, 14_000);
        assert_eq!(advance(&shared), Some(9_000));
        drop(Hold::new(&shared, &page).unwrap());
        close(&shared, 18_999);
        assert_eq!(advance(&shared), Some(9_000));
        close(&shared, 19_001);
        assert_eq!(advance(&shared), Some(18_901));
        assert!(Hold::new(&shared, &page).is_err());
    }

    #[test]
    fn a_collection_that_is_gone_leaves_nothing_behind() {
        let shared = shared(&[10_000, 10_000]);
        let read = Hold::new(&shared, &target(Guarantee::AtLeast(Timestamp(1)))).unwrap();
        shared.retention.forget(C);
        drop(read);
        drop(Hold::new(&shared, &target(Guarantee::AtLeast(Timestamp(1)))).unwrap());
        assert!(shared.retention.0.lock().is_empty());
    }
}
