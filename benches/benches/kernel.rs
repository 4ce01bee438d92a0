//! Brute-force kernels against the memory: `cargo bench -p millstream-benches --bench kernel`.
//!
//! Options after `--`: `--rows N` (300000), `--dim D` (100), `--passes P` (7). The array lies on 2
//! MiB pages where the system allows it (the run says how much of it); each pass runs every
//! candidate once, and the best pass of each counts.

use std::cmp::Ordering;
use std::hint::black_box;
use std::time::Instant;

use millstream_benches::data::unit_vectors;
use millstream_benches::options::Options;
use millstream_benches::process::{huge_page_bytes, with_huge_pages};
use millstream_benches::report::{Figure, note};
use millstream_catalog::model::Metric;
use millstream_index::{Block, Queries, TopK, inv_norms, scan};

const USAGE: &str = "kernel [--rows N] [--dim D] [--passes P] [--only bandwidth|batches|masks]";

/// Rows, and what the scans need to know about them.
struct Table {
    dim: usize,
    vectors: Vec<f32>,
    inv_norms: Vec<f32>,
}

fn main() {
    with_huge_pages();
    let mut options = Options::from_args(USAGE);
    let rows = options.number("--rows", 300_000);
    let dim = options.number("--dim", 100);
    let passes = options.number("--passes", 7);
    let only = options.text("--only");
    options.finish();

    let vectors = unit_vectors(rows, dim, 1);
    let mut inverse = vec![0.0; rows];
    inv_norms(dim, &vectors, &mut inverse);
    let table = Table { dim, vectors, inv_norms: inverse };
    let bytes = table.vectors.len() * 4;
    note(&format!(
        "{rows} x {dim} f32 = {} MB, {} MB on huge pages, best of {passes} passes",
        bytes / 1_000_000,
        huge_page_bytes() / 1_000_000
    ));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("bandwidth") {
        bandwidth(&table, passes);
    }
    if wanted("batches") {
        batches(&table, passes);
    }
    if wanted("masks") {
        masks(&table, passes);
    }
}

/// One query: bytes a second against a plain read loop over the same array.
fn bandwidth(table: &Table, passes: usize) {
    let metrics = [Metric::Ip, Metric::L2, Metric::Cosine];
    let mut best = [f64::INFINITY; 4];
    for _ in 0..passes {
        keep(&mut best[3], || read(&table.vectors));
        for (best, metric) in best.iter_mut().zip(metrics) {
            let query = unit_vectors(1, table.dim, 2);
            keep(best, || search(table, metric, &query, 10, None));
        }
    }
    let rate = |seconds: f64| table.vectors.len() as f64 * 4.0 / seconds / 1e9;
    for (metric, seconds) in metrics.into_iter().zip(best) {
        Figure::new(format!("scan_nq1_{}", metric.name()), rate(seconds), "GB/s")
            .against("plain read loop", rate(best[3]))
            .ratio_at_least(0.85)
            .print();
    }
}

/// Many queries: time a query against one query alone.
fn batches(table: &Table, passes: usize) {
    let sizes = [1, 2, 3, 4, 8, 16, 64, 256];
    for (metric, k) in
        [(Metric::Ip, 10), (Metric::L2, 10), (Metric::Cosine, 10), (Metric::L2, 1000)]
    {
        let mut best = [f64::INFINITY; 8];
        for _ in 0..passes.div_ceil(2) {
            for (best, nq) in best.iter_mut().zip(sizes) {
                let queries = unit_vectors(nq, table.dim, 3);
                keep(best, || search(table, metric, &queries, k, None));
            }
        }
        for (seconds, nq) in best.into_iter().zip(sizes).skip(1) {
            let name = format!("scan_nq{nq}_{}_top{k}", metric.name());
            Figure::new(name, seconds / nq as f64 * 1e3, "ms/query")
                .against("nq=1", best[0] * 1e3)
                .print();
        }
    }
}

/// Masks: time per surviving row.
fn masks(table: &Table, passes: usize) {
    let rows = table.inv_norms.len();
    for share in [0.001, 0.01, 0.1, 0.5, 0.9] {
        let mut mask = vec![0_u64; rows.div_ceil(64)];
        // Multiplying by an odd number spreads the rows without a generator.
        let admitted =
            |row: usize| (row as u32).wrapping_mul(2_654_435_761) < (share * 4.29e9) as u32;
        (0..rows).filter(|&row| admitted(row)).for_each(|row| mask[row / 64] |= 1 << (row % 64));
        let survivors: u32 = mask.iter().map(|word| word.count_ones()).sum();
        for nq in [1, 16] {
            let queries = unit_vectors(nq, table.dim, 4);
            let mut best = f64::INFINITY;
            for _ in 0..passes {
                let search = || search(table, Metric::Ip, &queries, 10, Some(&mask));
                keep(&mut best, search);
            }
            let nanoseconds = best * 1e9 / f64::from(survivors) / nq as f64;
            Figure::new(format!("scan_nq{nq}_mask_{share}"), nanoseconds, "ns/pair").print();
        }
    }
}

/// Runs `f` and keeps the smaller of its time and `best`, in seconds.
fn keep<T>(best: &mut f64, f: impl FnOnce() -> T) {
    let start = Instant::now();
    black_box(f());
    *best = best.min(start.elapsed().as_secs_f64());
}

/// A plain loop that reads everything.
fn read(vectors: &[f32]) -> u32 {
    let mut sums = [0_u32; 64];
    for chunk in vectors.chunks_exact(64) {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum = sum.wrapping_add(value.to_bits());
        }
    }
    sums.into_iter().fold(0, u32::wrapping_add)
}

/// One complete search; returns the sum of the best row numbers, so that nothing is left out.
fn search(table: &Table, metric: Metric, queries: &[f32], k: usize, mask: Option<&[u64]>) -> u64 {
    let tie = |a: u32, b: u32| -> Ordering { a.cmp(&b) };
    let queries = Queries::new(metric, table.dim, queries).expect("whole vectors");
    let mut out = vec![TopK::new(k, metric); queries.nq()];
    let block = Block { vectors: &table.vectors, inv_norms: &table.inv_norms, mask, first_row: 0 };
    scan(&queries, &block, &mut out, &tie);
    out.into_iter().map(|top| u64::from(top.finish(&tie)[0].row)).sum()
}
