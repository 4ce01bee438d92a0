//! The k best rows of a stream of scored rows, in memory bounded by k.
//!
//! Rows that may belong to the result are buffered; a full buffer is cut back to the k best by
//! (score, key order, row number), and the k-th score becomes the bound that later rows must reach.
//! A row that ties with the bound is kept until the next cut decides by key.

use std::cmp::Ordering;

use millstream_catalog::model::Metric;

use crate::score::score_of;

/// One row of a result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Score in the metric's own scale: squared distance for L2, similarity for IP and COSINE.
    pub score: f32,
    /// The row's number, as [`crate::Block::first_row`] counts.
    pub row: u32,
}

/// A scored row; see `score.rs` for distances.
#[derive(Debug, Clone, Copy)]
struct Entry {
    distance: f32,
    row: u32,
}

/// Collects the `k` best rows of one query over any number of blocks.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    metric: Metric,
    /// Rows farther than this are not among the k best.
    bound: f32,
    /// At most `full_at` rows, in no order.
    entries: Vec<Entry>,
    full_at: usize,
}

impl TopK {
    /// A collector of at most `k` rows under `metric`. Memory grows with what is found, to 2k rows.
    pub fn new(k: usize, metric: Metric) -> TopK {
        // Some slack also for a small k, so that not every accepted row costs a cut.
        let full_at = k + k.max(16);
        TopK { k, metric, bound: f32::INFINITY, entries: Vec::new(), full_at }
    }

    /// Number of rows wanted.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The rows its memory has room for.
    #[cfg(test)]
    pub(crate) fn buffered_rows_max(&self) -> usize {
        self.entries.capacity()
    }

    /// The distance a row must not exceed to matter.
    pub(crate) fn bound(&self) -> f32 {
        self.bound
    }

    /// Considers one row. `tie` orders two row numbers of equal distance.
    #[inline(always)]
    pub(crate) fn offer(&mut self, distance: f32, row: u32, tie: &dyn Fn(u32, u32) -> Ordering) {
        if distance <= self.bound {
            self.accept(Entry { distance, row }, tie);
        }
    }

    /// Buffers a row, and cuts the buffer back when it is full.
    #[cold]
    #[inline(never)]
    fn accept(&mut self, entry: Entry, tie: &dyn Fn(u32, u32) -> Ordering) {
        self.entries.push(entry);
        if self.entries.len() >= self.full_at {
            self.cut(tie);
        }
    }

    /// Keeps the k best rows, and tightens the bound to the k-th.
    fn cut(&mut self, tie: &dyn Fn(u32, u32) -> Ordering) {
        if self.k == 0 {
            self.entries.clear();
        } else if self.entries.len() > self.k {
            let order = |a: &Entry, b: &Entry| nearer(a, b, tie);
            let (_, last, _) = self.entries.select_nth_unstable_by(self.k - 1, order);
            self.bound = last.distance;
            self.entries.truncate(self.k);
        }
    }

    /// Takes over what `other` found among further rows of the same numbering.
    ///
    /// For a segment whose blocks were scanned by several tasks. `tie` as in [`crate::scan`].
    pub fn absorb(&mut self, other: TopK, tie: &dyn Fn(u32, u32) -> Ordering) {
        for entry in other.entries {
            self.offer(entry.distance, entry.row, tie);
        }
    }

    /// The best `min(k, rows offered)` rows, best first; `tie` orders row numbers of equal score.
    pub fn finish(mut self, tie: &dyn Fn(u32, u32) -> Ordering) -> Vec<Hit> {
        self.cut(tie);
        self.entries.sort_unstable_by(|a, b| nearer(a, b, tie));
        let hit = |e: &Entry| Hit { score: score_of(self.metric, e.distance), row: e.row };
        self.entries.iter().map(hit).collect()
    }
}

/// Orders two rows by distance, then by key; by number if the caller's order leaves them equal.
fn nearer(a: &Entry, b: &Entry, tie: &dyn Fn(u32, u32) -> Ordering) -> Ordering {
    a.distance
        .total_cmp(&b.distance)
        .then_with(|| tie(a.row, b.row))
        .then_with(|| a.row.cmp(&b.row))
}

/// A hit of one of several lists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MergedHit {
    /// Position of the list the hit comes from.
    pub list: usize,
    /// The hit.
    pub hit: Hit,
}

/// The best `k` hits of several lists, each best first, as [`TopK::finish`] returns them.
///
/// `tie` orders two hits of equal score, for instance by primary key; hits it leaves equal keep the
/// order of the lists.
pub fn merge(
    metric: Metric,
    k: usize,
    lists: &[&[Hit]],
    tie: &dyn Fn(MergedHit, MergedHit) -> Ordering,
) -> Vec<MergedHit> {
    let order = |a: &MergedHit, b: &MergedHit| {
        let by_score = match metric {
            Metric::L2 => a.hit.score.total_cmp(&b.hit.score),
            Metric::Ip | Metric::Cosine => b.hit.score.total_cmp(&a.hit.score),
        };
        by_score.then_with(|| tie(*a, *b))
    };
    // No list can contribute more than its first k hits.
    let mut all: Vec<MergedHit> = Vec::with_capacity(lists.iter().map(|l| l.len().min(k)).sum());
    for (list, hits) in lists.iter().enumerate() {
        all.extend(hits.iter().take(k).map(|&hit| MergedHit { list, hit }));
    }
    // The lists are sorted runs, which a stable sort merges in linear passes.
    all.sort_by(order);
    all.truncate(k);
    all
}
