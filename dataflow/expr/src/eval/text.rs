//! VarChar columns: lengths decide before bytes are read.

use regex::bytes::Regex;

use super::Block;
use super::array::Arrays;
use super::fixed::pack;
use super::sets::TextSet;
use crate::columns::{ColumnView, VarView};
use crate::json::Found;
use crate::like::Pattern;
use crate::plan::Compare;

/// A text of each row: a VarChar column, or an element of an array of texts.
#[derive(Clone, Copy)]
pub(super) enum Texts<'a> {
    Column(VarView<'a>),
    Element(Arrays<'a>, u32),
}

impl<'a> Texts<'a> {
    /// The texts of a view, if it has any.
    pub(super) fn of(view: Option<ColumnView<'a>>, index: Option<u32>) -> Option<Texts<'a>> {
        match (view?, index) {
            (ColumnView::Text(view), None) => Some(Texts::Column(view)),
            (view, Some(index)) => Arrays::of(Some(view)).map(|a| Texts::Element(a, index)),
            _ => None,
        }
    }

    #[inline]
    fn get(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Texts::Column(view) => view.get(row),
            Texts::Element(arrays, index) => match arrays.at(row, *index)? {
                Found::Text(text) => Some(text),
                _ => None,
            },
        }
    }
}

/// Rows whose text compares with a constant as wanted; texts are ordered by their bytes.
pub(super) fn compare(
    view: Option<Texts<'_>>,
    op: Compare,
    value: &[u8],
    not: bool,
    block: &mut Block<'_>,
) {
    let Some(view) = view else { return block.clear() };
    if op != Compare::Equal {
        return block.retain_known(|row| view.get(row).map(|t| op.accepts(t.cmp(value)) != not));
    }
    if not {
        return block.retain_known(|row| view.get(row).map(|text| text != value));
    }
    if let Texts::Column(view) = view {
        of_length(view, value.len(), block);
    }
    block.retain_known(|row| view.get(row).map(|text| text == value));
}

/// Keeps the candidates of one length, 64 rows at a time.
fn of_length(view: VarView<'_>, length: usize, block: &mut Block<'_>) {
    let Ok(length) = u32::try_from(length) else { return block.clear() };
    for (w, word) in block.words.iter_mut().enumerate() {
        let start = block.start + w * 64;
        let Some(offsets) = view.offsets.get(start..start + 65) else { return };
        if *word == 0 {
            continue;
        }
        let mut lengths = [0u32; 64];
        for ((difference, from), to) in lengths.iter_mut().zip(offsets).zip(&offsets[1..]) {
            *difference = to.wrapping_sub(*from);
        }
        *word &= pack(&lengths, |l| l == length);
    }
}

/// Rows whose text is in a list.
pub(super) fn among(
    view: Option<Texts<'_>>,
    set: &TextSet,
    values: &[String],
    not: bool,
    block: &mut Block<'_>,
) {
    let Some(view) = view else { return block.clear() };
    block.retain_known(|row| view.get(row).map(|text| set.contains(text, values) != not));
}

/// Rows whose text matches a pattern.
pub(super) fn like(view: Option<Texts<'_>>, pattern: &Pattern, not: bool, block: &mut Block<'_>) {
    let Some(view) = view else { return block.clear() };
    block.retain_known(|row| view.get(row).map(|text| pattern.matches(text) != not));
}

/// Rows in whose text a regular expression is found.
pub(super) fn regex(view: Option<Texts<'_>>, regex: &Regex, not: bool, block: &mut Block<'_>) {
    let Some(view) = view else { return block.clear() };
    block.retain_known(|row| view.get(row).map(|text| regex.is_match(text) != not));
}

/// Rows whose texts in two columns compare as wanted.
pub(super) fn pair(
    views: (Option<Texts<'_>>, Option<Texts<'_>>),
    op: Compare,
    not: bool,
    block: &mut Block<'_>,
) {
    let (Some(left), Some(right)) = views else { return block.clear() };
    block.retain_known(|row| {
        let (left, right) = (left.get(row)?, right.get(row)?);
        Some(op.accepts(left.cmp(right)) != not)
    });
}
