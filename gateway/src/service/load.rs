//! What is loaded. Rows are always in memory; loading decides whether reads are served.

use std::collections::HashSet;
use std::sync::Arc;

use millstream_catalog::model::{Code, Collection, Fault, LoadState, Partition, PartitionId};

use super::{Context, keys, read, resource};
use crate::convert::status::success;
use crate::gateway::{Gateway, is_loaded};
use crate::names;
use crate::pb;
use crate::pb::common::{LoadState as WireState, Status};

pub(super) async fn load_collection(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::LoadCollectionRequest,
) -> Result<Status, Fault> {
    let (database, name) = (context.database(&request.db_name), &request.collection_name);
    check_replicas(request.replica_number)?;
    let collection = find(gateway, database, name).await?;
    check_fields(&collection, &request.load_fields)?;
    check_indexed(&collection)?;
    resource::place(gateway, &collection, request.resource_groups).await?;
    set(gateway, &collection, &[], LoadState::Loaded).await
}

pub(super) async fn release_collection(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::ReleaseCollectionRequest,
) -> Result<Status, Fault> {
    let (database, name) = (context.database(&request.db_name), &request.collection_name);
    let collection = find(gateway, database, name).await?;
    set(gateway, &collection, &[], LoadState::NotLoaded).await
}

pub(super) async fn load_partitions(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::LoadPartitionsRequest,
) -> Result<Status, Fault> {
    let (database, name) = (context.database(&request.db_name), &request.collection_name);
    check_replicas(request.replica_number)?;
    let collection = find(gateway, database, name).await?;
    keys::check_free(&collection, "load partitions")?;
    let partitions = named(&collection, &request.partition_names)?;
    check_fields(&collection, &request.load_fields)?;
    check_indexed(&collection)?;
    resource::place(gateway, &collection, request.resource_groups).await?;
    set(gateway, &collection, &partitions, LoadState::Loaded).await
}

pub(super) async fn release_partitions(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::ReleasePartitionsRequest,
) -> Result<Status, Fault> {
    let (database, name) = (context.database(&request.db_name), &request.collection_name);
    let collection = find(gateway, database, name).await?;
    keys::check_free(&collection, "release partitions")?;
    let partitions = named(&collection, &request.partition_names)?;
    set(gateway, &collection, &partitions, LoadState::NotLoaded).await
}

async fn find(
    gateway: &Arc<Gateway>,
    database: &str,
    name: &str,
) -> Result<Arc<Collection>, Fault> {
    names::check_collection(name)?;
    gateway.collection(database, name).await
}

/// A partition list that must name at least one.
fn named(collection: &Collection, names: &[String]) -> Result<Vec<PartitionId>, Fault> {
    if names.is_empty() {
        return Err(Fault::invalid("due to no partition specified"));
    }
    let id = |(name, found): (&String, Option<&Partition>)| {
        found.map(|p| p.id).ok_or_else(|| Fault::partition_not_found(name))
    };
    read::named(collection, names).map(id).collect()
}

fn check_replicas(replicas: i32) -> Result<(), Fault> {
    if replicas <= 1 {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "replica_number {replicas} is not supported yet, this server keeps one replica"
    )))
}

/// Refuses a list of fields that are not there, or without those that no read does without. All
/// fields are served, whichever are named.
fn check_fields(collection: &Collection, names: &[String]) -> Result<(), Fault> {
    if names.is_empty() {
        return Ok(());
    }
    let mut fields = Vec::with_capacity(names.len());
    for name in names {
        let Some(field) = collection.schema.field(name) else {
            return Err(Fault::plain(format!(
                "failed to get field schema by name: fieldName({name}) not found"
            )));
        };
        fields.push(field);
    }
    let lacks = |what: &str| {
        Err(Fault::invalid(format!("load field list {names:?} does not contain {what}")))
    };
    let mut needed = collection.schema.fields.iter().filter_map(|field| {
        let role = match field {
            f if f.is_primary => "primary key",
            f if f.is_partition_key => "partition key",
            f if f.is_clustering_key => "clustering key",
            _ => return None,
        };
        Some((role, field))
    });
    if let Some((role, field)) = needed.find(|(_, field)| !fields.contains(field)) {
        return lacks(&format!("{role} field {}", field.name));
    }
    if fields.iter().any(|field| field.data_type.is_vector()) {
        return Ok(());
    }
    lacks("vector field")
}

/// As in Milvus a collection is loaded only with an index on every vector field.
fn check_indexed(collection: &Collection) -> Result<(), Fault> {
    let bare: Vec<&str> = collection
        .schema
        .vector_fields()
        .filter(|f| collection.index_on(f.id).is_none())
        .map(|f| f.name.as_str())
        .collect();
    if bare.is_empty() {
        return Ok(());
    }
    Err(Fault::new(
        Code::IndexNotFound,
        format!(
            "there is no vector index on field: [{}], please create index firstly: \
             index not found[collection={}]",
            bare.join(" "),
            collection.name
        ),
    ))
}

async fn set(
    gateway: &Arc<Gateway>,
    collection: &Collection,
    partitions: &[PartitionId],
    state: LoadState,
) -> Result<Status, Fault> {
    gateway.catalog.load_set(collection.id, partitions, state).await?;
    gateway.cache.invalidate(collection.id);
    Ok(success())
}

pub(super) async fn progress(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetLoadingProgressRequest,
) -> Result<pb::GetLoadingProgressResponse, Fault> {
    let (database, name) = (context.database(&request.db_name), &request.collection_name);
    let collection = find(gateway, database, name).await?;
    if !loaded(&collection, &request.partition_names)? {
        return Err(not_loaded(&collection, &request.partition_names));
    }
    Ok(pb::GetLoadingProgressResponse {
        status: Some(success()),
        progress: 100,
        refresh_progress: 100,
    })
}

pub(super) async fn state(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetLoadStateRequest,
) -> Result<pb::GetLoadStateResponse, Fault> {
    let (database, name) = (context.database(&request.db_name), &request.collection_name);
    let state = match find(gateway, database, name).await {
        Ok(collection) if loaded(&collection, &request.partition_names)? => WireState::Loaded,
        Ok(_) => WireState::NotLoad,
        Err(fault) if fault.code == Code::CollectionNotFound => WireState::NotExist,
        Err(fault) => return Err(fault),
    };
    Ok(pb::GetLoadStateResponse { status: Some(success()), state: state as i32 })
}

fn loaded(collection: &Collection, names: &[String]) -> Result<bool, Fault> {
    if names.is_empty() {
        return Ok(is_loaded(collection));
    }
    let wanted: HashSet<PartitionId> = named(collection, names)?.into_iter().collect();
    let mut partitions = collection.partitions.iter();
    Ok(partitions.all(|p| p.load == LoadState::Loaded || !wanted.contains(&p.id)))
}

/// `collection not loaded[..]`, or `partition not loaded[..]` when partitions were named.
pub(super) fn not_loaded(collection: &Collection, partitions: &[String]) -> Fault {
    match partitions.first() {
        None => {
            let text = format!("collection not loaded[collection={}]", collection.id);
            Fault::new(Code::CollectionNotLoaded, text)
        }
        Some(first) => {
            let text = format!("partition not loaded[partition={first}]");
            Fault::new(Code::PartitionNotLoaded, text)
        }
    }
}
