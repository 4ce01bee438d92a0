//! Tests of schema validation.

use super::*;
use crate::pb::common::KeyValuePair;
use millstream_catalog::model::DefaultValue;

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
    for name in ["RowID", "Timestamp"] {
        let text = refused(|s| s.fields[1].name = name.into());
        assert!(text.contains(&format!("schema contains system field: {name}")), "{text}");
    }
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
    for (number, name) in [
        (24, "Geometry"),
        (25, "Text"),
        (26, "Timestamptz"),
        (27, "Mol"),
        (28, "Date"),
        (29, "Time"),
        (30, "Decimal"),
        (106, "ArrayOfVector"),
        (200, "ArrayOfStruct"),
        (201, "Struct"),
        (99, "99"),
    ] {
        let text = refused(|s| s.fields[1].data_type = number);
        let wanted = format!("data type {name} is not supported yet, field name = word");
        assert!(text.contains(&wanted), "{text}");
    }
    let structs = refused(|s| {
        s.struct_array_fields =
            vec![wire::StructArrayFieldSchema { name: "parts".into(), ..Default::default() }];
    });
    assert!(structs.contains("field name = parts"), "{structs}");
}

fn array(element: wire::DataType, params: &[(&str, &str)]) -> wire::FieldSchema {
    let element_type = element as i32;
    wire::FieldSchema { element_type, ..field("list", wire::DataType::Array, params) }
}

#[test]
fn arrays_say_what_they_hold() {
    let mut schema = good();
    let params = [("max_capacity", "7"), ("max_length", "5")];
    schema.fields.push(array(wire::DataType::VarChar, &params));
    let list = read(&schema).unwrap().fields.remove(3);
    assert_eq!(list.element_type, Some(DataType::VarChar));
    assert_eq!((list.max_capacity, list.max_length), (7, 5));
    let refused = |field| refused(move |s| s.fields.push(field));
    let capacity = [("max_capacity", "7")];
    let text = refused(array(wire::DataType::None, &capacity));
    assert!(text.contains("element data type None is not valid, field name = list"), "{text}");
    let text = refused(array(wire::DataType::Json, &capacity));
    assert!(text.contains("element data type JSON is not valid"), "{text}");
    let text = refused(array(wire::DataType::FloatVector, &capacity));
    assert!(text.contains("element data type FloatVector is not valid"), "{text}");
    let text = refused(array(wire::DataType::String, &capacity));
    assert!(text.contains("please use VarChar type instead"), "{text}");
    let text = refused(array(wire::DataType::VarChar, &capacity));
    assert!(text.contains("type param(max_length) should be specified"), "{text}");
    let text = refused(array(wire::DataType::Int8, &[]));
    assert!(text.contains("type param(max_capacity) should be specified for array field list"));
    for bad in ["0", "4097", "-1"] {
        let text = refused(array(wire::DataType::Int8, &[("max_capacity", bad)]));
        let wanted = "the maximum capacity specified for a Array should be in (0, 4096]";
        assert!(text.contains(wanted), "{text}");
    }
    let text = refused(array(wire::DataType::Int8, &[("max_capacity", "many")]));
    assert!(text.contains("the value of max_capacity must be an integer"), "{text}");
}

#[test]
fn every_vector_type_has_its_dimensions() {
    use wire::DataType as W;
    for ty in [W::FloatVector, W::Float16Vector, W::BFloat16Vector, W::Int8Vector] {
        let with = |dim: &str| {
            let mut schema = good();
            schema.fields[2] = field("v", ty, &[("dim", dim)]);
            read(&schema)
        };
        assert_eq!(with("32768").unwrap().fields[2].dim, 32_768);
        assert!(with("32769").unwrap_err().message.contains("in range 1 ~ 32768"));
    }
    let binary = |dim: &str| {
        let mut schema = good();
        schema.fields[2] = field("v", W::BinaryVector, &[("dim", dim)]);
        read(&schema)
    };
    assert_eq!(binary("262144").unwrap().fields[2].width(), Some(32_768));
    let text = binary("12").unwrap_err().message;
    assert!(
        text.contains("invalid dimension: 12. binary vector dimension should be multiple of 8")
    );
    assert!(binary("262152").unwrap_err().message.contains("invalid dimension: 262152."));
    let text = refused(|s| s.fields[2] = field("v", W::SparseFloatVector, &[("dim", "8")]));
    assert!(text.contains("dim should not be specified for sparse vector field v(102)"), "{text}");
    assert!(refused(|s| s.fields[2].type_params.clear()).contains("dimension is not defined"));
}

fn value(data: wire::value_field::Data) -> Option<wire::ValueField> {
    Some(wire::ValueField { data: Some(data) })
}

#[test]
fn nulls_and_default_values_are_for_scalars() {
    use wire::value_field::Data;
    let mut schema = good();
    schema.fields[1].nullable = true;
    schema.fields[1].default_value = value(Data::StringData("none".into()));
    let word = read(&schema).unwrap().fields.remove(1);
    assert!(word.nullable);
    assert_eq!(word.default_value, Some(DefaultValue::Text("none".into())));
    let text = refused(|s| s.fields[0].nullable = true);
    assert!(text.contains("primary field not support null, type:Int64, name:id"), "{text}");
    let text = refused(|s| s.fields[2].nullable = true);
    assert!(text.contains("vector type not support null, type:FloatVector, name:v"), "{text}");
    let text = refused(|s| s.fields[0].default_value = value(Data::LongData(1)));
    assert!(text.contains("primary field not support default_value, name:id"), "{text}");
    let text = refused(|s| s.fields[2].default_value = value(Data::FloatData(1.0)));
    assert!(text.contains("type not support default_value, type:FloatVector, name:v"), "{text}");
    let text = refused(|s| s.fields[1].default_value = value(Data::LongData(1)));
    assert!(text.contains("default value type mismatches field schema type"), "{text}");
    let text = refused(|s| s.fields[1].default_value = value(Data::StringData("x".repeat(65))));
    assert!(
        text.contains("the length (65) of default_value of field word exceeds max length (64)")
    );
    let small = |data| {
        let mut small = field("small", wire::DataType::Int8, &[]);
        small.default_value = value(data);
        small
    };
    let text = refused(|s| s.fields.push(small(Data::IntData(128))));
    assert!(text.contains("default_value of field small: 128 out of range: [-128, 127]"), "{text}");
}

fn bm25() -> wire::CollectionSchema {
    let mut schema = good();
    schema.fields[1].type_params.push(pair("enable_analyzer", "true"));
    schema.fields.push(field("sparse", wire::DataType::SparseFloatVector, &[]));
    schema.functions.push(wire::FunctionSchema {
        name: "f".into(),
        r#type: wire::FunctionType::Bm25 as i32,
        input_field_names: vec!["word".into()],
        output_field_names: vec!["sparse".into()],
        ..Default::default()
    });
    schema
}

#[test]
fn a_function_marks_the_field_that_it_fills() {
    let read = read(&bm25()).unwrap();
    assert!(read.fields[3].is_function_output && !read.fields[3].is_stored());
    let function = read.function_of(FieldId(103)).unwrap();
    assert_eq!((&function.inputs[..], function.id), (&[FieldId(101)][..], 100));
}

#[test]
fn wrong_functions_are_refused_in_the_words_that_clients_know() {
    let refused = |change: fn(&mut wire::CollectionSchema)| {
        let mut schema = bm25();
        change(&mut schema);
        read(&schema).unwrap_err().message
    };
    assert!(refused(|s| s.functions[0].name.clear()).contains("function name cannot be empty"));
    let again = |s: &mut wire::CollectionSchema| s.functions.push(s.functions[0].clone());
    assert!(refused(again).contains("duplicate function name f"));
    let other = |s: &mut wire::CollectionSchema| {
        let name = "g".into();
        s.functions.push(wire::FunctionSchema { name, ..s.functions[0].clone() });
    };
    assert!(refused(other).contains("duplicate function output field: function g, field sparse"));
    assert!(
        refused(|s| s.functions[0].input_field_names[0] = "x".into())
            .contains("function input field not found: x")
    );
    assert!(
        refused(|s| s.fields[1].nullable = true)
            .contains("function input field cannot be nullable: function f, field word")
    );
    assert!(
        refused(|s| s.functions[0].output_field_names[0] = "x".into())
            .contains("function output field not found: x")
    );
    assert!(
        refused(|s| s.functions[0].output_field_names[0] = "word".into())
            .contains("a single field cannot be both input and output")
    );
    assert!(
        refused(|s| s.functions[0].output_field_names[0] = "v".into())
            .contains("output field must be a SparseFloatVector field, but got FloatVector")
    );
    assert!(
        refused(|s| s.functions[0].input_field_names[0] = "id".into())
            .contains("input field must be a VARCHAR field, got 1 field with type Int64")
    );
    assert!(
        refused(|s| s.fields[1].type_params[1].value = "false".into())
            .contains("input field must set enable_analyzer to true, field name = word")
    );
    assert!(
        refused(|s| s.functions[0].params.push(pair("a", "b")))
            .contains("BM25 function accepts no params")
    );
    assert!(refused(|s| s.functions[0].r#type = 0).contains("unknown function type"));
    assert!(
        refused(|s| s.functions[0].r#type = 2)
            .contains("function type TextEmbedding is not supported yet, function name = f")
    );
}

#[test]
fn analyzers_are_checked() {
    let with = |pairs: &[(&str, &str)]| {
        let mut schema = good();
        schema.fields[1].type_params.extend(pairs.iter().map(|(k, v)| pair(k, v)));
        read(&schema)
    };
    assert!(with(&[("enable_analyzer", "true"), ("enable_match", "true")]).is_ok());
    let text = with(&[("enable_match", "true")]).unwrap_err().message;
    assert!(text.contains("field word is set to enable match"), "{text}");
    let bad = [("enable_analyzer", "true"), ("analyzer_params", "{\"tokenizer\": \"magic\"}")];
    let text = with(&bad).unwrap_err().message;
    assert!(text.contains("analyzer_params of field word"), "{text}");
}

#[test]
fn a_schema_is_described_as_it_was_given() {
    use wire::value_field::Data;
    let mut schema = bm25();
    schema.fields.push(array(wire::DataType::Int8, &[("max_capacity", "7")]));
    schema.fields[4].nullable = true;
    for (name, ty, data) in [
        ("b", wire::DataType::Bool, Data::BoolData(true)),
        ("i", wire::DataType::Int16, Data::IntData(-7)),
        ("l", wire::DataType::Int64, Data::LongData(i64::MIN)),
        ("f", wire::DataType::Float, Data::FloatData(0.1)),
        ("d", wire::DataType::Double, Data::DoubleData(0.1)),
    ] {
        let default_value = value(data);
        schema.fields.push(wire::FieldSchema { default_value, ..field(name, ty, &[]) });
    }
    schema.fields[6].is_clustering_key = true;
    let read = read(&schema).unwrap();
    let back: Vec<wire::FieldSchema> = read.fields.iter().map(field::to_wire).collect();
    let mut wanted = schema.fields.clone();
    for (id, field) in (100..).zip(&mut wanted) {
        field.field_id = id;
        field.is_function_output = field.name == "sparse";
    }
    assert_eq!(back, wanted);
    let function = function::to_wire(&read.functions[0], &read);
    assert_eq!(function.output_field_names, ["sparse"]);
    assert_eq!((function.input_field_ids, function.output_field_ids), (vec![101], vec![103]));
}

fn keyed(change: impl FnOnce(&mut wire::FieldSchema)) -> Result<CollectionSchema, Fault> {
    let mut schema = good();
    schema.fields[1].is_partition_key = true;
    change(&mut schema.fields[1]);
    read(&schema)
}

#[test]
fn a_partition_key_is_one_int64_or_varchar_field_that_always_has_a_value() {
    let schema = keyed(|_| {}).unwrap();
    assert_eq!(schema.partition_key().unwrap().name, "word");
    assert!(field::to_wire(schema.partition_key().unwrap()).is_partition_key);
    assert!(keyed(|f| f.data_type = wire::DataType::Int64 as i32).is_ok());
    let default = wire::value_field::Data::StringData("nobody".into());
    let with_default = keyed(|f| f.default_value = Some(wire::ValueField { data: Some(default) }));
    assert!(with_default.is_ok());
    let text = |result: Result<CollectionSchema, Fault>| result.unwrap_err().message;
    let bool_key = text(keyed(|f| f.data_type = wire::DataType::Bool as i32));
    assert!(bool_key.starts_with("the data type of partition key should be Int64 or VarChar"));
    assert!(text(keyed(|f| f.nullable = true)).contains("partition key field not support null"));
    let primary = refused(|s| s.fields[0].is_partition_key = true);
    assert!(primary.starts_with("the partition key field must not be primary field"), "{primary}");
    let two = refused(|s| {
        s.fields[1].is_partition_key = true;
        s.fields.push(field("other", wire::DataType::Int64, &[]));
        s.fields[3].is_partition_key = true;
    });
    assert_eq!(two, "there are more than one partition key, field name = word, other");
}

#[test]
fn a_partition_key_has_16_partitions_or_as_many_as_are_asked_for() {
    let schema = keyed(|_| {}).unwrap();
    let number = |given| partitions_of(&schema, given);
    assert_eq!((number(0), number(1), number(4_096)), (Ok(16), Ok(1), Ok(4_096)));
    let text = |given| number(given).unwrap_err().message;
    assert!(text(4_097).contains("partition number (4097) exceeds max configuration (4096)"));
    assert!(text(i64::MAX).contains("exceeds max configuration"));
    let negative = "the specified partitions should be greater than 0 if partition key is used";
    assert_eq!((text(-1).as_str(), text(i64::MIN).as_str()), (negative, negative));
    let plain = read(&good()).unwrap();
    assert_eq!(partitions_of(&plain, 0), Ok(0));
    let only = "num_partitions should only be specified with partition key field enabled";
    assert_eq!(partitions_of(&plain, 4).unwrap_err().message, only);
    assert_eq!(partitions_of(&plain, -4).unwrap_err().message, only);
}
