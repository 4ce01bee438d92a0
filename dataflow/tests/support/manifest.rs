//! The manifest of a test, in memory: what survives when a process ends, and how it fails.
#![allow(dead_code, reason = "no test uses all of this")]

use std::collections::BTreeMap;

use millstream_catalog::catalog::{CompactCommit, FlushCommit};
use millstream_catalog::model::{
    Code, CollectionId, Fault, FileRef, Segment, SegmentId, ShardState, VChannel,
};
use millstream_dataflow::storage::{Archive, IndexSpec, Keep};
use parking_lot::Mutex;

/// How a transaction fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing happened.
    Refused,
    /// It happened, and the answer was lost.
    Unanswered,
}

#[derive(Default)]
struct State {
    shards: BTreeMap<VChannel, (ShardState, Vec<Segment>)>,
    next_id: i64,
    failure: Option<Failure>,
    commits: u64,
    failures: u64,
    indexes: Vec<IndexSpec>,
    compactions: u64,
    keep: Keep,
}

/// The manifest.
#[derive(Default)]
pub(crate) struct Manifest(Mutex<State>);

impl Manifest {
    /// What was written out of a shard.
    pub(crate) fn stored(&self, vchannel: VChannel) -> Option<(ShardState, Vec<Segment>)> {
        self.0.lock().shards.get(&vchannel).cloned()
    }

    /// How the next transaction fails, if it does.
    pub(crate) fn set_failure(&self, failure: Option<Failure>) {
        self.0.lock().failure = failure;
    }

    /// The graphs that indexes ask for.
    pub(crate) fn set_indexes(&self, indexes: Vec<IndexSpec>) {
        self.0.lock().indexes = indexes;
    }

    /// What is kept of all collections.
    pub(crate) fn set_keep(&self, keep: Keep) {
        self.0.lock().keep = keep;
    }

    /// Compactions that happened.
    pub(crate) fn compactions(&self) -> u64 {
        self.0.lock().compactions
    }

    /// Transactions that happened, and those that failed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.commits, state.failures)
    }
}

impl Archive for Manifest {
    fn ids(&self, count: u32) -> Result<i64, Fault> {
        let mut state = self.0.lock();
        state.next_id += i64::from(count);
        Ok(state.next_id - i64::from(count))
    }

    fn commit(&self, commit: FlushCommit) -> Result<(), Fault> {
        let mut state = self.0.lock();
        let failure = state.failure.take();
        state.failures += u64::from(failure.is_some());
        if failure == Some(Failure::Refused) {
            return Err(Fault::internal("the catalog is not there"));
        }
        state.commits += 1;
        let known = state.shards.entry(commit.state.vchannel);
        let (shard, segments) = known.or_insert_with(|| (commit.state.clone(), Vec::new()));
        assert!(shard.applied <= commit.state.applied, "a shard is written out in order");
        assert!(shard.since <= commit.state.since, "since moves forward");
        *shard = commit.state;
        segments.retain(|segment| !commit.removed.contains(&segment.id));
        for segment in commit.added {
            if !segments.contains(&segment) {
                segments.push(segment);
            }
        }
        match failure {
            None => Ok(()),
            Some(_) => Err(Fault::internal("the answer was lost")),
        }
    }

    fn compact(&self, commit: CompactCommit) -> Result<(), Fault> {
        let mut state = self.0.lock();
        let failure = state.failure.take();
        state.failures += u64::from(failure.is_some());
        if failure == Some(Failure::Refused) {
            return Err(Fault::internal("the catalog is not there"));
        }
        let CompactCommit { vchannel, since, deltas_before, deltas, added, removed } = commit;
        let gone = || Fault::new(Code::SegmentNotFound, "the shard is gone");
        let (shard, segments) = state.shards.get_mut(&vchannel).ok_or_else(gone)?;
        let is_there = |id: &SegmentId| segments.iter().any(|segment| segment.id == *id);
        // The same again changes nothing.
        let made = !removed.iter().any(is_there) && shard.deltas == deltas;
        if !made {
            if !removed.iter().all(is_there) {
                return Err(Fault::new(Code::SegmentNotFound, "a segment is gone"));
            }
            assert_eq!(shard.deltas, deltas_before, "nobody else changes the deltas");
            assert!(shard.since <= since, "since moves forward");
            (shard.since, shard.deltas) = (since, deltas);
            segments.retain(|segment| !removed.contains(&segment.id));
            segments.extend(added);
            state.compactions += 1;
        }
        match failure {
            None => Ok(()),
            Some(_) => Err(Fault::internal("the answer was lost")),
        }
    }

    fn keep(&self, _: CollectionId) -> Result<Keep, Fault> {
        Ok(self.0.lock().keep)
    }

    fn indexes(&self, _: CollectionId) -> Result<Vec<IndexSpec>, Fault> {
        Ok(self.0.lock().indexes.clone())
    }

    fn index_built(&self, segment: SegmentId, kind: String, file: FileRef) -> Result<(), Fault> {
        let mut state = self.0.lock();
        let mut segments = state.shards.values_mut().flat_map(|(_, segments)| segments);
        let found = segments.find(|known| known.id == segment);
        let gone = || Fault::new(Code::SegmentNotFound, "the segment is gone");
        let found = found.ok_or_else(gone)?;
        found.files.retain(|(known, _)| *known != kind);
        found.files.push((kind, file));
        Ok(())
    }

    fn index_dropped(&self, segment: SegmentId, kind: String) -> Result<(), Fault> {
        let mut state = self.0.lock();
        let segments = state.shards.values_mut().flat_map(|(_, segments)| segments);
        let of = segments.filter(|known| known.id == segment);
        of.for_each(|known| known.files.retain(|(known, _)| *known != kind));
        Ok(())
    }

    fn seal_due(&self, _: VChannel) {}
}
