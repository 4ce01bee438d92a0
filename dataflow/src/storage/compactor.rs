//! `Compactor`: one thread of low priority that compacts what is worth it, one shard at a time.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, TryRecvError};
use hashbrown::{HashMap, HashSet};
use millstream_catalog::fail;
use millstream_catalog::model::{
    ChannelId, Code, CollectionId, Fault, Segment, SegmentId, ShardState, Timestamp, VChannel,
};
use parking_lot::Mutex;

use super::Flusher;
use super::background::Background;
use super::compact::{Compacted, Output, dead_of, expired_by, write};
use super::indexes::{Indexes, give_way};
use super::plan::{Plan, plans};
use super::write::Known;
use crate::shared::Shared;

/// So many compactions that somebody asked for are remembered.
const ASKED_MAX: usize = 1_024;

/// Called with what took the place of segments.
type Reply = Box<dyn Fn(Compacted) + Send>;

/// How a plan of a compaction is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanState {
    /// It waits, or is carried out.
    Executing,
    /// It is done; the segment that came of it, if rows were left.
    Completed(Option<SegmentId>),
    /// It could not be carried out; what was there is there.
    Failed,
}

/// A compaction that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Its id, which nothing else has.
    pub id: i64,
    /// The collection.
    pub collection: CollectionId,
    /// What it does; nothing when there was nothing to do.
    pub plans: Vec<CompactionPlan>,
}

/// A plan: segments that become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionPlan {
    /// The shard.
    pub vchannel: VChannel,
    /// The segments.
    pub sources: Vec<SegmentId>,
    /// How it is doing.
    pub state: PlanState,
}

struct Task {
    vchannel: VChannel,
    plan: Plan,
    /// The compaction that somebody asked for, and the number of the plan.
    asked: Option<(i64, usize)>,
}

enum Job {
    /// Look whether a shard has something to compact.
    Look(VChannel),
    Run(Task),
}

/// Compacts segments.
pub(crate) struct Compactor {
    work: Arc<Work>,
    thread: Option<Background<Job>>,
    /// What waits, without a thread, and the swap that is waited for.
    waiting: Mutex<(VecDeque<Job>, Option<Swapping>)>,
}

/// A swap that the flusher was asked for.
struct Swapping {
    task: Task,
    done: Receiver<Option<Output>>,
}

struct Work {
    shared: Arc<Shared>,
    flusher: Arc<Flusher>,
    indexes: Arc<Indexes>,
    replies: Mutex<HashMap<ChannelId, Reply>>,
    asked: Mutex<BTreeMap<i64, Compaction>>,
    stopping: Arc<AtomicBool>,
}

impl Work {
    /// How many rows of each segment of a shard ended, asked of its files if nobody did yet.
    fn count_dead(&self, vchannel: VChannel, known: &mut Known) -> Result<(), Fault> {
        let Some(state) = known.state.as_ref().filter(|_| known.dead.is_none()) else {
            return Ok(());
        };
        let dead = dead_of(&self.flusher.storage().store, &state.deltas, &known.segments)?;
        self.flusher.set_dead(vchannel, &state.deltas, dead.clone());
        known.dead = Some(dead);
        Ok(())
    }

    /// What is worth compacting in a shard.
    fn plans(&self, vchannel: VChannel, asked: bool) -> Result<Vec<Plan>, Fault> {
        let collection = vchannel.collection;
        let keep = self.flusher.storage().archive.keep(collection)?;
        self.shared.retention.set(collection, keep);
        let mut known = self.flusher.known(vchannel);
        self.count_dead(vchannel, &mut known)?;
        let (Some(state), Some(dead)) = (&known.state, &mut known.dead) else {
            return Ok(Vec::new());
        };
        let nothing = dead.is_empty() && state.expiry.is_empty() && known.segments.len() < 2;
        if nothing || !(asked || keep.auto) {
            return Ok(Vec::new());
        }
        let since = self.shared.retention.candidate(collection, |c| self.shared.closed(c));
        let since = since.unwrap_or(state.since);
        let dead = dead.by(since);
        let plans_of = |expired| plans(state, &known.segments, (&dead, expired), asked);
        let plans = plans_of(expired_by(state, since));
        let sealed = ShardState { closed: Timestamp::MAX, ..state.clone() };
        let is_known = |plan: &Plan| plans.iter().any(|known| known.inputs == plan.inputs);
        if !plans_of(expired_by(&sealed, since)).iter().all(is_known) {
            // More rows are expired than the log's tail allows to drop.
            self.flusher.storage().archive.seal_due(vchannel);
        }
        Ok(plans)
    }

    /// Carries a plan out up to the swap; nothing when what it is about changed meanwhile.
    fn write(&self, task: &Task) -> Result<Option<Output>, Fault> {
        let (vchannel, collection) = (task.vchannel, task.vchannel.collection);
        let known = self.flusher.known(vchannel);
        let (Some(state), Some(schema)) = (&known.state, &known.schema) else { return Ok(None) };
        let find = |id: &SegmentId| known.segments.iter().find(|segment| segment.id == *id);
        let inputs: Option<Vec<Arc<Segment>>> =
            task.plan.inputs.iter().map(|id| find(id).cloned()).collect();
        let Some(inputs) = inputs else { return Ok(None) };
        let retention = &self.shared.retention;
        let moved = (task.plan.dead > 0)
            .then(|| retention.advance(collection, Timestamp::MIN, |c| self.shared.closed(c)));
        let since = moved.flatten().unwrap_or_else(|| retention.since(collection));
        let storage = self.flusher.storage();
        let files = (&storage.store, &*storage.archive);
        let mut output = write(files, schema, state, &inputs, since.max(state.since))?;
        if let Some((segment, chunks)) = &mut output.segment
            && let Some(whole) = chunks.first().and_then(|chunk| chunk.segment())
        {
            // Without its indexes the segment would be slower than those that it replaces.
            segment.files.extend(self.indexes.build_for(vchannel, schema, whole));
        }
        if self.stopping.load(Ordering::Acquire) {
            output.undo(&storage.store);
            return Ok(None);
        }
        Ok(Some(output))
    }

    /// Says how a plan ended to who asked for it.
    fn note(&self, task: &Task, state: PlanState) {
        let Some((id, number)) = task.asked else { return };
        let mut asked = self.asked.lock();
        let compaction = asked.get_mut(&id);
        if let Some(plan) = compaction.and_then(|of| of.plans.get_mut(number)) {
            plan.state = state;
        }
    }

    /// Tells everybody how a plan ended. Without an output its segments were replaced or dropped
    /// meanwhile: nothing of it is left to do.
    fn end(&self, task: &Task, output: Option<Output>) {
        let segment = output.as_ref().and_then(|output| output.segment.as_ref());
        let state = PlanState::Completed(segment.map(|(segment, _)| segment.id));
        self.note(task, state);
        let Some(output) = output else { return };
        let Output { place, since, expired, segment, inputs, .. } = output;
        let chunks = segment.map_or_else(Vec::new, |(_, chunks)| chunks);
        tracing::debug!(shard = ?place.vchannel, ?inputs, ?state, "segments were compacted");
        let known = self.flusher.known(place.vchannel);
        let channel = known.state.map(|state| state.channel);
        let replies = self.replies.lock();
        if let Some(reply) = channel.and_then(|channel| replies.get(&channel)) {
            let rows = (place.slot, place.first_row, place.rows);
            reply(Compacted { vchannel: place.vchannel, since, expired, rows, chunks });
            fail::point("compact.swapped");
        }
    }

    /// Asks for the swap of what was written; `None` when there is none.
    fn start(&self, task: Task) -> Option<Swapping> {
        let written = catch_unwind(AssertUnwindSafe(|| self.write(&task)));
        let written = written.unwrap_or_else(|_| Err(Fault::internal("a compaction panicked")));
        let output = match written {
            Ok(Some(output)) => output,
            Ok(None) => {
                self.end(&task, None);
                return None;
            }
            Err(fault) => {
                tracing::warn!(shard = ?task.vchannel, %fault, "segments were not compacted");
                self.note(&task, PlanState::Failed);
                return None;
            }
        };
        let (told, done) = crossbeam_channel::bounded(1);
        // Who waits is gone only when the process stops.
        self.flusher.swap(output, Box::new(move |output| _ = told.send(output)));
        Some(Swapping { task, done })
    }

    /// The tasks of a shard that are worth it.
    fn look(&self, vchannel: VChannel) -> Vec<Task> {
        match self.plans(vchannel, false) {
            Ok(plans) => {
                let task = |plan| Task { vchannel, plan, asked: None };
                plans.into_iter().map(task).collect()
            }
            // It was dropped just now.
            Err(fault) if fault.code == Code::CollectionNotFound => Vec::new(),
            Err(fault) => {
                tracing::warn!(shard = ?vchannel, %fault, "cannot tell what to compact");
                Vec::new()
            }
        }
    }

    /// Runs jobs one after the other on a thread of their own; those that a job makes come next.
    fn run_all(&self, jobs: &mut Vec<Job>) {
        give_way();
        let mut looked: HashSet<VChannel> = HashSet::new();
        let mut left: VecDeque<Job> = jobs.drain(..).collect();
        while let Some(job) = left.pop_front() {
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            match job {
                Job::Look(vchannel) if !looked.insert(vchannel) => {}
                Job::Look(vchannel) => {
                    for task in self.look(vchannel) {
                        left.push_back(Job::Run(task));
                    }
                }
                Job::Run(task) => {
                    let vchannel = task.vchannel;
                    let Some(swapping) = self.start(task) else { continue };
                    // It ends without an answer when the flusher stops.
                    let Ok(output) = swapping.done.recv() else { return };
                    let swapped = output.is_some();
                    self.end(&swapping.task, output);
                    if swapped {
                        // What came of it may be worth merging again.
                        looked.remove(&vchannel);
                        left.push_back(Job::Look(vchannel));
                    }
                }
            }
        }
    }
}

impl Compactor {
    /// Starts the thread; without one, the next step is taken when [`Compactor::run_waiting`] is
    /// called, which only simulation wants.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(
        shared: Arc<Shared>,
        flusher: Arc<Flusher>,
        indexes: Arc<Indexes>,
        threaded: bool,
    ) -> Result<Compactor, Fault> {
        let stopping = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&stopping);
        let (replies, asked) = (Mutex::default(), Mutex::default());
        let work = Arc::new(Work { shared, flusher, indexes, replies, asked, stopping });
        let worker = Arc::clone(&work);
        let run = move |jobs: &mut Vec<Job>| worker.run_all(jobs);
        let thread = threaded.then(|| Background::start("compact", stop, run)).transpose()?;
        Ok(Compactor { work, thread, waiting: Mutex::default() })
    }

    /// Says who hears of what takes the place of segments of a channel.
    pub(crate) fn register(&self, channel: ChannelId, reply: Reply) {
        self.work.replies.lock().insert(channel, reply);
    }

    fn add(&self, job: Job) {
        match &self.thread {
            Some(thread) => thread.send(job),
            None => self.waiting.lock().0.push_back(job),
        }
    }

    /// Has somebody look whether a shard has something to compact.
    pub(crate) fn look(&self, vchannel: VChannel) {
        self.add(Job::Look(vchannel));
    }

    /// Compacts all of a collection that makes fewer segments or fewer dead rows. Blocks while files
    /// are looked at.
    ///
    /// # Errors
    /// When the catalog does not answer, or files of ends cannot be read.
    pub(crate) fn compact(&self, collection: CollectionId) -> Result<Compaction, Fault> {
        let id = self.work.flusher.storage().archive.ids(1)?;
        let mut tasks = Vec::new();
        let mut shards = self.work.flusher.shards();
        shards.retain(|vchannel| vchannel.collection == collection);
        shards.sort_unstable_by_key(|vchannel| vchannel.shard);
        for vchannel in shards {
            for plan in self.work.plans(vchannel, true)? {
                let asked = Some((id, tasks.len()));
                tasks.push(Task { vchannel, plan, asked });
            }
        }
        let plan = |task: &Task| {
            let sources = task.plan.inputs.clone();
            CompactionPlan { vchannel: task.vchannel, sources, state: PlanState::Executing }
        };
        let plans = tasks.iter().map(plan).collect();
        let compaction = Compaction { id, collection, plans };
        let mut asked = self.work.asked.lock();
        asked.insert(id, compaction.clone());
        while asked.len() > ASKED_MAX {
            asked.pop_first();
        }
        drop(asked);
        tasks.into_iter().for_each(|task| self.add(Job::Run(task)));
        Ok(compaction)
    }

    /// A compaction that somebody asked for, unless it is too long ago.
    pub(crate) fn compaction(&self, id: i64) -> Option<Compaction> {
        self.work.asked.lock().get(&id).cloned()
    }

    /// Those of a collection, in the order of their ids.
    pub(crate) fn compactions(&self, collection: CollectionId) -> Vec<Compaction> {
        let asked = self.work.asked.lock();
        asked.values().filter(|of| of.collection == collection).cloned().collect()
    }

    /// Takes the next step, without a thread.
    pub(crate) fn run_waiting(&self) {
        if self.thread.is_some() {
            return;
        }
        let mut waiting = self.waiting.lock();
        if let Some(swapping) = waiting.1.take() {
            match swapping.done.try_recv() {
                Err(TryRecvError::Empty) => waiting.1 = Some(swapping),
                Err(TryRecvError::Disconnected) => {}
                Ok(output) => {
                    self.work.end(&swapping.task, output);
                }
            }
            return;
        }
        match waiting.0.pop_front() {
            None => {}
            Some(Job::Look(vchannel)) => {
                let tasks = self.work.look(vchannel);
                waiting.0.extend(tasks.into_iter().map(Job::Run));
            }
            Some(Job::Run(task)) => waiting.1 = self.work.start(task),
        }
    }

    /// Ends the thread; what was not swapped is left as it was. The flusher must have ended.
    pub(crate) fn stop(&self) {
        if let Some(thread) = &self.thread {
            thread.stop();
        }
    }
}
