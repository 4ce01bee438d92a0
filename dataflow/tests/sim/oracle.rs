//! The oracle: reads the whole log with the simplest code that can be right.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::model::{ChannelId, FieldId, PartitionId, RequestId, Timestamp};
use millstream_dataflow::records::{ALL_PARTITIONS, DdlRecord, OLD_KEYS, PARTITIONS, decode_runs};
use millstream_expr::Plan;
use millstream_log::memory::MemoryStore;
use millstream_log::{Assembler, ColumnData, Kind, Record};

use crate::requests::{
    CHANNELS, NOTE, PK, PLACES, RANK, RANK_DEFAULT, TOKEN, VECTOR, note, partition_of, rank, vector,
};

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) collection: i64,
    pub(crate) shard: u16,
    pub(crate) partition: i64,
    pub(crate) pk: i64,
    pub(crate) token: i64,
    /// The token that the vector was made of.
    vector: i64,
    pub(crate) note: Option<String>,
    pub(crate) rank: i32,
    begin: u64,
    end: u64,
    unit: usize,
}

/// Times to live in ms, with the times from which they hold.
type Ttls = Vec<(u64, Option<u64>)>;

/// Everything that the log says, and until when.
pub(crate) struct Oracle {
    pub(crate) rows: Vec<Row>,
    /// The times to live of each shard, with the times from which they hold.
    ttls: BTreeMap<(i64, u16), Ttls>,
    /// The last truncation that each shard saw.
    truncated: BTreeMap<(i64, u16), i64>,
    /// What each shard did for each update and filter delete: the number of rows, or `None` when
    /// the update could not be completed there.
    outcomes: BTreeMap<RequestId, Vec<Option<u64>>>,
}

fn ints(record: &Record, field: FieldId) -> Vec<i64> {
    match record.column(field).map(|c| c.data) {
        Some(ColumnData::Fixed { bytes, .. }) => {
            let value = |b: &[u8]| i64::from_le_bytes(b.try_into().expect("8 bytes"));
            bytes.chunks(8).map(value).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the collection of a record spreads its rows over partitions by their ranks.
fn by_key(record: &Record) -> bool {
    PLACES.iter().any(|place| place.id == record.collection() && place.by_key)
}

fn repeat((partition, rows): (PartitionId, u32)) -> impl Iterator<Item = i64> {
    (0..rows).map(move |_| partition.0)
}

impl Oracle {
    pub(crate) fn read(store: &Arc<MemoryStore>, divisors: &BTreeMap<Vec<u8>, i64>) -> Oracle {
        let mut oracle = Oracle {
            rows: Vec::new(),
            ttls: BTreeMap::new(),
            truncated: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        };
        let mut unit_number = 0;
        for channel in 0..CHANNELS {
            let mut assembler = Assembler::new(0, Timestamp::MIN);
            let mut closed = 0u64;
            let mut dropped: Vec<(i64, i64)> = Vec::new();
            for (seq, entry) in store.entries(ChannelId(channel)) {
                for unit in assembler.push(seq, &entry).expect("the log is whole") {
                    let eff = unit.ts.0.max(closed + 1);
                    unit_number += 1;
                    for record in &unit.records {
                        let at = (eff, unit_number);
                        let outcome = oracle.apply(record, at, &mut dropped, divisors);
                        if let Some(outcome) = outcome {
                            oracle.outcomes.entry(unit.request).or_default().push(outcome);
                        }
                    }
                    closed = closed.max(unit.ts.0);
                }
            }
        }
        oracle
    }

    fn end(
        &mut self,
        record: &Record,
        (eff, unit): (u64, usize),
        which: impl Fn(&Row) -> bool,
    ) -> u64 {
        let mut ended = 0;
        let (collection, shard) = (record.collection().0, record.shard());
        for row in &mut self.rows {
            let here = row.collection == collection && row.shard == shard;
            if here && row.end == u64::MAX && row.unit != unit && which(row) {
                row.end = eff;
                ended += 1;
            }
        }
        ended
    }

    /// Applies a record; what it did, for those records that tell.
    fn apply(
        &mut self,
        record: &Record,
        at: (u64, usize),
        dropped: &mut Vec<(i64, i64)>,
        divisors: &BTreeMap<Vec<u8>, i64>,
    ) -> Option<Option<u64>> {
        let (collection, partition) = (record.collection().0, record.partition().0);
        let all = record.partition() == ALL_PARTITIONS;
        let pks = ints(record, PK);
        let is_update = record.kind() == Kind::Update;
        match record.kind() {
            Kind::Insert | Kind::Upsert | Kind::Update => {
                if dropped.contains(&(collection, partition)) {
                    return is_update.then_some(Some(0));
                }
                let mut ended = Vec::new();
                if record.kind() != Kind::Insert {
                    ended = ints(record, OLD_KEYS);
                    if ended.is_empty() {
                        ended = pks;
                    }
                }
                let Some(rows) = self.new_rows(record, &ended, at) else { return Some(None) };
                let count = rows.len() as u64;
                let all = by_key(record);
                let scope = |r: &Row| all || r.partition == partition;
                self.end(record, at, |r| scope(r) && ended.contains(&r.pk));
                self.rows.extend(rows);
                is_update.then_some(Some(count))
            }
            Kind::Delete => {
                let listed = ints(record, PARTITIONS);
                let scope = |r: &Row| match listed[..] {
                    [] => all || r.partition == partition,
                    _ => listed.contains(&r.partition),
                };
                match record.blob() {
                    None => {
                        self.end(record, at, |r| scope(r) && pks.contains(&r.pk));
                        None
                    }
                    Some(plan) => {
                        assert!(Plan::decode(&plan).is_ok());
                        let divisor = divisors[&plan.to_vec()];
                        let expired = self.expired(collection, record.shard(), at.0);
                        let lives = |r: &Row| r.begin > expired;
                        let hit = |r: &Row| scope(r) && lives(r) && r.token % divisor == 0;
                        Some(Some(self.end(record, at, hit)))
                    }
                }
            }
            Kind::Ddl => {
                self.change(record, at, dropped);
                None
            }
            Kind::Seal => None,
        }
    }

    /// Applies a ddl record.
    fn change(&mut self, record: &Record, at: (u64, usize), dropped: &mut Vec<(i64, i64)>) {
        let shard = (record.collection().0, record.shard());
        let blob = record.blob().expect("a ddl record has a payload");
        match DdlRecord::decode(&blob).expect("a ddl record decodes") {
            DdlRecord::PartitionDrop { partition: PartitionId(gone) } => {
                self.end(record, at, |r| r.partition == gone);
                dropped.push((shard.0, gone));
            }
            DdlRecord::Truncate { intent } => {
                let last = self.truncated.entry(shard).or_default();
                let is_new = *last < intent;
                *last = intent.max(*last);
                if is_new {
                    self.end(record, at, |_| true);
                }
            }
            DdlRecord::TtlSet { ms } => self.ttls.entry(shard).or_default().push((at.0, ms)),
            DdlRecord::CollectionCreate { .. }
            | DdlRecord::SchemaSet { .. }
            | DdlRecord::CollectionDrop => {}
        }
    }

    /// The rows that a record brings, each completed from the newest live row of the key that it
    /// ends; `None` when one of them has no vector.
    fn new_rows(
        &self,
        record: &Record,
        ended: &[i64],
        (begin, unit): (u64, usize),
    ) -> Option<Vec<Row>> {
        let (collection, shard) = (record.collection().0, record.shard());
        let (partition, by_key) = (record.partition().0, by_key(record));
        let expired = self.expired(collection, shard, begin);
        let runs = record.blob().map(|blob| decode_runs(&blob).expect("runs decode"));
        let spread: Vec<i64> = runs.into_iter().flatten().flat_map(repeat).collect();
        let has = |field: FieldId| record.column(field).is_some();
        let row = |(i, (pk, token)): (usize, (i64, i64))| {
            let older = self.rows.iter().rfind(|r| {
                let here = r.collection == collection && r.shard == shard;
                let here = here && (by_key || r.partition == partition);
                let here = here && r.begin > expired;
                here && r.end == u64::MAX && ended.get(i) == Some(&r.pk)
            });
            let stays = older.filter(|_| by_key && !has(RANK)).map(|o| o.partition);
            let partition = stays.or(spread.get(i).copied()).unwrap_or(partition);
            let rank = if has(RANK) { rank(token) } else { older.map_or(RANK_DEFAULT, |o| o.rank) };
            assert!(!by_key || partition == partition_of(rank), "rank {rank} is in {partition}");
            Some(Row {
                collection,
                shard,
                partition,
                pk,
                token,
                vector: if has(VECTOR) { token } else { older?.vector },
                note: if has(NOTE) { note(token) } else { older.and_then(|o| o.note.clone()) },
                rank,
                begin,
                end: u64::MAX,
                unit,
            })
        };
        ints(record, PK).into_iter().zip(ints(record, TOKEN)).enumerate().map(row).collect()
    }

    /// Rows of a shard that came by this time are expired at `at`; none when 0.
    fn expired(&self, collection: i64, shard: u16, at: u64) -> u64 {
        let held = self.ttls.get(&(collection, shard)).map_or(&[][..], Vec::as_slice);
        let mut expired = 0;
        for (i, (from, ms)) in held.iter().enumerate().filter(|(_, held)| held.0 <= at) {
            // It held until just before the next one came; of two at one time the later one did.
            let until = held.get(i + 1).map_or(at, |next| at.min(next.0 - 1));
            if until < *from {
                continue;
            }
            let back = ms.map_or(u64::MAX, |ms| Timestamp::from_ms(ms).0);
            expired = expired.max(until.saturating_sub(back));
        }
        expired
    }

    /// What all shards did for a request together.
    pub(crate) fn outcome(&self, request: RequestId) -> Option<u64> {
        let shards = self.outcomes.get(&request).map_or(&[][..], Vec::as_slice);
        shards.iter().copied().sum()
    }

    /// Every row visible at a time, by token order of arrival.
    pub(crate) fn visible(&self, place: usize, at: u64, divisor: Option<i64>) -> Vec<&Row> {
        let seen = |r: &&Row| {
            r.collection == PLACES[place].id.0
                && r.begin <= at
                && at < r.end
                && r.begin > self.expired(r.collection, r.shard, at)
                && divisor.is_none_or(|d| r.token % d == 0)
        };
        self.rows.iter().filter(seen).collect()
    }

    /// The newest visible row of each key, in key order.
    pub(crate) fn newest(&self, place: usize, at: u64, divisor: Option<i64>) -> Vec<&Row> {
        let mut by_key = BTreeMap::new();
        for row in self.visible(place, at, divisor) {
            by_key.insert(row.pk, row);
        }
        by_key.into_values().collect()
    }

    /// (pk, score) of the nearest rows under squared distance, ties by key.
    pub(crate) fn nearest(
        &self,
        place: usize,
        at: u64,
        divisor: Option<i64>,
        query: &[f32],
        topk: usize,
    ) -> Vec<(i64, f32)> {
        let score = |r: &Row| -> f32 {
            vector(r.vector).iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let rows = self.newest(place, at, divisor);
        let mut scored: Vec<_> = rows.iter().map(|r| (r.pk, score(r))).collect();
        scored.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        scored.truncate(topk);
        scored
    }
}
