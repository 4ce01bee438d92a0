//! The read dataflow: route a request to the owners of its shards, gate, scan on the pool, merge.

use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use hashbrown::HashMap;
use millstream_catalog::model::{Code, Fault, Timestamp};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::{Operator, source};
use timely::scheduling::SyncActivator;
use timely::worker::Worker;

use super::counts::Counted;
use super::{Incoming, Local, Setup, WakeRequests, owner};
use crate::api::{CountRequest, Guarantee, QueryVectors};
use crate::ask::{Ask, Found, Part, Task, join};
use crate::part::CountPart;
use crate::pool::Pool;
use crate::read::{self, ReadShard};
use crate::shared::Shared;

type Batches<T> = CapacityContainerBuilder<Vec<T>>;

/// Gated reads are checked for callers that are gone when there are more than this.
const GATED_CHECK: usize = 64;

/// Work that is not worth a trip to the pool, which costs two wake-ups of about 10 µs each: so many
/// vector components compared, or the like. About 30 µs.
const SHORT_WORK_MAX: usize = 1 << 20;
/// Short tasks run by one schedule; the others go to the pool, so that ingest waits 100 µs at most.
const SHORT_TASKS_MAX: usize = 2;
/// What looking at one row's scalars costs, in components of a vector.
const ROW_WORK: usize = 64;
/// What fetching a row that was found by its key costs.
const KEY_WORK: usize = 4 * 1024;

/// How much a task has to do, in vector components.
fn work(ask: &Ask, shards: &[ReadShard]) -> usize {
    if shards.iter().all(|shard| shard.found.is_some()) {
        let found = shards.iter().flat_map(|shard| &shard.found).map(Vec::len).sum::<usize>();
        return found.saturating_mul(KEY_WORK);
    }
    let rows: usize = shards.iter().map(|shard| shard.view.rows()).sum();
    let (vectors, filtered) = match ask {
        Ask::Search(request) => {
            let dim = request.dim as usize;
            let vectors = match &request.queries {
                QueryVectors::Float(values) => values.len(),
                other => other.count(dim, dim).max(1).saturating_mul(dim.max(ROW_WORK)),
            };
            (vectors, request.filter.is_some())
        }
        Ask::Query(_) | Ask::Aggregate(_) | Ask::Statistics(_) => (0, true),
        Ask::Count(request) => (0, request.filter.is_some()),
    };
    rows.saturating_mul(vectors + if filtered { ROW_WORK } else { 0 })
}

pub(super) fn build(
    worker: &mut Worker,
    setup: &Setup,
    local: &Rc<Local>,
    requests: Receiver<Incoming>,
) -> WakeRequests {
    let (index, peers) = (worker.index(), worker.peers());
    let setup = setup.clone();
    let local = Rc::clone(local);
    worker
        .dataflow::<(), _, _>(move |scope| {
            let mut wake = None;
            let shared = Arc::clone(&setup.shared);
            let wake_slot = &mut wake;
            let tasks =
                source::<_, Batches<Task>, _, _>(scope, "RequestSource", |capability, info| {
                    *wake_slot = Some(scope.worker().sync_activator_for(info.address.to_vec()));
                    move |output| {
                        let mut session = output.session(&capability);
                        while let Ok((id, ask)) = requests.try_recv() {
                            route(id, ask, index, peers, &shared, |task| session.give(task));
                        }
                    }
                });
            let shared = Arc::clone(&setup.shared);
            let to = Exchange::new(|task: &Task| task.to as u64);
            let parts = tasks.unary::<Batches<Part>, _, _, _>(to, "Search", |_, info| {
                let wake = scope.worker().sync_activator_for(info.address.to_vec());
                let again = scope.activator_for(Rc::clone(&info.address));
                *local.search.borrow_mut() = Some(again);
                let mut exec = Exec::new(setup, local, wake);
                move |input, output| {
                    input.for_each(|capability, tasks| {
                        for task in tasks.drain(..) {
                            exec.gated.push((capability.retain(0), task));
                        }
                    });
                    exec.start_ready();
                    while let Some((capability, part)) = exec.finished() {
                        output.session(&capability).give(part);
                    }
                }
            });
            let from = Exchange::new(|part: &Part| part.origin as u64);
            parts.unary::<Batches<()>, _, _, _>(from, "Merge", |_, _| {
                let mut open: HashMap<u64, Vec<Found>> = HashMap::new();
                move |input, _| {
                    input.for_each(|_, parts| {
                        for part in parts.drain(..) {
                            merge(part, &mut open, &shared);
                        }
                    });
                }
            });
            wake
        })
        .unwrap_or_else(|| unreachable!("the source's constructor ran"))
}

/// Chooses the time of a read and sends each owner of its shards a share.
fn route(
    id: u64,
    ask: Arc<Ask>,
    origin: usize,
    peers: usize,
    shared: &Shared,
    mut send: impl FnMut(Task),
) {
    let target = ask.target();
    let as_of = match target.guarantee {
        Guarantee::Pinned(at) => at,
        Guarantee::AtLeast(at) => at.max(shared.closed_all(&target.channels)),
    };
    let mut shares: Vec<Vec<u16>> = vec![Vec::new(); peers];
    for (shard, &channel) in (0u16..).zip(&target.channels) {
        shares[owner(channel, peers)].push(shard);
    }
    let targets = shares.iter().filter(|share| !share.is_empty()).count();
    for (to, shards) in shares.into_iter().enumerate().filter(|(_, share)| !share.is_empty()) {
        send(Task { id, origin, to, targets, as_of, ask: Arc::clone(&ask), shards });
    }
}

/// Collects the parts of a read, and answers its caller with the last one.
fn merge(part: Part, open: &mut HashMap<u64, Vec<Found>>, shared: &Shared) {
    let Part { id, targets, as_of, found, .. } = part;
    let answer = match found {
        Err(fault) => Err(fault),
        Ok(found) => {
            let parts = open.entry(id).or_default();
            parts.push(found);
            if parts.len() < targets {
                return;
            }
            Ok(open.remove(&id).unwrap_or_default())
        }
    };
    open.remove(&id);
    // A caller that gave up, or that another part's fault answered, waits for nothing.
    if let Some(caller) = shared.take_caller(id) {
        let answer = answer.and_then(|parts| join(&caller.ask, as_of, parts));
        let _ = caller.reply.send(answer);
    }
}

/// Whether a task can run.
enum Gate {
    Open(Vec<ReadShard>),
    Closed,
    Failed(Fault),
}

/// The operator that holds gated tasks and runs open ones on the pool.
struct Exec {
    setup: Setup,
    local: Rc<Local>,
    wake: SyncActivator,
    gated: Vec<(Capability<()>, Task)>,
    running: HashMap<u64, Capability<()>>,
    next_run: u64,
    /// Short tasks that may still run in this schedule.
    short_left: usize,
    done: Receiver<(u64, Part)>,
    done_sender: Sender<(u64, Part)>,
}

impl Exec {
    fn new(setup: Setup, local: Rc<Local>, wake: SyncActivator) -> Exec {
        let (done_sender, done) = crossbeam_channel::unbounded();
        let (gated, running) = (Vec::new(), HashMap::new());
        let next_run = 0;
        let short_left = 0;
        Exec { setup, local, wake, gated, running, next_run, short_left, done, done_sender }
    }

    /// Starts every task whose shards are closed through its time.
    fn start_ready(&mut self) {
        if self.gated.len() > GATED_CHECK {
            let shared = Arc::clone(&self.setup.shared);
            self.gated.retain(|(_, task)| shared.is_waited_for(task.id));
        }
        self.short_left = SHORT_TASKS_MAX;
        let mut i = 0;
        while i < self.gated.len() {
            let task = &self.gated[i].1;
            let gate = self.gate(task);
            if matches!(gate, Gate::Closed) {
                i += 1;
                continue;
            }
            if let (Gate::Open(shards), Ask::Count(count)) = (&gate, &*task.ask)
                && count.filter.is_none()
            {
                match self.counted(task, count, shards) {
                    Some(found) => {
                        let (capability, task) = self.gated.swap_remove(i);
                        self.finish(capability, &task, found);
                    }
                    None => i += 1,
                }
                continue;
            }
            let (capability, task) = self.gated.swap_remove(i);
            match gate {
                Gate::Open(shards) => self.start(capability, task, shards),
                Gate::Failed(fault) => self.finish(capability, &task, Err(fault)),
                Gate::Closed => {}
            }
        }
        self.local.gated.set(self.gated.len());
    }

    fn gate(&self, task: &Task) -> Gate {
        let mut shards = Vec::with_capacity(task.shards.len());
        let needed = task.as_of.max(task.ask.target().known_at);
        for (vchannel, at) in task.vchannels() {
            let Some(Some(channel)) = self.local.channels.get(at) else {
                return Gate::Failed(Fault::internal(format!("channel {at} is not served here")));
            };
            let channel = channel.borrow();
            if let Some(fault) = channel.broken() {
                return Gate::Failed(fault.clone());
            }
            if channel.vclosed(vchannel) < needed {
                return Gate::Closed;
            }
            let Some(shard) = channel.read(vchannel) else {
                let text = format!("collection not found[collection={}]", vchannel.collection);
                return Gate::Failed(Fault::new(Code::CollectionNotFound, text));
            };
            let keys = match &*task.ask {
                Ask::Query(query) => query.keys.as_ref(),
                _ => None,
            };
            let found = keys.and_then(|keys| channel.find_keys(vchannel, keys, task.as_of));
            shards.push(ReadShard { found, ..shard });
        }
        Gate::Open(shards)
    }

    /// The count from the maintained counts; `None` when they have not sealed the time yet.
    fn counted(
        &self,
        task: &Task,
        request: &CountRequest,
        shards: &[ReadShard],
    ) -> Option<Result<Found, Fault>> {
        let target = &request.target;
        let mut channels: Vec<usize> = task.vchannels().map(|(_, at)| at).collect();
        // Two shards on one channel share its counts.
        channels.sort_unstable();
        channels.dedup();
        let mut rows = 0;
        for at in channels {
            let mut traces = self.local.counts.borrow_mut();
            let Some(Some(trace)) = traces.get_mut(at) else {
                return Some(Err(Fault::internal(format!("channel {at} is not served here"))));
            };
            match trace.rows(target.collection, &target.partitions, task.as_of) {
                Counted::Rows(counted) => rows += counted,
                Counted::TooOld => {
                    return Some(read::count(request, shards, task.as_of).map(Found::Count));
                }
                Counted::NotYet => {
                    if let Some(again) = &*self.local.search.borrow() {
                        again.activate();
                    }
                    return None;
                }
            }
        }
        let rows = u64::try_from(rows).unwrap_or(0);
        Some(Ok(Found::Count(CountPart { rows })))
    }

    /// Starts a task: on the pool, or here when handing it over would cost more than doing it.
    fn start(&mut self, capability: Capability<()>, task: Task, shards: Vec<ReadShard>) {
        let run = self.next_run;
        self.next_run += 1;
        self.running.insert(run, capability);
        let here = self.short_left > 0 && work(&task.ask, &shards) <= SHORT_WORK_MAX;
        let (pool, threads, wake) = if here {
            self.short_left -= 1;
            (&Pool::Inline, 1, None)
        } else {
            (&self.setup.pool, self.setup.threads, Some(self.wake.clone()))
        };
        let sender = self.done_sender.clone();
        let (ask, as_of) = (Arc::clone(&task.ask), task.as_of);
        pool.spawn(
            move || answer(&ask, &shards, as_of, threads),
            move |found| {
                // The worker is gone when this fails, and with it the caller.
                let _ = sender.send((run, part(&task, found)));
                if let Some(wake) = wake {
                    let _ = wake.activate();
                }
            },
        );
    }

    fn finish(&mut self, capability: Capability<()>, task: &Task, found: Result<Found, Fault>) {
        let run = self.next_run;
        self.next_run += 1;
        self.running.insert(run, capability);
        // The receiver is a field of this very operator.
        let _ = self.done_sender.send((run, part(task, found)));
    }

    fn finished(&mut self) -> Option<(Capability<()>, Part)> {
        let (run, part) = self.done.try_recv().ok()?;
        Some((self.running.remove(&run)?, part))
    }
}

fn part(task: &Task, found: Result<Found, Fault>) -> Part {
    let Task { id, origin, targets, as_of, .. } = *task;
    Part { id, origin, targets, as_of, found }
}

fn answer(
    ask: &Ask,
    shards: &[ReadShard],
    as_of: Timestamp,
    threads: usize,
) -> Result<Found, Fault> {
    match ask {
        Ask::Search(request) => read::search(request, shards, as_of, threads).map(Found::Search),
        Ask::Query(request) => read::query(request, shards, as_of).map(Found::Query),
        Ask::Count(request) => read::count(request, shards, as_of).map(Found::Count),
        Ask::Aggregate(request) => read::aggregate(request, shards, as_of).map(Found::Aggregate),
        Ask::Statistics(request) => read::statistics(request, shards, as_of).map(Found::Statistics),
    }
}
