//! Zone maps change no answer, and what they decide is not read.

use std::collections::HashMap;
use std::ops::Range;

use millstream_catalog::model::FieldId;
use millstream_expr::{ColumnView, Columns, TextMatch, Zone, Zones, ZonesBuilder, parse};
use proptest::prelude::*;

use crate::cases;
use crate::expression::{clustered, expr, schema, spell};
use crate::naive::naive;
use crate::support::{self, Owned, Table};

/// A table with zones for some of its columns.
struct Zoned<'t> {
    table: &'t Table,
    zones: HashMap<i64, Zones>,
}

impl<'t> Zoned<'t> {
    /// The rows are added in pieces of `piece` rows.
    fn new(table: &'t Table, rows: usize, (step, piece): (u32, usize)) -> Zoned<'t> {
        let of = |id: &i64| {
            let (field, mut builder) = (FieldId(*id), ZonesBuilder::with_step(step));
            for from in (0..rows).step_by(piece) {
                let column = table.column(field).expect("a column");
                builder.add(column, table.validity(field), from..rows.min(from + piece));
            }
            let zones = builder.finish();
            assert!(zones.covers(rows));
            (*id, Zones::decode(&zones.encode()).expect("what is encoded can be decoded"))
        };
        Zoned { table, zones: table.0.keys().map(of).collect() }
    }
}

impl Columns for Zoned<'_> {
    fn column(&self, field: FieldId) -> Option<ColumnView<'_>> {
        self.table.column(field)
    }

    fn validity(&self, field: FieldId) -> Option<&[u8]> {
        self.table.validity(field)
    }

    fn zone(&self, field: FieldId, rows: Range<usize>) -> Option<Zone<'_>> {
        self.zones.get(&field.0)?.over(rows)
    }

    fn has_zones(&self) -> bool {
        true
    }

    fn text_match(&self, field: FieldId, query: &TextMatch<'_>, rows: usize, mask: &mut [u64]) {
        self.table.text_match(field, query, rows, mask);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn zones_of_few_rows_change_no_answer(
        expr in expr(),
        (rows, _, table, _) in clustered(5, Just(1)),
        layout in (1u32..5, 1usize..5),
    ) {
        let text = spell(&expr);
        let plan = parse(&text, &schema()).map_err(|e| TestCaseError::fail(e.message))?;
        let want: Vec<_> = (0..rows).filter(|&r| naive(&expr, &table, r) == Some(true)).collect();
        let zoned = Zoned::new(&table, rows, layout);
        prop_assert_eq!(support::matches(&plan, rows, &zoned), want, "{}", text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases().div_ceil(10)))]

    #[test]
    fn zones_of_many_blocks_change_no_answer(
        expr in expr(),
        (rows, times, once, many) in clustered(4, prop::sample::select(vec![600, 2_500])),
    ) {
        let text = spell(&expr);
        let plan = parse(&text, &schema()).map_err(|e| TestCaseError::fail(e.message))?;
        let kept = (0..rows).filter(|&r| naive(&expr, &once, r) == Some(true));
        let want: Vec<_> = kept.flat_map(|row| row * times..(row + 1) * times).collect();
        let zoned = Zoned::new(&many, rows * times, (4_096, 10_000));
        prop_assert_eq!(support::matches(&plan, rows * times, &zoned), want, "{}", text);
    }
}

/// Four blocks of ids in order, with texts that begin with the number of the block; in the third
/// block every value of `f` is null.
fn blocks() -> (usize, Table) {
    let rows = 4 * 4_096;
    let texts: Vec<_> =
        (0..rows).map(|row| format!("{}-{}", row / 4_096, "x".repeat(40))).collect();
    let columns = HashMap::from([
        (100, Owned::Int64((0..rows as i64).collect())),
        (104, Owned::Float((0..rows).map(|row| row as f32).collect())),
        (107, support::text(&texts)),
    ]);
    let valid = (0..rows).map(|row| u8::from(row / 4_096 != 2)).collect();
    (rows, Table(columns, HashMap::from([(104, valid)])))
}

/// Were a block read that its bounds decide, the wrong values in it would show.
#[test]
fn what_the_zones_decide_is_not_read() {
    let (rows, table) = blocks();
    let zones = Zoned::new(&table, rows, (4_096, 1_000)).zones;
    let wrong = Table(
        HashMap::from([
            (100, Owned::Int64(vec![5_000; rows])),
            (104, Owned::Float(vec![5_000.0; rows])),
            (107, support::text(&vec!["1-x"; rows])),
        ]),
        table.1.clone(),
    );
    let zoned = Zoned { table: &wrong, zones };
    for (text, kept) in [
        ("id < 0", vec![]),
        ("id >= 0", vec![0, 1, 2, 3]),
        ("id >= 8192", vec![2, 3]),
        ("not (id < 8192)", vec![2, 3]),
        ("id + 1 > 8192", vec![2, 3]),
        ("id * 2 - 10 < 16374", vec![0, 1]),
        ("id < 4096 or id >= 12288", vec![0, 3]),
        ("id >= 4096 and f < 12288", vec![1]),
        ("f is null", vec![2]),
        ("f is not null", vec![0, 1, 3]),
        ("f >= 0", vec![0, 1, 3]),
        ("not (f < 4096)", vec![1, 3]),
        ("f * 0.5 >= 2048", vec![1, 3]),
        ("s < '2'", vec![0, 1]),
        ("s like '3-%'", vec![3]),
        ("s not in ['0', '4-']", vec![0, 1, 2, 3]),
        ("s > '4' or id < 4096", vec![0]),
        ("id in [-1, -2, -3, 20000, 30000, 40000, 50000, 60000, 70000]", vec![]),
    ] {
        let plan = parse(text, &schema()).expect("a filter");
        let want: Vec<usize> =
            kept.iter().flat_map(|block| block * 4_096..(block + 1) * 4_096).collect();
        assert_eq!(support::matches(&plan, rows, &zoned), want, "{text}");
    }
}

#[test]
fn long_texts_have_short_bounds() {
    let mut builder = ZonesBuilder::with_step(3);
    let texts = ["b".repeat(100), "a".repeat(100), "\u{10ffff}".repeat(30)];
    let Owned::Text(offsets, bytes) = support::text(&texts) else { panic!("texts") };
    let view = millstream_expr::VarView { offsets: &offsets, bytes: &bytes };
    builder.add(ColumnView::Text(view), None, 0..3);
    let zones = builder.finish();
    assert!(zones.encode().len() < 60);
    let Some(Zone { bounds: millstream_expr::Bounds::Text { min, max, exact }, .. }) =
        zones.over(0..3)
    else {
        panic!("a zone of texts");
    };
    assert_eq!((min, exact), (&[b'a'; 24][..], false));
    assert!(max.is_some_and(|max| texts[2].as_bytes() < max));
    assert_eq!(zones.over(3..4), None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_of_zones_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let with_version: Vec<u8> = [1].into_iter().chain(bytes).collect();
        if let Some(zones) = Zones::decode(&with_version) {
            zones.over(0..10_000);
            zones.covers(10_000);
        }
    }
}
