//! What workers and handles share: closed-through, waiting callers, outcomes of filter deletes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use futures::channel::oneshot;
use hashbrown::{HashMap, HashSet};
use millstream_catalog::catalog::Checkpoint;
use millstream_catalog::model::{ChannelId, Fault, RequestId, Timestamp, VChannel};
use parking_lot::Mutex;

use crate::ask::{Ask, Reply};
use crate::census::Census;
use crate::interest::{Interest, Waiting};
use crate::retention::Retention;

/// A caller that waits for the answer to its read.
pub(crate) struct Caller {
    pub(crate) ask: Arc<Ask>,
    pub(crate) reply: oneshot::Sender<Result<Reply, Fault>>,
    waiting: Waiting,
}

struct CloseWaiter {
    channels: Vec<ChannelId>,
    at_least: Timestamp,
    done: oneshot::Sender<()>,
}

struct FlushWaiter {
    shards: Vec<VChannel>,
    through: Timestamp,
    /// Whether they are written out; not when one of them is gone.
    done: oneshot::Sender<bool>,
}

/// Through when shards are written out, and who waits for that.
#[derive(Default)]
struct Flushes {
    through: HashMap<VChannel, Timestamp>,
    /// Shards of collections that were dropped since the process started.
    gone: HashSet<VChannel>,
    waiters: Vec<FlushWaiter>,
}

impl Flushes {
    fn is_through(&self, shards: &[VChannel], at: Timestamp) -> bool {
        shards.iter().all(|shard| self.through.get(shard).is_some_and(|through| *through >= at))
    }

    /// Whether waiting for these shards is over, and how it ended.
    fn outcome(&self, shards: &[VChannel], at: Timestamp) -> Option<bool> {
        match shards.iter().any(|shard| self.gone.contains(shard)) {
            true => Some(false),
            false => self.is_through(shards, at).then_some(true),
        }
    }

    /// Answers who waited for what is over.
    fn release(&mut self) {
        for waiter in std::mem::take(&mut self.waiters) {
            match self.outcome(&waiter.shards, waiter.through) {
                // A caller that is gone waits for nothing.
                Some(outcome) => _ = waiter.done.send(outcome),
                None if waiter.done.is_canceled() => {}
                None => self.waiters.push(waiter),
            }
        }
    }
}

struct Outcome {
    shards_left: usize,
    rows: u64,
    done: oneshot::Sender<Result<u64, Fault>>,
}

/// Called when the checkpoint of a channel may move forward.
pub(crate) type OnCheckpoint = Box<dyn Fn(ChannelId, Checkpoint) + Send + Sync>;

/// State of one process that its workers and its handles share.
pub(crate) struct Shared {
    closed: Vec<AtomicU64>,
    callers: Mutex<HashMap<u64, Caller>>,
    next_id: AtomicU64,
    waiters: Mutex<Vec<CloseWaiter>>,
    /// Length of `waiters`, read without the lock each time a channel advances.
    waiting: AtomicUsize,
    outcomes: Mutex<HashMap<RequestId, Outcome>>,
    broken: Mutex<HashMap<ChannelId, Fault>>,
    rows: AtomicI64,
    scanned: AtomicU64,
    flushes: Mutex<Flushes>,
    /// The shards of this process.
    pub(crate) census: Census,
    pub(crate) retention: Retention,
    pub(crate) on_checkpoint: OnCheckpoint,
}

impl Shared {
    pub(crate) fn new(closed: &[Timestamp], on_checkpoint: OnCheckpoint) -> Shared {
        Shared {
            closed: closed.iter().map(|t| AtomicU64::new(t.0)).collect(),
            callers: Mutex::default(),
            next_id: AtomicU64::new(1),
            waiters: Mutex::default(),
            waiting: AtomicUsize::new(0),
            outcomes: Mutex::default(),
            broken: Mutex::default(),
            rows: AtomicI64::new(0),
            scanned: AtomicU64::new(0),
            flushes: Mutex::default(),
            census: Census::default(),
            retention: Retention::default(),
            on_checkpoint,
        }
    }

    /// Closed-through of a channel; of an unknown one, the beginning of time.
    pub(crate) fn closed(&self, channel: ChannelId) -> Timestamp {
        let closed = self.closed.get(usize::from(channel.0));
        closed.map_or(Timestamp::MIN, |c| Timestamp(c.load(Ordering::Acquire)))
    }

    /// The latest time that is closed on all these channels.
    pub(crate) fn closed_all(&self, channels: &[ChannelId]) -> Timestamp {
        channels.iter().map(|&c| self.closed(c)).min().unwrap_or(Timestamp::MIN)
    }

    /// Publishes a channel's progress and wakes who waited for it.
    pub(crate) fn advance(&self, channel: ChannelId, closed: Timestamp) {
        if let Some(slot) = self.closed.get(usize::from(channel.0)) {
            // Sequentially consistent with `wait_closed`: either it sees this time, or this sees
            // it.
            slot.store(closed.0, Ordering::SeqCst);
        }
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.release_waiters();
        }
    }

    fn release_waiters(&self) {
        let mut waiters = self.waiters.lock();
        let mut i = 0;
        while i < waiters.len() {
            let gone = waiters[i].done.is_canceled();
            if gone || self.closed_all(&waiters[i].channels) >= waiters[i].at_least {
                // A caller that is gone waits for nothing.
                let _ = waiters.swap_remove(i).done.send(());
            } else {
                i += 1;
            }
        }
        self.waiting.store(waiters.len(), Ordering::SeqCst);
    }

    /// Resolves when `at_least` is closed on all these channels.
    pub(crate) fn wait_closed(
        &self,
        channels: &[ChannelId],
        at_least: Timestamp,
    ) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        waiters.push(CloseWaiter { channels: channels.to_vec(), at_least, done });
        self.waiting.store(waiters.len(), Ordering::SeqCst);
        drop(waiters);
        self.release_waiters();
        receiver
    }

    /// Registers a caller; its number finds it again.
    pub(crate) fn call(&self, ask: Arc<Ask>) -> (u64, oneshot::Receiver<Result<Reply, Fault>>) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (reply, receiver) = oneshot::channel();
        let waiting = Waiting::default();
        self.callers.lock().insert(id, Caller { ask, reply, waiting });
        (id, receiver)
    }

    /// Takes a caller, to answer it or because it is gone.
    pub(crate) fn take_caller(&self, id: u64) -> Option<Caller> {
        self.callers.lock().remove(&id)
    }

    /// Forgets all callers, who hear that nobody will answer them.
    pub(crate) fn forget_callers(&self) {
        self.callers.lock().clear();
        self.flushes.lock().waiters.clear();
    }

    /// Whether somebody still waits for an answer.
    pub(crate) fn is_waited_for(&self, id: u64) -> bool {
        self.callers.lock().contains_key(&id)
    }

    /// The interest of a caller, while it waits for its answer.
    pub(crate) fn interest(&self, id: u64) -> Option<Interest> {
        self.callers.lock().get(&id).map(|caller| caller.waiting.interest())
    }

    /// Registers a filter delete on this many shards.
    pub(crate) fn expect_outcome(
        &self,
        request: RequestId,
        shards: usize,
    ) -> oneshot::Receiver<Result<u64, Fault>> {
        let (done, receiver) = oneshot::channel();
        let outcome = Outcome { shards_left: shards, rows: 0, done };
        self.outcomes.lock().insert(request, outcome);
        receiver
    }

    /// Adds what one shard did for a filter delete; the last shard answers.
    pub(crate) fn report_outcome(&self, request: RequestId, rows: Result<u64, Fault>) {
        let mut outcomes = self.outcomes.lock();
        let Some(outcome) = outcomes.get_mut(&request) else { return };
        outcome.shards_left = outcome.shards_left.saturating_sub(1);
        let failed = rows.is_err();
        outcome.rows += rows.as_ref().map_or(0, |rows| *rows);
        if (failed || outcome.shards_left == 0)
            && let Some(outcome) = outcomes.remove(&request)
        {
            // A caller that is gone does not need the count.
            let _ = outcome.done.send(rows.map(|_| outcome.rows));
        }
    }

    /// Forgets a filter delete whose caller is gone.
    pub(crate) fn forget_outcome(&self, request: RequestId) {
        self.outcomes.lock().remove(&request);
    }

    /// Marks a channel as stopped, for ever.
    pub(crate) fn set_broken(&self, channel: ChannelId, why: Fault) {
        self.broken.lock().insert(channel, why);
    }

    /// Why channels stopped, in no order.
    pub(crate) fn broken(&self) -> Vec<(ChannelId, Fault)> {
        self.broken.lock().iter().map(|(c, f)| (*c, f.clone())).collect()
    }

    pub(crate) fn add_rows(&self, rows: i64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn add_scanned(&self, rows: usize) {
        self.scanned.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Notes that a shard is written out through a time, and wakes who waited for that.
    pub(crate) fn set_flushed(&self, vchannel: VChannel, through: Timestamp) {
        let mut flushes = self.flushes.lock();
        if flushes.gone.contains(&vchannel) {
            return;
        }
        let known = flushes.through.entry(vchannel).or_insert(through);
        *known = (*known).max(through);
        flushes.release();
    }

    /// Whether all these shards are written out through a time.
    pub(crate) fn is_flushed(&self, shards: &[VChannel], through: Timestamp) -> bool {
        self.flushes.lock().is_through(shards, through)
    }

    /// Resolves when all these shards are written out through a time, to whether they are.
    pub(crate) fn wait_flushed(
        &self,
        shards: Vec<VChannel>,
        through: Timestamp,
    ) -> oneshot::Receiver<bool> {
        let (done, receiver) = oneshot::channel();
        let mut flushes = self.flushes.lock();
        flushes.waiters.push(FlushWaiter { shards, through, done });
        flushes.release();
        receiver
    }

    /// Forgets a shard of a collection that is gone.
    pub(crate) fn forget_flushed(&self, vchannel: VChannel) {
        let mut flushes = self.flushes.lock();
        flushes.through.remove(&vchannel);
        flushes.gone.insert(vchannel);
        flushes.release();
    }

    /// Rows that reads and filter deletes looked at so far.
    pub(crate) fn scanned(&self) -> u64 {
        self.scanned.load(Ordering::Relaxed)
    }

    /// Live rows of all shards of this process.
    pub(crate) fn rows(&self) -> i64 {
        self.rows.load(Ordering::Relaxed)
    }
}
