//! Sealing of shards, and the files of what was sealed: who seals, who names them, who deletes them.

mod adopt;

use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::catalog::{Catalog, CompactCommit, FlushCommit, IdKind};
use millstream_catalog::fail;
use millstream_catalog::model::{
    ChannelId, Code, Collection, CollectionId, Fault, FileRef, IndexDef, SegmentId, Timestamp,
    VChannel,
};
use millstream_dataflow::records::ALL_PARTITIONS;
use millstream_dataflow::storage::{Archive, IndexSpec, Keep};
use millstream_log::{Kind, RecordBuilder};
use millstream_store::Store;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::convert::{index, properties};
use crate::gateway::Gateway;

pub use adopt::adopt;

/// How long a seal that could not be written waits before it is tried again.
const SEAL_AGAIN: Duration = Duration::from_secs(1);

/// The catalog as the workers' archive.
pub struct CatalogArchive {
    catalog: Arc<dyn Catalog>,
    runtime: Handle,
    due: UnboundedSender<VChannel>,
    garbage: Arc<Notify>,
    retention_seconds: u64,
}

impl CatalogArchive {
    /// An archive whose calls wait on the current runtime. Shards that should be sealed go to `due`;
    /// `garbage` is told when there may be files that nothing names. Rows that ended are kept for
    /// `retention_seconds` where their collection does not say otherwise.
    pub fn new(
        catalog: Arc<dyn Catalog>,
        due: UnboundedSender<VChannel>,
        garbage: Arc<Notify>,
        retention_seconds: u64,
    ) -> CatalogArchive {
        CatalogArchive { catalog, runtime: Handle::current(), due, garbage, retention_seconds }
    }
}

impl Archive for CatalogArchive {
    fn ids(&self, count: u32) -> Result<i64, Fault> {
        self.runtime.block_on(self.catalog.id_block(IdKind::Object, count))
    }

    fn commit(&self, commit: FlushCommit) -> Result<(), Fault> {
        let replaces = !commit.removed.is_empty() || commit.state.deltas.len() == 1;
        self.runtime.block_on(self.catalog.flush_commit(commit))?;
        if replaces {
            self.garbage.notify_one();
        }
        Ok(())
    }

    fn compact(&self, commit: CompactCommit) -> Result<(), Fault> {
        self.runtime.block_on(self.catalog.compact_commit(commit))?;
        self.garbage.notify_one();
        Ok(())
    }

    fn keep(&self, collection: CollectionId) -> Result<Keep, Fault> {
        let collection = self.runtime.block_on(self.catalog.collection_by_id(collection))?;
        Ok(properties::keep(&collection.properties, self.retention_seconds))
    }

    fn indexes(&self, collection: CollectionId) -> Result<Vec<IndexSpec>, Fault> {
        match self.runtime.block_on(self.catalog.collection_by_id(collection)) {
            Ok(collection) => Ok(indexes(&collection)),
            // Dropped: nothing is wanted any more.
            Err(fault) if fault.code == Code::CollectionNotFound => Ok(Vec::new()),
            Err(fault) => Err(fault),
        }
    }

    fn index_built(&self, segment: SegmentId, kind: String, file: FileRef) -> Result<(), Fault> {
        let add = vec![(kind, file)];
        self.runtime.block_on(self.catalog.segment_files_set(segment, add, Vec::new()))
    }

    fn index_dropped(&self, segment: SegmentId, kind: String) -> Result<(), Fault> {
        let set = self.catalog.segment_files_set(segment, Vec::new(), vec![kind]);
        match self.runtime.block_on(set) {
            Err(fault) if fault.code != Code::SegmentNotFound => return Err(fault),
            _ => self.garbage.notify_one(),
        }
        Ok(())
    }

    fn seal_due(&self, vchannel: VChannel) {
        // Nobody seals any more when the process stops.
        let _ = self.due.send(vchannel);
    }
}

/// What the indexes of a collection ask for beside sealed segments.
pub fn indexes(collection: &Collection) -> Vec<IndexSpec> {
    let spec = |index: &IndexDef| {
        let field = collection.schema.field_by_id(index.field)?;
        index::spec_of(field, index)
    };
    collection.indexes.iter().filter_map(spec).collect()
}

/// Seals the shards that are due, until the workers are gone. One that cannot be sealed holds up
/// no other.
pub async fn seal_due(gateway: Arc<Gateway>, mut due: UnboundedReceiver<VChannel>) {
    while let Some(vchannel) = due.recv().await {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            loop {
                match seal_one(&gateway, vchannel).await {
                    Ok(()) => return,
                    Err(fault) if fault.code == Code::CollectionNotFound => return,
                    Err(fault) => tracing::warn!(?vchannel, %fault, "a shard was not sealed"),
                }
                tokio::time::sleep(SEAL_AGAIN).await;
            }
        });
    }
}

async fn seal_one(gateway: &Arc<Gateway>, vchannel: VChannel) -> Result<(), Fault> {
    let collection = gateway.cache.get_by_id(vchannel.collection).await?;
    let of = |(candidate, _): &(VChannel, ChannelId)| *candidate == vchannel;
    seal(gateway, collection.vchannels().filter(of)).await?;
    Ok(())
}

/// Appends a seal to the channels of shards; the time that they are written out through when that
/// is done.
///
/// # Errors
/// Those of the log.
pub async fn seal(
    gateway: &Arc<Gateway>,
    shards: impl Iterator<Item = (VChannel, ChannelId)>,
) -> Result<Timestamp, Fault> {
    let mut units = Vec::new();
    for (VChannel { collection, shard }, channel) in shards {
        let built = RecordBuilder::new(Kind::Seal, collection, ALL_PARTITIONS, shard, 0, 0);
        let built = built.finish().map_err(|e| Fault::internal(e.to_string()))?;
        units.push((channel, vec![built]));
    }
    if units.is_empty() {
        return gateway.now().await;
    }
    fail::point("seal.before_publish");
    let sealed = gateway.writer.write(gateway.request_id(), units).await?;
    fail::point("seal.published");
    Ok(sealed)
}

/// Seals all shards of a collection and waits until they are written out; the time of the seal.
/// Several at once share the work: a shard that holds nothing new is written out already.
///
/// # Errors
/// Those of the log, and `Timeout` when it takes longer than the request may.
pub async fn flush(
    gateway: &Arc<Gateway>,
    collection: &Collection,
    timeout: Duration,
) -> Result<Timestamp, Fault> {
    let sealed = seal(gateway, collection.vchannels()).await?;
    let shards = collection.vchannels().map(|(vchannel, _)| vchannel).collect();
    let written = gateway.dataflow.wait_flushed(shards, sealed);
    let Ok(written) = gateway.deadlines.limit(timeout, written).await else {
        let name = &collection.schema.name;
        let text = format!("collection {name} was not written out within {timeout:?}");
        return Err(Fault::new(Code::Timeout, text));
    };
    if !written? {
        return Err(Fault::collection_not_found(&collection.database_name, &collection.name));
    }
    fail::point("flush.before_answer");
    Ok(sealed)
}

/// Deletes garbage whenever `garbage` is told of some.
pub async fn delete_garbage_when_told(
    catalog: Arc<dyn Catalog>,
    store: Store,
    garbage: Arc<Notify>,
) {
    loop {
        if let Err(fault) = delete_garbage(&catalog, &store).await {
            tracing::warn!(%fault, "files that are not needed were not deleted");
        }
        garbage.notified().await;
    }
}

/// Deletes the files that nothing names any more. What fails is tried again with the next call.
async fn delete_garbage(catalog: &Arc<dyn Catalog>, store: &Store) -> Result<(), Fault> {
    for collection in catalog.manifest_dropped().await? {
        catalog.manifest_forget(collection).await?;
        fail::point("garbage.forgotten");
    }
    let garbage = catalog.garbage().await?;
    if garbage.is_empty() {
        return Ok(());
    }
    fail::point("garbage.before_delete");
    let store = store.clone();
    let delete = move || {
        let gone = |file: &String| match store.delete_file(file) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(file, %error, "a file that is not needed was not deleted");
                false
            }
        };
        garbage.into_iter().map(|file| file.name).filter(gone).collect::<Vec<String>>()
    };
    let deleted = tokio::task::spawn_blocking(delete).await;
    let deleted = deleted.map_err(|e| Fault::internal(e.to_string()))?;
    fail::point("garbage.deleted");
    catalog.garbage_done(&deleted).await
}
