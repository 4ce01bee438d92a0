//! Evaluation against an interpreter that looks at one row at a time and knows none of the tricks.

mod expression;
mod naive;
mod shreds;
#[path = "../support/mod.rs"]
mod support;
mod zones;

use expression::{expr, schema, spell, table};
use millstream_catalog::model::FieldId;
use millstream_expr::{ColumnView, Columns, PkList, Plan, parse};
use naive::naive;
use proptest::prelude::*;

/// Random cases of a test: `PROPTEST_CASES`, or few.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn evaluation_agrees_with_looking_at_every_row(expr in expr(), (rows, table) in table()) {
        let text = spell(&expr);
        let plan = parse(&text, &schema()).map_err(|e| TestCaseError::fail(e.message))?;
        let want: Vec<_> = (0..rows).filter(|&r| naive(&expr, &table, r) == Some(true)).collect();
        prop_assert_eq!(support::matches(&plan, rows, &table), want, "{}", text);
    }

    #[test]
    fn a_row_that_matches_has_one_of_the_values_that_the_plan_lists(
        expr in expr(),
        (rows, table) in table(),
    ) {
        let plan = parse(&spell(&expr), &schema()).map_err(|e| TestCaseError::fail(e.message))?;
        let kept = support::matches(&plan, rows, &table);
        for field in [FieldId(100), FieldId(107)] {
            let Some(values) = plan.values_of(field) else { continue };
            for &row in &kept {
                let listed = match (table.column(field), &values) {
                    (Some(ColumnView::Int64(v)), PkList::Int(list)) => list.contains(&v[row]),
                    (Some(ColumnView::Text(v)), PkList::Text(list)) => {
                        list.iter().any(|text| v.get(row) == Some(text.as_bytes()))
                    }
                    _ => false,
                };
                prop_assert!(listed, "row {} of {}: {:?}", row, spell(&expr), values);
            }
        }
    }

    #[test]
    fn a_decoded_plan_is_the_encoded_one(expr in expr()) {
        let plan = parse(&spell(&expr), &schema()).map_err(|e| TestCaseError::fail(e.message))?;
        prop_assert_eq!(Plan::decode(&plan.encode()), Ok(plan));
    }

    #[test]
    fn rows_that_are_no_candidates_stay_out(
        expr in expr(),
        (rows, table) in table(),
        candidates in prop::collection::vec(any::<u64>(), 4),
    ) {
        let plan = parse(&spell(&expr), &schema()).map_err(|e| TestCaseError::fail(e.message))?;
        let mut mask = candidates[..rows.div_ceil(64)].to_vec();
        plan.eval(rows, &table, &mut mask);
        let full = support::matches(&plan, rows, &table);
        for row in 0..mask.len() * 64 {
            let candidate = candidates[row / 64] >> (row % 64) & 1 == 1;
            let kept = mask[row / 64] >> (row % 64) & 1 == 1;
            prop_assert_eq!(kept, candidate && full.contains(&row));
        }
    }

    #[test]
    fn damaged_plans_are_refused_or_evaluated_but_never_panic(
        expr in expr(),
        (rows, table) in table(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let plan = parse(&spell(&expr), &schema()).map_err(|e| TestCaseError::fail(e.message))?;
        let mut bytes = plan.encode();
        let at = place.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Ok(plan) = Plan::decode(&bytes) {
            support::matches(&plan, rows, &table);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
        let _ = parse(&text, &schema());
    }

    #[test]
    fn no_mixture_of_tokens_makes_the_parser_panic(
        tokens in prop::collection::vec(prop::sample::select(TOKENS.to_vec()), 0..20),
    ) {
        let _ = parse(&tokens.join(" "), &schema());
        let _ = parse(&tokens.concat(), &schema());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Plan::decode(&bytes);
        let with_version: Vec<u8> = [2].into_iter().chain(bytes).collect();
        let _ = Plan::decode(&with_version);
    }
}

const TOKENS: [&str; 48] = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "and",
    "OR",
    "not",
    "!",
    "&&",
    "||",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "**",
    "&",
    "|",
    "^",
    "~",
    "<<",
    "in",
    "like",
    "exists",
    "is",
    "null",
    "json_contains",
    "id",
    "s",
    "j",
    "$meta",
    "nosuch",
    "1",
    "9223372036854775808",
    "1.5",
    "true",
    "'a%'",
    "\"\\x",
    "é",
];
