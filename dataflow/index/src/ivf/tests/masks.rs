//! Searches of a part of the rows.

use super::*;

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
        for kind in NUMBERS {
            let mut vectors = clustered(20, 6060, 16, 50);
            let queries = vectors.split_off(6000 * 16);
            let rows = Rows::new(kind, metric, 16, vectors, 60);
            let exact = rows.exact(&queries, None, 10);
            let all = recall(&exact, &rows.found(&queries, None, 10, 6), metric);
            for share in [0.99, 0.5, 0.1, 0.01, 0.001] {
                for (name, mask) in masks(&rows, share) {
                    let exact = rows.exact(&queries, Some(&mask), 10);
                    let found = rows.found(&queries, Some(&mask), 10, 6);
                    for (exact, found) in exact.iter().zip(&found) {
                        assert_eq!(exact.len(), found.len());
                        let kept = found.iter().all(|hit| admits(&mask, hit.row as usize - 1000));
                        assert!(kept, "only rows of the mask");
                    }
                    let recall = recall(&exact, &found, metric);
                    assert!(recall >= all - 0.01, "{metric:?} {name} {share}: {recall}, {all}");
                }
            }
        }
    }
}

#[test]
fn a_mask_of_no_row_finds_nothing() {
    for kind in NUMBERS {
        let rows = Rows::new(kind, Metric::L2, 4, uniform(22, 100 * 4), 2);
        // Bits beyond the rows are of no row.
        let mask = [0, 0xFF << 36];
        assert_eq!(rows.found(&[0.0; 8], Some(&mask), 5, 1), [vec![], vec![]]);
    }
}

#[test]
fn the_way_follows_the_number_of_admitted_rows_and_of_lists() {
    let rows = Rows::new(IvfKind::Sq8, Metric::L2, 16, uniform(23, 50_000 * 16), 128);
    let scans = |survivors, nprobe| {
        rows.ivf.estimate(survivors, 1, &Ask { k: 10, nprobe, scored: 0 }).scans
    };
    assert!(scans(100, 8) && scans(50_000, 128) && scans(50_000, 60_000));
    assert!(!scans(50_000, 8) && !scans(45_000, 1));
    let nanos =
        |survivors| rows.ivf.estimate(survivors, 1, &Ask { k: 10, nprobe: 8, scored: 0 }).nanos;
    assert!(nanos(100) < nanos(1000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Equal rows of which some are admitted, and masks of any shape.
    #[test]
    fn any_mask_returns_as_many_rows_as_there_are(
        metric in select(METRICS.to_vec()),
        kind in select(NUMBERS.to_vec()),
        values in prop::collection::vec(-2_i8..3, 2 * 300),
        mask in prop_oneof![
            prop::collection::vec(any::<u64>(), 5),
            prop::collection::vec(Just(0x0000_1000_0000_0001_u64), 5),
        ],
        k in 1_usize..40,
        nprobe in 1_usize..9,
    ) {
        let vectors: Vec<f32> = values.iter().map(|&x| f32::from(x)).collect();
        let case = Rows::new(kind, metric, 2, vectors, 7);
        let query = [0.5, -1.0, 2.0, 1.0];
        let exact = case.exact(&query, Some(&mask), k);
        let found = case.found(&query, Some(&mask), k, nprobe);
        for (found, exact) in found.iter().zip(&exact) {
            prop_assert_eq!(found.len(), exact.len());
            prop_assert!(found.iter().all(|hit| admits(&mask, hit.row as usize - 1000)));
        }
        if kind == IvfKind::Flat {
            prop_assert_eq!(&case.found(&query, Some(&mask), k, 7), &exact);
        }
    }
}
