//! The vector kernels against their plain twins.

use proptest::prelude::*;

use super::{Isa, Lanes, PANEL_ROWS, RowStat, admit, available, pack};

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
