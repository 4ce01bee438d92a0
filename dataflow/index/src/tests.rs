//! Scans against a naive model in f64.

mod groups;
mod typed;

use std::cmp::Ordering;

use millstream_catalog::model::Metric;
use proptest::prelude::*;
use proptest::sample::select;

use crate::kernel::{Isa, available, isa};
use crate::scan::scan_on;
use crate::{Block, Hit, IndexError, MergedHit, Queries, TopK, Vectors, inv_norms, merge, scan};

/// Keys of rows for tie-breaking: a permutation that is not the row order.
fn key(row: u32) -> u32 {
    row.wrapping_mul(2_654_435_761)
}

fn by_key(a: u32, b: u32) -> Ordering {
    key(a).cmp(&key(b))
}

/// A search problem.
#[derive(Debug, Clone)]
struct Case {
    metric: Metric,
    dim: usize,
    rows: Vec<f32>,
    queries: Vec<f32>,
    mask: Option<Vec<u64>>,
    k: usize,
    /// Lengths of the blocks the rows are cut into, in rows; multiples of 64 where there is a mask.
    block_rows: usize,
}

impl Case {
    fn row_count(&self) -> usize {
        self.rows.len() / self.dim
    }

    fn admits(&self, row: usize) -> bool {
        self.mask.as_ref().is_none_or(|m| m[row / 64] >> (row % 64) & 1 == 1)
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.dim..][..self.dim]
    }

    /// Runs the crate's scan over queries `range` in blocks of `block_rows`.
    fn search(&self, range: std::ops::Range<usize>, block_rows: usize) -> Vec<Vec<Hit>> {
        self.search_on(isa(), range, block_rows)
    }

    /// [`Case::search`] with the kernels of one instruction set.
    fn search_on(
        &self,
        isa: Isa,
        range: std::ops::Range<usize>,
        block_rows: usize,
    ) -> Vec<Vec<Hit>> {
        let queries = &self.queries[range.start * self.dim..range.end * self.dim];
        let queries = Queries::new(self.metric, self.dim, queries).unwrap();
        let mut inv = vec![0.0; self.row_count()];
        inv_norms(self.dim, &self.rows, &mut inv);
        let mut out = vec![TopK::new(self.k, self.metric); range.len()];
        for start in (0..self.row_count()).step_by(block_rows) {
            let end = (start + block_rows).min(self.row_count());
            let block = Block {
                vectors: Vectors::Float(&self.rows[start * self.dim..end * self.dim]),
                inv_norms: &inv[start..end],
                mask: self.mask.as_ref().map(|m| &m[start / 64..]),
                first_row: start as u32,
            };
            scan_on(isa, &queries, &block, &mut out, &by_key);
        }
        out.into_iter().map(|top| top.finish(&by_key)).collect()
    }
}

/// The exact score in f64, and a bound of the error that f32 sums may have.
fn model_score(metric: Metric, query: &[f32], row: &[f32]) -> (f64, f64) {
    let pairs = || query.iter().zip(row).map(|(&q, &x)| (f64::from(q), f64::from(x)));
    let norm = |v: &[f32]| v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let unit = (query.len() as f64 + 8.0) * 2.0_f64.powi(-23);
    match metric {
        Metric::L2 => {
            let exact = pairs().map(|(q, x)| (q - x).powi(2)).sum::<f64>();
            (exact, exact * unit + 1e-36)
        }
        Metric::Ip => {
            let exact = pairs().map(|(q, x)| q * x).sum::<f64>();
            (exact, pairs().map(|(q, x)| (q * x).abs()).sum::<f64>() * unit + 1e-36)
        }
        Metric::Cosine => {
            let norms = norm(query) * norm(row);
            let tiny = norm(query) == 0.0 || norm(row) < f64::from(f32::MIN_POSITIVE);
            let exact = pairs().map(|(q, x)| q * x).sum::<f64>();
            // Values near the smallest f32 have few bits left.
            (if tiny { 0.0 } else { exact / norms }, unit + 1e-36 / norm(row).max(1e-40))
        }
        other => panic!("{other:?} does not compare floats"),
    }
}

/// Checks one query's hits against the model: size, order, scores, and that nothing nearer is
/// missing.
fn check(case: &Case, query: &[f32], hits: &[Hit]) -> Result<(), TestCaseError> {
    let admitted: Vec<usize> = (0..case.row_count()).filter(|&r| case.admits(r)).collect();
    prop_assert_eq!(hits.len(), case.k.min(admitted.len()));
    for pair in hits.windows(2) {
        let by_score = if case.metric == Metric::L2 {
            pair[0].score.total_cmp(&pair[1].score)
        } else {
            pair[1].score.total_cmp(&pair[0].score)
        };
        let order = by_score.then(by_key(pair[0].row, pair[1].row));
        prop_assert_eq!(order, Ordering::Less, "{:?} before {:?}", pair[0], pair[1]);
    }
    for hit in hits {
        prop_assert!(case.admits(hit.row as usize));
        let (exact, error) = model_score(case.metric, query, case.row(hit.row as usize));
        let off = (f64::from(hit.score) - exact).abs();
        prop_assert!(off <= error, "{:?}: exact {}, allowed {}", hit, exact, error);
    }
    let Some(last) = hits.last() else { return Ok(()) };
    let chosen: std::collections::HashSet<u32> = hits.iter().map(|h| h.row).collect();
    for &row in admitted.iter().filter(|&&r| !chosen.contains(&(r as u32))) {
        let (exact, error) = model_score(case.metric, query, case.row(row));
        let last = f64::from(last.score);
        let nearer = if case.metric == Metric::L2 { last - exact } else { exact - last };
        prop_assert!(nearer <= error * 2.0, "row {} ({}) missing, last {}", row, exact, last);
    }
    Ok(())
}

/// `count` vectors of one kind: ordinary, few distinct values, tiny, huge, with a common offset, few
/// distinct rows (ties of inexact scores), or (the last kind) so extreme that scores overflow.
fn vectors(kind: u8, count: usize, dim: usize) -> BoxedStrategy<Vec<f32>> {
    let one: BoxedStrategy<f32> = match kind {
        0 | 5 => (-1.0_f32..1.0).boxed(),
        1 => select(vec![-1.0_f32, 0.0, 1.0]).boxed(),
        2 => select(vec![0.0_f32, 1e-45, -3e-39, 1e-30, 1e-20, 1e-12]).boxed(),
        3 => select(vec![0.0_f32, 1e12, -1e17, 3e17, 1.0]).boxed(),
        4 => (1000.0_f32..1000.5).boxed(),
        _ => select(vec![0.0_f32, 1e19, 2e19, -1e19, 3e38, -3e38, 1e-45, 1.0]).boxed(),
    };
    let distinct = if kind >= 5 { count.min(3) } else { count };
    let pool = prop::collection::vec(one, distinct * dim);
    let repeat = move |pool: Vec<f32>| -> Vec<f32> {
        (0..count).flat_map(|i| pool[i * i % distinct * dim..][..dim].to_vec()).collect()
    };
    pool.prop_map(repeat).boxed()
}

/// Cases whose scores are finite.
fn cases() -> impl Strategy<Value = Case> {
    (0_u8..6).prop_flat_map(cases_of)
}

/// Cases of one kind of values.
fn cases_of(kind: u8) -> impl Strategy<Value = Case> {
    let metric = select(vec![Metric::L2, Metric::Ip, Metric::Cosine]);
    let dim = prop_oneof![1_usize..20, 20_usize..300];
    let rows = prop_oneof![0_usize..10, 10_usize..200];
    let k = prop_oneof![0_usize..5, 5_usize..250];
    (metric, dim, rows, 1_usize..20, k, select(vec![64_usize, 128, 1024])).prop_flat_map(
        move |(metric, dim, rows, nq, k, block_rows)| {
            let words = rows.div_ceil(64);
            let word = prop_oneof![Just(u64::MAX), Just(0), any::<u64>()];
            let mask = prop::option::of(prop::collection::vec(word, words));
            let vectors = (vectors(kind, rows, dim), vectors(kind, nq, dim));
            (vectors, mask).prop_map(move |((rows, queries), mask)| Case {
                metric,
                dim,
                rows,
                queries,
                mask,
                k,
                block_rows,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_scan_returns_what_the_model_returns(case in cases()) {
        let nq = case.queries.len() / case.dim;
        let results = case.search(0..nq, case.block_rows);
        for (query, hits) in case.queries.chunks_exact(case.dim).zip(&results) {
            check(&case, query, hits)?;
        }
    }

    /// Ties, paging and tests rely on this: the path a row takes must not show in its score.
    #[test]
    fn results_are_the_same_bits_alone_in_batches_and_in_other_blocks(
        case in (0_u8..7).prop_flat_map(cases_of),
    ) {
        let nq = case.queries.len() / case.dim;
        let bits = |hits: &[Hit]| -> Vec<(u32, u32)> {
            hits.iter().map(|h| (h.row, h.score.to_bits())).collect()
        };
        let batch = case.search(0..nq, case.block_rows);
        let whole = case.search(0..nq, 1 << 20);
        for isa in available() {
            let other = case.search_on(isa, 0..nq, case.block_rows);
            for (a, b) in other.iter().zip(&batch) {
                prop_assert_eq!(bits(a), bits(b), "{:?}", isa);
            }
        }
        for q in 0..nq {
            let alone = case.search(q..q + 1, case.block_rows);
            prop_assert_eq!(bits(&alone[0]), bits(&batch[q]));
            prop_assert_eq!(bits(&whole[q]), bits(&batch[q]));
        }
    }

    #[test]
    fn absorbing_and_merging_equal_one_scan(case in cases(), cut in 0_usize..4) {
        let nq = case.queries.len() / case.dim;
        let queries = Queries::new(case.metric, case.dim, &case.queries).unwrap();
        let mut inv = vec![0.0; case.row_count()];
        inv_norms(case.dim, &case.rows, &mut inv);
        let cut = (cut * 64).min(case.row_count());
        let scan_rows = |start: usize, end: usize| {
            let mut out = vec![TopK::new(case.k, case.metric); nq];
            let block = Block {
                vectors: Vectors::Float(&case.rows[start * case.dim..end * case.dim]),
                inv_norms: &inv[start..end],
                mask: case.mask.as_ref().map(|m| &m[start / 64..]),
                first_row: start as u32,
            };
            scan(&queries, &block, &mut out, &by_key);
            out
        };
        let (head, tail) = (scan_rows(0, cut), scan_rows(cut, case.row_count()));
        let whole = case.search(0..nq, 1 << 20);
        for (q, (mut head, tail)) in head.into_iter().zip(tail).enumerate() {
            let lists = [head.clone().finish(&by_key), tail.clone().finish(&by_key)];
            let tie = |a: MergedHit, b: MergedHit| by_key(a.hit.row, b.hit.row);
            let merged = merge(case.metric, case.k, &[&lists[0], &lists[1]], &tie);
            prop_assert_eq!(merged.iter().map(|m| m.hit).collect::<Vec<_>>(), whole[q].clone());
            head.absorb(tail, &by_key);
            prop_assert_eq!(head.finish(&by_key), whole[q].clone());
        }
    }

    /// The gateway refuses them; here they must at least not break the order or the process.
    #[test]
    fn values_that_are_not_finite_neither_panic_nor_displace_finite_rows(
        metric in select(vec![Metric::L2, Metric::Ip, Metric::Cosine]),
        odd in select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
        nq in 1_usize..10,
        at in 0_usize..100,
    ) {
        let mut rows: Vec<f32> = (0..400).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
        rows[at * 4] = odd;
        let queries: Vec<f32> = rows[4 * 50..].iter().copied().cycle().take(nq * 4).collect();
        let case = Case { metric, dim: 4, rows, queries, mask: None, k: 100, block_rows: 64 };
        for hits in case.search(0..nq, 64) {
            prop_assert_eq!(hits.len(), 100);
            prop_assert!(hits.iter().all(|h| !h.score.is_nan()));
        }
    }
}

#[test]
fn a_million_rows_of_equal_score_need_memory_for_k_rows() {
    let rows = vec![1.0; 1_000_000];
    for nq in [1, 4] {
        let queries = Queries::new(Metric::L2, 1, &vec![0.5; nq]).unwrap();
        let mut out = vec![TopK::new(10, Metric::L2); nq];
        for (block, vectors) in rows.chunks(100_000).enumerate() {
            let first_row = block as u32 * 100_000;
            let vectors = Vectors::Float(vectors);
            let block = Block { vectors, inv_norms: &[], mask: None, first_row };
            scan(&queries, &block, &mut out, &by_key);
            assert!(out.iter().all(|top| top.buffered_rows_max() <= 64));
        }
        let mut smallest: Vec<u32> = (0..1_000_000).collect();
        smallest.sort_unstable_by_key(|&row| key(row));
        for top in out {
            let rows: Vec<u32> = top.finish(&by_key).iter().map(|h| h.row).collect();
            assert_eq!(rows, smallest[..10]);
        }
    }
}

#[test]
fn keys_are_compared_for_equal_scores_only() {
    let rows: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    let queries = Queries::new(Metric::L2, 1, &[0.0; 5]).unwrap();
    let mut out = vec![TopK::new(10, Metric::L2); 5];
    let vectors = Vectors::Float(&rows);
    let block = Block { vectors, inv_norms: &[], mask: None, first_row: 7 };
    let tie = |a: u32, b: u32| panic!("{a} and {b} have different scores");
    scan(&queries, &block, &mut out, &tie);
    let rows: Vec<u32> = out.remove(4).finish(&tie).iter().map(|h| h.row).collect();
    assert_eq!(rows, (7..17).collect::<Vec<_>>());
}

#[test]
fn scores_are_in_the_metrics_own_scale() {
    let rows = [3.0, 4.0, 0.0, 0.0];
    for (metric, scores) in
        [(Metric::L2, [1.0, 20.0]), (Metric::Ip, [20.0, 0.0]), (Metric::Cosine, [1.0, 0.0])]
    {
        let query = if metric == Metric::L2 { [2.0, 4.0] } else { [2.4, 3.2] };
        let case = Case {
            metric,
            dim: 2,
            rows: rows.to_vec(),
            queries: query.to_vec(),
            mask: None,
            k: 5,
            block_rows: 64,
        };
        let hits = &case.search(0..1, 64)[0];
        assert_eq!(hits.iter().map(|h| h.row).collect::<Vec<_>>(), [0, 1], "{metric:?}");
        for (hit, score) in hits.iter().zip(scores) {
            assert!((hit.score - score).abs() < 1e-5, "{metric:?}: {hit:?}, not {score}");
            assert!(hit.score != 0.0 || hit.score.is_sign_positive());
        }
    }
}

#[test]
fn queries_that_are_not_whole_vectors_are_refused() {
    let error = Queries::new(Metric::L2, 3, &[0.0; 4]).unwrap_err();
    assert_eq!(error, IndexError::Dimension { dim: 3, values: 4 });
    assert_eq!(
        error.to_string(),
        "4 query values are not a whole number of vectors of 3 dimensions"
    );
    assert!(Queries::new(Metric::L2, 0, &[]).is_err());
    assert_eq!(Queries::new(Metric::L2, 3, &[]).unwrap().nq(), 0);
}

#[test]
fn inverse_norms_survive_tiny_and_huge_vectors() {
    let mut inv = [9.0; 4];
    inv_norms(2, &[3e30, 4e30, 3e-30, 4e-30, 0.0, 0.0, 1e-40, 0.0], &mut inv);
    assert!((inv[0] - 2e-31).abs() < 1e-37 && (inv[1] - 2e29).abs() < 1e23);
    assert_eq!(inv[2..], [0.0, 0.0]);
}

/// Sums that overflow in one order of summation and not in another must not lose rows.
#[test]
fn rows_near_overflow_are_found_by_batches_too() {
    let mut crossing = [0.0; 16];
    for (lane, value) in [(0, -1e10), (1, -1e10), (8, 1e10), (9, 1e10)] {
        crossing[lane] = value;
    }
    let mut axis = [0.0; 16];
    axis[0] = 1.0;
    let problems = [
        (Metric::L2, 1, vec![3e18], vec![1.9e19]),
        (Metric::L2, 1, vec![1.9e19], vec![3e18]),
        (Metric::Ip, 16, vec![3e28; 16], crossing.to_vec()),
        (Metric::Cosine, 16, vec![3e38; 16], axis.to_vec()),
    ];
    for (metric, dim, row, query) in problems {
        let (rows, queries) = (row.repeat(200), query.repeat(5));
        let case = Case { metric, dim, rows, queries, mask: None, k: 7, block_rows: 64 };
        let alone = case.search(0..1, 64);
        assert_eq!(alone[0].len(), 7);
        for isa in available() {
            assert_eq!(case.search_on(isa, 0..5, 64)[4], alone[0], "{metric:?} by {isa:?}");
        }
    }
}
