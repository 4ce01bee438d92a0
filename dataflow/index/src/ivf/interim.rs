//! Lists over rows that still grow: chunk by chunk, around centroids that the chunks share.
//!
//! An [`Anchor`] is found once, from the first rows; a [`Part`] puts the rows of one chunk into its
//! lists, with their eight-bit codes. [`search`] visits the same lists of all parts, nearest first,
//! and scores the nearest rows by their vectors. So rows that come cost a comparison with every
//! centroid, whatever came before them.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use millstream_catalog::model::Metric;

use super::build::check;
use super::centroids::{Centroids, Crew, Points, assign, coarse_metric, coarse_queries};
use super::search::admits;
use super::train::{by_list, train};
use super::{IvfError, IvfKind, IvfParams, LIST_ROWS_MIN};
use crate::graph::codes::{CodeQuery, Codes, Scale, stride_of};
use crate::graph::source::Source;
use crate::queries::Queries;
use crate::rows::for_each_batch;
use crate::scan::{Block, Vectors, rows_of, scan, score_rows};
use crate::topk::{Collect, TopK};

/// The most lists: twice as many would cost a search more than they save it.
const LISTS_MAX: usize = 256;

/// Centroids and the scale of codes, found from some rows for all that come after them.
#[derive(Debug)]
pub struct Anchor {
    metric: Metric,
    dim: usize,
    lists: usize,
    centroids: Centroids,
    scale: Scale,
    /// Rows that it was found from.
    rows: usize,
}

/// Vectors of numbers under L2, IP or COSINE, as [`super::build`] takes them.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Row-major.
    pub vectors: Vectors<'a>,
    /// Dimensions.
    pub dim: usize,
    /// Read under COSINE only.
    pub inv_norms: &'a [f32],
    /// The metric.
    pub metric: Metric,
}

impl Anchor {
    /// Finds centroids of these rows on the calling thread; none of fewer than [`LIST_ROWS_MIN`].
    ///
    /// # Errors
    /// [`IvfError::Vectors`] if they are no numbers, or not under such a metric;
    /// [`IvfError::Cancelled`].
    pub fn find(rows: Rows<'_>, cancel: &AtomicBool) -> Result<Option<Arc<Anchor>>, IvfError> {
        let points = points(rows)?;
        let lists = (points.rows / LIST_ROWS_MIN).min(LISTS_MAX);
        if lists == 0 {
            return Ok(None);
        }
        let centroids = train(&points, lists, Crew { threads: 1, cancel })?;
        let (low, high) = points.source.bounds(points.rows);
        let scale = Scale::spanning(rows.metric, &low, &high);
        let Rows { metric, dim, .. } = rows;
        Ok(Some(Arc::new(Anchor { metric, dim, lists, centroids, scale, rows: points.rows })))
    }

    /// Rows that it was found from: it suits several times as many.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The metric of its lists.
    pub fn metric(&self) -> Metric {
        self.metric
    }
}

/// # Errors
/// As [`Anchor::find`].
fn points(rows: Rows<'_>) -> Result<Points<'_>, IvfError> {
    let Rows { vectors, dim, inv_norms, metric } = rows;
    let source = Source { vectors, dim, inv_norms, metric };
    let rows = check(&source, IvfParams { kind: IvfKind::Sq8, nlist: LISTS_MAX })?;
    Ok(Points { source, rows })
}

/// The rows of a chunk in the lists of an anchor.
#[derive(Debug)]
pub struct Part {
    anchor: Arc<Anchor>,
    /// Where each list ends, among the rows of all.
    ends: Vec<u32>,
    rows: Vec<u32>,
    codes: Vec<u8>,
}

impl Part {
    /// Puts rows into lists, on the calling thread; none if their codes would not tell which are
    /// near.
    ///
    /// # Errors
    /// As [`Anchor::find`].
    ///
    /// # Panics
    /// If the rows have another dimension or metric than the anchor.
    pub fn build(
        anchor: &Arc<Anchor>,
        rows: Rows<'_>,
        cancel: &AtomicBool,
    ) -> Result<Option<Part>, IvfError> {
        assert_eq!((rows.dim, rows.metric), (anchor.dim, anchor.metric), "rows of one field");
        let points = points(rows)?;
        if points.rows == 0 {
            return Ok(None);
        }
        let nearest = assign(&points, &anchor.centroids, Crew { threads: 1, cancel }, |_| {})?;
        let list_of: Vec<u32> = nearest.iter().map(|nearest| nearest.list).collect();
        let (ends, members) = by_list(&list_of, anchor.lists);
        let stride = stride_of(anchor.dim);
        let mut bytes = vec![0; members.len() * stride];
        let mut row = vec![0.0; anchor.dim];
        for (record, &member) in bytes.chunks_mut(stride).zip(&members) {
            points.source.row(member as usize, &mut row);
            anchor.scale.encode(&row, record);
        }
        let codes = Codes::new(anchor.metric, anchor.dim, &bytes);
        let row_of = |place: usize| members[place] as usize;
        if points.source.is_coarse(&anchor.scale, &codes, members.len(), row_of) {
            return Ok(None);
        }
        Ok(Some(Part { anchor: Arc::clone(anchor), ends, rows: members, codes: bytes }))
    }

    /// What its lists are around.
    pub fn anchor(&self) -> &Arc<Anchor> {
        &self.anchor
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    fn list(&self, list: usize) -> std::ops::Range<usize> {
        let start = list.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[list] as usize
    }
}

/// What a search looks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ask {
    /// Hits wanted of each query.
    pub k: usize,
    /// Which share of the rows is compared, by their codes.
    pub share: f64,
}

impl Ask {
    /// Rows that are compared of `rows`; a filter makes them no fewer.
    pub fn goal(self, rows: usize) -> usize {
        ((rows as f64 * self.share) as usize).max(self.k)
    }

    /// The nearest rows by their codes that are scored, so that the `k` nearest are among them.
    fn scored(self) -> usize {
        self.k.saturating_add((self.k / 2).max(20))
    }
}

/// Memory of searches on one thread, kept for the next one.
#[derive(Debug, Default)]
pub struct Scratch {
    coded: CodeQuery,
    places: Vec<u32>,
    rows: Vec<u32>,
    distances: Vec<f32>,
}

/// Offers the rows nearest to some of the queries, from number `first` on, to their collectors, as
/// [`crate::scan`] offers them. The parts are all around one anchor; each block has the vectors of
/// its part, and the mask of the rows that may be hits.
///
/// Lists are visited until so many admitted rows are compared as [`Ask::goal`] says, or all of
/// them.
///
/// # Panics
/// As [`crate::scan`] does; and if a block has another number of rows than its part, or a part has
/// another anchor.
pub fn search<C: Collect>(
    queries: &Queries,
    first: usize,
    parts: &[(&Part, Block<'_>)],
    ask: &Ask,
    out: &mut [C],
    scratch: &mut Scratch,
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    let Some((any, _)) = parts.first() else { return };
    let anchor = &*any.anchor;
    let one = |(part, _): &(&Part, Block<'_>)| Arc::ptr_eq(&part.anchor, &any.anchor);
    assert!(parts.iter().all(one), "one anchor");
    let whole = |(part, block): &(&Part, Block<'_>)| part.rows() == rows_of(queries, block);
    assert!(parts.iter().all(whole), "the rows of the lists");
    if ask.k == 0 {
        return;
    }
    let rows: usize = parts.iter().map(|(part, _)| part.rows()).sum();
    let goal = ask.goal(rows);
    let by_number = |a: u32, b: u32| a.cmp(&b);
    let nearest = TopK::new(anchor.lists, coarse_metric(anchor.metric));
    for (q, out) in (first..).zip(out) {
        let mut lists = [nearest.clone()];
        let coarse = coarse_queries(queries, q..q + 1);
        scan(&coarse, &anchor.centroids.block(), &mut lists, &by_number);
        anchor.scale.encode_one(queries, q, &mut scratch.coded);
        let mut near = TopK::new(ask.scored(), Metric::L2);
        let (mut met, [lists]) = (0, lists);
        for list in lists.into_entries(&by_number) {
            met += visit(parts, list.row as usize, &mut near, scratch);
            if met >= goal {
                break;
            }
        }
        let near = near.into_entries(&by_number);
        if near.len() < ask.k.min(met) {
            // Codes that are no numbers; those of finite values are.
            scan_alone(queries, parts, q, out, scratch, tie);
        } else {
            scratch.places.clear();
            scratch.places.extend(near.iter().map(|entry| entry.row));
            score(queries, parts, q, out, scratch, tie);
        }
    }
}

/// Scores all admitted rows for one query.
fn scan_alone<C: Collect>(
    queries: &Queries,
    parts: &[(&Part, Block<'_>)],
    q: usize,
    out: &mut C,
    scratch: &mut Scratch,
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    for (part, block) in parts {
        for_each_batch::<64>(part.rows(), block.mask, |rows, _| {
            score_rows(queries, block, q, rows, &mut scratch.distances);
            for (&row, &distance) in rows.iter().zip(&scratch.distances) {
                out.offer(distance, block.first_row + row, tie);
            }
        });
    }
}

/// Compares the admitted rows of a list, in all parts; how many they are.
fn visit(
    parts: &[(&Part, Block<'_>)],
    list: usize,
    near: &mut TopK,
    scratch: &mut Scratch,
) -> usize {
    let (mut met, mut before) = (0, 0);
    let tie = &|a: u32, b: u32| a.cmp(&b);
    let Scratch { coded, places, distances, .. } = scratch;
    for (part, block) in parts {
        let codes = Codes::new(part.anchor.metric, part.anchor.dim, &part.codes);
        let list = part.list(list);
        match block.mask {
            None => {
                met += list.len();
                codes.runs(coded, list, |first, distances| {
                    for (place, &distance) in (before + first as u32..).zip(distances) {
                        near.offer(distance, place, tie);
                    }
                });
            }
            Some(mask) => {
                places.clear();
                let admitted = list.filter(|&place| admits(mask, part.rows[place]));
                places.extend(admitted.map(|place| place as u32));
                met += places.len();
                distances.resize(places.len(), 0.0);
                codes.distances(coded, places, distances);
                for (&place, &distance) in places.iter().zip(distances.iter()) {
                    near.offer(distance, before + place, tie);
                }
            }
        }
        before += part.rows() as u32;
    }
    met
}

/// Scores the rows at `scratch.places` by their vectors.
fn score<C: Collect>(
    queries: &Queries,
    parts: &[(&Part, Block<'_>)],
    q: usize,
    out: &mut C,
    scratch: &mut Scratch,
    tie: &dyn Fn(u32, u32) -> Ordering,
) {
    let Scratch { places, rows, distances, .. } = scratch;
    places.sort_unstable();
    let (mut before, mut near) = (0, &places[..]);
    for (part, block) in parts {
        let end = before + part.rows() as u32;
        let (here, later) = near.split_at(near.partition_point(|&place| place < end));
        rows.clear();
        rows.extend(here.iter().map(|place| part.rows[(place - before) as usize]));
        score_rows(queries, block, q, rows, distances);
        for (&row, &distance) in rows.iter().zip(distances.iter()) {
            out.offer(distance, block.first_row + row, tie);
        }
        (before, near) = (end, later);
    }
}
