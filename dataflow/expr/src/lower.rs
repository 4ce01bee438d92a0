//! From a tree to the flat nodes of a plan: `not` goes down to the leaves, equalities on one field
//! become one list, ranges on one field one range, and children are ordered by cost.

use std::collections::HashMap;

use crate::operand::Tree;
use crate::plan::{Compare, Node, Path, Place, Pred, Scalar};

/// Appends the nodes of a tree, negated or not; returns the root's index and its cost.
pub(crate) fn lower(tree: Tree, negate: bool, nodes: &mut Vec<Node>) -> (u32, u64) {
    let (all, not, children) = match tree {
        Tree::Leaf { not, pred } => {
            let cost = cost(&pred);
            nodes.push(Node::Leaf { not: not != negate, pred });
            return (last(nodes), cost);
        }
        Tree::All { not, children } => (true, not != negate, children),
        Tree::Any { not, children } => (false, not != negate, children),
    };
    // not (a and b) = (not a) or (not b), also with rows that have no value.
    let all = all != not;
    let merged = merge(children, all, not);
    let mut lowered: Vec<(u32, u64)> =
        merged.into_iter().map(|child| lower(child, not, nodes)).collect();
    if let [only] = lowered[..] {
        return only;
    }
    lowered.sort_by_key(|&(_, cost)| cost);
    let cost = lowered.iter().fold(0u64, |sum, (_, cost)| sum.saturating_add(*cost));
    let children = lowered.into_iter().map(|(index, _)| index).collect();
    nodes.push(if all { Node::All(children) } else { Node::Any(children) });
    (last(nodes), cost)
}

fn last(nodes: &[Node]) -> u32 {
    u32::try_from(nodes.len() - 1).unwrap_or(u32::MAX)
}

/// Rough cost of a row, in tenths of a nanosecond: only the order matters.
fn cost(pred: &Pred) -> u64 {
    match pred {
        Pred::Bools { .. } | Pred::Null { .. } => 2,
        Pred::Ints { place, .. } | Pred::Floats { place, .. } => {
            if place.index.is_none() {
                5
            } else {
                60
            }
        }
        // Answered for all rows before any other, so it only narrows what others look at.
        Pred::TextMatch { .. } => 4,
        Pred::Number { left, right, kind, .. } => {
            let row = if *kind == crate::plan::NumberKind::Json { 300 } else { 20 };
            row * (left.len() + right.len()) as u64
        }
        Pred::IntIn { .. } | Pred::FloatIn { .. } => 40,
        Pred::Text { .. } | Pred::NullElement { .. } => 50,
        Pred::TextPair { .. } | Pred::TextIn { .. } => 200,
        Pred::ArrayEqual { .. } | Pred::ArrayContains { .. } => 300,
        Pred::JsonExists { .. } | Pred::JsonCompare { .. } | Pred::JsonIn { .. } => 350,
        Pred::TextLike { .. } => 400,
        Pred::JsonLike { .. } | Pred::JsonContains { .. } => 1_000,
        Pred::TextRegex { .. } | Pred::JsonRegex { .. } => 5_000,
    }
}

/// What can be merged into one leaf.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    IntList(Place),
    TextList(Place),
    JsonList(Path),
    IntRange(Place),
}

/// Merges `other` into `kept` as they are read, when both are equalities or lists on one place and
/// the connective makes one list of them; leaves both as they are otherwise.
pub(crate) fn absorb(kept: &mut Tree, other: &mut Tree, all: bool) -> bool {
    let (Tree::Leaf { not, pred: kept }, Tree::Leaf { not: also, pred }) = (kept, other) else {
        return false;
    };
    if *not != all || *also != all || !same_list(kept, pred) {
        return false;
    }
    let empty = Pred::IntIn { place: Place { slot: 0, index: None }, values: Vec::new() };
    widen(kept, std::mem::replace(pred, empty));
    true
}

fn same_list(kept: &Pred, other: &Pred) -> bool {
    match (listed(kept), listed(other)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// The place of an equality or a list, and which kind of list it makes.
fn listed(pred: &Pred) -> Option<(Place, u8, &[String])> {
    let json = |path: &Path| Place { slot: path.field, index: None };
    Some(match pred {
        Pred::Ints { place, lo, hi } if lo == hi => (*place, 0, &[]),
        Pred::IntIn { place, .. } => (*place, 0, &[]),
        Pred::Text { place, op: Compare::Equal, .. } => (*place, 1, &[]),
        Pred::TextIn { place, .. } => (*place, 1, &[]),
        Pred::JsonCompare { path, op: Compare::Equal, .. } => (json(path), 2, &path.steps),
        Pred::JsonIn { path, .. } => (json(path), 2, &path.steps),
        _ => return None,
    })
}

/// Merges the children of one node. Under `or`, `x == 1 or x in [2]` is one list; under `and`,
/// so is `x != 1 and x != 2`. Under `and`, ranges on one integer field intersect. `not` says that
/// the children are still to be negated.
fn merge(children: Vec<Tree>, all: bool, not: bool) -> Vec<Tree> {
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut out: Vec<Tree> = Vec::with_capacity(children.len());
    for child in children {
        let key = match &child {
            Tree::Leaf { not: inner, pred } => key(pred, all, *inner != not),
            _ => None,
        };
        let Some(key) = key else {
            out.push(child);
            continue;
        };
        let intersect = matches!(key, Key::IntRange(_));
        match places.entry(key) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(out.len());
                out.push(child);
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                let Tree::Leaf { pred, .. } = child else { continue };
                if let Tree::Leaf { pred: kept, .. } = &mut out[*entry.get()] {
                    if intersect { narrow(kept, pred) } else { widen(kept, pred) }
                }
            }
        }
    }
    out
}

fn key(pred: &Pred, all: bool, not: bool) -> Option<Key> {
    match pred {
        Pred::Ints { place, lo, hi } if lo == hi && all == not => Some(Key::IntList(*place)),
        Pred::IntIn { place, .. } if all == not => Some(Key::IntList(*place)),
        Pred::Ints { place, .. } if all && !not => Some(Key::IntRange(*place)),
        Pred::Text { place, op: Compare::Equal, .. } if all == not => Some(Key::TextList(*place)),
        Pred::TextIn { place, .. } if all == not => Some(Key::TextList(*place)),
        Pred::JsonCompare { path, op: Compare::Equal, .. } if all == not => {
            Some(Key::JsonList(path.clone()))
        }
        Pred::JsonIn { path, .. } if all == not => Some(Key::JsonList(path.clone())),
        _ => None,
    }
}

/// Narrows a range by another of the same field.
fn narrow(kept: &mut Pred, other: Pred) {
    if let (Pred::Ints { lo, hi, .. }, Pred::Ints { lo: l, hi: h, .. }) = (kept, other) {
        (*lo, *hi) = ((*lo).max(l), (*hi).min(h));
    }
}

/// Widens an equality or a list by another of the same field.
fn widen(kept: &mut Pred, other: Pred) {
    if let Pred::Ints { place, lo, .. } = *kept {
        *kept = Pred::IntIn { place, values: vec![lo] };
    }
    match (&mut *kept, other) {
        (Pred::IntIn { values, .. }, Pred::Ints { lo, .. }) => values.push(lo),
        (Pred::IntIn { values, .. }, Pred::IntIn { values: more, .. }) => values.extend(more),
        (Pred::Text { place, value, .. }, other) => {
            let mut values = vec![std::mem::take(value)];
            texts(other, &mut values);
            *kept = Pred::TextIn { place: *place, values };
        }
        (Pred::TextIn { values, .. }, other) => texts(other, values),
        (Pred::JsonCompare { path, value, .. }, other) => {
            let mut values = vec![value.clone()];
            scalars(other, &mut values);
            *kept = Pred::JsonIn { path: path.clone(), values };
        }
        (Pred::JsonIn { values, .. }, other) => scalars(other, values),
        _ => {}
    }
}

fn texts(pred: Pred, into: &mut Vec<String>) {
    match pred {
        Pred::Text { value, .. } => into.push(value),
        Pred::TextIn { values, .. } => into.extend(values),
        _ => {}
    }
}

fn scalars(pred: Pred, into: &mut Vec<Scalar>) {
    match pred {
        Pred::JsonCompare { value, .. } => into.push(value),
        Pred::JsonIn { values, .. } => into.extend(values),
        _ => {}
    }
}
