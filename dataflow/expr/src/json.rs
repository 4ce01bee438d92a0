//! Reading one place of a JSON text: everything around it is skipped, nothing is built.
//!
//! The text was validated when it was inserted. On text that is not JSON the answers are
//! meaningless but the functions end, do not recurse, and find nothing rather than panic.

use std::borrow::Cow;

use crate::scalar::Found;

/// The value at a path; `None` when a key or index is missing. Of equal keys the first counts.
pub(crate) fn find<'a>(json: &'a [u8], steps: &[String]) -> Option<Found<'a>> {
    let mut at = white(json, 0);
    for step in steps {
        at = match json.get(at)? {
            b'{' => member(json, at, step.as_bytes())?,
            b'[' => element(json, at, step.parse().ok()?)?,
            _ => return None,
        };
    }
    value(json, at)
}

/// Calls `each` with the elements of a list until it returns false; nothing for other values.
pub(crate) fn elements<'a>(list: &'a [u8], mut each: impl FnMut(Found<'a>) -> bool) {
    if list.first() != Some(&b'[') {
        return;
    }
    let mut at = white(list, 1);
    while list.get(at).is_some_and(|&b| b != b']') {
        let Some(found) = value(list, at) else { return };
        if !each(found) {
            return;
        }
        match next(list, at) {
            Some(after) => at = after,
            None => return,
        }
    }
}

/// The first position at or after `at` that is no white space.
fn white(json: &[u8], mut at: usize) -> usize {
    while matches!(json.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Where the value of a key starts in the object that opens at `at`.
fn member(json: &[u8], at: usize, key: &[u8]) -> Option<usize> {
    let mut at = white(json, at + 1);
    while json.get(at) == Some(&b'"') {
        let end = string_end(json, at)?;
        let colon = white(json, end);
        if json.get(colon) != Some(&b':') {
            return None;
        }
        let start = white(json, colon + 1);
        if is_key(json.get(at..end)?, key) {
            return Some(start);
        }
        at = next(json, start)?;
    }
    None
}

/// Whether a quoted key is the one that is sought.
fn is_key(quoted: &[u8], key: &[u8]) -> bool {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or(&[]);
    if inner == key {
        // A key that contains a backslash is spelt with two.
        return !key.contains(&b'\\');
    }
    // An escape never makes a text shorter than what it stands for.
    inner.len() > key.len()
        && inner.contains(&b'\\')
        && serde_json::from_slice::<String>(quoted).is_ok_and(|text| text.as_bytes() == key)
}

/// Where an element starts in the list that opens at `at`.
fn element(json: &[u8], at: usize, index: usize) -> Option<usize> {
    let mut at = white(json, at + 1);
    for _ in 0..index {
        at = next(json, at)?;
    }
    (*json.get(at)? != b']').then_some(at)
}

/// Behind the value at `at` and the comma after it; `None` at the end of the container.
fn next(json: &[u8], at: usize) -> Option<usize> {
    let after = white(json, skip(json, at)?);
    (json.get(after) == Some(&b',')).then(|| white(json, after + 1))
}

/// Behind the value at `at`.
fn skip(json: &[u8], at: usize) -> Option<usize> {
    match json.get(at)? {
        b'"' => string_end(json, at),
        b'{' | b'[' => container_end(json, at),
        _ => Some(at + scalar_length(&json[at..])).filter(|&end| end > at),
    }
}

fn scalar_length(json: &[u8]) -> usize {
    let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
    json.iter().position(ends).unwrap_or(json.len())
}

/// Behind the closing quote of the string that opens at `at`.
#[inline]
fn string_end(json: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += json.get(at..)?.iter().position(|&b| b == b'"' || b == b'\\')?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn container_end(json: &[u8], at: usize) -> Option<usize> {
    let (mut at, mut depth) = (at, 0usize);
    loop {
        match json.get(at)? {
            b'"' => {
                at = string_end(json, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

fn value(json: &[u8], at: usize) -> Option<Found<'_>> {
    let first = *json.get(at)?;
    Some(match first {
        b'"' => Found::Text(string(&json[at..string_end(json, at)?])?),
        b'{' | b'[' => Found::Container(&json[at..container_end(json, at)?]),
        b't' => Found::Bool(true),
        b'f' => Found::Bool(false),
        b'n' => Found::Null,
        _ => number(&json[at..at + scalar_length(&json[at..])])?,
    })
}

fn string(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let inner = quoted.get(1..quoted.len() - 1)?;
    if inner.contains(&b'\\') {
        return serde_json::from_slice(quoted).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

fn number(digits: &[u8]) -> Option<Found<'static>> {
    let text = std::str::from_utf8(digits).ok()?;
    if let Ok(v) = text.parse::<i64>() {
        return Some(Found::Int(v));
    }
    let v: f64 = text.parse().ok()?;
    v.is_finite().then_some(Found::Float(v))
}
