//! Walking over the admitted rows of a block, in batches.

use std::ops::Range;

/// Rows of a batch that a kernel compares at once.
pub(crate) const BATCH_ROWS: usize = 64;

/// Up to [`BATCH_ROWS`] rows of a block.
#[derive(Debug, Clone)]
pub(crate) enum Picked<'a> {
    /// Rows side by side.
    Run(Range<usize>),
    /// Rows by number, ascending.
    List(&'a [u32]),
}

impl Picked<'_> {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Picked::Run(rows) => rows.len(),
            Picked::List(rows) => rows.len(),
        }
    }

    /// The row at a position.
    #[inline(always)]
    pub(crate) fn row(&self, at: usize) -> u32 {
        match self {
            Picked::Run(rows) => (rows.start + at) as u32,
            Picked::List(rows) => rows[at],
        }
    }
}

/// The number of rows below `rows` that a mask admits.
///
/// # Panics
/// If the mask has too few words.
pub(crate) fn count(rows: usize, mask: Option<&[u64]>) -> usize {
    let Some(mask) = mask else { return rows };
    assert!(mask.len() >= rows.div_ceil(64), "one mask bit per row");
    let whole: u32 = mask[..rows / 64].iter().map(|word| word.count_ones()).sum();
    let rest = mask.get(rows / 64).map_or(0, |word| word & ((1 << (rows % 64)) - 1));
    whole as usize + rest.count_ones() as usize
}

/// Calls `f` with every admitted row below `rows`, in ascending order.
#[inline(always)]
pub(crate) fn for_each_row(rows: usize, mask: Option<&[u64]>, mut f: impl FnMut(usize)) {
    let Some(words) = mask else {
        return (0..rows).for_each(f);
    };
    for (w, &word) in words.iter().enumerate().take(rows.div_ceil(64)) {
        let mut bits = word;
        if rows - w * 64 < 64 {
            bits &= (1 << (rows - w * 64)) - 1;
        }
        while bits != 0 {
            f(w * 64 + bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
    }
}

/// Calls `f` with every admitted row below `rows`, in batches of `N`, the last one shorter.
///
/// The second argument are the rows of the batch after (empty at the end), to be prefetched.
#[inline(always)]
pub(crate) fn for_each_batch<const N: usize>(
    rows: usize,
    mask: Option<&[u64]>,
    mut f: impl FnMut(&[u32], &[u32]),
) {
    let mut batch = [0_u32; N];
    let mut next = [0_u32; N];
    let (mut batch_len, mut next_len) = (0, 0);
    for_each_row(rows, mask, |i| {
        next[next_len] = i as u32;
        next_len += 1;
        if next_len == N {
            if batch_len > 0 {
                f(&batch, &next);
            }
            (batch, batch_len, next_len) = (next, N, 0);
        }
    });
    if batch_len > 0 {
        f(&batch, &next[..next_len]);
    }
    if next_len > 0 {
        f(&next[..next_len], &[]);
    }
}
