//! Rows that no index covers, in lists: which chunks a search finds through them, and which it scans.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use hashbrown::HashMap;
use millstream_catalog::model::{FieldId, Metric};
use millstream_index::ivf::interim::{Anchor, Part, search};
pub(super) use millstream_index::ivf::interim::{Ask, Scratch};
use millstream_index::{Block, Collect, Queries};
use millstream_segment::{Chunk, ChunkRef};

use super::search::{Tie, vectors_of};
use crate::interest::Interest;
use crate::storage::{Ask as IndexAsk, Interim, Lists, Wanted, lists_of};

/// Lists are made when a search scans more vector components than this without them.
const SCANNED_MAX: usize = 1 << 21;
/// Chunks of fewer rows are scanned in any case.
const CHUNK_ROWS_MIN: usize = 1 << 11;
/// A search scans if it would compare more of the rows than one of so many by their codes.
const PAYS: usize = 3;
/// Queries between two looks at whether anybody waits.
const STEP_QUERIES: usize = 16;

/// A field that is searched through lists.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) queries: &'a Queries,
    pub(super) column: usize,
    pub(super) id: FieldId,
    pub(super) ask: Ask,
}

/// Chunks with lists around one anchor.
pub(super) struct Group<'a> {
    anchor: Arc<Anchor>,
    chunks: Vec<(&'a ChunkRef, Arc<Lists>)>,
}

/// Lets go of lists that an index has made useless.
pub(super) fn forget(chunks: &[ChunkRef], field: FieldId) {
    for chunk in chunks.iter().filter(|chunk| chunk.chunk.beside(field).is_some()) {
        chunk.chunk.put_beside(field, None);
    }
}

/// What a search that wants `ask` of an index wants of rows that it does not cover.
///
/// Of the rows an eighth is compared at least, as Milvus visits of the lists of its own interim
/// index; all at an `ef` of 512, where walks miss one hit in a hundred, and as many as a search for
/// the same number of 128 lists would.
pub(super) fn ask_of(ask: &IndexAsk) -> Ask {
    let of_walk = ask.graph.ef as f64 / 512.0;
    let of_lists = ask.lists.nprobe as f64 / 128.0;
    Ask { k: ask.graph.k, share: of_walk.max(of_lists).clamp(0.125, 1.0) }
}

impl Field<'_> {
    /// Takes the chunks out of `chunks` that are better searched through their lists, and asks for
    /// lists where they would help the next search.
    pub(super) fn divide<'c>(
        &self,
        chunks: &mut Vec<&'c ChunkRef>,
        interim: &Interim,
    ) -> Vec<Group<'c>> {
        let (dim, metric) = (self.queries.dim(), self.queries.metric());
        let mut groups: Vec<Group<'c>> = Vec::new();
        // There are no eight-bit codes of bits.
        if !matches!(metric, Metric::L2 | Metric::Ip | Metric::Cosine) {
            return groups;
        }
        let mut scans = Vec::with_capacity(chunks.len());
        for (chunk, closed) in closed(chunks) {
            let lists = if closed { lists_of(&chunk.chunk, self.id, metric) } else { None };
            let part = lists.as_deref().and_then(Lists::part);
            let Some(part) = part.filter(|part| part.rows() == chunk.rows) else {
                scans.push(chunk);
                continue;
            };
            let anchor = Arc::clone(part.anchor());
            let at = groups.iter().position(|group| Arc::ptr_eq(&group.anchor, &anchor));
            let at = at.unwrap_or_else(|| {
                groups.push(Group { anchor, chunks: Vec::new() });
                groups.len() - 1
            });
            groups[at].chunks.extend(lists.map(|lists| (chunk, lists)));
        }
        let scanned: usize = scans.iter().map(|chunk| chunk.rows).sum();
        if scanned.saturating_mul(dim) > SCANNED_MAX {
            self.want(chunks, interim);
        }
        groups.retain(|group| {
            let pays = self.pays(group);
            if !pays {
                scans.extend(group.chunks.iter().map(|(chunk, _)| *chunk));
            }
            pays
        });
        *chunks = scans;
        groups
    }

    fn pays(&self, group: &Group<'_>) -> bool {
        let rows = group.chunks.iter().map(|(chunk, _)| chunk.rows).sum();
        let survivors: usize = group.chunks.iter().map(|(chunk, _)| chunk.selected()).sum();
        self.ask.goal(rows).saturating_mul(PAYS) <= survivors
    }

    /// Asks for lists of the chunks of each partition that take no more rows.
    fn want(&self, chunks: &[&ChunkRef], interim: &Interim) {
        let mut of_slots: HashMap<u32, Vec<Arc<Chunk>>> = HashMap::new();
        for (chunk, closed) in closed(chunks) {
            if closed && chunk.rows == chunk.chunk.rows() {
                of_slots.entry(chunk.slot).or_default().push(Arc::clone(&chunk.chunk));
            }
        }
        for chunks in of_slots.into_values() {
            let (dim, metric) = (self.queries.dim(), self.queries.metric());
            let wanted = Wanted { chunks, column: self.column, field: self.id, dim, metric };
            if wanted.lacks() {
                interim.want(wanted);
            }
        }
    }

    /// Offers the nearest selected rows of a group.
    pub(super) fn search<C: Collect>(
        &self,
        group: &Group<'_>,
        tops: &mut [C],
        scratch: &mut Scratch,
        (tie, interest): (Tie<'_>, &Interest),
    ) {
        let columns: Vec<_> = group.chunks.iter().map(|(c, _)| c.column(self.column)).collect();
        let parts: Vec<(&Part, Block<'_>)> = (group.chunks.iter().zip(&columns))
            .filter_map(|((chunk, lists), column)| {
                let (vectors, inv_norms) = vectors_of(column)?;
                let mask = (chunk.selected() < chunk.rows).then_some(&chunk.mask[..]);
                let block = Block { vectors, inv_norms, mask, first_row: chunk.base };
                Some((lists.part()?, block))
            })
            .collect();
        for (at, tops) in tops.chunks_mut(STEP_QUERIES).enumerate() {
            if interest.is_over() {
                return;
            }
            let first = at * STEP_QUERIES;
            search(self.queries, first, &parts, &self.ask, tops, scratch, tie);
        }
    }
}

/// Whether each chunk, large enough for lists, takes no more rows: another one follows in its
/// partition, or it belongs to a sealed segment.
fn closed<'s, 'a>(
    chunks: &'s [&'a ChunkRef],
) -> impl Iterator<Item = (&'a ChunkRef, bool)> + use<'s, 'a> {
    chunks.iter().enumerate().map(|(at, chunk)| {
        let followed = chunks.get(at + 1).is_some_and(|next| next.slot == chunk.slot);
        let closed = followed || chunk.chunk.segment().is_some();
        (*chunk, closed && chunk.rows >= CHUNK_ROWS_MIN)
    })
}
