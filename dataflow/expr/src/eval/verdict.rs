//! What zone maps say of a block before it is read: that no row passes, that all do, or nothing.
//!
//! `not` stands at the leaves and a row without an answer is out either way, so verdicts of leaves
//! join by `and` and `or` without a third value.

use std::ops::Range;

use super::sets::Prepared;
use super::shred::{double_range, int_range};
use crate::columns::Columns;
use crate::like::{Ending, Pattern};
use crate::plan::{Compare, Node, Place, Plan, Pred, Scalar, Slot};
use crate::shred::Shred;
use crate::zones::{Bounds, Zone};

mod span;

/// What is known of a node and the rows of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No row passes.
    Nothing,
    /// Every row passes.
    Everything,
    /// Rows must be read.
    Open,
}

/// The verdicts on all nodes of a plan, for one block after the other.
pub(super) struct Verdicts<'a> {
    columns: &'a dyn Columns,
    zones: Vec<Option<Zone<'a>>>,
    /// Nothing when there are no zones.
    nodes: Vec<Verdict>,
}

/// What a predicate may say of the rows that have a value.
#[derive(Clone, Copy)]
struct May {
    hold: bool,
    fail: bool,
}

/// That nothing is known.
const MAY: May = May { hold: true, fail: true };

impl<'a> Verdicts<'a> {
    pub(super) fn new(plan: &Plan, columns: &'a dyn Columns) -> Verdicts<'a> {
        let (zones, nodes) = match columns.has_zones() || columns.has_shreds() {
            true => {
                (vec![None; plan.body.fields.len()], vec![Verdict::Open; plan.body.nodes.len()])
            }
            false => (Vec::new(), Vec::new()),
        };
        Verdicts { columns, zones, nodes }
    }

    /// Judges the nodes for some rows; returns the verdict on the whole plan, but for its sample.
    pub(super) fn judge(
        &mut self,
        plan: &Plan,
        shreds: &[Option<Shred<'_>>],
        rows: Range<usize>,
    ) -> Verdict {
        if self.nodes.is_empty() {
            return Verdict::Open;
        }
        for (zone, field) in self.zones.iter_mut().zip(&plan.body.fields) {
            *zone = self.columns.zone(*field, rows.clone());
        }
        for (index, node) in plan.body.nodes.iter().enumerate() {
            self.nodes[index] = match node {
                Node::True => Verdict::Everything,
                Node::All(children) => self.join(children, Verdict::Nothing, Verdict::Everything),
                Node::Any(children) => self.join(children, Verdict::Everything, Verdict::Nothing),
                Node::Leaf { not, pred } => {
                    let shred = shreds.get(index).and_then(Option::as_ref);
                    let shred = shred.and_then(|s| Some((s.zone(rows.clone())?, s.complete)));
                    self.leaf((plan, index), pred, *not, shred)
                }
            };
        }
        self.nodes.last().copied().unwrap_or(Verdict::Open)
    }

    /// What was judged last.
    pub(super) fn of(&self, node: usize) -> Verdict {
        self.nodes.get(node).copied().unwrap_or(Verdict::Open)
    }

    /// One child can decide by itself; otherwise all of them must say the neutral thing.
    fn join(&self, children: &[u32], decides: Verdict, neutral: Verdict) -> Verdict {
        let mut verdict = neutral;
        for child in children {
            match self.nodes[*child as usize] {
                found if found == decides => return decides,
                found if found == neutral => {}
                _ => verdict = Verdict::Open,
            }
        }
        verdict
    }

    fn zone(&self, slot: Slot) -> Option<&Zone<'a>> {
        self.zones.get(slot as usize)?.as_ref()
    }

    /// With what is known of the column of the path, and whether it is complete.
    fn leaf(
        &self,
        (plan, index): (&Plan, usize),
        pred: &Pred,
        not: bool,
        shred: Option<(Zone<'_>, bool)>,
    ) -> Verdict {
        let (mut values, mut nulls, mut known) = (true, false, shred.is_some());
        pred.slots(|slot| {
            let zone = self.zone(slot);
            values &= zone.is_none_or(|zone| zone.values);
            nulls |= zone.is_none_or(|zone| zone.nulls);
            known |= zone.is_some();
        });
        if !known {
            return Verdict::Open;
        }
        let (may, nulls) = match (pred, shred) {
            (Pred::Null { path }, _) if path.steps.is_empty() => {
                (May { hold: nulls, fail: values }, false)
            }
            // Null is what has no value in the column, nor anything else.
            (Pred::Null { .. }, Some((zone, complete))) => {
                let others = zone.nulls && !complete;
                (May { hold: zone.nulls || nulls, fail: values && (zone.values || others) }, false)
            }
            // A row can also lack the place in a document or the element.
            (Pred::Null { .. } | Pred::NullElement { .. }, _) => {
                (May { hold: true, fail: values }, false)
            }
            _ if !values => (May { hold: false, fail: false }, true),
            (pred, Some((zone, complete))) => (may_shred(pred, &zone, complete), nulls),
            (pred, None) => {
                let prepared = || plan.prepared[index].get_or_init(|| Prepared::new(pred));
                (self.may(pred, prepared), nulls)
            }
        };
        let (passes, fails) = if not { (may.fail, may.hold) } else { (may.hold, may.fail) };
        match (passes, fails || nulls) {
            (false, _) => Verdict::Nothing,
            (true, false) => Verdict::Everything,
            (true, true) => Verdict::Open,
        }
    }

    /// The bounds of a field; not those of the elements of its arrays.
    fn bounds(&self, place: &Place) -> Option<Bounds<'a>> {
        if place.index.is_some() {
            return None;
        }
        self.zone(place.slot).map(|zone| zone.bounds)
    }

    fn may<'p>(&self, pred: &Pred, prepared: impl Fn() -> &'p Prepared) -> May {
        match pred {
            Pred::Ints { place, lo, hi } => match self.bounds(place) {
                Some(Bounds::Int { min, max }) => May {
                    hold: lo <= hi && min <= *hi && *lo <= max,
                    fail: !(*lo <= min && max <= *hi),
                },
                _ => MAY,
            },
            Pred::Floats { place, lo, hi } => match self.bounds(place) {
                // Every comparison with NaN is false: such a bound holds for nothing.
                Some(Bounds::Float { min, max, nan }) => {
                    May { hold: min <= *hi && *lo <= max, fail: nan || !(*lo <= min && max <= *hi) }
                }
                _ => MAY,
            },
            Pred::Bools { place, on_true, on_false } => match self.bounds(place) {
                Some(Bounds::Bool { on_true: t, on_false: f }) => May {
                    hold: t && *on_true || f && *on_false,
                    fail: t && !*on_true || f && !*on_false,
                },
                _ => MAY,
            },
            Pred::IntIn { place, .. } => match (self.bounds(place), prepared()) {
                (Some(Bounds::Int { min, max }), Prepared::Ints(set)) => {
                    May { hold: set.may_meet(min, max), fail: min < max || !set.contains(min) }
                }
                _ => MAY,
            },
            Pred::FloatIn { place, .. } => match (self.bounds(place), prepared()) {
                (Some(Bounds::Float { min, max, .. }), Prepared::Floats(sorted)) => {
                    let at = sorted.partition_point(|v| *v < min);
                    May { hold: sorted.get(at).is_some_and(|v| *v <= max), fail: true }
                }
                _ => MAY,
            },
            Pred::Text { .. }
            | Pred::TextIn { .. }
            | Pred::TextLike { .. }
            | Pred::TextPair { .. } => self.may_text(pred, prepared),
            Pred::Number { left, op, right, kind } => {
                span::may(left, *op, right, *kind, |place| self.bounds(place))
            }
            _ => MAY,
        }
    }

    fn may_text<'p>(&self, pred: &Pred, prepared: impl Fn() -> &'p Prepared) -> May {
        let texts = |place: &Place| match self.bounds(place) {
            Some(Bounds::Text { min, max, exact }) => Some((min, max, exact)),
            _ => None,
        };
        match pred {
            Pred::Text { place, op, value } => {
                let Some((min, max, exact)) = texts(place) else { return MAY };
                let value = value.as_bytes();
                compare_texts((min, max, exact), *op, (value, Some(value), true))
            }
            Pred::TextPair { left, op, right } => match texts(left).zip(texts(right)) {
                Some((left, right)) => compare_texts(left, *op, right),
                None => MAY,
            },
            Pred::TextIn { place, values } => match (texts(place), prepared()) {
                (Some((min, max, exact)), Prepared::Texts(set)) => May {
                    hold: set.may_meet(min, max, values),
                    fail: !(exact && max == Some(min) && set.contains(min, values)),
                },
                _ => MAY,
            },
            Pred::TextLike { place, .. } => match (texts(place), prepared()) {
                (Some((min, max, exact)), Prepared::Like(pattern)) => {
                    may_like((min, max, exact), pattern)
                }
                _ => MAY,
            },
            _ => MAY,
        }
    }
}

/// What a predicate may say of values in a column of a path, and of rows that are not in it.
fn may_shred(pred: &Pred, zone: &Zone<'_>, complete: bool) -> May {
    let typed = match (pred, zone.bounds) {
        _ if !zone.values => May { hold: false, fail: false },
        (Pred::JsonExists { .. }, _) => May { hold: true, fail: false },
        (Pred::JsonCompare { op, value, .. }, bounds) => may_compare(bounds, *op, value),
        _ => MAY,
    };
    let others = zone.nulls && !complete;
    May { hold: typed.hold || others, fail: typed.fail || zone.nulls }
}

fn may_compare(bounds: Bounds<'_>, op: Compare, value: &Scalar) -> May {
    match (bounds, value) {
        (Bounds::Int { min, max }, Scalar::Int(_) | Scalar::Float(_)) => int_range(op, value)
            .map_or(MAY, |(lo, hi)| May {
                hold: lo <= hi && min <= hi && lo <= max,
                fail: !(lo <= min && max <= hi),
            }),
        (Bounds::Float { min, max, nan }, Scalar::Int(_) | Scalar::Float(_)) => {
            double_range(op, value).map_or(MAY, |(lo, hi)| May {
                hold: min <= hi && lo <= max,
                fail: nan || !(lo <= min && max <= hi),
            })
        }
        (Bounds::Text { min, max, exact }, Scalar::Text(value)) => {
            let value = value.as_bytes();
            compare_texts((min, max, exact), op, (value, Some(value), true))
        }
        _ => MAY,
    }
}

/// The bounds of texts: the lower, the upper, and whether both are values.
type Texts<'a> = (&'a [u8], Option<&'a [u8]>, bool);

/// A comparison of any of some texts with any of others.
fn compare_texts(left: Texts<'_>, op: Compare, right: Texts<'_>) -> May {
    let below = |a: &[u8], b: Option<&[u8]>, or_equal: bool| {
        b.is_none_or(|b| if or_equal { a <= b } else { a < b })
    };
    let one = |(min, max, exact): Texts<'_>| exact && max == Some(min);
    // Whether a text on the left may be less than one on the right; and the other way round.
    let less = |or_equal| below(left.0, right.1, or_equal);
    let greater = |or_equal| below(right.0, left.1, or_equal);
    match op {
        Compare::Equal => May {
            hold: less(true) && greater(true),
            fail: !(one(left) && one(right) && left.0 == right.0),
        },
        Compare::Less => May { hold: less(false), fail: greater(true) },
        Compare::LessEqual => May { hold: less(true), fail: greater(false) },
        Compare::Greater => May { hold: greater(false), fail: less(true) },
        Compare::GreaterEqual => May { hold: greater(true), fail: less(false) },
    }
}

fn may_like((min, max, exact): Texts<'_>, pattern: &Pattern) -> May {
    let (beginning, ending) = pattern.beginning();
    if ending == Ending::None {
        return compare_texts(
            (min, max, exact),
            Compare::Equal,
            (beginning, Some(beginning), true),
        );
    }
    // Texts with this beginning lie together, from the beginning itself on.
    let begins = |text: &[u8]| text.starts_with(beginning);
    May {
        hold: (min <= beginning || begins(min)) && max.is_none_or(|max| beginning <= max),
        fail: !(ending == Ending::Any && begins(min) && max.is_some_and(begins)),
    }
}
