//! Changes of metadata that touch data: decided, told to the log, made current.
//!
//! The catalog decides; then every channel of the collection must hear of it in the log, and then
//! the change becomes current. Whatever stops this half way leaves the intent in the catalog, and it
//! is carried on before the next change or at the next start. Doing so twice is harmless.
//!
//! **Invariant.** One change is on its way at a time, and it goes on when its client goes away.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_catalog::catalog::{Intent, IntentOp};
use millstream_catalog::fail;
use millstream_catalog::model::{Collection, Fault, PartitionId, ttl_ms};
use millstream_catalog::origin;
use millstream_dataflow::records::{ALL_PARTITIONS, DdlRecord};
use millstream_log::{Kind, RecordBuilder};

use crate::gateway::Gateway;

/// Decides a change, unless there is nothing to do, and carries it to its end.
///
/// # Errors
/// Those of the decision; those of the log and the catalog, after which it remains decided.
pub async fn change<F, D>(gateway: &Arc<Gateway>, decide: D) -> Result<(), Fault>
where
    D: FnOnce(Arc<Gateway>) -> F + Send + 'static,
    F: Future<Output = Result<Option<Intent>, Fault>> + Send + 'static,
{
    let gateway = Arc::clone(gateway);
    let request = origin::current();
    let whole = async move {
        let _turn = gateway.turn.acquire().await;
        finish_pending(&gateway).await?;
        fail::point("ddl.before_decide");
        // What is decided is carried to its end also when this ends here.
        gateway.unfinished.store(true, Ordering::Release);
        let decided = origin::under(request, decide(Arc::clone(&gateway))).await?;
        if let Some(intent) = decided {
            finish(&gateway, intent).await?;
        }
        gateway.unfinished.store(false, Ordering::Release);
        fail::point("ddl.before_answer");
        Ok(())
    };
    // A client that goes away drops its own future at any await.
    let joined = tokio::spawn(whole).await;
    joined.unwrap_or_else(|error| Err(Fault::internal(format!("a change ended early: {error}"))))
}

/// Carries all decided changes to their end, if there may be any.
///
/// # Errors
/// Those of the log and the catalog.
pub async fn roll_forward(gateway: &Arc<Gateway>) -> Result<(), Fault> {
    if !gateway.unfinished.load(Ordering::Acquire) {
        return Ok(());
    }
    change(gateway, |_| async { Ok(None) }).await
}

async fn finish_pending(gateway: &Arc<Gateway>) -> Result<(), Fault> {
    if !gateway.unfinished.load(Ordering::Acquire) {
        return Ok(());
    }
    for intent in gateway.catalog.intents_pending().await? {
        tracing::info!(intent = intent.id, "carrying a decided change to its end");
        fail::point("start.pending_found");
        finish(gateway, intent).await?;
    }
    Ok(())
}

async fn finish(gateway: &Arc<Gateway>, intent: Intent) -> Result<(), Fault> {
    let (collection, partition, records) = match &intent.op {
        IntentOp::CollectionCreate(c) => {
            let schema = Arc::clone(&c.schema);
            let mut records = vec![DdlRecord::CollectionCreate { schema }];
            records.extend(c.ttl_ms().map(|ms| DdlRecord::TtlSet { ms: Some(ms) }));
            (c, ALL_PARTITIONS, records)
        }
        IntentOp::CollectionDrop(c) => (c, ALL_PARTITIONS, vec![DdlRecord::CollectionDrop]),
        IntentOp::PartitionDrop(c, partition) => {
            (c, *partition, vec![DdlRecord::PartitionDrop { partition: *partition }])
        }
        IntentOp::FieldAdd(c, _) => {
            let schema = Arc::clone(&c.schema);
            (c, ALL_PARTITIONS, vec![DdlRecord::SchemaSet { schema }])
        }
        IntentOp::Truncate(c) => {
            (c, ALL_PARTITIONS, vec![DdlRecord::Truncate { intent: intent.id }])
        }
        IntentOp::TtlSet(c, value) => {
            let ms = value.as_deref().and_then(ttl_ms);
            (c, ALL_PARTITIONS, vec![DdlRecord::TtlSet { ms }])
        }
    };
    fail::point("ddl.decided");
    // Unreadable from here on, whatever becomes of the rest.
    gateway.cache.invalidate(collection.id);
    publish(gateway, collection, partition, &records).await?;
    fail::point("ddl.published");
    gateway.catalog.intent_finish(intent.id).await?;
    fail::point("ddl.current");
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
    records: &[DdlRecord],
) -> Result<(), Fault> {
    let version = collection.schema.version;
    let mut units = Vec::with_capacity(collection.channels.len());
    for (vchannel, channel) in collection.vchannels() {
        let shard = vchannel.shard;
        let record = |record: &DdlRecord| {
            let blob = record.encode().map_err(Fault::internal)?;
            let mut builder =
                RecordBuilder::new(Kind::Ddl, collection.id, partition, shard, version, 0);
            builder.blob(&blob);
            builder.finish().map_err(|e| Fault::internal(e.to_string()))
        };
        units.push((channel, records.iter().map(record).collect::<Result<_, Fault>>()?));
    }
    gateway.writer.write(gateway.request_id(), units).await?;
    Ok(())
}
