//! The log: everything that happens to rows, in one total order for each channel.
//!
//! A writer puts *units* into a channel, all records of one request under one timestamp, and
//! readers get the same units in the same order, however often they read.
//!
//! | layer | is | layout in |
//! |---|---|---|
//! | record | one column batch for one shard and partition | [`record`] |
//! | unit | all records of one request on one channel; without records it is a tick | [`Unit`] |
//! | part | a unit, or a range of one that is too long for an entry, behind a 64-byte head | [`Entry`] |
//! | entry | the parts that waited together; the log's atom, with a sequence from 1 | [`Entry`] |
//! | frame, message | how a log stores an entry | [`wal`], [`nats`] |
//!
//! The head of a part (little-endian) is: magic `MSUN` (4), version (1), zeros (3), ts (8), request
//! (16), bytes of the unit (8), offset of the part in it (8), bytes of the part (4), records of the
//! unit (4), zeros (4), CRC32C of the 60 bytes before (4). Only this head knows the ts, so records
//! are encoded and checksummed before the stamp exists, and stamping is an assignment.
//!
//! Writing: [`RecordBuilder`] → [`Writer::write`] stamps under the locks of the channels, gathers
//! what waits into an entry and appends it to a [`Log`]. Reading: [`Log::subscribe`] fills an
//! [`Inbox`], whose waker wakes the worker; an [`Assembler`] turns entries into [`Unit`]s. The log
//! is a disk ([`Wal`]), JetStream ([`Nats`]) or a simulation ([`memory::MemoryLog`]).
//!
//! **Invariant.** Delivered means durable: no entry reaches a reader, and no writer is told of
//! success, before the entry is on stable storage. A channel's sequences have no gaps for any
//! reader; a reader that cannot have that is told [`Delivery::Broken`]. No bytes, however damaged,
//! make this crate panic or allocate by a length that was not checked.
//!
//! **Absent on purpose.** What units do to rows, and the rule that gives them their time of effect.
//! Checkpoints: the catalog keeps them, this crate only forgets what it is told to. Clocks: all
//! time comes from the TSO. Timers on the way of a write: what waits is what gathers.

mod assemble;
mod entry;
mod inbox;
mod le;
mod log;
pub mod memory;
pub mod nats;
pub mod record;
#[cfg(test)]
mod testkit;
pub mod wal;
pub mod writer;

pub use assemble::{Assembler, INCOMPLETE_MS_MAX, Place, Position, Unit};
pub use entry::{Entry, PART_HEAD_BYTES, UNIT_BYTES_MAX};
pub use inbox::{Delivery, Inbox};
pub use log::{AppendDone, AppendError, Log, MsgId};
pub use nats::{Nats, NatsUrl};
pub use record::{
    BuildError, Column, ColumnData, Corrupt, Kind, RECORD_BYTES_MAX, Record, RecordBuilder,
};
pub use wal::{Wal, WalOptions};
pub use writer::{LaneStats, WriteError, Writer};
