//! `Flusher`: the one thread that writes sealed shards out, in the order of their seals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::{HashMap, HashSet};
use millstream_catalog::catalog::FlushCommit;
use millstream_catalog::model::{Fault, VChannel};
use parking_lot::Mutex;

use super::background::Background;
use super::write::{Failed, Known, finish, prepare};
use super::{StartShard, Storage};
use crate::channel::{Flush, Stored};

/// Called with what was written out; with nothing when nobody needs it any more.
type Done = Box<dyn FnOnce(Vec<Stored>) + Send>;

struct Job {
    flush: Box<Flush>,
    done: Done,
    /// What was written and may count already.
    written: Option<FlushCommit>,
}

/// Writes sealed shards out.
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
    /// Writes one shard out; the fault when it must be tried again.
    fn run(&self, job: &mut Job) -> Result<Vec<Stored>, Fault> {
        let vchannel = job.flush.vchannel;
        let (store, archive) = (&self.storage.store, &*self.storage.archive);
        // Only this thread writes files of a shard, so what it knows stays true without the lock.
        let mut known = self.known.lock().get(&vchannel).cloned().unwrap_or_default();
        let commit = match job.written.take() {
            Some(commit) => commit,
            None => prepare(store, archive, &job.flush, &known)?,
        };
        let commit = &*job.written.insert(commit);
        match finish(store, archive, &job.flush, commit, &mut known) {
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

    /// Writes out what can be, in the order of the seals of each shard; what fails stays, and holds
    /// up its own shard only.
    fn run_all(&self, jobs: &mut Vec<Job>) {
        let mut late: HashSet<VChannel> = HashSet::new();
        for mut job in std::mem::take(jobs) {
            let shard = job.flush.vchannel;
            if late.contains(&shard) || self.stopping.load(Ordering::Acquire) {
                jobs.push(job);
                continue;
            }
            match self.run(&mut job) {
                Ok(stored) => (job.done)(stored),
                Err(fault) => {
                    tracing::warn!(?shard, %fault, "a sealed shard was not written out");
                    late.insert(shard);
                    jobs.push(job);
                }
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
            let segments = segments.iter().map(|segment| (segment.id, segment.slot)).collect();
            Some((start.vchannel, Known { state: Some(state), segments }))
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

    /// Writes a sealed shard out, and calls `done` when that is on stable storage and named.
    pub(crate) fn flush(&self, flush: Box<Flush>, done: Done) {
        let job = Job { flush, done, written: None };
        match &self.thread {
            Some(thread) => thread.send(job),
            None => {
                self.waiting.lock().push(job);
                self.run_waiting();
            }
        }
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
