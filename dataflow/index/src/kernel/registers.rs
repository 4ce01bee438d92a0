//! Steps of the kernels that work on registers alone: no memory, so nothing `unsafe`.

use std::arch::x86_64::*;
use std::array::from_fn;

/// Transposes a 16 by 16 tile, one row per register.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose_16(r: [__m512; 16]) -> [__m512; 16] {
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

/// Transposes an 8 by 8 tile, one row per register.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn transpose_8(r: [__m256; 8]) -> [__m256; 8] {
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

/// Adds 16 products or squared differences to a sum.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn term_512<const BRAIN: bool, const L2: bool>(
    sum: __m512,
    q: __m512,
    x: __m256i,
) -> __m512 {
    let x = if BRAIN {
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(x)))
    } else {
        _mm512_cvtph_ps(x)
    };
    if L2 {
        let difference = _mm512_sub_ps(q, x);
        _mm512_fmadd_ps(difference, difference, sum)
    } else {
        _mm512_fmadd_ps(q, x, sum)
    }
}

/// Adds eight products or squared differences to a sum.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn term_256<const BRAIN: bool, const L2: bool>(
    sum: __m256,
    q: __m256,
    x: __m128i,
) -> __m256 {
    let x = if BRAIN {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(x)))
    } else {
        _mm256_cvtph_ps(x)
    };
    if L2 {
        let difference = _mm256_sub_ps(q, x);
        _mm256_fmadd_ps(difference, difference, sum)
    } else {
        _mm256_fmadd_ps(q, x, sum)
    }
}

/// Adds 32 products or squared differences to a sum.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn int8_term_512<const L2: bool>(sum: __m512i, q: __m512i, x: __m256i) -> __m512i {
    let x = _mm512_cvtepi8_epi16(x);
    let products = if L2 {
        let difference = _mm512_sub_epi16(q, x);
        _mm512_madd_epi16(difference, difference)
    } else {
        _mm512_madd_epi16(q, x)
    };
    _mm512_add_epi32(sum, products)
}
