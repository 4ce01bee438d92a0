//! Columns that a batch does not have: the values of older rows, defaults, or nulls.

use crate::input::{ColumnInput, Input};
use crate::rows::Chunk;
use crate::spec::ColumnSpec;

/// Where the missing values of a row come from: the chunk of an older row and its offset there.
pub(crate) type Origin<'c> = Option<(&'c Chunk, usize)>;

/// A column made here, in the form of a batch.
pub(crate) struct Filled {
    width: Option<usize>,
    rows: usize,
    bytes: Vec<u8>,
    offsets: Vec<u8>,
    /// Empty as long as no row is null.
    validity: Vec<u8>,
}

impl Filled {
    /// The column of `spec`, at `index` of the specs: a row for each origin, which has its value;
    /// a row without one has the default, or null. All values together are far below 4 GiB.
    pub(crate) fn new(spec: &ColumnSpec, index: usize, origins: &[Origin<'_>]) -> Filled {
        let width = spec.width();
        let (mut offsets, rows) = (Vec::new(), origins.len());
        if width.is_none() {
            offsets.reserve((rows + 1) * 4);
            offsets.extend([0; 4]);
        }
        let bytes = Vec::with_capacity(width.unwrap_or(0) * rows);
        let mut filled = Filled { width, rows: 0, bytes, offsets, validity: Vec::new() };
        let default = spec.default.as_deref();
        for origin in origins {
            filled.push(match origin {
                Some((chunk, offset)) => chunk.value(index, *offset),
                None => default,
            });
        }
        filled
    }

    fn push(&mut self, value: Option<&[u8]>) {
        if value.is_none() && self.validity.is_empty() {
            self.validity.resize(self.rows, 1);
        }
        if value.is_none() || !self.validity.is_empty() {
            self.validity.push(u8::from(value.is_some()));
        }
        self.rows += 1;
        self.bytes.extend_from_slice(value.unwrap_or_default());
        match self.width {
            Some(width) => self.bytes.resize(width * self.rows, 0),
            None => self.offsets.extend((self.bytes.len() as u32).to_le_bytes()),
        }
    }

    /// The column as it is appended.
    pub(crate) fn input(&self) -> ColumnInput<'_> {
        let values = match self.width {
            Some(_) => Input::Fixed(&self.bytes),
            None => Input::Var { offsets: &self.offsets, bytes: &self.bytes },
        };
        let validity = (!self.validity.is_empty()).then_some(&self.validity[..]);
        ColumnInput { values, validity }
    }
}
