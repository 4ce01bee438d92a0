//! The rows a graph is built of: their values, their twins, and the levels they have.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use millstream_catalog::model::{DataType, Metric};

use super::codes::{CodeQuery, Codes, Scale, stride_of};
use super::layout::{LEVELS_MAX, ROWS_MAX};
use super::{DIM_MAX, GraphError, GraphParams, M_MAX, M_MIN};
use crate::scan::Vectors;
use crate::score::{Ip, L2, Measure, bf16_to_f32, f16_to_f32};

/// Rows that are compared with all to see whether codes are too coarse.
const COARSE_SAMPLES: usize = 16;
/// Fewer rows are scanned anyway.
const COARSE_ROWS_MIN: usize = 1000;

/// Vectors as [`super::GraphBuilder::new`] takes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) vectors: Vectors<'a>,
    pub(crate) dim: usize,
    pub(crate) inv_norms: &'a [f32],
    pub(crate) metric: Metric,
}

impl Source<'_> {
    /// The number of rows.
    ///
    /// # Errors
    /// What [`super::GraphBuilder::new`] says.
    pub(crate) fn check(&self, params: GraphParams) -> Result<usize, GraphError> {
        let (data_type, values) = match self.vectors {
            Vectors::Float(values) => (DataType::FloatVector, values.len()),
            Vectors::Half(values) => (DataType::Float16Vector, values.len()),
            Vectors::BHalf(values) => (DataType::BFloat16Vector, values.len()),
            Vectors::Int8(values) => (DataType::Int8Vector, values.len()),
            Vectors::Binary(_) => (DataType::BinaryVector, 0),
            Vectors::Sparse { .. } => (DataType::SparseFloatVector, 0),
        };
        let numbers = !matches!(data_type, DataType::BinaryVector | DataType::SparseFloatVector);
        if !numbers || !matches!(self.metric, Metric::L2 | Metric::Ip | Metric::Cosine) {
            return Err(GraphError::Vectors { data_type, metric: self.metric });
        }
        let rows = values / self.dim.max(1);
        let bounds = [
            ("dim", self.dim, 1, DIM_MAX),
            ("M", params.m, M_MIN, M_MAX),
            ("efConstruction", params.ef_construction, 1, i32::MAX as usize),
            ("number of rows", rows, 0, ROWS_MAX),
        ];
        for (name, value, least, greatest) in bounds {
            if value < least || value > greatest {
                return Err(GraphError::Param { name, value, least, greatest });
            }
        }
        assert_eq!(values, rows * self.dim, "whole rows");
        let cosine = self.metric == Metric::Cosine;
        assert!(!cosine || self.inv_norms.len() >= rows, "one inverse norm per row");
        Ok(rows)
    }

    /// Writes the values of row `i`: of unit length under COSINE.
    pub(crate) fn row(&self, i: usize, out: &mut [f32]) {
        let at = i * self.dim..(i + 1) * self.dim;
        match self.vectors {
            Vectors::Float(values) => out.copy_from_slice(&values[at]),
            Vectors::Half(values) => widen(&values[at], out, f16_to_f32),
            Vectors::BHalf(values) => widen(&values[at], out, bf16_to_f32),
            Vectors::Int8(values) => widen(&values[at], out, f32::from),
            Vectors::Binary(_) | Vectors::Sparse { .. } => {}
        }
        if self.metric == Metric::Cosine {
            let inv_norm = self.inv_norms[i];
            out.iter_mut().for_each(|x| *x *= inv_norm);
        }
    }

    /// Whether the rows nearest to some rows are lost among those that are near by their codes, of
    /// which code `i` is that of row `row_of(i)`.
    pub(crate) fn is_coarse(
        &self,
        scale: &Scale,
        codes: &Codes<'_>,
        rows: usize,
        row_of: impl Fn(usize) -> usize,
    ) -> bool {
        if rows < COARSE_ROWS_MIN {
            return false;
        }
        let (mut query, mut row) = (vec![0.0; self.dim], vec![0.0; self.dim]);
        let (mut coded, mut scratch) = (CodeQuery::default(), [0.0; 1]);
        coded.resize(stride_of(self.dim));
        let (mut near, mut kept) = (0, 0);
        for sample in 0..COARSE_SAMPLES {
            self.row(rows / COARSE_SAMPLES * sample, &mut query);
            scale.encode_query(query.iter().copied(), &mut coded);
            let mut pairs: Vec<(f32, f32)> = Vec::with_capacity(rows);
            for i in 0..rows {
                self.row(row_of(i), &mut row);
                codes.distances(&coded, &[i as u32], &mut scratch);
                let exact = match self.metric {
                    Metric::L2 => L2::distance(&query, &row, 0.0),
                    _ => Ip::distance(&query, &row, 0.0),
                };
                pairs.push((exact, scratch[0]));
            }
            let bound = pairs.select_nth_unstable_by(9, |a, b| a.0.total_cmp(&b.0)).1.0;
            let (shortlist, ..) = pairs.select_nth_unstable_by(30, |a, b| a.1.total_cmp(&b.1));
            near += 10;
            kept += shortlist.iter().filter(|pair| pair.0 <= bound).count().min(10);
        }
        kept * 50 < near * 49
    }

    /// The least and the greatest value of each dimension.
    pub(crate) fn bounds(&self, rows: usize) -> (Vec<f32>, Vec<f32>) {
        let mut row = vec![0.0; self.dim];
        let (mut low, mut high) =
            (vec![f32::INFINITY; self.dim], vec![f32::NEG_INFINITY; self.dim]);
        for i in 0..rows {
            self.row(i, &mut row);
            for ((low, high), &x) in low.iter_mut().zip(&mut high).zip(&row) {
                *low = low.min(x);
                *high = high.max(x);
            }
        }
        (low, high)
    }
}

fn widen<T: Copy>(values: &[T], out: &mut [f32], value: impl Fn(T) -> f32) {
    for (out, &x) in out.iter_mut().zip(values) {
        *out = value(x);
    }
}

/// Rows that share their codes.
#[derive(Debug)]
pub(crate) struct Twins {
    /// The first row of each chain, ascending.
    pub(crate) heads: Vec<u32>,
    /// Per row the next one with the same codes, or the row itself.
    pub(crate) next: Vec<u32>,
}

/// Chains the rows that share their codes; none if no two do.
pub(crate) fn find_twins(codes: &Codes<'_>, rows: usize) -> Option<Twins> {
    let state = RandomState::new();
    // By hash the last row of a chain; further chains of the same hash are found row by row.
    let mut ends: HashMap<u64, Vec<u32>> = HashMap::with_capacity(rows);
    let mut next: Vec<u32> = (0..rows as u32).collect();
    let mut heads = Vec::with_capacity(rows);
    for row in 0..rows as u32 {
        let ends = ends.entry(state.hash_one(codes.key(row))).or_default();
        match ends.iter_mut().find(|end| codes.key(**end) == codes.key(row)) {
            Some(end) => {
                next[*end as usize] = row;
                *end = row;
            }
            None => {
                ends.push(row);
                heads.push(row);
            }
        }
    }
    (heads.len() < rows).then_some(Twins { heads, next })
}

/// The rows of each level above the lowest, from below, each ascending.
///
/// A row's share of levels follows from its number, so that a graph is the same every time.
pub(crate) fn plan_levels(heads: &[u32], m: usize) -> Vec<Vec<u32>> {
    let height = |row: u32| {
        // The numbers of a row are spread evenly over (0, 1], as by a generator seeded with it.
        let uniform = ((mix(u64::from(row)) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        (-uniform.ln() / (m as f64).ln()) as usize
    };
    let mut levels: Vec<Vec<u32>> = Vec::new();
    for &row in heads {
        let height = height(row).min(LEVELS_MAX);
        if levels.len() < height {
            levels.resize(height, Vec::new());
        }
        levels[..height].iter_mut().for_each(|level| level.push(row));
    }
    levels
}

/// The finalizer of splitmix64.
pub(crate) fn mix(row: u64) -> u64 {
    let x = row.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}
