//! The manifest in memory: maps that know how they were when the open transaction began.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryTxn;
use crate::catalog::Checkpoint;
use crate::model::{
    ChannelId, CollectionId, Fault, FileRef, Segment, SegmentId, ShardState, VChannel,
};
use crate::store::ManifestTxn;

/// A map that can go back to where a transaction found it.
struct Undoable<K, V> {
    map: BTreeMap<K, V>,
    /// What the keys had before each change of the open transaction.
    before: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Undoable<K, V> {
    fn default() -> Self {
        Undoable { map: BTreeMap::new(), before: Vec::new() }
    }
}

impl<K: Ord + Clone, V> Undoable<K, V> {
    fn put(&mut self, key: K, value: V) {
        let old = self.map.insert(key.clone(), value);
        self.before.push((key, old));
    }

    fn remove(&mut self, key: &K) {
        if let Some(old) = self.map.remove(key) {
            self.before.push((key.clone(), Some(old)));
        }
    }

    fn undo(&mut self) {
        while let Some((key, old)) = self.before.pop() {
            match old {
                Some(old) => self.map.insert(key, old),
                None => self.map.remove(&key),
            };
        }
    }
}

/// Shards, segments, garbage and checkpoints.
#[derive(Default)]
pub(super) struct Manifest {
    shards: Undoable<VChannel, ShardState>,
    segments: Undoable<SegmentId, Segment>,
    garbage: Undoable<String, FileRef>,
    checkpoints: Undoable<ChannelId, Checkpoint>,
}

impl Manifest {
    /// The checkpoint of a channel.
    pub(super) fn checkpoint(&self, channel: ChannelId) -> Option<Checkpoint> {
        self.checkpoints.map.get(&channel).copied()
    }

    /// Sets the checkpoint of a channel unless the one there is as far.
    pub(super) fn forward(&mut self, channel: ChannelId, to: Checkpoint) {
        if self.checkpoint(channel).is_none_or(|there| to.seq > there.seq) {
            self.checkpoints.put(channel, to);
        }
    }

    /// Ends a transaction with its changes.
    pub(super) fn keep(&mut self) {
        self.shards.before.clear();
        self.segments.before.clear();
        self.garbage.before.clear();
        self.checkpoints.before.clear();
    }

    /// Ends a transaction without its changes.
    pub(super) fn undo(&mut self) {
        self.shards.undo();
        self.segments.undo();
        self.garbage.undo();
        self.checkpoints.undo();
    }
}

#[async_trait]
impl ManifestTxn for MemoryTxn {
    async fn shard_get(&mut self, shard: VChannel) -> Result<Option<ShardState>, Fault> {
        Ok(self.state.manifest.shards.map.get(&shard).cloned())
    }

    async fn shard_list(&mut self, of: Option<CollectionId>) -> Result<Vec<ShardState>, Fault> {
        let shards = self.state.manifest.shards.map.values();
        Ok(shards.filter(|s| of.is_none_or(|id| s.vchannel.collection == id)).cloned().collect())
    }

    async fn shard_collections(&mut self) -> Result<Vec<CollectionId>, Fault> {
        let shards = self.state.manifest.shards.map.keys();
        let mut ids: Vec<_> = shards.map(|shard| shard.collection).collect();
        ids.dedup();
        Ok(ids)
    }

    async fn shard_put(&mut self, state: &ShardState) -> Result<(), Fault> {
        self.state.manifest.shards.put(state.vchannel, state.clone());
        Ok(())
    }

    async fn segment_get(&mut self, ids: &[SegmentId]) -> Result<Vec<Segment>, Fault> {
        let segments = &self.state.manifest.segments.map;
        let mut found: Vec<_> = ids.iter().filter_map(|id| segments.get(id)).cloned().collect();
        found.sort_by_key(|segment| segment.id);
        Ok(found)
    }

    async fn segment_list(&mut self, of: Option<CollectionId>) -> Result<Vec<Segment>, Fault> {
        let segments = self.state.manifest.segments.map.values();
        Ok(segments.filter(|s| of.is_none_or(|id| s.vchannel.collection == id)).cloned().collect())
    }

    async fn segment_add(&mut self, segments: &[Segment]) -> Result<(), Fault> {
        for segment in segments {
            self.state.manifest.segments.put(segment.id, segment.clone());
        }
        Ok(())
    }

    async fn segment_files_put(
        &mut self,
        id: SegmentId,
        files: &[(String, FileRef)],
    ) -> Result<(), Fault> {
        let segments = &mut self.state.manifest.segments;
        if let Some(segment) = segments.map.get(&id) {
            let segment = Segment { files: files.to_vec(), ..segment.clone() };
            segments.put(id, segment);
        }
        Ok(())
    }

    async fn segment_remove(&mut self, ids: &[SegmentId]) -> Result<(), Fault> {
        for id in ids {
            self.state.manifest.segments.remove(id);
        }
        Ok(())
    }

    async fn manifest_remove(&mut self, of: CollectionId) -> Result<(), Fault> {
        for state in self.shard_list(Some(of)).await? {
            self.state.manifest.shards.remove(&state.vchannel);
        }
        for segment in self.segment_list(Some(of)).await? {
            self.state.manifest.segments.remove(&segment.id);
        }
        Ok(())
    }

    async fn garbage_find(&mut self, names: &[&str]) -> Result<Vec<String>, Fault> {
        let garbage = &self.state.manifest.garbage.map;
        let found = names.iter().filter(|name| garbage.contains_key(**name));
        Ok(found.map(|name| (*name).to_owned()).collect())
    }

    async fn garbage_list(&mut self) -> Result<Vec<FileRef>, Fault> {
        Ok(self.state.manifest.garbage.map.values().cloned().collect())
    }

    async fn garbage_add(&mut self, files: &[FileRef]) -> Result<(), Fault> {
        let garbage = &mut self.state.manifest.garbage;
        for file in files {
            if !garbage.map.contains_key(&file.name) {
                garbage.put(file.name.clone(), file.clone());
            }
        }
        Ok(())
    }

    async fn garbage_remove(&mut self, names: &[String]) -> Result<(), Fault> {
        for name in names {
            self.state.manifest.garbage.remove(name);
        }
        Ok(())
    }

    async fn checkpoint_forward(
        &mut self,
        channel: ChannelId,
        to: Checkpoint,
    ) -> Result<(), Fault> {
        self.state.manifest.forward(channel, to);
        Ok(())
    }

    async fn commit_quietly(mut self: Box<Self>) -> Result<(), Fault> {
        self.undo = None;
        self.state.manifest.keep();
        Ok(())
    }
}
