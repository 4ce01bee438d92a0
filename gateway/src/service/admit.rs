//! What requests count as against quotas.

use std::sync::Arc;

use millstream_catalog::model::limits::DEFAULT_PARTITION;
use millstream_catalog::model::{Code, Collection, Fault, PartitionId};
use prost::Message;

use super::Context;
use crate::gateway::Gateway;
use crate::pb;
use crate::quota::{Deed, Kind, Request};

/// A message that writes rows: its database, collection, partition, rows, and the bytes that it is.
pub(super) trait Writing: Message {
    const BYTES: Kind;
    fn place(&self) -> (&str, &str, &str);
    fn rows(&self) -> u32;
}

macro_rules! writing {
    ($($message:ident $kind:ident, |$m:ident| $rows:expr;)*) => {$(
        impl Writing for pb::$message {
            const BYTES: Kind = Kind::$kind;

            fn place(&self) -> (&str, &str, &str) {
                (&self.db_name, &self.collection_name, &self.partition_name)
            }

            fn rows(&self) -> u32 {
                let $m = self;
                $rows
            }
        }
    )*};
}

writing! {
    InsertRequest InsertBytes, |m| m.num_rows;
    UpsertRequest UpsertBytes, |m| m.num_rows;
    // How many rows it ends is not known yet.
    DeleteRequest DeleteBytes, |_m| 0;
}

/// A collection that is not there is somebody else's to refuse.
async fn found(
    gateway: &Gateway,
    database: &str,
    name: &str,
) -> Result<Option<Arc<Collection>>, Fault> {
    match gateway.cache.get(database, name).await {
        Ok(collection) => Ok(Some(collection)),
        Err(fault) if fault.code == Code::CollectionNotFound => Ok(None),
        Err(fault) if fault.code == Code::DatabaseNotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn ids<'a>(
    collection: &Collection,
    names: impl IntoIterator<Item = &'a String>,
) -> Vec<PartitionId> {
    let names = names.into_iter();
    names.filter_map(|name| collection.partition(name).map(|p| p.id)).collect()
}

/// Lets a write through, or says why not.
pub(super) async fn write<M: Writing>(
    gateway: &Gateway,
    context: &Context,
    message: &M,
) -> Result<(), Fault> {
    let (database, name, partition) = message.place();
    let database = context.database(database);
    let Some(collection) = found(gateway, database, name).await? else { return Ok(()) };
    let partition = if partition.is_empty() { DEFAULT_PARTITION } else { partition };
    let partition = collection.partition(partition).map(|p| p.id);
    let request = Request {
        deed: Deed::Write,
        database,
        collection: Some(&collection),
        partitions: partition.as_slice(),
    };
    let amount = |kind| match kind {
        Kind::Rows => f64::from(message.rows()),
        _ => message.encoded_len() as f64,
    };
    let kinds: &[Kind] = match M::BYTES {
        Kind::DeleteBytes => &[Kind::DeleteBytes],
        bytes => &[bytes, Kind::Rows],
    };
    gateway.quotas.admit(gateway, request, kinds, amount).await
}

/// Lets a search for so many vectors through, or says why not.
pub(super) async fn search(
    gateway: &Gateway,
    database: &str,
    named: (&Collection, &[String]),
    vectors: i64,
) -> Result<(), Fault> {
    read(gateway, database, named, (Kind::Vectors, vectors.max(1) as f64)).await
}

/// Lets a query through, or says why not.
pub(super) async fn query(
    gateway: &Gateway,
    database: &str,
    named: (&Collection, &[String]),
) -> Result<(), Fault> {
    read(gateway, database, named, (Kind::Queries, 1.0)).await
}

async fn read(
    gateway: &Gateway,
    database: &str,
    (collection, partitions): (&Collection, &[String]),
    (kind, amount): (Kind, f64),
) -> Result<(), Fault> {
    let partitions = ids(collection, partitions);
    let collection = Some(collection);
    let request = Request { deed: Deed::Read, database, collection, partitions: &partitions };
    gateway.quotas.admit(gateway, request, &[kind], |_| amount).await
}

/// Lets a flush of a collection through, or says why not.
pub(super) async fn flush(
    gateway: &Gateway,
    database: &str,
    collection: &Collection,
) -> Result<(), Fault> {
    let collection = Some(collection);
    let request = Request { deed: Deed::Flush, database, collection, partitions: &[] };
    gateway.quotas.admit(gateway, request, &[Kind::Flush], |_| 1.0).await
}

/// Lets a change of metadata through, or says why not.
pub(super) async fn ddl(gateway: &Gateway, rpc: &str, database: &str) -> Result<(), Fault> {
    let deed = Deed::of_ddl(rpc);
    let request = Request { deed, database, collection: None, partitions: &[] };
    gateway.quotas.admit(gateway, request, &[Kind::Ddl], |_| 1.0).await
}
