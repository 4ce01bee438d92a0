//! `Flusher`: the one thread that changes the manifest of shards: it writes sealed rows out, in the
//! order of their seals, and puts compacted segments in the place of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::{HashMap, HashSet};
use millstream_catalog::catalog::{CompactCommit, FlushCommit};
use millstream_catalog::model::{Fault, FileRef, VChannel};
use parking_lot::Mutex;

use super::background::Background;
use super::compact::{self, Output};
use super::plan::Dead;
use super::write::{Failed, Known, finish, order, prepare};
use super::{StartShard, Storage};
use crate::channel::{Flush, Stored};

/// Called with what was written out; with nothing when nobody needs it any more.
type Done = Box<dyn FnOnce(Vec<Stored>) + Send>;
/// Called with what counts now; with nothing when it was given up.
type Swapped = Box<dyn FnOnce(Option<Output>) + Send>;

/// A change of the manifest, with what was written for it and may count already.
enum Job {
    Flush { flush: Box<Flush>, done: Done, written: Option<FlushCommit> },
    Swap { output: Box<Output>, done: Swapped, written: Option<CompactCommit> },
}

impl Job {
    fn shard(&self) -> VChannel {
        match self {
            Job::Flush { flush, .. } => flush.vchannel,
            Job::Swap { output, .. } => output.place.vchannel,
        }
    }
}

/// Changes the manifest.
pub(crate) struct Flusher {
    work: Arc<Work>,
    thread: Option<Background<Job>>,
    /// What failed and is tried again, without a thread.
    waiting: Mutex<Vec<Job>>,
}

struct Work {
    storage: Storage,
    known: Mutex<HashMap<VChannel, Known>>,
    stopping: Arc<AtomicBool>,
}

impl Work {
    fn known(&self, vchannel: VChannel) -> Known {
        // Only one thread changes the manifest of a shard, so for it this stays true without the
        // lock.
        self.known.lock().get(&vchannel).cloned().unwrap_or_default()
    }

    /// Writes one shard out; the fault when it must be tried again.
    fn flush(
        &self,
        flush: &Flush,
        written: &mut Option<FlushCommit>,
    ) -> Result<Vec<Stored>, Fault> {
        let vchannel = flush.vchannel;
        let (store, archive) = (&self.storage.store, &*self.storage.archive);
        let mut known = self.known(vchannel);
        let commit = match written.take() {
            Some(commit) => commit,
            None => prepare(store, archive, flush, &known)?,
        };
        let commit = &*written.insert(commit);
        match finish(store, archive, flush, commit, &mut known) {
            Ok(stored) => {
                self.known.lock().insert(vchannel, known);
                Ok(stored)
            }
            Err(Failed::Gone) => {
                self.known.lock().remove(&vchannel);
                Ok(Vec::new())
            }
            Err(Failed::Later(fault)) => Err(fault),
        }
    }

    /// Puts compacted rows in the place of others, and says whether it did; the fault when it must be
    /// tried again.
    fn swap(&self, output: &Output, written: &mut Option<CompactCommit>) -> Result<bool, Fault> {
        let (store, archive) = (&self.storage.store, &*self.storage.archive);
        let mut known = self.known(output.place.vchannel);
        let commit = match written.take() {
            Some(commit) => commit,
            None => match output.prepare((store, archive), &known)? {
                Some(commit) => commit,
                None => {
                    output.undo(store);
                    return Ok(false);
                }
            },
        };
        let commit = &*written.insert(commit);
        match compact::finish((store, archive), commit, &mut known) {
            Ok(()) => {
                self.known.lock().insert(output.place.vchannel, known);
                Ok(true)
            }
            Err(Failed::Gone) => Ok(false),
            Err(Failed::Later(fault)) => Err(fault),
        }
    }

    /// Runs a job; what is left of it when it must be tried again.
    fn run(&self, job: Job) -> Option<Job> {
        let shard = job.shard();
        let (left, fault) = match job {
            Job::Flush { flush, done, mut written } => match self.flush(&flush, &mut written) {
                Ok(stored) => {
                    done(stored);
                    return None;
                }
                Err(fault) => (Job::Flush { flush, done, written }, fault),
            },
            Job::Swap { output, done, mut written } => match self.swap(&output, &mut written) {
                Ok(counts) => {
                    done(counts.then_some(*output));
                    return None;
                }
                Err(fault) => (Job::Swap { output, done, written }, fault),
            },
        };
        tracing::warn!(?shard, %fault, "a shard was not written out");
        Some(left)
    }

    /// Does what can be done, in the order of each shard; what fails stays, and holds up its own
    /// shard only.
    fn run_all(&self, jobs: &mut Vec<Job>) {
        let mut late: HashSet<VChannel> = HashSet::new();
        for job in std::mem::take(jobs) {
            let shard = job.shard();
            if late.contains(&shard) || self.stopping.load(Ordering::Acquire) {
                jobs.push(job);
            } else if let Some(job) = self.run(job) {
                late.insert(shard);
                jobs.push(job);
            }
        }
    }
}

impl Flusher {
    /// Starts the thread; without one, everything is written by whoever seals, which only
    /// simulation wants.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(storage: Storage, threaded: bool) -> Result<Flusher, Fault> {
        let known = |start: &StartShard| {
            let (state, segments) = start.stored.clone()?;
            let mut segments: Vec<_> = segments.into_iter().map(Arc::new).collect();
            segments.sort_unstable_by_key(order);
            let (state, schema) = (Some(state), Some(Arc::clone(&start.schema)));
            Some((start.vchannel, Known { state, schema, segments, dead: None }))
        };
        let known = storage.shards.iter().filter_map(known).collect();
        let stopping = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&stopping);
        let work = Arc::new(Work { storage, known: Mutex::new(known), stopping });
        let worker = Arc::clone(&work);
        let run = move |jobs: &mut Vec<Job>| worker.run_all(jobs);
        let thread = threaded.then(|| Background::start("flush", stop, run)).transpose()?;
        Ok(Flusher { work, thread, waiting: Mutex::default() })
    }

    /// Where files are, and what of each shard was written out when the process started.
    pub(crate) fn storage(&self) -> &Storage {
        &self.work.storage
    }

    /// What is known of a shard's files.
    pub(super) fn known(&self, vchannel: VChannel) -> Known {
        self.work.known(vchannel)
    }

    /// The shards of which something was written out.
    pub(super) fn shards(&self) -> Vec<VChannel> {
        self.work.known.lock().keys().copied().collect()
    }

    /// Notes how many rows of a shard ended, as the ends in `deltas` say.
    pub(super) fn set_dead(&self, vchannel: VChannel, deltas: &[FileRef], dead: Dead) {
        if let Some(known) = self.work.known.lock().get_mut(&vchannel)
            && known.state.as_ref().is_some_and(|state| state.deltas == deltas)
        {
            known.dead = Some(dead);
        }
    }

    /// Forgets a shard that is gone.
    pub(crate) fn forget(&self, vchannel: VChannel) {
        self.work.known.lock().remove(&vchannel);
    }

    fn add(&self, job: Job) {
        match &self.thread {
            Some(thread) => thread.send(job),
            None => {
                self.waiting.lock().push(job);
                self.run_waiting();
            }
        }
    }

    /// Writes a sealed shard out, and calls `done` when that is on stable storage and named.
    pub(crate) fn flush(&self, flush: Box<Flush>, done: Done) {
        self.add(Job::Flush { flush, done, written: None });
    }

    /// Puts compacted rows in the place of others, and calls `done` when that counts or never will.
    pub(super) fn swap(&self, output: Output, done: Swapped) {
        self.add(Job::Swap { output: Box::new(output), done, written: None });
    }

    /// Tries again what failed, without a thread.
    pub(crate) fn run_waiting(&self) {
        let mut jobs = std::mem::take(&mut *self.waiting.lock());
        self.work.run_all(&mut jobs);
        self.waiting.lock().extend(jobs);
    }

    /// Ends the thread; what is not written out is in the log.
    pub(crate) fn stop(&self) {
        if let Some(thread) = &self.thread {
            thread.stop();
        }
    }
}
