//! Stamps, group commit, ticks and failures, over the in-memory log.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::executor::block_on;

use super::*;
use crate::assemble::INCOMPLETE_MS_MAX;
use crate::log::MsgId;
use crate::memory::{MemoryLog, MemoryStore, Mode};
use crate::testkit::{Reader, record, tso};

const A: ChannelId = ChannelId(0);
const B: ChannelId = ChannelId(1);

type Write = Pin<Box<dyn Future<Output = Result<Timestamp, WriteError>>>>;

struct World {
    store: Arc<MemoryStore>,
    log: Arc<MemoryLog>,
    tso: Arc<Tso>,
    writer: Arc<Writer>,
}

fn world(exclusive: bool, mode: Mode, entry_bytes_max: usize) -> World {
    let store = MemoryStore::new(2);
    let log = MemoryLog::with_entry_bytes(Arc::clone(&store), exclusive, mode, entry_bytes_max);
    let tso = tso();
    let writer = Writer::new(Arc::clone(&log) as Arc<dyn Log>, Arc::clone(&tso));
    World { store, log, tso, writer }
}

impl World {
    /// Begins a write and runs it until it waits.
    fn begin(&self, request: u128, units: Vec<(ChannelId, Vec<Record>)>) -> Write {
        let writer = Arc::clone(&self.writer);
        let mut write: Write =
            Box::pin(async move { writer.write(RequestId(request), units).await });
        // The first poll may have to extend the window of the TSO.
        assert!(poll(&mut write).is_none(), "a stepped log acknowledges nothing by itself");
        write
    }

    fn reader(&self, channel: ChannelId) -> Reader {
        let reader = Reader::new(0);
        block_on(self.log.subscribe(channel, 0, Arc::clone(&reader.inbox))).expect("subscribed");
        reader
    }

    fn now(&self) -> Timestamp {
        block_on(self.tso.now()).expect("time")
    }
}

fn poll(write: &mut Write) -> Option<Result<Timestamp, WriteError>> {
    match write.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn one(tag: u8) -> Vec<Record> {
    vec![record(tag, 8)]
}

#[test]
fn what_waits_while_an_entry_is_in_flight_goes_into_the_next() {
    let w = world(true, Mode::Stepped, 1 << 20);
    let mut writes: Vec<Write> = (0..10).map(|n| w.begin(n, vec![(A, one(1))])).collect();
    assert_eq!(w.log.in_flight().len(), 1);
    w.log.step_ack(0);
    assert!(poll(&mut writes[0]).is_some());
    assert!(poll(&mut writes[1]).is_none());
    assert_eq!(w.log.in_flight().len(), 1);
    w.log.step_ack(0);
    assert!(writes[1..].iter_mut().all(|write| matches!(poll(write), Some(Ok(_)))));
    assert_eq!(w.store.entries(A).len(), 2);
    assert_eq!((w.writer.stats(A).entries, w.writer.stats(A).units), (2, 10));
    assert_eq!(w.writer.stats(A).bytes, 0);
}

#[test]
fn one_request_has_one_stamp_on_all_channels() {
    let w = world(true, Mode::Auto, 1 << 20);
    let (mut a, mut b) = (w.reader(A), w.reader(B));
    let stamps: Vec<Timestamp> = (0..20)
        .map(|n| {
            let units = vec![(B, one(1)), (A, one(2)), (B, one(3))];
            block_on(w.writer.write(RequestId(n), units)).unwrap()
        })
        .collect();
    a.drain();
    b.drain();
    for reader in [&a, &b] {
        assert_eq!(reader.data().map(|u| u.ts).collect::<Vec<_>>(), stamps);
    }
    assert!(stamps.is_sorted_by(|a, b| a < b));
    assert!(b.units.iter().all(|u| u.records.len() == 2), "lists for one channel are one unit");
}

#[test]
fn stamps_grow_along_a_channel_with_many_writers() {
    let w = world(true, Mode::Auto, 1 << 20);
    std::thread::scope(|scope| {
        for thread in 0..4u128 {
            let writer = &w.writer;
            scope.spawn(move || {
                for n in 0..200 {
                    let units = vec![(A, one(1)), (B, one(2))];
                    block_on(writer.write(RequestId(thread << 64 | n), units)).unwrap();
                }
            });
        }
    });
    for channel in [A, B] {
        let mut reader = w.reader(channel);
        w.log.deliver_all();
        reader.drain();
        assert_eq!(reader.units.len(), 800);
        assert!(reader.units.is_sorted_by(|a, b| a.ts < b.ts && a.position < b.position));
    }
}

#[test]
fn an_idle_exclusive_channel_ticks_at_once_and_writes_nothing() {
    let w = world(true, Mode::Auto, 1 << 20);
    let mut reader = w.reader(A);
    let ts = w.now();
    w.writer.tick(&[A, B], ts);
    reader.drain();
    assert_eq!(reader.closed(), ts);
    assert!(w.store.entries(A).is_empty());
    let acked = block_on(w.writer.write(RequestId(1), vec![(A, one(1))])).unwrap();
    assert!(acked > ts);
    w.writer.tick(&[A], ts);
    reader.drain();
    assert_eq!(reader.ticked, ts, "what is closed needs no tick");
}

#[test]
fn an_exclusive_tick_waits_for_what_was_stamped_before_it() {
    let w = world(true, Mode::Stepped, 1 << 20);
    let mut reader = w.reader(A);
    let mut first = w.begin(1, vec![(A, one(1))]);
    let mut second = w.begin(2, vec![(A, one(2))]);
    let ts = w.now();
    w.writer.tick(&[A], ts);
    reader.drain();
    assert_eq!(reader.closed(), Timestamp::MIN);
    w.log.step_ack(0);
    w.log.deliver_all();
    reader.drain();
    assert!(reader.closed() < ts, "the second write is not durable yet");
    w.log.step_ack(0);
    reader.drain();
    assert_eq!((reader.closed(), reader.data().count()), (ts, 2));
    assert!(poll(&mut first).is_some() && poll(&mut second).is_some());
}

#[test]
fn data_stamped_later_serves_instead_of_a_tick() {
    let w = world(true, Mode::Stepped, 1 << 20);
    let mut reader = w.reader(A);
    let _first = w.begin(1, vec![(A, one(1))]);
    let ts = w.now();
    w.writer.tick(&[A], ts);
    let _second = w.begin(2, vec![(A, one(2))]);
    w.log.settle();
    reader.drain();
    assert!(reader.assembler.closed() > ts);
    assert_eq!(reader.ticked, Timestamp::MIN);
}

#[test]
fn on_a_shared_log_ticks_are_entries_and_at_most_one_is_outstanding() {
    let w = world(false, Mode::Stepped, 1 << 20);
    let mut reader = w.reader(A);
    let ticks: Vec<Timestamp> = (0..5).map(|_| w.now()).collect();
    for &ts in &ticks {
        w.writer.tick(&[A], ts);
    }
    assert_eq!(w.log.in_flight(), [(A, MsgId::Tick(ticks[0]))]);
    w.log.step_ack(0);
    assert_eq!(w.log.in_flight(), [(A, MsgId::Tick(ticks[4]))]);
    w.log.settle();
    reader.drain();
    assert_eq!((reader.closed(), reader.units.len()), (ticks[4], 2));
}

#[test]
fn on_a_shared_log_a_tick_does_not_wait_for_data_in_flight() {
    let w = world(false, Mode::Stepped, 1 << 20);
    let _first = w.begin(1, vec![(A, one(1))]);
    let _second = w.begin(2, vec![(A, one(2))]);
    assert_eq!(w.log.in_flight().len(), 1);
    w.writer.tick(&[A], w.now());
    assert_eq!(w.log.in_flight().len(), 2, "the tick takes the queue along");
    w.log.settle();
    let mut reader = w.reader(A);
    w.log.deliver_all();
    reader.drain();
    assert_eq!(reader.units.iter().map(|u| u.records.len()).collect::<Vec<_>>(), [1, 1, 0]);
}

#[test]
fn large_units_are_cut_and_put_together_again() {
    for entry_bytes in [200, 1000, 5000] {
        let w = world(true, Mode::Auto, entry_bytes);
        let mut reader = w.reader(A);
        let mut sent = BTreeMap::new();
        for n in 0..30u8 {
            let records: Vec<Record> =
                (0..n % 4 + 1).map(|k| record(n, 16 * usize::from(n) * usize::from(k))).collect();
            let units = vec![(A, records.clone())];
            let ts = block_on(w.writer.write(RequestId(u128::from(n)), units)).unwrap();
            sent.insert(ts, records);
        }
        assert!(w.store.entries(A).iter().all(|(_, entry)| entry.len() <= entry_bytes));
        reader.drain();
        let got: BTreeMap<_, _> = reader.units.into_iter().map(|u| (u.ts, u.records)).collect();
        assert_eq!(got, sent);
    }
}

#[test]
fn a_unit_that_a_crash_cut_short_never_takes_effect() {
    let w = world(true, Mode::Stepped, 1000);
    let _lost = w.begin(1, vec![(A, vec![record(1, 3000)])]);
    w.log.step_ack(0);
    assert_eq!(w.log.in_flight().len(), 1, "more parts are to come");
    let log = MemoryLog::open(Arc::clone(&w.store), true, Mode::Auto);
    let mut reader = Reader::new(0);
    block_on(log.subscribe(A, 0, Arc::clone(&reader.inbox))).unwrap();
    let writer = Writer::new(log, Arc::clone(&w.tso));
    let ts = block_on(writer.write(RequestId(2), vec![(A, one(2))])).unwrap();
    reader.drain();
    assert_eq!(reader.units.len(), 1);
    assert_eq!(reader.assembler.first_staged().map(|place| place.seq), Some(0));
    let entry = crate::testkit::entry(
        Timestamp::from_ms(ts.physical_ms() + INCOMPLETE_MS_MAX + 1).0,
        &one(3),
    );
    assert_eq!(reader.assembler.push(3, &entry).unwrap().len(), 1);
    assert_eq!(reader.assembler.first_staged(), None);
}

#[test]
fn a_lost_acknowledgement_is_unknown_and_a_refusal_is_refused() {
    let w = world(false, Mode::Stepped, 1 << 20);
    let mut lost = w.begin(1, vec![(A, one(1))]);
    w.log.step_lose(0);
    assert!(matches!(poll(&mut lost), Some(Err(WriteError::Unknown(_)))));
    assert!(matches!(w.log.in_flight()[..], [(A, MsgId::Tick(_))]), "readers are not left waiting");
    w.log.settle();
    let mut refused = w.begin(2, vec![(A, one(1)), (B, one(2))]);
    w.log.step_refuse(0);
    assert!(poll(&mut refused).is_none());
    w.log.step_refuse(0);
    w.log.settle();
    assert!(matches!(poll(&mut refused), Some(Err(WriteError::Refused(_)))));
    let mut half = w.begin(3, vec![(A, one(1)), (B, one(2))]);
    w.log.step_refuse(0);
    w.log.settle();
    assert!(matches!(poll(&mut half), Some(Err(WriteError::Unknown(_)))));
}

#[test]
fn a_channel_with_too_much_waiting_makes_writes_wait() {
    let w = world(true, Mode::Stepped, 1 << 20);
    let writer =
        Writer::with_lane_bytes(Arc::clone(&w.log) as Arc<dyn Log>, Arc::clone(&w.tso), 10_000);
    let w = World { writer, ..w };
    let mut first = w.begin(1, vec![(A, vec![record(1, 20_000)])]);
    let mut second = w.begin(2, vec![(A, vec![record(1, 6_000)])]);
    let mut third = w.begin(3, vec![(A, vec![record(1, 6_000)])]);
    w.log.step_ack(0);
    assert!(poll(&mut first).is_some());
    assert!(poll(&mut second).is_none() && poll(&mut third).is_none());
    assert_eq!(w.log.in_flight().len(), 1);
    w.log.step_ack(0);
    assert!(poll(&mut second).is_some() && poll(&mut third).is_none());
    w.log.step_ack(0);
    assert!(matches!(poll(&mut third), Some(Ok(_))));
}

#[test]
fn impossible_writes_are_refused_at_once() {
    let w = world(true, Mode::Auto, 1 << 20);
    let write = |units| block_on(w.writer.write(RequestId(1), units));
    assert!(matches!(write(vec![(ChannelId(2), one(1))]), Err(WriteError::Invalid(_))));
    assert!(write(Vec::new()).is_ok());
    w.writer.tick(&[ChannelId(9)], w.now());
}

#[test]
fn a_dropped_request_is_still_written() {
    let w = world(true, Mode::Stepped, 1 << 20);
    drop(w.begin(1, vec![(A, one(1))]));
    drop(w.begin(2, vec![(A, one(2))]));
    w.log.settle();
    assert_eq!(w.store.entries(A).len(), 2);
}

#[test]
fn an_entry_delivered_twice_is_taken_once_and_a_gap_is_noticed() {
    let w = world(false, Mode::Auto, 1 << 20);
    let mut reader = w.reader(A);
    for n in 0..3 {
        block_on(w.writer.write(RequestId(n), vec![(A, one(1))])).unwrap();
    }
    w.log.redeliver(A, 2);
    reader.drain();
    assert_eq!(reader.units.len(), 3);
    assert!(reader.assembler.push(5, &w.store.entries(A)[0].1).is_err());
}
