//! The kernels in plain Rust: the twins that tests compare with, and the code of other CPUs.

use super::{BitOp, Lanes, PANEL_ROWS, RowStat};
use crate::rows::BATCH_ROWS;
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
    rows: impl Iterator<Item = &'a [u8]>,
    bound: f32,
    out: &mut [f32],
) {
    let ones = |word: u64| u64::from(word.count_ones());
    let zero_or_nan = |missing: u64| if missing == 0 { 0.0 } else { f32::NAN };
    match op {
        BitOp::Differ => each_row(query, rows, out, |q, x| ones(q ^ x), float),
        BitOp::Jaccard => {
            let mut counts = [0; BATCH_ROWS];
            let counts = &mut counts[..out.len()];
            let count = |q: u64, x: u64| ones(q & x) | ones(x) << 32;
            each_row(query, rows, counts, count, |sum| sum);
            jaccard(query, counts, bound, out);
        }
        BitOp::QueryWithin => {
            each_row(query, rows, out, |q, x| ones(q & !x), zero_or_nan);
        }
        BitOp::RowWithin => {
            each_row(query, rows, out, |q, x| ones(x & !q), zero_or_nan);
        }
    }
}

/// A number of bits.
#[inline(always)]
fn float(ones: u64) -> f32 {
    // Signed numbers become floats in one step.
    (ones as u32).cast_signed() as f32
}

/// What [`BitOp::Jaccard`] says of rows of which the bits in both are counted, and from bit 32 on
/// those in the row.
#[inline(always)]
pub(super) fn jaccard(query: &[u8], counts: &[u64], bound: f32, out: &mut [f32]) {
    let in_query = float(query.iter().map(|byte| u64::from(byte.count_ones())).sum());
    // How many bits differ, and how many are in either.
    let sizes = |counts: u64| {
        let both = float(counts);
        let either = in_query + float(counts >> 32) - both;
        (either - both, either)
    };
    // Most batches have no row that is near enough, and a product shows it without a division. Its
    // margin is above the rounding of both.
    let limit = bound * (1.0 + 1.0 / 1_048_576.0);
    let is_near = |&counts: &u64| {
        let (differ, either) = sizes(counts);
        let most = limit * either;
        // NaN comes of an infinite bound.
        (differ <= most) | most.is_nan()
    };
    if !counts.iter().fold(false, |any, counts| any | is_near(counts)) {
        out.fill(f32::NAN);
        return;
    }
    for (out, &counts) in out.iter_mut().zip(counts) {
        let (differ, either) = sizes(counts);
        // Two empty sets have nothing in common: as if one of one bit differed.
        let empty = f32::from(either == 0.0);
        *out = (differ + empty) / (either + empty);
    }
}

/// Adds up counts over the words of each row; rows of the usual widths by code that knows the width.
///
/// `result` makes of the sum what `out` gets.
#[inline(always)]
fn each_row<'a, T>(
    query: &[u8],
    rows: impl Iterator<Item = &'a [u8]>,
    out: &mut [T],
    count: impl Fn(u64, u64) -> u64,
    result: impl Fn(u64) -> T,
) {
    match query.len() {
        8 => each_of_words::<1, T>(query, rows, out, count, result),
        16 => each_of_words::<2, T>(query, rows, out, count, result),
        32 => each_of_words::<4, T>(query, rows, out, count, result),
        64 => each_of_words::<8, T>(query, rows, out, count, result),
        128 => each_of_words::<16, T>(query, rows, out, count, result),
        _ => each_of_bytes(query, rows, out, count, result),
    }
}

/// Rows of `W` words.
#[inline(always)]
fn each_of_words<'a, const W: usize, T>(
    query: &[u8],
    rows: impl Iterator<Item = &'a [u8]>,
    out: &mut [T],
    count: impl Fn(u64, u64) -> u64,
    result: impl Fn(u64) -> T,
) {
    let Some(query) = query.as_chunks::<8>().0.first_chunk::<W>() else { return };
    for (row, out) in rows.zip(out) {
        let Some(row) = row.as_chunks::<8>().0.first_chunk::<W>() else { continue };
        let mut sum = 0;
        for (q, x) in query.iter().zip(row) {
            sum += count(u64::from_le_bytes(*q), u64::from_le_bytes(*x));
        }
        *out = result(sum);
    }
}

/// Rows of any width.
#[inline(always)]
fn each_of_bytes<'a, T>(
    query: &[u8],
    rows: impl Iterator<Item = &'a [u8]>,
    out: &mut [T],
    count: impl Fn(u64, u64) -> u64,
    result: impl Fn(u64) -> T,
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
        *out = result(sum);
    }
}

/// Fewer than eight bytes as a word, padded with zeros.
#[inline(always)]
fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}
