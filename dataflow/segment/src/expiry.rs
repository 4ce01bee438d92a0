//! When rows expire: a function of the time that is asked for, never of a clock.

use millstream_catalog::model::Timestamp;

/// The times to live that a shard had, one after the other.
///
/// **Invariant.** What is expired at a time is expired at all later ones: a longer time to live
/// brings nothing back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expiry(Vec<(Timestamp, Option<u64>)>);

impl Expiry {
    /// The times to live with the times from which they hold, in order, in milliseconds; rows live
    /// for ever where there is none.
    pub fn new(mut steps: Vec<(Timestamp, Option<u64>)>) -> Expiry {
        steps.sort_by_key(|step| step.0);
        Expiry(steps)
    }

    /// What [`Expiry::new`] takes.
    pub fn steps(&self) -> &[(Timestamp, Option<u64>)] {
        &self.0
    }

    /// Another time to live from `at` on, which is not before the last one's time; of two at one
    /// time the later one holds.
    pub fn set(&mut self, at: Timestamp, ttl_ms: Option<u64>) {
        self.0.pop_if(|last| last.0 == at);
        if self.0.last().and_then(|last| last.1) != ttl_ms {
            self.0.push((at, ttl_ms));
        }
    }

    /// Rows whose effective time is this one or before are expired at `at`: the largest of
    /// `t - ttl in force at t` over all `t` up to `at`. None are at [`Timestamp::MIN`].
    ///
    /// Rows that are expired at the oldest time that can be read are nobody's any more.
    pub fn expired_through(&self, at: Timestamp) -> Timestamp {
        let held = self.0.iter().take_while(|(from, _)| *from <= at).enumerate();
        let through = held.filter_map(|(i, &(_, ttl_ms))| {
            let next = self.0.get(i + 1).map_or(Timestamp::MAX, |(next, _)| next.prev());
            Some(next.min(at).minus_ms(ttl_ms?))
        });
        through.max().unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_expired_are_those_of_every_moment_before(
            steps in prop::collection::vec((0u64..40, prop::option::of(0u64..20)), 0..6),
            at in 0u64..60,
        ) {
            let mut expiry = Expiry::default();
            let mut sorted = steps;
            sorted.sort_by_key(|step| step.0);
            for (from, ttl) in &sorted {
                expiry.set(Timestamp::from_ms(*from), *ttl);
            }
            // Times of whole milliseconds only: the last one of a step is a fraction before the next.
            let mut expected = Timestamp::MIN;
            for t in 0..=at {
                let ttl = sorted.iter().rfind(|(from, _)| *from <= t).and_then(|step| step.1);
                let now = Timestamp::from_ms(t);
                let end = if t < at { Timestamp::from_ms(t + 1).prev() } else { now };
                expected = expected.max(ttl.map_or(Timestamp::MIN, |ttl| end.minus_ms(ttl)));
            }
            let through = expiry.expired_through(Timestamp::from_ms(at));
            prop_assert_eq!(through, expected);
            prop_assert!(expiry.expired_through(Timestamp::from_ms(at + 1)) >= through);
            prop_assert_eq!(Expiry::new(expiry.steps().to_vec()), expiry);
        }
    }

    #[test]
    fn nothing_expires_without_a_time_to_live() {
        let mut expiry = Expiry::default();
        expiry.set(Timestamp(5), None);
        assert_eq!(expiry, Expiry::default());
        assert_eq!(expiry.expired_through(Timestamp::MAX), Timestamp::MIN);
    }
}
