//! Schemas, columns and query vectors in the protocol's form, and back.

use bytes::Bytes;
use millstream_gateway::pb::common::{
    KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue,
};
use millstream_gateway::pb::schema::field_data::Field;
use millstream_gateway::pb::schema::i_ds::IdField;
use millstream_gateway::pb::schema::scalar_field::Data;
use millstream_gateway::pb::schema::vector_field::Data as VectorData;
use millstream_gateway::pb::schema::{
    BoolArray, BytesArray, CollectionSchema, DataType, DoubleArray, FieldData, FieldSchema,
    FloatArray, IDs, IntArray, LongArray, ScalarField, StringArray, VectorField,
};
use prost::Message;

/// A parameter.
pub fn pair(key: &str, value: impl ToString) -> KeyValuePair {
    KeyValuePair { key: key.to_owned(), value: value.to_string() }
}

/// A field of a schema.
pub fn field(name: &str, data_type: DataType) -> FieldSchema {
    FieldSchema { name: name.to_owned(), data_type: data_type.into(), ..FieldSchema::default() }
}

/// The int64 primary key `id`.
pub fn int_key() -> FieldSchema {
    FieldSchema { is_primary_key: true, ..field("id", DataType::Int64) }
}

/// The text primary key `id`.
pub fn text_key() -> FieldSchema {
    let type_params = vec![pair("max_length", 64)];
    FieldSchema { is_primary_key: true, type_params, ..field("id", DataType::VarChar) }
}

/// A text field.
pub fn text_field(name: &str, max_length: usize) -> FieldSchema {
    FieldSchema {
        type_params: vec![pair("max_length", max_length)],
        ..field(name, DataType::VarChar)
    }
}

/// A float vector field.
pub fn vector_field(name: &str, dim: usize) -> FieldSchema {
    FieldSchema { type_params: vec![pair("dim", dim)], ..field(name, DataType::FloatVector) }
}

/// A schema of these fields.
pub fn schema(name: &str, fields: Vec<FieldSchema>) -> CollectionSchema {
    CollectionSchema { name: name.to_owned(), fields, ..CollectionSchema::default() }
}

/// The schema that most tests use: `id` int64, `value` int64, `vector` of `dim` floats.
pub fn plain_schema(name: &str, dim: usize) -> CollectionSchema {
    let value = field("value", DataType::Int64);
    schema(name, vec![int_key(), value, vector_field("vector", dim)])
}

fn scalars(name: &str, data_type: DataType, data: Data) -> FieldData {
    FieldData {
        r#type: data_type.into(),
        field_name: name.to_owned(),
        field: Some(Field::Scalars(ScalarField { data: Some(data) })),
        ..FieldData::default()
    }
}

/// A column of booleans.
pub fn bools(name: &str, data: Vec<bool>) -> FieldData {
    scalars(name, DataType::Bool, Data::BoolData(BoolArray { data }))
}

/// A column of Int8, Int16 or Int32.
pub fn ints(name: &str, data_type: DataType, data: Vec<i32>) -> FieldData {
    scalars(name, data_type, Data::IntData(IntArray { data }))
}

/// A column of Int64.
pub fn longs(name: &str, data: Vec<i64>) -> FieldData {
    scalars(name, DataType::Int64, Data::LongData(LongArray { data }))
}

/// A column of floats.
pub fn floats(name: &str, data: &[f32]) -> FieldData {
    scalars(name, DataType::Float, Data::FloatData(float_array(data)))
}

/// A column of doubles.
pub fn doubles(name: &str, data: Vec<f64>) -> FieldData {
    scalars(name, DataType::Double, Data::DoubleData(DoubleArray { data }))
}

/// A column of texts.
pub fn texts(name: &str, data: Vec<String>) -> FieldData {
    let encoded = StringArray { data }.encode_to_vec().into();
    scalars(name, DataType::VarChar, Data::StringData(encoded))
}

/// A column of JSON values.
pub fn jsons(name: &str, data: Vec<String>) -> FieldData {
    let data = data.into_iter().map(Bytes::from).collect();
    let encoded = BytesArray { data }.encode_to_vec().into();
    scalars(name, DataType::Json, Data::JsonData(encoded))
}

/// The column of dynamic keys: one JSON object for each row.
pub fn dynamic(data: Vec<String>) -> FieldData {
    FieldData { is_dynamic: true, ..jsons("$meta", data) }
}

/// A column of float vectors, row-major `[rows, dim]`.
pub fn vectors(name: &str, dim: usize, data: &[f32]) -> FieldData {
    let data = Some(VectorData::FloatVector(float_array(data)));
    let vectors = VectorField { dim: i64::try_from(dim).expect("a small dimension"), data };
    FieldData {
        r#type: DataType::FloatVector.into(),
        field_name: name.to_owned(),
        field: Some(Field::Vectors(vectors)),
        ..FieldData::default()
    }
}

fn float_array(data: &[f32]) -> FloatArray {
    FloatArray { data: vec![Bytes::from(float_bytes(data))] }
}

/// Floats as little-endian bytes.
pub fn float_bytes(data: &[f32]) -> Vec<u8> {
    data.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Query vectors, row-major `[nq, dim]`, as a serialized placeholder group.
pub fn placeholders(dim: usize, queries: &[f32]) -> Bytes {
    let values = queries.chunks(dim.max(1)).map(|query| float_bytes(query).into()).collect();
    let value = PlaceholderValue {
        tag: "$0".to_owned(),
        r#type: PlaceholderType::FloatVector.into(),
        values,
        ..PlaceholderValue::default()
    };
    PlaceholderGroup { placeholders: vec![value] }.encode_to_vec().into()
}

/// The column of this name.
pub fn column<'a>(columns: &'a [FieldData], name: &str) -> Option<&'a FieldData> {
    columns.iter().find(|column| column.field_name == name)
}

/// The scalars of the column of this name.
fn data<'a>(columns: &'a [FieldData], name: &str) -> &'a Data {
    match column(columns, name).and_then(|column| column.field.as_ref()) {
        Some(Field::Scalars(ScalarField { data: Some(data) })) => data,
        other => panic!("no scalars in column {name}: {other:?}"),
    }
}

/// The values of an Int64 column.
///
/// # Panics
/// When there is no such column: the server's answer is wrong.
pub fn read_longs(columns: &[FieldData], name: &str) -> Vec<i64> {
    match data(columns, name) {
        Data::LongData(LongArray { data }) => data.clone(),
        other => panic!("column {name} holds {other:?}"),
    }
}

/// The values of an Int8, Int16 or Int32 column.
///
/// # Panics
/// As [`read_longs`].
pub fn read_ints(columns: &[FieldData], name: &str) -> Vec<i32> {
    match data(columns, name) {
        Data::IntData(IntArray { data }) => data.clone(),
        other => panic!("column {name} holds {other:?}"),
    }
}

/// The values of a VarChar column.
///
/// # Panics
/// As [`read_longs`].
pub fn read_texts(columns: &[FieldData], name: &str) -> Vec<String> {
    match data(columns, name) {
        Data::StringData(bytes) => {
            StringArray::decode(bytes.clone()).expect("a valid message").data
        }
        other => panic!("column {name} holds {other:?}"),
    }
}

/// The values of a JSON column.
///
/// # Panics
/// As [`read_longs`].
pub fn read_jsons(columns: &[FieldData], name: &str) -> Vec<String> {
    match data(columns, name) {
        Data::JsonData(bytes) => {
            let values = BytesArray::decode(bytes.clone()).expect("a valid message").data;
            values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
        }
        other => panic!("column {name} holds {other:?}"),
    }
}

/// The values of a float vector column, row-major.
///
/// # Panics
/// As [`read_longs`].
pub fn read_vectors(columns: &[FieldData], name: &str) -> Vec<f32> {
    let field = column(columns, name).and_then(|column| column.field.as_ref());
    let Some(Field::Vectors(VectorField { data: Some(VectorData::FloatVector(array)), .. })) =
        field
    else {
        panic!("no float vectors in column {name}: {field:?}");
    };
    let bytes: Vec<u8> = array.data.iter().flat_map(|chunk| chunk.iter().copied()).collect();
    let (values, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "column {name} ends within a float");
    values.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

/// Int64 keys of an answer.
///
/// # Panics
/// When the keys are texts.
pub fn int_ids(ids: Option<&IDs>) -> Vec<i64> {
    match ids.and_then(|ids| ids.id_field.as_ref()) {
        Some(IdField::IntId(LongArray { data })) => data.clone(),
        None => Vec::new(),
        Some(other) => panic!("keys are {other:?}"),
    }
}

/// Text keys of an answer.
///
/// # Panics
/// When the keys are integers.
pub fn text_ids(ids: Option<&IDs>) -> Vec<String> {
    match ids.and_then(|ids| ids.id_field.as_ref()) {
        Some(IdField::StrId(StringArray { data })) => data.clone(),
        None => Vec::new(),
        Some(other) => panic!("keys are {other:?}"),
    }
}
