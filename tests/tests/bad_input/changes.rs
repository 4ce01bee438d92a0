//! Wrong fields that should be added, wrong truncations, wrong times to live.
// tidy: table

use bytes::Bytes;
use millstream_gateway::pb::alter_collection_schema_request::action::Op;
use millstream_gateway::pb::alter_collection_schema_request::drop_request::Identifier;
use millstream_gateway::pb::alter_collection_schema_request::{
    Action, AddRequest, DropRequest, FieldInfo,
};
use millstream_gateway::pb::schema::value_field::Data;
use millstream_gateway::pb::schema::{DataType, FieldSchema, FunctionSchema, ValueField};
use millstream_gateway::pb::{
    AddCollectionFieldRequest, AlterCollectionRequest, AlterCollectionSchemaRequest,
    CreateCollectionRequest, DescribeCollectionRequest, TruncateCollectionRequest,
};
use millstream_tests::client::{Client, accept, message};
use millstream_tests::rows::{field, pair, plain_schema, text_field, vector_field};
use prost::Message;

use super::{ANY, Case, DIM, INVALID, case};

fn nullable(field: FieldSchema) -> FieldSchema {
    FieldSchema { nullable: true, ..field }
}

fn int(name: &str) -> FieldSchema {
    nullable(field(name, DataType::Int64))
}

fn with_default(field: FieldSchema, data: Data) -> FieldSchema {
    FieldSchema { default_value: Some(ValueField { data: Some(data) }), ..nullable(field) }
}

fn add(field: &FieldSchema) -> AddCollectionFieldRequest {
    add_to("good", field)
}

fn add_to(name: &str, field: &FieldSchema) -> AddCollectionFieldRequest {
    AddCollectionFieldRequest {
        collection_name: name.to_owned(),
        schema: field.encode_to_vec().into(),
        ..AddCollectionFieldRequest::default()
    }
}

fn truncate(name: &str) -> TruncateCollectionRequest {
    TruncateCollectionRequest {
        collection_name: name.to_owned(),
        ..TruncateCollectionRequest::default()
    }
}

fn texts(max_length: &str) -> FieldSchema {
    FieldSchema {
        type_params: vec![pair("max_length", max_length)],
        ..nullable(field("x", DataType::VarChar))
    }
}

fn array(element: DataType, params: &[(&str, &str)]) -> FieldSchema {
    FieldSchema {
        element_type: element.into(),
        type_params: params.iter().map(|(key, value)| pair(key, value)).collect(),
        ..nullable(field("x", DataType::Array))
    }
}

/// Names, roles and types that an added field cannot have.
fn fields() -> Vec<Case> {
    let refused =
        |what: &str, field: FieldSchema, text: &str| case(what, add(&field), INVALID, text);
    let system = |name: &str| {
        let text = format!("not support to add system field, field name = {name}");
        case(format!("the name {name}"), add(&int(name)), INVALID, &text)
    };
    let vector = |data_type: DataType| {
        let field = FieldSchema { data_type: data_type.into(), ..nullable(vector_field("x", DIM)) };
        let text = "not support to add vector field, field name = x";
        case(format!("a {data_type:?}"), add(&field), INVALID, text)
    };
    let mut cases = vec![
        refused("a name that is there", int("value"), "duplicated field name value"),
        refused("the key's name", int("id"), "duplicated field name id"),
        refused(
            "a primary key",
            FieldSchema { is_primary_key: true, ..int("x") },
            "not support to add pk field, field name = x",
        ),
        refused(
            "automatic ids",
            FieldSchema { auto_id: true, ..int("x") },
            "only primary field can speficy AutoID with true, field name = x",
        ),
        refused(
            "a partition key",
            FieldSchema { is_partition_key: true, ..int("x") },
            "not support to add partition key field, field name  = x",
        ),
        refused(
            "a field without nulls",
            field("x", DataType::Int64),
            "added field must be nullable, please check it, field name = x",
        ),
        refused(
            "a default without nulls",
            FieldSchema { nullable: false, ..with_default(int("x"), Data::LongData(1)) },
            "added field must be nullable, please check it, field name = x",
        ),
        refused(
            "a function's output",
            FieldSchema { is_function_output: true, ..int("x") },
            "not support to add function output field, field name = x",
        ),
        refused(
            "a field of dynamic keys",
            FieldSchema { is_dynamic: true, ..nullable(field("x", DataType::Json)) },
            "not support to add system field, field name = x",
        ),
        refused(
            "an external field",
            FieldSchema { external_field: "y".to_owned(), ..int("x") },
            "external_field is not supported yet, field name = x",
        ),
    ];
    cases.extend(["RowID", "Timestamp", "$meta", "$namespace_id", "__virtual_pk__"].map(system));
    cases.extend(
        [
            DataType::FloatVector,
            DataType::BinaryVector,
            DataType::Float16Vector,
            DataType::BFloat16Vector,
            DataType::SparseFloatVector,
            DataType::Int8Vector,
        ]
        .map(vector),
    );
    for (what, name) in [
        ("no name", ""),
        ("a blank name", "  "),
        ("a digit first", "1x"),
        ("a hyphen", "a-b"),
        ("a blank", "a b"),
        ("another alphabet", "字段"),
        ("a dollar", "$x"),
    ] {
        cases.push(case(what, add(&int(name)), ANY, "field name"));
    }
    cases.push(case("a long name", add(&int(&"x".repeat(256))), ANY, "field name"));
    for (what, number) in [("no type", 0), ("the type String", 20), ("an unknown type", 999)] {
        let field = FieldSchema { data_type: number, ..int("x") };
        cases.push(case(what, add(&field), ANY, "data type"));
    }
    cases
}

/// Parameters and defaults that an added field cannot have.
fn values() -> Vec<Case> {
    let any = |what: &str, field: FieldSchema, text: &str| case(what, add(&field), ANY, text);
    let text =
        |field: FieldSchema, text: &str| with_default(field, Data::StringData(text.to_owned()));
    let mut cases = vec![
        any("a text without length", nullable(field("x", DataType::VarChar)), "max_length"),
        any("a length of 0", texts("0"), "(0, 65535]"),
        any("a length below 0", texts("-1"), "(0, 65535]"),
        any("a length above all", texts("65536"), "(0, 65535]"),
        any("a length that is no number", texts("long"), "(0, 65535]"),
        any("an array without capacity", array(DataType::Int64, &[]), "max_capacity"),
        any("a capacity of 0", array(DataType::Int64, &[("max_capacity", "0")]), "(0, 4096]"),
        any(
            "a capacity above all",
            array(DataType::Int64, &[("max_capacity", "4097")]),
            "(0, 4096]",
        ),
        any(
            "an array of nothing",
            array(DataType::None, &[("max_capacity", "4")]),
            "element data type",
        ),
        any(
            "an array of arrays",
            array(DataType::Array, &[("max_capacity", "4")]),
            "element data type",
        ),
        any(
            "an array of vectors",
            array(DataType::FloatVector, &[("max_capacity", "4")]),
            "element",
        ),
        any(
            "texts without length",
            array(DataType::VarChar, &[("max_capacity", "4")]),
            "max_length",
        ),
        any("a text as the default of a number", text(int("x"), "7"), "default_value"),
        any(
            "a default longer than the text",
            text(text_field("x", 2), "abc"),
            "exceeds max length (2)",
        ),
        any(
            "a default that is too long to add",
            text(text_field("x", 60_000), &"d".repeat(1_025)),
            "the length (1025) of default_value of the added field x exceeds 1024",
        ),
        any(
            "a default of an array",
            with_default(array(DataType::Int64, &[("max_capacity", "4")]), Data::LongData(1)),
            "not support default_value",
        ),
        any(
            "a default of JSON",
            with_default(field("x", DataType::Json), Data::BytesData(Bytes::from_static(b"{}"))),
            "not support default_value",
        ),
        any(
            "an analyzer that is none",
            FieldSchema {
                type_params: vec![
                    pair("max_length", 9),
                    pair("enable_analyzer", "true"),
                    pair("analyzer_params", "{\"tokenizer\": \"none\"}"),
                ],
                ..texts("9")
            },
            "none",
        ),
    ];
    for (data_type, value) in [
        (DataType::Int8, 128),
        (DataType::Int8, -129),
        (DataType::Int16, 32_768),
        (DataType::Int16, -32_769),
    ] {
        let field = with_default(field("x", data_type), Data::IntData(value));
        cases.push(case(format!("{value} as {data_type:?}"), add(&field), ANY, "out of range"));
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let field = with_default(field("x", DataType::Float), Data::FloatData(value));
        cases.push(case(format!("{value} as Float"), add(&field), ANY, "not a number or infinity"));
    }
    cases
}

/// Everything that is refused by a status of its own.
pub(crate) fn cases() -> Vec<Case> {
    let garbage = AddCollectionFieldRequest {
        schema: Bytes::from_static(b"\xff\xff no field"),
        ..add(&int("x"))
    };
    let empty = AddCollectionFieldRequest { schema: Bytes::new(), ..add(&int("x")) };
    let nowhere = AddCollectionFieldRequest { db_name: "nowhere".to_owned(), ..add(&int("x")) };
    let missing_id = AddCollectionFieldRequest { collection_id: 77_777, ..add_to("", &int("x")) };
    let truncated = TruncateCollectionRequest { db_name: "nowhere".to_owned(), ..truncate("good") };
    let ttl = |value: &str| AlterCollectionRequest {
        collection_name: "good".to_owned(),
        properties: vec![pair("collection.ttl.seconds", value)],
        ..AlterCollectionRequest::default()
    };
    let created = |value: &str| CreateCollectionRequest {
        collection_name: "new".to_owned(),
        schema: plain_schema("new", DIM).encode_to_vec().into(),
        properties: vec![pair("collection.ttl.seconds", value)],
        ..CreateCollectionRequest::default()
    };
    let no_number = "collection TTL is not a valid positive integer";
    let range = |value: &str| {
        format!("collection TTL is out of range, expect [-1, 3155760000], got {value}")
    };
    let mut cases = fields();
    cases.extend(values());
    cases.extend([
        case("garbage as a field", garbage, INVALID, "the field schema cannot be decoded"),
        case("an empty field", empty, ANY, "field name"),
        case("a missing database", nowhere, 800, "database not found[database=nowhere]"),
        case("a missing collection", add_to("missing", &int("x")), 100, "collection not found"),
        case("a missing id", missing_id, 100, "collection not found"),
        case(
            "no collection",
            add_to("", &int("x")),
            INVALID,
            "collection name should not be empty",
        ),
        case("no collection", truncate(""), INVALID, "collection name should not be empty"),
        case("a wrong name", truncate("a-b"), INVALID, "Invalid collection name: a-b"),
        case("a missing collection", truncate("missing"), 100, "collection not found"),
        case("a missing database", truncated, 800, "database not found[database=nowhere]"),
    ]);
    for value in ["soon", "", "1.5", "1e3", "99999999999999999999"] {
        cases.push(case(format!("{value:?}"), ttl(value), INVALID, no_number));
        cases.push(case(format!("{value:?}"), created(value), INVALID, no_number));
    }
    for value in ["-2", "3155760001", "9223372036854775807", "-9223372036854775808"] {
        cases.push(case(format!("{value:?}"), ttl(value), INVALID, &range(value)));
        cases.push(case(format!("{value:?}"), created(value), INVALID, &range(value)));
    }
    cases
}

/// Wrong changes of schemas, whose answers hold their status under another name.
pub(crate) async fn schema_cases(client: &Client) {
    let info = |field: FieldSchema| FieldInfo { field_schema: Some(field), ..FieldInfo::default() };
    let add = |infos: Vec<FieldInfo>| AddRequest { field_infos: infos, ..AddRequest::default() };
    let function = FunctionSchema { name: "f".to_owned(), ..FunctionSchema::default() };
    let indexed = FieldInfo { index_name: "i".to_owned(), ..info(int("x")) };
    let drop = |identifier| {
        Op::DropRequest(DropRequest { identifier: Some(identifier), ..DropRequest::default() })
    };
    let dropped = "fields and functions cannot be dropped yet";
    for (op, text) in [
        (None, "action is nil in alter schema task"),
        (
            Some(Op::AddRequest(add(vec![]))),
            "exactly one field is added at a time, but 0 are given",
        ),
        (
            Some(Op::AddRequest(add(vec![info(int("x")), info(int("y"))]))),
            "exactly one field is added at a time, but 2 are given",
        ),
        (Some(Op::AddRequest(add(vec![FieldInfo::default()]))), "empty new field schema"),
        (Some(Op::AddRequest(add(vec![indexed]))), "an index is created on its own"),
        (
            Some(Op::AddRequest(AddRequest { func_schema: vec![function], ..add(vec![]) })),
            "functions cannot be added yet, function name = f",
        ),
        (Some(drop(Identifier::FieldName("value".to_owned()))), dropped),
        (Some(drop(Identifier::FieldId(101))), dropped),
        (Some(drop(Identifier::FunctionName("f".to_owned()))), dropped),
        (
            Some(Op::AddRequest(add(vec![info(field("x", DataType::Int64))]))),
            "added field must be nullable, please check it, field name = x",
        ),
        (Some(Op::AddRequest(add(vec![info(int("value"))]))), "duplicated field name value"),
    ] {
        let request = AlterCollectionSchemaRequest {
            collection_name: "good".to_owned(),
            action: Some(Action { op }),
            ..AlterCollectionSchemaRequest::default()
        };
        let answer = message(client.rpc().alter_collection_schema(request).await);
        let status = answer.expect("an answer").alter_status;
        let trouble = accept(status.as_ref()).expect_err(text);
        assert!(trouble.to_string().contains(text), "{trouble}: {text} is due");
        assert_eq!(trouble.code(), INVALID, "{trouble}");
    }
}

/// The good collection is as it was.
pub(crate) async fn expect_nothing_changed(client: &Client) {
    let request = DescribeCollectionRequest {
        collection_name: "good".to_owned(),
        ..DescribeCollectionRequest::default()
    };
    let answer = message(client.rpc().describe_collection(request).await).expect("an answer");
    assert_eq!(answer.schema.expect("a schema").fields.len(), 3);
    assert_eq!(answer.properties, []);
}
