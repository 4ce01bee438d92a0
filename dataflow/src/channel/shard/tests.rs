//! Updates on one shard: whole or not at all, and where the older rows come from.

use millstream_catalog::model::{Code, CollectionId, DataType, DefaultValue, FieldSchema};
use millstream_log::RecordBuilder;
use millstream_segment::{ColumnSlice, Position};

use super::*;
use crate::records::encode_runs;

const PK: FieldId = FieldId(100);
const COUNT: FieldId = FieldId(101);
const NOTE: FieldId = FieldId(102);
const GRADE: FieldId = FieldId(103);

fn shard(by_key: bool) -> Shard {
    let fields = vec![
        FieldSchema { is_primary: true, ..FieldSchema::new(PK, "pk", DataType::Int64) },
        FieldSchema {
            is_partition_key: by_key,
            ..FieldSchema::new(COUNT, "count", DataType::Int64)
        },
        FieldSchema { nullable: true, ..FieldSchema::new(NOTE, "note", DataType::Int64) },
        FieldSchema {
            default_value: Some(DefaultValue::Int(7)),
            ..FieldSchema::new(GRADE, "grade", DataType::Int64)
        },
    ];
    let schema = CollectionSchema {
        name: "c".to_owned(),
        description: String::new(),
        enable_dynamic_field: false,
        fields,
        version: 0,
        functions: Vec::new(),
    };
    Shard::new(Arc::new(schema), millstream_index::inv_norms_of).unwrap()
}

/// A record of Int64 columns, all of one length.
fn record(kind: Kind, partition: i64, columns: &[(FieldId, &[i64])]) -> Record {
    let rows = columns[0].1.len() as u32;
    let partition = PartitionId(partition);
    let mut record = RecordBuilder::new(kind, CollectionId(1), partition, 0, 0, rows);
    for (field, values) in columns {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        record.fixed(*field, DataType::Int64, 8, &bytes);
    }
    record.finish().unwrap()
}

/// Partition slot, pk, count, note and grade of all rows visible at a time, by pk.
fn rows(shard: &Shard, at: u64) -> Vec<(u32, i64, i64, Option<i64>, i64)> {
    let selection = shard.view.select(Timestamp(at), &[]);
    let mut rows = Vec::new();
    for chunk in &selection.chunks {
        let ints = |column| match chunk.column(column) {
            ColumnSlice::Int64(values) => values,
            other => panic!("{other:?}"),
        };
        let valid = |row: usize| chunk.validity(2).is_none_or(|valid| valid[row] == 1);
        chunk.for_each(|row| {
            let note = valid(row).then_some(ints(2)[row]);
            rows.push((chunk.slot, ints(0)[row], ints(1)[row], note, ints(3)[row]));
        });
    }
    rows.sort_unstable_by_key(|row| row.1);
    rows
}

fn begin(shard: &mut Shard, seq: u64) -> Timestamp {
    assert!(shard.writer.begin(Position { seq, index: 0 }));
    Timestamp(seq)
}

#[test]
fn an_update_keeps_what_it_does_not_carry_and_fills_new_rows() {
    let mut shard = shard(false);
    let eff = begin(&mut shard, 1);
    let first = record(Kind::Insert, 1, &[(PK, &[1, 2]), (COUNT, &[10, 20]), (NOTE, &[5, 6])]);
    shard.rows(eff, &first).unwrap();
    let eff = begin(&mut shard, 2);
    let update = record(Kind::Update, 1, &[(PK, &[2, 3]), (COUNT, &[21, 30])]);
    let (outcome, changed) = shard.update(eff, &[update]).unwrap();
    assert_eq!((outcome.unwrap(), changed[0].rows), (2, 1));
    let expected = [(0, 1, 10, Some(5), 7), (0, 2, 21, Some(6), 7), (0, 3, 30, None, 7)];
    assert_eq!(rows(&shard, 2), expected);
    assert_eq!(rows(&shard, 1), [(0, 1, 10, Some(5), 7), (0, 2, 20, Some(6), 7)]);
}

#[test]
fn a_row_that_cannot_be_completed_leaves_all_rows_of_the_request_out() {
    let mut shard = shard(false);
    let eff = begin(&mut shard, 1);
    shard.rows(eff, &record(Kind::Insert, 1, &[(PK, &[1]), (COUNT, &[10])])).unwrap();
    let before = rows(&shard, 1);
    let eff = begin(&mut shard, 2);
    let good = record(Kind::Update, 1, &[(PK, &[1]), (NOTE, &[9])]);
    let bad = record(Kind::Update, 1, &[(PK, &[1, 44, 55]), (NOTE, &[9, 9, 9])]);
    let (outcome, changed) = shard.update(eff, &[good, bad]).unwrap();
    let fault = outcome.unwrap_err();
    assert_eq!(fault.code, Code::ParameterInvalid);
    assert!(fault.message.contains("fieldSchema(count)") && fault.message.contains("key 44 "));
    assert!(changed.is_empty());
    assert_eq!(rows(&shard, 2), before);
}

#[test]
fn old_keys_name_the_rows_that_end_and_that_an_update_completes_from() {
    let mut shard = shard(false);
    let eff = begin(&mut shard, 1);
    shard.rows(eff, &record(Kind::Insert, 1, &[(PK, &[1, 2]), (COUNT, &[10, 20])])).unwrap();
    let eff = begin(&mut shard, 2);
    let upsert =
        record(Kind::Upsert, 1, &[(PK, &[101]), (COUNT, &[11]), (GRADE, &[1]), (OLD_KEYS, &[1])]);
    shard.rows(eff, &upsert).unwrap();
    assert_eq!(rows(&shard, 2), [(0, 2, 20, None, 7), (0, 101, 11, None, 1)]);
    let eff = begin(&mut shard, 3);
    let update = record(Kind::Update, 1, &[(PK, &[102]), (NOTE, &[3]), (OLD_KEYS, &[101])]);
    assert_eq!(shard.update(eff, &[update]).unwrap().0.unwrap(), 1);
    assert_eq!(rows(&shard, 3), [(0, 2, 20, None, 7), (0, 102, 11, Some(3), 1)]);
}

#[test]
fn under_a_partition_key_a_row_moves_from_partition_to_partition() {
    for kind in [Kind::Upsert, Kind::Update] {
        let mut shard = shard(true);
        let eff = begin(&mut shard, 1);
        let first = record(Kind::Insert, 1, &[(PK, &[1, 2]), (COUNT, &[1, 1]), (NOTE, &[5, 6])]);
        shard.rows(eff, &first).unwrap();
        let eff = begin(&mut shard, 2);
        let moved = record(kind, 2, &[(PK, &[1]), (COUNT, &[2]), (GRADE, &[8])]);
        match kind {
            Kind::Update => drop(shard.update(eff, &[moved]).unwrap().0.unwrap()),
            _ => drop(shard.rows(eff, &moved).unwrap()),
        }
        let note = (kind == Kind::Update).then_some(5);
        assert_eq!(rows(&shard, 2), [(1, 1, 2, note, 8), (0, 2, 1, Some(6), 7)]);
    }
}

#[test]
fn an_update_of_a_dropped_partition_does_nothing_and_says_so() {
    let mut shard = shard(false);
    shard.dropped.insert(PartitionId(1));
    let eff = begin(&mut shard, 1);
    let update = record(Kind::Update, 1, &[(PK, &[1]), (COUNT, &[1])]);
    let (outcome, changed) = shard.update(eff, &[update]).unwrap();
    assert_eq!((outcome.unwrap(), changed.len()), (0, 0));
}

const META: FieldId = FieldId(104);

/// A shard of keys and dynamic fields.
fn dynamic_shard() -> Shard {
    let meta = FieldSchema { is_dynamic: true, ..FieldSchema::new(META, "$meta", DataType::Json) };
    let key = FieldSchema { is_primary: true, ..FieldSchema::new(PK, "pk", DataType::Int64) };
    let schema = CollectionSchema {
        name: "c".to_owned(),
        description: String::new(),
        enable_dynamic_field: true,
        fields: vec![key, meta],
        version: 0,
        functions: Vec::new(),
    };
    Shard::new(Arc::new(schema), millstream_index::inv_norms_of).unwrap()
}

fn documents(kind: Kind, rows: &[(i64, &str)]) -> Record {
    let mut record =
        RecordBuilder::new(kind, CollectionId(1), PartitionId(1), 0, 0, rows.len() as u32);
    let keys: Vec<u8> = rows.iter().flat_map(|(key, _)| key.to_le_bytes()).collect();
    record.fixed(PK, DataType::Int64, 8, &keys);
    let cell = |(_, text): &(i64, &str)| {
        let mut cell = Vec::new();
        millstream_expr::json_cell(text.as_bytes(), &mut cell).unwrap();
        cell
    };
    let cells: Vec<Vec<u8>> = rows.iter().map(cell).collect();
    record.var_values(META, DataType::Json, cells.iter().map(|cell| &cell[..]));
    record.finish().unwrap()
}

/// Key and dynamic field of all rows visible at a time, by key.
fn read_documents(shard: &Shard, at: u64) -> Vec<(i64, String)> {
    let selection = shard.view.select(Timestamp(at), &[]);
    let mut rows = Vec::new();
    for chunk in &selection.chunks {
        let (ColumnSlice::Int64(keys), ColumnSlice::Var { offsets, bytes }) =
            (chunk.column(0), chunk.column(1))
        else {
            panic!("columns of other types");
        };
        chunk.for_each(|row| {
            let cell = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
            let mut again = Vec::new();
            let text = millstream_catalog::model::cell::json_text(cell);
            millstream_expr::json_cell(text, &mut again).unwrap();
            assert_eq!(again, cell, "the parsed form is that of the text");
            rows.push((keys[row], String::from_utf8(text.to_vec()).unwrap()));
        });
    }
    rows.sort_unstable();
    rows
}

#[test]
fn an_update_joins_the_keys_of_the_dynamic_field_with_those_of_the_older_row() {
    let mut shard = dynamic_shard();
    let eff = begin(&mut shard, 1);
    let first = [(1, r#"{"size":1,"color":"red"}"#), (2, r#"{"size":2}"#), (3, "{}")];
    shard.rows(eff, &documents(Kind::Insert, &first)).unwrap();
    let eff = begin(&mut shard, 2);
    let given = [(1, r#"{"color":"blue"}"#), (2, "{}"), (3, r#"{"a":1}"#), (4, r#"{"b":2}"#)];
    let (outcome, _) = shard.update(eff, &[documents(Kind::Update, &given)]).unwrap();
    assert_eq!(outcome.unwrap(), 4);
    let texts = |rows: &[(i64, &str)]| {
        rows.iter().map(|(key, text)| (*key, (*text).to_owned())).collect::<Vec<_>>()
    };
    let wanted = [
        (1, r#"{"size":1,"color":"blue"}"#),
        (2, r#"{"size":2}"#),
        (3, r#"{"a":1}"#),
        (4, r#"{"b":2}"#),
    ];
    assert_eq!(read_documents(&shard, 2), texts(&wanted));
    assert_eq!(read_documents(&shard, 1), texts(&first));
    let eff = begin(&mut shard, 3);
    let nothing = documents(Kind::Update, &[(1, "{}"), (4, "{ }")]);
    shard.update(eff, &[nothing]).unwrap().0.unwrap();
    assert_eq!(read_documents(&shard, 3), texts(&wanted));
    let eff = begin(&mut shard, 4);
    shard.rows(eff, &documents(Kind::Upsert, &[(1, r#"{"z":1}"#)])).unwrap();
    assert_eq!(read_documents(&shard, 4)[0].1, r#"{"z":1}"#, "an upsert replaces the row");
}

#[test]
fn an_update_whose_dynamic_field_becomes_too_large_changes_nothing() {
    let mut shard = dynamic_shard();
    let half = "x".repeat(40_000);
    let old = format!(r#"{{"a":"{half}"}}"#);
    let eff = begin(&mut shard, 1);
    shard.rows(eff, &documents(Kind::Insert, &[(1, "{}"), (2, &old)])).unwrap();
    let before = read_documents(&shard, 1);
    let eff = begin(&mut shard, 2);
    let more = format!(r#"{{"b":"{half}"}}"#);
    let update = documents(Kind::Update, &[(1, &more), (2, &more)]);
    let (outcome, changed) = shard.update(eff, &[update]).unwrap();
    let fault = outcome.unwrap_err();
    assert!(fault.message.contains("json field ($meta) exceeds max length (65536)"), "{fault}");
    assert!(changed.is_empty());
    assert_eq!(read_documents(&shard, 2), before);
}

/// As [`record`], with rows that go to several partitions.
fn spread(kind: Kind, runs: &[(i64, u32)], columns: &[(FieldId, &[i64])]) -> Record {
    let rows = columns[0].1.len() as u32;
    let mut record = RecordBuilder::new(kind, CollectionId(1), ALL_PARTITIONS, 0, 0, rows);
    for (field, values) in columns {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        record.fixed(*field, DataType::Int64, 8, &bytes);
    }
    record.blob(&encode_runs(runs.iter().map(|(id, rows)| (PartitionId(*id), *rows))));
    record.finish().unwrap()
}

#[test]
fn rows_of_one_record_go_to_the_partitions_of_its_runs() {
    let mut shard = shard(true);
    let eff = begin(&mut shard, 1);
    let columns: [(FieldId, &[i64]); 2] = [(PK, &[1, 2, 3]), (COUNT, &[8, 8, 9])];
    let changed = shard.rows(eff, &spread(Kind::Insert, &[(5, 2), (6, 1)], &columns)).unwrap();
    let changed: Vec<_> = changed.iter().map(|c| (c.partition.0, c.rows)).collect();
    assert_eq!(changed, [(5, 2), (6, 1)]);
    assert_eq!(rows(&shard, 1), [(0, 1, 8, None, 7), (0, 2, 8, None, 7), (1, 3, 9, None, 7)]);
    // Row 1 moves, row 2 ends and comes back where it was, row 3 moves into a new partition.
    let eff = begin(&mut shard, 2);
    let columns: [(FieldId, &[i64]); 2] = [(PK, &[2, 1, 3]), (COUNT, &[8, 9, 7])];
    let runs = [(5, 1), (6, 1), (4, 1)];
    shard.rows(eff, &spread(Kind::Upsert, &runs, &columns)).unwrap();
    assert_eq!(rows(&shard, 2), [(1, 1, 9, None, 7), (0, 2, 8, None, 7), (2, 3, 7, None, 7)]);
    let short = spread(Kind::Insert, &[(5, 1)], &columns);
    let eff = begin(&mut shard, 3);
    assert!(shard.rows(eff, &short).unwrap_err().contains("partitions of 1 rows"));
}

#[test]
fn an_update_without_the_partition_key_leaves_each_row_in_its_partition() {
    let mut shard = shard(true);
    let eff = begin(&mut shard, 1);
    let columns: [(FieldId, &[i64]); 3] =
        [(PK, &[1, 2, 3]), (COUNT, &[8, 8, 9]), (NOTE, &[4, 5, 6])];
    shard.rows(eff, &spread(Kind::Insert, &[(5, 2), (6, 1)], &columns)).unwrap();
    let eff = begin(&mut shard, 2);
    let everywhere = ALL_PARTITIONS.0;
    let update = record(Kind::Update, everywhere, &[(PK, &[3, 1]), (NOTE, &[60, 40])]);
    assert_eq!(shard.update(eff, &[update]).unwrap().0.unwrap(), 2);
    let expected = [(0, 1, 8, Some(40), 7), (0, 2, 8, Some(5), 7), (1, 3, 9, Some(60), 7)];
    assert_eq!(rows(&shard, 2), expected);
    // With the key a row moves, and keeps the rest.
    let eff = begin(&mut shard, 3);
    let columns: [(FieldId, &[i64]); 2] = [(PK, &[2, 3]), (COUNT, &[9, 7])];
    let update = spread(Kind::Update, &[(6, 1), (4, 1)], &columns);
    assert_eq!(shard.update(eff, &[update]).unwrap().0.unwrap(), 2);
    let expected = [(0, 1, 8, Some(40), 7), (1, 2, 9, Some(5), 7), (2, 3, 7, Some(60), 7)];
    assert_eq!(rows(&shard, 3), expected);
    // A new row needs its key.
    let eff = begin(&mut shard, 4);
    let update = record(Kind::Update, everywhere, &[(PK, &[1, 44]), (NOTE, &[1, 1])]);
    let fault = shard.update(eff, &[update]).unwrap().0.unwrap_err();
    assert!(fault.message.contains("fieldSchema(count)"), "{fault}");
    assert_eq!(rows(&shard, 4), expected);
}
