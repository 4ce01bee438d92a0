//! Lists of several chunks around one anchor, against the scan.

use std::sync::Arc;

use super::*;
use crate::ivf::interim::{Anchor, Ask, Part, Rows as Chunk, Scratch, search};

/// Rows in chunks of different lengths, the first of which found the anchor.
struct Chunks {
    metric: Metric,
    dim: usize,
    chunks: Vec<(Vec<f32>, Vec<f32>, Part)>,
}

impl Chunks {
    fn new(metric: Metric, dim: usize, vectors: &[f32], lens: &[usize]) -> Chunks {
        let cancel = AtomicBool::new(false);
        let (mut anchor, mut chunks, mut rest) = (None, Vec::new(), vectors);
        for &len in lens {
            let (vectors, later) = rest.split_at(len * dim);
            rest = later;
            let mut inv = vec![0.0; len];
            inv_norms(dim, vectors, &mut inv);
            let rows = Chunk { vectors: Vectors::Float(vectors), dim, inv_norms: &inv, metric };
            let found = || Anchor::find(rows, &cancel).unwrap().expect("rows enough");
            let anchor: &Arc<Anchor> = anchor.get_or_insert_with(found);
            let part = Part::build(anchor, rows, &cancel).unwrap().expect("codes that tell");
            chunks.push((vectors.to_vec(), inv, part));
        }
        assert!(rest.is_empty(), "all rows are in chunks");
        Chunks { metric, dim, chunks }
    }

    /// The chunks as blocks whose rows are numbered one after the other, with their masks.
    fn blocks<'a>(&'a self, masks: &'a [Vec<u64>]) -> Vec<(&'a Part, Block<'a>)> {
        let mut first_row = 1000;
        let block = |(at, (vectors, inv, part)): (usize, &'a (Vec<f32>, Vec<f32>, Part))| {
            let mask = masks.get(at).map(|mask| &mask[..]);
            let vectors = Vectors::Float(vectors);
            let block = Block { vectors, inv_norms: inv, mask, first_row };
            first_row += part.rows() as u32;
            (part, block)
        };
        self.chunks.iter().enumerate().map(block).collect()
    }

    fn exact(&self, queries: &[f32], masks: &[Vec<u64>], k: usize) -> Vec<Vec<Hit>> {
        let queries = Queries::new(self.metric, self.dim, queries).unwrap();
        let mut out = vec![TopK::new(k, self.metric); queries.nq()];
        for (_, block) in self.blocks(masks) {
            scan(&queries, &block, &mut out, &|a, b| a.cmp(&b));
        }
        out.into_iter().map(|top| top.finish(&|a, b| a.cmp(&b))).collect()
    }

    fn found(&self, queries: &[f32], masks: &[Vec<u64>], k: usize, share: f64) -> Vec<Vec<Hit>> {
        let queries = Queries::new(self.metric, self.dim, queries).unwrap();
        let mut out = vec![TopK::new(k, self.metric); queries.nq()];
        let (parts, ask) = (self.blocks(masks), Ask { k, share });
        let (mut scratch, tie) = (Scratch::default(), &|a: u32, b: u32| a.cmp(&b));
        // As reads do: some of the queries at a time.
        for (at, out) in out.chunks_mut(3).enumerate() {
            search(&queries, at * 3, &parts, &ask, out, &mut scratch, tie);
        }
        out.into_iter().map(|top| top.finish(tie)).collect()
    }
}

#[test]
fn all_rows_compared_find_what_the_scan_finds_with_its_scores() {
    for metric in METRICS {
        let mut vectors = clustered(40, 6050, 20, 60);
        let queries = vectors.split_off(6000 * 20);
        let chunks = Chunks::new(metric, 20, &vectors, &[3000, 1000, 1999, 1]);
        let exact = chunks.exact(&queries, &[], 10);
        let found = chunks.found(&queries, &[], 10, 1.0);
        assert!(recall(&exact, &found, metric) > 0.999);
        let all = chunks.exact(&queries, &[], 6000);
        for (found, all) in found.iter().zip(&all) {
            assert!(found.iter().all(|hit| all.contains(hit)), "scores to the bit");
        }
    }
}

#[test]
fn an_eighth_of_the_rows_has_nearly_all_of_the_nearest_also_of_later_chunks() {
    for metric in METRICS {
        let mut vectors = clustered(41, 20_100, 24, 100);
        let queries = vectors.split_off(20_000 * 24);
        let chunks = Chunks::new(metric, 24, &vectors, &[4000, 8000, 8000]);
        let exact = chunks.exact(&queries, &[], 10);
        let recall = recall(&exact, &chunks.found(&queries, &[], 10, 0.125), metric);
        assert!(recall > 0.95, "{metric:?}: {recall}");
    }
}

#[test]
fn masks_are_honoured_and_cost_no_recall() {
    for metric in METRICS {
        let mut vectors = clustered(42, 9_040, 16, 50);
        let queries = vectors.split_off(9_000 * 16);
        let chunks = Chunks::new(metric, 16, &vectors, &[3000, 3000, 3000]);
        let all =
            recall(&chunks.exact(&queries, &[], 10), &chunks.found(&queries, &[], 10, 0.1), metric);
        for every in [2, 7, 50, 1000] {
            let masks = vec![mask_of(3000, |row| row % every == 0); 3];
            let exact = chunks.exact(&queries, &masks, 10);
            let found = chunks.found(&queries, &masks, 10, 0.1);
            for (exact, found) in exact.iter().zip(&found) {
                assert_eq!(exact.len(), found.len());
                let row = |hit: &Hit| (hit.row as usize - 1000) % 3000;
                assert!(found.iter().all(|hit| admits(&masks[0], row(hit))));
            }
            let recall = recall(&exact, &found, metric);
            assert!(recall >= all - 0.05, "{metric:?} 1 of {every}: {recall}, {all}");
        }
        let none = vec![vec![0; 47]; 3];
        assert!(chunks.found(&queries, &none, 10, 0.1).iter().all(Vec::is_empty));
    }
}

#[test]
fn few_rows_have_no_anchor_and_other_vectors_have_no_lists() {
    let cancel = AtomicBool::new(false);
    let values = uniform(43, 38 * 4);
    let rows = |metric| Chunk { vectors: Vectors::Float(&values), dim: 4, inv_norms: &[], metric };
    assert!(Anchor::find(rows(Metric::L2), &cancel).unwrap().is_none());
    let bits = [0; 64];
    let rows = Chunk { vectors: Vectors::Binary(&bits), ..rows(Metric::Hamming) };
    assert!(matches!(Anchor::find(rows, &cancel), Err(IvfError::Vectors { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Equal rows, masks of any shape, chunks that are smaller than what is asked for.
    #[test]
    fn as_many_rows_are_found_as_there_are(
        metric in select(METRICS.to_vec()),
        values in prop::collection::vec(-2_i8..3, 3 * 2 * 100),
        masks in prop::collection::vec(prop::collection::vec(any::<u64>(), 2), 3),
        k in 1_usize..60,
        share in 0.01_f64..1.2,
    ) {
        let vectors: Vec<f32> = values.iter().map(|&x| f32::from(x) + 0.25).collect();
        let mut masks = masks;
        masks.iter_mut().for_each(|mask| mask[1] &= (1 << 36) - 1);
        let chunks = Chunks::new(metric, 2, &vectors, &[100, 100, 100]);
        let exact = chunks.exact(&[1.0, -0.5], &masks, k);
        let found = chunks.found(&[1.0, -0.5], &masks, k, share);
        prop_assert_eq!(exact[0].len(), found[0].len());
        let bits: u32 = masks.iter().flatten().map(|word| word.count_ones()).sum();
        prop_assert_eq!(found[0].len(), k.min(bits as usize));
    }
}
