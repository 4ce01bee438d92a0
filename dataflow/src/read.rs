//! Answering a read on one worker: select, filter, scan or sort, and fetch the output fields.
//!
//! Everything here runs on the pool, on snapshots, at one closed time.

mod gather;
mod rows;

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::model::Fault;
use millstream_catalog::model::{FieldId, PartitionId, Timestamp};
use millstream_expr::Plan;
use millstream_index::{Block, Queries, TopK, scan};
use millstream_segment::{ChunkRef, ColumnSlice, Selection, ShardView};
use rayon::prelude::*;

use crate::api::{Column, CountRequest, QueryRequest, SearchRequest};
use crate::part::{CountPart, QueryPart, SearchPart};
pub(crate) use gather::gather;
use rows::ChunkColumns;
pub(crate) use rows::find_rows;

/// Scans of fewer vector components than this are not split over threads.
const SPLIT_COMPONENTS_MIN: usize = 4 << 20;

/// The rows of one shard that a read sees, after its filter.
fn selected(
    view: &ShardView,
    as_of: Timestamp,
    partitions: &[PartitionId],
    plan: Option<&Plan>,
) -> Selection {
    let mut selection = view.select(as_of, partitions);
    if let Some(plan) = plan {
        let specs = view.specs();
        for chunk in &mut selection.chunks {
            let mut mask = std::mem::take(&mut chunk.mask);
            plan.eval(chunk.rows, &ChunkColumns { chunk, specs }, &mut mask);
            chunk.mask = mask;
        }
    }
    selection
}

/// The plan of a request's encoded filter.
fn plan_of(filter: Option<&Bytes>) -> Result<Option<Plan>, Fault> {
    let plan = filter.map(|bytes| Plan::decode(bytes)).transpose()?;
    Ok(plan.filter(|plan| !plan.is_always_true()))
}

/// Counts the rows of some shards one by one: every row, also rows that share a key.
pub(crate) fn count(
    request: &CountRequest,
    views: &[Arc<ShardView>],
    as_of: Timestamp,
) -> Result<CountPart, Fault> {
    let plan = plan_of(request.filter.as_ref())?;
    let partitions = &request.target.partitions;
    let rows = |v: &Arc<ShardView>| selected(v, as_of, partitions, plan.as_ref()).count();
    Ok(CountPart { rows: views.iter().map(rows).sum() })
}

/// The first `offset + limit` rows of some shards in key order.
pub(crate) fn query(
    request: &QueryRequest,
    views: &[Arc<ShardView>],
    as_of: Timestamp,
) -> Result<QueryPart, Fault> {
    let plan = plan_of(request.filter.as_ref())?;
    let most = request.limit.map(|limit| limit.saturating_add(request.offset));
    let mut parts = Vec::with_capacity(views.len());
    for view in views {
        let mut selection = selected(view, as_of, &request.target.partitions, plan.as_ref());
        view.keep_newest(&mut selection);
        let mut rows = Vec::with_capacity(usize::try_from(selection.count()).unwrap_or(0));
        selection.for_each_key(|number, key| rows.push((key, number)));
        let most = most.map_or(rows.len(), |m| usize::try_from(m).unwrap_or(usize::MAX));
        if most < rows.len() {
            if most > 0 {
                rows.select_nth_unstable(most - 1);
            }
            rows.truncate(most);
        }
        rows.sort_unstable();
        let numbers: Vec<u32> = rows.into_iter().map(|(_, number)| number).collect();
        let (pks, columns) = fetch(&selection, &numbers, view.pk(), &request.output)?;
        parts.push(QueryPart { pks: Some(pks), columns });
    }
    Ok(QueryPart::merge(parts, most))
}

/// The nearest rows of some shards for every query of a search.
pub(crate) fn search(
    request: &SearchRequest,
    views: &[Arc<ShardView>],
    as_of: Timestamp,
    threads: usize,
) -> Result<SearchPart, Fault> {
    let dim = request.dim as usize;
    let queries = Queries::new(request.metric, dim, &request.queries)
        .map_err(|e| Fault::invalid(e.to_string()))?;
    let plan = plan_of(request.filter.as_ref())?;
    let mut parts = Vec::with_capacity(views.len());
    for view in views {
        let mut selection = selected(view, as_of, &request.target.partitions, plan.as_ref());
        view.keep_newest(&mut selection);
        parts.push(search_selection(request, &queries, &selection, view.pk(), threads)?);
    }
    Ok(SearchPart::merge(parts, request.metric, request.topk as usize))
}

fn search_selection(
    request: &SearchRequest,
    queries: &Queries,
    selection: &Selection,
    pk: usize,
    threads: usize,
) -> Result<SearchPart, Fault> {
    let column = selection.specs().iter().position(|s| s.field == request.field);
    let column = column.filter(|&c| selection.specs()[c].dim == request.dim as usize);
    let column = column.ok_or_else(|| Fault::internal("the shard has no such vector field"))?;
    let tie = |a: u32, b: u32| selection.key(a).cmp(&selection.key(b));
    let k = request.topk as usize;
    let collectors = || vec![TopK::new(k, request.metric); queries.nq()];
    let scan_all = |chunks: &[ChunkRef]| {
        let mut tops = collectors();
        for chunk in chunks {
            scan_chunk(queries, chunk, column, &mut tops, &tie);
        }
        tops
    };
    let rows: usize = selection.chunks.iter().map(|c| c.rows).sum();
    let components = rows * queries.dim();
    let tops = if threads > 1 && components >= SPLIT_COMPONENTS_MIN {
        let part = selection.chunks.len().div_ceil(threads * 2).max(1);
        let partial = selection.chunks.par_chunks(part).map(scan_all);
        partial.reduce(collectors, |mut all, more| {
            for (top, other) in all.iter_mut().zip(more) {
                top.absorb(other, &tie);
            }
            all
        })
    } else {
        scan_all(&selection.chunks)
    };
    let mut part = SearchPart { hits: Vec::with_capacity(tops.len()), ..SearchPart::default() };
    let mut numbers = Vec::new();
    for top in tops {
        let hits = top.finish(&tie);
        part.hits.push(hits.len() as u32);
        part.scores.extend(hits.iter().map(|h| h.score));
        numbers.extend(hits.iter().map(|h| h.row));
    }
    let (pks, columns) = fetch(selection, &numbers, pk, &request.output)?;
    Ok(SearchPart { pks: Some(pks), columns, ..part })
}

fn scan_chunk(
    queries: &Queries,
    chunk: &ChunkRef,
    column: usize,
    tops: &mut [TopK],
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    let ColumnSlice::Vector { data, inv_norms } = chunk.column(column) else { return };
    let ones: usize = chunk.mask.iter().map(|w| w.count_ones() as usize).sum();
    if ones == 0 {
        return;
    }
    let mask = (ones < chunk.rows).then_some(&chunk.mask[..]);
    let block = Block { vectors: data, inv_norms, mask, first_row: chunk.base };
    scan(queries, &block, tops, tie);
}

/// The keys and the output fields of numbered rows.
fn fetch(
    selection: &Selection,
    numbers: &[u32],
    pk: usize,
    output: &[FieldId],
) -> Result<(Column, Vec<Column>), Fault> {
    let places = gather::places(selection, numbers);
    let specs = selection.specs();
    let pks = gather(selection, &places, pk)?;
    let mut columns = Vec::with_capacity(output.len());
    for field in output {
        let index = specs.iter().position(|s| s.field == *field);
        let index =
            index.ok_or_else(|| Fault::internal(format!("the shard has no field {field}")))?;
        columns.push(gather(selection, &places, index)?);
    }
    Ok((pks, columns))
}
