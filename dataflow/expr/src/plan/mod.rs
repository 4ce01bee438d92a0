//! Plans: a checked filter over field ids, as the gateway sends it and a worker evaluates it.
//!
//! A plan is a flat list of nodes, children before parents, the root last; so encoding, decoding,
//! checking and dropping one are loops. `not` is pushed down to the leaves, where it is a flag:
//! with three-valued logic a row without a value is then simply cleared, negated or not.

mod check;
mod values;

use std::sync::OnceLock;

use millstream_catalog::model::{Code, Fault, FieldId};
use serde::{Deserialize, Serialize};

use crate::eval::Prepared;

/// First byte of an encoded plan. A change of any type below that is encoded takes a new number.
const VERSION: u8 = 2;

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
    /// Which of the matching rows are kept.
    pub(crate) sample: Option<Sample>,
}

/// A random choice among the matching rows: row `n` is kept when a hash of `seed` and `n` is
/// smaller than `below`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) seed: u64,
    pub(crate) below: u64,
}

/// A field, or an element of an Array field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) slot: Slot,
    pub(crate) index: Option<u32>,
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
    Ints {
        place: Place,
        lo: i64,
        hi: i64,
    },
    Floats {
        place: Place,
        lo: f64,
        hi: f64,
    },
    Bools {
        place: Place,
        on_true: bool,
        on_false: bool,
    },
    IntIn {
        place: Place,
        values: Vec<i64>,
    },
    FloatIn {
        place: Place,
        values: Vec<f64>,
    },
    Text {
        place: Place,
        op: Compare,
        value: String,
    },
    TextIn {
        place: Place,
        values: Vec<String>,
    },
    TextLike {
        place: Place,
        pattern: String,
    },
    TextRegex {
        place: Place,
        pattern: String,
    },
    TextPair {
        left: Place,
        op: Compare,
        right: Place,
    },
    /// Answered by the index of the field's words.
    TextMatch {
        field: Slot,
        text: String,
        kind: MatchKind,
    },
    Number {
        left: Vec<NumberOp>,
        op: Compare,
        right: Vec<NumberOp>,
        kind: NumberKind,
    },
    /// Rows without a value of the field, or without a value at the path.
    Null {
        path: Path,
    },
    /// Rows without a value of the Array field, or without an element at the index.
    NullElement {
        place: Place,
    },
    ArrayEqual {
        field: Slot,
        values: Vec<Scalar>,
    },
    ArrayContains {
        field: Slot,
        all: bool,
        values: Vec<Scalar>,
    },
    JsonExists {
        path: Path,
    },
    JsonCompare {
        path: Path,
        op: Compare,
        value: Scalar,
    },
    JsonIn {
        path: Path,
        values: Vec<Scalar>,
    },
    JsonLike {
        path: Path,
        pattern: String,
    },
    JsonRegex {
        path: Path,
        pattern: String,
    },
    JsonContains {
        path: Path,
        all: bool,
        values: Vec<Scalar>,
    },
}

/// How the words of a text must be in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatchKind {
    /// `text_match`: at least so many of the words, in any order; one when the text says nothing.
    Words {
        /// The least number of words, from 1 on.
        minimum: u32,
    },
    /// `phrase_match`: all words in order.
    Phrase {
        /// How many positions the words may be apart from that order.
        slop: u32,
    },
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
    Column(Place),
    /// Number of elements of an Array field.
    Length(Slot),
    Json(Path),
    /// Number of elements of a list in a JSON field.
    JsonLength(Path),
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
    /// Always in f64.
    Power,
    /// From here on only of integers.
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
}

/// The keys that a plan lists, in no order, repeated where the text repeats them: primary keys, or
/// values of a partition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PkList {
    /// Keys of an Int64 field.
    Int(Vec<i64>),
    /// Keys of a VarChar field.
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
        matches!(self.body.nodes[..], [Node::True]) && self.body.sample.is_none()
    }

    /// Whether the plan keeps a random choice of the rows that match, as `random_sample` asks.
    pub fn is_random(&self) -> bool {
        self.body.sample.is_some()
    }

    /// Whether an evaluation calls [`crate::Columns::text_match`].
    pub fn has_text_match(&self) -> bool {
        let is_match =
            |node: &Node| matches!(node, Node::Leaf { pred: Pred::TextMatch { .. }, .. });
        self.body.nodes.iter().any(is_match)
    }

    /// The listed keys when the plan is exactly `pk in [..]` or `pk == x`.
    pub fn pk_list(&self) -> Option<PkList> {
        let (true, None, [Node::Leaf { not: false, pred }]) =
            (self.body.by_pk, self.body.sample, &self.body.nodes[..])
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
