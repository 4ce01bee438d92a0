//! Inner products of sparse vectors: every pair of a row is looked up in the query.
//!
//! A query marks the classes its indices fall in, one class being all indices that are equal modulo
//! 4,096. Nearly all pairs of a row fall in a class of which the query has none, so a row costs
//! little more than reading it.

use std::cmp::Ordering;

use millstream_catalog::model::cell::sparse_pairs;

use crate::rows::for_each_row;
use crate::topk::Collect;

/// Classes of indices; their marks stay within the first-level cache.
const CLASSES: usize = 4096;
/// Pairs that are looked at together: eight, of eight bytes each.
const GROUP_BYTES: usize = 64;

/// One sparse query.
#[derive(Debug, Clone)]
pub(crate) struct SparseQuery {
    /// Ascending by index.
    pairs: Vec<(u32, f32)>,
    /// 1 for every class of which the query has an index.
    marks: Box<[u8; CLASSES]>,
}

impl SparseQuery {
    /// Reads a cell; the error says what is wrong with it.
    pub(crate) fn new(cell: &[u8]) -> Result<SparseQuery, &'static str> {
        if !cell.len().is_multiple_of(8) {
            return Err("its bytes are not a whole number of pairs");
        }
        let pairs: Vec<(u32, f32)> = sparse_pairs(cell).collect();
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
            return Err("its indices do not ascend");
        }
        if !pairs.iter().all(|(_, value)| value.is_finite()) {
            return Err("it has a value that is not finite");
        }
        let mut marks = Box::new([0; CLASSES]);
        for &(index, _) in &pairs {
            marks[index as usize % CLASSES] = 1;
        }
        Ok(SparseQuery { pairs, marks })
    }

    /// The inner product with a row, summed in the order of the row.
    fn score(&self, row: &[u8]) -> f32 {
        let mut sum = 0.0;
        let (groups, rest) = row.as_chunks::<GROUP_BYTES>();
        for group in groups {
            let mut marked = 0_u8;
            for (i, pair) in group.as_chunks::<8>().0.iter().enumerate() {
                let index = u32::from_le_bytes([pair[0], pair[1], pair[2], pair[3]]);
                marked |= self.marks[index as usize % CLASSES] << i;
            }
            while marked != 0 {
                let at = marked.trailing_zeros() as usize * 8;
                sum += self.product(&group[at..at + 8]);
                marked &= marked - 1;
            }
        }
        (sum + self.product(rest)) as f32
    }

    /// The inner product with some pairs of a row.
    fn product(&self, pairs: &[u8]) -> f64 {
        let mut sum = 0.0;
        for (index, value) in sparse_pairs(pairs) {
            if self.marks[index as usize % CLASSES] == 1
                && let Ok(at) = self.pairs.binary_search_by_key(&index, |pair| pair.0)
            {
                sum += f64::from(self.pairs[at].1) * f64::from(value);
            }
        }
        sum
    }
}

/// Offers the admitted rows of a column of cells with a score above 0.
pub(crate) fn scan_sparse<C: Collect>(
    queries: &[SparseQuery],
    (offsets, bytes): (&[u32], &[u8]),
    (mask, first_row): (Option<&[u64]>, u32),
    out: &mut [C],
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    for_each_row(offsets.len().saturating_sub(1), mask, |i| {
        let row = &bytes[offsets[i] as usize..offsets[i + 1] as usize];
        for (query, top) in queries.iter().zip(out.iter_mut()) {
            let score = query.score(row);
            if score > 0.0 {
                top.offer(-score, first_row + i as u32, tie);
            }
        }
    });
}
