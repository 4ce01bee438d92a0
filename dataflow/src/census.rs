//! What the shards of this process consist of, for those who ask for segments and not for rows.

use std::sync::Arc;

use hashbrown::HashMap;
use millstream_catalog::model::{FieldId, IndexId, PartitionId, SegmentId, VChannel};
use millstream_segment::{Piece, ShardView};
use parking_lot::RwLock;

use crate::storage::built_of;

/// A sealed segment of a shard, or the rows of a partition of it that grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPart {
    /// The shard.
    pub vchannel: VChannel,
    /// The partition.
    pub partition: PartitionId,
    /// The segment; none of rows that grow.
    pub segment: Option<SegmentId>,
    /// Number of rows, rows that ended among them.
    pub rows: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// The fields that have an index beside the rows, and which.
    pub indexes: Vec<(FieldId, IndexId)>,
}

/// The shards of a process.
#[derive(Default)]
pub(crate) struct Census(RwLock<HashMap<VChannel, Arc<ShardView>>>);

impl Census {
    pub(crate) fn add(&self, vchannel: VChannel, view: Arc<ShardView>) {
        self.0.write().insert(vchannel, view);
    }

    pub(crate) fn remove(&self, vchannel: VChannel) {
        self.0.write().remove(&vchannel);
    }

    /// The parts of some shards; of one that is not here, none.
    pub(crate) fn parts_of(&self, shards: &[VChannel]) -> Vec<ShardPart> {
        let mut parts = Vec::new();
        for &vchannel in shards {
            let Some(view) = self.0.read().get(&vchannel).cloned() else { continue };
            let part = |piece: Piece| part_of(vchannel, &view, piece);
            parts.extend(view.pieces().into_iter().map(part));
        }
        parts
    }
}

fn part_of(vchannel: VChannel, view: &ShardView, piece: Piece) -> ShardPart {
    let Piece { partition, segment, rows, bytes } = piece;
    let index = |whole, field| Some((field, built_of(whole, field)?.index));
    let specs = view.specs();
    let fields = specs.iter().map(|spec| spec.field);
    let indexes = segment.as_ref().map(|whole| fields.filter_map(|field| index(whole, field)));
    let indexes = indexes.map(Iterator::collect).unwrap_or_default();
    let segment = segment.map(|whole| SegmentId(whole.id()));
    ShardPart { vchannel, partition, segment, rows, bytes, indexes }
}
