//! Schemas: from a client's `CollectionSchema` to a validated model schema, and back.

use bytes::Bytes;
use millstream_catalog::model::limits::{
    DIM_MAX, DIM_MIN, DYNAMIC_FIELD, FIELDS_MAX, FIRST_FIELD_ID, VARCHAR_LENGTH_MAX,
    VECTOR_FIELDS_MAX,
};
use millstream_catalog::model::{
    Code, Collection, CollectionSchema, DataType, Fault, FieldId, FieldSchema,
};
use prost::Message;

use super::params;
use crate::names;
use crate::pb::schema as wire;

/// Reads and validates the serialized schema of a new collection.
pub fn from_wire(bytes: &Bytes, collection_name: &str) -> Result<CollectionSchema, Fault> {
    let schema = wire::CollectionSchema::decode(bytes.clone())
        .map_err(|e| Fault::invalid(format!("the schema cannot be decoded: {e}")))?;
    check_counts(&schema)?;
    if schema.name != collection_name {
        return Err(Fault::expected(
            "collection name matches schema name",
            collection_name,
            &schema.name,
        ));
    }
    check_unsupported(&schema)?;
    check_field_roles(&schema)?;
    let mut fields = Vec::with_capacity(schema.fields.len() + 1);
    for (id, field) in (FIRST_FIELD_ID..).zip(&schema.fields) {
        fields.push(field_from_wire(field, FieldId(id), collection_name)?);
    }
    if schema.enable_dynamic_field {
        let next = FIRST_FIELD_ID + i64::try_from(fields.len()).unwrap_or(i64::MAX / 2);
        fields.push(dynamic_field(FieldId(next)));
    }
    Ok(CollectionSchema {
        name: schema.name,
        description: schema.description,
        enable_dynamic_field: schema.enable_dynamic_field,
        fields,
        version: 0,
    })
}

fn check_counts(schema: &wire::CollectionSchema) -> Result<(), Fault> {
    if schema.fields.len() > FIELDS_MAX {
        let text = format!("maximum field's number should be limited to {FIELDS_MAX}");
        return Err(Fault::plain(text));
    }
    let vectors = schema.fields.iter().filter(|f| f.data_type >= 100).count();
    if vectors > VECTOR_FIELDS_MAX {
        let text =
            format!("maximum vector field's number should be limited to {VECTOR_FIELDS_MAX}");
        return Err(Fault::plain(text));
    }
    if vectors == 0 {
        return Err(Fault::invalid("schema does not contain vector field"));
    }
    Ok(())
}

/// Refuses what the protocol can say and this server does not do, naming the field.
fn check_unsupported(schema: &wire::CollectionSchema) -> Result<(), Fault> {
    let refuse = |what: &str, name: &str| {
        Err(Fault::invalid(format!("{what} is not supported yet, field name = {name}")))
    };
    if let Some(function) = schema.functions.first() {
        let text = format!("functions are not supported yet, function name = {}", function.name);
        return Err(Fault::invalid(text));
    }
    if let Some(field) = schema.struct_array_fields.first() {
        return refuse("data type ArrayOfStruct", &field.name);
    }
    if !schema.external_source.is_empty() || !schema.external_spec.is_empty() {
        return Err(Fault::invalid("external collections are not supported yet"));
    }
    if schema.enable_namespace {
        return Err(Fault::invalid("namespaces are not supported yet"));
    }
    for field in &schema.fields {
        if field.nullable {
            return refuse("nullable", &field.name);
        } else if field.default_value.is_some() {
            return refuse("default_value", &field.name);
        } else if field.is_partition_key {
            return refuse("is_partition_key", &field.name);
        } else if field.is_clustering_key {
            return refuse("is_clustering_key", &field.name);
        } else if field.is_function_output {
            return refuse("is_function_output", &field.name);
        }
    }
    Ok(())
}

/// Checks what fields are to each other: names, the primary key, automatic ids.
fn check_field_roles(schema: &wire::CollectionSchema) -> Result<(), Fault> {
    let mut primary: Option<&wire::FieldSchema> = None;
    let mut auto: Option<&wire::FieldSchema> = None;
    for (index, field) in schema.fields.iter().enumerate() {
        if schema.fields[..index].iter().any(|f| f.name == field.name) {
            return Err(Fault::plain("duplicated field name"));
        }
        if field.is_dynamic {
            return Err(Fault::plain("cannot explicitly set a field as a dynamic field"));
        }
        if field.is_primary_key {
            if let Some(other) = primary.replace(field) {
                return Err(Fault::plain(format!(
                    "there are more than one primary key, field name = {}, {}",
                    other.name, field.name
                )));
            }
            let int64 = wire::DataType::Int64 as i32;
            let varchar = wire::DataType::VarChar as i32;
            if field.data_type != int64 && field.data_type != varchar {
                let text = "the data type of primary key should be Int64 or VarChar";
                return Err(Fault::plain(text));
            }
        }
        if field.auto_id {
            if let Some(other) = auto.replace(field) {
                return Err(Fault::plain(format!(
                    "only one field can speficy AutoID with true, field name = {}, {}",
                    other.name, field.name
                )));
            }
            if !field.is_primary_key {
                let text = format!(
                    "only primary field can speficy AutoID with true, field name = {}",
                    field.name
                );
                return Err(Fault::plain(text));
            }
        }
    }
    primary.map(|_| ()).ok_or_else(|| Fault::plain("primary key is not specified"))
}

fn field_from_wire(
    field: &wire::FieldSchema,
    id: FieldId,
    collection: &str,
) -> Result<FieldSchema, Fault> {
    names::check_field(&field.name)?;
    let data_type = data_type_from_wire(field.data_type, &field.name)?;
    let dim = if data_type.is_vector() { dim_of(field)? } else { 0 };
    let max_length =
        if data_type == DataType::VarChar { max_length_of(field, collection)? } else { 0 };
    Ok(FieldSchema {
        id,
        name: field.name.clone(),
        description: field.description.clone(),
        data_type,
        is_primary: field.is_primary_key,
        auto_id: field.auto_id,
        is_dynamic: false,
        dim,
        max_length,
        type_params: params::to_props(field.type_params.clone()),
    })
}

/// The model's type, if fields of it can be stored.
fn data_type_from_wire(number: i32, field: &str) -> Result<DataType, Fault> {
    match wire::DataType::try_from(number) {
        Ok(wire::DataType::String) => {
            let text = "string data type not supported yet, please use VarChar type instead";
            return Err(Fault::plain(text));
        }
        Ok(wire::DataType::None) => {
            return Err(Fault::plain(format!("data type None is not valid, field name = {field}")));
        }
        _ => {}
    }
    match DataType::from_number(number) {
        Some(
            supported @ (DataType::Bool
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float
            | DataType::Double
            | DataType::VarChar
            | DataType::Json
            | DataType::FloatVector),
        ) => Ok(supported),
        _ => {
            let name = wire::DataType::try_from(number)
                .map_or_else(|_| number.to_string(), |t| t.as_str_name().to_owned());
            let text = format!("data type {name} is not supported yet, field name = {field}");
            Err(Fault::invalid(text))
        }
    }
}

fn dim_of(field: &wire::FieldSchema) -> Result<u32, Fault> {
    let Some(text) = params::find(&field.type_params, "dim") else {
        return Err(Fault::plain(format!(
            "dimension is not defined in field type params, check type param `dim` for vector \
             field, field name = {}",
            field.name
        )));
    };
    match text.trim().parse::<i64>() {
        Ok(dim) if (i64::from(DIM_MIN)..=i64::from(DIM_MAX)).contains(&dim) => {
            u32::try_from(dim).map_err(|_| Fault::internal("a dimension in range is a u32"))
        }
        _ => Err(Fault::plain(format!(
            "invalid dimension: {text}. should be in range {DIM_MIN} ~ {DIM_MAX}"
        ))),
    }
}

fn max_length_of(field: &wire::FieldSchema, collection: &str) -> Result<u32, Fault> {
    let Some(text) = params::find(&field.type_params, "max_length") else {
        return Err(Fault::plain(format!(
            "type param(max_length) should be specified for varChar field of collection \
             {collection}"
        )));
    };
    match text.trim().parse::<u32>() {
        Ok(length) if (1..=VARCHAR_LENGTH_MAX).contains(&length) => Ok(length),
        Ok(_) => Err(Fault::plain(format!(
            "the maximum length specified for a VarChar should be in (0, {VARCHAR_LENGTH_MAX}]"
        ))),
        Err(_) => Err(Fault::plain(format!(
            "the maximum length specified for a VarChar should be in (0, {VARCHAR_LENGTH_MAX}], \
             but it is {text}"
        ))),
    }
}

fn dynamic_field(id: FieldId) -> FieldSchema {
    FieldSchema {
        id,
        name: DYNAMIC_FIELD.to_owned(),
        description: "dynamic schema".to_owned(),
        data_type: DataType::Json,
        is_primary: false,
        auto_id: false,
        is_dynamic: true,
        dim: 0,
        max_length: 0,
        type_params: Vec::new(),
    }
}

/// The schema as a client sees it: the field of dynamic keys is hidden.
pub fn to_wire(collection: &Collection) -> wire::CollectionSchema {
    let schema = &collection.schema;
    wire::CollectionSchema {
        name: collection.name.clone(),
        description: schema.description.clone(),
        fields: schema.fields.iter().filter(|f| !f.is_dynamic).map(field_to_wire).collect(),
        enable_dynamic_field: schema.enable_dynamic_field,
        db_name: collection.database_name.clone(),
        version: i32::try_from(schema.version).unwrap_or(i32::MAX),
        ..wire::CollectionSchema::default()
    }
}

fn field_to_wire(field: &FieldSchema) -> wire::FieldSchema {
    wire::FieldSchema {
        field_id: field.id.0,
        name: field.name.clone(),
        is_primary_key: field.is_primary,
        description: field.description.clone(),
        data_type: field.data_type as i32,
        type_params: params::from_props(&field.type_params),
        auto_id: field.auto_id,
        is_dynamic: field.is_dynamic,
        ..wire::FieldSchema::default()
    }
}

/// The field with a name, or a fault in Milvus's words.
pub fn field_named<'a>(schema: &'a CollectionSchema, name: &str) -> Result<&'a FieldSchema, Fault> {
    schema
        .field(name)
        .ok_or_else(|| Fault::new(Code::FieldNotFound, format!("field not found[field={name}]")))
}

/// The primary key field of a schema that was validated when its collection was created.
pub fn primary_field(schema: &CollectionSchema) -> Result<&FieldSchema, Fault> {
    schema.primary().ok_or_else(|| Fault::internal("the schema has no primary key"))
}

#[cfg(test)]
mod tests;
