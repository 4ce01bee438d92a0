//! Walks over one level of a graph, from a node to the nodes nearest to a query.

use super::codes::{CodeQuery, Codes};
use super::pool::{Entry, Pool, Visited};

/// One level of a graph.
///
/// Whatever its bytes are, every number it gives is that of a node.
pub(crate) trait Level {
    /// Number of nodes; above 0.
    fn nodes(&self) -> usize;

    /// The row of a node.
    fn row(&self, node: u32) -> u32;

    /// The neighbours of a node; the node itself in places that are not used.
    fn links(&self, node: u32) -> impl Iterator<Item = u32>;

    /// Asks the CPU for a node's links.
    fn prefetch(&self, node: u32);
}

/// Which nodes may be hits.
pub(crate) trait Admit {
    /// Whether some may not.
    const SOME: bool;

    /// Whether a row may be a hit.
    fn admits(&self, row: u32) -> bool;

    /// The next row with the same codes.
    fn twin(&self, row: u32) -> Option<u32>;

    /// Whether a row, or one with the same codes, may be a hit.
    #[inline(always)]
    fn admits_any(&self, row: u32) -> bool {
        let mut next = Some(row);
        while let Some(row) = next {
            if self.admits(row) {
                return true;
            }
            // A chain ascends, so it ends.
            next = self.twin(row).filter(|&twin| twin > row);
        }
        false
    }
}

/// Every node may be a hit, and has no twin.
pub(crate) struct Everyone;

impl Admit for Everyone {
    const SOME: bool = false;

    #[inline(always)]
    fn admits(&self, _: u32) -> bool {
        true
    }

    #[inline(always)]
    fn twin(&self, _: u32) -> Option<u32> {
        None
    }
}

/// How far a walk may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    /// Hits it looks for.
    pub(crate) ef: usize,
    /// Distances after which it gives up.
    pub(crate) distances_max: usize,
    /// Whether it steps over nodes that are no hits, to their neighbours.
    pub(crate) over: bool,
}

impl Reach {
    /// As far as `ef` says.
    pub(crate) fn of(ef: usize) -> Reach {
        Reach { ef, distances_max: usize::MAX, over: false }
    }
}

/// Memory of a walk, kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct WalkScratch {
    /// What the last walk found.
    pub(crate) pool: Pool,
    visited: Visited,
    nodes: Vec<u32>,
    through: Vec<u32>,
    rows: Vec<u32>,
    distances: Vec<f32>,
}

/// Goes from `node` to ever nearer neighbours; returns the one that has none.
pub(crate) fn descend<L: Level>(
    codes: &Codes<'_>,
    query: &CodeQuery,
    level: &L,
    mut node: u32,
    scratch: &mut WalkScratch,
) -> u32 {
    let mut best = f32::INFINITY;
    // A step needs a distance below the one before, so their number is that of the nodes at most.
    for _ in 0..level.nodes() {
        scratch.nodes.clear();
        scratch.nodes.push(node);
        scratch.nodes.extend(level.links(node).filter(|&other| other != node));
        measure(codes, query, level, scratch);
        let nearest = scratch.distances.iter().zip(&scratch.nodes);
        let nearest = nearest.min_by(|a, b| a.0.total_cmp(b.0));
        let Some((&distance, &nearest)) = nearest else { break };
        if nearest == node || distance.total_cmp(&best).is_ge() {
            break;
        }
        (best, node) = (distance, nearest);
    }
    node
}

/// Distances of `scratch.nodes`.
#[inline(always)]
fn measure<L: Level>(codes: &Codes<'_>, query: &CodeQuery, level: &L, scratch: &mut WalkScratch) {
    scratch.rows.clear();
    scratch.rows.extend(scratch.nodes.iter().map(|&node| level.row(node)));
    scratch.rows.iter().for_each(|&row| codes.prefetch(row));
    scratch.distances.resize(scratch.rows.len(), 0.0);
    codes.distances(query, &scratch.rows, &mut scratch.distances);
}

/// Finds the nodes nearest to a query, in `scratch.pool`; says whether it came to its end.
pub(crate) fn walk<L: Level, A: Admit>(
    codes: &Codes<'_>,
    query: &CodeQuery,
    level: &L,
    admit: &A,
    start: u32,
    reach: Reach,
    scratch: &mut WalkScratch,
) -> bool {
    scratch.pool.reset(reach.ef);
    scratch.visited.reset(level.nodes());
    scratch.visited.insert(start);
    scratch.nodes.clear();
    scratch.nodes.push(start);
    let mut left = reach.distances_max;
    // Nodes that are no hits take places of the pool; a crowd of them says that hits are far.
    let crowd = if A::SOME { 8 * reach.ef.max(16) } else { usize::MAX };
    loop {
        if scratch.nodes.len() > left || scratch.pool.entries().len() > crowd {
            return false;
        }
        left -= scratch.nodes.len();
        measure(codes, query, level, scratch);
        for (&node, &distance) in scratch.nodes.iter().zip(&scratch.distances) {
            let entry = Entry::new(distance, node, admit.admits(level.row(node)));
            if scratch.pool.offer(entry) {
                level.prefetch(node);
                offer_twins(admit, node, distance, &mut scratch.pool);
            }
        }
        let Some(node) = scratch.pool.visit() else { return true };
        gather(level, admit, node, reach.over, scratch);
    }
}

/// Takes in the rows with the same codes.
#[inline(always)]
fn offer_twins<A: Admit>(admit: &A, row: u32, distance: f32, pool: &mut Pool) {
    let mut row = row;
    // A chain ascends, so it ends.
    while let Some(twin) = admit.twin(row).filter(|&twin| twin > row) {
        row = twin;
        if admit.admits(row) && !pool.offer(Entry::new(distance, row, true).done()) {
            break;
        }
    }
}

/// Collects the neighbours of a node that were not met before.
#[inline(always)]
fn gather<L: Level, A: Admit>(
    level: &L,
    admit: &A,
    node: u32,
    over: bool,
    scratch: &mut WalkScratch,
) {
    let WalkScratch { visited, nodes, through, .. } = scratch;
    nodes.clear();
    if !over {
        nodes.extend(level.links(node).filter(|&other| visited.insert(other)));
        return;
    }
    through.clear();
    let mut width = 0;
    for other in level.links(node) {
        width += 1;
        if visited.insert(other) {
            if admit.admits_any(level.row(other)) {
                nodes.push(other);
            } else {
                level.prefetch(other);
                through.push(other);
            }
        }
    }
    for &middle in through.iter() {
        if nodes.len() >= width {
            break;
        }
        let beyond = level
            .links(middle)
            .filter(|&other| admit.admits_any(level.row(other)) && visited.insert(other));
        nodes.extend(beyond);
    }
}
