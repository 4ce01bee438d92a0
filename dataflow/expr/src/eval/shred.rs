//! JSON predicates on values that lie in a column of their own: as fast as a plain column, with the
//! answers of the documents.

use super::sets::Prepared;
use super::text::{self, Texts};
use super::{BLOCK_WORDS, Block, Views, fixed, json};
use crate::columns::{ColumnView, VarView};
use crate::plan::{Compare, Path, Pred, Scalar};
use crate::scalar::holds;
use crate::shred::Shred;

/// Floats up to here hold every integer.
const EXACT_MAX: i64 = 1 << 53;

impl Pred {
    /// The place of a predicate on one place of a JSON field.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Pred::Null { path } if !path.steps.is_empty() => Some(path),
            Pred::JsonExists { path }
            | Pred::JsonCompare { path, .. }
            | Pred::JsonIn { path, .. }
            | Pred::JsonLike { path, .. }
            | Pred::JsonRegex { path, .. }
            | Pred::JsonContains { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// Evaluates a predicate on a path that has a column.
pub(super) fn leaf(
    pred: &Pred,
    not: bool,
    prepared: &Prepared,
    shred: &Shred<'_>,
    views: &Views<'_>,
    block: &mut Block<'_>,
) {
    if let Pred::Null { path } = pred
        && views.validity(path.field).is_some()
    {
        // A field that is null is null at every path, whatever lies there.
        return json::null(path, not, views, block);
    }
    let first = block.start / 64;
    let mut others = [0; BLOCK_WORDS];
    let others = &mut others[..block.words.len()];
    for (at, (word, other)) in block.words.iter_mut().zip(&mut *others).enumerate() {
        let present = shred.word(first + at);
        *other = *word & !present;
        *word &= present;
    }
    if !block.is_empty() {
        values(pred, not, prepared, shred, block);
    }
    if shred.complete {
        // Nothing at the path: null, and no match for everything else.
        if matches!(pred, Pred::Null { .. }) == not {
            others.fill(0);
        }
    } else {
        let mut rest = Block { start: block.start, words: &mut *others };
        match pred {
            _ if rest.is_empty() => {}
            Pred::Null { path } => json::null(path, not, views, &mut rest),
            pred => json::leaf(pred, not, prepared, views, &mut rest),
        }
    }
    for (word, other) in block.words.iter_mut().zip(others) {
        *word |= *other;
    }
}

/// Of rows that all have a value in the column.
fn values(pred: &Pred, not: bool, prepared: &Prepared, shred: &Shred<'_>, block: &mut Block<'_>) {
    let view = shred.values;
    let texts = match view {
        ColumnView::Text(view) => Some(view),
        _ => None,
    };
    match (pred, prepared, texts) {
        (Pred::JsonExists { .. }, ..) => all(!not, block),
        (Pred::JsonCompare { op, value, .. }, ..) => compare(shred, *op, value, not, block),
        (Pred::JsonIn { .. }, Prepared::Scalars(set), _) => {
            block.retain_known(|row| Some(set.find(&shred.found(row)?).is_some() != not));
        }
        (Pred::JsonLike { .. }, Prepared::Like(pattern), Some(view)) => {
            text::like(Some(Texts::Column(view)), pattern, not, block);
        }
        (Pred::JsonRegex { .. }, Prepared::Regex(regex), Some(view)) => {
            text::regex(Some(Texts::Column(view)), regex, not, block);
        }
        // A scalar is no null, contains nothing and, if it is no text, has no pattern.
        _ => all(not, block),
    }
}

/// Keeps every row or none.
fn all(keep: bool, block: &mut Block<'_>) {
    if !keep {
        block.clear();
    }
}

fn compare(shred: &Shred<'_>, op: Compare, value: &Scalar, not: bool, block: &mut Block<'_>) {
    match (shred.values, value) {
        (ColumnView::Text(view), Scalar::Text(value)) => {
            compare_texts(view, op, value, not, block);
        }
        (view @ ColumnView::Bool(_), Scalar::Bool(value)) => {
            let wanted = |v: bool| op.accepts(v.cmp(value));
            fixed::bools(Some(view), wanted(true), wanted(false), not, block);
        }
        (ColumnView::Bool(_) | ColumnView::Text(_), _)
        | (_, Scalar::Bool(_) | Scalar::Text(_) | Scalar::List(_)) => all(not, block),
        (view @ ColumnView::Double(_), value) => match double_range(op, value) {
            Some((lo, hi)) => fixed::floats(Some(view), lo, hi, not, block),
            None => one_by_one(shred, op, value, not, block),
        },
        (view, value) => match int_range(op, value) {
            Some((lo, hi)) => fixed::ints(Some(view), lo, hi, not, block),
            None => one_by_one(shred, op, value, not, block),
        },
    }
}

fn compare_texts(view: VarView<'_>, op: Compare, value: &str, not: bool, block: &mut Block<'_>) {
    text::compare(Some(Texts::Column(view)), op, value.as_bytes(), not, block);
}

/// For constants at the end of what floats hold exactly.
fn one_by_one(shred: &Shred<'_>, op: Compare, value: &Scalar, not: bool, block: &mut Block<'_>) {
    block.retain_known(|row| Some(holds(&shred.found(row)?, op, value) != not));
}

/// The integers that compare with a number as wanted; an empty range has `lo > hi`.
pub(super) fn int_range(op: Compare, value: &Scalar) -> Option<(i64, i64)> {
    const NONE: (i64, i64) = (1, 0);
    // The largest integer that is not more than the number, and whether it is the number.
    let (floor, exact) = match value {
        Scalar::Int(v) => (*v, true),
        Scalar::Float(v) if v.abs() <= EXACT_MAX as f64 => (v.floor() as i64, v.floor() == *v),
        _ => return None,
    };
    let below = || floor.checked_sub(1).map_or(NONE, |hi| (i64::MIN, hi));
    let above = || floor.checked_add(1).map_or(NONE, |lo| (lo, i64::MAX));
    Some(match op {
        Compare::Equal if exact => (floor, floor),
        Compare::Equal => NONE,
        Compare::Less if exact => below(),
        Compare::Less | Compare::LessEqual => (i64::MIN, floor),
        Compare::GreaterEqual if exact => (floor, i64::MAX),
        Compare::Greater | Compare::GreaterEqual => above(),
    })
}

/// The floats that compare with a number as wanted.
pub(super) fn double_range(op: Compare, value: &Scalar) -> Option<(f64, f64)> {
    let value = match value {
        Scalar::Int(v) if v.unsigned_abs() <= EXACT_MAX as u64 => *v as f64,
        Scalar::Float(v) if v.is_finite() => *v,
        _ => return None,
    };
    Some(match op {
        Compare::Equal => (value, value),
        Compare::Less => (f64::NEG_INFINITY, value.next_down()),
        Compare::LessEqual => (f64::NEG_INFINITY, value),
        Compare::Greater => (value.next_up(), f64::INFINITY),
        Compare::GreaterEqual => (value, f64::INFINITY),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Found;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = Scalar> {
        let whole = prop_oneof![any::<i64>(), -3i64..3, Just((1 << 53) + 1), Just(i64::MIN)];
        prop_oneof![
            whole.prop_map(Scalar::Int),
            prop_oneof![
                any::<f64>().prop_filter("a number", |v| v.is_finite()),
                (-8i64..8).prop_map(|v| v as f64 / 2.0),
                Just(-0.0),
                Just((1u64 << 63) as f64),
            ]
            .prop_map(Scalar::Float),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]
        #[test]
        fn ranges_hold_what_compares(found in number(), value in number(), op in 0..5usize) {
            let all = [Compare::Equal, Compare::Less, Compare::LessEqual, Compare::Greater];
            let op = all.get(op).copied().unwrap_or(Compare::GreaterEqual);
            match found {
                Scalar::Int(v) => if let Some((lo, hi)) = int_range(op, &value) {
                    prop_assert_eq!(lo <= v && v <= hi, holds(&Found::Int(v), op, &value));
                },
                Scalar::Float(v) => if let Some((lo, hi)) = double_range(op, &value) {
                    prop_assert_eq!(lo <= v && v <= hi, holds(&Found::Float(v), op, &value));
                },
                _ => {}
            }
        }
    }
}
