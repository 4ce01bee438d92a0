//! Sealed rows: chunks whose columns lie in memory that somebody else keeps, such as a mapped file.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use millstream_catalog::model::Timestamp;
use thiserror::Error;

use crate::Position;
use crate::column::ColumnReader;
use crate::later;
use crate::numbers::{Numbered, Numbers};
use crate::rows::{Chunk, ROWS_STEP, chunk_rows};
use crate::spec::ColumnSpec;
use crate::whole::{Besides, Whole};

/// When rows came: those from `row` on, up to the next arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The first of the rows, counted from the first one of the segment.
    pub row: u32,
    /// Their effective time.
    pub eff: Timestamp,
    /// The unit that brought them.
    pub position: Position,
    /// Their place among the rows of the unit that came to the shard.
    pub ordinal: u32,
}

/// Stored rows that do not have the form that the schema says.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Corrupt {
    /// A column.
    #[error("the stored values of field {0} do not have the form of the field")]
    Column(millstream_catalog::model::FieldId),
    /// The arrivals do not cover the rows, or are not in order.
    #[error("the arrivals of {rows} stored rows are not in order")]
    Arrivals {
        /// Rows of the segment.
        rows: usize,
    },
    /// The numbers of the rows are not in order.
    #[error("the numbers of {rows} stored rows are not in order")]
    Numbers {
        /// Rows of the segment.
        rows: usize,
    },
    /// Something names a row that is not there.
    #[error("row {row} of slot {slot} is named and not stored")]
    Row {
        /// The slot.
        slot: u32,
        /// The row.
        row: u32,
    },
}

/// The values of a column of a sealed segment, little-endian and aligned to their width.
#[derive(Clone, Debug, Default)]
pub struct FrozenColumn {
    /// All values, one after the other; of fixed width, or as `offsets` say.
    pub values: Bytes,
    /// `rows + 1` u32 offsets into `values`, not decreasing and within them, of a column of values
    /// of different lengths.
    pub offsets: Option<Bytes>,
    /// `1 / |x|` of each row as f32, for the dense vectors that have them.
    pub inv_norms: Option<Bytes>,
    /// One byte a row, 1 for a value and 0 for null; `None` when no row is null.
    pub validity: Option<Bytes>,
}

/// The rows of a sealed segment.
#[derive(Clone, Debug)]
pub struct FrozenRows {
    /// Number of rows.
    pub rows: usize,
    /// The columns, in the order of the specs; those that came after the rows may be missing.
    pub columns: Vec<FrozenColumn>,
    /// When the rows came, in order.
    pub arrivals: Vec<Arrival>,
    /// The numbers of the rows in their partition; nothing when they follow one another.
    pub numbers: Vec<Numbered>,
}

/// Rows `from..to` of columns that somebody else keeps.
fn frozen_columns(
    specs: &[ColumnSpec],
    columns: &[FrozenColumn],
    rows: (usize, usize),
) -> Result<Vec<ColumnReader>, Corrupt> {
    let column = |(at, spec): (usize, &ColumnSpec)| {
        let column = columns.get(at).and_then(|column| ColumnReader::frozen(spec, column, rows));
        column.ok_or(Corrupt::Column(spec.field))
    };
    specs.iter().enumerate().map(column).collect()
}

impl FrozenRows {
    /// The rows as chunks, without copying: as many as a growing segment would have, so that reads
    /// are shared between threads in the same way. `first_row` is the number of the first row in its
    /// partition, `id` that of the segment.
    ///
    /// # Errors
    /// [`Corrupt`] when a column does not fit its spec, or arrivals or numbers are out of order.
    pub fn chunks(
        &self,
        specs: &[ColumnSpec],
        (id, first_row): (i64, u32),
    ) -> Result<Vec<Arc<Chunk>>, Corrupt> {
        self.check_arrivals()?;
        let rows = self.rows;
        let numbers =
            Numbers::of(first_row, &self.numbers, rows).ok_or(Corrupt::Numbers { rows })?;
        let (own, added) = specs.split_at(self.columns.len().min(specs.len()));
        let columns = frozen_columns(own, &self.columns, (0, rows))?;
        let (beside, facts) = (Besides::default(), OnceLock::new());
        let whole = Arc::new(Whole { id, first_row, rows, columns, beside, facts });
        let var: usize =
            self.columns.iter().filter(|c| c.offsets.is_some()).map(|c| c.values.len()).sum();
        let defaults = added.iter().filter_map(|spec| spec.default.as_ref());
        let var = var / self.rows.max(1) + defaults.map(|default| default.len()).sum::<usize>();
        let step = chunk_rows(specs, var).max(ROWS_STEP);
        let mut chunks = Vec::with_capacity(self.rows.div_ceil(step));
        let mut from = 0;
        while from < self.rows {
            let to = (from + step).min(self.rows);
            let numbers = numbers.part(from as u32, to as u32);
            let arrivals = self.arrivals_of(from, to);
            let columns = frozen_columns(own, &self.columns, (from, to))?;
            chunks.push(Chunk::frozen((&whole, from), numbers, columns, to - from, &arrivals));
            from = to;
        }
        later::complete(specs, &chunks)?;
        Ok(chunks)
    }

    fn check_arrivals(&self) -> Result<(), Corrupt> {
        let ordered = self.arrivals.is_sorted_by(|a, b| {
            a.row < b.row && a.eff <= b.eff && (a.position, a.ordinal) < (b.position, b.ordinal)
        });
        let begins = self.arrivals.first().map_or(0, |first| first.row) == 0;
        let within = self.arrivals.last().map_or(0, |last| last.row as usize + 1) <= self.rows;
        let some = self.rows == 0 || !self.arrivals.is_empty();
        let fits = ordered && begins && within && some;
        if fits { Ok(()) } else { Err(Corrupt::Arrivals { rows: self.rows }) }
    }

    /// The arrivals of rows `from..to`, counted from `from`.
    fn arrivals_of(&self, from: usize, to: usize) -> Vec<Arrival> {
        let after = self.arrivals.partition_point(|a| a.row as usize <= from);
        let end = self.arrivals.partition_point(|a| (a.row as usize) < to);
        let of = |a: &Arrival| Arrival { row: (a.row as usize).saturating_sub(from) as u32, ..*a };
        self.arrivals[after.saturating_sub(1)..end].iter().map(of).collect()
    }
}
