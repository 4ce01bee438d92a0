//! Flushes, and whether they are done.

use std::sync::Arc;

use millstream_catalog::model::{Code, Collection, Fault, Timestamp, VChannel};

use super::{Context, admit};
use crate::convert::status::{Reply, success};
use crate::files;
use crate::gateway::Gateway;
use crate::pb;
use crate::pb::schema::LongArray;

/// Every acknowledged write is on stable storage already; a flush seals the shards, and answers when
/// what they held is in files.
pub(super) async fn flush(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::FlushRequest,
) -> Result<pb::FlushResponse, Fault> {
    let database = context.database(&request.db_name);
    let mut answer = pb::FlushResponse { db_name: database.to_owned(), ..Default::default() };
    let mut collections: Vec<(String, Arc<Collection>)> = Vec::new();
    for name in request.collection_names {
        let collection = gateway.collection(database, &name).await?;
        admit::flush(gateway, database, &collection).await?;
        collections.push((name, collection));
    }
    for (name, collection) in collections {
        let flushed = files::flush(gateway, &collection, context.timeout()).await?;
        let seal_time = i64::try_from(flushed.physical_ms() / 1_000).unwrap_or(i64::MAX);
        let segments = segment_ids(gateway, &collection).await?;
        answer.coll_seg_i_ds.insert(name.clone(), segments.clone());
        answer.flush_coll_seg_i_ds.insert(name.clone(), segments);
        answer.coll_seal_times.insert(name.clone(), seal_time);
        answer.coll_flush_ts.insert(name, flushed.0);
    }
    Ok(answer.with_status(success()))
}

/// The sealed segments of a collection.
async fn segment_ids(gateway: &Arc<Gateway>, collection: &Collection) -> Result<LongArray, Fault> {
    let shards = gateway.catalog.manifest_of(collection.id).await?;
    let ids = shards.iter().flat_map(|(_, segments)| segments).map(|segment| segment.id.0);
    Ok(LongArray { data: ids.collect() })
}

pub(super) async fn flush_state(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetFlushStateRequest,
) -> Result<pb::GetFlushStateResponse, Fault> {
    let mut flushed = true;
    if !request.collection_name.is_empty() {
        let database = context.database(&request.db_name);
        let collection = gateway.collection(database, &request.collection_name).await?;
        flushed = is_flushed(gateway, &collection, request.flush_ts);
    }
    Ok(pb::GetFlushStateResponse { status: Some(success()), flushed })
}

/// Whether what a collection held at a time is in files. Time 0 is none: a client that knows only
/// segments names those that are written out.
fn is_flushed(gateway: &Gateway, collection: &Collection, at: u64) -> bool {
    let shards: Vec<VChannel> = collection.vchannels().map(|(vchannel, _)| vchannel).collect();
    at == 0 || gateway.dataflow.is_flushed(&shards, Timestamp(at))
}

/// The collections that a request to flush all of them means.
async fn flush_targets(
    gateway: &Arc<Gateway>,
    context: &Context,
    database: &str,
    targets: &[pb::FlushAllTarget],
) -> Result<Vec<Arc<Collection>>, Fault> {
    let mut collections = Vec::new();
    for target in targets {
        let database = context.database(&target.db_name);
        if target.collection_names.is_empty() {
            collections.extend(gateway.catalog.collection_list(database).await?);
        }
        for name in &target.collection_names {
            collections.push(gateway.collection(database, name).await?);
        }
    }
    if targets.is_empty() && !database.is_empty() {
        collections = gateway.catalog.collection_list(database).await?;
    } else if targets.is_empty() {
        for database in gateway.catalog.database_list().await? {
            collections.extend(gateway.catalog.collection_list(&database.name).await?);
        }
    }
    Ok(collections)
}

pub(super) async fn flush_all(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::FlushAllRequest,
) -> Result<pb::FlushAllResponse, Fault> {
    let (database, targets) = (&request.db_name, &request.flush_targets);
    let mut flush_all_ts = gateway.now().await?;
    let collections = flush_targets(gateway, context, database, targets).await?;
    let flushes = collections.iter().map(|c| files::flush(gateway, c, context.timeout()));
    for flushed in futures::future::join_all(flushes).await {
        match flushed {
            Ok(at) => flush_all_ts = flush_all_ts.min(at),
            // Dropped meanwhile: nothing of it is left to flush.
            Err(fault) if fault.code == Code::CollectionNotFound => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(pb::FlushAllResponse { status: Some(success()), flush_all_ts: flush_all_ts.0 })
}

pub(super) async fn flush_all_state(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetFlushAllStateRequest,
) -> Result<pb::GetFlushAllStateResponse, Fault> {
    let (database, targets) = (&request.db_name, &request.flush_targets);
    let collections = flush_targets(gateway, context, database, targets).await?;
    // A collection made after that time has nothing of then.
    let then = |c: &&Arc<Collection>| c.created.0 <= request.flush_all_ts;
    let flushed = collections.iter().filter(then);
    let flushed = flushed.fold(true, |all, c| all & is_flushed(gateway, c, request.flush_all_ts));
    Ok(pb::GetFlushAllStateResponse { status: Some(success()), flushed })
}
