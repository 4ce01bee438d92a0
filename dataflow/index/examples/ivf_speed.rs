//! Measures lists: CPU seconds of the build, CPU time of a search, and the recall of both.
//!
//! `ivf_speed [FILE DIM [NLIST [L2|IP|COSINE]]]`: a file of little-endian f32 vectors, row-major, of
//! which the last 1,000 are the queries; without one, 50,000 vectors around 1,000 centres. Binary
//! vectors are the signs of these.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64};

use bytes::Bytes;
use millstream_catalog::model::{DataType, Metric};
use millstream_index::ivf::{Ask, Ivf, IvfKind, IvfParams, IvfScratch, build};
use millstream_index::{Block, Hit, Queries, TopK, Vectors, inv_norms, scan};

use support::{QUERIES, data, metric_of, process_cpu, thread_cpu};

const K: usize = 10;
/// Passes over the queries, of which the fastest counts.
const PASSES: usize = 3;

struct Case<'a> {
    block: Block<'a>,
    metric: Metric,
    dim: usize,
    data_type: DataType,
    /// Bytes of the queries.
    queries: &'a [u8],
}

impl Case<'_> {
    fn queries(&self, bytes: &[u8]) -> Queries {
        Queries::new_typed(self.metric, self.data_type, self.dim, bytes).expect("queries")
    }

    fn exact(&self) -> Vec<Vec<Hit>> {
        let queries = self.queries(self.queries);
        let mut out = vec![TopK::new(K, self.metric); queries.nq()];
        scan(&queries, &self.block, &mut out, &|a, b| a.cmp(&b));
        out.into_iter().map(|top| top.finish(&|a, b| a.cmp(&b))).collect()
    }

    /// Microseconds of CPU for a query, `together` at a time, and the recall.
    fn search(&self, ivf: &Ivf, nprobe: usize, together: usize, exact: &[Vec<Hit>]) -> (f64, f64) {
        let (mut best, mut same) = (f64::INFINITY, 0);
        let (ask, mut scratch) = (Ask { k: K, nprobe, scored: 0 }, IvfScratch::default());
        let tie = |a: u32, b: u32| a.cmp(&b);
        for _ in 0..PASSES {
            same = 0;
            let start = thread_cpu();
            let width = self.queries.len() / QUERIES;
            let parts = self.queries.chunks(width * together).zip(exact.chunks(together));
            for (queries, exact) in parts {
                let queries = self.queries(queries);
                let mut out = vec![TopK::new(K, self.metric); queries.nq()];
                ivf.search(&queries, &self.block, &ask, &mut out, &mut scratch, &tie);
                for (top, exact) in out.into_iter().zip(exact) {
                    let worst = exact.last().map_or(0.0, |hit| hit.score);
                    let good = |hit: &&Hit| match self.metric.larger_is_better() {
                        true => hit.score >= worst,
                        false => hit.score <= worst,
                    };
                    same += top.finish(&tie).iter().filter(good).count();
                }
            }
            best = best.min(thread_cpu() - start);
        }
        let all: usize = exact.iter().map(Vec::len).sum();
        (best * 1e6 / exact.len() as f64, same as f64 / all.max(1) as f64)
    }

    fn measure(&self, kind: IvfKind, nlist: usize) {
        let (cancel, progress) = (AtomicBool::new(false), AtomicU64::new(0));
        let Block { vectors, inv_norms, .. } = self.block;
        let params = IvfParams { kind, nlist };
        let start = process_cpu();
        let (dim, metric) = (self.dim, self.metric);
        let threads = std::env::var("THREADS").ok().and_then(|x| x.parse().ok()).unwrap_or(1);
        let bytes = build(vectors, dim, inv_norms, metric, params, threads, &cancel, &progress);
        let bytes = bytes.expect("lists");
        println!("{kind:?} {} build_cpu_s {:.2}", metric.name(), process_cpu() - start);
        let ivf = Ivf::open(Bytes::from(bytes)).expect("lists");
        let exact = self.exact();
        for nprobe in [1, 8, 16, 32, 64, 128, 256] {
            for together in [1, 16, 1000] {
                let (micros, recall) = self.search(&ivf, nprobe, together, &exact);
                println!(
                    "{kind:?} nprobe {nprobe} nq {together} cpu_us {micros:.1} recall {recall:.4}"
                );
            }
        }
    }
}

fn main() {
    let (all, dim) = data(4);
    let metric = metric_of(4);
    let nlist = std::env::args().nth(3).map_or(512, |x| x.parse().expect("a number of lists"));
    let (vectors, queries) = all.split_at(all.len() - QUERIES * dim);
    let mut inv = vec![0.0; vectors.len() / dim];
    inv_norms(dim, vectors, &mut inv);
    let queries: Vec<u8> = queries.iter().flat_map(|x| x.to_le_bytes()).collect();
    let data_type = DataType::FloatVector;
    let vectors = Vectors::Float(vectors);
    let block = Block { vectors, inv_norms: &inv, mask: None, first_row: 0 };
    let case = Case { block, metric, dim, data_type, queries: &queries };
    for kind in [IvfKind::Flat, IvfKind::Sq8] {
        case.measure(kind, nlist);
    }
    let bits_dim = dim / 8 * 8;
    let bits = |row: &[f32]| -> Vec<u8> {
        let byte = |eight: &[f32]| (0..8).map(|bit| u8::from(eight[bit] > 0.0) << bit).sum();
        row[..bits_dim].chunks(8).map(byte).collect()
    };
    let all: Vec<u8> = all.chunks(dim).flat_map(bits).collect();
    let (vectors, queries) = all.split_at(all.len() - QUERIES * bits_dim / 8);
    let (vectors, data_type) = (Vectors::Binary(vectors), DataType::BinaryVector);
    let block = Block { vectors, inv_norms: &[], mask: None, first_row: 0 };
    for metric in [Metric::Hamming, Metric::Jaccard] {
        let case = Case { block, metric, dim: bits_dim, data_type, queries };
        case.measure(IvfKind::Bits, nlist);
    }
}
