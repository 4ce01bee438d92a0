//! One pass over a block of rows for all queries of a search.

use std::cell::RefCell;
use std::cmp::Ordering;

use millstream_catalog::model::Metric;

use crate::kernel::{self, Isa, Lanes, PANEL_ROWS, RowStat};
use crate::queries::{Columns, Group, Queries};
use crate::score::{Cosine, Ip, L2, Measure};
use crate::topk::TopK;

/// A run of rows, as they lie in a segment.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// The vectors, `[rows, dim]`, row-major.
    pub vectors: &'a [f32],
    /// `1 / |x|` of each row as [`crate::inv_norms`] computes it; read under COSINE only.
    pub inv_norms: &'a [f32],
    /// Bit `i` (of word `i / 64`) says that row `i` of this block may match; `None`: every row may.
    pub mask: Option<&'a [u64]>,
    /// The row number of row 0.
    pub first_row: u32,
}

/// Offers every row of `block` that its mask admits to the collectors, one per query.
///
/// `tie` orders two row numbers of equal score, best first, usually by primary key. It is called for
/// rows of equal score only and must stay a consistent order over all blocks a collector sees.
///
/// # Panics
/// If `out.len()` is not the number of queries, if `block.vectors` is no multiple of their
/// dimension, if the mask has too few words, or, under COSINE, if `inv_norms` has too few values:
/// all of these are mistakes of the caller, none depends on a client's data.
///
/// # Cost
/// One query without a mask reads memory at about the speed of a plain loop; with a mask, and for
/// many queries, the cost follows the admitted rows, not the block.
pub fn scan(
    queries: &Queries,
    block: &Block<'_>,
    out: &mut [TopK],
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    scan_on(kernel::isa(), queries, block, out, tie);
}

/// [`scan`] with the kernels of one instruction set.
pub(crate) fn scan_on(
    isa: Isa,
    queries: &Queries,
    block: &Block<'_>,
    out: &mut [TopK],
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    let rows = block.vectors.len() / queries.dim();
    assert_eq!(out.len(), queries.nq(), "one collector per query");
    assert_eq!(block.vectors.len(), rows * queries.dim(), "whole rows");
    assert!(block.mask.is_none_or(|m| m.len() >= rows.div_ceil(64)), "one mask bit per row");
    let cosine = queries.metric() == Metric::Cosine;
    assert!(!cosine || block.inv_norms.len() >= rows, "one inverse norm per row");
    match queries.metric() {
        Metric::L2 => scan_metric::<L2>(isa, queries, block, out, tie),
        Metric::Ip => scan_metric::<Ip>(isa, queries, block, out, tie),
        Metric::Cosine => scan_metric::<Cosine>(isa, queries, block, out, tie),
    }
}

/// The scan under one metric, by rows or by panels.
fn scan_metric<M: Measure>(
    isa: Isa,
    queries: &Queries,
    block: &Block<'_>,
    out: &mut [TopK],
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    let rows = block.vectors.len() / queries.dim();
    match out {
        [] => {}
        [top] => scan_one::<M>(queries, block, rows, top, tie),
        _ => {
            let mut panels = Panels { queries, block, out, tie, isa };
            SCRATCH.with_borrow_mut(|scratch| panels.scan::<M>(rows, scratch));
        }
    }
}

/// The scan for one query: nothing in its loop but the comparison.
fn scan_one<M: Measure>(
    queries: &Queries,
    block: &Block<'_>,
    rows: usize,
    top: &mut TopK,
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    if block.mask.is_none() {
        for i in 0..rows {
            top.offer(distance::<M>(queries, block, 0, i), block.first_row + i as u32, tie);
        }
        return;
    }
    for_each_batch(rows, block.mask, |picked, ahead| {
        for (slot, &i) in picked.iter().enumerate() {
            if let Some(&next) = ahead.get(slot) {
                kernel::prefetch(row(queries, block, next));
            }
            top.offer(distance::<M>(queries, block, 0, i as usize), block.first_row + i, tie);
        }
    });
}

/// The values of row `i` of the block.
#[inline(always)]
fn row<'a>(queries: &Queries, block: &Block<'a>, i: u32) -> &'a [f32] {
    let dim = queries.dim();
    &block.vectors[i as usize * dim..(i as usize + 1) * dim]
}

/// Distance of query `q` to row `i` of the block.
#[inline(always)]
fn distance<M: Measure>(queries: &Queries, block: &Block<'_>, q: usize, i: usize) -> f32 {
    let dim = queries.dim();
    let row = &block.vectors[i * dim..(i + 1) * dim];
    let inv_norm = block.inv_norms.get(i).copied().unwrap_or(0.0);
    M::distance(queries.vector(q), row, inv_norm)
}

/// Calls `f` with every admitted row below `rows`, in ascending order.
#[inline(always)]
fn for_each_row(rows: usize, mask: Option<&[u64]>, mut f: impl FnMut(usize)) {
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

/// Calls `f` with every admitted row below `rows`, in batches of 32, the last one shorter.
///
/// The second argument are the rows of the batch after (empty at the end), to be prefetched.
#[inline(always)]
fn for_each_batch(rows: usize, mask: Option<&[u64]>, mut f: impl FnMut(&[u32], &[u32])) {
    let mut batch = [0_u32; PANEL_ROWS];
    let mut next = [0_u32; PANEL_ROWS];
    let (mut batch_len, mut next_len) = (0, 0);
    for_each_row(rows, mask, |i| {
        next[next_len] = i as u32;
        next_len += 1;
        if next_len == PANEL_ROWS {
            if batch_len > 0 {
                f(&batch, &next);
            }
            (batch, batch_len, next_len) = (next, PANEL_ROWS, 0);
        }
    });
    if batch_len > 0 {
        f(&batch, &next[..next_len]);
    }
    if next_len > 0 {
        f(&next[..next_len], &[]);
    }
}

thread_local! {
    /// The panel of the scan that runs on this thread: as large as 32 rows, kept between scans.
    static SCRATCH: RefCell<Vec<Lanes>> = const { RefCell::new(Vec::new()) };
}

/// What is constant during a scan by panels.
struct Panels<'a> {
    queries: &'a Queries,
    block: &'a Block<'a>,
    out: &'a mut [TopK],
    tie: &'a dyn Fn(u32, u32) -> Ordering,
    isa: Isa,
}

impl Panels<'_> {
    /// Gathers admitted rows into panels, and compares each panel with every group of queries.
    fn scan<M: Measure>(&mut self, rows: usize, scratch: &mut Vec<Lanes>) {
        scratch.resize(self.queries.dim(), Lanes::ZERO);
        let mut cuts: Vec<Cut> = self.queries.groups().iter().map(|g| self.cut(g)).collect();
        let mask = self.block.mask;
        for_each_batch(rows, mask, |picked, ahead| {
            // The lanes left over repeat an admitted row; their bits are cleared.
            let mut lanes = [picked[0]; PANEL_ROWS];
            lanes[..picked.len()].copy_from_slice(picked);
            let mut lanes_ahead = lanes;
            lanes_ahead[..ahead.len()].copy_from_slice(ahead);
            self.panel::<M>(&lanes, picked.len(), &lanes_ahead, scratch, &mut cuts);
        });
    }

    /// Compares `count` picked rows with all queries, and scores those that may enter a result.
    fn panel<M: Measure>(
        &mut self,
        picked: &[u32; PANEL_ROWS],
        count: usize,
        ahead: &[u32; PANEL_ROWS],
        panel: &mut [Lanes],
        cuts: &mut [Cut],
    ) {
        let queries = self.queries;
        let stat = match queries.metric() {
            Metric::L2 => RowStat::Squares,
            Metric::Ip => RowStat::Magnitudes,
            Metric::Cosine => RowStat::None,
        };
        let values = |lanes: &[u32; PANEL_ROWS]| lanes.map(|i| row(queries, self.block, i));
        let mut sizes = kernel::pack(self.isa, &values(picked), &values(ahead), panel, stat);
        self.size_rows(picked, &mut sizes);
        let live = if count == PANEL_ROWS { u32::MAX } else { (1 << count) - 1 };
        for (group, cut) in queries.groups().iter().zip(cuts) {
            let admitted = match &group.columns {
                Columns::Four(columns) => {
                    let (weight, limit) = (first_four(&cut.weight), first_four(&cut.limit));
                    widen(kernel::admit(self.isa, columns, panel, &sizes, &weight, &limit))
                }
                Columns::Eight(columns) => {
                    kernel::admit(self.isa, columns, panel, &sizes, &cut.weight, &cut.limit)
                }
            };
            let mut any = false;
            for (q, bits) in admitted.iter().enumerate().take(group.len) {
                any |= bits & live != 0;
                self.score::<M>(group.first + q, bits & live, picked);
            }
            if any {
                *cut = self.cut(group);
            }
        }
    }

    /// Scores the rows of a panel that `bits` names, and offers them to the query's collector.
    fn score<M: Measure>(&mut self, q: usize, mut bits: u32, picked: &[u32; PANEL_ROWS]) {
        while bits != 0 {
            let i = picked[bits.trailing_zeros() as usize];
            let distance = distance::<M>(self.queries, self.block, q, i as usize);
            self.out[q].offer(distance, self.block.first_row + i, self.tie);
            bits &= bits - 1;
        }
    }

    /// Turns the sums of a panel into the row sizes of the admission test; see [`Cut`].
    ///
    /// NaN where a sum came near overflow: the test then admits the row.
    fn size_rows(&self, picked: &[u32; PANEL_ROWS], sizes: &mut Lanes) {
        match self.queries.metric() {
            Metric::L2 => {
                sizes.0.iter_mut().for_each(|s| *s = if *s < SAFE { *s } else { f32::NAN })
            }
            Metric::Ip => {
                let limit = SAFE / self.queries.magnitude().max(1.0);
                sizes.0.iter_mut().for_each(|s| *s = if *s < limit { *s } else { f32::NAN });
            }
            Metric::Cosine => {
                for (size, &i) in sizes.0.iter_mut().zip(picked) {
                    let inv_norm = self.block.inv_norms[i as usize];
                    let norm = 1.0 / inv_norm;
                    // A zero vector has an inverse norm of 0 and an infinite size.
                    *size = if norm < SAFE || inv_norm == 0.0 { norm } else { f32::NAN };
                }
            }
        }
    }

    /// The admission test of a group at its collectors' present bounds.
    fn cut(&self, group: &Group) -> Cut {
        let mut cut = Cut { weight: [0.0; 8], limit: [f32::INFINITY; 8] };
        for q in 0..group.len {
            let bound = self.out[group.first + q].bound();
            let metric = self.queries.metric();
            (cut.weight[q], cut.limit[q]) =
                admission(metric, self.queries.dim(), bound, group.size[q]);
        }
        cut
    }
}

/// Far enough from `f32::MAX` for products and sums of such values to stay finite.
const SAFE: f32 = 1e37;

/// The admission test of a group of queries: a row is dropped only if
/// `product + weight[q] * size(row) < limit[q]`, where `product` is the panel kernel's inner product.
///
/// Lanes beyond the group's queries have an infinite limit and admit nothing.
struct Cut {
    weight: [f32; 8],
    limit: [f32; 8],
}

/// Weight and limit of one query whose collector has the bound `bound`.
///
/// With u = 2^-24, a sum of `dim` products computed in any order, with or without fused operations,
/// differs from the exact one by at most about `dim * u * sum |q_i * x_i|`, plus `dim` roundings of
/// the smallest numbers. Panel kernel and score err by that much each. The factors below are about
/// twice what is needed, which also covers the few roundings of the test itself.
///
/// * IP: the row's size is `sum |x_i|`, and `sum |q_i * x_i| <= max |q_i| * size`.
/// * COSINE: the size is |x|; |q| is 1; the score is `product / size`.
/// * L2: the size is `|x|^2`; the distance is `|q|^2 + |x|^2 - 2 * product`, and every intermediate
///   value is at most twice `|q|^2 + |x|^2`.
fn admission(metric: Metric, dim: usize, bound: f32, query_size: f32) -> (f32, f32) {
    const UNIT: f32 = 1.0 / 16_777_216.0;
    /// More than the error of underflow in sums of any permitted dimension.
    const TINY: f32 = 1e-37;
    let steps = dim as f32 + 16.0;
    match metric {
        Metric::Ip => (4.0 * steps * UNIT * query_size + TINY, -bound - TINY),
        Metric::Cosine => (bound + 4.0 * steps * UNIT, -TINY),
        Metric::L2 if query_size < SAFE => {
            let shrink = 1.0 - 8.0 * steps * UNIT;
            (-0.5 * shrink, 0.5 * (shrink * query_size - bound) - TINY)
        }
        Metric::L2 => (f32::NAN, f32::NAN),
    }
}

/// The first half of eight lanes.
fn first_four(lanes: &[f32; 8]) -> [f32; 4] {
    [lanes[0], lanes[1], lanes[2], lanes[3]]
}

/// Four results as eight.
fn widen(bits: [u32; 4]) -> [u32; 8] {
    [bits[0], bits[1], bits[2], bits[3], 0, 0, 0, 0]
}
