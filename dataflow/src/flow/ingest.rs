//! `ChannelSource`: applies the log of one channel, and says how far it is closed.

use std::rc::Rc;
use std::sync::Arc;

use millstream_catalog::model::{ChannelId, Fault, VChannel};
use millstream_log::Delivery;
use millstream_segment::{Position, RowRef};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::source;
use timely::worker::Worker;

use super::counts::{CountTrace, CountUpdate, arrange};
use super::{Local, Setup};
use crate::channel::{Channel, Effect, Find};
use crate::pool::Pool;
use crate::read::find_rows;
use crate::shared::Shared;

/// Deliveries applied in one schedule; then other operators have their turn.
const FUEL: usize = 8;

/// Rows that a filter delete found, on their way back from the pool.
type FoundRows = (VChannel, Position, Result<Vec<RowRef>, Fault>);

/// Builds the dataflow of a channel; the counts come back on the worker that owns it.
pub(super) fn build(
    worker: &mut Worker,
    setup: &Setup,
    local: &Rc<Local>,
    id: ChannelId,
) -> Option<CountTrace> {
    let state = local.channels[usize::from(id.0)].clone();
    let owned = state.is_some();
    let setup = setup.clone();
    let local = Rc::clone(local);
    let trace = worker.dataflow::<u64, _, _>(move |scope| {
        type Builder = CapacityContainerBuilder<Vec<CountUpdate>>;
        let stream = source::<_, Builder, _, _>(scope, "ChannelSource", |capability, info| {
            let mut capability = owned.then_some(capability);
            let again = scope.activator_for(Rc::clone(&info.address));
            let wake = scope.worker().sync_activator_for(info.address.to_vec());
            let inbox = Arc::clone(&setup.inboxes[usize::from(id.0)]);
            let (found_sender, found) = crossbeam_channel::unbounded::<FoundRows>();
            if owned {
                let wake = wake.clone();
                // A worker that is gone has nothing to wake.
                inbox.set_waker(Box::new(move || {
                    let _ = wake.activate();
                }));
            }
            move |output| {
                let (Some(capability), Some(state)) = (capability.as_mut(), state.as_ref()) else {
                    return;
                };
                let mut channel = state.borrow_mut();
                let mut counts: Vec<CountUpdate> = Vec::new();
                let mut left = FUEL;
                loop {
                    if let Ok((vchannel, position, rows)) = found.try_recv() {
                        channel.delete_found(vchannel, position, rows);
                    } else if left == 0 {
                        again.activate();
                        break;
                    } else if let Some(delivery) = inbox.try_pop() {
                        left -= 1;
                        deliver(&mut channel, delivery, &setup.shared);
                    } else {
                        break;
                    }
                    for effect in channel.take_effects() {
                        match effect {
                            Effect::Rows { collection, partition, eff, rows } => {
                                setup.shared.add_rows(rows);
                                let key = ((collection.0, partition.0), ());
                                counts.push((key, eff.0, rows as isize));
                            }
                            Effect::Deleted { request, rows } => {
                                setup.shared.report_outcome(request, rows);
                            }
                            Effect::Find(find) => {
                                let (sender, wake) = (found_sender.clone(), wake.clone());
                                start_find(&setup.pool, find, move |rows| {
                                    // The worker is gone when this fails, and with it the wish.
                                    let _ = sender.send(rows);
                                    let _ = wake.activate();
                                });
                            }
                        }
                    }
                }
                if !counts.is_empty() {
                    output.session(&*capability).give_container(&mut counts);
                }
                let closed = channel.closed();
                if closed.0 >= *capability.time() {
                    capability.downgrade(&closed.next().0);
                    drop(channel);
                    setup.shared.advance(id, closed);
                    let advances = &local.advances[usize::from(id.0)];
                    advances.set(advances.get() + 1);
                    local.wake_reads();
                } else if channel.broken().is_some() {
                    local.wake_reads();
                }
            }
        });
        arrange(stream)
    });
    owned.then_some(trace)
}

fn deliver(channel: &mut Channel, delivery: Delivery, shared: &Shared) {
    let before = channel.checkpoint();
    let was_broken = channel.broken().is_some();
    channel.deliver(delivery);
    if let Some(fault) = channel.broken().filter(|_| !was_broken) {
        shared.set_broken(channel.id(), fault.clone());
    }
    if let Some(after) = channel.checkpoint().filter(|a| before.is_none_or(|b| a.seq > b.seq)) {
        (shared.on_checkpoint)(channel.id(), after);
    }
}

fn start_find(pool: &Pool, find: Find, done: impl FnOnce(FoundRows) + Send + 'static) {
    let (vchannel, position) = (find.vchannel, find.position);
    pool.spawn(move || find_rows(&find), move |rows| done((vchannel, position, rows)));
}
