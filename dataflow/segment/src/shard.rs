//! The one writer of a shard: applies inserts, deletes and upserts in log order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use millstream_catalog::model::{FieldId, PartitionId, Timestamp};
use thiserror::Error;

use crate::column::{ColumnSpec, Input, NormFn};
use crate::list::{ListWriter, list};
use crate::pk::{Inserted, Key, Keys, PkIndex};
use crate::rows::{Chunk, ChunkWriter};
use crate::view::{PartitionView, ShardView, pack};
use crate::{Position, RowRef};

/// Rows to append, by field.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Number of rows.
    pub rows: usize,
    /// One column a field, in any order.
    pub columns: &'a [(FieldId, Input<'a>)],
}

/// Which partitions a delete covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All partitions.
    All,
    /// One partition.
    Partition(PartitionId),
}

/// A change of the number of rows of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The partition.
    pub partition: PartitionId,
    /// Rows that came, less rows that ended.
    pub rows: i64,
}

/// A batch that does not fit the schema: the log holds something that no gateway writes.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WriteError {
    /// A column is missing or has another form than the schema says.
    #[error("field {0} is missing from the record or does not have the form of the schema")]
    Column(FieldId),
    /// The shard holds as many partitions or rows as it can number.
    #[error("the shard is full")]
    Full,
}

struct Partition {
    id: PartitionId,
    view: Arc<PartitionView>,
    last: Option<ChunkWriter>,
    rows: u32,
    live: i64,
    /// The writer's own list of the chunks that readers see through the view.
    chunks: Vec<Arc<Chunk>>,
    /// The last unit that appended rows here, and the number of rows before it.
    appended: (Position, u32),
}

impl Partition {
    /// Rows that were there before the unit at `position`.
    fn rows_before(&self, position: Position) -> u32 {
        if self.appended.0 == position { self.appended.1 } else { self.rows }
    }

    fn locate(&self, row: u32) -> Option<(&Arc<Chunk>, usize)> {
        let after = self.chunks.partition_point(|c| c.first_row() <= row);
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        Some((chunk, (row - chunk.first_row()) as usize))
    }
}

/// The key of any row of a shard.
fn key_in(partitions: &[Partition], pk: usize, row: RowRef) -> Key<'_> {
    let found = partitions.get(row.slot as usize).and_then(|p| p.locate(row.row));
    found.map_or(Key::Text(&[]), |(chunk, offset)| chunk.key(pk, offset))
}

/// All rows of one vchannel, and the only way to change them.
pub struct ShardWriter {
    specs: Arc<[ColumnSpec]>,
    pk: usize,
    norms: NormFn,
    partitions: Vec<Partition>,
    slots: HashMap<PartitionId, u16>,
    index: PkIndex,
    duplicates: ListWriter<[u64; 2]>,
    /// The group of each live row that shares its key.
    groups: HashMap<RowRef, u64>,
    applied: Position,
    view: Arc<ShardView>,
    ended: Vec<RowRef>,
}

impl ShardWriter {
    /// An empty shard with these columns; the primary key is the one at `pk`.
    pub fn new(specs: Vec<ColumnSpec>, pk: usize, norms: NormFn) -> ShardWriter {
        let specs: Arc<[ColumnSpec]> = specs.into();
        let (duplicates, reader) = list();
        let view = Arc::new(ShardView {
            specs: Arc::clone(&specs),
            pk,
            partitions: ArcSwap::from_pointee(Vec::new()),
            duplicates: reader,
        });
        ShardWriter {
            specs,
            pk,
            norms,
            partitions: Vec::new(),
            slots: HashMap::new(),
            index: PkIndex::default(),
            duplicates,
            groups: HashMap::new(),
            applied: Position::default(),
            view,
            ended: Vec::new(),
        }
    }

    /// The readers' end.
    pub fn view(&self) -> Arc<ShardView> {
        Arc::clone(&self.view)
    }

    /// The position of the last unit applied.
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// Rows alive in each partition after all that was applied.
    pub fn live(&self) -> impl Iterator<Item = (PartitionId, i64)> + '_ {
        self.partitions.iter().map(|p| (p.id, p.live))
    }

    /// Begins a unit; `false` when the shard already holds its effects and it must be skipped.
    pub fn begin(&mut self, position: Position) -> bool {
        if position <= self.applied {
            return false;
        }
        self.applied = position;
        true
    }

    /// Appends rows. Never de-duplicates.
    ///
    /// # Errors
    /// [`WriteError`], and nothing is changed, when the batch does not have the schema's columns.
    pub fn insert(
        &mut self,
        partition: PartitionId,
        eff: Timestamp,
        batch: &Batch<'_>,
    ) -> Result<Applied, WriteError> {
        let inputs = self.inputs(batch)?;
        let slot = self.slot(partition)?;
        self.append(slot, eff, &inputs, batch.rows)?;
        Ok(Applied { partition, rows: batch.rows as i64 })
    }

    /// Ends the live rows of each key in the partition, then appends the new rows.
    ///
    /// # Errors
    /// As [`ShardWriter::insert`].
    pub fn upsert(
        &mut self,
        partition: PartitionId,
        eff: Timestamp,
        batch: &Batch<'_>,
    ) -> Result<Applied, WriteError> {
        let inputs = self.inputs(batch)?;
        let slot = self.slot(partition)?;
        let keys = Keys::new(inputs[self.pk], batch.rows);
        let before = self.partitions[slot as usize].live;
        self.end_keys(Scope::Partition(partition), eff, keys, &mut Vec::new());
        self.append(slot, eff, &inputs, batch.rows)?;
        Ok(Applied { partition, rows: self.partitions[slot as usize].live - before })
    }

    /// Ends every live row of each key in scope; what changed goes to `changed`.
    pub fn delete(
        &mut self,
        scope: Scope,
        eff: Timestamp,
        keys: Keys<'_>,
        changed: &mut Vec<Applied>,
    ) {
        self.end_keys(scope, eff, keys, changed);
    }

    /// Ends these rows, which a filter found among those applied before this unit.
    pub fn delete_rows(
        &mut self,
        eff: Timestamp,
        rows: impl IntoIterator<Item = RowRef>,
        changed: &mut Vec<Applied>,
    ) {
        let mut ended = std::mem::take(&mut self.ended);
        let (index, partitions, pk) = (&mut self.index, &self.partitions, self.pk);
        for row in rows {
            let found = partitions.get(row.slot as usize).and_then(|p| p.locate(row.row));
            let Some((chunk, offset)) = found else { continue };
            let key_of = |row| key_in(partitions, pk, row);
            index.remove(chunk.key(pk, offset), key_of, |r| r == row, &mut ended);
        }
        self.finish_ended(eff, ended, changed);
    }

    /// Ends all rows of a partition; its memory goes with [`ShardWriter::release_dropped`].
    pub fn partition_drop(&mut self, id: PartitionId, eff: Timestamp, changed: &mut Vec<Applied>) {
        let Some(&slot) = self.slots.get(&id) else { return };
        let partition = &mut self.partitions[slot as usize];
        if partition.view.dropped_at.load(Ordering::Relaxed) != u64::MAX {
            return;
        }
        partition.view.dropped_at.store(eff.0, Ordering::Release);
        changed.push(Applied { partition: id, rows: -partition.live });
        partition.live = 0;
        self.index.forget(|row| row.slot == slot);
        self.groups.retain(|row, _| row.slot != slot);
    }

    /// Frees the rows of partitions that were dropped at or before `since`.
    pub fn release_dropped(&mut self, since: Timestamp) {
        for partition in &mut self.partitions {
            let dropped_at = partition.view.dropped_at.load(Ordering::Relaxed);
            if dropped_at <= since.0 && partition.last.is_some() {
                partition.last = None;
                partition.chunks = Vec::new();
                partition.view.chunks.store(Arc::new(Vec::new()));
            }
        }
    }

    /// The batch's columns in the order of the specs, checked.
    fn inputs<'a>(&self, batch: &Batch<'a>) -> Result<Vec<Input<'a>>, WriteError> {
        let input = |spec: &ColumnSpec| {
            let found = batch.columns.iter().find(|(field, _)| *field == spec.field);
            let fits = found.filter(|(_, input)| input.fits(spec, batch.rows));
            fits.map(|(_, input)| *input).ok_or(WriteError::Column(spec.field))
        };
        self.specs.iter().map(input).collect()
    }

    fn slot(&mut self, id: PartitionId) -> Result<u16, WriteError> {
        if let Some(&slot) = self.slots.get(&id) {
            return Ok(slot);
        }
        let slot = u16::try_from(self.partitions.len()).map_err(|_| WriteError::Full)?;
        let view = Arc::new(PartitionView {
            id,
            chunks: ArcSwap::from_pointee(Vec::new()),
            dropped_at: AtomicU64::new(u64::MAX),
        });
        let mut list = Vec::clone(&self.view.partitions.load());
        list.push(Arc::clone(&view));
        self.view.partitions.store(Arc::new(list));
        let chunks = Vec::new();
        let appended = (Position::default(), 0);
        self.partitions.push(Partition {
            id,
            view,
            last: None,
            rows: 0,
            live: 0,
            chunks,
            appended,
        });
        self.slots.insert(id, slot);
        Ok(slot)
    }

    fn append(
        &mut self,
        slot: u16,
        eff: Timestamp,
        inputs: &[Input<'_>],
        rows: usize,
    ) -> Result<(), WriteError> {
        let partition = &mut self.partitions[slot as usize];
        let first = partition.rows;
        first.checked_add(rows as u32).ok_or(WriteError::Full)?;
        if partition.appended.0 != self.applied {
            partition.appended = (self.applied, first);
        }
        let mut from = 0;
        while from < rows {
            let fitting = partition.last.as_ref().map_or(0, |w| w.fitting(inputs, from, rows));
            if fitting == 0 {
                let before = partition.last.as_ref();
                let writer =
                    ChunkWriter::new(&self.specs, partition.rows, before, inputs, (from, rows));
                partition.chunks.push(Arc::clone(&writer.chunk));
                partition.view.chunks.store(Arc::new(partition.chunks.clone()));
                partition.last = Some(writer);
                continue;
            }
            let to = from + fitting;
            let writer = partition.last.as_mut().ok_or(WriteError::Full)?;
            if !writer.append(inputs, (from, to), eff, self.applied, self.norms) {
                return Err(WriteError::Full);
            }
            partition.rows += fitting as u32;
            from = to;
        }
        partition.live += rows as i64;
        self.index_rows(slot, first, Keys::new(inputs[self.pk], rows));
        Ok(())
    }

    /// Enters new rows into the pk index, and into the list of duplicates where they are some.
    fn index_rows(&mut self, slot: u16, first: u32, keys: Keys<'_>) {
        let (partitions, pk) = (&self.partitions, self.pk);
        let (index, groups, duplicates) = (&mut self.index, &mut self.groups, &mut self.duplicates);
        for i in 0..keys.len() {
            let row = RowRef { slot, row: first + i as u32 };
            let key_of = |row| key_in(partitions, pk, row);
            if let Inserted::Duplicate(before) = index.insert(keys.get(i), row, key_of) {
                let group = *groups.entry(before).or_insert_with(|| {
                    duplicates.push([pack(before), pack(before)]);
                    pack(before)
                });
                groups.insert(row, group);
                duplicates.push([group, pack(row)]);
            }
        }
    }

    /// Ends the live rows of the keys in scope that were there before this unit.
    fn end_keys(
        &mut self,
        scope: Scope,
        eff: Timestamp,
        keys: Keys<'_>,
        changed: &mut Vec<Applied>,
    ) {
        let slot = match scope {
            Scope::All => None,
            Scope::Partition(id) => match self.slots.get(&id) {
                Some(&slot) => Some(slot),
                None => return,
            },
        };
        let mut ended = std::mem::take(&mut self.ended);
        let (partitions, pk, applied) = (&self.partitions, self.pk, self.applied);
        let ends = |row: RowRef| {
            slot.is_none_or(|slot| row.slot == slot)
                && row.row < partitions[row.slot as usize].rows_before(applied)
        };
        for i in 0..keys.len() {
            let key_of = |row| key_in(partitions, pk, row);
            self.index.remove(keys.get(i), key_of, ends, &mut ended);
        }
        self.finish_ended(eff, ended, changed);
    }

    /// Writes the delete times of rows that left the index.
    fn finish_ended(&mut self, eff: Timestamp, mut ended: Vec<RowRef>, changed: &mut Vec<Applied>) {
        for row in ended.drain(..) {
            let partition = &mut self.partitions[row.slot as usize];
            partition.live -= 1;
            if let Some((chunk, offset)) = partition.locate(row.row) {
                chunk.end(offset, eff);
            }
            if !self.groups.is_empty() {
                self.groups.remove(&row);
            }
            match changed.iter_mut().find(|c| c.partition == partition.id) {
                Some(change) => change.rows -= 1,
                None => changed.push(Applied { partition: partition.id, rows: -1 }),
            }
        }
        self.ended = ended;
    }
}
