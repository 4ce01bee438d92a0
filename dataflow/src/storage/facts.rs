//! What is known of the rows of a segment and is stored with them: the zone maps of its columns.

use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_catalog::model::FieldId;
use millstream_expr::{Zone, Zones, ZonesBuilder};
use millstream_segment::{Chunk, ColumnSpec, Span};
use millstream_store::Table;

use crate::read::view_of;

/// The key of a column's zones in the metadata of the table of rows.
fn zones_key(name: &str) -> String {
    format!("millstream:zones:{name}")
}

/// What filters need not read the rows of a segment for.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    zones: Vec<(FieldId, Zones)>,
}

impl Facts {
    /// What a table of rows says of them. Tables of earlier versions say nothing, and what cannot be
    /// read is not used: it saves work and decides nothing.
    pub(super) fn of(table: &Table, names: &[(String, String)], specs: &[ColumnSpec]) -> Facts {
        let zones = |(spec, (name, _)): (&ColumnSpec, &(String, String))| {
            let bytes = STANDARD.decode(table.metadata(&zones_key(name))?).ok()?;
            let zones = Zones::decode(&bytes).filter(|zones| zones.covers(table.rows()))?;
            Some((spec.field, zones))
        };
        Facts { zones: specs.iter().zip(names).filter_map(zones).collect() }
    }

    /// What is known of a field in rows of the segment.
    pub(crate) fn zone(&self, field: FieldId, rows: Range<usize>) -> Option<Zone<'_>> {
        self.zones.iter().find(|(of, _)| *of == field)?.1.over(rows)
    }

    /// Whether anything is known.
    pub(crate) fn has_zones(&self) -> bool {
        !self.zones.is_empty()
    }
}

/// The metadata of a table of these rows. Takes one look at every value that filters compare.
pub(super) fn known_of(
    names: &[(String, String)],
    specs: &[ColumnSpec],
    chunks: &[Arc<Chunk>],
    spans: &[Span],
) -> Vec<(String, String)> {
    // Columns that all rows lack are not in the table.
    let own = chunks.iter().map(|chunk| chunk.own_columns()).max().unwrap_or(0);
    let zones = |(at, (spec, (name, _))): (usize, (&ColumnSpec, &(String, String)))| {
        let mut builder = ZonesBuilder::default();
        for &Span { chunk, from, to } in spans {
            let chunk = &chunks[chunk];
            let view = view_of(spec, chunk.column(at, to))?;
            builder.add(view, chunk.validity(at, to), from..to);
        }
        Some((zones_key(name), STANDARD.encode(builder.finish().encode())))
    };
    specs.iter().zip(names).enumerate().take(own).filter_map(zones).collect()
}
