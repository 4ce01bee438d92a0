//! Growing segments: rows that are in the log and not yet in object storage.
//!
//! One [`ShardWriter`] holds all rows of one vchannel. It is written by exactly one worker, in log
//! order; any thread reads it through a [`ShardView`] without locks and without waiting. Rows lie
//! in append-only chunks, one buffer a column, so that a snapshot is a list of pointers and a
//! length.
//!
//! **Invariant.** Rows lie in the order of their effective time: "what was inserted by T" is a
//! prefix of each chunk, found by binary search over its runs. A row is visible at T when it is in
//! that prefix and its delete time is unset or larger than T.
//!
//! **Invariant.** Every row keeps the log position that made it (as runs). Applying a unit at or
//! below the shard's applied position changes nothing, so any suffix of the log may be replayed.
//!
//! **Invariant.** A row keeps its number in its partition for ever. Compaction leaves holes where it
//! dropped rows, so everything that names a row by its number stays true: the index of keys, ends
//! that were written out, the texts, a delete that is under way.
//!
//! **Invariant.** A reader that learned through an acquire of `closed` that T is closed sees every
//! row and every delete with an effective time up to T; what is written later has a larger one.
//!
//! **Invariant.** A column has no validity until its chunk holds a null, so columns without nulls
//! cost what they would cost if there were none.
//!
//! **Absent on purpose.** No locks, no I/O, no timely types, no clock, and no knowledge of filters
//! or indexes: readers get column slices and a mask.

mod census;
mod chunk;
mod column;
mod expiry;
mod fill;
mod frozen;
mod input;
mod later;
mod list;
mod merge;
mod numbers;
mod pk;
mod rows;
mod shard;
mod spec;
mod view;
mod whole;

pub use census::Piece;
pub use column::ColumnSlice;
pub use expiry::Expiry;
pub use frozen::{Arrival, Corrupt, FrozenColumn, FrozenRows};
pub use input::{Batch, ColumnInput, Input};
pub use merge::{Merged, Span, merge};
pub use numbers::Numbered;
pub use pk::{Key, Keys};
pub use rows::Chunk;
pub use shard::{
    Appended, Applied, End, Ends, History, Origins, Run, Scope, Sealed, SealedRows, ShardWriter,
    SlotState, Stored, StoredSlot, WriteError,
};
pub use spec::{ColumnSpec, NormFn, SpecError};
pub use view::{ChunkRef, Selection, ShardView};
pub use whole::{Beside, Whole};

use std::fmt;

/// Where in its channel's log a unit lies: (sequence of the entry, index in the entry).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Sequence of the entry, from 1.
    pub seq: u64,
    /// Index of the unit in the entry.
    pub index: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.seq, self.index)
    }
}

/// A row of a shard: the slot of its partition and its offset there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowRef {
    /// Slot of the partition in its shard, in order of first use.
    pub slot: u32,
    /// Number of the row in its partition.
    pub row: u32,
}

#[cfg(test)]
mod tests;
