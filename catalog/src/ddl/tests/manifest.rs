//! Crash atomicity of the manifest: a flush is in the catalog as a whole or not at all.

use async_trait::async_trait;

use super::{FusedTxn, Story, burn, new_collection, picture};
use crate::catalog::{Catalog, Checkpoint, FlushCommit};
use crate::model::{
    ChannelId, CollectionId, Fault, FileRef, LogPosition, PartitionId, RequestId, Segment,
    SegmentId, ShardState, SlotState, Timestamp, VChannel,
};
use crate::store::ManifestTxn;

#[async_trait]
impl ManifestTxn for FusedTxn {
    async fn shard_get(&mut self, shard: VChannel) -> Result<Option<ShardState>, Fault> {
        burn(&self.1)?;
        self.0.shard_get(shard).await
    }

    async fn shard_list(&mut self, of: Option<CollectionId>) -> Result<Vec<ShardState>, Fault> {
        burn(&self.1)?;
        self.0.shard_list(of).await
    }

    async fn shard_collections(&mut self) -> Result<Vec<CollectionId>, Fault> {
        burn(&self.1)?;
        self.0.shard_collections().await
    }

    async fn shard_put(&mut self, state: &ShardState) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.shard_put(state).await
    }

    async fn segment_get(&mut self, ids: &[SegmentId]) -> Result<Vec<Segment>, Fault> {
        burn(&self.1)?;
        self.0.segment_get(ids).await
    }

    async fn segment_list(&mut self, of: Option<CollectionId>) -> Result<Vec<Segment>, Fault> {
        burn(&self.1)?;
        self.0.segment_list(of).await
    }

    async fn segment_add(&mut self, segments: &[Segment]) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.segment_add(segments).await
    }

    async fn segment_files_put(
        &mut self,
        id: SegmentId,
        files: &[(String, FileRef)],
    ) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.segment_files_put(id, files).await
    }

    async fn segment_remove(&mut self, ids: &[SegmentId]) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.segment_remove(ids).await
    }

    async fn manifest_remove(&mut self, of: CollectionId) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.manifest_remove(of).await
    }

    async fn garbage_find(&mut self, names: &[&str]) -> Result<Vec<String>, Fault> {
        burn(&self.1)?;
        self.0.garbage_find(names).await
    }

    async fn garbage_list(&mut self) -> Result<Vec<FileRef>, Fault> {
        burn(&self.1)?;
        self.0.garbage_list().await
    }

    async fn garbage_add(&mut self, files: &[FileRef]) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.garbage_add(files).await
    }

    async fn garbage_remove(&mut self, names: &[String]) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.garbage_remove(names).await
    }

    async fn checkpoint_forward(
        &mut self,
        channel: ChannelId,
        to: Checkpoint,
    ) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.checkpoint_forward(channel, to).await
    }

    /// The power may go before the commit, or after it and before its answer.
    async fn commit_quietly(self: Box<Self>) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.commit_quietly().await?;
        burn(&self.1)
    }
}

fn file(name: &str) -> FileRef {
    FileRef { name: name.to_owned(), bytes: 64, crc32c: 7 }
}

/// A flush of the first shard of the only collection.
async fn flush(
    catalog: &dyn Catalog,
    seq: u64,
    (added, removed): (&[i64], &[i64]),
    deltas: &[&str],
) -> Result<(), Fault> {
    let all = catalog.collection_all().await?;
    let gone = || Fault::internal("no collection");
    let (vchannel, channel) = all.first().and_then(|c| c.vchannels().next()).ok_or_else(gone)?;
    let at = Timestamp::from_ms(seq);
    let segment = |id: &i64| Segment {
        id: SegmentId(*id),
        vchannel,
        partition: PartitionId(1),
        slot: 0,
        first_row: 0,
        rows: 10,
        files: vec![
            ("rows".to_owned(), file(&format!("{id}.rows"))),
            ("runs".to_owned(), file(&format!("{id}.runs"))),
        ],
        min_ts: at,
        max_ts: at,
    };
    let state = ShardState {
        vchannel,
        channel,
        applied: LogPosition { seq, index: 2 },
        closed: at,
        since: at,
        slots: vec![SlotState { partition: PartitionId(1), rows: 10, dropped_at: None }],
        deltas: deltas.iter().map(|name| file(name)).collect(),
        expiry: Vec::new(),
        truncated: 0,
    };
    let checkpoint = Some((channel, Checkpoint { seq, closed: at }));
    let removed = removed.iter().map(|id| SegmentId(*id)).collect();
    let added = added.iter().map(segment).collect();
    catalog.flush_commit(FlushCommit { state, added, removed, checkpoint }).await
}

/// The life of a shard's files, from the first flush to the end of the garbage.
struct Files;

impl Story for Files {
    const CHANGES: usize = 10;

    async fn change(catalog: &dyn Catalog, which: usize) -> Result<(), Fault> {
        let finish = async || match catalog.intents_pending().await?.first() {
            Some(intent) => catalog.intent_finish(intent.id).await,
            None => Ok(()),
        };
        let artefact = || vec![("index/101/9".to_owned(), file("901.hnsw"))];
        match which {
            0 => catalog.collection_create(RequestId(1), new_collection("c")).await.map(|_| ()),
            1 | 7 => finish().await,
            2 => flush(catalog, 10, (&[901, 902], &[]), &["d1", "d2"]).await,
            3 => catalog.segment_files_set(SegmentId(901), artefact(), Vec::new()).await,
            4 => flush(catalog, 20, (&[903], &[901]), &["d2", "d3"]).await,
            5 => {
                let runs = vec!["runs".to_owned()];
                catalog.segment_files_set(SegmentId(902), Vec::new(), runs).await
            }
            6 => catalog.collection_drop("default", "c").await.map(|_| ()),
            8 => {
                let dropped = catalog.manifest_dropped().await?;
                let id = *dropped.first().ok_or_else(|| Fault::internal("forgotten"))?;
                catalog.manifest_forget(id).await.map(|_| ())
            }
            _ => {
                let files = catalog.garbage().await?;
                let names: Vec<String> = files.into_iter().map(|file| file.name).collect();
                catalog.garbage_done(&names).await
            }
        }
    }

    async fn picture(catalog: &dyn Catalog) -> String {
        let objects = picture(catalog).await;
        let manifest = catalog.manifest().await.unwrap();
        let dropped = catalog.manifest_dropped().await.unwrap();
        let garbage = catalog.garbage().await.unwrap();
        let mut text = format!("{objects} {manifest:?} {dropped:?} {garbage:?}");
        for channel in 0..catalog.channels() {
            let at = catalog.checkpoint_get(ChannelId(channel)).await.unwrap();
            text += &format!(" {at:?}");
        }
        text
    }
}

#[test]
fn a_flush_cut_off_anywhere_is_whole_or_absent_in_memory() {
    super::cut_in_memory::<Files>();
}

#[cfg(feature = "sql")]
#[test]
fn a_flush_cut_off_anywhere_is_whole_or_absent_on_sqlite() {
    super::sqlite::cut_on_sqlite::<Files>();
}
