//! Lists against the scan, which is exact.

mod bits;
mod damage;
mod interim;
mod masks;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ::bytes::Bytes;
use millstream_catalog::model::{DataType, Metric};
use proptest::prelude::{
    Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::select;
use proptest::strategy::Strategy as _;

use super::{Ask, Ivf, IvfError, IvfKind, IvfParams, IvfScratch, build};
use crate::graph::tests::masks::{admits, mask_of};
use crate::graph::tests::{clustered, recall, uniform};
use crate::{Block, Hit, Queries, TopK, Vectors, inv_norms, scan};

const METRICS: [Metric; 3] = [Metric::L2, Metric::Ip, Metric::Cosine];
const NUMBERS: [IvfKind; 2] = [IvfKind::Flat, IvfKind::Sq8];

/// Builds lists with threads that nobody stops.
fn built(
    vectors: Vectors<'_>,
    dim: usize,
    inv_norms: &[f32],
    metric: Metric,
    params: IvfParams,
    threads: usize,
) -> Vec<u8> {
    let (cancel, progress) = (AtomicBool::new(false), AtomicU64::new(0));
    build(vectors, dim, inv_norms, metric, params, threads, &cancel, &progress).unwrap()
}

/// Rows with their lists.
struct Rows {
    metric: Metric,
    dim: usize,
    vectors: Vec<f32>,
    inv_norms: Vec<f32>,
    ivf: Ivf,
}

impl Rows {
    fn new(kind: IvfKind, metric: Metric, dim: usize, vectors: Vec<f32>, nlist: usize) -> Rows {
        let mut inv = vec![0.0; vectors.len() / dim];
        inv_norms(dim, &vectors, &mut inv);
        let params = IvfParams { kind, nlist };
        let bytes = built(Vectors::Float(&vectors), dim, &inv, metric, params, 2);
        let ivf = Ivf::open(Bytes::from(bytes)).unwrap();
        ivf.verify().unwrap();
        Rows { metric, dim, vectors, inv_norms: inv, ivf }
    }

    fn block<'a>(&'a self, mask: Option<&'a [u64]>) -> Block<'a> {
        let vectors = Vectors::Float(&self.vectors);
        Block { vectors, inv_norms: &self.inv_norms, mask, first_row: 1000 }
    }

    /// What the scan finds.
    fn exact(&self, queries: &[f32], mask: Option<&[u64]>, k: usize) -> Vec<Vec<Hit>> {
        let queries = Queries::new(self.metric, self.dim, queries).unwrap();
        let mut out = vec![TopK::new(k, self.metric); queries.nq()];
        scan(&queries, &self.block(mask), &mut out, &|a, b| a.cmp(&b));
        out.into_iter().map(|top| top.finish(&|a, b| a.cmp(&b))).collect()
    }

    /// What visits to lists find.
    fn found(
        &self,
        queries: &[f32],
        mask: Option<&[u64]>,
        k: usize,
        nprobe: usize,
    ) -> Vec<Vec<Hit>> {
        let queries = Queries::new(self.metric, self.dim, queries).unwrap();
        let mut out = vec![TopK::new(k, self.metric); queries.nq()];
        let (block, tie) = (self.block(mask), &|a: u32, b: u32| a.cmp(&b));
        let (ask, mut scratch) = (Ask { k, nprobe, scored: 0 }, IvfScratch::default());
        self.ivf.visit(&queries, &block, &ask, &mut out, &mut scratch, tie);
        out.into_iter().map(|top| top.finish(tie)).collect()
    }
}

#[test]
fn visits_to_all_lists_find_what_the_scan_finds() {
    for metric in METRICS {
        for kind in NUMBERS {
            let mut vectors = clustered(1, 4030, 20, 40);
            let queries = vectors.split_off(4000 * 20);
            let rows = Rows::new(kind, metric, 20, vectors, 50);
            assert_eq!(rows.ivf.lists(), 50);
            assert_eq!(rows.ivf.is_coded(), kind == IvfKind::Sq8);
            let exact = rows.exact(&queries, None, 10);
            let found = rows.found(&queries, None, 10, 50);
            match kind {
                IvfKind::Sq8 => assert!(recall(&exact, &found, metric) > 0.999),
                _ => assert_eq!(exact, found, "{metric:?}"),
            }
        }
    }
}

#[test]
fn nearly_all_of_the_nearest_rows_are_in_a_few_lists() {
    for metric in METRICS {
        for kind in NUMBERS {
            let mut vectors = clustered(2, 10_100, 24, 100);
            let queries = vectors.split_off(10_000 * 24);
            let rows = Rows::new(kind, metric, 24, vectors, 100);
            let exact = rows.exact(&queries, None, 10);
            let mut before = 0.0;
            for (nprobe, least) in [(1, 0.3), (8, 0.92), (30, 0.98)] {
                let found = rows.found(&queries, None, 10, nprobe);
                let recall = recall(&exact, &found, metric);
                assert!(recall >= least, "{metric:?} {kind:?} {nprobe}: {recall}");
                assert!(recall >= before, "more lists find no fewer");
                before = recall;
            }
        }
    }
}

#[test]
fn scores_are_those_of_the_scan_to_the_bit_with_any_number_of_queries() {
    for metric in METRICS {
        for kind in NUMBERS {
            let rows = Rows::new(kind, metric, 17, clustered(4, 2000, 17, 9), 20);
            let queries = uniform(5, 20 * 17);
            let all = rows.exact(&queries, None, 2000);
            let together = rows.found(&queries, None, 10, 4);
            for ((query, all), found) in queries.chunks(17).zip(&all).zip(&together) {
                assert_eq!(found.len(), 10);
                assert!(found.iter().all(|hit| all.contains(hit)));
                assert_eq!(&rows.found(query, None, 10, 4)[0], found);
            }
        }
    }
}

#[test]
fn the_bytes_are_the_same_for_any_number_of_threads() {
    let vectors = clustered(6, 5000, 16, 30);
    let params = IvfParams { kind: IvfKind::Sq8, nlist: 64 };
    let build = |threads| built(Vectors::Float(&vectors), 16, &[], Metric::L2, params, threads);
    let one = build(1);
    assert!(one == build(1) && one == build(3));
}

#[test]
fn a_cancelled_build_ends_soon() {
    let vectors = uniform(8, 100_000 * 8);
    let (cancel, progress) = (AtomicBool::new(true), AtomicU64::new(0));
    let params = IvfParams { kind: IvfKind::Flat, nlist: 2000 };
    let rows = Vectors::Float(&vectors);
    let outcome = build(rows, 8, &[], Metric::L2, params, 2, &cancel, &progress);
    assert_eq!(outcome, Err(IvfError::Cancelled));
    assert_eq!(progress.load(Ordering::Relaxed), 0);
}

#[test]
fn few_rows_have_few_lists_and_equal_rows_one_that_is_full() {
    for kind in NUMBERS {
        let rows = Rows::new(kind, Metric::L2, 4, uniform(9, 100 * 4), 65_536);
        assert_eq!((rows.ivf.lists(), rows.ivf.params().nlist), (2, 65_536));
        let equal = Rows::new(kind, Metric::L2, 4, [1.0, 2.0, 3.0, 4.0].repeat(1000), 20);
        for k in [1, 30, 1000] {
            let exact = equal.exact(&[1.0, 2.0, 3.0, 4.0], None, k);
            let found = equal.found(&[1.0, 2.0, 3.0, 4.0], None, k, 1);
            assert_eq!(found[0].len(), k);
            assert!(found[0].iter().zip(&exact[0]).all(|(a, b)| a.score == b.score));
        }
    }
}

#[test]
fn as_many_hits_as_there_are_rows_come_from_however_few_lists() {
    for kind in NUMBERS {
        let rows = Rows::new(kind, Metric::Ip, 8, uniform(10, 3000 * 8), 60);
        for k in [1, 100, 2999, 3000, 5000] {
            let found = rows.found(&uniform(11, 3 * 8), None, k, 1);
            assert!(found.iter().all(|hits| hits.len() == k.min(3000)), "{kind:?} {k}");
        }
    }
}

#[test]
fn the_more_rows_are_scored_the_more_of_the_nearest_are_found() {
    let mut vectors = clustered(16, 5100, 8, 40);
    let queries = vectors.split_off(5000 * 8);
    let rows = Rows::new(IvfKind::Sq8, Metric::L2, 8, vectors, 20);
    assert!(rows.ivf.is_coded());
    let exact = rows.exact(&queries, None, 100);
    let queries = Queries::new(Metric::L2, 8, &queries).unwrap();
    let (tie, mut before) = (&|a: u32, b: u32| a.cmp(&b), 0.0);
    for scored in [0, 200, 5000] {
        let (mut out, mut scratch) = (vec![TopK::new(100, Metric::L2); 100], IvfScratch::default());
        let ask = Ask { k: 100, nprobe: 20, scored };
        rows.ivf.visit(&queries, &rows.block(None), &ask, &mut out, &mut scratch, tie);
        let found: Vec<Vec<Hit>> = out.into_iter().map(|top| top.finish(tie)).collect();
        let recall = recall(&exact, &found, Metric::L2);
        assert!(recall >= before, "{scored}: {recall}");
        before = recall;
    }
    assert!(before == 1.0, "all rows are scored");
}

#[test]
fn rows_of_narrower_types_are_searched_as_floats_are() {
    let dim = 24;
    let whole: Vec<i8> = clustered(14, 4000, dim, 20).iter().map(|x| (x * 90.0) as i8).collect();
    let brain: Vec<u16> = whole.iter().map(|&x| (f32::from(x).to_bits() >> 16) as u16).collect();
    let brain_bytes: Vec<u8> = brain[..dim * 9].iter().flat_map(|x| x.to_le_bytes()).collect();
    let whole_bytes: Vec<u8> = whole[..dim * 9].iter().map(|x| x.cast_unsigned()).collect();
    let mut inv = vec![0.0; 4000];
    inv_norms(dim, &whole.iter().map(|&x| f32::from(x)).collect::<Vec<_>>(), &mut inv);
    for (metric, kind) in METRICS.into_iter().flat_map(|m| NUMBERS.map(|kind| (m, kind))) {
        for (data_type, vectors, queries) in [
            (DataType::Int8Vector, Vectors::Int8(&whole), &whole_bytes),
            (DataType::BFloat16Vector, Vectors::BHalf(&brain), &brain_bytes),
        ] {
            let bytes = built(vectors, dim, &inv, metric, IvfParams { kind, nlist: 20 }, 1);
            let ivf = Ivf::open(Bytes::from(bytes)).unwrap();
            let queries = Queries::new_typed(metric, data_type, dim, queries).unwrap();
            let block = Block { vectors, inv_norms: &inv, mask: None, first_row: 0 };
            let tie = &|a: u32, b: u32| a.cmp(&b);
            let mut exact = vec![TopK::new(10, metric); 9];
            scan(&queries, &block, &mut exact, tie);
            let mut found = vec![TopK::new(10, metric); 9];
            let (ask, mut scratch) = (Ask { k: 10, nprobe: 6, scored: 0 }, IvfScratch::default());
            ivf.visit(&queries, &block, &ask, &mut found, &mut scratch, tie);
            let hits =
                |tops: Vec<TopK>| tops.into_iter().map(|t| t.finish(tie)).collect::<Vec<_>>();
            let recall = recall(&hits(exact), &hits(found), metric);
            assert!(recall > 0.95, "{metric:?} {data_type:?} {kind:?}: {recall}");
        }
    }
}

/// 256 codes for 20,000 values: codes would find other rows than the nearest.
#[test]
fn vectors_that_eight_bits_do_not_tell_apart_have_no_codes() {
    let vectors = uniform(15, 20_000);
    let rows = Rows::new(IvfKind::Sq8, Metric::L2, 1, vectors, 50);
    assert!(!rows.ivf.is_coded());
    let exact = rows.exact(&[0.3], None, 10);
    assert_eq!(rows.found(&[0.3], None, 10, 3), exact);
}

#[test]
fn what_has_no_lists_is_refused_by_name() {
    let build = |vectors, dim, metric, kind, nlist| {
        let (cancel, progress) = (AtomicBool::new(false), AtomicU64::new(0));
        let params = IvfParams { kind, nlist };
        let built = build(vectors, dim, &[], metric, params, 1, &cancel, &progress);
        built.unwrap_err().to_string()
    };
    let floats = Vectors::Float(&[1.0, 2.0]);
    for nlist in [0, 65_537] {
        assert_eq!(
            build(floats, 2, Metric::L2, IvfKind::Flat, nlist),
            format!("nlist {nlist} of an index of lists is not between 1 and 65536")
        );
    }
    assert_eq!(
        build(floats, 2, Metric::Hamming, IvfKind::Sq8, 4),
        "there are no such lists of FloatVector vectors under HAMMING"
    );
    assert_eq!(
        build(Vectors::Binary(&[1]), 8, Metric::Jaccard, IvfKind::Flat, 4),
        "there are no such lists of BinaryVector vectors under JACCARD"
    );
    assert_eq!(
        build(floats, 2, Metric::L2, IvfKind::Bits, 4),
        "there are no such lists of FloatVector vectors under L2"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Small and odd: no row, one dimension, zero vectors, few distinct values, huge ones.
    #[test]
    fn small_lists_return_what_there_is(
        metric in select(METRICS.to_vec()),
        kind in select(NUMBERS.to_vec()),
        (dim, vectors) in (1_usize..6, 0_usize..200).prop_flat_map(|(dim, rows)| {
            let value = prop_oneof![
                Just(0.0_f32), Just(1.0), Just(-1.0), -2.0_f32..2.0, Just(1e30), Just(-3e38),
            ];
            (Just(dim), prop::collection::vec(value, rows * dim))
        }),
        k in 1_usize..250,
        nlist in 1_usize..9,
        nprobe in 1_usize..9,
    ) {
        let rows = vectors.len() / dim;
        let case = Rows::new(kind, metric, dim, vectors, nlist);
        let found = case.found(&vec![0.5; dim * 2], None, k, nprobe);
        for found in &found {
            prop_assert_eq!(found.len(), k.min(rows));
            prop_assert!(found.iter().all(|hit| !hit.score.is_nan()));
            let mut numbers: Vec<u32> = found.iter().map(|hit| hit.row).collect();
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(numbers.len(), k.min(rows));
        }
        if k >= rows {
            prop_assert_eq!(&found, &case.exact(&vec![0.5; dim * 2], None, k));
        }
    }
}
