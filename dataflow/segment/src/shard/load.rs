//! A shard as it was when it was sealed, from what was written out then.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_catalog::model::{PartitionId, Timestamp};

use super::{End, Partition, ShardWriter, SlotState};
use crate::expiry::Expiry;
use crate::frozen::{Arrival, Corrupt};
use crate::rows::Chunk;
use crate::spec::{ColumnSpec, NormFn};
use crate::{Position, RowRef};

/// A partition of a stored shard.
pub struct StoredSlot {
    /// Its state.
    pub state: SlotState,
    /// Its rows, in order.
    pub chunks: Vec<Arc<Chunk>>,
}

/// All that a shard held when it was sealed.
pub struct Stored {
    /// The last unit whose effects are in it.
    pub applied: Position,
    /// Closed-through of the shard after that unit.
    pub closed: Timestamp,
    /// Rows of earlier times may be gone.
    pub since: Timestamp,
    /// When rows expire.
    pub expiry: Expiry,
    /// The partitions, by slot.
    pub slots: Vec<StoredSlot>,
    /// The rows that ended, in the order of their units.
    pub ends: Vec<End>,
}

/// How the number of rows of each partition changed: `(partition, time, change)`, in no order.
pub type History = Vec<(PartitionId, Timestamp, i64)>;

/// Rows that one unit brought: the unit, the slot and the rows.
type Came = (Position, u32, RowRef, u32);

impl ShardWriter {
    /// The shard that a [`Stored`] describes, and how its rows became what they are.
    ///
    /// Rows and ends are entered in the order of their units, so that what shares a key is known
    /// for past times as it was before.
    ///
    /// # Errors
    /// [`Corrupt`] when the parts do not fit together.
    pub fn load(
        specs: Vec<ColumnSpec>,
        pk: usize,
        norms: NormFn,
        stored: Stored,
    ) -> Result<(ShardWriter, History), Corrupt> {
        let mut writer = ShardWriter::new(specs, pk, norms);
        let mut history = History::new();
        let mut came: Vec<Came> = Vec::new();
        for (slot, stored) in (0u32..).zip(stored.slots) {
            writer.load_slot(slot, stored, &mut came, &mut history)?;
        }
        came.sort_unstable();
        let mut ends = stored.ends.into_iter().peekable();
        for (position, _, first, rows) in came {
            while let Some(end) = ends.next_if(|end| end.position <= position) {
                writer.load_end(end, &mut history)?;
            }
            for row in first.row..first.row + rows {
                let row = RowRef { row, ..first };
                writer.load_row(row)?;
            }
        }
        for end in ends {
            writer.load_end(end, &mut history)?;
        }
        writer.load_drops(&mut history);
        writer.ends = Vec::new();
        writer.applied = stored.applied;
        writer.recent.forget(stored.closed);
        writer.view.since.store(stored.since.0, Ordering::Release);
        writer.view.expiry.store(Arc::new(stored.expiry));
        Ok((writer, history))
    }

    fn load_slot(
        &mut self,
        slot: u32,
        stored: StoredSlot,
        came: &mut Vec<Came>,
        history: &mut History,
    ) -> Result<(), Corrupt> {
        let StoredSlot { state, chunks } = stored;
        let missing = |row| Corrupt::Row { slot, row };
        // A partition has several when the collection was truncated; the last one gets its rows.
        if self.add_slot(state.partition) != Ok(slot) {
            return Err(missing(0));
        }
        let follow = |a: &Arc<Chunk>, b: &Arc<Chunk>| a.end_row() <= b.first_row();
        if !chunks.is_sorted_by(follow) || chunks.last().is_some_and(|c| c.end_row() > state.rows) {
            return Err(missing(state.rows));
        }
        for chunk in &chunks {
            let arrivals: Vec<Arrival> = chunk.arrivals(chunk.rows()).collect();
            for (at, arrival) in arrivals.iter().enumerate() {
                let end = arrivals.get(at + 1).map_or(chunk.rows() as u32, |next| next.row);
                for (run, rows) in chunk.runs_of(arrival.row as usize, end as usize) {
                    let first = RowRef { slot, row: run.number };
                    came.push((arrival.position, arrival.ordinal, first, rows));
                }
                let rows = i64::from(end - arrival.row);
                history.push((state.partition, arrival.eff, rows));
            }
        }
        let partition = &mut self.partitions[slot as usize];
        partition.rows = state.rows;
        partition.sealed = state.rows;
        partition.live = chunks.iter().map(|chunk| chunk.rows() as i64).sum();
        partition.view.chunks.store(Arc::new(chunks.clone()));
        partition.chunks = chunks;
        if let Some(at) = state.dropped_at {
            partition.view.dropped_at.store(at.0, Ordering::Release);
        }
        Ok(())
    }

    fn load_row(&mut self, row: RowRef) -> Result<(), Corrupt> {
        let (chunk, offset) = self.chunk_of(row)?;
        let key = chunk.key(self.pk, offset);
        self.index_row(row, key);
        Ok(())
    }

    fn load_end(&mut self, end: End, history: &mut History) -> Result<(), Corrupt> {
        let End { eff, row, .. } = end;
        let Some(partition) = self.partitions.get(row.slot as usize) else {
            return Err(Corrupt::Row { slot: row.slot, row: row.row });
        };
        // Its rows may be gone, in a partition that was dropped or a segment that was compacted.
        let id = partition.id;
        let Ok((chunk, offset)) = self.chunk_of(row) else { return Ok(()) };
        let key = chunk.key(self.pk, offset);
        let mut ended = Vec::new();
        let key_of = |row| super::key_in(&self.partitions, self.pk, row);
        self.index.remove(key, key_of, |r| r == row, &mut ended);
        chunk.end(offset, eff);
        self.groups.remove(&row);
        if !ended.is_empty() {
            self.partitions[row.slot as usize].live -= 1;
            history.push((id, eff, -1));
        }
        Ok(())
    }

    /// Ends the rows of dropped partitions, which are not in the list of ends.
    fn load_drops(&mut self, history: &mut History) {
        for slot in 0..self.partitions.len() as u32 {
            let Partition { id, view, live, .. } = &mut self.partitions[slot as usize];
            let at = view.dropped_at.load(Ordering::Relaxed);
            if at == u64::MAX {
                continue;
            }
            history.push((*id, Timestamp(at), -std::mem::take(live)));
            self.dropped.push(slot);
            self.index.forget(|row| row.slot == slot);
            self.groups.retain(|row, _| row.slot != slot);
        }
    }

    fn chunk_of(&self, row: RowRef) -> Result<(Arc<Chunk>, usize), Corrupt> {
        let found = self.partitions.get(row.slot as usize).and_then(|p| p.locate(row.row));
        let found = found.filter(|(chunk, offset)| *offset < chunk.rows());
        let (chunk, offset) = found.ok_or(Corrupt::Row { slot: row.slot, row: row.row })?;
        Ok((Arc::clone(chunk), offset))
    }
}
