//! Wrong inserts, upserts and deletes.

use millstream_gateway::pb::schema::value_field::Data as DefaultData;
use millstream_gateway::pb::schema::{
    CollectionSchema, DataType, FieldData, FieldSchema, FunctionSchema, FunctionType, ValueField,
};
use millstream_gateway::pb::{DeleteRequest, InsertRequest, UpsertRequest};
use millstream_tests::client::Client;
use millstream_tests::rows::{
    bools, dynamic, field, floats, int_key, ints, jsons, longs, pair, schema, text_field, texts,
    vector_field, vectors,
};

use super::{ANY, Case, DIM, INVALID, case};

/// Makes the collections `typed` (every kind of field) and `automatic` (automatic keys), empty.
pub(crate) async fn prepare(client: &Client) {
    let typed = vec![
        int_key(),
        field("tiny", DataType::Int8),
        field("small", DataType::Int16),
        text_field("word", 4),
        field("doc", DataType::Json),
        vector_field("vector", DIM),
    ];
    let automatic = FieldSchema { auto_id: true, ..int_key() };
    client.create(&absent(automatic.clone()), 2).await.expect("a collection");
    client.index_of("absent", "vector", "SPARSE_INVERTED_INDEX", "BM25").await.expect("an index");
    client.load("absent").await.expect("a load");
    for collection in
        [schema("typed", typed), schema("automatic", vec![automatic, vector_field("vector", DIM)])]
    {
        client.create(&collection, 2).await.expect("a collection");
        client.index(&collection.name, "vector", "L2").await.expect("an index");
        client.load(&collection.name).await.expect("a load");
    }
}

/// A collection of which a row may give nothing at all.
fn absent(automatic: FieldSchema) -> CollectionSchema {
    let text = Some(ValueField { data: Some(DefaultData::StringData("nothing".to_owned())) });
    let mut word = FieldSchema { default_value: text, ..text_field("word", 50) };
    word.type_params.push(pair("enable_analyzer", "true"));
    let function = FunctionSchema {
        name: "bm25".to_owned(),
        r#type: FunctionType::Bm25.into(),
        input_field_names: vec!["word".to_owned()],
        output_field_names: vec!["vector".to_owned()],
        ..FunctionSchema::default()
    };
    CollectionSchema {
        enable_dynamic_field: true,
        functions: vec![function],
        ..schema("absent", vec![automatic, word, field("vector", DataType::SparseFloatVector)])
    }
}

/// Nothing of the refused writes can be seen in the collections that were empty.
pub(crate) async fn expect_nothing_written(client: &Client) {
    for name in ["typed", "automatic", "absent"] {
        assert_eq!(client.count(name, "").await.expect("a count"), 0, "{name}");
    }
    client.insert("typed", 2, typed_columns()).await.expect("a good insert");
    assert_eq!(client.count("typed", "").await.expect("a count"), 2);
}

/// An insert of two rows into `good` that would be accepted.
pub(crate) fn good_insert() -> InsertRequest {
    InsertRequest {
        collection_name: "good".to_owned(),
        fields_data: columns(),
        num_rows: 2,
        ..InsertRequest::default()
    }
}

/// As [`good_insert`].
pub(crate) fn good_upsert() -> UpsertRequest {
    UpsertRequest {
        collection_name: "good".to_owned(),
        fields_data: columns(),
        num_rows: 2,
        ..UpsertRequest::default()
    }
}

fn columns() -> Vec<FieldData> {
    vec![
        longs("id", vec![100, 101]),
        longs("value", vec![1, 2]),
        vectors("vector", DIM, &[0.5; 2 * DIM]),
    ]
}

fn typed_columns() -> Vec<FieldData> {
    vec![
        longs("id", vec![1, 2]),
        ints("tiny", DataType::Int8, vec![-128, 127]),
        ints("small", DataType::Int16, vec![-32_768, 32_767]),
        texts("word", vec!["wörd".to_owned()[..4].to_owned(), String::new()]),
        jsons("doc", vec!["{}".to_owned(), "1".to_owned()]),
        vectors("vector", DIM, &[0.5; 2 * DIM]),
    ]
}

/// An insert into `good` with another column in this place.
fn with(place: usize, column: FieldData) -> InsertRequest {
    let mut request = good_insert();
    request.fields_data[place] = column;
    request
}

/// An insert into `typed` with another column in this place.
fn typed(place: usize, column: FieldData) -> InsertRequest {
    let mut fields_data = typed_columns();
    fields_data[place] = column;
    InsertRequest {
        collection_name: "typed".to_owned(),
        fields_data,
        num_rows: 2,
        ..InsertRequest::default()
    }
}

fn without(place: usize) -> InsertRequest {
    let mut request = good_insert();
    request.fields_data.remove(place);
    request
}

fn and(column: FieldData) -> InsertRequest {
    let mut request = good_insert();
    request.fields_data.push(column);
    request
}

fn as_upsert(insert: InsertRequest) -> UpsertRequest {
    UpsertRequest {
        collection_name: insert.collection_name,
        partition_name: insert.partition_name,
        fields_data: insert.fields_data,
        num_rows: insert.num_rows,
        ..UpsertRequest::default()
    }
}

fn delete(filter: &str) -> DeleteRequest {
    DeleteRequest {
        collection_name: "good".to_owned(),
        expr: filter.to_owned(),
        ..DeleteRequest::default()
    }
}

/// Wrong writes of every kind.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, request, code, text) in inserts() {
        cases.push(case(what, as_upsert(request.clone()), code, text));
        cases.push(case(what, request, code, text));
    }
    cases.extend(automatic());
    cases.extend(unborne());
    cases.extend(dynamic_keys());
    cases.extend(deletes());
    cases
}

fn inserts() -> Vec<(&'static str, InsertRequest, i32, &'static str)> {
    let mut no_rows = good_insert();
    no_rows.num_rows = 0;
    let mut three_rows = good_insert();
    three_rows.num_rows = 3;
    let mut west = good_insert();
    west.partition_name = "west".to_owned();
    let mut nothing = good_insert();
    nothing.fields_data.clear();
    let mut garbled = texts("word", vec!["a".to_owned(), "b".to_owned()]);
    garble(&mut garbled);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let large = format!("\"{}\"", "x".repeat(65_536));
    let odd = vectors("vector", DIM, &[0.5; 2 * DIM + 1]);
    vec![
        ("no rows", no_rows, ANY, ""),
        ("a wrong number of rows", three_rows, ANY, "num_rows"),
        ("a missing partition", west, 200, "partition not found[partition=west]"),
        ("no columns", nothing, ANY, ""),
        ("no key", without(0), ANY, "id"),
        ("no value", without(1), ANY, "fieldSchema(value) has no corresponding fieldData pass in"),
        ("no vector", without(2), ANY, "vector"),
        ("an unknown column", and(longs("other", vec![1, 2])), ANY, ""),
        ("a column twice", and(longs("value", vec![1, 2])), ANY, "value"),
        ("a short column", with(1, longs("value", vec![1])), ANY, "value"),
        ("a long column", with(1, longs("value", vec![1, 2, 3])), ANY, "value"),
        ("booleans as integers", with(1, bools("value", vec![true, false])), ANY, "value"),
        ("floats as a vector", with(2, floats("vector", &[0.5; 2])), ANY, "vector"),
        (
            "another dimension",
            with(2, vectors("vector", 8, &[0.5; 16])),
            INVALID,
            "the dim (8) of field data(vector) is not equal to schema dim (4)",
        ),
        (
            "half a vector",
            with(2, odd),
            ANY,
            "the length(9) of float data should divide the dim(4)",
        ),
        ("too few vectors", with(2, vectors("vector", DIM, &[0.5; DIM])), ANY, "vector"),
        ("NaN", with(2, unusual(f32::NAN)), ANY, "is not a number or infinity"),
        ("infinity", with(2, unusual(f32::INFINITY)), ANY, "is not a number or infinity"),
        ("too large for Int8", typed(1, ints("tiny", DataType::Int8, vec![0, 128])), ANY, "tiny"),
        ("too small for Int8", typed(1, ints("tiny", DataType::Int8, vec![-129, 0])), ANY, "tiny"),
        (
            "too large for Int16",
            typed(2, ints("small", DataType::Int16, vec![0, 32_768])),
            ANY,
            "small",
        ),
        (
            "a long text",
            typed(3, texts("word", vec!["x".to_owned(), "long!".to_owned()])),
            ANY,
            "word exceeds max length (4)",
        ),
        ("a text that is not UTF-8", typed(3, garbled), ANY, ""),
        ("broken JSON", typed(4, jsons("doc", vec!["{}".to_owned(), "{".to_owned()])), ANY, "doc"),
        ("large JSON", typed(4, jsons("doc", vec!["{}".to_owned(), large])), ANY, "doc"),
        ("deep JSON", typed(4, jsons("doc", vec!["{}".to_owned(), deep])), ANY, "doc"),
    ]
}

/// Vectors of which the last component is this.
fn unusual(value: f32) -> FieldData {
    let mut flat = [0.5; 2 * DIM];
    flat[2 * DIM - 1] = value;
    vectors("vector", DIM, &flat)
}

/// Replaces the last text by bytes that are no text.
fn garble(column: &mut FieldData) {
    use millstream_gateway::pb::schema::field_data::Field;
    use millstream_gateway::pb::schema::scalar_field::Data;
    if let Some(Field::Scalars(scalars)) = &mut column.field
        && let Some(Data::StringData(bytes)) = &mut scalars.data
    {
        let mut changed = bytes.to_vec();
        *changed.last_mut().expect("a text") = 0xFF;
        *bytes = changed.into();
    }
}

/// Keys that the server hands out cannot be given.
fn automatic() -> Vec<Case> {
    let request = InsertRequest {
        collection_name: "automatic".to_owned(),
        fields_data: vec![longs("id", vec![1, 2]), vectors("vector", DIM, &[0.5; 2 * DIM])],
        num_rows: 2,
        ..InsertRequest::default()
    };
    vec![case("an automatic key", request, ANY, "")]
}

/// Numbers of rows that no column bears out.
fn unborne() -> Vec<Case> {
    let of = |num_rows, fields_data| InsertRequest {
        collection_name: "absent".to_owned(),
        fields_data,
        num_rows,
        ..InsertRequest::default()
    };
    let want = "fieldSchema(word) has no corresponding fieldData pass in";
    let short = || vec![texts("word", vec!["one".to_owned()])];
    vec![
        case("a row of nothing", of(1, Vec::new()), INVALID, want),
        case("4294967295 rows of nothing", of(u32::MAX, Vec::new()), INVALID, want),
        case("4294967295 rows of one", of(u32::MAX, short()), INVALID, "num_rows (1)"),
        case("keys for nothing", as_upsert(of(u32::MAX, Vec::new())), INVALID, "must assign pk"),
        case("keys for one", as_upsert(of(u32::MAX, short())), INVALID, "num_rows (1)"),
    ]
}

/// Dynamic keys that could not be told from fields.
fn dynamic_keys() -> Vec<Case> {
    let of = |text: &str| InsertRequest {
        collection_name: "absent".to_owned(),
        fields_data: vec![dynamic(vec!["{\"a\": 1}".to_owned(), text.to_owned()])],
        num_rows: 2,
        ..InsertRequest::default()
    };
    let name = "dynamic field name cannot include the static field name: ";
    let mut cases = Vec::new();
    for (field, text) in
        [("word", "{\"word\": \"x\"}"), ("id", "{\"\\u0069d\": 1}"), ("vector", "{\"vector\":[]}")]
    {
        let want = format!("{name}{field}");
        cases.push(case(format!("the dynamic key {field}"), of(text), INVALID, &want));
        let mut request = as_upsert(of(text));
        request.fields_data.push(longs("id", vec![1, 2]));
        cases.push(case(format!("the dynamic key {field}"), request, INVALID, &want));
    }
    for text in ["1", "[]", "null", "true", "\"a\"", "[{}]", "1.5", "{", "", "{} {}"] {
        let what = format!("dynamic keys {text:?}");
        let want =
            if text.starts_with('{') { "($meta) is not valid JSON" } else { "dynamic field" };
        cases.push(case(what.as_str(), of(text), INVALID, want));
        let mut request = as_upsert(of(text));
        request.fields_data.push(longs("id", vec![1, 2]));
        cases.push(case(what, request, INVALID, want));
    }
    let want = "cannot set json key to: $meta";
    cases.push(case("a dynamic field within", of("{\"$meta\": 1}"), INVALID, want));
    cases
}

fn deletes() -> Vec<Case> {
    let mut west = delete("id in [1]");
    west.partition_name = "west".to_owned();
    let plan = "failed to create delete plan";
    vec![
        case("no filter", delete(""), ANY, ""),
        case("a broken filter", delete("id in ["), INVALID, plan),
        case("half a comparison", delete("id >"), INVALID, "cannot parse expression: id >"),
        case("an unknown field", delete("nothing == 1"), INVALID, "field nothing not exist"),
        case("a filter on a vector", delete("vector == 1"), INVALID, plan),
        case("types that do not compare", delete("id == 'a'"), INVALID, plan),
        case("a filter that is a number", delete("id"), INVALID, plan),
        case("a missing partition", west, ANY, "west"),
    ]
}
