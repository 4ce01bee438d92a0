//! Eight-bit codes of vectors, and distances between them.
//!
//! A code `a` stands for the value `centre + step * (a - 128)`: one centre per dimension, one step
//! for all of them. With `a' = a - 128` for the row and a query `unit * centre + scale * b`, `b`
//! whole numbers, the squared distance (L2) or the negated product (IP, COSINE) divided by `step²`
//! is, up to a constant of the query,
//!
//! ```text
//! unit * term(row) - weight * sum(a' * b)
//! ```
//!
//! where the row's term is `sum(a'²)` under L2 and `-sum(centre * a') / step` otherwise. So one
//! kernel, a sum of products of bytes, serves all metrics, builds and searches alike.
//!
//! Under COSINE the rows are coded at unit length.

use millstream_catalog::model::Metric;

use crate::kernel::{self, Isa};
use crate::queries::{Form, Queries};

/// The lanes of a term at the end of a record.
const TERM_BYTES: usize = 4;
/// Rows compared at once.
const BATCH: usize = 32;

/// Bytes from one record to the next: the codes, zeros, and the term in the last four bytes.
///
/// Records do not straddle more lines of the CPU's cache than they must.
pub(crate) fn stride_of(dim: usize) -> usize {
    let bytes = dim + TERM_BYTES;
    if bytes < 64 { bytes.next_power_of_two() } else { bytes.next_multiple_of(64) }
}

/// How values become codes.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    metric: Metric,
    /// Value of the code 128 in each dimension.
    pub(crate) centre: Vec<f32>,
    /// Distance of two codes; above 0 and finite.
    pub(crate) step: f32,
}

impl Scale {
    /// A scale from its parts; a step that is none becomes 1, a centre that is none 0.
    pub(crate) fn new(metric: Metric, mut centre: Vec<f32>, step: f32) -> Scale {
        centre.iter_mut().filter(|c| !c.is_finite()).for_each(|c| *c = 0.0);
        let step = if step.is_normal() && step > 0.0 { step } else { 1.0 };
        Scale { metric, centre, step }
    }

    /// The scale that spans the values of rows between `low` and `high` in each dimension.
    pub(crate) fn spanning(metric: Metric, low: &[f32], high: &[f32]) -> Scale {
        let pairs = || low.iter().zip(high).map(|(&low, &high)| (f64::from(low), f64::from(high)));
        let centre = pairs().map(|(low, high)| ((low + high) / 2.0) as f32).collect();
        let width = pairs().map(|(low, high)| high - low).fold(0.0, f64::max);
        Scale::new(metric, centre, (width / 255.0) as f32)
    }

    /// Whether distances are squared differences.
    fn squares(&self) -> bool {
        self.metric == Metric::L2
    }

    /// Writes the record of a row.
    pub(crate) fn encode(&self, row: &[f32], record: &mut [u8]) {
        let (codes, term) = record.split_at_mut(record.len() - TERM_BYTES);
        let inverse = 1.0 / self.step;
        let mut sum = 0.0_f64;
        for ((code, &x), &centre) in codes.iter_mut().zip(row).zip(&self.centre) {
            // A cast to a narrower type ends at its bounds, and makes 0 of what is no number.
            let whole = ((x - centre) * inverse).round_ties_even() as i8;
            *code = whole.cast_unsigned() ^ 0x80;
            let whole = f64::from(whole);
            sum += if self.squares() { whole * whole } else { -f64::from(centre) * whole };
        }
        let sum = if self.squares() { sum } else { sum / f64::from(self.step) };
        term.copy_from_slice(&(sum as f32).to_le_bytes());
    }

    /// Makes query `q` of a search comparable with codes.
    pub(crate) fn encode_one(&self, queries: &Queries, q: usize, out: &mut CodeQuery) {
        out.resize(stride_of(queries.dim()));
        match &queries.form {
            Form::Float(floats) | Form::Half(floats) | Form::BHalf(floats) => {
                self.encode_query(floats.vector(q).iter().copied(), out);
            }
            Form::Int8(whole) => {
                let values = &whole.values[q * queries.dim()..][..queries.dim()];
                // The length of a query matters under L2 and IP only, where it is not scaled.
                self.encode_query(values.iter().map(|&x| f32::from(x)), out);
            }
            Form::Binary(_) | Form::Sparse(_) => {}
        }
    }

    /// Makes a query of a vector, which is of unit length under COSINE.
    pub(crate) fn encode_query(
        &self,
        vector: impl Iterator<Item = f32> + Clone,
        out: &mut CodeQuery,
    ) {
        let centre = || self.centre.iter().map(|&c| f64::from(c));
        // Under L2 what is left of the query without the centre; otherwise without its share of it.
        out.unit = if self.squares() {
            1.0
        } else {
            let along: f64 = centre().zip(vector.clone()).map(|(c, x)| c * f64::from(x)).sum();
            let length: f64 = centre().map(|c| c * c).sum();
            let unit = if length > 0.0 { (along / length) as f32 } else { 0.0 };
            if unit.is_finite() { unit } else { 0.0 }
        };
        let unit = f64::from(out.unit);
        let rest = vector.zip(centre()).map(|(x, c)| (f64::from(x) - unit * c) as f32);
        let width = rest.clone().fold(0.0, |width: f32, x| width.max(x.abs()));
        let scale = width / 127.0;
        let inverse = if scale.is_normal() { 1.0 / scale } else { 0.0 };
        out.values.fill(0);
        for (value, x) in out.values.iter_mut().zip(rest) {
            *value = (x * inverse).round_ties_even() as i8;
        }
        let weight = scale / self.step;
        out.weight = if self.squares() { 2.0 * weight } else { weight };
        if !out.weight.is_finite() {
            out.weight = 0.0;
        }
        out.finish(0.0);
    }
}

/// A vector as rows are compared with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CodeQuery {
    /// As long as a record, with zeros behind the vector's dimensions.
    values: Vec<i8>,
    unit: f32,
    weight: f32,
    /// What codes that are not shifted by 128 add to a sum of products.
    shift: i32,
    /// What makes distances of a row to others comparable with those of another row.
    bias: f32,
}

impl CodeQuery {
    /// Memory for vectors with records of `stride` bytes.
    pub(crate) fn resize(&mut self, stride: usize) {
        self.values.clear();
        self.values.resize(stride, 0);
    }

    fn finish(&mut self, bias: f32) {
        self.shift = 128 * self.values.iter().map(|&x| i32::from(x)).sum::<i32>();
        self.bias = bias;
    }
}

/// The term of a record.
#[inline(always)]
fn term_of(record: &[u8]) -> f32 {
    record.last_chunk::<TERM_BYTES>().map_or(0.0, |&term| f32::from_le_bytes(term))
}

/// The records of all rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codes<'a> {
    bytes: &'a [u8],
    stride: usize,
    dim: usize,
    /// Rows less than 1: the greatest row number.
    last: u32,
    squares: bool,
    isa: Isa,
}

impl<'a> Codes<'a> {
    /// `bytes` are the records of at least one row of `dim` dimensions.
    pub(crate) fn new(metric: Metric, dim: usize, bytes: &'a [u8]) -> Codes<'a> {
        let stride = stride_of(dim);
        let last = (bytes.len() / stride).saturating_sub(1) as u32;
        Codes { bytes, stride, dim, last, squares: metric == Metric::L2, isa: kernel::isa() }
    }

    /// The record of a row; of the last one for a number that is too great.
    #[inline(always)]
    fn record(&self, row: u32) -> &'a [u8] {
        &self.bytes[row.min(self.last) as usize * self.stride..][..self.stride]
    }

    /// Asks the CPU for a row's record.
    #[inline(always)]
    pub(crate) fn prefetch(&self, row: u32) {
        kernel::prefetch(self.record(row));
    }

    /// The codes of a row, which two rows may share.
    pub(crate) fn key(&self, row: u32) -> &'a [u8] {
        &self.record(row)[..self.dim]
    }

    /// Makes a query of a row, without any loss.
    pub(crate) fn query_of(&self, row: u32, out: &mut CodeQuery) {
        for (value, &code) in out.values.iter_mut().zip(&self.record(row)[..self.dim]) {
            *value = (code ^ 0x80).cast_signed();
        }
        out.unit = 1.0;
        out.weight = if self.squares { 2.0 } else { 1.0 };
        out.finish(self.term(row));
    }

    #[inline(always)]
    fn term(&self, row: u32) -> f32 {
        term_of(self.record(row))
    }

    /// Calls `f` with runs of rows side by side, by the first of each, and their distances.
    #[inline(always)]
    pub(crate) fn runs(
        &self,
        query: &CodeQuery,
        rows: std::ops::Range<usize>,
        mut f: impl FnMut(usize, &[f32]),
    ) {
        let mut out = [0.0; BATCH];
        let first = rows.start;
        let bytes = &self.bytes[first * self.stride..rows.end * self.stride];
        for (at, run) in bytes.chunks(self.stride * BATCH).enumerate() {
            let mut sums = [0; BATCH];
            kernel::codes(self.isa, &query.values, run.chunks_exact(self.stride), &mut sums);
            let records = run.chunks_exact(self.stride);
            let count = records.len();
            for ((out, record), sum) in out.iter_mut().zip(records).zip(sums) {
                let product = sum.wrapping_sub(query.shift) as f32;
                *out = query.unit * term_of(record) - query.weight * product + query.bias;
            }
            f(first + at * BATCH, &out[..count]);
        }
    }

    /// Writes the distances of rows to a query.
    #[inline(always)]
    pub(crate) fn distances(&self, query: &CodeQuery, rows: &[u32], out: &mut [f32]) {
        for (rows, out) in rows.chunks(BATCH).zip(out.chunks_mut(BATCH)) {
            let mut sums = [0; BATCH];
            let records = rows.iter().map(|&row| self.record(row));
            kernel::codes(self.isa, &query.values, records, &mut sums);
            for ((out, &row), sum) in out.iter_mut().zip(rows).zip(sums) {
                let product = sum.wrapping_sub(query.shift) as f32;
                *out = query.unit * self.term(row) - query.weight * product + query.bias;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    proptest! {
        /// Differences of code distances are the differences of distances of the coded values.
        #[test]
        fn distances_of_codes_differ_as_those_of_values_do(
            (dim, values) in (1_usize..90).prop_flat_map(|dim| {
                (Just(dim), prop::collection::vec(-3.0_f32..5.0, dim * 4))
            }),
            metric in select(vec![Metric::L2, Metric::Ip]),
        ) {
            let rows: Vec<&[f32]> = values.chunks(dim).collect();
            let scale = Scale::spanning(metric, &vec![-3.0; dim], &vec![5.0; dim]);
            let stride = stride_of(dim);
            let mut bytes = vec![0; stride * 3];
            for (record, row) in bytes.chunks_mut(stride).zip(&rows) {
                scale.encode(row, record);
            }
            let codes = Codes::new(metric, dim, &bytes);
            let mut query = CodeQuery::default();
            query.resize(stride);
            scale.encode_query(rows[3].iter().copied(), &mut query);
            let mut out = [0.0; 3];
            codes.distances(&query, &[0, 1, 2], &mut out);
            let exact = |row: &[f32]| -> f32 {
                let pairs = rows[3].iter().zip(row);
                match metric {
                    Metric::L2 => pairs.map(|(q, x)| (q - x) * (q - x)).sum(),
                    _ => pairs.map(|(q, x)| -q * x).sum(),
                }
            };
            // Row and query are off by half a step in each dimension, differences span eight.
            let step = 8.0 / 255.0;
            let allowed = dim as f32 * 2.0 * step * 9.0;
            for pair in [(0, 1), (1, 2)] {
                let coded = (out[pair.0] - out[pair.1]) * scale.step * scale.step;
                let exact = exact(rows[pair.0]) - exact(rows[pair.1]);
                prop_assert!((coded - exact).abs() <= allowed, "{coded} for {exact}");
            }
            // Between rows distances are symmetric, and 0 under L2 from a row to itself.
            let mut between = [[0.0; 3]; 3];
            for (row, out) in between.iter_mut().enumerate() {
                codes.query_of(row as u32, &mut query);
                codes.distances(&query, &[0, 1, 2], out);
                if metric == Metric::L2 {
                    prop_assert_eq!(out[row], 0.0);
                }
            }
            // Sums of products of codes round by their own size, not by that of the distance.
            let rounding = 1e-6 * dim as f32 * 255.0 * 255.0;
            for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                let off = (between[a][b] - between[b][a]).abs();
                prop_assert!(off <= rounding, "{off} of {}", between[a][b]);
            }
        }
    }
}
