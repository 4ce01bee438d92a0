//! Functions that have not what they need, and analyzers that are none.
// tidy: table

use millstream_gateway::pb::schema::{CollectionSchema, DataType, FieldSchema, FunctionSchema};
use millstream_tests::rows::{field, int_key, pair, schema, text_field, vector_field};

use super::super::{Case, DIM, INVALID, PLAIN, case};
use super::{request, with};

fn bm25(inputs: &[&str], outputs: &[&str]) -> FunctionSchema {
    let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    FunctionSchema {
        name: "f".to_owned(),
        r#type: 1,
        input_field_names: own(inputs),
        output_field_names: own(outputs),
        ..FunctionSchema::default()
    }
}

/// Functions that have not what they need, and analyzers that are none.
pub(super) fn cases() -> Vec<Case> {
    let analyzed = |name: &str| {
        let mut field = text_field(name, 100);
        field.type_params.push(pair("enable_analyzer", "true"));
        field
    };
    let sparse = |name: &str| field(name, DataType::SparseFloatVector);
    let of = |functions: Vec<FunctionSchema>| {
        let fields = vec![
            int_key(),
            analyzed("text"),
            analyzed("more"),
            text_field("plain", 9),
            FieldSchema { nullable: true, ..analyzed("maybe") },
            sparse("out"),
            sparse("also"),
            vector_field("vector", DIM),
        ];
        request(&CollectionSchema { functions, ..schema("new", fields) })
    };
    let good = || bm25(&["text"], &["out"]);
    let mut cases = Vec::new();
    for (what, functions, due) in [
        (
            "no name",
            vec![FunctionSchema { name: String::new(), ..good() }],
            "function name cannot be empty",
        ),
        ("a name twice", vec![good(), bm25(&["more"], &["also"])], "duplicate function name f"),
        ("no input", vec![bm25(&[], &["out"])], "function input field names cannot be empty"),
        ("no output", vec![bm25(&["text"], &[])], "function output field names cannot be empty"),
        (
            "an input without a name",
            vec![bm25(&[""], &["out"])],
            "function input field name cannot be empty string",
        ),
        (
            "an output without a name",
            vec![bm25(&["text"], &[""])],
            "function output field name cannot be empty string",
        ),
        (
            "a missing input",
            vec![bm25(&["nothing"], &["out"])],
            "function input field not found: nothing",
        ),
        (
            "a missing output",
            vec![bm25(&["text"], &["nothing"])],
            "function output field not found: nothing",
        ),
        (
            "an input twice",
            vec![bm25(&["text", "text"], &["out"])],
            "each function input field should be used exactly once in the same function",
        ),
        (
            "an output twice",
            vec![bm25(&["text"], &["out", "out"])],
            "each function output field should be used exactly once in the same function",
        ),
        (
            "a field for both",
            vec![bm25(&["text"], &["text"])],
            "a single field cannot be both input and output in the same function",
        ),
        ("two inputs", vec![bm25(&["text", "more"], &["out"])], "must be a VARCHAR field, got 2"),
        ("two outputs", vec![bm25(&["text"], &["out", "also"])], "only need 1 output field"),
        (
            "no analyzer",
            vec![bm25(&["plain"], &["out"])],
            "BM25 function input field must set enable_analyzer to true, field name = plain",
        ),
        (
            "an input that is no text",
            vec![bm25(&["id"], &["out"])],
            "BM25 function input field must be a VARCHAR field",
        ),
        (
            "a nullable input",
            vec![bm25(&["maybe"], &["out"])],
            "function input field cannot be nullable: function f, field maybe",
        ),
        (
            "a dense output",
            vec![bm25(&["text"], &["vector"])],
            "BM25 function output field must be a SparseFloatVector field",
        ),
        (
            "the key as output",
            vec![bm25(&["text"], &["id"])],
            "function output field cannot be primary key: function f, field id",
        ),
        (
            "an output of two",
            vec![good(), FunctionSchema { name: "g".to_owned(), ..bm25(&["more"], &["out"]) }],
            "duplicate function output field: function g, field out",
        ),
        (
            "parameters",
            vec![FunctionSchema { params: vec![pair("k1", "1.2")], ..good() }],
            "BM25 function accepts no params, function: f",
        ),
        (
            "an unknown kind",
            vec![FunctionSchema { r#type: 0, ..good() }],
            "check function params with unknown function type, function: f",
        ),
        (
            "a kind of tomorrow",
            vec![FunctionSchema { r#type: 77, ..good() }],
            "check function params with unknown function type, function: f",
        ),
    ] {
        cases.push(case(what, of(functions), PLAIN, due));
    }
    for (number, name) in
        [(2, "TextEmbedding"), (3, "Rerank"), (4, "MinHash"), (5, "MolFingerprint")]
    {
        let due = format!("function type {name} is not supported yet, function name = f");
        let function = FunctionSchema { r#type: number, ..good() };
        cases.push(case(name, of(vec![function]), INVALID, &due));
    }
    cases.extend(analyzers());
    cases
}

fn analyzers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (params, word) in [
        ("{", "analyzer_params of field x"),
        ("[]", "analyzer_params of field x"),
        ("\"standard\"", "analyzer_params of field x"),
        ("1", "analyzer_params of field x"),
        ("{\"type\": \"none\"}", "none"),
        ("{\"type\": 1}", "analyzer_params of field x"),
        ("{\"tokenizer\": \"none\"}", "none"),
        ("{\"tokenizer\": 1}", "analyzer_params of field x"),
        ("{\"tokenizer\": {}}", "analyzer_params of field x"),
        ("{\"tokenizer\": {\"type\": \"none\"}}", "none"),
        ("{\"tokenizer\": \"standard\", \"filter\": [\"none\"]}", "none"),
        ("{\"tokenizer\": \"standard\", \"filter\": \"lowercase\"}", "filter"),
        ("{\"tokenizer\": \"standard\", \"filter\": [1]}", "filter"),
        ("{\"tokenizer\": \"standard\", \"filter\": [{\"type\": \"length\"}]}", "max"),
        ("{\"tokenizer\": \"standard\", \"filter\": [{\"type\": \"length\", \"max\": -1}]}", "max"),
        (
            "{\"tokenizer\": \"standard\", \"filter\": [{\"type\": \"stop\", \"stop_words\": 1}]}",
            "stop_words",
        ),
        (
            "{\"tokenizer\": \"standard\", \"filter\": [{\"type\": \"stemmer\", \
             \"language\": \"klingon\"}]}",
            "klingon",
        ),
    ] {
        let mut field = text_field("x", 100);
        field.type_params.push(pair("enable_analyzer", "true"));
        field.type_params.push(pair("analyzer_params", params));
        cases.push(case(format!("the analyzer {params}"), with(field), INVALID, word));
    }
    let mut unanalyzed = text_field("x", 100);
    unanalyzed.type_params.push(pair("enable_match", "true"));
    let due = "field x is set to enable match or bm25 function but not enable analyzer";
    cases.push(case("matches without an analyzer", with(unanalyzed), INVALID, due));
    let mut several = text_field("x", 100);
    several.type_params.push(pair("multi_analyzer_params", "{}"));
    let due = "multi_analyzer_params is not supported yet, field name = x";
    cases.push(case("several analyzers", with(several), INVALID, due));
    cases
}
