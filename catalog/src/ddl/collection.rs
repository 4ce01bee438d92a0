//! Collections.

use std::collections::HashMap;
use std::sync::Arc;

use super::rows::{self, CollectionBody, PartitionBody, from_json};
use super::{Change, alias, database, intent};
use crate::catalog::{Created, Intent, IntentOp, NewCollection};
use crate::model::{Collection, CollectionId, CollectionState, Fault, LoadState, RequestId};
use crate::rules::{self, Limits};
use crate::store::{At, Counter, Row, RowState, Table, Txn};

/// The current collection with a name or an alias, now or at a past time.
pub(super) async fn get(
    txn: &mut dyn Txn,
    database: &str,
    name: &str,
    at: At,
) -> Result<Arc<Collection>, Fault> {
    let row = find(txn, database, name, at).await?;
    rows::collection(txn, row, at).await
}

/// The row of the current collection with a name or an alias, now or at a past time.
pub(super) async fn find(
    txn: &mut dyn Txn,
    database: &str,
    name: &str,
    at: At,
) -> Result<Row, Fault> {
    let owner = database::row(txn, database, at).await?;
    let found = match txn.find(Table::Collections, owner.id, name, at).await? {
        None => alias::target(txn, owner.id, name, at).await?,
        found => found,
    };
    let current = found.filter(|row| row.state == RowState::Current);
    current.ok_or_else(|| Fault::collection_not_found(database, name))
}

/// The row of the current collection with a name of its own in a database.
pub(super) async fn named(txn: &mut dyn Txn, owner: &Row, name: &str) -> Result<Row, Fault> {
    match txn.find(Table::Collections, owner.id, name, At::Now).await? {
        Some(row) if row.state == RowState::Current => Ok(row),
        _ => Err(Fault::collection_not_found(&owner.name, name)),
    }
}

/// The row of a current collection.
pub(super) async fn row(txn: &mut dyn Txn, id: CollectionId) -> Result<Row, Fault> {
    match txn.get(Table::Collections, id.0, At::Now).await? {
        Some(row) if row.state == RowState::Current => Ok(row),
        _ => Err(rules::collection_id_not_found(id)),
    }
}

pub(super) async fn by_id(txn: &mut dyn Txn, id: CollectionId) -> Result<Arc<Collection>, Fault> {
    let row = row(txn, id).await?;
    rows::collection(txn, row, At::Now).await
}

pub(super) async fn list(
    txn: &mut dyn Txn,
    database: &str,
    at: At,
) -> Result<Vec<Arc<Collection>>, Fault> {
    let owner = database::row(txn, database, at).await?;
    let mut rows = txn.list(Table::Collections, &[owner.id], at).await?;
    rows.retain(|row| row.state == RowState::Current);
    let names = HashMap::from([(owner.id, owner.name)]);
    rows::collections(txn, rows, &names, at).await
}

pub(super) async fn all(txn: &mut dyn Txn) -> Result<Vec<Arc<Collection>>, Fault> {
    let databases = txn.list_all(Table::Databases).await?;
    let names = databases.into_iter().map(|row| (row.id, row.name)).collect();
    let rows = txn.list_all(Table::Collections).await?;
    rows::collections(txn, rows, &names, At::Now).await
}

pub(super) async fn create(
    change: &mut Change,
    request: RequestId,
    new: NewCollection,
    channels: u16,
    limits: &Limits,
) -> Result<Created, Fault> {
    if let Some((id, at)) = change.txn.request_get(request).await? {
        return again(&mut *change.txn, id, At::Past(at)).await;
    }
    let owner = database::row(&mut *change.txn, &new.database, At::Now).await?;
    if let Some(row) = change.txn.find(Table::Collections, owner.id, &new.name, At::Now).await? {
        let id = CollectionId(row.id);
        let there = rows::collection(&mut *change.txn, row, At::Now).await?;
        if !rules::same_collection(&there, &new) {
            return Err(rules::different_collection(&new.name));
        }
        return again(&mut *change.txn, id, At::Now).await;
    }
    if change.txn.find(Table::Aliases, owner.id, &new.name, At::Now).await?.is_some() {
        return Err(rules::collection_is_alias(&new.name));
    }
    let partitions = rules::first_partitions(&new, limits.partitions)?;
    if change.txn.count(Table::Collections, None).await? >= limits.collections as u64 {
        return Err(rules::collections_full(&new.database, limits.collections));
    }
    database::check_room(&mut *change.txn, &owner).await?;
    let placed = change.txn.count_up(Counter::Placement, i64::from(new.shards)).await?;
    let body = CollectionBody {
        channels: rules::place(placed, new.shards, channels),
        consistency: new.consistency,
        properties: new.properties,
        created: change.at,
        load_all: false,
        aliases: Vec::new(),
    };
    let (id, schema) = (change.id().await?, change.id().await?);
    let first = change.ids(partitions.len()).await?;
    let state = RowState::Creating;
    let row = change.add(Table::Collections, (id, owner.id), &new.name, state, &body).await?;
    let version = new.schema.version.to_string();
    let state = RowState::Current;
    change.add(Table::Schemas, (schema, id), &version, state, &*new.schema).await?;
    let body = rows::to_json(&PartitionBody { created: change.at, load: LoadState::NotLoaded })?;
    let row_of = |(at, name)| change.row((at, id), name, state, body.clone());
    let partitions: Vec<Row> = (first..).zip(partitions).map(row_of).collect();
    change.txn.add(Table::Partitions, &partitions).await?;
    change.txn.request_add(request, CollectionId(id), change.at).await?;
    let made = rows::collection(&mut *change.txn, row, At::Now).await?;
    Ok(Created::Intent(intent::add(change, id, IntentOp::CollectionCreate(made)).await?))
}

/// The answer to a request for a collection that is there or, `at` a past time, was there: the
/// same intent while it is pending, else the collection.
async fn again(txn: &mut dyn Txn, id: CollectionId, at: At) -> Result<Created, Fault> {
    let creates = |op: &IntentOp| matches!(op, IntentOp::CollectionCreate(c) if c.id == id);
    let mut pending = intent::pending(txn).await?;
    if let Some(found) = pending.iter().position(|intent| creates(&intent.op)) {
        return Ok(Created::Intent(pending.swap_remove(found)));
    }
    let now = txn.get(Table::Collections, id.0, At::Now).await?;
    let (row, at) = match now {
        Some(row) if row.state == RowState::Current => (Some(row), At::Now),
        // Dropped since: the request was carried out all the same, and is not repeated.
        _ => (txn.get(Table::Collections, id.0, at).await?, at),
    };
    let row = row.ok_or_else(|| rules::collection_id_not_found(id))?;
    Ok(Created::Same(rows::collection(txn, row, at).await?))
}

pub(super) async fn drop(
    change: &mut Change,
    database: &str,
    name: &str,
) -> Result<Option<Intent>, Fault> {
    let owner = database::row(&mut *change.txn, database, At::Now).await?;
    if change.txn.find(Table::Aliases, owner.id, name, At::Now).await?.is_some() {
        return Err(Fault::plain(format!("cannot drop the collection via alias = {name}")));
    }
    let row = change.txn.find(Table::Collections, owner.id, name, At::Now).await?;
    let Some(row) = row.filter(|row| row.state == RowState::Current) else { return Ok(None) };
    let body: CollectionBody = from_json("collection", row.id, &row.body)?;
    if !body.aliases.is_empty() {
        return Err(rules::collection_has_aliases(name, &body.aliases));
    }
    let id = row.id;
    // What belongs to it stays until the intent is finished: the log still has rows of it.
    let row = change.renew(Table::Collections, Row { state: RowState::Dropping, ..row }).await?;
    let gone = rows::collection(&mut *change.txn, row, At::Now).await?;
    debug_assert_eq!(gone.state, CollectionState::Dropping);
    intent::add(change, id, IntentOp::CollectionDrop(gone)).await.map(Some)
}

/// Gives a collection another name, in its database or in another one.
pub(super) async fn rename(
    change: &mut Change,
    (database, name): (&str, &str),
    (to_database, to_name): (&str, &str),
) -> Result<CollectionId, Fault> {
    let from = database::row(&mut *change.txn, database, At::Now).await?;
    let to = database::row(&mut *change.txn, to_database, At::Now).await;
    let to = to.map_err(|f| f.prefixed(&format!("target database:{to_database} not found: ")))?;
    if change.txn.find(Table::Aliases, from.id, name, At::Now).await?.is_some() {
        let text = format!("unsupported use an alias to rename collection, alias:{name}");
        return Err(Fault::plain(text));
    }
    if change.txn.find(Table::Aliases, to.id, to_name, At::Now).await?.is_some() {
        let text = format!("cannot rename collection to an existing alias: {to_name}");
        return Err(Fault::plain(text));
    }
    // One that is being created has its name already.
    if change.txn.find(Table::Collections, to.id, to_name, At::Now).await?.is_some() {
        return Err(Fault::plain(format!(
            "duplicated new collection name {to_database}:{to_name} with other collection name \
             or alias"
        )));
    }
    let row = named(&mut *change.txn, &from, name).await?;
    if from.id != to.id {
        let body: CollectionBody = from_json("collection", row.id, &row.body)?;
        if !body.aliases.is_empty() {
            let text = "fail to rename db name, must drop all aliases of this collection before \
                        rename";
            return Err(Fault::plain(format!("{text}, collection: {name}")));
        }
        database::check_room(&mut *change.txn, &to).await?;
    }
    let id = row.id;
    let row = Row { owner: to.id, name: to_name.to_owned(), ..row };
    change.renew(Table::Collections, row).await?;
    change.touch(id);
    Ok(CollectionId(id))
}
