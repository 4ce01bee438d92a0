//! Plans: a checked filter over field ids, as the gateway sends it and a worker evaluates it.
//!
//! A plan is a flat list of nodes, children before parents, the root last; so encoding, decoding,
//! checking and dropping one are loops. `not` is pushed down to the leaves, where it is a flag:
//! with three-valued logic a row without a value is then simply cleared, negated or not.

use std::sync::OnceLock;

use millstream_catalog::model::{Code, Fault, FieldId};
use serde::{Deserialize, Serialize};

use crate::eval::Prepared;
use crate::limits::PLAN_DEPTH_MAX;

/// First byte of an encoded plan. A change of any type below that is encoded takes a new number.
const VERSION: u8 = 1;

/// Position of a field in [`Body::fields`].
pub(crate) type Slot = u32;

/// A checked filter, ready to be evaluated, encoded or sent.
#[derive(Debug)]
pub struct Plan {
    pub(crate) body: Body,
    /// What a leaf needs besides the plan (hash sets, patterns), made at its first evaluation.
    pub(crate) prepared: Vec<OnceLock<Prepared>>,
}

/// The encoded part of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) fields: Vec<FieldId>,
    pub(crate) nodes: Vec<Node>,
    /// Whether the plan is one leaf that lists primary keys.
    pub(crate) by_pk: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Node {
    /// Every row.
    True,
    /// Rows in all children, which are indices of earlier nodes, cheapest first.
    All(Vec<u32>),
    /// Rows in at least one child.
    Any(Vec<u32>),
    /// Rows with a value for which the predicate holds, or, negated, does not.
    Leaf { not: bool, pred: Pred },
}

/// A comparison. There is no "not equal": that is [`Compare::Equal`], negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Compare {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// A predicate on one row. Bounds of ranges are inclusive; an empty range has `lo > hi`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Pred {
    Ints { field: Slot, lo: i64, hi: i64 },
    Floats { field: Slot, lo: f64, hi: f64 },
    Bools { field: Slot, on_true: bool, on_false: bool },
    IntIn { field: Slot, values: Vec<i64> },
    FloatIn { field: Slot, values: Vec<f64> },
    Text { field: Slot, op: Compare, value: String },
    TextIn { field: Slot, values: Vec<String> },
    TextLike { field: Slot, pattern: String },
    TextPair { left: Slot, op: Compare, right: Slot },
    Number { left: Vec<NumberOp>, op: Compare, right: Vec<NumberOp>, kind: NumberKind },
    JsonExists { path: Path },
    JsonCompare { path: Path, op: Compare, value: Scalar },
    JsonIn { path: Path, values: Vec<Scalar> },
    JsonLike { path: Path, pattern: String },
    JsonContains { path: Path, all: bool, values: Vec<Scalar> },
}

/// A place in a JSON field. A step in digits is an index in an array and a key in an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Path {
    pub(crate) field: Slot,
    pub(crate) steps: Vec<String>,
}

/// A constant that a JSON value is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A list, as JSON text.
    List(String),
}

/// How a numeric expression is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NumberKind {
    /// In i64, wrapping.
    Int,
    /// In f32: all columns are Float.
    Single,
    /// In f64.
    Double,
    /// Row by row, as each JSON value is an integer or not.
    Json,
}

/// One step of a numeric expression in postfix order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum NumberOp {
    Column(Slot),
    Json(Path),
    Int(i64),
    Float(f64),
    Apply(Arithmetic),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// The primary keys that a plan lists, in no order, repeated where the text repeats them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PkList {
    /// Keys of an Int64 primary key.
    Int(Vec<i64>),
    /// Keys of a VarChar primary key.
    Text(Vec<String>),
}

impl Plan {
    pub(crate) fn new(body: Body) -> Plan {
        let prepared = body.nodes.iter().map(|_| OnceLock::new()).collect();
        Plan { body, prepared }
    }

    /// The plan as bytes: a version byte, then its body. [`Plan::decode`] is the inverse.
    pub fn encode(&self) -> Vec<u8> {
        // Writing plain data into a growing buffer has no way to fail.
        postcard::to_extend(&self.body, vec![VERSION]).expect("a plan is plain data")
    }

    /// The plan of some bytes.
    ///
    /// # Errors
    /// Bytes of another version, or that are no plan: truncated, with fields, children or
    /// programs that do not fit together, or too deep. Never panics.
    pub fn decode(bytes: &[u8]) -> Result<Plan, Fault> {
        let (&version, rest) = bytes.split_first().ok_or_else(|| broken("it is empty"))?;
        if version != VERSION {
            return Err(broken(&format!("version {version} is not {VERSION}")));
        }
        let (body, rest) =
            postcard::take_from_bytes::<Body>(rest).map_err(|e| broken(&e.to_string()))?;
        if !rest.is_empty() {
            return Err(broken("bytes follow it"));
        }
        body.check().map_err(broken)?;
        Ok(Plan::new(body))
    }

    /// The fields whose columns an evaluation reads, each once.
    pub fn fields(&self) -> Vec<FieldId> {
        self.body.fields.clone()
    }

    /// Whether the plan keeps every row: the plan of a blank text.
    pub fn is_always_true(&self) -> bool {
        matches!(self.body.nodes[..], [Node::True])
    }

    /// The listed keys when the plan is exactly `pk in [..]` or `pk == x`.
    pub fn pk_list(&self) -> Option<PkList> {
        let (true, [Node::Leaf { not: false, pred }]) = (self.body.by_pk, &self.body.nodes[..])
        else {
            return None;
        };
        match pred {
            Pred::Ints { lo, hi, .. } if lo == hi => Some(PkList::Int(vec![*lo])),
            Pred::IntIn { values, .. } => Some(PkList::Int(values.clone())),
            Pred::Text { op: Compare::Equal, value, .. } => Some(PkList::Text(vec![value.clone()])),
            Pred::TextIn { values, .. } => Some(PkList::Text(values.clone())),
            _ => None,
        }
    }
}

impl Clone for Plan {
    fn clone(&self) -> Plan {
        Plan::new(self.body.clone())
    }
}

impl PartialEq for Plan {
    fn eq(&self, other: &Plan) -> bool {
        self.body == other.body
    }
}

fn broken(reason: &str) -> Fault {
    Fault::new(Code::Internal, format!("filter plan cannot be decoded: {reason}"))
}

impl Body {
    /// That an evaluation can rely on: one tree of bounded depth, over known fields.
    fn check(&self) -> Result<(), &'static str> {
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
    fn check(&self, fields: usize) -> Result<(), &'static str> {
        let known = |slot: Slot| {
            if (slot as usize) < fields { Ok(()) } else { Err("a field is not listed") }
        };
        match self {
            Pred::Ints { field, .. }
            | Pred::Floats { field, .. }
            | Pred::Bools { field, .. }
            | Pred::IntIn { field, .. }
            | Pred::FloatIn { field, .. }
            | Pred::Text { field, .. }
            | Pred::TextIn { field, .. }
            | Pred::TextLike { field, .. } => known(*field),
            Pred::TextPair { left, right, .. } => known(*left).and(known(*right)),
            Pred::JsonExists { path }
            | Pred::JsonCompare { path, .. }
            | Pred::JsonIn { path, .. }
            | Pred::JsonLike { path, .. }
            | Pred::JsonContains { path, .. } => known(path.field),
            Pred::Number { left, right, kind, .. } => {
                check_program(left, *kind, known)?;
                check_program(right, *kind, known)
            }
        }
    }
}

/// Most values that a numeric expression holds at once; operands wait only at an open parenthesis
/// or a tighter operator.
pub(crate) const STACK_MAX: usize = 4 * crate::limits::NESTING_MAX;

fn check_program(
    program: &[NumberOp],
    kind: NumberKind,
    known: impl Fn(Slot) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let mut held = 0usize;
    for op in program {
        match op {
            NumberOp::Column(slot) => known(*slot)?,
            NumberOp::Json(path) if kind == NumberKind::Json => known(path.field)?,
            NumberOp::Json(_) => return Err("a JSON value in typed arithmetic"),
            NumberOp::Float(_) if kind == NumberKind::Int => return Err("a float among integers"),
            NumberOp::Int(_) | NumberOp::Float(_) => {}
            NumberOp::Apply(_) if held < 2 => return Err("an operator lacks operands"),
            NumberOp::Apply(_) => held -= 2,
        }
        held += 1;
        if held > STACK_MAX {
            return Err("arithmetic is too deep");
        }
    }
    if held == 1 { Ok(()) } else { Err("arithmetic has no single value") }
}
