//! The panel kernels: the one file of this crate with vector instructions and `unsafe`.
//!
//! A *panel* is 32 rows transposed: for each dimension, the 32 values side by side ([`Lanes`]).
//! [`pack`] builds one; [`admit`] multiplies it with four or eight queries at a time, every
//! accumulator staying in a register, and answers with one bit per pair. Each kernel exists for
//! AVX-512, for AVX2 with FMA, and in plain Rust; the CPU decides at run time. The plain form is
//! the twin that tests compare with, and the code of every other CPU.
#![allow(unsafe_code)]

use std::sync::LazyLock;

/// Rows of a panel.
pub(crate) const PANEL_ROWS: usize = 32;

/// One value of each row of a panel.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; PANEL_ROWS]);

impl Lanes {
    /// All zeros.
    pub(crate) const ZERO: Lanes = Lanes([0.0; PANEL_ROWS]);
}

/// What [`pack`] sums up over the values of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowStat {
    /// Nothing: zeros.
    None,
    /// Their magnitudes.
    Magnitudes,
    /// Their squares.
    Squares,
}

/// The instruction sets the kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isa {
    /// AVX-512 F.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever the compiler makes of plain loops.
    Plain,
}

/// The instruction sets this CPU has, best first.
pub(crate) fn available() -> Vec<Isa> {
    let mut isas = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            isas.push(Isa::Avx512);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            isas.push(Isa::Avx2);
        }
    }
    isas.push(Isa::Plain);
    isas
}

/// The best instruction set of this CPU.
pub(crate) fn isa() -> Isa {
    static BEST: LazyLock<Isa> = LazyLock::new(|| available()[0]);
    *BEST
}

/// Asks the CPU to load a row into its cache; changes nothing else.
#[inline(always)]
pub(crate) fn prefetch(row: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(16) {
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
        Isa::Plain => pack_plain(rows, panel, stat),
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
        Isa::Plain => admit_plain(queries, panel, sizes, weight, limit),
    }
}

/// [`pack`] in plain Rust.
fn pack_plain(rows: &[&[f32]; PANEL_ROWS], panel: &mut [Lanes], stat: RowStat) -> Lanes {
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

/// [`admit`] in plain Rust.
fn admit_plain<const Q: usize>(
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

/// The kernels for x86-64.
///
/// Calling one of these functions on a CPU without its instruction set is undefined behaviour; that
/// is the only contract they have, all sizes are checked or given by types.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::array::from_fn;

    use super::{Lanes, PANEL_ROWS, RowStat, prefetch};

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

    /// Transposes a 16 by 16 tile, one row per register.
    #[target_feature(enable = "avx512f")]
    fn transpose_16(r: [__m512; 16]) -> [__m512; 16] {
        // Within each 128-bit lane: 4 x 4 tiles of the rows 4i..4i+4.
        let quads: [[__m512; 4]; 4] = from_fn(|i| {
            let (a, b, c, d) = (r[4 * i], r[4 * i + 1], r[4 * i + 2], r[4 * i + 3]);
            let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
            let (ab_hi, cd_hi) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
            [
                _mm512_shuffle_ps::<0x44>(ab, cd),
                _mm512_shuffle_ps::<0xEE>(ab, cd),
                _mm512_shuffle_ps::<0x44>(ab_hi, cd_hi),
                _mm512_shuffle_ps::<0xEE>(ab_hi, cd_hi),
            ]
        });
        // Across lanes: lane l of quads[i][j] belongs to column 4l + j, rows 4i..4i+4.
        let mut columns = r;
        for j in 0..4 {
            let [a, b, c, d] = [quads[0][j], quads[1][j], quads[2][j], quads[3][j]];
            let ab_even = _mm512_shuffle_f32x4::<0x88>(a, b);
            let cd_even = _mm512_shuffle_f32x4::<0x88>(c, d);
            let ab_odd = _mm512_shuffle_f32x4::<0xDD>(a, b);
            let cd_odd = _mm512_shuffle_f32x4::<0xDD>(c, d);
            columns[j] = _mm512_shuffle_f32x4::<0x88>(ab_even, cd_even);
            columns[4 + j] = _mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd);
            columns[8 + j] = _mm512_shuffle_f32x4::<0xDD>(ab_even, cd_even);
            columns[12 + j] = _mm512_shuffle_f32x4::<0xDD>(ab_odd, cd_odd);
        }
        columns
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

    /// Transposes an 8 by 8 tile, one row per register.
    #[target_feature(enable = "avx2")]
    fn transpose_8(r: [__m256; 8]) -> [__m256; 8] {
        let quads: [[__m256; 4]; 2] = from_fn(|i| {
            let (a, b, c, d) = (r[4 * i], r[4 * i + 1], r[4 * i + 2], r[4 * i + 3]);
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let (ab_hi, cd_hi) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0x44>(ab, cd),
                _mm256_shuffle_ps::<0xEE>(ab, cd),
                _mm256_shuffle_ps::<0x44>(ab_hi, cd_hi),
                _mm256_shuffle_ps::<0xEE>(ab_hi, cd_hi),
            ]
        });
        from_fn(|column| {
            let (top, bottom) = (quads[0][column % 4], quads[1][column % 4]);
            if column < 4 {
                _mm256_permute2f128_ps::<0x20>(top, bottom)
            } else {
                _mm256_permute2f128_ps::<0x31>(top, bottom)
            }
        })
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
}

#[cfg(test)]
mod tests;
