//! Searches: the nearest rows of some shards for every query.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::sync::Arc;

use millstream_catalog::model::{Code, DataType, Fault, FieldId, IndexId, Metric};
use millstream_index::{
    BestGroups, Block, Collect, GroupHit, GroupMembers, Hit, Queries, Range, TopK, Vectors, scan,
};
use millstream_index::{graph, ivf};
use millstream_segment::{ChunkRef, ColumnSlice, Selection, Whole};
use rayon::prelude::*;

use super::gather::{self, Budget, gather};
use super::group::Groups;
use super::{ReadShard, Run, column_of, fetch, interim, plan_of, selected, text};
use crate::api::{Bounds, GroupBy, QueryVectors, SearchRequest};
use crate::part::SearchPart;
use crate::storage::{Ask, Built, built_of};

/// Scans of fewer vector components than this are not split over threads.
const SPLIT_COMPONENTS_MIN: usize = 4 << 20;
/// Scans that may collect more hits than this are not split over threads, each of which would
/// collect as many.
const SPLIT_HITS_MAX: usize = 1 << 20;
/// Vector components that are compared between two looks at whether anybody waits: some ten
/// milliseconds.
const STEP_COMPONENTS: usize = 1 << 28;
/// The most hits of one search, all queries together: about 400 MB on their way.
const HITS_MAX: usize = 1 << 24;

/// Lists that are visited when nobody says.
const DEFAULT_NPROBE: usize = 8;

/// Orders two row numbers of equal score.
pub(super) type Tie<'t> = &'t (dyn Fn(u32, u32) -> Ordering + Sync);

/// The nearest rows of some shards for every query of a search.
pub(crate) fn search(
    request: &SearchRequest,
    shards: &[ReadShard],
    run: &Run,
) -> Result<SearchPart, Fault> {
    let plan = plan_of(request.filter.as_ref())?;
    let mut parts = Vec::with_capacity(shards.len());
    let mut budget = Budget::of_answer();
    let mut most_hits = 0;
    for shard in shards {
        let mut selection = selected(shard, run, &request.target.partitions, plan.as_ref())?;
        shard.view.keep_newest(&mut selection);
        let pk = shard.view.pk();
        let hits = match &request.queries {
            QueryVectors::Text(_) => text::search(request, shard, &selection, &run.interest)?,
            _ => vectors(request, &selection, run)?,
        };
        most_hits += hits.iter().map(Vec::len).sum::<usize>();
        parts.push(part(request, &selection, pk, hits, &mut budget)?);
        if most_hits > SPLIT_HITS_MAX {
            // Many hits of many shards are cut as they come.
            parts = vec![SearchPart::merge(parts, request)];
            (most_hits, budget) = (0, Budget::of_answer());
        }
    }
    Ok(SearchPart::merge(parts, request))
}

/// The hits of each query as an answer has them.
fn part(
    request: &SearchRequest,
    selection: &Selection,
    pk: usize,
    hits: Vec<Vec<Hit>>,
    budget: &mut Budget,
) -> Result<SearchPart, Fault> {
    let counts = hits.iter().map(|hits| hits.len() as u32).collect();
    let scores = hits.iter().flatten().map(|h| h.score).collect();
    let numbers: Vec<u32> = hits.iter().flatten().map(|h| h.row).collect();
    let places = gather::places(selection, &numbers);
    let (pks, columns) = fetch(selection, &places, pk, &request.output, budget)?;
    let by = request.group.as_ref();
    let group = |by: &GroupBy| gather(selection, &places, column_of(selection, by.field)?, budget);
    let groups = by.map(group).transpose()?;
    Ok(SearchPart { hits: counts, pks: Some(pks), scores, groups, columns })
}

/// Refuses a search that could find more hits than an answer may hold.
pub(super) fn check_hits(request: &SearchRequest, nq: usize, rows: usize) -> Result<usize, Fault> {
    let group = request.group.as_ref().map_or(1, |group| group.size as usize);
    let most = nq.saturating_mul((request.topk as usize).saturating_mul(group).min(rows));
    if most <= HITS_MAX {
        return Ok(most);
    }
    let text = format!(
        "search results exceed the maxOutputSize Limit: {nq} queries may have {most} hits, more \
         than {HITS_MAX}"
    );
    Err(Fault::new(Code::ParameterTooLarge, text))
}

/// The hits of vector queries.
fn vectors(
    request: &SearchRequest,
    selection: &Selection,
    run: &Run,
) -> Result<Vec<Vec<Hit>>, Fault> {
    let column = column_of(selection, request.field)?;
    let spec = &selection.specs()[column];
    let queries = queries(request, spec.data_type, spec.dim)?;
    let rows = usize::try_from(selection.count()).unwrap_or(usize::MAX);
    let most = check_hits(request, queries.nq(), rows)?;
    let tie = |a: u32, b: u32| selection.key(a).cmp(&selection.key(b));
    let (k, metric) = (request.topk as usize, request.metric);
    let range = range_of(metric, &request.bounds);
    let threads = if most > SPLIT_HITS_MAX { 1 } else { run.threads };
    let (queries, tie) = (&queries, &tie);
    let mut pass = Pass { queries, selection, column, tie, threads, ask: None, run };
    if let Some(index) = request.index.filter(|_| by_best(request)) {
        pass.ask = Some((request.field, index, ask_of(request, k, range)));
    }
    let Some(by) = &request.group else {
        let make = || vec![TopK::within(k, metric, &range); queries.nq()];
        let tops = pass.run(make, |all: &mut TopK, more, tie| all.absorb(more, tie))?;
        return Ok(tops.into_iter().map(|top| top.finish(tie)).collect());
    };
    let groups = Groups::new(selection, by)?;
    let group_of = |row| groups.of(row);
    let only = |hits: Vec<GroupHit>| hits.into_iter().map(|h| h.hit).collect();
    if by.only.is_none() {
        let best = BestGroups::new(k, metric, &range, &group_of);
        let make = || vec![best.clone(); queries.nq()];
        let tops = pass.run(make, |all: &mut BestGroups<'_>, more, tie| all.absorb(more, tie))?;
        return Ok(tops.into_iter().map(|top| only(top.finish(tie))).collect());
    }
    let size = by.size as usize;
    let members = |query: usize| {
        let chosen = groups.chosen.get(query).into_iter().flatten().copied();
        GroupMembers::new(chosen, size, metric, &range, &group_of)
    };
    let make = || (0..queries.nq()).map(members).collect::<Vec<_>>();
    let tops = pass.run(make, |all: &mut GroupMembers<'_>, more, tie| all.absorb(more, tie))?;
    Ok(tops.into_iter().map(|top| only(top.finish(tie))).collect())
}

/// The queries, made ready for the rows of a field.
fn queries(request: &SearchRequest, data_type: DataType, dim: usize) -> Result<Queries, Fault> {
    let made = match &request.queries {
        QueryVectors::Float(values) => Queries::new(request.metric, dim, values),
        QueryVectors::Bytes(bytes) => Queries::new_typed(request.metric, data_type, dim, bytes),
        QueryVectors::Sparse(cells) => {
            Queries::sparse(request.metric, cells.iter().map(|cell| &cell[..]))
        }
        QueryVectors::Text(_) => return Err(Fault::internal("texts are no vectors")),
    };
    let made = made.map_err(|e| Fault::invalid(e.to_string()))?;
    if made.data_type() != data_type {
        let text = "vector type must be the same as the type of the field";
        return Err(Fault::expected(text, data_type.name(), made.data_type().name()));
    }
    Ok(made)
}

/// The scores within bounds, as the index takes them.
pub(super) fn range_of(metric: Metric, bounds: &Bounds) -> Range {
    let worse = |score: f32| {
        if metric.larger_is_better() { score.next_down() } else { score.next_up() }
    };
    let best = |inclusive| bounds.best.filter(|b| b.inclusive == inclusive).map(|b| b.score);
    Range {
        // The index leaves the worst score itself out.
        radius: bounds.worst.map(|b| if b.inclusive { worse(b.score) } else { b.score }),
        range_filter: best(true),
        after: best(false),
    }
}

/// A segment whose index is searched.
struct Walk<'a> {
    whole: &'a Whole,
    built: Arc<Built>,
    /// Its chunks in the selection.
    chunks: &'a [ChunkRef],
    /// Rows of it that are selected.
    survivors: usize,
    ask: &'a Ask,
}

/// One pass over the vectors of a selection.
struct Pass<'a> {
    queries: &'a Queries,
    selection: &'a Selection,
    column: usize,
    tie: Tie<'a>,
    threads: usize,
    /// The field, the index and what is wanted of it, when hits may be found by an index.
    ask: Option<(FieldId, IndexId, Ask)>,
    /// Whether the hits are still waited for, and who makes lists of growing rows.
    run: &'a Run,
}

/// Whether a search asks for the best rows and nothing else.
fn by_best(request: &SearchRequest) -> bool {
    request.group.is_none() && request.bounds == Bounds::default()
}

/// Rows that a walk keeps in sight for `k` hits when nobody says.
fn default_ef(k: usize) -> usize {
    (k + k / 2).max(128)
}

/// What a search for `k` hits wants of an index.
fn ask_of(request: &SearchRequest, k: usize, range: Range) -> Ask {
    let ef = request.ef.map_or_else(|| default_ef(k), |ef| ef as usize);
    let nprobe = request.nprobe.map_or(DEFAULT_NPROBE, |nprobe| nprobe as usize);
    let graph = graph::Ask { k, ef: ef.max(k), range };
    let scored = request.reorder_k.map_or(0, |scored| scored as usize);
    Ask { graph, lists: ivf::Ask { k, nprobe, scored } }
}

thread_local! {
    /// Memory of the searches of growing rows of a thread of the pool.
    static SCRATCH: RefCell<interim::Scratch> = RefCell::default();
}

impl Pass<'_> {
    /// Feeds collectors, one a query; on several threads when that pays.
    fn run<C: Collect + Send>(
        &self,
        make: impl Fn() -> Vec<C> + Sync,
        absorb: impl Fn(&mut C, C, &dyn Fn(u32, u32) -> Ordering) + Sync,
    ) -> Result<Vec<C>, Fault> {
        let scan_all = |chunks: &[&ChunkRef]| {
            let mut tops = make();
            for chunk in chunks {
                self.chunk(chunk, &mut tops);
            }
            tops
        };
        let (walks, mut chunks) = self.divide();
        let join = |mut all: Vec<C>, more: Vec<C>| {
            for (top, other) in all.iter_mut().zip(more) {
                absorb(top, other, self.tie);
            }
            all
        };
        let walk = |walk: &Walk<'_>| {
            let mut tops = make();
            self.walk(walk, &mut tops);
            tops
        };
        let walked = match self.threads {
            2.. if walks.len() > 1 => walks.par_iter().map(walk).reduce(&make, join),
            _ => walks.iter().map(walk).fold(make(), join),
        };
        let walked = join(walked, self.visit(&mut chunks, &make));
        let rows: usize = chunks.iter().map(|c| c.rows).sum();
        let components = rows.saturating_mul(self.queries.dim().max(16));
        let found = if chunks.is_empty() {
            walked
        } else if self.threads <= 1 || components < SPLIT_COMPONENTS_MIN {
            join(walked, scan_all(&chunks))
        } else {
            let part = chunks.len().div_ceil(self.threads * 2).max(1);
            join(walked, chunks.par_chunks(part).map(scan_all).reduce(&make, join))
        };
        // What was found when the interest ended is not all.
        self.run.interest.check()?;
        Ok(found)
    }

    /// The segments whose indexes are searched, and the chunks that are scanned.
    fn divide(&self) -> (Vec<Walk<'_>>, Vec<&ChunkRef>) {
        let all = &self.selection.chunks;
        let Some((field, index, ask)) = &self.ask else {
            return (Vec::new(), all.iter().collect());
        };
        let (mut walks, mut scans) = (Vec::new(), Vec::new());
        let segment = |c: &ChunkRef| c.chunk.segment().map_or(0, |segment| segment.id());
        for chunks in all.chunk_by(|a, b| segment(a) == segment(b) && segment(a) != 0) {
            let built = chunks[0].chunk.segment().and_then(|whole| {
                let built = built_of(whole, *field).filter(|built| built.index == *index)?;
                Some((whole, built))
            });
            let metric = self.queries.metric();
            let Some((whole, built)) = built.filter(|(_, b)| b.artefact.metric() == metric) else {
                scans.extend(chunks);
                continue;
            };
            interim::forget(chunks, *field);
            let survivors = chunks.iter().map(ChunkRef::selected).sum();
            if built.artefact.scans(survivors, self.queries.nq(), ask) {
                scans.extend(chunks);
            } else {
                walks.push(Walk { whole, built, chunks, survivors, ask });
            }
        }
        (walks, scans)
    }

    /// Takes the chunks out of `chunks` that are searched through lists, and searches them.
    fn visit<C: Collect>(
        &self,
        chunks: &mut Vec<&ChunkRef>,
        make: &(impl Fn() -> Vec<C> + Sync),
    ) -> Vec<C> {
        let mut tops = make();
        if let (Some((id, _, ask)), Some(maker)) = (&self.ask, &self.run.interim) {
            let ask = interim::ask_of(ask);
            let field = interim::Field { queries: self.queries, column: self.column, id: *id, ask };
            for group in field.divide(chunks, maker) {
                SCRATCH.with_borrow_mut(|scratch| {
                    field.search(&group, &mut tops, scratch, (self.tie, &self.run.interest));
                });
            }
        }
        tops
    }

    /// Offers the nearest selected rows of a segment.
    fn walk<C: Collect>(&self, walk: &Walk<'_>, tops: &mut [C]) {
        if self.run.interest.is_over() {
            return;
        }
        let Walk { whole, built, chunks, survivors, ask } = walk;
        let Some((vectors, inv_norms)) = vectors_of(&whole.column(self.column)) else { return };
        let mut mask = Vec::new();
        if *survivors < whole.rows() {
            mask.resize(whole.rows().div_ceil(64), 0u64);
            for chunk in *chunks {
                // Chunks of a segment hold whole words of its mask, but for its last one.
                let at = chunk.chunk.rows_before() / 64;
                mask[at..at + chunk.mask.len()].copy_from_slice(&chunk.mask);
            }
        }
        // The selection numbers the rows of a segment one after the other from its first chunk on.
        let before = chunks[0].chunk.rows_before();
        let first_row = chunks[0].base.wrapping_sub(before as u32);
        let mask = (!mask.is_empty()).then_some(&mask[..]);
        let block = Block { vectors, inv_norms, mask, first_row };
        built.artefact.search(self.queries, &block, ask, tops, self.tie);
    }

    fn chunk<C: Collect>(&self, chunk: &ChunkRef, tops: &mut [C]) {
        let ones = chunk.selected();
        if ones == 0 {
            return;
        }
        let Some((vectors, inv_norms)) = vectors_of(&chunk.column(self.column)) else { return };
        let mask = (ones < chunk.rows).then_some(&chunk.mask[..]);
        let block = Block { vectors, inv_norms, mask, first_row: chunk.base };
        let of_row = self.queries.dim().max(16).saturating_mul(self.queries.nq());
        for block in block.parts(self.queries.dim(), STEP_COMPONENTS / of_row.max(1)) {
            if self.run.interest.is_over() {
                return;
            }
            scan(self.queries, &block, tops, self.tie);
        }
    }
}

/// The vectors of a column, with their inverse norms where they have some.
pub(crate) fn vectors_of<'a>(slice: &ColumnSlice<'a>) -> Option<(Vectors<'a>, &'a [f32])> {
    Some(match *slice {
        ColumnSlice::Vector { data, inv_norms } => (Vectors::Float(data), inv_norms),
        ColumnSlice::Half { data, inv_norms } => (Vectors::Half(data), inv_norms),
        ColumnSlice::BHalf { data, inv_norms } => (Vectors::BHalf(data), inv_norms),
        ColumnSlice::Int8s { data, inv_norms } => (Vectors::Int8(data), inv_norms),
        ColumnSlice::Binary { data } => (Vectors::Binary(data), &[]),
        ColumnSlice::Var { offsets, bytes } => (Vectors::Sparse { offsets, bytes }, &[]),
        _ => return None,
    })
}
