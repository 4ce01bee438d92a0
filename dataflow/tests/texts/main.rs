//! Texts through the whole dataflow, against a model that looks at every row: BM25 with its
//! statistics over all shards, text and phrase matches, at the newest and at past times, also after
//! rows around the texts were compacted away and the process started again.

#![allow(clippy::unwrap_used)] // a test file, also where its functions are no tests

#[path = "../support/manifest.rs"]
mod manifest;
mod model;
mod server;

use proptest::prelude::*;

use model::{Model, Row};
use server::{Op, Server};

/// Words of which low numbers are frequent.
fn words(max: usize) -> impl Strategy<Value = String> {
    let word = (0u32..8).prop_flat_map(|top| 0..=top).prop_map(|n| format!("w{n}"));
    prop::collection::vec(word, 0..max).prop_map(|words| words.join(" "))
}

/// Rows of different keys; a key is always in one partition.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let note = prop::option::weighted(0.8, words(6));
    prop::collection::btree_map(0i64..40, (words(9), note), 1..12).prop_map(|rows| {
        let row = |(pk, (body, note))| Row { pk, partition: 1 + pk % 2, body, note };
        rows.into_iter().map(row).collect()
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => rows().prop_map(Op::Upsert),
        1 => prop::collection::vec(0i64..40, 1..6).prop_map(Op::Delete),
        1 => filter().prop_map(Op::DeleteMatching),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    let field = prop_oneof![Just("body"), Just("note")];
    (field, words(4), 1u32..4, 0u32..3, 0u32..4).prop_map(|(field, words, minimum, slop, kind)| {
        match kind {
            0 => format!("text_match({field}, \"{words}\")"),
            1 => format!("text_match({field}, \"{words}\", minimum_should_match={minimum})"),
            2 => format!("phrase_match({field}, \"{words}\", {slop})"),
            _ => format!("not text_match({field}, \"{words}\") and pk > 5"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn reads_of_texts_are_what_looking_at_every_row_says(
        ops in prop::collection::vec(op(), 1..10),
        filters in prop::collection::vec(filter(), 1..5),
        texts in prop::collection::vec(words(5), 1..4),
        topk in 1u32..12,
        workers in 1usize..4,
        events in prop::collection::vec(0u32..4, 10),
    ) {
        let mut server = Server::start(workers);
        let mut model = Model::default();
        let mut past = Vec::new();
        for (op, event) in ops.iter().zip(events) {
            server.write(op);
            model.apply(op);
            if event > 1 {
                let since = server.compact();
                past.retain(|(as_of, _)| *as_of >= since);
            }
            if event > 2 {
                server.restart();
            }
            let target = server.newest();
            past.push((server.time_of(&target), model.clone()));
        }
        for (as_of, model) in &past {
            let target = server.at(*as_of);
            for filter in &filters {
                let pks = server.matching(&target, filter);
                prop_assert_eq!(pks, model.matching(filter), "{}", filter);
            }
            for filter in [None, Some(&filters[0])] {
                for partitions in [vec![], vec![1]] {
                    let target = server.at_of(*as_of, &partitions);
                    let hits = server.search(&target, &texts, topk, filter.map(String::as_str));
                    let expected = |text| {
                        model.ranked(text, filter.map(String::as_str), partitions.first().copied())
                    };
                    for (text, hits) in texts.iter().zip(&hits) {
                        model::check(hits, &expected(text), topk as usize)?;
                    }
                }
            }
        }
        server.stop();
    }
}

#[test]
fn a_filter_delete_by_words_ends_what_matches() {
    let mut server = Server::start(2);
    let row = |pk, body: &str| Row { pk, partition: 1, body: body.to_owned(), note: None };
    server.write(&Op::Upsert(vec![row(1, "red fox"), row(2, "red dog"), row(3, "grey fox")]));
    assert_eq!(server.delete("text_match(body, \"fox\")"), 2);
    let target = server.newest();
    assert_eq!(server.matching(&target, "text_match(body, \"red fox\")"), [2]);
    server.stop();
}

#[test]
fn a_search_without_a_known_word_finds_nothing() {
    let mut server = Server::start(1);
    let target = server.newest();
    assert_eq!(server.search(&target, &["w1".to_owned()], 3, None), [vec![]]);
    let row = Row { pk: 1, partition: 1, body: "w0".to_owned(), note: None };
    server.write(&Op::Upsert(vec![row]));
    let target = server.newest();
    let texts = ["w1", "", "w0"].map(str::to_owned);
    let hits = server.search(&target, &texts, 3, None);
    assert_eq!(hits.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 1]);
    server.stop();
}
