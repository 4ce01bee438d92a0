//! The score of one row of floats, the forms of scores, and the lengths of vectors.
//!
//! Inside the crate scores are *distances*: smaller is nearer for every metric. The distance of a
//! hit is never NaN (a score that is not a number counts as infinitely far) and never `-0.0`, so
//! `==` and `total_cmp` agree on it. NaN stands for a row that is no hit at all.

use millstream_catalog::model::{DataType, Metric};
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
pub(crate) fn settle(distance: f32) -> f32 {
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
    // Not `-distance`: zero stays `0.0`.
    if metric.larger_is_better() { 0.0 - distance } else { distance }
}

/// The distance of a score: the inverse of [`score_of`].
pub(crate) fn distance_of(metric: Metric, score: f32) -> f32 {
    if metric.larger_is_better() { 0.0 - score } else { score + 0.0 }
}

/// Length of a vector, without overflow or underflow on the way.
pub(crate) fn norm(vector: impl Iterator<Item = f32>) -> f64 {
    vector.map(|x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// The inverse of a length; 0 for lengths below `f32::MIN_POSITIVE`, whose inverse is no `f32`.
pub(crate) fn inverse(norm: f64) -> f32 {
    if norm < f64::from(f32::MIN_POSITIVE) { 0.0 } else { (1.0 / norm) as f32 }
}

/// Writes `1 / |x|` of every row of `vectors` (`[rows, dim]`, row-major) to `out` (`rows` values).
///
/// The result is 0 for a zero vector, and for one whose length is below `f32::MIN_POSITIVE` (its
/// inverse is no `f32`): under COSINE such rows score 0 against everything. Rows beyond the shorter
/// of the two slices are left alone.
pub fn inv_norms(dim: usize, vectors: &[f32], out: &mut [f32]) {
    for (row, inv) in vectors.chunks_exact(dim.max(1)).zip(out) {
        *inv = inverse(norm(row.iter().copied()));
    }
}

/// [`inv_norms`] of rows as they lie in a record or segment: little-endian, row-major, unaligned.
///
/// Float, Float16, BFloat16 and Int8 vectors have inverse norms; of any other type `out` is left
/// alone.
pub fn inv_norms_of(data_type: DataType, dim: usize, rows: &[u8], out: &mut [f32]) {
    let dim = dim.max(1);
    match data_type {
        DataType::FloatVector => each_norm(dim, rows, f32::from_le_bytes, out),
        DataType::Float16Vector => {
            each_norm(dim, rows, |x| f16_to_f32(u16::from_le_bytes(x)), out);
        }
        DataType::BFloat16Vector => {
            each_norm(dim, rows, |x| bf16_to_f32(u16::from_le_bytes(x)), out);
        }
        DataType::Int8Vector => each_norm(dim, rows, |[x]| f32::from(x.cast_signed()), out),
        _ => {}
    }
}

/// The inverse norm of each row of `dim` values of `W` bytes.
fn each_norm<const W: usize>(
    dim: usize,
    rows: &[u8],
    value: impl Fn([u8; W]) -> f32,
    out: &mut [f32],
) {
    for (row, inv) in rows.chunks_exact(dim * W).zip(out) {
        *inv = inverse(norm(row.as_chunks::<W>().0.iter().map(|&x| value(x))));
    }
}

/// The value of a half-precision number (IEEE 754 binary16), exactly.
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7FFF);
    if magnitude >= 0x7C00 {
        // Infinity and NaN keep their fraction.
        return f32::from_bits(sign | 0x7F80_0000 | (magnitude & 0x3FF) << 13);
    }
    // The fraction in place and the exponent off by 112: a product with 2^112 is exact, also for
    // subnormal numbers.
    let scaled = f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(sign | scaled.to_bits())
}

/// The value of a bfloat16 number: the upper half of an `f32`.
pub(crate) fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}
