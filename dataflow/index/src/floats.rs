//! Query vectors as floats: of unit length under COSINE, and laid out for the panel kernel.

use millstream_catalog::model::Metric;

use crate::score::norm;

/// The queries of a search in f32, whatever the type of the rows.
#[derive(Debug, Clone)]
pub(crate) struct Floats {
    dim: usize,
    /// `[nq, dim]`, row-major; of unit length under COSINE (zero vectors stay zero).
    vectors: Vec<f32>,
    /// The largest magnitude of any of these values.
    pub(crate) magnitude: f32,
    /// Groups for the panel kernel; none for a single query.
    pub(crate) groups: Vec<Group>,
}

/// Up to eight queries side by side, one array per dimension, padded with zeros.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Number of the group's first query.
    pub(crate) first: usize,
    /// Queries in the group.
    pub(crate) len: usize,
    /// The values, dimension by dimension.
    pub(crate) columns: Columns,
    /// Per query, what [`Group::size_of`] says.
    pub(crate) size: [f32; 8],
}

/// The two widths the panel kernel is compiled for.
#[derive(Debug, Clone)]
pub(crate) enum Columns {
    /// One to four queries.
    Four(Vec<[f32; 4]>),
    /// Five to eight queries.
    Eight(Vec<[f32; 8]>),
}

impl Floats {
    /// Prepares `vectors`, a whole number of rows of `dim` values.
    pub(crate) fn new(metric: Metric, dim: usize, mut vectors: Vec<f32>) -> Floats {
        if metric == Metric::Cosine {
            vectors.chunks_exact_mut(dim).for_each(normalize);
        }
        // One query is compared with the rows as they lie.
        let rows = if vectors.len() == dim { [].chunks(1) } else { vectors.chunks(dim * 8) };
        let group = |(i, rows)| Group::new(metric, dim, i * 8, rows);
        let groups = rows.enumerate().map(group).collect();
        let magnitude = magnitude(&vectors);
        Floats { dim, vectors, magnitude, groups }
    }

    /// The prepared query number `i`.
    #[inline(always)]
    pub(crate) fn vector(&self, i: usize) -> &[f32] {
        &self.vectors[i * self.dim..(i + 1) * self.dim]
    }

    /// Gives back the row-major form, for types that are scored in another one.
    pub(crate) fn drop_vectors(&mut self) {
        self.vectors = Vec::new();
    }
}

impl Group {
    /// Lays out `rows`, one to eight queries of `dim` values.
    fn new(metric: Metric, dim: usize, first: usize, rows: &[f32]) -> Group {
        let len = rows.len() / dim;
        let columns = if len <= 4 {
            Columns::Four(columns(dim, rows))
        } else {
            Columns::Eight(columns(dim, rows))
        };
        let mut size = [0.0; 8];
        for (size, row) in size.iter_mut().zip(rows.chunks_exact(dim)) {
            *size = Group::size_of(metric, row);
        }
        Group { first, len, columns, size }
    }

    /// What the rounding bound of a metric needs to know about a query.
    ///
    /// L2: the squared length; IP: the largest magnitude; COSINE: nothing, the length is 1.
    fn size_of(metric: Metric, query: &[f32]) -> f32 {
        match metric {
            Metric::L2 => query.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() as f32,
            Metric::Cosine => 1.0,
            _ => magnitude(query),
        }
    }
}

/// The largest magnitude of any value.
fn magnitude(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |max, x| max.max(x.abs()))
}

/// Transposes up to `Q` rows into one array per dimension.
fn columns<const Q: usize>(dim: usize, rows: &[f32]) -> Vec<[f32; Q]> {
    let mut columns = vec![[0.0; Q]; dim];
    for (q, row) in rows.chunks_exact(dim).enumerate() {
        for (column, &value) in columns.iter_mut().zip(row) {
            column[q] = value;
        }
    }
    columns
}

/// Scales a vector to length 1; a zero vector stays as it is.
fn normalize(vector: &mut [f32]) {
    let norm = norm(vector.iter().copied());
    if norm > 0.0 {
        for x in vector {
            *x = (f64::from(*x) / norm) as f32;
        }
    }
}
