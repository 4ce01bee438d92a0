//! The server is killed at every fail point: what was decided is whole, and what was acknowledged is
//! there.

mod call;
mod data;
mod ddl;
mod kinds;
mod story;
mod view;

/// What chooses the steps; a failure prints it, and `MILLSTREAM_TEST_CRASH_SEED` repeats it.
fn seed() -> u64 {
    let set = std::env::var("MILLSTREAM_TEST_CRASH_SEED").ok();
    set.and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::random_range(0..10_000))
}

/// Steps of each kind at which the server is killed, when `MILLSTREAM_TEST_FAIL_STEPS` says how many.
fn steps() -> Option<usize> {
    std::env::var("MILLSTREAM_TEST_FAIL_STEPS").ok()?.parse().ok()
}
