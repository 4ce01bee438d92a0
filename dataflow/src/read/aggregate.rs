//! Aggregates: one pass over the selected rows, a group and its states found by the row's values.

use std::cmp::Ordering;

use hashbrown::HashMap;
use millstream_catalog::model::{DataType, Fault, FieldId};
use millstream_segment::{ChunkRef, ColumnSlice, Selection};

use super::{ReadShard, Run, column_of, plan_of, selected};
use crate::api::{Aggregate, AggregateOp, AggregateRequest};
use crate::part::{AggregatePart, Cell, State, check_groups};

/// The groups of some shards and their aggregates.
pub(crate) fn aggregate(
    request: &AggregateRequest,
    shards: &[ReadShard],
    run: &Run,
) -> Result<AggregatePart, Fault> {
    let plan = plan_of(request.filter.as_ref())?;
    let mut groups = Groups::default();
    for shard in shards {
        let selection = selected(shard, run, &request.target.partitions, plan.as_ref())?;
        let index = |field: &FieldId| column_of(&selection, *field);
        let keys: Vec<usize> = request.group.iter().map(index).collect::<Result<_, Fault>>()?;
        let of = |a: &Aggregate| a.field.as_ref().map(index).transpose();
        let values: Vec<Option<usize>> =
            request.aggregates.iter().map(of).collect::<Result<_, Fault>>()?;
        groups.types(&selection, &keys, &values);
        for chunk in &selection.chunks {
            run.interest.check()?;
            groups.add(chunk, &keys, &values, &request.aggregates)?;
        }
    }
    if request.group.is_empty() && groups.part.keys.is_empty() {
        groups.push(Vec::new(), Vec::new(), request.aggregates.len())?;
    }
    Ok(groups.part)
}

#[derive(Default)]
struct Groups {
    places: HashMap<Vec<u8>, usize>,
    part: AggregatePart,
}

/// The values of a column of a chunk, and which rows have one.
struct Values<'c> {
    slice: ColumnSlice<'c>,
    validity: Option<&'c [u8]>,
}

impl<'c> Values<'c> {
    fn new(chunk: &'c ChunkRef, index: usize) -> Values<'c> {
        Values { slice: chunk.column(index), validity: chunk.validity(index) }
    }

    fn is_valid(&self, row: usize) -> bool {
        self.validity.is_none_or(|v| v[row] != 0)
    }

    fn int(&self, row: usize) -> Option<i64> {
        Some(match self.slice {
            ColumnSlice::Int8(v) => i64::from(v[row]),
            ColumnSlice::Int16(v) => i64::from(v[row]),
            ColumnSlice::Int32(v) => i64::from(v[row]),
            ColumnSlice::Int64(v) => v[row],
            _ => return None,
        })
    }

    fn float(&self, row: usize) -> Option<f64> {
        Some(match self.slice {
            ColumnSlice::Float(v) => f64::from(v[row]),
            ColumnSlice::Double(v) => v[row],
            _ => return None,
        })
    }

    fn text(&self, row: usize) -> Option<&'c [u8]> {
        match self.slice {
            ColumnSlice::Var { offsets, bytes } => {
                bytes.get(offsets[row] as usize..offsets[row + 1] as usize)
            }
            _ => None,
        }
    }

    fn cell(&self, row: usize) -> Cell {
        if !self.is_valid(row) {
            return Cell::Null;
        }
        if let Some(int) = self.int(row) {
            return Cell::Int(int);
        }
        if let Some(float) = self.float(row) {
            return Cell::Float(float);
        }
        match (self.slice, self.text(row)) {
            (ColumnSlice::Bool(v), _) => Cell::Bool(v[row] != 0),
            (_, Some(text)) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
            _ => Cell::Null,
        }
    }

    /// Appends the value so that only equal values append equal bytes.
    fn key(&self, row: usize, key: &mut Vec<u8>) {
        if !self.is_valid(row) {
            return key.push(0);
        }
        key.push(1);
        match self.slice {
            ColumnSlice::Bool(v) => key.push(v[row]),
            ColumnSlice::Var { .. } => {
                let text = self.text(row).unwrap_or_default();
                key.extend((text.len() as u32).to_le_bytes());
                key.extend_from_slice(text);
            }
            _ => key.extend(self.int(row).unwrap_or(0).to_le_bytes()),
        }
    }

    /// Compares a row's value with one that was kept, without making one of it.
    fn compare(&self, row: usize, kept: &Cell) -> Ordering {
        match kept {
            Cell::Int(kept) => self.int(row).unwrap_or(*kept).cmp(kept),
            Cell::Float(kept) => self.float(row).unwrap_or(*kept).total_cmp(kept),
            Cell::Text(kept) => self.text(row).unwrap_or(kept.as_bytes()).cmp(kept.as_bytes()),
            other => self.cell(row).compare(other),
        }
    }
}

impl Groups {
    fn types(&mut self, selection: &Selection, keys: &[usize], values: &[Option<usize>]) {
        let specs = selection.specs();
        self.part.group_types = keys.iter().map(|&i| specs[i].data_type).collect();
        let of = |i: &Option<usize>| i.map_or(DataType::Int64, |i| specs[i].data_type);
        self.part.types = values.iter().map(of).collect();
    }

    fn push(&mut self, key: Vec<u8>, cells: Vec<Cell>, aggregates: usize) -> Result<usize, Fault> {
        let place = self.part.keys.len();
        check_groups(place + 1, cells.len() + aggregates)?;
        self.places.insert(key.clone(), place);
        self.part.keys.push(key);
        self.part.cells.push(cells);
        self.part.states.push(vec![State::default(); aggregates]);
        Ok(place)
    }

    fn add(
        &mut self,
        chunk: &ChunkRef,
        keys: &[usize],
        values: &[Option<usize>],
        aggregates: &[Aggregate],
    ) -> Result<(), Fault> {
        let keys: Vec<Values<'_>> = keys.iter().map(|&i| Values::new(chunk, i)).collect();
        let values: Vec<Option<Values<'_>>> =
            values.iter().map(|i| i.map(|i| Values::new(chunk, i))).collect();
        let mut key = Vec::new();
        let mut failed = None;
        chunk.for_each(|row| {
            if failed.is_some() {
                return;
            }
            key.clear();
            keys.iter().for_each(|k| k.key(row, &mut key));
            let place = match self.places.get(&key) {
                Some(&place) => place,
                None => {
                    let cells = keys.iter().map(|k| k.cell(row)).collect();
                    match self.push(key.clone(), cells, aggregates.len()) {
                        Ok(place) => place,
                        Err(fault) => {
                            failed = Some(fault);
                            return;
                        }
                    }
                }
            };
            let states = self.part.states[place].iter_mut();
            for ((state, aggregate), values) in states.zip(aggregates).zip(&values) {
                observe(state, aggregate.op, values.as_ref(), row);
            }
        });
        failed.map_or(Ok(()), Err)
    }
}

/// Takes a row into a state.
fn observe(state: &mut State, op: AggregateOp, values: Option<&Values<'_>>, row: usize) {
    let Some(values) = values else {
        state.count += 1;
        return;
    };
    if !values.is_valid(row) {
        return;
    }
    state.count += 1;
    match op {
        AggregateOp::Count => {}
        AggregateOp::Sum | AggregateOp::Avg => {
            if let Some(int) = values.int(row) {
                state.ints = state.ints.saturating_add(i128::from(int));
            } else {
                state.floats += values.float(row).unwrap_or(0.0);
            }
        }
        AggregateOp::Min | AggregateOp::Max => {
            let takes = matches!(state.extreme, Cell::Null)
                || State::beats(op, values.compare(row, &state.extreme));
            if takes {
                state.extreme = values.cell(row);
            }
        }
    }
}
