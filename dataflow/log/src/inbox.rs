//! `Inbox`: the bounded queue between a channel of the log and the worker that reads it.
//!
//! **Invariant.** Deliveries come out in the order they went in, and a waker is called after each
//! one went in, never under the lock.

use std::collections::VecDeque;
use std::sync::OnceLock;

use futures::channel::oneshot;
use millstream_catalog::model::Timestamp;
use parking_lot::{Condvar, Mutex};

use crate::entry::Entry;

/// What a subscriber of a channel receives.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// An entry, durable. Sequences have no gaps.
    Entry {
        /// Its sequence.
        seq: u64,
        /// Its units, for the [`crate::Assembler`].
        entry: Entry,
    },
    /// Every unit stamped at or before this is durable and was delivered before: the channel may
    /// be closed through it. Only an exclusive log sends these.
    Tick(Timestamp),
    /// The log failed for good, with the reason: nothing follows and the reader must stop.
    Broken(String),
}

impl Delivery {
    fn cost(&self) -> usize {
        match self {
            Delivery::Entry { entry, .. } => entry.len() + 64,
            Delivery::Tick(_) | Delivery::Broken(_) => 0,
        }
    }
}

type Waker = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    queue: VecDeque<Delivery>,
    bytes: usize,
    closed: bool,
    waiting: Vec<oneshot::Sender<()>>,
    blocked: usize,
}

/// A queue of deliveries of one channel, bounded by bytes.
pub struct Inbox {
    state: Mutex<State>,
    room: Condvar,
    waker: OnceLock<Waker>,
    bytes_max: usize,
}

impl Inbox {
    /// An inbox that takes deliveries while it holds less than `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Inbox {
        let state = Mutex::new(State::default());
        Inbox { state, room: Condvar::new(), waker: OnceLock::new(), bytes_max }
    }

    /// Sets what to call after each delivery, once; a second waker is ignored. Called at once
    /// when something waits already.
    pub fn set_waker(&self, waker: Waker) {
        let waker = self.waker.get_or_init(|| waker);
        if !self.state.lock().queue.is_empty() {
            waker();
        }
    }

    /// Takes the next delivery.
    pub fn try_pop(&self) -> Option<Delivery> {
        let mut state = self.state.lock();
        let delivery = state.queue.pop_front()?;
        let full = state.bytes >= self.bytes_max;
        state.bytes -= delivery.cost();
        if full && state.bytes < self.bytes_max {
            let waiting = std::mem::take(&mut state.waiting);
            if state.blocked > 0 {
                self.room.notify_all();
            }
            drop(state);
            for waiting in waiting {
                // A receiver that is gone waits for nothing.
                let _ = waiting.send(());
            }
        }
        Some(delivery)
    }

    /// Bytes that wait to be taken.
    pub fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// The reader is gone: nothing is taken any more and nobody waits for room.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.queue.clear();
        state.bytes = 0;
        state.waiting.clear();
        self.room.notify_all();
    }

    /// Whether the reader is gone.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Waits until the reader is gone.
    pub async fn closed(&self) {
        loop {
            let wait = {
                let mut state = self.state.lock();
                if state.closed {
                    return;
                }
                let (sender, receiver) = oneshot::channel();
                state.waiting.push(sender);
                receiver
            };
            // Also told when there is room: looked at again above.
            let _ = wait.await;
        }
    }

    /// Delivers from a thread, waiting while the inbox is full. `false` when it is closed.
    pub fn push_blocking(&self, delivery: Delivery) -> bool {
        let mut state = self.state.lock();
        while state.bytes >= self.bytes_max && !state.closed {
            state.blocked += 1;
            self.room.wait(&mut state);
            state.blocked -= 1;
        }
        self.put(state, delivery)
    }

    /// Delivers from a task, waiting while the inbox is full. `false` when it is closed.
    pub async fn push(&self, delivery: Delivery) -> bool {
        loop {
            let wait = {
                let mut state = self.state.lock();
                if state.bytes < self.bytes_max || state.closed {
                    return self.put(state, delivery);
                }
                let (sender, receiver) = oneshot::channel();
                state.waiting.push(sender);
                receiver
            };
            // Cancelled when the inbox is closed: looked at again above.
            let _ = wait.await;
        }
    }

    /// Delivers without waiting, above the bound if need be: for ticks, failures and simulation.
    pub fn push_now(&self, delivery: Delivery) -> bool {
        self.put(self.state.lock(), delivery)
    }

    fn put(&self, mut state: parking_lot::MutexGuard<'_, State>, delivery: Delivery) -> bool {
        if state.closed {
            return false;
        }
        match (state.queue.back_mut(), &delivery) {
            (Some(Delivery::Tick(last)), Delivery::Tick(ts)) => *last = (*last).max(*ts),
            _ => {
                state.bytes += delivery.cost();
                state.queue.push_back(delivery);
            }
        }
        drop(state);
        if let Some(waker) = self.waker.get() {
            waker();
        }
        true
    }
}
