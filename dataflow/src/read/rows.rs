//! Columns of a chunk as the filter engine reads them, and filter deletes.

use std::ops::Range;

use millstream_catalog::model::{DataType, Fault, FieldId};
use millstream_expr::{ColumnView, Columns, MatchKind, Plan, Shred, TextMatch, VarView, Zone};
use millstream_segment::{ChunkRef, ColumnSlice, ColumnSpec, RowRef};
use millstream_text::Query;

use super::text::TextRef;
use super::{ReadShard, Run, selected};
use crate::channel::Find;
use crate::interest::Interest;
use crate::storage::Facts;

/// A chunk's columns by field, and the indexes of its texts.
pub(crate) struct ChunkColumns<'a> {
    chunk: &'a ChunkRef,
    specs: &'a [ColumnSpec],
    texts: &'a [TextRef],
    /// What is known of the segment that the chunk is a part of.
    facts: Option<&'a Facts>,
}

/// A column as filters read it; `None` for vectors, which they do not.
pub(crate) fn view_of<'a>(spec: &ColumnSpec, slice: ColumnSlice<'a>) -> Option<ColumnView<'a>> {
    Some(match slice {
        ColumnSlice::Bool(values) => ColumnView::Bool(values),
        ColumnSlice::Int8(values) => ColumnView::Int8(values),
        ColumnSlice::Int16(values) => ColumnView::Int16(values),
        ColumnSlice::Int32(values) => ColumnView::Int32(values),
        ColumnSlice::Int64(values) => ColumnView::Int64(values),
        ColumnSlice::Float(values) => ColumnView::Float(values),
        ColumnSlice::Double(values) => ColumnView::Double(values),
        ColumnSlice::Var { offsets, bytes } => {
            let view = VarView { offsets, bytes };
            match spec.data_type {
                DataType::Json => ColumnView::Json(view),
                DataType::Array => ColumnView::Array { element: spec.element?, cells: view },
                DataType::VarChar => ColumnView::Text(view),
                _ => return None,
            }
        }
        _ => return None,
    })
}

impl<'a> ChunkColumns<'a> {
    /// The columns of a chunk.
    pub(crate) fn new(
        chunk: &'a ChunkRef,
        specs: &'a [ColumnSpec],
        texts: &'a [TextRef],
    ) -> ChunkColumns<'a> {
        let facts = chunk.chunk.segment().and_then(|segment| segment.facts());
        ChunkColumns { chunk, specs, texts, facts }
    }

    fn index(&self, field: FieldId) -> Option<usize> {
        self.specs.iter().position(|s| s.field == field)
    }
}

impl Columns for ChunkColumns<'_> {
    fn column(&self, field: FieldId) -> Option<ColumnView<'_>> {
        let index = self.index(field)?;
        view_of(&self.specs[index], self.chunk.column(index))
    }

    fn validity(&self, field: FieldId) -> Option<&[u8]> {
        self.chunk.validity(self.index(field)?)
    }

    fn zone(&self, field: FieldId, rows: Range<usize>) -> Option<Zone<'_>> {
        let before = self.chunk.chunk.rows_before();
        self.facts?.zone(field, before + rows.start..before + rows.end)
    }

    fn has_zones(&self) -> bool {
        self.facts.is_some_and(Facts::has_zones)
    }

    fn shred(&self, field: FieldId, steps: &[String]) -> Option<Shred<'_>> {
        let before = self.chunk.chunk.rows_before();
        self.facts?.shred(field, steps, before..before + self.chunk.rows)
    }

    fn has_shreds(&self) -> bool {
        self.facts.is_some_and(Facts::has_shreds)
    }

    fn first_row(&self) -> u64 {
        u64::from(self.chunk.base)
    }

    fn text_match(&self, field: FieldId, query: &TextMatch<'_>, rows: usize, mask: &mut [u64]) {
        let slot = self.chunk.slot;
        let mut matches = vec![0; mask.len()];
        if let Some(text) = self.texts.iter().find(|t| t.field == field && t.slot == slot) {
            let snapshot = text.view.snapshot();
            let words = Query::new(text.view.analyzer(), query.text);
            let find = |span, matches: &mut [u64]| match query.kind {
                MatchKind::Words { minimum } => {
                    snapshot.set_matches(&words, minimum as usize, span, matches);
                }
                MatchKind::Phrase { slop } => snapshot.set_phrases(&words, slop, span, matches),
            };
            let chunk = &self.chunk.chunk;
            if chunk.is_dense() {
                find((chunk.first_row(), rows), &mut matches);
            } else if rows > 0 {
                // The index counts the rows that are gone too.
                let first = chunk.first_row();
                let numbers = (chunk.number(rows - 1) - first) as usize + 1;
                let mut by_number = vec![0; numbers.div_ceil(64)];
                find((first, numbers), &mut by_number);
                for row in 0..rows {
                    let number = (chunk.number(row) - first) as usize;
                    matches[row / 64] |=
                        (by_number[number / 64] >> (number % 64) & 1) << (row % 64);
                }
            }
        }
        mask.iter_mut().zip(matches).for_each(|(word, matches)| *word &= matches);
    }
}

/// The rows that a filter delete ends: those at smaller positions that match.
pub(crate) fn find_rows(find: &Find) -> Result<Vec<RowRef>, Fault> {
    let plan = Plan::decode(&find.plan)?;
    let shard: &ReadShard = &find.shard;
    // Every replica ends these rows, whoever waits to hear of it.
    let interest = Interest::default();
    let run = Run { as_of: find.eff, threads: 1, interest, interim: None };
    let selection = selected(shard, &run, &find.partitions, Some(&plan))?;
    let mut rows = Vec::new();
    for chunk in &selection.chunks {
        let row_ref = |row| RowRef { slot: chunk.slot, row: chunk.chunk.number(row) };
        chunk.for_each(|row| rows.push(row_ref(row)));
    }
    Ok(rows)
}
