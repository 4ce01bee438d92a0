//! Partial updates: what must be there before any of one is written.

use millstream_catalog::model::{Collection, Fault, FieldSchema, PartitionId};
use millstream_dataflow::records::incomplete;

use super::{Context, by_keys, read};
use crate::convert::columns::Batch;
use crate::dml;
use crate::gateway::Gateway;
use crate::guarantee::Asked;

/// Refuses an update of keys that have no row, when a row cannot be made of what is given.
///
/// The shards refuse it too, each for itself at its position in the log, where one does not know
/// what another found. So a request that goes to several is asked for here, before anything is
/// written; what is left are rows that end between the two.
pub(super) async fn check_rows(
    gateway: &Gateway,
    context: &Context,
    collection: &Collection,
    partition: Option<PartitionId>,
    (pk, batch): (&FieldSchema, &Batch),
) -> Result<(), Fault> {
    let Some(lacking) = lacking(collection, batch) else { return Ok(()) };
    if collection.channels.len() < 2 {
        return Ok(());
    }
    let keys = read::key_list(dml::pks_of(batch, pk.id)?);
    // Level 0 is Strong: the rows as they are now.
    let partitions = partition.into_iter().collect();
    let (target, needed) =
        read::begin(gateway, context, collection, Asked::default(), partitions).await?;
    let fields = [pk.id];
    let found = by_keys::fetch(gateway, &target, &fields, &keys);
    let found = gateway.closer.read(&collection.channels, needed, context.timeout(), found).await?;
    let Some(at) = found.1.iter().position(Option::is_none) else { return Ok(()) };
    Err(incomplete(&lacking.name, &keys.name(at).unwrap_or_default()))
}

/// A field that must have a value and is not given.
fn lacking<'c>(collection: &'c Collection, batch: &Batch) -> Option<&'c FieldSchema> {
    let given = |field: &FieldSchema| batch.columns.iter().any(|column| column.field == field.id);
    let optional = |field: &FieldSchema| {
        field.nullable || field.is_dynamic || field.default_value.is_some() || !field.is_stored()
    };
    collection.schema.fields.iter().find(|field| !optional(field) && !given(field))
}
