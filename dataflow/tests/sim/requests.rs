//! The collections of the simulation, and the records that its clients write.
#![allow(dead_code, reason = "the test of several workers uses a part of this")]

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::model::{
    ChannelId, CollectionId, CollectionSchema, DataType, DefaultValue, FieldId, FieldSchema,
    PartitionId,
};
use millstream_dataflow::records::{ALL_PARTITIONS, DdlRecord, OLD_KEYS, PARTITIONS, encode_runs};
use millstream_dataflow::shard;
use millstream_log::{Kind, Record, RecordBuilder};

pub(crate) const PK: FieldId = FieldId(100);
pub(crate) const TOKEN: FieldId = FieldId(101);
pub(crate) const VECTOR: FieldId = FieldId(102);
pub(crate) const NOTE: FieldId = FieldId(103);
pub(crate) const RANK: FieldId = FieldId(104);
pub(crate) const RANK_DEFAULT: i32 = 9_999;
/// Keys are from 0 up to this.
pub(crate) const KEYS: i64 = 16;
pub(crate) const DIM: u32 = 3;
pub(crate) const CHANNELS: u16 = 3;

/// A collection and where its shards live.
pub(crate) struct Place {
    pub(crate) id: CollectionId,
    pub(crate) channels: &'static [ChannelId],
    /// Whether the ranks of rows choose their partitions.
    pub(crate) by_key: bool,
}

/// Three collections that share channels.
pub(crate) const PLACES: [Place; 3] = [
    Place { id: CollectionId(1), channels: &[ChannelId(0), ChannelId(1)], by_key: false },
    Place { id: CollectionId(2), channels: &[ChannelId(1)], by_key: false },
    Place { id: CollectionId(3), channels: &[ChannelId(1), ChannelId(0)], by_key: true },
];

/// The partition of a rank, where ranks choose partitions.
pub(crate) fn partition_of(rank: i32) -> i64 {
    1 + i64::from(rank.rem_euclid(3))
}

pub(crate) fn schema(by_key: bool) -> Arc<CollectionSchema> {
    let field = |id, name, data_type| FieldSchema::new(id, name, data_type);
    Arc::new(CollectionSchema {
        name: "sim".to_owned(),
        description: String::new(),
        enable_dynamic_field: false,
        fields: vec![
            FieldSchema { is_primary: true, ..field(PK, "pk", DataType::Int64) },
            field(TOKEN, "token", DataType::Int64),
            FieldSchema { dim: DIM, ..field(VECTOR, "vector", DataType::FloatVector) },
            FieldSchema { nullable: true, ..field(NOTE, "note", DataType::VarChar) },
            FieldSchema {
                default_value: Some(DefaultValue::Int(i64::from(RANK_DEFAULT))),
                is_partition_key: by_key,
                ..field(RANK, "rank", DataType::Int32)
            },
        ],
        version: 0,
        functions: Vec::new(),
    })
}

/// Which of the columns that may be missing from an update it carries: vector, note, rank.
pub(crate) type Given = [bool; 3];

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Insert {
        partition: i64,
        rows: Vec<(i64, i64)>,
    },
    Upsert {
        partition: i64,
        rows: Vec<(i64, i64)>,
    },
    /// An upsert whose rows end those of [`old_key`].
    Rekey {
        partition: i64,
        rows: Vec<(i64, i64)>,
    },
    /// An upsert of some columns; of other keys as in `Rekey` when `rekey`.
    Update {
        partition: i64,
        rows: Vec<(i64, i64)>,
        given: Given,
        rekey: bool,
    },
    Delete {
        partition: Option<i64>,
        keys: Vec<i64>,
    },
    DeleteTokens {
        partition: Option<i64>,
        divisor: i64,
    },
    PartitionDrop {
        partition: i64,
    },
    /// Ends all rows.
    Truncate {
        intent: i64,
    },
    /// Rows expire so many milliseconds after they came.
    SetTtl {
        ms: Option<u64>,
    },
    /// Ends the growing segments of all shards.
    Seal,
    Create,
}

/// The note of a token; every fourth has none.
pub(crate) fn note(token: i64) -> Option<String> {
    (token % 4 != 1).then(|| "n".repeat((token % 6) as usize))
}

/// The rank of a token.
pub(crate) fn rank(token: i64) -> i32 {
    (token % 1000) as i32 - 500
}

/// The key whose row goes when the row of a key comes in its place: of the same shard.
pub(crate) fn old_key(pk: i64, shards: u16) -> i64 {
    let same = |key: &i64| shard::of_int(*key, shards) == shard::of_int(pk, shards);
    (1..=KEYS).map(|step| (pk + step) % KEYS).find(same).unwrap_or(pk)
}

/// The vector of a token: small whole numbers, so that scores are exact and ties are common.
pub(crate) fn vector(token: i64) -> [f32; DIM as usize] {
    [(token % 5) as f32, (token % 3) as f32, (token % 2) as f32]
}

pub(crate) fn filter(divisor: i64) -> String {
    format!("token % {divisor} == 0")
}

pub(crate) fn plan(text: &str) -> Bytes {
    millstream_expr::parse(text, &schema(false))
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
            Op::Insert { partition, rows }
            | Op::Upsert { partition, rows }
            | Op::Rekey { partition, rows }
            | Op::Update { partition, rows, .. } => {
                let mut rows: Vec<_> = rows.iter().copied().filter(|row| mine(row.0)).collect();
                if rows.is_empty() {
                    continue;
                }
                let (kind, given, rekey) = match op {
                    Op::Insert { .. } => (Kind::Insert, [true; 3], false),
                    Op::Update { given, rekey, .. } => (Kind::Update, *given, *rekey),
                    other => (Kind::Upsert, [true; 3], matches!(other, Op::Rekey { .. })),
                };
                let (partition, runs) = spread(place, Some(*partition), &mut rows, given);
                let mut record = record(kind, partition, rows.len());
                add_columns(&mut record, &rows, given);
                if let Some(runs) = runs {
                    record.blob(&runs);
                }
                if rekey {
                    let old = rows.iter().flat_map(|row| old_key(row.0, shards).to_le_bytes());
                    record.fixed(OLD_KEYS, DataType::Int64, 8, &old.collect::<Vec<_>>());
                }
                record
            }
            Op::Delete { partition, keys } => {
                let keys: Vec<_> = keys.iter().copied().filter(|&pk| mine(pk)).collect();
                if keys.is_empty() {
                    continue;
                }
                let mut record = record(Kind::Delete, *partition, keys.len());
                let bytes = keys.iter().flat_map(|k| k.to_le_bytes()).collect::<Vec<u8>>();
                record.fixed(PK, DataType::Int64, 8, &bytes);
                record
            }
            Op::DeleteTokens { partition: Some(one), divisor } if place.by_key => {
                let mut record = record(Kind::Delete, None, 2);
                let two = [*one, one % 3 + 1].map(i64::to_le_bytes).concat();
                record.fixed(PARTITIONS, DataType::Int64, 8, &two);
                record.blob(&plan(&filter(*divisor)));
                record
            }
            Op::DeleteTokens { partition, divisor } => {
                let mut record = record(Kind::Delete, *partition, 0);
                record.blob(&plan(&filter(*divisor)));
                record
            }
            Op::Seal => record(Kind::Seal, None, 0),
            Op::PartitionDrop { .. } | Op::Truncate { .. } | Op::SetTtl { .. } | Op::Create => {
                with_ddl(record(Kind::Ddl, None, 0), &ddl_of(place, op))
            }
        };
        units.push((channel, vec![record.finish().expect("a record of the simulation is valid")]));
    }
    units
}

/// What an op tells the shards.
fn ddl_of(place: &Place, op: &Op) -> DdlRecord {
    match op {
        Op::PartitionDrop { partition } => {
            DdlRecord::PartitionDrop { partition: PartitionId(*partition) }
        }
        Op::Truncate { intent } => DdlRecord::Truncate { intent: *intent },
        Op::SetTtl { ms } => DdlRecord::TtlSet { ms: *ms },
        _ => DdlRecord::CollectionCreate { schema: schema(place.by_key) },
    }
}

fn with_ddl(mut record: RecordBuilder, ddl: &DdlRecord) -> RecordBuilder {
    record.blob(&ddl.encode().expect("a ddl record encodes"));
    record
}

/// The partition of a record of rows, and how many go where when there are several; the rows are put
/// in that order.
fn spread(
    place: &Place,
    partition: Option<i64>,
    rows: &mut [(i64, i64)],
    given: Given,
) -> (Option<i64>, Option<Vec<u8>>) {
    if !place.by_key {
        return (partition, None);
    }
    if !given[2] {
        return (Some(partition_of(RANK_DEFAULT)), None);
    }
    let of = |row: &(i64, i64)| partition_of(rank(row.1));
    rows.sort_by_key(of);
    let (first, last) = (of(&rows[0]), of(&rows[rows.len() - 1]));
    if first == last {
        return (Some(first), None);
    }
    let run = |run: &[(i64, i64)]| (PartitionId(of(&run[0])), run.len() as u32);
    let runs = encode_runs(rows.chunk_by(|a, b| of(a) == of(b)).map(run));
    (None, Some(runs))
}

fn add_columns(record: &mut RecordBuilder, rows: &[(i64, i64)], given: Given) {
    let ints = |value: fn(&(i64, i64)) -> i64| -> Vec<u8> {
        rows.iter().flat_map(|row| value(row).to_le_bytes()).collect()
    };
    record.fixed(PK, DataType::Int64, 8, &ints(|row| row.0));
    record.fixed(TOKEN, DataType::Int64, 8, &ints(|row| row.1));
    if given[0] {
        let floats = rows.iter().flat_map(|row| vector(row.1)).flat_map(f32::to_le_bytes);
        let width = DIM as usize * 4;
        record.fixed(VECTOR, DataType::FloatVector, width, &floats.collect::<Vec<_>>());
    }
    if given[1] {
        let notes: Vec<Option<String>> = rows.iter().map(|row| note(row.1)).collect();
        let texts = notes.iter().map(|note| note.as_deref().unwrap_or_default().as_bytes());
        record.var_values(NOTE, DataType::VarChar, texts);
        let valid: Vec<u8> = notes.iter().map(|note| u8::from(note.is_some())).collect();
        if valid.contains(&0) {
            record.validity(NOTE, &valid);
        }
    }
    if given[2] {
        let ranks: Vec<u8> = rows.iter().flat_map(|row| rank(row.1).to_le_bytes()).collect();
        record.fixed(RANK, DataType::Int32, 4, &ranks);
    }
}
