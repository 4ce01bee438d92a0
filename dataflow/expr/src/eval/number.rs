//! Arithmetic comparisons: postfix programs over 64 rows at a time, or row by row where a value
//! comes from JSON and only the row says whether it is an integer.

use std::cmp::Ordering;

use super::array::Arrays;
use super::{Block, Views, json};
use crate::columns::ColumnView;
use crate::json::Found;
use crate::plan::{Arithmetic, Compare, NumberKind, NumberOp};

/// Rows for which two expressions compare as wanted.
pub(super) fn compare(
    sides: (&[NumberOp], &[NumberOp]),
    op: Compare,
    kind: NumberKind,
    not: bool,
    views: &Views<'_>,
    block: &mut Block<'_>,
) {
    match kind {
        NumberKind::Int => typed::<i64>(sides, op, not, views, block, |v| v),
        NumberKind::Single => typed(sides, op, not, views, block, |v: f64| f64::from(v as f32)),
        NumberKind::Double => typed::<f64>(sides, op, not, views, block, |v| v),
        NumberKind::Json => mixed(sides, op, not, views, block),
    }
}

/// A type that expressions are computed in.
trait Number: Copy + PartialOrd {
    const ZERO: Self;
    /// The value of a constant.
    fn constant(op: &NumberOp) -> Option<Self>;
    /// 64 values of a column from a row on; returns how many there are.
    fn load(view: ColumnView<'_>, start: usize, into: &mut [Self; 64]) -> usize;
    /// The number that an element of an array is.
    fn element(found: Found<'_>) -> Option<Self>;
    /// Computes 64 values in place; returns a bit for each row that has a result.
    fn apply(op: Arithmetic, left: &mut [Self; 64], right: &[Self; 64]) -> u64;
}

fn fill<T: Copy, N>(
    values: &[T],
    start: usize,
    into: &mut [N; 64],
    convert: impl Fn(T) -> N,
) -> usize {
    let values = values.get(start..).unwrap_or(&[]);
    for (place, &value) in into.iter_mut().zip(values) {
        *place = convert(value);
    }
    values.len().min(64)
}

impl Number for i64 {
    const ZERO: i64 = 0;

    fn constant(op: &NumberOp) -> Option<i64> {
        match op {
            NumberOp::Int(v) => Some(*v),
            _ => None,
        }
    }

    fn load(view: ColumnView<'_>, start: usize, into: &mut [i64; 64]) -> usize {
        match view {
            ColumnView::Bool(v) => fill(v, start, into, |v| i64::from(v != 0)),
            ColumnView::Int8(v) => fill(v, start, into, i64::from),
            ColumnView::Int16(v) => fill(v, start, into, i64::from),
            ColumnView::Int32(v) => fill(v, start, into, i64::from),
            ColumnView::Int64(v) => fill(v, start, into, |v| v),
            _ => 0,
        }
    }

    fn apply(op: Arithmetic, left: &mut [i64; 64], right: &[i64; 64]) -> u64 {
        let mut known = u64::MAX;
        match op {
            Arithmetic::Add => each(left, right, i64::wrapping_add),
            Arithmetic::Subtract => each(left, right, i64::wrapping_sub),
            Arithmetic::Multiply => each(left, right, i64::wrapping_mul),
            Arithmetic::BitAnd => each(left, right, |a, b| a & b),
            Arithmetic::BitOr => each(left, right, |a, b| a | b),
            Arithmetic::BitXor => each(left, right, |a, b| a ^ b),
            _ => {
                for (i, (a, &b)) in left.iter_mut().zip(right).enumerate() {
                    match op.ints(*a, b) {
                        Some(result) => *a = result,
                        None => known &= !(1 << i),
                    }
                }
            }
        }
        known
    }

    fn element(found: Found<'_>) -> Option<i64> {
        match found {
            Found::Int(v) => Some(v),
            Found::Bool(v) => Some(i64::from(v)),
            _ => None,
        }
    }
}

impl Number for f64 {
    const ZERO: f64 = 0.0;

    fn constant(op: &NumberOp) -> Option<f64> {
        match op {
            NumberOp::Int(v) => Some(*v as f64),
            NumberOp::Float(v) => Some(*v),
            _ => None,
        }
    }

    fn load(view: ColumnView<'_>, start: usize, into: &mut [f64; 64]) -> usize {
        match view {
            ColumnView::Int8(v) => fill(v, start, into, f64::from),
            ColumnView::Int16(v) => fill(v, start, into, f64::from),
            ColumnView::Int32(v) => fill(v, start, into, f64::from),
            ColumnView::Int64(v) => fill(v, start, into, |v| v as f64),
            ColumnView::Float(v) => fill(v, start, into, f64::from),
            ColumnView::Double(v) => fill(v, start, into, |v| v),
            _ => 0,
        }
    }

    fn apply(op: Arithmetic, left: &mut [f64; 64], right: &[f64; 64]) -> u64 {
        match op {
            Arithmetic::Add => each(left, right, |a, b| a + b),
            Arithmetic::Subtract => each(left, right, |a, b| a - b),
            Arithmetic::Multiply => each(left, right, |a, b| a * b),
            Arithmetic::Divide => each(left, right, |a, b| a / b),
            Arithmetic::Modulo => each(left, right, |a, b| a % b),
            Arithmetic::Power => each(left, right, f64::powf),
            _ => return 0,
        }
        u64::MAX
    }

    fn element(found: Found<'_>) -> Option<f64> {
        match found {
            Found::Float(v) => Some(v),
            Found::Int(v) => Some(v as f64),
            _ => None,
        }
    }
}

#[inline]
fn each<N: Copy>(left: &mut [N; 64], right: &[N; 64], apply: impl Fn(N, N) -> N) {
    for (a, &b) in left.iter_mut().zip(right) {
        *a = apply(*a, b);
    }
}

fn typed<N: Number>(
    (left, right): (&[NumberOp], &[NumberOp]),
    op: Compare,
    not: bool,
    views: &Views<'_>,
    block: &mut Block<'_>,
    round: impl Fn(N) -> N,
) {
    let mut stack: Vec<[N; 64]> = Vec::new();
    for (w, word) in block.words.iter_mut().enumerate() {
        if *word == 0 {
            continue;
        }
        stack.clear();
        let start = block.start + w * 64;
        let known = run(left, start, views, &mut stack, &round)
            & run(right, start, views, &mut stack, &round);
        let (Some(b), Some(a)) = (stack.pop(), stack.pop()) else {
            *word = 0;
            continue;
        };
        let bits = (0..64).fold(0u64, |bits, i| bits | u64::from(relate(op, a[i], b[i])) << i);
        *word &= known & if not { !bits } else { bits };
    }
}

#[inline]
fn relate<N: PartialOrd>(op: Compare, a: N, b: N) -> bool {
    match op {
        Compare::Equal => a == b,
        Compare::Less => a < b,
        Compare::LessEqual => a <= b,
        Compare::Greater => a > b,
        Compare::GreaterEqual => a >= b,
    }
}

/// Runs a program for 64 rows and leaves its values on the stack; returns the rows that have one.
fn run<N: Number>(
    program: &[NumberOp],
    start: usize,
    views: &Views<'_>,
    stack: &mut Vec<[N; 64]>,
    round: impl Fn(N) -> N,
) -> u64 {
    let mut known = u64::MAX;
    for op in program {
        match op {
            NumberOp::Column(place) => {
                let mut values = [N::ZERO; 64];
                known &= match (views.get(place.slot), place.index) {
                    (Some(view), None) => {
                        let count = N::load(view, start, &mut values);
                        u64::MAX.checked_shr(64 - count as u32).unwrap_or(0)
                    }
                    (view, Some(index)) => {
                        gather(&mut values, |i| N::element(Arrays::of(view)?.at(start + i, index)?))
                    }
                    (None, None) => 0,
                };
                stack.push(values);
            }
            NumberOp::Length(slot) => {
                let mut values = [N::ZERO; 64];
                let arrays = Arrays::of(views.get(*slot));
                known &=
                    gather(&mut values, |i| N::element(Found::Int(arrays?.len(start + i)? as i64)));
                stack.push(values);
            }
            NumberOp::Apply(arithmetic) => {
                let Some(right) = stack.pop() else { return 0 };
                let Some(left) = stack.last_mut() else { return 0 };
                known &= N::apply(*arithmetic, left, &right);
                for value in left {
                    *value = round(*value);
                }
            }
            constant => match N::constant(constant) {
                Some(value) => stack.push([value; 64]),
                None => return 0,
            },
        }
    }
    known
}

/// Fills 64 values one by one; returns the rows that have one.
fn gather<N>(into: &mut [N; 64], get: impl Fn(usize) -> Option<N>) -> u64 {
    let mut known = 0;
    for (i, place) in into.iter_mut().enumerate() {
        if let Some(value) = get(i) {
            *place = value;
            known |= 1 << i;
        }
    }
    known
}

/// A number of one row.
#[derive(Clone, Copy)]
enum Value {
    Int(i64),
    Float(f64),
}

/// Why a row has no number.
enum Absent {
    /// A missing key or another type: compares false.
    NoMatch,
    /// A division by zero, or a column without a value: neither true nor false.
    Unknown,
}

impl Value {
    fn float(self) -> f64 {
        match self {
            Value::Int(v) => v as f64,
            Value::Float(v) => v,
        }
    }

    fn order(self, other: Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }
}

fn mixed(
    (left, right): (&[NumberOp], &[NumberOp]),
    op: Compare,
    not: bool,
    views: &Views<'_>,
    block: &mut Block<'_>,
) {
    let mut stack = Vec::new();
    block.retain_known(|row| {
        stack.clear();
        let sides = run_row(left, row, views, &mut stack)
            .and_then(|a| run_row(right, row, views, &mut stack).map(|b| (a, b)));
        match sides {
            Ok((a, b)) => Some(a.order(b).is_some_and(|ordering| op.accepts(ordering)) != not),
            Err(Absent::NoMatch) => Some(not),
            Err(Absent::Unknown) => None,
        }
    });
}

fn run_row(
    program: &[NumberOp],
    row: usize,
    views: &Views<'_>,
    stack: &mut Vec<Value>,
) -> Result<Value, Absent> {
    for op in program {
        let value = match op {
            NumberOp::Int(v) => Value::Int(*v),
            NumberOp::Float(v) => Value::Float(*v),
            NumberOp::Column(place) => {
                let view = views.get(place.slot).ok_or(Absent::Unknown)?;
                let value = match place.index {
                    None => column(view, row),
                    Some(index) => Arrays::of(Some(view)).and_then(|a| number(a.at(row, index)?)),
                };
                value.ok_or(Absent::Unknown)?
            }
            NumberOp::Length(slot) => {
                let length = Arrays::of(views.get(*slot)).and_then(|arrays| arrays.len(row));
                Value::Int(length.ok_or(Absent::Unknown)? as i64)
            }
            NumberOp::JsonLength(path) => match json::at(&views.json(path.field), row, path) {
                Some(Found::List(items)) => Value::Int(items.len() as i64),
                _ => return Err(Absent::NoMatch),
            },
            NumberOp::Json(path) => match json::at(&views.json(path.field), row, path) {
                Some(found) => number(found).ok_or(Absent::NoMatch)?,
                None => return Err(Absent::NoMatch),
            },
            NumberOp::Apply(arithmetic) => {
                let (b, a) = (stack.pop(), stack.pop());
                let (a, b) = a.zip(b).ok_or(Absent::Unknown)?;
                match (a, b) {
                    (Value::Int(a), Value::Int(b)) if *arithmetic != Arithmetic::Power => {
                        arithmetic.ints(a, b).map(Value::Int).ok_or(Absent::Unknown)?
                    }
                    // A float in JSON is no operand of a bit operation.
                    _ if arithmetic.is_bitwise() => return Err(Absent::NoMatch),
                    (a, b) => Value::Float(arithmetic.floats(a.float(), b.float())),
                }
            }
        };
        stack.push(value);
    }
    stack.pop().ok_or(Absent::Unknown)
}

fn column(view: ColumnView<'_>, row: usize) -> Option<Value> {
    Some(match view {
        ColumnView::Bool(v) => Value::Int(i64::from(*v.get(row)? != 0)),
        ColumnView::Int8(v) => Value::Int(i64::from(*v.get(row)?)),
        ColumnView::Int16(v) => Value::Int(i64::from(*v.get(row)?)),
        ColumnView::Int32(v) => Value::Int(i64::from(*v.get(row)?)),
        ColumnView::Int64(v) => Value::Int(*v.get(row)?),
        ColumnView::Float(v) => Value::Float(f64::from(*v.get(row)?)),
        ColumnView::Double(v) => Value::Float(*v.get(row)?),
        ColumnView::Text(_) | ColumnView::Json(_) | ColumnView::Array { .. } => return None,
    })
}

fn number(found: Found<'_>) -> Option<Value> {
    match found {
        Found::Int(v) => Some(Value::Int(v)),
        Found::Float(v) => Some(Value::Float(v)),
        _ => None,
    }
}
