//! The one writer of a shard: applies inserts, deletes, upserts and updates in log order.

mod append;
mod change;
mod compact;
mod find;
mod load;
mod seal;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use hashbrown::{HashMap, HashSet};
use millstream_catalog::model::{FieldId, PartitionId, Timestamp};
use thiserror::Error;

use crate::list::{ListWriter, list};
use crate::pk::{Inserted, Key, Keys, PkIndex};
use crate::rows::{Chunk, ChunkWriter};
use crate::spec::{ColumnSpec, NormFn};
use crate::view::{PartitionView, ShardView, pack};
use crate::{Position, RowRef};

pub use append::{Appended, Origins};
pub use load::{History, Stored, StoredSlot};
pub use seal::{End, Sealed, SealedRows, SlotState};

/// Which partitions a delete or an upsert covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All partitions.
    All,
    /// One partition.
    Partition(PartitionId),
}

/// The rows that an upsert or an update ends before its own come.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// In these partitions.
    pub scope: Scope,
    /// Of these keys, one for each new row; of the new rows' own keys when none are given.
    pub keys: Option<Keys<'a>>,
}

/// Rows of a batch, one behind the other, that go to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The partition.
    pub partition: PartitionId,
    /// How many rows.
    pub rows: u32,
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
    /// The runs of a batch are not as long as the batch.
    #[error("the partitions of {actual} rows are given, of {rows}")]
    Runs {
        /// Rows of the batch.
        rows: usize,
        /// Rows of its runs.
        actual: usize,
    },
    /// A row of an update has no older row, and lacks a field that must have a value.
    #[error("row {row} has no older row and no value of field {field}")]
    Incomplete {
        /// The row of the batch.
        row: usize,
        /// The field.
        field: FieldId,
    },
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
    /// Rows before this one are in sealed segments.
    sealed: u32,
}

impl Partition {
    /// Whether it was dropped and its rows are gone.
    fn is_released(&self) -> bool {
        self.view.dropped_at.load(Ordering::Relaxed) != u64::MAX && self.chunks.is_empty()
    }

    /// Rows that were there before the unit at `position`.
    fn rows_before(&self, position: Position) -> u32 {
        if self.appended.0 == position { self.appended.1 } else { self.rows }
    }

    fn locate(&self, row: u32) -> Option<(&Arc<Chunk>, usize)> {
        let after = self.chunks.partition_point(|c| c.first_row() <= row);
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        Some((chunk, chunk.row_of(row)?))
    }
}

/// Adds a change of a partition's rows.
fn note(changed: &mut Vec<Applied>, partition: PartitionId, rows: i64) {
    match changed.iter_mut().find(|c| c.partition == partition) {
        Some(change) => change.rows += rows,
        None => changed.push(Applied { partition, rows }),
    }
}

/// The key of any row of a shard.
fn key_in(partitions: &[Partition], pk: usize, row: RowRef) -> Key<'_> {
    let found = partitions.get(row.slot as usize).and_then(|p| p.locate(row.row));
    found.map_or(Key::Text(&[]), |(chunk, offset)| chunk.key(pk, offset))
}

/// All rows of one vchannel, and the only way to change them.
pub struct ShardWriter {
    specs: Arc<Vec<ColumnSpec>>,
    pk: usize,
    norms: NormFn,
    partitions: Vec<Partition>,
    slots: HashMap<PartitionId, u32>,
    /// Slots of dropped partitions whose rows are still there.
    dropped: Vec<u32>,
    index: PkIndex,
    duplicates: ListWriter<[u64; 2]>,
    /// Entries of `duplicates`: now, and after it was looked through.
    duplicates_len: usize,
    duplicates_kept: usize,
    /// The group of each live row that shares its key.
    groups: HashMap<RowRef, u64>,
    applied: Position,
    view: Arc<ShardView>,
    ended: Vec<RowRef>,
    recent: find::Recent,
    /// Rows that the unit being applied brought so far.
    ordinal: u32,
    /// The rows that ended since the shard was sealed.
    ends: Vec<End>,
}

impl ShardWriter {
    /// An empty shard with these columns; the primary key is the one at `pk`.
    pub fn new(specs: Vec<ColumnSpec>, pk: usize, norms: NormFn) -> ShardWriter {
        let specs = Arc::new(specs);
        let (duplicates, reader) = list();
        let view = Arc::new(ShardView {
            specs: ArcSwap::new(Arc::clone(&specs)),
            pk,
            partitions: ArcSwap::from_pointee(Vec::new()),
            since: AtomicU64::new(0),
            expiry: ArcSwap::default(),
            counted_from: AtomicU64::new(0),
            duplicates: reader,
        });
        ShardWriter {
            specs,
            pk,
            norms,
            partitions: Vec::new(),
            slots: HashMap::new(),
            dropped: Vec::new(),
            index: PkIndex::default(),
            duplicates,
            duplicates_len: 0,
            duplicates_kept: 0,
            groups: HashMap::new(),
            applied: Position::default(),
            view,
            ended: Vec::new(),
            recent: find::Recent::default(),
            ordinal: 0,
            ends: Vec::new(),
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

    /// All rows that ever were, live or ended, but for those of partitions that were released.
    pub fn all(&self) -> impl Iterator<Item = Appended> + '_ {
        let of = |(slot, p): (u32, &Partition)| {
            let rows = if p.is_released() { 0 } else { p.rows };
            Appended { first: RowRef { slot, row: 0 }, rows }
        };
        (0u32..).zip(&self.partitions).map(of).filter(|rows| rows.rows > 0)
    }

    /// Begins a unit; `false` when the shard already holds its effects and it must be skipped.
    pub fn begin(&mut self, position: Position) -> bool {
        if position <= self.applied {
            return false;
        }
        self.applied = position;
        self.ordinal = 0;
        true
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
        self.unindex(rows.into_iter().collect(), &mut ended);
        self.finish_ended(eff, ended, changed);
    }

    /// Takes rows out of the index; those that were there go to `ended`.
    fn unindex(&mut self, rows: Vec<RowRef>, ended: &mut Vec<RowRef>) {
        let (index, partitions, pk) = (&mut self.index, &self.partitions, self.pk);
        // Rows of one key leave its chain in one walk, however many they are.
        let mut left: Option<HashSet<RowRef>> = None;
        if index.has_duplicates() {
            left = Some(rows.iter().copied().collect());
        }
        for row in rows {
            if left.as_ref().is_some_and(|left| !left.contains(&row)) {
                continue;
            }
            let found = partitions.get(row.slot as usize).and_then(|p| p.locate(row.row));
            let Some((chunk, offset)) = found else { continue };
            let key_of = |row| key_in(partitions, pk, row);
            let before = ended.len();
            let ends = |r| left.as_ref().map_or(r == row, |left| left.contains(&r));
            index.remove(chunk.key(pk, offset), key_of, ends, ended);
            if let Some(left) = &mut left {
                ended[before..].iter().for_each(|row| _ = left.remove(row));
            }
        }
    }

    fn slot(&mut self, id: PartitionId) -> Result<u32, WriteError> {
        match self.slots.get(&id) {
            Some(&slot) => Ok(slot),
            None => self.add_slot(id),
        }
    }

    /// A new slot of a partition, which gets its rows from now on.
    fn add_slot(&mut self, id: PartitionId) -> Result<u32, WriteError> {
        let slot = u32::try_from(self.partitions.len()).map_err(|_| WriteError::Full)?;
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
            sealed: 0,
        });
        self.slots.insert(id, slot);
        Ok(slot)
    }

    /// Enters a new row into the pk index, and into the list of duplicates when it is one.
    fn index_row(&mut self, row: RowRef, key: Key<'_>) {
        let (partitions, pk) = (&self.partitions, self.pk);
        let (groups, duplicates) = (&mut self.groups, &mut self.duplicates);
        let len = &mut self.duplicates_len;
        let key_of = |row| key_in(partitions, pk, row);
        if let Inserted::Duplicate(before) = self.index.insert(key, row, key_of) {
            let group = *groups.entry(before).or_insert_with(|| {
                duplicates.push([pack(before), pack(before)]);
                *len += 1;
                pack(before)
            });
            groups.insert(row, group);
            duplicates.push([group, pack(row)]);
            *len += 1;
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
        let mut ended = std::mem::take(&mut self.ended);
        let mut index = std::mem::take(&mut self.index);
        {
            let ends = self.before_this_unit(scope);
            let key_of = |row| key_in(&self.partitions, self.pk, row);
            for i in 0..keys.len() {
                index.remove(keys.get(i), key_of, &ends, &mut ended);
            }
        }
        self.index = index;
        self.finish_ended(eff, ended, changed);
    }

    /// Whether a row is in scope and was there before this unit.
    fn before_this_unit(&self, scope: Scope) -> impl Fn(RowRef) -> bool + '_ {
        // A partition that has no slot has no rows.
        let slot = match scope {
            Scope::All => None,
            Scope::Partition(id) => Some(self.slots.get(&id).copied()),
        };
        move |row: RowRef| {
            slot.is_none_or(|slot| slot == Some(row.slot))
                && row.row < self.partitions[row.slot as usize].rows_before(self.applied)
        }
    }

    /// Writes the delete times of rows that left the index.
    fn finish_ended(&mut self, eff: Timestamp, mut ended: Vec<RowRef>, changed: &mut Vec<Applied>) {
        if self.partitions.len() > 1 {
            ended.sort_unstable();
        }
        for rows in ended.chunk_by(|a, b| a.slot == b.slot) {
            let partition = &mut self.partitions[rows[0].slot as usize];
            for &row in rows {
                if let Some((chunk, offset)) = partition.locate(row.row) {
                    chunk.end(offset, eff);
                }
                if !self.groups.is_empty() {
                    self.groups.remove(&row);
                }
                self.recent.note(eff, row);
                self.ends.push(End { eff, position: self.applied, row });
            }
            let count = rows.len() as i64;
            partition.live -= count;
            note(changed, partition.id, -count);
        }
        ended.clear();
        self.ended = ended;
    }
}
