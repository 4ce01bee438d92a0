//! Rows by their keys, at a time that is closed.

use std::collections::VecDeque;

use hashbrown::HashSet;
use millstream_catalog::model::Timestamp;

use super::{ShardWriter, key_in};
use crate::RowRef;
use crate::pk::Key;

/// The index knows live rows only; so many of the rows that ended last are remembered beside it.
const RECENT_MAX: usize = 4_096;

/// The rows that ended last, with their times.
#[derive(Default)]
pub(super) struct Recent {
    ended: VecDeque<(Timestamp, RowRef)>,
    /// Rows that ended by this time are not remembered.
    forgotten: Timestamp,
}

impl Recent {
    /// Remembers a row; times do not decrease.
    pub(super) fn note(&mut self, eff: Timestamp, row: RowRef) {
        if self.ended.len() == RECENT_MAX
            && let Some((oldest, _)) = self.ended.pop_front()
        {
            self.forgotten = oldest;
        }
        self.ended.push_back((eff, row));
    }

    /// Forgets everything that ended by `eff`.
    pub(super) fn forget(&mut self, eff: Timestamp) {
        self.ended.clear();
        self.forgotten = eff;
    }
}

impl ShardWriter {
    /// All rows that have one of these keys and may be visible at `as_of`, in any order; `None` when
    /// so many rows ended since that only a scan can tell.
    pub fn find<'k>(
        &self,
        keys: impl Iterator<Item = Key<'k>>,
        as_of: Timestamp,
    ) -> Option<Vec<RowRef>> {
        if as_of < self.recent.forgotten {
            return None;
        }
        let ended = &self.recent.ended;
        let later = ended.partition_point(|(eff, _)| *eff <= as_of);
        let key_of = |row| key_in(&self.partitions, self.pk, row);
        let mut wanted = HashSet::new();
        let mut rows = Vec::new();
        for key in keys {
            rows.extend(self.index.rows(key, key_of));
            if later < ended.len() {
                wanted.insert(key);
            }
        }
        let since = ended.range(later..).map(|(_, row)| *row);
        rows.extend(since.filter(|row| wanted.contains(&key_of(*row))));
        Some(rows)
    }
}
