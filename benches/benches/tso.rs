//! Timestamps and ids a second, in process: `cargo bench -p millstream-benches --bench tso`.
//!
//! Options after `--`: `--seconds S` (2). Every thread checks that its timestamps increase. The
//! window is saved to memory, once in some seconds of time: what is measured is the allocation.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::executor::block_on;
use millstream_benches::options::Options;
use millstream_benches::report::Figure;
use millstream_catalog::catalog::IdKind;
use millstream_catalog::clock::SystemClock;
use millstream_catalog::ids::{BLOCK_IDS, IdBlocks};
use millstream_catalog::memory;
use millstream_catalog::model::{Fault, Timestamp};
use millstream_catalog::tso::{Tso, WindowStore};

/// Keeps the bound in memory.
#[derive(Default)]
struct Bound(AtomicU64);

#[async_trait]
impl WindowStore for Bound {
    async fn load(&self) -> Result<Timestamp, Fault> {
        Ok(Timestamp(self.0.load(Ordering::Acquire)))
    }

    async fn save(&self, bound: Timestamp) -> Result<(), Fault> {
        self.0.store(bound.0, Ordering::Release);
        Ok(())
    }
}

fn main() {
    let mut options = Options::from_args("tso [--seconds S]");
    let seconds = options.number("--seconds", 2.0);
    options.finish();
    let alone = rate(1, seconds);
    Figure::new("tso_threads1", alone, "M/s").at_least(5.0).print();
    Figure::new("tso_threads2", rate(2, seconds), "M/s")
        .against("one thread", alone)
        .at_least(5.0)
        .print();
    Figure::new("tso_batches_of_100", batches(seconds), "M/s").at_least(1.0).print();
    Figure::new("ids", ids(seconds), "M/s").at_least(1.0).print();
}

/// Millions of timestamps a second that one thread gets by the hundred.
fn batches(seconds: f64) -> f64 {
    const COUNT: u32 = 100;
    let tso = block_on(Tso::start(Arc::new(SystemClock), Arc::new(Bound::default())));
    let tso = tso.expect("a store in memory does not fail");
    let (began, mut taken, mut last) = (Instant::now(), 0u64, Timestamp(0));
    while began.elapsed().as_secs_f64() < seconds {
        let first = block_on(tso.alloc(COUNT)).expect("a store in memory does not fail");
        assert!(first > last, "{first:?} after {last:?}");
        last = Timestamp(first.0 + u64::from(COUNT) - 1);
        taken += u64::from(COUNT);
    }
    taken as f64 / began.elapsed().as_secs_f64() / 1e6
}

/// Millions of row ids a second that one thread gets one by one, blocks of the catalog included.
fn ids(seconds: f64) -> f64 {
    let catalog = memory::open(&Arc::default(), Arc::new(SystemClock), 4);
    let catalog = catalog.expect("a catalog in memory opens");
    let ids = IdBlocks::new(catalog, IdKind::Row, BLOCK_IDS);
    let (began, mut taken, mut last) = (Instant::now(), 0u64, i64::MIN);
    while began.elapsed().as_secs_f64() < seconds {
        for _ in 0..1000 {
            let id = block_on(ids.alloc(1)).expect("a catalog in memory does not fail");
            assert!(id > last, "{id} after {last}");
            last = id;
        }
        taken += 1000;
    }
    taken as f64 / began.elapsed().as_secs_f64() / 1e6
}

/// Millions of timestamps a second that `threads` threads get together.
fn rate(threads: usize, seconds: f64) -> f64 {
    let tso = block_on(Tso::start(Arc::new(SystemClock), Arc::new(Bound::default())));
    let tso = tso.expect("a store in memory does not fail");
    let start = Barrier::new(threads + 1);
    let stop = AtomicBool::new(false);
    let mut elapsed = 0.0;
    let total: u64 = thread::scope(|scope| {
        let run = || {
            start.wait();
            count_until(&stop, &tso)
        };
        let runs: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        start.wait();
        let began = Instant::now();
        thread::sleep(Duration::from_secs_f64(seconds));
        stop.store(true, Ordering::Relaxed);
        elapsed = began.elapsed().as_secs_f64();
        runs.into_iter().map(|run| run.join().expect("timestamps increase")).sum()
    });
    total as f64 / elapsed / 1e6
}

/// Takes timestamps one by one until told to stop.
fn count_until(stop: &AtomicBool, tso: &Tso) -> u64 {
    let mut last = Timestamp(0);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..1000 {
            let now = match tso.try_now() {
                Some(now) => now,
                None => block_on(tso.now()).expect("a store in memory does not fail"),
            };
            assert!(now > last, "{now:?} after {last:?}");
            last = now;
        }
        count += 1000;
    }
    count
}
