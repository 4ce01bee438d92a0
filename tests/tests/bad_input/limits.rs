//! What is just allowed: the largest of everything is accepted. The tables have what is one more.
// tidy: table

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_gateway::pb::schema::value_field::Data;
use millstream_gateway::pb::schema::{DataType, FieldSchema, ValueField};
use millstream_gateway::pb::{
    CreateAliasRequest, CreateCollectionRequest, CreateCredentialRequest, CreateDatabaseRequest,
    CreateIndexRequest, CreatePartitionRequest, CreatePrivilegeGroupRequest,
    CreateResourceGroupRequest, CreateRoleRequest, LoadCollectionRequest, QueryRequest, RoleEntity,
    SearchRequest,
};
use millstream_tests::client::{query, search};
use millstream_tests::rows::{
    dynamic, field, int_key, jsons, longs, pair, schema, text_field, texts, vector_field, vectors,
};
use prost::Message;

use super::{DIM, Request};

/// A name of so many letters.
fn name(letters: usize) -> String {
    "n".repeat(letters)
}

fn array(name: &str, capacity: u32) -> FieldSchema {
    FieldSchema {
        element_type: DataType::VarChar.into(),
        type_params: vec![pair("max_capacity", capacity), pair("max_length", 65_535)],
        ..field(name, DataType::Array)
    }
}

fn bits(name: &str, dim: usize) -> FieldSchema {
    FieldSchema { data_type: DataType::BinaryVector.into(), ..vector_field(name, dim) }
}

fn collection(name: &str, fields: Vec<FieldSchema>) -> Request {
    of!(CreateCollectionRequest {
        collection_name: name.to_owned(),
        schema: schema(name, fields).encode_to_vec().into(),
    })
}

fn index(collection: &str, field: &str, kind: &str, params: &[(&str, &str)]) -> Request {
    let mut extra_params = vec![pair("index_type", kind)];
    extra_params.extend(params.iter().map(|(key, value)| pair(key, value)));
    of!(CreateIndexRequest {
        collection_name: collection.to_owned(),
        field_name: field.to_owned(),
        extra_params,
    })
}

/// Names, schemas, parameters and passwords, in an order in which each can be accepted.
pub(crate) fn metadata() -> Vec<Request> {
    let mut all = vec![
        of!(CreateDatabaseRequest { db_name: name(255) }),
        of!(CreateRoleRequest {
            entity: Some(RoleEntity { name: name(255), ..RoleEntity::default() }),
        }),
        of!(CreatePrivilegeGroupRequest { group_name: format!("g{}", name(254)) }),
        of!(CreateResourceGroupRequest { resource_group: name(255) }),
    ];
    for (letters, bytes) in [(32, 6), (31, 256), (1, 72)] {
        all.push(of!(CreateCredentialRequest {
            username: name(letters),
            password: STANDARD.encode("x".repeat(bytes)),
        }));
    }
    let own = FieldSchema { name: name(255), ..text_field("", 65_535) };
    all.push(collection(&name(255), vec![int_key(), own, vector_field("v", 1)]));
    all.push(of!(CreatePartitionRequest { collection_name: name(255), partition_name: name(255) }));
    all.push(of!(CreatePartitionRequest {
        collection_name: name(255),
        partition_name: "1st".to_owned(),
    }));
    all.push(of!(CreateAliasRequest {
        collection_name: name(255),
        alias: format!("a{}", name(254)),
    }));
    all.push(of!(CreateIndexRequest {
        collection_name: name(255),
        field_name: "v".to_owned(),
        index_name: name(255),
        extra_params: vec![pair("index_type", "FLAT"), pair("metric_type", "L2")],
    }));
    let text = Data::StringData("x".repeat(65_535));
    let filled = FieldSchema {
        default_value: Some(ValueField { data: Some(text) }),
        ..text_field("filled", 65_535)
    };
    let least = FieldSchema {
        default_value: Some(ValueField { data: Some(Data::IntData(-128)) }),
        ..field("least", DataType::Int8)
    };
    let mut fields = vec![int_key(), array("list", 4_096), array("one", 1), filled, least];
    fields.push(text_field("letter", 1));
    fields.extend((0..8).map(|n| vector_field(&format!("v{n}"), 32_768)));
    fields.extend([bits("bits", 262_144), bits("byte", 8)]);
    fields.extend((fields.len()..64).map(|n| field(&format!("f{n}"), DataType::Bool)));
    all.push(collection("largest", fields));
    for (field, kind, params) in [
        ("v0", "IVF_FLAT", &[("nlist", "65536")][..]),
        ("v1", "IVF_FLAT", &[("nlist", "1")]),
        ("v2", "HNSW", &[("M", "2048"), ("efConstruction", "2147483647")]),
        ("v3", "HNSW", &[("M", "1"), ("efConstruction", "1")]),
        ("v4", "IVF_PQ", &[("m", "32768"), ("nbits", "16")]),
        ("v5", "IVF_PQ", &[("m", "1"), ("nbits", "1"), ("nlist", "128")]),
        ("v6", "AUTOINDEX", &[("metric_type", "IP"), ("mmap.enabled", "true")]),
        ("v7", "AUTOINDEX", &[("params", "{}")]),
        ("bits", "BIN_IVF_FLAT", &[("nlist", "65536"), ("metric_type", "JACCARD")]),
        ("byte", "BIN_FLAT", &[("metric_type", "SUPERSTRUCTURE")]),
    ] {
        all.push(index("largest", field, kind, params));
    }
    all.push(of!(LoadCollectionRequest { collection_name: "largest".to_owned() }));
    all
}

fn limited(params: &[(&str, &str)]) -> Request {
    let query_params = params.iter().map(|(key, value)| pair(key, value)).collect();
    QueryRequest { query_params, ..query("good", "id >= 0", &["id"]) }.into()
}

fn filtered(filter: &str) -> Request {
    query("good", filter, &["id"]).into()
}

fn tuned(params: &[(&str, &str)]) -> Request {
    let mut request: SearchRequest = search("good", DIM, &[0.5; DIM], 1);
    for (key, value) in params {
        request.search_params.retain(|pair| pair.key != *key);
        request.search_params.push(pair(key, value));
    }
    request.into()
}

/// Queries, filters and searches of the good collection.
pub(crate) fn reads() -> Vec<Request> {
    let deep = format!("{}id >= 0{}", "(".repeat(128), ")".repeat(128));
    let listed = vec!["1"; 1_000_000].join(",");
    let many = vec!["id == 1"; 700_000].join(" or ");
    vec![
        limited(&[("limit", "16384")]),
        limited(&[("limit", "1"), ("offset", "16383")]),
        limited(&[("limit", "8000"), ("offset", "8384")]),
        tuned(&[("topk", "16384")]),
        tuned(&[("topk", "1"), ("offset", "16383")]),
        tuned(&[("round_decimal", "6")]),
        tuned(&[("round_decimal", "-1")]),
        search("good", DIM, &vec![0.5; 16_384 * DIM], 1).into(),
        filtered(&deep),
        filtered(&format!("id in [{listed}]")),
        filtered(&many),
        filtered("id == 9223372036854775807"),
        filtered("id == -9223372036854775808"),
        filtered("id in [0x7fffffffffffffff, 0b1, 0777]"),
    ]
}

/// Rows of the largest values, for a collection of these fields with dynamic keys.
pub(crate) fn rows() -> (Vec<FieldSchema>, Vec<millstream_gateway::pb::schema::FieldData>) {
    let fields = vec![
        int_key(),
        text_field("word", 65_535),
        field("doc", DataType::Json),
        vector_field("vector", DIM),
    ];
    let long = format!("\"{}\"", "x".repeat(65_534));
    let columns = vec![
        longs("id", vec![i64::MIN, i64::MAX]),
        texts("word", vec!["x".repeat(65_535), String::new()]),
        jsons("doc", vec![long, "null".to_owned()]),
        vectors("vector", DIM, &[f32::MAX; 2 * DIM]),
        dynamic(vec!["{}".to_owned(), format!("{{\"k\":\"{}\"}}", "x".repeat(65_528))]),
    ];
    (fields, columns)
}
