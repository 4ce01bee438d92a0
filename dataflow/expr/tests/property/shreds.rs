//! Columns of paths change no answer, whatever lies at the paths.

use millstream_catalog::model::FieldId;
use millstream_expr::{
    ColumnView, Columns, Shred, ShredType, Shredded, Shredder, Zones, ZonesBuilder, frequent_paths,
    parse,
};
use proptest::prelude::*;

use crate::cases;
use crate::expression::{clustered, expr, schema, spell, table};
use crate::naive::naive;
use crate::support::{self, Table};

/// A column of a path, as a store would keep it.
struct Stored {
    field: i64,
    shredded: Shredded,
    present: Option<Vec<u64>>,
    zones: Zones,
}

/// A table with columns for some paths of its JSON fields.
struct Split<'t> {
    table: &'t Table,
    stored: Vec<Stored>,
}

/// The steps of the places that expressions ask for.
const PATHS: [(i64, &[&str]); 8] = [
    (108, &["a"]),
    (108, &["n", "m"]),
    (108, &["l"]),
    (108, &["l", "1"]),
    (108, &["0"]),
    (109, &["dyn"]),
    (109, &["nosuch"]),
    (109, &["my key"]),
];

impl<'t> Split<'t> {
    /// With columns of these types for the paths in turn; none where there is no type.
    fn new(table: &'t Table, rows: usize, types: &[Option<ShredType>]) -> Split<'t> {
        let mut stored = Vec::new();
        for (&(field, steps), kind) in PATHS.iter().zip(types) {
            let (Some(kind), Some(ColumnView::Json(view))) = (kind, table.column(FieldId(field)))
            else {
                continue;
            };
            let steps = steps.iter().map(|step| (*step).to_owned()).collect();
            let mut shredder = Shredder::new(vec![(steps, *kind)]);
            (0..rows).for_each(|row| shredder.push(view.get(row).expect("a row")));
            for shredded in shredder.finish() {
                let word = |bytes: &[u8]| {
                    let bits = bytes.iter().enumerate();
                    bits.fold(0, |word, (bit, byte)| word | u64::from(*byte) << bit)
                };
                let valid = shredded.validity.as_deref();
                let present = valid.map(|valid| valid.chunks(64).map(word).collect());
                let mut zones = ZonesBuilder::with_step(3);
                zones.add(shredded.view(), valid, 0..rows);
                stored.push(Stored { field, present, zones: zones.finish(), shredded });
            }
        }
        Split { table, stored }
    }
}

impl Columns for Split<'_> {
    fn column(&self, field: FieldId) -> Option<ColumnView<'_>> {
        self.table.column(field)
    }

    fn validity(&self, field: FieldId) -> Option<&[u8]> {
        self.table.validity(field)
    }

    fn shred(&self, field: FieldId, steps: &[String]) -> Option<Shred<'_>> {
        let of = |stored: &&Stored| stored.field == field.0 && stored.shredded.steps == steps;
        let stored = self.stored.iter().find(of)?;
        Some(Shred {
            values: stored.shredded.view(),
            present: stored.present.as_deref(),
            complete: stored.shredded.complete,
            zones: Some((&stored.zones, 0)),
        })
    }

    fn has_shreds(&self) -> bool {
        true
    }
}

fn types() -> impl Strategy<Value = Vec<Option<ShredType>>> {
    let all = vec![ShredType::Bool, ShredType::Int, ShredType::Float, ShredType::Text];
    let one = prop::option::weighted(0.8, prop::sample::select(all));
    prop::collection::vec(one, PATHS.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn columns_of_paths_change_no_answer(
        expr in expr(),
        (rows, table) in table(),
        types in types(),
    ) {
        let text = spell(&expr);
        let plan = parse(&text, &schema()).map_err(|e| TestCaseError::fail(e.message))?;
        let want: Vec<_> = (0..rows).filter(|&r| naive(&expr, &table, r) == Some(true)).collect();
        let split = Split::new(&table, rows, &types);
        prop_assert_eq!(support::matches(&plan, rows, &split), want, "{}", text);
    }

    #[test]
    fn columns_of_paths_of_few_rows_change_no_answer(
        expr in expr(),
        (rows, _, table, _) in clustered(5, Just(1)),
        types in types(),
    ) {
        let text = spell(&expr);
        let plan = parse(&text, &schema()).map_err(|e| TestCaseError::fail(e.message))?;
        let want: Vec<_> = (0..rows).filter(|&r| naive(&expr, &table, r) == Some(true)).collect();
        let split = Split::new(&table, rows, &types);
        prop_assert_eq!(support::matches(&plan, rows, &split), want, "{}", text);
    }
}

fn cells(documents: &[String]) -> Vec<Vec<u8>> {
    let cell = |document: &String| {
        let mut cell = Vec::new();
        millstream_expr::json_cell(document.as_bytes(), &mut cell).expect("JSON");
        cell
    };
    documents.iter().map(cell).collect()
}

#[test]
fn frequent_scalars_of_one_type_are_found_and_long_or_rare_ones_are_not() {
    let document = |row: usize| {
        let rare = if row.is_multiple_of(9) { r#","rare":1"# } else { "" };
        let mixed = if row.is_multiple_of(3) { "\"x\"".to_owned() } else { row.to_string() };
        let long = "x".repeat(100);
        let inner = format!(r#"{{"a/b":{row}.5,"d":{{"t":true}}}}"#);
        let others = format!(r#""l":[1],"z":null,"long":"{long}"{rare}"#);
        format!(r#"{{"i":{row},"o":{inner},"m":{mixed},{others}}}"#)
    };
    let cells = cells(&(0..100).map(document).collect::<Vec<_>>());
    let mut found = frequent_paths(cells.iter().map(Vec::as_slice));
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let path = |steps: &[&str]| steps.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let want = [
        (path(&["i"]), ShredType::Int),
        (path(&["m"]), ShredType::Int),
        (path(&["o", "a/b"]), ShredType::Float),
        (path(&["o", "d", "t"]), ShredType::Bool),
    ];
    assert_eq!(found, want);
    let mut shredder = Shredder::new(found);
    cells.iter().for_each(|cell| shredder.push(cell));
    let columns = shredder.finish();
    let complete: Vec<_> = columns.iter().map(|c| (c.complete, c.validity.is_none())).collect();
    assert_eq!(complete, [(true, true), (false, false), (true, true), (true, true)]);
    assert!(matches!(columns[0].view(), ColumnView::Int8(_)));
    assert!(matches!(columns[2].view(), ColumnView::Double(_)));
}

#[test]
fn documents_of_many_keys_are_counted_within_bounds() {
    let document = |row: usize| {
        let keys: Vec<_> = (0..500).map(|key| format!(r#""k{row}_{key}":1"#)).collect();
        format!("{{{}}}", keys.join(","))
    };
    let cells = cells(&(0..50).map(document).collect::<Vec<_>>());
    assert_eq!(frequent_paths(cells.iter().map(Vec::as_slice)), []);
    assert_eq!(frequent_paths([&[][..], &[1, 2, 3]]), []);
}
