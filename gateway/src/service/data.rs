//! Writes: insert, upsert, delete.
//!
//! A write is checked whole before anything of it goes to the log. Its answer carries a time that
//! was allocated after the log acknowledged it, so that a session read at that time sees it.

use std::sync::Arc;
use std::time::Instant;

use millstream_catalog::model::limits::DEFAULT_PARTITION;
use millstream_catalog::model::{
    Collection, CollectionSchema, DataType, Fault, FieldSchema, PartitionId,
};
use millstream_dataflow::api::Values;
use millstream_expr::{PkList, parse_template};
use millstream_log::Kind as RecordKind;

use super::{Context, read};
use crate::convert::columns::{Batch, BatchColumn, BatchValues, batch_from_wire};
use crate::convert::schema::primary_field;
use crate::convert::search::templates;
use crate::convert::var_column::VarColumn;
use crate::convert::{data, status::success};
use crate::dml;
use crate::gateway::Gateway;
use crate::names;
use crate::pb;
use crate::pb::schema::FieldData;
use crate::telemetry::Kind;

/// Where rows go, and in what shape they came.
struct Rows<'a> {
    database: &'a str,
    collection: &'a str,
    partition: &'a str,
    fields: Vec<FieldData>,
    rows: u32,
}

pub(super) async fn insert(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::InsertRequest,
) -> Result<pb::MutationResult, Fault> {
    let begun = Instant::now();
    read::check_namespace(request.namespace.as_ref())?;
    let rows = Rows {
        database: context.database(&request.db_name),
        collection: &request.collection_name,
        partition: &request.partition_name,
        fields: request.fields_data,
        rows: request.num_rows,
    };
    let mut result = write(gateway, RecordKind::Insert, rows).await?;
    result.insert_cnt = i64::from(request.num_rows);
    gateway.telemetry.took(Kind::Insert, begun.elapsed());
    Ok(result)
}

pub(super) async fn upsert(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::UpsertRequest,
) -> Result<pb::MutationResult, Fault> {
    let begun = Instant::now();
    read::check_namespace(request.namespace.as_ref())?;
    if request.partial_update || !request.field_ops.is_empty() {
        return Err(Fault::invalid("partial update is not supported yet"));
    }
    let rows = Rows {
        database: context.database(&request.db_name),
        collection: &request.collection_name,
        partition: &request.partition_name,
        fields: request.fields_data,
        rows: request.num_rows,
    };
    let mut result = write(gateway, RecordKind::Upsert, rows).await?;
    let count = i64::from(request.num_rows);
    result.upsert_cnt = count;
    result.insert_cnt = count;
    result.delete_cnt = count;
    gateway.telemetry.took(Kind::Upsert, begun.elapsed());
    Ok(result)
}

async fn write(
    gateway: &Arc<Gateway>,
    kind: RecordKind,
    rows: Rows<'_>,
) -> Result<pb::MutationResult, Fault> {
    names::check_collection(rows.collection)?;
    let collection = gateway.collection(rows.database, rows.collection).await?;
    let name = if rows.partition.is_empty() { DEFAULT_PARTITION } else { rows.partition };
    let partition = partition_named(&collection, name)?;
    let pk = primary_field(&collection.schema)?;
    if pk.auto_id && kind == RecordKind::Upsert {
        return Err(Fault::plain("Upsert don't support autoid == true"));
    }
    let mut batch = batch_from_wire(&collection.schema, rows.rows, rows.fields)?;
    if pk.auto_id {
        let first = gateway.row_ids.alloc(rows.rows).await?;
        add_keys(&mut batch, &collection.schema, pk, first);
    }
    let pks = dml::pks_of(&batch, pk.id)?;
    let units = dml::write_rows(kind, &collection, partition, &batch, &pks)?;
    drop(batch); // the request's bytes are not needed while the log works
    gateway.writer.write(gateway.request_id(), units).await?;
    let timestamp = gateway.now().await?.0;
    gateway.telemetry.written(&collection.name, u64::from(rows.rows));
    let ids = match pks {
        PkList::Int(keys) => Values::Long(keys),
        PkList::Text(keys) => Values::Text(keys),
    };
    Ok(pb::MutationResult {
        status: Some(success()),
        i_ds: Some(data::ids(ids)),
        succ_index: (0..rows.rows).collect(),
        acknowledged: true,
        timestamp,
        ..pb::MutationResult::default()
    })
}

fn partition_named(collection: &Collection, name: &str) -> Result<PartitionId, Fault> {
    names::check_partition(name)?;
    let found = collection.partition(name).map(|p| p.id);
    found.ok_or_else(|| Fault::partition_not_found(name))
}

/// Adds the column of automatic keys: consecutive ids, in decimal when the key is text.
fn add_keys(batch: &mut Batch, schema: &CollectionSchema, pk: &FieldSchema, first: i64) {
    let ids = first..first + i64::from(batch.rows);
    let values = match pk.data_type {
        DataType::VarChar => BatchValues::Var(VarColumn::from_texts(ids.map(|id| id.to_string()))),
        _ => BatchValues::Long(ids.collect()),
    };
    let at = schema.fields.iter().position(|f| f.id == pk.id).unwrap_or(0);
    let column = BatchColumn { field: pk.id, data_type: pk.data_type, values };
    batch.columns.insert(at.min(batch.columns.len()), column);
}

pub(super) async fn delete(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::DeleteRequest,
) -> Result<pb::MutationResult, Fault> {
    let begun = Instant::now();
    read::check_namespace(request.namespace.as_ref())?;
    names::check_collection(&request.collection_name)?;
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let partition = match request.partition_name.as_str() {
        "" => None,
        name => Some(partition_named(&collection, name)?),
    };
    let values = templates(request.expr_template_values)?;
    let plan = parse_template(&request.expr, &collection.schema, &values)
        .map_err(|fault| fault.prefixed("failed to create delete plan: "))?;
    if plan.is_always_true() {
        return Err(Fault::invalid(format!(
            "delete plan can't be empty or always true : {}",
            request.expr
        )));
    }
    let pk = primary_field(&collection.schema)?;
    let delete_cnt = match plan.pk_list() {
        Some(pks) => {
            let count = match &pks {
                PkList::Int(keys) => keys.len(),
                PkList::Text(keys) => keys.len(),
            };
            let units = dml::delete_keys(&collection, partition, pk.id, &pks)?;
            if !units.is_empty() {
                gateway.writer.write(gateway.request_id(), units).await?;
            }
            count as u64
        }
        None => {
            let units = dml::delete_by_plan(&collection, partition, &plan.encode())?;
            let id = gateway.request_id();
            // Registered before the write, so that the workers' answer always finds us.
            let outcome = gateway.dataflow.delete_outcome(id, collection.channels.len());
            gateway.writer.write(id, units).await?;
            outcome.await?
        }
    };
    let timestamp = gateway.now().await?.0;
    gateway.telemetry.took(Kind::Delete, begun.elapsed());
    Ok(pb::MutationResult {
        status: Some(success()),
        i_ds: Some(pb::schema::IDs::default()),
        delete_cnt: i64::try_from(delete_cnt).unwrap_or(i64::MAX),
        acknowledged: true,
        timestamp,
        ..pb::MutationResult::default()
    })
}
