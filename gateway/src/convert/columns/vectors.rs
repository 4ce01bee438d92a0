//! Vectors: dense ones stay the request's bytes, sparse ones are spans of it.

use bytes::Bytes;
use millstream_catalog::model::limits::SPARSE_INDEX_MAX;
use millstream_catalog::model::{DataType, Fault, FieldSchema, cell};

use super::super::var_column::VarColumn;
use super::{BatchValues, not_finite, one_run, type_mismatch, unreadable};
use crate::pb::schema::{FieldData, field_data::Field, vector_field::Data};

/// The values of a vector field, checked.
pub(super) fn from_wire(field: &FieldSchema, data: FieldData) -> Result<BatchValues, Fault> {
    let (dim, data) = match data.field {
        Some(Field::Vectors(vectors)) => (vectors.dim, vectors.data),
        _ => (0, None),
    };
    let (bytes, kind) = match (field.data_type, data) {
        (DataType::FloatVector, Some(Data::FloatVector(array))) => (one_run(array.data), "float"),
        (DataType::BinaryVector, Some(Data::BinaryVector(bytes))) => (bytes, "binary"),
        (DataType::Float16Vector, Some(Data::Float16Vector(bytes))) => (bytes, "float16"),
        (DataType::BFloat16Vector, Some(Data::Bfloat16Vector(bytes))) => (bytes, "bfloat16"),
        (DataType::Int8Vector, Some(Data::Int8Vector(bytes))) => (bytes, "int8"),
        (DataType::SparseFloatVector, Some(Data::SparseFloatVector(bytes))) => {
            return sparse(field, bytes);
        }
        _ => return Err(type_mismatch(field)),
    };
    let name = &field.name;
    if dim != i64::from(field.dim) {
        let text = format!(
            "the dim ({dim}) of field data({name}) is not equal to schema dim ({})",
            field.dim
        );
        return Err(Fault::expected(text, field.dim, dim));
    }
    let width = field.width().unwrap_or_default().max(1);
    if !bytes.len().is_multiple_of(width) {
        let length = match field.data_type {
            DataType::FloatVector => bytes.len() / 4,
            _ => bytes.len(),
        };
        return Err(Fault::plain(format!(
            "the length({length}) of {kind} data should divide the dim({}), field name = {name}",
            field.dim
        )));
    }
    check_bytes_finite(field.data_type, &bytes, name)?;
    Ok(BatchValues::Fixed(bytes, width))
}

fn sparse(field: &FieldSchema, message: Bytes) -> Result<BatchValues, Fault> {
    let rows = VarColumn::from_message(message).ok_or_else(|| unreadable(field))?;
    rows.values().try_for_each(|row| check_sparse(row, &field.name))?;
    Ok(BatchValues::Var(rows))
}

/// Checks one sparse vector: pairs ascending by index, of finite values.
pub fn check_sparse(row: &[u8], field: &str) -> Result<(), Fault> {
    if !row.len().is_multiple_of(8) {
        return Err(Fault::invalid(format!(
            "invalid data length in sparse float vector: {}, field name = {field}",
            row.len()
        )));
    }
    let mut before = None;
    for (index, value) in cell::sparse_pairs(row) {
        if index > SPARSE_INDEX_MAX {
            return Err(Fault::invalid(format!(
                "invalid index in sparse float vector: must be less than 2^32-1, \
                 field name = {field}"
            )));
        }
        if before.is_some_and(|before| index <= before) {
            return Err(Fault::invalid(format!(
                "unsorted or same indices in sparse float vector, field name = {field}"
            )));
        }
        if !value.is_finite() {
            return Err(not_finite(f64::from(value), field));
        }
        before = Some(index);
    }
    Ok(())
}

/// Refuses NaN and infinities in the little-endian components of vectors. Whole blocks at a time,
/// so that it runs at the speed of memory.
pub fn check_bytes_finite(data_type: DataType, bytes: &[u8], field: &str) -> Result<(), Fault> {
    let bad = match data_type {
        DataType::FloatVector => first_bad_word(bytes),
        DataType::Float16Vector => first_bad_half(bytes, 0x7c00, 0x03ff),
        DataType::BFloat16Vector => first_bad_half(bytes, 0x7f80, 0x007f),
        _ => None,
    };
    bad.map_or(Ok(()), |value| Err(not_finite(value, field)))
}

fn first_bad_word(bytes: &[u8]) -> Option<f64> {
    const EXPONENT: u32 = 0x7f80_0000;
    let bad = |v: &[u8; 4]| u32::from_le_bytes(*v) & EXPONENT == EXPONENT;
    let (values, _) = bytes.as_chunks::<4>();
    let any = any_bad(values, bad);
    let first = any.then(|| values.iter().find(|v| bad(v))).flatten()?;
    Some(f64::from(f32::from_le_bytes(*first)))
}

fn first_bad_half(bytes: &[u8], exponent: u16, fraction: u16) -> Option<f64> {
    let bad = |v: &[u8; 2]| u16::from_le_bytes(*v) & exponent == exponent;
    let (values, _) = bytes.as_chunks::<2>();
    let any = any_bad(values, bad);
    let first = u16::from_le_bytes(*any.then(|| values.iter().find(|v| bad(v))).flatten()?);
    Some(match (first & fraction, first >> 15) {
        (0, 0) => f64::INFINITY,
        (0, _) => f64::NEG_INFINITY,
        _ => f64::NAN,
    })
}

/// Without a branch inside a block.
fn any_bad<const N: usize>(values: &[[u8; N]], bad: impl Fn(&[u8; N]) -> bool) -> bool {
    let (blocks, rest) = values.as_chunks::<16>();
    let in_block = |block: &[[u8; N]; 16]| block.iter().fold(false, |any, v| any | bad(v));
    blocks.iter().any(in_block) || rest.iter().any(bad)
}
