//! Functions of a schema, and the analyzers of text fields.

use millstream_catalog::model::limits::FIRST_FIELD_ID;
use millstream_catalog::model::{
    CollectionSchema, DataType, Fault, FieldId, FieldSchema, FunctionKind, FunctionSchema,
};
use millstream_text::Analyzer;

use crate::convert::params;
use crate::pb::schema as wire;

/// Reads and validates the functions; marks the fields that they fill.
pub(super) fn from_wire(
    functions: &[wire::FunctionSchema],
    fields: &mut [FieldSchema],
) -> Result<Vec<FunctionSchema>, Fault> {
    let mut read: Vec<FunctionSchema> = Vec::with_capacity(functions.len());
    for (id, function) in (FIRST_FIELD_ID..).zip(functions) {
        let name = &function.name;
        check_names(function)?;
        if read.iter().any(|f| f.name == *name) {
            return Err(Fault::plain(format!("duplicate function name {name}")));
        }
        let input = check_input(function, fields)?;
        let output = check_output(function, fields)?;
        let field = &mut fields[output];
        field.is_function_output = true;
        let output = field.id;
        read.push(FunctionSchema {
            id,
            name: name.clone(),
            description: function.description.clone(),
            kind: FunctionKind::Bm25,
            inputs: vec![input],
            outputs: vec![output],
            params: params::to_props(function.params.clone()),
        });
    }
    Ok(read)
}

/// Checks all of a function that needs no schema.
fn check_names(function: &wire::FunctionSchema) -> Result<(), Fault> {
    let wire::FunctionSchema { name, input_field_names, output_field_names, .. } = function;
    params::check_room("the words about the function", function.description.len() + name.len())?;
    let fault = |what: &str| Err(Fault::plain(format!("{what}, function: {name}")));
    if name.is_empty() {
        return Err(Fault::plain("function name cannot be empty"));
    }
    if input_field_names.is_empty() {
        return fault("function input field names cannot be empty");
    }
    if output_field_names.is_empty() {
        return fault("function output field names cannot be empty");
    }
    if input_field_names.iter().any(String::is_empty) {
        return fault("function input field name cannot be empty string");
    }
    if output_field_names.iter().any(String::is_empty) {
        return fault("function output field name cannot be empty string");
    }
    for (names, what) in [(input_field_names, "input"), (output_field_names, "output")] {
        for (index, field) in names.iter().enumerate() {
            if names[..index].contains(field) {
                return Err(Fault::plain(format!(
                    "each function {what} field should be used exactly once in the same function, \
                     function: {name}, {what} field: {field}"
                )));
            }
        }
    }
    if let Some(field) = output_field_names.iter().find(|f| input_field_names.contains(f)) {
        return Err(Fault::plain(format!(
            "a single field cannot be both input and output in the same function, \
             function: {name}, field: {field}"
        )));
    }
    match wire::FunctionType::try_from(function.r#type) {
        Ok(wire::FunctionType::Bm25) if function.params.is_empty() => Ok(()),
        Ok(wire::FunctionType::Bm25) => {
            Err(Fault::plain(format!("BM25 function accepts no params, function: {name}")))
        }
        Ok(wire::FunctionType::Unknown) | Err(_) => Err(Fault::plain(format!(
            "check function params with unknown function type, function: {name}"
        ))),
        Ok(other) => Err(Fault::invalid(format!(
            "function type {} is not supported yet, function name = {name}",
            other.as_str_name()
        ))),
    }
}

fn check_input(function: &wire::FunctionSchema, fields: &[FieldSchema]) -> Result<FieldId, Fault> {
    for name in &function.input_field_names {
        match fields.iter().find(|f| f.name == *name) {
            None => return Err(Fault::plain(format!("function input field not found: {name}"))),
            Some(field) if field.nullable => {
                return Err(Fault::plain(format!(
                    "function input field cannot be nullable: function {}, field {name}",
                    function.name
                )));
            }
            Some(_) => {}
        }
    }
    let mut inputs = fields.iter().filter(|f| function.input_field_names.contains(&f.name));
    match (inputs.next(), inputs.next()) {
        (Some(field), None) if field.data_type == DataType::VarChar => {
            if is_set(field, "enable_analyzer") {
                return Ok(field.id);
            }
            Err(Fault::plain(format!(
                "BM25 function input field must set enable_analyzer to true, field name = {}",
                field.name
            )))
        }
        (first, _) => Err(Fault::plain(format!(
            "BM25 function input field must be a VARCHAR field, got {} field with type {}, \
             function: {}, input fields: {}",
            function.input_field_names.len(),
            first.map_or("None", |f| f.data_type.name()),
            function.name,
            function.input_field_names.join(", ")
        ))),
    }
}

/// The place of the output field.
fn check_output(function: &wire::FunctionSchema, fields: &[FieldSchema]) -> Result<usize, Fault> {
    let function_name = &function.name;
    let mut found = None;
    for name in &function.output_field_names {
        let Some(at) = fields.iter().position(|f| f.name == *name) else {
            return Err(Fault::plain(format!("function output field not found: {name}")));
        };
        let field = &fields[at];
        let what = if field.is_primary {
            "function output field cannot be primary key"
        } else if field.is_partition_key || field.is_clustering_key {
            "function output field cannot be partition key or clustering key"
        } else if field.nullable {
            "function output field cannot be nullable"
        } else if field.is_function_output {
            "duplicate function output field"
        } else {
            found = Some(at);
            continue;
        };
        return Err(Fault::plain(format!("{what}: function {function_name}, field {name}")));
    }
    let count = function.output_field_names.len();
    match found {
        Some(at) if count == 1 => match fields[at].data_type {
            DataType::SparseFloatVector => Ok(at),
            other => Err(Fault::plain(format!(
                "BM25 function output field must be a SparseFloatVector field, but got {}, \
                 function {function_name}, field {}",
                other.name(),
                fields[at].name
            ))),
        },
        _ => Err(Fault::plain(format!(
            "BM25 function only need 1 output field, but got {count}, function: {function_name}"
        ))),
    }
}

fn is_set(field: &FieldSchema, key: &str) -> bool {
    field.type_param(key).and_then(params::parse_bool).unwrap_or(false)
}

/// Checks the analyzer of a text field.
pub(super) fn check_analyzer(field: &FieldSchema) -> Result<(), Fault> {
    if field.data_type != DataType::VarChar {
        return Ok(());
    }
    let name = &field.name;
    if is_set(field, "enable_match") && !is_set(field, "enable_analyzer") {
        return Err(Fault::invalid(format!(
            "field {name} is set to enable match or bm25 function but not enable analyzer"
        )));
    }
    if field.type_param("multi_analyzer_params").is_some() {
        return Err(Fault::invalid(format!(
            "multi_analyzer_params is not supported yet, field name = {name}"
        )));
    }
    let params = field.type_param("analyzer_params");
    if params.is_none() && !is_set(field, "enable_analyzer") {
        return Ok(());
    }
    let made = Analyzer::from_params(params);
    made.map(drop).map_err(|fault| fault.prefixed(&format!("analyzer_params of field {name}: ")))
}

/// The function as a client sees it.
pub(super) fn to_wire(
    function: &FunctionSchema,
    schema: &CollectionSchema,
) -> wire::FunctionSchema {
    let names = |ids: &[FieldId]| {
        let name = |id: &FieldId| schema.field_by_id(*id).map(|f| f.name.clone());
        ids.iter().filter_map(name).collect::<Vec<_>>()
    };
    let numbers = |ids: &[FieldId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
    wire::FunctionSchema {
        name: function.name.clone(),
        id: function.id,
        description: function.description.clone(),
        r#type: match function.kind {
            FunctionKind::Bm25 => wire::FunctionType::Bm25 as i32,
        },
        input_field_names: names(&function.inputs),
        input_field_ids: numbers(&function.inputs),
        output_field_names: names(&function.outputs),
        output_field_ids: numbers(&function.outputs),
        params: params::from_props(&function.params),
    }
}
