//! What reads of texts should say: every row is looked at.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::server::{Hit, Op};

/// A row of the collection.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) pk: i64,
    pub(crate) partition: i64,
    pub(crate) body: String,
    pub(crate) note: Option<String>,
}

/// The rows alive at some time, by key.
#[derive(Clone, Default)]
pub(crate) struct Model {
    rows: BTreeMap<i64, Row>,
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').filter(|word| !word.is_empty()).collect()
}

impl Model {
    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Upsert(rows) => self.rows.extend(rows.iter().map(|row| (row.pk, row.clone()))),
            Op::Delete(keys) => self.rows.retain(|pk, _| !keys.contains(pk)),
            Op::DeleteMatching(filter) => self.rows.retain(|_, row| !keeps(filter, row)),
        }
    }

    pub(crate) fn matching(&self, filter: &str) -> Vec<i64> {
        self.rows.values().filter(|row| keeps(filter, row)).map(|row| row.pk).collect()
    }

    /// Every row that has a word of the text and passes, with its score by the formula.
    pub(crate) fn ranked(
        &self,
        text: &str,
        filter: Option<&str>,
        partition: Option<i64>,
    ) -> BTreeMap<i64, f64> {
        let count = self.rows.len() as f64;
        let bodies = || self.rows.values().map(|row| words(&row.body));
        let average = bodies().map(|body| body.len()).sum::<usize>() as f64 / count;
        let mut scores = BTreeMap::new();
        for row in self.rows.values() {
            let passes = filter.is_none_or(|filter| keeps(filter, row))
                && partition.is_none_or(|partition| row.partition == partition);
            let body = words(&row.body);
            for word in words(text).iter().filter(|_| passes) {
                let times = body.iter().filter(|w| *w == word).count() as f64;
                let having = bodies().filter(|body| body.contains(word)).count() as f64;
                let idf = (1.0 + (count - having + 0.5) / (having + 0.5)).ln();
                let hold = 1.2 * (1.0 - 0.75 + 0.75 * body.len() as f64 / average);
                if times > 0.0 {
                    *scores.entry(row.pk).or_default() += idf * times * 2.2 / (times + hold);
                }
            }
        }
        scores
    }
}

/// Whether a filter of the tests keeps a row.
fn keeps(filter: &str, row: &Row) -> bool {
    let (negated, call) = match filter.strip_prefix("not ") {
        Some(call) => (true, call),
        None => (false, filter),
    };
    let (field, rest) = call.split_once('(').unwrap().1.split_once(", \"").unwrap();
    let (text, rest) = rest.split_once('"').unwrap();
    let value = if field == "body" { Some(&row.body) } else { row.note.as_ref() };
    let Some(value) = value else { return false };
    let number = |from: &str| from.chars().filter(char::is_ascii_digit).collect::<String>();
    let (value, text) = (words(value), words(text));
    let matches = if call.starts_with("phrase_match") {
        has_phrase(&value, &text, number(rest).parse().unwrap())
    } else {
        let least = if negated { 1 } else { number(rest).parse().unwrap_or(1) };
        let (value, text): (HashSet<_>, HashSet<_>) =
            (value.into_iter().collect(), text.into_iter().collect());
        value.intersection(&text).count() >= least
    };
    if negated { !matches && row.pk > 5 } else { matches }
}

/// Whether the words can be laid on places of their own, none moved by more than `slop` further
/// than another.
fn has_phrase(doc: &[&str], phrase: &[&str], slop: i64) -> bool {
    fn lay(doc: &[&str], phrase: &[&str], slop: i64, laid: &mut Vec<usize>) -> bool {
        let moves = || laid.iter().enumerate().map(|(i, &place)| place as i64 - i as i64);
        if moves().max().unwrap_or(0) - moves().min().unwrap_or(0) > slop {
            return false;
        }
        let Some(next) = phrase.get(laid.len()) else { return true };
        (0..doc.len()).any(|place| {
            if doc[place] != *next || laid.contains(&place) {
                return false;
            }
            laid.push(place);
            let fits = lay(doc, phrase, slop, laid);
            laid.pop();
            fits
        })
    }
    !phrase.is_empty() && lay(doc, phrase, slop, &mut Vec::new())
}

/// Checks that hits are the best `topk` of the expected rows, in their order.
pub(crate) fn check(
    hits: &[Hit],
    expected: &BTreeMap<i64, f64>,
    topk: usize,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(hits.len(), topk.min(expected.len()));
    for (pk, score) in hits {
        let wanted = expected.get(pk).copied().unwrap_or(f64::NAN);
        prop_assert!((f64::from(*score) - wanted).abs() <= 1e-5 * wanted, "{} of {}", score, pk);
    }
    let ordered = |a: &Hit, b: &Hit| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)).is_lt();
    prop_assert!(hits.is_sorted_by(ordered), "{:?}", hits);
    let left = expected.iter().filter(|(pk, _)| hits.iter().all(|hit| hit.0 != **pk));
    let best = left.map(|(_, score)| *score).fold(0.0, f64::max);
    let last = hits.last().map_or(f64::INFINITY, |hit| f64::from(hit.1));
    prop_assert!(best <= last * (1.0 + 1e-5), "{} was left out, below it is {}", best, last);
    Ok(())
}
