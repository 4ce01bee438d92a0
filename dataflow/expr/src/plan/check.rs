//! That a decoded plan is one that an evaluation can rely on.

use super::{Arithmetic, Body, MatchKind, Node, NumberKind, NumberOp, Pred, Slot};
use crate::limits::PLAN_DEPTH_MAX;

impl Body {
    /// That an evaluation can rely on: one tree of bounded depth, over known fields.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let mut depths: Vec<u32> = Vec::with_capacity(self.nodes.len());
        // Whether a node already has a parent; with two the cost of a plan could double per node.
        let mut owned = vec![false; self.nodes.len()];
        for node in &self.nodes {
            let mut depth = 1;
            if let Node::All(children) | Node::Any(children) = node {
                for &child in children {
                    let below = depths.get(child as usize).ok_or("a child follows its parent")?;
                    depth = depth.max(below + 1);
                    if std::mem::replace(&mut owned[child as usize], true) {
                        return Err("a node has two parents");
                    }
                }
            }
            if depth > PLAN_DEPTH_MAX {
                return Err("it is too deep");
            }
            depths.push(depth);
            if let Node::Leaf { pred, .. } = node {
                pred.check(self.fields.len())?;
            }
        }
        match owned.split_last() {
            Some((_, others)) if others.iter().all(|&o| o) => Ok(()),
            Some(_) => Err("a node has no parent"),
            None => Err("it has no nodes"),
        }
    }
}

impl Pred {
    /// Calls `each` with the fields whose values the predicate reads, some repeatedly.
    pub(crate) fn slots(&self, mut each: impl FnMut(Slot)) {
        match self {
            Pred::Ints { place, .. }
            | Pred::Floats { place, .. }
            | Pred::Bools { place, .. }
            | Pred::IntIn { place, .. }
            | Pred::FloatIn { place, .. }
            | Pred::Text { place, .. }
            | Pred::TextIn { place, .. }
            | Pred::TextLike { place, .. }
            | Pred::TextRegex { place, .. }
            | Pred::NullElement { place } => each(place.slot),
            Pred::TextPair { left, right, .. } => {
                each(left.slot);
                each(right.slot);
            }
            Pred::TextMatch { field, .. }
            | Pred::ArrayEqual { field, .. }
            | Pred::ArrayContains { field, .. } => each(*field),
            Pred::Null { path }
            | Pred::JsonExists { path }
            | Pred::JsonCompare { path, .. }
            | Pred::JsonIn { path, .. }
            | Pred::JsonLike { path, .. }
            | Pred::JsonRegex { path, .. }
            | Pred::JsonContains { path, .. } => each(path.field),
            Pred::Number { left, right, .. } => {
                for op in left.iter().chain(right) {
                    match op {
                        NumberOp::Column(place) => each(place.slot),
                        NumberOp::Length(slot) => each(*slot),
                        NumberOp::Json(path) | NumberOp::JsonLength(path) => each(path.field),
                        NumberOp::Int(_) | NumberOp::Float(_) | NumberOp::Apply(_) => {}
                    }
                }
            }
        }
    }

    fn check(&self, fields: usize) -> Result<(), &'static str> {
        let mut known = true;
        self.slots(|slot| known &= (slot as usize) < fields);
        if !known {
            return Err("a field is not listed");
        }
        match self {
            Pred::Number { left, right, kind, .. } => {
                check_program(left, *kind)?;
                check_program(right, *kind)
            }
            Pred::TextMatch { kind: MatchKind::Words { minimum: 0 }, .. } => {
                Err("a match of no words")
            }
            _ => Ok(()),
        }
    }
}

/// Most values that a numeric expression holds at once; operands wait only at an open parenthesis
/// or a tighter operator.
const STACK_MAX: usize = 4 * crate::limits::NESTING_MAX;

fn check_program(program: &[NumberOp], kind: NumberKind) -> Result<(), &'static str> {
    let mut held = 0usize;
    for op in program {
        match op {
            NumberOp::Json(_) | NumberOp::JsonLength(_) if kind != NumberKind::Json => {
                return Err("a JSON value in typed arithmetic");
            }
            NumberOp::Float(_) | NumberOp::Apply(Arithmetic::Power) if kind == NumberKind::Int => {
                return Err("a float among integers");
            }
            NumberOp::Apply(_) if held < 2 => return Err("an operator lacks operands"),
            NumberOp::Apply(_) => held -= 2,
            _ => {}
        }
        held += 1;
        if held > STACK_MAX {
            return Err("arithmetic is too deep");
        }
    }
    if held == 1 { Ok(()) } else { Err("arithmetic has no single value") }
}
