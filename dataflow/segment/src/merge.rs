//! Merging sealed rows of one partition, without those that no reader can see any more.

use std::sync::Arc;

use crate::frozen::Arrival;
use crate::numbers::Numbered;
use crate::rows::Chunk;

/// Rows of a chunk that stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The chunk, by its place among those that are merged.
    pub chunk: usize,
    /// The first row.
    pub from: usize,
    /// The row behind the last one.
    pub to: usize,
}

/// What stays of rows that are merged, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Where the rows lie.
    pub spans: Vec<Span>,
    /// When they came.
    pub arrivals: Vec<Arrival>,
    /// Their numbers; nothing when they follow one another.
    pub numbers: Vec<Numbered>,
    /// Number of the first row.
    pub first_row: u32,
    /// How many rows stay.
    pub rows: u32,
}

/// What stays of the rows of `chunks`, which are in the order of their numbers, without those of
/// `dropped`, numbers in order. Rows and their positions in the log stay in their order.
pub fn merge(chunks: &[Arc<Chunk>], dropped: &[u32]) -> Merged {
    let mut merged = Merged::default();
    let mut dropped = dropped.iter().copied().peekable();
    for (at, chunk) in chunks.iter().enumerate() {
        let rows = chunk.rows();
        let arrivals: Vec<Arrival> = chunk.arrivals(rows).collect();
        for (next, arrival) in (1..).zip(&arrivals) {
            let end = arrivals.get(next).map_or(rows, |next| next.row as usize);
            for (run, count) in chunk.runs_of(arrival.row as usize, end) {
                let (mut row, end) = (run.row as usize, (run.row + count) as usize);
                let number = |row: usize| run.number + (row - run.row as usize) as u32;
                while row < end {
                    // Numbers of rows that are gone already mean nothing.
                    while dropped.next_if(|gone| *gone < number(row)).is_some() {}
                    let behind = number(end - 1) + 1;
                    let gone = dropped.peek().copied().filter(|gone| *gone < behind);
                    let to = gone.map_or(end, |gone| row + (gone - number(row)) as usize);
                    merged.keep(at, (row, to), number(row), arrival);
                    row = if gone.is_some() { to + 1 } else { to };
                }
            }
        }
    }
    if merged.numbers.len() == 1 {
        merged.numbers.clear();
    }
    merged
}

impl Merged {
    /// Adds rows of a chunk whose numbers follow one another, from `number` on.
    fn keep(&mut self, chunk: usize, (from, to): (usize, usize), number: u32, arrival: &Arrival) {
        if from == to {
            return;
        }
        if self.rows == 0 {
            self.first_row = number;
        }
        let row = self.rows;
        // A run that was cut between two chunks is one again.
        let same = |a: &Arrival| (a.position, a.ordinal) == (arrival.position, arrival.ordinal);
        if !self.arrivals.last().is_some_and(same) {
            self.arrivals.push(Arrival { row, ..*arrival });
        }
        let follows = |last: &Numbered| last.number + (row - last.row) == number;
        if !self.numbers.last().is_some_and(follows) {
            self.numbers.push(Numbered { row, number });
        }
        match self.spans.last_mut().filter(|last| last.chunk == chunk && last.to == from) {
            Some(last) => last.to = to,
            None => self.spans.push(Span { chunk, from, to }),
        }
        self.rows += (to - from) as u32;
    }
}
