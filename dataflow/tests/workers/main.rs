//! A process with several workers: shards on all of them, answers merged across them.

#![allow(clippy::unwrap_used)] // a test file, also where its functions are no tests

#[path = "../sim/requests.rs"]
mod requests;

use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::executor::block_on;
use millstream_catalog::catalog::{Catalog, Checkpoint};
use millstream_catalog::clock::SystemClock;
use millstream_catalog::memory::{self, MemoryData};
use millstream_catalog::model::{ChannelId, Code, CollectionId, Metric, RequestId, Timestamp};
use millstream_catalog::tso::Tso;
use millstream_dataflow::api::{
    Bounds, CountRequest, Guarantee, QueryRequest, QueryVectors, SearchRequest, Target, Values,
};
use millstream_dataflow::{Config, Dataflow};
use millstream_log::memory::{MemoryLog, MemoryStore, Mode};
use millstream_log::{Log, Writer};
use requests::{
    CHANNELS, DIM, Op, PK, PLACES, Place, TOKEN, VECTOR, filter, plan, records, vector,
};

/// A collection with a shard on every channel.
const WIDE: Place = Place {
    id: CollectionId(9),
    channels: &[ChannelId(2), ChannelId(0), ChannelId(1)],
    by_key: false,
};

struct Server {
    dataflow: Dataflow,
    writer: Arc<Writer>,
    tso: Arc<Tso>,
    next_request: u128,
}

impl Server {
    fn start(store: &Arc<MemoryStore>, data: &Arc<MemoryData>, workers: usize) -> Server {
        Server::with_threads(store, data, workers, 2)
    }

    fn with_threads(
        store: &Arc<MemoryStore>,
        data: &Arc<MemoryData>,
        workers: usize,
        scan_threads: usize,
    ) -> Server {
        let catalog = memory::open(data, Arc::new(SystemClock), CHANNELS).unwrap();
        let log = MemoryLog::open(Arc::clone(store), true, Mode::Auto);
        let parts = Dataflow::start(Config {
            workers,
            scan_threads,
            checkpoints: vec![Checkpoint::default(); usize::from(CHANNELS)],
            collections: [WIDE.id].into_iter().collect(),
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
        Server { dataflow: parts.dataflow, writer, tso, next_request: 0 }
    }

    fn write(&mut self, op: &Op) {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        block_on(self.writer.write(request, records(&WIDE, op))).unwrap();
    }

    /// A Strong read's target: its time is allocated now, and ticked.
    fn target(&self) -> Target {
        let now = block_on(self.tso.now()).unwrap();
        self.writer.tick(WIDE.channels, now);
        Target {
            collection: WIDE.id,
            channels: WIDE.channels.to_vec(),
            partitions: Vec::new(),
            guarantee: Guarantee::AtLeast(now),
            known_at: Timestamp::MIN,
            timeout_ms: 1_000,
        }
    }

    fn count(&self) -> u64 {
        let request = CountRequest { target: self.target(), filter: None };
        block_on(self.dataflow.count(request)).unwrap().rows
    }

    fn tokens(
        &self,
        divisor: Option<i64>,
        offset: u64,
        limit: Option<u64>,
    ) -> (Timestamp, Vec<i64>) {
        let filter = divisor.map(|d| plan(&filter(d)));
        let output = vec![TOKEN, VECTOR];
        let request = QueryRequest {
            target: self.target(),
            filter,
            keys: None,
            output,
            order: Vec::new(),
            offset,
            limit,
        };
        let mut reply = block_on(self.dataflow.query(request)).unwrap();
        let Values::FloatVector { dim, data } = reply.columns.remove(1).values else { panic!() };
        let Values::Long(tokens) = reply.columns.remove(0).values else { panic!() };
        let expected: Vec<u8> =
            tokens.iter().flat_map(|t| vector(*t)).flat_map(f32::to_le_bytes).collect();
        assert_eq!((dim, &data[..]), (DIM, &expected[..]), "vectors follow their rows");
        (reply.as_of, tokens)
    }

    fn search_request(&self, queries: &[f32], topk: u32) -> SearchRequest {
        SearchRequest {
            target: self.target(),
            field: VECTOR,
            metric: Metric::L2,
            dim: DIM,
            queries: QueryVectors::Float(queries.into()),
            topk,
            bounds: Bounds::default(),
            group: None,
            text: None,
            filter: None,
            ef: None,
            nprobe: None,
            reorder_k: None,
            index: None,
            output: vec![PK],
        }
    }

    fn nearest(&self, query: [f32; DIM as usize], topk: u32) -> Vec<(i64, f32)> {
        let request = self.search_request(&query, topk);
        let reply = block_on(self.dataflow.search(request)).unwrap();
        assert_eq!(reply.pks.values, reply.columns[0].values);
        let Values::Long(pks) = reply.pks.values else { panic!() };
        pks.into_iter().zip(reply.scores).collect()
    }
}

fn rows(range: std::ops::Range<i64>) -> Vec<(i64, i64)> {
    range.map(|i| (i, i)).collect()
}

#[test]
fn shards_on_several_workers_answer_as_one() {
    assert!(PLACES.iter().all(|place| place.id != WIDE.id), "a collection of its own");
    let (store, data) = (MemoryStore::new(CHANNELS), Arc::default());
    for workers in [3, 2, 1] {
        let mut server = Server::start(&store, &data, workers);
        if workers == 3 {
            server.write(&Op::Create);
            server.write(&Op::Insert { partition: 1, rows: rows(0..1_000) });
            server.write(&Op::Delete { partition: None, keys: (0..100).collect() });
        }
        assert_eq!(server.count(), 900, "{workers} workers");
        let expected: Vec<i64> = (100..1_000).collect();
        assert_eq!(server.tokens(None, 0, None).1, expected);
        assert_eq!(server.tokens(None, 5, Some(10)).1, (105..115).collect::<Vec<_>>());
        assert_eq!(server.tokens(Some(5), 0, Some(3)).1, [100, 105, 110]);
        let mut naive: Vec<(i64, f32)> = (100..1_000)
            .map(|pk| (pk, vector(pk).iter().map(|x| (x - 1.0) * (x - 1.0)).sum()))
            .collect();
        naive.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        naive.truncate(40);
        assert_eq!(server.nearest([1.0; DIM as usize], 40), naive);
        server.dataflow.stop();
    }
}

#[test]
fn a_filter_delete_counts_over_all_shards_and_a_past_read_does_not_see_it() {
    let mut server = Server::start(&MemoryStore::new(CHANNELS), &Arc::default(), 2);
    server.write(&Op::Create);
    server.write(&Op::Insert { partition: 1, rows: rows(0..100) });
    let (before, all) = server.tokens(None, 0, None);
    assert_eq!(all.len(), 100);
    let outcome =
        server.dataflow.delete_outcome(RequestId(server.next_request + 1), WIDE.channels.len());
    server.write(&Op::DeleteTokens { partition: None, divisor: 4 });
    assert_eq!(block_on(outcome).unwrap(), 25);
    assert_eq!(server.count(), 75);
    let target = Target { guarantee: Guarantee::Pinned(before), ..server.target() };
    let past = CountRequest { target, filter: None };
    assert_eq!(block_on(server.dataflow.count(past)).unwrap().rows, 100);
    server.dataflow.stop();
}

#[test]
fn an_upsert_replaces_and_a_dropped_partition_is_gone_on_every_shard() {
    let mut server = Server::start(&MemoryStore::new(CHANNELS), &Arc::default(), 3);
    server.write(&Op::Create);
    server.write(&Op::Insert { partition: 1, rows: rows(0..60) });
    server.write(&Op::Insert { partition: 2, rows: rows(60..100) });
    let renewed = (0..60).map(|pk| (pk, pk + 1_000)).collect();
    server.write(&Op::Upsert { partition: 1, rows: renewed });
    assert_eq!(server.count(), 100);
    server.write(&Op::PartitionDrop { partition: 2 });
    assert_eq!(server.count(), 60);
    assert_eq!(server.tokens(None, 0, None).1, (1_000..1_060).collect::<Vec<_>>());
    server.dataflow.stop();
}

#[test]
fn a_read_of_a_collection_that_was_never_made_is_not_found() {
    let server = Server::start(&MemoryStore::new(CHANNELS), &Arc::default(), 2);
    let request = CountRequest { target: server.target(), filter: None };
    let fault = block_on(server.dataflow.count(request)).unwrap_err();
    assert_eq!(fault.code, Code::CollectionNotFound);
    server.dataflow.stop();
    let request = CountRequest { target: server.target(), filter: None };
    let fault = block_on(server.dataflow.count(request)).unwrap_err();
    assert_eq!(fault.code, Code::ServiceUnavailable);
}

/// One thread scans, so that whatever comes next waits for it.
#[test]
fn a_long_scan_ends_early_when_its_caller_is_gone() {
    let mut server = Server::with_threads(&MemoryStore::new(CHANNELS), &Arc::default(), 1, 1);
    server.write(&Op::Create);
    for first in (0..12_000).step_by(4_000) {
        server.write(&Op::Insert { partition: 1, rows: rows(first..first + 4_000) });
    }
    assert_eq!(server.count(), 12_000);
    let many: Vec<f32> = (0..16_384).flat_map(vector).collect();
    let long = || server.dataflow.search(server.search_request(&many, 10));
    // A filter is evaluated by the thread that scans.
    let next = || {
        let request = CountRequest { target: server.target(), filter: Some(plan(&filter(2))) };
        assert_eq!(block_on(server.dataflow.count(request)).unwrap().rows, 6_000);
    };
    let begun = Instant::now();
    block_on(long()).unwrap();
    next();
    let whole = begun.elapsed();
    let begun = Instant::now();
    let scanned = server.dataflow.rows_scanned();
    let mut gone = Box::pin(long());
    assert!(gone.as_mut().now_or_never().is_none(), "the search takes long");
    while server.dataflow.rows_scanned() == scanned {
        std::thread::yield_now();
    }
    drop(gone);
    next();
    let cut = begun.elapsed();
    assert!(cut * 3 < whole, "{cut:?} for a scan of {whole:?} that nobody waits for");
    server.dataflow.stop();
}
