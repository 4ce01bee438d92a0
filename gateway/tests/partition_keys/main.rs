//! Rows under a partition key against a naive model: every answer is the same with pruning, without
//! it, and from a plain list of rows.

// A test may panic; the lint exempts only functions that are marked as tests.
#![allow(clippy::unwrap_used)]

mod model;
mod server;

use model::{Filter, Model, Op, Row, TENANTS, Write, filter, op};
use proptest::prelude::*;
use server::{PARTITIONS, Server};

/// Random cases of a test: `PROPTEST_CASES`, or few.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

fn apply(server: &mut Server, model: &mut Model, op: &Op, text: bool) {
    match op {
        Op::Write(kind, rows) => {
            let rows = model.complete(*kind, rows);
            server.write(*kind, &rows);
            model.write(*kind, &rows);
        }
        Op::DeleteKeys(keys) => {
            server.delete_keys(keys);
            model.delete(|row| keys.contains(&row.pk));
        }
        Op::DeleteMatching(filter, prune) => {
            let ended = server.delete(&filter.spell(text), *prune);
            assert_eq!(ended, model.delete_matching(filter), "{filter:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn answers_are_the_same_with_pruning_and_without_and_those_of_a_list(
        rounds in prop::collection::vec(
            (prop::collection::vec(op(), 1..6), prop::collection::vec(filter(), 1..6)),
            1..5,
        ),
        text in any::<bool>(),
    ) {
        let (mut server, mut model) = (Server::start(text), Model::default());
        for (ops, filters) in &rounds {
            for op in ops {
                apply(&mut server, &mut model, op, text);
            }
            let now = server.now();
            for filter in filters {
                let words = filter.spell(text);
                let before = server.scanned();
                let pruned = server.ask(&words, now, true);
                let between = server.scanned();
                let whole = server.ask(&words, now, false);
                let after = server.scanned();
                prop_assert_eq!(&pruned, &model.answers(filter), "{}", words);
                prop_assert_eq!(&pruned, &whole, "{}", words);
                prop_assert!(between - before <= after - between, "{}", words);
            }
        }
        server.stop();
    }
}

#[test]
fn a_filter_on_one_tenant_looks_at_the_rows_of_one_partition() {
    for text in [false, true] {
        let mut server = Server::start(text);
        let rows: Vec<Row> =
            (0..8_000).map(|pk| Row { pk, tenant: pk % TENANTS, value: pk, note: None }).collect();
        server.write(Write::Insert, &rows);
        let now = server.now();
        let looked_at = |filter: &Filter, prune| {
            let before = server.scanned();
            server.ask(&filter.spell(text), now, prune);
            server.scanned() - before
        };
        // A query, a count, an aggregation and a search.
        let everything = 4 * rows.len() as u64;
        for tenant in 0..TENANTS {
            let one = Filter::And(vec![Filter::Tenant(tenant), Filter::ValueAbove(10)]);
            assert_eq!(server.left(&one.spell(text)), 1);
            assert_eq!(looked_at(&one, false), everything);
            let few = looked_at(&one, true);
            // Forty tenants share sixteen partitions: some partitions have several.
            assert!(few > 0 && few <= everything * 8 / 40, "{few} of {everything}");
        }
        let two = Filter::TenantIn(vec![3, 4]);
        assert!(server.left(&two.spell(text)) <= 2);
        assert!(looked_at(&two, true) < everything / 2);
        let none = Filter::TenantIn(Vec::new());
        assert_eq!(server.left(&none.spell(text)), 1);
        let open = Filter::Or(vec![Filter::Tenant(1), Filter::ValueAbove(5)]);
        assert_eq!((server.left(&open.spell(text)), looked_at(&open, true)), (0, everything));
        server.stop();
    }
    assert!(TENANTS > i64::from(PARTITIONS));
}
