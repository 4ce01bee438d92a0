//! BM25: its parameters, the statistics of a corpus, and the weight of each term of a query.

use millstream_catalog::model::Fault;

use crate::block::Bound;
use crate::query::{Query, QueryTerm};

/// The parameters of BM25.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bm25 {
    k1: f32,
    b: f32,
}

impl Default for Bm25 {
    /// `k1` 1.2 and `b` 0.75.
    fn default() -> Bm25 {
        Bm25 { k1: 1.2, b: 0.75 }
    }
}

impl Bm25 {
    /// `k1` says how soon more of a term adds no more, `b` how much long texts are held back.
    ///
    /// # Errors
    /// Code 1100 when `k1` is not in 0..=3 or `b` is not in 0..=1.
    pub fn new(k1: f32, b: f32) -> Result<Bm25, Fault> {
        if !(0.0..=3.0).contains(&k1) {
            return Err(Fault::expected("bm25_k1 out of range", "[0, 3]", k1));
        }
        if !(0.0..=1.0).contains(&b) {
            return Err(Fault::expected("bm25_b out of range", "[0, 1]", b));
        }
        Ok(Bm25 { k1, b })
    }
}

/// What BM25 needs to know of all visible rows; sums of all parts of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Number of rows.
    pub documents: u64,
    /// Tokens of all rows.
    pub total_length: u64,
    /// Rows that have each term of the query, in the order of the query's terms.
    pub frequencies: Vec<u64>,
}

impl Statistics {
    /// Adds the statistics of another part, for the same query.
    pub fn add(&mut self, other: &Statistics) {
        self.documents += other.documents;
        self.total_length += other.total_length;
        let missing = other.frequencies.len().saturating_sub(self.frequencies.len());
        self.frequencies.extend(std::iter::repeat_n(0, missing));
        for (sum, more) in self.frequencies.iter_mut().zip(&other.frequencies) {
            *sum += more;
        }
    }
}

/// A query with the weights of its terms: scores a row from its counts and its length.
#[derive(Clone, Debug)]
pub struct Scorer {
    /// Terms that some row has, the heaviest first: the order in which a score is added up.
    pub(crate) terms: Vec<(QueryTerm, f32)>,
    /// `k1 + 1`.
    rise: f32,
    /// `k1 (1 - b)` and, for each token of the row, `k1 b / average length`.
    base: f32,
    slope: f32,
}

impl Scorer {
    /// Weighs the terms of `query` by the `statistics` of all visible rows.
    ///
    /// A term has the weight `count in the query * ln(1 + (N - n + 0.5) / (n + 0.5))`, where `n` of
    /// `N` rows have it.
    pub fn new(query: &Query, statistics: &Statistics, bm25: Bm25) -> Scorer {
        let documents = statistics.documents as f64;
        let mut terms: Vec<(QueryTerm, f32)> = Vec::with_capacity(query.terms.len());
        for (term, &frequency) in query.terms.iter().zip(&statistics.frequencies) {
            if frequency > 0 {
                let n = frequency as f64;
                let idf = (1.0 + (documents - n).max(0.0) / (n + 0.5) + 0.5 / (n + 0.5)).ln();
                terms.push((term.clone(), term.count as f32 * idf as f32));
            }
        }
        terms.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.name.cmp(&b.0.name)));
        let average = statistics.total_length as f64 / documents.max(1.0);
        let k1b = f64::from(bm25.k1) * f64::from(bm25.b);
        let slope = if average > 0.0 { (k1b / average) as f32 } else { 0.0 };
        let base = bm25.k1 * (1.0 - bm25.b);
        Scorer { terms, rise: bm25.k1 + 1.0, base, slope }
    }

    /// How much a row of `length` tokens holds back the counts of its terms.
    #[inline]
    pub(crate) fn hold(&self, length: u32) -> f32 {
        self.base + self.slope * length as f32
    }

    /// What a term that a row has `count` times is worth there, for a weight of one.
    #[inline]
    pub(crate) fn gain(&self, count: u32, hold: f32) -> f32 {
        let count = count as f32;
        count * self.rise / (count + hold)
    }

    /// The most that a posting within `bound` gains.
    pub(crate) fn gain_max(&self, bound: Bound) -> f32 {
        let of = |count, length| {
            if length == u32::MAX { 0.0 } else { self.gain(count, self.hold(length)) }
        };
        of(1, bound.once).max(of(bound.count, bound.often))
    }
}

/// Smaller counts have their gains in a table.
const COUNTS: usize = 8;

/// What a term gains in a row, for a weight of one, by its count and the row's length: the same
/// numbers as [`Scorer::gain`], without a division each.
pub(crate) struct Gains(Box<[f32; COUNTS * 256]>);

impl Gains {
    pub(crate) fn new(scorer: &Scorer) -> Gains {
        let mut table = Box::new([0.0; COUNTS * 256]);
        for (length, hold) in (0..256).map(|length| (length, scorer.hold(length as u32))) {
            for count in 1..COUNTS {
                table[count * 256 + length] = scorer.gain(count as u32, hold);
            }
        }
        Gains(table)
    }

    /// The gain of `count` in a row of [`short_length`] `length`; none where the table ends.
    #[inline(always)]
    pub(crate) fn of(&self, count: u8, length: u8) -> Option<f32> {
        let count = usize::from(count);
        (count < COUNTS && length < u8::MAX)
            .then(|| self.0[count % COUNTS * 256 + usize::from(length)])
    }
}

/// A length in one byte, 255 for every longer one.
pub(crate) fn short_length(length: u32) -> u8 {
    length.min(u32::from(u8::MAX)) as u8
}
