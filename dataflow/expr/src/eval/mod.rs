//! Evaluation: columns in, bits out, in blocks of 4,096 rows so that what a block touches stays in
//! the cache, and 64 rows a word.
//!
//! Every step gets the rows that are still candidates and clears those that fail, so an `and` is
//! its children in turn, cheapest first, and stops at an empty block; an `or` gives each child only
//! the rows that no earlier child took. A word without candidates is never computed.

mod fixed;
mod json;
mod number;
mod sets;
mod text;

use crate::columns::{ColumnView, Columns, VarView};
use crate::plan::{Node, Plan, Pred, Slot};

pub(crate) use sets::Prepared;

/// Words of a block.
const BLOCK_WORDS: usize = 64;
/// Rows of a block.
const BLOCK_ROWS: usize = BLOCK_WORDS * 64;

/// The columns of one evaluation by slot.
struct Views<'a>(Vec<Option<ColumnView<'a>>>);

impl<'a> Views<'a> {
    fn get(&self, slot: Slot) -> Option<ColumnView<'a>> {
        self.0.get(slot as usize).copied().flatten()
    }

    fn text(&self, slot: Slot) -> Option<VarView<'a>> {
        match self.get(slot) {
            Some(ColumnView::Text(view)) => Some(view),
            _ => None,
        }
    }

    /// A JSON column; without one no row has a key.
    fn json(&self, slot: Slot) -> VarView<'a> {
        match self.get(slot) {
            Some(ColumnView::Json(view)) => view,
            _ => VarView { offsets: &[], bytes: &[] },
        }
    }
}

/// The candidates of a block: bit `i` of word `w` is row `start + 64 * w + i`.
struct Block<'m> {
    start: usize,
    words: &'m mut [u64],
}

impl Block<'_> {
    fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Keeps the candidates for which `test` differs from `not`.
    fn retain(&mut self, not: bool, mut test: impl FnMut(usize) -> bool) {
        self.retain_known(|row| Some(test(row) != not));
    }

    /// Keeps the candidates for which `test` is true; `None` is a row without a value.
    fn retain_known(&mut self, mut test: impl FnMut(usize) -> Option<bool>) {
        for (w, word) in self.words.iter_mut().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                if test(self.start + w * 64 + bit as usize) != Some(true) {
                    *word &= !(1 << bit);
                }
            }
        }
    }
}

impl Plan {
    /// Clears from `mask` the rows that do not match.
    ///
    /// `mask` has one bit per row, row `i` in bit `i % 64` of word `i / 64`; rows that are set on
    /// entry are candidates, all others stay clear, and so do the bits at and after `rows`.
    /// `columns` is asked once for each of [`Plan::fields`] and must give `rows` values.
    ///
    /// # Cost
    /// One allocation per call; none per row on typed columns. O(rows) for each leaf that still
    /// has candidates.
    pub fn eval(&self, rows: usize, columns: &dyn Columns, mask: &mut [u64]) {
        let words = rows.div_ceil(64);
        if let Some(beyond) = mask.get_mut(words..) {
            beyond.fill(0);
        }
        if !rows.is_multiple_of(64)
            && let Some(last) = mask.get_mut(words - 1)
        {
            *last &= (1 << (rows % 64)) - 1;
        }
        let views = Views(self.body.fields.iter().map(|&field| columns.column(field)).collect());
        for (index, words) in mask.chunks_mut(BLOCK_WORDS).enumerate() {
            let mut block = Block { start: index * BLOCK_ROWS, words };
            self.block(self.body.nodes.len() - 1, &views, &mut block);
        }
    }

    fn block(&self, node: usize, views: &Views<'_>, block: &mut Block<'_>) {
        if block.is_empty() {
            return;
        }
        match &self.body.nodes[node] {
            Node::True => {}
            Node::All(children) => {
                for &child in children {
                    self.block(child as usize, views, block);
                }
            }
            Node::Any(children) => self.any(children, views, block),
            Node::Leaf { not, pred } => {
                let prepared = self.prepared[node].get_or_init(|| Prepared::new(pred));
                leaf(pred, *not, prepared, views, block);
            }
        }
    }

    fn any(&self, children: &[u32], views: &Views<'_>, block: &mut Block<'_>) {
        let length = block.words.len();
        let (mut taken, mut tried) = ([0u64; BLOCK_WORDS], [0u64; BLOCK_WORDS]);
        for &child in children {
            let tried = &mut tried[..length];
            tried.copy_from_slice(block.words);
            self.block(child as usize, views, &mut Block { start: block.start, words: tried });
            for ((word, taken), tried) in block.words.iter_mut().zip(&mut taken).zip(tried) {
                *taken |= *tried;
                *word &= !*tried;
            }
            if block.is_empty() {
                break;
            }
        }
        block.words.copy_from_slice(&taken[..length]);
    }
}

/// Evaluates one predicate on one block.
fn leaf(pred: &Pred, not: bool, prepared: &Prepared, views: &Views<'_>, block: &mut Block<'_>) {
    match (pred, prepared) {
        (Pred::Ints { field, lo, hi }, _) => fixed::ints(views.get(*field), *lo, *hi, not, block),
        (Pred::Floats { field, lo, hi }, _) => {
            fixed::floats(views.get(*field), *lo, *hi, not, block);
        }
        (Pred::Bools { field, on_true, on_false }, _) => {
            fixed::bools(views.get(*field), *on_true, *on_false, not, block);
        }
        (Pred::IntIn { field, .. }, Prepared::Ints(set)) => {
            fixed::int_in(views.get(*field), set, not, block);
        }
        (Pred::FloatIn { field, .. }, Prepared::Floats(values)) => {
            fixed::float_in(views.get(*field), values, not, block);
        }
        (Pred::Text { field, op, value }, _) => {
            text::compare(views.text(*field), *op, value.as_bytes(), not, block);
        }
        (Pred::TextIn { field, values }, Prepared::Texts(set)) => {
            text::among(views.text(*field), set, values, not, block);
        }
        (Pred::TextLike { field, .. }, Prepared::Like(pattern)) => {
            text::like(views.text(*field), pattern, not, block);
        }
        (Pred::TextPair { left, op, right }, _) => {
            text::pair((views.text(*left), views.text(*right)), *op, not, block);
        }
        (Pred::Number { left, op, right, kind }, _) => {
            number::compare((left, right), *op, *kind, not, views, block);
        }
        (json_pred, prepared) => json::leaf(json_pred, not, prepared, views, block),
    }
}
