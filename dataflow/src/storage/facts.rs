//! What is stored of the rows of a segment beside themselves, so that filters read less: the zone
//! maps of its columns, and columns of what lies at frequent paths of its JSON fields.

use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_catalog::model::{DataType, FieldId};
use millstream_expr::{
    ColumnView, Shred, Shredded, ShreddedValues, Shredder, VarView, Zone, Zones, ZonesBuilder,
    frequent_paths,
};
use millstream_segment::{Chunk, ColumnSlice, ColumnSpec, Span};
use millstream_store::{Column, ColumnKind, Piece, Table, TableColumn, Values};

use crate::read::view_of;

/// About so many documents are looked at for frequent paths.
const SAMPLE_ROWS: usize = 2_048;

/// The key of a column's zones in the metadata of the table of rows.
fn zones_key(name: &str) -> String {
    format!("millstream:zones:{name}")
}

/// The key that a table has when no row has anything at a path but what is in this column.
fn complete_key(name: &str) -> String {
    format!("millstream:complete:{name}")
}

/// What the columns of the values in a JSON field begin with, by their names.
fn shreds_prefix(name: &str) -> String {
    format!("{name}/at/")
}

/// The name of the column of the values at a path: the field, and the path as a JSON pointer.
fn shred_name(name: &str, steps: &[String]) -> String {
    let steps: Vec<_> = steps.iter().map(|s| s.replace('~', "~0").replace('/', "~1")).collect();
    shreds_prefix(name) + &steps.join("/")
}

/// The path of the rest of such a name.
fn steps_of(pointer: &str) -> Vec<String> {
    pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

/// What filters need not read the rows of a segment for.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    zones: Vec<(FieldId, Zones)>,
    shreds: Vec<Stored>,
}

/// A column of the values at a path of a JSON field.
#[derive(Debug)]
struct Stored {
    field: FieldId,
    steps: Vec<String>,
    column: Column,
    /// A bit for each row; none where all rows have a value.
    present: Option<Vec<u64>>,
    complete: bool,
    zones: Option<Zones>,
}

/// The zones of a column of a table. What cannot be read is not used: it saves work and decides
/// nothing.
fn zones_in(table: &Table, name: &str) -> Option<Zones> {
    let bytes = STANDARD.decode(table.metadata(&zones_key(name))?).ok()?;
    Zones::decode(&bytes).filter(|zones| zones.covers(table.rows()))
}

impl Facts {
    /// What a table of rows says of them; those of earlier versions say nothing.
    pub(super) fn of(table: &Table, names: &[(String, String)], specs: &[ColumnSpec]) -> Facts {
        let mut facts = Facts::default();
        for (spec, (name, _)) in specs.iter().zip(names) {
            facts.zones.extend(zones_in(table, name).map(|zones| (spec.field, zones)));
            if spec.data_type != DataType::Json {
                continue;
            }
            let prefix = shreds_prefix(name);
            for name in table.column_names() {
                let Some(pointer) = name.strip_prefix(&prefix) else { continue };
                let Some(mut column) = table.column(name) else { continue };
                let present = column.validity.take().map(|valid| words(&valid));
                facts.shreds.push(Stored {
                    field: spec.field,
                    steps: steps_of(pointer),
                    column,
                    present,
                    complete: table.metadata(&complete_key(name)).is_some(),
                    zones: zones_in(table, name),
                });
            }
        }
        facts
    }

    /// What is known of a field in rows of the segment.
    pub(crate) fn zone(&self, field: FieldId, rows: Range<usize>) -> Option<Zone<'_>> {
        self.zones.iter().find(|(of, _)| *of == field)?.1.over(rows)
    }

    /// Whether zones are known.
    pub(crate) fn has_zones(&self) -> bool {
        !self.zones.is_empty()
    }

    /// Whether any path has a column.
    pub(crate) fn has_shreds(&self) -> bool {
        !self.shreds.is_empty()
    }

    /// The values of rows of the segment at a path, if they are a column of their own.
    pub(crate) fn shred(
        &self,
        field: FieldId,
        steps: &[String],
        rows: Range<usize>,
    ) -> Option<Shred<'_>> {
        let mut all = self.shreds.iter();
        let stored = all.find(|stored| stored.field == field && stored.steps == steps)?;
        let present = match &stored.present {
            Some(words) if rows.start.is_multiple_of(64) => Some(words.get(rows.start / 64..)?),
            Some(_) => return None,
            None => None,
        };
        Some(Shred {
            values: view(&stored.column, rows.clone())?,
            present,
            complete: stored.complete,
            zones: stored.zones.as_ref().map(|zones| (zones, rows.start)),
        })
    }
}

/// One bit for each byte that is not zero.
fn words(bytes: &[u8]) -> Vec<u64> {
    let word = |bytes: &[u8]| {
        let bits = bytes.iter().enumerate();
        bits.fold(0, |word, (bit, byte)| word | u64::from(*byte != 0) << bit)
    };
    bytes.chunks(64).map(word).collect()
}

/// Rows of a stored column as filters read them.
fn view(column: &Column, rows: Range<usize>) -> Option<ColumnView<'_>> {
    Some(match column.kind {
        ColumnKind::Bool => ColumnView::Bool(column.values.get(rows)?),
        ColumnKind::Int8 => ColumnView::Int8(column.values_as()?.get(rows)?),
        ColumnKind::Int16 => ColumnView::Int16(column.values_as()?.get(rows)?),
        ColumnKind::Int32 => ColumnView::Int32(column.values_as()?.get(rows)?),
        ColumnKind::Int64 => ColumnView::Int64(column.values_as()?.get(rows)?),
        ColumnKind::Float64 => ColumnView::Double(column.values_as()?.get(rows)?),
        ColumnKind::Utf8 => {
            let offsets = column.offsets().get(rows.start..=rows.end)?;
            ColumnView::Text(VarView { offsets, bytes: &column.values })
        }
        ColumnKind::UInt32
        | ColumnKind::UInt64
        | ColumnKind::Float32
        | ColumnKind::FloatVector { .. }
        | ColumnKind::Int8Vector { .. }
        | ColumnKind::Fixed { .. }
        | ColumnKind::Binary => return None,
    })
}

/// What is written of rows beside themselves.
pub(super) struct Derived {
    /// Of the table.
    pub(super) metadata: Vec<(String, String)>,
    shreds: Vec<(String, Shredded)>,
}

impl Derived {
    /// Of the rows of a new segment. Looks once at every value that filters compare, and at every
    /// document.
    pub(super) fn of(
        names: &[(String, String)],
        specs: &[ColumnSpec],
        chunks: &[Arc<Chunk>],
        spans: &[Span],
    ) -> Derived {
        let mut derived = Derived { metadata: Vec::new(), shreds: Vec::new() };
        // Columns that all rows lack are not in the table.
        let own = chunks.iter().map(|chunk| chunk.own_columns()).max().unwrap_or(0);
        for (at, (spec, (name, _))) in specs.iter().zip(names).enumerate().take(own) {
            let zones = zones_of(spec, at, chunks, spans);
            derived.metadata.extend(zones.map(|zones| (zones_key(name), zones)));
            if spec.data_type == DataType::Json {
                derived.shred(name, at, chunks, spans);
            }
        }
        derived
    }

    /// Adds the columns of the frequent paths of a JSON field.
    fn shred(&mut self, name: &str, at: usize, chunks: &[Arc<Chunk>], spans: &[Span]) {
        let rows: usize = spans.iter().map(|span| span.to - span.from).sum();
        let step = rows.div_ceil(SAMPLE_ROWS).max(1) as u64;
        // Spread by a hash: documents that repeat with a period are not always hit at one point.
        let is_seen =
            |row: u64| (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).is_multiple_of(step);
        let seen = (0..).zip(cells(at, chunks, spans)).filter(|(row, _)| is_seen(*row));
        let paths = frequent_paths(seen.map(|(_, cell)| cell));
        if paths.is_empty() {
            return;
        }
        let mut shredder = Shredder::new(paths);
        cells(at, chunks, spans).for_each(|cell| shredder.push(cell));
        for shredded in shredder.finish() {
            let name = shred_name(name, &shredded.steps);
            let mut zones = ZonesBuilder::default();
            zones.add(shredded.view(), shredded.validity.as_deref(), 0..rows);
            self.metadata.push((zones_key(&name), STANDARD.encode(zones.finish().encode())));
            if shredded.complete {
                self.metadata.push((complete_key(&name), "true".to_owned()));
            }
            self.shreds.push((name, shredded));
        }
    }

    /// The columns beside those of the rows.
    pub(super) fn columns(&self) -> impl Iterator<Item = TableColumn<'_>> {
        self.shreds.iter().map(|(name, shredded)| {
            let (kind, values) = match &shredded.values {
                ShreddedValues::Bool(all) => (ColumnKind::Bool, Values::of(&all[..])),
                ShreddedValues::Int8(all) => (ColumnKind::Int8, Values::of(&all[..])),
                ShreddedValues::Int16(all) => (ColumnKind::Int16, Values::of(&all[..])),
                ShreddedValues::Int32(all) => (ColumnKind::Int32, Values::of(&all[..])),
                ShreddedValues::Int64(all) => (ColumnKind::Int64, Values::of(&all[..])),
                ShreddedValues::Double(all) => (ColumnKind::Float64, Values::of(&all[..])),
                ShreddedValues::Text { offsets, bytes } => {
                    (ColumnKind::Utf8, Values::Var { offsets, bytes })
                }
            };
            let validity = shredded.validity.as_deref();
            TableColumn { name, kind, meaning: None, pieces: vec![Piece { values, validity }] }
        })
    }
}

/// The zones of a column, encoded; none of one that filters do not compare.
fn zones_of(spec: &ColumnSpec, at: usize, chunks: &[Arc<Chunk>], spans: &[Span]) -> Option<String> {
    let mut builder = ZonesBuilder::default();
    for &Span { chunk, from, to } in spans {
        let chunk = &chunks[chunk];
        builder.add(view_of(spec, chunk.column(at, to))?, chunk.validity(at, to), from..to);
    }
    Some(STANDARD.encode(builder.finish().encode()))
}

/// The documents of a column; empty ones where it is null.
fn cells<'a>(
    at: usize,
    chunks: &'a [Arc<Chunk>],
    spans: &'a [Span],
) -> impl Iterator<Item = &'a [u8]> {
    spans.iter().flat_map(move |&Span { chunk, from, to }| {
        let (offsets, bytes) = match chunks[chunk].column(at, to) {
            ColumnSlice::Var { offsets, bytes } => (offsets, bytes),
            _ => (&[][..], &[][..]),
        };
        let range =
            move |row: usize| Some(*offsets.get(row)? as usize..*offsets.get(row + 1)? as usize);
        (from..to).map(move |row| range(row).and_then(|range| bytes.get(range)).unwrap_or_default())
    })
}
