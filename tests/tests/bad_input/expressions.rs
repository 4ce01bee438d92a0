//! Wrong filters: syntax, types, limits, numbers, texts and paths, each over all that can have the
//! fault. What is no filter at all is repeated by its refusal; what is of a wrong type is named.
// tidy: table

mod paths;
mod syntax;
mod values;

use millstream_gateway::pb::schema::{DataType, FieldSchema};
use millstream_tests::client::{Client, query};
use millstream_tests::rows::{field, int_key, pair, schema, text_field, vector_field};

use super::{Case, INVALID, case};

/// The collection with a field of every type that a filter can name; it has no rows.
const NAME: &str = "filtered";

/// Fields with the names of their types, as refusals have them.
const FIELDS: [(&str, &str, DataType); 8] = [
    ("i8", "Int8", DataType::Int8),
    ("i16", "Int16", DataType::Int16),
    ("i32", "Int32", DataType::Int32),
    ("i64", "Int64", DataType::Int64),
    ("f", "Float", DataType::Float),
    ("d", "Double", DataType::Double),
    ("b", "Bool", DataType::Bool),
    ("s", "VarChar", DataType::VarChar),
];
/// Array fields, and the types of their elements.
const ARRAYS: [(&str, &str, DataType); 4] = [
    ("ints", "Int64", DataType::Int64),
    ("texts", "VarChar", DataType::VarChar),
    ("floats", "Double", DataType::Double),
    ("flags", "Bool", DataType::Bool),
];

const RELATIONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// Makes the collection.
pub(crate) async fn prepare(client: &Client) {
    let scalar = |&(name, _, data_type): &(&str, &str, DataType)| match data_type {
        DataType::VarChar => text_field(name, 100),
        _ => field(name, data_type),
    };
    let array = |&(name, _, element): &(&str, &str, DataType)| FieldSchema {
        element_type: element.into(),
        type_params: vec![pair("max_capacity", 8), pair("max_length", 8)],
        ..field(name, DataType::Array)
    };
    let mut words = text_field("words", 100);
    words.type_params.extend([pair("enable_analyzer", "true"), pair("enable_match", "true")]);
    let mut fields = vec![int_key(), words, field("j", DataType::Json), vector_field("v", 4)];
    fields.extend(FIELDS.iter().map(scalar));
    fields.extend(ARRAYS.iter().map(array));
    client.create(&schema(NAME, fields), 1).await.expect("a collection");
    client.index(NAME, "v", "L2").await.expect("an index");
    client.load(NAME).await.expect("a load");
}

/// A filter, and the words that its refusal must have.
type Wrong = (String, String);

/// A filter that is none: the refusal repeats it.
fn unreadable(text: impl Into<String>) -> Wrong {
    let text = text.into();
    let words = format!("cannot parse expression: {text}, error: ");
    (text, words)
}

fn wrong(text: impl Into<String>, words: impl Into<String>) -> Wrong {
    (text.into(), words.into())
}

/// Every wrong filter, in a query.
pub(crate) fn cases() -> Vec<Case> {
    let families: [fn() -> Vec<Wrong>; 9] = [
        syntax::operators,
        syntax::pieces,
        syntax::escapes,
        values::clashes,
        values::operands,
        values::numbers,
        values::limits,
        paths::brackets,
        paths::functions,
    ];
    let mut cases: Vec<Case> = families
        .into_iter()
        .flat_map(|family| family())
        .map(|(text, words)| {
            let what: String = text.chars().take(80).collect();
            case(what, query(NAME, &text, &["id"]), INVALID, &words)
        })
        .collect();
    cases.extend(values::templates());
    cases
}
