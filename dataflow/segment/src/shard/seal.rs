//! Sealing: what is written out of a shard at one position, and what takes its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_catalog::model::{PartitionId, Timestamp};

use super::{Partition, ShardWriter};
use crate::expiry::Expiry;
use crate::later;
use crate::rows::Chunk;
use crate::{Position, RowRef};

/// A sealed segment holds about this many bytes in memory, unless one chunk holds more.
const SEGMENT_BYTES_MAX: usize = 512 << 20;

/// A row that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its last time is just before this one.
    pub eff: Timestamp,
    /// The unit that ended it.
    pub position: Position,
    /// The row.
    pub row: RowRef,
}

/// Rows of one partition that become a segment.
#[derive(Clone)]
pub struct SealedRows {
    /// Slot of the partition.
    pub slot: u32,
    /// The partition.
    pub partition: PartitionId,
    /// Number of the first row in the partition.
    pub first_row: u32,
    /// Number of rows.
    pub rows: u32,
    /// The rows; nothing is appended to these chunks any more.
    pub chunks: Vec<Arc<Chunk>>,
}

/// The state of a partition of a sealed shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// The partition.
    pub partition: PartitionId,
    /// Rows that it ever had.
    pub rows: u32,
    /// When it was dropped, if it was.
    pub dropped_at: Option<Timestamp>,
    /// Whether the rows of a dropped partition are gone.
    pub released: bool,
}

/// All that a shard holds at a position beyond what it held when it was sealed before.
pub struct Sealed {
    /// The last unit whose effects are in it.
    pub applied: Position,
    /// Rows of earlier times may be gone.
    pub since: Timestamp,
    /// When rows expire.
    pub expiry: Arc<Expiry>,
    /// The partitions, by slot.
    pub slots: Vec<SlotState>,
    /// The rows that came.
    pub rows: Vec<SealedRows>,
    /// The rows that ended, in the order of their units.
    pub ends: Vec<End>,
}

impl Partition {
    /// The chunks that are not sealed yet.
    fn unsealed(&self) -> &[Arc<Chunk>] {
        let from = self.chunks.partition_point(|chunk| chunk.first_row() < self.sealed);
        &self.chunks[from..]
    }

    /// Takes the rows that are not sealed yet, as segments of bounded size.
    fn seal(&mut self, slot: u32, row_bytes: usize, segments: &mut Vec<SealedRows>) {
        self.last = None;
        let partition = self.id;
        let (mut open, mut bytes): (Option<SealedRows>, usize) = (None, 0);
        for chunk in self.unsealed() {
            let rows = chunk.rows() as u32;
            let more = chunk.bytes(row_bytes);
            bytes += more;
            if let Some(segment) = &mut open
                && bytes <= SEGMENT_BYTES_MAX
            {
                segment.rows += rows;
                segment.chunks.push(Arc::clone(chunk));
                continue;
            }
            bytes = more;
            let (first_row, chunks) = (chunk.first_row(), vec![Arc::clone(chunk)]);
            segments.extend(open.replace(SealedRows { slot, partition, first_row, rows, chunks }));
        }
        segments.extend(open);
        self.sealed = self.rows;
    }
}

impl ShardWriter {
    /// Bytes of the rows that are not sealed.
    pub fn unsealed_bytes(&self) -> usize {
        let fixed = self.row_bytes();
        let of = |partition: &Partition| -> usize {
            partition.unsealed().iter().map(|chunk| chunk.bytes(fixed)).sum()
        };
        self.partitions.iter().map(of).sum()
    }

    /// Bytes of a row, without its values of different lengths.
    fn row_bytes(&self) -> usize {
        self.specs.iter().map(|spec| spec.row_bytes()).sum()
    }

    /// Ends the growing segments at the last unit applied.
    pub fn seal(&mut self) -> Sealed {
        let fixed = self.row_bytes();
        let mut rows = Vec::new();
        for (slot, partition) in (0u32..).zip(&mut self.partitions) {
            partition.seal(slot, fixed, &mut rows);
        }
        let dropped = |p: &Partition| {
            let at = p.view.dropped_at.load(Ordering::Relaxed);
            (at != u64::MAX).then_some(Timestamp(at))
        };
        let slots = self.partitions.iter().map(|p| SlotState {
            partition: p.id,
            rows: p.rows,
            dropped_at: dropped(p),
            released: p.is_released(),
        });
        Sealed {
            applied: self.applied,
            since: self.view.since(),
            expiry: self.expiry(),
            slots: slots.collect(),
            rows,
            ends: std::mem::take(&mut self.ends),
        }
    }

    /// Puts stored chunks in the place of the sealed rows that they hold, which have `rows` numbers
    /// from `first_row` on: what readers see does not change. Sealed rows that are gone meanwhile
    /// stay gone.
    pub fn freeze(&mut self, slot: u32, first_row: u32, rows: u32, stored: &[Arc<Chunk>]) {
        let Some(partition) = self.partitions.get_mut(slot as usize) else { return };
        // They may be of an older schema. What cannot be completed stays as it is in memory.
        if later::complete(&self.specs, stored).is_err() {
            return;
        }
        let chunks = &mut partition.chunks;
        let from = chunks.partition_point(|chunk| chunk.first_row() < first_row);
        let to = chunks.partition_point(|chunk| chunk.first_row() < first_row + rows);
        if from == to {
            return;
        }
        for old in &chunks[from..to] {
            for (row, eff) in old.ended() {
                let row = old.number(row);
                let at = stored.partition_point(|chunk| chunk.first_row() <= row);
                if let Some(chunk) = at.checked_sub(1).and_then(|at| stored.get(at))
                    && let Some(row) = chunk.row_of(row)
                {
                    chunk.end(row, eff);
                }
            }
        }
        chunks.splice(from..to, stored.iter().cloned());
        partition.view.chunks.store(Arc::new(chunks.clone()));
    }
}
