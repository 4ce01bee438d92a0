//! `Deadlines`: limits of time for thousands of requests, at the price of one timer.
//!
//! A timer of the runtime that is earlier than all others wakes the I/O driver when it is set: a
//! system call and one more turn of the event loop, for each request. Requests hardly ever reach
//! their limit, so here one task looks at all of them every [`TICK`] while there are any. Nobody
//! waiting costs nothing.
//!
//! **Invariant.** A limit is noticed between 0 and 2 [`TICK`]s after it passed, never before.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

/// How often limits are looked at.
const TICK: Duration = Duration::from_millis(20);

/// Somebody who waits: until when, and how to wake him.
struct Waiting {
    until: Instant,
    waker: Waker,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Slab<Waiting>>,
    /// Told when `waiting` has its first entry.
    busy: Notify,
}

impl Shared {
    /// Wakes whoever is past his limit; whether anybody waits at all.
    fn sweep(&self, now: Instant) -> bool {
        let waiting = self.waiting.lock();
        for (_, late) in waiting.iter().filter(|(_, w)| w.until <= now) {
            late.waker.wake_by_ref();
        }
        !waiting.is_empty()
    }
}

/// Sets limits of time. Clones share the task that watches them.
#[derive(Clone)]
pub struct Deadlines(Arc<Shared>);

impl Deadlines {
    /// Starts the task that watches; it ends with the runtime, in which this must be called.
    pub fn start() -> Deadlines {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                watched.busy.notified().await;
                tokio::time::sleep(TICK).await;
                while watched.sweep(Instant::now()) {
                    tokio::time::sleep(TICK).await;
                }
            }
        });
        Deadlines(shared)
    }

    /// Runs `future` for at most `limit`.
    ///
    /// # Errors
    /// [`Elapsed`] when it was not done by then; it is dropped.
    pub async fn limit<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        // A limit beyond the end of the clock is none.
        let until = Instant::now().checked_add(limit);
        let mut future = pin!(future);
        let mut place = Place { shared: &self.0, key: None };
        poll_fn(move |context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            let Some(until) = until else { return Poll::Pending };
            if Instant::now() >= until {
                return Poll::Ready(Err(Elapsed));
            }
            place.wait(until, context.waker());
            Poll::Pending
        })
        .await
    }
}

/// The limit has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// An entry among those who wait; gives its place back when dropped.
struct Place<'a> {
    shared: &'a Shared,
    key: Option<usize>,
}

impl Place<'_> {
    fn wait(&mut self, until: Instant, waker: &Waker) {
        let mut waiting = self.shared.waiting.lock();
        if let Some(known) = self.key.and_then(|key| waiting.get_mut(key)) {
            known.waker.clone_from(waker);
            return;
        }
        let first = waiting.is_empty();
        self.key = Some(waiting.insert(Waiting { until, waker: waker.clone() }));
        drop(waiting);
        if first {
            self.shared.busy.notify_one();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.waiting.lock().try_remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_ready_is_given_and_what_never_comes_ends_at_its_limit() {
        let deadlines = Deadlines::start();
        assert_eq!(deadlines.limit(Duration::ZERO, async { 7 }).await, Ok(7));
        for _ in 0..2 {
            let begun = Instant::now();
            let limit = Duration::from_millis(30);
            let never = deadlines.limit(limit, std::future::pending::<()>()).await;
            assert_eq!(never, Err(Elapsed));
            assert!(begun.elapsed() >= limit);
        }
    }

    #[tokio::test]
    async fn places_are_given_back_also_by_futures_that_are_dropped() {
        let deadlines = Deadlines::start();
        let mut future =
            Box::pin(deadlines.limit(Duration::from_secs(60), std::future::pending::<()>()));
        assert!(futures::poll!(&mut future).is_pending());
        assert!(futures::poll!(&mut future).is_pending());
        assert_eq!(deadlines.0.waiting.lock().len(), 1);
        drop(future);
        assert_eq!(deadlines.0.waiting.lock().len(), 0);
    }

    #[tokio::test]
    async fn a_limit_among_thousands_is_kept_by_each() {
        let deadlines = Deadlines::start();
        let limits = (0..2000u64).map(|i| {
            let limit = Duration::from_millis(i % 40);
            deadlines.limit(limit, std::future::pending::<()>())
        });
        let all = tokio::time::timeout(Duration::from_secs(10), futures::future::join_all(limits));
        assert!(all.await.unwrap().iter().all(|outcome| *outcome == Err(Elapsed)));
    }
}
