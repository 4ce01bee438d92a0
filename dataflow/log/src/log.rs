//! `Log`: what every log offers, whether it is a disk, a JetStream server or a simulation.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use millstream_catalog::model::{ChannelId, Fault, Timestamp};

use crate::entry::Entry;
use crate::inbox::Inbox;

/// Why an append has no sequence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The entry may or may not be in the log.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// The entry is not in the log and never will be.
    #[error("the log refused it: {0}")]
    Refused(String),
}

/// Names an entry, so that appending it twice stores it once.
///
/// An entry with data is named by its first part, and no other entry of the channel begins with
/// that part; a tick by its ts, and any two ticks with one ts are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MsgId {
    /// An entry with data.
    Data {
        /// Stamp of the first unit with data.
        ts: Timestamp,
        /// Where in that unit its part begins.
        offset: u64,
    },
    /// An entry that is nothing but a tick.
    Tick(Timestamp),
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MsgId::Data { ts, offset } => write!(f, "u{}-{offset}", ts.0),
            MsgId::Tick(ts) => write!(f, "t{}", ts.0),
        }
    }
}

/// Called once with the sequence of an appended entry, when it is on stable storage.
pub type AppendDone = Box<dyn FnOnce(Result<u64, AppendError>) + Send>;

/// A fixed number of channels, each one totally ordered and durable.
#[async_trait]
pub trait Log: Send + Sync {
    /// Number of channels.
    fn channels(&self) -> u16;

    /// Whether this process is the only writer, so that a tick needs no entry.
    fn exclusive(&self) -> bool;

    /// Largest entry that [`Log::append`] takes, in bytes.
    fn entry_bytes_max(&self) -> usize;

    /// How many entries of one channel may be in flight; 1 or more.
    fn window(&self) -> usize {
        1
    }

    /// Hands over an entry and returns at once. `done` is called, from any thread, only when the
    /// entry is on stable storage, or when it failed; it may be called before `append` returns.
    /// Entries of one channel keep their order as long as none has to be sent again.
    fn append(&self, channel: ChannelId, entry: Entry, id: MsgId, done: AppendDone);

    /// On an exclusive log, when every append of the channel is done: delivers a tick to the
    /// subscribers behind everything appended so far. Never called on other logs, where a tick is
    /// an entry.
    fn tick(&self, channel: ChannelId, ts: Timestamp);

    /// Delivers all entries after `after_seq` and then each new one, in order and without gap,
    /// until the inbox is closed.
    async fn subscribe(
        &self,
        channel: ChannelId,
        after_seq: u64,
        inbox: Arc<Inbox>,
    ) -> Result<(), Fault>;

    /// First and last sequence that the channel holds; the first is the last + 1 when it holds
    /// none.
    async fn bounds(&self, channel: ChannelId) -> Result<(u64, u64), Fault>;

    /// Gives the space of entries up to `through_seq` back, as far as that is convenient. Never
    /// pass more than a durable checkpoint says.
    async fn truncate(&self, channel: ChannelId, through_seq: u64) -> Result<(), Fault>;

    /// Whether the log can take writes; the text says what is wrong and how to mend it.
    async fn check(&self) -> Result<(), Fault>;

    /// What an operator should know even when [`Log::check`] finds nothing wrong.
    fn notice(&self) -> Option<String> {
        None
    }
}
