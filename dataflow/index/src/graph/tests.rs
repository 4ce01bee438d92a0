//! Graphs against the scan, which is exact.

mod bytes;
pub(crate) mod masks;

use std::sync::atomic::{AtomicBool, AtomicU64};

use ::bytes::Bytes;
use millstream_catalog::model::{DataType, Metric};
use proptest::prelude::{
    Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::select;
use proptest::strategy::Strategy as _;

use super::search::Way;
use super::{Ask, Graph, GraphBuilder, GraphError, GraphParams, GraphScratch, Strategy};
use crate::{Block, Hit, Queries, Range, TopK, Vectors, inv_norms, scan};

const METRICS: [Metric; 3] = [Metric::L2, Metric::Ip, Metric::Cosine];

/// Rows with their graph.
struct Rows {
    metric: Metric,
    dim: usize,
    vectors: Vec<f32>,
    inv_norms: Vec<f32>,
    graph: Graph,
}

impl Rows {
    fn new(metric: Metric, dim: usize, vectors: Vec<f32>, params: GraphParams) -> Rows {
        let mut inv = vec![0.0; vectors.len() / dim];
        inv_norms(dim, &vectors, &mut inv);
        let builder =
            GraphBuilder::new(Vectors::Float(&vectors), dim, &inv, metric, params).unwrap();
        while builder.work(usize::MAX) {}
        let graph = Graph::open(Bytes::from(builder.finish())).unwrap();
        graph.verify().unwrap();
        Rows { metric, dim, vectors, inv_norms: inv, graph }
    }

    fn block<'a>(&'a self, mask: Option<&'a [u64]>) -> Block<'a> {
        let vectors = Vectors::Float(&self.vectors);
        Block { vectors, inv_norms: &self.inv_norms, mask, first_row: 1000 }
    }

    /// What the scan finds.
    fn exact(
        &self,
        queries: &[f32],
        mask: Option<&[u64]>,
        k: usize,
        range: &Range,
    ) -> Vec<Vec<Hit>> {
        let queries = Queries::new(self.metric, self.dim, queries).unwrap();
        let mut out = vec![TopK::within(k, self.metric, range); queries.nq()];
        scan(&queries, &self.block(mask), &mut out, &|a, b| a.cmp(&b));
        out.into_iter().map(|top| top.finish(&|a, b| a.cmp(&b))).collect()
    }

    /// What the graph finds; by one kind of walk if `way` says so.
    fn found(
        &self,
        queries: &[f32],
        mask: Option<&[u64]>,
        ask: &Ask,
        way: Option<Strategy>,
    ) -> Vec<Vec<Hit>> {
        let queries = Queries::new(self.metric, self.dim, queries).unwrap();
        let mut out = vec![TopK::within(ask.k, self.metric, &ask.range); queries.nq()];
        let mut scratch = GraphScratch::default();
        let (block, tie) = (self.block(mask), &|a: u32, b: u32| a.cmp(&b));
        match way {
            Some(strategy) => {
                let way = Way { strategy, distances_max: usize::MAX };
                self.graph.search_by(way, &queries, &block, ask, &mut out, &mut scratch, tie);
            }
            None => self.graph.search(&queries, &block, ask, &mut out, &mut scratch, tie),
        }
        out.into_iter().map(|top| top.finish(&|a, b| a.cmp(&b))).collect()
    }
}

/// Uniform numbers in -1..1, the same for the same seed.
pub(crate) fn uniform(seed: u64, count: usize) -> Vec<f32> {
    let number = |at| super::source::mix(seed << 32 | at) >> 40;
    (0..count as u64).map(|at| number(at) as f32 / (1_u32 << 23) as f32 - 1.0).collect()
}

/// Vectors near one of `clusters` centres; the cluster of row `i` is `i % clusters`.
pub(crate) fn clustered(seed: u64, rows: usize, dim: usize, clusters: usize) -> Vec<f32> {
    let centres = uniform(seed, clusters * dim);
    let noise = uniform(seed + 1, rows * dim);
    (0..rows * dim)
        .map(|at| centres[(at / dim % clusters) * dim + at % dim] + 0.3 * noise[at])
        .collect()
}

fn plain(k: usize, ef: usize) -> Ask {
    Ask { k, ef, range: Range::default() }
}

/// The share of the exact hits' scores that are reached.
pub(crate) fn recall(exact: &[Vec<Hit>], found: &[Vec<Hit>], metric: Metric) -> f64 {
    let (mut reached, mut all) = (0, 0);
    for (exact, found) in exact.iter().zip(found) {
        let Some(last) = exact.last() else { continue };
        let good = |hit: &&Hit| match metric {
            Metric::L2 => hit.score <= last.score,
            _ => hit.score >= last.score,
        };
        reached += found.iter().filter(good).count().min(exact.len());
        all += exact.len();
    }
    if all == 0 { 1.0 } else { f64::from(reached as u32) / f64::from(all as u32) }
}

const SMALL: GraphParams = GraphParams { m: 8, ef_construction: 60 };

#[test]
fn nearly_all_of_the_nearest_rows_are_found() {
    for metric in METRICS {
        for (name, dim, mut vectors) in
            [("uniform", 12, uniform(1, 4050 * 12)), ("clustered", 20, clustered(2, 4050, 20, 40))]
        {
            let queries = vectors.split_off(4000 * dim);
            let rows = Rows::new(metric, dim, vectors, SMALL);
            let exact = rows.exact(&queries, None, 10, &Range::default());
            for (ef, least) in [(10, 0.75), (50, 0.96), (200, 0.98)] {
                let found = rows.found(&queries, None, &plain(10, ef), Some(Strategy::Through));
                let recall = recall(&exact, &found, metric);
                assert!(recall >= least, "{metric:?} {name} ef {ef}: {recall}");
            }
        }
    }
}

#[test]
fn scores_are_those_of_the_scan_to_the_bit() {
    for metric in METRICS {
        let rows = Rows::new(metric, 7, clustered(4, 1500, 7, 9), SMALL);
        let queries = uniform(5, 20 * 7);
        let all = rows.exact(&queries, None, 1500, &Range::default());
        let found = rows.found(&queries, None, &plain(10, 40), Some(Strategy::Through));
        for (all, found) in all.iter().zip(&found) {
            assert_eq!(found.len(), 10);
            for hit in found {
                assert!(all.iter().any(|other| other == hit), "{hit:?}");
            }
        }
    }
}

#[test]
fn one_thread_builds_the_same_graph_every_time_and_many_build_a_good_one() {
    let mut vectors = clustered(6, 3050, 16, 30);
    let queries = vectors.split_off(3000 * 16);
    let build = |threads| {
        let (cancel, progress) = (AtomicBool::new(false), AtomicU64::new(0));
        let rows = Vectors::Float(&vectors);
        let built =
            super::build(rows, 16, &[], Metric::L2, SMALL, threads, &cancel, &progress).unwrap();
        assert_eq!(progress.into_inner(), 3000);
        built
    };
    assert!(build(1) == build(1));
    let graph = Graph::open(Bytes::from(build(4))).unwrap();
    let rows = Rows { metric: Metric::L2, dim: 16, vectors, inv_norms: Vec::new(), graph };
    let exact = rows.exact(&queries, None, 10, &Range::default());
    let found = rows.found(&queries, None, &plain(10, 100), Some(Strategy::Through));
    assert!(recall(&exact, &found, Metric::L2) > 0.95);
}

#[test]
fn a_cancelled_build_ends_soon() {
    let vectors = uniform(8, 20_000 * 8);
    let (cancel, progress) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let build = scope.spawn(|| {
            let rows = Vectors::Float(&vectors);
            super::build(rows, 8, &[], Metric::L2, SMALL, 2, &cancel, &progress)
        });
        while progress.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(build.join().unwrap(), Err(GraphError::Cancelled));
    });
}

/// Other parameters, many ties, and rows that no code tells apart.
#[test]
fn equal_vectors_are_all_found() {
    for metric in METRICS {
        let mut vectors = uniform(9, 2000 * 6);
        for row in 500..1500 {
            vectors.copy_within(0..6, row * 6);
        }
        let query = vectors[..6].to_vec();
        let rows = Rows::new(metric, 6, vectors, SMALL);
        for k in [10, 300, 1200] {
            let exact = rows.exact(&query, None, k, &Range::default());
            for way in [Strategy::Over, Strategy::Through] {
                let found = rows.found(&query, None, &plain(k, 64), Some(way));
                assert_eq!(found[0].len(), k);
                assert!(recall(&exact, &found, metric) > 0.97, "{metric:?} {k}");
            }
        }
    }
}

#[test]
fn ranges_are_searched_to_their_ends() {
    for metric in METRICS {
        let mut vectors = clustered(10, 3020, 10, 20);
        let queries = vectors.split_off(3000 * 10);
        let rows = Rows::new(metric, 10, vectors, SMALL);
        let all = rows.exact(&queries, None, 3000, &Range::default());
        for (from, to) in [(0, 30), (0, 200), (50, 120), (100, 600)] {
            let (mut there, mut reached) = (0, 0);
            for (query, all) in queries.chunks(10).zip(&all) {
                let range = Range {
                    radius: Some(all[to].score),
                    range_filter: (from > 0).then(|| all[from].score),
                    after: None,
                };
                let ask = Ask { k: to, ef: 40, range };
                let exact = rows.exact(query, None, to, &range);
                let found = rows.found(query, None, &ask, Some(Strategy::Through));
                assert!(found[0].iter().all(|hit| exact[0].contains(hit)));
                there += exact[0].len();
                reached += found[0].len();
            }
            assert!(there >= 20 * (to - from - 1));
            // Under IP most nodes have links to the few longest vectors only.
            let least = if metric == Metric::Ip { 45 } else { 95 };
            assert!(
                reached * 100 >= there * least,
                "{metric:?} {from}..{to}: {reached} of {there}"
            );
        }
    }
}

/// An iterator asks for what comes after the last score, over and over.
#[test]
fn pages_go_through_all_rows() {
    let rows = Rows::new(Metric::L2, 8, uniform(12, 1500 * 8), SMALL);
    let query = uniform(13, 8);
    let (mut range, mut pages) = (Range::default(), Vec::new());
    loop {
        let ask = Ask { k: 100, ef: 150, range };
        let page = rows.found(&query, None, &ask, Some(Strategy::Through)).remove(0);
        let Some(last) = page.last() else { break };
        range.after = Some(last.score);
        pages.extend(page);
    }
    assert!(pages.windows(2).all(|pair| pair[0].score < pair[1].score));
    assert!(pages.len() > 1450, "{} rows", pages.len());
}

#[test]
fn rows_of_narrower_types_are_searched_as_floats_are() {
    let dim = 24;
    let whole: Vec<i8> = clustered(14, 2000, dim, 20).iter().map(|x| (x * 90.0) as i8).collect();
    let brain: Vec<u16> = whole.iter().map(|&x| (f32::from(x).to_bits() >> 16) as u16).collect();
    let brain_bytes: Vec<u8> = brain[..dim * 9].iter().flat_map(|x| x.to_le_bytes()).collect();
    let whole_bytes: Vec<u8> = whole[..dim * 9].iter().map(|x| x.cast_unsigned()).collect();
    let mut inv = vec![0.0; 2000];
    inv_norms(dim, &whole.iter().map(|&x| f32::from(x)).collect::<Vec<_>>(), &mut inv);
    for metric in METRICS {
        for (data_type, vectors, queries) in [
            (DataType::Int8Vector, Vectors::Int8(&whole), &whole_bytes),
            (DataType::BFloat16Vector, Vectors::BHalf(&brain), &brain_bytes),
        ] {
            let builder = GraphBuilder::new(vectors, dim, &inv, metric, SMALL).unwrap();
            while builder.work(100) {}
            let graph = Graph::open(Bytes::from(builder.finish())).unwrap();
            let queries = Queries::new_typed(metric, data_type, dim, queries).unwrap();
            let block = Block { vectors, inv_norms: &inv, mask: None, first_row: 0 };
            let tie = &|a: u32, b: u32| a.cmp(&b);
            let mut exact = vec![TopK::new(10, metric); 9];
            scan(&queries, &block, &mut exact, tie);
            let mut found = vec![TopK::new(10, metric); 9];
            let (ask, mut scratch) = (plain(10, 80), GraphScratch::default());
            let way = Way { strategy: Strategy::Through, distances_max: usize::MAX };
            graph.search_by(way, &queries, &block, &ask, &mut found, &mut scratch, tie);
            let hits =
                |tops: Vec<TopK>| tops.into_iter().map(|t| t.finish(tie)).collect::<Vec<_>>();
            let recall = recall(&hits(exact), &hits(found), metric);
            assert!(recall > 0.95, "{metric:?} {data_type:?}: {recall}");
        }
    }
}

/// 256 codes for 20,000 values: a walk would find other rows than the nearest.
#[test]
fn vectors_that_eight_bits_do_not_tell_apart_are_scanned() {
    for dim in [1, 48] {
        let mut vectors = uniform(15, 20_000 * dim);
        if dim == 48 {
            // Two clusters that are far apart and narrow.
            for (row, vector) in vectors.chunks_mut(dim).enumerate() {
                vector.iter_mut().for_each(|x| *x *= 1e-3);
                vector[0] += if row % 2 == 0 { 1.0 } else { -1.0 };
            }
        }
        let query = vectors[..dim].to_vec();
        let rows = Rows::new(Metric::L2, dim, vectors, SMALL);
        assert!(rows.graph.is_coarse(), "{dim} dimensions");
        let exact = rows.exact(&query, None, 10, &Range::default());
        assert_eq!(rows.found(&query, None, &plain(10, 64), None), exact);
    }
    let rows = Rows::new(Metric::L2, 16, uniform(16, 3000 * 16), SMALL);
    assert!(!rows.graph.is_coarse());
}

#[test]
fn what_has_no_graph_is_refused_by_name() {
    let build = |vectors, dim, metric, m, ef_construction| {
        let params = GraphParams { m, ef_construction };
        GraphBuilder::new(vectors, dim, &[], metric, params).map(|_| ()).unwrap_err().to_string()
    };
    let floats = Vectors::Float(&[1.0, 2.0]);
    assert_eq!(build(floats, 2, Metric::L2, 1, 10), "M 1 of a graph is not between 2 and 2048");
    assert_eq!(
        build(floats, 2, Metric::L2, 4, 0),
        "efConstruction 0 of a graph is not between 1 and 2147483647"
    );
    assert_eq!(
        build(floats, 2, Metric::Hamming, 4, 10),
        "there are no graphs of FloatVector vectors under HAMMING"
    );
    assert_eq!(
        build(Vectors::Binary(&[1]), 8, Metric::Jaccard, 4, 10),
        "there are no graphs of BinaryVector vectors under JACCARD"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Small and odd: one row, one dimension, zero vectors, few distinct values, huge ones.
    #[test]
    fn small_graphs_return_what_there_is(
        metric in select(METRICS.to_vec()),
        (dim, vectors) in (1_usize..6, 0_usize..40).prop_flat_map(|(dim, rows)| {
            let value = prop_oneof![
                Just(0.0_f32), Just(1.0), Just(-1.0), -2.0_f32..2.0, Just(1e30), Just(-3e38),
            ];
            (Just(dim), prop::collection::vec(value, rows * dim))
        }),
        k in 1_usize..50,
        ef in 1_usize..60,
        m in 2_usize..6,
    ) {
        let rows = vectors.len() / dim;
        let case = Rows::new(metric, dim, vectors, GraphParams { m, ef_construction: ef });
        let query = vec![0.5; dim];
        for way in [None, Some(Strategy::Over), Some(Strategy::Through)] {
            let found = case.found(&query, None, &plain(k, ef), way);
            prop_assert_eq!(found[0].len(), k.min(rows));
            prop_assert!(found[0].iter().all(|hit| !hit.score.is_nan()));
            let mut numbers: Vec<u32> = found[0].iter().map(|hit| hit.row).collect();
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(numbers.len(), k.min(rows));
            if k >= rows {
                prop_assert_eq!(&found, &case.exact(&query, None, k, &Range::default()));
            }
        }
    }
}
