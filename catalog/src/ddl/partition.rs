//! Partitions and their load state.

use super::rows::{self, CollectionBody, PartitionBody, from_json, to_json};
use super::{Change, collection, intent};
use crate::catalog::{Intent, IntentOp};
use crate::model::{CollectionId, Fault, LoadState, Partition, PartitionId, limits};
use crate::rules::{self, Limits};
use crate::store::{At, Row, RowState, Table};

pub(super) async fn create(
    change: &mut Change,
    collection: CollectionId,
    name: &str,
    limits: &Limits,
) -> Result<Partition, Fault> {
    rules::check_name("partition", name)?;
    let owner = collection::row(&mut *change.txn, collection).await?;
    let schema = rows::schema(&mut *change.txn, owner.id).await?;
    rules::check_free_partitions(&schema, "create partition")?;
    if let Some(there) = change.txn.find(Table::Partitions, owner.id, name, At::Now).await? {
        return rows::partition(there);
    }
    let count = change.txn.count(Table::Partitions, Some(owner.id)).await?;
    let max = limits.partitions;
    if count >= max as u64 {
        return Err(Fault::plain(format!(
            "partition number ({count}) exceeds max configuration ({max}), collection: {}",
            owner.name
        )));
    }
    let body: CollectionBody = from_json("collection", owner.id, &owner.body)?;
    let load = if body.load_all { LoadState::Loaded } else { LoadState::NotLoaded };
    let id = change.id().await?;
    let body = PartitionBody { created: change.at, load };
    let row = change.add(Table::Partitions, (id, owner.id), name, RowState::Current, &body).await?;
    change.renew(Table::Collections, owner).await?;
    change.touch(collection.0);
    rows::partition(row)
}

pub(super) async fn drop(
    change: &mut Change,
    collection: CollectionId,
    name: &str,
) -> Result<Option<Intent>, Fault> {
    if name == limits::DEFAULT_PARTITION {
        return Err(Fault::plain("default partition cannot be deleted"));
    }
    let owner = collection::row(&mut *change.txn, collection).await?;
    let schema = rows::schema(&mut *change.txn, owner.id).await?;
    rules::check_free_partitions(&schema, "drop partition")?;
    let found = change.txn.find(Table::Partitions, owner.id, name, At::Now).await?;
    let Some(row) = found else { return Ok(None) };
    let body: PartitionBody = from_json("partition", row.id, &row.body)?;
    if body.load == LoadState::Loaded {
        let text = "partition cannot be dropped, partition is loaded, please release it first";
        return Err(Fault::plain(text));
    }
    change.txn.end(Table::Partitions, &[row.id], change.at).await?;
    let owner = change.renew(Table::Collections, owner).await?;
    let after = rows::collection(&mut *change.txn, owner, At::Now).await?;
    let op = IntentOp::PartitionDrop(after, PartitionId(row.id));
    intent::add(change, collection.0, op).await.map(Some)
}

pub(super) async fn load_set(
    change: &mut Change,
    collection: CollectionId,
    partitions: &[PartitionId],
    state: LoadState,
) -> Result<(), Fault> {
    let mut owner = collection::row(&mut *change.txn, collection).await?;
    if !partitions.is_empty() {
        let schema = rows::schema(&mut *change.txn, owner.id).await?;
        let what = if state == LoadState::Loaded { "load" } else { "release" };
        rules::check_free_partitions(&schema, &format!("{what} partitions"))?;
    }
    let all = change.txn.list(Table::Partitions, &[owner.id], At::Now).await?;
    if let Some(id) = partitions.iter().find(|id| !all.iter().any(|row| row.id == id.0)) {
        return Err(Fault::partition_not_found(id));
    }
    let mut changed = Vec::new();
    for row in all {
        let mut body: PartitionBody = from_json("partition", row.id, &row.body)?;
        let meant = partitions.is_empty() || partitions.contains(&PartitionId(row.id));
        if meant && body.load != state {
            body.load = state;
            changed.push(Row { body: to_json(&body)?, from: change.at, ..row });
        }
    }
    let mut body: CollectionBody = from_json("collection", owner.id, &owner.body)?;
    body.load_all = match (state, partitions.is_empty()) {
        (LoadState::Loaded, true) => true,
        (LoadState::Loaded, false) => body.load_all,
        // Without one of its partitions it is not loaded as a whole any more.
        (LoadState::NotLoaded, _) => false,
    };
    let body = to_json(&body)?;
    if changed.is_empty() && body == owner.body {
        return Ok(());
    }
    owner.body = body;
    let ids: Vec<i64> = changed.iter().map(|row| row.id).collect();
    change.txn.end(Table::Partitions, &ids, change.at).await?;
    change.txn.add(Table::Partitions, &changed).await?;
    change.renew(Table::Collections, owner).await?;
    change.touch(collection.0);
    Ok(())
}
