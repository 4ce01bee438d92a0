//! Comparisons with constants: which predicate each is.

use std::cmp::Ordering;

use millstream_catalog::model::DataType;

use crate::check::{ARRAY_DIRECTLY, JSON_DIRECTLY, Named, clash, literal_name};
use crate::operand::{Column, Literal, Meaning, Relation, Tree};
use crate::plan::{Compare, Place, Pred, Scalar};

impl Relation {
    fn accepts(self, ordering: Ordering) -> bool {
        let (op, not) = self.parts();
        op.accepts(ordering) != not
    }

    /// The comparison, and whether it is negated.
    pub(crate) fn parts(self) -> (Compare, bool) {
        match self {
            Relation::Equal => (Compare::Equal, false),
            Relation::NotEqual => (Compare::Equal, true),
            Relation::Less => (Compare::Less, false),
            Relation::LessEqual => (Compare::LessEqual, false),
            Relation::Greater => (Compare::Greater, false),
            Relation::GreaterEqual => (Compare::GreaterEqual, false),
        }
    }
}

/// A comparison of constants is a constant.
pub(crate) fn literals(relation: Relation, a: &Literal, b: &Literal) -> Result<Meaning, String> {
    let ordering = match (a, b) {
        (Literal::Int(a), Literal::Int(b)) => a.cmp(b),
        (Literal::Text(a), Literal::Text(b)) => a.cmp(b),
        (Literal::Bool(a), Literal::Bool(b)) => a.cmp(b),
        (Literal::Float(a), Literal::Float(b)) => a.total_cmp(b),
        (Literal::Int(a), Literal::Float(b)) => (*a as f64).total_cmp(b),
        (Literal::Float(a), Literal::Int(b)) => a.total_cmp(&(*b as f64)),
        _ => return Err(clash(literal_name(a), literal_name(b))),
    };
    Ok(Meaning::Literal(Literal::Bool(relation.accepts(ordering))))
}

/// `column <relation> value`; `names` are the types as the text has them, left and right.
pub(crate) fn constant(
    column: Column,
    relation: Relation,
    value: Literal,
    names: (Named, Named),
) -> Result<Tree, String> {
    let (op, not) = relation.parts();
    let place = column.place;
    let pred = match (column.data_type, value) {
        (DataType::Bool, Literal::Bool(v)) => Pred::Bools {
            place,
            on_true: op.accepts(true.cmp(&v)),
            on_false: op.accepts(false.cmp(&v)),
        },
        (data_type, Literal::Int(v)) if data_type.is_integer() => int_range(place, op, v),
        (data_type, Literal::Float(v)) if data_type.is_integer() => {
            return Err(cast(data_type, v));
        }
        (DataType::Float, Literal::Int(v)) => single_range(place, op, v as f32),
        (DataType::Float, Literal::Float(v)) => single_range(place, op, v as f32),
        (DataType::Double, Literal::Int(v)) => double_range(place, op, v as f64),
        (DataType::Double, Literal::Float(v)) => double_range(place, op, v),
        (DataType::VarChar, Literal::Text(value)) => Pred::Text { place, op, value },
        (DataType::Json, _) if column.steps.is_empty() => return Err(JSON_DIRECTLY.into()),
        (DataType::Json, value) => {
            let is_list = matches!(value, Literal::List(_));
            if is_list && op != Compare::Equal {
                return Err(clash(names.0, names.1));
            }
            let (path, value) = (column.path(), scalar(value));
            if is_list {
                // A set keeps the list parsed.
                Pred::JsonIn { path, values: vec![value] }
            } else {
                Pred::JsonCompare { path, op, value }
            }
        }
        (DataType::Array, Literal::List(items)) if op == Compare::Equal => {
            let fits = items.iter().all(|item| is_element(column.element, item));
            if !fits {
                return Err(clash(names.0, names.1));
            }
            let values = items.into_iter().map(|item| element(column.element, item)).collect();
            Pred::ArrayEqual { field: place.slot, values }
        }
        (DataType::Array, _) => return Err(ARRAY_DIRECTLY.into()),
        _ => return Err(clash(names.0, names.1)),
    };
    Ok(Tree::Leaf { not, pred })
}

fn cast(data_type: DataType, value: f64) -> String {
    format!("cannot cast value to {}, value: float_val:{value}", data_type.name())
}

fn int_range(place: Place, op: Compare, v: i64) -> Pred {
    let (lo, hi) = match op {
        Compare::Equal => (v, v),
        Compare::LessEqual => (i64::MIN, v),
        Compare::GreaterEqual => (v, i64::MAX),
        Compare::Less => v.checked_sub(1).map_or((1, 0), |hi| (i64::MIN, hi)),
        Compare::Greater => v.checked_add(1).map_or((1, 0), |lo| (lo, i64::MAX)),
    };
    Pred::Ints { place, lo, hi }
}

/// Constants of a Float field are taken in its precision.
fn single_range(place: Place, op: Compare, v: f32) -> Pred {
    let next = (f64::from(v.next_down()), f64::from(v.next_up()));
    float_range(place, op, f64::from(v), next)
}

fn double_range(place: Place, op: Compare, v: f64) -> Pred {
    float_range(place, op, v, (v.next_down(), v.next_up()))
}

/// The floats that compare with `v`, whose neighbours in the precision of the field are given.
fn float_range(place: Place, op: Compare, v: f64, (below, above): (f64, f64)) -> Pred {
    let all = (f64::NEG_INFINITY, f64::INFINITY);
    let (lo, hi) = match op {
        Compare::Equal => (v, v),
        Compare::LessEqual => (all.0, v),
        Compare::GreaterEqual => (v, all.1),
        Compare::Less if v == all.0 => (all.1, all.0),
        Compare::Greater if v == all.1 => (all.1, all.0),
        Compare::Less => (all.0, below),
        Compare::Greater => (above, all.1),
    };
    Pred::Floats { place, lo, hi }
}

/// Whether a constant can equal an element of a type.
pub(crate) fn is_element(element: Option<DataType>, literal: &Literal) -> bool {
    match (element, literal) {
        (Some(DataType::Bool), Literal::Bool(_)) | (Some(DataType::VarChar), Literal::Text(_)) => {
            true
        }
        (Some(DataType::Float | DataType::Double), Literal::Int(_) | Literal::Float(_)) => true,
        (Some(other), Literal::Int(_)) => other.is_integer(),
        _ => false,
    }
}

/// A constant that elements of a type are compared with.
pub(crate) fn element(element: Option<DataType>, literal: Literal) -> Scalar {
    match (element, literal) {
        (Some(DataType::Float), Literal::Int(v)) => Scalar::Float(f64::from(v as f32)),
        (Some(DataType::Float), Literal::Float(v)) => Scalar::Float(f64::from(v as f32)),
        (Some(DataType::Double), Literal::Int(v)) => Scalar::Float(v as f64),
        (_, literal) => scalar(literal),
    }
}

/// A constant that JSON values are compared with.
pub(crate) fn scalar(literal: Literal) -> Scalar {
    match literal {
        Literal::Bool(v) => Scalar::Bool(v),
        Literal::Int(v) => Scalar::Int(v),
        Literal::Float(v) => Scalar::Float(v),
        Literal::Text(v) => Scalar::Text(v),
        list @ Literal::List(_) => Scalar::List(json(list).to_string()),
    }
}

fn json(literal: Literal) -> serde_json::Value {
    match literal {
        Literal::Bool(v) => v.into(),
        Literal::Int(v) => v.into(),
        Literal::Float(v) => v.into(),
        Literal::Text(v) => v.into(),
        Literal::List(items) => items.into_iter().map(json).collect(),
    }
}
