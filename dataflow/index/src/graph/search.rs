//! Searches of a graph: which way a query goes, and the scores of what it finds.
//!
//! A walk that finds too little, or goes on for longer than a scan would take, gives way to a scan
//! of the admitted rows; so the cost of a search is bounded by about twice that of a scan.

use std::cmp::Ordering;

use crate::queries::Queries;
use crate::rows::{count, for_each_batch};
use crate::scan::{Block, rows_of, scan, score_rows};
use crate::topk::{Collect, Range};

use super::codes::CodeQuery;
use super::open::{Admitted, Graph};
use super::walk::{Admit, Everyone, Reach, WalkScratch, descend, walk};

/// What a search looks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ask {
    /// Hits wanted of each query.
    pub k: usize,
    /// Rows kept in sight; more find more of the nearest. At least `k` are.
    pub ef: usize,
    /// Which scores are hits; the same as the collectors have.
    pub range: Range,
}

/// How the rows of a search are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// All admitted rows are scored: exact.
    Scan,
    /// A walk from admitted row to admitted row, over others between them.
    Over,
    /// A walk through all rows, of which the admitted ones are hits.
    Through,
}

/// The way a search goes, and about what it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The way.
    pub strategy: Strategy,
    /// Nanoseconds of a query, roughly.
    pub nanos: f64,
}

/// Memory of searches on one thread, kept for the next one.
#[derive(Debug, Default)]
pub struct GraphScratch {
    walk: WalkScratch,
    query: CodeQuery,
    rows: Vec<u32>,
    distances: Vec<f32>,
}

/// One query of a search, on its way.
struct Trip<'a> {
    graph: &'a Graph,
    queries: &'a Queries,
    block: &'a Block<'a>,
    ask: &'a Ask,
    survivors: usize,
    way: Way,
}

/// How queries walk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// The kind of walk; not a scan.
    pub(crate) strategy: Strategy,
    /// Distances of codes after which a walk gives way to a scan.
    pub(crate) distances_max: usize,
}

impl Graph {
    /// The way of a search for `nq` queries that admits `survivors` rows, and its cost.
    pub fn estimate(&self, survivors: usize, nq: usize, ask: &Ask) -> Estimate {
        let rows = self.rows().max(1) as f64;
        let scan = self.scan_nanos(survivors, nq);
        if self.is_coarse() {
            return Estimate { strategy: Strategy::Scan, nanos: scan };
        }
        let ef = ask.ef.max(ask.k) as f64;
        let distances = 300.0 + 14.0 * ef;
        let walk = distances * self.distance_nanos();
        let share = (survivors as f64 / rows).clamp(1e-9, 1.0);
        let through = Estimate { strategy: Strategy::Through, nanos: walk / share };
        let over = Estimate { strategy: Strategy::Over, nanos: walk * 3.0 };
        let ways = [Estimate { strategy: Strategy::Scan, nanos: scan }, through, over];
        let best = |a: Estimate, b: Estimate| if b.nanos < a.nanos { b } else { a };
        ways.into_iter().fold(ways[0], best)
    }

    /// Nanoseconds that a scan needs for a query, roughly.
    ///
    /// It reads each row once for all queries, and multiplies it with each of them.
    fn scan_nanos(&self, survivors: usize, nq: usize) -> f64 {
        let (dim, nq) = (self.dim() as f64, nq.max(1) as f64);
        survivors as f64 * ((6.0 + dim * 0.2) / nq + 0.4 + dim * 0.02)
    }

    /// Nanoseconds that a walk needs for a row it meets, roughly.
    fn distance_nanos(&self) -> f64 {
        25.0 + self.dim() as f64 * 0.08
    }

    /// Offers the rows nearest to each query to its collector, as [`crate::scan`] offers them.
    ///
    /// `block` has the vectors the graph was built of, and a mask of the rows that may be hits.
    /// `tie` is that of [`crate::scan`].
    ///
    /// # Panics
    /// As [`crate::scan`] does; and if the queries have another metric or dimension than the graph,
    /// or the block another number of rows.
    pub fn search<C: Collect>(
        &self,
        queries: &Queries,
        block: &Block<'_>,
        ask: &Ask,
        out: &mut [C],
        scratch: &mut GraphScratch,
        tie: &dyn Fn(u32, u32) -> Ordering,
    ) {
        assert_eq!(queries.metric(), self.metric(), "the metric of the graph");
        assert_eq!(queries.dim(), self.dim(), "the dimension of the graph");
        assert_eq!(out.len(), queries.nq(), "one collector per query");
        assert_eq!(rows_of(queries, block), self.rows(), "the rows of the graph");
        let survivors = count(self.rows(), block.mask);
        let estimate = self.estimate(survivors, out.len(), ask);
        if estimate.strategy == Strategy::Scan {
            return scan(queries, block, out, tie);
        }
        let distances_max = (self.scan_nanos(survivors, 1) / self.distance_nanos()) as usize;
        let way = Way { strategy: estimate.strategy, distances_max };
        self.search_by(way, queries, block, ask, out, scratch, tie);
    }

    /// [`Graph::search`] by a walk of one kind.
    #[expect(clippy::too_many_arguments, reason = "those of a search, and its kind")]
    pub(crate) fn search_by<C: Collect>(
        &self,
        way: Way,
        queries: &Queries,
        block: &Block<'_>,
        ask: &Ask,
        out: &mut [C],
        scratch: &mut GraphScratch,
        tie: &dyn Fn(u32, u32) -> Ordering,
    ) {
        let survivors = count(self.rows(), block.mask);
        if survivors == 0 || ask.k == 0 {
            return;
        }
        let trip = Trip { graph: self, queries, block, ask, survivors, way };
        let admitted = Admitted {
            mask: block.mask,
            twins: self.twins(),
            last_row: self.rows().saturating_sub(1) as u32,
        };
        for (q, out) in out.iter_mut().enumerate() {
            let found = if block.mask.is_none() && self.twins().is_empty() {
                trip.go(q, &Everyone, scratch)
            } else {
                trip.go(q, &admitted, scratch)
            };
            let mut offer = |rows: &[u32], distances: &[f32]| {
                for (&row, &distance) in rows.iter().zip(distances) {
                    out.offer(distance, block.first_row + row, tie);
                }
            };
            let GraphScratch { rows, distances, .. } = &mut *scratch;
            if found {
                offer(rows, distances);
            } else {
                for_each_batch::<64>(self.rows(), block.mask, |rows, _| {
                    score_rows(queries, block, q, rows, distances);
                    offer(rows, distances);
                });
            }
        }
    }
}

impl Trip<'_> {
    /// Finds rows and their distances; says whether a walk has found what it should.
    fn go<A: Admit>(&self, q: usize, admit: &A, scratch: &mut GraphScratch) -> bool {
        self.graph.scale().encode_one(self.queries, q, &mut scratch.query);
        let start = self.start(scratch);
        let least = self.ask.ef.max(self.ask.k);
        let mut ef = least;
        loop {
            if !self.walk(ef, start, admit, scratch) {
                return false;
            }
            let GraphScratch { walk, rows, distances, .. } = scratch;
            let hits = walk.pool.entries().iter().filter(|entry| entry.is_hit());
            let ranged = self.ask.range != Range::default();
            let scored = if ranged { ef } else { self.to_score() };
            rows.clear();
            rows.extend(hits.take(scored).map(|entry| entry.node()));
            score_rows(self.queries, self.block, q, rows, distances);
            let Some(wider) = self.wider(ef, least, distances).filter(|_| ranged) else {
                return true;
            };
            ef = wider;
        }
    }

    /// The node of the lowest level where the walk begins.
    fn start(&self, scratch: &mut GraphScratch) -> u32 {
        let codes = self.graph.codes();
        let mut node = 0;
        for (level, below) in self.graph.upper() {
            node = descend(&codes, &scratch.query, &level, node, &mut scratch.walk);
            node = below.get(node as usize).map_or(0, |&below| u32::from_le_bytes(below));
        }
        node.min(self.graph.rows() as u32 - 1)
    }

    /// A walk for `ef` hits; says whether it has found them, or all there are.
    fn walk<A: Admit>(&self, ef: usize, start: u32, admit: &A, scratch: &mut GraphScratch) -> bool {
        let reach = Reach {
            ef,
            distances_max: self.way.distances_max,
            over: A::SOME && self.way.strategy == Strategy::Over,
        };
        let (codes, ground) = (self.graph.codes(), self.graph.ground());
        let GraphScratch { walk: memory, query, .. } = scratch;
        let ended = walk(&codes, query, &ground, admit, start, reach, memory);
        let hits = memory.pool.hits();
        ended && (hits >= ef || hits >= self.survivors)
    }

    /// The nearest rows by their codes that are scored, so that the `k` nearest are among them.
    fn to_score(&self) -> usize {
        self.ask.k.saturating_add((self.ask.k / 2).max(20))
    }

    /// How far the next walk should go if this one has not come to the end of the range.
    fn wider(&self, ef: usize, least: usize, distances: &[f32]) -> Option<usize> {
        let (near, far) = self.ask.range.distances(self.queries.metric());
        let before = distances.iter().filter(|&&distance| distance < near).count();
        let within = distances.iter().filter(|&&d| d >= near && d <= far).count();
        let end = &distances[distances.len() - distances.len() / 4..];
        let passed = !end.is_empty() && end.iter().all(|&distance| distance > far);
        let enough = within >= self.ask.k && before + least <= ef;
        if passed || enough || distances.len() >= self.survivors {
            return None;
        }
        Some((2 * ef).max(before + least))
    }
}
