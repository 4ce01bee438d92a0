//! Partial answers: what one shard or worker found, and how parts become the whole.

use std::cmp::Ordering;

use bytes::{BufMut, Bytes, BytesMut};
use millstream_catalog::model::{Metric, Timestamp};
use serde::{Deserialize, Serialize};

use crate::api::{Column, QueryReply, SearchReply, Values};

/// Hits of a search, for each query best first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchPart {
    pub(crate) hits: Vec<u32>,
    pub(crate) pks: Option<Column>,
    pub(crate) scores: Vec<f32>,
    pub(crate) columns: Vec<Column>,
}

/// Rows of a query in key order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct QueryPart {
    pub(crate) pks: Option<Column>,
    pub(crate) columns: Vec<Column>,
}

/// A number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountPart {
    pub(crate) rows: u64,
}

/// A row of a part: (number of the part, row in it).
type Pick = (u32, u32);

impl SearchPart {
    /// The best `topk` hits of each query over all parts, ties by key.
    pub(crate) fn merge(mut parts: Vec<SearchPart>, metric: Metric, topk: usize) -> SearchPart {
        if parts.len() <= 1 {
            return parts.pop().unwrap_or_default();
        }
        let nq = parts.iter().map(|p| p.hits.len()).max().unwrap_or(0);
        let mut starts = vec![0u32; parts.len()];
        let mut hits = Vec::with_capacity(nq);
        let mut picks: Vec<Pick> = Vec::new();
        for query in 0..nq {
            let from = picks.len();
            for (part, start) in starts.iter_mut().enumerate() {
                let count = parts[part].hits.get(query).copied().unwrap_or(0);
                picks.extend((*start..*start + count).map(|row| (part as u32, row)));
                *start += count;
            }
            let found = &mut picks[from..];
            // Each part is a sorted run, which a stable sort merges in linear passes.
            found.sort_by(|a, b| better(&parts, metric, *a, *b));
            let kept = found.len().min(topk);
            picks.truncate(from + kept);
            hits.push(kept as u32);
        }
        let scores = picks.iter().map(|&(p, r)| parts[p as usize].scores[r as usize]).collect();
        let pk_columns: Vec<&Column> = parts.iter().filter_map(|p| p.pks.as_ref()).collect();
        let pks = pick(&pk_columns, &picks);
        let columns = pick_all(&parts, |p| &p.columns, &picks);
        SearchPart { hits, pks, scores, columns }
    }

    /// The whole answer.
    pub(crate) fn reply(self, as_of: Timestamp) -> Option<SearchReply> {
        let SearchPart { hits, pks, scores, columns } = self;
        Some(SearchReply { as_of, hits, pks: pks?, scores, columns })
    }
}

fn better(parts: &[SearchPart], metric: Metric, a: Pick, b: Pick) -> Ordering {
    let score = |(p, r): Pick| parts[p as usize].scores[r as usize];
    let by_score = match metric {
        Metric::L2 => score(a).total_cmp(&score(b)),
        Metric::Ip | Metric::Cosine => score(b).total_cmp(&score(a)),
    };
    let pk = |(p, _): Pick| parts[p as usize].pks.as_ref();
    by_score.then_with(|| match (pk(a), pk(b)) {
        (Some(x), Some(y)) => by_key(x, a.1, y, b.1),
        _ => Ordering::Equal,
    })
}

fn by_key(a: &Column, row_a: u32, b: &Column, row_b: u32) -> Ordering {
    match (&a.values, &b.values) {
        (Values::Long(x), Values::Long(y)) => x[row_a as usize].cmp(&y[row_b as usize]),
        (Values::Text(x), Values::Text(y)) => x[row_a as usize].cmp(&y[row_b as usize]),
        _ => Ordering::Equal,
    }
}

impl QueryPart {
    /// The first `most` rows of all parts in key order.
    pub(crate) fn merge(mut parts: Vec<QueryPart>, most: Option<u64>) -> QueryPart {
        if parts.len() <= 1 {
            return parts.pop().unwrap_or_default();
        }
        let mut picks: Vec<Pick> = Vec::new();
        for (part, rows) in (0u32..).zip(&parts) {
            let count = rows.pks.as_ref().map_or(0, |c| c.values.len());
            picks.extend((0..count as u32).map(|row| (part, row)));
        }
        picks.sort_by(|&a, &b| {
            match (parts[a.0 as usize].pks.as_ref(), parts[b.0 as usize].pks.as_ref()) {
                (Some(x), Some(y)) => by_key(x, a.1, y, b.1),
                _ => Ordering::Equal,
            }
        });
        if let Some(most) = most.and_then(|m| usize::try_from(m).ok()) {
            picks.truncate(most);
        }
        let pk_columns: Vec<&Column> = parts.iter().filter_map(|p| p.pks.as_ref()).collect();
        let pks = pick(&pk_columns, &picks);
        let columns = pick_all(&parts, |p| &p.columns, &picks);
        QueryPart { pks, columns }
    }

    /// The whole answer, without the rows before `offset`.
    pub(crate) fn reply(self, as_of: Timestamp, offset: u64) -> QueryReply {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let skip = |mut column: Column| {
            column.values.skip(offset);
            column
        };
        QueryReply { as_of, columns: self.columns.into_iter().map(skip).collect() }
    }
}

fn pick_all<P>(parts: &[P], columns: impl Fn(&P) -> &Vec<Column>, picks: &[Pick]) -> Vec<Column> {
    let count = parts.first().map_or(0, |p| columns(p).len());
    let column = |i: usize| {
        let of_part: Vec<&Column> = parts.iter().filter_map(|p| columns(p).get(i)).collect();
        pick(&of_part, picks)
    };
    (0..count).filter_map(column).collect()
}

/// One column of the picked rows; `columns` has the column of each part.
fn pick(columns: &[&Column], picks: &[Pick]) -> Option<Column> {
    macro_rules! of {
        ($variant:ident) => {
            Values::$variant(
                picks
                    .iter()
                    .filter_map(|&(p, r)| match &columns.get(p as usize)?.values {
                        Values::$variant(values) => values.get(r as usize).cloned(),
                        _ => None,
                    })
                    .collect(),
            )
        };
    }
    let first = columns.first()?;
    let values = match &first.values {
        Values::Bool(_) => of!(Bool),
        Values::Int(_) => of!(Int),
        Values::Long(_) => of!(Long),
        Values::Float(_) => of!(Float),
        Values::Double(_) => of!(Double),
        Values::Text(_) => of!(Text),
        Values::Json(_) => of!(Json),
        Values::FloatVector { dim, .. } => {
            let data = pick_vectors(columns, picks, *dim as usize * 4);
            Values::FloatVector { dim: *dim, data }
        }
    };
    Some(Column { field: first.field, data_type: first.data_type, values })
}

fn pick_vectors(columns: &[&Column], picks: &[Pick], width: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(picks.len() * width);
    for &(part, row) in picks {
        let from = row as usize * width;
        if let Some(Values::FloatVector { data, .. }) =
            columns.get(part as usize).map(|c| &c.values)
        {
            out.put_slice(data.get(from..from + width).unwrap_or_default());
        }
    }
    out.freeze()
}
