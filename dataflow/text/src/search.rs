//! The best rows of an index by BM25: exact, without looking at every posting.
//!
//! Terms are ordered by weight, and their bounds in a block summed up from the lightest. As long as
//! the lightest terms together cannot lift a row over the k-th best score, rows that have only
//! these need not be looked at: the heavier terms' postings are added up, window by window, and the
//! lighter terms are looked up for the few rows that may still get there. The sum always runs from
//! the heaviest term to the lightest, so a row's score is the same to the last bit either way.

use std::cmp::Ordering;

use crate::block::{Block, Postings, RANGE_ROWS};
use crate::index::TextSnapshot;
use crate::query::{Query, QueryTerm};
use crate::score::{Scorer, Statistics};
use crate::top::{TextHit, Top};

/// Rows that are added up at a time: their sums stay in the fastest cache.
const WINDOW_ROWS: usize = 4096;
/// From so many postings on, what a single occurrence gains is worked out for the whole window.
const DENSE_MIN: usize = 2048;

/// A term's postings in a block.
struct Cursor<'b> {
    postings: Postings<'b>,
    weight: f32,
    /// The first posting that was not passed.
    at: usize,
}

/// Sums of a window.
struct Window {
    scores: Box<[f32; WINDOW_ROWS]>,
    /// What one occurrence gains in each row.
    gains: Box<[f32; WINDOW_ROWS]>,
}

impl TextSnapshot {
    /// The statistics of the rows of `visible`, for the terms of `query`.
    ///
    /// Bit `i` of `visible` stands for row `i`; rows past its end are not visible.
    pub fn statistics(&self, query: &Query, visible: &[u64]) -> Statistics {
        let mut sums = Statistics { frequencies: vec![0; query.terms.len()], ..Default::default() };
        for block in self.blocks() {
            let seen = Seen::new(block, visible);
            if seen.count == 0 {
                continue;
            }
            sums.documents += seen.count as u64;
            sums.total_length += seen.total_length(block);
            for (term, sum) in query.terms.iter().zip(&mut sums.frequencies) {
                if let Some(postings) = block.find(term.hash, &term.name) {
                    *sum += seen.count_of(block, &postings) as u64;
                }
            }
        }
        sums
    }

    /// Offers to `top` the rows of `mask` that have a term of the query and may be among the best.
    ///
    /// Bit `i` of `mask` stands for row `i`, which `top` and `tie` know as `base + i`. `tie` orders
    /// two rows of equal score.
    pub fn search(
        &self,
        scorer: &Scorer,
        mask: &[u64],
        base: u32,
        top: &mut Top,
        tie: &dyn Fn(u32, u32) -> Ordering,
    ) {
        let mut window =
            Window { scores: Box::new([0.0; WINDOW_ROWS]), gains: Box::new([0.0; WINDOW_ROWS]) };
        let mut pass = Pass { scorer, mask, base, top, tie };
        for block in self.blocks() {
            pass.block(block, &mut window);
        }
    }
}

/// One search of one index.
struct Pass<'a> {
    scorer: &'a Scorer,
    mask: &'a [u64],
    base: u32,
    top: &'a mut Top,
    tie: &'a dyn Fn(u32, u32) -> Ordering,
}

impl<'a> Pass<'a> {
    fn block(&mut self, block: &Block, window: &mut Window) {
        let find = |(term, weight): &(QueryTerm, f32)| {
            let postings = block.find(term.hash, &term.name)?;
            Some(Cursor { postings, weight: *weight, at: 0 })
        };
        let mut cursors: Vec<Cursor<'_>> = self.scorer.terms.iter().filter_map(find).collect();
        // `rest[i]`: what the terms from the i-th on can add at most.
        let mut rest = vec![0f32; cursors.len() + 1];
        for (i, cursor) in cursors.iter().enumerate().rev() {
            let most = cursor.weight * self.scorer.gain_max(cursor.postings.bound());
            rest[i] = rest[i + 1] + most;
        }
        let (first, end) = (block.first as usize, (block.first + block.row_count()) as usize);
        for start in (first - first % WINDOW_ROWS..end).step_by(WINDOW_ROWS) {
            let words = self.words(block, start);
            if words.iter().all(|&word| word == 0) {
                continue;
            }
            let reach = self.reach(cursors.len());
            if rest[0] < reach {
                return;
            }
            // The terms that a row must have one of: the fewest that leave less than is needed.
            let needed = rest.iter().position(|&rest| rest < reach).unwrap_or(cursors.len());
            let (sum, look_up) = cursors.split_at_mut(needed);
            if window.sum(self.scorer, block, start, sum) {
                self.collect(block, start, &window.scores, look_up, &rest[needed..]);
            }
        }
    }

    /// The mask of the window that starts at `start` of the block's range.
    fn words(&self, block: &Block, start: usize) -> &'a [u64] {
        let from = (block.range as usize * RANGE_ROWS as usize + start) / 64;
        let to = (from + WINDOW_ROWS / 64).min(self.mask.len());
        self.mask.get(from..to).unwrap_or_default()
    }

    /// The sum of bounds that a row must reach, with room for rounding of sums of `terms`.
    fn reach(&self, terms: usize) -> f32 {
        self.top.least() * (1.0 - 1e-6 * (terms as f32 + 8.0)).max(0.0)
    }

    /// Offers the rows of a window whose sum, with what `look_up` adds, is high enough.
    fn collect(
        &mut self,
        block: &Block,
        start: usize,
        scores: &[f32; WINDOW_ROWS],
        look_up: &mut [Cursor<'_>],
        rest: &[f32],
    ) {
        let first_row = block.range * RANGE_ROWS + start as u32;
        let terms = self.scorer.terms.len();
        let mut reach = self.reach(terms);
        let (words, _) = scores.as_chunks::<64>();
        let mask: &[u64] = self.words(block, start);
        for (place, (&word, of_word)) in mask.iter().zip(words).enumerate() {
            let best = of_word.iter().fold(0f32, |best, &s| if s > best { s } else { best });
            if word == 0 || best == 0.0 || best + rest[0] < reach {
                continue;
            }
            let mut word = word;
            while word != 0 {
                let row = place * 64 + word.trailing_zeros() as usize;
                word &= word - 1;
                let sum = scores[row];
                if sum == 0.0 || sum + rest[0] < reach {
                    continue;
                }
                if let Some(score) = self.complete(sum, (start + row) as u16, look_up, rest, reach)
                {
                    let hit = TextHit { score, row: self.base + first_row + row as u32 };
                    self.top.offer(hit, self.tie);
                    reach = self.reach(terms);
                }
            }
        }
    }

    /// A row's score, from its sum and the terms left; none when it cannot get high enough.
    fn complete(
        &self,
        sum: f32,
        row: u16,
        look_up: &mut [Cursor<'_>],
        rest: &[f32],
        reach: f32,
    ) -> Option<f32> {
        let mut score = sum;
        for (cursor, rest) in look_up.iter_mut().zip(rest) {
            if score + rest < reach {
                return None;
            }
            let Cursor { postings, weight, at } = cursor;
            *at = advance(postings.rows, *at, row);
            if postings.rows.get(*at) == Some(&row) {
                let length =
                    postings.block.lengths[usize::from(row) - postings.block.first as usize];
                let hold = self.scorer.hold(length);
                score += *weight * self.scorer.gain(postings.count(*at), hold);
            }
        }
        Some(score)
    }
}

impl Window {
    /// Adds up what the terms of `cursors` gain in the window that starts at `start` of the range;
    /// `false` when no row has one of them.
    fn sum(
        &mut self,
        scorer: &Scorer,
        block: &Block,
        start: usize,
        cursors: &mut [Cursor<'_>],
    ) -> bool {
        let end = start + WINDOW_ROWS;
        let mut spans = Vec::with_capacity(cursors.len());
        let mut total = 0;
        for cursor in cursors.iter_mut() {
            let rows = cursor.postings.rows;
            let from = advance(rows, cursor.at, start as u16);
            // The window after the last one of a range begins past what two bytes can name.
            let to = u16::try_from(end).map_or(rows.len(), |end| advance(rows, from, end));
            cursor.at = to;
            total += to - from;
            spans.push((from, to));
        }
        if total == 0 {
            return false;
        }
        self.scores.fill(0.0);
        let dense = total >= DENSE_MIN;
        if dense {
            self.fill_gains(scorer, block, start);
        }
        for (cursor, &(from, to)) in cursors.iter().zip(&spans) {
            if dense {
                self.add_dense(scorer, block, start, cursor, (from, to));
            } else {
                self.add_sparse(scorer, block, start, cursor, (from, to));
            }
        }
        true
    }

    fn fill_gains(&mut self, scorer: &Scorer, block: &Block, start: usize) {
        let first = block.first as usize;
        let skipped = first.saturating_sub(start);
        let lengths = &block.lengths[(start + skipped - first)..];
        for (gain, &length) in self.gains[skipped..].iter_mut().zip(lengths) {
            *gain = scorer.gain(1, scorer.hold(length));
        }
    }

    fn add_dense(
        &mut self,
        scorer: &Scorer,
        block: &Block,
        start: usize,
        cursor: &Cursor<'_>,
        (from, to): (usize, usize),
    ) {
        let Cursor { postings, weight, .. } = cursor;
        let (rows, counts) = (&postings.rows[from..to], &postings.counts[from..to]);
        for (at, (&row, &count)) in (from..).zip(rows.iter().zip(counts)) {
            let place = (usize::from(row) - start) % WINDOW_ROWS;
            let gain = if count == 1 {
                self.gains[place]
            } else {
                let length = block.lengths[usize::from(row) - block.first as usize];
                scorer.gain(postings.count(at), scorer.hold(length))
            };
            self.scores[place] += weight * gain;
        }
    }

    fn add_sparse(
        &mut self,
        scorer: &Scorer,
        block: &Block,
        start: usize,
        cursor: &Cursor<'_>,
        (from, to): (usize, usize),
    ) {
        let Cursor { postings, weight, .. } = cursor;
        for at in from..to {
            let row = usize::from(postings.rows[at]);
            let hold = scorer.hold(block.lengths[row - block.first as usize]);
            self.scores[(row - start) % WINDOW_ROWS] +=
                weight * scorer.gain(postings.count(at), hold);
        }
    }
}

/// The place of the first of the ascending `rows` from `at` on that is not below `row`.
#[inline]
pub(crate) fn advance(rows: &[u16], at: usize, row: u16) -> usize {
    match rows.get(at) {
        Some(&here) if here < row => {
            // Rows differ, so no more than their distance lies between two of them.
            let end = rows.len().min(at + usize::from(row - here));
            at + rows[at..end].partition_point(|&r| r < row)
        }
        _ => at,
    }
}

/// The rows of a block that a mask shows.
struct Seen<'m> {
    mask: &'m [u64],
    first: usize,
    rows: usize,
    count: usize,
}

impl<'m> Seen<'m> {
    fn new(block: &Block, mask: &'m [u64]) -> Seen<'m> {
        let (first, rows) = (block.first_row() as usize, block.row_count() as usize);
        let mut seen = Seen { mask, first, rows, count: 0 };
        let mut count = 0;
        seen.words(|word, _| count += word.count_ones() as usize);
        seen.count = count;
        seen
    }

    /// Calls `f` with every word of the mask that has rows of the block, cut to them, and with the
    /// offset in the block that its bit 0 stands for, which may be below zero.
    fn words(&self, mut f: impl FnMut(u64, isize)) {
        let end = self.first + self.rows;
        for at in self.first / 64..end.div_ceil(64).min(self.mask.len()) {
            let mut word = self.mask[at];
            if at * 64 < self.first {
                word &= u64::MAX << (self.first % 64);
            }
            if end < at * 64 + 64 {
                word &= (1 << (end % 64)) - 1;
            }
            f(word, (at * 64) as isize - self.first as isize);
        }
    }

    /// Calls `f` with the offset in the block of every row that is shown, or of every one that is
    /// not and that the mask has a bit for.
    fn rows(&self, shown: bool, mut f: impl FnMut(usize)) {
        self.words(|word, offset| {
            let mut word = if shown { word } else { !word };
            while word != 0 {
                let row = offset + word.trailing_zeros() as isize;
                word &= word - 1;
                if let Some(row) = usize::try_from(row).ok().filter(|&row| row < self.rows) {
                    f(row);
                }
            }
        });
    }

    /// Rows of the block that the mask has a bit for: a prefix.
    fn masked(&self) -> usize {
        (self.mask.len() * 64).saturating_sub(self.first).min(self.rows)
    }

    fn total_length(&self, block: &Block) -> u64 {
        let few_hidden = self.count > self.rows / 2 && self.masked() == self.rows;
        let mut sum = 0;
        self.rows(!few_hidden, |row| sum += u64::from(block.lengths[row]));
        if few_hidden { block.total_length - sum } else { sum }
    }

    /// How many of the rows have the term of `postings`.
    fn count_of(&self, block: &Block, postings: &Postings<'_>) -> usize {
        let rows = postings.rows;
        let masked = self.masked();
        // A search in the list for each hidden row, or a look at the mask for each posting.
        if (masked - self.count) * 16 < rows.len() {
            let (mut found, mut at) = (0, 0);
            self.rows(false, |row| {
                let row = (block.first as usize + row) as u16;
                at = advance(rows, at, row);
                found += usize::from(rows.get(at) == Some(&row));
            });
            // Rows past the end of the mask are hidden too.
            let end = masked + block.first as usize;
            return rows.partition_point(|&r| usize::from(r) < end) - found;
        }
        let from = block.range as usize * (RANGE_ROWS as usize / 64);
        let mask = self.mask.get(from..).unwrap_or_default();
        let shows = |&row: &u16| {
            let word = mask.get(usize::from(row) / 64).copied().unwrap_or_default();
            (word >> (row % 64) & 1) as usize
        };
        rows.iter().map(shows).sum()
    }
}
