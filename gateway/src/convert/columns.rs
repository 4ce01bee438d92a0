//! Columns of a write: from a client's `FieldData` to checked values that still lie in the
//! request's own bytes wherever the encodings agree.
//!
//! Nothing is copied value by value that need not be: vectors and floats stay slices of the
//! request, texts are spans in it. The one copy is into the record.

use std::collections::HashMap;

use bytes::Bytes;
use millstream_catalog::model::limits::JSON_LENGTH_MAX;
use millstream_catalog::model::{CollectionSchema, DataType, Fault, FieldId, FieldSchema};

use super::var_column::VarColumn;
use crate::pb::schema::{FieldData, field_data::Field, scalar_field, vector_field};

/// The checked rows of one write.
#[derive(Debug)]
pub struct Batch {
    /// Number of rows, at least 1.
    pub rows: u32,
    /// A column for each field of the schema, in its order; none for an automatic key.
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
    /// Little-endian doubles, floats or float vectors, back to back; the width of one value.
    Fixed(Bytes, usize),
    /// Doubles.
    Double(Vec<f64>),
    /// Text or JSON.
    Var(VarColumn),
}

/// Checks the columns of an insert or upsert against the schema.
pub fn batch_from_wire(
    schema: &CollectionSchema,
    rows: u32,
    fields: Vec<FieldData>,
) -> Result<Batch, Fault> {
    if rows == 0 {
        return Err(Fault::invalid("num_rows should be greater than 0"));
    }
    let given = fields.len();
    let mut by_name = HashMap::with_capacity(given);
    for mut field in fields {
        let name = match schema.dynamic_field() {
            Some(dynamic) if field.is_dynamic => dynamic.name.clone(),
            _ => std::mem::take(&mut field.field_name),
        };
        if by_name.insert(name.clone(), field).is_some() {
            return Err(Fault::invalid(format!("duplicated field {name} found")));
        }
    }
    let mut columns = Vec::with_capacity(schema.fields.len());
    let mut expected = 0;
    for field in &schema.fields {
        if field.auto_id {
            continue;
        }
        let values = match by_name.remove(&field.name) {
            Some(data) => {
                expected += 1;
                values_from_wire(field, rows, data)?
            }
            None if field.is_dynamic => BatchValues::Var(VarColumn::repeated(b"{}", rows)),
            None => {
                return Err(Fault::invalid(format!(
                    "fieldSchema({}) has no corresponding fieldData pass in",
                    field.name
                )));
            }
        };
        columns.push(BatchColumn { field: field.id, data_type: field.data_type, values });
    }
    match by_name.keys().next() {
        None => Ok(Batch { rows, columns }),
        Some(extra) => Err(Fault::expected(
            format!("more fieldData has pass in, field name = {extra}"),
            expected,
            given,
        )),
    }
}

fn values_from_wire(field: &FieldSchema, rows: u32, data: FieldData) -> Result<BatchValues, Fault> {
    if data.valid_data.contains(&false) {
        let text = format!("null values are not supported yet, field name = {}", field.name);
        return Err(Fault::invalid(text));
    }
    if field.data_type == DataType::FloatVector {
        return vectors_from_wire(field, rows, data);
    }
    let scalars = match data.field {
        Some(Field::Scalars(scalars)) => scalars.data,
        _ => None,
    };
    use scalar_field::Data;
    let (values, count) = match (field.data_type, scalars) {
        (DataType::Bool, Some(Data::BoolData(array))) => {
            let count = array.data.len();
            (BatchValues::Bool(array.data), count)
        }
        (DataType::Int8 | DataType::Int16 | DataType::Int32, Some(Data::IntData(array))) => {
            check_range(field, &array.data)?;
            let count = array.data.len();
            (BatchValues::Int(array.data), count)
        }
        (DataType::Int64, Some(Data::LongData(array))) => {
            let count = array.data.len();
            (BatchValues::Long(array.data), count)
        }
        (DataType::Float, Some(Data::FloatData(array))) => {
            let bytes = one_run(array.data);
            check_finite(&bytes)?;
            let count = bytes.len() / 4;
            (BatchValues::Fixed(bytes, 4), count)
        }
        (DataType::Double, Some(Data::DoubleData(array))) => {
            if let Some(bad) = array.data.iter().find(|v| !v.is_finite()) {
                return Err(not_finite(*bad));
            }
            let count = array.data.len();
            (BatchValues::Double(array.data), count)
        }
        (DataType::VarChar, Some(Data::StringData(bytes))) => {
            let column = VarColumn::from_message(bytes).ok_or_else(|| unreadable(field))?;
            check_texts(field, &column)?;
            let count = column.len();
            (BatchValues::Var(column), count)
        }
        (DataType::Json, Some(Data::JsonData(bytes))) => {
            let column = VarColumn::from_message(bytes).ok_or_else(|| unreadable(field))?;
            check_json(field, &column)?;
            let count = column.len();
            (BatchValues::Var(column), count)
        }
        (data_type, _) => return Err(type_mismatch(field, data_type)),
    };
    check_rows(field, rows, count)?;
    Ok(values)
}

fn vectors_from_wire(
    field: &FieldSchema,
    rows: u32,
    data: FieldData,
) -> Result<BatchValues, Fault> {
    let (dim, data) = match data.field {
        Some(Field::Vectors(vectors)) => (vectors.dim, vectors.data),
        _ => (0, None),
    };
    let Some(vector_field::Data::FloatVector(array)) = data else {
        return Err(type_mismatch(field, DataType::FloatVector));
    };
    if dim != i64::from(field.dim) {
        let text = format!(
            "the dim ({dim}) of field data({}) is not equal to schema dim ({})",
            field.name, field.dim
        );
        return Err(Fault::expected(text, field.dim, dim));
    }
    let bytes = one_run(array.data);
    let width = field.dim as usize * 4;
    if !bytes.len().is_multiple_of(width) {
        return Err(Fault::plain(format!(
            "the length({}) of float data should divide the dim({})",
            bytes.len() / 4,
            field.dim
        )));
    }
    check_finite(&bytes)?;
    check_rows(field, rows, bytes.len() / width)?;
    Ok(BatchValues::Fixed(bytes, width))
}

/// Packed floats come as one chunk; several are joined.
pub fn one_run(mut chunks: Vec<Bytes>) -> Bytes {
    match chunks.len() {
        0 => Bytes::new(),
        1 => chunks.remove(0),
        _ => chunks.concat().into(),
    }
}

/// Refuses NaN and infinities in little-endian floats. Eight at a time, so that it runs at the
/// speed of memory.
pub fn check_finite(bytes: &[u8]) -> Result<(), Fault> {
    const EXPONENT: u32 = 0x7f80_0000;
    let bits = |v: &[u8]| u32::from_le_bytes([v[0], v[1], v[2], v[3]]);
    let bad = |v: u32| v & EXPONENT == EXPONENT;
    let whole = bytes.len() / 32 * 32;
    let mut any = false;
    for block in bytes[..whole].chunks_exact(32) {
        let mut worst = false;
        for value in block.chunks_exact(4) {
            worst |= bad(bits(value));
        }
        any |= worst;
    }
    any |= bytes[whole..].chunks_exact(4).any(|v| bad(bits(v)));
    if !any {
        return Ok(());
    }
    let first = bytes.chunks_exact(4).map(bits).find(|v| bad(*v)).unwrap_or(EXPONENT);
    Err(not_finite(f64::from(f32::from_bits(first))))
}

fn not_finite(value: f64) -> Fault {
    Fault::invalid(format!("value '{value}' is not a number or infinity"))
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

fn check_range(field: &FieldSchema, values: &[i32]) -> Result<(), Fault> {
    let (low, high) = match field.data_type {
        DataType::Int8 => (i32::from(i8::MIN), i32::from(i8::MAX)),
        DataType::Int16 => (i32::from(i16::MIN), i32::from(i16::MAX)),
        _ => return Ok(()),
    };
    match values.iter().position(|v| !(low..=high).contains(v)) {
        None => Ok(()),
        Some(row) => Err(Fault::invalid(format!(
            "the {row}th element ({}) out of range: [{low}, {high}], field name = {}",
            values[row], field.name
        ))),
    }
}

fn check_texts(field: &FieldSchema, column: &VarColumn) -> Result<(), Fault> {
    for (row, value) in column.values().enumerate() {
        if value.len() > field.max_length as usize {
            return Err(Fault::invalid(format!(
                "the length ({}) of {row}th VarChar {} exceeds max length ({})",
                value.len(),
                field.name,
                field.max_length
            )));
        }
        if std::str::from_utf8(value).is_err() {
            let text = format!("the {row}th VarChar {} is not valid UTF-8", field.name);
            return Err(Fault::invalid(text));
        }
    }
    Ok(())
}

fn check_json(field: &FieldSchema, column: &VarColumn) -> Result<(), Fault> {
    for (row, value) in column.values().enumerate() {
        if value.len() > JSON_LENGTH_MAX {
            return Err(Fault::invalid(format!(
                "the length ({}) of json field ({}) exceeds max length ({JSON_LENGTH_MAX})",
                value.len(),
                field.name
            )));
        }
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(value) {
            return Err(Fault::invalid(format!(
                "the {row}th value of json field ({}) is not valid JSON: {error}",
                field.name
            )));
        }
        if field.is_dynamic && !value.trim_ascii_start().starts_with(b"{") {
            let text = format!("the {row}th value of the dynamic field is not a JSON object");
            return Err(Fault::invalid(text));
        }
    }
    Ok(())
}

fn type_mismatch(field: &FieldSchema, data_type: DataType) -> Fault {
    let (kind, need) = match data_type {
        DataType::Bool => ("bool", "bool array"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => ("int", "int array"),
        DataType::Int64 => ("int64", "long array"),
        DataType::Float => ("float", "float array"),
        DataType::Double => ("double", "double array"),
        DataType::VarChar => ("varchar", "string array"),
        DataType::Json => ("json", "json array"),
        _ => ("float vector", "float vector"),
    };
    Fault::expected(
        format!("{kind} field '{}' is illegal, array type mismatch", field.name),
        format!("need {need}"),
        "got nil",
    )
}

#[cfg(test)]
mod tests;
