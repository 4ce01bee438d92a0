//! The simulated world: gateways, log, worker and clock, and the steps that a seed chooses.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use millstream_catalog::catalog::Catalog;
use millstream_catalog::clock::Clock;
use millstream_catalog::memory::{self, MemoryData};
use millstream_catalog::model::{ChannelId, Fault, RequestId, Timestamp};
use millstream_catalog::tso::Tso;
use millstream_dataflow::api::Guarantee;
use millstream_dataflow::{Config, Dataflow, Manual};
use millstream_log::memory::{MemoryLog, MemoryStore, Mode};
use millstream_log::{Log, WriteError, Writer};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::archive::Files;
use crate::oracle::Oracle;
use crate::questions::{Answer, Question, ask, expected};
use crate::requests::{CHANNELS, DIM, KEYS, Op, PLACES, filter, plan, records};
use crate::tally::Tally;

const START_MS: u64 = 1_700_000_000_000;

struct SimClock(AtomicU64);

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

type Read = Pin<Box<dyn Future<Output = Result<(Timestamp, Answer), Fault>>>>;
/// What the workers did for an update or a filter delete; nothing is told of other writes.
type Outcome = Option<Result<u64, Fault>>;
type Write = Pin<Box<dyn Future<Output = Result<(Timestamp, Outcome), WriteError>>>>;

struct OpenWrite {
    request: RequestId,
    op: Op,
    write: Write,
}

struct OpenRead {
    place: usize,
    question: Question,
    guarantee: Guarantee,
    /// Stamps of all writes that were acknowledged before the read began.
    must_see: Timestamp,
    read: Read,
}

struct Gateway {
    log: Arc<MemoryLog>,
    writer: Arc<Writer>,
}

/// Everything that one crash takes.
struct Process {
    manual: Manual,
    dataflow: Dataflow,
    gateways: Vec<Gateway>,
    tso: Arc<Tso>,
    writes: Vec<OpenWrite>,
    reads: Vec<OpenRead>,
    inboxes: Vec<Arc<millstream_log::Inbox>>,
}

pub(crate) struct World {
    random: StdRng,
    clock: Arc<SimClock>,
    catalog: Arc<MemoryData>,
    store: Arc<MemoryStore>,
    files: Files,
    process: Option<Process>,
    /// Plans of filter deletes and what they mean.
    divisors: BTreeMap<Vec<u8>, i64>,
    next_token: i64,
    next_request: u128,
    last_ts: Timestamp,
    /// The largest stamp of an acknowledged write.
    acknowledged: Timestamp,
    /// A time after the acknowledgement of the ddl records that make the collections.
    created: Timestamp,
    acknowledged_tokens: Vec<(usize, i64, Timestamp)>,
    /// Answers given: they must be given again for ever.
    given: Vec<(usize, Question, Timestamp, Answer)>,
    dropped: Vec<(usize, i64)>,
    last_intent: i64,
    /// The only collection that something happens to, which is sealed often then, so that there is
    /// something to compact.
    only: Option<usize>,
    tally: Tally,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut world = World {
            random: StdRng::seed_from_u64(seed),
            clock: Arc::new(SimClock(AtomicU64::new(START_MS))),
            catalog: Arc::default(),
            store: MemoryStore::new(CHANNELS),
            files: Files::new(),
            process: None,
            divisors: BTreeMap::new(),
            next_token: 0,
            next_request: 1,
            last_ts: Timestamp::MIN,
            acknowledged: Timestamp::MIN,
            created: Timestamp::MIN,
            acknowledged_tokens: Vec::new(),
            given: Vec::new(),
            dropped: Vec::new(),
            last_intent: 0,
            only: seed.is_multiple_of(2).then_some(seed as usize / 2 % PLACES.len()),
            tally: Tally::default(),
        };
        for divisor in 2..6 {
            world.divisors.insert(plan(&filter(divisor)).to_vec(), divisor);
        }
        world.start();
        for place in 0..PLACES.len() {
            world.write(place, Op::Create);
        }
        world.settle();
        // Stamps of the records would not do: a late record takes effect after its stamp.
        world.created = world.now();
        world
    }

    /// Starts a process over what survived.
    fn start(&mut self) {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let catalog = memory::open(&self.catalog, clock, CHANNELS).expect("memory opens");
        let tso = catalog.tso();
        let random = &mut self.random;
        let checkpoints = self.files.checkpoints(|kept| match random.random_bool(0.5) {
            true => kept - 1,
            false => random.random_range(0..kept),
        });
        let config = Config {
            workers: 1,
            scan_threads: 0,
            checkpoints: checkpoints.clone(),
            collections: PLACES.iter().map(|p| p.id).collect(),
            inbox_bytes: 1 << 20,
            storage: Some(self.files.storage()),
            on_checkpoint: self.files.on_checkpoint(),
        };
        let (manual, parts) = Dataflow::manual(config).expect("a worker by hand");
        // Two gateways stamp the same channels in half of the worlds' lives.
        let count = self.random.random_range(1..=2usize);
        // Some write entries so small that a unit has several of them.
        let entry_bytes = [400, 1 << 20][self.random.random_range(0..2usize)];
        let gateways: Vec<_> = (0..count)
            .map(|_| {
                let (store, alone) = (Arc::clone(&self.store), count == 1);
                let log = MemoryLog::with_entry_bytes(store, alone, Mode::Stepped, entry_bytes);
                let writer = Writer::new(Arc::clone(&log) as _, Arc::clone(&tso));
                Gateway { log, writer }
            })
            .collect();
        for (channel, inbox) in (0u16..).zip(&parts.inboxes) {
            let inbox = Arc::clone(inbox);
            let after = checkpoints[usize::from(channel)].seq;
            let subscribed = gateways[0].log.subscribe(ChannelId(channel), after, inbox);
            futures::executor::block_on(subscribed).expect("memory subscribes");
        }
        self.process = Some(Process {
            manual,
            dataflow: parts.dataflow,
            gateways,
            tso,
            writes: Vec::new(),
            reads: Vec::new(),
            inboxes: parts.inboxes,
        });
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a process runs between crashes")
    }

    fn now(&mut self) -> Timestamp {
        let tso = Arc::clone(&self.process().tso);
        let now = futures::executor::block_on(tso.now()).expect("memory extends the window");
        assert!(now > self.last_ts, "G4: {now:?} after {:?}", self.last_ts);
        self.last_ts = now;
        now
    }

    pub(crate) fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..22 => self.client_writes(),
            22..38 => self.client_reads(),
            38..62 => self.log_moves(),
            62..70 => self.deliver(),
            70..72 => self.repeat(),
            72..75 => self.compact(),
            75..92 => self.process().manual.step(),
            92..95 => self.ask_again(),
            95..97 => self.clock_jumps(),
            97..98 => self.crash(),
            98 => self.files.fail(self.random.random()),
            _ => self.clock.0.store(self.clock.now_ms() + 1, Ordering::Relaxed),
        }
        self.poll();
    }

    /// The collection that something happens to.
    fn place(&mut self) -> usize {
        self.only.unwrap_or_else(|| self.random.random_range(0..PLACES.len()))
    }

    fn client_writes(&mut self) {
        let place = self.place();
        let partition = self.random.random_range(1..if self.only.is_some() { 3 } else { 4i64 });
        let some_partition = self.random.random_bool(0.5).then_some(partition);
        let rows = self.random.random_range(1..8usize);
        let keys: Vec<i64> = (0..rows).map(|_| self.random.random_range(0..KEYS)).collect();
        let new_rows = |next: &mut i64| {
            let rows = keys.iter().map(|&pk| {
                *next += 1;
                (pk, *next)
            });
            rows.collect::<Vec<_>>()
        };
        let given = [0.7, 0.5, 0.5].map(|share| self.random.random_bool(share));
        let rekey = self.random.random_bool(0.3);
        let most = if self.only.is_some() { 42 } else { 31 };
        let op = match self.random.random_range(0..most) {
            0..8 => Op::Insert { partition, rows: new_rows(&mut self.next_token) },
            8..13 => Op::Upsert { partition, rows: new_rows(&mut self.next_token) },
            13..16 => Op::Delete { partition: some_partition, keys },
            16..19 => {
                let divisor = self.random.random_range(2..6);
                Op::DeleteTokens { partition: some_partition, divisor }
            }
            19..24 => {
                let rows = new_rows(&mut self.next_token);
                Op::Update { partition, rows, given, rekey }
            }
            24 => Op::Rekey { partition, rows: new_rows(&mut self.next_token) },
            25..29 => Op::Seal,
            29 if self.random.random_bool(0.4) => {
                // One that is published again says what it said.
                self.last_intent += i64::from(self.random.random_bool(0.7));
                Op::Truncate { intent: self.last_intent.max(1) }
            }
            30 => {
                let times = [None, None, Some(0), Some(2), Some(40), Some(5_000)];
                Op::SetTtl { ms: times[self.random.random_range(0..times.len())] }
            }
            more if more > 30 => Op::Seal,
            _ if PLACES[place].by_key => return,
            _ if self.random.random_bool(0.2) => Op::PartitionDrop { partition },
            _ => return,
        };
        // As the catalog would have it: nothing new goes to a partition whose drop is decided.
        let into = match &op {
            Op::Insert { partition, .. }
            | Op::Upsert { partition, .. }
            | Op::Rekey { partition, .. }
            | Op::Update { partition, .. } => Some(*partition),
            _ => None,
        };
        if into.is_some_and(|p| self.dropped.contains(&(place, p))) {
            return;
        }
        if let Op::PartitionDrop { partition } = op {
            self.dropped.push((place, partition));
        }
        self.tally.filter_deletes += u64::from(matches!(op, Op::DeleteTokens { .. }));
        self.tally.updates += u64::from(matches!(op, Op::Update { .. }));
        self.tally.wholes += u64::from(matches!(op, Op::Truncate { .. } | Op::SetTtl { .. }));
        self.write(place, op);
    }

    fn write(&mut self, place: usize, op: Op) {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        let units = records(&PLACES[place], &op);
        let count = self.process().gateways.len();
        let gateway = self.random.random_range(0..count);
        let writer = Arc::clone(&self.process().gateways[gateway].writer);
        let tells = matches!(op, Op::Update { .. } | Op::DeleteTokens { .. });
        let dataflow = &self.process().dataflow;
        let outcome = tells.then(|| dataflow.delete_outcome(request, units.len()));
        let write = Box::pin(async move {
            let ts = writer.write(request, units).await?;
            let told = match outcome {
                Some(outcome) => Some(outcome.await),
                None => None,
            };
            Ok((ts, told))
        });
        if let Op::Insert { rows, .. } = &op {
            let tokens = rows.iter().map(|&(_, token)| (place, token, Timestamp::MAX));
            self.acknowledged_tokens.extend(tokens);
        }
        self.process().writes.push(OpenWrite { request, op, write });
    }

    fn client_reads(&mut self) {
        let place = self.place();
        let divisor = self.random.random_bool(0.4).then(|| self.random.random_range(2..6));
        let question = match self.random.random_range(0..4) {
            3 => {
                let count = self.random.random_range(1..4usize);
                let keys = (0..count).map(|_| self.random.random_range(0..KEYS + 2)).collect();
                Question::Keys { keys }
            }
            0 => {
                let query = [0.0; DIM as usize].map(|_: f32| self.random.random_range(0..5) as f32);
                let topk = self.random.random_range(1..12);
                Question::Search { divisor, query, topk }
            }
            1 => {
                let limit = self.random.random_bool(0.7).then(|| self.random.random_range(1..20));
                Question::Query { divisor, offset: self.random.random_range(0..4), limit }
            }
            _ => Question::Count { divisor },
        };
        let must_see = self.acknowledged;
        let now = self.now();
        let strong = self.random.random_bool(0.6);
        let (guarantee, must_see) = if strong {
            (Guarantee::AtLeast(now), must_see)
        } else {
            (Guarantee::AtLeast(now.minus_ms(self.random.random_range(0..50))), Timestamp::MIN)
        };
        self.ask(place, question, guarantee, must_see);
    }

    /// Somebody asks for a compaction.
    fn compact(&mut self) {
        let place = self.place();
        // What cannot be read is not compacted.
        let _ = self.process().dataflow.compact(PLACES[place].id);
    }

    fn ask(&mut self, place: usize, question: Question, guarantee: Guarantee, must_see: Timestamp) {
        // As gateways do: right after a start less may be closed than can be read.
        let guarantee = match guarantee {
            Guarantee::AtLeast(at) => {
                Guarantee::AtLeast(at.max(self.process().dataflow.since(PLACES[place].id)))
            }
            pinned => pinned,
        };
        let (Guarantee::AtLeast(at) | Guarantee::Pinned(at)) = guarantee;
        let count = self.process().gateways.len();
        let gateway = self.random.random_range(0..count);
        let channels = PLACES[place].channels;
        let needed = at.max(self.created);
        self.process().gateways[gateway].writer.tick(channels, needed);
        let dataflow = self.process().dataflow.clone();
        let asked = question.clone();
        let known_at = self.created;
        let read = Box::pin(async move { ask(dataflow, place, asked, guarantee, known_at).await });
        self.process().reads.push(OpenRead { place, question, guarantee, must_see, read });
    }

    fn ask_again(&mut self) {
        if self.given.is_empty() {
            return;
        }
        let i = self.random.random_range(0..self.given.len());
        let (place, question, at, _) = self.given[i].clone();
        self.tally.again += 1;
        self.ask(place, question, Guarantee::Pinned(at), Timestamp::MIN);
    }

    fn log_moves(&mut self) {
        let count = self.process().gateways.len();
        let gateway = self.random.random_range(0..count);
        let log = Arc::clone(&self.process().gateways[gateway].log);
        let flying = log.in_flight().len();
        if flying == 0 {
            return;
        }
        let index = self.random.random_range(0..flying);
        match self.random.random_range(0..20) {
            0..5 => drop(log.step_land(index)),
            // On an exclusive log an append that fails ends the process; see `crash`.
            5 if count > 1 => drop(log.step_lose(index)),
            _ => drop(log.step_ack(index)),
        }
    }

    fn deliver(&mut self) {
        let channel = ChannelId(self.random.random_range(0..CHANNELS));
        self.process().gateways[0].log.step_deliver(channel);
    }

    fn repeat(&mut self) {
        let channel = ChannelId(self.random.random_range(0..CHANNELS));
        let last = self.store.entries(channel).len() as u64;
        if last > 0 {
            let seq = self.random.random_range(1..=last);
            self.process().gateways[0].log.redeliver(channel, seq);
            self.tally.repeated += 1;
        }
    }

    fn clock_jumps(&mut self) {
        let now = self.clock.now_ms();
        let jumped = match self.random.random_range(0..4) {
            0 => now.saturating_sub(1_000),
            1 => now.saturating_sub(3_600_000),
            2 => now + 40,
            _ => now + 3_000,
        };
        self.clock.0.store(jumped, Ordering::Relaxed);
        self.tally.clock_jumps += 1;
    }

    /// Everything but the log and the catalog is gone; what was in flight may have landed.
    fn crash(&mut self) {
        let process = self.process.take().expect("a process runs between crashes");
        for gateway in &process.gateways {
            for index in 0..gateway.log.in_flight().len() {
                if self.random.random_bool(0.5) {
                    gateway.log.step_land(index);
                }
            }
        }
        process.inboxes.iter().for_each(|inbox| inbox.close());
        self.tally.unknown += process.writes.len() as u64;
        self.tally.crashes += 1;
        drop(process);
        self.start();
    }

    /// Lets everything come to rest.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            for gateway in &self.process().gateways {
                gateway.log.settle();
            }
            for _ in 0..4 {
                self.process().manual.step();
            }
            self.poll();
            self.tick_again();
            if self.process().writes.is_empty() && self.process().reads.is_empty() {
                return;
            }
        }
        let process = self.process();
        let closed: Vec<_> = (0..CHANNELS).map(|c| process.dataflow.closed(ChannelId(c))).collect();
        let reads: Vec<_> = process.reads.iter().map(|r| (&r.question, r.guarantee)).collect();
        let writes: Vec<_> = process.writes.iter().map(|w| &w.op).collect();
        panic!("G12: no end after the last fault: {reads:?} {writes:?} closed {closed:?}");
    }

    /// A gateway whose read still waits asks for its tick again: the first may be lost.
    fn tick_again(&mut self) {
        let created = self.created;
        let process = self.process();
        for read in &process.reads {
            let (Guarantee::AtLeast(at) | Guarantee::Pinned(at)) = read.guarantee;
            process.gateways[0].writer.tick(PLACES[read.place].channels, at.max(created));
        }
    }

    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let process = self.process.as_mut().expect("a process runs between crashes");
        let mut ended = Vec::new();
        let mut i = 0;
        while i < process.writes.len() {
            match process.writes[i].write.as_mut().poll(&mut context) {
                Poll::Pending => i += 1,
                Poll::Ready(result) => ended.push((process.writes.remove(i), result)),
            }
        }
        let mut answered = Vec::new();
        let mut i = 0;
        while i < process.reads.len() {
            match process.reads[i].read.as_mut().poll(&mut context) {
                Poll::Pending => i += 1,
                Poll::Ready(answer) => answered.push((process.reads.remove(i), answer)),
            }
        }
        let told = ended.iter().any(|(_, result)| matches!(result, Ok((_, Some(_)))));
        for (write, result) in &ended {
            self.written(&write.op, result.as_ref().map(|(ts, _)| *ts));
        }
        if told || !answered.is_empty() {
            let oracle = Oracle::read(&self.store, &self.divisors);
            for (write, result) in ended {
                if let Ok((_, Some(outcome))) = result {
                    let expected = oracle.outcome(write.request);
                    self.tally.refused_updates += u64::from(expected.is_none());
                    assert_eq!(outcome.ok(), expected, "the outcome of {:?}", write.op);
                }
            }
            for (read, answer) in answered {
                if let (Guarantee::Pinned(at), Err(fault)) = (read.guarantee, &answer)
                    && fault.message.contains("is too old")
                {
                    let process = self.process();
                    let since = process.dataflow.since(PLACES[read.place].id);
                    assert!(at < since, "{at} can be read since {since}: {fault}");
                    self.tally.too_old += 1;
                    continue;
                }
                let (as_of, answer) = answer.unwrap_or_else(|e| panic!("{:?}: {e}", read.question));
                self.answered(&oracle, read, as_of, answer);
            }
        }
    }

    fn written(&mut self, op: &Op, outcome: Result<Timestamp, &WriteError>) {
        match outcome {
            Ok(ts) => {
                self.tally.acknowledged += 1;
                self.acknowledged = self.acknowledged.max(ts);
                if let Op::Insert { rows, .. } = op {
                    for known in &mut self.acknowledged_tokens {
                        if rows.iter().any(|&(_, token)| token == known.1) {
                            known.2 = ts;
                        }
                    }
                }
            }
            Err(_) => self.tally.unknown += 1,
        }
    }

    fn answered(&mut self, oracle: &Oracle, read: OpenRead, as_of: Timestamp, answer: Answer) {
        let OpenRead { place, question, guarantee, must_see, .. } = read;
        match guarantee {
            Guarantee::AtLeast(at) => assert!(as_of >= at, "G5"),
            Guarantee::Pinned(at) => assert_eq!(as_of, at, "a pinned read runs at its time"),
        }
        assert!(as_of >= must_see, "G5: a write acknowledged before the read is later than it");
        assert_eq!(
            answer,
            expected(oracle, place, &question, as_of),
            "G3, G6: {question:?} of collection {place} at {as_of:?}"
        );
        self.tally.answers += 1;
        self.given.push((place, question, as_of, answer));
    }

    /// After the last fault everything is answered, and the past is as it was.
    pub(crate) fn finish(mut self) -> Tally {
        (self.tally.flushes, self.tally.failed_flushes) = self.files.heal();
        self.tally.compactions = self.files.compactions();
        self.settle();
        let oracle = Oracle::read(&self.store, &self.divisors);
        for (place, token, ts) in &self.acknowledged_tokens {
            let there = oracle.rows.iter().any(|r| r.token == *token);
            assert!(there || *ts == Timestamp::MAX || self.place_dropped(*place), "G1: {token}");
        }
        for (place, question, at, answer) in &self.given {
            let now = expected(&oracle, *place, question, *at);
            assert_eq!(*answer, now, "I1: {question:?} at {at:?} changed after it was closed");
        }
        for place in 0..PLACES.len() {
            for question in [
                Question::Count { divisor: None },
                Question::Query { divisor: None, offset: 0, limit: None },
            ] {
                let (must_see, now) = (self.acknowledged, self.now());
                self.ask(place, question, Guarantee::AtLeast(now), must_see);
            }
        }
        self.settle();
        self.process().dataflow.stop();
        self.tally
    }

    fn place_dropped(&self, place: usize) -> bool {
        self.dropped.iter().any(|(p, _)| *p == place)
    }
}
