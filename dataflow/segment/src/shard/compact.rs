//! Compaction as the writer sees it: stored rows in the place of others, and a list that shrinks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use millstream_catalog::model::Timestamp;

use super::{Applied, Partition, ShardWriter, note};
use crate::RowRef;
use crate::rows::Chunk;
use crate::view::unpack;

/// The list of rows that share a key is looked through when it is this long, and twice as long as
/// after the look before.
#[cfg(not(test))]
const DUPLICATES_MIN: usize = 1_024;
#[cfg(test)]
const DUPLICATES_MIN: usize = 4;

/// Rows that are taken out of the index at a time.
#[cfg(not(test))]
const EXPIRED_MAX: usize = 4_096;
#[cfg(test)]
const EXPIRED_MAX: usize = 7;

impl Partition {
    /// The last time at which a row of the chunks that begin before the number `to` ended.
    fn last_end(&self, to: u32) -> Option<Timestamp> {
        let chunks = self.chunks.iter().take_while(|chunk| chunk.first_row() < to);
        chunks.flat_map(|chunk| chunk.ended()).map(|(_, at)| at).max()
    }

    /// Rows from the number `from` up to `to` that came by `expired` and did not end, up to `most`.
    fn expired(
        &self,
        slot: u32,
        (from, to): (u32, u32),
        expired: Timestamp,
        most: usize,
    ) -> Vec<RowRef> {
        let mut found = Vec::new();
        let first = self.chunks.partition_point(|chunk| chunk.end_row() <= from);
        for chunk in self.chunks[first..].iter().take_while(|chunk| chunk.first_row() < to) {
            for (run, rows) in chunk.runs_of(0, chunk.rows_at(expired)) {
                for row in run.row..run.row + rows {
                    let number = run.number + (row - run.row);
                    if found.len() == most || number >= to {
                        return found;
                    }
                    if number >= from && !chunk.is_ended(row as usize) {
                        found.push(RowRef { slot, row: number });
                    }
                }
            }
        }
        found
    }
}

impl ShardWriter {
    /// Takes rows that came by `expired` out of the index before [`ShardWriter::compact`] takes them
    /// away: rows of `slot` from the number `from` up to `to`, a bounded number of them; changes of
    /// counts go to `changed`. They must be expired at every time that anybody reads or writes at.
    /// The number to go on from, until there are no more.
    pub fn expire(
        &mut self,
        slot: u32,
        (from, to): (u32, u32),
        expired: Timestamp,
        changed: &mut Vec<Applied>,
    ) -> Option<u32> {
        let partition = self.partitions.get(slot as usize)?;
        let rows = partition.expired(slot, (from, to), expired, EXPIRED_MAX);
        let Some(last) = rows.last().map(|last| last.row) else {
            // A shard that was just loaded knows of ends that its channel has not closed yet.
            let ended = (expired > Timestamp::MIN).then(|| partition.last_end(to));
            self.count_from(ended.flatten().unwrap_or_default());
            return None;
        };
        let mut gone = Vec::with_capacity(rows.len());
        self.unindex(rows, &mut gone);
        gone.iter().for_each(|row| _ = self.groups.remove(row));
        let partition = &mut self.partitions[slot as usize];
        partition.live -= gone.len() as i64;
        note(changed, partition.id, -(gone.len() as i64));
        Some(last + 1)
    }

    /// From this time on counts are without the rows that expired and are gone.
    pub fn count_from(&self, eff: Timestamp) {
        self.view.counted_from.fetch_max(eff.0, Ordering::AcqRel);
    }

    /// Puts stored chunks in the place of sealed rows with `rows` numbers from `first_row` on. Rows
    /// that ended at or before `since` may be missing: reads before that time are refused from now
    /// on. Sealed rows that are gone meanwhile stay gone.
    pub fn compact(
        &mut self,
        since: Timestamp,
        (slot, first_row, rows): (u32, u32, u32),
        stored: &[Arc<Chunk>],
    ) {
        // Who sees the new rows sees this time too.
        self.view.since.fetch_max(since.0, Ordering::AcqRel);
        self.freeze(slot, first_row, rows, stored);
        self.shrink_duplicates();
    }

    /// How many entries the list of rows that share a key has.
    pub fn duplicates(&self) -> usize {
        self.duplicates_len
    }

    /// Takes what is gone out of the list of rows that share a key, and what is alone there.
    fn shrink_duplicates(&mut self) {
        if self.duplicates_len < DUPLICATES_MIN.max(self.duplicates_kept * 2) {
            return;
        }
        let mut kept: Vec<[u64; 2]> = Vec::new();
        let mut sizes: HashMap<u64, u32> = HashMap::new();
        self.view.duplicates.for_each(|[group, row]| {
            let at = unpack(row);
            let partition = self.partitions.get(at.slot as usize);
            if partition.is_some_and(|partition| partition.locate(at.row).is_some()) {
                *sizes.entry(group).or_default() += 1;
                kept.push([group, row]);
            }
        });
        kept.retain(|[group, row]| {
            let alone = sizes.get(group) == Some(&1);
            if alone {
                // A row that comes under its key founds a group anew.
                self.groups.remove(&unpack(*row));
            }
            !alone
        });
        (self.duplicates_len, self.duplicates_kept) = (kept.len(), kept.len());
        self.duplicates.replace(kept);
    }
}
