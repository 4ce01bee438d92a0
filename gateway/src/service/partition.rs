//! Partitions.

use std::collections::HashSet;
use std::sync::Arc;

use millstream_catalog::model::{Fault, LoadState, Partition, PartitionId};

use super::{Context, keys, read};
use crate::convert::status::success;
use crate::gateway::Gateway;
use crate::names;
use crate::pb;
use crate::pb::common::{KeyValuePair, Status};
use crate::{ddl, guarantee};

pub(super) async fn create(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::CreatePartitionRequest,
) -> Result<Status, Fault> {
    names::check_collection(&request.collection_name)?;
    names::check_partition(&request.partition_name)?;
    let database = context.database(&request.db_name);
    // Only its id: a collection with thousands of partitions is not read for one more.
    let id = gateway.cache.id(database, &request.collection_name).await?;
    gateway.catalog.partition_create(id, &request.partition_name).await?;
    gateway.cache.invalidate(id);
    Ok(success())
}

pub(super) async fn drop_partition(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::DropPartitionRequest,
) -> Result<Status, Fault> {
    names::check_collection(&request.collection_name)?;
    names::check_partition(&request.partition_name)?;
    ddl::roll_forward(gateway).await?;
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    keys::check_free(&collection, "drop partition")?;
    if let Some(partition) = collection.partition(&request.partition_name)
        && partition.load == LoadState::Loaded
    {
        let text = "partition cannot be dropped, partition is loaded, please release it first";
        return Err(Fault::plain(text));
    }
    let name = request.partition_name;
    ddl::change(gateway, move |gateway| async move {
        gateway.catalog.partition_drop(collection.id, &name).await
    })
    .await?;
    Ok(success())
}

pub(super) async fn has(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::HasPartitionRequest,
) -> Result<pb::BoolResponse, Fault> {
    names::check_collection(&request.collection_name)?;
    names::check_partition(&request.partition_name)?;
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let value = collection.partition(&request.partition_name).is_some();
    Ok(pb::BoolResponse { status: Some(success()), value })
}

pub(super) async fn show(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::ShowPartitionsRequest,
) -> Result<pb::ShowPartitionsResponse, Fault> {
    let database = context.database(&request.db_name);
    let collection = if request.collection_name.is_empty() && request.collection_id > 0 {
        gateway.collection_by_id(database, request.collection_id).await?
    } else {
        gateway.collection(database, &request.collection_name).await?
    };
    let id = |(name, found): (&String, Option<&Partition>)| {
        found.map(|p| p.id).ok_or_else(|| Fault::partition_not_found(name))
    };
    let wanted = read::named(&collection, &request.partition_names).map(id);
    let wanted: HashSet<PartitionId> = wanted.collect::<Result<_, Fault>>()?;
    let all = collection.partitions.iter();
    let shown: Vec<_> = all.filter(|p| wanted.is_empty() || wanted.contains(&p.id)).collect();
    Ok(pb::ShowPartitionsResponse {
        status: Some(success()),
        partition_names: shown.iter().map(|p| p.name.clone()).collect(),
        partition_i_ds: shown.iter().map(|p| p.id.0).collect(),
        created_timestamps: shown.iter().map(|p| p.created.0).collect(),
        created_utc_timestamps: shown.iter().map(|p| p.created.physical_ms()).collect(),
        in_memory_percentages: shown
            .iter()
            .map(|p| if p.load == LoadState::Loaded { 100 } else { 0 })
            .collect(),
    })
}

/// The exact number of rows now.
pub(super) async fn statistics(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetPartitionStatisticsRequest,
) -> Result<pb::GetPartitionStatisticsResponse, Fault> {
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let Some(partition) = collection.partition(&request.partition_name) else {
        return Err(Fault::partition_not_found(&request.partition_name));
    };
    let now = guarantee::Asked::default(); // strong
    let rows = read::count_all(gateway, context, &collection, &[partition.id], now).await?;
    let stats = vec![KeyValuePair { key: "row_count".to_owned(), value: rows.to_string() }];
    Ok(pb::GetPartitionStatisticsResponse { status: Some(success()), stats })
}
