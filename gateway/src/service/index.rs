//! Indexes: what is defined, and how far those are that are built beside sealed segments.

use std::sync::Arc;

use millstream_catalog::catalog::NewIndex;
use millstream_catalog::model::{Code, Collection, Fault, IndexDef};

use super::{Context, read};
use crate::convert::status::success;
use crate::convert::{index, params};
use crate::gateway::{Gateway, is_loaded};
use crate::guarantee;
use crate::names;
use crate::pb;
use crate::pb::common::{IndexState, Status};

pub(super) async fn create(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::CreateIndexRequest,
) -> Result<Status, Fault> {
    names::check_collection(&request.collection_name)?;
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let Some(field) = collection.schema.field(&request.field_name) else {
        let text = format!("cannot create index on non-exist field: {}", request.field_name);
        return Err(Fault::invalid(text));
    };
    let name = match request.index_name.as_str() {
        "" => field.name.clone(),
        name => {
            names::check_index(name)?;
            name.to_owned()
        }
    };
    let definition = index::define(field, &request.extra_params)?;
    if definition.exact_in_place {
        tracing::info!(
            collection = collection.name,
            field = field.name,
            index_type = definition.params.first().map(|(_, v)| v.as_str()),
            "the index type is kept; searches are answered exactly by scanning"
        );
    }
    let new = NewIndex { name, field: field.id, params: definition.params };
    gateway.catalog.index_create(collection.id, new).await?;
    gateway.cache.invalidate(collection.id);
    gateway.dataflow.build_indexes(collection.id);
    Ok(success())
}

pub(super) async fn drop_index(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::DropIndexRequest,
) -> Result<Status, Fault> {
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let chosen = select(&collection, &request.field_name, &request.index_name);
    let on_vector = |i: &&IndexDef| {
        let field = collection.schema.field_by_id(i.field);
        field.is_some_and(|f| f.data_type.is_vector())
    };
    if is_loaded(&collection) && chosen.iter().any(on_vector) {
        let text = "index cannot be dropped, collection is loaded, please release it first";
        return Err(Fault::plain(text));
    }
    let names: Vec<&str> = chosen.iter().map(|index| index.name.as_str()).collect();
    if !names.is_empty() {
        gateway.catalog.index_drop(collection.id, &names).await?;
    }
    gateway.cache.invalidate(collection.id);
    gateway.dataflow.build_indexes(collection.id);
    Ok(success())
}

pub(super) async fn describe(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::DescribeIndexRequest,
) -> Result<pb::DescribeIndexResponse, Fault> {
    let database = context.database(&request.db_name);
    let (name, field, index) = (&request.collection_name, &request.field_name, &request.index_name);
    let index_descriptions = descriptions(gateway, context, database, name, field, index).await?;
    Ok(pb::DescribeIndexResponse { status: Some(success()), index_descriptions })
}

pub(super) async fn statistics(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetIndexStatisticsRequest,
) -> Result<pb::GetIndexStatisticsResponse, Fault> {
    let database = context.database(&request.db_name);
    let (name, index) = (&request.collection_name, &request.index_name);
    let index_descriptions = descriptions(gateway, context, database, name, "", index).await?;
    Ok(pb::GetIndexStatisticsResponse { status: Some(success()), index_descriptions })
}

pub(super) async fn state(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetIndexStateRequest,
) -> Result<pb::GetIndexStateResponse, Fault> {
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let chosen = found(&collection, &request.field_name, &request.index_name)?;
    let pending = chosen.iter().map(|index| pending(gateway, &collection, index)).sum();
    Ok(pb::GetIndexStateResponse {
        status: Some(success()),
        state: state_of(pending) as i32,
        fail_reason: String::new(),
    })
}

pub(super) async fn progress(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetIndexBuildProgressRequest,
) -> Result<pb::GetIndexBuildProgressResponse, Fault> {
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let chosen = found(&collection, &request.field_name, &request.index_name)?;
    let total_rows = rows_of(gateway, context, &collection).await?;
    let pending: i64 = chosen.iter().map(|index| pending(gateway, &collection, index)).sum();
    let indexed_rows = total_rows - pending.min(total_rows);
    Ok(pb::GetIndexBuildProgressResponse { status: Some(success()), indexed_rows, total_rows })
}

/// Rows of sealed segments whose part of the index is not there yet; all others are scanned, or
/// searched with it already.
fn pending(gateway: &Gateway, collection: &Collection, index: &IndexDef) -> i64 {
    let field = collection.schema.field_by_id(index.field);
    let Some(spec) = field.and_then(|field| index::spec_of(field, index)) else { return 0 };
    let progress = gateway.dataflow.index_progress(collection.id, &spec);
    i64::try_from(progress.rows - progress.indexed.min(progress.rows)).unwrap_or(i64::MAX)
}

fn state_of(pending: i64) -> IndexState {
    if pending == 0 { IndexState::Finished } else { IndexState::InProgress }
}

/// Indexes by name, or on a field, or all. Some clients give the field's name as the index's.
fn select<'a>(collection: &'a Collection, field: &str, index: &str) -> Vec<&'a IndexDef> {
    let named = |i: &&IndexDef| index.is_empty() || i.name == index;
    let on_field = |i: &&IndexDef| {
        field.is_empty() || collection.schema.field(field).is_some_and(|f| f.id == i.field)
    };
    let all = || collection.indexes.iter();
    let chosen: Vec<&IndexDef> = all().filter(named).filter(on_field).collect();
    if !chosen.is_empty() || index.is_empty() {
        return chosen;
    }
    let by_field = collection.schema.field(index).map(|f| f.id);
    all().filter(|i| Some(i.field) == by_field).collect()
}

pub(super) fn found<'a>(
    collection: &'a Collection,
    field: &str,
    index: &str,
) -> Result<Vec<&'a IndexDef>, Fault> {
    let chosen = select(collection, field, index);
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let text = match index {
        "" => format!("index not found[collection={}]", collection.name),
        index => format!("index not found[indexName={index}]"),
    };
    Err(Fault::new(Code::IndexNotFound, text))
}

async fn descriptions(
    gateway: &Arc<Gateway>,
    context: &Context,
    database: &str,
    name: &str,
    field: &str,
    index: &str,
) -> Result<Vec<pb::IndexDescription>, Fault> {
    let collection = gateway.collection(database, name).await?;
    let chosen = found(&collection, field, index)?;
    let rows = rows_of(gateway, context, &collection).await?;
    let describe = |index: &IndexDef| {
        let pending = pending(gateway, &collection, index).min(rows);
        let field = collection.schema.field_by_id(index.field);
        pb::IndexDescription {
            index_name: index.name.clone(),
            index_id: index.id.0,
            params: params::from_props(&index.params),
            field_name: field.map(|field| field.name.clone()).unwrap_or_default(),
            indexed_rows: rows - pending,
            total_rows: rows,
            pending_index_rows: pending,
            state: state_of(pending) as i32,
            ..pb::IndexDescription::default()
        }
    };
    Ok(chosen.into_iter().map(describe).collect())
}

/// All rows that were acknowledged before the question, so that who has just written finds them.
async fn rows_of(
    gateway: &Arc<Gateway>,
    context: &Context,
    collection: &Collection,
) -> Result<i64, Fault> {
    let now = guarantee::Asked::default(); // strong
    let rows = read::count_all(gateway, context, collection, &[], now).await?;
    Ok(i64::try_from(rows).unwrap_or(i64::MAX))
}
