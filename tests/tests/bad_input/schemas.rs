//! Wrong schemas: every type of field with every parameter, default and role that it cannot have.
// tidy: table

use bytes::Bytes;
use millstream_gateway::pb::CreateCollectionRequest;
use millstream_gateway::pb::common::KeyValuePair;
use millstream_gateway::pb::schema::value_field::Data;
use millstream_gateway::pb::schema::{
    CollectionSchema, DataType, FieldSchema, FunctionSchema, StructArrayFieldSchema, ValueField,
};
use millstream_tests::rows::{field, int_key, pair, schema, text_field, vector_field};
use prost::Message;

use super::{Case, DIM, INVALID, PLAIN, case};

const DENSE: [DataType; 5] = [
    DataType::FloatVector,
    DataType::Float16Vector,
    DataType::BFloat16Vector,
    DataType::Int8Vector,
    DataType::BinaryVector,
];
const SCALARS: [DataType; 8] = [
    DataType::Bool,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::Float,
    DataType::Double,
    DataType::VarChar,
];

pub(crate) fn cases() -> Vec<Case> {
    let families: [fn() -> Vec<Case>; 8] =
        [dimensions, lengths, types, keys, defaults, names, functions, whole];
    families.into_iter().flat_map(|family| family()).collect()
}

fn request(schema: &CollectionSchema) -> CreateCollectionRequest {
    CreateCollectionRequest {
        collection_name: schema.name.clone(),
        schema: schema.encode_to_vec().into(),
        ..CreateCollectionRequest::default()
    }
}

/// A collection called `new` with one more field.
fn with(added: FieldSchema) -> CreateCollectionRequest {
    with_all(vec![added])
}

fn with_all(added: Vec<FieldSchema>) -> CreateCollectionRequest {
    let mut fields = vec![int_key(), vector_field("vector", DIM)];
    fields.extend(added);
    request(&schema("new", fields))
}

/// A field called `x` with what its type needs.
fn of(data_type: DataType) -> FieldSchema {
    let type_params: Vec<KeyValuePair> = match data_type {
        DataType::VarChar => vec![pair("max_length", 8)],
        DataType::Array => vec![pair("max_capacity", 4)],
        dense if DENSE.contains(&dense) => vec![pair("dim", 8)],
        _ => Vec::new(),
    };
    let element_type = match data_type {
        DataType::Array => DataType::Int64.into(),
        _ => 0,
    };
    FieldSchema { type_params, element_type, ..field("x", data_type) }
}

fn dimensions() -> Vec<Case> {
    let mut cases = Vec::new();
    for data_type in DENSE {
        let (range, above) = match data_type {
            DataType::BinaryVector => ("in range 8 ~ 262144", "262152"),
            _ => ("in range 1 ~ 32768", "32769"),
        };
        let texts = ["0", "-1", "-8", above, "4294967304", "99999999999999999999", "8.0", "32.1"];
        let words = ["", " ", "eight", "八", "٨", "8e0", "0x8", "8,8", "None", "NaN"];
        for text in texts.into_iter().chain(words) {
            let field = FieldSchema { type_params: vec![pair("dim", text)], ..of(data_type) };
            let due = format!("invalid dimension: {text}. should be {range}, field name = x");
            cases.push(case(format!("{data_type:?} of {text:?}"), with(field), PLAIN, &due));
        }
        let bare = FieldSchema { type_params: Vec::new(), ..of(data_type) };
        let due =
            "dimension is not defined in field type params, check type param `dim` for vector";
        cases.push(case(format!("{data_type:?} of none"), with(bare), PLAIN, due));
        let other = FieldSchema { type_params: vec![pair("Dim", 8)], ..of(data_type) };
        cases.push(case(format!("{data_type:?} of Dim"), with(other), PLAIN, due));
    }
    for text in ["1", "7", "9", "12", "100", "262143"] {
        let field =
            FieldSchema { type_params: vec![pair("dim", text)], ..of(DataType::BinaryVector) };
        let due =
            format!("invalid dimension: {text}. binary vector dimension should be multiple of 8. ");
        cases.push(case(format!("{text} bits"), with(field), PLAIN, &due));
    }
    for text in ["8", "0", "many", ""] {
        let sparse = DataType::SparseFloatVector;
        let field = FieldSchema { type_params: vec![pair("dim", text)], ..of(sparse) };
        let due = "dim should not be specified for sparse vector field x(";
        cases.push(case(format!("sparse of {text:?}"), with(field), PLAIN, due));
    }
    cases
}

/// Longest texts and most elements.
fn lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    let bad =
        ["0", "-1", "65536", "4294967297", "99999999999999999999", "", " ", "long", "9.5", "1e3"];
    let texts = |params: Vec<KeyValuePair>, element: bool| {
        let data_type = if element { DataType::Array } else { DataType::VarChar };
        let element_type = if element { DataType::VarChar.into() } else { 0 };
        FieldSchema { type_params: params, element_type, ..field("x", data_type) }
    };
    for text in bad {
        let due = format!(
            "the maximum length specified for a VarChar should be in (0, 65535], but got {text}, \
             field name = x"
        );
        let field = texts(vec![pair("max_length", text)], false);
        cases.push(case(format!("a length of {text:?}"), with(field), PLAIN, &due));
        let field = texts(vec![pair("max_capacity", 4), pair("max_length", text)], true);
        cases.push(case(format!("elements of {text:?}"), with(field), PLAIN, &due));
    }
    let due = "type param(max_length) should be specified for varChar field of collection new, field \
         name = x";
    for (what, params, element) in [
        ("no length", vec![], false),
        ("a capacity for a length", vec![pair("max_capacity", 4)], false),
        ("a length in capitals", vec![pair("MAX_LENGTH", 4)], false),
        ("elements without length", vec![pair("max_capacity", 4)], true),
    ] {
        cases.push(case(what, with(texts(params, element)), PLAIN, due));
    }
    for element in SCALARS {
        let array = |capacity: &[&str]| {
            let mut type_params: Vec<KeyValuePair> =
                capacity.iter().map(|text| pair("max_capacity", text)).collect();
            if element == DataType::VarChar {
                type_params.push(pair("max_length", 8));
            }
            FieldSchema { type_params, element_type: element.into(), ..field("x", DataType::Array) }
        };
        for text in ["0", "-1", "4097", "4294967297"] {
            let due = format!(
                "the maximum capacity specified for a Array should be in (0, 4096], but got {text}, \
                 field name = x"
            );
            let what = format!("{text} of {element:?}");
            cases.push(case(what, with(array(&[text])), PLAIN, &due));
        }
        for text in ["many", "1.5", ""] {
            let due = format!(
                "the value of max_capacity must be an integer, but got {text}, field name = x"
            );
            let what = format!("{text:?} of {element:?}");
            cases.push(case(what, with(array(&[text])), PLAIN, &due));
        }
        let due =
            "type param(max_capacity) should be specified for array field x of collection new";
        cases.push(case(format!("no number of {element:?}"), with(array(&[])), PLAIN, due));
    }
    cases
}

/// Types that no field and no element has.
fn types() -> Vec<Case> {
    let mut cases = Vec::new();
    let unknown = [
        (DataType::Geometry as i32, "Geometry"),
        (DataType::Text as i32, "Text"),
        (DataType::Timestamptz as i32, "Timestamptz"),
        (DataType::Mol as i32, "Mol"),
        (DataType::Date as i32, "Date"),
        (DataType::Time as i32, "Time"),
        (DataType::Decimal as i32, "Decimal"),
        (DataType::ArrayOfVector as i32, "ArrayOfVector"),
        (DataType::ArrayOfStruct as i32, "ArrayOfStruct"),
        (DataType::Struct as i32, "Struct"),
        (6, "6"),
        (99, "99"),
        (999, "999"),
        (-1, "-1"),
        (i32::MAX, "2147483647"),
        (i32::MIN, "-2147483648"),
    ];
    let elements = [
        (DataType::Json as i32, "JSON"),
        (DataType::Array as i32, "Array"),
        (DataType::FloatVector as i32, "FloatVector"),
        (DataType::BinaryVector as i32, "BinaryVector"),
        (DataType::Float16Vector as i32, "Float16Vector"),
        (DataType::BFloat16Vector as i32, "BFloat16Vector"),
        (DataType::SparseFloatVector as i32, "SparseFloatVector"),
        (DataType::Int8Vector as i32, "Int8Vector"),
    ];
    for (number, name) in unknown {
        let field = FieldSchema { data_type: number, ..of(DataType::Int64) };
        let due = format!("data type {name} is not supported yet, field name = x");
        cases.push(case(format!("type {name}"), with(field), INVALID, &due));
    }
    for (number, name) in unknown.into_iter().chain(elements) {
        let field = FieldSchema { element_type: number, ..of(DataType::Array) };
        let due = format!("element data type {name} is not valid for an array, field name = x");
        cases.push(case(format!("elements of type {name}"), with(field), INVALID, &due));
    }
    let none = "data type None is not valid, field name = x";
    let string = "string data type not supported yet, please use VarChar type instead";
    for (number, due) in [(DataType::None, none), (DataType::String, string)] {
        let field = FieldSchema { data_type: number.into(), ..of(DataType::Int64) };
        cases.push(case(format!("type {number:?}"), with(field), PLAIN, due));
        let field = FieldSchema { element_type: number.into(), ..of(DataType::Array) };
        cases.push(case(format!("elements of type {number:?}"), with(field), PLAIN, due));
    }
    cases
}

fn others() -> impl Iterator<Item = DataType> {
    let more = [DataType::Json, DataType::Array, DataType::SparseFloatVector];
    SCALARS.into_iter().chain(DENSE).chain(more)
}

/// Primary keys, automatic ids, nulls and clustering keys of types that cannot be or have them.
fn keys() -> Vec<Case> {
    let mut cases = Vec::new();
    for data_type in others() {
        let x = of(data_type);
        let may_be_key = matches!(data_type, DataType::Int64 | DataType::VarChar);
        if !may_be_key {
            let key = FieldSchema { is_primary_key: true, ..x.clone() };
            let fields = vec![key, vector_field("vector", DIM)];
            let due = "the data type of primary key should be Int64 or VarChar, field name = x";
            let what = format!("a key of {data_type:?}");
            cases.push(case(what, request(&schema("new", fields)), PLAIN, due));
        }
        let second = FieldSchema { is_primary_key: true, ..x.clone() };
        let due = "there are more than one primary key, field name = id, x";
        cases.push(case(format!("also {data_type:?} as key"), with(second), PLAIN, due));
        let auto = FieldSchema { auto_id: true, ..x.clone() };
        let due = "only primary field can speficy AutoID with true, field name = x";
        cases.push(case(format!("automatic {data_type:?}"), with(auto), PLAIN, due));
        let dynamic = FieldSchema { is_dynamic: true, ..x.clone() };
        let due = "cannot explicitly set a field as a dynamic field, field name = x";
        cases.push(case(format!("dynamic {data_type:?}"), with(dynamic), PLAIN, due));
        let twice = with_all(vec![x.clone(), x.clone()]);
        let due = "duplicated field name, field name = x";
        cases.push(case(format!("{data_type:?} twice"), twice, PLAIN, due));
        if data_type as i32 >= 100 {
            let nullable = FieldSchema { nullable: true, ..x.clone() };
            let due = "vector type not support null";
            cases.push(case(format!("nullable {data_type:?}"), with(nullable), INVALID, due));
            let sorted = FieldSchema { is_clustering_key: true, ..x.clone() };
            let due = "vector clustering key not allowed[collection=new]";
            cases.push(case(format!("{data_type:?} as order"), with(sorted), 107, due));
        } else {
            let bare = request(&schema("new", vec![int_key(), x]));
            let due = "schema does not contain vector field";
            cases.push(case(format!("only {data_type:?}"), bare, INVALID, due));
        }
    }
    for data_type in [DataType::Int64, DataType::VarChar] {
        let key = FieldSchema { is_primary_key: true, ..of(data_type) };
        let nullable = FieldSchema { nullable: true, ..key.clone() };
        let fields = vec![nullable, vector_field("vector", DIM)];
        let due = "primary field not support null, type:";
        let what = format!("a nullable key of {data_type:?}");
        cases.push(case(what, request(&schema("new", fields)), INVALID, due));
        let autos = vec![
            FieldSchema { auto_id: true, ..int_key() },
            FieldSchema { auto_id: true, ..of(data_type) },
            vector_field("vector", DIM),
        ];
        let due = "only one field can speficy AutoID with true, field name = id, x";
        let what = format!("ids and {data_type:?} automatic");
        cases.push(case(what, request(&schema("new", autos)), PLAIN, due));
    }
    cases
}

fn default(field: FieldSchema, data: Data) -> FieldSchema {
    FieldSchema { default_value: Some(ValueField { data: Some(data) }), ..field }
}

/// Default values that a field of a type cannot have.
fn defaults() -> Vec<Case> {
    let forms = [
        Data::BoolData(true),
        Data::IntData(1),
        Data::LongData(1),
        Data::FloatData(1.0),
        Data::DoubleData(1.0),
        Data::StringData("a".to_owned()),
        Data::BytesData(Bytes::from_static(b"{}")),
        Data::TimestamptzData(1),
    ];
    let fits = |data_type, data: &Data| match data {
        Data::BoolData(_) => data_type == DataType::Bool,
        Data::IntData(_) => {
            matches!(data_type, DataType::Int8 | DataType::Int16 | DataType::Int32)
        }
        Data::LongData(_) => data_type == DataType::Int64,
        Data::FloatData(_) => data_type == DataType::Float,
        Data::DoubleData(_) => data_type == DataType::Double,
        Data::StringData(_) => data_type == DataType::VarChar,
        Data::BytesData(_) | Data::TimestamptzData(_) => false,
    };
    let mut cases = Vec::new();
    for data_type in SCALARS {
        for data in forms.iter().filter(|data| !fits(data_type, data)) {
            let due = "default value type mismatches field schema type";
            let what = format!("{data:?} for {data_type:?}");
            cases.push(case(what, with(default(of(data_type), data.clone())), INVALID, due));
        }
    }
    for data_type in
        DENSE.into_iter().chain([DataType::SparseFloatVector, DataType::Array, DataType::Json])
    {
        for data in [Data::LongData(1), Data::BytesData(Bytes::from_static(b"[]"))] {
            let due = "type not support default_value, type:";
            let what = format!("{data:?} for {data_type:?}");
            cases.push(case(what, with(default(of(data_type), data)), INVALID, due));
        }
    }
    for (data_type, value, range) in [
        (DataType::Int8, 128, "[-128, 127]"),
        (DataType::Int8, -129, "[-128, 127]"),
        (DataType::Int8, i32::MAX, "[-128, 127]"),
        (DataType::Int16, 32_768, "[-32768, 32767]"),
        (DataType::Int16, -32_769, "[-32768, 32767]"),
        (DataType::Int16, i32::MIN, "[-32768, 32767]"),
    ] {
        let due = format!("default_value of field x: {value} out of range: {range}");
        let field = default(of(data_type), Data::IntData(value));
        cases.push(case(format!("{value} for {data_type:?}"), with(field), INVALID, &due));
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let due = "is not a number or infinity, default_value of field x";
        let single = default(of(DataType::Float), Data::FloatData(value));
        cases.push(case(format!("{value} as float"), with(single), INVALID, due));
        let double = default(of(DataType::Double), Data::DoubleData(value.into()));
        cases.push(case(format!("{value} as double"), with(double), INVALID, due));
    }
    for text in ["123456789", "größere", "中文字"] {
        let due = format!(
            "the length ({}) of default_value of field x exceeds max length (8)",
            text.len()
        );
        let field = default(of(DataType::VarChar), Data::StringData(text.to_owned()));
        let request = with(field);
        if text.len() > 8 {
            cases.push(case(format!("{text} as text"), request, INVALID, &due));
        }
    }
    for key in [int_key(), FieldSchema { is_primary_key: true, ..of(DataType::VarChar) }] {
        let data = match key.data_type {
            5 => Data::LongData(1),
            _ => Data::StringData("a".to_owned()),
        };
        let due = format!("primary field not support default_value, name:{}", key.name);
        let what = format!("a default of the key {}", key.name);
        let fields = vec![default(key, data), vector_field("vector", DIM)];
        cases.push(case(what, request(&schema("new", fields)), INVALID, &due));
    }
    cases
}

/// Names that no field can have, for the key, a vector and another field.
fn names() -> Vec<Case> {
    let first = "The first character of a field name must be an underscore or letter.";
    let letters = "Field name can only contain numbers, letters, and underscores.";
    let long = "f".repeat(256);
    let mut cases = Vec::new();
    for (name, why) in [
        ("", "field name should not be empty"),
        (" ", "field name should not be empty"),
        ("1f", first),
        ("-f", first),
        ("$f", first),
        ("$meta", first),
        ("$namespace_id", first),
        ("(f)", first),
        ("字段", first),
        ("a-b", letters),
        ("a b", letters),
        ("a.b", letters),
        ("a(b)", letters),
        ("a%$#", letters),
        ("größe", letters),
        ("a\0b", letters),
        (&long, "The length of a field name must be less than 255 characters."),
    ] {
        let name = || name.to_owned();
        let due = format!("{why}: field name invalid[field={}]", name());
        let what: String = format!("{:?}", name()).chars().take(12).collect();
        let keyed = vec![FieldSchema { name: name(), ..int_key() }, vector_field("vector", DIM)];
        let searched = vec![int_key(), FieldSchema { name: name(), ..vector_field("v", DIM) }];
        for fields in [keyed, searched] {
            cases.push(case(&what, request(&schema("new", fields)), 1701, &due));
        }
        for data_type in [DataType::VarChar, DataType::Json, DataType::Array] {
            let named = FieldSchema { name: name(), ..of(data_type) };
            cases.push(case(&what, with(named), 1701, &due));
        }
    }
    for name in ["RowID", "Timestamp"] {
        for data_type in [DataType::Int64, DataType::VarChar, DataType::Json] {
            let named = FieldSchema { name: name.to_owned(), ..of(data_type) };
            let due = format!("schema contains system field: {name}");
            let what = format!("{name} of {data_type:?}");
            cases.push(case(what, with(named), INVALID, &due));
        }
    }
    cases
}

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
fn functions() -> Vec<Case> {
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
            "{\"tokenizer\": \"standard\", \"filter\": [{\"type\": \"stemmer\", \"language\": \"klingon\"}]}",
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

/// What is wrong with a schema as a whole, and beside it.
fn whole() -> Vec<Case> {
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
