//! `ManifestTxn`: what a transaction can do with shards, segments, garbage and checkpoints.
//!
//! Unlike the rows of the objects these have one state and no history. Whether a change is right
//! is decided in `ddl`.

use async_trait::async_trait;

use crate::catalog::Checkpoint;
use crate::model::{ChannelId, CollectionId, Fault, FileRef, Segment, SegmentId};
use crate::model::{ShardState, VChannel};

/// The manifest's part of a transaction.
#[async_trait]
pub trait ManifestTxn: Send {
    /// The state of a shard.
    async fn shard_get(&mut self, shard: VChannel) -> Result<Option<ShardState>, Fault>;
    /// All shards, or those of a collection, in order of collections and shards.
    async fn shard_list(&mut self, of: Option<CollectionId>) -> Result<Vec<ShardState>, Fault>;
    /// The collections that have shards, in order of their ids.
    async fn shard_collections(&mut self) -> Result<Vec<CollectionId>, Fault>;
    /// Adds the state of a shard or replaces it.
    async fn shard_put(&mut self, state: &ShardState) -> Result<(), Fault>;

    /// The segments with these ids that are there, in order of their ids.
    async fn segment_get(&mut self, ids: &[SegmentId]) -> Result<Vec<Segment>, Fault>;
    /// All segments, or those of a collection, in order of their ids.
    async fn segment_list(&mut self, of: Option<CollectionId>) -> Result<Vec<Segment>, Fault>;
    /// Adds segments that are not there.
    async fn segment_add(&mut self, segments: &[Segment]) -> Result<(), Fault>;
    /// Replaces the list of files of a segment that is there.
    async fn segment_files_put(
        &mut self,
        id: SegmentId,
        files: &[(String, FileRef)],
    ) -> Result<(), Fault>;
    /// Removes segments.
    async fn segment_remove(&mut self, ids: &[SegmentId]) -> Result<(), Fault>;
    /// Removes the shards and segments of a collection.
    async fn manifest_remove(&mut self, of: CollectionId) -> Result<(), Fault>;

    /// The names among these that are garbage.
    async fn garbage_find(&mut self, names: &[&str]) -> Result<Vec<String>, Fault>;
    /// All garbage in order of the names' bytes.
    async fn garbage_list(&mut self) -> Result<Vec<FileRef>, Fault>;
    /// Adds garbage; what is there stays.
    async fn garbage_add(&mut self, files: &[FileRef]) -> Result<(), Fault>;
    /// Removes garbage by its names.
    async fn garbage_remove(&mut self, names: &[String]) -> Result<(), Fault>;

    /// Sets the checkpoint of a channel unless the one there is as far.
    async fn checkpoint_forward(&mut self, channel: ChannelId, to: Checkpoint)
    -> Result<(), Fault>;

    /// Commits and tells nobody: nothing that is cached of the objects changed.
    ///
    /// # Errors
    /// Those of `Txn::commit`.
    async fn commit_quietly(self: Box<Self>) -> Result<(), Fault>;
}
