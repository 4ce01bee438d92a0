//! Deterministic simulation: the real source, segments, pk index, MVCC, writer and TSO, stepped by
//! hand in one thread over a log, a catalog and a clock in memory.
//!
//! A seed decides everything: what clients send, which append lands when, in which order and how
//! often entries are delivered, whose acknowledgement is lost, when the process crashes and how the
//! clock jumps. Every answer is compared with an oracle that reads the same log with the simplest
//! code that can be right. `MILLSTREAM_SIM_SEEDS` is the number of seeds, `MILLSTREAM_SIM_SEED`
//! runs one of them again.

mod archive;
#[path = "../support/manifest.rs"]
mod manifest;
mod oracle;
mod questions;
mod requests;
mod tally;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tally::Tally;
use world::World;

const SEEDS: u64 = 300;
const STEPS: usize = 160;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64) -> Tally {
    let mut world = World::new(seed);
    // Some live longer, so that there is a past to compact.
    for _ in 0..if seed.is_multiple_of(4) { 3 * STEPS } else { STEPS } {
        world.step();
    }
    world.finish()
}

#[test]
fn every_answer_at_every_time_equals_the_oracle_under_faults() {
    if let Some(seed) = env("MILLSTREAM_SIM_SEED") {
        println!("{:?}", run(seed));
        return;
    }
    let seeds = env("MILLSTREAM_SIM_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let totals: Vec<Tally> = std::thread::scope(|scope| {
        let run_share = |share: u64| {
            let mut total = Tally::default();
            for seed in (share..seeds).step_by(threads as usize) {
                match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                    Ok(tally) => total.add(&tally),
                    Err(cause) => {
                        eprintln!(
                            "seed {seed} fails; run it again with MILLSTREAM_SIM_SEED={seed}"
                        );
                        std::panic::resume_unwind(cause);
                    }
                }
            }
            total
        };
        let handles: Vec<_> =
            (0..threads).map(|share| scope.spawn(move || run_share(share))).collect();
        let joined = handles.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|total| total.unwrap_or_else(|cause| std::panic::resume_unwind(cause))).collect()
    });
    let mut total = Tally::default();
    totals.iter().for_each(|t| total.add(t));
    println!("{seeds} seeds: {total:?}");
    // A simulation that does not reach its faults shows nothing.
    for (what, count) in total.counts() {
        assert!(count > seeds / 20, "too few {what}: {total:?}");
    }
}

#[test]
fn a_seed_always_gives_the_same_run() {
    for seed in 0..5 {
        assert_eq!(run(seed), run(seed));
    }
}
