//! Grouped searches against a naive model.

use std::collections::BTreeMap;

use millstream_catalog::model::Metric;
use proptest::prelude::*;

use super::{by_key, key};
use crate::{BestGroups, Block, GroupHit, GroupMembers, Queries, Range, Vectors, scan};

/// Rows on a line; the group of a row is given.
#[derive(Debug, Clone)]
struct Case {
    rows: Vec<(f32, u64)>,
    k: usize,
    group_size: usize,
    range: Range,
}

fn cases() -> impl Strategy<Value = Case> {
    let row = ((0_u8..60).prop_map(f32::from), 0_u64..50);
    let bound = || prop::option::of((0_u16..4000).prop_map(f32::from));
    let rows = prop::collection::vec(row, 0..600);
    (rows, 0_usize..20, 1_usize..30, bound(), bound()).prop_map(
        |(rows, k, group_size, radius, range_filter)| {
            let range = Range { radius, range_filter, after: None };
            Case { rows, k, group_size, range }
        },
    )
}

/// Everything by sorting: the rows of the k groups whose best rows are nearest, each with its best.
fn model(case: &Case, group_size: usize) -> Vec<(u64, f32, u32)> {
    let mut rows: Vec<(f32, u32, u64)> = case
        .rows
        .iter()
        .enumerate()
        .map(|(i, (x, group))| (x * x, i as u32, *group))
        .filter(|row| case.range.radius.is_none_or(|r| row.0 < r))
        .filter(|row| case.range.range_filter.is_none_or(|r| row.0 >= r))
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(key(a.1).cmp(&key(b.1))));
    let mut sizes: BTreeMap<u64, usize> = BTreeMap::new();
    let mut hits = Vec::new();
    for (score, row, group) in rows {
        if sizes.len() == case.k && !sizes.contains_key(&group) {
            continue;
        }
        let size = sizes.entry(group).or_default();
        if *size < group_size {
            *size += 1;
            hits.push((group, score, row));
        }
    }
    hits
}

fn plain(hits: &[GroupHit]) -> Vec<(u64, f32, u32)> {
    hits.iter().map(|h| (h.group, h.hit.score, h.hit.row)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn groups_and_their_members_are_what_the_model_returns(case in cases()) {
        let queries = Queries::new(Metric::L2, 1, &[0.0, 0.0]).unwrap();
        let vectors: Vec<f32> = case.rows.iter().map(|row| row.0).collect();
        let group_of = |row: u32| case.rows[row as usize].1;
        let blocks = || vectors.chunks(64).enumerate().map(|(i, rows)| Block {
            vectors: Vectors::Float(rows),
            inv_norms: &[],
            mask: None,
            first_row: i as u32 * 64,
        });
        let collector = BestGroups::new(case.k, Metric::L2, &case.range, &group_of);
        let mut best = [collector.clone(), collector.clone()];
        // Half of the rows are found by another task.
        let mut others = [collector.clone(), collector];
        for (i, block) in blocks().enumerate() {
            scan(&queries, &block, if i % 2 == 0 { &mut best } else { &mut others }, &by_key);
        }
        let [mut best, _] = best;
        let [other, _] = others;
        best.absorb(other, &by_key);
        let groups = best.finish(&by_key);
        prop_assert_eq!(plain(&groups), model(&case, 1));

        let numbers = groups.iter().map(|hit| hit.group);
        let collector =
            GroupMembers::new(numbers, case.group_size, Metric::L2, &case.range, &group_of);
        let mut members = [collector.clone(), collector.clone()];
        let mut others = [collector.clone(), collector];
        for (i, block) in blocks().enumerate() {
            scan(&queries, &block, if i % 3 == 0 { &mut members } else { &mut others }, &by_key);
        }
        let [_, mut members] = members;
        let [_, other] = others;
        members.absorb(other, &by_key);
        prop_assert_eq!(plain(&members.finish(&by_key)), model(&case, case.group_size));
    }
}
