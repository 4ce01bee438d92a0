//! Tests of schema validation.

use super::*;
use crate::pb::common::KeyValuePair;

fn pair(key: &str, value: &str) -> KeyValuePair {
    KeyValuePair { key: key.into(), value: value.into() }
}

fn field(name: &str, data_type: wire::DataType, params: &[(&str, &str)]) -> wire::FieldSchema {
    wire::FieldSchema {
        name: name.into(),
        data_type: data_type as i32,
        type_params: params.iter().map(|(k, v)| pair(k, v)).collect(),
        ..Default::default()
    }
}

fn good() -> wire::CollectionSchema {
    let mut pk = field("id", wire::DataType::Int64, &[]);
    pk.is_primary_key = true;
    wire::CollectionSchema {
        name: "c".into(),
        fields: vec![
            pk,
            field("word", wire::DataType::VarChar, &[("max_length", "64")]),
            field("v", wire::DataType::FloatVector, &[("dim", "8")]),
        ],
        ..Default::default()
    }
}

fn read(schema: &wire::CollectionSchema) -> Result<CollectionSchema, Fault> {
    from_wire(&schema.encode_to_vec().into(), "c")
}

fn refused(change: impl FnOnce(&mut wire::CollectionSchema)) -> String {
    let mut schema = good();
    change(&mut schema);
    read(&schema).unwrap_err().message
}

#[test]
fn a_good_schema_gets_ids_from_100_on_and_the_dynamic_field_last() {
    let mut schema = good();
    schema.enable_dynamic_field = true;
    let read = read(&schema).unwrap();
    let ids: Vec<i64> = read.fields.iter().map(|f| f.id.0).collect();
    assert_eq!(ids, [100, 101, 102, 103]);
    assert_eq!(read.dynamic_field().unwrap().name, "$meta");
    assert_eq!((read.fields[1].max_length, read.fields[2].dim), (64, 8));
    assert_eq!(read.primary().unwrap().name, "id");
}

#[test]
fn bytes_that_are_no_schema_are_refused() {
    let fault = from_wire(&Bytes::from_static(b"\xff\xff\xff"), "c").unwrap_err();
    assert!(fault.message.contains("cannot be decoded"), "{fault}");
}

#[test]
fn wrong_schemas_are_refused_in_the_words_that_clients_know() {
    assert!(refused(|s| s.name = "d".into()).contains("collection name matches schema name"));
    assert!(refused(|s| s.fields[0].is_primary_key = false).contains("primary key is not spec"));
    assert!(
        refused(|s| s.fields[1].is_primary_key = true)
            .contains("there are more than one primary key, field name = id, word")
    );
    assert!(refused(|s| s.fields.truncate(2)).contains("schema does not contain vector field"));
    assert!(refused(|s| s.fields[1].name = "id".into()).contains("duplicated field name"));
    assert!(refused(|s| s.fields[2].type_params.clear()).contains("dimension is not defined"));
    assert!(
        refused(|s| s.fields[2].type_params[0].value = "0".into())
            .contains("invalid dimension: 0. should be in range")
    );
    assert!(
        refused(|s| s.fields[1].type_params.clear()).contains(
            "type param(max_length) should be specified for varChar field of collection c"
        )
    );
    assert!(
        refused(|s| s.fields[1].type_params[0].value = "65536".into())
            .contains("the maximum length specified for a VarChar should be in (0, 65535]")
    );
    assert!(refused(|s| s.fields[1].name = "1w".into()).contains("Invalid field name: 1w"));
    assert!(
        refused(|s| s.fields[1].data_type = 20)
            .contains("string data type not supported yet, please use VarChar type instead")
    );
    let many = |s: &mut wire::CollectionSchema| {
        for i in 0..64 {
            s.fields.push(field(&format!("f{i}"), wire::DataType::Bool, &[]));
        }
    };
    assert!(refused(many).contains("maximum field's number should be limited to 64"));
}

#[test]
fn what_is_not_supported_is_refused_with_the_name_of_the_field() {
    let nullable = refused(|s| s.fields[1].nullable = true);
    assert!(nullable.contains("nullable is not supported yet, field name = word"), "{nullable}");
    let array = refused(|s| s.fields[1].data_type = 22);
    assert!(array.contains("Array is not supported yet, field name = word"), "{array}");
    let sparse = refused(|s| s.fields[2].data_type = 104);
    assert!(sparse.contains("SparseFloatVector is not supported yet"), "{sparse}");
    let key = refused(|s| s.fields[1].is_partition_key = true);
    assert!(key.contains("is_partition_key is not supported yet"), "{key}");
}
