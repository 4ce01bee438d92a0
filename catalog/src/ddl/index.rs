//! Indexes: what is to be built on which field.

use super::rows::{self, IndexBody};
use super::{Change, collection};
use crate::catalog::NewIndex;
use crate::model::{CollectionId, Fault, IndexDef, LoadState};
use crate::rules::{self, IndexDecision};
use crate::store::{At, RowState, Table};

pub(super) async fn create(
    change: &mut Change,
    collection: CollectionId,
    new: NewIndex,
) -> Result<IndexDef, Fault> {
    rules::check_name("index", &new.name)?;
    let owner = collection::row(&mut *change.txn, collection).await?;
    let there = rows::collection(&mut *change.txn, owner.clone(), At::Now).await?;
    if let IndexDecision::Same(index) = rules::index_decide(&there, &new)? {
        return Ok(index.clone());
    }
    let id = change.id().await?;
    let body = IndexBody { field: new.field, params: new.params, created: change.at };
    let row =
        change.add(Table::Indexes, (id, owner.id), &new.name, RowState::Current, &body).await?;
    change.renew(Table::Collections, owner).await?;
    change.touch(collection.0);
    rows::index(row)
}

pub(super) async fn drop(
    change: &mut Change,
    collection: CollectionId,
    names: &[&str],
) -> Result<(), Fault> {
    let owner = collection::row(&mut *change.txn, collection).await?;
    let there = rows::collection(&mut *change.txn, owner.clone(), At::Now).await?;
    let found = names.iter().filter_map(|name| there.index(name));
    let ids: Vec<i64> = found.map(|index| index.id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    if there.load() == LoadState::Loaded {
        let text = "index cannot be dropped, collection is loaded, please release it first";
        return Err(Fault::plain(text));
    }
    change.txn.end(Table::Indexes, &ids, change.at).await?;
    change.renew(Table::Collections, owner).await?;
    change.touch(collection.0);
    Ok(())
}
