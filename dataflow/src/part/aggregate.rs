//! Groups of rows and their aggregates: partial states that merge, and the columns they become.

use std::cmp::Ordering;

use hashbrown::HashMap;
use millstream_catalog::model::{Code, DataType, Fault, FieldId, Timestamp};
use serde::{Deserialize, Serialize};

use super::null_order;
use crate::api::{
    Aggregate, AggregateOp, AggregateReply, AggregateRequest, Column, OrderBy, Values,
};

/// The most groups of one answer.
const GROUPS_MAX: usize = 1_000_000;
/// The most values of all groups of one answer, those that make them and their aggregates: about
/// 500 MB on their way.
const VALUES_MAX: usize = 8_000_000;

/// One scalar value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl Cell {
    /// The order of two values of one type; values of different types are equal.
    pub(crate) fn compare(&self, other: &Cell) -> Ordering {
        match (self, other) {
            (Cell::Bool(a), Cell::Bool(b)) => a.cmp(b),
            (Cell::Int(a), Cell::Int(b)) => a.cmp(b),
            (Cell::Float(a), Cell::Float(b)) => a.total_cmp(b),
            (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Cell::Null)
    }
}

/// What is known of one aggregate of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Values seen.
    pub(crate) count: u64,
    /// Their sum, over integers.
    pub(crate) ints: i128,
    /// Their sum, over floats.
    pub(crate) floats: f64,
    /// The smallest or largest.
    pub(crate) extreme: Cell,
}

impl Default for State {
    fn default() -> State {
        State { count: 0, ints: 0, floats: 0.0, extreme: Cell::Null }
    }
}

impl State {
    /// Whether a value takes the place of the extreme one.
    pub(crate) fn beats(op: AggregateOp, order: Ordering) -> bool {
        match op {
            AggregateOp::Min => order.is_lt(),
            AggregateOp::Max => order.is_gt(),
            AggregateOp::Count | AggregateOp::Sum | AggregateOp::Avg => false,
        }
    }

    fn absorb(&mut self, op: AggregateOp, other: State) {
        self.count += other.count;
        self.ints = self.ints.saturating_add(other.ints);
        self.floats += other.floats;
        let takes = self.extreme.is_null() || Self::beats(op, other.extreme.compare(&self.extreme));
        if !other.extreme.is_null() && takes {
            self.extreme = other.extreme;
        }
    }
}

/// Groups: the values that make each, and the states of its aggregates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct AggregatePart {
    /// Types of the group fields.
    pub(crate) group_types: Vec<DataType>,
    /// Type of the field of each aggregate; Int64 for counts of rows.
    pub(crate) types: Vec<DataType>,
    /// Encoded values of each group, to find it again.
    pub(crate) keys: Vec<Vec<u8>>,
    /// The values.
    pub(crate) cells: Vec<Vec<Cell>>,
    /// The states, one an aggregate.
    pub(crate) states: Vec<Vec<State>>,
}

/// Refuses more groups than an answer may have that has so many values for each.
pub(crate) fn check_groups(groups: usize, values: usize) -> Result<(), Fault> {
    let most = GROUPS_MAX.min(VALUES_MAX / values.max(1));
    if groups <= most {
        return Ok(());
    }
    let text = format!(
        "the answer has more than {most} groups of {values} values: filter it, group by less, or \
         ask for fewer aggregates"
    );
    Err(Fault::new(Code::ParameterTooLarge, text))
}

impl AggregatePart {
    /// All groups of all parts.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn merge(
        parts: Vec<AggregatePart>,
        aggregates: &[Aggregate],
    ) -> Result<AggregatePart, Fault> {
        let mut parts = parts.into_iter();
        let mut whole = parts.next().unwrap_or_default();
        let mut places: Option<HashMap<Vec<u8>, usize>> = None;
        for part in parts {
            let places =
                places.get_or_insert_with(|| whole.keys.iter().cloned().zip(0..).collect());
            for ((key, cells), states) in part.keys.into_iter().zip(part.cells).zip(part.states) {
                let Some(&place) = places.get(&key) else {
                    places.insert(key.clone(), whole.keys.len());
                    whole.keys.push(key);
                    whole.cells.push(cells);
                    whole.states.push(states);
                    continue;
                };
                let known = whole.states[place].iter_mut();
                for ((known, more), aggregate) in known.zip(states).zip(aggregates) {
                    known.absorb(aggregate.op, more);
                }
            }
            check_groups(whole.keys.len(), whole.group_types.len() + aggregates.len())?;
        }
        Ok(whole)
    }

    /// The answer: groups in their order, cut to the page that is asked for.
    ///
    /// # Errors
    /// When a sum does not fit its type.
    pub(crate) fn reply(
        self,
        request: &AggregateRequest,
        as_of: Timestamp,
    ) -> Result<AggregateReply, Fault> {
        let mut groups: Vec<usize> = (0..self.keys.len()).collect();
        groups.sort_by(|&a, &b| compare(request, &self.cells[a], &self.cells[b]));
        let offset = usize::try_from(request.offset).unwrap_or(usize::MAX);
        let limit = request.limit.map_or(usize::MAX, |l| usize::try_from(l).unwrap_or(usize::MAX));
        let page: Vec<usize> = groups.into_iter().skip(offset).take(limit).collect();
        let group = request.group.iter().zip(&self.group_types).enumerate();
        let group = group.map(|(i, (&field, &data_type))| {
            column(field, data_type, page.iter().map(|&g| self.cells[g][i].clone()))
        });
        let group = group.collect();
        let mut aggregates = Vec::with_capacity(request.aggregates.len());
        for (i, aggregate) in request.aggregates.iter().enumerate() {
            let (data_type, cells) = self.finished(i, *aggregate, &page)?;
            let field = aggregate.field.unwrap_or(FieldId(0));
            aggregates.push(column(field, data_type, cells.into_iter()));
        }
        Ok(AggregateReply { as_of, group, aggregates })
    }

    /// The values of one aggregate, and their type.
    fn finished(
        &self,
        index: usize,
        aggregate: Aggregate,
        page: &[usize],
    ) -> Result<(DataType, Vec<Cell>), Fault> {
        let of = self.types.get(index).copied().unwrap_or(DataType::Int64);
        let states = page.iter().map(|&group| &self.states[group][index]);
        Ok(match aggregate.op {
            AggregateOp::Count => {
                let count = |s: &State| Cell::Int(i64::try_from(s.count).unwrap_or(i64::MAX));
                (DataType::Int64, states.map(count).collect())
            }
            AggregateOp::Min | AggregateOp::Max => {
                (of, states.map(|s| s.extreme.clone()).collect())
            }
            AggregateOp::Avg => {
                let mean = |s: &State| match s.count {
                    0 => Cell::Null,
                    n if of.is_integer() => Cell::Float(s.ints as f64 / n as f64),
                    n => Cell::Float(s.floats / n as f64),
                };
                (DataType::Double, states.map(mean).collect())
            }
            AggregateOp::Sum if of.is_integer() => {
                let sum = |s: &State| match s.count {
                    0 => Ok(Cell::Null),
                    _ => i64::try_from(s.ints).map(Cell::Int).map_err(|_| {
                        Fault::invalid(format!("the sum {} does not fit an Int64", s.ints))
                    }),
                };
                (DataType::Int64, states.map(sum).collect::<Result<_, _>>()?)
            }
            AggregateOp::Sum => {
                let sum = |s: &State| match s.count {
                    0 => Cell::Null,
                    _ => Cell::Float(s.floats),
                };
                (DataType::Double, states.map(sum).collect())
            }
        })
    }
}

/// The order of two groups: as asked for, then by their values.
fn compare(request: &AggregateRequest, a: &[Cell], b: &[Cell]) -> Ordering {
    let asked = request.order.iter().filter_map(|step| {
        let at = request.group.iter().position(|field| *field == step.field)?;
        Some((at, *step))
    });
    let rest = (0..request.group.len()).map(|at| {
        let field = request.group[at];
        (at, OrderBy { field, descending: false, nulls_first: false })
    });
    asked
        .chain(rest)
        .map(|(at, step)| by_step(step, &a[at], &b[at]))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn by_step(step: OrderBy, a: &Cell, b: &Cell) -> Ordering {
    if a.is_null() || b.is_null() {
        return null_order(step, !a.is_null(), !b.is_null());
    }
    let order = a.compare(b);
    if step.descending { order.reverse() } else { order }
}

/// A column of values.
fn column(field: FieldId, data_type: DataType, cells: impl Iterator<Item = Cell>) -> Column {
    let cells: Vec<Cell> = cells.collect();
    let nulls = cells.iter().any(Cell::is_null);
    let validity = nulls.then(|| cells.iter().map(|c| !c.is_null()).collect());
    macro_rules! values {
        ($variant:ident, $pattern:pat => $value:expr) => {
            Values::$variant(
                cells
                    .into_iter()
                    .map(|cell| match cell {
                        $pattern => $value,
                        _ => Default::default(),
                    })
                    .collect(),
            )
        };
    }
    let values = match data_type {
        DataType::Bool => values!(Bool, Cell::Bool(v) => v),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => {
            values!(Int, Cell::Int(v) => i32::try_from(v).unwrap_or_default())
        }
        DataType::Float => values!(Float, Cell::Float(v) => v as f32),
        DataType::Double => values!(Double, Cell::Float(v) => v),
        DataType::VarChar => values!(Text, Cell::Text(v) => v),
        _ => values!(Long, Cell::Int(v) => v),
    };
    Column { field, data_type, values, validity }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_bounded_together_with_the_values_of_each() {
        assert!(check_groups(1_000_000, 8).is_ok() && check_groups(1_000_001, 0).is_err());
        assert!(check_groups(8_000, 1_000).is_ok());
        let fault = check_groups(8_001, 1_000).unwrap_err();
        assert_eq!(fault.code, Code::ParameterTooLarge);
        assert!(fault.message.contains("more than 8000 groups of 1000 values"), "{fault}");
    }

    #[test]
    fn a_merge_of_parts_has_no_more_groups_than_one_part_may_have() {
        let part = |from: u32| AggregatePart {
            group_types: vec![DataType::Int64],
            types: vec![DataType::Int64; 999],
            keys: (from..from + 5_000).map(|key| key.to_le_bytes().to_vec()).collect(),
            cells: (0..5_000).map(|key| vec![Cell::Int(key)]).collect(),
            states: vec![Vec::new(); 5_000],
        };
        let aggregates = [Aggregate { op: AggregateOp::Count, field: None }; 999];
        let merge = |parts| AggregatePart::merge(parts, &aggregates);
        assert_eq!(merge(vec![part(0), part(3_000)]).unwrap().keys.len(), 8_000);
        assert!(merge(vec![part(0), part(3_001)]).is_err());
    }
}
