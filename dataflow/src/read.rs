//! Answering a read on one worker: select, filter, scan or sort, and fetch the output fields.
//!
//! Everything here runs on the pool, on snapshots, at one closed time.

mod aggregate;
mod gather;
mod group;
mod interim;
mod order;
mod query;
mod rows;
mod search;
mod text;

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::model::{Fault, FieldId, PartitionId, Timestamp};
use millstream_expr::Plan;
use millstream_segment::{RowRef, Selection, ShardView};

use crate::api::Column;
use crate::interest::Interest;
use crate::storage::Interim;
pub(crate) use aggregate::aggregate;
pub(crate) use gather::gather;
use gather::{Budget, Place};
pub(crate) use query::{count, query};
pub(crate) use rows::{ChunkColumns, find_rows, view_of};
pub(crate) use search::{search, vectors_of};
pub(crate) use text::{TextRef, statistics};

/// One shard of a read.
pub(crate) struct ReadShard {
    /// Its rows.
    pub(crate) view: Arc<ShardView>,
    /// The rows that have the keys that the read lists, when they were found by these keys.
    pub(crate) found: Option<Vec<RowRef>>,
    /// The indexes of its texts.
    pub(crate) texts: Arc<[TextRef]>,
}

/// What the answers to a read have in common, whatever it asks.
pub(crate) struct Run {
    /// The time of the read.
    pub(crate) as_of: Timestamp,
    /// Threads that may work on it.
    pub(crate) threads: usize,
    /// Whether the answer is still waited for: asked with every chunk of rows.
    pub(crate) interest: Interest,
    /// Makes lists of growing rows.
    pub(crate) interim: Option<Arc<Interim>>,
}

/// The rows of one shard that a read sees, after its filter.
fn selected(
    shard: &ReadShard,
    run: &Run,
    partitions: &[PartitionId],
    plan: Option<&Plan>,
) -> Result<Selection, Fault> {
    run.interest.check()?;
    let mut selection = shard.view.select(run.as_of, partitions);
    filter(&mut selection, shard, plan, &run.interest)?;
    Ok(selection)
}

/// Keeps the rows that a plan keeps.
fn filter(
    selection: &mut Selection,
    shard: &ReadShard,
    plan: Option<&Plan>,
    interest: &Interest,
) -> Result<(), Fault> {
    let Some(plan) = plan else { return Ok(()) };
    let specs = selection.all_specs();
    for chunk in &mut selection.chunks {
        interest.check()?;
        let mut mask = std::mem::take(&mut chunk.mask);
        let columns = ChunkColumns::new(chunk, &specs, &shard.texts);
        plan.eval(chunk.rows, &columns, &mut mask);
        chunk.mask = mask;
    }
    Ok(())
}

/// The plan of a request's encoded filter.
fn plan_of(filter: Option<&Bytes>) -> Result<Option<Plan>, Fault> {
    let plan = filter.map(|bytes| Plan::decode(bytes)).transpose()?;
    Ok(plan.filter(|plan| !plan.is_always_true()))
}

/// The place of a field among the columns of a shard.
fn column_of(selection: &Selection, field: FieldId) -> Result<usize, Fault> {
    let index = selection.specs().iter().position(|s| s.field == field);
    index.ok_or_else(|| Fault::internal(format!("the shard has no field {field}")))
}

/// The keys and the output fields of rows.
fn fetch(
    selection: &Selection,
    places: &[Place],
    pk: usize,
    output: &[FieldId],
    budget: &mut Budget,
) -> Result<(Column, Vec<Column>), Fault> {
    let pks = gather(selection, places, pk, budget)?;
    let mut columns = Vec::with_capacity(output.len());
    for &field in output {
        columns.push(gather(selection, places, column_of(selection, field)?, budget)?);
    }
    Ok((pks, columns))
}
