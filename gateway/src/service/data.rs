//! Writes: insert, upsert, delete.
//!
//! A write is checked whole before anything of it goes to the log. Its answer carries a time that
//! was allocated after the log acknowledged it, so that a session read at that time sees it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use millstream_catalog::fail;
use millstream_catalog::model::limits::DEFAULT_PARTITION;
use millstream_catalog::model::{
    Code, Collection, DataType, Fault, FieldSchema, PartitionId, Timestamp,
};
use millstream_dataflow::api::Values;
use millstream_expr::{PkList, parse_template};
use millstream_log::Kind as RecordKind;

use super::{Context, admit, keys, read, update};
use crate::convert::columns::{Batch, Write, batch_from_wire};
use crate::convert::schema::primary_field;
use crate::convert::search::templates;
use crate::convert::{data, status::success};
use crate::dml::{self, Destination};
use crate::gateway::Gateway;
use crate::names;
use crate::pb;
use crate::pb::schema::FieldData;
use crate::pb::schema::field_partial_update_op::OpType;
use crate::telemetry::Kind;

/// Where rows go, and in what shape they came.
struct Rows<'a> {
    database: &'a str,
    collection: &'a str,
    partition: &'a str,
    fields: Vec<FieldData>,
    rows: u32,
    /// When the schema that they were made by became what it was; the smallest time if unknown.
    schema_from: Timestamp,
}

pub(super) async fn insert(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::InsertRequest,
) -> Result<pb::MutationResult, Fault> {
    let begun = Instant::now();
    read::check_namespace(request.namespace.as_ref())?;
    admit::write(gateway, context, &request).await?;
    let rows = Rows {
        database: context.database(&request.db_name),
        collection: &request.collection_name,
        partition: &request.partition_name,
        fields: request.fields_data,
        rows: request.num_rows,
        schema_from: Timestamp(request.schema_timestamp),
    };
    let mut result = write(gateway, context, Write::Insert, rows).await?;
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
    check_field_ops(&request)?;
    admit::write(gateway, context, &request).await?;
    let rows = Rows {
        database: context.database(&request.db_name),
        collection: &request.collection_name,
        partition: &request.partition_name,
        fields: request.fields_data,
        rows: request.num_rows,
        schema_from: Timestamp(request.schema_timestamp),
    };
    let kind = if request.partial_update { Write::Update } else { Write::Upsert };
    let mut result = write(gateway, context, kind, rows).await?;
    let count = i64::from(request.num_rows);
    result.upsert_cnt = count;
    result.insert_cnt = count;
    result.delete_cnt = count;
    gateway.telemetry.took(Kind::Upsert, begun.elapsed());
    Ok(result)
}

/// Fields of a partial update are replaced whole, the dynamic one key by key; what else can be asked
/// for is refused by name.
fn check_field_ops(request: &pb::UpsertRequest) -> Result<(), Fault> {
    let given: HashSet<&str> = request.fields_data.iter().map(|f| f.field_name.as_str()).collect();
    for asked in &request.field_ops {
        let name = &asked.field_name;
        if !given.contains(name.as_str()) {
            return Err(Fault::invalid(format!(
                "field_ops names field {name}, which has no corresponding fieldData pass in"
            )));
        }
        if asked.op != OpType::Replace as i32 {
            let op = OpType::try_from(asked.op)
                .map_or_else(|_| asked.op.to_string(), |op| op.as_str_name().to_owned());
            return Err(Fault::invalid(format!(
                "partial update operation {op} is not supported yet, field name = {name}"
            )));
        }
    }
    Ok(())
}

async fn write(
    gateway: &Arc<Gateway>,
    context: &Context,
    kind: Write,
    rows: Rows<'_>,
) -> Result<pb::MutationResult, Fault> {
    names::check_collection(rows.collection)?;
    let collection = of_schema(gateway, &rows).await?;
    let partition = match rows.partition {
        "" if collection.schema.partition_key().is_some() => None,
        "" => Some(partition_named(&collection, DEFAULT_PARTITION)?),
        name => Some(partition_named(&collection, name)?),
    };
    let pk = primary_field(&collection.schema)?;
    let mut batch = batch_from_wire(&collection.schema, kind, rows.rows, rows.fields)?;
    if kind != Write::Insert {
        dml::check_unique(&batch, pk.id)?;
    }
    if kind == Write::Update {
        update::check_rows(gateway, context, &collection, partition, (pk, &batch)).await?;
    }
    if pk.auto_id {
        new_keys(gateway, &mut batch, &collection, pk, kind).await?;
    }
    let pks = dml::pks_of(&batch, pk.id)?;
    let record = match kind {
        Write::Insert => RecordKind::Insert,
        Write::Upsert => RecordKind::Upsert,
        Write::Update => RecordKind::Update,
    };
    let to = Destination::of(&collection, partition, &batch)?;
    let units = dml::write_rows(record, &collection, &to, &batch, &pks)?;
    drop(batch); // the request's bytes are not needed while the log works
    fail::point("write.before_publish");
    let request = gateway.request_id();
    if kind == Write::Update {
        // Registered before the write, so that the workers' answer always finds us.
        let outcome = gateway.dataflow.delete_outcome(request, units.len());
        gateway.writer.write(request, units).await?;
        outcome.await?;
    } else {
        gateway.writer.write(request, units).await?;
    }
    let timestamp = gateway.now().await?.0;
    fail::point("write.before_answer");
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

/// The collection that rows are for. Those that were made by another schema than it has now are
/// refused: clients look at the schema again, and send them once more.
async fn of_schema(gateway: &Gateway, rows: &Rows<'_>) -> Result<Arc<Collection>, Fault> {
    let known = gateway.collection(rows.database, rows.collection).await?;
    if rows.schema_from == Timestamp::MIN || rows.schema_from == known.schema_from {
        return Ok(known);
    }
    let mut now = known;
    if rows.schema_from > now.schema_from {
        // The client has heard of a change before this gateway did.
        gateway.cache.invalidate(now.id);
        now = gateway.collection(rows.database, rows.collection).await?;
        if rows.schema_from == now.schema_from {
            return Ok(now);
        }
    }
    let (sent, there) = (rows.schema_from, now.schema_from);
    Err(Fault::new(
        Code::CollectionSchemaMismatch,
        format!(
            "collection schema mismatch[collection={}]: schema_timestamp is {sent}, the schema's \
             is {there}",
            rows.collection
        ),
    ))
}

fn partition_named(collection: &Collection, name: &str) -> Result<PartitionId, Fault> {
    names::check_partition(name)?;
    keys::check_unnamed(collection)?;
    let found = collection.partition(name).map(|p| p.id);
    found.ok_or_else(|| Fault::partition_not_found(name))
}

/// Gives the rows automatic keys. Those of an insert are consecutive; those of an upsert belong to
/// the shards of the keys that the client gives, which become the old keys.
async fn new_keys(
    gateway: &Gateway,
    batch: &mut Batch,
    collection: &Collection,
    pk: &FieldSchema,
    kind: Write,
) -> Result<(), Fault> {
    if kind == Write::Insert {
        let first = gateway.row_ids.alloc(batch.rows).await?;
        let ids = first..first + i64::from(batch.rows);
        let keys = match pk.data_type {
            DataType::VarChar => PkList::Text(ids.map(|id| id.to_string()).collect()),
            _ => PkList::Int(ids.collect()),
        };
        batch.columns.push(dml::key_column(pk.id, &keys));
        return Ok(());
    }
    let shards = u16::try_from(collection.channels.len())
        .map_err(|_| Fault::internal("more shards than there can be"))?;
    let mut draw = dml::Draw::new(&dml::pks_of(batch, pk.id)?, shards);
    while draw.wants() > 0 {
        let count = draw.wants();
        draw.take(gateway.row_ids.alloc(count).await?, count);
    }
    dml::replace_keys(batch, pk.id, &draw.into_keys());
    Ok(())
}

pub(super) async fn delete(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::DeleteRequest,
) -> Result<pb::MutationResult, Fault> {
    let begun = Instant::now();
    read::check_namespace(request.namespace.as_ref())?;
    names::check_collection(&request.collection_name)?;
    admit::write(gateway, context, &request).await?;
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
    if plan.is_random() {
        return Err(Fault::invalid(format!(
            "failed to create delete plan: random_sample cannot choose the rows of a delete: {}",
            request.expr
        )));
    }
    let pk = primary_field(&collection.schema)?;
    let delete_cnt = match plan.pk_list() {
        Some(pks) => {
            let count = dml::key_count(&pks);
            let units = dml::delete_keys(&collection, partition, pk.id, &pks)?;
            if !units.is_empty() {
                gateway.writer.write(gateway.request_id(), units).await?;
            }
            count as u64
        }
        None => {
            let given = partition.into_iter().collect();
            let partitions = dml::pruned(&collection, given, Some(&plan))?;
            let units = dml::delete_by_plan(&collection, &partitions, &plan.encode())?;
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
