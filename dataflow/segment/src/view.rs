//! Reading a shard: which rows are visible at a time, found without locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use millstream_catalog::model::{PartitionId, Timestamp};

use crate::RowRef;
use crate::column::ColumnSlice;
use crate::expiry::Expiry;
use crate::list::ListReader;
use crate::pk::Key;
use crate::rows::{Chunk, key_at};
use crate::spec::ColumnSpec;
use crate::whole::Whole;

/// One partition as readers see it.
pub(crate) struct PartitionView {
    pub(crate) id: PartitionId,
    pub(crate) chunks: ArcSwap<Vec<Arc<Chunk>>>,
    /// When the partition was dropped; `u64::MAX` while it exists.
    pub(crate) dropped_at: AtomicU64,
}

/// Whether a partition is one of some; of all when there are none.
fn is_wanted(partition: &PartitionView, partitions: &[PartitionId]) -> bool {
    partitions.is_empty() || partitions.contains(&partition.id)
}

/// The readers' end of a shard.
pub struct ShardView {
    /// Columns only come, at the end; chunks have them first.
    pub(crate) specs: ArcSwap<Vec<ColumnSpec>>,
    pub(crate) pk: usize,
    pub(crate) partitions: ArcSwap<Vec<Arc<PartitionView>>>,
    /// Rows of earlier times may be gone.
    pub(crate) since: AtomicU64,
    /// When rows expire.
    pub(crate) expiry: ArcSwap<Expiry>,
    /// Counts of earlier times have rows that expired and are gone for good.
    pub(crate) counted_from: AtomicU64,
    /// Rows that share their key with another live row: `(group, row)`, older rows first.
    pub(crate) duplicates: ListReader<[u64; 2]>,
}

/// A chunk in a selection.
pub struct ChunkRef {
    /// Slot of the partition.
    pub slot: u32,
    /// The chunk.
    pub chunk: Arc<Chunk>,
    /// Rows of the chunk that the selection looks at: a prefix.
    pub rows: usize,
    /// Number of the chunk's first row within the selection.
    pub base: u32,
    /// Bit `i` is set when row `i` of the chunk is selected.
    pub mask: Vec<u64>,
}

/// The rows of a shard that a read sees: a snapshot that later writes do not touch.
pub struct Selection {
    /// The chunks, in order of their base.
    pub chunks: Vec<ChunkRef>,
    specs: Arc<Vec<ColumnSpec>>,
    pk: usize,
}

impl ShardView {
    /// The columns, in their order in every chunk.
    pub fn specs(&self) -> Arc<Vec<ColumnSpec>> {
        self.specs.load_full()
    }

    /// Whether rows of `partitions` (of all when empty) that came are expired at `as_of`, or were and
    /// are gone for good.
    pub fn has_expired(&self, as_of: Timestamp, partitions: &[PartitionId]) -> bool {
        let expired = self.expired_through(as_of);
        let wanted = |p: &&Arc<PartitionView>| is_wanted(p, partitions);
        let any = |p: &Arc<PartitionView>| p.chunks.load().iter().any(|c| c.rows_at(expired) > 0);
        let gone = as_of.0 < self.counted_from.load(Ordering::Acquire);
        gone || expired > Timestamp::MIN && self.partitions.load().iter().filter(wanted).any(any)
    }

    /// Rows that came by this time are expired at `as_of`.
    pub(crate) fn expired_through(&self, as_of: Timestamp) -> Timestamp {
        self.expiry.load().expired_through(as_of)
    }

    /// The oldest time at which every row is still there. Ask after the rows were looked at.
    pub fn since(&self) -> Timestamp {
        Timestamp(self.since.load(Ordering::Acquire))
    }

    /// Place of the primary key among the columns.
    pub fn pk(&self) -> usize {
        self.pk
    }

    /// Rows of `partitions` (all when empty) in memory, visible or not: what a scan of them sees.
    pub fn rows(&self, partitions: &[PartitionId]) -> usize {
        let wanted = |p: &&Arc<PartitionView>| is_wanted(p, partitions);
        let of = |p: &Arc<PartitionView>| p.chunks.load().iter().map(|c| c.rows()).sum::<usize>();
        self.partitions.load().iter().filter(wanted).map(of).sum()
    }

    /// The sealed segments.
    pub fn segments(&self) -> Vec<Arc<Whole>> {
        let mut segments: Vec<Arc<Whole>> = Vec::new();
        for partition in self.partitions.load().iter() {
            for segment in partition.chunks.load().iter().filter_map(|chunk| chunk.segment()) {
                if !segments.last().is_some_and(|last| Arc::ptr_eq(last, segment)) {
                    segments.push(Arc::clone(segment));
                }
            }
        }
        segments
    }

    /// Selects all rows that are visible at `as_of` in `partitions` (all when empty).
    ///
    /// The caller has seen that `as_of` is closed; rows that share a key are all selected.
    pub fn select(&self, as_of: Timestamp, partitions: &[PartitionId]) -> Selection {
        // Before the chunks, which have all columns of specs that were there before them.
        let specs = self.specs();
        let expired = self.expired_through(as_of);
        let mut chunks = Vec::new();
        let mut base = 0u32;
        for (slot, partition) in (0u32..).zip(self.partitions.load().iter()) {
            if !is_wanted(partition, partitions)
                || partition.dropped_at.load(Ordering::Acquire) <= as_of.0
            {
                continue;
            }
            for chunk in partition.chunks.load().iter() {
                let rows = chunk.rows_at(as_of);
                if rows == 0 {
                    break;
                }
                let mut mask = chunk.mask(rows, as_of);
                if expired > Timestamp::MIN {
                    // It stays with an empty mask, if need be: rows of a partition are numbered on.
                    chunk.expire(&mut mask, expired);
                }
                chunks.push(ChunkRef { slot, chunk: Arc::clone(chunk), rows, base, mask });
                base = base.saturating_add(rows as u32);
            }
        }
        Selection { chunks, specs, pk: self.pk }
    }

    /// Selects those of the given rows that are visible at `as_of` in `partitions` (all when empty).
    /// Rows come from [`crate::ShardWriter::find`] or from an earlier selection.
    ///
    /// The cost follows the rows and the chunks that hold them.
    pub fn select_rows(
        &self,
        as_of: Timestamp,
        partitions: &[PartitionId],
        rows: &[RowRef],
    ) -> Selection {
        let specs = self.specs();
        let expired = self.expired_through(as_of);
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        let mut chunks: Vec<ChunkRef> = Vec::new();
        let mut base = 0u32;
        let views = self.partitions.load();
        for of_slot in rows.chunk_by(|a, b| a.slot == b.slot) {
            let slot = of_slot[0].slot;
            let Some(partition) = views.get(slot as usize) else { continue };
            if !is_wanted(partition, partitions)
                || partition.dropped_at.load(Ordering::Acquire) <= as_of.0
            {
                continue;
            }
            let all = partition.chunks.load();
            for row in of_slot {
                let after = all.partition_point(|chunk| chunk.first_row() <= row.row);
                let Some(chunk) = after.checked_sub(1).and_then(|at| all.get(at)) else { continue };
                let Some(offset) = chunk.row_of(row.row) else { continue };
                let is_expired = expired > Timestamp::MIN && offset < chunk.rows_at(expired);
                if is_expired || !chunk.is_visible(offset, as_of) {
                    continue;
                }
                if !chunks.last().is_some_and(|last| Arc::ptr_eq(&last.chunk, chunk)) {
                    let rows = chunk.rows_at(as_of);
                    let mask = vec![0; rows.div_ceil(64)];
                    chunks.push(ChunkRef { slot, chunk: Arc::clone(chunk), rows, base, mask });
                    base = base.saturating_add(rows as u32);
                }
                if let Some(last) = chunks.last_mut() {
                    last.mask[offset / 64] |= 1 << (offset % 64);
                }
            }
        }
        Selection { chunks, specs, pk: self.pk }
    }

    /// Keeps, of selected rows that share a key, only the newest.
    pub fn keep_newest(&self, selection: &mut Selection) {
        if self.duplicates.is_empty() || selection.count() < 2 {
            return;
        }
        let mut newest: HashMap<u64, RowRef> = HashMap::new();
        self.duplicates.for_each(|[group, row]| {
            let row = unpack(row);
            if selection.contains(row)
                && let Some(older) = newest.insert(group, row)
            {
                selection.clear(older);
            }
        });
    }
}

/// A row reference as one word, for lists of plain numbers.
pub(crate) fn pack(row: RowRef) -> u64 {
    u64::from(row.slot) << 32 | u64::from(row.row)
}

pub(crate) fn unpack(word: u64) -> RowRef {
    RowRef { slot: (word >> 32) as u32, row: word as u32 }
}

impl Selection {
    /// Number of selected rows.
    pub fn count(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.selected() as u64).sum()
    }

    /// The chunk that holds a numbered row, and the row's offset in it.
    ///
    /// # Panics
    /// When the selection has no such row.
    pub fn locate(&self, number: u32) -> (&ChunkRef, usize) {
        let after = self.chunks.partition_point(|c| c.base <= number);
        let chunk = &self.chunks[after - 1];
        (chunk, (number - chunk.base) as usize)
    }

    /// The key of a numbered row.
    pub fn key(&self, number: u32) -> Key<'_> {
        let (chunk, row) = self.locate(number);
        chunk.chunk.key(self.pk, row)
    }

    /// The place of a numbered row in its shard.
    pub fn row_ref(&self, number: u32) -> RowRef {
        let (chunk, row) = self.locate(number);
        RowRef { slot: chunk.slot, row: chunk.chunk.number(row) }
    }

    /// The number within the selection of a row that it looks at.
    pub fn number_of(&self, row: RowRef) -> Option<u32> {
        let (at, offset) = self.place(row)?;
        Some(self.chunks[at].base + offset as u32)
    }

    /// The columns, in their order in every chunk.
    pub fn specs(&self) -> &[ColumnSpec] {
        &self.specs
    }

    /// The same, on their own.
    pub fn all_specs(&self) -> Arc<Vec<ColumnSpec>> {
        Arc::clone(&self.specs)
    }

    /// Calls `f` with the number and key of every selected row.
    pub fn for_each_key<'s>(&'s self, mut f: impl FnMut(u32, Key<'s>)) {
        for chunk in &self.chunks {
            let keys = chunk.chunk.column(self.pk, chunk.rows);
            chunk.for_each(|row| f(chunk.base + row as u32, key_at(&keys, row)));
        }
    }

    fn place(&self, row: RowRef) -> Option<(usize, usize)> {
        let before = |c: &ChunkRef| (c.slot, c.chunk.first_row()) <= (row.slot, row.row);
        let at = self.chunks.partition_point(before).checked_sub(1)?;
        let chunk = self.chunks.get(at).filter(|c| c.slot == row.slot)?;
        let offset = chunk.chunk.row_of(row.row)?;
        (offset < chunk.rows).then_some((at, offset))
    }

    fn contains(&self, row: RowRef) -> bool {
        self.place(row).is_some_and(|(c, r)| self.chunks[c].mask[r / 64] >> (r % 64) & 1 == 1)
    }

    fn clear(&mut self, row: RowRef) {
        if let Some((c, r)) = self.place(row) {
            self.chunks[c].mask[r / 64] &= !(1 << (r % 64));
        }
    }
}

impl ChunkRef {
    /// Number of selected rows.
    pub fn selected(&self) -> usize {
        self.mask.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The values of a column, for the rows that the selection looks at.
    pub fn column(&self, index: usize) -> ColumnSlice<'_> {
        self.chunk.column(index, self.rows)
    }

    /// Which of the rows that the selection looks at have a value in a column, one byte a row, 1 for
    /// a value and 0 for null; `None` when none is null.
    pub fn validity(&self, index: usize) -> Option<&[u8]> {
        self.chunk.validity(index, self.rows)
    }

    /// Calls `f` with the offset of every selected row, in order.
    pub fn for_each(&self, mut f: impl FnMut(usize)) {
        for (at, &word) in self.mask.iter().enumerate() {
            let mut word = word;
            while word != 0 {
                f(at * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }
}
