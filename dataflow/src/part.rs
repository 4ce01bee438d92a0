//! Partial answers: what one shard or worker found, and how parts become the whole.

mod aggregate;
mod pick;

use std::cmp::Ordering;

use hashbrown::HashMap;
use millstream_catalog::model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{Column, OrderBy, QueryReply, SearchReply, SearchRequest, TextStatistics};
pub(crate) use aggregate::{AggregatePart, Cell, State, check_groups};
pub(crate) use pick::null_order;
use pick::{Pick, by_step, by_value, group_key, pick, pick_all};

/// Hits of a search, for each query best first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchPart {
    pub(crate) hits: Vec<u32>,
    pub(crate) pks: Option<Column>,
    pub(crate) scores: Vec<f32>,
    /// The values that hits are grouped by.
    pub(crate) groups: Option<Column>,
    pub(crate) columns: Vec<Column>,
}

/// Rows of a query in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct QueryPart {
    pub(crate) pks: Option<Column>,
    /// The values that rows are ordered by, before their keys.
    pub(crate) order: Vec<Column>,
    pub(crate) columns: Vec<Column>,
}

/// A number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountPart {
    pub(crate) rows: u64,
}

/// What BM25 knows of some shards, for each query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatisticsPart {
    pub(crate) of_queries: Vec<TextStatistics>,
}

impl StatisticsPart {
    /// The sums of all parts.
    pub(crate) fn merge(parts: Vec<StatisticsPart>) -> StatisticsPart {
        let mut parts = parts.into_iter();
        let mut whole = parts.next().unwrap_or_default();
        for part in parts {
            for (sum, more) in whole.of_queries.iter_mut().zip(part.of_queries) {
                sum.documents += more.documents;
                sum.total_length += more.total_length;
                // A shard without rows knows no terms.
                let terms = sum.frequencies.len().max(more.frequencies.len());
                sum.frequencies.resize(terms, 0);
                for (sum, more) in sum.frequencies.iter_mut().zip(more.frequencies) {
                    *sum += more;
                }
            }
        }
        whole
    }
}

impl SearchPart {
    /// The best hits of each query over all parts, ties by key; grouped, if the request says so.
    pub(crate) fn merge(mut parts: Vec<SearchPart>, request: &SearchRequest) -> SearchPart {
        let grouped = request.group.is_some();
        if parts.is_empty() || (parts.len() == 1 && !grouped) {
            return parts.pop().unwrap_or_default();
        }
        let nq = parts.iter().map(|p| p.hits.len()).max().unwrap_or(0);
        let mut starts = vec![0u32; parts.len()];
        let mut hits = Vec::with_capacity(nq);
        let mut picks: Vec<Pick> = Vec::new();
        let topk = request.topk as usize;
        let mut found: Vec<Pick> = Vec::new();
        for query in 0..nq {
            found.clear();
            for (part, start) in starts.iter_mut().enumerate() {
                let count = parts[part].hits.get(query).copied().unwrap_or(0);
                found.extend((*start..*start + count).map(|row| (part as u32, row)));
                *start += count;
            }
            // Each part is a sorted run, which a stable sort merges in linear passes.
            let larger = request.metric.larger_is_better();
            found.sort_by(|a, b| better(&parts, larger, *a, *b));
            let before = picks.len();
            match &request.group {
                Some(group) => best_groups(&parts, &found, topk, group.size as usize, &mut picks),
                None => picks.extend(found.iter().take(topk)),
            }
            hits.push((picks.len() - before) as u32);
        }
        let scores = picks.iter().map(|&(p, r)| parts[p as usize].scores[r as usize]).collect();
        let one = |of: fn(&SearchPart) -> Option<&Column>| {
            pick(&parts.iter().filter_map(of).collect::<Vec<_>>(), &picks)
        };
        let pks = one(|p| p.pks.as_ref());
        let groups = one(|p| p.groups.as_ref());
        let columns = pick_all(&parts, |p| &p.columns, &picks);
        SearchPart { hits, pks, scores, groups, columns }
    }

    /// The whole answer.
    pub(crate) fn reply(self, as_of: Timestamp) -> Option<SearchReply> {
        let SearchPart { hits, pks, scores, groups, columns } = self;
        Some(SearchReply { as_of, hits, pks: pks?, scores, groups, columns })
    }
}

/// Appends the best `topk` groups of hits that are best first, each with its best `size` hits.
fn best_groups(
    parts: &[SearchPart],
    found: &[Pick],
    topk: usize,
    size: usize,
    picks: &mut Vec<Pick>,
) {
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut groups: Vec<Vec<Pick>> = Vec::new();
    let mut key = Vec::new();
    for &(part, row) in found {
        key.clear();
        if let Some(column) = &parts[part as usize].groups {
            group_key(column, row as usize, &mut key);
        }
        let place = match places.get(&key) {
            Some(&place) => place,
            None if groups.len() >= topk => continue,
            None => {
                places.insert(key.clone(), groups.len());
                groups.push(Vec::new());
                groups.len() - 1
            }
        };
        if groups[place].len() < size {
            groups[place].push((part, row));
        }
    }
    picks.extend(groups.into_iter().flatten());
}

fn better(parts: &[SearchPart], larger: bool, a: Pick, b: Pick) -> Ordering {
    let score = |(p, r): Pick| parts[p as usize].scores[r as usize];
    let by_score = score(a).total_cmp(&score(b));
    let by_score = if larger { by_score.reverse() } else { by_score };
    by_score.then_with(|| by_key(|p| parts[p as usize].pks.as_ref(), a, b))
}

fn by_key<'p>(pks: impl Fn(u32) -> Option<&'p Column>, a: Pick, b: Pick) -> Ordering {
    match (pks(a.0), pks(b.0)) {
        (Some(x), Some(y)) => by_value(x, a.1, y, b.1),
        _ => Ordering::Equal,
    }
}

impl QueryPart {
    /// The first `most` rows of all parts in their order.
    pub(crate) fn merge(
        mut parts: Vec<QueryPart>,
        order: &[OrderBy],
        most: Option<u64>,
    ) -> QueryPart {
        if parts.len() <= 1 {
            return parts.pop().unwrap_or_default();
        }
        let mut picks: Vec<Pick> = Vec::new();
        for (part, rows) in (0u32..).zip(&parts) {
            let count = rows.pks.as_ref().map_or(0, |c| c.values.len());
            picks.extend((0..count as u32).map(|row| (part, row)));
        }
        picks.sort_by(|&a, &b| {
            let columns = |p: Pick| parts[p.0 as usize].order.iter();
            let steps = order.iter().zip(columns(a).zip(columns(b)));
            let first = steps
                .map(|(&step, (x, y))| by_step(step, x, a.1, y, b.1))
                .find(|order| order.is_ne());
            first.unwrap_or_else(|| by_key(|p| parts[p as usize].pks.as_ref(), a, b))
        });
        if let Some(most) = most.and_then(|m| usize::try_from(m).ok()) {
            picks.truncate(most);
        }
        let pk_columns: Vec<&Column> = parts.iter().filter_map(|p| p.pks.as_ref()).collect();
        let pks = pick(&pk_columns, &picks);
        let order = pick_all(&parts, |p| &p.order, &picks);
        let columns = pick_all(&parts, |p| &p.columns, &picks);
        QueryPart { pks, order, columns }
    }

    /// The whole answer, without the rows before `offset`.
    pub(crate) fn reply(self, as_of: Timestamp, offset: u64) -> QueryReply {
        let mut columns = self.columns;
        if offset > 0 {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let rows = columns.first().map_or(0, |c| c.values.len());
            let keep: Vec<bool> = (0..rows).map(|row| row >= offset).collect();
            columns.iter_mut().for_each(|column| column.retain(&keep));
        }
        QueryReply { as_of, columns }
    }
}
