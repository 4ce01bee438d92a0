//! Wrong writes of every type: families of faults, each over all the fields that can have it.
// tidy: table

mod faults;

use bytes::Bytes;
use millstream_gateway::pb::schema::field_data::Field;
use millstream_gateway::pb::schema::scalar_field::Data;
use millstream_gateway::pb::schema::vector_field::Data as Vectors;
use millstream_gateway::pb::schema::{
    ArrayArray, BoolArray, BytesArray, DataType, DoubleArray, FieldData, FieldSchema, FloatArray,
    IntArray, LongArray, ScalarField, SparseFloatArray, StringArray, VectorField,
};
use millstream_gateway::pb::{DeleteRequest, InsertRequest, UpsertRequest};
use millstream_tests::client::Client;
use millstream_tests::rows::{field, float_bytes, int_key, pair, schema};
use prost::Message;

use super::fields::{ELEMENTS, SCALARS, VECTORS};
use super::{Case, INVALID, case};
use faults::all;

/// The collection with a field of every type.
const NAME: &str = "every";
/// Dimension of its dense vectors.
const WIDE: i64 = 8;
/// Most elements of its arrays.
const CAPACITY: usize = 3;
/// Longest text in bytes, alone and in an array.
const LENGTH: usize = 4;

fn params(data_type: DataType, element: DataType) -> Vec<(&'static str, String)> {
    let mut params = Vec::new();
    if data_type == DataType::Array {
        params.push(("max_capacity", CAPACITY.to_string()));
    }
    if data_type == DataType::VarChar || element == DataType::VarChar {
        params.push(("max_length", LENGTH.to_string()));
    }
    if data_type as i32 >= 100 && data_type != DataType::SparseFloatVector {
        params.push(("dim", WIDE.to_string()));
    }
    params
}

fn fields() -> Vec<FieldSchema> {
    let make = |name: &str, data_type, element: DataType| FieldSchema {
        element_type: element.into(),
        type_params: params(data_type, element).iter().map(|(k, v)| pair(k, v)).collect(),
        ..field(name, data_type)
    };
    let mut fields = vec![int_key()];
    fields.extend(SCALARS.iter().map(|(name, ty)| make(name, *ty, DataType::None)));
    fields.extend(ELEMENTS.iter().map(|(name, ty)| make(name, DataType::Array, *ty)));
    fields.extend(VECTORS.iter().map(|(name, ty)| make(name, *ty, DataType::None)));
    fields.extend(SCALARS.iter().map(|(name, ty)| FieldSchema {
        nullable: true,
        ..make(&maybe(name), *ty, DataType::None)
    }));
    fields
}

/// The nullable field beside a scalar.
fn maybe(name: &str) -> String {
    format!("maybe_{name}")
}

/// Makes the collection, empty.
pub(crate) async fn prepare(client: &Client) {
    client.create(&schema(NAME, fields()), 2).await.expect("a collection");
    for (name, ty) in VECTORS {
        let (kind, metric) = match ty {
            DataType::BinaryVector => ("BIN_FLAT", "HAMMING"),
            DataType::SparseFloatVector => ("SPARSE_INVERTED_INDEX", "IP"),
            _ => ("FLAT", "L2"),
        };
        client.index_of(NAME, name, kind, metric).await.expect("an index");
    }
    client.load(NAME).await.expect("a load");
}

/// Nothing of the refused writes can be seen, and good rows are still taken.
pub(crate) async fn expect_nothing_written(client: &Client) {
    assert_eq!(client.count(NAME, "").await.expect("a count"), 0);
    client.insert(NAME, 2, columns()).await.expect("a good insert");
    assert_eq!(client.count(NAME, "").await.expect("a count"), 2);
}

/// Some value of a scalar type, or the elements of an array, `count` times.
fn scalar(data_type: DataType, count: usize) -> Data {
    match data_type {
        DataType::Bool => Data::BoolData(BoolArray { data: vec![true; count] }),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => ints(vec![1; count]),
        DataType::Int64 => Data::LongData(LongArray { data: (0..).take(count).collect() }),
        DataType::Float => singles(&vec![0.5; count]),
        DataType::Double => doubles(vec![0.5; count]),
        DataType::Json => documents(&vec!["{}"; count]),
        _ => words(&vec!["a"; count]),
    }
}

fn ints(data: Vec<i32>) -> Data {
    Data::IntData(IntArray { data })
}

fn singles(data: &[f32]) -> Data {
    Data::FloatData(FloatArray { data: vec![float_bytes(data).into()] })
}

fn doubles(data: Vec<f64>) -> Data {
    Data::DoubleData(DoubleArray { data })
}

fn words(data: &[&str]) -> Data {
    let data = data.iter().map(|text| (*text).to_owned()).collect();
    Data::StringData(StringArray { data }.encode_to_vec().into())
}

fn documents(data: &[&str]) -> Data {
    Data::JsonData(raw(&data.iter().map(|text| text.as_bytes()).collect::<Vec<_>>()))
}

/// A message of byte strings, as texts and JSON are on the wire.
fn raw(data: &[&[u8]]) -> Bytes {
    let data = data.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect();
    BytesArray { data }.encode_to_vec().into()
}

fn arrays(rows: Vec<Data>) -> Data {
    let data = rows.into_iter().map(|data| ScalarField { data: Some(data) }).collect();
    Data::ArrayData(ArrayArray { data, element_type: 0 }.encode_to_vec().into())
}

fn of_scalars(name: &str, data: Data) -> FieldData {
    FieldData {
        field_name: name.to_owned(),
        field: Some(Field::Scalars(ScalarField { data: Some(data) })),
        ..FieldData::default()
    }
}

fn of_vectors(name: &str, dim: i64, data: Vectors) -> FieldData {
    FieldData {
        field_name: name.to_owned(),
        field: Some(Field::Vectors(VectorField { dim, data: Some(data) })),
        ..FieldData::default()
    }
}

/// Bytes of one vector of dimension [`WIDE`].
fn width(data_type: DataType) -> usize {
    match data_type {
        DataType::FloatVector => 32,
        DataType::BinaryVector => 1,
        DataType::Int8Vector => 8,
        _ => 16,
    }
}

/// Dense vectors of these bytes.
fn dense(data_type: DataType, bytes: Vec<u8>) -> Vectors {
    let bytes = Bytes::from(bytes);
    match data_type {
        DataType::FloatVector => Vectors::FloatVector(FloatArray { data: vec![bytes] }),
        DataType::BinaryVector => Vectors::BinaryVector(bytes),
        DataType::Int8Vector => Vectors::Int8Vector(bytes),
        DataType::Float16Vector => Vectors::Float16Vector(bytes),
        _ => Vectors::Bfloat16Vector(bytes),
    }
}

fn sparse(rows: &[Vec<u8>]) -> Vectors {
    let contents = rows.iter().map(|row| Bytes::copy_from_slice(row)).collect();
    Vectors::SparseFloatVector(SparseFloatArray { contents, dim: 10 }.encode_to_vec().into())
}

fn pairs(pairs: &[(u32, f32)]) -> Vec<u8> {
    pairs.iter().flat_map(|(i, v)| [i.to_le_bytes(), v.to_le_bytes()].concat()).collect()
}

fn vectors(data_type: DataType, count: usize) -> Vectors {
    match data_type {
        DataType::SparseFloatVector => sparse(&vec![pairs(&[(1, 0.5), (9, 1.5)]); count]),
        _ => dense(data_type, vec![0; width(data_type) * count]),
    }
}

/// A good column of `count` rows of a field of [`SCALARS`], [`ELEMENTS`] or [`VECTORS`].
fn column(name: &str, count: usize) -> FieldData {
    let of = |table: &[(&str, DataType)]| {
        table.iter().find(|(other, _)| *other == name).map(|(_, ty)| *ty)
    };
    if let Some(element) = of(&ELEMENTS) {
        let rows = (0..count).map(|row| scalar(element, row % (CAPACITY + 1))).collect();
        return of_scalars(name, arrays(rows));
    }
    match of(&VECTORS) {
        Some(ty) if ty == DataType::SparseFloatVector => of_vectors(name, 10, vectors(ty, count)),
        Some(ty) => of_vectors(name, WIDE, vectors(ty, count)),
        None => of_scalars(name, scalar(of(&SCALARS).unwrap_or(DataType::Int64), count)),
    }
}

/// The names of all fields that must have a value.
fn names() -> impl Iterator<Item = &'static str> {
    let tables = SCALARS.iter().chain(&ELEMENTS).chain(&VECTORS);
    std::iter::once("id").chain(tables.map(|(name, _)| *name))
}

/// Two good rows; the nullable fields are left out.
fn columns() -> Vec<FieldData> {
    names().map(|name| column(name, 2)).collect()
}

/// An insert with another column in place of the one of this name, or beside the others.
fn with(changed: FieldData) -> InsertRequest {
    let mut fields_data = columns();
    match fields_data.iter_mut().find(|column| column.field_name == changed.field_name) {
        Some(place) => *place = changed,
        None => fields_data.push(changed),
    }
    insert(fields_data)
}

fn insert(fields_data: Vec<FieldData>) -> InsertRequest {
    InsertRequest {
        collection_name: NAME.to_owned(),
        fields_data,
        num_rows: 2,
        ..InsertRequest::default()
    }
}

fn upsert(insert: InsertRequest, partial_update: bool) -> UpsertRequest {
    UpsertRequest {
        collection_name: insert.collection_name,
        fields_data: insert.fields_data,
        num_rows: insert.num_rows,
        partial_update,
        ..UpsertRequest::default()
    }
}

/// Inserts of every fault.
pub(crate) fn inserts() -> Vec<Case> {
    all().map(|(what, request, code, text)| case(what, request, code, &text)).collect()
}

/// Upserts and partial updates of some, and deletes.
pub(crate) fn others() -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, (what, request, code, text)) in all().enumerate() {
        let is_missing = text.contains("has no corresponding");
        // A partial update may leave out anything but the key.
        let partial = at % 2 == 0 && (!is_missing || text.contains("(id)"));
        if at % 4 < 2 {
            cases.push(case(what, upsert(request, partial), code, &text));
        }
    }
    cases.extend(deletes());
    cases
}

/// Deletes whose filter does not fit the field, for every field.
fn deletes() -> Vec<Case> {
    let mut cases = Vec::new();
    let plan = "failed to create delete plan";
    let delete = |expr: String| DeleteRequest {
        collection_name: NAME.to_owned(),
        expr,
        ..DeleteRequest::default()
    };
    for (name, _) in VECTORS {
        for expr in [format!("{name} == 1"), format!("{name} in [1]"), format!("{name} > 0.5")] {
            cases.push(case(expr.clone(), delete(expr), INVALID, plan));
        }
    }
    for (name, _) in SCALARS.iter().chain(&ELEMENTS).chain(&VECTORS) {
        for expr in [
            format!("{name} =="),
            format!("{name} + "),
            format!("{name} in [1"),
            format!("({name} == 1"),
            format!("{name} == {{missing}}"),
        ] {
            cases.push(case(expr.clone(), delete(expr), INVALID, plan));
        }
        let expr = format!("{name}_x == 1");
        let text = format!("field {name}_x not exist");
        cases.push(case(expr.clone(), delete(expr), INVALID, &text));
    }
    let sampled = "random_sample(0.5)".to_owned();
    cases.push(case("a sample", delete(sampled), INVALID, "random_sample"));
    for blank in ["", " ", "\t\n"] {
        cases.push(case("nothing", delete(blank.to_owned()), INVALID, "empty or always true"));
    }
    cases
}
