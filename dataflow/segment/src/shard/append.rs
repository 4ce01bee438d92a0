//! Rows that come: inserts, upserts, and updates that complete their rows from older ones.

use std::sync::Arc;

use millstream_catalog::model::{PartitionId, Timestamp};

use super::{Applied, Ends, Run, ShardWriter, WriteError, key_in, note};
use crate::RowRef;
use crate::fill::{Filled, Origin};
use crate::input::{Batch, ColumnInput};
use crate::pk::Keys;
use crate::rows::ChunkWriter;
use crate::spec::ColumnSpec;

/// Missing values of at most about this many bytes are copied before they are appended.
const FILL_BYTES: usize = 4 << 20;

/// Where rows were appended: `rows` rows of a partition from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The first of the rows.
    pub first: RowRef,
    /// Number of rows.
    pub rows: u32,
}

/// The older rows that the rows of an update take their missing values from.
#[derive(Debug, Default)]
pub struct Origins(Vec<Option<RowRef>>);

/// What the only run appended.
fn only(mut appended: Vec<Appended>) -> Appended {
    appended.pop().unwrap_or(Appended { first: RowRef { slot: 0, row: 0 }, rows: 0 })
}

fn check_runs(runs: &[Run], batch: &Batch<'_>) -> Result<(), WriteError> {
    let actual = runs.iter().map(|run| run.rows as usize).sum();
    if actual == batch.rows { Ok(()) } else { Err(WriteError::Runs { rows: batch.rows, actual }) }
}

impl ShardWriter {
    /// Appends rows, and adds the change to `changed`. Never de-duplicates.
    ///
    /// # Errors
    /// [`WriteError`], and nothing is changed, when the batch does not fit the columns.
    pub fn insert(
        &mut self,
        partition: PartitionId,
        eff: Timestamp,
        batch: &Batch<'_>,
        changed: &mut Vec<Applied>,
    ) -> Result<Appended, WriteError> {
        let run = [Run { partition, rows: batch.rows as u32 }];
        self.insert_runs(&run, eff, batch, changed).map(only)
    }

    /// As [`ShardWriter::insert`], into several partitions.
    ///
    /// # Errors
    /// As [`ShardWriter::insert`], also when the runs are not as long as the batch.
    pub fn insert_runs(
        &mut self,
        runs: &[Run],
        eff: Timestamp,
        batch: &Batch<'_>,
        changed: &mut Vec<Applied>,
    ) -> Result<Vec<Appended>, WriteError> {
        self.check_whole(batch)?;
        check_runs(runs, batch)?;
        self.append_runs(runs, eff, (batch, &Origins::default()), changed)
    }

    /// Ends the live rows that `ends` names, then appends the new rows.
    ///
    /// # Errors
    /// As [`ShardWriter::insert`].
    pub fn upsert(
        &mut self,
        partition: PartitionId,
        eff: Timestamp,
        ends: &Ends<'_>,
        batch: &Batch<'_>,
        changed: &mut Vec<Applied>,
    ) -> Result<Appended, WriteError> {
        let run = [Run { partition, rows: batch.rows as u32 }];
        self.upsert_runs(&run, eff, ends, batch, changed).map(only)
    }

    /// As [`ShardWriter::upsert`], into several partitions.
    ///
    /// # Errors
    /// As [`ShardWriter::insert_runs`].
    pub fn upsert_runs(
        &mut self,
        runs: &[Run],
        eff: Timestamp,
        ends: &Ends<'_>,
        batch: &Batch<'_>,
        changed: &mut Vec<Applied>,
    ) -> Result<Vec<Appended>, WriteError> {
        self.check_whole(batch)?;
        self.update_runs(runs, eff, ends, (batch, &Origins::default()), changed)
    }

    /// Finds, for each row of `batch`, the newest live row of the key that `ends` names for it,
    /// among those applied before this unit that are not expired at `eff`, its time: what
    /// [`ShardWriter::update`] completes it from.
    ///
    /// # Errors
    /// [`WriteError::Incomplete`] for the first row that cannot be completed;
    /// [`WriteError::Column`] when the batch does not fit the columns.
    pub fn origins(
        &self,
        eff: Timestamp,
        ends: &Ends<'_>,
        batch: &Batch<'_>,
    ) -> Result<Origins, WriteError> {
        self.check(batch)?;
        let keys = self.ending(ends, batch)?;
        let merges = |spec: &ColumnSpec| spec.merges && batch.column(spec.field).is_some();
        if self.lacking(batch).next().is_none() && !self.specs.iter().any(merges) {
            return Ok(Origins::default());
        }
        let before = self.before_this_unit(ends.scope);
        let key_of = |row| key_in(&self.partitions, self.pk, row);
        let expired = self.view.expired_through(eff);
        let lives = |row| before(row) && !self.is_expired(row, expired);
        let newest = |i| self.index.rows(keys.get(i), key_of).find(|row| lives(*row));
        let origins: Vec<_> = (0..batch.rows).map(newest).collect();
        if let Some(row) = origins.iter().position(Option::is_none)
            && let Some(spec) = self.lacking(batch).find(|spec| spec.is_required())
        {
            return Err(WriteError::Incomplete { row, field: spec.field });
        }
        Ok(Origins(origins))
    }

    /// Ends the live rows that `ends` names, then appends the rows of `batch`, each completed from
    /// its origin. Missing values are copied one column after the other.
    ///
    /// # Errors
    /// As [`ShardWriter::insert`].
    pub fn update(
        &mut self,
        partition: PartitionId,
        eff: Timestamp,
        ends: &Ends<'_>,
        (batch, origins): (&Batch<'_>, &Origins),
        changed: &mut Vec<Applied>,
    ) -> Result<Appended, WriteError> {
        let run = [Run { partition, rows: batch.rows as u32 }];
        self.update_runs(&run, eff, ends, (batch, origins), changed).map(only)
    }

    /// As [`ShardWriter::update`], into several partitions.
    ///
    /// # Errors
    /// As [`ShardWriter::insert_runs`].
    pub fn update_runs(
        &mut self,
        runs: &[Run],
        eff: Timestamp,
        ends: &Ends<'_>,
        (batch, origins): (&Batch<'_>, &Origins),
        changed: &mut Vec<Applied>,
    ) -> Result<Vec<Appended>, WriteError> {
        let keys = self.ending(ends, batch)?;
        check_runs(runs, batch)?;
        self.end_keys(ends.scope, eff, keys, changed);
        self.append_runs(runs, eff, (batch, origins), changed)
    }

    /// The runs of a batch whose rows stay where their origins are; a row without one goes to
    /// `other`.
    pub fn runs_of(&self, origins: &Origins, rows: usize, other: PartitionId) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for row in 0..rows {
            let origin = origins.0.get(row).copied().flatten();
            let partition = origin.and_then(|o| Some(self.partitions.get(o.slot as usize)?.id));
            let partition = partition.unwrap_or(other);
            match runs.last_mut().filter(|run| run.partition == partition) {
                Some(run) => run.rows += 1,
                None => runs.push(Run { partition, rows: 1 }),
            }
        }
        runs
    }

    /// The value that the origin of a row has in the column at `index`, as a batch has it; `None`
    /// for null, and for a row without an origin.
    pub fn older(&self, origins: &Origins, row: usize, index: usize) -> Option<&[u8]> {
        let origin = origins.0.get(row).copied().flatten()?;
        let (chunk, offset) = self.partitions.get(origin.slot as usize)?.locate(origin.row)?;
        chunk.value(index, offset)
    }

    /// The values of rows in the column at `index`, as a batch has them; `None` for null, and for
    /// rows that are gone.
    pub fn values(&self, rows: Appended, index: usize) -> impl Iterator<Item = Option<&[u8]>> + '_ {
        let partition = self.partitions.get(rows.first.slot as usize);
        let numbers = rows.first.row..rows.first.row.saturating_add(rows.rows);
        numbers.map(move |row| {
            let (chunk, offset) = partition?.locate(row)?;
            chunk.value(index, offset)
        })
    }

    /// Whether a row came by `expired`.
    fn is_expired(&self, row: RowRef, expired: Timestamp) -> bool {
        let partition = self.partitions.get(row.slot as usize);
        let found = partition.filter(|_| expired > Timestamp::MIN).and_then(|p| p.locate(row.row));
        found.is_some_and(|(chunk, offset)| offset < chunk.rows_at(expired))
    }

    /// The keys that a batch ends, one a row.
    fn ending<'a>(&self, ends: &Ends<'a>, batch: &Batch<'a>) -> Result<Keys<'a>, WriteError> {
        let pk = self.specs[self.pk].field;
        let own = batch.column(pk).map(|input| Keys::new(input.values, batch.rows));
        ends.keys.or(own).filter(|keys| keys.len() == batch.rows).ok_or(WriteError::Column(pk))
    }

    /// The columns that a batch does not have.
    fn lacking<'s>(&'s self, batch: &'s Batch<'_>) -> impl Iterator<Item = &'s ColumnSpec> {
        self.specs.iter().filter(|spec| batch.column(spec.field).is_none())
    }

    /// Checks the columns that a batch has.
    fn check(&self, batch: &Batch<'_>) -> Result<(), WriteError> {
        let fits = |spec: &ColumnSpec| match batch.column(spec.field) {
            Some(input) => input.fits(spec, batch.rows),
            None => spec.field != self.specs[self.pk].field,
        };
        match self.specs.iter().find(|spec| !fits(spec)) {
            Some(spec) => Err(WriteError::Column(spec.field)),
            None => Ok(()),
        }
    }

    /// Checks a batch whose missing columns have no older rows to come from.
    fn check_whole(&self, batch: &Batch<'_>) -> Result<(), WriteError> {
        self.check(batch)?;
        match self.lacking(batch).find(|spec| spec.is_required()) {
            Some(spec) => Err(WriteError::Column(spec.field)),
            None => Ok(()),
        }
    }

    /// Appends the rows of a checked batch, run by run.
    fn append_runs(
        &mut self,
        runs: &[Run],
        eff: Timestamp,
        source: (&Batch<'_>, &Origins),
        changed: &mut Vec<Applied>,
    ) -> Result<Vec<Appended>, WriteError> {
        let mut appended = Vec::with_capacity(runs.len());
        let mut from = 0;
        for run in runs {
            let slot = self.slot(run.partition)?;
            let to = from + run.rows as usize;
            appended.push(self.append_all(slot, eff, source, (from, to), changed)?);
            from = to;
        }
        Ok(appended)
    }

    /// Appends rows of a checked batch, a bounded number of them at a time when missing values must
    /// be copied first.
    fn append_all(
        &mut self,
        slot: u32,
        eff: Timestamp,
        (batch, origins): (&Batch<'_>, &Origins),
        (mut from, end): (usize, usize),
        changed: &mut Vec<Applied>,
    ) -> Result<Appended, WriteError> {
        let rows = (end - from) as u32;
        let specs = Arc::clone(&self.specs);
        let lacks: Vec<bool> =
            specs.iter().map(|spec| batch.column(spec.field).is_none()).collect();
        let row = self.partitions[slot as usize].rows;
        while from < end {
            let mut filled: Vec<Option<Filled>> = Vec::new();
            let mut to = end;
            if lacks.contains(&true) {
                let places = self.places(origins, (from, end), &lacks);
                to = from + places.len();
                let fill = |(index, spec): (usize, &ColumnSpec)| {
                    lacks[index].then(|| Filled::new(spec, index, &places))
                };
                filled = specs.iter().enumerate().map(fill).collect();
            }
            let input = |(index, spec): (usize, &ColumnSpec)| {
                let made = filled.get(index).and_then(Option::as_ref).map(Filled::input);
                let given = || batch.column(spec.field).map(|input| input.range(spec, from, to));
                made.or_else(given).ok_or(WriteError::Column(spec.field))
            };
            let inputs: Vec<ColumnInput<'_>> =
                specs.iter().enumerate().map(input).collect::<Result<_, _>>()?;
            self.append(slot, eff, &inputs, to - from, changed)?;
            from = to;
        }
        Ok(Appended { first: RowRef { slot, row }, rows })
    }

    /// Where the missing values of rows from `from` on come from: at least one row, and no more
    /// than [`FILL_BYTES`] hold.
    fn places(
        &self,
        origins: &Origins,
        (from, end): (usize, usize),
        lacks: &[bool],
    ) -> Vec<Origin<'_>> {
        let missing = || self.specs.iter().enumerate().filter(|(index, _)| lacks[*index]);
        let fixed: usize = missing().map(|(_, spec)| spec.row_bytes()).sum();
        let mut bytes = 0;
        let mut places = Vec::new();
        for row in from..end {
            let origin = origins.0.get(row).copied().flatten();
            let place = origin.and_then(|o| self.partitions.get(o.slot as usize)?.locate(o.row));
            let place = place.map(|(chunk, offset)| (chunk.as_ref(), offset));
            let length = |(index, spec): (usize, &ColumnSpec)| match (spec.width(), place) {
                (Some(_), _) => 0,
                (None, Some((chunk, offset))) => chunk.value(index, offset).map_or(0, <[u8]>::len),
                (None, None) => spec.default.as_ref().map_or(0, |default| default.len()),
            };
            bytes += fixed + missing().map(length).sum::<usize>();
            if bytes > FILL_BYTES && !places.is_empty() {
                break;
            }
            places.push(place);
        }
        places
    }

    fn append(
        &mut self,
        slot: u32,
        eff: Timestamp,
        inputs: &[ColumnInput<'_>],
        rows: usize,
        changed: &mut Vec<Applied>,
    ) -> Result<(), WriteError> {
        let partition = &mut self.partitions[slot as usize];
        let first = partition.rows;
        first.checked_add(rows as u32).ok_or(WriteError::Full)?;
        if partition.appended.0 != self.applied {
            partition.appended = (self.applied, first);
        }
        let mut from = 0;
        let ordinal = self.ordinal;
        self.ordinal = ordinal.saturating_add(rows as u32);
        while from < rows {
            let fitting = partition.last.as_ref().map_or(0, |w| w.fitting(inputs, from, rows));
            if fitting == 0 {
                let before = partition.last.as_ref();
                let writer =
                    ChunkWriter::new(&self.specs, partition.rows, before, inputs, (from, rows));
                partition.chunks.push(Arc::clone(&writer.chunk));
                partition.view.chunks.store(Arc::new(partition.chunks.clone()));
                partition.last = Some(writer);
                continue;
            }
            let to = from + fitting;
            let writer = partition.last.as_mut().ok_or(WriteError::Full)?;
            let arrival = (eff, self.applied, ordinal.saturating_add(from as u32));
            if !writer.append(inputs, (from, to), arrival, self.norms) {
                return Err(WriteError::Full);
            }
            partition.rows += fitting as u32;
            from = to;
        }
        partition.live += rows as i64;
        note(changed, partition.id, rows as i64);
        self.index_rows(slot, first, Keys::new(inputs[self.pk].values, rows));
        Ok(())
    }

    /// Enters new rows into the pk index, and into the list of duplicates where they are some.
    fn index_rows(&mut self, slot: u32, first: u32, keys: Keys<'_>) {
        for i in 0..keys.len() {
            self.index_row(RowRef { slot, row: first + i as u32 }, keys.get(i));
        }
    }
}
