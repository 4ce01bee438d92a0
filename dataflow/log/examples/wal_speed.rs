//! Measures the embedded log: latency of an append, and rows per second through a `Writer`.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures::executor::block_on;
use millstream_catalog::clock::SystemClock;
use millstream_catalog::model::{
    ChannelId, CollectionId, DataType, Fault, FieldId, PartitionId, RequestId, Timestamp,
};
use millstream_catalog::tso::{Tso, WindowStore};
use millstream_log::{Inbox, Kind, Log, Record, RecordBuilder, Wal, WalOptions, Writer};

#[derive(Default)]
struct Window(AtomicU64);

#[async_trait]
impl WindowStore for Window {
    async fn load(&self) -> Result<Timestamp, Fault> {
        Ok(Timestamp(self.0.load(Ordering::SeqCst)))
    }

    async fn save(&self, bound: Timestamp) -> Result<(), Fault> {
        self.0.store(bound.0, Ordering::SeqCst);
        Ok(())
    }
}

fn record(rows: u32, dim: usize) -> Record {
    let mut b = RecordBuilder::new(Kind::Insert, CollectionId(1), PartitionId(1), 0, 0, rows);
    b.fixed(FieldId(100), DataType::Int64, 8, &vec![7; rows as usize * 8]);
    b.fixed(FieldId(101), DataType::FloatVector, dim * 4, &vec![1; rows as usize * dim * 4]);
    b.finish().expect("columns fit")
}

fn p50_us(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() {
    let folder = std::env::args().nth(1).expect("usage: wal_speed FOLDER");
    let wal = Wal::open(Path::new(&folder), 2, WalOptions::default()).expect("opens");
    let tso = block_on(Tso::start(Arc::new(SystemClock), Arc::new(Window::default())));
    let tso = tso.expect("a TSO in memory");
    let inbox = Arc::new(Inbox::new(64 << 20));
    let last = block_on(wal.bounds(ChannelId(0))).expect("there").1;
    block_on(wal.subscribe(ChannelId(0), last, Arc::clone(&inbox))).expect("subscribed");
    let reader = {
        let inbox = Arc::clone(&inbox);
        let (sender, woken) = std::sync::mpsc::channel();
        inbox.set_waker(Box::new(move || sender.send(()).unwrap_or(())));
        std::thread::spawn(move || {
            while woken.recv().is_ok() {
                while inbox.try_pop().is_some() {}
            }
        })
    };
    let writer = Writer::new(Arc::clone(&wal) as Arc<dyn Log>, Arc::clone(&tso));
    let write = |record: &Record| {
        let begun = Instant::now();
        let units = vec![(ChannelId(0), vec![record.clone()])];
        block_on(writer.write(RequestId(1), units)).expect("written");
        begun.elapsed().as_secs_f64() * 1e6
    };
    for (name, rows, dim, count) in
        [("4 KiB", 10, 100, 2000), ("400 KB", 1000, 100, 500), ("3 MB", 1000, 768, 60)]
    {
        let record = record(rows, dim);
        let begun = Instant::now();
        let p50 = p50_us((0..count).map(|_| write(&record)).collect());
        let rate = f64::from(rows * count) / begun.elapsed().as_secs_f64();
        println!("{name}: p50 {p50:.0} us, one client {rate:.0} rows/s of {dim} dimensions");
    }
    for clients in [1u32, 16, 64] {
        let begun = Instant::now();
        let (count, record) = (2000, record(1, 100));
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| (0..count).for_each(|_| _ = write(&record)));
            }
        });
        let rate = f64::from(clients * count) / begun.elapsed().as_secs_f64();
        println!("{clients} clients, one row each: {rate:.0} rows/s");
    }
    let ticks = (0..10_000).map(|_| {
        let begun = Instant::now();
        writer.tick(&[ChannelId(0)], tso.try_now().unwrap_or(Timestamp::MIN));
        begun.elapsed().as_secs_f64() * 1e6
    });
    println!("tick on an idle channel: p50 {:.2} us", p50_us(ticks.collect()));
    inbox.close();
    drop((writer, wal, inbox));
    drop(reader);
}
