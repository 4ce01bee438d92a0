//! A shard against a naive model: a list of rows with a begin and an end.

use std::collections::BTreeMap;

use millstream_catalog::model::{DataType, FieldId, PartitionId, Timestamp};
use proptest::prelude::*;

use crate::{
    Applied, Batch, ColumnSlice, ColumnSpec, Input, Key, Keys, Position, Scope, ShardView,
    ShardWriter, WriteError,
};

const PK: FieldId = FieldId(100);
const TOKEN: FieldId = FieldId(101);
const VECTOR: FieldId = FieldId(102);
const NOTE: FieldId = FieldId(103);
const DIM: usize = 2;

fn norms(dim: usize, vectors: &[f32], out: &mut [f32]) {
    for (row, out) in vectors.chunks(dim).zip(out) {
        *out = 1.0 / row.iter().map(|x| x * x).sum::<f32>().sqrt();
    }
}

fn spec(field: FieldId, data_type: DataType, dim: usize) -> ColumnSpec {
    ColumnSpec { field, data_type, dim }
}

fn writer(text_keys: bool) -> ShardWriter {
    let pk = if text_keys { DataType::VarChar } else { DataType::Int64 };
    let specs = vec![
        spec(VECTOR, DataType::FloatVector, DIM),
        spec(PK, pk, 0),
        spec(TOKEN, DataType::Int64, 0),
        spec(NOTE, DataType::VarChar, 0),
    ];
    ShardWriter::new(specs, 1, norms)
}

fn var(values: impl Iterator<Item = Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
    let (mut offsets, mut bytes) = (vec![0; 4], Vec::new());
    for value in values {
        bytes.extend(&value);
        offsets.extend((bytes.len() as u32).to_le_bytes());
    }
    (offsets, bytes)
}

/// Owned columns of a batch; keys come as numbers and are spelled out for text keys.
struct Columns {
    rows: usize,
    pk_fixed: Vec<u8>,
    pk_var: (Vec<u8>, Vec<u8>),
    tokens: Vec<u8>,
    vectors: Vec<u8>,
    notes: (Vec<u8>, Vec<u8>),
    text_keys: bool,
}

impl Columns {
    fn new(text_keys: bool, keys: &[i64], first_token: i64) -> Columns {
        let tokens = || (0..keys.len() as i64).map(|i| first_token + i);
        let vector = |t: i64| [t as f32, 1.0].map(f32::to_le_bytes).concat();
        Columns {
            rows: keys.len(),
            pk_fixed: keys.iter().flat_map(|k| k.to_le_bytes()).collect(),
            pk_var: var(keys.iter().map(|k| format!("key{k}").into_bytes())),
            tokens: tokens().flat_map(i64::to_le_bytes).collect(),
            vectors: tokens().flat_map(vector).collect(),
            notes: var(tokens().map(|t| vec![b'n'; (t % 7) as usize])),
            text_keys,
        }
    }

    fn keys(&self) -> Input<'_> {
        if self.text_keys {
            Input::Var { offsets: &self.pk_var.0, bytes: &self.pk_var.1 }
        } else {
            Input::Fixed(&self.pk_fixed)
        }
    }

    fn inputs(&self) -> [(FieldId, Input<'_>); 4] {
        [
            (PK, self.keys()),
            (TOKEN, Input::Fixed(&self.tokens)),
            (VECTOR, Input::Fixed(&self.vectors)),
            (NOTE, Input::Var { offsets: &self.notes.0, bytes: &self.notes.1 }),
        ]
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(i64, Vec<i64>),
    Upsert(i64, Vec<i64>),
    Delete(Option<i64>, Vec<i64>),
    /// Deletes the rows whose token is a multiple of this.
    DeleteTokens(i64),
    PartitionDrop(i64),
}

fn op() -> impl Strategy<Value = Op> {
    let keys = || prop::collection::vec(0i64..25, 1..90);
    let partition = || 0i64..3;
    prop_oneof![
        4 => (partition(), keys()).prop_map(|(p, k)| Op::Insert(p, k)),
        3 => (partition(), keys()).prop_map(|(p, k)| Op::Upsert(p, k)),
        3 => (prop::option::of(partition()), keys()).prop_map(|(p, k)| Op::Delete(p, k)),
        1 => (2i64..6).prop_map(Op::DeleteTokens),
        1 => (1i64..3).prop_map(Op::PartitionDrop),
    ]
}

#[derive(Clone, Debug)]
struct Row {
    partition: i64,
    key: i64,
    token: i64,
    begin: u64,
    end: u64,
}

#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    dropped: BTreeMap<i64, u64>,
    next_token: i64,
}

impl Model {
    fn end(&mut self, eff: u64, which: impl Fn(&Row) -> bool) {
        for row in self.rows.iter_mut().filter(|r| r.end == u64::MAX) {
            if which(row) {
                row.end = eff;
            }
        }
    }

    fn insert(&mut self, partition: i64, keys: &[i64], eff: u64) {
        for &key in keys {
            let token = self.next_token;
            self.next_token += 1;
            self.rows.push(Row { partition, key, token, begin: eff, end: u64::MAX });
        }
    }

    fn apply(&mut self, op: &Op, eff: u64) {
        match op {
            Op::Insert(p, keys) => self.insert(*p, keys, eff),
            Op::Upsert(p, keys) => {
                self.end(eff, |r| r.partition == *p && keys.contains(&r.key));
                self.insert(*p, keys, eff);
            }
            Op::Delete(p, keys) => {
                self.end(eff, |r| p.is_none_or(|p| p == r.partition) && keys.contains(&r.key));
            }
            Op::DeleteTokens(n) => self.end(eff, |r| r.token % n == 0),
            Op::PartitionDrop(p) => {
                self.end(eff, |r| r.partition == *p);
                self.dropped.entry(*p).or_insert(eff);
            }
        }
    }

    fn tokens(&self, at: u64, partitions: &[i64], newest_only: bool) -> Vec<i64> {
        let visible = |r: &&Row| {
            let wanted = partitions.is_empty() || partitions.contains(&r.partition);
            wanted && r.begin <= at && at < r.end
        };
        let mut seen = BTreeMap::new();
        for row in self.rows.iter().filter(visible) {
            let key = if newest_only { row.key } else { row.token };
            seen.insert(key, row.token);
        }
        let mut tokens: Vec<_> = seen.into_values().collect();
        tokens.sort_unstable();
        tokens
    }
}

fn tokens(view: &ShardView, at: u64, partitions: &[i64], newest_only: bool) -> Vec<i64> {
    let partitions: Vec<_> = partitions.iter().map(|&p| PartitionId(p)).collect();
    let mut selection = view.select(Timestamp(at), &partitions);
    if newest_only {
        view.keep_newest(&mut selection);
    }
    let mut tokens = Vec::new();
    for chunk in &selection.chunks {
        let ColumnSlice::Int64(values) = chunk.column(2) else { panic!("tokens are Int64") };
        chunk.for_each(|row| tokens.push(values[row]));
    }
    tokens.sort_unstable();
    tokens
}

/// Applies an op as the unit at `position`; the changes it reports.
fn apply(writer: &mut ShardWriter, text: bool, op: &Op, at: (Position, u64), token: i64) -> i64 {
    let (position, eff) = (at.0, Timestamp(at.1));
    if !writer.begin(position) {
        return 0;
    }
    let mut changed = Vec::new();
    match op {
        Op::Insert(p, keys) | Op::Upsert(p, keys) => {
            let columns = Columns::new(text, keys, token);
            let batch = Batch { rows: columns.rows, columns: &columns.inputs() };
            let upsert = matches!(op, Op::Upsert(..));
            let write = if upsert { ShardWriter::upsert } else { ShardWriter::insert };
            changed.push(write(writer, PartitionId(*p), eff, &batch).unwrap());
        }
        Op::Delete(p, keys) => {
            let columns = Columns::new(text, keys, 0);
            let scope = p.map_or(Scope::All, |p| Scope::Partition(PartitionId(p)));
            writer.delete(scope, eff, Keys::new(columns.keys(), keys.len()), &mut changed);
        }
        Op::DeleteTokens(n) => {
            let selection = writer.view().select(Timestamp(eff.0), &[]);
            let mut rows = Vec::new();
            for chunk in &selection.chunks {
                let ColumnSlice::Int64(values) = chunk.column(2) else { panic!("Int64") };
                chunk.for_each(|row| {
                    if values[row] % n == 0 {
                        rows.push(selection.row_ref(chunk.base + row as u32));
                    }
                });
            }
            writer.delete_rows(eff, rows, &mut changed);
        }
        Op::PartitionDrop(p) => writer.partition_drop(PartitionId(*p), eff, &mut changed),
    }
    changed.iter().map(|c: &Applied| c.rows).sum()
}

/// Drops are for ever: a partition id is never used again, so later ops on one become no-ops here.
fn without_dropped(ops: Vec<Op>) -> Vec<Op> {
    let mut dropped = Vec::new();
    let alive = |op: &Op| match op {
        Op::Insert(p, _) | Op::Upsert(p, _) => !dropped.contains(p),
        Op::PartitionDrop(p) => {
            dropped.push(*p);
            true
        }
        _ => true,
    };
    let mut alive = alive;
    ops.into_iter().filter(|op| alive(op)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_read_at_any_time_equals_the_model_also_after_replaying_a_suffix(
        ops in prop::collection::vec(op(), 1..24),
        text in any::<bool>(),
        shared_times in any::<bool>(),
        replay_from in any::<prop::sample::Index>(),
    ) {
        let ops = without_dropped(ops);
        let mut shard = writer(text);
        let mut model = Model::default();
        let view = shard.view();
        let mut log = Vec::new();
        for (i, op) in ops.iter().enumerate() {
            // Several units may share one effective time.
            let eff = if shared_times { 10 + i as u64 / 3 } else { 10 + i as u64 };
            let position = Position { seq: 1 + i as u64 / 2, index: i as u32 % 2 };
            log.push((op, position, eff, model.next_token));
            let before = model.tokens(eff, &[], false).len() as i64;
            model.apply(op, eff);
            let delta = model.tokens(eff, &[], false).len() as i64 - before;
            let reported = apply(&mut shard, text, op, (position, eff), log[i].3);
            prop_assert_eq!(reported, delta, "{:?}", op);
        }
        for &(op, position, eff, token) in &log[replay_from.index(log.len())..] {
            prop_assert_eq!(apply(&mut shard, text, op, (position, eff), token), 0);
        }
        for at in 9..=10 + ops.len() as u64 {
            for newest_only in [false, true] {
                for partitions in [&[][..], &[0], &[1, 2]] {
                    prop_assert_eq!(
                        tokens(&view, at, partitions, newest_only),
                        model.tokens(at, partitions, newest_only),
                        "at {} in {:?}, newest only {}", at, partitions, newest_only
                    );
                }
            }
        }
        let live: i64 = shard.live().map(|(_, rows)| rows).sum();
        prop_assert_eq!(live as usize, model.tokens(u64::MAX - 1, &[], false).len());
    }
}

#[test]
fn a_batch_without_a_column_of_the_schema_is_refused_and_changes_nothing() {
    let mut shard = writer(false);
    let columns = Columns::new(false, &[1, 2], 0);
    let all = columns.inputs();
    shard.begin(Position { seq: 1, index: 0 });
    let batch = Batch { rows: 2, columns: &all[..3] };
    let refused = shard.insert(PartitionId(1), Timestamp(5), &batch);
    assert_eq!(refused, Err(WriteError::Column(NOTE)));
    let batch = Batch { rows: 3, columns: &all };
    assert!(shard.insert(PartitionId(1), Timestamp(5), &batch).is_err());
    assert!(tokens(&shard.view(), 9, &[], false).is_empty());
}

#[test]
fn columns_come_back_as_they_were_written_across_chunks() {
    let mut shard = writer(true);
    let keys: Vec<i64> = (0..5_000).collect();
    for (i, part) in keys.chunks(777).enumerate() {
        let columns = Columns::new(true, part, part[0]);
        shard.begin(Position { seq: 1 + i as u64, index: 0 });
        let batch = Batch { rows: part.len(), columns: &columns.inputs() };
        shard.insert(PartitionId(1), Timestamp(5 + i as u64), &batch).unwrap();
    }
    let selection = shard.view().select(Timestamp(100), &[]);
    assert!(selection.chunks.len() > 1);
    assert_eq!(selection.count(), 5_000);
    for number in [0u32, 63, 64, 1_700, 4_999] {
        assert_eq!(selection.key(number), Key::Text(format!("key{number}").as_bytes()));
        let (chunk, row) = selection.locate(number);
        let ColumnSlice::Vector { data, inv_norms } = chunk.column(0) else { panic!("vector") };
        assert_eq!(data[row * DIM..][..DIM], [number as f32, 1.0]);
        let expected = 1.0 / ((number as f32).powi(2) + 1.0).sqrt();
        assert!((inv_norms[row] - expected).abs() < 1e-6);
        let ColumnSlice::Var { offsets, .. } = chunk.column(3) else { panic!("text") };
        assert_eq!(offsets[row + 1] - offsets[row], number % 7);
    }
    assert_eq!(selection.chunks[0].chunk.position(3), Position { seq: 1, index: 0 });
}

#[test]
fn a_snapshot_taken_while_rows_arrive_does_not_change() {
    let mut shard = writer(false);
    let view = shard.view();
    let columns = Columns::new(false, &[1, 2, 3], 0);
    shard.begin(Position { seq: 1, index: 0 });
    let batch = Batch { rows: 3, columns: &columns.inputs() };
    shard.insert(PartitionId(1), Timestamp(5), &batch).unwrap();
    let before = view.select(Timestamp(5), &[]);
    shard.begin(Position { seq: 2, index: 0 });
    shard.delete(Scope::All, Timestamp(6), Keys::new(columns.keys(), 3), &mut Vec::new());
    shard.begin(Position { seq: 3, index: 0 });
    shard.insert(PartitionId(1), Timestamp(7), &batch).unwrap();
    assert_eq!(before.count(), 3);
    assert_eq!(tokens(&view, 5, &[], false), [0, 1, 2]);
    assert_eq!(tokens(&view, 6, &[], false), [] as [i64; 0]);
    assert_eq!(tokens(&view, 7, &[], false), [0, 1, 2]);
}

#[test]
fn memory_of_a_dropped_partition_is_released_when_since_passes() {
    let mut shard = writer(false);
    let view = shard.view();
    let columns = Columns::new(false, &[1, 2, 3], 0);
    shard.begin(Position { seq: 1, index: 0 });
    let batch = Batch { rows: 3, columns: &columns.inputs() };
    shard.insert(PartitionId(1), Timestamp(5), &batch).unwrap();
    shard.begin(Position { seq: 2, index: 0 });
    shard.partition_drop(PartitionId(1), Timestamp(8), &mut Vec::new());
    shard.release_dropped(Timestamp(7));
    assert_eq!(tokens(&view, 7, &[], false), [0, 1, 2]);
    assert!(tokens(&view, 8, &[], false).is_empty());
    shard.release_dropped(Timestamp(8));
    assert!(tokens(&view, 7, &[], false).is_empty());
}
