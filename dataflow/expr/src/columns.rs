//! The columns that an evaluation reads: borrowed slices, one view per field.

use millstream_catalog::model::FieldId;

/// Values of different lengths: value `i` is `bytes[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Copy, Debug)]
pub struct VarView<'a> {
    /// `rows + 1` ascending positions in `bytes`.
    pub offsets: &'a [u32],
    /// The values, one after the other.
    pub bytes: &'a [u8],
}

impl<'a> VarView<'a> {
    /// The bytes of one row; `None` past the end or where the offsets do not fit the bytes.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        let start = *self.offsets.get(row)? as usize;
        let end = *self.offsets.get(row + 1)? as usize;
        self.bytes.get(start..end)
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }
}

/// The values of one field for the rows `0..rows`, without copies.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum ColumnView<'a> {
    /// One byte a row; not zero is true.
    Bool(&'a [u8]),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Float(&'a [f32]),
    Double(&'a [f64]),
    /// UTF-8 text.
    Text(VarView<'a>),
    /// JSON text in UTF-8, validated when it was inserted.
    Json(VarView<'a>),
}

/// Where an evaluation gets its columns from.
pub trait Columns {
    /// The column of a field. `None` (or a view of another type, or too few rows) means that the
    /// rows have no value: nothing compares true with it, and a JSON field has no keys.
    fn column(&self, field: FieldId) -> Option<ColumnView<'_>>;
}
