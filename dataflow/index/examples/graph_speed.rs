//! Measures graphs: CPU seconds of the build, CPU time of a search, and the recall of both.
//!
//! `graph_speed [FILE DIM [M EF_CONSTRUCTION [L2|IP|COSINE]]]`: a file of little-endian f32 vectors,
//! row-major, of which the last 1,000 are the queries; without one, 50,000 vectors around 1,000
//! centres. `benches/hnswlib_figures.py` runs it beside hnswlib, and prints ratios.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64};

use bytes::Bytes;
use millstream_catalog::model::Metric;
use millstream_index::graph::{Ask, Graph, GraphParams, GraphScratch, build};
use millstream_index::{Block, Hit, Queries, Range, TopK, Vectors, inv_norms, scan};

use support::{QUERIES, data, metric_of, process_cpu, thread_cpu, uniform};

const K: usize = 10;
/// Passes over the queries, of which the fastest counts.
const PASSES: usize = 3;

struct Case<'a> {
    vectors: &'a [f32],
    inv_norms: &'a [f32],
    dim: usize,
    queries: &'a [f32],
    graph: &'a Graph,
    metric: Metric,
}

impl Case<'_> {
    fn block<'b>(&'b self, mask: Option<&'b [u64]>) -> Block<'b> {
        let vectors = Vectors::Float(self.vectors);
        Block { vectors, inv_norms: self.inv_norms, mask, first_row: 0 }
    }

    fn exact(&self, mask: Option<&[u64]>) -> Vec<Vec<Hit>> {
        let queries = Queries::new(self.metric, self.dim, self.queries).expect("queries");
        let mut out = vec![TopK::new(K, self.metric); queries.nq()];
        scan(&queries, &self.block(mask), &mut out, &|a, b| a.cmp(&b));
        out.into_iter().map(|top| top.finish(&|a, b| a.cmp(&b))).collect()
    }

    /// Microseconds of CPU for a query, each alone, and the recall.
    fn search(&self, mask: Option<&[u64]>, ef: usize, exact: &[Vec<Hit>]) -> (f64, f64) {
        let (mut best, mut same) = (f64::INFINITY, 0);
        let mut scratch = GraphScratch::default();
        let ask = Ask { k: K, ef, range: Range::default() };
        let block = self.block(mask);
        for _ in 0..PASSES {
            same = 0;
            let start = thread_cpu();
            for (query, exact) in self.queries.chunks(self.dim).zip(exact) {
                let query = Queries::new(self.metric, self.dim, query).expect("a query");
                let mut out = [TopK::new(K, self.metric)];
                let tie = |a: u32, b: u32| a.cmp(&b);
                self.graph.search(&query, &block, &ask, &mut out, &mut scratch, &tie);
                let [top] = out;
                let hits = top.finish(&tie);
                same += hits.iter().filter(|hit| exact.iter().any(|e| e.row == hit.row)).count();
            }
            best = best.min(thread_cpu() - start);
        }
        let all: usize = exact.iter().map(Vec::len).sum();
        (best * 1e6 / exact.len() as f64, same as f64 / all.max(1) as f64)
    }
}

/// Masks of a share of the rows: at random, and those that are on one side of the origin.
fn masks(case: &Case<'_>, share: f64) -> [(&'static str, Vec<u64>); 2] {
    let rows = case.vectors.len() / case.dim;
    let random: Vec<f32> = uniform(77).take(rows).collect();
    let along: Vec<f32> = case.vectors.chunks(case.dim).map(|row| row[0] + row[1]).collect();
    [("random", random), ("side", along)].map(|(name, values)| {
        let mut sorted = values.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let bound = sorted[((1.0 - share) * (rows - 1) as f64) as usize];
        let mut mask = vec![0_u64; rows.div_ceil(64)];
        for (row, _) in values.iter().enumerate().filter(|(_, x)| **x > bound) {
            mask[row / 64] |= 1 << (row % 64);
        }
        (name, mask)
    })
}

fn main() {
    let (all, dim) = data(5);
    let (vectors, queries) = all.split_at(all.len() - QUERIES * dim);
    let mut inv = vec![0.0; vectors.len() / dim];
    inv_norms(dim, vectors, &mut inv);
    let (cancel, progress) = (AtomicBool::new(false), AtomicU64::new(0));
    let threads = std::env::var("THREADS").ok().and_then(|x| x.parse().ok()).unwrap_or(1);
    let start = process_cpu();
    let rows = Vectors::Float(vectors);
    let number = |at: usize, or: usize| {
        std::env::args().nth(at).map_or(or, |x| x.parse().expect("a number"))
    };
    let params = GraphParams { m: number(3, 16), ef_construction: number(4, 200) };
    let metric = metric_of(5);
    let bytes =
        build(rows, dim, &inv, metric, params, threads, &cancel, &progress).expect("a graph");
    println!("build_cpu_s {:.2}", process_cpu() - start);
    println!("rows {} bytes_a_row {:.0}", inv.len(), bytes.len() as f64 / inv.len() as f64);
    let graph = Graph::open(Bytes::from(bytes)).expect("a graph");
    let case = Case { vectors, inv_norms: &inv, dim, queries, graph: &graph, metric };
    let exact = case.exact(None);
    for ef in [10, 32, 64, 128, 256, 512] {
        let (micros, recall) = case.search(None, ef, &exact);
        println!("search ef {ef} cpu_us {micros:.1} recall {recall:.4}");
    }
    for share in [0.5, 0.3, 0.1, 0.01, 0.001] {
        for (name, mask) in masks(&case, share) {
            let exact = case.exact(Some(&mask));
            for ef in [64, 128] {
                let (micros, recall) = case.search(Some(&mask), ef, &exact);
                println!("filter {name} {share} ef {ef} cpu_us {micros:.1} recall {recall:.4}");
            }
        }
    }
}
