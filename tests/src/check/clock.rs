//! What the timestamps of a history say about when things happened.

use crate::history::{History, Level, Outcome, Read};

/// Bounded reads see everything acknowledged this long before, in nanoseconds.
const BOUNDED_NS: u64 = 5_000_000_000;

/// The time that a read was answered at: in `lower..upper`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// At this time or later.
    pub(super) lower: u64,
    /// Before this time.
    pub(super) upper: u64,
    /// The time that the level demands at least.
    pub(super) due: u64,
}

impl Window {
    /// The one time in the window, or its upper end when there are several.
    pub(super) fn as_of(self) -> u64 {
        self.upper.saturating_sub(1)
    }
}

/// A timestamp that a client held, from its request to its answer.
#[derive(Clone, Copy, Debug)]
struct Held {
    client: usize,
    invoked: u64,
    completed: u64,
    ts: u64,
    /// Whether it was newly handed out, not only a time that was read at.
    fresh: bool,
    /// Whether it acknowledges a write.
    write: bool,
}

/// All timestamps of a history, in the orders that the questions need.
#[derive(Debug)]
pub(super) struct Clock {
    /// By completion, with the largest timestamp so far.
    completed: Vec<(u64, u64)>,
    /// As `completed`, acknowledged writes only.
    acknowledged: Vec<(u64, u64)>,
    /// By invocation, fresh ones only, with the smallest timestamp from there on.
    invoked: Vec<(u64, u64)>,
    held: Vec<Held>,
}

impl Clock {
    pub(super) fn new(history: &History) -> Clock {
        let held = held(history);
        let completed = running_max(held.iter());
        let acknowledged = running_max(held.iter().filter(|held| held.write));
        let mut invoked: Vec<(u64, u64)> =
            held.iter().filter(|held| held.fresh).map(|held| (held.invoked, held.ts)).collect();
        invoked.sort_unstable();
        let mut least = u64::MAX;
        for (_, ts) in invoked.iter_mut().rev() {
            least = least.min(*ts);
            *ts = least;
        }
        Clock { completed, acknowledged, invoked, held }
    }

    /// The largest timestamp that anybody held before a moment.
    pub(super) fn known_before(&self, moment: u64) -> u64 {
        last_before(&self.completed, moment)
    }

    /// The bounds of the time of a read.
    pub(super) fn window(&self, read: &Read) -> Window {
        let due = match read.level {
            Level::Strong => last_before(&self.acknowledged, read.invoked),
            Level::Bounded => {
                last_before(&self.acknowledged, read.invoked.saturating_sub(BOUNDED_NS))
            }
            Level::Session => self.own(read),
            Level::Eventually => 0,
            Level::Pinned(at) => at,
        };
        if let Level::Pinned(at) = read.level {
            return Window { lower: at, upper: at + 1, due };
        }
        match read.as_of {
            Some(as_of) => Window { lower: as_of, upper: as_of + 1, due },
            None => {
                let next = self.invoked.partition_point(|(moment, _)| *moment < read.completed);
                let upper = self.invoked.get(next).map_or(u64::MAX, |(_, ts)| *ts);
                Window { lower: due, upper: upper.max(due + 1), due }
            }
        }
    }

    /// The largest timestamp of the reader's own acknowledged writes before the read.
    fn own(&self, read: &Read) -> u64 {
        let own = |held: &&Held| {
            held.write && held.client == read.client && held.completed < read.invoked
        };
        self.held.iter().filter(own).map(|held| held.ts).max().unwrap_or(0)
    }

    /// Pairs of timestamps of which the second was handed out after the first was known, and is
    /// not larger.
    pub(super) fn disorder(&self) -> Vec<(u64, u64)> {
        let fresh = self.held.iter().filter(|held| held.fresh);
        fresh
            .map(|held| (self.known_before(held.invoked), held.ts))
            .filter(|(earlier, later)| later <= earlier)
            .collect()
    }
}

fn held(history: &History) -> Vec<Held> {
    let writes = history.writes.iter().filter_map(|write| match write.outcome {
        Outcome::Acknowledged(ts) => Some(Held {
            client: write.client,
            invoked: write.invoked,
            completed: write.completed,
            ts,
            fresh: true,
            write: true,
        }),
        _ => None,
    });
    let stamps = history.stamps.iter().map(|stamp| Held {
        client: usize::MAX,
        invoked: stamp.invoked,
        completed: stamp.completed,
        ts: stamp.ts,
        fresh: true,
        write: false,
    });
    let reads = history.reads.iter().filter_map(|read| {
        Some(Held {
            client: read.client,
            invoked: read.invoked,
            completed: read.completed,
            ts: read.as_of?,
            fresh: false,
            write: false,
        })
    });
    writes.chain(stamps).chain(reads).collect()
}

/// Pairs of a completion and the largest timestamp completed by then.
fn running_max<'a>(held: impl Iterator<Item = &'a Held>) -> Vec<(u64, u64)> {
    let mut pairs: Vec<(u64, u64)> = held.map(|held| (held.completed, held.ts)).collect();
    pairs.sort_unstable();
    let mut most = 0;
    for (_, ts) in &mut pairs {
        most = most.max(*ts);
        *ts = most;
    }
    pairs
}

/// The value of the last pair before a moment; 0 when there is none.
fn last_before(pairs: &[(u64, u64)], moment: u64) -> u64 {
    let next = pairs.partition_point(|(completed, _)| *completed < moment);
    next.checked_sub(1).map_or(0, |last| pairs[last].1)
}
