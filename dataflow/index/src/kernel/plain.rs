//! The kernels in plain Rust: the twins that tests compare with, and the code of other CPUs.

use super::{BitOp, Lanes, PANEL_ROWS, RowStat};
use crate::score::{bf16_to_f32, f16_to_f32};

/// [`super::pack`].
pub(super) fn pack(rows: &[&[f32]; PANEL_ROWS], panel: &mut [Lanes], stat: RowStat) -> Lanes {
    let mut sums = Lanes::ZERO;
    for (lane, row) in rows.iter().enumerate() {
        for (column, &value) in panel.iter_mut().zip(*row) {
            column.0[lane] = value;
        }
    }
    for column in panel {
        for (sum, &value) in sums.0.iter_mut().zip(&column.0) {
            *sum += match stat {
                RowStat::None => 0.0,
                RowStat::Magnitudes => value.abs(),
                RowStat::Squares => value * value,
            };
        }
    }
    sums
}

/// [`super::admit`].
pub(super) fn admit<const Q: usize>(
    queries: &[[f32; Q]],
    panel: &[Lanes],
    sizes: &Lanes,
    weight: &[f32; Q],
    limit: &[f32; Q],
) -> [u32; Q] {
    let mut admitted = [0; Q];
    for (q, bits) in admitted.iter_mut().enumerate() {
        let mut dots = [0.0; PANEL_ROWS];
        for (query, column) in queries.iter().zip(panel) {
            for (dot, &value) in dots.iter_mut().zip(&column.0) {
                *dot += query[q] * value;
            }
        }
        for (r, (dot, size)) in dots.iter().zip(&sizes.0).enumerate() {
            let dropped = dot + weight[q] * size < limit[q];
            *bits |= u32::from(!dropped) << r;
        }
    }
    admitted
}

/// [`super::halves`].
pub(super) fn halves<'a, const BRAIN: bool, const L2: bool>(
    query: &[f32],
    rows: impl Iterator<Item = &'a [u16]>,
    out: &mut [f32],
) {
    let term = |q: f32, bits: u16| {
        let x = if BRAIN { bf16_to_f32(bits) } else { f16_to_f32(bits) };
        if L2 { (q - x) * (q - x) } else { q * x }
    };
    let (parts, rest) = query.as_chunks::<16>();
    for (row, out) in rows.zip(out) {
        // Sums side by side, so that the compiler may use its vectors.
        let mut sums = [0.0_f32; 16];
        let (row_parts, row_rest) = row.as_chunks::<16>();
        for (q, x) in parts.iter().zip(row_parts) {
            for ((sum, &q), &x) in sums.iter_mut().zip(q).zip(x) {
                *sum += term(q, x);
            }
        }
        for ((sum, &q), &x) in sums.iter_mut().zip(rest).zip(row_rest) {
            *sum += term(q, x);
        }
        *out = sums.iter().sum();
    }
}

/// [`super::int8s`].
#[inline(always)]
pub(super) fn int8s<'a, const L2: bool>(
    query: &[i16],
    rows: impl Iterator<Item = &'a [i8]>,
    out: &mut [i32],
) {
    let term = |(&q, &x): (&i16, &i8)| {
        let (q, x) = (i32::from(q), i32::from(x));
        if L2 { (q - x) * (q - x) } else { q * x }
    };
    for (row, out) in rows.zip(out) {
        *out = query.iter().zip(row).map(term).sum();
    }
}

/// [`super::codes`].
#[inline(always)]
pub(super) fn codes<'a>(query: &[i8], rows: impl Iterator<Item = &'a [u8]>, out: &mut [i32]) {
    let (parts, rest) = query.as_chunks::<16>();
    let term = |(&q, &x): (&i8, &u8)| i32::from(i16::from(q) * i16::from(x));
    for (row, out) in rows.zip(out) {
        let (row_parts, row_rest) = row.as_chunks::<16>();
        let mut sum = rest.iter().zip(row_rest).map(term).sum();
        for (q, x) in parts.iter().zip(row_parts) {
            sum += q.iter().zip(x).map(term).sum::<i32>();
        }
        *out = sum;
    }
}

/// [`super::widen_half`].
pub(super) fn widen_half(row: &[u16], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(row) {
        *out = f16_to_f32(x);
    }
}

/// [`super::compare_bits`].
#[inline(always)]
pub(super) fn compare_bits<'a>(
    op: BitOp,
    query: &[u8],
    rows: impl Iterator<Item = &'a [u8]> + Clone,
    out: &mut [f32],
) {
    // Signed numbers become floats in one step.
    let float = |ones: u64, _: f32| (ones as u32).cast_signed() as f32;
    let ones = |word: u64| u64::from(word.count_ones());
    let zero_or_nan = |missing: u64, _: f32| if missing == 0 { 0.0 } else { f32::NAN };
    match op {
        BitOp::Differ => each_row(query, rows, out, |q, x| ones(q ^ x), float),
        BitOp::Jaccard => {
            // Twice over the rows: with two counts at once the compiler leaves the vectors.
            each_row(query, rows.clone(), out, |q, x| ones(q ^ x), float);
            each_row(
                query,
                rows,
                out,
                |q, x| ones(q & x),
                |both, differ| {
                    let either = differ + float(both, 0.0);
                    // Two empty sets have nothing in common: as if one of one bit differed.
                    let empty = f32::from(either == 0.0);
                    (differ + empty) / (either + empty)
                },
            );
        }
        BitOp::QueryWithin => {
            each_row(query, rows, out, |q, x| ones(q & !x), zero_or_nan);
        }
        BitOp::RowWithin => {
            each_row(query, rows, out, |q, x| ones(x & !q), zero_or_nan);
        }
    }
}

/// Adds up counts over the words of each row; rows of the usual widths by code that knows the width.
///
/// `distance` makes a result of the sum and of what was in `out` before.
#[inline(always)]
fn each_row<'a>(
    query: &[u8],
    rows: impl Iterator<Item = &'a [u8]>,
    out: &mut [f32],
    count: impl Fn(u64, u64) -> u64,
    distance: impl Fn(u64, f32) -> f32,
) {
    match query.len() {
        8 => each_of_words::<1>(query, rows, out, count, distance),
        16 => each_of_words::<2>(query, rows, out, count, distance),
        32 => each_of_words::<4>(query, rows, out, count, distance),
        64 => each_of_words::<8>(query, rows, out, count, distance),
        128 => each_of_words::<16>(query, rows, out, count, distance),
        _ => each_of_bytes(query, rows, out, count, distance),
    }
}

/// Rows of `W` words.
#[inline(always)]
fn each_of_words<'a, const W: usize>(
    query: &[u8],
    rows: impl Iterator<Item = &'a [u8]>,
    out: &mut [f32],
    count: impl Fn(u64, u64) -> u64,
    distance: impl Fn(u64, f32) -> f32,
) {
    let Some(query) = query.as_chunks::<8>().0.first_chunk::<W>() else { return };
    for (row, out) in rows.zip(out) {
        let Some(row) = row.as_chunks::<8>().0.first_chunk::<W>() else { continue };
        let mut sum = 0;
        for (q, x) in query.iter().zip(row) {
            sum += count(u64::from_le_bytes(*q), u64::from_le_bytes(*x));
        }
        *out = distance(sum, *out);
    }
}

/// Rows of any width.
#[inline(always)]
fn each_of_bytes<'a>(
    query: &[u8],
    rows: impl Iterator<Item = &'a [u8]>,
    out: &mut [f32],
    count: impl Fn(u64, u64) -> u64,
    distance: impl Fn(u64, f32) -> f32,
) {
    let (query_words, query_rest) = query.as_chunks::<8>();
    let query_rest = last_word(query_rest);
    for (row, out) in rows.zip(out) {
        let (words, rest) = row.as_chunks::<8>();
        let mut sum = 0;
        for (q, x) in query_words.iter().zip(words) {
            sum += count(u64::from_le_bytes(*q), u64::from_le_bytes(*x));
        }
        if !rest.is_empty() {
            sum += count(query_rest, last_word(rest));
        }
        *out = distance(sum, *out);
    }
}

/// Fewer than eight bytes as a word, padded with zeros.
#[inline(always)]
fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}
