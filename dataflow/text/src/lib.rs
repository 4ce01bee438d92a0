//! Full-text search: analyzers, a growing inverted index, BM25, term and phrase matches.
//!
//! An [`Analyzer`] turns a text into tokens, as the `analyzer_params` of a field say. A
//! [`TextWriter`] indexes the tokens of the rows of one partition as they come; any thread reads
//! them through a [`TextView`] without locks and without waiting, while the writer goes on.
//!
//! **Invariant.** Rows are appended in order, so a reader's rows are a prefix; what a reader sees
//! of it is one mask, bit `i` of which stands for row `i`. Rows past the mask do not exist for it.
//!
//! **Invariant.** Scores depend on the row, the query and the [`Statistics`] alone, to the last
//! bit: never on how the rows lie in blocks, nor on what else was found.
//!
//! BM25 is answered in two steps, since its statistics span all parts of a collection: the
//! [`Statistics`] of every part are added up, and make a [`Scorer`] that every part searches with.
//!
//! **Absent on purpose.** No segments, no timely, no clock, no I/O, and nothing that is not text:
//! who may see which row is the caller's mask.

mod analyzer;
mod batch;
mod block;
mod index;
mod matching;
mod merge;
mod query;
mod score;
mod search;
mod top;

pub use analyzer::{Analyzer, Token};
pub use index::{TextSnapshot, TextView, TextWriter};
pub use query::Query;
pub use score::{Bm25, Scorer, Statistics};
pub use top::{TextHit, Top};

#[cfg(test)]
mod tests;
