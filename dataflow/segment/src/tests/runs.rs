//! Batches whose rows go to several partitions, against a naive model.

use std::collections::BTreeMap;

use millstream_catalog::model::{PartitionId, Timestamp};
use proptest::prelude::*;

use super::support::{ALL, Columns, insert, rows, writer};
use crate::{Applied, Batch, Ends, Keys, Position, Run, Scope, WriteError};

/// Where rows of an update go whose keys have no row.
const OTHER: i64 = 9;

/// Keys of rows, partition by partition.
type Spread = Vec<(i64, Vec<i64>)>;

#[derive(Clone, Debug)]
enum Op {
    Insert(Spread),
    Upsert(Spread),
    /// New tokens for rows that stay where they are.
    Update(Vec<i64>),
    Delete(Vec<i64>),
}

fn op() -> impl Strategy<Value = Op> {
    let keys = |most| prop::collection::vec(0i64..30, 0..most);
    let spread = move || prop::collection::vec((0i64..5, keys(40)), 1..6);
    prop_oneof![
        3 => spread().prop_map(Op::Insert),
        3 => spread().prop_map(Op::Upsert),
        2 => keys(40).prop_map(Op::Update),
        1 => keys(10).prop_map(Op::Delete),
    ]
}

fn keys_of(spread: &Spread) -> Vec<i64> {
    spread.iter().flat_map(|(_, keys)| keys).copied().collect()
}

fn runs_of(spread: &Spread) -> Vec<Run> {
    let run = |(partition, keys): &(i64, Vec<i64>)| Run {
        partition: PartitionId(*partition),
        rows: keys.len() as u32,
    };
    spread.iter().map(run).collect()
}

/// Live rows: partition, key and token, oldest first.
#[derive(Default)]
struct Model(Vec<(i64, i64, i64)>);

impl Model {
    fn end(&mut self, keys: &[i64]) {
        self.0.retain(|(_, key, _)| !keys.contains(key));
    }

    fn append(&mut self, spread: &Spread, mut token: i64) {
        for (partition, keys) in spread {
            for key in keys {
                self.0.push((*partition, *key, token));
                token += 1;
            }
        }
    }

    fn apply(&mut self, op: &Op, token: i64) {
        match op {
            Op::Insert(spread) => self.append(spread, token),
            Op::Upsert(spread) => {
                self.end(&keys_of(spread));
                self.append(spread, token);
            }
            Op::Update(keys) => {
                let place = |key: &i64| self.0.iter().rfind(|row| row.1 == *key).map(|row| row.0);
                let stay = |key: &i64| (place(key).unwrap_or(OTHER), vec![*key]);
                let spread: Spread = keys.iter().map(stay).collect();
                self.end(keys);
                self.append(&spread, token);
            }
            Op::Delete(keys) => self.end(keys),
        }
    }

    fn tokens(&self, partition: i64) -> Vec<i64> {
        let mine = self.0.iter().filter(|row| row.0 == partition);
        let mut tokens: Vec<i64> = mine.map(|row| row.2).collect();
        tokens.sort_unstable();
        tokens
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn rows_of_one_batch_reach_their_partitions_and_end_there(
        ops in prop::collection::vec(op(), 1..16),
        text in any::<bool>(),
    ) {
        let (mut shard, mut model) = (writer(text), Model::default());
        let mut token = 0;
        for (seq, op) in (1u64..).zip(&ops) {
            let keys = match op {
                Op::Insert(spread) | Op::Upsert(spread) => keys_of(spread),
                Op::Update(keys) | Op::Delete(keys) => keys.clone(),
            };
            let columns = Columns::new(text, &keys, token);
            let (eff, mut changed) = (Timestamp(seq), Vec::new());
            let batch = Batch { rows: columns.rows, columns: &columns.inputs(ALL) };
            let ends = Ends { scope: Scope::All, keys: None };
            shard.begin(Position { seq, index: 0 });
            match op {
                Op::Insert(spread) => {
                    let to = runs_of(spread);
                    let made = shard.insert_runs(&to, eff, &batch, &mut changed).unwrap();
                    prop_assert!(made.iter().zip(&to).all(|(a, run)| a.rows == run.rows));
                }
                Op::Upsert(spread) => {
                    let to = runs_of(spread);
                    shard.upsert_runs(&to, eff, &ends, &batch, &mut changed).unwrap();
                }
                Op::Update(_) => {
                    let some = columns.inputs([false, true, true]);
                    let batch = Batch { rows: columns.rows, columns: &some };
                    let origins = shard.origins(eff, &ends, &batch).unwrap();
                    let to = shard.runs_of(&origins, batch.rows, PartitionId(OTHER));
                    let made = (&batch, &origins);
                    shard.update_runs(&to, eff, &ends, made, &mut changed).unwrap();
                }
                Op::Delete(_) => {
                    let keys = Keys::new(columns.keys(), columns.rows);
                    shard.delete(Scope::All, eff, keys, &mut changed);
                }
            }
            let before: BTreeMap<i64, usize> =
                (0..10).map(|p| (p, model.tokens(p).len())).collect();
            model.apply(op, token);
            token += keys.len() as i64;
            for (partition, before) in before {
                let expected = model.tokens(partition);
                let seen = rows(&shard.view(), seq, &[partition], false);
                let seen: Vec<i64> = seen.iter().map(|row| row.token).collect();
                let delta = expected.len() as i64 - before as i64;
                prop_assert_eq!(seen, expected, "partition {} after {:?}", partition, op);
                let noted = |c: &&Applied| c.partition == PartitionId(partition);
                prop_assert_eq!(changed.iter().filter(noted).map(|c| c.rows).sum::<i64>(), delta);
            }
        }
    }
}

#[test]
fn runs_that_are_not_as_long_as_their_batch_are_refused_and_change_nothing() {
    let mut shard = writer(false);
    let columns = Columns::new(false, &[1, 2], 0);
    let batch = Batch { rows: 2, columns: &columns.inputs(ALL) };
    shard.begin(Position { seq: 1, index: 0 });
    insert(&mut shard, 1, 1, &batch).unwrap();
    let refused = Err(WriteError::Runs { rows: 2, actual: 3 });
    let long = [Run { partition: PartitionId(1), rows: 3 }];
    let ends = Ends { scope: Scope::All, keys: None };
    shard.begin(Position { seq: 2, index: 0 });
    let eff = Timestamp(2);
    assert_eq!(shard.insert_runs(&long, eff, &batch, &mut Vec::new()), refused);
    assert_eq!(shard.upsert_runs(&long, eff, &ends, &batch, &mut Vec::new()), refused);
    assert_eq!(rows(&shard.view(), 2, &[], false).len(), 2);
}

#[test]
fn a_read_of_some_partitions_looks_at_their_rows_only() {
    let mut shard = writer(false);
    let keys: Vec<i64> = (0..100).collect();
    let columns = Columns::new(false, &keys, 0);
    let batch = Batch { rows: 100, columns: &columns.inputs(ALL) };
    let to: Vec<Run> = (0..10).map(|p| Run { partition: PartitionId(p), rows: 10 }).collect();
    shard.begin(Position { seq: 1, index: 0 });
    shard.insert_runs(&to, Timestamp(1), &batch, &mut Vec::new()).unwrap();
    let view = shard.view();
    assert_eq!(view.rows(&[]), 100);
    assert_eq!(view.rows(&[PartitionId(3), PartitionId(7)]), 20);
    assert_eq!(view.rows(&[PartitionId(77)]), 0);
}
