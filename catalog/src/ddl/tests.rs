//! Crash atomicity: every change is cut off after each of its statements, on each local back
//! end, and what a restart finds is the state before or the state after, never one between.

mod manifest;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;

use super::StoredCatalog;
use crate::catalog::{
    Catalog, Checkpoint, CollectionAlter, Created, FieldAlter, NewCollection, NewIndex,
};
use crate::clock::SystemClock;
use crate::memory::{MemoryData, MemoryStore};
use crate::model::{
    ChannelId, Code, CollectionId, CollectionSchema, ConsistencyLevel, DataType, Fault, FieldId,
    FieldSchema, LoadState, RequestId, Timestamp,
};
use crate::origin::ClientRequest;
use crate::rules::Limits;
use crate::store::{At, Counter, Row, Store, Table, Txn};
use crate::tso::WindowStore;

/// Statements left until the power goes; below zero it is off.
pub(super) type Fuse = Arc<AtomicI64>;

fn burn(fuse: &Fuse) -> Result<(), Fault> {
    match fuse.fetch_sub(1, Ordering::SeqCst) {
        left if left > 0 => Ok(()),
        _ => Err(Fault::internal("the power is off")),
    }
}

/// A store whose transactions stop when the fuse has burnt down.
pub(super) struct Fused<S>(pub(super) Arc<S>, pub(super) Fuse);

struct FusedTxn(Box<dyn Txn>, Fuse);

#[async_trait]
impl<S: Store> WindowStore for Fused<S> {
    async fn load(&self) -> Result<Timestamp, Fault> {
        self.0.load().await
    }

    async fn save(&self, bound: Timestamp) -> Result<(), Fault> {
        self.0.save(bound).await
    }
}

#[async_trait]
impl<S: Store> Store for Fused<S> {
    async fn claim(&self) -> Result<(), Fault> {
        self.0.claim().await
    }

    async fn read(&self) -> Result<Box<dyn Txn>, Fault> {
        self.0.read().await
    }

    async fn write(&self) -> Result<Box<dyn Txn>, Fault> {
        Ok(Box::new(FusedTxn(self.0.write().await?, Arc::clone(&self.1))))
    }

    async fn count_up(&self, counter: Counter, by: i64) -> Result<i64, Fault> {
        self.0.count_up(counter, by).await
    }

    async fn checkpoint_get(&self, channel: ChannelId) -> Result<Option<Checkpoint>, Fault> {
        self.0.checkpoint_get(channel).await
    }

    async fn checkpoint_set(&self, channel: ChannelId, to: Checkpoint) -> Result<(), Fault> {
        self.0.checkpoint_set(channel, to).await
    }

    async fn check(&self) -> Result<(), Fault> {
        self.0.check().await
    }
}

#[async_trait]
impl Txn for FusedTxn {
    async fn get(&mut self, table: Table, id: i64, at: At) -> Result<Option<Row>, Fault> {
        burn(&self.1)?;
        self.0.get(table, id, at).await
    }

    async fn find(
        &mut self,
        table: Table,
        owner: i64,
        name: &str,
        at: At,
    ) -> Result<Option<Row>, Fault> {
        burn(&self.1)?;
        self.0.find(table, owner, name, at).await
    }

    async fn list(&mut self, table: Table, owners: &[i64], at: At) -> Result<Vec<Row>, Fault> {
        burn(&self.1)?;
        self.0.list(table, owners, at).await
    }

    async fn list_all(&mut self, table: Table) -> Result<Vec<Row>, Fault> {
        burn(&self.1)?;
        self.0.list_all(table).await
    }

    async fn count(&mut self, table: Table, owner: Option<i64>) -> Result<u64, Fault> {
        burn(&self.1)?;
        self.0.count(table, owner).await
    }

    async fn add(&mut self, table: Table, rows: &[Row]) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.add(table, rows).await
    }

    async fn end(&mut self, table: Table, ids: &[i64], at: Timestamp) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.end(table, ids, at).await
    }

    async fn end_owned(&mut self, table: Table, owner: i64, at: Timestamp) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.end_owned(table, owner, at).await
    }

    async fn scrub(&mut self, table: Table, id: i64) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.scrub(table, id).await
    }

    async fn counter_get(&mut self, counter: Counter) -> Result<i64, Fault> {
        burn(&self.1)?;
        self.0.counter_get(counter).await
    }

    async fn count_up(&mut self, counter: Counter, by: i64) -> Result<i64, Fault> {
        burn(&self.1)?;
        self.0.count_up(counter, by).await
    }

    async fn intent_add(&mut self, id: i64, body: &str, at: Timestamp) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.intent_add(id, body, at).await
    }

    async fn intent_list(&mut self) -> Result<Vec<(i64, String)>, Fault> {
        burn(&self.1)?;
        self.0.intent_list().await
    }

    async fn intent_take(&mut self, id: i64) -> Result<Option<String>, Fault> {
        burn(&self.1)?;
        self.0.intent_take(id).await
    }

    async fn request_get(
        &mut self,
        id: RequestId,
    ) -> Result<Option<(CollectionId, Timestamp)>, Fault> {
        burn(&self.1)?;
        self.0.request_get(id).await
    }

    async fn request_add(
        &mut self,
        id: RequestId,
        collection: CollectionId,
        at: Timestamp,
    ) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.request_add(id, collection, at).await
    }

    async fn client_request_get(&mut self, client: &str) -> Result<Option<String>, Fault> {
        self.0.client_request_get(client).await
    }

    async fn client_request_set(
        &mut self,
        request: &ClientRequest,
        at: Timestamp,
        oldest: Timestamp,
    ) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.client_request_set(request, at, oldest).await
    }

    async fn setting_get(&mut self, key: &str) -> Result<Option<String>, Fault> {
        self.0.setting_get(key).await
    }

    async fn setting_add(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        self.0.setting_add(key, value).await
    }

    /// The power may go before the commit, or after it and before its answer.
    async fn commit(
        self: Box<Self>,
        changed: Option<CollectionId>,
        done: Box<dyn FnOnce() + Send>,
    ) -> Result<(), Fault> {
        burn(&self.1)?;
        self.0.commit(changed, done).await?;
        burn(&self.1)
    }
}

fn new_collection(name: &str) -> NewCollection {
    let field =
        FieldSchema { is_primary: true, ..FieldSchema::new(FieldId(100), "pk", DataType::Int64) };
    let schema = CollectionSchema {
        name: name.to_owned(),
        description: String::new(),
        enable_dynamic_field: false,
        fields: vec![field],
        version: 0,
        functions: Vec::new(),
    };
    NewCollection {
        database: "default".to_owned(),
        name: name.to_owned(),
        schema: Arc::new(schema),
        shards: 2,
        partitions: 0,
        consistency: ConsistencyLevel::Strong,
        properties: Vec::new(),
    }
}

/// A collection whose rows are spread over three partitions by a key.
fn keyed_collection(name: &str) -> NewCollection {
    let mut new = new_collection(name);
    let mut schema = (*new.schema).clone();
    let key = FieldSchema::new(FieldId(101), "tenant", DataType::Int64);
    schema.fields.push(FieldSchema { is_partition_key: true, ..key });
    new.schema = Arc::new(schema);
    NewCollection { partitions: 3, ..new }
}

fn new_index(name: &str) -> NewIndex {
    NewIndex { name: name.to_owned(), field: FieldId(100), params: Vec::new() }
}

/// Every kind of change, each possible after those before it.
const CHANGES: usize = 30;

async fn change(catalog: &dyn Catalog, which: usize) -> Result<(), Fault> {
    let c = || catalog.collection_get("default", "c");
    let create = async |request: u128, name: &str| {
        catalog.collection_create(RequestId(request), new_collection(name)).await.map(|_| ())
    };
    let set = || vec![("k".to_owned(), "v".to_owned())];
    let finish = async || match catalog.intents_pending().await?.first() {
        Some(intent) => catalog.intent_finish(intent.id).await,
        None => Ok(()),
    };
    let is_pending = async || catalog.intents_pending().await.map(|all| !all.is_empty());
    match which {
        0 => catalog.database_create("d", Vec::new()).await.map(|_| ()),
        1 => catalog.database_alter("d", set(), Vec::new()).await,
        2 => catalog.database_drop("d").await,
        3 => create(1, "c").await,
        4 | 9 | 16 | 18 | 20 | 23 | 27 => finish().await,
        5 => catalog.partition_create(c().await?.id, "p").await.map(|_| ()),
        6 => catalog.load_set(c().await?.id, &[], LoadState::Loaded).await,
        7 => catalog.load_set(c().await?.id, &[], LoadState::NotLoaded).await,
        8 => catalog.partition_drop(c().await?.id, "p").await.map(|_| ()),
        10 => catalog.index_create(c().await?.id, new_index("i")).await.map(|_| ()),
        11 => catalog.index_alter(c().await?.id, "i", set(), Vec::new()).await,
        12 => catalog.index_drop(c().await?.id, &["i"]).await,
        13 => {
            let alter = CollectionAlter {
                set: set(),
                description: Some("of words".to_owned()),
                ..CollectionAlter::default()
            };
            catalog.collection_alter(c().await?.id, alter).await.map(|_| ())
        }
        14 => {
            let alter = FieldAlter { set: set(), max_length: Some(9), ..FieldAlter::default() };
            catalog.field_alter(c().await?.id, FieldId(100), alter).await
        }
        15 => {
            let field = FieldSchema {
                nullable: true,
                ..FieldSchema::new(FieldId(0), "added", DataType::Int64)
            };
            catalog.field_add(c().await?.id, field).await.map(|_| ())
        }
        // The same again would be another one.
        17 if is_pending().await? => Ok(()),
        17 => catalog.collection_truncate(c().await?.id).await.map(|_| ()),
        19 if is_pending().await? => Ok(()),
        19 => {
            let set = vec![("collection.ttl.seconds".to_owned(), "7".to_owned())];
            let alter = CollectionAlter { set, ..CollectionAlter::default() };
            catalog.collection_alter(c().await?.id, alter).await.map(|_| ())
        }
        21 => catalog.alias_create("default", "a", "c").await,
        22 => create(2, "other").await,
        24 => catalog.alias_alter("default", "a", "other").await,
        25 => catalog.collection_rename(("default", "c"), ("default", "r")).await.map(|_| ()),
        26 => catalog.collection_drop("default", "r").await.map(|_| ()),
        28 => catalog.alias_drop("default", "a").await,
        _ => catalog.collection_create(RequestId(3), keyed_collection("k")).await.map(|_| ()),
    }
}

/// Everything that can be read, without the times, which differ from run to run.
async fn picture(catalog: &dyn Catalog) -> String {
    let databases = catalog.database_list().await.unwrap();
    let all = catalog.collection_all().await.unwrap();
    let intents = catalog.intents_pending().await.unwrap();
    let databases: Vec<_> = databases.iter().map(|d| (d.id, &d.name, &d.properties)).collect();
    let all: Vec<_> = all
        .iter()
        .map(|c| {
            let partitions: Vec<_> = c.partitions.iter().map(|p| (p.id, &p.name, p.load)).collect();
            let indexes: Vec<_> = c.indexes.iter().map(|i| (i.id, &i.name, &i.params)).collect();
            let own = (&c.name, &c.aliases, c.state, &c.channels, &c.properties, &c.schema);
            format!("{} {own:?} {partitions:?} {indexes:?}", c.id)
        })
        .collect();
    let intents: Vec<_> = intents.iter().map(|intent| intent.id).collect();
    let aliases = catalog.alias_list("default").await.unwrap();
    format!("{databases:?} {all:?} {intents:?} {aliases:?}")
}

/// Changes in a row, and what can be seen of them.
trait Story {
    /// Number of changes.
    const CHANGES: usize;
    /// Makes one; each is possible after those before it.
    async fn change(catalog: &dyn Catalog, which: usize) -> Result<(), Fault>;
    /// All that can be read, the same in every run.
    async fn picture(catalog: &dyn Catalog) -> String;
}

/// The life of objects.
struct Objects;

impl Story for Objects {
    const CHANGES: usize = CHANGES;

    async fn change(catalog: &dyn Catalog, which: usize) -> Result<(), Fault> {
        change(catalog, which).await
    }

    async fn picture(catalog: &dyn Catalog) -> String {
        picture(catalog).await
    }
}

/// A catalog that does `done` changes, then one that is cut off after `fuse` statements.
/// Returns how that ended, and what a restart finds before, right after and after a retry.
async fn cut<T: Story, S: Store>(
    store: impl AsyncFn() -> Arc<S>,
    done: usize,
    fuse: i64,
) -> (Result<(), Fault>, [String; 3]) {
    let start = async |fuse: i64| {
        let fused = Fused(store().await, Arc::new(AtomicI64::new(fuse)));
        let fused = Arc::new(fused);
        let started = StoredCatalog::start(
            Arc::<Fused<_>>::clone(&fused),
            Arc::new(SystemClock),
            4,
            Limits::default(),
        )
        .await;
        (started.unwrap(), Arc::clone(&fused.1))
    };
    let before = {
        let (catalog, _) = start(i64::MAX).await;
        for which in 0..done {
            T::change(&catalog, which).await.unwrap();
        }
        T::picture(&catalog).await
    };
    let outcome = {
        let (catalog, left) = start(i64::MAX).await;
        left.store(fuse, Ordering::SeqCst);
        T::change(&catalog, done).await
    };
    let (catalog, _) = start(i64::MAX).await;
    let found = T::picture(&catalog).await;
    // A restart must also be able to go on; what is there already may be refused.
    let _there_already = T::change(&catalog, done).await;
    (outcome, [before, found, T::picture(&catalog).await])
}

/// Cuts every change after each of its statements.
async fn cut_everywhere<T: Story, S: Store>(fresh: impl AsyncFn() -> Box<dyn StoreMaker<S>>) {
    for done in 0..T::CHANGES {
        let (mut fuse, mut seen_before, mut seen_after) = (0, false, false);
        loop {
            let maker = fresh().await;
            let (outcome, [before, found, retried]) =
                cut::<T, S>(async || maker.make().await, done, fuse).await;
            assert!(found == before || found == retried, "change {done} cut at {fuse}");
            assert!(before != retried, "change {done} changes nothing");
            seen_before |= found == before;
            seen_after |= found == retried;
            if outcome.is_ok() {
                break;
            }
            fuse += 1;
            assert!(fuse < 100, "change {done} never ends");
        }
        assert!(seen_before && seen_after, "change {done} was never cut off, or never made");
    }
}

/// Opens the same data again and again.
#[async_trait]
trait StoreMaker<S: Store>: Send + Sync {
    async fn make(&self) -> Arc<S>;
}

#[async_trait]
impl StoreMaker<MemoryStore> for Arc<MemoryData> {
    async fn make(&self) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(self))
    }
}

fn cut_in_memory<T: Story>() {
    let fresh = async || {
        let maker: Box<dyn StoreMaker<MemoryStore>> = Box::new(Arc::<MemoryData>::default());
        maker
    };
    futures::executor::block_on(cut_everywhere::<T, _>(fresh));
}

#[test]
fn a_change_cut_off_anywhere_is_whole_or_absent_in_memory() {
    cut_in_memory::<Objects>();
}

#[cfg(feature = "sql")]
mod sqlite {
    use super::*;
    use crate::sql::SqlStore;

    #[async_trait]
    impl StoreMaker<SqlStore> for tempfile::TempDir {
        async fn make(&self) -> Arc<SqlStore> {
            let url = format!("sqlite://{}", self.path().join("catalog.db").display());
            SqlStore::connect(&url).await.unwrap().0
        }
    }

    pub(super) fn cut_on_sqlite<T: Story>() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let fresh = async || {
            let maker: Box<dyn StoreMaker<SqlStore>> = Box::new(tempfile::tempdir().unwrap());
            maker
        };
        runtime.block_on(cut_everywhere::<T, _>(fresh));
    }

    #[test]
    fn a_change_cut_off_anywhere_is_whole_or_absent_on_sqlite() {
        cut_on_sqlite::<Objects>();
    }
}

/// The limits themselves are large: the numbers are taken down, not the rule.
#[test]
fn collections_and_partitions_are_limited() {
    futures::executor::block_on(async {
        let store = Arc::new(MemoryStore::new(&Arc::default()));
        let few = Limits { databases: 1, collections: 2, partitions: 4_096 };
        let catalog = StoredCatalog::start(store, Arc::new(SystemClock), 4, few).await.unwrap();
        for n in 0..2 {
            let made = catalog.collection_create(RequestId(n), new_collection(&format!("c{n}")));
            let Created::Intent(intent) = made.await.unwrap() else { panic!("there already") };
            catalog.intent_finish(intent.id).await.unwrap();
        }
        let more = catalog.collection_create(RequestId(9), new_collection("more")).await;
        let fault = more.unwrap_err();
        assert_eq!(fault.code, Code::CollectionNumLimit);
        assert!(fault.message.contains("[dbName=default][limit=2]"), "{fault}");
        let fault = catalog.database_create("d", Vec::new()).await.unwrap_err();
        assert_eq!(fault.code, Code::DatabaseNumLimit);

        let id = catalog.collection_get("default", "c1").await.unwrap().id;
        for n in 1..4_096 {
            catalog.partition_create(id, &format!("p{n}")).await.unwrap();
        }
        let fault = catalog.partition_create(id, "more").await.unwrap_err();
        let text = "partition number (4096) exceeds max configuration (4096), collection: c1";
        assert_eq!((fault.code, &*fault.message), (Code::Unexpected, text));
        assert!(catalog.partition_create(id, "p7").await.is_ok(), "one that is there is no more");
    });
}
