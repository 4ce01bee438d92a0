//! Matches and phrases against looking at every text; growth against readers.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{index_of, mask_of};
use crate::{Analyzer, Query, TextWriter};

fn words(text: &str) -> Vec<&str> {
    text.split(' ').filter(|word| !word.is_empty()).collect()
}

fn doc() -> impl Strategy<Value = String> {
    prop::collection::vec((0u32..6).prop_map(|n| format!("w{n}")), 0..9)
        .prop_map(|words| words.join(" "))
}

/// Whether the words can be laid on places of their own in `doc`, none moved by more than `slop`
/// further than another.
fn has_phrase(doc: &[&str], phrase: &[&str], slop: i64) -> bool {
    fn lay(doc: &[&str], phrase: &[&str], slop: i64, laid: &mut Vec<usize>) -> bool {
        let moves = || laid.iter().enumerate().map(|(i, &place)| place as i64 - i as i64);
        let (least, most) = (moves().min().unwrap_or(0), moves().max().unwrap_or(0));
        if most - least > slop {
            return false;
        }
        let Some(next) = phrase.get(laid.len()) else { return true };
        (0..doc.len()).any(|place| {
            let free = doc[place] == *next && !laid.contains(&place);
            free && {
                laid.push(place);
                let fits = lay(doc, phrase, slop, laid);
                laid.pop();
                fits
            }
        })
    }
    !phrase.is_empty() && lay(doc, phrase, slop, &mut Vec::new())
}

fn analyzer() -> Analyzer {
    Analyzer::from_params(None).unwrap()
}

proptest! {
    #[test]
    fn a_match_is_what_counting_the_words_says(
        docs in prop::collection::vec(doc(), 1..120),
        text in doc(),
        minimum in 0usize..5,
        batches in prop::collection::vec(1usize..9, 1..4),
        first in 0usize..120,
        count in 0usize..120,
    ) {
        let first = first.min(docs.len());
        let count = count.min(docs.len() - first);
        let index = index_of(&docs, &batches).view().snapshot();
        let mut bits = vec![0; count.div_ceil(64)];
        let query = Query::new(&analyzer(), &text);
        index.set_matches(&query, minimum, (first as u32, count), &mut bits);
        let wanted: HashSet<&str> = words(&text).into_iter().collect();
        let fits = |doc: &String| {
            let has: HashSet<&str> = words(doc).into_iter().collect();
            has.intersection(&wanted).count() >= minimum.max(1)
        };
        let expected: Vec<bool> = docs[first..first + count].iter().map(fits).collect();
        prop_assert_eq!(bits, mask_of(&expected));
    }

    #[test]
    fn a_phrase_is_what_laying_the_words_says(
        docs in prop::collection::vec(doc(), 1..40),
        phrase in prop::collection::vec(0u32..6, 0..5),
        slop in 0u32..5,
        batches in prop::collection::vec(1usize..9, 1..4),
        first in 0usize..40,
    ) {
        let first = first.min(docs.len());
        let count = docs.len() - first;
        let index = index_of(&docs, &batches).view().snapshot();
        let text = phrase.iter().map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        let mut bits = vec![0; count.div_ceil(64)];
        let query = Query::new(&analyzer(), &text);
        index.set_phrases(&query, slop, (first as u32, count), &mut bits);
        let fits = |doc: &String| has_phrase(&words(doc), &words(&text), i64::from(slop));
        let expected: Vec<bool> = docs[first..].iter().map(fits).collect();
        prop_assert_eq!(bits, mask_of(&expected));
    }
}

#[test]
fn a_slop_lets_words_stand_apart_and_change_places() {
    let docs =
        ["machine learning", "learning machine", "machine deep learning", "learning a machine"];
    let docs: Vec<String> = docs.map(str::to_owned).to_vec();
    let index = index_of(&docs, &[2]).view().snapshot();
    let query = Query::new(&analyzer(), "machine learning");
    for (slop, expected) in [(0, 0b0001), (1, 0b0101), (2, 0b0111), (3, 0b1111), (u32::MAX, 0b1111)]
    {
        let mut bits = [0];
        index.set_phrases(&query, slop, (0, 4), &mut bits);
        assert_eq!(bits[0], expected, "slop {slop}");
    }
}

#[test]
fn a_stop_word_leaves_its_place_in_a_phrase() {
    let english = Analyzer::from_params(Some(r#"{"type": "english"}"#)).unwrap();
    let mut writer = TextWriter::new(english.clone(), true);
    writer.append(["state of the art", "state art", "states in an art"]);
    let mut bits = [0];
    let query = Query::new(&english, "state of the art");
    writer.view().snapshot().set_phrases(&query, 0, (0, 3), &mut bits);
    assert_eq!(bits, [0b101]);
}

#[test]
fn chinese_phrases_are_found_word_by_word() {
    let chinese = Analyzer::from_params(Some(r#"{"type": "chinese"}"#)).unwrap();
    let mut writer = TextWriter::new(chinese.clone(), true);
    writer.append(["我来到北京清华大学", "清华大学在北京"]);
    let mut bits = [0];
    let query = Query::new(&chinese, "北京清华大学");
    writer.view().snapshot().set_phrases(&query, 0, (0, 2), &mut bits);
    assert_eq!(bits, [0b01]);
}

#[test]
fn without_positions_no_phrase_is_found() {
    let mut writer = TextWriter::new(analyzer(), false);
    writer.append(["a b"]);
    let mut bits = [0];
    writer.view().snapshot().set_phrases(&Query::new(&analyzer(), "a b"), 9, (0, 1), &mut bits);
    assert_eq!(bits, [0]);
}

/// Small blocks must not pile up, however the batches come.
#[test]
fn blocks_stay_few() {
    for sizes in [vec![1], vec![1, 700], vec![1, 9, 70, 1, 1, 500], vec![64, 1]] {
        let mut writer = TextWriter::new(analyzer(), false);
        for size in sizes.iter().cycle().take(4000) {
            writer.append((0..*size).map(|_| "a"));
            assert!(
                writer.view().snapshot().blocks().count() <= 64 + (writer.rows() >> 16) as usize
            );
        }
    }
}

#[test]
fn readers_see_whole_batches_while_the_writer_goes_on() {
    let mut writer = TextWriter::new(analyzer(), true);
    let view = writer.view();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let query = Query::new(view.analyzer(), "even");
                let mut seen = 0;
                while seen < 20_000 {
                    let snapshot = view.snapshot();
                    let rows = snapshot.rows();
                    assert!(rows >= seen && rows.is_multiple_of(5));
                    seen = rows;
                    let mut bits = vec![0; (rows as usize).div_ceil(64)];
                    snapshot.set_matches(&query, 1, (0, rows as usize), &mut bits);
                    let even: u32 = bits.iter().map(|word| word.count_ones()).sum();
                    assert_eq!(even, rows.div_ceil(2));
                }
            });
        }
        for batch in 0..4000u32 {
            writer.append(
                (0..5).map(|i| if (batch * 5 + i).is_multiple_of(2) { "even" } else { "odd" }),
            );
        }
    });
}

#[test]
fn a_long_phrase_on_a_long_text_of_the_same_words_ends_soon() {
    let text = format!("{}b", "a ".repeat(20_000));
    let mut writer = TextWriter::new(analyzer(), true);
    writer.append([text.as_str()]);
    // The last word is never where the others want it.
    let query = Query::new(&analyzer(), &format!("b {}", "a ".repeat(1_000)));
    let (mut bits, begun) = ([0], Instant::now());
    writer.view().snapshot().set_phrases(&query, 5, (0, 1), &mut bits);
    assert_eq!(bits, [0]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
