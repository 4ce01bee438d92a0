//! The read dataflow: route a request to the owners of its shards, gate, scan on the pool, merge.

use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use hashbrown::HashMap;
use millstream_catalog::model::{Code, Fault};
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
use crate::interest::nobody_waits;
use crate::part::CountPart;
use crate::pool::Pool;
use crate::read::{self, ReadShard, Run};
use crate::retention::too_old;
use crate::shared::Shared;

type Batches<T> = CapacityContainerBuilder<Vec<T>>;

/// Gated reads are checked for callers that are gone when there are more than this.
const GATED_CHECK: usize = 64;

/// Work that is not worth a trip to the pool, which costs two wake-ups of about 10 µs each: so many
/// vector components compared, or the like. About 30 µs.
const SHORT_WORK_MAX: usize = 1 << 20;
/// Short tasks run by one schedule; the others go to the pool, so that ingest waits 100 µs at most.
const SHORT_TASKS_MAX: usize = 2;
/// What a text or a narrow vector costs at least, in components of a vector.
const ROW_WORK: usize = 64;
/// What fetching a row that was found costs, with all that may be asked of it.
const FETCH_WORK: usize = 16 * 1024;
/// Most keys that are looked up by the worker itself; of more, the pool looks at all rows.
const KEYS_HERE_MAX: usize = 10_000;

/// How many rows a task looks at.
fn looked_at(ask: &Ask, shards: &[ReadShard]) -> usize {
    let partitions = ask.partitions();
    let rows = |shard: &ReadShard| match &shard.found {
        Some(found) => found.len(),
        None => shard.view.rows(partitions),
    };
    shards.iter().map(rows).sum()
}

/// How much a task that looks at `rows` rows has to do, in vector components; everything when that
/// depends on the data: a filter may be slow on every row, and rows may be wide.
fn work(ask: &Ask, rows: usize, shards: &[ReadShard]) -> usize {
    match ask {
        Ask::Search(request) if request.filter.is_none() && request.text.is_none() => {
            let dim = request.dim as usize;
            let vectors = match &request.queries {
                QueryVectors::Float(values) => values.len(),
                other => other.count(dim, dim).max(1).saturating_mul(dim.max(ROW_WORK)),
            };
            let hits = (vectors / dim.max(1)).saturating_mul(request.topk as usize);
            let fetched = if request.output.is_empty() { 0 } else { FETCH_WORK };
            rows.saturating_mul(vectors).saturating_add(hits.saturating_mul(fetched))
        }
        Ask::Query(request) if request.filter.is_none() => {
            let found = shards.iter().all(|shard| shard.found.is_some());
            if found { rows.saturating_mul(FETCH_WORK) } else { usize::MAX }
        }
        _ => usize::MAX,
    }
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
    // A caller that gave up, or that another part's fault answered, waits for nothing.
    if !shared.is_waited_for(id) {
        open.remove(&id);
        return;
    }
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
    if let Some(caller) = shared.take_caller(id) {
        let answer = answer.and_then(|parts| join(&caller.ask, as_of, parts));
        let _ = caller.reply.send(answer);
    }
}

/// Whether rows that are counted expired meanwhile: the maintained counts do not know.
fn is_expiring(task: &Task, request: &CountRequest, shards: &[ReadShard]) -> bool {
    let partitions = &request.target.partitions;
    shards.iter().any(|shard| shard.view.has_expired(task.as_of, partitions))
}

/// Whether a task can run.
enum Gate {
    Open(Vec<ReadShard>),
    Closed,
    Failed(Fault),
}

/// What the maintained counts say of a read.
enum Counts {
    Known(u64),
    /// They have not sealed the time yet, and are about to.
    NotYet,
    /// They do not reach the time: the rows must be counted.
    Unknown,
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
            let gone = self.gated.extract_if(.., |(_, task)| !shared.is_waited_for(task.id));
            // Other workers may have answered their parts, which wait for this one.
            for (capability, task) in gone.collect::<Vec<_>>() {
                self.finish(capability, &task, Err(nobody_waits()));
            }
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
                && !is_expiring(task, count, shards)
            {
                match self.counted(task, count) {
                    Counts::Known(rows) => {
                        let (capability, task) = self.gated.swap_remove(i);
                        self.finish(capability, &task, Ok(Found::Count(CountPart { rows })));
                        continue;
                    }
                    Counts::NotYet => {
                        i += 1;
                        continue;
                    }
                    Counts::Unknown => {}
                }
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
        let needed = task.as_of.max(task.ask.target().known_at);
        // All of them are asked before any key is looked up: a closed gate is asked again and again.
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
        }
        let keys = match &*task.ask {
            Ask::Query(query) => query.keys.as_ref().filter(|keys| keys.len() <= KEYS_HERE_MAX),
            _ => None,
        };
        let mut shards = Vec::with_capacity(task.shards.len());
        for (vchannel, at) in task.vchannels() {
            let Some(Some(channel)) = self.local.channels.get(at) else { continue };
            let channel = channel.borrow();
            let Some(shard) = channel.read(vchannel) else {
                let text = format!("collection not found[collection={}]", vchannel.collection);
                return Gate::Failed(Fault::new(Code::CollectionNotFound, text));
            };
            let found = keys.and_then(|keys| channel.find_keys(vchannel, keys, task.as_of));
            shards.push(ReadShard { found, ..shard });
        }
        Gate::Open(shards)
    }

    /// The count from the maintained counts.
    fn counted(&self, task: &Task, request: &CountRequest) -> Counts {
        let target = &request.target;
        let mut channels: Vec<usize> = task.vchannels().map(|(_, at)| at).collect();
        // Two shards on one channel share its counts.
        channels.sort_unstable();
        channels.dedup();
        let mut rows = 0;
        for at in channels {
            let channel = self.local.channels.get(at).and_then(Option::as_ref);
            // The counts of a channel wait for the slowest of its shards; this read need not.
            if channel.is_some_and(|channel| channel.borrow().closed() < task.as_of) {
                return Counts::Unknown;
            }
            let mut traces = self.local.counts.borrow_mut();
            let Some(Some(trace)) = traces.get_mut(at) else { return Counts::Unknown };
            match trace.rows(target.collection, &target.partitions, task.as_of) {
                Counted::Rows(counted) => rows += counted,
                Counted::TooOld => return Counts::Unknown,
                Counted::NotYet => {
                    if let Some(again) = &*self.local.search.borrow() {
                        again.activate();
                    }
                    return Counts::NotYet;
                }
            }
        }
        Counts::Known(u64::try_from(rows).unwrap_or(0))
    }

    /// Starts a task: on the pool, or here when handing it over would cost more than doing it.
    fn start(&mut self, capability: Capability<()>, task: Task, shards: Vec<ReadShard>) {
        let run = self.next_run;
        self.next_run += 1;
        self.running.insert(run, capability);
        let rows = looked_at(&task.ask, &shards);
        self.setup.shared.add_scanned(rows);
        let here = self.short_left > 0 && work(&task.ask, rows, &shards) <= SHORT_WORK_MAX;
        let (pool, threads, wake) = if here {
            self.short_left -= 1;
            (&Pool::Inline, 1, None)
        } else {
            (&self.setup.pool, self.setup.threads, Some(self.wake.clone()))
        };
        let sender = self.done_sender.clone();
        let ask = Arc::clone(&task.ask);
        let interest = self.setup.shared.interest(task.id);
        let (as_of, interim) = (task.as_of, self.setup.interim.clone());
        let reading = interest.map(|interest| Run { as_of, threads, interest, interim });
        pool.spawn(
            move || answer(&ask, &shards, &reading.ok_or_else(nobody_waits)?),
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

fn answer(ask: &Ask, shards: &[ReadShard], run: &Run) -> Result<Found, Fault> {
    let found = match ask {
        Ask::Search(request) => read::search(request, shards, run).map(Found::Search),
        Ask::Query(request) => read::query(request, shards, run).map(Found::Query),
        Ask::Count(request) => read::count(request, shards, run).map(Found::Count),
        Ask::Aggregate(request) => read::aggregate(request, shards, run).map(Found::Aggregate),
        Ask::Statistics(request) => read::statistics(request, shards, run).map(Found::Statistics),
    };
    let as_of = run.as_of;
    // Asked after the rows were looked at, because they may be released meanwhile.
    match shards.iter().map(|shard| shard.view.since()).max() {
        Some(since) if as_of < since => Err(too_old(as_of, since)),
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::Timestamp;

    use super::*;

    #[test]
    fn a_part_that_nobody_waits_for_is_not_kept() {
        let shared = Shared::new(&[], Box::new(|_, _| ()));
        let part = |found| Part { id: 7, origin: 0, targets: 2, as_of: Timestamp(1), found };
        let mut open = HashMap::new();
        merge(part(Err(nobody_waits())), &mut open, &shared);
        merge(part(Ok(Found::Count(CountPart { rows: 1 }))), &mut open, &shared);
        assert!(open.is_empty());
    }
}
