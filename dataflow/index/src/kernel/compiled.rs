//! Plain kernels as the compiler makes them for an instruction set: no memory but slices, so nothing
//! `unsafe`.

use super::{BitOp, plain};

/// [`super::int8s`] for AVX2.
#[target_feature(enable = "avx2")]
pub(super) fn int8s_avx2<'a, const L2: bool>(
    query: &[i16],
    rows: impl Iterator<Item = &'a [i8]>,
    out: &mut [i32],
) {
    plain::int8s::<L2>(query, rows, out);
}

/// [`super::codes`] for AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn codes_avx512<'a>(
    query: &[i8],
    rows: impl Iterator<Item = &'a [u8]>,
    out: &mut [i32],
) {
    plain::codes(query, rows, out);
}

/// [`super::codes`] for AVX2.
#[target_feature(enable = "avx2")]
pub(super) fn codes_avx2<'a>(query: &[i8], rows: impl Iterator<Item = &'a [u8]>, out: &mut [i32]) {
    plain::codes(query, rows, out);
}

/// [`super::compare_bits`], with the instruction that counts in a word.
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn compare_bits<'a>(
    op: BitOp,
    query: &[u8],
    rows: impl Iterator<Item = &'a [u8]>,
    bound: f32,
    out: &mut [f32],
) {
    plain::compare_bits(op, query, rows, bound, out);
}
