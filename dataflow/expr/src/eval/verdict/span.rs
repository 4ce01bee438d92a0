//! Arithmetic on bounds: what the two sides of a numeric comparison lie between.

use super::{MAY, May};
use crate::plan::{Arithmetic, Compare, NumberKind, NumberOp, Place};
use crate::zones::Bounds;

/// What a comparison of two numeric expressions may say, from the bounds of their columns.
pub(super) fn may<'a>(
    left: &[NumberOp],
    op: Compare,
    right: &[NumberOp],
    kind: NumberKind,
    bounds: impl Fn(&Place) -> Option<Bounds<'a>>,
) -> May {
    let decided = match kind {
        NumberKind::Int => {
            let span = |program| ints(program, &bounds);
            span(left).zip(span(right)).map(|(a, b)| compare(a, op, b))
        }
        NumberKind::Single | NumberKind::Double => {
            let single = kind == NumberKind::Single;
            let span = |program| floats(program, single, &bounds);
            span(left).zip(span(right)).map(|(a, b)| compare(a, op, b))
        }
        NumberKind::Json => None,
    };
    decided.unwrap_or(MAY)
}

fn compare<N: PartialOrd>(a: (N, N), op: Compare, b: (N, N)) -> May {
    match op {
        Compare::Equal => {
            May { hold: a.0 <= b.1 && b.0 <= a.1, fail: !(a.0 == a.1 && b.0 == b.1 && a.0 == b.0) }
        }
        Compare::Less => May { hold: a.0 < b.1, fail: a.1 >= b.0 },
        Compare::LessEqual => May { hold: a.0 <= b.1, fail: a.1 > b.0 },
        Compare::Greater => May { hold: a.1 > b.0, fail: a.0 <= b.1 },
        Compare::GreaterEqual => May { hold: a.1 >= b.0, fail: a.0 < b.1 },
    }
}

/// Runs a program on bounds; `None` as soon as a step says nothing.
fn run<N: Copy>(
    program: &[NumberOp],
    operand: impl Fn(&NumberOp) -> Option<(N, N)>,
    apply: impl Fn(Arithmetic, (N, N), (N, N)) -> Option<(N, N)>,
) -> Option<(N, N)> {
    if let [only] = program {
        return operand(only);
    }
    let mut stack = Vec::new();
    for op in program {
        let value = match op {
            NumberOp::Apply(arithmetic) => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                apply(*arithmetic, left, right)?
            }
            other => operand(other)?,
        };
        stack.push(value);
    }
    stack.pop()
}

/// Bounds of integers, as long as nothing wraps.
fn ints<'a>(
    program: &[NumberOp],
    bounds: &impl Fn(&Place) -> Option<Bounds<'a>>,
) -> Option<(i64, i64)> {
    let operand = |op: &NumberOp| match op {
        NumberOp::Int(v) => Some((*v, *v)),
        NumberOp::Column(place) => match bounds(place)? {
            Bounds::Int { min, max } => Some((min, max)),
            _ => None,
        },
        _ => None,
    };
    run(program, operand, |op, (a, b), (c, d)| match op {
        Arithmetic::Add => Some((a.checked_add(c)?, b.checked_add(d)?)),
        Arithmetic::Subtract => Some((a.checked_sub(d)?, b.checked_sub(c)?)),
        Arithmetic::Multiply => {
            let corners = [a.checked_mul(c)?, a.checked_mul(d)?, b.checked_mul(c)?];
            let last = b.checked_mul(d)?;
            Some(corners.iter().fold((last, last), |(min, max), v| (min.min(*v), max.max(*v))))
        }
        _ => None,
    })
}

/// Bounds of floats, as long as they are finite. Rounding keeps the order, so the bounds of a
/// result are the rounded results of bounds.
fn floats<'a>(
    program: &[NumberOp],
    single: bool,
    bounds: &impl Fn(&Place) -> Option<Bounds<'a>>,
) -> Option<(f64, f64)> {
    let finite =
        |(min, max): (f64, f64)| (min.is_finite() && max.is_finite()).then_some((min, max));
    let operand = |op: &NumberOp| match op {
        NumberOp::Int(v) => Some((*v as f64, *v as f64)),
        NumberOp::Float(v) => finite((*v, *v)),
        NumberOp::Column(place) => match bounds(place)? {
            Bounds::Int { min, max } => Some((min as f64, max as f64)),
            Bounds::Float { min, max, nan: false } => finite((min, max)),
            _ => None,
        },
        _ => None,
    };
    let round = |v: f64| if single { f64::from(v as f32) } else { v };
    run(program, operand, |op, (a, b), (c, d)| {
        let (min, max) = match op {
            Arithmetic::Add => (a + c, b + d),
            Arithmetic::Subtract => (a - d, b - c),
            Arithmetic::Multiply => corners((a, b), (c, d), |x, y| x * y),
            Arithmetic::Divide if c > 0.0 || d < 0.0 => corners((a, b), (c, d), |x, y| x / y),
            _ => return None,
        };
        finite((round(min), round(max)))
    })
}

fn corners((a, b): (f64, f64), (c, d): (f64, f64), of: impl Fn(f64, f64) -> f64) -> (f64, f64) {
    let all = [of(a, c), of(a, d), of(b, c), of(b, d)];
    all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), v| (min.min(*v), max.max(*v)))
}
