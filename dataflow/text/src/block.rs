//! Blocks: the postings of a run of rows, never changed once they are made.
//!
//! A block lies within one range of [`RANGE_ROWS`] rows, and names a row by its offset in the
//! range, in two bytes. So blocks of one range merge without renumbering.

use xxhash_rust::xxh3::xxh3_64;

#[cfg(doc)]
use crate::score::short_length;

/// Rows of a range: what two bytes can name.
pub(crate) const RANGE_ROWS: u32 = 1 << 16;
/// A term frequency that does not fit one byte lies in `Block::large`.
const LARGE: u8 = u8::MAX;
/// Terms in at least this many rows have a bound; that of others is found when it is asked for.
pub(crate) const BOUND_ROWS_MIN: usize = 64;

/// The hash that orders the terms of a block.
pub(crate) fn hash_of(term: &[u8]) -> u64 {
    xxh3_64(term)
}

/// The postings of the rows `first..first + rows` of a range.
#[derive(Default)]
pub(crate) struct Block {
    /// Number of the range: its first row is `range * RANGE_ROWS`.
    pub(crate) range: u32,
    /// Offset of the block's first row in the range.
    pub(crate) first: u32,
    /// Tokens of each row.
    pub(crate) lengths: Vec<u32>,
    /// [`short_length`] of each row.
    pub(crate) short_lengths: Vec<u8>,
    /// Sum of `lengths`.
    pub(crate) total_length: u64,
    /// Hash of each term, ascending; terms of one hash are in the order of their bytes.
    pub(crate) hashes: Vec<u64>,
    /// Where each term's bytes end in `names`.
    pub(crate) name_ends: Vec<u32>,
    pub(crate) names: Vec<u8>,
    /// Where each term's postings end.
    pub(crate) ends: Vec<u32>,
    /// The row of each posting, as offset in the range; ascending within a term.
    pub(crate) rows: Vec<u16>,
    /// How often the row has the term, [`LARGE`] when that does not fit.
    pub(crate) counts: Vec<u8>,
    /// `(posting, count)` of counts of [`LARGE`] and more, ascending.
    pub(crate) large: Vec<(u32, u32)>,
    /// Bounds of frequent terms, by place of the term.
    pub(crate) bounds: Vec<(u32, Bound)>,
    /// Where in the rows the terms stand, when that is kept.
    pub(crate) positions: Option<Positions>,
}

/// The positions of every posting.
#[derive(Default)]
pub(crate) struct Positions {
    /// Where each posting's bytes end.
    pub(crate) ends: Vec<u32>,
    /// Ascending positions, each as the distance to the one before, seven bits a byte.
    pub(crate) bytes: Vec<u8>,
}

/// What no posting of a term exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Tokens of the shortest row that has the term once.
    pub(crate) once: u32,
    /// Tokens of the shortest row that has it more than once.
    pub(crate) often: u32,
    /// The most often that a row has it.
    pub(crate) count: u32,
}

/// The postings of one term in a block.
#[derive(Clone, Copy)]
pub(crate) struct Postings<'b> {
    pub(crate) block: &'b Block,
    /// Place of the term.
    pub(crate) term: usize,
    /// Number of the first posting.
    pub(crate) start: usize,
    pub(crate) rows: &'b [u16],
    pub(crate) counts: &'b [u8],
}

impl Block {
    /// Number of rows.
    pub(crate) fn row_count(&self) -> u32 {
        self.lengths.len() as u32
    }

    /// The first row, counted from the start of the index.
    pub(crate) fn first_row(&self) -> u32 {
        self.range * RANGE_ROWS + self.first
    }

    /// The bytes of a term.
    pub(crate) fn name(&self, term: usize) -> &[u8] {
        let start = term.checked_sub(1).map_or(0, |t| self.name_ends[t]);
        &self.names[start as usize..self.name_ends[term] as usize]
    }

    /// The numbers of a term's postings.
    pub(crate) fn span(&self, term: usize) -> (usize, usize) {
        let start = term.checked_sub(1).map_or(0, |t| self.ends[t]);
        (start as usize, self.ends[term] as usize)
    }

    /// The postings of a term, if a row has it.
    pub(crate) fn find(&self, hash: u64, name: &[u8]) -> Option<Postings<'_>> {
        let first = self.hashes.partition_point(|&h| h < hash);
        let same = self.hashes[first..].iter().take_while(|&&h| h == hash).count();
        let term = (first..first + same).find(|&term| self.name(term) == name)?;
        Some(self.postings(term))
    }

    pub(crate) fn postings(&self, term: usize) -> Postings<'_> {
        let (start, end) = self.span(term);
        let (rows, counts) = (&self.rows[start..end], &self.counts[start..end]);
        Postings { block: self, term, start, rows, counts }
    }

    /// Takes over a count as it is kept in one byte; `posting` is its number.
    pub(crate) fn push_count(&mut self, count: u32) {
        if count >= u32::from(LARGE) {
            self.large.push((self.counts.len() as u32, count));
        }
        self.counts.push(count.min(u32::from(LARGE)) as u8);
    }

    /// Ends the postings of the last term, of which hash, name and rows are there.
    pub(crate) fn end_term(&mut self) {
        let term = self.ends.len();
        self.ends.push(self.rows.len() as u32);
        let postings = self.postings(term);
        if postings.rows.len() >= BOUND_ROWS_MIN {
            let bound = postings.measure();
            self.bounds.push((term as u32, bound));
        }
    }

    /// Bytes of memory, without what allocations round up.
    pub(crate) fn bytes(&self) -> usize {
        let positions = self.positions.as_ref().map_or(0, |p| p.ends.len() * 4 + p.bytes.len());
        self.lengths.len() * (4 + 1)
            + self.hashes.len() * (8 + 4 + 4)
            + self.names.len()
            + self.rows.len() * 3
            + self.large.len() * 8
            + self.bounds.len() * size_of::<(u32, Bound)>()
            + positions
    }
}

impl Postings<'_> {
    /// How often the row of the posting at `at` has the term.
    #[inline]
    pub(crate) fn count(&self, at: usize) -> u32 {
        let count = self.counts[at];
        if count == LARGE { self.large_count(at) } else { u32::from(count) }
    }

    #[cold]
    fn large_count(&self, at: usize) -> u32 {
        let large = &self.block.large;
        let posting = (self.start + at) as u32;
        large
            .binary_search_by_key(&posting, |&(posting, _)| posting)
            .map_or(u32::from(LARGE), |i| large[i].1)
    }

    /// What no posting exceeds.
    pub(crate) fn bound(&self) -> Bound {
        let bounds = &self.block.bounds;
        let kept = bounds.binary_search_by_key(&(self.term as u32), |&(term, _)| term);
        kept.map_or_else(|_| self.measure(), |i| bounds[i].1)
    }

    fn measure(&self) -> Bound {
        let mut bound = Bound { once: u32::MAX, often: u32::MAX, count: 1 };
        for (at, &row) in self.rows.iter().enumerate() {
            let length = self.block.lengths[usize::from(row) - self.block.first as usize];
            match self.count(at) {
                1 => bound.once = bound.once.min(length),
                count => {
                    bound.often = bound.often.min(length);
                    bound.count = bound.count.max(count);
                }
            }
        }
        bound
    }

    /// Sets `out` to the positions of the posting at `at`, ascending; none when none are kept.
    pub(crate) fn positions(&self, at: usize, out: &mut Vec<u32>) {
        out.clear();
        let Some(positions) = &self.block.positions else { return };
        let posting = self.start + at;
        let start = posting.checked_sub(1).map_or(0, |p| positions.ends[p]) as usize;
        let (mut position, mut distance, mut shift) = (0u32, 0u32, 0);
        for &byte in &positions.bytes[start..positions.ends[posting] as usize] {
            distance |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                position += distance;
                out.push(position);
                (distance, shift) = (0, 0);
            }
        }
    }
}

impl Positions {
    /// Appends one posting with its ascending positions.
    pub(crate) fn push(&mut self, positions: impl Iterator<Item = u32>) {
        let mut before = 0;
        for position in positions {
            let mut distance = position.wrapping_sub(before);
            before = position;
            while distance >= 0x80 {
                self.bytes.push(distance as u8 | 0x80);
                distance >>= 7;
            }
            self.bytes.push(distance as u8);
        }
        self.ends.push(self.bytes.len() as u32);
    }
}
