//! The interpreter that looks at one row at a time and knows none of the tricks.

use millstream_catalog::model::{DataType, FieldId, cell as cells};
use millstream_expr::Columns;
use serde_json::Value;

use crate::expression::{BITS, Expr, FIELDS, Lit, Term, literal_zero};
use crate::support::{Owned, Table};

/// A value of one row.
#[derive(Clone, Debug)]
enum Cell {
    Int(i64),
    Single(f32),
    Double(f64),
    Bool(bool),
    Text(String),
}

fn is_null(table: &Table, field: usize, row: usize) -> bool {
    let id = FieldId(100 + field as i64);
    table.column(id).is_none() || table.validity(id).is_some_and(|v| v[row] == 0)
}

/// The elements of an array of one row.
fn array(table: &Table, field: usize, row: usize) -> Option<Vec<Cell>> {
    if is_null(table, field, row) {
        return None;
    }
    let Some(Owned::Array(element, o, b)) = table.0.get(&(100 + field as i64)) else {
        panic!("an Array field");
    };
    let bytes = &b[o[row] as usize..o[row + 1] as usize];
    let count = cells::array_len(*element, bytes);
    let each = |i: usize| match element {
        DataType::Int64 => Cell::Int(i64::from_le_bytes(bytes.as_chunks().0[i])),
        DataType::Float => Cell::Single(f32::from_le_bytes(bytes.as_chunks().0[i])),
        _ => {
            let text = cells::array_text(bytes, i).to_vec();
            Cell::Text(String::from_utf8(text).expect("tests write UTF-8"))
        }
    };
    Some((0..count).map(each).collect())
}

fn cell(table: &Table, field: usize, row: usize) -> Option<Cell> {
    if is_null(table, field, row) {
        return None;
    }
    Some(match table.0.get(&(100 + field as i64))? {
        Owned::Bool(v) => Cell::Bool(v[row] != 0),
        Owned::Int8(v) => Cell::Int(v[row].into()),
        Owned::Int16(v) => Cell::Int(v[row].into()),
        Owned::Int32(v) => Cell::Int(v[row].into()),
        Owned::Int64(v) => Cell::Int(v[row]),
        Owned::Float(v) => Cell::Single(v[row]),
        Owned::Double(v) => Cell::Double(v[row]),
        Owned::Text(o, b) | Owned::Json(o, b) => {
            let mut bytes = &b[o[row] as usize..o[row + 1] as usize];
            if FIELDS[field].1 == DataType::Json {
                bytes = cells::json_text(bytes);
            }
            Cell::Text(String::from_utf8(bytes.to_vec()).expect("tests write UTF-8"))
        }
        Owned::Array(..) => return None,
    })
}

fn related<T: PartialOrd>(relation: usize, a: &T, b: &T) -> bool {
    match relation {
        0 => a == b,
        1 => a != b,
        2 => a < b,
        3 => a <= b,
        4 => a > b,
        _ => a >= b,
    }
}

fn against(cell: &Cell, relation: usize, literal: &Lit) -> bool {
    match (cell, literal) {
        (Cell::Int(a), Lit::Int(b)) => related(relation, a, b),
        (Cell::Single(a), Lit::Int(b)) => related(relation, a, &(*b as f32)),
        (Cell::Single(a), Lit::Float(b)) => related(relation, a, &(*b as f32)),
        (Cell::Double(a), Lit::Int(b)) => related(relation, a, &(*b as f64)),
        (Cell::Double(a), Lit::Float(b)) => related(relation, a, b),
        (Cell::Bool(a), Lit::Bool(b)) => related(relation, a, b),
        (Cell::Text(a), Lit::Text(b)) => related(relation, &a.as_str(), b),
        other => panic!("the generator made {other:?}"),
    }
}

fn double(cell: &Cell) -> f64 {
    match cell {
        Cell::Int(v) => *v as f64,
        Cell::Single(v) => f64::from(*v),
        Cell::Double(v) => *v,
        other => panic!("the generator made {other:?}"),
    }
}

/// Plain backtracking over characters.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        ['_', rest @ ..] => !text.is_empty() && matches(rest, &text[1..]),
        ['\\', c, rest @ ..] | [c, rest @ ..] => {
            text.first() == Some(c) && matches(rest, &text[1..])
        }
    }
}

fn like(pattern: &str, text: &str) -> bool {
    let pattern = pattern.replace(r"\\", r"\");
    matches(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

/// The field of a place.
fn of_place(place: usize) -> usize {
    if place < 5 { 8 } else { 9 }
}

/// What the anchored patterns of the tests mean, by hand.
fn regex(pattern: &str, text: &str) -> bool {
    match pattern {
        "a" => text.contains('a'),
        "^a" => text.starts_with('a'),
        "b$" => text.ends_with('b'),
        "^a.*c$" => text.len() > 1 && text.starts_with('a') && text.ends_with('c'),
        "[äb]" => text.contains(['ä', 'b']),
        other => panic!("the generator made {other}"),
    }
}

fn bits(table: &Table, row: usize, expr: &Expr) -> Option<bool> {
    let Expr::Bits(field, terms, relation, value, sign) = expr else { panic!("bits") };
    let whole = |field: usize| match cell(table, field, row)? {
        Cell::Int(v) => Some(v),
        other => panic!("the generator made {other:?}"),
    };
    let mut left = whole(*field)?;
    left = match sign {
        Some('-') => left.wrapping_neg(),
        Some('~') => !left,
        _ => left,
    };
    for (op, term) in terms {
        let right = match term {
            Term::Field(f) => whole(*f)?,
            Term::Int(v) => *v,
        };
        left = match BITS[*op] {
            "&" => left & right,
            "|" => left | right,
            "^" => left ^ right,
            "+" => left.wrapping_add(right),
            _ if right < 0 => return None,
            "<<" => u32::try_from(right).ok().and_then(|n| left.checked_shl(n)).unwrap_or(0),
            _ => left >> right.min(63),
        };
    }
    Some(related(*relation, &left, value))
}

/// Whether an array has a constant.
fn has(found: &[Cell], item: &Lit) -> bool {
    found.iter().any(|cell| against(cell, 0, item))
}

fn arrays(table: &Table, row: usize, expr: &Expr) -> Option<bool> {
    Some(match expr {
        Expr::Element(f, i, r, v) => against(array(table, *f, row)?.get(*i as usize)?, *r, v),
        Expr::ElementIn(f, i, not, items) => {
            let found = array(table, *f, row)?;
            let found = found.get(*i as usize)?;
            items.iter().any(|item| against(found, 0, item)) != *not
        }
        Expr::ElementNull(i, not) => {
            array(table, 10, row).is_none_or(|found| found.len() <= *i as usize) != *not
        }
        Expr::Length(f, r, v) => related(*r, v, &(array(table, *f, row)?.len() as i64)),
        Expr::Arrays(f, not, items) => {
            let found = array(table, *f, row)?;
            let same = found.iter().zip(items).all(|(cell, item)| against(cell, 0, item));
            (found.len() == items.len() && same) != *not
        }
        Expr::ArrayContains(kind, f, items) => {
            let found = array(table, *f, row)?;
            match kind {
                0 => has(&found, items.first().unwrap_or(&literal_zero(*f))),
                1 => items.iter().all(|item| has(&found, item)),
                _ => items.iter().any(|item| has(&found, item)),
            }
        }
        other => panic!("{other:?} is about no array"),
    })
}

/// A predicate on a place of a JSON field.
fn places(table: &Table, row: usize, expr: &Expr) -> Option<bool> {
    let at = |p: &usize| place(table, *p, row);
    let known = |p: &usize| {
        let id = FieldId(100 + of_place(*p) as i64);
        table.validity(id).is_none_or(|v| v[row] != 0).then_some(())
    };
    match expr {
        Expr::Place(p, ..)
        | Expr::PlaceIn(p, ..)
        | Expr::PlaceLike(p, ..)
        | Expr::PlaceRegex(p, ..)
        | Expr::Exists(p)
        | Expr::Contains(_, p, _) => known(p)?,
        _ => {}
    }
    Some(match expr {
        Expr::Place(p, r, v) => json_related(*r, v, at(p).as_ref()),
        Expr::PlaceIn(p, not, items) => {
            at(p).is_some_and(|found| items.iter().any(|i| equal(&found, &i.value()))) != *not
        }
        Expr::PlaceLike(p, pattern) => {
            matches!(at(p), Some(Value::String(text)) if like(pattern, &text))
        }
        Expr::PlaceRegex(p, pattern) => {
            matches!(at(p), Some(Value::String(text)) if regex(pattern, &text))
        }
        Expr::Exists(p) => at(p).is_some_and(|found| !found.is_null()),
        Expr::PlaceNull(p, not) => at(p).is_none_or(|found| found.is_null()) != *not,
        Expr::Contains(kind, p, items) => contains(*kind, at(p), items),
        Expr::Mixed(f, r, v) => {
            known(&0)?;
            let number = at(&0);
            let term = cell(table, *f, row);
            // A missing key decides before the field is looked at, but a null field is unknown.
            let valid = table.validity(FieldId(100 + *f as i64)).is_none_or(|v| v[row] != 0);
            match (number, term) {
                (_, None) if !valid => return None,
                (Some(Value::Number(n)), Some(Cell::Int(term))) => match n.as_i64() {
                    Some(n) => related(*r, &n.wrapping_add(term), v),
                    None => {
                        related(*r, &(n.as_f64().expect("a number") + term as f64), &(*v as f64))
                    }
                },
                (Some(Value::Number(_)), None) => return None,
                _ => *r == 1,
            }
        }
        other => panic!("{other:?} is about no place"),
    })
}

/// The JSON value at a place of one row.
fn place(table: &Table, place: usize, row: usize) -> Option<Value> {
    let (field, steps): (usize, &[&str]) = match place {
        0 => (8, &["a"]),
        1 => (8, &["n", "m"]),
        2 => (8, &["l"]),
        3 => (8, &["l", "1"]),
        4 => (8, &["0"]),
        5 => (9, &["dyn"]),
        6 => (9, &["nosuch"]),
        _ => (9, &["my key"]),
    };
    let Some(Cell::Text(text)) = cell(table, field, row) else { return None };
    let mut value: Value = serde_json::from_str(&text).ok()?;
    for step in steps {
        value = match value {
            Value::Object(mut members) => members.remove(*step)?,
            Value::Array(mut items) => {
                let index: usize = step.parse().ok()?;
                (index < items.len()).then(|| items.swap_remove(index))?
            }
            _ => return None,
        };
    }
    Some(value)
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) => x == y && a.as_i64().zip(b.as_i64()).is_none_or(|(a, b)| a == b),
        _ => a == b,
    }
}

fn json_related(relation: usize, literal: &Lit, found: Option<&Value>) -> bool {
    let Some(found) = found else { return relation == 1 };
    match (literal, found) {
        (Lit::Int(a), Value::Number(b)) if b.is_i64() => {
            related(relation, a, &b.as_i64().expect("checked"))
        }
        (Lit::Int(a), Value::Number(b)) => {
            related(relation, &(*a as f64), &b.as_f64().expect("checked"))
        }
        (Lit::Float(a), Value::Number(b)) => related(relation, a, &b.as_f64().expect("checked")),
        (Lit::Bool(a), Value::Bool(b)) => related(relation, a, b),
        (Lit::Text(a), Value::String(b)) => related(relation, a, &b.as_str()),
        _ => relation == 1,
    }
}

fn contains(kind: usize, found: Option<Value>, items: &[Lit]) -> bool {
    let Some(Value::Array(found)) = found else { return false };
    let has = |item: &Lit| found.iter().any(|value| equal(value, &item.value()));
    match kind {
        0 => items.first().map_or_else(|| has(&Lit::Int(0)), has),
        1 => items.iter().all(has),
        _ => items.iter().any(has),
    }
}

fn sum(
    table: &Table,
    row: usize,
    (field, terms, relation, literal): (usize, &[(char, Term)], usize, &Lit),
) -> Option<bool> {
    let fields = terms.iter().filter_map(|(_, term)| match term {
        Term::Field(f) => Some(*f),
        Term::Int(_) => None,
    });
    let fields: Vec<_> = fields.chain([field]).collect();
    let whole = fields.iter().all(|&f| FIELDS[f].1.is_integer()) && matches!(literal, Lit::Int(_));
    let single = fields.iter().all(|&f| FIELDS[f].1 == DataType::Float);
    let mut left = cell(table, field, row)?;
    for (op, term) in terms {
        let right = match term {
            Term::Field(f) => cell(table, *f, row)?,
            Term::Int(v) => Cell::Int(*v),
        };
        left = match (&left, &right) {
            (Cell::Int(a), Cell::Int(b)) if whole => Cell::Int(match op {
                '+' => a.wrapping_add(*b),
                '-' => a.wrapping_sub(*b),
                '*' => a.wrapping_mul(*b),
                '/' => a.checked_div(*b).or((*b == -1).then_some(i64::MIN))?,
                _ => a.checked_rem(*b).or((*b == -1).then_some(0))?,
            }),
            (a, b) if single => {
                let (Cell::Single(a), b) = (a, double(b) as f32) else { panic!("a Float column") };
                Cell::Single(float(*op, *a, b))
            }
            (a, b) => Cell::Double(float(*op, double(a), double(b))),
        };
    }
    if let (false, Cell::Int(v)) = (whole, &left) {
        left = Cell::Double(*v as f64);
    }
    Some(against(&left, relation, literal))
}

fn float<T>(op: char, a: T, b: T) -> T
where
    T: std::ops::Add<Output = T>
        + std::ops::Sub<Output = T>
        + std::ops::Mul<Output = T>
        + std::ops::Div<Output = T>,
{
    match op {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        _ => a / b,
    }
}

/// What an expression says of one row; `None` when it has no value.
pub(crate) fn naive(expr: &Expr, table: &Table, row: usize) -> Option<bool> {
    Some(match expr {
        Expr::Field(f, r, v) => against(&cell(table, *f, row)?, *r, v),
        Expr::Range(f, lo, hi) => {
            let cell = cell(table, *f, row)?;
            against(&cell, 5, &Lit::Int(*lo)) && against(&cell, 2, &Lit::Int(*hi))
        }
        Expr::In(f, not, items) => {
            let cell = cell(table, *f, row)?;
            items.iter().any(|item| against(&cell, 0, item)) != *not
        }
        Expr::Like(f, pattern) => {
            let Cell::Text(text) = cell(table, *f, row)? else { panic!("a text field") };
            like(pattern, &text)
        }
        Expr::Pair(a, r, b) => match (cell(table, *a, row)?, cell(table, *b, row)?) {
            (Cell::Text(a), Cell::Text(b)) => related(*r, &a, &b),
            (Cell::Int(a), Cell::Int(b)) => related(*r, &a, &b),
            (a, b) => related(*r, &double(&a), &double(&b)),
        },
        Expr::Sum(f, terms, r, v) => return sum(table, row, (*f, terms, *r, v)),
        Expr::Regex(f, not, pattern) => {
            let Cell::Text(text) = cell(table, *f, row)? else { panic!("a text field") };
            regex(pattern, &text) != *not
        }
        Expr::Null(f, not) => is_null(table, *f, row) != *not,
        Expr::Bits(..) => return bits(table, row, expr),
        Expr::Element(..)
        | Expr::ElementIn(..)
        | Expr::ElementNull(..)
        | Expr::Length(..)
        | Expr::Arrays(..)
        | Expr::ArrayContains(..) => return arrays(table, row, expr),
        Expr::Not(inner) => !naive(inner, table, row)?,
        Expr::And(items) => {
            let all: Vec<_> = items.iter().map(|item| naive(item, table, row)).collect();
            if all.contains(&Some(false)) {
                false
            } else if all.contains(&None) {
                return None;
            } else {
                true
            }
        }
        Expr::Or(items) => {
            let all: Vec<_> = items.iter().map(|item| naive(item, table, row)).collect();
            if all.contains(&Some(true)) {
                true
            } else if all.contains(&None) {
                return None;
            } else {
                false
            }
        }
        other => return places(table, row, other),
    })
}
