//! `Background`: a thread that works off jobs, and tries again what is left of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use millstream_catalog::model::Fault;
use parking_lot::Mutex;

/// How long what is left waits before it is tried again, at first and at most.
const AGAIN_MIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// A thread with its jobs.
pub(super) struct Background<T> {
    jobs: Mutex<Option<Sender<T>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    handle: Thread,
    stopping: Arc<AtomicBool>,
}

impl<T: Send + 'static> Background<T> {
    /// Starts the thread. `run` gets the jobs that it left before, and those that came since; what it
    /// leaves is tried again. It should look at `stopping` now and then.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        name: &str,
        stopping: Arc<AtomicBool>,
        run: impl FnMut(&mut Vec<T>) + Send + 'static,
    ) -> Result<Background<T>, Fault> {
        let (jobs, incoming) = crossbeam_channel::unbounded();
        let stop = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || serve(&incoming, &stop, run))
            .map_err(|e| Fault::internal(format!("cannot start a thread: {e}")))?;
        let handle = thread.thread().clone();
        let (jobs, thread) = (Mutex::new(Some(jobs)), Mutex::new(Some(thread)));
        Ok(Background { jobs, thread, handle, stopping })
    }

    /// Adds a job.
    pub(super) fn send(&self, job: T) {
        if let Some(jobs) = &*self.jobs.lock() {
            // The thread is gone when the process stops.
            let _ = jobs.send(job);
        }
    }

    /// Ends the thread after what it runs now; jobs that are left are dropped.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.jobs.lock().take();
        self.handle.unpark();
        if let Some(thread) = self.thread.lock().take() {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

fn serve<T>(incoming: &Receiver<T>, stopping: &AtomicBool, mut run: impl FnMut(&mut Vec<T>)) {
    let (mut jobs, mut pause) = (Vec::new(), AGAIN_MIN);
    while !stopping.load(Ordering::Acquire) {
        let next = match jobs.is_empty() {
            true => incoming.recv().map_err(RecvTimeoutError::from),
            false => incoming.recv_timeout(pause),
        };
        match next {
            Ok(job) => jobs.push(job),
            Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(AGAIN_MAX),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        jobs.extend(incoming.try_iter());
        run(&mut jobs);
        if jobs.is_empty() {
            pause = AGAIN_MIN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_tried_again_before_what_comes_later() {
        let (told, heard) = crossbeam_channel::unbounded();
        let mut failures = 2;
        let run = move |jobs: &mut Vec<u32>| {
            if failures > 0 {
                failures -= 1;
                return;
            }
            jobs.drain(..).for_each(|job| told.send(job).unwrap());
        };
        let background = Background::start("test", Arc::default(), run).unwrap();
        (1..=3).for_each(|job| background.send(job));
        assert_eq!(heard.iter().take(3).collect::<Vec<_>>(), [1, 2, 3]);
        background.stop();
        background.send(4);
        assert_eq!(heard.iter().next(), None);
    }
}
