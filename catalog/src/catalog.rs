//! `Catalog`: the one door to what exists.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::{
    ChannelId, Collection, CollectionId, CollectionSchema, ConsistencyLevel, Database, Fault,
    IndexDef, LoadState, Partition, PartitionId, Props, RequestId, Timestamp,
};
use crate::tso::Tso;

/// What a client asks for when it creates a collection. The schema has its field ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCollection {
    /// Name of the database.
    pub database: String,
    /// Name of the collection.
    pub name: String,
    /// Validated schema.
    pub schema: Arc<CollectionSchema>,
    /// Number of shards, 1 or more; the catalog places them on physical channels.
    pub shards: u16,
    /// Number of partitions, 1 or more, of a collection with a partition key: they are made with
    /// it. Any other collection begins with its default partition, and this does not count.
    pub partitions: u16,
    /// Default consistency level.
    pub consistency: ConsistencyLevel,
    /// Properties.
    pub properties: Props,
}

/// What a client asks for when it creates an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewIndex {
    /// Name; unique in the collection.
    pub name: String,
    /// The field.
    pub field: crate::model::FieldId,
    /// Parameters as the client gave them.
    pub params: Props,
}

/// A change that touches data and is decided: it will be carried to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Names the intent; finishing it twice is harmless.
    pub id: i64,
    /// What to do.
    pub op: IntentOp,
}

/// The changes that need a record in the log between their intent and their end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntentOp {
    /// Create a collection: its schema goes to every channel of it.
    CollectionCreate(Arc<Collection>),
    /// Drop a collection: its rows end on every channel of it.
    CollectionDrop(Arc<Collection>),
    /// Drop a partition: its rows end on every channel of the collection.
    PartitionDrop(Arc<Collection>, PartitionId),
}

/// What `collection_create` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The intent is new; publish its ddl records, then `intent_finish`.
    Intent(Intent),
    /// The same collection is there already: nothing to do.
    Same(Arc<Collection>),
}

/// Where the log of a channel may be cut and reading begins after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last sequence that is not needed any more; 0 when all are.
    pub seq: u64,
    /// Closed-through of the channel as it was right after `seq`.
    pub closed: Timestamp,
}

/// Blocks of ids by purpose. Ids of one kind are never handed out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// Databases, collections, partitions, fields, indexes, segments, intents.
    Object,
    /// Automatic row ids.
    Row,
}

/// What exists. Every change is one serialized, durable transaction, stamped with a TSO time that
/// grows in the order of the changes.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The cluster's time.
    fn tso(&self) -> Arc<Tso>;
    /// Number of physical channels, fixed when the catalog was first made.
    fn channels(&self) -> u16;
    /// Takes a block of `count` ids and returns the first.
    async fn id_block(&self, kind: IdKind, count: u32) -> Result<i64, Fault>;

    /// Creates a database. Existing: 65535 `database already exist: x`.
    async fn database_create(&self, name: &str, properties: Props) -> Result<Database, Fault>;
    /// Drops an empty database; `default` is refused.
    async fn database_drop(&self, name: &str) -> Result<(), Fault>;
    /// All databases in order of creation.
    async fn database_list(&self) -> Result<Vec<Database>, Fault>;
    /// One database. Missing: 800 `database not found[database=x]`.
    async fn database_get(&self, name: &str) -> Result<Database, Fault>;
    /// Replaces properties by key; `drop` removes keys.
    async fn database_alter(&self, name: &str, set: Props, drop: Vec<String>) -> Result<(), Fault>;

    /// Decides to create a collection with its `_default` partition, placing its shards. With a
    /// partition key it has the partitions `_default_0`, `_default_1`, ... instead, for good.
    /// An equal one that exists is `Same`; a different one is an error.
    async fn collection_create(&self, id: RequestId, new: NewCollection) -> Result<Created, Fault>;
    /// Decides to drop a collection; unreadable at once. Missing: `None`.
    async fn collection_drop(&self, database: &str, name: &str) -> Result<Option<Intent>, Fault>;
    /// Decides to drop a partition; unreadable at once. Missing: `None`. `_default` is refused, and
    /// every one under a partition key.
    async fn partition_drop(
        &self,
        collection: CollectionId,
        name: &str,
    ) -> Result<Option<Intent>, Fault>;
    /// Makes a decided change current. Harmless when repeated.
    async fn intent_finish(&self, intent: i64) -> Result<(), Fault>;
    /// Decided changes that are not finished, oldest first: start-up rolls them forward.
    async fn intents_pending(&self) -> Result<Vec<Intent>, Fault>;

    /// A current collection by name, with everything that belongs to it.
    /// Missing: 100 `collection not found[database=..][collection=..]`.
    async fn collection_get(&self, database: &str, name: &str) -> Result<Arc<Collection>, Fault>;
    /// A current collection by id.
    async fn collection_by_id(&self, id: CollectionId) -> Result<Arc<Collection>, Fault>;
    /// The collection as it was at a past time, by name, from history.
    async fn collection_at(
        &self,
        database: &str,
        name: &str,
        at: Timestamp,
    ) -> Result<Arc<Collection>, Fault>;
    /// All current collections of a database in order of creation.
    async fn collection_list(&self, database: &str) -> Result<Vec<Arc<Collection>>, Fault>;
    /// All collections of all databases that still have data in the log: creating, created,
    /// dropping.
    async fn collection_all(&self) -> Result<Vec<Arc<Collection>>, Fault>;

    /// Creates a partition. Existing: returns it. Too many: an error that names the limit. Refused
    /// under a partition key.
    async fn partition_create(
        &self,
        collection: CollectionId,
        name: &str,
    ) -> Result<Partition, Fault>;

    /// Creates an index. The same again is harmless; another on the same field, or the same name
    /// on another field: 65535 `at most one distinct index is allowed per field`.
    async fn index_create(
        &self,
        collection: CollectionId,
        new: NewIndex,
    ) -> Result<IndexDef, Fault>;
    /// Drops an index by name. Missing: harmless.
    async fn index_drop(&self, collection: CollectionId, name: &str) -> Result<(), Fault>;

    /// Sets the load state of partitions; an empty list means all of the collection. Single ones
    /// are refused under a partition key.
    async fn load_set(
        &self,
        collection: CollectionId,
        partitions: &[PartitionId],
        state: LoadState,
    ) -> Result<(), Fault>;

    /// The checkpoint of a channel.
    async fn checkpoint_get(&self, channel: ChannelId) -> Result<Checkpoint, Fault>;
    /// Moves the checkpoint of a channel forward; a step back is ignored.
    async fn checkpoint_set(&self, channel: ChannelId, to: Checkpoint) -> Result<(), Fault>;

    /// Called with a collection's id after each change to it was committed, by whatever process
    /// the back end can hear (in process for SQLite, LISTEN/NOTIFY for Postgres); `None` means
    /// that anything may have changed.
    fn watch(&self, on_change: Box<dyn Fn(Option<CollectionId>) + Send + Sync>);
    /// Whether the back end answers; the text says what is wrong.
    async fn check(&self) -> Result<(), Fault>;
}
