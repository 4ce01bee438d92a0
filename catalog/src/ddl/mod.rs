//! DDL: each operation is one transaction over a [`Store`], written once for every back end.
//!
//! **Invariant.** A change is stamped inside its transaction, which is the only one open: the
//! order of the stamps is the order of the changes. Its id, its rows, its intent and the note of
//! its request are committed together or not at all.
//!
//! **Absent on purpose.** No SQL, and no log: who publishes the ddl records of an intent calls
//! [`Catalog::intent_finish`] afterwards.

mod access;
mod alias;
mod alter;
mod collection;
mod content;
mod database;
mod index;
mod intent;
mod manifest;
mod partition;
mod resource;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::RwLock;

use crate::catalog::{
    Catalog, Checkpoint, CollectionAlter, CompactCommit, Created, FieldAlter, FlushCommit, IdKind,
    Intent, NewCollection, NewIndex,
};
use crate::clock::Clock;
use crate::model::{
    ChannelId, Collection, CollectionId, Database, Fault, FieldId, FieldSchema, FileRef, IndexDef,
    LoadState, Partition, PartitionId, Props, RequestId, Segment, SegmentId, ShardState, Timestamp,
    limits,
};
use crate::origin::{self, ClientRequest};
use crate::rules::{self, Limits};
use crate::store::{At, Counter, Store, Table, Txn};
use crate::tso::{Tso, WindowStore};

/// The layout of the stored rows; an unknown one is refused.
const FORMAT: &str = "1";

/// A listener of changes.
type Watcher = Arc<dyn Fn(Option<CollectionId>) + Send + Sync>;

/// Everybody who wants to hear of changes.
#[derive(Default)]
pub(crate) struct Watchers {
    list: RwLock<Vec<Watcher>>,
}

impl Watchers {
    /// Tells everybody.
    pub(crate) fn tell(&self, changed: Option<CollectionId>) {
        // Copied, so that a watcher may call the catalog, this list included.
        let list = self.list.read().clone();
        for watcher in &list {
            watcher(changed);
        }
    }
}

/// The catalog over some back end.
pub struct StoredCatalog {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) watchers: Arc<Watchers>,
    tso: Arc<Tso>,
    channels: u16,
    pub(crate) limits: Limits,
}

/// An open change: a transaction and its stamp.
pub(crate) struct Change {
    txn: Box<dyn Txn>,
    /// The stamp.
    at: Timestamp,
    /// What it touched, for those who watch; unchanged while `None`.
    touched: Option<Option<CollectionId>>,
}

impl StoredCatalog {
    /// Takes the catalog over, starts its time and makes the default database.
    ///
    /// # Errors
    /// When the number of channels or the format differ from those it was made with, and those
    /// of the store.
    pub(crate) async fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        channels: u16,
        limits: Limits,
    ) -> Result<StoredCatalog, Fault> {
        if channels == 0 {
            return Err(Fault::plain("the catalog needs at least one channel"));
        }
        store.claim().await?;
        let mut txn = store.write().await?;
        settle(&mut *txn, "format", FORMAT).await?;
        settle(&mut *txn, "channels", &channels.to_string()).await?;
        txn.commit(None, Box::new(|| ())).await?;
        let window: Arc<dyn WindowStore> = Arc::<dyn Store>::clone(&store);
        let tso = Tso::start(clock, window).await?;
        let watchers = Arc::default();
        let catalog = StoredCatalog { store, watchers, tso, channels, limits };
        let databases = catalog.store.read().await?.count(Table::Databases, None).await?;
        if databases == 0 {
            catalog.database_create(limits::DEFAULT_DATABASE, Props::new()).await?;
        }
        catalog.access_start().await?;
        catalog.resource_start().await?;
        Ok(catalog)
    }

    /// Ends what runs in the background and closes all connections, so that another process can
    /// open the catalog at once. Later calls fail.
    pub fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.store.close())
    }

    /// Opens a change: waits for its turn, then takes its stamp.
    async fn change(&self) -> Result<Change, Fault> {
        loop {
            let txn = self.store.write().await?;
            if let Some(at) = self.tso.try_now() {
                return Ok(Change { txn, at, touched: None });
            }
            // Saving the bound may need the very lock that this transaction holds.
            drop(txn);
            self.tso.extend().await?;
        }
    }

    /// Commits what was changed; undoes the transaction when nothing was.
    ///
    /// In the name of a client's request, even nothing is noted as what it did.
    async fn commit(&self, mut change: Change) -> Result<(), Fault> {
        if let Some(request) = origin::current() {
            let oldest = change.at.minus_ms(origin::REPEATED_MS);
            change.txn.client_request_set(&request, change.at, oldest).await?;
            if change.touched.is_none() {
                return change.txn.commit_quietly().await;
            }
        }
        let Some(changed) = change.touched else { return Ok(()) };
        let watchers = Arc::clone(&self.watchers);
        change.txn.commit(changed, Box::new(move || watchers.tell(changed))).await
    }
}

/// The setting that names the cluster.
const CLUSTER: &str = "cluster";

/// Notes a setting at first, and refuses another value later.
async fn settle(txn: &mut dyn Txn, key: &str, value: &str) -> Result<(), Fault> {
    match txn.setting_get(key).await? {
        None => txn.setting_add(key, value).await,
        Some(there) if there == value => Ok(()),
        Some(there) => Err(Fault::plain(format!(
            "the catalog was made with {key}={there} and cannot be opened with {key}={value}"
        ))),
    }
}

#[async_trait]
impl Catalog for StoredCatalog {
    fn tso(&self) -> Arc<Tso> {
        Arc::clone(&self.tso)
    }

    fn channels(&self) -> u16 {
        self.channels
    }

    async fn id_block(&self, kind: IdKind, count: u32) -> Result<i64, Fault> {
        let counter = match kind {
            IdKind::Object => Counter::Object,
            IdKind::Row => Counter::Row,
        };
        self.store.count_up(counter, i64::from(count)).await
    }

    async fn request_done(&self, request: &ClientRequest) -> Result<bool, Fault> {
        let digest = self.store.read().await?.client_request_get(&request.client).await?;
        Ok(digest.is_some_and(|digest| digest == request.digest))
    }

    async fn database_create(&self, name: &str, properties: Props) -> Result<Database, Fault> {
        let mut change = self.change().await?;
        let made = database::create(&mut change, name, properties, &self.limits).await?;
        self.commit(change).await?;
        Ok(made)
    }

    async fn database_drop(&self, name: &str) -> Result<(), Fault> {
        let mut change = self.change().await?;
        database::drop(&mut change, name).await?;
        self.commit(change).await
    }

    async fn database_list(&self) -> Result<Vec<Database>, Fault> {
        database::list(&mut *self.store.read().await?).await
    }

    async fn database_get(&self, name: &str) -> Result<Database, Fault> {
        database::get(&mut *self.store.read().await?, name).await
    }

    async fn database_alter(&self, name: &str, set: Props, drop: Vec<String>) -> Result<(), Fault> {
        let mut change = self.change().await?;
        database::alter(&mut change, name, set, &drop).await?;
        self.commit(change).await
    }

    async fn collection_create(&self, id: RequestId, new: NewCollection) -> Result<Created, Fault> {
        rules::check_name("collection", &new.name)?;
        rules::check_shards(new.shards, self.channels)?;
        rules::check_props(&new.properties)?;
        let mut change = self.change().await?;
        let made = collection::create(&mut change, id, new, self.channels, &self.limits).await?;
        self.commit(change).await?;
        Ok(made)
    }

    async fn collection_drop(&self, database: &str, name: &str) -> Result<Option<Intent>, Fault> {
        let mut change = self.change().await?;
        let intent = collection::drop(&mut change, database, name).await?;
        self.commit(change).await?;
        Ok(intent)
    }

    async fn partition_drop(
        &self,
        collection: CollectionId,
        name: &str,
    ) -> Result<Option<Intent>, Fault> {
        let mut change = self.change().await?;
        let intent = partition::drop(&mut change, collection, name).await?;
        self.commit(change).await?;
        Ok(intent)
    }

    async fn field_add(
        &self,
        collection: CollectionId,
        field: FieldSchema,
    ) -> Result<Intent, Fault> {
        let mut change = self.change().await?;
        let intent = content::field_add(&mut change, collection, field).await?;
        self.commit(change).await?;
        Ok(intent)
    }

    async fn collection_truncate(&self, collection: CollectionId) -> Result<Intent, Fault> {
        let mut change = self.change().await?;
        let intent = content::truncate(&mut change, collection).await?;
        self.commit(change).await?;
        Ok(intent)
    }

    async fn intent_finish(&self, intent: i64) -> Result<(), Fault> {
        let mut change = self.change().await?;
        intent::finish(&mut change, intent).await?;
        // It may be anybody's.
        origin::apart(self.commit(change)).await
    }

    async fn intents_pending(&self) -> Result<Vec<Intent>, Fault> {
        intent::pending(&mut *self.store.read().await?).await
    }

    async fn collection_get(&self, database: &str, name: &str) -> Result<Arc<Collection>, Fault> {
        collection::get(&mut *self.store.read().await?, database, name, At::Now).await
    }

    async fn collection_id(&self, database: &str, name: &str) -> Result<CollectionId, Fault> {
        let row = collection::find(&mut *self.store.read().await?, database, name, At::Now).await?;
        Ok(CollectionId(row.id))
    }

    async fn collection_by_id(&self, id: CollectionId) -> Result<Arc<Collection>, Fault> {
        collection::by_id(&mut *self.store.read().await?, id).await
    }

    async fn collection_at(
        &self,
        database: &str,
        name: &str,
        at: Timestamp,
    ) -> Result<Arc<Collection>, Fault> {
        // In turn with the changes: one that has its stamp, perhaps a smaller one than `at`,
        // but is not committed yet, must be seen.
        let mut change = self.change().await?;
        collection::get(&mut *change.txn, database, name, At::Past(at)).await
    }

    async fn collection_list(&self, database: &str) -> Result<Vec<Arc<Collection>>, Fault> {
        collection::list(&mut *self.store.read().await?, database, At::Now).await
    }

    async fn collection_list_at(
        &self,
        database: &str,
        at: Timestamp,
    ) -> Result<Vec<Arc<Collection>>, Fault> {
        // In turn with the changes, as `collection_at`.
        let mut change = self.change().await?;
        collection::list(&mut *change.txn, database, At::Past(at)).await
    }

    async fn collection_all(&self) -> Result<Vec<Arc<Collection>>, Fault> {
        collection::all(&mut *self.store.read().await?).await
    }

    async fn collection_rename(
        &self,
        from: (&str, &str),
        to: (&str, &str),
    ) -> Result<CollectionId, Fault> {
        rules::check_name("collection", to.1)?;
        let mut change = self.change().await?;
        let id = collection::rename(&mut change, from, to).await?;
        self.commit(change).await?;
        Ok(id)
    }

    async fn collection_alter(
        &self,
        collection: CollectionId,
        alter: CollectionAlter,
    ) -> Result<Option<Intent>, Fault> {
        let mut change = self.change().await?;
        let intent = alter::collection(&mut change, collection, alter).await?;
        self.commit(change).await?;
        Ok(intent)
    }

    async fn field_alter(
        &self,
        collection: CollectionId,
        field: FieldId,
        alter: FieldAlter,
    ) -> Result<(), Fault> {
        let mut change = self.change().await?;
        alter::field(&mut change, collection, field, alter).await?;
        self.commit(change).await
    }

    async fn alias_create(&self, database: &str, alias: &str, name: &str) -> Result<(), Fault> {
        let mut change = self.change().await?;
        alias::create(&mut change, database, alias, name).await?;
        self.commit(change).await
    }

    async fn alias_alter(&self, database: &str, alias: &str, name: &str) -> Result<(), Fault> {
        let mut change = self.change().await?;
        alias::alter(&mut change, database, alias, name).await?;
        self.commit(change).await
    }

    async fn alias_drop(&self, database: &str, alias: &str) -> Result<(), Fault> {
        let mut change = self.change().await?;
        alias::drop(&mut change, database, alias).await?;
        self.commit(change).await
    }

    async fn alias_list(&self, database: &str) -> Result<Vec<String>, Fault> {
        alias::list(&mut *self.store.read().await?, database).await
    }

    async fn partition_create(
        &self,
        collection: CollectionId,
        name: &str,
    ) -> Result<Partition, Fault> {
        let mut change = self.change().await?;
        let made = partition::create(&mut change, collection, name, &self.limits).await?;
        self.commit(change).await?;
        Ok(made)
    }

    async fn index_create(
        &self,
        collection: CollectionId,
        new: NewIndex,
    ) -> Result<IndexDef, Fault> {
        let mut change = self.change().await?;
        let made = index::create(&mut change, collection, new).await?;
        self.commit(change).await?;
        Ok(made)
    }

    async fn index_alter(
        &self,
        collection: CollectionId,
        name: &str,
        set: Props,
        drop: Vec<String>,
    ) -> Result<(), Fault> {
        let mut change = self.change().await?;
        alter::index(&mut change, collection, name, set, &drop).await?;
        self.commit(change).await
    }

    async fn index_drop(&self, collection: CollectionId, names: &[&str]) -> Result<(), Fault> {
        let mut change = self.change().await?;
        index::drop(&mut change, collection, names).await?;
        self.commit(change).await
    }

    async fn load_set(
        &self,
        collection: CollectionId,
        partitions: &[PartitionId],
        state: LoadState,
    ) -> Result<(), Fault> {
        let mut change = self.change().await?;
        partition::load_set(&mut change, collection, partitions, state).await?;
        if state == LoadState::NotLoaded && partitions.is_empty() {
            resource::forget(&mut change, collection).await?;
        }
        self.commit(change).await
    }

    async fn checkpoint_get(&self, channel: ChannelId) -> Result<Checkpoint, Fault> {
        Ok(self.store.checkpoint_get(channel).await?.unwrap_or_default())
    }

    async fn checkpoint_set(&self, channel: ChannelId, to: Checkpoint) -> Result<(), Fault> {
        rules::check_channel(channel, self.channels)?;
        self.store.checkpoint_set(channel, to).await
    }

    async fn flush_commit(&self, commit: FlushCommit) -> Result<(), Fault> {
        let mut txn = self.store.write().await?;
        match manifest::flush(&mut *txn, &commit, self.channels).await? {
            true => txn.commit_quietly().await,
            false => Ok(()),
        }
    }

    async fn compact_commit(&self, commit: CompactCommit) -> Result<(), Fault> {
        let mut txn = self.store.write().await?;
        match manifest::compact(&mut *txn, &commit).await? {
            true => txn.commit_quietly().await,
            false => Ok(()),
        }
    }

    async fn segment_files_set(
        &self,
        segment: SegmentId,
        add: Vec<(String, FileRef)>,
        remove: Vec<String>,
    ) -> Result<(), Fault> {
        let mut txn = self.store.write().await?;
        match manifest::files_set(&mut *txn, segment, &add, &remove).await? {
            true => txn.commit_quietly().await,
            false => Ok(()),
        }
    }

    async fn manifest(&self) -> Result<Vec<(ShardState, Vec<Segment>)>, Fault> {
        manifest::all(&mut *self.store.read().await?).await
    }

    async fn manifest_of(
        &self,
        collection: CollectionId,
    ) -> Result<Vec<(ShardState, Vec<Segment>)>, Fault> {
        manifest::of(&mut *self.store.read().await?, collection).await
    }

    async fn manifest_dropped(&self) -> Result<Vec<CollectionId>, Fault> {
        manifest::dropped(&mut *self.store.read().await?).await
    }

    async fn manifest_forget(&self, collection: CollectionId) -> Result<Vec<FileRef>, Fault> {
        let mut txn = self.store.write().await?;
        let garbage = manifest::forget(&mut *txn, collection).await?;
        txn.commit_quietly().await?;
        Ok(garbage)
    }

    async fn cluster_id(&self, proposed: u128) -> Result<u128, Fault> {
        let mut txn = self.store.write().await?;
        if let Some(there) = txn.setting_get(CLUSTER).await? {
            let broken = |_| Fault::internal(format!("{there:?} is no id of a cluster"));
            return u128::from_str_radix(&there, 16).map_err(broken);
        }
        txn.setting_add(CLUSTER, &format!("{proposed:032x}")).await?;
        txn.commit_quietly().await?;
        Ok(proposed)
    }

    async fn garbage(&self) -> Result<Vec<FileRef>, Fault> {
        self.store.read().await?.garbage_list().await
    }

    async fn garbage_done(&self, names: &[String]) -> Result<(), Fault> {
        let mut txn = self.store.write().await?;
        txn.garbage_remove(names).await?;
        txn.commit_quietly().await
    }

    fn watch(&self, on_change: Box<dyn Fn(Option<CollectionId>) + Send + Sync>) {
        self.watchers.list.write().push(Arc::from(on_change));
    }

    async fn check(&self) -> Result<(), Fault> {
        self.store.check().await
    }
}
