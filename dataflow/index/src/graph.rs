//! A navigable graph over the rows of a segment (HNSW), walked on eight-bit codes.
//!
//! [`GraphBuilder`] makes a graph of rows; any number of threads may work on it. The result is one
//! run of bytes that is written to a file, mapped, and opened without copying: [`Graph::open`].
//! [`Graph::search`] offers rows to the collectors that [`crate::scan`] fills, with the same scores:
//! the walk compares codes, and the nearest rows are then scored by their vectors.
//!
//! A mask is honoured exactly, and a search returns `k` hits where there are `k`: when few rows
//! are admitted, or the admitted ones lie where the walk does not reach, they are scanned.
//!
//! **Invariant.** Whatever the bytes of a graph are, a search ends, and touches no row that is not
//! there. Sums of all sections find every change of a byte ([`Graph::verify`]).

pub(crate) mod build;
pub(crate) mod codes;
pub(crate) mod layout;
mod open;
mod pool;
mod search;
mod select;
pub(crate) mod source;
#[cfg(test)]
pub(crate) mod tests;
mod walk;

use millstream_catalog::model::{DataType, Metric};

pub use build::{GraphBuilder, build};
pub use open::Graph;
pub use search::{Ask, Estimate, GraphScratch, Strategy};

/// The least and the greatest M.
pub const M_MIN: usize = 2;
/// See [`M_MIN`].
pub const M_MAX: usize = 2048;
/// The most dimensions of a vector.
pub const DIM_MAX: usize = 32_768;

/// How a graph is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphParams {
    /// Links of a node, twice as many on the lowest level: [`M_MIN`] to [`M_MAX`].
    pub m: usize,
    /// Nodes that are kept in sight while the neighbours of a new one are looked for; at least 1.
    pub ef_construction: usize,
}

impl Default for GraphParams {
    fn default() -> GraphParams {
        GraphParams { m: 16, ef_construction: 200 }
    }
}

/// Why there is no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// M or efConstruction is out of bounds.
    #[error("{name} {value} of a graph is not between {least} and {greatest}")]
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
    /// There are no graphs of such vectors under the metric.
    #[error("there are no graphs of {} vectors under {}", data_type.name(), metric.name())]
    Vectors {
        /// Type of the vectors.
        data_type: DataType,
        /// The metric asked for.
        metric: Metric,
    },
    /// The build was given up.
    #[error("the build of a graph was cancelled")]
    Cancelled,
    /// The bytes are none that a build has made.
    #[error("a graph is corrupt: {0}")]
    Corrupt(&'static str),
    /// The bytes are of another version of this crate.
    #[error("a graph has version {0}, which this build does not read")]
    Version(u32),
}
