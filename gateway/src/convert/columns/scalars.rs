//! Scalars: numbers, texts, JSON and arrays.

use bytes::Bytes;
use millstream_catalog::model::limits::JSON_LENGTH_MAX;
use millstream_catalog::model::{DataType, Fault, FieldSchema};
use millstream_expr::json_cell;

use super::super::var_column::VarColumn;
use super::{BatchValues, arrays, check_finite, not_finite, one_run, type_mismatch, unreadable};
use crate::pb::schema::{FieldData, field_data::Field, scalar_field::Data};

/// The values as the client sends them: one for each row, or for each row that has one.
pub(super) fn from_wire(field: &FieldSchema, data: FieldData) -> Result<BatchValues, Fault> {
    let scalars = match data.field {
        Some(Field::Scalars(scalars)) => scalars.data,
        _ => None,
    };
    let texts = |bytes: Bytes| {
        let column = VarColumn::from_message(bytes).ok_or_else(|| unreadable(field))?;
        Ok(BatchValues::Var(column))
    };
    match (field.data_type, scalars) {
        (DataType::Bool, Some(Data::BoolData(array))) => Ok(BatchValues::Bool(array.data)),
        (DataType::Int8 | DataType::Int16 | DataType::Int32, Some(Data::IntData(array))) => {
            Ok(BatchValues::Int(array.data))
        }
        (DataType::Int64, Some(Data::LongData(array))) => Ok(BatchValues::Long(array.data)),
        (DataType::Float, Some(Data::FloatData(array))) => {
            Ok(BatchValues::Fixed(one_run(array.data), 4))
        }
        (DataType::Double, Some(Data::DoubleData(array))) => Ok(BatchValues::Double(array.data)),
        (DataType::VarChar, Some(Data::StringData(bytes))) => texts(bytes),
        (DataType::Json, Some(Data::JsonData(bytes))) => texts(bytes),
        (DataType::Array, Some(Data::ArrayData(bytes))) => {
            arrays::column(field, &bytes).map(BatchValues::Var)
        }
        _ => Err(type_mismatch(field)),
    }
}

/// Checks one value for each row; JSON texts become cells.
pub(super) fn check(
    field: &FieldSchema,
    values: BatchValues,
    validity: Option<&[u8]>,
) -> Result<BatchValues, Fault> {
    match &values {
        BatchValues::Int(ints) => check_range(field, ints)?,
        BatchValues::Fixed(bytes, _) => check_finite(bytes, &field.name)?,
        BatchValues::Double(doubles) => {
            if let Some(bad) = doubles.iter().find(|v| !v.is_finite()) {
                return Err(not_finite(*bad, &field.name));
            }
        }
        BatchValues::Var(texts) if field.data_type == DataType::VarChar => {
            check_texts(field, texts)?;
        }
        BatchValues::Var(texts) if field.data_type == DataType::Json => {
            return json_cells(field, texts, validity).map(BatchValues::Var);
        }
        BatchValues::Var(_) | BatchValues::Bool(_) | BatchValues::Long(_) => {}
    }
    Ok(values)
}

/// Smallest and largest value of an integer type of up to 32 bits.
pub(in super::super) const fn int_range(data_type: DataType) -> (i32, i32) {
    match data_type {
        DataType::Int8 => (i8::MIN as i32, i8::MAX as i32),
        DataType::Int16 => (i16::MIN as i32, i16::MAX as i32),
        _ => (i32::MIN, i32::MAX),
    }
}

fn check_range(field: &FieldSchema, values: &[i32]) -> Result<(), Fault> {
    let (low, high) = int_range(field.data_type);
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

/// The cells of JSON texts; null rows have none. All lie in one buffer.
fn json_cells(
    field: &FieldSchema,
    texts: &VarColumn,
    validity: Option<&[u8]>,
) -> Result<VarColumn, Fault> {
    let name = &field.name;
    let mut cells = Vec::with_capacity(texts.total() * 2);
    let mut ends = Vec::with_capacity(texts.len());
    for (row, text) in texts.values().enumerate() {
        if validity.is_none_or(|valid| valid.get(row) == Some(&1)) {
            check_json(field, row, text)?;
            json_cell(text, &mut cells).map_err(|error| {
                Fault::invalid(format!(
                    "the {row}th value of json field ({name}) is not valid JSON: {error}"
                ))
            })?;
        }
        ends.push(cells.len());
    }
    Ok(VarColumn::from_ends(cells.into(), ends))
}

fn check_json(field: &FieldSchema, row: usize, text: &[u8]) -> Result<(), Fault> {
    let name = &field.name;
    if text.len() > JSON_LENGTH_MAX {
        return Err(Fault::invalid(format!(
            "the length ({}) of json field ({name}) exceeds max length ({JSON_LENGTH_MAX})",
            text.len(),
        )));
    }
    if field.is_dynamic && !text.trim_ascii_start().starts_with(b"{") {
        return Err(Fault::invalid(format!(
            "the {row}th value of the dynamic field ({name}) is not a JSON object"
        )));
    }
    Ok(())
}

/// The dynamic field of rows without dynamic keys.
pub(super) fn empty_objects(rows: u32) -> Result<VarColumn, Fault> {
    let mut cell = Vec::new();
    json_cell(b"{}", &mut cell).map_err(Fault::internal)?;
    Ok(VarColumn::repeated(cell.into(), rows))
}
