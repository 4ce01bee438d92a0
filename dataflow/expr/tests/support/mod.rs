//! A collection of ten rows, and columns that own their values.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::HashMap;

use millstream_catalog::model::{CollectionSchema, DataType, FieldId, FieldSchema, cell};
use millstream_expr::{ColumnView, Columns, MatchKind, Plan, TextMatch, VarView, json_cell};

/// A column that owns its values.
#[derive(Clone, Debug)]
pub enum Owned {
    Bool(Vec<u8>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Text(Vec<u32>, Vec<u8>),
    Json(Vec<u32>, Vec<u8>),
    Array(DataType, Vec<u32>, Vec<u8>),
}

/// Offsets and bytes of texts.
pub fn texts<S: AsRef<str>>(values: &[S]) -> (Vec<u32>, Vec<u8>) {
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for value in values {
        bytes.extend_from_slice(value.as_ref().as_bytes());
        offsets.push(u32::try_from(bytes.len()).expect("tests are small"));
    }
    (offsets, bytes)
}

pub fn text<S: AsRef<str>>(values: &[S]) -> Owned {
    let (offsets, bytes) = texts(values);
    Owned::Text(offsets, bytes)
}

/// Cells of JSON texts; of an empty text an empty cell.
pub fn json<S: AsRef<str>>(values: &[S]) -> Owned {
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for value in values.iter().map(AsRef::as_ref) {
        if !value.is_empty() {
            json_cell(value.as_bytes(), &mut bytes).expect("tests write JSON");
        }
        offsets.push(u32::try_from(bytes.len()).expect("tests are small"));
    }
    Owned::Json(offsets, bytes)
}

/// Arrays of integers of a type.
pub fn ints(element: DataType, values: &[Vec<i64>]) -> Owned {
    let width = element.scalar_width().expect("a type of fixed width");
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for value in values {
        value.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()[..width]));
        offsets.push(u32::try_from(bytes.len()).expect("tests are small"));
    }
    Owned::Array(element, offsets, bytes)
}

/// Arrays of floats.
pub fn floats(values: &[Vec<f32>]) -> Owned {
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for value in values {
        value.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
        offsets.push(u32::try_from(bytes.len()).expect("tests are small"));
    }
    Owned::Array(DataType::Float, offsets, bytes)
}

/// Arrays of texts.
pub fn text_lists(values: &[Vec<&str>]) -> Owned {
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for value in values {
        cell::push_texts(value.iter().map(|text| text.as_bytes()), &mut bytes);
        offsets.push(u32::try_from(bytes.len()).expect("tests are small"));
    }
    Owned::Array(DataType::VarChar, offsets, bytes)
}

/// Columns by field id, and which rows have a value.
#[derive(Clone, Debug, Default)]
pub struct Table(pub HashMap<i64, Owned>, pub HashMap<i64, Vec<u8>>);

impl Columns for Table {
    fn validity(&self, field: FieldId) -> Option<&[u8]> {
        self.1.get(&field.0).map(Vec::as_slice)
    }

    /// Words between spaces.
    fn text_match(&self, field: FieldId, query: &TextMatch<'_>, rows: usize, mask: &mut [u64]) {
        let Some(ColumnView::Text(view)) = self.column(field) else { return mask.fill(0) };
        let words: Vec<_> = query.text.split(' ').collect();
        for row in 0..rows {
            let text = std::str::from_utf8(view.get(row).unwrap_or(b"")).expect("UTF-8");
            let has = |word: &&&str| text.split(' ').any(|w| w == **word);
            let matches = match query.kind {
                MatchKind::Words { minimum } => {
                    words.iter().filter(has).count() >= minimum as usize
                }
                MatchKind::Phrase { slop } => slop == 0 && text.contains(query.text),
            };
            if !matches {
                mask[row / 64] &= !(1 << (row % 64));
            }
        }
    }

    fn column(&self, field: FieldId) -> Option<ColumnView<'_>> {
        Some(match self.0.get(&field.0)? {
            Owned::Bool(v) => ColumnView::Bool(v),
            Owned::Int8(v) => ColumnView::Int8(v),
            Owned::Int16(v) => ColumnView::Int16(v),
            Owned::Int32(v) => ColumnView::Int32(v),
            Owned::Int64(v) => ColumnView::Int64(v),
            Owned::Float(v) => ColumnView::Float(v),
            Owned::Double(v) => ColumnView::Double(v),
            Owned::Text(offsets, bytes) => ColumnView::Text(VarView { offsets, bytes }),
            Owned::Json(offsets, bytes) => ColumnView::Json(VarView { offsets, bytes }),
            Owned::Array(element, offsets, bytes) => {
                ColumnView::Array { element: *element, cells: VarView { offsets, bytes } }
            }
        })
    }
}

pub fn field(id: i64, name: &str, data_type: DataType) -> FieldSchema {
    let text = data_type == DataType::VarChar;
    let matched = [("enable_match".to_owned(), "true".to_owned())];
    FieldSchema {
        is_primary: id == 100,
        is_dynamic: name == "$meta",
        dim: if data_type.is_vector() { 4 } else { 0 },
        max_length: if text { 100 } else { 0 },
        type_params: if text { matched.to_vec() } else { Vec::new() },
        element_type: (data_type == DataType::Array).then_some(match name {
            "fa" => DataType::Float,
            "ta" => DataType::VarChar,
            "ba" => DataType::Bool,
            "a8" => DataType::Int8,
            _ => DataType::Int64,
        }),
        nullable: id != 100 && name != "$meta" && !data_type.is_vector(),
        ..FieldSchema::new(FieldId(id), name, data_type)
    }
}

pub fn schema(fields: &[(&str, DataType)]) -> CollectionSchema {
    let fields: Vec<_> =
        (100..).zip(fields).map(|(id, &(name, data_type))| field(id, name, data_type)).collect();
    CollectionSchema {
        name: "rows".into(),
        description: String::new(),
        enable_dynamic_field: fields.iter().any(|f| f.is_dynamic),
        fields,
        version: 0,
        functions: Vec::new(),
    }
}

/// The collection that the measured answers are about.
pub fn measured_schema() -> CollectionSchema {
    schema(&[
        ("id", DataType::Int64),
        ("v", DataType::FloatVector),
        ("i8", DataType::Int8),
        ("f", DataType::Float),
        ("b", DataType::Bool),
        ("s", DataType::VarChar),
        ("j", DataType::Json),
        ("a", DataType::Array),
        ("i2", DataType::Int32),
        ("$meta", DataType::Json),
    ])
}

/// Its rows 0..=9.
pub fn measured_rows() -> Table {
    let each = |f: &dyn Fn(i64) -> String| (0..10).map(f).collect::<Vec<_>>();
    let ids = 0..10i64;
    let j = each(&|i| format!(r#"{{"a":{i},"s":"q{i}","l":[{i},{}],"n":{{"m":{i}}}}}"#, i + 1));
    let columns = HashMap::from([
        (100, Owned::Int64(ids.clone().collect())),
        (102, Owned::Int8((0..10).collect())),
        (103, Owned::Float(ids.clone().map(|i| i as f32 / 2.0).collect())),
        (104, Owned::Bool(ids.map(|i| u8::from(i % 2 == 0)).collect())),
        (105, text(&each(&|i| format!("s{i}_x%y")))),
        (106, json(&j)),
        (107, ints(DataType::Int64, &(0..10).map(|i| (0..i % 4).collect()).collect::<Vec<_>>())),
        (108, Owned::Int32((0..10).map(|i| 10 - i).collect())),
        (109, json(&each(&|i| format!(r#"{{"dyn":{},"my key":{i}}}"#, 2 * i)))),
    ]);
    Table(columns, HashMap::new())
}

/// The rows that a plan keeps of `rows` rows.
pub fn matches(plan: &Plan, rows: usize, columns: &dyn Columns) -> Vec<usize> {
    let mut mask = vec![u64::MAX; rows.div_ceil(64)];
    plan.eval(rows, columns, &mut mask);
    let kept = (0..mask.len() * 64).filter(|row| mask[row / 64] >> (row % 64) & 1 == 1);
    kept.collect()
}
