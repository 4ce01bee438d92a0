//! Columns of a chunk as the filter engine reads them, and filter deletes.

use millstream_catalog::model::{DataType, Fault, FieldId};
use millstream_expr::{ColumnView, Columns, Plan, VarView};
use millstream_segment::{ChunkRef, ColumnSlice, ColumnSpec, RowRef};

use super::selected;
use crate::channel::Find;

/// A chunk's columns by field.
pub(super) struct ChunkColumns<'a> {
    pub(super) chunk: &'a ChunkRef,
    pub(super) specs: &'a [ColumnSpec],
}

impl Columns for ChunkColumns<'_> {
    fn column(&self, field: FieldId) -> Option<ColumnView<'_>> {
        let index = self.specs.iter().position(|s| s.field == field)?;
        Some(match self.chunk.column(index) {
            ColumnSlice::Bool(values) => ColumnView::Bool(values),
            ColumnSlice::Int8(values) => ColumnView::Int8(values),
            ColumnSlice::Int16(values) => ColumnView::Int16(values),
            ColumnSlice::Int32(values) => ColumnView::Int32(values),
            ColumnSlice::Int64(values) => ColumnView::Int64(values),
            ColumnSlice::Float(values) => ColumnView::Float(values),
            ColumnSlice::Double(values) => ColumnView::Double(values),
            ColumnSlice::Var { offsets, bytes } => {
                let view = VarView { offsets, bytes };
                match self.specs[index].data_type {
                    DataType::Json => ColumnView::Json(view),
                    _ => ColumnView::Text(view),
                }
            }
            ColumnSlice::Vector { .. } => return None,
        })
    }
}

/// The rows that a filter delete ends: those at smaller positions that match.
pub(crate) fn find_rows(find: &Find) -> Result<Vec<RowRef>, Fault> {
    let plan = Plan::decode(&find.plan)?;
    let partitions: Vec<_> = find.partition.into_iter().collect();
    let selection = selected(&find.view, find.eff, &partitions, Some(&plan));
    let mut rows = Vec::new();
    for chunk in &selection.chunks {
        let first = chunk.chunk.first_row();
        chunk.for_each(|row| rows.push(RowRef { slot: chunk.slot, row: first + row as u32 }));
    }
    Ok(rows)
}
