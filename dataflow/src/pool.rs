//! The compute pool: where scans and filters run, so that operators never do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use millstream_catalog::model::Fault;

/// Runs long work away from the timely workers.
#[derive(Clone)]
pub(crate) enum Pool {
    /// At once, on the caller's thread: for simulation, where every step has its place.
    Inline,
    /// On a pool of threads.
    Threads(Arc<rayon::ThreadPool>),
}

impl Pool {
    /// A pool of this many threads; none means inline.
    pub(crate) fn new(threads: usize) -> Result<Pool, Fault> {
        if threads == 0 {
            return Ok(Pool::Inline);
        }
        let name = |i| format!("scan-{i}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
        let pool = pool.map_err(|e| Fault::internal(format!("cannot start the scan pool: {e}")))?;
        Ok(Pool::Threads(Arc::new(pool)))
    }

    /// Runs `work` and hands what it returned, or why it could not, to `done` on the same thread.
    pub(crate) fn spawn<T: 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
        done: impl FnOnce(Result<T, Fault>) + Send + 'static,
    ) {
        let task = move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            done(
                result.unwrap_or_else(|_| Err(Fault::internal("the request met a bug in a scan"))),
            );
        };
        match self {
            Pool::Inline => task(),
            Pool::Threads(pool) => pool.spawn(task),
        }
    }
}
