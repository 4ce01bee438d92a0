//! Searches of a part of the rows.

use super::*;

/// A mask of the rows that a rule admits.
pub(crate) fn mask_of(rows: usize, admits: impl Fn(usize) -> bool) -> Vec<u64> {
    let mut mask = vec![0; rows.div_ceil(64)];
    (0..rows).filter(|&row| admits(row)).for_each(|row| mask[row / 64] |= 1 << (row % 64));
    mask
}

pub(crate) fn admits(mask: &[u64], row: usize) -> bool {
    mask[row / 64] >> (row % 64) & 1 == 1
}

/// A share of the rows: at random, whole clusters, or all rows that are far from a point.
fn masks(rows: &Rows, share: f64) -> Vec<(&'static str, Vec<u64>)> {
    let count = rows.vectors.len() / rows.dim;
    let random = uniform(21, count);
    let along = |row: usize| rows.vectors[row * rows.dim];
    let mut sorted: Vec<f32> = (0..count).map(along).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let bound = sorted[((1.0 - share) * (count - 1) as f64) as usize];
    vec![
        ("random", mask_of(count, |row| f64::from(random[row]) < 2.0 * share - 1.0)),
        ("clusters", mask_of(count, |row| ((row % 50) as f64) < 50.0 * share)),
        ("one side", mask_of(count, |row| along(row) > bound)),
    ]
}

#[test]
fn masks_of_any_share_are_honoured_and_keep_recall() {
    for metric in METRICS {
        let mut vectors = clustered(20, 6060, 16, 50);
        let queries = vectors.split_off(6000 * 16);
        let rows = Rows::new(metric, 16, vectors, SMALL);
        for share in [0.5, 0.1, 0.01, 0.001] {
            for (name, mask) in masks(&rows, share) {
                let exact = rows.exact(&queries, Some(&mask), 10, &Range::default());
                for way in [None, Some(Strategy::Over), Some(Strategy::Through)] {
                    let found = rows.found(&queries, Some(&mask), &plain(10, 64), way);
                    for (exact, found) in exact.iter().zip(&found) {
                        assert_eq!(exact.len(), found.len());
                        let all = found.iter().all(|hit| admits(&mask, hit.row as usize - 1000));
                        assert!(all, "only rows of the mask");
                    }
                    let recall = recall(&exact, &found, metric);
                    // Under IP the nearest rows are the longest ones, which have few neighbours.
                    let least = match (metric, way) {
                        (Metric::Ip, Some(Strategy::Over)) => 0.6,
                        (Metric::Ip, _) => 0.88,
                        _ => 0.95,
                    };
                    assert!(recall >= least, "{metric:?} {name} {share} {way:?}: {recall}");
                }
            }
        }
    }
}

#[test]
fn a_mask_of_no_row_finds_nothing() {
    let rows = Rows::new(Metric::L2, 4, uniform(22, 100 * 4), SMALL);
    // Bits beyond the rows are of no row.
    let mask = [0, 0xFF << 36];
    for way in [None, Some(Strategy::Over), Some(Strategy::Through)] {
        let found = rows.found(&[0.0; 8], Some(&mask), &plain(5, 20), way);
        assert_eq!(found, [vec![], vec![]]);
    }
}

#[test]
fn the_way_follows_the_number_of_admitted_rows() {
    let rows =
        Rows::new(Metric::L2, 4, uniform(23, 50_000 * 4), GraphParams { m: 4, ef_construction: 8 });
    let way = |survivors| rows.graph.estimate(survivors, 1, &plain(10, 20)).strategy;
    assert_eq!(way(100), Strategy::Scan);
    assert_eq!(way(50_000), Strategy::Through);
    let nanos = |survivors| rows.graph.estimate(survivors, 1, &plain(10, 20)).nanos;
    assert!(nanos(100) < nanos(1000) && nanos(1000) < nanos(10_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Twins of which some are admitted, and masks of any shape.
    #[test]
    fn any_mask_returns_as_many_rows_as_there_are(
        metric in select(METRICS.to_vec()),
        values in prop::collection::vec(-2_i8..3, 2 * 300),
        mask in prop_oneof![
            prop::collection::vec(any::<u64>(), 5),
            prop::collection::vec(Just(0x0000_1000_0000_0001_u64), 5),
        ],
        k in 1_usize..40,
        ef in 1_usize..40,
    ) {
        let vectors: Vec<f32> = values.iter().map(|&x| f32::from(x)).collect();
        let case = Rows::new(metric, 2, vectors, SMALL);
        let query = [0.5, -1.0];
        let exact = case.exact(&query, Some(&mask), k, &Range::default());
        for way in [None, Some(Strategy::Over), Some(Strategy::Through)] {
            let found = case.found(&query, Some(&mask), &plain(k, ef), way);
            prop_assert_eq!(found[0].len(), exact[0].len());
            prop_assert!(found[0].iter().all(|hit| admits(&mask, hit.row as usize - 1000)));
        }
    }
}
