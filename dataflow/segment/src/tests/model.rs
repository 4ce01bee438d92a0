//! A shard against a naive model: a list of rows with a begin and an end.

use std::collections::BTreeMap;

use millstream_catalog::model::{PartitionId, Timestamp};
use proptest::prelude::*;

use super::support::{
    ALL, Columns, Given, RANK, SCORE_DEFAULT, Seen, note, rank, rows, score, seen, writer,
};
use crate::{
    Applied, Batch, ColumnSlice, Ends, Keys, Position, Scope, ShardView, ShardWriter, WriteError,
};

#[derive(Clone, Debug)]
pub(super) enum Op {
    Insert(i64, Vec<i64>, Given),
    Upsert(Write),
    Update(Write),
    Delete(Option<i64>, Vec<i64>),
    /// Deletes the rows whose token is a multiple of this.
    DeleteTokens(i64),
    PartitionDrop(i64),
    Truncate,
    /// Rows expire this many milliseconds after they came.
    SetTtl(Option<u64>),
}

#[derive(Clone, Debug)]
pub(super) struct Write {
    partition: i64,
    keys: Vec<i64>,
    /// The ended keys are the new ones and this, if they are others.
    old: Option<i64>,
    everywhere: bool,
    given: Given,
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let keys = || prop::collection::vec(0i64..25, 1..90);
    let partition = || 0i64..3;
    let given = || (any::<bool>(), any::<bool>()).prop_map(|(note, score)| [note, score, true]);
    let write = |given: BoxedStrategy<Given>| {
        (partition(), keys(), prop::option::weighted(0.3, 0i64..9), any::<bool>(), given).prop_map(
            |(partition, keys, old, everywhere, given)| Write {
                partition,
                keys,
                old,
                everywhere,
                given,
            },
        )
    };
    prop_oneof![
        4 => (partition(), keys(), given()).prop_map(|(p, k, g)| Op::Insert(p, k, g)),
        3 => write(given().boxed()).prop_map(Op::Upsert),
        4 => write(any::<Given>().boxed()).prop_map(Op::Update),
        3 => (prop::option::of(partition()), keys()).prop_map(|(p, k)| Op::Delete(p, k)),
        1 => (2i64..6).prop_map(Op::DeleteTokens),
        1 => (1i64..3).prop_map(Op::PartitionDrop),
        1 => Just(Op::Truncate),
        1 => prop::option::weighted(0.7, 0u64..8).prop_map(Op::SetTtl),
    ]
}

impl Write {
    fn ended(&self) -> Vec<i64> {
        self.keys.iter().map(|key| key + self.old.unwrap_or(0)).collect()
    }

    fn covers(&self, partition: i64) -> bool {
        self.everywhere || partition == self.partition
    }
}

#[derive(Clone, Debug)]
struct Row {
    partition: i64,
    key: i64,
    begin: u64,
    end: u64,
    seen: Seen,
}

#[derive(Default)]
pub(super) struct Model {
    rows: Vec<Row>,
    pub(super) next_token: i64,
    /// Times to live with the times from which they held.
    ttls: Vec<(u64, Option<u64>)>,
}

/// The times at which ops of a test happen, and are looked at.
pub(super) fn moment(ms: u64) -> u64 {
    Timestamp::from_ms(ms).0
}

impl Model {
    fn end(&mut self, eff: u64, which: impl Fn(&Row) -> bool) {
        for row in self.rows.iter_mut().filter(|r| r.end == u64::MAX) {
            if which(row) {
                row.end = eff;
            }
        }
    }

    /// Rows that came by this time are expired at `at`; none when 0.
    fn expired(&self, at: u64) -> u64 {
        let mut expired = 0;
        for (i, (from, ttl)) in self.ttls.iter().enumerate().filter(|(_, ttl)| ttl.0 <= at) {
            // It held until just before the next one came; of two at one time the later one did.
            let until = self.ttls.get(i + 1).map_or(at, |next| at.min(next.0 - 1));
            if until < *from {
                continue;
            }
            expired = expired.max(ttl.map_or(0, |ttl| until.saturating_sub(moment(ttl))));
        }
        expired
    }

    /// Rows that did not end, expired or not.
    pub(super) fn live(&self) -> i64 {
        self.rows.iter().filter(|r| r.end == u64::MAX).count() as i64
    }

    /// Rows that did not end and are expired at a time.
    fn expired_live(&self, at: u64) -> i64 {
        let expired = self.expired(at);
        let gone = self.rows.iter().filter(|r| r.end == u64::MAX && r.begin <= expired);
        gone.count() as i64
    }

    /// Appends rows; `older` has what a row is completed from.
    fn insert(
        &mut self,
        partition: i64,
        keys: &[i64],
        given: Given,
        older: &[Option<Seen>],
        eff: u64,
    ) {
        for (i, &key) in keys.iter().enumerate() {
            let token = self.next_token;
            self.next_token += 1;
            let older = older.get(i).cloned().flatten().unwrap_or(Seen {
                token,
                note: None,
                score: Some(SCORE_DEFAULT),
                rank: 0,
            });
            let seen = Seen {
                token,
                note: if given[0] { note(token) } else { older.note },
                score: if given[1] { score(token) } else { older.score },
                rank: if given[2] { rank(token) } else { older.rank },
            };
            self.rows.push(Row { partition, key, begin: eff, end: u64::MAX, seen });
        }
    }

    /// Applies an op; for an update that cannot be completed, the first row that lacks a rank.
    pub(super) fn apply(&mut self, op: &Op, eff: u64) -> Result<(), usize> {
        match op {
            Op::Insert(p, keys, given) => self.insert(*p, keys, *given, &[], eff),
            Op::Upsert(w) => {
                let ended = w.ended();
                self.end(eff, |r| w.covers(r.partition) && ended.contains(&r.key));
                self.insert(w.partition, &w.keys, w.given, &[], eff);
            }
            Op::Update(w) => {
                let ended = w.ended();
                let expired = self.expired(eff);
                let live =
                    |r: &&Row| r.end == u64::MAX && r.begin > expired && w.covers(r.partition);
                let newest = |key: &i64| self.rows.iter().filter(live).rfind(|r| r.key == *key);
                let older: Vec<Option<Seen>> =
                    ended.iter().map(|key| newest(key).map(|r| r.seen.clone())).collect();
                if !w.given[2]
                    && let Some(row) = older.iter().position(Option::is_none)
                {
                    return Err(row);
                }
                self.end(eff, |r| w.covers(r.partition) && ended.contains(&r.key));
                self.insert(w.partition, &w.keys, w.given, &older, eff);
            }
            Op::Delete(p, keys) => {
                self.end(eff, |r| p.is_none_or(|p| p == r.partition) && keys.contains(&r.key));
            }
            Op::DeleteTokens(n) => {
                let expired = self.expired(eff);
                self.end(eff, |r| r.begin > expired && r.seen.token % n == 0);
            }
            Op::Truncate => self.end(eff, |_| true),
            Op::SetTtl(ttl) => self.ttls.push((eff, *ttl)),
            Op::PartitionDrop(p) => self.end(eff, |r| r.partition == *p),
        }
        Ok(())
    }

    /// The rows that are visible at a time in partitions, and have one of the keys if there are any.
    pub(super) fn rows(&self, at: u64, partitions: &[i64], newest_only: bool) -> Vec<Seen> {
        self.rows_of(None, at, partitions, newest_only)
    }

    pub(super) fn rows_of(
        &self,
        keys: Option<&[i64]>,
        at: u64,
        partitions: &[i64],
        newest_only: bool,
    ) -> Vec<Seen> {
        let expired = self.expired(at);
        let visible = |r: &&Row| {
            let wanted = partitions.is_empty() || partitions.contains(&r.partition);
            let wanted = wanted && keys.is_none_or(|keys| keys.contains(&r.key));
            wanted && r.begin <= at && at < r.end && r.begin > expired
        };
        let mut seen = BTreeMap::new();
        for row in self.rows.iter().filter(visible) {
            let key = if newest_only { row.key } else { row.seen.token };
            seen.insert(key, row.seen.clone());
        }
        let mut rows: Vec<_> = seen.into_values().collect();
        rows.sort_unstable();
        rows
    }
}

impl Model {
    /// Compares every read of a shard with the model, at every time of its first `ops` units at
    /// which it can be read.
    pub(super) fn check(
        &self,
        shard: (&ShardWriter, &ShardView),
        text: bool,
        ops: usize,
    ) -> Result<(), TestCaseError> {
        let (writer, view) = shard;
        let times = (9..=20 + ops as u64).map(moment);
        for at in times.filter(|at| *at >= view.since().0) {
            for newest_only in [false, true] {
                for partitions in [&[][..], &[0], &[1, 2]] {
                    prop_assert_eq!(
                        rows(view, at, partitions, newest_only),
                        self.rows(at, partitions, newest_only),
                        "at {} in {:?}, newest only {}",
                        at,
                        partitions,
                        newest_only
                    );
                    let by_key = found(shard, text, &[3, 7, 99], at, partitions, newest_only);
                    let expected = self.rows_of(Some(&[3, 7, 99]), at, partitions, newest_only);
                    prop_assert!(by_key.is_none_or(|rows| rows == expected));
                }
            }
        }
        // Rows that expired by `since` may be gone for good.
        let live: i64 = writer.live().map(|(_, rows)| rows).sum();
        let all = self.live();
        let stays = all - self.expired_live(view.since().0);
        prop_assert!((stays..=all).contains(&live), "{live} rows live, {stays} to {all} should");
        Ok(())
    }
}

/// Applies an op as the unit at `position`; the changes it reports.
pub(super) fn apply(
    shard: &mut ShardWriter,
    text: bool,
    op: &Op,
    at: (Position, u64),
    token: i64,
) -> Result<i64, WriteError> {
    let (position, eff) = (at.0, Timestamp(at.1));
    if !shard.begin(position) {
        return Ok(0);
    }
    let mut changed = Vec::new();
    match op {
        Op::Insert(p, keys, given) => {
            let columns = Columns::new(text, keys, token);
            let batch = Batch { rows: columns.rows, columns: &columns.inputs(*given) };
            shard.insert(PartitionId(*p), eff, &batch, &mut changed)?;
        }
        Op::Upsert(w) | Op::Update(w) => {
            let columns = Columns::new(text, &w.keys, token);
            let ended = Columns::new(text, &w.ended(), 0);
            let batch = Batch { rows: columns.rows, columns: &columns.inputs(w.given) };
            let partition = PartitionId(w.partition);
            let scope = if w.everywhere { Scope::All } else { Scope::Partition(partition) };
            let keys = w.old.map(|_| Keys::new(ended.keys(), ended.rows));
            let ends = Ends { scope, keys };
            if matches!(op, Op::Upsert(_)) {
                shard.upsert(partition, eff, &ends, &batch, &mut changed)?;
            } else {
                let origins = shard.origins(eff, &ends, &batch)?;
                shard.update(partition, eff, &ends, (&batch, &origins), &mut changed)?;
            }
        }
        Op::Delete(p, keys) => {
            let columns = Columns::new(text, keys, 0);
            let scope = p.map_or(Scope::All, |p| Scope::Partition(PartitionId(p)));
            shard.delete(scope, eff, Keys::new(columns.keys(), keys.len()), &mut changed);
        }
        Op::DeleteTokens(n) => {
            let selection = shard.view().select(eff, &[]);
            let mut rows = Vec::new();
            for chunk in &selection.chunks {
                let ColumnSlice::Int64(values) = chunk.column(2) else { panic!("Int64") };
                chunk.for_each(|row| {
                    if values[row] % n == 0 {
                        rows.push(selection.row_ref(chunk.base + row as u32));
                    }
                });
            }
            shard.delete_rows(eff, rows, &mut changed);
        }
        Op::PartitionDrop(p) => shard.partition_drop(PartitionId(*p), eff, &mut changed),
        Op::Truncate => shard.truncate(eff, &mut changed)?,
        Op::SetTtl(ttl) => shard.set_ttl(eff, *ttl),
    }
    Ok(changed.iter().map(|c: &Applied| c.rows).sum())
}

/// The rows of some keys, found by them; `None` when too much ended since.
pub(super) fn found(
    (shard, view): (&ShardWriter, &ShardView),
    text: bool,
    keys: &[i64],
    at: u64,
    partitions: &[i64],
    newest_only: bool,
) -> Option<Vec<Seen>> {
    let columns = Columns::new(text, keys, 0);
    let keys = Keys::new(columns.keys(), columns.rows);
    let rows = shard.find((0..keys.len()).map(|i| keys.get(i)), Timestamp(at))?;
    let partitions: Vec<_> = partitions.iter().map(|&p| PartitionId(p)).collect();
    let mut selection = view.select_rows(Timestamp(at), &partitions, &rows);
    if newest_only {
        view.keep_newest(&mut selection);
    }
    Some(seen(&selection))
}

/// Drops are for ever: a partition id is never used again, so later ops on one become no-ops here.
pub(super) fn without_dropped(ops: Vec<Op>) -> Vec<Op> {
    let mut dropped = Vec::new();
    let mut alive = |op: &Op| match op {
        Op::Insert(p, ..) => !dropped.contains(p),
        Op::Upsert(w) | Op::Update(w) => !dropped.contains(&w.partition),
        Op::PartitionDrop(p) => {
            dropped.push(*p);
            true
        }
        _ => true,
    };
    ops.into_iter().filter(|op| alive(op)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_read_at_any_time_equals_the_model_also_after_replaying_a_suffix(
        ops in prop::collection::vec(op(), 1..24),
        text in any::<bool>(),
        shared_times in any::<bool>(),
        replay_from in any::<prop::sample::Index>(),
    ) {
        let ops = without_dropped(ops);
        let mut shard = writer(text);
        let mut model = Model::default();
        let view = shard.view();
        let mut log = Vec::new();
        for (i, op) in ops.iter().enumerate() {
            // Several units may share one effective time.
            let eff = moment(if shared_times { 10 + i as u64 / 3 } else { 10 + i as u64 });
            let position = Position { seq: 1 + i as u64 / 2, index: i as u32 % 2 };
            log.push((op, position, eff, model.next_token));
            let before = model.live();
            let expected = model.apply(op, eff);
            let delta = model.live() - before;
            let expected = expected.map(|()| delta);
            let expected =
                expected.map_err(|row| WriteError::Incomplete { row, field: RANK });
            let reported = apply(&mut shard, text, op, (position, eff), log[i].3);
            prop_assert_eq!(reported, expected, "{:?}", op);
        }
        for &(op, position, eff, token) in &log[replay_from.index(log.len())..] {
            prop_assert_eq!(apply(&mut shard, text, op, (position, eff), token), Ok(0));
        }
        model.check((&shard, &view), text, ops.len())?;
    }
}

#[test]
fn rows_are_found_by_key_at_times_after_the_last_of_many_ends() {
    let mut shard = writer(false);
    let view = shard.view();
    let keys: Vec<i64> = (0..5_000).collect();
    let columns = Columns::new(false, &keys, 0);
    let batch = Batch { rows: columns.rows, columns: &columns.inputs(ALL) };
    shard.begin(Position { seq: 1, index: 0 });
    shard.insert(PartitionId(1), Timestamp(1), &batch, &mut Vec::new()).unwrap();
    for (seq, key) in (2u64..).zip(&keys) {
        let columns = Columns::new(false, &[*key], 0);
        shard.begin(Position { seq, index: 0 });
        shard.delete(Scope::All, Timestamp(seq), Keys::new(columns.keys(), 1), &mut Vec::new());
    }
    let find = |key, at| found((&shard, &view), false, &[key], at, &[], true);
    assert_eq!(find(4_999, 1), None);
    assert_eq!(find(4_999, 5_000).map(|rows| rows.len()), Some(1));
    assert_eq!(find(4_999, 5_001), Some(Vec::new()));
    assert_eq!(find(1_500, 1_501).map(|rows| rows.len()), Some(1));
    assert_eq!(find(1_500, 1_502), Some(Vec::new()));
}

#[test]
fn an_update_of_more_than_fits_at_once_is_one_update() {
    let mut shard = writer(false);
    let keys: Vec<i64> = (0..400_000).collect();
    for (seq, given) in [(1, ALL), (2, [false, false, false])] {
        let columns = Columns::new(false, &keys, 0);
        let batch = Batch { rows: columns.rows, columns: &columns.inputs(given) };
        let ends = Ends { scope: Scope::All, keys: None };
        shard.begin(Position { seq, index: 0 });
        let eff = Timestamp(seq);
        let mut changed = Vec::new();
        if seq == 1 {
            shard.upsert(PartitionId(1), eff, &ends, &batch, &mut changed).unwrap();
        } else {
            let origins = shard.origins(eff, &ends, &batch).unwrap();
            let appended =
                shard.update(PartitionId(1), eff, &ends, (&batch, &origins), &mut changed);
            let appended = appended.unwrap();
            assert_eq!((appended.first.row, appended.rows), (400_000, 400_000));
            let mut at = 0;
            for value in shard.values(appended, 3) {
                assert_eq!(value, note(at).as_deref());
                at += 1;
            }
            assert_eq!(at, 400_000);
        }
    }
    let view = shard.view();
    assert_eq!(rows(&view, 1, &[], false), rows(&view, 2, &[], false));
}
