//! Intents: changes that are decided and need a record in the log before they are current.

use super::rows::{CollectionBody, from_json, to_json};
use super::{Change, content};
use crate::catalog::{Intent, IntentOp};
use crate::model::Fault;
use crate::store::{At, Row, RowState, Table, Txn};

/// Adds an intent about a collection.
pub(super) async fn add(
    change: &mut Change,
    collection: i64,
    op: IntentOp,
) -> Result<Intent, Fault> {
    let id = change.id().await?;
    change.txn.intent_add(id, &to_json(&op)?, change.at).await?;
    change.touch(collection);
    Ok(Intent { id, op })
}

/// All intents, oldest first.
pub(super) async fn pending(txn: &mut dyn Txn) -> Result<Vec<Intent>, Fault> {
    let list = txn.intent_list().await?;
    let read = |(id, body): (i64, String)| Ok(Intent { id, op: from_json("intent", id, &body)? });
    list.into_iter().map(read).collect()
}

/// Makes an intent current. One that is not there was finished before.
pub(super) async fn finish(change: &mut Change, id: i64) -> Result<(), Fault> {
    let Some(body) = change.txn.intent_take(id).await? else { return Ok(()) };
    match from_json("intent", id, &body)? {
        IntentOp::CollectionCreate(collection) => {
            let row = change.txn.get(Table::Collections, collection.id.0, At::Now).await?;
            if let Some(row) = row.filter(|row| row.state == RowState::Creating) {
                let mut body: CollectionBody = from_json("collection", row.id, &row.body)?;
                // From here on it can be described, so this is when it was created.
                body.created = change.at;
                let (state, body) = (RowState::Current, to_json(&body)?);
                change.renew(Table::Collections, Row { state, body, ..row }).await?;
            }
            change.touch(collection.id.0);
        }
        IntentOp::CollectionDrop(collection) => {
            let id = collection.id.0;
            change.txn.end(Table::Collections, &[id], change.at).await?;
            for table in [Table::Schemas, Table::Partitions, Table::Indexes] {
                change.txn.end_owned(table, id, change.at).await?;
            }
            change.touch(id);
        }
        IntentOp::PartitionDrop(collection, _) | IntentOp::Truncate(collection) => {
            content::renewed(change, collection.id).await?;
            change.touch(collection.id.0);
        }
        IntentOp::FieldAdd(after, field) => {
            content::field_added(change, &after, field).await?;
            change.touch(after.id.0);
        }
        IntentOp::TtlSet(collection, value) => {
            content::ttl_set(change, collection.id, value).await?;
            change.touch(collection.id.0);
        }
    }
    Ok(())
}
