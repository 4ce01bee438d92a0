//! Compaction as the writer sees it: stored rows in the place of others, and a list that shrinks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use millstream_catalog::model::Timestamp;

use super::ShardWriter;
use crate::rows::Chunk;
use crate::view::unpack;

/// The list of rows that share a key is looked through when it is this long, and twice as long as
/// after the look before.
#[cfg(not(test))]
const DUPLICATES_MIN: usize = 1_024;
#[cfg(test)]
const DUPLICATES_MIN: usize = 4;

impl ShardWriter {
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
