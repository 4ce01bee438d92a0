//! Columns of a record: values and which rows have one, as slices of the record's own bytes.

use bytes::Bytes;
use millstream_catalog::model::{DataType, FieldId};

use crate::le;

/// The values of one column, as slices of the record's own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnData {
    /// `rows` values of `width` bytes each, one after the other, little-endian.
    Fixed {
        /// Bytes of one value.
        width: usize,
        /// `rows · width` bytes.
        bytes: Bytes,
    },
    /// Values of different lengths.
    Var {
        /// `rows + 1` little-endian `u32`, from 0, never decreasing; the last is `bytes.len()`.
        offsets: Bytes,
        /// The values, one after the other.
        bytes: Bytes,
    },
}

impl ColumnData {
    /// The bytes of the value of a row; empty when there is no such row.
    pub fn value(&self, row: usize) -> &[u8] {
        match self {
            ColumnData::Fixed { width, bytes } => {
                let start = row.saturating_mul(*width);
                bytes.get(start..start.saturating_add(*width)).unwrap_or_default()
            }
            ColumnData::Var { offsets, bytes } => {
                let at = row.saturating_mul(4);
                if at.saturating_add(8) > offsets.len() {
                    return &[];
                }
                let start = le::u32_at(offsets, at) as usize;
                bytes.get(start..le::u32_at(offsets, at + 4) as usize).unwrap_or_default()
            }
        }
    }

    /// The values of a column of eight-byte integers; empty for any other column.
    pub fn i64s(&self) -> impl Iterator<Item = i64> + '_ {
        let bytes: &[u8] = match self {
            ColumnData::Fixed { width: 8, bytes } => bytes,
            _ => &[],
        };
        bytes.chunks_exact(8).map(|value| le::i64_at(value, 0))
    }

    /// The offsets of a column of different lengths; empty for one of fixed width.
    pub fn offsets(&self) -> impl Iterator<Item = u32> + '_ {
        let bytes: &[u8] = match self {
            ColumnData::Var { offsets, .. } => offsets,
            ColumnData::Fixed { .. } => &[],
        };
        bytes.chunks_exact(4).map(|value| le::u32_at(value, 0))
    }
}

/// One column of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The field.
    pub field: FieldId,
    /// Type of its values.
    pub data_type: DataType,
    /// The values. A null row has zero bytes, or none in a column of different lengths.
    pub data: ColumnData,
    /// One byte a row, 1 for a value and 0 for null; `None` when no row is null.
    pub validity: Option<Bytes>,
}
