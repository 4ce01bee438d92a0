//! A process with a collection of texts that has a shard on every channel.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use millstream_catalog::catalog::{Catalog, Checkpoint};
use millstream_catalog::clock::SystemClock;
use millstream_catalog::memory::{self, MemoryData};
use millstream_catalog::model::{
    ChannelId, CollectionId, CollectionSchema, DataType, FieldId, FieldSchema, FunctionKind,
    FunctionSchema, Metric, PartitionId, RequestId, Timestamp, VChannel,
};
use millstream_catalog::tso::Tso;
use millstream_dataflow::api::{
    Bounds, CountRequest, Guarantee, QueryRequest, QueryVectors, SearchRequest, Target, TextRank,
    Values,
};
use millstream_dataflow::records::{ALL_PARTITIONS, DdlRecord};
use millstream_dataflow::storage::{Keep, PlanState, StartShard, Storage};
use millstream_dataflow::{Config, Dataflow, shard};
use millstream_log::memory::{MemoryLog, MemoryStore, Mode};
use millstream_log::{Kind, Log, RecordBuilder, Writer};
use millstream_store::Store;

use crate::manifest::Manifest;
use crate::model::Row;

const ID: CollectionId = CollectionId(5);
const CHANNELS: [ChannelId; 3] = [ChannelId(1), ChannelId(2), ChannelId(0)];
const PK: FieldId = FieldId(100);
const BODY: FieldId = FieldId(101);
const NOTE: FieldId = FieldId(102);
const WEIGHTS: FieldId = FieldId(103);

/// What a client writes.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Upsert(Vec<Row>),
    Delete(Vec<i64>),
    DeleteMatching(String),
}

/// A hit: its key and its score.
pub(crate) type Hit = (i64, f32);

pub(crate) struct Server {
    workers: usize,
    log: Arc<MemoryStore>,
    data: Arc<MemoryData>,
    files: Store,
    manifest: Arc<Manifest>,
    dataflow: Dataflow,
    writer: Arc<Writer>,
    tso: Arc<Tso>,
    next_request: u128,
}

fn text_field(id: FieldId, name: &str) -> FieldSchema {
    let params = [("enable_analyzer", "true"), ("enable_match", "true")];
    FieldSchema {
        max_length: 1_000,
        type_params: params.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        ..FieldSchema::new(id, name, DataType::VarChar)
    }
}

pub(crate) fn schema() -> Arc<CollectionSchema> {
    let function = FunctionSchema {
        id: 1,
        name: "bm25".to_owned(),
        description: String::new(),
        kind: FunctionKind::Bm25,
        inputs: vec![BODY],
        outputs: vec![WEIGHTS],
        params: Vec::new(),
    };
    Arc::new(CollectionSchema {
        name: "texts".to_owned(),
        description: String::new(),
        enable_dynamic_field: false,
        fields: vec![
            FieldSchema { is_primary: true, ..FieldSchema::new(PK, "pk", DataType::Int64) },
            text_field(BODY, "body"),
            FieldSchema { nullable: true, ..text_field(NOTE, "note") },
            FieldSchema {
                is_function_output: true,
                ..FieldSchema::new(WEIGHTS, "weights", DataType::SparseFloatVector)
            },
        ],
        version: 0,
        functions: vec![function],
    })
}

fn plan(filter: &str) -> Bytes {
    millstream_expr::parse(filter, &schema()).unwrap().encode().into()
}

/// Starts a process over what was kept.
fn process(
    workers: usize,
    (log, data): (&Arc<MemoryStore>, &Arc<MemoryData>),
    (files, manifest): (&Store, &Arc<Manifest>),
) -> (Dataflow, Arc<Writer>, Arc<Tso>) {
    let catalog = memory::open(data, Arc::new(SystemClock), CHANNELS.len() as u16).unwrap();
    let log = MemoryLog::open(Arc::clone(log), true, Mode::Auto);
    let shards = (0u16..).zip(CHANNELS).map(|(shard, channel)| {
        let vchannel = VChannel { collection: ID, shard };
        let stored = manifest.stored(vchannel);
        StartShard { vchannel, channel, schema: schema(), stored }
    });
    let (store, archive) = (files.clone(), Arc::clone(manifest) as _);
    let parts = Dataflow::start(Config {
        workers,
        scan_threads: 2,
        checkpoints: vec![Checkpoint::default(); CHANNELS.len()],
        collections: [ID].into_iter().collect(),
        inbox_bytes: 1 << 20,
        storage: Some(Storage { store, archive, shards: shards.collect() }),
        on_checkpoint: Box::new(|_, _| {}),
    })
    .unwrap();
    for (channel, inbox) in (0u16..).zip(parts.inboxes) {
        block_on(log.subscribe(ChannelId(channel), 0, inbox)).unwrap();
    }
    let tso = catalog.tso();
    (parts.dataflow, Writer::new(log, Arc::clone(&tso)), tso)
}

impl Server {
    pub(crate) fn start(workers: usize) -> Server {
        let (log, data) = (MemoryStore::new(CHANNELS.len() as u16), Arc::default());
        let (files, manifest) = (Store::memory().0, Arc::<Manifest>::default());
        manifest.set_keep(Keep { retention_ms: 0, iterator_ms: 0, auto: false });
        let (dataflow, writer, tso) = process(workers, (&log, &data), (&files, &manifest));
        let next_request = 0;
        let mut server =
            Server { workers, log, data, files, manifest, dataflow, writer, tso, next_request };
        let ddl = DdlRecord::CollectionCreate { schema: schema() }.encode().unwrap();
        server.send(|shard| {
            let record = RecordBuilder::new(Kind::Ddl, ID, ALL_PARTITIONS, shard, 0, 0);
            vec![with(record, |record| record.blob(&ddl))]
        });
        server
    }

    pub(crate) fn stop(&self) {
        self.dataflow.stop();
    }

    /// Ends the process and starts another one.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let (log, files) = ((&self.log, &self.data), (&self.files, &self.manifest));
        (self.dataflow, self.writer, self.tso) = process(self.workers, log, files);
    }

    /// Writes everything out and compacts it, without all that ended before; the oldest time that can
    /// be read.
    pub(crate) fn compact(&mut self) -> Timestamp {
        let seal = |shard| vec![RecordBuilder::new(Kind::Seal, ID, ALL_PARTITIONS, shard, 0, 0)];
        let sealed = self.send(seal);
        let now = block_on(self.tso.now()).unwrap();
        self.writer.tick(&CHANNELS, now);
        block_on(self.dataflow.wait_closed(&CHANNELS, now)).unwrap();
        let shards = (0..CHANNELS.len() as u16).map(|shard| VChannel { collection: ID, shard });
        block_on(self.dataflow.wait_flushed(shards.collect(), sealed)).unwrap();
        let id = self.dataflow.compact(ID).unwrap().id;
        let plans = || self.dataflow.compaction(id).unwrap().plans;
        while plans().iter().any(|plan| plan.state == PlanState::Executing) {
            std::thread::yield_now();
        }
        self.dataflow.since(ID)
    }

    fn send(&mut self, records: impl Fn(u16) -> Vec<RecordBuilder>) -> Timestamp {
        self.next_request += 1;
        let finish = |builders: Vec<RecordBuilder>| {
            builders.into_iter().map(|builder| builder.finish().unwrap()).collect::<Vec<_>>()
        };
        let units =
            (0u16..).zip(CHANNELS).map(|(shard, channel)| (channel, finish(records(shard))));
        let units = units.filter(|(_, records)| !records.is_empty()).collect();
        block_on(self.writer.write(RequestId(self.next_request), units)).unwrap()
    }

    pub(crate) fn write(&mut self, op: &Op) {
        let mine = |pk: i64, shard: u16| shard::of_int(pk, CHANNELS.len() as u16) == shard;
        match op {
            Op::Upsert(rows) => {
                _ = self.send(|shard| {
                    let of = |partition| {
                        let fits = |r: &&Row| r.partition == partition && mine(r.pk, shard);
                        let rows: Vec<&Row> = rows.iter().filter(fits).collect();
                        (!rows.is_empty()).then(|| upsert(partition, shard, &rows))
                    };
                    [1, 2].into_iter().filter_map(of).collect()
                })
            }
            Op::Delete(keys) => {
                _ = self.send(|shard| {
                    let keys: Vec<i64> =
                        keys.iter().copied().filter(|&pk| mine(pk, shard)).collect();
                    if keys.is_empty() {
                        return Vec::new();
                    }
                    let rows = keys.len() as u32;
                    let record =
                        RecordBuilder::new(Kind::Delete, ID, ALL_PARTITIONS, shard, 0, rows);
                    let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
                    vec![with(record, |record| record.fixed(PK, DataType::Int64, 8, &bytes))]
                })
            }
            Op::DeleteMatching(filter) => {
                self.delete(filter);
            }
        }
    }

    /// Deletes what a filter matches; the number of rows.
    pub(crate) fn delete(&mut self, filter: &str) -> u64 {
        let request = RequestId(self.next_request + 1);
        let outcome = self.dataflow.delete_outcome(request, CHANNELS.len());
        let plan = plan(filter);
        self.send(|shard| {
            let record = RecordBuilder::new(Kind::Delete, ID, ALL_PARTITIONS, shard, 0, 0);
            vec![with(record, |record| record.blob(&plan))]
        });
        block_on(outcome).unwrap()
    }

    /// A target at the newest time, which is ticked.
    pub(crate) fn newest(&self) -> Target {
        let now = block_on(self.tso.now()).unwrap();
        self.writer.tick(&CHANNELS, now);
        Target { guarantee: Guarantee::AtLeast(now), ..self.at(now) }
    }

    /// A target at exactly this time.
    pub(crate) fn at(&self, as_of: Timestamp) -> Target {
        self.at_of(as_of, &[])
    }

    pub(crate) fn at_of(&self, as_of: Timestamp, partitions: &[i64]) -> Target {
        Target {
            collection: ID,
            channels: CHANNELS.to_vec(),
            partitions: partitions.iter().map(|&id| PartitionId(id)).collect(),
            guarantee: Guarantee::Pinned(as_of),
            known_at: Timestamp::MIN,
            timeout_ms: 1_000,
        }
    }

    /// The time that a read of a target runs at.
    pub(crate) fn time_of(&self, target: &Target) -> Timestamp {
        let request = CountRequest { target: target.clone(), filter: None };
        block_on(self.dataflow.count(request)).unwrap().as_of
    }

    /// The keys of the rows that a filter keeps.
    pub(crate) fn matching(&self, target: &Target, filter: &str) -> Vec<i64> {
        let request = QueryRequest {
            target: target.clone(),
            filter: Some(plan(filter)),
            keys: None,
            output: vec![PK],
            order: Vec::new(),
            offset: 0,
            limit: None,
        };
        let mut reply = block_on(self.dataflow.query(request)).unwrap();
        let Values::Long(pks) = reply.columns.remove(0).values else { panic!("keys are integers") };
        pks
    }

    /// The best rows for each text.
    pub(crate) fn search(
        &self,
        target: &Target,
        texts: &[String],
        topk: u32,
        filter: Option<&str>,
    ) -> Vec<Vec<Hit>> {
        let request = SearchRequest {
            target: target.clone(),
            field: WEIGHTS,
            metric: Metric::Bm25,
            dim: 0,
            queries: QueryVectors::Text(texts.to_vec()),
            topk,
            bounds: Bounds::default(),
            group: None,
            text: Some(TextRank { k1: 1.2, b: 0.75, statistics: Vec::new() }),
            filter: filter.map(plan),
            ef: None,
            nprobe: None,
            reorder_k: None,
            index: None,
            output: Vec::new(),
        };
        let reply = block_on(self.dataflow.search(request)).unwrap();
        let Values::Long(pks) = reply.pks.values else { panic!("keys are integers") };
        let mut hits = pks.into_iter().zip(reply.scores);
        reply.hits.iter().map(|&count| hits.by_ref().take(count as usize).collect()).collect()
    }
}

fn with(mut record: RecordBuilder, fill: impl FnOnce(&mut RecordBuilder)) -> RecordBuilder {
    fill(&mut record);
    record
}

fn upsert(partition: i64, shard: u16, rows: &[&Row]) -> RecordBuilder {
    let partition = PartitionId(partition);
    let record = RecordBuilder::new(Kind::Upsert, ID, partition, shard, 0, rows.len() as u32);
    with(record, |record| {
        let keys: Vec<u8> = rows.iter().flat_map(|row| row.pk.to_le_bytes()).collect();
        record.fixed(PK, DataType::Int64, 8, &keys);
        record.var_values(BODY, DataType::VarChar, rows.iter().map(|row| row.body.as_bytes()));
        let notes = rows.iter().map(|row| row.note.as_deref().unwrap_or("").as_bytes());
        record.var_values(NOTE, DataType::VarChar, notes);
        let valid: Vec<u8> = rows.iter().map(|row| u8::from(row.note.is_some())).collect();
        record.validity(NOTE, &valid);
    })
}
