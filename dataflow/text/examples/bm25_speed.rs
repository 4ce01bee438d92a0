//! Measures BM25 top-10 over a million short texts with Zipf terms, on one core.
//!
//! `cargo run --release -p millstream-text --example bm25_speed [rows]`
#![allow(clippy::print_stdout, reason = "the figures are the program's purpose")]

use std::time::Instant;

use millstream_text::{Analyzer, Bm25, Query, Scorer, TextSnapshot, TextWriter, Top};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const VOCABULARY: usize = 100_000;
const BATCH: usize = 1000;

/// Draws words with a frequency of `1 / rank`.
struct Zipf {
    sums: Vec<f64>,
    rng: StdRng,
}

impl Zipf {
    fn new() -> Zipf {
        let mut sum = 0.0;
        let weights = (1..=VOCABULARY).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Zipf { sums: weights.collect(), rng: StdRng::seed_from_u64(1) }
    }

    fn text(&mut self, words: usize) -> String {
        let total = self.sums.last().copied().unwrap_or_default();
        let mut text = String::new();
        for _ in 0..words {
            let at: f64 = self.rng.random_range(0.0..total);
            let word = self.sums.partition_point(|&sum| sum < at);
            text.push_str(&format!("t{word:x}e "));
        }
        text
    }
}

fn main() {
    let rows: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let mut zipf = Zipf::new();
    let Ok(analyzer) = Analyzer::from_params(None) else { return };
    for with_positions in [false, true] {
        let mut writer = TextWriter::new(analyzer.clone(), with_positions);
        let (mut spent, mut longest) = (0.0f64, 0.0f64);
        for first in (0..rows).step_by(BATCH) {
            let count = BATCH.min(rows - first);
            let texts: Vec<String> = (0..count).map(|i| zipf.text(20 + (first + i) % 21)).collect();
            let start = Instant::now();
            writer.append(texts.iter().map(String::as_str));
            let seconds = start.elapsed().as_secs_f64();
            spent += seconds;
            longest = longest.max(seconds);
        }
        let snapshot = writer.view().snapshot();
        println!(
            "{rows} rows, positions {with_positions}: {:.0} rows/s, longest batch of {BATCH} \
             {:.1} ms, {:.1} bytes a row",
            rows as f64 / spent,
            longest * 1e3,
            snapshot.bytes() as f64 / rows as f64
        );
        if !with_positions {
            for terms in [1, 2, 3, 5, 10] {
                measure(&snapshot, &analyzer, &mut zipf, rows, terms);
            }
        }
    }
}

/// Times queries whose terms are drawn as those of the texts are.
fn measure(
    snapshot: &TextSnapshot,
    analyzer: &Analyzer,
    zipf: &mut Zipf,
    rows: usize,
    terms: usize,
) {
    let mut all = vec![u64::MAX; rows.div_ceil(64)];
    if let Some(last) = all.last_mut().filter(|_| !rows.is_multiple_of(64)) {
        *last = (1 << (rows % 64)) - 1;
    }
    let mut filtered = all.clone();
    filtered.iter_mut().for_each(|word| *word &= 0x1111_1111_1111_1111);
    // One row in 200 deleted, so that frequencies are counted row by row.
    let mut deleted = all.clone();
    deleted.iter_mut().step_by(3).for_each(|word| *word &= !(1 << 17));
    for (name, visible, mask) in [
        ("all rows", &all, &all),
        ("a quarter", &all, &filtered),
        ("0.5 % deleted", &deleted, &deleted),
    ] {
        let mut times = Vec::new();
        for _ in 0..300 {
            let text = zipf.text(terms);
            let start = Instant::now();
            let query = Query::new(analyzer, &text);
            let statistics = snapshot.statistics(&query, visible);
            let scorer = Scorer::new(&query, &statistics, Bm25::default());
            let mut top = Top::new(10);
            snapshot.search(&scorer, mask, 0, &mut top, &|a, b| a.cmp(&b));
            std::hint::black_box(top.finish(&|a, b| a.cmp(&b)));
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!(
            "  {terms:>2} terms, {name:<13}: p50 {:.2} ms, p95 {:.2} ms, max {:.2} ms",
            times[150], times[285], times[299]
        );
    }
}
