//! Tests of reading columns.

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::pb::schema::field_data::Field;
use crate::pb::schema::{
    ArrayArray, FloatArray, IntArray, LongArray, ScalarField, StringArray, VectorField,
    scalar_field::Data, vector_field,
};
use millstream_catalog::model::{DefaultValue, cell};

fn field(id: i64, name: &str, data_type: DataType) -> FieldSchema {
    FieldSchema {
        is_primary: id == 100,
        dim: if data_type.is_vector() && data_type != DataType::SparseFloatVector { 2 } else { 0 },
        max_length: if data_type == DataType::VarChar { 4 } else { 0 },
        ..FieldSchema::new(FieldId(id), name, data_type)
    }
}

fn schema_of(fields: Vec<FieldSchema>) -> CollectionSchema {
    CollectionSchema {
        name: "c".into(),
        description: String::new(),
        enable_dynamic_field: fields.iter().any(|f| f.is_dynamic),
        fields,
        version: 0,
        functions: Vec::new(),
    }
}

fn schema() -> CollectionSchema {
    schema_of(vec![
        field(100, "id", DataType::Int64),
        field(101, "small", DataType::Int8),
        field(102, "word", DataType::VarChar),
        field(103, "v", DataType::FloatVector),
    ])
}

fn scalars(name: &str, data: Data) -> FieldData {
    FieldData {
        field_name: name.into(),
        field: Some(Field::Scalars(ScalarField { data: Some(data) })),
        ..Default::default()
    }
}

fn texts(values: &[&str]) -> Bytes {
    StringArray { data: values.iter().map(|v| (*v).to_owned()).collect() }.encode_to_vec().into()
}

fn vectors(name: &str, dim: i64, values: &[f32]) -> FieldData {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    FieldData {
        field_name: name.into(),
        field: Some(Field::Vectors(VectorField {
            dim,
            data: Some(vector_field::Data::FloatVector(FloatArray { data: vec![bytes.into()] })),
        })),
        ..Default::default()
    }
}

fn good() -> Vec<FieldData> {
    vec![
        vectors("v", 2, &[1.0, 2.0, 3.0, 4.0]),
        scalars("word", Data::StringData(texts(&["a", "bc"]))),
        scalars("small", Data::IntData(IntArray { data: vec![-128, 127] })),
        scalars("id", Data::LongData(LongArray { data: vec![1, 2] })),
    ]
}

fn refused(change: impl FnOnce(&mut Vec<FieldData>)) -> String {
    let mut fields = good();
    change(&mut fields);
    batch_from_wire(&schema(), Write::Insert, 2, fields).unwrap_err().message
}

#[test]
fn columns_come_in_any_order_and_leave_in_the_order_of_the_schema() {
    let batch = batch_from_wire(&schema(), Write::Insert, 2, good()).unwrap();
    let ids: Vec<i64> = batch.columns.iter().map(|c| c.field.0).collect();
    assert_eq!((batch.rows, ids), (2, vec![100, 101, 102, 103]));
    let BatchValues::Var(words) = &batch.columns[2].values else { panic!("words") };
    assert_eq!((words.value(0), words.value(1), words.total()), (&b"a"[..], &b"bc"[..], 3));
}

#[test]
fn a_missing_or_extra_or_doubled_field_is_named() {
    assert_eq!(
        refused(|f| f.truncate(3)),
        "fieldSchema(id) has no corresponding fieldData pass in: invalid parameter"
    );
    let extra = refused(|f| f.push(scalars("x", Data::LongData(LongArray { data: vec![1, 2] }))));
    assert!(extra.contains("more fieldData has pass in"), "{extra}");
    let twice = refused(|f| f.push(vectors("v", 2, &[0.0; 4])));
    assert!(twice.contains("duplicated field v found"), "{twice}");
}

#[test]
fn wrong_values_are_refused_in_the_words_that_clients_know() {
    let rows = refused(|f| f[3] = scalars("id", Data::LongData(LongArray { data: vec![1] })));
    assert!(rows.contains("the num_rows (1) of field (id) is not equal to passed num_rows (2)"));
    let dim = refused(|f| f[0] = vectors("v", 4, &[0.0; 8]));
    assert!(dim.contains("the dim (4) of field data(v) is not equal to schema dim (2)"), "{dim}");
    let odd = refused(|f| f[0] = vectors("v", 2, &[0.0; 3]));
    assert!(odd.contains("the length(3) of float data should divide the dim(2)"), "{odd}");
    let nan = refused(|f| f[0] = vectors("v", 2, &[0.0, f32::NAN, 0.0, 0.0]));
    assert!(nan.contains("value 'NaN' is not a number or infinity"), "{nan}");
    let long = refused(|f| f[1] = scalars("word", Data::StringData(texts(&["a", "bcdef"]))));
    assert!(long.contains("the length (5) of 1th VarChar word exceeds max length (4)"), "{long}");
    let wide = refused(|f| f[2] = scalars("small", Data::IntData(IntArray { data: vec![0, 128] })));
    assert!(wide.contains("the 1th element (128) out of range: [-128, 127]"), "{wide}");
    let kind = refused(|f| f[2] = scalars("small", Data::LongData(LongArray { data: vec![0, 1] })));
    assert!(kind.contains("[expected=need int array][actual=got nil]"), "{kind}");
    let utf8 = Bytes::from_static(b"\x0a\x01a\x0a\x01\xff");
    let utf8 = refused(|f| f[1] = scalars("word", Data::StringData(utf8)));
    assert!(utf8.contains("is not valid UTF-8"), "{utf8}");
}

#[test]
fn bytes_that_are_no_array_are_refused() {
    for bad in
        [&b"\x0a"[..], b"\x0a\x05ab", b"\x12\x01a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"]
    {
        assert!(VarColumn::from_message(Bytes::copy_from_slice(bad)).is_none());
    }
}

proptest! {
    #[test]
    fn spans_find_the_same_texts_as_the_decoder(texts in prop::collection::vec(".{0,200}", 0..20)) {
        let bytes = Bytes::from(StringArray { data: texts.clone() }.encode_to_vec());
        let column = VarColumn::from_message(bytes).unwrap();
        let found: Vec<&[u8]> = column.values().collect();
        let wanted: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = VarColumn::from_message(bytes.into());
    }

    #[test]
    fn a_value_that_is_not_finite_is_found_anywhere(length in 1_usize..40, at in 0_usize..40) {
        let mut values = vec![1.5_f32; length];
        let bytes = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        prop_assert!(check_finite(&bytes(&values), "v").is_ok());
        values[at % length] = f32::NEG_INFINITY;
        prop_assert!(check_finite(&bytes(&values), "v").is_err());
    }
}

/// One column beside the key, for two rows.
fn one(other: FieldSchema, data: FieldData) -> Result<BatchColumn, Fault> {
    let schema = schema_of(vec![field(100, "id", DataType::Int64), other]);
    let key = scalars("id", Data::LongData(LongArray { data: vec![1, 2] }));
    let batch = batch_from_wire(&schema, Write::Insert, 2, vec![key, data])?;
    Ok(batch.columns.into_iter().nth(1).unwrap())
}

fn with_valid(data: FieldData, valid: [bool; 2]) -> FieldData {
    FieldData { valid_data: valid.to_vec(), ..data }
}

fn text_values(column: &BatchColumn) -> Vec<&[u8]> {
    match &column.values {
        BatchValues::Var(texts) => texts.values().collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nulls_come_with_all_slots_or_with_the_values_only() {
    let small = FieldSchema { nullable: true, ..field(101, "small", DataType::Int8) };
    for data in [vec![9, 7], vec![7]] {
        let data = scalars("small", Data::IntData(IntArray { data }));
        let column = one(small.clone(), with_valid(data, [false, true])).unwrap();
        assert!(matches!(&column.values, BatchValues::Int(v) if v[..] == [0, 7]), "{column:?}");
        assert_eq!(column.validity, Some(vec![0, 1]));
    }
    let word = FieldSchema { nullable: true, ..field(101, "w", DataType::VarChar) };
    for data in [&["a", "too long, but null"][..], &["a"]] {
        let data = scalars("w", Data::StringData(texts(data)));
        let column = one(word.clone(), with_valid(data, [true, false])).unwrap();
        assert_eq!(text_values(&column), [&b"a"[..], b""]);
        assert_eq!(column.validity, Some(vec![1, 0]));
    }
    let float = FieldSchema { nullable: true, ..field(101, "f", DataType::Float) };
    let value = Bytes::from(1.5_f32.to_le_bytes().to_vec());
    let data = scalars("f", Data::FloatData(FloatArray { data: vec![value.clone()] }));
    let column = one(float, with_valid(data, [false, true])).unwrap();
    let wanted = [&[0; 4][..], &value].concat();
    assert!(matches!(&column.values, BatchValues::Fixed(b, 4) if b[..] == wanted));
}

#[test]
fn a_column_of_nulls_needs_no_data() {
    for data_type in [DataType::Bool, DataType::Int64, DataType::Double, DataType::Json] {
        let nullable = FieldSchema { nullable: true, ..field(101, "f", data_type) };
        let data = FieldData { field_name: "f".into(), ..Default::default() };
        let column = one(nullable.clone(), with_valid(data, [false, false])).unwrap();
        assert_eq!((column.values.len(), column.validity), (2, Some(vec![0, 0])));
        let key = scalars("id", Data::LongData(LongArray { data: vec![1, 2] }));
        let schema = schema_of(vec![field(100, "id", DataType::Int64), nullable]);
        let batch = batch_from_wire(&schema, Write::Insert, 2, vec![key]).unwrap();
        assert_eq!(batch.columns.len(), 1, "a column that is not there is null");
    }
}

#[test]
fn a_default_value_stands_in_for_nulls() {
    let word = FieldSchema {
        nullable: true,
        default_value: Some(DefaultValue::Text("std".into())),
        ..field(101, "w", DataType::VarChar)
    };
    let data = scalars("w", Data::StringData(texts(&["a"])));
    let column = one(word.clone(), with_valid(data, [true, false])).unwrap();
    assert_eq!(text_values(&column), [&b"a"[..], b"std"]);
    assert_eq!(column.validity, None);
    let data = FieldData { field_name: "w".into(), ..Default::default() };
    let column = one(word, with_valid(data, [false, false])).unwrap();
    assert_eq!((text_values(&column), &column.validity), (vec![&b"std"[..]; 2], &None));
    let half = DefaultValue::FloatBits(0.5_f64.to_bits());
    let float = FieldSchema { default_value: Some(half), ..field(101, "f", DataType::Float) };
    let data = FieldData { field_name: "f".into(), ..Default::default() };
    let column = one(float, with_valid(data, [false, false])).unwrap();
    assert!(matches!(&column.values, BatchValues::Fixed(b, 4) if b[4..] == 0.5_f32.to_le_bytes()));
}

#[test]
fn wrong_nulls_name_their_field() {
    let data = || scalars("small", Data::IntData(IntArray { data: vec![1, 2] }));
    let plain = field(101, "small", DataType::Int8);
    let text = one(plain.clone(), with_valid(data(), [true, false])).unwrap_err().message;
    assert!(text.contains("the Int8 field small is not nullable"), "{text}");
    assert!(one(plain, with_valid(data(), [true, true])).is_ok());
    let nullable = FieldSchema { nullable: true, ..field(101, "small", DataType::Int8) };
    let short = FieldData { valid_data: vec![true], ..data() };
    let text = one(nullable.clone(), short).unwrap_err().message;
    assert!(text.contains("the length of valid_data of field(small) is wrong"), "{text}");
    let three = scalars("small", Data::IntData(IntArray { data: vec![1, 2, 3] }));
    let text = one(nullable, with_valid(three, [true, false])).unwrap_err().message;
    assert!(text.contains("the num_rows (3) of field (small)"), "{text}");
}

fn array_field(element: DataType) -> FieldSchema {
    FieldSchema {
        element_type: Some(element),
        max_capacity: 3,
        max_length: 2,
        ..field(101, "a", DataType::Array)
    }
}

fn arrays(rows: Vec<Option<Data>>) -> FieldData {
    let data = rows.into_iter().map(|data| ScalarField { data }).collect();
    let bytes = ArrayArray { data, element_type: 0 }.encode_to_vec().into();
    scalars("a", Data::ArrayData(bytes))
}

#[test]
fn arrays_become_cells() {
    let ints = |data: &[i32]| Some(Data::IntData(IntArray { data: data.to_vec() }));
    let column =
        one(array_field(DataType::Int16), arrays(vec![ints(&[-2, 300]), ints(&[])])).unwrap();
    let wanted = [(-2_i16).to_le_bytes(), 300_i16.to_le_bytes()].concat();
    assert_eq!(text_values(&column), [&wanted[..], b""]);
    let words = |t: &[&str]| Some(Data::StringData(texts(t)));
    let column =
        one(array_field(DataType::VarChar), arrays(vec![words(&["a", ""]), None])).unwrap();
    let cells = text_values(&column);
    assert_eq!(cell::array_len(DataType::VarChar, cells[0]), 2);
    assert_eq!(
        (cell::array_text(cells[0], 0), cell::array_text(cells[0], 1)),
        (&b"a"[..], &b""[..])
    );
    assert_eq!(cell::array_len(DataType::VarChar, cells[1]), 0);
}

#[test]
fn wrong_arrays_name_their_field() {
    let ints = |data: &[i32]| Some(Data::IntData(IntArray { data: data.to_vec() }));
    let refused = |element, row: Option<Data>| {
        one(array_field(element), arrays(vec![None, row])).unwrap_err().message
    };
    let long = refused(DataType::Int32, ints(&[1, 2, 3, 4]));
    assert!(long.contains("the length (4) of 1th array a exceeds max capacity (3)"), "{long}");
    let wide = refused(DataType::Int8, ints(&[128]));
    assert!(wide.contains("an element (128) out of range: [-128, 127], field name = a"), "{wide}");
    let kind = refused(DataType::Int64, ints(&[1]));
    assert!(kind.contains("array field 'a'") && kind.contains("got int array"), "{kind}");
    let text = refused(DataType::VarChar, Some(Data::StringData(texts(&["abc"]))));
    assert!(text.contains("array a has an element that exceeds max length (2)"), "{text}");
    let nan = Bytes::from(f32::NAN.to_le_bytes().to_vec());
    let nan = refused(DataType::Float, Some(Data::FloatData(FloatArray { data: vec![nan] })));
    assert!(nan.contains("is not a number or infinity, field name = a"), "{nan}");
}

fn vector_column(data_type: DataType, data: vector_field::Data) -> Result<BatchColumn, Fault> {
    let vectors = VectorField { dim: 8, data: Some(data) };
    let column = FieldData {
        field_name: "v".into(),
        field: Some(Field::Vectors(vectors)),
        ..Default::default()
    };
    one(FieldSchema { dim: 8, ..field(101, "v", data_type) }, column)
}

#[test]
fn dense_vectors_stay_the_bytes_that_came() {
    use vector_field::Data as V;
    type Make = fn(Bytes) -> V;
    let types: [(DataType, usize, Make); 4] = [
        (DataType::BinaryVector, 1, V::BinaryVector),
        (DataType::Int8Vector, 8, V::Int8Vector),
        (DataType::Float16Vector, 16, V::Float16Vector),
        (DataType::BFloat16Vector, 16, V::Bfloat16Vector),
    ];
    for (data_type, width, make) in types {
        let bytes = Bytes::from(vec![1; 2 * width]);
        let column = vector_column(data_type, make(bytes.clone())).unwrap();
        assert!(matches!(&column.values, BatchValues::Fixed(b, w) if *b == bytes && *w == width));
        let rows = vector_column(data_type, make(bytes.slice(width..))).unwrap_err().message;
        assert!(rows.contains("the num_rows (1) of field (v)"), "{rows}");
        let other = V::FloatVector(FloatArray::default());
        let kind = vector_column(data_type, other).unwrap_err().message;
        assert!(kind.contains("vector field 'v' is illegal, array type mismatch"), "{kind}");
        if width > 1 {
            let odd = vector_column(data_type, make(bytes.slice(1..))).unwrap_err().message;
            assert!(odd.contains("should divide the dim(8)"), "{odd}");
        }
        if width == 16 {
            let bad = vector_column(data_type, make(vec![0xff; 32].into())).unwrap_err().message;
            assert!(bad.contains("is not a number or infinity, field name = v"), "{bad}");
        }
    }
}

#[test]
fn sparse_vectors_are_checked_and_stay_the_bytes_that_came() {
    use crate::pb::schema::SparseFloatArray;
    let pairs = |pairs: &[(u32, f32)]| {
        let bytes = |(i, v): &(u32, f32)| [i.to_le_bytes(), v.to_le_bytes()].concat();
        Bytes::from(pairs.iter().flat_map(bytes).collect::<Vec<u8>>())
    };
    let send = |rows: Vec<Bytes>| {
        let sparse = SparseFloatArray { contents: rows, dim: 10 }.encode_to_vec();
        let data = vector_field::Data::SparseFloatVector(sparse.into());
        vector_column(DataType::SparseFloatVector, data)
    };
    let good = pairs(&[(0, 1.0), (9, -0.5)]);
    let column = send(vec![good.clone(), Bytes::new()]).unwrap();
    assert_eq!(text_values(&column), [&good[..], b""]);
    let refused = |row| send(vec![Bytes::new(), row]).unwrap_err().message;
    let unsorted = refused(pairs(&[(2, 1.0), (1, 1.0)]));
    assert!(unsorted.contains("unsorted or same indices"), "{unsorted}");
    assert!(refused(pairs(&[(2, 1.0), (2, 1.0)])).contains("unsorted or same indices"));
    assert!(refused(pairs(&[(u32::MAX, 1.0)])).contains("must be less than 2^32-1"));
    assert!(refused(pairs(&[(1, f32::NAN)])).contains("not a number or infinity, field name = v"));
    assert!(refused(good.slice(1..)).contains("invalid data length in sparse float vector: 15"));
}

#[test]
fn what_only_the_server_makes_cannot_be_given() {
    let auto = FieldSchema { auto_id: true, ..field(100, "id", DataType::Int64) };
    let output =
        FieldSchema { is_function_output: true, ..field(101, "o", DataType::SparseFloatVector) };
    let schema = schema_of(vec![auto, output, field(102, "w", DataType::VarChar)]);
    let id = || scalars("id", Data::LongData(LongArray { data: vec![1, 2] }));
    let w = || scalars("w", Data::StringData(texts(&["a", "b"])));
    let send = |write, fields| batch_from_wire(&schema, write, 2, fields);
    assert_eq!(send(Write::Insert, vec![w()]).unwrap().columns.len(), 1);
    let text = send(Write::Insert, vec![id(), w()]).unwrap_err().message;
    assert!(text.contains("when auto id enabled, field name = id"), "{text}");
    assert_eq!(send(Write::Upsert, vec![id(), w()]).unwrap().columns.len(), 2);
    let text = send(Write::Upsert, vec![w()]).unwrap_err().message;
    assert!(text.contains("must assign pk when upsert, primary field: id"), "{text}");
    let o = FieldData { field_name: "o".into(), ..Default::default() };
    let text = send(Write::Insert, vec![w(), o]).unwrap_err().message;
    assert!(text.contains("field o is function output field"), "{text}");
}

#[test]
fn an_update_gives_only_some_columns() {
    let id = || scalars("id", Data::LongData(LongArray { data: vec![1, 2] }));
    let send = |fields| batch_from_wire(&schema(), Write::Update, 2, fields);
    assert_eq!(send(vec![id()]).unwrap().columns.len(), 1);
    assert_eq!(send(vec![id(), good().remove(1)]).unwrap().columns.len(), 2);
    assert!(send(vec![good().remove(1)]).unwrap_err().message.contains("fieldSchema(id)"));
}

#[test]
fn dynamic_keys_are_not_names_of_fields() {
    let doc = FieldSchema { is_dynamic: true, ..field(101, "$meta", DataType::Json) };
    let schema = schema_of(vec![field(100, "id", DataType::Int64), doc]);
    let send = |write, text: &str| {
        let key = scalars("id", Data::LongData(LongArray { data: vec![1, 2] }));
        let documents = scalars("", Data::JsonData(texts(&["{\"a\": {\"id\": 1}}", text])));
        let documents = FieldData { is_dynamic: true, ..documents };
        batch_from_wire(&schema, write, 2, vec![key, documents]).map_err(|fault| fault.message)
    };
    let refused = "dynamic field name cannot include the static field name: id: invalid parameter";
    for text in ["{\"id\": 1}", "{\"b\": [\"id\"], \"\\u0069d\" : {}}"] {
        for write in [Write::Insert, Write::Upsert] {
            assert_eq!(send(write, text).unwrap_err(), refused);
        }
        assert!(send(Write::Update, text).is_ok());
    }
    for write in [Write::Insert, Write::Upsert, Write::Update] {
        let text = send(write, "{\"$meta\": {}}").unwrap_err();
        assert!(text.starts_with("cannot set json key to: $meta"), "{text}");
        assert!(send(write, "{\"ID\": \"id\", \"x\": \"$meta\"}").is_ok());
    }
}

/// Nothing else bears out how many rows there are, and what is made for them costs memory.
#[test]
fn a_number_of_rows_without_a_column_is_refused() {
    let auto = FieldSchema { auto_id: true, ..field(100, "id", DataType::Int64) };
    let free = FieldSchema { nullable: true, ..field(101, "free", DataType::Int64) };
    let meta = FieldSchema { is_dynamic: true, ..field(102, "$meta", DataType::Json) };
    let schema = schema_of(vec![auto, free, meta]);
    let send = |rows, fields| batch_from_wire(&schema, Write::Insert, rows, fields);
    for rows in [1, u32::MAX] {
        let text = send(rows, Vec::new()).unwrap_err().message;
        assert!(text.contains("fieldSchema(free) has no corresponding fieldData"), "{text}");
        let text = send(rows, vec![FieldData { field_name: "x".into(), ..Default::default() }]);
        assert!(text.unwrap_err().message.contains("more fieldData has pass in"));
    }
    let one = || scalars("free", Data::LongData(LongArray { data: vec![1] }));
    assert!(send(u32::MAX, vec![one()]).unwrap_err().message.contains("num_rows (1)"));
    let nulls = FieldData { valid_data: vec![false], ..one() };
    assert!(send(u32::MAX, vec![nulls]).unwrap_err().message.contains("valid_data of field(free)"));
    assert_eq!(send(1, vec![one()]).unwrap().columns.len(), 2);
}

#[test]
fn json_becomes_cells_and_a_missing_dynamic_field_empty_objects() {
    let doc = FieldSchema { is_dynamic: true, ..field(101, "$meta", DataType::Json) };
    let column = one(
        doc.clone(),
        FieldData { is_dynamic: true, ..scalars("", Data::JsonData(texts(&["{\"a\": 1}", "{}"]))) },
    )
    .unwrap();
    let cells = text_values(&column);
    assert_eq!(json_text(cells[0]), b"{\"a\": 1}");
    let list = FieldData { is_dynamic: true, ..scalars("", Data::JsonData(texts(&["[]", "{}"]))) };
    assert!(one(doc.clone(), list).unwrap_err().message.contains("is not a JSON object"));
    let schema = schema_of(vec![field(100, "id", DataType::Int64), doc]);
    let key = scalars("id", Data::LongData(LongArray { data: vec![1, 2] }));
    let batch = batch_from_wire(&schema, Write::Insert, 2, vec![key]).unwrap();
    assert!(text_values(&batch.columns[1]).iter().all(|c| json_text(c) == b"{}"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_arrays_but_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        element in prop::sample::select(vec![DataType::Bool, DataType::Int8, DataType::Int64,
            DataType::Float, DataType::Double, DataType::VarChar]),
    ) {
        let _ = one(array_field(element), scalars("a", Data::ArrayData(bytes.into())));
    }
}
