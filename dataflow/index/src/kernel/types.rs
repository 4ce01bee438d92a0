//! What kernels take and give, and which of them this CPU can run.

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
    /// AVX-512 F, BW and VL, and everything older.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2, FMA, F16C and POPCNT.
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
        let avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("popcnt");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        if avx2 && avx512 {
            isas.push(Isa::Avx512);
        }
        if avx2 {
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

/// Whether this CPU counts the ones of a whole vector at once.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_vector_popcount() -> bool {
    static HAS: LazyLock<bool> = LazyLock::new(|| is_x86_feature_detected!("avx512vpopcntdq"));
    *HAS
}

/// Whether this CPU adds up products of bytes in vectors.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_vector_products() -> bool {
    static HAS: LazyLock<bool> = LazyLock::new(|| is_x86_feature_detected!("avx512vnni"));
    *HAS
}

/// How two sets of bits are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BitOp {
    /// The number of bits that differ.
    Differ,
    /// The share of the bits set in either that are not set in both; 1 for two empty sets.
    Jaccard,
    /// 0 if the row has all bits of the query, otherwise NaN.
    QueryWithin,
    /// 0 if the query has all bits of the row, otherwise NaN.
    RowWithin,
}
