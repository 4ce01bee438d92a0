//! The k best rows of a stream of scored rows, in memory bounded by k.
//!
//! Rows that may belong to the result are buffered; a full buffer is cut back to the k best by
//! (score, key order, row number), and the k-th score becomes the bound that later rows must reach.
//! A row that ties with the bound is kept until the next cut decides by key.

use std::cmp::Ordering;

use millstream_catalog::model::Metric;

use crate::score::{distance_of, score_of};

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
pub(crate) struct Entry {
    pub(crate) distance: f32,
    pub(crate) row: u32,
}

impl Entry {
    /// The row with its score.
    pub(crate) fn hit(&self, metric: Metric) -> Hit {
        Hit { score: score_of(metric, self.distance), row: self.row }
    }
}

/// What collects the rows of one query during [`crate::scan`]: [`TopK`], [`crate::BestGroups`] or
/// [`crate::GroupMembers`].
pub trait Collect {
    /// The distance a row must not exceed to matter; it never grows.
    fn bound(&self) -> f32;

    /// Considers one row. `tie` orders two row numbers of equal distance.
    ///
    /// A distance is smaller for a nearer row under every metric; one that is NaN is no hit.
    fn offer(&mut self, distance: f32, row: u32, tie: &dyn Fn(u32, u32) -> Ordering);
}

/// Which scores are hits. Without any bound all are.
///
/// The bounds hold before the best rows are chosen, so there are `k` hits when `k` rows lie within.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Range {
    /// The outer bound: hits are strictly better than this score.
    pub radius: Option<f32>,
    /// The inner bound: hits are as good as this score, or worse.
    pub range_filter: Option<f32>,
    /// The worst score of the pages before: hits are strictly worse.
    pub after: Option<f32>,
}

impl Range {
    /// The smallest and the largest distance of a hit, both included.
    pub(crate) fn distances(&self, metric: Metric) -> (f32, f32) {
        let near = self.range_filter.map_or(f32::NEG_INFINITY, |s| distance_of(metric, s));
        let after = self.after.map_or(f32::NEG_INFINITY, |s| distance_of(metric, s).next_up());
        let far = self.radius.map_or(f32::INFINITY, |s| distance_of(metric, s).next_down());
        (near.max(after), far)
    }
}

/// Collects the `k` best rows of one query over any number of blocks.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    metric: Metric,
    /// Rows nearer than this are no hits.
    near: f32,
    /// Rows farther than this are no hits, or not among the k best.
    bound: f32,
    /// At most `full_at` rows, in no order.
    entries: Vec<Entry>,
    full_at: usize,
}

impl TopK {
    /// A collector of at most `k` rows under `metric`. Memory grows with what is found, to 2k rows.
    pub fn new(k: usize, metric: Metric) -> TopK {
        TopK::within(k, metric, &Range::default())
    }

    /// A collector of at most `k` rows whose scores lie in `range`.
    pub fn within(k: usize, metric: Metric, range: &Range) -> TopK {
        // Some slack also for a small k, so that not every accepted row costs a cut.
        let full_at = k.saturating_add(k.max(16));
        let (near, bound) = range.distances(metric);
        TopK { k, metric, near, bound, entries: Vec::new(), full_at }
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

    /// Considers a row that was scored elsewhere; a score that is no number is no hit.
    pub fn offer_score(&mut self, score: f32, row: u32, tie: &dyn Fn(u32, u32) -> Ordering) {
        self.offer(distance_of(self.metric, score), row, tie);
    }

    /// Buffers a row, and cuts the buffer back when it is full.
    #[cold]
    #[inline(never)]
    fn accept(&mut self, entry: Entry, tie: &dyn Fn(u32, u32) -> Ordering) {
        if entry.distance < self.near {
            return;
        }
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
    pub fn finish(self, tie: &dyn Fn(u32, u32) -> Ordering) -> Vec<Hit> {
        let metric = self.metric;
        self.into_entries(tie).iter().map(|e| e.hit(metric)).collect()
    }

    /// [`TopK::finish`], as distances.
    pub(crate) fn into_entries(mut self, tie: &dyn Fn(u32, u32) -> Ordering) -> Vec<Entry> {
        self.cut(tie);
        self.entries.sort_unstable_by(|a, b| nearer(a, b, tie));
        self.entries
    }
}

impl Collect for TopK {
    #[inline(always)]
    fn bound(&self) -> f32 {
        self.bound
    }

    #[inline(always)]
    fn offer(&mut self, distance: f32, row: u32, tie: &dyn Fn(u32, u32) -> Ordering) {
        if distance <= self.bound {
            self.accept(Entry { distance, row }, tie);
        }
    }
}

/// Orders two rows by distance, then by key; by number if the caller's order leaves them equal.
pub(crate) fn nearer(a: &Entry, b: &Entry, tie: &dyn Fn(u32, u32) -> Ordering) -> Ordering {
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
        let by_score = if metric.larger_is_better() {
            b.hit.score.total_cmp(&a.hit.score)
        } else {
            a.hit.score.total_cmp(&b.hit.score)
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
