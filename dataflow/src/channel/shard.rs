//! One shard on its channel: what its records do to its rows.

mod dynamic;

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashSet;
use millstream_catalog::model::{CollectionSchema, Fault, FieldId, PartitionId, Timestamp};
use millstream_log::{Column, ColumnData, Kind, Record};
use millstream_segment::{
    Applied, Batch, ColumnInput, ColumnSpec, Ends, Input, Key, Keys, NormFn, Origins, Run, Scope,
    ShardView, ShardWriter, WriteError,
};

use self::dynamic::Dynamic;
use super::Waiting;
use super::seal::Files;
use super::texts::Texts;
use crate::read::ReadShard;
use crate::records::{ALL_PARTITIONS, OLD_KEYS, decode_runs, incomplete};

/// An update that can be applied.
struct Update<'r> {
    record: &'r Record,
    columns: Vec<Column>,
    origins: Origins,
    dynamic: Dynamic,
    runs: Vec<Run>,
}

/// The state of a shard: its rows, the indexes of their texts, and the units that wait for it.
pub(super) struct Shard {
    schema: Arc<CollectionSchema>,
    /// The dynamic field and the place of its column.
    dynamic: Option<(FieldId, usize)>,
    pub(super) writer: ShardWriter,
    pub(super) view: Arc<ShardView>,
    texts: Texts,
    pub(super) waiting: VecDeque<Waiting>,
    /// Whether the first of `waiting` waits for the rows of a filter delete.
    pub(super) finding: bool,
    pub(super) dropped: HashSet<PartitionId>,
    /// The intent of the last truncation: one that is published again ends nothing more.
    pub(super) truncated: i64,
    /// What of it is written out.
    pub(super) files: Files,
}

impl Shard {
    /// A shard without rows.
    pub(super) fn new(schema: Arc<CollectionSchema>, norms: NormFn) -> Result<Shard, String> {
        let (specs, pk) = ColumnSpec::of_schema(&schema).map_err(|e| e.to_string())?;
        Shard::over(schema, ShardWriter::new(specs, pk, norms), HashSet::new())
    }

    /// A shard over rows that were written out, with the partitions of it that were dropped.
    pub(super) fn over(
        schema: Arc<CollectionSchema>,
        writer: ShardWriter,
        dropped: HashSet<PartitionId>,
    ) -> Result<Shard, String> {
        let view = writer.view();
        let specs = view.specs();
        let mut texts = Texts::new(&schema, &specs)?;
        for rows in writer.all() {
            texts.append(&writer, rows);
        }
        let dynamic = specs.iter().position(|spec| spec.merges);
        let dynamic = dynamic.map(|place| (specs[place].field, place));
        let (waiting, finding) = (VecDeque::new(), false);
        let files = Files::default();
        let truncated = 0;
        Ok(Shard {
            schema,
            dynamic,
            writer,
            view,
            texts,
            waiting,
            finding,
            dropped,
            truncated,
            files,
        })
    }

    /// The schema of the rows.
    pub(super) fn schema(&self) -> &Arc<CollectionSchema> {
        &self.schema
    }

    /// Takes a newer schema, which only adds fields: rows that are there have their defaults, or
    /// null. One that is not newer changes nothing.
    pub(super) fn set_schema(&mut self, schema: Arc<CollectionSchema>) -> Result<(), String> {
        if schema.version <= self.schema.version {
            return Ok(());
        }
        let (mut specs, _) = ColumnSpec::of_schema(&schema).map_err(|e| e.to_string())?;
        let known = self.view.specs().len();
        if specs.get(..known) != Some(&self.view.specs()[..]) {
            let version = schema.version;
            return Err(format!("schema version {version} does not only add fields at the end"));
        }
        self.writer.add_columns(specs.split_off(known)).map_err(|e| e.to_string())?;
        self.texts.add_columns(&schema, known, &self.writer)?;
        self.schema = schema;
        Ok(())
    }

    /// The readers' ends.
    pub(super) fn read(&self) -> ReadShard {
        ReadShard { view: Arc::clone(&self.view), found: None, texts: self.texts.refs() }
    }

    /// Frees what was dropped at or before `since`; whether there was something.
    pub(super) fn release_dropped(&mut self, since: Timestamp) -> bool {
        let released = self.writer.release_dropped(since);
        released.iter().for_each(|slot| self.texts.release(*slot));
        !released.is_empty()
    }

    /// Whether a record carries rows for this shard; an error when it cannot be understood.
    fn applies(&self, record: &Record) -> Result<bool, String> {
        if record.schema_version() > self.schema.version {
            return Err(format!("schema version {} was never announced", record.schema_version()));
        }
        Ok(!self.dropped.contains(&record.partition()))
    }

    /// Applies a record that carries columns and is no update; the changes of its partitions.
    pub(super) fn rows(&mut self, eff: Timestamp, record: &Record) -> Result<Vec<Applied>, String> {
        if !self.applies(record)? {
            return Ok(Vec::new());
        }
        let (partition, rows) = (record.partition(), record.rows() as usize);
        let columns: Vec<Column> = record.columns().collect();
        let inputs = inputs(&columns);
        let batch = Batch { rows, columns: &inputs };
        let mut changed = Vec::new();
        let appended = match record.kind() {
            Kind::Insert => self.writer.insert_runs(&runs(record)?, eff, &batch, &mut changed),
            Kind::Upsert => {
                let ends = self.ends(partition, &batch);
                self.writer.upsert_runs(&runs(record)?, eff, &ends, &batch, &mut changed)
            }
            Kind::Delete => {
                let pk = self.schema.primary().and_then(|pk| batch.column(pk.id));
                let keys = Keys::new(pk.ok_or("a delete has no keys")?.values, rows);
                let scope = match partition {
                    ALL_PARTITIONS => Scope::All,
                    one => Scope::Partition(one),
                };
                self.writer.delete(scope, eff, keys, &mut changed);
                return Ok(changed);
            }
            Kind::Seal | Kind::Ddl | Kind::Update => return Ok(changed),
        };
        for rows in appended.map_err(|e| e.to_string())? {
            self.texts.append(&self.writer, rows);
        }
        Ok(changed)
    }

    /// Applies the updates of one unit: all of their rows, or none when one of them lacks a value or
    /// has a dynamic field that becomes too large. Its outcome for the client, and the changes of the
    /// partitions.
    pub(super) fn update(
        &mut self,
        eff: Timestamp,
        records: &[Record],
    ) -> Result<(Result<u64, Fault>, Vec<Applied>), String> {
        let mut changed = Vec::new();
        let mut updates: Vec<Update<'_>> = Vec::with_capacity(records.len());
        let key = self.schema.partition_key().map(|key| key.id);
        for record in records {
            if !self.applies(record)? {
                continue;
            }
            let columns: Vec<Column> = record.columns().collect();
            let inputs = inputs(&columns);
            let batch = Batch { rows: record.rows() as usize, columns: &inputs };
            let ends = self.ends(record.partition(), &batch);
            let origins = match self.writer.origins(eff, &ends, &batch) {
                Ok(origins) => origins,
                Err(WriteError::Incomplete { row, field }) => {
                    return Ok((Err(self.incomplete(&ends, &batch, row, field)), changed));
                }
                Err(other) => return Err(other.to_string()),
            };
            let stays = key.is_some_and(|key| batch.column(key).is_none());
            let runs = match stays {
                true => self.writer.runs_of(&origins, batch.rows, record.partition()),
                false => runs(record)?,
            };
            match dynamic::merge(&self.writer, self.dynamic, &batch, &origins) {
                Ok(dynamic) => updates.push(Update { record, columns, origins, dynamic, runs }),
                Err(fault) => return Ok((Err(fault), changed)),
            }
        }
        let mut rows = 0;
        for Update { record, columns, origins, dynamic, runs } in &updates {
            let mut inputs = inputs(columns);
            dynamic.put(&mut inputs);
            let batch = Batch { rows: record.rows() as usize, columns: &inputs };
            let ends = self.ends(record.partition(), &batch);
            let made = (&batch, origins);
            let appended = self.writer.update_runs(runs, eff, &ends, made, &mut changed);
            for rows in appended.map_err(|e| e.to_string())? {
                self.texts.append(&self.writer, rows);
            }
            rows += u64::from(record.rows());
        }
        Ok((Ok(rows), changed))
    }

    /// The rows that a batch of new rows ends.
    fn ends<'a>(&self, partition: PartitionId, batch: &Batch<'a>) -> Ends<'a> {
        let by_key = self.schema.partition_key().is_some();
        let scope = if by_key { Scope::All } else { Scope::Partition(partition) };
        let keys = batch.column(OLD_KEYS).map(|old| Keys::new(old.values, batch.rows));
        Ends { scope, keys }
    }

    fn incomplete(&self, ends: &Ends<'_>, batch: &Batch<'_>, row: usize, field: FieldId) -> Fault {
        let pk = self.schema.primary().and_then(|pk| batch.column(pk.id));
        let keys = ends.keys.or(pk.map(|pk| Keys::new(pk.values, batch.rows)));
        let key = match keys.map(|keys| keys.get(row)) {
            Some(Key::Int(key)) => key.to_string(),
            Some(Key::Text(key)) => String::from_utf8_lossy(key).into_owned(),
            None => String::new(),
        };
        let field = self.schema.field_by_id(field).map_or("", |field| field.name.as_str());
        incomplete(field, &key)
    }
}

/// Which rows of a record go to which partition.
fn runs(record: &Record) -> Result<Vec<Run>, String> {
    match record.blob() {
        None => Ok(vec![Run { partition: record.partition(), rows: record.rows() }]),
        Some(blob) => {
            let run = |(partition, rows)| Run { partition, rows };
            Ok(decode_runs(&blob)?.into_iter().map(run).collect())
        }
    }
}

fn inputs(columns: &[Column]) -> Vec<(FieldId, ColumnInput<'_>)> {
    columns.iter().map(|column| (column.field, input(column))).collect()
}

fn input(column: &Column) -> ColumnInput<'_> {
    let values = match &column.data {
        ColumnData::Fixed { bytes, .. } => Input::Fixed(bytes),
        ColumnData::Var { offsets, bytes } => Input::Var { offsets, bytes },
    };
    ColumnInput { values, validity: column.validity.as_deref() }
}

#[cfg(test)]
mod tests;
