//! Data and clocks of the examples that measure.

#![allow(dead_code, reason = "each of the examples uses a part")]

use millstream_catalog::model::Metric;

/// The queries, at the end of the data.
pub(crate) const QUERIES: usize = 1000;

/// The metric that argument `at` names.
pub(crate) fn metric_of(at: usize) -> Metric {
    match std::env::args().nth(at).as_deref() {
        Some("L2") => Metric::L2,
        Some("IP") => Metric::Ip,
        _ => Metric::Cosine,
    }
}

/// CPU seconds of all threads of the process, in steps of 10 ms.
pub(crate) fn process_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("procfs");
    let after = stat.rsplit(')').next().unwrap_or_default();
    let field = |at: usize| -> f64 {
        after.split_whitespace().nth(at).and_then(|x| x.parse().ok()).unwrap_or_default()
    };
    (field(11) + field(12)) / 100.0
}

/// CPU seconds of this thread.
pub(crate) fn thread_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("procfs");
    let nanos: f64 = stat.split_whitespace().next().and_then(|x| x.parse().ok()).unwrap_or(0.0);
    nanos / 1e9
}

/// Numbers in -1..1, by the generator splitmix64.
pub(crate) fn uniform(mut seed: u64) -> impl Iterator<Item = f32> {
    std::iter::repeat_with(move || {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (seed ^ seed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ x >> 31) >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    })
}

fn clusters(rows: usize, dim: usize) -> Vec<f32> {
    let centres: Vec<f32> = uniform(0x1234_5678_9ABC).take(1000 * dim).collect();
    let mut noise = uniform(0x9876_5432_1FED);
    let mut vectors = Vec::with_capacity(rows * dim);
    for row in 0..rows {
        let centre = (row * 7919 % 1000) * dim;
        vectors.extend((0..dim).map(|d| centres[centre + d] + noise.next().unwrap_or(0.0)));
    }
    vectors
}

/// Vectors, of unit length under COSINE: rows and then queries; and their dimensions. The metric is
/// argument `metric_at`.
pub(crate) fn data(metric_at: usize) -> (Vec<f32>, usize) {
    let mut args = std::env::args().skip(1);
    let (mut vectors, dim) = match (args.next(), args.next()) {
        (Some(file), Some(dim)) => {
            let bytes = std::fs::read(file).expect("a readable file");
            let values = bytes.as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
            (values, dim.parse().expect("a number of dimensions"))
        }
        _ => (clusters(50_000 + QUERIES, 96), 96),
    };
    // Under other metrics lengths matter.
    let cosine = metric_of(metric_at) == Metric::Cosine;
    for row in vectors.chunks_mut(dim).take(if cosine { usize::MAX } else { 0 }) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm.max(1e-30));
    }
    (vectors, dim)
}
