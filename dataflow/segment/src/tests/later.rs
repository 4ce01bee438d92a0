//! Columns that come after rows: every row has its own value, the default or null, wherever it lies.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::model::{DataType, FieldId, PartitionId, Timestamp};
use proptest::prelude::*;

use super::support::{ALL, Columns, norms, specs, var, writer};
use crate::{
    Arrival, Batch, Chunk, ColumnInput, ColumnSlice, ColumnSpec, Corrupt, Expiry, FrozenColumn,
    FrozenRows, Input, Position, SealedRows, ShardView, ShardWriter, SlotState, Stored, StoredSlot,
    WriteError,
};

/// Columns that every shard has from its beginning.
const FIRST: usize = 6;

#[derive(Clone, Debug)]
enum Op {
    /// Rows of a partition, with or without values of their own in the columns that came later.
    Insert(i64, usize, bool),
    Add(u8),
    /// Sealed; the stored rows come as a schema knows them that is so many columns older.
    Seal(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1i64..3, 1usize..200, any::<bool>()).prop_map(|(p, n, own)| Op::Insert(p, n, own)),
        2 => (0u8..6).prop_map(Op::Add),
        2 => (0usize..4).prop_map(Op::Seal),
    ]
}

/// A column of some kind: of fixed or different lengths, with a default or null.
fn added(kind: u8, at: usize) -> ColumnSpec {
    let field = FieldId(200 + at as i64);
    let (data_type, default): (_, Option<&[u8]>) = match kind {
        0 => (DataType::Int64, None),
        1 => (DataType::Int32, Some(&[7, 0, 0, 0])),
        2 => (DataType::VarChar, None),
        3 => (DataType::VarChar, Some(b"default")),
        4 => (DataType::Bool, Some(&[1])),
        _ => (DataType::Json, None),
    };
    let default = default.map(Arc::from);
    ColumnSpec { nullable: true, default, ..ColumnSpec::new(field, data_type, 0) }
}

/// The value of a row in a column; some are null.
fn own(spec: &ColumnSpec, token: i64) -> Option<Vec<u8>> {
    let value = (token % 2).to_le_bytes();
    let text = || vec![b'x'; (token % 9) as usize];
    (token % 4 != 2).then(|| spec.width().map_or_else(text, |width| value[..width].to_vec()))
}

fn insert(shard: &mut ShardWriter, (partition, count, own_values): (i64, usize, bool), seq: u64) {
    let token = seq as i64 * 1_000;
    let keys: Vec<i64> = (token..token + count as i64).collect();
    let base = Columns::new(false, &keys, token);
    let specs = shard.view().specs();
    let later: Vec<_> = specs[FIRST..]
        .iter()
        .map(|spec| {
            let values: Vec<_> = keys.iter().map(|token| own(spec, *token)).collect();
            let valid: Vec<u8> = values.iter().map(|v| u8::from(v.is_some())).collect();
            let null = vec![0; spec.width().unwrap_or(0)];
            (var(values.into_iter().map(|v| v.unwrap_or(null.clone()))), valid)
        })
        .collect();
    let mut inputs = base.inputs(ALL);
    for (spec, ((offsets, bytes), valid)) in
        specs[FIRST..].iter().zip(&later).filter(|_| own_values)
    {
        let values = match spec.width() {
            Some(_) => Input::Fixed(bytes),
            None => Input::Var { offsets, bytes },
        };
        inputs.push((spec.field, ColumnInput { values, validity: Some(valid) }));
    }
    let batch = Batch { rows: count, columns: &inputs };
    shard.begin(Position { seq, index: 0 });
    shard.insert(PartitionId(partition), Timestamp(seq), &batch, &mut Vec::new()).unwrap();
}

/// What the columns that came later hold, by token.
type Held = BTreeMap<i64, Vec<Option<Vec<u8>>>>;

fn held(view: &ShardView) -> Held {
    let selection = view.select(Timestamp(u64::MAX - 1), &[]);
    let mut held = Held::new();
    for chunk in &selection.chunks {
        let ColumnSlice::Int64(tokens) = chunk.column(2) else { panic!("tokens are Int64") };
        chunk.for_each(|row| {
            let value = |column| chunk.chunk.value(column, row).map(<[u8]>::to_vec);
            let values = (FIRST..selection.specs().len()).map(value).collect();
            assert!(held.insert(tokens[row], values).is_none(), "a row is there once");
        });
    }
    held
}

/// Copies the rows of chunks as a file holds them: without the columns that all of them lack.
fn copied(specs: &[ColumnSpec], chunks: &[Arc<Chunk>]) -> FrozenRows {
    let own = chunks.iter().map(|chunk| chunk.own_columns()).max().unwrap();
    let rows = || chunks.iter().flat_map(|chunk| (0..chunk.rows()).map(move |row| (chunk, row)));
    let column = |(at, spec): (usize, &ColumnSpec)| {
        let null = vec![0; spec.width().unwrap_or(0)];
        let value = |(chunk, row): (&Arc<Chunk>, usize)| {
            chunk.value(at, row).map_or(null.clone(), <[u8]>::to_vec)
        };
        let (offsets, values) = var(rows().map(value));
        let inv_norms: Vec<u8> = chunks
            .iter()
            .flat_map(|chunk| match chunk.column(at, chunk.rows()) {
                ColumnSlice::Vector { inv_norms, .. } => inv_norms.to_vec(),
                _ => Vec::new(),
            })
            .flat_map(f32::to_le_bytes)
            .collect();
        let valid = rows().map(|(chunk, row)| u8::from(chunk.value(at, row).is_some()));
        FrozenColumn {
            values: values.into(),
            offsets: spec.width().is_none().then(|| offsets.into()),
            inv_norms: (!inv_norms.is_empty()).then(|| inv_norms.into()),
            validity: Some(valid.collect::<Vec<u8>>().into()),
        }
    };
    let mut arrivals: Vec<Arrival> = Vec::new();
    let mut base = 0;
    for chunk in chunks {
        arrivals.extend(chunk.arrivals(chunk.rows()).map(|a| Arrival { row: a.row + base, ..a }));
        base += chunk.rows() as u32;
    }
    let columns = specs.iter().enumerate().take(own).map(column).collect();
    FrozenRows { rows: rows().count(), columns, arrivals, numbers: Vec::new() }
}

/// A shard that is loaded from what was written out.
fn loaded(
    specs: &[ColumnSpec],
    slots: &[SlotState],
    files: &[(SealedRows, FrozenRows)],
    applied: Position,
) -> ShardWriter {
    let slot = |(slot, &state): (u32, &SlotState)| {
        let of_slot = files.iter().filter(|(rows, _)| rows.slot == slot);
        let chunks = of_slot.flat_map(|(rows, frozen)| {
            frozen.chunks(specs, (1, rows.first_row)).expect("rows that fit")
        });
        StoredSlot { state, chunks: chunks.collect() }
    };
    let stored = Stored {
        applied,
        closed: Timestamp(applied.seq),
        since: Timestamp(0),
        expiry: Expiry::default(),
        slots: (0u32..).zip(slots).map(slot).collect(),
        ends: Vec::new(),
    };
    ShardWriter::load(specs.to_vec(), 1, norms, stored).expect("a shard that fits").0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_row_has_its_value_or_the_default_in_columns_that_came_later(
        ops in prop::collection::vec(op(), 1..16),
    ) {
        let mut shard = writer(false);
        let view = shard.view();
        let (mut expected, mut files) = (Held::new(), Vec::new());
        for (seq, op) in (1u64..).zip(&ops) {
            match *op {
                Op::Insert(partition, count, own_values) => {
                    insert(&mut shard, (partition, count, own_values), seq);
                    let specs = view.specs();
                    let default = |spec: &ColumnSpec| spec.default.as_ref().map(|d| d.to_vec());
                    for token in (0..count as i64).map(|i| seq as i64 * 1_000 + i) {
                        let of = |s| if own_values { own(s, token) } else { default(s) };
                        expected.insert(token, specs[FIRST..].iter().map(of).collect());
                    }
                }
                Op::Add(kind) => {
                    let spec = added(kind, view.specs().len());
                    let default = spec.default.as_ref().map(|d| d.to_vec());
                    shard.add_columns(vec![spec]).unwrap();
                    expected.values_mut().for_each(|values| values.push(default.clone()));
                }
                Op::Seal(older) => {
                    let specs = view.specs();
                    for rows in shard.seal().rows {
                        let frozen = copied(&specs, &rows.chunks);
                        let known = specs.len() - older.min(specs.len() - FIRST);
                        let known = known.max(frozen.columns.len());
                        let chunks = frozen.chunks(&specs[..known], (1, rows.first_row)).unwrap();
                        shard.freeze(rows.slot, rows.first_row, rows.rows, &chunks);
                        files.push((rows, frozen));
                    }
                }
            }
            prop_assert_eq!(held(&view), expected.clone(), "after {:?}", op);
        }
        let sealed = shard.seal();
        let specs = view.specs();
        for rows in sealed.rows {
            let frozen = copied(&specs, &rows.chunks);
            files.push((rows, frozen));
        }
        files.sort_by_key(|(rows, _)| (rows.slot, rows.first_row));
        let mut shard = loaded(&specs, &sealed.slots, &files, sealed.applied);
        prop_assert_eq!(held(&shard.view()), expected.clone());
        // Rows may come after that as before.
        insert(&mut shard, (1, 3, true), 100);
        prop_assert_eq!(held(&shard.view()).len(), expected.len() + 3);
    }
}

#[test]
fn a_column_that_rows_cannot_lack_is_refused_and_changes_nothing() {
    let mut shard = writer(false);
    insert(&mut shard, (1, 10, false), 1);
    let required = ColumnSpec::new(FieldId(300), DataType::Int64, 0);
    let vector =
        ColumnSpec { nullable: true, ..ColumnSpec::new(FieldId(301), DataType::FloatVector, 2) };
    for (spec, field) in [(required.clone(), 300), (vector, 301)] {
        let refused = shard.add_columns(vec![added(0, 6), spec]);
        assert_eq!(refused, Err(WriteError::Column(FieldId(field))));
        assert_eq!(shard.view().specs().len(), FIRST);
    }
    let rows = shard.seal().rows;
    let frozen = copied(&specs(false), &rows[0].chunks);
    let all = [specs(false), vec![required]].concat();
    assert_eq!(frozen.chunks(&all, (1, 0)).err(), Some(Corrupt::Column(FieldId(300))));
}

#[test]
fn a_snapshot_keeps_the_columns_that_it_began_with() {
    let mut shard = writer(false);
    insert(&mut shard, (1, 100, false), 1);
    let before = shard.view().select(Timestamp(1), &[]);
    shard.add_columns(vec![added(3, 6)]).unwrap();
    insert(&mut shard, (1, 100, true), 2);
    assert_eq!((before.specs().len(), before.count()), (FIRST, 100));
    let after = shard.view().select(Timestamp(2), &[]);
    assert_eq!((after.specs().len(), after.count()), (FIRST + 1, 200));
    assert_eq!(after.chunks.len(), 2, "rows with values of their own have their own chunks");
    assert_eq!(after.chunks[0].chunk.own_columns(), FIRST);
}
