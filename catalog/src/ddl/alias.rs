//! Aliases: other names of collections.
//!
//! **Invariant.** In one database a name means one thing: an alias never has the name of a
//! collection, nor a collection that of an alias. An alias's row names its collection, and the
//! collection's row lists it.

use super::rows::{AliasBody, CollectionBody, from_json, to_json};
use super::{Change, collection, database};
use crate::model::{CollectionId, Fault};
use crate::rules;
use crate::store::{At, Row, RowState, Table, Txn};

/// The collection that an alias of a database means, now or at a past time.
pub(super) async fn target(
    txn: &mut dyn Txn,
    database: i64,
    alias: &str,
    at: At,
) -> Result<Option<Row>, Fault> {
    let Some(row) = txn.find(Table::Aliases, database, alias, at).await? else { return Ok(None) };
    let body: AliasBody = from_json("alias", row.id, &row.body)?;
    txn.get(Table::Collections, body.collection.0, at).await
}

/// The names of all aliases of a database in order of creation.
pub(super) async fn list(txn: &mut dyn Txn, database: &str) -> Result<Vec<String>, Fault> {
    let owner = database::row(txn, database, At::Now).await?;
    let rows = txn.list(Table::Aliases, &[owner.id], At::Now).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

pub(super) async fn create(
    change: &mut Change,
    database: &str,
    alias: &str,
    name: &str,
) -> Result<(), Fault> {
    let (owner, target) = ends(change, database, alias, name).await?;
    let id = CollectionId(target.id);
    if let Some(row) = change.txn.find(Table::Aliases, owner.id, alias, At::Now).await? {
        let body: AliasBody = from_json("alias", row.id, &row.body)?;
        if body.collection == id {
            return Ok(());
        }
        let other = change.txn.get(Table::Collections, body.collection.0, At::Now).await?;
        let other = other.map(|row| row.name).unwrap_or_default();
        return Err(rules::alias_exists(database, alias, &other));
    }
    let row = change.id().await?;
    let body = AliasBody { collection: id, created: change.at };
    change.add(Table::Aliases, (row, owner.id), alias, RowState::Current, &body).await?;
    relist(change, target, |aliases| aliases.push(alias.to_owned())).await?;
    change.touch(id.0);
    Ok(())
}

pub(super) async fn alter(
    change: &mut Change,
    database: &str,
    alias: &str,
    name: &str,
) -> Result<(), Fault> {
    let (owner, target) = ends(change, database, alias, name).await?;
    let row = change.txn.find(Table::Aliases, owner.id, alias, At::Now).await?;
    let row = row.ok_or_else(|| Fault::alias_not_found(database, alias))?;
    let mut body: AliasBody = from_json("alias", row.id, &row.body)?;
    let before = body.collection.0;
    if before == target.id {
        return Ok(());
    }
    body.collection = CollectionId(target.id);
    change.renew(Table::Aliases, Row { body: to_json(&body)?, ..row }).await?;
    if let Some(old) = change.txn.get(Table::Collections, before, At::Now).await? {
        relist(change, old, |aliases| aliases.retain(|a| a != alias)).await?;
    }
    relist(change, target, |aliases| aliases.push(alias.to_owned())).await?;
    // Two collections changed, and news is of one or of all.
    change.touched = Some(None);
    Ok(())
}

pub(super) async fn drop(change: &mut Change, database: &str, alias: &str) -> Result<(), Fault> {
    let owner = database::row(&mut *change.txn, database, At::Now).await?;
    let row = change.txn.find(Table::Aliases, owner.id, alias, At::Now).await?;
    let Some(row) = row else { return Ok(()) };
    let body: AliasBody = from_json("alias", row.id, &row.body)?;
    let id = body.collection.0;
    change.txn.end(Table::Aliases, &[row.id], change.at).await?;
    if let Some(target) = change.txn.get(Table::Collections, id, At::Now).await? {
        relist(change, target, |aliases| aliases.retain(|a| a != alias)).await?;
    }
    change.touch(id);
    Ok(())
}

/// The database and the collection of a request to point an alias at a collection, which must be
/// named by its own name.
async fn ends(
    change: &mut Change,
    database: &str,
    alias: &str,
    name: &str,
) -> Result<(Row, Row), Fault> {
    rules::check_name("collection alias", alias)?;
    let owner = database::row(&mut *change.txn, database, At::Now).await?;
    if change.txn.find(Table::Collections, owner.id, alias, At::Now).await?.is_some() {
        return Err(rules::alias_is_collection(database, alias));
    }
    let target = collection::named(&mut *change.txn, &owner, name).await?;
    Ok((owner, target))
}

/// Changes the list of aliases of a collection.
async fn relist(
    change: &mut Change,
    row: Row,
    edit: impl FnOnce(&mut Vec<String>),
) -> Result<(), Fault> {
    let mut body: CollectionBody = from_json("collection", row.id, &row.body)?;
    edit(&mut body.aliases);
    let body = to_json(&body)?;
    change.renew(Table::Collections, Row { body, ..row }).await.map(|_| ())
}
