//! The segment manifest: which files hold the rows of a shard, up to where in its log.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{ChannelId, PartitionId, SegmentId, VChannel};
use super::time::Timestamp;

/// Where in its channel's log a unit lies; ordered as the log is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct LogPosition {
    /// Sequence of the entry, from 1; 0 is before everything.
    pub seq: u64,
    /// Index of the unit in the entry.
    pub index: u32,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.seq, self.index)
    }
}

/// One object in the object store. It is never overwritten, and its name is never used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileRef {
    /// Name in the object store.
    pub name: String,
    /// Length in bytes.
    pub bytes: u64,
    /// CRC-32C of the bytes.
    pub crc32c: u32,
}

/// A run of rows of one partition of a shard, in files that never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Id, out of a block of the catalog; never reused.
    pub id: SegmentId,
    /// The shard.
    pub vchannel: VChannel,
    /// The partition.
    pub partition: PartitionId,
    /// Number of the partition within the shard, in order of first use.
    pub slot: u32,
    /// Number of the first row within the slot.
    pub first_row: u32,
    /// Number of rows.
    pub rows: u32,
    /// The files by their kind, each kind once: `rows`, `runs`, and `index/<field id>/<index id>`
    /// for the artefacts of indexes.
    pub files: Vec<(String, FileRef)>,
    /// The smallest time of its rows.
    pub min_ts: Timestamp,
    /// The largest time of its rows.
    pub max_ts: Timestamp,
}

impl Segment {
    /// The file of a kind.
    pub fn file(&self, kind: &str) -> Option<&FileRef> {
        self.files.iter().find(|(k, _)| k == kind).map(|(_, file)| file)
    }
}

/// What a shard knows of one of its partitions; there are several of one that was truncated, of which
/// the last one gets the rows that come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotState {
    /// The partition.
    pub partition: PartitionId,
    /// Rows that it ever had, dead ones included: the number of its next row.
    pub rows: u32,
    /// When the partition was dropped.
    #[serde(default)]
    pub dropped_at: Option<Timestamp>,
}

/// How far a shard is in files: all that its log holds up to a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardState {
    /// The shard.
    pub vchannel: VChannel,
    /// The physical channel of its log.
    pub channel: ChannelId,
    /// Everything of the shard at or before this position is in files.
    pub applied: LogPosition,
    /// Closed-through of the channel as it was at `applied`.
    pub closed: Timestamp,
    /// The earliest time that can be read; it only moves forward.
    pub since: Timestamp,
    /// The partitions by their slots.
    pub slots: Vec<SlotState>,
    /// Deletes of rows that are in segments, in the order in which they apply.
    pub deltas: Vec<FileRef>,
    /// The times to live that it had, in milliseconds, with the times from which they hold.
    #[serde(default)]
    pub expiry: Vec<(Timestamp, Option<u64>)>,
    /// The intent of the last truncation that it saw; 0 for none.
    #[serde(default)]
    pub truncated: i64,
}
