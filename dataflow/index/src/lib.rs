//! Nearest-neighbour search over slices of vectors: kernels, masks and streaming top-k.
//!
//! A search is three values. [`Queries`] holds the query vectors, prepared once per request. A
//! [`Block`] is a run of rows as they lie in a segment, with a bitset of the rows that may match
//! (visible at the read's time, not deleted, accepted by the filter). A collector per query keeps
//! the best rows over any number of blocks: [`TopK`], or [`BestGroups`] and [`GroupMembers`] when
//! rows are grouped; a [`Range`] bounds their scores. [`scan`] feeds collectors, `finish` orders
//! the hits and [`merge`] joins the hits of several segments or shards.
//!
//! | rows | metrics | one query | several queries |
//! |---|---|---|---|
//! | Float | L2, IP, COSINE | simsimd, row by row | panels |
//! | Float16, BFloat16, Int8 | L2, IP, COSINE | own kernels, 64 rows at a time | panels |
//! | Binary | HAMMING, JACCARD, SUBSTRUCTURE, SUPERSTRUCTURE | own kernels | 64 rows by 64 |
//! | sparse | IP; a score above 0 is a hit | look-up of each pair | row by row |
//!
//! A single query reads memory at nearly the speed of a plain read loop. Several queries share one
//! pass: 32 rows at a time are transposed into a panel of floats that stays in the cache while
//! every group of eight queries meets it, and the rows of the next panel are prefetched meanwhile.
//! So two queries cost little more than one, and sixteen about 1.6 times as much.
//!
//! **Invariant.** A row's score depends on the query and the row alone: never on the number of
//! queries, on where blocks begin, or on the mask. The panel kernel only decides which rows may
//! enter a result, with a margin above every rounding error; each of these is scored by the same
//! function as in a scan for one query. So equal vectors tie exactly, and ties fall to the caller's
//! key order. (Scores may differ in the last bits between CPUs with different vector units.)
//!
//! **Invariant.** Memory is bounded by `k`, whatever the scores are: when a collector is full it is
//! cut back by (score, key order), also when all scores are equal.
//!
//! [`graph`] and [`ivf`] find the nearest of many rows without scanning them all; they fill the same
//! collectors with the same scores.
//!
//! **Absent on purpose.** No segments, no I/O, no time, and no threads but those that
//! [`graph::build`] and [`ivf::build`] are told to use: slices in, row numbers and scores out.

mod error;
mod floats;
pub mod graph;
mod group;
pub mod ivf;
mod kernel;
mod narrow;
mod panel;
mod queries;
mod rows;
mod scan;
mod score;
mod sparse;
mod topk;

pub use error::IndexError;
pub use group::{BestGroups, GroupHit, GroupMembers, GroupOf};
pub use queries::Queries;
pub use scan::{Block, Vectors, scan};
pub use score::{inv_norms, inv_norms_of};
pub use topk::{Collect, Hit, MergedHit, Range, TopK, merge};

#[cfg(test)]
mod tests;
