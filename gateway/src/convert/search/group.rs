//! Grouped searches: by which field, and how many hits a group.

use millstream_catalog::model::{Code, CollectionSchema, DataType, Fault, FieldSchema};

use crate::convert::params::{find, flag};
use crate::pb::common::KeyValuePair;

/// The most hits of one group.
const SIZE_MAX: i64 = 100;

/// How hits are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Name of the field.
    pub field: String,
    /// Hits of a group.
    pub size: u32,
    /// Whether groups are full. Exact searches fill them where they can; the groups of a hybrid
    /// search that are not full all the same are left out.
    pub strict: bool,
}

/// The grouping that parameters ask for; none without a field.
///
/// # Errors
/// When there are several fields, or the size is out of range.
pub fn grouping(pairs: &[KeyValuePair]) -> Result<Option<Grouping>, Fault> {
    let given = |key| find(pairs, key).map(str::trim).filter(|v| !v.is_empty() && *v != "None");
    let field = given("group_by_field").or_else(|| given("group_by_fields"));
    let wrong = |text: String| Err(Fault::invalid(text));
    let size = match find(pairs, "group_size") {
        None | Some("") => 1,
        Some(text) => match text.trim().parse::<i64>() {
            Err(_) => return wrong(format!("failed to parse input group size:{text}")),
            Ok(size) if size <= 0 => {
                return wrong(format!(
                    "input group size:{size} is negative, failed to do search_groupby"
                ));
            }
            Ok(size) if size > SIZE_MAX => {
                return wrong(format!(
                    "input group size:{size} exceeds configured max group size:{SIZE_MAX}"
                ));
            }
            Ok(size) => size,
        },
    };
    let Some(field) = field else { return Ok(None) };
    if field.contains(',') {
        return wrong(format!("grouping by several fields is not supported yet: {field}"));
    }
    Ok(Some(Grouping {
        field: field.to_owned(),
        size: u32::try_from(size).unwrap_or(1),
        strict: flag(pairs, "strict_group_size"),
    }))
}

impl Grouping {
    /// The field that hits are grouped by.
    ///
    /// # Errors
    /// When there is none of this name, or it is of a type that makes no groups.
    pub fn resolve<'s>(&self, schema: &'s CollectionSchema) -> Result<&'s FieldSchema, Fault> {
        let name = &self.field;
        let Some(field) = schema.field(name) else {
            let is_path = name.contains('[') || schema.dynamic_field().is_some();
            if is_path && schema.dynamic_field().is_some() {
                let text = format!("grouping by a dynamic key is not supported yet, key = {name}");
                return Err(Fault::invalid(text));
            }
            let text = format!("groupBy field not found in schema: field not found[field={name}]");
            return Err(Fault::new(Code::FieldNotFound, text));
        };
        match field.data_type {
            DataType::Bool | DataType::VarChar => Ok(field),
            integer if integer.is_integer() => Ok(field),
            other => Err(Fault::invalid(format!(
                "unsupported data type {} for group by operator, field = {name}",
                other.name()
            ))),
        }
    }
}
