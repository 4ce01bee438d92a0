//! The best rows of an index by BM25: exact, without looking at every posting.
//!
//! Rows go by in windows. Terms are ordered by weight, and the bounds of those that a window has are
//! summed up from the lightest. As long as the lightest terms together cannot lift a row over the
//! k-th best score, rows that have only these need not be looked at: the heavier terms' postings are
//! added up, and then, term by term, the lighter ones for the rows that may still get there. The sum
//! always runs from the heaviest term to the lightest, so a row's score is the same to the last bit
//! either way.

use std::cmp::Ordering;

use crate::block::{Block, Postings, RANGE_ROWS};
use crate::index::TextSnapshot;
use crate::query::{Query, QueryTerm};
use crate::score::{Gains, Scorer, Statistics};
use crate::top::{TextHit, Top};

/// Rows that are added up at a time: their sums stay in the fastest cache.
const WINDOW_ROWS: usize = 4096;
/// Looking a row up in a list costs as much as adding up so many postings.
const LOOK_UP_COST: usize = 16;

/// A term's postings in a block.
struct Cursor<'b> {
    postings: Postings<'b>,
    weight: f32,
    /// The most that the term adds to the score of a row of the block.
    most: f32,
    /// The postings of the window.
    from: usize,
    to: usize,
}

/// Memory of a search, for one window after the other.
struct Window {
    scores: Box<[f32; WINDOW_ROWS]>,
    /// `rest[i]`: what the terms from the i-th on can add at most.
    rest: Vec<f32>,
    /// Rows that may still be among the best, by their place in the window.
    candidates: Vec<u16>,
    gains: Gains,
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
    /// Bit `i` of `mask` stands for row `i`, which `top` and `tie` know as `base + i`, modulo 2^32.
    /// `tie` orders two rows of equal score.
    pub fn search(
        &self,
        scorer: &Scorer,
        mask: &[u64],
        base: u32,
        top: &mut Top,
        tie: &dyn Fn(u32, u32) -> Ordering,
    ) {
        let mut window = Window {
            scores: Box::new([0.0; WINDOW_ROWS]),
            rest: Vec::new(),
            candidates: Vec::new(),
            gains: Gains::new(scorer),
        };
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
            let most = weight * self.scorer.gain_max(postings.bound());
            Some(Cursor { postings, weight: *weight, most, from: 0, to: 0 })
        };
        let mut cursors: Vec<Cursor<'_>> = self.scorer.terms.iter().filter_map(find).collect();
        let most: f32 = cursors.iter().map(|cursor| cursor.most).sum();
        let (first, end) = (block.first as usize, (block.first + block.row_count()) as usize);
        for start in (first - first % WINDOW_ROWS..end).step_by(WINDOW_ROWS) {
            let words = self.words(block, start);
            if words.iter().all(|&word| word == 0) {
                continue;
            }
            let reach = self.reach();
            if most < reach {
                return;
            }
            window.place(start, &mut cursors);
            if window.rest[0] < reach {
                continue;
            }
            // The terms that a row must have one of: the fewest that leave less than is needed.
            let needed = window.rest.iter().position(|&rest| rest < reach);
            let needed = needed.unwrap_or(cursors.len());
            if cursors[..needed].iter().all(|cursor| cursor.from == cursor.to) {
                continue;
            }
            window.scores.fill(0.0);
            for cursor in &cursors[..needed] {
                window.add(self.scorer, block, start, cursor);
            }
            window.gather(words, needed, reach);
            for (at, cursor) in cursors.iter().enumerate().skip(needed) {
                if window.candidates.is_empty() {
                    break;
                }
                window.add_to_candidates(self.scorer, block, start, cursor);
                window.keep(at + 1, reach);
            }
            self.offer(block, start, window);
        }
    }

    /// The mask of the window that starts at `start` of the block's range.
    fn words(&self, block: &Block, start: usize) -> &'a [u64] {
        let from = (block.range as usize * RANGE_ROWS as usize + start) / 64;
        let to = (from + WINDOW_ROWS / 64).min(self.mask.len());
        self.mask.get(from..to).unwrap_or_default()
    }

    /// The sum of bounds that a row must reach, with room for the rounding of sums.
    fn reach(&self) -> f32 {
        let terms = self.scorer.terms.len() as f32;
        self.top.least() * (1.0 - 1e-6 * (terms + 8.0)).max(0.0)
    }

    /// Offers the candidates of a window, whose scores are complete.
    fn offer(&mut self, block: &Block, start: usize, window: &Window) {
        let first_row = block.range * RANGE_ROWS + start as u32;
        for &row in &window.candidates {
            let score = window.scores[usize::from(row)];
            let row = self.base.wrapping_add(first_row + u32::from(row));
            self.top.offer(TextHit { score, row }, self.tie);
        }
    }
}

impl Window {
    /// Finds the postings of each term in the window that starts at `start` of the range, and what
    /// they can add.
    fn place(&mut self, start: usize, cursors: &mut [Cursor<'_>]) {
        let end = u16::try_from(start + WINDOW_ROWS);
        for cursor in cursors.iter_mut() {
            let rows = cursor.postings.rows;
            cursor.from = advance(rows, cursor.to, start as u16);
            // The window after the last one of a range begins past what two bytes can name.
            cursor.to = end.map_or(rows.len(), |end| advance(rows, cursor.from, end));
        }
        self.rest.clear();
        self.rest.resize(cursors.len() + 1, 0.0);
        for (i, cursor) in cursors.iter().enumerate().rev() {
            let most = if cursor.from == cursor.to { 0.0 } else { cursor.most };
            self.rest[i] = self.rest[i + 1] + most;
        }
    }

    /// Adds what a term gains to all rows of the window.
    fn add(&mut self, scorer: &Scorer, block: &Block, start: usize, cursor: &Cursor<'_>) {
        let Cursor { postings, weight, from, to, .. } = cursor;
        let (rows, counts) = (&postings.rows[*from..*to], &postings.counts[*from..*to]);
        let first = block.first as usize;
        for (at, (&row, &count)) in rows.iter().zip(counts).enumerate() {
            let row = usize::from(row);
            let gain = self.gains.of(count, block.short_lengths[row - first]);
            let gain = gain.unwrap_or_else(|| exact_gain(scorer, postings, from + at));
            self.scores[(row - start) % WINDOW_ROWS] += weight * gain;
        }
    }

    /// Sets the candidates: the rows of the mask that have one of the first `needed` terms and
    /// whose sum may still reach what is needed.
    fn gather(&mut self, mask: &[u64], needed: usize, reach: f32) {
        self.candidates.clear();
        let rest = self.rest[needed];
        let may_reach = |sum: f32| (sum > 0.0) & (sum + rest >= reach);
        let (words, _) = self.scores.as_chunks::<64>();
        for (place, (&word, sums)) in mask.iter().zip(words).enumerate() {
            // Not the greatest of them, which the compiler would look for one after the other.
            if !sums.iter().fold(false, |any, &sum| any | may_reach(sum)) {
                continue;
            }
            let mut word = word;
            while word != 0 {
                let row = word.trailing_zeros() as usize;
                word &= word - 1;
                if may_reach(sums[row]) {
                    self.candidates.push((place * 64 + row) as u16);
                }
            }
        }
    }

    /// Adds what a term gains to the candidates; what other rows get does not matter.
    fn add_to_candidates(
        &mut self,
        scorer: &Scorer,
        block: &Block,
        start: usize,
        cursor: &Cursor<'_>,
    ) {
        if cursor.to - cursor.from <= self.candidates.len() * LOOK_UP_COST {
            return self.add(scorer, block, start, cursor);
        }
        let Cursor { postings, weight, from, to, .. } = cursor;
        let rows = &postings.rows[..*to];
        let mut at = *from;
        for &place in &self.candidates {
            let row = start as u16 + place;
            at = advance(rows, at, row);
            if rows.get(at) == Some(&row) {
                self.scores[usize::from(place)] += weight * exact_gain(scorer, postings, at);
            }
        }
    }

    /// Keeps the candidates that may still reach what is needed with the terms from `next` on.
    fn keep(&mut self, next: usize, reach: f32) {
        let (rest, scores) = (self.rest[next], &self.scores);
        self.candidates.retain(|&row| scores[usize::from(row)] + rest >= reach);
    }
}

/// What the posting at `at` gains, for a weight of one.
fn exact_gain(scorer: &Scorer, postings: &Postings<'_>, at: usize) -> f32 {
    let block = postings.block;
    let length = block.lengths[usize::from(postings.rows[at]) - block.first as usize];
    scorer.gain(postings.count(at), scorer.hold(length))
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

/// Whether a search in a list of `rows` for each of the hidden rows is less than a look at the mask
/// for each row of the list.
fn is_few(hidden: usize, rows: usize) -> bool {
    hidden * 16 < rows
}

/// The rows of a block that a mask shows.
struct Seen<'m> {
    mask: &'m [u64],
    first: usize,
    rows: usize,
    count: usize,
    /// The rows that the mask has a bit for and does not show, as offsets in the range, when they
    /// are so few that it may pay to look for each of them.
    hidden: Vec<u16>,
}

impl<'m> Seen<'m> {
    fn new(block: &Block, mask: &'m [u64]) -> Seen<'m> {
        let (first, rows) = (block.first_row() as usize, block.row_count() as usize);
        let mut seen = Seen { mask, first, rows, count: 0, hidden: Vec::new() };
        let mut count = 0;
        seen.words(|word, _| count += word.count_ones() as usize);
        seen.count = count;
        let hidden = seen.masked() - count;
        if is_few(hidden, rows) {
            let mut list = Vec::with_capacity(hidden);
            seen.rows(false, |row| list.push((block.first as usize + row) as u16));
            seen.hidden = list;
        }
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
        if is_few(masked - self.count, rows.len()) {
            let (mut found, mut at) = (0, 0);
            for &row in &self.hidden {
                at = advance(rows, at, row);
                found += usize::from(rows.get(at) == Some(&row));
            }
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
