//! Default values that a field of a type cannot have, and names that no field can have.
// tidy: table

use bytes::Bytes;
use millstream_gateway::pb::schema::value_field::Data;
use millstream_gateway::pb::schema::{DataType, FieldSchema, ValueField};
use millstream_tests::rows::{int_key, schema, vector_field};

use super::super::{Case, DIM, INVALID, case};
use super::{DENSE, SCALARS, of, request, with};

fn default(field: FieldSchema, data: Data) -> FieldSchema {
    FieldSchema { default_value: Some(ValueField { data: Some(data) }), ..field }
}

/// Default values that a field of a type cannot have.
pub(super) fn defaults() -> Vec<Case> {
    let forms = [
        Data::BoolData(true),
        Data::IntData(1),
        Data::LongData(1),
        Data::FloatData(1.0),
        Data::DoubleData(1.0),
        Data::StringData("a".to_owned()),
        Data::BytesData(Bytes::from_static(b"{}")),
        Data::TimestamptzData(1),
    ];
    let fits = |data_type, data: &Data| match data {
        Data::BoolData(_) => data_type == DataType::Bool,
        Data::IntData(_) => {
            matches!(data_type, DataType::Int8 | DataType::Int16 | DataType::Int32)
        }
        Data::LongData(_) => data_type == DataType::Int64,
        Data::FloatData(_) => data_type == DataType::Float,
        Data::DoubleData(_) => data_type == DataType::Double,
        Data::StringData(_) => data_type == DataType::VarChar,
        Data::BytesData(_) | Data::TimestamptzData(_) => false,
    };
    let mut cases = Vec::new();
    for data_type in SCALARS {
        for data in forms.iter().filter(|data| !fits(data_type, data)) {
            let due = "default value type mismatches field schema type";
            let what = format!("{data:?} for {data_type:?}");
            cases.push(case(what, with(default(of(data_type), data.clone())), INVALID, due));
        }
    }
    for data_type in
        DENSE.into_iter().chain([DataType::SparseFloatVector, DataType::Array, DataType::Json])
    {
        for data in [Data::LongData(1), Data::BytesData(Bytes::from_static(b"[]"))] {
            let due = "type not support default_value, type:";
            let what = format!("{data:?} for {data_type:?}");
            cases.push(case(what, with(default(of(data_type), data)), INVALID, due));
        }
    }
    for (data_type, value, range) in [
        (DataType::Int8, 128, "[-128, 127]"),
        (DataType::Int8, -129, "[-128, 127]"),
        (DataType::Int8, i32::MAX, "[-128, 127]"),
        (DataType::Int16, 32_768, "[-32768, 32767]"),
        (DataType::Int16, -32_769, "[-32768, 32767]"),
        (DataType::Int16, i32::MIN, "[-32768, 32767]"),
    ] {
        let due = format!("default_value of field x: {value} out of range: {range}");
        let field = default(of(data_type), Data::IntData(value));
        cases.push(case(format!("{value} for {data_type:?}"), with(field), INVALID, &due));
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let due = "is not a number or infinity, default_value of field x";
        let single = default(of(DataType::Float), Data::FloatData(value));
        cases.push(case(format!("{value} as float"), with(single), INVALID, due));
        let double = default(of(DataType::Double), Data::DoubleData(value.into()));
        cases.push(case(format!("{value} as double"), with(double), INVALID, due));
    }
    for text in ["123456789", "größere", "中文字"] {
        let due = format!(
            "the length ({}) of default_value of field x exceeds max length (8)",
            text.len()
        );
        let field = default(of(DataType::VarChar), Data::StringData(text.to_owned()));
        let request = with(field);
        if text.len() > 8 {
            cases.push(case(format!("{text} as text"), request, INVALID, &due));
        }
    }
    for key in [int_key(), FieldSchema { is_primary_key: true, ..of(DataType::VarChar) }] {
        let data = match key.data_type {
            5 => Data::LongData(1),
            _ => Data::StringData("a".to_owned()),
        };
        let due = format!("primary field not support default_value, name:{}", key.name);
        let what = format!("a default of the key {}", key.name);
        let fields = vec![default(key, data), vector_field("vector", DIM)];
        cases.push(case(what, request(&schema("new", fields)), INVALID, &due));
    }
    cases
}

/// Names that no field can have, for the key, a vector and another field.
pub(super) fn names() -> Vec<Case> {
    let first = "The first character of a field name must be an underscore or letter.";
    let letters = "Field name can only contain numbers, letters, and underscores.";
    let long = "f".repeat(256);
    let mut cases = Vec::new();
    for (name, why) in [
        ("", "field name should not be empty"),
        (" ", "field name should not be empty"),
        ("1f", first),
        ("-f", first),
        ("$f", first),
        ("$meta", first),
        ("$namespace_id", first),
        ("(f)", first),
        ("字段", first),
        ("a-b", letters),
        ("a b", letters),
        ("a.b", letters),
        ("a(b)", letters),
        ("a%$#", letters),
        ("größe", letters),
        ("a\0b", letters),
        (&long, "The length of a field name must be less than 255 characters."),
    ] {
        let name = || name.to_owned();
        let due = format!("{why}: field name invalid[field={}]", name());
        let what: String = format!("{:?}", name()).chars().take(12).collect();
        let keyed = vec![FieldSchema { name: name(), ..int_key() }, vector_field("vector", DIM)];
        let searched = vec![int_key(), FieldSchema { name: name(), ..vector_field("v", DIM) }];
        for fields in [keyed, searched] {
            cases.push(case(&what, request(&schema("new", fields)), 1701, &due));
        }
        for data_type in [DataType::VarChar, DataType::Json, DataType::Array] {
            let named = FieldSchema { name: name(), ..of(data_type) };
            cases.push(case(&what, with(named), 1701, &due));
        }
    }
    for name in ["RowID", "Timestamp"] {
        for data_type in [DataType::Int64, DataType::VarChar, DataType::Json] {
            let named = FieldSchema { name: name.to_owned(), ..of(data_type) };
            let due = format!("schema contains system field: {name}");
            let what = format!("{name} of {data_type:?}");
            cases.push(case(what, with(named), INVALID, &due));
        }
    }
    cases
}
