//! Makes a block of new rows: analyzes their texts and sorts the tokens by term.

use hashbrown::HashTable;

use crate::analyzer::{Analyzer, Scratch};
use crate::block::{Block, Positions, hash_of};
use crate::score::short_length;

/// Buffers of more tokens are not kept.
const KEPT_TOKENS_MAX: usize = 1 << 14;

/// Buffers of the making, kept from batch to batch.
#[derive(Default)]
pub(crate) struct Builder {
    scratch: Scratch,
    terms: Terms,
    /// Number of tokens of each row.
    lengths: Vec<u32>,
    /// Term, row and position of every token, in the order of the texts.
    tokens: Vec<Occurrence>,
    sorted: Vec<Occurrence>,
}

/// A token: number of its term in the batch, its row's offset in the range, its position.
#[derive(Clone, Copy, Default)]
struct Occurrence {
    term: u32,
    row: u16,
    position: u32,
}

/// The different terms of a batch, numbered as they come.
#[derive(Default)]
struct Terms {
    table: HashTable<u32>,
    hashes: Vec<u64>,
    ends: Vec<u32>,
    names: Vec<u8>,
    /// How many tokens are of each term.
    counts: Vec<u32>,
}

impl Terms {
    fn name(&self, term: u32) -> &[u8] {
        let start = term.checked_sub(1).map_or(0, |t| self.ends[t as usize]);
        &self.names[start as usize..self.ends[term as usize] as usize]
    }

    /// The number of a term, a new one if it is new.
    fn number(&mut self, name: &[u8]) -> u32 {
        let hash = hash_of(name);
        let same = |&term: &u32| self.hashes[term as usize] == hash && self.name(term) == name;
        if let Some(&term) = self.table.find(hash, same) {
            self.counts[term as usize] += 1;
            return term;
        }
        let term = self.hashes.len() as u32;
        self.hashes.push(hash);
        self.names.extend_from_slice(name);
        self.ends.push(self.names.len() as u32);
        self.counts.push(1);
        self.table.insert_unique(hash, term, |&term| self.hashes[term as usize]);
        term
    }

    fn clear(&mut self) {
        self.table.clear();
        self.hashes.clear();
        self.ends.clear();
        self.names.clear();
        self.counts.clear();
    }
}

impl Builder {
    /// Number of rows that wait to become a block.
    pub(crate) fn rows(&self) -> u32 {
        self.lengths.len() as u32
    }

    /// Adds the row at `row` of its range.
    pub(crate) fn push(&mut self, analyzer: &Analyzer, row: u16, text: &str) {
        let before = self.tokens.len();
        let (terms, tokens) = (&mut self.terms, &mut self.tokens);
        analyzer.analyze_with(&mut self.scratch, text, &mut |token| {
            let term = terms.number(token.text.as_bytes());
            tokens.push(Occurrence { term, row, position: token.position });
        });
        self.lengths.push((self.tokens.len() - before) as u32);
    }

    /// The block of the rows that wait, the first of which is the row at `first` of `range`.
    pub(crate) fn build(&mut self, (range, first): (u32, u32), with_positions: bool) -> Block {
        let lengths = std::mem::take(&mut self.lengths);
        let total_length = self.tokens.len() as u64;
        let short_lengths = lengths.iter().map(|&length| short_length(length)).collect();
        let rows = Block { range, first, lengths, short_lengths, total_length, ..Block::default() };
        let mut block = rows;
        let order = self.sort();
        self.fill(&mut block, &order, with_positions);
        self.clear();
        block
    }

    /// Forgets the rows. Buffers that a large batch has grown go, so that an idle index is small.
    fn clear(&mut self) {
        if self.tokens.capacity() > KEPT_TOKENS_MAX {
            (self.tokens, self.sorted, self.terms) = Default::default();
        }
        self.terms.clear();
        self.tokens.clear();
    }

    /// Sorts the tokens by term, keeping their order within a term; returns the terms' order.
    fn sort(&mut self) -> Vec<u32> {
        let terms = &self.terms;
        let mut order: Vec<u32> = (0..terms.hashes.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| {
            let hash = |term: u32| terms.hashes[term as usize];
            hash(a).cmp(&hash(b)).then_with(|| terms.name(a).cmp(terms.name(b)))
        });
        let mut next = vec![0u32; order.len()];
        let mut start = 0;
        for &term in &order {
            next[term as usize] = start;
            start += terms.counts[term as usize];
        }
        self.sorted.clear();
        self.sorted.resize(self.tokens.len(), Occurrence::default());
        for token in &self.tokens {
            let place = &mut next[token.term as usize];
            self.sorted[*place as usize] = *token;
            *place += 1;
        }
        order
    }

    fn fill(&mut self, block: &mut Block, order: &[u32], with_positions: bool) {
        let terms = &self.terms;
        let mut positions = with_positions.then(Positions::default);
        let mut rest = &mut self.sorted[..];
        for &term in order {
            block.hashes.push(terms.hashes[term as usize]);
            block.names.extend_from_slice(terms.name(term));
            block.name_ends.push(block.names.len() as u32);
            let (of_term, after) = rest.split_at_mut(terms.counts[term as usize] as usize);
            rest = after;
            for posting in of_term.chunk_by_mut(|a, b| a.row == b.row) {
                block.rows.push(posting[0].row);
                block.push_count(posting.len() as u32);
                if let Some(positions) = &mut positions {
                    // A tokenizer may emit overlapping words out of order.
                    if !posting.is_sorted_by_key(|token| token.position) {
                        posting.sort_unstable_by_key(|token| token.position);
                    }
                    positions.push(posting.iter().map(|token| token.position));
                }
            }
            block.end_term();
        }
        block.positions = positions;
    }
}
