//! Mutations of good requests: whatever comes of them is converted or refused, at once and without
//! a panic. `MILLSTREAM_TEST_FUZZ_SECONDS` says for how long each test goes on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_catalog::model::{CollectionSchema, DataType, FieldId, FieldSchema};
use millstream_gateway::convert::columns::{Write, batch_from_wire};
use millstream_gateway::convert::placeholder::queries;
use millstream_gateway::convert::query::query_params;
use millstream_gateway::convert::rank::rank_params;
use millstream_gateway::convert::search::search_params;
use millstream_gateway::pb::common::{
    KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue,
};
use millstream_gateway::pb::schema::{
    BoolArray, FieldData, FloatArray, IntArray, LongArray, ScalarField, VectorField,
    field_data::Field, scalar_field, vector_field,
};
use millstream_gateway::pb::{InsertRequest, SearchRequest};
use prost::Message;
use rand::prelude::*;
use rand::rngs::StdRng;

/// No case may take longer.
const CASE: Duration = Duration::from_secs(5);

fn duration() -> Duration {
    let seconds = std::env::var("MILLSTREAM_TEST_FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(2))
}

/// One to five changes of some bytes.
fn mutated(seeds: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        let to = (at + random.random_range(0..40usize)).min(bytes.len());
        match random.random_range(0..6) {
            0 => drop(bytes.drain(at..to)),
            1 => {
                let copy = bytes[at..to].to_vec();
                bytes.splice(at..at, copy);
            }
            2 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            3 if at < bytes.len() => bytes[at] = random.random(),
            4 => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let from = random.random_range(0..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            _ => {
                let filler = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)];
                bytes.splice(at..at, vec![filler; random.random_range(1..12)]);
            }
        }
        bytes.truncate(1 << 16);
    }
    bytes
}

/// Runs `case` on mutations until the time is over; it says whether the case was good.
fn fuzz(seeds: &[Vec<u8>], seed: u64, mut case: impl FnMut(&[u8]) -> bool) {
    let mut random = StdRng::seed_from_u64(seed);
    assert!(seeds.iter().any(|bytes| case(bytes)), "no seed of the corpus is good");
    let end = Instant::now() + duration();
    let (mut good, mut bad) = (0u64, 0u64);
    while Instant::now() < end {
        let bytes = mutated(seeds, &mut random);
        let begun = Instant::now();
        *if case(&bytes) { &mut good } else { &mut bad } += 1;
        assert!(begun.elapsed() < CASE, "{:?}: {bytes:?}", begun.elapsed());
    }
    assert!(good > 0 && bad > 0, "{good} good, {bad} refused");
}

fn vector(id: i64, name: &str, data_type: DataType, dim: u32) -> FieldSchema {
    FieldSchema { dim, ..FieldSchema::new(FieldId(id), name, data_type) }
}

/// A field of every type.
fn schema() -> CollectionSchema {
    let new = |id, name: &str, data_type| FieldSchema::new(FieldId(id), name, data_type);
    let array = |id, name: &str, element| FieldSchema {
        element_type: Some(element),
        max_capacity: 4,
        max_length: 8,
        ..new(id, name, DataType::Array)
    };
    CollectionSchema {
        name: "c".into(),
        description: String::new(),
        enable_dynamic_field: true,
        fields: vec![
            FieldSchema { is_primary: true, ..new(100, "id", DataType::Int64) },
            FieldSchema { nullable: true, ..new(101, "flag", DataType::Bool) },
            FieldSchema { nullable: true, ..new(102, "tiny", DataType::Int8) },
            FieldSchema { nullable: true, ..new(103, "real", DataType::Double) },
            FieldSchema { nullable: true, max_length: 8, ..new(104, "word", DataType::VarChar) },
            FieldSchema { nullable: true, ..new(105, "doc", DataType::Json) },
            FieldSchema { nullable: true, ..array(106, "list", DataType::Int16) },
            FieldSchema { nullable: true, ..array(107, "words", DataType::VarChar) },
            vector(108, "v", DataType::FloatVector, 2),
            vector(109, "half", DataType::Float16Vector, 2),
            vector(110, "bits", DataType::BinaryVector, 16),
            vector(111, "sparse", DataType::SparseFloatVector, 0),
            vector(112, "brain", DataType::BFloat16Vector, 2),
            vector(113, "bytes", DataType::Int8Vector, 2),
            FieldSchema { is_dynamic: true, ..new(114, "$meta", DataType::Json) },
        ],
        version: 0,
        functions: Vec::new(),
    }
}

fn scalars(name: &str, data: scalar_field::Data) -> FieldData {
    let field = Some(Field::Scalars(ScalarField { data: Some(data) }));
    FieldData { field_name: name.into(), field, ..FieldData::default() }
}

fn vectors(name: &str, dim: i64, data: vector_field::Data) -> FieldData {
    let field = Some(Field::Vectors(VectorField { dim, data: Some(data) }));
    FieldData { field_name: name.into(), field, ..FieldData::default() }
}

/// A message with one repeated field of bytes: texts, documents and sparse rows look so.
fn repeated(values: &[&[u8]]) -> Bytes {
    let mut bytes = Vec::new();
    for value in values {
        prost::encoding::bytes::encode(1, &value.to_vec(), &mut bytes);
    }
    bytes.into()
}

/// Two rows with a value of every field.
fn insert() -> InsertRequest {
    use scalar_field::Data;
    use vector_field::Data as Vectors;
    let floats: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let integers = |values: &[i32]| {
        let data = Some(Data::IntData(IntArray { data: values.to_vec() }));
        ScalarField { data }.encode_to_vec()
    };
    let texts = |values: &[&[u8]]| {
        let data = Some(Data::StringData(repeated(values)));
        ScalarField { data }.encode_to_vec()
    };
    let pair = |index: u32, value: f32| [index.to_le_bytes(), value.to_le_bytes()].concat();
    let mut valid = scalars("tiny", Data::IntData(IntArray { data: vec![1] }));
    valid.valid_data = vec![true, false];
    let fields_data = vec![
        scalars("id", Data::LongData(LongArray { data: vec![1, 2] })),
        scalars("flag", Data::BoolData(BoolArray { data: vec![true, false] })),
        valid,
        scalars("word", Data::StringData(repeated(&[b"a", b"bc"]))),
        scalars("doc", Data::JsonData(repeated(&[b"{\"a\":[1,2.5,null]}", b"7"]))),
        scalars("list", Data::ArrayData(repeated(&[&integers(&[1, 2]), &integers(&[])]))),
        scalars("words", Data::ArrayData(repeated(&[&texts(&[b"x", b"y"]), &texts(&[])]))),
        vectors("v", 2, Vectors::FloatVector(FloatArray { data: vec![floats.into()] })),
        vectors("half", 2, Vectors::Float16Vector(vec![0, 60, 0, 64, 0, 60, 0, 64].into())),
        vectors("bits", 16, Vectors::BinaryVector(vec![1, 2, 3, 4].into())),
        vectors("sparse", 9, Vectors::SparseFloatVector(sparse(&[&pair(3, 1.0), &pair(8, 2.0)]))),
        vectors("brain", 2, Vectors::Bfloat16Vector(vec![128, 63, 0, 64, 128, 63, 0, 64].into())),
        vectors("bytes", 2, Vectors::Int8Vector(vec![1, 255, 3, 4].into())),
    ];
    InsertRequest { num_rows: 2, fields_data, ..InsertRequest::default() }
}

fn sparse(rows: &[&[u8]]) -> Bytes {
    let mut bytes = repeated(rows).to_vec();
    prost::encoding::int64::encode(2, &9, &mut bytes);
    bytes.into()
}

#[test]
fn mutated_inserts_are_converted_or_refused_at_once() {
    let schema = schema();
    let whole = insert();
    let mut fewer = insert();
    fewer.fields_data.truncate(3);
    let seeds = [whole.encode_to_vec(), fewer.encode_to_vec()];
    fuzz(&seeds, 1, |bytes| {
        let Ok(request) = InsertRequest::decode(bytes) else { return false };
        let mut good = false;
        for write in [Write::Insert, Write::Update] {
            let fields = request.fields_data.clone();
            if let Ok(batch) = batch_from_wire(&schema, write, request.num_rows, fields) {
                assert_eq!(batch.rows, request.num_rows);
                assert!(batch.columns.iter().all(|c| c.values.len() == batch.rows as usize));
                good = true;
            }
        }
        good
    });
}

#[test]
fn mutated_query_vectors_are_converted_or_refused_at_once() {
    let types = [
        (PlaceholderType::FloatVector, 8),
        (PlaceholderType::Float16Vector, 4),
        (PlaceholderType::BFloat16Vector, 4),
        (PlaceholderType::BinaryVector, 2),
        (PlaceholderType::SparseFloatVector, 16),
        (PlaceholderType::Int8Vector, 2),
        (PlaceholderType::VarChar, 3),
    ];
    let group = |(kind, bytes): (PlaceholderType, usize)| {
        let value = Bytes::from(vec![b'1'; bytes]);
        let values = vec![value.clone(), value];
        let tag = "$0".to_owned();
        let placeholders =
            vec![PlaceholderValue { tag, r#type: kind as i32, values, ..Default::default() }];
        PlaceholderGroup { placeholders }.encode_to_vec()
    };
    let seeds = types.map(group);
    let mut fields: Vec<FieldSchema> = schema().vector_fields().cloned().collect();
    let text = vector(120, "text", DataType::SparseFloatVector, 0);
    fields.push(FieldSchema { is_function_output: true, ..text });
    fuzz(&seeds, 2, |bytes| {
        let bytes = Bytes::copy_from_slice(bytes);
        let read = |field: &&FieldSchema| queries(field, &bytes, 0).is_ok_and(|(_, nq)| nq > 0);
        fields.iter().filter(read).count() > 0
    });
}

#[test]
fn mutated_search_parameters_are_read_or_refused_at_once() {
    let request = |pairs: &[(&str, &str)]| {
        let pair = |(key, value): &(&str, &str)| KeyValuePair {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        let search_params = pairs.iter().map(pair).collect();
        SearchRequest { search_params, ..SearchRequest::default() }.encode_to_vec()
    };
    let seeds = [
        request(&[("anns_field", "v"), ("topk", "10"), ("metric_type", "L2")]),
        request(&[("topk", "5"), ("params", r#"{"radius":1.5,"range_filter":0.5,"nprobe":8}"#)]),
        request(&[("topk", "5"), ("group_by_field", "word"), ("group_size", "3")]),
        request(&[
            ("topk", "5"),
            ("iterator", "True"),
            ("search_iter_v2", "True"),
            ("search_iter_batch_size", "5"),
            ("search_iter_last_bound", "0.25"),
        ]),
        request(&[("limit", "5"), ("offset", "2"), ("order_by_fields", "id:desc")]),
        request(&[("limit", "5"), ("strategy", "rrf"), ("params", r#"{"k":60}"#)]),
        request(&[("limit", "5"), ("strategy", "weighted"), ("params", r#"{"weights":[0.5,1]}"#)]),
    ];
    fuzz(&seeds, 3, |bytes| {
        let Ok(request) = SearchRequest::decode(bytes) else { return false };
        let pairs = &request.search_params;
        let read = [
            search_params(pairs, None).is_ok_and(|p| p.topk > 0),
            query_params(pairs).is_ok(),
            rank_params(pairs, None, 2).is_ok_and(|p| p.limit > 0),
        ];
        read.contains(&true)
    });
}
