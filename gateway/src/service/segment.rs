//! Segments and replicas: what a collection consists of.

use std::sync::Arc;

use millstream_catalog::model::{
    ChannelId, Code, Collection, CollectionState, Fault, IndexDef, LoadState, PartitionId, VChannel,
};
use millstream_dataflow::ShardPart;
use millstream_dataflow::storage::IndexSpec;

use super::{Context, index as index_service, read};
use crate::convert::index;
use crate::convert::status::success;
use crate::gateway::{Gateway, is_loaded};
use crate::guarantee;
use crate::names;
use crate::pb;
use crate::pb::common::{SegmentLevel, SegmentState, Status};

/// The id of the one node of a cell, as clients see it.
pub(super) const NODE_ID: i64 = 1;
/// What is listed for a client that names no states.
const PERSISTENT: [SegmentState; 3] =
    [SegmentState::Flushing, SegmentState::Flushed, SegmentState::Sealed];
/// Ids of growing segments have this bit and no others do.
const GROWING: i64 = 1 << 62;

/// The name of a shard's channel, as clients see it.
pub(super) fn channel_name((shard, channel): (VChannel, ChannelId)) -> String {
    format!("channel-{channel}_{}v{}", shard.collection, shard.shard)
}

fn name_of(collection: &Collection, shard: VChannel) -> String {
    collection.vchannels().find(|(v, _)| *v == shard).map(channel_name).unwrap_or_default()
}

/// A number for the rows of a partition that grow in a shard: the catalog gives one to a segment
/// when it is written out.
fn growing_id(shard: VChannel, partition: PartitionId) -> i64 {
    GROWING | partition.0 << 4 | i64::from(shard.shard & 15)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What a collection consists of, with all rows that were acknowledged before the question.
async fn parts_of(
    gateway: &Arc<Gateway>,
    context: &Context,
    collection: &Collection,
) -> Result<Vec<ShardPart>, Fault> {
    let now = guarantee::Asked::default(); // strong
    let (_, needed) = read::begin(gateway, context, collection, now, Vec::new()).await?;
    let closed = gateway.dataflow.wait_closed(&collection.channels, needed);
    gateway.closer.read(&collection.channels, needed, context.timeout(), closed).await?;
    let shards: Vec<VChannel> = collection.vchannels().map(|(vchannel, _)| vchannel).collect();
    let mut parts = gateway.dataflow.parts_of(&shards);
    parts.retain(|part| part.rows > 0);
    Ok(parts)
}

pub(super) async fn persistent(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetPersistentSegmentInfoRequest,
) -> Result<pb::GetPersistentSegmentInfoResponse, Fault> {
    let collection =
        named(gateway, context.database(&request.db_name), &request.collection_name).await?;
    let wanted = |state: SegmentState| match request.states.is_empty() {
        true => PERSISTENT.contains(&state),
        false => request.states.contains(&i32::from(state)),
    };
    let info = |id: i64, shard, partition: PartitionId, rows, state: SegmentState| {
        pb::PersistentSegmentInfo {
            segment_id: id,
            collection_id: collection.id.0,
            partition_id: partition.0,
            num_rows: rows,
            state: state.into(),
            level: SegmentLevel::L1.into(),
            // Rows of a segment keep the order in which they came: no sorting is to be waited for.
            is_sorted: state == SegmentState::Flushed,
            insert_channel: name_of(&collection, shard),
            ..pb::PersistentSegmentInfo::default()
        }
    };
    let exists = |partition: PartitionId| collection.partitions.iter().any(|p| p.id == partition);
    let mut infos = Vec::new();
    if wanted(SegmentState::Flushed) {
        let stored = gateway.catalog.manifest_of(collection.id).await?;
        let segments = stored.into_iter().flat_map(|(_, segments)| segments);
        let there = segments.filter(|s| exists(s.partition));
        infos.extend(there.map(|s| {
            let rows = i64::from(s.rows);
            info(s.id.0, s.vchannel, s.partition, rows, SegmentState::Flushed)
        }));
    }
    if wanted(SegmentState::Growing) {
        let parts = parts_of(gateway, context, &collection).await?;
        let growing = parts.iter().filter(|p| p.segment.is_none() && exists(p.partition));
        infos.extend(growing.map(|p| {
            let id = growing_id(p.vchannel, p.partition);
            info(id, p.vchannel, p.partition, signed(p.rows), SegmentState::Growing)
        }));
    }
    Ok(pb::GetPersistentSegmentInfoResponse { status: Some(success()), infos })
}

pub(super) async fn loaded(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetQuerySegmentInfoRequest,
) -> Result<pb::GetQuerySegmentInfoResponse, Fault> {
    let collection =
        named(gateway, context.database(&request.db_name), &request.collection_name).await?;
    let parts = parts_of(gateway, context, &collection).await?;
    let is_loaded = |partition: PartitionId| {
        let found = collection.partitions.iter().find(|p| p.id == partition);
        found.is_some_and(|p| p.load == LoadState::Loaded)
    };
    let info = |part: &ShardPart| {
        let index = collection.indexes.iter().find(|index| is_built(&collection, index, part));
        pb::QuerySegmentInfo {
            segment_id: part
                .segment
                .map_or_else(|| growing_id(part.vchannel, part.partition), |segment| segment.0),
            collection_id: collection.id.0,
            partition_id: part.partition.0,
            mem_size: signed(part.bytes),
            num_rows: signed(part.rows),
            index_name: index.map(|index| index.name.clone()).unwrap_or_default(),
            index_id: index.map_or(0, |index| index.id.0),
            node_id: NODE_ID,
            state: match part.segment {
                Some(_) => SegmentState::Sealed.into(),
                None => SegmentState::Growing.into(),
            },
            node_ids: vec![NODE_ID],
            level: SegmentLevel::L1.into(),
            is_sorted: part.segment.is_some(),
            ..pb::QuerySegmentInfo::default()
        }
    };
    let infos = parts.iter().filter(|part| is_loaded(part.partition)).map(info).collect();
    Ok(pb::GetQuerySegmentInfoResponse { status: Some(success()), infos })
}

/// Whether an index of a vector field answers for a sealed segment: its part of the index is there,
/// or none is wanted.
fn is_built(collection: &Collection, of: &IndexDef, part: &ShardPart) -> bool {
    let Some(field) = collection.schema.field_by_id(of.field) else { return false };
    let rows = usize::try_from(part.rows).unwrap_or(usize::MAX);
    let wants = |spec: IndexSpec| spec.wants(rows, field.dim as usize);
    let scanned = !index::spec_of(field, of).is_some_and(wants);
    let built = scanned || part.indexes.contains(&(of.field, of.id));
    built && field.data_type.is_vector() && part.segment.is_some()
}

pub(super) async fn indexed(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::ListIndexedSegmentRequest,
) -> Result<pb::ListIndexedSegmentResponse, Fault> {
    let collection = named(gateway, context.database(""), &request.collection_name).await?;
    let indexes = index_service::found(&collection, "", &request.index_name)?;
    let parts = parts_of(gateway, context, &collection).await?;
    let is_built = |part: &&ShardPart| indexes.iter().any(|of| is_built(&collection, of, part));
    let segments = parts.iter().filter(is_built).filter_map(|part| part.segment);
    let segment_i_ds = segments.map(|segment| segment.0).collect();
    Ok(pb::ListIndexedSegmentResponse { status: Some(success()), segment_i_ds })
}

pub(super) async fn replicas(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetReplicasRequest,
) -> Result<pb::GetReplicasResponse, Fault> {
    let database = context.database(&request.db_name);
    let collection = match request.collection_name.as_str() {
        "" if request.collection_id > 0 => {
            gateway.collection_by_id(database, request.collection_id).await?
        }
        name => named(gateway, database, name).await?,
    };
    if !is_loaded(&collection) {
        let text = format!(
            "failed to get replicas by collection: replica not found[collection={}]",
            collection.id
        );
        return Err(Fault::new(Code::ReplicaNotFound, text));
    }
    let groups = gateway.catalog.groups().await?;
    let group = super::resource::home(&groups, &collection);
    let leader_addr = gateway.address.clone();
    let shard = |of| pb::ShardReplica {
        leader_id: NODE_ID,
        leader_addr: leader_addr.clone(),
        dm_channel_name: channel_name(of),
        node_ids: if request.with_shard_nodes { vec![NODE_ID] } else { Vec::new() },
    };
    let loaded = collection.partitions.iter().filter(|p| p.load == LoadState::Loaded);
    let replica = pb::ReplicaInfo {
        replica_id: collection.id.0,
        collection_id: collection.id.0,
        partition_ids: loaded.map(|p| p.id.0).collect(),
        shard_replicas: collection.vchannels().map(shard).collect(),
        node_ids: vec![NODE_ID],
        resource_group_name: group.map(|group| group.name.clone()).unwrap_or_default(),
        num_outbound_node: group
            .filter(|group| group.nodes.is_empty())
            .map(|group| (group.name.clone(), 1))
            .into_iter()
            .collect(),
    };
    Ok(pb::GetReplicasResponse { status: Some(success()), replicas: vec![replica] })
}

/// There is one node: segments can stay where they are, and go nowhere else.
pub(super) async fn balance(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::LoadBalanceRequest,
) -> Result<Status, Fault> {
    let database = context.database(&request.db_name);
    let collection = named(gateway, database, &request.collection_name).await?;
    if !is_loaded(&collection) {
        return Err(super::load::not_loaded(&collection, &[]));
    }
    let unknown = |node: i64| {
        let text = format!("node not found[node={node}]");
        Fault::new(Code::NodeNotFound, text)
    };
    if request.src_node_id != NODE_ID {
        let text = "source node not found in any replica: ";
        return Err(unknown(request.src_node_id).prefixed(text));
    }
    if let Some(&node) = request.dst_node_i_ds.first() {
        if node == request.src_node_id {
            let text = format!("destination node {node} is the source node");
            return Err(Fault::invalid(text));
        }
        return Err(unknown(node).prefixed("destination node not found in the same replica: "));
    }
    let parts = parts_of(gateway, context, &collection).await?;
    let is_there = |id: i64| parts.iter().any(|p| p.segment.is_some_and(|segment| segment.0 == id));
    if let Some(missing) = request.sealed_segment_i_ds.iter().find(|id| !is_there(**id)) {
        let text = format!("segment {missing} not found in source node {NODE_ID}");
        return Err(Fault::new(Code::SegmentNotFound, text));
    }
    Ok(success())
}

async fn named(gateway: &Gateway, database: &str, name: &str) -> Result<Arc<Collection>, Fault> {
    names::check_collection(name)?;
    let found = gateway.collection(database, name).await?;
    debug_assert_eq!(found.state, CollectionState::Created);
    Ok(found)
}
