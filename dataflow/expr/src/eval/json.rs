//! JSON predicates, row by row over the candidates. A missing key or another type is "no match",
//! which a negation turns into a match.

use super::sets::Prepared;
use super::{Block, Views};
use crate::columns::VarView;
use crate::json::{elements, find};
use crate::plan::{Path, Pred};
use crate::scalar::{Found, ScalarSet, holds};

pub(super) fn leaf(
    pred: &Pred,
    not: bool,
    prepared: &Prepared,
    views: &Views<'_>,
    block: &mut Block<'_>,
) {
    match (pred, prepared) {
        (Pred::JsonExists { path }, _) => {
            retain(path, not, views, block, |found| *found != Found::Null);
        }
        (Pred::JsonCompare { path, op, value }, _) => {
            retain(path, not, views, block, |found| holds(found, *op, value));
        }
        (Pred::JsonIn { path, .. }, Prepared::Scalars(set)) => {
            retain(path, not, views, block, |found| set.find(found).is_some());
        }
        (Pred::JsonLike { path, .. }, Prepared::Like(pattern)) => {
            retain(path, not, views, block, |found| match found {
                Found::Text(text) => pattern.matches(text.as_bytes()),
                _ => false,
            });
        }
        (Pred::JsonContains { path, all, .. }, Prepared::Scalars(set)) => {
            // One flag for each constant, for the rows of the block in turn.
            let mut seen = if *all { vec![false; set.distinct()] } else { Vec::new() };
            retain(path, not, views, block, |found| match found {
                Found::Container(list) if *all => has_all(list, set, &mut seen),
                Found::Container(list) => has_any(list, set),
                _ => false,
            });
        }
        // Every other predicate is evaluated by type, and its set is made with it.
        _ => block.clear(),
    }
}

fn retain(
    path: &Path,
    not: bool,
    views: &Views<'_>,
    block: &mut Block<'_>,
    mut test: impl FnMut(&Found<'_>) -> bool,
) {
    let view = views.json(path.field);
    block.retain(not, |row| at(&view, row, path).is_some_and(|found| test(&found)));
}

/// The value at a path in one row.
pub(super) fn at<'a>(view: &VarView<'a>, row: usize, path: &Path) -> Option<Found<'a>> {
    find(view.get(row)?, &path.steps)
}

fn has_any(list: &[u8], set: &ScalarSet) -> bool {
    let mut any = false;
    elements(list, |found| {
        any = set.find(&found).is_some();
        !any
    });
    any
}

fn has_all(list: &[u8], set: &ScalarSet, seen: &mut [bool]) -> bool {
    if list.first() != Some(&b'[') {
        return false;
    }
    seen.fill(false);
    let mut missing = seen.len();
    elements(list, |found| {
        if let Some(flag) = set.find(&found).and_then(|number| seen.get_mut(number))
            && !std::mem::replace(flag, true)
        {
            missing -= 1;
        }
        missing > 0
    });
    missing == 0
}
