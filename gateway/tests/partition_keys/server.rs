//! A process with one collection under a partition key: the gateway's records, the real workers.

use std::sync::Arc;

use futures::executor::block_on;
use millstream_catalog::catalog::{Catalog, Checkpoint};
use millstream_catalog::clock::SystemClock;
use millstream_catalog::memory;
use millstream_catalog::model::{
    ChannelId, Collection, CollectionId, CollectionSchema, CollectionState, ConsistencyLevel,
    DataType, DatabaseId, FieldId, FieldSchema, LoadState, Metric, Partition, PartitionId,
    RequestId, Timestamp,
};
use millstream_catalog::tso::Tso;
use millstream_dataflow::api::{
    Aggregate, AggregateOp, AggregateRequest, Bounds, CountRequest, Guarantee, QueryRequest,
    QueryVectors, SearchRequest, Target, Values,
};
use millstream_dataflow::records::{ALL_PARTITIONS, DdlRecord};
use millstream_dataflow::{Config, Dataflow};
use millstream_expr::{PkList, Plan, parse};
use millstream_gateway::convert::columns::{Batch, BatchColumn, BatchValues};
use millstream_gateway::convert::var_column::VarColumn;
use millstream_gateway::dml::{self, Destination, Units};
use millstream_log::memory::{MemoryLog, MemoryStore, Mode};
use millstream_log::{Kind, Log, RecordBuilder, Writer};

use crate::model::{Row, Write, tenant_name};

pub(crate) const PARTITIONS: u16 = 16;
const CHANNELS: u16 = 3;
const PK: FieldId = FieldId(100);
const TENANT: FieldId = FieldId(101);
const VALUE: FieldId = FieldId(102);
const NOTE: FieldId = FieldId(103);
const VECTOR: FieldId = FieldId(104);

/// A row as a query answers with it.
pub(crate) type Seen = (i64, String, i64, Option<i64>);

/// The answers to one filter: rows of a query, number of rows, hits and scores of a search, and the
/// sum of values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answers {
    pub(crate) rows: Vec<Seen>,
    pub(crate) count: u64,
    pub(crate) hits: Vec<(i64, f32)>,
    pub(crate) sum: i64,
}

pub(crate) struct Server {
    pub(crate) collection: Collection,
    dataflow: Dataflow,
    writer: Arc<Writer>,
    tso: Arc<Tso>,
    next_request: u128,
    text: bool,
}

fn collection(text: bool) -> Collection {
    let tenant = if text { DataType::VarChar } else { DataType::Int64 };
    let schema = CollectionSchema {
        name: "tenants".to_owned(),
        description: String::new(),
        enable_dynamic_field: false,
        fields: vec![
            FieldSchema { is_primary: true, ..FieldSchema::new(PK, "pk", DataType::Int64) },
            FieldSchema {
                is_partition_key: true,
                max_length: 64,
                ..FieldSchema::new(TENANT, "tenant", tenant)
            },
            FieldSchema::new(VALUE, "value", DataType::Int64),
            FieldSchema { nullable: true, ..FieldSchema::new(NOTE, "note", DataType::Int64) },
            FieldSchema { dim: 2, ..FieldSchema::new(VECTOR, "vector", DataType::FloatVector) },
        ],
        version: 0,
        functions: Vec::new(),
    };
    let partition = |at| Partition {
        id: PartitionId(1_000 + i64::from(at)),
        name: format!("_default_{at}"),
        created: Timestamp(1),
        load: LoadState::Loaded,
    };
    Collection {
        aliases: Vec::new(),
        id: CollectionId(7),
        database: DatabaseId(1),
        database_name: "default".to_owned(),
        name: "tenants".to_owned(),
        schema: Arc::new(schema),
        channels: (0..CHANNELS).map(ChannelId).collect(),
        consistency: ConsistencyLevel::Strong,
        properties: Vec::new(),
        partitions: (0..PARTITIONS).map(partition).collect(),
        indexes: Vec::new(),
        state: CollectionState::Created,
        created: Timestamp(1),
        meta_version: Timestamp::MIN,
        schema_from: Timestamp::MIN,
    }
}

fn column(field: FieldId, data_type: DataType, values: BatchValues) -> BatchColumn {
    BatchColumn { field, data_type, values, validity: None }
}

impl Server {
    pub(crate) fn start(text: bool) -> Server {
        let (store, data) = (MemoryStore::new(CHANNELS), Arc::default());
        let catalog = memory::open(&data, Arc::new(SystemClock), CHANNELS).unwrap();
        let log = MemoryLog::open(Arc::clone(&store), true, Mode::Auto);
        let collection = collection(text);
        let parts = Dataflow::start(Config {
            workers: 2,
            scan_threads: 1,
            checkpoints: vec![Checkpoint::default(); usize::from(CHANNELS)],
            collections: [collection.id].into_iter().collect(),
            inbox_bytes: 1 << 20,
            storage: None,
            on_checkpoint: Box::new(|_, _| {}),
        })
        .unwrap();
        for (channel, inbox) in (0u16..).zip(parts.inboxes) {
            block_on(log.subscribe(ChannelId(channel), 0, inbox)).unwrap();
        }
        let tso = catalog.tso();
        let writer = Writer::new(log, Arc::clone(&tso));
        let dataflow = parts.dataflow;
        let mut server = Server { collection, dataflow, writer, tso, next_request: 0, text };
        let ddl = DdlRecord::CollectionCreate { schema: Arc::clone(&server.collection.schema) };
        let ddl = ddl.encode().unwrap();
        let units = server.collection.vchannels().map(|(vchannel, channel)| {
            let (id, shard) = (vchannel.collection, vchannel.shard);
            let mut record = RecordBuilder::new(Kind::Ddl, id, ALL_PARTITIONS, shard, 0, 0);
            record.blob(&ddl);
            (channel, vec![record.finish().unwrap()])
        });
        let units = units.collect();
        server.send(units);
        server
    }

    pub(crate) fn stop(&self) {
        self.dataflow.stop();
    }

    fn send(&mut self, units: Units) {
        self.next_request += 1;
        if !units.is_empty() {
            block_on(self.writer.write(RequestId(self.next_request), units)).unwrap();
        }
    }

    fn batch(&self, rows: &[Row], kind: Write) -> Batch {
        let longs = |of: fn(&Row) -> i64| BatchValues::Long(rows.iter().map(of).collect());
        let mut columns = vec![column(PK, DataType::Int64, longs(|row| row.pk))];
        if kind != Write::Note {
            columns.push(match self.text {
                true => {
                    let names = VarColumn::from_texts(rows.iter().map(|r| tenant_name(r.tenant)));
                    column(TENANT, DataType::VarChar, BatchValues::Var(names))
                }
                false => column(TENANT, DataType::Int64, longs(|row| row.tenant)),
            });
        }
        if kind == Write::Note {
            let notes = longs(|row| row.note.unwrap_or_default());
            columns.push(column(NOTE, DataType::Int64, notes));
        }
        if matches!(kind, Write::Insert | Write::Upsert) {
            columns.push(column(VALUE, DataType::Int64, longs(|row| row.value)));
            let bytes: Vec<u8> =
                rows.iter().flat_map(Row::vector).flat_map(f32::to_le_bytes).collect();
            let vectors = BatchValues::Fixed(bytes.into(), 8);
            columns.push(column(VECTOR, DataType::FloatVector, vectors));
        }
        Batch { rows: rows.len() as u32, columns }
    }

    pub(crate) fn write(&mut self, kind: Write, rows: &[Row]) {
        if rows.is_empty() {
            return;
        }
        let batch = self.batch(rows, kind);
        let pks = dml::pks_of(&batch, PK).unwrap();
        let to = Destination::of(&self.collection, None, &batch).unwrap();
        let record = match kind {
            Write::Insert => Kind::Insert,
            Write::Upsert => Kind::Upsert,
            Write::Note | Write::Move => Kind::Update,
        };
        let units = dml::write_rows(record, &self.collection, &to, &batch, &pks).unwrap();
        let request = RequestId(self.next_request + 1);
        let outcome =
            (record == Kind::Update).then(|| self.dataflow.delete_outcome(request, units.len()));
        self.send(units);
        if let Some(outcome) = outcome {
            assert_eq!(block_on(outcome), Ok(rows.len() as u64));
        }
    }

    pub(crate) fn delete_keys(&mut self, keys: &[i64]) {
        let keys = PkList::Int(keys.to_vec());
        let units = dml::delete_keys(&self.collection, None, PK, &keys).unwrap();
        self.send(units);
    }

    /// Deletes what a filter matches, looking everywhere or only where its rows can be.
    pub(crate) fn delete(&mut self, filter: &str, prune: bool) -> u64 {
        let plan = self.plan(filter);
        let partitions = self.partitions(&plan, prune);
        let units = dml::delete_by_plan(&self.collection, &partitions, &plan.encode()).unwrap();
        let request = RequestId(self.next_request + 1);
        let outcome = self.dataflow.delete_outcome(request, usize::from(CHANNELS));
        self.send(units);
        block_on(outcome).unwrap()
    }

    fn plan(&self, filter: &str) -> Plan {
        parse(filter, &self.collection.schema).unwrap()
    }

    fn partitions(&self, plan: &Plan, prune: bool) -> Vec<PartitionId> {
        match prune {
            true => dml::pruned(&self.collection, Vec::new(), Some(plan)).unwrap(),
            false => Vec::new(),
        }
    }

    /// How many partitions a filter leaves.
    pub(crate) fn left(&self, filter: &str) -> usize {
        self.partitions(&self.plan(filter), true).len()
    }

    /// Rows that were looked at so far.
    pub(crate) fn scanned(&self) -> u64 {
        self.dataflow.rows_scanned()
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = block_on(self.tso.now()).unwrap();
        self.writer.tick(&self.collection.channels, now);
        now
    }

    /// Everything that can be asked with a filter at a time, with or without pruning.
    pub(crate) fn ask(&self, filter: &str, at: Timestamp, prune: bool) -> Answers {
        let plan = self.plan(filter);
        let target = Target {
            collection: self.collection.id,
            channels: self.collection.channels.clone(),
            partitions: self.partitions(&plan, prune),
            guarantee: Guarantee::Pinned(at),
            known_at: Timestamp::MIN,
            timeout_ms: 1_000,
        };
        let filter = Some(plan.encode().into());
        let query = QueryRequest {
            target: target.clone(),
            filter: filter.clone(),
            keys: None,
            output: vec![PK, TENANT, VALUE, NOTE],
            order: Vec::new(),
            offset: 0,
            limit: None,
        };
        let count = CountRequest { target: target.clone(), filter: filter.clone() };
        let sum = AggregateRequest {
            target: target.clone(),
            filter: filter.clone(),
            group: Vec::new(),
            aggregates: vec![Aggregate { op: AggregateOp::Sum, field: Some(VALUE) }],
            order: Vec::new(),
            offset: 0,
            limit: None,
        };
        let search = SearchRequest {
            target,
            field: VECTOR,
            metric: Metric::L2,
            dim: 2,
            queries: QueryVectors::Float([0.0, 0.0].into()),
            topk: 5,
            bounds: Bounds::default(),
            group: None,
            text: None,
            filter,
            ef: None,
            nprobe: None,
            reorder_k: None,
            index: None,
            output: Vec::new(),
        };
        let found = block_on(self.dataflow.search(search)).unwrap();
        let Values::Long(keys) = found.pks.values else { panic!("keys are integers") };
        let sum = block_on(self.dataflow.aggregate(sum)).unwrap().aggregates.remove(0);
        let Values::Long(sums) = sum.values else { panic!("sums are integers") };
        Answers {
            rows: self.rows(query),
            count: block_on(self.dataflow.count(count)).unwrap().rows,
            hits: keys.into_iter().zip(found.scores).collect(),
            sum: sums[0],
        }
    }

    fn rows(&self, query: QueryRequest) -> Vec<Seen> {
        let columns = block_on(self.dataflow.query(query)).unwrap().columns;
        let longs = |at: usize| match &columns[at].values {
            Values::Long(values) => values.clone(),
            other => panic!("{other:?}"),
        };
        let tenants: Vec<String> = match &columns[1].values {
            Values::Text(texts) => texts.clone(),
            Values::Long(values) => values.iter().map(|tenant| tenant_name(*tenant)).collect(),
            other => panic!("{other:?}"),
        };
        let (keys, values, notes) = (longs(0), longs(2), longs(3));
        let note = |row: usize| columns[3].is_valid(row).then(|| notes[row]);
        let rows = keys.iter().zip(tenants).zip(values).enumerate();
        rows.map(|(row, ((key, tenant), value))| (*key, tenant, value, note(row))).collect()
    }
}
