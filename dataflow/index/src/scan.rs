//! One pass over a block of rows for all queries of a search.

use std::cmp::Ordering;

use millstream_catalog::model::Metric;

use crate::floats::Floats;
use crate::kernel::{self, Isa};
use crate::narrow::{self, Narrow};
use crate::panel::{self, Common, Source};
use crate::queries::{Form, Queries};
use crate::rows::for_each_batch;
use crate::score::{Cosine, Ip, L2, Measure};
use crate::sparse::scan_sparse;
use crate::topk::Collect;

/// Rows between the one that is scored and the one that is prefetched.
const SCORE_AHEAD: usize = 4;
/// Floats between the row that is scored and the one that is prefetched, in a scan under a mask.
///
/// As much as the CPU can have on its way: what is asked for earlier waits in front of it.
const SCAN_AHEAD: usize = 1024;
/// Rows of a mask that are listed at a time.
const LIST_ROWS: usize = 256;

/// A run of rows, as they lie in a segment.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// The vectors.
    pub vectors: Vectors<'a>,
    /// `1 / |x|` of each row as [`crate::inv_norms_of`] computes it; read under COSINE only.
    pub inv_norms: &'a [f32],
    /// Bit `i` (of word `i / 64`) says that row `i` of this block may match; `None`: every row may.
    pub mask: Option<&'a [u64]>,
    /// The row number of row 0.
    pub first_row: u32,
}

/// The vectors of a block by type; dense ones are row-major.
#[derive(Debug, Clone, Copy)]
pub enum Vectors<'a> {
    /// Float vectors, `[rows, dim]`.
    Float(&'a [f32]),
    /// Float16 vectors, `[rows, dim]`, as bits.
    Half(&'a [u16]),
    /// BFloat16 vectors, `[rows, dim]`, as bits.
    BHalf(&'a [u16]),
    /// Int8 vectors, `[rows, dim]`.
    Int8(&'a [i8]),
    /// Binary vectors, `[rows, dim / 8]`.
    Binary(&'a [u8]),
    /// Sparse vectors: row `i` is the cell `bytes[offsets[i]..offsets[i + 1]]`.
    Sparse {
        /// `rows + 1` offsets.
        offsets: &'a [u32],
        /// All cells, one after the other.
        bytes: &'a [u8],
    },
}

impl<'a> Block<'a> {
    /// The block as blocks of at most `rows` rows (rounded up to whole words of the mask), in order.
    ///
    /// `dim` is that of the vectors; sparse ones need none.
    pub fn parts(&self, dim: usize, rows: usize) -> impl Iterator<Item = Block<'a>> {
        let (block, step) = (*self, rows.max(1).next_multiple_of(64));
        let total = block.vectors.rows(dim);
        (0..total).step_by(step).map(move |start| block.part(dim, start..total.min(start + step)))
    }

    /// Some rows of the block; the first is that of a word of the mask.
    fn part(&self, dim: usize, rows: std::ops::Range<usize>) -> Block<'a> {
        let Block { vectors, inv_norms, mask, first_row } = *self;
        let (start, end) = (rows.start, rows.end);
        let vectors = match vectors {
            Vectors::Float(values) => Vectors::Float(&values[start * dim..end * dim]),
            Vectors::Half(values) => Vectors::Half(&values[start * dim..end * dim]),
            Vectors::BHalf(values) => Vectors::BHalf(&values[start * dim..end * dim]),
            Vectors::Int8(values) => Vectors::Int8(&values[start * dim..end * dim]),
            Vectors::Binary(values) => {
                let width = dim / 8;
                Vectors::Binary(&values[start * width..end * width])
            }
            Vectors::Sparse { offsets, bytes } => {
                Vectors::Sparse { offsets: &offsets[start..=end], bytes }
            }
        };
        Block {
            vectors,
            // Not every type has them.
            inv_norms: inv_norms.get(rows).unwrap_or_default(),
            mask: mask.map(|mask| &mask[start / 64..]),
            first_row: first_row.wrapping_add(start as u32),
        }
    }
}

impl Vectors<'_> {
    /// Number of vectors, of `dim` components unless they are sparse.
    ///
    /// # Panics
    /// If the last one is cut short.
    fn rows(&self, dim: usize) -> usize {
        let (values, width) = match self {
            Vectors::Float(values) => (values.len(), dim),
            Vectors::Half(values) | Vectors::BHalf(values) => (values.len(), dim),
            Vectors::Int8(values) => (values.len(), dim),
            Vectors::Binary(values) => (values.len(), dim / 8),
            Vectors::Sparse { offsets, .. } => (offsets.len().saturating_sub(1), 1),
        };
        let rows = values / width.max(1);
        assert_eq!(values, rows * width, "whole rows");
        rows
    }
}

/// Offers every row of `block` that its mask admits to the collectors, one per query.
///
/// `tie` orders two row numbers of equal score, best first, usually by primary key. It is called for
/// rows of equal score only and must stay a consistent order over all blocks a collector sees.
///
/// # Panics
/// If `out.len()` is not the number of queries, if `block.vectors` is of another type or no
/// multiple of their dimension, if the mask has too few words, if offsets of sparse rows do not
/// ascend within their bytes, or, under COSINE, if `inv_norms` has too few values: all of these are
/// mistakes of the caller, none depends on a client's data.
///
/// # Cost
/// One query without a mask reads memory at about the speed of a plain loop; with a mask, and for
/// many queries, the cost follows the admitted rows, not the block.
pub fn scan<C: Collect>(
    queries: &Queries,
    block: &Block<'_>,
    out: &mut [C],
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    scan_on(kernel::isa(), queries, block, out, tie);
}

/// [`scan`] with the kernels of one instruction set.
pub(crate) fn scan_on<C: Collect>(
    isa: Isa,
    queries: &Queries,
    block: &Block<'_>,
    out: &mut [C],
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    assert_eq!(out.len(), queries.nq(), "one collector per query");
    let rows = rows_of(queries, block);
    assert!(block.mask.is_none_or(|m| m.len() >= rows.div_ceil(64)), "one mask bit per row");
    let cosine = queries.metric() == Metric::Cosine;
    assert!(!cosine || block.inv_norms.len() >= rows, "one inverse norm per row");
    let common = Common { queries, block, isa, rows, tie };
    match (&queries.form, block.vectors) {
        (Form::Float(floats), Vectors::Float(vectors)) => match queries.metric() {
            Metric::L2 => {
                scan_floats(&common, &FloatRows::<L2>::new(&common, floats, vectors), out)
            }
            Metric::Cosine => {
                scan_floats(&common, &FloatRows::<Cosine>::new(&common, floats, vectors), out);
            }
            _ => scan_floats(&common, &FloatRows::<Ip>::new(&common, floats, vectors), out),
        },
        (Form::Sparse(sparse), Vectors::Sparse { offsets, bytes }) => {
            scan_sparse(sparse, (offsets, bytes), (block.mask, block.first_row), out, tie);
        }
        (form, vectors) => {
            let narrow = Narrow::new(&common, form, vectors);
            match narrow.floats() {
                Some(floats) if out.len() > 1 => panel::scan(&common, floats, &narrow, out),
                _ => narrow::scan(&common, &narrow, out),
            }
        }
    }
}

/// Writes the distances of query `q` to rows of a block, which need not ascend.
///
/// The distance of a row is the one it has in a scan.
pub(crate) fn score_rows(
    queries: &Queries,
    block: &Block<'_>,
    q: usize,
    rows: &[u32],
    distances: &mut Vec<f32>,
) {
    distances.clear();
    distances.resize(rows.len(), 0.0);
    let tie = &|_: u32, _: u32| Ordering::Equal;
    let common = Common { queries, block, isa: kernel::isa(), rows: rows_of(queries, block), tie };
    match (&queries.form, block.vectors) {
        (Form::Float(floats), Vectors::Float(vectors)) => match queries.metric() {
            Metric::L2 => FloatRows::<L2>::new(&common, floats, vectors).score(q, rows, distances),
            Metric::Cosine => {
                FloatRows::<Cosine>::new(&common, floats, vectors).score(q, rows, distances);
            }
            _ => FloatRows::<Ip>::new(&common, floats, vectors).score(q, rows, distances),
        },
        (form, vectors) => Narrow::new(&common, form, vectors).score(q, rows, distances),
    }
}

/// Rows of a block.
pub(crate) fn rows_of(queries: &Queries, block: &Block<'_>) -> usize {
    block.vectors.rows(queries.dim())
}

/// Rows of floats under one metric, which are scored as they lie.
struct FloatRows<'a, M> {
    floats: &'a Floats,
    vectors: &'a [f32],
    inv_norms: &'a [f32],
    dim: usize,
    measure: std::marker::PhantomData<M>,
}

impl<'a, M: Measure> FloatRows<'a, M> {
    fn new(common: &Common<'a>, floats: &'a Floats, vectors: &'a [f32]) -> Self {
        let (inv_norms, dim) = (common.block.inv_norms, common.queries.dim());
        FloatRows { floats, vectors, inv_norms, dim, measure: std::marker::PhantomData }
    }

    /// The values of row `i` of the block.
    #[inline(always)]
    fn row(&self, i: usize) -> &'a [f32] {
        &self.vectors[i * self.dim..(i + 1) * self.dim]
    }

    /// Distances of query `q` to rows.
    fn score(&self, q: usize, rows: &[u32], out: &mut [f32]) {
        for (at, (&row, out)) in rows.iter().zip(out).enumerate() {
            if let Some(&ahead) = rows.get(at + SCORE_AHEAD) {
                kernel::prefetch(self.row(ahead as usize));
            }
            *out = self.distance(q, row);
        }
    }
}

impl<M: Measure> Source for FloatRows<'_, M> {
    #[inline(always)]
    fn distance(&self, q: usize, i: u32) -> f32 {
        let inv_norm = self.inv_norms.get(i as usize).copied().unwrap_or(0.0);
        M::distance(self.floats.vector(q), self.row(i as usize), inv_norm)
    }

    #[inline(always)]
    fn values<'s>(&'s self, lanes: &panel::Picks, _: &'s mut [f32]) -> panel::Rows<'s> {
        lanes.map(|i| self.row(i as usize))
    }

    #[inline(always)]
    fn ahead<'s>(&'s self, lanes: &panel::Picks, _: &panel::Rows<'s>) -> panel::Rows<'s> {
        lanes.map(|i| self.row(i as usize))
    }
}

/// The scan of floats, by rows or by panels.
fn scan_floats<M: Measure, C: Collect>(
    common: &Common<'_>,
    source: &FloatRows<'_, M>,
    out: &mut [C],
) {
    match out {
        [] => {}
        [top] => scan_one(common, source, top),
        _ => panel::scan(common, source.floats, source, out),
    }
}

/// The scan for one query: nothing in its loop but the comparison.
fn scan_one<M: Measure, C: Collect>(common: &Common<'_>, source: &FloatRows<'_, M>, top: &mut C) {
    let (block, tie) = (common.block, common.tie);
    if block.mask.is_none() {
        for i in 0..common.rows as u32 {
            top.offer(source.distance(0, i), block.first_row + i, tie);
        }
        return;
    }
    let distance = (SCAN_AHEAD / source.dim).clamp(1, LIST_ROWS);
    for_each_batch::<LIST_ROWS>(common.rows, block.mask, |picked, ahead| {
        let later = picked.iter().chain(ahead).skip(distance);
        let mut later = later.map(|&i| source.row(i as usize));
        for &i in picked {
            if let Some(row) = later.next() {
                kernel::prefetch(row);
            }
            top.offer(source.distance(0, i), block.first_row + i, tie);
        }
    });
}
