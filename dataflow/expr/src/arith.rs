//! Arithmetic: constants are folded as they are read, anything over a field becomes a program.

use millstream_catalog::model::DataType;

use crate::lexer::compact;
use crate::operand::{Column, Literal, Meaning, Operand};
use crate::plan::{Arithmetic, NumberOp, Path};

impl Arithmetic {
    fn word(self) -> &'static str {
        match self {
            Arithmetic::Add => "add",
            Arithmetic::Subtract => "subtract",
            Arithmetic::Multiply => "multiply",
            Arithmetic::Divide => "divide",
            Arithmetic::Modulo => "modulo",
        }
    }

    /// The result in i64, wrapping; `None` for a division by zero.
    #[inline]
    pub(crate) fn ints(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Arithmetic::Add => Some(a.wrapping_add(b)),
            Arithmetic::Subtract => Some(a.wrapping_sub(b)),
            Arithmetic::Multiply => Some(a.wrapping_mul(b)),
            Arithmetic::Divide => (b != 0).then(|| a.wrapping_div(b)),
            Arithmetic::Modulo => (b != 0).then(|| a.wrapping_rem(b)),
        }
    }

    /// The result in f64.
    #[inline]
    pub(crate) fn floats(self, a: f64, b: f64) -> f64 {
        match self {
            Arithmetic::Add => a + b,
            Arithmetic::Subtract => a - b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Divide => a / b,
            Arithmetic::Modulo => a % b,
        }
    }
}

/// `left <op> right`; `text` is the whole filter.
pub(crate) fn apply(
    op: Arithmetic,
    left: Operand,
    right: Operand,
    text: &str,
) -> Result<Meaning, String> {
    if let (Meaning::Literal(a), Meaning::Literal(b)) = (&left.meaning, &right.meaning) {
        let piece = || compact(text, left.start, right.end);
        return fold(op, a, b, piece).map(Meaning::Literal);
    }
    if op == Arithmetic::Modulo && (is_float(&left.meaning) || is_float(&right.meaning)) {
        return Err("modulo can only apply on integer types".into());
    }
    let mut program = numeric(left.meaning).ok_or_else(|| misuse(op))?;
    program.append(&mut numeric(right.meaning).ok_or_else(|| misuse(op))?);
    program.push(NumberOp::Apply(op));
    Ok(Meaning::Number(program))
}

fn misuse(op: Arithmetic) -> String {
    let word = op.word();
    format!("'{word}' can only be used between integer or floating or json field expressions")
}

fn is_float(meaning: &Meaning) -> bool {
    match meaning {
        Meaning::Literal(Literal::Float(_)) => true,
        Meaning::Column(column) => matches!(column.data_type, DataType::Float | DataType::Double),
        _ => false,
    }
}

fn fold(
    op: Arithmetic,
    a: &Literal,
    b: &Literal,
    piece: impl Fn() -> String,
) -> Result<Literal, String> {
    if let (Literal::Int(a), Literal::Int(b)) = (a, b) {
        let zero = || format!("cannot divide by zero: {}", piece());
        return op.ints(*a, *b).map(Literal::Int).ok_or_else(zero);
    }
    let (Some(x), Some(y)) = (float(a), float(b)) else { return Err(misuse(op)) };
    match op {
        Arithmetic::Modulo => return Err("modulo can only apply on integer types".into()),
        Arithmetic::Divide if y == 0.0 => {
            return Err(format!("cannot divide by zero: {}", piece()));
        }
        _ => {}
    }
    finite(op.floats(x, y), piece)
}

fn finite(v: f64, piece: impl Fn() -> String) -> Result<Literal, String> {
    if v.is_finite() {
        Ok(Literal::Float(v))
    } else {
        Err(format!("value out of range: {}", piece()))
    }
}

fn float(literal: &Literal) -> Option<f64> {
    match literal {
        Literal::Int(v) => Some(*v as f64),
        Literal::Float(v) => Some(*v),
        _ => None,
    }
}

/// `left ** right`: only of constants, always a float.
pub(crate) fn power(left: &Operand, right: &Operand, text: &str) -> Result<Meaning, String> {
    let piece = || compact(text, left.start, right.end);
    if let (Meaning::Literal(a), Meaning::Literal(b)) = (&left.meaning, &right.meaning)
        && let (Some(a), Some(b)) = (float(a), float(b))
    {
        return finite(a.powf(b), piece).map(Meaning::Literal);
    }
    Err(format!("power can only apply on constants: {}", piece()))
}

/// `-x` of a constant.
pub(crate) fn negate(meaning: Meaning) -> Result<Meaning, String> {
    match meaning {
        Meaning::Literal(Literal::Int(v)) => Ok(Meaning::Literal(Literal::Int(v.wrapping_neg()))),
        Meaning::Literal(Literal::Float(v)) => Ok(Meaning::Literal(Literal::Float(-v))),
        _ => Err("unexpected op: -".into()),
    }
}

/// The program that computes a meaning, if it is a number.
pub(crate) fn numeric(meaning: Meaning) -> Option<Vec<NumberOp>> {
    match meaning {
        Meaning::Literal(Literal::Int(v)) => Some(vec![NumberOp::Int(v)]),
        Meaning::Literal(Literal::Float(v)) => Some(vec![NumberOp::Float(v)]),
        Meaning::Number(program) => Some(program),
        Meaning::Column(column) => column_number(column).map(|op| vec![op]),
        _ => None,
    }
}

fn column_number(column: Column) -> Option<NumberOp> {
    match column.data_type {
        DataType::Json if !column.steps.is_empty() => {
            Some(NumberOp::Json(Path { field: column.slot, steps: column.steps }))
        }
        DataType::Float | DataType::Double => Some(NumberOp::Column(column.slot)),
        other if other.is_integer() => Some(NumberOp::Column(column.slot)),
        _ => None,
    }
}
