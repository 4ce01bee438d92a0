//! Types: what names mean in a schema, and which predicates their comparisons are.

use std::cmp::Ordering;

use millstream_catalog::model::{CollectionSchema, DataType, FieldId};

use crate::arith::numeric;
use crate::lexer::compact;
use crate::operand::{Column, Literal, Meaning, Operand, Relation, Tree};
use crate::plan::{Compare, NumberKind, NumberOp, Path, Pred, Scalar, Slot};

/// The schema of a filter and the fields that it has named so far.
pub(crate) struct Checker<'a> {
    pub(crate) text: &'a str,
    schema: &'a CollectionSchema,
    fields: Vec<FieldId>,
}

impl Relation {
    fn accepts(self, ordering: Ordering) -> bool {
        let (op, not) = self.parts();
        op.accepts(ordering) != not
    }

    /// The comparison, and whether it is negated.
    fn parts(self) -> (Compare, bool) {
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

/// The text of a comparison of types that do not compare.
fn clash(left: &str, right: &str) -> String {
    format!(
        "comparisons between {left}, element_type: None and {right} elementType: None \
         are not supported"
    )
}

pub(crate) const JSON_DIRECTLY: &str = "can not comparisons jsonField directly";

/// The refusal of what the types of this engine do not cover.
pub(crate) fn unsupported(what: &str, name: &str) -> String {
    format!("{what} {name} is not supported in filters")
}

impl<'a> Checker<'a> {
    pub(crate) fn new(text: &'a str, schema: &'a CollectionSchema) -> Checker<'a> {
        Checker { text, schema, fields: Vec::new() }
    }

    /// The fields in the order of their slots, and the slot of the primary key if it is named.
    pub(crate) fn finish(self) -> (Vec<FieldId>, Option<Slot>) {
        let pk = self.schema.primary().map(|field| field.id);
        let slot = self.fields.iter().position(|&id| Some(id) == pk);
        (self.fields, slot.and_then(|slot| Slot::try_from(slot).ok()))
    }

    fn slot(&mut self, id: FieldId) -> Slot {
        let known = self.fields.iter().position(|&known| known == id);
        let slot = known.unwrap_or_else(|| {
            self.fields.push(id);
            self.fields.len() - 1
        });
        // A schema has at most 64 fields.
        slot as Slot
    }

    /// A name with the steps in brackets behind it.
    pub(crate) fn column(&mut self, name: &str, steps: Vec<String>) -> Result<Column, String> {
        let Some(field) = self.schema.field(name) else {
            let missing = || format!("field {name} not exist");
            let field = self.schema.dynamic_field().filter(|field| field.name != name);
            let id = field.ok_or_else(missing)?.id;
            let steps = std::iter::once(name.to_owned()).chain(steps).collect();
            let slot = self.slot(id);
            return Ok(Column { slot, data_type: DataType::Json, steps });
        };
        let data_type = field.data_type;
        if data_type == DataType::Array {
            return Err(unsupported("Array field", name));
        }
        if !steps.is_empty() && data_type != DataType::Json {
            let type_name = data_type.name();
            return Err(format!("{type_name} data type not supported accessed with []"));
        }
        let slot = self.slot(field.id);
        Ok(Column { slot, data_type, steps })
    }

    /// `left <relation> right`.
    pub(crate) fn compare(
        &self,
        relation: Relation,
        left: Operand,
        right: Operand,
    ) -> Result<Meaning, String> {
        match (left.meaning, right.meaning) {
            (Meaning::Literal(a), Meaning::Literal(b)) => literals(relation, &a, &b),
            (Meaning::Column(column), Meaning::Literal(value)) => {
                let names = (column.data_type.name(), value.type_name());
                constant(column, relation, value, names).map(Meaning::Predicate)
            }
            (Meaning::Literal(value), Meaning::Column(column)) => {
                let names = (value.type_name(), column.data_type.name());
                constant(column, relation.flipped(), value, names).map(Meaning::Predicate)
            }
            (Meaning::Column(a), Meaning::Column(b)) => {
                self.columns(relation, a, b).map(Meaning::Predicate)
            }
            (a, b) => {
                let names = (type_name(&a), type_name(&b));
                let (Some(a), Some(b)) = (numeric(a), numeric(b)) else {
                    return Err(clash(names.0, names.1));
                };
                Ok(Meaning::Predicate(self.numbers(relation, a, b)))
            }
        }
    }

    fn columns(&self, relation: Relation, a: Column, b: Column) -> Result<Tree, String> {
        let (left, right) = (a.data_type, b.data_type);
        let (op, not) = relation.parts();
        if (left, right) == (DataType::VarChar, DataType::VarChar) {
            let pred = Pred::TextPair { left: a.slot, op, right: b.slot };
            return Ok(Tree::Leaf { not, pred });
        }
        if (left, right) == (DataType::Bool, DataType::Bool) {
            let program = |column: Column| vec![NumberOp::Column(column.slot)];
            return Ok(self.numbers(relation, program(a), program(b)));
        }
        let refused = clash(left.name(), right.name());
        if left == DataType::Json || right == DataType::Json {
            return Err(refused);
        }
        let programs = (numeric(Meaning::Column(a)), numeric(Meaning::Column(b)));
        let (Some(a), Some(b)) = programs else { return Err(refused) };
        Ok(self.numbers(relation, a, b))
    }

    fn numbers(&self, relation: Relation, mut left: Vec<NumberOp>, right: Vec<NumberOp>) -> Tree {
        let (op, not) = relation.parts();
        let mut right = right;
        let kind = self.kind(left.iter().chain(&right));
        if matches!(kind, NumberKind::Single | NumberKind::Double) {
            for op in left.iter_mut().chain(&mut right) {
                as_float(op, kind == NumberKind::Single);
            }
        }
        Tree::Leaf { not, pred: Pred::Number { left, op, right, kind } }
    }

    fn kind<'p>(&self, program: impl Iterator<Item = &'p NumberOp>) -> NumberKind {
        let (mut single, mut double, mut whole) = (false, false, false);
        let mut constant = false;
        for op in program {
            match op {
                NumberOp::Json(_) => return NumberKind::Json,
                NumberOp::Column(slot) => match self.data_type(*slot) {
                    Some(DataType::Float) => single = true,
                    Some(DataType::Double) => double = true,
                    _ => whole = true,
                },
                NumberOp::Float(_) => constant = true,
                NumberOp::Int(_) | NumberOp::Apply(_) => {}
            }
        }
        match (single, double || (whole && (single || constant))) {
            (_, true) => NumberKind::Double,
            (true, false) => NumberKind::Single,
            (false, false) if constant => NumberKind::Double,
            (false, false) => NumberKind::Int,
        }
    }

    fn data_type(&self, slot: Slot) -> Option<DataType> {
        let id = *self.fields.get(slot as usize)?;
        self.schema.field_by_id(id).map(|field| field.data_type)
    }

    /// `column like "pattern"`.
    pub(crate) fn like(&self, left: Operand, pattern: String) -> Result<Tree, String> {
        crate::like::check(&pattern)?;
        match left.meaning {
            Meaning::Column(Column { slot, data_type: DataType::VarChar, .. }) => {
                Ok(Tree::leaf(Pred::TextLike { field: slot, pattern }))
            }
            Meaning::Column(Column { slot, data_type: DataType::Json, steps }) => {
                let path = Path { field: slot, steps };
                Ok(Tree::leaf(Pred::JsonLike { path, pattern }))
            }
            _ => Err("like operation on non-string or no-json field is unsupported".into()),
        }
    }

    /// `exists place`.
    pub(crate) fn exists(&self, operand: Operand) -> Result<Tree, String> {
        match operand.meaning {
            Meaning::Column(Column { slot, data_type: DataType::Json, steps }) => {
                Ok(Tree::leaf(Pred::JsonExists { path: Path { field: slot, steps } }))
            }
            other => {
                let got = type_name(&other);
                Err(format!("exists oerations are only supportted on json field, got:{got}"))
            }
        }
    }

    /// `column is null`: no field is nullable, so only a place in a JSON field can be.
    pub(crate) fn is_null(&self, operand: Operand) -> Result<Tree, String> {
        let (start, end) = (operand.start, operand.end);
        let Meaning::Column(column) = operand.meaning else {
            let piece = compact(self.text, start, end);
            return Err(format!("'is null' can only be used on a field, but got: {piece}"));
        };
        if column.data_type == DataType::Json && !column.steps.is_empty() {
            let path = Path { field: column.slot, steps: column.steps };
            return Ok(Tree::leaf(Pred::JsonExists { path }).negated());
        }
        Ok(Tree::Any { not: false, children: Vec::new() })
    }
}

pub(crate) fn type_name(meaning: &Meaning) -> &'static str {
    match meaning {
        Meaning::Literal(literal) => literal.type_name(),
        Meaning::Column(column) => column.data_type.name(),
        Meaning::Number(_) => DataType::Int64.name(),
        Meaning::Predicate(_) => DataType::Bool.name(),
    }
}

fn as_float(op: &mut NumberOp, single: bool) {
    match op {
        NumberOp::Int(v) => {
            *op = NumberOp::Float(if single { f64::from(*v as f32) } else { *v as f64 })
        }
        NumberOp::Float(v) if single => *v = f64::from(*v as f32),
        _ => {}
    }
}

/// A comparison of constants is a constant.
fn literals(relation: Relation, a: &Literal, b: &Literal) -> Result<Meaning, String> {
    let ordering = match (a, b) {
        (Literal::Int(a), Literal::Int(b)) => a.cmp(b),
        (Literal::Text(a), Literal::Text(b)) => a.cmp(b),
        (Literal::Bool(a), Literal::Bool(b)) => a.cmp(b),
        (Literal::Float(a), Literal::Float(b)) => a.total_cmp(b),
        (Literal::Int(a), Literal::Float(b)) => (*a as f64).total_cmp(b),
        (Literal::Float(a), Literal::Int(b)) => a.total_cmp(&(*b as f64)),
        _ => return Err(clash(a.type_name(), b.type_name())),
    };
    Ok(Meaning::Literal(Literal::Bool(relation.accepts(ordering))))
}

/// `column <relation> value`; `names` are the types as the text has them, left and right.
fn constant(
    column: Column,
    relation: Relation,
    value: Literal,
    names: (&str, &str),
) -> Result<Tree, String> {
    let (op, not) = relation.parts();
    let field = column.slot;
    let pred = match (column.data_type, value) {
        (DataType::Bool, Literal::Bool(v)) => Pred::Bools {
            field,
            on_true: op.accepts(true.cmp(&v)),
            on_false: op.accepts(false.cmp(&v)),
        },
        (data_type, Literal::Int(v)) if data_type.is_integer() => int_range(field, op, v),
        (data_type, Literal::Float(v)) if data_type.is_integer() => {
            return Err(cast(data_type, v));
        }
        (DataType::Float, Literal::Int(v)) => single_range(field, op, v as f32),
        (DataType::Float, Literal::Float(v)) => single_range(field, op, v as f32),
        (DataType::Double, Literal::Int(v)) => double_range(field, op, v as f64),
        (DataType::Double, Literal::Float(v)) => double_range(field, op, v),
        (DataType::VarChar, Literal::Text(value)) => Pred::Text { field, op, value },
        (DataType::Json, _) if column.steps.is_empty() => return Err(JSON_DIRECTLY.into()),
        (DataType::Json, value) => {
            let is_list = matches!(value, Literal::List(_));
            if is_list && op != Compare::Equal {
                return Err(clash(names.0, names.1));
            }
            let path = Path { field, steps: column.steps };
            Pred::JsonCompare { path, op, value: scalar(value) }
        }
        _ => return Err(clash(names.0, names.1)),
    };
    Ok(Tree::Leaf { not, pred })
}

fn cast(data_type: DataType, value: f64) -> String {
    format!("cannot cast value to {}, value: float_val:{value}", data_type.name())
}

fn int_range(field: Slot, op: Compare, v: i64) -> Pred {
    let (lo, hi) = match op {
        Compare::Equal => (v, v),
        Compare::LessEqual => (i64::MIN, v),
        Compare::GreaterEqual => (v, i64::MAX),
        Compare::Less => v.checked_sub(1).map_or((1, 0), |hi| (i64::MIN, hi)),
        Compare::Greater => v.checked_add(1).map_or((1, 0), |lo| (lo, i64::MAX)),
    };
    Pred::Ints { field, lo, hi }
}

/// Constants of a Float field are taken in its precision.
fn single_range(field: Slot, op: Compare, v: f32) -> Pred {
    let all = (f32::NEG_INFINITY, f32::INFINITY);
    let (lo, hi) = match op {
        Compare::Equal => (v, v),
        Compare::LessEqual => (all.0, v),
        Compare::GreaterEqual => (v, all.1),
        Compare::Less if v == all.0 => (all.1, all.0),
        Compare::Greater if v == all.1 => (all.1, all.0),
        Compare::Less => (all.0, v.next_down()),
        Compare::Greater => (v.next_up(), all.1),
    };
    Pred::Floats { field, lo: f64::from(lo), hi: f64::from(hi) }
}

fn double_range(field: Slot, op: Compare, v: f64) -> Pred {
    let all = (f64::NEG_INFINITY, f64::INFINITY);
    let (lo, hi) = match op {
        Compare::Equal => (v, v),
        Compare::LessEqual => (all.0, v),
        Compare::GreaterEqual => (v, all.1),
        Compare::Less if v == all.0 => (all.1, all.0),
        Compare::Greater if v == all.1 => (all.1, all.0),
        Compare::Less => (all.0, v.next_down()),
        Compare::Greater => (v.next_up(), all.1),
    };
    Pred::Floats { field, lo, hi }
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
