//! `Catalog`: the one door to what exists.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::{
    ChannelId, Collection, CollectionId, CollectionSchema, ConsistencyLevel, Database, Fault,
    FieldId, FieldSchema, FileRef, IndexDef, LoadState, Partition, PartitionId, Props, RequestId,
    Segment, SegmentId, ShardState, Timestamp, VChannel,
};
use crate::origin::ClientRequest;
use crate::rbac::AccessControl;
use crate::resource::ResourceControl;
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
    pub field: FieldId,
    /// Parameters as the client gave them.
    pub params: Props,
}

/// What changes in a collection. Of all this only the time to live touches rows: it comes into force
/// when the intent is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionAlter {
    /// Properties to replace by key.
    pub set: Props,
    /// Keys of properties to remove.
    pub drop: Vec<String>,
    /// The level of reads that ask for none.
    pub consistency: Option<ConsistencyLevel>,
    /// The description.
    pub description: Option<String>,
}

/// What changes in a field. Nothing of it touches how rows are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldAlter {
    /// Type parameters to replace by key.
    pub set: Props,
    /// Keys of type parameters to remove.
    pub drop: Vec<String>,
    /// The longest text from now on; rows that are there stay.
    pub max_length: Option<u32>,
    /// The most elements of an array from now on; rows that are there stay.
    pub max_capacity: Option<u32>,
    /// The description.
    pub description: Option<String>,
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
    /// Add a field: the schema, here with the field, goes to every channel of the collection.
    FieldAdd(Arc<Collection>, FieldId),
    /// End all rows of a collection, which stays as it is.
    Truncate(Arc<Collection>),
    /// Give the rows of a collection another time to live: the value of the property, or none.
    TtlSet(Arc<Collection>, Option<String>),
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

/// What a flush of one shard made: one change of its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlushCommit {
    /// How far the shard is in files now.
    pub state: ShardState,
    /// Segments that come; their files are in the object store, durably.
    pub added: Vec<Segment>,
    /// Segments that go; their files become garbage.
    pub removed: Vec<SegmentId>,
    /// A channel whose log is needed less than before.
    pub checkpoint: Option<(ChannelId, Checkpoint)>,
}

/// What a compaction of one shard made: segments in the place of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactCommit {
    /// The shard.
    pub vchannel: VChannel,
    /// The earliest time that can be read from now on, if that is later than before.
    pub since: Timestamp,
    /// The deltas of the shard as they were when the others were made from them.
    pub deltas_before: Vec<FileRef>,
    /// The deltas from now on.
    pub deltas: Vec<FileRef>,
    /// Segments that come; their files are in the object store, durably.
    pub added: Vec<Segment>,
    /// Segments that go; their files become garbage.
    pub removed: Vec<SegmentId>,
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
pub trait Catalog: AccessControl + ResourceControl {
    /// The cluster's time.
    fn tso(&self) -> Arc<Tso>;
    /// Number of physical channels, fixed when the catalog was first made.
    fn channels(&self) -> u16;
    /// Takes a block of `count` ids and returns the first.
    async fn id_block(&self, kind: IdKind, count: u32) -> Result<i64, Fault>;

    /// Whether the last change in the name of a client's id was made by this request, not long ago:
    /// see [`crate::origin`].
    async fn request_done(&self, request: &ClientRequest) -> Result<bool, Fault>;

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
    /// Decides to drop a collection; unreadable at once. Missing: `None`. Refused through an alias
    /// and while it has aliases.
    async fn collection_drop(&self, database: &str, name: &str) -> Result<Option<Intent>, Fault>;
    /// Decides to drop a partition; unreadable at once. Missing: `None`. `_default` is refused, and
    /// every one under a partition key.
    async fn partition_drop(
        &self,
        collection: CollectionId,
        name: &str,
    ) -> Result<Option<Intent>, Fault>;
    /// Decides to add a field, whose id is chosen here, behind all others. Refused when there is a
    /// field of its name, no room for one more, or another field that is not current yet.
    async fn field_add(
        &self,
        collection: CollectionId,
        field: FieldSchema,
    ) -> Result<Intent, Fault>;
    /// Decides to end all rows of a collection.
    async fn collection_truncate(&self, collection: CollectionId) -> Result<Intent, Fault>;
    /// Makes a decided change current. Harmless when repeated.
    async fn intent_finish(&self, intent: i64) -> Result<(), Fault>;
    /// Decided changes that are not finished, oldest first: start-up rolls them forward.
    async fn intents_pending(&self) -> Result<Vec<Intent>, Fault>;

    /// A current collection by name or alias, with everything that belongs to it.
    /// Missing: 100 `collection not found[database=..][collection=..]`.
    async fn collection_get(&self, database: &str, name: &str) -> Result<Arc<Collection>, Fault>;
    /// The id of a current collection by name or alias, without reading what belongs to it.
    async fn collection_id(&self, database: &str, name: &str) -> Result<CollectionId, Fault>;
    /// A current collection by id.
    async fn collection_by_id(&self, id: CollectionId) -> Result<Arc<Collection>, Fault>;
    /// The collection as it was at a past time, by name or alias, from history.
    async fn collection_at(
        &self,
        database: &str,
        name: &str,
        at: Timestamp,
    ) -> Result<Arc<Collection>, Fault>;
    /// All current collections of a database in order of creation.
    async fn collection_list(&self, database: &str) -> Result<Vec<Arc<Collection>>, Fault>;
    /// The collections of a database as they were at a past time, from history.
    async fn collection_list_at(
        &self,
        database: &str,
        at: Timestamp,
    ) -> Result<Vec<Arc<Collection>>, Fault>;
    /// All collections of all databases that still have data in the log: creating, created,
    /// dropping.
    async fn collection_all(&self) -> Result<Vec<Arc<Collection>>, Fault>;

    /// Gives a collection, by its own name, another name, in the same database or in another one;
    /// the name must be neither a collection's nor an alias's there.
    async fn collection_rename(
        &self,
        from: (&str, &str),
        to: (&str, &str),
    ) -> Result<CollectionId, Fault>;
    /// Changes a collection in place; another time to live is only decided. What says how data are
    /// held in memory is refused while the collection is loaded: 104.
    async fn collection_alter(
        &self,
        collection: CollectionId,
        alter: CollectionAlter,
    ) -> Result<Option<Intent>, Fault>;
    /// Changes a field in place.
    async fn field_alter(
        &self,
        collection: CollectionId,
        field: FieldId,
        alter: FieldAlter,
    ) -> Result<(), Fault>;

    /// Gives a collection another name. The same again is harmless; a name of a collection: 1601;
    /// an alias of another collection: 1602.
    async fn alias_create(&self, database: &str, alias: &str, name: &str) -> Result<(), Fault>;
    /// Points an alias at another collection, in one step. Missing: 1600.
    async fn alias_alter(&self, database: &str, alias: &str, name: &str) -> Result<(), Fault>;
    /// Drops an alias. Missing: harmless.
    async fn alias_drop(&self, database: &str, alias: &str) -> Result<(), Fault>;
    /// All aliases of a database in order of creation.
    async fn alias_list(&self, database: &str) -> Result<Vec<String>, Fault>;

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
    /// Replaces parameters of an index by key; `drop` removes keys. Refused while the collection
    /// is loaded: 104. Missing: 700.
    async fn index_alter(
        &self,
        collection: CollectionId,
        name: &str,
        set: Props,
        drop: Vec<String>,
    ) -> Result<(), Fault>;
    /// Drops indexes by their names, all at once. Missing: harmless.
    async fn index_drop(&self, collection: CollectionId, names: &[&str]) -> Result<(), Fault>;

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

    /// Replaces the state of a shard, adds and removes segments and moves a checkpoint forward (a
    /// step back is ignored), in one durable transaction. Files that are not named any more, of
    /// removed segments and of deltas, become garbage. The same commit again is harmless.
    ///
    /// # Errors
    /// 100 `collection not found[collection=..]` when the collection is dropped to the end; 5 when
    /// the shard is flushed as far already or further, its `since` would go back, a removed
    /// segment is not there, an added one is there with other content, or a file is garbage or
    /// there with other content. Nothing is changed then.
    async fn flush_commit(&self, commit: FlushCommit) -> Result<(), Fault>;
    /// Puts segments in the place of others of a shard, and deltas in the place of others, in one
    /// durable transaction. Files that are not named any more become garbage. The same commit again
    /// is harmless.
    ///
    /// # Errors
    /// 100 `collection not found[collection=..]` when the collection is dropped to the end; 600
    /// `segment not found[segment=..]` when a removed one is not there; 5 when the deltas are not
    /// those before, an added segment is there with other content, or a file is garbage or there
    /// with other content. Nothing is changed then.
    async fn compact_commit(&self, commit: CompactCommit) -> Result<(), Fault>;
    /// Adds artefacts to a segment and removes some by their kinds, these first. One that is there
    /// under an added kind is replaced; removing a missing one is harmless. Files that are not
    /// named any more become garbage.
    ///
    /// # Errors
    /// 600 `segment not found[segment=..]`: the file is the caller's to delete; 5 when an added
    /// file is garbage.
    async fn segment_files_set(
        &self,
        segment: SegmentId,
        add: Vec<(String, FileRef)>,
        remove: Vec<String>,
    ) -> Result<(), Fault>;
    /// The shards of all collections that are creating, created or dropping, each with its
    /// segments in order of their ids. A shard that was never flushed is not among them.
    async fn manifest(&self) -> Result<Vec<(ShardState, Vec<Segment>)>, Fault>;
    /// The shards of one collection with their segments, until they are forgotten. Of a collection
    /// that was never flushed, or never was: none.
    async fn manifest_of(
        &self,
        collection: CollectionId,
    ) -> Result<Vec<(ShardState, Vec<Segment>)>, Fault>;
    /// The collections that are dropped to the end and whose manifest is not forgotten yet.
    async fn manifest_dropped(&self) -> Result<Vec<CollectionId>, Fault>;
    /// Makes all files of a dropped collection garbage and returns them. Again: none.
    ///
    /// # Errors
    /// 5 while the collection's drop is not finished.
    async fn manifest_forget(&self, collection: CollectionId) -> Result<Vec<FileRef>, Fault>;
    /// The files that nothing names any more and that are to be deleted, in order of their names.
    async fn garbage(&self) -> Result<Vec<FileRef>, Fault>;
    /// Forgets garbage by its names after the files are gone. What is not there is no error.
    async fn garbage_done(&self, names: &[String]) -> Result<(), Fault>;

    /// The id of the cluster, for ever the same: `proposed` when there was none.
    async fn cluster_id(&self, proposed: u128) -> Result<u128, Fault>;

    /// Called with a collection's id after each change to it was committed, by whatever process
    /// the back end can hear (in process for SQLite, LISTEN/NOTIFY for Postgres); `None` means
    /// that anything may have changed. What only the manifest tells is no such change.
    fn watch(&self, on_change: Box<dyn Fn(Option<CollectionId>) + Send + Sync>);
    /// Whether the back end answers; the text says what is wrong.
    async fn check(&self) -> Result<(), Fault>;
}
