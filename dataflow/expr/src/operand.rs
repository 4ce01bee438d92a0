//! What a piece of a filter means once it is checked, and the tree that predicates grow into.

use millstream_catalog::model::DataType;

use crate::plan::{Body, NumberOp, Path, Place, Pred, Sample, Slot};

/// A constant of the text or of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Literal>),
}

impl Literal {
    /// Milvus's name of the type of such a constant.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Literal::Bool(_) => DataType::Bool.name(),
            Literal::Int(_) => DataType::Int64.name(),
            Literal::Float(_) => DataType::Double.name(),
            Literal::Text(_) => DataType::VarChar.name(),
            Literal::List(_) => DataType::Array.name(),
        }
    }
}

/// A field, an element of an Array field, or a place in a JSON field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) place: Place,
    /// The type of the values; of the element when the place has an index.
    pub(crate) data_type: DataType,
    /// The type of the elements of a whole Array field.
    pub(crate) element: Option<DataType>,
    /// Only for JSON.
    pub(crate) steps: Vec<String>,
}

impl Column {
    /// The place in the JSON field.
    pub(crate) fn path(self) -> Path {
        Path { field: self.place.slot, steps: self.steps }
    }

    /// Whether this is a place in a JSON field, and not the whole of it.
    pub(crate) fn is_json_place(&self) -> bool {
        self.data_type == DataType::Json && !self.steps.is_empty()
    }
}

/// One bracket behind a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Key(String),
    Index(u64),
}

/// What a piece of text means.
#[derive(Clone, Debug)]
pub(crate) enum Meaning {
    Literal(Literal),
    Column(Column),
    /// Arithmetic over at least one field.
    Number(Program),
    Predicate(Tree),
    /// `random_sample(p)`, alone or behind a predicate.
    Sample(Tree, f64),
}

/// A numeric expression in postfix order.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) ops: Vec<NumberOp>,
    /// Whether its values may have a fraction, so that it is no operand of a bit operation.
    pub(crate) fractional: bool,
}

/// A meaning and the bytes of the text that have it.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) meaning: Meaning,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Set on `a < x` until something but a further comparison follows: `x` of a range.
    pub(crate) range: Option<Box<(Relation, Operand)>>,
}

/// A comparison as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Relation {
    /// The relation that holds with the sides exchanged.
    pub(crate) fn flipped(self) -> Relation {
        match self {
            Relation::Less => Relation::Greater,
            Relation::LessEqual => Relation::GreaterEqual,
            Relation::Greater => Relation::Less,
            Relation::GreaterEqual => Relation::LessEqual,
            same => same,
        }
    }

    /// Whether two relations may stand around the middle of a range.
    pub(crate) fn continues(self, first: Relation) -> bool {
        let less = |r| matches!(r, Relation::Less | Relation::LessEqual);
        let greater = |r| matches!(r, Relation::Greater | Relation::GreaterEqual);
        (less(self) && less(first)) || (greater(self) && greater(first))
    }
}

/// A predicate under construction. Chains of one connective are one node with many children, so
/// that its depth is bounded by the nesting of the text.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Leaf { not: bool, pred: Pred },
    All { not: bool, children: Vec<Tree> },
    Any { not: bool, children: Vec<Tree> },
}

impl Tree {
    pub(crate) fn leaf(pred: Pred) -> Tree {
        Tree::Leaf { not: false, pred }
    }

    /// The rows that are not in this tree (and have a value).
    #[must_use]
    pub(crate) fn negated(mut self) -> Tree {
        let (Tree::Leaf { not, .. } | Tree::All { not, .. } | Tree::Any { not, .. }) = &mut self;
        *not = !*not;
        self
    }

    /// Every row.
    pub(crate) fn everything() -> Tree {
        Tree::All { not: false, children: Vec::new() }
    }

    /// Rows in both trees; and whether the right one became part of a list in the left one.
    pub(crate) fn and(self, other: Tree) -> (Tree, bool) {
        let flat = |tree| match tree {
            Tree::All { not: false, children } => children,
            other => vec![other],
        };
        let (children, merged) = joined(flat(self), flat(other), true);
        (Tree::All { not: false, children }, merged)
    }

    /// Rows in at least one of the trees; and whether the right one became part of a list.
    pub(crate) fn or(self, other: Tree) -> (Tree, bool) {
        let flat = |tree| match tree {
            Tree::Any { not: false, children } => children,
            other => vec![other],
        };
        let (children, merged) = joined(flat(self), flat(other), false);
        (Tree::Any { not: false, children }, merged)
    }

    /// The plan of this tree over fields named by slot.
    pub(crate) fn into_body(
        self,
        fields: Vec<millstream_catalog::model::FieldId>,
        pk: Option<Slot>,
        sample: Option<Sample>,
    ) -> Body {
        let by_pk = pk.is_some_and(|pk| self.lists(pk));
        let mut nodes = Vec::new();
        crate::lower::lower(self, false, &mut nodes);
        Body { fields, nodes, by_pk, sample }
    }

    /// Whether this is one list of values of a field.
    fn lists(&self, slot: Slot) -> bool {
        let Tree::Leaf { not: false, pred } = self else { return false };
        let place = match pred {
            Pred::Ints { place, lo, hi } if lo == hi => place,
            Pred::Text { place, op: crate::plan::Compare::Equal, .. } => place,
            Pred::IntIn { place, .. } | Pred::TextIn { place, .. } => place,
            _ => return false,
        };
        place.slot == slot
    }
}

/// The children of both; a long chain of equalities on one field never becomes more than one.
fn joined(mut left: Vec<Tree>, mut right: Vec<Tree>, all: bool) -> (Vec<Tree>, bool) {
    if let ([.., last], [only]) = (&mut left[..], &mut right[..])
        && crate::lower::absorb(last, only, all)
    {
        return (left, true);
    }
    left.append(&mut right);
    (left, false)
}
