//! Lists of the rows of a segment, each around a centroid, of which a search visits the nearest.
//!
//! [`build`] finds the centroids with k-means over a sample of the rows and puts every row in the
//! list of its nearest centroid. The result is one run of bytes that is written to a file, mapped,
//! and opened: [`Ivf::open`]. [`Ivf::search`] offers rows to the collectors that [`crate::scan`]
//! fills, with the same scores.
//!
//! | kind | vectors | metrics | in the lists |
//! |---|---|---|---|
//! | [`IvfKind::Flat`] | Float, Float16, BFloat16, Int8 | L2, IP, COSINE | row numbers; rows are scored by their vectors |
//! | [`IvfKind::Sq8`] | the same | the same | row numbers and eight-bit codes; the nearest rows by their codes are scored by their vectors |
//! | [`IvfKind::Bits`] | Binary | HAMMING, JACCARD | row numbers; rows are scored by their vectors |
//!
//! A mask is honoured exactly. A search under a mask visits further lists until it has met as many
//! admitted rows as there are rows in the lists that it would visit without one, so that a filter
//! costs no recall; and at least as many as hits are wanted, where there are so many.
//!
//! **Invariant.** Whatever the bytes of the lists are, a search ends, and touches no row that is not
//! there. Sums of all sections find every change of a byte ([`Ivf::verify`]).

mod build;
mod centroids;
pub mod interim;
mod layout;
mod open;
mod search;
#[cfg(test)]
mod tests;
mod train;

use millstream_catalog::model::{DataType, Metric};

pub use build::build;
pub use open::Ivf;
pub use search::{Ask, Estimate, IvfScratch};

/// The greatest number of lists, and of lists that a search visits.
pub const NLIST_MAX: usize = 65_536;
/// Lists are fewer where they would have fewer rows than this on average.
pub const LIST_ROWS_MIN: usize = 39;

/// What the lists hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IvfKind {
    /// Numbers of rows of vectors of numbers.
    Flat,
    /// The same, and eight-bit codes of the vectors.
    Sq8,
    /// Numbers of rows of Binary vectors.
    Bits,
}

/// How lists are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IvfParams {
    /// What they hold.
    pub kind: IvfKind,
    /// Their number, 1 to [`NLIST_MAX`]; few rows have fewer, see [`LIST_ROWS_MIN`].
    pub nlist: usize,
}

/// Why there are no lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IvfError {
    /// A size is out of bounds.
    #[error("{name} {value} of an index of lists is not between {least} and {greatest}")]
    Param {
        /// Name of the parameter.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The least value.
        least: usize,
        /// The greatest value.
        greatest: usize,
    },
    /// There are no lists of such vectors under the metric.
    #[error("there are no such lists of {} vectors under {}", data_type.name(), metric.name())]
    Vectors {
        /// Type of the vectors.
        data_type: DataType,
        /// The metric asked for.
        metric: Metric,
    },
    /// The build was given up.
    #[error("the build of an index of lists was cancelled")]
    Cancelled,
    /// The bytes are none that a build has made.
    #[error("an index of lists is corrupt: {0}")]
    Corrupt(&'static str),
    /// The bytes are of another version of this crate.
    #[error("an index of lists has version {0}, which this build does not read")]
    Version(u32),
}
