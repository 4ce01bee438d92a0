//! Row numbers of a chunk or segment: a row keeps its number in its partition for ever, so rows that
//! compaction dropped leave holes.

/// Rows whose numbers follow one another: those from `row` on, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// The first of the rows, counted from the first one of the segment or chunk.
    pub row: u32,
    /// Its number in the partition.
    pub number: u32,
}

/// The numbers of some rows, which grow with the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    first: u32,
    /// Nothing when the rows are numbered one after the other from `first` on.
    runs: Box<[Numbered]>,
}

impl Numbers {
    /// Rows numbered one after the other.
    pub(crate) fn dense(first: u32) -> Numbers {
        Numbers { first, runs: Box::default() }
    }

    /// Rows with holes; `None` when the runs of the `rows` rows are not in order, or do not begin
    /// with the first row and its number. Without runs there are no holes.
    pub(crate) fn of(first: u32, runs: &[Numbered], rows: usize) -> Option<Numbers> {
        let grows = |a: &Numbered, b: &Numbered| {
            // Numbers leave room for the rows between.
            a.row < b.row && b.number.checked_sub(a.number).is_some_and(|n| n >= b.row - a.row)
        };
        let begins = runs.first().is_none_or(|run| run.row == 0 && run.number == first);
        let fits = runs.last().is_none_or(|run| {
            let behind = rows.checked_sub(run.row as usize).filter(|behind| *behind > 0);
            behind.is_some_and(|behind| u32::MAX as usize - run.number as usize >= behind)
        });
        let runs = if runs.len() > 1 { runs } else { &[] };
        (begins && fits && runs.is_sorted_by(grows)).then(|| Numbers { first, runs: runs.into() })
    }

    /// The number of the first row.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// Whether the numbers follow one another.
    pub(crate) fn is_dense(&self) -> bool {
        self.runs.is_empty()
    }

    /// The number of a row.
    pub(crate) fn number(&self, row: u32) -> u32 {
        let after = self.runs.partition_point(|run| run.row <= row);
        let run = after.checked_sub(1).map(|at| self.runs[at]);
        run.map_or(self.first.saturating_add(row), |run| run.number + (row - run.row))
    }

    /// The row of a number; there may be fewer rows than that.
    pub(crate) fn row(&self, number: u32) -> Option<u32> {
        if self.runs.is_empty() {
            return number.checked_sub(self.first);
        }
        let after = self.runs.partition_point(|run| run.number <= number);
        let run = self.runs[after.checked_sub(1)?];
        let row = run.row + (number - run.number);
        self.runs.get(after).is_none_or(|next| row < next.row).then_some(row)
    }

    /// The runs of rows `from..to`: the first row of each, and how many follow one another.
    pub(crate) fn runs(&self, from: u32, to: u32) -> impl Iterator<Item = (Numbered, u32)> + '_ {
        let mut row = from;
        std::iter::from_fn(move || {
            (row < to).then(|| {
                let after = self.runs.partition_point(|run| run.row <= row);
                let end = self.runs.get(after).map_or(to, |next| next.row.min(to));
                let run = (Numbered { row, number: self.number(row) }, end - row);
                row = end;
                run
            })
        })
    }

    /// The numbers of rows `from..to`, counted from `from`.
    pub(crate) fn part(&self, from: u32, to: u32) -> Numbers {
        let runs = self.runs(from, to);
        let runs: Vec<_> = runs.map(|(run, _)| Numbered { row: run.row - from, ..run }).collect();
        let runs = if runs.len() > 1 { runs.into() } else { Box::default() };
        Numbers { first: self.number(from), runs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_those_of_a_plain_list(
            first in 0u32..100,
            gaps in prop::collection::vec(prop_oneof![3 => Just(0u32), 1 => 1u32..5], 1..60),
            cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let mut list = vec![first];
            for gap in &gaps {
                list.push(list[list.len() - 1] + 1 + gap);
            }
            let runs: Vec<Numbered> = (0u32..)
                .zip(&list)
                .filter(|&(row, &number)| row == 0 || list[row as usize - 1] + 1 != number)
                .map(|(row, &number)| Numbered { row, number })
                .collect();
            let numbers = Numbers::of(first, &runs, list.len()).unwrap();
            prop_assert_eq!(numbers.is_dense(), runs.len() == 1);
            let (from, to) = (cut.0.index(list.len()), cut.1.index(list.len() + 1));
            let (from, to) = if from < to { (from, to) } else { (0, list.len()) };
            let part = numbers.part(from as u32, to as u32);
            for (numbers, list) in [(&numbers, &list[..]), (&part, &list[from..to])] {
                for (row, &number) in (0u32..).zip(list) {
                    prop_assert_eq!(numbers.number(row), number);
                    prop_assert_eq!(numbers.row(number), Some(row));
                }
                for number in (0..first + 400).filter(|number| !list.contains(number)) {
                    let row = numbers.row(number);
                    prop_assert!(row.is_none_or(|row| row as usize >= list.len()));
                }
                let all = numbers.runs(0, list.len() as u32);
                let all = all.flat_map(|(run, rows)| run.number..run.number + rows);
                prop_assert_eq!(all.collect::<Vec<_>>(), list);
            }
        }
    }

    #[test]
    fn numbers_out_of_order_are_refused() {
        let run = |row, number| Numbered { row, number };
        assert!(Numbers::of(5, &[run(0, 5), run(2, 9)], 3).is_some());
        assert!(Numbers::of(5, &[run(0, 6)], 3).is_none());
        assert!(Numbers::of(5, &[run(1, 5)], 3).is_none());
        assert!(Numbers::of(5, &[run(0, 5), run(2, 6)], 3).is_none());
        assert!(Numbers::of(5, &[run(0, 5), run(3, 9)], 3).is_none());
        assert!(Numbers::of(5, &[run(0, 5), run(1, u32::MAX)], 3).is_none());
    }
}
