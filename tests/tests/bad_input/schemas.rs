//! Wrong schemas: every type of field with every parameter, default and role that it cannot have.
// tidy: table

mod functions;
mod values;
mod whole;

use millstream_gateway::pb::CreateCollectionRequest;
use millstream_gateway::pb::common::KeyValuePair;
use millstream_gateway::pb::schema::{CollectionSchema, DataType, FieldSchema};
use millstream_tests::rows::{field, int_key, pair, schema, vector_field};
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
    let families: [fn() -> Vec<Case>; 8] = [
        dimensions,
        lengths,
        types,
        keys,
        values::defaults,
        values::names,
        functions::cases,
        whole::cases,
    ];
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
