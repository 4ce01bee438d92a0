//! Mutations of good filters and documents: whatever comes of them is parsed and evaluated, or
//! refused, at once and without a panic. `MILLSTREAM_TEST_FUZZ_SECONDS` says for how long.

mod support;

use std::time::{Duration, Instant};

use millstream_expr::{Plan, TemplateValue, json_cell, parse_seeded};
use rand::prelude::*;
use rand::rngs::StdRng;
use support::{json, measured_rows, measured_schema};

const EXPRESSIONS: &str = include_str!("corpus/expressions.txt");
const DOCUMENTS: &str = include_str!("corpus/documents.txt");
const PIECES: [&str; 40] = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "=",
    "==",
    "!=",
    "<",
    ">=",
    "**",
    "<<",
    ">>",
    "=~",
    "!~",
    "~",
    "-",
    "!",
    "&",
    "|",
    "^",
    "%",
    "\"",
    "'",
    "\\",
    "r'",
    "$",
    "$meta",
    " and ",
    " or ",
    " not ",
    " in ",
    " is null",
    " like ",
    "9223372036854775808",
    "1e308",
    "array_length(",
    "é",
];

/// How long each test of this file runs.
fn duration() -> Duration {
    let seconds = std::env::var("MILLSTREAM_TEST_FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(2))
}

/// One to four changes of a text from a corpus.
fn mutated(corpus: &[&str], random: &mut StdRng) -> String {
    let pick = |random: &mut StdRng| corpus[random.random_range(0..corpus.len())];
    let mut chars: Vec<char> = pick(random).chars().collect();
    for _ in 0..random.random_range(1..5) {
        let (a, b) = (random.random_range(0..=chars.len()), random.random_range(0..=chars.len()));
        let range = a.min(b)..a.max(b);
        match random.random_range(0..6) {
            0 => drop(chars.drain(range)),
            1 => {
                let copy = chars[range].to_vec();
                chars.splice(a..a, copy);
            }
            2 => drop(chars.splice(a..a, PIECES[random.random_range(0..PIECES.len())].chars())),
            3 => {
                let other: Vec<char> = pick(random).chars().collect();
                let from = random.random_range(0..=other.len());
                chars.splice(a.., other[from..].iter().copied());
            }
            4 if a < chars.len() => {
                chars[a] = char::from_u32(random.random_range(0..0x250)).unwrap_or('\0');
            }
            _ => {
                let count = random.random_range(1..200);
                let copy: String = chars[range].iter().take(6).collect();
                chars.splice(a..a, copy.repeat(count).chars());
            }
        }
        chars.truncate(20_000);
    }
    chars.into_iter().collect()
}

#[test]
fn mutated_filters_are_answered_or_refused_at_once() {
    let (schema, mut rows) = (measured_schema(), measured_rows());
    let present: Vec<u8> = (0..10).map(|row| u8::from(row % 3 != 0)).collect();
    rows.1.extend([102, 105, 106, 107].map(|field| (field, present.clone())));
    let ints = (0..5).map(TemplateValue::Int).collect();
    let templates = [
        ("n".into(), TemplateValue::Int(3)),
        ("ids".into(), TemplateValue::List(ints)),
        ("p".into(), TemplateValue::Text("s%".into())),
    ];
    let corpus: Vec<_> = EXPRESSIONS.lines().collect();
    let mut random = StdRng::seed_from_u64(4);
    let end = Instant::now() + duration();
    let (mut good, mut bad) = (0u64, 0u64);
    while Instant::now() < end {
        let text = mutated(&corpus, &mut random);
        let start = Instant::now();
        match parse_seeded(&text, &schema, &templates, 7) {
            Ok(plan) => {
                let kept = support::matches(&plan, 10, &rows);
                assert!(kept.iter().all(|&row| row < 10), "{text}");
                let copy = Plan::decode(&plan.encode()).expect("what is encoded can be decoded");
                assert_eq!(copy, plan, "{text}");
                assert_eq!(support::matches(&copy, 10, &rows), kept, "{text}");
                good += 1;
            }
            Err(fault) => {
                assert_eq!(fault.code as i32, 1100, "{text}");
                bad += 1;
            }
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}: {text}", start.elapsed());
    }
    assert!(good > 0 && bad > 0, "{good} answered, {bad} refused");
}

#[test]
fn mutated_documents_are_cells_exactly_when_they_are_json() {
    let schema = measured_schema();
    let corpus: Vec<_> = DOCUMENTS.lines().collect();
    let filters = [r#"j["a"] == 1"#, r#"j["l"] == [1, 2, 3]"#, r#"json_contains(j["l"], 1.5)"#]
        .map(|text| millstream_expr::parse(text, &schema).expect("a filter"));
    let mut random = StdRng::seed_from_u64(5);
    let end = Instant::now() + duration();
    while Instant::now() < end {
        let text = mutated(&corpus, &mut random);
        let mut cell = Vec::new();
        let known = serde_json::from_str::<serde_json::Value>(&text);
        assert_eq!(json_cell(text.as_bytes(), &mut cell).is_ok(), known.is_ok(), "{text}");
        let Ok(value) = known else {
            assert!(cell.is_empty());
            continue;
        };
        let mut rows = measured_rows();
        rows.0.insert(106, json(&[&text; 10]));
        let counts = filters.each_ref().map(|plan| support::matches(plan, 10, &rows).len());
        if !text.contains("\"a\"") {
            let wanted = value.get("a").and_then(serde_json::Value::as_f64) == Some(1.0);
            assert_eq!(counts[0], if wanted { 10 } else { 0 }, "{text}");
        }
        damage(&mut rows, &filters, &mut random);
    }
}

/// Evaluates over cells of which some bytes are wrong.
fn damage(rows: &mut support::Table, filters: &[Plan], random: &mut StdRng) {
    let Some(support::Owned::Json(_, bytes)) = rows.0.get_mut(&106) else { return };
    for _ in 0..4 {
        if !bytes.is_empty() {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
    }
    for plan in filters {
        assert!(support::matches(plan, 10, rows).len() <= 10);
    }
}
