//! The vector kernels against their plain twins.

use proptest::prelude::*;

use super::{
    BitOp, Isa, Lanes, PANEL_ROWS, RowStat, admit, available, codes, compare_bits, halves, int8s,
    pack, widen_half,
};

/// Small whole numbers: every sum of products is exact, so all kernels must agree to the bit.
fn whole_numbers(count: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec((-8_i8..=8).prop_map(f32::from), count)
}

/// A dimension, the values of 40 rows, and which of them are picked.
fn rows() -> impl Strategy<Value = (usize, Vec<f32>, [u32; PANEL_ROWS])> {
    (1_usize..70).prop_flat_map(|dim| {
        let picked = prop::array::uniform32(0_u32..40);
        (Just(dim), whole_numbers(dim * 40), picked)
    })
}

/// A panel and the sums of its rows as plain values.
fn packed(
    isa: Isa,
    dim: usize,
    vectors: &[f32],
    picked: &[u32; PANEL_ROWS],
    stat: RowStat,
) -> (Vec<Lanes>, Lanes) {
    let mut panel = vec![Lanes::ZERO; dim];
    let rows = picked.map(|row| &vectors[row as usize * dim..][..dim]);
    let sums = pack(isa, &rows, &rows, &mut panel, stat);
    (panel, sums)
}

/// One admission test by a kernel, for `Q` queries.
fn admitted<const Q: usize>(isa: Isa, panel: &[Lanes], sizes: &Lanes, seed: &[f32]) -> [u32; Q] {
    let queries: Vec<[f32; Q]> =
        (0..panel.len()).map(|d| std::array::from_fn(|q| seed[(d * Q + q) % seed.len()])).collect();
    let weight = std::array::from_fn(|q| q as f32 - 2.0);
    let limit = std::array::from_fn(|q| seed[q % seed.len()] * 16.0);
    admit(isa, &queries, panel, sizes, &weight, &limit)
}

#[test]
fn the_plain_kernel_is_always_available_and_last() {
    assert_eq!(available().last(), Some(&Isa::Plain));
}

proptest! {
    #[test]
    fn every_pack_kernel_agrees_with_the_plain_one((dim, vectors, picked) in rows()) {
        for stat in [RowStat::None, RowStat::Magnitudes, RowStat::Squares] {
            let (plain, sums) = packed(Isa::Plain, dim, &vectors, &picked, stat);
            for isa in available() {
                let (panel, other) = packed(isa, dim, &vectors, &picked, stat);
                prop_assert_eq!(other.0, sums.0, "sums by {:?}", isa);
                for (a, b) in panel.iter().zip(&plain) {
                    prop_assert_eq!(a.0, b.0, "panel by {:?}", isa);
                }
            }
        }
    }

    #[test]
    fn the_plain_pack_kernel_transposes_and_sums((dim, vectors, picked) in rows()) {
        let (panel, sums) = packed(Isa::Plain, dim, &vectors, &picked, RowStat::Squares);
        for (lane, &row) in picked.iter().enumerate() {
            let row = &vectors[row as usize * dim..][..dim];
            prop_assert!(panel.iter().zip(row).all(|(column, &x)| column.0[lane] == x));
            prop_assert_eq!(sums.0[lane], row.iter().map(|x| x * x).sum::<f32>());
        }
    }

    #[test]
    fn every_admit_kernel_agrees_with_the_plain_one(
        (dim, vectors, picked) in rows(),
        seed in whole_numbers(64),
    ) {
        let (panel, sizes) = packed(Isa::Plain, dim, &vectors, &picked, RowStat::Magnitudes);
        let four: [u32; 4] = admitted(Isa::Plain, &panel, &sizes, &seed);
        let eight: [u32; 8] = admitted(Isa::Plain, &panel, &sizes, &seed);
        for isa in available() {
            prop_assert_eq!(admitted::<4>(isa, &panel, &sizes, &seed), four, "4 by {:?}", isa);
            prop_assert_eq!(admitted::<8>(isa, &panel, &sizes, &seed), eight, "8 by {:?}", isa);
        }
    }
}

#[test]
fn every_admit_kernel_admits_what_cannot_be_compared() {
    let mut sizes = Lanes::ZERO;
    sizes.0[3] = f32::NAN;
    sizes.0[20] = f32::NAN;
    let panel = vec![Lanes::ZERO; 5];
    for isa in available() {
        let limit = [1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let bits = admit(isa, &[[0.0; 4]; 5], &panel, &sizes, &[1.0; 4], &limit);
        let odd = 1 << 3 | 1 << 20;
        assert_eq!(bits, [odd, u32::MAX, odd, u32::MAX], "{isa:?}");
    }
}

/// Halves whose values, and all sums of their products, are exact in f32.
fn whole_halves(count: usize) -> impl Strategy<Value = Vec<(u16, u16, f32)>> {
    // As f16: sign and exponents of 1, 2, 4 and 8, and zero. The same values as bf16.
    let value = prop_oneof![
        Just((0, 0, 0.0)),
        (any::<bool>(), 0_u16..4).prop_map(|(minus, e)| {
            let value = f32::from(1_u16 << e) * if minus { -1.0 } else { 1.0 };
            (u16::from(minus) << 15 | (15 + e) << 10, (value.to_bits() >> 16) as u16, value)
        })
    ];
    prop::collection::vec(value, count)
}

proptest! {
    #[test]
    fn every_halves_kernel_sums_what_it_says(
        (query, rows) in (1_usize..150).prop_flat_map(|dim| {
            (whole_numbers(dim), prop::collection::vec(whole_halves(dim), 0..9))
        }),
    ) {
        let half: Vec<Vec<u16>> =
            rows.iter().map(|row| row.iter().map(|x| x.0).collect()).collect();
        let brain: Vec<Vec<u16>> =
            rows.iter().map(|row| row.iter().map(|x| x.1).collect()).collect();
        let sum = |row: &[(u16, u16, f32)], f: fn(f32, f32) -> f32| -> f32 {
            query.iter().zip(row).map(|(&q, x)| f(q, x.2)).sum()
        };
        let dots: Vec<f32> = rows.iter().map(|row| sum(row, |q, x| q * x)).collect();
        let squares: Vec<f32> = rows.iter().map(|row| sum(row, |q, x| (q - x) * (q - x))).collect();
        for isa in available() {
            let mut out = vec![f32::NAN; rows.len()];
            halves::<false, false>(isa, &query, half.iter().map(Vec::as_slice), &mut out);
            prop_assert_eq!(&out, &dots, "{:?}", isa);
            halves::<true, false>(isa, &query, brain.iter().map(Vec::as_slice), &mut out);
            prop_assert_eq!(&out, &dots, "{:?}", isa);
            halves::<false, true>(isa, &query, half.iter().map(Vec::as_slice), &mut out);
            prop_assert_eq!(&out, &squares, "{:?}", isa);
            halves::<true, true>(isa, &query, brain.iter().map(Vec::as_slice), &mut out);
            prop_assert_eq!(&out, &squares, "{:?}", isa);
        }
    }

    #[test]
    fn every_int8s_kernel_agrees_with_the_plain_one(
        (query, rows) in (1_usize..150).prop_flat_map(|dim| {
            let values = || prop::collection::vec(any::<i8>(), dim);
            (values(), prop::collection::vec(values(), 0..9))
        }),
    ) {
        let query: Vec<i16> = query.into_iter().map(i16::from).collect();
        let rows = || rows.iter().map(Vec::as_slice);
        let (mut dots, mut squares) = (vec![0; rows().len()], vec![0; rows().len()]);
        int8s::<false>(Isa::Plain, &query, rows(), &mut dots);
        int8s::<true>(Isa::Plain, &query, rows(), &mut squares);
        for isa in available() {
            let mut out = vec![0; rows().len()];
            int8s::<false>(isa, &query, rows(), &mut out);
            prop_assert_eq!(&out, &dots, "{:?}", isa);
            int8s::<true>(isa, &query, rows(), &mut out);
            prop_assert_eq!(&out, &squares, "{:?}", isa);
        }
    }

    #[test]
    fn every_codes_kernel_sums_products_exactly(
        (query, rows) in (1_usize..300).prop_flat_map(|dim| {
            let value = prop_oneof![any::<i8>(), Just(i8::MIN), Just(i8::MAX)];
            let code = prop_oneof![any::<u8>(), Just(u8::MAX)];
            let row = prop::collection::vec(code, dim);
            (prop::collection::vec(value, dim), prop::collection::vec(row, 0..9))
        }),
    ) {
        let sum = |row: &Vec<u8>| {
            query.iter().zip(row).map(|(&q, &x)| i32::from(q) * i32::from(x)).sum::<i32>()
        };
        let expected: Vec<i32> = rows.iter().map(sum).collect();
        for isa in available() {
            let mut out = vec![0; rows.len()];
            codes(isa, &query, rows.iter().map(Vec::as_slice), &mut out);
            prop_assert_eq!(&out, &expected, "{:?}", isa);
        }
    }

    #[test]
    fn every_bit_kernel_finds_what_a_loop_over_bits_finds(
        (query, rows) in prop_oneof![1_usize..40, Just(64), Just(128)].prop_flat_map(|width| {
            // Few bits, or few missing, so that one set lies within the other now and then.
            let byte = prop_oneof![any::<u8>(), Just(0), Just(255), Just(1)];
            let few = prop::collection::vec(prop_oneof![9 => Just(0), 1 => Just(4)], width);
            let vector = prop_oneof![prop::collection::vec(byte, width), few];
            (vector.clone(), prop::collection::vec(vector, 0..9))
        }),
    ) {
        let bit = |bytes: &[u8], i: usize| bytes[i / 8] >> (i % 8) & 1 == 1;
        for op in [BitOp::Differ, BitOp::Jaccard, BitOp::QueryWithin, BitOp::RowWithin] {
            let distance = |row: &Vec<u8>| {
                let count = |holds: fn(bool, bool) -> bool| {
                    let bits = (0..row.len() * 8).filter(|&i| holds(bit(&query, i), bit(row, i)));
                    bits.count() as f32
                };
                let zero_or_nan = |missing: f32| if missing == 0.0 { 0.0 } else { f32::NAN };
                match op {
                    BitOp::Differ => count(|q, x| q != x),
                    BitOp::Jaccard if count(|q, x| q || x) == 0.0 => 1.0,
                    BitOp::Jaccard => count(|q, x| q != x) / count(|q, x| q || x),
                    BitOp::QueryWithin => zero_or_nan(count(|q, x| q && !x)),
                    BitOp::RowWithin => zero_or_nan(count(|q, x| x && !q)),
                }
            };
            let expected: Vec<Option<f32>> =
                rows.iter().map(|row| Some(distance(row)).filter(|x| !x.is_nan())).collect();
            for isa in available() {
                let found = |bound: f32| -> Vec<Option<f32>> {
                    let mut out = vec![-1.0; rows.len()];
                    compare_bits(isa, op, &query, rows.iter().map(Vec::as_slice), bound, &mut out);
                    out.into_iter().map(|x| Some(x).filter(|x| !x.is_nan())).collect()
                };
                prop_assert_eq!(&found(f32::INFINITY), &expected, "{:?} by {:?}", op, isa);
                // What is within a bound is there, and what is there is right.
                let bounds = expected.iter().flatten().copied().chain([-1.0, f32::NEG_INFINITY]);
                for bound in bounds.flat_map(|b| [b.next_down(), b, b.next_up()]) {
                    for (found, expected) in found(bound).iter().zip(&expected) {
                        let is_near = expected.is_some_and(|distance| distance <= bound);
                        let right = found == expected || found.is_none() && !is_near;
                        prop_assert!(right, "{:?} by {:?}: {:?}", op, isa, (found, expected, bound));
                    }
                }
            }
        }
    }
}

/// All 65,536 of them, so also subnormal numbers, infinities and every NaN.
#[test]
fn every_kernel_widens_every_half_to_its_value() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let value = |bits: u16| {
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3FF));
        match exponent {
            31 if fraction == 0.0 => sign * f64::INFINITY,
            31 => f64::NAN,
            0 => sign * fraction * 2.0_f64.powi(-24),
            _ => sign * (1024.0 + fraction) * 2.0_f64.powi(exponent - 25),
        }
    };
    for isa in available() {
        let mut out = vec![0.0; all.len()];
        widen_half(isa, &all, &mut out);
        for (&bits, out) in all.iter().zip(out) {
            let expected = value(bits) as f32;
            let same = out.to_bits() == expected.to_bits() || out.is_nan() && expected.is_nan();
            assert!(same, "{bits:#06x}: {out}, not {expected}, by {isa:?}");
        }
    }
}
