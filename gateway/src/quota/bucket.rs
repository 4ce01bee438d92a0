//! `Bucket`: how much of something may happen in a second, in one atomic number.
//!
//! Like Milvus's, a bucket lets a request through while anything is left in it, however large the
//! request: what it takes too much keeps the next ones waiting. So no message is too large for a
//! small limit, and the mean is kept all the same. The crates that keep rates refuse such a request
//! for ever, or cannot count the debt.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a bucket holds when it is full is used up in this time, in nanoseconds.
const FULL: u64 = 1_000_000_000;

/// A rate, and how far it is used up.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    /// When the bucket will be full again, in nanoseconds of whoever asks.
    full_at: AtomicU64,
}

impl Bucket {
    /// A full bucket of `rate` a second; of 0, nothing is ever let through.
    pub(super) fn new(rate: f64) -> Bucket {
        Bucket { rate, full_at: AtomicU64::new(0) }
    }

    /// The same bucket with another rate: what was used up stays used up.
    #[must_use]
    pub(super) fn with_rate(&self, rate: f64) -> Bucket {
        Bucket { rate, full_at: AtomicU64::new(self.full_at.load(Ordering::Relaxed)) }
    }

    /// How much a second.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether anything is left at `now`.
    pub(super) fn is_open(&self, now: u64) -> bool {
        self.rate > 0.0 && self.full_at.load(Ordering::Relaxed) < now.saturating_add(FULL)
    }

    /// Takes an amount at `now`, more than is left if need be.
    pub(super) fn take(&self, now: u64, amount: f64) {
        // A conversion from floats saturates.
        let cost = (amount * FULL as f64 / self.rate) as u64;
        let later = |full_at: u64| Some(full_at.max(now).saturating_add(cost));
        // Cannot fail: `later` always has an answer.
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_lets_a_second_s_worth_through_and_then_one_at_a_time() {
        let bucket = Bucket::new(10.0);
        let through = |now: u64| {
            let open = bucket.is_open(now);
            if open {
                bucket.take(now, 1.0);
            }
            open
        };
        assert_eq!((0..20).filter(|_| through(0)).count(), 10);
        assert!(through(100_000_000) && !through(100_000_000), "a tenth of a second is one");
        assert_eq!((0..20).filter(|_| through(10 * FULL)).count(), 10, "no more than is full");
    }

    #[test]
    fn a_request_beyond_the_limit_is_let_through_and_paid_for_later() {
        let bucket = Bucket::new(100.0);
        assert!(bucket.is_open(0));
        bucket.take(0, 1_000.0);
        assert!(!bucket.is_open(9 * FULL));
        assert!(bucket.is_open(9 * FULL + 1));
        assert!(!Bucket::new(0.0).is_open(u64::MAX), "a rate of 0 denies everything");
        assert!(!bucket.with_rate(1.0).is_open(9 * FULL), "a debt stays a debt");
    }

    proptest! {
        #[test]
        fn the_mean_is_kept_over_any_run_of_requests(
            rate in 1.0..1e6f64,
            steps in prop::collection::vec((0..400_000_000u64, 0.0..3.0f64), 1..200),
        ) {
            // A second's worth to begin with, and the debt of the last request at most.
            let bucket = Bucket::new(rate);
            let (mut now, mut taken, mut last) = (0u64, 0.0, 0.0);
            for (pause, share) in steps {
                now += pause;
                if bucket.is_open(now) {
                    last = share * rate;
                    bucket.take(now, last);
                    taken += last;
                }
            }
            let due = rate * (now as f64 / FULL as f64 + 1.0);
            prop_assert!(taken - last <= due * (1.0 + 1e-6) + 1e-6, "{taken} of {due}");
        }
    }
}
