//! Sealing, freezing and loading a shard change nothing that a reader can see.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::model::{FieldId, PartitionId, Timestamp};
use proptest::prelude::*;

use super::model::{Model, Op, apply, moment, op, without_dropped};
use super::support::{ALL, Columns, norms, rows, specs, writer};
use crate::{
    Arrival, Batch, Chunk, ColumnSlice, Corrupt, End, Expiry, FrozenColumn, FrozenRows, Position,
    RowRef, Sealed, SealedRows, ShardWriter, SlotState, Stored, StoredSlot,
};

/// What was written out of a shard.
#[derive(Default)]
struct Disk {
    applied: Position,
    closed: u64,
    slots: Vec<SlotState>,
    /// By slot and first row.
    segments: BTreeMap<(u32, u32), FrozenRows>,
    ends: Vec<End>,
    expiry: Expiry,
}

/// Copies the rows of chunks, as a file holds them.
fn copied(chunks: &[Arc<Chunk>]) -> FrozenRows {
    let total: usize = chunks.iter().map(|chunk| chunk.rows()).sum();
    let mut arrivals: Vec<Arrival> = Vec::new();
    let mut columns = Vec::new();
    for column in 0..6 {
        let (mut values, mut ends, mut inv_norms) = (Vec::new(), vec![0u32], Vec::new());
        let mut validity: Vec<u8> = Vec::new();
        for chunk in chunks {
            let rows = chunk.rows();
            let all = || vec![1; rows];
            validity.extend(chunk.validity(column, rows).map_or_else(all, <[u8]>::to_vec));
            match chunk.column(column, rows) {
                ColumnSlice::Vector { data, inv_norms: norms } => {
                    values.extend(data.iter().flat_map(|v| v.to_le_bytes()));
                    inv_norms.extend(norms.iter().flat_map(|v| v.to_le_bytes()));
                }
                ColumnSlice::Int64(data) => {
                    values.extend(data.iter().flat_map(|v| v.to_le_bytes()))
                }
                ColumnSlice::Int32(data) => {
                    values.extend(data.iter().flat_map(|v| v.to_le_bytes()))
                }
                ColumnSlice::Int16(data) => {
                    values.extend(data.iter().flat_map(|v| v.to_le_bytes()))
                }
                ColumnSlice::Var { offsets, bytes } => {
                    for row in 0..rows {
                        values.extend(&bytes[offsets[row] as usize..offsets[row + 1] as usize]);
                        ends.push(values.len() as u32);
                    }
                }
                _ => panic!("no such column"),
            }
        }
        let offsets = ends.iter().flat_map(|end| end.to_le_bytes()).collect::<Vec<u8>>();
        columns.push(FrozenColumn {
            values: values.into(),
            offsets: (ends.len() > 1).then(|| offsets.into()),
            inv_norms: (!inv_norms.is_empty()).then(|| inv_norms.into()),
            validity: validity.contains(&0).then(|| validity.into()),
        });
    }
    let mut base = 0;
    for chunk in chunks {
        arrivals.extend(chunk.arrivals(chunk.rows()).map(|a| Arrival { row: a.row + base, ..a }));
        base += chunk.rows() as u32;
    }
    FrozenRows { rows: total, columns, arrivals }
}

impl Disk {
    fn write(&mut self, sealed: Sealed, closed: u64) -> Vec<SealedRows> {
        let Sealed { applied, slots, rows, ends, expiry, .. } = sealed;
        (self.applied, self.slots, self.closed) = (applied, slots, closed);
        self.expiry = Expiry::clone(&expiry);
        self.ends.extend(ends);
        for rows in &rows {
            self.segments.insert((rows.slot, rows.first_row), copied(&rows.chunks));
        }
        rows
    }

    fn chunks(&self, text: bool, slot: u32, first: u32) -> Vec<Arc<Chunk>> {
        self.segments[&(slot, first)].chunks(&specs(text), (1, first)).unwrap()
    }

    fn load(&self, text: bool) -> ShardWriter {
        let slot = |(slot, &state): (u32, &SlotState)| {
            let of_slot = self.segments.range((slot, 0)..(slot + 1, 0));
            let chunks = of_slot.flat_map(|(&(slot, first), _)| self.chunks(text, slot, first));
            StoredSlot { state, chunks: chunks.collect() }
        };
        let stored = Stored {
            applied: self.applied,
            closed: Timestamp(self.closed),
            since: Timestamp(0),
            expiry: self.expiry.clone(),
            slots: (0u32..).zip(&self.slots).map(slot).collect(),
            ends: self.ends.clone(),
        };
        let (writer, history) = ShardWriter::load(specs(text), 1, norms, stored).unwrap();
        let live: i64 = writer.live().map(|(_, rows)| rows).sum();
        assert_eq!(history.iter().map(|(_, _, change)| change).sum::<i64>(), live);
        writer
    }
}

/// What happens to the shard after an op.
#[derive(Clone, Copy, Debug)]
enum Step {
    Nothing,
    /// It is sealed; the stored rows take their place after the next op.
    Seal,
    /// It is loaded from what was written out, and the log is replayed.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![3 => Just(Step::Nothing), 2 => Just(Step::Seal), 1 => Just(Step::Restart)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_shard_that_is_sealed_and_restarted_equals_the_model_at_any_time(
        ops in prop::collection::vec((op(), step()), 1..24),
        text in any::<bool>(),
        shared_times in any::<bool>(),
    ) {
        let (ops, steps): (Vec<Op>, Vec<Step>) = ops.into_iter().unzip();
        let ops = without_dropped(ops);
        let mut shard = writer(text);
        let mut model = Model::default();
        let mut disk = Disk::default();
        let mut unfrozen: Vec<SealedRows> = Vec::new();
        let mut log = Vec::new();
        for (i, op) in ops.iter().enumerate() {
            let eff = moment(if shared_times { 10 + i as u64 / 3 } else { 10 + i as u64 });
            let position = Position { seq: 1 + i as u64 / 2, index: i as u32 % 2 };
            log.push((op, position, eff, model.next_token));
            let _ = model.apply(op, eff);
            let _ = apply(&mut shard, text, op, (position, eff), log[i].3);
            for rows in unfrozen.drain(..) {
                let chunks = disk.chunks(text, rows.slot, rows.first_row);
                shard.freeze(rows.slot, rows.first_row, rows.rows, &chunks);
            }
            match steps[i] {
                Step::Nothing => (),
                Step::Seal => unfrozen = disk.write(shard.seal(), eff),
                Step::Restart => {
                    shard = disk.load(text);
                    for &(op, position, eff, token) in &log {
                        let _ = apply(&mut shard, text, op, (position, eff), token);
                    }
                }
            }
        }
        let view = shard.view();
        model.check((&shard, &view), text, ops.len())?;
    }
}

/// A shard of 20,000 rows, sealed.
fn large() -> (ShardWriter, Disk, Vec<SealedRows>) {
    let mut shard = writer(false);
    let keys: Vec<i64> = (0..200_000).collect();
    let columns = Columns::new(false, &keys, 0);
    let batch = Batch { rows: columns.rows, columns: &columns.inputs(ALL) };
    shard.begin(Position { seq: 1, index: 0 });
    shard.insert(PartitionId(1), Timestamp(1), &batch, &mut Vec::new()).unwrap();
    let mut disk = Disk::default();
    let sealed = disk.write(shard.seal(), 1);
    (shard, disk, sealed)
}

#[test]
fn a_large_segment_is_read_as_several_chunks_of_whole_mask_words() {
    let (mut shard, disk, sealed) = large();
    assert_eq!(sealed.len(), 1);
    let chunks = disk.chunks(false, 0, 0);
    assert!(chunks.len() > 1);
    assert!(chunks.iter().all(|chunk| chunk.first_row() % 64 == 0));
    let before = rows(&shard.view(), 1, &[], false);
    shard.freeze(0, 0, sealed[0].rows, &chunks);
    assert_eq!(rows(&shard.view(), 1, &[], false), before);
    assert_eq!(before.len(), 200_000);
}

#[test]
fn a_shard_consists_of_its_segments_and_of_the_rows_that_grow() {
    let (mut shard, disk, sealed) = large();
    let view = shard.view();
    let pieces = || -> Vec<(bool, u64)> {
        let pieces = view.pieces();
        assert!(pieces.iter().all(|p| p.partition == PartitionId(1) && p.bytes > p.rows * 8));
        pieces.iter().map(|p| (p.segment.is_some(), p.rows)).collect()
    };
    assert_eq!(pieces(), [(false, 200_000)], "until it is in files, a segment is memory");
    shard.freeze(0, 0, sealed[0].rows, &disk.chunks(false, 0, 0));
    let columns = Columns::new(false, &[1, 2, 3], 0);
    let batch = Batch { rows: columns.rows, columns: &columns.inputs(ALL) };
    shard.begin(Position { seq: 2, index: 0 });
    shard.insert(PartitionId(1), Timestamp(2), &batch, &mut Vec::new()).unwrap();
    assert_eq!(pieces(), [(true, 200_000), (false, 3)]);
    shard.partition_drop(PartitionId(1), Timestamp(3), &mut Vec::new());
    assert_eq!(pieces(), []);
}

#[test]
fn a_sealed_shard_has_nothing_more_to_write_until_rows_come_or_end() {
    let (mut shard, ..) = large();
    let again = shard.seal();
    assert!(again.rows.is_empty() && again.ends.is_empty());
    assert_eq!(again.slots[0].rows, 200_000);
}

#[test]
fn stored_rows_that_do_not_fit_are_refused() {
    let (_, disk, _) = large();
    let whole = &disk.segments[&(0, 0)];
    let mut short = whole.clone();
    short.columns[1].values = short.columns[1].values.slice(..8);
    let field = |field| Some(Corrupt::Column(FieldId(field)));
    assert_eq!(short.chunks(&specs(false), (1, 0)).err(), field(100));
    assert_eq!(whole.chunks(&specs(true), (1, 0)).err(), field(100));
    let mut unordered = whole.clone();
    unordered.arrivals.clear();
    assert_eq!(
        unordered.chunks(&specs(false), (1, 0)).err(),
        Some(Corrupt::Arrivals { rows: 200_000 })
    );
    let slots = vec![StoredSlot {
        state: SlotState { rows: 10, ..disk.slots[0] },
        chunks: disk.chunks(false, 0, 0),
    }];
    let (applied, closed, since) = (disk.applied, Timestamp(1), Timestamp(0));
    let expiry = Expiry::default();
    let stored = Stored { applied, closed, since, expiry, slots, ends: Vec::new() };
    let loaded = ShardWriter::load(specs(false), 1, norms, stored);
    assert_eq!(loaded.err(), Some(Corrupt::Row { slot: 0, row: 10 }));
}

#[test]
fn ends_of_rows_that_are_gone_are_ignored_when_a_shard_is_loaded() {
    let (_, mut disk, _) = large();
    let end = |row| End {
        eff: Timestamp(2),
        position: Position { seq: 2, index: 0 },
        row: RowRef { slot: 0, row },
    };
    disk.ends = vec![end(5), end(500_000)];
    assert_eq!(disk.load(false).live().next(), Some((PartitionId(1), 199_999)));
}
