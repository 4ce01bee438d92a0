//! The answers of a Milvus server to 122 filters, and where this engine follows a newer version.

mod support;

use millstream_expr::{Plan, parse};

/// Lines of the table: an expression, a tab, and what is expected of it (see its head).
const TABLE: &str = include_str!("data/answers.txt");

#[test]
fn every_measured_answer_is_given_or_its_difference_has_a_reason() {
    let (schema, rows) = (support::measured_schema(), support::measured_rows());
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut parts = line.split('\t');
        let (Some(text), Some(kind), Some(want)) = (parts.next(), parts.next(), parts.next())
        else {
            panic!("not a line of the table: {line}");
        };
        count += 1;
        let reason = parts.next();
        let got = parse(text, &schema);
        let got_ids = got.as_ref().map(|plan| {
            let copy = Plan::decode(&plan.encode()).expect("what is encoded can be decoded");
            assert_eq!(copy, *plan, "{text}");
            format!("{:?}", support::matches(&copy, 10, &rows))
        });
        let fine = match (kind, got_ids) {
            ("->", Ok(ids)) => ids == want && reason.is_none(),
            ("newer", Ok(ids)) => ids == want && reason.is_some(),
            ("!!" | "later", Err(fault)) => {
                fault.code as i32 == 1100 && fault.message.contains(want)
            }
            _ => false,
        };
        if !fine {
            wrong
                .push(format!("{text}\n  wanted {kind} {want}\n  got {:?}", describe(&got, &rows)));
        }
    }
    assert_eq!(count, 122);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn describe(got: &Result<Plan, millstream_catalog::model::Fault>, rows: &support::Table) -> String {
    match got {
        Ok(plan) => format!("{:?}", support::matches(plan, 10, rows)),
        Err(fault) => fault.message.clone(),
    }
}
