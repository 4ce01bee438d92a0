//! Which of the nearest nodes become neighbours.

use super::codes::{CodeQuery, Codes};
use super::walk::Level;

/// Chosen nodes that a candidate is compared with at once.
const STEP: usize = 8;

/// The neighbours chosen, and memory for choosing.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// Nodes with their distances, nearest first.
    pub(crate) links: Vec<(f32, u32)>,
    rows: Vec<u32>,
    query: CodeQuery,
}

impl Chosen {
    /// Memory for records of `stride` bytes.
    pub(crate) fn resize(&mut self, stride: usize) {
        self.query.resize(stride);
    }
}

/// Chooses up to `m` of the candidates, which are in order of their distance.
///
/// A candidate that is nearer to one chosen before than to the node itself is left out: it can be
/// reached from there, and the place is better given to another direction.
pub(crate) fn choose<L: Level>(
    codes: &Codes<'_>,
    level: &L,
    candidates: &[(f32, u32)],
    m: usize,
    chosen: &mut Chosen,
) {
    let Chosen { links, rows, query } = chosen;
    links.clear();
    rows.clear();
    if candidates.len() < m {
        // The first nodes of a level keep all links: they hold distant parts together.
        links.extend_from_slice(candidates);
        return;
    }
    for &(distance, node) in candidates {
        if links.len() == m {
            break;
        }
        let row = level.row(node);
        if !rows.is_empty() {
            codes.query_of(row, query);
        }
        let mut between = [0.0; STEP];
        let hidden = rows.chunks(STEP).any(|rows| {
            codes.distances(query, rows, &mut between);
            between[..rows.len()].iter().fold(false, |any, &between| any | (between < distance))
        });
        if !hidden {
            links.push((distance, node));
            rows.push(row);
        }
    }
}
