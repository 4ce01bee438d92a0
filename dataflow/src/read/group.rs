//! Numbers for the groups of a grouped search: rows of equal values have equal numbers.

use hashbrown::HashMap;
use millstream_catalog::model::Fault;
use millstream_segment::{ColumnSlice, Selection};
use parking_lot::Mutex;

use super::column_of;
use crate::api::{Column, GroupBy, Values};

/// A value that rows are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a [u8]),
}

/// The number of a group that is not among those asked for.
const OTHER: u64 = u64::MAX;

/// The numbers of groups.
enum Numbers<'a> {
    /// Given as values come up.
    Growing(Mutex<HashMap<Value<'a>, u64>>),
    /// Only these have one.
    Chosen(HashMap<Value<'a>, u64>),
}

/// The group of each row of a selection.
pub(super) struct Groups<'a> {
    /// First number and values of each chunk, and which rows have one.
    chunks: Vec<(u32, ColumnSlice<'a>, Option<&'a [u8]>)>,
    numbers: Numbers<'a>,
    /// The chosen groups of each query.
    pub(super) chosen: Vec<Vec<u64>>,
}

impl<'a> Groups<'a> {
    pub(super) fn new(selection: &'a Selection, by: &'a GroupBy) -> Result<Groups<'a>, Fault> {
        let column = column_of(selection, by.field)?;
        let chunk =
            |c: &'a millstream_segment::ChunkRef| (c.base, c.column(column), c.validity(column));
        let chunks = selection.chunks.iter().map(chunk).collect();
        let Some((counts, values)) = &by.only else {
            let numbers = Numbers::Growing(Mutex::default());
            return Ok(Groups { chunks, numbers, chosen: Vec::new() });
        };
        let mut numbers = HashMap::new();
        let mut rows = 0..values.values.len();
        let mut of_query = |&count: &u32| {
            let rows = rows.by_ref().take(count as usize);
            let number = |row| {
                let next = numbers.len() as u64;
                *numbers.entry(answered(values, row)).or_insert(next)
            };
            rows.map(number).collect()
        };
        let chosen = counts.iter().map(&mut of_query).collect();
        Ok(Groups { chunks, numbers: Numbers::Chosen(numbers), chosen })
    }

    /// The number of a row's group.
    pub(super) fn of(&self, number: u32) -> u64 {
        let after = self.chunks.partition_point(|(base, ..)| *base <= number);
        let (base, slice, validity) = &self.chunks[after.saturating_sub(1)];
        let row = (number - base) as usize;
        let value =
            if validity.is_some_and(|v| v[row] == 0) { Value::Null } else { value(slice, row) };
        match &self.numbers {
            Numbers::Chosen(numbers) => numbers.get(&value).copied().unwrap_or(OTHER),
            Numbers::Growing(numbers) => {
                let mut numbers = numbers.lock();
                let next = numbers.len() as u64;
                *numbers.entry(value).or_insert(next)
            }
        }
    }
}

fn value<'a>(slice: &ColumnSlice<'a>, row: usize) -> Value<'a> {
    match *slice {
        ColumnSlice::Bool(v) => Value::Int(i64::from(v[row])),
        ColumnSlice::Int8(v) => Value::Int(i64::from(v[row])),
        ColumnSlice::Int16(v) => Value::Int(i64::from(v[row])),
        ColumnSlice::Int32(v) => Value::Int(i64::from(v[row])),
        ColumnSlice::Int64(v) => Value::Int(v[row]),
        ColumnSlice::Var { offsets, bytes } => {
            Value::Text(&bytes[offsets[row] as usize..offsets[row + 1] as usize])
        }
        _ => Value::Null,
    }
}

/// A value of an answer.
fn answered(column: &Column, row: usize) -> Value<'_> {
    if !column.is_valid(row) {
        return Value::Null;
    }
    let int = |v: Option<i64>| v.map_or(Value::Null, Value::Int);
    match &column.values {
        Values::Bool(v) => int(v.get(row).map(|&v| i64::from(v))),
        Values::Int(v) => int(v.get(row).map(|&v| i64::from(v))),
        Values::Long(v) => int(v.get(row).copied()),
        Values::Text(v) => v.get(row).map_or(Value::Null, |v| Value::Text(v.as_bytes())),
        _ => Value::Null,
    }
}
