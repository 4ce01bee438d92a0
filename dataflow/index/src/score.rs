//! The score of one row: the only place where a score that leaves this crate is computed.
//!
//! Inside the crate scores are *distances*: smaller is nearer for every metric. A distance is never
//! NaN (a score that is not a number counts as infinitely far) and never `-0.0`, so `==` and
//! `total_cmp` agree on it.

use millstream_catalog::model::Metric;
use simsimd::SpatialSimilarity;

/// Inner product of two slices of equal length.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    // simsimd sums in f32 on most CPUs and reports an f64.
    <f32 as SpatialSimilarity>::dot(a, b).unwrap_or(f64::NAN) as f32
}

/// Squared Euclidean distance of two slices of equal length.
fn l2sq(a: &[f32], b: &[f32]) -> f32 {
    <f32 as SpatialSimilarity>::l2sq(a, b).unwrap_or(f64::NAN) as f32
}

/// Maps NaN to the largest distance and `-0.0` to `0.0`.
#[inline(always)]
fn settle(distance: f32) -> f32 {
    if distance.is_nan() { f32::INFINITY } else { distance + 0.0 }
}

/// A metric as a type, so that each scan loop is compiled for one metric.
pub(crate) trait Measure {
    /// Distance of a prepared query (of unit length under COSINE) to a row.
    fn distance(query: &[f32], row: &[f32], inv_norm: f32) -> f32;
}

/// Squared Euclidean distance.
pub(crate) struct L2;
/// Negated inner product.
pub(crate) struct Ip;
/// Negated cosine similarity.
pub(crate) struct Cosine;

impl Measure for L2 {
    #[inline(always)]
    fn distance(query: &[f32], row: &[f32], _: f32) -> f32 {
        settle(l2sq(query, row))
    }
}

impl Measure for Ip {
    #[inline(always)]
    fn distance(query: &[f32], row: &[f32], _: f32) -> f32 {
        settle(-dot(query, row))
    }
}

impl Measure for Cosine {
    #[inline(always)]
    fn distance(query: &[f32], row: &[f32], inv_norm: f32) -> f32 {
        settle((-dot(query, row) * inv_norm).clamp(-1.0, 1.0))
    }
}

/// The score, in the metric's own scale, of a distance.
pub(crate) fn score_of(metric: Metric, distance: f32) -> f32 {
    match metric {
        Metric::L2 => distance,
        // Not `-distance`: zero stays `0.0`.
        Metric::Ip | Metric::Cosine => 0.0 - distance,
    }
}

/// Length of a vector, without overflow or underflow on the way.
pub(crate) fn norm(vector: &[f32]) -> f64 {
    vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// Writes `1 / |x|` of every row of `vectors` (`[rows, dim]`, row-major) to `out` (`rows` values).
///
/// The result is 0 for a zero vector, and for one whose length is below `f32::MIN_POSITIVE` (its
/// inverse is no `f32`): under COSINE such rows score 0 against everything. Rows beyond the shorter
/// of the two slices are left alone.
pub fn inv_norms(dim: usize, vectors: &[f32], out: &mut [f32]) {
    for (row, inv) in vectors.chunks_exact(dim.max(1)).zip(out) {
        let norm = norm(row);
        *inv = if norm < f64::from(f32::MIN_POSITIVE) { 0.0 } else { (1.0 / norm) as f32 };
    }
}
