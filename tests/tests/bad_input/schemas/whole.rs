//! What is wrong with a schema as a whole, and beside it.
// tidy: table

use bytes::Bytes;
use millstream_gateway::pb::CreateCollectionRequest;
use millstream_gateway::pb::schema::{
    CollectionSchema, DataType, FieldSchema, StructArrayFieldSchema,
};
use millstream_tests::rows::{field, int_key, pair, schema, vector_field};
use prost::Message;

use super::super::{Case, DIM, INVALID, PLAIN, case};
use super::{DENSE, of, request, with, with_all};

/// What is wrong with a schema as a whole, and beside it.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let plain = || schema("new", vec![int_key(), vector_field("vector", DIM)]);
    for shards in [17, 32, 64, 1_000, i32::MAX] {
        let request = CreateCollectionRequest { shards_num: shards, ..request(&plain()) };
        let due = "maximum shards's number should be limited to 16";
        cases.push(case(format!("{shards} shards"), request, PLAIN, due));
    }
    for level in [5, 9, -1, i32::MAX] {
        let request = CreateCollectionRequest { consistency_level: level, ..request(&plain()) };
        let due = format!("consistency level {level} is not known");
        cases.push(case(format!("level {level}"), request, INVALID, &due));
    }
    for other in ["old", "New", "new ", ""] {
        let request = CreateCollectionRequest {
            schema: CollectionSchema { name: other.to_owned(), ..plain() }.encode_to_vec().into(),
            ..request(&plain())
        };
        let due = format!(
            "collection name matches schema name: invalid parameter[expected=new][actual={other}]"
        );
        cases.push(case(format!("the schema of {other:?}"), request, INVALID, &due));
    }
    for (what, bytes) in [
        ("a field without an end", &b"\x0a\x03ne"[..]),
        ("a text that is none", b"\x0a\x01\xff"),
        ("a wire type that is none", b"\x0f"),
        ("a length that never ends", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("a group", b"\x0b\x08\x01"),
        ("the field 0", b"\x02\x01a"),
        ("a number for the name", b"\x08\x01"),
    ] {
        let request =
            CreateCollectionRequest { schema: Bytes::copy_from_slice(bytes), ..request(&plain()) };
        cases.push(case(what, request, INVALID, "the schema cannot be decoded"));
    }
    for count in [65, 66, 100, 1_000] {
        let fields = (2..count).map(|n| field(&format!("f{n}"), DataType::Int64)).collect();
        let due = "maximum field's number should be limited to 64";
        cases.push(case(format!("{count} fields"), with_all(fields), PLAIN, due));
    }
    for data_type in DENSE.into_iter().chain([DataType::SparseFloatVector]) {
        let named = |n| FieldSchema { name: format!("v{n}"), ..of(data_type) };
        let due = "maximum vector field's number should be limited to 10";
        let what = format!("ten more of {data_type:?}");
        cases.push(case(what, with_all((0..10).map(named).collect()), PLAIN, due));
    }
    cases.extend(twice_or_too_much());
    let structs = CollectionSchema {
        struct_array_fields: vec![StructArrayFieldSchema {
            name: "clips".to_owned(),
            ..StructArrayFieldSchema::default()
        }],
        ..plain()
    };
    let external = CollectionSchema { external_source: "s3://b".to_owned(), ..plain() };
    let spaces = CollectionSchema { enable_namespace: true, ..plain() };
    let remote = FieldSchema { external_field: "y".to_owned(), ..of(DataType::Int64) };
    let nothing = schema("new", Vec::new());
    cases.extend([
        case(
            "an array of structs",
            request(&structs),
            INVALID,
            "data type ArrayOfStruct is not supported yet, field name = clips",
        ),
        case(
            "an external collection",
            request(&external),
            INVALID,
            "external collections are not supported yet",
        ),
        case("namespaces", request(&spaces), INVALID, "namespaces are not supported yet"),
        case(
            "an external field",
            with(remote),
            INVALID,
            "external_field is not supported yet, field name = x",
        ),
        case("no field", request(&nothing), INVALID, "schema does not contain vector field"),
    ]);
    for (key, value) in [
        ("collection.ttl.seconds", "soon"),
        ("collection.autocompaction.enabled", "on"),
        ("collection.replica.number", "many"),
        ("collection.insertRate.max.mb", "fast"),
        ("collection.upsertRate.max.mb", "-2"),
        ("collection.deleteRate.max.mb", "inf"),
        ("collection.bulkLoadRate.max.mb", "NaN"),
        ("collection.queryRate.max.qps", ""),
        ("collection.searchRate.max.vps", "1,5"),
        ("collection.diskProtection.diskQuota.mb", "big"),
        ("collection.force.deny.writing", "maybe"),
        ("collection.force.deny.reading", "2"),
        ("mmap.enabled", "partly"),
        ("lazyload.enabled", "yes"),
        ("dynamicfield.enabled", "true"),
        ("allow_insert_auto_id", "true"),
        ("namespace.enabled", "true"),
        ("partitionkey.isolation", "partly"),
    ] {
        let request =
            CreateCollectionRequest { properties: vec![pair(key, value)], ..request(&plain()) };
        let due = if key.ends_with("seconds") { "collection TTL is not a valid" } else { key };
        cases.push(case(format!("{key} = {value:?}"), request, INVALID, due));
    }
    cases
}

/// Parameters that are given twice, and more words than are kept.
fn twice_or_too_much() -> Vec<Case> {
    let plain = || schema("new", vec![int_key(), vector_field("vector", DIM)]);
    let mut cases = Vec::new();
    for (data_type, key, value) in [
        (DataType::FloatVector, "dim", "16"),
        (DataType::FloatVector, "dim", "8"),
        (DataType::BinaryVector, "dim", "16"),
        (DataType::VarChar, "max_length", "9"),
        (DataType::Array, "max_capacity", "9"),
    ] {
        let mut twice = of(data_type);
        twice.type_params.push(pair(key, value));
        let due = format!("duplicated type param (key={key}) (value={value}) found");
        cases.push(case(format!("{key} twice"), with(twice), INVALID, &due));
    }
    let long = "x".repeat(65_537);
    let described = CollectionSchema { description: long.clone(), ..plain() };
    let field = FieldSchema { description: long.clone(), ..of(DataType::Int64) };
    let mut tuned = of(DataType::VarChar);
    tuned.type_params.push(pair("note", &long));
    let mut many = of(DataType::VarChar);
    many.type_params.extend((0..300).map(|n| pair(&format!("note{n}"), "")));
    let properties = vec![pair("note", &long)];
    let noted = CreateCollectionRequest { properties, ..request(&plain()) };
    let more = "take 65537 bytes, more than 65536: parameter too large";
    let about = |what: &str| format!("the words about {what} {more}");
    cases.extend([
        case("words", request(&described), 1102, &about("the collection")),
        case("words about a field", with(field), 1102, &about("field x")),
        case("a long parameter", with(tuned), 1102, "all type params take 65552 bytes, more than"),
        case("300 parameters", with(many), INVALID, "more than 256 type params are given"),
        case("a long property", noted, 1102, "the properties take 65541 bytes, more than 65536"),
    ]);
    cases
}
