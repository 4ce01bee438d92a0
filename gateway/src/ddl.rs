//! Changes of metadata that touch data: a decided intent is carried to its end.
//!
//! The catalog has decided; now every channel of the collection must hear of it in the log, and
//! then the change becomes current. Whatever stops this half way leaves the intent in the catalog,
//! and it is carried on before the next change or at the next start. Doing so twice is harmless.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_catalog::catalog::{Intent, IntentOp};
use millstream_catalog::model::{Collection, Fault, PartitionId};
use millstream_dataflow::records::{ALL_PARTITIONS, DdlRecord};
use millstream_log::{Kind, RecordBuilder};

use crate::gateway::Gateway;

/// Carries one decided change to its end.
///
/// # Errors
/// Those of the log and the catalog; the change remains decided.
pub async fn carry_out(gateway: &Arc<Gateway>, intent: Intent) -> Result<(), Fault> {
    // Kept until the end: a client that goes away drops this future at any await.
    gateway.unfinished.store(true, Ordering::Release);
    finish(gateway, intent).await?;
    gateway.unfinished.store(false, Ordering::Release);
    Ok(())
}

/// Carries all decided changes to their end, if there may be any.
///
/// # Errors
/// Those of the log and the catalog.
pub async fn roll_forward(gateway: &Arc<Gateway>) -> Result<(), Fault> {
    if !gateway.unfinished.load(Ordering::Acquire) {
        return Ok(());
    }
    for intent in gateway.catalog.intents_pending().await? {
        tracing::info!(intent = intent.id, "carrying a decided change to its end");
        finish(gateway, intent).await?;
    }
    gateway.unfinished.store(false, Ordering::Release);
    Ok(())
}

async fn finish(gateway: &Arc<Gateway>, intent: Intent) -> Result<(), Fault> {
    let (collection, partition, record) = match &intent.op {
        IntentOp::CollectionCreate(c) => {
            let schema = Arc::clone(&c.schema);
            (c, ALL_PARTITIONS, DdlRecord::CollectionCreate { schema })
        }
        IntentOp::CollectionDrop(c) => (c, ALL_PARTITIONS, DdlRecord::CollectionDrop),
        IntentOp::PartitionDrop(c, partition) => {
            (c, *partition, DdlRecord::PartitionDrop { partition: *partition })
        }
    };
    // Unreadable from here on, whatever becomes of the rest.
    gateway.cache.invalidate(collection.id);
    publish(gateway, collection, partition, &record).await?;
    gateway.catalog.intent_finish(intent.id).await?;
    gateway.cache.invalidate(collection.id);
    if matches!(intent.op, IntentOp::CollectionDrop(_)) {
        gateway.garbage.notify_one();
    }
    Ok(())
}

async fn publish(
    gateway: &Arc<Gateway>,
    collection: &Collection,
    partition: PartitionId,
    record: &DdlRecord,
) -> Result<(), Fault> {
    let blob = record.encode().map_err(Fault::internal)?;
    let version = collection.schema.version;
    let mut units = Vec::with_capacity(collection.channels.len());
    for (vchannel, channel) in collection.vchannels() {
        let shard = vchannel.shard;
        let mut builder =
            RecordBuilder::new(Kind::Ddl, collection.id, partition, shard, version, 0);
        builder.blob(&blob);
        let built = builder.finish().map_err(|e| Fault::internal(e.to_string()))?;
        units.push((channel, vec![built]));
    }
    gateway.writer.write(gateway.request_id(), units).await?;
    Ok(())
}
