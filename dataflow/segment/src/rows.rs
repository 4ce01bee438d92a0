//! Chunks: a run of rows of one partition, all columns of it, with their times.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use millstream_catalog::model::{FieldId, Timestamp};

use crate::Position;
use crate::chunk::{Reader, Writer, buffer};
use crate::column::{ColumnReader, ColumnSlice, ColumnWriter, column};
use crate::frozen::Arrival;
use crate::input::ColumnInput;
use crate::later::LaterColumns;
use crate::numbers::{Numbered, Numbers};
use crate::pk::Key;
use crate::spec::{ColumnSpec, NormFn};
use crate::whole::{Beside, Besides, Whole};

/// The first chunk of a segment takes about this many bytes, the next ones twice the one before.
const FIRST_CHUNK_BYTES: usize = 64 << 10;
/// No chunk is planned larger than this, unless a single row needs it.
const CHUNK_BYTES_MAX: usize = 4 << 20;
/// Chunks hold a multiple of this many rows, so that masks are whole words.
pub(crate) const ROWS_STEP: usize = 64;

/// One run: `[first row, eff, seq, ordinal << 32 | index]` of the rows that one unit brought.
type Run = [u64; 4];

fn run_of(arrival: &Arrival) -> Run {
    let Arrival { row, eff, position, ordinal } = *arrival;
    [u64::from(row), eff.0, position.seq, u64::from(ordinal) << 32 | u64::from(position.index)]
}

fn arrival_of(&[row, eff, seq, word]: &Run) -> Arrival {
    let position = Position { seq, index: word as u32 };
    Arrival { row: row as u32, eff: Timestamp(eff), position, ordinal: (word >> 32) as u32 }
}

/// How many rows of these columns, with so many bytes of different lengths each, make the largest
/// chunk.
pub(crate) fn chunk_rows(specs: &[ColumnSpec], var_row_bytes: usize) -> usize {
    let fixed: usize = specs.iter().map(ColumnSpec::row_bytes).sum();
    let rows = CHUNK_BYTES_MAX / (fixed + var_row_bytes + size_of::<Run>() / 8);
    rows.max(1).next_multiple_of(ROWS_STEP)
}

/// Rows of one partition, immutable up to their number and their delete times.
pub struct Chunk {
    numbers: Numbers,
    capacity: usize,
    columns: Vec<ColumnReader>,
    /// The columns that came after the rows.
    later: LaterColumns,
    runs: Reader<Run>,
    rows: AtomicUsize,
    deleted_at: OnceLock<Box<[AtomicU64]>>,
    /// The sealed segment, and how many of its rows lie before these.
    segment: Option<(Arc<Whole>, usize)>,
    beside: Besides,
}

impl Chunk {
    /// Rows of a sealed segment, in columns that somebody else keeps, with the arrivals of these rows.
    pub(crate) fn frozen(
        (segment, before): (&Arc<Whole>, usize),
        numbers: Numbers,
        columns: Vec<ColumnReader>,
        rows: usize,
        arrivals: &[Arrival],
    ) -> Arc<Chunk> {
        let (mut runs, reader) = buffer(arrivals.len());
        let written = arrivals.iter().all(|arrival| runs.push(&[run_of(arrival)]));
        debug_assert!(written, "the buffer has the length of the arrivals");
        Arc::new(Chunk {
            numbers,
            capacity: rows,
            columns,
            later: LaterColumns::default(),
            runs: reader,
            rows: AtomicUsize::new(rows),
            deleted_at: OnceLock::new(),
            segment: Some((Arc::clone(segment), before)),
            beside: Besides::default(),
        })
    }

    /// The sealed segment that the rows belong to; none while they grow.
    pub fn segment(&self) -> Option<&Arc<Whole>> {
        self.segment.as_ref().map(|(whole, _)| whole)
    }

    /// How many rows of its sealed segment lie before the chunk's; none while the rows grow.
    pub fn rows_before(&self) -> usize {
        self.segment.as_ref().map_or(0, |(_, before)| *before)
    }

    /// What was built for a field of the chunk's rows.
    pub fn beside(&self, field: FieldId) -> Option<Beside> {
        self.beside.get(field)
    }

    /// Puts something beside the rows that there are, as [`Whole::put_beside`].
    pub fn put_beside(&self, field: FieldId, built: Option<Beside>) {
        self.beside.put(field, built);
    }

    /// When the first `rows` rows came, in order; rows are counted from the chunk's first one.
    pub fn arrivals(&self, rows: usize) -> impl Iterator<Item = Arrival> + '_ {
        self.runs.as_slice().iter().take_while(move |run| (run[0] as usize) < rows).map(arrival_of)
    }

    /// The rows that ended, with their times.
    pub(crate) fn ended(&self) -> impl Iterator<Item = (usize, Timestamp)> + '_ {
        let times = self.deleted_at.get().into_iter().flatten().enumerate();
        let times = times.map(|(row, at)| (row, Timestamp(at.load(Ordering::Relaxed))));
        times.filter(|(_, at)| at.0 != 0)
    }

    /// Number of the chunk's first row in its partition.
    pub fn first_row(&self) -> u32 {
        self.numbers.first()
    }

    /// Number of a row in the partition: for ever the same, whatever rows are dropped around it.
    pub fn number(&self, row: usize) -> u32 {
        self.numbers.number(row as u32)
    }

    /// The row with a number in the partition, if the chunk has it.
    pub fn row_of(&self, number: u32) -> Option<usize> {
        let row = self.numbers.row(number)? as usize;
        (row < self.rows()).then_some(row)
    }

    /// The number behind that of the last row.
    pub fn end_row(&self) -> u32 {
        let rows = self.rows();
        rows.checked_sub(1).map_or(self.first_row(), |last| self.number(last) + 1)
    }

    /// Whether the numbers of the rows follow one another.
    pub fn is_dense(&self) -> bool {
        self.numbers.is_dense()
    }

    /// The rows `from..to` as runs of rows whose numbers follow one another, with their lengths.
    pub fn runs_of(&self, from: usize, to: usize) -> impl Iterator<Item = (Numbered, u32)> + '_ {
        self.numbers.runs(from as u32, to as u32)
    }

    /// Number of rows published.
    pub fn rows(&self) -> usize {
        self.rows.load(Ordering::Acquire)
    }

    /// Bytes of the rows, of which each has `row_bytes` beside its values of different lengths.
    pub(crate) fn bytes(&self, row_bytes: usize) -> usize {
        let var: usize = self.columns.iter().map(ColumnReader::var_bytes).sum();
        self.rows() * row_bytes + var
    }

    /// Number of rows inserted by `as_of`: a prefix of the chunk.
    pub fn rows_at(&self, as_of: Timestamp) -> usize {
        let rows = self.rows();
        let runs = self.runs.as_slice();
        let later = runs.partition_point(|run| run[1] <= as_of.0);
        runs.get(later).map_or(rows, |run| (run[0] as usize).min(rows))
    }

    /// Number of columns that the rows came with; those behind are the same for all of them.
    pub fn own_columns(&self) -> usize {
        self.columns.len()
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.columns.len() + self.later.len()
    }

    /// The columns that came after the rows.
    pub(crate) fn later(&self) -> &LaterColumns {
        &self.later
    }

    fn reader(&self, index: usize) -> &ColumnReader {
        let own = self.columns.len();
        let later = index.checked_sub(own).and_then(|index| self.later.get(index));
        later.unwrap_or_else(|| &self.columns[index])
    }

    /// The first `rows` values of the column at `index` of the specs.
    ///
    /// # Panics
    /// When `rows` exceeds what [`Chunk::rows`] said, or there is no such column.
    pub fn column(&self, index: usize, rows: usize) -> ColumnSlice<'_> {
        self.reader(index).slice(rows)
    }

    /// Which of the first `rows` rows have a value in the column at `index`, one byte a row, 1 for a
    /// value and 0 for null; `None` when no row that the chunk holds is null.
    ///
    /// # Panics
    /// As [`Chunk::column`].
    pub fn validity(&self, index: usize, rows: usize) -> Option<&[u8]> {
        self.reader(index).validity(rows)
    }

    /// The value of a row in the column at `index`, as a batch has it; `None` for null.
    pub(crate) fn value(&self, index: usize, row: usize) -> Option<&[u8]> {
        let column = self.reader(index);
        column.is_valid(row).then(|| column.value(row))
    }

    /// Sets the bits of the first `rows` rows that are not deleted at `as_of`.
    pub(crate) fn mask(&self, rows: usize, as_of: Timestamp) -> Vec<u64> {
        let mut mask = vec![u64::MAX; rows.div_ceil(64)];
        if let Some(last) = mask.last_mut()
            && !rows.is_multiple_of(64)
        {
            *last = (1 << (rows % 64)) - 1;
        }
        if let Some(deleted_at) = self.deleted_at.get() {
            for (word, times) in mask.iter_mut().zip(deleted_at[..rows].chunks(64)) {
                let dead = times.iter().enumerate().fold(0u64, |dead, (bit, at)| {
                    let at = at.load(Ordering::Relaxed);
                    dead | (u64::from(at != 0 && at <= as_of.0) << bit)
                });
                *word &= !dead;
            }
        }
        mask
    }

    /// Clears the bits of the rows that came by `expired`, which are the first ones.
    pub(crate) fn expire(&self, mask: &mut [u64], expired: Timestamp) {
        let mut gone = self.rows_at(expired);
        for word in mask {
            *word = if gone >= 64 { 0 } else { *word & (u64::MAX << gone) };
            gone = gone.saturating_sub(64);
        }
    }

    /// Whether a row was inserted by `as_of` and not deleted by then.
    pub(crate) fn is_visible(&self, row: usize, as_of: Timestamp) -> bool {
        let ended = self.deleted_at.get().and_then(|times| times.get(row));
        let ended = ended.map_or(0, |at| at.load(Ordering::Relaxed));
        row < self.rows_at(as_of) && (ended == 0 || ended > as_of.0)
    }

    /// Whether a row ended, at whatever time.
    pub(crate) fn is_ended(&self, row: usize) -> bool {
        let ended = self.deleted_at.get().and_then(|times| times.get(row));
        ended.is_some_and(|at| at.load(Ordering::Relaxed) != 0)
    }

    /// The log position that brought a row.
    pub fn position(&self, row: usize) -> Position {
        let runs = self.runs.as_slice();
        let after = runs.partition_point(|run| run[0] as usize <= row);
        let run = after.checked_sub(1).and_then(|i| runs.get(i));
        run.map_or_else(Position::default, |run| arrival_of(run).position)
    }

    /// The key of a row, from the column at `pk`.
    ///
    /// # Panics
    /// When there is no such row or column.
    pub fn key(&self, pk: usize, row: usize) -> Key<'_> {
        key_at(&self.columns[pk].slice(row + 1), row)
    }

    /// Ends a row: `delete_ts = min(existing, eff)`. Only the shard's writer calls this.
    pub(crate) fn end(&self, row: usize, eff: Timestamp) {
        let times =
            self.deleted_at.get_or_init(|| (0..self.capacity).map(|_| AtomicU64::new(0)).collect());
        let existing = times[row].load(Ordering::Relaxed);
        if existing == 0 || eff.0 < existing {
            times[row].store(eff.0, Ordering::Release);
        }
    }
}

/// The key in a pk column's slice.
pub(crate) fn key_at<'a>(slice: &ColumnSlice<'a>, row: usize) -> Key<'a> {
    match *slice {
        ColumnSlice::Int64(values) => Key::Int(values[row]),
        ColumnSlice::Var { offsets, bytes } => {
            Key::Text(&bytes[offsets[row] as usize..offsets[row + 1] as usize])
        }
        _ => Key::Text(&[]),
    }
}

/// The one writer of a chunk.
pub(crate) struct ChunkWriter {
    pub(crate) chunk: Arc<Chunk>,
    columns: Vec<ColumnWriter>,
    runs: Writer<Run>,
}

impl ChunkWriter {
    /// Makes a chunk behind `before`, sized for rows like the `sample` at `from`.
    pub(crate) fn new(
        specs: &[ColumnSpec],
        first_row: u32,
        before: Option<&ChunkWriter>,
        sample: &[ColumnInput<'_>],
        (from, to): (usize, usize),
    ) -> ChunkWriter {
        let fixed: usize =
            specs.iter().map(ColumnSpec::row_bytes).sum::<usize>() + size_of::<Run>() / 8;
        let var: usize = sample.iter().map(|input| input.values.var_bytes(from, to)).sum();
        let row_bytes = fixed + var / (to - from).max(1);
        let planned = before.map_or(FIRST_CHUNK_BYTES / row_bytes, |b| b.chunk.capacity * 2);
        let capacity = planned.min(CHUNK_BYTES_MAX / row_bytes).max(1).next_multiple_of(ROWS_STEP);
        let mut writers = Vec::with_capacity(specs.len());
        let mut readers = Vec::with_capacity(specs.len());
        for (spec, input) in specs.iter().zip(sample) {
            let mean = input.values.var_bytes(from, to) / (to - from).max(1);
            // Half as much again as the sample needs, no more than a few rows of great length can
            // fill, and room for the first row in any case.
            let room = (mean + mean / 2 + 1).saturating_mul(capacity).min(2 * CHUNK_BYTES_MAX);
            let var_bytes = room.max(input.values.var_bytes(from, from + 1));
            let (writer, reader) = column(spec, capacity, var_bytes);
            writers.push(writer);
            readers.push(reader);
        }
        let (runs, runs_reader) = buffer(capacity);
        let chunk = Arc::new(Chunk {
            numbers: Numbers::dense(first_row),
            capacity,
            columns: readers,
            later: LaterColumns::default(),
            runs: runs_reader,
            rows: AtomicUsize::new(0),
            deleted_at: OnceLock::new(),
            segment: None,
            beside: Besides::default(),
        });
        ChunkWriter { chunk, columns: writers, runs }
    }

    /// Rows written so far.
    pub(crate) fn rows(&self) -> usize {
        self.chunk.rows.load(Ordering::Relaxed)
    }

    /// How many of the rows `from..to` fit, in all columns.
    pub(crate) fn fitting(&self, inputs: &[ColumnInput<'_>], from: usize, to: usize) -> usize {
        let mut count = (self.chunk.capacity - self.rows()).min(to - from);
        for (writer, input) in self.columns.iter().zip(inputs) {
            let room = writer.var_room();
            if input.values.var_bytes(from, from + count) > room {
                // Offsets grow, so the last count that fits is found by halving.
                let (mut fits, mut over) = (0, count);
                while over - fits > 1 {
                    let middle = fits + (over - fits) / 2;
                    if input.values.var_bytes(from, from + middle) <= room {
                        fits = middle;
                    } else {
                        over = middle;
                    }
                }
                count = fits;
            }
        }
        count
    }

    /// Appends rows `from..to`, which [`ChunkWriter::fitting`] said fit, and publishes them.
    pub(crate) fn append(
        &mut self,
        inputs: &[ColumnInput<'_>],
        (from, to): (usize, usize),
        (eff, position, ordinal): (Timestamp, Position, u32),
        norms: NormFn,
    ) -> bool {
        let before = self.rows();
        let columns = self.columns.iter_mut().zip(&self.chunk.columns);
        for ((writer, reader), input) in columns.zip(inputs) {
            if !writer.append(reader, input, (from, to), before, norms) {
                return false;
            }
        }
        let arrival = Arrival { row: before as u32, eff, position, ordinal };
        if !self.runs.push(&[run_of(&arrival)]) {
            return false;
        }
        self.chunk.rows.store(before + (to - from), Ordering::Release);
        true
    }
}
