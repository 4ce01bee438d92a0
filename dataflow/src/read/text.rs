//! Full-text search: statistics of the whole corpus first, then the best rows by them.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use millstream_catalog::model::{Fault, FieldId};
use millstream_index::{Hit, Range};
use millstream_segment::{RowRef, Selection};
use millstream_text::{Bm25, Query, Scorer, Statistics, TextHit, TextView, Top};

use super::group::Groups;
use super::search::{check_hits, range_of};
use super::{ReadShard, Run};
use crate::api::{Bounds, GroupBy, QueryVectors, SearchRequest, TextStatistics};
use crate::interest::Interest;
use crate::part::StatisticsPart;

/// The index of the texts of one field in one partition of a shard.
#[derive(Clone)]
pub(crate) struct TextRef {
    /// The field that is searched or matched: for BM25 the output of the function.
    pub(crate) field: FieldId,
    /// Slot of the partition.
    pub(crate) slot: u32,
    /// The index; its row numbers are those of the partition.
    pub(crate) view: Arc<TextView>,
}

/// The statistics of some shards at a time, for each query: of all visible rows, whatever the
/// search's partitions and filter are.
pub(crate) fn statistics(
    request: &SearchRequest,
    shards: &[ReadShard],
    run: &Run,
) -> Result<StatisticsPart, Fault> {
    let QueryVectors::Text(texts) = &request.queries else {
        return Err(Fault::internal("only texts have statistics"));
    };
    let mut sums = vec![Statistics::default(); texts.len()];
    for shard in shards {
        let selection = shard.view.select(run.as_of, &[]);
        for text in shard.texts.iter().filter(|t| t.field == request.field) {
            let mask = partition_mask(&selection, text.slot);
            let snapshot = text.view.snapshot();
            for (sum, query) in sums.iter_mut().zip(texts) {
                run.interest.check()?;
                let query = Query::new(text.view.analyzer(), query);
                sum.add(&snapshot.statistics(&query, &mask));
            }
        }
    }
    Ok(StatisticsPart { of_queries: sums.into_iter().map(to_api).collect() })
}

fn to_api(sums: Statistics) -> TextStatistics {
    let Statistics { documents, total_length, frequencies } = sums;
    TextStatistics { documents, total_length, frequencies }
}

fn from_api(sums: &TextStatistics) -> Statistics {
    Statistics {
        documents: sums.documents,
        total_length: sums.total_length,
        frequencies: sums.frequencies.clone(),
    }
}

/// The rows of a partition that a selection keeps, as bits by their number in the partition.
fn partition_mask(selection: &Selection, slot: u32) -> Vec<u64> {
    let mut mask: Vec<u64> = Vec::new();
    for chunk in selection.chunks.iter().filter(|c| c.slot == slot) {
        if !chunk.chunk.is_dense() {
            mask.resize(mask.len().max((chunk.chunk.end_row() as usize).div_ceil(64)), 0);
            chunk.for_each(|row| {
                let number = chunk.chunk.number(row) as usize;
                mask[number / 64] |= 1 << (number % 64);
            });
            continue;
        }
        let first = chunk.chunk.first_row() as usize;
        let words = (first + chunk.rows).div_ceil(64);
        mask.resize(words.max(mask.len()), 0);
        let shift = first % 64;
        for (at, &word) in chunk.mask.iter().enumerate() {
            let at = first / 64 + at;
            mask[at] |= word << shift;
            // Nothing of a word lies beyond the last row, and so beyond the mask.
            if shift > 0 && word >> (64 - shift) != 0 {
                mask[at + 1] |= word >> (64 - shift);
            }
        }
    }
    mask
}

/// The best rows of a selection for each text.
pub(super) fn search(
    request: &SearchRequest,
    shard: &ReadShard,
    selection: &Selection,
    interest: &Interest,
) -> Result<Vec<Vec<Hit>>, Fault> {
    let QueryVectors::Text(texts) = &request.queries else {
        return Err(Fault::internal("a search for texts without one"));
    };
    let rank = request.text.as_ref();
    let rank = rank.ok_or_else(|| Fault::internal("a search for texts without its statistics"))?;
    let bm25 = Bm25::new(rank.k1, rank.b)?;
    let rows = usize::try_from(selection.count()).unwrap_or(usize::MAX);
    check_hits(request, texts.len(), rows)?;
    let numbering = Numbering::new(selection);
    let tie = |a: u32, b: u32| {
        let key = |row| numbering.number(row).map(|number| selection.key(number));
        key(a).cmp(&key(b))
    };
    // What is not among the best of all may be among those of a group, or within bounds.
    let all = request.group.is_some() || request.bounds != Bounds::default();
    let k = if all { rows } else { (request.topk as usize).min(rows) };
    let cut = if all { Some(Cut::new(request, selection)?) } else { None };
    let indexes: Vec<_> = shard.texts.iter().filter(|t| t.field == request.field).collect();
    let masks: Vec<Vec<u64>> = indexes.iter().map(|t| partition_mask(selection, t.slot)).collect();
    let mut hits = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        let mut top = Top::new(k);
        for (index, mask) in indexes.iter().zip(&masks) {
            let Some(base) = numbering.base(index.slot) else { continue };
            interest.check()?;
            let query = Query::new(index.view.analyzer(), text);
            let sums = rank.statistics.get(at).map(from_api).unwrap_or_default();
            let scorer = Scorer::new(&query, &sums, bm25);
            index.view.snapshot().search(&scorer, mask, base, &mut top, &tie);
        }
        let found = top
            .finish(&tie)
            .into_iter()
            .filter_map(|TextHit { score, row }| Some(Hit { score, row: numbering.number(row)? }));
        // One query's matches at a time: they may be all rows.
        hits.push(match &cut {
            Some(cut) => cut.kept(at, found),
            None => found.collect(),
        });
    }
    Ok(hits)
}

/// How the indexes count the rows of a selection: partition after partition, and within one by the
/// rows' numbers there, so that what is gone is counted too.
struct Numbering<'s> {
    selection: &'s Selection,
    /// Slots with the count before each, and the number of its first row.
    slots: Vec<(u32, u32, u32)>,
}

impl<'s> Numbering<'s> {
    fn new(selection: &'s Selection) -> Numbering<'s> {
        let mut slots: Vec<(u32, u32, u32)> = Vec::new();
        let mut next = 0u32;
        for of_slot in selection.chunks.chunk_by(|a, b| a.slot == b.slot) {
            let (first, last) = (of_slot[0].chunk.first_row(), of_slot[of_slot.len() - 1].rows);
            let last = of_slot[of_slot.len() - 1].chunk.number(last.saturating_sub(1));
            slots.push((of_slot[0].slot, next, first));
            next = next.saturating_add(last - first + 1);
        }
        Numbering { selection, slots }
    }

    /// What the number of a row in the partition of a slot is raised by, modulo 2^32.
    fn base(&self, slot: u32) -> Option<u32> {
        let (_, before, first) = self.slots.iter().find(|(known, ..)| *known == slot)?;
        Some(before.wrapping_sub(*first))
    }

    /// The number within the selection of a counted row.
    fn number(&self, counted: u32) -> Option<u32> {
        let after = self.slots.partition_point(|(_, before, _)| *before <= counted);
        let (slot, before, first) = self.slots[after.checked_sub(1)?];
        self.selection.number_of(RowRef { slot, row: counted - before + first })
    }
}

/// Keeps the hits within bounds, and of groups the best.
struct Cut<'s> {
    range: Range,
    topk: usize,
    /// The groups, and how many hits of each are wanted.
    groups: Option<(Groups<'s>, u32)>,
    /// The groups to keep for each query, when they are chosen already.
    chosen: Vec<HashSet<u64>>,
}

impl<'s> Cut<'s> {
    fn new(request: &'s SearchRequest, selection: &'s Selection) -> Result<Cut<'s>, Fault> {
        let of = |by: &'s GroupBy| Ok::<_, Fault>((Groups::new(selection, by)?, by.size));
        let groups = request.group.as_ref().map(of).transpose()?;
        let chosen = groups.iter().flat_map(|(groups, _)| &groups.chosen);
        let chosen = chosen.map(|groups| groups.iter().copied().collect()).collect();
        let range = range_of(request.metric, &request.bounds);
        Ok(Cut { range, topk: request.topk as usize, groups, chosen })
    }

    fn is_within(&self, hit: &Hit) -> bool {
        self.range.radius.is_none_or(|radius| hit.score > radius)
            && self.range.range_filter.is_none_or(|best| hit.score <= best)
            && self.range.after.is_none_or(|after| hit.score < after)
    }

    /// What is kept of the hits of a query, best first.
    fn kept(&self, query: usize, hits: impl Iterator<Item = Hit>) -> Vec<Hit> {
        let hits = hits.filter(|hit| self.is_within(hit));
        let Some((groups, size)) = &self.groups else { return hits.take(self.topk).collect() };
        let mut counts: HashMap<u64, u32> = HashMap::new();
        let kept = hits.filter(|hit| {
            let group = groups.of(hit.row);
            let wanted = match self.chosen.get(query) {
                Some(chosen) => chosen.contains(&group),
                None => counts.len() < self.topk || counts.contains_key(&group),
            };
            let kept = wanted && counts.get(&group).copied().unwrap_or(0) < *size;
            if kept {
                *counts.entry(group).or_default() += 1;
            }
            kept
        });
        kept.collect()
    }
}
