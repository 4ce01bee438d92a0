//! Types: what names mean in a schema, and which predicates their comparisons are.

use millstream_catalog::model::{CollectionSchema, DataType, FieldId, FieldSchema};

use crate::arith::numeric;
use crate::compare::{constant, literals};
use crate::lexer::compact;
use crate::limits::REGEXES_MAX;
use crate::operand::{Column, Literal, Meaning, Operand, Program, Relation, Step, Tree};
use crate::plan::{Arithmetic, NumberKind, NumberOp, Place, Pred, Slot};

/// The schema of a filter and the fields that it has named so far.
pub(crate) struct Checker<'a> {
    pub(crate) text: &'a str,
    schema: &'a CollectionSchema,
    fields: Vec<FieldId>,
    regexes: usize,
}

/// A type as the text of a refused comparison names it: with that of the elements.
pub(crate) type Named = (&'static str, &'static str);

/// The text of a comparison of types that do not compare.
pub(crate) fn clash(left: Named, right: Named) -> String {
    format!(
        "comparisons between {}, element_type: {} and {} elementType: {} are not supported",
        left.0, left.1, right.0, right.1
    )
}

pub(crate) const JSON_DIRECTLY: &str = "can not comparisons jsonField directly";
pub(crate) const ARRAY_DIRECTLY: &str = "can not comparisons array fields directly";

/// The refusal of what the types of this engine do not cover.
pub(crate) fn unsupported(what: &str, name: &str) -> String {
    format!("{what} {name} is not supported in filters")
}

impl<'a> Checker<'a> {
    pub(crate) fn new(text: &'a str, schema: &'a CollectionSchema) -> Checker<'a> {
        Checker { text, schema, fields: Vec::new(), regexes: 0 }
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
    pub(crate) fn column(&mut self, name: &str, steps: Vec<Step>) -> Result<Column, String> {
        let text = |step| match step {
            Step::Key(key) => key,
            Step::Index(index) => index.to_string(),
        };
        let Some(field) = self.schema.field(name) else {
            let missing = || format!("field {name} not exist");
            let field = self.schema.dynamic_field().filter(|field| field.name != name);
            let id = field.ok_or_else(missing)?.id;
            let steps = std::iter::once(name.to_owned()).chain(steps.into_iter().map(text));
            let place = Place { slot: self.slot(id), index: None };
            let steps = steps.collect();
            return Ok(Column { place, data_type: DataType::Json, element: None, steps });
        };
        let mut place = Place { slot: 0, index: None };
        let (mut data_type, mut element) = (field.data_type, field.element_type);
        let mut keys = Vec::new();
        match data_type {
            DataType::Json => keys = steps.into_iter().map(text).collect(),
            DataType::Array => {
                place.index = array_index(name, steps)?;
                if place.index.is_some() {
                    let unknown = || format!("the elements of field {name} have no type");
                    data_type = element.take().ok_or_else(unknown)?;
                }
            }
            _ if !steps.is_empty() => {
                let type_name = data_type.name();
                return Err(format!("{type_name} data type not supported accessed with []"));
            }
            _ => {}
        }
        place.slot = self.slot(field.id);
        Ok(Column { place, data_type, element, steps: keys })
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
                let names = (column_name(&column), literal_name(&value));
                constant(column, relation, value, names).map(Meaning::Predicate)
            }
            (Meaning::Literal(value), Meaning::Column(column)) => {
                let names = (literal_name(&value), column_name(&column));
                constant(column, relation.flipped(), value, names).map(Meaning::Predicate)
            }
            (Meaning::Column(a), Meaning::Column(b)) => {
                self.columns(relation, a, b).map(Meaning::Predicate)
            }
            (a, b) => {
                let names = (named(&a), named(&b));
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
            let pred = Pred::TextPair { left: a.place, op, right: b.place };
            return Ok(Tree::Leaf { not, pred });
        }
        if (left, right) == (DataType::Bool, DataType::Bool) {
            let program = |column: Column| Program {
                ops: vec![NumberOp::Column(column.place)],
                fractional: false,
            };
            return Ok(self.numbers(relation, program(a), program(b)));
        }
        if left == DataType::Array || right == DataType::Array {
            return Err(ARRAY_DIRECTLY.into());
        }
        let refused = clash(column_name(&a), column_name(&b));
        if left == DataType::Json || right == DataType::Json {
            return Err(refused);
        }
        let programs = (numeric(Meaning::Column(a)), numeric(Meaning::Column(b)));
        let (Some(a), Some(b)) = programs else { return Err(refused) };
        Ok(self.numbers(relation, a, b))
    }

    fn numbers(&self, relation: Relation, left: Program, right: Program) -> Tree {
        let (op, not) = relation.parts();
        let (mut left, mut right) = (left.ops, right.ops);
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
                NumberOp::Json(_) | NumberOp::JsonLength(_) => return NumberKind::Json,
                NumberOp::Column(place) => match self.data_type(*place) {
                    Some(DataType::Float) => single = true,
                    Some(DataType::Double) => double = true,
                    _ => whole = true,
                },
                NumberOp::Length(_) => whole = true,
                NumberOp::Float(_) => constant = true,
                NumberOp::Apply(Arithmetic::Power) => double = true,
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

    fn data_type(&self, place: Place) -> Option<DataType> {
        let field = self.field(place.slot)?;
        if place.index.is_some() { field.element_type } else { Some(field.data_type) }
    }

    /// The field of a slot.
    pub(crate) fn field(&self, slot: Slot) -> Option<&'a FieldSchema> {
        self.schema.field_by_id(*self.fields.get(slot as usize)?)
    }

    /// `column like "pattern"`.
    pub(crate) fn like(&self, left: Operand, pattern: String) -> Result<Tree, String> {
        crate::like::check(&pattern)?;
        let Meaning::Column(column) = left.meaning else {
            return Err("like operation on complicated expr is unsupported".into());
        };
        match column.data_type {
            DataType::VarChar => Ok(Tree::leaf(Pred::TextLike { place: column.place, pattern })),
            DataType::Json => Ok(Tree::leaf(Pred::JsonLike { path: column.path(), pattern })),
            _ => Err("like operation on non-string or no-json field is unsupported".into()),
        }
    }

    /// `column =~ "pattern"`.
    pub(crate) fn regex(&mut self, left: Operand, pattern: String) -> Result<Tree, String> {
        self.regexes += 1;
        if self.regexes > REGEXES_MAX {
            return Err(format!("a filter may have at most {REGEXES_MAX} regular expressions"));
        }
        crate::regex::compile(&pattern)?;
        let Meaning::Column(column) = left.meaning else {
            return Err("regex operation on complicated expr is unsupported".into());
        };
        match column.data_type {
            DataType::VarChar => Ok(Tree::leaf(Pred::TextRegex { place: column.place, pattern })),
            DataType::Json => Ok(Tree::leaf(Pred::JsonRegex { path: column.path(), pattern })),
            other => Err(format!("regex operation on {} field is unsupported", other.name())),
        }
    }

    /// `exists place`.
    pub(crate) fn exists(&self, operand: Operand) -> Result<Tree, String> {
        match operand.meaning {
            Meaning::Column(column) if column.is_json_place() => {
                Ok(Tree::leaf(Pred::JsonExists { path: column.path() }))
            }
            Meaning::Column(Column { data_type: DataType::Json, .. }) => {
                Err("exists operations are only supportted on json key".into())
            }
            other => {
                let got = type_name(&other);
                Err(format!("exists oerations are only supportted on json field, got:{got}"))
            }
        }
    }

    /// `column is null`.
    pub(crate) fn is_null(&self, operand: Operand) -> Result<Tree, String> {
        let (start, end) = (operand.start, operand.end);
        let Meaning::Column(column) = operand.meaning else {
            let piece = compact(self.text, start, end);
            return Err(format!("'is null' can only be used on a field, but got: {piece}"));
        };
        if column.data_type.is_vector() {
            return Err("IsNull/IsNotNull operations are not supported on vector fields".into());
        }
        let place = column.place;
        let pred = match place.index {
            Some(_) => Pred::NullElement { place },
            None => Pred::Null { path: column.path() },
        };
        Ok(Tree::leaf(pred))
    }
}

/// The index that the brackets behind an Array field name, if there are any.
fn array_index(name: &str, steps: Vec<Step>) -> Result<Option<u32>, String> {
    let mut steps = steps.into_iter();
    let index = match steps.next() {
        None => return Ok(None),
        Some(Step::Key(_)) => return Err("can only access array field with integer index".into()),
        Some(Step::Index(index)) => index,
    };
    if steps.next().is_some() {
        return Err(format!("an element of array field {name} is not accessed with []"));
    }
    let long = || format!("index {index} of array field {name} is out of range");
    u32::try_from(index).map(Some).map_err(|_| long())
}

pub(crate) fn type_name(meaning: &Meaning) -> &'static str {
    match meaning {
        Meaning::Literal(literal) => literal.type_name(),
        Meaning::Column(column) => column.data_type.name(),
        Meaning::Number(_) => DataType::Int64.name(),
        Meaning::Predicate(_) | Meaning::Sample(..) => DataType::Bool.name(),
    }
}

fn named(meaning: &Meaning) -> Named {
    match meaning {
        Meaning::Literal(literal) => literal_name(literal),
        Meaning::Column(column) => column_name(column),
        other => (type_name(other), "None"),
    }
}

fn column_name(column: &Column) -> Named {
    (column.data_type.name(), column.element.map_or("None", DataType::name))
}

pub(crate) fn literal_name(literal: &Literal) -> Named {
    let element = match literal {
        Literal::List(items) => items.first().map_or("None", Literal::type_name),
        _ => "None",
    };
    (literal.type_name(), element)
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
