//! Rows in the order of some of their fields: the first so many of a selection.

use std::cmp::Ordering;

use millstream_catalog::model::Fault;
use millstream_segment::{ColumnSlice, Selection};

use super::gather::Place;
use super::query::First;
use crate::api::OrderBy;
use crate::part::null_order;

/// A row and its place in the order by the first field, as far as eight bytes tell.
struct Entry {
    /// 0 for a row without a value that comes first, 2 for one that comes last, otherwise 1.
    class: u8,
    /// The value, so that words are in the order of values.
    word: u64,
    place: Place,
}

/// One field that rows are ordered by.
struct Step<'s> {
    by: OrderBy,
    slices: Vec<ColumnSlice<'s>>,
    validity: Vec<Option<&'s [u8]>>,
}

/// Orders rows by fields, then by their keys.
struct Order<'s> {
    steps: Vec<Step<'s>>,
    /// The primary key, which decides between equal rows.
    keys: Step<'s>,
    /// Whether the words of the first field say everything about it.
    words_suffice: bool,
}

/// The first `most` selected rows in an order.
///
/// # Errors
/// When the shard lacks one of the fields.
pub(super) fn first_rows(
    selection: &Selection,
    order: &[OrderBy],
    pk: usize,
    most: usize,
) -> Result<Vec<Place>, Fault> {
    let order = Order::new(selection, order, pk)?;
    let mut first = First::new(most, selection.count());
    for (at, chunk) in (0u32..).zip(&selection.chunks) {
        chunk.for_each(|row| {
            first.offer(order.entry((at, row as u32)), |a, b| order.compare(a, b));
        });
    }
    let entries = first.sorted(|a, b| order.compare(a, b));
    Ok(entries.into_iter().map(|e| e.place).collect())
}

impl<'s> Order<'s> {
    fn new(selection: &'s Selection, order: &[OrderBy], pk: usize) -> Result<Order<'s>, Fault> {
        let step =
            |by: &OrderBy| Ok(Step::new(selection, *by, super::column_of(selection, by.field)?));
        let steps: Vec<Step<'_>> = order.iter().map(step).collect::<Result<_, Fault>>()?;
        let field = selection.specs()[pk].field;
        let by_key = OrderBy { field, descending: false, nulls_first: false };
        let keys = Step::new(selection, by_key, pk);
        let is_text = |slice: &ColumnSlice<'_>| matches!(slice, ColumnSlice::Var { .. });
        let words_suffice = steps.first().is_none_or(|step| !step.slices.iter().any(is_text));
        Ok(Order { steps, keys, words_suffice })
    }

    fn entry(&self, place: Place) -> Entry {
        let Some(first) = self.steps.first() else { return Entry { class: 1, word: 0, place } };
        if !first.is_valid(place) {
            let class = if first.by.nulls_first { 0 } else { 2 };
            return Entry { class, word: 0, place };
        }
        let word = first.word(place);
        let word = if first.by.descending { !word } else { word };
        Entry { class: 1, word, place }
    }

    fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        let known = a.class.cmp(&b.class).then(a.word.cmp(&b.word));
        let rest = &self.steps[usize::from(self.words_suffice).min(self.steps.len())..];
        known
            .then_with(|| {
                let steps = rest.iter().map(|step| step.compare(a.place, b.place));
                steps.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            })
            .then_with(|| self.keys.compare(a.place, b.place))
    }
}

impl<'s> Step<'s> {
    fn new(selection: &'s Selection, by: OrderBy, index: usize) -> Step<'s> {
        Step {
            by,
            slices: selection.chunks.iter().map(|c| c.column(index)).collect(),
            validity: selection.chunks.iter().map(|c| c.validity(index)).collect(),
        }
    }

    fn is_valid(&self, (chunk, row): Place) -> bool {
        self.validity[chunk as usize].is_none_or(|v| v[row as usize] != 0)
    }

    fn compare(&self, a: Place, b: Place) -> Ordering {
        let (a_valid, b_valid) = (self.is_valid(a), self.is_valid(b));
        if !a_valid || !b_valid {
            return null_order(self.by, a_valid, b_valid);
        }
        let order = match (self.text(a), self.text(b)) {
            (Some(x), Some(y)) => x.cmp(y),
            _ => self.word(a).cmp(&self.word(b)),
        };
        if self.by.descending { order.reverse() } else { order }
    }

    fn text(&self, (chunk, row): Place) -> Option<&'s [u8]> {
        match self.slices[chunk as usize] {
            ColumnSlice::Var { offsets, bytes } => {
                let row = row as usize;
                bytes.get(offsets[row] as usize..offsets[row + 1] as usize)
            }
            _ => None,
        }
    }

    /// A number in the order of the values; for texts, of their first eight bytes.
    fn word(&self, place: Place) -> u64 {
        let row = place.1 as usize;
        let signed = |v: i64| v.cast_unsigned() ^ 1 << 63;
        match self.slices[place.0 as usize] {
            ColumnSlice::Bool(v) => u64::from(v[row]),
            ColumnSlice::Int8(v) => signed(i64::from(v[row])),
            ColumnSlice::Int16(v) => signed(i64::from(v[row])),
            ColumnSlice::Int32(v) => signed(i64::from(v[row])),
            ColumnSlice::Int64(v) => signed(v[row]),
            ColumnSlice::Float(v) => float_word(f64::from(v[row])),
            ColumnSlice::Double(v) => float_word(v[row]),
            _ => {
                let mut word = [0; 8];
                let text = self.text(place).unwrap_or_default();
                let head = text.len().min(8);
                word[..head].copy_from_slice(&text[..head]);
                u64::from_be_bytes(word)
            }
        }
    }
}

/// A float's bits in the order of `total_cmp`.
fn float_word(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}
