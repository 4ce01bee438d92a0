//! Arrays: one element of each row, whole arrays, and what is in them.

use millstream_catalog::model::DataType;
use millstream_catalog::model::cell::{array_len, array_text};

use super::Block;
use crate::columns::{ColumnView, VarView};
use crate::json::Found;
use crate::plan::Compare;
use crate::plan::Scalar;
use crate::scalar::{ScalarSet, holds};

/// A column of arrays.
#[derive(Clone, Copy)]
pub(super) struct Arrays<'a> {
    element: DataType,
    cells: VarView<'a>,
}

impl<'a> Arrays<'a> {
    /// The arrays of a view, if it has any.
    pub(super) fn of(view: Option<ColumnView<'a>>) -> Option<Arrays<'a>> {
        match view {
            Some(ColumnView::Array { element, cells }) => Some(Arrays { element, cells }),
            _ => None,
        }
    }

    /// The array of one row; `None` when the column has no such row.
    fn get(self, row: usize) -> Option<Array<'a>> {
        Some(Array { element: self.element, cell: self.cells.get(row)? })
    }

    /// How many elements the array of a row has.
    pub(super) fn len(self, row: usize) -> Option<usize> {
        self.get(row).map(Array::len)
    }

    /// An element of the array of a row; `None` past its end.
    pub(super) fn at(self, row: usize, index: u32) -> Option<Found<'a>> {
        self.get(row)?.get(index as usize)
    }
}

/// One array.
#[derive(Clone, Copy)]
struct Array<'a> {
    element: DataType,
    cell: &'a [u8],
}

impl<'a> Array<'a> {
    fn len(self) -> usize {
        array_len(self.element, self.cell)
    }

    fn get(self, index: usize) -> Option<Found<'a>> {
        let cell = self.cell;
        Some(match self.element {
            DataType::Bool => Found::Bool(*cell.get(index)? != 0),
            DataType::Int8 => Found::Int(i64::from(i8::from_le_bytes(fixed(cell, index)?))),
            DataType::Int16 => Found::Int(i64::from(i16::from_le_bytes(fixed(cell, index)?))),
            DataType::Int32 => Found::Int(i64::from(i32::from_le_bytes(fixed(cell, index)?))),
            DataType::Int64 => Found::Int(i64::from_le_bytes(fixed(cell, index)?)),
            DataType::Float => Found::Float(f64::from(f32::from_le_bytes(fixed(cell, index)?))),
            DataType::Double => Found::Float(f64::from_le_bytes(fixed(cell, index)?)),
            DataType::VarChar if index < self.len() => Found::Text(array_text(cell, index)),
            _ => return None,
        })
    }

    fn iter(self) -> impl Iterator<Item = Found<'a>> {
        (0..self.len()).map_while(move |index| self.get(index))
    }
}

/// Element `index` of elements of one width.
fn fixed<const WIDTH: usize>(cell: &[u8], index: usize) -> Option<[u8; WIDTH]> {
    cell.as_chunks().0.get(index).copied()
}

/// Rows whose element passes a test; a row without that element has no answer.
pub(super) fn element(
    view: Option<ColumnView<'_>>,
    index: u32,
    not: bool,
    block: &mut Block<'_>,
    mut test: impl FnMut(&Found<'_>) -> bool,
) {
    let Some(arrays) = Arrays::of(view) else { return block.clear() };
    block.retain_known(|row| arrays.at(row, index).map(|found| test(&found) != not));
}

/// Rows without an element.
pub(super) fn no_element(
    view: Option<ColumnView<'_>>,
    index: u32,
    validity: Option<&[u8]>,
    not: bool,
    block: &mut Block<'_>,
) {
    let arrays = Arrays::of(view);
    let is_null = |row: usize| validity.is_some_and(|v| v.get(row).is_none_or(|&v| v == 0));
    block.retain(not, |row| {
        is_null(row) || arrays.is_none_or(|arrays| arrays.at(row, index).is_none())
    });
}

/// Rows whose array is a list of constants.
pub(super) fn equal(
    view: Option<ColumnView<'_>>,
    values: &[Scalar],
    not: bool,
    block: &mut Block<'_>,
) {
    let Some(arrays) = Arrays::of(view) else { return block.clear() };
    block.retain_known(|row| {
        let array = arrays.get(row)?;
        let mut pairs = array.iter().zip(values);
        let same = array.len() == values.len()
            && pairs.all(|(found, value)| holds(&found, Compare::Equal, value));
        Some(same != not)
    });
}

/// Rows whose array has all or one of the constants.
pub(super) fn contains(
    view: Option<ColumnView<'_>>,
    all: bool,
    values: &[Scalar],
    set: &ScalarSet,
    not: bool,
    block: &mut Block<'_>,
) {
    let Some(arrays) = Arrays::of(view) else { return block.clear() };
    if let ([value], false) = (values, all) {
        return block.retain_known(|row| {
            let has = arrays.get(row)?.iter().any(|found| holds(&found, Compare::Equal, value));
            Some(has != not)
        });
    }
    let mut seen = if all { vec![false; set.distinct()] } else { Vec::new() };
    block.retain_known(|row| {
        let mut items = arrays.get(row)?.iter();
        let has = if all {
            has_all(items, set, &mut seen)
        } else {
            items.any(|found| set.find(&found).is_some())
        };
        Some(has != not)
    });
}

/// Whether a list has every constant of a set; `seen` has a flag for each.
pub(super) fn has_all<'a>(
    items: impl Iterator<Item = Found<'a>>,
    set: &ScalarSet,
    seen: &mut [bool],
) -> bool {
    seen.fill(false);
    let mut missing = seen.len();
    for found in items {
        if missing == 0 {
            break;
        }
        if let Some(flag) = set.find(&found).and_then(|number| seen.get_mut(number))
            && !std::mem::replace(flag, true)
        {
            missing -= 1;
        }
    }
    missing == 0
}
