//! Arithmetic: constants are folded as they are read, anything over a field becomes a program.

use millstream_catalog::model::DataType;

use crate::lexer::compact;
use crate::operand::{Column, Literal, Meaning, Operand, Program};
use crate::plan::{Arithmetic, NumberOp};

impl Arithmetic {
    fn word(self) -> &'static str {
        match self {
            Arithmetic::Add => "add",
            Arithmetic::Subtract => "subtract",
            Arithmetic::Multiply => "multiply",
            Arithmetic::Divide => "divide",
            Arithmetic::Modulo => "modulo",
            Arithmetic::Power => "power",
            Arithmetic::BitAnd => "BitAnd",
            Arithmetic::BitOr => "BitOr",
            Arithmetic::BitXor => "BitXor",
            Arithmetic::ShiftLeft => "ShiftLeft",
            Arithmetic::ShiftRight => "ShiftRight",
        }
    }

    /// Whether only integers have a result.
    pub(crate) fn is_bitwise(self) -> bool {
        matches!(
            self,
            Arithmetic::BitAnd
                | Arithmetic::BitOr
                | Arithmetic::BitXor
                | Arithmetic::ShiftLeft
                | Arithmetic::ShiftRight
        )
    }

    /// The result in i64, wrapping; `None` for a division by zero, a shift by less than nothing,
    /// and a power, which is a float.
    #[inline]
    pub(crate) fn ints(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Arithmetic::Add => Some(a.wrapping_add(b)),
            Arithmetic::Subtract => Some(a.wrapping_sub(b)),
            Arithmetic::Multiply => Some(a.wrapping_mul(b)),
            Arithmetic::Divide => (b != 0).then(|| a.wrapping_div(b)),
            Arithmetic::Modulo => (b != 0).then(|| a.wrapping_rem(b)),
            Arithmetic::Power => None,
            Arithmetic::BitAnd => Some(a & b),
            Arithmetic::BitOr => Some(a | b),
            Arithmetic::BitXor => Some(a ^ b),
            Arithmetic::ShiftLeft | Arithmetic::ShiftRight if b < 0 => None,
            Arithmetic::ShiftLeft => Some(if b > 63 { 0 } else { a << b }),
            Arithmetic::ShiftRight => Some(a >> b.min(63)),
        }
    }

    /// The result in f64; not a number for operations of integers only.
    #[inline]
    pub(crate) fn floats(self, a: f64, b: f64) -> f64 {
        match self {
            Arithmetic::Add => a + b,
            Arithmetic::Subtract => a - b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Divide => a / b,
            Arithmetic::Modulo => a % b,
            Arithmetic::Power => a.powf(b),
            _ => f64::NAN,
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
    let (start, end) = (left.start, right.end);
    let piece = || compact(text, start, end);
    if let (Meaning::Literal(a), Meaning::Literal(b)) = (&left.meaning, &right.meaning) {
        return fold(op, a, b, piece).map(Meaning::Literal);
    }
    let float = is_float(&left.meaning) || is_float(&right.meaning);
    if op == Arithmetic::Modulo && float {
        return Err("modulo can only apply on integer types".into());
    }
    let (Some(mut left), Some(right)) = (numeric(left.meaning), numeric(right.meaning)) else {
        return Err(misuse(op, piece));
    };
    if op.is_bitwise() && (left.fractional || right.fractional) {
        return Err(misuse(op, piece));
    }
    left.fractional |= right.fractional || op == Arithmetic::Power;
    left.ops.extend(right.ops);
    left.ops.push(NumberOp::Apply(op));
    Ok(Meaning::Number(left))
}

fn misuse(op: Arithmetic, piece: impl Fn() -> String) -> String {
    let word = op.word();
    if op.is_bitwise() {
        let piece = piece();
        return format!("{word} is not supported: {piece}; both sides must be integers");
    }
    format!("'{word}' can only be used between integer or floating or json field expressions")
}

fn is_float(meaning: &Meaning) -> bool {
    match meaning {
        Meaning::Literal(Literal::Float(_)) => true,
        Meaning::Column(column) => is_float_type(column.data_type),
        _ => false,
    }
}

fn is_float_type(data_type: DataType) -> bool {
    matches!(data_type, DataType::Float | DataType::Double)
}

fn fold(
    op: Arithmetic,
    a: &Literal,
    b: &Literal,
    piece: impl Fn() -> String,
) -> Result<Literal, String> {
    if let (Literal::Int(a), Literal::Int(b), true) = (a, b, op != Arithmetic::Power) {
        let refused = || match op {
            Arithmetic::ShiftLeft | Arithmetic::ShiftRight => "shift by a negative number",
            _ => "cannot divide by zero",
        };
        let result = op.ints(*a, *b).map(Literal::Int);
        return result.ok_or_else(|| format!("{}: {}", refused(), piece()));
    }
    let (Some(x), Some(y), false) = (float(a), float(b), op.is_bitwise()) else {
        return Err(misuse(op, piece));
    };
    match op {
        Arithmetic::Modulo => return Err("modulo can only apply on integer types".into()),
        Arithmetic::Divide if y == 0.0 => {
            return Err(format!("cannot divide by zero: {}", piece()));
        }
        _ => {}
    }
    let v = op.floats(x, y);
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

/// `-x`.
pub(crate) fn negate(meaning: Meaning) -> Result<Meaning, String> {
    match meaning {
        Meaning::Literal(Literal::Int(v)) => Ok(Meaning::Literal(Literal::Int(v.wrapping_neg()))),
        Meaning::Literal(Literal::Float(v)) => Ok(Meaning::Literal(Literal::Float(-v))),
        Meaning::Literal(_) => Err("unexpected op: -".into()),
        other => {
            let mut program = numeric(other).ok_or("unexpected op: -")?;
            // Exact for floats also, and the sign of a zero changes.
            program.ops.extend([NumberOp::Int(-1), NumberOp::Apply(Arithmetic::Multiply)]);
            Ok(Meaning::Number(program))
        }
    }
}

/// `+x`.
pub(crate) fn affirm(meaning: Meaning) -> Result<Meaning, String> {
    match meaning {
        number @ Meaning::Literal(Literal::Int(_) | Literal::Float(_)) => Ok(number),
        Meaning::Literal(_) => Err("unexpected op: +".into()),
        other => numeric(other).map(Meaning::Number).ok_or_else(|| "unexpected op: +".into()),
    }
}

/// `~x`.
pub(crate) fn complement(meaning: Meaning) -> Result<Meaning, String> {
    match meaning {
        Meaning::Literal(Literal::Int(v)) => Ok(Meaning::Literal(Literal::Int(!v))),
        other => {
            let mut program = numeric(other).ok_or("unexpected op: ~")?;
            if program.fractional {
                return Err("unexpected op: ~".into());
            }
            program.ops.extend([NumberOp::Int(-1), NumberOp::Apply(Arithmetic::BitXor)]);
            Ok(Meaning::Number(program))
        }
    }
}

/// The program that computes a meaning, if it is a number.
pub(crate) fn numeric(meaning: Meaning) -> Option<Program> {
    let (op, fractional) = match meaning {
        Meaning::Literal(Literal::Int(v)) => (NumberOp::Int(v), false),
        Meaning::Literal(Literal::Float(v)) => (NumberOp::Float(v), true),
        Meaning::Number(program) => return Some(program),
        Meaning::Column(column) => {
            let fractional = is_float_type(column.data_type);
            (column_number(column)?, fractional)
        }
        _ => return None,
    };
    Some(Program { ops: vec![op], fractional })
}

fn column_number(column: Column) -> Option<NumberOp> {
    if column.is_json_place() {
        return Some(NumberOp::Json(column.path()));
    }
    let is_number = is_float_type(column.data_type) || column.data_type.is_integer();
    is_number.then_some(NumberOp::Column(column.place))
}
