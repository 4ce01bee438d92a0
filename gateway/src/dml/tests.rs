//! Tests of building records.

use millstream_catalog::model::{
    CollectionId, CollectionSchema, CollectionState, ConsistencyLevel, DatabaseId, DefaultValue,
    FieldSchema, LoadState, Partition, Timestamp,
};
use millstream_dataflow::partition;
use millstream_dataflow::records::decode_runs;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::convert::var_column::VarColumn;

const PK: FieldId = FieldId(100);
const WORD: FieldId = FieldId(101);
const VECTOR: FieldId = FieldId(102);
const NINE: Destination = Destination::One(PartitionId(9));

fn collection(shards: u16) -> Collection {
    let schema = CollectionSchema {
        name: "c".into(),
        description: String::new(),
        enable_dynamic_field: false,
        fields: Vec::new(),
        version: 3,
        functions: Vec::new(),
    };
    Collection {
        aliases: Vec::new(),
        id: CollectionId(7),
        database: DatabaseId(1),
        database_name: "default".into(),
        name: "c".into(),
        schema: Arc::new(schema),
        channels: (0..shards).map(|c| ChannelId(c + 2)).collect(),
        consistency: ConsistencyLevel::Strong,
        properties: Vec::new(),
        partitions: Vec::new(),
        indexes: Vec::new(),
        state: CollectionState::Created,
        created: Timestamp(1),
        meta_version: Timestamp(1),
        schema_from: Timestamp(1),
    }
}

fn batch(rows: u32) -> Batch {
    let vector = |row: u32| [row as f32, -(row as f32)].into_iter().flat_map(f32::to_le_bytes);
    let column =
        |field, data_type, values| BatchColumn { field, data_type, values, validity: None };
    let keys: Vec<i64> = (0..i64::from(rows)).collect();
    let words = VarColumn::from_texts((0..rows).map(|r| format!("w{r}")));
    let vectors: Vec<u8> = (0..rows).flat_map(vector).collect();
    Batch {
        rows,
        columns: vec![
            column(PK, DataType::Int64, BatchValues::Long(keys)),
            column(WORD, DataType::VarChar, BatchValues::Var(words)),
            column(VECTOR, DataType::FloatVector, BatchValues::Fixed(vectors.into(), 8)),
        ],
    }
}

/// Rows as `pk -> (word, vector)`, and the shard that each record names.
fn read_back(units: &Units) -> BTreeMap<i64, (Vec<u8>, Vec<u8>, u16)> {
    let mut rows = BTreeMap::new();
    for record in units.iter().flat_map(|(_, records)| records) {
        let [pk, word, vector] = [PK, WORD, VECTOR].map(|f| record.column(f).unwrap().data);
        for (row, key) in pk.i64s().enumerate() {
            let found = (word.value(row).to_vec(), vector.value(row).to_vec(), record.shard());
            assert!(rows.insert(key, found).is_none(), "row {key} twice");
        }
    }
    rows
}

#[test]
fn every_row_reaches_exactly_the_shard_of_its_key() {
    for shards in [1, 2, 5] {
        let batch = batch(100);
        let pks = pks_of(&batch, PK).unwrap();
        let collection = collection(shards);
        let units = write_rows(Kind::Insert, &collection, &NINE, &batch, &pks).unwrap();
        for (channel, records) in &units {
            let record = &records[0];
            assert_eq!(*channel, collection.channels[usize::from(record.shard())]);
            assert_eq!((record.collection(), record.partition()), (collection.id, PartitionId(9)));
            assert_eq!((record.schema_version(), record.kind()), (3, Kind::Insert));
        }
        let rows = read_back(&units);
        assert_eq!(rows.len(), 100);
        for (key, (word, vector, shard)) in rows {
            assert_eq!(word, format!("w{key}").into_bytes());
            assert_eq!(vector[..4], (key as f32).to_le_bytes());
            assert_eq!(shard, shard::of_int(key, shards));
        }
    }
}

#[test]
fn a_delete_by_keys_goes_only_where_the_keys_are() {
    let keys = PkList::Text(vec!["king".into(), "queen".into()]);
    let units = delete_keys(&collection(16), None, PK, &keys).unwrap();
    let rows: u32 = units.iter().flat_map(|(_, records)| records).map(Record::rows).sum();
    assert_eq!(rows, 2);
    assert!(units.iter().all(|(_, records)| records[0].partition() == ALL_PARTITIONS));
    assert!(delete_keys(&collection(2), None, PK, &PkList::Int(vec![])).unwrap().is_empty());
}

#[test]
fn a_delete_by_filter_goes_to_every_shard() {
    let units = delete_by_plan(&collection(3), &[PartitionId(4)], b"plan").unwrap();
    assert_eq!(units.len(), 3);
    for (_, records) in units {
        assert_eq!(records[0].blob().unwrap(), "plan");
        assert_eq!(records[0].partition(), PartitionId(4));
    }
}

#[test]
fn narrow_integers_keep_their_sign() {
    let column = BatchColumn {
        field: PK,
        data_type: DataType::Int16,
        values: BatchValues::Int(vec![-2, 300]),
        validity: None,
    };
    let batch = Batch { rows: 2, columns: vec![column] };
    let units =
        write_rows(Kind::Insert, &collection(1), &NINE, &batch, &PkList::Int(vec![0, 1])).unwrap();
    let data = units[0].1[0].column(PK).unwrap().data;
    assert_eq!(data.value(0), (-2_i16).to_le_bytes());
    assert_eq!(data.value(1), 300_i16.to_le_bytes());
}

#[test]
fn a_delete_by_filter_says_in_which_partitions_its_rows_are() {
    let several = [PartitionId(4), PartitionId(6)];
    for (partitions, header) in [(&several[..], ALL_PARTITIONS), (&[], ALL_PARTITIONS)] {
        let units = delete_by_plan(&collection(2), partitions, b"plan").unwrap();
        for (_, records) in units {
            assert_eq!(
                (records[0].blob().unwrap().as_ref(), records[0].partition()),
                (&b"plan"[..], header)
            );
            let listed = records[0].column(PARTITIONS);
            let ids: Vec<i64> = listed.iter().flat_map(|column| column.data.i64s()).collect();
            assert_eq!(ids, partitions.iter().map(|id| id.0).collect::<Vec<_>>());
        }
    }
}

/// A shard whose rows are all there needs no validity, the others get theirs row by row.
#[test]
fn nulls_follow_their_rows_into_the_records() {
    let mut batch = batch(64);
    let word = batch.columns.iter_mut().find(|c| c.field == WORD).unwrap();
    word.validity = Some((0..64).map(|row| u8::from(row % 5 != 0)).collect());
    let pks = pks_of(&batch, PK).unwrap();
    for shards in [1, 3, 16] {
        let units = write_rows(Kind::Upsert, &collection(shards), &NINE, &batch, &pks).unwrap();
        for record in units.iter().flat_map(|(_, records)| records) {
            let keys = record.column(PK).unwrap().data;
            let wanted: Vec<u8> = keys.i64s().map(|key| u8::from(key % 5 != 0)).collect();
            let found = record.column(WORD).unwrap().validity;
            let found = found.map_or_else(|| vec![1; wanted.len()], |v| v.to_vec());
            assert_eq!(found, wanted);
            assert_eq!(record.column(VECTOR).unwrap().validity, None);
        }
    }
}

/// Rows of a shard that do not fit one record are several, which hold them in their order.
#[test]
fn rows_that_do_not_fit_a_record_are_cut_into_several() {
    let mut batch = batch(500);
    let word = batch.columns.iter_mut().find(|c| c.field == WORD).unwrap();
    word.validity = Some((0..500).map(|row| u8::from(row % 50 != 0)).collect());
    word.values =
        BatchValues::Var(VarColumn::from_texts((0..500).map(|row| "x".repeat(row % 7 * 40))));
    let pks = pks_of(&batch, PK).unwrap();
    for shards in [1, 3] {
        let collection = collection(shards);
        let write = |most| {
            let rows = (&batch, &pks);
            let to = Destination::One(PartitionId(9));
            write_within(Kind::Update, &collection, &to, rows, most).unwrap()
        };
        let (whole, cut) = (write(RECORD_BYTES_MAX), write(4_096));
        assert_eq!(cut.len(), whole.len(), "one list of records for each shard");
        assert!(whole.iter().all(|(_, records)| records.len() == 1));
        assert_eq!(read_back(&cut), read_back(&whole));
        for ((channel, records), (of, one)) in cut.iter().zip(&whole) {
            assert_eq!(channel, of);
            assert!(records.len() > 3 && records.len() < 60, "{} records", records.len());
            assert!(records.iter().all(|record| record.bytes().len() <= 4_096));
            let keys = |records: &[Record]| -> Vec<i64> {
                let keys = |r: &Record| r.column(PK).unwrap().data.i64s().collect::<Vec<_>>();
                records.iter().flat_map(keys).collect()
            };
            assert_eq!(keys(records), keys(one));
            for record in records {
                let column = record.column(WORD).unwrap();
                let nulls = column.validity.map_or(0, |v| v.iter().filter(|v| **v == 0).count());
                let keys = record.column(PK).unwrap().data;
                assert_eq!(nulls, keys.i64s().filter(|key| key % 50 == 0).count());
            }
        }
    }
}

#[test]
fn a_write_that_no_unit_could_hold_is_refused_before_it_is_made() {
    let mut batch = batch(100_000);
    let text = "x".repeat(65_535);
    let word = batch.columns.iter_mut().find(|c| c.field == WORD).unwrap();
    word.values = BatchValues::Var(VarColumn::repeated(text.into(), 100_000));
    let pks = pks_of(&batch, PK).unwrap();
    let refused =
        write_rows(Kind::Insert, &collection(2), &Destination::One(PartitionId(9)), &batch, &pks);
    let fault = refused.unwrap_err();
    assert_eq!(fault.code, Code::ParameterTooLarge);
    assert!(fault.message.contains("insert request size exceeds maxInsertSize"), "{fault}");
}

/// A collection whose rows are spread over `partitions` partitions by their words.
fn keyed(shards: u16, partitions: i64) -> Collection {
    let mut all = collection(shards);
    let mut schema = CollectionSchema::clone(&all.schema);
    let word = FieldSchema::new(WORD, "word", DataType::VarChar);
    schema.fields.push(FieldSchema { is_partition_key: true, ..word });
    all.schema = Arc::new(schema);
    let partition = |at| Partition {
        id: PartitionId(40 + at),
        name: format!("_default_{at}"),
        created: Timestamp(1),
        load: LoadState::Loaded,
    };
    all.partitions = (0..partitions).map(partition).collect();
    all
}

/// The partition of each row of a record, as a worker reads it.
fn partitions_of(record: &Record) -> Vec<PartitionId> {
    let Some(blob) = record.blob() else {
        return vec![record.partition(); record.rows() as usize];
    };
    assert_eq!(record.partition(), ALL_PARTITIONS);
    let runs = decode_runs(&blob).unwrap();
    runs.into_iter().flat_map(|(id, rows)| vec![id; rows as usize]).collect()
}

#[test]
fn under_a_partition_key_each_row_reaches_the_partition_of_its_value() {
    let batch = batch(300);
    let pks = pks_of(&batch, PK).unwrap();
    for (shards, partitions) in [(1, 1), (1, 16), (3, 16), (16, 4_096), (2, 2)] {
        let collection = keyed(shards, partitions);
        let to = Destination::of(&collection, None, &batch).unwrap();
        let units = write_rows(Kind::Insert, &collection, &to, &batch, &pks).unwrap();
        assert!(units.iter().all(|(_, records)| records.len() == 1));
        for record in units.iter().flat_map(|(_, records)| records) {
            let words = record.column(WORD).unwrap().data;
            let of = partitions_of(record);
            assert_eq!(of.len(), record.rows() as usize);
            for (row, id) in of.iter().enumerate() {
                let place = partition::of_text(words.value(row), partitions as u16);
                assert_eq!(*id, PartitionId(40 + i64::from(place)));
            }
            assert!(of.is_sorted(), "rows lie partition by partition");
        }
        let rows = read_back(&units);
        assert_eq!(rows.len(), 300);
        for (key, (word, vector, shard)) in rows {
            assert_eq!(word, format!("w{key}").into_bytes());
            assert_eq!(vector[..4], (key as f32).to_le_bytes());
            assert_eq!(shard, shard::of_int(key, shards));
        }
    }
}

#[test]
fn rows_of_one_value_cost_no_list_of_partitions() {
    let mut batch = batch(50);
    let one = batch.columns.iter_mut().find(|c| c.field == WORD).unwrap();
    one.values = BatchValues::Var(VarColumn::from_texts(vec!["acme"; 50]));
    let collection = keyed(3, 16);
    let to = Destination::of(&collection, None, &batch).unwrap();
    let id = PartitionId(40 + i64::from(partition::of_text(b"acme", 16)));
    assert_eq!(to, Destination::One(id));
    let pks = pks_of(&batch, PK).unwrap();
    let units = write_rows(Kind::Upsert, &collection, &to, &batch, &pks).unwrap();
    for record in units.iter().flat_map(|(_, records)| records) {
        assert_eq!((record.partition(), record.blob()), (id, None));
    }
}

#[test]
fn rows_without_their_key_have_its_default_or_stay_where_they_are() {
    let mut batch = batch(3);
    batch.columns.retain(|column| column.field != WORD);
    let mut collection = keyed(2, 16);
    let everywhere = Destination::One(ALL_PARTITIONS);
    assert_eq!(Destination::of(&collection, None, &batch), Ok(everywhere));
    let mut schema = CollectionSchema::clone(&collection.schema);
    schema.fields[0].default_value = Some(DefaultValue::Text("nobody".into()));
    collection.schema = Arc::new(schema);
    let id = PartitionId(40 + i64::from(partition::of_text(b"nobody", 16)));
    assert_eq!(Destination::of(&collection, None, &batch), Ok(Destination::One(id)));
}

#[test]
fn a_filter_that_fixes_the_key_leaves_the_partitions_of_its_values() {
    let collection = keyed(2, 16);
    let left = |filter: &str, given: &[PartitionId]| {
        let plan = millstream_expr::parse(filter, &collection.schema).unwrap();
        pruned(&collection, given.to_vec(), Some(&plan)).unwrap()
    };
    let of = |word: &str| {
        let place = partition::of_text(word.as_bytes(), 16);
        PartitionId(40 + i64::from(place))
    };
    assert_eq!(left("word == 'a'", &[]), [of("a")]);
    let mut both = vec![of("a"), of("king")];
    both.sort_unstable();
    assert_eq!(left("word in ['king', 'a', 'a']", &[]), both);
    assert_eq!(left("word == 'a'", &[of("a"), PartitionId(99)]), [of("a")]);
    assert_eq!(left("word != 'a'", &[]), []);
    assert_eq!(left("word != 'a'", &[of("a")]), [of("a")]);
    assert_eq!(left("word in []", &[]).len(), 1);
    assert_eq!(left("word == 'a'", &[of("king")]), [of("king")]);
    let all: Vec<String> = (0..1_000).map(|n| format!("'w{n}'")).collect();
    assert_eq!(left(&format!("word in [{}]", all.join(", ")), &[]), []);
    assert_eq!(pruned(&collection, vec![of("a")], None), Ok(vec![of("a")]));
}
