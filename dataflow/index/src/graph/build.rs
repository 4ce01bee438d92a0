//! Building a graph: rows are inserted one by one, by any number of threads at once.
//!
//! Links are atomic words. Who changes the links of a node holds the node's lock; who reads them
//! holds none, and sees each place as it was before or after. A node can be reached on a level when
//! its own links there are complete, and on a higher level only after that.
//!
//! The level of a row depends on its number alone, so the entry is known from the start and one
//! thread alone builds the same graph every time.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use millstream_catalog::model::Metric;
use parking_lot::Mutex;

use super::codes::{CodeQuery, Codes, Scale, stride_of};
use super::layout::{HEADER_BYTES, Header, Layout, SECTIONS, put_words};
use super::select::{Chosen, choose};
use super::source::{Source, find_twins, plan_levels};
use super::walk::{Everyone, Level, Reach, WalkScratch, descend, walk};
use super::{GraphError, GraphParams};
use crate::scan::Vectors;

/// Rows that a thread takes at a time.
const TAKE_ROWS: usize = 16;

/// A graph that is being built of Float, Float16, BFloat16 or Int8 vectors.
///
/// The vectors are read by [`GraphBuilder::new`] only: from there on the builder has their codes.
#[derive(Debug)]
pub struct GraphBuilder {
    params: GraphParams,
    header: Header,
    layout: Layout,
    /// The graph as it will be, so far with centre, codes and twins; begins within its first 64
    /// bytes, so that records are aligned.
    bytes: Vec<u8>,
    /// Where the graph begins in `bytes`.
    start: usize,
    /// Rows in the order of insertion: the entry, then the first of each chain of twins.
    order: Vec<u32>,
    /// All levels, from the lowest.
    levels: Vec<Growing>,
    /// The next of `order` to insert, and how many were.
    next: AtomicUsize,
    done: AtomicUsize,
}

/// A level that is being built.
#[derive(Debug)]
struct Growing {
    /// Rows of the nodes, ascending; empty on the lowest level, where nodes are rows.
    rows: Vec<u32>,
    nodes: usize,
    /// Links of a node at most.
    width: usize,
    /// `[nodes, width]`; places that are not used hold the node itself.
    links: Vec<AtomicU32>,
    locks: Vec<Mutex<()>>,
}

impl Level for Growing {
    fn nodes(&self) -> usize {
        self.nodes
    }

    #[inline(always)]
    fn row(&self, node: u32) -> u32 {
        if self.rows.is_empty() { node } else { self.rows[node as usize] }
    }

    #[inline(always)]
    fn links(&self, node: u32) -> impl Iterator<Item = u32> {
        self.places(node).iter().map(|place| place.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn prefetch(&self, node: u32) {
        crate::kernel::prefetch(self.places(node));
    }
}

impl Growing {
    fn new(rows: Vec<u32>, nodes: usize, width: usize) -> Growing {
        let links =
            (0..nodes as u32).flat_map(|node| (0..width).map(move |_| AtomicU32::new(node)));
        let links = links.collect();
        let locks = (0..nodes).map(|_| Mutex::new(())).collect();
        Growing { rows, nodes, width, links, locks }
    }

    #[inline(always)]
    fn places(&self, node: u32) -> &[AtomicU32] {
        &self.links[node as usize * self.width..][..self.width]
    }

    /// The node of a row, which has this level.
    fn node(&self, row: u32) -> u32 {
        if self.rows.is_empty() {
            return row;
        }
        self.rows.binary_search(&row).map_or(0, |node| node as u32)
    }

    /// Replaces the links of a node whose lock is held.
    fn set(&self, node: u32, links: impl Iterator<Item = u32>) {
        let links = links.chain(std::iter::repeat(node));
        for (place, link) in self.places(node).iter().zip(links) {
            place.store(link, Ordering::Relaxed);
        }
    }
}

/// Memory of a thread that builds.
#[derive(Debug, Default)]
struct BuildScratch {
    walk: WalkScratch,
    query: CodeQuery,
    chosen: Chosen,
    candidates: Vec<(f32, u32)>,
    nodes: Vec<u32>,
    distances: Vec<f32>,
    /// The neighbours chosen on each level of the row, from the lowest.
    found: Vec<Vec<(f32, u32)>>,
}

impl GraphBuilder {
    /// Reads and codes the rows: `vectors` are row-major, of `dim` dimensions; `inv_norms` are read
    /// under COSINE only, as [`crate::inv_norms_of`] computes them.
    ///
    /// # Errors
    /// [`GraphError::Param`] if a parameter or `dim` is out of bounds, or there are more than 2^30
    /// rows; [`GraphError::Vectors`] if the vectors are Binary or sparse, or the metric is not L2,
    /// IP or COSINE.
    ///
    /// # Panics
    /// If `vectors` has no whole number of rows, or under COSINE `inv_norms` is shorter.
    pub fn new(
        vectors: Vectors<'_>,
        dim: usize,
        inv_norms: &[f32],
        metric: Metric,
        params: GraphParams,
    ) -> Result<GraphBuilder, GraphError> {
        let source = Source { vectors, dim, inv_norms, metric };
        let rows = source.check(params)?;
        let (low, high) = source.bounds(rows);
        let scale = Scale::spanning(metric, &low, &high);
        let mut header = Header {
            metric,
            rows,
            dim,
            m: params.m,
            ef_construction: params.ef_construction,
            step: scale.step,
            twins: true,
            coarse: false,
            levels: Vec::new(),
            sums: [0; SECTIONS],
        };
        // Codes come first; whether there are twins, and the levels, is known when they are there.
        let layout = Layout::new(&header);
        let room = layout.bytes() + layout.bytes() / 8 + 64;
        let mut bytes: Vec<u8> = Vec::with_capacity(room);
        let start = bytes.as_ptr().align_offset(64).min(63);
        bytes.resize(start + layout.codes.end, 0);
        let file = &mut bytes[start..];
        put_words(&mut file[layout.centre.clone()], scale.centre.iter().map(|c| c.to_bits()));
        let mut row = vec![0.0; dim];
        let records = file[layout.codes.clone()].chunks_mut(stride_of(dim));
        for (i, record) in records.enumerate() {
            source.row(i, &mut row);
            scale.encode(&row, record);
        }
        let codes = Codes::new(metric, dim, &file[layout.codes.clone()]);
        header.coarse = source.is_coarse(&scale, &codes, rows, |i| i);
        let twins = find_twins(&codes, rows);
        header.twins = twins.is_some();
        let (heads, next) = match twins {
            Some(twins) => (twins.heads, twins.next),
            None => ((0..rows as u32).collect(), Vec::new()),
        };
        let upper = plan_levels(&heads, params.m);
        header.levels = upper.iter().map(Vec::len).collect();
        let layout = Layout::new(&header);
        bytes.resize(start + layout.bytes(), 0);
        put_words(&mut bytes[start..][layout.twins.clone()], next.into_iter());
        let entry = upper.last().and_then(|top| top.first()).or(heads.first()).copied();
        let others = heads.iter().copied().filter(|&row| Some(row) != entry);
        let mut order: Vec<u32> = entry.into_iter().chain(others).collect();
        if header.coarse {
            order.clear();
        }
        let mut levels = vec![Growing::new(Vec::new(), rows, 2 * params.m)];
        let upper = upper.into_iter().map(|rows| {
            let nodes = rows.len();
            Growing::new(rows, nodes, params.m)
        });
        levels.extend(upper);
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(GraphBuilder { params, header, layout, bytes, start, order, levels, next, done })
    }

    /// Nodes to insert; none if the codes of the vectors are too coarse to walk on.
    pub fn total(&self) -> usize {
        self.order.len()
    }

    /// Nodes inserted.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Inserts about `nodes_max` nodes; may be called by many threads at once.
    ///
    /// Returns whether nodes are left. When all threads have heard `false` the graph is complete.
    pub fn work(&self, nodes_max: usize) -> bool {
        let mut scratch = BuildScratch::default();
        scratch.query.resize(stride_of(self.header.dim));
        scratch.chosen.resize(stride_of(self.header.dim));
        let codes = self.codes();
        let mut inserted = 0;
        while inserted < nodes_max {
            let start = self.next.fetch_add(TAKE_ROWS, Ordering::Relaxed);
            let taken = self.order.iter().skip(start).take(TAKE_ROWS);
            if taken.len() == 0 {
                // Not further than the end, however often it is called.
                self.next.store(self.order.len(), Ordering::Relaxed);
                return false;
            }
            for &row in taken {
                self.insert(&codes, row, &mut scratch);
                self.done.fetch_add(1, Ordering::Relaxed);
                inserted += 1;
            }
        }
        true
    }

    /// The graph's bytes. Nodes that were not inserted are not found by walks.
    pub fn finish(mut self) -> Vec<u8> {
        let start = self.start;
        let file = &mut self.bytes[start..];
        let mut places = vec![self.layout.links.clone()];
        places.extend(self.layout.levels.iter().map(|level| level.links.clone()));
        for (level, place) in self.levels.iter().zip(places) {
            let links = level.links.iter().map(|link| link.load(Ordering::Relaxed));
            put_words(&mut file[place], links);
        }
        for (at, place) in self.layout.levels.iter().enumerate() {
            let (below, level) = (&self.levels[at], &self.levels[at + 1]);
            put_words(&mut file[place.rows.clone()], level.rows.iter().copied());
            put_words(&mut file[place.below.clone()], level.rows.iter().map(|&r| below.node(r)));
        }
        for (sum, section) in self.header.sums.iter_mut().zip(&self.layout.sections) {
            *sum = crc32c::crc32c(&file[section.clone()]);
        }
        file[..HEADER_BYTES].copy_from_slice(&self.header.encode());
        self.bytes.drain(..start);
        self.bytes
    }

    fn codes(&self) -> Codes<'_> {
        let bytes = &self.bytes[self.start..][self.layout.codes.clone()];
        Codes::new(self.header.metric, self.header.dim, bytes)
    }

    /// Finds the neighbours of a row on each of its levels, then links it, from the lowest up.
    fn insert(&self, codes: &Codes<'_>, row: u32, scratch: &mut BuildScratch) {
        if row == self.order[0] {
            return;
        }
        codes.query_of(row, &mut scratch.query);
        // The entry has all levels, and is the first node of the highest.
        let mut node = self.levels.last().map_or(0, |top| top.node(self.order[0]));
        let mut height = 0;
        for (at, level) in self.levels.iter().enumerate().rev() {
            let has_level = at == 0 || level.rows.binary_search(&row).is_ok();
            if has_level {
                height = height.max(at + 1);
                let reach = Reach::of(self.params.ef_construction.max(self.params.m));
                walk(codes, &scratch.query, level, &Everyone, node, reach, &mut scratch.walk);
                let entries = scratch.walk.pool.entries();
                node = entries.first().map_or(node, |entry| entry.node());
                let own = level.node(row);
                scratch.candidates.clear();
                let others = entries.iter().filter(|entry| entry.node() != own);
                scratch.candidates.extend(others.map(|entry| (entry.distance(), entry.node())));
                choose(codes, level, &scratch.candidates, self.params.m, &mut scratch.chosen);
                if scratch.found.len() <= at {
                    scratch.found.resize(at + 1, Vec::new());
                }
                scratch.found[at].clear();
                scratch.found[at].extend_from_slice(&scratch.chosen.links);
            } else {
                node = descend(codes, &scratch.query, level, node, &mut scratch.walk);
            }
            if at > 0 {
                node = self.levels[at - 1].node(level.row(node));
            }
        }
        for at in 0..height {
            let level = &self.levels[at];
            let own = level.node(row);
            let found = std::mem::take(&mut scratch.found[at]);
            {
                let _held = level.locks[own as usize].lock();
                level.set(own, found.iter().map(|link| link.1));
            }
            for &(distance, other) in &found {
                link_back(codes, level, other, (distance, own), scratch);
            }
            scratch.found[at] = found;
        }
    }
}

/// Gives `node` a link to a new node, in place of others if it has no room.
fn link_back(
    codes: &Codes<'_>,
    level: &Growing,
    node: u32,
    new: (f32, u32),
    scratch: &mut BuildScratch,
) {
    let _held = level.locks[node as usize].lock();
    scratch.nodes.clear();
    scratch.nodes.extend(level.links(node).take_while(|&link| link != node));
    if scratch.nodes.contains(&new.1) {
        return;
    }
    if let Some(place) = level.places(node).get(scratch.nodes.len()) {
        place.store(new.1, Ordering::Relaxed);
        return;
    }
    codes.query_of(level.row(node), &mut scratch.query);
    let rows: Vec<u32> = scratch.nodes.iter().map(|&link| level.row(link)).collect();
    scratch.distances.resize(rows.len(), 0.0);
    codes.distances(&scratch.query, &rows, &mut scratch.distances);
    scratch.candidates.clear();
    let links = scratch.distances.iter().copied().zip(scratch.nodes.iter().copied());
    scratch.candidates.extend(links.chain([new]));
    scratch.candidates.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    choose(codes, level, &scratch.candidates, level.width, &mut scratch.chosen);
    level.set(node, scratch.chosen.links.iter().map(|link| link.1));
}

/// Builds a graph with `threads` threads of its own; the arguments are those of
/// [`GraphBuilder::new`].
///
/// `progress` follows the rows inserted. When `cancel` becomes true the threads stop soon.
///
/// # Errors
/// Those of [`GraphBuilder::new`]; [`GraphError::Cancelled`] if it was cancelled.
#[expect(clippy::too_many_arguments, reason = "the vectors, how to build, and two signals")]
pub fn build(
    vectors: Vectors<'_>,
    dim: usize,
    inv_norms: &[f32],
    metric: Metric,
    params: GraphParams,
    threads: usize,
    cancel: &AtomicBool,
    progress: &AtomicU64,
) -> Result<Vec<u8>, GraphError> {
    let builder = GraphBuilder::new(vectors, dim, inv_norms, metric, params)?;
    let work = || {
        while !cancel.load(Ordering::Relaxed) && builder.work(256) {
            progress.fetch_max(builder.done() as u64, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    progress.fetch_max(builder.done() as u64, Ordering::Relaxed);
    if builder.done() < builder.total() {
        return Err(GraphError::Cancelled);
    }
    Ok(builder.finish())
}
