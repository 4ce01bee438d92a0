//! Changes of collections, fields and indexes in place: properties, descriptions, limits of values.
//!
//! **Absent on purpose.** Nothing here changes how rows are stored, so the log need not hear of it
//! and the schema keeps its version. A time to live is only decided here.

use super::rows::{self, CollectionBody, from_json, to_json};
use super::{Change, collection, intent};
use crate::catalog::{CollectionAlter, FieldAlter, Intent, IntentOp};
use crate::model::limits::COLLECTION_TTL;
use crate::model::{Code, CollectionId, CollectionSchema, Fault, FieldId, LoadState, Props};
use crate::rules;
use crate::store::{At, Row, Table};

pub(super) async fn collection(
    change: &mut Change,
    id: CollectionId,
    mut alter: CollectionAlter,
) -> Result<Option<Intent>, Fault> {
    let row = collection::row(&mut *change.txn, id).await?;
    let there = rows::collection(&mut *change.txn, row.clone(), At::Now).await?;
    if there.load() == LoadState::Loaded {
        rules::check_alterable(&there.name, &alter.set, &alter.drop)?;
    }
    let ttl = new_ttl(&there.properties, &mut alter);
    let mut body: CollectionBody = from_json("collection", row.id, &row.body)?;
    body.properties = rules::props_changed(body.properties, alter.set, &alter.drop)?;
    body.consistency = alter.consistency.unwrap_or(body.consistency);
    let body = to_json(&body)?;
    let mut described = false;
    if let Some(description) = alter.description
        && description != there.schema.description
    {
        let (old, mut schema) = schema(change, id).await?;
        schema.description = description;
        change.renew(Table::Schemas, Row { body: to_json(&schema)?, ..old }).await?;
        described = true;
    }
    if described || body != row.body {
        change.renew(Table::Collections, Row { body, ..row }).await?;
        change.touch(id.0);
    }
    let Some(ttl) = ttl else { return Ok(None) };
    let row = collection::row(&mut *change.txn, id).await?;
    let there = rows::collection(&mut *change.txn, row, At::Now).await?;
    intent::add(change, id.0, IntentOp::TtlSet(there, ttl)).await.map(Some)
}

/// Takes the time to live out of what is to be altered: its new value, or none, if it changes.
fn new_ttl(there: &Props, alter: &mut CollectionAlter) -> Option<Option<String>> {
    let is_ttl = |key: &String| key == COLLECTION_TTL;
    let given = alter.set.extract_if(.., |(key, _)| is_ttl(key)).last();
    let dropped = alter.drop.extract_if(.., |key| is_ttl(key)).last();
    let wanted = given.map(|(_, value)| value);
    let known = there.iter().find(|(key, _)| is_ttl(key)).map(|(_, value)| value);
    let is_asked = wanted.is_some() || dropped.is_some();
    (is_asked && known != wanted.as_ref()).then_some(wanted)
}

/// The row of a collection's schema, and what it holds.
pub(super) async fn schema(
    change: &mut Change,
    id: CollectionId,
) -> Result<(Row, CollectionSchema), Fault> {
    let rows = change.txn.list(Table::Schemas, &[id.0], At::Now).await?;
    let missing = || Fault::internal(format!("collection {id} has no schema in the catalog"));
    let row = rows.into_iter().next_back().ok_or_else(missing)?;
    let schema = from_json("schema", row.id, &row.body)?;
    Ok((row, schema))
}

pub(super) async fn field(
    change: &mut Change,
    id: CollectionId,
    field: FieldId,
    alter: FieldAlter,
) -> Result<(), Fault> {
    let owner = collection::row(&mut *change.txn, id).await?;
    let there = rows::collection(&mut *change.txn, owner.clone(), At::Now).await?;
    let mut keys = alter.set.iter().map(|(key, _)| key).chain(&alter.drop);
    if there.load() == LoadState::Loaded && keys.any(|key| rules::needs_release(key)) {
        let what = match alter.drop.is_empty() {
            true => "can not alter collection field properties if collection loaded",
            false => "can not drop collection field properties if collection loaded",
        };
        return Err(Fault::collection_loaded(what, &there.name));
    }
    let (row, mut schema) = schema(change, id).await?;
    let Some(found) = schema.fields.iter_mut().find(|f| f.id == field) else {
        return Err(rules::field_id_not_found(field));
    };
    let params = std::mem::take(&mut found.type_params);
    found.type_params = rules::props_changed(params, alter.set, &alter.drop)?;
    found.max_length = alter.max_length.unwrap_or(found.max_length);
    found.max_capacity = alter.max_capacity.unwrap_or(found.max_capacity);
    if let Some(description) = alter.description {
        found.description = description;
    }
    let body = to_json(&schema)?;
    if body != row.body {
        change.renew(Table::Schemas, Row { body, ..row }).await?;
        change.renew(Table::Collections, owner).await?;
        change.touch(id.0);
    }
    Ok(())
}

pub(super) async fn index(
    change: &mut Change,
    id: CollectionId,
    name: &str,
    set: Props,
    drop: &[String],
) -> Result<(), Fault> {
    let owner = collection::row(&mut *change.txn, id).await?;
    let there = rows::collection(&mut *change.txn, owner.clone(), At::Now).await?;
    if there.load() == LoadState::Loaded {
        let what = "can't alter index on loaded collection, please release the collection first";
        return Err(Fault::collection_loaded(what, &there.name));
    }
    let row = change.txn.find(Table::Indexes, id.0, name, At::Now).await?;
    let Some(row) = row else {
        let text = format!("index not found[indexName={name}]");
        return Err(Fault::new(Code::IndexNotFound, text));
    };
    let mut body: rows::IndexBody = from_json("index", row.id, &row.body)?;
    body.params = rules::props_changed(body.params, set, drop)?;
    let body = to_json(&body)?;
    if body != row.body {
        change.renew(Table::Indexes, Row { body, ..row }).await?;
        change.renew(Table::Collections, owner).await?;
        change.touch(id.0);
    }
    Ok(())
}
