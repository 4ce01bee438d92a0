//! Rows of types narrower than f32: Float16, BFloat16, Int8 and Binary vectors.
//!
//! They are compared as they lie, up to 64 rows at a time, with kernels of our own: halves are
//! widened to f32 in registers, products of whole numbers are summed exactly, bits are counted.

use millstream_catalog::model::Metric;

use crate::floats::Floats;
use crate::kernel::{self, BitOp, Isa};
use crate::panel::{Common, Picks, Rows, Source};
use crate::queries::{Form, Int8Queries};
use crate::rows::{BATCH_ROWS, Picked, for_each_batch};
use crate::scan::Vectors;
use crate::score::{bf16_to_f32, settle};
use crate::topk::Collect;

/// Batches between the one that is compared and the one that is prefetched.
const AHEAD_BATCHES: usize = 4;

/// Queries and the rows of one block.
pub(crate) struct Narrow<'a> {
    pair: Pair<'a>,
    metric: Metric,
    /// Values of a row: components, or bytes of Binary vectors.
    width: usize,
    inv_norms: &'a [f32],
    isa: Isa,
}

/// Queries and rows of one type.
enum Pair<'a> {
    Half(&'a Floats, &'a [u16]),
    BHalf(&'a Floats, &'a [u16]),
    Int8(&'a Int8Queries, &'a [i8]),
    Binary(&'a [u8], &'a [u8]),
}

/// Distances of one query to the rows of a batch.
type Distances = [f32; BATCH_ROWS];

/// Runs a kernel over the picked rows, which lie side by side or not.
macro_rules! over_rows {
    ($picked:expr, $values:expr, $width:expr, $rows:ident => $kernel:expr) => {
        match $picked {
            Picked::Run(run) => {
                let $rows = $values[run.start * $width..run.end * $width].chunks_exact($width);
                $kernel
            }
            Picked::List(list) => {
                let $rows = list.iter().map(|&i| &$values[i as usize * $width..][..$width]);
                $kernel
            }
        }
    };
}

impl<'a> Narrow<'a> {
    /// # Panics
    /// If queries and rows are of different types.
    pub(crate) fn new(common: &Common<'a>, form: &'a Form, vectors: Vectors<'a>) -> Narrow<'a> {
        let (pair, width) = match (form, vectors) {
            (Form::Half(floats), Vectors::Half(rows)) => (Pair::Half(floats, rows), 1),
            (Form::BHalf(floats), Vectors::BHalf(rows)) => (Pair::BHalf(floats, rows), 1),
            (Form::Int8(queries), Vectors::Int8(rows)) => (Pair::Int8(queries, rows), 1),
            (Form::Binary(queries), Vectors::Binary(rows)) => (Pair::Binary(queries, rows), 8),
            _ => panic!("queries of {:?} and rows of another type", common.queries.data_type()),
        };
        Narrow {
            pair,
            metric: common.queries.metric(),
            width: common.queries.dim() / width,
            inv_norms: common.block.inv_norms,
            isa: common.isa,
        }
    }

    /// The form of the queries for panels, if the type has one.
    pub(crate) fn floats(&self) -> Option<&'a Floats> {
        match self.pair {
            Pair::Half(floats, _) | Pair::BHalf(floats, _) => Some(floats),
            Pair::Int8(queries, _) => Some(&queries.floats),
            Pair::Binary(..) => None,
        }
    }

    /// Distances of query `q` to the picked rows; NaN for a row that is no hit, and maybe for one
    /// that is farther than `bound`.
    fn distances(&self, q: usize, picked: &Picked<'_>, bound: f32, out: &mut Distances) {
        match self.pair {
            Pair::Half(floats, rows) => {
                self.products::<false>(floats.vector(q), rows, picked, out);
                self.settle(1.0, picked, out);
            }
            Pair::BHalf(floats, rows) => {
                self.products::<true>(floats.vector(q), rows, picked, out);
                self.settle(1.0, picked, out);
            }
            Pair::Int8(queries, rows) => {
                let query = &queries.values[q * self.width..(q + 1) * self.width];
                let mut sums = [0_i32; BATCH_ROWS];
                over_rows!(picked, rows, self.width, rows => match self.metric {
                    Metric::L2 => kernel::int8s::<true>(self.isa, query, rows, &mut sums),
                    _ => kernel::int8s::<false>(self.isa, query, rows, &mut sums),
                });
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = sum as f32;
                }
                self.settle(queries.inv_norms[q], picked, out);
            }
            Pair::Binary(queries, rows) => {
                let query = &queries[q * self.width..(q + 1) * self.width];
                let op = match self.metric {
                    Metric::Jaccard => BitOp::Jaccard,
                    Metric::Substructure => BitOp::QueryWithin,
                    Metric::Superstructure => BitOp::RowWithin,
                    _ => BitOp::Differ,
                };
                let out = &mut out[..picked.len()];
                over_rows!(picked, rows, self.width, rows => {
                    kernel::compare_bits(self.isa, op, query, rows, bound, out);
                });
            }
        }
    }

    /// Distances of query `q` to rows.
    pub(crate) fn score(&self, q: usize, rows: &[u32], out: &mut [f32]) {
        let mut distances = [0.0; BATCH_ROWS];
        for (rows, out) in rows.chunks(BATCH_ROWS).zip(out.chunks_mut(BATCH_ROWS)) {
            self.prefetch(rows);
            self.distances(q, &Picked::List(rows), f32::INFINITY, &mut distances);
            out.copy_from_slice(&distances[..rows.len()]);
        }
    }

    /// Sums of products or squared differences of halves.
    fn products<const BRAIN: bool>(
        &self,
        query: &[f32],
        rows: &[u16],
        picked: &Picked<'_>,
        out: &mut Distances,
    ) {
        over_rows!(picked, rows, self.width, rows => match self.metric {
            Metric::L2 => kernel::halves::<BRAIN, true>(self.isa, query, rows, out),
            _ => kernel::halves::<BRAIN, false>(self.isa, query, rows, out),
        });
    }

    /// Turns sums into distances; `scale` is the query's inverse norm, or 1 if its length is 1.
    fn settle(&self, scale: f32, picked: &Picked<'_>, out: &mut Distances) {
        let out = &mut out[..picked.len()];
        match self.metric {
            Metric::L2 => out.iter_mut().for_each(|x| *x = settle(*x)),
            Metric::Cosine => {
                for (at, x) in out.iter_mut().enumerate() {
                    let inv_norm = self.inv_norms[picked.row(at) as usize];
                    *x = settle((-*x * scale * inv_norm).clamp(-1.0, 1.0));
                }
            }
            _ => out.iter_mut().for_each(|x| *x = settle(-*x)),
        }
    }

    /// Asks the CPU for a batch of rows side by side, if they are so narrow that the CPU's own
    /// prefetcher, which starts anew in every page, falls behind.
    fn prefetch_run(&self, start: usize, rows: usize) {
        if let Pair::Binary(_, values) = self.pair
            && start < rows
        {
            let end = (start + BATCH_ROWS).min(rows);
            kernel::prefetch(&values[start * self.width..end * self.width]);
        }
    }

    /// Asks the CPU for the rows of a batch.
    fn prefetch(&self, rows: &[u32]) {
        let width = self.width;
        let at = |&i: &u32| i as usize * width..(i as usize + 1) * width;
        match self.pair {
            Pair::Half(_, values) | Pair::BHalf(_, values) => {
                rows.iter().for_each(|i| kernel::prefetch(&values[at(i)]));
            }
            Pair::Int8(_, values) => rows.iter().for_each(|i| kernel::prefetch(&values[at(i)])),
            Pair::Binary(_, values) => rows.iter().for_each(|i| kernel::prefetch(&values[at(i)])),
        }
    }
}

impl Source for Narrow<'_> {
    fn distance(&self, q: usize, i: u32) -> f32 {
        let mut out = [0.0; BATCH_ROWS];
        self.distances(q, &Picked::List(&[i]), f32::INFINITY, &mut out);
        out[0]
    }

    fn values<'s>(&'s self, lanes: &Picks, wide: &'s mut [f32]) -> Rows<'s> {
        for (row, &i) in wide.chunks_exact_mut(self.width).zip(lanes) {
            let at = i as usize * self.width..(i as usize + 1) * self.width;
            match self.pair {
                Pair::Half(_, values) => kernel::widen_half(self.isa, &values[at], row),
                Pair::BHalf(_, values) => widen(&values[at], row, bf16_to_f32),
                Pair::Int8(_, values) => widen(&values[at], row, f32::from),
                Pair::Binary(..) => {}
            }
        }
        let wide = &*wide;
        std::array::from_fn(|lane| &wide[lane * self.width..][..self.width])
    }

    fn ahead<'s>(&'s self, lanes: &Picks, values: &Rows<'s>) -> Rows<'s> {
        self.prefetch(lanes);
        *values
    }
}

/// The values of a row of a type that the compiler widens well.
fn widen<T: Copy>(row: &[T], out: &mut [f32], value: impl Fn(T) -> f32) {
    for (out, &x) in out.iter_mut().zip(row) {
        *out = value(x);
    }
}

/// Compares batches of admitted rows with one query after the other, while they are in the cache.
pub(crate) fn scan<C: Collect>(common: &Common<'_>, narrow: &Narrow<'_>, out: &mut [C]) {
    let mut distances = [0.0; BATCH_ROWS];
    let mut batch = |picked: Picked<'_>| {
        for (q, top) in out.iter_mut().enumerate() {
            narrow.distances(q, &picked, top.bound(), &mut distances);
            offer(common, &picked, &distances, top);
        }
    };
    if common.block.mask.is_none() {
        for start in (0..common.rows).step_by(BATCH_ROWS) {
            narrow.prefetch_run(start + AHEAD_BATCHES * BATCH_ROWS, common.rows);
            batch(Picked::Run(start..(start + BATCH_ROWS).min(common.rows)));
        }
        return;
    }
    for_each_batch::<BATCH_ROWS>(common.rows, common.block.mask, |picked, ahead| {
        narrow.prefetch(ahead);
        batch(Picked::List(picked));
    });
}

/// Offers the rows of a batch to a collector; most batches have none that is near enough.
#[inline(always)]
fn offer<C: Collect>(common: &Common<'_>, picked: &Picked<'_>, distances: &Distances, top: &mut C) {
    let bound = top.bound();
    if !distances.iter().fold(false, |any, &distance| any | (distance <= bound)) {
        return;
    }
    for (at, &distance) in distances.iter().enumerate().take(picked.len()) {
        if distance <= top.bound() {
            top.offer(distance, common.block.first_row + picked.row(at), common.tie);
        }
    }
}
