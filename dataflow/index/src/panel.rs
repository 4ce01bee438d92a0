//! Many queries at once: panels of 32 rows meet groups of eight queries.
//!
//! The panel kernel only decides which rows may enter a result; each of these is scored by its
//! [`Source`] as in a scan for one query.

use std::cell::RefCell;
use std::cmp::Ordering;

use millstream_catalog::model::Metric;

use crate::floats::{Columns, Floats, Group};
use crate::kernel::{self, Isa, Lanes, PANEL_ROWS, RowStat};
use crate::queries::Queries;
use crate::rows::for_each_batch;
use crate::scan::Block;
use crate::topk::Collect;

/// What is constant during a scan.
pub(crate) struct Common<'a> {
    pub(crate) queries: &'a Queries,
    pub(crate) block: &'a Block<'a>,
    pub(crate) isa: Isa,
    /// Rows of the block.
    pub(crate) rows: usize,
    pub(crate) tie: &'a dyn Fn(u32, u32) -> Ordering,
}

/// The rows of a panel by number within the block.
pub(crate) type Picks = [u32; PANEL_ROWS];
/// The values of the rows of a panel.
pub(crate) type Rows<'s> = [&'s [f32]; PANEL_ROWS];

/// Rows of one type, as panels are made of them.
pub(crate) trait Source {
    /// The distance of query `q` to row `i` of the block.
    fn distance(&self, q: usize, i: u32) -> f32;

    /// The values of rows, exactly; `wide` has room for 32 rows of them.
    fn values<'s>(&'s self, lanes: &Picks, wide: &'s mut [f32]) -> Rows<'s>;

    /// The rows of the panel after `values`, as far as they should be prefetched.
    fn ahead<'s>(&'s self, lanes: &Picks, values: &Rows<'s>) -> Rows<'s>;
}

/// Memory of a scan that is kept for the next one on the same thread.
struct Scratch {
    /// As large as 32 rows.
    panel: Vec<Lanes>,
    /// Rows of a narrower type, as floats: as large as 32 rows, or empty.
    wide: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch { panel: Vec::new(), wide: Vec::new() })
    };
}

/// Gathers admitted rows into panels, and compares each panel with every group of queries.
pub(crate) fn scan<S: Source, C: Collect>(
    common: &Common<'_>,
    floats: &Floats,
    source: &S,
    out: &mut [C],
) {
    let mut panels = Panels { common, floats, source, out };
    let mut cuts: Vec<Cut> = floats.groups.iter().map(|g| panels.cut(g)).collect();
    SCRATCH.with_borrow_mut(|scratch| {
        let dim = common.queries.dim();
        scratch.panel.resize(dim, Lanes::ZERO);
        scratch.wide.resize(dim * PANEL_ROWS, 0.0);
        for_each_batch::<PANEL_ROWS>(common.rows, common.block.mask, |picked, ahead| {
            // The lanes left over repeat an admitted row; their bits are cleared.
            let mut lanes = [picked[0]; PANEL_ROWS];
            lanes[..picked.len()].copy_from_slice(picked);
            let mut lanes_ahead = lanes;
            lanes_ahead[..ahead.len()].copy_from_slice(ahead);
            panels.panel(&lanes, picked.len(), &lanes_ahead, scratch, &mut cuts);
        });
    });
}

/// A scan by panels.
struct Panels<'a, S, C> {
    common: &'a Common<'a>,
    floats: &'a Floats,
    source: &'a S,
    out: &'a mut [C],
}

impl<S: Source, C: Collect> Panels<'_, S, C> {
    /// Compares `count` picked rows with all queries, and scores those that may enter a result.
    fn panel(
        &mut self,
        picked: &Picks,
        count: usize,
        ahead: &Picks,
        scratch: &mut Scratch,
        cuts: &mut [Cut],
    ) {
        let (isa, panel) = (self.common.isa, &mut scratch.panel[..]);
        let stat = match self.common.queries.metric() {
            Metric::L2 => RowStat::Squares,
            Metric::Cosine => RowStat::None,
            _ => RowStat::Magnitudes,
        };
        let values = self.source.values(picked, &mut scratch.wide);
        let ahead = self.source.ahead(ahead, &values);
        let mut sizes = kernel::pack(isa, &values, &ahead, panel, stat);
        self.size_rows(picked, &mut sizes);
        let live = if count == PANEL_ROWS { u32::MAX } else { (1 << count) - 1 };
        for (group, cut) in self.floats.groups.iter().zip(cuts) {
            let admitted = match &group.columns {
                Columns::Four(columns) => {
                    let (weight, limit) = (first_four(&cut.weight), first_four(&cut.limit));
                    widen(kernel::admit(isa, columns, panel, &sizes, &weight, &limit))
                }
                Columns::Eight(columns) => {
                    kernel::admit(isa, columns, panel, &sizes, &cut.weight, &cut.limit)
                }
            };
            let mut any = false;
            for (q, bits) in admitted.iter().enumerate().take(group.len) {
                any |= bits & live != 0;
                self.score(group.first + q, bits & live, picked);
            }
            if any {
                *cut = self.cut(group);
            }
        }
    }

    /// Scores the rows of a panel that `bits` names, and offers them to the query's collector.
    fn score(&mut self, q: usize, mut bits: u32, picked: &Picks) {
        while bits != 0 {
            let i = picked[bits.trailing_zeros() as usize];
            let distance = self.source.distance(q, i);
            self.out[q].offer(distance, self.common.block.first_row + i, self.common.tie);
            bits &= bits - 1;
        }
    }

    /// Turns the sums of a panel into the row sizes of the admission test; see [`Cut`].
    ///
    /// NaN where a sum came near overflow: the test then admits the row.
    fn size_rows(&self, picked: &[u32; PANEL_ROWS], sizes: &mut Lanes) {
        match self.common.queries.metric() {
            Metric::L2 => {
                sizes.0.iter_mut().for_each(|s| *s = if *s < SAFE { *s } else { f32::NAN })
            }
            Metric::Cosine => {
                for (size, &i) in sizes.0.iter_mut().zip(picked) {
                    let inv_norm = self.common.block.inv_norms[i as usize];
                    let norm = 1.0 / inv_norm;
                    // A zero vector has an inverse norm of 0 and an infinite size.
                    *size = if norm < SAFE || inv_norm == 0.0 { norm } else { f32::NAN };
                }
            }
            _ => {
                let limit = SAFE / self.floats.magnitude.max(1.0);
                sizes.0.iter_mut().for_each(|s| *s = if *s < limit { *s } else { f32::NAN });
            }
        }
    }

    /// The admission test of a group at its collectors' present bounds.
    fn cut(&self, group: &Group) -> Cut {
        let mut cut = Cut { weight: [0.0; 8], limit: [f32::INFINITY; 8] };
        for q in 0..group.len {
            let bound = self.out[group.first + q].bound();
            let metric = self.common.queries.metric();
            (cut.weight[q], cut.limit[q]) =
                admission(metric, self.common.queries.dim(), bound, group.size[q]);
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
        Metric::Cosine => (bound + 4.0 * steps * UNIT, -TINY),
        Metric::L2 if query_size < SAFE => {
            let shrink = 1.0 - 8.0 * steps * UNIT;
            (-0.5 * shrink, 0.5 * (shrink * query_size - bound) - TINY)
        }
        Metric::L2 => (f32::NAN, f32::NAN),
        _ => (4.0 * steps * UNIT * query_size + TINY, -bound - TINY),
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
