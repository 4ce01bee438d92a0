//! Evaluation: columns in, bits out, in blocks of 4,096 rows so that what a block touches stays in
//! the cache, and 64 rows a word.
//!
//! Every step gets the rows that are still candidates and clears those that fail, so an `and` is
//! its children in turn, cheapest first, and stops at an empty block; an `or` gives each child only
//! the rows that no earlier child took. A word without candidates is never computed.

mod array;
mod fixed;
mod json;
mod number;
mod sets;
mod shred;
mod text;
mod verdict;

use crate::columns::{ColumnView, Columns, TextMatch, VarView};
use crate::json::Found;
use crate::plan::{Node, Place, Plan, Pred, Sample, Slot};
use crate::shred::Shred;
use text::Texts;
use verdict::{Verdict, Verdicts};

pub(crate) use sets::Prepared;

/// Words of a block.
const BLOCK_WORDS: usize = 64;
/// Rows of a block.
const BLOCK_ROWS: usize = BLOCK_WORDS * 64;

/// The columns of one evaluation by slot.
struct Views<'a> {
    columns: Vec<Option<ColumnView<'a>>>,
    /// A byte a row; none where every row has a value.
    validity: Vec<Option<&'a [u8]>>,
    /// Whether any field has nulls.
    nulls: bool,
    /// The rows that match each `text_match`, by node.
    matches: Vec<(usize, Vec<u64>)>,
    /// The column of the path of each node; nothing when no path has one.
    shreds: Vec<Option<Shred<'a>>>,
    /// What the zones say of the nodes in the block at hand.
    verdicts: Verdicts<'a>,
}

impl<'a> Views<'a> {
    fn new(plan: &Plan, columns: &'a dyn Columns) -> Views<'a> {
        let fields = &plan.body.fields;
        let validity: Vec<_> = fields.iter().map(|&field| columns.validity(field)).collect();
        Views {
            columns: fields.iter().map(|&field| columns.column(field)).collect(),
            nulls: validity.iter().any(Option::is_some),
            validity,
            matches: Vec::new(),
            shreds: shreds(plan, columns),
            verdicts: Verdicts::new(plan, columns),
        }
    }

    /// Judges the nodes for a block.
    fn judge(&mut self, plan: &Plan, rows: std::ops::Range<usize>) -> Verdict {
        self.verdicts.judge(plan, &self.shreds, rows)
    }

    fn get(&self, slot: Slot) -> Option<ColumnView<'a>> {
        self.columns.get(slot as usize).copied().flatten()
    }

    fn validity(&self, slot: Slot) -> Option<&'a [u8]> {
        self.validity.get(slot as usize).copied().flatten()
    }

    fn texts(&self, place: Place) -> Option<Texts<'a>> {
        Texts::of(self.get(place.slot), place.index)
    }

    /// Clears the candidates for which a predicate is unknown because a field is null.
    fn clear_nulls(&self, pred: &Pred, block: &mut Block<'_>) {
        if matches!(pred, Pred::Null { .. } | Pred::NullElement { .. }) {
            return;
        }
        pred.slots(|slot| {
            if let Some(validity) = self.validity(slot) {
                fixed::test(validity, false, block, |v| v != 0);
            }
        });
    }

    /// Asks for the rows of every `text_match`, among the candidates.
    fn match_texts(&mut self, plan: &Plan, rows: usize, columns: &dyn Columns, mask: &[u64]) {
        if mask.iter().all(|word| *word == 0) {
            return;
        }
        for (node, kind) in plan.body.nodes.iter().enumerate() {
            let Node::Leaf { pred: Pred::TextMatch { field, text, kind }, .. } = kind else {
                continue;
            };
            let mut found = mask.to_vec();
            let id = plan.body.fields[*field as usize];
            columns.text_match(id, &TextMatch { text, kind: *kind }, rows, &mut found);
            self.matches.push((node, found));
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

/// The column of the path of each node that has one.
fn shreds<'a>(plan: &Plan, columns: &'a dyn Columns) -> Vec<Option<Shred<'a>>> {
    if !columns.has_shreds() {
        return Vec::new();
    }
    let of = |node: &Node| match node {
        Node::Leaf { pred, .. } => {
            let path = pred.path()?;
            columns.shred(*plan.body.fields.get(path.field as usize)?, &path.steps)
        }
        Node::True | Node::All(_) | Node::Any(_) => None,
    };
    plan.body.nodes.iter().map(of).collect()
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
    /// `columns` is asked once for each of [`Plan::fields`] and must give `rows` values, and once
    /// for each `text_match`.
    ///
    /// # Cost
    /// Two allocations per call and one more per `text_match`; none per row. O(rows) for
    /// each leaf that still has candidates.
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
        let mut views = Views::new(self, columns);
        if self.has_text_match() {
            // An index of words is asked once for all blocks, so what is out of the question goes
            // first.
            for (index, words) in mask.chunks_mut(BLOCK_WORDS).enumerate() {
                if views.judge(self, block_rows(index, rows)) == Verdict::Nothing {
                    words.fill(0);
                }
            }
            views.match_texts(self, rows, columns, mask);
        }
        for (index, words) in mask.chunks_mut(BLOCK_WORDS).enumerate() {
            let mut block = Block { start: index * BLOCK_ROWS, words };
            if block.is_empty() {
                continue;
            }
            views.judge(self, block_rows(index, rows));
            self.block(self.body.nodes.len() - 1, &views, &mut block);
            if let Some(sample) = self.body.sample {
                let first = columns.first_row();
                block.retain(false, |row| sample.keeps(first.wrapping_add(row as u64)));
            }
        }
    }

    fn block(&self, node: usize, views: &Views<'_>, block: &mut Block<'_>) {
        if block.is_empty() {
            return;
        }
        match views.verdicts.of(node) {
            Verdict::Nothing => return block.clear(),
            Verdict::Everything => return,
            Verdict::Open => {}
        }
        match &self.body.nodes[node] {
            Node::True => {}
            Node::All(children) => {
                for &child in children {
                    self.block(child as usize, views, block);
                }
            }
            Node::Any(children) => self.any(children, views, block),
            Node::Leaf { not, pred: Pred::TextMatch { field, .. } } => {
                if let Some(validity) = views.validity(*field) {
                    fixed::test(validity, false, block, |v| v != 0);
                }
                let found = views.matches.iter().find(|(of, _)| *of == node);
                let found = found.map_or(&[][..], |(_, found)| found);
                let found = found.get(block.start / 64..).unwrap_or_default();
                let flip = if *not { u64::MAX } else { 0 };
                for (word, found) in block.words.iter_mut().zip(found) {
                    *word &= found ^ flip;
                }
            }
            Node::Leaf { not, pred } => {
                if views.nulls {
                    views.clear_nulls(pred, block);
                }
                let prepared = self.prepared[node].get_or_init(|| Prepared::new(pred));
                match views.shreds.get(node).and_then(Option::as_ref) {
                    Some(shred) => shred::leaf(pred, *not, prepared, shred, views, block),
                    None => leaf(pred, *not, prepared, views, block),
                }
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

/// The rows of a block.
fn block_rows(index: usize, rows: usize) -> std::ops::Range<usize> {
    index * BLOCK_ROWS..((index + 1) * BLOCK_ROWS).min(rows)
}

impl Sample {
    /// Whether a row is chosen.
    fn keeps(self, row: u64) -> bool {
        // The finalizer of splitmix64: every bit of the row changes every bit of the hash.
        let mut hash = (self.seed ^ row.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(row);
        hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (hash ^ hash >> 31) < self.below
    }
}

/// Evaluates one predicate on one block.
fn leaf(pred: &Pred, not: bool, prepared: &Prepared, views: &Views<'_>, block: &mut Block<'_>) {
    match (pred, prepared) {
        (Pred::Text { place, op, value }, _) => {
            text::compare(views.texts(*place), *op, value.as_bytes(), not, block);
        }
        (Pred::TextIn { place, values }, Prepared::Texts(set)) => {
            text::among(views.texts(*place), set, values, not, block);
        }
        (Pred::TextLike { place, .. }, Prepared::Like(pattern)) => {
            text::like(views.texts(*place), pattern, not, block);
        }
        (Pred::TextRegex { place, .. }, Prepared::Regex(regex)) => {
            text::regex(views.texts(*place), regex, not, block);
        }
        (Pred::TextPair { left, op, right }, _) => {
            text::pair((views.texts(*left), views.texts(*right)), *op, not, block);
        }
        (Pred::Number { left, op, right, kind }, _) => {
            number::compare((left, right), *op, *kind, not, views, block);
        }
        (Pred::ArrayEqual { field, values }, _) => {
            array::equal(views.get(*field), values, not, block);
        }
        (Pred::ArrayContains { field, all, values }, Prepared::Scalars(set)) => {
            array::contains(views.get(*field), *all, values, set, not, block);
        }
        (Pred::Null { path }, _) => json::null(path, not, views, block),
        (Pred::NullElement { place }, _) => {
            let (view, validity) = (views.get(place.slot), views.validity(place.slot));
            array::no_element(view, place.index.unwrap_or(0), validity, not, block);
        }
        _ => match value_place(pred) {
            Some(Place { slot, index: None }) => {
                value(pred, not, prepared, views.get(slot), block);
            }
            Some(Place { slot, index: Some(index) }) => {
                let test = |found: &Found<'_>| element(pred, prepared, found);
                array::element(views.get(slot), index, not, block, test);
            }
            None => json::leaf(pred, not, prepared, views, block),
        },
    }
}

/// The place of a predicate on one value of fixed width.
fn value_place(pred: &Pred) -> Option<Place> {
    match pred {
        Pred::Ints { place, .. }
        | Pred::Floats { place, .. }
        | Pred::Bools { place, .. }
        | Pred::IntIn { place, .. }
        | Pred::FloatIn { place, .. } => Some(*place),
        _ => None,
    }
}

/// Evaluates a predicate on a column of fixed width.
fn value(
    pred: &Pred,
    not: bool,
    prepared: &Prepared,
    view: Option<ColumnView<'_>>,
    block: &mut Block<'_>,
) {
    match (pred, prepared) {
        (Pred::Ints { lo, hi, .. }, _) => fixed::ints(view, *lo, *hi, not, block),
        (Pred::Floats { lo, hi, .. }, _) => fixed::floats(view, *lo, *hi, not, block),
        (Pred::Bools { on_true, on_false, .. }, _) => {
            fixed::bools(view, *on_true, *on_false, not, block);
        }
        (Pred::IntIn { .. }, Prepared::Ints(set)) => fixed::int_in(view, set, not, block),
        (Pred::FloatIn { .. }, Prepared::Floats(values)) => {
            fixed::float_in(view, values, not, block);
        }
        _ => block.clear(),
    }
}

/// Whether an element of an array passes a predicate on one value.
fn element(pred: &Pred, prepared: &Prepared, found: &Found<'_>) -> bool {
    match (pred, prepared, found) {
        (Pred::Ints { lo, hi, .. }, _, Found::Int(v)) => lo <= v && v <= hi,
        (Pred::Floats { lo, hi, .. }, _, Found::Float(v)) => lo <= v && v <= hi,
        (Pred::Bools { on_true, on_false, .. }, _, Found::Bool(v)) => {
            if *v {
                *on_true
            } else {
                *on_false
            }
        }
        (_, Prepared::Ints(set), Found::Int(v)) => set.contains(*v),
        (_, Prepared::Floats(values), Found::Float(v)) => fixed::among_floats(values, *v),
        _ => false,
    }
}
