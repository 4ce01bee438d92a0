//! The columns that an evaluation reads: borrowed slices, one view per field.

use std::ops::Range;

use millstream_catalog::model::{DataType, FieldId};

use crate::plan::MatchKind;
use crate::shred::Shred;
use crate::zones::Zone;

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
    /// Cells of JSON values, as [`crate::json_cell`] makes them.
    Json(VarView<'a>),
    /// Cells of arrays, and the type of their elements.
    Array {
        element: DataType,
        cells: VarView<'a>,
    },
}

/// What a `text_match` or a `phrase_match` looks for.
#[derive(Clone, Copy, Debug)]
pub struct TextMatch<'a> {
    /// The words, as the filter has them: the analyzer of the field makes tokens of them.
    pub text: &'a str,
    /// How many of them, or in which order.
    pub kind: MatchKind,
}

/// Where an evaluation gets its columns from.
pub trait Columns {
    /// The column of a field. `None` (or a view of another type, or too few rows) means that the
    /// rows have no value: nothing compares true with it, and a JSON field has no keys.
    fn column(&self, field: FieldId) -> Option<ColumnView<'_>>;

    /// Which rows have a value of a field: one byte a row, 1 for a value and 0 for null. `None`
    /// when every row has one.
    fn validity(&self, _field: FieldId) -> Option<&[u8]> {
        None
    }

    /// What is known of a field in some of the rows without reading them; `None` when nothing is,
    /// and for a field without a column.
    fn zone(&self, _field: FieldId, _rows: Range<usize>) -> Option<Zone<'_>> {
        None
    }

    /// Whether [`Columns::zone`] knows anything at all.
    fn has_zones(&self) -> bool {
        false
    }

    /// The values at a path of a JSON field that lie in a column of their own, for all rows.
    fn shred(&self, _field: FieldId, _steps: &[String]) -> Option<Shred<'_>> {
        None
    }

    /// Whether [`Columns::shred`] knows a column at all.
    fn has_shreds(&self) -> bool {
        false
    }

    /// The number of the first row, so that a random choice differs from chunk to chunk.
    fn first_row(&self) -> u64 {
        0
    }

    /// Clears from `mask` the rows whose text in a field does not match; `mask` has one bit for
    /// each of `rows` rows, as in [`crate::Plan::eval`]. Without an index of words none matches.
    fn text_match(&self, _field: FieldId, _query: &TextMatch<'_>, _rows: usize, mask: &mut [u64]) {
        mask.fill(0);
    }
}
