//! The catalog in memory: the same rules over rows in vectors, for simulation and unit tests.
//!
//! The rows live in a [`MemoryData`] that outlives the catalog over it, as a disk outlives a
//! process: opening another catalog over the same data is a restart.

mod manifest;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use futures::lock::{Mutex, OwnedMutexGuard};

use crate::catalog::Checkpoint;
use crate::clock::Clock;
use crate::ddl::StoredCatalog;
use crate::model::{ChannelId, Code, CollectionId, Fault, RequestId, Timestamp};
use crate::origin::{ClientRequest, REQUESTS_MAX};
use crate::rules::Limits;
use crate::store::{At, Counter, Row, RowState, Store, Table, Txn};
use crate::tso::WindowStore;
use manifest::Manifest;

/// Opens the catalog over `data`, making it if it is empty. A catalog that was open over the
/// same data is refused from now on, like a process that lost its place to another.
///
/// # Errors
/// When `channels` differs from the number it was made with.
pub fn open(
    data: &Arc<MemoryData>,
    clock: Arc<dyn Clock>,
    channels: u16,
) -> Result<Arc<StoredCatalog>, Fault> {
    let store = MemoryStore::new(data);
    let started =
        StoredCatalog::start(Arc::new(store), clock, channels, Limits::default()).now_or_never();
    // Ready at once, unless a transaction of another catalog is open at this very moment.
    let busy = || Fault::new(Code::ServiceUnavailable, "the catalog's data are in use");
    started.unwrap_or_else(|| Err(busy())).map(Arc::new)
}

/// What a disk would hold.
#[derive(Default)]
pub struct MemoryData {
    state: Arc<Mutex<State>>,
    /// Apart from the rest: the bound is saved while a transaction is open.
    window: parking_lot::Mutex<Window>,
}

#[derive(Default)]
struct Window {
    bound: Timestamp,
    /// Counts the owners; only the last one may change anything.
    epoch: u64,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<Table, Vec<Row>>,
    small: Small,
    requests: Vec<(RequestId, CollectionId, Timestamp)>,
    manifest: Manifest,
}

/// What is small enough to be copied at the start of a transaction.
#[derive(Clone, Default)]
struct Small {
    counters: BTreeMap<Counter, i64>,
    intents: BTreeMap<i64, String>,
    settings: BTreeMap<String, String>,
    client_requests: BTreeMap<String, (String, Timestamp)>,
}

/// A [`Store`] over a [`MemoryData`].
pub struct MemoryStore {
    data: Arc<MemoryData>,
    epoch: AtomicU64,
}

impl MemoryStore {
    pub(crate) fn new(data: &Arc<MemoryData>) -> MemoryStore {
        MemoryStore { data: Arc::clone(data), epoch: AtomicU64::new(0) }
    }

    /// Refuses an owner that another one followed.
    fn fence(&self, window: &Window) -> Result<(), Fault> {
        if window.epoch == self.epoch.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Fault::new(Code::ServiceUnavailable, "another process has taken the catalog over"))
    }

    async fn begin(&self) -> MemoryTxn {
        let state = Arc::clone(&self.data.state).lock_owned().await;
        let lengths = state.rows.iter().map(|(table, rows)| (*table, rows.len())).collect();
        let undo = Undo {
            lengths,
            ended: Vec::new(),
            scrubbed: Vec::new(),
            small: state.small.clone(),
            requests: state.requests.len(),
        };
        MemoryTxn { state, undo: Some(undo) }
    }
}

#[async_trait]
impl WindowStore for MemoryStore {
    async fn load(&self) -> Result<Timestamp, Fault> {
        Ok(self.data.window.lock().bound)
    }

    async fn save(&self, bound: Timestamp) -> Result<(), Fault> {
        let mut window = self.data.window.lock();
        self.fence(&window)?;
        if bound < window.bound {
            return Err(Fault::internal("the bound of the timestamps cannot go back"));
        }
        window.bound = bound;
        Ok(())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn claim(&self) -> Result<(), Fault> {
        let mut window = self.data.window.lock();
        window.epoch += 1;
        self.epoch.store(window.epoch, Ordering::Release);
        Ok(())
    }

    async fn read(&self) -> Result<Box<dyn Txn>, Fault> {
        Ok(Box::new(self.begin().await))
    }

    async fn write(&self) -> Result<Box<dyn Txn>, Fault> {
        let txn = self.begin().await;
        self.fence(&self.data.window.lock())?;
        Ok(Box::new(txn))
    }

    async fn count_up(&self, counter: Counter, by: i64) -> Result<i64, Fault> {
        let mut txn = self.begin().await;
        self.fence(&self.data.window.lock())?;
        let first = txn.count_up(counter, by).await?;
        txn.undo = None;
        Ok(first)
    }

    async fn checkpoint_get(&self, channel: ChannelId) -> Result<Option<Checkpoint>, Fault> {
        Ok(self.data.state.lock().await.manifest.checkpoint(channel))
    }

    async fn checkpoint_set(&self, channel: ChannelId, to: Checkpoint) -> Result<(), Fault> {
        let mut state = self.data.state.lock().await;
        self.fence(&self.data.window.lock())?;
        state.manifest.forward(channel, to);
        state.manifest.keep();
        Ok(())
    }

    async fn check(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// A transaction: holds the state and knows how it was.
struct MemoryTxn {
    state: OwnedMutexGuard<State>,
    /// `None` once committed.
    undo: Option<Undo>,
}

/// How the state was when a transaction began.
struct Undo {
    lengths: BTreeMap<Table, usize>,
    ended: Vec<(Table, usize)>,
    scrubbed: Vec<(Table, usize, String)>,
    small: Small,
    requests: usize,
}

impl Drop for MemoryTxn {
    fn drop(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        for (table, at, body) in undo.scrubbed {
            if let Some(row) = self.state.rows.get_mut(&table).and_then(|rows| rows.get_mut(at)) {
                row.body = body;
            }
        }
        for (table, at) in undo.ended {
            if let Some(row) = self.state.rows.get_mut(&table).and_then(|rows| rows.get_mut(at)) {
                row.to = Timestamp::MAX;
            }
        }
        for (table, rows) in &mut self.state.rows {
            rows.truncate(undo.lengths.get(table).copied().unwrap_or(0));
        }
        self.state.manifest.undo();
        self.state.small = undo.small;
        self.state.requests.truncate(undo.requests);
    }
}

impl MemoryTxn {
    fn rows(&self, table: Table, at: At) -> impl Iterator<Item = &Row> {
        let rows = self.state.rows.get(&table).map_or(&[][..], Vec::as_slice);
        rows.iter().filter(move |row| valid(row, at))
    }

    fn end_where(&mut self, table: Table, at: Timestamp, which: impl Fn(&Row) -> bool) {
        let Some(rows) = self.state.rows.get_mut(&table) else { return };
        for (i, row) in rows.iter_mut().enumerate() {
            if row.to == Timestamp::MAX && which(row) {
                row.to = at;
                if let Some(undo) = &mut self.undo {
                    undo.ended.push((table, i));
                }
            }
        }
    }
}

fn valid(row: &Row, at: At) -> bool {
    match at {
        At::Now => row.to == Timestamp::MAX,
        At::Past(t) => row.from <= t && t < row.to,
    }
}

fn by_id(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| row.id);
    rows
}

#[async_trait]
impl Txn for MemoryTxn {
    async fn get(&mut self, table: Table, id: i64, at: At) -> Result<Option<Row>, Fault> {
        Ok(self.rows(table, at).find(|row| row.id == id).cloned())
    }

    async fn find(
        &mut self,
        table: Table,
        owner: i64,
        name: &str,
        at: At,
    ) -> Result<Option<Row>, Fault> {
        let named =
            |row: &&Row| row.owner == owner && row.name == name && row.state != RowState::Dropping;
        Ok(self.rows(table, at).find(named).cloned())
    }

    async fn list(&mut self, table: Table, owners: &[i64], at: At) -> Result<Vec<Row>, Fault> {
        let owned = self.rows(table, at).filter(|row| owners.contains(&row.owner));
        Ok(by_id(owned.cloned().collect()))
    }

    async fn list_all(&mut self, table: Table) -> Result<Vec<Row>, Fault> {
        Ok(by_id(self.rows(table, At::Now).cloned().collect()))
    }

    async fn count(&mut self, table: Table, owner: Option<i64>) -> Result<u64, Fault> {
        let owned = |row: &&Row| owner.is_none_or(|owner| row.owner == owner);
        Ok(self.rows(table, At::Now).filter(owned).count() as u64)
    }

    async fn add(&mut self, table: Table, rows: &[Row]) -> Result<(), Fault> {
        self.state.rows.entry(table).or_default().extend_from_slice(rows);
        Ok(())
    }

    async fn end(&mut self, table: Table, ids: &[i64], at: Timestamp) -> Result<(), Fault> {
        self.end_where(table, at, |row| ids.contains(&row.id));
        Ok(())
    }

    async fn end_owned(&mut self, table: Table, owner: i64, at: Timestamp) -> Result<(), Fault> {
        self.end_where(table, at, |row| row.owner == owner);
        Ok(())
    }

    async fn scrub(&mut self, table: Table, id: i64) -> Result<(), Fault> {
        let Some(rows) = self.state.rows.get_mut(&table) else { return Ok(()) };
        for (at, row) in rows.iter_mut().enumerate() {
            if row.id == id && row.to != Timestamp::MAX && !row.body.is_empty() {
                let body = std::mem::take(&mut row.body);
                if let Some(undo) = &mut self.undo {
                    undo.scrubbed.push((table, at, body));
                }
            }
        }
        Ok(())
    }

    async fn counter_get(&mut self, counter: Counter) -> Result<i64, Fault> {
        let start = i64::from(counter != Counter::Placement);
        Ok(self.state.small.counters.get(&counter).copied().unwrap_or(start))
    }

    async fn count_up(&mut self, counter: Counter, by: i64) -> Result<i64, Fault> {
        let start = i64::from(counter != Counter::Placement);
        let next = self.state.small.counters.entry(counter).or_insert(start);
        let first = *next;
        *next = first.checked_add(by).ok_or_else(|| Fault::internal("all ids are used up"))?;
        Ok(first)
    }

    async fn intent_add(&mut self, id: i64, body: &str, _: Timestamp) -> Result<(), Fault> {
        self.state.small.intents.insert(id, body.to_owned());
        Ok(())
    }

    async fn intent_list(&mut self) -> Result<Vec<(i64, String)>, Fault> {
        Ok(self.state.small.intents.iter().map(|(id, body)| (*id, body.clone())).collect())
    }

    async fn intent_take(&mut self, id: i64) -> Result<Option<String>, Fault> {
        Ok(self.state.small.intents.remove(&id))
    }

    async fn request_get(
        &mut self,
        id: RequestId,
    ) -> Result<Option<(CollectionId, Timestamp)>, Fault> {
        let found = self.state.requests.iter().find(|(request, ..)| *request == id);
        Ok(found.map(|(_, collection, at)| (*collection, *at)))
    }

    async fn request_add(
        &mut self,
        id: RequestId,
        collection: CollectionId,
        at: Timestamp,
    ) -> Result<(), Fault> {
        self.state.requests.push((id, collection, at));
        Ok(())
    }

    async fn client_request_get(&mut self, client: &str) -> Result<Option<String>, Fault> {
        Ok(self.state.small.client_requests.get(client).map(|(digest, _)| digest.clone()))
    }

    async fn client_request_set(
        &mut self,
        request: &ClientRequest,
        at: Timestamp,
        oldest: Timestamp,
    ) -> Result<(), Fault> {
        let noted = &mut self.state.small.client_requests;
        noted.remove(&request.client);
        noted.retain(|_, (_, decided)| *decided >= oldest);
        while noted.len() >= REQUESTS_MAX {
            let first = noted.iter().min_by_key(|(_, (_, decided))| *decided);
            let Some(first) = first.map(|(client, _)| client.clone()) else { break };
            noted.remove(&first);
        }
        noted.insert(request.client.clone(), (request.digest.clone(), at));
        Ok(())
    }

    async fn setting_get(&mut self, key: &str) -> Result<Option<String>, Fault> {
        Ok(self.state.small.settings.get(key).cloned())
    }

    async fn setting_add(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        self.state.small.settings.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    async fn commit(
        mut self: Box<Self>,
        _: Option<CollectionId>,
        done: Box<dyn FnOnce() + Send>,
    ) -> Result<(), Fault> {
        self.undo = None;
        self.state.manifest.keep();
        // The state is free before anybody hears of the change and comes to look.
        drop(self);
        done();
        Ok(())
    }
}
