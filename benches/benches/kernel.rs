//! Brute-force kernels against the memory: `cargo bench -p millstream-benches --bench kernel`.
//!
//! Options after `--`: `--rows N` (300000), `--dim D` (128), `--passes P` (7). The array lies on 2
//! MiB pages where the system allows it (the run says how much of it); each pass runs every
//! candidate once, and the best pass of each counts.

use std::cmp::Ordering;
use std::hint::black_box;
use std::time::Instant;

use millstream_benches::data::unit_vectors;
use millstream_benches::options::Options;
use millstream_benches::process::{huge_page_bytes, with_huge_pages};
use millstream_benches::report::{Figure, note};
use millstream_catalog::model::{DataType, Metric};
use millstream_index::{Block, Queries, TopK, Vectors, inv_norms_of, scan};

const USAGE: &str =
    "kernel [--rows N] [--dim D] [--passes P] [--only bandwidth|batches|filters|types|sparse]";

/// Rows of one type, and what the scans need to know about them.
struct Table {
    data_type: DataType,
    dim: usize,
    vectors: Values,
    inv_norms: Vec<f32>,
}

/// Row-major values as segments hold them.
enum Values {
    Float(Vec<f32>),
    Half(Vec<u16>),
    Int8(Vec<i8>),
    Binary(Vec<u8>),
}

impl Table {
    /// Vectors of another type with the values of `floats`, which lie within -1 and 1.
    fn of(data_type: DataType, dim: usize, floats: &[f32]) -> Table {
        let vectors = match data_type {
            DataType::Float16Vector => Values::Half(floats.iter().map(|&x| half(x)).collect()),
            DataType::BFloat16Vector => {
                Values::Half(floats.iter().map(|x| (x.to_bits() >> 16) as u16).collect())
            }
            DataType::Int8Vector => Values::Int8(
                floats.iter().map(|x| (x * 400.0).clamp(-128.0, 127.0) as i8).collect(),
            ),
            DataType::BinaryVector => {
                let byte = |bits: &[f32]| bits.iter().fold(0, |b, &x| b << 1 | u8::from(x > 0.0));
                Values::Binary(floats.chunks(8).map(byte).collect())
            }
            _ => Values::Float(floats.to_vec()),
        };
        let mut table = Table { data_type, dim, vectors, inv_norms: Vec::new() };
        let mut inverse = vec![0.0; floats.len() / dim];
        inv_norms_of(data_type, dim, &table.bytes(), &mut inverse);
        table.inv_norms = inverse;
        table
    }

    fn vectors(&self) -> Vectors<'_> {
        match (&self.vectors, self.data_type) {
            (Values::Float(values), _) => Vectors::Float(values),
            (Values::Half(values), DataType::Float16Vector) => Vectors::Half(values),
            (Values::Half(values), _) => Vectors::BHalf(values),
            (Values::Int8(values), _) => Vectors::Int8(values),
            (Values::Binary(values), _) => Vectors::Binary(values),
        }
    }

    /// The vectors as they are on the wire.
    fn bytes(&self) -> Vec<u8> {
        match &self.vectors {
            Values::Float(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Values::Half(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Values::Int8(values) => values.iter().map(|x| x.cast_unsigned()).collect(),
            Values::Binary(values) => values.clone(),
        }
    }

    /// Queries in this table's type with the values of `floats`.
    fn queries(&self, metric: Metric, floats: &[f32]) -> Queries {
        let bytes = Table::of(self.data_type, self.dim, floats).bytes();
        Queries::new_typed(metric, self.data_type, self.dim, &bytes).expect("whole vectors")
    }

    /// One complete search; returns the sum of the best row numbers, so that nothing is left out.
    fn search(&self, metric: Metric, floats: &[f32], k: usize, mask: Option<&[u64]>) -> u64 {
        let tie = |a: u32, b: u32| -> Ordering { a.cmp(&b) };
        let queries = self.queries(metric, floats);
        let mut out = vec![TopK::new(k, metric); queries.nq()];
        let block =
            Block { vectors: self.vectors(), inv_norms: &self.inv_norms, mask, first_row: 0 };
        scan(&queries, &block, &mut out, &tie);
        out.into_iter().filter_map(|t| t.finish(&tie).first().map(|hit| u64::from(hit.row))).sum()
    }
}

/// The nearest half-precision number below 1 towards zero; smaller ones than a normal one are 0.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = (bits >> 23 & 0xFF).saturating_sub(127 - 15);
    let magnitude = if exponent == 0 { 0 } else { exponent << 10 | (bits >> 13 & 0x3FF) };
    ((bits >> 31) << 15 | magnitude) as u16
}

fn main() {
    with_huge_pages();
    let mut options = Options::from_args(USAGE);
    let rows = options.number("--rows", 300_000);
    let dim = options.number("--dim", 128);
    let passes = options.number("--passes", 7);
    let only = options.text("--only");
    options.finish();

    let floats = unit_vectors(rows, dim, 1);
    let table = Table::of(DataType::FloatVector, dim, &floats);
    note(&format!(
        "{rows} x {dim} f32 = {} MB, {} MB on huge pages, best of {passes} passes",
        floats.len() * 4 / 1_000_000,
        huge_page_bytes() / 1_000_000
    ));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("bandwidth") {
        bandwidth(&table, &floats, passes);
    }
    if wanted("batches") {
        batches(&table, passes);
    }
    if wanted("filters") {
        filters(&table, &floats, passes);
    }
    if wanted("types") {
        types(table, &floats, passes);
    }
    if wanted("sparse") {
        sparse(passes);
    }
}

/// One query: bytes a second against a plain read loop over the same array.
fn bandwidth(table: &Table, floats: &[f32], passes: usize) {
    let metrics = [Metric::Ip, Metric::L2, Metric::Cosine];
    let mut best = [f64::INFINITY; 4];
    for _ in 0..passes {
        keep(&mut best[3], || read(floats));
        for (best, metric) in best.iter_mut().zip(metrics) {
            let query = unit_vectors(1, table.dim, 2);
            keep(best, || table.search(metric, &query, 10, None));
        }
    }
    let rate = |seconds: f64| floats.len() as f64 * 4.0 / seconds / 1e9;
    for (metric, seconds) in metrics.into_iter().zip(best) {
        Figure::new(format!("scan_nq1_{}", metric.name()), rate(seconds), "GB/s")
            .against("plain read loop", rate(best[3]))
            .ratio_at_least(0.85)
            .print();
    }
}

/// Many queries: time a query against one query alone.
fn batches(table: &Table, passes: usize) {
    let sizes = [1, 2, 3, 4, 8, 16, 100, 256];
    for (metric, k) in
        [(Metric::Ip, 10), (Metric::L2, 10), (Metric::Cosine, 10), (Metric::L2, 1000)]
    {
        let mut best = [f64::INFINITY; 8];
        for _ in 0..passes.div_ceil(2) {
            for (best, nq) in best.iter_mut().zip(sizes) {
                let queries = unit_vectors(nq, table.dim, 3);
                keep(best, || table.search(metric, &queries, k, None));
            }
        }
        for (seconds, nq) in best.into_iter().zip(sizes).skip(1) {
            let name = format!("scan_nq{nq}_{}_top{k}", metric.name());
            let figure = Figure::new(name, seconds / nq as f64 * 1e3, "ms/query")
                .against("nq=1", best[0] * 1e3);
            let figure = if nq >= 100 { figure.ratio_at_most(1.0 / 3.0) } else { figure };
            figure.print();
        }
    }
}

/// Filters: evaluation and scan under the mask against evaluation and a scan of nothing but the
/// survivors, which lie side by side.
fn filters(table: &Table, floats: &[f32], passes: usize) {
    let rows = table.inv_norms.len();
    // Multiplying by an odd number spreads the values without a generator.
    let column: Vec<i64> =
        (0..rows).map(|row| i64::from((row as u32).wrapping_mul(2_654_435_761))).collect();
    for share in [0.01, 0.1, 0.5, 0.9] {
        let below = (share * 4_294_967_296.0) as i64;
        let chosen = floats.chunks_exact(table.dim).zip(&column).filter(|(_, x)| **x < below);
        let survivors: Vec<f32> = chosen.flat_map(|(row, _)| row.iter().copied()).collect();
        let survivors = Table::of(DataType::FloatVector, table.dim, &survivors);
        for nq in [1, 16] {
            let queries = unit_vectors(nq, table.dim, 4);
            let (mut masked, mut packed) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..passes {
                keep(&mut masked, || {
                    table.search(Metric::Ip, &queries, 10, Some(&evaluate(&column, below)))
                });
                keep(&mut packed, || {
                    black_box(evaluate(&column, below));
                    survivors.search(Metric::Ip, &queries, 10, None)
                });
            }
            let name = format!("scan_nq{nq}_filter_{}%", share * 100.0);
            Figure::new(name, masked * 1e3, "ms")
                .against("filter, then survivors packed", packed * 1e3)
                .ratio_at_most(1.2)
                .print();
        }
    }
}

/// The rows whose value is below a bound, as a bitset.
fn evaluate(column: &[i64], below: i64) -> Vec<u64> {
    let word = |values: &[i64]| {
        values.iter().enumerate().fold(0, |word, (i, &x)| word | u64::from(x < below) << i)
    };
    column.chunks(64).map(word).collect()
}

/// One query, and a hundred, against rows of every dense type.
fn types(floats: Table, values: &[f32], passes: usize) {
    let dim = floats.dim;
    let of = |data_type| Table::of(data_type, dim, values);
    let (l2, ip, cosine) = (Metric::L2, Metric::Ip, Metric::Cosine);
    let tables = [
        (floats, [ip, l2, cosine], 1.0),
        (of(DataType::Float16Vector), [ip, l2, cosine], 1.7),
        (of(DataType::BFloat16Vector), [ip, l2, cosine], 1.7),
        (of(DataType::Int8Vector), [ip, l2, cosine], 3.0),
        (
            of(DataType::BinaryVector),
            [Metric::Hamming, Metric::Jaccard, Metric::Substructure],
            20.0,
        ),
    ];
    for nq in [1, 100] {
        let queries = unit_vectors(nq, dim, 5);
        let mut best = [[f64::INFINITY; 3]; 5];
        for _ in 0..if nq == 1 { passes * 2 } else { passes.div_ceil(3) } {
            for ((table, metrics, _), best) in tables.iter().zip(&mut best) {
                for (metric, best) in metrics.iter().zip(best) {
                    keep(best, || table.search(*metric, &queries, 10, None));
                }
            }
        }
        let rate = |seconds: f64| (values.len() / dim * nq) as f64 / seconds / 1e6;
        for ((table, metrics, target), times) in tables.iter().zip(best) {
            for (place, (metric, seconds)) in metrics.iter().zip(times).enumerate() {
                let name = format!("scan_nq{nq}_{}_{}", table.data_type.name(), metric.name());
                // The same place is the same metric, but for bits, which are compared with IP.
                let peer = if *metric == tables[0].1[place] { place } else { 0 };
                let figure = Figure::new(name, rate(seconds), "Mpairs/s")
                    .against("Float", rate(best[0][peer]));
                let figure =
                    if nq == 1 && *target > 1.0 { figure.ratio_at_least(*target) } else { figure };
                figure.print();
            }
        }
    }
}

/// Sparse vectors: one query of 50 pairs against 100,000 rows of 50.
fn sparse(passes: usize) {
    let (rows, pairs) = (100_000, 50);
    let mut state = 1_u32;
    let mut vector = || -> Vec<u8> {
        let mut indices: Vec<u32> = (0..pairs)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) % 30_000
            })
            .collect();
        indices.sort_unstable();
        indices.dedup();
        indices.iter().flat_map(|i| [i.to_le_bytes(), 0.5_f32.to_le_bytes()].concat()).collect()
    };
    let query = vector();
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for _ in 0..rows {
        bytes.extend(vector());
        offsets.push(bytes.len() as u32);
    }
    let mut best = f64::INFINITY;
    for _ in 0..passes {
        keep(&mut best, || {
            let queries = Queries::sparse(Metric::Ip, [&query[..]]).expect("ascending indices");
            let mut out = [TopK::new(10, Metric::Ip)];
            let vectors = Vectors::Sparse { offsets: &offsets, bytes: &bytes };
            let block = Block { vectors, inv_norms: &[], mask: None, first_row: 0 };
            scan(&queries, &block, &mut out, &|a: u32, b: u32| a.cmp(&b));
            out
        });
    }
    Figure::new("scan_nq1_sparse_100k_x_50", best * 1e3, "ms").print();
    Figure::new("scan_nq1_sparse_bandwidth", bytes.len() as f64 / best / 1e9, "GB/s").print();
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
