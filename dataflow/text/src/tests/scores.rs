//! BM25 against the formula, over random texts, masks and ways to append.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{index_of, mask_of};
use crate::score::{Gains, short_length};
use crate::{Analyzer, Bm25, Query, Scorer, Statistics, TextHit, TextSnapshot, TextWriter, Top};

/// Rows of equal score in the order of their distance from row 10, so not in any natural one.
fn tie(a: u32, b: u32) -> Ordering {
    a.abs_diff(10).cmp(&b.abs_diff(10)).then(b.cmp(&a))
}

fn query(text: &str) -> Query {
    Query::new(&Analyzer::from_params(None).unwrap(), text)
}

fn search(
    index: &TextSnapshot,
    text: &str,
    (visible, mask): (&[u64], &[u64]),
    k: usize,
    bm25: Bm25,
) -> Vec<TextHit> {
    let query = query(text);
    let scorer = Scorer::new(&query, &index.statistics(&query, visible), bm25);
    let mut top = Top::new(k);
    index.search(&scorer, mask, 0, &mut top, &tie);
    top.finish(&tie)
}

/// Scores of the rows of `mask` that have a term of the query, by the formula.
fn formula(
    docs: &[String],
    text: &str,
    visible: &[bool],
    mask: &[bool],
    (k1, b): (f64, f64),
) -> HashMap<u32, f64> {
    let words = |text: &str| text.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = docs.iter().map(|doc| words(doc)).collect();
    let seen = || rows.iter().zip(visible).filter(|(_, seen)| **seen).map(|(row, _)| row);
    let count = seen().count() as f64;
    let average = seen().map(Vec::len).sum::<usize>() as f64 / count;
    let query: Vec<String> = words(text);
    let mut scores = HashMap::new();
    for (number, row) in rows.iter().enumerate().filter(|(number, _)| mask[*number]) {
        for term in &query {
            let times = row.iter().filter(|w| *w == term).count() as f64;
            let having = seen().filter(|row| row.contains(term)).count() as f64;
            let idf = (1.0 + (count - having + 0.5) / (having + 0.5)).ln();
            let hold = k1 * (1.0 - b + b * row.len() as f64 / average);
            if times > 0.0 {
                *scores.entry(number as u32).or_default() +=
                    idf * times * (k1 + 1.0) / (times + hold);
            }
        }
    }
    scores
}

fn doc() -> impl Strategy<Value = String> {
    // Low numbers come often, so some terms are frequent and some rare.
    let word = (0u32..24).prop_flat_map(|top| 0..=top).prop_map(|n| format!("w{n}"));
    prop::collection::vec(word, 0..12).prop_map(|words| words.join(" "))
}

fn corpus() -> impl Strategy<Value = (Vec<String>, Vec<bool>, Vec<bool>)> {
    prop::collection::vec((doc(), prop::bool::weighted(0.8), prop::bool::weighted(0.6)), 1..150)
        .prop_map(|rows| {
            let docs = rows.iter().map(|row| row.0.clone()).collect();
            let visible = rows.iter().map(|row| row.1).collect();
            // What is searched is visible.
            (docs, visible, rows.iter().map(|row| row.1 && row.2).collect())
        })
}

proptest! {
    #[test]
    fn the_best_rows_are_those_of_the_formula(
        (docs, visible, mask) in corpus(),
        text in doc(),
        batches in prop::collection::vec(1usize..20, 1..4),
        k in 0usize..20,
        k1 in 0f32..3.0,
        b in 0f32..=1.0,
    ) {
        let writer = index_of(&docs, &batches);
        let index = writer.view().snapshot();
        let masks = (mask_of(&visible), mask_of(&mask));
        let bm25 = Bm25::new(k1, b).unwrap();
        let hits = search(&index, &text, (&masks.0, &masks.1), k, bm25);
        let expected = formula(&docs, &text, &visible, &mask, (f64::from(k1), f64::from(b)));
        prop_assert_eq!(hits.len(), k.min(expected.len()));
        for hit in &hits {
            let score = expected[&hit.row];
            prop_assert!((f64::from(hit.score) - score).abs() <= 1e-5 * score);
        }
        // Nothing better was left out, up to what rounding may turn round.
        let kept: HashSet<u32> = hits.iter().map(|hit| hit.row).collect();
        if let Some(last) = hits.last() {
            let left = expected.iter().filter(|(row, _)| !kept.contains(row));
            let best = left.map(|(_, score)| *score).fold(0.0, f64::max);
            prop_assert!(best <= f64::from(last.score) * (1.0 + 1e-5));
        }
    }

    #[test]
    fn how_rows_came_and_how_many_are_wanted_change_no_bit(
        (docs, visible, mask) in corpus(),
        text in doc(),
        batches in prop::collection::vec(1usize..20, 1..4),
        k in 0usize..20,
    ) {
        let (one, many) = (index_of(&docs, &[docs.len()]), index_of(&docs, &batches));
        let masks = (mask_of(&visible), mask_of(&mask));
        let of = |writer: &TextWriter, k| {
            let index = writer.view().snapshot();
            search(&index, &text, (&masks.0, &masks.1), k, Bm25::default())
        };
        let mut all = of(&one, docs.len());
        all.truncate(k);
        prop_assert_eq!(&of(&many, k), &all);
        prop_assert_eq!(&of(&one, k), &all);
    }

    #[test]
    fn statistics_of_parts_add_up((docs, visible, _) in corpus(), text in doc(), cut in 0usize..150) {
        let cut = cut.min(docs.len());
        let query = query(&text);
        let of = |docs: &[String], visible: &[bool]| {
            index_of(docs, &[7, 1]).view().snapshot().statistics(&query, &mask_of(visible))
        };
        let mut sum = Statistics::default();
        sum.add(&of(&docs[..cut], &visible[..cut]));
        sum.add(&of(&docs[cut..], &visible[cut..]));
        prop_assert_eq!(sum, of(&docs, &visible));
    }
}

#[test]
fn rows_past_the_mask_do_not_exist() {
    let docs: Vec<String> = (0..200).map(|i| format!("a b{i}")).collect();
    let index = index_of(&docs, &[3]).view().snapshot();
    let prefix = mask_of(&[true; 70]);
    let statistics = index.statistics(&query("a"), &prefix);
    let expected = Statistics { documents: 70, total_length: 140, frequencies: vec![70] };
    assert_eq!(statistics, expected);
    let hits = search(&index, "a", (&prefix, &prefix), 500, Bm25::default());
    assert_eq!(hits.len(), 70);
    assert!(hits.iter().all(|hit| hit.row < 70));
}

#[test]
fn a_row_may_have_a_term_more_often_than_a_byte_counts() {
    let often = "x ".repeat(300) + "y";
    let docs: Vec<String> = ["x y", &often, "y"].map(str::to_owned).to_vec();
    let index = index_of(&docs, &[1]).view().snapshot();
    let mask = mask_of(&[true; 3]);
    let hits = search(&index, "x", (&mask, &mask), 3, Bm25::new(1.2, 0.0).unwrap());
    assert_eq!(hits[0].row, 1);
    let expected = formula(&docs, "x", &[true; 3], &[true; 3], (1.2, 0.0));
    assert!((f64::from(hits[0].score) - expected[&1]).abs() < 1e-6);
}

/// Windows, ranges and the look-up of light terms come into play only among many rows.
#[test]
fn many_rows_are_searched_as_exactly_as_few() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut word = || {
        let top = rng.random_range(1..2000);
        let top = rng.random_range(0..top);
        format!("w{}", rng.random_range(0..=top))
    };
    let docs: Vec<String> =
        (0..80_000).map(|i| (0..(5 + i % 7)).map(|_| word() + " ").collect()).collect();
    let index = index_of(&docs, &[30_000, 1, 500, 64, 9_000]).view().snapshot();
    let every = |step: usize| mask_of(&(0..docs.len()).map(|i| i % step != 1).collect::<Vec<_>>());
    for text in ["w0 w1 w2", "w900 w0", "w3 w1999 w1500 w1", "w7 w7 w8 w2 w0 w1 w5", "none"] {
        let masks = (every(50), every(5));
        let seen = || docs.iter().enumerate().filter(|(row, _)| row % 50 != 1).map(|(_, doc)| doc);
        let query = query(text);
        let has = |doc: &str, name: &[u8]| doc.split(' ').any(|word| word.as_bytes() == name);
        let having = |name: &[u8]| seen().filter(|doc| has(doc, name)).count() as u64;
        let statistics = index.statistics(&query, &masks.0);
        let frequencies = query.terms.iter().map(|term| having(&term.name)).collect();
        let total_length = seen().map(|doc| doc.split_whitespace().count() as u64).sum();
        let expected = Statistics { documents: seen().count() as u64, total_length, frequencies };
        assert_eq!(statistics, expected, "{text}");
        let mut all = search(&index, text, (&masks.0, &masks.1), docs.len(), Bm25::default());
        for k in [1, 10, 1000] {
            let hits = search(&index, text, (&masks.0, &masks.1), k, Bm25::default());
            assert_eq!(hits, all[..k.min(all.len())], "{k} of {text}");
        }
        all.sort_by_key(|hit| hit.row);
        let matching = |row: &usize| {
            let doc: HashSet<&str> = docs[*row].split(' ').collect();
            row % 5 != 1 && text.split(' ').any(|term| doc.contains(term))
        };
        let expected: Vec<u32> = (0..docs.len())
            .filter(|row| row % 50 != 1 && matching(row))
            .map(|r| r as u32)
            .collect();
        let rows: Vec<u32> = all.iter().filter(|h| h.row % 50 != 1).map(|h| h.row).collect();
        assert_eq!(rows, expected, "{text}");
    }
}

#[test]
fn gains_of_the_table_are_the_bits_of_the_formula() {
    let statistics = Statistics { documents: 3, total_length: 50, frequencies: vec![2] };
    let scorer = Scorer::new(&query("a"), &statistics, Bm25::default());
    let gains = Gains::new(&scorer);
    for (length, count) in (0..300).flat_map(|length| (1..300).map(move |count| (length, count))) {
        let exact = scorer.gain(count, scorer.hold(length));
        let gain = gains.of(count.min(255) as u8, short_length(length));
        assert!(gain.is_none_or(|gain| gain.to_bits() == exact.to_bits()), "{count} in {length}");
        assert_eq!(gain.is_some(), count < 8 && length < 255, "{count} in {length}");
    }
}

#[test]
fn parameters_out_of_range_are_refused() {
    assert!(Bm25::new(-0.1, 0.5).is_err());
    assert!(Bm25::new(f32::NAN, 0.5).is_err());
    assert!(Bm25::new(1.2, 1.5).is_err());
    assert_eq!(Bm25::new(1.2, 0.75).unwrap(), Bm25::default());
}
