//! Wrong searches, queries, pages of iterators and hybrid searches: families of faults, each over
//! all that can have it.

mod hybrid;
mod queries;
mod searches;
mod vectors;

use bytes::Bytes;
use millstream_gateway::pb::common::{
    ConsistencyLevel, DslType, PlaceholderGroup, PlaceholderType, PlaceholderValue,
};
use millstream_gateway::pb::schema::{DataType, FieldSchema};
use millstream_gateway::pb::search_request::SearchInput;
use millstream_gateway::pb::{QueryRequest, SearchRequest};
use millstream_tests::client::{Client, query, search, search_params};
use millstream_tests::rows::{field, int_key, pair, schema, text_field};
use prost::Message;

use super::{Case, DIM};

/// The collection with fields of all types; it has no rows.
const KINDS: &str = "kinds";
/// Dimension of its dense vectors.
const WIDE: usize = 16;

/// Vector fields: name, type, type of queries, bytes of one vector (0 when they differ), index type
/// and metric.
const VECTORS: [(&str, DataType, PlaceholderType, usize, &str, &str); 6] = [
    ("floats", DataType::FloatVector, PlaceholderType::FloatVector, 64, "IVF_FLAT", "L2"),
    ("halves", DataType::Float16Vector, PlaceholderType::Float16Vector, 32, "HNSW", "IP"),
    ("brains", DataType::BFloat16Vector, PlaceholderType::BFloat16Vector, 32, "FLAT", "COSINE"),
    ("bytes", DataType::Int8Vector, PlaceholderType::Int8Vector, 16, "FLAT", "COSINE"),
    ("bits", DataType::BinaryVector, PlaceholderType::BinaryVector, 2, "BIN_FLAT", "HAMMING"),
    (
        "sparse",
        DataType::SparseFloatVector,
        PlaceholderType::SparseFloatVector,
        0,
        "SPARSE_INVERTED_INDEX",
        "IP",
    ),
];

/// Makes [`KINDS`].
pub(crate) async fn prepare(client: &Client) {
    let mut fields = vec![int_key(), text_field("word", 50)];
    for (name, data_type) in [
        ("flag", DataType::Bool),
        ("tiny", DataType::Int8),
        ("single", DataType::Float),
        ("real", DataType::Double),
        ("doc", DataType::Json),
    ] {
        fields.push(field(name, data_type));
    }
    fields.push(FieldSchema {
        element_type: DataType::Int64.into(),
        type_params: vec![pair("max_capacity", 8)],
        ..field("list", DataType::Array)
    });
    for (name, data_type, ..) in VECTORS {
        let sparse = data_type == DataType::SparseFloatVector;
        let type_params = if sparse { Vec::new() } else { vec![pair("dim", WIDE)] };
        fields.push(FieldSchema { type_params, ..field(name, data_type) });
    }
    client.create(&schema(KINDS, fields), 1).await.expect("a collection");
    for (name, .., index, metric) in VECTORS {
        client.index_of(KINDS, name, index, metric).await.expect("an index");
    }
    client.load(KINDS).await.expect("a load");
}

/// A search of `good` that would be accepted.
fn good() -> SearchRequest {
    search("good", DIM, &[0.5; DIM], 2)
}

/// A search of `good` with another parameter.
fn param(key: &str, value: &str) -> SearchRequest {
    with_param(good(), key, value)
}

fn with_param(mut request: SearchRequest, key: &str, value: &str) -> SearchRequest {
    request.search_params.retain(|pair| pair.key != key);
    request.search_params.push(pair(key, value));
    request
}

/// Queries of a type.
fn group(kind: PlaceholderType, values: Vec<Vec<u8>>) -> SearchInput {
    let values = values.into_iter().map(Bytes::from).collect();
    let value = PlaceholderValue {
        tag: "$0".to_owned(),
        r#type: kind.into(),
        values,
        ..PlaceholderValue::default()
    };
    let group = PlaceholderGroup { placeholders: vec![value] };
    SearchInput::PlaceholderGroup(group.encode_to_vec().into())
}

/// A search of a vector field of [`KINDS`] with one query of these bytes.
fn kinds(field: &str, kind: PlaceholderType, query: Vec<u8>) -> SearchRequest {
    SearchRequest {
        collection_name: KINDS.to_owned(),
        dsl_type: DslType::BoolExprV1.into(),
        search_input: Some(group(kind, vec![query])),
        search_params: search_params(field, "", 2),
        nq: 1,
        consistency_level: ConsistencyLevel::Strong.into(),
        ..SearchRequest::default()
    }
}

/// A search of a vector field of [`KINDS`] that would be accepted.
fn good_kinds(field: &str) -> SearchRequest {
    let (name, _, kind, width, ..) =
        VECTORS.into_iter().find(|v| v.0 == field).expect("a field of the collection");
    kinds(name, kind, vec![0; width])
}

/// A query of `good` with parameters.
fn limited(filter: &str, params: &[(&str, &str)]) -> QueryRequest {
    QueryRequest {
        query_params: params.iter().map(|(key, value)| pair(key, value)).collect(),
        ..query("good", filter, &["id"])
    }
}

/// Parentheses that would overflow a recursive parser.
fn deep() -> String {
    format!("{}id > 0{}", "(".repeat(500_000), ")".repeat(500_000))
}

/// Filters over `good` that are no filters.
const FILTERS: [&str; 44] = [
    "id >",
    "id ==",
    "id in",
    "id in [",
    "id in [1,",
    "(id > 1",
    "id > 1)",
    "id > > 1",
    "&& id > 1",
    "id > 1 &&",
    "id > 1 or",
    "or",
    "nothing > 1",
    "nothing in [1]",
    "id == 'a'",
    "id like 'a%'",
    "vector == 1",
    "vector in [1]",
    "id",
    "1",
    "'a'",
    "id + 1",
    "exists id",
    "json_contains(id, 1)",
    "array_contains(id, 1)",
    "array_length(id) == 1",
    "id['a'] == 1",
    "id > {x}",
    "id in ['a']",
    "id = 1",
    "id <> 1",
    "id is 1",
    "st_within(id, 'POINT (0 0)')",
    "foo(id)",
    "text_match(id, 'a')",
    "phrase_match(id, 'a')",
    "random_sample(2)",
    "id == 'a",
    "id > 1 id",
    "[1, 2]",
    "id in (1, 2)",
    "id == [1]",
    "value @ 1 == 2",
    "id == 1 == 2",
];

/// Names that no collection has.
const NAMES: [&str; 7] = ["", "1a", "a-b", "a b", "a.b", "größe", "a$"];

/// Wrong searches, also in pages and several at once.
pub(crate) fn searches() -> Vec<Case> {
    let mut cases = searches::cases();
    cases.extend(vectors::cases());
    cases.extend(hybrid::cases());
    cases
}

/// Wrong queries; `now` is a timestamp.
pub(crate) fn queries(now: u64) -> Vec<Case> {
    queries::cases(now)
}

#[test]
fn the_families_make_more_than_five_hundred_cases() {
    let (searches, queries) = (searches().len(), queries(0).len());
    assert!(searches >= 360, "{searches} searches");
    assert!(queries >= 160, "{queries} queries");
}
