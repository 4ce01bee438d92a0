//! `ChannelSource`: applies the log of one channel, and says how far it is closed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use millstream_catalog::catalog::Checkpoint;
use millstream_catalog::model::{ChannelId, Fault, Timestamp, VChannel};
use millstream_log::{Delivery, Inbox};
use millstream_segment::{Position, RowRef, Whole};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::source;
use timely::scheduling::{Activator, SyncActivator};
use timely::worker::Worker;

use super::counts::{CountTrace, CountUpdate, arrange};
use super::{Local, Setup};
use crate::channel::{Channel, Effect, Find, Flush, Stored};
use crate::read::find_rows;
use crate::shared::Shared;
use crate::storage::{Compacted, Keep};

/// Deliveries applied in one schedule; then other operators have their turn.
const FUEL: usize = 8;

/// What comes back to a channel from elsewhere, about the unit of a shard at a position.
enum Back {
    /// Rows that a filter delete found.
    Found(VChannel, Position, Result<Vec<RowRef>, Fault>),
    /// What was written out of a sealed shard, which is complete through a time.
    Flushed(VChannel, Position, Timestamp, Vec<Stored>),
    /// Rows that take the place of others.
    Compacted(Compacted),
}

/// What the source of an owned channel works with.
struct Source {
    id: ChannelId,
    setup: Setup,
    local: Rc<Local>,
    state: Rc<RefCell<Channel>>,
    inbox: Arc<Inbox>,
    again: Activator,
    wake: SyncActivator,
    back: Receiver<Back>,
    back_sender: Sender<Back>,
    /// What takes the place of others, and how far that is.
    swaps: RefCell<VecDeque<(Compacted, u32)>>,
}

/// Builds the dataflow of a channel; the counts come back on the worker that owns it.
pub(super) fn build(
    worker: &mut Worker,
    setup: &Setup,
    local: &Rc<Local>,
    id: ChannelId,
) -> Option<CountTrace> {
    let state = local.channels[usize::from(id.0)].clone();
    let owned = state.is_some();
    let (setup, local) = (setup.clone(), Rc::clone(local));
    let trace = worker.dataflow::<u64, _, _>(move |scope| {
        type Builder = CapacityContainerBuilder<Vec<CountUpdate>>;
        let stream = source::<_, Builder, _, _>(scope, "ChannelSource", |capability, info| {
            let again = scope.activator_for(Rc::clone(&info.address));
            let wake = scope.worker().sync_activator_for(info.address.to_vec());
            // A worker without the channel drops its capability, or no time would ever close.
            let mut owned = state.map(|state| {
                let inbox = Arc::clone(&setup.inboxes[usize::from(id.0)]);
                let waker = wake.clone();
                inbox.set_waker(Box::new(move || {
                    // A worker that is gone has nothing to wake.
                    let _ = waker.activate();
                }));
                let (back_sender, back) = crossbeam_channel::unbounded();
                if let Some(compactor) = &setup.compactor {
                    let (sender, waker) = (back_sender.clone(), wake.clone());
                    let reply = move |compacted| {
                        // The worker is gone when this fails; the manifest has the files.
                        let _ = sender.send(Back::Compacted(compacted));
                        let _ = waker.activate();
                    };
                    compactor.register(id, Box::new(reply));
                }
                let swaps = RefCell::default();
                let source = Source {
                    id,
                    setup,
                    local,
                    state,
                    inbox,
                    again,
                    wake,
                    back,
                    back_sender,
                    swaps,
                };
                (source, capability)
            });
            move |output| {
                let Some((source, capability)) = owned.as_mut() else { return };
                let mut counts = source.apply();
                if !counts.is_empty() {
                    output.session(&*capability).give_container(&mut counts);
                }
                if let Some(closed) = source.advanced(*capability.time()) {
                    capability.downgrade(&closed.next().0);
                    source.publish(closed);
                }
            }
        });
        arrange(stream)
    });
    owned.then_some(trace)
}

impl Source {
    /// Applies what was delivered or found, as far as the fuel goes; the changes of counts.
    fn apply(&self) -> Vec<CountUpdate> {
        let mut channel = self.state.borrow_mut();
        let mut counts: Vec<CountUpdate> = Vec::new();
        let mut left = FUEL;
        // What was written out before the start counts too.
        self.carry_out(&mut channel, &mut counts);
        loop {
            if let Ok(back) = self.back.try_recv() {
                self.come_back(&mut channel, back);
            } else if channel.is_full() {
                // A filter delete that found its rows makes room, and wakes this operator.
                break;
            } else if left == 0 {
                self.again.activate();
                break;
            } else if let Some(delivery) = self.inbox.try_pop() {
                left -= 1;
                deliver(&mut channel, delivery, &self.setup.shared);
            } else {
                break;
            }
            self.carry_out(&mut channel, &mut counts);
        }
        self.swap_some(&mut channel);
        self.carry_out(&mut channel, &mut counts);
        counts
    }

    /// Goes on with putting compacted rows in the place of others: one step, whose rows are bounded.
    fn swap_some(&self, channel: &mut Channel) {
        let mut swaps = self.swaps.borrow_mut();
        let Some((compacted, from)) = swaps.front_mut() else { return };
        if let Some(next) = channel.compact(compacted, *from) {
            *from = next;
        } else {
            let segment = compacted.chunks.first().and_then(|chunk| chunk.segment());
            self.add_to_indexes(channel, compacted.vchannel, segment.into_iter());
            swaps.pop_front();
        }
        if !swaps.is_empty() {
            self.again.activate();
        }
    }

    /// Does what applying asked for; changes of counts go to `counts`.
    fn carry_out(&self, channel: &mut Channel, counts: &mut Vec<CountUpdate>) {
        let mut dropped: Vec<(VChannel, Timestamp)> = Vec::new();
        for effect in channel.take_effects() {
            match effect {
                Effect::Rows { collection, partition, eff, rows } => {
                    self.setup.shared.add_rows(rows);
                    let key = ((collection.0, partition.0), ());
                    counts.push((key, eff.0, rows as isize));
                }
                Effect::Outcome { request, rows } => {
                    self.setup.shared.report_outcome(request, rows);
                }
                Effect::Find(find) => self.start_find(find),
                Effect::SealDue(vchannel) => {
                    if let Some(flusher) = &self.setup.flusher {
                        flusher.storage().archive.seal_due(vchannel);
                    }
                }
                Effect::Flush(flush) => self.start_flush(flush),
                Effect::Came(vchannel, view) => {
                    let shared = &self.setup.shared;
                    shared.retention.add(vchannel.collection, self.id, view.since());
                    shared.census.add(vchannel, view);
                    self.look(vchannel);
                }
                Effect::Dropped(vchannel, at) => dropped.push((vchannel, at)),
                Effect::Look(vchannel) => self.look(vchannel),
                Effect::Gone(vchannel) => {
                    self.setup.shared.census.remove(vchannel);
                    self.setup.shared.forget_flushed(vchannel);
                    self.setup.shared.retention.forget(vchannel.collection);
                    if let Some(flusher) = &self.setup.flusher {
                        flusher.forget(vchannel);
                    }
                    if let Some(indexes) = &self.setup.indexes {
                        indexes.forget(vchannel.collection);
                    }
                }
            }
        }
        for (vchannel, at) in dropped {
            let (shared, collection) = (&self.setup.shared, vchannel.collection);
            let since = shared.retention.advance(collection, at, |channel| shared.closed(channel));
            if let Some(since) = since {
                channel.release_dropped(vchannel, since);
            }
        }
    }

    /// Has somebody look whether a shard has something to compact.
    fn look(&self, vchannel: VChannel) {
        match &self.setup.compactor {
            Some(compactor) => compactor.look(vchannel),
            // Without files nobody else says what is kept.
            None => self.setup.shared.retention.set(vchannel.collection, Keep::default()),
        }
    }

    fn come_back(&self, channel: &mut Channel, back: Back) {
        match back {
            Back::Found(vchannel, position, rows) => channel.delete_found(vchannel, position, rows),
            Back::Flushed(vchannel, position, eff, stored) => {
                let before = channel.checkpoint();
                channel.flushed(vchannel, position, &stored);
                self.want_indexes(channel, vchannel, &stored);
                self.setup.shared.set_flushed(vchannel, eff);
                report_checkpoint(channel, before, &self.setup.shared);
                self.look(vchannel);
            }
            Back::Compacted(compacted) => {
                let first_row = compacted.rows.1;
                self.swaps.borrow_mut().push_back((compacted, first_row));
            }
        }
    }

    /// Has indexes built of segments that just came.
    fn want_indexes(&self, channel: &Channel, vchannel: VChannel, stored: &[Stored]) {
        let segments = stored.iter().filter_map(|stored| stored.chunks.first()?.segment());
        self.add_to_indexes(channel, vchannel, segments);
    }

    fn add_to_indexes<'s>(
        &self,
        channel: &Channel,
        vchannel: VChannel,
        segments: impl Iterator<Item = &'s Arc<Whole>>,
    ) {
        let Some(indexes) = &self.setup.indexes else { return };
        let Some(schema) = channel.schema(vchannel) else { return };
        let mut some = false;
        for segment in segments {
            indexes.add(vchannel, schema, segment);
            some = true;
        }
        if some {
            indexes.want(vchannel.collection);
        }
    }

    fn start_flush(&self, flush: Box<Flush>) {
        let Some(flusher) = &self.setup.flusher else { return };
        let (sender, wake) = (self.back_sender.clone(), self.wake.clone());
        let (vchannel, position, eff) = (flush.vchannel, flush.sealed.applied, flush.eff);
        let done = move |stored| {
            // The worker is gone when this fails; the manifest has the files.
            let _ = sender.send(Back::Flushed(vchannel, position, eff, stored));
            let _ = wake.activate();
        };
        flusher.flush(flush, Box::new(done));
    }

    fn start_find(&self, find: Find) {
        let (sender, wake) = (self.back_sender.clone(), self.wake.clone());
        let (vchannel, position) = (find.vchannel, find.position);
        self.setup.shared.add_scanned(find.shard.view.rows(&find.partitions));
        self.setup.pool.spawn(
            move || find_rows(&find),
            move |rows| {
                // The worker is gone when this fails, and with it the wish.
                let _ = sender.send(Back::Found(vchannel, position, rows));
                let _ = wake.activate();
            },
        );
    }

    /// Closed-through, if it has reached `time`.
    fn advanced(&self, time: u64) -> Option<Timestamp> {
        let channel = self.state.borrow();
        if channel.broken().is_some() {
            self.local.wake_reads();
        }
        Some(channel.closed()).filter(|closed| closed.0 >= time)
    }

    /// Tells everybody how far the channel is closed now.
    fn publish(&self, closed: Timestamp) {
        self.setup.shared.advance(self.id, closed);
        let advances = &self.local.advances[usize::from(self.id.0)];
        advances.set(advances.get() + 1);
        self.local.wake_reads();
    }
}

fn deliver(channel: &mut Channel, delivery: Delivery, shared: &Shared) {
    let before = channel.checkpoint();
    let was_broken = channel.broken().is_some();
    channel.deliver(delivery);
    if let Some(fault) = channel.broken().filter(|_| !was_broken) {
        shared.set_broken(channel.id(), fault.clone());
    }
    report_checkpoint(channel, before, shared);
}

/// Says so when the checkpoint of a channel moved forward.
fn report_checkpoint(channel: &Channel, before: Option<Checkpoint>, shared: &Shared) {
    if let Some(after) = channel.checkpoint().filter(|a| before.is_none_or(|b| a.seq > b.seq)) {
        (shared.on_checkpoint)(channel.id(), after);
    }
}
