//! The k best rows of a stream of scored rows, in memory bounded by k.

use std::cmp::Ordering;

/// One row of a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextHit {
    /// The BM25 score.
    pub score: f32,
    /// The row's number, as the caller counts.
    pub row: u32,
}

/// Collects the `k` rows of the highest scores over any number of indexes.
#[derive(Clone, Debug)]
pub struct Top {
    k: usize,
    /// Rows with a smaller score are not among the k best.
    least: f32,
    /// At most `full_at` rows, in no order.
    hits: Vec<TextHit>,
    full_at: usize,
}

impl Top {
    /// A collector of at most `k` rows. Memory grows with what is found, to little more rows.
    pub fn new(k: usize) -> Top {
        // The bar is what saves work, and few rows get over it: it is raised soon.
        let full_at = k + (k / 8).max(1);
        Top { k, least: 0.0, hits: Vec::new(), full_at }
    }

    /// The score a row must reach to matter; 0 while any does.
    pub(crate) fn least(&self) -> f32 {
        if self.k == 0 { f32::INFINITY } else { self.least }
    }

    /// Considers one row. `tie` orders two row numbers of equal score.
    pub fn offer(&mut self, hit: TextHit, tie: &dyn Fn(u32, u32) -> Ordering) {
        if hit.score >= self.least() {
            self.hits.push(hit);
            // The first k rows set the bar at once; later ones raise it now and then.
            let first = self.least == 0.0 && self.hits.len() == self.k;
            if first || self.hits.len() >= self.full_at {
                self.cut(tie);
            }
        }
    }

    /// Keeps the k best rows, and raises the bar to the k-th.
    fn cut(&mut self, tie: &dyn Fn(u32, u32) -> Ordering) {
        if self.k == 0 {
            self.hits.clear();
        } else if self.hits.len() >= self.k {
            let order = |a: &TextHit, b: &TextHit| better(a, b, tie);
            let (_, last, _) = self.hits.select_nth_unstable_by(self.k - 1, order);
            self.least = last.score;
            self.hits.truncate(self.k);
        }
    }

    /// Takes over what `other` found among further rows of the same numbering.
    pub fn absorb(&mut self, other: Top, tie: &dyn Fn(u32, u32) -> Ordering) {
        for hit in other.hits {
            self.offer(hit, tie);
        }
    }

    /// The best `min(k, rows offered)` rows, best first; `tie` orders row numbers of equal score.
    pub fn finish(mut self, tie: &dyn Fn(u32, u32) -> Ordering) -> Vec<TextHit> {
        self.cut(tie);
        self.hits.sort_unstable_by(|a, b| better(a, b, tie));
        self.hits
    }
}

fn better(a: &TextHit, b: &TextHit, tie: &dyn Fn(u32, u32) -> Ordering) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| tie(a.row, b.row)).then_with(|| a.row.cmp(&b.row))
}
