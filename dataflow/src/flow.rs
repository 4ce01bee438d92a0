//! The dataflows of one worker: one that ingests each channel, and one that answers reads.
//!
//! ```text
//! log ─▶ inbox ─▶ ChannelSource ─(row counts)─▶ arrange        one dataflow a channel, time = TSO
//!                      │ state: shards, closed-through
//! handle ─▶ RequestSource ─▶ Search: gate, pool ─▶ Merge ─▶ handle      one dataflow, time = ()
//! ```
//!
//! All workers build the same dataflows in the same order. A channel's source holds a capability on
//! the worker that owns the channel only, so that the frontier of its counts is that channel's
//! closed-through. Reads gate on the closed-through of each shard and not on a frontier, which is
//! why their dataflow needs no time of its own.

mod counts;
mod ingest;
mod search;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use hashbrown::HashSet;
use millstream_catalog::catalog::Checkpoint;
use millstream_catalog::model::{ChannelId, CollectionId, Timestamp};
use millstream_log::Inbox;
use timely::scheduling::Activator;
use timely::worker::Worker;

use crate::ask::Ask;
use crate::channel::Channel;
use crate::pool::Pool;
use crate::shared::Shared;
use crate::storage::{self, Compactor, Flusher, Indexes, Interim};
use counts::{CountTrace, history_from};

/// What a worker needs to build its dataflows.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Pool,
    pub(crate) threads: usize,
    /// Where each channel begins.
    pub(crate) checkpoints: Arc<[Checkpoint]>,
    /// The inbox of each channel.
    pub(crate) inboxes: Arc<[Arc<Inbox>]>,
    /// Collections whose ddl records must come before their data.
    pub(crate) expected: Arc<HashSet<CollectionId>>,
    /// Writes sealed shards out, if anything does.
    pub(crate) flusher: Option<Arc<Flusher>>,
    /// Builds the indexes of sealed segments.
    pub(crate) indexes: Option<Arc<Indexes>>,
    /// Makes lists of growing rows.
    pub(crate) interim: Option<Arc<Interim>>,
    /// Merges sealed segments.
    pub(crate) compactor: Option<Arc<Compactor>>,
}

impl Setup {
    /// The state of a channel that begins at a checkpoint, with what was written out of its shards.
    fn channel(&self, id: ChannelId, from: Checkpoint) -> Channel {
        let norms = millstream_index::inv_norms_of;
        let mut channel = Channel::new(id, from, Arc::clone(&self.expected), norms);
        if let Some(flusher) = &self.flusher {
            let storage = flusher.storage();
            for start in storage.shards.iter().filter(|start| start.channel == id) {
                let loaded = storage::load(&storage.store, start, norms);
                if let (Some(indexes), Ok((writer, _))) = (&self.indexes, &loaded) {
                    for whole in writer.view().segments() {
                        indexes.add(start.vchannel, &start.schema, &whole);
                    }
                    if start.stored.is_some() {
                        // A build may have been cut short, or an index dropped since.
                        indexes.want(start.vchannel.collection);
                    }
                }
                // Before the first read comes.
                let since = start.stored.as_ref().map_or(Timestamp::MIN, |(state, _)| state.since);
                self.shared.retention.add(start.vchannel.collection, id, since);
                channel.load(start, loaded, history_from(from.closed));
                if let Some((state, _)) = &start.stored {
                    self.shared.set_flushed(start.vchannel, state.closed);
                }
            }
        }
        if let Some(fault) = channel.broken() {
            self.shared.set_broken(id, fault.clone());
        }
        channel
    }
}

/// The worker that owns a channel.
pub(crate) fn owner(channel: ChannelId, workers: usize) -> usize {
    usize::from(channel.0) % workers.max(1)
}

/// What the operators of one worker share.
pub(crate) struct Local {
    /// The state of each owned channel.
    channels: Vec<Option<Rc<RefCell<Channel>>>>,
    /// The row counts of each owned channel.
    counts: RefCell<Vec<Option<CountTrace>>>,
    /// How often each channel advanced since its counts were compacted.
    advances: Vec<Cell<u32>>,
    /// Reads that wait for a shard to close.
    gated: Cell<usize>,
    /// Schedules the operator that holds them.
    search: RefCell<Option<Activator>>,
}

impl Local {
    /// Lets gated reads look again.
    fn wake_reads(&self) {
        if self.gated.get() > 0
            && let Some(search) = &*self.search.borrow()
        {
            search.activate();
        }
    }
}

/// A reference to a read on its way to a worker: number of the caller, and the read.
pub(crate) type Incoming = (u64, Arc<Ask>);

/// Wakes a worker's request source; `Send`.
pub(crate) type WakeRequests = timely::scheduling::SyncActivator;

/// Builds all dataflows of a worker.
pub(crate) fn build(
    worker: &mut Worker,
    setup: &Setup,
    requests: Receiver<Incoming>,
) -> (Rc<Local>, WakeRequests) {
    let (index, peers) = (worker.index(), worker.peers());
    let channels: Vec<_> = (0u16..)
        .zip(setup.checkpoints.iter())
        .map(|(id, &from)| {
            let id = ChannelId(id);
            (owner(id, peers) == index).then(|| Rc::new(RefCell::new(setup.channel(id, from))))
        })
        .collect();
    let local = Rc::new(Local {
        counts: RefCell::new(Vec::with_capacity(channels.len())),
        advances: channels.iter().map(|_| Cell::new(0)).collect(),
        channels,
        gated: Cell::new(0),
        search: RefCell::new(None),
    });
    for (id, from) in (0u16..).zip(setup.checkpoints.iter()) {
        let mut trace = ingest::build(worker, setup, &local, ChannelId(id));
        if let Some(trace) = &mut trace {
            trace.forget_before(history_from(from.closed));
        }
        local.counts.borrow_mut().push(trace);
    }
    let wake = search::build(worker, setup, &local, requests);
    (local, wake)
}

/// Compaction of a channel's counts is due after this many advances. Each one leaves a batch
/// behind, and a look at the counts visits every batch that was not merged.
const COMPACT_AFTER: u32 = 64;

/// Housekeeping between two steps of a worker.
pub(crate) fn tidy(local: &Local) {
    for (channel, advances) in local.advances.iter().enumerate() {
        if advances.get() >= COMPACT_AFTER {
            advances.set(0);
            if let Some(Some(trace)) = local.counts.borrow_mut().get_mut(channel) {
                trace.compact();
            }
        }
    }
}
