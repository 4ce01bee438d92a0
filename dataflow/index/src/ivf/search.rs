//! Searches of lists: which lists each query visits, and the scores of what it finds there.
//!
//! The queries of a search share the lists: one list after the other is read for all queries that
//! visit it.

use std::cmp::Ordering;
use std::ops::Range;

use millstream_catalog::model::Metric;

use super::IvfKind;
use super::centroids::{coarse_metric, coarse_queries};
use super::open::Ivf;
use crate::graph::codes::CodeQuery;
use crate::queries::Queries;
use crate::rows::{count, for_each_batch};
use crate::scan::{Block, rows_of, scan, score_rows};
use crate::topk::{Collect, Entry, TopK};

/// Queries are taken together as long as they visit no more lists and keep no more rows than this.
const TOGETHER_MAX: usize = 1 << 20;
/// Queries that are taken together at most.
const QUERIES_MAX: usize = 1024;
/// A list whose admitted rows were not counted.
const UNKNOWN: u32 = u32::MAX;

/// What a search looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Hits wanted of each query.
    pub k: usize,
    /// Lists that are visited; at least 1, and all if there are fewer.
    pub nprobe: usize,
    /// Rows that are scored by their vectors, where codes choose them: at least those that `k` hits
    /// need, which 0 stands for.
    pub scored: usize,
}

/// The way a search goes, and about what it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Whether all admitted rows are scored: exact. Otherwise lists are visited.
    pub scans: bool,
    /// Nanoseconds of a query, roughly.
    pub nanos: f64,
}

/// Memory of searches on one thread, kept for the next one.
#[derive(Debug, Default)]
pub struct IvfScratch {
    coded: Vec<CodeQuery>,
    /// Admitted rows of each list, or [`UNKNOWN`].
    admitted: Vec<u32>,
    /// Lists to visit, each with a query.
    visits: Vec<(u32, u32)>,
    /// The places of a list, or those that are scored; and their rows.
    places: Vec<u32>,
    rows: Vec<u32>,
    distances: Vec<f32>,
}

/// A search on its way.
struct Visitor<'a> {
    ivf: &'a Ivf,
    queries: &'a Queries,
    block: &'a Block<'a>,
    ask: Ask,
    /// Rows that the mask admits.
    survivors: usize,
    tie: &'a dyn Fn(u32, u32) -> Ordering,
}

impl Ivf {
    /// The way of a search for `nq` queries that admits `survivors` rows, and its cost.
    ///
    /// All rows are scored if the lists to visit are expected to have no fewer admitted ones.
    pub fn estimate(&self, survivors: usize, nq: usize, ask: &Ask) -> Estimate {
        let (rows, lists) = (self.rows().max(1) as f64, self.lists() as f64);
        let scan = Estimate { scans: true, nanos: self.scan_nanos(survivors, nq) };
        let visited = rows * (ask.nprobe.max(1) as f64 / lists).min(1.0);
        let scored = visited.max(ask.k as f64);
        if scored >= survivors as f64 {
            return scan;
        }
        let (read, score) = self.row_nanos();
        let share = survivors as f64 / rows;
        let mut nanos = lists * self.row_scan_nanos(nq) + scored * read;
        if survivors < self.rows() {
            // Every row of a list is looked up in the mask, twice.
            nanos += 2.0 * scored / share;
        }
        nanos += self.to_score(ask).min(scored as usize) as f64 * score;
        if scan.nanos <= nanos { scan } else { Estimate { scans: false, nanos } }
    }

    /// Nanoseconds that a scan needs for a query, roughly.
    fn scan_nanos(&self, survivors: usize, nq: usize) -> f64 {
        survivors as f64 * self.row_scan_nanos(nq)
    }

    /// The same for a row, which is read once for all queries and compared with each of them.
    fn row_scan_nanos(&self, nq: usize) -> f64 {
        let (dim, nq) = (self.dim() as f64, nq.max(1) as f64);
        if self.params().kind == IvfKind::Bits {
            return 1.0 / nq + 1.0 + dim * 0.004;
        }
        (6.0 + dim * 0.2) / nq + 0.4 + dim * 0.02
    }

    /// Nanoseconds that a query needs for a row of a list, and for one that is scored after that.
    fn row_nanos(&self) -> (f64, f64) {
        let dim = self.dim() as f64;
        match self.params().kind {
            IvfKind::Bits => (5.0 + dim * 0.006, 0.0),
            _ if self.is_coded() => (2.0 + dim * 0.03, 20.0 + dim * 0.25),
            _ => (5.0 + dim * 0.15, 0.0),
        }
    }

    /// The nearest rows by their codes that are scored, so that the `k` nearest are among them.
    fn to_score(&self, ask: &Ask) -> usize {
        let least = ask.k.saturating_add((ask.k / 2).max(20));
        if self.is_coded() { least.max(ask.scored) } else { 0 }
    }

    /// Offers the rows nearest to each query to its collector, as [`crate::scan`] offers them.
    ///
    /// `block` has the vectors the lists were built of, and a mask of the rows that may be hits.
    /// `tie` is that of [`crate::scan`].
    ///
    /// # Panics
    /// As [`crate::scan`] does; and if the queries have another metric or dimension than the lists,
    /// or the block another number of rows.
    pub fn search<C: Collect>(
        &self,
        queries: &Queries,
        block: &Block<'_>,
        ask: &Ask,
        out: &mut [C],
        scratch: &mut IvfScratch,
        tie: &dyn Fn(u32, u32) -> Ordering,
    ) {
        assert_eq!(queries.metric(), self.metric(), "the metric of the lists");
        assert_eq!(queries.dim(), self.dim(), "the dimension of the lists");
        assert_eq!(out.len(), queries.nq(), "one collector per query");
        assert_eq!(rows_of(queries, block), self.rows(), "the rows of the lists");
        let survivors = count(self.rows(), block.mask);
        if self.estimate(survivors, out.len(), ask).scans {
            return scan(queries, block, out, tie);
        }
        self.visit(queries, block, ask, out, scratch, tie);
    }

    /// [`Ivf::search`] by visits to lists.
    pub(crate) fn visit<C: Collect>(
        &self,
        queries: &Queries,
        block: &Block<'_>,
        ask: &Ask,
        out: &mut [C],
        scratch: &mut IvfScratch,
        tie: &dyn Fn(u32, u32) -> Ordering,
    ) {
        let survivors = count(self.rows(), block.mask);
        if survivors == 0 || ask.k == 0 {
            return;
        }
        let ask = Ask { nprobe: ask.nprobe.clamp(1, self.lists()), ..*ask };
        let visitor = Visitor { ivf: self, queries, block, ask, survivors, tie };
        scratch.admitted.clear();
        scratch.admitted.resize(self.lists(), UNKNOWN);
        let kept = self.to_score(&ask).min(self.rows());
        let together = (TOGETHER_MAX / (visitor.lists_wanted() + kept)).clamp(1, QUERIES_MAX);
        for (at, out) in out.chunks_mut(together).enumerate() {
            visitor.search(at * together, out, scratch);
        }
    }
}

impl Visitor<'_> {
    /// The nearest lists that are looked for: those to visit, and more under a mask.
    fn lists_wanted(&self) -> usize {
        let (rows, lists) = (self.ivf.rows(), self.ivf.lists());
        let goal = (self.ask.nprobe * rows / lists).max(self.ask.k);
        let wanted = match self.block.mask {
            Some(_) => (goal as f64 / self.survivors as f64 * lists as f64 * 1.5) as usize + 4,
            None => goal * lists / rows.max(1) + 1,
        };
        wanted.clamp(self.ask.nprobe, lists)
    }

    /// Some queries, from number `first` on.
    fn search<C: Collect>(&self, first: usize, out: &mut [C], scratch: &mut IvfScratch) {
        let alone = self.plan(first..first + out.len(), scratch);
        let mut visits = std::mem::take(&mut scratch.visits);
        visits.sort_unstable();
        if self.ivf.is_coded() {
            self.by_codes(first, &visits, out, scratch);
        } else {
            for same in visits.chunk_by(|a, b| a.0 == b.0) {
                self.pick(same[0].0, scratch);
                for &(_, q) in same {
                    self.score(first + q as usize, &mut out[q as usize], scratch);
                }
            }
        }
        visits.clear();
        scratch.visits = visits;
        alone.iter().for_each(|&q| self.scan_alone(first + q, &mut out[q], scratch));
    }

    /// Lists the visits of some queries, numbered from 0 on; returns the queries for which the
    /// lists have too few rows, which those of a build never have.
    fn plan(&self, some: Range<usize>, scratch: &mut IvfScratch) -> Vec<usize> {
        let queries = coarse_queries(self.queries, some.clone());
        let wanted = self.lists_wanted();
        let mut alone = Vec::new();
        for (q, lists) in self.nearest(&queries, wanted).enumerate() {
            if self.visits_of(q as u32, &lists, scratch) {
                continue;
            }
            let number = some.start + q;
            let one = coarse_queries(self.queries, number..number + 1);
            let all = self.nearest(&one, self.ivf.lists()).next().unwrap_or_default();
            if !self.visits_of(q as u32, &all, scratch) {
                alone.push(q);
            }
        }
        alone
    }

    /// The lists nearest to each query, nearest first.
    fn nearest(
        &self,
        queries: &Queries,
        wanted: usize,
    ) -> impl Iterator<Item = Vec<Entry>> + use<> {
        let metric = coarse_metric(self.ivf.metric());
        let mut tops = vec![TopK::new(wanted, metric); queries.nq()];
        let by_number = |a: u32, b: u32| a.cmp(&b);
        scan(queries, &self.ivf.centroids.block(), &mut tops, &by_number);
        tops.into_iter().map(move |top| top.into_entries(&by_number))
    }

    /// Adds the visits of a query, to as many of these lists as it needs; `false`, and none, if
    /// these are not all and too few.
    fn visits_of(&self, q: u32, lists: &[Entry], scratch: &mut IvfScratch) -> bool {
        let before = scratch.visits.len();
        let (mut goal, mut met) = (0, 0);
        let least = self.ask.k.min(self.survivors);
        for (at, entry) in lists.iter().enumerate() {
            if at < self.ask.nprobe {
                goal += self.ivf.list(entry.row).len();
            } else if met >= goal.min(self.survivors).max(least) {
                return true;
            }
            met += self.admitted(entry.row, &mut scratch.admitted);
            scratch.visits.push((entry.row, q));
        }
        let enough = met >= goal.min(self.survivors).max(least);
        if !enough {
            scratch.visits.truncate(before);
        }
        enough
    }

    /// Rows of a list that the mask admits.
    fn admitted(&self, list: u32, counts: &mut [u32]) -> usize {
        let places = self.ivf.list(list);
        let Some(mask) = self.block.mask else { return places.len() };
        let count = &mut counts[list as usize];
        if *count == UNKNOWN {
            *count = self.ivf.rows_at(places).filter(|&row| admits(mask, row)).count() as u32;
        }
        *count as usize
    }

    /// The admitted rows of a list, as `scratch.rows`.
    fn pick(&self, list: u32, scratch: &mut IvfScratch) {
        let rows = self.ivf.rows_at(self.ivf.list(list));
        scratch.rows.clear();
        match self.block.mask {
            Some(mask) => scratch.rows.extend(rows.filter(|&row| admits(mask, row))),
            None => scratch.rows.extend(rows),
        }
    }

    /// Offers `scratch.rows` to the collector of a query.
    fn score<C: Collect>(&self, q: usize, out: &mut C, scratch: &mut IvfScratch) {
        let IvfScratch { rows, distances, .. } = scratch;
        score_rows(self.queries, self.block, q, rows, distances);
        for (&row, &distance) in rows.iter().zip(distances.iter()) {
            out.offer(distance, self.block.first_row + row, self.tie);
        }
    }

    /// Compares the codes of the lists visited, then scores the nearest rows.
    fn by_codes<C: Collect>(
        &self,
        first: usize,
        visits: &[(u32, u32)],
        out: &mut [C],
        scratch: &mut IvfScratch,
    ) {
        let ivf = self.ivf;
        if scratch.coded.len() < out.len() {
            scratch.coded.resize(out.len(), CodeQuery::default());
        }
        for (q, coded) in scratch.coded.iter_mut().enumerate().take(out.len()) {
            ivf.scale.encode_one(self.queries, first + q, coded);
        }
        // Distances of codes are smaller for nearer rows under every metric, as those of L2.
        let mut near = vec![TopK::new(ivf.to_score(&self.ask), Metric::L2); out.len()];
        for same in visits.chunk_by(|a, b| a.0 == b.0) {
            self.compare(same, &mut near, scratch);
        }
        let mut visited = vec![false; out.len()];
        visits.iter().for_each(|visit| visited[visit.1 as usize] = true);
        let least = self.ask.k.min(self.survivors);
        for (q, near) in near.into_iter().enumerate().filter(|(q, _)| visited[*q]) {
            let near = near.into_entries(&|a, b| a.cmp(&b));
            if near.len() < least {
                // No code of a build is no number.
                self.scan_alone(first + q, &mut out[q], scratch);
                continue;
            }
            scratch.rows.clear();
            let places = near.iter().map(|entry| entry.row as usize);
            scratch.rows.extend(places.flat_map(|place| ivf.rows_at(place..place + 1)));
            self.score(first + q, &mut out[q], scratch);
        }
    }

    /// Offers the places of one list to the queries that visit it, by their codes.
    fn compare(&self, same: &[(u32, u32)], near: &mut [TopK], scratch: &mut IvfScratch) {
        let (codes, list) = (self.ivf.codes(), self.ivf.list(same[0].0));
        let tie = &|a: u32, b: u32| a.cmp(&b);
        let IvfScratch { coded, places, distances, .. } = scratch;
        if let Some(mask) = self.block.mask {
            places.clear();
            let pairs = list.clone().zip(self.ivf.rows_at(list.clone()));
            let picked = pairs.filter(|pair| admits(mask, pair.1)).map(|pair| pair.0 as u32);
            places.extend(picked);
            distances.resize(places.len(), 0.0);
        }
        for &(_, q) in same {
            let (query, near) = (&coded[q as usize], &mut near[q as usize]);
            if self.block.mask.is_none() {
                codes.runs(query, list.clone(), |first, distances| {
                    for (place, &distance) in (first as u32..).zip(distances) {
                        near.offer(distance, place, tie);
                    }
                });
                continue;
            }
            codes.distances(query, places, distances);
            for (&place, &distance) in places.iter().zip(distances.iter()) {
                near.offer(distance, place, tie);
            }
        }
    }

    /// Scores all admitted rows for one query.
    fn scan_alone<C: Collect>(&self, q: usize, out: &mut C, scratch: &mut IvfScratch) {
        for_each_batch::<64>(self.ivf.rows(), self.block.mask, |rows, _| {
            scratch.rows.clear();
            scratch.rows.extend_from_slice(rows);
            self.score(q, out, scratch);
        });
    }
}

#[inline(always)]
pub(super) fn admits(mask: &[u64], row: u32) -> bool {
    mask[row as usize / 64] >> (row % 64) & 1 == 1
}
