//! The collections of the simulation, and the records that its clients write.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::model::{
    ChannelId, CollectionId, CollectionSchema, DataType, FieldId, FieldSchema, PartitionId,
};
use millstream_dataflow::records::{ALL_PARTITIONS, DdlRecord};
use millstream_dataflow::shard;
use millstream_log::{Kind, Record, RecordBuilder};

pub(crate) const PK: FieldId = FieldId(100);
pub(crate) const TOKEN: FieldId = FieldId(101);
pub(crate) const VECTOR: FieldId = FieldId(102);
pub(crate) const DIM: u32 = 3;
pub(crate) const CHANNELS: u16 = 3;

/// A collection and where its shards live.
pub(crate) struct Place {
    pub(crate) id: CollectionId,
    pub(crate) channels: &'static [ChannelId],
}

/// Two collections that share a channel.
pub(crate) const PLACES: [Place; 2] = [
    Place { id: CollectionId(1), channels: &[ChannelId(0), ChannelId(1)] },
    Place { id: CollectionId(2), channels: &[ChannelId(1)] },
];

fn field(id: FieldId, name: &str, data_type: DataType, dim: u32) -> FieldSchema {
    FieldSchema {
        id,
        name: name.to_owned(),
        description: String::new(),
        data_type,
        is_primary: id == PK,
        auto_id: false,
        is_dynamic: false,
        dim,
        max_length: 0,
        type_params: Vec::new(),
    }
}

pub(crate) fn schema() -> Arc<CollectionSchema> {
    Arc::new(CollectionSchema {
        name: "sim".to_owned(),
        description: String::new(),
        enable_dynamic_field: false,
        fields: vec![
            field(PK, "pk", DataType::Int64, 0),
            field(TOKEN, "token", DataType::Int64, 0),
            field(VECTOR, "vector", DataType::FloatVector, DIM),
        ],
        version: 0,
    })
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Insert { partition: i64, rows: Vec<(i64, i64)> },
    Upsert { partition: i64, rows: Vec<(i64, i64)> },
    Delete { partition: Option<i64>, keys: Vec<i64> },
    DeleteTokens { partition: Option<i64>, divisor: i64 },
    PartitionDrop { partition: i64 },
    Create,
}

/// The vector of a token: small whole numbers, so that scores are exact and ties are common.
pub(crate) fn vector(token: i64) -> [f32; DIM as usize] {
    [(token % 5) as f32, (token % 3) as f32, (token % 2) as f32]
}

pub(crate) fn filter(divisor: i64) -> String {
    format!("token % {divisor} == 0")
}

pub(crate) fn plan(text: &str) -> Bytes {
    millstream_expr::parse(text, &schema())
        .expect("the filters of the simulation parse")
        .encode()
        .into()
}

/// The records of an op, by channel.
pub(crate) fn records(place: &Place, op: &Op) -> Vec<(ChannelId, Vec<Record>)> {
    let shards = place.channels.len() as u16;
    let mut units = Vec::new();
    for (shard, &channel) in (0u16..).zip(place.channels) {
        let record = |kind, partition: Option<i64>, rows: usize| {
            let partition = partition.map_or(ALL_PARTITIONS, PartitionId);
            RecordBuilder::new(kind, place.id, partition, shard, 0, rows as u32)
        };
        let mine = |pk: i64| shard::of_int(pk, shards) == shard;
        let record = match op {
            Op::Insert { partition, rows } | Op::Upsert { partition, rows } => {
                let rows: Vec<_> = rows.iter().filter(|(pk, _)| mine(*pk)).collect();
                if rows.is_empty() {
                    continue;
                }
                let kind =
                    if matches!(op, Op::Insert { .. }) { Kind::Insert } else { Kind::Upsert };
                let mut record = record(kind, Some(*partition), rows.len());
                let ints = |value: fn(&(i64, i64)) -> i64| -> Vec<u8> {
                    rows.iter().flat_map(|row| value(row).to_le_bytes()).collect()
                };
                record.fixed(PK, DataType::Int64, 8, &ints(|row| row.0));
                record.fixed(TOKEN, DataType::Int64, 8, &ints(|row| row.1));
                let floats = rows.iter().flat_map(|row| vector(row.1)).flat_map(f32::to_le_bytes);
                let width = DIM as usize * 4;
                record.fixed(VECTOR, DataType::FloatVector, width, &floats.collect::<Vec<_>>());
                record
            }
            Op::Delete { partition, keys } => {
                let keys: Vec<_> = keys.iter().copied().filter(|&pk| mine(pk)).collect();
                if keys.is_empty() {
                    continue;
                }
                let mut record = record(Kind::Delete, *partition, keys.len());
                let bytes: Vec<u8> = keys.iter().flat_map(|k| k.to_le_bytes()).collect();
                record.fixed(PK, DataType::Int64, 8, &bytes);
                record
            }
            Op::DeleteTokens { partition, divisor } => {
                let mut record = record(Kind::Delete, *partition, 0);
                record.blob(&plan(&filter(*divisor)));
                record
            }
            Op::PartitionDrop { partition } => {
                let mut record = record(Kind::Ddl, None, 0);
                let ddl = DdlRecord::PartitionDrop { partition: PartitionId(*partition) };
                record.blob(&ddl.encode().expect("a ddl record encodes"));
                record
            }
            Op::Create => {
                let mut record = record(Kind::Ddl, None, 0);
                let ddl = DdlRecord::CollectionCreate { schema: schema() };
                record.blob(&ddl.encode().expect("a ddl record encodes"));
                record
            }
        };
        units.push((channel, vec![record.finish().expect("a record of the simulation is valid")]));
    }
    units
}
