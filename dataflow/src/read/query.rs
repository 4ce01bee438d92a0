//! Queries: the rows that a filter keeps or that keys name, in their order.

use std::cmp::Ordering;

use hashbrown::HashSet;
use millstream_catalog::model::Fault;
use millstream_segment::{ColumnSlice, Selection};

use super::gather::{self, Budget, Place, gather};
use super::{ReadShard, Run, column_of, fetch, filter, order, plan_of, selected};
use crate::api::{CountRequest, KeyList, OrderBy, QueryRequest};
use crate::part::{CountPart, QueryPart};

/// Counts the rows of some shards one by one: every row, also rows that share a key.
pub(crate) fn count(
    request: &CountRequest,
    shards: &[ReadShard],
    run: &Run,
) -> Result<CountPart, Fault> {
    let plan = plan_of(request.filter.as_ref())?;
    let partitions = &request.target.partitions;
    let mut rows = 0;
    for shard in shards {
        rows += selected(shard, run, partitions, plan.as_ref())?.count();
    }
    Ok(CountPart { rows })
}

/// The first `offset + limit` rows of some shards in their order.
pub(crate) fn query(
    request: &QueryRequest,
    shards: &[ReadShard],
    run: &Run,
) -> Result<QueryPart, Fault> {
    let plan = plan_of(request.filter.as_ref())?;
    let most = request.limit.map(|limit| limit.saturating_add(request.offset));
    let mut parts = Vec::with_capacity(shards.len());
    let mut budget = Budget::of_answer();
    for shard in shards {
        let partitions = &request.target.partitions;
        let mut selection = match &shard.found {
            Some(rows) => shard.view.select_rows(run.as_of, partitions, rows),
            None => shard.view.select(run.as_of, partitions),
        };
        if let (None, Some(keys)) = (&shard.found, &request.keys) {
            keep_keys(&mut selection, keys, shard.view.pk());
        }
        filter(&mut selection, shard, plan.as_ref(), &run.interest)?;
        shard.view.keep_newest(&mut selection);
        let most = most.map_or(usize::MAX, |m| usize::try_from(m).unwrap_or(usize::MAX));
        let places = match request.order[..] {
            [] => first_by_key(&selection, most),
            _ => order::first_rows(&selection, &request.order, shard.view.pk(), most)?,
        };
        run.interest.check()?;
        let (pks, columns) =
            fetch(&selection, &places, shard.view.pk(), &request.output, &mut budget)?;
        let column = |by: &OrderBy| {
            gather(&selection, &places, column_of(&selection, by.field)?, &mut budget)
        };
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
    let mut first = First::new(most, selection.count());
    selection.for_each_key(|number, key| first.offer((key, number), Ord::cmp));
    let rows = first.sorted(Ord::cmp);
    let numbers: Vec<u32> = rows.into_iter().map(|(_, number)| number).collect();
    gather::places(selection, &numbers)
}

/// The first so many of what is offered, in memory for about twice as many.
pub(super) struct First<T> {
    most: usize,
    kept: Vec<T>,
    /// Where `kept` is cut back to `most`.
    full: usize,
    /// Whether `kept` was cut: its last is then at `most - 1`, until more comes.
    is_cut: bool,
}

impl<T> First<T> {
    /// Nothing yet, out of `count` that may come.
    pub(super) fn new(most: usize, count: u64) -> First<T> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let full = most.saturating_mul(2).max(1024);
        First { most, kept: Vec::with_capacity(full.min(count)), full, is_cut: false }
    }

    pub(super) fn offer(&mut self, new: T, order: impl Fn(&T, &T) -> Ordering) {
        let beyond = |last: &T| order(&new, last).is_gt();
        if self.most == 0 || self.is_cut && beyond(&self.kept[self.most - 1]) {
            return;
        }
        if self.kept.len() >= self.full {
            self.cut(&order);
        }
        self.kept.push(new);
    }

    /// Leaves the first `most`, the last of them at the end.
    fn cut(&mut self, order: impl Fn(&T, &T) -> Ordering) {
        if self.most < self.kept.len() {
            self.kept.select_nth_unstable_by(self.most - 1, order);
            self.kept.truncate(self.most);
            self.is_cut = true;
        }
    }

    pub(super) fn sorted(mut self, order: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
        self.cut(&order);
        self.kept.sort_unstable_by(order);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_are_those_of_a_sorted_list(
            numbers in prop::collection::vec(0u32..5_000, 0..5_000),
            most in 0usize..6_000,
        ) {
            let mut first = First::new(most, numbers.len() as u64);
            numbers.iter().for_each(|number| first.offer(*number, Ord::cmp));
            prop_assert!(first.kept.len() <= (2 * most).max(1024));
            let mut sorted = numbers;
            sorted.sort_unstable();
            sorted.truncate(most);
            prop_assert_eq!(first.sorted(Ord::cmp), sorted);
        }
    }
}
