//! Measures filters over one million rows on one core, in rows per second.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::Instant;

use millstream_catalog::model::{CollectionSchema, DataType, FieldId, FieldSchema};
use millstream_expr::{
    ColumnView, Columns, Plan, Shred, Shredded, Shredder, VarView, Zone, Zones, ZonesBuilder,
    frequent_paths, json_cell, parse,
};

const ROWS: usize = 1 << 20;

struct Rows {
    ids: Vec<i64>,
    times: Vec<i64>,
    small: Vec<i32>,
    floats: Vec<f32>,
    texts: (Vec<u32>, Vec<u8>),
    documents: (Vec<u32>, Vec<u8>),
    arrays: (Vec<u32>, Vec<u8>),
    validity: Vec<u8>,
}

impl Columns for Rows {
    fn column(&self, field: FieldId) -> Option<ColumnView<'_>> {
        Some(match field.0 {
            100 => ColumnView::Int64(&self.ids),
            101 => ColumnView::Int32(&self.small),
            102 => ColumnView::Float(&self.floats),
            103 => ColumnView::Text(view(&self.texts)),
            104 => ColumnView::Json(view(&self.documents)),
            105 => ColumnView::Array { element: DataType::Int64, cells: view(&self.arrays) },
            106 => ColumnView::Int32(&self.small),
            107 => ColumnView::Int64(&self.times),
            _ => return None,
        })
    }

    fn validity(&self, field: FieldId) -> Option<&[u8]> {
        (field.0 == 106).then_some(&self.validity)
    }
}

/// The same rows with zone maps and columns of frequent paths.
struct Zoned<'r> {
    rows: &'r Rows,
    zones: Vec<(FieldId, Zones)>,
    shreds: Vec<(Shredded, Zones)>,
}

impl<'r> Zoned<'r> {
    fn new(rows: &'r Rows) -> Zoned<'r> {
        let of = |id| {
            let mut builder = ZonesBuilder::default();
            builder.add(rows.column(id).expect("a column"), rows.validity(id), 0..ROWS);
            (id, builder.finish())
        };
        Zoned { rows, zones: (100..=107).map(FieldId).map(of).collect(), shreds: Vec::new() }
    }

    fn add_columns(&mut self) {
        let documents = view(&self.rows.documents);
        let cells = || (0..ROWS).filter_map(|row| documents.get(row));
        let mut shredder = Shredder::new(frequent_paths(cells().step_by(512)));
        cells().for_each(|cell| shredder.push(cell));
        for shredded in shredder.finish() {
            let mut zones = ZonesBuilder::default();
            zones.add(shredded.view(), shredded.validity.as_deref(), 0..ROWS);
            self.shreds.push((shredded, zones.finish()));
        }
    }
}

impl Columns for Zoned<'_> {
    fn column(&self, field: FieldId) -> Option<ColumnView<'_>> {
        self.rows.column(field)
    }

    fn validity(&self, field: FieldId) -> Option<&[u8]> {
        self.rows.validity(field)
    }

    fn zone(&self, field: FieldId, rows: std::ops::Range<usize>) -> Option<Zone<'_>> {
        self.zones.iter().find(|(id, _)| *id == field)?.1.over(rows)
    }

    fn has_zones(&self) -> bool {
        true
    }

    fn shred(&self, _: FieldId, steps: &[String]) -> Option<Shred<'_>> {
        let (shredded, zones) = self.shreds.iter().find(|(s, _)| s.steps == steps)?;
        Some(Shred {
            values: shredded.view(),
            // Every document has every key.
            present: None,
            complete: shredded.complete,
            zones: Some((zones, 0)),
        })
    }

    fn has_shreds(&self) -> bool {
        !self.shreds.is_empty()
    }
}

fn view((offsets, bytes): &(Vec<u32>, Vec<u8>)) -> VarView<'_> {
    VarView { offsets, bytes }
}

fn var(each: impl Fn(usize, &mut Vec<u8>)) -> (Vec<u32>, Vec<u8>) {
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for row in 0..ROWS {
        each(row, &mut bytes);
        offsets.push(u32::try_from(bytes.len()).expect("less than 4 GiB"));
    }
    (offsets, bytes)
}

/// Ten keys in about 200 bytes.
fn document(row: usize) -> String {
    format!(
        concat!(
            r#"{{"id":{row},"name":"user{row:08}","city":"city{:03}","age":{},"score":{}.5,"#,
            r#""active":{},"tags":["a{}","b"],"address":{{"zip":{},"street":"main street"}},"#,
            r#""note":"some words about it","level":{}}}"#
        ),
        row % 500,
        row % 90,
        row % 1000,
        row.is_multiple_of(2),
        row % 7,
        10_000 + row % 1000,
        row % 5,
        row = row
    )
}

/// The filters to time.
const FILTERS: [&str; 24] = [
    "id > 500000",
    "100000 < id < 500000",
    "t > 1500000",
    "1000000 < t < 1030000",
    "1000000 < t < 1030000 and j['age'] > 30",
    "small == 7",
    "n == 7",
    "small in [1, 2, 3, 500, 501, 502, 600, 601, 602, 603]",
    "f < 1000",
    "id % 10 == 3",
    "(small & 7) == 3",
    "s == 'name00042'",
    "s in ['name00042', 'name00043', 'name']",
    "s like 'name0004%'",
    "s like '%42%'",
    "s =~ '4.2$'",
    "j['age'] > 30",
    "j['address']['zip'] == 10042",
    "j['city'] == 'city042'",
    "exists j['nope']",
    "array_contains(a, 42)",
    "a[0] == 42",
    "array_length(a) == 3",
    "id > 500000 and s == 'name00042' or small < 3",
];

fn schema() -> CollectionSchema {
    CollectionSchema {
        name: "rows".into(),
        description: String::new(),
        enable_dynamic_field: false,
        fields: [
            ("id", DataType::Int64),
            ("small", DataType::Int32),
            ("f", DataType::Float),
            ("s", DataType::VarChar),
            ("j", DataType::Json),
            ("a", DataType::Array),
            ("n", DataType::Int32),
            ("t", DataType::Int64),
        ]
        .into_iter()
        .zip(100..)
        .map(|((name, data_type), id)| FieldSchema {
            is_primary: id == 100,
            nullable: name == "n",
            element_type: (name == "a").then_some(DataType::Int64),
            ..FieldSchema::new(FieldId(id), name, data_type)
        })
        .collect(),
        version: 0,
        functions: Vec::new(),
    }
}

fn main() {
    let schema = schema();
    let start = Instant::now();
    let documents = var(|row, out| {
        json_cell(document(row).as_bytes(), out).expect("JSON");
    });
    let cells = start.elapsed().as_secs_f64();
    let text_bytes: usize = (0..1000).map(|row| document(row).len()).sum();
    println!(
        "json_cell: {:.0} ns and {} bytes for {} bytes of text",
        cells * 1e9 / ROWS as f64,
        documents.1.len() / ROWS,
        text_bytes / 1000
    );
    let rows = Rows {
        ids: (0..ROWS as i64).map(|row| row * 7_919 % ROWS as i64).collect(),
        times: (0..ROWS as i64).map(|row| row * 3 + row % 7).collect(),
        small: (0..ROWS as i32).map(|row| row % 1000).collect(),
        floats: (0..ROWS).map(|row| row as f32 / 3.0).collect(),
        texts: var(|row, out| out.extend_from_slice(format!("name{:05}", row % 5000).as_bytes())),
        documents,
        arrays: var(|row, out| {
            (0..row % 6).for_each(|i| out.extend_from_slice(&((i + row) as i64).to_le_bytes()));
        }),
        validity: (0..ROWS).map(|row| u8::from(row % 3 != 0)).collect(),
    };
    let start = Instant::now();
    let mut zoned = Zoned::new(&rows);
    let bytes: usize = zoned.zones.iter().map(|(_, zones)| zones.encode().len()).sum();
    println!("zones of 8 fields: {:.1} ms, {bytes} bytes", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    zoned.add_columns();
    let took = start.elapsed().as_secs_f64() * 1e9 / ROWS as f64;
    println!("columns of paths: {took:.0} ns and {:.1} bytes a row", bytes_of(&zoned.shreds));
    println!("    plain  with both, M rows/s");
    for text in FILTERS {
        let plan = parse(text, &schema).expect("a filter");
        let (plain, kept) = speed(&plan, &rows);
        let (zoned, also) = speed(&plan, &zoned);
        assert_eq!(kept, also, "{text}");
        println!("{plain:>9.1} {zoned:>11.1}  {text}  ({kept} rows)");
    }
}

/// Bytes of columns per row.
fn bytes_of(shreds: &[(Shredded, Zones)]) -> f64 {
    let of = |(shredded, _): &(Shredded, Zones)| match shredded.view() {
        ColumnView::Bool(v) => size_of_val(v),
        ColumnView::Int8(v) => size_of_val(v),
        ColumnView::Int16(v) => size_of_val(v),
        ColumnView::Int32(v) => size_of_val(v),
        ColumnView::Int64(v) => size_of_val(v),
        ColumnView::Double(v) => size_of_val(v),
        ColumnView::Text(v) => v.bytes.len() + size_of_val(v.offsets),
        ColumnView::Float(_) | ColumnView::Json(_) | ColumnView::Array { .. } => 0,
    };
    shreds.iter().map(of).sum::<usize>() as f64 / ROWS as f64
}

/// Millions of rows per second, and how many are kept.
fn speed(plan: &Plan, columns: &dyn Columns) -> (f64, u32) {
    let (mut best, mut kept) = (f64::INFINITY, 0);
    for _ in 0..7 {
        let mut mask = vec![u64::MAX; ROWS.div_ceil(64)];
        let start = Instant::now();
        plan.eval(ROWS, columns, black_box(&mut mask));
        best = best.min(start.elapsed().as_secs_f64());
        kept = mask.iter().map(|word| word.count_ones()).sum();
    }
    (ROWS as f64 / best / 1e6, kept)
}
