//! Random load on one collection, recorded: writers with keys of their own, readers of every level.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use millstream_gateway::pb::QueryRequest;
use millstream_gateway::pb::common::ConsistencyLevel;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use crate::client::{Answer, Client, hits, pinned, query, search};
use crate::history::{Change, DIM, History, Level, Outcome, Read, Seen, Stamp, Write, vector};
use crate::rows::{int_ids, longs, pair, read_longs, vectors};

/// Keys of one writer.
const KEYS: i64 = 64;
/// Largest number of rows in one request.
const BATCH: usize = 6;
/// After a lost request a client waits this long, so that a dead server does not use up its keys.
const PAUSE: Duration = Duration::from_millis(60);

/// Load on one collection of the plain schema with vectors of [`DIM`] floats.
#[derive(Debug)]
pub struct Workload {
    client: Client,
    collection: String,
    shards: usize,
    epoch: Instant,
    tokens: AtomicI64,
    stop: AtomicBool,
}

/// Load that runs; [`Running::finish`] ends it.
#[derive(Debug)]
pub struct Running {
    workload: Arc<Workload>,
    tasks: JoinSet<History>,
}

impl Workload {
    /// Load for a collection of so many shards that exists and is loaded.
    pub fn new(client: Client, collection: &str, shards: usize) -> Arc<Workload> {
        Arc::new(Workload {
            client,
            collection: collection.to_owned(),
            shards,
            epoch: Instant::now(),
            tokens: AtomicI64::new(1),
            stop: AtomicBool::new(false),
        })
    }

    /// Starts writers and readers; the seed decides what they ask.
    pub fn start(self: &Arc<Self>, writers: usize, readers: usize, seed: u64) -> Running {
        let mut tasks = JoinSet::new();
        for number in 0..writers {
            let random = StdRng::seed_from_u64(seed ^ (number as u64) << 32);
            tasks.spawn(Writer::new(Arc::clone(self), number, random).run());
        }
        for number in writers..writers + readers {
            let random = StdRng::seed_from_u64(seed ^ (number as u64) << 32);
            tasks.spawn(read_until_stopped(Arc::clone(self), number, random));
        }
        Running { workload: Arc::clone(self), tasks }
    }

    /// Nanoseconds since the load was made: the clock of its history.
    ///
    /// # Panics
    /// After centuries.
    pub fn moment(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).expect("a short run")
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// One read; nothing when it was not answered.
    pub async fn read(&self, client: usize, level: Level, ask: Ask) -> Option<Read> {
        self.read_after(client, level, ask, 0).await
    }

    /// One read of a client whose last write has this timestamp.
    async fn read_after(&self, client: usize, level: Level, ask: Ask, own: u64) -> Option<Read> {
        let invoked = self.moment();
        let (as_of, seen) = self.ask(level, ask, own).await.ok()?;
        let as_of = (as_of > 0).then_some(as_of);
        Some(Read { client, invoked, completed: self.moment(), level, as_of, seen })
    }

    async fn ask(&self, level: Level, ask: Ask, own: u64) -> Answer<(u64, Seen)> {
        let (consistency, guarantee) = match level {
            Level::Strong | Level::Pinned(_) => (ConsistencyLevel::Strong, 0),
            Level::Session => (ConsistencyLevel::Session, own.max(1)),
            Level::Bounded => (ConsistencyLevel::Bounded, 2),
            Level::Eventually => (ConsistencyLevel::Eventually, 1),
        };
        let fresh = |request: QueryRequest| {
            let request = QueryRequest {
                consistency_level: consistency.into(),
                guarantee_timestamp: guarantee,
                ..request
            };
            match level {
                Level::Pinned(at) => pinned(request, at),
                _ => request,
            }
        };
        match ask {
            Ask::Rows => {
                let mut request = query(&self.collection, "id >= 0", &["id", "value"]);
                if level != Level::Session {
                    // An iterator's first page says its time.
                    request.query_params.push(pair("iterator", "True"));
                }
                let answer = self.client.query(fresh(request)).await?;
                let keys = read_longs(&answer.fields_data, "id");
                let tokens = read_longs(&answer.fields_data, "value");
                Ok((answer.session_ts, Seen::Rows(keys.into_iter().zip(tokens).collect())))
            }
            Ask::Count => {
                let request = query(&self.collection, "", &["count(*)"]);
                let answer = self.client.query(fresh(request)).await?;
                let rows = read_longs(&answer.fields_data, "count(*)")[0];
                Ok((answer.session_ts, Seen::Count(u64::try_from(rows).unwrap_or(u64::MAX))))
            }
            Ask::Nearest { token, topk } => {
                let mut request = search(&self.collection, DIM, &vector(token), topk);
                request.consistency_level = consistency.into();
                request.guarantee_timestamp = guarantee;
                if let Level::Pinned(at) = level {
                    request.travel_timestamp = at;
                }
                let answer = self.client.search(request).await?;
                let found = hits(&answer);
                let keys = int_ids(found.ids.as_ref());
                let hits = keys.into_iter().zip(found.scores.iter().copied()).collect();
                Ok((answer.session_ts, Seen::Nearest { token, topk, hits }))
            }
        }
    }
}

/// What a read asks for.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// All rows.
    Rows,
    /// The number of rows.
    Count,
    /// Neighbours of the vector of a token.
    Nearest {
        /// The token.
        token: i64,
        /// Hits wanted.
        topk: usize,
    },
}

impl Running {
    /// Lets every client finish its request, and returns what all of them did.
    ///
    /// # Panics
    /// When a client met an answer that it cannot read.
    pub async fn finish(mut self) -> History {
        self.workload.stop.store(true, Ordering::Relaxed);
        let mut history = History { shards: self.workload.shards, ..History::default() };
        while let Some(part) = self.tasks.join_next().await {
            history.append(part.expect("a client that did not panic"));
        }
        self.workload.stop.store(false, Ordering::Relaxed);
        history
    }
}

/// A client that writes its own keys and sometimes reads.
struct Writer {
    workload: Arc<Workload>,
    number: usize,
    random: StdRng,
    /// Keys that may be written, and whether they have a row.
    keys: Vec<(i64, bool)>,
    last: u64,
    history: History,
}

impl Writer {
    fn new(workload: Arc<Workload>, number: usize, random: StdRng) -> Writer {
        // Every start has keys of its own: what an earlier one left may be unknown.
        let base = workload.tokens.fetch_add(KEYS, Ordering::Relaxed);
        let keys = (base..base + KEYS).map(|key| (key, false)).collect();
        Writer { workload, number, random, keys, last: 0, history: History::default() }
    }

    async fn run(mut self) -> History {
        while !self.workload.stopped() && !self.keys.is_empty() {
            match self.random.random_range(0..10) {
                0..7 => self.write().await,
                7 => self.read(Level::Session).await,
                8 => self.read(Level::Strong).await,
                _ => self.stamp().await,
            }
        }
        self.history
    }

    async fn write(&mut self) {
        let count = self.random.random_range(1..=BATCH.min(self.keys.len()));
        let picked = rand::seq::index::sample(&mut self.random, self.keys.len(), count).into_vec();
        let chosen: Vec<(i64, bool)> = picked.iter().map(|&place| self.keys[place]).collect();
        let delete = self.random.random_bool(0.3);
        let fresh = chosen.iter().all(|(_, present)| !present);
        let keys: Vec<i64> = chosen.iter().map(|(key, _)| *key).collect();
        let (change, invoked, answer) = if delete {
            let invoked = self.workload.moment();
            let filter = format!("id in {keys:?}");
            let answer = self.workload.client.delete(&self.workload.collection, &filter).await;
            (Change::Delete(keys), invoked, answer)
        } else {
            let first = self.workload.tokens.fetch_add(KEYS, Ordering::Relaxed);
            let rows: Vec<(i64, i64)> = keys.iter().copied().zip(first..).collect();
            let columns = columns(&rows);
            let invoked = self.workload.moment();
            let (client, name) = (&self.workload.client, &self.workload.collection);
            let answer = match fresh {
                true => client.insert(name, rows.len(), columns).await,
                false => client.upsert(name, rows.len(), columns).await,
            };
            (Change::Put(rows), invoked, answer)
        };
        let completed = self.workload.moment();
        let outcome = match answer {
            Ok(result) => {
                self.last = self.last.max(result.timestamp);
                picked.iter().for_each(|&place| self.keys[place].1 = !delete);
                Outcome::Acknowledged(result.timestamp)
            }
            // All requests are valid, so a refusal comes from a fault: its effect is not known.
            Err(_) => {
                let lost: Vec<i64> = chosen.iter().map(|(key, _)| *key).collect();
                self.keys.retain(|(key, _)| !lost.contains(key));
                tokio::time::sleep(PAUSE).await;
                Outcome::Unknown
            }
        };
        let client = self.number;
        self.history.writes.push(Write { client, invoked, completed, change, outcome });
    }

    async fn read(&mut self, level: Level) {
        let own = self.last;
        let read = self.workload.read_after(self.number, level, Ask::Rows, own).await;
        self.history.reads.extend(read);
    }

    async fn stamp(&mut self) {
        let invoked = self.workload.moment();
        if let Ok(ts) = self.workload.client.now().await {
            let completed = self.workload.moment();
            self.history.stamps.push(Stamp { invoked, completed, ts });
        }
    }
}

/// Reads at random levels until the load stops.
async fn read_until_stopped(workload: Arc<Workload>, number: usize, mut random: StdRng) -> History {
    let mut history = History::default();
    let mut known = None;
    while !workload.stopped() {
        let newest = workload.tokens.load(Ordering::Relaxed);
        let level = match random.random_range(0..6) {
            0..3 => Level::Strong,
            3 => Level::Bounded,
            4 => Level::Eventually,
            _ => known.map_or(Level::Strong, Level::Pinned),
        };
        let ask = match random.random_range(0..4) {
            0 => Ask::Count,
            1 => Ask::Nearest { token: random.random_range(0..newest), topk: 10 },
            _ => Ask::Rows,
        };
        match workload.read(number, level, ask).await {
            Some(read) => {
                known = read.as_of.or(known);
                history.reads.push(read);
            }
            None => tokio::time::sleep(PAUSE).await,
        }
    }
    history
}

/// The columns of rows of these keys and tokens.
pub fn columns(rows: &[(i64, i64)]) -> Vec<millstream_gateway::pb::schema::FieldData> {
    let flat: Vec<f32> = rows.iter().flat_map(|&(_, token)| vector(token)).collect();
    vec![
        longs("id", rows.iter().map(|row| row.0).collect()),
        longs("value", rows.iter().map(|row| row.1).collect()),
        vectors("vector", DIM, &flat),
    ]
}
