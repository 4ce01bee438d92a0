//! Centroids, the vectors that are compared with them, and the nearest one of each.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering as Memory};

use millstream_catalog::model::{DataType, Metric};
use parking_lot::Mutex;

use super::IvfError;
use crate::graph::source::Source;
use crate::queries::{Form, Queries};
use crate::scan::{Block, Vectors, scan};
use crate::topk::Collect;

/// Rows that a thread compares at a time.
const PART_ROWS: usize = 256;

/// One vector a list, row-major.
#[derive(Debug, Clone)]
pub(crate) enum Centroids {
    Numbers(Vec<f32>),
    Bits(Vec<u8>),
}

impl Centroids {
    /// The centroids as rows to scan.
    pub(crate) fn block(&self) -> Block<'_> {
        let vectors = match self {
            Centroids::Numbers(values) => Vectors::Float(values),
            Centroids::Bits(bytes) => Vectors::Binary(bytes),
        };
        Block { vectors, inv_norms: &[], mask: None, first_row: 0 }
    }
}

/// The metric of comparisons with centroids, when rows are compared under `metric`.
///
/// Vectors are of unit length under COSINE, where the nearest is the most similar.
pub(crate) fn coarse_metric(metric: Metric) -> Metric {
    if metric == Metric::Cosine { Metric::L2 } else { metric }
}

/// Some of the queries of a search, to be compared with centroids.
pub(crate) fn coarse_queries(queries: &Queries, some: Range<usize>) -> Queries {
    let (metric, dim) = (coarse_metric(queries.metric()), queries.dim());
    let coarse = match &queries.form {
        Form::Float(floats) | Form::Half(floats) | Form::BHalf(floats) => {
            let values: Vec<f32> = some.flat_map(|q| floats.vector(q)).copied().collect();
            Queries::new(metric, dim, &values)
        }
        Form::Int8(whole) => {
            let vector = |q: usize| {
                let cosine = queries.metric() == Metric::Cosine;
                let scale = if cosine { whole.inv_norms[q] } else { 1.0 };
                let values = &whole.values[q * dim..(q + 1) * dim];
                values.iter().map(move |&x| f32::from(x) * scale)
            };
            let values: Vec<f32> = some.flat_map(vector).collect();
            Queries::new(metric, dim, &values)
        }
        Form::Binary(bytes) => {
            let bytes = &bytes[some.start * dim / 8..some.end * dim / 8];
            Queries::new_typed(metric, DataType::BinaryVector, dim, bytes)
        }
        Form::Sparse(_) => Queries::new(Metric::L2, 1, &[]),
    };
    coarse.expect("queries that were made before")
}

/// Rows as k-means takes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Points<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) rows: usize,
}

impl<'a> Points<'a> {
    /// The rows of Binary vectors; none of other types.
    pub(crate) fn bits(&self) -> Option<&'a [u8]> {
        match self.source.vectors {
            Vectors::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Bytes of a Binary vector.
    pub(crate) fn width(&self) -> usize {
        self.source.dim / 8
    }

    /// Some rows, to be compared with centroids; `values` is memory.
    fn queries(&self, rows: Range<usize>, values: &mut Vec<f32>) -> Queries {
        let Source { dim, metric, .. } = self.source;
        let queries = match self.bits() {
            Some(bytes) => {
                let bytes = &bytes[rows.start * self.width()..rows.end * self.width()];
                Queries::new_typed(metric, DataType::BinaryVector, dim, bytes)
            }
            None => {
                values.resize(rows.len() * dim, 0.0);
                for (row, out) in rows.zip(values.chunks_mut(dim)) {
                    self.source.row(row, out);
                }
                // Also under IP: a row belongs to what it is like, not to what is longest.
                Queries::new(Metric::L2, dim, values)
            }
        };
        queries.expect("rows of a type and a metric that were checked")
    }
}

/// The nearest centroid of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nearest {
    pub(crate) distance: f32,
    pub(crate) list: u32,
}

impl Nearest {
    /// Before any centroid was compared.
    pub(crate) const NONE: Nearest = Nearest { distance: f32::INFINITY, list: 0 };
}

impl Collect for Nearest {
    #[inline(always)]
    fn bound(&self) -> f32 {
        self.distance
    }

    #[inline(always)]
    fn offer(&mut self, distance: f32, list: u32, _: &dyn Fn(u32, u32) -> Ordering) {
        // Centroids come in the order of their numbers, so the first of equals stays.
        if distance < self.distance {
            *self = Nearest { distance, list };
        }
    }
}

/// The threads of a build, and whether it goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crew<'a> {
    pub(crate) threads: usize,
    pub(crate) cancel: &'a AtomicBool,
}

impl Crew<'_> {
    /// # Errors
    /// [`IvfError::Cancelled`] if it does not.
    pub(crate) fn check(&self) -> Result<(), IvfError> {
        if self.cancel.load(Memory::Relaxed) { Err(IvfError::Cancelled) } else { Ok(()) }
    }

    /// Calls `f` with every part of `values`, of `len` values each but the last, and with the number
    /// of its first value; `memory` makes what a thread keeps.
    ///
    /// # Errors
    /// [`IvfError::Cancelled`], with parts left out.
    pub(crate) fn each_part<T: Send, M>(
        &self,
        values: &mut [T],
        len: usize,
        memory: impl Fn() -> M + Sync,
        f: impl Fn(usize, &mut [T], &mut M) + Sync,
    ) -> Result<(), IvfError> {
        let parts = Mutex::new(values.chunks_mut(len).enumerate());
        let work = || {
            let mut memory = memory();
            while self.check().is_ok() {
                let Some((at, part)) = parts.lock().next() else { return };
                f(at * len, part, &mut memory);
            }
        };
        std::thread::scope(|scope| {
            (1..self.threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        self.check()
    }
}

/// Finds the nearest centroid of each row; `done` hears how many rows more have theirs.
///
/// # Errors
/// [`IvfError::Cancelled`].
pub(crate) fn assign(
    points: &Points<'_>,
    centroids: &Centroids,
    crew: Crew<'_>,
    done: impl Fn(usize) + Sync,
) -> Result<Vec<Nearest>, IvfError> {
    let mut nearest = vec![Nearest::NONE; points.rows];
    let block = centroids.block();
    crew.each_part(&mut nearest, PART_ROWS, Vec::new, |start, out, values| {
        let queries = points.queries(start..start + out.len(), values);
        scan(&queries, &block, out, &|a, b| a.cmp(&b));
        done(out.len());
    })?;
    Ok(nearest)
}
