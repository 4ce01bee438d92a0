//! When shards are sealed, and what the channel must keep of its log until they are written out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashSet;
use millstream_catalog::catalog::Checkpoint;
use millstream_catalog::model::{Fault, PartitionId, Timestamp, VChannel};
use millstream_segment::{Applied, Chunk, History, Position, ShardWriter};

use super::shard::Shard;
use super::{Channel, Effect, Flush};
use crate::storage::StartShard;

/// A shard is sealed when rows of so many bytes are not sealed.
const SHARD_BYTES_MAX: usize = 128 << 20;
/// A shard is sealed when the channel keeps so much of its log for it: one quiet row never pins more.
const LOG_BYTES_MAX: u64 = 256 << 20;
/// A shard is sealed when its oldest unit that is not written out is so old, in milliseconds.
const AGE_MAX_MS: u64 = 600_000;
/// All shards are looked at whenever so many bytes came...
const LOOK_BYTES: u64 = 16 << 20;
/// ... or so many milliseconds of the log passed.
const LOOK_MS: u64 = 30_000;

/// How far the log of a channel has come.
#[derive(Default)]
pub(super) struct Pace {
    /// Bytes of the entries that came.
    pub(super) bytes: u64,
    looked_bytes: u64,
    looked_at: Timestamp,
}

/// Units of a shard that are not written out.
struct Pin {
    before: Checkpoint,
    /// Bytes of the channel's entries before them.
    log_bytes: u64,
}

/// What of a shard is written out.
#[derive(Default)]
pub(super) struct Files {
    /// The units since the last seal.
    open: Option<Pin>,
    /// Whether somebody was asked to seal it.
    asked: bool,
    /// The seals that are not written out, oldest first.
    sealed: VecDeque<(Position, Pin)>,
    /// The entry that the log keeps for it, and all behind.
    pinned: Option<u64>,
}

/// Rows of a partition that were written out.
pub(crate) struct Stored {
    pub(crate) slot: u32,
    pub(crate) first_row: u32,
    pub(crate) rows: u32,
    pub(crate) chunks: Vec<Arc<Chunk>>,
}

impl Files {
    /// Notes a unit that reading must begin at `begins_after` for: the parts of a large one may lie
    /// before units that were noted earlier.
    pub(super) fn note(&mut self, pace: &Pace, begins_after: Checkpoint) {
        let pin = self.open.get_or_insert(Pin { before: begins_after, log_bytes: pace.bytes });
        if begins_after.seq < pin.before.seq {
            pin.before = begins_after;
        }
    }

    /// Notes the seal at `position`, behind the units that were noted: they are pinned until it is
    /// written out, and those that follow from their own first one.
    pub(super) fn end(&mut self, position: Position) {
        self.asked = false;
        self.sealed.extend(self.open.take().map(|pin| (position, pin)));
    }

    /// Whether a shard that holds `bytes` which are not sealed should be sealed.
    fn is_due(&self, bytes: usize, pace: &Pace, closed: Timestamp) -> bool {
        let Some(pin) = self.open.as_ref().filter(|_| !self.asked) else { return false };
        bytes >= SHARD_BYTES_MAX
            || pace.bytes - pin.log_bytes >= LOG_BYTES_MAX
            || pin.before.closed < closed.minus_ms(AGE_MAX_MS)
    }

    /// The entry whose pin the channel has for it.
    pub(super) fn pinned(&self) -> Option<u64> {
        self.pinned
    }

    /// What the log must keep.
    fn needed(&self) -> Option<Checkpoint> {
        let sealed = self.sealed.iter().map(|(_, pin)| pin.before);
        sealed.chain(self.open.as_ref().map(|pin| pin.before)).min_by_key(|before| before.seq)
    }
}

/// Keeps the pin of a shard where its files need it.
pub(super) fn repin(
    pins: &mut BTreeMap<(u64, VChannel), Timestamp>,
    vchannel: VChannel,
    shard: &mut Shard,
) {
    let needed = shard.files.needed();
    let pinned = needed.map(|checkpoint| checkpoint.seq);
    if pinned == shard.files.pinned {
        return;
    }
    if let Some(before) = std::mem::replace(&mut shard.files.pinned, pinned) {
        pins.remove(&(before, vchannel));
    }
    pins.extend(needed.map(|Checkpoint { seq, closed }| ((seq, vchannel), closed)));
}

impl Channel {
    /// Enters a shard as it was written out, and how its rows came to be; changes before `history`
    /// count as if they came then. A shard that cannot be read stops the channel.
    pub(crate) fn load(
        &mut self,
        start: &StartShard,
        loaded: Result<(ShardWriter, History), Fault>,
        history: Timestamp,
    ) {
        let (writer, changes) = match loaded {
            Ok(loaded) => loaded,
            Err(fault) => return self.fail(fault.message),
        };
        let slots = start.stored.as_ref().map_or(&[][..], |(state, _)| &state.slots);
        // Of the slots of a partition the last one decides: those before it were truncated.
        let mut dropped = HashSet::new();
        for slot in slots {
            match slot.dropped_at {
                Some(_) => dropped.insert(slot.partition),
                None => dropped.remove(&slot.partition),
            };
        }
        let truncated = start.stored.as_ref().map_or(0, |(state, _)| state.truncated);
        match Shard::over(Arc::clone(&start.schema), writer, dropped) {
            Ok(mut shard) => {
                shard.truncated = truncated;
                self.effects.push(Effect::Came(start.vchannel, Arc::clone(&shard.view)));
                self.shards.insert(start.vchannel, shard);
            }
            Err(reason) => return self.fail(reason),
        };
        let mut sums: BTreeMap<(Timestamp, PartitionId), i64> = BTreeMap::new();
        for (partition, eff, rows) in changes {
            *sums.entry((eff.max(history), partition)).or_default() += rows;
        }
        for ((eff, partition), rows) in sums {
            let changed = vec![Applied { partition, rows }];
            Self::changed(&mut self.effects, start.vchannel.collection, eff, changed);
        }
    }

    /// Asks for a seal of every shard that holds too much, or for too long.
    pub(super) fn seal_what_is_due(&mut self) {
        let pace = &mut self.pace;
        let late = pace.looked_at < self.closed.minus_ms(LOOK_MS);
        if pace.bytes - pace.looked_bytes < LOOK_BYTES && !late {
            return;
        }
        (pace.looked_bytes, pace.looked_at) = (pace.bytes, self.closed);
        for (vchannel, shard) in &mut self.shards {
            if shard.files.is_due(shard.writer.unsealed_bytes(), pace, self.closed) {
                shard.files.asked = true;
                self.effects.push(Effect::SealDue(*vchannel));
            }
        }
        // What ended a while ago may be old enough now.
        let mut shards: Vec<VChannel> = self.shards.keys().copied().collect();
        shards.sort_unstable();
        self.effects.extend(shards.into_iter().map(Effect::Look));
    }

    /// Seals a shard: what it holds beyond the seal before goes out.
    pub(super) fn seal(&mut self, vchannel: VChannel, eff: Timestamp) {
        let Some(shard) = self.shards.get_mut(&vchannel) else { return };
        let sealed = shard.writer.seal();
        let schema = Arc::clone(shard.schema());
        let truncated = shard.truncated;
        let flush = Flush { vchannel, channel: self.id, schema, eff, sealed, truncated };
        self.effects.push(Effect::Flush(Box::new(flush)));
    }

    /// Puts what was written out in the place of what was sealed at `position`, and lets the log go
    /// that was kept for it.
    pub(crate) fn flushed(&mut self, vchannel: VChannel, position: Position, stored: &[Stored]) {
        let Some(shard) = self.shards.get_mut(&vchannel) else { return };
        if shard.files.sealed.front().is_none_or(|(sealed, _)| *sealed != position) {
            return;
        }
        for Stored { slot, first_row, rows, chunks } in stored {
            shard.writer.freeze(*slot, *first_row, *rows, chunks);
        }
        shard.files.sealed.pop_front();
        repin(&mut self.pins, vchannel, shard);
    }
}
