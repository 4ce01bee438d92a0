//! Little-endian reads that never panic: bytes past the end read as zero.
//!
//! Every caller checks lengths first; reading zero instead of panicking keeps a forgotten check
//! from taking the process down, and a checksum refuses the result.

/// `N` bytes from `at` on, zero where there are none.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(from) = bytes.get(at..at.saturating_add(N)) {
        out.copy_from_slice(from);
    }
    out
}

/// A `u16` at an offset.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

/// A `u32` at an offset.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

/// An `i32` at an offset.
pub(crate) fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(array(bytes, at))
}

/// A `u64` at an offset.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// An `i64` at an offset.
pub(crate) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(array(bytes, at))
}

/// A `u128` at an offset.
pub(crate) fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(array(bytes, at))
}

/// The next multiple of 8.
pub(crate) const fn align8(n: usize) -> usize {
    n.saturating_add(7) & !7
}
