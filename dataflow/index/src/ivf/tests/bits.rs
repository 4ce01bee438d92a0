//! Lists of Binary vectors.

use super::*;

const BITS: [Metric; 2] = [Metric::Hamming, Metric::Jaccard];
/// Bytes of a vector.
const WIDTH: usize = 16;

/// Vectors that differ from one of `clusters` in about an eighth of `spread` of their bits.
fn clustered_bits(seed: u64, rows: usize, clusters: usize, sparse: bool) -> Vec<u8> {
    let byte = |x: f32| ((x + 1.0) * 127.9) as u8;
    let all = uniform(seed, clusters * WIDTH * 2);
    let centre = |at: usize| {
        let (first, second) = (byte(all[at * 2]), byte(all[at * 2 + 1]));
        // Sparse vectors have a quarter of their bits.
        if sparse { first & second } else { first }
    };
    let noise = uniform(seed + 1, rows * WIDTH * 3);
    (0..rows * WIDTH)
        .map(|at| {
            let flips = (0..3).map(|n| byte(noise[at * 3 + n])).fold(0xFF, |all, one| all & one);
            centre((at / WIDTH % clusters) * WIDTH + at % WIDTH) ^ flips
        })
        .collect()
}

struct Bits {
    metric: Metric,
    bytes: Vec<u8>,
    ivf: Ivf,
}

impl Bits {
    fn new(metric: Metric, bytes: Vec<u8>, nlist: usize) -> Bits {
        let params = IvfParams { kind: IvfKind::Bits, nlist };
        let built = built(Vectors::Binary(&bytes), WIDTH * 8, &[], metric, params, 2);
        let ivf = Ivf::open(Bytes::from(built)).unwrap();
        ivf.verify().unwrap();
        Bits { metric, bytes, ivf }
    }

    /// What the scan finds, and what visits to lists find.
    fn both(
        &self,
        queries: &[u8],
        mask: Option<&[u64]>,
        k: usize,
        nprobe: usize,
    ) -> [Vec<Vec<Hit>>; 2] {
        let of = DataType::BinaryVector;
        let queries = Queries::new_typed(self.metric, of, WIDTH * 8, queries).unwrap();
        let vectors = Vectors::Binary(&self.bytes);
        let block = Block { vectors, inv_norms: &[], mask, first_row: 1000 };
        let tie = &|a: u32, b: u32| a.cmp(&b);
        let mut exact = vec![TopK::new(k, self.metric); queries.nq()];
        scan(&queries, &block, &mut exact, tie);
        let mut found = vec![TopK::new(k, self.metric); queries.nq()];
        let (ask, mut scratch) = (Ask { k, nprobe, scored: 0 }, IvfScratch::default());
        self.ivf.visit(&queries, &block, &ask, &mut found, &mut scratch, tie);
        [exact, found].map(|tops| tops.into_iter().map(|top| top.finish(tie)).collect())
    }
}

/// The share of the exact hits that are found, by score: smaller is better.
fn share(exact: &[Vec<Hit>], found: &[Vec<Hit>]) -> f64 {
    recall(exact, found, Metric::L2)
}

#[test]
fn near_bits_are_in_a_few_lists_and_all_bits_in_all() {
    for metric in BITS {
        for sparse in [false, true] {
            let mut bytes = clustered_bits(40, 6050, 60, sparse);
            let queries = bytes.split_off(6000 * WIDTH);
            let rows = Bits::new(metric, bytes, 60);
            let [exact, found] = rows.both(&queries, None, 10, 60);
            assert_eq!(exact, found, "{metric:?} {sparse}");
            let mut before = 0.0;
            for (nprobe, least) in [(1, 0.3), (8, 0.9), (30, 0.99)] {
                let [exact, found] = rows.both(&queries, None, 10, nprobe);
                let share = share(&exact, &found);
                assert!(share >= least, "{metric:?} {sparse} {nprobe}: {share}");
                assert!(share >= before, "more lists find no fewer");
                before = share;
            }
        }
    }
}

#[test]
fn bits_of_every_share_of_the_rows_are_found() {
    for metric in BITS {
        let mut bytes = clustered_bits(41, 3030, 30, false);
        let queries = bytes.split_off(3000 * WIDTH);
        let rows = Bits::new(metric, bytes, 30);
        let [exact, found] = rows.both(&queries, None, 10, 5);
        let all = share(&exact, &found);
        for part in [2, 10, 50, 100] {
            let mask = mask_of(3000, |row| row / 30 % part == 0);
            let [exact, found] = rows.both(&queries, Some(&mask), 10, 5);
            for (exact, found) in exact.iter().zip(&found) {
                assert_eq!(exact.len(), found.len());
                assert!(found.iter().all(|hit| admits(&mask, hit.row as usize - 1000)));
            }
            assert!(share(&exact, &found) >= all - 0.01, "{metric:?} 1 of {part}");
        }
    }
}

#[test]
fn every_changed_byte_of_lists_of_bits_is_found_and_breaks_nothing_before() {
    let rows = Bits::new(Metric::Jaccard, clustered_bits(42, 90, 4, false), 2);
    let params = IvfParams { kind: IvfKind::Bits, nlist: 2 };
    let vectors = Vectors::Binary(&rows.bytes);
    let bytes = built(vectors, WIDTH * 8, &[], Metric::Jaccard, params, 1);
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            let Ok(ivf) = Ivf::open(Bytes::from(bytes)) else { continue };
            assert!(ivf.verify().is_err(), "byte {at}");
            let rows = Bits { ivf, bytes: rows.bytes.clone(), ..rows };
            for nprobe in 1..3 {
                let [_, found] = rows.both(&[0x5A; 2 * WIDTH], None, 5, nprobe);
                for hits in found {
                    assert_eq!(hits.len(), 5);
                    assert!(hits.iter().all(|hit| (1000..1090).contains(&hit.row)));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Zero vectors, full ones, few rows, and any mask.
    #[test]
    fn any_bits_return_as_many_rows_as_there_are(
        metric in select(BITS.to_vec()),
        bytes in prop::collection::vec(select(vec![0_u8, 0xFF, 1, 0x81]), 0..250),
        mask in prop::collection::vec(any::<u64>(), 4),
        k in 1_usize..60,
        nprobe in 1_usize..6,
    ) {
        let bytes: Vec<u8> = bytes.iter().flat_map(|&byte| [byte; WIDTH]).collect();
        let rows = Bits::new(metric, bytes, 5);
        for mask in [None, Some(&mask[..])] {
            let [exact, found] = rows.both(&[[0x0F; WIDTH], [0; WIDTH]].concat(), mask, k, nprobe);
            for (exact, found) in exact.iter().zip(&found) {
                prop_assert_eq!(exact.len(), found.len());
            }
            let [exact, found] = rows.both(&[0x0F; WIDTH], mask, k, 5);
            prop_assert_eq!(exact, found);
        }
    }
}
