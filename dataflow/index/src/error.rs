//! What a caller of this crate can get wrong.

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
}
