//! How rows, their times and their ends are laid out in tables.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::model::{CollectionSchema, DataType, Fault, Timestamp};
use millstream_segment::{
    Arrival, Chunk, ColumnSlice, ColumnSpec, End, FrozenColumn, FrozenRows, Numbered, Position,
    RowRef, Span,
};
use millstream_store::{ColumnKind, Piece, Table, TableColumn, Values};

/// Name of the column of norms of a vector field.
fn norms_name(field: &str) -> String {
    format!("{field}/inv_norm")
}

/// Names of the columns of each field, in the order of the specs: of its values, and of its norms.
pub(super) fn names(schema: &CollectionSchema, specs: &[ColumnSpec]) -> Vec<(String, String)> {
    let name = |spec: &ColumnSpec| {
        let field = schema.field_by_id(spec.field);
        let name = field.map_or_else(|| spec.field.to_string(), |field| field.name.clone());
        let norms = norms_name(&name);
        (name, norms)
    };
    specs.iter().map(name).collect()
}

fn kind(spec: &ColumnSpec) -> ColumnKind {
    let dim = spec.dim as u32;
    match spec.data_type {
        DataType::Bool => ColumnKind::Bool,
        DataType::Int8 => ColumnKind::Int8,
        DataType::Int16 => ColumnKind::Int16,
        DataType::Int32 => ColumnKind::Int32,
        DataType::Int64 => ColumnKind::Int64,
        DataType::Float => ColumnKind::Float32,
        DataType::Double => ColumnKind::Float64,
        DataType::FloatVector => ColumnKind::FloatVector { dim },
        DataType::Int8Vector => ColumnKind::Int8Vector { dim },
        DataType::Float16Vector | DataType::BFloat16Vector => ColumnKind::Fixed { width: dim * 2 },
        DataType::BinaryVector => ColumnKind::Fixed { width: dim.div_ceil(8) },
        DataType::VarChar => ColumnKind::Utf8,
        DataType::Json | DataType::Array | DataType::SparseFloatVector => ColumnKind::Binary,
    }
}

/// What bytes of a column mean beyond their kind.
fn meaning(spec: &ColumnSpec) -> Option<&'static str> {
    match spec.data_type {
        DataType::Float16Vector => Some("float16"),
        DataType::BFloat16Vector => Some("bfloat16"),
        DataType::BinaryVector => Some("binary vector"),
        DataType::Json => Some("json"),
        DataType::Array => Some("array"),
        DataType::SparseFloatVector => Some("sparse vector"),
        _ => None,
    }
}

/// The part of some rows' values from row `from` on.
fn part<T>(values: &[T], (from, to): (usize, usize)) -> &[T] {
    &values[values.len() / to.max(1) * from..]
}

/// The values of rows `from..to` of a column of a chunk, which `slice` ends with, and their norms.
fn values<'a>(slice: &ColumnSlice<'a>, rows: (usize, usize)) -> (Values<'a>, Option<&'a [f32]>) {
    macro_rules! of {
        ($data:expr) => {
            Values::of(part($data, rows))
        };
    }
    match *slice {
        ColumnSlice::Bool(data) | ColumnSlice::Binary { data } => (of!(data), None),
        ColumnSlice::Int8(data) => (of!(data), None),
        ColumnSlice::Int16(data) => (of!(data), None),
        ColumnSlice::Int32(data) => (of!(data), None),
        ColumnSlice::Int64(data) => (of!(data), None),
        ColumnSlice::Float(data) => (of!(data), None),
        ColumnSlice::Double(data) => (of!(data), None),
        ColumnSlice::Var { offsets, bytes } => {
            (Values::Var { offsets: &offsets[rows.0..], bytes }, None)
        }
        ColumnSlice::Vector { data, inv_norms } => (of!(data), Some(part(inv_norms, rows))),
        ColumnSlice::Half { data, inv_norms } | ColumnSlice::BHalf { data, inv_norms } => {
            (of!(data), Some(part(inv_norms, rows)))
        }
        ColumnSlice::Int8s { data, inv_norms } => (of!(data), Some(part(inv_norms, rows))),
    }
}

/// Rows of chunks as the columns of a table, without a copy.
pub(super) fn row_columns<'a>(
    names: &'a [(String, String)],
    specs: &[ColumnSpec],
    chunks: &'a [Arc<Chunk>],
    spans: &[Span],
) -> Vec<TableColumn<'a>> {
    let mut columns = Vec::with_capacity(specs.len() * 2);
    // What all rows lack is not written: the schema says what they have.
    let own = chunks.iter().map(|chunk| chunk.own_columns()).max().unwrap_or(0);
    for (at, (spec, (name, norms_name))) in specs.iter().zip(names).enumerate().take(own) {
        let (mut pieces, mut norms) = (Vec::with_capacity(spans.len()), Vec::new());
        for &Span { chunk, from, to } in spans {
            let chunk = &chunks[chunk];
            let (values, inv_norms) = values(&chunk.column(at, to), (from, to));
            let validity = chunk.validity(at, to).map(|valid| &valid[from..]);
            pieces.push(Piece { values, validity });
            norms.extend(inv_norms.map(|inv_norms| Piece::new(Values::of(inv_norms))));
        }
        columns.push(TableColumn { name, kind: kind(spec), meaning: meaning(spec), pieces });
        if !norms.is_empty() {
            let kind = ColumnKind::Float32;
            columns.push(TableColumn { name: norms_name, kind, meaning: None, pieces: norms });
        }
    }
    columns
}

/// The columns of a table of rows, in the order of the specs. The last ones may be missing: those of
/// fields that came after the rows were written.
pub(super) fn frozen(
    table: &Table,
    names: &[(String, String)],
    specs: &[ColumnSpec],
    (arrivals, numbers): (Vec<Arrival>, Vec<Numbered>),
) -> Result<FrozenRows, Fault> {
    let column = |(spec, (name, norms)): (&ColumnSpec, &(String, String))| {
        let found = table.column(name).filter(|column| column.kind == kind(spec));
        let found = found.ok_or_else(|| {
            Fault::internal(format!("the stored rows have no column {name:?} of its type"))
        })?;
        let (values, offsets, validity) = (found.values, found.offsets, found.validity);
        let inv_norms = table.column(norms).map(|norms| norms.values);
        Ok(FrozenColumn { values, offsets, inv_norms, validity })
    };
    let is_there = |(_, (name, _)): &(&ColumnSpec, &(String, String))| table.column(name).is_some();
    let stored = specs.iter().zip(names).rposition(|field| is_there(&field)).map_or(0, |at| at + 1);
    let stored = stored.max(specs.iter().rposition(ColumnSpec::is_required).map_or(0, |at| at + 1));
    let columns = specs.iter().zip(names).take(stored).map(column);
    let columns = columns.collect::<Result<_, Fault>>()?;
    Ok(FrozenRows { rows: table.rows(), columns, arrivals, numbers })
}

/// Plain numbers as the columns of a table.
#[derive(Default)]
pub(super) struct Numbers {
    words: Vec<(&'static str, Vec<u64>)>,
    halves: Vec<(&'static str, Vec<u32>)>,
}

impl Numbers {
    /// The runs of the rows of a segment.
    pub(super) fn runs(all: &[Arrival]) -> Numbers {
        let of = |f: fn(&Arrival) -> u64| all.iter().map(f).collect();
        let half = |f: fn(&Arrival) -> u32| all.iter().map(f).collect();
        Numbers {
            words: vec![("eff", of(|a| a.eff.0)), ("seq", of(|a| a.position.seq))],
            halves: vec![
                ("row", half(|a| a.row)),
                ("index", half(|a| a.position.index)),
                ("ordinal", half(|a| a.ordinal)),
            ],
        }
    }

    /// The numbers of rows.
    pub(super) fn of_rows(all: &[Numbered]) -> Numbers {
        let half = |f: fn(&Numbered) -> u32| all.iter().map(f).collect();
        let halves = vec![("row", half(|n| n.row)), ("number", half(|n| n.number))];
        Numbers { words: Vec::new(), halves }
    }

    /// Rows that ended.
    pub(super) fn ends(ends: &[End]) -> Numbers {
        let of = |f: fn(&End) -> u64| ends.iter().map(f).collect();
        let half = |f: fn(&End) -> u32| ends.iter().map(f).collect();
        Numbers {
            words: vec![("eff", of(|e| e.eff.0)), ("seq", of(|e| e.position.seq))],
            halves: vec![
                ("index", half(|e| e.position.index)),
                ("slot", half(|e| e.row.slot)),
                ("row", half(|e| e.row.row)),
            ],
        }
    }

    /// The columns of the table.
    pub(super) fn columns(&self) -> Vec<TableColumn<'_>> {
        let words = self.words.iter();
        let words = words.map(|(name, v)| numbers(name, ColumnKind::UInt64, Values::of(&v[..])));
        let halves = self.halves.iter();
        let halves = halves.map(|(name, v)| numbers(name, ColumnKind::UInt32, Values::of(&v[..])));
        words.chain(halves).collect()
    }
}

fn numbers<'a>(name: &'static str, kind: ColumnKind, values: Values<'a>) -> TableColumn<'a> {
    TableColumn { name, kind, meaning: None, pieces: vec![Piece::new(values)] }
}

/// A column of a table of numbers.
fn column(table: &Table, name: &str, kind: ColumnKind) -> Result<Bytes, Fault> {
    let found = table.column(name).filter(|column| column.kind == kind);
    let missing = || Fault::internal(format!("the table has no column {name:?} of its type"));
    found.map(|column| column.values).ok_or_else(missing)
}

fn word(bytes: &Bytes, row: usize) -> u64 {
    let word = bytes.get(row * 8..row * 8 + 8).and_then(|b| b.try_into().ok());
    word.map_or(0, u64::from_le_bytes)
}

fn half(bytes: &Bytes, row: usize) -> u32 {
    let half = bytes.get(row * 4..row * 4 + 4).and_then(|b| b.try_into().ok());
    half.map_or(0, u32::from_le_bytes)
}

/// Five columns of a table of numbers, row by row.
fn rows_of(
    table: &Table,
    words: [&str; 2],
    halves: [&str; 3],
) -> Result<impl Iterator<Item = ([u64; 2], [u32; 3])>, Fault> {
    let mut long = Vec::with_capacity(2);
    for name in words {
        long.push(column(table, name, ColumnKind::UInt64)?);
    }
    let mut short = Vec::with_capacity(3);
    for name in halves {
        short.push(column(table, name, ColumnKind::UInt32)?);
    }
    Ok((0..table.rows()).map(move |row| {
        let words = [word(&long[0], row), word(&long[1], row)];
        (words, [half(&short[0], row), half(&short[1], row), half(&short[2], row)])
    }))
}

/// The runs that a table holds.
pub(super) fn read_runs(table: &Table) -> Result<Vec<Arrival>, Fault> {
    let rows = rows_of(table, ["eff", "seq"], ["row", "index", "ordinal"])?;
    Ok(rows
        .map(|([eff, seq], [row, index, ordinal])| Arrival {
            row,
            eff: Timestamp(eff),
            position: Position { seq, index },
            ordinal,
        })
        .collect())
}

/// The ends that a table holds.
pub(super) fn read_ends(table: &Table, ends: &mut Vec<End>) -> Result<(), Fault> {
    let rows = rows_of(table, ["eff", "seq"], ["index", "slot", "row"])?;
    ends.extend(rows.map(|([eff, seq], [index, slot, row])| End {
        eff: Timestamp(eff),
        position: Position { seq, index },
        row: RowRef { slot, row },
    }));
    Ok(())
}

/// The numbers of rows that a table holds.
pub(super) fn read_numbers(table: &Table) -> Result<Vec<Numbered>, Fault> {
    let rows = column(table, "row", ColumnKind::UInt32)?;
    let numbers = column(table, "number", ColumnKind::UInt32)?;
    let of = |at| Numbered { row: half(&rows, at), number: half(&numbers, at) };
    Ok((0..table.rows()).map(of).collect())
}
