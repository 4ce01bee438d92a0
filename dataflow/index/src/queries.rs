//! Query vectors, prepared once per request for every block they will meet.

use millstream_catalog::model::{DataType, Metric};

use crate::error::IndexError;
use crate::floats::Floats;
use crate::score::{bf16_to_f32, f16_to_f32, inverse, norm};
use crate::sparse::SparseQuery;

/// The query vectors of one search: checked, normalized under COSINE, and laid out for the kernels.
#[derive(Debug, Clone)]
pub struct Queries {
    metric: Metric,
    data_type: DataType,
    dim: usize,
    nq: usize,
    pub(crate) form: Form,
}

/// Queries as the rows of a type are compared with them.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// Against Float vectors.
    Float(Floats),
    /// Against Float16 vectors.
    Half(Floats),
    /// Against BFloat16 vectors.
    BHalf(Floats),
    /// Against Int8 vectors.
    Int8(Int8Queries),
    /// Against Binary vectors: `[nq, dim / 8]` bytes, row-major.
    Binary(Vec<u8>),
    /// Against sparse vectors.
    Sparse(Vec<SparseQuery>),
}

/// Queries of whole numbers, which are scored exactly.
#[derive(Debug, Clone)]
pub(crate) struct Int8Queries {
    /// `[nq, dim]`, row-major, widened to what products are made of.
    pub(crate) values: Vec<i16>,
    /// `1 / |q|` of each query, 0 for a zero vector.
    pub(crate) inv_norms: Vec<f32>,
    /// The panel form only.
    pub(crate) floats: Floats,
}

/// The most dimensions whose sums of squared differences fit in an `i32`.
const INT8_DIM_MAX: usize = 32_768;

impl Queries {
    /// Prepares Float vectors, row-major `[nq, dim]`, for searches under `metric`.
    ///
    /// # Errors
    /// [`IndexError::Dimension`] if `dim` is 0 or `vectors.len()` is no multiple of it;
    /// [`IndexError::Metric`] if the metric is not L2, IP or COSINE.
    pub fn new(metric: Metric, dim: usize, vectors: &[f32]) -> Result<Queries, IndexError> {
        let data_type = DataType::FloatVector;
        if dim == 0 || !vectors.len().is_multiple_of(dim) {
            return Err(IndexError::Dimension { dim, values: vectors.len() });
        }
        check_metric(metric, data_type)?;
        let form = Form::Float(Floats::new(metric, dim, vectors.to_vec()));
        Ok(Queries { metric, data_type, dim, nq: vectors.len() / dim, form })
    }

    /// Prepares vectors of any dense type as they are on the wire: little-endian, row-major.
    ///
    /// Float, Float16, BFloat16 and Int8 vectors are compared under L2, IP and COSINE; Binary
    /// vectors under HAMMING, JACCARD, SUBSTRUCTURE and SUPERSTRUCTURE.
    ///
    /// # Errors
    /// [`IndexError::Width`] if `dim` is none of the type's, or `vectors` no whole number of
    /// vectors; [`IndexError::Metric`] if the metric or the type is another.
    pub fn new_typed(
        metric: Metric,
        data_type: DataType,
        dim: usize,
        vectors: &[u8],
    ) -> Result<Queries, IndexError> {
        check_metric(metric, data_type)?;
        let width = match data_type {
            DataType::FloatVector => dim * 4,
            DataType::Float16Vector | DataType::BFloat16Vector => dim * 2,
            DataType::Int8Vector if dim <= INT8_DIM_MAX => dim,
            DataType::BinaryVector if dim.is_multiple_of(8) => dim / 8,
            _ => 0,
        };
        if width == 0 || !vectors.len().is_multiple_of(width) {
            return Err(IndexError::Width { data_type, dim, bytes: vectors.len() });
        }
        let halves = |value: fn(u16) -> f32| {
            let (halves, _) = vectors.as_chunks::<2>();
            let values = halves.iter().map(|&x| value(u16::from_le_bytes(x))).collect();
            Floats::new(metric, dim, values)
        };
        let form = match data_type {
            DataType::Float16Vector => Form::Half(halves(f16_to_f32)),
            DataType::BFloat16Vector => Form::BHalf(halves(bf16_to_f32)),
            DataType::Int8Vector => Form::Int8(Int8Queries::new(metric, dim, vectors)),
            DataType::BinaryVector => Form::Binary(vectors.to_vec()),
            _ => {
                let (words, _) = vectors.as_chunks::<4>();
                let values = words.iter().map(|&x| f32::from_le_bytes(x)).collect();
                Form::Float(Floats::new(metric, dim, values))
            }
        };
        Ok(Queries { metric, data_type, dim, nq: vectors.len() / width, form })
    }

    /// Prepares sparse vectors, cells of `millstream_catalog::model::cell`, for IP.
    ///
    /// Only rows with a score above 0 are hits. To search with a part of each query's values
    /// (`drop_ratio_search`), the caller leaves the others out.
    ///
    /// # Errors
    /// [`IndexError::Metric`] if the metric is another; [`IndexError::Sparse`] if a cell is no
    /// list of pairs with ascending indices and finite values.
    pub fn sparse<'a>(
        metric: Metric,
        cells: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Queries, IndexError> {
        let data_type = DataType::SparseFloatVector;
        check_metric(metric, data_type)?;
        let query = |(query, cell)| {
            SparseQuery::new(cell).map_err(|reason| IndexError::Sparse { query, reason })
        };
        let queries: Vec<SparseQuery> =
            cells.into_iter().enumerate().map(query).collect::<Result<_, _>>()?;
        Ok(Queries { metric, data_type, dim: 0, nq: queries.len(), form: Form::Sparse(queries) })
    }

    /// Number of queries.
    pub fn nq(&self) -> usize {
        self.nq
    }

    /// Dimensions of a vector; 0 for sparse vectors.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The metric the queries were prepared for.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The type of the queries, and of the rows that they can be compared with.
    pub fn data_type(&self) -> DataType {
        self.data_type
    }
}

impl Int8Queries {
    fn new(metric: Metric, dim: usize, vectors: &[u8]) -> Int8Queries {
        let value = |x: &u8| x.cast_signed();
        let floats = vectors.iter().map(|x| f32::from(value(x)));
        let row_norm = |row: &[u8]| inverse(norm(row.iter().map(|x| f32::from(value(x)))));
        let mut floats = Floats::new(metric, dim, floats.collect());
        floats.drop_vectors();
        Int8Queries {
            values: vectors.iter().map(|x| i16::from(value(x))).collect(),
            inv_norms: vectors.chunks_exact(dim).map(row_norm).collect(),
            floats,
        }
    }
}

/// Whether vectors of a type are compared under a metric.
fn check_metric(metric: Metric, data_type: DataType) -> Result<(), IndexError> {
    let fits = match metric {
        Metric::L2 | Metric::Cosine => is_numeric(data_type),
        Metric::Ip => is_numeric(data_type) || data_type == DataType::SparseFloatVector,
        Metric::Hamming | Metric::Jaccard | Metric::Substructure | Metric::Superstructure => {
            data_type == DataType::BinaryVector
        }
        Metric::Bm25 => false,
    };
    if fits { Ok(()) } else { Err(IndexError::Metric { metric, data_type }) }
}

/// Whether the components of a type's vectors are numbers.
fn is_numeric(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::FloatVector
            | DataType::Float16Vector
            | DataType::BFloat16Vector
            | DataType::Int8Vector
    )
}
