//! What a table is written from: columns whose values lie in several pieces of memory.

use bytemuck::NoUninit;

use super::kind::ColumnKind;
use crate::error::WriteError;

/// Bytes of different lengths in a column at most: offsets are 31 bits wide.
pub(super) const VAR_BYTES_MAX: usize = i32::MAX as usize;

/// A column to be written.
#[derive(Clone, Debug)]
pub struct TableColumn<'a> {
    /// Name, unique in the table.
    pub name: &'a str,
    /// What the values are.
    pub kind: ColumnKind,
    /// What the values mean beyond their kind, such as `json`; for `Bool` it is always `bool`.
    pub meaning: Option<&'a str>,
    /// The values, one piece after the other.
    pub pieces: Vec<Piece<'a>>,
}

/// Rows of a column that lie together.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The values, those of null rows included: zeros, or empty.
    pub values: Values<'a>,
    /// One byte a row, 0 where the row is null; without it no row is null.
    pub validity: Option<&'a [u8]>,
}

/// Values in memory.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Rows of the kind's width, little-endian.
    Fixed(&'a [u8]),
    /// Row `i` is `bytes[offsets[i]..offsets[i + 1]]`. `rows + 1` offsets, the first one anywhere;
    /// none for no rows.
    Var {
        /// Offsets, not decreasing.
        offsets: &'a [u32],
        /// The values.
        bytes: &'a [u8],
    },
}

impl<'a> Values<'a> {
    /// Numbers, or components of vectors, as they lie in memory.
    pub fn of<T: NoUninit>(values: &'a [T]) -> Values<'a> {
        const { assert!(cfg!(target_endian = "little"), "columns are little-endian") };
        Values::Fixed(bytemuck::cast_slice(values))
    }
}

impl<'a> Piece<'a> {
    /// A piece without nulls.
    pub fn new(values: Values<'a>) -> Piece<'a> {
        Piece { values, validity: None }
    }
}

/// Rows, and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) nulls: usize,
    /// Bytes of all values, without offsets.
    pub(super) bytes: usize,
}

impl TableColumn<'_> {
    /// Checks everything that could not be written, or not be read again.
    pub(super) fn shape(&self) -> Result<Shape, WriteError> {
        let refuse = |text: String| WriteError::Input(format!("column {:?}: {text}", self.name));
        if self.kind.width().is_some_and(|width| width == 0 || i32::try_from(width).is_err()) {
            return Err(refuse(format!("{:?} is no width of a row", self.kind)));
        }
        let mut whole = Shape::default();
        for (number, piece) in self.pieces.iter().enumerate() {
            let part = piece.shape(self.kind);
            let part = part.map_err(|text| refuse(format!("piece {number}: {text}")))?;
            whole.rows += part.rows;
            whole.nulls += part.nulls;
            whole.bytes += part.bytes;
        }
        if self.kind.width().is_none() && whole.bytes > VAR_BYTES_MAX {
            let bytes = whole.bytes;
            return Err(refuse(format!(
                "{bytes} bytes are more than the {VAR_BYTES_MAX} of a file"
            )));
        }
        Ok(whole)
    }
}

impl<'a> Piece<'a> {
    fn shape(&self, kind: ColumnKind) -> Result<Shape, String> {
        let (rows, bytes) = match (self.values, kind.width()) {
            (Values::Fixed(bytes), Some(width)) if bytes.len().is_multiple_of(width) => {
                (bytes.len() / width, bytes.len())
            }
            (Values::Fixed(bytes), Some(width)) => {
                return Err(format!("{} bytes are no rows of {width}", bytes.len()));
            }
            (Values::Var { offsets, bytes }, None) => {
                let bytes = var_bytes(offsets, bytes)?;
                if kind == ColumnKind::Utf8 {
                    check_text(offsets, bytes)?;
                }
                (offsets.len().saturating_sub(1), bytes.len())
            }
            _ => return Err(format!("the values are not laid out as {kind:?} is")),
        };
        let nulls = match self.validity {
            Some(valid) if valid.len() != rows => {
                return Err(format!("{rows} rows and {} bytes of validity", valid.len()));
            }
            Some(valid) => valid.iter().filter(|valid| **valid == 0).count(),
            None => 0,
        };
        Ok(Shape { rows, nulls, bytes })
    }

    /// Rows of a piece that was checked.
    pub(super) fn rows(&self, kind: ColumnKind) -> usize {
        match (self.values, kind.width()) {
            (Values::Fixed(bytes), Some(width)) => bytes.len() / width,
            (Values::Var { offsets, .. }, _) => offsets.len().saturating_sub(1),
            (Values::Fixed(_), None) => 0,
        }
    }

    /// The values without what lies around them; of a piece that was checked.
    pub(super) fn bytes(&self) -> &'a [u8] {
        match self.values {
            Values::Fixed(bytes) => bytes,
            Values::Var { offsets, bytes } => var_bytes(offsets, bytes).unwrap_or_default(),
        }
    }
}

/// The bytes that offsets point to.
fn var_bytes<'a>(offsets: &[u32], bytes: &'a [u8]) -> Result<&'a [u8], String> {
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
        return Ok(&[]);
    };
    if !offsets.is_sorted() {
        return Err("the offsets decrease".into());
    }
    let range = *first as usize..*last as usize;
    bytes.get(range).ok_or_else(|| format!("offset {last} is past the {} bytes", bytes.len()))
}

/// Checks that every value is UTF-8: all of them together are, and each begins at a character.
fn check_text(offsets: &[u32], bytes: &[u8]) -> Result<(), String> {
    let text = str::from_utf8(bytes).map_err(|e| format!("the text is not UTF-8: {e}"))?;
    let first = offsets.first().copied().unwrap_or_default();
    if offsets.iter().any(|offset| !text.is_char_boundary((offset - first) as usize)) {
        return Err("a value begins inside a character".into());
    }
    Ok(())
}
