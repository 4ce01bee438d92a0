//! Merges neighbouring blocks of one range into one, a step at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::block::{Block, Positions};

/// A term of one of the blocks: its hash, the block, its place there.
type Source = (u64, u32, u32);

/// A merge that is under way. Its blocks stay as they are, and answer until it is done.
pub(crate) struct Merger {
    blocks: Vec<Arc<Block>>,
    /// The next term of each block, the smallest first.
    next: BinaryHeap<Reverse<Source>>,
    /// Terms of one hash.
    same: Vec<Source>,
    merged: Block,
    positions: Option<Positions>,
}

impl Merger {
    /// Begins to merge blocks that follow each other in one range.
    ///
    /// # Panics
    /// When there is no block.
    pub(crate) fn new(blocks: Vec<Arc<Block>>) -> Merger {
        let sum = |size: fn(&Block) -> usize| blocks.iter().map(|b| size(b)).sum::<usize>();
        let postings = sum(|b| b.rows.len());
        let mut merged = Block {
            range: blocks[0].range,
            first: blocks[0].first,
            lengths: Vec::with_capacity(sum(|b| b.lengths.len())),
            short_lengths: Vec::with_capacity(sum(|b| b.lengths.len())),
            total_length: blocks.iter().map(|b| b.total_length).sum(),
            rows: Vec::with_capacity(postings),
            counts: Vec::with_capacity(postings),
            ..Block::default()
        };
        for block in &blocks {
            merged.lengths.extend_from_slice(&block.lengths);
            merged.short_lengths.extend_from_slice(&block.short_lengths);
        }
        let positions = blocks[0].positions.is_some().then(|| Positions {
            ends: Vec::with_capacity(postings),
            bytes: Vec::with_capacity(sum(|b| b.positions.as_ref().map_or(0, |p| p.bytes.len()))),
        });
        let first = |(number, block): (u32, &Arc<Block>)| {
            block.hashes.first().map(|&hash| Reverse((hash, number, 0)))
        };
        let next = (0u32..).zip(&blocks).filter_map(first).collect();
        Merger { blocks, next, same: Vec::new(), merged, positions }
    }

    /// Number of postings of a merge of these blocks: what it costs.
    pub(crate) fn cost(blocks: &[Arc<Block>]) -> usize {
        blocks.iter().map(|block| block.rows.len() + block.hashes.len()).sum()
    }

    /// Merges about so many postings more; whether all are merged.
    pub(crate) fn step(&mut self, postings: usize) -> bool {
        let end = self.merged.rows.len().saturating_add(postings);
        while self.merged.rows.len() < end && self.take_hash() {
            let Merger { blocks, same, merged, positions, .. } = self;
            let name = |&(_, block, term): &Source| blocks[block as usize].name(term as usize);
            // Two terms of one hash are next to unheard of.
            if !same.is_sorted_by(|a, b| name(a) == name(b)) {
                same.sort_by(|a, b| name(a).cmp(name(b)).then(a.1.cmp(&b.1)));
            }
            for of_term in same.chunk_by(|a, b| name(a) == name(b)) {
                merged.hashes.push(of_term[0].0);
                merged.names.extend_from_slice(name(&of_term[0]));
                merged.name_ends.push(merged.names.len() as u32);
                for &(_, block, term) in of_term {
                    append(merged, positions, &blocks[block as usize], term);
                }
                merged.end_term();
            }
        }
        self.next.is_empty()
    }

    /// The block of all rows, once all postings are merged.
    pub(crate) fn finish(self) -> Block {
        let mut merged = self.merged;
        merged.hashes.shrink_to_fit();
        merged.names.shrink_to_fit();
        merged.name_ends.shrink_to_fit();
        merged.ends.shrink_to_fit();
        merged.positions = self.positions;
        merged
    }

    /// Sets `same` to the terms of the next hash, in the order of the blocks; `false` at the end.
    fn take_hash(&mut self) -> bool {
        self.same.clear();
        while let Some(mut top) = self.next.peek_mut() {
            let Reverse(source) = *top;
            if self.same.first().is_some_and(|first| first.0 != source.0) {
                break;
            }
            self.same.push(source);
            let (_, block, term) = source;
            match self.blocks[block as usize].hashes.get(term as usize + 1) {
                Some(&hash) => *top = Reverse((hash, block, term + 1)),
                None => drop(std::collections::binary_heap::PeekMut::pop(top)),
            }
        }
        !self.same.is_empty()
    }
}

/// Appends the postings of a term of `block`.
fn append(merged: &mut Block, positions: &mut Option<Positions>, block: &Block, term: u32) {
    let (start, end) = block.span(term as usize);
    let before = merged.rows.len();
    merged.rows.extend_from_slice(&block.rows[start..end]);
    merged.counts.extend_from_slice(&block.counts[start..end]);
    let first = block.large.partition_point(|&(posting, _)| (posting as usize) < start);
    let large = block.large[first..].iter().take_while(|&&(posting, _)| (posting as usize) < end);
    let moved = large.map(|&(posting, count)| ((posting as usize - start + before) as u32, count));
    merged.large.extend(moved);
    if let (Some(into), Some(from)) = (positions, &block.positions) {
        let from_bytes = start.checked_sub(1).map_or(0, |p| from.ends[p] as usize);
        let to_bytes = end.checked_sub(1).map_or(0, |p| from.ends[p] as usize);
        let at = into.bytes.len();
        into.bytes.extend_from_slice(&from.bytes[from_bytes..to_bytes]);
        let ends = from.ends[start..end].iter().map(|&e| (e as usize - from_bytes + at) as u32);
        into.ends.extend(ends);
    }
}
