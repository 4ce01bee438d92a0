//! `MemoryLog`: a log without a disk, for simulation; every step can be chosen by the test.
//!
//! The entries live in a [`MemoryStore`], which outlives the logs opened over it: dropping a log
//! and opening another one is a crash and a restart. Several logs over one store are several
//! gateways.
//!
//! **Invariant.** In [`Mode::Stepped`] nothing happens inside [`Log::append`]: entries land, are
//! acknowledged and are delivered only by the calls of the test, so a run is a function of them.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_catalog::model::{ChannelId, Fault, Timestamp};
use parking_lot::Mutex;

use crate::entry::Entry;
use crate::inbox::{Delivery, Inbox};
use crate::log::{AppendDone, AppendError, Log, MsgId};

#[derive(Default)]
struct Channel {
    first_seq: u64,
    entries: Vec<Bytes>,
    ids: HashMap<MsgId, u64>,
    subscribers: Vec<Subscriber>,
}

impl Channel {
    fn next_seq(&self) -> u64 {
        self.first_seq + self.entries.len() as u64
    }

    fn entry(&self, seq: u64) -> Option<Bytes> {
        self.entries.get(usize::try_from(seq.checked_sub(self.first_seq)?).ok()?).cloned()
    }
}

struct Subscriber {
    next_seq: u64,
    inbox: Arc<Inbox>,
}

/// What survives a crash: the entries of all channels.
pub struct MemoryStore {
    channels: Vec<Mutex<Channel>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(channels: u16) -> Arc<MemoryStore> {
        let channel = || Mutex::new(Channel { first_seq: 1, ..Channel::default() });
        Arc::new(MemoryStore { channels: (0..channels).map(|_| channel()).collect() })
    }

    /// The entries of a channel with their sequences.
    pub fn entries(&self, channel: ChannelId) -> Vec<(u64, Entry)> {
        let Some(channel) = self.channels.get(usize::from(channel.0)) else { return Vec::new() };
        let channel = channel.lock();
        let entries = channel.entries.iter().cloned().map(Entry::stored);
        (channel.first_seq..).zip(entries).collect()
    }
}

/// Who decides when things happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An append lands, is delivered and acknowledged at once.
    Auto,
    /// The test takes every step.
    Stepped,
}

/// An append that a stepped log has not acknowledged yet.
struct Flying {
    channel: ChannelId,
    entry: Bytes,
    id: MsgId,
    landed: Option<u64>,
    done: AppendDone,
}

/// A log in memory.
pub struct MemoryLog {
    store: Arc<MemoryStore>,
    exclusive: bool,
    mode: Mode,
    entry_bytes_max: usize,
    flying: Mutex<Vec<Flying>>,
}

impl MemoryLog {
    /// A log over a store. `exclusive` when it is the only one.
    pub fn open(store: Arc<MemoryStore>, exclusive: bool, mode: Mode) -> Arc<MemoryLog> {
        MemoryLog::with_entry_bytes(store, exclusive, mode, 1 << 20)
    }

    /// A log with a chosen size of entries.
    pub fn with_entry_bytes(
        store: Arc<MemoryStore>,
        exclusive: bool,
        mode: Mode,
        entry_bytes_max: usize,
    ) -> Arc<MemoryLog> {
        let flying = Mutex::new(Vec::new());
        Arc::new(MemoryLog { store, exclusive, mode, entry_bytes_max, flying })
    }

    fn channel(&self, channel: ChannelId) -> Result<&Mutex<Channel>, Fault> {
        let found = self.store.channels.get(usize::from(channel.0));
        found.ok_or_else(|| Fault::internal(format!("the log has no channel {channel}")))
    }

    fn land(&self, channel: ChannelId, entry: &Bytes, id: MsgId) -> Result<u64, AppendError> {
        let mut channel =
            self.channel(channel).map_err(|e| AppendError::Refused(e.message))?.lock();
        let next = channel.next_seq();
        let seq = *channel.ids.entry(id).or_insert(next);
        if seq == next {
            channel.entries.push(entry.clone());
        }
        Ok(seq)
    }

    /// The appends that are not acknowledged, oldest first.
    pub fn in_flight(&self) -> Vec<(ChannelId, MsgId)> {
        self.flying.lock().iter().map(|f| (f.channel, f.id)).collect()
    }

    /// Stores the `index`-th append in flight, in any order; its acknowledgement is still to come.
    /// Again for the same append: stored once.
    pub fn step_land(&self, index: usize) -> Option<u64> {
        let mut flying = self.flying.lock();
        let flying = flying.get_mut(index)?;
        flying.landed = self.land(flying.channel, &flying.entry, flying.id).ok();
        flying.landed
    }

    /// Stores the `index`-th append in flight, unless it is, and acknowledges it.
    pub fn step_ack(&self, index: usize) -> bool {
        self.step_land(index);
        self.finish(index, |flying| {
            flying.landed.ok_or_else(|| AppendError::Refused("there is no such channel".into()))
        })
    }

    /// Tells the writer of the `index`-th append in flight that its outcome is unknown: it is in
    /// the log if it has landed.
    pub fn step_lose(&self, index: usize) -> bool {
        self.finish(index, |_| Err(AppendError::Unknown("no acknowledgement".into())))
    }

    /// Refuses the `index`-th append in flight.
    pub fn step_refuse(&self, index: usize) -> bool {
        self.finish(index, |_| Err(AppendError::Refused("no space is left".into())))
    }

    fn finish(
        &self,
        index: usize,
        outcome: impl FnOnce(&Flying) -> Result<u64, AppendError>,
    ) -> bool {
        let mut all = self.flying.lock();
        if index >= all.len() {
            return false;
        }
        let flying = all.remove(index);
        drop(all);
        let outcome = outcome(&flying);
        (flying.done)(outcome);
        true
    }

    /// Delivers the next stored entry of a channel to each of its subscribers that lacks it.
    /// `false` when there was nothing to deliver.
    pub fn step_deliver(&self, channel: ChannelId) -> bool {
        let Ok(channel) = self.channel(channel) else { return false };
        let mut channel = channel.lock();
        let mut deliveries = Vec::new();
        let mut subscribers = std::mem::take(&mut channel.subscribers);
        subscribers.retain(|s| !s.inbox.is_closed());
        for subscriber in &mut subscribers {
            if let Some(bytes) = channel.entry(subscriber.next_seq) {
                deliveries.push((Arc::clone(&subscriber.inbox), subscriber.next_seq, bytes));
                subscriber.next_seq += 1;
            }
        }
        channel.subscribers = subscribers;
        drop(channel);
        for (inbox, seq, bytes) in &deliveries {
            inbox.push_now(Delivery::Entry { seq: *seq, entry: Entry::stored(bytes.clone()) });
        }
        !deliveries.is_empty()
    }

    /// Delivers an entry once more to all subscribers that had it, as a log may that lost its
    /// place.
    pub fn redeliver(&self, channel: ChannelId, seq: u64) {
        let Ok(channel) = self.channel(channel) else { return };
        let (bytes, inboxes) = {
            let channel = channel.lock();
            let had = channel.subscribers.iter().filter(|s| s.next_seq > seq);
            (channel.entry(seq), had.map(|s| Arc::clone(&s.inbox)).collect::<Vec<_>>())
        };
        for inbox in inboxes {
            if let Some(bytes) = bytes.clone() {
                inbox.push_now(Delivery::Entry { seq, entry: Entry::stored(bytes) });
            }
        }
    }

    /// Lands, acknowledges and delivers until nothing is left to do.
    pub fn settle(&self) {
        while self.step_ack(0) {}
        self.deliver_all();
    }

    /// Delivers all stored entries.
    pub fn deliver_all(&self) {
        for channel in 0..self.channels() {
            while self.step_deliver(ChannelId(channel)) {}
        }
    }
}

#[async_trait]
impl Log for MemoryLog {
    fn channels(&self) -> u16 {
        u16::try_from(self.store.channels.len()).unwrap_or(u16::MAX)
    }

    fn exclusive(&self) -> bool {
        self.exclusive
    }

    fn entry_bytes_max(&self) -> usize {
        self.entry_bytes_max
    }

    fn window(&self) -> usize {
        if self.exclusive { 1 } else { 16 }
    }

    fn append(&self, channel: ChannelId, entry: Entry, id: MsgId, done: AppendDone) {
        let entry = entry.to_bytes();
        if self.mode == Mode::Stepped {
            self.flying.lock().push(Flying { channel, entry, id, landed: None, done });
            return;
        }
        let outcome = self.land(channel, &entry, id);
        while self.step_deliver(channel) {}
        done(outcome);
    }

    fn tick(&self, channel: ChannelId, ts: Timestamp) {
        // Everything before the tick was acknowledged, so it is stored: deliver it first.
        while self.step_deliver(channel) {}
        let Ok(channel) = self.channel(channel) else { return };
        let inboxes: Vec<_> =
            channel.lock().subscribers.iter().map(|s| Arc::clone(&s.inbox)).collect();
        for inbox in inboxes {
            inbox.push_now(Delivery::Tick(ts));
        }
    }

    async fn subscribe(
        &self,
        channel: ChannelId,
        after_seq: u64,
        inbox: Arc<Inbox>,
    ) -> Result<(), Fault> {
        let found = self.channel(channel)?;
        {
            let mut found = found.lock();
            if after_seq + 1 < found.first_seq || after_seq >= found.next_seq() {
                return Err(out_of_reach(
                    channel,
                    after_seq,
                    found.first_seq,
                    found.next_seq() - 1,
                ));
            }
            found.subscribers.push(Subscriber { next_seq: after_seq + 1, inbox });
        }
        if self.mode == Mode::Auto {
            while self.step_deliver(channel) {}
        }
        Ok(())
    }

    async fn bounds(&self, channel: ChannelId) -> Result<(u64, u64), Fault> {
        let channel = self.channel(channel)?.lock();
        Ok((channel.first_seq, channel.next_seq() - 1))
    }

    async fn truncate(&self, channel: ChannelId, through_seq: u64) -> Result<(), Fault> {
        let mut channel = self.channel(channel)?.lock();
        let count = through_seq.saturating_add(1).saturating_sub(channel.first_seq);
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(channel.entries.len());
        channel.entries.drain(..count);
        channel.first_seq += count as u64;
        Ok(())
    }

    async fn check(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// The error of reading from a place that the log does not have.
pub(crate) fn out_of_reach(channel: ChannelId, after_seq: u64, first: u64, last: u64) -> Fault {
    Fault::internal(format!(
        "channel {channel} of the log holds entries {first} to {last}: it cannot be read from \
         {} on. The catalog and the log do not belong together, or one of them lost data",
        after_seq + 1
    ))
}
