//! Collections.

use std::collections::HashSet;
use std::sync::Arc;

use millstream_catalog::catalog::{Created, Intent, IntentOp, NewCollection};
use millstream_catalog::model::limits::SHARDS_MAX;
use millstream_catalog::model::{
    Code, Collection, CollectionSchema, ConsistencyLevel, Fault, Props, Timestamp,
};

use super::keys::ISOLATION;
use super::segment::channel_name;
use super::{Context, read};
use crate::convert::status::success;
use crate::convert::{params, properties, schema};
use crate::gateway::{Gateway, is_loaded};
use crate::names;
use crate::pb;
use crate::pb::common::{KeyValuePair, Status};
use crate::{ddl, guarantee};

pub(super) async fn create(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::CreateCollectionRequest,
) -> Result<Status, Fault> {
    names::check_collection(&request.collection_name)?;
    let shards = shards_of(request.shards_num)?;
    let schema = schema::from_wire(&request.schema, &request.collection_name)?;
    let partitions = schema::partitions_of(&schema, request.num_partitions)?;
    let consistency =
        ConsistencyLevel::from_number(request.consistency_level).ok_or_else(|| {
            let level = request.consistency_level;
            Fault::invalid(format!("consistency level {level} is not known"))
        })?;
    let properties = params::to_props(request.properties);
    properties::check_collection(&properties)?;
    check_isolation(&schema, &properties)?;
    let new = NewCollection {
        database: context.database(&request.db_name).to_owned(),
        name: request.collection_name,
        schema: Arc::new(schema),
        shards,
        partitions,
        consistency,
        properties,
    };
    ddl::change(gateway, |gateway| async move {
        Ok(match gateway.catalog.collection_create(gateway.request_id(), new).await? {
            Created::Intent(intent) => Some(intent),
            Created::Same(_) => None,
        })
    })
    .await?;
    Ok(success())
}

fn shards_of(given: i32) -> Result<u16, Fault> {
    match u16::try_from(given.max(1)) {
        Ok(shards) if u32::from(shards) <= SHARDS_MAX => Ok(shards),
        _ => {
            Err(Fault::plain(format!("maximum shards's number should be limited to {SHARDS_MAX}")))
        }
    }
}

/// Isolation is of the values of a partition key.
pub(super) fn check_isolation(schema: &CollectionSchema, properties: &Props) -> Result<(), Fault> {
    let given = properties.iter().find(|(key, _)| key == ISOLATION);
    let Some((_, value)) = given else { return Ok(()) };
    let Some(on) = params::parse_bool(value) else {
        return Err(Fault::invalid(format!(
            "failed to parse partition key isolation property, {ISOLATION} = {value}"
        )));
    };
    if !on || schema.partition_key().is_some() {
        return Ok(());
    }
    let text = format!(
        "partition key isolation mode is enabled but no partition key field is set. Please set the \
         partition key first: illegal collection schema[collection={}]",
        schema.name
    );
    Err(Fault::new(Code::CollectionIllegalSchema, text))
}

pub(super) async fn drop_collection(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::DropCollectionRequest,
) -> Result<Status, Fault> {
    names::check_collection(&request.collection_name)?;
    let database = context.database(&request.db_name).to_owned();
    ddl::change(gateway, |gateway| async move {
        let _leaving = gateway.cache.leaving(&database, &request.collection_name);
        let decided = gateway.catalog.collection_drop(&database, &request.collection_name).await?;
        if let Some(Intent { op: IntentOp::CollectionDrop(gone), .. }) = &decided {
            gateway.cache.invalidate(gone.id);
        }
        Ok(decided)
    })
    .await?;
    Ok(success())
}

/// Ends all rows; everything else of the collection stays.
pub(super) async fn truncate(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::TruncateCollectionRequest,
) -> Result<pb::TruncateCollectionResponse, Fault> {
    names::check_collection(&request.collection_name)?;
    let database = context.database(&request.db_name);
    let found = gateway.collection(database, &request.collection_name).await?;
    ddl::change(gateway, move |gateway| async move {
        gateway.catalog.collection_truncate(found.id).await.map(Some)
    })
    .await?;
    Ok(pb::TruncateCollectionResponse { status: Some(success()) })
}

pub(super) async fn rename(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::RenameCollectionRequest,
) -> Result<Status, Fault> {
    names::check_collection(&request.old_name)?;
    names::check_collection(&request.new_name)?;
    let database = context.database(&request.db_name).to_owned();
    // In turn with creations and drops: a name that one of them has is neither taken nor free.
    ddl::change(gateway, |gateway| async move {
        let (from, to) = (&*request.old_name, &*request.new_name);
        let target = match request.new_db_name.as_str() {
            "" => &*database,
            name => name,
        };
        let _leaving = gateway.cache.leaving(&database, from);
        let renamed = gateway.catalog.collection_rename((&database, from), (target, to)).await?;
        gateway.cache.invalidate(renamed);
        Ok(None)
    })
    .await?;
    Ok(success())
}

pub(super) async fn has(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::HasCollectionRequest,
) -> Result<pb::BoolResponse, Fault> {
    names::check_collection(&request.collection_name)?;
    let database = context.database(&request.db_name);
    let value = match gateway.cache.get(database, &request.collection_name).await {
        Ok(_) => true,
        Err(fault) if fault.code == Code::CollectionNotFound => false,
        Err(fault) => return Err(fault),
    };
    Ok(pb::BoolResponse { status: Some(success()), value })
}

pub(super) async fn describe(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::DescribeCollectionRequest,
) -> Result<pb::DescribeCollectionResponse, Fault> {
    let database = context.database(&request.db_name);
    let found = describe_found(gateway, database, &request).await;
    // Clients look for exactly this text, with the legacy code 1 or 4.
    let found = found.map_err(|fault| match fault.code {
        Code::CollectionNotFound => fault.prefixed("can't find collection "),
        _ => fault,
    })?;
    Ok(described(&found, gateway.now().await?))
}

async fn describe_found(
    gateway: &Arc<Gateway>,
    database: &str,
    request: &pb::DescribeCollectionRequest,
) -> Result<Arc<Collection>, Fault> {
    if request.collection_name.is_empty() && request.collection_id > 0 {
        return gateway.collection_by_id(database, request.collection_id).await;
    }
    names::check_collection(&request.collection_name)?;
    if request.time_stamp > 0 {
        let at = past(gateway, request.time_stamp).await?;
        return gateway.catalog.collection_at(database, &request.collection_name, at).await;
    }
    gateway.cache.get(database, &request.collection_name).await
}

/// A time that has been: what will be then, nobody knows.
async fn past(gateway: &Gateway, at: u64) -> Result<Timestamp, Fault> {
    let (at, now) = (Timestamp(at), gateway.now().await?);
    match at <= now {
        true => Ok(at),
        false => {
            Err(Fault::invalid(format!("time_stamp {at} lies in the future, it is {now} now")))
        }
    }
}

fn described(found: &Collection, now: Timestamp) -> pb::DescribeCollectionResponse {
    pb::DescribeCollectionResponse {
        status: Some(success()),
        schema: Some(schema::to_wire(found)),
        collection_id: found.id.0,
        virtual_channel_names: found.vchannels().map(channel_name).collect(),
        physical_channel_names: found.channels.iter().map(|c| format!("channel-{c}")).collect(),
        created_timestamp: found.created.0,
        created_utc_timestamp: found.created.physical_ms(),
        aliases: found.aliases.clone(),
        shards_num: i32::try_from(found.channels.len()).unwrap_or(i32::MAX),
        consistency_level: found.consistency as i32,
        collection_name: found.name.clone(),
        properties: params::from_props(&found.properties),
        db_name: found.database_name.clone(),
        num_partitions: i64::try_from(found.partitions.len()).unwrap_or(i64::MAX),
        db_id: found.database.0,
        request_time: now.0,
        update_timestamp: found.schema_from.0,
        update_timestamp_str: found.schema_from.to_string(),
    }
}

pub(super) async fn show(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::ShowCollectionsRequest,
) -> Result<pb::ShowCollectionsResponse, Fault> {
    let database = context.database(&request.db_name);
    let mut all = match request.time_stamp {
        0 => gateway.catalog.collection_list(database).await?,
        at => gateway.catalog.collection_list_at(database, past(gateway, at).await?).await?,
    };
    if let Some(viewer) = gateway.door.viewer(context).await? {
        all.retain(|collection| viewer.sees(database, &collection.name));
    }
    if !request.collection_names.is_empty() {
        let asked: HashSet<&String> = request.collection_names.iter().collect();
        let there: HashSet<&String> = all.iter().flat_map(|c| c.names()).collect();
        if let Some(name) = request.collection_names.iter().find(|name| !there.contains(name)) {
            return Err(Fault::collection_not_found(database, name));
        }
        all.retain(|c| c.names().any(|name| asked.contains(name)));
    }
    if request.r#type == pb::ShowType::InMemory as i32 {
        all.retain(|c| is_loaded(c));
    }
    Ok(pb::ShowCollectionsResponse {
        status: Some(success()),
        collection_names: all.iter().map(|c| c.name.clone()).collect(),
        collection_ids: all.iter().map(|c| c.id.0).collect(),
        created_timestamps: all.iter().map(|c| c.created.0).collect(),
        created_utc_timestamps: all.iter().map(|c| c.created.physical_ms()).collect(),
        in_memory_percentages: all.iter().map(|c| if is_loaded(c) { 100 } else { 0 }).collect(),
        query_service_available: all.iter().map(|c| is_loaded(c)).collect(),
        shards_num: all
            .iter()
            .map(|c| i32::try_from(c.channels.len()).unwrap_or(i32::MAX))
            .collect(),
    })
}

/// The exact number of rows now, flushed or not: there is no difference here.
pub(super) async fn statistics(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetCollectionStatisticsRequest,
) -> Result<pb::GetCollectionStatisticsResponse, Fault> {
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let now = guarantee::Asked::default(); // strong
    let rows = read::count_all(gateway, context, &collection, &[], now).await?;
    let stats = vec![KeyValuePair { key: "row_count".to_owned(), value: rows.to_string() }];
    Ok(pb::GetCollectionStatisticsResponse { status: Some(success()), stats })
}
