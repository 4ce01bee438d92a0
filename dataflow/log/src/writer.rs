//! `Writer`: stamps requests, gathers what waits, and tells each request when it is durable.
//!
//! Each channel has a *lane*: a queue of stamped parts and the entries in flight. Whoever changes
//! a lane pumps it: takes the next action under the lane's lock and carries it out after the lock
//! is released. Only one thread pumps a lane at a time, so actions keep their order. A log with
//! one append in flight thus collects everything that arrives meanwhile in the next entry: group
//! commit without a timer.
//!
//! **Invariant.** In a lane stamps only grow, because a stamp is allocated and enqueued under the
//! locks of all channels of its request. A tick is never outstanding twice: whoever needs one
//! while it is shares the next, which carries the largest ts asked for.
//!
//! **Absent on purpose.** No timer, no runtime and no thread of its own; no lock is held while the
//! log works or a client is told.

mod lane;
#[cfg(test)]
mod tests;
mod ticket;

use std::sync::Arc;

use futures::channel::oneshot;
use millstream_catalog::fail;
use millstream_catalog::model::{ChannelId, Code, Fault, RequestId, Timestamp};
use millstream_catalog::tso::Tso;
use parking_lot::{Mutex, MutexGuard};

use crate::entry::{PART_HEAD_BYTES, Part, UNIT_BYTES_MAX, cut};
use crate::log::{AppendError, Log};
use crate::record::Record;
use lane::{Action, Lane, Limits, Queued};
use ticket::Ticket;

/// Bytes that may wait for one channel before writes wait too.
pub const LANE_BYTES_MAX: usize = 64 << 20;

/// Why a write was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It happened wholly or not at all on each channel, and nobody knows which.
    #[error("the outcome of the write is unknown: {0}")]
    Unknown(String),
    /// It did not happen.
    #[error("the log refused the write: {0}")]
    Refused(String),
    /// It did not happen: a channel that does not exist, or too many bytes for it.
    #[error("{0}")]
    Invalid(String),
    /// It did not happen: there is no time.
    #[error("{0}")]
    Time(Fault),
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Fault {
        let text = error.to_string();
        match error {
            WriteError::Unknown(_) => Fault::new(Code::Timeout, text),
            WriteError::Refused(_) => Fault::new(Code::ServiceUnavailable, text),
            WriteError::Invalid(_) => Fault::new(Code::ParameterTooLarge, text),
            WriteError::Time(fault) => fault,
        }
    }
}

/// What waits in a writer, for metrics and limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneStats {
    /// Bytes queued or in flight.
    pub bytes: usize,
    /// Entries in flight.
    pub in_flight: usize,
    /// Entries appended since the start, ticks included where they are entries.
    pub entries: u64,
    /// Units appended since the start.
    pub units: u64,
}

/// One unit that is about to be stamped.
struct Plan {
    channel: ChannelId,
    records: u32,
    bytes: u64,
    parts: Vec<Part>,
}

enum Enqueued {
    Stamped(Timestamp, oneshot::Receiver<Result<(), WriteError>>),
    Full(oneshot::Receiver<()>),
    NoWindow,
}

/// Stamps and group commit over a log.
pub struct Writer {
    log: Arc<dyn Log>,
    tso: Arc<Tso>,
    lanes: Vec<Mutex<Lane>>,
    limits: Limits,
    lane_bytes_max: usize,
}

impl Writer {
    /// A writer to all channels of a log, at most [`LANE_BYTES_MAX`] waiting for each.
    pub fn new(log: Arc<dyn Log>, tso: Arc<Tso>) -> Arc<Writer> {
        Writer::with_lane_bytes(log, tso, LANE_BYTES_MAX)
    }

    /// A writer that lets `lane_bytes_max` bytes wait for each channel.
    pub fn with_lane_bytes(log: Arc<dyn Log>, tso: Arc<Tso>, lane_bytes_max: usize) -> Arc<Writer> {
        let lanes = (0..log.channels()).map(|_| Mutex::new(Lane::default())).collect();
        let limits = Limits {
            entry_bytes_max: log.entry_bytes_max(),
            window: log.window().max(1),
            exclusive: log.exclusive(),
        };
        Arc::new(Writer { log, tso, lanes, limits, lane_bytes_max })
    }

    /// Writes one request: all records with one timestamp, each channel's as one unit. Returns the
    /// stamp when every unit is on stable storage. The token for session reads is *not* this stamp
    /// but a timestamp allocated after it returned.
    ///
    /// Waits while a channel has too much waiting. Dropping the future does not take back what was
    /// enqueued. Several lists for one channel become one unit.
    ///
    /// # Errors
    /// See [`WriteError`]. After `Refused` on one channel and success on another it is `Unknown`.
    pub async fn write(
        self: &Arc<Self>,
        request: RequestId,
        units: Vec<(ChannelId, Vec<Record>)>,
    ) -> Result<Timestamp, WriteError> {
        let mut plans = self.plan(units)?;
        loop {
            match self.enqueue(request, &mut plans) {
                Enqueued::Stamped(ts, done) => {
                    for plan in &plans {
                        self.pump(plan.channel);
                    }
                    fail::point("write.enqueued");
                    return match done.await {
                        Ok(outcome) => outcome.map(|()| {
                            fail::point("write.acknowledged");
                            ts
                        }),
                        Err(_) => Err(WriteError::Unknown("the log is gone".into())),
                    };
                }
                // Cancelled or not, there may be room now.
                Enqueued::Full(room) => drop(room.await),
                Enqueued::NoWindow => {
                    self.tso.now().await.map_err(WriteError::Time)?;
                }
            }
        }
    }

    /// Makes sure that a unit or tick stamped at or after `ts` reaches each channel. Returns at
    /// once; the reader waits for its closed-through. On an exclusive log with nothing under way
    /// the tick was delivered when this returns.
    pub fn tick(self: &Arc<Self>, channels: &[ChannelId], ts: Timestamp) {
        for &channel in channels {
            let Some(lane) = self.lanes.get(usize::from(channel.0)) else { continue };
            if lane.lock().want_tick(ts) {
                self.pump(channel);
            }
        }
    }

    /// What waits for a channel.
    pub fn stats(&self, channel: ChannelId) -> LaneStats {
        self.lanes.get(usize::from(channel.0)).map(|lane| lane.lock().stats()).unwrap_or_default()
    }

    /// The log that is written to.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// Checks and cuts the units, one for each channel, in the order of the channels.
    fn plan(&self, mut units: Vec<(ChannelId, Vec<Record>)>) -> Result<Vec<Plan>, WriteError> {
        units.sort_by_key(|(channel, _)| *channel);
        units.dedup_by(|(channel, records), (before, all)| {
            let same = channel == before;
            if same {
                all.append(records);
            }
            same
        });
        let part_max = self.limits.entry_bytes_max.saturating_sub(PART_HEAD_BYTES);
        let plan = |(channel, records): (ChannelId, Vec<Record>)| {
            if usize::from(channel.0) >= self.lanes.len() {
                return Err(WriteError::Invalid(format!("there is no channel {channel}")));
            }
            let bytes = records.iter().map(|r| r.bytes().len() as u64).sum();
            let count = u32::try_from(records.len()).ok().filter(|_| bytes <= UNIT_BYTES_MAX);
            let Some(count) = count else {
                let text = format!("{bytes} bytes for channel {channel}, at most {UNIT_BYTES_MAX}");
                return Err(WriteError::Invalid(text));
            };
            Ok(Plan { channel, records: count, bytes, parts: cut(&records, part_max) })
        };
        units.into_iter().map(plan).collect()
    }

    fn enqueue(&self, request: RequestId, plans: &mut [Plan]) -> Enqueued {
        // Always in the order of the channels, so two requests cannot wait for each other.
        let mut lanes: Vec<MutexGuard<'_, Lane>> =
            plans.iter().map(|plan| self.lanes[usize::from(plan.channel.0)].lock()).collect();
        for (plan, lane) in plans.iter().zip(&mut lanes) {
            if let Some(room) = lane.wait_for_room(plan.bytes, self.lane_bytes_max) {
                return Enqueued::Full(room);
            }
        }
        let Some(ts) = self.tso.try_now() else { return Enqueued::NoWindow };
        let (ticket, done) = Ticket::new(plans.len());
        for (plan, lane) in plans.iter_mut().zip(&mut lanes) {
            lane.push(Queued {
                ts,
                request,
                unit_bytes: plan.bytes,
                records: plan.records,
                ticket: ticket.unit(plan.parts.len()),
                parts: std::mem::take(&mut plan.parts).into(),
            });
        }
        Enqueued::Stamped(ts, done)
    }

    /// Carries out what a lane has to do, unless another thread does so already.
    fn pump(self: &Arc<Self>, channel: ChannelId) {
        let lane = &self.lanes[usize::from(channel.0)];
        if !lane.lock().begin_pump() {
            return;
        }
        loop {
            let action = lane.lock().next(&self.limits);
            match action {
                None => return,
                Some(Action::Tick(ts)) => self.log.tick(channel, ts),
                Some(Action::Append(mut batch)) => {
                    let (entry, id) = batch.encode();
                    let writer = Arc::clone(self);
                    let settle = Box::new(move |outcome: Result<u64, AppendError>| {
                        fail::point("write.before_settle");
                        let outcome = outcome.map(|_| ());
                        let lane = &writer.lanes[usize::from(channel.0)];
                        let room = lane.lock().settle(&batch, &outcome);
                        batch.settle(&outcome);
                        for waiting in room {
                            // A writer that gave up needs no room.
                            let _ = waiting.send(());
                        }
                        writer.pump(channel);
                    });
                    self.log.append(channel, entry, id, settle);
                }
            }
        }
    }
}
