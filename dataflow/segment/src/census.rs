//! What a shard consists of: the sealed segments of its partitions, and the rows that grow.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_catalog::model::PartitionId;

use crate::spec::ColumnSpec;
use crate::view::ShardView;
use crate::whole::Whole;

/// Rows of one partition that belong together.
#[derive(Clone)]
pub struct Piece {
    /// The partition.
    pub partition: PartitionId,
    /// The sealed segment that they are; none of rows that grow.
    pub segment: Option<Arc<Whole>>,
    /// Number of rows, rows that ended among them.
    pub rows: u64,
    /// Bytes of their values.
    pub bytes: u64,
}

impl ShardView {
    /// The pieces of the partitions that are not dropped, in order of their rows.
    pub fn pieces(&self) -> Vec<Piece> {
        let row_bytes: usize = self.specs().iter().map(ColumnSpec::row_bytes).sum();
        let mut pieces: Vec<Piece> = Vec::new();
        for partition in self.partitions.load().iter() {
            if partition.dropped_at.load(Ordering::Acquire) != u64::MAX {
                continue;
            }
            let first = pieces.len();
            for chunk in partition.chunks.load().iter() {
                let segment = chunk.segment().cloned();
                let (rows, bytes) = (chunk.rows() as u64, chunk.bytes(row_bytes) as u64);
                let same = |piece: &&mut Piece| {
                    piece.segment.as_ref().map(Arc::as_ptr) == segment.as_ref().map(Arc::as_ptr)
                };
                match pieces[first..].last_mut().filter(same) {
                    Some(piece) => {
                        piece.rows += rows;
                        piece.bytes += bytes;
                    }
                    None => pieces.push(Piece { partition: partition.id, segment, rows, bytes }),
                }
            }
        }
        pieces
    }
}
