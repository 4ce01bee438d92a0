//! Changes of what the rows of a collection are: its fields, its time to live, all rows at once.
//!
//! Each is decided first, then told to the log, and current when it is finished.

use std::sync::Arc;

use super::rows::{self, CollectionBody, from_json, to_json};
use super::{Change, alter, collection, intent};
use crate::catalog::{Intent, IntentOp};
use crate::model::limits::{COLLECTION_TTL, FIELDS_MAX, FIRST_FIELD_ID};
use crate::model::{Collection, CollectionId, CollectionSchema, Fault, FieldId, FieldSchema};
use crate::store::{At, Row, RowState, Table};

/// Decides to add a field.
pub(super) async fn field_add(
    change: &mut Change,
    id: CollectionId,
    mut field: FieldSchema,
) -> Result<Intent, Fault> {
    let row = collection::row(&mut *change.txn, id).await?;
    let mut there = rows::collection(&mut *change.txn, row, At::Now).await?;
    let pending = intent::pending(&mut *change.txn).await?;
    if pending.iter().any(|i| matches!(&i.op, IntentOp::FieldAdd(of, _) if of.id == id)) {
        let text = format!("another field is being added to collection {}", there.name);
        return Err(Fault::plain(text));
    }
    let schema = &there.schema;
    if schema.fields.iter().filter(|f| !f.is_dynamic).count() >= FIELDS_MAX {
        let text = format!("The number of fields has reached the maximum value {FIELDS_MAX}");
        return Err(Fault::invalid(text));
    }
    if schema.field(&field.name).is_some() {
        return Err(Fault::invalid(format!("duplicated field name {}", field.name)));
    }
    let last = schema.fields.iter().map(|f| f.id.0).max().unwrap_or(FIRST_FIELD_ID - 1);
    field.id = FieldId(last + 1);
    let added = field.id;
    let after = with_field(CollectionSchema::clone(schema), field);
    Arc::make_mut(&mut there).schema = Arc::new(after);
    intent::add(change, id.0, IntentOp::FieldAdd(there, added)).await
}

/// A schema with one more field, behind all others: columns never change their places.
fn with_field(mut schema: CollectionSchema, field: FieldSchema) -> CollectionSchema {
    schema.fields.push(field);
    schema.version += 1;
    schema
}

/// Makes an added field current, unless the collection is gone or has it.
pub(super) async fn field_added(
    change: &mut Change,
    after: &Collection,
    field: FieldId,
) -> Result<(), Fault> {
    let id = after.id;
    let row = change.txn.get(Table::Collections, id.0, At::Now).await?;
    let Some(row) = row.filter(|row| row.state == RowState::Current) else { return Ok(()) };
    // What was altered in the meantime stays.
    let (old, schema) = alter::schema(change, id).await?;
    let Some(field) = after.schema.field_by_id(field) else {
        return Err(Fault::internal(format!("field {field} of collection {id} is not decided")));
    };
    if schema.field_by_id(field.id).is_none() {
        let schema = with_field(schema, field.clone());
        let (name, body) = (schema.version.to_string(), to_json(&schema)?);
        change.renew(Table::Schemas, Row { name, body, ..old }).await?;
        change.renew(Table::Collections, row).await?;
    }
    Ok(())
}

/// Decides to end all rows.
pub(super) async fn truncate(change: &mut Change, id: CollectionId) -> Result<Intent, Fault> {
    let row = collection::row(&mut *change.txn, id).await?;
    let there = rows::collection(&mut *change.txn, row, At::Now).await?;
    intent::add(change, id.0, IntentOp::Truncate(there)).await
}

/// Makes it known that a collection's rows changed as a whole.
pub(super) async fn renewed(change: &mut Change, id: CollectionId) -> Result<(), Fault> {
    let row = change.txn.get(Table::Collections, id.0, At::Now).await?;
    if let Some(row) = row.filter(|row| row.state == RowState::Current) {
        change.renew(Table::Collections, row).await?;
    }
    Ok(())
}

/// Makes a time to live current.
pub(super) async fn ttl_set(
    change: &mut Change,
    id: CollectionId,
    value: Option<String>,
) -> Result<(), Fault> {
    let row = change.txn.get(Table::Collections, id.0, At::Now).await?;
    let Some(row) = row.filter(|row| row.state == RowState::Current) else { return Ok(()) };
    let mut body: CollectionBody = from_json("collection", row.id, &row.body)?;
    let known = body.properties.iter_mut().find(|(key, _)| key == COLLECTION_TTL);
    match (known, value) {
        (Some(known), Some(value)) => known.1 = value,
        (None, Some(value)) => body.properties.push((COLLECTION_TTL.to_owned(), value)),
        (_, None) => body.properties.retain(|(key, _)| key != COLLECTION_TTL),
    }
    let body = to_json(&body)?;
    change.renew(Table::Collections, Row { body, ..row }).await?;
    Ok(())
}
