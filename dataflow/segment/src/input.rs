//! Values to append: columns of a batch, borrowed from a record of the log.

use millstream_catalog::model::FieldId;

use crate::spec::ColumnSpec;

/// Rows to append, by field.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Number of rows.
    pub rows: usize,
    /// One column a field, in any order. Fields that are not there get their default, or null.
    pub columns: &'a [(FieldId, ColumnInput<'a>)],
}

impl<'a> Batch<'a> {
    /// The column of a field.
    pub fn column(&self, field: FieldId) -> Option<ColumnInput<'a>> {
        self.columns.iter().find(|(of, _)| *of == field).map(|(_, input)| *input)
    }
}

/// One column of a batch.
#[derive(Clone, Copy, Debug)]
pub struct ColumnInput<'a> {
    /// The values. A null row has zero bytes, or none in a column of different lengths.
    pub values: Input<'a>,
    /// One byte a row, 1 for a value and 0 for null; `None` when no row is null.
    pub validity: Option<&'a [u8]>,
}

impl<'a> From<Input<'a>> for ColumnInput<'a> {
    fn from(values: Input<'a>) -> ColumnInput<'a> {
        ColumnInput { values, validity: None }
    }
}

impl<'a> ColumnInput<'a> {
    /// Whether this holds exactly `rows` values that a column of `spec` can take.
    pub(crate) fn fits(&self, spec: &ColumnSpec, rows: usize) -> bool {
        let valid = |valid: &[u8]| valid.len() == rows && (spec.nullable || !has_null(valid));
        self.values.fits(spec, rows) && self.validity.is_none_or(valid)
    }

    /// The rows `from..to`, which are there; the offsets of a `Var` go on from where they were.
    pub(crate) fn range(&self, spec: &ColumnSpec, from: usize, to: usize) -> ColumnInput<'a> {
        let values = match self.values {
            Input::Fixed(bytes) => {
                let width = spec.width().unwrap_or(0);
                Input::Fixed(bytes.get(from * width..to * width).unwrap_or_default())
            }
            Input::Var { offsets, bytes } => {
                let offsets = offsets.get(from * 4..(to + 1) * 4).unwrap_or_default();
                Input::Var { offsets, bytes }
            }
        };
        ColumnInput { values, validity: self.validity.and_then(|valid| valid.get(from..to)) }
    }

    /// The validity of rows `from..to` when one of them is null.
    pub(crate) fn nulls(&self, from: usize, to: usize) -> Option<&'a [u8]> {
        self.validity?.get(from..to).filter(|valid| has_null(valid))
    }
}

/// Whether a validity says that a row is null. Reads whole words, without a branch a row.
fn has_null(valid: &[u8]) -> bool {
    valid.iter().fold(1, |all, byte| all & byte) == 0
}

/// The values of a column of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Little-endian values of fixed width, one after the other.
    Fixed(&'a [u8]),
    /// Values of different lengths.
    Var {
        /// `rows + 1` little-endian u32 offsets into `bytes`, from 0, not decreasing.
        offsets: &'a [u8],
        /// All values, one after the other.
        bytes: &'a [u8],
    },
}

impl<'a> Input<'a> {
    /// The `i`-th offset of a `Var`; 0 beyond its end.
    pub(crate) fn offset(offsets: &[u8], i: usize) -> usize {
        let at = offsets.get(i * 4..i * 4 + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
        at.map_or(0, |b| u32::from_le_bytes(b) as usize)
    }

    /// The bytes of row `i` of a `Var` column; empty beyond its end.
    pub fn text(&self, i: usize) -> &'a [u8] {
        match *self {
            Input::Fixed(_) => &[],
            Input::Var { offsets, bytes } => bytes
                .get(Self::offset(offsets, i)..Self::offset(offsets, i + 1))
                .unwrap_or_default(),
        }
    }

    /// The value of row `i` of an Int64 column; 0 beyond its end.
    pub(crate) fn int(&self, i: usize) -> i64 {
        match *self {
            Input::Fixed(bytes) => bytes
                .get(i * 8..i * 8 + 8)
                .and_then(|b| <[u8; 8]>::try_from(b).ok())
                .map_or(0, i64::from_le_bytes),
            Input::Var { .. } => 0,
        }
    }

    /// Whether this holds exactly `rows` values that a column of `spec` can take.
    fn fits(&self, spec: &ColumnSpec, rows: usize) -> bool {
        match *self {
            Input::Fixed(bytes) => spec.width().is_some_and(|w| bytes.len() == rows * w),
            Input::Var { offsets, bytes } => {
                spec.data_type.is_variable()
                    && offsets.len() == (rows + 1) * 4
                    && Self::offset(offsets, 0) == 0
                    && Self::offset(offsets, rows) == bytes.len()
                    && (0..rows).all(|i| Self::offset(offsets, i) <= Self::offset(offsets, i + 1))
            }
        }
    }

    /// Bytes of rows `from..to` of a `Var`; 0 for a `Fixed`.
    pub(crate) fn var_bytes(&self, from: usize, to: usize) -> usize {
        match *self {
            Input::Fixed(_) => 0,
            Input::Var { offsets, .. } => {
                Self::offset(offsets, to).saturating_sub(Self::offset(offsets, from))
            }
        }
    }
}
