//! Queries: the rows that a filter keeps or that keys name, in their order.

use hashbrown::HashSet;
use millstream_catalog::model::{Fault, Timestamp};
use millstream_segment::{ColumnSlice, Selection};

use super::gather::{self, Place, gather};
use super::{ReadShard, column_of, fetch, filter, order, plan_of, selected};
use crate::api::{CountRequest, KeyList, OrderBy, QueryRequest};
use crate::part::{CountPart, QueryPart};

/// Counts the rows of some shards one by one: every row, also rows that share a key.
pub(crate) fn count(
    request: &CountRequest,
    shards: &[ReadShard],
    as_of: Timestamp,
) -> Result<CountPart, Fault> {
    let plan = plan_of(request.filter.as_ref())?;
    let partitions = &request.target.partitions;
    let mut rows = 0;
    for shard in shards {
        rows += selected(shard, as_of, partitions, plan.as_ref())?.count();
    }
    Ok(CountPart { rows })
}

/// The first `offset + limit` rows of some shards in their order.
pub(crate) fn query(
    request: &QueryRequest,
    shards: &[ReadShard],
    as_of: Timestamp,
) -> Result<QueryPart, Fault> {
    let plan = plan_of(request.filter.as_ref())?;
    let most = request.limit.map(|limit| limit.saturating_add(request.offset));
    let mut parts = Vec::with_capacity(shards.len());
    for shard in shards {
        let partitions = &request.target.partitions;
        let mut selection = match &shard.found {
            Some(rows) => shard.view.select_rows(as_of, partitions, rows),
            None => shard.view.select(as_of, partitions),
        };
        if let (None, Some(keys)) = (&shard.found, &request.keys) {
            keep_keys(&mut selection, keys, shard.view.pk());
        }
        filter(&mut selection, shard, plan.as_ref())?;
        shard.view.keep_newest(&mut selection);
        let most = most.map_or(usize::MAX, |m| usize::try_from(m).unwrap_or(usize::MAX));
        let places = match request.order[..] {
            [] => first_by_key(&selection, most),
            _ => order::first_rows(&selection, &request.order, shard.view.pk(), most)?,
        };
        let (pks, columns) = fetch(&selection, &places, shard.view.pk(), &request.output)?;
        let column = |by: &OrderBy| gather(&selection, &places, column_of(&selection, by.field)?);
        let order = request.order.iter().map(column).collect::<Result<_, Fault>>()?;
        parts.push(QueryPart { pks: Some(pks), order, columns });
    }
    Ok(QueryPart::merge(parts, &request.order, most))
}

/// Keeps the rows that have one of these keys.
fn keep_keys(selection: &mut Selection, keys: &KeyList, pk: usize) {
    match keys {
        KeyList::Int(keys) => {
            let keys: HashSet<i64> = keys.iter().copied().collect();
            keep(selection, pk, |slice, row| match slice {
                ColumnSlice::Int64(values) => keys.contains(&values[row]),
                _ => false,
            });
        }
        KeyList::Text(keys) => {
            let keys: HashSet<&[u8]> = keys.iter().map(String::as_bytes).collect();
            keep(selection, pk, |slice, row| match slice {
                ColumnSlice::Var { offsets, bytes } => {
                    let key = bytes.get(offsets[row] as usize..offsets[row + 1] as usize);
                    key.is_some_and(|key| keys.contains(key))
                }
                _ => false,
            });
        }
    }
}

fn keep(selection: &mut Selection, pk: usize, is_kept: impl Fn(&ColumnSlice<'_>, usize) -> bool) {
    for chunk in &mut selection.chunks {
        let slice = chunk.chunk.column(pk, chunk.rows);
        for (at, word) in chunk.mask.iter_mut().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = left & left.wrapping_neg();
                if !is_kept(&slice, at * 64 + left.trailing_zeros() as usize) {
                    *word &= !bit;
                }
                left &= left - 1;
            }
        }
    }
}

/// The first `most` rows by key.
fn first_by_key(selection: &Selection, most: usize) -> Vec<Place> {
    let mut rows = Vec::with_capacity(usize::try_from(selection.count()).unwrap_or(0));
    selection.for_each_key(|number, key| rows.push((key, number)));
    if most < rows.len() {
        if most > 0 {
            rows.select_nth_unstable(most - 1);
        }
        rows.truncate(most);
    }
    rows.sort_unstable();
    let numbers: Vec<u32> = rows.into_iter().map(|(_, number)| number).collect();
    gather::places(selection, &numbers)
}
