//! JSON predicates, row by row over the candidates. A missing key or another type is "no match",
//! which a negation turns into a match.

use super::array::has_all;
use super::sets::Prepared;
use super::{Block, Views};
use crate::columns::VarView;
use crate::json::{Document, Found};
use crate::plan::{Path, Pred};
use crate::scalar::holds;

pub(super) fn leaf(
    pred: &Pred,
    not: bool,
    prepared: &Prepared,
    views: &Views<'_>,
    block: &mut Block<'_>,
) {
    match (pred, prepared) {
        (Pred::JsonExists { path }, _) => {
            retain(path, not, views, block, |found| !matches!(found, Found::Null));
        }
        (Pred::JsonCompare { path, op, value }, _) => {
            retain(path, not, views, block, |found| holds(found, *op, value));
        }
        (Pred::JsonIn { path, .. }, Prepared::Scalars(set)) => {
            retain(path, not, views, block, |found| set.find(found).is_some());
        }
        (Pred::JsonLike { path, .. }, Prepared::Like(pattern)) => {
            retain(path, not, views, block, |found| match found {
                Found::Text(text) => pattern.matches(text),
                _ => false,
            });
        }
        (Pred::JsonRegex { path, .. }, Prepared::Regex(regex)) => {
            retain(path, not, views, block, |found| match found {
                Found::Text(text) => regex.is_match(text),
                _ => false,
            });
        }
        (Pred::JsonContains { path, all, .. }, Prepared::Scalars(set)) => {
            // One flag for each constant, for the rows of the block in turn.
            let mut seen = if *all { vec![false; set.distinct()] } else { Vec::new() };
            retain(path, not, views, block, |found| match found {
                Found::List(list) if *all => has_all(list.iter(), set, &mut seen),
                Found::List(list) => list.iter().any(|found| set.find(&found).is_some()),
                _ => false,
            });
        }
        // Every other predicate is evaluated by type, and its set is made with it.
        _ => block.clear(),
    }
}

/// Rows without a value of the field, or without one at the path.
pub(super) fn null(path: &Path, not: bool, views: &Views<'_>, block: &mut Block<'_>) {
    let validity = views.validity(path.field);
    if !path.steps.is_empty() {
        let view = views.json(path.field);
        let is_null = |row: usize| validity.is_some_and(|v| v.get(row).is_none_or(|&v| v == 0));
        return block.retain(not, |row| {
            is_null(row) || matches!(at(&view, row, path), None | Some(Found::Null))
        });
    }
    match (views.get(path.field), validity) {
        (Some(_), Some(validity)) => super::fixed::test(validity, not, block, |v| v == 0),
        // Without a column every row is null, without a validity none is.
        (view, _) if view.is_none() == not => block.clear(),
        _ => {}
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
    Document::new(view.get(row)?).find(&path.steps)
}
