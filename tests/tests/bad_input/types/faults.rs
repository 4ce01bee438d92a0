//! The families of faults of inserts.
// tidy: table

use bytes::Bytes;
use millstream_gateway::pb::InsertRequest;
use millstream_gateway::pb::schema::scalar_field::Data;
use millstream_gateway::pb::schema::vector_field::Data as Vectors;
use millstream_gateway::pb::schema::{DataType, FieldData};

use super::super::{INVALID, PLAIN};
use super::{
    CAPACITY, ELEMENTS, SCALARS, VECTORS, WIDE, arrays, column, columns, dense, doubles, insert,
    ints, maybe, names, of_scalars, of_vectors, pairs, raw, scalar, singles, sparse, vectors,
    width, with, words,
};

/// All families, one after the other.
pub(super) fn all() -> impl Iterator<Item = Wrong> {
    let families: [fn() -> Vec<Wrong>; 9] =
        [other_types, other_elements, counts, nulls, numbers, lengths, broken, json, shapes];
    families.into_iter().flat_map(|family| family())
}

/// What is wrong, the insert, and the code and the text that are due.
pub(super) type Wrong = (String, InsertRequest, i32, String);

fn wrong(what: &str, changed: FieldData, code: i32, text: &str) -> Wrong {
    let what = format!("{what} in {}", changed.field_name);
    (what, with(changed), code, text.to_owned())
}

/// The wire form of a type: columns of one form fit a field of another.
fn form(data_type: DataType) -> DataType {
    match data_type {
        DataType::Int8 | DataType::Int16 => DataType::Int32,
        other => other,
    }
}

/// Every column under the name of every field that it is not for.
fn other_types() -> Vec<Wrong> {
    let mut found = Vec::new();
    let text = |name: &str| format!("field '{name}' is illegal, array type mismatch");
    let tables = || SCALARS.iter().chain(&VECTORS).chain(&ELEMENTS[..1]);
    let form_of = |name: &str, ty| match ELEMENTS.iter().any(|(other, _)| *other == name) {
        true => DataType::Array,
        false => form(ty),
    };
    for (name, ty) in tables() {
        let mut forms = vec![form_of(name, *ty)];
        for (other, other_type) in tables() {
            if forms.contains(&form_of(other, *other_type)) {
                continue;
            }
            forms.push(form_of(other, *other_type));
            let changed = FieldData { field_name: (*name).to_owned(), ..column(other, 2) };
            found.push(wrong(other, changed, INVALID, &text(name)));
        }
    }
    found
}

/// Elements of every form in arrays of every other.
fn other_elements() -> Vec<Wrong> {
    let mut found = Vec::new();
    for (name, ty) in ELEMENTS {
        let mut forms = vec![form(ty)];
        for (other, other_type) in ELEMENTS {
            if forms.contains(&form(other_type)) {
                continue;
            }
            forms.push(form(other_type));
            let rows = vec![scalar(ty, 1), scalar(other_type, 1)];
            let text = format!("the 1th value of array field '{name}'");
            found.push(wrong(other, of_scalars(name, arrays(rows)), INVALID, &text));
        }
    }
    found
}

/// Columns that are too short, too long, missing, there twice, or empty.
fn counts() -> Vec<Wrong> {
    let mut found = Vec::new();
    for name in names() {
        for count in [1, 3] {
            let text = format!("the num_rows ({count}) of field ({name}) is not equal to passed");
            found.push(wrong(&format!("{count} rows"), column(name, count), INVALID, &text));
        }
        let mut fields = columns();
        fields.retain(|column| column.field_name != name);
        let text = format!("fieldSchema({name}) has no corresponding fieldData pass in");
        found.push((format!("no column {name}"), insert(fields), INVALID, text));
        let mut fields = columns();
        fields.push(column(name, 2));
        let text = format!("duplicated field {name} found");
        found.push((format!("two columns {name}"), insert(fields), INVALID, text));
        let bare = FieldData { field_name: name.to_owned(), ..FieldData::default() };
        let text = format!("field '{name}' is illegal, array type mismatch");
        found.push(wrong("nothing", bare, INVALID, &text));
    }
    found
}

/// Nulls where none can be, and marks of nulls that do not fit.
fn nulls() -> Vec<Wrong> {
    let mut found = Vec::new();
    for name in names() {
        let marked = FieldData { valid_data: vec![true, false], ..column(name, 2) };
        found.push(wrong("a null", marked, INVALID, &format!("field {name} is not nullable")));
    }
    for (name, ty) in SCALARS {
        let name = maybe(name);
        let with_marks =
            |count, valid_data| FieldData { valid_data, ..of_scalars(&name, scalar(ty, count)) };
        let length = format!("the length of valid_data of field({name}) is wrong");
        found.push(wrong("one mark", with_marks(2, vec![false]), INVALID, &length));
        found.push(wrong("three marks", with_marks(2, vec![false; 3]), INVALID, &length));
        let rows = format!("of field ({name}) is not equal to passed num_rows (2)");
        found.push(wrong("three slots", with_marks(3, vec![true, false]), INVALID, &rows));
        found.push(wrong("no slot", with_marks(0, vec![true, false]), INVALID, &rows));
    }
    found
}

/// Numbers that their type does not have.
fn numbers() -> Vec<Wrong> {
    let mut found = Vec::new();
    let narrow = [("tiny", "tinies", i32::from(i8::MAX)), ("small", "smalls", i32::from(i16::MAX))];
    for (name, list, max) in narrow {
        for value in [max + 1, -max - 2, i32::MAX, i32::MIN] {
            let what = value.to_string();
            let text = format!("field name = {name}");
            found.push(wrong(&what, of_scalars(name, ints(vec![0, value])), INVALID, &text));
            let text = format!("field name = {list}");
            let rows = arrays(vec![ints(vec![]), ints(vec![0, value])]);
            found.push(wrong(&what, of_scalars(list, rows), INVALID, &text));
        }
    }
    let text = |name: &str| format!("is not a number or infinity, field name = {name}");
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut put = |name: &str, data| {
            found.push(wrong(&value.to_string(), of_scalars(name, data), INVALID, &text(name)));
        };
        put("single", singles(&[0.5, value]));
        put("double", doubles(vec![0.5, value.into()]));
        put("singles", arrays(vec![singles(&[0.5]), singles(&[0.5, value])]));
        put("doubles", arrays(vec![doubles(vec![]), doubles(vec![value.into()])]));
        let bits = value.to_bits();
        let half = ((bits >> 16 & 0x8000) | 0x7c00 | u32::from(value.is_nan())) as u16;
        let brain = (bits >> 16) as u16;
        for (name, ty, last) in [
            ("floats", DataType::FloatVector, value.to_le_bytes().to_vec()),
            ("halves", DataType::Float16Vector, half.to_le_bytes().to_vec()),
            ("brains", DataType::BFloat16Vector, brain.to_le_bytes().to_vec()),
        ] {
            let mut bytes = vec![0; 2 * width(ty)];
            let at = bytes.len() - last.len();
            bytes[at..].copy_from_slice(&last);
            let changed = of_vectors(name, WIDE, dense(ty, bytes));
            found.push(wrong(&value.to_string(), changed, INVALID, &text(name)));
        }
        let rows = [pairs(&[]), pairs(&[(1, 0.5), (2, value)])];
        let changed = of_vectors("sparse", 3, sparse(&rows));
        found.push(wrong(&value.to_string(), changed, INVALID, &text("sparse")));
    }
    found
}

/// Texts and arrays that are too long, and bytes that are no text.
fn lengths() -> Vec<Wrong> {
    let mut found = Vec::new();
    for text in ["12345", "gr\u{fc}n", "\u{4e2d}\u{6587}"] {
        let due = "VarChar word exceeds max length (4)";
        let column = of_scalars("word", words(&["", text]));
        found.push(wrong(text, column, INVALID, due));
        let due = "array words has an element that exceeds max length (4)";
        let column = of_scalars("words", arrays(vec![words(&["", text]), words(&[])]));
        found.push(wrong(text, column, INVALID, due));
    }
    for bytes in [&b"\xff"[..], b"a\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        let what = format!("{bytes:?}");
        let column = of_scalars("word", Data::StringData(raw(&[b"a", bytes])));
        found.push(wrong(&what, column, INVALID, "the 1th VarChar word is not valid UTF-8"));
        let column = of_scalars("words", arrays(vec![Data::StringData(raw(&[bytes])), words(&[])]));
        let due = "the 0th array words has an element that is not valid UTF-8";
        found.push(wrong(&what, column, INVALID, due));
    }
    for (name, ty) in ELEMENTS {
        for count in [CAPACITY + 1, 5_000] {
            let column = of_scalars(name, arrays(vec![scalar(ty, 0), scalar(ty, count)]));
            let due = format!("the length ({count}) of 1th array {name} exceeds max capacity (3)");
            found.push(wrong(&format!("{count} elements"), column, INVALID, &due));
        }
    }
    found
}

/// Bytes that are no message of the kind that is due.
fn broken() -> Vec<Wrong> {
    let mut found = Vec::new();
    for bytes in
        [&b"\x0a"[..], b"\x0a\x05ab", b"\x1a\x01a", b"\x0a\xff\xff\xff\xff\xff\x7f", b"\x0d"]
    {
        let what = format!("{bytes:?}");
        let bytes = Bytes::copy_from_slice(bytes);
        let scalars = [
            ("word", Data::StringData(bytes.clone())),
            ("doc", Data::JsonData(bytes.clone())),
            ("words", Data::ArrayData(bytes.clone())),
        ];
        for (name, data) in scalars {
            let text = format!("the data of field {name} cannot be decoded");
            found.push(wrong(&what, of_scalars(name, data), INVALID, &text));
        }
        let column = of_vectors("sparse", 3, Vectors::SparseFloatVector(bytes));
        found.push(wrong(&what, column, INVALID, "the data of field sparse cannot be decoded"));
    }
    found
}

/// JSON that is none.
fn json() -> Vec<Wrong> {
    let deep =
        |open: &str, close: &str, count| format!("{}{}", open.repeat(count), close.repeat(count));
    let texts = [
        "",
        " ",
        "{",
        "}",
        "[",
        "{]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[1,]",
        "[1 2]",
        "nul",
        "True",
        "NaN",
        "Infinity",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "0x10",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\t\"",
        "{} {}",
        "1 2",
        "// x",
        "{\"a\":1}}",
    ];
    let mut found = Vec::new();
    let mut put = |what: &str, bytes: &[u8], text: &str| {
        let column = of_scalars("doc", Data::JsonData(raw(&[b"{}", bytes])));
        found.push(wrong(what, column, INVALID, text));
    };
    let due = "the 1th value of json field (doc) is not valid JSON";
    for text in texts {
        put(text, text.as_bytes(), due);
    }
    put("bytes", b"\"\xff\"", due);
    put("deep lists", deep("[", "]", 20_000).as_bytes(), due);
    put(
        "deep objects",
        format!("{}1{}", "{\"a\":".repeat(9_000), "}".repeat(9_000)).as_bytes(),
        due,
    );
    let long = format!("\"{}\"", "x".repeat(65_536));
    put("long", long.as_bytes(), "of json field (doc) exceeds max length (65536)");
    found
}

/// Vectors of another shape.
fn shapes() -> Vec<Wrong> {
    let mut found = Vec::new();
    for (name, ty) in &VECTORS[..5] {
        for dim in [0, -8, 1, 16, 32_768, i64::MAX] {
            let text =
                format!("the dim ({dim}) of field data({name}) is not equal to schema dim (8)");
            let column = of_vectors(name, dim, vectors(*ty, 2));
            found.push(wrong(&format!("dim {dim}"), column, INVALID, &text));
        }
        if width(*ty) > 1 {
            let bytes = vec![0; 2 * width(*ty) - width(*ty) / 4];
            let column = of_vectors(name, WIDE, dense(*ty, bytes));
            found.push(wrong("a part of a vector", column, PLAIN, "data should divide the dim(8)"));
        }
    }
    let rows = [
        (pairs(&[(2, 1.0), (1, 1.0)]), "unsorted or same indices in sparse float vector"),
        (pairs(&[(2, 1.0), (2, 1.0)]), "unsorted or same indices in sparse float vector"),
        (pairs(&[(u32::MAX, 1.0)]), "invalid index in sparse float vector: must be less"),
        (vec![0; 7], "invalid data length in sparse float vector: 7, field name = sparse"),
        (vec![0; 12], "invalid data length in sparse float vector: 12, field name = sparse"),
    ];
    for (row, text) in rows {
        let column = of_vectors("sparse", 10, sparse(&[pairs(&[(1, 1.0)]), row]));
        found.push(wrong("pairs", column, INVALID, text));
    }
    found
}
