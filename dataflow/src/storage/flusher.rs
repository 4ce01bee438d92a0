//! `Flusher`: the one thread that writes sealed shards out, in the order of their seals.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use hashbrown::HashMap;
use millstream_catalog::catalog::FlushCommit;
use millstream_catalog::model::{Fault, VChannel};
use parking_lot::Mutex;

use super::write::{Failed, Known, finish, prepare};
use super::{StartShard, Storage};
use crate::channel::{Flush, Stored};

/// How long the thread waits before it tries again what failed, at first and at most.
const AGAIN_MIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(10);

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
    thread: Option<Runner>,
    /// What failed and is tried again, without a thread.
    waiting: Mutex<VecDeque<Job>>,
}

struct Runner {
    jobs: Mutex<Option<Sender<Job>>>,
    handle: Mutex<Option<JoinHandle<()>>>,
    thread: Thread,
}

struct Work {
    storage: Storage,
    known: Mutex<HashMap<VChannel, Known>>,
    stopping: AtomicBool,
}

impl Work {
    /// Writes one shard out; the fault when it must be tried again.
    fn run(&self, job: &mut Job) -> Result<Vec<Stored>, Fault> {
        let vchannel = job.flush.vchannel;
        let (store, archive) = (&self.storage.store, &*self.storage.archive);
        // Only this thread writes files of a shard, so what it knows stays true without the lock.
        let mut known = self.known.lock().get(&vchannel).cloned().unwrap_or_default();
        if job.written.is_none() {
            job.written = prepare(store, archive, &job.flush, &known)?;
        }
        let Some(commit) = &job.written else { return Ok(Vec::new()) };
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

    /// Writes one shard out, however often it must be tried; `None` when the process stops.
    fn run_to_the_end(&self, job: &mut Job) -> Option<Vec<Stored>> {
        let mut pause = AGAIN_MIN;
        loop {
            if self.stopping.load(Ordering::Acquire) {
                return None;
            }
            match self.run(job) {
                Ok(stored) => return Some(stored),
                Err(fault) => {
                    let of = job.flush.vchannel;
                    tracing::warn!(?of, %fault, "a sealed shard was not written out; trying again");
                }
            }
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(AGAIN_MAX);
        }
    }

    fn serve(&self, jobs: &Receiver<Job>) {
        for mut job in jobs {
            match self.run_to_the_end(&mut job) {
                Some(stored) => (job.done)(stored),
                None => return,
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
        let stopping = AtomicBool::new(false);
        let work = Arc::new(Work { storage, known: Mutex::new(known), stopping });
        let thread = if threaded { Some(Runner::start(Arc::clone(&work))?) } else { None };
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
            Some(runner) => {
                if let Some(jobs) = &*runner.jobs.lock() {
                    // The thread is gone when the process stops; the log has everything.
                    let _ = jobs.send(job);
                }
            }
            None => {
                self.waiting.lock().push_back(job);
                self.run_waiting();
            }
        }
    }

    /// Tries again what failed, without a thread.
    pub(crate) fn run_waiting(&self) {
        loop {
            let Some(mut job) = self.waiting.lock().pop_front() else { return };
            match self.work.run(&mut job) {
                Ok(stored) => (job.done)(stored),
                Err(_) => return self.waiting.lock().push_front(job),
            }
        }
    }

    /// Ends the thread; what is not written out is in the log.
    pub(crate) fn stop(&self) {
        self.work.stopping.store(true, Ordering::Release);
        let Some(runner) = &self.thread else { return };
        runner.jobs.lock().take();
        runner.thread.unpark();
        if let Some(handle) = runner.handle.lock().take() {
            // A panic was reported where it happened.
            let _ = handle.join();
        }
    }
}

impl Runner {
    fn start(work: Arc<Work>) -> Result<Runner, Fault> {
        let (jobs, receiver) = crossbeam_channel::unbounded();
        let handle = std::thread::Builder::new()
            .name("flush".to_owned())
            .spawn(move || work.serve(&receiver))
            .map_err(|e| Fault::internal(format!("cannot start a thread: {e}")))?;
        let thread = handle.thread().clone();
        Ok(Runner { jobs: Mutex::new(Some(jobs)), handle: Mutex::new(Some(handle)), thread })
    }
}
