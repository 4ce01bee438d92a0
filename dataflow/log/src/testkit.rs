//! What the tests of this crate share: a TSO that needs no disk, small records, a reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use millstream_catalog::clock::Clock;
use millstream_catalog::model::{
    CollectionId, DataType, Fault, FieldId, PartitionId, RequestId, Timestamp,
};
use millstream_catalog::tso::{Tso, WindowStore};

use crate::assemble::{Assembler, Unit};
use crate::entry::{Entry, PartHead};
use crate::inbox::{Delivery, Inbox};
use crate::record::{Kind, Record, RecordBuilder};

struct FixedClock;

impl Clock for FixedClock {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }
}

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

pub(crate) fn tso() -> Arc<Tso> {
    let start = Tso::start(Arc::new(FixedClock), Arc::new(Window::default()));
    futures::executor::block_on(start).expect("a TSO in memory starts")
}

/// A record of one row whose payload has this many bytes.
pub(crate) fn record(tag: u8, bytes: usize) -> Record {
    let mut b = RecordBuilder::new(Kind::Insert, CollectionId(1), PartitionId(1), 0, 0, 1);
    b.fixed(FieldId(100), DataType::FloatVector, bytes, &vec![tag; bytes]);
    b.finish().expect("built")
}

/// An entry with one unit.
pub(crate) fn entry(ts: u64, records: &[Record]) -> Entry {
    let unit_bytes = records.iter().map(|r| r.bytes().len() as u64).sum();
    let head = PartHead {
        ts: Timestamp(ts),
        request: RequestId(u128::from(ts)),
        unit_bytes,
        offset: 0,
        part_bytes: unit_bytes as u32,
        records: records.len() as u32,
    };
    let mut entry = Entry::building();
    entry.part(&head, records.iter().map(|r| r.bytes().clone()));
    entry
}

/// Reads an inbox into units, as a worker does.
pub(crate) struct Reader {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) assembler: Assembler,
    pub(crate) units: Vec<Unit>,
    pub(crate) ticked: Timestamp,
    pub(crate) broken: Option<String>,
}

impl Reader {
    pub(crate) fn new(after_seq: u64) -> Reader {
        Reader {
            inbox: Arc::new(Inbox::new(64 << 20)),
            assembler: Assembler::new(after_seq, Timestamp::MIN),
            units: Vec::new(),
            ticked: Timestamp::MIN,
            broken: None,
        }
    }

    /// Takes everything that waits.
    pub(crate) fn drain(&mut self) {
        while let Some(delivery) = self.inbox.try_pop() {
            match delivery {
                Delivery::Entry { seq, entry } => {
                    self.units.extend(self.assembler.push(seq, &entry).expect("good entry"));
                }
                Delivery::Tick(ts) => self.ticked = self.ticked.max(ts),
                Delivery::Broken(why) => self.broken = Some(why),
            }
        }
    }

    /// Drains until a condition holds; panics after ten seconds.
    pub(crate) fn wait(&mut self, what: &str, until: impl Fn(&Reader) -> bool) {
        let start = Instant::now();
        loop {
            self.drain();
            if until(self) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Units with records.
    pub(crate) fn data(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|unit| !unit.records.is_empty())
    }

    pub(crate) fn closed(&self) -> Timestamp {
        self.assembler.closed().max(self.ticked)
    }
}
