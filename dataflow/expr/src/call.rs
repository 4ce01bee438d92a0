//! `in` lists and functions.

use millstream_catalog::model::DataType;

use crate::check::{Checker, JSON_DIRECTLY, unsupported};
use crate::compare::{element, is_element, scalar};
use crate::lexer::{compact, item};
use crate::limits::{MATCH_WORDS_MAX, PHRASE_BYTES_MAX};
use crate::operand::{Column, Literal, Meaning, Operand, Program, Tree};
use crate::plan::{MatchKind, NumberOp, Pred, Scalar};

/// A function that the engine evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// The list at a place has the value.
    Contains,
    /// The list has every value.
    ContainsAll,
    /// The list has one of the values.
    ContainsAny,
    /// How many elements the list has.
    Length,
    /// The text has some of the words.
    TextMatch,
    /// The text has the words in order.
    PhraseMatch,
    /// Some of the rows, by chance.
    RandomSample,
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
            "array_length" => Ok(Function::Length),
            "text_match" => Ok(Function::TextMatch),
            "phrase_match" => Ok(Function::PhraseMatch),
            "random_sample" => Ok(Function::RandomSample),
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
    ) -> Result<Meaning, String> {
        match function {
            Function::Contains | Function::ContainsAll | Function::ContainsAny => {
                self.contains(function, arguments, name).map(Meaning::Predicate)
            }
            Function::Length => self.length(arguments, name),
            Function::TextMatch => self.text_match(arguments, name).map(Meaning::Predicate),
            Function::PhraseMatch => self.phrase_match(arguments, name).map(Meaning::Predicate),
            Function::RandomSample => self.random_sample(arguments),
        }
    }

    fn piece(&self, operand: &Operand) -> String {
        compact(self.text, operand.start, operand.end)
    }

    fn contains(
        &self,
        function: Function,
        arguments: Vec<Operand>,
        name: &str,
    ) -> Result<Tree, String> {
        let Ok([place, value]) = <[Operand; 2]>::try_from(arguments) else {
            return Err(format!("{name} takes a field and a constant"));
        };
        let got = self.piece(&place);
        let column = match place.meaning {
            Meaning::Column(column)
                if matches!(column.data_type, DataType::Json | DataType::Array) =>
            {
                column
            }
            _ => {
                return Err(format!(
                    "contains operation are only supported on json or array fields now, got: {got}"
                ));
            }
        };
        let (all, values) = match (function, value.meaning) {
            (Function::Contains, Meaning::Literal(value)) => (false, vec![value]),
            (_, Meaning::Literal(Literal::List(items))) => {
                (function == Function::ContainsAll, items)
            }
            (Function::Contains, _) => return Err(format!("{name} takes a constant")),
            _ => return Err(format!("{name} operation element must be an array")),
        };
        if column.data_type == DataType::Json {
            let values = values.into_iter().map(scalar).collect();
            return Ok(Tree::leaf(Pred::JsonContains { path: column.path(), all, values }));
        }
        if let Some(wrong) = values.iter().find(|value| !is_element(column.element, value)) {
            let (element, value) = (column.element.map_or("None", DataType::name), wrong);
            return Err(format!(
                "contains operation can't compare between array element type: {element} and {}",
                value.type_name()
            ));
        }
        let values = values.into_iter().map(|value| element(column.element, value)).collect();
        Ok(Tree::leaf(Pred::ArrayContains { field: column.place.slot, all, values }))
    }

    /// `array_length(place)`.
    fn length(&self, arguments: Vec<Operand>, name: &str) -> Result<Meaning, String> {
        let Ok([place]) = <[Operand; 1]>::try_from(arguments) else {
            return Err(format!("{name} takes one field"));
        };
        let got = self.piece(&place);
        let op = match place.meaning {
            Meaning::Column(column) if column.data_type == DataType::Array => {
                NumberOp::Length(column.place.slot)
            }
            Meaning::Column(column) if column.data_type == DataType::Json => {
                NumberOp::JsonLength(column.path())
            }
            _ => {
                return Err(format!(
                    "array_length operation are only supported on json or array fields now, \
                     got: {got}"
                ));
            }
        };
        Ok(Meaning::Number(Program { ops: vec![op], fractional: false }))
    }

    /// The field and the text of a match: the two first arguments.
    fn matched(
        &self,
        field: Operand,
        text: Operand,
        (name, words): (&str, &str),
    ) -> Result<(Column, String), String> {
        let got = self.piece(&field);
        let column = match field.meaning {
            Meaning::Column(Column { data_type: DataType::VarChar, place, .. })
                if place.index.is_some() =>
            {
                return Err(format!("{words} operation on an array element is unsupported: {got}"));
            }
            Meaning::Column(column) if column.data_type == DataType::VarChar => column,
            _ => return Err(format!("{words} operation on non-string is unsupported: {got}")),
        };
        let field = self.field(column.place.slot);
        let enabled = field.and_then(|field| field.type_param("enable_match"));
        if !enabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(format!("field \"{got}\" does not enable match"));
        }
        match text.meaning {
            Meaning::Literal(Literal::Text(text)) => Ok((column, text)),
            _ => Err(format!("{name} takes a string, but got: {}", self.piece(&text))),
        }
    }

    /// `text_match(field, "words")`, with `minimum_should_match` as third argument.
    fn text_match(&self, arguments: Vec<Operand>, name: &str) -> Result<Tree, String> {
        let mut arguments = arguments.into_iter();
        let (Some(field), Some(text), least, None) =
            (arguments.next(), arguments.next(), arguments.next(), arguments.next())
        else {
            return Err(format!("{name} takes a field and a string"));
        };
        let (column, text) = self.matched(field, text, (name, "text match"))?;
        let minimum = match least {
            None => 1,
            Some(least) => match least.meaning {
                Meaning::Literal(Literal::Int(v @ 1..=MATCH_WORDS_MAX)) => v as u32,
                _ => {
                    let got = self.piece(&least);
                    return Err(format!(
                        "minimum_should_match should be an integer in [1, {MATCH_WORDS_MAX}], \
                         but got: {got}"
                    ));
                }
            },
        };
        let kind = MatchKind::Words { minimum };
        Ok(Tree::leaf(Pred::TextMatch { field: column.place.slot, text, kind }))
    }

    /// `phrase_match(field, "words", slop)`.
    fn phrase_match(&self, arguments: Vec<Operand>, name: &str) -> Result<Tree, String> {
        let mut arguments = arguments.into_iter();
        let (Some(field), Some(text), slop, None) =
            (arguments.next(), arguments.next(), arguments.next(), arguments.next())
        else {
            return Err(format!("{name} takes a field, a string and a slop"));
        };
        let (column, text) = self.matched(field, text, (name, "phrase match"))?;
        let slop = match slop {
            None => 0,
            Some(slop) => {
                let got = self.piece(&slop);
                let Meaning::Literal(Literal::Int(v)) = slop.meaning else {
                    return Err(format!(
                        "\"slop\" should be a const integer expression with \"uint32\" value. \
                         \"slop\" expression passed: {got}"
                    ));
                };
                let words = if v < 0 {
                    "\"slop\" should not be a negative integer. \"slop\" passed"
                } else {
                    "\"slop\" exceeds the range of \"uint32\". \"slop\" expression passed"
                };
                u32::try_from(v).map_err(|_| format!("{words}: {got}"))?
            }
        };
        if slop > 0 && text.len() > PHRASE_BYTES_MAX {
            return Err(format!(
                "the text of a phrase match with a slop should have at most {PHRASE_BYTES_MAX} \
                 bytes, but got: {}",
                text.len()
            ));
        }
        let kind = MatchKind::Phrase { slop };
        Ok(Tree::leaf(Pred::TextMatch { field: column.place.slot, text, kind }))
    }

    /// `random_sample(factor)`.
    fn random_sample(&self, arguments: Vec<Operand>) -> Result<Meaning, String> {
        let Ok([factor]) = <[Operand; 1]>::try_from(arguments) else {
            return Err("random_sample takes one sample factor".into());
        };
        let got = self.piece(&factor);
        let value = match factor.meaning {
            Meaning::Literal(Literal::Float(v)) => v,
            Meaning::Literal(Literal::Int(v)) => v as f64,
            _ => {
                return Err(format!(
                    "\"float factor\" should be a const float expression: \
                     \"float factor\" passed: {got}"
                ));
            }
        };
        if value > SAMPLE_MARGIN && value < 1.0 - SAMPLE_MARGIN {
            return Ok(Meaning::Sample(Tree::everything(), value));
        }
        Err(format!(
            "the sample factor should be between 0 and 1 and not too close to 0 or 1(the \
             difference should be larger than 1e-10), but got {got}"
        ))
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
        let place = column.place;
        let pred = match column.data_type {
            DataType::Bool => {
                let values = all(items, refuse, |v| match v {
                    Literal::Bool(v) => Some(*v),
                    _ => None,
                })?;
                let (on_true, on_false) = (values.contains(&true), values.contains(&false));
                Pred::Bools { place, on_true, on_false }
            }
            DataType::Float | DataType::Double => {
                let single = column.data_type == DataType::Float;
                let narrow = |v: f64| if single { f64::from(v as f32) } else { v };
                let values = all(items, refuse, |v| match v {
                    Literal::Int(v) => Some(narrow(*v as f64)),
                    Literal::Float(v) => Some(narrow(*v)),
                    _ => None,
                })?;
                Pred::FloatIn { place, values }
            }
            DataType::VarChar => {
                let values = all(items, refuse, |v| match v {
                    Literal::Text(v) => Some(std::mem::take(v)),
                    _ => None,
                })?;
                Pred::TextIn { place, values }
            }
            DataType::Json if column.steps.is_empty() => return Err(JSON_DIRECTLY.into()),
            DataType::Json => {
                let values: Vec<Scalar> = items.into_iter().map(scalar).collect();
                Pred::JsonIn { path: column.path(), values }
            }
            other if other.is_integer() => {
                let values = all(items, refuse, |v| match v {
                    Literal::Int(v) => Some(*v),
                    _ => None,
                })?;
                Pred::IntIn { place, values }
            }
            _ => return Err(format!("'in' is not supported on {name}")),
        };
        Ok(Tree::leaf(pred))
    }
}

/// How near a sample factor may come to none and to all.
const SAMPLE_MARGIN: f64 = 1e-10;

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
