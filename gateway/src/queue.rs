//! Queues: how many requests of a kind run, and how many may wait for a place.
//!
//! As in Milvus there are three: changes of metadata one after the other, writes, and reads. A
//! request that finds its queue full is refused at once with an error that says to retry, so that
//! memory stays bounded and nobody waits without end.

use std::sync::atomic::{AtomicUsize, Ordering};

use millstream_catalog::model::{Code, Fault};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Reads, and writes, that run at once.
pub const RUNNING_MAX: usize = 64;
/// Requests of one kind that wait at once.
pub const WAITING_MAX: usize = 1_024;

/// One queue.
pub struct Queue {
    name: &'static str,
    running_max: usize,
    waiting_max: usize,
    places: Semaphore,
    waiting: AtomicUsize,
}

impl Queue {
    /// A queue in which `running_max` requests run while at most `waiting_max` wait.
    pub fn new(name: &'static str, running_max: usize, waiting_max: usize) -> Queue {
        let places = Semaphore::new(running_max);
        Queue { name, running_max, waiting_max, places, waiting: AtomicUsize::new(0) }
    }

    /// Waits for a place; it is given back when the permit is dropped.
    ///
    /// # Errors
    /// Code 8 when too many wait already.
    pub async fn enter(&self) -> Result<SemaphorePermit<'_>, Fault> {
        if let Ok(permit) = self.places.try_acquire() {
            return Ok(permit);
        }
        let _waiting = Waiting::begin(self)?;
        self.places.acquire().await.map_err(|_| Fault::internal("the server is stopping"))
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Counts a request as waiting until it is dropped, also when its client went away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(queue: &'a Queue) -> Result<Waiting<'a>, Fault> {
        let before = queue.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&queue.waiting);
        if before < queue.waiting_max {
            return Ok(waiting);
        }
        let Queue { name, running_max, waiting_max, .. } = queue;
        Err(Fault::new(
            Code::RateLimit,
            format!(
                "request is rejected: the {name} queue is full ({running_max} running, \
                 {waiting_max} waiting); retry later"
            ),
        ))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The three queues of a gateway.
pub struct Queues {
    /// Changes of metadata, one after the other.
    pub ddl: Queue,
    /// Writes.
    pub dml: Queue,
    /// Reads.
    pub dql: Queue,
}

impl Default for Queues {
    fn default() -> Queues {
        Queues {
            ddl: Queue::new("DDL", 1, WAITING_MAX),
            dml: Queue::new("DML", RUNNING_MAX, WAITING_MAX),
            dql: Queue::new("DQL", RUNNING_MAX, WAITING_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_full_queue_refuses_at_once_and_recovers() {
        let queue = Queue::new("DQL", 1, 1);
        let first = queue.enter().now_or_never().unwrap().unwrap();
        let mut second = Box::pin(queue.enter());
        assert!((&mut second).now_or_never().is_none());
        let refused = queue.enter().now_or_never().unwrap().unwrap_err();
        assert_eq!(refused.code, Code::RateLimit);
        assert!(refused.message.contains("DQL queue is full (1 running, 1 waiting)"));
        drop(first);
        assert!(second.now_or_never().unwrap().is_ok());
        assert_eq!(queue.waiting(), 0);
        assert!(queue.enter().now_or_never().unwrap().is_ok());
    }

    #[test]
    fn a_client_that_gives_up_waits_no_more() {
        let queue = Queue::new("DQL", 1, 1);
        let _first = queue.enter().now_or_never().unwrap().unwrap();
        let mut gone = Box::pin(queue.enter());
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        assert_eq!(queue.waiting(), 0);
    }
}
