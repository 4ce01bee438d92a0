//! What a caller of this crate can get wrong.

use millstream_catalog::model::{DataType, Metric};

/// A search that cannot be prepared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The query vectors are not a whole number of rows of `dim` values.
    #[error("{values} query values are not a whole number of vectors of {dim} dimensions")]
    Dimension {
        /// Dimensions of the field.
        dim: usize,
        /// Values in the request.
        values: usize,
    },
    /// The query vectors are not a whole number of rows of a type that is given in bytes.
    #[error("{bytes} bytes are not a whole number of {} vectors of {dim} dimensions", data_type.name())]
    Width {
        /// Type of the field.
        data_type: DataType,
        /// Dimensions of the field.
        dim: usize,
        /// Bytes in the request.
        bytes: usize,
    },
    /// The metric does not compare vectors of this type.
    #[error("metric {} does not compare {} vectors", metric.name(), data_type.name())]
    Metric {
        /// The metric asked for.
        metric: Metric,
        /// Type of the field.
        data_type: DataType,
    },
    /// A sparse query vector whose indices do not ascend, or with a value that is no number.
    #[error("query {query} is no sparse vector: {reason}")]
    Sparse {
        /// Number of the query.
        query: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
}
