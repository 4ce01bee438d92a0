//! `Lane`: what one channel of a writer has queued and in flight, and what to do next.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::channel::oneshot;
use millstream_catalog::model::{RequestId, Timestamp};

use super::LaneStats;
use super::ticket::UnitTicket;
use crate::entry::{Entry, PART_HEAD_BYTES, Part, PartHead};
use crate::log::{AppendError, MsgId};

/// What the log under a writer allows.
pub(super) struct Limits {
    pub(super) entry_bytes_max: usize,
    pub(super) window: usize,
    pub(super) exclusive: bool,
}

/// A stamped unit whose parts wait.
pub(super) struct Queued {
    pub(super) ts: Timestamp,
    pub(super) request: RequestId,
    pub(super) unit_bytes: u64,
    pub(super) records: u32,
    pub(super) parts: VecDeque<Part>,
    pub(super) ticket: Arc<UnitTicket>,
}

/// A part on its way.
struct Sent {
    head: PartHead,
    chunks: Vec<bytes::Bytes>,
    ticket: Arc<UnitTicket>,
}

/// The parts of one entry.
pub(super) struct Batch {
    sent: Vec<Sent>,
    tick: Option<Timestamp>,
    bytes: usize,
}

/// What a lane has to do next.
pub(super) enum Action {
    Append(Batch),
    Tick(Timestamp),
}

#[derive(Default)]
pub(super) struct Lane {
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    flying_bytes: usize,
    in_flight: usize,
    /// The largest stamp that is in the log or on its way to it.
    stamped: Timestamp,
    /// The largest tick that somebody waits for and nothing under way serves.
    tick: Option<Timestamp>,
    tick_in_flight: bool,
    pumping: bool,
    waiting: Vec<oneshot::Sender<()>>,
    entries: u64,
    units: u64,
}

impl Batch {
    /// Moves the bytes into an entry, and names it.
    pub(super) fn encode(&mut self) -> (Entry, MsgId) {
        let mut entry = Entry::building();
        for sent in &mut self.sent {
            entry.part(&sent.head, std::mem::take(&mut sent.chunks));
        }
        if let Some(ts) = self.tick {
            entry.part(&tick_head(ts), []);
        }
        let id = match (self.sent.first(), self.tick) {
            (Some(sent), _) => MsgId::Data { ts: sent.head.ts, offset: sent.head.offset },
            (None, tick) => MsgId::Tick(tick.unwrap_or_default()),
        };
        (entry, id)
    }

    /// Tells the requests behind the parts how the entry ended.
    pub(super) fn settle(&self, outcome: &Result<(), AppendError>) {
        for sent in &self.sent {
            sent.ticket.part(outcome);
        }
    }

    /// The largest stamp in it.
    fn stamp(&self) -> Option<Timestamp> {
        self.sent.last().map(|sent| sent.head.ts)
    }
}

fn tick_head(ts: Timestamp) -> PartHead {
    PartHead { ts, request: RequestId(0), unit_bytes: 0, offset: 0, part_bytes: 0, records: 0 }
}

impl Lane {
    /// Adds a unit. Its stamp is larger than every stamp before.
    pub(super) fn push(&mut self, unit: Queued) {
        debug_assert!(self.queue.back().is_none_or(|last| last.ts < unit.ts));
        self.stamped = self.stamped.max(unit.ts);
        if self.tick.is_some_and(|tick| tick <= unit.ts) {
            self.tick = None;
        }
        self.queued_bytes += unit.unit_bytes as usize + PART_HEAD_BYTES * unit.parts.len();
        self.queue.push_back(unit);
    }

    /// Asks for a tick; whether there is something to do for it.
    pub(super) fn want_tick(&mut self, ts: Timestamp) -> bool {
        if ts <= self.stamped {
            return false;
        }
        self.tick = self.tick.max(Some(ts));
        true
    }

    /// `None` when a unit of this many bytes may be pushed; otherwise told when to look again.
    pub(super) fn wait_for_room(
        &mut self,
        bytes: u64,
        bytes_max: usize,
    ) -> Option<oneshot::Receiver<()>> {
        let taken = self.queued_bytes + self.flying_bytes;
        if taken == 0 || taken as u64 + bytes <= bytes_max as u64 {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.retain(|waiting| !waiting.is_canceled());
        self.waiting.push(sender);
        Some(receiver)
    }

    /// Whether the caller is now the one who pumps.
    pub(super) fn begin_pump(&mut self) -> bool {
        !std::mem::replace(&mut self.pumping, true)
    }

    /// The next thing to do; `None` ends the pumping.
    pub(super) fn next(&mut self, limits: &Limits) -> Option<Action> {
        let action = self.choose(limits);
        self.pumping = action.is_some();
        action
    }

    fn choose(&mut self, limits: &Limits) -> Option<Action> {
        if self.in_flight >= limits.window {
            return None;
        }
        let tick_due = self.tick.is_some() && !self.tick_in_flight;
        if self.queue.is_empty() {
            if !tick_due || (limits.exclusive && self.in_flight > 0) {
                return None;
            }
            let ts = self.tick.take()?;
            self.stamped = self.stamped.max(ts);
            if limits.exclusive {
                return Some(Action::Tick(ts));
            }
            return Some(Action::Append(self.fly(Batch {
                sent: vec![],
                tick: Some(ts),
                bytes: 0,
            })));
        }
        // With entries in flight only much, or a tick, is worth another one at once.
        let enough = self.queued_bytes >= limits.entry_bytes_max / 4;
        if self.in_flight > 0 && !enough && (limits.exclusive || !tick_due) {
            return None;
        }
        let mut batch = self.take_batch(limits.entry_bytes_max);
        let fits = batch.bytes + PART_HEAD_BYTES <= limits.entry_bytes_max;
        if tick_due && fits && !limits.exclusive && self.queue.is_empty() {
            batch.tick = self.tick.take();
            self.stamped = self.stamped.max(batch.tick.unwrap_or_default());
        }
        Some(Action::Append(self.fly(batch)))
    }

    fn take_batch(&mut self, entry_bytes_max: usize) -> Batch {
        let mut batch = Batch { sent: Vec::new(), tick: None, bytes: 0 };
        while let Some(unit) = self.queue.front_mut() {
            let Some(part) = unit.parts.front() else {
                self.queue.pop_front();
                continue;
            };
            let bytes = PART_HEAD_BYTES + part.bytes as usize;
            if !batch.sent.is_empty() && batch.bytes + bytes > entry_bytes_max {
                break;
            }
            batch.bytes += bytes;
            let head = PartHead {
                ts: unit.ts,
                request: unit.request,
                unit_bytes: unit.unit_bytes,
                offset: part.offset,
                part_bytes: part.bytes,
                records: unit.records,
            };
            let ticket = Arc::clone(&unit.ticket);
            let chunks = unit.parts.pop_front().map(|part| part.chunks).unwrap_or_default();
            if unit.parts.is_empty() {
                self.queue.pop_front();
                self.units += 1;
            }
            batch.sent.push(Sent { head, chunks, ticket });
        }
        self.queued_bytes = self.queued_bytes.saturating_sub(batch.bytes);
        batch
    }

    fn fly(&mut self, batch: Batch) -> Batch {
        self.in_flight += 1;
        self.entries += 1;
        self.flying_bytes += batch.bytes;
        self.tick_in_flight |= batch.tick.is_some();
        batch
    }

    /// An entry has ended. Returns who may look for room now.
    pub(super) fn settle(
        &mut self,
        batch: &Batch,
        outcome: &Result<(), AppendError>,
    ) -> Vec<oneshot::Sender<()>> {
        self.in_flight -= 1;
        self.flying_bytes -= batch.bytes;
        if batch.tick.is_some() {
            self.tick_in_flight = false;
        }
        if outcome.is_err() {
            // Readers may wait for what is lost. A lost tick is asked for again by the next
            // reader, so that a log which refuses everything is not asked for ever.
            self.stamped = Timestamp::MIN;
            self.tick = self.tick.max(batch.stamp());
        }
        std::mem::take(&mut self.waiting)
    }

    pub(super) fn stats(&self) -> LaneStats {
        LaneStats {
            bytes: self.queued_bytes + self.flying_bytes,
            in_flight: self.in_flight,
            entries: self.entries,
            units: self.units,
        }
    }
}
