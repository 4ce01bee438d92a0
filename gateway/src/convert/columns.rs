//! Columns of a write: from a client's `FieldData` to checked values that still lie in the
//! request's own bytes wherever the encodings agree.
//!
//! Nothing is copied value by value that need not be: vectors and floats stay slices of the
//! request, texts and sparse vectors are spans in it. Arrays and JSON become cells, in one pass
//! over all rows. The one other copy is into the record.

mod arrays;
mod nulls;
mod scalars;
#[cfg(test)]
mod tests;
mod vectors;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use millstream_catalog::model::cell::json_text;
use millstream_catalog::model::limits::DYNAMIC_FIELD;
use millstream_catalog::model::object::members;
use millstream_catalog::model::{CollectionSchema, DataType, Fault, FieldId, FieldSchema};

use self::nulls::Nulls;
use super::var_column::VarColumn;
use crate::pb::schema::FieldData;

pub(super) use self::scalars::int_range;
pub use self::vectors::{check_bytes_finite, check_sparse};

/// The checked rows of one write.
#[derive(Debug)]
pub struct Batch {
    /// Number of rows, at least 1.
    pub rows: u32,
    /// The columns that the client gives, in the order of the schema, then those that must not be
    /// missing. An automatic key is not among them yet.
    pub columns: Vec<BatchColumn>,
}

/// The values of one field.
#[derive(Debug)]
pub struct BatchColumn {
    /// The field.
    pub field: FieldId,
    /// Its type.
    pub data_type: DataType,
    /// One value for each row.
    pub values: BatchValues,
    /// One byte a row, 1 for a value and 0 for null; `None` when no row is null.
    pub validity: Option<Vec<u8>>,
}

/// Values of one column, in the form they came in.
#[derive(Debug)]
pub enum BatchValues {
    /// Booleans.
    Bool(Vec<bool>),
    /// Integers of 8, 16 and 32 bits, in range for their type.
    Int(Vec<i32>),
    /// Integers of 64 bits.
    Long(Vec<i64>),
    /// Little-endian floats or dense vectors, back to back; the width of one value.
    Fixed(Bytes, usize),
    /// Doubles.
    Double(Vec<f64>),
    /// Texts, or cells of arrays, JSON and sparse vectors.
    Var(VarColumn),
}

impl BatchValues {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            BatchValues::Bool(v) => v.len(),
            BatchValues::Int(v) => v.len(),
            BatchValues::Long(v) => v.len(),
            BatchValues::Double(v) => v.len(),
            BatchValues::Fixed(bytes, width) => bytes.len() / (*width).max(1),
            BatchValues::Var(column) => column.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a write does with its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Adds them.
    Insert,
    /// Puts them in place of those with the same keys.
    Upsert,
    /// As `Upsert`, and what a row does not give stays as it was.
    Update,
}

/// Checks the columns of a write against the schema.
pub fn batch_from_wire(
    schema: &CollectionSchema,
    write: Write,
    rows: u32,
    fields: Vec<FieldData>,
) -> Result<Batch, Fault> {
    if rows == 0 {
        return Err(Fault::invalid("num_rows should be greater than 0"));
    }
    let given = fields.len();
    let mut by_name = named(schema, fields)?;
    let mut columns = Vec::with_capacity(schema.fields.len());
    let mut missing = Vec::new();
    for field in &schema.fields {
        match by_name.remove(&field.name) {
            Some(data) => {
                check_given(field, write)?;
                let column = column_from_wire(field, rows, data)?;
                if field.is_dynamic {
                    check_dynamic_keys(schema, write, &column)?;
                }
                columns.push(column);
            }
            None => missing.push(field),
        }
    }
    let expected = columns.len();
    let (dynamic, others): (Vec<_>, Vec<_>) = missing.into_iter().partition(|f| f.is_dynamic);
    for field in &others {
        columns.extend(column_missing(field, write, rows)?);
    }
    if let Some(extra) = by_name.keys().next() {
        let text = format!("more fieldData has pass in, field name = {extra}");
        return Err(Fault::expected(text, expected, given));
    }
    if expected == 0 {
        // Only the rows of a column bear out how many there are.
        let unborne = others.iter().find(|field| field.is_stored() && !field.auto_id);
        return Err(no_data(unborne.map_or(DYNAMIC_FIELD, |field| field.name.as_str())));
    }
    for field in dynamic {
        columns.extend(column_missing(field, write, rows)?);
    }
    Ok(Batch { rows, columns })
}

fn no_data(field: &str) -> Fault {
    Fault::invalid(format!("fieldSchema({field}) has no corresponding fieldData pass in"))
}

fn named(
    schema: &CollectionSchema,
    fields: Vec<FieldData>,
) -> Result<HashMap<String, FieldData>, Fault> {
    let mut by_name = HashMap::with_capacity(fields.len());
    for mut field in fields {
        let name = match schema.dynamic_field() {
            Some(dynamic) if field.is_dynamic => dynamic.name.clone(),
            _ => std::mem::take(&mut field.field_name),
        };
        if by_name.contains_key(&name) {
            return Err(Fault::invalid(format!("duplicated field {name} found")));
        }
        by_name.insert(name, field);
    }
    Ok(by_name)
}

/// Refuses columns that only the server makes.
fn check_given(field: &FieldSchema, write: Write) -> Result<(), Fault> {
    let name = &field.name;
    if field.is_function_output {
        let text = format!("field {name} is function output field, no data can pass in for it");
        return Err(Fault::invalid(text));
    }
    if field.auto_id && write == Write::Insert {
        let text =
            format!("can not assign primary field data when auto id enabled, field name = {name}");
        return Err(Fault::invalid(text));
    }
    Ok(())
}

/// The column of a field that the client does not give, if it may be left out.
fn column_missing(
    field: &FieldSchema,
    write: Write,
    rows: u32,
) -> Result<Option<BatchColumn>, Fault> {
    let name = &field.name;
    if !field.is_stored() || (field.auto_id && write == Write::Insert) {
        return Ok(None);
    }
    if field.auto_id {
        let text = format!("must assign pk when upsert, primary field: {name}");
        return Err(Fault::invalid(text));
    }
    if field.is_dynamic {
        // Also in an update: it adds no key to an older row, and a new one needs a value.
        return Ok(Some(BatchColumn {
            field: field.id,
            data_type: field.data_type,
            values: BatchValues::Var(scalars::empty_objects(rows)?),
            validity: None,
        }));
    }
    if write == Write::Update && !field.is_primary {
        return Ok(None);
    }
    if field.nullable || field.default_value.is_some() {
        return Ok(None); // workers take a column that is not there for nulls or the default
    }
    Err(no_data(name))
}

fn column_from_wire(field: &FieldSchema, rows: u32, data: FieldData) -> Result<BatchColumn, Fault> {
    let nulls = Nulls::from_wire(field, rows, &data.valid_data)?;
    if nulls.as_ref().is_some_and(Nulls::is_all) {
        return Ok(nulls::absent(field, rows)); // clients leave the data out then
    }
    let values = if field.data_type.is_vector() {
        vectors::from_wire(field, data)?
    } else {
        scalars::from_wire(field, data)?
    };
    let values = match &nulls {
        Some(nulls) => nulls.spread(field, values)?,
        None => {
            check_rows(field, rows, values.len())?;
            values
        }
    };
    let validity = nulls.and_then(|nulls| nulls.into_validity(field));
    let values = if field.data_type.is_vector() {
        values
    } else {
        scalars::check(field, values, validity.as_deref())?
    };
    Ok(BatchColumn { field: field.id, data_type: field.data_type, values, validity })
}

/// Refuses dynamic keys that could not be told from fields. An update may name fields: it gives only
/// some of them.
fn check_dynamic_keys(
    schema: &CollectionSchema,
    write: Write,
    column: &BatchColumn,
) -> Result<(), Fault> {
    let BatchValues::Var(cells) = &column.values else { return Ok(()) };
    let fields = schema.fields.iter().filter(|f| !f.is_dynamic && write != Write::Update);
    let fields: HashSet<&[u8]> = fields.map(|f| f.name.as_bytes()).collect();
    for key in cells.values().flat_map(|cell| members(json_text(cell))).map(|member| member.key) {
        if *key == *DYNAMIC_FIELD.as_bytes() {
            return Err(Fault::invalid(format!("cannot set json key to: {DYNAMIC_FIELD}")));
        }
        if fields.contains(&*key) {
            let name = String::from_utf8_lossy(&key);
            return Err(Fault::invalid(format!(
                "dynamic field name cannot include the static field name: {name}"
            )));
        }
    }
    Ok(())
}

/// Packed floats come as one chunk; several are joined.
pub fn one_run(mut chunks: Vec<Bytes>) -> Bytes {
    match chunks.len() {
        0 => Bytes::new(),
        1 => chunks.remove(0),
        _ => chunks.concat().into(),
    }
}

/// Refuses NaN and infinities in little-endian floats of a field.
pub fn check_finite(bytes: &[u8], field: &str) -> Result<(), Fault> {
    check_bytes_finite(DataType::FloatVector, bytes, field)
}

fn not_finite(value: f64, field: &str) -> Fault {
    Fault::invalid(format!("value '{value}' is not a number or infinity, field name = {field}"))
}

fn unreadable(field: &FieldSchema) -> Fault {
    Fault::invalid(format!("the data of field {} cannot be decoded", field.name))
}

fn check_rows(field: &FieldSchema, rows: u32, count: usize) -> Result<(), Fault> {
    if count == rows as usize {
        return Ok(());
    }
    let text = format!(
        "the num_rows ({count}) of field ({}) is not equal to passed num_rows ({rows})",
        field.name
    );
    Err(Fault::expected(text, rows, count))
}

fn type_mismatch(field: &FieldSchema) -> Fault {
    let (kind, need) = match field.data_type {
        DataType::Bool => ("bool", "bool array"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => ("int", "int array"),
        DataType::Int64 => ("int64", "long array"),
        DataType::Float => ("float", "float array"),
        DataType::Double => ("double", "double array"),
        DataType::VarChar => ("varchar", "string array"),
        DataType::Json => ("json", "json array"),
        DataType::Array => ("array", "array"),
        DataType::BinaryVector => ("binary vector", "binary vector"),
        DataType::FloatVector => ("float vector", "float vector"),
        DataType::Float16Vector => ("float16 vector", "float16 vector"),
        DataType::BFloat16Vector => ("bfloat16 vector", "bfloat16 vector"),
        DataType::SparseFloatVector => ("sparse float vector", "sparse float array"),
        DataType::Int8Vector => ("int8 vector", "int8 vector"),
    };
    Fault::expected(
        format!("{kind} field '{}' is illegal, array type mismatch", field.name),
        format!("need {need}"),
        "got nil",
    )
}
