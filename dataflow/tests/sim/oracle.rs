//! The oracle: reads the whole log with the simplest code that can be right.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::model::{ChannelId, PartitionId, Timestamp};
use millstream_dataflow::records::{ALL_PARTITIONS, DdlRecord};
use millstream_expr::Plan;
use millstream_log::memory::MemoryStore;
use millstream_log::{Assembler, ColumnData, Kind, Record};

use crate::requests::{CHANNELS, PK, PLACES, TOKEN, vector};

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) collection: i64,
    pub(crate) shard: u16,
    pub(crate) partition: i64,
    pub(crate) pk: i64,
    pub(crate) token: i64,
    begin: u64,
    end: u64,
    unit: usize,
}

/// Everything that the log says, and until when.
pub(crate) struct Oracle {
    pub(crate) rows: Vec<Row>,
}

fn ints(record: &Record, field: millstream_catalog::model::FieldId) -> Vec<i64> {
    match record.column(field).map(|c| c.data) {
        Some(ColumnData::Fixed { bytes, .. }) => {
            let value = |b: &[u8]| i64::from_le_bytes(b.try_into().expect("8 bytes"));
            bytes.chunks(8).map(value).collect()
        }
        _ => Vec::new(),
    }
}

impl Oracle {
    pub(crate) fn read(store: &Arc<MemoryStore>, divisors: &BTreeMap<Vec<u8>, i64>) -> Oracle {
        let mut oracle = Oracle { rows: Vec::new() };
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
                        oracle.apply(record, eff, unit_number, &mut dropped, divisors);
                    }
                    closed = closed.max(unit.ts.0);
                }
            }
        }
        oracle
    }

    fn end(&mut self, record: &Record, eff: u64, unit: usize, which: impl Fn(&Row) -> bool) {
        let (collection, shard) = (record.collection().0, record.shard());
        for row in &mut self.rows {
            let here = row.collection == collection && row.shard == shard;
            if here && row.end == u64::MAX && row.unit != unit && which(row) {
                row.end = eff;
            }
        }
    }

    fn apply(
        &mut self,
        record: &Record,
        eff: u64,
        unit: usize,
        dropped: &mut Vec<(i64, i64)>,
        divisors: &BTreeMap<Vec<u8>, i64>,
    ) {
        let (collection, partition) = (record.collection().0, record.partition().0);
        let all = record.partition() == ALL_PARTITIONS;
        let pks = ints(record, PK);
        match record.kind() {
            Kind::Insert | Kind::Upsert => {
                if dropped.contains(&(collection, partition)) {
                    return;
                }
                if record.kind() == Kind::Upsert {
                    let hit = |r: &Row| r.partition == partition && pks.contains(&r.pk);
                    self.end(record, eff, unit, hit);
                }
                for (&pk, token) in pks.iter().zip(ints(record, TOKEN)) {
                    let shard = record.shard();
                    let (begin, end) = (eff, u64::MAX);
                    let row = Row { collection, shard, partition, pk, token, begin, end, unit };
                    self.rows.push(row);
                }
            }
            Kind::Delete => {
                let scope = |r: &Row| all || r.partition == partition;
                match record.blob() {
                    None => self.end(record, eff, unit, |r| scope(r) && pks.contains(&r.pk)),
                    Some(plan) => {
                        assert!(Plan::decode(&plan).is_ok());
                        let divisor = divisors[&plan.to_vec()];
                        self.end(record, eff, unit, |r| scope(r) && r.token % divisor == 0);
                    }
                }
            }
            Kind::Ddl => {
                let blob = record.blob().expect("a ddl record has a payload");
                match DdlRecord::decode(&blob).expect("a ddl record decodes") {
                    DdlRecord::PartitionDrop { partition: PartitionId(gone) } => {
                        self.end(record, eff, unit, |r| r.partition == gone);
                        dropped.push((collection, gone));
                    }
                    DdlRecord::CollectionCreate { .. } | DdlRecord::CollectionDrop => {}
                }
            }
            Kind::Seal => {}
        }
    }

    /// Every row visible at a time, by token order of arrival.
    pub(crate) fn visible(&self, place: usize, at: u64, divisor: Option<i64>) -> Vec<&Row> {
        let seen = |r: &&Row| {
            r.collection == PLACES[place].id.0
                && r.begin <= at
                && at < r.end
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
            vector(r.token).iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let rows = self.newest(place, at, divisor);
        let mut scored: Vec<_> = rows.iter().map(|r| (r.pk, score(r))).collect();
        scored.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        scored.truncate(topk);
        scored
    }
}
