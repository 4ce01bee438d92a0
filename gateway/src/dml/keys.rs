//! Partition keys: the partition of each row, and the partitions where the rows of a filter are.

use millstream_catalog::model::{Collection, DefaultValue, Fault, FieldSchema, PartitionId};
use millstream_dataflow::partition;
use millstream_dataflow::records::ALL_PARTITIONS;
use millstream_expr::{PkList, Plan};

use crate::convert::columns::{Batch, BatchValues};

/// Where the rows of a write go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// All to one partition.
    One(PartitionId),
    /// To several: the place of each row's partition among those of the collection.
    Many(Vec<u16>),
}

impl Destination {
    /// The partition that is given; without one each row's own, by its partition key.
    pub fn of(
        collection: &Collection,
        given: Option<PartitionId>,
        batch: &Batch,
    ) -> Result<Destination, Fault> {
        match (given, collection.schema.partition_key()) {
            (Some(one), _) => Ok(Destination::One(one)),
            (None, Some(key)) => Destination::by_key(collection, key, batch),
            (None, None) => Err(Fault::internal("rows without a partition and without a key")),
        }
    }

    /// The partitions of rows of a collection with a partition key.
    ///
    /// Rows without the key have its default value. In an update they stay where they are, so
    /// that only those that are new have it; when there is none, there can be no such rows.
    fn by_key(
        collection: &Collection,
        key: &FieldSchema,
        batch: &Batch,
    ) -> Result<Destination, Fault> {
        let count = partitions(collection)?;
        let column = batch.columns.iter().find(|column| column.field == key.id);
        let places: Vec<u16> = match (column.map(|c| &c.values), &key.default_value) {
            (Some(BatchValues::Long(values)), _) => {
                values.iter().map(|value| partition::of_int(*value, count)).collect()
            }
            (Some(BatchValues::Var(texts)), _) => {
                texts.values().map(|value| partition::of_text(value, count)).collect()
            }
            (Some(_), _) => return Err(Fault::internal("a partition key of another type")),
            (None, Some(DefaultValue::Int(value))) => vec![partition::of_int(*value, count)],
            (None, Some(DefaultValue::Text(value))) => {
                vec![partition::of_text(value.as_bytes(), count)]
            }
            (None, _) => return Ok(Destination::One(ALL_PARTITIONS)),
        };
        let first = places.first().copied().unwrap_or_default();
        if places.iter().any(|place| *place != first) {
            return Ok(Destination::Many(places));
        }
        Ok(Destination::One(collection.partitions[usize::from(first)].id))
    }
}

/// The number of partitions of a collection with a partition key.
fn partitions(collection: &Collection) -> Result<u16, Fault> {
    match u16::try_from(collection.partitions.len()) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Fault::internal("a partition key with no partitions, or too many")),
    }
}

/// Those of some partitions that can have rows that a filter keeps, because the filter fixes the
/// partition key. An empty list means all partitions, given and returned.
pub fn pruned(
    collection: &Collection,
    given: Vec<PartitionId>,
    filter: Option<&Plan>,
) -> Result<Vec<PartitionId>, Fault> {
    let key = collection.schema.partition_key();
    let values = key.zip(filter).and_then(|(key, plan)| plan.values_of(key.id));
    let Some(values) = values else { return Ok(given) };
    let count = partitions(collection)?;
    let mut wanted = vec![false; usize::from(count)];
    let mut want = |place: u16| wanted[usize::from(place)] = true;
    match &values {
        PkList::Int(values) => values.iter().for_each(|v| want(partition::of_int(*v, count))),
        PkList::Text(values) => {
            values.iter().for_each(|v| want(partition::of_text(v.as_bytes(), count)));
        }
    }
    if !wanted.contains(&false) {
        return Ok(given);
    }
    let all = || collection.partitions.iter().map(|p| p.id);
    let is_given = |id: &PartitionId| given.is_empty() || given.contains(id);
    let places = all().zip(wanted).filter(|(_, wanted)| *wanted).map(|(id, _)| id);
    let kept: Vec<PartitionId> = places.filter(is_given).collect();
    if kept.is_empty() {
        // No row matches: any one partition answers so, where none would mean all of them.
        return Ok(all().filter(is_given).take(1).collect());
    }
    Ok(kept)
}
