//! Sealing, freezing and loading a shard change nothing that a reader can see.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::model::{FieldId, PartitionId, Timestamp};
use proptest::prelude::*;

use super::model::{Model, Op, apply, moment, op, without_dropped};
use super::support::{ALL, Columns, norms, rows, specs, writer};
use crate::{
    Arrival, Batch, Chunk, ColumnSlice, Corrupt, End, Expiry, FrozenColumn, FrozenRows, Merged,
    Numbered, Position, RowRef, Sealed, SealedRows, ShardWriter, SlotState, Span, Stored,
    StoredSlot, merge,
};

/// What was written out of a shard.
#[derive(Default)]
struct Disk {
    applied: Position,
    closed: u64,
    since: u64,
    slots: Vec<SlotState>,
    /// By slot and first row.
    segments: BTreeMap<(u32, u32), FrozenRows>,
    ends: Vec<End>,
    expiry: Expiry,
}

/// Copies the rows of chunks, as a file holds them.
fn copied(chunks: &[Arc<Chunk>]) -> FrozenRows {
    let merged = merge(chunks, &[]);
    assert_eq!(merged.rows as usize, chunks.iter().map(|chunk| chunk.rows()).sum::<usize>());
    assert!(merged.numbers.is_empty());
    let mut arrivals: Vec<Arrival> = Vec::new();
    let mut base = 0;
    for chunk in chunks {
        arrivals.extend(chunk.arrivals(chunk.rows()).map(|a| Arrival { row: a.row + base, ..a }));
        base += chunk.rows() as u32;
    }
    assert_eq!(merged.arrivals, arrivals);
    copied_of(chunks, merged)
}

/// Copies the rows of chunks that stay.
fn copied_of(chunks: &[Arc<Chunk>], merged: Merged) -> FrozenRows {
    let Merged { spans, arrivals, numbers, rows, .. } = merged;
    let mut columns = Vec::new();
    for column in 0..6 {
        let (mut values, mut ends, mut inv_norms) = (Vec::new(), vec![0u32], Vec::new());
        let mut validity: Vec<u8> = Vec::new();
        for &Span { chunk, from, to } in &spans {
            let chunk = &chunks[chunk];
            let valid = chunk.validity(column, to);
            validity.extend(valid.map_or_else(|| vec![1; to - from], |v| v[from..].to_vec()));
            match chunk.column(column, to) {
                ColumnSlice::Vector { data, inv_norms: norms } => {
                    let dim = data.len() / to;
                    values.extend(data[from * dim..].iter().flat_map(|v| v.to_le_bytes()));
                    inv_norms.extend(norms[from..].iter().flat_map(|v| v.to_le_bytes()));
                }
                ColumnSlice::Int64(data) => {
                    values.extend(data[from..].iter().flat_map(|v| v.to_le_bytes()))
                }
                ColumnSlice::Int32(data) => {
                    values.extend(data[from..].iter().flat_map(|v| v.to_le_bytes()))
                }
                ColumnSlice::Int16(data) => {
                    values.extend(data[from..].iter().flat_map(|v| v.to_le_bytes()))
                }
                ColumnSlice::Var { offsets, bytes } => {
                    for row in from..to {
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
    FrozenRows { rows: rows as usize, columns, arrivals, numbers }
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

    /// Merges up to `most` segments of a slot from the one at `at` on, without the rows that ended by
    /// `since` or expired by then; what takes the place of which rows.
    fn compact(&mut self, text: bool, since: u64, (at, most): (usize, usize)) -> Option<Change> {
        self.since = self.since.max(since);
        let keys: Vec<(u32, u32)> = self.segments.keys().copied().collect();
        let &(slot, first_row) = keys.get(at % keys.len().max(1))?;
        let from = keys.iter().position(|key| *key == (slot, first_row))?;
        let inputs: Vec<_> = keys[from..].iter().take(most).filter(|key| key.0 == slot).collect();
        let chunks: Vec<Arc<Chunk>> =
            inputs.iter().flat_map(|key| self.chunks(text, slot, key.1)).collect();
        let mut dropped: Vec<u32> = Vec::new();
        let (begin, end) = (first_row, chunks.last()?.end_row());
        // What is replayed comes after `closed`.
        let readable = Timestamp(self.since.min(self.closed.saturating_sub(1)));
        let expired = self.expiry.expired_through(readable);
        for chunk in &chunks {
            for (run, rows) in chunk.runs_of(0, chunk.rows_at(expired)) {
                dropped.extend(run.number..run.number + rows);
            }
        }
        self.ends.retain(|end_of| {
            let row = end_of.row;
            let within = row.slot == slot && (begin..end).contains(&row.row);
            let gone = within && end_of.eff.0 <= self.since;
            dropped.extend(gone.then_some(row.row));
            !gone
        });
        dropped.sort_unstable();
        dropped.dedup();
        let merged = merge(&chunks, &dropped);
        inputs.iter().for_each(|key| _ = self.segments.remove(key));
        let new_first = merged.first_row;
        let stays = merged.rows > 0;
        if stays {
            self.segments.insert((slot, new_first), copied_of(&chunks, merged));
        }
        let stored = if stays { self.chunks(text, slot, new_first) } else { Vec::new() };
        let since = Some((self.since, expired));
        Some(Change { slot, first_row, rows: end - begin, stored, since })
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
            since: Timestamp(self.since),
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

/// Stored rows that take the place of others.
struct Change {
    slot: u32,
    first_row: u32,
    rows: u32,
    stored: Vec<Arc<Chunk>>,
    /// What is not needed before this time is gone, and what came by the other one.
    since: Option<(u64, Timestamp)>,
}

impl Change {
    fn make(&self, shard: &mut ShardWriter) {
        let Change { slot, first_row, rows, stored, since } = self;
        match since {
            None => shard.freeze(*slot, *first_row, *rows, stored),
            Some((since, expired)) => {
                let (mut from, to) = (*first_row, first_row + rows);
                let mut changed = Vec::new();
                let live = |shard: &ShardWriter| shard.live().map(|(_, rows)| rows).sum::<i64>();
                let before = live(shard);
                while let Some(next) = shard.expire(*slot, (from, to), *expired, &mut changed) {
                    from = next;
                }
                let changed = changed.iter().map(|changed| changed.rows).sum::<i64>();
                assert_eq!(live(shard) - before, changed);
                shard.compact(Timestamp(*since), (*slot, *first_row, *rows), stored);
            }
        }
    }
}

/// What happens to the shard after an op.
#[derive(Clone, Copy, Debug)]
enum Step {
    Nothing,
    /// It is sealed; the stored rows take their place after the next op.
    Seal,
    /// Some of what was written out is merged, without what ended so long ago.
    Compact {
        ago: u64,
        at: usize,
        most: usize,
    },
    /// It is loaded from what was written out, and the log is replayed.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let compact = (0u64..8, 0usize..8, 1usize..5);
    let compact = compact.prop_map(|(ago, at, most)| Step::Compact { ago, at, most });
    prop_oneof![
        3 => Just(Step::Nothing),
        3 => Just(Step::Seal),
        3 => compact,
        1 => Just(Step::Restart)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_shard_that_is_sealed_compacted_and_restarted_equals_the_model_at_any_time_since(
        ops in prop::collection::vec((op(), step()), 1..24),
        text in any::<bool>(),
        shared_times in any::<bool>(),
    ) {
        let (ops, steps): (Vec<Op>, Vec<Step>) = ops.into_iter().unzip();
        let ops = without_dropped(ops);
        let mut shard = writer(text);
        let mut model = Model::default();
        let mut disk = Disk::default();
        let mut later: Vec<Change> = Vec::new();
        let mut log = Vec::new();
        for (i, op) in ops.iter().enumerate() {
            let eff = moment(if shared_times { 10 + i as u64 / 3 } else { 10 + i as u64 });
            let position = Position { seq: 1 + i as u64 / 2, index: i as u32 % 2 };
            log.push((op, position, eff, model.next_token));
            let _ = model.apply(op, eff);
            let _ = apply(&mut shard, text, op, (position, eff), log[i].3);
            later.drain(..).for_each(|change| change.make(&mut shard));
            match steps[i] {
                Step::Nothing => (),
                Step::Seal => {
                    for SealedRows { slot, first_row, rows, .. } in disk.write(shard.seal(), eff) {
                        let (stored, since) = (disk.chunks(text, slot, first_row), None);
                        later.push(Change { slot, first_row, rows, stored, since });
                    }
                }
                Step::Compact { ago, at, most } => {
                    later.extend(disk.compact(text, eff.saturating_sub(moment(ago)), (at, most)));
                }
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
        later.drain(..).for_each(|change| change.make(&mut shard));
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

#[test]
fn stored_rows_whose_numbers_are_not_in_order_are_refused() {
    let (_, disk, _) = large();
    let mut whole = disk.segments[&(0, 0)].clone();
    whole.numbers = vec![Numbered { row: 0, number: 0 }, Numbered { row: 100, number: 50 }];
    let refused = whole.chunks(&specs(false), (1, 0)).err();
    assert_eq!(refused, Some(Corrupt::Numbers { rows: 200_000 }));
}

#[test]
fn rows_keep_their_numbers_and_positions_when_others_are_dropped_around_them() {
    let (mut shard, mut disk, sealed) = large();
    let gone = |row: u32| row % 3 == 1 || (64_000..130_000).contains(&row);
    let ended = |row| End {
        eff: Timestamp(2),
        position: Position { seq: 2, index: 0 },
        row: RowRef { slot: 0, row },
    };
    disk.ends = (0..200_000).filter(|row| gone(*row)).map(ended).collect();
    let change = disk.compact(false, 2, (0, 1)).unwrap();
    assert_eq!((change.rows, disk.ends.len()), (sealed[0].rows, 0));
    change.make(&mut shard);
    let view = shard.view();
    assert_eq!(view.since(), Timestamp(2));
    let selection = view.select(Timestamp(2), &[]);
    let stays: Vec<u32> = (0..200_000).filter(|row| !gone(*row)).collect();
    assert_eq!(selection.count() as usize, stays.len());
    for (number, &row) in (0u32..).zip(&stays) {
        assert_eq!(selection.row_ref(number), RowRef { slot: 0, row });
        assert_eq!(selection.number_of(RowRef { slot: 0, row }), Some(number));
        let (chunk, offset) = selection.locate(number);
        assert_eq!(chunk.chunk.position(offset), Position { seq: 1, index: 0 });
    }
    assert_eq!(selection.number_of(RowRef { slot: 0, row: 64_000 }), None);
    let again = disk.load(false);
    assert_eq!(rows(&again.view(), 2, &[], false), rows(&view, 2, &[], false));
    assert_eq!(again.all().map(|rows| rows.rows).collect::<Vec<_>>(), [200_000]);
}

#[test]
fn the_list_of_rows_that_share_a_key_shrinks_with_them() {
    let mut shard = writer(false);
    let mut disk = Disk::default();
    let keys: Vec<i64> = (0..100).collect();
    let columns = Columns::new(false, &keys, 0);
    let batch = Batch { rows: columns.rows, columns: &columns.inputs(ALL) };
    for seq in 1..4 {
        shard.begin(Position { seq, index: 0 });
        shard.insert(PartitionId(1), Timestamp(seq), &batch, &mut Vec::new()).unwrap();
    }
    assert_eq!(shard.duplicates(), 300);
    shard.begin(Position { seq: 4, index: 0 });
    let keys = crate::Keys::new(columns.keys(), 90);
    shard.delete(crate::Scope::All, Timestamp(4), keys, &mut Vec::new());
    disk.write(shard.seal(), 4);
    let change = disk.compact(false, 4, (0, 3)).unwrap();
    change.make(&mut shard);
    assert_eq!(shard.duplicates(), 30);
    assert_eq!(rows(&shard.view(), 4, &[], true).len(), 10);
    assert_eq!(rows(&shard.view(), 4, &[], false).len(), 30);
}
