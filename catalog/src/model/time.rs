//! `Timestamp`: Milvus's hybrid time, 46 bits of milliseconds and 18 bits of a logical count.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment of the cluster's one time line: physical milliseconds `<< 18` | logical count.
///
/// Timestamps come from the TSO only and are unique. There is no clock in here.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Bits of the logical count.
    pub const LOGICAL_BITS: u32 = 18;
    /// Before everything.
    pub const MIN: Timestamp = Timestamp(0);
    /// After everything; never handed out.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The first timestamp of a millisecond since the Unix epoch.
    pub const fn from_ms(physical_ms: u64) -> Timestamp {
        Timestamp(physical_ms << Self::LOGICAL_BITS)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn physical_ms(self) -> u64 {
        self.0 >> Self::LOGICAL_BITS
    }

    /// The count within the millisecond.
    pub const fn logical(self) -> u64 {
        self.0 & ((1 << Self::LOGICAL_BITS) - 1)
    }

    /// The next timestamp; the last one stays itself.
    pub const fn next(self) -> Timestamp {
        Timestamp(self.0.saturating_add(1))
    }

    /// The timestamp before; the first one stays itself.
    pub const fn prev(self) -> Timestamp {
        Timestamp(self.0.saturating_sub(1))
    }

    /// This moment less a number of milliseconds, not below zero.
    pub const fn minus_ms(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_sub(ms << Self::LOGICAL_BITS))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.physical_ms(), self.logical())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_timestamp_compose_it() {
        let t = Timestamp(Timestamp::from_ms(1_700_000_000_123).0 + 77);
        assert_eq!((t.physical_ms(), t.logical()), (1_700_000_000_123, 77));
        assert_eq!(t.minus_ms(123).physical_ms(), 1_700_000_000_000);
        assert_eq!(Timestamp::MIN.prev(), Timestamp::MIN);
        assert_eq!(Timestamp::MAX.next(), Timestamp::MAX);
    }
}
