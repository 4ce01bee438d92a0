//! Tests of reading columns.

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::pb::schema::{
    FloatArray, IntArray, LongArray, ScalarField, StringArray, VectorField, scalar_field::Data,
};

fn field(id: i64, name: &str, data_type: DataType) -> FieldSchema {
    FieldSchema {
        id: FieldId(id),
        name: name.into(),
        description: String::new(),
        data_type,
        is_primary: id == 100,
        auto_id: false,
        is_dynamic: false,
        dim: if data_type == DataType::FloatVector { 2 } else { 0 },
        max_length: if data_type == DataType::VarChar { 4 } else { 0 },
        type_params: Vec::new(),
    }
}

fn schema() -> CollectionSchema {
    CollectionSchema {
        name: "c".into(),
        description: String::new(),
        enable_dynamic_field: false,
        fields: vec![
            field(100, "id", DataType::Int64),
            field(101, "small", DataType::Int8),
            field(102, "word", DataType::VarChar),
            field(103, "v", DataType::FloatVector),
        ],
        version: 0,
    }
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
    batch_from_wire(&schema(), 2, fields).unwrap_err().message
}

#[test]
fn columns_come_in_any_order_and_leave_in_the_order_of_the_schema() {
    let batch = batch_from_wire(&schema(), 2, good()).unwrap();
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
        prop_assert!(check_finite(&bytes(&values)).is_ok());
        values[at % length] = f32::NEG_INFINITY;
        prop_assert!(check_finite(&bytes(&values)).is_err());
    }
}
