//! Records of changes of what exists, at their place in the log of a channel.
//!
//! **Invariant.** A record that comes again changes nothing: one that the shard has applied is known
//! by its position, and one that was published again by what it says.

use std::sync::Arc;

use millstream_catalog::model::{CollectionSchema, Timestamp, VChannel};
use millstream_log::{Kind, Record};
use millstream_segment::Applied;

use super::{Channel, Effect, has_outcome};
use crate::records::DdlRecord;

impl Channel {
    /// Applies a record to a shard that is there.
    pub(super) fn ddl(
        &mut self,
        vchannel: VChannel,
        eff: Timestamp,
        record: &Record,
    ) -> Result<(), String> {
        let blob = record.blob().unwrap_or_default();
        let Some(shard) = self.shards.get_mut(&vchannel) else { return Ok(()) };
        let mut changed = Vec::new();
        match DdlRecord::decode(&blob)? {
            // The shard was made when this record was seen; a repeated one changes nothing.
            DdlRecord::CollectionCreate { .. } => {}
            DdlRecord::PartitionDrop { partition } => {
                shard.dropped.insert(partition);
                shard.writer.partition_drop(partition, eff, &mut changed);
            }
            DdlRecord::SchemaSet { schema } => shard.set_schema(schema)?,
            DdlRecord::Truncate { intent } => {
                if intent > shard.truncated {
                    shard.truncated = intent;
                    shard.writer.truncate(eff, &mut changed).map_err(|e| e.to_string())?;
                }
            }
            DdlRecord::TtlSet { ms } => {
                shard.writer.set_ttl(eff, ms);
                if shard.view.rows(&[]) > 0 {
                    // Compaction goes by what is written out.
                    self.effects.push(Effect::SealDue(vchannel));
                }
            }
            DdlRecord::CollectionDrop => self.drop_shard(vchannel, eff),
        }
        Self::changed(&mut self.effects, vchannel.collection, eff, changed);
        Ok(())
    }

    fn drop_shard(&mut self, vchannel: VChannel, eff: Timestamp) {
        let Some(shard) = self.shards.remove(&vchannel) else { return };
        let live = shard.writer.live();
        let gone = live.map(|(partition, rows)| Applied { partition, rows: -rows });
        Self::changed(&mut self.effects, vchannel.collection, eff, gone.collect());
        self.gone.insert(vchannel);
        if let Some(pinned) = shard.files.pinned() {
            self.pins.remove(&(pinned, vchannel));
        }
        self.effects.push(Effect::Gone(vchannel));
        // What was written behind the drop has nothing left to do.
        for waiting in shard.waiting {
            self.waiting_bytes -= waiting.bytes;
            if waiting.records.iter().any(has_outcome) {
                let request = waiting.request;
                self.effects.push(Effect::Outcome { request, rows: Ok(0) });
            }
        }
    }
}

/// The schema that a first record of a shard brings.
pub(super) fn created(record: Option<&Record>) -> Result<Option<Arc<CollectionSchema>>, String> {
    let Some(record) = record.filter(|r| r.kind() == Kind::Ddl) else { return Ok(None) };
    match DdlRecord::decode(&record.blob().unwrap_or_default())? {
        DdlRecord::CollectionCreate { schema } => Ok(Some(schema)),
        _ => Ok(None),
    }
}
