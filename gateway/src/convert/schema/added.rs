//! A field that is added to a collection, which may have rows already: what it can be.

use millstream_catalog::model::limits::{ADDED_DEFAULT_MAX, FIELDS_MAX};
use millstream_catalog::model::{Collection, DataType, DefaultValue, Fault, FieldId, FieldSchema};

use super::{field, function};
use crate::pb::schema as wire;

/// Names that are Milvus's own.
const SYSTEM: &[&str] = &["RowID", "Timestamp", "$meta", "$namespace_id", "__virtual_pk__"];

/// Reads and validates a field that is added. Its id is chosen later.
pub fn added_field(
    collection: &Collection,
    wanted: &wire::FieldSchema,
) -> Result<FieldSchema, Fault> {
    check_room(collection, wanted)?;
    check_role(collection, wanted)?;
    let name = &wanted.name;
    if DataType::from_number(wanted.data_type).is_some_and(DataType::is_vector) {
        return Err(Fault::invalid(format!(
            "not support to add vector field, field name = {name}"
        )));
    }
    if !wanted.nullable {
        return Err(Fault::invalid(format!(
            "added field must be nullable, please check it, field name = {name}"
        )));
    }
    if wanted.is_function_output {
        let text = "not support to add function output field";
        return Err(Fault::invalid(format!("{text}, field name = {name}")));
    }
    if !wanted.external_field.is_empty() {
        let text = format!("external_field is not supported yet, field name = {name}");
        return Err(Fault::invalid(text));
    }
    let read = field::from_wire(wanted, FieldId(0), &collection.name)?;
    function::check_analyzer(&read)?;
    if let Some(DefaultValue::Text(text)) = &read.default_value
        && text.len() > ADDED_DEFAULT_MAX
    {
        return Err(Fault::invalid(format!(
            "the length ({}) of default_value of the added field {name} exceeds {ADDED_DEFAULT_MAX}",
            text.len()
        )));
    }
    Ok(read)
}

fn check_room(collection: &Collection, wanted: &wire::FieldSchema) -> Result<(), Fault> {
    let fields = || collection.schema.fields.iter().filter(|f| !f.is_dynamic);
    if fields().count() >= FIELDS_MAX {
        let text = format!("The number of fields has reached the maximum value {FIELDS_MAX}");
        return Err(Fault::invalid(text));
    }
    let name = &wanted.name;
    if fields().any(|f| f.name == *name) {
        return Err(Fault::invalid(format!("duplicated field name {name}")));
    }
    Ok(())
}

fn check_role(collection: &Collection, wanted: &wire::FieldSchema) -> Result<(), Fault> {
    let name = &wanted.name;
    let refused = if SYSTEM.contains(&name.as_str()) || wanted.is_dynamic {
        format!("not support to add system field, field name = {name}")
    } else if wanted.is_primary_key {
        format!("not support to add pk field, field name = {name}")
    } else if wanted.auto_id {
        format!("only primary field can speficy AutoID with true, field name = {name}")
    } else if wanted.is_partition_key {
        // Clients know it with two spaces.
        format!("not support to add partition key field, field name  = {name}")
    } else if wanted.is_clustering_key
        && collection.schema.fields.iter().any(|f| f.is_clustering_key)
    {
        format!("already has another clutering key field, field name: {name}")
    } else {
        return Ok(());
    };
    Err(Fault::invalid(refused))
}
