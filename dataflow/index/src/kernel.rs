//! The kernels: the one file of this crate with vector instructions and `unsafe`.
//!
//! A *panel* is 32 rows transposed: for each dimension, the 32 values side by side ([`Lanes`]).
//! [`pack`] builds one; [`admit`] multiplies it with four or eight queries at a time, every
//! accumulator staying in a register, and answers with one bit per pair.
//!
//! The row kernels compare one query with rows of a narrower type as they lie: [`halves`],
//! [`int8s`] and [`compare_bits`]. The result for a row depends on the query and the row alone.
//!
//! Each kernel exists for AVX-512, for AVX2 with FMA, and in plain Rust (`plain.rs`); the CPU
//! decides at run time. The plain form is the twin that tests compare with, and the code of every
//! other CPU.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod compiled;
mod plain;
#[cfg(target_arch = "x86_64")]
mod registers;
mod types;

#[cfg(test)]
pub(crate) use types::available;
pub(crate) use types::{BitOp, Isa, Lanes, PANEL_ROWS, RowStat, isa};

/// Asks the CPU to load a row into its cache; changes nothing else.
#[inline(always)]
pub(crate) fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(64 / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch has no effect that a program can see, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    // Other CPUs find the rows by themselves, only later.
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// Transposes `rows` (`panel.len()` values each) into `panel`, and prefetches the rows `ahead`.
///
/// Returns `stat` of each row, summed in f32.
///
/// # Panics
/// If a row has fewer values.
pub(crate) fn pack(
    isa: Isa,
    rows: &[&[f32]; PANEL_ROWS],
    ahead: &[&[f32]; PANEL_ROWS],
    panel: &mut [Lanes],
    stat: RowStat,
) -> Lanes {
    match isa {
        // SAFETY: the variant is only made where the CPU has AVX-512 F.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { x86::pack_avx512(rows, ahead, panel, stat) },
        // SAFETY: the variant is only made where the CPU has AVX2.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { x86::pack_avx2(rows, ahead, panel, stat) },
        Isa::Plain => plain::pack(rows, panel, stat),
    }
}

/// Bit `r` of result `q` says that **not** `dot(q, r) + weight[q] * sizes[r] < limit[q]`.
///
/// `queries` and `panel` have one entry per dimension. A comparison with NaN admits.
pub(crate) fn admit<const Q: usize>(
    isa: Isa,
    queries: &[[f32; Q]],
    panel: &[Lanes],
    sizes: &Lanes,
    weight: &[f32; Q],
    limit: &[f32; Q],
) -> [u32; Q] {
    match isa {
        // SAFETY: the variant is only made where the CPU has AVX-512 F.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { x86::admit_avx512(queries, panel, sizes, weight, limit) },
        // SAFETY: the variant is only made where the CPU has AVX2 and FMA.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { x86::admit_avx2(queries, panel, sizes, weight, limit) },
        Isa::Plain => plain::admit(queries, panel, sizes, weight, limit),
    }
}

/// For each row the sum over its values of the products with the query's, or under `L2` of the
/// squared differences, in f32.
///
/// The rows are Float16 vectors, or BFloat16 vectors if `BRAIN`; all are as long as the query.
pub(crate) fn halves<'a, const BRAIN: bool, const L2: bool>(
    isa: Isa,
    query: &[f32],
    rows: impl Iterator<Item = &'a [u16]>,
    out: &mut [f32],
) {
    match isa {
        // SAFETY: the variant is only made where the CPU has AVX-512 F, BW and VL.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { x86::halves_avx512::<BRAIN, L2>(query, rows, out) },
        // SAFETY: the variant is only made where the CPU has AVX2, FMA and F16C.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { x86::halves_avx2::<BRAIN, L2>(query, rows, out) },
        Isa::Plain => plain::halves::<BRAIN, L2>(query, rows, out),
    }
}

/// For each row the sum of products with the query, or under `L2` of squared differences: exactly,
/// for at most 32,768 dimensions and values of a query that fit in an `i8`.
pub(crate) fn int8s<'a, const L2: bool>(
    isa: Isa,
    query: &[i16],
    rows: impl Iterator<Item = &'a [i8]>,
    out: &mut [i32],
) {
    match isa {
        // SAFETY: the variant is only made where the CPU has AVX-512 F, BW and VL.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { x86::int8s_avx512::<L2>(query, rows, out) },
        // SAFETY: the variant is only made where the CPU has AVX2.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { compiled::int8s_avx2::<L2>(query, rows, out) },
        Isa::Plain => plain::int8s::<L2>(query, rows, out),
    }
}

/// For each row of codes the sum of products with the query's values, exactly, for at most 65,536
/// codes; the rows are as long as the query.
pub(crate) fn codes<'a>(
    isa: Isa,
    query: &[i8],
    rows: impl Iterator<Item = &'a [u8]>,
    out: &mut [i32],
) {
    match isa {
        // SAFETY: asked for in front.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if types::has_vector_products() => unsafe {
            x86::codes_vnni(query, rows, out);
        },
        // SAFETY: the variant is only made where the CPU has AVX-512 F, BW and VL.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { compiled::codes_avx512(query, rows, out) },
        // SAFETY: the variant is only made where the CPU has AVX2.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { compiled::codes_avx2(query, rows, out) },
        Isa::Plain => plain::codes(query, rows, out),
    }
}

/// For each of at most [`BATCH_ROWS`] rows what `op` says of its bits and the query's.
///
/// `out` has one value a row. NaN may stand for one above `bound`.
///
/// [`BATCH_ROWS`]: crate::rows::BATCH_ROWS
pub(crate) fn compare_bits<'a>(
    isa: Isa,
    op: BitOp,
    query: &[u8],
    rows: impl Iterator<Item = &'a [u8]>,
    bound: f32,
    out: &mut [f32],
) {
    match isa {
        // SAFETY: asked for in front.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if types::has_vector_popcount() => unsafe {
            x86::compare_bits_avx512(op, query, rows, bound, out);
        },
        // SAFETY: the variants are only made where the CPU has POPCNT.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2 => unsafe {
            compiled::compare_bits(op, query, rows, bound, out);
        },
        Isa::Plain => plain::compare_bits(op, query, rows, bound, out),
    }
}

/// The values of a Float16 vector, exactly.
pub(crate) fn widen_half(isa: Isa, row: &[u16], out: &mut [f32]) {
    match isa {
        // SAFETY: the variants are only made where the CPU has AVX2 and F16C.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2 => unsafe { x86::widen_half(row, out) },
        Isa::Plain => plain::widen_half(row, out),
    }
}

/// The kernels for x86-64.
///
/// Calling one of these functions on a CPU without its instruction set is undefined behaviour; that
/// is the only contract they have, all sizes are checked or given by types.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::array::from_fn;

    use super::registers::{int8_term_512, term_256, term_512, transpose_8, transpose_16};
    use super::{BitOp, Lanes, PANEL_ROWS, RowStat, plain, prefetch};
    use crate::rows::BATCH_ROWS;

    /// [`super::pack`]: 16 rows by 16 dimensions at a time, transposed in registers.
    #[target_feature(enable = "avx512f")]
    pub(super) fn pack_avx512(
        rows: &[&[f32]; PANEL_ROWS],
        ahead: &[&[f32]; PANEL_ROWS],
        panel: &mut [Lanes],
        stat: RowStat,
    ) -> Lanes {
        let mut sums = [_mm512_setzero_ps(); 2];
        for (c, columns) in panel.chunks_mut(16).enumerate() {
            let lanes = u16::MAX >> (16 - columns.len());
            for (half, sum) in sums.iter_mut().enumerate() {
                let tile: [__m512; 16] = from_fn(|i| {
                    let values = &rows[half * 16 + i][c * 16..c * 16 + columns.len()];
                    prefetch(&ahead[half * 16 + i][c * 16..c * 16 + columns.len()]);
                    // SAFETY: the mask admits `values.len()` lanes; the others are not read.
                    unsafe { _mm512_maskz_loadu_ps(lanes, values.as_ptr()) }
                });
                let tile = transpose_16(tile);
                for (column, values) in columns.iter_mut().zip(tile) {
                    *sum = match stat {
                        RowStat::None => *sum,
                        RowStat::Magnitudes => _mm512_add_ps(*sum, _mm512_abs_ps(values)),
                        RowStat::Squares => _mm512_fmadd_ps(values, values, *sum),
                    };
                    // SAFETY: a column has 32 values, so 16 from `half * 16` on lie within it.
                    unsafe { _mm512_storeu_ps(column.0.as_mut_ptr().add(half * 16), values) };
                }
            }
        }
        let mut result = Lanes::ZERO;
        for (half, sum) in sums.into_iter().enumerate() {
            // SAFETY: 32 values, so 16 from `half * 16` on lie within them.
            unsafe { _mm512_storeu_ps(result.0.as_mut_ptr().add(half * 16), sum) };
        }
        result
    }

    /// [`super::admit`]: `Q` queries by 32 rows, in `2 * Q` accumulators.
    #[target_feature(enable = "avx512f")]
    pub(super) fn admit_avx512<const Q: usize>(
        queries: &[[f32; Q]],
        panel: &[Lanes],
        sizes: &Lanes,
        weight: &[f32; Q],
        limit: &[f32; Q],
    ) -> [u32; Q] {
        let mut dots = [[_mm512_setzero_ps(); 2]; Q];
        for (query, column) in queries.iter().zip(panel) {
            let [low, high] = halves_512(column);
            for (dot, &value) in dots.iter_mut().zip(query) {
                let value = _mm512_set1_ps(value);
                dot[0] = _mm512_fmadd_ps(value, low, dot[0]);
                dot[1] = _mm512_fmadd_ps(value, high, dot[1]);
            }
        }
        let [low, high] = halves_512(sizes);
        from_fn(|q| {
            let (weight, limit) = (_mm512_set1_ps(weight[q]), _mm512_set1_ps(limit[q]));
            let low = _mm512_fmadd_ps(weight, low, dots[q][0]);
            let high = _mm512_fmadd_ps(weight, high, dots[q][1]);
            let low = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(low, limit);
            let high = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(high, limit);
            u32::from(low) | u32::from(high) << 16
        })
    }

    /// The two registers of a panel's column.
    #[target_feature(enable = "avx512f")]
    fn halves_512(column: &Lanes) -> [__m512; 2] {
        let values = column.0.as_ptr();
        // SAFETY: a column has 32 values and is aligned to 64 bytes.
        unsafe { [_mm512_load_ps(values), _mm512_load_ps(values.add(16))] }
    }

    /// [`super::pack`]: 8 rows by 8 dimensions at a time.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn pack_avx2(
        rows: &[&[f32]; PANEL_ROWS],
        ahead: &[&[f32]; PANEL_ROWS],
        panel: &mut [Lanes],
        stat: RowStat,
    ) -> Lanes {
        let mut sums = Lanes::ZERO;
        for (c, columns) in panel.chunks_mut(8).enumerate() {
            for part in 0..4 {
                let tile: [__m256; 8] = from_fn(|i| {
                    let values = &rows[part * 8 + i][c * 8..c * 8 + columns.len()];
                    prefetch(&ahead[part * 8 + i][c * 8..c * 8 + columns.len()]);
                    let mut eight = [0.0; 8];
                    let whole = values.first_chunk::<8>().unwrap_or_else(|| {
                        eight[..values.len()].copy_from_slice(values);
                        &eight
                    });
                    // SAFETY: eight values lie behind the pointer.
                    unsafe { _mm256_loadu_ps(whole.as_ptr()) }
                });
                let lanes = &mut sums.0[part * 8..part * 8 + 8];
                // SAFETY: the slice has eight values.
                let mut sum = unsafe { _mm256_loadu_ps(lanes.as_ptr()) };
                for (column, values) in columns.iter_mut().zip(transpose_8(tile)) {
                    let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), values);
                    sum = match stat {
                        RowStat::None => sum,
                        RowStat::Magnitudes => _mm256_add_ps(sum, magnitude),
                        RowStat::Squares => _mm256_fmadd_ps(values, values, sum),
                    };
                    // SAFETY: a column has 32 values, so 8 from `part * 8` on lie within it.
                    unsafe { _mm256_storeu_ps(column.0.as_mut_ptr().add(part * 8), values) };
                }
                // SAFETY: the slice has eight values.
                unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
            }
        }
        sums
    }

    /// [`super::admit`]: four queries by 16 rows at a time, in eight accumulators.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn admit_avx2<const Q: usize>(
        queries: &[[f32; Q]],
        panel: &[Lanes],
        sizes: &Lanes,
        weight: &[f32; Q],
        limit: &[f32; Q],
    ) -> [u32; Q] {
        const { assert!(Q.is_multiple_of(4), "queries come in fours") };
        let mut admitted = [0; Q];
        for (four, half) in (0..Q).step_by(4).flat_map(|four| [(four, 0), (four, 1)]) {
            let mut dots = [[_mm256_setzero_ps(); 2]; 4];
            for (query, column) in queries.iter().zip(panel) {
                let [low, high] = quarters_256(column, half);
                for (q, dot) in dots.iter_mut().enumerate() {
                    let value = _mm256_set1_ps(query[four + q]);
                    dot[0] = _mm256_fmadd_ps(value, low, dot[0]);
                    dot[1] = _mm256_fmadd_ps(value, high, dot[1]);
                }
            }
            let [low, high] = quarters_256(sizes, half);
            for (q, dot) in dots.iter().enumerate() {
                let limit = _mm256_set1_ps(limit[four + q]);
                let weight = _mm256_set1_ps(weight[four + q]);
                let low = _mm256_fmadd_ps(weight, low, dot[0]);
                let high = _mm256_fmadd_ps(weight, high, dot[1]);
                let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NLT_UQ>(low, limit));
                let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NLT_UQ>(high, limit));
                let bits = low.cast_unsigned() | high.cast_unsigned() << 8;
                admitted[four + q] |= bits << (16 * half);
            }
        }
        admitted
    }

    /// Two registers of a panel's column: the rows of one half.
    #[target_feature(enable = "avx2")]
    fn quarters_256(column: &Lanes, half: usize) -> [__m256; 2] {
        let (values, _) = column.0.as_chunks::<8>();
        let (low, high) = (&values[2 * half], &values[2 * half + 1]);
        // SAFETY: both point to eight values.
        unsafe { [_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())] }
    }

    /// [`super::halves`]: 32 values at a time, in two accumulators.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn halves_avx512<'a, const BRAIN: bool, const L2: bool>(
        query: &[f32],
        rows: impl Iterator<Item = &'a [u16]>,
        out: &mut [f32],
    ) {
        let (query_parts, query_rest) = query.as_chunks::<32>();
        for (row, out) in rows.zip(out) {
            let (parts, rest) = row.as_chunks::<32>();
            let mut sums = [_mm512_setzero_ps(); 2];
            for (q, x) in query_parts.iter().zip(parts) {
                for (half, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: both have 32 values, so 16 from `half * 16` on lie within them.
                    let (q, x) = unsafe {
                        (
                            _mm512_loadu_ps(q.as_ptr().add(half * 16)),
                            _mm256_loadu_si256(x.as_ptr().add(half * 16).cast()),
                        )
                    };
                    *sum = term_512::<BRAIN, L2>(*sum, q, x);
                }
            }
            for (sum, (q, x)) in sums.iter_mut().zip(query_rest.chunks(16).zip(rest.chunks(16))) {
                let lanes = u16::MAX >> (16 - q.len().min(x.len()));
                // SAFETY: the mask admits lanes that both slices have; the others are not read.
                let (q, x) = unsafe {
                    (
                        _mm512_maskz_loadu_ps(lanes, q.as_ptr()),
                        _mm256_maskz_loadu_epi16(lanes, x.as_ptr().cast()),
                    )
                };
                *sum = term_512::<BRAIN, L2>(*sum, q, x);
            }
            *out = _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
        }
    }

    /// [`super::halves`]: 16 values at a time, in two accumulators.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn halves_avx2<'a, const BRAIN: bool, const L2: bool>(
        query: &[f32],
        rows: impl Iterator<Item = &'a [u16]>,
        out: &mut [f32],
    ) {
        let (query_parts, query_rest) = query.as_chunks::<16>();
        for (row, out) in rows.zip(out) {
            let (parts, rest) = row.as_chunks::<16>();
            let mut sums = [_mm256_setzero_ps(); 2];
            let mut add = |q: &[f32; 16], x: &[u16; 16]| {
                for (half, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: both have 16 values, so 8 from `half * 8` on lie within them.
                    let (q, x) = unsafe {
                        (
                            _mm256_loadu_ps(q.as_ptr().add(half * 8)),
                            _mm_loadu_si128(x.as_ptr().add(half * 8).cast()),
                        )
                    };
                    *sum = term_256::<BRAIN, L2>(*sum, q, x);
                }
            };
            query_parts.iter().zip(parts).for_each(|(q, x)| add(q, x));
            if !rest.is_empty() {
                let (mut q, mut x) = ([0.0; 16], [0; 16]);
                q[..query_rest.len()].copy_from_slice(query_rest);
                x[..rest.len()].copy_from_slice(rest);
                add(&q, &x);
            }
            let mut lanes = [0.0; 8];
            // SAFETY: the array has eight values.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(sums[0], sums[1])) };
            *out = lanes.iter().sum();
        }
    }

    /// [`super::int8s`]: 32 values at a time, as 16-bit numbers.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn int8s_avx512<'a, const L2: bool>(
        query: &[i16],
        rows: impl Iterator<Item = &'a [i8]>,
        out: &mut [i32],
    ) {
        let (query_parts, query_rest) = query.as_chunks::<32>();
        for (row, out) in rows.zip(out) {
            let (parts, rest) = row.as_chunks::<32>();
            let mut sum = _mm512_setzero_si512();
            for (q, x) in query_parts.iter().zip(parts) {
                // SAFETY: both have 32 values.
                let (q, x) = unsafe {
                    (_mm512_loadu_epi16(q.as_ptr()), _mm256_loadu_si256(x.as_ptr().cast()))
                };
                sum = int8_term_512::<L2>(sum, q, x);
            }
            if !rest.is_empty() && !query_rest.is_empty() {
                let lanes = u32::MAX >> (32 - query_rest.len().min(rest.len()));
                // SAFETY: the mask admits lanes that both slices have; the others are not read.
                let (q, x) = unsafe {
                    (
                        _mm512_maskz_loadu_epi16(lanes, query_rest.as_ptr()),
                        _mm256_maskz_loadu_epi8(lanes, rest.as_ptr()),
                    )
                };
                sum = int8_term_512::<L2>(sum, q, x);
            }
            *out = _mm512_reduce_add_epi32(sum);
        }
    }

    /// [`super::codes`]: 64 products at a time.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn codes_vnni<'a>(
        query: &[i8],
        rows: impl Iterator<Item = &'a [u8]>,
        out: &mut [i32],
    ) {
        let (query_parts, query_rest) = query.as_chunks::<64>();
        for (row, out) in rows.zip(out) {
            let (parts, rest) = row.as_chunks::<64>();
            let mut sum = _mm512_setzero_si512();
            for (q, x) in query_parts.iter().zip(parts) {
                // SAFETY: both have 64 values.
                let (q, x) = unsafe {
                    (_mm512_loadu_epi8(q.as_ptr()), _mm512_loadu_epi8(x.as_ptr().cast()))
                };
                sum = _mm512_dpbusd_epi32(sum, x, q);
            }
            if !rest.is_empty() && !query_rest.is_empty() {
                let lanes = u64::MAX >> (64 - query_rest.len().min(rest.len()));
                // SAFETY: the mask admits lanes that both slices have; the others are not read.
                let (q, x) = unsafe {
                    (
                        _mm512_maskz_loadu_epi8(lanes, query_rest.as_ptr()),
                        _mm512_maskz_loadu_epi8(lanes, rest.as_ptr().cast()),
                    )
                };
                sum = _mm512_dpbusd_epi32(sum, x, q);
            }
            *out = _mm512_reduce_add_epi32(sum);
        }
    }

    /// [`super::compare_bits`], with the instruction that counts in a vector.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,popcnt")]
    pub(super) fn compare_bits_avx512<'a>(
        op: BitOp,
        query: &[u8],
        rows: impl Iterator<Item = &'a [u8]>,
        bound: f32,
        out: &mut [f32],
    ) {
        if op != BitOp::Jaccard {
            return plain::compare_bits(op, query, rows, bound, out);
        }
        let mut counts = [0; BATCH_ROWS];
        let counts = &mut counts[..out.len()];
        match query.as_array::<16>() {
            Some(query) => count_pairs(query, rows, counts),
            None => count_rows(query, rows, counts),
        }
        plain::jaccard(query, counts, bound, out);
    }

    /// The bits in both and in the row, as [`plain::jaccard`] takes them, of rows of 16 bytes.
    #[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq")]
    fn count_pairs<'a>(query: &[u8; 16], rows: impl Iterator<Item = &'a [u8]>, counts: &mut [u64]) {
        // SAFETY: the array has 16 bytes.
        let q = unsafe { _mm_loadu_si128(query.as_ptr().cast()) };
        for (row, count) in rows.zip(counts) {
            let Some(row) = row.first_chunk::<16>() else { continue };
            // SAFETY: the array has 16 bytes.
            let x = unsafe { _mm_loadu_si128(row.as_ptr().cast()) };
            let of_row = _mm_slli_epi64::<32>(_mm_popcnt_epi64(x));
            let sums = _mm_add_epi64(_mm_popcnt_epi64(_mm_and_si128(q, x)), of_row);
            let sum = _mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums));
            *count = _mm_cvtsi128_si64(sum).cast_unsigned();
        }
    }

    /// [`count_pairs`] of rows of any width.
    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    fn count_rows<'a>(query: &[u8], rows: impl Iterator<Item = &'a [u8]>, counts: &mut [u64]) {
        let (query_parts, query_rest) = query.as_chunks::<64>();
        for (row, count) in rows.zip(counts) {
            let (parts, rest) = row.as_chunks::<64>();
            let (mut both, mut of_row) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            let mut add = |q, x| {
                both = _mm512_add_epi64(both, _mm512_popcnt_epi64(_mm512_and_si512(q, x)));
                of_row = _mm512_add_epi64(of_row, _mm512_popcnt_epi64(x));
            };
            for (q, x) in query_parts.iter().zip(parts) {
                // SAFETY: both have 64 bytes.
                let (q, x) = unsafe {
                    (_mm512_loadu_epi8(q.as_ptr().cast()), _mm512_loadu_epi8(x.as_ptr().cast()))
                };
                add(q, x);
            }
            if !rest.is_empty() && !query_rest.is_empty() {
                let lanes = u64::MAX >> (64 - query_rest.len().min(rest.len()));
                // SAFETY: the mask admits lanes that both slices have; the others are not read.
                let (q, x) = unsafe {
                    (
                        _mm512_maskz_loadu_epi8(lanes, query_rest.as_ptr().cast()),
                        _mm512_maskz_loadu_epi8(lanes, rest.as_ptr().cast()),
                    )
                };
                add(q, x);
            }
            let sums = _mm512_add_epi64(both, _mm512_slli_epi64::<32>(of_row));
            *count = _mm512_reduce_add_epi64(sums).cast_unsigned();
        }
    }

    /// [`super::widen_half`]: eight values at a time.
    #[target_feature(enable = "avx2,f16c")]
    pub(super) fn widen_half(row: &[u16], out: &mut [f32]) {
        let (parts, rest) = row.as_chunks::<8>();
        let (out_parts, out_rest) = out.as_chunks_mut::<8>();
        for (part, out) in parts.iter().zip(out_parts) {
            // SAFETY: both have eight values.
            unsafe {
                let values = _mm256_cvtph_ps(_mm_loadu_si128(part.as_ptr().cast()));
                _mm256_storeu_ps(out.as_mut_ptr(), values);
            }
        }
        plain::widen_half(rest, out_rest);
    }
}

#[cfg(test)]
mod tests;
