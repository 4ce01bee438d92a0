//! What a piece of a filter means once it is checked, and the tree that predicates grow into.

use millstream_catalog::model::DataType;

use crate::plan::{Body, NumberOp, Pred, Slot};

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

/// A field, or a place in a JSON field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) slot: Slot,
    pub(crate) data_type: DataType,
    /// Only for JSON.
    pub(crate) steps: Vec<String>,
}

/// What a piece of text means.
#[derive(Clone, Debug)]
pub(crate) enum Meaning {
    Literal(Literal),
    Column(Column),
    /// Arithmetic over at least one field.
    Number(Vec<NumberOp>),
    Predicate(Tree),
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

    /// Rows in both trees.
    #[must_use]
    pub(crate) fn and(self, other: Tree) -> Tree {
        let flat = |tree| match tree {
            Tree::All { not: false, children } => children,
            other => vec![other],
        };
        Tree::All { not: false, children: joined(flat(self), flat(other)) }
    }

    /// Rows in at least one of the trees.
    #[must_use]
    pub(crate) fn or(self, other: Tree) -> Tree {
        let flat = |tree| match tree {
            Tree::Any { not: false, children } => children,
            other => vec![other],
        };
        Tree::Any { not: false, children: joined(flat(self), flat(other)) }
    }

    /// The plan of this tree over fields named by slot.
    pub(crate) fn into_body(
        self,
        fields: Vec<millstream_catalog::model::FieldId>,
        pk: Option<Slot>,
    ) -> Body {
        let by_pk = pk.is_some_and(|pk| self.lists(pk));
        let mut nodes = Vec::new();
        crate::lower::lower(self, false, &mut nodes);
        Body { fields, nodes, by_pk }
    }

    /// Whether this is one list of values of a field.
    fn lists(&self, slot: Slot) -> bool {
        let Tree::Leaf { not: false, pred } = self else { return false };
        match pred {
            Pred::Ints { field, lo, hi } => *field == slot && lo == hi,
            Pred::Text { field, op, .. } => *field == slot && *op == crate::plan::Compare::Equal,
            Pred::IntIn { field, .. } | Pred::TextIn { field, .. } => *field == slot,
            _ => false,
        }
    }
}

fn joined(mut left: Vec<Tree>, mut right: Vec<Tree>) -> Vec<Tree> {
    left.append(&mut right);
    left
}
