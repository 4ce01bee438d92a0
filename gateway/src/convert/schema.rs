//! Schemas: from a client's `CollectionSchema` to a validated model schema, and back.

mod added;
mod alter;
mod field;
mod function;
#[cfg(test)]
mod tests;

pub use added::added_field;
pub use alter::alter_field;

use bytes::Bytes;
use millstream_catalog::model::limits::{
    DYNAMIC_FIELD, FIELDS_MAX, FIRST_FIELD_ID, KEY_PARTITIONS, PARTITIONS_MAX, VECTOR_FIELDS_MAX,
};
use millstream_catalog::model::{
    Code, Collection, CollectionSchema, DataType, Fault, FieldId, FieldSchema,
};
use prost::Message;

use super::params;
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
    params::check_room("the words about the collection", schema.description.len())?;
    check_unsupported(&schema)?;
    check_field_roles(&schema)?;
    let mut fields = Vec::with_capacity(schema.fields.len() + 1);
    for (id, field) in (FIRST_FIELD_ID..).zip(&schema.fields) {
        fields.push(field::from_wire(field, FieldId(id), collection_name)?);
    }
    let functions = function::from_wire(&schema.functions, &mut fields)?;
    fields.iter().try_for_each(function::check_analyzer)?;
    if schema.enable_dynamic_field {
        let next = FIRST_FIELD_ID + i64::try_from(fields.len()).unwrap_or(i64::MAX / 2);
        fields.push(FieldSchema {
            description: "dynamic schema".to_owned(),
            is_dynamic: true,
            ..FieldSchema::new(FieldId(next), DYNAMIC_FIELD, DataType::Json)
        });
    }
    Ok(CollectionSchema {
        name: schema.name,
        description: schema.description,
        enable_dynamic_field: schema.enable_dynamic_field,
        fields,
        version: 0,
        functions,
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
        if !field.external_field.is_empty() {
            return refuse("external_field", &field.name);
        }
    }
    Ok(())
}

/// Names of fields that every collection has and nobody sees.
const SYSTEM_FIELDS: [&str; 2] = ["RowID", "Timestamp"];

/// Checks what fields are to each other: names, the primary key, automatic ids, keys of order.
fn check_field_roles(schema: &wire::CollectionSchema) -> Result<(), Fault> {
    for (index, field) in schema.fields.iter().enumerate() {
        if schema.fields[..index].iter().any(|f| f.name == field.name) {
            return Err(Fault::plain(format!(
                "duplicated field name, field name = {}",
                field.name
            )));
        }
        if SYSTEM_FIELDS.contains(&field.name.as_str()) {
            return Err(Fault::invalid(format!("schema contains system field: {}", field.name)));
        }
        if field.is_dynamic {
            return Err(Fault::plain(format!(
                "cannot explicitly set a field as a dynamic field, field name = {}",
                field.name
            )));
        }
    }
    let primary = only(schema, |f| f.is_primary_key, "there are more than one primary key")?;
    if let Some(field) = primary {
        let int64 = wire::DataType::Int64 as i32;
        let varchar = wire::DataType::VarChar as i32;
        if field.data_type != int64 && field.data_type != varchar {
            return Err(Fault::plain(format!(
                "the data type of primary key should be Int64 or VarChar, field name = {}",
                field.name
            )));
        }
    }
    let auto = only(schema, |f| f.auto_id, "only one field can speficy AutoID with true")?;
    if let Some(field) = auto.filter(|f| !f.is_primary_key) {
        let text =
            format!("only primary field can speficy AutoID with true, field name = {}", field.name);
        return Err(Fault::plain(text));
    }
    check_partition_key(schema)?;
    let clustering =
        only(schema, |f| f.is_clustering_key, "there are more than one clustering key")?;
    if clustering.is_some_and(|f| f.data_type >= 100) {
        let text = format!("vector clustering key not allowed[collection={}]", schema.name);
        return Err(Fault::new(Code::VectorClusteringKey, text));
    }
    primary.map(|_| ()).ok_or_else(|| Fault::plain("primary key is not specified"))
}

fn check_partition_key(schema: &wire::CollectionSchema) -> Result<(), Fault> {
    let key = only(schema, |f| f.is_partition_key, "there are more than one partition key")?;
    let Some(field) = key else { return Ok(()) };
    let name = &field.name;
    if field.is_primary_key {
        return Err(Fault::plain(format!(
            "the partition key field must not be primary field, field name = {name}"
        )));
    }
    if field.nullable {
        return Err(Fault::invalid(format!(
            "partition key field not support nullable, field name = {name}"
        )));
    }
    let (int64, varchar) = (wire::DataType::Int64 as i32, wire::DataType::VarChar as i32);
    if field.data_type != int64 && field.data_type != varchar {
        return Err(Fault::plain(format!(
            "the data type of partition key should be Int64 or VarChar, field name = {name}"
        )));
    }
    Ok(())
}

/// The number of partitions that a new collection with this schema asks for; 0 without a partition
/// key.
pub fn partitions_of(schema: &CollectionSchema, given: i64) -> Result<u16, Fault> {
    if schema.partition_key().is_none() {
        return match given {
            0 => Ok(0),
            _ => Err(Fault::plain(
                "num_partitions should only be specified with partition key field enabled",
            )),
        };
    }
    match (u16::try_from(given), given) {
        (_, ..0) => Err(Fault::plain(
            "the specified partitions should be greater than 0 if partition key is used",
        )),
        (Ok(0), _) => Ok(KEY_PARTITIONS),
        (Ok(count), _) if usize::from(count) <= PARTITIONS_MAX => Ok(count),
        _ => Err(Fault::invalid(format!(
            "partition number ({given}) exceeds max configuration ({PARTITIONS_MAX}), \
             collection: {}",
            schema.name
        ))),
    }
}

/// The field with a role that one field can have.
fn only<'a>(
    schema: &'a wire::CollectionSchema,
    has_role: impl Fn(&wire::FieldSchema) -> bool,
    several: &str,
) -> Result<Option<&'a wire::FieldSchema>, Fault> {
    let mut with_role = schema.fields.iter().filter(|f| has_role(f));
    match (with_role.next(), with_role.next()) {
        (Some(a), Some(b)) => {
            Err(Fault::plain(format!("{several}, field name = {}, {}", a.name, b.name)))
        }
        (first, _) => Ok(first),
    }
}

/// The schema as a client sees it: the field of dynamic keys is hidden.
pub fn to_wire(collection: &Collection) -> wire::CollectionSchema {
    let schema = &collection.schema;
    wire::CollectionSchema {
        name: collection.name.clone(),
        description: schema.description.clone(),
        fields: schema.fields.iter().filter(|f| !f.is_dynamic).map(field::to_wire).collect(),
        enable_dynamic_field: schema.enable_dynamic_field,
        functions: schema.functions.iter().map(|f| function::to_wire(f, schema)).collect(),
        db_name: collection.database_name.clone(),
        version: i32::try_from(schema.version).unwrap_or(i32::MAX),
        ..wire::CollectionSchema::default()
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
