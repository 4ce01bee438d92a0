//! Tests of the TSO: unique and increasing, whatever clock, store and threads do.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use async_trait::async_trait;
use futures::executor::block_on;
use futures::future::join_all;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::{AHEAD_MS_MAX, STEP_AHEAD_MS, Tso, WINDOW_MS, WindowStore};
use crate::clock::Clock;
use crate::model::{Code, Fault, Timestamp};

/// A moment in 2023, in ms.
const START_MS: u64 = 1_700_000_000_000;
/// Timestamps in one ms.
const PER_MS: u64 = 1 << Timestamp::LOGICAL_BITS;

/// A clock that stands where it is put.
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// How the next save goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Nothing is saved.
    Lost,
    /// It is saved, but the answer does not come.
    Unknown,
}

/// A disk.
#[derive(Default)]
struct Disk {
    bound: Mutex<Timestamp>,
    trouble: Mutex<Option<Trouble>>,
    saves: AtomicUsize,
}

#[async_trait]
impl WindowStore for Disk {
    async fn load(&self) -> Result<Timestamp, Fault> {
        Ok(*self.bound.lock())
    }

    async fn save(&self, bound: Timestamp) -> Result<(), Fault> {
        self.saves.fetch_add(1, Ordering::SeqCst);
        let trouble = self.trouble.lock().take();
        if trouble == Some(Trouble::Lost) {
            return Err(Fault::internal("lost"));
        }
        let mut there = self.bound.lock();
        if bound < *there {
            return Err(Fault::internal("backwards"));
        }
        *there = bound;
        trouble.map_or(Ok(()), |_| Err(Fault::internal("unknown")))
    }
}

struct Bench {
    clock: Arc<Hand>,
    disk: Arc<Disk>,
}

impl Bench {
    fn new() -> Bench {
        Bench { clock: Arc::new(Hand(AtomicU64::new(START_MS))), disk: Arc::default() }
    }

    fn start(&self) -> Arc<Tso> {
        let clock: Arc<Hand> = Arc::clone(&self.clock);
        let disk: Arc<Disk> = Arc::clone(&self.disk);
        block_on(Tso::start(clock, disk)).unwrap()
    }

    fn step(&self, ms: i64) {
        let set = |now: u64| Some(now.saturating_add_signed(ms));
        self.clock.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, set).unwrap();
    }
}

#[test]
fn a_timestamp_follows_the_wall_clock() {
    let bench = Bench::new();
    let tso = bench.start();
    assert_eq!(tso.try_now().unwrap().physical_ms(), START_MS);
    bench.step(700);
    assert_eq!(tso.try_now().unwrap().physical_ms(), START_MS + 700);
}

#[test]
fn a_full_millisecond_rolls_into_the_next() {
    let bench = Bench::new();
    let tso = bench.start();
    let first = tso.try_alloc(u32::try_from(PER_MS).unwrap() - 1).unwrap();
    let last = tso.try_now().unwrap();
    let next = tso.try_now().unwrap();
    assert_eq!((first.logical(), last.logical()), (0, PER_MS - 1));
    assert_eq!((next.physical_ms(), next.logical()), (START_MS + 1, 0));
}

/// A try that does not see its room would make every caller wait for a disk.
#[test]
fn there_is_room_right_after_the_start_and_none_past_the_bound() {
    let bench = Bench::new();
    let tso = bench.start();
    assert!(tso.try_now().is_some());
    bench.step(i64::try_from(WINDOW_MS).unwrap() + 1);
    assert_eq!(tso.try_now(), None);
    assert!(block_on(tso.now()).is_ok());
    assert!(tso.try_now().is_some());
}

#[test]
fn the_hook_is_called_once_when_half_of_the_window_is_used() {
    let bench = Bench::new();
    let tso = bench.start();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    tso.on_low(Box::new(move || _ = counter.fetch_add(1, Ordering::SeqCst)));
    tso.try_now().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    bench.step(i64::try_from(WINDOW_MS).unwrap() / 2 + 1);
    tso.try_now().unwrap();
    tso.try_now().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let saves = bench.disk.saves.load(Ordering::SeqCst);
    block_on(tso.extend()).unwrap();
    block_on(tso.extend()).unwrap();
    assert_eq!(bench.disk.saves.load(Ordering::SeqCst), saves + 1, "the second had nothing to do");
    bench.step(i64::try_from(WINDOW_MS).unwrap() / 2 + 1);
    tso.try_now().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn waiters_share_one_extension() {
    let bench = Bench::new();
    let tso = bench.start();
    bench.step(10_000);
    let saves = bench.disk.saves.load(Ordering::SeqCst);
    let all = block_on(join_all((0..100).map(|_| tso.now())));
    let all: HashSet<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.len(), 100);
    assert_eq!(bench.disk.saves.load(Ordering::SeqCst), saves + 1);
}

#[test]
fn a_clock_set_back_does_not_set_time_back() {
    for back in [-1_000, -3_600_000, -315_360_000_000] {
        let bench = Bench::new();
        let tso = bench.start();
        let before = tso.try_now().unwrap();
        bench.step(back);
        let after = block_on(tso.now()).unwrap();
        assert!(after > before && after.physical_ms() == START_MS);
        let again = block_on(bench.start().now()).unwrap();
        assert!(again > after);
        assert!(again.physical_ms() <= START_MS + WINDOW_MS + STEP_AHEAD_MS);
    }
}

#[test]
fn demand_is_refused_a_minute_past_the_highest_clock_and_served_when_time_has_passed() {
    let bench = Bench::new();
    let tso = bench.start();
    bench.step(-3_600_000);
    let mut last = Timestamp::MIN;
    let fault = loop {
        match block_on(tso.alloc(1 << 31)) {
            Ok(first) => last = Timestamp(first.0 + (1 << 31) - 1),
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.code, Code::ServiceUnavailable);
    assert!(fault.code.retriable() && fault.message.contains("highest wall clock"));
    assert!(last < Timestamp::from_ms(START_MS + AHEAD_MS_MAX));
    assert!(last > Timestamp::from_ms(START_MS + AHEAD_MS_MAX - 10_000));
    bench.step(3_600_000 + 60_000);
    assert!(block_on(tso.alloc(1 << 31)).unwrap() > last);
}

#[test]
fn an_absurd_clock_is_no_panic() {
    let bench = Bench::new();
    bench.clock.0.store(u64::MAX, Ordering::SeqCst);
    let tso = bench.start();
    let first = block_on(tso.now()).unwrap();
    bench.clock.0.store(0, Ordering::SeqCst);
    assert!(block_on(tso.now()).unwrap() > first);
    assert!(i64::try_from(first.0).is_ok());
}

#[test]
fn threads_never_get_the_same_timestamp_and_each_sees_them_grow() {
    let bench = Bench::new();
    let tso = bench.start();
    let (ask, asked) = mpsc::channel();
    let (asked, last_ask) = (Mutex::new(asked), ask.clone());
    tso.on_low(Box::new(move || ask.send(()).unwrap_or(())));
    let done = AtomicBool::new(false);
    let all: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let clock = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                bench.step(400);
                bench.step(-300);
                std::thread::yield_now();
            }
        });
        scope.spawn(|| {
            while asked.lock().recv().is_ok() && !done.load(Ordering::SeqCst) {
                block_on(tso.extend()).unwrap();
            }
        });
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let take = || block_on(tso.now()).unwrap().0;
                scope.spawn(move || (0..20_000).map(|_| take()).collect::<Vec<_>>())
            })
            .collect();
        let all = workers.into_iter().map(|w| w.join().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        clock.join().unwrap();
        // One more request wakes the extender, which then sees that all is done.
        last_ask.send(()).unwrap();
        all
    });
    assert!(all.iter().all(|mine| mine.is_sorted_by(|a, b| a < b)));
    let distinct: HashSet<u64> = all.iter().flatten().copied().collect();
    assert_eq!(distinct.len(), 80_000);
}

#[derive(Clone, Debug)]
enum Step {
    Alloc(u32),
    Try(u32),
    Extend,
    Clock(i64),
    Restart,
    Trouble(Trouble),
}

fn step() -> impl Strategy<Value = Step> {
    let count = prop_oneof![Just(0u32), Just(1), 2u32..1000, 1_000_000u32..2_000_000_000];
    let ms = prop_oneof![
        Just(-1_000i64),
        Just(-3_600_000),
        Just(-315_360_000_000),
        Just(3_600_000),
        0i64..5_000,
    ];
    prop_oneof![
        6 => count.clone().prop_map(Step::Alloc),
        6 => count.prop_map(Step::Try),
        1 => Just(Step::Extend),
        4 => ms.prop_map(Step::Clock),
        2 => Just(Step::Restart),
        1 => Just(Step::Trouble(Trouble::Lost)),
        1 => Just(Step::Trouble(Trouble::Unknown)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// G4: whatever happens, a timestamp is above all before it, durable, and near the clock.
    #[test]
    fn time_only_grows_under_restarts_clock_jumps_and_failing_saves(
        steps in proptest::collection::vec(step(), 1..80)
    ) {
        let bench = Bench::new();
        let mut tso = bench.start();
        // The end of the last allocation, and the highest clock that anybody could have seen.
        let (mut end, mut high) = (0u64, START_MS);
        for step in steps {
            high = high.max(bench.clock.now_ms());
            let got = match step {
                Step::Alloc(count) => block_on(tso.alloc(count)).ok().map(|t| (t, count)),
                Step::Try(count) => tso.try_alloc(count).map(|t| (t, count)),
                Step::Extend => { _ = block_on(tso.extend()); None }
                Step::Clock(ms) => { bench.step(ms); None }
                Step::Restart => {
                    *bench.disk.trouble.lock() = None;
                    // What a restart skips counts as used: it may lie ahead of the clock.
                    high = high.max(bench.disk.bound.lock().physical_ms());
                    tso = bench.start();
                    None
                }
                Step::Trouble(trouble) => { *bench.disk.trouble.lock() = Some(trouble); None }
            };
            if let Some((first, count)) = got {
                prop_assert!(first.0 >= end, "{first:?} after {end}");
                end = first.0 + u64::from(count.max(1));
                prop_assert!(end <= bench.disk.bound.lock().0, "handed out before it was saved");
                prop_assert!(Timestamp(end).physical_ms() <= high + AHEAD_MS_MAX);
            }
        }
    }
}
