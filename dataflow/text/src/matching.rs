//! Which rows have the terms of a query, or have them as a phrase: answers for filters.

use std::ops::Range;

use crate::block::{Block, Postings, RANGE_ROWS};
use crate::index::TextSnapshot;
use crate::query::{Query, QueryTerm};
use crate::search::advance;

/// The rows that a match is asked of: `first..first + count`, as bits from bit 0 on.
struct Out<'o> {
    first: usize,
    count: usize,
    bits: &'o mut [u64],
}

impl Out<'_> {
    /// The part of `postings` that lies in these rows, as numbers of postings, and what a row of
    /// the block's range must be moved by to become a bit.
    fn span(&self, postings: &Postings<'_>) -> (usize, usize) {
        let range = postings.block.range as usize * RANGE_ROWS as usize;
        let from = postings.rows.partition_point(|&r| range + usize::from(r) < self.first);
        let end = self.first + self.count;
        let to = postings.rows.partition_point(|&r| range + usize::from(r) < end);
        (from, to)
    }

    fn bit(&self, block: &Block, row: u16) -> usize {
        block.range as usize * RANGE_ROWS as usize + usize::from(row) - self.first
    }

    fn set(&mut self, block: &Block, row: u16) {
        let bit = self.bit(block, row);
        self.bits[bit / 64] |= 1 << (bit % 64);
    }
}

impl TextSnapshot {
    /// The blocks that have some of the `count` rows from `first` on.
    fn blocks_of(&self, first: u32, count: usize) -> impl Iterator<Item = &Block> {
        let (first, end) = (first as usize, first as usize + count);
        self.blocks().filter(move |block| {
            let from = block.first_row() as usize;
            from < end && first < from + block.row_count() as usize
        })
    }

    /// Sets bit `i` of `bits` for every row `first + i` of the `count` rows from `first` on that
    /// has at least `minimum` of the query's different terms. `minimum` 0 means 1; a query without
    /// terms, or with fewer than `minimum`, matches nothing.
    ///
    /// # Panics
    /// When `bits` has less than `count` bits.
    pub fn set_matches(
        &self,
        query: &Query,
        minimum: usize,
        (first, count): (u32, usize),
        bits: &mut [u64],
    ) {
        let minimum = minimum.max(1);
        if query.terms.len() < minimum {
            return;
        }
        let mut out = Out { first: first as usize, count, bits };
        let mut found: Vec<u32> = Vec::new();
        for block in self.blocks_of(first, count) {
            let of = |term: &QueryTerm| block.find(term.hash, &term.name);
            let lists: Vec<Postings<'_>> = query.terms.iter().filter_map(of).collect();
            if lists.len() < minimum {
                continue;
            }
            if minimum == 1 {
                for list in &lists {
                    let (from, to) = out.span(list);
                    list.rows[from..to].iter().for_each(|&row| out.set(block, row));
                }
                continue;
            }
            found.clear();
            found.resize(block.lengths.len(), 0);
            for list in &lists {
                let (from, to) = out.span(list);
                for &row in &list.rows[from..to] {
                    let terms = &mut found[usize::from(row) - block.first as usize];
                    *terms += 1;
                    if *terms as usize == minimum {
                        out.set(block, row);
                    }
                }
            }
        }
    }

    /// Sets bit `i` of `bits` for every row `first + i` of the `count` rows from `first` on that
    /// has the query's tokens in their order, next to each other.
    ///
    /// With a `slop` the tokens may be moved: the largest move to the right less the smallest is at
    /// most `slop`. So two tokens change places with a slop of 2, and one other token lies between
    /// them with a slop of 1. An index without positions, and a query without tokens, match nothing.
    ///
    /// # Panics
    /// When `bits` has less than `count` bits.
    pub fn set_phrases(
        &self,
        query: &Query,
        slop: u32,
        (first, count): (u32, usize),
        bits: &mut [u64],
    ) {
        let Some(phrase) = Phrase::new(query, slop) else { return };
        let mut out = Out { first: first as usize, count, bits };
        let mut positions: Vec<Vec<u32>> = vec![Vec::new(); query.terms.len()];
        for block in self.blocks_of(first, count) {
            let of = |term: &QueryTerm| block.find(term.hash, &term.name);
            let Some(lists) = query.terms.iter().map(of).collect::<Option<Vec<_>>>() else {
                continue;
            };
            let Some(rarest) = lists.iter().min_by_key(|list| list.rows.len()) else { continue };
            let (from, to) = out.span(rarest);
            let mut at = vec![0usize; lists.len()];
            'rows: for &row in &rarest.rows[from..to] {
                for (list, at) in lists.iter().zip(&mut at) {
                    *at = advance(list.rows, *at, row);
                    if list.rows.get(*at) != Some(&row) {
                        continue 'rows;
                    }
                }
                for ((list, at), positions) in lists.iter().zip(&at).zip(&mut positions) {
                    list.positions(*at, positions);
                }
                if phrase.fits(&positions) {
                    out.set(block, row);
                }
            }
        }
    }
}

/// The tokens of a phrase: `(term, position)`, by term and then by position.
struct Phrase {
    tokens: Vec<(usize, i64)>,
    slop: i64,
}

impl Phrase {
    /// None when there is no token.
    fn new(query: &Query, slop: u32) -> Option<Phrase> {
        let token = |&(term, position): &(u32, u32)| (term as usize, i64::from(position));
        let mut tokens: Vec<(usize, i64)> = query.tokens.iter().map(token).collect();
        tokens.sort_unstable();
        // A dictionary may cut one word twice at one place; it is one token there.
        tokens.dedup();
        (!tokens.is_empty()).then_some(Phrase { tokens, slop: i64::from(slop) })
    }

    /// Whether a row with these positions of each term has the phrase.
    fn fits(&self, positions: &[Vec<u32>]) -> bool {
        // Some token is moved the least, so its moves are all that need to be tried; without slop
        // all tokens are moved alike, and one will do.
        let tried = if self.slop == 0 { &self.tokens[..1] } else { &self.tokens[..] };
        let moves: usize = tried.iter().map(|&(term, _)| positions[term].len()).sum();
        // There are no more different moves than these, however often a long phrase and a long row
        // repeat a word.
        let all = self.moves(positions);
        if moves as u64 > all.end.abs_diff(all.start) {
            return all.into_iter().any(|least| self.fits_from(positions, least));
        }
        tried.iter().any(|&(term, wanted)| {
            positions[term].iter().any(|&p| self.fits_from(positions, i64::from(p) - wanted))
        })
    }

    /// All moves that bring some token to some place of its term lie in here.
    fn moves(&self, positions: &[Vec<u32>]) -> Range<i64> {
        let (mut from, mut to) = (i64::MAX, i64::MIN);
        for &(term, wanted) in &self.tokens {
            if let (Some(&first), Some(&last)) = (positions[term].first(), positions[term].last()) {
                from = from.min(i64::from(first) - wanted);
                to = to.max(i64::from(last) - wanted + 1);
            }
        }
        from..to.max(from)
    }

    /// Whether every token has a place of its own, moved by `least..=least + slop`.
    fn fits_from(&self, positions: &[Vec<u32>], least: i64) -> bool {
        let mut free = 0;
        self.tokens.iter().enumerate().all(|(i, &(term, wanted))| {
            if i == 0 || self.tokens[i - 1].0 != term {
                free = 0;
            }
            let places = &positions[term];
            // The first place that will do leaves the most for the same term's later tokens.
            free += places[free..].partition_point(|&p| i64::from(p) < wanted + least);
            let fits =
                places.get(free).is_some_and(|&p| i64::from(p) <= wanted + least + self.slop);
            free = (free + 1).min(places.len());
            fits
        })
    }
}
