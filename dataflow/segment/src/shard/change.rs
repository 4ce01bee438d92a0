//! Changes of a shard that are not of single rows: of its partitions, its columns, its time to live.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_catalog::model::{PartitionId, Timestamp};

use super::{Applied, ShardWriter, WriteError, note};
use crate::expiry::Expiry;
use crate::later;
use crate::pk::PkIndex;
use crate::spec::ColumnSpec;

impl ShardWriter {
    /// Ends all rows of a partition; its memory goes with [`ShardWriter::release_dropped`].
    pub fn partition_drop(&mut self, id: PartitionId, eff: Timestamp, changed: &mut Vec<Applied>) {
        // One without rows has a slot from now on, so that what is written out knows of the drop.
        let Ok(slot) = self.slot(id) else { return };
        let partition = &mut self.partitions[slot as usize];
        if partition.view.dropped_at.load(Ordering::Relaxed) != u64::MAX {
            return;
        }
        partition.view.dropped_at.store(eff.0, Ordering::Release);
        changed.push(Applied { partition: id, rows: -partition.live });
        partition.live = 0;
        self.dropped.push(slot);
        self.index.forget(|row| row.slot == slot);
        self.recent.forget(eff);
        self.groups.retain(|row, _| row.slot != slot);
    }

    /// Frees the rows of partitions that were dropped at or before `since`; the slots of those.
    pub fn release_dropped(&mut self, since: Timestamp) -> Vec<u32> {
        let partitions = &mut self.partitions;
        let due = self.dropped.extract_if(.., |&mut slot| {
            let dropped_at = &partitions[slot as usize].view.dropped_at;
            dropped_at.load(Ordering::Relaxed) <= since.0
        });
        let released: Vec<u32> = due.collect();
        for &slot in &released {
            let partition = &mut self.partitions[slot as usize];
            let dropped_at = partition.view.dropped_at.load(Ordering::Relaxed);
            self.view.since.fetch_max(dropped_at, Ordering::AcqRel);
            partition.last = None;
            partition.chunks = Vec::new();
            partition.view.chunks.store(Arc::new(Vec::new()));
        }
        released
    }

    /// When the first partition was dropped, or truncated, whose rows wait to be freed.
    pub fn oldest_drop(&self) -> Option<Timestamp> {
        let dropped = self.dropped.iter().map(|slot| &self.partitions[*slot as usize].view);
        dropped.map(|view| Timestamp(view.dropped_at.load(Ordering::Relaxed))).min()
    }

    /// Ends all rows. They lie in slots of their own from now on, as those of a dropped partition:
    /// those that come later begin new ones.
    ///
    /// # Errors
    /// [`WriteError::Full`] when the shard has as many slots as it can number.
    pub fn truncate(
        &mut self,
        eff: Timestamp,
        changed: &mut Vec<Applied>,
    ) -> Result<(), WriteError> {
        let mut anew = Vec::new();
        for (slot, partition) in (0u32..).zip(&mut self.partitions) {
            let dropped_at = &partition.view.dropped_at;
            if partition.rows == 0 || dropped_at.load(Ordering::Relaxed) != u64::MAX {
                continue;
            }
            dropped_at.store(eff.0, Ordering::Release);
            note(changed, partition.id, -std::mem::take(&mut partition.live));
            self.dropped.push(slot);
            anew.push(partition.id);
        }
        for id in anew {
            self.add_slot(id)?;
        }
        self.index = PkIndex::default();
        self.recent.forget(eff);
        self.groups.clear();
        Ok(())
    }

    /// Adds columns at the end: rows that are there, and those that come without a value, have the
    /// default in them, or null.
    ///
    /// # Errors
    /// [`WriteError::Column`], and nothing is changed, for a column that must have values, or
    /// vectors.
    pub fn add_columns(&mut self, more: Vec<ColumnSpec>) -> Result<(), WriteError> {
        let refused = |spec: &&ColumnSpec| spec.is_required() || spec.data_type.is_vector();
        if let Some(spec) = more.iter().find(refused) {
            return Err(WriteError::Column(spec.field));
        }
        let mut specs = Vec::clone(&self.specs);
        specs.extend(more);
        let specs = Arc::new(specs);
        for partition in &mut self.partitions {
            // Rows with values of their own go to chunks of their own.
            partition.last = None;
            let completed = later::complete(&specs, &partition.chunks);
            debug_assert!(completed.is_ok(), "columns that rows may lack were asked for");
        }
        self.specs = Arc::clone(&specs);
        self.view.specs.store(specs);
        Ok(())
    }

    /// From `eff` on rows expire so many milliseconds after they came; never when `None`.
    pub fn set_ttl(&mut self, eff: Timestamp, ttl_ms: Option<u64>) {
        let mut expiry = Expiry::clone(&self.view.expiry.load());
        expiry.set(eff, ttl_ms);
        self.view.expiry.store(Arc::new(expiry));
    }

    /// When rows expire.
    pub fn expiry(&self) -> Arc<Expiry> {
        self.view.expiry.load_full()
    }
}
