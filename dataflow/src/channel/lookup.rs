//! What reads get from a channel: a shard's rows and texts, and rows found by their keys.

use std::sync::Arc;

use millstream_catalog::model::{CollectionSchema, Timestamp, VChannel};
use millstream_segment::{Key, RowRef};

use super::Channel;
use super::shard::Shard;
use crate::api::KeyList;
use crate::read::ReadShard;

impl Channel {
    /// The readers' ends of a shard; `None` when the channel has none of it (yet, or any more).
    pub(crate) fn read(&self, vchannel: VChannel) -> Option<ReadShard> {
        self.shards.get(&vchannel).map(Shard::read)
    }

    /// The schema of a shard's rows.
    pub(crate) fn schema(&self, vchannel: VChannel) -> Option<&Arc<CollectionSchema>> {
        self.shards.get(&vchannel).map(Shard::schema)
    }

    /// The rows of a shard that have these keys at `as_of`, which is closed; `None` when only a scan
    /// can tell.
    pub(crate) fn find_keys(
        &self,
        vchannel: VChannel,
        keys: &KeyList,
        as_of: Timestamp,
    ) -> Option<Vec<RowRef>> {
        let writer = &self.shards.get(&vchannel)?.writer;
        match keys {
            KeyList::Int(keys) => writer.find(keys.iter().map(|key| Key::Int(*key)), as_of),
            KeyList::Text(keys) => {
                writer.find(keys.iter().map(|key| Key::Text(key.as_bytes())), as_of)
            }
        }
    }
}
