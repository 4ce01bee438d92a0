//! `in` lists and functions.

use millstream_catalog::model::DataType;

use crate::check::{Checker, JSON_DIRECTLY, scalar, unsupported};
use crate::lexer::{compact, item};
use crate::operand::{Column, Literal, Meaning, Operand, Tree};
use crate::plan::{Path, Pred, Scalar};

/// A function that the engine evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// The list at a place has the value.
    Contains,
    /// The list has every value.
    ContainsAll,
    /// The list has one of the values.
    ContainsAny,
}

impl Function {
    /// The function of a name, in lower or upper case.
    ///
    /// # Errors
    /// A function that Milvus has and this engine does not, and any other name.
    pub(crate) fn named(name: &str) -> Result<Function, String> {
        match name.to_ascii_lowercase().as_str() {
            "json_contains" | "array_contains" => Ok(Function::Contains),
            "json_contains_all" | "array_contains_all" => Ok(Function::ContainsAll),
            "json_contains_any" | "array_contains_any" => Ok(Function::ContainsAny),
            _ => Err(unsupported("function", name)),
        }
    }
}

impl Checker<'_> {
    /// `name(arguments)`.
    pub(crate) fn call(
        &self,
        function: Function,
        arguments: Vec<Operand>,
        name: &str,
    ) -> Result<Tree, String> {
        let Ok([place, value]) = <[Operand; 2]>::try_from(arguments) else {
            return Err(format!("{name} takes a field and a constant"));
        };
        let path = match place.meaning {
            Meaning::Column(Column { slot, data_type: DataType::Json, steps }) => {
                Path { field: slot, steps }
            }
            _ => {
                let got = compact(self.text, place.start, place.end);
                return Err(format!(
                    "contains operation are only supported on json or array fields now, got: {got}"
                ));
            }
        };
        let (all, values) = match (function, value.meaning) {
            (Function::Contains, Meaning::Literal(value)) => (false, vec![scalar(value)]),
            (_, Meaning::Literal(Literal::List(items))) => {
                let values = items.into_iter().map(scalar).collect();
                (function == Function::ContainsAll, values)
            }
            (Function::Contains, _) => return Err(format!("{name} takes a constant")),
            _ => return Err(format!("{name} operation element must be an array")),
        };
        Ok(Tree::leaf(Pred::JsonContains { path, all, values }))
    }

    /// `column in [..]`.
    pub(crate) fn in_list(&self, left: Operand, list: Operand) -> Result<Tree, String> {
        let Meaning::Literal(Literal::List(items)) = list.meaning else {
            let got = compact(self.text, list.start, list.end);
            return Err(format!("the right-hand side of 'in' must be a list, but got: {got}"));
        };
        let Meaning::Column(column) = left.meaning else {
            let got = compact(self.text, left.start, left.end);
            return Err(format!("'term' can only be used on single field, but got: {got}"));
        };
        let name = column.data_type.name();
        let refuse = |index: usize, value: &Literal| {
            let written = item(self.text, list.start, index).map(str::to_owned);
            let written = written.unwrap_or_else(|| spelling(value));
            format!("value '{written}' in list cannot be casted to {name}")
        };
        let field = column.slot;
        let pred = match column.data_type {
            DataType::Bool => {
                let values = all(items, refuse, |v| match v {
                    Literal::Bool(v) => Some(*v),
                    _ => None,
                })?;
                let (on_true, on_false) = (values.contains(&true), values.contains(&false));
                Pred::Bools { field, on_true, on_false }
            }
            DataType::Float | DataType::Double => {
                let single = column.data_type == DataType::Float;
                let narrow = |v: f64| if single { f64::from(v as f32) } else { v };
                let values = all(items, refuse, |v| match v {
                    Literal::Int(v) => Some(narrow(*v as f64)),
                    Literal::Float(v) => Some(narrow(*v)),
                    _ => None,
                })?;
                Pred::FloatIn { field, values }
            }
            DataType::VarChar => {
                let values = all(items, refuse, |v| match v {
                    Literal::Text(v) => Some(std::mem::take(v)),
                    _ => None,
                })?;
                Pred::TextIn { field, values }
            }
            DataType::Json if column.steps.is_empty() => return Err(JSON_DIRECTLY.into()),
            DataType::Json => {
                let values: Vec<Scalar> = items.into_iter().map(scalar).collect();
                Pred::JsonIn { path: Path { field, steps: column.steps }, values }
            }
            other if other.is_integer() => {
                let values = all(items, refuse, |v| match v {
                    Literal::Int(v) => Some(*v),
                    _ => None,
                })?;
                Pred::IntIn { field, values }
            }
            _ => return Err(format!("'in' is not supported on {name}")),
        };
        Ok(Tree::leaf(pred))
    }
}

/// Every item in the type of a field.
fn all<T>(
    items: Vec<Literal>,
    refuse: impl Fn(usize, &Literal) -> String,
    take: impl Fn(&mut Literal) -> Option<T>,
) -> Result<Vec<T>, String> {
    let each = |(index, mut literal): (usize, Literal)| {
        take(&mut literal).ok_or_else(|| refuse(index, &literal))
    };
    items.into_iter().enumerate().map(each).collect()
}

/// A constant as an error shows it when it is not in the text.
fn spelling(literal: &Literal) -> String {
    match literal {
        Literal::Bool(v) => v.to_string(),
        Literal::Int(v) => v.to_string(),
        Literal::Float(v) => v.to_string(),
        Literal::Text(v) => format!("'{v}'"),
        Literal::List(_) => "[..]".into(),
    }
}
