//! Writes: from checked columns to records, one for each shard that gets rows, or a few.
//!
//! Vectors and floats go from the request's own bytes into the record with one copy; with several
//! shards the rows of each are gathered straight into its record.

mod draw;
mod keys;

use millstream_catalog::model::{
    ChannelId, Code, Collection, DataType, Fault, FieldId, PartitionId,
};
use millstream_dataflow::records::{ALL_PARTITIONS, OLD_KEYS, PARTITIONS, encode_runs};
use millstream_dataflow::shard;
use millstream_expr::PkList;
use millstream_log::{BuildError, Kind, RECORD_BYTES_MAX, Record, RecordBuilder, UNIT_BYTES_MAX};

pub use self::draw::Draw;
pub use self::keys::{Destination, pruned};
use crate::convert::columns::{Batch, BatchColumn, BatchValues};
use crate::convert::var_column::VarColumn;

/// Records by channel, as the writer takes them.
pub type Units = Vec<(ChannelId, Vec<Record>)>;

/// The primary keys of a batch.
pub fn pks_of(batch: &Batch, pk: FieldId) -> Result<PkList, Fault> {
    let column = batch.columns.iter().find(|c| c.field == pk);
    column.and_then(keys_of).ok_or_else(|| Fault::internal("the batch has no primary key"))
}

fn keys_of(column: &BatchColumn) -> Option<PkList> {
    match &column.values {
        BatchValues::Long(keys) => Some(PkList::Int(keys.clone())),
        BatchValues::Var(texts) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Some(PkList::Text(texts.values().map(text).collect()))
        }
        _ => None,
    }
}

/// Refuses rows that name the same key twice: an upsert of both has no one answer.
pub fn check_unique(batch: &Batch, pk: FieldId) -> Result<(), Fault> {
    let repeated = match batch.columns.iter().find(|c| c.field == pk).map(|c| &c.values) {
        Some(BatchValues::Long(keys)) => has_repeated(keys.clone()),
        Some(BatchValues::Var(texts)) => has_repeated(texts.values().collect()),
        _ => false,
    };
    let words = "duplicate primary keys are not allowed in the same batch";
    if repeated { Err(Fault::invalid(words)) } else { Ok(()) }
}

fn has_repeated<T: Ord>(mut keys: Vec<T>) -> bool {
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// The column of primary keys.
pub fn key_column(pk: FieldId, keys: &PkList) -> BatchColumn {
    let (data_type, values) = match keys {
        PkList::Int(keys) => (DataType::Int64, BatchValues::Long(keys.clone())),
        PkList::Text(keys) => (DataType::VarChar, BatchValues::Var(VarColumn::from_texts(keys))),
    };
    BatchColumn { field: pk, data_type, values, validity: None }
}

/// Gives the rows new keys; those they have become the old ones, whose rows end.
pub fn replace_keys(batch: &mut Batch, pk: FieldId, keys: &PkList) {
    if let Some(old) = batch.columns.iter_mut().find(|c| c.field == pk) {
        old.field = OLD_KEYS;
    }
    batch.columns.push(key_column(pk, keys));
}

/// The number of keys in a list.
pub fn key_count(keys: &PkList) -> usize {
    match keys {
        PkList::Int(keys) => keys.len(),
        PkList::Text(keys) => keys.len(),
    }
}

/// The records of an insert, upsert or update: one for each shard that gets rows, or several where
/// one would be too long.
pub fn write_rows(
    kind: Kind,
    collection: &Collection,
    to: &Destination,
    batch: &Batch,
    pks: &PkList,
) -> Result<Units, Fault> {
    write_within(kind, collection, to, (batch, pks), RECORD_BYTES_MAX)
}

fn write_within(
    kind: Kind,
    collection: &Collection,
    to: &Destination,
    (batch, pks): (&Batch, &PkList),
    record_max: usize,
) -> Result<Units, Fault> {
    let shards = shard_count(collection)?;
    let sizes = Sizes::new(batch);
    let whole = sizes.whole;
    if whole as u64 > UNIT_BYTES_MAX {
        return Err(Fault::new(
            Code::ParameterTooLarge,
            format!(
                "insert request size exceeds maxInsertSize: its rows take {whole} bytes, more than \
                 {UNIT_BYTES_MAX}"
            ),
        ));
    }
    let rows_by_shard = scatter(pks, shards, to);
    let version = collection.schema.version;
    let mut units = Units::new();
    for (vchannel, channel) in collection.vchannels() {
        let shard = vchannel.shard;
        let rows = match &rows_by_shard {
            None => Rows::Run(0, batch.rows),
            Some(by_shard) => Rows::These(&by_shard[usize::from(shard)]),
        };
        let record = |rows: Rows<'_>| {
            let count = rows.len();
            let (partition, runs) = match to {
                Destination::One(partition) => (*partition, None),
                Destination::Many(places) => runs(collection, places, rows),
            };
            let builder = RecordBuilder::new(kind, collection.id, partition, shard, version, count);
            let mut builder = builder.reserve(sizes.about(count));
            for column in &batch.columns {
                add_column(&mut builder, column, rows);
            }
            if let Some(runs) = runs {
                builder.blob(&runs);
            }
            builder.finish().map_err(too_large)
        };
        let records = match rows.len() {
            0 => continue,
            _ if whole <= record_max => vec![record(rows)?],
            _ => sizes.cut(rows, record_max).into_iter().map(record).collect::<Result<_, _>>()?,
        };
        units.push((channel, records));
    }
    Ok(units)
}

/// The partition of a record with these rows, which lie partition by partition; with several
/// partitions, how many rows go to each.
fn runs(collection: &Collection, places: &[u16], rows: Rows<'_>) -> (PartitionId, Option<Vec<u8>>) {
    // Rows of several partitions are listed always: they lie in an order of their own.
    let rows = if let Rows::These(rows) = rows { rows } else { &[] };
    let place = |row: &u32| places[*row as usize];
    let partition = |row: &u32| collection.partitions[usize::from(place(row))].id;
    let of_one = |run: &[u32]| (partition(&run[0]), run.len() as u32);
    match (rows.first(), rows.last()) {
        (Some(first), Some(last)) if place(first) == place(last) => (partition(first), None),
        _ => {
            let runs = rows.chunk_by(|a, b| place(a) == place(b)).map(of_one);
            (ALL_PARTITIONS, Some(encode_runs(runs)))
        }
    }
}

/// The records of a delete by primary keys, in one partition or in all of them.
pub fn delete_keys(
    collection: &Collection,
    partition: Option<PartitionId>,
    pk: FieldId,
    pks: &PkList,
) -> Result<Units, Fault> {
    let rows =
        u32::try_from(key_count(pks)).map_err(|_| Fault::invalid("too many keys to delete"))?;
    let batch = Batch { rows, columns: vec![key_column(pk, pks)] };
    let from = Destination::One(partition.unwrap_or(ALL_PARTITIONS));
    write_rows(Kind::Delete, collection, &from, &batch, pks)
}

/// The records of a delete by filter in some partitions, or in all when none are given: the plan
/// goes to every shard.
pub fn delete_by_plan(
    collection: &Collection,
    partitions: &[PartitionId],
    plan: &[u8],
) -> Result<Units, Fault> {
    let (partition, listed) = match partitions {
        [one] => (*one, &[][..]),
        some => (ALL_PARTITIONS, some),
    };
    let ids: Vec<u8> = listed.iter().flat_map(|id| id.0.to_le_bytes()).collect();
    let rows = u32::try_from(listed.len()).map_err(|_| Fault::internal("too many partitions"))?;
    let version = collection.schema.version;
    let mut units = Units::with_capacity(collection.channels.len());
    for (vchannel, channel) in collection.vchannels() {
        let shard = vchannel.shard;
        let mut builder =
            RecordBuilder::new(Kind::Delete, collection.id, partition, shard, version, rows);
        if rows > 0 {
            builder.fixed(PARTITIONS, DataType::Int64, 8, &ids);
        }
        builder.blob(plan);
        units.push((channel, vec![builder.finish().map_err(too_large)?]));
    }
    Ok(units)
}

fn shard_count(collection: &Collection) -> Result<u16, Fault> {
    u16::try_from(collection.channels.len()).map_err(|_| Fault::internal("too many shards"))
}

fn too_large(error: BuildError) -> Fault {
    match error {
        BuildError::TooLarge(_) => {
            let text = format!("insert request size exceeds maxInsertSize: {error}");
            Fault::new(Code::ParameterTooLarge, text)
        }
        other => Fault::internal(other.to_string()),
    }
}

/// The rows of each shard, those of one partition behind each other; none when there is one shard
/// and one partition.
fn scatter(pks: &PkList, shards: u16, to: &Destination) -> Option<Vec<Vec<u32>>> {
    let mut rows_by_shard = vec![Vec::new(); usize::from(shards.max(1))];
    match (pks, to) {
        (_, Destination::One(_)) if shards <= 1 => return None,
        (pks, Destination::Many(_)) if shards <= 1 => {
            rows_by_shard[0].extend((0..).zip(0..key_count(pks)).map(|(row, _)| row));
        }
        (PkList::Int(keys), _) => {
            for (row, key) in (0..).zip(keys) {
                rows_by_shard[usize::from(shard::of_int(*key, shards))].push(row);
            }
        }
        (PkList::Text(keys), _) => {
            for (row, key) in (0..).zip(keys) {
                rows_by_shard[usize::from(shard::of_text(key, shards))].push(row);
            }
        }
    }
    if let Destination::Many(places) = to {
        for rows in &mut rows_by_shard {
            rows.sort_unstable_by_key(|row| (places[*row as usize], *row));
        }
    }
    Some(rows_by_shard)
}

#[derive(Clone, Copy)]
enum Rows<'a> {
    /// Those from one number up to before another.
    Run(u32, u32),
    These(&'a [u32]),
}

impl<'a> Rows<'a> {
    fn len(self) -> u32 {
        match self {
            Rows::Run(from, to) => to - from,
            Rows::These(rows) => u32::try_from(rows.len()).unwrap_or(u32::MAX),
        }
    }

    /// Those at places `from..to`.
    fn part(self, from: u32, to: u32) -> Rows<'a> {
        match self {
            Rows::Run(first, _) => Rows::Run(first + from, first + to),
            Rows::These(rows) => Rows::These(&rows[from as usize..to as usize]),
        }
    }

    /// The number of the row at a place.
    fn at(self, place: u32) -> usize {
        match self {
            Rows::Run(first, _) => (first + place) as usize,
            Rows::These(rows) => rows[place as usize] as usize,
        }
    }

    /// Appends what `put` makes of each row's value.
    fn fill<T: Copy>(self, values: &[T], out: &mut Vec<u8>, put: impl Fn(T, &mut Vec<u8>)) {
        match self {
            Rows::Run(from, to) => {
                values[from as usize..to as usize].iter().for_each(|v| put(*v, out));
            }
            Rows::These(rows) => rows.iter().for_each(|r| put(values[*r as usize], out)),
        }
    }
}

fn add_column(builder: &mut RecordBuilder, column: &BatchColumn, rows: Rows<'_>) {
    add_values(builder, column, rows);
    match (&column.validity, rows) {
        (None, _) => {}
        (Some(valid), Rows::Run(from, to)) => {
            let valid = &valid[from as usize..to as usize];
            if valid.contains(&0) {
                builder.validity(column.field, valid);
            }
        }
        (Some(valid), Rows::These(rows)) => builder.validity_gather(column.field, valid, rows),
    }
}

fn add_values(builder: &mut RecordBuilder, column: &BatchColumn, rows: Rows<'_>) {
    let (field, ty) = (column.field, column.data_type);
    match &column.values {
        BatchValues::Bool(values) => builder.fixed_from(field, ty, 1, |out| {
            rows.fill(values, out, |v, out| out.push(u8::from(v)));
        }),
        BatchValues::Int(values) => {
            // In range: the batch was checked against the type.
            let width = ty.scalar_width().unwrap_or(4);
            builder.fixed_from(field, ty, width, |out| {
                rows.fill(values, out, |v, out| out.extend_from_slice(&v.to_le_bytes()[..width]));
            });
        }
        BatchValues::Long(values) => builder.fixed_from(field, ty, 8, |out| {
            rows.fill(values, out, |v, out| out.extend_from_slice(&v.to_le_bytes()));
        }),
        BatchValues::Double(values) => builder.fixed_from(field, ty, 8, |out| {
            rows.fill(values, out, |v, out| out.extend_from_slice(&v.to_le_bytes()));
        }),
        BatchValues::Fixed(bytes, width) => match rows {
            Rows::Run(from, to) => {
                let run = &bytes[from as usize * width..to as usize * width];
                builder.fixed(field, ty, *width, run);
            }
            Rows::These(rows) => builder.fixed_gather(field, ty, *width, bytes, rows),
        },
        BatchValues::Var(texts) => match rows {
            Rows::Run(from, to) => {
                let run = from as usize..to as usize;
                builder.var_values(field, ty, run.map(|row| texts.value(row)));
            }
            Rows::These(rows) => {
                builder.var_values(field, ty, rows.iter().map(|r| texts.value(*r as usize)));
            }
        },
    }
}

/// Bytes of a record beside its values: at most this many for each column, and once more.
const COLUMN_HEAD: usize = 128;

/// How much of a record the rows of a batch take.
struct Sizes<'b> {
    rows: u32,
    /// Bytes that do not depend on the rows.
    head: usize,
    /// Bytes of a row in columns of fixed width, and of its offsets and validities.
    fixed: usize,
    /// The columns of which every value has a length of its own.
    vars: Vec<&'b VarColumn>,
    /// No fewer bytes than a record of all rows has.
    whole: usize,
}

impl<'b> Sizes<'b> {
    fn new(batch: &'b Batch) -> Sizes<'b> {
        let width = |column: &BatchColumn| match &column.values {
            BatchValues::Bool(_) => 1,
            BatchValues::Int(_) => column.data_type.scalar_width().unwrap_or(4),
            BatchValues::Long(_) | BatchValues::Double(_) => 8,
            BatchValues::Fixed(_, width) => *width,
            BatchValues::Var(_) => 4,
        };
        let fixed = |column: &BatchColumn| width(column) + usize::from(column.validity.is_some());
        let var = |column: &'b BatchColumn| match &column.values {
            BatchValues::Var(texts) => Some(texts),
            _ => None,
        };
        let head = COLUMN_HEAD * (batch.columns.len() + 1);
        let fixed: usize = batch.columns.iter().map(fixed).sum();
        let vars: Vec<&VarColumn> = batch.columns.iter().filter_map(var).collect();
        let texts: usize = vars.iter().map(|texts| texts.total()).sum();
        let whole = head + fixed * batch.rows as usize + texts;
        Sizes { rows: batch.rows, head, fixed, vars, whole }
    }

    /// Bytes that so many rows take, about.
    fn about(&self, rows: u32) -> usize {
        self.head + self.whole / self.rows.max(1) as usize * rows as usize
    }

    /// Runs of rows of which each fits a record of `most` bytes; a row that alone does not is one.
    fn cut<'r>(&self, rows: Rows<'r>, most: usize) -> Vec<Rows<'r>> {
        let (mut runs, mut from, mut bytes) = (Vec::new(), 0, self.head);
        for place in 0..rows.len() {
            let row = rows.at(place);
            let texts: usize = self.vars.iter().map(|texts| texts.value(row).len()).sum();
            if bytes + self.fixed + texts > most && place > from {
                runs.push(rows.part(from, place));
                (from, bytes) = (place, self.head);
            }
            bytes += self.fixed + texts;
        }
        runs.push(rows.part(from, rows.len()));
        runs
    }
}

#[cfg(test)]
mod tests;
