//! Searches and queries over every type of vector, compared with a naive model: random writes, then
//! random questions at the time after each of them, on shards of several workers, which are written
//! out, compacted and started again in between.

#![allow(clippy::unwrap_used)] // a test file, also where its functions are no tests

mod ask;
#[path = "../support/manifest.rs"]
mod manifest;
mod model;

use std::sync::Arc;

use futures::executor::block_on;
use manifest::Manifest;
use millstream_catalog::catalog::{Catalog, Checkpoint};
use millstream_catalog::clock::SystemClock;
use millstream_catalog::memory::{self, MemoryData};
use millstream_catalog::model::{ChannelId, PartitionId, RequestId, Timestamp, VChannel};
use millstream_catalog::tso::Tso;
use millstream_dataflow::records::{ALL_PARTITIONS, DdlRecord};
use millstream_dataflow::storage::{Keep, PlanState, StartShard, Storage};
use millstream_dataflow::{Config, Dataflow, shard};
use millstream_log::memory::{MemoryLog, MemoryStore, Mode};
use millstream_log::{Kind, Log, Record, RecordBuilder, Writer};
use millstream_store::Store;
use model::{COLLECTION, Model, Row, schema};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const CHANNELS: u16 = 3;
const SHARDS: u16 = 3;

/// What survives when a process ends.
struct Kept {
    log: Arc<MemoryStore>,
    data: Arc<MemoryData>,
    files: Store,
    manifest: Arc<Manifest>,
}

/// A process, and what it should hold.
struct World {
    kept: Kept,
    workers: usize,
    dataflow: Dataflow,
    writer: Arc<Writer>,
    tso: Arc<Tso>,
    requests: u128,
    model: Model,
    /// The visible rows after each write, and a time at which they are.
    snapshots: Vec<(Timestamp, Vec<Row>)>,
}

/// Starts a process over what is kept.
fn start(kept: &Kept, workers: usize) -> (Dataflow, Arc<Writer>, Arc<Tso>) {
    let catalog = memory::open(&kept.data, Arc::new(SystemClock), CHANNELS).unwrap();
    let log = MemoryLog::open(Arc::clone(&kept.log), true, Mode::Auto);
    let shards = (0..SHARDS).map(|shard| {
        let vchannel = VChannel { collection: COLLECTION, shard };
        let stored = kept.manifest.stored(vchannel);
        StartShard { vchannel, channel: ChannelId(shard), schema: schema(), stored }
    });
    let (store, archive) = (kept.files.clone(), Arc::clone(&kept.manifest) as _);
    let parts = Dataflow::start(Config {
        workers,
        scan_threads: 2,
        checkpoints: vec![Checkpoint::default(); usize::from(CHANNELS)],
        collections: [COLLECTION].into_iter().collect(),
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

impl World {
    fn new(workers: usize) -> World {
        let kept = Kept {
            log: MemoryStore::new(CHANNELS),
            data: Arc::default(),
            files: Store::memory().0,
            manifest: Arc::default(),
        };
        let (dataflow, writer, tso) = start(&kept, workers);
        let (requests, model, snapshots) = (0, Model::default(), Vec::new());
        let mut world = World { kept, workers, dataflow, writer, tso, requests, model, snapshots };
        let ddl = DdlRecord::CollectionCreate { schema: schema() }.encode().unwrap();
        world.write(|shard| {
            let mut record = builder(Kind::Ddl, ALL_PARTITIONS, shard, 0);
            record.blob(&ddl);
            Some(record)
        });
        world
    }

    /// Writes all shards out.
    fn flush(&mut self) {
        let units = (0..SHARDS).map(|shard| {
            let record = builder(Kind::Seal, ALL_PARTITIONS, shard, 0).finish().unwrap();
            (ChannelId(shard), vec![record])
        });
        let shards = (0..SHARDS).map(|shard| VChannel { collection: COLLECTION, shard });
        self.requests += 1;
        let sealed = block_on(self.writer.write(RequestId(self.requests), units.collect()));
        block_on(self.dataflow.wait_flushed(shards.collect(), sealed.unwrap())).unwrap();
    }

    /// Compacts what was written out, and forgets the times that cannot be read any more; how many
    /// plans there were.
    fn compact(&mut self) -> usize {
        let id = self.dataflow.compact(COLLECTION).unwrap().id;
        let plans = || self.dataflow.compaction(id).unwrap().plans;
        while plans().iter().any(|plan| plan.state == PlanState::Executing) {
            std::thread::yield_now();
        }
        let done = |state| matches!(state, PlanState::Completed(_));
        assert!(plans().iter().all(|plan| done(plan.state)), "{:?}", plans());
        let (count, since) = (plans().len(), self.dataflow.since(COLLECTION));
        self.snapshots.retain(|(at, _)| *at >= since);
        let now = block_on(self.tso.now()).unwrap();
        self.snapshots.push((now, self.model.rows.clone()));
        count
    }

    /// Ends the process and starts another one.
    fn restart(&mut self) {
        self.dataflow.stop();
        (self.dataflow, self.writer, self.tso) = start(&self.kept, self.workers);
    }

    fn write(&mut self, record: impl Fn(u16) -> Option<RecordBuilder>) {
        let units: Vec<(ChannelId, Vec<Record>)> = (0..SHARDS)
            .filter_map(|shard| Some((ChannelId(shard), vec![record(shard)?.finish().unwrap()])))
            .collect();
        self.requests += 1;
        block_on(self.writer.write(RequestId(self.requests), units)).unwrap();
        let now = block_on(self.tso.now()).unwrap();
        self.snapshots.push((now, self.model.rows.clone()));
    }

    fn put(&mut self, kind: Kind, partition: PartitionId, rows: Vec<Row>) {
        self.model.put(kind == Kind::Upsert, partition, &rows);
        self.write(|shard| {
            let mine: Vec<&Row> =
                rows.iter().filter(|row| shard::of_int(row.pk, SHARDS) == shard).collect();
            let mut record = builder(kind, partition, shard, mine.len());
            model::put_columns(&mut record, &mine);
            (!mine.is_empty()).then_some(record)
        });
    }

    fn delete(&mut self, keys: &[i64]) {
        self.model.rows.retain(|row| !keys.contains(&row.pk));
        self.write(|shard| {
            let mine: Vec<i64> =
                keys.iter().copied().filter(|&pk| shard::of_int(pk, SHARDS) == shard).collect();
            let mut record = builder(Kind::Delete, ALL_PARTITIONS, shard, mine.len());
            model::put_keys(&mut record, &mine);
            (!mine.is_empty()).then_some(record)
        });
    }
}

fn builder(kind: Kind, partition: PartitionId, shard: u16, rows: usize) -> RecordBuilder {
    RecordBuilder::new(kind, COLLECTION, partition, shard, 0, rows as u32)
}

/// How many plans of compactions were carried out.
fn run(seed: u64, workers: usize) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::new(workers);
    if seed.is_multiple_of(2) {
        // The past ends where it is asked to, and nobody else moves it.
        world.kept.manifest.set_keep(Keep { retention_ms: 0, iterator_ms: 0, auto: false });
    }
    let mut compacted = 0;
    for _ in 0..12 {
        let count = rng.random_range(1..40);
        let rows = (0..count).map(|_| Row::random(&mut rng)).collect();
        let partition = PartitionId(rng.random_range(1..3));
        match rng.random_range(0..5) {
            0 => {
                let keys: Vec<i64> = (0..10).map(|_| rng.random_range(0..60)).collect();
                world.delete(&keys);
            }
            1 | 2 => world.put(Kind::Upsert, partition, rows),
            _ => world.put(Kind::Insert, partition, rows),
        }
        match rng.random_range(0..8) {
            0 | 1 => world.flush(),
            2 => world.restart(),
            3 | 4 => {
                world.flush();
                compacted += world.compact();
            }
            _ => {}
        }
    }
    for _ in 0..150 {
        let at = rng.random_range(0..world.snapshots.len());
        ask::any(&world, at, &mut rng, seed);
    }
    world.dataflow.stop();
    compacted
}

#[test]
fn every_question_is_answered_as_a_naive_model_answers_it() {
    let mut compacted = 0;
    for seed in 0..40 {
        compacted += run(seed, 1 + (seed % 3) as usize);
    }
    assert!(compacted > 40, "only {compacted} plans of compactions");
}

/// A segment that is read in several chunks, of which each but the first begins within it.
#[test]
fn filters_keep_the_rows_of_a_large_segment_that_a_naive_model_keeps() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut world = World::new(2);
    for part in 0..12 {
        let row = |pk: i64| Row { pk: part * 5_000 + pk, ..Row::random(&mut rng) };
        let rows = (0..5_000).map(row).collect();
        world.put(Kind::Insert, PartitionId(1), rows);
    }
    ask::counts(&world);
    world.flush();
    ask::counts(&world);
    world.restart();
    ask::counts(&world);
    world.dataflow.stop();
}
