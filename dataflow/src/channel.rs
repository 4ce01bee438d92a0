//! One channel of the log as state: the eff rule, closed-through, and the shards that live on it.
//!
//! **Invariant.** `eff` and `closed` are functions of the log prefix: for each unit in order
//! `eff = max(ts, closed + 1)`, then `closed = max(closed, ts)`. What is closed never changes again.
//!
//! **Invariant.** A shard whose oldest unit still waits for a filter delete is closed only up to
//! just before that unit; the other shards of the channel go on.
//!
//! **Absent on purpose.** No timely types, no clock, no threads: the same code runs under timely
//! and in simulation. Long work leaves as an [`Effect`] and comes back through
//! [`Channel::delete_found`].

mod ddl;
mod lookup;
mod seal;
mod shard;
mod texts;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use ddl::created;
use hashbrown::{HashMap, HashSet};
use millstream_catalog::catalog::Checkpoint;
use millstream_catalog::model::{
    ChannelId, CollectionId, CollectionSchema, Fault, PartitionId, RequestId, Timestamp, VChannel,
};
use millstream_log::{Assembler, Delivery, Kind, Place, Record, Unit};
use millstream_segment::{Applied, Position, RowRef, Sealed, ShardView};
pub(crate) use seal::Stored;
use seal::{Pace, repin};
use shard::Shard;

use crate::read::ReadShard;
use crate::records::{ALL_PARTITIONS, PARTITIONS};
use crate::storage::Compacted;

/// Bytes of records that may wait for filter deletes before the channel takes no more.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// What applying a delivery asks of the world around the channel.
pub(crate) enum Effect {
    /// The number of rows of a partition changed at `eff`.
    Rows { collection: CollectionId, partition: PartitionId, eff: Timestamp, rows: i64 },
    /// A filter delete must find its rows; hand them to [`Channel::delete_found`].
    Find(Find),
    /// What the filter delete or the update of a request did on one shard: the number of rows, or
    /// why it did nothing.
    Outcome { request: RequestId, rows: Result<u64, Fault> },
    /// A shard holds so much that is not written out, or for so long, that it should be sealed.
    SealDue(VChannel),
    /// A shard was sealed: what it holds must be written out, then [`Channel::flushed`].
    Flush(Box<Flush>),
    /// A shard has come: its readers' end.
    Came(VChannel, Arc<ShardView>),
    /// A partition of a shard was dropped at a time: once nobody reads before it,
    /// [`Channel::release_dropped`].
    Dropped(VChannel, Timestamp),
    /// A shard may have something to compact.
    Look(VChannel),
    /// A shard is gone, with its collection.
    Gone(VChannel),
}

/// What a sealed shard holds beyond what it held when it was sealed before.
pub(crate) struct Flush {
    pub(crate) vchannel: VChannel,
    pub(crate) channel: ChannelId,
    pub(crate) schema: Arc<CollectionSchema>,
    /// The effective time of the seal: the shard is closed through it once this is written out.
    pub(crate) eff: Timestamp,
    pub(crate) sealed: Sealed,
    /// The last truncation that it saw.
    pub(crate) truncated: i64,
}

/// The search of a filter delete for its rows: all that is visible at `eff` in the shard as it is.
pub(crate) struct Find {
    pub(crate) vchannel: VChannel,
    pub(crate) position: Position,
    pub(crate) eff: Timestamp,
    pub(crate) shard: ReadShard,
    /// Only in these partitions; in all when empty.
    pub(crate) partitions: Vec<PartitionId>,
    pub(crate) plan: Bytes,
}

/// A unit, or what is left of it, that waits its turn on a shard.
struct Waiting {
    position: Position,
    eff: Timestamp,
    request: RequestId,
    records: VecDeque<Record>,
    begun: bool,
    bytes: usize,
}

/// The state of one channel.
pub(crate) struct Channel {
    id: ChannelId,
    assembler: Assembler,
    closed: Timestamp,
    entry_began: Checkpoint,
    shards: HashMap<VChannel, Shard>,
    /// Collections that the catalog named when the channel was opened: they must have a ddl record.
    expected: Arc<HashSet<CollectionId>>,
    /// Shards whose drop was seen here: what comes later for them was written at the same time.
    gone: HashSet<VChannel>,
    /// Shards that hold rows of dropped partitions, as of the last unit.
    dropping: Vec<VChannel>,
    broken: Option<Fault>,
    effects: Vec<Effect>,
    /// Bytes of the records that wait.
    waiting_bytes: usize,
    /// The shards with units that are not written out, by the last entry before the first of these,
    /// with closed-through there.
    pins: BTreeMap<(u64, VChannel), Timestamp>,
    pace: Pace,
    norms: millstream_segment::NormFn,
}

impl Channel {
    /// The channel as it was right after a checkpoint.
    pub(crate) fn new(
        id: ChannelId,
        from: Checkpoint,
        expected: Arc<HashSet<CollectionId>>,
        norms: millstream_segment::NormFn,
    ) -> Channel {
        Channel {
            id,
            assembler: Assembler::new(from.seq, from.closed),
            closed: from.closed,
            entry_began: from,
            shards: HashMap::new(),
            expected,
            gone: HashSet::new(),
            dropping: Vec::new(),
            broken: None,
            effects: Vec::new(),
            waiting_bytes: 0,
            pins: BTreeMap::new(),
            pace: Pace::default(),
            norms,
        }
    }

    /// Whether so much waits for filter deletes that deliveries should wait too.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting_bytes >= WAITING_BYTES_MAX
    }

    /// Number of the channel.
    pub(crate) fn id(&self) -> ChannelId {
        self.id
    }

    /// Closed-through of the channel: every time up to here is closed on all its shards.
    pub(crate) fn closed(&self) -> Timestamp {
        if self.waiting_bytes == 0 {
            return self.closed;
        }
        let shard = |s: &Shard| s.waiting.front().map(|w| w.eff.prev());
        self.shards.values().filter_map(shard).min().map_or(self.closed, |c| c.min(self.closed))
    }

    /// Closed-through of one shard.
    pub(crate) fn vclosed(&self, vchannel: VChannel) -> Timestamp {
        let waiting = self.shards.get(&vchannel).and_then(|s| s.waiting.front());
        waiting.map_or(self.closed, |w| w.eff.prev().min(self.closed))
    }

    /// Why the channel stopped, if it did.
    pub(crate) fn broken(&self) -> Option<&Fault> {
        self.broken.as_ref()
    }

    /// Applies a delivery. What it asks for is in [`Channel::take_effects`] afterwards.
    pub(crate) fn deliver(&mut self, delivery: Delivery) {
        if self.broken.is_some() {
            return;
        }
        match delivery {
            Delivery::Tick(ts) => {
                self.closed = self.closed.max(ts);
                self.release_later();
                self.seal_what_is_due();
            }
            Delivery::Broken(reason) => self.fail(reason),
            Delivery::Entry { seq, entry } => match self.assembler.push(seq, &entry) {
                Ok(units) => {
                    self.pace.bytes += entry.len() as u64;
                    for unit in units {
                        if let Err(reason) = self.apply(unit) {
                            return self.fail(reason);
                        }
                    }
                    self.seal_what_is_due();
                    self.entry_began = Checkpoint { seq, closed: self.closed };
                }
                Err(corrupt) => self.fail(corrupt.to_string()),
            },
        }
    }

    /// What was asked for since the last call.
    pub(crate) fn take_effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// Ends the rows that a filter delete found, and goes on with what waited behind it.
    pub(crate) fn delete_found(
        &mut self,
        vchannel: VChannel,
        position: Position,
        rows: Result<Vec<RowRef>, Fault>,
    ) {
        let Some(shard) = self.shards.get_mut(&vchannel) else { return };
        let Some(first) = shard.waiting.front().filter(|w| w.position == position) else { return };
        let (eff, request) = (first.eff, first.request);
        let rows = match rows {
            Ok(rows) => rows,
            // The plan was checked by the gateway that wrote it: this is damage, not bad input.
            Err(fault) => {
                self.effects.push(Effect::Outcome { request, rows: Err(fault.clone()) });
                return self.fail(fault.message);
            }
        };
        let mut changed = Vec::new();
        shard.writer.delete_rows(eff, rows, &mut changed);
        shard.finding = false;
        let ended: i64 = changed.iter().map(|c| -c.rows).sum();
        let rows = Ok(u64::try_from(ended).unwrap_or(0));
        self.effects.push(Effect::Outcome { request, rows });
        Self::changed(&mut self.effects, vchannel.collection, eff, changed);
        if let Err(reason) = self.go_on(vchannel) {
            self.fail(reason);
        }
    }

    /// The last entry that no shard needs, and closed-through as it was right after it.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        if self.broken.is_some() {
            return None;
        }
        let pin = self.pins.first_key_value();
        let pin = pin.map(|(&(seq, _), &closed)| Checkpoint { seq, closed });
        let staged = self.assembler.first_staged();
        let staged = staged.map(|Place { seq, closed }| Checkpoint { seq, closed });
        let first = pin.into_iter().chain(staged).min_by_key(|checkpoint| checkpoint.seq);
        Some(first.unwrap_or(self.entry_began))
    }

    fn fail(&mut self, reason: String) {
        let text = format!("channel {} stopped after entry {}: {reason}", self.id, {
            self.entry_began.seq
        });
        tracing::error!(channel = %self.id, "{text}");
        self.broken = Some(Fault::internal(text));
    }

    fn apply(&mut self, unit: Unit) -> Result<(), String> {
        let eff = unit.ts.max(self.closed.next());
        let position = Position { seq: unit.position.seq, index: unit.position.index };
        let Place { seq, closed } = unit.begins_after;
        let begins_after = Checkpoint { seq, closed };
        let mut records = VecDeque::from(unit.records);
        while let Some(first) = records.front() {
            let vchannel = VChannel { collection: first.collection(), shard: first.shard() };
            // Nearly always all of them.
            let other =
                |r: &Record| (r.collection(), r.shard()) != (vchannel.collection, vchannel.shard);
            let rest = if records.iter().any(other) {
                let (mine, rest) = records.into_iter().partition(|r| !other(r));
                records = mine;
                rest
            } else {
                VecDeque::new()
            };
            let bytes = records.iter().map(|r| r.bytes().len()).sum();
            let (request, begun) = (unit.request, false);
            let waiting = Waiting { position, eff, request, records, begun, bytes };
            self.enqueue(vchannel, waiting, begins_after)?;
            records = rest;
        }
        self.closed = self.closed.max(unit.ts);
        let dropping = |(_, shard): &(&VChannel, &Shard)| shard.writer.oldest_drop().is_some();
        self.dropping =
            self.shards.iter().filter(dropping).map(|(vchannel, _)| *vchannel).collect();
        self.release_later();
        Ok(())
    }

    /// Has somebody see whether rows of dropped partitions can be freed: time went on.
    fn release_later(&mut self) {
        for vchannel in &self.dropping {
            let dropped = self.shards.get(vchannel).and_then(|shard| shard.writer.oldest_drop());
            self.effects.extend(dropped.map(|at| Effect::Dropped(*vchannel, at)));
        }
    }

    /// Frees the rows of partitions of a shard that were dropped at or before `since`, before which
    /// nobody reads.
    pub(crate) fn release_dropped(&mut self, vchannel: VChannel, since: Timestamp) {
        if self.shards.get_mut(&vchannel).is_some_and(|shard| shard.release_dropped(since)) {
            // The seal takes the files of these rows out of the manifest.
            self.effects.push(Effect::SealDue(vchannel));
        }
    }

    /// Goes on with putting compacted rows in the place of others: first those that expired leave
    /// the index, from the number `from` on and a bounded number at a time. The number to go on from,
    /// until the rows are in their place.
    pub(crate) fn compact(&mut self, compacted: &Compacted, from: u32) -> Option<u32> {
        let Compacted { vchannel, since, expired, rows, chunks } = compacted;
        let shard = self.shards.get_mut(vchannel)?;
        let (slot, first_row, count) = *rows;
        let mut changed = Vec::new();
        let next = shard.writer.expire(slot, (from, first_row + count), *expired, &mut changed);
        // Earlier counts have these rows, also those that ended later than they expired.
        let eff = self.closed.next();
        if *expired > Timestamp::MIN {
            shard.writer.count_from(eff);
        }
        Self::changed(&mut self.effects, vchannel.collection, eff, changed);
        if next.is_none() {
            shard.writer.compact(*since, *rows, chunks);
        }
        next
    }

    fn enqueue(
        &mut self,
        vchannel: VChannel,
        mut waiting: Waiting,
        begins_after: Checkpoint,
    ) -> Result<(), String> {
        if !self.shards.contains_key(&vchannel) {
            let Some(schema) = created(waiting.records.front())? else {
                // A drop that is carried out again after a crash may find nothing left to drop.
                let drops = waiting.records.front().is_some_and(|r| r.kind() == Kind::Ddl);
                if drops {
                    self.gone.insert(vchannel);
                }
                let expected = self.expected.contains(&vchannel.collection);
                if expected && !self.gone.contains(&vchannel) {
                    let id = vchannel.collection;
                    return Err(format!("collection {id} has records before its schema"));
                }
                // Written at the same time as the drop of the collection, and positioned after it.
                tracing::debug!(?vchannel, "records of a dropped collection are ignored");
                self.effects.push(Effect::Gone(vchannel));
                let request = waiting.request;
                if waiting.records.drain(..).any(|r| has_outcome(&r)) {
                    self.effects.push(Effect::Outcome { request, rows: Ok(0) });
                }
                return Ok(());
            };
            let shard = Shard::new(schema, self.norms)?;
            self.effects.push(Effect::Came(vchannel, Arc::clone(&shard.view)));
            self.shards.insert(vchannel, shard);
        }
        if let Some(shard) = self.shards.get_mut(&vchannel) {
            self.waiting_bytes += waiting.bytes;
            if waiting.position > shard.writer.applied() {
                shard.files.note(&self.pace, begins_after);
                repin(&mut self.pins, vchannel, shard);
                if waiting.records.iter().any(|record| record.kind() == Kind::Seal) {
                    shard.files.end(waiting.position);
                }
            }
            shard.waiting.push_back(waiting);
        }
        self.go_on(vchannel)
    }

    /// Applies what waits on a shard, until nothing is left or a filter delete must find its rows.
    fn go_on(&mut self, vchannel: VChannel) -> Result<(), String> {
        loop {
            let Some(shard) = self.shards.get_mut(&vchannel) else { return Ok(()) };
            let Some(waiting) = shard.waiting.front_mut().filter(|_| !shard.finding) else {
                return Ok(());
            };
            let replayed = !waiting.begun && !shard.writer.begin(waiting.position);
            let record = if replayed { None } else { waiting.records.pop_front() };
            waiting.begun = true;
            let Some(record) = record else {
                self.waiting_bytes -= waiting.bytes;
                shard.waiting.pop_front();
                continue;
            };
            let (position, eff, request) = (waiting.position, waiting.eff, waiting.request);
            if record.kind() == Kind::Ddl {
                self.ddl(vchannel, eff, &record)?;
            } else if record.kind() == Kind::Seal {
                self.seal(vchannel, eff);
            } else if let Some(plan) = record.blob().filter(|_| record.kind() == Kind::Delete) {
                shard.finding = true;
                let partitions = partitions_of(&record);
                let shard = shard.read();
                let find = Find { vchannel, position, eff, shard, partitions, plan };
                self.effects.push(Effect::Find(find));
            } else {
                let at = |e| format!("request {request}, collection {}: {e}", vchannel.collection);
                let changed = if record.kind() == Kind::Update {
                    let mut records = vec![record];
                    let is_update = |next: &mut Record| next.kind() == Kind::Update;
                    while let Some(next) = waiting.records.pop_front_if(is_update) {
                        records.push(next);
                    }
                    let (rows, changed) = shard.update(eff, &records).map_err(at)?;
                    self.effects.push(Effect::Outcome { request, rows });
                    changed
                } else {
                    shard.rows(eff, &record).map_err(at)?
                };
                Self::changed(&mut self.effects, vchannel.collection, eff, changed);
            }
        }
    }

    fn changed(
        effects: &mut Vec<Effect>,
        collection: CollectionId,
        eff: Timestamp,
        changed: Vec<Applied>,
    ) {
        let changed = changed.into_iter().filter(|c| c.rows != 0);
        effects.extend(changed.map(|Applied { partition, rows }| Effect::Rows {
            collection,
            partition,
            eff,
            rows,
        }));
    }
}

/// The partitions that a delete by filter is about; none when it is about all of them.
fn partitions_of(record: &Record) -> Vec<PartitionId> {
    match (record.partition(), record.column(PARTITIONS)) {
        (ALL_PARTITIONS, None) => Vec::new(),
        (ALL_PARTITIONS, Some(column)) => column.data.i64s().map(PartitionId).collect(),
        (one, _) => vec![one],
    }
}

/// Whether somebody waits to hear what a record did.
fn has_outcome(record: &Record) -> bool {
    match record.kind() {
        Kind::Update => true,
        Kind::Delete => record.blob().is_some(),
        Kind::Insert | Kind::Upsert | Kind::Seal | Kind::Ddl => false,
    }
}
